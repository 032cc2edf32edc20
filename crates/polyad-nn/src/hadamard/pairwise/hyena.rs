//! Hyena: long convolutions and gates in turn (Poli et al., Hyena Hierarchy, arXiv 2302.10866).
//!
//! Filters are functions of t / M with a fixed maximum M, which is part of what is learnt: another maximum would be
//! another layer. Inputs that are longer are refused; public code cuts them silently.

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use crate::hadamard::{constant, fourier};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use std::f64::consts::TAU;

/// How a [`Hyena`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HyenaConfig {
    /// C.
    pub channels: usize,
    /// N, the number of gates, at least 1.
    pub order: usize,
    /// M: no input may be longer.
    pub maximum: usize,
    /// Frequencies of the position that filters are made of.
    pub bands: usize,
    /// Numbers inside the filters' network.
    pub inside: usize,
}

/// `v ← x_i ∘ (h_i ∗ v + d_i ∘ v)` for i = 1..N, `y = W_o v`, `[x_1; ..; x_N; v] = short(W x)`.
///
/// `short` is a causal convolution of three tokens in each channel. Causal by nature; `N log N` in the tokens; a
/// polynomial of degree N + 1 of its input. It has no exact stream of constant state: each token needs all earlier
/// ones.
#[derive(Module, Debug)]
pub struct Hyena {
    /// W, `[channels, (N + 1) · channels]`.
    pub input: Linear,
    /// Weights of a token, the one before and the one before that, `[3, (N + 1) · channels]`.
    pub short: Param<Tensor<2>>,
    /// All h, functions of the position.
    pub filter: LongFilter,
    /// All d, `[N, channels]`: what of a token passes by the filter.
    pub skip: Param<Tensor<2>>,
    /// W_o, `[channels, channels]`.
    pub output: Linear,
}

/// `h(t) = F(t / M) ∘ e^(−decay t / M)`, F a network with sines between its layers.
#[derive(Module, Debug)]
pub struct LongFilter {
    /// `[1 + 2 · bands, inside]`, `[inside, inside]`, and without a bias `[inside, filters]`.
    pub layers: Vec<Linear>,
    bands: usize,
    maximum: usize,
}

/// Tokens of the short convolution.
const SHORT: usize = 3;
/// Factor before each sine, so that filters begin with many periods.
const FREQUENCY: f64 = 10.0;
/// Where in the maximum the fastest and the slowest channel's window have fallen to 1/100.
const EXTENTS: [f64; 2] = [0.3, 1.5];

impl HyenaConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Hyena> {
        let HyenaConfig { channels, order, maximum, bands, inside } = *self;
        let sizes =
            [("channels", channels), ("order", order), ("maximum", maximum), ("bands", bands), ("inside", inside)];
        nonzero("Hyena", &sizes)?;
        let parts = (order + 1) * channels;
        let layers = [(1 + 2 * bands, inside, true), (inside, inside, true), (inside, order * channels, false)];
        let layers = layers.map(|(from, to, has_bias)| LinearConfig::new(from, to).with_bias(has_bias).init(device));
        let reach = (SHORT as f64).sqrt().recip();
        Ok(Hyena {
            input: LinearConfig::new(channels, parts).init(device),
            short: Initializer::Uniform { min: -reach, max: reach }.init([SHORT, parts], device),
            filter: LongFilter { layers: layers.to_vec(), bands, maximum },
            skip: Initializer::Normal { mean: 0.0, std: 1.0 }.init([order, channels], device),
            output: LinearConfig::new(channels, channels).init(device),
        })
    }
}

impl LongFilter {
    /// Values of all filters at t = 0, 1, ..
    ///
    /// # Shapes
    /// - output: `[filters, tokens]`
    pub fn forward(&self, tokens: usize) -> Tensor<2> {
        let (width, last) = (1 + 2 * self.bands, self.layers.len() - 1);
        let weight = self.layers[last].weight.val();
        let filters = weight.dims()[1];
        let position = |t: usize| t as f64 / self.maximum as f64;
        let feature = |index: usize| {
            let (t, feature) = (position(index / width), index % width);
            match feature {
                0 => t,
                _ if feature <= self.bands => (TAU * feature as f64 * t).cos(),
                _ => (TAU * (feature - self.bands) as f64 * t).sin(),
            }
        };
        let x = constant((0..tokens * width).map(feature).collect(), [tokens, width], &weight);
        let sines = |x: Tensor<2>, layer: &Linear| layer.forward(x).mul_scalar(FREQUENCY).sin();
        let x = self.layers[last].forward(self.layers[..last].iter().fold(x, sines));
        let [fast, slow] = EXTENTS.map(|extent| 0.01f64.ln() / extent);
        let rate = |filter: usize| fast + (slow - fast) * filter as f64 / (filters - 1).max(1) as f64;
        let rates = constant((0..filters).map(rate).collect(), [1, filters], &weight);
        let positions = constant((0..tokens).map(position).collect(), [tokens, 1], &weight);
        (x * (positions * rates).exp()).transpose()
    }
}

