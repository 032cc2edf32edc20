//! Long convolutions of real signals, causal and circular, by a Fourier transform that is made of products of matrices.
//!
//! Cooley and Tukey, Math. Comp. 19 (1965): a transform of length `r m` is, with `x[a, b]` number `m a + b` of the
//! signal,
//!
//! ```text
//! 1.  y[k, b] = Σ_a e^(−2πi ka / r) x[a, b]          a product with an r × r matrix
//! 2.  y[k, b] · e^(−2πi kb / rm)                     twiddles
//! 3.  a transform of length m of each row k
//! ```
//!
//! and entry `(k, l)` of the result is number `k + r l` of the spectrum. Here `r` is at most 32 in every step, which
//! makes `O(n log n)` multiply-adds, nearly all of them in matrix products. Spectra stay in the order in which they
//! fall out: a product of two does not care, and the inverse goes the same steps back. Of a real signal only rows k ≤
//! r/2 of the first step are needed; the others are their conjugates.
//!
//! Written in Burn's operations: every device, both precisions, and gradients come for free. (Burn's own transform is
//! not used: its roots of unity are in single precision also where the signal is in double.)

use super::constant;
use burn::tensor::Tensor;
use std::f64::consts::TAU;

/// Log2 of the largest matrix: 32 × 32 complex, 64 × 64 real, 16 KiB in single precision, half of a core's level-1
/// cache.
const LARGEST: usize = 5;

/// Lengths r of the steps of a transform of a power of two, the largest first.
fn radices(length: usize) -> Vec<usize> {
    let bits = length.ilog2() as usize;
    let steps = bits.div_ceil(LARGEST).max(1);
    (0..steps).map(|step| 1 << (bits + steps - 1 - step).div_euclid(steps)).collect()
}

/// Length of the transform that convolves `tokens` numbers without wrapping round: a power of two of at least `2 tokens
/// − 1`.
fn padded(tokens: usize) -> usize {
    (2 * tokens - 1).next_power_of_two()
}

/// Length of the transform that convolves `numbers` numbers circularly: their own where that is a power of two.
pub(super) fn circular_length(numbers: usize) -> usize {
    if numbers.is_power_of_two() { numbers } else { padded(numbers) }
}

/// Numbers of a spectrum that are kept, real and imaginary parts.
pub(super) fn spectrum_numbers(length: usize) -> usize {
    let first = radices(length)[0];
    2 * (first / 2 + 1) * (length / first)
}

/// Multiply-adds of a transform, or its inverse, of one signal: those of its products of matrices.
pub(super) fn transform_multiply_adds(length: usize) -> usize {
    let radices = radices(length);
    let kept = radices[0] / 2 + 1;
    2 * kept * length + radices[1..].iter().map(|radix| 2 * radix * spectrum_numbers(length)).sum::<usize>()
}

/// Multiply-adds of [`causal_convolution`] for one channel, transforming the filter apart.
pub(super) fn multiply_adds(tokens: usize) -> usize {
    let length = padded(tokens);
    // A product of two complex numbers, two numbers of the spectrum, is four multiply-adds.
    2 * transform_multiply_adds(length) + 2 * spectrum_numbers(length)
}

/// The steps of a transform, for signals like one tensor.
struct Transform {
    length: usize,
    steps: Vec<Step>,
}

/// One step, for complex numbers in two parts, real and imaginary.
struct Step {
    /// r.
    radix: usize,
    /// Rows k that are kept: r, or `r/2 + 1` in the first step.
    kept: usize,
    /// Numbers of a row, m.
    len: usize,
    /// `[2 kept, 2 r]`, or `[2 kept, r]` in the first step. Rows are (k, part), in the last step (part, k), so that
    /// what follows reads numbers that lie together; columns are (part, a).
    forward: Tensor<2>,
    /// The way back, `[2 r, 2 kept]` or `[r, 2 kept]`.
    back: Tensor<2>,
    /// Cosines and sines of `2πkb / rm`, `[1, kept, 1, m]`; none in the last step, where m is 1.
    twiddles: Option<[Tensor<4>; 2]>,
}

