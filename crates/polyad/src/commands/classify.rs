//! `polyad classify`: what shapes are.

use super::search::query::{self, Query};
use super::search::shelf::Shelf;
use super::{models, sources};
use crate::args::ClassifyArgs;
use crate::failure::{Exit, Failure, Result};
use crate::paths;
use crate::printer::Printer;
use crate::table::Table;
use polyad_shapes::Error;
use polyad_shapes::draw::view_set;
use polyad_shapes::embedding::Embedder;
use polyad_shapes::index::{Folder, SearchOptions, class_below, vote};
use polyad_shapes::job::Job;
use polyad_shapes::model::{Model, ranked};
use polyad_shapes::source::Source;
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Serialize)]
struct Classified {
    path: String,
    top: Vec<Candidate>,
    /// A number for each of the model's classes, in its order, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    logits: Option<Vec<f32>>,
}

#[derive(Debug, Serialize)]
struct Candidate {
    class: String,
    p: f32,
    /// For people, where logits were asked for.
    #[serde(skip)]
    logit: Option<f32>,
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
    if let Some(labelled) = &args.labelled {
        return by_neighbours(args, labelled, printer, job);
    }
    let model = models::load(args.model.as_deref(), args.precision)?;
    if let Err(why) = model.classes() {
        let advice = "with --labelled DIR the neighbours in a folder of classes vote";
        let file = models::name(args.model.as_deref());
        return Err(Failure::usage(why.in_file(file).to_string()).with_hint(advice));
    }
    match &args.views_npy {
        Some(file) => print_logits(&model, file, printer),
        None => classify(args, &model, printer, job),
    }
}

/// What shapes are, by what is like them in a labelled folder or index.
fn by_neighbours(args: &ClassifyArgs, labelled: &Path, printer: &Printer, job: Job) -> Result<Exit> {
    paths::exist(&[labelled])?;
    let is_index = labelled.join(models::IN_INDEX).is_file();
    let model = models::of_index(args.model.as_deref(), labelled, args.precision)?;
    let shelf = if is_index {
        Shelf::of_index(labelled, &model)?
    } else {
        Shelf::of_folder(&Folder::new(labelled, &model)?.of_classes(), &model, job)?
    };
    let roots = shelf.roots()?;
    let (queries, failures) = query::prepare(sources::all(&args.paths, job)?, &model, job)?;
    let mut failed = failures.len();
    for failure in &failures {
        printer.failed(&failure.path, &failure.error)?;
    }
    let mut table = Table::new(&["path", "class", "p"]);
    for Query { path, prepared } in queries {
        job.check()?;
        // A shape of the labelled folder itself has no vote on what it is.
        let options = SearchOptions { k: args.k, exclude: Some(path.clone()), ..SearchOptions::default() };
        let neighbours = shelf.search(&prepared.embedding, &options)?;
        let votes = vote(&neighbours, |path| class_below(path, &roots));
        if votes.is_empty() {
            failed += 1;
            printer.failed(&path, &format!("none of its neighbours lies in a folder of {}", labelled.display()))?;
            continue;
        }
        let top = votes.into_iter().take(args.top).map(|(class, p)| Candidate { class, p, logit: None }).collect();
        let classified = Classified { path, top, logits: None };
        if printer.json() {
            printer.result(&classified, |_| String::new())?;
        } else {
            add_rows(&mut table, classified);
        }
    }
    if !table.is_empty() {
        printer.text(&table.text())?;
    }
    Ok(Exit::after(failed))
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
    let columns = ["path", "class", "p", "logit"];
    let mut table = Table::new(if args.logits { &columns } else { &columns[..3] });
    job.reporter().begin("classifying", found.shapes.len() as u64);
    for source in &found.shapes {
        job.check()?;
        match classify_source(source, model, args, job) {
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

fn classify_source(source: &Source, model: &Model, args: &ClassifyArgs, job: Job) -> Result<Classified, Error> {
    let views = view_set(&source.load()?, model.render_settings(), None, job)?;
    let logits = model.logits(&[views])?.pop().unwrap_or_default();
    let classes = model.classes()?;
    let candidate = |(class, p): (usize, f32)| Candidate {
        class: classes[class].clone(),
        p,
        logit: args.logits.then_some(logits[class]),
    };
    let top = ranked(&logits).into_iter().take(args.top).map(candidate).collect();
    Ok(Classified { path: source.path.clone(), top, logits: args.logits.then_some(logits) })
}

/// A row for each candidate, the path beside the first.
fn add_rows(table: &mut Table, classified: Classified) {
    let mut path = classified.path;
    for Candidate { class, p, logit } in classified.top {
        let row = [std::mem::take(&mut path), class, format!("{p:.3}")];
        table.row(row.into_iter().chain(logit.map(|logit| format!("{logit:.5}"))));
    }
}
