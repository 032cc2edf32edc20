//! StarNet: an image network whose only non-linearity beside ReLU6 is a product of two branches, the *star operation*
//! (Ma et al., Rewrite the Stars, arXiv 2403.19967).
//!
//! Every convolution has a bias, also before batch norm, as in the published code. Convolutions begin as He et al.
//! (arXiv 1502.01852) draw them, by fan-out; the published code and its ports differ here among themselves.

use crate::blocked::{self, Cut, Padding, Precision};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use crate::norm::{BatchNorm, BatchNormConfig};
use burn::module::{Initializer, Module};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};

/// How a [`StarNet`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarNetConfig {
    /// Channels of the first stage; each later one has twice as many.
    pub base: usize,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// How many times wider the branches are than the stage.
    pub ratio: usize,
    /// Classes of the head; `None` for a network that ends with its vector.
    pub classes: Option<usize>,
}

/// `[n, 3, height, width]` to `[n, classes]`, or to a vector for each picture.
#[derive(Module, Debug)]
pub struct StarNet {
    /// 3 × 3, stride 2, to 32 channels; batch norm; ReLU6.
    pub stem: ConvNorm,
    /// From large pictures to small.
    pub stages: Vec<Stage>,
    /// Before the mean over pixels.
    pub norm: BatchNorm,
    /// Classes, where they are asked for.
    pub head: Option<Linear>,
}

/// Half the size, and blocks.
#[derive(Module, Debug)]
pub struct Stage {
    /// 3 × 3, stride 2.
    pub down: ConvNorm,
    /// Of the same size.
    pub blocks: Vec<Block>,
}

/// A convolution with bias, and batch norm where there is one.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// `[out, in / groups, k, k]`
    pub conv: Conv2d,
    /// `None` behind a block's last convolution and in its branches.
    pub bn: Option<BatchNorm>,
}

/// `x + dwconv2(g(relu6(f1(dw)) ∘ f2(dw)))`, `dw = dwconv(x)`.
#[derive(Module, Debug)]
pub struct Block {
    /// Depthwise 7 × 7, batch norm.
    pub dwconv: ConvNorm,
    /// 1 × 1, wider; through ReLU6.
    pub f1: ConvNorm,
    /// 1 × 1, as wide.
    pub f2: ConvNorm,
    /// 1 × 1, narrow again; batch norm.
    pub g: ConvNorm,
    /// Depthwise 7 × 7.
    pub dwconv2: ConvNorm,
}

/// Channels after the stem.
const STEM: usize = 32;

/// The published sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StarNetSize {
    /// 0.54 M parameters.
    S050,
    /// 1.0 M.
    S100,
    /// 1.6 M.
    S150,
    /// 2.9 M.
    S1,
    /// 3.7 M.
    S2,
    /// 5.8 M.
    S3,
    /// 7.5 M.
    S4,
}

impl StarNetSize {
    /// All of them, from small to large.
    pub const ALL: [StarNetSize; 7] = [Self::S050, Self::S100, Self::S150, Self::S1, Self::S2, Self::S3, Self::S4];

    /// The network's name, such as `starnet-s050`.
    pub fn name(self) -> &'static str {
        match self {
            Self::S050 => "starnet-s050",
            Self::S100 => "starnet-s100",
            Self::S150 => "starnet-s150",
            Self::S1 => "starnet-s1",
            Self::S2 => "starnet-s2",
            Self::S3 => "starnet-s3",
            Self::S4 => "starnet-s4",
        }
    }

    /// Its sizes, without a head.
    pub fn config(self) -> StarNetConfig {
        let (base, depths, ratio) = match self {
            Self::S050 => (16, [1, 1, 3, 1], 3),
            Self::S100 => (20, [1, 2, 4, 1], 4),
            Self::S150 => (24, [1, 2, 4, 2], 3),
            Self::S1 => (24, [2, 2, 8, 3], 4),
            Self::S2 => (32, [1, 2, 6, 2], 4),
            Self::S3 => (32, [2, 2, 8, 4], 4),
            Self::S4 => (32, [3, 3, 12, 5], 4),
        };
        StarNetConfig { base, depths: depths.to_vec(), ratio, classes: None }
    }
}

impl StarNetConfig {
    /// Length of a picture's vector.
    pub fn features(&self) -> usize {
        self.depths.iter().skip(1).fold(self.base, |width, _| 2 * width)
    }

