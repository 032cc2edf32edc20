//! The blocked operations as Burn operations with gradients of their own, on the processor (`Flex`).

use super::convolution::{self, Geometry};
use super::norm::{self, Extent};
use super::{Padding, Precision, tiles};
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::TensorData;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};
use burn_flex::FlexTensor;
use polyad_simd::LANES;
use polyad_simd::conv::Cut;

/// How a kernel moves over its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stride {
    /// Input pixels from an output pixel to the next.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: Padding,
    /// What is multiplied.
    pub precision: Precision,
}

/// Whether and how a normalised sum is cut off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormOptions {
    /// The range that it is cut to.
    pub cut: Cut,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Operations of image networks in blocked layout.
#[backend_extension(Flex, Autodiff)]
pub trait BlockedOps: Backend {
    /// A convolution: see [`super::conv2d`].
    fn blocked_conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, how: Stride) -> FloatTensor<Self>;

    /// The gradients of [`BlockedOps::blocked_conv`] for input (empty unless `for_input`) and weights.
    fn blocked_conv_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        how: Stride,
        for_input: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Batch normalisation with batch statistics: see [`super::norm`]. Gives the output and `[2, channels]`: mean
    /// and biased variance, which carry no gradient.
    fn blocked_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        options: NormOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradients of [`BlockedOps::blocked_norm`] for input, γ, β and residual.
    fn blocked_norm_backward(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: NormOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `cut(x · scale + shift + residual)`: see [`super::norm`]. Carries no gradient.
    fn blocked_affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        cut: Cut,
    ) -> FloatTensor<Self>;
}

pub(super) fn tensor(values: Vec<f32>, shape: impl Into<burn::tensor::Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn geometry(x: &FlexTensor, weight: &FlexTensor, how: Stride) -> Geometry {
    let x: Vec<usize> = x.shape().to_vec();
    let w: Vec<usize> = weight.shape().to_vec();
    let planar = x.len() == 4;
    let (height, width) = (x[2], x[3]);
    Geometry {
        images: x[0],
        inputs: w[1],
        outputs: w[0],
        height,
        width,
        kernel: w[2],
        stride: how.stride,
        padding: how.padding,
        planar,
    }
}

/// Pictures have too few channels to fill tiles, which take whole blocks.
fn by_tiles(g: &Geometry, how: Stride) -> bool {
    let whole = g.inputs.is_multiple_of(LANES) && g.outputs.is_multiple_of(LANES);
    how.precision == Precision::Bfloat16 && !g.planar && whole
}

fn extent(x: &FlexTensor) -> Extent {
    let shape = x.shape();
    Extent { images: shape[0], blocks: shape[1], pixels: shape[2] * shape[3] }
}

impl BlockedOps for Flex {
    fn blocked_conv(x: FlexTensor, weight: FlexTensor, how: Stride) -> FlexTensor {
        let g = geometry(&x, &weight, how);
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let forward = if by_tiles(&g, how) { tiles::forward } else { convolution::forward };
        let output = forward(&g, x.storage(), weight.storage());
        tensor(output, [g.images, g.outputs.div_ceil(LANES), g.out_height(), g.out_width(), LANES])
    }

    fn blocked_conv_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        how: Stride,
        for_input: bool,
    ) -> (FlexTensor, FlexTensor) {
        let g = geometry(&x, &weight, how);
        let (x, weight, gradient) = (x.to_contiguous(), weight.to_contiguous(), gradient.to_contiguous());
        let by_tiles = by_tiles(&g, how);
        let weight_gradient = if by_tiles { tiles::weight_gradient } else { convolution::weight_gradient };
        let for_weight = weight_gradient(&g, x.storage(), gradient.storage());
        let for_weight = tensor(for_weight, weight.shape());
        if for_input {
            let input_gradient = if by_tiles { tiles::input_gradient } else { convolution::input_gradient };
            let for_input = input_gradient(&g, weight.storage(), gradient.storage());
            (tensor(for_input, x.shape()), for_weight)
        } else {
            (tensor(Vec::new(), [0]), for_weight)
        }
    }

    fn blocked_norm(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        residual: FlexTensor,
        options: NormOptions,
    ) -> (FlexTensor, FlexTensor) {
        let extent = extent(&x);
        let [x, gamma, beta, residual] = [x, gamma, beta, residual].map(|t| t.to_contiguous());
        let (mean, variance) = norm::statistics(&extent, x.storage());
        let (scale, shift): (Vec<f32>, Vec<f32>) = mean
            .iter()
            .zip(&variance)
            .zip(gamma.storage::<f32>().iter().zip(beta.storage::<f32>()))
            .map(|((mean, variance), (gamma, beta))| {
                let scale = gamma * rstd(*variance, options.epsilon);
                (scale, beta - mean * scale)
            })
            .unzip();
        let y = norm::affine(&extent, x.storage(), &scale, &shift, residual.storage(), options.cut);
        let channels = mean.len();
        (tensor(y, x.shape()), tensor([mean, variance].concat(), [2, channels]))
    }

    fn blocked_norm_backward(
        x: FlexTensor,
        y: FlexTensor,
        gamma: FlexTensor,
        statistics: FlexTensor,
        gradient: FlexTensor,
        options: NormOptions,
    ) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
        let extent = extent(&x);
        let [x, y, gamma, statistics, gradient] = [x, y, gamma, statistics, gradient].map(|t| t.to_contiguous());
        let channels = extent.blocks * LANES;
        let (mean, variance) = statistics.storage::<f32>().split_at(channels);
        let rstd: Vec<f32> = variance.iter().map(|v| rstd(*v, options.epsilon)).collect();
        let gradients = norm::backward(
            &extent,
            x.storage(),
            y.storage(),
            gamma.storage(),
            (mean, &rstd),
            gradient.storage(),
            options.cut,
        );
        (
            tensor(gradients.input, x.shape()),
            tensor(gradients.gamma, [channels]),
            tensor(gradients.beta, [channels]),
            tensor(gradients.residual, x.shape()),
        )
    }

    fn blocked_affine(
        x: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        residual: FlexTensor,
        cut: Cut,
    ) -> FlexTensor {
        let extent = extent(&x);
        let [x, scale, shift, residual] = [x, scale, shift, residual].map(|t| t.to_contiguous());
        let y = norm::affine(&extent, x.storage(), scale.storage(), shift.storage(), residual.storage(), cut);
        tensor(y, x.shape())
    }
}

