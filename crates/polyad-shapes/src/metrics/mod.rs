//! How well shapes are told apart and found again.
//!
//! [`classification`]: confusion, accuracies, Wilson's interval. [`retrieval`]: nearest neighbour, tiers, mean average
//! precision and their kin, from embeddings. [`shrec17`]: the measures of SHREC'17, from lists on disk.

pub mod classification;
pub mod retrieval;
pub mod shrec17;
