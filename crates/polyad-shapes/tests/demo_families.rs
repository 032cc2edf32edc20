//! The generated library: what every family promises, and that the coded families hide their class in a triple.

use polyad_shapes::demo::families::{coded_features, families, generate};
use polyad_shapes::demo::stl::write_stl;
use polyad_shapes::mesh::Mesh;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

fn each(seeds: u64) -> impl Iterator<Item = (usize, u64)> {
    (0..families().len()).flat_map(move |family| (0..seeds).map(move |seed| (family, seed)))
}

fn corners(mesh: &Mesh, t: [u32; 3]) -> [[f64; 3]; 3] {
    t.map(|i| mesh.positions[i as usize])
}

fn cross(a: [f64; 3], b: [f64; 3], c: [f64; 3]) -> [f64; 3] {
    let (u, v): ([f64; 3], [f64; 3]) = (std::array::from_fn(|i| b[i] - a[i]), std::array::from_fn(|i| c[i] - a[i]));
    [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
}

fn area(mesh: &Mesh) -> f64 {
    let one = |t: &[u32; 3]| {
        let [a, b, c] = corners(mesh, *t);
        cross(a, b, c).iter().map(|x| x * x).sum::<f64>().sqrt() / 2.0
    };
    mesh.triangles.iter().map(one).sum()
}

#[test]
fn families_are_many_distinct_and_in_byte_order() {
    assert!(families().len() >= 14);
    assert!(families().is_sorted_by(|a, b| a < b));
}

#[test]
fn every_part_is_finite_and_has_a_surface() {
    for (family, seed) in each(40) {
        let (mesh, name) = (generate(family, seed), families()[family]);
        assert!(mesh.positions.iter().flatten().all(|x| x.is_finite()), "{name} {seed}");
        assert!(mesh.triangles.iter().flatten().all(|i| (*i as usize) < mesh.positions.len()), "{name} {seed}");
        assert!((40..40_000).contains(&mesh.triangles.len()), "{name} {seed}: {} triangles", mesh.triangles.len());
        assert!(area(&mesh) > 50.0, "{name} {seed}: area {}", area(&mesh));
        for t in &mesh.triangles {
            let [a, b, c] = corners(&mesh, *t);
            assert!(cross(a, b, c).iter().any(|x| x.abs() > 1e-12), "{name} {seed}: {t:?} has no area");
        }
    }
}

#[test]
fn every_part_is_closed_and_faces_outwards() {
    let mut wrong = Vec::new();
    for (family, seed) in each(40) {
        let (mesh, name) = (generate(family, seed), families()[family]);
        let mut edges: HashMap<(u32, u32), usize> = HashMap::new();
        for [a, b, c] in &mesh.triangles {
            for edge in [(*a, *b), (*b, *c), (*c, *a)] {
                *edges.entry(edge).or_default() += 1;
            }
        }
        let closed = edges.iter().all(|((a, b), n)| *n == 1 && edges.get(&(*b, *a)) == Some(&1));
        if !closed {
            wrong.push(format!("{name} {seed}: an edge without its twin"));
        }
        let inside_out = volumes(&mesh).into_iter().filter(|volume| *volume <= 0.0);
        wrong.extend(inside_out.map(|volume| format!("{name} {seed}: a solid of volume {volume}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The signed volume of each connected solid.
fn volumes(mesh: &Mesh) -> Vec<f64> {
    let mut root: Vec<usize> = (0..mesh.positions.len()).collect();
    fn find(root: &mut [usize], mut i: usize) -> usize {
        while root[i] != i {
            root[i] = root[root[i]];
            i = root[i];
        }
        i
    }
    for t in &mesh.triangles {
        let [a, b, c] = t.map(|i| find(&mut root, i as usize));
        root[b] = a;
        let c = find(&mut root, c);
        root[c] = a;
    }
    let mut volumes: BTreeMap<usize, f64> = BTreeMap::new();
    for t in &mesh.triangles {
        let solid = find(&mut root, t[0] as usize);
        let [a, b, c] = corners(mesh, *t);
        let n = cross([0.0; 3], b, c);
        *volumes.entry(solid).or_default() += (a[0] * n[0] + a[1] * n[1] + a[2] * n[2]) / 6.0;
    }
    volumes.into_values().collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_part() {
    let mut seen = HashSet::new();
    for (family, seed) in each(25) {
        let bytes = write_stl(&generate(family, seed));
        assert_eq!(bytes, write_stl(&generate(family, seed)));
        assert!(seen.insert(bytes), "{} {seed} is made twice", families()[family]);
    }
}

#[test]
fn stl_holds_every_triangle_with_its_unit_normal() {
    let mesh = generate(0, 7);
    let bytes = write_stl(&mesh);
    assert_eq!(bytes.len(), 84 + 50 * mesh.triangles.len());
    assert_eq!(u32::from_le_bytes(bytes[80..84].try_into().unwrap()) as usize, mesh.triangles.len());
    for (record, t) in bytes[84..].chunks(50).zip(&mesh.triangles) {
        let numbers: Vec<f32> = record[..48].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        let expected: Vec<f32> = corners(&mesh, *t).iter().flatten().map(|x| *x as f32).collect();
        assert_eq!(numbers[3..], expected);
        assert!((numbers[..3].iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

/// The coded families, with their features.
fn coded() -> Vec<(usize, [bool; 3])> {
    (0..families().len()).filter_map(|family| Some((family, coded_features(family)?))).collect()
}

#[test]
fn the_coded_families_are_all_triples_so_no_pair_of_features_tells_one() {
    let triples: BTreeSet<[bool; 3]> = coded().into_iter().map(|(_, features)| features).collect();
    assert_eq!((coded().len(), triples.len()), (8, 8));
    assert_eq!(coded_features(0), None);
    assert_eq!(coded_features(families().len()), None);
}

#[test]
fn each_feature_of_a_coded_part_changes_its_geometry_and_nothing_else_does() {
    let mut relative: BTreeMap<[bool; 3], Vec<f64>> = BTreeMap::new();
    for ((family, features), seed) in coded().into_iter().flat_map(|f| (0..60).map(move |s| (f, s))) {
        let mesh = generate(family, seed);
        // Volume per cubed diameter: free of size and pose.
        let squared = |p: &[f64; 3], q: &[f64; 3]| (0..3).map(|i| (p[i] - q[i]).powi(2)).sum::<f64>();
        let pairs = mesh.positions.iter().flat_map(|p| mesh.positions.iter().map(move |q| squared(p, q)));
        let diameter = pairs.fold(0.0, f64::max);
        let volume: f64 = volumes(&mesh).iter().sum();
        relative.entry(features).or_default().push(volume / diameter.powf(1.5));
    }
    let mean = |f: [bool; 3]| relative[&f].iter().sum::<f64>() / relative[&f].len() as f64;
    for feature in 0..3 {
        let mut only = [false; 3];
        only[feature] = true;
        let change = (mean(only) / mean([false; 3]) - 1.0).abs();
        assert!(change > 0.02, "feature {feature} changes the volume by {change}");
    }
}
