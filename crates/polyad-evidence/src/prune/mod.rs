//! How many weights a trained VSFormer can do without: every way of choosing them, by the share that goes.
//!
//! ```text
//! model, shapes --polyad_shapes::train::prune--> a pruned model --test split--> accuracy; its file --> bytes
//! ```
//!
//! Each trial is a function of its method, sparsity and seed, so that a study which was stopped goes on, and any trial of it can
//! be made again alone, and written.

pub mod report;
mod study;

pub use study::{Dense, Layer, Outcome, Study, Trial, study, trial};
