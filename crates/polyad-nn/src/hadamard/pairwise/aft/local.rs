//! AFT-local: learnt biases within a window, zero outside. The window does not truncate: all tokens count.

use super::{NOTHING, Weighted};
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use crate::hadamard::pairwise::projections::Projections;
use burn::module::{Initializer, Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

/// How an [`AftLocal`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AftLocalConfig {
    /// C.
    pub channels: usize,
    /// N: no input may be longer.
    pub maximum: usize,
    /// s, at least 1: pairs less than s apart have a bias.
    pub window: usize,
}

/// As AFT-full, `w_ij` being zero where `|i − j| ≥ s`.
///
/// Linear in the tokens, times the window: sums before and behind the window are sums over the first and the last tokens.
#[derive(Module, Debug)]
pub struct AftLocal {
    /// Queries, keys, values and output.
    pub projections: Projections,
    /// `[maximum, 2s − 1]`: row i holds `w_ij` for j from `i − s + 1` to `i + s − 1`.
    pub bias: Param<Tensor<2>>,
}

/// What [`AftLocal`] remembers of the tokens so far.
#[derive(Debug, Clone)]
pub struct AftLocalState {
    /// Keys and values of the newest `s − 1` tokens, or of all there are, `[n, ≤ s − 1, channels]`; `None` where s is 1.
    pub newest: Option<[Tensor<3>; 2]>,
    /// Sums over the tokens before those, `[n, 1, channels]`.
    pub earlier: Weighted,
    /// How many tokens there were.
    pub tokens: usize,
}

impl AftLocalConfig {
    /// Makes the layer, its biases normal with deviation 0.01. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<AftLocal> {
        let AftLocalConfig { channels, maximum, window } = *self;
        nonzero("local AFT", &[("channels", channels), ("maximum", maximum), ("window", window)])?;
        let bias = Initializer::Normal { mean: 0.0, std: 0.01 }.init([maximum, 2 * window - 1], device);
        Ok(AftLocal { projections: Projections::new(channels, device), bias })
    }
}

/// `before` tokens of `fill` in front and `after` behind.
fn padded(x: Tensor<3>, before: usize, after: usize, fill: f64) -> Tensor<3> {
    let [n, _, channels] = x.dims();
    let filled = |tokens| Tensor::full([n, tokens, channels], fill, (&x.device(), x.dtype()));
    let mut parts = vec![x.clone()];
    if before > 0 {
        parts.insert(0, filled(before));
    }
    if after > 0 {
        parts.push(filled(after));
    }
    Tensor::cat(parts, 1)
}

/// Tokens `i..i + size` for each i, `[n, tokens − size + 1, size, channels]`.
fn windows(x: Tensor<3>, size: usize) -> Tensor<4> {
    let count = x.dims()[1] + 1 - size;
    Tensor::stack((0..size).map(|offset| x.clone().narrow(1, offset, count)).collect(), 2)
}

/// Sums over tokens that are at least `distance` before each, of sums over prefixes; `first` before any.
fn behind(prefixes: &Weighted, distance: usize, first: &Weighted) -> Weighted {
    let tokens = prefixes.tokens();
    let missing = distance.min(tokens);
    let start = first.map(|x| x.clone().repeat_dim(1, missing));
    if missing == tokens { start } else { start.cat(prefixes.narrow(0, tokens - missing)) }
}

impl AftLocal {
    fn window(&self) -> usize {
        self.bias.dims()[1].div_ceil(2)
    }

