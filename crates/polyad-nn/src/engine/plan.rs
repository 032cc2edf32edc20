//! A network as a list of steps over values, each value in one of few buffers.
//!
//! Sizes of pictures are not part of a plan: they are followed through the steps at each run, which costs nothing beside
//! the arithmetic.

use super::fold::{self, Packed};
use crate::backbone::efficientnet::same;
use crate::error::{Error, Result};
use crate::norm::BatchNorm;
use burn::module::Param;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use polyad_simd::LANES;
use polyad_simd::conv::{Combine, Cut, Map, Window};

/// The number of a value: 0 is what a plan is given, the last is what it gives.
pub(super) type Id = usize;

/// A value of the output's size, and what is done with it at a layer's end.
pub(super) type Operand = (Id, Combine);

/// Zeros around an image.
#[derive(Debug, Clone, Copy)]
pub(super) enum Padding {
    /// So many on each side.
    Fixed(usize),
    /// TensorFlow's "same".
    Same,
}

/// How a window moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slide {
    pub kernel: [usize; 2],
    pub stride: usize,
    pub padding: Padding,
}

impl Slide {
    /// Output pixels along an axis, and the padding before the first; `None` where the window does not fit.
    fn along(&self, axis: usize, size: usize) -> Option<(usize, usize)> {
        match self.padding {
            Padding::Fixed(padding) => {
                let free = (size + 2 * padding).checked_sub(self.kernel[axis])?;
                Some((free / self.stride + 1, padding))
            }
            Padding::Same => {
                let (count, [before, _]) = same(size, self.kernel[axis], self.stride);
                (count > 0).then_some((count, before))
            }
        }
    }

    /// The window over a picture of this size.
    pub fn window(&self, [height, width]: [usize; 2]) -> Window {
        let before = |axis, size| self.along(axis, size).map_or(0, |(_, before)| before);
        Window { kernel: self.kernel, stride: self.stride, before: [before(0, height), before(1, width)] }
    }

    /// The most zeros on one side.
    fn border(&self) -> usize {
        match self.padding {
            Padding::Fixed(padding) => padding,
            Padding::Same => self.kernel[0].max(self.kernel[1]) / 2,
        }
    }
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Layer {
    /// Brings the channels of planar pictures together.
    Interleave,
    /// `cut(convolution ∘ second)`; a linear layer is one whose kernel is the map.
    Convolution { packed: Packed, slide: Slide, second: Option<Operand>, cut: Cut },
    /// `cut(convolution ∘ second)`, each channel alone.
    Depthwise { packed: Packed<Vec<f32>>, slide: Slide, second: Option<Operand>, cut: Cut },
    /// The greatest of each window.
    MaxPool(Slide),
    /// Means of a fixed number of windows, rows and columns alike.
    MeanPool { side: usize },
}

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    pub layer: Layer,
    pub input: Id,
    pub output: Id,
}

/// Where a value lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the caller's input.
    Given,
    /// In a buffer of the workspace.
    Buffer(usize),
    /// In the caller's output.
    Result,
}

/// What is known of a value before its size is.
#[derive(Debug, Clone, Copy)]
struct Value {
    channels: usize,
    /// 16, or the channels of a picture.
    lanes: usize,
    border: usize,
    place: Place,
}

/// A network, or a part of one, ready to run.
#[derive(Debug)]
pub(super) struct Plan {
    values: Vec<Value>,
    steps: Vec<Step>,
    buffers: usize,
}

impl Plan {
    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The same plan, whose convolutions of whole blocks of channels multiply numbers rounded to bfloat16. Depthwise ones, which
    /// wait for memory, and the first, whose three channels make no pairs, stay as they are.
    pub fn rounded(mut self) -> Self {
        for step in &mut self.steps {
            if let Layer::Convolution { packed, .. } = &mut step.layer
                && self.values[step.input].lanes == LANES
            {
                packed.weights.round();
            }
        }
        self
    }

    /// Buffers that a run needs.
    pub fn buffers(&self) -> usize {
        self.buffers
    }

    /// Where a value lives.
    pub fn place(&self, id: Id) -> Place {
        self.values[id].place
    }

    /// Channels of the result.
    pub fn outputs(&self) -> usize {
        self.values[self.values.len() - 1].channels
    }

    /// The maps of all values of one image of this size. Sizes that a window does not fit into are refused.
    pub fn maps(&self, size: [usize; 2]) -> Result<Vec<Map>> {
        let mut maps = vec![self.map(0, size)];
        for step in &self.steps {
            let [height, width] = [maps[step.input].height, maps[step.input].width];
            let size_out = match &step.layer {
                Layer::Interleave => Some([height, width]),
                Layer::Convolution { slide, .. } | Layer::Depthwise { slide, .. } | Layer::MaxPool(slide) => {
                    slide.along(0, height).zip(slide.along(1, width)).map(|((rows, _), (pixels, _))| [rows, pixels])
                }
                Layer::MeanPool { side } => (height > 0 && width > 0).then_some([*side, *side]),
            };
            let Some(size_out) = size_out else {
                let [rows, pixels] = size;
                return Err(Error::config("engine", format!("pictures of {rows} x {pixels} pixels vanish on the way")));
            };
            maps.push(self.map(step.output, size_out));
        }
        Ok(maps)
    }

    fn map(&self, id: Id, [height, width]: [usize; 2]) -> Map {
        let Value { channels, lanes, border, .. } = self.values[id];
        Map { images: 1, blocks: channels.div_ceil(lanes), height, width, border, lanes }
    }
}

