//! Holes in photographs, filled.
//!
//! ```text
//! photograph, mask --harmonic::fill--> smooth fill --network--> what it lacks, added in the hole --> photograph
//! ```
//!
//! The harmonic fill solves Laplace's equation and is the best of the classical fills that were measured; the network of
//! gated or partial convolutions (arXiv 1806.03589, 1804.07723) learns the rest. Known pixels come back untouched.

pub mod harmonic;
pub mod mask;
pub mod measure;

pub use mask::Mask;
