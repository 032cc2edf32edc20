//! What happens to rows between the products: element by element, on the level in use.

use crate::walk::Row;
use polyad_simd::bfloat16::{BLOCK, Half, HalfKernel};
use polyad_simd::gemm::GROUP;
use polyad_simd::{Kernel, LANES, Simd, exp2};
use std::f32::consts::LOG2_E;

/// How far scores, as powers of two, may rise above what they are relative to before the sums are brought up to date:
/// weights of at most 64 lose nothing, and few rows ever rise twice.
const SLACK: f32 = 6.0;

/// A slice as vectors; what is left over is not looked at, rows being whole vectors.
#[inline(always)]
pub(crate) fn vectors(x: &[f32]) -> &[[f32; LANES]] {
    x.as_chunks().0
}

/// The same, to write to.
#[inline(always)]
pub(crate) fn vectors_mut(x: &mut [f32]) -> &mut [[f32; LANES]] {
    x.as_chunks_mut().0
}

/// `to[l, place] = tokens[place, l]` for a group of tokens side by side, zeros for those that there are not.
pub(crate) struct Pack<'a> {
    /// `[tokens, width]`, the width a multiple of [`LANES`].
    pub tokens: &'a [f32],
    pub width: usize,
    /// `[width, 64]`
    pub to: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Pack { tokens, width, to } = self;
        for first in (0..GROUP).step_by(LANES) {
            for l in (0..width).step_by(LANES) {
                let mut block = [simd.splat(0.0); LANES];
                let rows = tokens.chunks_exact(width).skip(first);
                block.iter_mut().zip(rows).for_each(|(to, row)| *to = simd.load(&vectors(&row[l..])[0]));
                for (l, lanes) in (l..).zip(simd.transpose(block)) {
                    simd.store(lanes, &mut vectors_mut(&mut to[l * GROUP + first..])[0]);
                }
            }
        }
    }
}

/// `out[r] = tokens[row.query] ∘ slots[row.slot]`
pub(crate) struct Modulate<'a> {
    pub rows: &'a [Row],
    pub width: usize,
    /// The block's queries, or what takes their place.
    pub tokens: &'a [f32],
    pub slots: &'a [f32],
    pub out: &'a mut [f32],
}

impl Kernel for Modulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let w = self.width;
        for (row, out) in self.rows.iter().zip(self.out.chunks_exact_mut(w)) {
            let token = vectors(&self.tokens[row.query * w..(row.query + 1) * w]);
            let slot = vectors(&self.slots[row.slot * w..(row.slot + 1) * w]);
            for (out, (a, b)) in vectors_mut(out).iter_mut().zip(token.iter().zip(slot)) {
                simd.store(simd.mul(simd.load(a), simd.load(b)), out);
            }
        }
    }
}

/// The running softmax of a block's queries (Milakov & Gimelshein, arXiv 1805.02867) and its weighted sums of values.
///
/// Sums are kept with what rounding took from them (Kahan), since they may have as many terms as there are tuples.
pub(crate) struct Running<'a> {
    /// Padded width of the values.
    pub width: usize,
    /// For each query what weights are relative to, as a power of two (times log2 e): the greatest score so far, or
    /// less by no more than `SLACK`.
    pub most: &'a mut [f32],
    /// `[queries, width]` and what is missing in it.
    pub out: &'a mut [f32],
    pub lost: &'a mut [f32],
    /// The sums of weights.
    pub total: Vec<f64>,
}