impl Hyena {
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    ///
    /// # Panics
    /// For more tokens than the maximum.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let ([_, tokens, channels], [order, _]) = (x.dims(), self.skip.dims());
        let maximum = self.filter.maximum;
        assert!(tokens <= maximum, "Hyena: {tokens} tokens are more than the maximum of {maximum}");
        let parts = short_convolution(self.input.forward(x), self.short.val()).swap_dims(1, 2);
        let part = |index: usize| parts.clone().narrow(1, index * channels, channels);
        let filters = self.filter.forward(tokens);
        let v = (0..order).fold(part(order), |v, i| {
            let filter = filters.clone().narrow(0, i * channels, channels);
            let skip = self.skip.val().narrow(0, i, 1).reshape([1, channels, 1]);
            part(i) * (fourier::causal_convolution(v.clone(), filter) + skip * v)
        });
        self.output.forward(v.swap_dims(1, 2))
    }
}

/// `y_t = w_0 ∘ x_t + w_1 ∘ x_{t−1} + w_2 ∘ x_{t−2}`.
///
/// # Shapes
/// - `x`, output: `[n, tokens, channels]`
/// - `weight`: `[3, channels]`
fn short_convolution(x: Tensor<3>, weight: Tensor<2>) -> Tensor<3> {
    let [n, tokens, channels] = x.dims();
    let zeros = Tensor::zeros([n, SHORT - 1, channels], (&x.device(), x.dtype()));
    let padded = Tensor::cat(vec![zeros, x.clone()], 1);
    let tap = |back: usize| {
        let weight = weight.clone().narrow(0, back, 1).unsqueeze::<3>();
        padded.clone().narrow(1, SHORT - 1 - back, tokens) * weight
    };
    (1..SHORT).fold(tap(0), |sum, back| sum + tap(back))
}

