//! Depthwise convolution: each channel has a kernel of its own.
//!
//! ```text
//! output[c, p] = cut(second[c, p] ∘ (bias[c] + Σ over taps t of  input[c, p.window + t] · weights[c, t]))
//! 1. for each image and block            (a piece)
//! 2.   for each row, each tile of pixels (8 sums of 16: enough to hide a multiply-add's latency)
//! 3.     for each tap                    1 load of weights, 8 loads of input, 8 multiply-adds
//! ```
//!
//! Each number that is read takes part in one multiply-add, so the loads set the pace, and larger tiles gain nothing.

use super::map::{Cut, Map, Second, Window};
use crate::level::Level;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// A depthwise convolution, see the module's head.
#[derive(Debug, Clone, Copy)]
pub struct Depthwise<'a> {
    /// The input.
    pub input: &'a [f32],
    /// Where it is, with a border that the padding fits into.
    pub from: Map,
    /// The window that slides over it.
    pub window: Window,
    /// `[blocks][kernel rows][kernel columns][16]`
    pub weights: &'a [f32],
    /// `[blocks][16]`
    pub bias: &'a [f32],
    /// What is combined with the sums before the cut-off.
    pub second: Option<Second<'a>>,
    /// The range of the result.
    pub cut: Cut,
    /// Where the output is.
    pub to: Map,
}

impl<'a> Depthwise<'a> {
    /// Cuts the work into a piece for each plane of `output`, whose border is left as it is. Time of all pieces together:
    /// `pixels · taps · channels` multiply-adds.
    ///
    /// # Panics
    /// Where maps and window do not fit together or a slice is shorter than its map.
    pub fn pieces(self, output: &'a mut [f32]) -> impl Iterator<Item = DepthwisePiece<'a>> {
        let (from, to) = (self.from, self.to);
        self.window.check(&from, &to);
        assert_eq!((from.blocks, from.lanes), (to.blocks, LANES), "a depthwise convolution keeps its blocks");
        assert!(from.len() <= self.input.len(), "the input is too short");
        assert!(to.len() <= output.len(), "the output is too short");
        let taps = self.window.kernel[0] * self.window.kernel[1];
        assert!(to.blocks * taps * LANES <= self.weights.len(), "the weights are too short");
        assert!(to.blocks * LANES <= self.bias.len(), "the bias is too short");
        if let Some(second) = &self.second {
            second.check(&to);
        }
        let planes = output[..to.len()].chunks_exact_mut(to.plane().max(1));
        planes.enumerate().map(move |(plane, output)| DepthwisePiece { job: self, plane, output })
    }
}

/// One block of one image.
pub struct DepthwisePiece<'a> {
    job: Depthwise<'a>,
    plane: usize,
    output: &'a mut [f32],
}

impl DepthwisePiece<'_> {
    /// Computes, on `level`.
    pub fn run(self, level: Level) {
        dispatch(level, self);
    }
}

impl Kernel for DepthwisePiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for y in 0..self.job.to.height {
            let mut x = 0;
            while x < self.job.to.width {
                x += match self.job.to.width - x {
                    8.. if S::VECTORS >= 32 => self.tile::<S, 8>(simd, y, x),
                    4.. if S::VECTORS >= 8 => self.tile::<S, 4>(simd, y, x),
                    2.. => self.tile::<S, 2>(simd, y, x),
                    _ => self.tile::<S, 1>(simd, y, x),
                };
            }
        }
    }
}

impl DepthwisePiece<'_> {
    /// `T` neighbouring pixels. Gives `T`.
    #[inline(always)]
    fn tile<S: Simd, const T: usize>(&mut self, simd: S, y: usize, x: usize) -> usize {
        let job = &self.job;
        let (from, to) = (&job.from, &job.to);
        let [rows, columns] = job.window.kernel;
        let block = self.plane % to.blocks;
        let step = job.window.stride * LANES;
        // SAFETY: `Depthwise::pieces` has checked that the slices are as long as their maps say and that every window lies
        // inside the bordered planes of `from`, and that `second` has the output's size; `plane` is one of them, and `x + T` is
        // at most the output's width.
        unsafe {
            let mut sums = [simd.load(&*job.bias.as_ptr().add(block * LANES).cast()); T];
            let mut w = job.weights.as_ptr().add(block * rows * columns * LANES);
            let window = job.input.as_ptr().add(self.plane * from.plane() + job.window.start(from, y, x));
            for row in 0..rows {
                for column in 0..columns {
                    let weight = simd.load(&*w.cast());
                    let x = window.add(row * from.row() + column * LANES);
                    for (t, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.mul_add(simd.load(&*x.add(t * step).cast()), weight, *sum);
                    }
                    w = w.add(LANES);
                }
            }
            let output = self.output.as_mut_ptr().add(to.pixel(y + to.border, x + to.border));
            let second = job.second.map(|second| {
                let border = second.map.border;
                let at = self.plane * second.map.plane() + second.map.pixel(y + border, x + border);
                (second.numbers.as_ptr().add(at), second.how)
            });
            for (t, mut sum) in sums.into_iter().enumerate() {
                if let Some((numbers, how)) = second {
                    sum = how.apply(simd, sum, simd.load(&*numbers.add(t * LANES).cast()));
                }
                simd.store(job.cut.apply(simd, sum), &mut *output.add(t * LANES).cast());
            }
        }
        T
    }
}
