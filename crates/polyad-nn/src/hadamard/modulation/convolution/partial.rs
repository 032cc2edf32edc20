//! Partial convolution: a convolution of the pixels that are known, and which pixels are known after it (Liu et al.,
//! Image Inpainting for Irregular Holes Using Partial Convolutions, arXiv 1804.07723).
//!
//! The zeros around a picture count as unknown, as the paper has it: where all is known this is a plain convolution
//! inside, while at the border sums are scaled up, for 3 × 3 by 1.5 along edges and 2.25 in corners. Counts are whole
//! numbers, so that no ε is needed beside them; public code adds one which half precision loses.

use super::Geometry;
use crate::error::Result;
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};

/// How a [`PartialConv`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialConvConfig {
    /// Of input and output.
    pub channels: [usize; 2],
    /// Side of the kernel, odd.
    pub kernel: usize,
    /// Between windows.
    pub stride: usize,
    /// Between a window's pixels.
    pub dilation: usize,
    /// Whether a bias is added where something is known.
    pub bias: bool,
}

/// In each window `y = W (x ∘ m) · K / Σm + b` and `m′ = 1` where `Σm > 0`, elsewhere both 0.
///
/// m is 1 where x is known. K is how many numbers of m a window holds: k² for a mask of one channel, k² · channels
/// for one that says it of each channel.
#[derive(Module, Debug)]
pub struct PartialConv {
    /// W, `[out, in, k, k]`.
    pub conv: Conv2d,
    /// b, `[out]`; outside the ratio.
    pub bias: Option<Param<Tensor<1>>>,
}

impl PartialConvConfig {
    /// Stride and dilation 1, with bias.
    pub fn new(channels: [usize; 2], kernel: usize) -> Self {
        PartialConvConfig { channels, kernel, stride: 1, dilation: 1, bias: true }
    }

    /// Makes the layer, its weights as He et al. (arXiv 1502.01852) draw them for a ReLU behind, its biases 0. Sizes
    /// of zero and even kernels are refused.
    pub fn init(&self, device: &Device) -> Result<PartialConv> {
        let PartialConvConfig { channels, kernel, stride, dilation, bias } = *self;
        let config = Geometry { channels, kernel, stride, dilation }.config("partial convolution")?;
        let initializer = Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false };
        let bias = bias.then(|| Initializer::Zeros.init([channels[1]], device));
        Ok(PartialConv { conv: config.with_bias(false).with_initializer(initializer).init(device), bias })
    }
}

impl PartialConv {
    /// What x holds where it is unknown does not matter, as long as it is finite.
    ///
    /// # Shapes
    /// - x: `[n, in, height, width]`
    /// - mask: `[n, 1, height, width]` or `[n, in, height, width]`, of zeros and ones
    /// - outputs: `[n, out, height / stride, width / stride]` (rounded up), and `[n, 1, …]` of zeros and ones
    pub fn forward(&self, x: Tensor<4>, mask: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [_, channels, _, _] = mask.dims();
        let [_, _, rows, columns] = self.conv.weight.dims();
        let all_ones = Tensor::ones([1, channels, rows, columns], (&mask.device(), mask.dtype()));
        let counts = self.convolve(mask.clone(), all_ones);
        let known = counts.clone().clamp_max(1.0);
        let window = (channels * rows * columns) as f64;
        let ratio = counts.clamp_min(1.0).recip().mul_scalar(window) * known.clone();
        let y = self.convolve(x * mask, self.conv.weight.val()) * ratio;
        let y = match &self.bias {
            Some(bias) => y + bias.val().reshape([1, -1, 1, 1]) * known.clone(),
            None => y,
        };
        (y, known)
    }

    fn convolve(&self, x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
        let Conv2d { stride, dilation, .. } = self.conv;
        let padding = match self.conv.padding {
            PaddingConfig2d::Explicit(top, left, _, _) => [top, left],
            _ => [0, 0],
        };
        conv2d(x, weight, None, ConvOptions::new(stride, padding, dilation, 1))
    }

