//! The convolutions of [`super::convolution`] by products of bfloat16 tiles: operands are rounded to bfloat16 (8 bits of
//! precision), sums stay in single precision.
//!
//! Images become `[height][width][channels]`, so that the taps of a kernel's row read one run of memory, and a convolution
//! is a few products of matrices, one for each run of taps:
//!
//! ```text
//! forward          out[pixel, o]    = Σ over runs  in[pixel, run] · w[run, o]         rows: pixels of several images
//! input gradient   the same from the output's gradient with transposed weights, phase by phase
//! weight gradient  dw[tap][i, o]    = Σ over pixels  inᵀ[i, pixel + tap] · dout[pixel, o]
//! ```
//!
//! With stride s the input falls into s × s phases, so that neighbouring output pixels read neighbours. Rows of pixels run
//! on over the zeros between lines and images: what they give there is dropped.

use super::convolution::{GROUPS, Geometry, phase};
use polyad_simd::bfloat16::{BLOCK, Half, HalfKernel, Product, Session, dispatch_half, round};
use polyad_simd::{LANES, level};
use rayon::prelude::*;

/// Rows of a product, about: several images share the weights that a product reads.
const ROWS: usize = 1024;
/// Rows of a product whose sums stay in the first two caches from one run to the next.
const STRIP: usize = 128;

/// A product over a run of taps: where its first pixel reads, how much, and where its weights are.
struct Run {
    input: usize,
    depth: usize,
    weights: usize,
}

/// A plane of pixels of all its channels, in one phase of a stride.
#[derive(Clone, Copy)]
struct Plane {
    channels: usize,
    rows: usize,
    pitch: usize,
}

impl Plane {
    fn len(&self) -> usize {
        self.rows * self.pitch * self.channels
    }
}

/// Several images that one thread convolves at once.
struct Batch {
    images: usize,
    /// Pixels from an image to the next.
    image: usize,
    /// Pixels from a line to the next.
    pitch: usize,
    /// Lines, and pixels of a line, that are wanted.
    rows: usize,
    pixels: usize,
}

impl Batch {
    /// Pixels from the first that is wanted to the last, rounded up to whole blocks.
    fn span(&self) -> usize {
        ((self.images - 1) * self.image + (self.rows - 1) * self.pitch + self.pixels).next_multiple_of(BLOCK)
    }
}

/// How many images of so many pixels make a batch.
fn together(pixels: usize) -> usize {
    (ROWS / pixels.max(1)).clamp(1, 8)
}

/// Rounds the 16 channels of pixels into their place among all channels.
struct Narrow<'a> {
    from: &'a [f32],
    to: &'a mut [u16],
    /// From a pixel to the next.
    step_from: usize,
    step_to: usize,
    pixels: usize,
}

impl HalfKernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        let from = self.from.chunks(self.step_from).filter_map(|pixel| pixel.first_chunk::<LANES>());
        let to = self.to.chunks_mut(self.step_to).filter_map(|pixel| pixel.first_chunk_mut::<LANES>());
        for (from, to) in from.zip(to).take(self.pixels) {
            simd.narrow(simd.load(from), to);
        }
    }
}

/// Rounds and turns a line: 16 channels of pixels become 16 lines of one channel.
struct Turn<'a> {
    from: &'a [f32],
    step: usize,
    to: &'a mut [u16],
    /// From a channel's line to the next channel's.
    channel: usize,
    pixels: usize,
}

impl HalfKernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        for start in (0..self.pixels).step_by(LANES) {
            let count = LANES.min(self.pixels - start);
            let pixels = std::array::from_fn(|i| {
                let at = (start + i) * self.step;
                match self.from.get(at..).and_then(|rest| rest.first_chunk::<LANES>()) {
                    Some(pixel) if i < count => simd.load(pixel),
                    _ => simd.splat(0.0),
                }
            });
            let mut line = [0; LANES];
            for (channel, values) in simd.transpose(pixels).into_iter().enumerate() {
                simd.narrow(values, &mut line);
                let at = channel * self.channel + start;
                self.to[at..at + count].copy_from_slice(&line[..count]);
            }
        }
    }
}

