//! The definition, in double precision: every score is formed, so it can be read beside the formulas. Slow on purpose;
//! the arbiter of the kernels.
//!
//! ```text
//! 1. for each head and query, all tuples: the score, softcapped, biased; −∞ where a key is not visible
//! 2. softmax over the tuples and the sink
//! 3. out = Σ P v1 ∘ v2 ..
//! 4. dP = Σ_l dout v1 v2 ..,  Δ = dout · out − dlse,  dS = P (dP − Δ), and from it every gradient by the product rule
//! ```

use crate::element::Element;
use crate::error::{Result, problem as wrong};
use crate::form::ScoreForm;
use crate::layout::Places;
use crate::problem::{Inputs, Problem};

/// What a problem is computed from, in double precision; as [`Inputs`].
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// `[batch, heads, n, d]`
    pub q: Vec<f64>,
    /// For each axis `[batch, key_heads, m, d]`.
    pub keys: Vec<Vec<f64>>,
    /// For each axis `[batch, key_heads, m, d_v]`.
    pub values: Vec<Vec<f64>>,
    /// Axes and numbers of each bias.
    pub biases: Vec<((usize, usize), Vec<f64>)>,
    /// As [`Inputs::hidden`].
    pub hidden: Vec<Option<Vec<bool>>>,
    /// `[heads]`
    pub sink: Option<Vec<f64>>,
}

/// The gradient of `Σ dout · out + Σ dlse · lse`, the latter over rows that see something.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// As q.
    pub q: Vec<f64>,
    /// As the keys.
    pub keys: Vec<Vec<f64>>,
    /// As the values.
    pub values: Vec<Vec<f64>>,
    /// As the biases' numbers.
    pub biases: Vec<Vec<f64>>,
    /// As the sink; empty where there is none.
    pub sink: Vec<f64>,
}

impl Numbers {
    /// From single precision, after the checks of [`Inputs::check`]: contiguous, whatever the problem's layout.
    ///
    /// # Errors
    /// Those of the checks; packed sequences, which the definition takes one at a time.
    pub fn new<E: Element>(problem: &Problem, inputs: &Inputs<E>) -> Result<Self> {
        inputs.check(problem)?;
        if !problem.packed.is_empty() {
            return wrong("the definition takes packed sequences one at a time");
        }
        let axes = |arrays: &[&[E]], of: fn(&Problem, usize) -> Places| {
            arrays.iter().enumerate().map(|(axis, array)| gathered(array, of(problem, axis))).collect()
        };
        Ok(Numbers {
            q: gathered(inputs.q, problem.query_places()),
            keys: axes(inputs.keys, Problem::key_places),
            values: axes(inputs.values, Problem::value_places),
            biases: inputs.biases.iter().map(|bias| (bias.axes, wide(bias.values))).collect(),
            hidden: inputs.hidden.iter().map(|hidden| hidden.map(<[bool]>::to_vec)).collect(),
            sink: inputs.sink.map(wide),
        })
    }
}

fn wide<E: Element>(x: &[E]) -> Vec<f64> {
    x.iter().map(|x| f64::from(x.wide())).collect()
}

/// All tokens of an array, one after the other.
fn gathered<E: Element>(array: &[E], places: Places) -> Vec<f64> {
    (0..places.sizes.iter().product()).flat_map(|row| wide(places.row(array, row))).collect()
}

/// One head: where its arrays begin.
struct Head<'a> {
    problem: &'a Problem,
    numbers: &'a Numbers,
    batch: usize,
    head: usize,
}

impl<'a> Head<'a> {
    fn key_head(&self) -> usize {
        let p = self.problem;
        self.batch * p.key_heads + self.head / (p.heads / p.key_heads)
    }

    /// Where a token of an operand (0 the query) begins in its array.
    fn start(&self, operand: usize, token: usize) -> usize {
        let p = self.problem;
        let head = if operand == 0 { self.batch * p.heads + self.head } else { self.key_head() };
        let room = if operand == 0 { p.queries } else { p.room(operand - 1) };
        (head * room + token) * p.width
    }

    fn value_start(&self, axis: usize, token: usize) -> usize {
        (self.key_head() * self.problem.room(axis) + token) * self.problem.value_width
    }

