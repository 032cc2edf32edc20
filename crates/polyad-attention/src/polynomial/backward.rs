//! Gradients of what the polynomial method computes, through the same factors and in the same order of time
//! (arXiv 2405.16411 for the exact gradient's closed form).
//!
//! ```text
//! out = N / Z,  lse = ln Z + ..,  N = Σ_k a_k Σ_{|α|=k} w_α q^α Π_a S_a[α]           a_k: the row's own coefficients
//! with f = a_k w_α q^α / Z:  dM[α] = f [dout, dlse − dout · out]
//! dq through q^α:            f' (dout · Π_a S_a[α] + ..)
//! R_a[α] of a token: the sum, over the queries that see it, of dM[α] ∘ Π_{b ≠ a} S_b[α]
//! dv_a = Σ_α k^α R_a[α],     dk_a through k^α: R_a[α] · [v_a, 1]
//! ```
//!
//! 1. for each task, a run of blocks of monomials
//! 2.   from the last query to the first: states as that query sees them, the gradient of its features, `R += ..`
//! 3.   a token whose first query this was is finished: its gradient is what R holds
//! 4. the tasks' gradients added up, in order
//!
//! Coefficients and centres are held fixed. States go back in time by subtraction, and what no longer sees a token is
//! subtracted from R: in double precision, relative to numbers that none exceeds by more than the count of tokens.
//! Gradients carry no certificate.

use crate::polynomial::basis::{Basis, Block};
use crate::polynomial::minimax::MOST_DEGREE;
use crate::polynomial::operands::KeyHead;
use crate::polynomial::stream::{AddToken, Around, Sight, State, Times};
use polyad_simd::{Kernel, LANES, Level, Simd, dispatch};
use rayon::prelude::*;
use std::ops::Range;

/// Tasks of a head.
const TASKS: usize = 8;
/// Numbers of a block's states, and of what it keeps for windows.
const STATE: usize = 1 << 11;
const KEPT: usize = 1 << 17;

/// A row that was computed by a polynomial, with what comes from above.
pub struct Row {
    /// The polynomial's coefficients in powers of the scores, over the sum of its weights.
    pub coefficients: Vec<f64>,
    /// `[columns]`, in the units of the normalised values.
    pub dout: Vec<f64>,
    /// `dlse − dout · out`
    pub slope: f64,
}

/// Gradients of a key head, of the normalised operands.
#[derive(Debug, Clone)]
pub struct Slopes {
    /// For each query head `[queries, channels]`.
    pub queries: Vec<Vec<f64>>,
    /// For each axis `[tokens, channels]`.
    pub keys: Vec<Vec<f64>>,
    /// For each axis `[tokens, columns]`.
    pub values: Vec<Vec<f64>>,
}

impl Slopes {
    pub fn new(key: &KeyHead, channels: usize, heads: usize, queries: usize) -> Slopes {
        Slopes {
            queries: vec![vec![0.0; queries * channels]; heads],
            keys: key.axes.iter().map(|axis| vec![0.0; axis.tokens * channels]).collect(),
            values: key.axes.iter().map(|axis| vec![0.0; axis.tokens * key.columns]).collect(),
        }
    }

    fn add(&mut self, other: &Slopes) {
        let mine = self.queries.iter_mut().chain(&mut self.keys).chain(&mut self.values);
        let theirs = other.queries.iter().chain(&other.keys).chain(&other.values);
        mine.zip(theirs).for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(to, x)| *to += x));
    }
}

/// What the gradient of a key head's rows is computed from.
pub struct Back<'a> {
    pub key: &'a KeyHead,
    pub basis: &'a Basis,
    pub queries: usize,
    /// For each query head `[channels, stride]`.
    pub channels: &'a [Vec<f32>],
    pub stride: usize,
    pub sight: &'a Sight<'a>,
    /// The queries that see a token of an axis.
    pub seen_by: &'a Sight<'a>,
    /// For each query head and query, those that are wanted.
    pub rows: &'a [Vec<Option<Row>>],
    pub level: Level,
}

