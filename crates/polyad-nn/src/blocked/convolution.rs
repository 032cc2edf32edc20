//! Convolution in blocked layout over plain slices: forward, gradient of the input, gradient of the weights.
//!
//! Images are `[n, blocks, height, width, 16]`, weights `[out, in, kernel, kernel]` as everywhere else: they are packed
//! here, at each call, which costs one pass over them. Threads take images; the gradient of the weights is summed in
//! fixed groups of images, so the bits do not depend on the number of threads. Small maps take the way of [`batched`].
//!
//! 1. Forward: each image is padded with zeros into scratch, then `polyad_simd::conv` writes its output.
//! 2. Gradient of the input: a convolution of the output's gradient with transposed weights. With stride s the input
//!    pixels fall into s × s phases, each with the taps that reach it, so no zeros are multiplied.
//! 3. Gradient of the weights: for each tap an outer product summed over pixels.

use super::{Padding, batched};
use polyad_simd::LANES;
use polyad_simd::conv::{Convolution, Grid, Tap, WeightGradient};
use polyad_simd::level;
use rayon::prelude::*;

/// Partial sums of the gradient of the weights: enough for 16 threads, few enough to add up quickly.
pub(super) const GROUPS: usize = 16;

/// Sizes of a convolution with square kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Images.
    pub images: usize,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Input rows.
    pub height: usize,
    /// Input pixels a row.
    pub width: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Input pixels from an output pixel to the next.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: Padding,
    /// Whether the input is planar, `[n, inputs, height, width]` with at most 16 channels, rather than blocked.
    pub planar: bool,
}

impl Geometry {
    /// Output rows.
    pub fn out_height(&self) -> usize {
        self.padding.windows([self.height, self.width], self.kernel, self.stride)[0]
    }
    /// Output pixels a row.
    pub fn out_width(&self) -> usize {
        self.padding.windows([self.height, self.width], self.kernel, self.stride)[1]
    }
    pub(super) fn in_blocks(&self) -> usize {
        self.inputs.div_ceil(LANES)
    }
    pub(super) fn out_blocks(&self) -> usize {
        self.outputs.div_ceil(LANES)
    }
    pub(super) fn input_len(&self) -> usize {
        let channels = if self.planar { self.inputs } else { self.in_blocks() * LANES };
        channels * self.height * self.width
    }
    pub(super) fn output_len(&self) -> usize {
        self.out_blocks() * self.out_block()
    }
    fn taps_per_block(&self) -> usize {
        self.kernel * self.kernel
    }
    /// Numbers of one output block's packed weights.
    fn weights_block(&self) -> usize {
        self.in_blocks() * self.taps_per_block() * LANES * LANES
    }
    pub(super) fn padded(&self) -> [usize; 2] {
        self.padding.around([self.height, self.width])
    }
    /// Whether an image is already what a kernel reads.
    fn is_ready(&self) -> bool {
        !self.planar && self.padding == Padding::NONE
    }
    fn padded_len(&self) -> usize {
        let [height, width] = self.padded();
        // A block more of slack: groups of channels are read whole.
        self.in_blocks() * height * width * LANES + LANES
    }
    fn channels(&self) -> usize {
        self.inputs.min(LANES)
    }
    /// Where an output pixel reads, and the terms.
    fn window(&self) -> (Grid, Vec<Tap>) {
        let [height, width] = self.padded();
        let mut taps = Vec::with_capacity(self.in_blocks() * self.taps_per_block());
        for block in 0..self.in_blocks() {
            for y in 0..self.kernel {
                for x in 0..self.kernel {
                    let input = ((block * height + y) * width + x) * LANES;
                    taps.push(Tap { input, weight: taps.len() * LANES * LANES });
                }
            }
        }
        (Grid { start: 0, row: self.stride * width * LANES, pixel: self.stride * LANES }, taps)
    }
    /// Zeros around the output's gradient, so that every tap of every phase stays inside.
    pub(super) fn border(&self) -> usize {
        self.kernel + self.stride + self.padding.most()
    }
    fn out_grid(&self) -> Grid {
        Grid { start: 0, row: self.out_width() * LANES, pixel: LANES }
    }
    fn out_block(&self) -> usize {
        self.out_height() * self.out_width() * LANES
    }
}

/// `[out, in, k, k]` as `[out blocks][in blocks][k · k][16 in][16 out]`; with `transpose`, input and output change places.
fn pack(g: &Geometry, weights: &[f32], transpose: bool) -> Vec<f32> {
    let k = g.taps_per_block();
    let (rows, columns) = if transpose { (g.in_blocks(), g.out_blocks()) } else { (g.out_blocks(), g.in_blocks()) };
    let mut packed = vec![0.0; rows * columns * k * LANES * LANES];
    for o in 0..g.outputs {
        for i in 0..g.inputs {
            let (row, column) = if transpose { (i, o) } else { (o, i) };
            for t in 0..k {
                let tile = ((row / LANES) * columns + column / LANES) * k + t;
                packed[(tile * LANES + column % LANES) * LANES + row % LANES] = weights[(o * g.inputs + i) * k + t];
            }
        }
    }
    packed
}

