//! Powers of scores by random features: an estimate, where monomials are too many.
//!
//! ```text
//! T_k = mean over R features of Re z(q) Π_a E_j z(k_aj),   N_k the same with E_j z(k_aj) v_aj
//! out = Σ p_k N_k / Σ p_k T_k                              degrees 0 and 1 exactly, p the row's polynomial
//!
//! 1. for each 64 features of a degree       a task
//! 2.   for each axis and 128 tokens
//! 3.     z: for each factor a product, 128 x D x 64; factors multiplied
//! 4.     a product, 64 x 128 x d_v, in single precision, and its result added up in double
//! 5. for each 128 queries                   a task
//! 6.   for each 64 features their z, and a product, 128 x 64 x d_v, added up in double for each degree
//! ```
//!
//! z: see `features`. Nothing depends on the number of threads. The variance of a feature grows like the power of its degree
//! of `Π_a |x_a|²`, with averages over keys in place of theirs: more operands or degrees want many more features, and where
//! there are as many features as monomials, monomials are better.

use crate::form::Channels;
use crate::polynomial::Options;
use crate::polynomial::basis::TOKENS;
use crate::polynomial::dense::AddUp;
use crate::polynomial::features::{CHUNK, Chunk, Draw, Features};
use crate::polynomial::minimax::{MOST_HALF, Polynomial};
use crate::polynomial::operands::{Axis, Interval, KeyHead, Reach, times_power};
use crate::polynomial::passes::Row;
use crate::polynomial::plan;
use crate::problem::{Inputs, Problem};
use polyad_simd::gemm::{GROUP, Product};
use polyad_simd::{LANES, Level, dispatch};
use rayon::prelude::*;

/// The highest degree by random features: those of higher ones are noise.
pub const MOST_SKETCH_DEGREE: usize = 4;
/// The most random features of a degree.
pub const MOST_FEATURES: usize = 1 << 20;

/// The degree that is used.
pub fn degree(options: &Options) -> usize {
    options.degree.min(MOST_SKETCH_DEGREE)
}

/// Why random features do not serve a problem that polynomials serve.
pub fn unsupported(problem: &Problem) -> Option<&'static str> {
    plan::moves(problem).then_some("causality and windows, under which queries see different keys")
}

/// A row done.
#[derive(Debug, Clone, PartialEq)]
pub struct Sketched {
    pub out: Vec<f64>,
    pub lse: f64,
}

/// A key head with what is drawn.
struct Sketch<'a> {
    key: &'a KeyHead,
    draw: Draw,
    degree: usize,
    level: Level,
    /// Values that are no padding; the column after them is that of ones.
    width: usize,
    /// Columns of a state, to whole vectors.
    room: usize,
}

