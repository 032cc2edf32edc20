//! VGG-11 without batch norm (Simonyan and Zisserman, arXiv 1409.1556), as torchvision builds it, ending in a vector of
//! chosen width.
//!
//! The convolutions are torchvision's `features.{0, 3, 6, 8, 11, 13, 16, 18}`; the two linear layers are VSFormer's own.

use crate::blocked;
use crate::error::{Result, nonzero};
use burn::module::{Initializer, Module};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::module::adaptive_avg_pool2d;
use burn::tensor::{Device, Tensor};

/// How a [`Vgg`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VggConfig {
    /// Numbers a picture becomes.
    pub features: usize,
}

/// Eight convolutions and two linear layers.
#[derive(Module, Debug)]
pub struct Vgg {
    /// Eight convolutions, 3 × 3.
    pub features: Vec<Conv2d>,
    /// 25,088 to 4,096.
    pub fc1: Linear,
    /// 4,096 to the chosen width.
    pub fc2: Linear,
    dropout: Dropout,
}

/// Channels into the first convolution and out of each.
const WIDTHS: [usize; 9] = [3, 64, 128, 256, 256, 512, 512, 512, 512];

/// After these convolutions the map is pooled, 2 × 2.
pub(crate) const POOLED: [usize; 5] = [0, 1, 3, 5, 7];

/// Side of the map that the linear layers take.
pub(crate) const SIDE: usize = 7;

impl VggConfig {
    /// The smallest picture whose map does not vanish.
    pub const SMALLEST: usize = 32;

    /// Makes the network: convolutions with torchvision's initialisation, linear layers with PyTorch's. A width of zero
    /// is refused.
    pub fn init(&self, device: &Device) -> Result<Vgg> {
        nonzero("vgg11", &[("features", self.features)])?;
        let convolution = |channels: &[usize]| {
            let mut convolution = Conv2dConfig::new([channels[0], channels[1]], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_initializer(Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: true })
                .init(device);
            convolution.bias = Some(Initializer::Zeros.init([channels[1]], device));
            convolution
        };
        Ok(Vgg {
            features: WIDTHS.windows(2).map(convolution).collect(),
            fc1: LinearConfig::new(512 * SIDE * SIDE, 4096).init(device),
            fc2: LinearConfig::new(4096, self.features).init(device),
            dropout: DropoutConfig::new(0.5).init(),
        })
    }
}

impl Vgg {
    /// Turns pictures into vectors.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`, at least [`VggConfig::SMALLEST`] a side
    /// - output: `[n, features]`
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let map = blocked::plain(&self.features, input, |_| 1, &POOLED, [2, 2]);
        let flat = adaptive_avg_pool2d(map, [SIDE, SIDE]).flatten::<2>(1, 3);
        let hidden = self.dropout.forward(relu(self.fc1.forward(flat)));
        self.dropout.forward(relu(self.fc2.forward(hidden)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_as_published_and_small_pictures_work() {
        let device = Device::flex();
        let net = VggConfig { features: 512 }.init(&device).expect("a published network");
        // The paper's 114.1 M.
        assert_eq!(net.num_params(), 114_082_688);
        let side = VggConfig::SMALLEST;
        assert_eq!(net.forward(Tensor::zeros([1, 3, side, side], &device)).dims(), [1, 512]);
    }
}
