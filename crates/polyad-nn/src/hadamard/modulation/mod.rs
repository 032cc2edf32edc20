//! Dynamic modulation: masks, gates, recurrences, and products of weights.

pub mod recurrence;
