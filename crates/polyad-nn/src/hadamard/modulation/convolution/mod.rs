//! Convolutions that are told, or find out, where their input means something: by a mask, or by a gate.

mod gated;
mod partial;

pub use gated::{GatedConv, GatedConvConfig, Nonlinearity};
pub use partial::{PartialConv, PartialConvConfig};

use crate::error::{Error, Result, nonzero};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2dConfig;

/// What a convolution of this folder is: padded by zeros so that at stride 1 a map keeps its size.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    dilation: usize,
}

impl Geometry {
    /// Refuses sizes of zero and kernels of even size, which have no middle.
    fn config(&self, module: &'static str) -> Result<Conv2dConfig> {
        let Geometry { channels: [inputs, outputs], kernel, stride, dilation } = *self;
        let sizes = [("inputs", inputs), ("outputs", outputs), ("kernel", kernel), ("stride", stride)];
        nonzero(module, &sizes)?;
        nonzero(module, &[("dilation", dilation)])?;
        if kernel % 2 == 0 {
            return Err(Error::config(module, format!("kernel is {kernel}, and even kernels have no middle")));
        }
        let zeros = dilation * (kernel / 2);
        Ok(Conv2dConfig::new([inputs, outputs], [kernel; 2])
            .with_stride([stride; 2])
            .with_dilation([dilation; 2])
            .with_padding(PaddingConfig2d::Explicit(zeros, zeros, zeros, zeros)))
    }
}
