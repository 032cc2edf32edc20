//! Quadratic neurons: QuadraNet's (Xu et al., arXiv 2311.17956), dense and depthwise, and those of quadratic residual
//! networks, QRes (Bu and Karpatne, arXiv 2101.08366).
//!
//! In public code of QRes the bias is sometimes a part of both factors; here, as in the equation, it is added once.

use super::residual::same_padding;
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`Quadratic`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuadraticConfig {
    /// Numbers of the input, d.
    pub inputs: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
}

/// QuadraNet's neuron: `y = (W_a x + b_a) ∘ (W_b x + b_b) + W_c x + b_c`. Parameters: `3 (do + o)`.
#[derive(Module, Debug)]
pub struct Quadratic {
    /// `[d, o]`
    pub a: Linear,
    /// `[d, o]`
    pub b: Linear,
    /// `[d, o]`, the linear term.
    pub c: Linear,
}

/// How a [`QuadraticDepthwise`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuadraticDepthwiseConfig {
    /// Channels, each for itself.
    pub channels: usize,
    /// Rows and columns of the neighbourhood, odd.
    pub kernel: usize,
}

/// [`Quadratic`] over each pixel's neighbourhood in each channel: convolutions for maps. Parameters: `3 (k² + 1) c`.
#[derive(Module, Debug)]
pub struct QuadraticDepthwise {
    /// `[c, 1, k, k]`
    pub a: Conv2d,
    /// `[c, 1, k, k]`
    pub b: Conv2d,
    /// `[c, 1, k, k]`, the linear term.
    pub c: Conv2d,
}

/// How a [`QRes`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QResConfig {
    /// Numbers of the input, d.
    pub inputs: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
    /// Whether tanh follows, as in all layers of the paper's networks but the last.
    pub has_tanh: bool,
}

/// `y = tanh((W_2 x) ∘ (W_1 x) + W_1 x + b)`. Parameters: `2do + o`.
#[derive(Module, Debug)]
pub struct QRes {
    /// `[d, o]`, no bias.
    pub w1: Linear,
    /// `[d, o]`, no bias.
    pub w2: Linear,
    /// `[o]`
    pub bias: Param<Tensor<1>>,
    has_tanh: bool,
}

impl QuadraticConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Quadratic> {
        nonzero("quadratic neuron", &[("inputs", self.inputs), ("outputs", self.outputs)])?;
        let map = || LinearConfig::new(self.inputs, self.outputs).init(device);
        Ok(Quadratic { a: map(), b: map(), c: map() })
    }
}

impl Quadratic {
    /// # Shapes
    /// - `x`: `[.., d]`
    /// - output: `[.., o]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.a.forward(x.clone()) * self.b.forward(x.clone()) + self.c.forward(x)
    }
}

impl Describe for Quadratic {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let a = trace.linear("a", &self.a, &x);
        let b = trace.linear("b", &self.b, &x);
        let product = trace.product("product", &a, &b);
        let c = trace.linear("c", &self.c, &x);
        trace.sum("sum", &product, &c)
    }
}

impl QuadraticDepthwiseConfig {
    /// Makes the layer. Sizes of zero and even kernels, which have no middle, are refused.
    pub fn init(&self, device: &Device) -> Result<QuadraticDepthwise> {
        nonzero("depthwise quadratic neuron", &[("channels", self.channels), ("kernel", self.kernel)])?;
        if self.kernel.is_multiple_of(2) {
            return Err(Error::config("depthwise quadratic neuron", format!("kernel {} is even", self.kernel)));
        }
        let conv = || {
            Conv2dConfig::new([self.channels; 2], [self.kernel; 2])
                .with_groups(self.channels)
                .with_padding(same_padding(self.kernel))
                .init(device)
        };
        Ok(QuadraticDepthwise { a: conv(), b: conv(), c: conv() })
    }
}

impl QuadraticDepthwise {
    /// # Shapes
    /// - `x`, output: `[n, c, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.a.forward(x.clone()) * self.b.forward(x.clone()) + self.c.forward(x)
    }
}

