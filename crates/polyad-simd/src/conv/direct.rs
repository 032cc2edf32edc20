//! Direct convolution for inference: any kernel, stride and padding, with bias, second operand and cut-off fused.
//!
//! ```text
//! output[o, p] = cut(second[o, p] ∘ (bias[o] + Σ over kernel rows r, numbers i of  input[p.window + r + i] · weights[o, r, i]))
//! 1. for each chunk of output blocks      (its weights stay in the second-level cache: `CHUNK`)
//! 2.   for each tile of pixels            (its windows stay in the first-level cache)
//! 3.     for each pair of blocks          (14 x 2 sums of 16: 28 of AVX-512's 32 registers)
//! 4.       for each kernel row of each input block, each number of it:
//!                                         2 loads of weights, 14 broadcasts, 28 multiply-adds
//! ```
//!
//! A kernel row of one block is a run of `kernel width · lanes` neighbouring numbers, so pictures with three channels,
//! 1 × 1 convolutions (a product of panels: the run is one pixel) and linear layers (the kernel is the whole map) are no
//! special cases. A tile's pixels are taken in the order of the images: where an image ends the next goes on, so maps of
//! 3 × 3 fill tiles too. Pixels of one row are reached by one pointer and fixed steps, others by an offset each.
//!
//! Numbers may be in single precision, or in bfloat16 (`u16`) with sums in single precision: then two neighbours of a run are
//! multiplied at once, and weights lie in pairs of rows, `[.., run / 2, 16, 2]`.
//!
//! Every output is the sum of the same terms in the same order whatever tile it falls into, so pieces may be cut anywhere
//! and the bytes stay.

use super::map::{Cut, Map, Second, Window};
use crate::bfloat16::{Half, HalfKernel, dispatch_half};
use crate::level::Level;
use crate::simd::{Kernel, LANES, Simd, dispatch};
use std::array::from_fn;
use std::marker::PhantomData;
use std::ops::Range;

/// Numbers of weights that a chunk of output blocks may have, if it is more than a pair: 512 KiB, half of the smallest
/// second-level cache that has AVX-512.
const CHUNK: usize = 128 * 1024;

/// The most pixels of a tile on any level.
const MOST: usize = 14;

/// A convolution, see the module's head.
#[derive(Debug, Clone, Copy)]
pub struct Direct<'a, T = f32> {
    /// The input.
    pub input: &'a [T],
    /// Where it is, with a border that the padding fits into.
    pub from: Map,
    /// The window that slides over it.
    pub window: Window,
    /// `[output blocks][input blocks][kernel rows][kernel columns][input lanes][16]`, in bfloat16 two input lanes side by side:
    /// `[..][input lanes / 2][16][2]`
    pub weights: &'a [T],
    /// `[output blocks][16]`
    pub bias: &'a [f32],
    /// What a sum is combined with before the cut.
    pub second: Option<Second<'a>>,
    /// The range of the result.
    pub cut: Cut,
    /// Where the output is.
    pub to: Map,
}

impl<'a, T: Copy> Direct<'a, T> {
    /// Terms of each sum.
    fn depth(&self) -> usize {
        self.from.blocks * self.window.kernel[0] * self.run_length()
    }

    /// Neighbouring numbers of a kernel row.
    fn run_length(&self) -> usize {
        self.window.kernel[1] * self.from.lanes
    }

