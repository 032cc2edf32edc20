//! Attention among the views of a shape.

mod multi_head;

pub use multi_head::{MultiHeadAttention, MultiHeadAttentionConfig};
