//! The same search over a folder, without writing anything.

use super::centre::Centre;
use super::fault::Outcome;
use super::record::{floats_to_bytes, views_to_bytes};
use super::search::{Neighbour, SearchOptions, Shelf, search};
use super::update::{Item, Library, Prepared};
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::source::Failure;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Shapes prepared together.
const BATCH: usize = 16;

/// The shapes of a folder, in memory: about 24 kB each at 20 views of 512 numbers.
pub struct MemoryIndex {
    shapes: Vec<Shape>,
    centre: Centre,
}

struct Shape {
    paths: Vec<String>,
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
        let mut shapes: Vec<Shape> = Vec::new();
        let mut by_content: HashMap<[u8; 32], usize> = HashMap::new();
        job.reporter().begin("embedding", listing.items.len() as u64);
        for batch in listing.items.chunks(BATCH) {
            job.check()?;
            let mut unknown: Vec<(&L::Item, [u8; 32])> = Vec::new();
            let mut copies: Vec<(&L::Item, [u8; 32])> = Vec::new();
            let hashes: Vec<_> = batch.par_iter().map(Item::hash).collect();
            for (item, hash) in batch.iter().zip(hashes) {
                match hash {
                    Ok(hash) if by_content.contains_key(&hash) || unknown.iter().any(|(_, h)| *h == hash) => {
                        copies.push((item, hash));
                    }
                    Ok(hash) => unknown.push((item, hash)),
                    Err(e) => failures.push(Failure { path: item.path().to_owned(), error: e.reason() }),
                }
            }
            let items: Vec<&L::Item> = unknown.iter().map(|(item, _)| *item).collect();
            let mut errors: HashMap<[u8; 32], String> = HashMap::new();
            for ((item, hash), prepared) in unknown.iter().zip(library.prepare(&items, job)) {
                let path = item.path().to_owned();
                match prepared.and_then(|p| p.check(set_width, view_width).map(|()| p)) {
                    Ok(Prepared { embedding, diagonal, .. }) => {
                        by_content.insert(*hash, shapes.len());
                        let (set, views) = (floats_to_bytes(&embedding.set), views_to_bytes(&embedding.views));
                        shapes.push(Shape { paths: vec![path], diagonal, set, views });
                    }
                    Err(Error::Cancelled) => return Err(Error::Cancelled),
                    Err(e) => {
                        errors.insert(*hash, e.reason());
                        failures.push(Failure { path, error: e.reason() });
                    }
                }
            }
            for (item, hash) in copies {
                let path = item.path().to_owned();
                match by_content.get(&hash) {
                    Some(place) => shapes[*place].paths.push(path),
                    None => failures.push(Failure { path, error: errors.get(&hash).cloned().unwrap_or_default() }),
                }
            }
            job.reporter().advance(batch.len() as u64);
        }
        job.reporter().end();
        failures.sort_by(|a, b| a.path.cmp(&b.path));
        let centre = Centre::measure(
            (set_width, view_width),
            shapes.iter().map(|shape| Ok(&shape.set[..])),
            shapes.iter().map(|shape| Ok(&shape.views[..])),
        );
        let centre = centre.map_err(|fault| fault.at(Path::new("")))?;
        Ok((MemoryIndex { shapes, centre }, failures))
    }

    /// How many different shapes there are.
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
        Ok(self.shapes.get(id as usize).map(|shape| shape.paths.clone()).unwrap_or_default())
    }
}
