//! What a smooth fill lacks: a U-shaped residual network of gated convolutions (Yu et al., arXiv 1806.03589) or of
//! partial ones (Liu et al., arXiv 1804.07723).
//!
//! Unlike both papers it begins with a hole that is filled already and learns the difference, so a small network starts
//! from a good answer and need not learn what is known; and it has one stage and no adversary. Gated convolutions see the
//! fill from the beginning. Partial ones say what the known pixels tell of the hole, and the fill is held beside that before
//! the last block: what the fill lacks cannot be said without seeing it. Pictures are taken apart into two by two pixels
//! first and put together last, which quarters the cost. Everything between is in blocked layout.

use crate::blocked::{self, Padding, Precision};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::tensor::activation::{leaky_relu, sigmoid};
use burn::tensor::module::conv2d;
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{Device, Tensor};

/// How the convolutions know of the hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoleKind {
    /// Each number is multiplied by a gate between 0 and 1 that is learnt: `φ(W_f x) ∘ σ(W_g x)`.
    Gated,
    /// Missing pixels count as zeros, and sums are scaled by the share of pixels that are there; a pixel is there from
    /// then on where any of its window was.
    Partial,
}

/// How an [`Inpainting`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InpaintingConfig {
    /// Channels at half the picture's size, at a quarter, and so on; multiples of 16.
    pub widths: Vec<usize>,
    /// Residual blocks at the smallest size; one is at each other.
    pub blocks: usize,
    /// Gated or partial.
    pub kind: HoleKind,
}

impl Default for InpaintingConfig {
    /// Gated: 1.2 M parameters, 0.3 G multiply-adds for a picture of 96 × 96.
    fn default() -> Self {
        InpaintingConfig { widths: vec![32, 48, 64, 96], blocks: 3, kind: HoleKind::Gated }
    }
}

/// `filled + mask ∘ network(filled, mask)`.
#[derive(Module, Debug)]
pub struct Inpainting {
    /// From sixteen numbers, those of two by two pixels, to the first width.
    pub first: HoleConv,
    /// One for each width: half the size, except before the first, then residual blocks.
    pub down: Vec<Level>,
    /// One for each width but the last, from small to large.
    pub up: Vec<Level>,
    /// From the filled picture to the first width, where convolutions are partial.
    pub beside: Option<Convolution>,
    /// To two by two pixels; zero at the beginning.
    pub last: Convolution,
}

/// What is done at one size.
#[derive(Module, Debug)]
pub struct Level {
    /// From the size before.
    pub enter: Option<HoleConv>,
    /// `x + conv(x)`
    pub blocks: Vec<HoleConv>,
}

/// A convolution with bias.
#[derive(Module, Debug)]
pub struct Convolution {
    /// `[out, in, 3, 3]`
    pub weight: Param<Tensor<4>>,
    /// `[out]`
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    stride: usize,
}

