//! What does not mix channels, in blocked layout on the processor: depthwise convolution and the greatest number of a
//! window, with gradients of their own.
//!
//! 1. Depthwise, forward: each image is padded into scratch, then `polyad_simd::conv::Depthwise` writes its output.
//! 2. Its input's gradient: the output's gradient, spread out by the stride, under the same kernel turned by half a turn.
//! 3. Its weights' gradient: for each tap a product summed over pixels, in [`GROUPS`] fixed groups of images, so the bits
//!    do not depend on the number of threads.
//! 4. The greatest: its gradient goes to the first number of the window that equals it.

use super::Padding;
use super::convolution::GROUPS;
use super::norm::{lanes, lanes_mut, vectorised};
use super::ops::tensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Flex, TensorMetadata, backend_extension};
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};
use burn_flex::FlexTensor;
use polyad_simd::conv::{Cut, Depthwise, Map, Pool, Pooling, Window};
use polyad_simd::{Kernel, LANES, Simd, dispatch, level};
use rayon::prelude::*;

/// A window that slides over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slide {
    /// Its side.
    pub kernel: usize,
    /// Input pixels from an output pixel to the next.
    pub stride: usize,
    /// Zeros around the input; for the greatest, nothing at all.
    pub padding: Padding,
}

/// Operations of image networks that keep channels apart.
#[backend_extension(Flex, Autodiff)]
pub trait ChannelwiseOps: Backend {
    /// See [`super::depthwise`].
    fn blocked_depthwise(x: FloatTensor<Self>, weight: FloatTensor<Self>, how: Slide) -> FloatTensor<Self>;

    /// The gradients of [`ChannelwiseOps::blocked_depthwise`] for input and weights.
    fn blocked_depthwise_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        how: Slide,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// See [`super::max_pool`].
    fn blocked_max_pool(x: FloatTensor<Self>, how: Slide) -> FloatTensor<Self>;

    /// The gradient of [`ChannelwiseOps::blocked_max_pool`].
    fn blocked_max_pool_backward(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        how: Slide,
    ) -> FloatTensor<Self>;
}

/// One image before and after, without borders.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    images: usize,
    from: Map,
    to: Map,
    how: Slide,
}

impl Sizes {
    fn of(x: &FlexTensor, how: Slide) -> Self {
        let shape = x.shape();
        let [height, width] = how.padding.windows([shape[2], shape[3]], how.kernel, how.stride);
        let from = Map { images: 1, blocks: shape[1], height: shape[2], width: shape[3], border: 0, lanes: LANES };
        Sizes { images: shape[0], from, to: Map { height, width, ..from }, how }
    }

    fn output(&self, numbers: Vec<f32>) -> FlexTensor {
        tensor(numbers, [self.images, self.to.blocks, self.to.height, self.to.width, LANES])
    }

    /// The input with a border that all windows fit into.
    fn padded(&self) -> Map {
        Map { border: self.how.padding.most(), ..self.from }
    }

    fn window(&self) -> Window {
        Window { kernel: [self.how.kernel; 2], stride: self.how.stride, before: self.how.padding.before }
    }

    fn taps(&self) -> usize {
        self.how.kernel * self.how.kernel
    }

    /// `[channels, 1, k, k]` as `[blocks][k · k][16]`; `turned` by half a turn.
    fn pack(&self, weights: &[f32], turned: bool) -> Vec<f32> {
        let taps = self.taps();
        let mut packed = vec![0.0; self.from.blocks * taps * LANES];
        for (channel, weights) in weights.chunks_exact(taps).enumerate() {
            for (tap, weight) in weights.iter().enumerate() {
                let tap = if turned { taps - 1 - tap } else { tap };
                packed[(channel / LANES * taps + tap) * LANES + channel % LANES] = *weight;
            }
        }
        packed
    }
}

