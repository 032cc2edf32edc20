//! Tensor attention as one Burn operation with a gradient of its own, on the processor (`Flex`).
//!
//! Operands travel as two tensors, so that the operation has the same form for every order: the queries, and all keys and
//! values one after the other (keys of each axis, then values of each). The output is `[rows, d_v + 1]`, its last column
//! lse, so that both have gradients.

use super::attend::Attend;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::TensorData;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};
use burn_flex::FlexTensor;
use polyad_attention::{
    Gradients as Slices, Inputs, Problem, Upstream, backward, backward_workspace, forward, forward_workspace,
};
use polyad_simd::level;

/// Attention over tuples.
#[backend_extension(Flex, Autodiff)]
pub trait TensorAttentionOps: Backend {
    /// out and lse: see [`super::tensor_attention`].
    fn tensor_attention(q: FloatTensor<Self>, tokens: FloatTensor<Self>, how: Attend) -> FloatTensor<Self>;

    /// The gradients of queries and tokens.
    fn tensor_attention_backward(
        q: FloatTensor<Self>,
        tokens: FloatTensor<Self>,
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        how: Attend,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Keys and values of each axis in what holds them all.
fn split<'a>(problem: &Problem, tokens: &'a [f32]) -> (Vec<&'a [f32]>, Vec<&'a [f32]>) {
    let mut rest = tokens;
    let mut take = |numbers: usize| {
        let (taken, others) = rest.split_at(numbers);
        rest = others;
        taken
    };
    let keys = (0..problem.keys.len()).map(|axis| take(problem.key_numbers(axis))).collect();
    (keys, (0..problem.keys.len()).map(|axis| take(problem.value_numbers(axis))).collect())
}

fn split_mut<'a>(problem: &Problem, tokens: &'a mut [f32]) -> (Vec<&'a mut [f32]>, Vec<&'a mut [f32]>) {
    let mut rest = tokens;
    let mut take = |numbers: usize| {
        let (taken, others) = std::mem::take(&mut rest).split_at_mut(numbers);
        rest = others;
        taken
    };
    let keys = (0..problem.keys.len()).map(|axis| take(problem.key_numbers(axis))).collect();
    (keys, (0..problem.keys.len()).map(|axis| take(problem.value_numbers(axis))).collect())
}

/// Splits rows of values and a number.
fn columns(rows: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = || rows.chunks_exact(width + 1);
    (rows().flat_map(|row| &row[..width]).copied().collect(), rows().map(|row| row[width]).collect())
}

/// Calls with the arrays as the kernels want them.
fn with_inputs<T>(how: &Attend, q: &[f32], tokens: &[f32], call: impl FnOnce(&Inputs) -> T) -> T {
    let (keys, values) = split(&how.problem, tokens);
    let hidden: Vec<Option<&[bool]>> = match &how.hidden {
        Some(hidden) => vec![Some(&**hidden); keys.len()],
        None => Vec::new(),
    };
    call(&Inputs { hidden: &hidden, ..Inputs::new(q, &keys, &values) })
}

/// What only a mistake of this module can bring about: [`super::tensor_attention`] has checked the problem.
const CHECKED: &str = "the problem was checked before the operation began";

impl TensorAttentionOps for Flex {
    fn tensor_attention(q: FlexTensor, tokens: FlexTensor, how: Attend) -> FlexTensor {
        let (q, tokens) = (q.to_contiguous(), tokens.to_contiguous());
        let problem = &how.problem;
        let (mut out, mut lse) = (vec![0.0; problem.out_numbers()], vec![0.0; problem.rows()]);
        let mut workspace = vec![0.0; forward_workspace(problem).expect(CHECKED)];
        with_inputs(&how, q.storage(), tokens.storage(), |inputs| {
            forward(problem, inputs, &mut out, &mut lse, &mut workspace, level()).expect(CHECKED);
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
        tokens: FlexTensor,
        output: FlexTensor,
        gradient: FlexTensor,
        how: Attend,
    ) -> (FlexTensor, FlexTensor) {
        let [q, tokens, output, gradient] = [q, tokens, output, gradient].map(|t| t.to_contiguous());
        let problem = &how.problem;
        let (out, lse) = columns(output.storage(), problem.value_width);
        let (dout, dlse) = columns(gradient.storage(), problem.value_width);
        let (mut dq, mut dtokens) = (vec![0.0; problem.query_numbers()], vec![0.0; tokens.shape()[0]]);
        let (keys, values) = split_mut(problem, &mut dtokens);
        with_inputs(&how, q.storage(), tokens.storage(), |inputs| {
            let mut workspace = vec![0.0; backward_workspace(problem, inputs).expect(CHECKED)];
            let upstream = Upstream { out: &out, lse: &lse, dout: &dout, dlse: Some(&dlse) };
            let mut to = Slices { q: &mut dq, keys, values, biases: Vec::new(), sink: None };
            backward(problem, inputs, &upstream, &mut to, &mut workspace, level()).expect(CHECKED);
        });
        let tensor = |values: Vec<f32>, like: &FlexTensor| FlexTensor::from_data(TensorData::new(values, like.shape()));
        (tensor(dq, &q), tensor(dtokens, &tokens))
    }
}

#[derive(Debug)]
struct AttendBackward(Attend);

impl<B: TensorAttentionOps> Backward<B, 2> for AttendBackward {
    type State = ([NodeId; 2], FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (ids, output) = ops.state;
        let [q, tokens] = ids.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let (dq, dtokens) = B::tensor_attention_backward(q, tokens, output, gradient, self.0);
        for (node, gradient) in ops.parents.into_iter().zip([dq, dtokens]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: TensorAttentionOps, C: CheckpointStrategy> TensorAttentionOps for Autodiff<B, C> {
    fn tensor_attention(q: FloatTensor<Self>, tokens: FloatTensor<Self>, how: Attend) -> FloatTensor<Self> {
        match AttendBackward(how.clone()).prepare::<C>([q.node(), tokens.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let ids = [prep.checkpoint(&q), prep.checkpoint(&tokens)];
                let output = B::tensor_attention(q.into_primitive(), tokens.into_primitive(), how);
                prep.finish((ids, output.clone()), output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::tensor_attention(q.into_primitive(), tokens.into_primitive(), how))
            }
        }
    }

    fn tensor_attention_backward(
        q: FloatTensor<Self>,
        tokens: FloatTensor<Self>,
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        how: Attend,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [q, tokens, output, gradient] = [q, tokens, output, gradient].map(|t| t.into_primitive());
        let (dq, dtokens) = B::tensor_attention_backward(q, tokens, output, gradient, how);
        (Self::from_inner(dq), Self::from_inner(dtokens))
    }
}
