//! A key head with the queries that see it: in the channels of polynomials, with what scores can be and what errors are.

use crate::form::Channels;
use crate::polynomial::basis::Basis;
use crate::polynomial::exact::{self, Bounds};
use crate::polynomial::operands::{KeyHead, Reach, stride};
use crate::polynomial::{Options, Tolerance, dense, plan, stream};
use crate::problem::{Inputs, Problem};
use polyad_simd::Level;
use rayon::prelude::*;
use std::ops::Range;

/// Queries of a task that makes channels.
const MADE: usize = 1024;

/// A key head with its query heads.
pub struct Head<'a> {
    pub problem: &'a Problem,
    pub options: &'a Options,
    pub level: Level,
    pub key: KeyHead,
    pub channels: usize,
    /// Over all batch entries.
    pub query_heads: Range<usize>,
    /// For each query head `[channels, stride]`; zeros for rows that no polynomial serves.
    pub queries: Vec<Vec<f32>>,
    pub stride: usize,
    /// For each query head and query.
    pub reach: Vec<Option<Reach>>,
    /// The sum of the absolute values of a score's terms is at most this, whatever the row.
    exact_reach: Vec<f64>,
    /// Whether queries see different keys.
    pub moves: bool,
    /// In the units of out.
    pub tolerance: f64,
    /// The greatest `|v1 ∘ v2|`.
    pub greatest: f64,
    /// Infinite where the exact kernel's error is not bounded.
    exact_unknown: bool,
    /// The greatest score that biases add.
    biases: f64,
}

impl<'a> Head<'a> {
    pub fn new(
        problem: &'a Problem,
        inputs: &Inputs<f32>,
        channels: &Channels,
        key_head: usize,
        options: &'a Options,
        level: Level,
    ) -> Self {
        let moves = plan::moves(problem);
        let group = problem.heads / problem.key_heads;
        let (batch, head) = (key_head / problem.key_heads, key_head % problem.key_heads);
        let first = batch * problem.heads + head * group;
        let n = problem.queries;
        let mut made = Head {
            problem,
            options,
            level,
            key: KeyHead::new(problem, inputs, channels, key_head, !moves),
            channels: channels.count(),
            query_heads: first..first + group,
            queries: vec![vec![0.0; channels.count() * stride(n)]; group],
            stride: stride(n),
            reach: vec![None; group * n],
            exact_reach: vec![0.0; group * n],
            moves,
            tolerance: 0.0,
            greatest: 0.0,
            exact_unknown: problem.softcap.is_some() || problem.dropout.is_some(),
            biases: inputs.biases.iter().map(|bias| greatest(bias.values)).sum(),
        };
        made.make_queries(inputs, channels);
        made.greatest = made.greatest_value();
        made.tolerance = match options.tolerance {
            Tolerance::Absolute(tolerance) => tolerance,
            Tolerance::Relative(share) => share * made.greatest,
        };
        made
    }

    /// The channels and the reach of all queries.
    fn make_queries(&mut self, inputs: &Inputs<f32>, channels: &Channels) {
        let Head { problem, key, query_heads, queries, stride, reach, exact_reach, .. } = self;
        let n = problem.queries;
        for (head, side_by_side) in query_heads.clone().zip(queries) {
            let mut parts: Vec<Vec<&mut [f32]>> = (0..n.div_ceil(MADE)).map(|_| Vec::new()).collect();
            for channel in side_by_side.chunks_exact_mut(*stride) {
                parts.iter_mut().zip(channel.chunks_mut(MADE)).for_each(|(part, own)| part.push(own));
            }
            let of_head = (head - query_heads.start) * n..(head - query_heads.start + 1) * n;
            let reach = reach[of_head.clone()].par_chunks_mut(MADE);
            let exact_reach = exact_reach[of_head].par_chunks_mut(MADE);
            parts.into_par_iter().zip(reach.zip(exact_reach)).enumerate().for_each(
                |(part, (mut to, (reach, exact)))| {
                    let (mut own, mut made) = (vec![0.0; channels.count()], vec![0.0; channels.count()]);
                    for (place, (reach, exact)) in reach.iter_mut().zip(exact).enumerate() {
                        let token = problem.query_places().row(inputs.q, head * n + part * MADE + place);
                        *reach = key.query(channels, problem.scale, token, &mut own, &mut made);
                        *exact = key.most_of(&made) * (1.0 + 1e-6);
                        if reach.is_some() {
                            to.iter_mut().zip(&made).for_each(|(to, x)| to[place] = *x);
                        }
                    }
                },
            );
        }
    }

    /// The tokens of an axis that query `i` sees.
    pub fn sight(&self, axis: usize, i: usize) -> Range<usize> {
        match self.moves {
            true => {
                let (low, high) = self.problem.visible(axis, i);
                low..high
            }
            false => 0..self.key.axes[axis].tokens,
        }
    }

    /// The queries that see a token of an axis.
    pub fn seen_by(&self, axis: usize, token: usize) -> Range<usize> {
        match self.moves {
            true => {
                let (low, high) = self.problem.seen_by(axis, token);
                low..high
            }
            false => 0..self.problem.queries,
        }
    }

