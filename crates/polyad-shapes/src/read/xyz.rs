//! Point text: a line for each point, its first three numbers the coordinates.
//!
//! Words end at blanks, commas or semicolons. Numbers after the third (normals, colours, intensity) are
//! ignored. `#` and `//` begin comments. Lines before the first point that are not points (column names, the
//! number of points of `.pts`) are passed over; after it they are an error.

use super::text::{Lines, number, quoted};
use crate::error::{At, Error, Result};
use crate::mesh::Mesh;

/// How many lines may come before the first point.
const LONGEST_HEADER: usize = 32;

/// Reads a point cloud written as text.
pub fn read_xyz(bytes: &[u8]) -> Result<Mesh> {
    let mut positions = Vec::new();
    let mut header = 0;
    for (line_number, line) in Lines::new(bytes) {
        let mut words = line
            .split(|b| b.is_ascii_whitespace() || b",;".contains(b))
            .filter(|word| !word.is_empty())
            .take_while(|word| !word.starts_with(b"#") && !word.starts_with(b"//"))
            .peekable();
        if words.peek().is_none() {
            continue;
        }
        let mut numbers = words.map_while(number);
        if let (Some(x), Some(y), Some(z)) = (numbers.next(), numbers.next(), numbers.next()) {
            positions.push([x, y, z]);
        } else if positions.is_empty() && header < LONGEST_HEADER {
            header += 1;
        } else {
            let problem = format!("found {}, expected three numbers", quoted(line));
            return Err(Error::malformed(At::Line(line_number), problem));
        }
    }
    Ok(Mesh { positions, triangles: Vec::new(), unit: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_between_blanks_commas_and_semicolons() {
        for text in ["1 2 3\n4 5 6", "x,y,z\n1,2,3,255\n4, 5, 6\n", "2\n1;2;3\n\n# note\n4\t5\t6 0 0 1 // n\n"] {
            assert_eq!(read_xyz(text.as_bytes()).unwrap().positions, [[1., 2., 3.], [4., 5., 6.]], "{text}");
        }
    }

    #[test]
    fn a_line_that_is_no_point_is_refused_after_the_first_point() {
        let error = read_xyz(b"1 2 3\n4 5\n").unwrap_err().to_string();
        assert_eq!(error, "line 2: found `4 5`, expected three numbers");
    }

    #[test]
    fn a_text_without_points_ends_early() {
        let prose = "not a cloud\n".repeat(1000);
        assert!(read_xyz(prose.as_bytes()).unwrap_err().to_string().starts_with("line 33: found `not a cloud`"));
    }
}
