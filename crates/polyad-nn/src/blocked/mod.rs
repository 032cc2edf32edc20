//! Image networks in blocked layout: channels by 16, innermost, so that a vector is 16 channels of a pixel.
//!
//! Tensors are `[n, ⌈channels / 16⌉, height, width, 16]`; channels beyond the last are zero. On the processor (`Flex`) the operations are kernels of our own,
//! forward and backward; on other devices the same functions are composed of Burn's operations, which are also the
//! definition that the kernels are tested against.

mod batched;
mod channelwise;
mod convolution;
mod norm;
mod ops;
mod tiles;

use crate::has_kernels;
use crate::norm::BatchNorm;
use burn::backend::Dispatch;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{Tensor, module};
use channelwise::{ChannelwiseOps, Slide};
use ops::{BlockedOps, NormOptions, Stride};
use polyad_simd::LANES;
pub use polyad_simd::conv::Cut;

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

/// Zeros around an image: rows, then pixels of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padding {
    /// Before the first.
    pub before: [usize; 2],
    /// Behind the last.
    pub after: [usize; 2],
}

impl Padding {
    /// No zeros.
    pub const NONE: Padding = Padding::even(0);

    /// As many on each side.
    pub const fn even(zeros: usize) -> Self {
        Padding { before: [zeros; 2], after: [zeros; 2] }
    }

    /// The most zeros on one side.
    pub fn most(&self) -> usize {
        self.before.into_iter().chain(self.after).max().unwrap_or(0)
    }

    /// The size of a padded image.
    pub fn around(&self, size: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| self.before[axis] + size[axis] + self.after[axis])
    }

    /// How many windows of a kernel fit into the padded image.
    ///
    /// # Panics
    /// Where the kernel is larger than that.
    pub fn windows(&self, size: [usize; 2], kernel: usize, stride: usize) -> [usize; 2] {
        self.around(size).map(|padded| {
            assert!(padded >= kernel, "a kernel of {kernel} does not fit into {padded} padded pixels");
            (padded - kernel) / stride + 1
        })
    }
}

fn from_planar(x: Tensor<4>) -> Tensor<5> {
    let [n, c, h, w] = x.dims();
    let blocks = c.div_ceil(LANES);
    let x = if c < blocks * LANES {
        Tensor::cat(vec![x.clone(), Tensor::zeros([n, blocks * LANES - c, h, w], &x.device())], 1)
    } else {
        x
    };
    x.reshape([n, blocks, LANES, h, w]).permute([0, 1, 3, 4, 2])
}

/// The channels that there are, `[n, channels, height, width]`.
///
/// # Shapes
/// - `x`: `[n, ⌈channels / 16⌉, height, width, 16]`
fn to_planar(x: Tensor<5>, channels: usize) -> Tensor<4> {
    let [n, blocks, h, w, lanes] = x.dims();
    let x = x.permute([0, 1, 4, 2, 3]).reshape([n, blocks * lanes, h, w]);
    if channels < blocks * lanes { x.narrow(1, 0, channels) } else { x }
}

/// The definition: Burn's convolution of a padded image.
fn composed_conv(x: Tensor<4>, weight: Tensor<4>, stride: usize, padding: Padding, groups: usize) -> Tensor<5> {
    let Padding { before: [top, left], after: [bottom, right] } = padding;
    let x = if padding == Padding::NONE { x } else { x.pad((left, right, top, bottom), PadMode::Constant(0.0)) };
    from_planar(module::conv2d(x, weight, None, ConvOptions::new([stride; 2], [0; 2], [1; 2], groups)))
}

/// A convolution of planar images with at most 16 channels, such as pictures, into blocked layout; no bias.
///
/// # Shapes
///
/// - `x`: `[n, in, height, width]`, `in` at most 16
/// - `weight`: `[out, in, kernel, kernel]`
/// - output: `[n, ⌈out / 16⌉, windows of the padded height, of the padded width, 16]`
pub fn stem(x: Tensor<4>, weight: Tensor<4>, stride: usize, padding: Padding) -> Tensor<5> {
    if has_kernels(&x.device()) {
        let how = Stride { stride, padding, precision: Precision::Single };
        Tensor::from_dispatch(Dispatch::blocked_conv(x.into_dispatch(), weight.into_dispatch(), how))
    } else {
        composed_conv(x, weight, stride, padding, 1)
    }
}

