//! Gated convolution: a convolution and, beside it, one that says where to believe it (Yu et al., Free-Form Image
//! Inpainting with Gated Convolution, arXiv 1806.03589).
//!
//! A partial convolution whose mask is learnt, soft, and of each channel its own. A network's last layer has no gate:
//! it is a plain convolution.

use super::Geometry;
use crate::error::{Error, Result};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module};
use burn::nn::conv::Conv2d;
use burn::tensor::activation::{leaky_relu, relu, sigmoid};
use burn::tensor::{Device, Tensor};

/// φ of a [`GatedConv`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nonlinearity {
    /// `x` above 0, `e^x − 1` below: what the authors trained with.
    Elu,
    /// `max(x, 0)`
    Relu,
    /// `x` above 0, that slope times `x` below.
    LeakyRelu(f64),
}

impl Nonlinearity {
    fn apply(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            // Burn's own exponentiates positive numbers too, and from 89 on its gradient is ∞ · 0.
            Nonlinearity::Elu => relu(x.clone()) + x.clamp_max(0.0).exp().sub_scalar(1.0),
            Nonlinearity::Relu => relu(x),
            Nonlinearity::LeakyRelu(slope) => leaky_relu(x, slope),
        }
    }
}

/// How a [`GatedConv`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GatedConvConfig {
    /// Of input and output.
    pub channels: [usize; 2],
    /// Side of the kernel, odd.
    pub kernel: usize,
    /// Between windows.
    pub stride: usize,
    /// Between a window's pixels.
    pub dilation: usize,
    /// φ
    pub nonlinearity: Nonlinearity,
}

/// `y = φ(W_f ∗ x + b_f) ∘ σ(W_g ∗ x + b_g)`
#[derive(Module, Debug)]
pub struct GatedConv {
    /// Both convolutions, `[2 out, in, k, k]`: the first half of its channels is the feature, the second the gate.
    pub conv: Conv2d,
    #[module(skip)]
    nonlinearity: Nonlinearity,
}

impl GatedConvConfig {
    /// Stride and dilation 1, ELU.
    pub fn new(channels: [usize; 2], kernel: usize) -> Self {
        GatedConvConfig { channels, kernel, stride: 1, dilation: 1, nonlinearity: Nonlinearity::Elu }
    }

    /// Makes the layer. Sizes of zero and even kernels are refused.
    ///
    /// Weights have variance 5 / fan-in, biases are 0. With f and g normal of that variance `E[φ(f)²] · E[σ(g)²]` is
    /// about 2.8 · 0.37 for ELU and 2.5 · 0.37 for ReLU, so that inputs of mean square 1 give outputs of about that,
    /// layer after layer without a norm between.
    pub fn init(&self, device: &Device) -> Result<GatedConv> {
        let GatedConvConfig { channels: [inputs, outputs], kernel, stride, dilation, nonlinearity } = *self;
        let doubled = outputs.checked_mul(2);
        let doubled = doubled.ok_or_else(|| Error::config("gated convolution", format!("outputs is {outputs}")))?;
        let geometry = Geometry { channels: [inputs, doubled], kernel, stride, dilation };
        let initializer = Initializer::KaimingNormal { gain: 5f64.sqrt(), fan_out_only: false };
        let mut conv = geometry.config("gated convolution")?.with_initializer(initializer).init(device);
        conv.bias = Some(Initializer::Zeros.init([doubled], device));
        Ok(GatedConv { conv, nonlinearity })
    }
}

impl GatedConv {
    /// # Shapes
    /// - x: `[n, in, height, width]`
    /// - output: `[n, out, height / stride, width / stride]` (rounded up)
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let both = self.conv.forward(x);
        let outputs = both.dims()[1] / 2;
        let feature = both.clone().narrow(1, 0, outputs);
        let gate = both.narrow(1, outputs, outputs);
        self.nonlinearity.apply(feature) * sigmoid(gate)
    }
}

impl Describe for GatedConv {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let both = trace.conv2d("conv", &self.conv, &x);
        let half = [both.shape()[0] / 2, both.shape()[1], both.shape()[2]];
        let feature = trace.activation("feature", 0, &both.view(&half));
        let gate = trace.activation("gate", 0, &both.view(&half));
        trace.product("gated", &feature, &gate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };
    use burn::module::Param;
    use burn::tensor::Distribution;

    #[test]
    fn the_first_half_is_the_feature_and_the_second_its_gate() {
        let device = Device::flex();
        for (nonlinearity, negative) in
            [(Nonlinearity::Elu, (-2f64).exp_m1()), (Nonlinearity::Relu, 0.0), (Nonlinearity::LeakyRelu(0.2), -0.4)]
        {
            let config = GatedConvConfig { nonlinearity, ..GatedConvConfig::new([1, 2], 1) };
            let mut layer = double(config.init(&device).expect("sizes"));
            // Features x and −x; gates σ(3x) and σ(0).
            let weight = doubles(vec![1.0, -1.0, 3.0, 0.0], [4, 1, 1, 1], &device);
            layer.conv.weight = Param::from_tensor(weight);
            let y = layer.forward(doubles(vec![2.0, -2.0], [1, 1, 1, 2], &device));
            let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
            close(&numbers(y), &[2.0 * sigmoid(6.0), negative * sigmoid(-6.0), negative / 2.0, 1.0], 1e-12);
        }
    }