impl Describe for QuadraticDepthwise {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let a = trace.conv2d("a", &self.a, &x);
        let b = trace.conv2d("b", &self.b, &x);
        let product = trace.product("product", &a, &b);
        let c = trace.conv2d("c", &self.c, &x);
        trace.sum("sum", &product, &c)
    }
}

impl QResConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<QRes> {
        nonzero("QRes", &[("inputs", self.inputs), ("outputs", self.outputs)])?;
        let map = LinearConfig::new(self.inputs, self.outputs).with_bias(false);
        let map = map.with_initializer(Initializer::XavierNormal { gain: 1.0 });
        let bias = Initializer::Zeros.init([self.outputs], device);
        Ok(QRes { w1: map.init(device), w2: map.init(device), bias, has_tanh: self.has_tanh })
    }
}

impl QRes {
    /// # Shapes
    /// - `x`: `[.., d]`
    /// - output: `[.., o]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let linear = self.w1.forward(x.clone());
        let y = self.w2.forward(x) * linear.clone() + linear + self.bias.val().unsqueeze();
        if self.has_tanh { y.tanh() } else { y }
    }
}

impl Describe for QRes {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let linear = trace.linear("w1", &self.w1, &x);
        let other = trace.linear("w2", &self.w2, &x);
        let product = trace.product("product", &other, &linear);
        let sum = trace.sum("sum", &product, &linear);
        let y = trace.shift("bias", self.bias.shape().num_elements(), &sum);
        if self.has_tanh { trace.activation("tanh", 0, &y) } else { y }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, wave};

    const DENSE: QuadraticConfig = QuadraticConfig { inputs: 3, outputs: 2 };
    const DEPTHWISE: QuadraticDepthwiseConfig = QuadraticDepthwiseConfig { channels: 2, kernel: 3 };
    const QRES: QResConfig = QResConfig { inputs: 3, outputs: 2, has_tanh: true };

    // Values of PyTorch, in float64, are of modules with the same parameters in the same order, filled as `golden`
    // fills them.

    #[test]
    fn the_dense_neuron_is_that_of_pytorch() {
        let layer = golden(DENSE.init(&Device::flex()).expect("sizes"));
        // a, b, c = Linear(3, 2); a(x) * b(x) + c(x), x = sin(.9 (1 + arange(6)))
        let wanted = [1.99057262332, -0.824471252315, 0.00455634882842, 1.01307624222];
        close(&numbers(layer.forward(wave([2, 3], 0.9, &Device::flex()))), &wanted, 1e-11);
    }

    #[test]
    fn the_depthwise_neuron_is_that_of_pytorch() {
        let layer = golden(DEPTHWISE.init(&Device::flex()).expect("sizes"));
        // a, b, c = Conv2d(2, 2, 3, padding=1, groups=2); a(x) * b(x) + c(x), x = sin(.9 (1 + arange(30))); channel 1
        let wanted = [
            -0.155602322288,
            0.194457230399,
            0.352224941768,
            0.313830223284,
            0.281705011559,
            0.387249756957,
            0.361739923273,
            -0.200337922148,
            -0.0833070315418,
            -0.125406827704,
            1.00112939877,
            0.912288857565,
            0.515291868376,
            -0.117169700106,
            -0.28936432435,
        ];
        let got = numbers(layer.forward(wave([1, 2, 3, 5], 0.9, &Device::flex())));
        close(&got[15..], &wanted, 1e-11);
        close(&[got.iter().sum()], &[8.506145605962457], 1e-11);
    }

    #[test]
    fn qres_is_that_of_pytorch() {
        let layer = golden(QRES.init(&Device::flex()).expect("sizes"));
        // w1, w2 = Linear(3, 2, bias=False); tanh(w2(x) * w1(x) + w1(x) + bias), x = sin(.9 (1 + arange(6)))
        let wanted = [0.884557904346, 0.474728640309, 0.0964732332045, -0.0724256981392];
        let x = wave([2, 3], 0.9, &Device::flex());
        close(&numbers(layer.forward(x.clone())), &wanted, 1e-11);
        let without = golden(QResConfig { has_tanh: false, ..QRES }.init(&Device::flex()).expect("sizes"));
        close(&numbers(without.forward(x)), &wanted.map(f64::atanh), 1e-10);
    }

    #[test]
    fn without_second_factors_qres_is_linear() {
        let mut layer = golden(QResConfig { has_tanh: false, ..QRES }.init(&Device::flex()).expect("sizes"));
        layer.w2.weight = Param::from_tensor(layer.w2.weight.val().zeros_like());
        let x = wave([4, 3], 0.9, &Device::flex());
        let linear = layer.w1.forward(x.clone()) + layer.bias.val().unsqueeze();
        close(&numbers(layer.forward(x)), &numbers(linear), 1e-14);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let x = wave([2, 3], 0.9, &device);
        gradients(DENSE.init(&device).expect("sizes"), x.clone(), |layer, x| layer.forward(x));
        gradients(QRES.init(&device).expect("sizes"), x, |layer, x| layer.forward(x));
        let x = wave([2, 2, 4, 3], 0.9, &device);
        gradients(DEPTHWISE.init(&device).expect("sizes"), x, |layer, x| layer.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let device = Device::flex();
        let dense = DENSE.init(&device).expect("sizes");
        let audit = Audit::of(&dense, &[3]);
        assert_eq!((audit.parameters, parameters(&dense)), (3 * (3 * 2 + 2), 3 * (3 * 2 + 2)));
        assert_eq!((audit.multiply_adds, audit.ciphertext_products), (3 * 3 * 2, 2));
        assert_eq!((audit.log2_degree, audit.only_add_mul), (Some(1.0), true));

        let depthwise = DEPTHWISE.init(&device).expect("sizes");
        let audit = Audit::of(&depthwise, &[2, 5, 7]);
        assert_eq!((audit.parameters, parameters(&depthwise)), (3 * (9 + 1) * 2, 3 * (9 + 1) * 2));
        assert_eq!((audit.multiply_adds, audit.ciphertext_products), (3 * 9 * 2 * 35, 2 * 35));
        assert_eq!((audit.log2_degree, audit.only_add_mul), (Some(1.0), true));

        let qres = QRES.init(&device).expect("sizes");
        let audit = Audit::of(&qres, &[3]);
        assert_eq!((audit.parameters, parameters(&qres)), (2 * 3 * 2 + 2, 2 * 3 * 2 + 2));
        assert_eq!((audit.multiply_adds, audit.ciphertext_products), (2 * 3 * 2, 2));
        assert!(!audit.activation_free && audit.log2_degree.is_none());
        let last = QResConfig { has_tanh: false, ..QRES }.init(&device).expect("sizes");
        assert_eq!(Audit::of(&last, &[3]).log2_degree, Some(1.0));
    }

    #[test]
    fn saved_and_loaded_they_are_the_same() {
        let device = Device::flex();
        let x = Tensor::<2>::ones([2, 3], &device);
        let make = || DENSE.init(&device).expect("sizes");
        saves_and_loads(make(), make(), |layer| layer.forward(x.clone()));
        let make = || QRES.init(&device).expect("sizes");
        saves_and_loads(make(), make(), |layer| layer.forward(x.clone()));
        let make = || DEPTHWISE.init(&device).expect("sizes");
        saves_and_loads(make(), make(), |layer| layer.forward(Tensor::ones([1, 2, 3, 3], &device)));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let device = Device::flex();
        let error = QuadraticConfig { inputs: 0, ..DENSE }.init(&device).expect_err("none");
        assert_eq!(error.to_string(), "quadratic neuron: inputs is 0");
        let error = QuadraticDepthwiseConfig { kernel: 4, ..DEPTHWISE }.init(&device).expect_err("even");
        assert_eq!(error.to_string(), "depthwise quadratic neuron: kernel 4 is even");
        let error = QResConfig { outputs: 0, ..QRES }.init(&device).expect_err("none");
        assert_eq!(error.to_string(), "QRes: outputs is 0");
    }
}
