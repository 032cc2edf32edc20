//! The same search over a folder, without writing anything.

use super::centre::{Centre, Mean};
use super::fault::Outcome;
use super::record::{bytes_to_views, floats_to_bytes, views_to_bytes};
use super::search::{Neighbour, SearchOptions, Shelf, search};
use super::update::{Failure, Item, Library};
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::job::Job;
use std::path::Path;

/// Shapes prepared together.
const BATCH: usize = 32;

/// The shapes of a folder, in memory: about 24 kB each at 20 views of 512 numbers.
pub struct MemoryIndex {
    shapes: Vec<Shape>,
    centre: Centre,
}

struct Shape {
    path: String,
    diagonal: Option<f64>,
    set: Vec<u8>,
    views: Vec<u8>,
}

impl MemoryIndex {
    /// Embeds a library for vectors of these lengths; what cannot be used is listed.
    ///
    /// # Errors
    /// What [`Library::items`] says, and [`Error::Cancelled`].
    pub fn build<L: Library>(
        library: &L,
        set_width: usize,
        view_width: usize,
        job: Job,
    ) -> Result<(MemoryIndex, Vec<Failure>)> {
        let listing = library.items(job)?;
        let mut failures = listing.failures;
        let mut shapes = Vec::with_capacity(listing.items.len());
        let (mut set, mut view) = (Mean::new(set_width), Mean::new(view_width));
        let (mut halves, mut all) = (Vec::new(), Vec::new());
        job.reporter().begin("embedding", listing.items.len() as u64);
        for batch in listing.items.chunks(BATCH) {
            job.check()?;
            let items: Vec<&L::Item> = batch.iter().collect();
            for (item, prepared) in batch.iter().zip(library.prepare(&items)) {
                let path = item.path().to_owned();
                match prepared.and_then(|p| p.check(set_width, view_width).map(|()| p)) {
                    Ok(prepared) => {
                        let views = views_to_bytes(&prepared.embedding.views);
                        set.add(&prepared.embedding.set, 1);
                        bytes_to_views(&views, &mut halves, &mut all);
                        for v in all.chunks_exact(view_width.max(1)) {
                            view.add(v, prepared.embedding.views.len());
                        }
                        let set = floats_to_bytes(&prepared.embedding.set);
                        shapes.push(Shape { path, diagonal: prepared.diagonal, set, views });
                    }
                    Err(Error::Cancelled) => return Err(Error::Cancelled),
                    Err(e) => failures.push(Failure { path, error: e.reason() }),
                }
            }
            job.reporter().advance(batch.len() as u64);
        }
        job.reporter().end();
        failures.sort();
        Ok((MemoryIndex { shapes, centre: Centre { set: set.shrunk(), view: view.shrunk() } }, failures))
    }

    /// How many shapes there are.
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// As [`Index::search`](super::Index::search), always exact.
    ///
    /// # Errors
    /// [`Error::Invalid`] for embeddings of other widths.
    pub fn search(&self, query: &Embedding, options: &SearchOptions) -> Result<Vec<Neighbour>> {
        search(self, &self.centre, query, options).map_err(|fault| fault.at(Path::new("")))
    }

    fn pick<'a>(&'a self, only: Option<&[u32]>, part: impl Fn(&'a Shape) -> &'a [u8]) -> Vec<(u32, &'a [u8])> {
        let all = (0u32..).zip(&self.shapes).map(|(id, shape)| (id, part(shape)));
        match only {
            None => all.collect(),
            // Both are sorted: `sizes` lists ids in order.
            Some(ids) => all.filter(|(id, _)| ids.binary_search(id).is_ok()).collect(),
        }
    }
}

impl Shelf for MemoryIndex {
    fn sets(&self, only: Option<&[u32]>) -> Outcome<Vec<(u32, &[u8])>> {
        Ok(self.pick(only, |shape| &shape.set))
    }

    fn views(&self, only: Option<&[u32]>) -> Outcome<Vec<(u32, &[u8])>> {
        Ok(self.pick(only, |shape| &shape.views))
    }

    fn sizes(&self, from: f64, to: f64) -> Outcome<Vec<u32>> {
        let fits = |shape: &Shape| shape.diagonal.is_some_and(|d| (from..=to).contains(&d));
        Ok((0u32..).zip(&self.shapes).filter(|(_, shape)| fits(shape)).map(|(id, _)| id).collect())
    }

    fn near(&self, _: &[f32], _: usize) -> Outcome<Option<Vec<u32>>> {
        Ok(None)
    }

    fn paths(&self, id: u32) -> Outcome<Vec<String>> {
        Ok(self.shapes.get(id as usize).map(|shape| shape.path.clone()).into_iter().collect())
    }
}
