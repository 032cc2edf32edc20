//! All hidden states of a linear recurrence by an associative scan (Blelloch, Prefix sums and their applications, 1990; in
//! the doubling form of Hillis and Steele, Data parallel algorithms, 1986).
//!
//! The maps `h → a h + b` compose as pairs: `(a, b)∘(a', b') = (aa', a'b + b')`, first the left one. Step number k joins each
//! pair with that 2^k places before it, so that ⌈log₂ T⌉ steps join all. Unlike sums of logarithms, it takes coefficients
//! of any sign and zero, and never divides by a product of them, which is gone (or infinite) where the memory has decayed.

use burn::tensor::Tensor;

/// `h_t = a_t ∘ h_{t−1} + b_t` for all t along an axis; `h_0` is `initial`, or zero.
///
/// Work grows as `T log T`, the depth of the computation as `log T`.
///
/// # Shapes
/// - `b`, output: any; at least one place along `axis`
/// - `a`: the same, or 1 on axes other than `axis` where it is to be repeated
/// - `initial`: that of `b` with 1 on `axis`
pub fn scan<const D: usize>(a: Tensor<D>, b: Tensor<D>, axis: usize, initial: Option<Tensor<D>>) -> Tensor<D> {
    let length = b.dims()[axis];
    let part = |x: &Tensor<D>, start, length| x.clone().narrow(axis, start, length);
    let (mut a, mut b) = (a, b);
    if let Some(initial) = initial {
        let first = part(&a, 0, 1) * initial + part(&b, 0, 1);
        b = if length == 1 { first } else { Tensor::cat(vec![first, part(&b, 1, length - 1)], axis) };
    }
    let mut shift = 1;
    while shift < length {
        let rest = length - shift;
        let joined = part(&a, shift, rest) * part(&b, 0, rest) + part(&b, shift, rest);
        b = Tensor::cat(vec![part(&b, 0, shift), joined], axis);
        let joined = part(&a, shift, rest) * part(&a, 0, rest);
        a = Tensor::cat(vec![part(&a, 0, shift), joined], axis);
        shift *= 2;
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, doubles, gradients, numbers, wave};
    use burn::module::{Module, Param};
    use burn::tensor::{DType, Device};

    /// Token by token, for `[n, tokens, features]`.
    fn by_loop(a: Tensor<3>, b: Tensor<3>, initial: Option<Tensor<3>>) -> Tensor<3> {
        let mut h = initial.unwrap_or_else(|| b.clone().narrow(1, 0, 1).zeros_like());
        let mut all = Vec::new();
        for token in 0..b.dims()[1] {
            h = a.clone().narrow(1, token, 1) * h + b.clone().narrow(1, token, 1);
            all.push(h.clone());
        }
        Tensor::cat(all, 1)
    }

    #[test]
    fn any_length_gives_what_the_loop_gives() {
        let device = Device::flex();
        for length in [1, 2, 3, 4, 5, 7, 8, 9, 31, 100] {
            // Between -1.2 and 1.2, of both signs.
            let a = wave([2, length, 3], 1.3, &device).mul_scalar(1.2);
            let b = wave([2, length, 3], 0.7, &device);
            let initial = wave([2, 1, 3], 2.1, &device);
            let got = scan(a.clone(), b.clone(), 1, Some(initial.clone()));
            close(&numbers(got), &numbers(by_loop(a.clone(), b.clone(), Some(initial))), 1e-12);
            close(&numbers(scan(a.clone(), b.clone(), 1, None)), &numbers(by_loop(a, b, None)), 1e-12);
        }
    }

    #[test]
    fn pairs_compose_by_hand() {
        let device = Device::flex();
        let a = doubles(vec![2.0, -1.0, 0.0, 3.0], [4], &device);
        let b = doubles(vec![1.0, 2.0, 5.0, -1.0], [4], &device);
        let initial = doubles(vec![10.0], [1], &device);
        // 2·10 + 1, -21 + 2, 0 + 5, 3·5 - 1
        assert_eq!(numbers(scan(a, b, 0, Some(initial))), [21.0, -19.0, 5.0, 14.0]);
    }

    #[test]
    fn a_coefficient_may_be_repeated_over_other_axes() {
        let device = Device::flex();
        let (a, b) = (wave([2, 6, 1], 1.3, &device), wave([2, 6, 3], 0.7, &device));
        let repeated = scan(a.clone().expand([2, 6, 3]), b.clone(), 1, None);
        close(&numbers(scan(a, b, 1, None)), &numbers(repeated), 1e-15);
    }

    #[test]
    fn memory_that_decays_below_single_precision_is_no_trouble() {
        // The product of 100 coefficients is 1e-300: its inverse overflows in single precision.
        let device = Device::flex();
        let a = doubles(vec![1e-3; 100], [1, 100, 1], &device);
        let b = wave([1, 100, 1], 0.3, &device);
        let single = scan(a.clone().cast(DType::F32), b.clone().cast(DType::F32), 1, None);
        close(&numbers(single), &numbers(by_loop(a, b, None)), 1e-6);
    }

    #[derive(Module, Debug)]
    struct Scan {
        a: Param<Tensor<3>>,
        initial: Param<Tensor<3>>,
    }

    #[test]
    fn gradients_are_those_of_differences_also_where_a_is_zero() {
        let device = Device::flex().autodiff();
        let zero_in_the_middle = wave([2, 7, 3], 1.3, &device).slice_fill([0..2, 3..4, 0..3], 0.0);
        let scan_of = Scan {
            a: Param::from_tensor(zero_in_the_middle),
            initial: Param::from_tensor(wave([2, 1, 3], 0.4, &device)),
        };
        gradients(scan_of, wave([2, 7, 3], 0.9, &device), |pair, b| scan(pair.a.val(), b, 1, Some(pair.initial.val())));
    }
}
