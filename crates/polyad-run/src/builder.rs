//! Plans, made step by step, and the checks that each step fits what it reads.

use crate::error::{Result, unfit};
use crate::packed::Packed;
use crate::plan::{Id, Layer, Operand, Padding, Place, Plan, Slide, Step, Value};
use polyad_simd::LANES;
use polyad_simd::conv::Cut;

/// The largest kernel, stride and pooled side: far beyond any network's, and far below what sizes overflow at.
const LARGEST: usize = 64;

/// Makes a [`Plan`], step by step. Each method adds a step and gives the number of its value.
///
/// # Errors
/// All methods refuse values that there are not, other channels than a value has, and windows that cannot be.
pub struct Builder {
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

    /// Channels of a block of a value: what weights for it are packed by.
    pub fn lanes(&self, id: Id) -> Result<usize> {
        self.value(id).map(|value| value.lanes)
    }

    /// Channels of a value.
    pub fn channels(&self, id: Id) -> Result<usize> {
        self.value(id).map(|value| value.channels)
    }

    /// A convolution with square stride.
    pub fn convolution(
        &mut self,
        input: Id,
        packed: Packed,
        (stride, padding): (usize, Padding),
        second: Option<Operand>,
        cut: Cut,
    ) -> Result<Id> {
        let Value { channels, lanes, .. } = self.value(input)?;
        if (packed.inputs, packed.lanes) != (channels, lanes) {
            return unfit(format!(
                "weights for {} channels by {}, where there are {channels} by {lanes}",
                packed.inputs, packed.lanes
            ));
        }
        let slide = Slide { kernel: packed.kernel, stride, padding };
        self.check(input, slide, second, packed.outputs)?;
        let outputs = packed.outputs;
        Ok(self.add(Layer::Convolution { packed, slide, second, cut }, input, outputs))
    }

    /// A depthwise convolution with square stride.
    pub fn depthwise(
        &mut self,
        input: Id,
        packed: Packed<Vec<f32>>,
        (stride, padding): (usize, Padding),
        second: Option<Operand>,
        cut: Cut,
    ) -> Result<Id> {
        self.check_blocks(input)?;
        let (found, outputs) = (self.value(input)?.channels, packed.outputs);
        if outputs != found {
            return unfit(format!("depthwise weights for {outputs} channels, where there are {found}"));
        }
        let slide = Slide { kernel: packed.kernel, stride, padding };
        self.check(input, slide, second, outputs)?;
        Ok(self.add(Layer::Depthwise { packed, slide, second, cut }, input, outputs))
    }

    /// The greatest of each window.
    pub fn max_pool(&mut self, input: Id, kernel: usize, stride: usize, padding: usize) -> Result<Id> {
        let slide = Slide { kernel: [kernel; 2], stride, padding: Padding::Fixed(padding) };
        let channels = self.value(input)?.channels;
        self.check_blocks(input)?;
        self.check(input, slide, None, channels)?;
        Ok(self.add(Layer::MaxPool(slide), input, channels))
    }

    /// A map of `side` × `side` means.
    pub fn mean_pool(&mut self, input: Id, side: usize) -> Result<Id> {
        let channels = self.value(input)?.channels;
        self.check_blocks(input)?;
        if !(1..=LARGEST).contains(&side) {
            return unfit(format!("{side} x {side} means; there can be 1 to {LARGEST} a side"));
        }
        Ok(self.add(Layer::MeanPool { side }, input, channels))
    }

    fn value(&self, id: Id) -> Result<Value> {
        match self.values.get(id) {
            // Planar pictures are for the step alone that makes the next value of them.
            Some(_) if id == 0 && matches!(self.steps.first(), Some(Step { layer: Layer::Interleave, .. })) => {
                unfit("a layer of planar pictures, which are value 0")
            }
            Some(value) => Ok(*value),
            None => unfit(format!("a layer of value {id}, where there are {}", self.values.len())),
        }
    }

    /// Refuses pictures, whose channels are no block, where kernels want blocks.
    fn check_blocks(&self, id: Id) -> Result<()> {
        match self.value(id)?.lanes {
            LANES => Ok(()),
            lanes => unfit(format!("blocks of {lanes} channels, where the layer takes those of {LANES}")),
        }
    }

    /// Refuses windows that cannot be, and second operands that are not like the output.
    fn check(&self, input: Id, slide: Slide, second: Option<Operand>, outputs: usize) -> Result<()> {
        let Slide { kernel: [rows, columns], stride, padding } = slide;
        if [rows, columns, stride].iter().any(|size| !(1..=LARGEST).contains(size)) {
            return unfit(format!("a window of {rows} x {columns} by steps of {stride}; each can be 1 to {LARGEST}"));
        }
        if let Padding::Fixed(padding) = padding
            && padding >= rows.min(columns)
        {
            return unfit(format!(
                "a padding of {padding} for a window of {rows} x {columns}, which would see nothing"
            ));
        }
        if input == 0 && slide.border() > 0 {
            return unfit(format!("a padding of {} around what a plan is given", slide.border()));
        }
        if outputs == 0 {
            return unfit("a layer of 0 channels");
        }
        let Some((id, _)) = second else { return Ok(()) };
        self.check_blocks(id)?;
        let channels = self.value(id)?.channels;
        if channels != outputs {
            return unfit(format!("{outputs} channels combined with {channels}"));
        }
        Ok(())
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
    pub fn finish(mut self) -> Result<Plan> {
        if !self.steps.iter().any(|step| !matches!(step.layer, Layer::Interleave)) {
            return unfit("a network without layers");
        }
        let reads = |step: &Step| [Some(step.input), step.layer.second().map(|(id, _)| id)];
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
        Ok(Plan { values: self.values, steps: self.steps, buffers })
    }
}
