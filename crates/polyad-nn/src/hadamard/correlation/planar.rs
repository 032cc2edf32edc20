//! What networks on planar pictures `[n, channels, height, width]` share: layer norm over the channels of each pixel
//! (Ba et al., arXiv 1607.06450), convolutions, means.

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};

/// How a [`ChannelNorm`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelNormConfig {
    /// Numbers of a pixel.
    pub channels: usize,
    /// Whether something is added after scaling.
    pub bias: bool,
    /// Added to the variance. 1e-6 in all networks here.
    pub epsilon: f64,
}

/// `y = gamma ∘ (x - mean) / sqrt(variance + epsilon) + beta`, mean and variance over the channels of each pixel.
#[derive(Module, Debug)]
pub struct ChannelNorm {
    /// `[channels]`, at first 1.
    pub gamma: Param<Tensor<1>>,
    /// `[channels]`, at first 0.
    pub beta: Option<Param<Tensor<1>>>,
    epsilon: f64,
}

impl ChannelNormConfig {
    /// With bias, and 1e-6 added to the variance.
    pub fn new(channels: usize) -> Self {
        ChannelNormConfig { channels, bias: true, epsilon: 1e-6 }
    }

    /// Makes the layer. Zero channels are refused.
    pub fn init(&self, device: &Device) -> Result<ChannelNorm> {
        nonzero("layer norm over channels", &[("channels", self.channels)])?;
        Ok(ChannelNorm {
            gamma: Initializer::Ones.init([self.channels], device),
            beta: self.bias.then(|| Initializer::Zeros.init([self.channels], device)),
            epsilon: self.epsilon,
        })
    }
}

impl ChannelNorm {
    /// # Shapes
    /// - input, output: `[n, channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let centred = x.clone() - x.mean_dim(1);
        let variance = centred.clone().square().mean_dim(1);
        let y = centred / variance.add_scalar(self.epsilon).sqrt() * per_channel(&self.gamma);
        match &self.beta {
            Some(beta) => y + per_channel(beta),
            None => y,
        }
    }

    /// In the words of `forward`.
    pub fn describe(&self, trace: &mut Trace, name: &str, x: &Signal) -> Signal {
        let beta = self.beta.as_ref().map_or(0, |beta| beta.shape().num_elements());
        trace.normalise(name, self.gamma.shape().num_elements() + beta, x)
    }
}

/// A number for each channel, as a picture of one pixel.
pub(super) fn per_channel(numbers: &Param<Tensor<1>>) -> Tensor<4> {
    numbers.val().reshape([1, -1, 1, 1])
}

/// The mean of each channel over all pixels, as a picture of one pixel.
pub(super) fn mean_pixel(x: Tensor<4>) -> Tensor<4> {
    x.mean_dim(3).mean_dim(2)
}

/// A square kernel. Where it is odd, zeros around the picture keep its size at stride 1; an even one cuts into patches.
pub(super) fn square(channels: [usize; 2], kernel: usize, dilation: usize) -> Conv2dConfig {
    let zeros = if kernel % 2 == 1 { kernel / 2 * dilation } else { 0 };
    Conv2dConfig::new(channels, [kernel; 2])
        .with_dilation([dilation; 2])
        .with_padding(PaddingConfig2d::Explicit(zeros, zeros, zeros, zeros))
}

/// The convolution, all its biases one number.
pub(super) fn with_biases(config: Conv2dConfig, value: f64, device: &Device) -> Conv2d {
    let channels = config.channels[1];
    let conv = config.with_bias(false).init(device);
    Conv2d { bias: Some(Initializer::Constant { value }.init([channels], device)), ..conv }
}

/// The last linear map, where classes are asked for; biases at first 0. Zero classes are refused.
pub(super) fn head(
    module: &'static str,
    features: usize,
    classes: Option<usize>,
    weights: Initializer,
    device: &Device,
) -> Result<Option<Linear>> {
    let Some(classes) = classes else { return Ok(None) };
    if classes == 0 {
        return Err(Error::config(module, "classes is 0"));
    }
    let linear = LinearConfig::new(features, classes).with_bias(false).with_initializer(weights).init(device);
    Ok(Some(Linear { bias: Some(Initializer::Zeros.init([classes], device)), ..linear }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, double, doubles, golden, gradients, numbers, wave};

    #[test]
    fn each_pixel_is_normalised_by_itself() {
        let device = Device::flex();
        let norm =
            double(ChannelNormConfig { epsilon: 3.0, ..ChannelNormConfig::new(2) }.init(&device).expect("sizes"));
        // Pixels (1, 3) and (10, 10): variances 1 and 0; with 3 added to 1, the root is 2.
        let x = doubles(vec![1.0, 10.0, 3.0, 10.0], [1, 2, 1, 2], &device);
        close(&numbers(norm.forward(x)), &[-0.5, 0.0, 0.5, 0.0], 1e-15);
    }

    #[test]
    fn the_same_number_added_to_all_channels_changes_nothing() {
        let device = Device::flex();
        let norm = golden(ChannelNormConfig::new(5).init(&device).expect("sizes"));
        let x = wave([2, 5, 3, 4], 0.7, &device);
        close(&numbers(norm.forward(x.clone() + 2.0)), &numbers(norm.forward(x)), 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for bias in [false, true] {
            let config = ChannelNormConfig { bias, ..ChannelNormConfig::new(3) };
            let norm = config.init(&device).expect("sizes");
            gradients(norm, wave([2, 3, 2, 2], 0.9, &device), |norm, x| norm.forward(x));
        }
    }

    #[test]
    fn no_channels_are_refused() {
        let error = ChannelNormConfig::new(0).init(&Device::flex()).expect_err("no channels");
        assert_eq!(error.to_string(), "layer norm over channels: channels is 0");
    }
}
