//! Self-attention over tuples of tokens (Alman & Song, arXiv 2310.04064), with projections for each key and value axis.
//!
//! ```text
//! q = Q x,  k_a = K_a x,  v_a = V_a x              for each key axis a
//! out = W concat over heads of Σ softmax(scale · form(q, k_1, ..)) v_1 ∘ v_2 ..  plus a bias
//! ```
//!
//! Order 2 is ordinary multi-head attention. Normalised queries and keys (RMS, with a learned gain for each head) bound the
//! scores by the product of the gains' absolute values, the cure for a logit that is cubic in the weights.

mod attend;
mod ops;
mod rotary;

#[cfg(test)]
mod tests;

pub use attend::{Attend, Attended, Operands, PairBias, tensor_attention};

use crate::engine::{fold, parts};
use crate::error::{Error, Result, nonzero, probability};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Bool, Device, Distribution, Tensor};
use polyad_attention::polynomial::{Method, Options, Tolerance};
use polyad_attention::{Dropout, MOST_ORDER, MOST_WIDTH, Problem, ScoreForm};
use std::sync::Arc;

/// How a [`TensorAttention`] is made.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorAttentionConfig {
    /// Numbers a token.
    pub dim: usize,
    /// Heads of the queries, which divide `dim`.
    pub heads: usize,
    /// Heads of keys and values, which divide `heads`.
    pub key_heads: usize,
    /// 2 for pairs, 3 for triples, up to 8.
    pub order: usize,
    /// How a score is made.
    pub form: ScoreForm,
    /// A token sees those before it and itself.
    pub causal: bool,
    /// For each key axis how far back a token sees; empty: everything.
    pub windows: Vec<Option<usize>>,
    /// Rotary positions with this base, for the determinant form, which they leave in place (2507.02754).
    pub rotary: Option<f64>,
    /// Queries and keys are normalised, each head with a learned gain.
    pub qk_norm: bool,
    /// Dropout on the attention weights.
    pub dropout: f64,
    /// How it is computed. `Polynomial` is near-linear in the tokens where scores are small, which `qk_norm` sees to, and
    /// certified; it has no dropout. `Sketch` is an estimate; it has neither causality nor windows, and in training, since it
    /// has no gradient, it is exact.
    pub method: Method,
    /// The error that methods other than exact may make, as a share of the greatest product of values of a head.
    pub tolerance: f64,
}

impl TensorAttentionConfig {
    /// All tokens see all, linear form, no dropout.
    pub fn new(dim: usize, heads: usize, order: usize) -> Self {
        TensorAttentionConfig {
            dim,
            heads,
            key_heads: heads,
            order,
            form: ScoreForm::Linear,
            causal: false,
            windows: Vec::new(),
            rotary: None,
            qk_norm: false,
            dropout: 0.0,
            method: Method::Exact,
            tolerance: 1e-2,
        }
    }

    /// What is asked of methods other than exact. Any number of rows may be exact, so that it can always be done.
    fn approximation(&self) -> Option<Options> {
        (self.method != Method::Exact).then(|| Options::new(self.method, Tolerance::Relative(self.tolerance)))
    }

    /// Features of a head.
    fn width(&self) -> usize {
        self.dim / self.heads
    }

    /// Scores of independent normal operands deviate by about one: `1 / √d`, or, where queries and keys are normalised,
    /// `d^(−order / 2)` times gains that begin at `d^((order − 1) / (2 order))`, so that the gains bound them.
    fn scale(&self) -> f64 {
        let width = self.width() as f64;
        if self.qk_norm { width.powf(-0.5 * self.order as f64) } else { 1.0 / width.sqrt() }
    }

    /// A problem without tokens, to be filled in.
    fn problem(&self) -> Problem {
        Problem {
            heads: self.heads,
            key_heads: self.key_heads,
            form: self.form,
            causal: self.causal,
            windows: self.windows.clone(),
            ..Problem::new(self.order, 1, self.width(), self.scale() as f32)
        }
    }

