//! The graph over a large library: hannoy's, in the index's own environment.
//!
//! It holds every vector once more, without the centre and of length one, in a form made for its distance. Vectors
//! enter with the transaction that adds their shape; links are made at the end of an update, in one
//! transaction. Between the two, and after a kill, `graph_ready` is false and searches scan.
//!
//! Links are made by many threads and depend on their order: above [`EXACT_BELOW`](super::search::EXACT_BELOW) shapes
//! answers may, rarely, differ between two builds.

use super::centre::{Centre, take_away};
use super::fault::Outcome;
use super::record::bytes_to_floats;
use crate::job::Job;
use hannoy::distances::Cosine;
use hannoy::{Database, Reader, Writer};
use heed::{RoTxn, RwTxn};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Links a shape on the upper layers, and on the lowest.
const LINKS: usize = 16;
const LOWEST_LINKS: usize = 32;
/// Shapes looked at when a shape is linked: as in the trial that reached recall 0.9995.
const EF_BUILD: usize = 128;
/// Shapes looked at when a query is answered, or as many as are wanted: between 64 (recall 0.9995 in the trial) and
/// 128 (1.0), since near-duplicates are where graphs are weak.
const EF_SEARCH: usize = 96;
/// There is one graph in the table.
const ONLY: u16 = 0;

/// Bytes that linking takes, an estimate: links of a shape as a bitmap, with its key.
pub(super) fn link_bytes(shapes: usize) -> usize {
    shapes.saturating_mul(800)
}

/// Adds or replaces a shape. Links follow with [`link`].
pub(super) fn add(
    txn: &mut RwTxn,
    graph: Database<'static, Cosine>,
    id: u32,
    centre: &Centre,
    bytes: &[u8],
) -> Outcome<()> {
    let mut vector = vec![0.0; centre.set.len()];
    bytes_to_floats(bytes, &mut vector);
    let length = take_away(&centre.set, &mut vector) as f32;
    // A vector of no direction is at distance 0 from everything in hannoy: it must not enter.
    if length > 0.0 && length.is_finite() {
        vector.iter_mut().for_each(|x| *x /= length);
        Writer::new(graph, ONLY, vector.len()).add_item(txn, id, &vector)?;
    }
    Ok(())
}

/// Takes a shape out.
pub(super) fn remove(txn: &mut RwTxn, graph: Database<'static, Cosine>, id: u32, width: usize) -> Outcome<()> {
    Writer::new(graph, ONLY, width).del_item(txn, id)?;
    Ok(())
}

/// Empties the graph.
pub(super) fn clear(txn: &mut RwTxn, graph: Database<'static, Cosine>, width: usize) -> Outcome<()> {
    Ok(Writer::new(graph, ONLY, width).clear(txn)?)
}

/// Links what was added, and closes the gaps of what was removed. A cancelled job is noticed every 10,000 shapes.
pub(super) fn link(txn: &mut RwTxn, graph: Database<'static, Cosine>, width: usize, job: Job) -> Outcome<()> {
    let mut random = StdRng::seed_from_u64(0);
    Writer::new(graph, ONLY, width)
        .builder(&mut random)
        .ef_construction(EF_BUILD)
        .cancel(|| job.check().is_err())
        .build::<LINKS, LOWEST_LINKS>(txn)?;
    Ok(())
}

/// At least `count` candidates near a vector without its centre, where the graph has so many.
pub(super) fn near(txn: &RoTxn, graph: Database<'static, Cosine>, query: &[f32], count: usize) -> Outcome<Vec<u32>> {
    let reader = Reader::open(txn, ONLY, graph)?;
    let wanted = count.max(EF_SEARCH);
    let found = reader.nns(wanted).ef_search(wanted).by_vector(txn, query)?;
    Ok(found.into_nns().into_iter().map(|(id, _)| id).collect())
}
