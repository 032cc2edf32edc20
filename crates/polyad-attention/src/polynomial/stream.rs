//! Queries that see different keys: causal ones, windows. States move along the sequence with them.
//!
//! ```text
//! 1. for each segment of queries
//! 2.   for each task, a run of blocks of monomials      their states stay in the first caches
//! 3.     for each query
//! 4.       states += tokens that come into sight        features x values, in double precision
//! 5.       powers += (query's features) · (axes' states multiplied)
//! 6.   the tasks' powers added up, in order
//! ```
//!
//! The state of a query is the product of its own axes' sums, so the exact update costs what the dense form costs, where
//! chunks of the sequence would need every triple with one key before a chunk and one in it.
//!
//! Windows: what leaves is never subtracted, which would leave its rounding behind. The tokens in sight are a run up to a
//! point, of which all suffix sums are kept, and those since, of which the sum is kept (two stacks as a queue; over time the
//! block prefixes and suffixes of van Herk and of Gil and Werman). A segment begins anew and is at least as long as a window,
//! so this costs at most twice the plain sums. Tasks and segments do not depend on the number of threads.

use crate::polynomial::basis::{Basis, Block, Features, TOKENS};
use crate::polynomial::operands::{Axis, KeyHead, UNIT};
use polyad_simd::{Kernel, LANES, Level, Simd, dispatch};
use rayon::prelude::*;
use std::ops::Range;

/// Tasks of a segment.
const TASKS: usize = 16;
/// Queries of a segment, at least.
const SEGMENT: usize = 256;
/// Numbers that a block's states should not exceed, so that they stay in the first-level cache.
const STATE: usize = 1 << 11;
/// Numbers that a block's suffix sums should not exceed.
const SUFFIXES: usize = 1 << 17;

/// The tokens that a query sees on each axis.
pub type Sight<'a> = dyn Fn(usize, usize) -> Range<usize> + Sync + 'a;

/// Sums of some monomials' features, alone and by values (and squared values).
#[derive(Debug, Clone)]
pub struct State {
    pub ones: Vec<f64>,
    /// `[monomials, width]`
    pub values: Vec<f64>,
}

impl State {
    pub fn new(monomials: usize, width: usize) -> State {
        State { ones: vec![0.0; monomials], values: vec![0.0; monomials * width] }
    }

    pub fn clear(&mut self) {
        self.ones.fill(0.0);
        self.values.fill(0.0);
    }
}

/// The features of a block for tokens around the last one asked for.
pub struct Around<'a> {
    channels: &'a [f32],
    stride: usize,
    first: usize,
    tokens: usize,
    /// `[monomials, TOKENS]`
    features: Vec<f32>,
}

impl<'a> Around<'a> {
    pub fn new(channels: &'a [f32], stride: usize, monomials: usize) -> Self {
        Around { channels, stride, first: 0, tokens: 0, features: vec![0.0; monomials * TOKENS] }
    }

    /// Features, and the place of a token among them: feature m is at `m · step + place`.
    pub fn of(&mut self, basis: &Basis, block: &Block, token: usize, level: Level) -> (&[f32], usize, usize) {
        if !(self.first..self.first + self.tokens).contains(&token) {
            self.first = token / TOKENS * TOKENS;
            self.tokens = TOKENS.min(self.stride - self.first);
            let out = &mut self.features[..block.len() * self.tokens];
            let channels = &self.channels[self.first..];
            let lists = basis.lists(block);
            dispatch(level, Features { lists, channels, stride: self.stride, tokens: self.tokens, out });
        }
        (&self.features, self.tokens, token - self.first)
    }
}

/// The tokens of one axis that are in sight, as sums.
struct Window<'a> {
    axis: &'a Axis,
    around: Around<'a>,
    columns: usize,
    /// Whether squared values follow the values.
    squares: bool,
    seen: Range<usize>,
    /// Up to here tokens are in `suffixes`, from here in `since`.
    turn: usize,
    since: State,
    /// Of the tokens from `seen.start`, some of which have left, to `turn`: the sums from each to `turn`, last first.
    suffixes: Vec<State>,
    now: State,
}

