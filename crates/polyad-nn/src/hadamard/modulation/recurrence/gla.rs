//! Gated linear attention: a matrix of memory for each head, whose rows decay as the token says (Yang et al., arXiv
//! 2312.06635).
//!
//! Queries are divided by √d_k. Heads are normalised by their root mean square, as public code has it (the paper writes layer
//! norm), then gated by a swish.

use super::linear_attention::{chunked, step};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{log_sigmoid, silu};
use burn::tensor::{Device, Tensor};

/// How a [`Gla`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GlaConfig {
    /// Numbers of a token.
    pub features: usize,
    /// Heads; divides keys and values.
    pub heads: usize,
    /// Numbers of keys and queries, all heads together. As published half of the features.
    pub keys: usize,
    /// Numbers of values, all heads together. As published the features.
    pub values: usize,
    /// Width through which the decays are computed. As published 16.
    pub rank: usize,
    /// τ: decays are `σ(·)^{1/τ}`, the longer-lived the larger it is. As published 16.
    pub temperature: f64,
    /// Tokens of a chunk: memory grows with its square. 16.
    pub chunk: usize,
}

/// `S_t = diag(α_t) S_{t−1} + k_t v_tᵀ`, `o_t = S_tᵀ q_t / √d_k`, `y_t = W_o (SiLU(W_r x_t) ∘ norm(o_t))`,
/// `α_t = σ(W_2 W_1 x_t)^{1/τ}`
#[derive(Module, Debug)]
pub struct Gla {
    /// `[features, keys]`, no bias.
    pub query: Linear,
    /// `[features, keys]`, no bias.
    pub key: Linear,
    /// `[features, values]`, no bias.
    pub value: Linear,
    /// `W_1`, `[features, rank]`, no bias.
    pub decay_in: Linear,
    /// `W_2`, `[rank, keys]`
    pub decay_out: Linear,
    /// `W_r`, `[features, values]`
    pub gate: Linear,
    /// Scale of the norm, `[values / heads]`, at first 1.
    pub gamma: Param<Tensor<1>>,
    /// `W_o`, `[values, features]`, no bias.
    pub output: Linear,
    heads: usize,
    temperature: f64,
    chunk: usize,
}

/// What [`Gla`] hands from token to token.
#[derive(Debug, Clone)]
pub struct GlaState {
    /// S, `[n, heads, keys / heads, values / heads]`
    pub memory: Tensor<4>,
}

/// Added to the mean square.
const EPSILON: f64 = 1e-5;

impl GlaConfig {
    /// The published proportions.
    pub fn new(features: usize, heads: usize) -> Self {
        let (keys, values) = (features / 2, features);
        GlaConfig { features, heads, keys, values, rank: 16, temperature: 16.0, chunk: 16 }
    }

    /// Makes the layer. Sizes of zero, heads that do not divide keys and values, and temperatures that are not positive are
    /// refused.
    pub fn init(&self, device: &Device) -> Result<Gla> {
        let GlaConfig { features, heads, keys, values, rank, temperature, chunk } = *self;
        let sizes = [("features", features), ("heads", heads), ("keys", keys), ("values", values), ("rank", rank)];
        nonzero("GLA", &sizes)?;
        nonzero("GLA", &[("chunk", chunk)])?;
        for (name, size) in [("keys", keys), ("values", values)] {
            if !size.is_multiple_of(heads) {
                return Err(Error::config("GLA", format!("{name} {size} is not divisible by heads {heads}")));
            }
        }
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(Error::config("GLA", format!("temperature is {temperature}, not positive")));
        }
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).with_bias(false).init(device);
        Ok(Gla {
            query: linear(features, keys),
            key: linear(features, keys),
            value: linear(features, values),
            decay_in: linear(features, rank),
            decay_out: LinearConfig::new(rank, keys).init(device),
            gate: LinearConfig::new(features, values).init(device),
            gamma: Initializer::Ones.init([values / heads], device),
            output: linear(values, features),
            heads,
            temperature,
            chunk,
        })
    }
}

