//! Attention as one would write it down in the precision at hand, and how far off that may be: every score formed, every
//! sum one loop in single precision, nothing streamed, blocked or compensated. What the kernels' errors are measured by.
//!
//! Error analysis, with u = 2^-24 (float32), u_E that of the type of inputs and outputs, and u_o that of operands rounded
//! before a product (see [`Precision::operands`]), to first order:
//!
//! ```text
//! a score      is off by about (u + u_o) κ, κ = Σ |terms| + |biases|, and by u |lse| where lse is taken from it
//! a weight     is off, relatively, by as much, and by u + u_o of its own
//! a result     Σ weight · factor is off by that times its mass  Σ weight · |factor|, and by u_E, rounded as it is given
//! so           floor = Σ mass (u (1 + κ + |lse|) + u_o (1 + κ) + u_E)
//! ```
//!
//! The floor is one rounding of everything that enters: no method in this precision can promise less, and beside it the
//! kernels may err by twice what the plain version does on the same problem. (Roundings of sums, which grow with their
//! length, are not in the floor: those must be no worse than twice the plain version's.)

use crate::support::{Case, room, tokens as tokens_of};
use half::bf16;
use polyad_attention::{Channels, Element};
use polyad_simd::Level;

/// Unit roundoff of float32: half the distance from 1 to the next number.
pub const UNIT: f64 = 1.0 / (1u64 << 24) as f64;
/// Of bfloat16.
const UNIT_BF16: f64 = 1.0 / 256.0;

/// The types of a computation.
#[derive(Debug, Clone, Copy)]
pub struct Precision {
    /// To the type of inputs and outputs and back.
    pub narrow: fn(f32) -> f32,
    /// Its unit roundoff.
    pub unit: f64,
    /// Whether a product's left operand is rounded to bfloat16, as an instruction that multiplies bfloat16 wants: the
    /// query times outer keys, the weights, dout times outer values, the gradients of scores. Sums stay in float32.
    pub operands: bool,
}

impl Precision {
    /// That of a type, operands as they are.
    pub fn of<E: Element>() -> Precision {
        // The distance from 1 to the next number is twice the unit.
        let steps = (1..30).map(|bits| 0.5f32.powi(bits));
        let unit = steps.take_while(|step| E::narrow(1.0 + step).wide() > 1.0).last().unwrap_or(1.0) / 2.0;
        Precision { narrow: |x| E::narrow(x).wide(), unit: f64::from(unit), operands: false }
    }

    /// That of a type on a level: operands are rounded where there is an instruction that wants them so, and later levels
    /// include earlier ones.
    pub fn on<E: Element>(level: Level) -> Precision {
        let precision = Precision::of::<E>();
        Precision { operands: level >= Level::Avx512Bf16 && precision.unit == UNIT_BF16, ..precision }
    }

    pub fn is_single(&self) -> bool {
        self.unit == UNIT
    }

    fn operand(&self, x: f32) -> f32 {
        if self.operands { bf16::from_f32(x).to_f32() } else { x }
    }
}

/// A number, the sum of absolute values that it was made of, and how far off the roundings of what enters it may set it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Number {
    pub value: f32,
    pub mass: f64,
    pub floor: f64,
}

impl Number {
    /// Adds a term with its mass; `unit`: how far off what it is made of is, relatively.
    fn add(&mut self, term: f32, mass: f64, unit: f64) {
        self.value += term;
        self.mass += mass;
        self.floor += mass * unit;
    }
}

/// All results.
#[derive(Debug, Clone, Default)]
pub struct Plain {
    pub out: Vec<Number>,
    pub lse: Vec<Number>,
    pub q: Vec<Number>,
    pub keys: Vec<Vec<Number>>,
    pub values: Vec<Vec<Number>>,
    pub biases: Vec<Vec<Number>>,
    pub sink: Vec<Number>,
}

/// One query with one head.
struct Row<'a> {
    case: &'a Case,
    precision: Precision,
    /// Batch entry, head, query.
    at: [usize; 3],
    /// The form.
    channels: &'a Channels,
    /// For each operand and token its channels; the scale is in the query's.
    operands: &'a [Vec<Vec<f32>>],
}

/// A visible tuple of tokens, the query first.
struct Tuple {
    tokens: Vec<usize>,
    score: f32,
    /// κ
    mass: f64,
    /// The softcap's derivative.
    slope: f32,
    /// What dropout multiplies the weight by.
    kept: f32,
}

