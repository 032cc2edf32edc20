//! `polyad render`: a shape as pictures.

use super::sources;
use crate::args::RenderArgs;
use crate::failure::{Exit, Failure, Result};
use crate::paths;
use crate::printer::Printer;
use polyad_shapes::job::Job;
use polyad_shapes::normalise::{Pose, normalise};
use polyad_shapes::render::{RenderSettings, render};
use polyad_shapes::source::Shape;
use polyad_shapes::view_set::{View, sheet, write_view, write_views};
use serde::Serialize;
use std::path::Path;

/// Pictures in a row of a sheet.
const COLUMNS: usize = 5;

#[derive(Debug, Serialize)]
struct Rendered {
    path: String,
    #[serde(flatten)]
    settings: RenderSettings,
    files: Vec<String>,
    sheet: Option<String>,
}

pub fn run(args: &RenderArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::file(&args.file, "a shape to draw")?;
    if let Some(folder) = &args.out {
        paths::new_folder(folder)?;
    }
    if let Some(sheet) = &args.sheet {
        paths::new_file(sheet)?;
    }
    let mut settings = RenderSettings::default();
    args.pictures.apply(&mut settings);
    settings.samples = args.samples.unwrap_or(settings.samples);

    let source = sources::one(&args.file, job)?;
    let Shape::Mesh(mesh) = source.load()? else {
        return Err(Failure::failed(format!("{}: photographs are views already", args.file.display())));
    };
    let path = source.path.clone();
    let drawn = normalise(&mesh, Pose::default(), job).and_then(|mesh| render(&mesh, &settings, job));
    let set = drawn.map_err(|why| why.in_file(path.as_str()))?;

    let stem = stem(&args.file);
    let files = match &args.out {
        Some(folder) => write_views(folder, &stem, &set)?,
        None => Vec::new(),
    };
    if let Some(file) = &args.sheet {
        let captions: Vec<String> = (1..=set.views.len()).map(|number| number.to_string()).collect();
        let pictures: Vec<(&View, &str)> = set.views.iter().zip(captions.iter().map(String::as_str)).collect();
        write_view(file, &sheet(&pictures, COLUMNS)?)?;
    }
    let name = |path: &Path| path.display().to_string();
    let rendered = Rendered {
        path,
        settings,
        files: files.iter().map(|file| name(file)).collect(),
        sheet: args.sheet.as_deref().map(name),
    };
    printer.result(&rendered, words)?;
    Ok(Exit::Done)
}

/// The file's name without its extensions.
fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}

fn words(rendered: &Rendered) -> String {
    rendered.files.iter().chain(&rendered.sheet).map(|file| format!("{file}\n")).collect()
}