/// Copies the rows of an image into a map with a border, its pixels `step` apart. The border stays as it is.
pub(super) fn spread(image: &[f32], from: &Map, to: &Map, padded: &mut [f32], step: usize) {
    let rows = image.chunks_exact(from.row().max(1));
    for (line, row) in rows.enumerate() {
        let (block, y) = (line / from.height, line % from.height);
        let start = block * to.plane() + (y * step + to.border) * to.row() + to.border * LANES;
        if step == 1 {
            padded[start..start + row.len()].copy_from_slice(row);
        } else {
            for (x, pixel) in row.chunks_exact(LANES).enumerate() {
                padded[start + x * step * LANES..][..LANES].copy_from_slice(pixel);
            }
        }
    }
}

/// A depthwise convolution of all images, whose pixels lie `step` apart in `padded`.
fn slide(images: &[f32], maps: [Map; 3], window: Window, weights: &[f32], step: usize) -> Vec<f32> {
    let [from, padded, to] = maps;
    let level = level();
    let bias = vec![0.0; to.blocks * LANES];
    let mut output = vec![0.0; images.len() / from.len().max(1) * to.len()];
    output.par_chunks_exact_mut(to.len().max(1)).zip(images.par_chunks_exact(from.len().max(1))).for_each_init(
        || vec![0.0; padded.len()],
        |numbers, (output, image)| {
            spread(image, &from, &padded, numbers, step);
            let job = Depthwise {
                input: numbers,
                from: padded,
                window,
                weights,
                bias: &bias,
                second: None,
                cut: Cut::NONE,
                to,
            };
            job.pieces(output).for_each(|piece| piece.run(level));
        },
    );
    output
}

fn forward(sizes: &Sizes, x: &[f32], weights: &[f32]) -> Vec<f32> {
    slide(x, [sizes.from, sizes.padded(), sizes.to], sizes.window(), &sizes.pack(weights, false), 1)
}

fn input_gradient(sizes: &Sizes, weights: &[f32], gradient: &[f32]) -> Vec<f32> {
    let (from, to, how) = (sizes.from, sizes.to, sizes.how);
    let before = how.padding.before.map(|before| how.kernel - 1 - before);
    let apart = |count: usize| (count - 1) * how.stride + 1;
    let (height, width) = (apart(to.height), apart(to.width));
    // The last window ends at the input's last pixel, or behind the last of the gradient.
    let behind = |size: usize, before: usize, spread: usize| (size - 1 + how.kernel).saturating_sub(before + spread);
    let border = behind(from.height, before[0], height).max(behind(from.width, before[1], width));
    let padded = Map { height, width, border: border.max(before[0]).max(before[1]), ..to };
    let window = Window { kernel: [how.kernel; 2], stride: 1, before };
    slide(gradient, [to, padded, from], window, &sizes.pack(weights, true), how.stride)
}

/// `[channels, 1, k, k]`.
fn weight_gradient(sizes: &Sizes, x: &[f32], gradient: &[f32], channels: usize) -> Vec<f32> {
    let (from, to, padded) = (sizes.from, sizes.to, sizes.padded());
    let level = level();
    let len = from.blocks * sizes.taps() * LANES;
    let group = sizes.images.div_ceil(GROUPS).max(1);
    let parts: Vec<Vec<f32>> = x
        .par_chunks(group * from.len())
        .zip(gradient.par_chunks(group * to.len()))
        .map(|(images, gradients)| {
            let (mut numbers, mut sums) = (vec![0.0; padded.len()], vec![0.0; len]);
            for (image, gradient) in images.chunks_exact(from.len()).zip(gradients.chunks_exact(to.len())) {
                spread(image, &from, &padded, &mut numbers, 1);
                dispatch(level, TapSums { sizes, padded: &padded, x: &numbers, gradient, sums: &mut sums });
            }
            sums
        })
        .collect();
    let taps = sizes.taps();
    let sum = |channel: usize, tap: usize| -> f32 {
        parts.iter().map(|part| part[(channel / LANES * taps + tap) * LANES + channel % LANES]).sum()
    };
    (0..channels).flat_map(|channel| (0..taps).map(move |tap| (channel, tap))).map(|(c, t)| sum(c, t)).collect()
}

