//! Decoding: one query after the other against all tokens so far, in a state that does not grow.

use crate::error::{Result, check_length, problem as wrong};
use crate::form::Channels;
use crate::polynomial::basis::Basis;
use crate::polynomial::certificate::{Known, Powers, finish, squares_degree};
use crate::polynomial::minimax::MOST_DEGREE;
use crate::polynomial::operands::{Interval, KeyHead, norm};
use crate::problem::Problem;
use polyad_simd::LANES;

/// Sums of features of the tokens of every axis, of one head: what certified attention of a new query needs.
///
/// All of it is double precision, so rounding hardly enters the certificate. Where a certificate is too wide the tokens
/// themselves are needed, which are not kept here: [`Decode::attend`] says how wide it is, and the caller decides.
///
/// # Cost
/// Memory of `(order − 1) rank (d_v + 1)` numbers; a token or a query takes about `2 rank (d_v + degree)` operations on each
/// axis.
#[derive(Debug, Clone)]
pub struct Decode {
    channels: Channels,
    scale: f32,
    order: usize,
    width: usize,
    value_width: usize,
    columns: usize,
    basis: Basis,
    axes: Vec<Axis>,
}

/// One axis.
#[derive(Debug, Clone)]
struct Axis {
    tokens: usize,
    ones: Vec<f64>,
    /// `[monomials, columns]`
    values: Vec<f64>,
    /// `[monomials of low degree, columns]`
    squares: Vec<f64>,
    channel_ranges: Vec<Interval>,
    value_ranges: Vec<Interval>,
    /// Sums of squared values.
    square_sums: Vec<f64>,
    /// The greatest norm of a token's channels.
    norm: f64,
}

/// A query's row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoded {
    /// As [`crate::forward`]'s; −∞ where there are no tokens.
    pub lse: f64,
    /// At least the error of every number of out; infinite where no polynomial of the degree serves, and out is then 0.
    pub certificate: f64,
    /// The same of `lse`.
    pub lse_certificate: f64,
}

impl Decode {
    /// No tokens yet. Sizes, form and scale are the problem's; its masks are not looked at, since a state holds what it was
    /// given.
    ///
    /// # Errors
    /// A problem that contradicts itself, a degree that is none or has too many monomials.
    pub fn new(problem: &Problem, degree: usize) -> Result<Decode> {
        problem.check()?;
        let channels = problem.form.channels(problem.order(), problem.width);
        let count = channels.count();
        // Nothing is left out: it is not known what queries will come.
        let basis = match (1..=MOST_DEGREE).contains(&degree) {
            true => Basis::new(&vec![1.0; count], degree, 0.0),
            false => None,
        };
        let Some(basis) = basis else {
            return wrong(format!("degree {degree} in {count} channels has no basis that could be kept"));
        };
        let columns = problem.value_width.next_multiple_of(LANES);
        let low: usize = (0..=squares_degree(degree)).map(|k| basis.weights(k).len()).sum();
        let axis = Axis {
            tokens: 0,
            ones: vec![0.0; basis.kept()],
            values: vec![0.0; basis.kept() * columns],
            squares: vec![0.0; low * columns],
            channel_ranges: vec![Interval::EMPTY; count],
            value_ranges: vec![Interval { low: 0.0, high: 0.0 }; columns],
            square_sums: vec![0.0; columns],
            norm: 0.0,
        };
        Ok(Decode {
            scale: problem.scale,
            order: problem.order(),
            width: problem.width,
            value_width: problem.value_width,
            columns,
            axes: vec![axis; problem.keys.len()],
            channels,
            basis,
        })
    }

    /// Tokens of an axis, counted from 0.
    pub fn tokens(&self, axis: usize) -> usize {
        self.axes[axis].tokens
    }

    /// Numbers that the state takes; they do not grow with tokens.
    pub fn numbers(&self) -> usize {
        self.axes.iter().map(|axis| axis.ones.len() + axis.values.len() + axis.squares.len()).sum()
    }

