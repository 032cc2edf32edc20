//! What flows through a network along its paths: the sums that SynFlow scores weights by (Tanaka et al., arXiv 2006.05467).
//!
//! The paper's networks are linear layers and ReLU, whose paths all add once weights are replaced by their sizes. A transformer
//! also subtracts means and weighs views by products, so here
//!
//! - layer norms and GELU are left out; batch norms keep their running statistics, which are those of a fresh network;
//! - there is one view, on which attention gives the values as they are. Queries and keys would then count for nothing, and
//!   all go first: they are taken as paths beside the values.
//!
//! So the flow is linear in each layer's weights, and none goes empty before the others (see
//! [`synflow`](fn@polyad_nn::hadamard::modulation::pruning::synflow)).

use super::encoder::{EncoderBlock, ViewAttention};
use super::network::VsFormer;
use crate::error::Result;
use burn::nn::Linear;
use burn::tensor::Tensor;

impl VsFormer {
    /// What reaches the scores from one view, for a network of positive weights.
    ///
    /// # Shapes
    /// - view: `[1, dim]`, what the initializer makes of ones
    /// - output: `[1, classes]`
    ///
    /// # Errors
    /// Where the network has no classes.
    pub fn flow(&self, view: Tensor<2>) -> Result<Tensor<2>> {
        let view = self.encoder.blocks.iter().fold(view, |x, block| through(block, x));
        // The maximum and the mean of one view.
        self.logits(Tensor::cat(vec![view.clone(), view], 1))
    }
}

fn through(block: &EncoderBlock, x: Tensor<2>) -> Tensor<2> {
    let (inward, output): (Vec<&Linear>, &Linear) = match &block.attention {
        ViewAttention::Pairs(attention) => {
            (vec![&attention.query, &attention.key, &attention.value], &attention.output)
        }
        ViewAttention::Tuples(attention) => {
            let beside = attention.keys.iter().chain(&attention.values);
            (std::iter::once(&attention.query).chain(beside).collect(), &attention.output)
        }
    };
    let attended = inward.into_iter().map(|layer| layer.forward(x.clone())).reduce(|sum, y| sum + y);
    let x = x + output.forward(attended.expect("a query"));
    x.clone() + block.contract.forward(block.expand.forward(x))
}
