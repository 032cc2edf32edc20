//! How near the products of attention come to the peak: `cargo bench -p polyad-simd --bench product`. One thread.
//!
//! Each line has the best of many runs over the best peak beside them, with operands where attention has them: rows and
//! sums in the first-level cache, the 256 inner tokens in the second.

use polyad_simd::gemm::{GROUP, Product};
use polyad_simd::level;
use polyad_simd::peak::multiply_add_rate;
use std::time::Instant;

const TOKENS: usize = 256;

/// A buffer that begins at a cache line, as attention's do.
fn numbers(count: usize) -> (Vec<f32>, usize) {
    let all: Vec<f32> = (0..count + 16).map(|i| ((i * 2_654_435_761) % 1009) as f32 / 500.0 - 1.0).collect();
    let start = all.as_ptr().align_offset(64);
    (all, start)
}

fn main() {
    let level = level();
    println!("{level}");
    for rows in [24, 48] {
        for width in [32, 64, 128] {
            let (a, a_start) = numbers(rows * TOKENS);
            let (b, b_start) = numbers(width * TOKENS);
            let (mut c, c_start) = numbers(rows.max(width) * TOKENS);
            let plain = Product {
                rows,
                depth: width,
                columns: TOKENS,
                a: &a[a_start..],
                a_row: width,
                a_column: 1,
                b: &b[b_start..],
                b_row: GROUP,
                b_group: GROUP * width,
                c_row: TOKENS,
                add: false,
            };
            let scores = plain;
            let sums = Product {
                depth: TOKENS,
                columns: width,
                a_row: TOKENS,
                b_row: width,
                b_group: GROUP,
                c_row: width,
                ..plain
            };
            let inner = Product { rows: TOKENS, depth: rows, a_row: 1, a_column: TOKENS, add: true, ..sums };
            for (name, product) in [("scores", scores), ("weighted sums", sums), ("inner tokens", inner)] {
                let (mut best, mut peak) = (f64::MAX, 0f64);
                let inside = 400_000_000 / (2 * rows * width * TOKENS);
                for _ in 0..20 {
                    peak = peak.max(multiply_add_rate(level));
                    let start = Instant::now();
                    for _ in 0..inside {
                        product.run(level, &mut c[c_start..]);
                    }
                    best = best.min(start.elapsed().as_secs_f64() / inside as f64);
                }
                let rate = (2 * rows * width * TOKENS) as f64 / best;
                println!(
                    "{rows} rows, width {width:>3}, {name:<13} {:>5.1} % of peak {:.1}",
                    100.0 * rate / peak,
                    peak * 1e-9
                );
            }
        }
    }
}