impl<'a> Window<'a> {
    fn new(axis: &'a Axis, columns: usize, monomials: usize, squares: bool, start: usize) -> Self {
        let width = columns * if squares { 2 } else { 1 };
        Window {
            axis,
            around: Around::new(&axis.channels, axis.stride, monomials),
            columns,
            squares,
            seen: start..start,
            turn: start,
            since: State::new(monomials, width),
            suffixes: Vec::new(),
            now: State::new(monomials, width),
        }
    }

    /// Goes on to other tokens in sight; neither end goes back.
    fn go(&mut self, basis: &Basis, block: &Block, sight: Range<usize>, level: Level) {
        let sight = sight.start.max(self.seen.start)..sight.end.max(self.seen.end).max(sight.start);
        if sight.start >= self.seen.end {
            // Nothing that was in sight still is.
            self.since.clear();
            self.suffixes.clear();
            (self.turn, self.seen) = (sight.start, sight.start..sight.start);
        }
        for token in self.seen.end..sight.end {
            self.add(basis, block, token, level);
        }
        self.seen.end = sight.end;
        if sight.start > self.seen.start && sight.start >= self.turn {
            self.suffixes.clear();
            self.since.clear();
            for token in (sight.start..sight.end).rev() {
                self.add(basis, block, token, level);
                self.suffixes.push(self.since.clone());
            }
            self.since.clear();
            self.turn = sight.end;
        }
        self.seen.start = sight.start;
    }

    /// Adds a token to the sum since the turn.
    fn add(&mut self, basis: &Basis, block: &Block, token: usize, level: Level) {
        if self.axis.counts[token] {
            let features = self.around.of(basis, block, token, level);
            let row = &self.axis.values[token * self.columns..(token + 1) * self.columns];
            dispatch(level, AddToken { features, row, sign: 1.0, squares: self.squares, to: &mut self.since });
        }
    }

    /// The sums of all tokens in sight.
    fn sums(&mut self, level: Level) -> &State {
        if self.seen.start >= self.turn {
            return &self.since;
        }
        let suffix = &self.suffixes[self.turn - self.seen.start - 1];
        let pairs = [
            (&suffix.ones, &self.since.ones, &mut self.now.ones),
            (&suffix.values, &self.since.values, &mut self.now.values),
        ];
        for (a, b, to) in pairs {
            dispatch(level, Both { a, b, to });
        }
        &self.now
    }
}

/// `to = a + b`
struct Both<'a> {
    a: &'a [f64],
    b: &'a [f64],
    to: &'a mut [f64],
}

impl Kernel for Both<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        self.to.iter_mut().zip(self.a.iter().zip(self.b)).for_each(|(to, (a, b))| *to = a + b);
    }
}

/// `to += sign feature ∘ [row, row²]` for each monomial.
pub struct AddToken<'a> {
    /// Features, the step between monomials, the token's place.
    pub features: (&'a [f32], usize, usize),
    pub row: &'a [f32],
    pub sign: f64,
    pub squares: bool,
    pub to: &'a mut State,
}

impl Kernel for AddToken<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let AddToken { features: (features, step, place), row, sign, squares, to } = self;
        let columns = row.len();
        let width = columns * if squares { 2 } else { 1 };
        for (m, (ones, values)) in to.ones.iter_mut().zip(to.values.chunks_exact_mut(width)).enumerate() {
            let feature = sign * f64::from(features[m * step + place]);
            *ones += feature;
            let (plain, squared) = values.split_at_mut(columns);
            for (to, v) in plain.as_chunks_mut::<LANES>().0.iter_mut().zip(row.as_chunks::<LANES>().0) {
                to.iter_mut().zip(v).for_each(|(to, v)| *to += feature * f64::from(*v));
            }
            for (to, v) in squared.as_chunks_mut::<LANES>().0.iter_mut().zip(row.as_chunks::<LANES>().0) {
                to.iter_mut().zip(v).for_each(|(to, v)| *to += feature * (f64::from(*v) * f64::from(*v)));
            }
        }
    }
}

