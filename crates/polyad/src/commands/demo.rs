//! `polyad demo`: the whole path on generated parts.

use crate::args::DemoArgs;
use crate::failure::{Exit, Result};
use crate::printer::Printer;
use crate::{paths, table};
use polyad_shapes::demo::{DemoOptions, run as demonstrate};
use polyad_shapes::job::Job;
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Serialize)]
struct Demonstrated {
    instance_accuracy: Option<f64>,
    instance_interval: Option<[f64; 2]>,
    class_accuracy: Option<f64>,
    map: Option<f64>,
    untrained_nn: Option<f64>,
    shapes: usize,
    model: String,
    parts: String,
    gallery: String,
    report: String,
}

pub fn run(args: &DemoArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::new_folder(&args.out)?;
    let demo = demonstrate(&args.out, &DemoOptions { seed: args.seed, ..DemoOptions::default() }, job)?;
    let name = |path: &Path| path.display().to_string();
    let demonstrated = Demonstrated {
        instance_accuracy: demo.evaluation.instance_accuracy,
        instance_interval: demo.evaluation.instance_interval,
        class_accuracy: demo.evaluation.class_accuracy,
        map: demo.evaluation.retrieval.map,
        untrained_nn: demo.untrained.nn,
        shapes: demo.evaluation.shapes,
        model: name(&demo.model),
        parts: name(&demo.parts),
        gallery: name(&demo.gallery),
        report: name(&demo.report),
    };
    printer.result(&demonstrated, words)?;
    Ok(Exit::Done)
}

fn words(demo: &Demonstrated) -> String {
    let accuracy = format!("{} on {} parts it was not trained on", table::ratio(demo.instance_accuracy), demo.shapes);
    table::card(&[
        ("instance accuracy", accuracy),
        ("mAP", table::ratio(demo.map)),
        ("nearest neighbour", format!("{} by the built-in model, untrained", table::ratio(demo.untrained_nn))),
        ("model", demo.model.clone()),
        ("parts", demo.parts.clone()),
        ("gallery", demo.gallery.clone()),
        ("report", demo.report.clone()),
    ])
}
