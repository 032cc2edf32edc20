//! Highway layer: a learnt gate decides, number by number, what is transformed and what is passed on (Srivastava et
//! al., arXiv 1505.00387).
//!
//! The transform's non-linearity is ReLU, one of those in the paper.

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor};

/// How a [`Highway`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HighwayConfig {
    /// Numbers of input and output, d.
    pub features: usize,
    /// What the gate's bias is at first. Negative, −1 to −3 the more the deeper the network, so that it passes its
    /// input on.
    pub gate_bias: f64,
}

/// `y = H ∘ T + x ∘ (1 − T)`, `H = relu(W_H x + b_H)`, `T = σ(W_T x + b_T)`. Parameters: `2 (d² + d)`.
#[derive(Module, Debug)]
pub struct Highway {
    /// `W_H` and `b_H`, `[d, d]`.
    pub transform: Linear,
    /// `W_T` and `b_T`, `[d, d]`.
    pub gate: Linear,
}

impl HighwayConfig {
    /// Makes the layer. Zero features are refused.
    pub fn init(&self, device: &Device) -> Result<Highway> {
        nonzero("highway", &[("features", self.features)])?;
        let map = || LinearConfig::new(self.features, self.features).init(device);
        let bias = Initializer::Constant { value: self.gate_bias }.init([self.features], device);
        Ok(Highway { transform: map(), gate: Linear { bias: Some(bias), ..map() } })
    }
}

impl Highway {
    /// # Shapes
    /// - `x`, output: `[.., d]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let transformed = relu(self.transform.forward(x.clone()));
        let gate = sigmoid(self.gate.forward(x.clone()));
        transformed * gate.clone() + x * (-gate + 1.0)
    }
}

impl Describe for Highway {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let transformed = trace.linear("transform", &self.transform, &x);
        let transformed = trace.activation("relu", 0, &transformed);
        let gate = trace.linear("gate", &self.gate, &x);
        let gate = trace.activation("sigmoid", 0, &gate);
        let taken = trace.product("taken", &transformed, &gate);
        let rest = trace.scale("one minus gate", 0, &gate);
        let carried = trace.product("carried", &x, &rest);
        trace.sum("sum", &taken, &carried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use burn::module::Param;

    const CONFIG: HighwayConfig = HighwayConfig { features: 3, gate_bias: -2.0 };

    #[test]
    fn values_are_those_of_pytorch() {
        let layer = golden(CONFIG.init(&Device::flex()).expect("sizes"));
        // transform, gate = Linear(3, 3), Linear(3, 3), filled as `golden` fills them; x = sin(.9 (1 + arange(6)))
        // t = sigmoid(gate(x)); relu(transform(x)) * t + x * (1 - t)
        let wanted = [0.745593100847, 0.746877673229, 0.288168645829, -0.32538988491, -0.346289217652, 0.477074496951];
        close(&numbers(layer.forward(wave([2, 3], 0.9, &Device::flex()))), &wanted, 1e-11);
    }

    #[test]
    fn a_shut_gate_passes_the_input_and_an_open_one_the_transform() {
        let device = Device::flex();
        let x = wave([4, 3], 0.9, &device);
        let gated = |gate_bias| {
            let mut layer = double(HighwayConfig { gate_bias, ..CONFIG }.init(&device).expect("sizes"));
            layer.gate.weight = Param::from_tensor(layer.gate.weight.val().zeros_like());
            (numbers(layer.forward(x.clone())), numbers(relu(layer.transform.forward(x.clone()))))
        };
        close(&gated(-60.0).0, &numbers(x.clone()), 1e-14);
        let (got, transformed) = gated(60.0);
        close(&got, &transformed, 1e-14);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        gradients(layer, wave([2, 3], 0.9, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = CONFIG.init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&layer, &[3]);
        assert_eq!((audit.parameters, parameters(&layer)), (2 * (9 + 3), 2 * (9 + 3)));
        assert_eq!((audit.multiply_adds, audit.ciphertext_products), (2 * 9, 2 * 3));
        assert!(!audit.activation_free && !audit.polynomial_at_inference && !audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        saves_and_loads(make(), make(), |layer| layer.forward(Tensor::<2>::ones([2, 3], &device)));
    }

    #[test]
    fn zero_features_are_refused() {
        let error = HighwayConfig { features: 0, ..CONFIG }.init(&Device::flex()).expect_err("none");
        assert_eq!(error.to_string(), "highway: features is 0");
    }
}