impl Row<'_> {
    fn key_head(&self) -> usize {
        let p = &self.case.problem;
        self.at[0] * p.key_heads + self.at[1] / (p.heads / p.key_heads)
    }

    /// The index of the query among all rows.
    fn row(&self) -> usize {
        let p = &self.case.problem;
        (self.at[0] * p.heads + self.at[1]) * p.queries + self.at[2]
    }

    /// The index of a token of an axis among those of all heads.
    fn token(&self, axis: usize, token: usize) -> usize {
        self.key_head() * room(&self.case.problem, axis) + token
    }

    fn is_visible(&self, tokens: &[usize]) -> bool {
        let p = &self.case.problem;
        tokens[1..].iter().enumerate().all(|(axis, j)| {
            let ahead = (tokens[0] + p.keys[axis]) as i64 - p.queries as i64 - *j as i64;
            let hidden = self.case.hidden.get(axis).and_then(Option::as_ref);
            (!p.causal || ahead >= 0)
                && p.windows.get(axis).copied().flatten().is_none_or(|window| ahead < window as i64)
                && *j < p.length(self.at[0], axis)
                && !hidden.is_some_and(|hidden| hidden[self.at[0] * p.keys[axis] + j])
        })
    }

    fn bias_place(&self, index: usize, tokens: &[usize]) -> usize {
        let p = &self.case.problem;
        let ((a, b), numbers) = &self.case.biases[index];
        let one = tokens_of(p, *a) * tokens_of(p, *b);
        let head = if numbers.len() == one { 0 } else { self.at[0] * p.heads + self.at[1] };
        head * one + tokens[*a] * tokens_of(p, *b) + tokens[*b]
    }

    /// The channels of a tuple's operands.
    fn operands(&self, tokens: &[usize]) -> Vec<&[f32]> {
        let of_key = |axis: usize| &self.operands[axis + 1][self.token(axis, tokens[axis + 1])][..];
        std::iter::once(&self.operands[0][self.row()][..]).chain((0..tokens.len() - 1).map(of_key)).collect()
    }

    /// The values of a tuple.
    fn values(&self, tokens: &[usize]) -> Vec<&[f32]> {
        let w = self.case.problem.value_width;
        let of_axis = |axis: usize| &self.case.values[axis][self.token(axis, tokens[axis + 1]) * w..][..w];
        (0..tokens.len() - 1).map(of_axis).collect()
    }

    /// `Σ left · rows[0] · rows[1] ..`, all but the last row rounded together as an operand; and the mass.
    fn product(&self, left: &[f32], rows: &[&[f32]]) -> (f32, f64) {
        let (last, others) = rows.split_last().unwrap();
        let (mut sum, mut mass) = (0f32, 0.0);
        for l in 0..left.len() {
            let modulated = others.iter().fold(left[l], |product, row| product * row[l]);
            let term = self.precision.operand(modulated) * last[l];
            sum += term;
            mass += f64::from(term.abs());
        }
        (sum, mass)
    }

    fn tuples(&self) -> Vec<Tuple> {
        let p = &self.case.problem;
        let mut all: Vec<Vec<usize>> = vec![vec![self.at[2]]];
        for keys in &p.keys {
            all = all.iter().flat_map(|tokens| (0..*keys).map(move |j| [&tokens[..], &[j]].concat())).collect();
        }
        let visible = all.into_iter().enumerate().filter(|(_, tokens)| self.is_visible(tokens));
        let tuple = |(index, tokens): (usize, Vec<usize>)| {
            let operands = self.operands(&tokens);
            let (mut score, mut mass) = self.product(operands[0], &operands[1..]);
            let mut slope = 1.0;
            if let Some(cap) = p.softcap {
                let tanh = (score / cap).tanh();
                (score, slope) = (cap * tanh, 1.0 - tanh * tanh);
            }
            for (bias, (_, numbers)) in self.case.biases.iter().enumerate() {
                let number = numbers[self.bias_place(bias, &tokens)];
                score += number;
                mass += f64::from(number.abs());
            }
            let kept = p.dropout.map_or(1.0, |dropout| dropout.factor(self.row() as u64, index as u64));
            Tuple { tokens, score, mass, slope, kept }
        };
        visible.map(tuple).collect()
    }

    fn add_to(&self, to: &mut Plain) {
        let (p, precision) = (&self.case.problem, self.precision);
        let (row, w) = (self.row(), p.value_width);
        let tuples = self.tuples();
        let sink = self.case.sink.as_ref().map_or(f32::NEG_INFINITY, |sink| sink[self.at[1]]);
        let most = tuples.iter().map(|tuple| tuple.score).fold(sink, f32::max);
        if most == f32::NEG_INFINITY {
            to.lse[row].value = most;
            return;
        }
        let mass = tuples.iter().map(|tuple| tuple.mass).fold(0.0, f64::max);
        let total = tuples.iter().map(|tuple| (tuple.score - most).exp()).sum::<f32>() + (sink - most).exp();
        let lse = most + total.ln();
        let operand_unit = if precision.operands { UNIT_BF16 } else { 0.0 };
        let of_scores = UNIT * (1.0 + mass + f64::from(lse.abs())) + operand_unit * (1.0 + mass);
        let unit = of_scores + precision.unit;
        to.lse[row] = Number { value: lse, mass: 1.0, floor: of_scores };

        let out = &mut to.out[row * w..(row + 1) * w];
        for tuple in &tuples {
            let weight = precision.operand((tuple.score - most).exp() * tuple.kept);
            let values = self.values(&tuple.tokens);
            for (l, out) in out.iter_mut().enumerate() {
                let term = values.iter().fold(weight, |product, value| product * value[l]);
                out.add(term, f64::from((term / total).abs()), unit);
            }
        }
        out.iter_mut().for_each(|out| out.value = (precision.narrow)(out.value / total));

        let dout = &self.case.dout[row * w..(row + 1) * w];
        let dlse = self.case.dlse[row];
        let terms = || dout.iter().zip(&*out).map(|(dout, out)| dout * out.value);
        let delta = terms().sum::<f32>() - dlse;
        let delta_mass = f64::from(terms().map(f32::abs).sum::<f32>() + dlse.abs());
        if let Some(to) = to.sink.get_mut(self.at[1]) {
            let weight = (sink - lse).exp();
            to.add(-weight * delta, f64::from(weight) * delta_mass, unit);
        }
        for tuple in &tuples {
            let weight = (tuple.score - lse).exp();
            let kept = weight * tuple.kept;
            let values = self.values(&tuple.tokens);
            let (dp, dp_mass) = self.product(dout, &values);
            let ds = weight * (dp * tuple.kept - delta);
            let ds_mass = f64::from(weight) * (dp_mass * f64::from(tuple.kept) + delta_mass);
            for axis in 0..values.len() {
                let start = self.token(axis, tuple.tokens[axis + 1]) * w;
                for (l, to) in to.values[axis][start..start + w].iter_mut().enumerate() {
                    let others = (0..values.len()).filter(|other| *other != axis);
                    let factor = others.fold(dout[l], |product, other| product * values[other][l]);
                    to.add(precision.operand(kept) * factor, f64::from((kept * factor).abs()), unit);
                }
            }
            for (bias, to) in to.biases.iter_mut().enumerate() {
                to[self.bias_place(bias, &tuple.tokens)].add(ds, ds_mass, unit);
            }
            let (ds, ds_mass) = (precision.operand(ds * tuple.slope), ds_mass * f64::from(tuple.slope));
            self.add_features(tuple, (ds, ds_mass, unit), to);
        }
    }

    /// Adds the gradient of a tuple's score to those of its tokens.
    fn add_features(&self, tuple: &Tuple, (ds, ds_mass, unit): (f32, f64, f64), to: &mut Plain) {
        let p = &self.case.problem;
        let channels = self.channels;
        let operands = self.operands(&tuple.tokens);
        for operand in 0..operands.len() {
            let to = match operand {
                0 => &mut to.q[self.row() * p.width..],
                _ => &mut to.keys[operand - 1][self.token(operand - 1, tuple.tokens[operand]) * p.width..],
            };
            for (channel, feature) in channels.features[operand].iter().enumerate() {
                let Some(l) = feature else { continue };
                let own = if operand == 0 { p.scale * channels.signs[channel] } else { 1.0 };
                let others = (0..operands.len()).filter(|other| *other != operand);
                let factor = others.fold(own, |product, other| product * operands[other][channel]);
                to[*l].add(ds * factor, ds_mass * f64::from(factor.abs()), unit);
            }
        }
    }
}

