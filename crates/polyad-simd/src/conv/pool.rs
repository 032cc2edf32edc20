//! Pools: the greatest or the mean of the numbers in a window, channel by channel.
//!
//! Windows are clipped to the image, so padding takes no part, and a map needs no border. A pool reads each number a few times and computes next to
//! nothing; it is as fast as memory, and one pixel at a time is enough.

use super::map::{Map, Window};
use crate::level::Level;
use crate::simd::{Kernel, LANES, Simd, dispatch};
use std::ops::Range;

/// What a pool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The greatest number of each position of a window; -∞ where that has nothing of the image.
    Max(Window),
    /// The mean of as many windows as the output has pixels, which share the image evenly as PyTorch's adaptive pool does:
    /// from `⌊i · size / count⌋` to `⌈(i + 1) · size / count⌉`.
    AdaptiveMean,
}

/// A pool over a map.
#[derive(Debug, Clone, Copy)]
pub struct Pooling<'a> {
    /// The input.
    pub input: &'a [f32],
    /// Where it is.
    pub from: Map,
    /// What is done.
    pub pool: Pool,
    /// Where the output is.
    pub to: Map,
}

impl<'a> Pooling<'a> {
    /// Cuts the work into a piece for each plane of `output`, whose border is left as it is.
    ///
    /// # Panics
    /// Where maps do not fit together or a slice is shorter than its map.
    pub fn pieces(self, output: &'a mut [f32]) -> impl Iterator<Item = PoolingPiece<'a>> {
        let (from, to) = (self.from, self.to);
        assert_eq!((from.images, from.blocks, from.lanes), (to.images, to.blocks, to.lanes), "a pool keeps its planes");
        assert_eq!(to.lanes, LANES, "pools are for blocks of {LANES} channels");
        assert!(from.len() <= self.input.len(), "the input is too short");
        let planes = output[..to.len()].chunks_exact_mut(to.plane().max(1));
        planes.enumerate().map(move |(plane, output)| PoolingPiece { job: self, plane, output })
    }
}

/// One block of one image.
pub struct PoolingPiece<'a> {
    job: Pooling<'a>,
    plane: usize,
    output: &'a mut [f32],
}

impl PoolingPiece<'_> {
    /// Computes, on `level`.
    pub fn run(self, level: Level) {
        dispatch(level, self);
    }

    /// The rows (axis 0) or pixels (axis 1) that an output position covers.
    #[inline(always)]
    fn covers(&self, axis: usize, position: usize) -> Range<usize> {
        let (from, to) = (&self.job.from, &self.job.to);
        let (size, count) = if axis == 0 { (from.height, to.height) } else { (from.width, to.width) };
        match self.job.pool {
            Pool::Max(window) => {
                let start = position * window.stride;
                let end = (start + window.kernel[axis]).saturating_sub(window.before[axis]).min(size);
                start.saturating_sub(window.before[axis]).min(end)..end
            }
            Pool::AdaptiveMean => position * size / count..((position + 1) * size).div_ceil(count),
        }
    }
}

impl Kernel for PoolingPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (from, to) = (&self.job.from, &self.job.to);
        let max = matches!(self.job.pool, Pool::Max(_));
        let plane = &self.job.input[self.plane * from.plane()..][..from.plane()];
        for y in 0..to.height {
            let rows = self.covers(0, y);
            for x in 0..to.width {
                let columns = self.covers(1, x);
                let mut sum = simd.splat(if max { f32::NEG_INFINITY } else { 0.0 });
                for row in rows.clone() {
                    let start = from.pixel(row + from.border, columns.start + from.border);
                    for pixel in plane[start..start + columns.len() * LANES].as_chunks::<LANES>().0 {
                        let pixel = simd.load(pixel);
                        sum = if max { simd.max(sum, pixel) } else { simd.add(sum, pixel) };
                    }
                }
                if !max {
                    sum = simd.mul(sum, simd.splat(1.0 / (rows.len() * columns.len()) as f32));
                }
                let at = to.pixel(y + to.border, x + to.border);
                if let Some(pixel) = self.output[at..].first_chunk_mut() {
                    simd.store(sum, pixel);
                }
            }
        }
    }
}