impl Back<'_> {
    /// Adds the gradient to `to`.
    pub fn run(&self, to: &mut Slopes) {
        let axes = 0..self.key.axes.len();
        // On a window's axis what a query adds is kept until it is taken away again.
        let leaves = |axis: usize| (self.seen_by)(axis, 0).end < self.queries;
        let keeps: Vec<bool> = axes.clone().map(leaves).collect();
        let width = self.key.columns + 1;
        let kept = if keeps.contains(&true) { self.queries * width } else { 0 };
        let size = (STATE / width).min(KEPT / kept.max(1)).clamp(1, 64);
        let blocks = self.basis.blocks(size);
        let each = blocks.len().div_ceil(TASKS).max(1);
        let parts: Vec<Slopes> = blocks
            .par_chunks(each)
            .with_max_len(1)
            .map(|blocks| {
                let mut slopes = Slopes::new(self.key, self.basis.channels, self.channels.len(), self.queries);
                blocks.iter().for_each(|block| self.block(block, &keeps, &mut slopes));
                slopes
            })
            .collect();
        parts.iter().for_each(|part| to.add(part));
    }

    fn block(&self, block: &Block, keeps: &[bool], to: &mut Slopes) {
        let (columns, monomials) = (self.key.columns, block.len());
        let weights = &self.basis.weights(block.degree)[block.of_degree.clone()];
        let mut axes: Vec<Axis> = (0..keeps.len()).map(|axis| Axis::new(self, block, axis, keeps[axis])).collect();
        let mut queries: Vec<Around> =
            self.channels.iter().map(|channels| Around::new(channels, self.stride, monomials)).collect();
        let (mut product, mut slope) = (State::new(monomials, columns), State::new(monomials, columns));
        let mut of_query = vec![0.0; monomials];
        for i in (0..self.queries).rev() {
            axes.iter_mut().for_each(|axis| axis.go_back_to(i));
            if self.rows.iter().any(|rows| rows[i].is_some()) {
                for (index, axis) in axes.iter().enumerate() {
                    dispatch(self.level, Times { first: index == 0, from: &axis.state, to: &mut product });
                }
                slope.clear();
                for (head, around) in queries.iter_mut().enumerate() {
                    let Some(row) = &self.rows[head][i] else { continue };
                    let factor = row.coefficients[block.degree];
                    let features = around.of(self.basis, block, i, self.level);
                    let of_query = &mut of_query[..];
                    dispatch(
                        self.level,
                        OfQuery { features, weights, factor, row, product: &product, slope: &mut slope, of_query },
                    );
                    let channel = |l: usize| f64::from(self.channels[head][l * self.stride + i]);
                    let to = &mut to.queries[head][i * self.basis.channels..(i + 1) * self.basis.channels];
                    chain(self.basis, block, channel, of_query, to);
                }
                for index in 0..axes.len() {
                    product.ones.copy_from_slice(&slope.ones);
                    product.values.copy_from_slice(&slope.values);
                    for (_, other) in axes.iter().enumerate().filter(|(other, _)| *other != index) {
                        dispatch(self.level, Times { first: false, from: &other.state, to: &mut product });
                    }
                    axes[index].add(i, &product);
                }
            }
            for (index, axis) in axes.iter_mut().enumerate() {
                axis.finish(i, (&mut to.keys[index], &mut to.values[index]));
            }
        }
    }
}

/// An axis on its way back.
struct Axis<'a> {
    back: &'a Back<'a>,
    block: &'a Block,
    index: usize,
    around: Around<'a>,
    sight: Range<usize>,
    state: State,
    /// `R`
    slope: State,
    /// What each query from `first` on has added, if it is to be taken away again; last query first.
    kept: Option<Vec<Option<State>>>,
    /// Queries from here on are no longer in `slope`.
    end: usize,
    /// Tokens from here on are finished.
    finished: usize,
    of_token: Vec<f64>,
}

impl<'a> Axis<'a> {
    fn new(back: &'a Back<'a>, block: &'a Block, index: usize, keeps: bool) -> Self {
        let axis = &back.key.axes[index];
        let state = State::new(block.len(), back.key.columns);
        Axis {
            back,
            block,
            index,
            around: Around::new(&axis.channels, axis.stride, block.len()),
            sight: 0..0,
            slope: state.clone(),
            state,
            kept: keeps.then(Vec::new),
            end: back.queries,
            finished: axis.tokens,
            of_token: vec![0.0; block.len()],
        }
    }

    /// The state as query `i` sees it, from that of the query after it; from nothing for the last.
    fn go_back_to(&mut self, i: usize) {
        let sight = (self.back.sight)(self.index, i);
        if self.sight.is_empty() || sight.end <= self.sight.start {
            self.state.clear();
            self.sight = sight.start..sight.start;
            (self.sight.end..sight.end).for_each(|token| self.change(token, 1.0));
        } else {
            (sight.end..self.sight.end).for_each(|token| self.change(token, -1.0));
            (sight.start..self.sight.start).for_each(|token| self.change(token, 1.0));
        }
        self.sight = sight;
    }

    fn change(&mut self, token: usize, sign: f64) {
        let axis = &self.back.key.axes[self.index];
        if axis.counts[token] {
            let row = &axis.values[token * self.back.key.columns..(token + 1) * self.back.key.columns];
            let features = self.around.of(self.back.basis, self.block, token, self.back.level);
            dispatch(self.back.level, AddToken { features, row, sign, squares: false, to: &mut self.state });
        }
    }

    /// What query `i` adds.
    fn add(&mut self, i: usize, slope: &State) {
        add_state(&mut self.slope, slope, 1.0, self.back.level);
        if let Some(kept) = &mut self.kept {
            kept.resize(self.back.queries - 1 - i, None);
            kept.push(Some(slope.clone()));
        }
    }

