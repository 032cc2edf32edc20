//! A small U-shaped network that improves a fill of a picture's holes, of gated convolutions (Yu et al., arXiv
//! 1806.03589) or partial ones (Liu et al., arXiv 1804.07723).
//!
//! Far smaller than theirs, to be trained on a processor: the holes come filled, by the harmonic function say, and what
//! is learnt is what to add. Neither has a norm. Skips are added, not concatenated, which halves the widest layers. At
//! full size there are the first layer and the last alone: 10 of the 58 million multiply-adds of a picture of 96².

use super::convolution::{GatedConv, GatedConvConfig, PartialConv, PartialConvConfig};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions, PadMode};
use burn::tensor::{Device, Tensor};

/// Of which convolutions an [`Inpainting`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ELU and a learnt gate: sees the fill, and learns where to believe it.
    Gated,
    /// ReLU and a mask: sees known pixels alone; only the last convolution sees the fill.
    Partial,
}

/// How an [`Inpainting`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InpaintingConfig {
    /// Channels at full size; twice, four and from there on six times as many at each halving.
    pub width: usize,
    /// How often the picture is halved, at most 8.
    pub depth: usize,
    /// Gated or partial.
    pub kind: Kind,
}

impl Default for InpaintingConfig {
    /// 148,898 parameters.
    fn default() -> Self {
        InpaintingConfig { width: 8, depth: 3, kind: Kind::Gated }
    }
}

/// `y = x + hole ∘ r(x, hole)`: known pixels stay as they are.
///
/// Down: `f_0 = first(x, hole, 1)`, `f_l = down_l(f_{l−1})`. At the bottom `f ← f + context(f)`, dilated. Up:
/// `g_l = merge_l(f_l + enlarged(narrow_l g_{l+1}))`, merge_0 the identity. `r = last(g_0, x, hole, 1)`, which begins
/// at zero, so that a new network gives back the fill.
#[derive(Module, Debug)]
pub struct Inpainting {
    /// 3 × 3, from picture, hole and ones.
    pub first: Layer,
    /// 3 × 3, stride 2, from full size down.
    pub down: Vec<Layer>,
    /// 3 × 3, dilated.
    pub context: Vec<Layer>,
    /// From the smallest size up.
    pub up: Vec<Up>,
    /// 3 × 3, plain, to the residual.
    pub last: Conv2d,
}

/// A layer of either kind.
#[derive(Module, Debug)]
pub enum Layer {
    /// See [`Kind::Gated`].
    Gated(GatedConv),
    /// See [`Kind::Partial`]; ReLU is behind it.
    Partial(PartialConv),
}

/// What joins a small map to one of twice its size.
#[derive(Module, Debug)]
pub struct Up {
    /// 1 × 1, without bias, to the larger map's channels.
    pub narrow: Conv2d,
    /// 3 × 3; `None` at full size.
    pub merge: Option<Layer>,
}

/// Channels of the input: red, green, blue, hole, and ones, by which a layer tells the picture from the zeros around
/// it.
const INPUTS: usize = 5;
/// Dilations at the bottom. With three halvings a number there sees 17 pixels across, and behind these 113: the
/// middle of a hole of 64 sees beyond its rim.
const CONTEXT: [usize; 2] = [2, 4];
/// How many times `width` a map has channels at most: 8 would add half of the network's parameters, all to its
/// smallest map.
const WIDEST: usize = 6;

/// A map, and for partial convolutions where it is known.
#[derive(Clone)]
struct Map {
    x: Tensor<4>,
    known: Option<Tensor<4>>,
}