impl Running<'_> {
    /// Nothing seen yet.
    pub fn reset(&mut self) {
        self.most.fill(f32::NEG_INFINITY);
        self.out.fill(0.0);
        self.lost.fill(0.0);
        self.total.fill(0.0);
    }

    /// Raises what weights are relative to where a row's scores are greater, and brings the sums up to date with it.
    #[inline(always)]
    fn rise<S: Simd>(&mut self, simd: S, rows: &[Row], scores: &[f32], stride: usize, columns: usize) {
        let below = simd.splat(f32::NEG_INFINITY);
        for (row, scores) in rows.iter().zip(scores.chunks_exact(stride)) {
            let mut most = [below; 2];
            let (pairs, last) = vectors(&scores[..columns]).as_chunks::<2>();
            for [a, b] in pairs {
                most = [simd.max(simd.load(a), most[0]), simd.max(simd.load(b), most[1])];
            }
            for a in last {
                most[0] = simd.max(simd.load(a), most[0]);
            }
            let most = simd.greatest(simd.max(most[0], most[1])) * LOG2_E;
            let before = self.most[row.query];
            if most > before + SLACK {
                self.most[row.query] = most;
                let factor = (f64::from(before) - f64::from(most)).exp2();
                self.total[row.query] *= factor;
                let range = row.query * self.width..(row.query + 1) * self.width;
                let factor = simd.splat(factor as f32);
                for sums in [&mut self.out[range.clone()], &mut self.lost[range]] {
                    for lanes in vectors_mut(sums) {
                        simd.store(simd.mul(simd.load(lanes), factor), lanes);
                    }
                }
            }
        }
    }

    /// What a row's weights are relative to; nothing where its scores have been −∞ throughout, so that it has no weights.
    #[inline(always)]
    fn relative_to(&mut self, row: &Row, scores: &[f32]) -> Option<f32> {
        if self.most[row.query] == f32::NEG_INFINITY {
            if !scores.iter().any(|s| s.is_nan()) {
                return None;
            }
            // Not a number is greater than nothing; from here on the row is none either.
            self.most[row.query] = 0.0;
        }
        Some(self.most[row.query])
    }
}

/// Turns scores into weights relative to each query's greatest score so far, near enough, and brings the sums up to date
/// with it.
///
/// `weight = 2^(S log2 e − most)`: the difference is rounded once. Its error is small beside the weight's own for all that
/// count; what is common to a row cancels, and [`crate::join::Join`] takes `most` as it is.
pub(crate) struct Weigh<'a, 'r> {
    pub rows: &'a [Row],
    pub running: &'a mut Running<'r>,
    /// `[rows, stride]`, of which `columns`, a multiple of 16, are in use.
    pub scores: &'a mut [f32],
    pub stride: usize,
    pub columns: usize,
}

impl Kernel for Weigh<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Weigh { rows, running, scores, stride, columns } = self;
        running.rise(simd, rows, scores, stride, columns);
        for (row, scores) in rows.iter().zip(scores.chunks_exact_mut(stride)) {
            let scores = &mut scores[..columns];
            let Some(most) = running.relative_to(row, scores) else {
                scores.fill(0.0);
                continue;
            };
            let most = simd.splat(-most);
            let mut total = simd.splat(0.0);
            for lanes in vectors_mut(scores) {
                let weight = exp2(simd, simd.mul_add(simd.load(lanes), simd.splat(LOG2_E), most));
                total = simd.add(total, weight);
                simd.store(weight, lanes);
            }
            running.total[row.query] += f64::from(simd.sum(total));
        }
    }
}

/// [`Weigh`] that leaves the scores as they are and writes the weights in bfloat16; the sums are of weights before they
/// are rounded.
pub(crate) struct WeighRounded<'a, 'r> {
    pub rows: &'a [Row],
    pub running: &'a mut Running<'r>,
    pub scores: &'a [f32],
    /// Weights, and zeros to whole blocks of a product's depth.
    pub to: &'a mut [u16],
    /// Of the scores and of the weights.
    pub stride: usize,
    pub columns: usize,
}

impl HalfKernel for WeighRounded<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        let WeighRounded { rows, running, scores, to, stride, columns } = self;
        running.rise(simd, rows, scores, stride, columns);
        let both = scores.chunks_exact(stride).zip(to.chunks_exact_mut(stride));
        for (row, (scores, to)) in rows.iter().zip(both) {
            let scores = &scores[..columns];
            let (to, rest) = to[..columns.next_multiple_of(BLOCK)].split_at_mut(columns);
            rest.fill(0);
            let Some(most) = running.relative_to(row, scores) else {
                to.fill(0);
                continue;
            };
            let most = simd.splat(-most);
            let mut total = simd.splat(0.0);
            for (lanes, to) in vectors(scores).iter().zip(to.as_chunks_mut().0) {
                let weight = exp2(simd, simd.mul_add(simd.load(lanes), simd.splat(LOG2_E), most));
                total = simd.add(total, weight);
                simd.narrow(weight, to);
            }
            running.total[row.query] += f64::from(simd.sum(total));
        }
    }
}

