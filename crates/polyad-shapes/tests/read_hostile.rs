//! Damaged files: no reader panics, and none takes much more memory than the file has bytes.
//!
//! Small good files of every format are cut, changed and spliced at random; an allocator that counts keeps
//! the books. One test, so that nothing else allocates beside it.

use peak_alloc::PeakAlloc;
use polyad_shapes::error::Error;
use polyad_shapes::mesh::describe;
use polyad_shapes::read::{read_3mf, read_gltf, read_mesh, read_obj, read_off, read_ply, read_stl, read_xyz};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use std::io::Write;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const CASES: u32 = 20_000;
/// What reading may take, whatever the file: instances of a small scene are the worst (`placed.rs`).
const MOST_MEMORY: usize = 1 << 30;
/// What reading a file without instances may take for each of its bytes, and for any file.
const MOST_A_BYTE: usize = 200;
const MOST_FOR_ANY: usize = 1 << 20;

/// A good file: its name, its bytes, and whether it can repeat parts of itself.
fn good_files() -> Vec<(&'static str, Vec<u8>, bool)> {
    let mut binary_stl = vec![b' '; 80];
    binary_stl.extend(4u32.to_le_bytes());
    binary_stl.extend((0..200u8).map(|i| i % 64));
    let header = |format: &str| {
        format!(
            "ply\nformat {format} 1.0\ncomment a\nelement vertex 4\nproperty float x\nproperty double y\nproperty short z\n\
             element face 2\nproperty list uchar int vertex_indices\nproperty list uint uchar extra\n\
             element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
        )
    };
    let rows = |big: bool| {
        let mut bytes = Vec::new();
        let mut put = |mut number: Vec<u8>| {
            if big {
                number.reverse();
            }
            bytes.extend(number);
        };
        for i in 0..4i16 {
            put(f32::from(i).to_le_bytes().to_vec());
            put(f64::from(i * i).to_le_bytes().to_vec());
            put((i % 2).to_le_bytes().to_vec());
        }
        for _ in 0..2 {
            put(vec![4]);
            (0..4i32).for_each(|i| put(i.to_le_bytes().to_vec()));
            put(2u32.to_le_bytes().to_vec());
            put(vec![1]);
            put(vec![2]);
        }
        [5i32, 0, 1, 2, -1, 3].iter().for_each(|i| put(i.to_le_bytes().to_vec()));
        bytes
    };
    let ascii_ply = header("ascii") + "0 0 0\n1 1 1\n2 4 0\n3 9 1\n4 0 1 2 3 2 1 2\n4 0 1 2 3 0\n5 0 1 2 -1 3\n";
    let obj = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1/1 2/2 3/3 4/4\nf -4 -3 \\\n -2\nl 1 2\n";
    let off =
        "COFF\n4 2 0 # c\n0 0 0 1 1 1 1\n1 0 0 1 1 1 1\n.2 .2 0 1 1 1 1\n0 1 0 1 1 1 1\n4 0 1 2 3 255 0 0\n3 0 1 2\n";
    let text_stl = "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\nendsolid a\n";
    let data: String = (0..48).map(|i| format!("%{:02x}", [0u8, 0, 128, 63][i % 4] * u8::from(i % 12 < 5))).collect();
    let gltf = format!(
        r#"{{"asset":{{"version":"2.0"}},"scene":0,"scenes":[{{"nodes":[0,1]}}],"nodes":[{{"mesh":0,"children":[2]}},
        {{"mesh":0,"scale":[2,1,1]}},{{"mesh":0,"translation":[1,0,0]}}],"meshes":[{{"primitives":[{{"attributes":{{"POSITION":0}},
        "mode":5}}]}}],"accessors":[{{"bufferView":0,"componentType":5126,"count":4,"type":"VEC3","sparse":{{"count":1,
        "indices":{{"bufferView":1,"componentType":5121}},"values":{{"bufferView":0}}}}}}],"bufferViews":[{{"buffer":0,"byteLength":48}},
        {{"buffer":0,"byteLength":1}}],"buffers":[{{"byteLength":48,"uri":"data:,{data}"}}]}}"#
    );
    let mut glb = b"glTF\x02\0\0\0\0\0\0\0".to_vec();
    glb.extend((gltf.len() as u32).to_le_bytes());
    glb.extend(b"JSON");
    glb.extend(gltf.bytes());
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    // Stored, so that changes reach the XML and not only the checksum.
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("3D/3dmodel.model", stored).unwrap();
    zip.write_all(
        b"<model unit='inch'><resources><object id='1'><mesh><vertices><vertex x='0' y='0' z='0'/><vertex x='1' y='0' z='0'/>\
        <vertex x='0' y='1' z='0'/></vertices><triangles><triangle v1='0' v2='1' v3='2'/></triangles></mesh></object><object id='2'>\
        <components><component objectid='1'/><component objectid='1' transform='1 0 0 0 1 0 0 0 1 5 5 5'/></components></object>\
        </resources><build><item objectid='2'/></build></model>",
    )
    .unwrap();
    let threemf = zip.finish().unwrap().into_inner();
    vec![
        ("a.stl", binary_stl, false),
        ("b.stl", text_stl.into(), false),
        ("a.obj", obj.into(), false),
        ("a.ply", ascii_ply.into_bytes(), false),
        ("b.ply", [header("binary_little_endian").into_bytes(), rows(false)].concat(), false),
        ("c.ply", [header("binary_big_endian").into_bytes(), rows(true)].concat(), false),
        ("a.off", off.into(), false),
        ("a.xyz", b"x y z\n1 2 3\n4,5,6;7\n# c\n7 8 9 0 0 1\n".to_vec(), false),
        ("a.gltf", gltf.into_bytes(), true),
        ("a.glb", glb, true),
        ("a.3mf", threemf, true),
    ]
}