/// A convolution in blocked layout, no bias. `precision` holds where gradients are on.
///
/// # Shapes
///
/// - `x`: `[n, ⌈in / 16⌉, height, width, 16]`
/// - `weight`: `[out, in, kernel, kernel]`
/// - output: `[n, ⌈out / 16⌉, windows of the padded height, of the padded width, 16]`
pub fn conv2d(x: Tensor<5>, weight: Tensor<4>, stride: usize, padding: Padding, precision: Precision) -> Tensor<5> {
    if has_kernels(&x.device()) {
        let precision = if x.device().is_autodiff() { precision } else { Precision::Single };
        let how = Stride { stride, padding, precision };
        Tensor::from_dispatch(Dispatch::blocked_conv(x.into_dispatch(), weight.into_dispatch(), how))
    } else {
        let inputs = weight.dims()[1];
        composed_conv(to_planar(x, inputs), weight, stride, padding, 1)
    }
}

/// A convolution in which each channel has a kernel of its own; no bias.
///
/// # Shapes
///
/// - `x`: `[n, ⌈channels / 16⌉, height, width, 16]`
/// - `weight`: `[channels, 1, kernel, kernel]`
/// - output: `[n, ⌈channels / 16⌉, windows of the padded height, of the padded width, 16]`
pub fn depthwise(x: Tensor<5>, weight: Tensor<4>, stride: usize, padding: Padding) -> Tensor<5> {
    let [channels, _, kernel, _] = weight.dims();
    if has_kernels(&x.device()) {
        let how = Slide { kernel, stride, padding };
        Tensor::from_dispatch(Dispatch::blocked_depthwise(x.into_dispatch(), weight.into_dispatch(), how))
    } else {
        composed_conv(to_planar(x, channels), weight, stride, padding, channels)
    }
}

/// The greatest number of each window; padding takes no part. Where several are, the gradient goes to the first.
///
/// # Shapes
///
/// - `x`: `[n, blocks, height, width, 16]`
/// - output: `[n, blocks, windows of the padded height, of the padded width, 16]`
pub fn max_pool(x: Tensor<5>, kernel: usize, stride: usize, padding: usize) -> Tensor<5> {
    if has_kernels(&x.device()) {
        let how = Slide { kernel, stride, padding: Padding::even(padding) };
        Tensor::from_dispatch(Dispatch::blocked_max_pool(x.into_dispatch(), how))
    } else {
        let channels = x.dims()[1] * LANES;
        let pairs = [(padding, padding); 2];
        let options = burn::tensor::ops::MaxPoolOptions::new([kernel; 2]).with_stride([stride; 2]);
        from_planar(module::max_pool2d(to_planar(x, channels), options.with_padding_pairs(pairs)))
    }
}

