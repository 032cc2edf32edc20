//! The small initializer: a residual network for small views, trained from scratch on two cores.
//!
//! A stem and one residual block (He et al., arXiv 1512.03385) a stage, each halving the picture; no max-pool. It lives
//! in blocked layout from the stem to the pooling.

use crate::blocked::{self, Cut, Padding, Precision};
use crate::error::{Error, Result};
use crate::norm::{BatchNorm, BatchNormConfig};
use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

/// How to make a [`SmallNet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmallNetConfig {
    /// Channels after the stem and after each stage; multiples of 16. The last is the length of a view's vector.
    pub widths: Vec<usize>,
}

impl SmallNetConfig {
    /// Length of a view's vector by default.
    pub const FEATURES: usize = 192;
}

impl Default for SmallNetConfig {
    /// 0.68 M parameters, 60 M multiply-adds for a view of 96 x 96.
    fn default() -> Self {
        SmallNetConfig { widths: vec![32, 48, 96, Self::FEATURES] }
    }
}

/// A small residual network: `[n, 3, s, s]` to `[n, width]`.
#[derive(Module, Debug)]
pub struct SmallNet {
    pub(crate) stem: Convolution,
    pub(crate) blocks: Vec<Block>,
    #[module(skip)]
    precision: Precision,
}

/// A convolution without bias, and its normalisation.
#[derive(Module, Debug)]
pub(crate) struct Convolution {
    /// `[out, in, k, k]`
    pub(crate) weight: Param<Tensor<4>>,
    pub(crate) norm: BatchNorm,
    #[module(skip)]
    pub(crate) stride: usize,
}

/// `relu(norm(conv(relu(norm(conv(x))))) + norm(conv 1 x 1 (x)))`
#[derive(Module, Debug)]
pub(crate) struct Block {
    pub(crate) first: Convolution,
    pub(crate) second: Convolution,
    pub(crate) shortcut: Convolution,
}

impl SmallNetConfig {
    /// Makes the network, with weights drawn as He et al. (arXiv 1502.01852) do. Widths that are not positive multiples
    /// of 16, or none at all, are refused.
    pub fn init(&self, device: &Device) -> Result<SmallNet> {
        let Some(&first) = self.widths.first() else {
            return Err(Error::config("small network", "no widths"));
        };
        if let Some(width) = self.widths.iter().find(|width| **width == 0 || !width.is_multiple_of(16)) {
            return Err(Error::config("small network", format!("width {width} is not a positive multiple of 16")));
        }
        let block = |inputs, outputs| -> Result<Block> {
            Ok(Block {
                first: Convolution::new(inputs, outputs, 3, 2, device)?,
                second: Convolution::new(outputs, outputs, 3, 1, device)?,
                shortcut: Convolution::new(inputs, outputs, 1, 2, device)?,
            })
        };
        Ok(SmallNet {
            stem: Convolution::new(3, first, 3, 2, device)?,
            blocks: self.widths.windows(2).map(|w| block(w[0], w[1])).collect::<Result<_>>()?,
            precision: Precision::Single,
        })
    }
}

impl Convolution {
    fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize, device: &Device) -> Result<Self> {
        let fan_out = outputs * kernel * kernel;
        let weights = Initializer::Normal { mean: 0.0, std: (2.0 / fan_out as f64).sqrt() };
        Ok(Convolution {
            weight: weights.init([outputs, inputs, kernel, kernel], device),
            norm: BatchNormConfig::new(outputs).init(device)?,
            stride,
        })
    }

    fn forward(&self, x: Tensor<5>, residual: Option<Tensor<5>>, cut: Cut, precision: Precision) -> Tensor<5> {
        let weight = self.weight.val();
        let padding = Padding::even(weight.dims()[2] / 2);
        blocked::norm(&self.norm, blocked::conv2d(x, weight, self.stride, padding, precision), residual, cut)
    }
}

impl SmallNet {
    /// A vector for each picture.
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, 3, height, width]`, any size of at least 2
    /// - output: `[n, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let stem = &self.stem;
        let x = blocked::stem(x, stem.weight.val(), stem.stride, Padding::even(1));
        let mut x = blocked::norm(&stem.norm, x, None, Cut::RELU);
        for block in &self.blocks {
            let shortcut = block.shortcut.forward(x.clone(), None, Cut::NONE, self.precision);
            let inner = block.first.forward(x, None, Cut::RELU, self.precision);
            x = block.second.forward(inner, Some(shortcut), Cut::RELU, self.precision);
        }
        blocked::mean_pool(x)
    }

    /// The same network, whose convolutions multiply as said where gradients are on.
    pub fn with_precision(self, precision: Precision) -> Self {
        SmallNet { precision, ..self }
    }

    /// Length of a view's vector.
    pub fn width(&self) -> usize {
        let last = self.blocks.last().map_or(&self.stem, |block| &block.second);
        last.weight.dims()[0]
    }
}
