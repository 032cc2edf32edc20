//! Dynamic modulation: masks, gates, recurrences, and products of weights.

pub mod convolution;
pub mod noise;
