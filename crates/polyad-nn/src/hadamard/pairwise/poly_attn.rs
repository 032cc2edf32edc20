//! PolyAttn: attention whose weights are a fourth power instead of an exponential (Wang, Gordon and Chrysos, PolyNeXt,
//! arXiv 2605.20839).
//!
//! Rows are normalised by their own sums, or by a running mean of them: then the layer is only additions and
//! multiplications at inference, of degree 9. The running mean is kept per visible key, so that it begins at 1 (keys
//! and queries of zeros) and means the same for any number of tokens.

use super::projections::{Projections, divides, into_heads, out_of_heads};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Flag, Initializer, Module, Param, RunningState};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Bool, Device, Tensor};

/// What the weights of a query are divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowSum {
    /// Their own sum, at least ε.
    Own {
        /// PyTorch's `normalize` has 1e-12.
        epsilon: f64,
    },
    /// A running mean of sums; in training, those of the batch.
    Running {
        /// The share of the newest batch, in (0, 1].
        momentum: f64,
    },
}

/// How a [`PolyAttention`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolyAttentionConfig {
    /// C.
    pub channels: usize,
    /// A divisor of the channels.
    pub heads: usize,
    /// The normaliser.
    pub row_sum: RowSum,
}

/// `y_i = W_o (Σ_j a_ij v_j / Σ_j a_ij)` in each head, `a_ij = (σ(s) q_i·k_j + 1)⁴`.
///
/// Quadratic in the tokens.
#[derive(Module, Debug)]
pub struct PolyAttention {
    /// Queries, keys, values and output.
    pub projections: Projections,
    /// s, `[heads]`; its sigmoid is a constant at inference.
    pub scale: Param<Tensor<1>>,
    /// Where rows are not divided by their own sums.
    pub running: Option<RunningSum>,
    epsilon: f64,
}

/// A running mean of weights. As batch norm does, it learns on an autodiff device unless frozen.
#[derive(Module, Debug)]
pub struct RunningSum {
    /// Whether it takes part in training; cleared by `freeze`.
    pub training: Param<Flag>,
    /// Mean weight of a visible key, `[heads]`, at first 1.
    pub running_mean: RunningState<Tensor<1>>,
    momentum: f64,
}

/// Keys and values of the tokens so far.
#[derive(Debug, Clone)]
pub struct PolyAttentionState {
    /// `[n, heads, tokens, d]`
    pub keys: Tensor<4>,
    /// `[n, heads, tokens, d]`
    pub values: Tensor<4>,
}

impl PolyAttentionConfig {
    /// Makes the layer. Sizes of zero, heads that do not divide the channels and a momentum outside (0, 1] are refused.
    pub fn init(&self, device: &Device) -> Result<PolyAttention> {
        let PolyAttentionConfig { channels, heads, row_sum } = *self;
        nonzero("PolyAttn", &[("channels", channels), ("heads", heads)])?;
        divides("PolyAttn", channels, heads)?;
        let (epsilon, running) = match row_sum {
            RowSum::Own { epsilon } => (epsilon, None),
            RowSum::Running { momentum } if momentum > 0.0 && momentum <= 1.0 => {
                let running_mean = RunningState::new(Tensor::ones([heads], device));
                (0.0, Some(RunningSum { training: Param::from_bool(true), running_mean, momentum }))
            }
            RowSum::Running { momentum } => {
                return Err(Error::config("PolyAttn", format!("momentum is {momentum}, not in (0, 1]")));
            }
        };
        let scale = Initializer::Zeros.init([heads], device);
        Ok(PolyAttention { projections: Projections::new(channels, device), scale, running, epsilon })
    }
}

