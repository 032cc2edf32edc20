//! gⁿConv: convolutions and products by turns, an interaction of n + 1 neighbourhoods at the price of one convolution
//! (Rao et al., HorNet, arXiv 2207.14284).

use super::planar::square;
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};

/// How a [`GnConv`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GnConvConfig {
    /// Channels d, a multiple of 2^(n−1).
    pub channels: usize,
    /// n, at least 1: products one after the other.
    pub order: usize,
    /// Side of the depthwise kernel, odd. Published: 7.
    pub kernel: usize,
    /// What all results of the depthwise convolution are multiplied by, its biases included. Published: 1/3.
    pub scale: f64,
}

/// `p ← f_k(p) ∘ s g(q)_k` for k = 1 … n, where `(p, q_1 … q_n) = φ_in(x)` and the output is `φ_out(p)`.
///
/// `q_k` has d / 2^(n−k) channels and `p` begins with as many as `q_1`; `g` is depthwise; `f_1` is the identity, the
/// other `f_k` are 1 × 1 and double the channels. A polynomial of degree n + 1.
#[derive(Module, Debug)]
pub struct GnConv {
    /// φ_in, 1 × 1, d to 2d channels: p and all q.
    pub project_in: Conv2d,
    /// g, on all q at once.
    pub depthwise: Conv2d,
    /// φ_out, 1 × 1.
    pub project_out: Conv2d,
    /// f_2 … f_n, 1 × 1.
    pub widen: Vec<Conv2d>,
    scale: f64,
}

impl GnConvConfig {
    /// As published: kernel 7, scale 1/3.
    pub fn new(channels: usize, order: usize) -> Self {
        GnConvConfig { channels, order, kernel: 7, scale: 1.0 / 3.0 }
    }

    /// Makes the layer. Channels that do not halve n − 1 times, an even kernel and sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<GnConv> {
        self.init_with(|config| config.init(device))
    }

    /// The same, of convolutions that somebody else begins.
    pub(super) fn init_with(&self, conv: impl Fn(Conv2dConfig) -> Conv2d) -> Result<GnConv> {
        let GnConvConfig { channels, order, kernel, scale } = *self;
        nonzero("gⁿConv", &[("channels", channels), ("order", order)])?;
        if channels.trailing_zeros() as usize + 1 < order {
            let problem = format!("{channels} channels cannot be halved {} times for order {order}", order - 1);
            return Err(Error::config("gⁿConv", problem));
        }
        if kernel % 2 == 0 {
            return Err(Error::config("gⁿConv", format!("kernel {kernel} is even")));
        }
        let widths: Vec<usize> = (0..order).map(|k| channels >> (order - 1 - k)).collect();
        let gates = widths.iter().sum();
        let pointwise = |channels| conv(square(channels, 1, 1));
        Ok(GnConv {
            project_in: pointwise([channels, 2 * channels]),
            depthwise: conv(square([gates, gates], kernel, 1).with_groups(gates)),
            project_out: pointwise([channels, channels]),
            widen: widths.windows(2).map(|pair| pointwise([pair[0], pair[1]])).collect(),
            scale,
        })
    }
}

impl GnConv {
    /// Channels of `q_1 … q_n`.
    fn widths(&self) -> Vec<usize> {
        let channels = self.project_out.weight.shape()[0];
        let order = self.widen.len() + 1;
        (0..order).map(|k| channels >> (order - 1 - k)).collect()
    }

    /// # Shapes
    /// - input, output: `[n, d, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let widths = self.widths();
        let all = self.project_in.forward(x);
        let mut p = all.clone().narrow(1, 0, widths[0]);
        let q = self.depthwise.forward(all.narrow(1, widths[0], widths.iter().sum())) * self.scale;
        let mut start = 0;
        for (k, width) in widths.into_iter().enumerate() {
            let wide = if k == 0 { p } else { self.widen[k - 1].forward(p) };
            p = wide * q.clone().narrow(1, start, width);
            start += width;
        }
        self.project_out.forward(p)
    }
}

impl Describe for GnConv {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let widths = self.widths();
        let of = |channels: usize| [channels, x.shape()[1], x.shape()[2]];
        let all = trace.conv2d("project_in", &self.project_in, &x);
        let mut p = all.view(&of(widths[0]));
        let q = trace.conv2d("depthwise", &self.depthwise, &all.view(&of(widths.iter().sum())));
        let q = trace.scale("scale", 0, &q);
        for (k, width) in widths.into_iter().enumerate() {
            if k > 0 {
                p = trace.conv2d(&format!("widen.{}", k - 1), &self.widen[k - 1], &p);
            }
            p = trace.product("product", &p, &q.view(&of(width)));
        }
        trace.conv2d("project_out", &self.project_out, &p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };
    use burn::tensor::DType;

