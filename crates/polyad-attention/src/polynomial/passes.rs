//! Which degree a head's rows are computed with, and which rows need none or the exact kernel.
//!
//! ```text
//! 1. every query's reach; those too far for any polynomial go to the exact kernel
//! 2. degree 2 for all others: some are certified already, and it says where scores and values really are
//! 3. from that the certificate that each higher degree would give; the degree whose cost, with that of the exact rows it
//!    leaves, is least
//! 4. that degree for the rows that are left
//! ```

use crate::polynomial::basis::{Basis, rank};
use crate::polynomial::certificate::{self, Certified, Known, Powers, Prediction, squares_degree};
use crate::polynomial::dense::{self, QUERIES, Rows, States};
use crate::polynomial::exact::Bounds;
use crate::polynomial::head::Head;
use crate::polynomial::minimax::MOST_HALF;
use crate::polynomial::operands::Reach;
use crate::polynomial::plan::{self, Found, Lacking};
use crate::polynomial::sketch::Sketched;
use crate::polynomial::stream::{self, Stream};
use crate::polynomial::{Method, Summary};
use rayon::prelude::*;

/// Monomials that are listed for a degree that may not be taken.
const LISTED: usize = 1 << 17;
/// Tasks whose rows are there at once before they are given on: enough for many threads, and few enough that memory for all
/// rows is never asked for, which would cost more than the rows' arithmetic where it is touched for the first time.
const AT_ONCE: usize = 64;

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

/// What a pass says of a row: certified within the tolerance, or what higher degrees are predicted from.
type Passed = Result<Certified, Option<Prediction>>;