/// Adds the gradient of one image's weights to `sums`, `[blocks][k · k][16]`.
struct TapSums<'a> {
    sizes: &'a Sizes,
    padded: &'a Map,
    x: &'a [f32],
    gradient: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for TapSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.sizes.how.kernel {
            3 => self.rows::<S, 3>(simd),
            5 => self.rows::<S, 5>(simd),
            7 => self.rows::<S, 7>(simd),
            _ => self.rows::<S, 1>(simd),
        }
    }
}

impl TapSums<'_> {
    /// Sums of `K` neighbouring taps, or fewer at a kernel row's end, stay in registers over all pixels of a plane.
    #[inline(always)]
    fn rows<S: Simd, const K: usize>(self, simd: S) {
        let Sizes { to, how, .. } = *self.sizes;
        let (padded, [above, left]) = (self.padded, how.padding.before);
        for block in 0..to.blocks {
            let plane = &self.x[block * padded.plane()..][..padded.plane()];
            let gradient = &self.gradient[block * to.plane()..][..to.plane()];
            for ky in 0..how.kernel {
                for first in (0..how.kernel).step_by(K) {
                    let mut sums = [simd.splat(0.0); K];
                    for (y, gradient) in gradient.chunks_exact(to.row()).enumerate() {
                        let row = y * how.stride + ky + padded.border - above;
                        let start = row * padded.row() + (padded.border - left + first) * LANES;
                        let windows = lanes(&plane[start..(row + 1) * padded.row()]).windows(K).step_by(how.stride);
                        for (gradient, window) in lanes(gradient).iter().zip(windows) {
                            let gradient = simd.load(gradient);
                            for (sum, x) in sums.iter_mut().zip(window) {
                                *sum = simd.mul_add(simd.load(x), gradient, *sum);
                            }
                        }
                    }
                    let at = (block * how.kernel + ky) * how.kernel + first;
                    for (total, sum) in lanes_mut(self.sums)[at..].iter_mut().zip(sums) {
                        let old = simd.load(total);
                        simd.store(simd.add(old, sum), total);
                    }
                }
            }
        }
    }
}

fn max_pool(sizes: &Sizes, x: &[f32]) -> Vec<f32> {
    let (from, to) = (sizes.from, sizes.to);
    let level = level();
    let mut output = vec![0.0; sizes.images * to.len()];
    output.par_chunks_exact_mut(to.len().max(1)).zip(x.par_chunks_exact(from.len().max(1))).for_each(
        |(output, input)| {
            let pooling = Pooling { input, from, pool: Pool::Max(sizes.window()), to };
            pooling.pieces(output).for_each(|piece| piece.run(level));
        },
    );
    output
}

fn max_pool_gradient(sizes: &Sizes, x: &[f32], y: &[f32], gradient: &[f32]) -> Vec<f32> {
    let (from, to, how) = (sizes.from, sizes.to, sizes.how);
    let covers = |axis: usize, position: usize, size: usize| {
        let (start, before) = (position * how.stride, how.padding.before[axis]);
        start.saturating_sub(before)..(start + how.kernel).saturating_sub(before).min(size)
    };
    let mut result = vec![0.0; x.len()];
    let planes =
        (x.par_chunks_exact(from.plane()), y.par_chunks_exact(to.plane()), gradient.par_chunks_exact(to.plane()));
    result.par_chunks_exact_mut(from.plane()).zip(planes).for_each(|(result, (x, y, gradient))| {
        vectorised(
            #[inline(always)]
            || {
                let (x, result) = (lanes(x), lanes_mut(result));
                for (index, (y, gradient)) in lanes(y).iter().zip(lanes(gradient)).enumerate() {
                    let mut left = *gradient;
                    for row in covers(0, index / to.width, from.height) {
                        for pixel in covers(1, index % to.width, from.width) {
                            let at = row * from.width + pixel;
                            for i in 0..LANES {
                                let taken = if x[at][i] == y[i] { left[i] } else { 0.0 };
                                result[at][i] += taken;
                                left[i] -= taken;
                            }
                        }
                    }
                }
            },
        );
    });
    result
}

