//! DoRA: the length of each output's weights apart from their direction, which LoRA changes (Liu et al., arXiv 2402.09353).
//!
//! As the paper proposes, no gradient passes through the length that divides: what learns is the map with that length held.

use super::{Lora, LoraConfig, WeightChange};
use crate::error::Result;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// How a [`Dora`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DoraConfig {
    /// r
    pub rank: usize,
    /// α: the direction's change is `α / r` times the product of the factors.
    pub alpha: f64,
}

/// `W' = m ∘ V / ‖V‖`, `V = W + (α/r) B A`, the length ‖·‖ for each output.
#[derive(Module, Debug)]
pub struct Dora {
    /// A and B.
    pub direction: Lora,
    /// m, `[outputs]`, at first the lengths of W.
    pub magnitude: Param<Tensor<1>>,
}

/// Of outputs whose weights are all zero.
const LEAST_LENGTH: f64 = 1e-12;

fn lengths(weight: Tensor<2>) -> Tensor<2> {
    weight.square().sum_dim(1).sqrt()
}

impl DoraConfig {
    /// Makes a change for this weight, `[outputs, inputs]`. A rank of zero is refused.
    pub fn init(&self, weight: Tensor<2>) -> Result<Dora> {
        let direction = LoraConfig { rank: self.rank, alpha: self.alpha }.init(weight.dims(), &weight.device())?;
        let magnitude = Param::from_tensor(lengths(weight.detach()).squeeze_dim(1));
        Ok(Dora { direction, magnitude })
    }
}

impl Dora {
    /// `m ∘ V / length`
    fn scaled(&self, direction: Tensor<2>, length: Tensor<2>) -> Tensor<2> {
        self.magnitude.val().unsqueeze_dim::<2>(1) * direction / length.clamp_min(LEAST_LENGTH)
    }
}

impl WeightChange for Dora {
    fn shape(&self) -> [usize; 2] {
        self.direction.shape()
    }

    fn delta(&self, weight: Tensor<2>) -> Tensor<2> {
        self.changed(weight.clone()) - weight
    }

    fn changed(&self, weight: Tensor<2>) -> Tensor<2> {
        let direction = weight + self.direction.product();
        let length = lengths(direction.clone().detach());
        self.scaled(direction, length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{adapted, change_tests};
    use super::super::{AdaptedLinear, matrix_of_linear};
    use super::*;
    use crate::hadamard::check::{close, double, doubles, golden, gradients, numbers, wave};
    use burn::tensor::{Device, module::linear};

    fn make(weight: Tensor<2>) -> Dora {
        DoraConfig { rank: 2, alpha: 3.0 }.init(weight).expect("sizes")
    }

    change_tests!(make, 2 * (6 + 4) + 6);

    #[test]
    fn each_output_s_length_is_its_magnitude() {
        let layer = golden(adapted(make, &Device::flex()));
        let merged = lengths(matrix_of_linear(&layer.merge()));
        close(&numbers(merged), &numbers(layer.change.magnitude.val().abs()), 1e-13);
    }

    #[test]
    fn an_output_of_zeros_stays_finite() {
        let weight = doubles(vec![0.0, 0.0, 3.0, 4.0], [2, 2], &Device::flex());
        let dora = double(make(weight.clone()));
        close(&numbers(dora.magnitude.val()), &[0.0, 5.0], 1e-7);
        close(&numbers(dora.changed(weight)), &[0.0, 0.0, 3.0, 4.0], 1e-7);
    }

    /// The layer's output, the lengths held at `length`.
    fn held(layer: &AdaptedLinear<Dora>, x: Tensor<2>, length: Tensor<2>) -> Tensor<2> {
        let direction = matrix_of_linear(&layer.base) + layer.change.direction.product();
        let weight = layer.change.scaled(direction, length).transpose();
        linear(x, weight, layer.base.bias.as_ref().map(Param::val))
    }

    #[test]
    fn gradients_are_those_of_differences_with_lengths_held() {
        let device = Device::flex().autodiff();
        let layer = golden(adapted(make, &device));
        let direction = matrix_of_linear(&layer.base) + layer.change.direction.product();
        let length = lengths(direction.detach());
        let x = wave([3, 4], 0.9, &device);
        gradients(layer.clone(), x.clone(), |layer, x| held(layer, x, length.clone()));

        let of = |y: Tensor<2>| {
            let grads = (y * wave([3, 6], 0.37, &device)).sum().backward();
            let Dora { direction, magnitude } = &layer.change;
            let gradient = |factor: &Param<Tensor<2>>| numbers(factor.grad(&grads).expect("takes part"));
            let of_magnitude = numbers(magnitude.grad(&grads).expect("takes part"));
            [gradient(&direction.a), gradient(&direction.b), of_magnitude].concat()
        };
        close(&of(layer.forward(x.clone())), &of(held(&layer, x, length)), 1e-13);
    }

    #[test]
    fn a_rank_of_zero_is_refused() {
        let weight = wave([6, 4], 0.3, &Device::flex());
        assert!(DoraConfig { rank: 0, alpha: 1.0 }.init(weight).is_err());
    }
}
