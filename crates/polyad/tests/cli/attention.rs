//! `polyad attend` on archives as NumPy writes them.

use crate::support::{json_lines, polyad};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use tempfile::tempdir;

/// An array as the bytes of a `.npy` file: double precision, or a text.
fn npy(kind: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn doubles(shape: &[usize], numbers: &[f64]) -> Vec<u8> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    npy("<f8", shape, &bytes)
}

fn write(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn read(path: &Path) -> BTreeMap<String, (Vec<u64>, Vec<f32>)> {
    let mut zip = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut arrays = BTreeMap::new();
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).unwrap();
        let name = member.name().unwrap().trim_end_matches(".npy").to_owned();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        let file = npyz::NpyFile::new(&bytes[..]).unwrap();
        let shape = file.shape().to_vec();
        let numbers = match name.as_str() {
            "method" => file.into_vec::<u8>().unwrap().into_iter().map(f32::from).collect(),
            _ => file.into_vec().unwrap(),
        };
        arrays.insert(name, (shape, numbers));
    }
    arrays
}

/// Two queries, two keys on each axis, one feature: scores are products of three numbers.
fn triples() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("q", doubles(&[2, 1], &[0.0, 1.0])),
        ("k1", doubles(&[2, 1], &[1.0, 0.0])),
        ("k2", doubles(&[2, 1], &[2f64.ln(), 0.0])),
        ("v1", doubles(&[2, 1], &[1.0, 2.0])),
        ("v2", doubles(&[2, 1], &[3.0, 5.0])),
        ("scale", doubles(&[], &[1.0])),
        ("dout", doubles(&[2, 1], &[1.0, 1.0])),
    ]
}

#[test]
fn attend_computes_triples_their_gradients_weights_and_marginals() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    write(&folder.join("in.npz"), &triples());
    let line = ["attend", "in.npz", "--out", "out.npz", "--backward", "--marginals", "--weights", "1", "--json"];
    let run = polyad(folder, &line);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(json_lines(&run)[0]["order"], 3);
    let found = read(&folder.join("out.npz"));
    let close = |name: &str, shape: &[u64], expected: &[f32]| {
        let (found_shape, numbers) = &found[name];
        assert_eq!(found_shape, shape, "{name}");
        for (a, b) in numbers.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{name}: {numbers:?}, expected {expected:?}");
        }
    };
    // The first query weighs all four pairs alike; the second gives the first pair weight 2 of 5.
    close("out", &[2, 1], &[(3.0 + 5.0 + 6.0 + 10.0) / 4.0, (2.0 * 3.0 + 5.0 + 6.0 + 10.0) / 5.0]);
    close("lse", &[2], &[4f32.ln(), 5f32.ln()]);
    close("weights", &[1, 2, 2], &[0.4, 0.2, 0.2, 0.2]);
    close("marginal_1", &[2, 2], &[0.5, 0.5, 0.6, 0.4]);
    close("marginal_2", &[2, 2], &[0.5, 0.5, 0.6, 0.4]);
    close("dv1", &[2, 1], &[2.0 + 2.2, 2.0 + 1.6]);
    for name in ["dq", "dk1", "dk2", "dv2"] {
        assert_eq!(found[name].0, [2, 1], "{name}");
    }
}

