//! Attention over pairs, triples and more: exact, streaming, forward and backward, on the processor.
//!
//! ```text
//! S[i, j1..] = scale · form(q[i], k1[j1], ..) (+ biases)
//! P          = softmax over all visible tuples of a row together
//! out[i]     = Σ P[i, j1..] v1[j1] ∘ v2[j2] ..      lse[i] = ln Σ exp S[i, ..]
//! ```
//!
//! Alman & Song, arXiv 2310.04064, for the operation; order 2 is ordinary softmax attention. No tensor of scores is ever
//! formed: memory grows with the tokens. The same input gives the same bits on any number of threads.
//!
//! [`Problem`] says what is to be computed, [`forward`] computes it over slices that the caller owns, contiguous or with
//! strides ([`Layout`]), of one sequence a batch entry or of several packed into one ([`Problem::packed`]); [`mod@reference`] is
//! the definition in double precision that the kernels are tested against.

mod backward;
mod bfloat16;
mod deal;
mod dropout;
mod element;
mod error;
mod form;
mod forward;
mod join;
mod layout;
mod look;
mod packed;
pub mod polynomial;
mod prepare;
mod problem;
pub mod reference;
mod rows;
mod scores;
mod strassen;
mod tree;
mod walk;

pub use backward::{Gradients, Upstream, backward, backward_workspace};
pub use element::Element;
pub use error::{Error, Result};
pub use form::{Channels, ScoreForm};
pub use forward::{Work, forward, forward_workspace};
pub use layout::{Layout, Strides};
pub use look::{look_workspace, marginals, weights};
pub use problem::{Bias, Dropout, Inputs, MOST_ORDER, MOST_WIDTH, Problem};
