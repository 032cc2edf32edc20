//! `polyad gallery`: an index as one page.

use crate::args::GalleryArgs;
use crate::failure::{Exit, Result};
use crate::paths;
use crate::printer::Printer;
use polyad_shapes::gallery::write_gallery;
use polyad_shapes::index::Index;
use polyad_shapes::job::Job;
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Written {
    path: String,
    shapes: usize,
}

pub fn run(args: &GalleryArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::folder(&args.index, "an index")?;
    paths::new_file(&args.out)?;
    let index = Index::open(&args.index)?;
    let title = args.index.file_name().unwrap_or(args.index.as_os_str()).to_string_lossy();
    let shapes = write_gallery(&index, &title, &args.out, job)?;
    let written = Written { path: args.out.display().to_string(), shapes };
    printer.result(&written, |written| format!("{}  {} shapes\n", written.path, written.shapes))?;
    Ok(Exit::Done)
}
