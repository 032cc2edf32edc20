//! gMLP: tokens are mixed by one learnt matrix, whose result gates (Liu et al., Pay Attention to MLPs,
//! arXiv 2105.08050).
//!
//! The activation comes before the halves are split. The matrix begins near zero and its bias at 1, so that the gate
//! does nothing at first; public codes draw the matrix with deviation 1e-6, or from ±0.001 / N.

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

/// How a [`Gmlp`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GmlpConfig {
    /// C.
    pub channels: usize,
    /// Of each half.
    pub inside: usize,
    /// N: the tokens of an input, or at most so many where it is causal.
    pub tokens: usize,
}

/// `y = x + W_o gate(gelu(W_i LN(x)))`.
#[derive(Module, Debug)]
pub struct Gmlp {
    /// Over the channels.
    pub norm: LayerNorm,
    /// W_i, `[channels, 2 · inside]`.
    pub input: Linear,
    /// Tokens are mixed here.
    pub gate: SpatialGate,
    /// W_o, `[inside, channels]`.
    pub output: Linear,
}

/// `u ∘ (W LN(v) + b)`, `[u; v] = z`; W acts on tokens, for all channels alike.
///
/// Quadratic in the tokens.
#[derive(Module, Debug)]
pub struct SpatialGate {
    /// Over the channels of v.
    pub norm: LayerNorm,
    /// W, `[tokens, tokens]`.
    pub weight: Param<Tensor<2>>,
    /// b, `[tokens]`.
    pub bias: Param<Tensor<1>>,
}

/// What [`Gmlp`] remembers: `LN(v)` of the tokens so far.
#[derive(Debug, Clone)]
pub struct GmlpState {
    /// `[n, tokens, inside]`
    pub values: Tensor<3>,
}

impl GmlpConfig {
    /// Makes the block. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Gmlp> {
        let GmlpConfig { channels, inside, tokens } = *self;
        nonzero("gMLP", &[("channels", channels), ("inside", inside), ("tokens", tokens)])?;
        let gate = SpatialGate {
            norm: LayerNormConfig::new(inside).init(device),
            weight: Initializer::Normal { mean: 0.0, std: 1e-6 }.init([tokens, tokens], device),
            bias: Initializer::Ones.init([tokens], device),
        };
        Ok(Gmlp {
            norm: LayerNormConfig::new(channels).init(device),
            input: LinearConfig::new(channels, 2 * inside).init(device),
            gate,
            output: LinearConfig::new(inside, channels).init(device),
        })
    }
}

impl SpatialGate {
    /// Halves of the channels, the second normalised.
    fn split(&self, z: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let inside = z.dims()[2] / 2;
        (z.clone().narrow(2, 0, inside), self.norm.forward(z.narrow(2, inside, inside)))
    }

    /// # Shapes
    /// - `z`: `[n, tokens, 2 · inside]`
    /// - output: `[n, tokens, inside]`
    ///
    /// # Panics
    /// For another number of tokens than the gate was made for.
    pub fn forward(&self, z: Tensor<3>) -> Tensor<3> {
        let ([maximum], tokens) = (self.bias.dims(), z.dims()[1]);
        assert!(tokens == maximum, "gMLP: {tokens} tokens, not {maximum}");
        let (u, v) = self.split(z);
        u * (self.weight.val().unsqueeze::<3>().matmul(v) + self.bias.val().reshape([1, tokens, 1]))
    }

    /// W's lower triangle: token i is mixed from tokens up to i.
    ///
    /// # Shapes
    /// - `z`: `[n, tokens, 2 · inside]`
    /// - output: `[n, tokens, inside]`
    ///
    /// # Panics
    /// For more tokens, all calls together, than the gate was made for.
    pub fn forward_with_state(&self, z: Tensor<3>, state: Option<GmlpState>) -> (Tensor<3>, GmlpState) {
        let ([maximum], tokens) = (self.bias.dims(), z.dims()[1]);
        let (u, v) = self.split(z);
        let values = match state {
            Some(state) => Tensor::cat(vec![state.values, v], 1),
            None => v,
        };
        let end = values.dims()[1];
        assert!(end <= maximum, "gMLP: {end} tokens are more than {maximum}");
        let start = end - tokens;
        let weight = self.weight.val().slice([start..end, 0..end]).tril(start as i64);
        let bias = self.bias.val().narrow(0, start, tokens).reshape([1, tokens, 1]);
        (u * (weight.unsqueeze::<3>().matmul(values.clone()) + bias), GmlpState { values })
    }

    fn describe(&self, trace: &mut Trace, z: &Signal) -> Signal {
        let [tokens, inside] = [z.shape()[0], z.shape()[1] / 2];
        let half = z.view(&[tokens, inside]);
        let v = trace.layer_norm("norm", &self.norm, &half);
        let numbers = self.weight.shape().num_elements() + self.bias.shape().num_elements();
        let v = trace.map("mix", numbers, tokens * tokens * inside, &[&v], &[tokens, inside]);
        trace.product("gated", &half, &v)
    }
}

