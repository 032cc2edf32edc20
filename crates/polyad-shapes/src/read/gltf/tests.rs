//! Both containers, every way to store triangles, and every refusal.

use super::*;
use base64::Engine as _;
use serde_json::{Value, json};

/// Three points of a right triangle, then a fourth that makes it a square; then indices 0 1 2 3 as u16.
fn numbers() -> Vec<u8> {
    let mut bytes: Vec<u8> =
        [0., 0., 0., 1., 0., 0., 0., 1., 0., 1., 1., 0.].iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
    bytes.extend([0u16, 1, 2, 3].iter().flat_map(|i| i.to_le_bytes()));
    bytes
}

/// A scene of one node with one primitive over [`numbers`]; the node and the primitive are as given.
fn scene(node: Value, primitive: Value) -> Value {
    json!({
        "asset": {"version": "2.0"},
        "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [node],
        "meshes": [{"primitives": [primitive]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
            {"bufferView": 1, "componentType": 5123, "count": 4, "type": "SCALAR"}
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 48},
            {"buffer": 0, "byteOffset": 48, "byteLength": 8}
        ],
        "buffers": [{"byteLength": 56, "uri": "shape.bin"}]
    })
}

fn simple() -> Value {
    scene(json!({"mesh": 0}), json!({"attributes": {"POSITION": 0}, "indices": 1}))
}

fn resolve(name: &str) -> Result<Vec<u8>> {
    if name == "shape.bin" { Ok(numbers()) } else { Err(Error::Unsupported(format!("asked for {name}"))) }
}

fn read(json: &Value) -> Result<Mesh> {
    read_gltf(json.to_string().as_bytes(), &resolve)
}

fn glb(json: &Value, binary: Option<&[u8]>) -> Vec<u8> {
    let mut chunks = Vec::new();
    let mut text = json.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    for (kind, body) in [(b"JSON", Some(&text[..])), (b"EXTR", Some(&b"____"[..])), (b"BIN\0", binary)] {
        let Some(body) = body else { continue };
        chunks.extend((body.len() as u32).to_le_bytes());
        chunks.extend(kind);
        chunks.extend(body);
    }
    let mut bytes = b"glTF\x02\0\0\0".to_vec();
    bytes.extend((12 + chunks.len() as u32).to_le_bytes());
    bytes.extend(chunks);
    bytes
}

#[test]
fn the_numbers_may_be_in_a_chunk_in_an_address_or_in_a_file_beside_it() {
    let beside = read(&simple()).unwrap();
    assert_eq!((beside.positions.len(), &beside.triangles[..]), (4, &[[0, 1, 2]][..]));
    let mut json = simple();
    json["buffers"][0] = json!({"byteLength": 56});
    assert_eq!(read_gltf(&glb(&json, Some(&numbers())), &resolve).unwrap(), beside);
    let base64 = base64::engine::general_purpose::STANDARD.encode(numbers());
    json["buffers"][0]["uri"] = json!(format!("data:application/octet-stream;base64,{base64}"));
    assert_eq!(read(&json).unwrap(), beside);
    let escaped: String = numbers().iter().map(|byte| format!("%{byte:02x}")).collect();
    json["buffers"][0]["uri"] = json!(format!("data:,{escaped}"));
    assert_eq!(read(&json).unwrap(), beside);
}

#[test]
fn strips_fans_points_and_primitives_without_indices_are_read() {
    let mode = |mode: u32, indices: Value| {
        let mut primitive = json!({"attributes": {"POSITION": 0}, "mode": mode});
        if !indices.is_null() {
            primitive["indices"] = indices;
        }
        read(&scene(json!({"mesh": 0}), primitive)).unwrap().triangles
    };
    assert_eq!(mode(5, json!(2)), [[0, 1, 2], [2, 1, 3]]);
    assert_eq!(mode(6, json!(2)), [[0, 1, 2], [0, 2, 3]]);
    assert_eq!(mode(4, Value::Null), [[0, 1, 2]], "the fourth corner begins a triangle that never ends");
    assert!(mode(0, Value::Null).is_empty() && mode(1, json!(2)).is_empty());
}