/// A change to a file. Places are fractions of its length.
#[derive(Debug, Clone)]
enum Damage {
    Cut(f64),
    Set(f64, Vec<u8>),
    Insert(f64, Vec<u8>),
    Repeat(f64, f64),
    Remove(f64, f64),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = || 0.0..1.0;
    let odd = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..5),
        prop::sample::select(vec![
            b"4294967295".to_vec(),
            b"-1".to_vec(),
            b"18446744073709551616".to_vec(),
            b"nan".to_vec(),
            b"1e999".to_vec(),
            b"0".to_vec(),
            b" ".to_vec(),
            b"\n".to_vec(),
            b"\xFF\xFF\xFF\xFF".to_vec(),
            b"\0\0\0\0".to_vec(),
            b"\xFF\xFF\xFF\x7F".to_vec(),
        ]),
    ];
    prop_oneof![
        1 => place().prop_map(Damage::Cut),
        4 => (place(), odd.clone()).prop_map(|(at, bytes)| Damage::Set(at, bytes)),
        4 => (place(), odd).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (place(), place()).prop_map(|(a, b)| Damage::Repeat(a, b)),
        1 => (place(), place()).prop_map(|(a, b)| Damage::Remove(a, b)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let length = bytes.len();
    let at = |fraction: &f64| (fraction * length as f64) as usize;
    match damage {
        Damage::Cut(end) => bytes.truncate(at(end)),
        Damage::Set(start, new) => {
            for (old, new) in bytes[at(start)..].iter_mut().zip(new) {
                *old = *new;
            }
        }
        Damage::Insert(start, new) => drop(bytes.splice(at(start)..at(start), new.iter().copied())),
        Damage::Repeat(a, b) => {
            let part = bytes[at(a).min(at(b))..at(a).max(at(b))].to_vec();
            bytes.splice(at(a)..at(a), part);
        }
        Damage::Remove(a, b) => drop(bytes.drain(at(a).min(at(b))..at(a).max(at(b)))),
    }
}

#[test]
fn no_damage_makes_a_reader_panic_or_take_much_memory() {
    let nothing = |name: &str| Err(Error::Unsupported(name.to_owned()));
    let files = good_files();
    for (name, bytes, _) in &files {
        let mesh = read_mesh(bytes, name, &nothing).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(mesh.positions.len() >= 3, "{name}");
    }
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let input = (0..files.len(), prop::collection::vec(damage(), 1..4));
    let (cases, readable) = (Cell::new(0), Cell::new(0));
    let outcome = runner.run(&input, |(file, damages)| {
        let (name, good, repeats) = &files[file];
        let mut bytes = good.clone();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        cases.set(cases.get() + 1);
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        if let Ok(mesh) = read_mesh(&bytes, name, &nothing) {
            readable.set(readable.get() + 1);
            let corners = mesh.triangles.iter().flatten();
            prop_assert!(corners.copied().all(|corner| (corner as usize) < mesh.positions.len()));
            prop_assert!(mesh.positions.iter().flatten().all(|x| x.is_finite()));
            let _ = describe(&mesh, "x");
        }
        // Whatever the sniffing says, each reader must bear any bytes.
        let readers = [read_stl, read_obj, read_ply, read_off, read_xyz, read_3mf, |bytes: &[u8]| {
            read_gltf(bytes, &|_| Ok(vec![0; 64]))
        }];
        for read in readers {
            let _ = read(&bytes);
        }
        let taken = ALLOCATOR.peak_usage() - before;
        let most = if *repeats { MOST_MEMORY } else { MOST_FOR_ANY + MOST_A_BYTE * bytes.len() };
        prop_assert!(taken <= most, "{name}: {taken} bytes for {}", bytes.len());
        Ok(())
    });
    outcome.unwrap();
    let (cases, readable) = (cases.get(), readable.get());
    assert!(
        cases == CASES && readable > cases / 20 && readable < cases / 2,
        "{readable} of {cases} could still be read"
    );
}
