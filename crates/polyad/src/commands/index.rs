//! `polyad index`: embed a folder, or update what was embedded before.

use super::models;
use crate::args::IndexArgs;
use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;
use crate::{paths, table};
use polyad_shapes::embedding::Embedder;
use polyad_shapes::index::{Folder, IndexWriter, Report, Settings};
use polyad_shapes::job::Job;

pub fn run(args: &IndexArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::exist(args.dir.as_slice())?;
    paths::new_folder(&args.out)?;
    let report = if args.remove.is_empty() { update(args, job)? } else { remove(args, job)? };
    if !printer.json() {
        for failure in &report.failed {
            printer.failed(&failure.path, &failure.error)?;
        }
    }
    printer.result(&report, words)?;
    Ok(Exit::Done)
}

fn update(args: &IndexArgs, job: Job) -> Result<Report> {
    let dir = args.dir.as_deref().ok_or_else(|| Failure::usage("no folder to index"))?;
    if matches!((dir.canonicalize(), args.out.canonicalize()), (Ok(dir), Ok(out)) if dir == out) {
        let message = format!("{}: the index would lie among the shapes, in the folder itself", args.out.display());
        return Err(Failure::usage(message).with_hint("name another folder with --out; one inside of it will do"));
    }
    let model = models::of_index(args.model.as_deref(), &args.out, args.precision)?;
    let settings = Settings {
        identity: model.identity(),
        set_width: model.set_width(),
        view_width: model.view_width(),
        model: Some(models::IN_INDEX.to_owned()),
    };
    let mut writer = IndexWriter::open(&args.out, &settings)?;
    models::keep(args.model.as_deref(), &args.out)?;
    Ok(writer.update(&Folder::new(dir, &model)?, job)?)
}

fn remove(args: &IndexArgs, job: Job) -> Result<Report> {
    paths::folder(&args.out, "an index")?;
    let mut writer = IndexWriter::existing(&args.out)?;
    let mut all = Report::default();
    for path in &args.remove {
        all.removed += writer.remove(path, job)?.removed;
    }
    Ok(all)
}

fn words(report: &Report) -> String {
    table::card(&[
        ("added", report.added.to_string()),
        ("updated", report.updated.to_string()),
        ("removed", report.removed.to_string()),
        ("unchanged", report.unchanged.to_string()),
        ("failed", report.failed.len().to_string()),
    ])
}
