//! Attention free transformer: every channel has its own weights for the tokens, `e^{k_j + w_ij}` (Zhai et al., An
//! Attention Free Transformer, arXiv 2105.14103).
//!
//! | layer | `w_ij` | cost |
//! |---|---|---|
//! | [`AftFull`] | learnt for each pair of positions | quadratic in the tokens |
//! | [`AftLocal`] | learnt within a window, zero outside, where pairs count as well | linear, times the window |
//! | [`AftSimple`] | zero | linear |
//!
//! All sums are relative to their greatest exponent, so that keys of any size are right; a public port has no such
//! shift, and overflows in single precision from keys of 88 on.

mod full;
mod local;

pub use full::{AftFull, AftFullConfig, AftFullState};
pub use local::{AftLocal, AftLocalConfig, AftLocalState};

use super::projections::Projections;
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

/// Sums over tokens of `e^a` and `e^a ∘ v`, both divided by `e^greatest`.
///
/// The greatest is no variable of the gradient: the quotient of the sums does not depend on it.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// The greatest `a`, `[n, tokens, channels]`.
    pub greatest: Tensor<3>,
    /// `Σ e^(a − greatest) ∘ v`, the same.
    pub numerator: Tensor<3>,
    /// `Σ e^(a − greatest)`, the same.
    pub denominator: Tensor<3>,
}

/// Less than any exponent, and finite, so that the difference of two is a number.
const NOTHING: f64 = -1e30;

impl Weighted {
    /// Sums over no token.
    fn none(like: Tensor<3>) -> Self {
        let zeros = like.zeros_like();
        Weighted { greatest: zeros.full_like(NOTHING), numerator: zeros.clone(), denominator: zeros }
    }

    /// Each token a sum of its own, `[n, tokens, channels]`.
    fn each(keys: Tensor<3>, values: Tensor<3>) -> Self {
        let greatest = keys.clone().detach();
        let denominator = (keys - greatest.clone()).exp();
        Weighted { greatest, numerator: denominator.clone() * values, denominator }
    }

    /// Sums over all tokens, `[n, 1, channels]`.
    fn all(keys: Tensor<3>, values: Tensor<3>) -> Self {
        let greatest = keys.clone().detach().max_dim(1);
        let weights = (keys - greatest.clone()).exp();
        Weighted { greatest, numerator: (weights.clone() * values).sum_dim(1), denominator: weights.sum_dim(1) }
    }

    /// Sums over axis 2 of `[n, tokens, group, channels]`.
    fn groups(exponents: Tensor<4>, values: Tensor<4>) -> Self {
        let greatest = exponents.clone().detach().max_dim(2);
        let weights = (exponents - greatest.clone()).exp();
        let numerator = (weights.clone() * values).sum_dim(2).squeeze_dim(2);
        Weighted { greatest: greatest.squeeze_dim(2), numerator, denominator: weights.sum_dim(2).squeeze_dim(2) }
    }

    /// Sums over a block's keys for each of its queries, `[n, blocks · queries, channels]`, as a product of matrices:
    /// `e^{k_j + w_ij} = e^{w_ij} e^{k_j}`, each relative to its greatest. Right for keys of any size, if all of them
    /// are seen and the biases of a query differ by less than 80 (single precision; 700 in double).
    ///
    /// # Shapes
    /// - `bias`: `[blocks, queries, keys]`
    /// - `keys`, `values`: `[n, blocks, keys, channels]`
    fn by_matrix(bias: Tensor<3>, keys: Tensor<4>, values: Tensor<4>) -> Self {
        let ([n, blocks, _, channels], [_, queries, _]) = (keys.dims(), bias.dims());
        let (greatest_key, greatest_bias) = (keys.clone().detach().max_dim(2), bias.clone().detach().max_dim(2));
        let weights = (keys - greatest_key.clone()).exp();
        let both = Tensor::cat(vec![weights.clone() * values, weights], 3);
        let sums = (bias - greatest_bias.clone()).exp().unsqueeze::<4>().matmul(both);
        let flat = |x: Tensor<4>| x.reshape([n, blocks * queries, channels]);
        Weighted {
            greatest: flat(greatest_bias.unsqueeze::<4>() + greatest_key),
            numerator: flat(sums.clone().narrow(3, 0, channels)),
            denominator: flat(sums.narrow(3, channels, channels)),
        }
    }

