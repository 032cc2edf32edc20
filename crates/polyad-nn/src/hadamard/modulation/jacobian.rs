//! Dense Jacobians and determinants, for the tests of maps whose Jacobians are promised to be something.

use crate::hadamard::check::numbers;
use burn::tensor::Tensor;

/// `∂y_i / ∂x_j` of a map of vectors at `x`, of shape `[1, d]` on an autodiff device: a row of gradients for each
/// output.
pub fn jacobian(x: &Tensor<2>, map: impl Fn(Tensor<2>) -> Tensor<2>) -> Vec<Vec<f64>> {
    let x = x.clone().detach().require_grad();
    let outputs = map(x.clone()).dims()[1];
    let row = |index| {
        let grads = map(x.clone()).narrow(1, index, 1).sum().backward();
        x.grad(&grads).map_or_else(|| vec![0.0; x.dims()[1]], numbers)
    };
    (0..outputs).map(row).collect()
}

/// The logarithm of a square matrix's absolute determinant, by elimination with the greatest pivot of each column.
pub fn log_abs_determinant(mut matrix: Vec<Vec<f64>>) -> f64 {
    let size = matrix.len();
    let mut log = 0.0;
    for column in 0..size {
        let size_of = |row: &usize| matrix[*row][column].abs();
        let pivot = (column..size).max_by(|a, b| size_of(a).total_cmp(&size_of(b))).expect("a row");
        matrix.swap(column, pivot);
        log += matrix[column][column].abs().ln();
        let (above, below) = matrix.split_at_mut(column + 1);
        let pivot = &above[column];
        for row in below {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(pivot).for_each(|(number, pivot)| *number -= factor * pivot);
        }
    }
    log
}

#[test]
fn the_determinant_is_that_of_a_worked_matrix() {
    let matrix = vec![vec![0.0, 2.0, 1.0], vec![1.0, 1.0, 0.0], vec![3.0, 0.0, -1.0]];
    // 0·(−1) − 2·(−1) + 1·(−3) = −1
    assert!(log_abs_determinant(matrix).abs() < 1e-12);
    assert!((log_abs_determinant(vec![vec![1.0, 2.0], vec![3.0, -1.0]]) - 7f64.ln()).abs() < 1e-12);
}