/// Rounds a line of the output's gradient into pairs of pixels, 16 channels beside each other.
struct Pair<'a> {
    from: &'a [f32],
    to: &'a mut [u16],
    /// From a pair of pixels to the next.
    step: usize,
}

impl HalfKernel for Pair<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        let zero = simd.splat(0.0);
        for (pixels, to) in self.from.chunks(2 * LANES).zip(self.to.chunks_mut(self.step)) {
            let (vectors, _) = pixels.as_chunks::<LANES>();
            let at = |i: usize| vectors.get(i).map_or(zero, |v| simd.load(v));
            if let Some(to) = to.first_chunk_mut() {
                simd.store_pairs(simd.pairs(at(0), at(1)), to);
            }
        }
    }
}

/// Weights of runs as the second operand of products: `[runs][groups of 32 out][depth / 2][32 out][2]`. `weight` gives the
/// one of a run's position and output channel; positions beyond the run weigh 0.
fn pack(runs: &mut [(Run, usize)], outputs: usize, weight: impl Fn(usize, usize, usize) -> f32) -> Vec<f32> {
    let groups = outputs.div_ceil(BLOCK);
    let mut packed = Vec::new();
    for (index, (run, used)) in runs.iter_mut().enumerate() {
        run.weights = packed.len();
        packed.resize(packed.len() + groups * run.depth * BLOCK, 0.0);
        for k in 0..*used {
            for o in 0..outputs {
                let at = ((o / BLOCK * run.depth / 2 + k / 2) * BLOCK + o % BLOCK) * 2 + k % 2;
                packed[run.weights + at] = weight(index, k, o);
            }
        }
    }
    packed
}

/// Rounds an array.
fn narrowed(from: &[f32]) -> Vec<u16> {
    let mut to = vec![0; from.len()];
    round(level(), from, &mut to);
    to
}

/// All runs of a batch: `sums` becomes `[span, outputs]`.
fn products(batch: &Batch, runs: &[(Run, usize)], operands: (&[u16], &[u16]), sizes: (usize, usize), sums: &mut [f32]) {
    let session = Session::new(level());
    let ((input, weights), (channels, outputs)) = (operands, sizes);
    for (strip, sums) in sums[..batch.span() * outputs].chunks_mut(STRIP * outputs).enumerate() {
        for (index, (run, _)) in runs.iter().enumerate() {
            let product = Product {
                rows: sums.len() / outputs,
                depth: run.depth,
                columns: outputs,
                a: &input[strip * STRIP * channels + run.input..],
                a_row: channels,
                b: &weights[run.weights..],
                b_row: 2 * BLOCK,
                b_group: run.depth * BLOCK,
                c_row: outputs,
                c_group: BLOCK,
                add: index > 0,
            };
            product.run(&session, sums);
        }
    }
}

/// The phases of a padded input, and where its lines are among them.
fn phases(g: &Geometry) -> Plane {
    let [height, width] = g.padded();
    // A whole pair of pixels a line, so that no pair of the output's gradient spans two.
    let pitch = width.div_ceil(g.stride).next_multiple_of(2);
    Plane { channels: g.inputs, rows: height.div_ceil(g.stride), pitch }
}

/// For each line of an image and each phase of a row: the line among the phase's, the phase, the first pixel of the image,
/// its place in the phase's line, and how many there are.
fn lines(g: &Geometry) -> Vec<(usize, usize, usize, usize, usize, usize)> {
    let mut lines = Vec::new();
    let [above, left] = g.padding.before;
    for y in 0..g.height {
        for px in 0..g.stride {
            let padded = y + above;
            // The first pixel of the image with x + left = px modulo the stride.
            let first = (px + g.stride - left % g.stride) % g.stride;
            let count = g.width.saturating_sub(first).div_ceil(g.stride);
            if count > 0 {
                let phase = padded % g.stride * g.stride + px;
                lines.push((y, phase, padded / g.stride, first, (first + left) / g.stride, count));
            }
        }
    }
    lines
}