impl InpaintingConfig {
    /// Makes the network. Sizes of zero and more than 8 halvings are refused.
    pub fn init(&self, device: &Device) -> Result<Inpainting> {
        let InpaintingConfig { width, depth, kind } = *self;
        nonzero("inpainting", &[("width", width), ("depth", depth)])?;
        if depth > 8 {
            return Err(Error::config("inpainting", format!("depth is {depth}, at most 8")));
        }
        if width > usize::MAX / (2 * WIDEST) {
            return Err(Error::config("inpainting", format!("width is {width}")));
        }
        let channels = |level: usize| width * (1 << level).min(WIDEST);
        let layer = |channels, stride, dilation| Layer::new(kind, channels, stride, dilation, device);
        let bottom = channels(depth);
        let zeros = PaddingConfig2d::Explicit(1, 1, 1, 1);
        let up = |level: usize| {
            let [small, large] = [channels(level + 1), channels(level)];
            let narrow = Conv2dConfig::new([small, large], [1, 1]).with_bias(false).init(device);
            let merge = if level > 0 { Some(layer([large, large], 1, 1)?) } else { None };
            Ok(Up { narrow, merge })
        };
        Ok(Inpainting {
            first: layer([INPUTS, width], 1, 1)?,
            down: (0..depth).map(|level| layer([channels(level), channels(level + 1)], 2, 1)).collect::<Result<_>>()?,
            context: CONTEXT.iter().map(|dilation| layer([bottom, bottom], 1, *dilation)).collect::<Result<_>>()?,
            up: (0..depth).rev().map(up).collect::<Result<_>>()?,
            last: Conv2dConfig::new([width + INPUTS, 3], [3, 3])
                .with_padding(zeros)
                .with_initializer(Initializer::Zeros)
                .init(device),
        })
    }
}

impl Layer {
    fn new(kind: Kind, channels: [usize; 2], stride: usize, dilation: usize, device: &Device) -> Result<Self> {
        Ok(match kind {
            Kind::Gated => {
                Layer::Gated(GatedConvConfig { stride, dilation, ..GatedConvConfig::new(channels, 3) }.init(device)?)
            }
            Kind::Partial => Layer::Partial(
                PartialConvConfig { stride, dilation, ..PartialConvConfig::new(channels, 3) }.init(device)?,
            ),
        })
    }

    fn forward(&self, map: Map) -> Map {
        match (self, map.known) {
            (Layer::Partial(layer), Some(known)) => {
                let (x, known) = layer.forward(map.x, known);
                Map { x: relu(x), known: Some(known) }
            }
            (Layer::Gated(layer), known) => Map { x: layer.forward(map.x), known },
            (Layer::Partial(_), None) => unreachable!("the maps of partial layers say where they are known"),
        }
    }

    fn describe(&self, trace: &mut Trace, name: &str, x: &Signal, known: &Signal) -> (Signal, Signal) {
        trace.within(name, |trace| match self {
            Layer::Gated(layer) => (layer.describe(trace, x.clone()), known.clone()),
            Layer::Partial(layer) => {
                let (x, known) = layer.describe(trace, x, known);
                (trace.activation("relu", 0, &x), known)
            }
        })
    }
}

/// Each pixel four times.
fn enlarged(x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * height, 2 * width]))
}

impl Up {
    fn forward(&self, small: Map, large: Map) -> Map {
        let x = large.x + enlarged(self.narrow.forward(small.x));
        let known = large.known.zip(small.known).map(|(large, small)| large.max_pair(enlarged(small)));
        let map = Map { x, known };
        match &self.merge {
            Some(layer) => layer.forward(map),
            None => map,
        }
    }
}

impl Inpainting {
    /// The picture, its holes changed.
    ///
    /// Any size will do: what lacks to a multiple of `2^depth` is repeated from the border, and cut off again.
    ///
    /// # Shapes
    /// - picture: `[n, 3, height, width]`, of numbers about 0 to 1, its holes filled
    /// - hole: `[n, 1, height, width]`, 1 where the picture is not known, else 0
    /// - output: `[n, 3, height, width]`
    pub fn forward(&self, picture: Tensor<4>, hole: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = picture.dims();
        let lacking = [height, width].map(|size| (0, self.padded(size) - size));
        let pad = |x: Tensor<4>| if lacking == [(0, 0); 2] { x } else { x.pad(lacking, PadMode::Edge) };
        let residual = self.residual(pad(picture.clone()), pad(hole.clone()));
        picture + hole * residual.narrow(2, 0, height).narrow(3, 0, width)
    }

    fn padded(&self, size: usize) -> usize {
        size.next_multiple_of(1 << self.down.len())
    }

