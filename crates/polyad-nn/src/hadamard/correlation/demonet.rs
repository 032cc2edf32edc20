//! DemoNet: twins of equal size, of which one adds two branches and the other multiplies them, to see what a product
//! is worth (Ma et al., Rewrite the Stars, arXiv 2403.19967).
//!
//! The mean over pixels comes before the last norm; numbers of parameters leave that open. Weights begin normal with a
//! deviation of 0.02, biases at 0.

use super::planar::{self, ChannelNorm, ChannelNormConfig, mean_pixel, per_channel, square, with_biases};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::Linear;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

/// How a [`DemoNet`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DemoNetConfig {
    /// Channels, everywhere the same. Published: 192 and less.
    pub width: usize,
    /// Blocks. Published: 12.
    pub depth: usize,
    /// Side of the squares that the picture is cut into. Published: 16.
    pub patch: usize,
    /// How branches meet.
    pub meeting: Meeting,
    /// Whether the first branch goes through a GELU.
    pub activation: bool,
    /// What γ is at first. Published: 1e-6, with which short trainings learn nothing.
    pub layer_scale: f64,
    /// Classes of the head; `None` for a network that ends with its vector.
    pub classes: Option<usize>,
}

/// How two branches become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// `a + b`
    Sum,
    /// `a ∘ b`
    Star,
}

/// `[n, 3, height, width]` to `[n, classes]`, or to a vector for each picture.
#[derive(Module, Debug)]
pub struct DemoNet {
    /// One vector for each patch.
    pub stem: Conv2d,
    /// All of the same size.
    pub blocks: Vec<Block>,
    /// Behind the mean over patches.
    pub norm: ChannelNorm,
    /// Classes, where they are asked for.
    pub head: Option<Linear>,
}

/// `y = x + γ ∘ W₂(gelu(u₁) ∘ u₂)`, or with `+` for ∘, u₁ and u₂ the halves of `W₁ D LN x`; D is depthwise 7 × 7.
///
/// Parameters for d channels: `9d² + 60d`.
#[derive(Module, Debug)]
pub struct Block {
    /// γ, `[d]`.
    pub layer_scale: Param<Tensor<1>>,
    /// Before D.
    pub norm: ChannelNorm,
    /// D.
    pub depthwise: Conv2d,
    /// W₁, 1 × 1, d to 6d.
    pub widen: Conv2d,
    /// W₂, 1 × 1, 3d to d.
    pub narrow: Conv2d,
    is_star: bool,
    has_activation: bool,
}

const WEIGHTS: Initializer = Initializer::Normal { mean: 0.0, std: 0.02 };

/// A convolution as the network begins.
fn conv(config: Conv2dConfig, device: &Device) -> Conv2d {
    with_biases(config.with_initializer(WEIGHTS), 0.0, device)
}

impl DemoNetConfig {
    /// As published, without a head.
    pub fn new(width: usize, depth: usize, meeting: Meeting) -> Self {
        DemoNetConfig { width, depth, patch: 16, meeting, activation: true, layer_scale: 1e-6, classes: None }
    }

    /// Makes the network. Sizes of zero are refused, and layer scales that are no numbers.
    pub fn init(&self, device: &Device) -> Result<DemoNet> {
        let DemoNetConfig { width, patch, .. } = *self;
        nonzero("DemoNet", &[("width", width), ("patch", patch)])?;
        if !self.layer_scale.is_finite() {
            return Err(Error::config("DemoNet", format!("layer scale is {}", self.layer_scale)));
        }
        // Patches have no zeros around them, whatever their side.
        let stem = Conv2dConfig::new([3, width], [patch; 2]).with_stride([patch; 2]);
        Ok(DemoNet {
            stem: conv(stem, device),
            blocks: (0..self.depth).map(|_| self.block(device)).collect::<Result<_>>()?,
            norm: ChannelNormConfig::new(width).init(device)?,
            head: planar::head("DemoNet", width, self.classes, WEIGHTS, device)?,
        })
    }

    fn block(&self, device: &Device) -> Result<Block> {
        let width = self.width;
        Ok(Block {
            layer_scale: Initializer::Constant { value: self.layer_scale }.init([width], device),
            norm: ChannelNormConfig::new(width).init(device)?,
            depthwise: conv(square([width; 2], 7, 1).with_groups(width), device),
            widen: conv(square([width, 6 * width], 1, 1), device),
            narrow: conv(square([3 * width, width], 1, 1), device),
            is_star: self.meeting == Meeting::Star,
            has_activation: self.activation,
        })
    }
}

impl Block {
    /// # Shapes
    /// - input, output: `[n, d, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let u = self.widen.forward(self.depthwise.forward(self.norm.forward(x.clone())));
        let [first, second]: [Tensor<4>; 2] = u.chunk(2, 1).try_into().expect("an even number of channels");
        let first = if self.has_activation { gelu(first) } else { first };
        let met = if self.is_star { first * second } else { first + second };
        x + self.narrow.forward(met) * per_channel(&self.layer_scale)
    }
}

impl Describe for Block {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let u = self.norm.describe(trace, "norm", &x);
        let u = trace.conv2d("depthwise", &self.depthwise, &u);
        let u = trace.conv2d("widen", &self.widen, &u);
        let second = u.view(&[u.shape()[0] / 2, u.shape()[1], u.shape()[2]]);
        let first = if self.has_activation { trace.activation("gelu", 0, &second) } else { second.clone() };
        let met = match self.is_star {
            true => trace.product("star", &first, &second),
            false => trace.sum("sum", &first, &second),
        };
        let y = trace.conv2d("narrow", &self.narrow, &met);
        let y = trace.scale("layer_scale", self.layer_scale.shape().num_elements(), &y);
        trace.sum("residual", &y, &x)
    }
}

