//! Maps a model's file into memory. This module holds the only `unsafe` of the crate's models.

use crate::error::{Error, Result};
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;

/// The bytes of a file, which the system reads when they are looked at and may drop again.
///
/// A file that somebody cuts short while it is mapped would end the process with SIGBUS. We never write into a model's file: a
/// new one takes its name, and who has the old one mapped keeps that. A map lives only as long as its weights are copied.
pub(super) fn read_only(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    // A folder opens, and a pipe cannot be mapped: both say so here, before they are taken for an empty file.
    let kind = file.metadata().map_err(|error| Error::io(path, error))?;
    if !kind.is_file() {
        return Err(Error::Model(format!("{}: not a file", path.display())));
    }
    // SAFETY: whoever changes the file in place while it is mapped breaks this promise; models are replaced whole, by rename,
    // and their checksum is compared before a weight is used.
    let map = unsafe { Mmap::map(&file) };
    map.map_err(|error| Error::io(path, error))
}
