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
/// Linear in the tokens, times the window. Right for keys of any size, as long as the biases of a query and zero differ
/// by less than 80 (single precision; 700 in double).
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
    /// Keys and values of the newest `s − 1` tokens, or of all there are, `[n, ≤ s − 1, channels]`; `None`
    /// where s is 1.
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
    let filled = |tokens| (tokens > 0).then(|| Tensor::full([n, tokens, channels], fill, (&x.device(), x.dtype())));
    Tensor::cat([filled(before), Some(x.clone()), filled(after)].into_iter().flatten().collect(), 1)
}

/// Sums of blocks that are at least two before each, of sums over prefixes; `first` before any.
fn two_before(prefixes: &Weighted, first: &Weighted) -> Weighted {
    let blocks = prefixes.tokens();
    let start = first.map(|x| x.clone().repeat_dim(1, blocks.min(2)));
    if blocks <= 2 { start } else { start.cat(prefixes.narrow(0, blocks - 2)) }
}

/// Least tokens of a block: each is multiplied with two or three of them, by matrix products that should not be too
/// small.
const LEAST_BLOCK: usize = 32;

impl AftLocal {
    fn window(&self) -> usize {
        self.bias.dims()[1].div_ceil(2)
    }

    /// Tokens of a block, no less than a window, so that it ends in the next block.
    fn block(&self) -> usize {
        self.window().max(LEAST_BLOCK)
    }

    /// Biases of `tokens` queries from number `start` on with the keys of three blocks, their own in the middle:
    /// `[blocks, block, 3 · block]`.
    fn biases(&self, start: usize, tokens: usize) -> Tensor<3> {
        let ([maximum, offsets], end) = (self.bias.dims(), start + tokens);
        assert!(end <= maximum, "local AFT: {end} tokens are more than the maximum of {maximum}");
        let block = self.block();
        let (count, reach) = (tokens.div_ceil(block), 3 * block);
        let rows = self.bias.val().slice([start..end, 0..offsets]).unsqueeze::<3>();
        let rows = padded(rows, 0, count * block - tokens, 0.0).reshape([count, block, offsets]);
        // Row i begins i columns later: rows of one number more than the matrix has, cut anew.
        let zeros = |columns| Tensor::zeros([count, block, columns], (&rows.device(), rows.dtype()));
        let left = block + 1 - self.window();
        let rows = Tensor::cat(vec![zeros(left), rows.clone(), zeros(reach + 1 - left - offsets)], 2);
        rows.reshape([count, block * (reach + 1)]).narrow(1, 0, block * reach).reshape([count, block, reach])
    }

    /// `Σ_j e^{k_j + w_ij} ∘ v_j / Σ_j e^{k_j + w_ij}` for each token, the first being number `start`, behind sums over
    /// `earlier`.
    ///
    /// Keys in the blocks around a query's meet their biases as in AFT-full. Blocks further away have none, and come as
    /// sums.
    fn means(&self, k: Tensor<3>, v: Tensor<3>, start: usize, earlier: &Weighted, is_causal: bool) -> Tensor<3> {
        let ([n, tokens, channels], block) = (k.dims(), self.block());
        let bias = self.biases(start, tokens);
        let count = bias.dims()[0];
        let missing = count * block - tokens;
        let (k, v) = (padded(k, 0, missing, NOTHING), padded(v, 0, missing, 0.0));
        // Blocks `first..first + len` of the three around each.
        let around = |x: &Tensor<3>, fill, first: usize, len: usize| {
            let x = padded(x.clone(), block, block, fill);
            let part = |part| x.clone().narrow(1, part * block, count * block).reshape([n, count, block, channels]);
            Tensor::cat((first..first + len).map(part).collect(), 2)
        };
        let near = |first, len| {
            let bias = bias.clone().narrow(2, first * block, len * block);
            (bias, around(&k, NOTHING, first, len), around(&v, 0.0, first, len))
        };
        let near = if is_causal {
            let ((before, k0, v0), (own, k1, v1)) = (near(0, 1), near(1, 1));
            Weighted::by_matrix(before, k0, v0).merge(Weighted::by_pairs(own, k1, v1))
        } else {
            let (bias, k, v) = near(0, 3);
            Weighted::by_matrix(bias, k, v)
        };

        let blocks = |x: Tensor<3>| x.reshape([n, count, block, channels]);
        let blocks = Weighted::groups(blocks(k), blocks(v));
        let mut far = two_before(&earlier.clone().merge(blocks.clone().prefixes()), earlier);
        if !is_causal {
            let flip = |x: &Tensor<3>| x.clone().flip([1]);
            far = far.merge(two_before(&blocks.map(flip).prefixes(), earlier).map(flip));
        }
        let each = |x: &Tensor<3>| x.clone().unsqueeze_dim::<4>(2).repeat_dim(2, block);
        let far = far.map(|x| each(x).reshape([n, count * block, channels]));
        near.merge(far).mean().narrow(1, 0, tokens)
    }

    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    ///
    /// # Panics
    /// For more tokens than the maximum.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [q, k, v] = self.projections.split(x);
        let none = Weighted::none(k.clone().narrow(1, 0, 1));
        self.projections.output.forward(sigmoid(q) * self.means(k, v, 0, &none, false))
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
        let [_, tokens, _] = x.dims();
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
        // Kept tokens are there as keys; what they would give as queries is thrown away.
        let means = self.means(k.clone(), v.clone(), start - kept, &earlier, true).narrow(1, kept, tokens);

