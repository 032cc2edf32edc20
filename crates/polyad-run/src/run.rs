//! A plan at work on some images.

use crate::packed::Weights;
use crate::plan::{Id, Layer, Operand, Place, Plan, Slide, Step};
use polyad_simd::conv::{Depthwise, Direct, Map, Pool, Pooling, Second};
use polyad_simd::{LANES, Level, bfloat16};
use rayon::prelude::*;

/// The buffers of a run, kept for the next: fresh memory costs more than a small network's arithmetic.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    buffers: Vec<Vec<f32>>,
    /// A step's input in bfloat16.
    halves: Vec<u16>,
}

/// Numbers that are rounded to bfloat16 as one piece of work: a multiple of 16.
const ROUNDED: usize = 1 << 15;

/// How a plan is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub level: Level,
    /// Images at once.
    pub images: usize,
    /// Threads that work on one step; the bytes do not depend on it.
    pub threads: usize,
}

impl Plan {
    /// Numbers of one image's result.
    pub(crate) fn result_len(&self, maps: &[Map]) -> usize {
        maps[maps.len() - 1].len()
    }

    /// Numbers that the buffers hold for one image.
    pub(crate) fn workspace_len(&self, maps: &[Map]) -> usize {
        let mut buffers = vec![0; self.buffers];
        for (id, map) in maps.iter().enumerate() {
            if let Place::Buffer(buffer) = self.place(id) {
                buffers[buffer] = map.len().max(buffers[buffer]);
            }
        }
        buffers.into_iter().sum()
    }

    /// Runs all steps over images whose values have these `maps`, from `input` into `output`.
    pub(crate) fn run(&self, how: How, maps: &[Map], input: &[f32], output: &mut [f32], workspace: &mut Workspace) {
        workspace.buffers.resize_with(self.buffers.max(workspace.buffers.len()), Vec::new);
        let mut halves = std::mem::take(&mut workspace.halves);
        let map = |id: Id| Map { images: how.images, ..maps[id] };
        for step in &self.steps {
            let to = map(step.output);
            if let Place::Buffer(buffer) = self.place(step.output) {
                // Taken out, so that the other buffers can be read meanwhile.
                let mut numbers = std::mem::take(&mut workspace.buffers[buffer]);
                if numbers.len() < to.len() {
                    numbers.resize(to.len(), 0.0);
                }
                // What the buffer held before may have had its border elsewhere.
                to.clear_border(&mut numbers);
                self.step(step, how, &map, |id| self.read(id, input, workspace), &mut numbers, &mut halves);
                workspace.buffers[buffer] = numbers;
            } else {
                self.step(step, how, &map, |id| self.read(id, input, workspace), output, &mut halves);
            }
        }
        workspace.halves = halves;
    }

    fn read<'a>(&self, id: Id, input: &'a [f32], workspace: &'a Workspace) -> &'a [f32] {
        match self.place(id) {
            Place::Buffer(buffer) => &workspace.buffers[buffer],
            Place::Given | Place::Result => input,
        }
    }

    fn step<'a>(
        &self,
        step: &Step,
        How { level, threads, .. }: How,
        map: &impl Fn(Id) -> Map,
        read: impl Fn(Id) -> &'a [f32],
        output: &mut [f32],
        halves: &mut Vec<u16>,
    ) {
        let (input, from, to) = (read(step.input), map(step.input), map(step.output));
        let window = |slide: &Slide| slide.window([from.height, from.width]);
        let operand = |(id, how): Operand| Second { numbers: read(id), map: map(id), how };
        match &step.layer {
            Layer::Interleave => interleave(input, &to, output),
            Layer::Convolution { packed, slide, second, cut } => {
                let second = second.map(operand);
                let (window, bias, cut) = (window(slide), &packed.bias[..], *cut);
                match &packed.weights {
                    Weights::Single(weights) => {
                        let job = Direct { input, from, window, weights, bias, second, cut, to };
                        spread(job.pieces(output, threads).into_iter(), threads, |piece| piece.run(level));
                    }
                    Weights::Pairs(weights) => {
                        let len = from.len();
                        halves.resize(len.max(halves.len()), 0);
                        let pieces = input[..len].chunks(ROUNDED).zip(halves[..len].chunks_mut(ROUNDED));
                        spread(pieces, threads, |(numbers, halves)| bfloat16::round(level, numbers, halves));
                        let job = Direct { input: &halves[..], from, window, weights, bias, second, cut, to };
                        spread(job.pieces(output, threads).into_iter(), threads, |piece| piece.run(level));
                    }
                }
            }
            Layer::Depthwise { packed, slide, second, cut } => {
                let (weights, bias, second) = (&packed.weights[..], &packed.bias[..], second.map(operand));
                let job = Depthwise { input, from, window: window(slide), weights, bias, second, cut: *cut, to };
                spread(job.pieces(output), threads, |piece| piece.run(level));
            }
            Layer::MaxPool(slide) => {
                let job = Pooling { input, from, pool: Pool::Max(window(slide)), to };
                spread(job.pieces(output), threads, |piece| piece.run(level));
            }
            Layer::MeanPool { .. } => {
                let job = Pooling { input, from, pool: Pool::AdaptiveMean, to };
                spread(job.pieces(output), threads, |piece| piece.run(level));
            }
        }
    }
}

/// Does pieces of work, on one thread or on those of the pool.
fn spread<P: Send>(pieces: impl Iterator<Item = P>, threads: usize, work: impl Fn(P) + Sync + Send) {
    if threads > 1 {
        pieces.collect::<Vec<_>>().into_par_iter().for_each(work);
    } else {
        pieces.for_each(work);
    }
}

/// `[images][channels][height][width]` into a map whose lanes are the channels.
fn interleave(planar: &[f32], to: &Map, output: &mut [f32]) {
    let (pixels, width) = (to.height * to.width, to.width);
    for (image, output) in planar.chunks_exact(to.lanes * pixels).zip(output.chunks_exact_mut(to.image())) {
        for (channel, plane) in image.chunks_exact(pixels).enumerate() {
            for (y, row) in plane.chunks_exact(width).enumerate() {
                let start = (y + to.border) * to.row() + to.border * to.lanes + channel;
                for (number, to) in row.iter().zip(output[start..].iter_mut().step_by(to.lanes)) {
                    *to = *number;
                }
            }
        }
    }
}

/// Leaves the channels that exist of results whose blocks may not be full.
pub(crate) fn crop(mut results: Vec<f32>, images: usize, channels: usize) -> Vec<f32> {
    let padded = channels.next_multiple_of(LANES);
    if padded != channels {
        for image in 0..images {
            results.copy_within(image * padded..image * padded + channels, image * channels);
        }
        results.truncate(images * channels);
    }
    results
}
