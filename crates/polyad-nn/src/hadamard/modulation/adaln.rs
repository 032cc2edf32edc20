//! adaLN-zero: a transformer block whose layer norms are scaled and shifted, and whose branches are gated, by a
//! condition (Peebles and Xie, Scalable Diffusion Models with Transformers, arXiv 2212.09748).
//!
//! Attention and MLP are the caller's; what is here is the modulation around them.

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

/// How an [`AdaLnZero`] or an [`AdaLn`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaLnConfig {
    /// Numbers of the condition, k.
    pub condition: usize,
    /// Numbers of a token, d.
    pub features: usize,
}

/// With `(β₁, γ₁, α₁, β₂, γ₂, α₂) = W silu(c) + b`, in this order, and N a layer norm without parameters:
/// `h = x + α₁ ∘ attention((1 + γ₁) ∘ N(x) + β₁)`, `y = h + α₂ ∘ mlp((1 + γ₂) ∘ N(h) + β₂)`.
///
/// W and b begin at zero, so that the block begins as the identity.
#[derive(Module, Debug)]
pub struct AdaLnZero {
    /// `[k, 6 d]`: shift, scale and gate of attention, then those of the MLP.
    pub modulation: Linear,
}

/// `y = (1 + γ) ∘ N(x) + β`, `(β, γ) = W silu(c) + b`: what stands before a network's last linear map.
///
/// W and b begin at zero, so that it begins as a layer norm.
#[derive(Module, Debug)]
pub struct AdaLn {
    /// `[k, 2 d]`: shift, then scale.
    pub modulation: Linear,
}

/// Added to a token's variance, as published.
const EPSILON: f64 = 1e-6;

impl AdaLnConfig {
    /// Makes the modulation of a block. Sizes of zero are refused.
    pub fn init_block(&self, device: &Device) -> Result<AdaLnZero> {
        Ok(AdaLnZero { modulation: self.modulation(6, device)? })
    }

    /// Makes a modulated layer norm. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<AdaLn> {
        Ok(AdaLn { modulation: self.modulation(2, device)? })
    }

    fn modulation(&self, parts: usize, device: &Device) -> Result<Linear> {
        let AdaLnConfig { condition, features } = *self;
        nonzero("adaLN", &[("condition", condition), ("features", features)])?;
        let outputs = features.checked_mul(parts);
        let outputs = outputs.ok_or_else(|| Error::config("adaLN", format!("features is {features}")))?;
        Ok(LinearConfig::new(condition, outputs).with_initializer(Initializer::Zeros).init(device))
    }
}

/// A token less its mean, over its standard deviation.
fn norm(x: Tensor<3>) -> Tensor<3> {
    let (variance, mean) = x.clone().var_mean_bias(2);
    (x - mean) / variance.add_scalar(EPSILON).sqrt()
}

/// `(1 + γ) ∘ N(x) + β`
fn modulated(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>) -> Tensor<3> {
    norm(x) * scale.add_scalar(1.0) + shift
}

/// `W silu(c) + b` in equal parts, each `[n, 1, d]`.
fn parts<const P: usize>(modulation: &Linear, condition: Tensor<2>) -> [Tensor<3>; P] {
    let all = modulation.forward(silu(condition)).unsqueeze_dim::<3>(1);
    let features = all.dims()[2] / P;
    std::array::from_fn(|part| all.clone().narrow(2, part * features, features))
}

impl AdaLnZero {
    /// # Shapes
    /// - x: `[n, tokens, d]`
    /// - condition: `[n, k]`
    /// - what `attention` and `mlp` are given and give, output: `[n, tokens, d]`
    pub fn forward(
        &self,
        x: Tensor<3>,
        condition: Tensor<2>,
        attention: impl FnOnce(Tensor<3>) -> Tensor<3>,
        mlp: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let [shift_1, scale_1, gate_1, shift_2, scale_2, gate_2] = parts(&self.modulation, condition);
        let h = x.clone() + gate_1 * attention(modulated(x, shift_1, scale_1));
        h.clone() + gate_2 * mlp(modulated(h, shift_2, scale_2))
    }

