//! DropConnect: a linear map whose weights are dropped (Wan et al., Regularization of Neural Networks using
//! DropConnect, ICML 2013).
//!
//! As in the paper each sample has a mask of its own, and biases are dropped too. Unlike there, kept weights are
//! scaled by 1 / (1 − p) in training instead of all weights by 1 − p afterwards, so that without noise this is a
//! plain linear layer. (What some image networks call "drop connect" is [`DropPath`](super::DropPath).)

use super::{is_drawn, ones};
use crate::error::{Result, nonzero, probability};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Flag, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`DropConnect`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropConnectConfig {
    /// Numbers of the input, d.
    pub inputs: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
    /// Probability that a weight is dropped; the paper's experiments drop half.
    pub p: f64,
}

/// `y = (M ∘ W)ᵀx + m ∘ b`, the masks 0 with probability p and else 1 / (1 − p), drawn for each sample.
///
/// Training costs a copy of W a sample.
#[derive(Module, Debug)]
pub struct DropConnect {
    /// W and b, `[d, o]` and `[o]`.
    pub linear: Linear,
    /// Whether noise is drawn at all; cleared by `freeze`.
    pub training: Param<Flag>,
    p: f64,
}

impl DropConnectConfig {
    /// Makes the layer. Sizes of zero and a probability outside [0, 1) are refused.
    pub fn init(&self, device: &Device) -> Result<DropConnect> {
        let DropConnectConfig { inputs, outputs, p } = *self;
        nonzero("DropConnect", &[("inputs", inputs), ("outputs", outputs)])?;
        probability("DropConnect", "p", p)?;
        Ok(DropConnect { linear: LinearConfig::new(inputs, outputs).init(device), training: Param::from_bool(true), p })
    }
}

impl DropConnect {
    /// # Shapes
    /// - x: `[n, .., d]`: a mask for each of n samples, whose inner vectors share it
    /// - output: `[n, .., o]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (device, dtype) = (x.device(), x.dtype());
        if self.p == 0.0 || !is_drawn(&self.training, &device) {
            return self.linear.forward(x);
        }
        let [inputs, outputs] = self.linear.weight.dims();
        let samples = x.dims()[0];
        let scale = 1.0 / (1.0 - self.p);
        let weights = ones([samples, inputs, outputs], 1.0 - self.p, &device, dtype).mul_scalar(scale);
        let biases = ones([samples, 1, outputs], 1.0 - self.p, &device, dtype).mul_scalar(scale);
        self.masked(x, weights, biases)
    }

    /// # Shapes
    /// - weights, biases: `[n, d, o]`, `[n, 1, o]`
    fn masked<const D: usize>(&self, x: Tensor<D>, weights: Tensor<3>, biases: Tensor<3>) -> Tensor<D> {
        let mut shape = x.dims();
        let [samples, inputs, outputs] = weights.dims();
        let vectors = shape[..D - 1].iter().skip(1).product();
        shape[D - 1] = outputs;
        let x = x.reshape([samples, vectors, inputs]);
        let y = x.matmul(self.linear.weight.val().unsqueeze() * weights);
        let bias = self.linear.bias.as_ref().map(|bias| bias.val().unsqueeze() * biases);
        bias.map_or(y.clone(), |bias| y + bias).reshape(shape)
    }

    /// Mean and variance of `forward` under noise, by which the paper draws from a Gaussian at inference:
    /// `Wᵀx + b` and `p / (1 − p) · ((W ∘ W)ᵀ(x ∘ x) + b ∘ b)`.
    ///
    /// # Shapes
    /// - x: `[n, .., d]`
    /// - outputs: `[n, .., o]`
    pub fn moments<const D: usize>(&self, x: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        let mean = self.linear.forward(x.clone());
        let bias = self.linear.bias.as_ref().map(|bias| bias.val().square());
        let variance = burn::tensor::module::linear(x.square(), self.linear.weight.val().square(), bias);
        (mean, variance.mul_scalar(self.p / (1.0 - self.p)))
    }
}

impl Describe for DropConnect {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        trace.linear("linear", &self.linear, &x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::mean_is;
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, doubles, gradients, numbers, parameters, saves_and_loads, wave};

    const CONFIG: DropConnectConfig = DropConnectConfig { inputs: 3, outputs: 2, p: 0.25 };

