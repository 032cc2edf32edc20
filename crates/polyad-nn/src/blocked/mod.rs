//! Image networks in blocked layout: channels by 16, innermost, so that a vector is 16 channels of a pixel.
//!
//! Tensors are `[n, channels / 16, height, width, 16]`. On the processor (`Flex`) the operations are kernels of our own,
//! forward and backward; on other devices the same functions are composed of Burn's operations, which are also the
//! definition that the kernels are tested against.

mod convolution;
mod norm;
mod ops;
mod tiles;

use crate::has_kernels;
use crate::norm::BatchNorm;
use burn::backend::Dispatch;
use burn::tensor::{Tensor, module, ops::ConvOptions};
use ops::{BlockedOps, NormOptions, Stride};
use polyad_simd::LANES;

/// What convolutions multiply where gradients are on; sums are in single precision either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    Single,
    /// Numbers rounded to bfloat16, 8 bits: in tiles (AMX) or pairs (AVX-512 BF16) where the processor has them, in plain
    /// code, slowly, elsewhere.
    Bfloat16,
}

fn from_planar(x: Tensor<4>) -> Tensor<5> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c / LANES, LANES, h, w]).permute([0, 1, 3, 4, 2])
}

fn to_planar(x: Tensor<5>) -> Tensor<4> {
    let [n, blocks, h, w, lanes] = x.dims();
    x.permute([0, 1, 4, 2, 3]).reshape([n, blocks * lanes, h, w])
}

fn options(stride: usize, padding: usize) -> ConvOptions<2> {
    ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1)
}

/// A convolution of planar images with at most 16 channels, such as pictures, into blocked layout; no bias.
///
/// # Shapes
///
/// - `x`: `[n, in, height, width]`, `in` at most 16
/// - `weight`: `[out, in, kernel, kernel]`, `out` a multiple of 16
/// - output: `[n, out / 16, (height + 2 padding − kernel) / stride + 1, …, 16]`
pub fn stem(x: Tensor<4>, weight: Tensor<4>, stride: usize, padding: usize) -> Tensor<5> {
    if has_kernels(&x.device()) {
        let how = Stride { stride, padding, precision: Precision::Single };
        Tensor::from_dispatch(Dispatch::blocked_conv(x.into_dispatch(), weight.into_dispatch(), how))
    } else {
        from_planar(module::conv2d(x, weight, None, options(stride, padding)))
    }
}

/// A convolution in blocked layout, no bias. `precision` holds where gradients are on.
///
/// # Shapes
///
/// - `x`: `[n, in / 16, height, width, 16]`
/// - `weight`: `[out, in, kernel, kernel]`, `in` and `out` multiples of 16
/// - output: `[n, out / 16, (height + 2 padding − kernel) / stride + 1, …, 16]`
pub fn conv2d(x: Tensor<5>, weight: Tensor<4>, stride: usize, padding: usize, precision: Precision) -> Tensor<5> {
    if has_kernels(&x.device()) {
        let precision = if x.device().is_autodiff() { precision } else { Precision::Single };
        let how = Stride { stride, padding, precision };
        Tensor::from_dispatch(Dispatch::blocked_conv(x.into_dispatch(), weight.into_dispatch(), how))
    } else {
        from_planar(module::conv2d(to_planar(x), weight, None, options(stride, padding)))
    }
}

/// `act(norm(x) + residual)`, batch normalisation as [`BatchNorm::forward`] does it: with batch statistics, and running
/// ones updated, where gradients are on and the layer trains; with running ones otherwise.
///
/// # Shapes
///
/// - `x`, `residual`, output: `[n, channels / 16, height, width, 16]`
pub fn norm(norm: &BatchNorm, x: Tensor<5>, residual: Option<Tensor<5>>, relu: bool) -> Tensor<5> {
    let device = x.device();
    let [n, _, h, w, _] = x.dims();
    let numbers = n * h * w;
    let trains = device.is_autodiff() && norm.training.is_enabled() && numbers > 1;
    if !has_kernels(&device) || (device.is_autodiff() && !trains) {
        return composed_norm(norm, x, residual, relu);
    }
    let none = || Tensor::<1>::empty([0], &device);
    let residual = match residual {
        Some(r) => r.into_dispatch(),
        None => none().into_dispatch(),
    };
    if !trains {
        let scale = norm.gamma.val() / (norm.running_var.value_sync() + norm.epsilon).sqrt();
        let shift = norm.beta.val() - norm.running_mean.value_sync() * scale.clone();
        let y =
            Dispatch::blocked_affine(x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch(), residual, relu);
        return Tensor::from_dispatch(y);
    }
    let options = NormOptions { relu, epsilon: norm.epsilon };
    let (gamma, beta) = (norm.gamma.val().into_dispatch(), norm.beta.val().into_dispatch());
    let (y, statistics) = Dispatch::blocked_norm(x.into_dispatch(), gamma, beta, residual, options);
    let statistics = Tensor::<2>::from_dispatch(statistics).detach();
    let [mean, variance] = [0, 1].map(|row| statistics.clone().narrow(0, row, 1).squeeze_dim::<1>(0));
    norm.remember_batch(mean, variance, numbers);
    Tensor::from_dispatch(y)
}

fn composed_norm(norm: &BatchNorm, x: Tensor<5>, residual: Option<Tensor<5>>, relu: bool) -> Tensor<5> {
    let y = from_planar(norm.forward(to_planar(x)));
    let y = match residual {
        Some(r) => y + r,
        None => y,
    };
    if relu { burn::tensor::activation::relu(y) } else { y }
}

/// The mean over pixels.
///
/// # Shapes
///
/// - `x`: `[n, channels / 16, height, width, 16]`
/// - output: `[n, channels]`
pub fn mean_pool(x: Tensor<5>) -> Tensor<2> {
    let [n, blocks, h, w, lanes] = x.dims();
    x.reshape([n, blocks, h * w, lanes]).mean_dim(2).reshape([n, blocks * lanes])
}

#[cfg(test)]
mod tests;
