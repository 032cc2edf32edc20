//! Dynamic modulation: masks, gates, recurrences, and products of weights.

pub mod adaln;
pub mod convolution;
pub mod flow;
pub mod inpainting;
#[cfg(test)]
mod jacobian;
pub mod masked;
pub mod noise;
pub mod pruning;
pub mod recurrence;
pub mod weights;
