//! Names, sniffing and compression: what comes before a format's own reader.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

const OFF: &str = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n";
const OBJ: &str = "# made by hand\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n";
const STL: &str =
    "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\nendsolid";
const PLY: &str = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n\
    element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n";

fn nothing(name: &str) -> Result<Vec<u8>> {
    Err(Error::Unsupported(name.into()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn extensions_are_lower_case_without_gz() {
    for (name, expected) in [
        ("a/b.STL", "stl"),
        ("x.off.gz", "off"),
        ("x.GZ", ""),
        ("no.dots/name", ""),
        ("a.zip/in.3MF", "3mf"),
        ("x.y.Ply.gz", "ply"),
    ] {
        assert_eq!(extension(name), expected, "{name}");
    }
    assert_eq!(format_of("a.glb"), Some(Format::Gltf));
    assert_eq!(format_of("a.txt"), None);
}

#[test]
fn the_content_decides_where_the_name_is_wrong_or_missing() {
    for text in [OFF, OBJ, STL, PLY] {
        for name in ["right", "x.stl", "x.off.gz", "x.dat", "x.glb"] {
            if text == OBJ && name != "right" && name != "x.dat" {
                continue;
            }
            let mesh = read_mesh(text.as_bytes(), name, &nothing).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
            assert_eq!(mesh.triangles.len(), 1, "{name}");
        }
    }
    assert_eq!(read_mesh(b"x,y,z\n1,2,3\n", "scan.csv", &nothing).unwrap().positions, [[1.0, 2.0, 3.0]]);
}

#[test]
fn a_binary_stl_that_begins_as_another_format_is_an_stl() {
    for header in ["ply\n", "OFF\n", "solid\nfacet", "PK\x03\x04", "glTF"] {
        let mut bytes = header.as_bytes().to_vec();
        bytes.resize(80, b' ');
        bytes.extend(1u32.to_le_bytes());
        bytes.extend([0; 50]);
        assert_eq!(read_mesh(&bytes, "x.stl", &nothing).unwrap().triangles.len(), 1, "{header}");
    }
}

#[test]
fn gzip_is_undone_whether_the_name_says_so_or_not() {
    for name in ["x.off.gz", "x.off"] {
        assert_eq!(read_mesh(&gzip(OFF.as_bytes()), name, &nothing).unwrap().triangles.len(), 1);
    }
    let mut cut = gzip(OFF.as_bytes());
    cut.truncate(cut.len() - 9);
    assert!(read_mesh(&cut, "x.off.gz", &nothing).unwrap_err().to_string().starts_with("file: cannot be unpacked"));
}

#[test]
fn a_gzip_bomb_is_refused() {
    let bomb = gzip(&vec![b' '; 65 << 20]);
    assert!(bomb.len() < 100_000);
    let error = read_mesh(&bomb, "bomb.obj.gz", &nothing).unwrap_err().to_string();
    assert_eq!(error, "not supported: files that unpack to more than 67108864 bytes from so few");
}

#[test]
fn what_cannot_be_read_says_why() {
    let error = |bytes: &[u8], name: &str| read_mesh(bytes, name, &nothing).unwrap_err().to_string();
    assert_eq!(error(b"", "x"), "nothing to show: the file has no bytes");
    assert_eq!(error(b"# nothing\n", "x.obj"), "nothing to show: the file has neither triangles nor points");
    assert_eq!(error(b"v nan nan nan\n", "x.obj"), "nothing to show: the file has neither triangles nor points");
    assert!(error(b"ISO-10303-21;\n", "x.step").starts_with("not supported: STEP files (STL"));
    assert!(error(b"some prose", "x.fbx").starts_with("not supported: files of type `.fbx`"));
    assert!(error(b"some prose", "x").starts_with("not supported: files of an unknown format"));
}
