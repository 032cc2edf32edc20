//! Burn modules of polyad: image networks and what they are made of.

pub mod backbone;
pub mod blocked;
