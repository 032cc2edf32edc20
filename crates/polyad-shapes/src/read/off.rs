//! OFF, the Object File Format of Geomview, in its text form.
//!
//! ```text
//! [ST][C][N][4]OFF     optional; the counts may follow on the same line, even glued: `OFF216 183 0`
//! VERTICES FACES [EDGES]
//! X Y Z [W] ..         a line for each vertex; normal, colour and texture after it are ignored
//! N A B C ..           a line for each face, corners counted from 0; a colour after it is ignored
//! ```
//!
//! `#` begins a comment anywhere; blank lines do not count. The number of edges is ignored (it often lies).
//! `4OFF` has a fourth coordinate that the others are divided by. Refused: `OFF BINARY`, `nOFF` (other
//! dimensions). Without faces the vertices are a cloud.

use super::polygons::Polygons;
use super::text::{Lines, not_a, number, point, quoted, words};
use crate::error::{At, Error, Result};
use crate::mesh::Mesh;

/// The fewest bytes that a vertex can take: `0 0 0` and the end of the line.
const LEAST_VERTEX: usize = 6;
/// The fewest bytes that a face can take: `0` and the end of the line.
const LEAST_FACE: usize = 2;

/// Reads an OFF file. Polygons are filled with triangles.
pub fn read_off(bytes: &[u8]) -> Result<Mesh> {
    let mut lines = Lines::new(bytes);
    let header = read_header(&mut lines)?;
    let room = lines.remaining() + 1;
    let least = header.vertices.saturating_mul(LEAST_VERTEX).saturating_add(header.faces.saturating_mul(LEAST_FACE));
    if least > room {
        let problem = format!(
            "the header promises {} vertices and {} faces, but {room} bytes follow",
            header.vertices, header.faces
        );
        return Err(Error::malformed(At::Line(lines.number()), problem));
    }

    let mut positions = Vec::with_capacity(header.vertices);
    while positions.len() < header.vertices {
        let (number, line) = next_line(&mut lines, "vertex", positions.len(), header.vertices)?;
        positions.push(read_vertex(number, line, header.homogeneous)?);
    }
    let mut faces = Polygons::default();
    for done in 0..header.faces {
        let (number, line) = next_line(&mut lines, "face", done, header.faces)?;
        read_face(number, line, positions.len(), &mut faces)?;
    }
    Ok(Mesh { triangles: faces.triangles(&positions), positions, unit: None })
}

struct Header {
    vertices: usize,
    faces: usize,
    homogeneous: bool,
}

/// A line without its comment; `None` where nothing is left of it.
fn content(line: &[u8]) -> Option<&[u8]> {
    let line = line.split(|&b| b == b'#').next()?.trim_ascii();
    (!line.is_empty()).then_some(line)
}

fn next_line<'a>(lines: &mut Lines<'a>, what: &str, done: usize, promised: usize) -> Result<(usize, &'a [u8])> {
    lines.find_map(|(number, line)| content(line).map(|line| (number, line))).ok_or_else(|| {
        let problem = format!("the file ends after {done} of {promised} {what} lines");
        Error::malformed(At::Line(lines.number()), problem)
    })
}

/// The keyword that a first line begins with, such as `STCNOFF`, and the rest of the line.
pub(super) fn keyword(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.windows(3).take(6).position(|word| word == b"OFF")? + 3;
    let (keyword, rest) = line.split_at(end);
    keyword[..end - 3].iter().all(|b| b"STCN4n".contains(b)).then_some((keyword, rest))
}

fn read_header(lines: &mut Lines) -> Result<Header> {
    let (mut number, mut line) = next_line(lines, "header", 0, 1)?;
    let mut homogeneous = false;
    if let Some((keyword, rest)) = keyword(line) {
        if keyword.contains(&b'n') {
            return Err(Error::Unsupported("OFF with other than three dimensions (nOFF)".into()));
        }
        if rest.trim_ascii().starts_with(b"BINARY") {
            return Err(Error::Unsupported("binary OFF".into()));
        }
        homogeneous = keyword.contains(&b'4');
        match content(rest) {
            Some(counts) => line = counts,
            None => (number, line) = next_line(lines, "header", 0, 1)?,
        }
    }
    let mut words = words(line);
    let mut count = |what: &str| -> Result<usize> {
        let word = words.next().ok_or_else(|| Error::malformed(At::Line(number), format!("no number of {what}")))?;
        let text = std::str::from_utf8(word).ok();
        text.and_then(|t| t.parse().ok()).ok_or_else(|| not_a(number, word, &format!("the number of {what}")))
    };
    Ok(Header { vertices: count("vertices")?, faces: count("faces")?, homogeneous })
}

