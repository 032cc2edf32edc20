//! A library of parts without a download: mechanical and household things, generated from a seed.
//!
//! [`families::generate`] makes a part; the same family and seed give the same bytes on every machine. Two pairs of
//! families ([`coded`]) differ in nothing but the parity of three features, so that neither one feature nor a pair of
//! them tells the class.

pub mod coded;
pub mod families;
mod hardware;
mod household;
mod random;
mod run;
mod solid;
pub mod stl;
mod sweep;

pub use run::{Demo, DemoOptions, run};