impl ChannelwiseOps for Flex {
    fn blocked_depthwise(x: FlexTensor, weight: FlexTensor, how: Slide) -> FlexTensor {
        let sizes = Sizes::of(&x, how);
        let [x, weight] = [x, weight].map(|t| t.to_contiguous());
        sizes.output(forward(&sizes, x.storage(), weight.storage()))
    }

    fn blocked_depthwise_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        how: Slide,
    ) -> (FlexTensor, FlexTensor) {
        let sizes = Sizes::of(&x, how);
        let [x, weight, gradient] = [x, weight, gradient].map(|t| t.to_contiguous());
        let for_weight = weight_gradient(&sizes, x.storage(), gradient.storage(), weight.shape()[0]);
        let for_input = input_gradient(&sizes, weight.storage(), gradient.storage());
        (tensor(for_input, x.shape()), tensor(for_weight, weight.shape()))
    }

    fn blocked_max_pool(x: FlexTensor, how: Slide) -> FlexTensor {
        let sizes = Sizes::of(&x, how);
        sizes.output(max_pool(&sizes, x.to_contiguous().storage()))
    }

    fn blocked_max_pool_backward(x: FlexTensor, y: FlexTensor, gradient: FlexTensor, how: Slide) -> FlexTensor {
        let sizes = Sizes::of(&x, how);
        let [x, y, gradient] = [x, y, gradient].map(|t| t.to_contiguous());
        tensor(max_pool_gradient(&sizes, x.storage(), y.storage(), gradient.storage()), x.shape())
    }
}

#[derive(Debug)]
struct DepthwiseBackward(Slide);

impl<B: ChannelwiseOps> Backward<B, 2> for DepthwiseBackward {
    type State = [NodeId; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [x, weight] = ops.state.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let (dx, dw) = B::blocked_depthwise_backward(x, weight, gradient, self.0);
        for (node, gradient) in ops.parents.into_iter().zip([dx, dw]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct MaxPoolBackward(Slide);

impl<B: ChannelwiseOps> Backward<B, 1> for MaxPoolBackward {
    type State = (NodeId, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, y) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<B>(node.id, B::blocked_max_pool_backward(x, y, gradient, self.0));
        }
    }
}

impl<B: ChannelwiseOps, C: CheckpointStrategy> ChannelwiseOps for Autodiff<B, C> {
    fn blocked_depthwise(x: FloatTensor<Self>, weight: FloatTensor<Self>, how: Slide) -> FloatTensor<Self> {
        match DepthwiseBackward(how).prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = [prep.checkpoint(&x), prep.checkpoint(&weight)];
                prep.finish(state, B::blocked_depthwise(x.into_primitive(), weight.into_primitive(), how))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::blocked_depthwise(x.into_primitive(), weight.into_primitive(), how))
            }
        }
    }

    fn blocked_depthwise_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        how: Slide,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [x, weight, gradient] = [x, weight, gradient].map(|t| t.into_primitive());
        let (dx, dw) = B::blocked_depthwise_backward(x, weight, gradient, how);
        (Self::from_inner(dx), Self::from_inner(dw))
    }

    fn blocked_max_pool(x: FloatTensor<Self>, how: Slide) -> FloatTensor<Self> {
        match MaxPoolBackward(how).prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let id = prep.checkpoint(&x);
                let y = B::blocked_max_pool(x.into_primitive(), how);
                prep.finish((id, y.clone()), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::blocked_max_pool(x.into_primitive(), how)),
        }
    }

    fn blocked_max_pool_backward(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        how: Slide,
    ) -> FloatTensor<Self> {
        let [x, y, gradient] = [x, y, gradient].map(|t| t.into_primitive());
        Self::from_inner(B::blocked_max_pool_backward(x, y, gradient, how))
    }
}