/// Makes a [`Plan`], step by step. Each method adds a step and gives the number of its value.
pub(super) struct Builder {
    values: Vec<Value>,
    steps: Vec<Step>,
}

impl Builder {
    /// A plan that is given maps of blocks of channels.
    pub fn of_maps(channels: usize) -> Self {
        let given = Value { channels, lanes: LANES, border: 0, place: Place::Given };
        Builder { values: vec![given], steps: Vec::new() }
    }

    /// A plan that is given planar pictures, and their value with the channels of a pixel together: a picture's few
    /// channels would leave most of a block empty.
    pub fn of_pictures(channels: usize) -> (Self, Id) {
        let mut builder = Self::of_maps(channels);
        let picture = builder.add(Layer::Interleave, 0, channels);
        builder.values[picture].lanes = channels;
        (builder, picture)
    }

    /// A convolution with square stride. A norm is folded into it.
    #[allow(clippy::too_many_arguments, reason = "each is a part of a layer's definition, and the callers name them")]
    pub fn convolution(
        &mut self,
        input: Id,
        weight: &Param<Tensor<4>>,
        bias: Option<&Param<Tensor<1>>>,
        norm: Option<&BatchNorm>,
        (stride, padding): (usize, Padding),
        second: Option<Operand>,
        cut: Cut,
    ) -> Result<Id> {
        let packed = fold::convolution(weight, bias, norm, self.values[input].lanes)?;
        let (outputs, slide) = (packed.outputs, Slide { kernel: packed.kernel, stride, padding });
        Ok(self.add(Layer::Convolution { packed, slide, second, cut }, input, outputs))
    }

    /// A depthwise convolution. A norm is folded into it.
    pub fn depthwise(
        &mut self,
        input: Id,
        conv: &Conv2d,
        norm: Option<&BatchNorm>,
        padding: Padding,
        second: Option<Operand>,
        cut: Cut,
    ) -> Result<Id> {
        let packed = fold::depthwise(conv, norm)?;
        let slide = Slide { kernel: packed.kernel, stride: conv.stride[0], padding };
        let outputs = packed.outputs;
        Ok(self.add(Layer::Depthwise { packed, slide, second, cut }, input, outputs))
    }

    /// A batch norm of its own: a depthwise convolution of single pixels by ones, with the norm folded in.
    pub fn affine(&mut self, input: Id, norm: &BatchNorm) -> Result<Id> {
        let packed = fold::affine(norm)?;
        let slide = Slide { kernel: packed.kernel, stride: 1, padding: Padding::Fixed(0) };
        let outputs = packed.outputs;
        Ok(self.add(Layer::Depthwise { packed, slide, second: None, cut: Cut::NONE }, input, outputs))
    }

    /// A linear layer over maps of `side` × `side`.
    pub fn linear(&mut self, input: Id, linear: &Linear, side: usize, cut: Cut) -> Result<Id> {
        let packed = fold::linear(linear, side)?;
        let slide = Slide { kernel: packed.kernel, stride: 1, padding: Padding::Fixed(0) };
        let outputs = packed.outputs;
        Ok(self.add(Layer::Convolution { packed, slide, second: None, cut }, input, outputs))
    }

    /// The greatest of each window.
    pub fn max_pool(&mut self, input: Id, kernel: usize, stride: usize, padding: usize) -> Id {
        let slide = Slide { kernel: [kernel; 2], stride, padding: Padding::Fixed(padding) };
        self.add(Layer::MaxPool(slide), input, self.values[input].channels)
    }

    /// A map of `side` × `side` means.
    pub fn mean_pool(&mut self, input: Id, side: usize) -> Id {
        self.add(Layer::MeanPool { side }, input, self.values[input].channels)
    }

    fn add(&mut self, layer: Layer, input: Id, channels: usize) -> Id {
        if let Layer::Convolution { slide, .. } | Layer::Depthwise { slide, .. } = &layer {
            let border = &mut self.values[input].border;
            *border = slide.border().max(*border);
        }
        let output = self.values.len();
        self.values.push(Value { channels, lanes: LANES, border: 0, place: Place::Result });
        self.steps.push(Step { layer, input, output });
        output
    }

    /// The plan whose result is the last value. Buffers are taken again once no later step reads them.
    pub fn finish(mut self) -> Plan {
        let reads = |step: &Step| match step.layer {
            Layer::Convolution { second, .. } | Layer::Depthwise { second, .. } => {
                [Some(step.input), second.map(|(id, _)| id)]
            }
            _ => [Some(step.input), None],
        };
        let mut last_read = vec![0; self.values.len()];
        for (index, step) in self.steps.iter().enumerate() {
            reads(step).into_iter().flatten().for_each(|id| last_read[id] = index);
        }
        let (mut buffers, mut free) = (0, Vec::new());
        let inner = self.steps.len().saturating_sub(1);
        for (index, step) in self.steps[..inner].iter().enumerate() {
            let buffer = free.pop().unwrap_or_else(|| {
                buffers += 1;
                buffers - 1
            });
            self.values[step.output].place = Place::Buffer(buffer);
            for id in reads(step).into_iter().flatten().filter(|id| last_read[*id] == index) {
                if let Place::Buffer(buffer) = self.values[id].place
                    && !free.contains(&buffer)
                {
                    free.push(buffer);
                }
            }
        }
        Plan { values: self.values, steps: self.steps, buffers }
    }
}
