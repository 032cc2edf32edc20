//! Hydra: attention with as many heads as channels, which is one sum and two products (Bolya et al., Hydra Attention,
//! arXiv 2209.07484).
//!
//! Queries and keys are normalised over their channels, as in the paper; a port normalises over tokens. The length is
//! taken of `|x|² + ε`, so that a token of zeros gives zeros, and gradients there are finite; another port has no ε.

use super::prefix;
use super::projections::Projections;
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// How a [`Hydra`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HydraConfig {
    /// C.
    pub channels: usize,
    /// ε, added to the squared lengths of queries and keys; 1e-12 changes nothing that is not almost zero.
    pub epsilon: f64,
}

/// `y_i = W_o (q̂_i ∘ Σ_j k̂_j ∘ v_j)`, `x̂ = x / √(|x|² + ε)`.
///
/// Linear attention with C heads of one channel and no denominator; linear in the tokens.
#[derive(Module, Debug)]
pub struct Hydra {
    /// Queries, keys, values and output.
    pub projections: Projections,
    epsilon: f64,
}

/// What [`Hydra`] remembers of the tokens so far.
#[derive(Debug, Clone)]
pub struct HydraState {
    /// `Σ_j k̂_j ∘ v_j`, `[n, 1, channels]`.
    pub sum: Tensor<3>,
}

impl HydraConfig {
    /// Makes the layer. Zero channels are refused.
    pub fn init(&self, device: &Device) -> Result<Hydra> {
        nonzero("Hydra", &[("channels", self.channels)])?;
        Ok(Hydra { projections: Projections::new(self.channels, device), epsilon: self.epsilon })
    }
}

/// `x / √(|x|² + ε)` over the channels.
fn unit(x: Tensor<3>, epsilon: f64) -> Tensor<3> {
    let length = (x.clone() * x.clone()).sum_dim(2).add_scalar(epsilon).sqrt();
    x / length
}

impl Hydra {
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [q, k, v] = self.projections.split(x);
        let sum = (unit(k, self.epsilon) * v).sum_dim(1);
        self.projections.output.forward(unit(q, self.epsilon) * sum)
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
    /// - `x`, output: `[n, tokens, channels]`, at least one token
    pub fn forward_with_state(&self, x: Tensor<3>, state: Option<HydraState>) -> (Tensor<3>, HydraState) {
        let [q, k, v] = self.projections.split(x);
        let sums = prefix::sums(unit(k, self.epsilon) * v, state.map(|state| state.sum));
        let state = HydraState { sum: prefix::last(sums.clone()) };
        (self.projections.output.forward(unit(q, self.epsilon) * sums), state)
    }
}

impl Describe for Hydra {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [q, k, v] = self.projections.describe(trace, &x);
        let channels = x.shape()[1];
        let k = trace.normalise("key.unit", 0, &k);
        let kv = trace.product("key.value", &k, &v);
        let sum = trace.mean("sum", &kv, &[1, channels]);
        let q = trace.normalise("query.unit", 0, &q);
        let y = trace.product("query.sum", &q, &sum);
        trace.linear("output", &self.projections.output, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::pairwise::check::{causal, equivariant, loops, streams};
    use crate::hadamard::pairwise::linear_attention;
    use crate::hadamard::pairwise::projections::into_heads;

    fn hydra(device: &Device) -> Hydra {
        HydraConfig { channels: 6, epsilon: 1e-12 }.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 6], 0.7, device)
    }

    #[test]
    fn it_is_linear_attention_with_a_head_for_each_channel_and_no_denominator() {
        let device = Device::flex();
        let hydra = golden(hydra(&device));
        let [q, k, v] = hydra.projections.split(input(&device));
        // Plain normalisation: no token of the input is near zero.
        let plain = |x: Tensor<3>| x.clone() / (x.clone() * x).sum_dim(2).sqrt();
        let [q, k, v] = [plain(q), plain(k), v].map(|x| into_heads(x, 6));
        let y = linear_attention::attend(q, k, v, None).swap_dims(1, 2).reshape([2, 11, 6]);
        let wanted = hydra.projections.output.forward(y);
        close(&numbers(hydra.forward(input(&device))), &numbers(wanted), 1e-11);
    }

    #[test]
    fn causal_sums_are_those_of_a_loop() {
        let device = Device::flex();
        let hydra = golden(hydra(&device));
        loops(input(&device), |x| hydra.forward(x), |x| hydra.forward_causal(x));
    }

    #[test]
    fn tokens_are_a_set_or_a_stream() {
        let device = Device::flex();
        let hydra = golden(hydra(&device));
        equivariant(input(&device), |x| hydra.forward(x));
        causal(input(&device), |x| hydra.forward_causal(x));
        let whole = hydra.forward_causal(input(&device));
        streams(input(&device), whole, |x, state| hydra.forward_with_state(x, state));
    }

    #[test]
    fn gradients_are_those_of_differences_and_finite_at_zero() {
        let device = Device::flex().autodiff();
        gradients(golden(hydra(&device)), input(&device), |hydra, x| hydra.forward(x));
        gradients(golden(hydra(&device)), input(&device), |hydra, x| hydra.forward_causal(x));
        // A token whose query, key and value are zeros; ε so large that differences of 1e-5 see a smooth function.
        let mut layer = golden(HydraConfig { channels: 6, epsilon: 0.01 }.init(&device).expect("sizes"));
        let Projections { query, key, value, .. } = &mut layer.projections;
        [query, key, value].into_iter().for_each(|linear| linear.bias = None);
        let zero = input(&device).slice_assign([0..2, 3..4, 0..6], input(&device).zeros_like().narrow(1, 3, 1));
        gradients(layer, zero, |hydra, x| hydra.forward(x));
        let zero = Tensor::<3>::zeros([1, 3, 2], &device).require_grad();
        let grads = unit(zero.clone(), 1e-12).sum().backward();
        close(&numbers(zero.grad(&grads).expect("takes part")), &[1e6; 6], 1e-6);
        assert_eq!(numbers(unit(zero, 1e-12)), [0.0; 6]);
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let hydra = hydra(&Device::flex());
        let audit = Audit::of(&hydra, &[11, 6]);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&hydra), 4 * (36 + 6)));
        assert_eq!(audit.multiply_adds, 4 * 11 * 36);
        assert_eq!(audit.ciphertext_products, 2 * 11 * 6);
        assert!(audit.activation_free && audit.log2_degree.is_none() && !audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(hydra(&device), hydra(&device), |hydra| hydra.forward(Tensor::ones([1, 3, 6], &device)));
    }

    #[test]
    fn zero_channels_are_refused() {
        let error = HydraConfig { channels: 0, epsilon: 1e-12 }.init(&Device::flex()).expect_err("no channels");
        assert_eq!(error.to_string(), "Hydra: channels is 0");
    }
}
