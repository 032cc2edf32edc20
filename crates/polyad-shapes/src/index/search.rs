//! Neighbours of a query, from an index on disk or from a folder in memory.
//!
//! An exact scan compares the query with every shape: 0.4 µs a shape and core. Above [`EXACT_BELOW`] shapes a graph
//! proposes candidates, which are then compared exactly, so that a score never depends on how it was found.
//!
//! Two questions are always answered by a scan. `--same-size` looks only at shapes of the right size, which the
//! size table lists: a filter on a graph's answer could come back with fewer than `k`. `best-view` compares
//! all views of the query with all of each shape (about 10 µs a shape and core for a View Set of 20, a twentieth for
//! a photograph): candidates by set would miss the very shapes that it is for, those that look alike from one
//! side only.

use super::centre::{Centre, cosine, take_away};
use super::fault::Outcome;
use super::record::{bytes_to_floats, bytes_to_views, views_to_bytes};
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use polyad_simd::dot;
use rayon::prelude::*;

/// Up to this many shapes, all are compared: a scan then takes few milliseconds, and is exact.
pub const EXACT_BELOW: usize = 20_000;
/// `--same-size` keeps neighbours whose bounding diagonal differs by at most this share.
pub const SAME_SIZE: f64 = 0.10;
/// Shapes a task of a scan compares.
const CHUNK: usize = 256;

/// What "alike" means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Score {
    /// The cosine of the embeddings.
    #[default]
    Set,
    /// The highest cosine of any view of the query with any view of the shape.
    BestView,
}

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// How many neighbours.
    pub k: usize,
    /// Only shapes whose bounding diagonal is within 10 % of this one, in the files' units.
    pub same_size: Option<f64>,
    /// What "alike" means.
    pub score: Score,
    /// A path that is not its own neighbour.
    pub exclude: Option<String>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        SearchOptions { k: 10, same_size: None, score: Score::Set, exclude: None }
    }
}

/// A shape that is alike.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Neighbour {
    /// Its path, as it was given when it was indexed.
    pub path: String,
    /// The cosine, from -1 to 1; 1 is the same shape.
    pub score: f32,
}

/// Where shapes are: on disk or in memory.
pub(super) trait Shelf {
    /// Ids and embeddings of all shapes, or of those asked for.
    fn sets(&self, only: Option<&[u32]>) -> Outcome<Vec<(u32, &[u8])>>;
    /// Ids and view vectors of all shapes, or of those asked for.
    fn views(&self, only: Option<&[u32]>) -> Outcome<Vec<(u32, &[u8])>>;
    /// Shapes whose bounding diagonal lies between two numbers, both included.
    fn sizes(&self, from: f64, to: f64) -> Outcome<Vec<u32>>;
    /// Candidates from a graph, where there is one, for a query without its centre.
    fn near(&self, query: &[f32], count: usize) -> Outcome<Option<Vec<u32>>>;
    /// The paths of a shape.
    fn paths(&self, id: u32) -> Outcome<Vec<String>>;
}

/// The `k` nearest, nearest first; equal scores by path. Fewer only where there are no more.
pub(super) fn search(
    shelf: &dyn Shelf,
    centre: &Centre,
    query: &Embedding,
    options: &SearchOptions,
) -> Outcome<Vec<Neighbour>> {
    check(query, centre)?;
    let only = match options.same_size {
        Some(diagonal) => Some(shelf.sizes(diagonal * (1.0 - SAME_SIZE), diagonal * (1.0 + SAME_SIZE))?),
        None => None,
    };
    let scored = match options.score {
        Score::Set => {
            let mut set = query.set.clone();
            let length = take_away(&centre.set, &mut set);
            let only = match only {
                // One more, since one may be excluded.
                None => shelf.near(&set, options.k.saturating_add(1))?,
                some => some,
            };
            score_sets(&set, length, centre, &shelf.sets(only.as_deref())?)
        }
        Score::BestView => score_views(&query.views, centre, &shelf.views(only.as_deref())?),
    };
    nearest(shelf, scored, options)
}

/// Refuses a query that another model made.
fn check(query: &Embedding, centre: &Centre) -> Result<()> {
    let (set, view) = (centre.set.len(), centre.view.len());
    if query.set.len() != set || query.views.iter().any(|v| v.len() != view) {
        let found = query.views.first().map_or(view, Vec::len);
        return Err(Error::Invalid(format!(
            "the query has embeddings of {} and {found} numbers, the index of {set} and {view}",
            query.set.len()
        )));
    }
    Ok(())
}

fn score_sets(query: &[f32], length: f64, centre: &Centre, sets: &[(u32, &[u8])]) -> Vec<(u32, f32)> {
    let score = |chunk: &[(u32, &[u8])]| -> Vec<(u32, f32)> {
        let mut vector = vec![0.0; query.len()];
        let one = |(id, bytes): &(u32, &[u8])| {
            bytes_to_floats(bytes, &mut vector);
            let other = take_away(&centre.set, &mut vector);
            (*id, cosine(dot(query, &vector), length, other))
        };
        chunk.iter().map(one).collect()
    };
    // Waking other threads would take longer than what a graph proposes.
    if sets.len() <= CHUNK { score(sets) } else { sets.par_chunks(CHUNK).flat_map_iter(score).collect() }
}

fn score_views(query: &[Vec<f32>], centre: &Centre, views: &[(u32, &[u8])]) -> Vec<(u32, f32)> {
    let width = centre.view.len().max(1);
    // The query goes through half precision too, so that a picture and itself have a cosine of one.
    let (mut halves, mut query_views) = (Vec::new(), Vec::new());
    bytes_to_views(&views_to_bytes(query), &mut halves, &mut query_views);
    let query: Vec<_> = query_views
        .chunks_exact_mut(width)
        .map(|view| {
            let length = take_away(&centre.view, view);
            (&*view, length)
        })
        .collect();
    views
        .par_chunks(CHUNK / 8)
        .flat_map_iter(|chunk| {
            let (mut halves, mut all) = (Vec::new(), Vec::new());
            let one = |(id, bytes): &(u32, &[u8])| {
                bytes_to_views(bytes, &mut halves, &mut all);
                let mut best = -1.0f32;
                for view in all.chunks_exact_mut(width) {
                    let length = take_away(&centre.view, view);
                    for (q, q_length) in &query {
                        best = best.max(cosine(dot(q, view), *q_length, length));
                    }
                }
                (*id, best)
            };
            chunk.iter().map(one).collect::<Vec<_>>()
        })
        .collect()
}

/// Turns scored shapes into the `k` best paths. All shapes of one score are looked at together, since ties are
/// broken by path, and a shape may have many.
fn nearest(shelf: &dyn Shelf, mut scored: Vec<(u32, f32)>, options: &SearchOptions) -> Outcome<Vec<Neighbour>> {
    scored.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut found = Vec::new();
    for tied in scored.chunk_by(|a, b| a.1 == b.1) {
        if found.len() >= options.k {
            break;
        }
        let first = found.len();
        for (id, score) in tied {
            let paths = shelf.paths(*id)?.into_iter().filter(|path| Some(path) != options.exclude.as_ref());
            found.extend(paths.map(|path| Neighbour { path, score: *score }));
        }
        found[first..].sort_unstable_by(|a, b| a.path.cmp(&b.path));
    }
    found.truncate(options.k);
    Ok(found)
}
