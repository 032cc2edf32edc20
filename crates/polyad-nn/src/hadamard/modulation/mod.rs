//! Dynamic modulation: masks, gates, recurrences, and products of weights.

pub mod convolution;
#[cfg(test)]
mod jacobian;
pub mod masked;
pub mod noise;