    /// Adds a token to an axis, counted from 0.
    ///
    /// # Errors
    /// An axis that there is not, a key or value of another length, numbers that are not finite.
    pub fn push(&mut self, axis: usize, key: &[f32], value: &[f32]) -> Result<()> {
        if axis >= self.axes.len() {
            return wrong(format!("axis {axis} of {}, counted from 0", self.axes.len()));
        }
        check_length("key", key.len(), self.width)?;
        check_length("value", value.len(), self.value_width)?;
        if !key.iter().chain(value).all(|x| x.is_finite()) {
            return wrong("a token is not finite, and could never be taken out of the sums again");
        }
        let mut own = vec![0.0; self.channels.count()];
        self.channels.expand(axis + 1, 1.0, key, &mut own);
        let features = self.features(&own);
        let (columns, order, state) = (self.columns, self.order, &mut self.axes[axis]);
        for (range, x) in state.channel_ranges.iter_mut().zip(&own) {
            *range = range.with(f64::from(*x));
        }
        for (l, x) in value.iter().enumerate() {
            let x = f64::from(*x);
            let range = if state.tokens == 0 { Interval::EMPTY } else { state.value_ranges[l] };
            state.value_ranges[l] = range.with(x);
            state.square_sums[l] += x * x;
        }
        state.norm = state.norm.max(norm(own.iter().copied(), order));
        state.tokens += 1;
        for (m, feature) in features.iter().enumerate() {
            state.ones[m] += feature;
            let to = &mut state.values[m * columns..(m + 1) * columns];
            to.iter_mut().zip(value).for_each(|(to, v)| *to += feature * f64::from(*v));
        }
        for (to, feature) in state.squares.chunks_exact_mut(columns).zip(&features) {
            to.iter_mut().zip(value).for_each(|(to, v)| *to += feature * f64::from(*v) * f64::from(*v));
        }
        Ok(())
    }

    /// All monomials of a token's channels, in the order of the basis.
    fn features(&self, channels: &[f32]) -> Vec<f64> {
        let mut features = Vec::with_capacity(self.basis.kept());
        for block in self.basis.blocks(usize::MAX) {
            let lists = self.basis.lists(&block);
            let one = |index| lists.of(index).iter().map(|l| f64::from(channels[*l as usize])).product::<f64>();
            features.extend((0..lists.count).map(one));
        }
        features
    }

    /// Attention of a query to all tuples of tokens so far; `out` has `d_v` numbers.
    ///
    /// # Errors
    /// A query, or `out`, of another length.
    pub fn attend(&self, query: &[f32], out: &mut [f32]) -> Result<Decoded> {
        check_length("query", query.len(), self.width)?;
        check_length("out", out.len(), self.value_width)?;
        out.fill(0.0);
        let tuples: f64 = self.axes.iter().map(|axis| axis.tokens as f64).product();
        if tuples == 0.0 {
            return Ok(Decoded { lse: f64::NEG_INFINITY, certificate: 0.0, lse_certificate: 0.0 });
        }
        let uncertified = Decoded { lse: f64::NAN, certificate: f64::INFINITY, lse_certificate: f64::INFINITY };
        let key = self.key_head();
        let (mut own, mut scaled) = (vec![0.0; self.channels.count()], vec![0.0; self.channels.count()]);
        let Some(reach) = key.query(&self.channels, self.scale, query, &mut own, &mut scaled) else {
            return Ok(uncertified);
        };
        let (features, columns, degrees) = (self.features(&scaled), self.columns, self.basis.degree() + 1);
        let squares_degrees = squares_degree(self.basis.degree()) + 1;
        let (mut ones, mut values) = (vec![0.0; degrees], vec![0.0; degrees * columns]);
        let mut squares = vec![0.0; squares_degrees * columns];
        let product = |of: fn(&Axis) -> &[f64], at: usize| self.axes.iter().map(|axis| of(axis)[at]).product::<f64>();
        for block in self.basis.blocks(usize::MAX) {
            let k = block.degree;
            for (weight, m) in self.basis.weights(k).iter().zip(block.of_all.clone()) {
                let factor = weight * features[m] / tuples;
                ones[k] += factor * product(|axis| &axis.ones, m);
                for l in 0..self.value_width {
                    values[k * columns + l] += factor * product(|axis| &axis.values, m * columns + l);
                    if k < squares_degrees {
                        squares[k * columns + l] += factor * product(|axis| &axis.squares, m * columns + l);
                    }
                }
            }
        }
        let errors: Vec<f64> = (0..degrees).map(|k| self.rounding(k) * reach.most.powi(k as i32) + 1e-300).collect();
        let known = Known {
            reach,
            values: &key.values,
            squares: &key.squares,
            value_powers: &key.value_powers,
            width: self.value_width,
            ln_tuples: tuples.ln(),
        };
        let powers = Powers {
            ones: &ones,
            values: values.chunks_exact(columns).collect(),
            squares: squares.chunks_exact(columns).collect(),
            errors: &errors,
        };
        let Some(done) = finish(&powers, &known) else { return Ok(uncertified) };
        out.iter_mut().zip(&done.out).for_each(|(to, x)| *to = *x as f32);
        Ok(Decoded { lse: done.lse, certificate: done.certificate, lse_certificate: done.lse_certificate })
    }

