//! ResNet-18, -34 and -50 (He et al., arXiv 1512.03385), as torchvision builds them, without the last layer.
//!
//! Field names are torchvision's, but for `downsample.0` and `.1`, which are `downsample.conv` and `.norm`.

use crate::blocked::{self, Cut, Padding, Precision};
use crate::error::{Error, Result};
use crate::norm::{BatchNorm, BatchNormConfig};
use burn::module::{Initializer, Module};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};

/// How a [`ResNet`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResNetConfig {
    /// Blocks in each of the four stages.
    pub blocks: [usize; 4],
    /// Blocks of three convolutions (1 × 1, 3 × 3, 1 × 1) that end four times as wide, rather than of two 3 × 3.
    pub bottleneck: bool,
}

/// A residual network up to its global average.
#[derive(Module, Debug)]
pub struct ResNet {
    /// 7 × 7, stride 2, 3 to 64 channels.
    pub conv1: Conv2d,
    /// After `conv1`.
    pub bn1: BatchNorm,
    /// 64 channels wide.
    pub layer1: Vec<Block>,
    /// 128 channels wide.
    pub layer2: Vec<Block>,
    /// 256 channels wide.
    pub layer3: Vec<Block>,
    /// 512 channels wide.
    pub layer4: Vec<Block>,
}

/// A residual block: two convolutions, or three where it is a bottleneck.
#[derive(Module, Debug)]
pub struct Block {
    /// 3 × 3, or 1 × 1 in a bottleneck.
    pub conv1: Conv2d,
    /// After `conv1`.
    pub bn1: BatchNorm,
    /// 3 × 3.
    pub conv2: Conv2d,
    /// After `conv2`.
    pub bn2: BatchNorm,
    /// 1 × 1, in a bottleneck only.
    pub conv3: Option<Conv2d>,
    /// After `conv3`.
    pub bn3: Option<BatchNorm>,
    /// What the input passes where the block changes its size.
    pub downsample: Option<Downsample>,
}

/// A 1 × 1 convolution and its norm, on the way around a block.
#[derive(Module, Debug)]
pub struct Downsample {
    /// 1 × 1, with the block's stride.
    pub conv: Conv2d,
    /// After `conv`.
    pub norm: BatchNorm,
}

const WIDTHS: [usize; 4] = [64, 128, 256, 512];

impl ResNetConfig {
    /// 18 layers, 11.2 M parameters, 512 features.
    pub fn resnet18() -> Self {
        ResNetConfig { blocks: [2, 2, 2, 2], bottleneck: false }
    }

    /// 34 layers, 21.3 M parameters, 512 features.
    pub fn resnet34() -> Self {
        ResNetConfig { blocks: [3, 4, 6, 3], bottleneck: false }
    }

    /// 50 layers, 23.5 M parameters, 2,048 features.
    pub fn resnet50() -> Self {
        ResNetConfig { blocks: [3, 4, 6, 3], bottleneck: true }
    }

    /// Numbers a picture becomes.
    pub fn features(&self) -> usize {
        WIDTHS[3] * self.expansion()
    }

    fn expansion(&self) -> usize {
        if self.bottleneck { 4 } else { 1 }
    }

    /// Makes the network with torchvision's initialisation (normal, by fan-out). A stage without blocks is refused.
    pub fn init(&self, device: &Device) -> Result<ResNet> {
        if self.blocks.contains(&0) {
            return Err(Error::config("resnet", format!("a stage without blocks in {:?}", self.blocks)));
        }
        let mut input = WIDTHS[0];
        let mut stage = |index: usize| -> Result<Vec<Block>> {
            let (width, stride) = (WIDTHS[index], if index == 0 { 1 } else { 2 });
            (0..self.blocks[index])
                .map(|block| self.block(&mut input, width, if block == 0 { stride } else { 1 }, device))
                .collect()
        };
        Ok(ResNet {
            layer1: stage(0)?,
            layer2: stage(1)?,
            layer3: stage(2)?,
            layer4: stage(3)?,
            conv1: conv([3, WIDTHS[0]], 7, 2, device),
            bn1: BatchNormConfig::new(WIDTHS[0]).init(device)?,
        })
    }

