//! The model that a command works with.

use crate::failure::{Failure, Result};
use crate::paths;
use polyad_shapes::model::Model;
use std::path::Path;

/// Loads a model that was named on the command line.
pub fn load(path: &Path) -> Result<Model> {
    paths::file(path, "a model")?;
    Model::load(path).map_err(Failure::from)
}
