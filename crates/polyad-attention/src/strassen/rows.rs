//! What happens between the products of Strassen attention, on the level in use.

use crate::rows::{vectors, vectors_mut};
use polyad_simd::{Kernel, LANES, Simd, exp2};
use std::f32::consts::LOG2_E;

/// The greatest number of each row, and the rows as exponentials relative to it. `most` becomes a power of two: times
/// log2 e. Rows of −∞ become zeros.
pub(super) struct Exponentials<'a> {
    /// `[rows, stride]`, of which `columns`, a multiple of 16, are in use.
    pub numbers: &'a mut [f32],
    pub stride: usize,
    pub columns: usize,
    pub most: &'a mut [f32],
}

impl Kernel for Exponentials<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, most) in self.numbers.chunks_exact_mut(self.stride).zip(self.most) {
            let row = vectors_mut(&mut row[..self.columns]);
            let mut greatest = simd.splat(f32::NEG_INFINITY);
            for lanes in row.iter() {
                greatest = simd.max(simd.load(lanes), greatest);
            }
            *most = simd.greatest(greatest) * LOG2_E;
            // Of −∞ less −∞ there would be no weight to make.
            let below = simd.splat(if *most == f32::NEG_INFINITY { 0.0 } else { -*most });
            for lanes in row {
                simd.store(exp2(simd, simd.mul_add(simd.load(lanes), simd.splat(LOG2_E), below)), lanes);
            }
        }
    }
}

/// The same, all rows relative to one number, which is given: a power of two.
pub(super) struct Relative<'a> {
    pub numbers: &'a mut [f32],
    pub most: f32,
}

impl Kernel for Relative<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for lanes in vectors_mut(self.numbers) {
            let weight = simd.mul_add(simd.load(lanes), simd.splat(LOG2_E), simd.splat(-self.most));
            simd.store(exp2(simd, weight), lanes);
        }
    }
}

/// The greatest number of all.
pub(super) struct Greatest<'a>(pub &'a [f32]);

impl Kernel for Greatest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let mut greatest = [simd.splat(f32::NEG_INFINITY); 2];
        for [a, b] in vectors(self.0).as_chunks::<2>().0 {
            greatest = [simd.max(simd.load(a), greatest[0]), simd.max(simd.load(b), greatest[1])];
        }
        simd.greatest(simd.max(greatest[0], greatest[1]))
    }
}

/// `out[r] = rows[r] ∘ token numbers`, the latter in groups of 64 of which one channel is taken.
pub(super) struct Channel<'a> {
    pub rows: &'a [f32],
    pub stride: usize,
    pub columns: usize,
    /// From the first group on, at the channel.
    pub tokens: &'a [f32],
    /// From a group to the next.
    pub group: usize,
    pub out: &'a mut [f32],
}

/// Vectors of a group.
const OF_GROUP: usize = polyad_simd::gemm::GROUP / LANES;

impl Kernel for Channel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, out) in self.rows.chunks_exact(self.stride).zip(self.out.chunks_exact_mut(self.stride)) {
            let (row, out) = (vectors(&row[..self.columns]), vectors_mut(&mut out[..self.columns]));
            let groups = row.chunks(OF_GROUP).zip(out.chunks_mut(OF_GROUP)).zip(self.tokens.chunks(self.group));
            for ((row, out), tokens) in groups {
                for ((x, out), token) in row.iter().zip(out).zip(vectors(tokens)) {
                    simd.store(simd.mul(simd.load(x), simd.load(token)), out);
                }
            }
        }
    }
}

/// `sums[r] += factors[r] Σ_k t[r, k] rows[r, k] tokens[k]`, tokens as in [`Channel`] or all ones.
pub(super) struct Fold<'a> {
    pub t: &'a [f32],
    pub rows: &'a [f32],
    pub stride: usize,
    pub columns: usize,
    pub tokens: Option<&'a [f32]>,
    pub group: usize,
    pub factors: &'a [f64],
    /// From a row's sum to the next.
    pub sums: &'a mut [f64],
    pub sums_stride: usize,
}