    /// What is known of the tokens so far, without powers of two: double precision needs none.
    fn key_head(&self) -> KeyHead {
        let over_axes = |ranges: fn(&Axis) -> &[Interval], l: usize| {
            let one = Interval { low: 1.0, high: 1.0 };
            self.axes.iter().fold(one, |product, axis| product.times(ranges(axis)[l]))
        };
        let mean_square = |axis: &Axis, l: usize| axis.square_sums[l] / axis.tokens as f64 * (1.0 + 1e-9);
        KeyHead {
            axes: Vec::new(),
            products: (0..self.channels.count()).map(|l| over_axes(|axis| &axis.channel_ranges, l)).collect(),
            values: (0..self.columns).map(|l| over_axes(|axis| &axis.value_ranges, l)).collect(),
            squares: (0..self.columns).map(|l| self.axes.iter().map(|axis| mean_square(axis, l)).product()).collect(),
            value_powers: vec![0; self.columns],
            channel_powers: vec![0; self.channels.count()],
            norms: self.axes.iter().map(|axis| axis.norm).product(),
            order: self.order,
            columns: self.columns,
            usable: true,
        }
    }

    /// Roundings of degree k, as a share of sums of absolute values: features, sums over tokens, products, sums over
    /// monomials; and the query's channels, which are rounded to single precision once and then taken as they are.
    fn rounding(&self, k: usize) -> f64 {
        let (order, tokens) = (self.order as f64, self.axes.iter().map(|axis| axis.tokens).max().unwrap_or(0) as f64);
        let steps = order * (k as f64 + 4.0 + tokens) + self.basis.kept() as f64;
        steps * f64::EPSILON + k as f64 * 2.0 * super::operands::UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::ScoreForm;
    use crate::problem::Inputs;
    use crate::reference;

    fn number(i: usize) -> f32 {
        ((i * 7919) % 997) as f32 / 498.5 - 1.0
    }

    #[test]
    fn decoding_step_by_step_is_the_whole_within_its_certificate_in_constant_memory() {
        for (order, form) in
            [(2, ScoreForm::Linear), (3, ScoreForm::Linear), (3, ScoreForm::Strassen), (4, ScoreForm::Tree)]
        {
            let tokens = [0, 0, 40, 12, 7][order];
            let problem = Problem { causal: true, form, value_width: 2, ..Problem::new(order, tokens, 3, 0.3) };
            let array = |seed: usize, width: usize| (0..tokens * width).map(|i| number(i + seed)).collect::<Vec<f32>>();
            let q = array(1, 3);
            let keys: Vec<Vec<f32>> = (1..order).map(|axis| array(100 * axis, 3)).collect();
            let values: Vec<Vec<f32>> = (1..order).map(|axis| array(100 * axis + 50, 2)).collect();
            let (key_arrays, value_arrays): (Vec<&[f32]>, Vec<&[f32]>) =
                (keys.iter().map(Vec::as_slice).collect(), values.iter().map(Vec::as_slice).collect());
            let inputs = Inputs::new(&q, &key_arrays, &value_arrays);
            let numbers = reference::Numbers::new(&problem, &inputs).expect("it is right");
            let (expected, lse) = reference::forward(&problem, &numbers);
            let mut decode = Decode::new(&problem, 6).expect("few monomials");
            let before = decode.numbers();
            let mut out = [0.0; 2];
            let blind = decode.attend(&q[..3], &mut out).expect("it is right");
            assert_eq!((blind.lse, out), (f64::NEG_INFINITY, [0.0; 2]));
            for i in 0..tokens {
                for axis in 0..order - 1 {
                    decode
                        .push(axis, &keys[axis][i * 3..(i + 1) * 3], &values[axis][i * 2..(i + 1) * 2])
                        .expect("a token");
                }
                let done = decode.attend(&q[i * 3..(i + 1) * 3], &mut out).expect("it is right");
                assert!(done.certificate < 0.05, "order {order}, {form:?}: {done:?}");
                for (found, expected) in out.iter().zip(&expected[i * 2..]) {
                    let error = (f64::from(*found) - expected).abs();
                    assert!(error <= done.certificate, "order {order}, {form:?}, query {i}: {error} {done:?}");
                }
                assert!((done.lse - lse[i]).abs() <= done.lse_certificate);
            }
            assert_eq!((decode.numbers(), decode.tokens(0)), (before, tokens));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let problem = Problem::new(3, 4, 3, 0.3);
        assert!(Decode::new(&problem, 0).is_err());
        assert!(Decode::new(&Problem::new(3, 4, 200, 0.3), 6).is_err());
        let mut decode = Decode::new(&problem, 2).expect("few monomials");
        assert!(decode.push(2, &[0.0; 3], &[0.0; 3]).is_err());
        assert!(decode.push(0, &[0.0; 2], &[0.0; 3]).is_err());
        assert!(decode.push(0, &[f32::NAN, 0.0, 0.0], &[0.0; 3]).is_err());
        assert!(decode.attend(&[0.0; 2], &mut [0.0; 3]).is_err());
    }
}
