//! Focal modulation: each pixel is modulated by contexts of growing extent, which it gates (Yang et al., Focal
//! Modulation Networks, arXiv 2203.11926).
//!
//! Gates are the numbers that the linear map gives, through no sigmoid. The contexts' sum is divided by their number
//! only on request, as in public code.

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

/// How a [`FocalModulation`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FocalModulationConfig {
    /// C.
    pub channels: usize,
    /// L, the contexts beside the global one.
    pub levels: usize,
    /// Pixels across the first context, odd; each further convolution is 2 wider.
    pub window: usize,
    /// Whether the contexts' sum is divided by L + 1.
    pub is_mean: bool,
}

/// `y = W_o (q ∘ h(Σ_l g_l ∘ z_l))`, `[q; z_0; g] = W x`, `z_l = gelu(dwconv_l(z_{l−1}))`, `z_{L+1} = gelu(mean(z_L))`.
///
/// Linear in the pixels.
#[derive(Module, Debug)]
pub struct FocalModulation {
    /// W, `[channels, 2 · channels + L + 1]`: queries, contexts, gates.
    pub input: Linear,
    /// Depthwise, `window + 2l` across, no bias.
    pub contexts: Vec<Conv2d>,
    /// h, `[channels, channels]`.
    pub modulator: Linear,
    /// W_o, `[channels, channels]`.
    pub output: Linear,
    is_mean: bool,
}

impl FocalModulationConfig {
    /// Makes the layer. Sizes of zero and an even window are refused.
    pub fn init(&self, device: &Device) -> Result<FocalModulation> {
        let FocalModulationConfig { channels, levels, window, is_mean } = *self;
        nonzero("focal modulation", &[("channels", channels), ("levels", levels), ("window", window)])?;
        if window.is_multiple_of(2) {
            return Err(Error::config("focal modulation", format!("window is {window}, not odd")));
        }
        let context = |level: usize| {
            let (across, zeros) = (window + 2 * level, window / 2 + level);
            Conv2dConfig::new([channels, channels], [across; 2])
                .with_groups(channels)
                .with_padding(PaddingConfig2d::Explicit(zeros, zeros, zeros, zeros))
                .with_bias(false)
                .init(device)
        };
        Ok(FocalModulation {
            input: LinearConfig::new(channels, 2 * channels + levels + 1).init(device),
            contexts: (0..levels).map(context).collect(),
            modulator: LinearConfig::new(channels, channels).init(device),
            output: LinearConfig::new(channels, channels).init(device),
            is_mean,
        })
    }
}

impl FocalModulation {
    /// # Shapes
    /// - `x`, output: `[n, height, width, channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let channels = x.dims()[3];
        let levels = self.contexts.len();
        let [q, z, gates] = self
            .input
            .forward(x)
            .split_with_sizes(vec![channels, channels, levels + 1], 3)
            .try_into()
            .expect("three parts");
        let gate = |level| gates.clone().narrow(3, level, 1);
        let mut z = z.permute([0, 3, 1, 2]);
        let mut sum = None;
        for (level, context) in self.contexts.iter().enumerate() {
            z = gelu(context.forward(z));
            let gated = z.clone().permute([0, 2, 3, 1]) * gate(level);
            sum = Some(sum.map_or(gated.clone(), |sum: Tensor<4>| sum + gated));
        }
        let global = gelu(z.mean_dim(3).mean_dim(2)).permute([0, 2, 3, 1]) * gate(levels);
        let sum = sum.map_or(global.clone(), |sum| sum + global);
        let sum = if self.is_mean { sum / (levels + 1) as f64 } else { sum };
        self.output.forward(q * self.modulator.forward(sum))
    }
}

