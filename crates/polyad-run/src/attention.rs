//! Self-attention among the views of a shape, of any order.
//!
//! ```text
//! q = Q x,  k_a = K_a x,  v_a = V_a x            for each key axis a; queries and keys perhaps normalised by head
//! out = W concat over heads of Σ softmax(scale · Σ_d q k_1 ..) v_1 ∘ v_2 ..  + b
//! ```
//!
//! Pairs of a few views are plain loops; tuples go to the exact kernels of `polyad_attention`.

use crate::error::{Error, Result, unfit};
use crate::linear::Linear;
use polyad_attention::{Inputs, Problem, forward, forward_workspace};
use polyad_simd::Level;

/// Added to a head's mean square before its root is taken.
const EPSILON: f32 = 1e-6;

/// Self-attention, see the module's head.
#[derive(Debug)]
pub struct Attention {
    /// Heads, which divide the width of queries.
    pub heads: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// `[dim, dim]`
    pub query: Linear,
    /// For each key axis `[dim, dim]`; the order is one more than there are.
    pub keys: Vec<Linear>,
    /// For each key axis `[dim, dim]`.
    pub values: Vec<Linear>,
    /// `[dim, dim]`
    pub output: Linear,
    /// Where queries and keys are normalised: for the query, then each key axis, a gain a head. Else empty.
    pub gains: Vec<Vec<f32>>,
}

impl Attention {
    /// Refuses maps that do not fit together, for rows of `dim` numbers.
    pub(crate) fn check(&self, dim: usize) -> Result<()> {
        if self.heads == 0 || !dim.is_multiple_of(self.heads) {
            return unfit(format!("{} heads do not divide {dim} numbers", self.heads));
        }
        if self.keys.len() != self.values.len() {
            return unfit(format!("{} axes of keys and {} of values", self.keys.len(), self.values.len()));
        }
        for linear in [&self.query, &self.output].into_iter().chain(&self.keys).chain(&self.values) {
            if (linear.inputs, linear.outputs) != (dim, dim) {
                return unfit(format!("attention's map of {} to {} for {dim} numbers", linear.inputs, linear.outputs));
            }
        }
        if !self.gains.is_empty() && self.gains.len() != self.keys.len() + 1 {
            return unfit(format!("gains for {} operands of {}", self.gains.len(), self.keys.len() + 1));
        }
        if let Some(gains) = self.gains.iter().find(|gains| gains.len() != self.heads) {
            return unfit(format!("{} gains for {} heads", gains.len(), self.heads));
        }
        match self.keys.len() {
            1 => Ok(()),
            _ => self.problem(1, dim).check().map_err(|why| Error::Network(why.to_string())),
        }
    }

    fn problem(&self, tokens: usize, dim: usize) -> Problem {
        let problem = Problem::new(self.keys.len() + 1, tokens, dim / self.heads, self.scale);
        Problem { heads: self.heads, key_heads: self.heads, ..problem }.tokens_outside()
    }

    /// Lets all rows take notice of each other.
    ///
    /// # Shapes
    /// - x, output: `[n, dim]`
    pub(crate) fn run(&self, level: Level, x: &[f32]) -> Result<Vec<f32>> {
        let q = self.normalised(self.query.run(level, x), 0);
        let of_keys = |(linear, operand): (&Linear, usize)| self.normalised(linear.run(level, x), operand);
        let keys: Vec<Vec<f32>> = self.keys.iter().zip(1..).map(of_keys).collect();
        let values: Vec<Vec<f32>> = self.values.iter().map(|linear| linear.run(level, x)).collect();
        let mixed = match (&keys[..], &values[..]) {
            ([keys], [values]) => self.pairs(&q, keys, values),
            _ => self.tuples(level, &q, &keys, &values)?,
        };
        Ok(self.output.run(level, &mixed))
    }

    /// Each head's numbers over their root mean square, times its gain.
    fn normalised(&self, mut x: Vec<f32>, operand: usize) -> Vec<f32> {
        let Some(gains) = self.gains.get(operand) else { return x };
        let width = self.query.outputs / self.heads;
        for (head, gain) in x.chunks_exact_mut(width).zip(gains.iter().cycle()) {
            let mean_square = head.iter().map(|x| x * x).sum::<f32>() / width as f32;
            let factor = gain / (mean_square + EPSILON).sqrt();
            head.iter_mut().for_each(|x| *x *= factor);
        }
        x
    }