#[test]
fn nodes_place_what_they_hold_and_mirrors_turn_it_round() {
    let primitive = json!({"attributes": {"POSITION": 0}, "indices": 1});
    let half = 0.5f32.sqrt();
    let mut json = scene(json!({"children": [1], "translation": [10, 0, 0]}), primitive.clone());
    json["nodes"].as_array_mut().unwrap().push(json!({"mesh": 0, "rotation": [0, 0, half, half], "scale": [2, 1, 1]}));
    let mesh = read(&json).unwrap();
    let corner = mesh.positions[1];
    assert!((corner[0] - 10.0).abs() < 1e-6 && (corner[1] - 2.0).abs() < 1e-6, "{corner:?}");

    let matrix = json!({"mesh": 0, "matrix": [-1,0,0,0, 0,1,0,0, 0,0,1,0, 5,0,0,1]});
    let mesh = read(&scene(matrix, primitive)).unwrap();
    assert_eq!(mesh.positions[1], [4.0, 0.0, 0.0]);
    assert_eq!(mesh.triangles, [[0, 2, 1]]);
}

#[test]
fn a_file_without_scenes_shows_its_roots_and_one_without_nodes_its_meshes() {
    let mut json = simple();
    let object = json.as_object_mut().unwrap();
    object.remove("scene");
    object.remove("scenes");
    assert_eq!(read(&json).unwrap().triangles.len(), 1);
    json.as_object_mut().unwrap().remove("nodes");
    assert_eq!(read(&json).unwrap().triangles.len(), 1);
}

#[test]
fn integers_sparse_changes_and_accessors_without_a_view_are_read() {
    let mut json = simple();
    json["extensionsRequired"] = json!(["KHR_mesh_quantization", "KHR_materials_unlit"]);
    json["accessors"][0] =
        json!({"bufferView": 0, "componentType": 5121, "normalized": true, "count": 4, "type": "VEC3"});
    json["bufferViews"][0] = json!({"buffer": 0, "byteLength": 16, "byteStride": 4, "byteOffset": 12});
    // Bytes 12..28 are the f32 numbers 1 0 0 0: the third and fourth byte of 1.0 are 0x80 and 0x3F.
    let mesh = read(&json).unwrap();
    assert_eq!(mesh.positions[0], [0.0, 0.0, 128.0 / 255.0]);

    let mut json = simple();
    json["accessors"][0].as_object_mut().unwrap().remove("bufferView");
    json["accessors"][0]["sparse"] = json!({
        "count": 2,
        "indices": {"bufferView": 1, "byteOffset": 2, "componentType": 5123},
        "values": {"bufferView": 0, "byteOffset": 12}
    });
    assert_eq!(read(&json).unwrap().positions, [[0.; 3], [1., 0., 0.], [0., 1., 0.], [0.; 3]]);
}

#[test]
fn compressed_and_unknown_geometry_is_refused_by_name() {
    for name in ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "EXT_mesh_gpu_instancing", "ACME_cubes"] {
        let mut json = simple();
        json["extensionsRequired"] = json!([name]);
        assert_eq!(
            read(&json).unwrap_err().to_string(),
            format!("not supported: glTF that requires the extension {name}")
        );
    }
    let mut json = simple();
    json["extensionsUsed"] = json!(["KHR_draco_mesh_compression"]);
    json["accessors"][0].as_object_mut().unwrap().remove("bufferView");
    assert_eq!(read(&json).unwrap_err().to_string(), "not supported: glTF compressed with KHR_draco_mesh_compression");
}

#[test]
fn buffers_outside_the_folder_are_never_asked_for() {
    for uri in [
        "/etc/passwd",
        "../a.bin",
        "a/../../b",
        "..%2Fa",
        "%2Fa",
        "C:\\a",
        "\\\\host\\a",
        "file:///a",
        "https://a/b",
        "",
        "a/..\\b",
    ] {
        let mut json = simple();
        json["buffers"][0]["uri"] = json!(uri);
        let error = read(&json).unwrap_err().to_string();
        assert!(error.starts_with("not supported: buffers outside the file's own folder"), "{uri}: {error}");
    }
    let mut json = simple();
    json["buffers"][0]["uri"] = json!("my%20parts/a..b.bin");
    assert_eq!(read(&json).unwrap_err().to_string(), "not supported: asked for my parts/a..b.bin");
}