impl Gla {
    /// # Shapes
    /// - `x`, output: `[n, tokens, features]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with_state(x, None).0
    }

    /// A piece of a sequence, at least one token; the state is that behind its last token.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, features]`
    pub fn forward_with_state(&self, x: Tensor<3>, state: Option<GlaState>) -> (Tensor<3>, GlaState) {
        let [q, k, v, log_decay] = self.project(x.clone());
        let memory = self.memory(&k, &v, state);
        let (o, memory) = chunked(q, k, v, log_decay, memory, self.chunk);
        (self.finish(o, x), GlaState { memory })
    }

    /// One token.
    ///
    /// # Shapes
    /// - `x`, output: `[n, features]`
    pub fn step(&self, x: Tensor<2>, state: Option<GlaState>) -> (Tensor<2>, GlaState) {
        let x = x.unsqueeze_dim::<3>(1);
        let [q, k, v, log_decay] = self.project(x.clone());
        let memory = self.memory(&k, &v, state);
        let [q, k, v, log_decay] = [q, k, v, log_decay].map(|x| x.squeeze_dim(2));
        let (o, memory) = step(q, k, v, log_decay, memory);
        (self.finish(o.unsqueeze_dim(2), x).squeeze_dim(1), GlaState { memory })
    }

    /// Queries, keys, values and logarithms of decays, each `[n, heads, tokens, ·]`.
    fn project(&self, x: Tensor<3>) -> [Tensor<4>; 4] {
        let split = |x: Tensor<3>| {
            let [n, tokens, features] = x.dims();
            x.reshape([n, tokens, self.heads, features / self.heads]).swap_dims(1, 2)
        };
        let decay = self.decay_out.forward(self.decay_in.forward(x.clone()));
        let log_decay = log_sigmoid(decay).div_scalar(self.temperature);
        let [q, k, v] = [&self.query, &self.key, &self.value].map(|linear| split(linear.forward(x.clone())));
        let features = q.dims()[3];
        [q.div_scalar((features as f64).sqrt()), k, v, split(log_decay)]
    }

    fn memory(&self, k: &Tensor<4>, v: &Tensor<4>, state: Option<GlaState>) -> Tensor<4> {
        let [n, heads, _, keys] = k.dims();
        let empty = || Tensor::zeros([n, heads, keys, v.dims()[3]], (&k.device(), k.dtype()));
        state.map_or_else(empty, |state| state.memory)
    }

    /// Norm, gate, output; `o` is `[n, heads, tokens, values / heads]`.
    fn finish(&self, o: Tensor<4>, x: Tensor<3>) -> Tensor<3> {
        let mean_square = o.clone().square().mean_dim(3);
        let o = o / mean_square.add_scalar(EPSILON).sqrt() * self.gamma.val().unsqueeze();
        let gate = silu(self.gate.forward(x));
        self.output.forward(gate.clone() * o.swap_dims(1, 2).reshape(gate.dims()))
    }
}

