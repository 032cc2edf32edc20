//! Random features of tokens: products of p operands' features are in the mean a power of their score.
//!
//! ```text
//! z(x) = Π_{t <= k} Σ_l ω_tl x_l            ω_tl uniform among the p-th roots of unity, p the order
//! E Π_a z(x_a) = (Σ_l Π_a x_al)^k           over the p operands a: E ω^m is 1 where p divides m, else 0
//! ```
//!
//! Random Maclaurin features (Kar & Karnick, arXiv 1201.6530) have signs, which are the roots for order 2; the mean of a
//! product of three signs' features would be 0. What is drawn depends on the seed, the degree, the feature and the factor
//! alone: it is the same for all heads and tokens, and no thread matters.

use crate::polynomial::basis::TOKENS;
use polyad_simd::gemm::{GROUP, Product};
use polyad_simd::{Kernel, Level, Simd, dispatch};

/// Features that are made together.
pub const CHUNK: usize = 64;

/// SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
#[derive(Debug, Clone)]
pub struct SplitMix(u64);

impl SplitMix {
    /// A stream of its own for each list of numbers.
    pub fn new(of: &[u64]) -> SplitMix {
        SplitMix(of.iter().fold(0, |state, x| SplitMix(state ^ x).next()))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `most`.
    pub fn below(&mut self, most: usize) -> usize {
        ((u128::from(self.next()) * most as u128) >> 64) as usize
    }
}

/// Some features of one degree.
#[derive(Debug, Clone, Copy)]
pub struct Chunk {
    pub degree: usize,
    pub first: usize,
    /// At most [`CHUNK`].
    pub count: usize,
    /// What each counts: 1 of R, and 1 for the channels themselves.
    pub weight: f64,
    /// Real part and imaginary part, or only the former.
    pub parts: usize,
}

/// What features are drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    pub seed: u64,
    pub order: usize,
    pub channels: usize,
    pub features: usize,
}

impl Draw {
    /// All features of degree 1 up to `degree`. Those of degree 1 are the channels.
    pub fn chunks(&self, degree: usize) -> Vec<Chunk> {
        let of = |degree: usize| {
            let (all, weight) =
                if degree == 1 { (self.channels, 1.0) } else { (self.features, 1.0 / self.features as f64) };
            let parts = if degree == 1 || self.order == 2 { 1 } else { 2 };
            let from = move |first| Chunk { degree, first, count: CHUNK.min(all - first), weight, parts };
            (0..all).step_by(CHUNK).map(from)
        };
        (1..=degree).flat_map(of).collect()
    }

    /// `[degree, parts, channels, CHUNK]`: ω, zeros beyond the last feature.
    pub fn omega(&self, chunk: &Chunk) -> Vec<f32> {
        let part = self.channels * CHUNK;
        let mut omega = vec![0.0; chunk.degree * chunk.parts * part];
        if chunk.degree == 1 {
            (0..chunk.count).for_each(|r| omega[(chunk.first + r) * CHUNK + r] = 1.0);
            return omega;
        }
        let root = |i: usize| (std::f64::consts::TAU * i as f64 / self.order as f64).sin_cos();
        let roots: Vec<(f32, f32)> = (0..self.order).map(root).map(|(im, re)| (re as f32, im as f32)).collect();
        for (factor, omega) in omega.chunks_exact_mut(chunk.parts * part).enumerate() {
            for r in 0..chunk.count {
                let of = [self.seed, chunk.degree as u64, (chunk.first + r) as u64, factor as u64];
                let mut random = SplitMix::new(&of);
                for l in 0..self.channels {
                    let (re, im) = roots[random.below(self.order)];
                    omega[l * CHUNK + r] = re;
                    if chunk.parts == 2 {
                        omega[part + l * CHUNK + r] = im;
                    }
                }
            }
        }
        omega
    }
}

/// The features of up to [`TOKENS`] tokens.
pub struct Features {
    channels: usize,
    level: Level,
    /// For each part `[TOKENS, CHUNK]`.
    pub z: [Vec<f32>; 2],
    factor: [Vec<f32>; 2],
}

impl Features {
    pub fn new(channels: usize, level: Level) -> Features {
        let room = || vec![0.0; TOKENS * CHUNK];
        Features { channels, level, z: [room(), room()], factor: [room(), room()] }
    }

    /// Of tokens that lie side by side, `[channels, stride]`. `omega` is that of the chunk.
    pub fn make(&mut self, chunk: &Chunk, omega: &[f32], tokens: (&[f32], usize), count: usize) {
        let part = self.channels * CHUNK;
        for (factor, omega) in omega.chunks_exact(chunk.parts * part).enumerate() {
            let to = if factor == 0 { &mut self.z } else { &mut self.factor };
            for (omega, to) in omega.chunks_exact(part).zip(to) {
                Product {
                    rows: count,
                    depth: self.channels,
                    columns: CHUNK,
                    a: tokens.0,
                    a_row: 1,
                    a_column: tokens.1,
                    b: omega,
                    b_row: CHUNK,
                    b_group: GROUP,
                    c_row: CHUNK,
                    add: false,
                }
                .run(self.level, to);
            }
            if factor > 0 {
                let ([re, im], [by_re, by_im]) = (&mut self.z, &self.factor);
                let im = &mut im[..if chunk.parts == 2 { count * CHUNK } else { 0 }];
                dispatch(self.level, Multiply { re: &mut re[..count * CHUNK], im, by_re, by_im });
            }
        }
    }
}