    /// For sizes that are multiples of `2^depth`.
    fn residual(&self, picture: Tensor<4>, hole: Tensor<4>) -> Tensor<4> {
        let input = Tensor::cat(vec![picture, hole.clone(), hole.ones_like()], 1);
        let known = matches!(self.first, Layer::Partial(_)).then(|| hole.neg().add_scalar(1.0));
        let mut map = self.first.forward(Map { x: input.clone(), known });
        let mut larger = Vec::new();
        for down in &self.down {
            larger.push(map.clone());
            map = down.forward(map);
        }
        for context in &self.context {
            let more = context.forward(map.clone());
            map = Map { x: map.x + more.x, known: more.known };
        }
        for (up, large) in self.up.iter().zip(larger.into_iter().rev()) {
            map = up.forward(map, large);
        }
        self.last.forward(Tensor::cat(vec![map.x, input], 1))
    }
}

/// The input's four channels are picture and hole.
impl Describe for Inpainting {
    fn describe(&self, trace: &mut Trace, input: Signal) -> Signal {
        let [height, width] = [input.shape()[1], input.shape()[2]];
        let size = [self.padded(height), self.padded(width)];
        let cat = trace.relocate("input", &[&input], &[INPUTS, size[0], size[1]]);
        let hole = cat.view(&[1, size[0], size[1]]);
        let known = match self.first {
            Layer::Partial(_) => trace.shift("known", 0, &hole),
            Layer::Gated(_) => hole,
        };
        let mut map = self.first.describe(trace, "first", &cat, &known);
        let mut larger = Vec::new();
        for (index, down) in self.down.iter().enumerate() {
            larger.push(map.clone());
            map = down.describe(trace, &format!("down.{index}"), &map.0, &map.1);
        }
        for (index, context) in self.context.iter().enumerate() {
            let name = format!("context.{index}");
            let (more, known) = context.describe(trace, &name, &map.0, &map.1);
            map = (trace.sum("residual", &more, &map.0), known);
        }
        for (index, (up, (large, large_known))) in self.up.iter().zip(larger.iter().rev()).enumerate() {
            let small = trace.conv2d(&format!("up.{index}.narrow"), &up.narrow, &map.0);
            let small = trace.relocate("enlarged", &[&small], large.shape());
            let x = trace.sum("skip", large, &small);
            let known = match self.first {
                Layer::Partial(_) => {
                    let known = trace.relocate("enlarged", &[&map.1], large_known.shape());
                    let both = trace.relocate("both", &[&known, large_known], &[2, large.shape()[1], large.shape()[2]]);
                    trace.select("known", &both, large_known.shape())
                }
                Layer::Gated(_) => large_known.clone(),
            };
            map = match &up.merge {
                Some(layer) => layer.describe(trace, &format!("up.{index}.merge"), &x, &known),
                None => (x, known),
            };
        }
        let all = trace.relocate("all", &[&map.0, &cat], &[map.0.shape()[0] + INPUTS, size[0], size[1]]);
        let residual = trace.conv2d("last", &self.last, &all).view(&[3, height, width]);
        let change = trace.product("change", &residual, &input.view(&[1, height, width]));
        trace.sum("output", &change, &input.view(&[3, height, width]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use burn::module::Param;
    use burn::tensor::DType;

    const BOTH: [Kind; 2] = [Kind::Gated, Kind::Partial];

    fn config(kind: Kind) -> InpaintingConfig {
        InpaintingConfig { width: 2, depth: 2, kind }
    }

    /// With weights that do something, in the last layer too.
    fn net(kind: Kind, device: &Device) -> Inpainting {
        golden(config(kind).init(device).expect("sizes"))
    }

    fn holes(shape: [usize; 4], device: &Device) -> Tensor<4> {
        wave(shape, 0.31, device).greater_scalar(0.3).float().cast(DType::F64)
    }

    #[test]
    fn a_new_network_gives_back_the_fill() {
        let device = Device::flex();
        for kind in BOTH {
            let net = double(InpaintingConfig { kind, ..InpaintingConfig::default() }.init(&device).expect("sizes"));
            let picture = wave([2, 3, 13, 22], 0.7, &device);
            assert_eq!(numbers(net.forward(picture.clone(), holes([2, 1, 13, 22], &device))), numbers(picture));
        }
    }

    #[test]
    fn known_pixels_stay_and_holes_change() {
        let device = Device::flex();
        for kind in BOTH {
            let (picture, hole) = (wave([2, 3, 9, 14], 0.7, &device), holes([2, 1, 9, 14], &device));
            let out = net(kind, &device).forward(picture.clone(), hole.clone());
            let hole = numbers(hole.repeat_dim(1, 3));
            for ((before, after), hole) in numbers(picture).iter().zip(&numbers(out)).zip(hole) {
                assert_eq!(before == after, hole == 0.0, "{kind:?}: {before} became {after}, hole {hole}");
            }
        }
    }

    #[test]
    fn pictures_of_any_size_are_those_of_a_larger_one_with_its_border_repeated() {
        let device = Device::flex();
        for kind in BOTH {
            let net = net(kind, &device);
            for [height, width] in [[1, 1], [5, 3], [8, 7], [6, 12]] {
                let (picture, hole) =
                    (wave([1, 3, height, width], 0.7, &device), holes([1, 1, height, width], &device));
                let rows = (0..height.next_multiple_of(4)).map(|row| row.min(height - 1) as i64).collect::<Vec<_>>();
                let columns = (0..width.next_multiple_of(4)).map(|at| at.min(width - 1) as i64).collect::<Vec<_>>();
                let repeated = |x: Tensor<4>| {
                    let x = x.select(2, Tensor::from_data(rows.as_slice(), &device));
                    x.select(3, Tensor::from_data(columns.as_slice(), &device))
                };
                let wanted = net.forward(repeated(picture.clone()), repeated(hole.clone()));
                let got = net.forward(picture, hole);
                assert_eq!(got.dims(), [1, 3, height, width]);
                close(&numbers(got), &numbers(wanted.narrow(2, 0, height).narrow(3, 0, width)), 1e-12);
            }
        }
    }

    #[test]
    fn a_picture_does_not_know_its_batch() {
        let device = Device::flex();
        for kind in BOTH {
            let net = net(kind, &device);
            let (pictures, hole) = (wave([3, 3, 8, 11], 0.7, &device), holes([3, 1, 8, 11], &device));
            let all = net.forward(pictures.clone(), hole.clone());
            let alone = net.forward(pictures.narrow(0, 1, 1), hole.narrow(0, 1, 1));
            close(&numbers(all.narrow(0, 1, 1)), &numbers(alone), 1e-12);
        }
    }

    #[test]
    fn a_partial_network_sees_the_fill_in_its_last_layer_alone() {
        // Two fills of one picture differ in the output by what the last layer makes of their difference.
        let device = Device::flex();
        let net = net(Kind::Partial, &device);
        let (picture, hole) = (wave([1, 3, 8, 12], 0.7, &device), holes([1, 1, 8, 12], &device));
        let other = picture.clone() + wave([1, 3, 8, 12], 0.45, &device) * hole.clone();
        let residuals = [&picture, &other].map(|picture| net.residual(picture.clone(), hole.clone()));
        let zeros = Tensor::zeros([1, 2, 8, 12], (&device, DType::F64));
        let difference = Tensor::cat(vec![zeros.clone(), other - picture, zeros], 1);
        let bias = net.last.bias.as_ref().expect("a bias").val().reshape([1, 3, 1, 1]);
        let wanted = net.last.forward(difference) - bias;
        let [first, second] = residuals;
        close(&numbers(second - first), &numbers(wanted), 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for kind in BOTH {
            let hole = holes([2, 1, 7, 6], &device);
            let picture = wave([2, 3, 7, 6], 0.9, &device);
            gradients(net(kind, &device), picture, |net, picture| net.forward(picture, hole.clone()));
        }
    }

    #[test]
    fn a_step_against_the_first_gradient_makes_the_error_less() {
        // Only the last layer has a gradient at first; with it the rest gets one.
        let device = Device::flex().autodiff();
        for kind in BOTH {
            let mut net = net(kind, &device);
            net.last.weight = Param::from_tensor(net.last.weight.val().zeros_like().require_grad());
            let hole = holes([2, 1, 16, 16], &device);
            let picture = wave([2, 3, 16, 16], 0.05, &device);
            let wanted = picture.clone() + 0.3;
            let error = |net: &Inpainting| {
                let off = net.forward(picture.clone(), hole.clone()) - wanted.clone();
                (off.square() * hole.clone()).mean()
            };
            let mut errors = Vec::new();
            for _ in 0..3 {
                let loss = error(&net);
                let grads = loss.clone().backward();
                errors.push(numbers(loss)[0]);
                let step = net.last.weight.grad(&grads).expect("takes part");
                let weight = net.last.weight.val() - Tensor::from_inner(step).mul_scalar(0.05);
                net.last.weight = Param::from_tensor(weight.detach().require_grad());
                let first = match &net.first {
                    Layer::Gated(layer) => &layer.conv.weight,
                    Layer::Partial(layer) => &layer.conv.weight,
                };
                let is_moved = numbers(first.grad(&grads).expect("takes part")).iter().any(|slope| *slope != 0.0);
                assert_eq!(is_moved, errors.len() > 1, "{kind:?}, step {}", errors.len());
            }
            assert!(errors.windows(2).all(|pair| pair[1] < pair[0]), "{kind:?}: {errors:?}");
        }
    }

    #[test]
    fn the_default_is_small_enough_for_two_cores() {
        let net = InpaintingConfig::default().init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&net, &[4, 96, 96]);
        assert_eq!(audit.parameters, parameters(&net));
        // Twice the channels for feature and gate; levels of 96², 48², 24² and 12² pixels.
        let gated = |from: usize, to: usize| 9 * from * 2 * to;
        let per_level = [
            (9216, gated(5, 8) + 9 * 13 * 3),
            (2304, gated(8, 16) + gated(16, 16) + 16 * 8),
            (576, gated(16, 32) + gated(32, 32) + 32 * 16),
            (144, gated(32, 48) + 2 * gated(48, 48) + 48 * 32),
        ];
        assert_eq!(audit.multiply_adds, per_level.iter().map(|(pixels, weights)| pixels * weights).sum::<usize>());
        let biases = 2 * (8 + 16 + 16 + 32 + 32 + 48 + 48 + 48) + 3;
        assert_eq!(audit.parameters, per_level.iter().map(|(_, weights)| weights).sum::<usize>() + biases);
        assert_eq!(audit.parameters, 148_898);
        assert!(audit.multiply_adds < 60_000_000, "{}", audit.multiply_adds);
        assert!(audit.log2_degree.is_none() && !audit.activation_free);
    }

    #[test]
    fn the_audit_of_a_partial_network_counts_windows_too() {
        let net = InpaintingConfig { kind: Kind::Partial, ..InpaintingConfig::default() };
        let net = net.init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&net, &[4, 93, 90]);
        assert_eq!(audit.parameters, parameters(&net));
        let partial = |from: usize, to: usize| 9 * from * to + 9;
        let wanted = 9216 * (partial(5, 8) + 9 * 13 * 3)
            + 2304 * (partial(8, 16) + partial(16, 16) + 16 * 8)
            + 576 * (partial(16, 32) + partial(32, 32) + 32 * 16)
            + 144 * (partial(32, 48) + 2 * partial(48, 48) + 48 * 32);
        assert_eq!(audit.multiply_adds, wanted);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        for kind in BOTH {
            let (picture, hole) = (wave([1, 3, 8, 8], 0.7, &device), holes([1, 1, 8, 8], &device));
            let fresh = double(config(kind).init(&device).expect("sizes"));
            saves_and_loads(net(kind, &device), fresh, |net| net.forward(picture.clone(), hole.clone()));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |width, depth| {
            let config = InpaintingConfig { width, depth, kind: Kind::Gated };
            config.init(&Device::flex()).expect_err("refused").to_string()
        };
        assert_eq!(refused(0, 3), "inpainting: width is 0");
        assert_eq!(refused(8, 0), "inpainting: depth is 0");
        assert_eq!(refused(8, 9), "inpainting: depth is 9, at most 8");
    }
}
