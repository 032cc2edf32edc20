//! STL: triangles, each with its own three corners.
//!
//! ```text
//! binary   0  80 bytes of anything, often text, sometimes beginning with `solid`
//!         80  u32  number of triangles n
//!         84  n times 50 bytes: normal, three corners (12 little-endian f32), 2 bytes of attributes
//!
//! text     solid NAME / facet normal X Y Z / outer loop / vertex X Y Z (three times) / endloop / endfacet / endsolid
//! ```
//!
//! The length decides which of the two it is, since binary files may begin with `solid` as well. Ignored:
//! normals, names, colours in the attributes. Several solids make one mesh. A binary file whose count is 0 or
//! less than the whole records that follow has as many triangles as follow: writers that stream leave the
//! count open. One whose count promises more than follows is refused.

use super::text::{Lines, point, words};
use crate::error::{At, Error, Result};
use crate::mesh::Mesh;
use crate::read::polygons::{Patience, fill};

const HEADER: usize = 84;
const RECORD: usize = 50;
/// How far to look for a zero byte, which no text has and hardly any binary file lacks.
const SNIFFED: usize = 4096;

/// Reads an STL file, text or binary. Corners are not merged.
pub fn read_stl(bytes: &[u8]) -> Result<Mesh> {
    if is_text(bytes) { read_text(bytes) } else { read_binary(bytes) }
}

/// The number of triangles that the header of a binary file promises.
fn promised(bytes: &[u8]) -> Option<usize> {
    bytes.get(80..HEADER)?.try_into().ok().map(|count| u32::from_le_bytes(count) as usize)
}

/// The length is exactly what the header of a binary STL says.
pub(super) fn is_exactly_binary(bytes: &[u8]) -> bool {
    promised(bytes).is_some_and(|count| count.checked_mul(RECORD) == bytes.len().checked_sub(HEADER))
}

fn is_text(bytes: &[u8]) -> bool {
    let begins = Lines::new(bytes)
        .find_map(|(_, line)| words(line).next())
        .is_some_and(|word| word.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"solid")));
    begins && !is_exactly_binary(bytes) && !bytes[..bytes.len().min(SNIFFED)].contains(&0)
}

fn read_binary(bytes: &[u8]) -> Result<Mesh> {
    let Some(promised) = promised(bytes) else {
        let problem = format!("{} bytes, and neither the text nor the {HEADER} bytes of header of an STL", bytes.len());
        return Err(Error::malformed(At::File, problem));
    };
    let body = &bytes[HEADER..];
    let held = body.len() / RECORD;
    if promised > held {
        let problem = format!("the header promises {promised} triangles, but {held} follow");
        return Err(Error::malformed(At::Byte(80), problem));
    }
    let whole = body.len().is_multiple_of(RECORD);
    let count = if whole { held } else { promised };
    u32::try_from(3 * count).map_err(|_| Error::Unsupported(format!("{count} triangles in one file")))?;

    let mut mesh = Mesh { positions: Vec::with_capacity(3 * count), triangles: Vec::with_capacity(count), unit: None };
    for (i, record) in body.chunks_exact(RECORD).take(count).enumerate() {
        let (numbers, _) = record.as_chunks::<4>();
        let number = |n: usize| f64::from(f32::from_le_bytes(numbers[n]));
        mesh.positions.extend([3, 6, 9].map(|n| [number(n), number(n + 1), number(n + 2)]));
        let first = 3 * i as u32;
        mesh.triangles.push([first, first + 1, first + 2]);
    }
    Ok(mesh)
}

fn read_text(bytes: &[u8]) -> Result<Mesh> {
    let mut mesh = Mesh::default();
    let mut facet: Vec<u32> = Vec::with_capacity(3);
    let mut patience = Patience::default();
    let mut lines = Lines::new(bytes);
    for (number, line) in lines.by_ref() {
        let mut words = words(line);
        while let Some(word) = words.next() {
            // Names may contain any word, so the rest of such a line says nothing.
            if is(word, "solid") || is(word, "endsolid") {
                break;
            } else if is(word, "vertex") {
                let next = u32::try_from(mesh.positions.len())
                    .map_err(|_| Error::Unsupported("more than 4294967295 corners in one file".into()))?;
                mesh.positions.push(point(&mut words, number)?);
                facet.push(next);
            } else if is(word, "endloop") || is(word, "endfacet") {
                end_facet(&mut facet, &mut patience, &mut mesh, number)?;
            } else if is(word, "end") {
                match words.next() {
                    Some(what) if is(what, "solid") => break,
                    _ => end_facet(&mut facet, &mut patience, &mut mesh, number)?,
                }
            }
        }
    }
    if !facet.is_empty() {
        return Err(Error::malformed(At::Line(lines.number()), "the file ends inside a facet"));
    }
    Ok(mesh)
}