/// Complex numbers multiplied one by one; real ones where `im` is empty. Plain loops that the compiler vectorises.
struct Multiply<'a> {
    re: &'a mut [f32],
    im: &'a mut [f32],
    by_re: &'a [f32],
    by_im: &'a [f32],
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Multiply { re, im, by_re, by_im } = self;
        if im.is_empty() {
            return re.iter_mut().zip(by_re).for_each(|(x, by)| *x *= by);
        }
        for (((re, im), by_re), by_im) in re.iter_mut().zip(im).zip(by_re).zip(by_im) {
            (*re, *im) = (*re * by_re - *im * by_im, *re * by_im + *im * by_re);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polyad_simd::LANES;

    const CHANNELS: usize = 5;

    /// Of each feature the real part of the product over `operands` operands, and what its mean should be.
    fn products(draw: &Draw, operands: usize, degree: usize) -> (Vec<f64>, f64) {
        let mut tokens = vec![0.0; CHANNELS * LANES];
        let mut random = SplitMix::new(&[99]);
        // One channel matters more than the others, or powers would vary too much for their mean to be seen.
        for l in 0..CHANNELS {
            for a in 0..operands {
                let size = if l == 0 { 1.0 } else { 0.3 } + random.below(1000) as f32 / 4000.0;
                tokens[l * LANES + a] = if (a + l) % 3 == 1 { -size } else { size };
            }
        }
        let score: f64 =
            tokens.chunks_exact(LANES).map(|x| x[..operands].iter().map(|x| f64::from(*x)).product::<f64>()).sum();
        let mut features = Features::new(CHANNELS, Level::best());
        let mut found = Vec::new();
        for chunk in draw.chunks(degree).iter().filter(|chunk| chunk.degree == degree) {
            features.make(chunk, &draw.omega(chunk), (&tokens, LANES), LANES);
            let z = |a: usize, r: usize| {
                let part = |i: usize| if i < chunk.parts { f64::from(features.z[i][a * CHUNK + r]) } else { 0.0 };
                (part(0), part(1))
            };
            let times = |x: (f64, f64), y: (f64, f64)| (x.0 * y.0 - x.1 * y.1, x.0 * y.1 + x.1 * y.0);
            found.extend((0..chunk.count).map(|r| (0..operands).fold((1.0, 0.0), |x, a| times(x, z(a, r))).0));
        }
        (found, score.powi(degree as i32))
    }

    /// The mean and its standard error.
    fn mean(x: &[f64]) -> (f64, f64) {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        (mean, (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt())
    }

    fn draw(order: usize, features: usize, seed: u64) -> Draw {
        Draw { seed, order, channels: CHANNELS, features }
    }

    #[test]
    fn the_mean_of_products_of_features_is_the_power_of_the_score() {
        for (order, degree) in [2, 3, 4].into_iter().flat_map(|order| [2, 3].map(|degree| (order, degree))) {
            let (found, truth) = products(&draw(order, 400_000, 0), order, degree);
            let (mean, error) = mean(&found);
            println!("order {order}, degree {degree}: {mean:.4} ± {error:.4}, truth {truth:.4}");
            assert!(
                (mean - truth).abs() <= 4.0 * error,
                "order {order}, degree {degree}: {mean} ± {error}, not {truth}"
            );
            assert!(truth.abs() > 8.0 * error, "order {order}, degree {degree}: {truth} ± {error} could be 0");
        }
    }

    #[test]
    fn signs_would_give_nothing_for_three_factors() {
        let (found, truth) = products(&draw(2, 400_000, 0), 3, 2);
        let (mean, error) = mean(&found);
        assert!(mean.abs() <= 4.0 * error && truth.abs() > 8.0 * error, "{mean} ± {error}, truth {truth}");
    }

    #[test]
    fn the_variance_falls_as_the_features_rise() {
        for (order, degree) in [(2, 2), (3, 2), (3, 3), (4, 2)] {
            let variance = |features: usize| {
                let one = |seed| mean(&products(&draw(order, features, seed), order, degree).0).0;
                let means: Vec<f64> = (0..3000).map(one).collect();
                mean(&means).1.powi(2)
            };
            let ratio = variance(40) / variance(160);
            println!("order {order}, degree {degree}: the variance falls by {ratio:.2}");
            assert!((2.5..6.5).contains(&ratio), "order {order}, degree {degree}: {ratio}");
        }
    }

    #[test]
    fn degree_one_is_the_score_itself() {
        for order in [2, 3, 4] {
            let (found, truth) = products(&draw(order, 64, 0), order, 1);
            assert!((found.iter().sum::<f64>() - truth).abs() < 1e-6, "order {order}: {found:?}, not {truth}");
        }
    }
}
