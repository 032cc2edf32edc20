//! What an index is made from, and what an update tells.

use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::source::{Failure, Stamp};
use serde::Serialize;

/// Shapes to be indexed: a folder in practice, numbers in tests.
pub trait Library {
    /// One shape.
    type Item: Item;

    /// The folder as the user named it. All paths are in it; what an index holds of other folders is left alone.
    fn root(&self) -> &str;

    /// Where the folder really is, however it is spelled; `None` where that means nothing.
    fn place(&self) -> Option<String>;

    /// All shapes, in the order in which they are to be worked on, and what could not be looked into.
    ///
    /// # Errors
    /// If the folder does not exist: that never means that its shapes were deleted.
    fn items(&self, job: Job) -> Result<Listing<Self::Item>>;

    /// Reads, renders and embeds some shapes, and answers for each in the order given. Called with a few dozen at
    /// a time, so that they can share a pass through the network. Once the job is cancelled,
    /// [`Error::Cancelled`] is a fine answer.
    fn prepare(&self, items: &[&Self::Item], job: Job) -> Vec<Result<Prepared>>;
}

/// One shape of a library.
pub trait Item: Send + Sync {
    /// The path to print, unique in the library; a member of an archive as `a.zip/inner.stl`.
    fn path(&self) -> &str;
    /// Size and time of the file.
    fn stamp(&self) -> Result<Stamp>;
    /// A digest of everything that decides the embedding, such as content and format. Equal digests share one.
    fn hash(&self) -> Result<[u8; 32]>;
}

/// What is in a library.
pub struct Listing<I> {
    /// The shapes.
    pub items: Vec<I>,
    /// Files that cannot be looked into; nothing under them counts as vanished.
    pub failures: Vec<Failure>,
}

/// A shape, ready for the index.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The network's answer.
    pub embedding: Embedding,
    /// Diagonal of the bounding box in the file's units; `None` for photographs.
    pub diagonal: Option<f64>,
    /// Number of triangles; `None` for photographs.
    pub triangles: Option<u64>,
    /// A picture, as PNG.
    pub thumbnail: Vec<u8>,
}

impl Prepared {
    /// Refuses what would spoil the index.
    pub(super) fn check(&self, set_width: usize, view_width: usize) -> Result<()> {
        let Embedding { set, views } = &self.embedding;
        if set.len() != set_width || views.iter().any(|v| v.len() != view_width) {
            return Err(Error::Invalid(format!(
                "the embedding has {} numbers and {:?} a view, the index {set_width} and {view_width}",
                set.len(),
                views.first().map(Vec::len)
            )));
        }
        if !set.iter().chain(views.iter().flatten()).all(|x| x.is_finite()) {
            return Err(Error::Invalid("the embedding holds numbers that are not finite".into()));
        }
        Ok(())
    }
}

/// What an update did. Paths with a shape before, plus added, minus removed, are those after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Paths that have a shape now and had none.
    pub added: usize,
    /// Paths whose shape is another one.
    pub updated: usize,
    /// Paths that have left: vanished, or no longer readable (then they are among the failures as well).
    pub removed: usize,
    /// Paths whose shape is the same.
    pub unchanged: usize,
    /// What could not be used, by path. Known ones are listed again, though not tried again until they change.
    pub failed: Vec<Failure>,
}