/// The inverse of [`pack`] without transposition.
fn unpack(g: &Geometry, packed: &[f32]) -> Vec<f32> {
    let k = g.taps_per_block();
    let mut weights = vec![0.0; g.outputs * g.inputs * k];
    for o in 0..g.outputs {
        for i in 0..g.inputs {
            for t in 0..k {
                let tile = ((o / LANES) * g.in_blocks() + i / LANES) * k + t;
                weights[(o * g.inputs + i) * k + t] = packed[(tile * LANES + i % LANES) * LANES + o % LANES];
            }
        }
    }
    weights
}

/// Room for so many padded images, where they are needed.
fn scratch(g: &Geometry, images: usize) -> Vec<f32> {
    vec![0.0; if g.is_ready() { 0 } else { images * g.padded_len() }]
}

/// Images as kernels read them: themselves, or copied into the middle of those of `padded`, whose border is zero and stays so.
fn ready<'a>(g: &Geometry, images: &'a [f32], padded: &'a mut [f32]) -> &'a [f32] {
    if g.is_ready() {
        return images;
    }
    for (image, padded) in images.chunks_exact(g.input_len()).zip(padded.chunks_exact_mut(g.padded_len())) {
        pad(g, image, padded);
    }
    padded
}

fn pad(g: &Geometry, image: &[f32], padded: &mut [f32]) {
    let [padded_height, padded_width] = g.padded();
    let [above, left] = g.padding.before;
    if g.planar {
        for (channel, plane) in image.chunks_exact(g.height * g.width).enumerate() {
            for (y, row) in plane.chunks_exact(g.width).enumerate() {
                let start = ((y + above) * padded_width + left) * LANES + channel;
                for (x, &value) in row.iter().enumerate() {
                    padded[start + x * LANES] = value;
                }
            }
        }
    } else {
        let row_len = g.width * LANES;
        for (line, row) in image.chunks_exact(row_len).enumerate() {
            let (block, y) = (line / g.height, line % g.height);
            let start = ((block * padded_height + y + above) * padded_width + left) * LANES;
            padded[start..start + row_len].copy_from_slice(row);
        }
    }
}

/// The convolution, `[n, outputs / 16, out_height, out_width, 16]`.
pub fn forward(g: &Geometry, input: &[f32], weights: &[f32]) -> Vec<f32> {
    let packed = pack(g, weights, false);
    if g.is_small() {
        return batched::forward(g, input, &packed);
    }
    let (input_grid, taps) = g.window();
    let level = level();
    let mut output = vec![0.0; g.images * g.output_len()];
    output.par_chunks_exact_mut(g.output_len()).zip(input.par_chunks_exact(g.input_len())).for_each_init(
        || scratch(g, 1),
        |padded, (output, image)| {
            let convolution = Convolution {
                input: ready(g, image, padded),
                input_grid,
                weights: &packed,
                weights_block: g.weights_block(),
                taps: &taps,
                channels: g.channels(),
                output_grid: g.out_grid(),
                output_block: g.out_block(),
                blocks: g.out_blocks(),
                rows: g.out_height(),
                pixels: g.out_width(),
            };
            convolution.run(level, output);
        },
    );
    output
}

/// Input pixels `phase, phase + stride, …` along one axis: how many there are, and the pairs of a kernel position that
/// reaches them and the output pixel, relative to the first, that it comes from.
pub(super) fn phase(g: &Geometry, axis: usize, phase: usize) -> (usize, Vec<(usize, isize)>) {
    let size = [g.height, g.width][axis];
    let reach = |k: usize| (phase + g.padding.before[axis]) as isize - k as isize;
    let stride = g.stride as isize;
    let taps = (0..g.kernel).filter(|&k| reach(k).rem_euclid(stride) == 0).map(|k| (k, reach(k).div_euclid(stride)));
    (size.saturating_sub(phase).div_ceil(g.stride), taps.collect())
}