    /// The greatest `|v1 ∘ v2|` of a tuple that some query sees.
    fn greatest_value(&self) -> f64 {
        let width = self.problem.value_width;
        let size = |l: usize| (f64::from(self.key.value_powers[l])).exp2();
        let windowed = self.problem.windows.iter().any(Option::is_some);
        if !windowed {
            // The last query sees all that any does.
            let last = self.problem.queries.saturating_sub(1);
            let axes = 0..self.key.axes.len();
            let most: Vec<Vec<f32>> = axes.map(|axis| self.greatest_on_axis(axis, self.sight(axis, last))).collect();
            let column = |l: usize| most.iter().map(|most| f64::from(most[l])).product::<f64>() * size(l);
            return (0..width).map(column).fold(0.0, f64::max);
        }
        let column = |l: usize| -> f64 {
            let tables: Vec<Vec<Vec<f64>>> =
                (0..self.key.axes.len()).map(|axis| self.greatest_of_runs(axis, l)).collect();
            let at = |i: usize| -> f64 {
                tables.iter().enumerate().map(|(axis, table)| greatest_of(table, self.sight(axis, i))).product()
            };
            (0..self.problem.queries).map(at).fold(0.0, f64::max) * size(l)
        };
        (0..width).into_par_iter().map(column).reduce(|| 0.0, f64::max)
    }

    fn value(&self, axis: usize, token: usize, l: usize) -> f64 {
        f64::from(self.key.axes[axis].values[token * self.key.columns + l].abs())
    }

    /// Of each column; one look at each token, since columns looked at one after the other would each fetch all of them.
    fn greatest_on_axis(&self, axis: usize, tokens: Range<usize>) -> Vec<f32> {
        let columns = self.key.columns;
        let mut most = vec![0.0f32; columns];
        for row in self.key.axes[axis].values[tokens.start * columns..tokens.end * columns].chunks_exact(columns) {
            most.iter_mut().zip(row).for_each(|(most, x)| *most = most.max(x.abs()));
        }
        most
    }

    /// For each power of two the greatest value of each run of so many tokens.
    fn greatest_of_runs(&self, axis: usize, l: usize) -> Vec<Vec<f64>> {
        let mut tables =
            vec![(0..self.key.axes[axis].tokens).map(|token| self.value(axis, token, l)).collect::<Vec<_>>()];
        let mut run = 1;
        while 2 * run <= self.key.axes[axis].tokens {
            let last = &tables[tables.len() - 1];
            tables.push((0..last.len() - run).map(|i| last[i].max(last[i + run])).collect());
            run *= 2;
        }
        tables
    }

    /// How many tuples a query sees.
    pub fn tuples(&self, i: usize) -> f64 {
        let seen = |axis: usize| {
            let (sight, counted) = (self.sight(axis, i), &self.key.axes[axis].counted);
            (counted[sight.end] - counted[sight.start]) as f64
        };
        (0..self.key.axes.len()).map(seen).product()
    }

    /// What the errors of a row are at most where the exact kernel computes it.
    pub fn exact_bounds(&self, index: usize) -> Bounds {
        if self.exact_unknown {
            return exact::UNKNOWN;
        }
        let reach = self.exact_reach[index] + self.biases;
        let bounds = exact::bounds(self.problem, self.channels, reach);
        // What underflows is less than this, whatever it is multiplied by afterwards.
        let underflow = 1e-38 * reach.max(1.0);
        Bounds { out: bounds.out * self.greatest * (1.0 + 1e-9) + underflow, ..bounds }
    }

    /// Of which row of `[batch, heads, n]` an index in the order of query heads and queries speaks.
    pub fn row(&self, index: usize) -> usize {
        self.query_heads.start * self.problem.queries + index
    }

    /// `e_k` of a row.
    pub fn errors(&self, dropped: &[f64], reach: Reach) -> Vec<f64> {
        let order = self.problem.order();
        let tokens = self.key.axes.iter().map(|axis| axis.tokens).max().unwrap_or(0);
        let share =
            |k| if self.moves { stream::roundings(order, k, tokens) } else { dense::roundings(order, k, tokens) };
        // The last term: what underflows.
        dropped.iter().enumerate().map(|(k, dropped)| share(k) * reach.most.powi(k as i32) + dropped + 1e-30).collect()
    }

    /// The monomials that the wanted rows need.
    pub fn basis(&self, degree: usize, wanted: &[bool]) -> Option<Basis> {
        let mut most = vec![0.0f64; self.channels];
        let mut half = 0.0f64;
        for (index, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            let (head, i) = (index / self.problem.queries, index % self.problem.queries);
            for (l, most) in most.iter_mut().enumerate() {
                *most =
                    most.max(f64::from(self.queries[head][l * self.stride + i].abs()) * self.key.products[l].most());
            }
            half = half.max(self.reach[index].map_or(0.0, |reach| reach.half + reach.centre.abs()));
        }
        // A row's mean weight is at least e^−half.
        let share = if self.greatest > 0.0 { (self.tolerance / self.greatest).min(1.0) } else { 0.0 };
        let budget = self.options.dropped * share * (-half).exp();
        Basis::new(&most, degree, budget)
    }
}

fn greatest(x: &[f32]) -> f64 {
    x.iter().map(|x| f64::from(x.abs())).fold(0.0, f64::max)
}

/// The greatest value of a run of tokens, from those of runs of powers of two.
fn greatest_of(tables: &[Vec<f64>], run: Range<usize>) -> f64 {
    if run.is_empty() {
        return 0.0;
    }
    let level = run.len().ilog2() as usize;
    tables[level][run.start].max(tables[level][run.end - (1 << level)])
}
