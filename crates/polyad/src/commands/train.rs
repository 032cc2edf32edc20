//! `polyad train`: learn the classes of a folder of shapes.

use crate::args::TrainArgs;
use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;
use crate::{paths, table};
use polyad_shapes::embedding::Embedder;
use polyad_shapes::job::Job;
use polyad_shapes::model::BUILTIN;
use polyad_shapes::source;
use polyad_shapes::train::{Epoch, TrainOptions, Trained, train};
use polyad_shapes::vsformer::BackboneKind;
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Serialize)]
struct Learnt<'a> {
    model: String,
    identity: String,
    classes: &'a [String],
    shapes: Parts,
    best: &'a Epoch,
    curve: &'a [Epoch],
    failed: &'a [source::Failure],
}

#[derive(Debug, Serialize)]
struct Parts {
    train: usize,
    validation: usize,
}

pub fn run(args: &TrainArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::folder(&args.dir, "what is learnt from")?;
    paths::new_file(&args.out)?;
    for folder in args.cache.as_slice() {
        paths::new_folder(folder)?;
    }
    if let Some(name) = &args.network.initializer {
        check_initializer(name)?;
    }
    let Trained { model, curve, best, shapes: (train, validation), failures } =
        train(&args.dir, &args.out, &options(args), job)?;
    if !printer.json() {
        for failure in &failures {
            printer.failed(&failure.path, &failure.error)?;
        }
    }
    let learnt = Learnt {
        model: args.out.display().to_string(),
        identity: model.identity(),
        classes: model.classes()?,
        shapes: Parts { train, validation },
        best: &best,
        curve: &curve,
        failed: &failures,
    };
    printer.result(&learnt, words)?;
    Ok(Exit::Done)
}

/// Refuses what is neither an image network nor a model that exists.
fn check_initializer(name: &str) -> Result<()> {
    match BackboneKind::parse(name) {
        Err(unknown) if name != BUILTIN && !Path::new(name).is_file() => {
            Err(Failure::usage(unknown.to_string()).with_hint("a model to begin with is named by its file"))
        }
        _ => Ok(()),
    }
}

fn options(args: &TrainArgs) -> TrainOptions {
    let (pictures, network, schedule) = (&args.pictures, &args.network, &args.schedule);
    TrainOptions {
        paper: args.recipe == "paper",
        initializer: network.initializer.clone(),
        freeze: network.freeze,
        views: pictures.views.clone(),
        size: pictures.size,
        style: pictures.style,
        frame: pictures.frame,
        rotations: args.rotations,
        layers: network.layers,
        heads: network.heads,
        dim: network.dim,
        order: network.order,
        qk_norm: network.qk_norm,
        bfloat16: schedule.bfloat16,
        stage1_epochs: schedule.stage1_epochs,
        epochs: schedule.epochs,
        seed: args.seed,
        resume: args.resume,
        cache: args.cache.clone(),
        save_every: None,
    }
}

fn words(learnt: &Learnt) -> String {
    table::card(&[
        ("model", learnt.model.clone()),
        ("classes", learnt.classes.len().to_string()),
        ("shapes", format!("{} to train, {} to validate", learnt.shapes.train, learnt.shapes.validation)),
        ("best epoch", format!("{} of stage {}", learnt.best.epoch, learnt.best.stage)),
        ("accuracy", format!("{} on the validation part", table::ratio(learnt.best.validation_accuracy))),
        ("failed", learnt.failed.len().to_string()),
    ])
}
