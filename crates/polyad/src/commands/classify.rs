//! `polyad classify`: what shapes are.

use super::{models, sources};
use crate::args::ClassifyArgs;
use crate::failure::{Exit, Result};
use crate::paths;
use crate::printer::Printer;
use crate::table::Table;
use polyad_shapes::Error;
use polyad_shapes::draw::view_set;
use polyad_shapes::embedding::Embedder;
use polyad_shapes::job::Job;
use polyad_shapes::model::Model;
use polyad_shapes::source::Source;
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Serialize)]
struct Classified {
    path: String,
    top: Vec<Candidate>,
}

#[derive(Debug, Serialize)]
struct Candidate {
    class: String,
    p: f32,
}

#[derive(Debug, Serialize)]
struct Logits {
    logits: Vec<Vec<f32>>,
}

pub fn run(args: &ClassifyArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::exist(&args.paths)?;
    if let Some(file) = &args.views_npy {
        paths::file(file, "an array of views")?;
    }
    let model = models::load(&args.model)?;
    model.classes().map_err(|why| why.in_file(args.model.display().to_string()))?;
    match &args.views_npy {
        Some(file) => print_logits(&model, file, printer),
        None => classify(args, &model, printer, job),
    }
}

fn print_logits(model: &Model, file: &Path, printer: &Printer) -> Result<Exit> {
    let logits = model.logits_npy(file)?;
    printer.result(&Logits { logits }, |value| {
        let row = |row: &Vec<f32>| row.iter().map(|x| format!("{x:10.5}")).collect::<String>();
        value.logits.iter().map(|logits| format!("{}\n", row(logits))).collect()
    })?;
    Ok(Exit::Done)
}

fn classify(args: &ClassifyArgs, model: &Model, printer: &Printer, job: Job) -> Result<Exit> {
    let found = sources::all(&args.paths, job)?;
    for failure in &found.failures {
        printer.failed(&failure.path, &failure.error)?;
    }
    let mut failures = found.failures.len();
    let mut table = Table::new(&["path", "class", "p"]);
    job.reporter().begin("classifying", found.shapes.len() as u64);
    for source in &found.shapes {
        job.check()?;
        match classify_source(source, model, args.top, job) {
            Ok(classified) if printer.json() => printer.result(&classified, |_| String::new())?,
            Ok(classified) => add_rows(&mut table, classified),
            Err(Error::Cancelled) => return Err(Error::Cancelled.into()),
            Err(why) => {
                failures += 1;
                printer.failed(&source.path, &why.reason())?;
            }
        }
        job.reporter().advance(1);
    }
    job.reporter().end();
    if !table.is_empty() {
        printer.text(&table.text())?;
    }
    Ok(Exit::after(failures))
}

fn classify_source(source: &Source, model: &Model, top: usize, job: Job) -> Result<Classified, Error> {
    let views = view_set(&source.load()?, model.render_settings(), None, job)?;
    let ranked = model.predict(&[views])?.into_iter().flatten().take(top);
    let top = ranked.map(|(class, p)| Candidate { class, p }).collect();
    Ok(Classified { path: source.path.clone(), top })
}

/// A row for each candidate, the path beside the first.
fn add_rows(table: &mut Table, classified: Classified) {
    let mut path = classified.path;
    for Candidate { class, p } in classified.top {
        table.row([std::mem::take(&mut path), class, format!("{p:.3}")]);
    }
}
