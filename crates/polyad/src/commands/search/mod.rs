//! `polyad search`: shapes that are alike.

pub mod query;
mod sheet;
pub mod shelf;

use super::{models, sources};
use crate::args::SearchArgs;
use crate::failure::{Exit, Failure, Result};
use crate::paths;
use crate::printer::Printer;
use crate::table::Table;
use polyad_shapes::index::{Folder, Neighbour, SearchOptions};
use polyad_shapes::job::Job;
use query::Query;
use serde::Serialize;
use sheet::Row;
use shelf::Shelf;
use std::path::PathBuf;

#[derive(Debug, Serialize)]
struct Found<'a> {
    query: &'a str,
    neighbours: &'a [Neighbour],
}

pub fn run(args: &SearchArgs, printer: &Printer, job: Job) -> Result<Exit> {
    let (index, queries) = split(args)?;
    paths::exist(queries)?;
    if let Some(file) = &args.sheet {
        paths::new_file(file)?;
    }
    match (&args.folder, index) {
        (Some(folder), _) => paths::exist(&[folder])?,
        (None, Some(index)) => paths::folder(index, "an index")?,
        (None, None) => {}
    }
    let named = sources::all(queries, job)?;
    let model = match index {
        Some(index) => models::of_index(args.model.as_deref(), index, args.precision)?,
        None => models::load(args.model.as_deref(), args.precision)?,
    };
    let shelf = match (&args.folder, index) {
        (Some(folder), _) => Shelf::of_folder(&Folder::new(folder, &model)?, &model, job)?,
        (None, Some(index)) => Shelf::of_index(index, &model)?,
        (None, None) => return Err(Failure::usage("nothing to search in")),
    };

    let (queries, failures) = query::prepare(named, &model, job)?;
    for failure in &failures {
        printer.failed(&failure.path, &failure.error)?;
    }
    let mut rows = Vec::new();
    for query in queries {
        job.check()?;
        let neighbours = shelf.search(&query.prepared.embedding, &options(args, &query)?)?;
        let found = Found { query: &query.path, neighbours: &neighbours };
        printer.result(&found, words)?;
        rows.push(Row { query, neighbours });
    }
    if let Some(file) = args.sheet.as_deref().filter(|_| !rows.is_empty()) {
        sheet::write(file, &rows, &shelf, job)?;
    }
    Ok(Exit::after(failures.len()))
}

/// The index, unless a folder is searched, and the queries.
fn split(args: &SearchArgs) -> Result<(Option<&PathBuf>, &[PathBuf])> {
    match (&args.folder, args.paths.split_first()) {
        (Some(_), _) => Ok((None, &args.paths)),
        (None, Some((index, queries))) if !queries.is_empty() => Ok((Some(index), queries)),
        _ => {
            Err(Failure::usage("no query after the index")
                .with_hint("polyad search INDEX QUERY.., or --in DIR QUERY.."))
        }
    }
}

fn options(args: &SearchArgs, query: &Query) -> Result<SearchOptions> {
    let same_size = if args.same_size {
        let diagonal = query.prepared.diagonal.ok_or_else(|| {
            Failure::usage(format!("{}: photographs have no size to compare with --same-size", query.path))
        })?;
        Some(diagonal)
    } else {
        None
    };
    Ok(SearchOptions { k: args.k, same_size, score: args.score, exclude: None })
}

fn words(found: &Found) -> String {
    let mut table = Table::new(&["score", "alike"]);
    for neighbour in found.neighbours {
        table.row([format!("{:.3}", neighbour.score), neighbour.path.clone()]);
    }
    format!("{}\n{}\n", found.query, table.text())
}