#[test]
fn attend_says_what_disagrees_and_writes_nothing() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let with = |name: &str, bytes: Vec<u8>| {
        let mut arrays = triples();
        arrays.retain(|(other, _)| *other != name);
        arrays.push((Box::leak(name.to_owned().into_boxed_str()), bytes));
        arrays
    };
    let without = |name: &str| triples().into_iter().filter(|(other, _)| *other != name).collect::<Vec<_>>();
    let cubic: Vec<u8> = "cubic".chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
    let cases = [
        (without("scale"), "scale is not there"),
        (without("v2"), "v2 is not there"),
        (without("dout"), "dout"),
        (with("k2", doubles(&[2, 2], &[0.0; 4])), "k2 is [1, 1, 2, 2]"),
        (with("form", npy("<U5", &[], &cubic)), "no score form is called \"cubic\""),
        (with("scale", doubles(&[], &[f64::NAN])), "scale is NaN"),
        (with("windows", doubles(&[1], &[4.0])), "windows has shape [1]"),
        (with("lengths", doubles(&[2], &[1.0, 3.0])), "length 3 on an axis of 2 keys"),
        (with("bias_12", doubles(&[3, 2], &[0.0; 6])), "bias_12 has shape [3, 2]"),
        (with("q", doubles(&[2], &[0.0; 2])), "q has shape [2]"),
        (with("q", vec![0x93, b'N', b'U', b'M', b'P', b'Y', 1, 0, 255, 255]), "a header of 65535 bytes"),
    ];
    for (arrays, part) in cases {
        write(&folder.join("in.npz"), &arrays);
        let run = polyad(folder, &["attend", "in.npz", "--out", "out.npz", "--backward"]);
        assert_eq!(run.code, Some(1), "{part}: {}", run.stderr);
        assert!(run.stderr.contains(part), "{:?} does not say {part:?}", run.stderr);
        assert!(!folder.join("out.npz").exists());
    }
    write(&folder.join("in.npz"), &triples());
    for (line, part) in [
        ("attend in.npz --out out.npz --isa mmx", "mmx"),
        ("attend in.npz --out out.npz --weights 2", "query 2"),
        ("attend in.npz --out out.npz --weights a", "\"a\""),
        ("attend in.npz --out out.npz --tolerance 0.1", "--tolerance is for"),
        ("attend in.npz --out out.npz --method auto --tolerance 0", "positive"),
        ("attend in.npz --out out.npz --method polynomial --marginals", "of the exact method"),
        ("attend in.npz --out out.npz --method sketch --tolerance 0.1", "an estimate"),
        ("attend in.npz --out out.npz --method sketch --backward", "no gradient"),
        ("plan --n 100 --d 16 --order 9", "key axes"),
        ("plan --n 100 --d 16 --order 3 --range 0", "range"),
        ("plan --n 100 --d 16", "--order"),
        ("plan --npz missing.npz", "missing.npz"),
        ("attend missing.npz --out out.npz", "missing.npz"),
        ("attend in.npz --out no/out.npz", "no such folder"),
    ] {
        let run = polyad(folder, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(run.code, Some(2), "{line}: {}", run.stderr);
        assert!(run.stderr.contains(part), "{:?} does not say {part:?}", run.stderr);
    }
    std::fs::write(folder.join("in.npz"), "no zip").unwrap();
    assert_eq!(polyad(folder, &["attend", "in.npz", "--out", "out.npz"]).code, Some(1));
}

#[test]
fn polynomials_are_certified_and_planned() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    write(&folder.join("in.npz"), &triples());
    let line = [
        "attend",
        "in.npz",
        "--out",
        "out.npz",
        "--method",
        "polynomial",
        "--tolerance",
        "1e-3",
        "--backward",
        "--json",
    ];
    let run = polyad(folder, &line);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let said = &json_lines(&run)[0];
    assert_eq!((&said["method"], &said["rows"]["polynomial"]), (&"polynomial".into(), &2.into()));
    let found = read(&folder.join("out.npz"));
    assert_eq!(polyad(folder, &["attend", "in.npz", "--out", "exact.npz", "--backward"]).code, Some(0));
    let exact = read(&folder.join("exact.npz"));
    // Relative to the greatest value, 2 times 5.
    for (i, certificate) in found["certificate"].1.iter().enumerate() {
        assert!(*certificate <= 1e-2 && (found["out"].1[i] - exact["out"].1[i]).abs() <= certificate + 1e-5);
        assert_eq!(found["method"].1[i], 1.0);
        assert!((found["lse"].1[i] - exact["lse"].1[i]).abs() <= found["lse_certificate"].1[i] + 1e-5);
    }
    for name in ["dq", "dk1", "dv1", "dk2", "dv2"] {
        assert_eq!(found[name].0, exact[name].0, "{name}");
        let close = found[name].1.iter().zip(&exact[name].1).all(|(a, b)| (a - b).abs() < 0.05);
        assert!(close, "{name}: {:?} and {:?}", found[name].1, exact[name].1);
    }
    let run = polyad(folder, &["attend", "in.npz", "--out", "sketch.npz", "--method", "sketch", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let said = &json_lines(&run)[0];
    assert!(said["certificate"].is_null() && said["sampled_error"].is_f64() && said["tolerance"].is_null());
    let sketch = read(&folder.join("sketch.npz"));
    assert!(sketch["method"].1 == [2.0; 2] && sketch["certificate"].1.iter().all(|x| x.is_nan()));
    let run = polyad(folder, &["plan", "--n", "16384", "--d", "16", "--order", "3", "--range", "1", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let plan = &json_lines(&run)[0];
    assert_eq!((&plan["degree"], &plan["rank_full"], &plan["choice"]), (&3.into(), &969.into(), &"polynomial".into()));
    assert!((plan["border"].as_f64().unwrap() - 16384f64.ln().cbrt()).abs() < 1e-9);
    assert!(plan["seconds"]["exact"].as_f64() > plan["seconds"]["polynomial"].as_f64());
    let wide = polyad(folder, &["plan", "--n", "64", "--d", "16", "--order", "3", "--range", "30", "--json"]);
    assert_eq!((&json_lines(&wide)[0]["degree"], &json_lines(&wide)[0]["choice"]), (&().into(), &"exact".into()));
    let run = polyad(folder, &["plan", "--npz", "in.npz", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(json_lines(&run)[0]["degree"].is_u64());
}