impl Describe for Gla {
    /// Token by token; `diag(α) S`, `k vᵀ` and `Sᵀ q` are products of matrices.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let tokens = x.shape()[0];
        let q = trace.linear("query", &self.query, &x);
        let q = trace.scale("scale", 0, &q);
        let k = trace.linear("key", &self.key, &x);
        let v = trace.linear("value", &self.value, &x);
        let decay = trace.linear("decay_in", &self.decay_in, &x);
        let decay = trace.linear("decay_out", &self.decay_out, &decay);
        let decay = trace.activation("log_sigmoid", 0, &decay);
        let decay = trace.activation("exp", 0, &decay);
        let values = self.gamma.shape()[0];
        let state = [self.heads, k.shape()[1] / self.heads, values];
        let multiply_adds = tokens * state.iter().product::<usize>();
        let written = trace.matmul("write", &k, &v, multiply_adds, &state);
        let kept = trace.matmul("decay", &decay, &written, multiply_adds, &state);
        let memory = trace.sum("memory", &kept, &written);
        let o = trace.matmul("read", &memory, &q, multiply_adds, &[tokens, self.heads * values]);
        let o = trace.normalise("norm", values, &o);
        let gate = trace.linear("gate", &self.gate, &x);
        let gate = trace.activation("silu", 0, &gate);
        let o = trace.product("gated", &gate, &o);
        trace.linear("output", &self.output, &o)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_streams;
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, wave};

    fn config() -> GlaConfig {
        GlaConfig { keys: 4, values: 8, rank: 3, chunk: 3, ..GlaConfig::new(6, 2) }
    }

    fn layer(device: &Device) -> Gla {
        config().init(device).expect("sizes")
    }

    #[test]
    fn values_are_those_of_the_published_parallel_form() {
        // lin(k, x, o, bias) is F.linear by weights fill(k) / √inputs and bias .1 fill(bias), fill(k, shape) =
        // sin(.7 i + .3 k + .1); sp splits [1, 9, ·] into [1, 2, 9, ·]; x = torch.sin(.9 * torch.arange(1, 55))
        // q, k, v = sp(lin(0, x, 4)), sp(lin(1, x, 4)), sp(lin(2, x, 8))
        // b = (sp(F.logsigmoid(lin(4, lin(3, x, 3), 4, 5))) / 16).cumsum(2)
        // o = ((q * b.exp() / 2**.5) @ (k * (-b).exp()).transpose(2, 3)).tril() @ v
        // o = F.rms_norm(o, (4,), 1 + .1 * fill(8, (4,)), 1e-5).transpose(1, 2).reshape(1, 9, 8)
        // y = lin(9, F.silu(lin(6, x, 8, 7)) * o, 6); y[0, -1], y.sum()
        let last = [
            0.031285492457589596,
            0.03106110185119103,
            0.016894369031840873,
            -0.004855709531079542,
            -0.024426214288364514,
            -0.033032567155390775,
        ];
        let y = golden(layer(&Device::flex())).forward(wave([1, 9, 6], 0.9, &Device::flex()));
        close(&numbers(y.clone().narrow(1, 8, 1)), &last, 1e-12);
        close(&numbers(y.sum()), &[1.6116544847459973], 1e-12);
    }

    #[test]
    fn pieces_and_single_tokens_give_the_whole() {
        let gla = golden(layer(&Device::flex()));
        let x = wave([2, 7, 6], 0.9, &Device::flex());
        assert_streams(x, |x, state| gla.forward_with_state(x, state), |x, state| gla.step(x, state));
    }

    #[test]
    fn the_size_of_a_chunk_does_not_matter() {
        let mut gla = golden(layer(&Device::flex()));
        let x = wave([1, 9, 6], 0.9, &Device::flex());
        let wanted = numbers(gla.forward(x.clone()));
        for chunk in [1, 2, 9, 16] {
            gla.chunk = chunk;
            close(&numbers(gla.forward(x.clone())), &wanted, 1e-12);
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(&device)), wave([2, 5, 6], 0.9, &device), |gla, x| gla.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let gla = layer(&Device::flex());
        let audit = Audit::of(&gla, &[10, 6]);
        assert_eq!(audit.parameters, parameters(&gla));
        let linear = 6 * 4 + 6 * 4 + 6 * 8 + 6 * 3 + 3 * 4 + 6 * 8 + 8 * 6;
        // Two heads, each with a memory of 2 × 4.
        assert_eq!(audit.multiply_adds, 10 * (linear + 3 * 2 * 2 * 4));
        assert_eq!(audit.ciphertext_products, 10 * (3 * 2 * 2 * 4 + 8));
        assert!(audit.log2_degree.is_none() && !audit.activation_free);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(&device), layer(&device), |gla| gla.forward(Tensor::ones([1, 4, 6], &device)));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refused = |config: GlaConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refused(GlaConfig { heads: 3, ..config() }), "GLA: keys 4 is not divisible by heads 3");
        assert_eq!(refused(GlaConfig { chunk: 0, ..config() }), "GLA: chunk is 0");
        assert_eq!(refused(GlaConfig { temperature: 0.0, ..config() }), "GLA: temperature is 0, not positive");
    }
}
