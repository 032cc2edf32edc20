//! Multi-head attention among the views of a shape (Vaswani et al., arXiv 1706.03762).
//!
//! ```text
//! out = concat over heads h of softmax(q_h k_hᵀ / sqrt(d / heads)) v_h, times an output matrix, plus a bias
//! ```
//!
//! Views that are absent are masked as keys. Rows of absent queries are computed all the same, from visible keys, so
//! they stay finite; whoever pools over views must leave them out.

use crate::engine::parts;
use crate::error::{Error, Result, nonzero, probability};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor};

/// How a [`MultiHeadAttention`] is made.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiHeadAttentionConfig {
    /// Numbers a view.
    pub dim: usize,
    /// Heads, which divide `dim`.
    pub heads: usize,
    /// Dropout on the attention probabilities.
    pub dropout: f64,
}

/// Self-attention of order 2: pairs of views interact.
#[derive(Module, Debug)]
pub struct MultiHeadAttention {
    /// `[dim, dim]`, no bias.
    pub query: Linear,
    /// `[dim, dim]`, no bias.
    pub key: Linear,
    /// `[dim, dim]`, no bias.
    pub value: Linear,
    /// `[dim, dim]` and a bias.
    pub output: Linear,
    dropout: Dropout,
    heads: usize,
}

impl MultiHeadAttentionConfig {
    /// Makes the layer with PyTorch's initialisation. Heads that do not divide the width are refused.
    pub fn init(&self, device: &Device) -> Result<MultiHeadAttention> {
        nonzero("attention", &[("dim", self.dim), ("heads", self.heads)])?;
        probability("attention", "dropout", self.dropout)?;
        if !self.dim.is_multiple_of(self.heads) {
            return Err(Error::config("attention", format!("{} heads do not divide dim {}", self.heads, self.dim)));
        }
        let linear = |bias| LinearConfig::new(self.dim, self.dim).with_bias(bias).init(device);
        Ok(MultiHeadAttention {
            query: linear(false),
            key: linear(false),
            value: linear(false),
            output: linear(true),
            dropout: DropoutConfig::new(self.dropout).init(),
            heads: self.heads,
        })
    }
}

impl MultiHeadAttention {
    /// Lets every view attend to all visible views of its shape.
    ///
    /// # Shapes
    /// - views: `[shapes, views, dim]`
    /// - absent: `[shapes, views]`, true where there is no view; every shape has at least one. `None`: all are there
    /// - output: `[shapes, views, dim]`; rows of absent views are finite and mean nothing
    pub fn forward(&self, views: Tensor<3>, absent: Option<Tensor<2, Bool>>) -> Tensor<3> {
        let [shapes, count, dim] = views.dims();
        let width = dim / self.heads;
        let split = |x: Tensor<3>| x.reshape([shapes, count, self.heads, width]).swap_dims(1, 2);

        let q = split(self.query.forward(views.clone())).mul_scalar(1.0 / (width as f64).sqrt());
        let k = split(self.key.forward(views.clone()));
        let v = split(self.value.forward(views));

        let scores = q.matmul(k.transpose());
        let scores = match absent {
            // At least one key of a row is visible, so the row's maximum is finite and no weight becomes NaN.
            Some(absent) => scores.mask_fill(
                absent.reshape([shapes, 1, 1, count]).expand([shapes, self.heads, count, count]),
                f32::NEG_INFINITY,
            ),
            None => scores,
        };
        let weights = self.dropout.forward(softmax(scores, 3));
        let mixed = weights.matmul(v).swap_dims(1, 2).reshape([shapes, count, dim]);
        self.output.forward(mixed)
    }

    /// The layer at inference, without a framework.
    pub fn to_run(&self) -> Result<polyad_run::Attention> {
        let width = self.query.weight.dims()[1] / self.heads;
        Ok(polyad_run::Attention {
            heads: self.heads,
            scale: (1.0 / (width as f64).sqrt()) as f32,
            query: parts::linear(&self.query, None)?,
            keys: vec![parts::linear(&self.key, None)?],
            values: vec![parts::linear(&self.value, None)?],
            output: parts::linear(&self.output, None)?,
            gains: Vec::new(),
        })
    }
}

impl Describe for MultiHeadAttention {
    fn describe(&self, trace: &mut Trace, views: Signal) -> Signal {
        let [count, dim] = [views.shape()[0], views.shape()[1]];
        let q = trace.linear("query", &self.query, &views);
        let k = trace.linear("key", &self.key, &views);
        let v = trace.linear("value", &self.value, &views);
        let scores = trace.matmul("scores", &q, &k, count * count * dim, &[self.heads, count, count]);
        let weights = trace.activation("softmax", 0, &scores);
        let mixed = trace.matmul("mixed", &weights, &v, count * count * dim, &[count, dim]);
        trace.linear("output", &self.output, &mixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    fn layer(dim: usize, heads: usize) -> MultiHeadAttention {
        MultiHeadAttentionConfig { dim, heads, dropout: 0.1 }.init(&Device::flex()).expect("sizes that fit")
    }

    fn difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
        (a - b).abs().max().into_scalar()
    }

    #[test]
    fn one_view_returns_its_own_value() {
        let layer = layer(8, 2);
        let x = Tensor::<3>::random([3, 1, 8], Distribution::Normal(0.0, 1.0), &Device::flex());
        let expected = layer.output.forward(layer.value.forward(x.clone()));
        assert!(difference(layer.forward(x, None), expected) < 1e-6);
    }

    #[test]
    fn what_an_absent_view_holds_does_not_matter() {
        let device = Device::flex();
        let layer = layer(8, 2);
        let visible = Tensor::<3>::random([1, 3, 8], Distribution::Normal(0.0, 1.0), &device);
        let junk = Tensor::<3>::random([1, 2, 8], Distribution::Normal(0.0, 1e3), &device);
        let absent = Tensor::<2, Bool>::from_data([[false, false, false, true, true]], &device);
        let padded = layer.forward(Tensor::cat(vec![visible.clone(), junk], 1), Some(absent));
        assert!(difference(padded.slice([0..1, 0..3]), layer.forward(visible, None)) < 1e-5);
    }

    #[test]
    fn permuted_views_give_permuted_rows() {
        let device = Device::flex();
        let layer = layer(8, 4);
        let x = Tensor::<3>::random([2, 5, 8], Distribution::Normal(0.0, 1.0), &device);
        let permuted = layer.forward(x.clone().flip([1]), None);
        assert!(difference(permuted, layer.forward(x, None).flip([1])) < 1e-5);
    }

    #[test]
    fn heads_that_do_not_divide_are_refused_with_both_sizes() {
        let error = MultiHeadAttentionConfig { dim: 10, heads: 4, dropout: 0.1 }.init(&Device::flex());
        let message = error.expect_err("4 does not divide 10").to_string();
        assert!(message.contains("10") && message.contains('4'), "{message}");
    }
}
