//! Scores of a batch of rows with a span of inner tokens, masks and biases in them.

use crate::prepare::Prepared;
use crate::problem::Bias;
use crate::walk::Batch;
use polyad_simd::LANES;
use polyad_simd::gemm::{GROUP, Product};
use std::ops::Range;

/// Inner tokens at once: their scores with 24 rows are 24 kB, which stay in the first-level cache.
pub(crate) const SPAN: usize = 256;
/// From a row of scores to the next: were it 256, columns of a batch would share a few sets of the first-level cache.
pub(crate) const STRIDE: usize = SPAN + 32;

/// Spans of inner tokens, each beginning at a packed group.
pub(crate) fn spans(span: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let first = span.start / GROUP * GROUP;
    (first..span.end).step_by(SPAN).map(move |start| start..(start + SPAN).min(span.end))
}

/// Columns that a span takes: whole vectors.
pub(crate) fn columns(span: &Range<usize>) -> usize {
    span.len().next_multiple_of(LANES)
}

/// What a score went through after the product, where a gradient needs it.
pub(crate) struct Scores<'a> {
    pub prepared: &'a Prepared<'a>,
    /// The query head, over all batch entries, and its first query.
    pub head: usize,
    pub first: usize,
}

impl Scores<'_> {
    /// `scores[r] = modulated[r] · inner keys`, softcapped, biased, and −∞ where a token is not visible. Where there is a
    /// softcap, `slopes`, if wanted, becomes its derivative.
    pub fn compute(
        &self,
        batch: &Batch,
        span: &Range<usize>,
        modulated: &[f32],
        scores: &mut [f32],
        slopes: Option<&mut [f32]>,
    ) {
        let Prepared { problem, shape, level, .. } = self.prepared;
        let rows = batch.rows.len();
        let key_head = shape.key_head(problem, self.head);
        let packed = key_head * shape.groups * GROUP * shape.key_width;
        Product {
            rows,
            depth: shape.channels.count(),
            columns: columns(span),
            a: modulated,
            a_row: shape.key_width,
            a_column: 1,
            b: &self.prepared.packed_keys[packed + span.start * shape.key_width..],
            b_row: GROUP,
            b_group: GROUP * shape.key_width,
            c_row: STRIDE,
            add: false,
        }
        .run(*level, scores);
        self.finish(batch, span, scores, slopes);
    }

    /// What [`Scores::compute`] does after the product.
    pub fn finish(&self, batch: &Batch, span: &Range<usize>, scores: &mut [f32], mut slopes: Option<&mut [f32]>) {
        let Prepared { problem, shape, .. } = self.prepared;
        let entry = self.head / problem.heads;
        let hidden = self.prepared.hidden.get(shape.inner).copied().flatten();
        for (index, (row, scores)) in batch.rows.iter().zip(scores.chunks_exact_mut(STRIDE)).enumerate() {
            let scores = &mut scores[..columns(span)];
            if let Some(cap) = problem.softcap {
                scores.iter_mut().for_each(|s| *s = (*s / cap).tanh());
                if let Some(slopes) = &mut slopes {
                    let slopes = slopes[index * STRIDE..].iter_mut();
                    slopes.zip(&*scores).for_each(|(slope, t)| *slope = 1.0 - t * t);
                }
                scores.iter_mut().for_each(|s| *s *= cap);
            }
            for bias in self.prepared.biases {
                self.add_bias(bias, batch.tuple(row.slot), self.first + row.query, span, scores);
            }
            let (low, high) =
                (row.low.max(span.start) - span.start, row.high.min(span.end).max(span.start) - span.start);
            scores[..low.min(columns(span))].fill(f32::NEG_INFINITY);
            scores[high..].fill(f32::NEG_INFINITY);
            if let Some(hidden) = hidden {
                let hidden = &hidden[entry * problem.keys[shape.inner]..][span.clone()];
                for (score, _) in scores.iter_mut().zip(hidden).filter(|(_, hidden)| **hidden) {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
    }

    /// The token of an axis of a score, or none on the inner one.
    fn token(&self, axis: usize, tuple: &[usize], query: usize) -> Option<usize> {
        if axis == 0 {
            return Some(query);
        }
        let place = self.prepared.shape.outer.iter().position(|outer| outer + 1 == axis);
        place.map(|place| tuple[place])
    }

    /// Where a bias has its number for the first inner token of a span, and from an inner token to the next.
    pub fn bias_place(&self, bias: &Bias, tuple: &[usize], query: usize, span: &Range<usize>) -> (usize, usize) {
        let problem = self.prepared.problem;
        let (a, b) = bias.axes;
        let start = bias.start(problem, self.head / problem.heads, self.head % problem.heads);
        let row = problem.tokens(b);
        match (self.token(a, tuple, query), self.token(b, tuple, query)) {
            (Some(a), Some(b)) => (start + a * row + b, 0),
            (Some(a), None) => (start + a * row + span.start, 1),
            (None, Some(b)) => (start + span.start * row + b, row),
            (None, None) => unreachable!("two axes differ, and one is inner"),
        }
    }

    fn add_bias(&self, bias: &Bias, tuple: &[usize], query: usize, span: &Range<usize>, scores: &mut [f32]) {
        let (place, step) = self.bias_place(bias, tuple, query, span);
        match step {
            0 => scores.iter_mut().for_each(|s| *s += bias.values[place]),
            1 => scores.iter_mut().zip(&bias.values[place..place + span.len()]).for_each(|(s, b)| *s += b),
            _ => scores
                .iter_mut()
                .zip(bias.values[place..].iter().step_by(step))
                .take(span.len())
                .for_each(|(s, b)| *s += b),
        }
    }
}