    /// A picture and its mask to a map and its mask. The mask counts as something that depends on the input.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, mask: &Signal) -> (Signal, Signal) {
        let [outputs, _, rows, columns] = self.conv.weight.dims();
        let x = trace.product("masked", x, mask);
        let y = trace.conv2d("conv", &self.conv, &x);
        let pixels = y.elements() / outputs;
        let shape = [1, y.shape()[1], y.shape()[2]];
        let counts = trace.map("counts", 0, mask.shape()[0] * rows * columns * pixels, &[mask], &shape);
        let known = trace.select("known", &counts, &shape);
        let ratio = trace.normalise("ratio", 0, &counts);
        let ratio = trace.product("where known", &ratio, &known);
        let y = trace.product("scaled", &y, &ratio);
        let y = match &self.bias {
            Some(bias) => {
                let bias = trace.scale("bias", bias.shape().num_elements(), &known);
                trace.sum("biased", &y, &bias)
            }
            None => y,
        };
        (y, known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };
    use burn::tensor::DType;

    fn layer(channels: [usize; 2], kernel: usize) -> PartialConv {
        golden(PartialConvConfig::new(channels, kernel).init(&Device::flex()).expect("sizes"))
    }

    fn holes<const D: usize>(shape: [usize; D], scale: f64, device: &Device) -> Tensor<D> {
        wave(shape, scale, device).greater_scalar(0.0).float().cast(DType::F64)
    }

    /// The equation, pixel by pixel, at stride 1 and dilation 1.
    fn by_hand(layer: &PartialConv, x: &Tensor<4>, mask: &Tensor<4>) -> (Vec<f64>, Vec<f64>) {
        let [samples, inputs, height, width] = x.dims();
        let [outputs, _, kernel, _] = layer.conv.weight.dims();
        let channels = mask.dims()[1];
        let (x, mask, weight) = (numbers(x.clone()), numbers(mask.clone()), numbers(layer.conv.weight.val()));
        let bias = layer.bias.as_ref().map(|bias| numbers(bias.val()));
        let at = |sample, channel, row, column, of| ((sample * of + channel) * height + row) * width + column;
        let (mut y, mut known) = (Vec::new(), Vec::new());
        for sample in 0..samples {
            for output in 0..outputs {
                for place in 0..height * width {
                    let (mut sum, mut count) = (0.0, 0.0);
                    for tap in 0..inputs * kernel * kernel {
                        let (input, tap_row, tap_column) = (tap / kernel / kernel, tap / kernel % kernel, tap % kernel);
                        let row = (place / width + tap_row).wrapping_sub(kernel / 2);
                        let column = (place % width + tap_column).wrapping_sub(kernel / 2);
                        if row < height && column < width {
                            let m = mask[at(sample, input.min(channels - 1), row, column, channels)];
                            sum += weight[output * inputs * kernel * kernel + tap]
                                * x[at(sample, input, row, column, inputs)]
                                * m;
                            count += if input < channels { m } else { 0.0 };
                        }
                    }
                    let ratio = (kernel * kernel * channels) as f64 / count;
                    let value = sum * ratio + bias.as_ref().map_or(0.0, |bias| bias[output]);
                    y.push(if count > 0.0 { value } else { 0.0 });
                    if output == 0 {
                        known.push(if count > 0.0 { 1.0 } else { 0.0 });
                    }
                }
            }
        }
        (y, known)
    }

