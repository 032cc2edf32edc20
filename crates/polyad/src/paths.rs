//! Paths on the command line, checked before any work begins.

use crate::failure::{Failure, Result};
use std::path::Path;

/// Refuses paths that do not exist. A member of an archive, `a.zip/inner.stl`, exists where its archive does.
pub fn exist<P: AsRef<Path>>(paths: &[P]) -> Result<()> {
    for path in paths.iter().map(AsRef::as_ref) {
        if !path.exists() && archive_of(path).is_none() {
            return Err(Failure::usage(format!("{}: no such file or folder", path.display())));
        }
    }
    Ok(())
}

/// Refuses what is not a file. A pipe may never end, so it is none.
pub fn file(path: &Path, what: &str) -> Result<()> {
    exist(&[path])?;
    let found = match path.metadata() {
        Ok(about) if about.is_dir() => "a folder",
        Ok(about) if !about.is_file() => "neither a file nor a folder",
        _ => return Ok(()),
    };
    Err(Failure::usage(format!("{}: {what} is a file, this is {found}", path.display())))
}

/// Refuses what is not a folder.
pub fn folder(path: &Path, what: &str) -> Result<()> {
    exist(&[path])?;
    if !path.is_dir() {
        return Err(Failure::usage(format!("{}: {what} is a folder, this is a file", path.display())));
    }
    Ok(())
}

/// Refuses a file to write whose folder does not exist, before the work rather than after it.
pub fn new_file(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Failure::usage(format!("{}: is a folder, a file is to be written", path.display())));
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => {
            Err(Failure::usage(format!("{}: no such folder", parent.display())))
        }
        _ if path.file_name().is_none() => Err(Failure::usage(format!("{}: not a file name", path.display()))),
        _ => Ok(()),
    }
}

/// Refuses a folder to write that is a file.
pub fn new_folder(path: &Path) -> Result<()> {
    if path.exists() && !path.is_dir() {
        return Err(Failure::usage(format!("{}: is a file, a folder is to be written", path.display())));
    }
    Ok(())
}

/// Makes a folder for results, if it is not there yet.
pub fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|why| Failure::failed(format!("{}: {why}", path.display())))
}

fn archive_of(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|outer| outer.is_file())
}