    /// Finishes the tokens that no query before `i` sees.
    fn finish(&mut self, i: usize, (keys, values): (&mut [f64], &mut [f64])) {
        let (back, columns, channels) = (self.back, self.back.key.columns, self.back.basis.channels);
        let axis = &back.key.axes[self.index];
        while self.finished > 0 {
            let token = self.finished - 1;
            let seen = (back.seen_by)(self.index, token);
            if !seen.is_empty() && seen.start < i {
                return;
            }
            self.finished = token;
            if seen.is_empty() || !axis.counts[token] {
                continue;
            }
            while self.end > seen.end {
                self.end -= 1;
                let place = back.queries - 1 - self.end;
                let gone = self.kept.as_mut().and_then(|kept| kept.get_mut(place)).and_then(Option::take);
                if let Some(gone) = gone {
                    add_state(&mut self.slope, &gone, -1.0, back.level);
                }
            }
            let row = &axis.values[token * columns..(token + 1) * columns];
            let features = self.around.of(back.basis, self.block, token, back.level);
            let to = &mut values[token * columns..(token + 1) * columns];
            let of_token = &mut self.of_token[..];
            dispatch(back.level, OfToken { features, row, slope: &self.slope, to, of_token });
            let channel = |l: usize| f64::from(axis.channels[l * axis.stride + token]);
            chain(back.basis, self.block, channel, of_token, &mut keys[token * channels..(token + 1) * channels]);
        }
    }
}

/// From the gradient of features to that of channels: the product of all factors but one, for each.
fn chain(basis: &Basis, block: &Block, channel: impl Fn(usize) -> f64, of_features: &[f64], to: &mut [f64]) {
    let lists = basis.lists(block);
    let mut after = [1.0; MOST_DEGREE + 1];
    for (index, gradient) in of_features.iter().enumerate() {
        let list = lists.of(index);
        for place in (0..list.len()).rev() {
            after[place] = after[place + 1] * channel(list[place] as usize);
        }
        let mut before = *gradient;
        for (place, l) in list.iter().enumerate() {
            to[*l as usize] += before * after[place + 1];
            before *= channel(*l as usize);
        }
        after[list.len()] = 1.0;
    }
}

fn add_state(to: &mut State, from: &State, sign: f64, level: Level) {
    for (to, from) in [(&mut to.ones, &from.ones), (&mut to.values, &from.values)] {
        dispatch(level, AddTo { from, sign, to });
    }
}

struct AddTo<'a> {
    from: &'a [f64],
    sign: f64,
    to: &'a mut [f64],
}

impl Kernel for AddTo<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        self.to.iter_mut().zip(self.from).for_each(|(to, x)| *to += self.sign * x);
    }
}

/// The gradient of a query's features, and what it adds to that of the states' product.
struct OfQuery<'a> {
    features: (&'a [f32], usize, usize),
    weights: &'a [f64],
    factor: f64,
    row: &'a Row,
    product: &'a State,
    slope: &'a mut State,
    of_query: &'a mut [f64],
}

impl Kernel for OfQuery<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let OfQuery { features: (features, step, place), weights, factor, row, product, slope, of_query } = self;
        let columns = row.dout.len();
        for (m, of_query) in of_query.iter_mut().enumerate().take(weights.len()) {
            let weight = factor * weights[m];
            let own = weight * f64::from(features[m * step + place]);
            slope.ones[m] += own * row.slope;
            let mut sums = [0.0; LANES];
            let dout = row.dout.as_chunks::<LANES>().0;
            let from = product.values[m * columns..(m + 1) * columns].as_chunks::<LANES>().0;
            let to = slope.values[m * columns..(m + 1) * columns].as_chunks_mut::<LANES>().0;
            for (to, (x, d)) in to.iter_mut().zip(from.iter().zip(dout)) {
                for lane in 0..LANES {
                    to[lane] += own * d[lane];
                    sums[lane] += x[lane] * d[lane];
                }
            }
            *of_query = weight * (sums.iter().sum::<f64>() + row.slope * product.ones[m]);
        }
    }
}

/// The gradient of a token's values, and of its features.
struct OfToken<'a> {
    features: (&'a [f32], usize, usize),
    row: &'a [f32],
    slope: &'a State,
    to: &'a mut [f64],
    of_token: &'a mut [f64],
}

impl Kernel for OfToken<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let OfToken { features: (features, step, place), row, slope, to, of_token } = self;
        let columns = row.len();
        for (m, of_token) in of_token.iter_mut().enumerate() {
            let feature = f64::from(features[m * step + place]);
            let mut sums = [0.0; LANES];
            let from = slope.values[m * columns..(m + 1) * columns].as_chunks::<LANES>().0;
            let values = row.as_chunks::<LANES>().0;
            for ((to, x), v) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(from).zip(values) {
                for lane in 0..LANES {
                    to[lane] += feature * x[lane];
                    sums[lane] += x[lane] * f64::from(v[lane]);
                }
            }
            *of_token = sums.iter().sum::<f64>() + slope.ones[m];
        }
    }
}