    /// Tokens and a condition to tokens; `attention` and `mlp` describe themselves.
    pub fn describe(
        &self,
        trace: &mut Trace,
        x: &Signal,
        condition: &Signal,
        attention: impl FnOnce(&mut Trace, Signal) -> Signal,
        mlp: impl FnOnce(&mut Trace, Signal) -> Signal,
    ) -> Signal {
        let all = describe_parts(&self.modulation, trace, condition);
        let part = all.view(&[1, x.shape()[1]]);
        let inside = describe_modulated(trace, x, &part);
        let branch = attention(trace, inside);
        let branch = trace.product("gate", &branch, &part);
        let h = trace.sum("residual", &branch, x);
        let inside = describe_modulated(trace, &h, &part);
        let branch = mlp(trace, inside);
        let branch = trace.product("gate", &branch, &part);
        trace.sum("residual", &branch, &h)
    }
}

impl AdaLn {
    /// # Shapes
    /// - x, output: `[n, tokens, d]`
    /// - condition: `[n, k]`
    pub fn forward(&self, x: Tensor<3>, condition: Tensor<2>) -> Tensor<3> {
        let [shift, scale] = parts(&self.modulation, condition);
        modulated(x, shift, scale)
    }

    /// Tokens and a condition to tokens.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, condition: &Signal) -> Signal {
        let all = describe_parts(&self.modulation, trace, condition);
        describe_modulated(trace, x, &all.view(&[1, x.shape()[1]]))
    }
}

fn describe_parts(modulation: &Linear, trace: &mut Trace, condition: &Signal) -> Signal {
    let condition = trace.activation("silu", 0, condition);
    let all = trace.linear("modulation", modulation, &condition);
    trace.shift("1 + scale", 0, &all)
}

