//! A star block's two linear maps and their product, `relu6(f1 y) ∘ f2 y`, at the sizes of StarNet's stages.
//!
//! As a pass of its own the product reads both maps' results and writes a third array; at the end of the second map it
//! reads the first's, and the second's never leaves the registers: a write, and a read of it, are saved.

use crate::streams::multiply;
use crate::{Effort, best, numbers};
use polyad_nn::hadamard::correlation::starnet::StarNetSize;
use polyad_simd::conv::{Combine, Cut, Direct, Map, Second, Window};
use polyad_simd::{LANES, level};
use rayon::prelude::*;

/// A linear map of each pixel, on all threads.
struct Linear {
    from: Map,
    to: Map,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    fn new(from: Map, to: Map) -> Self {
        let weights = numbers(to.blocks * from.blocks * LANES * LANES);
        Linear { from, to, weights, bias: numbers(to.blocks * LANES) }
    }

    fn run(&self, input: &[f32], second: Option<Second>, cut: Cut, output: &mut [f32]) {
        let Linear { from, to, weights, bias } = self;
        let window = Window { kernel: [1, 1], stride: 1, before: [0, 0] };
        let job = Direct { input, from: *from, window, weights, bias, second, cut, to: *to };
        job.pieces(output, rayon::current_num_threads()).into_par_iter().for_each(|piece| piece.run(level()));
    }
}

/// Seconds of both maps with their product as a pass of its own and fused, and bytes of one of the three arrays.
fn stage(effort: Effort, [width, inside, side]: [usize; 3]) -> ([f64; 2], usize) {
    let map = |channels: usize| Map {
        images: 1,
        blocks: channels.div_ceil(LANES),
        height: side,
        width: side,
        border: 0,
        lanes: LANES,
    };
    let (from, to) = (map(width), map(inside));
    let (first, second) = (Linear::new(from, to), Linear::new(from, to));
    let input = numbers(from.len());
    let [mut gate, mut branch, mut star] = [(); 3].map(|()| vec![0.0; to.len()]);
    let mut apart = || {
        first.run(&input, None, Cut::RELU6, &mut gate);
        second.run(&input, None, Cut::NONE, &mut branch);
        multiply(&gate, &branch, &mut star);
    };
    let [mut fused_gate, mut fused_star] = [(); 2].map(|()| vec![0.0; to.len()]);
    let mut fused = || {
        first.run(&input, None, Cut::RELU6, &mut fused_gate);
        let gate = Second { numbers: &fused_gate, map: to, how: Combine::Multiply };
        second.run(&input, Some(gate), Cut::NONE, &mut fused_star);
    };
    let times = best(effort, [&mut apart, &mut fused]);
    assert_eq!(star, fused_star, "the same products, in whatever pass");
    (times, to.len() * size_of::<f32>())
}

/// Prints a line for each stage; beside what fusing saved, what the bytes that it saves take at the cache's rate.
pub fn run(effort: Effort, [_, cache]: [f64; 2]) {
    println!("\nstar: two linear maps and their product, one picture of 224 x 224");
    println!(
        "  network, channels, side       product apart      fused   apart / fused      saved   at the cache's rate"
    );
    for size in [StarNetSize::S050, StarNetSize::S1] {
        let config = size.config();
        for stage_index in 0..config.depths.len() {
            let (width, side) = (config.base << stage_index, 56 >> stage_index);
            let inside = config.ratio * width;
            let ([apart, fused], bytes) = stage(effort, [width, inside, side]);
            let sizes = format!("{width} to {inside}, {side}²");
            // A write and a read, and the line that the write falls into.
            let [apart, fused, rated] = [apart, fused, 3.0 * bytes as f64 / cache].map(|seconds| seconds * 1e3);
            let (ratio, saved) = (apart / fused, apart - fused);
            println!(
                "  {:14}{sizes:16}{apart:10.4} ms{fused:8.4} ms{ratio:12.2}{saved:12.4} ms{rated:13.4} ms",
                size.name()
            );
        }
    }
}