impl Kernel for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let both = self.t.chunks_exact(self.stride).zip(self.rows.chunks_exact(self.stride));
        let sums = self.sums.chunks_mut(self.sums_stride).zip(self.factors);
        for ((t, row), (sums, factor)) in both.zip(sums) {
            let (t, row) = (vectors(&t[..self.columns]), vectors(&row[..self.columns]));
            let mut sum = [simd.splat(0.0); 2];
            match self.tokens {
                Some(tokens) => {
                    let groups = t.chunks(OF_GROUP).zip(row.chunks(OF_GROUP)).zip(tokens.chunks(self.group));
                    for ((t, row), tokens) in groups {
                        for (i, ((t, x), token)) in t.iter().zip(row).zip(vectors(tokens)).enumerate() {
                            let product = simd.mul(simd.load(x), simd.load(token));
                            sum[i % 2] = simd.mul_add(simd.load(t), product, sum[i % 2]);
                        }
                    }
                }
                None => {
                    for (i, (t, x)) in t.iter().zip(row).enumerate() {
                        sum[i % 2] = simd.mul_add(simd.load(t), simd.load(x), sum[i % 2]);
                    }
                }
            }
            sums[0] += factor * f64::from(simd.sum(simd.add(sum[0], sum[1])));
        }
    }
}

/// One channel's share of the gradient of a side: `slopes += g x y`, `of_tokens += Σ over rows g weights y`, and x
/// becomes `g x` where it is wanted so.
pub(super) struct Slopes<'a> {
    /// `[rows, stride]`: weights times a channel of the tokens; and the weights.
    pub x: &'a mut [f32],
    pub weights: &'a [f32],
    /// The sums over the other side.
    pub y: &'a [f32],
    pub slopes: &'a mut [f32],
    pub of_tokens: &'a mut [f32],
    pub stride: usize,
    pub columns: usize,
    /// g, for each row.
    pub factors: &'a [f32],
    pub scale_x: bool,
}

impl Kernel for Slopes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (stride, columns) = (self.stride, self.columns);
        let read = self.weights.chunks_exact(stride).zip(self.y.chunks_exact(stride));
        let written = self.x.chunks_exact_mut(stride).zip(self.slopes.chunks_exact_mut(stride));
        for (((x, slopes), (weights, y)), factor) in written.zip(read).zip(self.factors) {
            let factor = simd.splat(*factor);
            let read = vectors(&weights[..columns]).iter().zip(vectors(&y[..columns]));
            let written = vectors_mut(&mut x[..columns]).iter_mut().zip(vectors_mut(&mut slopes[..columns]));
            for (((x, slope), (weight, y)), token) in written.zip(read).zip(vectors_mut(self.of_tokens)) {
                let y = simd.mul(factor, simd.load(y));
                let by = simd.load(x);
                simd.store(simd.mul_add(by, y, simd.load(slope)), slope);
                simd.store(simd.mul_add(simd.load(weight), y, simd.load(token)), token);
                if self.scale_x {
                    simd.store(simd.mul(by, factor), x);
                }
            }
        }
    }
}

/// `numbers[r] = numbers[r] · factors[r]`
pub(super) struct Scale<'a> {
    pub numbers: &'a [f32],
    pub stride: usize,
    pub columns: usize,
    pub factors: &'a [f32],
    pub out: &'a mut [f32],
}

impl Kernel for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.numbers.chunks_exact(self.stride).zip(self.out.chunks_exact_mut(self.stride));
        for ((row, out), factor) in rows.zip(self.factors) {
            let factor = simd.splat(*factor);
            for (x, out) in vectors(&row[..self.columns]).iter().zip(vectors_mut(&mut out[..self.columns])) {
                simd.store(simd.mul(simd.load(x), factor), out);
            }
        }
    }
}
