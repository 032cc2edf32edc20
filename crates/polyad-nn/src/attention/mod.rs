//! Attention among the views of a shape, or any tokens: pairs, triples and more.

mod multi_head;
mod tensor;

pub use multi_head::{MultiHeadAttention, MultiHeadAttentionConfig};
pub use polyad_attention::{Dropout, MOST_WIDTH, Problem, ScoreForm};
pub use tensor::{
    Attend, Attended, Operands, PairBias, TensorAttention, TensorAttentionCache, TensorAttentionConfig,
    tensor_attention,
};