impl Step {
    fn new<const D: usize>(radix: usize, len: usize, is_first: bool, like: &Tensor<D>) -> Self {
        let kept = if is_first { (radix / 2 + 1).min(radix) } else { radix };
        let inputs = if is_first { 1 } else { 2 };
        let is_last = len == 1;
        let angle = |k: usize, a: usize| TAU * (k * a % radix) as f64 / radix as f64;
        let row = |row: usize| if is_last { (row % kept, row / kept) } else { (row / 2, row % 2) };
        // e^(−iθ) (re + i im): real part re cos + im sin, imaginary part im cos − re sin.
        let entry = |index: usize| {
            let ((k, part), column) = (row(index / (inputs * radix)), index % (inputs * radix));
            let (from, angle) = (column / radix, angle(k, column % radix));
            match (part, from) {
                (0, 0) | (1, 1) => angle.cos(),
                (0, 1) => angle.sin(),
                _ => -angle.sin(),
            }
        };
        let (rows, columns) = (2 * kept, inputs * radix);
        let forward: Vec<f64> = (0..rows * columns).map(entry).collect();
        // The inverse is the transpose over r; rows of a real signal that were left out are those of their conjugates.
        let weight = |k: usize| if is_first && k != 0 && 2 * k != radix { 2.0 } else { 1.0 };
        let back = (0..columns * rows).map(|index| {
            let (column, row_index) = (index / rows, index % rows);
            forward[row_index * columns + column] * weight(row(row_index).0) / radix as f64
        });
        let back = constant(back.collect(), [columns, rows], like);
        let turn = |part: fn(f64) -> f64| {
            let number = |index: usize| part(TAU * (index / len * (index % len)) as f64 / (radix * len) as f64);
            constant((0..kept * len).map(number).collect(), [1, kept, 1, len], like)
        };
        let twiddles = (!is_last).then(|| [turn(f64::cos), turn(f64::sin)]);
        Step { radix, kept, len, forward: constant(forward, [rows, columns], like), back, twiddles }
    }
}

/// `(re + i im)(c + i s)`, both in two parts along axis 2.
fn turned(x: Tensor<4>, cosine: Tensor<4>, sine: Tensor<4>) -> Tensor<4> {
    let [re, im] = [0, 1].map(|part| x.clone().narrow(2, part, 1));
    let real = re.clone() * cosine.clone() - im.clone() * sine.clone();
    Tensor::cat(vec![real, im * cosine + re * sine], 2)
}

/// Products of the complex numbers of two spectra.
fn product(x: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
    let [re, im] = [0, 1].map(|part| y.clone().narrow(2, part, 1));
    turned(x, re, im)
}

impl Transform {
    fn new<const D: usize>(length: usize, like: &Tensor<D>) -> Self {
        let mut rest = length;
        let radices = radices(length).into_iter().enumerate();
        let steps = radices.map(|(index, radix)| {
            rest /= radix;
            Step::new(radix, rest, index == 0, like)
        });
        Transform { length, steps: steps.collect() }
    }

