//! Where neighbours are looked for: an index, or a folder without one.

use crate::failure::Result;
use polyad_shapes::Error;
use polyad_shapes::embedding::{Embedder, Embedding};
use polyad_shapes::index::{Folder, Index, Library, MemoryIndex, Neighbour, SearchOptions, THUMBNAIL};
use polyad_shapes::job::Job;
use polyad_shapes::model::Model;
use polyad_shapes::normalise::{Pose, normalise};
use polyad_shapes::render::{fit_photos, thumbnail};
use polyad_shapes::source::{Shape, Source};
use polyad_shapes::view_set::View;
use std::collections::HashMap;
use std::path::Path;

pub enum Shelf {
    Index(Box<Index>),
    Folder { index: MemoryIndex, sources: HashMap<String, Source>, root: String },
}

impl Shelf {
    /// An index, for queries embedded by `model`.
    pub fn of_index(path: &Path, model: &Model) -> Result<Shelf> {
        let index = Index::open(path)?;
        index.require_model(&model.identity())?;
        Ok(Shelf::Index(Box::new(index)))
    }

    /// All shapes of a folder, embedded now. Of what cannot be read the user is warned.
    pub fn of_folder(folder: &Folder, model: &Model, job: Job) -> Result<Shelf> {
        let (index, failures) = MemoryIndex::build(folder, model.set_width(), model.view_width(), job)?;
        for failure in failures {
            job.reporter().warn(&format!("{}: {}", failure.path, failure.error));
        }
        let sources = folder.items(job)?.items.into_iter().map(|source| (source.path.clone(), source)).collect();
        Ok(Shelf::Folder { index, sources, root: folder.root().to_owned() })
    }

    /// The nearest neighbours of a query.
    pub fn search(&self, query: &Embedding, options: &SearchOptions) -> Result<Vec<Neighbour>> {
        Ok(match self {
            Shelf::Index(index) => index.search(query, options)?,
            Shelf::Folder { index, .. } => index.search(query, options)?,
        })
    }

    /// The folders that it holds.
    pub fn roots(&self) -> Result<Vec<String>> {
        Ok(match self {
            Shelf::Index(index) => index.roots()?,
            Shelf::Folder { root, .. } => vec![root.clone()],
        })
    }

    /// A small picture of a shape that was found.
    pub fn picture(&self, path: &str, job: Job) -> Result<View, Error> {
        let lost = || Error::Index(format!("{path} has no picture"));
        match self {
            Shelf::Index(index) => View::from_image(&index.thumbnail(path)?.ok_or_else(lost)?),
            Shelf::Folder { sources, .. } => match sources.get(path).ok_or_else(lost)?.load()? {
                Shape::Mesh(mesh) => thumbnail(&normalise(&mesh, Pose::default(), job)?, THUMBNAIL, job),
                Shape::Photos(set) => fit_photos(&set, THUMBNAIL)?.views.into_iter().next().ok_or_else(lost),
            },
        }
    }
}