    /// Makes the layer. Sizes that cannot be are refused, by name.
    pub fn init(&self, device: &Device) -> Result<TensorAttention> {
        let refuse = |problem: String| Err(Error::config("tensor attention", problem));
        nonzero("tensor attention", &[("dim", self.dim), ("heads", self.heads), ("key_heads", self.key_heads)])?;
        probability("tensor attention", "dropout", self.dropout)?;
        if !self.dim.is_multiple_of(self.heads) || self.width() > MOST_WIDTH {
            return refuse(format!(
                "{} heads of dim {}: heads divide it, and have at most {MOST_WIDTH} features",
                self.heads, self.dim
            ));
        }
        if !(2..=MOST_ORDER).contains(&self.order) {
            return refuse(format!("order is {}; it can be 2 to {MOST_ORDER}", self.order));
        }
        if let Err(why) = self.problem().check() {
            return refuse(why.to_string());
        }
        if let Some(Err(why)) = self.approximation().map(|options| options.check()) {
            return refuse(why.to_string());
        }
        if self.method == Method::Sketch && (self.causal || !self.windows.is_empty()) {
            return refuse("causality or windows, which a sketch does not do".into());
        }
        if self.method == Method::Polynomial && self.dropout > 0.0 {
            return refuse("dropout, which the polynomial method does not do; `Auto` does it exactly".into());
        }
        if self.rotary.is_some() && self.form != ScoreForm::Determinant {
            return refuse(format!("rotary positions with the {} form, which they would change", self.form.name()));
        }
        if self.rotary.is_some_and(|base| !(base.is_finite() && base > 1.0)) {
            return refuse(format!("a rotary base of {:?}; it must be more than 1", self.rotary));
        }
        let linear = |to: usize| LinearConfig::new(self.dim, to).with_bias(false).init(device);
        let keys = self.key_heads * self.width();
        let axes = 1..self.order;
        let gain = (self.width() as f64).powf((self.order as f64 - 1.0) / (2.0 * self.order as f64));
        let gains = |operand: usize| {
            let heads = if operand == 0 { self.heads } else { self.key_heads };
            Param::from_tensor(Tensor::<1>::full([heads], gain, device))
        };
        Ok(TensorAttention {
            query: linear(self.dim),
            keys: axes.clone().map(|_| linear(keys)).collect(),
            values: axes.map(|_| linear(keys)).collect(),
            output: LinearConfig::new(self.dim, self.dim).init(device),
            gains: self.qk_norm.then(|| (0..self.order).map(gains).collect()),
            config: Settings(self.clone()),
        })
    }
}

/// The configuration, which is no parameter.
#[derive(Debug, Clone, PartialEq)]
struct Settings(TensorAttentionConfig);

/// Self-attention of any order.
#[derive(Module, Debug)]
pub struct TensorAttention {
    /// `[dim, dim]`, no bias.
    pub query: Linear,
    /// For each key axis `[dim, key_heads · d]`, no bias.
    pub keys: Vec<Linear>,
    /// The same for values.
    pub values: Vec<Linear>,
    /// `[dim, dim]` and a bias.
    pub output: Linear,
    /// If normalised: for the query, then each key axis, `[heads]`.
    pub gains: Option<Vec<Param<Tensor<1>>>>,
    #[module(skip)]
    config: Settings,
}

/// Keys and values of the tokens so far, for decoding.
#[derive(Debug, Clone, Default)]
pub struct TensorAttentionCache {
    /// For each key axis `[batch, key_heads, tokens, d]`.
    keys: Vec<Tensor<4>>,
    values: Vec<Tensor<4>>,
}

impl TensorAttentionCache {
    /// Tokens so far.
    pub fn tokens(&self) -> usize {
        self.keys.first().map_or(0, |keys| keys.dims()[2])
    }
}

