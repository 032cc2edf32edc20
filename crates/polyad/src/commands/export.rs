//! `polyad export`: a model as one file that runs without the training stack.

use super::models;
use crate::args::ExportArgs;
use crate::failure::{Exit, Result};
use crate::printer::Printer;
use crate::{paths, table};
use polyad_run::Precision;
use polyad_shapes::Error;
use polyad_shapes::model::BUILTIN;
use polyad_shapes::whole_file;
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Serialize)]
struct Exported {
    out: String,
    bytes: usize,
    parameters: usize,
    multiply_adds: usize,
    views: usize,
}

pub fn run(args: &ExportArgs, printer: &Printer) -> Result<Exit> {
    paths::new_file(&args.out)?;
    let model = models::definition(args.model.as_deref().unwrap_or(Path::new(BUILTIN)))?;
    let precision = if args.half { Precision::Half } else { Precision::Single };
    let file = model.export()?.to_file(precision).map_err(Error::from)?;
    let header = model.header();
    let (side, views) = (header.render.size, header.architecture.views);
    let audit = model.network().audit(views, [3, side, side], header.architecture.backbone.smallest())?;
    whole_file::write(&args.out, &file.bytes)?;
    let exported = Exported {
        out: args.out.display().to_string(),
        bytes: file.bytes.len(),
        parameters: file.parameters,
        multiply_adds: audit.multiply_adds,
        views,
    };
    printer.result(&exported, words)?;
    Ok(Exit::Done)
}

fn words(exported: &Exported) -> String {
    table::card(&[
        ("file", exported.out.clone()),
        ("bytes", exported.bytes.to_string()),
        ("parameters", exported.parameters.to_string()),
        ("multiply-adds", format!("{} for {} views", exported.multiply_adds, exported.views)),
    ])
}
