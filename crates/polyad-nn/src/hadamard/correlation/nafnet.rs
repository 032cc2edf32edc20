//! NAFNet: a network that restores pictures without activation functions, whose non-linearities are products (Chen et
//! al., Simple Baselines for Image Restoration, arXiv 2204.04676).
//!
//! The channel attention takes its means over the whole picture. Published weights have learnt them on squares of 256
//! pixels, and larger pictures have other means.

use super::planar::{ChannelNorm, ChannelNormConfig, mean_pixel, per_channel, square};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::conv::Conv2d;
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor};

/// `x₁ ∘ x₂`, the first and the second half of the channels.
///
/// # Shapes
/// - input: `[n, 2 channels, height, width]`
/// - output: `[n, channels, height, width]`
pub fn simple_gate(x: Tensor<4>) -> Tensor<4> {
    let half = x.dims()[1] / 2;
    x.clone().narrow(1, 0, half) * x.narrow(1, half, half)
}

/// In the words of [`simple_gate`].
pub(super) fn describe_gate(trace: &mut Trace, x: &Signal) -> Signal {
    let half = x.view(&[x.shape()[0] / 2, x.shape()[1], x.shape()[2]]);
    trace.product("gate", &half, &half)
}

/// Simplified channel attention: `x ∘ (W x̄ + b)`, `x̄` the mean over all pixels.
#[derive(Module, Debug)]
pub struct ChannelAttention {
    /// W and b, 1 × 1.
    pub conv: Conv2d,
}

impl ChannelAttention {
    /// # Shapes
    /// - input, output: `[n, channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weights = self.conv.forward(mean_pixel(x.clone()));
        x * weights
    }
}

impl Describe for ChannelAttention {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let mean = trace.mean("mean", &x, &[x.shape()[0], 1, 1]);
        let weights = trace.conv2d("conv", &self.conv, &mean);
        trace.product("product", &x, &weights)
    }
}

/// `u = x + β ∘ W₃ attention(gate(D W₁ LN x))`, `y = u + γ ∘ W₅ gate(W₄ LN u)`; all W are 1 × 1, D is depthwise 3 × 3.
///
/// Parameters for c channels: `7c² + 33c`.
#[derive(Module, Debug)]
pub struct NafBlock {
    /// β, `[c]`, at first 0.
    pub first_scale: Param<Tensor<1>>,
    /// γ, `[c]`, at first 0.
    pub second_scale: Param<Tensor<1>>,
    /// W₁, c to 2c.
    pub conv1: Conv2d,
    /// D, on 2c channels.
    pub conv2: Conv2d,
    /// W₃, c to c.
    pub conv3: Conv2d,
    /// Of c channels.
    pub attention: ChannelAttention,
    /// W₄, c to 2c.
    pub conv4: Conv2d,
    /// W₅, c to c.
    pub conv5: Conv2d,
    /// Before W₁.
    pub norm1: ChannelNorm,
    /// Before W₄.
    pub norm2: ChannelNorm,
}

impl NafBlock {
    /// Makes a block for so many channels; zero are refused.
    pub fn new(channels: usize, device: &Device) -> Result<Self> {
        nonzero("NAFBlock", &[("channels", channels)])?;
        let scale = || Initializer::Zeros.init([channels], device);
        let pointwise = |outputs| square([channels, outputs], 1, 1).init(device);
        let depthwise = square([2 * channels; 2], 3, 1).with_groups(2 * channels);
        Ok(NafBlock {
            first_scale: scale(),
            second_scale: scale(),
            conv1: pointwise(2 * channels),
            conv2: depthwise.init(device),
            conv3: pointwise(channels),
            attention: ChannelAttention { conv: pointwise(channels) },
            conv4: pointwise(2 * channels),
            conv5: pointwise(channels),
            norm1: ChannelNormConfig::new(channels).init(device)?,
            norm2: ChannelNormConfig::new(channels).init(device)?,
        })
    }

    /// # Shapes
    /// - input, output: `[n, c, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.conv2.forward(self.conv1.forward(self.norm1.forward(x.clone())));
        let y = self.conv3.forward(self.attention.forward(simple_gate(y)));
        let u = x + y * per_channel(&self.first_scale);
        let y = self.conv5.forward(simple_gate(self.conv4.forward(self.norm2.forward(u.clone()))));
        u + y * per_channel(&self.second_scale)
    }
}