/// The convolution, as [`super::convolution::forward`] gives it but for rounding.
pub fn forward(g: &Geometry, input: &[f32], weights: &[f32]) -> Vec<f32> {
    let plane = phases(g);
    let (out_height, out_width) = (g.out_height(), g.out_width());
    let per_task = together(plane.rows * plane.pitch);
    let phase_len = per_task * plane.len();
    // Taps of a kernel's row that are in the same phase are neighbours.
    let (mut runs, mut taps) = (Vec::new(), Vec::new());
    for ky in 0..g.kernel {
        for px in 0..g.stride.min(g.kernel) {
            let columns: Vec<usize> = (px..g.kernel).step_by(g.stride).collect();
            let used = columns.len() * g.inputs;
            let input = (ky % g.stride * g.stride + px) * phase_len + ky / g.stride * plane.pitch * g.inputs;
            runs.push((Run { input, depth: used.next_multiple_of(BLOCK), weights: 0 }, used));
            taps.push((ky, columns));
        }
    }
    let packed = pack(&mut runs, g.outputs, |run, k, o| {
        let (ky, columns) = &taps[run];
        weights[((o * g.inputs + k % g.inputs) * g.kernel + ky) * g.kernel + columns[k / g.inputs]]
    });
    let packed = narrowed(&packed);
    let lines = lines(g);
    let whole = Batch {
        images: per_task,
        image: plane.rows * plane.pitch,
        pitch: plane.pitch,
        rows: out_height,
        pixels: out_width,
    };
    let len = (g.stride * g.stride * phase_len).max(reach(&whole, &runs, g.inputs));
    let mut output = vec![0.0; g.images * g.output_len()];
    output.par_chunks_mut(per_task * g.output_len()).zip(input.par_chunks(per_task * g.input_len())).for_each_init(
        || (vec![0u16; len], vec![0.0f32; whole.span() * g.outputs]),
        |(padded, sums), (output, images)| {
            for (i, image) in images.chunks_exact(g.input_len()).enumerate() {
                for &(y, phase, line, first, place, count) in &lines {
                    for block in 0..g.in_blocks() {
                        let from = ((block * g.height + y) * g.width + first) * LANES;
                        let to = phase * phase_len
                            + i * plane.len()
                            + (line * plane.pitch + place) * g.inputs
                            + block * LANES;
                        dispatch_half(
                            level(),
                            Narrow {
                                from: &image[from..],
                                to: &mut padded[to..],
                                step_from: g.stride * LANES,
                                step_to: g.inputs,
                                pixels: count,
                            },
                        );
                    }
                }
            }
            let batch = Batch { images: output.len() / g.output_len(), ..whole };
            products(&batch, &runs, (padded, &packed), (g.inputs, g.outputs), sums);
            for (i, image) in output.chunks_exact_mut(g.output_len()).enumerate() {
                for (line, to) in image.chunks_exact_mut(out_width * LANES).enumerate() {
                    let (block, y) = (line / out_height, line % out_height);
                    let start = i * whole.image + y * whole.pitch;
                    let from = sums[start * g.outputs..].chunks_exact(g.outputs);
                    for (to, from) in to.chunks_exact_mut(LANES).zip(from) {
                        to.copy_from_slice(&from[block * LANES..][..LANES]);
                    }
                }
            }
        },
    );
    output
}

/// Numbers that products of whole blocks read, at most.
fn reach(batch: &Batch, runs: &[(Run, usize)], channels: usize) -> usize {
    let last = runs.iter().map(|(run, _)| run.input + run.depth).max().unwrap_or(0);
    last + batch.span() * channels
}

