//! Solids made of outlines and paths: what the generated parts of the demonstration and the generated shapes share.
//!
//! The same numbers give the same bytes on every machine: sines come from `libm`, and nothing is fused.

pub(crate) mod solid;
pub(crate) mod sweep;
