//! From paths on the command line to shapes.

use crate::failure::{Failure, Result};
use polyad_shapes::Error;
use polyad_shapes::job::Job;
use polyad_shapes::source::{self, Source, Walk, walk};
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::Path;

/// All shapes at and below the paths, in the order given, and what could not be looked into. A path that does not
/// exist, even inside an archive, is a wrong argument.
pub fn all<P: AsRef<Path>>(paths: &[P], job: Job) -> Result<Walk> {
    let mut found = Walk::default();
    for path in paths.iter().map(AsRef::as_ref) {
        let failed = |error: String| source::Failure { path: path.display().to_string(), error };
        match walk(path, job) {
            Ok(walk) if walk == Walk::default() => {
                found.failures.push(failed("no mesh, point cloud or photograph".to_owned()));
            }
            Ok(mut walk) => {
                found.shapes.append(&mut walk.shapes);
                found.failures.append(&mut walk.failures);
            }
            Err(Error::Cancelled) => return Err(Failure::Cancelled),
            Err(Error::Io { source, .. }) if matches!(source.kind(), NotFound | NotADirectory) => {
                return Err(Failure::usage(format!("{}: no such file or folder", path.display())));
            }
            Err(why) => found.failures.push(failed(why.reason())),
        }
    }
    Ok(found)
}

/// The one shape in a file.
pub fn one(file: &Path, job: Job) -> Result<Source> {
    let mut walk = all(&[file], job)?;
    match (walk.shapes.pop(), walk.failures.pop()) {
        (Some(source), None) if walk.shapes.is_empty() => Ok(source),
        (None, Some(failure)) => Err(Failure::failed(format!("{}: {}", failure.path, failure.error))),
        _ => {
            let problem = Failure::usage(format!("{}: holds more than one shape", file.display()));
            Err(problem.with_hint("name one of them, such as archive.zip/part.stl; `polyad info` lists them"))
        }
    }
}