    #[test]
    fn values_are_those_of_pytorch() {
        // import torch; from torch.nn import functional as F
        // v = lambda n, k: torch.sin(.7 * torch.arange(n, dtype=torch.float64) + .3 * k + .1)
        // w, b = v(4 * 2 * 9, 0).view(4, 2, 3, 3) / 18 ** .5, .1 * v(4, 1)
        // x = torch.sin(.9 * torch.arange(1, 41, dtype=torch.float64)).view(1, 2, 5, 4)
        // f, g = F.conv2d(x, w, b, stride=2, padding=2, dilation=2).chunk(2, 1)
        // print((F.elu(f) * torch.sigmoid(g)).flatten().tolist())
        let config = GatedConvConfig { stride: 2, dilation: 2, ..GatedConvConfig::new([2, 2], 3) };
        let layer = golden(config.init(&Device::flex()).expect("sizes"));
        let y = layer.forward(wave([1, 2, 5, 4], 0.9, &Device::flex()));
        assert_eq!(y.dims(), [1, 2, 3, 2]);
        close(&numbers(y), &TORCH, 1e-12);
    }

    const TORCH: [f64; 12] = [
        -0.14466232292731115,
        -0.043580688646731286,
        0.3163116562827348,
        0.4556604835836726,
        0.36127809588010457,
        0.14114968761508478,
        -0.13100791874428824,
        -0.02941218800986093,
        0.33172306695699816,
        0.48197377412675885,
        0.3962714598252569,
        0.17984207480551587,
    ];

    #[test]
    fn large_features_have_finite_gradients() {
        let x =
            Tensor::<4>::from_data([[[[-1e4f32, -100.0, 0.0, 100.0, 1e4]]]], &Device::flex().autodiff()).require_grad();
        let y = Nonlinearity::Elu.apply(x.clone());
        close(&numbers(y.clone()), &[-1.0, -1.0, 0.0, 100.0, 1e4], 1e-7);
        let slopes = numbers(x.grad(&y.sum().backward()).expect("takes part"));
        assert_eq!([slopes[0], slopes[1], slopes[3], slopes[4]], [0.0, 3.783505853677006e-44, 1.0, 1.0]);
    }

    #[test]
    fn a_stack_of_new_layers_keeps_the_size_of_its_numbers() {
        let device = Device::flex();
        for nonlinearity in [Nonlinearity::Elu, Nonlinearity::Relu, Nonlinearity::LeakyRelu(0.2)] {
            let config = GatedConvConfig { nonlinearity, ..GatedConvConfig::new([48, 48], 3) };
            let mut x = Tensor::<4>::random([1, 48, 24, 24], Distribution::Normal(0.0, 1.0), &device);
            for _ in 0..6 {
                x = config.init(&device).expect("sizes").forward(x);
            }
            // Means over 48 · 24² numbers, of weights drawn anew: off by their spread and by the zeros at the border.
            let mean_square = numbers(x.square().mean())[0];
            assert!((0.03..30.0).contains(&mean_square), "{nonlinearity:?}: {mean_square}");
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for nonlinearity in [Nonlinearity::Elu, Nonlinearity::LeakyRelu(0.2)] {
            let config = GatedConvConfig { nonlinearity, dilation: 2, ..GatedConvConfig::new([2, 3], 3) };
            let layer = golden(config.init(&device).expect("sizes"));
            gradients(layer, wave([2, 2, 5, 3], 0.9, &device), |layer, x| layer.forward(x));
        }
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let config = GatedConvConfig { stride: 2, ..GatedConvConfig::new([3, 4], 5) };
        let layer = config.init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&layer, &[3, 9, 6]);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!((audit.parameters, audit.multiply_adds), (8 * 3 * 25 + 8, 8 * 3 * 25 * 15));
        assert_eq!(audit.ciphertext_products, 4 * 15);
        assert!(!audit.activation_free && audit.log2_degree.is_none());
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || GatedConvConfig::new([2, 3], 3).init(&device).expect("sizes");
        saves_and_loads(make(), make(), |layer| layer.forward(Tensor::ones([1, 2, 4, 4], &device)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |config: GatedConvConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        let even = refused(GatedConvConfig::new([1, 1], 2));
        assert_eq!(even, "gated convolution: kernel is 2, and even kernels have no middle");
        assert_eq!(refused(GatedConvConfig::new([0, 1], 3)), "gated convolution: inputs is 0");
        let stuck = GatedConvConfig { stride: 0, ..GatedConvConfig::new([1, 1], 3) };
        assert_eq!(refused(stuck), "gated convolution: stride is 0");
    }
}
