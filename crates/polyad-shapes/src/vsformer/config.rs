//! The sizes of a VSFormer, with the field names of the published code's configuration.

use crate::error::{Error, Result};
use polyad_nn::backbone::small::SmallNetConfig;
use polyad_nn::hadamard::correlation::starnet::StarNetSize;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The image network of an initializer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum BackboneKind {
    /// Five convolutions, 42.3 M parameters.
    AlexNet,
    /// Eight convolutions without batch norm, 114.1 M parameters.
    Vgg11,
    /// 11.2 M parameters.
    ResNet18,
    /// 21.3 M parameters.
    ResNet34,
    /// 23.5 M parameters, 2,048 features.
    ResNet50,
    /// 3.4 M parameters, 1,280 features; without squeeze-and-excitation.
    EfficientNetLite0,
    /// Deeper: 4.1 M parameters.
    EfficientNetLite1,
    /// Deeper and wider: 4.8 M parameters.
    EfficientNetLite2,
    /// polyad's own for small views: by default 0.7 M parameters, 192 features.
    Small,
    /// Light networks of element-wise products: 0.4 to 7.0 M parameters without a classifier, 128 to 256 features.
    StarNet(StarNetSize),
}

impl BackboneKind {
    /// All of them, in the order of the command line.
    pub const ALL: [BackboneKind; 16] = [
        Self::Small,
        Self::AlexNet,
        Self::Vgg11,
        Self::ResNet18,
        Self::ResNet34,
        Self::ResNet50,
        Self::EfficientNetLite0,
        Self::EfficientNetLite1,
        Self::EfficientNetLite2,
        Self::StarNet(StarNetSize::S050),
        Self::StarNet(StarNetSize::S100),
        Self::StarNet(StarNetSize::S150),
        Self::StarNet(StarNetSize::S1),
        Self::StarNet(StarNetSize::S2),
        Self::StarNet(StarNetSize::S3),
        Self::StarNet(StarNetSize::S4),
    ];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlexNet => "alexnet",
            Self::Vgg11 => "vgg11",
            Self::ResNet18 => "resnet18",
            Self::ResNet34 => "resnet34",
            Self::ResNet50 => "resnet50",
            Self::EfficientNetLite0 => "efficientnet-lite0",
            Self::EfficientNetLite1 => "efficientnet-lite1",
            Self::EfficientNetLite2 => "efficientnet-lite2",
            Self::Small => "small",
            Self::StarNet(size) => size.name(),
        }
    }

    /// The network of that name.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.into_iter().map(Self::name).collect();
            Error::Invalid(format!("no image network is called {name:?}; known: {}", known.join(", ")))
        })
    }

    /// Numbers a picture becomes where the network decides (the small one: unless its widths say otherwise), `None` where it ends in whatever width is asked.
    pub fn features(self) -> Option<usize> {
        match self {
            Self::AlexNet | Self::Vgg11 => None,
            Self::ResNet18 | Self::ResNet34 => Some(512),
            Self::ResNet50 => Some(2048),
            Self::EfficientNetLite0 | Self::EfficientNetLite1 | Self::EfficientNetLite2 => Some(1280),
            Self::Small => Some(SmallNetConfig::FEATURES),
            Self::StarNet(size) => Some(size.config().features()),
        }
    }

    /// The smallest side of a picture that it takes.
    pub fn smallest(self) -> usize {
        match self {
            Self::AlexNet => polyad_nn::backbone::alexnet::AlexNetConfig::SMALLEST,
            Self::Vgg11 => polyad_nn::backbone::vgg::VggConfig::SMALLEST,
            _ => 1,
        }
    }
}

impl TryFrom<String> for BackboneKind {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::parse(&name)
    }
}

impl From<BackboneKind> for &'static str {
    fn from(kind: BackboneKind) -> Self {
        kind.name()
    }
}