impl Sketch<'_> {
    /// `[parts, CHUNK]` rows of an axis: the means of z by values, `columns` each, then all those of z.
    fn of_axis(&self, axis: &Axis, chunk: &Chunk, omega: &[f32], features: &mut Features) -> Vec<Vec<f64>> {
        let columns = self.key.columns;
        let mut parts = vec![vec![0.0; CHUNK * (columns + 1)]; chunk.parts];
        let mut product = vec![0.0; CHUNK * columns];
        for first in (0..axis.stride).step_by(TOKENS) {
            let tokens = TOKENS.min(axis.stride - first);
            features.make(chunk, omega, (&axis.channels[first..], axis.stride), tokens);
            for (z, part) in features.z.iter().zip(&mut parts) {
                Product {
                    rows: CHUNK,
                    depth: tokens,
                    columns,
                    a: z,
                    a_row: 1,
                    a_column: CHUNK,
                    b: &axis.values[first * columns..],
                    b_row: columns,
                    b_group: GROUP,
                    c_row: columns,
                    add: false,
                }
                .run(self.level, &mut product);
                let (values, ones) = part.split_at_mut(CHUNK * columns);
                dispatch(self.level, AddUp { rows: &product, to: values });
                dispatch(self.level, AddUp { rows: &z[..tokens * CHUNK], to: ones });
            }
        }
        let seen = axis.seen() as f64;
        parts.iter_mut().flatten().for_each(|x| *x /= seen);
        parts
    }

    /// `[parts, CHUNK, room]`: all axes' means multiplied and weighted, the imaginary part turned around, so that sums of
    /// products with the parts of queries are real parts.
    fn state(&self, chunk: &Chunk) -> Vec<f32> {
        let omega = self.draw.omega(chunk);
        let mut features = Features::new(self.draw.channels, self.level);
        let mut axes = self.key.axes.iter().map(|axis| self.of_axis(axis, chunk, &omega, &mut features));
        let mut all = axes.next().unwrap_or_default();
        for axis in axes {
            match (&mut all[..], &axis[..]) {
                ([re, im], [by_re, by_im]) => {
                    for (((re, im), by_re), by_im) in re.iter_mut().zip(im).zip(by_re).zip(by_im) {
                        (*re, *im) = (*re * by_re - *im * by_im, *re * by_im + *im * by_re);
                    }
                }
                (all, axis) => all[0].iter_mut().zip(&axis[0]).for_each(|(x, by)| *x *= by),
            }
        }
        let columns = self.key.columns;
        let mut state = vec![0.0; chunk.parts * CHUNK * self.room];
        for (r, row) in state.chunks_exact_mut(self.room).enumerate() {
            let (part, r) = (r / CHUNK, r % CHUNK);
            let weight = if part == 0 { chunk.weight } else { -chunk.weight };
            let (values, ones) = all[part].split_at(CHUNK * columns);
            row[..self.width].iter_mut().zip(&values[r * columns..]).for_each(|(to, x)| *to = (x * weight) as f32);
            row[self.width] = (ones[r] * weight) as f32;
        }
        state
    }

    /// `[degree, TOKENS, room]`: N_k and, in the column of ones, T_k, for k from 1 on. Queries as `[channels, TOKENS]`.
    fn powers(&self, queries: &[f32], chunks: &[Chunk], states: &[Vec<f32>]) -> Vec<f64> {
        let mut features = Features::new(self.draw.channels, self.level);
        let mut powers = vec![0.0; self.degree * TOKENS * self.room];
        let mut product = vec![0.0; TOKENS * self.room];
        for (chunk, state) in chunks.iter().zip(states) {
            features.make(chunk, &self.draw.omega(chunk), (queries, TOKENS), TOKENS);
            for (part, (z, state)) in features.z.iter().zip(state.chunks_exact(CHUNK * self.room)).enumerate() {
                Product {
                    rows: TOKENS,
                    depth: CHUNK,
                    columns: self.room,
                    a: z,
                    a_row: CHUNK,
                    a_column: 1,
                    b: state,
                    b_row: self.room,
                    b_group: GROUP,
                    c_row: self.room,
                    add: part > 0,
                }
                .run(self.level, &mut product);
            }
            let to = &mut powers[(chunk.degree - 1) * TOKENS * self.room..][..TOKENS * self.room];
            dispatch(self.level, AddUp { rows: &product, to });
        }
        powers
    }

    /// `E v` of each column, and 1.
    fn constants(&self) -> Vec<f64> {
        let mean = |axis: &Axis, l: usize| -> f64 {
            let column = axis.values.iter().skip(l).step_by(self.key.columns);
            column.map(|v| f64::from(*v)).sum::<f64>() / axis.seen() as f64
        };
        let of = |l: usize| self.key.axes.iter().map(|axis| mean(axis, l)).product();
        (0..self.width).map(of).chain([1.0]).collect()
    }

    /// `powers`: N_k and T_k for each k.
    fn finish(&self, powers: &[&[f64]], reach: Option<Reach>) -> Sketched {
        let first = powers[1][self.width];
        let square = powers.get(2).map(|of| of[self.width].max(first * first));
        let (p, epsilon) = polynomial(self.degree, reach, square);
        let sum = |l: usize| -> f64 { p.iter().zip(powers).map(|(p, of)| p * of[l]).sum() };
        // The mean of e^s is at least e to the mean of s (Jensen), which degree 1 gives exactly and which is no less than
        // e^−half; what is estimated to be below has gone astray, and nothing may be divided by a number near 0.
        let least = ((1.0 - epsilon) * first.exp()).max(f64::MIN_POSITIVE);
        let found = sum(self.width);
        let mean = if found < least { least } else { found };
        // No mean of values is outside of their interval.
        let within = |x: f64, Interval { low, high }| match x {
            x if x < low => low,
            x if x > high => high,
            x => x,
        };
        let out = |l: usize| times_power(within(sum(l) / mean, self.key.values[l]), self.key.value_powers[l]);
        let ln_tuples: f64 = self.key.axes.iter().map(|axis| (axis.seen() as f64).ln()).sum();
        Sketched { out: (0..self.width).map(out).collect(), lse: mean.ln() + ln_tuples }
    }
}