/// Powers of the scores of a segment's queries, as sums over the tuples in sight.
#[derive(Debug, Clone)]
pub struct Sums {
    pub degree: usize,
    pub columns: usize,
    /// `[queries, degree + 1]`
    pub ones: Vec<f64>,
    /// `[queries, degree + 1, columns]`
    pub values: Vec<f64>,
    /// `[queries, squares_degree + 1, columns]`
    pub squares: Vec<f64>,
}

impl Sums {
    fn new(queries: usize, degree: usize, squares_degree: usize, columns: usize) -> Sums {
        Sums {
            degree,
            columns,
            ones: vec![0.0; queries * (degree + 1)],
            values: vec![0.0; queries * (degree + 1) * columns],
            squares: vec![0.0; queries * (squares_degree + 1) * columns],
        }
    }

    fn add(&mut self, other: &Sums) {
        let pairs =
            [(&mut self.ones, &other.ones), (&mut self.values, &other.values), (&mut self.squares, &other.squares)];
        for (to, from) in pairs {
            to.iter_mut().zip(from).for_each(|(to, x)| *to += x);
        }
    }
}

/// `e_k` less what a row's reach makes of it: features are single precision, sums are double.
pub fn roundings(order: usize, degree: usize, tokens: usize) -> f64 {
    let single = (order as f64 * degree as f64 + 2.0 * degree as f64) * UNIT;
    single.exp_m1() + order as f64 * (2.0 * tokens as f64 + 1e7) * f64::EPSILON
}

/// What a pass over a key head's queries needs.
pub struct Stream<'a> {
    pub key: &'a KeyHead,
    pub basis: &'a Basis,
    pub squares_degree: usize,
    pub queries: usize,
    /// For each query head of the key head `[channels, stride]`.
    pub channels: &'a [Vec<f32>],
    pub stride: usize,
    pub sight: &'a Sight<'a>,
    pub level: Level,
}