        let keep = (kept + tokens).min(self.window() - 1);
        let leave = kept + tokens - keep;
        let part = |first, len| [&k, &v].map(|x| x.clone().narrow(1, first, len));
        let earlier = if leave > 0 {
            let [k, v] = part(0, leave);
            earlier.merge(Weighted::all(k, v))
        } else {
            earlier
        };
        let newest = (keep > 0).then(|| part(leave, keep));
        let state = AftLocalState { newest, earlier, tokens: start + tokens };
        (self.projections.output.forward(sigmoid(q) * means), state)
    }
}

/// The form that is not causal.
impl Describe for AftLocal {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let ([tokens, channels], block) = ([x.shape()[0], x.shape()[1]], self.block());
        let count = tokens.div_ceil(block);
        let (rows, reach) = (count * block, 3 * block);
        let [q, k, v] = self.projections.describe(trace, &x);
        let bias = trace.constant("bias", self.bias.shape().num_elements(), &[rows, reach]);
        let [keys, values] = [("key.around", &k), ("value.around", &v)]
            .map(|(name, x)| trace.relocate(name, &[x], &[count, reach, channels]));
        let near = trace.activation("near.exponential", 0, &keys);
        let near_values = trace.product("near.value", &near, &values);
        let far = trace.activation("far.exponential", 0, &k);
        let far_values = trace.product("far.value", &far, &v);
        let sums = [("numerator", near_values, far_values), ("denominator", near, far)];
        let [numerator, denominator] = sums.map(|(name, near, far)| {
            let pairs = rows * reach * channels;
            let near = trace.matmul(&format!("{name}.near"), &bias, &near, pairs, &[tokens, channels]);
            let far = trace.mean(&format!("{name}.far"), &far, &[count, channels]);
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

    const MAXIMUM: usize = 150;

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
        for window in [1, 2, 12, 40] {
            let local = golden(layer(window, &device));
            let full = full(&local, &device);
            // Of one to five blocks of 32 or 40 tokens.
            for tokens in [1, 32, 77, 150] {
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
            let long = wave::<3>([1, 101, 5], 0.7, &device);
            streams(long.clone(), layer.forward_causal(long), |x, state| layer.forward_with_state(x, state));
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
        let long = || wave::<3>([1, 101, 5], 0.7, &device);
        gradients(golden(layer(3, &device)), long(), |layer, x| layer.forward(x));
        gradients(golden(layer(3, &device)), long(), |layer, x| layer.forward_causal(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = layer(3, &Device::flex());
        let audit = Audit::of(&layer, &[11, 5]);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&layer), 4 * (25 + 5) + 150 * 5));
        // A block of 32 queries, with three blocks of keys, twice.
        assert_eq!(audit.multiply_adds, 4 * 11 * 25 + 2 * 32 * 96 * 5);
        assert_eq!(audit.ciphertext_products, 96 * 5 + 3 * 11 * 5);
        assert!(!audit.activation_free && audit.log2_degree.is_none());
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(2, &device), layer(2, &device), |layer| layer.forward(Tensor::ones([1, 3, 5], &device)));
    }

    #[test]
    #[should_panic(expected = "local AFT: 151 tokens are more than the maximum of 150")]
    fn more_tokens_than_the_maximum_are_refused() {
        layer(2, &Device::flex()).forward(Tensor::ones([1, 151, 5], &Device::flex()));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = AftLocalConfig { channels: 5, maximum: 4, window: 0 }.init(&Device::flex()).expect_err("no window");
        assert_eq!(error.to_string(), "local AFT: window is 0");
    }
}
