//! PolyNeXt: an image network that is nothing but sums and products, every activation function and pool replaced by a
//! Hadamard product (arXiv 2605.20839).
//!
//! With batch norm it is a polynomial of its input at inference. The published batch norm takes a mean and a variance
//! for each pixel and so is bound to one resolution; here they are those of the channel, as everywhere else.
//!
//! The numbers of parameters of three sizes come out where layer norm has no bias, each node one scale, each cell two
//! coefficients a channel, each change of size two down-samplers, and one more norm stands somewhere at the last width:
//! here before the head. They leave open where scales begin (here at a half) and whether the 3 × 3 kernels of the first
//! stage skip pixels (here they do not).

use super::nafnet::{describe_gate, simple_gate};
use super::planar::{self, ChannelNorm, ChannelNormConfig, mean_pixel, per_channel, square};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use crate::norm::{BatchNorm, BatchNormConfig};
use burn::module::{Initializer, Module, Param};
use burn::nn::Linear;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

/// How a [`PolyNext`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolyNextConfig {
    /// Side of the first kernel, and its stride. Published: 7 and 4, for small pictures 3 and 1.
    pub stem: (usize, usize),
    /// From large pictures to small.
    pub stages: Vec<PolyStage>,
    /// PolyConvs and PolyMLPs of a cell together, an even number. Published: 6.
    pub nodes: usize,
    /// What keeps numbers in bounds.
    pub norm: NormKind,
    /// Classes of the head; `None` for a network that ends with its vector.
    pub classes: Option<usize>,
}

/// Sizes of the cells that work on pictures of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolyStage {
    /// How many.
    pub cells: usize,
    /// Channels between nodes.
    pub width: usize,
    /// Channels inside a PolyConv.
    pub conv: usize,
    /// Channels inside a PolyMLP, before halves are multiplied.
    pub mlp: usize,
}

/// How numbers are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Over the channels of each pixel, without bias.
    Layer,
    /// Over batch and pixels; a constant factor and summand at inference.
    Batch,
}

/// `[n, 3, height, width]` to `[n, classes]`, or to a vector for each picture.
#[derive(Module, Debug)]
pub struct PolyNext {
    /// To the width of the first stage.
    pub stem: Conv2d,
    /// One after the other; each sees the two before.
    pub cells: Vec<Cell>,
    /// Of the last cell's output.
    pub norm: Norm,
    /// 1 × 1, C to 4C: l and r.
    pub widen: Conv2d,
    /// Classes, where they are asked for.
    pub head: Option<Linear>,
}

/// `x = LN(c₀ ∘ s₀ + c₁ ∘ s₁)` of the two outputs before; then for each node f: `x ← x + σ(a_f) f(x)`.
#[derive(Module, Debug)]
pub struct Cell {
    /// For s₀ and s₁, where the picture becomes smaller.
    pub down: Option<[DownSampler; 2]>,
    /// c₀, `[width]`, at first 1.
    pub older: Param<Tensor<1>>,
    /// c₁, `[width]`, at first 1.
    pub newer: Param<Tensor<1>>,
    /// Of the sum.
    pub norm: Norm,
    /// a, `[nodes]`, at first 0. Their sigmoids are constants at inference.
    pub scales: Param<Tensor<1>>,
    /// By turns with `mlps`.
    pub convs: Vec<PolyConv>,
    /// One behind each of `convs`.
    pub mlps: Vec<PolyMlp>,
}

/// Half the size: depthwise 3 × 3 with stride 2, 1 × 1.
#[derive(Module, Debug)]
pub struct DownSampler {
    /// Stride 2.
    pub depthwise: Conv2d,
    /// To the new width.
    pub pointwise: Conv2d,
}

/// `LN(W₂ D₃(D₁u ∘ flip(D₂u)))`, `u = W₁x`: D are depthwise, `flip` turns the order of the channels around.
#[derive(Module, Debug)]
pub struct PolyConv {
    /// W₁, 1 × 1.
    pub widen: Conv2d,
    /// D₁, 5 × 5 with steps of two pixels; 3 × 3 in the first stage.
    pub far: Conv2d,
    /// D₂, 3 × 3.
    pub near: Conv2d,
    /// D₃, 3 × 3.
    pub mix: Conv2d,
    /// W₂, 1 × 1.
    pub narrow: Conv2d,
    /// Of the result.
    pub norm: Norm,
}