    /// W is [[1, 2], [3, 4], [5, 6]], b is [7, 8].
    fn worked(device: &Device) -> DropConnect {
        let mut layer = CONFIG.init(device).expect("sizes");
        let weight = doubles((1..7).map(f64::from).collect(), [3, 2], device);
        layer.linear.weight = Param::from_tensor(weight);
        layer.linear.bias = Some(Param::from_tensor(doubles(vec![7.0, 8.0], [2], device)));
        layer
    }

    #[test]
    fn each_sample_has_a_mask_of_its_own() {
        let device = Device::flex();
        let x = doubles(vec![1.0, 1.0, 1.0, 1.0, 10.0, 100.0], [2, 3], &device);
        let weights = doubles(vec![1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 2.0, 0.0, 1.0, 1.0], [2, 3, 2], &device);
        let biases = doubles(vec![0.0, 1.0, 2.0, 0.0], [2, 1, 2], &device);
        // 1 + 3, 4 + 6 + 8; 60 + 500 + 14, 2 + 600.
        let wanted = [4.0, 18.0, 574.0, 602.0];
        close(&numbers(worked(&device).masked(x, weights, biases)), &wanted, 1e-12);
    }

    #[test]
    fn inner_vectors_of_a_sample_share_its_mask() {
        let device = Device::flex().autodiff();
        let x = wave([1, 1, 3], 0.7, &device).repeat(&[64, 5, 1]);
        let y = numbers(worked(&device).forward(x));
        y.chunks(10).for_each(|sample| sample.chunks(2).for_each(|vector| assert_eq!(vector, &sample[..2])));
        assert!(y.chunks(10).any(|sample| sample[..2] != y[..2]), "samples have masks of their own");
    }

    #[test]
    fn mean_and_variance_are_the_moments() {
        let device = Device::flex().autodiff();
        let layer = worked(&device);
        let x = doubles(vec![0.5, -1.0, 2.0], [1, 3], &device);
        let (mean, variance) = layer.moments(x.clone());
        // .5 − 3 + 10 + 7, 1 − 4 + 12 + 8; a third of .25 + 9 + 100 + 49, of 1 + 16 + 144 + 64.
        close(&numbers(mean), &[14.5, 17.0], 1e-12);
        close(&numbers(variance), &[158.25 / 3.0, 75.0], 1e-12);
        let y = numbers(layer.forward(x.repeat_dim(0, 20_000)));
        for (output, (mean, variance)) in [(14.5, 158.25 / 3.0), (17.0, 75.0)].into_iter().enumerate() {
            let draws: Vec<f64> = y.iter().skip(output).step_by(2).copied().collect();
            mean_is(&draws, mean);
            mean_is(&draws.iter().map(|y| (y - mean).powi(2)).collect::<Vec<_>>(), variance);
        }
    }

    #[test]
    fn without_noise_it_is_a_linear_layer() {
        let plain = worked(&Device::flex());
        let x = wave([4, 5, 3], 0.3, &Device::flex());
        let wanted = numbers(plain.linear.forward(x.clone()));
        assert_eq!(numbers(plain.forward(x)), wanted, "no gradients wanted");
        let device = Device::flex().autodiff();
        let x = wave([4, 5, 3], 0.3, &device);
        assert_eq!(numbers(worked(&device).freeze().forward(x.clone())), wanted, "frozen");
        let certain = DropConnect { p: 0.0, ..worked(&device) };
        assert_eq!(numbers(certain.forward(x)), wanted, "nothing to drop");
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let mask = |shape| wave(shape, 0.77, &device).greater_scalar(0.0).float().cast(burn::tensor::DType::F64);
        let (weights, biases) = (mask([4, 3, 2]), mask([4, 1, 2]));
        let layer = CONFIG.init(&device).expect("sizes");
        gradients(layer.clone(), wave([4, 2, 3], 0.9, &device), |layer, x| layer.forward(x));
        gradients(layer, wave([4, 2, 3], 0.9, &device), |layer, x| layer.masked(x, weights.clone(), biases.clone()));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = double(CONFIG.init(&Device::flex()).expect("sizes"));
        let audit = Audit::of(&layer, &[5, 3]);
        assert_eq!((audit.parameters, audit.multiply_adds), (parameters(&layer), 5 * 3 * 2));
        assert_eq!(audit.log2_degree, Some(0.0));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        saves_and_loads(make(), make(), |layer| layer.forward(Tensor::<2>::ones([2, 3], &device)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |config: DropConnectConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refused(DropConnectConfig { p: 1.0, ..CONFIG }), "DropConnect: p is 1, not in [0, 1)");
        assert_eq!(refused(DropConnectConfig { outputs: 0, ..CONFIG }), "DropConnect: outputs is 0");
    }
}