impl Describe for NafBlock {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let channels = self.first_scale.shape().num_elements();
        let y = self.norm1.describe(trace, "norm1", &x);
        let y = trace.conv2d("conv1", &self.conv1, &y);
        let y = trace.conv2d("conv2", &self.conv2, &y);
        let y = describe_gate(trace, &y);
        let y = trace.within("attention", |trace| self.attention.describe(trace, y));
        let y = trace.conv2d("conv3", &self.conv3, &y);
        let y = trace.scale("first_scale", channels, &y);
        let u = trace.sum("residual1", &y, &x);
        let y = self.norm2.describe(trace, "norm2", &u);
        let y = trace.conv2d("conv4", &self.conv4, &y);
        let y = describe_gate(trace, &y);
        let y = trace.conv2d("conv5", &self.conv5, &y);
        let y = trace.scale("second_scale", channels, &y);
        trace.sum("residual2", &y, &u)
    }
}

/// How a [`NafNet`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NafNetConfig {
    /// Channels of a picture. Published: 3.
    pub channels: usize,
    /// Channels inside, at full size; twice as many at each smaller size.
    pub width: usize,
    /// Blocks at each size on the way down, from the full one.
    pub encoder: Vec<usize>,
    /// Blocks at the smallest size.
    pub middle: usize,
    /// Blocks at each size on the way up, from the smallest but one.
    pub decoder: Vec<usize>,
}

/// A U-net of [`NafBlock`]s that says what is to be added to a picture: `[n, channels, height, width]` to the same.
#[derive(Module, Debug)]
pub struct NafNet {
    /// 3 × 3, to the width.
    pub intro: Conv2d,
    /// Blocks, then patches of 2 × 2 to twice the channels.
    pub encoder: Vec<Level>,
    /// At the smallest size.
    pub middle: Vec<NafBlock>,
    /// 1 × 1 to twice the channels, which become 2 × 2 pixels each; what the encoder had there added; then blocks.
    pub decoder: Vec<Level>,
    /// 3 × 3, to the picture's channels.
    pub ending: Conv2d,
}

/// Blocks of one size.
#[derive(Module, Debug)]
pub struct Level {
    /// To the next size or from the one before.
    pub resize: Conv2d,
    /// In order.
    pub blocks: Vec<NafBlock>,
}

impl NafNetConfig {
    /// One of the published sizes of width 32, by the pictures that it is for: `gopro` (blurred) and `sidd` (noisy).
    pub fn published(name: &str) -> Option<Self> {
        let (encoder, middle, decoder) = match name {
            "gopro" => ([1, 1, 1, 28], 1, [1; 4]),
            "sidd" => ([2, 2, 4, 8], 12, [2; 4]),
            _ => return None,
        };
        Some(NafNetConfig { channels: 3, width: 32, encoder: encoder.to_vec(), middle, decoder: decoder.to_vec() })
    }

    /// Makes the network. Sizes of zero, a way up that is not as long as the way down, and widths that cannot double
    /// often enough are refused.
    pub fn init(&self, device: &Device) -> Result<NafNet> {
        let NafNetConfig { channels, width, encoder, middle, decoder } = self;
        nonzero("NAFNet", &[("channels", *channels), ("width", *width)])?;
        if encoder.len() != decoder.len() {
            let problem = format!("{} sizes on the way down, {} on the way up", encoder.len(), decoder.len());
            return Err(Error::config("NAFNet", problem));
        }
        let doubled = |times: usize| {
            let width = 1usize.checked_shl(times as u32).and_then(|factor| width.checked_mul(factor));
            width.ok_or_else(|| Error::config("NAFNet", format!("width {} cannot double {times} times", self.width)))
        };
        let smallest = doubled(encoder.len())?;
        let blocks = |count: usize, width: usize| -> Result<Vec<NafBlock>> {
            (0..count).map(|_| NafBlock::new(width, device)).collect()
        };
        let level = |resize: Conv2d, count: usize, width: usize| -> Result<Level> {
            Ok(Level { resize, blocks: blocks(count, width)? })
        };
        let down = |(index, count): (usize, &usize)| {
            let width = doubled(index)?;
            level(square([width, 2 * width], 2, 1).with_stride([2; 2]).init(device), *count, width)
        };
        let up = |(index, count): (usize, &usize)| {
            let width = doubled(decoder.len() - 1 - index)?;
            level(square([2 * width, 4 * width], 1, 1).with_bias(false).init(device), *count, width)
        };
        Ok(NafNet {
            intro: square([*channels, *width], 3, 1).init(device),
            encoder: encoder.iter().enumerate().map(down).collect::<Result<_>>()?,
            middle: blocks(*middle, smallest)?,
            decoder: decoder.iter().enumerate().map(up).collect::<Result<_>>()?,
            ending: square([*width, *channels], 3, 1).init(device),
        })
    }
}

/// Groups of four channels become 2 × 2 pixels.
///
/// # Shapes
/// - input: `[n, 4 channels, height, width]`
/// - output: `[n, channels, 2 height, 2 width]`
fn pixel_shuffle(x: Tensor<4>) -> Tensor<4> {
    let [n, channels, height, width] = x.dims();
    let pixels = x.reshape([n, channels / 4, 2, 2, height, width]).permute([0, 1, 4, 2, 5, 3]);
    pixels.reshape([n, channels / 4, 2 * height, 2 * width])
}

