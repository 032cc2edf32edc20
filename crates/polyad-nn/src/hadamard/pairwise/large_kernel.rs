//! Large kernel attention: a picture times a wide convolution of itself (Guo et al., Visual Attention Network,
//! arXiv 2202.09741).
//!
//! The wide kernel is a depthwise one, a dilated depthwise one and a 1 × 1. The published 5 and 7 (dilation 3) reach
//! over 23 pixels, not the 21 of the text.

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};

/// How a [`LargeKernelAttention`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargeKernelAttentionConfig {
    /// C.
    pub channels: usize,
    /// Pixels across the first kernel, odd.
    pub local: usize,
    /// Numbers across the dilated kernel, odd.
    pub spread: usize,
    /// Pixels from one number of the dilated kernel to the next.
    pub dilation: usize,
}

/// `y = x ∘ mix(wide(near(x)))`.
///
/// A polynomial of degree 2; linear in the pixels.
#[derive(Module, Debug)]
pub struct LargeKernelAttention {
    /// Depthwise, `[channels, 1, local, local]` and a bias.
    pub near: Conv2d,
    /// Depthwise and dilated, `[channels, 1, spread, spread]` and a bias.
    pub wide: Conv2d,
    /// `[channels, channels, 1, 1]` and a bias.
    pub mix: Conv2d,
}

impl LargeKernelAttentionConfig {
    /// The published kernels: 5, then 7 with dilation 3.
    pub fn published(channels: usize) -> Self {
        LargeKernelAttentionConfig { channels, local: 5, spread: 7, dilation: 3 }
    }

    /// Makes the layer. Sizes of zero and even kernels are refused.
    pub fn init(&self, device: &Device) -> Result<LargeKernelAttention> {
        let LargeKernelAttentionConfig { channels, local, spread, dilation } = *self;
        let sizes = [("channels", channels), ("local", local), ("spread", spread), ("dilation", dilation)];
        nonzero("large kernel attention", &sizes)?;
        for (name, across) in [("local", local), ("spread", spread)] {
            if across.is_multiple_of(2) {
                return Err(Error::config("large kernel attention", format!("{name} is {across}, not odd")));
            }
        }
        let depthwise = |across: usize, dilation: usize| {
            let zeros = across / 2 * dilation;
            Conv2dConfig::new([channels, channels], [across; 2])
                .with_groups(channels)
                .with_dilation([dilation; 2])
                .with_padding(PaddingConfig2d::Explicit(zeros, zeros, zeros, zeros))
                .init(device)
        };
        Ok(LargeKernelAttention {
            near: depthwise(local, 1),
            wide: depthwise(spread, dilation),
            mix: Conv2dConfig::new([channels, channels], [1, 1]).init(device),
        })
    }
}

impl LargeKernelAttention {
    /// # Shapes
    /// - `x`, output: `[n, channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        x.clone() * self.mix.forward(self.wide.forward(self.near.forward(x)))
    }
}

impl Describe for LargeKernelAttention {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let y = trace.conv2d("near", &self.near, &x);
        let y = trace.conv2d("wide", &self.wide, &y);
        let y = trace.conv2d("mix", &self.mix, &y);
        trace.product("modulated", &x, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use burn::module::Param;

    const SMALL: LargeKernelAttentionConfig =
        LargeKernelAttentionConfig { channels: 2, local: 3, spread: 3, dilation: 2 };

    #[test]
    fn values_are_those_of_pytorch() {
        // import torch, torch.nn.functional as F; torch.set_default_dtype(torch.float64)
        // w = lambda s, *n: torch.sin(s * (torch.arange(torch.Size(n).numel()) + 1.0)).view(n)
        // x = w(0.7, 1, 2, 3, 2); y = F.conv2d(x, w(0.9, 2, 1, 3, 3), w(0.2, 2), padding=1, groups=2)
        // y = F.conv2d(y, w(1.1, 2, 1, 3, 3), w(0.3, 2), padding=2, groups=2, dilation=2)
        // x * F.conv2d(y, w(1.3, 2, 2, 1, 1), w(0.4, 2))
        let device = Device::flex();
        let mut layer = double(SMALL.init(&device).expect("sizes"));
        let parts = [
            (&mut layer.near, [2, 1, 3, 3], 0.9, 0.2),
            (&mut layer.wide, [2, 1, 3, 3], 1.1, 0.3),
            (&mut layer.mix, [2, 2, 1, 1], 1.3, 0.4),
        ];
        for (conv, shape, weight, bias) in parts {
            conv.weight = Param::from_tensor(wave(shape, weight, &device));
            conv.bias = Some(Param::from_tensor(wave([2], bias, &device)));
        }
        #[rustfmt::skip]
        let wanted = [
            1.43176606226267, 2.95527030544659, 1.67425581903816, 0.347560594657158,
            0.173637449559398, 1.35670363145351, 0.762319648163925, 1.07464308884761,
            -0.0166257391096757, -0.185649029737247, 0.870265209564479, 1.91136918968713,
        ];
        close(&numbers(layer.forward(wave([1, 2, 3, 2], 0.7, &device))), &wanted, 1e-11);
    }

    #[test]
    fn the_published_kernels_reach_over_23_pixels() {
        let device = Device::flex();
        let layer = double(LargeKernelAttentionConfig::published(1).init(&device).expect("sizes"));
        let ones = Tensor::<4>::ones([1, 1, 31, 31], (&device, burn::tensor::DType::F64));
        let moved =
            ones.clone().slice_assign([0..1, 0..1, 15..16, 15..16], ones.clone().slice([0..1, 0..1, 0..1, 0..1]) * 2.0);
        let difference = numbers(layer.forward(moved) - layer.forward(ones));
        let changed: Vec<usize> = (0..31 * 31).filter(|pixel| difference[*pixel] != 0.0).collect();
        let extent = |of: fn(&usize) -> usize| {
            let (low, high) = (changed.iter().map(of).min(), changed.iter().map(of).max());
            high.expect("changed") - low.expect("changed") + 1
        };
        assert_eq!((extent(|pixel| pixel / 31), extent(|pixel| pixel % 31)), (23, 23));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let layer = SMALL.init(&device).expect("sizes");
        gradients(golden(layer), wave([2, 2, 5, 3], 0.7, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = LargeKernelAttentionConfig::published(8).init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&layer, &[8, 5, 3]);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&layer), 8 * (25 + 1 + 49 + 1) + 64 + 8));
        assert_eq!(audit.multiply_adds, 15 * (64 + 74 * 8));
        assert_eq!((audit.log2_degree, audit.product_depth), (Some(1.0), Some(1)));
        assert!(audit.activation_free && audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || SMALL.init(&device).expect("sizes");
        saves_and_loads(make(), make(), |layer| layer.forward(Tensor::ones([1, 2, 5, 3], &device)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refusal =
            |config: LargeKernelAttentionConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        let config = LargeKernelAttentionConfig { dilation: 0, ..SMALL };
        assert_eq!(refusal(config), "large kernel attention: dilation is 0");
        let config = LargeKernelAttentionConfig { local: 4, ..SMALL };
        assert_eq!(refusal(config), "large kernel attention: local is 4, not odd");
    }
}
