//! MONet: an image network of products and layer norms alone (Cheng et al., Multilinear Operator Networks, arXiv
//! 2401.17992).
//!
//! The spatial shift is defined on a copy; the published code writes overlapping slices in place, so that its result
//! depends on the order of copying. Weights begin as He et al. (arXiv 1502.01852) draw them, biases at 1.

use super::planar::{self, ChannelNorm, ChannelNormConfig, mean_pixel, square, with_biases};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::Linear;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};

/// How a [`MuLayer`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MuLayerConfig {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the branches, h.
    pub inside: usize,
    /// Channels in the middle of the second branch. Published: h / 8.
    pub rank: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Whether the branches look at the pixels next door; both `inside` and `rank` are then cut in quarters.
    pub shifts: bool,
    /// Whether the branches are normalised. Published: yes. Without, the layer is a polynomial of degree 2.
    pub norms: bool,
}

/// `y = C(a + α a ∘ b) + c`, `a = LN(shift(U₁x + b₁))`, `b = LN(U₃ shift(U₂x + b₂) + b₃)`; everywhere the same for each
/// pixel but for the shift.
#[derive(Module, Debug)]
pub struct MuLayer {
    /// Of a.
    pub norm_a: Option<ChannelNorm>,
    /// Of b.
    pub norm_b: Option<ChannelNorm>,
    /// α, one number, at first 1.
    pub alpha: Param<Tensor<1>>,
    /// U₁, 1 × 1.
    pub project: Conv2d,
    /// U₂, 1 × 1, to the rank.
    pub reduce: Conv2d,
    /// U₃, 1 × 1.
    pub expand: Conv2d,
    /// C, 1 × 1.
    pub output: Conv2d,
    shifts: bool,
}

/// A convolution as the network begins.
fn conv(config: Conv2dConfig, device: &Device) -> Conv2d {
    let weights = Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false };
    with_biases(config.with_initializer(weights), 1.0, device)
}

/// Four equal parts of the channels, moved by one pixel down, up, right and left; at the border a pixel keeps its
/// value.
///
/// # Shapes
/// - input, output: `[n, channels, height, width]`, channels a multiple of 4
pub fn spatial_shift(x: Tensor<4>) -> Tensor<4> {
    let quarter = x.dims()[1] / 4;
    let moved =
        [(2, true), (2, false), (3, true), (3, false)].into_iter().enumerate().map(|(index, (axis, onwards))| {
            let part = x.clone().narrow(1, index * quarter, quarter);
            let size = part.dims()[axis];
            if size == 1 {
                part
            } else if onwards {
                Tensor::cat(vec![part.clone().narrow(axis, 0, 1), part.narrow(axis, 0, size - 1)], axis)
            } else {
                Tensor::cat(vec![part.clone().narrow(axis, 1, size - 1), part.narrow(axis, size - 1, 1)], axis)
            }
        });
    Tensor::cat(moved.collect(), 1)
}

impl MuLayerConfig {
    /// Makes the layer. Sizes of zero, and channels that are shifted but no multiple of 4, are refused.
    pub fn init(&self, device: &Device) -> Result<MuLayer> {
        let MuLayerConfig { inputs, inside, rank, outputs, shifts, norms } = *self;
        nonzero("Mu-layer", &[("inputs", inputs), ("inside", inside), ("rank", rank), ("outputs", outputs)])?;
        if shifts && (inside % 4 != 0 || rank % 4 != 0) {
            let problem = format!("inside {inside} and rank {rank} are not both multiples of 4, so cannot be shifted");
            return Err(Error::config("Mu-layer", problem));
        }
        let norm = || norms.then(|| ChannelNormConfig::new(inside).init(device)).transpose();
        let pointwise = |channels| conv(square(channels, 1, 1), device);
        Ok(MuLayer {
            norm_a: norm()?,
            norm_b: norm()?,
            alpha: Initializer::Ones.init([1], device),
            project: pointwise([inputs, inside]),
            reduce: pointwise([inputs, rank]),
            expand: pointwise([rank, inside]),
            output: pointwise([inside, outputs]),
            shifts,
        })
    }
}

impl MuLayer {
    fn shift(&self, x: Tensor<4>) -> Tensor<4> {
        if self.shifts { spatial_shift(x) } else { x }
    }

    /// # Shapes
    /// - input: `[n, inputs, height, width]`
    /// - output: `[n, outputs, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let a = normed(&self.norm_a, self.shift(self.project.forward(x.clone())));
        let b = normed(&self.norm_b, self.expand.forward(self.shift(self.reduce.forward(x))));
        let product = a.clone() * b * planar::per_channel(&self.alpha);
        self.output.forward(a + product)
    }
}

fn normed(norm: &Option<ChannelNorm>, x: Tensor<4>) -> Tensor<4> {
    norm.as_ref().map_or(x.clone(), |norm| norm.forward(x))
}