    fn pairs(&self, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
        let dim = self.query.outputs;
        let width = dim / self.heads;
        let mut out = vec![0.0; q.len()];
        let mut weights = vec![0.0; q.len() / dim];
        for (at, out) in out.chunks_exact_mut(width).enumerate() {
            let head = at % self.heads * width;
            let q = &q[at * width..][..width];
            for (weight, k) in weights.iter_mut().zip(k.chunks_exact(dim)) {
                *weight = q.iter().zip(&k[head..]).map(|(q, k)| q * k).sum::<f32>() * self.scale;
            }
            let most = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().for_each(|weight| *weight = (*weight - most).exp());
            let total: f32 = weights.iter().sum();
            for (weight, v) in weights.iter().zip(v.chunks_exact(dim)) {
                out.iter_mut().zip(&v[head..]).for_each(|(out, v)| *out += weight / total * v);
            }
        }
        out
    }

    fn tuples(&self, level: Level, q: &[f32], keys: &[Vec<f32>], values: &[Vec<f32>]) -> Result<Vec<f32>> {
        let dim = self.query.outputs;
        let problem = self.problem(q.len() / dim, dim);
        let unfit = |why: polyad_attention::Error| Error::Network(why.to_string());
        let (keys, values) = (slices_of(keys), slices_of(values));
        let (mut out, mut lse) = (vec![0.0; q.len()], vec![0.0; problem.rows()]);
        let mut workspace = vec![0.0; forward_workspace(&problem).map_err(unfit)?];
        forward(&problem, &Inputs::new(q, &keys, &values), &mut out, &mut lse, &mut workspace, level).map_err(unfit)?;
        Ok(out)
    }
}

fn slices_of(arrays: &[Vec<f32>]) -> Vec<&[f32]> {
    arrays.iter().map(Vec::as_slice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attention(order: usize, dim: usize, heads: usize, normalised: bool) -> Attention {
        let linear = |seed: usize| {
            let weights: Vec<f32> =
                (0..dim * dim).map(|i| ((i * 37 + seed * 101) % 211) as f32 / 105.0 - 1.0).collect();
            Linear::new([dim, dim], &weights, Vec::new()).expect("sizes that fit")
        };
        let gain = |operand: usize| (0..heads).map(|head| 0.5 + (head + operand) as f32 / 4.0).collect();
        Attention {
            heads,
            scale: 0.5,
            query: linear(0),
            keys: (1..order).map(linear).collect(),
            values: (1..order).map(|axis| linear(axis + 10)).collect(),
            output: linear(20),
            gains: if normalised { (0..order).map(gain).collect() } else { Vec::new() },
        }
    }

    /// Pairs by the kernels of any order are pairs by plain loops.
    #[test]
    fn loops_and_kernels_agree() {
        let (dim, heads) = (12, 3);
        let x: Vec<f32> = (0..5 * dim).map(|i| ((i * 53) % 89) as f32 / 44.0 - 1.0).collect();
        for normalised in [false, true] {
            let attention = attention(2, dim, heads, normalised);
            attention.check(dim).expect("sizes that fit");
            for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
                let q = attention.normalised(attention.query.run(level, &x), 0);
                let keys = vec![attention.normalised(attention.keys[0].run(level, &x), 1)];
                let values = vec![attention.values[0].run(level, &x)];
                let plain = attention.pairs(&q, &keys[0], &values[0]);
                let kernels = attention.tuples(level, &q, &keys, &values).expect("sizes that fit");
                for (a, b) in plain.iter().zip(&kernels) {
                    assert!((a - b).abs() < 1e-4, "{level}: {a} and {b}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        attention(3, 8, 2, true).check(8).expect("sizes that fit");
        assert!(attention(2, 8, 2, false).check(9).is_err());
        assert!(Attention { heads: 3, ..attention(2, 8, 2, false) }.check(8).is_err());
        assert!(Attention { heads: 0, ..attention(2, 8, 2, false) }.check(8).is_err());
        assert!(Attention { keys: Vec::new(), ..attention(2, 8, 2, false) }.check(8).is_err());
        assert!(Attention { gains: vec![vec![1.0; 2]], ..attention(3, 8, 2, false) }.check(8).is_err());
        assert!(Attention { scale: f32::NAN, ..attention(3, 8, 2, false) }.check(8).is_err());
        assert!(attention(3, 300, 1, false).check(300).is_err(), "a head wider than the kernels go");
        attention(2, 300, 1, false).check(300).expect("loops are of any width");
    }
}
