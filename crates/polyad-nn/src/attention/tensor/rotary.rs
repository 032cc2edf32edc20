//! Rotary positions for the determinant form (Roy et al., arXiv 2507.02754).
//!
//! A chunk of three features turns about its third axis, chunk `c` by `position · base^(−c / chunks)`. A determinant of
//! three vectors turned alike is that of the vectors, and turns about one axis commute, so scores depend on differences
//! of positions only. The `d mod 3` features left over stay as they are.

use burn::tensor::{Tensor, TensorData};

/// Turns the tokens of each head; the first stands at `first`.
///
/// # Shapes
/// - x, output: `[batch, heads, tokens, d]`
pub(super) fn rotated(x: Tensor<4>, first: usize, base: f64) -> Tensor<4> {
    let [batch, heads, tokens, width] = x.dims();
    let chunks = width / 3;
    if chunks == 0 {
        return x;
    }
    let device = x.device();
    let angle = |position: usize, chunk: usize| position as f64 * base.powf(-(chunk as f64) / chunks as f64);
    let table = |f: fn(f64) -> f64| {
        let numbers: Vec<f32> = (first..first + tokens)
            .flat_map(|position| (0..chunks).map(move |chunk| f(angle(position, chunk)) as f32))
            .collect();
        Tensor::<5>::from_data(TensorData::new(numbers, [1, 1, tokens, chunks, 1]), &device)
    };
    let (cos, sin) = (table(f64::cos), table(f64::sin));
    let turning = x.clone().narrow(3, 0, 3 * chunks).reshape([batch, heads, tokens, chunks, 3]);
    let [a, b, c] = [0, 1, 2].map(|place| turning.clone().narrow(4, place, 1));
    let turned = Tensor::cat(vec![a.clone() * cos.clone() - b.clone() * sin.clone(), a * sin + b * cos, c], 4)
        .reshape([batch, heads, tokens, 3 * chunks]);
    if 3 * chunks == width {
        return turned;
    }
    Tensor::cat(vec![turned, x.narrow(3, 3 * chunks, width - 3 * chunks)], 3)
}