/// A gated convolution, whose outputs are features, then gates; or a partial one.
#[derive(Module, Debug)]
pub struct HoleConv {
    /// Twice as many outputs where it is gated.
    pub conv: Convolution,
    #[module(skip)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
struct Kind(HoleKind);

/// Pixels of a window.
const WINDOW: f64 = 9.0;
const LANES: usize = 16;
/// Below zero, features are this much smaller.
const SLOPE: f64 = 0.2;
/// Numbers of two by two pixels of three channels and a mask.
const INPUTS: usize = 16;
const OUTPUTS: usize = 12;

impl InpaintingConfig {
    /// Makes the network, weights as He et al. (arXiv 1502.01852) draw them. Widths that are not positive multiples of
    /// 16, and none at all, are refused.
    pub fn init(&self, device: &Device) -> Result<Inpainting> {
        nonzero("inpainting", &[("widths", self.widths.len())])?;
        if let Some(width) = self.widths.iter().find(|width| **width == 0 || !width.is_multiple_of(LANES)) {
            return Err(Error::config("inpainting", format!("width {width} is not a positive multiple of {LANES}")));
        }
        let conv = |inputs, outputs, stride| HoleConv::new([inputs, outputs], stride, self.kind, device);
        let last = self.widths.len() - 1;
        let level = |index: usize, width: usize| {
            let enter = index.checked_sub(1).map(|before| conv(self.widths[before], width, 2));
            let blocks = if index == last { self.blocks } else { 1 };
            Level { enter, blocks: (0..blocks).map(|_| conv(width, width, 1)).collect() }
        };
        let rise = |index: usize| Level {
            enter: Some(conv(self.widths[index + 1], self.widths[index], 1)),
            blocks: vec![conv(self.widths[index], self.widths[index], 1)],
        };
        let beside = (self.kind == HoleKind::Partial)
            .then(|| Convolution::new([INPUTS, self.widths[0]], 1, HoleConv::initializer(), device));
        Ok(Inpainting {
            first: conv(INPUTS, self.widths[0], 1),
            down: self.widths.iter().enumerate().map(|(index, width)| level(index, *width)).collect(),
            up: (0..last).rev().map(rise).collect(),
            beside,
            last: Convolution::new([self.widths[0], OUTPUTS], 1, Initializer::Zeros, device),
        })
    }
}

impl Convolution {
    fn new([inputs, outputs]: [usize; 2], stride: usize, initializer: Initializer, device: &Device) -> Self {
        let fan_in = inputs * WINDOW as usize;
        Convolution {
            weight: initializer.init_with([outputs, inputs, 3, 3], Some(fan_in), None, device),
            bias: Initializer::Zeros.init([outputs], device),
            stride,
        }
    }

    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        blocked::bias(self.without_bias(x), self.bias.val())
    }

    fn without_bias(&self, x: Tensor<5>) -> Tensor<5> {
        blocked::conv2d(x, self.weight.val(), self.stride, Padding::even(1), Precision::Single)
    }

    fn describe(&self, trace: &mut Trace, name: &str, x: &Signal) -> Signal {
        let [outputs, inputs, rows, columns] = self.weight.lazy_shape().dims();
        let side = |size: usize| (size - 1) / self.stride + 1;
        let [height, width] = [side(x.shape()[1]), side(x.shape()[2])];
        let weights = outputs * inputs * rows * columns;
        trace.map(name, weights + outputs, weights * height * width, &[x], &[outputs, height, width])
    }
}

/// Numbers, and for partial convolutions where there are any.
struct Known {
    /// `[n, blocks, height, width, 16]`
    x: Tensor<5>,
    /// `[n, 1, height, width]`, 1 or 0 a pixel.
    there: Option<Tensor<4>>,
}

impl Known {
    /// With numbers that are there everywhere added, if there are any.
    fn with(self, beside: Option<Tensor<5>>) -> Self {
        let Some(beside) = beside else { return self };
        Known { x: self.x + beside, there: self.there.map(|there| there.ones_like()) }
    }
}

impl HoleConv {
    fn new([inputs, outputs]: [usize; 2], stride: usize, kind: HoleKind, device: &Device) -> Self {
        let halves = if kind == HoleKind::Gated { 2 } else { 1 };
        let conv = Convolution::new([inputs, halves * outputs], stride, Self::initializer(), device);
        HoleConv { conv, kind: Kind(kind) }
    }