fn read_vertex(line_number: usize, line: &[u8], homogeneous: bool) -> Result<[f64; 3]> {
    let mut words = words(line);
    let p = point(&mut words, line_number)?;
    if !homogeneous {
        return Ok(p);
    }
    let w = words.next().ok_or_else(|| Error::malformed(At::Line(line_number), "three coordinates, expected four"))?;
    let w = number(w).ok_or_else(|| not_a(line_number, w, "a coordinate"))?;
    Ok(p.map(|x| x / w))
}

fn read_face(number: usize, line: &[u8], vertices: usize, faces: &mut Polygons) -> Result<()> {
    let mut words = words(line);
    let mut index = |expected: &str| -> Result<u32> {
        let word = words
            .next()
            .ok_or_else(|| Error::malformed(At::Line(number), format!("the face {} ends early", quoted(line))))?;
        let text = std::str::from_utf8(word).ok();
        text.and_then(|t| t.parse().ok()).ok_or_else(|| not_a(number, word, expected))
    };
    for _ in 0..index("the number of corners")? {
        let vertex = index("the number of a vertex")?;
        if vertex as usize >= vertices {
            let problem = format!("a face names vertex {vertex}, counted from 0, but the file has {vertices}");
            return Err(Error::malformed(At::Line(number), problem));
        }
        faces.corner(vertex);
    }
    faces.end_face();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n";

    fn read(text: &str) -> Mesh {
        read_off(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_header_is_read_in_every_form_in_the_wild() {
        for header in
            ["OFF\n4 1 0\n", "OFF 4 1 0\n", "OFF4 1 0\n", "4 1 0\n", "OFF\n4 1\n", "OFF # x\n\n# y\n 4 1 99999\n"]
        {
            assert_eq!(read(&format!("{header}{SQUARE}")).triangles, [[0, 1, 2], [0, 2, 3]], "{header}");
        }
    }

    #[test]
    fn normals_colours_and_textures_are_passed_over() {
        let text = "STCNOFF\n3 1 0\n0 0 0 0 0 1 .1 .2 .3 1 0 0 # c\n\n1 0 0 0 0 1 .1 .2 .3 1 0 0\n0 1 0 0 0 1 1 1 1 1 1 1\n3 0 1 2 255 0 0\n";
        let mesh = read(text);
        assert_eq!((mesh.positions.len(), mesh.triangles), (3, vec![[0, 1, 2]]));
        assert_eq!(mesh.positions[1], [1.0, 0.0, 0.0]);
    }

    #[test]
    fn the_fourth_coordinate_divides() {
        assert_eq!(read("4OFF\n1 0 0\n2 4 6 2\n").positions, [[1.0, 2.0, 3.0]]);
    }

    #[test]
    fn without_faces_it_is_a_cloud_and_lines_are_no_faces() {
        assert!(read("OFF\n2 0 0\n0 0 0\n1 1 1\n").is_cloud());
        assert!(read("OFF\n2 1 0\n0 0 0\n1 1 1\n2 0 1").is_cloud());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = |text: &str| read_off(text.as_bytes()).unwrap_err().to_string();
        let huge = "OFF\n4294967295 4294967295 0\n0 0 0\n";
        assert_eq!(
            error(huge),
            "line 2: the header promises 4294967295 vertices and 4294967295 faces, but 7 bytes follow"
        );
        assert!(error("OFF\n18446744073709551615 18446744073709551615 0").contains("promises"));
        assert_eq!(error("OFF\n2 0 0\n0.00 0.00 0.00\n"), "line 3: the file ends after 1 of 2 vertex lines");
        assert_eq!(error(&format!("OFF\n4 2 0\n{SQUARE}")), "line 7: the file ends after 1 of 2 face lines");
        assert_eq!(error("OFF\nmany 2 0\n"), "line 2: found `many`, expected the number of vertices");
        assert_eq!(error("OFF\n1\n"), "line 2: no number of faces");
        assert_eq!(error(""), "line 0: the file ends after 0 of 1 header lines");
        assert_eq!(
            error("OFF\n1 1 0\n0 0 0\n3 0 0 1\n"),
            "line 4: a face names vertex 1, counted from 0, but the file has 1"
        );
        assert_eq!(error("OFF\n1 1 0\n0 0 0\n3 0 0\n"), "line 4: the face `3 0 0` ends early");
        assert_eq!(error("OFF\n1 1 0\n0 0 0\n3 0 -1 0\n"), "line 4: found `-1`, expected the number of a vertex");
        assert_eq!(error("OFF BINARY\n"), "not supported: binary OFF");
        assert!(error("nOFF\n4\n1 0 0\n").contains("nOFF"));
        assert_eq!(error("4OFF\n1 0 0\n0 0 0\n"), "line 3: three coordinates, expected four");
    }
}