impl NafNet {
    /// A side's next multiple of what is halved away and doubled again.
    fn whole(&self, side: usize) -> usize {
        side.next_multiple_of(1 << self.encoder.len())
    }

    /// Pictures whose sides do not halve often enough get zeros below and on the right, which the result is without.
    ///
    /// # Shapes
    /// - input, output: `[n, channels, height, width]`
    pub fn forward(&self, picture: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = picture.dims();
        let zeros = [(0, self.whole(height) - height), (0, self.whole(width) - width)];
        let padded = picture.clone().pad(zeros, PadMode::Constant(0.0));
        let mut x = self.intro.forward(padded);
        let mut kept = Vec::new();
        for level in &self.encoder {
            x = level.blocks.iter().fold(x, |x, block| block.forward(x));
            kept.push(x.clone());
            x = level.resize.forward(x);
        }
        x = self.middle.iter().fold(x, |x, block| block.forward(x));
        for (level, kept) in self.decoder.iter().zip(kept.into_iter().rev()) {
            x = pixel_shuffle(level.resize.forward(x)) + kept;
            x = level.blocks.iter().fold(x, |x, block| block.forward(x));
        }
        self.ending.forward(x).narrow(2, 0, height).narrow(3, 0, width) + picture
    }
}

fn describe_blocks(blocks: &[NafBlock], trace: &mut Trace, x: Signal) -> Signal {
    blocks
        .iter()
        .enumerate()
        .fold(x, |x, (index, block)| trace.within(format!("blocks.{index}"), |trace| block.describe(trace, x)))
}

