//! A mesh written in any format is read back: the same triangles at the same places, in the same order.

use polyad_shapes::error::Error;
use polyad_shapes::mesh::Mesh;
use polyad_shapes::read::read_mesh;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::io::Write as _;

/// Coordinates that single precision holds, since STL and glTF have no more.
fn meshes() -> impl Strategy<Value = Mesh> {
    let coordinate = prop_oneof![(-1e6f32..1e6), Just(0.0), (-1e-6f32..1e-6)].prop_map(f64::from);
    prop::collection::vec(prop::array::uniform3(coordinate), 3..40).prop_flat_map(|positions| {
        let corner = 0..positions.len() as u32;
        prop::collection::vec(prop::array::uniform3(corner), 1..60).prop_map(move |triangles| Mesh {
            positions: positions.clone(),
            triangles,
            unit: None,
        })
    })
}

/// The corners of all triangles: what is left when vertices may be renamed.
fn corners(mesh: &Mesh) -> Vec<[f64; 3]> {
    mesh.triangles.iter().flatten().map(|&corner| mesh.positions[corner as usize]).collect()
}

fn lines<T: std::fmt::Display, const N: usize>(start: &str, rows: &[[T; N]]) -> String {
    let mut text = String::new();
    for row in rows {
        text.push_str(start);
        row.iter().for_each(|x| write!(text, " {x}").unwrap());
        text.push('\n');
    }
    text
}

fn text_stl(mesh: &Mesh) -> Vec<u8> {
    let facet = |[a, b, c]: &[u32; 3]| {
        let corners = [a, b, c].map(|&corner| mesh.positions[corner as usize]);
        format!("facet normal 0 0 0\nouter loop\n{}endloop\nendfacet\n", lines("vertex", &corners))
    };
    format!("solid x\n{}endsolid x\n", mesh.triangles.iter().map(facet).collect::<String>()).into_bytes()
}

fn binary_stl(mesh: &Mesh) -> Vec<u8> {
    let mut bytes = vec![0; 80];
    bytes.extend((mesh.triangles.len() as u32).to_le_bytes());
    for corners in corners(mesh).chunks(3) {
        bytes.extend([0; 12]);
        bytes.extend(corners.iter().flatten().flat_map(|&x| (x as f32).to_le_bytes()));
        bytes.extend([0; 2]);
    }
    bytes
}

fn obj(mesh: &Mesh) -> Vec<u8> {
    let faces: Vec<_> = mesh.triangles.iter().map(|t| t.map(|corner| corner + 1)).collect();
    (lines("v", &mesh.positions) + &lines("f", &faces)).into_bytes()
}

fn off(mesh: &Mesh) -> Vec<u8> {
    let counts = format!("OFF\n{} {} 0\n", mesh.positions.len(), mesh.triangles.len());
    (counts + &lines("", &mesh.positions) + &lines("3", &mesh.triangles)).into_bytes()
}

fn ply(mesh: &Mesh, format: &str) -> Vec<u8> {
    let (vertices, faces) = (mesh.positions.len(), mesh.triangles.len());
    let mut bytes = format!(
        "ply\nformat {format} 1.0\nelement vertex {vertices}\nproperty double x\nproperty double y\nproperty double z\n\
         element face {faces}\nproperty list uchar uint vertex_indices\nend_header\n"
    )
    .into_bytes();
    let numbers = mesh.positions.iter().flatten();
    match format {
        "ascii" => bytes.extend((lines("", &mesh.positions) + &lines("3", &mesh.triangles)).bytes()),
        "binary_little_endian" => {
            bytes.extend(numbers.flat_map(|x| x.to_le_bytes()));
            bytes.extend(
                mesh.triangles.iter().flat_map(|t| [3].into_iter().chain(t.iter().flat_map(|i| i.to_le_bytes()))),
            );
        }
        _ => {
            bytes.extend(numbers.flat_map(|x| x.to_be_bytes()));
            bytes.extend(
                mesh.triangles.iter().flat_map(|t| [3].into_iter().chain(t.iter().flat_map(|i| i.to_be_bytes()))),
            );
        }
    }
    bytes
}

fn glb(mesh: &Mesh) -> Vec<u8> {
    let mut binary: Vec<u8> = mesh.positions.iter().flatten().flat_map(|&x| (x as f32).to_le_bytes()).collect();
    let split = binary.len();
    binary.extend(mesh.triangles.iter().flatten().flat_map(|i| i.to_le_bytes()));
    let json = serde_json::json!({
        "asset": {"version": "2.0"}, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": mesh.positions.len(), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": 3 * mesh.triangles.len(), "type": "SCALAR"}
        ],
        "bufferViews": [{"buffer": 0, "byteLength": split}, {"buffer": 0, "byteOffset": split, "byteLength": binary.len() - split}],
        "buffers": [{"byteLength": binary.len()}]
    });
    let json = json.to_string().into_bytes();
    let mut bytes = b"glTF\x02\0\0\0\0\0\0\0".to_vec();
    for (kind, chunk) in [(b"JSON", json), (b"BIN\0", binary)] {
        bytes.extend((chunk.len() as u32).to_le_bytes());
        bytes.extend(kind);
        bytes.extend(chunk);
    }
    bytes
}

fn threemf(mesh: &Mesh) -> Vec<u8> {
    let vertices: String =
        mesh.positions.iter().map(|[x, y, z]| format!("<vertex x='{x}' y='{y}' z='{z}'/>")).collect();
    let triangles: String =
        mesh.triangles.iter().map(|[a, b, c]| format!("<triangle v1='{a}' v2='{b}' v3='{c}'/>")).collect();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("3D/3dmodel.model", zip::write::SimpleFileOptions::default()).unwrap();
    write!(
        zip,
        "<model><resources><object id='1'><mesh><vertices>{vertices}</vertices><triangles>{triangles}</triangles></mesh></object>\
         </resources><build><item objectid='1'/></build></model>"
    )
    .unwrap();
    zip.finish().unwrap().into_inner()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(mesh in meshes()) {
        let files = [
            ("text.stl", text_stl(&mesh)),
            ("binary.stl", binary_stl(&mesh)),
            ("x.obj", obj(&mesh)),
            ("x.off", off(&mesh)),
            ("ascii.ply", ply(&mesh, "ascii")),
            ("little.ply", ply(&mesh, "binary_little_endian")),
            ("big.ply", ply(&mesh, "binary_big_endian")),
            ("x.glb", glb(&mesh)),
            ("x.3mf", threemf(&mesh)),
        ];
        for (name, bytes) in files {
            let read = read_mesh(&bytes, name, &|other| Err(Error::Unsupported(other.into())));
            let read = read.unwrap_or_else(|error| panic!("{name}: {error}"));
            prop_assert_eq!(corners(&read), corners(&mesh), "{}", name);
        }
        let points = lines("", &mesh.positions);
        let cloud = read_mesh(points.as_bytes(), "x.xyz", &|other| Err(Error::Unsupported(other.into()))).unwrap();
        prop_assert_eq!(cloud.positions, mesh.positions);
    }
}