impl fmt::Display for BackboneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The sizes of a [`VsFormer`](super::VsFormer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VsFormerConfig {
    /// The image network.
    pub backbone: BackboneKind,
    /// Blocks of the encoder; 0 pools the views as they are.
    pub layers: usize,
    /// Heads of attention, which divide `dim`.
    pub heads: usize,
    /// Numbers a view, `d`.
    pub dim: usize,
    /// Width of a block's hidden layer, as a multiple of `dim`.
    pub ratio: usize,
    /// Views a shape had in training. Any number is accepted all the same.
    #[serde(default = "published_views")]
    pub views: usize,
    /// Linear layers of the head: 1, 2 or 3.
    #[serde(default = "published_head")]
    pub head: usize,
    /// Classes, or `None`: the model only embeds.
    #[serde(default)]
    pub classes: Option<usize>,
    /// Numbers the image network yields. It decides that itself, or ends in `dim`, so this is only checked.
    #[serde(default)]
    pub base_feature_dim: Option<usize>,
    /// Views that interact at once in the encoder. 2 is the paper's.
    #[serde(default = "published_order")]
    pub order: usize,
    /// Queries and keys of the encoder are normalised, with learned gains. Not in the paper.
    #[serde(default)]
    pub qk_norm: bool,
    /// Channels of the small network after its stem and after each stage, the last of them a view's numbers. `None` where
    /// the image network is another, and in files of before it could be said: there they were 32, 64, 128, 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widths: Option<Vec<usize>>,
    /// Whether a view's numbers are cut off at zero, as all published ones are. Where they are not, a linear map and its
    /// normalisation stand between the image network and them.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub rectified: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(yes: &bool) -> bool {
    *yes
}

/// What the small network was before its widths could be chosen.
const FIRST_WIDTHS: [usize; 4] = [32, 64, 128, 256];

fn published_views() -> usize {
    20
}

fn published_head() -> usize {
    2
}

fn published_order() -> usize {
    2
}

/// Caps that keep a hostile configuration from asking for more memory than any real one.
const LARGEST: [(&str, usize); 5] =
    [("layers", 64), ("dim", 8192), ("ratio", 16), ("classes", 100_000), ("views", 4096)];

/// The same for the small network's widths.
const MOST_STAGES: usize = 8;
const MOST_WIDTH: usize = 2048;

impl VsFormerConfig {
    /// The published sizes: four blocks, eight heads, 512 numbers a view, ratio 2, a head of two layers.
    pub fn published(backbone: BackboneKind, classes: Option<usize>) -> Self {
        VsFormerConfig {
            backbone,
            layers: 4,
            heads: 8,
            dim: 512,
            ratio: 2,
            views: published_views(),
            head: published_head(),
            classes,
            base_feature_dim: None,
            order: published_order(),
            qk_norm: false,
            rectified: true,
            widths: (backbone == BackboneKind::Small).then(|| SmallNetConfig::default().widths),
        }
    }

    /// Numbers the image network yields.
    pub fn features(&self) -> usize {
        match self.backbone {
            BackboneKind::Small => self.small().widths.last().copied().unwrap_or(self.dim),
            other => other.features().unwrap_or(self.dim),
        }
    }

    /// The small network of these sizes.
    pub fn small(&self) -> SmallNetConfig {
        SmallNetConfig { widths: self.widths.clone().unwrap_or_else(|| FIRST_WIDTHS.to_vec()) }
    }

    /// Refuses sizes that cannot be, naming them.
    pub fn check(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::Invalid(problem));
        let sizes = [self.layers, self.dim, self.ratio, self.classes.unwrap_or(1), self.views];
        for ((name, largest), size) in LARGEST.into_iter().zip(sizes) {
            if size > largest || (size == 0 && name != "layers") {
                return refuse(format!("{name} is {size}; it must be at least 1 and at most {largest}"));
            }
        }
        if self.heads == 0 || !self.dim.is_multiple_of(self.heads) {
            return refuse(format!("{} heads do not divide dim {}", self.heads, self.dim));
        }
        if !(1..=3).contains(&self.head) {
            return refuse(format!("head is {}; heads of 1, 2 and 3 layers exist", self.head));
        }
        if self.head == 3 && self.dim < 2 {
            return refuse(format!("a head of 3 layers halves dim, which is {}", self.dim));
        }
        if !(2..=3).contains(&self.order) {
            return refuse(format!("order is {}; views interact in pairs (2) or triples (3)", self.order));
        }
        if (self.order > 2 || self.qk_norm) && self.dim / self.heads > polyad_nn::attention::MOST_WIDTH {
            return refuse(format!("{} heads of dim {} have too many features for order 3", self.heads, self.dim));
        }
        if let Some(widths) = &self.widths {
            if self.backbone != BackboneKind::Small {
                return refuse(format!("widths are said, which {} has none of", self.backbone));
            }
            let (stages, largest) = (widths.len(), widths.iter().max().copied().unwrap_or(0));
            if !(1..=MOST_STAGES).contains(&stages) || largest > MOST_WIDTH {
                return refuse(format!(
                    "{stages} widths of at most {largest}; 1 to {MOST_STAGES} of at most {MOST_WIDTH}"
                ));
            }
        }
        let features = self.features();
        match (self.backbone.features(), self.base_feature_dim) {
            (Some(_), Some(said)) if features != said => {
                refuse(format!("base_feature_dim is {said}, but {} yields {features}", self.backbone))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_configuration_reads_from_its_json() {
        let json = r#"{"backbone":"resnet50","layers":2,"heads":8,"dim":512,"ratio":2,"views":2,"head":2,"classes":55,"base_feature_dim":2048}"#;
        let config: VsFormerConfig = serde_json::from_str(json).expect("all fields of the published configuration");
        assert_eq!((config.backbone, config.classes, config.order), (BackboneKind::ResNet50, Some(55), 2));
        config.check().expect("published sizes");
    }

    #[test]
    fn a_small_network_without_widths_is_the_first_one() {
        let mut config = VsFormerConfig::published(BackboneKind::Small, None);
        assert_eq!(config.features(), SmallNetConfig::FEATURES);
        config.widths = None;
        assert_eq!(config.features(), 256);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_by_name() {
        let good = VsFormerConfig::published(BackboneKind::ResNet18, Some(3));
        good.check().expect("published sizes");
        let wrong: [(VsFormerConfig, &str); 10] = [
            (VsFormerConfig { heads: 7, ..good.clone() }, "7 heads"),
            (VsFormerConfig { heads: 0, ..good.clone() }, "0 heads"),
            (VsFormerConfig { dim: usize::MAX, ..good.clone() }, "dim"),
            (VsFormerConfig { head: 4, ..good.clone() }, "head is 4"),
            (VsFormerConfig { classes: Some(0), ..good.clone() }, "classes"),
            (VsFormerConfig { order: 4, ..good.clone() }, "order is 4"),
            (VsFormerConfig { base_feature_dim: Some(2048), ..good.clone() }, "base_feature_dim is 2048"),
            (VsFormerConfig { widths: Some(vec![16]), ..good.clone() }, "widths"),
            (VsFormerConfig { backbone: BackboneKind::Small, widths: Some(vec![1 << 40]), ..good.clone() }, "widths"),
            (VsFormerConfig { backbone: BackboneKind::Small, widths: Some(vec![]), ..good }, "0 widths"),
        ];
        for (config, part) in wrong {
            let message = config.check().expect_err(part).to_string();
            assert!(message.contains(part), "{message:?} does not name {part:?}");
        }
    }

    #[test]
    fn an_unknown_network_is_refused_with_the_known_ones() {
        let message = BackboneKind::parse("resnet19").expect_err("no such network").to_string();
        assert!(message.contains("resnet19") && message.contains("resnet18"), "{message}");
    }
}