    /// Signals of up to the transform's length, zeros behind them, to spectra `[signals, numbers, 2, r of the last
    /// step]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<4> {
        let [signals, numbers] = x.dims();
        let behind = self.length - numbers;
        let zeros = (behind > 0).then(|| Tensor::zeros([signals, behind], (&x.device(), x.dtype())));
        let x = Tensor::cat([Some(x), zeros].into_iter().flatten().collect(), 1);
        let mut x = x.reshape([signals, 1, 1, self.length]);
        for Step { radix, kept, len, forward, twiddles, .. } in &self.steps {
            let rows = x.shape().num_elements() / (forward.dims()[1] * len);
            x = match twiddles {
                Some([cosine, sine]) => {
                    let y = forward.clone().unsqueeze::<3>().matmul(x.reshape([rows, forward.dims()[1], *len]));
                    turned(y.reshape([rows, *kept, 2, *len]), cosine.clone(), sine.clone().neg())
                }
                None => {
                    let y = x.reshape([rows, forward.dims()[1]]).matmul(forward.clone().transpose());
                    y.reshape([signals, rows / signals, 2, *kept])
                }
            };
            debug_assert!(radix * len <= self.length);
        }
        x
    }

    /// Spectra as [`forward`](Self::forward) gives them to signals, `[signals, length]`.
    fn back(&self, x: Tensor<4>) -> Tensor<2> {
        let signals = x.dims()[0];
        let mut x = x;
        for Step { kept, len, back, twiddles, .. } in self.steps.iter().rev() {
            let rows = x.shape().num_elements() / (2 * kept * len);
            x = match twiddles {
                Some([cosine, sine]) => {
                    let y = turned(x.reshape([rows, *kept, 2, *len]), cosine.clone(), sine.clone());
                    let y = back.clone().unsqueeze::<3>().matmul(y.reshape([rows, 2 * kept, *len]));
                    y.reshape([rows, 1, 1, back.dims()[0] * len])
                }
                None => {
                    let y = x.reshape([rows, 2 * kept]).matmul(back.clone().transpose());
                    y.reshape([rows, 1, 1, back.dims()[0]])
                }
            };
        }
        x.reshape([signals, self.length])
    }
}

/// `y_t = Σ_{s ≤ t} h_{t−s} x_s` in each channel.
///
/// # Shapes
/// - `x`, output: `[n, channels, tokens]`
/// - `filter`: `[channels, tokens]`
pub(super) fn causal_convolution(x: Tensor<3>, filter: Tensor<2>) -> Tensor<3> {
    let [n, channels, tokens] = x.dims();
    let transform = Transform::new(padded(tokens), &x);
    let x = transform.forward(x.reshape([n * channels, tokens]));
    let [_, numbers, _, last] = x.dims();
    let filter = transform.forward(filter).reshape([1, channels * numbers, 2, last]);
    let y = product(x.reshape([n, channels * numbers, 2, last]), filter);
    let y = transform.back(y.reshape([n * channels, numbers, 2, last]));
    y.narrow(1, 0, tokens).reshape([n, channels, tokens])
}