/// The gradient of the input, as [`super::convolution::input_gradient`] gives it but for rounding. Only for blocked inputs.
pub fn input_gradient(g: &Geometry, weights: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let (out_height, out_width) = (g.out_height(), g.out_width());
    let border = g.border();
    let plane = Plane { channels: g.outputs, rows: out_height + 2 * border, pitch: out_width + 2 * border };
    let per_task = together(plane.rows * plane.pitch);

    let mut all = Vec::new();
    for phase_y in 0..g.stride.min(g.height) {
        for phase_x in 0..g.stride.min(g.width) {
            let (rows, taps_y) = phase(g, 0, phase_y);
            let (pixels, taps_x) = phase(g, 1, phase_x);
            // The farthest kernel position reads the first pixel: taken backwards they are neighbours.
            let columns: Vec<usize> = taps_x.iter().rev().map(|&(k, _)| k).collect();
            let Some(&(_, nearest)) = taps_x.last() else { continue };
            if taps_y.is_empty() {
                continue;
            }
            let used = columns.len() * g.outputs;
            let mut runs: Vec<(Run, usize)> = taps_y
                .iter()
                .map(|&(_, y)| {
                    let pixel = border.wrapping_add_signed(y) * plane.pitch + border.wrapping_add_signed(nearest);
                    (Run { input: pixel * g.outputs, depth: used.next_multiple_of(BLOCK), weights: 0 }, used)
                })
                .collect();
            let packed = pack(&mut runs, g.inputs, |run, k, i| {
                let (ky, kx) = (taps_y[run].0, columns[k / g.outputs]);
                weights[((k % g.outputs * g.inputs + i) * g.kernel + ky) * g.kernel + kx]
            });
            let batch = Batch { images: per_task, image: plane.rows * plane.pitch, pitch: plane.pitch, rows, pixels };
            all.push((phase_y, phase_x, batch, runs, narrowed(&packed)));
        }
    }
    let reach = all.iter().map(|(_, _, batch, runs, _)| reach(batch, runs, g.outputs)).max().unwrap_or(0);
    let len = (per_task * plane.len()).max(reach);
    let span = all.iter().map(|(_, _, batch, ..)| batch.span()).max().unwrap_or(0);

    let mut gradient = vec![0.0; g.images * g.input_len()];
    gradient
        .par_chunks_mut(per_task * g.input_len())
        .zip(output_gradient.par_chunks(per_task * g.output_len()))
        .for_each_init(
            || (vec![0u16; len], vec![0.0f32; span * g.inputs]),
            |(padded, sums), (gradient, images)| {
                for (i, image) in images.chunks_exact(g.output_len()).enumerate() {
                    for (line, from) in image.chunks_exact(out_width * LANES).enumerate() {
                        let (block, y) = (line / out_height, line % out_height);
                        let pixel = i * plane.rows * plane.pitch + (y + border) * plane.pitch + border;
                        let to = &mut padded[pixel * g.outputs + block * LANES..];
                        let narrow = Narrow { from, to, step_from: LANES, step_to: g.outputs, pixels: out_width };
                        dispatch_half(level(), narrow);
                    }
                }
                for (phase_y, phase_x, whole, runs, packed) in &all {
                    let batch = Batch { images: gradient.len() / g.input_len(), ..*whole };
                    products(&batch, runs, (padded, packed), (g.outputs, g.inputs), sums);
                    for (i, image) in gradient.chunks_exact_mut(g.input_len()).enumerate() {
                        for block in 0..g.in_blocks() {
                            for y in 0..batch.rows {
                                let line = (block * g.height + phase_y + y * g.stride) * g.width + phase_x;
                                let start = (i * batch.image + y * batch.pitch) * g.inputs + block * LANES;
                                for x in 0..batch.pixels {
                                    let to = (line + x * g.stride) * LANES;
                                    let from = start + x * g.inputs;
                                    image[to..to + LANES].copy_from_slice(&sums[from..from + LANES]);
                                }
                            }
                        }
                    }
                }
            },
        );
    gradient
}

