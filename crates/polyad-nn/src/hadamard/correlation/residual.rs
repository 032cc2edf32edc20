//! What residual polynomial networks of pictures have in common: their two branches, a mixed norm, pools.
//!
//! Pictures are in planar layout, `[n, channels, height, width]`, and the operations are Burn's own.

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use crate::norm::{BatchNorm, BatchNormConfig};
use burn::module::{Initializer, Module};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2dConfig, MaxPool2dConfig};
use burn::nn::{InstanceNorm, InstanceNormConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};

/// Zeros on all sides, so that an odd kernel of stride 1 keeps the size.
pub(super) fn same_padding(kernel: usize) -> PaddingConfig2d {
    let zeros = kernel / 2;
    PaddingConfig2d::Explicit(zeros, zeros, zeros, zeros)
}

/// A convolution without bias.
pub(super) fn conv(
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    initializer: &Initializer,
    device: &Device,
) -> Conv2d {
    Conv2dConfig::new(channels, [kernel; 2])
        .with_stride([stride; 2])
        .with_padding(same_padding(kernel))
        .with_bias(false)
        .with_initializer(initializer.clone())
        .init(device)
}

/// A convolution without bias, and batch norm.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// `[out, in, k, k]`
    pub conv: Conv2d,
    /// Of `out` channels.
    pub norm: BatchNorm,
}

impl ConvNorm {
    pub(super) fn new(
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        initializer: &Initializer,
        device: &Device,
    ) -> Result<Self> {
        let norm = BatchNormConfig::new(channels[1]).init(device)?;
        Ok(ConvNorm { conv: conv(channels, kernel, stride, initializer, device), norm })
    }

    /// # Shapes
    /// - `x`: `[n, in, height, width]`
    /// - output: `[n, out, ⌈height / stride⌉, ⌈width / stride⌉]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x))
    }

    pub(super) fn describe(&self, trace: &mut Trace, name: &str, x: &Signal) -> Signal {
        trace.within(name, |trace| {
            let x = trace.conv2d("conv", &self.conv, x);
            trace.batch_norm("norm", &self.norm, &x)
        })
    }
}

/// The norm between a block's two convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InnerNorm {
    /// Batch norm, which folds.
    Batch,
    /// Instance norm on four channels of five, batch norm on the rest.
    InstanceBatch,
}

/// Instance norm on the first channels, batch norm on the others (IBN; Pan et al., arXiv 1807.09441).
#[derive(Module, Debug)]
pub struct MixedNorm {
    /// Of the first channels, each by its own mean and variance; with scale and shift.
    pub instance: Option<InstanceNorm>,
    /// Of the others.
    pub batch: BatchNorm,
}

impl MixedNorm {
    fn new(kind: InnerNorm, channels: usize, device: &Device) -> Result<Self> {
        let instances = match kind {
            InnerNorm::Batch => 0,
            InnerNorm::InstanceBatch => channels * 4 / 5,
        };
        let instance = (instances > 0).then(|| InstanceNormConfig::new(instances).init(device));
        Ok(MixedNorm { instance, batch: BatchNormConfig::new(channels - instances).init(device)? })
    }

    /// # Shapes
    /// - `x`, output: `[n, channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let Some(instance) = &self.instance else { return self.batch.forward(x) };
        let (first, channels) = (instance.num_channels, x.dims()[1]);
        let normed = instance.forward(x.clone().narrow(1, 0, first));
        Tensor::cat(vec![normed, self.batch.forward(x.narrow(1, first, channels - first))], 1)
    }

    fn describe(&self, trace: &mut Trace, x: &Signal) -> Signal {
        let Some(instance) = &self.instance else { return trace.batch_norm("batch", &self.batch, x) };
        let (first, shape) = (instance.num_channels, x.shape().to_vec());
        let normed = trace.normalise("instance", 2 * first, &x.view(&[first, shape[1], shape[2]]));
        let others = trace.batch_norm("batch", &self.batch, &x.view(&[shape[0] - first, shape[1], shape[2]]));
        trace.relocate("cat", &[&normed, &others], &shape)
    }
}

/// Pools of 3 × 3 pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The greatest, as published.
    Max,
    /// The mean, which leaves a polynomial a polynomial. Zeros beyond the border count.
    Mean,
}

impl Pool {
    pub(super) fn forward(self, x: Tensor<4>, stride: usize) -> Tensor<4> {
        let (strides, padding) = ([stride; 2], same_padding(3));
        match self {
            Pool::Max => MaxPool2dConfig::new([3, 3]).with_strides(strides).with_padding(padding).init().forward(x),
            Pool::Mean => AvgPool2dConfig::new([3, 3]).with_strides(strides).with_padding(padding).init().forward(x),
        }
    }