    /// A block from `input` channels, which it replaces by its own, to `width` times the expansion.
    fn block(&self, input: &mut usize, width: usize, stride: usize, device: &Device) -> Result<Block> {
        let output = width * self.expansion();
        let norm = |features| BatchNormConfig::new(features).init(device);
        let downsample = if stride != 1 || *input != output {
            Some(Downsample { conv: conv([*input, output], 1, stride, device), norm: norm(output)? })
        } else {
            None
        };
        let block = if self.bottleneck {
            Block {
                conv1: conv([*input, width], 1, 1, device),
                bn1: norm(width)?,
                conv2: conv([width, width], 3, stride, device),
                bn2: norm(width)?,
                conv3: Some(conv([width, output], 1, 1, device)),
                bn3: Some(norm(output)?),
                downsample,
            }
        } else {
            Block {
                conv1: conv([*input, width], 3, stride, device),
                bn1: norm(width)?,
                conv2: conv([width, width], 3, 1, device),
                bn2: norm(width)?,
                conv3: None,
                bn3: None,
                downsample,
            }
        };
        *input = output;
        Ok(block)
    }
}

fn conv(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let border = kernel / 2;
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(border, border, border, border))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: true })
        .init(device)
}

impl ResNet {
    /// Turns pictures into vectors.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`
    /// - output: `[n, features]`
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let stem = blocked::stem(input, self.conv1.weight.val(), 2, Padding::even(3));
        let stem = blocked::max_pool(blocked::norm(&self.bn1, stem, None, Cut::RELU), 3, 2, 1);
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        blocked::mean_pool(stages.into_iter().flatten().fold(stem, |x, block| block.forward(x)))
    }
}

/// A convolution and its norm, to which `residual` is added.
fn layer(conv: &Conv2d, norm: &BatchNorm, x: Tensor<5>, residual: Option<Tensor<5>>, cut: Cut) -> Tensor<5> {
    let weight = conv.weight.val();
    let padding = Padding::even(weight.dims()[2] / 2);
    blocked::norm(norm, blocked::conv2d(x, weight, conv.stride[0], padding, Precision::Single), residual, cut)
}

impl Block {
    /// # Shapes
    /// - input: `[n, in / 16, height, width, 16]`
    /// - output: `[n, out / 16, height / stride, width / stride, 16]`
    fn forward(&self, input: Tensor<5>) -> Tensor<5> {
        let around = match &self.downsample {
            Some(downsample) => layer(&downsample.conv, &downsample.norm, input.clone(), None, Cut::NONE),
            None => input.clone(),
        };
        let x = layer(&self.conv1, &self.bn1, input, None, Cut::RELU);
        match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let x = layer(&self.conv2, &self.bn2, x, None, Cut::RELU);
                layer(conv3, bn3, x, Some(around), Cut::RELU)
            }
            _ => layer(&self.conv2, &self.bn2, x, Some(around), Cut::RELU),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_features_are_as_published() {
        let device = Device::flex();
        for (config, parameters, features) in [
            (ResNetConfig::resnet18(), 11_176_512, 512),
            (ResNetConfig::resnet34(), 21_284_672, 512),
            (ResNetConfig::resnet50(), 23_508_032, 2048),
        ] {
            // Burn counts the running statistics, two numbers a channel, among the parameters.
            let net = config.init(&device).expect("a published network");
            assert_eq!(net.num_params() - statistics(&net), parameters, "{config:?}");
            assert_eq!(config.features(), features);
        }
    }

    fn statistics(net: &ResNet) -> usize {
        let of = |norm: &BatchNorm| 2 * norm.gamma.shape().num_elements();
        let blocks = [&net.layer1, &net.layer2, &net.layer3, &net.layer4].into_iter().flatten();
        let in_block = |block: &Block| {
            of(&block.bn1)
                + of(&block.bn2)
                + block.bn3.as_ref().map_or(0, of)
                + block.downsample.as_ref().map_or(0, |downsample| of(&downsample.norm))
        };
        of(&net.bn1) + blocks.map(in_block).sum::<usize>()
    }

    #[test]
    fn any_size_of_picture_becomes_one_vector() {
        let device = Device::flex();
        let net = ResNetConfig::resnet18().init(&device).expect("a published network");
        assert_eq!(net.forward(Tensor::zeros([2, 3, 40, 56], &device)).dims(), [2, 512]);
    }

    #[test]
    fn a_stage_without_blocks_is_refused() {
        let config = ResNetConfig { blocks: [2, 0, 2, 2], bottleneck: false };
        assert!(config.init(&Device::flex()).is_err());
    }
}