impl Describe for NafNet {
    fn describe(&self, trace: &mut Trace, picture: Signal) -> Signal {
        let [channels, height, width] = [0, 1, 2].map(|axis| picture.shape()[axis]);
        let padded = trace.relocate("pad", &[&picture], &[channels, self.whole(height), self.whole(width)]);
        let mut x = trace.conv2d("intro", &self.intro, &padded);
        let mut kept = Vec::new();
        for (index, level) in self.encoder.iter().enumerate() {
            x = trace.within(format!("encoder.{index}"), |trace| {
                let x = describe_blocks(&level.blocks, trace, x);
                kept.push(x.clone());
                trace.conv2d("resize", &level.resize, &x)
            });
        }
        x = trace.within("middle", |trace| describe_blocks(&self.middle, trace, x));
        for (index, (level, kept)) in self.decoder.iter().zip(kept.iter().rev()).enumerate() {
            x = trace.within(format!("decoder.{index}"), |trace| {
                let x = trace.conv2d("resize", &level.resize, &x);
                let x = trace.relocate("shuffle", &[&x], kept.shape());
                let x = trace.sum("skip", &x, kept);
                describe_blocks(&level.blocks, trace, x)
            });
        }
        let x = trace.conv2d("ending", &self.ending, &x);
        trace.sum("residual", &x.view(picture.shape()), &picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };

    fn small(device: &Device) -> NafNet {
        let config = NafNetConfig { channels: 2, width: 6, encoder: vec![1, 1], middle: 1, decoder: vec![1, 1] };
        config.init(device).expect("sizes")
    }

    #[test]
    fn golden_numbers_come_out() {
        // Computed in double precision by a program of its own.
        let device = Device::flex();
        let block = golden(NafBlock::new(8, &device).expect("sizes"));
        assert_eq!(parameters(&block), 712);
        let x = doubles((0..128).map(|i| (0.3 * f64::from(i)).sin()).collect(), [1, 8, 4, 4], &device);
        let out = numbers(block.forward(x));
        close(&[out.iter().sum(), out[6]], &[-1.771566057, 0.977571114], 1e-9);
    }

    #[test]
    fn a_small_network_gives_what_pytorch_does() {
        // From goldens.py, in this folder.
        let device = Device::flex();
        let out = golden(small(&device)).forward(wave([2, 2, 5, 7], 0.3, &device));
        close(&numbers(out)[..3], &[-0.699154589323, -0.891781511465, -0.435831461330], 1e-10);
    }

    #[test]
    fn counts_of_the_published_sizes_come_out() {
        for (name, count) in [("gopro", 17_111_907), ("sidd", 29_159_715)] {
            let net = NafNetConfig::published(name).expect("published").init(&Device::flex()).expect("sizes");
            let audit = Audit::of(&net, &[3, 256, 256]);
            assert_eq!((audit.parameters, parameters(&net)), (count, count), "{name}");
            assert!(audit.activation_free && !audit.polynomial_at_inference && !audit.only_add_mul, "{name}");
        }
    }

    #[test]
    fn a_block_counts_what_a_formula_says() {
        let (c, pixels) = (6, 5 * 3);
        let audit = Audit::of(&NafBlock::new(c, &Device::flex()).expect("sizes"), &[c, 5, 3]);
        assert_eq!(audit.parameters, 7 * c * c + 33 * c);
        assert_eq!(audit.multiply_adds, pixels * (6 * c * c + 18 * c) + c * c);
        // Two gates and the attention.
        assert_eq!(audit.ciphertext_products, 3 * pixels * c);
    }

    #[test]
    fn a_network_counts_what_a_formula_says() {
        // 5 × 9 pixels become 8 × 12; 4 × 6 and 2 × 3 follow.
        let block = |c: usize, pixels: usize| pixels * (6 * c * c + 18 * c) + c * c;
        let blocks = 2 * block(6, 96) + 2 * block(12, 24) + block(24, 6);
        let resize = 24 * 4 * 6 * 12 + 6 * 4 * 12 * 24 + 6 * 24 * 48 + 24 * 12 * 24;
        let wanted = blocks + resize + 2 * 96 * 9 * 2 * 6;
        assert_eq!(Audit::of(&small(&Device::flex()), &[2, 5, 9]).multiply_adds, wanted);
    }

    #[test]
    fn at_first_blocks_do_nothing() {
        let device = Device::flex();
        let block = double(NafBlock::new(4, &device).expect("sizes"));
        let x = wave([2, 4, 3, 5], 0.3, &device);
        assert_eq!(numbers(block.forward(x.clone())), numbers(x));
    }

    #[test]
    fn the_gate_and_the_attention_multiply_as_they_should() {
        let device = Device::flex();
        let x = doubles(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [1, 4, 1, 2], &device);
        assert_eq!(numbers(simple_gate(x)), [5.0, 12.0, 21.0, 32.0]);
        let mut attention = ChannelAttention { conv: double(square([2, 2], 1, 1).init(&device)) };
        attention.conv.weight = Param::from_tensor(doubles(vec![0.0, 1.0, 2.0, 0.0], [2, 2, 1, 1], &device));
        attention.conv.bias = Some(Param::from_tensor(doubles(vec![1.0, -1.0], [2], &device)));
        // Means 2 and 6: the first channel times 6 + 1, the second times 2 · 2 - 1.
        let x = doubles(vec![1.0, 3.0, 5.0, 7.0], [1, 2, 1, 2], &device);
        assert_eq!(numbers(attention.forward(x)), [7.0, 21.0, 15.0, 21.0]);
    }

    #[test]
    fn four_channels_become_four_pixels_in_the_order_of_pytorch() {
        // torch.nn.functional.pixel_shuffle(torch.arange(16.).reshape(1, 8, 1, 2), 2).flatten()
        let wanted = [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0, 8.0, 10.0, 9.0, 11.0, 12.0, 14.0, 13.0, 15.0];
        let x = doubles((0..16).map(f64::from).collect(), [1, 8, 1, 2], &Device::flex());
        assert_eq!(numbers(pixel_shuffle(x)), wanted);
    }

    #[test]
    fn sizes_that_do_not_halve_are_those_of_a_picture_with_zeros() {
        let device = Device::flex();
        let net = golden(small(&device));
        let x = wave([1, 2, 5, 7], 0.3, &device);
        let padded = x.clone().pad([(0, 3), (0, 1)], PadMode::Constant(0.0));
        let wanted = net.forward(padded).slice([0..1, 0..2, 0..5, 0..7]);
        close(&numbers(net.forward(x)), &numbers(wanted), 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        // Few pixels: where a pixel's channels are nearly equal, layer norm is so steep that differences are off.
        gradients(golden(small(&device)), wave([1, 2, 3, 2], 0.9, &device), |net, x| net.forward(x));
        // At the start the scales are 0, and they alone have gradients.
        let block = NafBlock::new(4, &device).expect("sizes");
        gradients(block, wave([2, 4, 2, 3], 0.9, &device), |block, x| block.forward(x));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let x = wave([2, 2, 5, 4], 0.3, &device);
        saves_and_loads(golden(small(&device)), double(small(&device)), |net| net.forward(x.clone()));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let config = NafNetConfig::published("gopro").expect("published");
        let refusal = |config: NafNetConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        let uneven = NafNetConfig { decoder: vec![1; 3], ..config.clone() };
        assert_eq!(refusal(uneven), "NAFNet: 4 sizes on the way down, 3 on the way up");
        let wide = NafNetConfig { width: usize::MAX / 8, ..config.clone() };
        assert_eq!(refusal(wide), format!("NAFNet: width {} cannot double 4 times", usize::MAX / 8));
        assert_eq!(refusal(NafNetConfig { width: 0, ..config }), "NAFNet: width is 0");
        assert_eq!(NafBlock::new(0, &Device::flex()).expect_err("refused").to_string(), "NAFBlock: channels is 0");
    }
}
