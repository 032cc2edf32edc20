//! What is searched for: every mesh or cloud is a query of its own, all images together are one.

use crate::failure::{Failure, Result};
use polyad_shapes::Error;
use polyad_shapes::index::{Prepared, prepare_shapes};
use polyad_shapes::job::Job;
use polyad_shapes::model::Model;
use polyad_shapes::source::{self, Shape, Source, Walk};
use polyad_shapes::view_set::ViewSet;

/// Shapes that share a pass through the network.
const BATCH: usize = 16;

/// A query, embedded.
pub struct Query {
    /// Its path; those of all images, parted by commas.
    pub path: String,
    pub prepared: Prepared,
}

/// Reads and embeds all queries, the images last; what cannot be used is listed.
pub fn prepare(named: Walk, model: &Model, job: Job) -> Result<(Vec<Query>, Vec<source::Failure>)> {
    let mut failures = named.failures;
    let (mut queries, mut photos) = (Vec::new(), Vec::new());
    job.reporter().begin("embedding queries", named.shapes.len() as u64);
    for batch in named.shapes.chunks(BATCH) {
        job.check()?;
        let mut meshes = Vec::new();
        for source in batch {
            match source.load() {
                Ok(Shape::Photos(set)) => photos.push((source, set)),
                Ok(mesh) => meshes.push((source, mesh)),
                Err(why) => failures.push(failed(&source.path, &why)),
            }
        }
        let (paths, shapes) = parted(meshes);
        embed(paths, &shapes, model, job, &mut queries, &mut failures)?;
        job.reporter().advance(batch.len() as u64);
    }
    if !photos.is_empty() {
        let (paths, sets): (Vec<&str>, Vec<ViewSet>) =
            photos.into_iter().map(|(s, set)| (s.path.as_str(), set)).unzip();
        let views = sets.into_iter().flat_map(|set| set.views).collect();
        let together = Shape::Photos(ViewSet { views });
        embed(vec![paths.join(", ")], &[together], model, job, &mut queries, &mut failures)?;
    }
    job.reporter().end();
    Ok((queries, failures))
}

fn parted(meshes: Vec<(&Source, Shape)>) -> (Vec<String>, Vec<Shape>) {
    meshes.into_iter().map(|(source, shape)| (source.path.clone(), shape)).unzip()
}

fn embed(
    paths: Vec<String>,
    shapes: &[Shape],
    model: &Model,
    job: Job,
    queries: &mut Vec<Query>,
    failures: &mut Vec<source::Failure>,
) -> Result<()> {
    for (path, prepared) in paths.into_iter().zip(prepare_shapes(shapes, model, job)) {
        match prepared {
            Ok(prepared) => queries.push(Query { path, prepared }),
            Err(Error::Cancelled) => return Err(Failure::Cancelled),
            Err(why) => failures.push(failed(&path, &why)),
        }
    }
    Ok(())
}

fn failed(path: &str, why: &Error) -> source::Failure {
    source::Failure { path: path.to_owned(), error: why.reason() }
}