/// The gradient of the weights, as [`super::convolution::weight_gradient`] gives it but for rounding. Only for blocked
/// inputs.
pub fn weight_gradient(g: &Geometry, input: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let plane = phases(g);
    let (out_height, out_width) = (g.out_height(), g.out_width());
    let group = g.images.div_ceil(GROUPS).max(1);
    let image = plane.rows * plane.pitch;
    let batch = Batch { images: group, image, pitch: plane.pitch, rows: out_height, pixels: out_width };
    // Lines of a channel: those of all images of a group, and what whole blocks read beyond.
    let span = batch.span();
    let channel = span.max(group * image) + (g.kernel / g.stride + 1) * (plane.pitch + 1);
    let channels = g.inputs.next_multiple_of(BLOCK);
    let lines = lines(g);
    let tap_len = channels * g.outputs;
    let groups = g.outputs.div_ceil(BLOCK);
    let parts: Vec<Vec<f32>> = input
        .par_chunks(group * g.input_len())
        .zip(output_gradient.par_chunks(group * g.output_len()))
        .map(|(images, gradients)| {
            let mut turned = vec![0u16; g.stride * g.stride * channels * channel];
            let mut pairs = vec![0u16; groups * span * BLOCK];
            for (i, image) in images.chunks_exact(g.input_len()).enumerate() {
                for &(y, phase, line, first, place, count) in &lines {
                    for block in 0..g.in_blocks() {
                        let from = ((block * g.height + y) * g.width + first) * LANES;
                        let pixel = i * batch.image + line * plane.pitch + place;
                        let to = &mut turned[(phase * channels + block * LANES) * channel + pixel..];
                        let step = g.stride * LANES;
                        dispatch_half(level(), Turn { from: &image[from..], step, to, channel, pixels: count });
                    }
                }
            }
            for (i, image) in gradients.chunks_exact(g.output_len()).enumerate() {
                for (line, from) in image.chunks_exact(out_width * LANES).enumerate() {
                    let (block, y) = (line / out_height, line % out_height);
                    let pair = (i * batch.image + y * plane.pitch) / 2;
                    let (outer, inner) = (block * LANES / BLOCK, block * LANES % BLOCK);
                    let to = &mut pairs[((outer * span / 2 + pair) * BLOCK + inner) * 2..];
                    dispatch_half(level(), Pair { from, to, step: 2 * BLOCK });
                }
            }
            let mut sum = vec![0.0; g.kernel * g.kernel * tap_len];
            let session = Session::new(level());
            for (tap, sum) in sum.chunks_exact_mut(tap_len).enumerate() {
                let (ky, kx) = (tap / g.kernel, tap % g.kernel);
                let phase = ky % g.stride * g.stride + kx % g.stride;
                let product = Product {
                    rows: channels,
                    depth: span,
                    columns: g.outputs,
                    a: &turned[phase * channels * channel + ky / g.stride * plane.pitch + kx / g.stride..],
                    a_row: channel,
                    b: &pairs,
                    b_row: 2 * BLOCK,
                    b_group: span * BLOCK,
                    c_row: g.outputs,
                    c_group: BLOCK,
                    add: false,
                };
                product.run(&session, sum);
            }
            sum
        })
        .collect();
    // A fixed order of additions.
    let taps = g.kernel * g.kernel;
    let mut weights = vec![0.0; g.outputs * g.inputs * taps];
    weights.par_chunks_mut(g.inputs * taps).enumerate().for_each(|(o, weights)| {
        for (at, weight) in weights.iter_mut().enumerate() {
            let (i, tap) = (at / taps, at % taps);
            *weight = parts.iter().map(|part| part[tap * tap_len + i * g.outputs + o]).sum();
        }
    });
    weights
}