/// Calls with every query of every head.
fn each_row(case: &Case, precision: Precision, mut f: impl FnMut(&Row)) {
    let p = &case.problem;
    let channels = p.form.channels(p.order(), p.width);
    let expand = |operand: usize, tokens: &[f32]| -> Vec<Vec<f32>> {
        let one = |token: &[f32]| {
            let mut all = vec![0.0; channels.count()];
            channels.expand(operand, p.scale, token, &mut all);
            all
        };
        tokens.chunks(p.width).map(one).collect()
    };
    let keys = case.keys.iter().enumerate().map(|(axis, keys)| expand(axis + 1, keys));
    let operands: Vec<Vec<Vec<f32>>> = std::iter::once(expand(0, &case.q)).chain(keys).collect();
    for batch in 0..p.batch {
        for head in 0..p.heads {
            for query in 0..p.queries {
                f(&Row { case, precision, at: [batch, head, query], channels: &channels, operands: &operands });
            }
        }
    }
}

/// The greatest score of visible tuples, by its absolute value.
pub fn greatest_score(case: &Case) -> f32 {
    let mut most = 0f32;
    each_row(case, Precision::of::<f32>(), |row| {
        most = row.tuples().iter().fold(most, |most, tuple| most.max(tuple.score.abs()));
    });
    most
}

/// Everything that forward and backward give.
pub fn plain(case: &Case, precision: Precision) -> Plain {
    let zeros = |like: &Vec<f32>| vec![Number::default(); like.len()];
    let mut to = Plain {
        out: zeros(&case.dout),
        lse: zeros(&case.dlse),
        q: zeros(&case.q),
        keys: case.keys.iter().map(zeros).collect(),
        values: case.values.iter().map(zeros).collect(),
        biases: case.biases.iter().map(|(_, numbers)| zeros(numbers)).collect(),
        sink: case.sink.as_ref().map(zeros).unwrap_or_default(),
    };
    each_row(case, precision, |row| row.add_to(&mut to));
    let arrays = to.keys.iter_mut().chain(&mut to.values).chain([&mut to.q]);
    arrays.flatten().for_each(|number| number.value = (precision.narrow)(number.value));
    to
}