    /// Biases of queries from `start` on, offsets from `-(s − 1)` on: `[1, queries, offsets, 1]`.
    fn biases(&self, start: usize, queries: usize, offsets: usize) -> Tensor<4> {
        let ([maximum, _], end) = (self.bias.dims(), start + queries);
        assert!(end <= maximum, "local AFT: {end} tokens are more than the maximum of {maximum}");
        self.bias.val().slice([start..end, 0..offsets]).reshape([1, queries, offsets, 1])
    }

    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    ///
    /// # Panics
    /// For more tokens than the maximum.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let ([_, tokens, _], window) = (x.dims(), self.window());
        let [q, k, v] = self.projections.split(x);
        let around = |x: &Tensor<3>, fill| windows(padded(x.clone(), window - 1, window - 1, fill), 2 * window - 1);
        let near = around(&k, NOTHING) + self.biases(0, tokens, 2 * window - 1);
        let near = Weighted::groups(near, around(&v, 0.0));
        let none = Weighted::none(k.clone().narrow(1, 0, 1));
        let flip = |x: &Tensor<3>| x.clone().flip([1]);
        let each = Weighted::each(k, v);
        let later = behind(&each.map(flip).prefixes(), window, &none).map(flip);
        let mean = behind(&each.prefixes(), window, &none).merge(near).merge(later).mean();
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
    pub fn forward_with_state(&self, x: Tensor<3>, state: Option<AftLocalState>) -> (Tensor<3>, AftLocalState) {
        let ([_, tokens, _], window) = (x.dims(), self.window());
        let [q, k, v] = self.projections.split(x);
        let (newest, earlier, start) = match state {
            Some(state) => (state.newest, state.earlier, state.tokens),
            None => (None, Weighted::none(k.clone().narrow(1, 0, 1)), 0),
        };
        let kept = newest.as_ref().map_or(0, |[keys, _]| keys.dims()[1]);
        let [k, v] = match newest {
            Some([keys, values]) => [Tensor::cat(vec![keys, k], 1), Tensor::cat(vec![values, v], 1)],
            None => [k, v],
        };
        let missing = window - 1 - kept;
        let up_to = |x: &Tensor<3>, fill| windows(padded(x.clone(), missing, 0, fill), window);
        let near = Weighted::groups(up_to(&k, NOTHING) + self.biases(start, tokens, window), up_to(&v, 0.0));
        let prefixes = earlier.clone().merge(Weighted::each(k.clone(), v.clone()).prefixes());
        let far = behind(&prefixes, window, &earlier).narrow(kept, tokens);

        let total = kept + tokens;
        let keep = total.min(window - 1);
        let earlier = if keep == total { earlier } else { prefixes.narrow(total - keep - 1, 1) };
        let newest = (keep > 0).then(|| [k, v].map(|x| x.narrow(1, total - keep, keep)));
        let state = AftLocalState { newest, earlier, tokens: start + tokens };
        (self.projections.output.forward(sigmoid(q) * far.merge(near).mean()), state)
    }
}