impl RunningSum {
    /// Divisors of rows of `weights`, `[n, heads, queries, keys]`, of which `visible` keys each, `[1, 1, queries, 1]`,
    /// count.
    fn divisors(&self, weights: &Tensor<4>, visible: Tensor<4>) -> Tensor<4> {
        let heads = weights.dims()[1];
        let mean = if weights.device().is_autodiff() && self.training.is_enabled() {
            // Rows that see nothing have nothing to say.
            let means = weights.clone().sum_dim(3) / visible.clone().clamp_min(1.0);
            let seeing = visible.clone().clamp_max(1.0).mean();
            let mean: Tensor<1> = means.mean_dim(2).mean_dim(0).reshape([heads]) / seeing;
            let newest = mean.clone().detach() * self.momentum;
            self.running_mean.update((self.running_mean.value_sync() * (1.0 - self.momentum) + newest).detach());
            mean
        } else {
            self.running_mean.value_sync()
        };
        visible.clamp_min(1.0) * mean.reshape([1, heads, 1, 1])
    }
}

impl PolyAttention {
    /// A query that sees no key gives what the output makes of zeros. In training with a running mean some query must
    /// see some key.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    /// - `visible`: `[tokens, tokens]`, whether query i sees key j; all where there is none
    pub fn forward(&self, x: Tensor<3>, visible: Option<Tensor<2, Bool>>) -> Tensor<3> {
        let [q, k, v] = self.projections.split(x).map(|x| into_heads(x, self.scale.dims()[0]));
        self.attend(q, k, v, visible.map(|visible| visible.float()))
    }

    /// Each token sees itself and earlier ones.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    pub fn forward_causal(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with_state(x, None).0
    }

    /// As [`forward_causal`](Self::forward_causal), for tokens that follow those of `state`.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    pub fn forward_with_state(
        &self,
        x: Tensor<3>,
        state: Option<PolyAttentionState>,
    ) -> (Tensor<3>, PolyAttentionState) {
        let [q, k, v] = self.projections.split(x).map(|x| into_heads(x, self.scale.dims()[0]));
        let tokens = k.dims()[2];
        let (k, v) = match state {
            Some(state) => (Tensor::cat(vec![state.keys, k], 2), Tensor::cat(vec![state.values, v], 2)),
            None => (k, v),
        };
        let seen = k.dims()[2];
        let visible = Tensor::<2>::ones([tokens, seen], (&k.device(), k.dtype())).tril((seen - tokens) as i64);
        let y = self.attend(q, k.clone(), v.clone(), Some(visible));
        (y, PolyAttentionState { keys: k, values: v })
    }

    /// # Shapes
    /// - `q`, `k`, `v`: `[n, heads, queries or keys, d]`
    /// - `visible`: `[queries, keys]` of 0 and 1
    fn attend(&self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, visible: Option<Tensor<2>>) -> Tensor<3> {
        let [_, heads, queries, _] = q.dims();
        let keys = k.dims()[2];
        let scale = sigmoid(self.scale.val()).reshape([1, heads, 1, 1]);
        let scores = (q * scale).matmul(k.swap_dims(2, 3)).add_scalar(1.0);
        let squares = scores.clone() * scores;
        let weights = squares.clone() * squares;
        let (weights, count) = match visible {
            Some(visible) => {
                let visible = visible.cast(weights.dtype()).unsqueeze::<4>();
                (weights * visible.clone(), visible.sum_dim(3))
            }
            None => {
                let count = Tensor::full([1, 1, queries, 1], keys as f64, (&weights.device(), weights.dtype()));
                (weights, count)
            }
        };
        let divisors = match &self.running {
            Some(running) => running.divisors(&weights, count),
            None => weights.clone().sum_dim(3).clamp_min(self.epsilon),
        };
        self.projections.output.forward(out_of_heads(weights.matmul(v) / divisors))
    }
}