/// `W₂ LN(u₁ ∘ u₂)`, u₁ and u₂ the halves of `W₁x`.
#[derive(Module, Debug)]
pub struct PolyMlp {
    /// W₁, 1 × 1.
    pub widen: Conv2d,
    /// Of the product.
    pub norm: Norm,
    /// W₂, 1 × 1.
    pub narrow: Conv2d,
}

/// One of [`NormKind`].
#[derive(Module, Debug)]
pub enum Norm {
    /// Over the channels of each pixel.
    Layer(ChannelNorm),
    /// Over batch and pixels.
    Batch(BatchNorm),
}

/// Weights as He et al. (arXiv 1502.01852) draw them; no bias.
fn conv(config: Conv2dConfig, device: &Device) -> Conv2d {
    let weights = Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false };
    config.with_initializer(weights).with_bias(false).init(device)
}

impl PolyNextConfig {
    /// CPolyNeXt-T for pictures of 224 pixels, without a head.
    pub fn tiny(norm: NormKind) -> Self {
        let stage = |cells, width, conv, mlp| PolyStage { cells, width, conv, mlp };
        let stages =
            vec![stage(2, 48, 48, 96), stage(2, 96, 96, 192), stage(6, 192, 144, 336), stage(2, 288, 216, 504)];
        PolyNextConfig { stem: (7, 4), stages, nodes: 6, norm, classes: None }
    }

    /// CPolyNeXt-LR for pictures of 32 pixels, without a head. Published: 72 channels.
    pub fn low_resolution(channels: usize, norm: NormKind) -> Self {
        let stage = |cells, width| PolyStage { cells, width, conv: width, mlp: 2 * width };
        let stages = vec![stage(2, channels), stage(3, 2 * channels), stage(3, 4 * channels)];
        PolyNextConfig { stem: (3, 1), stages, nodes: 6, norm, classes: None }
    }

    /// Makes the network. Sizes of zero, odd numbers of nodes and odd channels of a PolyMLP are refused.
    pub fn init(&self, device: &Device) -> Result<PolyNext> {
        let PolyNextConfig { stem: (kernel, stride), stages, nodes, norm, classes } = self;
        let sizes =
            [("stages", stages.len()), ("stem's kernel", *kernel), ("stem's stride", *stride), ("nodes", *nodes)];
        nonzero("PolyNeXt", &sizes)?;
        if nodes % 2 != 0 {
            return Err(Error::config("PolyNeXt", format!("nodes {nodes} is odd, and they come in pairs")));
        }
        let mut cells: Vec<Cell> = Vec::new();
        let mut inputs = stages[0].width;
        for (index, stage) in stages.iter().enumerate() {
            let PolyStage { width, conv, mlp, .. } = *stage;
            nonzero("PolyNeXt", &[("cells", stage.cells), ("width", width), ("conv", conv), ("mlp", mlp)])?;
            if mlp % 2 != 0 {
                return Err(Error::config("PolyNeXt", format!("mlp {mlp} is odd, and its halves are multiplied")));
            }
            for cell in 0..stage.cells {
                let from = (index > 0 && cell == 0).then_some(inputs);
                cells.push(Cell::new(from, stage, *nodes, index > 0, *norm, device)?);
            }
            inputs = width;
        }
        Ok(PolyNext {
            stem: conv(square([3, stages[0].width], *kernel, 1).with_stride([*stride; 2]), device),
            cells,
            norm: norm.init(inputs, device)?,
            widen: conv(square([inputs, 4 * inputs], 1, 1), device),
            head: planar::head("PolyNeXt", 2 * inputs, *classes, Initializer::Normal { mean: 0.0, std: 0.02 }, device)?,
        })
    }
}

