//! The linear maps around an operator of queries, keys and values.

use crate::error::{Error, Result};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// `q = W_q x`, `k = W_k x`, `v = W_v x`, and `W_o` behind the operator.
#[derive(Module, Debug)]
pub struct Projections {
    /// `[channels, channels]` and a bias.
    pub query: Linear,
    /// The same.
    pub key: Linear,
    /// The same.
    pub value: Linear,
    /// The same.
    pub output: Linear,
}

impl Projections {
    pub(super) fn new(channels: usize, device: &Device) -> Self {
        let linear = || LinearConfig::new(channels, channels).init(device);
        Projections { query: linear(), key: linear(), value: linear(), output: linear() }
    }

    /// Queries, keys and values.
    pub(super) fn split(&self, x: Tensor<3>) -> [Tensor<3>; 3] {
        [self.query.forward(x.clone()), self.key.forward(x.clone()), self.value.forward(x)]
    }

    pub(super) fn describe(&self, trace: &mut Trace, x: &Signal) -> [Signal; 3] {
        let query = trace.linear("query", &self.query, x);
        let key = trace.linear("key", &self.key, x);
        let value = trace.linear("value", &self.value, x);
        [query, key, value]
    }
}

/// Refuses heads that do not divide the channels.
pub(super) fn divides(module: &'static str, channels: usize, heads: usize) -> Result<()> {
    if channels.is_multiple_of(heads) {
        Ok(())
    } else {
        Err(Error::config(module, format!("channels {channels} is not a multiple of heads {heads}")))
    }
}

/// `[n, tokens, channels]` to `[n, heads, tokens, channels / heads]`.
pub(super) fn into_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [n, tokens, channels] = x.dims();
    x.reshape([n, tokens, heads, channels / heads]).swap_dims(1, 2)
}

/// `[n, heads, tokens, d]` to `[n, tokens, heads · d]`.
pub(super) fn out_of_heads(x: Tensor<4>) -> Tensor<3> {
    let [n, heads, tokens, d] = x.dims();
    x.swap_dims(1, 2).reshape([n, tokens, heads * d])
}
