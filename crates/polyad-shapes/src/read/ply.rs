//! PLY, the Stanford polygon file: a header that describes tables, then the tables.
//!
//! ```text
//! ply
//! format ascii|binary_little_endian|binary_big_endian 1.0
//! comment .. / obj_info ..
//! element NAME ROWS
//! property TYPE NAME / property list TYPE TYPE NAME       any number, in the order of the row
//! end_header
//! rows: a line each, or packed numbers; a list is its length and its items
//! ```
//!
//! Used are `x`, `y`, `z` of `vertex`; `vertex_indices` or `vertex_index` of `face`; the same of `tristrips`
//! (-1 begins a new strip). All else is walked over, lists of any length and type too. Every number of these
//! tables is exact in an f64, so rows are read as f64 whatever their types. Without faces the vertices are a
//! cloud. A table that promises more rows than the file has room for is refused before any is read.

mod header;
mod values;

use super::polygons::{Polygons, strip};
use crate::error::{At, Error, Result};
use crate::mesh::Mesh;
use header::{Element, Encoding, Header, Property};
use values::{Packed, Values, Written};

/// Reads a PLY file. Polygons and strips become triangles.
pub fn read_ply(bytes: &[u8]) -> Result<Mesh> {
    let (header, body) = header::read(bytes)?;
    match header.encoding {
        Encoding::Ascii => read_tables(&header, Written::new(&bytes[body..], header.lines)),
        Encoding::Little => read_tables(&header, Packed::<true>::new(bytes, body)),
        Encoding::Big => read_tables(&header, Packed::<false>::new(bytes, body)),
    }
}

/// What a property is to us.
#[derive(Clone, Copy)]
enum Role {
    Axis(usize),
    Corners,
    Strips,
    Nothing,
}

fn role(element: &Element, property: &Property) -> Role {
    match (element.name.as_str(), property.name.as_str(), property.list.is_some()) {
        ("vertex", "x", false) => Role::Axis(0),
        ("vertex", "y", false) => Role::Axis(1),
        ("vertex", "z", false) => Role::Axis(2),
        ("face", "vertex_indices" | "vertex_index", true) => Role::Corners,
        ("tristrips", "vertex_indices" | "vertex_index", true) => Role::Strips,
        _ => Role::Nothing,
    }
}

#[derive(Default)]
struct Tables {
    positions: Vec<[f64; 3]>,
    faces: Polygons,
    /// The highest vertex that a face names, and the row that does.
    highest: Option<(u32, At)>,
}

fn read_tables(header: &Header, mut values: impl Values) -> Result<Mesh> {
    let mut tables = Tables::default();
    for element in header.elements.iter().filter(|element| !element.properties.is_empty()) {
        let least = values.least_row(element);
        if element.rows.saturating_mul(least) > values.room() {
            let problem = format!(
                "the header promises {} rows of at least {least} bytes, but {} bytes follow",
                element.rows,
                values.room()
            );
            return Err(Error::malformed(At::Part(element.name.clone()), problem));
        }
        read_element(element, &mut values, &mut tables)?;
    }
    let count = tables.positions.len();
    if let Some((highest, at)) = tables.highest.filter(|(highest, _)| *highest as usize >= count) {
        let problem = format!("a face names vertex {highest}, counted from 0, but the file has {count}");
        return Err(Error::malformed(at, problem));
    }
    Ok(Mesh { triangles: tables.faces.triangles(&tables.positions), positions: tables.positions, unit: None })
}

fn read_element(element: &Element, values: &mut impl Values, tables: &mut Tables) -> Result<()> {
    let roles: Vec<Role> = element.properties.iter().map(|property| role(element, property)).collect();
    let has = |axis| roles.iter().any(|role| matches!(role, Role::Axis(a) if *a == axis));
    let is_vertex = element.name == "vertex";
    if is_vertex && element.rows > 0 && !(has(0) && has(1) && has(2)) {
        return Err(Error::malformed(At::Part("vertex".into()), "not all of x, y and z are among its properties"));
    }
    if is_vertex {
        tables.positions.reserve_exact(element.rows);
    }
    let mut indices: Vec<Option<u32>> = Vec::new();
    for _ in 0..element.rows {
        let at = values.begin_row(element)?;
        let mut point = [0.0; 3];
        for (property, role) in element.properties.iter().zip(&roles) {
            let Some(length_type) = property.list else {
                let value = values.next(property.scalar)?;
                if let Role::Axis(axis) = role {
                    point[*axis] = value;
                }
                continue;
            };
            let length = values.next(length_type)?;
            let length = whole(length).ok_or_else(|| bad(&at, length, "the length of a list"))?;
            indices.clear();
            for _ in 0..length {
                let value = values.next(property.scalar)?;
                if matches!(role, Role::Corners | Role::Strips) {
                    let index = whole(value);
                    if index.is_none() && !(matches!(role, Role::Strips) && value == -1.0) {
                        return Err(bad(&at, value, "the number of a vertex"));
                    }
                    indices.push(index);
                }
            }
            let highest = indices.iter().flatten().max().copied();
            if let Some(highest) = highest.filter(|new| tables.highest.as_ref().is_none_or(|(old, _)| new > old)) {
                tables.highest = Some((highest, at.clone()));
            }
            match role {
                Role::Corners => indices.iter().flatten().for_each(|&corner| tables.faces.corner(corner)),
                Role::Strips => {
                    for run in indices.split(Option::is_none) {
                        let run: Vec<u32> = run.iter().flatten().copied().collect();
                        strip(&run).for_each(|triangle| tables.faces.triangle(triangle));
                    }
                }
                _ => {}
            }
            tables.faces.end_face();
        }
        if is_vertex {
            tables.positions.push(point);
        }
    }
    Ok(())
}

fn whole(value: f64) -> Option<u32> {
    (value >= 0.0 && value <= f64::from(u32::MAX) && value.fract() == 0.0).then_some(value as u32)
}

fn bad(at: &At, value: f64, expected: &str) -> Error {
    Error::malformed(at.clone(), format!("found {value}, expected {expected}"))
}

#[cfg(test)]
mod tests;
