//! The family of gated linear units: one half of a linear map gates the other (Dauphin et al., arXiv 1612.08083;
//! Shazeer, GLU Variants Improve Transformer, arXiv 2002.05202).
//!
//! The *second* half gates, as in PyTorch's `glu`. Public codes differ: some gate by the first half, and Burn's
//! `SwiGlu` has no output projection.

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{gelu, relu, sigmoid, silu};
use burn::tensor::{Device, Tensor};

/// What is applied to the half that gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// GLU.
    Sigmoid,
    /// ReGLU.
    Relu,
    /// GEGLU, with the exact GELU.
    Gelu,
    /// SwiGLU.
    Silu,
    /// Nothing: the bilinear layer, a polynomial of degree 2.
    Bilinear,
}

/// How a [`Glu`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GluConfig {
    /// C.
    pub channels: usize,
    /// Of each half. `8C / 3` has as many weights as an ordinary pair of linear maps with 4C inside.
    pub inside: usize,
    /// What gates.
    pub gate: Gate,
}

/// `y = W_o (a ∘ g(b))`, `[a; b] = W x`. Each token alone.
#[derive(Module, Debug)]
pub struct Glu {
    /// W, `[channels, 2 · inside]`: values, then gates.
    pub input: Linear,
    /// W_o, `[inside, channels]`.
    pub output: Linear,
    #[module(skip)]
    gate: Gate,
}

impl GluConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Glu> {
        let GluConfig { channels, inside, gate } = *self;
        nonzero("GLU", &[("channels", channels), ("inside", inside)])?;
        Ok(Glu {
            input: LinearConfig::new(channels, 2 * inside).init(device),
            output: LinearConfig::new(inside, channels).init(device),
            gate,
        })
    }
}

impl Gate {
    /// `g(x)`.
    fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Gate::Sigmoid => sigmoid(x),
            Gate::Relu => relu(x),
            Gate::Gelu => gelu(x),
            Gate::Silu => silu(x),
            Gate::Bilinear => x,
        }
    }
}

/// `a ∘ g(b)` of `x = [a; b]`, halves of the last axis.
///
/// # Shapes
/// - `x`: `[.., 2 · inside]`
/// - output: `[.., inside]`
pub fn gated<const D: usize>(x: Tensor<D>, gate: Gate) -> Tensor<D> {
    let inside = x.dims()[D - 1] / 2;
    x.clone().narrow(D - 1, 0, inside) * gate.apply(x.narrow(D - 1, inside, inside))
}

impl Glu {
    /// # Shapes
    /// - `x`, output: `[.., channels]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.output.forward(gated(self.input.forward(x), self.gate))
    }
}

impl Describe for Glu {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let x = trace.linear("input", &self.input, &x);
        let (width, tokens) = x.shape().split_last().expect("a last axis");
        let half = x.view(&[tokens, &[width / 2]].concat());
        let gate = match self.gate {
            Gate::Bilinear => half.clone(),
            _ => trace.activation("gate", 0, &half),
        };
        let y = trace.product("gated", &half, &gate);
        trace.linear("output", &self.output, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use burn::tensor::activation;

    const GATES: [Gate; 5] = [Gate::Sigmoid, Gate::Relu, Gate::Gelu, Gate::Silu, Gate::Bilinear];

    /// Of the five, computed by PyTorch in double precision.
    const GOLDEN: [[f64; 4]; 5] = [
        [0.453098106940424, 0.574490164971476, -0.0955552464577282, -0.302631491739037],
        [0.55609474178445, 0.33011398212047, 0.0, 0.0],
        [0.448206143431173, 0.208362329430466, 0.0561531386251841, 0.145215121790107],
        [0.391118529921847, 0.192447397646556, 0.093878501532357, 0.191041164304387],
        [0.55609474178445, 0.33011398212047, 0.344627898508463, 0.550196707502497],
    ];

    fn layer(gate: Gate, device: &Device) -> Glu {
        GluConfig { channels: 5, inside: 4, gate }.init(device).expect("sizes")
    }

    #[test]
    fn the_second_half_gates_as_in_pytorch() {
        // import torch, torch.nn.functional as F; t = torch.arange(8, dtype=torch.float64) + 1
        // x = torch.sin(0.7 * t).view(2, 4)
        // F.glu(x); a, b = x.chunk(2, -1); a * F.relu(b); a * F.gelu(b); a * F.silu(b); a * b
        let x = wave([2, 4], 0.7, &Device::flex());
        for (gate, wanted) in GATES.into_iter().zip(GOLDEN) {
            close(&numbers(gated(x.clone(), gate)), &wanted, 1e-12);
        }
        close(&numbers(activation::glu(x, 1)), &GOLDEN[0], 1e-12);
    }

    #[test]
    fn each_token_is_alone() {
        let device = Device::flex();
        let glu = golden(layer(Gate::Silu, &device));
        let x = wave([2, 3, 5], 0.7, &device);
        let wanted = numbers(glu.forward(x.clone()).narrow(1, 1, 1));
        close(&numbers(glu.forward(x.narrow(1, 1, 1))), &wanted, 1e-13);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for gate in GATES {
            gradients(golden(layer(gate, &device)), wave([2, 3, 5], 0.7, &device), |glu, x| glu.forward(x));
        }
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        for gate in GATES {
            let glu = layer(gate, &Device::flex());
            let audit = Audit::of(&glu, &[3, 5]);
            assert_eq!((audit.parameters, audit.parameters), (parameters(&glu), 5 * 8 + 8 + 4 * 5 + 5));
            assert_eq!((audit.multiply_adds, audit.ciphertext_products), (3 * (40 + 20), 3 * 4));
            let is_bilinear = gate == Gate::Bilinear;
            assert_eq!(audit.log2_degree, is_bilinear.then_some(1.0), "{gate:?}");
            assert_eq!((audit.activation_free, audit.only_add_mul), (is_bilinear, is_bilinear));
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || layer(Gate::Gelu, &device);
        saves_and_loads(make(), make(), |glu| glu.forward(Tensor::<2>::ones([2, 5], &device)));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let config = GluConfig { channels: 5, inside: 0, gate: Gate::Relu };
        assert_eq!(config.init(&Device::flex()).expect_err("no width").to_string(), "GLU: inside is 0");
    }
}
