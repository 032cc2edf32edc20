//! Signed square root, then unit length: how bilinear pooling keeps few large products from drowning the others
//! (Perronnin et al., ECCV 2010; for two modalities Fukui et al., arXiv 1606.01847).
//!
//! Both are infinitely steep at 0. The usual `√relu(z) − √relu(−z)` has the gradient ∞ · 0 there, which is NaN. Here
//! numbers smaller than [`SMALLEST`] go through a straight line that passes through 0; all others keep their exact
//! root.

use crate::hadamard::audit::{Signal, Trace};
use burn::tensor::Tensor;

/// Where the guards begin, for `|z|` and for squared lengths: from here on both functions are exact. Below, a root is
/// off by at most `√SMALLEST / 4` and its slope is `1 / √SMALLEST`, 10⁴.
pub const SMALLEST: f64 = 1e-8;

/// `sign(z) √|z|`, each number alone; 0 at 0.
pub fn signed_root<const D: usize>(z: Tensor<D>) -> Tensor<D> {
    root_from(z, SMALLEST)
}

fn root_from<const D: usize>(z: Tensor<D>, smallest: f64) -> Tensor<D> {
    let size = z.clone().abs().clamp_min(smallest);
    z / size.sqrt()
}

/// `v / ‖v‖` along the last axis; zeros stay zeros.
pub fn unit_length<const D: usize>(v: Tensor<D>) -> Tensor<D> {
    unit_length_from(v, SMALLEST)
}

fn unit_length_from<const D: usize>(v: Tensor<D>, smallest: f64) -> Tensor<D> {
    let squared = v.clone().square().sum_dim(D - 1).clamp_min(smallest);
    v / squared.sqrt()
}

/// One after the other, along the last axis.
///
/// # Shapes
/// - `z`, output: `[.., numbers]`
pub fn signed_root_of_unit_length<const D: usize>(z: Tensor<D>) -> Tensor<D> {
    unit_length(signed_root(z))
}

/// What [`signed_root_of_unit_length`] says of itself.
pub fn describe(trace: &mut Trace, z: &Signal) -> Signal {
    let root = trace.activation("signed_root", 0, z);
    trace.normalise("unit_length", 0, &root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, doubles, gradients, numbers, wave};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    fn identity(width: usize, device: &Device) -> Linear {
        let mut linear = LinearConfig::new(width, width).with_bias(false).init(device);
        linear.weight = linear.weight.map(|weight| Tensor::eye(weight.dims()[0], &weight.device()).require_grad());
        linear
    }

    #[test]
    fn roots_keep_their_sign_and_rows_have_length_1() {
        let z = doubles(vec![4.0, -9.0, 0.0, 0.25, -1e-4, 1e-8], [2, 3], &Device::flex());
        close(&numbers(signed_root(z.clone())), &[2.0, -3.0, 0.0, 0.5, -1e-2, 1e-4], 1e-14);
        let lengths = signed_root_of_unit_length(z.clone()).square().sum_dim(1);
        close(&numbers(lengths), &[1.0, 1.0], 1e-14);
        // √4 / √(4 + 9), -√9 / √13
        let first = numbers(signed_root_of_unit_length(z));
        close(&first[..3], &[2.0 / 13f64.sqrt(), -3.0 / 13f64.sqrt(), 0.0], 1e-14);
    }

    #[test]
    fn a_row_of_zeros_stays_zero_and_has_a_finite_gradient() {
        let device = Device::flex().autodiff();
        let z = doubles(vec![0.0, 0.0, 0.0, 1.0, 0.0, -4.0], [2, 3], &device).require_grad();
        let out = signed_root_of_unit_length(z.clone());
        close(&numbers(out.clone())[..3], &[0.0; 3], 0.0);
        let gradient = numbers(z.grad(&(out * wave([2, 3], 0.4, &device)).sum().backward()).expect("takes part"));
        // Two straight lines: 1 / √SMALLEST each.
        let wanted: Vec<f64> =
            numbers(wave::<2>([1, 3], 0.4, &device)).iter().map(|weight| weight / SMALLEST).collect();
        let relative = |numbers: &[f64]| numbers.iter().map(|x| x * SMALLEST).collect::<Vec<_>>();
        close(&relative(&gradient[..3]), &relative(&wanted), 1e-12);
        assert!(gradient.iter().all(|x| x.is_finite()), "{gradient:?}");
    }

    #[test]
    fn the_slope_at_exactly_0_is_that_of_differences() {
        // The line must be wider than the step of the differences, 1e-5.
        let device = Device::flex().autodiff();
        let z = doubles(vec![0.0, 0.7, -0.3, 0.0, 0.0, 0.0], [2, 3], &device);
        gradients(identity(3, &device), z.clone(), |linear, z| root_from(linear.forward(z), 1e-3));
        gradients(identity(3, &device), z, |linear, z| unit_length_from(linear.forward(z), 1e-3));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let z = wave([3, 4], 0.7, &device);
        gradients(identity(4, &device), z, |linear, z| signed_root_of_unit_length(linear.forward(z)));
    }
}