fn rstd(variance: f32, epsilon: f64) -> f32 {
    (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32
}

#[derive(Debug)]
struct ConvBackward(Stride);

impl<B: BlockedOps> Backward<B, 2> for ConvBackward {
    type State = [NodeId; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [x, weight] = ops.state.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let [for_x, for_weight] = ops.parents;
        let (dx, dw) = B::blocked_conv_backward(x, weight, gradient, self.0, for_x.is_some());
        for (node, gradient) in [(for_x, dx), (for_weight, dw)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct NormBackward(NormOptions);

impl<B: BlockedOps> Backward<B, 4> for NormBackward {
    type State = ([NodeId; 2], FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (ids, y, statistics) = ops.state;
        let [x, gamma] = ids.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let (dx, dgamma, dbeta, dresidual) = B::blocked_norm_backward(x, y, gamma, statistics, gradient, self.0);
        for (node, gradient) in ops.parents.into_iter().zip([dx, dgamma, dbeta, dresidual]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: BlockedOps, C: CheckpointStrategy> BlockedOps for Autodiff<B, C> {
    fn blocked_conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, how: Stride) -> FloatTensor<Self> {
        match ConvBackward(how).prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = [prep.checkpoint(&x), prep.checkpoint(&weight)];
                prep.finish(state, B::blocked_conv(x.into_primitive(), weight.into_primitive(), how))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::blocked_conv(x.into_primitive(), weight.into_primitive(), how)),
        }
    }

    fn blocked_conv_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        how: Stride,
        for_input: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let inner = |t: FloatTensor<Self>| t.into_primitive();
        let (dx, dw) = B::blocked_conv_backward(inner(x), inner(weight), inner(gradient), how, for_input);
        (Self::from_inner(dx), Self::from_inner(dw))
    }

    fn blocked_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        options: NormOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node(), residual.node()];
        match NormBackward(options).prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let ids = [prep.checkpoint(&x), prep.checkpoint(&gamma)];
                let [x, gamma, beta, residual] = [x, gamma, beta, residual].map(|t| t.into_primitive());
                let (y, statistics) = B::blocked_norm(x, gamma, beta, residual, options);
                (prep.finish((ids, y.clone(), statistics.clone()), y), Self::from_inner(statistics))
            }
            OpsKind::UnTracked(prep) => {
                let [x, gamma, beta, residual] = [x, gamma, beta, residual].map(|t| t.into_primitive());
                let (y, statistics) = B::blocked_norm(x, gamma, beta, residual, options);
                (prep.finish(y), Self::from_inner(statistics))
            }
        }
    }

    fn blocked_norm_backward(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: NormOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, y, gamma, statistics, gradient] = [x, y, gamma, statistics, gradient].map(|t| t.into_primitive());
        let (dx, dgamma, dbeta, dr) = B::blocked_norm_backward(x, y, gamma, statistics, gradient, options);
        (Self::from_inner(dx), Self::from_inner(dgamma), Self::from_inner(dbeta), Self::from_inner(dr))
    }

    fn blocked_affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        cut: Cut,
    ) -> FloatTensor<Self> {
        let [x, scale, shift, residual] = [x, scale, shift, residual].map(|t| t.into_primitive());
        Self::from_inner(B::blocked_affine(x, scale, shift, residual, cut))
    }
}
