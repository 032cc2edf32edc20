//! Weights as the kernels want them: by blocks of 16 channels, zeros where a block is not full.

use polyad_simd::{LANES, bfloat16};
use rayon::prelude::*;

/// Weights and bias of a layer.
#[derive(Debug)]
pub struct Packed<W = Weights> {
    /// Input channels; of a depthwise layer the same as output channels.
    pub(crate) inputs: usize,
    /// Output channels.
    pub(crate) outputs: usize,
    /// Rows and columns of the kernel.
    pub(crate) kernel: [usize; 2],
    /// Input channels of a block.
    pub(crate) lanes: usize,
    /// As `polyad_simd::conv::Direct` or `Depthwise` take them.
    pub(crate) weights: W,
    /// One a channel, to the end of the last block.
    pub(crate) bias: Vec<f32>,
}

/// Weights of a convolution.
#[derive(Debug)]
pub enum Weights {
    /// In single precision.
    Single(Vec<f32>),
    /// In bfloat16, two rows side by side.
    Pairs(Vec<u16>),
}

impl Weights {
    /// The same in bfloat16.
    pub(crate) fn round(&mut self) {
        if let Weights::Single(numbers) = self {
            let mut rows = vec![0; numbers.len()];
            bfloat16::round(polyad_simd::level(), numbers, &mut rows);
            let mut pairs = vec![0; rows.len()];
            for (from, to) in rows.chunks_exact(2 * LANES).zip(pairs.chunks_exact_mut(2 * LANES)) {
                for lane in 0..LANES {
                    (to[2 * lane], to[2 * lane + 1]) = (from[lane], from[LANES + lane]);
                }
            }
            *self = Weights::Pairs(pairs);
        }
    }
}

impl Packed {
    /// A convolution's weights for an input in blocks of so many `lanes`. `weight` gives that of an output channel, an
    /// input channel and a tap, rows of the kernel first; `bias` has one number an output channel.
    pub fn convolution(
        [outputs, inputs]: [usize; 2],
        kernel: [usize; 2],
        lanes: usize,
        bias: Vec<f32>,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let taps = kernel[0] * kernel[1];
        let in_blocks = inputs.div_ceil(lanes);
        let mut weights = vec![0.0; outputs.div_ceil(LANES) * in_blocks * taps * lanes * LANES];
        let of_block = in_blocks * taps * lanes * LANES;
        weights.par_chunks_exact_mut(of_block.max(1)).enumerate().for_each(|(out_block, weights)| {
            for (index, weights) in weights.chunks_exact_mut(LANES).enumerate() {
                let (lane, tap, in_block) = (index % lanes, index / lanes % taps, index / lanes / taps);
                let input = in_block * lanes + lane;
                let first = out_block * LANES;
                if input < inputs {
                    for (output, to) in (first..outputs).zip(weights) {
                        *to = weight(output, input, tap);
                    }
                }
            }
        });
        Packed { inputs, outputs, kernel, lanes, weights: Weights::Single(weights), bias: padded(bias) }
    }

    /// The weights in the order `[outputs][inputs][taps]`; none where they are rounded.
    pub(crate) fn plain(&self) -> Option<Vec<f32>> {
        let Weights::Single(packed) = &self.weights else { return None };
        let (taps, lanes) = (self.kernel[0] * self.kernel[1], self.lanes);
        let in_blocks = self.inputs.div_ceil(lanes);
        let mut plain = Vec::with_capacity(self.outputs * self.inputs * taps);
        for output in 0..self.outputs {
            for input in 0..self.inputs {
                let block = (output / LANES * in_blocks + input / lanes) * taps;
                let at = |tap: usize| ((block + tap) * lanes + input % lanes) * LANES + output % LANES;
                plain.extend((0..taps).map(|tap| packed[at(tap)]));
            }
        }
        Some(plain)
    }
}

impl Packed<Vec<f32>> {
    /// A depthwise convolution's weights. `weight` gives that of a channel and a tap, rows of the kernel first.
    pub fn depthwise(kernel: [usize; 2], bias: Vec<f32>, weight: impl Fn(usize, usize) -> f32) -> Self {
        let (channels, taps) = (bias.len(), kernel[0] * kernel[1]);
        let mut weights = vec![0.0; channels.div_ceil(LANES) * taps * LANES];
        for channel in 0..channels {
            for tap in 0..taps {
                weights[(channel / LANES * taps + tap) * LANES + channel % LANES] = weight(channel, tap);
            }
        }
        Packed { inputs: channels, outputs: channels, kernel, lanes: LANES, weights, bias: padded(bias) }
    }

    /// The weights in the order `[channels][taps]`.
    pub(crate) fn plain(&self) -> Vec<f32> {
        let taps = self.kernel[0] * self.kernel[1];
        let of_channel = |channel: usize| {
            let at = move |tap: usize| (channel / LANES * taps + tap) * LANES + channel % LANES;
            (0..taps).map(move |tap| self.weights[at(tap)])
        };
        (0..self.outputs).flat_map(of_channel).collect()
    }
}

/// Zeros to the end of the last block.
fn padded(mut numbers: Vec<f32>) -> Vec<f32> {
    numbers.resize(numbers.len().next_multiple_of(LANES), 0.0);
    numbers
}
