//! The initializer: what turns each view, alone, into `dim` numbers.

use super::config::{BackboneKind, VsFormerConfig};
use crate::error::Result;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use polyad_nn::backbone::alexnet::{AlexNet, AlexNetConfig};
use polyad_nn::backbone::efficientnet::{EfficientNet, EfficientNetConfig};
use polyad_nn::backbone::resnet::{ResNet, ResNetConfig};
use polyad_nn::backbone::small::SmallNet;
use polyad_nn::backbone::vgg::{Vgg, VggConfig};
use polyad_nn::blocked::Precision;
use polyad_nn::engine::Engine;
use polyad_nn::hadamard::correlation::starnet::StarNet;
use polyad_nn::norm::{BatchNorm, BatchNormConfig};

/// An image network and, where its width is not `dim`, a projection.
#[derive(Module, Debug)]
pub struct Initializer {
    /// The image network.
    pub backbone: Backbone,
    /// From the network's width to `dim`.
    pub projection: Option<Projection>,
}

/// One of the image networks.
#[allow(clippy::large_enum_variant, reason = "a model has one, and Burn's modules cannot be boxed")]
#[derive(Module, Debug)]
pub enum Backbone {
    /// AlexNet.
    AlexNet(AlexNet),
    /// VGG-11.
    Vgg(Vgg),
    /// ResNet-18, -34 or -50.
    ResNet(ResNet),
    /// EfficientNet-Lite0, -Lite1 or -Lite2.
    EfficientNet(EfficientNet),
    /// The small one.
    Small(SmallNet),
    /// StarNet, any size, without its head.
    StarNet(StarNet),
}

/// Linear, batch norm and, unless numbers of either sign are wanted, ReLU.
#[derive(Module, Debug)]
pub struct Projection {
    /// `[features, dim]` and a bias.
    pub linear: Linear,
    /// Over `dim`.
    pub norm: BatchNorm,
    #[module(skip)]
    rectified: bool,
}

impl Backbone {
    /// Makes an image network; AlexNet and VGG end in `dim` numbers.
    pub fn init(config: &VsFormerConfig, device: &Device) -> Result<Self> {
        let dim = config.dim;
        Ok(match config.backbone {
            BackboneKind::AlexNet => Backbone::AlexNet(AlexNetConfig { features: dim }.init(device)?),
            BackboneKind::Vgg11 => Backbone::Vgg(VggConfig { features: dim }.init(device)?),
            BackboneKind::ResNet18 => Backbone::ResNet(ResNetConfig::resnet18().init(device)?),
            BackboneKind::ResNet34 => Backbone::ResNet(ResNetConfig::resnet34().init(device)?),
            BackboneKind::EfficientNetLite0 => Backbone::EfficientNet(EfficientNetConfig::lite0().init(device)?),
            BackboneKind::EfficientNetLite1 => Backbone::EfficientNet(EfficientNetConfig::lite1().init(device)?),
            BackboneKind::EfficientNetLite2 => Backbone::EfficientNet(EfficientNetConfig::lite2().init(device)?),
            BackboneKind::Small => Backbone::Small(config.small().init(device)?),
            BackboneKind::StarNet(size) => Backbone::StarNet(size.config().init(device)?),
            BackboneKind::ResNet50 => Backbone::ResNet(ResNetConfig::resnet50().init(device)?),
        })
    }

    /// The same network, which multiplies as said where gradients are on. Only the small one can.
    pub fn with_precision(self, precision: Precision) -> Self {
        match self {
            Backbone::Small(net) => Backbone::Small(net.with_precision(precision)),
            other => other,
        }
    }

    /// Turns pictures into vectors.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`
    /// - output: `[n, features]`
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        match self {
            Backbone::AlexNet(net) => net.forward(input),
            Backbone::Vgg(net) => net.forward(input),
            Backbone::ResNet(net) => net.forward(input),
            Backbone::EfficientNet(net) => net.forward(input),
            Backbone::Small(net) => net.forward(input),
            Backbone::StarNet(net) => net.features(input),
        }
    }

    /// What gives the same vectors in a fraction of the time, for weights that do not change any more. Cost: the weights
    /// are read and written once.
    pub fn engine(&self) -> Result<Engine> {
        Ok(match self {
            Backbone::AlexNet(net) => Engine::from_alexnet(net)?,
            Backbone::Vgg(net) => Engine::from_vgg(net)?,
            Backbone::ResNet(net) => Engine::from_resnet(net)?,
            Backbone::EfficientNet(net) => Engine::from_efficientnet(net)?,
            Backbone::Small(net) => Engine::from_small(net)?,
            Backbone::StarNet(net) => Engine::from_starnet(net)?,
        })
    }
}

impl Initializer {
    /// Makes the initializer of a configuration.
    pub fn init(config: &VsFormerConfig, device: &Device) -> Result<Self> {
        let (features, dim) = (config.features(), config.dim);
        let projection = if features == dim && config.rectified {
            None
        } else {
            let linear = LinearConfig::new(features, dim).init(device);
            Some(Projection { linear, norm: BatchNormConfig::new(dim).init(device)?, rectified: config.rectified })
        };
        Ok(Initializer { backbone: Backbone::init(config, device)?, projection })
    }

    /// Turns views into vectors, each alone.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`, normalised
    /// - output: `[n, dim]`
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        self.project(self.backbone.forward(input))
    }

    /// The second half: from the image network's numbers to `dim`.
    ///
    /// # Shapes
    /// - features: `[n, features]`
    /// - output: `[n, dim]`
    pub fn project(&self, features: Tensor<2>) -> Tensor<2> {
        match &self.projection {
            Some(projection) => projection.forward(features),
            None => features,
        }
    }
}

impl Projection {
    /// Whether numbers below zero are cut off.
    pub fn is_rectified(&self) -> bool {
        self.rectified
    }

    /// From the image network's numbers to `dim`.
    ///
    /// # Shapes
    /// - features: `[n, features]`
    /// - output: `[n, dim]`
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let numbers = self.norm.forward(self.linear.forward(features));
        if self.rectified { relu(numbers) } else { numbers }
    }
}

/// The model of stage 1: every view is classified alone.
///
/// The published code trains a projection of its own here and begins stage 2 with a fresh one; here stage 2 inherits it.
#[derive(Module, Debug)]
pub struct ViewClassifier {
    /// Handed on to stage 2.
    pub initializer: Initializer,
    /// `[dim, classes]` and a bias.
    pub classifier: Linear,
}

impl ViewClassifier {
    /// Puts a fresh classifier on an initializer.
    pub fn new(initializer: Initializer, dim: usize, classes: usize, device: &Device) -> Self {
        ViewClassifier { initializer, classifier: LinearConfig::new(dim, classes).init(device) }
    }

    /// Classifies views, each alone.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`, normalised
    /// - output: `[n, classes]`
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        self.classifier.forward(self.initializer.forward(input))
    }
}
