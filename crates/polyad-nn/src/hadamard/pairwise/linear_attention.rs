//! Linear attention: a kernel `φ(q)·φ(k)` instead of softmax, so that keys and values are summed once for all queries
//! (Katharopoulos et al., Transformers are RNNs, arXiv 2006.16236).
//!
//! ε is added to the denominator and explicit, because public codes differ: 1e-6 in one, 1e-10 or none in another.

use super::projections::{Projections, divides, into_heads, out_of_heads};
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

/// How a [`LinearAttention`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearAttentionConfig {
    /// C.
    pub channels: usize,
    /// A divisor of the channels.
    pub heads: usize,
    /// ε of the denominator.
    pub epsilon: f64,
}

/// `y_i = W_o (φ(q_i) Σ_j φ(k_j)ᵀ v_j / (φ(q_i)·Σ_j φ(k_j) + ε))` in each head, `φ(x) = elu(x) + 1`.
///
/// Linear in the tokens.
#[derive(Module, Debug)]
pub struct LinearAttention {
    /// Queries, keys, values and output.
    pub projections: Projections,
    heads: usize,
    epsilon: f64,
}

/// What is remembered of the tokens so far.
#[derive(Debug, Clone)]
pub struct KernelState {
    /// `Σ_j φ(k_j)ᵀ v_j`, `[n, heads, d, e]`.
    pub products: Tensor<4>,
    /// `Σ_j φ(k_j)`, `[n, heads, 1, d]`.
    pub keys: Tensor<4>,
}

/// Tokens of a causal block: within it all pairs are formed, before it there is only the state. Of the order of a
/// head's channels, where pairs (`BLOCK · d` multiply-adds a token) and state (`d²`) cost alike.
const BLOCK: usize = 64;

impl LinearAttentionConfig {
    /// Makes the layer. Sizes of zero and heads that do not divide the channels are refused.
    pub fn init(&self, device: &Device) -> Result<LinearAttention> {
        let LinearAttentionConfig { channels, heads, epsilon } = *self;
        nonzero("linear attention", &[("channels", channels), ("heads", heads)])?;
        divides("linear attention", channels, heads)?;
        Ok(LinearAttention { projections: Projections::new(channels, device), heads, epsilon })
    }
}

/// `elu(x) + 1`: `x + 1` above zero, `e^x` below. Nothing overflows.
fn phi<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    relu(x.clone()) + x.clamp_max(0.0).exp()
}

/// `q_i Σ_j k_jᵀ v_j`, divided by `q_i·Σ_j k_j + ε` where there is an ε. Queries and keys come with their kernel's
/// function applied.
///
/// # Shapes
/// - `q`, `k`: `[n, heads, tokens, d]`
/// - `v`, output: `[n, heads, tokens, e]`
pub fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, epsilon: Option<f64>) -> Tensor<4> {
    let products = k.clone().swap_dims(2, 3).matmul(v);
    let weighted = q.clone().matmul(products);
    match epsilon {
        Some(epsilon) => weighted / q.matmul(k.sum_dim(2).swap_dims(2, 3)).add_scalar(epsilon),
        None => weighted,
    }
}

/// As [`attend`], each token seeing itself, earlier ones, and those of `state`.
///
/// # Shapes
/// - `q`, `k`: `[n, heads, tokens, d]`, at least one token
/// - `v`, output: `[n, heads, tokens, e]`
pub fn attend_causally(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    epsilon: Option<f64>,
    state: Option<KernelState>,
) -> (Tensor<4>, KernelState) {
    let [n, heads, tokens, d] = k.dims();
    let e = v.dims()[3];
    let mut state = state.unwrap_or_else(|| KernelState {
        products: Tensor::zeros([n, heads, d, e], (&k.device(), k.dtype())),
        keys: Tensor::zeros([n, heads, 1, d], (&k.device(), k.dtype())),
    });
    let mut outputs = Vec::new();
    for start in (0..tokens).step_by(BLOCK) {
        let len = BLOCK.min(tokens - start);
        let [q, k, v] = [&q, &k, &v].map(|x| x.clone().narrow(2, start, len));
        let pairs = q.clone().matmul(k.clone().swap_dims(2, 3)).tril(0);
        let weighted = pairs.clone().matmul(v.clone()) + q.clone().matmul(state.products.clone());
        outputs.push(match epsilon {
            Some(epsilon) => {
                let sum = pairs.sum_dim(3) + q.matmul(state.keys.clone().swap_dims(2, 3));
                weighted / sum.add_scalar(epsilon)
            }
            None => weighted,
        });
        state.products = state.products + k.clone().swap_dims(2, 3).matmul(v);
        state.keys = state.keys + k.sum_dim(2);
    }
    (Tensor::cat(outputs, 2), state)
}

/// Says [`attend`] with a denominator: `heads` heads of `d` features, values of `[tokens, channels]`.
pub(super) fn describe(trace: &mut Trace, q: &Signal, k: &Signal, v: &Signal, heads: usize, d: usize) -> Signal {
    let [tokens, channels] = [v.shape()[0], v.shape()[1]];
    let products = trace.matmul("key.value", k, v, tokens * d * channels, &[d, channels]);
    let weighted = trace.matmul("query.products", q, &products, tokens * d * channels, &[tokens, channels]);
    let keys = trace.mean("key.sum", k, &[1, heads * d]);
    let sum = trace.matmul("query.keys", q, &keys, tokens * heads * d, &[tokens, heads]);
    let share = trace.normalise("denominator", 0, &sum);
    trace.product("share", &weighted, &share)
}

