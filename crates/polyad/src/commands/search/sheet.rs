//! One picture of queries and what was found: a row for each query, which stands first.

use super::query::Query;
use super::shelf::Shelf;
use crate::failure::Result;
use polyad_shapes::index::Neighbour;
use polyad_shapes::job::Job;
use polyad_shapes::view_set::{View, sheet, write_view};
use std::path::Path;

/// A query and its neighbours.
pub struct Row {
    pub query: Query,
    pub neighbours: Vec<Neighbour>,
}

/// Draws and writes the sheet.
pub fn write(file: &Path, rows: &[Row], shelf: &Shelf, job: Job) -> Result<()> {
    let columns = 1 + rows.iter().map(|row| row.neighbours.len()).max().unwrap_or(0);
    let mut pictures = Vec::with_capacity(rows.len() * columns);
    for row in rows {
        job.check()?;
        let first = pictures.len();
        let query = View::from_image(&row.query.prepared.thumbnail)?;
        let empty = View { pixels: vec![255; query.pixels.len()], ..query };
        pictures.push((query, format!("{}\nquery", name(&row.query.path))));
        for neighbour in &row.neighbours {
            let caption = format!("{}\n{:.3}", name(&neighbour.path), neighbour.score);
            pictures.push((shelf.picture(&neighbour.path, job)?, caption));
        }
        pictures.resize(first + columns, (empty, String::new()));
    }
    let pictures: Vec<(&View, &str)> = pictures.iter().map(|(view, caption)| (view, caption.as_str())).collect();
    write_view(file, &sheet(&pictures, columns)?)?;
    Ok(())
}

/// The last part of a path, which is all that a caption has room for.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
