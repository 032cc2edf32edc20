//! Which degree a head's rows are computed with, and which rows need none or the exact kernel.
//!
//! ```text
//! 1. every query's reach; those too far for any polynomial go to the exact kernel
//! 2. degree 2 for all others: some are certified already, and it says where scores and values really are
//! 3. from that the certificate that each higher degree would give; the degree whose cost, with that of the exact rows it
//!    leaves, is least
//! 4. that degree for the rows that are left
//! ```

use crate::form::Channels;
use crate::polynomial::basis::{Basis, rank};
use crate::polynomial::certificate::{self, Certified, Known, Powers, Prediction, squares_degree};
use crate::polynomial::dense::{self, QUERIES, Rows, States};
use crate::polynomial::exact::{self, Bounds};
use crate::polynomial::minimax::MOST_HALF;
use crate::polynomial::operands::{KeyHead, Reach, stride};
use crate::polynomial::plan::{self, Found};
use crate::polynomial::sketch::Sketched;
use crate::polynomial::stream::{self, Stream};
use crate::polynomial::{Method, Options, Summary, Tolerance};
use crate::problem::{Inputs, Problem};
use polyad_simd::Level;
use rayon::prelude::*;
use std::ops::Range;

/// Monomials that are listed for a degree that may not be taken.
const LISTED: usize = 1 << 17;

/// What is to be done with a row, or has been.
#[derive(Debug)]
pub enum Row {
    /// It sees nothing.
    Blind,
    Certified(Certified),
    /// By random features.
    Sketched(Sketched),
    /// By the exact kernel, whose errors are at most these.
    Exact(Bounds),
}

/// A key head with its query heads.
pub struct Head<'a> {
    pub problem: &'a Problem,
    options: &'a Options,
    pub level: Level,
    pub key: KeyHead,
    pub channels: usize,
    /// Over all batch entries.
    pub query_heads: Range<usize>,
    /// For each query head `[channels, stride]`; zeros for rows that no polynomial serves.
    pub queries: Vec<Vec<f32>>,
    pub stride: usize,
    /// For each query head and query.
    reach: Vec<Option<Reach>>,
    /// The sum of the absolute values of a score's terms is at most this, whatever the row.
    exact_reach: Vec<f64>,
    /// Whether queries see different keys.
    moves: bool,
    /// In the units of out.
    tolerance: f64,
    /// The greatest `|v1 ∘ v2|`.
    greatest: f64,
    /// Infinite where the exact kernel's error is not bounded.
    exact_unknown: bool,
    /// The greatest score that biases add.
    biases: f64,
}