/// `out[row.query] += slots[row.slot] ∘ sums[r]`, compensated.
pub(crate) struct Gather<'a, 'r> {
    pub rows: &'a [Row],
    pub running: &'a mut Running<'r>,
    /// Products of outer values.
    pub slots: &'a [f32],
    /// `[rows, width]`
    pub sums: &'a [f32],
}

impl Kernel for Gather<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let w = self.running.width;
        for (row, sums) in self.rows.iter().zip(self.sums.chunks_exact(w)) {
            let slot = vectors(&self.slots[row.slot * w..(row.slot + 1) * w]);
            let out = vectors_mut(&mut self.running.out[row.query * w..(row.query + 1) * w]);
            let lost = vectors_mut(&mut self.running.lost[row.query * w..(row.query + 1) * w]);
            for ((out, lost), (slot, sums)) in out.iter_mut().zip(lost).zip(slot.iter().zip(vectors(sums))) {
                let before = simd.load(out);
                let term = simd.sub(simd.mul(simd.load(slot), simd.load(sums)), simd.load(lost));
                let after = simd.add(before, term);
                simd.store(simd.sub(simd.sub(after, before), term), lost);
                simd.store(after, out);
            }
        }
    }
}

/// From scores and the gradient of the weights to weights and the gradient of the scores:
/// `P = exp(S − lse)`, `dS = P (dP − Δ)`.
pub(crate) struct Slopes<'a> {
    pub rows: &'a [Row],
    /// Of the block's queries.
    pub lse: &'a [f32],
    pub delta: &'a [f32],
    /// `[rows, stride]` each: scores, then weights; gradient of the weights, then of the scores.
    pub scores: &'a mut [f32],
    pub slopes: &'a mut [f32],
    pub stride: usize,
    pub columns: usize,
}

impl Kernel for Slopes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Slopes { rows, lse, delta, scores, slopes, stride, columns } = self;
        let both = scores.chunks_exact_mut(stride).zip(slopes.chunks_exact_mut(stride));
        for (row, (scores, slopes)) in rows.iter().zip(both) {
            let (lse, delta) = (simd.splat(-lse[row.query] * LOG2_E), simd.splat(delta[row.query]));
            let lanes = vectors_mut(&mut scores[..columns]).iter_mut().zip(vectors_mut(&mut slopes[..columns]));
            for (score, slope) in lanes {
                let (weights, slopes) = weights_and_slopes(simd, simd.load(score), simd.load(slope), (lse, delta));
                simd.store(weights, score);
                simd.store(slopes, slope);
            }
        }
    }
}

/// What [`Slopes`] makes of a vector of scores and one of gradients of weights. `lse`: times −log2 e.
#[inline(always)]
pub(crate) fn weights_and_slopes<S: Simd>(
    simd: S,
    scores: S::V,
    gradients: S::V,
    (lse, delta): (S::V, S::V),
) -> (S::V, S::V) {
    let weights = exp2(simd, simd.mul_add(scores, simd.splat(LOG2_E), lse));
    (weights, simd.mul(weights, simd.sub(gradients, delta)))
}

/// `to[row.query] += from[row.slot] ∘ sums[r]`, or, to slots, `to[row.slot] += from[row.query] ∘ sums[r]`.
pub(crate) struct Spread<'a> {
    pub rows: &'a [Row],
    pub width: usize,
    pub to_slots: bool,
    /// `[rows, width]`
    pub sums: &'a [f32],
    /// `[slots, width]`, or `[queries, width]`
    pub from: &'a [f32],
    /// The other of the two.
    pub to: &'a mut [f32],
}

impl Kernel for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let w = self.width;
        for (row, sums) in self.rows.iter().zip(self.sums.chunks_exact(w)) {
            let (from, to) = if self.to_slots { (row.query, row.slot) } else { (row.slot, row.query) };
            let from = vectors(&self.from[from * w..(from + 1) * w]);
            let to = vectors_mut(&mut self.to[to * w..(to + 1) * w]);
            for (to, (a, b)) in to.iter_mut().zip(from.iter().zip(vectors(sums))) {
                simd.store(simd.mul_add(simd.load(a), simd.load(b), simd.load(to)), to);
            }
        }
    }
}
