//! The shapes of an index one by one, for pages and lists.

use super::centre::{Centre, cosine, take_away};
use super::fault::Outcome;
use super::record::{bytes_to_floats, key_id};
use super::search::Shelf;
use super::{Index, Snapshot, graph};
use crate::error::{Error, Result};
use crate::job::Job;
use polyad_simd::dot;
use rayon::prelude::*;

/// Shapes whose neighbours are looked for together: their embeddings stay in a processor's own cache.
const BLOCK: usize = 128;

/// A shape of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it is, by path; several where files are equal.
    pub paths: Vec<String>,
    /// Diagonal of the bounding box in the file's units; `None` for photographs.
    pub diagonal: Option<f64>,
    /// Number of triangles; `None` for photographs.
    pub triangles: Option<u64>,
    /// A picture, as PNG.
    pub thumbnail: Vec<u8>,
}

/// All shapes of an index at one moment, in a fixed order.
pub struct Entries<'a> {
    snapshot: Snapshot<'a>,
    index: &'a Index,
    ids: Vec<u32>,
}

impl Index {
    /// The shapes that have a path, as they are now.
    pub fn entries(&self) -> Result<Entries<'_>> {
        let txn = self.store.read()?;
        let collect = || -> Outcome<Entries<'_>> {
            let state = super::read_state(&txn, &self.store.tables)?;
            let snapshot = Snapshot { txn, tables: &self.store.tables, state };
            let mut ids = Vec::new();
            for entry in snapshot.tables.places.iter(&snapshot.txn)? {
                let id = key_id(entry?.0)?;
                if ids.last() != Some(&id) {
                    ids.push(id);
                }
            }
            Ok(Entries { snapshot, index: self, ids })
        };
        collect().map_err(|fault| fault.at(self.store.folder()))
    }
}

impl Entries<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The shape at a place in the order.
    pub fn get(&self, place: usize) -> Result<Entry> {
        let read = || -> Outcome<Entry> {
            let id = *self.ids.get(place).ok_or_else(|| Error::Invalid(format!("there is no shape {place}")))?;
            let record = self.snapshot.shape(id)?;
            let mut paths = self.snapshot.paths(id)?;
            paths.sort_unstable();
            let thumbnail = self.snapshot.value(&self.snapshot.tables.thumbnails, id, "thumbnail")?.to_vec();
            Ok(Entry { paths, diagonal: record.diagonal(), triangles: record.triangles, thumbnail })
        };
        read().map_err(|fault| fault.at(self.index.store.folder()))
    }

    /// Gives `each` shape's `k` nearest other shapes, as places in the order with their scores, nearest first; in
    /// the order of the shapes. By the graph where there is one, else by comparing all with all: about
    /// 0.1 µs a pair and core, in blocks, so that memory does not grow with the library.
    pub fn neighbours_of_all(
        &self,
        k: usize,
        job: Job,
        mut each: impl FnMut(Vec<(usize, f32)>) -> Result<()>,
    ) -> Result<()> {
        let folder = self.index.store.folder();
        let sets = self.snapshot.sets(Some(&self.ids)).map_err(|fault| fault.at(folder))?;
        job.reporter().begin("comparing", sets.len() as u64);
        // As many blocks at a time as keep all threads busy.
        for first in (0..sets.len()).step_by(BLOCK * rayon::current_num_threads().max(1)) {
            let last = sets.len().min(first + BLOCK * rayon::current_num_threads().max(1));
            let blocks: Vec<(usize, usize)> =
                (first..last).step_by(BLOCK).map(|from| (from, last.min(from + BLOCK))).collect();
            let found: Vec<Vec<(usize, f32)>> = if self.snapshot.state.graph_ready {
                let mut found = Vec::with_capacity(last - first);
                for place in first..last {
                    job.check()?;
                    found.push(self.by_graph(&sets, place, k).map_err(|fault| fault.at(folder))?);
                }
                found
            } else {
                blocks
                    .into_par_iter()
                    .map(|(from, to)| by_scan(&sets, &self.index.centre, from, to, k, job))
                    .collect::<Result<Vec<_>>>()?
                    .into_iter()
                    .flatten()
                    .collect()
            };
            let count = found.len() as u64;
            found.into_iter().try_for_each(&mut each)?;
            job.reporter().advance(count);
        }
        job.reporter().end();
        Ok(())
    }

    fn by_graph(&self, sets: &[(u32, &[u8])], place: usize, k: usize) -> Outcome<Vec<(usize, f32)>> {
        let centre = &self.index.centre;
        let mut query = vec![0.0; centre.set.len()];
        let length = read_set(sets[place].1, centre, &mut query);
        let ids = graph::near(&self.snapshot.txn, self.snapshot.tables.graph, &query, k.saturating_add(1))?;
        let mut best = Vec::with_capacity(ids.len());
        let mut other = vec![0.0; query.len()];
        for id in ids {
            // A shape without a path may still be linked.
            let Ok(at) = self.ids.binary_search(&id) else { continue };
            if at != place {
                let other_length = read_set(sets[at].1, centre, &mut other);
                keep(&mut best, k, (at, cosine(dot(&query, &other), length, other_length)));
            }
        }
        Ok(best)
    }
}

/// Reads an embedding and takes the centre away; gives the length of what is left.
fn read_set(bytes: &[u8], centre: &Centre, out: &mut [f32]) -> f64 {
    bytes_to_floats(bytes, out);
    take_away(&centre.set, out)
}

/// The neighbours of the shapes from `from` to `to`, by comparing them with all.
fn by_scan(
    sets: &[(u32, &[u8])],
    centre: &Centre,
    from: usize,
    to: usize,
    k: usize,
    job: Job,
) -> Result<Vec<Vec<(usize, f32)>>> {
    let width = centre.set.len();
    let mut queries = vec![0.0; (to - from) * width];
    let mut lengths = Vec::with_capacity(to - from);
    for (row, (_, bytes)) in sets[from..to].iter().enumerate() {
        lengths.push(read_set(bytes, centre, &mut queries[row * width..(row + 1) * width]));
    }
    let mut best = vec![Vec::with_capacity(k + 1); to - from];
    let mut other = vec![0.0; width];
    for (at, (_, bytes)) in sets.iter().enumerate() {
        if at % 1024 == 0 {
            job.check()?;
        }
        let other_length = read_set(bytes, centre, &mut other);
        for (row, best) in best.iter_mut().enumerate() {
            if from + row != at {
                let query = &queries[row * width..(row + 1) * width];
                keep(best, k, (at, cosine(dot(query, &other), lengths[row], other_length)));
            }
        }
    }
    Ok(best)
}

/// Inserts into a sorted list of at most `k`, equal scores by place.
fn keep(best: &mut Vec<(usize, f32)>, k: usize, new: (usize, f32)) {
    if best.len() >= k && best.last().is_none_or(|last| new.1 <= last.1 && (new.1 < last.1 || new.0 > last.0)) {
        return;
    }
    let before = |other: &(usize, f32)| other.1 > new.1 || (other.1 == new.1 && other.0 < new.0);
    best.insert(best.partition_point(before), new);
    best.truncate(k);
}
