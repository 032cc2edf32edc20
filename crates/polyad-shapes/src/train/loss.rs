//! What training makes small.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

/// How much nearer the same class must be than others before it counts no more.
const TEMPERATURE: f32 = 0.1;
/// Takes a shape out of the choice among its neighbours; finite, since it is multiplied by zero.
const ITSELF: f32 = -1e9;

/// The mean over rows of `-(1 - α) log p[truth] - α / classes Σ log p` (Szegedy et al., arXiv 1512.00567).
pub(super) fn smoothed_cross_entropy(logits: Tensor<2>, truth: &[usize], smoothing: f64) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let device = logits.device();
    let truth: Vec<i64> = truth.iter().map(|class| *class as i64).collect();
    let truth = Tensor::<2, Int>::from_data(TensorData::new(truth, [rows, 1]), &device);
    let log_p = log_softmax(logits, 1);
    let of_truth = log_p.clone().gather(1, truth).mean();
    (of_truth * (1.0 - smoothing) + log_p.mean() * smoothing).neg()
}

/// The length of each row, `[n, 1]`; never quite zero, so that it can be divided by.
pub(crate) fn lengths(rows: Tensor<2>) -> Tensor<2> {
    rows.powf_scalar(2.0).sum_dim(1).add_scalar(1e-12).sqrt()
}

/// Supervised contrast (Khosla et al., arXiv 2004.11362, their `L_out`): for each vector that has others of its class in
/// the batch, the mean over those of `-log softmax` of their cosine among all cosines, over a temperature of 0.1.
/// Cosines are what shapes are found by, so this teaches the vectors to be found; no parameter is added.
///
/// # Shapes
/// - vectors: `[n, width]`
/// - output: one number; 0 where no class occurs twice
pub(crate) fn contrast(vectors: Tensor<2>, truth: &[usize]) -> Tensor<1> {
    let n = truth.len();
    let device = vectors.device();
    let alike = |i: usize| truth.iter().enumerate().filter(move |(j, class)| *j != i && **class == truth[i]);
    let counts: Vec<usize> = (0..n).map(|i| alike(i).count()).collect();
    let anchors = counts.iter().filter(|count| **count > 0).count();
    let (mut weights, mut itself) = (vec![0f32; n * n], vec![0f32; n * n]);
    for i in 0..n {
        itself[i * n + i] = ITSELF;
        for (j, _) in alike(i) {
            weights[i * n + j] = 1.0 / (counts[i] * anchors) as f32;
        }
    }
    let square = |numbers: Vec<f32>| Tensor::<2>::from_data(TensorData::new(numbers, [n, n]), &device);
    let unit = vectors.clone() / lengths(vectors);
    let cosines = unit.clone().matmul(unit.transpose());
    let log_p = log_softmax(cosines.div_scalar(TEMPERATURE) + square(itself), 1);
    (log_p * square(weights)).sum().neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn smoothed_targets_cost_what_the_formula_says() {
        let logits = Tensor::<2>::from_data([[1.0f32, 2.0, 0.5], [0.0, 0.0, 3.0]], &Device::flex());
        let loss: f32 = smoothed_cross_entropy(logits, &[1, 0], 0.1).into_scalar();
        let log_p = |row: [f64; 3]| {
            let total = row.iter().map(|x| x.exp()).sum::<f64>().ln();
            row.map(|x| x - total)
        };
        let (a, b) = (log_p([1.0, 2.0, 0.5]), log_p([0.0, 0.0, 3.0]));
        let one = |row: [f64; 3], truth: usize| -0.9 * row[truth] - 0.1 * row.iter().sum::<f64>() / 3.0;
        let expected = (one(a, 1) + one(b, 0)) / 2.0;
        assert!((f64::from(loss) - expected).abs() < 1e-6, "{loss} against {expected}");
    }

    #[test]
    fn contrast_is_small_where_a_class_lies_together_and_zero_where_none_occurs_twice() {
        let vectors = |rows: [[f32; 2]; 3]| Tensor::<2>::from_data(rows, &Device::flex());
        let value = |rows, truth: &[usize]| -> f64 {
            let loss: f32 = contrast(vectors(rows), truth).into_scalar();
            loss.into()
        };
        // Cosines 1 and 0 of the first two, whatever their lengths; over a temperature of 0.1, 10 and 0.
        let together = value([[1.0, 0.0], [3.0, 0.0], [0.0, 0.5]], &[4, 4, 1]);
        assert!((together - (-10f64).exp().ln_1p()).abs() < 1e-6, "{together}");
        let apart = value([[1.0, 0.0], [0.0, 0.5], [3.0, 0.0]], &[4, 4, 1]);
        // For the first the right one is 10 below the wrong one; for the second both are alike.
        assert!((apart - (10f64.exp().ln_1p() + 2f64.ln()) / 2.0).abs() < 1e-4, "{apart}");
        assert_eq!(value([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], &[1, 2, 3]), 0.0);
    }
}
