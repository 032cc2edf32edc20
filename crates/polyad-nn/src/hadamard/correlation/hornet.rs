//! HorNet: an image network that mixes pixels by [gⁿConv](super::gnconv) (Rao et al., arXiv 2207.14284).
//!
//! Its frame is that of ConvNeXt (arXiv 2201.03545): the mean over pixels comes before the last norm. Weights begin
//! normal with a deviation of 0.02, biases at 0.

use super::gnconv::{GnConv, GnConvConfig};
use super::planar::{self, ChannelNorm, ChannelNormConfig, mean_pixel, per_channel, square, with_biases};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::Linear;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

/// How a [`HorNet`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HorNetConfig {
    /// Channels of the first stage; each later one has twice as many.
    pub base: usize,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Order of the gⁿConv of each stage.
    pub orders: Vec<usize>,
    /// Classes of the head; `None` for a network that ends with its vector.
    pub classes: Option<usize>,
}

/// `[n, 3, height, width]` to `[n, classes]`, or to a vector for each picture.
#[derive(Module, Debug)]
pub struct HorNet {
    /// From large pictures to small.
    pub stages: Vec<Stage>,
    /// Behind the mean over pixels.
    pub norm: ChannelNorm,
    /// Classes, where they are asked for.
    pub head: Option<Linear>,
}

/// A smaller picture, and blocks.
#[derive(Module, Debug)]
pub struct Stage {
    /// Before `down`; the first stage has its norm behind instead.
    pub norm: ChannelNorm,
    /// Patches of 4 × 4 pixels in the first stage, of 2 × 2 in the others.
    pub down: Conv2d,
    /// Of the same size.
    pub blocks: Vec<Block>,
}

/// `u = x + γ₁ ∘ gⁿConv(LN x)`, `y = u + γ₂ ∘ W₂ gelu(W₁ LN u)`.
#[derive(Module, Debug)]
pub struct Block {
    /// γ₁, `[d]`, at first 1e-6.
    pub first_scale: Param<Tensor<1>>,
    /// γ₂, `[d]`, at first 1e-6.
    pub second_scale: Param<Tensor<1>>,
    /// Before the gⁿConv.
    pub norm1: ChannelNorm,
    /// Of the stage's order.
    pub gnconv: GnConv,
    /// Before W₁.
    pub norm2: ChannelNorm,
    /// W₁, 1 × 1, d to 4d.
    pub widen: Conv2d,
    /// W₂, 1 × 1.
    pub narrow: Conv2d,
}

const WEIGHTS: Initializer = Initializer::Normal { mean: 0.0, std: 0.02 };

/// A convolution as the network begins.
fn conv(config: Conv2dConfig, device: &Device) -> Conv2d {
    with_biases(config.with_initializer(WEIGHTS), 0.0, device)
}

impl HorNetConfig {
    /// One of the published sizes, `t`, `s`, `b`, without a head.
    pub fn published(size: &str) -> Option<Self> {
        let base = match size {
            "t" => 64,
            "s" => 96,
            "b" => 128,
            _ => return None,
        };
        Some(HorNetConfig { base, depths: vec![2, 3, 18, 2], orders: vec![2, 3, 4, 5], classes: None })
    }

    /// Makes the network. Sizes of zero, stages without an order, and channels that cannot be halved or doubled often
    /// enough are refused.
    pub fn init(&self, device: &Device) -> Result<HorNet> {
        nonzero("HorNet", &[("base", self.base), ("stages", self.depths.len())])?;
        if self.depths.len() != self.orders.len() {
            let problem = format!("{} depths and {} orders", self.depths.len(), self.orders.len());
            return Err(Error::config("HorNet", problem));
        }
        let mut stages: Vec<Stage> = Vec::new();
        let mut inputs = 3;
        for (index, (depth, order)) in self.depths.iter().zip(&self.orders).enumerate() {
            let width = 1usize.checked_shl(index as u32).and_then(|factor| self.base.checked_mul(factor));
            let width = width
                .ok_or_else(|| Error::config("HorNet", format!("base {} cannot double {index} times", self.base)))?;
            let (patch, normed) = if index == 0 { (4, width) } else { (2, inputs) };
            let blocks = (0..*depth).map(|_| Block::new(width, *order, device)).collect::<Result<_>>()?;
            stages.push(Stage {
                norm: ChannelNormConfig::new(normed).init(device)?,
                down: conv(square([inputs, width], patch, 1).with_stride([patch; 2]), device),
                blocks,
            });
            inputs = width;
        }
        Ok(HorNet {
            stages,
            norm: ChannelNormConfig::new(inputs).init(device)?,
            head: planar::head("HorNet", inputs, self.classes, WEIGHTS, device)?,
        })
    }
}

impl Block {
    fn new(width: usize, order: usize, device: &Device) -> Result<Self> {
        let scale = || Initializer::Constant { value: 1e-6 }.init([width], device);
        Ok(Block {
            first_scale: scale(),
            second_scale: scale(),
            norm1: ChannelNormConfig::new(width).init(device)?,
            gnconv: GnConvConfig::new(width, order).init_with(|config| conv(config, device))?,
            norm2: ChannelNormConfig::new(width).init(device)?,
            widen: conv(square([width, 4 * width], 1, 1), device),
            narrow: conv(square([4 * width, width], 1, 1), device),
        })
    }

    /// # Shapes
    /// - input, output: `[n, d, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mixed = self.gnconv.forward(self.norm1.forward(x.clone()));
        let u = x + mixed * per_channel(&self.first_scale);
        let hidden = gelu(self.widen.forward(self.norm2.forward(u.clone())));
        u + self.narrow.forward(hidden) * per_channel(&self.second_scale)
    }
}

