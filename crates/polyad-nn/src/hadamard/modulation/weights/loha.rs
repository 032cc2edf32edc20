//! LoHa: the product of two sums of low rank, whose rank is their ranks' product (Hyeon-Woo et al., FedPara, arXiv
//! 2108.06098; named LoHa in LyCORIS).
//!
//! At first one factor is zero, and it alone has a gradient in the first step.

use super::{WeightChange, normal, zeros};
use crate::error::{Result, nonzero};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// How a [`Loha`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LohaConfig {
    /// r, of each of the two; the product's rank is r² at most, and never above the weight's sides.
    pub rank: usize,
    /// α: the change is `α / r` times the product.
    pub alpha: f64,
}

/// `ΔW = (α/r) (A₁B₁) ∘ (A₂B₂)`
#[derive(Module, Debug)]
pub struct Loha {
    /// A₁, `[outputs, r]`, at first of deviation 0.1.
    pub a1: Param<Tensor<2>>,
    /// B₁, `[r, inputs]`, at first of deviation 1.
    pub b1: Param<Tensor<2>>,
    /// A₂, `[outputs, r]`, at first 0.
    pub a2: Param<Tensor<2>>,
    /// B₂, `[r, inputs]`, at first of deviation 1.
    pub b2: Param<Tensor<2>>,
    scale: f64,
}

impl LohaConfig {
    /// Makes a change for weights of `[outputs, inputs]`. Sizes of zero are refused.
    pub fn init(&self, [outputs, inputs]: [usize; 2], device: &Device) -> Result<Loha> {
        nonzero("LoHa", &[("outputs", outputs), ("inputs", inputs), ("rank", self.rank)])?;
        let (a, b) = ([outputs, self.rank], [self.rank, inputs]);
        Ok(Loha {
            a1: normal(a, 0.1, device),
            b1: normal(b, 1.0, device),
            a2: zeros(a, device),
            b2: normal(b, 1.0, device),
            scale: self.alpha / self.rank as f64,
        })
    }
}

impl WeightChange for Loha {
    fn shape(&self) -> [usize; 2] {
        [self.a1.shape()[0], self.b1.shape()[1]]
    }

    fn delta(&self, _: Tensor<2>) -> Tensor<2> {
        let (first, second) = (self.a1.val().matmul(self.b1.val()), self.a2.val().matmul(self.b2.val()));
        (first * second).mul_scalar(self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{adapted, change_tests, rank, scattered};
    use super::*;
    use crate::hadamard::check::{close, doubles, golden, gradients, numbers, wave};

    fn make(weight: Tensor<2>) -> Loha {
        LohaConfig { rank: 2, alpha: 3.0 }.init(weight.dims(), &weight.device()).expect("sizes")
    }

    change_tests!(make, 2 * 2 * (6 + 4));

    /// `ΔW` of these factors, with α = r.
    fn product(a1: Tensor<2>, b1: Tensor<2>, a2: Tensor<2>, b2: Tensor<2>) -> Tensor<2> {
        let [a1, b1, a2, b2] = [a1, b1, a2, b2].map(Param::from_tensor);
        let loha = Loha { a1, b1, a2, b2, scale: 1.0 };
        let [outputs, inputs] = loha.shape();
        loha.delta(doubles(vec![0.0; outputs * inputs], [outputs, inputs], &Device::flex()))
    }

    fn determinant(m: &[Vec<f64>]) -> f64 {
        let Some((first, rest)) = m.split_first() else { return 1.0 };
        let minor = |column: usize| {
            let without = rest.iter().map(|row| [&row[..column], &row[column + 1..]].concat());
            determinant(&without.collect::<Vec<_>>())
        };
        let signed = |column: usize| if column.is_multiple_of(2) { first[column] } else { -first[column] };
        (0..first.len()).map(|column| signed(column) * minor(column)).sum()
    }

    #[test]
    fn two_ranks_of_two_make_a_full_matrix_of_four() {
        let matrix = |numbers: [f64; 8], shape| doubles(numbers.to_vec(), shape, &Device::flex());
        let a1 = matrix([1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 2.0], [4, 2]);
        let b1 = matrix([1.0, 0.0, 1.0, 2.0, 0.0, 1.0, 1.0, -1.0], [2, 4]);
        let a2 = matrix([1.0, 1.0, 1.0, -1.0, 0.0, 1.0, 2.0, 1.0], [4, 2]);
        let b2 = matrix([1.0, 2.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0], [2, 4]);
        let delta = product(a1.clone(), b1.clone(), a2, b2);
        let rows: Vec<Vec<f64>> = numbers(delta).chunks(4).map(<[f64]>::to_vec).collect();
        close(&[determinant(&rows)], &[-35.0], 1e-12);
        // Tied factors: r (r + 1) / 2.
        assert_eq!(rank(product(a1.clone(), b1.clone(), a1, b1)), 3);
    }

    #[test]
    fn its_rank_is_r_squared_where_lora_of_its_size_has_2_r() {
        for r in [2, 3, 4, 5] {
            let factor = |seed| (scattered([64, r], seed), scattered([r, 64], seed + 0.5));
            let ((a1, b1), (a2, b2)) = (factor(0.1), factor(0.2));
            assert_eq!(rank(product(a1.clone(), b1.clone(), a2.clone(), b2.clone())), r * r);
            let lora = Tensor::cat(vec![a1, a2], 1).matmul(Tensor::cat(vec![b1, b2], 0));
            assert_eq!(rank(lora), 2 * r);
        }
    }

    #[test]
    fn it_is_scaled_by_alpha_over_r() {
        let loha = golden(make(wave([6, 4], 0.3, &Device::flex())));
        let [a1, b1, a2, b2] = [&loha.a1, &loha.b1, &loha.a2, &loha.b2].map(Param::val);
        let delta = loha.delta(wave([6, 4], 0.3, &Device::flex()));
        close(&numbers(delta), &numbers(product(a1, b1, a2, b2).mul_scalar(1.5)), 1e-15);
    }

    #[test]
    fn at_first_one_factor_alone_has_a_gradient() {
        let device = Device::flex().autodiff();
        let layer = adapted(make, &device);
        let grads = layer.forward(Tensor::<2>::ones([3, 4], &device)).sum().backward();
        let largest = |factor: &Param<Tensor<2>>| {
            let gradient = numbers(factor.grad(&grads).expect("takes part"));
            gradient.iter().fold(0.0f64, |most, x| most.max(x.abs()))
        };
        let Loha { a1, b1, a2, b2, .. } = &layer.change;
        assert!(largest(a2) > 0.0 && [a1, b1, b2].iter().all(|factor| largest(factor) == 0.0));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(adapted(make, &device)), wave([3, 4], 0.9, &device), |layer, x| layer.forward(x));
        gradients(adapted(make, &device), wave([1, 4], 0.9, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = LohaConfig { rank: 1, alpha: 1.0 }.init([6, 0], &Device::flex()).expect_err("no inputs");
        assert_eq!(error.to_string(), "LoHa: inputs is 0");
    }
}