fn describe_normed(norm: &Option<ChannelNorm>, trace: &mut Trace, name: &str, x: Signal) -> Signal {
    norm.as_ref().map_or(x.clone(), |norm| norm.describe(trace, name, &x))
}

impl Describe for MuLayer {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let shift = |trace: &mut Trace, x: Signal| {
            if self.shifts { trace.relocate("shift", &[&x], x.shape()) } else { x }
        };
        let a = trace.conv2d("project", &self.project, &x);
        let a = shift(trace, a);
        let a = describe_normed(&self.norm_a, trace, "norm_a", a);
        let b = trace.conv2d("reduce", &self.reduce, &x);
        let b = shift(trace, b);
        let b = trace.conv2d("expand", &self.expand, &b);
        let b = describe_normed(&self.norm_b, trace, "norm_b", b);
        let product = trace.product("product", &a, &b);
        let product = trace.scale("alpha", 1, &product);
        let sum = trace.sum("sum", &a, &product);
        trace.conv2d("output", &self.output, &sum)
    }
}

/// How a [`MoNet`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoNetConfig {
    /// Channels of each stage, multiples of 32.
    pub widths: Vec<usize>,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// How many times wider than its stage the second layer of a block is inside. Published: 3.
    pub expansion: usize,
    /// Whether anything is normalised. Published: yes. Without, the network is a polynomial.
    pub norms: bool,
    /// Classes of the head; `None` for a network that ends with its vector.
    pub classes: Option<usize>,
}

/// `[n, 3, height, width]` to `[n, classes]`, or to a vector for each picture.
#[derive(Module, Debug)]
pub struct MoNet {
    /// Patches of 2 × 2, to half the size.
    pub stem: Conv2d,
    /// From large pictures to small.
    pub stages: Vec<Stage>,
    /// Classes, where they are asked for; at first all 0.
    pub head: Option<Linear>,
}

/// Half the size, and blocks.
#[derive(Module, Debug)]
pub struct Stage {
    /// Patches of 2 × 2 in the first stage, 3 × 3 with stride 2 in the others.
    pub down: Conv2d,
    /// Of the same size.
    pub blocks: Vec<PolyBlock>,
}

/// `u = x + μ₁(LN x)`, `y = u + μ₂(LN u)`: μ₁ shifts, μ₂ is wider, and the norm is one and the same.
#[derive(Module, Debug)]
pub struct PolyBlock {
    /// Before both layers.
    pub norm: Option<ChannelNorm>,
    /// μ₁
    pub spatial: MuLayer,
    /// μ₂
    pub channel: MuLayer,
}

impl MoNetConfig {
    /// One of the published sizes, `t` and `s`, without a head.
    pub fn published(size: &str) -> Option<Self> {
        let (widths, depths) = match size {
            "t" => ([64, 128, 192, 192], [4, 8, 12, 10]),
            "s" => ([128, 192, 256, 384], [4, 6, 12, 14]),
            _ => return None,
        };
        Some(MoNetConfig { widths: widths.to_vec(), depths: depths.to_vec(), expansion: 3, norms: true, classes: None })
    }

    /// Makes the network. Sizes of zero, stages without a depth, and widths that are no multiples of 32 (an eighth must
    /// have quarters) are refused.
    pub fn init(&self, device: &Device) -> Result<MoNet> {
        let MoNetConfig { widths, depths, .. } = self;
        nonzero("MONet", &[("stages", widths.len()), ("expansion", self.expansion)])?;
        if widths.len() != depths.len() {
            return Err(Error::config("MONet", format!("{} widths and {} depths", widths.len(), depths.len())));
        }
        if let Some(width) = widths.iter().find(|width| **width == 0 || **width % 32 != 0) {
            return Err(Error::config("MONet", format!("width {width} is not a multiple of 32")));
        }
        let mut inputs = widths[0];
        let mut stages = Vec::new();
        for (index, (width, depth)) in widths.iter().zip(depths).enumerate() {
            let kernel = if index == 0 { 2 } else { 3 };
            stages.push(Stage {
                down: conv(square([inputs, *width], kernel, 1).with_stride([2; 2]), device),
                blocks: (0..*depth).map(|_| self.block(*width, device)).collect::<Result<_>>()?,
            });
            inputs = *width;
        }
        Ok(MoNet {
            stem: conv(square([3, widths[0]], 2, 1).with_stride([2; 2]), device),
            stages,
            head: planar::head("MONet", inputs, self.classes, Initializer::Zeros, device)?,
        })
    }