    /// Makes the network. Sizes of zero and more stages than a number of channels can double are refused.
    pub fn init(&self, device: &Device) -> Result<StarNet> {
        nonzero("StarNet", &[("base", self.base), ("stages", self.depths.len()), ("ratio", self.ratio)])?;
        let width = |stage: usize| {
            let width = 1usize.checked_shl(stage as u32).and_then(|factor| self.base.checked_mul(factor));
            width.ok_or_else(|| Error::config("StarNet", format!("base {} cannot double {stage} times", self.base)))
        };
        let mut inputs = STEM;
        let mut stages = Vec::new();
        for (stage, depth) in self.depths.iter().enumerate() {
            let width = width(stage)?;
            let down = ConvNorm::new([inputs, width], 3, 2, 1, true, device)?;
            let block = |_| Block::new(width, self.ratio, device);
            stages.push(Stage { down, blocks: (0..*depth).map(block).collect::<Result<_>>()? });
            inputs = width;
        }
        if self.classes == Some(0) {
            return Err(Error::config("StarNet", "classes is 0"));
        }
        let head = LinearConfig::new(inputs, self.classes.unwrap_or(1));
        let head = head.with_initializer(Initializer::Normal { mean: 0.0, std: 0.02 });
        Ok(StarNet {
            stem: ConvNorm::new([3, STEM], 3, 2, 1, true, device)?,
            stages,
            norm: BatchNormConfig::new(inputs).init(device)?,
            head: self.classes.map(|_| head.init(device)),
        })
    }
}

impl ConvNorm {
    fn new(
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        groups: usize,
        has_norm: bool,
        device: &Device,
    ) -> Result<Self> {
        let zeros = kernel / 2;
        let conv = Conv2dConfig::new(channels, [kernel; 2])
            .with_stride([stride; 2])
            .with_groups(groups)
            .with_padding(PaddingConfig2d::Explicit(zeros, zeros, zeros, zeros))
            .with_initializer(Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: true });
        let bn = if has_norm { Some(BatchNormConfig::new(channels[1]).init(device)?) } else { None };
        Ok(ConvNorm { conv: conv.init(device), bn })
    }

    /// Blocked layout to blocked layout.
    fn forward(&self, x: Tensor<5>, cut: Cut) -> Tensor<5> {
        let conv = &self.conv;
        let (weight, stride, padding) = (conv.weight.val(), conv.stride[0], Padding::even(conv.kernel_size[0] / 2));
        let x = if conv.groups > 1 {
            blocked::depthwise(x, weight, stride, padding)
        } else {
            blocked::conv2d(x, weight, stride, padding, Precision::Single)
        };
        self.finish(x, cut)
    }

    /// Bias, norm and cut-off.
    fn finish(&self, x: Tensor<5>, cut: Cut) -> Tensor<5> {
        let x = match &self.conv.bias {
            Some(bias) => blocked::bias(x, bias.val()),
            None => x,
        };
        match &self.bn {
            Some(norm) => blocked::norm(norm, x, None, cut),
            None => x,
        }
    }

    fn describe(&self, trace: &mut Trace, name: &str, x: &Signal) -> Signal {
        trace.within(name, |trace| {
            let x = trace.conv2d("conv", &self.conv, x);
            match &self.bn {
                Some(norm) => trace.batch_norm("bn", norm, &x),
                None => x,
            }
        })
    }
}

impl Block {
    fn new(width: usize, ratio: usize, device: &Device) -> Result<Self> {
        let inside = width * ratio;
        Ok(Block {
            dwconv: ConvNorm::new([width, width], 7, 1, width, true, device)?,
            f1: ConvNorm::new([width, inside], 1, 1, 1, false, device)?,
            f2: ConvNorm::new([width, inside], 1, 1, 1, false, device)?,
            g: ConvNorm::new([inside, width], 1, 1, 1, true, device)?,
            dwconv2: ConvNorm::new([width, width], 7, 1, width, false, device)?,
        })
    }

    /// # Shapes
    /// - input, output: `[n, ⌈width / 16⌉, height, width, 16]`
    fn forward(&self, input: Tensor<5>) -> Tensor<5> {
        let x = self.dwconv.forward(input.clone(), Cut::NONE);
        let gate = self.f1.forward(x.clone(), Cut::NONE).clamp(0.0, 6.0);
        let star = gate * self.f2.forward(x, Cut::NONE);
        input + self.dwconv2.forward(self.g.forward(star, Cut::NONE), Cut::NONE)
    }

