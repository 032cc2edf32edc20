//! Circular convolution of real signals of any length, by a Fourier transform in two steps, each of them a product of
//! matrices.
//!
//! Cooley and Tukey, Math. Comp. 19 (1965). A length is `d = r m` with r its greatest divisor up to √d, and `x[a, b]`
//! number `m a + b` of the signal:
//!
//! ```text
//! 1.  u[k, b] = Σ_a e^(−2πi ka / r) x[a, b]
//! 2.  u[k, b] e^(−2πi kb / d)
//! 3.  X[k, l] = Σ_b e^(−2πi bl / m) u[k, b], number k + r l of the spectrum
//! ```
//!
//! That is about `d (r + m)` multiply-adds, nearly all of them in matrix products; a prime length has one step, and
//! costs its square. Roots of unity are made anew each time, `d` of them. Of a real signal only rows k ≤ r/2 are
//! needed, the others are their conjugates.

use burn::tensor::{Tensor, TensorData};
use std::f64::consts::TAU;

/// `[r, m]`
fn factors(length: usize) -> [usize; 2] {
    let rows = (1..=length.isqrt()).rev().find(|rows| length.is_multiple_of(*rows)).unwrap_or(1);
    [rows, length / rows]
}

/// Multiply-adds of a transform, or its inverse, of one signal: those of its products of matrices.
pub(super) fn transform_multiply_adds(length: usize) -> usize {
    let [rows, columns] = factors(length);
    let kept = rows / 2 + 1;
    2 * kept * rows * columns + 4 * kept * columns * columns
}

/// Numbers of a spectrum that are kept, real and imaginary parts.
pub(super) fn spectrum_numbers(length: usize) -> usize {
    let [rows, columns] = factors(length);
    2 * (rows / 2 + 1) * columns
}

/// Real and imaginary part.
type Complex = [Tensor<3>; 2];

/// `(re + i im)(c + i s)`, by which product it may be.
fn times([re, im]: Complex, [c, s]: Complex, product: impl Fn(Tensor<3>, Tensor<3>) -> Tensor<3>) -> Complex {
    let real = product(re.clone(), c.clone()) - product(im.clone(), s.clone());
    [real, product(im, c) + product(re, s)]
}

fn conjugate([re, im]: Complex) -> Complex {
    [re, im.neg()]
}

/// Roots of unity for signals like one tensor.
struct Transform {
    length: usize,
    /// r, m and `r/2 + 1`.
    sizes: [usize; 3],
    /// `e^(2πi ka / r)`, `[1, r/2 + 1, r]`.
    first: Complex,
    /// `e^(2πi kb / d)`, `[1, r/2 + 1, m]`.
    twiddles: Complex,
    /// `e^(2πi bl / m)`, `[1, m, m]`.
    second: Complex,
}

impl Transform {
    fn new(length: usize, like: &Tensor<2>) -> Self {
        let [rows, columns] = factors(length);
        let kept = rows / 2 + 1;
        let roots: Vec<f64> = (0..length).map(|power| TAU * power as f64 / length as f64).collect();
        // Entry (i, j) is the root of unity with power `step · i · j`.
        let matrix = |height: usize, width: usize, step: usize| {
            [f64::cos as fn(f64) -> f64, f64::sin].map(|part| {
                let entry = |index: usize| part(roots[index / width * (index % width) * step % length]);
                let entries: Vec<f64> = (0..height * width).map(entry).collect();
                Tensor::from_data(TensorData::new(entries, [1, height, width]), (&like.device(), like.dtype()))
            })
        };
        Transform {
            length,
            sizes: [rows, columns, kept],
            first: matrix(kept, rows, columns),
            twiddles: matrix(kept, columns, 1),
            second: matrix(columns, columns, rows),
        }
    }

    /// `[n, d]` to `[n, r/2 + 1, m]`.
    fn forward(&self, x: Tensor<2>) -> Complex {
        let [rows, columns, _] = self.sizes;
        let n = x.dims()[0];
        let x: Tensor<3> = x.reshape([n, rows, columns]);
        let u = conjugate(self.first.clone()).map(|roots| roots.matmul(x.clone()));
        let u = times(u, conjugate(self.twiddles.clone()), |a, b| a * b);
        times(u, conjugate(self.second.clone()), Tensor::matmul)
    }

    /// The way back: the real part of the sum over all rows, of which those that are left out are conjugates of others.
    fn back(&self, spectrum: Complex) -> Tensor<2> {
        let [rows, _, kept] = self.sizes;
        let u = times(spectrum, self.second.clone(), Tensor::matmul);
        let [re, im] = times(u, self.twiddles.clone(), |a, b| a * b);
        let weight = |k: usize| if k == 0 || 2 * k == rows { 1.0 } else { 2.0 } / self.length as f64;
        let weights: Vec<f64> = (0..kept).map(weight).collect();
        let weights = TensorData::new(weights, [1, kept, 1]);
        let weights: Tensor<3> = Tensor::from_data(weights, (&re.device(), re.dtype()));
        let [c, s] = self.first.clone().map(|roots| (roots * weights.clone()).swap_dims(1, 2));
        let n = re.dims()[0];
        (c.matmul(re) - s.matmul(im)).reshape([n, self.length])
    }
}

/// `z_k = Σ_j x_j y_{(k − j) mod d}` for each row.
///
/// # Shapes
/// - `x`, `y`, output: `[n, d]`
pub(super) fn circular_convolution(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    let transform = Transform::new(x.dims()[1], &x);
    let spectrum = times(transform.forward(x), transform.forward(y), |a, b| a * b);
    transform.back(spectrum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, gradients, numbers, wave};
    use burn::nn::LinearConfig;
    use burn::tensor::{DType, Device};

    fn direct(x: &[f64], y: &[f64]) -> Vec<f64> {
        let d = x.len();
        (0..d).map(|k| (0..d).map(|j| x[j] * y[(k + d - j) % d]).sum()).collect()
    }

    #[test]
    fn it_is_the_direct_sum_at_any_length() {
        let device = Device::flex();
        // Powers of two, primes, squares, r odd and even.
        for length in [1, 2, 3, 4, 7, 12, 15, 16, 25, 30, 37, 49, 64, 100, 128, 600] {
            let (x, y) = (wave::<2>([3, length], 0.7, &device), wave::<2>([3, length], 1.1, &device));
            let rows = |x: &Tensor<2>| numbers(x.clone()).chunks(length).map(<[f64]>::to_vec).collect::<Vec<_>>();
            let wanted: Vec<f64> = rows(&x).iter().zip(rows(&y)).flat_map(|(x, y)| direct(x, &y)).collect();
            close(&numbers(circular_convolution(x.clone(), y.clone())), &wanted, 1e-12);
            let single = circular_convolution(x.cast(DType::F32), y.cast(DType::F32));
            // Relative to the product of the norms, length / 2.
            close(&numbers(single), &wanted, 1e-6 * length as f64);
        }
    }

    #[test]
    fn a_length_is_cut_near_its_root() {
        assert_eq!(factors(16_000), [125, 128]);
        assert_eq!(factors(16_384), [128, 128]);
        assert_eq!(factors(37), [1, 37]);
        // By hand: 63 rows of 128 are kept.
        assert_eq!(transform_multiply_adds(16_000), 2 * 63 * 125 * 128 + 4 * 63 * 128 * 128);
        assert_eq!(spectrum_numbers(16_000), 2 * 63 * 128);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let linear = LinearConfig::new(15, 15).init(&device);
        gradients(linear, wave([2, 15], 0.7, &device), |linear, x| circular_convolution(linear.forward(x.clone()), x));
    }
}
