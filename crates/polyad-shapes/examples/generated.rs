//! A look at generated shapes: `cargo run --release --example generated -- DIR COUNT [SEED [KIND]]`.
//!
//! Writes `DIR/KIND/NUMBER.stl`, and a contact sheet of the first of them, `DIR/sheet.png`. With a kind (a part of a
//! name is enough) only such kinds, in turn.

use polyad_shapes::demo::stl::write_stl;
use polyad_shapes::generate::{Shape, kinds, shape, shape_of_kind};
use polyad_shapes::job::Job;
use polyad_shapes::normalise::{Pose, normalise};
use polyad_shapes::render::thumbnail;
use polyad_shapes::view_set::{View, sheet};
use polyad_shapes::{Error, whole_file};
use std::path::PathBuf;

/// Pictures on the sheet, in a row, and the side of one.
const MOST: u64 = 180;
const COLUMNS: usize = 12;
const SIDE: usize = 120;

fn main() -> polyad_shapes::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, otherwise: u64| -> polyad_shapes::Result<u64> {
        let Some(text) = arguments.get(place) else { return Ok(otherwise) };
        text.parse().map_err(|_| Error::Invalid(format!("{text} is not a whole number")))
    };
    let folder = PathBuf::from(arguments.first().map_or("generated", String::as_str));
    let (count, seed) = (number(1, MOST)?, number(2, 0)?);
    let wanted: Option<Vec<usize>> = arguments.get(3).map(|part| {
        let fits = |kind: &usize| kinds()[*kind].contains(part.as_str());
        (0..kinds().len()).filter(fits).collect()
    });
    if wanted.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::Invalid(format!(
            "no kind has {} in its name: there are {}",
            arguments[3],
            kinds().join(", ")
        )));
    }

    let mut pictures: Vec<(View, String)> = Vec::new();
    for index in 0..count {
        let Shape { kind, mesh } = match &wanted {
            Some(these) => {
                let kind = these[index as usize % these.len()];
                Shape { kind, mesh: shape_of_kind(kind, seed, index) }
            }
            None => shape(seed, index),
        };
        let class = folder.join(kinds()[kind]);
        std::fs::create_dir_all(&class).map_err(|error| Error::io(&class, error))?;
        whole_file::write(&class.join(format!("{index:06}.stl")), &write_stl(&mesh))?;
        if index < MOST {
            let shape = normalise(&mesh, Pose::default(), Job::silent())?;
            pictures.push((thumbnail(&shape, SIDE, Job::silent())?, kinds()[kind].to_owned()));
        }
    }
    if pictures.is_empty() {
        return Ok(());
    }
    let captioned: Vec<(&View, &str)> = pictures.iter().map(|(view, kind)| (view, kind.as_str())).collect();
    whole_file::write(&folder.join("sheet.png"), &sheet(&captioned, COLUMNS)?.to_png()?)
}