/// How many times the root of the mean square score is taken for the greatest: what a few scores beyond add is little.
const SPREAD: f64 = 4.0;

/// Coefficients near e^s for a row whose mean square score is `square`, and how far the polynomial is from it, as a share.
///
/// Scores can reach much further than they do where channels are many, and a polynomial for all of the reach would be far
/// from e^s where they are. The series serves where they go too far for any polynomial.
fn polynomial(degree: usize, reach: Option<Reach>, square: Option<f64>) -> (Vec<f64>, f64) {
    let reach = reach.map_or(f64::INFINITY, |reach| reach.half + reach.centre.abs());
    let half = square.map_or(reach, |square| reach.min(SPREAD * square.sqrt()));
    let near = (half <= MOST_HALF).then(|| Polynomial::near_exp(degree, 0, half));
    match near.filter(|near| near.epsilon < 1.0) {
        Some(near) => (near.coefficients.clone(), near.epsilon),
        None => {
            let next = |term: &mut f64, k| Some(std::mem::replace(term, *term / k as f64));
            ((1..=degree + 1).scan(1.0, next).collect(), 0.0)
        }
    }
}

/// Gives each row of a key head to `take`, with its index among all rows.
pub fn rows(
    problem: &Problem,
    inputs: &Inputs<f32>,
    channels: &Channels,
    key_head: usize,
    options: &Options,
    level: Level,
    mut take: impl FnMut(usize, Row),
) {
    let key = KeyHead::new(problem, inputs, channels, key_head, true);
    let count = problem.heads / problem.key_heads * problem.queries;
    let first = key_head * count;
    if key.axes.iter().any(|axis| axis.seen() == 0) {
        return (first..first + count).for_each(|row| take(row, Row::Blind));
    }
    let (width, d) = (problem.value_width, channels.count());
    let draw = Draw { seed: options.seed, order: problem.order(), channels: d, features: options.features };
    let room = (width + 1).next_multiple_of(LANES);
    let sketch = Sketch { key: &key, draw, degree: degree(options), level, width, room };
    let chunks = draw.chunks(sketch.degree);
    let states: Vec<Vec<f32>> = chunks.par_iter().with_max_len(1).map(|chunk| sketch.state(chunk)).collect();
    let constants = sketch.constants();
    let of_some = |begin: usize| -> Vec<(usize, Row)> {
        let rows = first + begin..first + count.min(begin + TOKENS);
        let (mut queries, mut reach) = (vec![0.0; d * TOKENS], Vec::new());
        let (mut own, mut made) = (vec![0.0; d], vec![0.0; d]);
        for (at, row) in rows.clone().enumerate() {
            let token = problem.query_places().row(inputs.q, row);
            reach.push(key.query(channels, problem.scale, token, &mut own, &mut made));
            made.iter().enumerate().for_each(|(l, x)| queries[l * TOKENS + at] = *x);
        }
        let powers = sketch.powers(&queries, &chunks, &states);
        let one = |(at, (row, reach))| {
            let of_degree = powers.chunks_exact(room).skip(at).step_by(TOKENS);
            let of_row: Vec<&[f64]> = std::iter::once(&constants[..]).chain(of_degree).collect();
            (row, Row::Sketched(sketch.finish(&of_row, reach)))
        };
        rows.zip(reach).enumerate().map(one).collect()
    };
    let begins: Vec<usize> = (0..count).step_by(TOKENS).collect();
    let done: Vec<Vec<(usize, Row)>> = begins.into_par_iter().with_max_len(1).map(of_some).collect();
    done.into_iter().flatten().for_each(|(row, done)| take(row, done));
}
