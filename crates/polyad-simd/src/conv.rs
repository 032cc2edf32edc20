//! Convolution tiles in blocked layout: channels by 16, innermost.
//!
//! One image at a time. Its planes are `[blocks][height][width][16]`, already padded with zeros; weights are packed as
//! `[output blocks][taps][16 input channels][16 output channels]`. A convolution, its gradient for the input and any
//! stride are the same loop nest over different taps:
//!
//! ```text
//! output[o, row, pixel] = Σ over taps t, channels c of  input[t.input + row, pixel, c] · weights[o, t.weight, c]
//! 1. for each pair of output blocks      (its weights stay in the second-level cache)
//! 2.   for each row, each tile of pixels (14 x 2 accumulators of 16: 28 of AVX-512's 32 registers)
//! 3.     for each tap, each channel:     2 loads of weights, 14 broadcasts, 28 multiply-adds
//! ```
//!
//! AVX2 has half the registers and half the width: there a tile is 6 pixels of one block.
//!
//! These are what training needs. Inference has kernels of its own, with the ends of a layer fused: [`Direct`],
//! [`Depthwise`] and [`Pooling`], over [`Map`]s with a border of zeros.

mod depthwise;
mod direct;
mod map;
mod pool;

pub use depthwise::{Depthwise, DepthwisePiece};
pub use direct::{Direct, DirectPiece};
pub use map::{Combine, Cut, Map, Second, Window};
pub use pool::{Pool, Pooling, PoolingPiece};

use crate::level::Level;
use crate::simd::{Kernel, LANES, Simd, dispatch};
use std::array::from_fn;

/// One term of a convolution: where it reads, in numbers from the start of a pixel's window and of a block's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    /// Offset into the input.
    pub input: usize,
    /// Offset into the weights of one output block.
    pub weight: usize,
}

/// A regular grid of pixels, as offsets in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The first pixel.
    pub start: usize,
    /// From a row to the next.
    pub row: usize,
    /// From a pixel to the next.
    pub pixel: usize,
}

impl Grid {
    fn at(&self, row: usize, pixel: usize) -> usize {
        self.start + row * self.row + pixel * self.pixel
    }
}

/// A convolution of one image (see the module's head), written over `output`.
pub struct Convolution<'a> {
    /// Padded planes.
    pub input: &'a [f32],
    /// Where output pixels read in `input`.
    pub input_grid: Grid,
    /// Packed weights.
    pub weights: &'a [f32],
    /// Numbers from an output block's weights to the next block's.
    pub weights_block: usize,
    /// The terms.
    pub taps: &'a [Tap],
    /// Input channels of a tap that are used, 1 to 16: the others are zero.
    pub channels: usize,
    /// Where output pixels are.
    pub output_grid: Grid,
    /// Numbers from an output block to the next.
    pub output_block: usize,
    /// Output blocks.
    pub blocks: usize,
    /// Output rows.
    pub rows: usize,
    /// Output pixels a row.
    pub pixels: usize,
}

impl Convolution<'_> {
    /// Computes, on `level`.
    ///
    /// # Panics
    ///
    /// Where an offset leads out of a buffer.
    pub fn run(self, level: Level, output: &mut [f32]) {
        if self.rows == 0 || self.pixels == 0 || self.blocks == 0 {
            return;
        }
        let last = |grid: Grid| grid.at(self.rows - 1, self.pixels - 1);
        let far = |f: fn(&Tap) -> usize| self.taps.iter().map(f).max().unwrap_or(0);
        assert!((1..=LANES).contains(&self.channels), "1 to 16 channels of a block");
        assert!(last(self.input_grid) + far(|t| t.input) + self.channels <= self.input.len(), "input too short");
        let weights = (self.blocks - 1) * self.weights_block + far(|t| t.weight) + self.channels * LANES;
        assert!(self.taps.is_empty() || weights <= self.weights.len(), "weights too short");
        let written = (self.blocks - 1) * self.output_block + last(self.output_grid) + LANES;
        assert!(written <= output.len(), "output too short");
        dispatch(level, Forward { job: self, output });
    }
}

