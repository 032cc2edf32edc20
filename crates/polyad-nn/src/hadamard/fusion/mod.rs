//! Multimodal fusion: two signals, such as a question and an image, become one.
//!
//! | kind | layers | what meets |
//! |---|---|---|
//! | bilinear forms of two vectors | [`product`], [`mcb`], [`mutan`], [`mfb`], [`block`], [`lmf`] | `Σ_ij T_kij x_i y_j`, T of low rank or sketched |
//! | products of higher order | [`cope`], [`mfb`] of several blocks | monomials of both up to a degree |
//! | gates and controls | [`gmu`], [`concatenation`] | a mean weighted by a gate; sums alone |
//! | one signal sets scale and shift of another | [`film`], [`conditional_norm`], [`spade`], [`adain`] | `γ(y) ∘ x + β(y)` |
//! | attention over all pairs | [`ban`] | `f_k = Σ_vq A_vq (U x_v)_k (V y_q)_k` |
//!
//! [`any`] makes each of those that take two vectors behind one `forward`, and of a size that meets a budget.

pub mod adain;
pub mod any;
pub mod ban;
pub mod block;
pub mod concatenation;
pub mod conditional_norm;
pub mod cope;
pub mod film;
pub mod gmu;
pub mod lmf;
pub mod mcb;
pub mod mfb;
pub mod mutan;
mod plain_norm;
pub mod product;
pub mod signed_root;
pub mod spade;