/// `z_k = Σ_j x_j y_{(k − j) mod d}` in each row.
///
/// # Shapes
/// - `x`, `y`, output: `[n, d]`
pub(super) fn circular_convolution(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    let numbers = x.dims()[1];
    let transform = Transform::new(circular_length(numbers), &x);
    let z = transform.back(product(transform.forward(x), transform.forward(y)));
    if transform.length == numbers {
        return z;
    }
    // What came out behind the end goes round to the beginning.
    z.clone().narrow(1, 0, numbers) + z.narrow(1, numbers, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, gradients, numbers, wave};
    use burn::module::Module;
    use burn::module::Param;
    use burn::tensor::{DType, Device};

    /// The sums as they are written.
    fn direct(x: &[f64], filter: &[f64], channels: usize, tokens: usize) -> Vec<f64> {
        let at = |index: usize| {
            let (row, t) = (index / tokens, index % tokens);
            let filter = &filter[row % channels * tokens..][..tokens];
            (0..=t).map(|s| filter[t - s] * x[row * tokens + s]).sum()
        };
        (0..x.len()).map(at).collect()
    }

    #[test]
    fn a_convolution_is_the_direct_sum() {
        let device = Device::flex();
        // One, two and three steps; lengths just below, at and above powers of two.
        for tokens in [1, 2, 3, 5, 16, 17, 33, 100, 512, 700] {
            let (x, filter) = (wave([2, 3, tokens], 0.7, &device), wave([3, tokens], 1.1, &device));
            let wanted = direct(&numbers(x.clone()), &numbers(filter.clone()), 3, tokens);
            close(&numbers(causal_convolution(x.clone(), filter.clone())), &wanted, 1e-12);
            let single = causal_convolution(x.cast(DType::F32), filter.cast(DType::F32));
            // Rounding grows with the logarithm of the length, relative to the norms' product, √(tokens / 2)².
            close(&numbers(single), &wanted, 1e-6 * tokens as f64);
        }
    }

    #[test]
    fn a_circular_convolution_is_the_direct_sum_at_any_length() {
        let device = Device::flex();
        // Powers of two, which need no zeros, and what lies just below and above; primes and squares.
        for length in [1, 2, 3, 4, 7, 12, 16, 17, 31, 33, 49, 64, 100, 128, 600] {
            let (x, y) = (wave::<2>([3, length], 0.7, &device), wave::<2>([3, length], 1.1, &device));
            let (first, second) = (numbers(x.clone()), numbers(y.clone()));
            let at = |index: usize| {
                let (row, k) = (index / length * length, index % length);
                (0..length).map(|j| first[row + j] * second[row + (k + length - j) % length]).sum()
            };
            let wanted: Vec<f64> = (0..3 * length).map(at).collect();
            close(&numbers(circular_convolution(x.clone(), y.clone())), &wanted, 1e-12);
            let single = circular_convolution(x.cast(DType::F32), y.cast(DType::F32));
            // Relative to the product of the norms, length / 2.
            close(&numbers(single), &wanted, 1e-6 * length as f64);
        }
    }

    #[test]
    fn a_spectrum_is_the_discrete_fourier_transform() {
        let device = Device::flex();
        for length in [2, 8, 64, 2048] {
            let x = wave::<2>([1, length], 0.7, &device);
            let transform = Transform::new(length, &x);
            let spectrum = transform.forward(x.clone());
            let [_, rows, _, last] = spectrum.dims();
            let got = numbers(spectrum);
            let signal = numbers(x.clone());
            for index in [0, 1, rows * last / 2, rows * last - 1] {
                // Which frequency an entry is: its digits, the first step's least.
                let (mut rest, mut frequency, mut place) = (index, 0, rows * last);
                let mut factor = 1;
                for step in &transform.steps {
                    place /= step.kept;
                    frequency += rest / place * factor;
                    rest %= place;
                    factor *= step.radix;
                }
                let angle = |n: usize| TAU * (n * frequency % length) as f64 / length as f64;
                let sum =
                    |part: fn(f64) -> f64| signal.iter().enumerate().map(|(n, x)| x * part(angle(n))).sum::<f64>();
                let at = |part: usize| got[index / last * 2 * last + part * last + index % last];
                close(&[at(0), at(1)], &[sum(f64::cos), -sum(f64::sin)], 1e-12);
            }
            close(&numbers(transform.back(transform.forward(x))), &signal, 1e-13);
        }
    }

    #[test]
    fn steps_are_of_32_at_most() {
        assert_eq!(radices(1), [1]);
        assert_eq!(radices(32), [32]);
        assert_eq!(radices(64), [8, 8]);
        assert_eq!(radices(8192), [32, 16, 16]);
        assert_eq!(radices(32768), [32, 32, 32]);
        assert!((0..24).all(|bits| radices(1 << bits).iter().product::<usize>() == 1 << bits));
    }

    #[test]
    fn multiply_adds_are_almost_linear() {
        // By hand for 512 tokens, a length of 1024 in two steps of 32: 34 · 1024 + 128 · 17 · 32 each way, 4 · 17 · 32
        // between.
        assert_eq!(multiply_adds(512), 2 * (34 * 1024 + 128 * 17 * 32) + 4 * 17 * 32);
        // A thousand times the tokens in four steps: the first, of real numbers, costs half of each other one.
        let each = |tokens: usize| multiply_adds(tokens) as f64 / tokens as f64;
        assert!(each(1 << 19) < 3.5 / 1.5 * each(1 << 9), "{} and {}", each(1 << 19), each(1 << 9));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        #[derive(Module, Debug)]
        struct Filter {
            weight: Param<Tensor<2>>,
        }
        let device = Device::flex().autodiff();
        let around = Filter { weight: Param::from_tensor(wave([2, 15], 1.1, &device)) };
        gradients(around, wave([2, 15], 0.7, &device), |around, x| circular_convolution(x, around.weight.val()));
        let filter = Filter { weight: Param::from_tensor(wave([3, 20], 1.1, &device)) };
        gradients(filter, wave([2, 3, 20], 0.7, &device), |filter, x| causal_convolution(x, filter.weight.val()));
    }
}
