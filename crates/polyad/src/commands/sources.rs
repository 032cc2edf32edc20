//! From paths on the command line to shapes.

use crate::failure::{Failure, Result};
use polyad_shapes::job::Job;
use polyad_shapes::source::{Source, Walk, walk};
use std::path::{Path, PathBuf};

/// All shapes at and below the paths, in the order given, and what could not be looked into.
pub fn all(paths: &[PathBuf], job: Job) -> Result<Walk> {
    let mut found = Walk { sources: Vec::new(), failures: Vec::new() };
    for path in paths {
        let mut walk = walk(path, job)?;
        if walk.sources.is_empty() && walk.failures.is_empty() {
            let error = "no mesh, point cloud or photograph".to_owned();
            walk.failures.push(polyad_shapes::source::Failure { path: path.display().to_string(), error });
        }
        found.sources.append(&mut walk.sources);
        found.failures.append(&mut walk.failures);
    }
    Ok(found)
}

/// The one shape in a file.
pub fn one(file: &Path, job: Job) -> Result<Source> {
    let mut walk = all(&[file.to_owned()], job)?;
    match (walk.sources.pop(), walk.failures.pop()) {
        (Some(source), None) if walk.sources.is_empty() => Ok(source),
        (None, Some(failure)) => Err(Failure::failed(format!("{}: {}", failure.path, failure.error))),
        _ => {
            let problem = Failure::usage(format!("{}: holds more than one shape", file.display()));
            Err(problem.with_hint("name one of them, such as archive.zip/part.stl; `polyad info` lists them"))
        }
    }
}

pub fn view_set(
    shape: polyad_shapes::source::Shape,
    settings: &polyad_shapes::render::RenderSettings,
    job: Job,
) -> Result<polyad_shapes::view_set::ViewSet, polyad_shapes::Error> {
    use polyad_shapes::source::Shape;
    match shape {
        Shape::Mesh(mesh) => {
            polyad_shapes::render::render(&polyad_shapes::normalise::normalise(&mesh, Default::default())?, settings, job)
        }
        Shape::Photos(photos) => polyad_shapes::render::fit_photos(&photos, settings.size),
    }
}