/// The filters' own network is not counted: it does not see the input.
impl Describe for Hyena {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let ([tokens, channels], [order, _]) = ([x.shape()[0], x.shape()[1]], self.skip.dims());
        let shape = [tokens, channels];
        let parts = trace.linear("input", &self.input, &x);
        let short = self.short.shape().num_elements();
        let parts = trace.map("short", short, tokens * short, &[&parts], parts.shape());
        let numbers = |linear: &Linear| {
            linear.weight.shape().num_elements() + linear.bias.as_ref().map_or(0, |bias| bias.shape().num_elements())
        };
        let filter = self.filter.layers.iter().map(numbers).sum();
        trace.constant("filter", filter, &[order * channels, tokens]);
        let mut v = parts.view(&shape);
        for index in 0..order {
            let long = channels * fourier::multiply_adds(tokens);
            let convolved = trace.map(&format!("long.{index}"), 0, long, &[&v], &shape);
            let skipped = trace.scale(&format!("skip.{index}"), channels, &v);
            let sum = trace.sum("sum", &convolved, &skipped);
            v = trace.product("gate", &parts.view(&shape), &sum);
        }
        trace.linear("output", &self.output, &v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::pairwise::check::causal;

    const CONFIG: HyenaConfig = HyenaConfig { channels: 4, order: 2, maximum: 16, bands: 3, inside: 5 };

    fn layer(device: &Device) -> Hyena {
        CONFIG.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 4], 0.7, device)
    }

    #[test]
    fn it_is_its_recursion_by_direct_sums() {
        let device = Device::flex();
        let hyena = golden(layer(&device));
        let (n, tokens, channels, parts) = (2, 11, 4, 12);
        let z = numbers(hyena.input.forward(input(&device)));
        let (taps, skip) = (numbers(hyena.short.val()), numbers(hyena.skip.val()));
        let filter = numbers(hyena.filter.forward(tokens));
        let short = |b: usize, t: usize, c: usize| -> f64 {
            (0..3.min(t + 1)).map(|back| taps[back * parts + c] * z[(b * tokens + t - back) * parts + c]).sum()
        };
        let mut y = vec![0.0; n * tokens * channels];
        for (b, c) in (0..n).flat_map(|b| (0..channels).map(move |c| (b, c))) {
            let mut v: Vec<f64> = (0..tokens).map(|t| short(b, t, 2 * channels + c)).collect();
            for i in 0..2 {
                let h = &filter[(i * channels + c) * tokens..][..tokens];
                let long = |t: usize| (0..=t).map(|s| h[t - s] * v[s]).sum::<f64>() + skip[i * channels + c] * v[t];
                v = (0..tokens).map(|t| short(b, t, i * channels + c) * long(t)).collect();
            }
            (0..tokens).for_each(|t| y[(b * tokens + t) * channels + c] = v[t]);
        }
        let wanted = hyena.output.forward(doubles(y, [n, tokens, channels], &device));
        close(&numbers(hyena.forward(input(&device))), &numbers(wanted), 1e-12);
    }

    #[test]
    fn filters_do_not_depend_on_the_number_of_tokens() {
        let device = Device::flex();
        let filter = golden(layer(&device)).filter;
        let prefix = |tokens: usize| numbers(filter.forward(tokens).narrow(1, 0, 5));
        assert_eq!(prefix(5), prefix(16));
        assert_eq!(filter.forward(9).dims(), [8, 9]);
    }

    #[test]
    fn a_filter_falls_as_its_window() {
        let device = Device::flex();
        let mut filter = golden(layer(&device)).filter;
        // A network that gives 1: sines of π/2, the last layer their mean.
        let [first, second, last] = &mut filter.layers[..] else { panic!("three layers") };
        for linear in [first, second] {
            linear.weight = Param::from_tensor(linear.weight.val().zeros_like());
            let bias = linear.bias.take().expect("a bias").val();
            linear.bias = Some(Param::from_tensor(bias.full_like(std::f64::consts::FRAC_PI_2 / FREQUENCY)));
        }
        last.weight = Param::from_tensor(last.weight.val().full_like(0.2));
        let values = numbers(filter.forward(16));
        // Of eight channels the first falls to 1/100 at 0.3 · 16, the last at 1.5 · 16.
        let at = |extent: f64, t: usize| 0.01f64.powf(t as f64 / (extent * 16.0));
        close(&values[..16], &(0..16).map(|t| at(0.3, t)).collect::<Vec<_>>(), 1e-12);
        close(&values[7 * 16..], &(0..16).map(|t| at(1.5, t)).collect::<Vec<_>>(), 1e-12);
    }

    #[test]
    fn the_past_does_not_see_the_future() {
        let device = Device::flex();
        let hyena = golden(layer(&device));
        causal(input(&device), |x| hyena.forward(x));
        let whole = hyena.forward(input(&device)).narrow(1, 0, 7);
        close(&numbers(hyena.forward(input(&device).narrow(1, 0, 7))), &numbers(whole), 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(&device)), input(&device), |hyena, x| hyena.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let hyena = layer(&Device::flex());
        let audit = Audit::of(&hyena, &[11, 4]);
        let filter = (7 * 5 + 5) + (5 * 5 + 5) + 5 * 8;
        let numbers = (4 * 12 + 12) + 3 * 12 + filter + 8 + (16 + 4);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&hyena), numbers));
        assert_eq!(audit.multiply_adds, 11 * (48 + 36 + 16) + 2 * 4 * fourier::multiply_adds(11));
        assert!((audit.log2_degree.expect("a polynomial") - 3f64.log2()).abs() < 1e-12);
        assert_eq!((audit.product_depth, audit.ciphertext_products), (Some(2), 2 * 11 * 4));
        assert!(audit.activation_free && audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(&device), layer(&device), |hyena| hyena.forward(Tensor::ones([1, 3, 4], &device)));
    }

    #[test]
    #[should_panic(expected = "Hyena: 17 tokens are more than the maximum of 16")]
    fn more_tokens_than_the_maximum_are_refused() {
        layer(&Device::flex()).forward(Tensor::ones([1, 17, 4], &Device::flex()));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = HyenaConfig { order: 0, ..CONFIG }.init(&Device::flex()).expect_err("no gates");
        assert_eq!(error.to_string(), "Hyena: order is 0");
    }
}
