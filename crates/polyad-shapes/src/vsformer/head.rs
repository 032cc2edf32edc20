//! The head: from the transition vector to classes.

use super::config::VsFormerConfig;
use crate::error::Result;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use polyad_nn::norm::{BatchNorm, BatchNormConfig};

/// One, two or three layers, each batch norm, ReLU, linear; a single layer is linear only.
#[derive(Module, Debug)]
pub struct Head {
    /// The layers, in order.
    pub layers: Vec<HeadLayer>,
}

/// Batch norm, ReLU, linear.
#[derive(Module, Debug)]
pub struct HeadLayer {
    /// Absent in a head of one layer, and with it the ReLU.
    pub norm: Option<BatchNorm>,
    /// To the next width.
    pub linear: Linear,
}

impl Head {
    /// Makes a head for so many classes: widths `2 d`, `d`, `d / 2` and then the classes.
    pub fn init(config: &VsFormerConfig, classes: usize, device: &Device) -> Result<Self> {
        let dim = config.dim;
        let inner = &[2 * dim, dim, dim / 2][..config.head.clamp(1, 3)];
        let outer = inner[1..].iter().copied().chain([classes]);
        let layer = |(&input, output)| -> Result<HeadLayer> {
            let norm = if config.head == 1 { None } else { Some(BatchNormConfig::new(input).init(device)?) };
            Ok(HeadLayer { norm, linear: LinearConfig::new(input, output).init(device) })
        };
        Ok(Head { layers: inner.iter().zip(outer).map(layer).collect::<Result<_>>()? })
    }

    /// # Shapes
    /// - transition: `[shapes, 2 * dim]`
    /// - output: `[shapes, classes]`
    pub fn forward(&self, transition: Tensor<2>) -> Tensor<2> {
        self.layers.iter().fold(transition, |x, layer| {
            let x = match &layer.norm {
                Some(norm) => relu(norm.forward(x)),
                None => x,
            };
            layer.linear.forward(x)
        })
    }
}
