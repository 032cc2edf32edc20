//! The header of a PLY file.

use crate::error::{At, Error, Result};
use crate::read::text::{Lines, not_a, quoted, words};

/// How the rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Ascii,
    Little,
    Big,
}

/// A type of number. Both the old names and those with bits are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

impl Scalar {
    fn named(word: &[u8]) -> Option<Scalar> {
        Some(match word {
            b"char" | b"int8" => Scalar::I8,
            b"uchar" | b"uint8" => Scalar::U8,
            b"short" | b"int16" => Scalar::I16,
            b"ushort" | b"uint16" => Scalar::U16,
            b"int" | b"int32" => Scalar::I32,
            b"uint" | b"uint32" => Scalar::U32,
            b"float" | b"float32" => Scalar::F32,
            b"double" | b"float64" => Scalar::F64,
            _ => return None,
        })
    }

    /// Bytes in the packed encodings.
    pub fn size(self) -> usize {
        match self {
            Scalar::I8 | Scalar::U8 => 1,
            Scalar::I16 | Scalar::U16 => 2,
            Scalar::I32 | Scalar::U32 | Scalar::F32 => 4,
            Scalar::F64 => 8,
        }
    }
}

/// A column of a table.
pub struct Property {
    pub name: String,
    /// For a list, the type of its length.
    pub list: Option<Scalar>,
    pub scalar: Scalar,
}

/// A table.
pub struct Element {
    pub name: String,
    pub rows: usize,
    pub properties: Vec<Property>,
}

/// All that comes before the rows.
pub struct Header {
    pub encoding: Encoding,
    pub elements: Vec<Element>,
    /// Lines of the header, for the numbers of those that follow.
    pub lines: usize,
}

/// The header, and where the rows begin.
pub fn read(bytes: &[u8]) -> Result<(Header, usize)> {
    let mut lines = Lines::new(bytes);
    let first = lines.next().map_or(&b""[..], |(_, line)| line);
    if first.trim_ascii() != b"ply" {
        return Err(not_a(1, first, "`ply`"));
    }
    let mut encoding = None;
    let mut elements: Vec<Element> = Vec::new();
    for (number, line) in lines.by_ref() {
        let mut words = words(line);
        match words.next() {
            None | Some(b"comment" | b"obj_info") => {}
            Some(b"format") => encoding = Some(read_encoding(number, words.next())?),
            Some(b"element") => {
                let name = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
                let rows = words.next().unwrap_or_default();
                let rows = std::str::from_utf8(rows)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| not_a(number, rows, "the number of rows"))?;
                elements.push(Element { name, rows, properties: Vec::new() });
            }
            Some(b"property") => {
                let property = read_property(number, words)?;
                let element = elements
                    .last_mut()
                    .ok_or_else(|| Error::malformed(At::Line(number), "a property before any element"))?;
                element.properties.push(property);
            }
            Some(b"end_header") => {
                let encoding = encoding.ok_or_else(|| Error::malformed(At::Line(number), "no line `format`"))?;
                let mut body = bytes.len() - lines.remaining();
                // Where lines end in CR alone, an LF after it is the first byte of the rows.
                let cr_alone = bytes.get(first.len()) == Some(&b'\r') && bytes.get(first.len() + 1) != Some(&b'\n');
                if cr_alone && bytes[..body].ends_with(b"\r\n") {
                    body -= 1;
                }
                return Ok((Header { encoding, elements, lines: number }, body));
            }
            Some(word) => return Err(not_a(number, word, "`element`, `property` or `end_header`")),
        }
    }
    Err(Error::malformed(At::Line(lines.number()), "the file ends inside the header"))
}

fn read_encoding(number: usize, word: Option<&[u8]>) -> Result<Encoding> {
    match word.unwrap_or_default() {
        b"ascii" => Ok(Encoding::Ascii),
        b"binary_little_endian" => Ok(Encoding::Little),
        b"binary_big_endian" => Ok(Encoding::Big),
        other => Err(not_a(number, other, "`ascii`, `binary_little_endian` or `binary_big_endian`")),
    }
}

fn read_property<'a>(number: usize, mut words: impl Iterator<Item = &'a [u8]>) -> Result<Property> {
    let scalar = |word: Option<&[u8]>| {
        let word = word.unwrap_or_default();
        Scalar::named(word).ok_or_else(|| not_a(number, word, "a type such as `float` or `uint8`"))
    };
    let first = words.next();
    let (list, scalar) = match first {
        Some(b"list") => (Some(scalar(words.next())?), scalar(words.next())?),
        other => (None, scalar(other)?),
    };
    let name = words.next().ok_or_else(|| {
        let problem = format!("a property without a name after {}", quoted(first.unwrap_or_default()));
        Error::malformed(At::Line(number), problem)
    })?;
    Ok(Property { name: String::from_utf8_lossy(name).into_owned(), list, scalar })
}
