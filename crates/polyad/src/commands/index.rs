//! `polyad index`: embed a folder, or update what was embedded before.

use super::models;
use crate::args::IndexArgs;
use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;
use crate::{paths, table};
use polyad_shapes::index::{IndexWriter, Report};
use polyad_shapes::job::Job;

pub fn run(args: &IndexArgs, printer: &Printer, job: Job) -> Result<Exit> {
    if let Some(dir) = &args.dir {
        paths::exist(&[dir])?;
    }
    paths::new_folder(&args.out)?;
    let report = if args.remove.is_empty() { update(args, job)? } else { remove(args, job)? };
    for failure in &report.failed {
        if !printer.json() {
            printer.failed(&failure.path, &failure.error)?;
        }
    }
    printer.result(&report, words)?;
    Ok(Exit::Done)
}