    /// As [`by_matrix`](Self::by_matrix) for as many queries as keys, of which no later one is seen. An exponential for
    /// each pair: beside a later key, those that are seen might vanish.
    fn by_pairs(bias: Tensor<3>, keys: Tensor<4>, values: Tensor<4>) -> Self {
        let [n, blocks, tokens, channels] = keys.dims();
        let later = bias.ones_like().triu(1) * NOTHING;
        let bias = (bias + later).reshape([1, blocks, tokens, tokens, 1]);
        let rows = |x: Tensor<4>| x.unsqueeze_dim::<5>(2).repeat_dim(2, tokens);
        let pairs = |x: Tensor<5>| x.reshape([n, blocks * tokens, tokens, channels]);
        Weighted::groups(pairs(rows(keys) + bias), pairs(rows(values)))
    }

    /// Sums over the tokens of both.
    fn merge(self, other: Self) -> Self {
        let greatest = self.greatest.clone().max_pair(other.greatest.clone());
        let one = (self.greatest - greatest.clone()).exp();
        let two = (other.greatest - greatest.clone()).exp();
        Weighted {
            greatest,
            numerator: self.numerator * one.clone() + other.numerator * two.clone(),
            denominator: self.denominator * one + other.denominator * two,
        }
    }

    /// Tokens `start..start + len`.
    fn narrow(&self, start: usize, len: usize) -> Self {
        self.map(|x| x.clone().narrow(1, start, len))
    }

    fn map(&self, f: impl Fn(&Tensor<3>) -> Tensor<3>) -> Self {
        Weighted { greatest: f(&self.greatest), numerator: f(&self.numerator), denominator: f(&self.denominator) }
    }

    /// The tokens of one after those of the other.
    fn cat(self, other: Self) -> Self {
        let join = |a, b| Tensor::cat(vec![a, b], 1);
        Weighted {
            greatest: join(self.greatest, other.greatest),
            numerator: join(self.numerator, other.numerator),
            denominator: join(self.denominator, other.denominator),
        }
    }

    fn tokens(&self) -> usize {
        self.greatest.dims()[1]
    }

    /// Sums over each token and those before it, by doubling: after step s each holds those of 2^s tokens.
    fn prefixes(mut self) -> Self {
        let tokens = self.tokens();
        let mut reach = 1;
        while reach < tokens {
            let earlier = self.narrow(0, tokens - reach);
            self = self.narrow(0, reach).cat(earlier.merge(self.narrow(reach, tokens - reach)));
            reach *= 2;
        }
        self
    }

    /// `Σ e^a ∘ v / Σ e^a`.
    fn mean(self) -> Tensor<3> {
        self.numerator / self.denominator
    }
}

/// How an [`AftSimple`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AftSimpleConfig {
    /// C.
    pub channels: usize,
}

/// `y_i = W_o (σ(q_i) ∘ Σ_j e^{k_j} ∘ v_j / Σ_j e^{k_j})`.
///
/// Linear in the tokens.
#[derive(Module, Debug)]
pub struct AftSimple {
    /// Queries, keys, values and output.
    pub projections: Projections,
}

impl AftSimpleConfig {
    /// Makes the layer. Zero channels are refused.
    pub fn init(&self, device: &Device) -> Result<AftSimple> {
        nonzero("simple AFT", &[("channels", self.channels)])?;
        Ok(AftSimple { projections: Projections::new(self.channels, device) })
    }
}