impl Gmlp {
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    ///
    /// # Panics
    /// For another number of tokens than the block was made for.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let z = gelu(self.input.forward(self.norm.forward(x.clone())));
        x + self.output.forward(self.gate.forward(z))
    }

    /// Each token is mixed from itself and earlier ones.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    ///
    /// # Panics
    /// For more tokens than the block was made for.
    pub fn forward_causal(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with_state(x, None).0
    }

    /// As [`forward_causal`](Self::forward_causal), for tokens that follow those of `state`.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    ///
    /// # Panics
    /// For more tokens, all calls together, than the block was made for.
    pub fn forward_with_state(&self, x: Tensor<3>, state: Option<GmlpState>) -> (Tensor<3>, GmlpState) {
        let z = gelu(self.input.forward(self.norm.forward(x.clone())));
        let (gated, state) = self.gate.forward_with_state(z, state);
        (x + self.output.forward(gated), state)
    }
}

impl Describe for Gmlp {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let z = trace.layer_norm("norm", &self.norm, &x);
        let z = trace.linear("input", &self.input, &z);
        let z = trace.activation("gelu", 0, &z);
        let y = trace.within("gate", |trace| self.gate.describe(trace, &z));
        let y = trace.linear("output", &self.output, &y);
        trace.sum("residual", &y, &x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::pairwise::check::{causal, streams};

    const CONFIG: GmlpConfig = GmlpConfig { channels: 5, inside: 4, tokens: 11 };

    fn layer(device: &Device) -> Gmlp {
        CONFIG.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 5], 0.7, device)
    }

    #[test]
    fn values_are_those_of_pytorch() {
        // import torch, torch.nn.functional as F; torch.set_default_dtype(torch.float64)
        // w = lambda s, *n: torch.sin(s * (torch.arange(torch.Size(n).numel()) + 1.0)).view(n)
        // u, v = F.gelu(w(0.7, 1, 3, 4)).chunk(2, -1)
        // u * (w(0.9, 3, 3) @ F.layer_norm(v, (2,)) + w(1.1, 3)[:, None])
        let device = Device::flex();
        let mut gate = double(GmlpConfig { channels: 1, inside: 2, tokens: 3 }.init(&device).expect("sizes")).gate;
        gate.weight = Param::from_tensor(wave([3, 3], 0.9, &device));
        gate.bias = Param::from_tensor(wave([3], 1.1, &device));
        let z = gelu(wave([1, 3, 4], 0.7, &device));
        #[rustfmt::skip]
        let wanted = [
            1.33585423096985, -0.841035555774941, 0.141077078494941, -0.455393322267087,
            0.0119124353705118, -0.838113857163451,
        ];
        close(&numbers(gate.forward(z)), &wanted, 1e-11);
    }

    #[test]
    fn at_first_the_gate_does_nothing() {
        let device = Device::flex();
        let gate = CONFIG.init(&device).expect("sizes").gate;
        let z = wave([1, 11, 8], 0.7, &device).cast(burn::tensor::DType::F32);
        // Eleven weights of deviation 1e-6 times values of deviation 1.
        close(&numbers(gate.forward(z.clone())), &numbers(z.narrow(2, 0, 4)), 5e-5);
    }

    #[test]
    fn the_causal_form_mixes_by_the_lower_triangle() {
        let device = Device::flex();
        let layer = golden(layer(&device));
        let mut lower = layer.clone();
        lower.gate.weight = Param::from_tensor(layer.gate.weight.val().tril(0));
        close(&numbers(layer.forward_causal(input(&device))), &numbers(lower.forward(input(&device))), 1e-12);
    }

    #[test]
    fn tokens_are_a_stream() {
        let device = Device::flex();
        let layer = golden(layer(&device));
        causal(input(&device), |x| layer.forward_causal(x));
        let whole = layer.forward_causal(input(&device));
        streams(input(&device), whole, |x, state| layer.forward_with_state(x, state));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(&device)), input(&device), |layer, x| layer.forward(x));
        gradients(golden(layer(&device)), input(&device), |layer, x| layer.forward_causal(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = layer(&Device::flex());
        let audit = Audit::of(&layer, &[11, 5]);
        let numbers = 2 * 5 + (5 * 8 + 8) + 2 * 4 + (121 + 11) + (4 * 5 + 5);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&layer), numbers));
        assert_eq!(audit.multiply_adds, 11 * (40 + 20) + 11 * 11 * 4);
        assert_eq!(audit.ciphertext_products, 11 * 4);
        assert!(!audit.activation_free && audit.log2_degree.is_none());
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let x = || input(&device).cast(burn::tensor::DType::F32);
        saves_and_loads(layer(&device), layer(&device), |layer| layer.forward(x()));
    }

    #[test]
    #[should_panic(expected = "gMLP: 10 tokens, not 11")]
    fn another_number_of_tokens_is_refused() {
        layer(&Device::flex()).forward(Tensor::ones([1, 10, 5], &Device::flex()));
    }

    #[test]
    #[should_panic(expected = "gMLP: 12 tokens are more than 11")]
    fn a_longer_stream_is_refused() {
        layer(&Device::flex()).forward_causal(Tensor::ones([1, 12, 5], &Device::flex()));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = GmlpConfig { tokens: 0, ..CONFIG }.init(&Device::flex()).expect_err("no tokens");
        assert_eq!(error.to_string(), "gMLP: tokens is 0");
    }
}