    fn describe(&self, trace: &mut Trace, input: &Signal) -> Signal {
        let x = self.dwconv.describe(trace, "dwconv", input);
        let gate = self.f1.describe(trace, "f1", &x);
        let gate = trace.activation("relu6", 0, &gate);
        let other = self.f2.describe(trace, "f2", &x);
        let star = trace.product("star", &gate, &other);
        let narrow = self.g.describe(trace, "g", &star);
        let x = self.dwconv2.describe(trace, "dwconv2", &narrow);
        trace.sum("residual", &x, input)
    }
}

impl StarNet {
    /// A vector for each picture, before the head.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`
    /// - output: `[n, features]`
    pub fn features(&self, input: Tensor<4>) -> Tensor<2> {
        let stem = &self.stem.conv;
        let x = blocked::stem(input, stem.weight.val(), stem.stride[0], Padding::even(1));
        let x = self.stem.finish(x, Cut::RELU6);
        let x = self.stages.iter().fold(x, |x, stage| {
            let x = stage.down.forward(x, Cut::NONE);
            stage.blocks.iter().fold(x, |x, block| block.forward(x))
        });
        blocked::mean_pool(blocked::norm(&self.norm, x, None, Cut::NONE)).narrow(1, 0, self.width())
    }

    /// # Shapes
    /// - input: `[n, 3, height, width]`
    /// - output: `[n, classes]`, or `[n, features]` without a head
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let features = self.features(input);
        match &self.head {
            Some(head) => head.forward(features),
            None => features,
        }
    }

    /// Length of a picture's vector.
    pub fn width(&self) -> usize {
        self.norm.gamma.lazy_shape()[0]
    }
}