    /// Cuts the work into about so many pieces, which write different numbers of `output`. The border of `output` is left
    /// as it is. Time of all pieces together: `pixels · depth · output channels` multiply-adds.
    ///
    /// # Panics
    /// Where maps and window do not fit together or a slice is shorter than its map; in bfloat16, where the input has an odd
    /// number of lanes.
    pub fn pieces(self, output: &'a mut [f32], pieces: usize) -> Vec<DirectPiece<'a, T>> {
        let (from, to) = (self.from, self.to);
        self.window.check(&from, &to);
        assert!(size_of::<T>() == 4 || from.lanes.is_multiple_of(2), "{} lanes are not pairs", from.lanes);
        assert!(from.len() <= self.input.len(), "the input is too short");
        assert!(to.len() <= output.len(), "the output is too short");
        assert!(to.blocks * self.depth() * LANES <= self.weights.len(), "the weights are too short");
        assert!(to.blocks * LANES <= self.bias.len(), "the bias is too short");
        if let Some(second) = self.second {
            second.check(&to);
        }
        let pixels = to.images * to.height * to.width;
        if pixels == 0 || to.blocks == 0 {
            return Vec::new();
        }
        let piece = |pixels: Range<usize>, blocks: Range<usize>, output: *mut f32| DirectPiece {
            job: self,
            pixels,
            blocks,
            output,
            lent: PhantomData,
        };
        let to_cut = output.as_mut_ptr();
        // Many pixels are cut by whole tiles of either 14 or 12; else pairs of blocks are dealt out.
        let by_pixels = pixels >= 4 * MOST * pieces;
        let (total, unit) = if by_pixels { (pixels, 7 * 12) } else { (to.blocks, 2) };
        let step = total.div_ceil(unit).div_ceil(pieces.max(1)) * unit;
        (0..total)
            .step_by(step)
            .map(|first| {
                let some = first..total.min(first + step);
                if by_pixels { piece(some, 0..to.blocks, to_cut) } else { piece(0..pixels, some, to_cut) }
            })
            .collect()
    }
}

/// Some pixels of some output blocks.
pub struct DirectPiece<'a, T = f32> {
    job: Direct<'a, T>,
    pixels: Range<usize>,
    blocks: Range<usize>,
    output: *mut f32,
    lent: PhantomData<&'a mut [f32]>,
}

// SAFETY: `Direct::pieces` is the only maker. It has the output on loan for `'a`, and the pieces of one call have disjoint
// products of pixels and blocks, which are all that a piece writes; it reads nothing of the output.
unsafe impl<T: Sync> Send for DirectPiece<'_, T> {}

impl DirectPiece<'_, f32> {
    /// Computes, on `level`.
    pub fn run(self, level: Level) {
        dispatch(level, self);
    }
}

impl DirectPiece<'_, u16> {
    /// Computes, on `level`: by AVX-512 BF16 where that and the processor have it, elsewhere in plain code, slowly.
    pub fn run(self, level: Level) {
        dispatch_half(level, self);
    }
}

impl Kernel for DirectPiece<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.all::<S, Single>(simd);
    }
}

impl HalfKernel for DirectPiece<'_, u16> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        self.all::<S, Pairs>(simd);
    }
}

/// How a sum's terms are read and added.
trait Terms<S: Simd> {
    /// What maps and weights hold.
    type Number: Copy;
    /// Neighbouring numbers of a run that are added at once.
    const AT_ONCE: usize;
    /// So many, of each of 16 outputs.
    type Factor: Copy;

    /// Those of a pixel, for all outputs the same.
    ///
    /// # Safety
    /// So many numbers may be read.
    unsafe fn pixel(simd: S, from: *const Self::Number) -> Self::Factor;
    /// Their weights.
    ///
    /// # Safety
    /// 16 times as many may be read.
    unsafe fn column(simd: S, from: *const Self::Number) -> Self::Factor;
    fn add(simd: S, pixel: Self::Factor, column: Self::Factor, sum: S::V) -> S::V;
}

struct Single;

impl<S: Simd> Terms<S> for Single {
    type Number = f32;
    const AT_ONCE: usize = 1;
    type Factor = S::V;

    #[inline(always)]
    unsafe fn pixel(simd: S, from: *const f32) -> S::V {
        // SAFETY: the caller's.
        simd.splat(unsafe { *from })
    }
    #[inline(always)]
    unsafe fn column(simd: S, from: *const f32) -> S::V {
        // SAFETY: the caller's.
        simd.load(unsafe { &*from.cast() })
    }
    #[inline(always)]
    fn add(simd: S, pixel: S::V, column: S::V, sum: S::V) -> S::V {
        simd.mul_add(pixel, column, sum)
    }
}

struct Pairs;

impl<S: Half> Terms<S> for Pairs {
    type Number = u16;
    const AT_ONCE: usize = 2;
    type Factor = S::Pairs;

