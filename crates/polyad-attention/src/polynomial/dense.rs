//! Queries that all see the same keys: sums of features over keys, once, and each query's products with them.
//!
//! ```text
//! 1. for each axis and block of 64 monomials             a task
//! 2.   for each 128 tokens
//! 3.     features, 64 x 128                              one multiplication each
//! 4.     a product, 64 x 128 x d_v, in single precision, and its result added up in double
//! 5. M = (k! / α!) ∘ the axes' states, for all monomials in single precision
//! 6. for each 64 queries, block of monomials              a task
//! 7.   features, 128 x 64
//! 8.   a product, 64 x 128 x d_v, added up in double for each degree
//! ```
//!
//! Nothing of the size of tokens times monomials is ever there at once. Tasks do not depend on the number of threads.
//!
//! # Rounding
//! With u half a unit in the last place: a feature of degree k is off by `k` roundings, a product over at most 128 terms by
//! 128 more, the product of the axes' states by one more; then the query's, whose channels are rounded already. All of them
//! are relative to sums of absolute values, which for degree k are at most `reach^k` times the mean absolute value.

use crate::polynomial::basis::{Basis, Block, Features, TOKENS};
use crate::polynomial::certificate::Powers;
use crate::polynomial::operands::{Axis, UNIT};
use polyad_simd::gemm::{GROUP, Product};
use polyad_simd::{Kernel, LANES, Level, Simd, dispatch};
use rayon::prelude::*;

/// Monomials of a block of states.
const STATES: usize = 64;
/// Queries of a task.
pub const QUERIES: usize = 64;

/// The sums over an axis' tokens of features alone, features by values, and features of low degree by squared values.
#[derive(Debug, Clone)]
pub struct Sums {
    /// `[monomials]`
    pub ones: Vec<f64>,
    /// `[monomials, columns]`
    pub values: Vec<f64>,
    /// `[monomials of low degree, columns]`
    pub squares: Vec<f64>,
}

/// Monomials of degree up to `degree`.
fn up_to(basis: &Basis, degree: usize) -> usize {
    (0..=degree).map(|k| basis.weights(k).len()).sum()
}

/// Of one axis, means rather than sums. `squares`: the highest degree of the states of squared values.
pub fn sums(axis: &Axis, columns: usize, basis: &Basis, squares: usize, level: Level) -> Sums {
    let low = up_to(basis, squares);
    let mut sums = Sums {
        ones: vec![0.0; basis.kept()],
        values: vec![0.0; basis.kept() * columns],
        squares: vec![0.0; low * columns],
    };
    let (mut ones, mut values, mut squares) = (&mut sums.ones[..], &mut sums.values[..], &mut sums.squares[..]);
    let mut tasks = Vec::new();
    for block in basis.blocks(STATES) {
        let own_ones = ones.split_off_mut(..block.len()).unwrap_or_default();
        let own_values = values.split_off_mut(..block.len() * columns).unwrap_or_default();
        let has = if block.of_all.end <= low { block.len() * columns } else { 0 };
        let own_squares = squares.split_off_mut(..has).unwrap_or_default();
        tasks.push((block, own_ones, own_values, own_squares));
    }
    tasks.into_par_iter().with_max_len(1).for_each(|(block, ones, values, squares)| {
        let mut features = vec![0.0; STATES * TOKENS];
        let mut product = vec![0.0; STATES * columns];
        let mut squared = vec![0.0; if squares.is_empty() { 0 } else { TOKENS * columns }];
        for first in (0..axis.stride).step_by(TOKENS) {
            let tokens = TOKENS.min(axis.stride - first);
            let lists = basis.lists(&block);
            let channels = &axis.channels[first.min(axis.channels.len())..];
            let out = &mut features[..block.len() * tokens];
            dispatch(level, Features { lists, channels, stride: axis.stride, tokens, out });
            dispatch(level, Total { features: &features, tokens, to: ones });
            let of_tokens = &axis.values[first * columns..(first + tokens) * columns];
            squared.iter_mut().zip(of_tokens).for_each(|(to, v)| *to = v * v);
            for (b, to) in [(of_tokens, &mut *values), (&squared, &mut *squares)] {
                if to.is_empty() {
                    continue;
                }
                Product {
                    rows: block.len(),
                    depth: tokens,
                    columns,
                    a: &features,
                    a_row: tokens,
                    a_column: 1,
                    b,
                    b_row: columns,
                    b_group: GROUP,
                    c_row: columns,
                    add: false,
                }
                .run(level, &mut product);
                dispatch(level, AddUp { rows: &product[..block.len() * columns], to });
            }
        }
    });
    let tokens = axis.tokens as f64;
    if let Some(constant) = sums.ones.first_mut() {
        // The feature of degree 0 is 1 for tokens that are not there, too.
        *constant = tokens;
    }
    let means = sums.ones.iter_mut().chain(&mut sums.values).chain(&mut sums.squares);
    means.for_each(|x| *x /= tokens);
    sums
}