    fn initializer() -> Initializer {
        Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false }
    }

    fn forward(&self, Known { x, there }: Known) -> Known {
        let Some(there) = there else {
            let x = self.conv.forward(x);
            let half = x.dims()[1] / 2;
            let (features, gates) = (x.clone().narrow(1, 0, half), x.narrow(1, half, half));
            return Known { x: leaky_relu(features, SLOPE) * sigmoid(gates), there: None };
        };
        let pixels = |x: Tensor<4>| {
            let [n, _, height, width] = x.dims();
            x.reshape([n, 1, height, width, 1])
        };
        let sums = self.conv.without_bias(x * pixels(there.clone()));
        // Beyond the edge nothing is there, as in the paper: an edge's sums are scaled as a hole's are.
        let ones = Tensor::ones([1, 1, 3, 3], (&there.device(), there.dtype()));
        let stride = [self.conv.stride; 2];
        let count = conv2d(there, ones, None, ConvOptions::new(stride, [1; 2], [1; 2], 1)).detach();
        let there = count.clone().clamp_max(1.0);
        let scaled = sums * pixels(count.clamp_min(1.0).recip().mul_scalar(WINDOW));
        let x = blocked::bias(scaled, self.conv.bias.val()) * pixels(there.clone());
        Known { x: leaky_relu(x, SLOPE), there: Some(there) }
    }

    fn describe(&self, trace: &mut Trace, name: &str, x: &Signal) -> Signal {
        let x = self.conv.describe(trace, name, x);
        match self.kind.0 {
            HoleKind::Gated => {
                let half = [x.shape()[0] / 2, x.shape()[1], x.shape()[2]];
                let features = trace.activation("leaky_relu", 0, &x.view(&half));
                let gates = trace.activation("sigmoid", 0, &x.view(&half));
                trace.product("gate", &features, &gates)
            }
            HoleKind::Partial => {
                let x = trace.scale("share", 0, &x);
                trace.activation("leaky_relu", 0, &x)
            }
        }
    }
}

impl Level {
    fn forward(&self, known: Known) -> Known {
        self.stay(match &self.enter {
            Some(enter) => enter.forward(known),
            None => known,
        })
    }

    /// The residual blocks.
    fn stay(&self, known: Known) -> Known {
        self.blocks.iter().fold(known, |Known { x, there }, block| {
            let inner = block.forward(Known { x: x.clone(), there });
            Known { x: x + inner.x, there: inner.there }
        })
    }

    fn describe(&self, trace: &mut Trace, x: &Signal) -> Signal {
        let x = match &self.enter {
            Some(enter) => enter.describe(trace, "enter", x),
            None => x.clone(),
        };
        self.describe_blocks(trace, x)
    }

    fn describe_blocks(&self, trace: &mut Trace, mut x: Signal) -> Signal {
        for (index, block) in self.blocks.iter().enumerate() {
            let inner = block.describe(trace, &format!("blocks.{index}"), &x);
            x = trace.sum("residual", &x, &inner);
        }
        x
    }
}

impl Inpainting {
    /// Improves a fill. Known pixels come back untouched.
    ///
    /// # Shapes
    /// - filled: `[n, 3, height, width]`, from -1/2 to 1/2, any size of at least 1
    /// - mask: `[n, 1, height, width]`, 1 in the hole, 0 elsewhere
    /// - output: as `filled`
    pub fn forward(&self, filled: Tensor<4>, mask: Tensor<4>) -> Tensor<4> {
        let [n, _, height, width] = filled.dims();
        let step = self.step();
        let (below, right) = (height.next_multiple_of(step) - height, width.next_multiple_of(step) - width);
        let around = |x: Tensor<4>| {
            if below + right == 0 { x } else { x.pad((0, right, 0, below), PadMode::Edge) }
        };
        let inputs = halved(around(Tensor::cat(vec![filled.clone(), mask.clone()], 1)));
        // Two by two pixels are there where all of them are.
        let there = (self.first.kind.0 == HoleKind::Partial)
            .then(|| halved(around(mask.clone())).max_dim(1).neg().add_scalar(1.0));
        let [_, channels, rows, columns] = inputs.dims();
        let blocked = inputs.reshape([n, 1, channels, rows, columns]).permute([0, 1, 3, 4, 2]);
        let beside = self.beside.as_ref().map(|beside| beside.forward(blocked.clone()));
        let mut known = self.first.forward(Known { x: blocked, there });
        let mut passed = Vec::new();
        for level in &self.down {
            known = level.forward(known);
            passed.push((known.x.clone(), known.there.clone()));
        }
        passed.pop();
        if self.up.is_empty() {
            known = known.with(beside.clone());
        }
        for (index, level) in self.up.iter().enumerate() {
            let enter = level.enter.as_ref().expect("a level that rises comes from another");
            let Known { x, there } = enter.forward(known);
            let (other, other_there) = passed.pop().expect("as many on the way up as on the way down");
            let x = blocked_doubled(x) + other;
            let there = there.zip(other_there).map(|(there, other)| planar_doubled(there).max_pair(other));
            let risen = Known { x, there };
            known = level.stay(if index + 1 == self.up.len() { risen.with(beside.clone()) } else { risen });
        }
        let out = self.last.forward(known.x);
        let out = out.permute([0, 1, 4, 2, 3]).reshape([n, LANES, rows, columns]).narrow(1, 0, OUTPUTS);
        filled + doubled(out).narrow(2, 0, height).narrow(3, 0, width) * mask
    }