    #[test]
    fn it_is_its_equation_for_masks_of_one_channel_and_of_all() {
        let device = Device::flex();
        for (kernel, mask_channels, size) in [(3, 1, [5, 7]), (3, 3, [5, 7]), (5, 1, [4, 9]), (1, 3, [3, 2])] {
            let layer = layer([3, 2], kernel);
            let x = wave([2, 3, size[0], size[1]], 0.7, &device);
            let mask = holes([2, mask_channels, size[0], size[1]], 2.9, &device);
            let (wanted, wanted_known) = by_hand(&layer, &x, &mask);
            let (y, known) = layer.forward(x, mask);
            close(&numbers(y), &wanted, 1e-12);
            assert_eq!(numbers(known), wanted_known);
        }
    }

    #[test]
    fn where_all_is_known_it_is_a_convolution_inside_and_scaled_at_the_border() {
        let device = Device::flex();
        let layer = layer([2, 3], 3);
        let x = wave([1, 2, 4, 5], 0.7, &device);
        let (y, known) = layer.forward(x.clone(), Tensor::ones([1, 1, 4, 5], (&device, DType::F64)));
        assert!(numbers(known).iter().all(|m| *m == 1.0));
        let bias = numbers(layer.bias.as_ref().expect("a bias").val());
        let plain = numbers(layer.conv.forward(x));
        let wanted = plain.iter().enumerate().map(|(i, y)| {
            let (row, column) = (i / 5 % 4, i % 5);
            let edges = i32::from(row == 0 || row == 3) + i32::from(column == 0 || column == 4);
            y * 1.5f64.powi(edges) + bias[i / 20]
        });
        close(&numbers(y), &wanted.collect::<Vec<_>>(), 1e-12);
    }

    #[test]
    fn what_a_hole_holds_does_not_matter() {
        let device = Device::flex();
        let layer = layer([2, 3], 3);
        let mask = holes([2, 1, 6, 5], 1.7, &device);
        let x = wave([2, 2, 6, 5], 0.7, &device);
        let junk = wave([2, 2, 6, 5], 0.3, &device).mul_scalar(1e6) * mask.clone().neg().add_scalar(1.0);
        let (y, _) = layer.forward(x.clone(), mask.clone());
        let (other, _) = layer.forward(x.clone() * mask.clone() + junk, mask);
        assert_eq!(numbers(y), numbers(other));
    }

    #[test]
    fn where_nothing_is_known_all_is_zero_even_with_a_bias() {
        let device = Device::flex();
        let x = wave([1, 2, 3, 3], 0.7, &device);
        let (y, known) = layer([2, 1], 3).forward(x.clone(), x.zeros_like().narrow(1, 0, 1));
        assert_eq!((numbers(y), numbers(known)), (vec![0.0; 9], vec![0.0; 9]));
    }

    #[test]
    fn a_constant_of_which_little_is_known_stays_a_constant() {
        // With weights of 1 / (k² channels) the layer is the mean of what is known.
        let device = Device::flex();
        let mut layer = layer([2, 1], 3);
        layer.conv.weight = Param::from_tensor(Tensor::full([1, 2, 3, 3], 1.0 / 18.0, (&device, DType::F64)));
        layer.bias = None;
        let mask = holes([1, 1, 9, 8], 2.9, &device);
        let (y, known) = layer.forward(Tensor::full([1, 2, 9, 8], 7.0, (&device, DType::F64)), mask);
        close(&numbers(y), &numbers(known.mul_scalar(7.0)), 1e-12);
    }

    #[test]
    fn holes_of_reach_r_are_filled_after_r_over_half_a_kernel_layers() {
        let device = Device::flex();
        for (side, kernel, dilation) in [(1, 3, 1), (4, 3, 1), (7, 3, 1), (7, 5, 1), (10, 5, 1), (9, 7, 1), (5, 3, 2)] {
            let config = PartialConvConfig { dilation, ..PartialConvConfig::new([1, 1], kernel) };
            let layer = double(config.init(&device).expect("sizes"));
            let hole = |i: usize| (6..6 + side).contains(&(i / 24)) && (6..6 + side).contains(&(i % 24));
            let mask = (0..24 * 24).map(|i| if hole(i) { 0.0 } else { 1.0 }).collect();
            let mut mask = doubles(mask, [1, 1, 24, 24], &device);
            let mut x = mask.clone();
            let layers = usize::div_ceil(usize::div_ceil(side, 2), dilation * (kernel / 2));
            for index in 0..layers {
                assert!(
                    numbers(mask.clone()).contains(&0.0),
                    "side {side}, kernel {kernel}: full before layer {index}"
                );
                (x, mask) = layer.forward(x, mask);
            }
            assert!(!numbers(mask).contains(&0.0), "side {side}, kernel {kernel}: holes after {layers} layers");
        }
    }

