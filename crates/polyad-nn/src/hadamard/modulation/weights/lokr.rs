//! LoKr: a Kronecker product of two small matrices (Yeh et al., LyCORIS, arXiv 2309.14859).
//!
//! Both factors are whole matrices, and the first is zero at first; public code differs in which, and can make the second of
//! low rank.

use super::{WeightChange, uniform, zeros};
use crate::error::{Error, Result, nonzero};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// How a [`Lokr`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LokrConfig {
    /// The first factor's `[outputs, inputs]`, which divide the weight's; `None` for the largest divisors up to the roots.
    pub first: Option<[usize; 2]>,
}

/// `ΔW = W₁ ⊗ W₂`: `ΔW[a o₂ + b, c i₂ + d] = W₁[a, c] W₂[b, d]`
#[derive(Module, Debug)]
pub struct Lokr {
    /// W₁, `[o₁, i₁]`, at first 0.
    pub first: Param<Tensor<2>>,
    /// W₂, `[outputs / o₁, inputs / i₁]`
    pub second: Param<Tensor<2>>,
}

/// The largest divisor whose square is `size` at most.
fn divisor(size: usize) -> usize {
    (1..=size.isqrt()).rev().find(|divisor| size.is_multiple_of(*divisor)).unwrap_or(1)
}

impl LokrConfig {
    /// Makes a change for weights of `[outputs, inputs]`. Sizes of zero, and factors that do not divide, are refused.
    pub fn init(&self, weight: [usize; 2], device: &Device) -> Result<Lokr> {
        nonzero("LoKr", &[("outputs", weight[0]), ("inputs", weight[1])])?;
        let first = self.first.unwrap_or(weight.map(divisor));
        nonzero("LoKr", &[("first's outputs", first[0]), ("first's inputs", first[1])])?;
        for (name, axis) in [("outputs", 0), ("inputs", 1)] {
            if !weight[axis].is_multiple_of(first[axis]) {
                let problem = format!("{name} {} is not divisible by the first factor's {}", weight[axis], first[axis]);
                return Err(Error::config("LoKr", problem));
            }
        }
        let second = [weight[0] / first[0], weight[1] / first[1]];
        Ok(Lokr { first: zeros(first, device), second: uniform(second, device) })
    }
}

impl WeightChange for Lokr {
    fn shape(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.first.shape()[axis] * self.second.shape()[axis])
    }

    fn delta(&self, _: Tensor<2>) -> Tensor<2> {
        let first = self.first.val().unsqueeze_dims::<4>(&[1, 3]);
        let second = self.second.val().unsqueeze_dims::<4>(&[0, 2]);
        (first * second).reshape(self.shape())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{adapted, change_tests, rank, scattered};
    use super::*;
    use crate::hadamard::check::{close, golden, gradients, numbers, wave};

    fn make(weight: Tensor<2>) -> Lokr {
        LokrConfig::default().init(weight.dims(), &weight.device()).expect("sizes")
    }

    // 6 × 4 as (2 × 2) ⊗ (3 × 2).
    change_tests!(make, 2 * 2 + 3 * 2);

    fn kronecker(first: Tensor<2>, second: Tensor<2>) -> Tensor<2> {
        let lokr = Lokr { first: Param::from_tensor(first), second: Param::from_tensor(second) };
        lokr.delta(Tensor::zeros(lokr.shape(), &Device::flex()))
    }

    #[test]
    fn it_is_the_kronecker_product() {
        // w = lambda s, *shape: torch.sin(s * torch.arange(1, math.prod(shape) + 1)).reshape(shape)
        // torch.kron(w(.5, 2, 3), w(.7, 3, 2)).flatten()[:12]
        let wanted = [
            0.308854411682284,
            0.4724497675670839,
            0.5420904917105653,
            0.8292273547720652,
            0.6426039133012555,
            0.9829811652138081,
            0.41384461553382934,
            0.16060187431452044,
            0.7263656358494286,
            0.281882808610665,
            0.8610470156219128,
            0.33414900035228157,
        ];
        let product = kronecker(wave([2, 3], 0.5, &Device::flex()), wave([3, 2], 0.7, &Device::flex()));
        assert_eq!(product.dims(), [6, 6]);
        close(&numbers(product)[..12], &wanted, 1e-14);
    }

    #[test]
    fn its_rank_is_the_product_of_ranks() {
        let of_rank_2 = scattered([5, 2], 0.1).matmul(scattered([2, 4], 0.2));
        assert_eq!(rank(kronecker(of_rank_2, scattered([3, 6], 0.3))), 2 * 3);
    }

    #[test]
    fn the_first_factor_is_about_the_root() {
        assert_eq!([1, 7, 12, 64, 768].map(divisor), [1, 1, 3, 8, 24]);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(adapted(make, &device)), wave([3, 4], 0.9, &device), |layer, x| layer.forward(x));
        gradients(adapted(make, &device), wave([1, 4], 0.9, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn factors_that_do_not_divide_are_refused() {
        let refused = |first| LokrConfig { first: Some(first) }.init([6, 4], &Device::flex()).expect_err("refused");
        assert_eq!(refused([4, 2]).to_string(), "LoKr: outputs 6 is not divisible by the first factor's 4");
        assert_eq!(refused([2, 0]).to_string(), "LoKr: first's inputs is 0");
    }
}