    fn layer(channels: usize, order: usize, device: &Device) -> GnConv {
        GnConvConfig::new(channels, order).init(device).expect("sizes")
    }

    #[test]
    fn golden_numbers_come_out() {
        // Computed in double precision by a program of its own.
        let device = Device::flex();
        let layer = golden(layer(8, 3, &device));
        assert_eq!(parameters(&layer), 968);
        let x = doubles((0..128).map(|i| (0.3 * f64::from(i)).sin()).collect(), [1, 8, 4, 4], &device);
        let out = numbers(layer.forward(x));
        close(&[out.iter().sum(), out[6]], &[-1.251268892, 0.100911218], 1e-9);
    }

    #[test]
    fn the_audit_counts_what_is_published_and_what_is_there() {
        for (order, channels, count) in [(2, 64, 19_392), (3, 128, 71_168), (4, 256, 264_832), (5, 512, 1_012_608)] {
            let layer = layer(channels, order, &Device::flex());
            let audit = Audit::of(&layer, &[channels, 5, 3]);
            assert_eq!((audit.parameters, parameters(&layer)), (count, count), "order {order}");
            let degree = audit.log2_degree.expect("a polynomial").exp2();
            assert!((degree - (order + 1) as f64).abs() < 1e-9, "order {order}: degree {degree}");
            assert_eq!(audit.product_depth, Some(order));
            // q's channels: d (2 - 2^(1-n)); d² for each of φ, 1/2 + 1/8 + … of it for f.
            let gates = 2 * channels - (channels >> (order - 1));
            let widen: usize = (1..order).map(|k| (channels >> k) * (channels >> (k - 1))).sum();
            assert_eq!(audit.multiply_adds, 15 * (3 * channels * channels + 49 * gates + widen));
            assert_eq!(audit.ciphertext_products, 15 * gates);
            assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
        }
    }

    #[test]
    fn along_a_line_it_is_a_polynomial_of_degree_order_plus_one() {
        let device = Device::flex();
        let layer = golden(layer(8, 3, &device));
        let (from, along) = (wave([1, 8, 3, 3], 0.3, &device), wave([1, 8, 3, 3], 0.7, &device) * 20.0);
        let values: Vec<f64> =
            (0..7).map(|t| numbers(layer.forward(from.clone() + along.clone() * f64::from(t)))[40]).collect();
        let differences = |values: Vec<f64>| values.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
        let fourth = (0..4).fold(values, |values, _| differences(values));
        assert!(fourth[0].abs() > 1e-3, "{fourth:?}");
        close(&differences(fourth), &[0.0; 2], 1e-9);
    }

    #[test]
    fn the_scale_enters_with_the_power_of_the_order_where_only_it_has_biases() {
        let device = Device::flex();
        let of = |scale| {
            let mut layer = golden(GnConvConfig { scale, ..GnConvConfig::new(8, 3) }.init(&device).expect("sizes"));
            layer.widen.iter_mut().for_each(|conv| conv.bias = None);
            layer.project_out.bias = None;
            numbers(layer.forward(wave([2, 8, 3, 5], 0.3, &device)))
        };
        let wanted: Vec<f64> = of(1.0).iter().map(|x| x * 8.0).collect();
        close(&of(2.0), &wanted, 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for order in [1, 2, 3] {
            gradients(layer(4, order, &device), wave([2, 4, 3, 2], 0.9, &device), |layer, x| layer.forward(x));
        }
    }

    #[test]
    fn of_order_one_it_is_a_gate_by_a_convolution() {
        let device = Device::flex();
        let layer = double(layer(3, 1, &device));
        let x = wave([1, 3, 4, 4], 0.9, &device);
        let all = layer.project_in.forward(x.clone());
        let gate = layer.depthwise.forward(all.clone().slice([0..1, 3..6])) / 3.0;
        let wanted = layer.project_out.forward(all.slice([0..1, 0..3]) * gate);
        close(&numbers(layer.forward(x)), &numbers(wanted), 1e-12);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let x = wave([1, 8, 5, 3], 0.3, &device).cast(DType::F32);
        saves_and_loads(layer(8, 3, &device), layer(8, 3, &device), |layer| layer.forward(x.clone()));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refusal = |config: GnConvConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        let config = GnConvConfig::new(12, 3);
        assert!(config.init(&Device::flex()).is_ok());
        assert_eq!(
            refusal(GnConvConfig { order: 4, ..config }),
            "gⁿConv: 12 channels cannot be halved 3 times for order 4"
        );
        assert_eq!(refusal(GnConvConfig { order: 0, ..config }), "gⁿConv: order is 0");
        assert_eq!(refusal(GnConvConfig { kernel: 4, ..config }), "gⁿConv: kernel 4 is even");
    }
}