fn is(word: &[u8], keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword.as_bytes())
}

fn end_facet(facet: &mut Vec<u32>, patience: &mut Patience, mesh: &mut Mesh, line: usize) -> Result<()> {
    if matches!(facet.len(), 1 | 2) {
        let problem = format!("a facet of {} vertices, expected three", facet.len());
        return Err(Error::malformed(At::Line(line), problem));
    }
    fill(facet, &mesh.positions, patience, &mut mesh.triangles);
    facet.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(header: &[u8], count: u32, held: usize) -> Vec<u8> {
        let mut bytes = header.to_vec();
        bytes.resize(80, b' ');
        bytes.extend(count.to_le_bytes());
        for i in 0..held {
            for x in [0., 0., 1., 0., 0., 0., 1., 0., 0., 0., 1., i as f32] {
                bytes.extend(f32::to_le_bytes(x));
            }
            bytes.extend([0xFF, 0x7F]);
        }
        bytes
    }

    #[test]
    fn a_binary_file_may_begin_with_solid() {
        let mesh = read_stl(&binary(b"solid made by nobody", 2, 2)).unwrap();
        assert_eq!(mesh.triangles, [[0, 1, 2], [3, 4, 5]]);
        assert_eq!(mesh.positions[5], [0.0, 1.0, 1.0]);
    }

    #[test]
    fn a_count_with_the_byte_of_ctrl_z_is_a_count() {
        assert_eq!(read_stl(&binary(b"x", 6656 + 0x1A, 6656 + 0x1A)).unwrap().triangles.len(), 6682);
    }

    #[test]
    fn a_count_left_open_is_made_up_for_by_the_length() {
        assert_eq!(read_stl(&binary(b"stream", 0, 3)).unwrap().triangles.len(), 3);
        let mut trailing = binary(b"x", 2, 2);
        trailing.extend(b"written by someone");
        assert_eq!(read_stl(&trailing).unwrap().triangles.len(), 2, "bytes after the last record are ignored");
    }

    #[test]
    fn a_count_of_more_than_the_file_holds_is_refused() {
        let error = read_stl(&binary(b"x", u32::MAX, 2)).unwrap_err().to_string();
        assert_eq!(error, "byte 80: the header promises 4294967295 triangles, but 2 follow");
    }

    #[test]
    fn files_too_short_for_a_header_are_refused() {
        for bytes in [&b""[..], b"solid", b"\0\0\0", &binary(b"solid name", 0, 0)[..80]] {
            let read = read_stl(bytes);
            assert!(read.is_err() || read.unwrap().positions.is_empty());
        }
        assert!(read_stl(&[0; 83]).unwrap_err().to_string().contains("83 bytes"));
    }

    #[test]
    fn text_is_read_however_it_is_spaced_and_spelt() {
        let text = b"  SOLID vertex 1 2 3 loop\r\n\tfacet  normal 0 0 1\r\n outer loop\r\n vertex\t0  0 0\r\n\
            vertex 1 0 0\r\nvertex 0 1 0 end loop\r\nend facet\r\nend solid vertex\r\nsolid\n\
            facet normal 0 0 0 outer loop vertex 0 0 0 vertex 1 0 0 vertex 0 nan 0 endloop endfacet\nendsolid";
        let mesh = read_stl(text).unwrap();
        assert_eq!(mesh.triangles, [[0, 1, 2], [3, 4, 5]]);
        assert!(mesh.positions[5][1].is_nan());
    }

    #[test]
    fn broken_text_says_on_which_line() {
        let error = |text: &str| read_stl(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("solid\nvertex 1 2"), "line 2: 2 coordinates, expected three");
        assert_eq!(error("solid\nvertex 1 2 x"), "line 2: found `x`, expected a coordinate");
        assert_eq!(error("solid\nvertex 1 2 3\nendloop"), "line 3: a facet of 1 vertices, expected three");
        assert_eq!(error("solid\nvertex 1 2 3\n"), "line 2: the file ends inside a facet");
    }
}
