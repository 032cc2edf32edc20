//! What the layers of `polyad-nn` are good for, on real data: each task reads a folder, learns, and measures itself against
//! what it has to beat.
//!
//! Nothing here prints or exits: long jobs report through a [`polyad_shapes::job::Job`], and the program draws.

pub mod error;
pub mod inpaint;
mod moments;
pub mod network_file;
pub mod prune;
pub mod vqa;

pub use error::{Error, Result};
