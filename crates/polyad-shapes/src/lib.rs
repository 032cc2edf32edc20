//! 3-D shapes, from a file to its neighbours.
//!
//! ```text
//! file --read--> Mesh --normalise--> Mesh --render--> ViewSet --VSFormer--> Embedding / ClassScores
//!                                                               |--> Index.insert / Index.search --> neighbours --> metrics, page
//! ```
//!
//! Each arrow is a function between plain values, so that each can be used, tested and replaced alone.
//! Nothing here prints or exits: long jobs report through a [`job::Job`], and the program draws.

mod build;
pub mod demo;
pub mod distil;
pub mod draw;
pub mod embedding;
pub mod error;
pub mod evaluate;
pub mod gallery;
pub mod generate;
pub mod index;
pub mod job;
pub mod mesh;
pub mod metrics;
pub mod model;
pub mod normalise;
pub mod random;
pub mod read;
pub mod render;
pub mod report;
pub mod source;
pub mod states;
pub mod train;
mod vector;
pub mod view_set;
pub mod vsformer;
pub mod whole_file;

pub use error::{Error, Result};
