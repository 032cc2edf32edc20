//! Binary STL.

use crate::mesh::Mesh;

/// The mesh as a binary STL file: 80 bytes of header, the number of triangles, and 50 bytes a triangle (normal, three
/// corners in single precision, little endian). Corners that the mesh lacks are left out with their triangle.
pub fn write_stl(mesh: &Mesh) -> Vec<u8> {
    let corners = |t: &[u32; 3]| -> Option<[[f64; 3]; 3]> {
        let [a, b, c] = t.map(|i| mesh.positions.get(i as usize).copied());
        Some([a?, b?, c?])
    };
    let faces: Vec<_> = mesh.triangles.iter().filter_map(corners).collect();
    let mut bytes = Vec::with_capacity(84 + 50 * faces.len());
    bytes.extend([b' '; 80]);
    bytes.extend((faces.len() as u32).to_le_bytes());
    for face in faces {
        for point in [normal(&face)].iter().chain(&face) {
            point.iter().for_each(|x| bytes.extend((*x as f32).to_le_bytes()));
        }
        bytes.extend([0, 0]);
    }
    bytes
}

/// The unit normal, or zero where the triangle has no area.
fn normal([a, b, c]: &[[f64; 3]; 3]) -> [f64; 3] {
    let (u, v): ([f64; 3], [f64; 3]) = (std::array::from_fn(|i| b[i] - a[i]), std::array::from_fn(|i| c[i] - a[i]));
    let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    let length = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]).sqrt();
    if length > 0.0 { n.map(|x| x / length) } else { [0.0; 3] }
}
