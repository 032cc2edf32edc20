//! AFT-full: a learnt bias for each pair of positions.

use super::Weighted;
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use crate::hadamard::pairwise::projections::Projections;
use burn::module::{Initializer, Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

/// How an [`AftFull`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AftFullConfig {
    /// C.
    pub channels: usize,
    /// N: no input may be longer.
    pub maximum: usize,
}

/// `y_i = W_o (σ(q_i) ∘ Σ_j e^{k_j + w_ij} ∘ v_j / Σ_j e^{k_j + w_ij})`.
///
/// Quadratic in the tokens, as a product of matrices. Right for keys of any size, as long as the biases of a query
/// differ by less than 80 (single precision; 700 in double).
#[derive(Module, Debug)]
pub struct AftFull {
    /// Queries, keys, values and output.
    pub projections: Projections,
    /// w, `[maximum, maximum]`: query, then key.
    pub bias: Param<Tensor<2>>,
}

/// Keys and values of the tokens so far.
#[derive(Debug, Clone)]
pub struct AftFullState {
    /// `[n, tokens, channels]`
    pub keys: Tensor<3>,
    /// `[n, tokens, channels]`
    pub values: Tensor<3>,
}

/// Tokens of a causal block: within it exponentials are taken for each pair and channel, before it for each token and
/// channel. With 32, the pairs' exponentials are as many as the multiply-adds of 32 earlier tokens.
const BLOCK: usize = 32;

impl AftFullConfig {
    /// Makes the layer, its biases normal with deviation 0.01. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<AftFull> {
        let AftFullConfig { channels, maximum } = *self;
        nonzero("full AFT", &[("channels", channels), ("maximum", maximum)])?;
        let bias = Initializer::Normal { mean: 0.0, std: 0.01 }.init([maximum, maximum], device);
        Ok(AftFull { projections: Projections::new(channels, device), bias })
    }
}

impl AftFull {
    /// Biases of queries from `start` on with keys from `first` on, `[1, queries, keys]`.
    fn biases(&self, start: usize, queries: usize, first: usize, keys: usize) -> Tensor<3> {
        let ([maximum, _], end) = (self.bias.dims(), (start + queries).max(first + keys));
        assert!(end <= maximum, "full AFT: {end} tokens are more than the maximum of {maximum}");
        self.bias.val().slice([start..start + queries, first..first + keys]).unsqueeze()
    }

    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    ///
    /// # Panics
    /// For more tokens than the maximum.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [_, tokens, _] = x.dims();
        let [q, k, v] = self.projections.split(x);
        let bias = self.biases(0, tokens, 0, tokens);
        let mean = Weighted::by_matrix(bias, k.unsqueeze_dim(1), v.unsqueeze_dim(1)).mean();
        self.projections.output.forward(sigmoid(q) * mean)
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
    pub fn forward_with_state(&self, x: Tensor<3>, state: Option<AftFullState>) -> (Tensor<3>, AftFullState) {
        let [_, tokens, _] = x.dims();
        let [q, k, v] = self.projections.split(x);
        let (k, v, start) = match state {
            Some(AftFullState { keys, values }) => {
                let start = keys.dims()[1];
                (Tensor::cat(vec![keys, k], 1), Tensor::cat(vec![values, v], 1), start)
            }
            None => (k, v, 0),
        };
        let means = (start..start + tokens).step_by(BLOCK).map(|first| {
            let len = BLOCK.min(start + tokens - first);
            let part = |x: &Tensor<3>, first, len| x.clone().narrow(1, first, len).unsqueeze_dim::<4>(1);
            let bias = self.biases(first, len, first, len);
            let near = Weighted::by_pairs(bias, part(&k, first, len), part(&v, first, len));
            if first == 0 {
                return near.mean();
            }
            let far = Weighted::by_matrix(self.biases(first, len, 0, first), part(&k, 0, first), part(&v, 0, first));
            far.merge(near).mean()
        });
        let means = Tensor::cat(means.collect(), 1);
        (self.projections.output.forward(sigmoid(q) * means), AftFullState { keys: k, values: v })
    }
}