fn describe_modulated(trace: &mut Trace, x: &Signal, part: &Signal) -> Signal {
    let x = trace.normalise("norm", 0, x);
    let x = trace.product("scale", &x, part);
    trace.sum("shift", &x, part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };
    use burn::module::Param;

    const CONFIG: AdaLnConfig = AdaLnConfig { condition: 3, features: 4 };

    fn square(x: Tensor<3>) -> Tensor<3> {
        x.clone() * x
    }

    fn turned(x: Tensor<3>) -> Tensor<3> {
        x.clone().flip([2]) + x.sin()
    }

    #[test]
    fn a_new_block_is_the_identity_and_a_new_norm_a_layer_norm() {
        let device = Device::flex();
        let (x, condition) = (wave([2, 3, 4], 0.9, &device), wave([2, 3], 0.4, &device));
        let block = double(CONFIG.init_block(&device).expect("sizes"));
        assert_eq!(numbers(block.forward(x.clone(), condition.clone(), square, turned)), numbers(x));
        let tokens = doubles(vec![1.0, 2.0, 3.0, 6.0, 5.0, 5.0, 5.0, 5.0], [1, 2, 4], &device);
        let norm = double(CONFIG.init(&device).expect("sizes"));
        // Mean 3, biased variance 14 / 4.
        let wanted = [-2.0, -1.0, 0.0, 3.0].map(|x| x / (3.5f64 + 1e-6).sqrt());
        close(&numbers(norm.forward(tokens, condition.narrow(0, 0, 1))), &[wanted, [0.0; 4]].concat(), 1e-12);
    }

    #[test]
    fn the_six_parts_come_in_the_published_order() {
        // With W zero the bias gives the parts; tokens (−1, 1) are their own norm but for ε.
        let device = Device::flex();
        let config = AdaLnConfig { condition: 1, features: 2 };
        let mut block = double(config.init_block(&device).expect("sizes"));
        let parts = [10.0, 20.0, 1.0, 2.0, 0.5, 0.25, 100.0, 200.0, 3.0, 4.0, -1.0, -2.0];
        block.modulation.bias = Some(Param::from_tensor(doubles(parts.to_vec(), [12], &device)));
        let x = doubles(vec![-1.0, 1.0], [1, 1, 2], &device);
        let mut given = Vec::new();
        let attention = |inside: Tensor<3>| {
            given.push(numbers(inside.clone()));
            inside
        };
        let one = Tensor::ones([1, 1], (&device, burn::tensor::DType::F64));
        let y = numbers(block.forward(x, one, attention, |inside| inside));
        let unit = 1.0 / (1.0 + 1e-6f64).sqrt();
        let inside = [10.0 - 2.0 * unit, 20.0 + 3.0 * unit];
        close(&given[0], &inside, 1e-12);
        let h = [-1.0 + 0.5 * inside[0], 1.0 + 0.25 * inside[1]];
        let half = (h[1] - h[0]) / 2.0;
        let normed = half / (half * half + 1e-6).sqrt();
        let wanted = [h[0] - (100.0 - 4.0 * normed), h[1] - 2.0 * (200.0 + 5.0 * normed)];
        close(&y, &wanted, 1e-12);
    }

    #[test]
    fn values_are_those_of_pytorch() {
        // import torch; from torch.nn import functional as F
        // v = lambda n, k: torch.sin(.7 * torch.arange(n, dtype=torch.float64) + .3 * k + .1)
        // w, b = v(24 * 3, 0).view(24, 3) / 3 ** .5, .1 * v(24, 1)
        // wave = lambda *s, f: torch.sin(f * torch.arange(1, 1 + torch.Size(s).numel(), dtype=torch.float64)).view(s)
        // x, c = wave(2, 3, 4, f=.9), wave(2, 3, f=.4)
        // p = F.linear(F.silu(c), w, b).unsqueeze(1).chunk(6, -1)
        // inside = lambda x, shift, scale: F.layer_norm(x, (4,), eps=1e-6) * (1 + scale) + shift
        // h = x + p[2] * inside(x, p[0], p[1]) ** 2
        // z = inside(h, p[3], p[4])
        // print((h + p[5] * (z.flip(-1) + z.sin())).flatten().tolist())
        let device = Device::flex();
        let block = golden(CONFIG.init_block(&device).expect("sizes"));
        let y = block.forward(wave([2, 3, 4], 0.9, &device), wave([2, 3], 0.4, &device), square, turned);
        close(&numbers(y), &TORCH, 1e-12);
    }

    const TORCH: [f64; 24] = [
        0.05220240886178684,
        1.4788578211766341,
        0.3935349387973396,
        -0.4412938315703707,
        -0.934257051819707,
        0.6573583386904294,
        -0.051775083804085055,
        -0.9264927345533446,
        -1.092058920720777,
        0.7561700258567648,
        -0.38234162630390955,
        -0.7956159450107649,
        -1.4865978819201562,
        1.1582022973933934,
        1.1124781764169418,
        -0.7049302046265695,
        -6.284708508230705,
        0.26475506203785687,
        1.1271618227008835,
        -0.3025471907766256,
        -0.9898381204653766,
        1.62499453305972,
        1.4541274005323916,
        1.0064265534742134,
    ];

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let (x, condition) = (wave([2, 3, 4], 0.9, &device), wave([2, 3], 0.4, &device));
        let block = golden(CONFIG.init_block(&device).expect("sizes"));
        gradients(block.clone(), x.clone(), |block, x| block.forward(x, condition.clone(), square, turned));
        gradients(block, condition.clone(), |block, condition| block.forward(x.clone(), condition, square, turned));
        let norm = golden(CONFIG.init(&device).expect("sizes"));
        gradients(norm, x, |norm, x| norm.forward(x, condition.clone()));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let block = CONFIG.init_block(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, condition) = (trace.input(&[5, 4]), trace.input(&[3]));
        let y = block.describe(&mut trace, &x, &condition, |_, x| x, |_, x| x);
        assert_eq!(y.shape(), [5, 4]);
        let audit = trace.audit(&y);
        assert_eq!(audit.parameters, parameters(&block));
        assert_eq!((audit.parameters, audit.multiply_adds), (3 * 24 + 24, 3 * 24));
        assert_eq!(audit.ciphertext_products, 4 * 20);
        assert!(!audit.activation_free && !audit.only_add_mul);

        let norm = CONFIG.init(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, condition) = (trace.input(&[5, 4]), trace.input(&[3]));
        let y = norm.describe(&mut trace, &x, &condition);
        let audit = trace.audit(&y);
        assert_eq!((audit.parameters, audit.ciphertext_products), (parameters(&norm), 20));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let (x, condition) = (wave([2, 3, 4], 0.9, &device), wave([2, 3], 0.4, &device));
        let block = golden(CONFIG.init_block(&device).expect("sizes"));
        let fresh = double(CONFIG.init_block(&device).expect("sizes"));
        saves_and_loads(block, fresh, |block| block.forward(x.clone(), condition.clone(), square, turned));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = AdaLnConfig { features: 0, ..CONFIG }.init(&Device::flex()).expect_err("no features");
        assert_eq!(error.to_string(), "adaLN: features is 0");
        let error = AdaLnConfig { condition: 0, ..CONFIG }.init_block(&Device::flex()).expect_err("no condition");
        assert_eq!(error.to_string(), "adaLN: condition is 0");
    }
}