struct Forward<'a> {
    job: Convolution<'a>,
    output: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Forward { job, output } = self;
        let mut block = 0;
        while block < job.blocks {
            let pair = S::VECTORS >= 32 && block + 1 < job.blocks;
            for row in 0..job.rows {
                let mut pixel = 0;
                while pixel < job.pixels {
                    let left = job.pixels - pixel;
                    let at = (block, row, pixel);
                    pixel += if pair {
                        match left {
                            _ if left.is_multiple_of(14) => tile::<S, 14, 2>(simd, &job, output, at),
                            _ if left > 28 && !left.is_multiple_of(12) => tile::<S, 14, 2>(simd, &job, output, at),
                            12.. => tile::<S, 12, 2>(simd, &job, output, at),
                            8.. => tile::<S, 8, 2>(simd, &job, output, at),
                            6.. => tile::<S, 6, 2>(simd, &job, output, at),
                            4.. => tile::<S, 4, 2>(simd, &job, output, at),
                            3 => tile::<S, 3, 2>(simd, &job, output, at),
                            2 => tile::<S, 2, 2>(simd, &job, output, at),
                            _ => tile::<S, 1, 2>(simd, &job, output, at),
                        }
                    } else {
                        match left {
                            6.. => tile::<S, 6, 1>(simd, &job, output, at),
                            4.. => tile::<S, 4, 1>(simd, &job, output, at),
                            3 => tile::<S, 3, 1>(simd, &job, output, at),
                            2 => tile::<S, 2, 1>(simd, &job, output, at),
                            _ => tile::<S, 1, 1>(simd, &job, output, at),
                        }
                    };
                }
            }
            block += if pair { 2 } else { 1 };
        }
    }
}

/// `T` neighbouring pixels of `O` output blocks, all sums in registers. Gives `T`.
#[inline(always)]
fn tile<S: Simd, const T: usize, const O: usize>(
    simd: S,
    job: &Convolution<'_>,
    output: &mut [f32],
    (block, row, pixel): (usize, usize, usize),
) -> usize {
    let mut sums = [[simd.splat(0.0); O]; T];
    // SAFETY: `Convolution::run` has checked that the last pixel of the last row, at the farthest tap and channel, lies
    // inside `input`, and the same of the last block's `weights`; all offsets here are at most those.
    unsafe {
        let window = job.input.as_ptr().add(job.input_grid.at(row, pixel));
        let weights = job.weights.as_ptr().add(block * job.weights_block);
        for tap in job.taps {
            let x = window.add(tap.input);
            let w = weights.add(tap.weight);
            for c in 0..job.channels {
                let w: [S::V; O] = from_fn(|o| simd.load(&*w.add(c * LANES + o * job.weights_block).cast()));
                for (t, sums) in sums.iter_mut().enumerate() {
                    let x = simd.splat(*x.add(t * job.input_grid.pixel + c));
                    for (sum, w) in sums.iter_mut().zip(w) {
                        *sum = simd.mul_add(x, w, *sum);
                    }
                }
            }
        }
    }
    for (t, sums) in sums.into_iter().enumerate() {
        for (o, sum) in sums.into_iter().enumerate() {
            let at = (block + o) * job.output_block + job.output_grid.at(row, pixel + t);
            if let Some(to) = output[at..].first_chunk_mut() {
                simd.store(sum, to);
            }
        }
    }
    T
}

/// The gradient of a convolution's weights from some images, added to `gradient`, which is packed like the weights:
/// `gradient[o, t.weight, c] += Σ over pixels of input[t.input + pixel, c] · output_gradient[o, pixel]`.
///
/// 8 channels of a tap times two output blocks are summed in registers over all pixels.
pub struct WeightGradient<'a> {
    /// Padded planes.
    pub input: &'a [f32],
    /// Where output pixels read in `input`.
    pub input_grid: Grid,
    /// The terms.
    pub taps: &'a [Tap],
    /// Input channels of a tap that are used, 1 to 16.
    pub channels: usize,
    /// The gradient of the output.
    pub output: &'a [f32],
    /// Where its pixels are.
    pub output_grid: Grid,
    /// Numbers from an output block to the next.
    pub output_block: usize,
    /// Numbers from an output block's weights to the next block's.
    pub weights_block: usize,
    /// Output blocks.
    pub blocks: usize,
    /// Output rows.
    pub rows: usize,
    /// Output pixels a row.
    pub pixels: usize,
    /// Images.
    pub images: usize,
    /// Numbers from an image's input to the next image's.
    pub input_image: usize,
    /// Numbers from an image's output gradient to the next image's.
    pub output_image: usize,
}

