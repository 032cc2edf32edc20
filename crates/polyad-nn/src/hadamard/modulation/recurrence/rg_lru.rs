//! RG-LRU: a gated linear recurrence that keeps the size of its memory (De et al., Griffin, arXiv 2402.19427).
//!
//! The gates are full matrices, as in the paper; public code makes them of blocks.

use super::LinearRecurrence;
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Distribution, Tensor};

/// How a [`RgLru`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RgLruConfig {
    /// Numbers of a token and of the memory.
    pub features: usize,
}

/// `h_t = a_t ∘ h_{t−1} + √(1 − a_t²) ∘ (i_t ∘ x_t)`, `a_t = σ(Λ)^{8 r_t}`, `r_t = σ(W_a x_t)`, `i_t = σ(W_x x_t)`
///
/// With gates that stand still, the answer to an impulse has energy `(1 − a²) Σ a^{2t} = 1`, whatever a is.
#[derive(Module, Debug)]
pub struct RgLru {
    /// `W_a`, `[features, features]`
    pub recurrence_gate: Linear,
    /// `W_x`, `[features, features]`
    pub input_gate: Linear,
    /// Λ, `[features]`; at first such that `σ(Λ)⁸` is uniform between 0.9 and 0.999.
    pub lambda: Param<Tensor<1>>,
}

/// The exponent's constant factor.
const SHARPNESS: f64 = 8.0;
/// Below the square of the input's factor, where the memory keeps all: the root has no slope at 0.
const LEAST_SQUARE: f64 = 1e-12;

impl RgLruConfig {
    /// Makes the layer. A size of zero is refused.
    pub fn init(&self, device: &Device) -> Result<RgLru> {
        nonzero("RG-LRU", &[("features", self.features)])?;
        let linear = || LinearConfig::new(self.features, self.features).init(device);
        let kept: Tensor<1> = Tensor::random([self.features], Distribution::Uniform(0.9, 0.999), device);
        let base = kept.powf_scalar(1.0 / SHARPNESS);
        let lambda = (base.clone() / base.neg().add_scalar(1.0)).log();
        Ok(RgLru { recurrence_gate: linear(), input_gate: linear(), lambda: Param::from_tensor(lambda) })
    }
}

impl LinearRecurrence for RgLru {
    fn coefficients<const D: usize>(&self, x: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        let gate = sigmoid(self.recurrence_gate.forward(x.clone()));
        let log_a = log_sigmoid(self.lambda.val()).mul_scalar(SHARPNESS).unsqueeze() * gate;
        let square = log_a.clone().mul_scalar(2.0).exp().neg().add_scalar(1.0);
        let factor = square.clamp_min(LEAST_SQUARE).sqrt();
        (log_a.exp(), factor * sigmoid(self.input_gate.forward(x.clone())) * x)
    }
}

impl Describe for RgLru {
    /// Token by token: the scan multiplies more.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let gate = trace.linear("recurrence_gate", &self.recurrence_gate, &x);
        let gate = trace.activation("sigmoid", 0, &gate);
        let log_a = trace.scale("lambda", self.lambda.shape()[0], &gate);
        let a = trace.activation("exp", 0, &log_a);
        let factor = trace.activation("factor", 0, &log_a);
        let input = trace.linear("input_gate", &self.input_gate, &x);
        let input = trace.activation("sigmoid", 0, &input);
        let input = trace.product("input", &input, &x);
        let new = trace.product("new", &factor, &input);
        let kept = trace.product("kept", &a, &new);
        trace.sum("sum", &kept, &new)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HiddenState;
    use super::super::tests::assert_recurrence_streams;
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };

    fn layer(features: usize, device: &Device) -> RgLru {
        RgLruConfig { features }.init(device).expect("sizes")
    }

    /// Gates that do not see the token: `W = 0`, these biases.
    fn still(mut layer: RgLru, recurrence: f64, input: f64) -> RgLru {
        let device = Device::flex();
        for (gate, bias) in [(&mut layer.recurrence_gate, recurrence), (&mut layer.input_gate, input)] {
            gate.weight = Param::from_tensor(doubles(vec![0.0], [1, 1], &device));
            gate.bias = Some(Param::from_tensor(doubles(vec![bias], [1], &device)));
        }
        layer
    }

    #[test]
    fn a_step_agrees_with_scalar_arithmetic() {
        let device = Device::flex();
        let mut lru = still(double(layer(1, &device)), -1.0, 0.3);
        lru.lambda = Param::from_tensor(doubles(vec![1.2], [1], &device));
        let state = HiddenState { hidden: doubles(vec![3.0], [1, 1], &device) };
        let (h, _) = lru.step(doubles(vec![0.7], [1, 1], &device), Some(state));
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let a = sigmoid(1.2).powf(8.0 * sigmoid(-1.0));
        close(&numbers(h), &[a * 3.0 + (1.0 - a * a).sqrt() * sigmoid(0.3) * 0.7], 1e-13);
    }

    #[test]
    fn the_answer_to_an_impulse_has_energy_one() {
        let device = Device::flex();
        // An input gate that is open: σ(40) is 1 up to 4e-18.
        let lru = still(double(layer(1, &device)), 2.0, 40.0);
        // a is below 0.999^0.88; what is left out is below 0.9991^(2 · 20000) = 2e-16.
        let mut impulse = vec![0.0; 20_000];
        impulse[0] = 1.0;
        let h = lru.forward(doubles(impulse, [1, 20_000, 1], &device));
        close(&numbers(h.clone().mul(h).sum()), &[1.0], 1e-9);
    }

    #[test]
    fn the_memory_begins_long() {
        let lru = double(layer(64, &Device::flex()));
        let kept = numbers(sigmoid(lru.lambda.val()).powf_scalar(8.0));
        assert!(kept.iter().all(|kept| (0.8999..0.9991).contains(kept)), "{kept:?}");
    }

    #[test]
    fn pieces_and_single_tokens_give_the_whole() {
        assert_recurrence_streams(&golden(layer(3, &Device::flex())), wave([2, 7, 3], 0.9, &Device::flex()));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(3, &device)), wave([2, 5, 3], 0.9, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn gradients_are_finite_where_nothing_is_forgotten() {
        let device = Device::flex().autodiff();
        let mut lru = layer(3, &device);
        lru.lambda = Param::from_tensor(Tensor::full([3], 90.0, &device));
        let x = wave([1, 4, 3], 0.9, &device).cast(burn::tensor::DType::F32).require_grad();
        let grads = lru.forward(x.clone()).sum().backward();
        let of_input = numbers(x.grad(&grads).expect("takes part"));
        let of_gate = numbers(lru.recurrence_gate.weight.grad(&grads).expect("takes part"));
        assert!(of_input.iter().chain(&of_gate).all(|x| x.is_finite()), "{of_input:?} {of_gate:?}");
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let lru = layer(4, &Device::flex());
        let audit = Audit::of(&lru, &[6, 4]);
        assert_eq!(audit.parameters, parameters(&lru));
        assert_eq!((audit.multiply_adds, audit.ciphertext_products), (6 * 2 * 16, 3 * 6 * 4));
        assert!(audit.log2_degree.is_none() && !audit.activation_free);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(4, &device), layer(4, &device), |layer| layer.forward(Tensor::ones([2, 3, 4], &device)));
    }

    #[test]
    fn a_size_of_zero_is_refused() {
        let error = RgLruConfig { features: 0 }.init(&Device::flex()).expect_err("no features");
        assert_eq!(error.to_string(), "RG-LRU: features is 0");
    }
}