    fn tokens(&self, tuple: &[usize]) -> Vec<&'a [f64]> {
        let token = |(operand, token): (usize, &usize)| {
            let start = self.start(operand, *token);
            let array = if operand == 0 { &self.numbers.q } else { &self.numbers.keys[operand - 1] };
            &array[start..start + self.problem.width]
        };
        tuple.iter().enumerate().map(token).collect()
    }

    fn values(&self, tuple: &[usize]) -> Vec<&'a [f64]> {
        let value = |(axis, token): (usize, &usize)| {
            let start = self.value_start(axis, *token);
            &self.numbers.values[axis][start..start + self.problem.value_width]
        };
        tuple[1..].iter().enumerate().map(value).collect()
    }

    /// Where a bias has its number for a tuple.
    fn bias_at(&self, (a, b): (usize, usize), numbers: &[f64], tuple: &[usize]) -> usize {
        let p = self.problem;
        let one = p.tokens(a) * p.tokens(b);
        let head = if numbers.len() == one { 0 } else { self.batch * p.heads + self.head };
        head * one + tuple[a] * p.tokens(b) + tuple[b]
    }

    fn is_visible(&self, tuple: &[usize]) -> bool {
        let p = self.problem;
        tuple[1..].iter().enumerate().all(|(axis, j)| {
            let at = tuple[0] as i128 + p.keys[axis] as i128 - p.queries as i128;
            let j_at = *j as i128;
            let window = p.windows.get(axis).copied().flatten();
            let hidden = self.numbers.hidden.get(axis).and_then(Option::as_ref);
            (!p.causal || j_at <= at)
                && window.is_none_or(|w| at - j_at < w as i128)
                && *j < p.length(self.batch, axis)
                && !hidden.is_some_and(|hidden| hidden[self.batch * p.keys[axis] + j])
        })
    }

    /// The score of a visible tuple, and its derivative by the raw product.
    fn score(&self, tuple: &[usize]) -> (f64, f64) {
        let p = self.problem;
        let raw = f64::from(p.scale) * form_of(p.form, &self.tokens(tuple));
        let (mut score, slope) = match p.softcap.map(f64::from) {
            Some(cap) => (cap * (raw / cap).tanh(), 1.0 - (raw / cap).tanh().powi(2)),
            None => (raw, 1.0),
        };
        for (axes, numbers) in &self.numbers.biases {
            score += numbers[self.bias_at(*axes, numbers, tuple)];
        }
        (score, slope * f64::from(p.scale))
    }

    fn sink(&self) -> f64 {
        self.numbers.sink.as_ref().map_or(f64::NEG_INFINITY, |sink| sink[self.head])
    }

    /// The row's tuples, their weights, and lse.
    fn weights(&self, query: usize) -> (Vec<Vec<usize>>, Vec<f64>, f64) {
        let mut tuples: Vec<Vec<usize>> = vec![vec![query]];
        for keys in &self.problem.keys {
            tuples = tuples.iter().flat_map(|t| (0..*keys).map(move |j| [&t[..], &[j]].concat())).collect();
        }
        let scores: Vec<f64> = tuples
            .iter()
            .map(|tuple| if self.is_visible(tuple) { self.score(tuple).0 } else { f64::NEG_INFINITY })
            .collect();
        let most = scores.iter().copied().fold(self.sink(), f64::max);
        if most == f64::NEG_INFINITY {
            let none = vec![0.0; tuples.len()];
            return (tuples, none, f64::NEG_INFINITY);
        }
        let total = scores.iter().map(|s| (s - most).exp()).sum::<f64>() + (self.sink() - most).exp();
        let weights = scores.iter().map(|s| (s - most).exp() / total).collect();
        (tuples, weights, most + total.ln())
    }

    /// What dropout multiplies the weight of the `index`-th tuple by.
    fn kept(&self, query: usize, index: usize) -> f64 {
        let p = self.problem;
        let row = (self.batch * p.heads + self.head) * p.queries + query;
        p.dropout.map_or(1.0, |dropout| f64::from(dropout.factor(row as u64, index as u64)))
    }
}

/// A form as its definition says.
fn form_of(form: ScoreForm, tokens: &[&[f64]]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let linear =
        |from: usize| (from..tokens[0].len()).map(|l| tokens.iter().map(|t| t[l]).product::<f64>()).sum::<f64>();
    match form {
        ScoreForm::Linear => linear(0),
        ScoreForm::Determinant => {
            let chunks = tokens[0].len() / 3;
            let chunk = |c: usize| {
                let [q, a, b] = [0, 1, 2].map(|operand| &tokens[operand][3 * c..3 * c + 3]);
                q[0] * (a[1] * b[2] - a[2] * b[1])
                    + q[1] * (a[2] * b[0] - a[0] * b[2])
                    + q[2] * (a[0] * b[1] - a[1] * b[0])
            };
            (0..chunks).map(chunk).sum::<f64>() + linear(3 * chunks)
        }
        ScoreForm::Strassen => dot(tokens[0], tokens[1]) + dot(tokens[1], tokens[2]) + dot(tokens[2], tokens[0]),
        ScoreForm::Tree => tokens.windows(2).map(|pair| dot(pair[0], pair[1])).sum(),
    }
}