    /// Pictures are padded to multiples of this.
    fn step(&self) -> usize {
        1 << self.down.len()
    }

    /// Says each operation to `trace`: for a picture `[3, height, width]` whose sides are multiples of 2 to the number
    /// of widths.
    pub fn describe(&self, trace: &mut Trace, filled: &Signal, mask: &Signal) -> Signal {
        let [height, width] = [filled.shape()[1], filled.shape()[2]];
        let x = trace.relocate("halved", &[filled, mask], &[INPUTS, height / 2, width / 2]);
        let beside = self.beside.as_ref().map(|beside| beside.describe(trace, "beside", &x));
        let with = |trace: &mut Trace, x: Signal| match &beside {
            Some(beside) => trace.sum("beside", &x, beside),
            None => x,
        };
        let mut x = self.first.describe(trace, "first", &x);
        let mut passed = Vec::new();
        for (index, level) in self.down.iter().enumerate() {
            x = trace.within(format!("down.{index}"), |trace| level.describe(trace, &x));
            passed.push(x.clone());
        }
        passed.pop();
        if self.up.is_empty() {
            x = with(trace, x);
        }
        for (index, level) in self.up.iter().enumerate() {
            x = trace.within(format!("up.{index}"), |trace| {
                let enter = level.enter.as_ref().expect("a level that rises comes from another");
                let x = enter.describe(trace, "enter", &x);
                let other = passed.pop().expect("as many on the way up as on the way down");
                let doubled = trace.relocate("doubled", &[&x], other.shape());
                let mut x = trace.sum("skip", &doubled, &other);
                if index + 1 == self.up.len() {
                    x = with(trace, x);
                }
                level.describe_blocks(trace, x)
            });
        }
        let x = self.last.describe(trace, "last", &x);
        let x = trace.relocate("doubled", &[&x], filled.shape());
        let x = trace.product("mask", &x, mask);
        trace.sum("residual", &x, filled)
    }
}

/// Two by two pixels become channels: `[n, c, 2h, 2w]` to `[n, 4c, h, w]`.
fn halved(x: Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h / 2, 2, w / 2, 2]).permute([0, 1, 3, 5, 2, 4]).reshape([n, 4 * c, h / 2, w / 2])
}

/// The inverse of [`halved`].
fn doubled(x: Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c / 4, 2, 2, h, w]).permute([0, 1, 4, 2, 5, 3]).reshape([n, c / 4, 2 * h, 2 * w])
}

/// Each pixel becomes two by two.
fn blocked_doubled(x: Tensor<5>) -> Tensor<5> {
    let [n, b, h, w, lanes] = x.dims();
    let x = x.reshape([n, b, h, 1, w, 1, lanes]).expand([n, b, h, 2, w, 2, lanes]);
    x.reshape([n, b, 2 * h, 2 * w, lanes])
}

/// The same for masks.
fn planar_doubled(x: Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h, 1, w, 1]).expand([n, c, h, 2, w, 2]).reshape([n, c, 2 * h, 2 * w])
}

#[cfg(test)]
mod tests;