impl WeightGradient<'_> {
    /// Computes, on `level`.
    ///
    /// # Panics
    ///
    /// Where an offset leads out of a buffer.
    pub fn run(self, level: Level, gradient: &mut [f32]) {
        if self.rows == 0 || self.pixels == 0 || self.blocks == 0 || self.images == 0 || self.taps.is_empty() {
            return;
        }
        let last = |grid: Grid| grid.at(self.rows - 1, self.pixels - 1);
        let far = |f: fn(&Tap) -> usize| self.taps.iter().map(f).max().unwrap_or(0);
        assert!((1..=LANES).contains(&self.channels), "1 to 16 channels of a block");
        // Groups of 8 or 4 channels are read whole.
        let (inputs, outputs) = ((self.images - 1) * self.input_image, (self.images - 1) * self.output_image);
        assert!(inputs + last(self.input_grid) + far(|t| t.input) + LANES <= self.input.len(), "input too short");
        let read = outputs + (self.blocks - 1) * self.output_block + last(self.output_grid) + LANES;
        assert!(read <= self.output.len(), "output gradient too short");
        let written = (self.blocks - 1) * self.weights_block + far(|t| t.weight) + LANES * LANES;
        assert!(written <= gradient.len(), "weight gradient too short");
        dispatch(level, Backward { job: self, gradient });
    }
}

struct Backward<'a> {
    job: WeightGradient<'a>,
    gradient: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Backward { job, gradient } = self;
        let mut block = 0;
        while block < job.blocks {
            let pair = S::VECTORS >= 32 && block + 1 < job.blocks;
            for &tap in job.taps {
                let mut channel = 0;
                while channel < job.channels {
                    channel += if pair {
                        outer::<S, 8, 2>(simd, &job, gradient, block, tap, channel)
                    } else {
                        outer::<S, 4, 1>(simd, &job, gradient, block, tap, channel)
                    };
                }
            }
            block += if pair { 2 } else { 1 };
        }
    }
}

/// `C` channels of one tap times `O` output blocks. Gives `C`, which divides 16.
#[inline(always)]
fn outer<S: Simd, const C: usize, const O: usize>(
    simd: S,
    job: &WeightGradient<'_>,
    gradient: &mut [f32],
    block: usize,
    tap: Tap,
    channel: usize,
) -> usize {
    let mut sums = [[simd.splat(0.0); O]; C];
    // SAFETY: `WeightGradient::run` has checked that the last pixel of the last row of the last image lies inside
    // `input` with all 16 channels of the farthest tap, and inside `output` in the last block; all offsets here are at most those.
    unsafe {
        let x = job.input.as_ptr().add(tap.input + channel);
        let g = job.output.as_ptr().add(block * job.output_block);
        for line in 0..job.images * job.rows {
            let (image, row) = (line / job.rows, line % job.rows);
            let x = x.add(image * job.input_image + job.input_grid.at(row, 0));
            let g = g.add(image * job.output_image + job.output_grid.at(row, 0));
            for pixel in 0..job.pixels {
                let x = x.add(pixel * job.input_grid.pixel);
                let g = g.add(pixel * job.output_grid.pixel);
                let g: [S::V; O] = from_fn(|o| simd.load(&*g.add(o * job.output_block).cast()));
                for (c, sums) in sums.iter_mut().enumerate() {
                    let x = simd.splat(*x.add(c));
                    for (sum, g) in sums.iter_mut().zip(g) {
                        *sum = simd.mul_add(x, g, *sum);
                    }
                }
            }
        }
    }
    for (c, sums) in sums.into_iter().enumerate() {
        for (o, sum) in sums.into_iter().enumerate() {
            let at = (block + o) * job.weights_block + tap.weight + (channel + c) * LANES;
            if let Some(to) = gradient[at..].first_chunk_mut() {
                let old = simd.load(to);
                simd.store(simd.add(old, sum), to);
            }
        }
    }
    C
}