impl Describe for StarNet {
    fn describe(&self, trace: &mut Trace, input: Signal) -> Signal {
        let x = self.stem.describe(trace, "stem", &input);
        let mut x = trace.activation("stem.relu6", 0, &x);
        for (index, stage) in self.stages.iter().enumerate() {
            trace.within(format!("stages.{index}"), |trace| {
                x = stage.down.describe(trace, "down", &x);
                for (index, block) in stage.blocks.iter().enumerate() {
                    x = trace.within(format!("blocks.{index}"), |trace| block.describe(trace, &x));
                }
            });
        }
        let x = trace.batch_norm("norm", &self.norm, &x);
        let x = trace.mean("mean", &x, &[self.width()]);
        match &self.head {
            Some(head) => trace.linear("head", head, &x),
            None => x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, doubles, golden, numbers, parameters, saves_and_loads, single, wave};
    use burn::tensor::{DType, activation::relu};

    fn net(size: StarNetSize, classes: usize, device: &Device) -> StarNet {
        StarNetConfig { classes: Some(classes), ..size.config() }.init(device).expect("sizes")
    }

    #[test]
    fn published_counts_come_out() {
        // Parameters, multiply-adds and products of branches at 224 × 224, 1,000 classes; parameters for 10 classes.
        for (size, count, multiply_adds, stars, small) in [
            (StarNetSize::S050, 542_728, 91_285_248, 357_504, 415_018),
            (StarNetSize::S100, 1_043_280, 185_626_176, 784_000, 883_890),
            (StarNetSize::S150, 1_560_616, 227_376_384, 733_824, 1_369_546),
            (StarNetSize::S1, 2_869_168, 421_877_376, 1_618_176, 2_678_098),
            (StarNetSize::S2, 3_682_024, 544_113_664, 1_505_280, 3_427_594),
            (StarNetSize::S3, 5_750_792, 753_999_872, 2_207_744, 5_496_362),
            (StarNetSize::S4, 7_482_728, 1_049_561_600, 3_261_440, 7_228_298),
        ] {
            let audit = Audit::of(&net(size, 1000, &Device::flex()), &[3, 224, 224]);
            assert_eq!((audit.parameters, audit.multiply_adds), (count, multiply_adds), "{size:?}");
            assert_eq!(audit.ciphertext_products, stars, "{size:?}");
            assert!(!audit.activation_free && !audit.only_add_mul && audit.log2_degree.is_none(), "{size:?}");
            assert_eq!(parameters(&net(size, 10, &Device::flex())), small, "{size:?}");
        }
    }

    #[test]
    fn memory_is_that_of_the_stem_or_of_a_star() {
        // By hand, in numbers. The stem has the picture and 32 channels of half its side. In a block of the first
        // stage, of a quarter of the side, the two branches are the largest pair; its input, which the sum at the end
        // wants, and what both branches read are there beside them.
        for side in [64_usize, 96, 224] {
            let stem = 3 * side * side + 32 * (side / 2).pow(2);
            let pixels = (side / 4).pow(2);
            for (size, width, inside) in [(StarNetSize::S050, 16, 48), (StarNetSize::S1, 24, 96)] {
                let audit = Audit::of(&net(size, 10, &Device::flex()), &[3, side, side]);
                let (pair, all) = (2 * inside * pixels, 2 * (inside + width) * pixels);
                assert_eq!(audit.activation_bytes, 4 * pair.max(stem), "{size:?}, {side}");
                assert_eq!(audit.peak_bytes, 4 * all.max(stem), "{size:?}, {side}");
            }
        }
    }

    #[test]
    fn golden_logits_come_out() {
        // Computed in double precision by a program of its own; here in single, some dozens of sums deep.
        let wanted = [
            1.680172714,
            0.214863535,
            -1.542659868,
            0.119990528,
            1.56941267,
            -0.39367451,
            -1.66947464,
            0.449455038,
            1.517895014,
            -0.62875201,
        ];
        let net = golden(net(StarNetSize::S050, 10, &Device::flex()));
        let picture = (0..3 * 32 * 32).map(|i| (0.05 * f64::from(i)).sin()).collect();
        let picture = doubles(picture, [1, 3, 32, 32], &Device::flex());
        close(&numbers(plain(&net, picture.clone())), &wanted, 1e-8);
        close(&numbers(single(net).forward(picture.cast(DType::F32))), &wanted, 1e-5);
    }

    /// The same network in Burn's own operations: the definition.
    fn plain(net: &StarNet, x: Tensor<4>) -> Tensor<2> {
        let layer = |layer: &ConvNorm, x| {
            let x = layer.conv.forward(x);
            layer.bn.as_ref().map_or(x.clone(), |norm| norm.forward(x))
        };
        let mut x = layer(&net.stem, x).clamp(0.0, 6.0);
        for stage in &net.stages {
            x = layer(&stage.down, x);
            for block in &stage.blocks {
                let y = layer(&block.dwconv, x.clone());
                let star = layer(&block.f1, y.clone()).clamp(0.0, 6.0) * layer(&block.f2, y);
                x = x + layer(&block.dwconv2, layer(&block.g, star));
            }
        }
        let x = net.norm.forward(x).mean_dim(3).mean_dim(2);
        let features = x.reshape([-1, net.width() as i32]);
        net.head.as_ref().map_or(features.clone(), |head| head.forward(features))
    }

    #[test]
    fn gradients_are_those_of_the_definition() {
        let device = Device::flex().autodiff();
        let net = single(golden(net(StarNetSize::S050, 3, &device)));
        let picture = wave([2, 3, 96, 96], 0.11, &device);
        let loss = |out: Tensor<2>| (relu(out.clone()) + out.clone() * out).sum();
        let of = |net: &StarNet, out: Tensor<2>| {
            let grads = loss(out).backward();
            let last = |layer: &ConvNorm| numbers(layer.conv.weight.grad(&grads).expect("takes part"));
            [last(&net.stem), last(&net.stages[3].blocks[0].f1), last(&net.stages[0].blocks[0].dwconv2)]
        };
        let got = of(&net, net.forward(picture.clone().cast(DType::F32)));
        let exact = double(net);
        let wanted = of(&exact, plain(&exact, picture));
        for (got, wanted) in got.iter().zip(&wanted) {
            // Sums of 2 · 48² pixels' gradients in single precision: 1e-7 · √4608 a layer. Where rounding moves a
            // number over an edge of ReLU6, that pixel's gradient comes or goes: one of 4608, 2e-4.
            let largest = wanted.iter().fold(0.0f64, |max, x| max.max(x.abs()));
            let relative = |numbers: &[f64]| numbers.iter().map(|x| x / largest).collect::<Vec<_>>();
            close(&relative(got), &relative(wanted), 1e-3);
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let picture = wave([1, 3, 33, 47], 0.3, &device).cast(DType::F32);
        saves_and_loads(net(StarNetSize::S100, 4, &device), net(StarNetSize::S100, 4, &device), |net| {
            net.forward(picture.clone())
        });
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let config = StarNetSize::S1.config();
        assert!(StarNetConfig { ratio: 0, ..config.clone() }.init(&Device::flex()).is_err());
        let error = StarNetConfig { classes: Some(0), ..config }.init(&Device::flex()).expect_err("no classes");
        assert_eq!(error.to_string(), "StarNet: classes is 0");
    }
}
