//! Attention among the views of a shape, or any tokens: pairs, triples and more.

mod multi_head;
mod tensor;

pub use multi_head::{MultiHeadAttention, MultiHeadAttentionConfig};
pub use polyad_attention::{MOST_WIDTH, ScoreForm};
pub use tensor::{Attend, Attended, TensorAttention, TensorAttentionCache, TensorAttentionConfig, tensor_attention};
