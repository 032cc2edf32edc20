//! A folder of files as a library: read, drawn, embedded.
//!
//! Reading and drawing run in parallel, shape by shape; the network then takes the batch as one.

use super::update::{Item, Library, Listing, Prepared};
use crate::embedding::Embedder;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::normalise::{Pose, normalise};
use crate::read::extension;
use crate::render::{RenderSettings, fit_photos, render, thumbnail};
use crate::source::{Classes, Kind, Shape, Source, Stamp, walk_classes};
use crate::view_set::ViewSet;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Side of a thumbnail in pixels.
pub const THUMBNAIL: usize = 128;

/// A folder, an archive or a file, with the network that embeds what is in it.
pub struct Folder<'a> {
    path: PathBuf,
    spelled: String,
    classes: Classes,
    embedder: &'a dyn Embedder,
}

/// A shape before the network.
struct Drawn {
    views: ViewSet,
    diagonal: Option<f64>,
    triangles: Option<u64>,
    thumbnail: Vec<u8>,
}

impl<'a> Folder<'a> {
    /// The shapes below a path; they are looked for when they are needed.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the path is not UTF-8, as all names in an index are.
    pub fn new(path: &Path, embedder: &'a dyn Embedder) -> Result<Folder<'a>> {
        let spelled = path.to_str().ok_or_else(|| Error::Invalid(format!("{}: not UTF-8", path.display())))?;
        Ok(Folder { path: path.to_owned(), spelled: spelled.to_owned(), classes: Classes::Unknown, embedder })
    }

    /// The same, where each folder in it is known to be a class.
    pub fn of_classes(self) -> Folder<'a> {
        Folder { classes: Classes::Below, ..self }
    }
}

impl Library for Folder<'_> {
    type Item = Source;

    fn root(&self) -> &str {
        &self.spelled
    }

    fn place(&self) -> Option<String> {
        self.path.canonicalize().ok()?.to_str().map(str::to_owned)
    }

    fn items(&self, job: Job) -> Result<Listing<Source>> {
        let found = walk_classes(&self.path, self.classes, job)?;
        Ok(Listing { items: found.shapes, failures: found.failures })
    }

    fn prepare(&self, items: &[&Source], job: Job) -> Vec<Result<Prepared>> {
        let settings = self.embedder.render_settings();
        let drawn = items.par_iter().map(|source| {
            job.check()?;
            draw(&source.load()?, settings, job).map_err(|e| e.in_file(&source.path))
        });
        embed(drawn.collect(), self.embedder, job)
    }
}

impl Item for Source {
    fn path(&self) -> &str {
        &self.path
    }

    fn stamp(&self) -> Result<Stamp> {
        Source::stamp(self)
    }

    /// The content, and the format that its name promises: the same bytes may be another shape in another format.
    fn hash(&self) -> Result<[u8; 32]> {
        let format = match self.kind {
            Kind::Mesh => extension(&self.path),
            Kind::Photos => "photos".into(),
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.content_hash()?).update(format.as_bytes());
        Ok(hasher.finalize().into())
    }
}

/// Draws and embeds shapes that are not in an index, such as queries, and answers for each in the order given.
pub fn prepare_shapes(shapes: &[Shape], embedder: &dyn Embedder, job: Job) -> Vec<Result<Prepared>> {
    let settings = embedder.render_settings();
    embed(shapes.par_iter().map(|shape| draw(shape, settings, job)).collect(), embedder, job)
}

fn draw(shape: &Shape, settings: &RenderSettings, job: Job) -> Result<Drawn> {
    match shape {
        Shape::Mesh(mesh) => {
            let normal = normalise(mesh, Pose::default(), job)?;
            let diagonal = mesh.bounds().map(|[low, high]| {
                let [x, y, z] = [0, 1, 2].map(|axis| high[axis] - low[axis]);
                (x * x + y * y + z * z).sqrt()
            });
            Ok(Drawn {
                views: render(&normal, settings, job)?,
                diagonal: diagonal.filter(|diagonal| diagonal.is_finite()),
                triangles: Some(mesh.triangles.len() as u64),
                thumbnail: thumbnail(&normal, THUMBNAIL, job)?.to_png()?,
            })
        }
        Shape::Photos(photos) => {
            let first = photos.views.first().ok_or_else(|| Error::Empty("no pictures".into()))?;
            let small = fit_photos(&ViewSet { views: vec![first.clone()] }, THUMBNAIL)?;
            Ok(Drawn {
                views: fit_photos(photos, settings.size)?,
                diagonal: None,
                triangles: None,
                thumbnail: small.views.first().map_or_else(|| Ok(Vec::new()), |view| view.to_png())?,
            })
        }
    }
}

/// Embeds what could be drawn. If the network refuses the batch, each shape is tried alone, so that one does not
/// spoil the others.
fn embed(drawn: Vec<Result<Drawn>>, embedder: &dyn Embedder, job: Job) -> Vec<Result<Prepared>> {
    let mut views = Vec::with_capacity(drawn.len());
    let drawn: Vec<Result<Drawn>> = drawn
        .into_iter()
        .map(|drawn| {
            let mut drawn = drawn?;
            views.push(std::mem::replace(&mut drawn.views, ViewSet { views: Vec::new() }));
            Ok(drawn)
        })
        .collect();
    let alone = |views: &ViewSet| {
        job.check()?;
        let one = embedder.embed(std::slice::from_ref(views))?;
        one.into_iter().next().ok_or_else(|| Error::Model("it gave no embedding".into()))
    };
    let together = if views.is_empty() { Ok(Vec::new()) } else { job.check().and_then(|()| embedder.embed(&views)) };
    let mut embedded = match together {
        Ok(all) if all.len() == views.len() => all.into_iter().map(Ok).collect::<Vec<_>>(),
        Err(Error::Cancelled) => views.iter().map(|_| Err(Error::Cancelled)).collect(),
        _ => views.iter().map(alone).collect(),
    }
    .into_iter();
    drawn
        .into_iter()
        .map(|drawn| {
            let Drawn { diagonal, triangles, thumbnail, .. } = drawn?;
            let embedding = embedded.next().unwrap_or(Err(Error::Cancelled))?;
            Ok(Prepared { embedding, diagonal, triangles, thumbnail })
        })
        .collect()
}
