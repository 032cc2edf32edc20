//! The model that a command works with.

use crate::args::PrecisionArgs;
use crate::failure::Result;
use crate::paths;
use polyad_shapes::Error;
use polyad_shapes::model::{BUILTIN, Definition, Model, builtin_bytes};
use std::fs;
use std::path::Path;

/// Where an index keeps the model it was built with, so that a search need not be told.
pub const IN_INDEX: &str = "model.safetensors";

/// The file of the model that was named on the command line. There is none of the built-in one, which is meant where
/// nothing is named.
fn file_of(named: Option<&Path>) -> Option<&Path> {
    named.filter(|path| *path != Path::new(BUILTIN))
}

/// How messages call the model that was named on the command line.
pub fn name(named: Option<&Path>) -> String {
    file_of(named).map_or_else(|| "the built-in model".to_owned(), |path| path.display().to_string())
}

/// Loads the model that was named on the command line; in bfloat16, where that is wanted and the processor can.
pub fn load(named: Option<&Path>, precision: PrecisionArgs) -> Result<Model> {
    let model = match file_of(named) {
        Some(path) => {
            paths::file(path, "a model")?;
            Model::load(path)?
        }
        None => Model::builtin()?,
    };
    Ok(if precision.bfloat16 { model.with_bfloat16() } else { model })
}

/// The network and header of the model that was named on the command line.
pub fn definition(named: &Path) -> Result<Definition> {
    if named != Path::new(BUILTIN) {
        paths::file(named, "a model")?;
    }
    Ok(Definition::named(named)?)
}

/// The model named on the command line, or else the one that an index keeps, or else the built-in one.
pub fn of_index(named: Option<&Path>, index: &Path, precision: PrecisionArgs) -> Result<Model> {
    let kept = index.join(IN_INDEX);
    let named = if named.is_none() && kept.is_file() { Some(kept.as_path()) } else { named };
    load(named, precision)
}

/// Puts a copy of the model's file into an index that has none. The copy is byte for byte: a model's identity is a
/// digest of its file, and another version of polyad may have another built-in model.
pub fn keep(named: Option<&Path>, index: &Path) -> Result<()> {
    let kept = index.join(IN_INDEX);
    if kept.is_file() {
        return Ok(());
    }
    // Only one process writes to an index, so the name is free; what a killed one left there is written over.
    let unfinished = index.join("model.unfinished");
    let copied = match file_of(named) {
        Some(path) => fs::copy(path, &unfinished).map(|_| ()),
        None => fs::write(&unfinished, builtin_bytes()),
    };
    copied.and_then(|()| fs::rename(&unfinished, &kept)).map_err(|why| Error::io(&kept, why).into())
}
