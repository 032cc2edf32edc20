//! Normalisation.

mod batch;

pub use batch::{BatchNorm, BatchNormConfig};