impl LinearAttention {
    /// Queries, keys and values of each head, the kernel's function applied.
    fn split(&self, x: Tensor<3>) -> [Tensor<4>; 3] {
        let [q, k, v] = self.projections.split(x).map(|x| into_heads(x, self.heads));
        [phi(q), phi(k), v]
    }

    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [q, k, v] = self.split(x);
        self.projections.output.forward(out_of_heads(attend(q, k, v, Some(self.epsilon))))
    }

    /// Each token sees itself and earlier ones. Linear in the tokens as well.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    pub fn forward_causal(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with_state(x, None).0
    }

    /// As [`forward_causal`](Self::forward_causal), for tokens that follow those of `state`.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`, at least one token
    pub fn forward_with_state(&self, x: Tensor<3>, state: Option<KernelState>) -> (Tensor<3>, KernelState) {
        let [q, k, v] = self.split(x);
        let (y, state) = attend_causally(q, k, v, Some(self.epsilon), state);
        (self.projections.output.forward(out_of_heads(y)), state)
    }
}

impl Describe for LinearAttention {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [q, k, v] = self.projections.describe(trace, &x);
        let q = trace.activation("query.phi", 0, &q);
        let k = trace.activation("key.phi", 0, &k);
        let y = describe(trace, &q, &k, &v, self.heads, x.shape()[1] / self.heads);
        trace.linear("output", &self.projections.output, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::pairwise::check::{causal, equivariant, streams};

    const CONFIG: LinearAttentionConfig = LinearAttentionConfig { channels: 6, heads: 2, epsilon: 1e-6 };

    fn layer(device: &Device) -> LinearAttention {
        CONFIG.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 6], 0.7, device)
    }

    #[test]
    fn it_is_attention_with_its_kernel() {
        // import torch, torch.nn.functional as F; t = torch.arange(24, dtype=torch.float64) + 1
        // q, k, v = (torch.sin(s * t).reshape(4, 6).view(4, 2, 3).transpose(0, 1) for s in (0.7, 0.9, 1.1))
        // w = (F.elu(q) + 1) @ (F.elu(k) + 1).mT; o = w @ v / (w.sum(-1, keepdim=True) + 0.01)
        let wave = |scale| wave([1, 4, 6], scale, &Device::flex());
        let [q, k, v] = [0.7, 0.9, 1.1].map(|scale| into_heads(wave(scale), 2));
        #[rustfmt::skip]
        let wanted = [
            0.942101372938109, 0.524289007151015, -0.466470452638574,
            0.94373318228489, 0.500936224960924, -0.489287724837198,
            0.937737319984012, 0.551136085589055, -0.437750938382272,
            0.942037071181984, 0.524832922691554, -0.465912714923306,
            -0.906039638865693, -0.157029817432134, 0.763583406594929,
            -0.899722732086826, -0.140040499462836, 0.77267907728914,
            -0.894989717145132, -0.134453781558732, 0.773014289493047,
            -0.90603149012924, -0.157106759641188, 0.763505456483274,
        ];
        close(&numbers(attend(phi(q), phi(k), v, Some(0.01))), &wanted, 1e-12);
    }

    #[test]
    fn the_kernel_is_elu_plus_one_without_overflow() {
        let device = Device::flex().autodiff();
        let x = doubles(vec![-1e4, -1.0, 0.0, 1.0, 1e4], [5], &device).require_grad();
        let grads = phi(x.clone()).sum().backward();
        let e = (-1.0f64).exp();
        assert_eq!(numbers(phi(x.clone())), [0.0, e, 1.0, 2.0, 1e4 + 1.0]);
        assert_eq!(numbers(x.grad(&grads).expect("takes part")), [0.0, e, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn causal_sums_are_those_of_a_loop_across_blocks() {
        let device = Device::flex();
        let tokens = 2 * BLOCK + 3;
        let [q, k, v] = [0.7, 0.9, 1.1].map(|scale| phi(wave([1, 2, tokens, 3], scale, &device)));
        for epsilon in [None, Some(1e-6)] {
            let rows = (0..tokens).map(|token| {
                let seen = |x: &Tensor<4>| x.clone().narrow(2, 0, token + 1);
                attend(q.clone().narrow(2, token, 1), seen(&k), seen(&v), epsilon)
            });
            let wanted = Tensor::cat(rows.collect(), 2);
            let (got, state) = attend_causally(q.clone(), k.clone(), v.clone(), epsilon, None);
            close(&numbers(got), &numbers(wanted), 1e-11);
            close(&numbers(state.keys), &numbers(k.clone().sum_dim(2)), 1e-11);
        }
    }

    #[test]
    fn tokens_are_a_set_or_a_stream() {
        let device = Device::flex();
        let layer = golden(layer(&device));
        equivariant(input(&device), |x| layer.forward(x));
        causal(input(&device), |x| layer.forward_causal(x));
        let whole = layer.forward_causal(input(&device));
        streams(input(&device), whole, |x, state| layer.forward_with_state(x, state));
    }

    #[test]
    fn tokens_of_zeros_give_numbers() {
        let zeros = Tensor::<3>::zeros([1, 3, 6], &Device::flex());
        let out = numbers(layer(&Device::flex()).forward(zeros));
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
        // Projections; keys times values and queries times those; denominators.
        assert_eq!(audit.multiply_adds, 4 * 11 * 36 + 2 * 11 * 6 * 3 + 11 * 6);
        assert!(!audit.activation_free && audit.log2_degree.is_none() && !audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(&device), layer(&device), |layer| layer.forward(Tensor::ones([1, 3, 6], &device)));
    }

    #[test]
    fn heads_that_do_not_divide_are_refused() {
        let error = LinearAttentionConfig { heads: 4, ..CONFIG }.init(&Device::flex()).expect_err("6 channels");
        assert_eq!(error.to_string(), "linear attention: channels 6 is not a multiple of heads 4");
    }
}
