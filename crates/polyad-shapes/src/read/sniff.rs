//! Which format the content is, where the name is wrong or says nothing.

use super::Format;
use super::off;
use super::stl::is_exactly_binary;
use super::text::{Lines, number, words};
use crate::error::Error;

/// How many lines of a text are looked at.
const LOOKED_AT: usize = 64;

/// The format of a file, given what its name promises.
///
/// The promise holds unless the first bytes can only be something else. A binary STL may begin with any
/// text, so one whose length fits is believed first.
pub fn format(bytes: &[u8], promised: Option<Format>) -> Option<Format> {
    if promised == Some(Format::Stl) && is_exactly_binary(bytes) {
        return promised;
    }
    certain(bytes).or(promised).or_else(|| likely(bytes))
}

/// Formats that begin as nothing else does.
fn certain(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(b"glTF") {
        return Some(Format::Gltf);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Some(Format::ThreeMf);
    }
    let mut lines = Lines::new(bytes).map(|(_, line)| line.trim_ascii()).filter(|line| !line.is_empty());
    let first = lines.next()?;
    if first == b"ply" {
        return Some(Format::Ply);
    }
    if off::keyword(first).is_some_and(|(_, rest)| rest.first().is_none_or(|b| b.is_ascii_digit() || *b <= b' ')) {
        return Some(Format::Off);
    }
    let facet = lines.next().and_then(|second| words(second).next()).is_some_and(|word| word == b"facet");
    (facet && first.starts_with(b"solid")).then_some(Format::Stl)
}

/// What a file without a telling name probably is.
fn likely(bytes: &[u8]) -> Option<Format> {
    if is_exactly_binary(bytes) {
        return Some(Format::Stl);
    }
    let head = bytes.trim_ascii_start();
    if head.starts_with(b"{") && head[..head.len().min(1 << 16)].windows(7).any(|word| word == b"\"asset\"") {
        return Some(Format::Gltf);
    }
    for (_, line) in Lines::new(bytes).take(LOOKED_AT) {
        let mut words = words(line);
        match words.next() {
            Some(b"v") if words.map_while(number).count() >= 3 => return Some(Format::Obj),
            Some(b"solid") => return Some(Format::Stl),
            _ => {}
        }
        let fields = line.split(|b| b.is_ascii_whitespace() || b",;".contains(b)).filter(|word| !word.is_empty());
        if fields.map_while(number).count() >= 3 {
            return Some(Format::Xyz);
        }
    }
    None
}

/// The refusal of a file that is none of the formats.
pub fn unknown(bytes: &[u8], extension: &str) -> Error {
    if bytes.is_empty() {
        return Error::Empty("the file has no bytes".into());
    }
    let readable = "STL, OBJ, PLY, OFF, glTF, 3MF and point text can be read";
    let what = match bytes {
        [b'I', b'S', b'O', b'-', b'1', b'0', b'3', b'0', b'3', ..] => "STEP files".to_owned(),
        _ if extension.is_empty() => "files of an unknown format".to_owned(),
        _ => format!("files of type `.{extension}`"),
    };
    Error::Unsupported(format!("{what} ({readable})"))
}