impl Describe for AftFull {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [tokens, channels] = [x.shape()[0], x.shape()[1]];
        let [q, k, v] = self.projections.describe(trace, &x);
        let bias = trace.constant("bias", self.bias.shape().num_elements(), &[tokens, tokens]);
        let weights = trace.activation("key.exponential", 0, &k);
        let weighted = trace.product("key.value", &weights, &v);
        let pairs = tokens * tokens * channels;
        let numerator = trace.matmul("numerator", &bias, &weighted, pairs, &[tokens, channels]);
        let denominator = trace.matmul("denominator", &bias, &weights, pairs, &[tokens, channels]);
        let share = trace.normalise("share", 0, &denominator);
        let mean = trace.product("mean", &numerator, &share);
        let gate = trace.activation("query.sigmoid", 0, &q);
        let y = trace.product("gated", &gate, &mean);
        trace.linear("output", &self.projections.output, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::pairwise::aft::AftSimpleConfig;
    use crate::hadamard::pairwise::check::{causal, streams};
    use burn::tensor::DType;

    fn layer(maximum: usize, device: &Device) -> AftFull {
        AftFullConfig { channels: 5, maximum }.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 5], 0.7, device)
    }

    /// The paper's sums, for each query, channel and key.
    fn loops(layer: &AftFull, x: Tensor<3>, is_causal: bool) -> Tensor<3> {
        let [n, tokens, channels] = x.dims();
        let [maximum, _] = layer.bias.dims();
        let [q, k, v] = layer.projections.split(x.clone()).map(numbers);
        let bias = numbers(layer.bias.val());
        let mut y = Vec::new();
        for (batch, i, c) in (0..n).flat_map(|b| (0..tokens).flat_map(move |i| (0..channels).map(move |c| (b, i, c)))) {
            let at = |j: usize| (batch * tokens + j) * channels + c;
            let keys = if is_causal { 0..i + 1 } else { 0..tokens };
            let weight = |j: usize| (k[at(j)] + bias[i * maximum + j]).exp();
            let numerator: f64 = keys.clone().map(|j| weight(j) * v[at(j)]).sum();
            y.push(numerator / keys.map(weight).sum::<f64>() / (1.0 + (-q[at(i)]).exp()));
        }
        layer.projections.output.forward(doubles(y, [n, tokens, channels], &x.device()))
    }

    #[test]
    fn sums_are_those_of_loops() {
        let device = Device::flex();
        let layer = golden(layer(2 * BLOCK + 9, &device));
        for tokens in [1, 11, 2 * BLOCK + 5] {
            let x = wave([2, tokens, 5], 0.7, &device);
            close(&numbers(layer.forward(x.clone())), &numbers(loops(&layer, x.clone(), false)), 1e-11);
            close(&numbers(layer.forward_causal(x.clone())), &numbers(loops(&layer, x, true)), 1e-11);
        }
    }

    #[test]
    fn without_biases_it_is_simple_aft() {
        let device = Device::flex();
        let mut full = golden(layer(11, &device));
        full.bias = full.bias.map(|bias| bias.zeros_like());
        let mut simple = AftSimpleConfig { channels: 5 }.init(&device).expect("sizes");
        simple.projections = full.projections.clone();
        close(&numbers(full.forward(input(&device))), &numbers(simple.forward(input(&device))), 1e-12);
        let causal = numbers(simple.forward_causal(input(&device)));
        close(&numbers(full.forward_causal(input(&device))), &causal, 1e-12);
    }

    #[test]
    fn large_keys_do_not_overflow() {
        let device = Device::flex();
        let tensor = |numbers: [f64; 4]| doubles(numbers.to_vec(), [1, 1, 4, 1], &device).cast(DType::F32);
        let (keys, values) = (tensor([-200.0, 200.0, 200.0, -200.0]), tensor([1.0, 2.0, 4.0, 8.0]));
        let bias = Tensor::<3>::zeros([1, 4, 4], &device);
        assert_eq!(numbers(Weighted::by_matrix(bias.clone(), keys.clone(), values.clone()).mean()), [3.0; 4]);
        assert_eq!(numbers(Weighted::by_pairs(bias, keys, values).mean()), [1.0, 2.0, 3.0, 3.0]);
    }

    #[test]
    fn tokens_are_a_stream() {
        let device = Device::flex();
        let layer = golden(layer(11, &device));
        causal(input(&device), |x| layer.forward_causal(x));
        let whole = layer.forward_causal(input(&device));
        streams(input(&device), whole, |x, state| layer.forward_with_state(x, state));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(11, &device)), input(&device), |layer, x| layer.forward(x));
        let long = wave::<3>([1, BLOCK + 3, 5], 0.7, &device);
        gradients(golden(layer(BLOCK + 3, &device)), long, |layer, x| layer.forward_causal(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = layer(16, &Device::flex());
        let audit = Audit::of(&layer, &[11, 5]);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&layer), 4 * (25 + 5) + 256));
        assert_eq!(audit.multiply_adds, 4 * 11 * 25 + 2 * 11 * 11 * 5);
        assert!(!audit.activation_free && audit.log2_degree.is_none());
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(4, &device), layer(4, &device), |layer| layer.forward(Tensor::ones([1, 3, 5], &device)));
    }

    #[test]
    #[should_panic(expected = "full AFT: 5 tokens are more than the maximum of 4")]
    fn more_tokens_than_the_maximum_are_refused() {
        layer(4, &Device::flex()).forward(Tensor::ones([1, 5, 5], &Device::flex()));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = AftFullConfig { channels: 5, maximum: 0 }.init(&Device::flex()).expect_err("no tokens");
        assert_eq!(error.to_string(), "full AFT: maximum is 0");
    }
}
