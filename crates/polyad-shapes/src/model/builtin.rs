//! The model in the box: it embeds any shape, in any pose, and knows no classes.
//!
//! `models/README.md` of this crate says where it comes from and how to make it again.

use super::Definition;
use crate::error::Result;
use std::path::Path;

/// The name that stands for it wherever a model is named.
pub const BUILTIN: &str = "builtin";

/// The bytes of its file.
pub fn builtin_bytes() -> &'static [u8] {
    include_bytes!("../../models/builtin.model")
}

impl Definition {
    /// The built-in model's.
    pub fn builtin() -> Result<Self> {
        Self::from_bytes(builtin_bytes()).map_err(|error| error.in_file("the built-in model"))
    }

    /// The model of a file, or the built-in one by its name.
    pub fn named(name: &Path) -> Result<Self> {
        if name == Path::new(BUILTIN) { Self::builtin() } else { Self::load(name) }
    }
}