#[test]
fn ranges_that_leave_their_buffer_are_refused() {
    let with = |pointer: &str, value: Value| {
        let mut json = simple();
        *json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        match read(&json) {
            Err(error) => error.to_string(),
            Ok(mesh) => panic!("{pointer}: {mesh:?}"),
        }
    };
    assert_eq!(with("/accessors/0/count", json!(5)), "accessor 0: 5 rows of 12 bytes, but its view holds 48");
    assert!(with("/accessors/0/count", json!(u64::MAX)).contains("18446744073709551615 vertices"));
    assert!(with("/accessors/0/count", json!(1 << 23)).contains("but its view holds 48"));
    assert_eq!(
        with("/bufferViews/0/byteLength", json!(u64::MAX)),
        "accessor 0: 18446744073709551615 bytes from byte 0 of a buffer of 56"
    );
    assert!(with("/bufferViews/1/byteOffset", json!(u64::MAX)).contains("bytes from byte"));
    assert!(with("/accessors/0/bufferView", json!(9)).contains("buffer view 9: is named"));
    assert!(with("/bufferViews/0/buffer", json!(9)).contains("buffer 9: is named"));
    assert!(with("/meshes/0/primitives/0/attributes/POSITION", json!(9)).contains("accessor 9: is named"));
    assert!(with("/nodes/0/mesh", json!(9)).contains("mesh 9: is named"));
    assert!(with("/scenes/0/nodes/0", json!(9)).contains("node 9: is named"));
    assert!(with("/scene", json!(9)).contains("scene 9: is named"));
    assert!(with("/accessors/0/type", json!("VEC2")).contains("is not of type Vec3"));
    assert!(with("/accessors/1/componentType", json!(5126)).contains("not unsigned integers"));
    assert!(with("/buffers/0/byteLength", json!(57)).contains("buffer 0: promises 57 bytes, but has 56"));
    assert_eq!(with("/nodes/0", json!({"children": [0]})), "node 0: is reached twice; nodes must form a tree");
    let wide = json!({"bufferView": 0, "componentType": 5125, "count": 4, "type": "SCALAR"});
    assert_eq!(with("/accessors/1", wide), "accessor 1: row 3 names vertex 1065353216 of 4");
    let strided = json!({"buffer": 0, "byteLength": 48, "byteStride": 4});
    assert_eq!(with("/bufferViews/0", strided), "accessor 0: rows of 12 bytes every 4 bytes");
}

#[test]
fn a_small_file_cannot_make_a_scene_without_end() {
    let mut json = simple();
    json["accessors"][0] = json!({"componentType": 5126, "count": 1 << 22, "type": "VEC3"});
    json["nodes"] = json!(vec![json!({"mesh": 0}); 8]);
    json["scenes"][0]["nodes"] = json!((0..8).collect::<Vec<_>>());
    let error = read(&json).unwrap_err().to_string();
    assert!(error.starts_with("not supported: scenes that make so much of so little"), "{error}");
}

#[test]
fn broken_containers_are_refused_with_their_place() {
    let error = |bytes: &[u8]| read_gltf(bytes, &resolve).unwrap_err().to_string();
    assert_eq!(error(b"glTF\x01\0\0\0\0\0\0\0"), "not supported: GLB of version 1");
    assert_eq!(error(b"glTF"), "byte 4: the file ends inside its header");
    assert_eq!(error(b"glTF\x02\0\0\0\x0c\0\0\0"), "byte 12: no JSON chunk");
    let whole = glb(&simple(), Some(&numbers()));
    assert!(error(&whole[..whole.len() - 1]).contains("a chunk of 56 bytes, but 55 follow"));
    assert_eq!(
        error(b"glTF\x02\0\0\0\x0c\0\0\0\xFF\xFF\xFF\xFFJSON"),
        "byte 12: a chunk of 4294967295 bytes, but 0 follow"
    );
    assert!(error(b"{\"asset\": ").starts_with("JSON: "));
}
