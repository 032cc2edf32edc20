//! Masks in {0, 1} that decide who may see whom: tokens hidden from an encoder, and weights cut so that an output
//! depends on the inputs before it alone.

mod autoencoder;
mod made;

pub use autoencoder::{Masking, RandomMasking, RandomMaskingConfig, normalise_patches};
pub use made::{Made, MadeConfig};
