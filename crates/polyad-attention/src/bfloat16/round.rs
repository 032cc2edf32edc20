//! From single precision to bfloat16, in the layouts that products want.

use crate::rows::{vectors, weights_and_slopes};
use crate::walk::Row;
use polyad_simd::LANES;
use polyad_simd::bfloat16::{BLOCK, Half, HalfKernel};
use std::f32::consts::LOG2_E;
use std::ops::Range;

/// `to[r, ..] = from[r, ..columns]`, and zeros to whole blocks.
pub(crate) struct Narrow<'a> {
    pub from: &'a [f32],
    pub from_row: usize,
    pub rows: usize,
    /// A multiple of [`LANES`].
    pub columns: usize,
    pub to: &'a mut [u16],
    pub to_row: usize,
}

impl HalfKernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        let rows = self.from.chunks_exact(self.from_row).zip(self.to.chunks_exact_mut(self.to_row));
        for (from, to) in rows.take(self.rows) {
            let (to, rest) = to[..self.columns.next_multiple_of(BLOCK)].split_at_mut(self.columns);
            for (from, to) in vectors(&from[..self.columns]).iter().zip(to.as_chunks_mut().0) {
                simd.narrow(simd.load(from), to);
            }
            rest.fill(0);
        }
    }
}

/// `to[column / 32, r / 2, column % 32, r % 2] = from[r, column]`, and zeros for rows that are missing in the last block.
pub(crate) struct InPairs<'a> {
    pub from: &'a [f32],
    pub from_row: usize,
    pub rows: usize,
    /// A multiple of [`LANES`].
    pub columns: usize,
    pub to: &'a mut [u16],
    /// From a group of columns to the next.
    pub to_group: usize,
}

impl HalfKernel for InPairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        let InPairs { from, from_row, rows, columns, to, to_group } = self;
        let zeros = [0.0; LANES];
        for pair in 0..rows.next_multiple_of(BLOCK) / 2 {
            let row = |row: usize| if row < rows { &from[row * from_row..][..columns] } else { &[] };
            let (first, second) = (vectors(row(2 * pair)), vectors(row(2 * pair + 1)));
            for index in 0..columns / LANES {
                let (first, second) = (first.get(index).unwrap_or(&zeros), second.get(index).unwrap_or(&zeros));
                let place = index / 2 * to_group + (2 * pair + index % 2) * BLOCK;
                let to = &mut to[place..].as_chunks_mut().0[0];
                simd.store_pairs(simd.pairs(simd.load(first), simd.load(second)), to);
            }
        }
    }
}

/// What [`Narrow`] and [`InPairs`] write to.
pub(crate) struct Both<'a> {
    pub numbers: &'a mut [u16],
    pub in_pairs: &'a mut [u16],
}

/// [`crate::rows::Slopes`], then [`Narrow`] and [`InPairs`] of what it makes, two rows at a time and without leaving the
/// registers: three passes over numbers that are in the second-level cache become one.
pub(crate) struct SlopesRounded<'a> {
    pub rows: &'a [Row],
    /// Of the block's queries.
    pub lse: &'a [f32],
    pub delta: &'a [f32],
    /// `[rows, stride]` each: scores, gradient of the weights.
    pub scores: &'a [f32],
    pub gradients: &'a [f32],
    /// Of all rows.
    pub stride: usize,
    /// The inner tokens of the columns; these end at a whole vector.
    pub span: &'a Range<usize>,
    /// Of slopes, of weights.
    pub to: [Both<'a>; 2],
    pub to_group: usize,
}