    fn block(&self, width: usize, device: &Device) -> Result<PolyBlock> {
        let layer = |inside: usize, shifts| {
            let config =
                MuLayerConfig { inputs: width, inside, rank: inside / 8, outputs: width, shifts, norms: self.norms };
            config.init(device)
        };
        Ok(PolyBlock {
            norm: self.norms.then(|| ChannelNormConfig::new(width).init(device)).transpose()?,
            spatial: layer(width, true)?,
            channel: layer(self.expansion * width, false)?,
        })
    }
}

impl PolyBlock {
    /// # Shapes
    /// - input, output: `[n, width, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let u = x.clone() + self.spatial.forward(normed(&self.norm, x));
        u.clone() + self.channel.forward(normed(&self.norm, u))
    }
}

impl Describe for PolyBlock {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let y = describe_normed(&self.norm, trace, "norm", x.clone());
        let y = trace.within("spatial", |trace| self.spatial.describe(trace, y));
        let u = trace.sum("residual1", &y, &x);
        // The norm's parameters are counted where it is first used.
        let y = match &self.norm {
            Some(_) => trace.normalise("norm", 0, &u),
            None => u.clone(),
        };
        let y = trace.within("channel", |trace| self.channel.describe(trace, y));
        trace.sum("residual2", &y, &u)
    }
}

impl MoNet {
    /// A vector for each picture, before the head.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`, sides of at least 4
    /// - output: `[n, features]`
    pub fn features(&self, input: Tensor<4>) -> Tensor<2> {
        let x = self.stages.iter().fold(self.stem.forward(input), |x, stage| {
            stage.blocks.iter().fold(stage.down.forward(x), |x, block| block.forward(x))
        });
        mean_pixel(x).flatten(1, 3)
    }

    /// # Shapes
    /// - input: `[n, 3, height, width]`, sides of at least 4
    /// - output: `[n, classes]`, or `[n, features]` without a head
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let features = self.features(input);
        match &self.head {
            Some(head) => head.forward(features),
            None => features,
        }
    }
}

impl Describe for MoNet {
    fn describe(&self, trace: &mut Trace, input: Signal) -> Signal {
        let mut x = trace.conv2d("stem", &self.stem, &input);
        for (index, stage) in self.stages.iter().enumerate() {
            trace.within(format!("stages.{index}"), |trace| {
                x = trace.conv2d("down", &stage.down, &x);
                for (index, block) in stage.blocks.iter().enumerate() {
                    x = trace.within(format!("blocks.{index}"), |trace| block.describe(trace, x.clone()));
                }
            });
        }
        let x = trace.mean("mean", &x, &x.shape()[..1]);
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
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };

    const LAYER: MuLayerConfig =
        MuLayerConfig { inputs: 16, inside: 32, rank: 4, outputs: 16, shifts: true, norms: true };

    fn small(norms: bool, device: &Device) -> MoNet {
        let config = MoNetConfig { widths: vec![32, 64], depths: vec![1, 1], expansion: 1, norms, classes: Some(3) };
        config.init(device).expect("sizes")
    }

    #[test]
    fn worked_numbers_come_out_without_norms() {
        let device = Device::flex();
        let config = MuLayerConfig { inputs: 2, inside: 2, rank: 1, outputs: 1, shifts: false, norms: false };
        let mut layer = double(config.init(&device).expect("sizes"));
        let set = |conv: &mut Conv2d, weights: &[f64], biases: &[f64]| {
            let dims = conv.weight.dims();
            conv.weight = Param::from_tensor(doubles(weights.to_vec(), dims, &device));
            conv.bias = Some(Param::from_tensor(doubles(biases.to_vec(), [biases.len()], &device)));
        };
        set(&mut layer.project, &[1.0, 0.0, 2.0, 1.0], &[1.0, 1.0]);
        set(&mut layer.reduce, &[1.0, -1.0], &[1.0]);
        set(&mut layer.expand, &[1.0, 2.0], &[1.0, 1.0]);
        set(&mut layer.output, &[1.0, 1.0], &[0.0]);
        // a = (2, 5), b = (1, 1).
        close(&numbers(layer.forward(doubles(vec![1.0, 2.0], [1, 2, 1, 1], &device))), &[14.0], 1e-14);
    }

    #[test]
    fn golden_numbers_come_out() {
        // Computed in double precision by a program of its own, channels last.
        let device = Device::flex();
        let layer = golden(LAYER.init(&device).expect("sizes"));
        let x = doubles((0..256).map(|i| (0.3 * f64::from(i)).sin()).collect(), [1, 4, 4, 16], &device);
        let out = layer.forward(x.permute([0, 3, 1, 2]));
        let one = out.clone().slice([0..1, 0..1, 1..2, 2..3]);
        close(&[numbers(out).iter().sum(), numbers(one)[0]], &[1.031141076, -0.340775955], 1e-9);
    }

