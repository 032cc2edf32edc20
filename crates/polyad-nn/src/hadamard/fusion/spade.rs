//! SPADE: a map of labels sets scale and shift of every pixel (Park et al., arXiv 1903.07291).
//!
//! The scale is predicted as its difference from 1, as in public code; the paper's formula lacks the 1. Labels are
//! resized to the nearest, by whole numbers: row i of h takes row ⌊i H / h⌋ of H. The norm is a batch norm without
//! scale and shift.

use super::plain_norm::PlainNorm;
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// How a [`Spade`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpadeConfig {
    /// Channels of the map of labels, l.
    pub labels: usize,
    /// Channels between, h. Published: 128, at all sizes.
    pub hidden: usize,
    /// Channels of what is modulated, C.
    pub channels: usize,
}

/// `x̂ ∘ (1 + γ(m)) + β(m)`, `x̂` the batch norm of x, m the labels at its size; γ and β are 3 × 3 convolutions of
/// `relu(conv(m))`, with biases.
///
/// Parameters: `(9l+1)h + 2(9h+1)C`.
#[derive(Module, Debug)]
pub struct Spade {
    /// x̂.
    pub norm: PlainNorm,
    /// `[h, l, 3, 3]`
    pub shared: Conv2d,
    /// `[C, h, 3, 3]`
    pub gamma: Conv2d,
    /// `[C, h, 3, 3]`
    pub beta: Conv2d,
}

impl SpadeConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Spade> {
        let SpadeConfig { labels, hidden, channels } = *self;
        nonzero("SPADE", &[("labels", labels), ("hidden", hidden), ("channels", channels)])?;
        let conv = |inputs, outputs| {
            let conv = Conv2dConfig::new([inputs, outputs], [3, 3]);
            conv.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
        };
        Ok(Spade {
            norm: PlainNorm::new(channels, device)?,
            shared: conv(labels, hidden),
            gamma: conv(hidden, channels),
            beta: conv(hidden, channels),
        })
    }
}

/// The nearest row for each row, the nearest column for each column.
fn nearest(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    [2, 3].into_iter().zip(size).fold(x, |x, (axis, to)| {
        let from = x.dims()[axis];
        let places: Vec<i64> = (0..to).map(|place| (place * from / to) as i64).collect();
        let places = Tensor::<1, Int>::from_data(TensorData::new(places, [to]), &x.device());
        x.select(axis, places)
    })
}

impl Spade {
    /// # Shapes
    /// - `x`, output: `[n, C, height, width]`
    /// - `labels`: `[n, l, ..]`, of any height and width
    pub fn forward(&self, x: Tensor<4>, labels: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let hidden = relu(self.shared.forward(nearest(labels, [height, width])));
        let gamma = self.gamma.forward(hidden.clone()).add_scalar(1.0);
        self.norm.forward(x) * gamma + self.beta.forward(hidden)
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, labels: &Signal) -> Signal {
        let size = [labels.shape()[0], x.shape()[1], x.shape()[2]];
        let labels = trace.relocate("resize", &[labels], &size);
        let hidden = trace.conv2d("shared", &self.shared, &labels);
        let hidden = trace.activation("relu", 0, &hidden);
        let gamma = trace.conv2d("gamma", &self.gamma, &hidden);
        let gamma = trace.shift("plus_one", 0, &gamma);
        let beta = trace.conv2d("beta", &self.beta, &hidden);
        // At inference a part of the layer before it.
        let x = trace.shift("norm", 0, x);
        let scaled = trace.product("scale", &x, &gamma);
        trace.sum("shift", &scaled, &beta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave};

    const CONFIG: SpadeConfig = SpadeConfig { labels: 3, hidden: 4, channels: 2 };

    #[test]
    fn labels_are_resized_to_the_nearest() {
        let device = Device::flex();
        let x = doubles((0..12).map(f64::from).collect(), [1, 1, 3, 4], &device);
        // F.interpolate(arange(12.).view(1, 1, 3, 4), size=(5, 3)) and size=(2, 8)
        let wanted = [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 4.0, 5.0, 6.0, 8.0, 9.0, 10.0];
        assert_eq!(numbers(nearest(x.clone(), [5, 3])), wanted);
        let wanted = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0, 6.0, 6.0, 7.0, 7.0];
        assert_eq!(numbers(nearest(x.clone(), [2, 8])), wanted);
        assert_eq!(numbers(nearest(x.clone(), [3, 4])), numbers(x));
    }

    #[test]
    fn it_is_what_pytorch_computes() {
        // v(k, *shape): golden filling of check.rs; wave(scale, *shape): sin(scale (i + 1)); all float64.
        // m = F.interpolate(wave(1.3, 1, 3, 2, 5), size=(3, 2))
        // h = F.conv2d(m, v(0, 4, 3, 3, 3), v(1, 4), padding=1).relu()
        // g, b = F.conv2d(h, v(2, 2, 4, 3, 3), v(3, 2), padding=1), F.conv2d(h, v(4, 2, 4, 3, 3), v(5, 2), padding=1)
        // F.batch_norm(wave(.7, 1, 2, 3, 2), tensor([.5, -.2]), tensor([2., .3])) * (1 + g) + b
        let device = Device::flex();
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        layer.norm.running_mean.update(doubles(vec![0.5, -0.2], [2], &device));
        layer.norm.running_var.update(doubles(vec![2.0, 0.3], [2], &device));
        let out = layer.forward(wave([1, 2, 3, 2], 0.7, &device), wave([1, 3, 2, 5], 1.3, &device));
        close(
            &numbers(out),
            &[
                -0.095924322167087,
                0.125878621045853,
                0.45799889179633,
                0.033597155435294,
                -0.700730228322231,
                -1.088916391025405,
                -1.342421878619786,
                -0.924797571379734,
                0.596883324403655,
                1.932774427365429,
                2.294298925995399,
                2.540397492752703,
            ],
            1e-12,
        );
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let layer = || golden(CONFIG.init(&device).expect("sizes"));
        let (x, labels) = (wave([2, 2, 3, 5], 0.7, &device), wave([2, 3, 2, 7], 1.3, &device));
        gradients(layer(), x.clone(), |layer, x| layer.forward(x, labels.clone()));
        gradients(layer(), labels.clone(), |layer, labels| layer.forward(x.clone(), labels));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = CONFIG.init(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, labels) = (trace.input(&[2, 3, 5]), trace.input(&[3, 2, 7]));
        let out = layer.describe(&mut trace, &x, &labels);
        assert_eq!(out.shape(), [2, 3, 5]);
        let audit = trace.audit(&out);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!(audit.parameters, (9 * 3 + 1) * 4 + 2 * (9 * 4 + 1) * 2);
        assert_eq!(audit.multiply_adds, 15 * (9 * 3 * 4 + 2 * 9 * 4 * 2));
        assert_eq!((audit.ciphertext_products, audit.log2_degree), (30, None));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        let (x, labels) = (Tensor::ones([1, 2, 3, 5], &device), Tensor::ones([1, 3, 2, 7], &device));
        let saved = make();
        saved.norm.running_var.update(Tensor::full([2], 0.25, &device));
        saves_and_loads(saved, make(), |layer| layer.forward(x.clone(), labels.clone()));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = SpadeConfig { hidden: 0, ..CONFIG }.init(&Device::flex()).expect_err("nothing between");
        assert_eq!(error.to_string(), "SPADE: hidden is 0");
    }
}
