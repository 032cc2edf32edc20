//! How blocks of queries are dealt, and where what comes of them lies. Nothing here depends on the number of threads.

use crate::walk::Block;
use std::sync::{Mutex, PoisonError};

/// Where a row's part lies among all, counted in rows: block after block of `rows` queries (a head's last may have less),
/// in each its parts, in each its queries.
pub(crate) fn place(queries: usize, rows: usize, parts: usize, part: usize, row: usize) -> usize {
    let (head, query) = (row / queries, row % queries);
    let first = query / rows * rows;
    let length = rows.min(queries - first);
    (head * queries + first) * parts + part * length + query - first
}

/// Blocks, each with what belongs to it of a buffer: `width` numbers a query, in the order of [`place`].
pub(crate) fn with_own(
    blocks: Vec<Block>,
    mut buffer: &mut [f32],
    width: usize,
) -> impl Iterator<Item = (Block, &mut [f32])> {
    blocks.into_iter().map(move |block| {
        let (own, others) = std::mem::take(&mut buffer).split_at_mut(block.queries.len() * width);
        buffer = others;
        (block, own)
    })
}

/// Gives tasks to hands, those that follow each other to one: they are of one head, whose keys and values then stay in the
/// second-level cache.
pub(crate) fn deal<T>(tasks: impl Iterator<Item = T>, hands: usize) -> Vec<Vec<T>> {
    let tasks: Vec<T> = tasks.collect();
    let count = tasks.len().max(1);
    let mut dealt: Vec<Vec<T>> = (0..hands).map(|_| Vec::new()).collect();
    tasks.into_iter().enumerate().for_each(|(index, task)| dealt[index * hands / count].push(task));
    dealt
}

/// Scratch of hands at work, as many pieces as there are hands: what was given back last is lent first, so that a core whose
/// hands follow each other has one piece, in its caches.
pub(crate) struct Scratch<'a>(Mutex<Vec<&'a mut [f32]>>);

impl<'a> Scratch<'a> {
    /// Pieces of so many numbers, not 0.
    pub fn new(all: &'a mut [f32], numbers: usize) -> Self {
        Scratch(Mutex::new(all.chunks_exact_mut(numbers).collect()))
    }

    /// Lends a piece to a hand.
    pub fn lend<T>(&self, work: impl FnOnce(&mut [f32]) -> T) -> T {
        let pieces = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let piece = pieces().pop().expect("no more hands at work than pieces");
        let done = work(piece);
        pieces().push(piece);
        done
    }
}
