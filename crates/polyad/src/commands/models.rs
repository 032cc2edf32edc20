//! The model that a command works with.

use crate::failure::{Failure, Result};
use crate::paths;
use polyad_shapes::Error;
use polyad_shapes::model::Model;
use std::fs;
use std::path::Path;

/// Where an index keeps the model it was built with, so that a search need not be told.
pub const IN_INDEX: &str = "model.safetensors";

/// Loads a model that was named on the command line.
pub fn load(path: &Path) -> Result<Model> {
    paths::file(path, "a model")?;
    Model::load(path).map_err(Failure::from)
}

/// The model named on the command line, or else the one that an index keeps.
pub fn of_index(named: Option<&Path>, index: &Path) -> Result<Model> {
    let kept = index.join(IN_INDEX);
    match named {
        Some(path) => load(path),
        None if kept.is_file() => load(&kept),
        None => Err(Failure::usage(format!("{} has no model yet, so --model is needed", index.display()))
            .with_hint("`polyad demo --out demo` makes a model, demo/model")),
    }
}

/// Puts a copy of the model's file into an index that has none. The copy is byte for byte: a model's identity is a
/// digest of its file.
pub fn keep(named: Option<&Path>, index: &Path) -> Result<()> {
    let kept = index.join(IN_INDEX);
    let Some(model) = named.filter(|_| !kept.is_file()) else { return Ok(()) };
    // Only one process writes to an index, so the name is free; what a killed one left there is written over.
    let unfinished = index.join("model.unfinished");
    let copied = fs::copy(model, &unfinished).and_then(|_| fs::rename(&unfinished, &kept));
    copied.map_err(|why| Error::io(&kept, why).into())
}
