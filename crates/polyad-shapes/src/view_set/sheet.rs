//! A contact sheet: pictures in a grid, each with a caption.

use super::{View, font};
use crate::error::{Error, Result};

/// Dots between pictures.
const GAP: usize = 8;
/// Dots between lines of a caption, and between letters, at scale 1.
const LEADING: usize = 3;
/// Dots from one letter to the next at scale 1.
const ADVANCE: usize = font::WIDTH + 1;
/// Largest sheet in pixels.
const MOST_PIXELS: usize = 1 << 28;

/// Lays pictures out in rows of `columns`, each with its caption below, whose lines are parted by `\n`. Lines that
/// are too long lose their middle. Letters are doubled where that fits. The sheet is grey if all pictures are.
///
/// # Errors
/// [`Error::Invalid`] for no picture, no column, a sheet of more than 2^28 pixels, and as [`View::check`].
pub fn sheet(pictures: &[(&View, &str)], columns: usize) -> Result<View> {
    if pictures.is_empty() || columns == 0 {
        return Err(Error::Invalid(format!("a sheet of {} pictures in {columns} columns", pictures.len())));
    }
    pictures.iter().try_for_each(|(view, _)| view.check())?;
    let columns = columns.min(pictures.len());
    let rows = pictures.len().div_ceil(columns);
    let largest = |side: fn(&View) -> usize| pictures.iter().map(|(v, _)| side(v)).max().unwrap_or(0);
    let (width, height) = (largest(|v| v.width), largest(|v| v.height));
    let channels = largest(|v| v.channels);

    let lines = pictures.iter().map(|(_, caption)| caption.lines().count()).max().unwrap_or(0);
    let longest = pictures.iter().flat_map(|(_, c)| c.lines()).map(|l| l.chars().count()).max().unwrap_or(0);
    let scale = if longest * ADVANCE * 2 <= width { 2 } else { 1 };
    let line = (font::HEIGHT + LEADING) * scale;

    let (cell_width, cell_height) = (width + GAP, height + lines * line + GAP);
    let full = |cell: usize, count: usize| cell.checked_mul(count).and_then(|n| n.checked_add(GAP));
    let sides = full(cell_width, columns).zip(full(cell_height, rows));
    let fits = |&(w, h): &(usize, usize)| w.checked_mul(h).is_some_and(|n| n <= MOST_PIXELS);
    let Some((sheet_width, sheet_height)) = sides.filter(fits) else {
        return Err(Error::Invalid(format!("a sheet of {} pictures of {width} x {height} pixels", pictures.len())));
    };

    let pixels = vec![255; sheet_width * sheet_height * channels];
    let mut sheet = View { width: sheet_width, height: sheet_height, channels, pixels };
    for (i, (view, caption)) in pictures.iter().enumerate() {
        let (left, top) = (GAP + i % columns * cell_width, GAP + i / columns * cell_height);
        paste(&mut sheet, view, left + (width - view.width) / 2, top + (height - view.height) / 2);
        for (k, text) in caption.lines().enumerate() {
            let text = shortened(text, width / (ADVANCE * scale));
            let indent = (width - (text.chars().count() * ADVANCE * scale).min(width)) / 2;
            write(&mut sheet, &text, left + indent, top + height + LEADING + k * line, scale);
        }
    }
    Ok(sheet)
}

/// Copies a picture, grey into colours if need be, to a place where it fits.
fn paste(sheet: &mut View, view: &View, left: usize, top: usize) {
    for (y, row) in view.pixels.chunks_exact(view.width * view.channels).enumerate() {
        let start = ((top + y) * sheet.width + left) * sheet.channels;
        let target = &mut sheet.pixels[start..start + view.width * sheet.channels];
        let copies = sheet.channels / view.channels;
        for (to, from) in target.chunks_exact_mut(sheet.channels).zip(row.chunks_exact(view.channels)) {
            if copies == 1 { to.copy_from_slice(from) } else { to.fill(from[0]) }
        }
    }
}

/// At most `most` characters: the beginning and the end, where names of files differ.
fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(2);
    let (head, tail) = (kept / 2, kept - kept / 2);
    let dots = ".".repeat(most.min(2));
    letters[..head]
        .iter()
        .chain(dots.chars().collect::<Vec<_>>().iter())
        .chain(&letters[letters.len() - tail..])
        .collect()
}

/// Writes black letters; dots that would leave the sheet are left out.
fn write(sheet: &mut View, text: &str, left: usize, top: usize, scale: usize) {
    for (i, character) in text.chars().enumerate() {
        for (row, bits) in font::letter(character).into_iter().enumerate() {
            for column in (0..font::WIDTH).filter(|c| bits >> (font::WIDTH - 1 - c) & 1 == 1) {
                let x = left + (i * ADVANCE + column) * scale;
                let y = top + row * scale;
                for dot in 0..scale * scale {
                    let (x, y) = (x + dot % scale, y + dot / scale);
                    if x < sheet.width && y < sheet.height {
                        let start = (y * sheet.width + x) * sheet.channels;
                        sheet.pixels[start..start + sheet.channels].fill(0);
                    }
                }
            }
        }
    }
}
