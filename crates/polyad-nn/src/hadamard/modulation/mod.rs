//! Dynamic modulation: masks, gates, recurrences, and products of weights.

pub mod pruning;
pub mod recurrence;
pub mod weights;
