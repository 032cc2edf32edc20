//! The whole network.

use super::config::VsFormerConfig;
use super::encoder::Encoder;
use super::head::Head;
use super::initializer::Initializer;
use super::views::batch_views;
use crate::error::{Error, Result};
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};

/// Initializer, encoder, transition and, where there are classes, a head.
#[derive(Module, Debug)]
pub struct VsFormer {
    /// Turns each view into a vector.
    pub initializer: Initializer,
    /// Lets the views of a shape take notice of each other.
    pub encoder: Encoder,
    /// Turns the pooled views into classes.
    pub head: Option<Head>,
}

impl VsFormerConfig {
    /// Makes a network with fresh weights. Sizes that cannot be are refused.
    pub fn init(&self, device: &Device) -> Result<VsFormer> {
        self.check()?;
        Ok(VsFormer {
            initializer: Initializer::init(self, device)?,
            encoder: Encoder::init(self, device)?,
            head: self.classes.map(|classes| Head::init(self, classes, device)).transpose()?,
        })
    }
}

impl VsFormer {
    /// Turns views into vectors, each alone.
    ///
    /// # Shapes
    /// - images: `[n, 3, height, width]`, normalised
    /// - output: `[n, dim]`
    pub fn forward_features(&self, images: Tensor<4>) -> Tensor<2> {
        self.initializer.forward(images)
    }

    /// Turns the views of shapes into transition vectors.
    ///
    /// # Shapes
    /// - features: `[shapes, views, dim]`
    /// - absent: `[shapes, views]`, true where there is no view; `None`: all are there
    /// - output: `[shapes, 2 * dim]`
    pub fn encode(&self, features: Tensor<3>, absent: Option<Tensor<2, Bool>>) -> Tensor<2> {
        self.encoder.pooled(features, absent)
    }

    /// Turns transition vectors into a score for each class. A network without classes has none.
    ///
    /// # Shapes
    /// - transition: `[shapes, 2 * dim]`
    /// - output: `[shapes, classes]`
    pub fn logits(&self, transition: Tensor<2>) -> Result<Tensor<2>> {
        let head = self.head.as_ref().ok_or_else(|| Error::Model("it has no classes, it only embeds".into()))?;
        Ok(head.forward(transition))
    }

    /// Classifies shapes, which may have different numbers of views.
    ///
    /// # Shapes
    /// - images: `[sum of counts, 3, height, width]`, one shape after the other, normalised
    /// - counts: views of each shape, each at least 1
    /// - output: `[shapes, classes]`
    pub fn forward(&self, images: Tensor<4>, counts: &[usize]) -> Result<Tensor<2>> {
        let (features, absent) = batch_views(self.forward_features(images), counts)?;
        self.logits(self.encode(features, absent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vsformer::encoder::ViewAttention;
    use crate::vsformer::{Backbone, BackboneKind};
    use burn::tensor::Distribution;

    #[test]
    fn the_encoder_and_head_have_the_published_number_of_parameters() {
        // Recomputed for 40 classes, d 512, ratio 2: 4.75 M with two blocks, 8.95 M with four. Burn counts the running
        // statistics of the head's norms, 2 * (1024 + 512), too.
        for (layers, expected) in [(2, 4_750_888), (4, 8_953_384)] {
            let config = VsFormerConfig { layers, ..VsFormerConfig::published(BackboneKind::ResNet18, Some(40)) };
            let net = config.init(&Device::flex()).expect("published sizes");
            let head = net.head.as_ref().expect("forty classes").num_params();
            assert_eq!(net.encoder.num_params() + head - 2 * (1024 + 512), expected, "{layers} blocks");
        }
    }

    #[test]
    fn gradients_reach_every_part_through_a_mixed_batch() {
        let device = Device::flex().autodiff();
        let config = VsFormerConfig {
            layers: 1,
            heads: 2,
            dim: 16,
            head: 3,
            ..VsFormerConfig::published(BackboneKind::ResNet18, Some(3))
        };
        let net = config.init(&device).expect("small sizes");
        let images = Tensor::<4>::random([5, 3, 32, 32], Distribution::Normal(0.0, 1.0), &device);
        let loss = net.forward(images, &[2, 3]).expect("five views").powf_scalar(2.0).sum();
        let gradients = loss.backward();
        let Backbone::ResNet(resnet) = &net.initializer.backbone else { panic!("asked for a residual network") };
        let first = resnet.conv1.weight.val().grad(&gradients).expect("a gradient");
        let ViewAttention::Pairs(attention) = &net.encoder.blocks[0].attention else { panic!("order 2 was asked for") };
        let query = attention.query.weight.val().grad(&gradients).expect("a gradient");
        for (name, size) in [("conv1", first.abs().sum().into_scalar()), ("query", query.abs().sum().into_scalar())] {
            let size: f32 = size;
            assert!(size.is_finite() && size > 0.0, "{name}: {size}");
        }
    }
}
