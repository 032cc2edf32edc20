//! cosFormer: linear attention whose weights fall with the distance, by the cosine's addition theorem (Qin et al.,
//! cosFormer, arXiv 2202.08791).
//!
//! M is fixed when the layer is made. Public code takes the length of the call, so that the weight of a pair changes
//! with the tokens that follow: at a distance of 3 it is 0.383 for M = 4 and 0.831 for M = 8, and no stream could go
//! on.

use super::linear_attention::{self, KernelState, attend, attend_causally};
use super::projections::{Projections, divides, into_heads, out_of_heads};
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use crate::hadamard::constant;
use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use std::f64::consts::FRAC_PI_2;

/// How a [`CosFormer`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosFormerConfig {
    /// C.
    pub channels: usize,
    /// A divisor of the channels.
    pub heads: usize,
    /// M: at a distance of M tokens the weight would be zero. No input may be longer.
    pub maximum: usize,
    /// ε of the denominator.
    pub epsilon: f64,
}

/// `y_i = W_o (Σ_j a_ij v_j / (Σ_j a_ij + ε))` in each head, `a_ij = relu(q_i)·relu(k_j) cos(π(i − j) / 2M)`.
///
/// With `q^c = relu(q) cos(πi / 2M)`, `q^s = relu(q) sin(πi / 2M)` and the same of k, `a_ij = q^c_i·k^c_j +
/// q^s_i·k^s_j`: a kernel of 2d features. Linear in the tokens.
#[derive(Module, Debug)]
pub struct CosFormer {
    /// Queries, keys, values and output.
    pub projections: Projections,
    heads: usize,
    maximum: usize,
    epsilon: f64,
}

/// What [`CosFormer`] remembers of the tokens so far.
#[derive(Debug, Clone)]
pub struct CosFormerState {
    /// Sums over keys of 2d features.
    pub kernel: KernelState,
    /// How many tokens they are.
    pub tokens: usize,
}

impl CosFormerConfig {
    /// Makes the layer. Sizes of zero and heads that do not divide the channels are refused.
    pub fn init(&self, device: &Device) -> Result<CosFormer> {
        let CosFormerConfig { channels, heads, maximum, epsilon } = *self;
        nonzero("cosFormer", &[("channels", channels), ("heads", heads), ("maximum", maximum)])?;
        divides("cosFormer", channels, heads)?;
        Ok(CosFormer { projections: Projections::new(channels, device), heads, maximum, epsilon })
    }
}

/// `[x cos(πi / 2M); x sin(πi / 2M)]` of non-negative features, the first token being number `start`.
fn turned(x: Tensor<4>, start: usize, maximum: usize) -> Tensor<4> {
    let tokens = x.dims()[2];
    let angles = (start..start + tokens).map(|token| FRAC_PI_2 * token as f64 / maximum as f64);
    let cosines = constant(angles.clone().map(f64::cos).collect(), [1, 1, tokens, 1], &x);
    let sines = constant(angles.map(f64::sin).collect(), [1, 1, tokens, 1], &x);
    Tensor::cat(vec![x.clone() * cosines, x * sines], 3)
}

impl CosFormer {
    /// Queries and keys of 2d features, and values, of each head.
    fn split(&self, x: Tensor<3>, start: usize) -> [Tensor<4>; 3] {
        let (end, maximum) = (start + x.dims()[1], self.maximum);
        assert!(end <= maximum, "cosFormer: {end} tokens are more than the maximum of {maximum}");
        let [q, k, v] = self.projections.split(x).map(|x| into_heads(x, self.heads));
        [turned(relu(q), start, maximum), turned(relu(k), start, maximum), v]
    }

    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    ///
    /// # Panics
    /// For more tokens than the maximum.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [q, k, v] = self.split(x, 0);
        self.projections.output.forward(out_of_heads(attend(q, k, v, Some(self.epsilon))))
    }

    /// Each token sees itself and earlier ones.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    ///
    /// # Panics
    /// For more tokens than the maximum.
    pub fn forward_causal(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with_state(x, None).0
    }

    /// As [`forward_causal`](Self::forward_causal), for tokens that follow those of `state`.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`, at least one token
    ///
    /// # Panics
    /// For more tokens, all calls together, than the maximum.
    pub fn forward_with_state(&self, x: Tensor<3>, state: Option<CosFormerState>) -> (Tensor<3>, CosFormerState) {
        let (kernel, start) = state.map_or((None, 0), |state| (Some(state.kernel), state.tokens));
        let tokens = start + x.dims()[1];
        let [q, k, v] = self.split(x, start);
        let (y, kernel) = attend_causally(q, k, v, Some(self.epsilon), kernel);
        (self.projections.output.forward(out_of_heads(y)), CosFormerState { kernel, tokens })
    }
}

