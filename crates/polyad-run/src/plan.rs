//! A network as a list of steps over values, each value in one of few buffers.
//!
//! Sizes of pictures are not part of a plan: they are followed through the steps at each run, which costs nothing
//! beside the arithmetic.

use crate::error::{Error, Result};
use crate::packed::Packed;
use polyad_simd::LANES;
use polyad_simd::conv::{Combine, Cut, Map, Window};

/// The number of a value: 0 is what a plan is given, the last is what it gives.
pub type Id = usize;

/// A value of the output's size, and what is done with it at a layer's end.
pub type Operand = (Id, Combine);

/// Zeros around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// So many on each side.
    Fixed(usize),
    /// TensorFlow's "same".
    Same,
}

/// Pixels that TensorFlow's "same" padding gives a convolution over `size` of them, and the padding before and after.
pub fn same(size: usize, kernel: usize, stride: usize) -> (usize, [usize; 2]) {
    let count = size.div_ceil(stride);
    let padding = (count.saturating_sub(1) * stride + kernel).saturating_sub(size);
    (count, [padding / 2, padding - padding / 2])
}

/// How a window moves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slide {
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
    pub fn border(&self) -> usize {
        match self.padding {
            Padding::Fixed(padding) => padding,
            Padding::Same => self.kernel[0].max(self.kernel[1]) / 2,
        }
    }
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Layer {
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

impl Layer {
    /// What is combined with the sums.
    pub fn second(&self) -> Option<Operand> {
        match self {
            Layer::Convolution { second, .. } | Layer::Depthwise { second, .. } => *second,
            _ => None,
        }
    }
}

/// Numbers of one image that a value may have: addresses of bytes, and room for a group of images.
const MOST_NUMBERS: u64 = (isize::MAX as u64) / 64;

/// Numbers of a map, however many.
fn numbers(map: &Map) -> u64 {
    let side = |size: usize| size as u64 + 2 * map.border as u64;
    [side(map.height), side(map.width), map.lanes as u64].into_iter().fold(map.blocks as u64, u64::saturating_mul)
}

/// One step.
#[derive(Debug)]
pub(crate) struct Step {
    pub layer: Layer,
    pub input: Id,
    pub output: Id,
}

/// Where a value lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the caller's input.
    Given,
    /// In a buffer of the workspace.
    Buffer(usize),
    /// In the caller's output.
    Result,
}

/// What is known of a value before its size is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub channels: usize,
    /// 16, or the channels of a picture.
    pub lanes: usize,
    pub border: usize,
    pub place: Place,
}

/// A network, or a part of one, ready to run.
#[derive(Debug)]
pub struct Plan {
    pub(crate) values: Vec<Value>,
    pub(crate) steps: Vec<Step>,
    pub(crate) buffers: usize,
}

impl Plan {
    /// The same plan, whose convolutions of whole blocks of channels multiply numbers rounded to bfloat16. Depthwise
    /// ones, which wait for memory, and the first, whose three channels make no pairs, stay as they are.
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

    /// Where a value lives.
    pub(crate) fn place(&self, id: Id) -> Place {
        self.values[id].place
    }

    /// Channels of the result.
    pub fn outputs(&self) -> usize {
        self.values[self.values.len() - 1].channels
    }

    /// Whether it is given planar pictures.
    pub fn is_of_pictures(&self) -> bool {
        matches!(self.steps.first(), Some(Step { layer: Layer::Interleave, .. }))
    }

    /// Channels of what it is given.
    pub fn inputs(&self) -> usize {
        self.values[0].channels
    }

    /// The maps of all values of one image of this size. Sizes that a window does not fit into are refused, and those
    /// at which two operands differ in size.
    pub(crate) fn maps(&self, size: [usize; 2]) -> Result<Vec<Map>> {
        let [rows, pixels] = size;
        let refuse = |why: &str| Err(Error::Pictures(format!("pictures of {rows} x {pixels} pixels {why}")));
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
            let Some(size_out) = size_out else { return refuse("vanish on the way") };
            if let Some((id, _)) = step.layer.second()
                && [maps[id].height, maps[id].width] != size_out
            {
                return refuse("become operands of two sizes");
            }
            maps.push(self.map(step.output, size_out));
        }
        match maps.iter().find(|map| numbers(map) > MOST_NUMBERS) {
            Some(_) => refuse("are more than memory has addresses for"),
            None => Ok(maps),
        }
    }

    fn map(&self, id: Id, [height, width]: [usize; 2]) -> Map {
        let Value { channels, lanes, border, .. } = self.values[id];
        Map { images: 1, blocks: channels.div_ceil(lanes), height, width, border, lanes }
    }
}