impl Head<'_> {
    fn exact(&self, index: usize) -> Row {
        Row::Exact(self.exact_bounds(index))
    }

    /// All rows for the exact kernel.
    pub fn all_exact(&self, mut take: impl FnMut(usize, Row)) {
        (0..self.reach.len()).for_each(|index| take(self.row(index), self.exact(index)));
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

    /// How many tuples each query sees.
    fn seen(&self) -> Vec<f64> {
        (0..self.problem.queries).into_par_iter().with_min_len(4096).map(|i| self.tuples(i)).collect()
    }

    /// The row where that is decided before anything is computed.
    fn decided(&self, index: usize, seen: &[f64]) -> Option<Row> {
        match seen[index % seen.len()] {
            0.0 => Some(Row::Blind),
            _ if !self.key.usable || self.reach[index].is_none() => Some(self.exact(index)),
            _ => None,
        }
    }

    /// What the low degree says of this head.
    pub fn survey(&self, found: &mut Found) {
        let seen = self.seen();
        let all = 0..self.reach.len();
        let mut wanted: Vec<bool> = all.clone().map(|index| self.decided(index, &seen).is_none()).collect();
        let range = |reach: &Option<Reach>| reach.map_or(MOST_HALF, |reach| reach.half);
        found.range = self.reach.iter().map(range).fold(found.range, f64::max);
        let mut summary = Summary::default();
        let mut degree = match self.first_degree(&wanted) {
            Ok(degree) => degree,
            Err(lacking) => {
                found.lacking = found.lacking.max(lacking);
                found.exact += wanted.len();
                return;
            }
        };
        let left = self.pass(degree, &mut wanted, &seen, &mut summary, &mut |_, _| ());
        found.exact += count(&wanted);
        match self.next_degree(degree, &wanted, &left) {
            Ok(higher) => {
                let done = left.iter().filter(|(index, prediction)| self.would_do(higher, *index, prediction)).count();
                found.exact -= done;
                degree = higher;
                summary.kept = self.basis(degree, &wanted).map_or(0, |basis| basis.kept());
            }
            Err(lacking) => found.lacking = found.lacking.max(lacking),
        }
        found.exact += all.filter(|index| matches!(self.decided(*index, &seen), Some(Row::Exact(_)))).count();
        if Some(degree) >= found.degree {
            (found.degree, found.kept) = (Some(degree), Some(summary.kept));
        }
    }

    /// All rows, by polynomials where that is certified within the tolerance, and pays. Those that are certified are given
    /// on in parts as they come, so that they are never all in memory; then the others, in order.
    pub fn rows(&self, summary: &mut Summary, mut take: impl FnMut(usize, Row)) {
        let seen = self.seen();
        let all = 0..self.reach.len();
        let mut wanted: Vec<bool> = all.clone().map(|index| self.decided(index, &seen).is_none()).collect();
        let mut degree = self.first_degree(&wanted).ok();
        while let Some(of) = degree {
            let mut certified = |index: usize, done: Certified| take(self.row(index), Row::Certified(done));
            let left = self.pass(of, &mut wanted, &seen, summary, &mut certified);
            degree = if of <= 2 { self.next_degree(of, &wanted, &left).ok() } else { None };
        }
        for index in all {
            let row = if wanted[index] { Some(self.exact(index)) } else { self.decided(index, &seen) };
            row.into_iter().for_each(|row| take(self.row(index), row));
        }
    }

    /// The first degree that is tried: two, if that is not already dearer than all rows exactly.
    fn first_degree(&self, wanted: &[bool]) -> Result<usize, Lacking> {
        let rows = count(wanted);
        if rows == 0 {
            return Err(Lacking::Certificate(self.options.degree));
        }
        let degree = self.options.degree.min(2);
        let first = (1..=degree).rev().find(|degree| self.seconds(*degree, rows).is_finite());
        let first = first.ok_or(Lacking::Monomials(1))?;
        let exact = rows as f64 * self.exact_seconds();
        let dear = self.options.method == Method::Auto && self.seconds(first, rows) > exact;
        if dear { Err(Lacking::Gain(first)) } else { Ok(first) }
    }

    /// The degree that finishes the wanted rows at the least cost, if that is less than the exact kernel's.
    fn next_degree(&self, after: usize, wanted: &[bool], left: &[(usize, Prediction)]) -> Result<usize, Lacking> {
        let rows = count(wanted);
        let auto = self.options.method == Method::Auto;
        // Who asks for polynomials wants them, unless there is none.
        let exact_row = self.exact_seconds() * if auto { 1.0 } else { 1e9 };
        // Nothing where it would certify no row; infinite where there are too many monomials.
        let cost = |degree: usize| -> Option<f64> {
            let covered =
                left.par_iter().filter(|(index, prediction)| self.would_do(degree, *index, prediction)).count();
            if covered == 0 {
                return None;
            }
            // Where listing the monomials is cheap beside using them, those that are left out count.
            let listed = rank(self.channels, degree).is_some_and(|rank| rank <= LISTED);
            let basis = if listed { self.basis(degree, wanted) } else { None };
            let kept = basis.map_or(1.0, |basis| basis.kept() as f64 / basis.full as f64);
            Some(self.seconds(degree, rows) * kept + (rows - covered) as f64 * exact_row)
        };
        let costs = (after + 1..=self.options.degree).filter_map(|degree| Some((degree, cost(degree)?)));
        let best = costs.min_by(|a, b| a.1.total_cmp(&b.1));
        match best.ok_or(Lacking::Certificate(self.options.degree))? {
            (degree, cost) if cost.is_infinite() => Err(Lacking::Monomials(degree)),
            (degree, cost) if cost >= rows as f64 * exact_row => Err(Lacking::Gain(degree)),
            (degree, _) => Ok(degree),
        }
    }

    fn would_do(&self, degree: usize, index: usize, prediction: &Prediction) -> bool {
        let Some(reach) = self.reach[index] else { return false };
        let errors = self.errors(&vec![0.0; degree + 1], reach);
        let rho: f64 =
            errors.iter().scan(1.0, |factorial, e| Some(e / std::mem::replace(factorial, *factorial + 1.0))).sum();
        let rounding = 2.0 * rho * self.greatest / prediction.least_mean;
        certificate::predicted(prediction, degree) + rounding <= self.tolerance
    }

    /// A degree for the wanted rows: gives on those that are certified, which are no longer wanted then, and returns what it
    /// says of the others.
    fn pass(
        &self,
        degree: usize,
        wanted: &mut [bool],
        seen: &[f64],
        summary: &mut Summary,
        take: &mut dyn FnMut(usize, Certified),
    ) -> Vec<(usize, Prediction)> {
        let mut left = Vec::new();
        let Some(basis) = self.basis(degree, wanted) else { return left };
        if degree >= summary.degree {
            (summary.degree, summary.kept, summary.full) = (degree, basis.kept(), basis.full);
        }
        let rows: Vec<usize> = (0..wanted.len()).filter(|index| wanted[*index]).collect();
        let mut passed = |index: usize, passed: Passed| match passed {
            Ok(done) => {
                wanted[index] = false;
                take(index, done);
            }
            Err(prediction) => left.extend(prediction.map(|prediction| (index, prediction))),
        };
        match self.moves {
            true => self.stream(&basis, &rows, seen, &mut passed),
            false => self.dense(&basis, &rows, &mut passed),
        }
        left
    }

    fn finish(&self, powers: &Powers, known: &Known) -> Passed {
        let done = certificate::finish(powers, known).filter(|row| row.certificate <= self.tolerance);
        done.ok_or_else(|| Prediction::new(powers, known))
    }

    fn dense(&self, basis: &Basis, rows: &[usize], take: &mut dyn FnMut(usize, Passed)) {
        let squares = squares_degree(basis.degree());
        let columns = self.key.columns;
        let sums: Vec<dense::Sums> =
            self.key.axes.iter().map(|axis| dense::sums(axis, columns, basis, squares, self.level)).collect();
        let states = States::new(&sums, basis, columns, squares);
        let blocks = basis.blocks(crate::polynomial::basis::TOKENS);
        let of_some = |(channels, powers): &mut (Vec<f32>, Rows), some: &[usize]| -> Vec<(usize, Passed)> {
            for (place, index) in some.iter().enumerate() {
                let (head, i) = (index / self.problem.queries, index % self.problem.queries);
                for l in 0..self.channels {
                    channels[l * QUERIES + place] = self.queries[head][l * self.stride + i];
                }
            }
            powers.read(channels, basis, &blocks, &states, self.level);
            let mut ones = Vec::new();
            let one = |(place, index): (usize, &usize)| {
                let reach = self.reach[*index]?;
                let errors = self.errors(&basis.dropped, reach);
                let known = Known::of(&self.key, reach, self.problem.value_width);
                Some((*index, self.finish(&powers.powers(place, &mut ones, &errors), &known)))
            };
            some.iter().enumerate().filter_map(one).collect()
        };
        let scratch = || (vec![0.0; self.channels * QUERIES], Rows::new(basis.degree(), squares, columns));
        for part in rows.chunks(AT_ONCE * QUERIES) {
            let done: Vec<Vec<(usize, Passed)>> = part.par_chunks(QUERIES).map_init(scratch, of_some).collect();
            done.into_iter().flatten().for_each(|(index, passed)| take(index, passed));
        }
    }

    fn stream(&self, basis: &Basis, rows: &[usize], seen: &[f64], take: &mut dyn FnMut(usize, Passed)) {
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
        stream.run(|first, heads| {
            for (head, sums) in heads.iter().enumerate() {
                let begin = head * n + first;
                let end = begin + sums.ones.len() / (sums.degree + 1);
                let before = |end: usize| rows.partition_point(|index| *index < end);
                let of_head = &rows[before(begin)..before(end)];
                let one = |index: &usize| {
                    let place = index - begin;
                    self.reach[*index].map(|reach| self.finish_moving(sums, place, reach, basis, seen[first + place]))
                };
                let done: Vec<Option<Passed>> = of_head.par_iter().map(one).collect();
                let done = of_head.iter().zip(done).filter_map(|(index, passed)| Some((*index, passed?)));
                done.for_each(|(index, passed)| take(index, passed));
            }
        });
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

fn count(wanted: &[bool]) -> usize {
    wanted.iter().filter(|wanted| **wanted).count()
}
