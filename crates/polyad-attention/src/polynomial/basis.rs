//! Monomials in channels, and the features that they are.
//!
//! ```text
//! (Σ_l q_l a_l b_l ..)^k = Σ_{|α| = k} (k! / α!) q^α a^α b^α ..
//! ```
//!
//! A monomial of degree k is a list of k channels in ascending order. Those of one degree follow each other in the order of
//! their lists, so that neighbours have long beginnings in common: a feature costs one multiplication.
//!
//! Monomials that hardly matter are left out: where no factor of a key exceeds 1, that of α adds at most `(k! / α!) |q|^α`
//! to any `s^k`. The sum of all those left out is known for each degree, rounded up.

use crate::polynomial::minimax::MOST_DEGREE;
use polyad_simd::{Kernel, LANES, Simd};
use std::ops::Range;

/// Monomials that are enumerated, at most, kept or not: beyond, states would no longer fit any cache, and the exact
/// kernels win at every length that memory has room for.
pub const MOST_MONOMIALS: usize = 1 << 20;

/// Monomials of degree up to `degree` in so many channels: `C(channels + degree, degree)`; nothing where a number cannot
/// count them.
pub fn rank(channels: usize, degree: usize) -> Option<usize> {
    (1..=degree as u128)
        .try_fold(1u128, |all, i| Some(all.checked_mul(channels as u128 + i)? / i))
        .and_then(|all| usize::try_from(all).ok())
}

/// The monomials that are kept, by degree.
#[derive(Debug, Clone)]
pub struct Basis {
    pub channels: usize,
    /// The lists of channels of all monomials of a degree, one after the other.
    lists: Vec<Vec<u16>>,
    /// `k! / α!` of each monomial, in the order of the lists.
    weights: Vec<Vec<f64>>,
    /// For each degree at least the sum of `(k! / α!) most^α` over what was left out.
    pub dropped: Vec<f64>,
    /// Of all degrees, without leaving any out.
    pub full: usize,
}

impl Basis {
    /// All monomials up to `degree` but those that can be left out: the smallest first, as long as
    /// `Σ (1 / k!) (k! / α!) most^α` of those left out stays below `budget`. `most` bounds each channel of the queries.
    ///
    /// Nothing where there are more than [`MOST_MONOMIALS`].
    pub fn new(most: &[f64], degree: usize, budget: f64) -> Option<Basis> {
        let channels = most.len();
        let full = rank(channels, degree).filter(|full| *full <= MOST_MONOMIALS)?;
        let mut basis = Basis {
            channels,
            lists: vec![Vec::new(); degree + 1],
            weights: vec![Vec::new(); degree + 1],
            dropped: vec![0.0; degree + 1],
            full,
        };
        let mut bounds: Vec<Vec<f64>> = vec![Vec::new(); degree + 1];
        for (k, bounds) in bounds.iter_mut().enumerate() {
            basis.enumerate(k, most, bounds);
        }
        basis.drop_smallest(&bounds, budget);
        Some(basis)
    }

    fn enumerate(&mut self, k: usize, most: &[f64], bounds: &mut Vec<f64>) {
        let mut list = vec![0usize; k];
        loop {
            // k! / α!: a channel that comes for the i-th time divides by i.
            let (mut weight, mut bound, mut times) = (1.0, 1.0, 0);
            for (place, channel) in list.iter().enumerate() {
                times = if place > 0 && list[place - 1] == *channel { times + 1 } else { 1 };
                weight *= (place + 1) as f64 / times as f64;
                bound *= most[*channel];
            }
            self.lists[k].extend(list.iter().map(|channel| *channel as u16));
            self.weights[k].push(weight);
            bounds.push(bound * weight);
            let Some(place) = list.iter().rposition(|channel| channel + 1 < self.channels) else { return };
            let next = list[place] + 1;
            list[place..].fill(next);
        }
    }