impl Describe for AftLocal {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [tokens, channels] = [x.shape()[0], x.shape()[1]];
        let offsets = self.bias.dims()[1];
        let [q, k, v] = self.projections.describe(trace, &x);
        let [keys, values] = [("key.windows", &k), ("value.windows", &v)]
            .map(|(name, x)| trace.relocate(name, &[x], &[tokens, offsets, channels]));
        let exponents = trace.shift("bias", self.bias.shape().num_elements(), &keys);
        let near = trace.activation("near.exponential", 0, &exponents);
        let weighted = trace.product("near.value", &near, &values);
        let far = trace.activation("far.exponential", 0, &k);
        let far_weighted = trace.product("far.value", &far, &v);
        let [numerator, denominator] =
            [("numerator", weighted, far_weighted), ("denominator", near, far)].map(|(name, near, far)| {
                let near = trace.mean(&format!("{name}.near"), &near, &[tokens, channels]);
                let far = trace.mean(&format!("{name}.far"), &far, &[tokens, channels]);
                trace.sum(name, &near, &far)
            });
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
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };
    use crate::hadamard::pairwise::aft::{AftFull, AftFullConfig};
    use crate::hadamard::pairwise::check::{causal, streams};
    use burn::tensor::DType;

    const MAXIMUM: usize = 13;

    fn layer(window: usize, device: &Device) -> AftLocal {
        AftLocalConfig { channels: 5, maximum: MAXIMUM, window }.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 5], 0.7, device)
    }

    /// The same biases, zeros written out.
    fn full(local: &AftLocal, device: &Device) -> AftFull {
        let mut full = double(AftFullConfig { channels: 5, maximum: MAXIMUM }.init(device).expect("sizes"));
        full.projections = local.projections.clone();
        let (window, bias) = (local.window(), numbers(local.bias.val()));
        let entry = |i: usize, j: usize| {
            if i.abs_diff(j) < window { bias[i * (2 * window - 1) + j + window - 1 - i] } else { 0.0 }
        };
        let entries = (0..MAXIMUM * MAXIMUM).map(|index| entry(index / MAXIMUM, index % MAXIMUM)).collect();
        full.bias = Param::from_tensor(doubles(entries, [MAXIMUM, MAXIMUM], device));
        full
    }

    #[test]
    fn it_is_full_aft_with_zeros_outside_the_window() {
        let device = Device::flex();
        for window in [1, 2, 4, 12, 20] {
            let local = golden(layer(window, &device));
            let full = full(&local, &device);
            for tokens in [1, 3, 11] {
                let x = wave([2, tokens, 5], 0.7, &device);
                close(&numbers(local.forward(x.clone())), &numbers(full.forward(x.clone())), 1e-11);
                close(&numbers(local.forward_causal(x.clone())), &numbers(full.forward_causal(x)), 1e-11);
            }
        }
    }

    #[test]
    fn the_window_does_not_truncate() {
        let device = Device::flex();
        let layer = golden(layer(2, &device));
        let last = |x: Tensor<3>| numbers(layer.forward_causal(x).narrow(1, 10, 1));
        let moved =
            input(&device).slice_assign([0..2, 0..1, 0..5], Tensor::<3>::ones([2, 1, 5], (&device, DType::F64)));
        assert_ne!(last(moved), last(input(&device)), "the first of eleven tokens counts for the last");
    }

    #[test]
    fn tokens_are_a_stream() {
        let device = Device::flex();
        for window in [1, 4, 20] {
            let layer = golden(layer(window, &device));
            causal(input(&device), |x| layer.forward_causal(x));
            let whole = layer.forward_causal(input(&device));
            streams(input(&device), whole, |x, state| layer.forward_with_state(x, state));
        }
    }

    #[test]
    fn keys_of_any_size_give_numbers() {
        let device = Device::flex();
        let mut layer = layer(3, &device);
        layer.projections.key.weight = layer.projections.key.weight.map(|weight| weight * 1e4);
        for out in
            [layer.forward(Tensor::ones([1, 9, 5], &device)), layer.forward_causal(input(&device).cast(DType::F32))]
        {
            assert!(numbers(out).iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(3, &device)), input(&device), |layer, x| layer.forward(x));
        gradients(golden(layer(3, &device)), input(&device), |layer, x| layer.forward_causal(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = layer(3, &Device::flex());
        let audit = Audit::of(&layer, &[11, 5]);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&layer), 4 * (25 + 5) + 13 * 5));
        assert_eq!(audit.multiply_adds, 4 * 11 * 25);
        assert_eq!(audit.ciphertext_products, 11 * 5 * 5 + 3 * 11 * 5);
        assert!(!audit.activation_free && audit.log2_degree.is_none());
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(2, &device), layer(2, &device), |layer| layer.forward(Tensor::ones([1, 3, 5], &device)));
    }

    #[test]
    #[should_panic(expected = "local AFT: 14 tokens are more than the maximum of 13")]
    fn more_tokens_than_the_maximum_are_refused() {
        layer(2, &Device::flex()).forward(Tensor::ones([1, 14, 5], &Device::flex()));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = AftLocalConfig { channels: 5, maximum: 4, window: 0 }.init(&Device::flex()).expect_err("no window");
        assert_eq!(error.to_string(), "local AFT: window is 0");
    }
}
