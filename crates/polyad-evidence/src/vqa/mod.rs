//! Questions about pictures: which fusion of words and picture answers them, and how narrow it may be.
//!
//! ```text
//! picture --convolutions--> x     (learnt once, with a wide head that only puts both side by side; then left as it is)
//! words   --counts, two linear maps--> y
//! fusion(x, y) --> an answer
//! ```
//!
//! Every fusion has about as many parameters as the plain product of the same width, so that what differs is the fusion.

mod data;
mod network;
pub mod report;
mod study;

pub use data::{Part, Question, Questions, question_only};
pub use study::{Outcome, Study, Trial, study};
