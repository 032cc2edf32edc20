//! What `polyad info` says of a mesh.

use super::Mesh;
use serde::Serialize;

/// A mesh at a glance. Numbers are in the file's own units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeshInfo {
    /// The file's extension in lower case, without `.gz`.
    pub format: String,
    /// The unit that the file names.
    pub unit: Option<String>,
    /// Triangles, polygons counted as the triangles that fill them.
    pub triangles: usize,
    /// Distinct vertices, or the cloud's points.
    pub points: usize,
    /// Least and greatest coordinates.
    pub bounds: Option<[[f64; 3]; 2]>,
    /// Surface area; unknown for a cloud, and where it overflows.
    pub area: Option<f64>,
    /// Every edge belongs to exactly two triangles, so that the surface has an inside; unknown for a cloud.
    pub watertight: Option<bool>,
    /// Connected pieces of the surface, those that share a vertex counted as one.
    pub parts: usize,
}

/// Describes a mesh; `format` is what [`crate::read::extension`] says of its name.
///
/// Vertices at the same place are one for `points`, `watertight` and `parts`. Cost: linear but for one sort
/// of the edges.
pub fn describe(mesh: &Mesh, format: &str) -> MeshInfo {
    let welded = mesh.welded();
    let surface = !mesh.is_cloud();
    MeshInfo {
        format: format.to_owned(),
        unit: mesh.unit.clone(),
        triangles: mesh.triangles.len(),
        points: if surface { welded.positions.len() } else { mesh.positions.len() },
        bounds: mesh.bounds(),
        area: surface.then(|| mesh.area()).filter(|area| area.is_finite()),
        watertight: surface.then(|| watertight(&welded)),
        parts: parts(&welded),
    }
}

fn watertight(welded: &Mesh) -> bool {
    let mut edges: Vec<(u32, u32)> = welded
        .triangles
        .iter()
        .flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)])
        .map(|(a, b)| (a.min(b), a.max(b)))
        .collect();
    edges.sort_unstable();
    !edges.is_empty() && edges.chunk_by(|a, b| a == b).all(|same| same.len() == 2)
}

fn parts(welded: &Mesh) -> usize {
    let mut parent: Vec<u32> = (0..welded.positions.len() as u32).collect();
    let mut used = vec![false; parent.len()];
    for &[a, b, c] in &welded.triangles {
        [a, b, c].iter().for_each(|&corner| used[corner as usize] = true);
        for (x, y) in [(a, b), (b, c)] {
            let (x, y) = (root(&mut parent, x), root(&mut parent, y));
            parent[x.max(y) as usize] = x.min(y);
        }
    }
    (0..parent.len()).filter(|&v| used[v] && parent[v] as usize == v).count()
}

/// The representative of a vertex's piece; halves the path on its way.
fn root(parent: &mut [u32], mut v: u32) -> u32 {
    while parent[v as usize] != v {
        let up = parent[parent[v as usize] as usize];
        parent[v as usize] = up;
        v = up;
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tetrahedra as triangle soup, each shifted along x, the last one without its bottom.
    fn tetrahedra(shifts: &[f64], open: bool) -> Mesh {
        let corners = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let mut mesh = Mesh::default();
        for &shift in shifts {
            for face in [[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]] {
                let first = mesh.positions.len() as u32;
                mesh.positions.extend(face.map(|c: usize| [corners[c][0] + shift, corners[c][1], corners[c][2]]));
                mesh.triangles.push([first, first + 1, first + 2]);
            }
        }
        if open {
            mesh.triangles.pop();
        }
        mesh
    }

    #[test]
    fn closed_pieces_are_watertight_and_counted() {
        let info = describe(&tetrahedra(&[0.0, 5.0, 10.0], false), "stl");
        assert_eq!((info.triangles, info.points, info.parts), (12, 12, 3));
        assert_eq!(info.watertight, Some(true));
        assert_eq!(info.bounds, Some([[0.0; 3], [11.0, 1.0, 1.0]]));
        let area = 3.0 * (1.5 + 3f64.sqrt() / 2.0);
        assert!((info.area.unwrap() - area).abs() < 1e-12);
    }

    #[test]
    fn a_missing_face_is_noticed_and_touching_pieces_are_one() {
        let info = describe(&tetrahedra(&[0.0, 1.0], true), "obj");
        assert_eq!(info.watertight, Some(false));
        assert_eq!((info.points, info.parts), (7, 1), "the two share the vertex at x = 1");
    }

    #[test]
    fn a_cloud_has_no_area_and_serialises_with_nulls() {
        let cloud = Mesh { positions: vec![[0.0; 3], [0.0; 3], [1.0; 3]], ..Mesh::default() };
        let json = serde_json::to_value(describe(&cloud, "xyz")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"format": "xyz", "unit": null, "triangles": 0, "points": 3,
                "bounds": [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], "area": null, "watertight": null, "parts": 0})
        );
    }
}
