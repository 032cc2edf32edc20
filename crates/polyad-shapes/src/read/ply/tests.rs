//! The three encodings, the odd tables, and every refusal.

use super::*;

const TYPES: [&str; 8] = ["char", "uchar", "int16", "ushort", "int", "uint32", "float", "float64"];

fn pack(kind: &str, value: f64, big: bool) -> Vec<u8> {
    let mut bytes = match kind {
        "char" => (value as i8).to_le_bytes().to_vec(),
        "uchar" => (value as u8).to_le_bytes().to_vec(),
        "int16" => (value as i16).to_le_bytes().to_vec(),
        "ushort" => (value as u16).to_le_bytes().to_vec(),
        "int" => (value as i32).to_le_bytes().to_vec(),
        "uint32" => (value as u32).to_le_bytes().to_vec(),
        "float" => (value as f32).to_le_bytes().to_vec(),
        "float64" => value.to_le_bytes().to_vec(),
        other => panic!("no type {other}"),
    };
    if big {
        bytes.reverse();
    }
    bytes
}

/// A square and a triangle, coordinates, list lengths and indices all of one type, with a property and a
/// ragged list that nobody asked for.
fn square(kind: &str, format: &str, newline: &str) -> Vec<u8> {
    let header = format!(
        "ply\nformat {format} 1.0\ncomment x\nelement vertex 4\nproperty {kind} x\nproperty uchar red\nproperty {kind} y\n\
         property {kind} z\nelement face 2\nproperty list {kind} float texcoord\nproperty list {kind} {kind} vertex_indices\n\
         end_header\n"
    );
    let mut bytes = header.replace('\n', newline).into_bytes();
    let rows: [&[(&str, f64)]; 6] = [
        &[(kind, 10.), ("uchar", 7.), (kind, 0.), (kind, 0.)],
        &[(kind, 11.), ("uchar", 7.), (kind, 0.), (kind, 0.)],
        &[(kind, 11.), ("uchar", 7.), (kind, 1.), (kind, 0.)],
        &[(kind, 10.), ("uchar", 7.), (kind, 1.), (kind, 0.)],
        &[(kind, 2.), ("float", 0.5), ("float", 0.25), (kind, 4.), (kind, 0.), (kind, 1.), (kind, 2.), (kind, 3.)],
        &[(kind, 0.), (kind, 3.), (kind, 2.), (kind, 1.), (kind, 0.)],
    ];
    for row in rows {
        for &(kind, value) in row {
            match format {
                "ascii" => bytes.extend(format!(" {value}").bytes()),
                _ => bytes.extend(pack(kind, value, format.contains("big"))),
            }
        }
        if format == "ascii" {
            bytes.extend(newline.bytes());
        }
    }
    bytes
}

#[test]
fn every_encoding_type_and_line_ending_gives_the_same_mesh() {
    for format in ["ascii", "binary_little_endian", "binary_big_endian"] {
        for kind in TYPES {
            for newline in ["\n", "\r\n", "\r"] {
                let mesh = read_ply(&square(kind, format, newline)).unwrap_or_else(|e| panic!("{format} {kind}: {e}"));
                assert_eq!(mesh.positions, [[10., 0., 0.], [11., 0., 0.], [11., 1., 0.], [10., 1., 0.]]);
                assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3], [2, 1, 0]], "{format} {kind}");
            }
        }
    }
}

fn ascii(tables: &str) -> Result<Mesh> {
    read_ply(format!("ply\nformat ascii 1.0\n{tables}").as_bytes())
}

const VERTICES: &str = "element vertex 5\nproperty float x\nproperty float y\nproperty float z\n";
const FIVE: &str = "0 0 0\n1 0 0\n0 1 0\n1 1 0\n0 2 0\n";

#[test]
fn strips_alternate_and_begin_anew_after_minus_one() {
    let header = format!("{VERTICES}element tristrips 1\nproperty list int int vertex_indices\nend_header\n");
    let mesh = ascii(&format!("{header}{FIVE}9 0 1 2 3 4 -1 2 1 0\n")).unwrap();
    assert_eq!(mesh.triangles, [[0, 1, 2], [2, 1, 3], [2, 3, 4], [2, 1, 0]]);
}