    #[inline(always)]
    unsafe fn pixel(simd: S, from: *const u16) -> S::Pairs {
        // SAFETY: the caller's.
        simd.splat_pair(unsafe { *from.cast() })
    }
    #[inline(always)]
    unsafe fn column(simd: S, from: *const u16) -> S::Pairs {
        // SAFETY: the caller's.
        simd.load_pairs(unsafe { &*from.cast() })
    }
    #[inline(always)]
    fn add(simd: S, pixel: S::Pairs, column: S::Pairs, sum: S::V) -> S::V {
        simd.dot(pixel, column, sum)
    }
}

impl<T: Copy> DirectPiece<'_, T> {
    #[inline(always)]
    fn all<S: Simd, K: Terms<S, Number = T>>(self, simd: S) {
        let depth = self.job.depth();
        let chunk = (CHUNK / (2 * depth * LANES)).max(1) * 2;
        // As many pixels as divide a row, if any do: then tiles do not straddle rows.
        let width = self.job.to.width;
        let most = match S::VECTORS {
            ..8 => 3,
            8..32 => 6,
            _ if !width.is_multiple_of(14) && width.is_multiple_of(12) => 12,
            _ => MOST,
        };
        let mut first = self.blocks.start;
        while first < self.blocks.end {
            let end = self.blocks.end.min(first + chunk);
            let mut pixel = self.pixels.start;
            while pixel < self.pixels.end {
                let count = most.min(self.pixels.end - pixel);
                let places = Places::new(&self.job, pixel, count);
                let mut block = first;
                while block < end {
                    block += if S::VECTORS >= 32 && block + 1 < end {
                        self.wide::<S, K, 2>(simd, &places, block)
                    } else if S::VECTORS >= 32 {
                        self.wide::<S, K, 1>(simd, &places, block)
                    } else {
                        self.narrow::<S, K>(simd, &places, block)
                    };
                }
                pixel += count;
            }
            first = end;
        }
    }
}

/// Where the pixels of a tile are.
struct Places {
    /// Pixels that exist; the others repeat the last.
    count: usize,
    /// Numbers from each pixel's window to the next, if that is the same for all and no image's row ends between.
    step: Option<usize>,
    input: [usize; MOST],
    output: [usize; MOST],
    second: [usize; MOST],
}

impl Places {
    #[inline(always)]
    fn new<T>(job: &Direct<'_, T>, first: usize, count: usize) -> Self {
        let (from, to) = (&job.from, &job.to);
        let second = job.second.map_or(*to, |second| second.map);
        let (mut image, within) = (first / (to.height * to.width), first % (to.height * to.width));
        let (mut y, mut x) = (within / to.width, within % to.width);
        let mut places = Places {
            count,
            step: (x + count <= to.width).then_some(job.window.stride * from.lanes),
            input: [0; MOST],
            output: [0; MOST],
            second: [0; MOST],
        };
        for index in 0..MOST {
            places.input[index] = image * from.image() + job.window.start(from, y, x);
            places.output[index] = image * to.image() + to.pixel(y + to.border, x + to.border);
            places.second[index] = image * second.image() + second.pixel(y + second.border, x + second.border);
            if index + 1 < count {
                x += 1;
                if x == to.width {
                    (x, y) = (0, y + 1);
                }
                if y == to.height {
                    (y, image) = (0, image + 1);
                }
            }
        }
        places
    }
}

