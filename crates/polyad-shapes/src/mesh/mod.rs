//! A triangle mesh, or a cloud of points, as plain values; what can be said of one at a glance.

mod info;
mod weld;

use crate::vector::{cross, dot, sub};
pub use info::{MeshInfo, describe};

/// A surface of triangles, or a cloud of points where there are none.
///
/// Coordinates are in the file's own units, in double precision: scans in geographic coordinates lose
/// their shape in single precision. A mesh from [`crate::read::read_mesh`] has finite coordinates only, and
/// where it has triangles, every position belongs to one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mesh {
    /// Vertices, or the cloud's points.
    pub positions: Vec<[f64; 3]>,
    /// Corners as indices into `positions`, all of them valid.
    pub triangles: Vec<[u32; 3]>,
    /// The unit that the file names, such as `millimeter`; `None` where it names none.
    pub unit: Option<String>,
}

impl Mesh {
    /// No triangles, so the positions themselves are the shape.
    pub fn is_cloud(&self) -> bool {
        self.triangles.is_empty()
    }

    /// Least and greatest coordinates of what is seen: the triangles' corners, or the cloud's points.
    /// `None` where there is nothing.
    pub fn bounds(&self) -> Option<[[f64; 3]; 2]> {
        let mut low = [f64::INFINITY; 3];
        let mut high = [f64::NEG_INFINITY; 3];
        let mut grow = |p: &[f64; 3]| {
            for axis in 0..3 {
                low[axis] = low[axis].min(p[axis]);
                high[axis] = high[axis].max(p[axis]);
            }
        };
        if self.is_cloud() {
            self.positions.iter().for_each(&mut grow);
        } else {
            self.triangles.iter().flatten().for_each(|&corner| grow(&self.positions[corner as usize]));
        }
        (low[0] <= high[0]).then_some([low, high])
    }

    /// Surface area in the file's units squared.
    pub fn area(&self) -> f64 {
        self.triangles
            .iter()
            .map(|&[a, b, c]| {
                let [a, b, c] = [a, b, c].map(|corner| self.positions[corner as usize]);
                let n = cross(sub(b, a), sub(c, a));
                0.5 * dot(n, n).sqrt()
            })
            .sum()
    }

    /// The same shape without what cannot be drawn: triangles that touch a coordinate that is not finite
    /// (scanners and broken exporters write NaN for "nothing here"), then positions that no triangle
    /// names. A cloud loses its points that are not finite.
    pub fn tidied(mut self) -> Mesh {
        let finite = |p: &[f64; 3]| p.iter().all(|x| x.is_finite());
        if self.is_cloud() {
            self.positions.retain(finite);
            return self;
        }
        let positions = &self.positions;
        self.triangles.retain(|t| t.iter().all(|&corner| finite(&positions[corner as usize])));
        if self.triangles.is_empty() {
            self.positions.retain(finite);
            return self;
        }
        let mut used = vec![false; self.positions.len()];
        self.triangles.iter().flatten().for_each(|&corner| used[corner as usize] = true);
        let mut names = Vec::with_capacity(used.len());
        let mut kept = 0;
        for (old, used) in used.into_iter().enumerate() {
            names.push(kept as u32);
            if used {
                self.positions[kept] = self.positions[old];
                kept += 1;
            }
        }
        self.positions.truncate(kept);
        self.triangles.iter_mut().flatten().for_each(|corner| *corner = names[*corner as usize]);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh(positions: &[[f64; 3]], triangles: &[[u32; 3]]) -> Mesh {
        Mesh { positions: positions.to_vec(), triangles: triangles.to_vec(), unit: None }
    }

    #[test]
    fn tidying_drops_triangles_that_touch_nan_and_vertices_that_none_names() {
        let nan = f64::NAN;
        let m = mesh(
            &[[9.0; 3], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [nan, 0.0, 0.0], [0.0, 1.0, 0.0]],
            &[[1, 2, 3], [1, 2, 4]],
        )
        .tidied();
        assert_eq!(m.positions, [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        assert_eq!(m.triangles, [[0, 1, 2]]);
        assert_eq!(m.area(), 0.5);
    }

    #[test]
    fn a_surface_of_nothing_but_nan_becomes_what_is_left_of_its_points() {
        let m = mesh(&[[f64::NAN; 3], [1.0, 2.0, 3.0], [f64::INFINITY; 3]], &[[0, 1, 2]]).tidied();
        assert_eq!(m, mesh(&[[1.0, 2.0, 3.0]], &[]));
    }

    #[test]
    fn bounds_ignore_what_no_triangle_names() {
        let m = mesh(&[[9.0; 3], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], &[[1, 2, 3]]);
        assert_eq!(m.bounds(), Some([[0.0; 3], [1.0, 1.0, 0.0]]));
        assert_eq!(Mesh::default().bounds(), None);
    }
}
