//! A library as one page that stands alone: pictures, names, filters, and each shape's neighbours by a click.
//!
//! The page is written as it is made, so memory does not grow with the library but by an id, a digest and a picture
//! number a shape. It is built of four parts:
//!
//! ```text
//! head, style, controls      page.html up to its mark
//! shapes, neighbours         JSON in inert script elements: [[paths], diagonal, triangles, picture], [[place, score]]
//! pictures                   JSON: base64 of every different PNG, once
//! script                     page.js: draws what is on the screen, no more
//! ```
//!
//! Names reach the page only as JSON whose `<` is escaped, and the script only ever sets text with them, so a file
//! named `<script>` is a name. A content security policy in the page forbids it every other source.

use crate::error::{Error, Result};
use crate::index::{Entries, Index};
use crate::job::Job;
use crate::whole_file;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const PAGE: &str = include_str!("gallery/page.html");
const STYLE: &str = include_str!("gallery/page.css");
const SCRIPT: &str = include_str!("gallery/page.js");

/// Neighbours a shape has in the page.
pub const NEIGHBOURS: usize = 12;

/// Writes the page of an index to `out`, whole or not at all, and gives the number of shapes in it: equal files are
/// one shape with several names.
///
/// Takes the time of comparing all shapes with all, see [`Entries::neighbours_of_all`], and about 8 kB of file a
/// shape.
///
/// # Errors
/// [`Error::Io`] if `out` cannot be written, [`Error::Index`] if the index is damaged, [`Error::Cancelled`].
pub fn write_gallery(index: &Index, title: &str, out: &Path, job: Job) -> Result<usize> {
    let entries = index.entries()?;
    whole_file::write_with(out, |file| Page { file: BufWriter::new(file), out }.write(&entries, title, job))?;
    Ok(entries.len())
}

struct Page<'a> {
    file: BufWriter<&'a File>,
    out: &'a Path,
}

impl Page<'_> {
    fn write(&mut self, entries: &Entries, title: &str, job: Job) -> Result<()> {
        let (head, foot) = PAGE.split_once("<!-- data -->").expect("the page has the mark");
        self.text(&head.replace("/* style */", STYLE).replace("<!-- title -->", &escape(title)))?;
        let pictures = self.shapes(entries, job)?;
        self.open("neighbours")?;
        let mut first = true;
        entries.neighbours_of_all(NEIGHBOURS, job, |neighbours| {
            let rounded: Vec<(usize, f64)> =
                neighbours.into_iter().map(|(place, score)| (place, (f64::from(score) * 1e4).round() / 1e4)).collect();
            self.item(&mut first, &rounded)
        })?;
        self.close()?;
        self.open("pictures")?;
        let mut first = true;
        for place in pictures {
            job.check()?;
            self.item(&mut first, &STANDARD.encode(entries.get(place)?.thumbnail))?;
        }
        self.close()?;
        self.text(&foot.replace("/* script */", SCRIPT))?;
        self.file.flush().map_err(|e| Error::io(self.out, e))
    }

    /// Writes what is known of each shape, and gives for each different picture the first shape that has it.
    fn shapes(&mut self, entries: &Entries, job: Job) -> Result<Vec<usize>> {
        let mut numbers: HashMap<[u8; 32], usize> = HashMap::new();
        let mut pictures = Vec::new();
        self.open("shapes")?;
        let mut first = true;
        for place in 0..entries.len() {
            job.check()?;
            let entry = entries.get(place)?;
            let picture = *numbers.entry(*blake3::hash(&entry.thumbnail).as_bytes()).or_insert_with(|| {
                pictures.push(place);
                pictures.len() - 1
            });
            self.item(&mut first, &(entry.paths, entry.diagonal, entry.triangles, picture))?;
        }
        self.close()?;
        Ok(pictures)
    }

    fn open(&mut self, id: &str) -> Result<()> {
        self.text(&format!("<script type=\"application/json\" id=\"{id}\">["))
    }

    fn item(&mut self, first: &mut bool, value: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(value).map_err(|e| Error::Invalid(format!("gallery: {e}")))?;
        self.text(if std::mem::take(first) { "\n" } else { ",\n" })?;
        self.text(&json.replace('<', "\\u003c"))
    }

    fn close(&mut self) -> Result<()> {
        self.text("]</script>\n")
    }

    fn text(&mut self, text: &str) -> Result<()> {
        self.file.write_all(text.as_bytes()).map_err(|e| Error::io(self.out, e))
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
