//! A triangle mesh, or a cloud of points, as plain values.

/// A surface of triangles, or a cloud of points where there are none.
///
/// Coordinates are in the file's own units, in double precision: scans in geographic coordinates lose
/// their shape in single precision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mesh {
    /// Vertices, or the cloud's points.
    pub positions: Vec<[f64; 3]>,
    /// Corners as indices into `positions`, all of them valid.
    pub triangles: Vec<[u32; 3]>,
    /// The unit that the file names, such as `millimeter`; `None` where it names none.
    pub unit: Option<String>,
}