impl Describe for Block {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let width = self.first_scale.shape().num_elements();
        let mixed = self.norm1.describe(trace, "norm1", &x);
        let mixed = trace.within("gnconv", |trace| self.gnconv.describe(trace, mixed));
        let mixed = trace.scale("first_scale", width, &mixed);
        let u = trace.sum("residual1", &mixed, &x);
        let hidden = self.norm2.describe(trace, "norm2", &u);
        let hidden = trace.conv2d("widen", &self.widen, &hidden);
        let hidden = trace.activation("gelu", 0, &hidden);
        let hidden = trace.conv2d("narrow", &self.narrow, &hidden);
        let hidden = trace.scale("second_scale", width, &hidden);
        trace.sum("residual2", &hidden, &u)
    }
}

impl HorNet {
    /// A vector for each picture, before the head.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`, sides of at least 4 · 2^(stages − 1)
    /// - output: `[n, features]`
    pub fn features(&self, input: Tensor<4>) -> Tensor<2> {
        let mut x = input;
        for (index, stage) in self.stages.iter().enumerate() {
            x = match index {
                0 => stage.norm.forward(stage.down.forward(x)),
                _ => stage.down.forward(stage.norm.forward(x)),
            };
            x = stage.blocks.iter().fold(x, |x, block| block.forward(x));
        }
        self.norm.forward(mean_pixel(x)).flatten(1, 3)
    }

    /// # Shapes
    /// - input: `[n, 3, height, width]`, sides of at least 4 · 2^(stages − 1)
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
        self.norm.gamma.shape()[0]
    }
}

impl Describe for HorNet {
    fn describe(&self, trace: &mut Trace, input: Signal) -> Signal {
        let mut x = input;
        for (index, stage) in self.stages.iter().enumerate() {
            trace.within(format!("stages.{index}"), |trace| {
                if index > 0 {
                    x = stage.norm.describe(trace, "norm", &x);
                }
                x = trace.conv2d("down", &stage.down, &x);
                if index == 0 {
                    x = stage.norm.describe(trace, "norm", &x);
                }
                for (index, block) in stage.blocks.iter().enumerate() {
                    x = trace.within(format!("blocks.{index}"), |trace| block.describe(trace, x.clone()));
                }
            });
        }
        let x = trace.mean("mean", &x, &[self.width()]);
        let x = self.norm.describe(trace, "norm", &x);
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
    use crate::hadamard::check::{close, double, golden, gradients, numbers, parameters, saves_and_loads, wave};

    fn small(device: &Device) -> HorNet {
        let config = HorNetConfig { base: 4, depths: vec![1, 2], orders: vec![2, 3], classes: Some(3) };
        config.init(device).expect("sizes")
    }

    #[test]
    fn counts_of_the_published_sizes_come_out() {
        for (size, count) in [("t", 22_409_512), ("s", 49_528_264), ("b", 87_256_680)] {
            let config = HorNetConfig { classes: Some(1000), ..HorNetConfig::published(size).expect("published") };
            let net = config.init(&Device::flex()).expect("sizes");
            let audit = Audit::of(&net, &[3, 224, 224]);
            assert_eq!((audit.parameters, parameters(&net)), (count, count), "{size}");
            assert!(!audit.activation_free && !audit.polynomial_at_inference && !audit.only_add_mul, "{size}");
        }
    }

    #[test]
    fn multiply_adds_are_those_of_a_formula() {
        // 8 × 12 pixels: 2 × 3 behind the first stage's patches of 4 × 4, 1 × 1 behind the second's of 2 × 2.
        let block = |d: usize, order: usize| {
            let layer = GnConvConfig::new(d, order).init(&Device::flex()).expect("sizes");
            Audit::of(&layer, &[d, 1, 1]).multiply_adds + 8 * d * d
        };
        let wanted = 6 * (48 * 4 + block(4, 2)) + (4 * 4 * 8 + 2 * block(8, 3)) + 8 * 3;
        assert_eq!(Audit::of(&small(&Device::flex()), &[3, 8, 12]).multiply_adds, wanted);
    }

    #[test]
    fn a_small_network_gives_what_pytorch_does() {
        // From goldens.py, in this folder.
        let device = Device::flex();
        let out = golden(small(&device)).forward(wave([1, 3, 9, 12], 0.9, &device));
        close(&numbers(out), &[0.475631562179, 0.315897282541, 0.013355202518], 1e-10);
    }

    #[test]
    fn at_first_a_block_hardly_does_anything() {
        let device = Device::flex();
        let block = double(Block::new(8, 3, &device).expect("sizes"));
        let x = wave([2, 8, 5, 3], 0.3, &device);
        let (got, wanted) = (numbers(block.forward(x.clone())), numbers(x));
        close(&got, &wanted, 1e-5);
        assert_ne!(got, wanted);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let net = golden(small(&device));
        gradients(net, wave([2, 3, 9, 12], 0.9, &device), |net, x| net.forward(x));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let x = wave([1, 3, 9, 17], 0.3, &device);
        saves_and_loads(golden(small(&device)), double(small(&device)), |net| net.forward(x.clone()));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let config = HorNetConfig::published("t").expect("published");
        let refusal = |config: HorNetConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refusal(HorNetConfig { orders: vec![2], ..config.clone() }), "HorNet: 4 depths and 1 orders");
        assert_eq!(
            refusal(HorNetConfig { base: 1, orders: vec![2; 4], ..config.clone() }),
            "gⁿConv: 1 channels cannot be halved 1 times for order 2"
        );
        assert_eq!(refusal(HorNetConfig { classes: Some(0), ..config }), "HorNet: classes is 0");
    }
}
