//! What a network makes of a View Set, and who makes it.

use crate::error::Result;
use crate::render::RenderSettings;
use crate::view_set::ViewSet;

/// A shape as a point in the space where neighbours are alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The transition vector: maximum, then mean, over the encoded views. `2 * d` numbers, not normalised.
    pub set: Vec<f32>,
    /// The initializer's vector of each view, `d` numbers each, not normalised.
    pub views: Vec<Vec<f32>>,
}

/// Whatever turns View Sets into embeddings: a VSFormer, or a stand-in in tests.
pub trait Embedder {
    /// A digest of weights and settings. Embeddings of different identities must not be compared.
    fn identity(&self) -> String;
    /// Length of [`Embedding::set`].
    fn set_width(&self) -> usize;
    /// Length of each of [`Embedding::views`].
    fn view_width(&self) -> usize;
    /// How shapes must be rendered for it.
    fn render_settings(&self) -> &RenderSettings;
    /// Embeds shapes, which may have different numbers of views, in the order given.
    fn embed(&self, shapes: &[ViewSet]) -> Result<Vec<Embedding>>;
}