impl Describe for FocalModulation {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [height, width, channels] = [x.shape()[0], x.shape()[1], x.shape()[2]];
        let levels = self.contexts.len();
        let all = trace.linear("input", &self.input, &x);
        let pixels = [height, width, channels];
        let gate = all.view(&[height, width, 1]);
        let mut z = all.view(&[channels, height, width]);
        let mut sum: Option<Signal> = None;
        for (level, context) in self.contexts.iter().enumerate() {
            z = trace.conv2d(&format!("contexts.{level}"), context, &z);
            z = trace.activation("gelu", 0, &z);
            let gated = trace.product("gated", &z.view(&pixels), &gate);
            sum = Some(sum.map_or(gated.clone(), |sum| trace.sum("sum", &sum, &gated)));
        }
        let global = trace.mean("mean", &z, &[1, 1, channels]);
        let global = trace.activation("gelu", 0, &global);
        let global = trace.product("gated", &global, &gate.view(&pixels));
        let sum = sum.map_or(global.clone(), |sum| trace.sum("sum", &sum, &global));
        let sum = if self.is_mean { trace.scale(&format!("divided by {}", levels + 1), 0, &sum) } else { sum };
        let modulator = trace.linear("modulator", &self.modulator, &sum);
        let y = trace.product("modulated", &all.view(&pixels), &modulator);
        trace.linear("output", &self.output, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use burn::module::Param;

    const CONFIG: FocalModulationConfig = FocalModulationConfig { channels: 4, levels: 2, window: 3, is_mean: false };

    fn layer(device: &Device) -> FocalModulation {
        CONFIG.init(device).expect("sizes")
    }

    #[test]
    fn values_are_those_of_pytorch() {
        // import torch, torch.nn.functional as F; torch.set_default_dtype(torch.float64)
        // w = lambda s, *n: torch.sin(s * (torch.arange(torch.Size(n).numel()) + 1.0)).view(n)
        // q, z, g = (w(0.7, 1, 2, 3, 2) @ w(0.9, 2, 7)).split([2, 2, 3], -1); z = z.permute(0, 3, 1, 2); s = 0
        // for l in range(2):
        //     z = F.gelu(F.conv2d(z, w(1.1 + l, 2, 1, 3 + 2 * l, 3 + 2 * l), padding=1 + l, groups=2))
        //     s = s + z.permute(0, 2, 3, 1) * g[..., l:l + 1]
        // s = (s + F.gelu(z.mean((2, 3)))[:, None, None] * g[..., 2:]) / 3
        // (q * (s @ w(1.3, 2, 2))) @ w(1.7, 2, 2)
        let device = Device::flex();
        let config = FocalModulationConfig { channels: 2, is_mean: true, ..CONFIG };
        let mut layer = double(config.init(&device).expect("sizes"));
        let weight = |shape, scale| Param::from_tensor(wave::<2>(shape, scale, &device));
        let parts =
            [(&mut layer.input, [2, 7], 0.9), (&mut layer.modulator, [2, 2], 1.3), (&mut layer.output, [2, 2], 1.7)];
        for (linear, shape, scale) in parts {
            (linear.weight, linear.bias) = (weight(shape, scale), None);
        }
        for (level, context) in layer.contexts.iter_mut().enumerate() {
            let across = 3 + 2 * level;
            context.weight = Param::from_tensor(wave([2, 1, across, across], 1.1 + level as f64, &device));
        }
        #[rustfmt::skip]
        let wanted = [
            -0.220378658637253, -0.0765258992556554, -0.155886144224711, 0.199375130907852,
            -0.0579837578836314, 0.00337678665969909, -0.267135517691643, 0.0484747677243076,
            -0.216856911847436, 0.0815071323817604, -0.307831858932899, 0.458065804929854,
        ];
        close(&numbers(layer.forward(wave([1, 2, 3, 2], 0.7, &device))), &wanted, 1e-11);
    }

    #[test]
    fn shifts_of_the_picture_are_shifts_of_the_result_but_for_borders_and_the_mean() {
        // A single pixel among zeros, without biases: its contexts and the global mean move with it.
        let device = Device::flex();
        let mut layer = golden(layer(&device));
        for linear in [&mut layer.input, &mut layer.modulator, &mut layer.output] {
            linear.bias = None;
        }
        let picture = |row, column| {
            let pixel = wave::<4>([1, 1, 1, 4], 0.7, &device);
            let zeros = Tensor::zeros([1, 15, 15, 4], (&device, burn::tensor::DType::F64));
            zeros.slice_assign([0..1, row..row + 1, column..column + 1, 0..4], pixel)
        };
        let around = |x: Tensor<4>, row: usize, column: usize| {
            numbers(x.slice([0..1, row - 4..row + 5, column - 4..column + 5, 0..4]))
        };
        let wanted = around(layer.forward(picture(6, 6)), 6, 6);
        close(&around(layer.forward(picture(7, 9)), 7, 9), &wanted, 1e-13);
        assert!(wanted.iter().any(|x| x.abs() > 1e-6));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for is_mean in [false, true] {
            let layer = FocalModulationConfig { is_mean, ..CONFIG }.init(&device).expect("sizes");
            gradients(golden(layer), wave([2, 3, 5, 4], 0.7, &device), |layer, x| layer.forward(x));
        }
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = layer(&Device::flex());
        let audit = Audit::of(&layer, &[3, 5, 4]);
        let numbers = (4 * 11 + 11) + 4 * (9 + 25) + 2 * (16 + 4);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&layer), numbers));
        assert_eq!(audit.multiply_adds, 15 * (44 + 4 * (9 + 25) + 2 * 16));
        // Three contexts gated, and queries.
        assert_eq!(audit.ciphertext_products, 4 * 15 * 4);
        assert!(!audit.activation_free && audit.log2_degree.is_none());
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(&device), layer(&device), |layer| layer.forward(Tensor::ones([1, 3, 5, 4], &device)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refusal = |config: FocalModulationConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refusal(FocalModulationConfig { levels: 0, ..CONFIG }), "focal modulation: levels is 0");
        assert_eq!(refusal(FocalModulationConfig { window: 4, ..CONFIG }), "focal modulation: window is 4, not odd");
    }
}
