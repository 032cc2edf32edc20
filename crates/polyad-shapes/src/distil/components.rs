//! Principal components of a teacher's numbers, by orthogonal iteration on their covariance.
//!
//! ```text
//! Q ← an orthonormal basis of C Q, again and again: its columns turn towards the eigenvectors of greatest eigenvalue
//! ```
//!
//! A last rotation among the columns is not needed: lengths and angles within their span are the same without it.

use crate::error::{Error, Result};
use crate::random::Random;
use crate::vsformer::numbers;
use burn::tensor::{Device, Tensor, TensorData};

/// Enough that what is left out is what the spectrum's tail holds, not what iteration has missed.
const ITERATIONS: usize = 24;

/// A map from a teacher's numbers to their first components, centred and of mean square 1.
pub(super) struct Components {
    /// `[width]`
    mean: Tensor<1>,
    /// `[width, count]`, columns orthogonal and equally long.
    basis: Tensor<2>,
    /// The share of the variance that the components hold.
    pub share: f64,
}

impl Components {
    /// Of rows of numbers, `[rows, width]`. There are at most `width` components.
    ///
    /// Cost: `rows · width²` multiply-adds for the covariance, `width² · count` for each iteration.
    pub fn of(rows: &[f32], width: usize, count: usize) -> Result<Self> {
        let device = Device::flex();
        let total = rows.len() / width;
        if total < 2 || count == 0 || count > width {
            return Err(Error::Invalid(format!("{count} components of {total} rows of {width} numbers")));
        }
        let x = Tensor::<2>::from_data(TensorData::new(rows.to_vec(), [total, width]), &device);
        let mean = x.clone().mean_dim(0);
        let x = x - mean.clone();
        let covariance = x.clone().transpose().matmul(x) / total as f32;
        let variance: f64 = diagonal(&numbers(covariance.clone())?, width).sum();
        let mut random = Random::new(width as u64, count as u64);
        let mut columns: Vec<Vec<f64>> =
            (0..count).map(|_| (0..width).map(|_| random.between(-1.0, 1.0)).collect()).collect();
        let mut held = 0.0;
        for _ in 0..ITERATIONS {
            orthonormalise(&mut columns, &mut random);
            let flat: Vec<f32> = columns.iter().flatten().map(|x| *x as f32).collect();
            let q = Tensor::<2>::from_data(TensorData::new(flat, [count, width]), &device);
            let turned = numbers(q.matmul(covariance.clone()))?;
            // Rayleigh's quotients add up to the variance that the columns hold.
            held = columns.iter().flatten().zip(&turned).map(|(a, b)| a * f64::from(*b)).sum();
            let rows = turned.chunks_exact(width).map(|row| row.iter().map(|x| f64::from(*x)).collect());
            columns = rows.collect();
        }
        orthonormalise(&mut columns, &mut random);
        if !(held > 0.0 && held.is_finite()) {
            return Err(Error::Model("the teacher says the same of every view".into()));
        }
        let scale = (count as f64 / held).sqrt();
        let flat: Vec<f32> = columns.iter().flatten().map(|x| (x * scale) as f32).collect();
        let basis = Tensor::<2>::from_data(TensorData::new(flat, [count, width]), &device).transpose();
        Ok(Components { mean: mean.reshape([width]), basis, share: held / variance })
    }

    /// The components of rows of numbers, `[rows, width]`, as `[rows, count]`.
    pub fn apply(&self, rows: &[f32]) -> Result<Vec<f32>> {
        let [width] = self.mean.dims();
        let shape = [rows.len() / width, width];
        let x = Tensor::<2>::from_data(TensorData::new(rows.to_vec(), shape), &Device::flex());
        numbers((x - self.mean.clone().unsqueeze()).matmul(self.basis.clone()))
    }
}

fn diagonal(matrix: &[f32], width: usize) -> impl Iterator<Item = f64> + '_ {
    (0..width).map(move |i| f64::from(matrix[i * width + i]))
}

/// Gram and Schmidt, twice, which is enough (Giraud et al., 2005). A column that depends on those before it is drawn anew.
fn orthonormalise(columns: &mut [Vec<f64>], random: &mut Random) {
    for i in 0..columns.len() {
        let (before, rest) = columns.split_at_mut(i);
        let column = &mut rest[0];
        loop {
            let whole = length(column);
            for _ in 0..2 {
                for other in before.iter() {
                    let along: f64 = other.iter().zip(column.iter()).map(|(a, b)| a * b).sum();
                    column.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
                }
            }
            let left = length(column);
            if left > 1e-10 * whole && left > 0.0 {
                column.iter_mut().for_each(|x| *x /= left);
                break;
            }
            column.iter_mut().for_each(|x| *x = random.between(-1.0, 1.0));
        }
    }
}

fn length(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_hold_the_directions_of_greatest_variance() {
        // Five numbers a row: independent with deviations 4, 3, 2, .1, .05, then turned by a fixed reflection.
        let mut random = Random::new(3, 0);
        let deviations = [4.0, 3.0, 2.0, 0.1, 0.05];
        let axis = [0.5, -0.5, 0.1, 0.7, 0.1f64];
        let norm2: f64 = axis.iter().map(|x| x * x).sum();
        let mut rows = Vec::new();
        for _ in 0..4000 {
            let x: Vec<f64> = deviations.iter().map(|d| d * random.between(-1.0, 1.0)).collect();
            let along: f64 = 2.0 * x.iter().zip(axis).map(|(x, a)| x * a).sum::<f64>() / norm2;
            rows.extend(x.iter().zip(axis).map(|(x, a)| (x - along * a + 7.0) as f32));
        }
        let components = Components::of(&rows, 5, 3).expect("five numbers");
        assert!(components.share > 0.999 && components.share < 1.0, "{}", components.share);
        let found = components.apply(&rows).expect("the same rows");
        let mean_square = found.iter().map(|x| f64::from(x * x)).sum::<f64>() / found.len() as f64;
        assert!((mean_square - 1.0).abs() < 1e-3, "{mean_square}");
        // Distances between rows are kept, up to one scale and what the two small directions held.
        let distance = |rows: &[f32], width: usize, i: usize, j: usize| {
            let (a, b) = (&rows[i * width..][..width], &rows[j * width..][..width]);
            a.iter().zip(b).map(|(a, b)| f64::from((a - b) * (a - b))).sum::<f64>().sqrt()
        };
        let ratio = |i, j| distance(&found, 3, i, j) / distance(&rows, 5, i, j);
        for i in 1..20 {
            assert!((ratio(i, i + 1) / ratio(0, 1) - 1.0).abs() < 0.02, "{i}");
        }
    }

    #[test]
    fn what_has_no_components_is_refused() {
        assert!(Components::of(&[1.0; 12], 3, 2).is_err());
        assert!(Components::of(&[1.0, 2.0, 3.0], 3, 2).is_err());
        assert!(Components::of(&[0.0; 30], 3, 4).is_err());
    }
}