impl Stream<'_> {
    /// Calls with each segment's first query and the sums of each query head, in order.
    pub fn run(&self, mut done: impl FnMut(usize, &[Sums])) {
        let axes = 0..self.key.axes.len();
        // An axis of which nothing ever leaves sight keeps its sums from segment to segment.
        let leaves = |axis: &usize| (self.sight)(*axis, self.queries - 1).start > 0;
        let windows: Vec<bool> = axes.clone().map(|axis| leaves(&axis)).collect();
        let longest = |axis: usize| (0..self.queries).map(|i| (self.sight)(axis, i).len()).max().unwrap_or(0);
        let longest = axes.clone().filter(|axis| windows[*axis]).map(longest).max().unwrap_or(0);
        let segment = SEGMENT.max(longest);
        let width = self.key.columns + 1;
        let size = (STATE / width).min(SUFFIXES / (longest * width).max(1)).clamp(1, 64);
        let blocks = self.basis.blocks(size);
        let mut kept: Vec<Vec<State>> = blocks
            .iter()
            .map(|block| axes.clone().map(|_| State::new(block.len(), self.width(block))).collect())
            .collect();
        let each = blocks.len().div_ceil(TASKS).max(1);
        for first in (0..self.queries).step_by(segment) {
            let some = first..(first + segment).min(self.queries);
            let parts: Vec<Vec<Sums>> = blocks
                .par_chunks(each)
                .zip(kept.par_chunks_mut(each))
                .with_max_len(1)
                .map(|(blocks, kept)| self.part(blocks, kept, &some, &windows))
                .collect();
            let mut parts = parts.into_iter();
            let Some(mut sums) = parts.next() else { return };
            for part in parts {
                sums.iter_mut().zip(&part).for_each(|(to, from)| to.add(from));
            }
            done(first, &sums);
        }
    }

    fn has_squares(&self, block: &Block) -> bool {
        block.degree <= self.squares_degree
    }

    fn width(&self, block: &Block) -> usize {
        self.key.columns * if self.has_squares(block) { 2 } else { 1 }
    }

    fn part(&self, blocks: &[Block], kept: &mut [Vec<State>], some: &Range<usize>, windows: &[bool]) -> Vec<Sums> {
        let (columns, degree) = (self.key.columns, self.basis.degree());
        let mut sums = vec![Sums::new(some.len(), degree, self.squares_degree, columns); self.channels.len()];
        for (block, kept) in blocks.iter().zip(kept) {
            let (squares, width) = (self.has_squares(block), self.width(block));
            let weights = &self.basis.weights(block.degree)[block.of_degree.clone()];
            let mut axes: Vec<Window> = Vec::with_capacity(windows.len());
            for (axis, kept) in kept.iter_mut().enumerate() {
                // Where sums are kept, the tokens seen so far are those of the query before.
                let start = match some.start {
                    0 => 0,
                    i if windows[axis] => (self.sight)(axis, i).start,
                    i => (self.sight)(axis, i - 1).end,
                };
                let mut window = Window::new(&self.key.axes[axis], columns, block.len(), squares, start);
                if !windows[axis] {
                    std::mem::swap(&mut window.since, kept);
                    (window.seen, window.turn) = (0..start, 0);
                }
                axes.push(window);
            }
            let mut queries: Vec<Around> =
                self.channels.iter().map(|channels| Around::new(channels, self.stride, block.len())).collect();
            let mut product = State::new(block.len(), width);
            for (place, i) in some.clone().enumerate() {
                for (axis, window) in axes.iter_mut().enumerate() {
                    window.go(self.basis, block, (self.sight)(axis, i), self.level);
                    let sums = window.sums(self.level);
                    dispatch(self.level, Times { first: axis == 0, from: sums, to: &mut product });
                }
                for (around, sums) in queries.iter_mut().zip(&mut sums) {
                    let query = around.of(self.basis, block, i, self.level);
                    let at = place * (degree + 1) + block.degree;
                    let low = place * (self.squares_degree + 1) + block.degree;
                    let squares = if squares { &mut sums.squares[low * columns..(low + 1) * columns] } else { &mut [] };
                    let read = Read {
                        query,
                        weights,
                        product: &product,
                        ones: &mut sums.ones[at],
                        values: &mut sums.values[at * columns..(at + 1) * columns],
                        squares,
                    };
                    dispatch(self.level, read);
                }
            }
            for ((window, kept), leaves) in axes.into_iter().zip(kept).zip(windows) {
                if !leaves {
                    *kept = window.since;
                }
            }
        }
        sums
    }
}

/// `to = from`, or `to ∘= from`.
pub struct Times<'a> {
    pub first: bool,
    pub from: &'a State,
    pub to: &'a mut State,
}

impl Kernel for Times<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let pairs = [(&self.from.ones, &mut self.to.ones), (&self.from.values, &mut self.to.values)];
        for (from, to) in pairs {
            match self.first {
                true => to.copy_from_slice(from),
                false => to.iter_mut().zip(from).for_each(|(to, x)| *to *= x),
            }
        }
    }
}

/// `ones += Σ_m w_m φ_m product_m`, and values and squares likewise.
struct Read<'a> {
    /// Features, the step between monomials, the query's place.
    query: (&'a [f32], usize, usize),
    weights: &'a [f64],
    product: &'a State,
    ones: &'a mut f64,
    values: &'a mut [f64],
    squares: &'a mut [f64],
}

impl Kernel for Read<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Read { query: (features, step, place), weights, product, ones, values, squares } = self;
        let columns = values.len();
        let width = columns + squares.len();
        let factor = |m: usize| weights[m] * f64::from(features[m * step + place]);
        *ones += product.ones.iter().enumerate().map(|(m, x)| factor(m) * x).sum::<f64>();
        let all = values.as_chunks_mut::<LANES>().0.iter_mut().chain(squares.as_chunks_mut::<LANES>().0);
        for (chunk, to) in all.enumerate() {
            let mut sums = [0.0; LANES];
            for m in 0..weights.len() {
                let factor = factor(m);
                let from = &product.values[m * width + chunk * LANES..][..LANES];
                sums.iter_mut().zip(from).for_each(|(sum, x)| *sum += factor * x);
            }
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
        }
    }
}