impl Describe for CosFormer {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [tokens, channels] = [x.shape()[0], x.shape()[1]];
        let [q, k, v] = self.projections.describe(trace, &x);
        let [q, k] = [("query", q), ("key", k)].map(|(name, x)| {
            let x = trace.activation(&format!("{name}.relu"), 0, &x);
            let [cosine, sine] = ["cosine", "sine"].map(|part| trace.scale(&format!("{name}.{part}"), 0, &x));
            trace.relocate(&format!("{name}.turned"), &[&cosine, &sine], &[tokens, 2 * channels])
        });
        let y = linear_attention::describe(trace, &q, &k, &v, self.heads, 2 * channels / self.heads);
        trace.linear("output", &self.projections.output, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::pairwise::check::{causal, streams};

    const CONFIG: CosFormerConfig = CosFormerConfig { channels: 6, heads: 2, maximum: 16, epsilon: 1e-6 };

    fn layer(device: &Device) -> CosFormer {
        CONFIG.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 6], 0.7, device)
    }

    #[test]
    fn the_weight_of_a_pair_depends_on_the_maximum() {
        for (maximum, wanted) in [(4, 0.382_683_432_365_09), (8, 0.831_469_612_302_545)] {
            let ones = Tensor::<4>::ones([1, 1, 4, 1], (&Device::flex(), burn::tensor::DType::F64));
            let x = turned(ones, 0, maximum);
            let weights = numbers(x.clone().matmul(x.swap_dims(2, 3)));
            close(&[weights[3 * 4], weights[3]], &[wanted, wanted], 1e-14);
            assert!((weights[0] - 1.0).abs() < 1e-15);
        }
    }

    /// Attention by its weights, for the whole input or the tokens so far.
    fn plain(layer: &CosFormer, x: Tensor<3>, is_causal: bool) -> Tensor<3> {
        let tokens = x.dims()[1];
        let [q, k, v] = layer.projections.split(x).map(|x| into_heads(x, layer.heads));
        let distance = |i: usize, j: usize| FRAC_PI_2 * (i as f64 - j as f64) / layer.maximum as f64;
        let seen = |i: usize, j: usize| if j > i && is_causal { 0.0 } else { distance(i, j).cos() };
        let cosines = (0..tokens * tokens).map(|index| seen(index / tokens, index % tokens)).collect();
        let weights = relu(q).matmul(relu(k).swap_dims(2, 3)) * constant(cosines, [1, 1, tokens, tokens], &v);
        let sums = weights.clone().sum_dim(3).add_scalar(layer.epsilon);
        layer.projections.output.forward(out_of_heads(weights.matmul(v) / sums))
    }

    #[test]
    fn it_is_attention_with_its_weights() {
        let device = Device::flex();
        let layer = golden(layer(&device));
        close(&numbers(layer.forward(input(&device))), &numbers(plain(&layer, input(&device), false)), 1e-11);
        close(&numbers(layer.forward_causal(input(&device))), &numbers(plain(&layer, input(&device), true)), 1e-11);
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
    fn keys_without_a_positive_feature_give_numbers() {
        let device = Device::flex();
        let mut layer = layer(&device);
        layer.projections.key.bias = layer.projections.key.bias.map(|bias| bias.map(|bias| bias.ones_like().neg()));
        let out = numbers(layer.forward(Tensor::zeros([1, 3, 6], &device)));
        assert!(out.iter().all(|x| x.is_finite()), "{out:?}");
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
        let audit = Audit::of(&layer, &[11, 6]);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&layer), 4 * (36 + 6)));
        // Projections; keys of 2d features times values and queries times those; denominators.
        assert_eq!(audit.multiply_adds, 4 * 11 * 36 + 2 * 11 * 6 * 6 + 11 * 12);
        assert!(!audit.activation_free && audit.log2_degree.is_none() && !audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(&device), layer(&device), |layer| layer.forward(Tensor::ones([1, 3, 6], &device)));
    }

    #[test]
    #[should_panic(expected = "cosFormer: 17 tokens are more than the maximum of 16")]
    fn more_tokens_than_the_maximum_are_refused() {
        layer(&Device::flex()).forward(Tensor::ones([1, 17, 6], &Device::flex()));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refusal = |config: CosFormerConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refusal(CosFormerConfig { maximum: 0, ..CONFIG }), "cosFormer: maximum is 0");
        let heads = CosFormerConfig { heads: 4, ..CONFIG };
        assert_eq!(refusal(heads), "cosFormer: channels 6 is not a multiple of heads 4");
    }
}