/// The gradient of a form for one operand. Forms are linear in each operand, so a feature's derivative is the form's
/// value where that operand is the feature's unit vector, less its value where it is zero.
fn form_gradient(form: ScoreForm, tokens: &[&[f64]], operand: usize) -> Vec<f64> {
    let width = tokens[0].len();
    let with = |token: &[f64]| {
        let mut tokens = tokens.to_vec();
        tokens[operand] = token;
        form_of(form, &tokens)
    };
    let rest = with(&vec![0.0; width]);
    let unit = |l: usize| (0..width).map(|k| if k == l { 1.0 } else { 0.0 }).collect::<Vec<f64>>();
    (0..width).map(|l| with(&unit(l)) - rest).collect()
}

fn heads<'a>(problem: &'a Problem, numbers: &'a Numbers) -> impl Iterator<Item = Head<'a>> {
    let all = (0..problem.batch).flat_map(move |batch| (0..problem.heads).map(move |head| (batch, head)));
    all.map(move |(batch, head)| Head { problem, numbers, batch, head })
}

/// `out` and `lse`. Time and memory of a row: all tuples.
pub fn forward(problem: &Problem, numbers: &Numbers) -> (Vec<f64>, Vec<f64>) {
    let (mut out, mut lse) = (Vec::new(), Vec::new());
    for head in heads(problem, numbers) {
        for query in 0..problem.queries {
            let (tuples, weights, row_lse) = head.weights(query);
            let mut row = vec![0.0; problem.value_width];
            for (index, (tuple, weight)) in tuples.iter().zip(&weights).enumerate() {
                if *weight > 0.0 {
                    add_product(&mut row, weight * head.kept(query, index), &head.values(tuple), None);
                }
            }
            out.extend(row);
            lse.push(row_lse);
        }
    }
    (out, lse)
}

/// Adds the product of rows, times a factor, one of them left out.
fn add_product(to: &mut [f64], factor: f64, rows: &[&[f64]], without: Option<usize>) {
    for (l, to) in to.iter_mut().enumerate() {
        let product: f64 = (0..rows.len()).filter(|r| Some(*r) != without).map(|r| rows[r][l]).product();
        *to += factor * product;
    }
}

/// All gradients. `dlse` empty: zeros.
pub fn backward(problem: &Problem, numbers: &Numbers, dout: &[f64], dlse: &[f64]) -> Gradients {
    let zeros = |like: &Vec<f64>| vec![0.0; like.len()];
    let mut gradients = Gradients {
        q: zeros(&numbers.q),
        keys: numbers.keys.iter().map(zeros).collect(),
        values: numbers.values.iter().map(zeros).collect(),
        biases: numbers.biases.iter().map(|(_, numbers)| zeros(numbers)).collect(),
        sink: numbers.sink.as_ref().map(zeros).unwrap_or_default(),
    };
    let (out, _) = forward(problem, numbers);
    let width = problem.value_width;
    for (index, head) in heads(problem, numbers).enumerate() {
        for query in 0..problem.queries {
            let row = index * problem.queries + query;
            let (tuples, weights, lse) = head.weights(query);
            if lse == f64::NEG_INFINITY {
                continue;
            }
            let dout = &dout[row * width..(row + 1) * width];
            let out = &out[row * width..(row + 1) * width];
            let delta = dout.iter().zip(out).map(|(a, b)| a * b).sum::<f64>() - dlse.get(row).copied().unwrap_or(0.0);
            if !gradients.sink.is_empty() {
                gradients.sink[head.head] -= (head.sink() - lse).exp() * delta;
            }
            for (place, (tuple, weight)) in tuples.iter().zip(&weights).enumerate().filter(|(_, (_, w))| **w > 0.0) {
                let kept = head.kept(query, place);
                let values = head.values(tuple);
                let mut dp = vec![0.0; width];
                add_product(&mut dp, kept, &values, None);
                let dp: f64 = dp.iter().zip(dout).map(|(a, b)| a * b).sum();
                let ds = weight * (dp - delta);
                for axis in 0..values.len() {
                    let start = head.value_start(axis, tuple[axis + 1]);
                    let mut dv = vec![0.0; width];
                    add_product(&mut dv, weight * kept, &values, Some(axis));
                    let to = &mut gradients.values[axis][start..start + width];
                    to.iter_mut().zip(dv.iter().zip(dout)).for_each(|(to, (a, b))| *to += a * b);
                }
                let slope = ds * head.score(tuple).1;
                let tokens = head.tokens(tuple);
                for (operand, token) in tuple.iter().enumerate() {
                    let start = head.start(operand, *token);
                    let to = if operand == 0 { &mut gradients.q } else { &mut gradients.keys[operand - 1] };
                    let by = form_gradient(problem.form, &tokens, operand);
                    to[start..start + problem.width].iter_mut().zip(by).for_each(|(to, by)| *to += slope * by);
                }
                for (bias, (axes, numbers)) in gradients.biases.iter_mut().zip(&numbers.biases) {
                    bias[head.bias_at(*axes, numbers, tuple)] += ds;
                }
            }
        }
    }
    gradients
}