    fn drop_smallest(&mut self, bounds: &[Vec<f64>], budget: f64) {
        let factorial = |k: usize| (1..=k).map(|i| i as f64).product::<f64>();
        let mut order: Vec<(f64, usize, usize)> = Vec::new();
        for (k, bounds) in bounds.iter().enumerate().skip(1) {
            order.extend(bounds.iter().enumerate().map(|(index, bound)| (bound / factorial(k), k, index)));
        }
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let mut keep: Vec<Vec<bool>> = bounds.iter().map(|bounds| vec![true; bounds.len()]).collect();
        let mut sum = 0.0;
        for (bound, k, index) in order {
            sum += bound;
            if sum > budget || sum.is_nan() {
                break;
            }
            keep[k][index] = false;
            self.dropped[k] += bounds[k][index] * (1.0 + 1e-12);
        }
        for (k, keep) in keep.iter().enumerate() {
            let lists = std::mem::take(&mut self.lists[k]);
            let kept = |index: &usize| keep[*index];
            self.weights[k] = (0..keep.len()).filter(kept).map(|index| self.weights[k][index]).collect();
            self.lists[k] =
                (0..keep.len()).filter(kept).flat_map(|index| &lists[index * k..(index + 1) * k]).copied().collect();
        }
    }

    /// The highest degree.
    pub fn degree(&self) -> usize {
        self.weights.len() - 1
    }

    /// Monomials that are kept, of all degrees.
    pub fn kept(&self) -> usize {
        self.weights.iter().map(Vec::len).sum()
    }

    /// `k! / α!` of the monomials of a degree.
    pub fn weights(&self, degree: usize) -> &[f64] {
        &self.weights[degree]
    }

    /// The kept monomials in blocks of one degree each and of at most `size`.
    pub fn blocks(&self, size: usize) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut before = 0;
        for (degree, weights) in self.weights.iter().enumerate() {
            for first in (0..weights.len()).step_by(size) {
                let last = (first + size).min(weights.len());
                blocks.push(Block { degree, of_degree: first..last, of_all: before + first..before + last });
            }
            before += weights.len();
        }
        blocks
    }

    /// The channels of each monomial of a block.
    pub fn lists(&self, block: &Block) -> Lists<'_> {
        let (k, of) = (block.degree, &block.of_degree);
        Lists { degree: k, count: of.len(), channels: &self.lists[k][of.start * k..of.end * k] }
    }
}

/// Some monomials of one degree that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub degree: usize,
    /// Among those of its degree.
    pub of_degree: Range<usize>,
    /// Among all that are kept.
    pub of_all: Range<usize>,
}

impl Block {
    pub fn len(&self) -> usize {
        self.of_all.len()
    }
}

/// The channels of some monomials of one degree.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    pub degree: usize,
    pub count: usize,
    /// `[count, degree]`
    pub channels: &'a [u16],
}

impl Lists<'_> {
    /// The channels of one.
    pub fn of(&self, index: usize) -> &[u16] {
        &self.channels[index * self.degree..(index + 1) * self.degree]
    }
}

/// Features of tokens that lie side by side: `out[m, t] = Π channels[l, t]` over the channels `l` of monomial m.
pub struct Features<'a> {
    pub lists: Lists<'a>,
    /// `[channels, stride]`
    pub channels: &'a [f32],
    pub stride: usize,
    /// `[count, tokens]`, the tokens a multiple of [`LANES`] and at most [`TOKENS`].
    pub tokens: usize,
    pub out: &'a mut [f32],
}

/// Tokens whose features are computed together, at most.
pub const TOKENS: usize = 128;