impl TensorAttention {
    /// Lets every token attend to tuples of visible ones.
    ///
    /// # Shapes
    /// - x: `[batch, tokens, dim]`
    /// - absent: `[batch, tokens]`, true where there is no token; `None`: all are there
    /// - output: `[batch, tokens, dim]`; rows of absent tokens are finite and mean nothing
    pub fn forward(&self, x: Tensor<3>, absent: Option<Tensor<2, Bool>>) -> Tensor<3> {
        let hidden = absent.map(|absent| absent.into_data().iter::<bool>().collect::<Arc<[bool]>>());
        self.attend(x, hidden, &mut TensorAttentionCache::default())
    }

    /// Goes on with new tokens after those in the cache, and puts them into it. Only a causal layer gives the same as
    /// [`TensorAttention::forward`] over all tokens at once; others see all tokens so far.
    ///
    /// # Shapes
    /// - x: `[batch, new tokens, dim]`, the batch being the cache's
    /// - output: the same
    pub fn decode(&self, x: Tensor<3>, cache: &mut TensorAttentionCache) -> Tensor<3> {
        self.attend(x, None, cache)
    }

    /// Queries, and keys and values of each axis, as they are attended with, `before` tokens having gone before.
    fn projected(&self, x: Tensor<3>, before: usize) -> Operands {
        let config = &self.config.0;
        let width = config.width();
        let [batch, tokens, _] = x.dims();
        let split = |x: Tensor<3>, heads: usize| x.reshape([batch, tokens, heads, width]).swap_dims(1, 2);
        let place = |x: Tensor<4>, operand: usize| {
            let x = self.normalised(x, operand);
            match config.rotary {
                Some(base) => rotary::rotated(x, before, base),
                None => x,
            }
        };
        let q = place(split(self.query.forward(x.clone()), config.heads), 0);
        let of = |linears: &[Linear]| -> Vec<Tensor<4>> {
            linears.iter().map(|linear| split(linear.forward(x.clone()), config.key_heads)).collect()
        };
        let keys = of(&self.keys).into_iter().zip(1..).map(|(keys, operand)| place(keys, operand)).collect();
        Operands::new(q, keys, of(&self.values))
    }

    /// What [`TensorAttention::forward`] attends with, and how: to look at, or to compute elsewhere.
    ///
    /// # Shapes
    /// - x: `[batch, tokens, dim]`
    pub fn operands(&self, x: Tensor<3>) -> (Operands, Problem) {
        let [batch, tokens, _] = x.dims();
        let config = &self.config.0;
        let problem = Problem { batch, queries: tokens, keys: vec![tokens; config.order - 1], ..config.problem() };
        (self.projected(x, 0), problem)
    }

    fn attend(&self, x: Tensor<3>, hidden: Option<Arc<[bool]>>, cache: &mut TensorAttentionCache) -> Tensor<3> {
        let config = &self.config.0;
        let before = cache.tokens();
        let [batch, tokens, dim] = x.dims();
        let Operands { q, keys, values, .. } = self.projected(x.clone(), before);
        cache.keys = joined(std::mem::take(&mut cache.keys), keys);
        cache.values = joined(std::mem::take(&mut cache.values), values);
        let problem = Problem {
            batch,
            queries: tokens,
            keys: vec![before + tokens; config.order - 1],
            dropout: self.dropout(&x.device()),
            ..config.problem()
        };
        let learns = x.device().is_autodiff();
        let approximation = config.approximation().filter(|options| options.method != Method::Sketch || !learns);
        let operands = Operands::new(q, cache.keys.clone(), cache.values.clone());
        let attended = tensor_attention(operands, &Attend { problem, hidden, approximation })
            .expect("shapes that follow from the layer's own sizes");
        self.output.forward(attended.out.swap_dims(1, 2).reshape([batch, tokens, dim]))
    }