impl NormKind {
    fn init(self, channels: usize, device: &Device) -> Result<Norm> {
        match self {
            NormKind::Layer => {
                let config = ChannelNormConfig { bias: false, ..ChannelNormConfig::new(channels) };
                Ok(Norm::Layer(config.init(device)?))
            }
            NormKind::Batch => Ok(Norm::Batch(BatchNormConfig::new(channels).init(device)?)),
        }
    }
}

impl Norm {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Norm::Layer(norm) => norm.forward(x),
            Norm::Batch(norm) => norm.forward(x),
        }
    }

    fn describe(&self, trace: &mut Trace, x: &Signal) -> Signal {
        match self {
            Norm::Layer(norm) => norm.describe(trace, "norm", x),
            Norm::Batch(norm) => trace.batch_norm("norm", norm, x),
        }
    }
}

impl DownSampler {
    fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        let depthwise = square([inputs; 2], 3, 1).with_groups(inputs).with_stride([2; 2]);
        let pointwise = square([inputs, outputs], 1, 1);
        DownSampler { depthwise: conv(depthwise, device), pointwise: conv(pointwise, device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.pointwise.forward(self.depthwise.forward(x))
    }

    fn describe(&self, trace: &mut Trace, x: &Signal) -> Signal {
        let x = trace.conv2d("depthwise", &self.depthwise, x);
        trace.conv2d("pointwise", &self.pointwise, &x)
    }
}

impl PolyConv {
    fn new(width: usize, inside: usize, looks_far: bool, norm: NormKind, device: &Device) -> Result<Self> {
        let depthwise = |kernel, step| conv(square([inside; 2], kernel, step).with_groups(inside), device);
        Ok(PolyConv {
            widen: conv(square([width, inside], 1, 1), device),
            far: if looks_far { depthwise(5, 2) } else { depthwise(3, 1) },
            near: depthwise(3, 1),
            mix: depthwise(3, 1),
            narrow: conv(square([inside, width], 1, 1), device),
            norm: norm.init(width, device)?,
        })
    }

    /// # Shapes
    /// - input, output: `[n, width, height, width of the picture]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let u = self.widen.forward(x);
        let product = self.far.forward(u.clone()) * self.near.forward(u).flip([1]);
        self.norm.forward(self.narrow.forward(self.mix.forward(product)))
    }
}

impl Describe for PolyConv {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let u = trace.conv2d("widen", &self.widen, &x);
        let far = trace.conv2d("far", &self.far, &u);
        let near = trace.conv2d("near", &self.near, &u);
        let near = trace.relocate("flip", &[&near], near.shape());
        let product = trace.product("product", &far, &near);
        let y = trace.conv2d("mix", &self.mix, &product);
        let y = trace.conv2d("narrow", &self.narrow, &y);
        self.norm.describe(trace, &y)
    }
}

impl PolyMlp {
    fn new(width: usize, inside: usize, norm: NormKind, device: &Device) -> Result<Self> {
        Ok(PolyMlp {
            widen: conv(square([width, inside], 1, 1), device),
            norm: norm.init(inside / 2, device)?,
            narrow: conv(square([inside / 2, width], 1, 1), device),
        })
    }

    /// # Shapes
    /// - input, output: `[n, width, height, width of the picture]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.narrow.forward(self.norm.forward(simple_gate(self.widen.forward(x))))
    }
}

impl Describe for PolyMlp {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let u = trace.conv2d("widen", &self.widen, &x);
        let product = describe_gate(trace, &u);
        let y = self.norm.describe(trace, &product);
        trace.conv2d("narrow", &self.narrow, &y)
    }
}

impl Cell {
    fn new(
        from: Option<usize>,
        stage: &PolyStage,
        nodes: usize,
        looks_far: bool,
        norm: NormKind,
        device: &Device,
    ) -> Result<Self> {
        let PolyStage { width, conv, mlp, .. } = *stage;
        let ones = || Initializer::Ones.init([width], device);
        Ok(Cell {
            down: from.map(|inputs| [(); 2].map(|()| DownSampler::new(inputs, width, device))),
            older: ones(),
            newer: ones(),
            norm: norm.init(width, device)?,
            scales: Initializer::Zeros.init([nodes], device),
            convs: (0..nodes / 2)
                .map(|_| PolyConv::new(width, conv, looks_far, norm, device))
                .collect::<Result<_>>()?,
            mlps: (0..nodes / 2).map(|_| PolyMlp::new(width, mlp, norm, device)).collect::<Result<_>>()?,
        })
    }

