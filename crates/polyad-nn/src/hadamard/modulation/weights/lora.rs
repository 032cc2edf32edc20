//! LoRA: a sum of low rank (Hu et al., arXiv 2106.09685). No product of weights; what the others are compared with.

use super::{WeightChange, uniform, zeros};
use crate::error::{Result, nonzero};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// How a [`Lora`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoraConfig {
    /// r
    pub rank: usize,
    /// α: the change is `α / r` times the product of the factors.
    pub alpha: f64,
}

/// `ΔW = (α/r) B A`
#[derive(Module, Debug)]
pub struct Lora {
    /// A, `[r, inputs]`
    pub a: Param<Tensor<2>>,
    /// B, `[outputs, r]`, at first 0.
    pub b: Param<Tensor<2>>,
    scale: f64,
}

impl LoraConfig {
    /// Makes a change for weights of `[outputs, inputs]`. Sizes of zero are refused.
    pub fn init(&self, [outputs, inputs]: [usize; 2], device: &Device) -> Result<Lora> {
        nonzero("LoRA", &[("outputs", outputs), ("inputs", inputs), ("rank", self.rank)])?;
        let (a, b) = (uniform([self.rank, inputs], device), zeros([outputs, self.rank], device));
        Ok(Lora { a, b, scale: self.alpha / self.rank as f64 })
    }
}

impl Lora {
    /// `(α/r) B A`, which does not depend on the weight.
    pub(super) fn product(&self) -> Tensor<2> {
        self.b.val().matmul(self.a.val()).mul_scalar(self.scale)
    }
}

impl WeightChange for Lora {
    fn shape(&self) -> [usize; 2] {
        [self.b.shape()[0], self.a.shape()[1]]
    }

    fn delta(&self, _: Tensor<2>) -> Tensor<2> {
        self.product()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{adapted, change_tests, rank, scattered};
    use super::*;
    use crate::hadamard::check::{close, golden, gradients, numbers, wave};

    fn make(weight: Tensor<2>) -> Lora {
        LoraConfig { rank: 2, alpha: 3.0 }.init(weight.dims(), &weight.device()).expect("sizes")
    }

    change_tests!(make, 2 * (6 + 4));

    #[test]
    fn its_rank_is_r() {
        let mut lora = LoraConfig { rank: 8, alpha: 8.0 }.init([64, 64], &Device::flex()).expect("sizes");
        lora.a = Param::from_tensor(scattered([8, 64], 0.1));
        lora.b = Param::from_tensor(scattered([64, 8], 0.2));
        assert_eq!(rank(lora.product()), 8);
    }

    #[test]
    fn it_is_scaled_by_alpha_over_r() {
        let lora = golden(make(wave([6, 4], 0.3, &Device::flex())));
        let product = lora.b.val().matmul(lora.a.val());
        close(&numbers(lora.product()), &numbers(product.mul_scalar(1.5)), 1e-15);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(adapted(make, &device)), wave([3, 4], 0.9, &device), |layer, x| layer.forward(x));
        gradients(adapted(make, &device), wave([1, 4], 0.9, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = LoraConfig { rank: 0, alpha: 1.0 }.init([6, 4], &Device::flex()).expect_err("no rank");
        assert_eq!(error.to_string(), "LoRA: rank is 0");
    }
}
