//! Conditional batch norm: a second signal changes scale and shift (de Vries et al., modulating early visual processing
//! by language, arXiv 1707.00683).
//!
//! The network that predicts the changes ends in zeros, so that training starts from a plain batch norm.

use super::film::halves;
use super::plain_norm::PlainNorm;
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

/// How a [`ConditionalNorm`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConditionalNormConfig {
    /// Numbers of the condition y.
    pub b: usize,
    /// Numbers of the hidden layer, h.
    pub hidden: usize,
    /// Channels, C.
    pub channels: usize,
}

/// `(γ + Δγ(y)) ∘ x̂ + β + Δβ(y)` with `x̂` the batch norm of x; `[Δγ; Δβ] = W relu(Vy)`, with biases.
///
/// At inference x̂ is made of running statistics. Parameters: `2C + (b+1)h + (h+1) 2C`.
#[derive(Module, Debug)]
pub struct ConditionalNorm {
    /// x̂.
    pub norm: PlainNorm,
    /// γ, `[C]`, at first 1.
    pub gamma: Param<Tensor<1>>,
    /// β, `[C]`, at first 0.
    pub beta: Param<Tensor<1>>,
    /// V, `[b, h]`.
    pub hidden: Linear,
    /// W, `[h, 2C]`, at first 0: Δγ, then Δβ.
    pub changes: Linear,
}

impl ConditionalNormConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<ConditionalNorm> {
        let ConditionalNormConfig { b, hidden, channels } = *self;
        nonzero("conditional norm", &[("b", b), ("hidden", hidden), ("channels", channels)])?;
        Ok(ConditionalNorm {
            norm: PlainNorm::new(channels, device)?,
            gamma: Initializer::Ones.init([channels], device),
            beta: Initializer::Zeros.init([channels], device),
            hidden: LinearConfig::new(b, hidden).init(device),
            changes: LinearConfig::new(hidden, 2 * channels).with_initializer(Initializer::Zeros).init(device),
        })
    }
}

impl ConditionalNorm {
    /// # Shapes
    /// - `x`, output: `[n, C, ..]`
    /// - `y`: `[n, b]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>, y: Tensor<2>) -> Tensor<D> {
        let own = Tensor::cat(vec![self.gamma.val(), self.beta.val()], 0);
        let changes = self.changes.forward(relu(self.hidden.forward(y)));
        let [gamma, beta] = halves(changes + own.unsqueeze());
        gamma * self.norm.forward(x) + beta
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let hidden = trace.linear("hidden", &self.hidden, y);
        let hidden = trace.activation("relu", 0, &hidden);
        let both = trace.linear("changes", &self.changes, &hidden);
        let both = trace.shift("own", 2 * self.gamma.shape()[0], &both);
        let channels = [both.elements() / 2];
        // At inference a part of the layer before it.
        let x = trace.shift("norm", 0, x);
        let scaled = trace.product("scale", &x, &both.view(&channels));
        trace.sum("shift", &scaled, &both.view(&channels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, single, wave,
    };
    use crate::norm::BatchNormConfig;
    use burn::tensor::DType;

    const CONFIG: ConditionalNormConfig = ConditionalNormConfig { b: 3, hidden: 5, channels: 2 };

    #[test]
    fn at_first_it_is_a_plain_batch_norm() {
        let device = Device::flex().autodiff();
        let layer = CONFIG.init(&device).expect("sizes");
        let plain = BatchNormConfig::new(2).init(&device).expect("channels");
        let picture = |shape: [usize; 4], device: &Device| wave(shape, 0.7, device).cast(DType::F32);
        let condition = |device: &Device| wave([3, 3], 1.3, device).cast(DType::F32);
        let x = picture([3, 2, 4, 5], &device);
        let trained = numbers(layer.forward(x.clone(), condition(&device)));
        close(&trained, &numbers(plain.forward(x)), 1e-6);
        // By what both remember.
        let (device, layer, plain) = (Device::flex(), layer.valid(), plain.valid());
        let x = picture([3, 2, 1, 7], &device);
        close(&numbers(layer.forward(x.clone(), condition(&device))), &numbers(plain.forward(x)), 1e-6);
    }

    #[test]
    fn it_is_what_pytorch_computes_at_inference() {
        // v(k, *shape): golden filling of check.rs; wave(scale, *shape): sin(scale (i + 1)); all float64.
        // xh = F.batch_norm(wave(.7, 2, 2, 2, 1), tensor([.5, -.2]), tensor([2., .3]))
        // g, b = F.linear(F.linear(wave(1.3, 2, 3), v(2, 5, 3), v(3, 5)).relu(), v(4, 4, 5), v(5, 4)).chunk(2, 1)
        // (v_scale(0, 2) + g)[..., None, None] * xh + (v(1, 2) + b)[..., None, None]
        let device = Device::flex();
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        let vector = |numbers: [f64; 2]| doubles(numbers.to_vec(), [2], &device);
        layer.norm.running_mean.update(vector([0.5, -0.2]));
        layer.norm.running_var.update(vector([2.0, 0.3]));
        let out = layer.forward::<4>(wave([2, 2, 2, 1], 0.7, &device), wave([2, 3], 1.3, &device));
        close(
            &numbers(out),
            &[
                0.165350177585954,
                0.485332493002509,
                2.207098412359904,
                1.201139493698368,
                -0.76451130291924,
                -1.256071796963499,
                -1.301407675132726,
                -0.638450865678551,
            ],
            1e-12,
        );
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        // As filled for golden values: zeros at the end would hide what is before them.
        let layer = || golden(CONFIG.init(&device).expect("sizes"));
        let (x, y) = (wave::<4>([2, 2, 3, 1], 0.7, &device), wave([2, 3], 1.3, &device));
        gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone()));
        gradients(layer(), y.clone(), |layer, y| layer.forward(x.clone(), y));
        gradients(double(CONFIG.init(&device).expect("sizes")), x.clone(), |layer, x| layer.forward(x, y.clone()));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = CONFIG.init(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, y) = (trace.input(&[2, 3, 5]), trace.input(&[3]));
        let out = layer.describe(&mut trace, &x, &y);
        assert_eq!(out.shape(), [2, 3, 5]);
        let audit = trace.audit(&out);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!(audit.parameters, 2 * 2 + 4 * 5 + 6 * 2 * 2);
        assert_eq!((audit.multiply_adds, audit.ciphertext_products), (3 * 5 + 5 * 4, 30));
        assert_eq!((audit.log2_degree, audit.activation_free), (None, false));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        let (x, y) = (Tensor::<4>::ones([2, 2, 3, 1], &device), Tensor::ones([2, 3], &device));
        let forward = |layer: &ConditionalNorm| layer.forward(x.clone(), y.clone());
        let filled = single(golden(make()));
        filled.norm.running_mean.update(Tensor::full([2], 0.25, &device));
        saves_and_loads(filled, make(), forward);
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = ConditionalNormConfig { channels: 0, ..CONFIG }.init(&Device::flex()).expect_err("no channels");
        assert_eq!(error.to_string(), "conditional norm: channels is 0");
    }
}
