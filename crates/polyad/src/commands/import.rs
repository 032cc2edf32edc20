//! `polyad import`: a published checkpoint as a model.

use crate::args::ImportArgs;
use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;
use crate::{paths, table};
use polyad_shapes::Error;
use polyad_shapes::job::Job;
use polyad_shapes::model::import::{ImportConfig, ImportOptions, import};
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Serialize)]
struct Imported {
    path: String,
    model: String,
    identity: String,
    initializer: String,
    dim: usize,
    classes: Option<usize>,
}

pub fn run(args: &ImportArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::file(&args.checkpoint, "a checkpoint")?;
    if let Some(config) = &args.config {
        paths::file(config, "a configuration")?;
    }
    paths::new_file(&args.out)?;
    let config = args.config.as_deref().map(read_config).transpose()?;
    let options = ImportOptions { config, size: args.size, frame: args.frame };
    let model = import(&args.checkpoint, options, &job)?;
    model.save(&args.out)?;
    let header = model.header();
    let imported = Imported {
        path: args.checkpoint.display().to_string(),
        model: args.out.display().to_string(),
        identity: header.checksum.clone(),
        initializer: header.architecture.backbone.to_string(),
        dim: header.architecture.dim,
        classes: header.classes.as_ref().map(Vec::len),
    };
    printer.result(&imported, words)?;
    Ok(Exit::Done)
}

fn read_config(path: &Path) -> Result<ImportConfig> {
    let text = std::fs::read_to_string(path).map_err(|why| Error::io(path, why))?;
    let config = ImportConfig::from_json(&text).map_err(|why| why.in_file(path.display().to_string()));
    config.map_err(Failure::from)
}

fn words(imported: &Imported) -> String {
    let classes = imported.classes.map_or_else(|| "none, it only embeds".to_owned(), |count| count.to_string());
    table::card(&[
        ("model", imported.model.clone()),
        ("initializer", imported.initializer.clone()),
        ("numbers a view", imported.dim.to_string()),
        ("classes", classes),
    ])
}