    pub(super) fn describe(self, trace: &mut Trace, x: &Signal, stride: usize) -> Signal {
        let size = |axis: usize| x.shape()[axis].div_ceil(stride);
        let shape = [x.shape()[0], size(1), size(2)];
        match self {
            Pool::Max => trace.select("max pool", x, &shape),
            Pool::Mean => trace.mean("mean pool", x, &shape),
        }
    }
}

/// The branches of a residual block, which polynomial networks multiply.
#[derive(Debug, Clone)]
pub(super) struct BranchesConfig {
    /// Of input and output.
    pub channels: [usize; 2],
    /// Of the first convolution and the shortcut.
    pub stride: usize,
    pub norm: InnerNorm,
    /// Of all weights.
    pub initializer: Initializer,
}

/// `F = BN(conv(N(conv(x))))`, both 3 × 3, and the shortcut `s`: x itself, or `BN(conv(x))`, 1 × 1, where sizes change.
#[derive(Module, Debug)]
pub struct Branches {
    /// `[out, in, 3, 3]`, no bias, with the stride.
    pub conv1: Conv2d,
    /// N.
    pub norm1: MixedNorm,
    /// `[out, out, 3, 3]`
    pub conv2: ConvNorm,
    /// `[out, in, 1, 1]`, with the stride.
    pub shortcut: Option<ConvNorm>,
}

impl BranchesConfig {
    pub fn init(&self, device: &Device) -> Result<Branches> {
        let BranchesConfig { channels: [inputs, outputs], stride, norm, ref initializer } = *self;
        nonzero("residual block", &[("inputs", inputs), ("outputs", outputs), ("stride", stride)])?;
        let shortcut = if self.changes_size() {
            Some(ConvNorm::new([inputs, outputs], 1, stride, initializer, device)?)
        } else {
            None
        };
        Ok(Branches {
            conv1: conv([inputs, outputs], 3, stride, initializer, device),
            norm1: MixedNorm::new(norm, outputs, device)?,
            conv2: ConvNorm::new([outputs; 2], 3, 1, initializer, device)?,
            shortcut,
        })
    }

    /// Whether output and input have different shapes.
    pub fn changes_size(&self) -> bool {
        self.stride != 1 || self.channels[0] != self.channels[1]
    }
}

impl Branches {
    /// F and s.
    ///
    /// # Shapes
    /// - `x`: `[n, in, height, width]`
    /// - outputs: `[n, out, ⌈height / stride⌉, ⌈width / stride⌉]`
    pub fn forward(&self, x: Tensor<4>) -> [Tensor<4>; 2] {
        let inner = self.norm1.forward(self.conv1.forward(x.clone()));
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        [self.conv2.forward(inner), shortcut]
    }

    pub(super) fn describe(&self, trace: &mut Trace, x: &Signal) -> [Signal; 2] {
        let inner = trace.conv2d("conv1", &self.conv1, x);
        let inner = trace.within("norm1", |trace| self.norm1.describe(trace, &inner));
        let f = self.conv2.describe(trace, "conv2", &inner);
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.describe(trace, "shortcut", x),
            None => x.clone(),
        };
        [f, shortcut]
    }
}

/// Shapes of the blocks of a network's stages: channels in and out, and the stride; from the second stage on the first
/// block halves the picture.
pub(super) fn stages(stem: usize, widths: &[usize], blocks: &[usize]) -> Vec<Vec<([usize; 2], usize)>> {
    let mut inputs = stem;
    let mut block = |stage: usize, index: usize| {
        let channels = [std::mem::replace(&mut inputs, widths[stage]), widths[stage]];
        (channels, if stage > 0 && index == 0 { 2 } else { 1 })
    };
    blocks.iter().enumerate().map(|(stage, count)| (0..*count).map(|index| block(stage, index)).collect()).collect()
}

