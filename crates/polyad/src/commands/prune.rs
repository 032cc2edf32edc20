//! `polyad prune`: which weights a trained model can do without.

use super::models;
use crate::args::{ALL_METHODS, PruneArgs};
use crate::failure::{Exit, Failure, Result};
use crate::paths;
use crate::printer::Printer;
use crate::table::{Table, card, ratio};
use polyad_evidence::prune::report::{percent, report, rows};
use polyad_evidence::prune::{Dense, Study, Trial, study, trial};
use polyad_shapes::job::Job;
use polyad_shapes::train::prune::{Method, Pruning};
use polyad_shapes::whole_file;
use serde::Serialize;
use std::path::Path;

/// A trial as JSON says it.
#[derive(Debug, Serialize)]
struct Said<'a> {
    method: Method,
    sparsity: f64,
    seed: u64,
    instance_accuracy: f64,
    kept: usize,
    weights: usize,
    bytes: usize,
    dense_accuracy: f64,
    dense_bytes: usize,
    /// The model, or the page.
    out: &'a Path,
}

impl<'a> Said<'a> {
    fn of(trial: &Trial, dense: Dense, out: &'a Path) -> Self {
        Said {
            method: trial.method,
            sparsity: trial.sparsity,
            seed: trial.seed,
            instance_accuracy: trial.instance_accuracy,
            kept: trial.kept,
            weights: trial.weights,
            bytes: trial.bytes,
            dense_accuracy: dense.instance_accuracy,
            dense_bytes: dense.bytes,
            out,
        }
    }
}

pub fn run(args: &PruneArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::folder(&args.dir, "what a model was trained on")?;
    for folder in args.cache.iter().chain(&args.report) {
        paths::new_folder(folder)?;
    }
    let methods = methods(&args.method)?;
    match (&args.out, &args.report) {
        (Some(out), _) => {
            paths::new_file(out)?;
            let (&[method], &[sparsity]) = (&methods[..], &args.sparsity[..]) else {
                let problem = format!("{} methods and {} sparsities", methods.len(), args.sparsity.len());
                let advice = "--report compares several; --out writes one of each";
                return Err(Failure::usage(problem).with_hint(advice));
            };
            one(args, method, sparsity, out, printer, job)
        }
        (None, Some(folder)) => several(args, methods, folder, printer, job),
        (None, None) => Err(Failure::usage("neither --out nor --report")),
    }
}

fn methods(named: &[String]) -> Result<Vec<Method>> {
    if named.iter().any(|name| name == ALL_METHODS) {
        return Ok(Method::ALL.to_vec());
    }
    let mut methods = Vec::new();
    for name in named {
        let method = Method::parse(name)?;
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Ok(methods)
}

/// The shapes and the model, with what cannot be read listed.
fn open(args: &PruneArgs, result: &Path, printer: &Printer, job: Job) -> Result<Pruning> {
    let model = models::definition(&args.model)?;
    let cache = args.cache.clone().unwrap_or_else(|| whole_file::beside(result, ".cache"));
    let pruning = Pruning::open(&args.dir, model, args.epochs, &cache, job).map_err(|why| match why {
        why @ polyad_shapes::Error::Model(_) => why.in_file(args.model.display().to_string()),
        other => other,
    })?;
    if !printer.json() {
        for failure in pruning.failures() {
            printer.failed(&failure.path, &failure.error)?;
        }
    }
    Ok(pruning)
}

fn one(args: &PruneArgs, method: Method, sparsity: f64, out: &Path, printer: &Printer, job: Job) -> Result<Exit> {
    let pruning = open(args, out, printer, job)?;
    let dense = Dense::of(&pruning, job)?;
    let (trial, model) = trial(&pruning, method, sparsity, args.seed, job)?;
    model.save(out)?;
    printer.result(&Said::of(&trial, dense, out), |said| {
        card(&[
            ("model", said.out.display().to_string()),
            ("weights left", format!("{} of {}", said.kept, said.weights)),
            ("bytes", format!("{}, {} before", said.bytes, said.dense_bytes)),
            (
                "accuracy",
                format!(
                    "{} on the test split, {} before",
                    ratio(Some(said.instance_accuracy)),
                    ratio(Some(said.dense_accuracy))
                ),
            ),
        ])
    })?;
    Ok(Exit::Done)
}

fn several(args: &PruneArgs, methods: Vec<Method>, folder: &Path, printer: &Printer, job: Job) -> Result<Exit> {
    let settings = Study { methods, sparsities: args.sparsity.clone(), seeds: args.seeds, epochs: args.epochs };
    let pruning = open(args, folder, printer, job)?;
    paths::make_folder(folder)?;
    let outcome = study(&pruning, &settings, &folder.join("trials.json"), job)?;
    let (learnt, tested) = pruning.counts();
    let details = [
        ("model", args.model.display().to_string()),
        ("shapes", args.dir.display().to_string()),
        ("View Sets", format!("{learnt} to learn from, {tested} to test")),
        (
            "image network",
            if pruning.is_frozen() { "frozen: neither pruned nor taught" } else { "pruned and taught" }.into(),
        ),
        ("settings", format!("{} seeds, {} epochs after a mask", args.seeds, args.epochs)),
    ];
    let details = details.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let page = folder.join("report.html");
    whole_file::write(&page, report(&outcome, &settings, details).to_html().as_bytes())?;
    if printer.json() {
        for trial in &outcome.trials {
            printer.result(&Said::of(trial, outcome.dense, &page), |_| String::new())?;
        }
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["method", "sparsity", "weights left", "accuracy, %", "bytes"]);
    for row in rows(&outcome.trials, &settings) {
        table.row([
            row.method.name().to_owned(),
            row.sparsity.to_string(),
            row.kept[0].to_string(),
            percent(row.accuracy),
            format!("{:.0}", row.bytes),
        ]);
    }
    printer.text(&format!(
        "{}\nThe model itself: {:.1} %, {} bytes.\nreport  {}\n",
        table.text(),
        100.0 * outcome.dense.instance_accuracy,
        outcome.dense.bytes,
        page.display()
    ))?;
    Ok(Exit::Done)
}
