//! The names that other code gives to our parameters.
//!
//! Three schemes: that of the published VSFormer code, that of torchvision's image networks, and that of the PyTorch port
//! of EfficientNet-Lite. They are written down in one direction, from our name to theirs, so that whatever a checkpoint
//! lacks can be told.

use crate::vsformer::{BackboneKind, VsFormerConfig};

/// Positions of AlexNet's convolutions in torchvision's `features`.
const ALEXNET: [usize; 5] = [0, 3, 6, 8, 10];
/// Positions of VGG-11's convolutions in torchvision's `features`.
const VGG11: [usize; 8] = [0, 3, 6, 8, 11, 13, 16, 18];

/// The published code's name for one of our parameters.
pub(super) fn published(own: &str, config: &VsFormerConfig) -> Option<String> {
    let own = torch_leaf(own);
    if let Some(rest) = own.strip_prefix("initializer.backbone.") {
        return Some(format!("base_feature_extractor.{}", published_backbone(rest, config.backbone)?));
    }
    if let Some(rest) = own.strip_prefix("initializer.projection.") {
        return renamed(rest, &[("linear.", "linear_proj."), ("norm.", "bn1d.")]);
    }
    if let Some(rest) = own.strip_prefix("encoder.blocks.") {
        let (block, rest) = rest.split_once('.')?;
        let parts = [
            ("norm.", "sa.norm."),
            ("attention.query.", "sa.attention.q_proj."),
            ("attention.key.", "sa.attention.k_proj."),
            ("attention.value.", "sa.attention.v_proj."),
            ("attention.output.", "sa.attention.o_proj."),
            ("mlp_norm.", "mlp.0."),
            ("expand.", "mlp.1."),
            ("contract.", "mlp.3."),
        ];
        return Some(format!("encoder.sa_layers.{block}.{}", renamed(rest, &parts)?));
    }
    let (layer, rest) = own.strip_prefix("head.layers.")?.split_once('.')?;
    let (part, leaf) = rest.split_once('.')?;
    if config.head == 1 {
        return Some(format!("cls_head.decoder.{leaf}"));
    }
    // Each layer is batch norm, ReLU, linear: three places in a row.
    let place = 3 * layer.parse::<usize>().ok()? + if part == "norm" { 0 } else { 2 };
    Some(format!("cls_head.decoder.{place}.{leaf}"))
}

/// A parameter of an image network as the published code numbers it: the network's children, in order.
fn published_backbone(rest: &str, kind: BackboneKind) -> Option<String> {
    match kind {
        BackboneKind::AlexNet => in_features(rest, &ALEXNET)
            .map(|rest| format!("0.{rest}"))
            .or_else(|| renamed(rest, &[("fc1.", "2.2."), ("fc2.", "2.5.")])),
        BackboneKind::Vgg11 => in_features(rest, &VGG11)
            .map(|rest| format!("0.{rest}"))
            .or_else(|| renamed(rest, &[("fc1.", "2.1."), ("fc2.", "2.4.")])),
        BackboneKind::ResNet18 | BackboneKind::ResNet34 | BackboneKind::ResNet50 => {
            let children = [
                ("conv1.", "0."),
                ("bn1.", "1."),
                ("layer1.", "4."),
                ("layer2.", "5."),
                ("layer3.", "6."),
                ("layer4.", "7."),
            ];
            renamed(&downsample(rest), &children)
        }
        BackboneKind::EfficientNetLite0
        | BackboneKind::EfficientNetLite1
        | BackboneKind::EfficientNetLite2
        | BackboneKind::StarNet(_)
        | BackboneKind::Small => None,
    }
}

/// The name that `efficientnet-lite-pytorch` gives to one of our parameters; our fields have its names.
pub(super) fn efficientnet(own: &str) -> Option<String> {
    torch_leaf(own).strip_prefix("initializer.backbone.").map(str::to_owned)
}

/// torchvision's name for one of our parameters; `None` for those that it has not, or whose weights are another's
/// (the linear layers of AlexNet and VGG).
pub(super) fn torchvision(own: &str, kind: BackboneKind) -> Option<String> {
    let own = torch_leaf(own);
    let rest = own.strip_prefix("initializer.backbone.")?;
    match kind {
        BackboneKind::AlexNet => in_features(rest, &ALEXNET).map(|rest| format!("features.{rest}")),
        BackboneKind::Vgg11 => in_features(rest, &VGG11).map(|rest| format!("features.{rest}")),
        BackboneKind::ResNet18 | BackboneKind::ResNet34 | BackboneKind::ResNet50 => Some(downsample(rest)),
        BackboneKind::EfficientNetLite0
        | BackboneKind::EfficientNetLite1
        | BackboneKind::EfficientNetLite2
        | BackboneKind::StarNet(_)
        | BackboneKind::Small => None,
    }
}

/// `gamma` and `beta` of norms as PyTorch calls them.
fn torch_leaf(own: &str) -> String {
    match own.rsplit_once('.') {
        Some((path, "gamma")) => format!("{path}.weight"),
        Some((path, "beta")) => format!("{path}.bias"),
        _ => own.into(),
    }
}

/// Our `features.i`, numbered as torchvision numbers it, without `features.`.
fn in_features(rest: &str, positions: &[usize]) -> Option<String> {
    let (index, leaf) = rest.strip_prefix("features.")?.split_once('.')?;
    Some(format!("{}.{leaf}", positions.get(index.parse::<usize>().ok()?)?))
}

fn downsample(rest: &str) -> String {
    rest.replacen("downsample.conv.", "downsample.0.", 1).replacen("downsample.norm.", "downsample.1.", 1)
}

/// Replaces the beginning by its partner.
fn renamed(rest: &str, pairs: &[(&str, &str)]) -> Option<String> {
    pairs.iter().find_map(|(own, theirs)| rest.strip_prefix(own).map(|leaf| format!("{theirs}{leaf}")))
}
