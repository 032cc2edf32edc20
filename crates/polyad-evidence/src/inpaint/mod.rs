//! Holes in photographs, filled.
//!
//! ```text
//! photograph, mask --harmonic::fill--> smooth fill --network--> what it lacks, added in the hole --> photograph
//! ```
//!
//! The harmonic fill solves Laplace's equation and is the best of the classical fills that were measured; the network of
//! gated or partial convolutions (arXiv 1806.03589, 1804.07723) learns the rest. Known pixels come back untouched.

pub mod evaluate;
pub mod harmonic;
pub mod mask;
pub mod measure;
pub mod model;
pub mod photograph;
pub mod sheet;
pub mod train;

pub use evaluate::{Evaluation, evaluate};
pub use mask::Mask;
pub use model::InpaintModel;
pub use train::{InpaintRecipe, InpaintTrained, train};
