//! HGRN: a recurrence whose forget gate cannot fall below a bound, so that upper layers remember longer (Qin et al.,
//! Hierarchically gated recurrent neural network, arXiv 2311.04823).
//!
//! This is the gated recurrent unit with real numbers. The paper's memory also turns by a fixed angle in the complex plane,
//! and its bounds are learnt over all layers together; here a layer is given its own.

use super::LinearRecurrence;
use crate::error::{Result, nonzero, probability};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{sigmoid, silu};
use burn::tensor::{Device, Tensor};

/// How a [`Hgrn`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HgrnConfig {
    /// Numbers of a token.
    pub inputs: usize,
    /// Numbers of the memory.
    pub hidden: usize,
    /// γ, in [0, 1); larger in upper layers.
    pub lower_bound: f64,
}

/// `h_t = λ_t ∘ h_{t−1} + (1 − λ_t) ∘ c_t`, `λ_t = γ + (1 − γ) σ(W_f x_t)`, `c_t = SiLU(W_c x_t)`
#[derive(Module, Debug)]
pub struct Hgrn {
    /// `W_f`, `[inputs, hidden]`
    pub forget: Linear,
    /// `W_c`, `[inputs, hidden]`
    pub candidate: Linear,
    /// γ
    pub lower_bound: f64,
}

impl HgrnConfig {
    /// Makes the layer. Sizes of zero and bounds outside [0, 1) are refused.
    pub fn init(&self, device: &Device) -> Result<Hgrn> {
        nonzero("HGRN", &[("inputs", self.inputs), ("hidden", self.hidden)])?;
        probability("HGRN", "lower_bound", self.lower_bound)?;
        let linear = || LinearConfig::new(self.inputs, self.hidden).init(device);
        Ok(Hgrn { forget: linear(), candidate: linear(), lower_bound: self.lower_bound })
    }
}

impl LinearRecurrence for Hgrn {
    fn coefficients<const D: usize>(&self, x: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        let forget = self.forget.forward(x.clone());
        // 1 − λ = (1 − γ) σ(−W_f x), without the rounding of the difference.
        let new = sigmoid(forget.clone().neg()).mul_scalar(1.0 - self.lower_bound);
        let kept = sigmoid(forget).mul_scalar(1.0 - self.lower_bound).add_scalar(self.lower_bound);
        (kept, new * silu(self.candidate.forward(x)))
    }
}

impl Describe for Hgrn {
    /// Token by token: the scan multiplies more.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let forget = trace.linear("forget", &self.forget, &x);
        let forget = trace.activation("sigmoid", 0, &forget);
        let forget = trace.scale("lower_bound", 0, &forget);
        let candidate = trace.linear("candidate", &self.candidate, &x);
        let candidate = trace.activation("silu", 0, &candidate);
        let new = trace.product("new", &forget, &candidate);
        let kept = trace.product("kept", &forget, &new);
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
    use burn::module::Param;

    const CONFIG: HgrnConfig = HgrnConfig { inputs: 3, hidden: 4, lower_bound: 0.4 };

    fn layer(device: &Device) -> Hgrn {
        CONFIG.init(device).expect("sizes")
    }

    #[test]
    fn a_step_agrees_with_scalar_arithmetic() {
        let device = Device::flex();
        let mut hgrn = double(HgrnConfig { inputs: 1, hidden: 1, lower_bound: 0.25 }.init(&device).expect("sizes"));
        let set = |linear: &mut Linear, weight: f64, bias: f64| {
            linear.weight = Param::from_tensor(doubles(vec![weight], [1, 1], &device));
            linear.bias = Some(Param::from_tensor(doubles(vec![bias], [1], &device)));
        };
        set(&mut hgrn.forget, 2.0, -0.5);
        set(&mut hgrn.candidate, -1.0, 0.2);
        let state = HiddenState { hidden: doubles(vec![3.0], [1, 1], &device) };
        let (h, _) = hgrn.step(doubles(vec![0.7], [1, 1], &device), Some(state));
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let lambda = 0.25 + 0.75 * sigmoid(2.0 * 0.7 - 0.5);
        let candidate = (0.2 - 0.7) * sigmoid(0.2 - 0.7);
        close(&numbers(h), &[lambda * 3.0 + (1.0 - lambda) * candidate], 1e-13);
    }

    #[test]
    fn the_memory_keeps_at_least_its_bound() {
        let device = Device::flex();
        let hgrn = golden(layer(&device));
        let (kept, _) = hgrn.coefficients(wave([50, 3], 0.9, &device).mul_scalar(1000.0));
        let kept = numbers(kept);
        assert!(kept.iter().all(|kept| (0.4..=1.0).contains(kept)), "{kept:?}");
        assert!(kept.iter().any(|kept| *kept < 0.4 + 1e-9), "the bound is reached");
    }

    #[test]
    fn pieces_and_single_tokens_give_the_whole() {
        assert_recurrence_streams(&golden(layer(&Device::flex())), wave([2, 7, 3], 0.9, &Device::flex()));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(&device)), wave([2, 5, 3], 0.9, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let hgrn = layer(&Device::flex());
        let audit = Audit::of(&hgrn, &[6, 3]);
        assert_eq!(audit.parameters, parameters(&hgrn));
        assert_eq!((audit.multiply_adds, audit.ciphertext_products), (6 * 2 * 12, 2 * 6 * 4));
        assert!(audit.log2_degree.is_none() && !audit.activation_free);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(&device), layer(&device), |layer| layer.forward(Tensor::ones([2, 3, 3], &device)));
    }

    #[test]
    fn bounds_that_cannot_be_are_refused() {
        let error = HgrnConfig { lower_bound: 1.0, ..CONFIG }.init(&Device::flex()).expect_err("never forgets");
        assert_eq!(error.to_string(), "HGRN: lower_bound is 1, not in [0, 1)");
        let error = HgrnConfig { inputs: 0, ..CONFIG }.init(&Device::flex()).expect_err("no inputs");
        assert_eq!(error.to_string(), "HGRN: inputs is 0");
    }
}
