//! Linear maps and norms of rows.

use crate::error::{Result, unfit};
use polyad_simd::gemm::{GROUP, Product};
use polyad_simd::{LANES, Level};

/// `y = x W + b`.
#[derive(Debug)]
pub struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// In groups of [`GROUP`] columns, so that a product reads them in order: `[groups][inputs][GROUP]`.
    groups: Vec<f32>,
    /// One an output, or none.
    pub(crate) bias: Vec<f32>,
}

impl Linear {
    /// A map with weights `[inputs, outputs]` and a bias of one number an output, or of none.
    pub fn new([inputs, outputs]: [usize; 2], weights: &[f32], bias: Vec<f32>) -> Result<Self> {
        if inputs.checked_mul(outputs) != Some(weights.len()) || weights.is_empty() {
            return unfit(format!("{} weights of a linear map of {inputs} to {outputs}", weights.len()));
        }
        if !bias.is_empty() && bias.len() != outputs {
            return unfit(format!("a bias of {} numbers for {outputs} outputs", bias.len()));
        }
        let mut groups = vec![0.0; outputs.div_ceil(GROUP) * inputs * GROUP];
        for (input, row) in weights.chunks_exact(outputs).enumerate() {
            for (group, columns) in row.chunks(GROUP).enumerate() {
                groups[(group * inputs + input) * GROUP..][..columns.len()].copy_from_slice(columns);
            }
        }
        Ok(Linear { inputs, outputs, groups, bias })
    }

    /// The weights in the order `[inputs][outputs]`.
    pub(crate) fn plain(&self) -> Vec<f32> {
        let at = |input: usize, output: usize| (output / GROUP * self.inputs + input) * GROUP + output % GROUP;
        let row = |input: usize| (0..self.outputs).map(move |output| self.groups[at(input, output)]);
        (0..self.inputs).flat_map(row).collect()
    }

    /// Maps rows.
    ///
    /// # Shapes
    /// - x: `[n, inputs]`
    /// - output: `[n, outputs]`
    ///
    /// # Panics
    /// Where `x` is no whole number of rows.
    pub(crate) fn run(&self, level: Level, x: &[f32]) -> Vec<f32> {
        assert!(x.len().is_multiple_of(self.inputs), "{} numbers are no rows of {}", x.len(), self.inputs);
        let (rows, columns) = (x.len() / self.inputs, self.outputs.next_multiple_of(LANES));
        let product = Product {
            rows,
            depth: self.inputs,
            columns,
            a: x,
            a_row: self.inputs,
            a_column: 1,
            b: &self.groups,
            b_row: GROUP,
            b_group: self.inputs * GROUP,
            c_row: columns,
            add: false,
        };
        let mut y = vec![0.0; rows * columns];
        product.run(level, &mut y);
        if columns != self.outputs {
            for row in 0..rows {
                y.copy_within(row * columns..row * columns + self.outputs, row * self.outputs);
            }
            y.truncate(rows * self.outputs);
        }
        if !self.bias.is_empty() {
            for row in y.chunks_exact_mut(self.outputs) {
                row.iter_mut().zip(&self.bias).for_each(|(y, bias)| *y += bias);
            }
        }
        y
    }
}

/// A batch norm at inference: `y = scale ∘ x + shift`.
#[derive(Debug)]
pub struct Affine {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

impl Affine {
    /// A norm of as many numbers as there are scales and shifts.
    pub fn new(scale: Vec<f32>, shift: Vec<f32>) -> Result<Self> {
        if scale.len() != shift.len() {
            return unfit(format!("{} scales and {} shifts", scale.len(), shift.len()));
        }
        Ok(Affine { scale, shift })
    }

    /// Normalises a row, and cuts it off at zero.
    pub(crate) fn rectified(&self, row: &[f32]) -> Vec<f32> {
        row.iter().zip(&self.scale).zip(&self.shift).map(|((x, scale), shift)| (x * scale + shift).max(0.0)).collect()
    }
}

/// `y = gamma (x − mean) / √(variance + epsilon) + beta`, over the numbers of a row.
#[derive(Debug)]
pub struct LayerNorm {
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    pub(crate) epsilon: f32,
}

impl LayerNorm {
    /// A norm of rows of as many numbers as `gamma` and `beta` have.
    pub fn new(gamma: Vec<f32>, beta: Vec<f32>, epsilon: f32) -> Result<Self> {
        if gamma.len() != beta.len() || gamma.is_empty() {
            return unfit(format!("a layer norm of {} gammas and {} betas", gamma.len(), beta.len()));
        }
        Ok(LayerNorm { gamma, beta, epsilon })
    }

    /// Normalises each row.
    pub(crate) fn run(&self, x: &[f32]) -> Vec<f32> {
        let width = self.gamma.len();
        let mut y = Vec::with_capacity(x.len());
        for row in x.chunks_exact(width) {
            let mean = row.iter().sum::<f32>() / width as f32;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / width as f32;
            let factor = 1.0 / (variance + self.epsilon).sqrt();
            let affine = self.gamma.iter().zip(&self.beta);
            y.extend(row.iter().zip(affine).map(|(x, (gamma, beta))| (x - mean) * factor * gamma + beta));
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_map_is_the_sum_it_is_defined_as_on_every_level() {
        for (inputs, outputs) in [(1, 1), (5, 16), (7, 70), (33, 130), (2, 64)] {
            let weight = |i: usize, o: usize| ((i * 31 + o * 17) % 23) as f32 - 11.0;
            let weights: Vec<f32> = (0..inputs * outputs).map(|at| weight(at / outputs, at % outputs)).collect();
            let bias: Vec<f32> = (0..outputs).map(|o| o as f32).collect();
            let x: Vec<f32> = (0..3 * inputs).map(|i| (i % 13) as f32 - 6.0).collect();
            let linear = Linear::new([inputs, outputs], &weights, bias).expect("sizes that fit");
            for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
                let y = linear.run(level, &x);
                for (at, y) in y.iter().enumerate() {
                    let (row, o) = (at / outputs, at % outputs);
                    let sum: f32 = (0..inputs).map(|i| x[row * inputs + i] * weight(i, o)).sum();
                    // Whole numbers, so no rounding.
                    assert_eq!(*y, sum + o as f32, "{level}, {inputs} to {outputs}, row {row}, output {o}");
                }
            }
            assert_eq!(linear.plain(), weights);
        }
    }

    #[test]
    fn a_row_is_normalised_to_mean_beta_and_deviation_gamma() {
        let norm = LayerNorm::new(vec![2.0; 4], vec![1.0; 4], 0.0).expect("four of each");
        assert_eq!(norm.run(&[1.0, 1.0, 3.0, 3.0, -5.0, 5.0, 5.0, -5.0]), [-1.0, -1.0, 3.0, 3.0, -1.0, 3.0, 3.0, -1.0]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused_with_both() {
        let message = Linear::new([2, 3], &[0.0; 5], Vec::new()).expect_err("six are wanted").to_string();
        assert!(message.contains('5') && message.contains("2 to 3"), "{message}");
        assert!(Linear::new([2, 3], &[0.0; 6], vec![0.0; 2]).is_err());
        assert!(Linear::new([usize::MAX, 2], &[0.0; 6], Vec::new()).is_err());
        assert!(LayerNorm::new(vec![1.0], Vec::new(), 0.0).is_err());
        assert!(Affine::new(vec![1.0], Vec::new()).is_err());
    }
}