#[test]
fn an_lf_that_begins_the_rows_after_cr_alone_is_kept() {
    let mut bytes = b"ply\rformat binary_little_endian 1.0\relement vertex 1\rproperty uchar x\rproperty uchar y\r\
        property uchar z\rend_header\r"
        .to_vec();
    bytes.extend([10, 20, 30]);
    assert_eq!(read_ply(&bytes).unwrap().positions, [[10.0, 20.0, 30.0]]);
}

#[test]
fn tables_without_properties_and_foreign_tables_are_walked_over() {
    let header = format!(
        "element nothing 4294967295\nelement cell 1\nproperty list uchar int a\nproperty int b\n{VERTICES}end_header\n"
    );
    assert_eq!(ascii(&format!("{header}2 7 8 9\n\n{FIVE}")).unwrap().positions.len(), 5);
}

#[test]
fn promises_beyond_the_file_are_refused_before_memory_is_taken() {
    let huge = VERTICES.replace('5', "18446744073709551615");
    let error = ascii(&format!("{huge}end_header\n0 0 0\n")).unwrap_err().to_string();
    assert_eq!(error, "vertex: the header promises 18446744073709551615 rows of at least 6 bytes, but 7 bytes follow");
    let header = "ply\nformat binary_big_endian 1.0\nelement face 4294967295\nproperty list uchar int vertex_index\nend_header\n";
    assert!(
        read_ply(header.as_bytes()).unwrap_err().to_string().starts_with("face: the header promises 4294967295 rows")
    );
    let list = "ply\nformat binary_little_endian 1.0\nelement face 1\nproperty list uint int vertex_index\nend_header\n\u{7F}\u{7F}\u{7F}\u{7F}\0\0\0\0";
    assert_eq!(read_ply(list.as_bytes()).unwrap_err().to_string(), "byte 106: the file ends inside a row");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let faces = format!("{VERTICES}element face 1\nproperty list int float vertex_index\nend_header\n{FIVE}");
    let error = |tables: &str| ascii(tables).unwrap_err().to_string();
    assert_eq!(
        error(&format!("{faces}3 0 1 5\n")),
        "line 15: a face names vertex 5, counted from 0, but the file has 5"
    );
    assert_eq!(error(&format!("{faces}3 0 1 -1\n")), "line 15: found -1, expected the number of a vertex");
    assert_eq!(error(&format!("{faces}3 0 1 1.5\n")), "line 15: found 1.5, expected the number of a vertex");
    assert_eq!(error(&format!("{faces}-3 0 1 2\n")), "line 15: found -3, expected the length of a list");
    assert_eq!(error(&format!("{faces}3 0 1\n")), "line 15: the row has fewer numbers than its properties need");
    assert_eq!(error(&format!("{faces}3 0 1 two\n")), "line 15: found `two`, expected a number");
    assert!(error(&faces).contains("face: the header promises 1 rows"));
    assert_eq!(
        error(&format!("{VERTICES}end_header\n0 0 0\n                                  ")),
        "line 9: the file ends before the 5 rows of `vertex` do"
    );
    assert!(error("element vertex 1\nproperty float x\nend_header\n0\n").starts_with("vertex: not all of x, y and z"));
    assert_eq!(error("element vertex many\n"), "line 3: found `many`, expected the number of rows");
    assert_eq!(error("property float x\n"), "line 3: a property before any element");
    assert_eq!(
        error("element vertex 1\nproperty real x\n"),
        "line 4: found `real`, expected a type such as `float` or `uint8`"
    );
    assert_eq!(error("element vertex 1\nproperty float\n"), "line 4: a property without a name after `float`");
    assert_eq!(
        error("elements vertex 1\n"),
        "line 3: found `elements`, expected `element`, `property` or `end_header`"
    );
    assert_eq!(error("element vertex 1\n"), "line 3: the file ends inside the header");
    let whole = |text: &str| read_ply(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(whole("plz\n"), "line 1: found `plz`, expected `ply`");
    assert_eq!(whole("ply\nend_header\n"), "line 2: no line `format`");
    assert!(whole("ply\nformat binary 1.0\n").starts_with("line 2: found `binary`"));
}
