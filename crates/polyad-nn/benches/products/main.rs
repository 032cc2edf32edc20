//! What element-wise products cost, and what fusing them into linear maps saves:
//! `cargo bench --workspace --bench products [-- --quick]`.
//!
//! 1. `streams`: bytes a second of a triad, from memory and from the second-level cache, and beside it products of two
//!    and of three arrays. A product has one operation for twelve bytes and waits for them, not for arithmetic.
//! 2. `star`: the two linear maps of a star block and their product, the product as a pass of its own and at the end of
//!    the second map, at the sizes of StarNet's stages.
//! 3. `network`: StarNet forward on the engine, both ways, beside the time that all its products' bytes would take.
//!
//! Times are of the best run; what is compared takes turns. `RAYON_NUM_THREADS` says how many threads; about a minute
//! on two cores, and arrays as large as the last cache need up to 3 GB. `--quick` takes small ones and says nothing of
//! memory.

mod network;
mod star;
mod streams;

use polyad_nn::Result;
use polyad_simd::level;
use std::time::Instant;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// Whether a trial is enough.
    is_quick: bool,
    /// Seconds of each comparison, three turns at least.
    seconds: f64,
}

/// Seconds of each work's best run.
fn best<const N: usize>(effort: Effort, mut works: [&mut dyn FnMut(); N]) -> [f64; N] {
    works.iter_mut().for_each(|work| work());
    let (mut best, mut turns, begin) = ([f64::INFINITY; N], 0, Instant::now());
    while turns < 3 || begin.elapsed().as_secs_f64() < effort.seconds {
        for (work, best) in works.iter_mut().zip(&mut best) {
            let start = Instant::now();
            work();
            *best = best.min(start.elapsed().as_secs_f64());
        }
        turns += 1;
    }
    best
}

/// Numbers that are neither alike nor small, so that no product underflows: ±0.5 to 1.5.
fn numbers(count: usize) -> Vec<f32> {
    let number = |i: usize| {
        let size = 0.5 + (i * 7919 % 1013) as f32 / 1013.0;
        if i.is_multiple_of(2) { size } else { -size }
    };
    (0..count).map(number).collect()
}

fn main() -> Result<()> {
    let is_quick = std::env::args().any(|word| word == "--quick");
    let effort = Effort { is_quick, seconds: if is_quick { 0.05 } else { 2.0 } };
    println!("{}, {} threads", level(), rayon::current_num_threads());
    let bandwidth = streams::run(effort);
    star::run(effort, bandwidth);
    network::run(effort, bandwidth)
}