impl DemoNet {
    /// A vector for each picture, before the head.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`, sides of at least a patch; what is over at the right and below is not seen
    /// - output: `[n, features]`
    pub fn features(&self, input: Tensor<4>) -> Tensor<2> {
        let x = self.blocks.iter().fold(self.stem.forward(input), |x, block| block.forward(x));
        self.norm.forward(mean_pixel(x)).flatten(1, 3)
    }

    /// # Shapes
    /// - input: `[n, 3, height, width]`, sides of at least a patch
    /// - output: `[n, classes]`, or `[n, features]` without a head
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let features = self.features(input);
        match &self.head {
            Some(head) => head.forward(features),
            None => features,
        }
    }
}

impl Describe for DemoNet {
    fn describe(&self, trace: &mut Trace, input: Signal) -> Signal {
        let mut x = trace.conv2d("stem", &self.stem, &input);
        for (index, block) in self.blocks.iter().enumerate() {
            x = trace.within(format!("blocks.{index}"), |trace| block.describe(trace, x));
        }
        let x = trace.mean("mean", &x, &x.shape()[..1]);
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

    const SMALL: DemoNetConfig = DemoNetConfig {
        width: 5,
        depth: 2,
        patch: 3,
        meeting: Meeting::Star,
        activation: true,
        layer_scale: 1e-6,
        classes: Some(3),
    };

    /// The four twins: meeting, whether there is an activation.
    const TWINS: [(Meeting, bool); 4] =
        [(Meeting::Star, true), (Meeting::Star, false), (Meeting::Sum, true), (Meeting::Sum, false)];

    fn small((meeting, activation): (Meeting, bool), device: &Device) -> DemoNet {
        DemoNetConfig { meeting, activation, ..SMALL }.init(device).expect("sizes")
    }

    #[test]
    fn counts_of_the_published_sizes_come_out_and_twins_are_equal() {
        for (width, depth, count) in [(192, 12, 4_460_584), (32, 12, 191_304), (96, 12, 1_235_464), (192, 6, 2_400_808)]
        {
            let audits = TWINS.map(|(meeting, activation)| {
                let config = DemoNetConfig::new(width, depth, meeting);
                let config = DemoNetConfig { activation, classes: Some(1000), ..config };
                let net = config.init(&Device::flex()).expect("sizes");
                let audit = Audit::of(&net, &[3, 224, 224]);
                assert_eq!((audit.parameters, parameters(&net)), (count, count));
                assert_eq!(audit.activation_free, !activation);
                assert!(!audit.polynomial_at_inference && !audit.only_add_mul);
                let stars = if meeting == Meeting::Star { depth * 3 * width * 196 } else { 0 };
                assert_eq!(audit.ciphertext_products, stars);
                audit.multiply_adds
            });
            let block = 9 * width * width + 49 * width;
            assert_eq!(audits, [196 * (768 * width + depth * block) + 1000 * width; 4]);
        }
    }

    #[test]
    fn a_small_network_gives_what_pytorch_does() {
        // From goldens.py, in this folder.
        let device = Device::flex();
        let wanted = [
            [-0.009561749405, 0.756548884774, -1.071154874576],
            [0.109243344105, 0.619234240708, -0.932781534688],
            [-0.261355676483, 0.645536966051, -0.611445240183],
            [-0.429866845121, 0.753201130540, -0.644579725180],
        ];
        for (twin, wanted) in TWINS.into_iter().zip(wanted) {
            let out = golden(small(twin, &device)).forward(wave([1, 3, 7, 9], 0.3, &device));
            close(&numbers(out), &wanted, 1e-10);
        }
    }

    #[test]
    fn without_activation_the_sum_is_linear_behind_the_norm_and_the_star_is_not() {
        let device = Device::flex();
        let x = wave([1, 5, 3, 4], 0.3, &device);
        for (twin, is_linear) in [(TWINS[3], true), (TWINS[1], false)] {
            // Layer norm scales with gamma, and without biases so does all that is linear behind it.
            let mut block = golden(small(twin, &device)).blocks.remove(0);
            block.norm.beta = None;
            for conv in [&mut block.depthwise, &mut block.widen, &mut block.narrow] {
                conv.bias = None;
            }
            let once = block.forward(x.clone()) - x.clone();
            block.norm.gamma = block.norm.gamma.map(|gamma| gamma * 2.0);
            let twice = block.forward(x.clone()) - x.clone();
            let factor = if is_linear { 2.0 } else { 4.0 };
            close(&numbers(twice), &numbers(once * factor), 1e-12);
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for twin in TWINS {
            gradients(golden(small(twin, &device)), wave([1, 3, 7, 4], 0.9, &device), |net, x| net.forward(x));
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let x = wave([1, 3, 7, 9], 0.3, &device);
        saves_and_loads(golden(small(TWINS[0], &device)), double(small(TWINS[0], &device)), |net| {
            net.forward(x.clone())
        });
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refusal = |config: DemoNetConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refusal(DemoNetConfig { width: 0, ..SMALL }), "DemoNet: width is 0");
        assert_eq!(refusal(DemoNetConfig { classes: Some(0), ..SMALL }), "DemoNet: classes is 0");
        assert_eq!(refusal(DemoNetConfig { layer_scale: f64::NAN, ..SMALL }), "DemoNet: layer scale is NaN");
    }
}
