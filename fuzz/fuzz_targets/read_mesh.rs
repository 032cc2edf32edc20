#![no_main]

use libfuzzer_sys::fuzz_target;
use polyad_shapes::mesh::describe;
use polyad_shapes::read::read_mesh;

fuzz_target!(|input: (&str, &[u8])| {
    let (name, bytes) = input;
    if let Ok(mesh) = read_mesh(bytes, name, &|_| Ok(bytes.to_vec())) {
        assert!(mesh.triangles.iter().flatten().all(|&corner| (corner as usize) < mesh.positions.len()));
        assert!(mesh.positions.iter().flatten().all(|x| x.is_finite()));
        let _ = describe(&mesh, "x");
    }
});
