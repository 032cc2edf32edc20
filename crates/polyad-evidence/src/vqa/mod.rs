//! Questions about pictures: which fusion of words and picture answers them, and how narrow it may be.
//!
//! ```text
//! picture --convolutions--> x     (learnt once, with a wide head that only concatenates; then left as it is)
//! words   --counts, two linear maps--> y
//! fusion(x, y) --linear--> an answer
//! ```
//!
//! Every fusion has about as many parameters as the plain product of the same width, so that what differs is the fusion.

mod data;

pub use data::{Part, Question, Questions, question_only};
