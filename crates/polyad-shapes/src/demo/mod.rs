//! A library of parts without a download: mechanical and household things, generated from a seed.
//!
//! [`families::generate`] makes a part; the same family and seed give the same bytes on every machine. Eight families
//! ([`coded`]) differ in nothing but a triple of features, of which neither one nor a pair tells the family. [`run`]
//! trains on them, measures, searches and reports.

pub mod coded;
pub mod families;
mod hardware;
mod household;
mod run;
pub mod stl;

pub use run::{Demo, DemoOptions, run};