    /// The layer at inference, without a framework.
    ///
    /// # Errors
    /// Where tokens do not all see all, scores have another form than the linear one, heads share keys, or the method is not
    /// exact.
    pub fn to_run(&self) -> Result<polyad_run::Attention> {
        let config = &self.config.0;
        let plain = TensorAttentionConfig {
            qk_norm: config.qk_norm,
            dropout: config.dropout,
            tolerance: config.tolerance,
            ..TensorAttentionConfig::new(config.dim, config.heads, config.order)
        };
        if *config != plain {
            return Err(Error::config("tensor attention", format!("{config:?} does not run alone, only {plain:?}")));
        }
        let linears = |of: &[Linear]| of.iter().map(|linear| parts::linear(linear, None)).collect::<Result<Vec<_>>>();
        let gains = self.gains.iter().flatten().map(|gains| fold::numbers(gains.val()));
        Ok(polyad_run::Attention {
            heads: config.heads,
            scale: config.scale() as f32,
            query: parts::linear(&self.query, None)?,
            keys: linears(&self.keys)?,
            values: linears(&self.values)?,
            output: parts::linear(&self.output, None)?,
            gains: gains.collect::<Result<_>>()?,
        })
    }

    /// Each head's features over their root mean square, times its gain.
    fn normalised(&self, x: Tensor<4>, operand: usize) -> Tensor<4> {
        let Some(gains) = &self.gains else { return x };
        let gain = gains[operand].val();
        let heads = gain.dims()[0];
        let mean_square = x.clone().powf_scalar(2.0).mean_dim(3);
        x / mean_square.add_scalar(1e-6).sqrt() * gain.reshape([1, heads, 1, 1])
    }

    /// Dropout with a fresh seed from the device's generator, in training.
    fn dropout(&self, device: &Device) -> Option<Dropout> {
        let rate = self.config.0.dropout as f32;
        if rate == 0.0 || !device.is_autodiff() {
            return None;
        }
        let words = Tensor::<1>::random([2], Distribution::Uniform(0.0, 16_777_216.0), device).into_data();
        let seed = words.iter::<f32>().fold(0, |seed, word| seed << 24 | word as u64);
        Some(Dropout { rate, seed })
    }
}

impl Describe for TensorAttention {
    /// By the tuples that are visited one by one: `order` products each for the score and for the weighted values.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let config = &self.config.0;
        let [tokens, dim] = [x.shape()[0], x.shape()[1]];
        let (heads, tuples) = (config.heads, tokens.pow(config.order as u32));
        let normalised = |trace: &mut Trace, x: &Signal, operand: usize| match &self.gains {
            Some(gains) => trace.normalise("qk_norm", gains[operand].lazy_shape().num_elements(), x),
            None => x.clone(),
        };
        let q = trace.linear("query", &self.query, &x);
        let mut scores = normalised(trace, &q, 0);
        let mut values = None;
        for (axis, (keys, of_values)) in self.keys.iter().zip(&self.values).enumerate() {
            let keys = trace.linear(&format!("keys.{axis}"), keys, &x);
            let keys = normalised(trace, &keys, axis + 1);
            let so_far = tokens.pow(axis as u32 + 2);
            scores = trace.matmul("scores", &scores, &keys, so_far * dim, &[heads, so_far]);
            let next = trace.linear(&format!("values.{axis}"), of_values, &x);
            values = Some(match values {
                Some(values) => {
                    let pairs = tokens.pow(axis as u32 + 1);
                    trace.matmul("values", &values, &next, pairs * dim, &[pairs, dim])
                }
                None => next,
            });
        }
        let weights = trace.activation("softmax", 0, &scores);
        let values = values.expect("an order of at least 2");
        let mixed = trace.matmul("mixed", &weights, &values, tuples * dim, &[tokens, dim]);
        trace.linear("output", &self.output, &mixed)
    }
}

/// What there was, then what is new.
fn joined(before: Vec<Tensor<4>>, new: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
    if before.is_empty() {
        return new;
    }
    before.into_iter().zip(new).map(|(before, new)| Tensor::cat(vec![before, new], 2)).collect()
}
