//! A model measured on shapes with known classes.
//!
//! The whole split is scored once, with the model as it is. Classification: accuracies, Wilson's interval, confusion.
//! Retrieval: the train split is the gallery and the split is the queries, or every shape queries all others.

use crate::embedding::Embedder;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::metrics::classification::Confusion;
use crate::metrics::retrieval::{self, Retrieval, Shapes};
use crate::model::Model;
use crate::source::Failure;
use crate::train::{Cache, Dataset, Item, Turn};
use crate::view_set::ViewSet;
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Shapes that are drawn and embedded at once.
const BATCH: usize = 16;

/// How a model is measured.
#[derive(Debug, Clone)]
pub struct EvaluateOptions {
    /// The split that is classified and that queries.
    pub split: String,
    /// Turn every shape at random first, each by a rotation of its own.
    pub rotate: Option<u64>,
    /// All shapes of all splits against each other; classes need not be the model's.
    pub retrieval_only: bool,
    /// Where pictures are kept; nowhere where it is left out.
    pub cache: Option<PathBuf>,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        EvaluateOptions { split: "test".into(), rotate: None, retrieval_only: false, cache: None }
    }
}

/// What came of it. As JSON the line that `polyad evaluate` promises; what is not defined is null.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Share of the shapes that are classified rightly.
    pub instance_accuracy: Option<f64>,
    /// Its 95 % interval, by Wilson.
    pub instance_interval: Option<[f64; 2]>,
    /// Mean over the classes of the share that is classified rightly.
    pub class_accuracy: Option<f64>,
    /// Which class was taken for which.
    pub confusion: Option<Confusion>,
    /// How well shapes are found again.
    pub retrieval: Retrieval,
    /// Shapes that were measured.
    pub shapes: usize,
    /// What could not be read.
    pub failed: Vec<Failure>,
}

/// A shape as the model sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which shape, and its class.
    pub item: Item,
    /// The transition vector.
    pub embedding: Vec<f32>,
    /// The most probable class, if the model has classes.
    pub predicted: Option<usize>,
}

/// Measures a model on a folder of classes.
///
/// A folder without splits is split as it was for the model's training, if it was trained by polyad.
pub fn evaluate(dir: &Path, model: &Model, options: &EvaluateOptions, job: Job) -> Result<Evaluation> {
    let seed = model.header().training.pointer("/recipe/seed").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let data = Dataset::open(dir, seed, job)?;
    let mut failed = data.failures.clone();
    if options.retrieval_only {
        let seen = look(&data.all(), model, options, &mut failed, job)?;
        let retrieval = find_again(&seen)?;
        let shapes = seen.len();
        return Ok(Evaluation {
            instance_accuracy: None,
            instance_interval: None,
            class_accuracy: None,
            confusion: None,
            retrieval,
            shapes,
            failed,
        });
    }
    model.check_classes(&data.classes)?;
    let split = data.split(&options.split)?;
    if split.is_empty() {
        return Err(Error::Invalid(format!("split {:?} has no shapes", options.split)));
    }
    let queries = look(&split, model, options, &mut failed, job)?;
    let gallery = look(&data.split("train")?, model, options, &mut failed, job)?;
    measure(data.classes, &queries, &gallery, failed)
}

/// The measures of shapes that have been looked at.
pub fn measure(classes: Vec<String>, queries: &[Seen], gallery: &[Seen], failed: Vec<Failure>) -> Result<Evaluation> {
    let truth: Vec<usize> = queries.iter().map(|seen| seen.item.class).collect();
    let predicted: Vec<usize> = queries.iter().filter_map(|seen| seen.predicted).collect();
    let confusion = Confusion::of(classes, &truth, &predicted)?;
    let retrieval =
        with_shapes(queries, |queries| with_shapes(gallery, |gallery| retrieval::evaluate(queries, gallery)))?;
    Ok(Evaluation {
        instance_accuracy: confusion.instance_accuracy(),
        instance_interval: confusion.instance_interval(),
        class_accuracy: confusion.class_accuracy(),
        confusion: Some(confusion),
        retrieval,
        shapes: queries.len(),
        failed,
    })
}

/// How well every shape finds its like among all others.
pub fn find_again(seen: &[Seen]) -> Result<Retrieval> {
    with_shapes(seen, retrieval::evaluate_all)
}

fn with_shapes<R>(seen: &[Seen], f: impl FnOnce(Shapes) -> Result<R>) -> Result<R> {
    let embeddings: Vec<&[f32]> = seen.iter().map(|seen| &seen.embedding[..]).collect();
    let labels: Vec<usize> = seen.iter().map(|seen| seen.item.class).collect();
    let predicted: Option<Vec<usize>> = seen.iter().map(|seen| seen.predicted).collect();
    f(Shapes { embeddings: &embeddings, labels: &labels, predicted: predicted.as_deref() })
}

/// Draws, embeds and classifies shapes. Those that cannot be read are added to `failed`.
pub fn look(
    items: &[Item],
    model: &Model,
    options: &EvaluateOptions,
    failed: &mut Vec<Failure>,
    job: Job,
) -> Result<Vec<Seen>> {
    let settings = model.render_settings();
    let cache = options.cache.as_deref().map(|folder| Cache::open(folder, settings)).transpose()?;
    job.reporter().begin("shapes", items.len() as u64);
    let mut seen = Vec::with_capacity(items.len());
    for (first, batch) in items.chunks(BATCH).enumerate().map(|(index, batch)| (index * BATCH, batch)) {
        job.check()?;
        let drawn: Vec<Result<ViewSet>> = (batch.par_iter().enumerate())
            .map(|(index, item)| {
                let turn = match options.rotate {
                    Some(seed) => Turn::Random { seed, k: (first + index) as u64 },
                    None => Turn::AsIs,
                };
                draw(item, turn, cache.as_ref(), settings, job).map_err(|error| error.in_file(&item.source.path))
            })
            .collect();
        let (mut sets, mut found) = (Vec::new(), Vec::new());
        for (item, drawn) in batch.iter().zip(drawn) {
            match drawn {
                Ok(set) => {
                    sets.push(set);
                    found.push(item);
                }
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => failed.push(Failure { path: item.source.path.clone(), error: error.reason() }),
            }
        }
        if !sets.is_empty() {
            for (item, (embedding, logits)) in found.into_iter().zip(model.embed_and_score(&sets)?) {
                let predicted = logits.map(|logits| greatest(&logits));
                seen.push(Seen { item: item.clone(), embedding: embedding.set, predicted });
            }
        }
        job.reporter().advance(batch.len() as u64);
    }
    job.reporter().end();
    Ok(seen)
}

fn draw(
    item: &Item,
    turn: Turn,
    cache: Option<&Cache>,
    settings: &crate::render::RenderSettings,
    job: Job,
) -> Result<ViewSet> {
    job.check()?;
    if let Some(cache) = cache {
        return cache.views(&item.source, turn, job);
    }
    turn.draw(&item.source.load()?, settings, job).map_err(|error| error.in_file(&item.source.path))
}

/// The first of the greatest.
fn greatest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best
}