    /// From the two outputs before to the two that the next cell sees: the newer of them, made as small as the cell's
    /// own, and the cell's own.
    fn forward(&self, [older, newer]: [Tensor<4>; 2]) -> [Tensor<4>; 2] {
        let [older, newer] = match &self.down {
            Some([first, second]) => [first.forward(older), second.forward(newer)],
            None => [older, newer],
        };
        let mut x = older * per_channel(&self.older) + newer.clone() * per_channel(&self.newer);
        x = self.norm.forward(x);
        let scales = sigmoid(self.scales.val()).reshape([-1, 1, 1, 1]);
        let scale = |node| scales.clone().narrow(0, node, 1);
        for (index, (conv, mlp)) in self.convs.iter().zip(&self.mlps).enumerate() {
            x = x.clone() + conv.forward(x) * scale(2 * index);
            x = x.clone() + mlp.forward(x) * scale(2 * index + 1);
        }
        [newer, x]
    }

    fn describe(&self, trace: &mut Trace, [older, newer]: [Signal; 2]) -> [Signal; 2] {
        let [older, newer] = match &self.down {
            Some([first, second]) => [
                trace.within("down.0", |trace| first.describe(trace, &older)),
                trace.within("down.1", |trace| second.describe(trace, &newer)),
            ],
            None => [older, newer],
        };
        let width = self.older.shape().num_elements();
        let scaled = [trace.scale("older", width, &older), trace.scale("newer", width, &newer)];
        let x = trace.sum("inputs", &scaled[0], &scaled[1]);
        let mut x = self.norm.describe(trace, &x);
        let mut add = |trace: &mut Trace, name: String, node: &dyn Describe| {
            let y = trace.within(name.as_str(), |trace| node.describe(trace, x.clone()));
            let y = trace.scale("scale", 1, &y);
            x = trace.sum("residual", &y, &x);
        };
        for (index, (conv, mlp)) in self.convs.iter().zip(&self.mlps).enumerate() {
            add(trace, format!("convs.{index}"), conv);
            add(trace, format!("mlps.{index}"), mlp);
        }
        [newer, x]
    }
}

impl PolyNext {
    /// A vector for each picture, before the head: the mean over pixels of `l + l ∘ r`.
    ///
    /// # Shapes
    /// - input: `[n, 3, height, width]`
    /// - output: `[n, features]`
    pub fn features(&self, input: Tensor<4>) -> Tensor<2> {
        let stem = self.stem.forward(input);
        let [_, x] = self.cells.iter().fold([stem.clone(), stem], |two, cell| cell.forward(two));
        let wide = self.widen.forward(self.norm.forward(x));
        let left = wide.clone().narrow(1, 0, self.width());
        mean_pixel(left + simple_gate(wide)).flatten(1, 3)
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
        self.widen.weight.shape()[0] / 2
    }
}

impl Describe for PolyNext {
    fn describe(&self, trace: &mut Trace, input: Signal) -> Signal {
        let stem = trace.conv2d("stem", &self.stem, &input);
        let mut two = [stem.clone(), stem];
        for (index, cell) in self.cells.iter().enumerate() {
            two = trace.within(format!("cells.{index}"), |trace| cell.describe(trace, two));
        }
        let x = self.norm.describe(trace, &two[1]);
        let wide = trace.conv2d("widen", &self.widen, &x);
        let gated = describe_gate(trace, &wide);
        let sum = trace.sum("sum", &gated, &wide.view(gated.shape()));
        let x = trace.mean("mean", &sum, &[self.width()]);
        match &self.head {
            Some(head) => trace.linear("head", head, &x),
            None => x,
        }
    }
}

#[cfg(test)]
mod tests;
