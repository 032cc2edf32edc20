//! What normalisation promises: the unit sphere, smooth normals, and nothing from degenerate triangles.

use super::*;
use crate::vector::sub;
use proptest::prelude::*;

fn mesh(positions: Vec<[f64; 3]>, triangles: Vec<[u32; 3]>) -> Mesh {
    Mesh { positions, triangles, unit: None }
}

fn tetrahedron() -> Mesh {
    let corners = vec![[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 1.0]];
    mesh(corners, vec![[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
}

fn lengths(mesh: &NormalMesh) -> Vec<f32> {
    let [x, y, z] = mesh.positions();
    x.iter().zip(y).zip(z).map(|((x, y), z)| (x * x + y * y + z * z).sqrt()).collect()
}

#[test]
fn a_shape_touches_the_unit_sphere_and_stays_within_whatever_its_units() {
    for (scale, shift) in [(1.0, 0.0), (1e-200, 0.0), (1e300, 0.0), (1.0, 4e6), (1e-3, -1e3)] {
        let mut moved = tetrahedron();
        moved.positions.iter_mut().flatten().for_each(|x| *x = *x * scale + shift);
        let lengths = lengths(&normalise(&moved, Pose::AsIs, Job::silent()).unwrap());
        let largest = lengths.iter().fold(0.0f32, |m, &x| m.max(x));
        assert!((largest - 1.0).abs() < 1e-5, "scale {scale}, shift {shift}: {largest}");
        assert!(lengths.iter().filter(|&&l| l > 0.999).count() >= 2, "two corners determine a ball at least");
    }
}

proptest! {
    #[test]
    fn the_smallest_ball_holds_all_points_and_no_smaller_one_near_it_does(
        points in prop::collection::vec(prop::array::uniform3(-1.0f64..1.0), 1..40), copies in 0usize..3,
    ) {
        let mut points = points;
        (0..copies).for_each(|k| points.push(points[k % points.len()]));
        let (centre, radius) = ball::smallest_ball(&points, Job::silent()).unwrap();
        let reach = |c: [f64; 3]| points.iter().map(|&p| dot(sub(p, c), sub(p, c)).sqrt()).fold(0.0, f64::max);
        prop_assert!(reach(centre) <= radius);
        // The reach is convex in the centre: a local minimum is the minimum.
        for direction in 0..26 {
            let k = if direction < 13 { direction } else { direction + 1 };
            let step = [k % 3 - 1, k / 3 % 3 - 1, k / 9 - 1].map(|s| f64::from(s) * 1e-4);
            prop_assert!(reach(std::array::from_fn(|k| centre[k] + step[k])) >= radius - 1e-9);
        }
    }

    #[test]
    fn random_rotations_are_rotations_and_repeat_by_seed_alone(seed: u64, k: u64) {
        let rotation = random_rotation(seed, k);
        prop_assert_eq!(rotation, random_rotation(seed, k));
        let [x, y, z] = *rotation.rows();
        for (a, b, expected) in [(x, x, 1.0), (y, y, 1.0), (x, y, 0.0), (cross(x, y), z, 1.0)] {
            prop_assert!((dot(a, b) - expected).abs() < 1e-12);
        }
    }
}

#[test]
fn random_rotations_leave_no_direction_out() {
    // The mean of a uniform direction is zero, and of its products a third of the identity.
    let turned: Vec<[f64; 3]> = (0..4000).map(|k| random_rotation(7, k).rows().map(|row| row[0])).collect();
    for i in 0..3 {
        assert!((turned.iter().map(|p| p[i]).sum::<f64>() / 4000.0).abs() < 0.04);
        for j in 0..3 {
            let expected = if i == j { 1.0 / 3.0 } else { 0.0 };
            assert!((turned.iter().map(|p| p[i] * p[j]).sum::<f64>() / 4000.0 - expected).abs() < 0.04);
        }
    }
    assert_ne!(random_rotation(1, 0), random_rotation(2, 0));
    assert_ne!(random_rotation(1, 0), random_rotation(1, 1));
}

#[test]
fn principal_pose_undoes_any_rotation() {
    let expected = normalise(&tetrahedron(), Pose::Principal, Job::silent()).unwrap();
    for k in 0..20 {
        let mut turned = tetrahedron();
        random_rotation(3, k).apply(&mut turned.positions);
        let found = normalise(&turned, Pose::Principal, Job::silent()).unwrap();
        for (t, u) in found.triangles().iter().flatten().zip(expected.triangles().iter().flatten()) {
            for axis in 0..3 {
                let (a, b) = (found.positions()[axis][*t as usize], expected.positions()[axis][*u as usize]);
                assert!((a - b).abs() < 1e-5, "rotation {k}, axis {axis}: {a} for {b}");
            }
        }
    }
}

#[test]
fn turning_before_or_after_is_the_same_but_for_rounding() {
    let rotation = random_rotation(5, 0);
    let after = normalise(&tetrahedron(), Pose::AsIs, Job::silent()).unwrap().rotated(&rotation);
    let mut turned = tetrahedron();
    rotation.apply(&mut turned.positions);
    let before = normalise(&turned, Pose::AsIs, Job::silent()).unwrap();
    let corners = |mesh: &NormalMesh, numbers: &[Vec<f32>; 3]| -> Vec<f32> {
        mesh.triangles().iter().flatten().flat_map(|&v| [0, 1, 2].map(|axis| numbers[axis][v as usize])).collect()
    };
    let near = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(near(corners(&after, after.positions()), corners(&before, before.positions())));
    assert!(near(corners(&after, after.normals()), corners(&before, before.normals())));
}

/// A prism with `sides` sides whose corners are not shared, as in an STL file; every `turned`-th facet is wound the
/// other way.
fn prism(sides: usize, turned: usize) -> Mesh {
    let mut result = mesh(vec![], vec![]);
    let at = |k: usize, z: f64| {
        let angle = k as f64 / sides as f64 * std::f64::consts::TAU;
        [libm::cos(angle), libm::sin(angle), z]
    };
    for k in 0..sides {
        let corners = [at(k, 0.0), at((k + 1) % sides, 0.0), at((k + 1) % sides, 1.0), at(k, 1.0)];
        for triangle in [[0, 1, 2], [0, 2, 3]] {
            let first = result.positions.len() as u32;
            result.positions.extend(triangle.map(|i: usize| corners[i]));
            let reversed = (k + 1) % turned == 0;
            result.triangles.push(if reversed { [first, first + 2, first + 1] } else { [first, first + 1, first + 2] });
        }
    }
    result
}

#[test]
fn normals_are_smooth_on_many_sides_and_sharp_on_few_whatever_the_winding() {
    for (sides, smooth) in [(4, false), (6, false), (16, true), (64, true)] {
        for turned in [usize::MAX, 3] {
            let shape = normalise(&prism(sides, turned), Pose::AsIs, Job::silent()).unwrap();
            let ([x, y, _], [nx, ny, nz]) = (shape.positions(), shape.normals());
            for t in shape.triangles() {
                for &v in t {
                    let v = v as usize;
                    let radial = (x[v] * nx[v] + y[v] * ny[v]).abs() / (x[v] * x[v] + y[v] * y[v]).sqrt();
                    let flat = libm::cosf(std::f32::consts::PI / sides as f32);
                    // Two triangles of one facet and one of the next meet at a corner: not quite radial.
                    let expected = if smooth { (1.0 + flat) / 2.0..1.001 } else { flat - 1e-4..flat + 1e-4 };
                    assert!(expected.contains(&radial), "{sides} sides, every {turned}: {radial}");
                    assert!(nz[v].abs() < 1e-5);
                }
            }
            if smooth {
                let vertices = shape.positions()[0].len();
                assert!(vertices < 8 * sides, "{sides} sides: corners are joined, not {vertices}");
            }
        }
    }
}

#[test]
fn stray_vertices_and_degenerate_triangles_change_no_bit() {
    let expected = normalise(&tetrahedron(), Pose::AsIs, Job::silent()).unwrap();
    let mut dirty = tetrahedron();
    dirty.positions.extend([[9.0, 9.0, 9.0], [f64::NAN, 0.0, 0.0], [1e300, 0.0, f64::INFINITY], [18.0, 18.0, 18.0]]);
    dirty.positions.push([0.1 + 0.2, 0.1 + 0.2, 0.1 + 0.2]);
    let degenerate = [[0, 0, 1], [4, 4, 4], [0, 5, 1], [6, 1, 2], [0, 4, 7], [0, 4, 8], [1, 2, 2]];
    dirty.triangles.extend(degenerate);
    assert_eq!(normalise(&dirty, Pose::AsIs, Job::silent()).unwrap(), expected);
}

#[test]
fn what_has_no_surface_and_no_point_is_refused() {
    let nothing = [
        mesh(vec![], vec![]),
        mesh(vec![[f64::NAN; 3], [0.0, f64::INFINITY, 0.0]], vec![]),
        mesh(vec![[1.0; 3]; 3], vec![[0, 1, 2]]),
        mesh(vec![[0.0; 3], [1.0; 3], [3.0; 3]], vec![[0, 1, 2], [2, 1, 0]]),
    ];
    for mesh in nothing {
        assert!(matches!(normalise(&mesh, Pose::Principal, Job::silent()), Err(Error::Empty(_))), "{mesh:?}");
    }
}

#[test]
fn a_cloud_knows_its_spacing_and_its_planes() {
    let flat: Vec<[f64; 3]> = (0..2500).map(|i| [f64::from(i % 50), f64::from(i / 50), 7.0]).collect();
    let cloud = normalise(&mesh(flat, vec![]), Pose::AsIs, Job::silent()).unwrap();
    let spacing = 1.0 / (49.0 / 2.0 * 2f32.sqrt());
    let radius = cloud.disc_radius();
    assert!((0.9 * spacing..2.0 * spacing).contains(&radius), "{radius} for a spacing of {spacing}");
    assert!(cloud.normals()[2].iter().all(|z| z.abs() > 0.999));
    for points in [vec![[5.0; 3]], vec![[-1e200; 3]; 9], vec![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]] {
        let few = normalise(&mesh(points, vec![]), Pose::Principal, Job::silent()).unwrap();
        assert!(few.disc_radius() > 0.0 && few.positions().iter().flatten().all(|x| x.is_finite()));
    }
}

#[test]
fn what_a_file_repeats_by_the_hundred_is_kept_once() {
    let once = normalise(&tetrahedron(), Pose::AsIs, Job::silent()).unwrap();
    let mut many = tetrahedron();
    let first = many.triangles[0];
    many.triangles.splice(1..1, vec![first; 5000]);
    many.triangles.extend(vec![[first[1], first[0], first[2]]; 5000]);
    let normal = normalise(&many, Pose::AsIs, Job::silent()).unwrap();
    assert_eq!(normal.triangles().len(), once.triangles().len() + 1, "both sides of the first");
    assert_eq!(normal.positions()[0].len(), 3 * normal.triangles().len(), "no vertex is left over");
    // A few equal triangles meet smoothly, and stay.
    many.triangles.truncate(10);
    assert_eq!(normalise(&many, Pose::AsIs, Job::silent()).unwrap().triangles().len(), 10);
}

#[test]
fn a_cancelled_job_normalises_nothing() {
    let cancelled = std::sync::atomic::AtomicBool::new(true);
    let job = Job::new(&crate::job::Silent, &cancelled);
    for mesh in [tetrahedron(), mesh(tetrahedron().positions, vec![])] {
        assert!(matches!(normalise(&mesh, Pose::AsIs, job), Err(Error::Cancelled)));
    }
}