/// `to[m] += Σ_t features[m, t]`
struct Total<'a> {
    features: &'a [f32],
    tokens: usize,
    to: &'a mut [f64],
}

impl Kernel for Total<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, to) in self.features.chunks_exact(self.tokens).zip(self.to) {
            let vectors = row.as_chunks::<LANES>().0.iter();
            let sum = vectors.fold(simd.splat(0.0), |sum, lanes| simd.add(sum, simd.load(lanes)));
            *to += f64::from(simd.sum(sum));
        }
    }
}

/// Adds rows as long as `to` to it, a plain loop that the compiler vectorises for the level.
pub struct AddUp<'a> {
    pub rows: &'a [f32],
    pub to: &'a mut [f64],
}

impl Kernel for AddUp<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact(self.to.len()) {
            self.to.iter_mut().zip(row).for_each(|(to, x)| *to += f64::from(*x));
        }
    }
}

/// All axes' sums multiplied, with the monomials' weights, as queries want them.
#[derive(Debug, Clone)]
pub struct States {
    ones: Vec<f32>,
    values: Vec<f32>,
    squares: Vec<f32>,
    /// Highest degree of the squares.
    squares_degree: usize,
}

impl States {
    /// Of the sums of all axes, which were made for squares up to the same degree.
    pub fn new(axes: &[Sums], basis: &Basis, columns: usize, squares_degree: usize) -> States {
        let weights: Vec<f64> = (0..=basis.degree()).flat_map(|k| basis.weights(k)).copied().collect();
        let product = |of: fn(&Sums) -> &[f64], columns: usize| -> Vec<f32> {
            let numbers = of(&axes[0]).len();
            let one = |i: usize| weights[i / columns] * axes.iter().map(|axis| of(axis)[i]).product::<f64>();
            (0..numbers).into_par_iter().with_min_len(4096).map(|i| one(i) as f32).collect()
        };
        States {
            ones: product(|sums| &sums.ones, 1),
            values: product(|sums| &sums.values, columns),
            squares: product(|sums| &sums.squares, columns),
            squares_degree,
        }
    }
}

/// `e_k` less what a row's reach makes of it: roundings of degree k, as a share of sums of absolute values.
pub fn roundings(order: usize, degree: usize, tokens: usize) -> f64 {
    let axes = (order - 1) as f64;
    let k = degree as f64;
    // Sums of squares have one more rounding a value; sums in double precision have as many as there are products.
    let single = axes * (TOKENS as f64 + k + 2.0) + TOKENS as f64 + 2.0 * k + 4.0;
    (single * UNIT).exp_m1() + (tokens as f64 / 64.0 + 1e6) * f64::EPSILON + 1e-30
}

