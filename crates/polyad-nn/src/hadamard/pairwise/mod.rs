//! Efficient pairwise operators: relatives of attention, most of which never hold a score for each pair of tokens.
//!
//! Most aggregate the tokens and modulate each by the result, `y_i = q_i ∘ Σ_j w_ij k_j ∘ v_j`. For N tokens of C
//! channels:
//!
//! | layer | multiply-adds beside linear maps | streams with a state of |
//! |---|---|---|
//! | [`hydra`], [`poly_nl`], [`pom`], simple [`aft`] | none: linear in N, element by element | C or 3C numbers |
//! | [`linear_attention`], [`cosformer`] | 2NCd, 4NCd for heads of d | d² or 2d² numbers a head |
//! | local [`aft`] | 2NC times three windows, or three blocks of 32 | the window and 3C numbers |
//! | [`focal`], [`large_kernel`] | N times their kernels, on images | – |
//! | [`hyena`] | N log N, a Fourier transform | – |
//! | full [`aft`], [`poly_attn`], [`gmlp`] | quadratic in N | all tokens so far |
//! | [`glu`] | none: each token alone | nothing |
//!
//! A layer that streams has `forward_causal`, where a token sees itself and earlier ones, and `forward_with_state`,
//! which goes on where an earlier call stopped: the same numbers, however the tokens are cut into chunks.

pub mod aft;
pub mod cosformer;
pub mod focal;
pub mod glu;
pub mod gmlp;
pub mod hydra;
pub mod hyena;
pub mod large_kernel;
pub mod linear_attention;
pub mod poly_attn;
pub mod poly_nl;
pub mod pom;
pub mod prefix;
pub mod projections;

#[cfg(test)]
mod check;