impl<T: Copy> DirectPiece<'_, T> {
    /// A tile of AVX-512. Gives `O`.
    #[inline(always)]
    fn wide<S: Simd, K: Terms<S, Number = T>, const O: usize>(&self, simd: S, places: &Places, block: usize) -> usize {
        match places.count {
            13.. => self.stepped::<S, K, 14, O>(simd, places, block),
            11.. => self.stepped::<S, K, 12, O>(simd, places, block),
            9.. => self.stepped::<S, K, 10, O>(simd, places, block),
            7.. => self.stepped::<S, K, 8, O>(simd, places, block),
            5.. => self.stepped::<S, K, 6, O>(simd, places, block),
            3.. => self.stepped::<S, K, 4, O>(simd, places, block),
            2 => self.stepped::<S, K, 2, O>(simd, places, block),
            _ => self.stepped::<S, K, 1, O>(simd, places, block),
        }
        O
    }

    /// A tile of levels with few registers. Gives 1.
    #[inline(always)]
    fn narrow<S: Simd, K: Terms<S, Number = T>>(&self, simd: S, places: &Places, block: usize) -> usize {
        match places.count {
            5.. => self.stepped::<S, K, 6, 1>(simd, places, block),
            4 => self.stepped::<S, K, 4, 1>(simd, places, block),
            3 => self.stepped::<S, K, 3, 1>(simd, places, block),
            2 => self.stepped::<S, K, 2, 1>(simd, places, block),
            _ => self.stepped::<S, K, 1, 1>(simd, places, block),
        }
        1
    }

    #[inline(always)]
    fn stepped<S: Simd, K: Terms<S, Number = T>, const P: usize, const O: usize>(
        &self,
        simd: S,
        places: &Places,
        block: usize,
    ) {
        // The steps of stride 1 and 2 in blocked layout. A tile with a repeated pixel has no fixed step.
        match places.step {
            Some(16) if places.count == P => self.tile::<S, K, P, O, 16>(simd, places, block),
            Some(32) if places.count == P => self.tile::<S, K, P, O, 32>(simd, places, block),
            _ => self.tile::<S, K, P, O, 0>(simd, places, block),
        }
    }

    /// `P` pixels of `O` output blocks, all sums in registers. `STEP`: from a pixel to the next, 0 where it varies.
    #[inline(always)]
    fn tile<S: Simd, K: Terms<S, Number = T>, const P: usize, const O: usize, const STEP: usize>(
        &self,
        simd: S,
        places: &Places,
        block: usize,
    ) {
        let job = &self.job;
        let (from, to) = (&job.from, &job.to);
        let (kernel_rows, run, depth) = (job.window.kernel[0], job.run_length(), job.depth());
        let mut sums = [[simd.splat(0.0); O]; P];
        // SAFETY: `Direct::pieces` has checked that `input`, `weights`, `bias` and `output` are as long as their maps say
        // and that every window lies inside the bordered planes of `from`. `Places` gives windows and pixels of these maps
        // (and of `second`, checked likewise); `block + O` is at most the number of output blocks.
        unsafe {
            for o in 0..O {
                let bias = simd.load(&*job.bias.as_ptr().add((block + o) * LANES).cast());
                for sums in &mut sums {
                    sums[o] = bias;
                }
            }
            let mut w = job.weights.as_ptr().add(block * depth * LANES);
            for input_block in 0..from.blocks {
                for kernel_row in 0..kernel_rows {
                    let x = job.input.as_ptr().add(input_block * from.plane() + kernel_row * from.row());
                    let x = if STEP > 0 { x.add(places.input[0]) } else { x };
                    for i in (0..run).step_by(K::AT_ONCE) {
                        let columns: [K::Factor; O] = from_fn(|o| K::column(simd, w.add(o * depth * LANES)));
                        for (t, sums) in sums.iter_mut().enumerate() {
                            let at = if STEP > 0 { t * STEP } else { places.input[t] };
                            let x = K::pixel(simd, x.add(at + i));
                            for (sum, column) in sums.iter_mut().zip(columns) {
                                *sum = K::add(simd, x, column, *sum);
                            }
                        }
                        w = w.add(K::AT_ONCE * LANES);
                    }
                }
            }
            for (t, sums) in sums.into_iter().enumerate() {
                if t >= places.count {
                    break;
                }
                for (o, mut sum) in sums.into_iter().enumerate() {
                    if let Some(second) = &job.second {
                        let at = places.second[t] + (block + o) * second.map.plane();
                        let other = simd.load(&*second.numbers.as_ptr().add(at).cast());
                        sum = second.how.apply(simd, sum, other);
                    }
                    let at = places.output[t] + (block + o) * to.plane();
                    simd.store(job.cut.apply(simd, sum), &mut *self.output.add(at).cast());
                }
            }
        }
    }
}
