//! HiRA: the frozen weight times a sum of low rank (Huang et al., HiRA: Hadamard high-rank adaptation, ICLR 2025).
//!
//! A zero of the frozen weight stays zero: a pruned layer that is adapted so keeps its mask. A weight of zeros cannot move.

use super::{WeightChange, uniform, zeros};
use crate::error::{Result, nonzero};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// How a [`Hira`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HiraConfig {
    /// r; the change's rank is r times the weight's at most.
    pub rank: usize,
}

/// `ΔW = W ∘ (B A)`
#[derive(Module, Debug)]
pub struct Hira {
    /// A, `[r, inputs]`
    pub a: Param<Tensor<2>>,
    /// B, `[outputs, r]`, at first 0.
    pub b: Param<Tensor<2>>,
}

impl HiraConfig {
    /// Makes a change for weights of `[outputs, inputs]`. Sizes of zero are refused.
    pub fn init(&self, [outputs, inputs]: [usize; 2], device: &Device) -> Result<Hira> {
        nonzero("HiRA", &[("outputs", outputs), ("inputs", inputs), ("rank", self.rank)])?;
        Ok(Hira { a: uniform([self.rank, inputs], device), b: zeros([outputs, self.rank], device) })
    }
}

impl WeightChange for Hira {
    fn shape(&self) -> [usize; 2] {
        [self.b.shape()[0], self.a.shape()[1]]
    }

    fn delta(&self, weight: Tensor<2>) -> Tensor<2> {
        weight * self.b.val().matmul(self.a.val())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{adapted, adapted_conv, change_tests, rank, scattered};
    use super::*;
    use crate::hadamard::check::{golden, gradients, numbers, wave};
    use crate::hadamard::modulation::pruning::{Masks, magnitude};

    fn make(weight: Tensor<2>) -> Hira {
        HiraConfig { rank: 2 }.init(weight.dims(), &weight.device()).expect("sizes")
    }

    change_tests!(make, 2 * (6 + 4));

    #[test]
    fn its_rank_is_r_times_the_weight_s() {
        let weight = scattered([24, 3], 0.1).matmul(scattered([3, 24], 0.2));
        let mut hira = HiraConfig { rank: 4 }.init([24, 24], &Device::flex()).expect("sizes");
        hira.a = Param::from_tensor(scattered([4, 24], 0.3));
        hira.b = Param::from_tensor(scattered([24, 4], 0.4));
        assert_eq!(rank(hira.delta(weight)), 3 * 4);
    }

    #[test]
    fn a_pruned_layer_keeps_every_zero() {
        let device = Device::flex();
        let mut linear = golden(adapted(make, &device));
        let masks = Masks::keep_share(&magnitude(&linear.base), 0.4).expect("a share");
        linear.base = masks.apply(linear.base).expect("its own masks");
        let before = numbers(linear.base.weight.val());
        let after = numbers(linear.merge().weight.val());
        assert_eq!(before.iter().filter(|weight| **weight == 0.0).count(), 14);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(*before == 0.0, after.to_bits() == 0, "{before} became {after}");
        }

        let mut conv = golden(adapted_conv(make, &device));
        conv.base =
            Masks::keep_share(&magnitude(&conv.base), 0.25).expect("a share").apply(conv.base).expect("its own");
        let (before, after) = (numbers(conv.base.weight.val()), numbers(conv.merge().weight.val()));
        assert_eq!(before.iter().filter(|weight| **weight == 0.0).count(), 81);
        assert!(before.iter().zip(&after).all(|(before, after)| (*before == 0.0) == (after.to_bits() == 0)));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(adapted(make, &device)), wave([3, 4], 0.9, &device), |layer, x| layer.forward(x));
        gradients(adapted(make, &device), wave([1, 4], 0.9, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = HiraConfig { rank: 0 }.init([6, 4], &Device::flex()).expect_err("no rank");
        assert_eq!(error.to_string(), "HiRA: rank is 0");
    }
}