/// What a pass says of a row.
type Passed = (Option<Certified>, Option<Prediction>);

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
        let key = KeyHead::new(problem, inputs, channels, key_head, !moves);
        let group = problem.heads / problem.key_heads;
        let (batch, head) = (key_head / problem.key_heads, key_head % problem.key_heads);
        let first = batch * problem.heads + head * group;
        let n = problem.queries;
        let stride = stride(n);
        let (mut queries, mut reach, mut exact_reach) = (Vec::new(), Vec::new(), Vec::new());
        let (mut own, mut made) = (vec![0.0; channels.count()], vec![0.0; channels.count()]);
        for head in first..first + group {
            let mut side_by_side = vec![0.0; channels.count() * stride];
            for i in 0..n {
                let token = problem.query_places().row(inputs.q, head * n + i);
                let found = key.query(channels, problem.scale, token, &mut own, &mut made);
                let all = key.most_of(&made);
                exact_reach.push(all * (1.0 + 1e-6));
                if found.is_some() {
                    made.iter().enumerate().for_each(|(l, x)| side_by_side[l * stride + i] = *x);
                }
                reach.push(found);
            }
            queries.push(side_by_side);
        }
        let mut made = Head {
            problem,
            options,
            level,
            channels: channels.count(),
            query_heads: first..first + group,
            queries,
            stride,
            reach,
            exact_reach,
            moves,
            tolerance: 0.0,
            greatest: 0.0,
            exact_unknown: problem.softcap.is_some() || problem.dropout.is_some(),
            biases: inputs.biases.iter().map(|bias| greatest(bias.values)).sum(),
            key,
        };
        made.greatest = made.greatest_value();
        made.tolerance = match options.tolerance {
            Tolerance::Absolute(tolerance) => tolerance,
            Tolerance::Relative(share) => share * made.greatest,
        };
        made
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
            let most = |l: usize| -> f64 {
                (0..self.key.axes.len()).map(|axis| self.greatest_on_axis(axis, l, self.sight(axis, last))).product()
            };
            return (0..width).map(|l| most(l) * size(l)).fold(0.0, f64::max);
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

    fn greatest_on_axis(&self, axis: usize, l: usize, tokens: Range<usize>) -> f64 {
        tokens.map(|token| self.value(axis, token, l)).fold(0.0, f64::max)
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

    fn tuples(&self, i: usize) -> f64 {
        let seen = |axis: usize| {
            let (sight, counted) = (self.sight(axis, i), &self.key.axes[axis].counted);
            (counted[sight.end] - counted[sight.start]) as f64
        };
        (0..self.key.axes.len()).map(seen).product()
    }

    fn exact(&self, index: usize) -> Row {
        if self.exact_unknown {
            return Row::Exact(exact::UNKNOWN);
        }
        let reach = self.exact_reach[index] + self.biases;
        let bounds = exact::bounds(self.problem, self.channels, reach);
        // What underflows is less than this, whatever it is multiplied by afterwards.
        let underflow = 1e-38 * reach.max(1.0);
        Row::Exact(Bounds { out: bounds.out * self.greatest * (1.0 + 1e-9) + underflow, ..bounds })
    }

    /// Of which row of `[batch, heads, n]` an index in the order of query heads and queries speaks.
    fn row(&self, index: usize) -> usize {
        self.query_heads.start * self.problem.queries + index
    }

    /// All rows for the exact kernel.
    pub fn all_exact(&self) -> Vec<(usize, Row)> {
        (0..self.reach.len()).map(|index| (self.row(index), self.exact(index))).collect()
    }

    /// Seconds of a pass over so many rows, by the calibration; infinite where there are too many monomials.
    fn seconds(&self, degree: usize, rows: usize) -> f64 {
        let operations = plan::polynomial(self.problem, rows, degree).unwrap_or(f64::INFINITY);
        operations / self.options.calibration.polynomial(self.problem)
    }

    /// Seconds of an exact row.
    fn exact_seconds(&self) -> f64 {
        plan::exact_row(self.problem) / self.options.calibration.exact
    }

    /// How many tuples each query sees, and the rows that are decided before anything is computed.
    fn begin(&self) -> (Vec<f64>, Vec<Option<Row>>) {
        let seen: Vec<f64> = (0..self.problem.queries).into_par_iter().map(|i| self.tuples(i)).collect();
        let decided = |index: usize| match seen[index % seen.len()] {
            0.0 => Some(Row::Blind),
            _ if !self.key.usable || self.reach[index].is_none() => Some(self.exact(index)),
            _ => None,
        };
        let done = (0..self.reach.len()).map(decided).collect();
        (seen, done)
    }

    /// What the low degree says of this head.
    pub fn survey(&self, found: &mut Found) {
        let (seen, done) = self.begin();
        let mut wanted: Vec<bool> = done.iter().map(Option::is_none).collect();
        let range = |reach: &Option<Reach>| reach.map_or(MOST_HALF, |reach| reach.half);
        found.range = self.reach.iter().map(range).fold(found.range, f64::max);
        let mut summary = Summary::default();
        let Some(mut degree) = self.first_degree(&wanted) else { return found.exact += wanted.len() };
        let mut predictions: Vec<Option<Prediction>> = vec![None; wanted.len()];
        for (index, passed) in self.pass(degree, &wanted, &seen, &mut summary).into_iter().enumerate() {
            let Some((certified, prediction)) = passed else { continue };
            wanted[index] = certified.is_none_or(|row| row.certificate > self.tolerance);
            predictions[index] = prediction;
        }
        if let Some(higher) = self.next_degree(degree, &wanted, &predictions) {
            let left = (0..wanted.len()).filter(|index| wanted[*index]);
            found.exact += left.filter(|index| !self.would_do(higher, *index, &predictions[*index])).count();
            degree = higher;
            summary.kept = self.basis(degree, &wanted).map_or(0, |basis| basis.kept());
        } else {
            found.exact += wanted.iter().filter(|wanted| **wanted).count();
        }
        found.exact += done.iter().filter(|row| matches!(row, Some(Row::Exact(_)))).count();
        if Some(degree) >= found.degree {
            (found.degree, found.kept) = (Some(degree), Some(summary.kept));
        }
    }

    /// All rows by polynomials where that is certified within the tolerance, and pays.
    pub fn rows(&self, summary: &mut Summary) -> Vec<(usize, Row)> {
        let count = self.reach.len();
        let (seen, mut done) = self.begin();
        let mut wanted: Vec<bool> = done.iter().map(Option::is_none).collect();
        let mut degree = self.first_degree(&wanted);
        while let Some(of) = degree {
            let passed = self.pass(of, &wanted, &seen, summary);
            let mut predictions: Vec<Option<Prediction>> = vec![None; count];
            for (index, passed) in passed.into_iter().enumerate() {
                let Some((certified, prediction)) = passed else { continue };
                if let Some(certified) = certified.filter(|row| row.certificate <= self.tolerance) {
                    done[index] = Some(Row::Certified(certified));
                    wanted[index] = false;
                }
                predictions[index] = prediction;
            }
            degree = if of <= 2 { self.next_degree(of, &wanted, &predictions) } else { None };
        }
        let row = |(index, row): (usize, Option<Row>)| (self.row(index), row.unwrap_or_else(|| self.exact(index)));
        done.into_iter().enumerate().map(row).collect()
    }

    /// The first degree that is tried: two, if that is not already dearer than all rows exactly.
    fn first_degree(&self, wanted: &[bool]) -> Option<usize> {
        let rows = wanted.iter().filter(|wanted| **wanted).count();
        if rows == 0 {
            return None;
        }
        let degree = self.options.degree.min(2);
        let first = (1..=degree).rev().find(|degree| self.seconds(*degree, rows).is_finite())?;
        let exact = rows as f64 * self.exact_seconds();
        let dear = self.options.method == Method::Auto && self.seconds(first, rows) > exact;
        (!dear).then_some(first)
    }

    /// The degree that finishes the wanted rows at the least cost; nothing where the exact kernel does.
    fn next_degree(&self, after: usize, wanted: &[bool], predictions: &[Option<Prediction>]) -> Option<usize> {
        let rows: Vec<usize> = (0..wanted.len()).filter(|index| wanted[*index]).collect();
        let auto = self.options.method == Method::Auto;
        // Who asks for polynomials wants them, unless there is none.
        let exact_row = self.exact_seconds() * if auto { 1.0 } else { 1e9 };
        let cost = |degree: usize| {
            let covered = rows.par_iter().filter(|index| self.would_do(degree, **index, &predictions[**index])).count();
            if covered == 0 {
                return f64::INFINITY;
            }
            // Where listing the monomials is cheap beside using them, those that are left out count.
            let listed = rank(self.channels, degree).is_some_and(|rank| rank <= LISTED);
            let basis = if listed { self.basis(degree, wanted) } else { None };
            let kept = basis.map_or(1.0, |basis| basis.kept() as f64 / basis.full as f64);
            self.seconds(degree, rows.len()) * kept + (rows.len() - covered) as f64 * exact_row
        };
        let costs = (after + 1..=self.options.degree).map(|degree| (degree, cost(degree)));
        let best = costs.filter(|(_, cost)| cost.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1))?;
        (best.1 < rows.len() as f64 * exact_row).then_some(best.0)
    }

    fn would_do(&self, degree: usize, index: usize, prediction: &Option<Prediction>) -> bool {
        let (Some(prediction), Some(reach)) = (prediction, self.reach[index]) else { return false };
        let errors = self.errors(&vec![0.0; degree + 1], reach);
        let rho: f64 =
            errors.iter().scan(1.0, |factorial, e| Some(e / std::mem::replace(factorial, *factorial + 1.0))).sum();
        let rounding = 2.0 * rho * self.greatest / prediction.least_mean;
        certificate::predicted(prediction, degree) + rounding <= self.tolerance
    }

    /// `e_k` of a row.
    fn errors(&self, dropped: &[f64], reach: Reach) -> Vec<f64> {
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

    fn pass(&self, degree: usize, wanted: &[bool], seen: &[f64], summary: &mut Summary) -> Vec<Option<Passed>> {
        let Some(basis) = self.basis(degree, wanted) else { return wanted.iter().map(|_| None).collect() };
        if degree >= summary.degree {
            (summary.degree, summary.kept, summary.full) = (degree, basis.kept(), basis.full);
        }
        match self.moves {
            true => self.stream(&basis, wanted, seen),
            false => self.dense(&basis, wanted),
        }
    }

    /// A row, and where it is not certified within the tolerance what higher degrees are predicted from.
    fn finish(&self, powers: &Powers, known: &Known) -> Passed {
        let done = certificate::finish(powers, known);
        let within = done.as_ref().is_some_and(|row| row.certificate <= self.tolerance);
        (done, if within { None } else { Prediction::new(powers, known) })
    }

    fn dense(&self, basis: &Basis, wanted: &[bool]) -> Vec<Option<Passed>> {
        let squares = squares_degree(basis.degree());
        let columns = self.key.columns;
        let sums: Vec<dense::Sums> =
            self.key.axes.iter().map(|axis| dense::sums(axis, columns, basis, squares, self.level)).collect();
        let states = States::new(&sums, basis, columns, squares);
        let blocks = basis.blocks(crate::polynomial::basis::TOKENS);
        let rows: Vec<usize> = (0..wanted.len()).filter(|index| wanted[*index]).collect();
        let of_some = |some: &[usize]| -> Vec<(usize, Passed)> {
            let mut channels = vec![0.0; self.channels * QUERIES];
            for (place, index) in some.iter().enumerate() {
                let (head, i) = (index / self.problem.queries, index % self.problem.queries);
                for l in 0..self.channels {
                    channels[l * QUERIES + place] = self.queries[head][l * self.stride + i];
                }
            }
            let mut powers = Rows::new(basis.degree(), squares, columns);
            powers.read(&channels, basis, &blocks, &states, self.level);
            let mut ones = Vec::new();
            let one = |(place, index): (usize, &usize)| {
                let reach = self.reach[*index]?;
                let errors = self.errors(&basis.dropped, reach);
                let known = Known::of(&self.key, reach, self.problem.value_width);
                Some((*index, self.finish(&powers.powers(place, &mut ones, &errors), &known)))
            };
            some.iter().enumerate().filter_map(one).collect()
        };
        let done: Vec<Vec<(usize, Passed)>> = rows.par_chunks(QUERIES).map(of_some).collect();
        let mut all: Vec<Option<Passed>> = wanted.iter().map(|_| None).collect();
        done.into_iter().flatten().for_each(|(index, passed)| all[index] = Some(passed));
        all
    }

    fn stream(&self, basis: &Basis, wanted: &[bool], seen: &[f64]) -> Vec<Option<Passed>> {
        let n = self.problem.queries;
        let squares = squares_degree(basis.degree());
        let sight = |axis: usize, i: usize| self.sight(axis, i);
        let stream = Stream {
            key: &self.key,
            basis,
            squares_degree: squares,
            queries: n,
            channels: &self.queries,
            stride: self.stride,
            sight: &sight,
            level: self.level,
        };
        let mut all: Vec<Option<Passed>> = wanted.iter().map(|_| None).collect();
        stream.run(|first, heads| {
            for (head, sums) in heads.iter().enumerate() {
                let rows = sums.ones.len() / (sums.degree + 1);
                let of_head = &mut all[head * n + first..head * n + first + rows];
                of_head.par_iter_mut().enumerate().for_each(|(place, to)| {
                    let index = head * n + first + place;
                    if let Some(reach) = self.reach[index].filter(|_| wanted[index]) {
                        *to = Some(self.finish_moving(sums, place, reach, basis, seen[first + place]));
                    }
                });
            }
        });
        all
    }

    fn finish_moving(&self, sums: &stream::Sums, place: usize, reach: Reach, basis: &Basis, tuples: f64) -> Passed {
        let (degrees, columns) = (sums.degree + 1, sums.columns);
        let means = |x: &[f64], of_row: usize| -> Vec<f64> {
            x[place * of_row..(place + 1) * of_row].iter().map(|x| x / tuples).collect()
        };
        let ones = means(&sums.ones, degrees);
        let values = means(&sums.values, degrees * columns);
        let squares = means(&sums.squares, (squares_degree(sums.degree) + 1) * columns);
        let errors = self.errors(&basis.dropped, reach);
        // Sums of squares have no cancellation; rounded up.
        let square_means: Vec<f64> = squares[..columns].iter().map(|x| x * (1.0 + 1e-6) + 1e-60).collect();
        let known = Known {
            squares: &square_means,
            ln_tuples: tuples.ln(),
            ..Known::of(&self.key, reach, self.problem.value_width)
        };
        let powers = Powers {
            ones: &ones,
            values: values.chunks_exact(columns).collect(),
            squares: squares.chunks_exact(columns).collect(),
            errors: &errors,
        };
        self.finish(&powers, &known)
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
