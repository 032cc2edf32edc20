//! Tensor attention as one Burn operation with a gradient of its own, on the processor (`Flex`).
//!
//! Operands travel as two tensors, so that the operation has the same form for every order: the queries, and all others
//! one after the other (keys of each axis, values of each, biases, the sink). The output is `[rows, d_v + 1]`, its last column
//! lse, so that both have gradients.

use super::attend::Call;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::TensorData;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};
use burn_flex::FlexTensor;
use polyad_attention::polynomial::{self, Outputs, certified, certified_backward};
use polyad_attention::{
    Bias, Gradients as Slices, Inputs, Upstream, backward, backward_workspace, forward, forward_workspace,
};
use polyad_simd::level;

/// Attention over tuples.
#[backend_extension(Flex, Autodiff)]
pub trait TensorAttentionOps: Backend {
    /// out and lse: see [`super::tensor_attention`].
    fn tensor_attention(q: FloatTensor<Self>, others: FloatTensor<Self>, call: Call) -> FloatTensor<Self>;

    /// The gradients of the queries and of all others.
    fn tensor_attention_backward(
        q: FloatTensor<Self>,
        others: FloatTensor<Self>,
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        call: Call,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// What stands one after the other in the second operand: keys of each axis, values of each, biases, the sink.
fn sizes(call: &Call) -> [Vec<usize>; 4] {
    let problem = &call.how.problem;
    let axes = || 0..problem.keys.len();
    [
        axes().map(|axis| problem.key_numbers(axis)).collect(),
        axes().map(|axis| problem.value_numbers(axis)).collect(),
        call.biases.iter().map(|(_, numbers)| *numbers).collect(),
        if call.sink { vec![problem.heads] } else { Vec::new() },
    ]
}

fn split<'a>(call: &Call, mut rest: &'a [f32]) -> [Vec<&'a [f32]>; 4] {
    sizes(call).map(|sizes| {
        let own = |numbers: usize| rest.split_off(..numbers).expect(CHECKED);
        sizes.into_iter().map(own).collect()
    })
}

fn split_mut<'a>(call: &Call, mut rest: &'a mut [f32]) -> [Vec<&'a mut [f32]>; 4] {
    sizes(call).map(|sizes| {
        let own = |numbers: usize| rest.split_off_mut(..numbers).expect(CHECKED);
        sizes.into_iter().map(own).collect()
    })
}

/// Splits rows of values and a number.
fn columns(rows: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = || rows.chunks_exact(width + 1);
    (rows().flat_map(|row| &row[..width]).copied().collect(), rows().map(|row| row[width]).collect())
}

/// Calls with the arrays as the kernels want them.
fn with_inputs<T>(call: &Call, q: &[f32], others: &[f32], then: impl FnOnce(&Inputs) -> T) -> T {
    let [keys, values, biases, sink] = split(call, others);
    let hidden: Vec<Option<&[bool]>> = match &call.how.hidden {
        Some(hidden) => vec![Some(&**hidden); keys.len()],
        None => Vec::new(),
    };
    let biases: Vec<Bias> =
        call.biases.iter().zip(biases).map(|((axes, _), values)| Bias { axes: *axes, values }).collect();
    then(&Inputs { hidden: &hidden, biases: &biases, sink: sink.first().copied(), ..Inputs::new(q, &keys, &values) })
}

/// What only a mistake of this module can bring about: [`super::tensor_attention`] has checked the problem.
const CHECKED: &str = "the problem was checked before the operation began";

