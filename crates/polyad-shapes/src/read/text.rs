//! Lines, words and numbers of text formats, whatever wrote them.

use crate::error::{At, Error, Result};

/// Lines with their numbers, counted from 1. Ends at LF, CR LF or CR (files of old Macs).
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// All lines of a text; a byte order mark is taken off.
    pub fn new(text: &'a [u8]) -> Self {
        Lines { rest: text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text), number: 0 }
    }

    /// Bytes after the lines handed out so far.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The number of the line handed out last.
    pub fn number(&self) -> usize {
        self.number
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let end = self.rest.iter().position(|&b| b == b'\n' || b == b'\r').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        let ending = match self.rest[end..] {
            [b'\r', b'\n', ..] => 2,
            [_, ..] => 1,
            [] => 0,
        };
        self.rest = &self.rest[end + ending..];
        Some((self.number, line))
    }
}

/// Words between blanks.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| b.is_ascii_whitespace() || *b == 0).filter(|word| !word.is_empty())
}

/// A number, `nan` and `inf` in the spellings of C libraries included; `None` for anything else.
pub(crate) fn number(word: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(word).ok()?;
    text.parse().ok().or_else(|| {
        // glibc writes `-nan`, older Microsoft libraries `1.#QNAN`, `-1.#IND` or `-nan(ind)`.
        let lower = text.trim_start_matches(['-', '+']).to_ascii_lowercase();
        (lower.starts_with("nan") || lower.starts_with("1.#")).then_some(f64::NAN)
    })
}

/// The next three words as a point.
pub(crate) fn point<'a>(words: &mut impl Iterator<Item = &'a [u8]>, line: usize) -> Result<[f64; 3]> {
    let mut p = [0.0; 3];
    for (axis, x) in p.iter_mut().enumerate() {
        let word = words
            .next()
            .ok_or_else(|| Error::malformed(At::Line(line), format!("{axis} coordinates, expected three")))?;
        *x = number(word).ok_or_else(|| not_a(line, word, "a coordinate"))?;
    }
    Ok(p)
}

/// The error for a word that is something else than expected.
pub(crate) fn not_a(line: usize, word: &[u8], expected: &str) -> Error {
    Error::malformed(At::Line(line), format!("found {}, expected {expected}", quoted(word)))
}

/// Foreign bytes made fit for a message: short, without control characters.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(40)];
    let text: String = String::from_utf8_lossy(cut).chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("`{text}{}`", if cut.len() < bytes.len() { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_any_of_the_three_ways() {
        let lines: Vec<_> = Lines::new(b"\xEF\xBB\xBFa\r\nb\rc\n\nd").collect();
        assert_eq!(lines, [(1, &b"a"[..]), (2, b"b"), (3, b"c"), (4, b""), (5, b"d")]);
    }

    #[test]
    fn every_spelling_of_nan_is_a_number_and_a_comma_is_not() {
        for word in ["nan", "-nan", "NaN", "1.#QNAN", "-1.#IND0", "-nan(ind)"] {
            assert!(number(word.as_bytes()).unwrap().is_nan(), "{word}");
        }
        assert_eq!(number(b"-1.5e3"), Some(-1500.0));
        assert_eq!(number(b"+2"), Some(2.0));
        assert_eq!(number(b"1,5"), None);
    }
}
