//! BAN: attention over all pairs of a region and a word, and a bilinear form of each pair (Kim et al., bilinear
//! attention networks, arXiv 1805.07932).
//!
//! What differs from public code: maps have no biases and no weight norm; regions and words may both be masked (there
//! only regions are), and where nothing is visible attention is 0, not NaN. The bias of a glimpse's logits is left out,
//! because a softmax over all pairs is the same with any.

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Bool, Device, Tensor};

/// How a [`Ban`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BanConfig {
    /// Numbers of a region.
    pub a: usize,
    /// Numbers of a word.
    pub b: usize,
    /// Products of a glimpse, h; logits use 3h, as published.
    pub hidden: usize,
    /// Maps of attention, G. Published: 8.
    pub glimpses: usize,
}

/// For each glimpse g in turn, `y_q ← y_q + P_g f` with `f_k = Σ_vq A_gvq (U_g x_v)_k (V_g y_q)_k`.
///
/// `A_g` is the softmax over all visible pairs (v, q) of `Σ_k p_gk relu(U x_v)_k relu(V y_q)_k`, y as it came.
/// Parameters: `3h(a + b + G) + Gh(a + 2b)`.
#[derive(Module, Debug)]
pub struct Ban {
    /// U, `[a, 3h]`.
    pub x: Linear,
    /// V, `[b, 3h]`.
    pub y: Linear,
    /// p, `[G, 3h]`.
    pub directions: Param<Tensor<2>>,
    /// What each map of attention joins.
    pub glimpses: Vec<Glimpse>,
}

/// A bilinear form of pairs, weighted by attention.
#[derive(Module, Debug)]
pub struct Glimpse {
    /// `U_g`, `[a, h]`.
    pub x: Linear,
    /// `V_g`, `[b, h]`.
    pub y: Linear,
    /// `P_g`, `[h, b]`.
    pub output: Linear,
}

/// What is taken from the logit of a hidden pair: more than any logit, and finite in single precision.
const HIDDEN: f64 = 1e30;

impl BanConfig {
    /// Makes the layer, p of variance 1. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Ban> {
        let BanConfig { a, b, hidden, glimpses } = *self;
        nonzero("BAN", &[("a", a), ("b", b), ("hidden", hidden), ("glimpses", glimpses)])?;
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).with_bias(false).init(device);
        let glimpse = |_| Glimpse { x: linear(a, hidden), y: linear(b, hidden), output: linear(hidden, b) };
        Ok(Ban {
            x: linear(a, 3 * hidden),
            y: linear(b, 3 * hidden),
            directions: Initializer::Normal { mean: 0.0, std: 1.0 }.init([glimpses, 3 * hidden], device),
            glimpses: (0..glimpses).map(glimpse).collect(),
        })
    }
}

/// Softmax over the last two axes where `visible`, `[n, 1, v, q]`, is 1; zeros where it is 0.
fn softmax_of_visible(logits: Tensor<4>, visible: Tensor<4>) -> Tensor<4> {
    let logits = logits + (visible.clone() - 1.0) * HIDDEN;
    let largest = logits.clone().detach().max_dim(3).max_dim(2);
    let weights = (logits - largest).exp() * visible;
    // At least 1 where any pair is visible, else 0: what is divided by must not be that.
    let total = weights.clone().sum_dim(3).sum_dim(2).clamp_min(0.5);
    weights / total
}

