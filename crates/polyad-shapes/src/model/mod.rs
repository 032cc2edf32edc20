//! A trained network with everything that using it needs: how shapes must be rendered, how pixels become numbers, what
//! the classes are called.
//!
//! A model is one safetensors file whose metadata hold a JSON header ([`Header`]). [`Definition`] reads and writes it,
//! [`Model`] reads and runs it; [`import()`] makes one of PyTorch's checkpoints.

mod batches;
mod builtin;
mod checkpoint;
mod definition;
mod export;
mod file;
mod header;
pub mod import;
mod infer;
mod map;
mod names;
mod npy;
mod stored;
mod weights;

use crate::embedding::{Embedder, Embedding};
use crate::error::Result;
use crate::render::RenderSettings;
use crate::view_set::ViewSet;
use crate::vsformer::{Encoder, Head, Projection, VsFormer};
use burn::tensor::Tensor;
use polyad_nn::engine::Engine;
use std::path::Path;

pub use builtin::{BUILTIN, builtin_bytes};
pub use checkpoint::Checkpoint;
pub use definition::Definition;
pub use header::{Header, InputNormalisation, Precision};
pub use import::import;
pub(crate) use weights::IMAGE_NETWORK;

/// A network ready to use, without gradients.
#[derive(Debug)]
pub struct Model {
    header: Header,
    /// The image network.
    engine: Engine,
    projection: Option<Projection>,
    encoder: Encoder,
    head: Option<Head>,
}

impl Model {
    /// A network and its header, ready for use: see [`Definition::new`] and [`Definition::into_model`].
    pub fn new(network: VsFormer, header: Header) -> Result<Self> {
        Definition::new(network, header)?.into_model()
    }

    /// Reads a model. What is damaged, truncated, foreign, or newer than this version is refused, and told apart.
    pub fn load(path: &Path) -> Result<Self> {
        Definition::load(path)?.into_model()
    }

    /// The built-in model, which embeds any shape, in any pose, and knows no classes: see [`distil`](crate::distil).
    ///
    /// # Errors
    /// None, unless this build of polyad is broken.
    pub fn builtin() -> Result<Self> {
        Definition::builtin()?.into_model()
    }

    /// The same model, whose image network multiplies numbers rounded to bfloat16 where the processor has instructions for
    /// that: see [`Engine::with_bfloat16`] for the error. Elsewhere the model stays as it is.
    pub fn with_bfloat16(self) -> Self {
        if Engine::has_bfloat16() { Model { engine: self.engine.with_bfloat16(), ..self } } else { self }
    }

    /// Everything but the weights.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the network's initializer makes of pictures.
    ///
    /// # Shapes
    /// - images: `[n, 3, height, width]`, normalised
    /// - output: `[n, dim]`
    fn features(&self, images: Tensor<4>) -> Result<Tensor<2>> {
        let features = self.engine.forward(images)?;
        Ok(match &self.projection {
            Some(projection) => projection.forward(features),
            None => features,
        })
    }

    /// Names of the classes; an error where it has none.
    pub fn classes(&self) -> Result<&[String]> {
        self.header.named_classes()
    }

    /// Refuses pictures made with other settings than the model's, naming the first that differs and both values.
    pub fn check_settings(&self, found: &RenderSettings) -> Result<()> {
        self.header.check_settings(found)
    }

    /// Refuses other classes than the model's, naming the first that differs.
    pub fn check_classes(&self, found: &[String]) -> Result<()> {
        self.header.check_classes(found)
    }

    /// A score for each class of each shape, in the order given.
    pub fn logits(&self, shapes: &[ViewSet]) -> Result<Vec<Vec<f32>>> {
        self.classes()?;
        Ok(batches::run(self, shapes)?.into_iter().filter_map(|output| output.logits).collect())
    }

    /// The embedding of each shape, and, where there are classes, a score for each, in the order given.
    pub fn embed_and_score(&self, shapes: &[ViewSet]) -> Result<Vec<(Embedding, Option<Vec<f32>>)>> {
        Ok(batches::run(self, shapes)?.into_iter().map(|output| (output.embedding, output.logits)).collect())
    }

    /// All classes of each shape with their probabilities, the most probable first.
    pub fn predict(&self, shapes: &[ViewSet]) -> Result<Vec<Vec<(String, f32)>>> {
        let classes = self.classes()?;
        let named =
            |logits: Vec<f32>| ranked(&logits).into_iter().map(|(class, p)| (classes[class].clone(), p)).collect();
        Ok(self.logits(shapes)?.into_iter().map(named).collect())
    }
}

/// The first few of many names, for messages.
fn first_names(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

/// The classes of a shape with these [`logits`](Model::logits), as places among them, each with its probability; the most
/// probable first.
pub fn ranked(logits: &[f32]) -> Vec<(usize, f32)> {
    let mut ranked: Vec<(usize, f32)> = softmax(logits).into_iter().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked
}

/// Probabilities from scores.
fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|logit| f64::from(logit - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| (weight / sum) as f32).collect()
}

impl Embedder for Model {
    fn identity(&self) -> String {
        self.header.checksum.clone()
    }

    fn set_width(&self) -> usize {
        2 * self.header.architecture.dim
    }

    fn view_width(&self) -> usize {
        self.header.architecture.dim
    }

    fn render_settings(&self) -> &RenderSettings {
        &self.header.render
    }

    fn embed(&self, shapes: &[ViewSet]) -> Result<Vec<Embedding>> {
        Ok(batches::run(self, shapes)?.into_iter().map(|output| output.embedding).collect())
    }
}