impl HalfKernel for SlopesRounded<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        let SlopesRounded { rows, lse, delta, scores, gradients, stride, span, mut to, to_group } = self;
        let columns = span.len().next_multiple_of(LANES);
        let zeros = simd.splat(0.0);
        for pair in 0..rows.len().next_multiple_of(BLOCK) / 2 {
            let places = [2 * pair, 2 * pair + 1];
            let of_rows = places.map(|place| {
                let Row { query, .. } = rows.get(place)?;
                Some((
                    place * stride..place * stride + columns,
                    simd.splat(-lse[*query] * LOG2_E),
                    simd.splat(delta[*query]),
                ))
            });
            for index in 0..columns / LANES {
                let mut made = [[zeros; 2]; 2];
                for (row, of_row) in of_rows.iter().enumerate() {
                    let Some((line, lse, delta)) = of_row else { continue };
                    let load = |numbers: &[f32]| simd.load(&vectors(&numbers[line.clone()])[index]);
                    let (weights, slopes) = weights_and_slopes(simd, load(scores), load(gradients), (*lse, *delta));
                    for (side, numbers) in [slopes, weights].into_iter().enumerate() {
                        let at = places[row] * stride + index * LANES;
                        simd.narrow(numbers, &mut to[side].numbers[at..].as_chunks_mut().0[0]);
                        made[side][row] = numbers;
                    }
                }
                for (to, [first, second]) in to.iter_mut().zip(made) {
                    let place = index / 2 * to_group + (2 * pair + index % 2) * BLOCK;
                    simd.store_pairs(simd.pairs(first, second), &mut to.in_pairs[place..].as_chunks_mut().0[0]);
                }
            }
        }
        for (place, row) in rows.iter().enumerate() {
            for to in &mut to {
                to.numbers[place * stride..][columns..columns.next_multiple_of(BLOCK)].fill(0);
            }
            // Where a row does not see a token its weight is 0, and 0 times a gradient that is not finite is not.
            let low = row.low.clamp(span.start, span.end) - span.start;
            let high = row.high.clamp(span.start, span.end) - span.start;
            let own = &to[0].numbers[place * stride..][..columns];
            let bits = [&own[..low], &own[high..]].map(|hidden| hidden.iter().fold(0, |bits, x| bits | x));
            if (bits[0] | bits[1]) & 0x7FFF == 0 {
                continue;
            }
            for column in (0..low).chain(high..columns) {
                let (index, lane) = (column / LANES, column % LANES);
                let at = index / 2 * to_group + (place / 2 * 2 + index % 2) * BLOCK + 2 * lane + place % 2;
                to[0].numbers[place * stride + column] = 0;
                to[0].in_pairs[at] = 0;
            }
        }
    }
}

/// `to[l, r] = from[r, l]`, and zeros for the rows that are missing in the last block.
pub(crate) struct Turned<'a> {
    /// `[rows, width]`, the width a multiple of [`LANES`].
    pub from: &'a [f32],
    pub width: usize,
    pub rows: usize,
    pub to: &'a mut [u16],
    pub to_row: usize,
}

impl HalfKernel for Turned<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        let Turned { from, width, rows, to, to_row } = self;
        for first in (0..rows).step_by(BLOCK) {
            for l in (0..width).step_by(LANES) {
                let mut pairs = [simd.splat_pair([0; 2]); LANES];
                for (pair, row) in pairs.iter_mut().zip((first..rows).step_by(2)) {
                    let vector = |row: usize| vectors(&from[row * width + l..])[0];
                    let second = if row + 1 < rows { vector(row + 1) } else { [0.0; LANES] };
                    *pair = simd.pairs(simd.load(&vector(row)), simd.load(&second));
                }
                for (l, pairs) in (l..).zip(simd.transpose_pairs(pairs)) {
                    simd.store_pairs(pairs, &mut to[l * to_row + first..].as_chunks_mut().0[0]);
                }
            }
        }
    }
}

/// `to[l / 2, token, l % 2] = from[token, l]` for a group of 32 tokens, zeros for those that there are not and for features
/// to whole blocks.
pub(crate) struct ByFeatures<'a> {
    /// `[tokens, width]`, the width a multiple of [`LANES`].
    pub from: &'a [f32],
    pub width: usize,
    pub to: &'a mut [u16],
}

impl HalfKernel for ByFeatures<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        let ByFeatures { from, width, to } = self;
        let group = to.len() / width.next_multiple_of(BLOCK);
        for first in (0..group).step_by(LANES) {
            for l in (0..width).step_by(BLOCK) {
                let mut rows = [simd.splat_pair([0; 2]); LANES];
                let tokens = from.chunks_exact(width).skip(first);
                for (row, token) in rows.iter_mut().zip(tokens) {
                    let mut narrow = [0; BLOCK];
                    for (from, to) in vectors(&token[l..]).iter().zip(narrow.as_chunks_mut().0) {
                        simd.narrow(simd.load(from), to);
                    }
                    *row = simd.load_pairs(&narrow);
                }
                for (pair, columns) in simd.transpose_pairs(rows).into_iter().enumerate() {
                    let place = (l + 2 * pair) * group + 2 * first;
                    simd.store_pairs(columns, &mut to[place..].as_chunks_mut().0[0]);
                }
            }
        }
    }
}