impl Ban {
    /// Attention over pairs; it sums to 1 in each glimpse, or is 0 where no pair is visible.
    ///
    /// # Shapes
    /// - `x`: `[n, regions, a]`; `visible_x`: `[n, regions]`, all where `None`
    /// - `y`: `[n, words, b]`; `visible_y`: `[n, words]`, all where `None`
    /// - output: `[n, glimpses, regions, words]`
    pub fn attention(
        &self,
        x: Tensor<3>,
        y: Tensor<3>,
        visible_x: Option<Tensor<2, Bool>>,
        visible_y: Option<Tensor<2, Bool>>,
    ) -> Tensor<4> {
        let ([n, regions, _], [_, words, _]) = (x.dims(), y.dims());
        let [glimpses, rank] = self.directions.dims();
        let x = relu(self.x.forward(x)).reshape([n, 1, regions, rank]);
        let y = relu(self.y.forward(y)).reshape([n, 1, words, rank]);
        let directions = self.directions.val().reshape([1, glimpses, 1, rank]);
        let logits = (x * directions).matmul(y.swap_dims(2, 3));
        let ones = |shape: [usize; 4]| Tensor::ones(shape, (&logits.device(), logits.dtype()));
        let visible = |mask: Option<Tensor<2, Bool>>, shape: [usize; 4]| match mask {
            Some(mask) => mask.float().cast(logits.dtype()).reshape(shape),
            None => ones(shape),
        };
        let pairs = visible(visible_x, [n, 1, regions, 1]) * visible(visible_y, [n, 1, 1, words]);
        softmax_of_visible(logits, pairs)
    }

    /// Words that have seen the regions. Where no pair is visible they stay as they are.
    ///
    /// # Shapes
    /// - `x`: `[n, regions, a]`; `visible_x`: `[n, regions]`, all where `None`
    /// - `y`: `[n, words, b]`; `visible_y`: `[n, words]`, all where `None`
    /// - output: `[n, words, b]`
    pub fn forward(
        &self,
        x: Tensor<3>,
        y: Tensor<3>,
        visible_x: Option<Tensor<2, Bool>>,
        visible_y: Option<Tensor<2, Bool>>,
    ) -> Tensor<3> {
        let attention = self.attention(x.clone(), y.clone(), visible_x, visible_y);
        self.glimpses.iter().enumerate().fold(y, |y, (index, glimpse)| {
            let attention = attention.clone().narrow(1, index, 1).squeeze_dim(1);
            y.clone() + glimpse.forward(x.clone(), y, attention)
        })
    }

    /// Says each operation of `forward` to `trace`, all pairs visible.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let (regions, words) = (x.shape()[0], y.shape()[0]);
        let [glimpses, rank] = self.directions.dims();
        let mut project = |name: &str, linear: &Linear, x: &Signal| {
            let x = trace.linear(name, linear, x);
            trace.activation("relu", 0, &x)
        };
        let (left, right) = (project("x", &self.x, x), project("y", &self.y, y));
        let left = trace.relocate("repeat", &[&left], &[glimpses, regions, rank]);
        let left = trace.scale("directions", glimpses * rank, &left);
        let pairs = [glimpses, regions, words];
        let logits = trace.matmul("logits", &left, &right, glimpses * regions * words * rank, &pairs);
        let attention = trace.activation("softmax", 0, &logits);
        self.glimpses.iter().enumerate().fold(y.clone(), |y, (index, glimpse)| {
            let joint = trace.within(format!("glimpses.{index}"), |trace| {
                glimpse.describe(trace, x, &y, &attention.view(&[regions, words]))
            });
            trace.sum("residual", &y, &joint)
        })
    }
}

impl Glimpse {
    /// `P f` with `f_k = Σ_v (Ux_v)_k Σ_q A_vq (V y_q)_k`.
    ///
    /// # Shapes
    /// - `x`: `[n, regions, a]`
    /// - `y`: `[n, words, b]`
    /// - `attention`: `[n, regions, words]`
    /// - output: `[n, 1, b]`
    fn forward(&self, x: Tensor<3>, y: Tensor<3>, attention: Tensor<3>) -> Tensor<3> {
        let joint = self.x.forward(x) * attention.matmul(self.y.forward(y));
        self.output.forward(joint.sum_dim(1))
    }

    fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal, attention: &Signal) -> Signal {
        let (x, y) = (trace.linear("x", &self.x, x), trace.linear("y", &self.y, y));
        let (shape, width) = (x.shape().to_vec(), x.shape()[1]);
        let attended = trace.matmul("attend", attention, &y, attention.elements() * width, &shape);
        let joint = trace.product("product", &x, &attended);
        let sum = trace.map("sum_over_regions", 0, 0, &[&joint], &[1, width]);
        trace.linear("output", &self.output, &sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{
        close, double, golden, gradients, numbers, parameters, saves_and_loads, single, wave,
    };
    use burn::tensor::DType;

    const CONFIG: BanConfig = BanConfig { a: 4, b: 3, hidden: 2, glimpses: 2 };

    fn mask<const N: usize>(rows: [[bool; N]; 2], device: &Device) -> Option<Tensor<2, Bool>> {
        Some(Tensor::from_data(rows, device))
    }

    fn signals(device: &Device) -> (Tensor<3>, Tensor<3>) {
        (wave([2, 5, 4], 0.9, device), wave([2, 3, 3], 1.3, device))
    }

    #[test]
    fn it_is_what_einsum_computes() {
        // v(k, *shape): golden filling of check.rs; wave(scale, *shape): sin(scale (i + 1)); all float64.
        // L = einsum('gk,nvk,nqk->ngvq', v(2, 2, 6), (x @ v(0, 6, 4).T).relu(), (y @ v(1, 6, 3).T).relu())
        // A = L.flatten(2).softmax(-1).view(2, 2, 5, 3)
        // for g in (0, 1): k = 3 + 3 * g; y = y + (einsum('nvq,nvk,nqk->nk', A[:, g], x @ v(k, 2, 4).T,
        //     y @ v(k + 1, 2, 3).T) @ v(k + 2, 3, 2).T)[:, None]
        // With masks [[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]] of regions, [[1, 0, 1], [1, 1, 0]] of words: L[hidden] = -inf.
        let device = Device::flex();
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        let (x, y) = signals(&device);
        let seen = layer.forward(x.clone(), y.clone(), None, None);
        close(
            &numbers(seen),
            &[
                0.959849202508986,
                0.536376105058425,
                -0.676961138741586,
                -0.88716363862836,
                0.235994721324777,
                1.009348365816993,
                0.315389379441146,
                -0.806951735848693,
                -0.751178563476644,
                0.443709973416181,
                1.006379185733753,
                0.090875882533147,
                -0.905581076144829,
                -0.585225600947144,
                0.588662099953305,
                0.952338170666781,
                -0.08902937396494,
                -1.003793327886945,
            ],
            1e-12,
        );
        let regions = mask([[true, true, false, true, false], [true; 5]], &device);
        let words = mask([[true, false, true], [true, true, false]], &device);
        let seen = layer.forward(x, y, regions, words);
        close(
            &numbers(seen),
            &[
                0.867563974075298,
                0.645424256961961,
                -0.547606704672706,
                -0.979448867062048,
                0.345042873228313,
                1.138702799885873,
                0.223104151007457,
                -0.697903583945156,
                -0.621824129407764,
                0.460612548281456,
                1.004377009473835,
                0.07329269931091,
                -0.888678501279555,
                -0.587227777207062,
                0.571078916731069,
                0.969240745532056,
                -0.091031550224858,
                -1.021376511109181,
            ],
            1e-12,
        );
    }

    #[test]
    fn what_is_hidden_does_not_matter() {
        let device = Device::flex();
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        let (x, y) = signals(&device);
        let regions = || mask([[true, true, true, true, false]; 2], &device);
        let words = || mask([[true, true, false]; 2], &device);
        let short = layer.forward(x.clone().narrow(1, 0, 4), y.clone().narrow(1, 0, 2), None, None);
        let masked = layer.forward(x, y, regions(), words()).narrow(1, 0, 2);
        close(&numbers(masked), &numbers(short), 1e-13);
    }

    #[test]
    fn attention_sums_to_1_or_is_0_where_nothing_is_visible() {
        let device = Device::flex().autodiff();
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        let (x, y) = signals(&device);
        let regions = || mask([[false; 5], [true, false, false, false, false]], &device);
        let attention = layer.attention(x.clone(), y.clone(), regions(), None);
        close(&numbers(attention.sum_dim(3).sum_dim(2)), &[0.0, 0.0, 1.0, 1.0], 1e-14);
        let (x32, y32) = (x.clone().cast(DType::F32), y.clone().cast(DType::F32));
        let attention = single(layer.clone()).attention(x32, y32, regions(), None);
        close(&numbers(attention.sum_dim(3).sum_dim(2)), &[0.0, 0.0, 1.0, 1.0], 1e-6);
        let x = x.require_grad();
        let seen = layer.forward(x.clone(), y.clone(), regions(), None);
        close(&numbers(seen.clone().narrow(0, 0, 1)), &numbers(y.narrow(0, 0, 1)), 0.0);
        let gradient = numbers(x.grad(&seen.sum().backward()).expect("takes part"));
        assert!(gradient[..20].iter().all(|x| *x == 0.0) && gradient[20..24].iter().any(|x| *x != 0.0), "{gradient:?}");
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let device = Device::flex();
        let mut layer = golden(CONFIG.init(&device).expect("sizes"));
        layer.directions = layer.directions.map(|p| p * 1e4);
        let (x, y) = signals(&device);
        let attention = layer.attention(x, y, None, None);
        close(&numbers(attention.sum_dim(3).sum_dim(2)), &[1.0; 4], 1e-12);
    }

    #[test]
    fn the_order_of_regions_does_not_matter() {
        let device = Device::flex();
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        let (x, y) = signals(&device);
        let straight = numbers(layer.forward(x.clone(), y.clone(), None, None));
        close(&numbers(layer.forward(x.flip([1]), y, None, None)), &straight, 1e-14);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let layer = || golden(CONFIG.init(&device).expect("sizes"));
        let (x, y) = signals(&device);
        // The first of the two has nothing to see.
        let regions = || mask([[false; 5], [true, true, false, true, false]], &device);
        let words = || mask([[true; 3], [true, false, true]], &device);
        gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone(), regions(), words()));
        gradients(layer(), y.clone(), |layer, y| layer.forward(x.clone(), y, regions(), words()));
        gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone(), None, None));
        // A single visible pair, whose attention is 1 whatever its logit.
        let alone = || mask([[false, false, true, false, false]; 2], &device);
        let word = || mask([[false, true, false]; 2], &device);
        gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone(), alone(), word()));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = CONFIG.init(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, y) = (trace.input(&[5, 4]), trace.input(&[7, 3]));
        let out = layer.describe(&mut trace, &x, &y);
        assert_eq!(out.shape(), [7, 3]);
        let audit = trace.audit(&out);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!(audit.parameters, 3 * 2 * (4 + 3 + 2) + 2 * 2 * (4 + 2 * 3));
        let logits = 6 * (5 * 4 + 7 * 3) + 2 * 5 * 7 * 6;
        let glimpse = 2 * (5 * 4 + 7 * 3) + 5 * 7 * 2 + 2 * 3;
        assert_eq!(audit.multiply_adds, logits + 2 * glimpse);
        assert_eq!(audit.ciphertext_products, 2 * 5 * 7 * 6 + 2 * (5 * 7 * 2 + 5 * 2));
        assert_eq!((audit.log2_degree, audit.activation_free), (None, false));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        let (x, y) = signals(&device);
        let forward = |layer: &Ban| double(layer.clone()).forward(x.clone(), y.clone(), None, None);
        saves_and_loads(make(), make(), forward);
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = BanConfig { glimpses: 0, ..CONFIG }.init(&Device::flex()).expect_err("no glimpse");
        assert_eq!(error.to_string(), "BAN: glimpses is 0");
    }
}
