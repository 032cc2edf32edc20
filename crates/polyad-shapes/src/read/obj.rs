//! Wavefront OBJ: one statement a line.
//!
//! ```text
//! v X Y Z ..      a vertex (weights and colours after it are ignored)
//! f A B C ..      a face; each corner is V, V/T, V//N or V/T/N, counted from 1, or from the last one back by -1
//! \               at the end of a line: it goes on in the next
//! ```
//!
//! Negative numbers count back from the line they stand on, as the format says; positive ones may name
//! vertices that come later. All other statements are ignored, materials too, so a missing MTL is no
//! matter. Without faces the vertices are a cloud (wireframes of `l`, points of `p`).

use super::polygons::Polygons;
use super::text::{Lines, not_a, point, quoted, words};
use crate::error::{At, Error, Result};
use crate::mesh::Mesh;

/// Reads an OBJ file. Polygons are filled with triangles.
pub fn read_obj(bytes: &[u8]) -> Result<Mesh> {
    let mut obj = Obj::default();
    let mut joined: Vec<u8> = Vec::new();
    let mut lines = Lines::new(bytes);
    for (number, line) in lines.by_ref() {
        let trimmed = line.trim_ascii_end();
        if let Some(begun) = trimmed.strip_suffix(b"\\") {
            joined.extend_from_slice(begun);
            joined.push(b' ');
        } else if joined.is_empty() {
            obj.statement(number, trimmed)?;
        } else {
            joined.extend_from_slice(trimmed);
            obj.statement(number, &joined)?;
            joined.clear();
        }
    }
    obj.statement(lines.number(), &joined)?;
    obj.finish()
}

#[derive(Default)]
struct Obj {
    positions: Vec<[f64; 3]>,
    faces: Polygons,
    /// The highest vertex that a face names, counted from 0, and the line that does.
    highest: Option<(u32, usize)>,
}

impl Obj {
    fn statement(&mut self, number: usize, line: &[u8]) -> Result<()> {
        let mut words = words(line);
        match words.next() {
            Some(b"v") => self.positions.push(point(&mut words, number)?),
            Some(b"f") => {
                for corner in words.take_while(|word| !word.starts_with(b"#")) {
                    let vertex = self.vertex(number, corner)?;
                    if self.highest.is_none_or(|(highest, _)| vertex > highest) {
                        self.highest = Some((vertex, number));
                    }
                    self.faces.corner(vertex);
                }
                self.faces.end_face();
            }
            _ => {}
        }
        Ok(())
    }

    /// The vertex of a corner such as `7/3/1` or `-1//-1`, counted from 0.
    fn vertex(&self, number: usize, corner: &[u8]) -> Result<u32> {
        let first = corner.split(|&b| b == b'/').next().unwrap_or(corner);
        let index: i64 = std::str::from_utf8(first)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| not_a(number, corner, "the number of a vertex"))?;
        let from_zero = if index < 0 { (self.positions.len() as i64).checked_add(index) } else { index.checked_sub(1) };
        from_zero.and_then(|v| u32::try_from(v).ok()).ok_or_else(|| {
            let problem = format!("a face names vertex {}, but {} come before it", quoted(first), self.positions.len());
            Error::malformed(At::Line(number), problem)
        })
    }

    fn finish(self) -> Result<Mesh> {
        let count = self.positions.len();
        match self.highest {
            Some((highest, line)) if highest as usize >= count => Err(Error::malformed(
                At::Line(line),
                format!("a face names vertex {}, but the file has {count}", u64::from(highest) + 1),
            )),
            _ => Ok(Mesh { triangles: self.faces.triangles(&self.positions), positions: self.positions, unit: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triangles(text: &str) -> Vec<[u32; 3]> {
        read_obj(text.as_bytes()).unwrap().triangles
    }

    const SQUARE: &str = "v 0 0 0\nv 1 0 0 0.5 0.5 0.5\nv 1 1 0 1.0\nv 0 1 0\n";

    #[test]
    fn corners_are_read_in_all_four_forms() {
        for face in ["f 1 2 3", "f 1/9 2/9 3/9", "f 1//9 2//9 3//9", "f 1/1/1 2/1/1 3/1/1", "f 1// 2// 3// # 4"] {
            assert_eq!(triangles(&format!("{SQUARE}{face}")), [[0, 1, 2]], "{face}");
        }
    }

    #[test]
    fn negative_corners_count_back_from_their_own_line() {
        let text = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 1\nf -4 -3 -1\n";
        assert_eq!(triangles(text), [[0, 1, 2], [0, 1, 3]]);
    }

    #[test]
    fn lines_go_on_after_a_backslash_and_faces_may_come_first() {
        assert_eq!(triangles(&format!("f 1 \\\r\n2 3\\\r\n 4\r\n{SQUARE}")), [[0, 1, 2], [0, 2, 3]]);
        assert_eq!(triangles(&format!("{SQUARE}f 1 2 \\\n3 \\")), [[0, 1, 2]], "even at the end of the file");
    }

    #[test]
    fn faces_of_two_corners_and_names_that_look_like_faces_are_no_faces() {
        assert_eq!(triangles(&format!("{SQUARE}f 1 2\ng x f 1 2 9\no f 1\nmtllib no.mtl\nf 2 3 4")), [[1, 2, 3]]);
    }

    #[test]
    fn a_wireframe_is_a_cloud() {
        let mesh = read_obj(format!("{SQUARE}l 1 2\np 3").as_bytes()).unwrap();
        assert!(mesh.is_cloud() && mesh.positions.len() == 4);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = |face: &str| read_obj(format!("{SQUARE}{face}\n").as_bytes()).unwrap_err().to_string();
        assert_eq!(error("f 1 2 0"), "line 5: a face names vertex `0`, but 4 come before it");
        assert_eq!(error("f 1 2 -5"), "line 5: a face names vertex `-5`, but 4 come before it");
        assert_eq!(error("f 1 2 5"), "line 5: a face names vertex 5, but the file has 4");
        assert_eq!(error("f 1 2 4294967295"), "line 5: a face names vertex 4294967295, but the file has 4");
        assert!(error("f 1 2 99999999999").starts_with("line 5: a face names vertex `99999999999`"));
        assert_eq!(error("f 1 2 x/1"), "line 5: found `x/1`, expected the number of a vertex");
        assert_eq!(error("v 1 2"), "line 5: 2 coordinates, expected three");
    }
}