/// `cut(norm(x) + residual)`, batch normalisation as [`BatchNorm::forward`] does it: with batch statistics, and running
/// ones updated, where gradients are on and the layer trains; with running ones otherwise.
///
/// # Shapes
///
/// - `x`, `residual`, output: `[n, ⌈channels / 16⌉, height, width, 16]`
pub fn norm(norm: &BatchNorm, x: Tensor<5>, residual: Option<Tensor<5>>, cut: Cut) -> Tensor<5> {
    let device = x.device();
    let [n, blocks, h, w, _] = x.dims();
    let numbers = n * h * w;
    let trains = device.is_autodiff() && norm.training.is_enabled() && numbers > 1;
    if !has_kernels(&device) || (device.is_autodiff() && !trains) {
        return composed_norm(norm, x, residual, cut);
    }
    let residual = match residual {
        Some(r) => r.into_dispatch(),
        None => Tensor::<1>::empty([0], &device).into_dispatch(),
    };
    // Channels that only fill a block stay zero.
    let fill = |channels: Tensor<1>| {
        let missing = blocks * LANES - channels.dims()[0];
        let zeros = (missing > 0).then(|| Tensor::zeros([missing], &device));
        Tensor::cat([channels].into_iter().chain(zeros).collect(), 0)
    };
    if !trains {
        let scale = norm.gamma.val() / (norm.running_var.value_sync() + norm.epsilon).sqrt();
        let shift = norm.beta.val() - norm.running_mean.value_sync() * scale.clone();
        let (scale, shift) = (fill(scale).into_dispatch(), fill(shift).into_dispatch());
        return Tensor::from_dispatch(Dispatch::blocked_affine(x.into_dispatch(), scale, shift, residual, cut));
    }
    let options = NormOptions { cut, epsilon: norm.epsilon };
    let channels = norm.gamma.dims()[0];
    let (gamma, beta) = (fill(norm.gamma.val()).into_dispatch(), fill(norm.beta.val()).into_dispatch());
    let (y, statistics) = Dispatch::blocked_norm(x.into_dispatch(), gamma, beta, residual, options);
    let statistics = Tensor::<2>::from_dispatch(statistics).detach().narrow(1, 0, channels);
    let [mean, variance] = [0, 1].map(|row| statistics.clone().narrow(0, row, 1).squeeze_dim::<1>(0));
    norm.remember_batch(mean, variance, numbers);
    Tensor::from_dispatch(y)
}

fn composed_norm(norm: &BatchNorm, x: Tensor<5>, residual: Option<Tensor<5>>, cut: Cut) -> Tensor<5> {
    let y = from_planar(norm.forward(to_planar(x, norm.gamma.dims()[0])));
    let y = match residual {
        Some(r) => y + r,
        None => y,
    };
    match (cut.low == f32::NEG_INFINITY, cut.high == f32::INFINITY) {
        (true, true) => y,
        (false, true) => y.clamp_min(cut.low),
        _ => y.clamp(cut.low, cut.high),
    }
}

/// A number added to each channel.
///
/// # Shapes
///
/// - `x`, output: `[n, ⌈channels / 16⌉, height, width, 16]`
/// - `bias`: `[channels]`
pub fn bias(x: Tensor<5>, bias: Tensor<1>) -> Tensor<5> {
    x + from_planar(bias.reshape([1, -1, 1, 1]))
}

/// The beginning of AlexNet and VGG: convolutions with bias and ReLU, of which those in `pooled` are followed by a pool of the
/// greatest, `pool` its kernel and stride. `zeros` says how many are around each one's input.
///
/// # Shapes
///
/// - `pictures`: `[n, in, height, width]`, `in` at most 16
/// - output: `[n, out, …]`, `out` of the last convolution
pub(crate) fn plain(
    convolutions: &[Conv2d],
    pictures: Tensor<4>,
    zeros: impl Fn(usize) -> usize,
    pooled: &[usize],
    pool: [usize; 2],
) -> Tensor<4> {
    let [first, rest @ ..] = convolutions else { return pictures };
    let finish = |index: usize, conv: &Conv2d, y: Tensor<5>| {
        let y = relu(if let Some(of_channel) = &conv.bias { bias(y, of_channel.val()) } else { y });
        if pooled.contains(&index) { max_pool(y, pool[0], pool[1], 0) } else { y }
    };
    let mut map = finish(0, first, stem(pictures, first.weight.val(), first.stride[0], Padding::even(zeros(0))));
    for (index, conv) in (1..).zip(rest) {
        let y = conv2d(map, conv.weight.val(), conv.stride[0], Padding::even(zeros(index)), Precision::Single);
        map = finish(index, conv, y);
    }
    let channels = convolutions[convolutions.len() - 1].weight.dims()[0];
    to_planar(map, channels)
}

/// The mean over pixels.
///
/// # Shapes
///
/// - `x`: `[n, blocks, height, width, 16]`
/// - output: `[n, 16 blocks]`
pub fn mean_pool(x: Tensor<5>) -> Tensor<2> {
    let [n, blocks, h, w, lanes] = x.dims();
    x.reshape([n, blocks, h * w, lanes]).mean_dim(2).reshape([n, blocks * lanes])
}

#[cfg(test)]
mod tests;