impl Kernel for Features<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Features { lists, channels, stride, tokens, out } = self;
        if lists.degree == 0 {
            return out[..lists.count * tokens].fill(1.0);
        }
        let row = |l: u16| channels[l as usize * stride..][..tokens].as_chunks::<LANES>().0;
        // Products of the first 2, 3 .. channels of the list at hand.
        let mut beginnings = [[[0.0f32; LANES]; TOKENS / LANES]; MOST_DEGREE];
        let mut before: &[u16] = &[];
        for (index, out) in out.chunks_exact_mut(tokens).take(lists.count).enumerate() {
            let list = lists.of(index);
            let out = out.as_chunks_mut::<LANES>().0;
            let (last, beginning) = (row(list[lists.degree - 1]), &list[..lists.degree - 1]);
            let common = beginning.iter().zip(before).take_while(|(a, b)| a == b).count();
            for place in common.max(1)..beginning.len() {
                let factor = row(beginning[place]);
                let (done, next) = beginnings.split_at_mut(place);
                for (vector, next) in next[0].iter_mut().enumerate().take(factor.len()) {
                    let product = if place == 1 { &row(beginning[0])[vector] } else { &done[place - 1][vector] };
                    simd.store(simd.mul(simd.load(product), simd.load(&factor[vector])), next);
                }
            }
            before = beginning;
            for (vector, out) in out.iter_mut().enumerate() {
                let factor = simd.load(&last[vector]);
                let product = match beginning.len() {
                    0 => factor,
                    1 => simd.mul(simd.load(&row(beginning[0])[vector]), factor),
                    place => simd.mul(simd.load(&beginnings[place - 1][vector]), factor),
                };
                simd.store(product, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polyad_simd::{Level, dispatch};

    #[test]
    fn ranks_are_those_of_the_literature() {
        for (channels, degree, expected) in
            [(8, 3, 165), (16, 2, 153), (16, 3, 969), (32, 4, 58_905), (64, 3, 47_905), (64, 4, 814_385)]
        {
            assert_eq!(rank(channels, degree), Some(expected));
        }
        assert_eq!(rank(usize::MAX / 2, 12), None);
        let basis = Basis::new(&[1.0; 16], 3, 0.0).expect("few enough");
        assert_eq!((basis.kept(), basis.full), (969, 969));
    }

    #[test]
    fn monomials_with_their_weights_are_the_power_of_the_sum() {
        let (a, b) = ([0.5, -1.5, 2.0, 0.25], [1.0f64, 0.5, -0.75, 2.0]);
        let basis = Basis::new(&[1.0; 4], 5, 0.0).expect("few enough");
        let sum: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
        for block in basis.blocks(1000) {
            let lists = basis.lists(&block);
            let value = |index: usize, x: &[f64; 4]| lists.of(index).iter().map(|l| x[*l as usize]).product::<f64>();
            let weights = &basis.weights(block.degree)[block.of_degree.clone()];
            let found: f64 = weights.iter().enumerate().map(|(i, w)| w * value(i, &a) * value(i, &b)).sum();
            assert!((found - sum.powi(block.degree as i32)).abs() < 1e-9, "degree {}", block.degree);
        }
    }

    #[test]
    fn what_is_left_out_is_small_and_accounted_for() {
        let most = [1.0, 0.3, 0.01, 1e-4, 0.0];
        let (all, some) = (Basis::new(&most, 4, 0.0).expect("few"), Basis::new(&most, 4, 1e-3).expect("few"));
        assert!(all.kept() < all.full, "a channel that is 0 is never needed");
        assert!(some.kept() < all.kept());
        let total: f64 = most.iter().sum();
        let mut spent = 0.0;
        for k in 0..=4 {
            let block = some.blocks(1000).into_iter().find(|block| block.degree == k).expect("one for each degree");
            let lists = some.lists(&block);
            let value = |index: usize| lists.of(index).iter().map(|l| most[*l as usize]).product::<f64>();
            let kept: f64 = some.weights(k).iter().enumerate().map(|(i, w)| w * value(i)).sum();
            let missing = total.powi(k as i32) - kept;
            assert!(missing <= some.dropped[k] + 1e-14 && some.dropped[k] <= missing + 1e-9, "degree {k}");
            spent += some.dropped[k] / (1..=k).map(|i| i as f64).product::<f64>();
        }
        assert!(spent <= 1e-3 && spent > 1e-4, "{spent}");
    }

    #[test]
    fn features_are_products_of_their_channels_on_every_level() {
        let basis = Basis::new(&[1.0; 5], 4, 0.0).expect("few enough");
        let (tokens, stride) = (48, 64);
        let channels: Vec<f32> = (0..5 * stride).map(|i| ((i * 37) % 23) as f32 / 11.0 - 1.0).collect();
        for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
            for block in basis.blocks(7) {
                let lists = basis.lists(&block);
                let mut out = vec![0.0; block.len() * tokens];
                dispatch(level, Features { lists, channels: &channels, stride, tokens, out: &mut out });
                for (index, out) in out.chunks_exact(tokens).enumerate() {
                    for (token, found) in out.iter().enumerate() {
                        let factors = lists.of(index).iter().map(|l| f64::from(channels[*l as usize * stride + token]));
                        let expected: f64 = factors.product();
                        assert!((f64::from(*found) - expected).abs() <= 4e-7 * expected.abs(), "{level} {block:?}");
                    }
                }
            }
        }
    }
}
