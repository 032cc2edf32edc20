//! The readers of `polyad-shapes` alone: the same files, without the networks that the sanitiser would
//! otherwise compile for minutes. The library is called as the crate is, so that targets read alike.

#[path = "../../crates/polyad-shapes/src/error.rs"]
pub mod error;
#[path = "../../crates/polyad-shapes/src/job.rs"]
pub mod job;
#[path = "../../crates/polyad-shapes/src/mesh/mod.rs"]
pub mod mesh;
#[path = "../../crates/polyad-shapes/src/read/mod.rs"]
pub mod read;
#[path = "../../crates/polyad-shapes/src/source/mod.rs"]
pub mod source;
#[path = "../../crates/polyad-shapes/src/view_set.rs"]
pub mod view_set;

pub use error::{Error, Result};