/// The gradient of the input, in the input's own layout.
pub fn input_gradient(g: &Geometry, weights: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let packed = pack(g, weights, true);
    if g.is_small()
        && let Some(gradient) = batched::input_gradient(g, &packed, output_gradient)
    {
        return gradient;
    }
    let level = level();
    let (out_height, out_width) = (g.out_height(), g.out_width());
    let border = g.border();
    let (padded_height, padded_width) = (out_height + 2 * border, out_width + 2 * border);
    let padded_len = g.out_blocks() * padded_height * padded_width * LANES;
    let blocked_len = g.in_blocks() * g.height * g.width * LANES;
    let tile = LANES * LANES;

    let mut phases = Vec::new();
    for phase_y in 0..g.stride.min(g.height) {
        for phase_x in 0..g.stride.min(g.width) {
            let (rows, taps_y) = phase(g, 0, phase_y);
            let (pixels, taps_x) = phase(g, 1, phase_x);
            let mut taps = Vec::new();
            for block in 0..g.out_blocks() {
                for &(ky, y) in &taps_y {
                    for &(kx, x) in &taps_x {
                        let y = (block * padded_height + border).wrapping_add_signed(y);
                        let x = border.wrapping_add_signed(x);
                        let weight = (block * g.taps_per_block() + ky * g.kernel + kx) * tile;
                        taps.push(Tap { input: (y * padded_width + x) * LANES, weight });
                    }
                }
            }
            let start = (phase_y * g.width + phase_x) * LANES;
            let output_grid = Grid { start, row: g.stride * g.width * LANES, pixel: g.stride * LANES };
            phases.push((rows, pixels, taps, output_grid));
        }
    }

    let mut gradient = vec![0.0; g.images * g.input_len()];
    gradient.par_chunks_exact_mut(g.input_len()).zip(output_gradient.par_chunks_exact(g.output_len())).for_each_init(
        || (vec![0.0; padded_len], vec![0.0; if g.planar { blocked_len } else { 0 }]),
        |(padded, blocked), (gradient, image)| {
            let row_len = out_width * LANES;
            for (line, row) in image.chunks_exact(row_len).enumerate() {
                let (block, y) = (line / out_height, line % out_height);
                let start = ((block * padded_height + y + border) * padded_width + border) * LANES;
                padded[start..start + row_len].copy_from_slice(row);
            }
            let target = if g.planar { &mut blocked[..] } else { &mut gradient[..] };
            for (rows, pixels, taps, output_grid) in &phases {
                let convolution = Convolution {
                    input: padded,
                    input_grid: Grid { start: 0, row: padded_width * LANES, pixel: LANES },
                    weights: &packed,
                    weights_block: g.out_blocks() * g.taps_per_block() * tile,
                    taps,
                    channels: LANES,
                    output_grid: *output_grid,
                    output_block: g.height * g.width * LANES,
                    blocks: g.in_blocks(),
                    rows: *rows,
                    pixels: *pixels,
                };
                convolution.run(level, target);
            }
            if g.planar {
                for (channel, plane) in gradient.chunks_exact_mut(g.height * g.width).enumerate() {
                    for (to, from) in plane.iter_mut().zip(blocked.chunks_exact(LANES)) {
                        *to = from[channel];
                    }
                }
            }
        },
    );
    gradient
}

/// Numbers of images whose part in the gradient of the weights is summed before weights are touched: 256 KiB.
const TOGETHER: usize = 1 << 16;

/// The gradient of the weights, `[out, in, kernel, kernel]`.
pub fn weight_gradient(g: &Geometry, input: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let (input_grid, taps) = g.window();
    let level = level();
    // Pairs of output blocks are dealt out, and where there are few of them, groups of images too.
    let blocks = g.out_blocks().div_ceil(2).div_ceil(GROUPS) * 2;
    let ranges = g.out_blocks().div_ceil(blocks);
    let group = g.images.div_ceil(GROUPS.div_ceil(ranges)).max(1);
    let groups = g.images.div_ceil(group);
    let image = if g.is_ready() { g.input_len() } else { g.padded_len() };
    let together = (TOGETHER / (image + g.output_len())).clamp(1, group);
    let parts: Vec<Vec<f32>> = (0..ranges * groups)
        .into_par_iter()
        .map(|task| {
            let first = task / groups * blocks;
            let blocks = blocks.min(g.out_blocks() - first);
            let images = task % groups * group..g.images.min((task % groups + 1) * group);
            let mut padded = scratch(g, together);
            let mut sum = vec![0.0; blocks * g.weights_block()];
            for start in images.clone().step_by(together) {
                let count = together.min(images.end - start);
                let images = &input[start * g.input_len()..(start + count) * g.input_len()];
                let gradient = WeightGradient {
                    input: ready(g, images, &mut padded),
                    input_grid,
                    taps: &taps,
                    channels: g.channels(),
                    output: &output_gradient[start * g.output_len() + first * g.out_block()..],
                    output_grid: g.out_grid(),
                    output_block: g.out_block(),
                    weights_block: g.weights_block(),
                    blocks,
                    rows: g.out_height(),
                    pixels: g.out_width(),
                    images: count,
                    input_image: image,
                    output_image: g.output_len(),
                };
                gradient.run(level, &mut sum);
            }
            sum
        })
        .collect();
    // A fixed order of additions.
    let mut total = vec![0.0; g.out_blocks() * g.weights_block()];
    total.par_chunks_mut(blocks * g.weights_block()).zip(parts.par_chunks(groups)).for_each(|(total, parts)| {
        for part in parts {
            for (sum, x) in total.iter_mut().zip(part) {
                *sum += x;
            }
        }
    });
    unpack(g, &total)
}