    #[test]
    fn with_a_stride_it_is_every_so_manieth_window() {
        let device = Device::flex();
        let dense = layer([2, 3], 3);
        let config = PartialConvConfig { stride: 2, ..PartialConvConfig::new([2, 3], 3) };
        let strided = golden(config.init(&device).expect("sizes"));
        let (x, mask) = (wave([1, 2, 7, 6], 0.7, &device), holes([1, 2, 7, 6], 2.9, &device));
        let (wanted, wanted_mask) = dense.forward(x.clone(), mask.clone());
        let (y, known) = strided.forward(x, mask);
        assert_eq!((y.dims(), known.dims()), ([1, 3, 4, 3], [1, 1, 4, 3]));
        let rows = Tensor::from_data([0, 2, 4, 6], &device);
        let columns = Tensor::from_data([0, 2, 4], &device);
        let pick = |y: Tensor<4>| numbers(y.select(2, rows.clone()).select(3, columns.clone()));
        close(&numbers(y), &pick(wanted), 1e-12);
        assert_eq!(numbers(known), pick(wanted_mask));
    }

    #[test]
    fn gradients_are_those_of_differences_and_none_reach_into_holes() {
        let device = Device::flex().autodiff();
        let layer = double(PartialConvConfig::new([2, 3], 3).init(&device).expect("sizes"));
        let mask = holes([2, 1, 5, 4], 2.9, &device);
        let x = wave([2, 2, 5, 4], 0.9, &device);
        gradients(layer.clone(), x.clone(), |layer, x| layer.forward(x, mask.clone()).0);
        let x = x.require_grad();
        let grads = layer.forward(x.clone(), mask.clone()).0.sum().backward();
        let hole = mask.neg().add_scalar(1.0);
        assert!(numbers(x.grad(&grads).expect("takes part") * hole.inner()).iter().all(|g| *g == 0.0));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = PartialConvConfig { stride: 2, ..PartialConvConfig::new([3, 4], 3) };
        let layer = layer.init(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, mask) = (trace.input(&[3, 9, 6]), trace.input(&[1, 9, 6]));
        let (y, known) = layer.describe(&mut trace, &x, &mask);
        assert_eq!((y.shape(), known.shape()), (&[4, 5, 3][..], &[1, 5, 3][..]));
        let audit = trace.audit(&y);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!(audit.parameters, 4 * 3 * 9 + 4);
        assert_eq!(audit.multiply_adds, (4 * 3 * 9 + 9) * 15);
        assert!(audit.activation_free && !audit.polynomial_at_inference);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || PartialConvConfig::new([2, 3], 3).init(&device).expect("sizes");
        let ones = Tensor::<4>::ones([1, 2, 4, 4], &device);
        saves_and_loads(make(), make(), |layer| layer.forward(ones.clone(), ones.clone()).0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |config: PartialConvConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        let even = refused(PartialConvConfig::new([1, 1], 4));
        assert_eq!(even, "partial convolution: kernel is 4, and even kernels have no middle");
        assert_eq!(refused(PartialConvConfig::new([1, 0], 3)), "partial convolution: outputs is 0");
        let flat = PartialConvConfig { dilation: 0, ..PartialConvConfig::new([1, 1], 3) };
        assert_eq!(refused(flat), "partial convolution: dilation is 0");
    }
}
