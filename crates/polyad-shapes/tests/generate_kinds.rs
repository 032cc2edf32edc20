//! The generated shapes: the same bytes everywhere, nothing empty, endless or alike, and every kind is met.

use polyad_shapes::demo::stl::write_stl;
use polyad_shapes::generate::{kinds, shape, shape_of_kind};
use polyad_shapes::job::Job;
use polyad_shapes::mesh::Mesh;
use polyad_shapes::normalise::{Pose, normalise};
use std::collections::BTreeSet;

/// Triangles of a shape: at least a box's, at most what a view network's training can afford.
const TRIANGLES: std::ops::RangeInclusive<usize> = 12..=24_000;

/// Of the first hundred shapes of seed 1.
const CHECKSUM: u64 = 0x82e3_9bea_1a45_4b99;

fn check(mesh: &Mesh, name: &str) {
    assert!(TRIANGLES.contains(&mesh.triangles.len()), "{name}: {} triangles", mesh.triangles.len());
    assert!(mesh.positions.iter().flatten().all(|x| x.is_finite()), "{name}: not finite");
    assert!(mesh.triangles.iter().flatten().all(|i| (*i as usize) < mesh.positions.len()), "{name}: no such corner");
    let [low, high] = mesh.bounds().expect("a surface");
    let sides: Vec<f64> = (0..3).map(|k| high[k] - low[k]).collect();
    let largest = sides.iter().copied().fold(0.0, f64::max);
    assert!((largest - 1.0).abs() < 1e-9, "{name}: {sides:?}");
    assert!(sides.iter().filter(|side| **side > 0.01).count() >= 2, "{name}: a line, {sides:?}");
    assert!(mesh.area() > 0.003, "{name}: area {}", mesh.area());
    assert!(normalise(mesh, Pose::default(), Job::silent()).is_ok(), "{name}");
}

#[test]
fn thousands_of_shapes_are_sound_and_every_kind_is_among_them() {
    let mut met = BTreeSet::new();
    for index in 0..3_000 {
        let made = shape(7, index);
        check(&made.mesh, &format!("{} {index}", kinds()[made.kind]));
        met.insert(made.kind);
    }
    assert_eq!(met.len(), kinds().len());
}

#[test]
fn every_kind_is_sound_and_varies() {
    for (kind, name) in kinds().iter().enumerate() {
        let mut boxes = BTreeSet::new();
        for index in 0..12 {
            let mesh = shape_of_kind(kind, 3, index);
            check(&mesh, &format!("{name} {index}"));
            let [low, high] = mesh.bounds().expect("a surface");
            boxes.insert(std::array::from_fn::<_, 3, _>(|k| ((high[k] - low[k]) * 1e6) as i64));
        }
        assert!(boxes.len() >= 11, "{name}: {} different boxes of 12", boxes.len());
    }
}

#[test]
fn names_are_distinct_and_fit_for_folders() {
    let distinct: BTreeSet<_> = kinds().iter().collect();
    assert_eq!(distinct.len(), kinds().len());
    let fit = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    assert!(kinds().iter().all(fit));
}

#[test]
fn the_bytes_are_those_of_every_other_machine() {
    // FNV-1a over the STL files. It changes when any grammar of the first hundred shapes does.
    let bytes = (0..100).flat_map(|index| write_stl(&shape(1, index).mesh));
    let sum = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    assert_eq!(sum, CHECKSUM, "{sum:#x}");
}

#[test]
fn the_same_numbers_give_the_same_shape_and_others_another() {
    let mut seen = BTreeSet::new();
    for index in 0..100 {
        let made = shape(1, index);
        assert_eq!(made, shape(1, index));
        assert!(seen.insert(write_stl(&made.mesh)), "{index}");
    }
    assert_ne!(shape(1, 0).mesh, shape(2, 0).mesh);
}
