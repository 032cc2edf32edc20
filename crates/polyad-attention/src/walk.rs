//! Which rows of scores are computed, in batches that fill the kernels' tiles.
//!
//! A row is a query with one token of every outer axis: its scores are those with all tokens of the inner axis.
//!
//! ```text
//! 1. for each tuple of outer tokens that some query of the block sees
//! 2.   for each query of the block that sees it:  a row
//! ```
//!
//! Rows of several tuples share a batch, so masks leave no tile half empty, and a single query (decoding) fills tiles
//! with its tuples.

use crate::prepare::Prepared;
use std::ops::Range;

/// The queries of one head that are computed together.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The query head, over all batch entries.
    pub head: usize,
    /// Its queries.
    pub queries: Range<usize>,
    /// The part of the tuples, or of the inner axis where there is no outer one, that is walked: the first of so many.
    pub part: (usize, usize),
}

/// One row of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The query, counted within the block.
    pub query: usize,
    /// The tuple, counted within the batch.
    pub slot: usize,
    /// The inner tokens that are visible.
    pub low: usize,
    pub high: usize,
}

/// Rows that are computed at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub rows: Vec<Row>,
    /// For each slot the token of every outer axis.
    pub tuples: Vec<usize>,
    /// The outer axes.
    pub axes: usize,
}

impl Batch {
    /// The tokens of a slot.
    pub fn tuple(&self, slot: usize) -> &[usize] {
        &self.tuples[slot * self.axes..(slot + 1) * self.axes]
    }

    /// Slots in use.
    pub fn slots(&self) -> usize {
        self.rows.last().map_or(0, |row| row.slot + 1)
    }

    /// Whether the rows are of queries that follow each other.
    pub fn is_run(&self) -> bool {
        self.rows.windows(2).all(|pair| pair[0].query + 1 == pair[1].query)
    }

    /// The inner tokens that some row sees.
    pub fn span(&self) -> Range<usize> {
        let low = self.rows.iter().map(|row| row.low).min().unwrap_or(0);
        let high = self.rows.iter().map(|row| row.high).max().unwrap_or(0);
        low..high.max(low)
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.tuples.clear();
    }
}

/// The inner tokens of a block's part, a share of those that its queries see where there is no outer axis.
pub(crate) fn inner_of_part(prepared: &Prepared, block: &Block) -> Range<usize> {
    let (problem, shape) = (prepared.problem, prepared.shape);
    if !shape.outer.is_empty() {
        return 0..problem.keys[shape.inner];
    }
    let length = problem.length(block.head / problem.heads, shape.inner);
    let ranges = block.queries.clone().map(|query| problem.visible(shape.inner, query));
    let (low, high) = ranges.fold((usize::MAX, 0), |all, (low, high)| (all.0.min(low), all.1.max(high.min(length))));
    let (part, parts) = block.part;
    let edge = |part: usize| low.saturating_add(high.saturating_sub(low) * part / parts);
    edge(part)..edge(part + 1)
}

/// Calls `flush` with batches of at most `capacity` rows until all visible rows of the block have been in one, of their
/// inner tokens those within a range.
pub(crate) fn walk(
    prepared: &Prepared,
    block: &Block,
    within: &Range<usize>,
    capacity: usize,
    batch: &mut Batch,
    mut flush: impl FnMut(&Batch),
) {
    let (problem, shape) = (prepared.problem, prepared.shape);
    let entry = block.head / problem.heads;
    let capacity = if prepared.finite[shape.key_head(problem, block.head)] { capacity } else { 1 };
    batch.clear();
    batch.axes = shape.outer.len();
    let length = problem.length(entry, shape.inner);
    let inner = |query: usize| {
        let (low, high) = problem.visible(shape.inner, query);
        (low.max(within.start), high.min(length).min(within.end))
    };
    if shape.outer.is_empty() {
        for query in block.queries.clone() {
            add(batch, query - block.queries.start, inner(query), &[], capacity, &mut flush);
        }
    } else {
        let ranges: Vec<Range<usize>> = shape
            .outer
            .iter()
            .map(|axis| {
                let (low, _) = problem.visible(*axis, block.queries.start);
                let (_, high) = problem.visible(*axis, block.queries.end - 1);
                low..high.min(problem.length(entry, *axis)).max(low)
            })
            .collect();
        let count: usize = ranges.iter().map(Range::len).product();
        let (part, parts) = block.part;
        let mut tuple = vec![0; shape.outer.len()];
        for index in count * part / parts..count * (part + 1) / parts {
            let mut rest = index;
            for (token, range) in tuple.iter_mut().zip(&ranges).rev() {
                *token = range.start + rest % range.len();
                rest /= range.len();
            }
            let pairs = || tuple.iter().zip(&shape.outer);
            if !pairs().all(|(token, axis)| prepared.counts(entry, *axis, *token)) {
                continue;
            }
            let (from, to) = pairs().fold((block.queries.start, block.queries.end), |(from, to), (token, axis)| {
                let (low, high) = problem.seen_by(*axis, *token);
                (from.max(low), to.min(high))
            });
            for query in from..to.max(from) {
                add(batch, query - block.queries.start, inner(query), &tuple, capacity, &mut flush);
            }
        }
    }
    if !batch.rows.is_empty() {
        flush(batch);
    }
}

fn add(
    batch: &mut Batch,
    query: usize,
    (low, high): (usize, usize),
    tuple: &[usize],
    capacity: usize,
    flush: &mut impl FnMut(&Batch),
) {
    if low >= high {
        return;
    }
    if batch.rows.len() == capacity {
        flush(batch);
        batch.clear();
    }
    let known = batch.slots();
    let slot = if known > 0 && batch.tuple(known - 1) == tuple { known - 1 } else { known };
    if slot == known {
        batch.tuples.extend_from_slice(tuple);
    }
    batch.rows.push(Row { query, slot, low, high });
}