    #[test]
    fn a_small_network_gives_what_pytorch_does() {
        // From goldens.py, in this folder.
        let device = Device::flex();
        let out = golden(small(true, &device)).forward(wave([1, 3, 9, 17], 0.3, &device));
        close(&numbers(out), &[1.686422259524, 0.993670086397, -0.332826684352], 1e-10);
    }

    #[test]
    fn quarters_of_the_channels_move_and_the_border_stays() {
        let device = Device::flex();
        let picture = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let x = doubles(picture.repeat(4), [1, 4, 2, 3], &device);
        let down = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0];
        let up = [4.0, 5.0, 6.0, 4.0, 5.0, 6.0];
        let right = [1.0, 1.0, 2.0, 4.0, 4.0, 5.0];
        let left = [2.0, 3.0, 3.0, 5.0, 6.0, 6.0];
        assert_eq!(numbers(spatial_shift(x)), [down, up, right, left].concat());
        let pixel = doubles(picture[..4].to_vec(), [1, 4, 1, 1], &device);
        assert_eq!(numbers(spatial_shift(pixel)), picture[..4]);
    }

    #[test]
    fn counts_of_the_published_sizes_come_out() {
        for (size, count, giga) in [("t", 10_339_436, 2.70), ("s", 32_880_688, 6.71)] {
            let config = MoNetConfig { classes: Some(1000), ..MoNetConfig::published(size).expect("published") };
            let net = config.init(&Device::flex()).expect("sizes");
            let audit = Audit::of(&net, &[3, 224, 224]);
            assert_eq!((audit.parameters, parameters(&net)), (count, count), "{size}");
            assert!((audit.multiply_adds as f64 / 1e9 - giga).abs() < 0.005, "{size}: {}", audit.multiply_adds);
            assert!(audit.activation_free && !audit.polynomial_at_inference && !audit.only_add_mul, "{size}");
        }
    }

    #[test]
    fn without_norms_each_layer_doubles_the_degree() {
        let config = MoNetConfig { norms: false, ..MoNetConfig::published("t").expect("published") };
        let audit = Audit::of(&config.init(&Device::flex()).expect("sizes"), &[3, 224, 224]);
        assert!((audit.log2_degree.expect("a polynomial") - 68.0).abs() < 1e-9);
        assert_eq!(audit.product_depth, Some(68));
        assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
    }

    #[test]
    fn multiply_adds_are_those_of_a_formula() {
        // 12 × 8 pixels: 6 × 4 behind the stem, 3 × 2 in the first stage, 2 × 1 in the second.
        let layer = |d: usize| d * d + 2 * d * d / 8 + d * d;
        let wanted = 24 * 12 * 32 + 6 * (4 * 32 * 32 + 2 * layer(32)) + 2 * (9 * 32 * 64 + 2 * layer(64)) + 64 * 3;
        assert_eq!(Audit::of(&small(true, &Device::flex()), &[3, 12, 8]).multiply_adds, wanted);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for (shifts, norms) in [(true, true), (true, false), (false, true)] {
            let config = MuLayerConfig { inputs: 3, inside: 8, rank: 4, outputs: 2, shifts, norms };
            let layer = config.init(&device).expect("sizes");
            gradients(layer, wave([2, 3, 3, 2], 0.9, &device), |layer, x| layer.forward(x));
        }
        gradients(golden(small(true, &device)), wave([1, 3, 8, 13], 0.9, &device), |net, x| net.forward(x));
    }

    #[test]
    fn at_first_all_classes_score_zero() {
        let device = Device::flex();
        let scores = numbers(double(small(true, &device)).forward(wave([2, 3, 8, 9], 0.3, &device)));
        assert_eq!(scores, [0.0; 6]);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let x = wave([1, 3, 9, 17], 0.3, &device);
        saves_and_loads(golden(small(true, &device)), double(small(true, &device)), |net| net.forward(x.clone()));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let device = Device::flex();
        let error = MuLayerConfig { rank: 6, ..LAYER }.init(&device).expect_err("refused");
        let wanted = "Mu-layer: inside 32 and rank 6 are not both multiples of 4, so cannot be shifted";
        assert_eq!(error.to_string(), wanted);
        assert!(MuLayerConfig { rank: 6, shifts: false, ..LAYER }.init(&device).is_ok());
        let config = MoNetConfig::published("t").expect("published");
        let refusal = |config: MoNetConfig| config.init(&device).expect_err("refused").to_string();
        let narrow = MoNetConfig { widths: vec![48; 4], ..config.clone() };
        assert_eq!(refusal(narrow), "MONet: width 48 is not a multiple of 32");
        assert_eq!(refusal(MoNetConfig { depths: vec![1], ..config.clone() }), "MONet: 4 widths and 1 depths");
        assert_eq!(refusal(MoNetConfig { classes: Some(0), ..config }), "MONet: classes is 0");
    }
}