/// Without a mask.
impl Describe for PolyAttention {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [tokens, channels] = [x.shape()[0], x.shape()[1]];
        let heads = self.scale.dims()[0];
        let [q, k, v] = self.projections.describe(trace, &x);
        let q = trace.scale("scale", heads, &q);
        let scores = trace.matmul("scores", &q, &k, tokens * tokens * channels, &[heads, tokens, tokens]);
        let squares = trace.product("squares", &scores, &scores);
        let weights = trace.product("fourth", &squares, &squares);
        let y = trace.matmul("values", &weights, &v, tokens * tokens * channels, &[tokens, channels]);
        let y = match &self.running {
            Some(_) => trace.scale("running", 0, &y),
            None => {
                let sums = trace.mean("sums", &weights, &[heads, tokens]);
                let shares = trace.normalise("shares", 0, &sums);
                trace.product("share", &y, &shares)
            }
        };
        trace.linear("output", &self.projections.output, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::pairwise::check::{causal, equivariant, streams};

    const OWN: PolyAttentionConfig =
        PolyAttentionConfig { channels: 6, heads: 2, row_sum: RowSum::Own { epsilon: 1e-12 } };
    const RUNNING: PolyAttentionConfig = PolyAttentionConfig { row_sum: RowSum::Running { momentum: 0.25 }, ..OWN };

    fn layer(config: PolyAttentionConfig, device: &Device) -> PolyAttention {
        config.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 6], 0.7, device)
    }

    /// Sums as they are written, over one head's `[tokens, d]`.
    fn loops(q: &[f64], k: &[f64], v: &[f64], d: usize, scale: f64, sees: impl Fn(usize, usize) -> bool) -> Vec<f64> {
        let tokens = q.len() / d;
        let mut out = Vec::new();
        for i in 0..tokens {
            let dot = |j: usize| (0..d).map(|c| q[i * d + c] * k[j * d + c]).sum::<f64>();
            let weight = |j: usize| if sees(i, j) { (scale * dot(j) + 1.0).powi(4) } else { 0.0 };
            let sum: f64 = (0..tokens).map(weight).sum();
            out.extend((0..d).map(|c| (0..tokens).map(|j| weight(j) * v[j * d + c]).sum::<f64>() / sum));
        }
        out
    }

    #[test]
    fn it_is_attention_with_fourth_powers() {
        let device = Device::flex();
        let config = PolyAttentionConfig { channels: 3, heads: 1, ..OWN };
        let mut layer = double(layer(config, &device));
        layer.scale = layer.scale.map(|scale| scale + 0.5);
        let x = wave([1, 5, 3], 0.7, &device);
        let [q, k, v] = layer.projections.split(x.clone()).map(numbers);
        let scale = 1.0 / (1.0 + (-0.5f64).exp());
        let output = |y: Vec<f64>| {
            numbers(layer.projections.output.forward(crate::hadamard::check::doubles(y, [1, 5, 3], &device)))
        };
        let wanted = output(loops(&q, &k, &v, 3, scale, |_, _| true));
        close(&numbers(layer.forward(x.clone(), None)), &wanted, 1e-12);
        let wanted = output(loops(&q, &k, &v, 3, scale, |i, j| j <= i));
        close(&numbers(layer.forward_causal(x.clone())), &wanted, 1e-12);
        let visible = Tensor::<2>::ones([5, 5], &device).tril(0).bool();
        close(&numbers(layer.forward(x, Some(visible))), &wanted, 1e-12);
    }

    #[test]
    fn a_query_that_sees_nothing_gives_the_outputs_bias() {
        let device = Device::flex();
        for config in [OWN, RUNNING] {
            let layer = golden(layer(config, &device));
            let nothing = Tensor::<2>::zeros([11, 11], &device).bool();
            let bias = numbers(layer.projections.output.bias.as_ref().expect("a bias").val());
            close(&numbers(layer.forward(input(&device), Some(nothing)))[..6], &bias, 1e-14);
        }
    }

    #[test]
    fn tokens_are_a_set_or_a_stream() {
        let device = Device::flex();
        for config in [OWN, RUNNING] {
            let layer = golden(layer(config, &device));
            equivariant(input(&device), |x| layer.forward(x, None));
            causal(input(&device), |x| layer.forward_causal(x));
            let whole = layer.forward_causal(input(&device));
            streams(input(&device), whole, |x, state| layer.forward_with_state(x, state));
        }
    }

    #[test]
    fn the_running_mean_is_learnt_and_then_used() {
        let device = Device::flex().autodiff();
        let layer = layer(RUNNING, &device);
        let x = input(&device).cast(burn::tensor::DType::F32);
        let visible = Tensor::<2>::ones([11, 11], &device).tril(-1).bool();
        let trained = layer.forward(x.clone(), Some(visible));
        let [q, k, _] = layer.projections.split(x.clone()).map(|x| into_heads(x, 2));
        let weights = numbers(q.mul_scalar(0.5).matmul(k.swap_dims(2, 3)).add_scalar(1.0).powi_scalar(4));
        // Row i sees keys before it; row 0 none.
        let mean = |head: usize| {
            let row = |n: usize, i: usize| {
                let start = ((n * 2 + head) * 11 + i) * 11;
                weights[start..start + i].iter().sum::<f64>() / i as f64
            };
            (0..2).flat_map(|n| (1..11).map(move |i| (n, i))).map(|(n, i)| row(n, i)).sum::<f64>() / 20.0
        };
        let frozen = layer.valid();
        let running = frozen.running.as_ref().expect("running").running_mean.value();
        close(&numbers(running), &[0.75 + 0.25 * mean(0), 0.75 + 0.25 * mean(1)], 1e-5);
        assert!(numbers(trained).iter().all(|x| x.is_finite()));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for config in [OWN, RUNNING] {
            gradients(golden(layer(config, &device)), input(&device), |layer, x| layer.forward(x, None));
            gradients(golden(layer(config, &device)), input(&device), |layer, x| layer.forward_causal(x));
        }
    }

    #[test]
    fn in_training_the_batchs_mean_takes_part_in_gradients() {
        let device = Device::flex().autodiff();
        let mut layer = golden(layer(RUNNING, &device));
        layer.running.as_mut().expect("running").training = Param::from_bool(true);
        let loss = |x: Tensor<3>| {
            let y = layer.forward_causal(x);
            (y.clone() * wave(y.dims(), 0.37, &device)).sum()
        };
        let (x, along) = (input(&device).require_grad(), wave::<3>([2, 11, 6], 1.3, &device));
        let gradient = x.grad(&loss(x.clone()).backward()).expect("takes part");
        let slope = numbers((gradient * along.clone().inner()).sum());
        let moved = |step: f64| numbers(loss(x.clone().detach() + along.clone() * step))[0];
        close(&slope, &[(moved(1e-5) - moved(-1e-5)) / 2e-5], 1e-6);
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        for (config, is_polynomial) in [(OWN, false), (RUNNING, true)] {
            let layer = layer(config, &Device::flex());
            let audit = Audit::of(&layer, &[11, 6]);
            assert_eq!((audit.parameters, audit.parameters), (parameters(&layer), 4 * (36 + 6) + 2));
            assert_eq!(audit.multiply_adds, 4 * 11 * 36 + 2 * 11 * 11 * 6);
            assert!(audit.activation_free);
            assert_eq!((audit.only_add_mul, audit.polynomial_at_inference), (is_polynomial, is_polynomial));
            // Scores of degree 2, their fourth power, and values.
            let degree = audit.log2_degree.map(|degree| degree.exp2().round());
            assert_eq!(degree, is_polynomial.then_some(9.0));
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || layer(RUNNING, &device);
        let x = || Tensor::<3>::ones([1, 3, 6], &device);
        saves_and_loads(make(), make(), |layer| layer.forward(x(), None));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refusal = |config: PolyAttentionConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        let heads = PolyAttentionConfig { heads: 4, ..OWN };
        assert_eq!(refusal(heads), "PolyAttn: channels 6 is not a multiple of heads 4");
        let momentum = PolyAttentionConfig { row_sum: RowSum::Running { momentum: 0.0 }, ..OWN };
        assert_eq!(refusal(momentum), "PolyAttn: momentum is 0, not in (0, 1]");
    }
}