impl AftSimple {
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [q, k, v] = self.projections.split(x);
        self.projections.output.forward(sigmoid(q) * Weighted::all(k, v).mean())
    }

    /// Each token sees itself and earlier ones.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    pub fn forward_causal(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with_state(x, None).0
    }

    /// As [`forward_causal`](Self::forward_causal), for tokens that follow those of `state`, `[n, 1, channels]`
    /// each.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`, at least one token
    pub fn forward_with_state(&self, x: Tensor<3>, state: Option<Weighted>) -> (Tensor<3>, Weighted) {
        let [q, k, v] = self.projections.split(x);
        let prefixes = Weighted::each(k, v).prefixes();
        let prefixes = match state {
            Some(before) => before.merge(prefixes),
            None => prefixes,
        };
        let state = prefixes.narrow(prefixes.tokens() - 1, 1);
        (self.projections.output.forward(sigmoid(q) * prefixes.mean()), state)
    }
}

impl Describe for AftSimple {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let channels = x.shape()[1];
        let [q, k, v] = self.projections.describe(trace, &x);
        let weights = trace.activation("key.exponential", 0, &k);
        let weighted = trace.product("key.value", &weights, &v);
        let numerator = trace.mean("numerator", &weighted, &[1, channels]);
        let denominator = trace.mean("denominator", &weights, &[1, channels]);
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
    use crate::hadamard::pairwise::check::{causal, equivariant, loops, streams};

    fn layer(device: &Device) -> AftSimple {
        AftSimpleConfig { channels: 5 }.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 5], 0.7, device)
    }

    #[test]
    fn it_is_a_softmax_over_tokens() {
        let device = Device::flex();
        let layer = golden(layer(&device));
        let [q, k, v] = layer.projections.split(input(&device));
        let mean = (burn::tensor::activation::softmax(k, 1) * v).sum_dim(1);
        let wanted = layer.projections.output.forward(sigmoid(q) * mean);
        close(&numbers(layer.forward(input(&device))), &numbers(wanted), 1e-12);
    }

    #[test]
    fn large_keys_do_not_overflow() {
        let device = Device::flex();
        // Means by hand: -200 counts nothing beside 200, alone it is all there is.
        let tensor = |numbers: [f64; 4]| doubles(numbers.to_vec(), [1, 4, 1], &device).cast(burn::tensor::DType::F32);
        let (keys, values) = (tensor([-200.0, 200.0, 200.0, -200.0]), tensor([1.0, 2.0, 4.0, 8.0]));
        let each = Weighted::each(keys.clone(), values.clone());
        assert_eq!(numbers(each.prefixes().mean()), [1.0, 2.0, 3.0, 3.0]);
        assert_eq!(numbers(Weighted::all(keys, values).mean()), [3.0]);
    }

    #[test]
    fn causal_sums_are_those_of_a_loop() {
        let device = Device::flex();
        let layer = golden(layer(&device));
        loops(input(&device), |x| layer.forward(x), |x| layer.forward_causal(x));
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
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(&device)), input(&device), |layer, x| layer.forward(x));
        gradients(golden(layer(&device)), input(&device), |layer, x| layer.forward_causal(x));
        // Tokens alike: all keys are the greatest.
        gradients(golden(layer(&device)), Tensor::<3>::zeros([1, 3, 5], &device), |layer, x| layer.forward_causal(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = layer(&Device::flex());
        let audit = Audit::of(&layer, &[11, 5]);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&layer), 4 * (25 + 5)));
        assert_eq!(audit.multiply_adds, 4 * 11 * 25);
        assert!(!audit.activation_free && audit.log2_degree.is_none());
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(&device), layer(&device), |layer| layer.forward(Tensor::ones([1, 3, 5], &device)));
    }

    #[test]
    fn zero_channels_are_refused() {
        let error = AftSimpleConfig { channels: 0 }.init(&Device::flex()).expect_err("no channels");
        assert_eq!(error.to_string(), "simple AFT: channels is 0");
    }
}