/// Powers of the scores of some queries, at most [`QUERIES`].
#[derive(Debug)]
pub struct Rows {
    columns: usize,
    degree: usize,
    /// `[degree + 1, QUERIES]`
    ones: Vec<f64>,
    /// `[degree + 1, QUERIES, columns]`
    values: Vec<f64>,
    /// `[squares_degree + 1, QUERIES, columns]`
    squares: Vec<f64>,
    features: Vec<f32>,
    product: Vec<f32>,
}

impl Rows {
    pub fn new(degree: usize, squares_degree: usize, columns: usize) -> Rows {
        Rows {
            columns,
            degree,
            ones: vec![0.0; (degree + 1) * QUERIES],
            values: vec![0.0; (degree + 1) * QUERIES * columns],
            squares: vec![0.0; (squares_degree + 1) * QUERIES * columns],
            features: vec![0.0; TOKENS * QUERIES],
            product: vec![0.0; QUERIES * columns],
        }
    }

    /// Of queries whose channels lie side by side, `[channels, QUERIES]`.
    pub fn read(&mut self, queries: &[f32], basis: &Basis, blocks: &[Block], states: &States, level: Level) {
        for x in [&mut self.ones, &mut self.values, &mut self.squares] {
            x.fill(0.0);
        }
        let columns = self.columns;
        for block in blocks {
            let (lists, features) = (basis.lists(block), &mut self.features[..block.len() * QUERIES]);
            dispatch(level, Features { lists, channels: queries, stride: QUERIES, tokens: QUERIES, out: features });
            let ones = &mut self.ones[block.degree * QUERIES..(block.degree + 1) * QUERIES];
            dispatch(level, Weighted { features, weights: &states.ones[block.of_all.clone()], to: ones });
            let squares = block.degree <= states.squares_degree;
            for (b, to) in [(&states.values, &mut self.values), (&states.squares, &mut self.squares)]
                .into_iter()
                .take(if squares { 2 } else { 1 })
            {
                Product {
                    rows: QUERIES,
                    depth: block.len(),
                    columns,
                    a: features,
                    a_row: 1,
                    a_column: QUERIES,
                    b: &b[block.of_all.start * columns..block.of_all.end * columns],
                    b_row: columns,
                    b_group: GROUP,
                    c_row: columns,
                    add: false,
                }
                .run(level, &mut self.product);
                let to = &mut to[block.degree * QUERIES * columns..][..QUERIES * columns];
                dispatch(level, AddUp { rows: &self.product, to });
            }
        }
    }

    /// Those of one query.
    pub fn powers<'a>(&'a self, row: usize, ones: &'a mut Vec<f64>, errors: &'a [f64]) -> Powers<'a> {
        ones.clear();
        ones.extend((0..=self.degree).map(|k| self.ones[k * QUERIES + row]));
        let of = |x: &'a [f64]| x.chunks_exact(self.columns).skip(row).step_by(QUERIES).collect();
        Powers { ones, values: of(&self.values), squares: of(&self.squares), errors }
    }
}

/// `to[t] += Σ_m weights[m] features[m, t]`
struct Weighted<'a> {
    /// `[monomials, QUERIES]`
    features: &'a [f32],
    weights: &'a [f32],
    to: &'a mut [f64],
}

impl Kernel for Weighted<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut sums = [simd.splat(0.0); QUERIES / LANES];
        for (row, weight) in self.features.chunks_exact(QUERIES).zip(self.weights) {
            let weight = simd.splat(*weight);
            for (sum, lanes) in sums.iter_mut().zip(row.as_chunks::<LANES>().0) {
                *sum = simd.mul_add(weight, simd.load(lanes), *sum);
            }
        }
        for (sum, to) in sums.into_iter().zip(self.to.as_chunks_mut::<LANES>().0) {
            let mut lanes = [0.0; LANES];
            simd.store(sum, &mut lanes);
            to.iter_mut().zip(lanes).for_each(|(to, x)| *to += f64::from(x));
        }
    }
}
