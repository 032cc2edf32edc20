//! AlexNet (Krizhevsky, arXiv 1404.5997), as torchvision builds it, ending in a vector of chosen width.
//!
//! The convolutions are torchvision's `features.{0, 3, 6, 8, 10}`; the two linear layers are VSFormer's own.

use crate::blocked;
use crate::error::{Result, nonzero};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::module::adaptive_avg_pool2d;
use burn::tensor::{Device, Tensor};

/// How an [`AlexNet`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlexNetConfig {
    /// Numbers a picture becomes.
    pub features: usize,
}

/// Five convolutions and two linear layers.
#[derive(Module, Debug)]
pub struct AlexNet {
    /// Five convolutions: 11 × 11 stride 4, 5 × 5, and three 3 × 3.
    pub features: Vec<Conv2d>,
    /// 9,216 to 4,096.
    pub fc1: Linear,
    /// 4,096 to the chosen width.
    pub fc2: Linear,
    dropout: Dropout,
}

/// Channels, kernel, stride, border of each convolution.
const CONVOLUTIONS: [([usize; 2], usize, usize, usize); 5] =
    [([3, 64], 11, 4, 2), ([64, 192], 5, 1, 2), ([192, 384], 3, 1, 1), ([384, 256], 3, 1, 1), ([256, 256], 3, 1, 1)];

/// After these convolutions the map is pooled, 3 × 3 with stride 2.
pub(crate) const POOLED: [usize; 3] = [0, 1, 4];
pub(crate) const POOL: [usize; 2] = [3, 2];

/// Side of the map that the linear layers take.
pub(crate) const SIDE: usize = 6;

impl AlexNetConfig {
    /// The smallest picture whose map does not vanish.
    pub const SMALLEST: usize = 63;

    /// Makes the network with PyTorch's initialisation. A width of zero is refused.
    pub fn init(&self, device: &Device) -> Result<AlexNet> {
        nonzero("alexnet", &[("features", self.features)])?;
        let convolution = |&(channels, kernel, stride, border): &([usize; 2], usize, usize, usize)| {
            Conv2dConfig::new(channels, [kernel, kernel])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(border, border, border, border))
                .init(device)
        };
        Ok(AlexNet {
            features: CONVOLUTIONS.iter().map(convolution).collect(),
            fc1: LinearConfig::new(256 * SIDE * SIDE, 4096).init(device),
            fc2: LinearConfig::new(4096, self.features).init(device),
            dropout: DropoutConfig::new(0.5).init(),
        })
    }
}

impl AlexNet {
    /// Turns pictures into vectors.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`, at least [`AlexNetConfig::SMALLEST`] a side
    /// - output: `[n, features]`
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let map = blocked::plain(&self.features, input, |index| CONVOLUTIONS[index].3, &POOLED, POOL);
        let flat = adaptive_avg_pool2d(map, [SIDE, SIDE]).flatten::<2>(1, 3);
        let hidden = relu(self.fc1.forward(self.dropout.forward(flat)));
        relu(self.fc2.forward(self.dropout.forward(hidden)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_as_published_and_small_pictures_work() {
        let device = Device::flex();
        let net = AlexNetConfig { features: 512 }.init(&device).expect("a published network");
        // The paper's 42.3 M.
        assert_eq!(net.num_params(), 42_320_192);
        let side = AlexNetConfig::SMALLEST;
        assert_eq!(net.forward(Tensor::zeros([2, 3, side, side], &device)).dims(), [2, 512]);
    }
}