/// The mean of each channel.
///
/// # Shapes
/// - `x`: `[n, channels, height, width]`
/// - output: `[n, channels]`
pub(super) fn mean_of_pixels(x: Tensor<4>) -> Tensor<2> {
    let [n, channels, _, _] = x.dims();
    x.mean_dim(3).mean_dim(2).reshape([n, channels])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::{Audit, Describe};
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, wave};

    const NORMAL: Initializer = Initializer::KaimingNormal { gain: 1.0, fan_out_only: false };

    #[test]
    fn four_channels_of_five_are_normalised_by_themselves() {
        let device = Device::flex();
        for (channels, instances) in [(64, 51), (5, 4), (7, 5), (1, 0)] {
            let norm = MixedNorm::new(InnerNorm::InstanceBatch, channels, &device).expect("channels");
            assert_eq!(norm.instance.as_ref().map_or(0, |norm| norm.num_channels), instances);
            assert_eq!(norm.batch.gamma.shape().num_elements(), channels - instances);
            assert_eq!(parameters(&norm), 2 * channels);
        }
    }

    #[test]
    fn a_mixed_norm_is_that_of_pytorch() {
        let device = Device::flex();
        let norm = golden(MixedNorm::new(InnerNorm::InstanceBatch, 5, &device).expect("channels"));
        // InstanceNorm2d(4, affine=True) of the first channels, BatchNorm2d(1) of the last, filled as `golden` fills
        // them, in eval(); x = sin(.3 (1 + arange(60))) as [2, 5, 2, 3]; y[1, :, 1, 2]
        let wanted = [-1.17727972482, 1.873034016, 0.979568191229, -1.57438349618, -0.715216078211];
        let y = norm.forward(wave([2, 5, 2, 3], 0.3, &device));
        close(&numbers(y.slice([1..2, 0..5, 1..2, 2..3])), &wanted, 1e-10);
    }

    #[test]
    fn pools_are_those_of_pytorch() {
        let x = wave([1, 1, 4, 5], 0.7, &Device::flex());
        // max_pool2d and avg_pool2d(x, 3, 2, 1), x = sin(.7 (1 + arange(20))) as [1, 1, 4, 5]
        let maxima = [0.985449729988, 0.985449729988, 0.656986598719, 0.988168233877, 0.854598908088, 0.990607355695];
        let means =
            [-0.0249289964235, 0.0651935440868, 0.0731117135188, -0.178730676051, -0.0782923901829, 0.120866969763];
        close(&numbers(Pool::Max.forward(x.clone(), 2)), &maxima, 1e-11);
        close(&numbers(Pool::Mean.forward(x, 2)), &means, 1e-11);
    }

    #[test]
    fn stages_halve_the_picture_from_the_second_on() {
        let wanted = vec![vec![([8, 8], 1), ([8, 8], 1)], vec![([8, 16], 2)], vec![([16, 12], 2), ([12, 12], 1)]];
        assert_eq!(stages(8, &[8, 16, 12], &[2, 1, 2]), wanted);
    }

    /// The sum of both branches.
    impl Describe for Branches {
        fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
            let [f, s] = Branches::describe(self, trace, &x);
            trace.sum("sum", &f, &s)
        }
    }

    #[test]
    fn branches_say_what_they_do() {
        let device = Device::flex();
        let config =
            BranchesConfig { channels: [4, 6], stride: 2, norm: InnerNorm::InstanceBatch, initializer: NORMAL };
        let branches = config.init(&device).expect("sizes");
        let audit = Audit::of(&branches, &[4, 7, 9]);
        assert_eq!(audit.parameters, parameters(&branches));
        assert_eq!(audit.multiply_adds, (9 * 4 * 6 + 9 * 6 * 6 + 4 * 6) * 4 * 5);
        assert_eq!(audit.layers.last().expect("a sum").shape, [6, 4, 5]);
        let [f, s] = branches.forward(wave([1, 4, 7, 9], 0.3, &device).cast(burn::tensor::DType::F32));
        assert_eq!((f.dims(), s.dims()), ([1, 6, 4, 5], [1, 6, 4, 5]));
        assert!(audit.activation_free && !audit.polynomial_at_inference && !audit.only_add_mul);

        let branches = BranchesConfig { norm: InnerNorm::Batch, ..config }.init(&device).expect("sizes");
        assert_eq!(Audit::of(&branches, &[4, 7, 9]).log2_degree, Some(0.0));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let config =
            BranchesConfig { channels: [5, 5], stride: 1, norm: InnerNorm::InstanceBatch, initializer: NORMAL };
        gradients(config.init(&device).expect("sizes"), wave([2, 5, 3, 4], 0.9, &device), |branches, x| {
            let [f, s] = branches.forward(x);
            f * s
        });
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let config = BranchesConfig { channels: [4, 6], stride: 0, norm: InnerNorm::Batch, initializer: NORMAL };
        assert_eq!(config.init(&Device::flex()).expect_err("no stride").to_string(), "residual block: stride is 0");
    }
}