impl TensorAttentionOps for Flex {
    fn tensor_attention(q: FlexTensor, others: FlexTensor, call: Call) -> FlexTensor {
        let (q, others) = (q.to_contiguous(), others.to_contiguous());
        let problem = &call.how.problem;
        let (mut out, mut lse) = (vec![0.0; problem.out_numbers()], vec![0.0; problem.rows()]);
        with_inputs(&call, q.storage(), others.storage(), |inputs| match &call.how.approximation {
            Some(options) => {
                let (mut certificate, mut lse_certificate) = (lse.clone(), lse.clone());
                let mut to = Outputs {
                    out: &mut out,
                    lse: &mut lse,
                    certificate: &mut certificate,
                    lse_certificate: &mut lse_certificate,
                    method: &mut vec![0; problem.rows()],
                };
                certified(problem, inputs, options, &mut to, level()).expect(CHECKED);
            }
            None => {
                let mut workspace = vec![0.0; forward_workspace(problem).expect(CHECKED)];
                forward(problem, inputs, &mut out, &mut lse, &mut workspace, level()).expect(CHECKED);
            }
        });
        let width = problem.value_width;
        let mut rows = Vec::with_capacity(problem.rows() * (width + 1));
        for (out, lse) in out.chunks_exact(width).zip(lse) {
            rows.extend_from_slice(out);
            rows.push(lse);
        }
        FlexTensor::from_data(TensorData::new(rows, [problem.rows(), width + 1]))
    }

    fn tensor_attention_backward(
        q: FlexTensor,
        others: FlexTensor,
        output: FlexTensor,
        gradient: FlexTensor,
        call: Call,
    ) -> (FlexTensor, FlexTensor) {
        let [q, others, output, gradient] = [q, others, output, gradient].map(|t| t.to_contiguous());
        let problem = &call.how.problem;
        let (out, lse) = columns(output.storage(), problem.value_width);
        let (dout, dlse) = columns(gradient.storage(), problem.value_width);
        let (mut dq, mut dothers) = (vec![0.0; problem.query_numbers()], vec![0.0; others.shape()[0]]);
        let [keys, values, biases, sink] = split_mut(&call, &mut dothers);
        with_inputs(&call, q.storage(), others.storage(), |inputs| {
            let mut to = Slices { q: &mut dq, keys, values, biases, sink: sink.into_iter().next() };
            if let Some(options) = &call.how.approximation {
                let upstream = polynomial::Upstream { dout: &dout, dlse: Some(&dlse) };
                certified_backward(problem, inputs, options, &upstream, &mut to, level()).expect(CHECKED);
                return;
            }
            let mut workspace = vec![0.0; backward_workspace(problem, inputs).expect(CHECKED)];
            let upstream = Upstream { out: &out, lse: &lse, dout: &dout, dlse: Some(&dlse) };
            backward(problem, inputs, &upstream, &mut to, &mut workspace, level()).expect(CHECKED);
        });
        let tensor = |values: Vec<f32>, like: &FlexTensor| FlexTensor::from_data(TensorData::new(values, like.shape()));
        (tensor(dq, &q), tensor(dothers, &others))
    }
}

#[derive(Debug)]
struct AttendBackward(Call);

impl<B: TensorAttentionOps> Backward<B, 2> for AttendBackward {
    type State = ([NodeId; 2], FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (ids, output) = ops.state;
        let [q, others] = ids.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let (dq, dothers) = B::tensor_attention_backward(q, others, output, gradient, self.0);
        for (node, gradient) in ops.parents.into_iter().zip([dq, dothers]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: TensorAttentionOps, C: CheckpointStrategy> TensorAttentionOps for Autodiff<B, C> {
    fn tensor_attention(q: FloatTensor<Self>, others: FloatTensor<Self>, call: Call) -> FloatTensor<Self> {
        match AttendBackward(call.clone()).prepare::<C>([q.node(), others.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let ids = [prep.checkpoint(&q), prep.checkpoint(&others)];
                let output = B::tensor_attention(q.into_primitive(), others.into_primitive(), call);
                prep.finish((ids, output.clone()), output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::tensor_attention(q.into_primitive(), others.into_primitive(), call))
            }
        }
    }

    fn tensor_attention_backward(
        q: FloatTensor<Self>,
        others: FloatTensor<Self>,
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        call: Call,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [q, others, output, gradient] = [q, others, output, gradient].map(|t| t.into_primitive());
        let (dq, dothers) = B::tensor_attention_backward(q, others, output, gradient, call);
        (Self::from_inner(dq), Self::from_inner(dothers))
    }
}
