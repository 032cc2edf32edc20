//! Small shapes to work on, made here, so that tests need no data.

use std::f32::consts::{PI, TAU};
use std::fs;
use std::path::Path;

/// A box as a binary STL of 12 triangles.
pub fn box_stl(size: [f32; 3]) -> Vec<u8> {
    let corner = |bits: u8| [0, 1, 2].map(|axis| if bits >> axis & 1 == 1 { size[axis] } else { 0.0 });
    let faces: [[u8; 4]; 6] = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
    let triangles = faces.iter().flat_map(|&[a, b, c, d]| [[a, b, c], [a, c, d]]);
    stl(triangles.map(|triangle| triangle.map(corner)))
}

/// A spiky ball of `2 * rings * rings` triangles, for jobs that take a while.
pub fn ball_stl(rings: u32) -> Vec<u8> {
    let point = |i: u32, j: u32| {
        let (polar, around) = (i as f32 / rings as f32 * PI, j as f32 / rings as f32 * TAU);
        let radius = 1.0 + 0.1 * ((i * 7 + j % rings * 13) % 5) as f32;
        [polar.sin() * around.cos(), polar.sin() * around.sin(), polar.cos()].map(|x| x * radius)
    };
    let cells = (0..rings).flat_map(|i| (0..rings).map(move |j| (i, j)));
    stl(cells.flat_map(|(i, j)| {
        let [a, b, c, d] = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)].map(|(i, j)| point(i, j));
        [[a, b, c], [a, c, d]]
    }))
}

fn stl(triangles: impl Iterator<Item = [[f32; 3]; 3]>) -> Vec<u8> {
    let (mut body, mut count) = (Vec::new(), 0u32);
    for triangle in triangles {
        body.extend([0u8; 12]);
        body.extend(triangle.iter().flatten().flat_map(|x| x.to_le_bytes()));
        body.extend([0u8; 2]);
        count += 1;
    }
    [vec![0u8; 80], count.to_le_bytes().to_vec(), body].concat()
}

/// Writes a file, with the folders above it.
pub fn put(folder: &Path, name: impl AsRef<Path>, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
