//! Things held in the hand that are no tools: cutlery, weapons, and others. The long side lies along x.

use super::Kind;
use super::form::{bar, both, curve, limb, placed, radial, rod, slab, stretched, torus};
use super::turned::solid;
use super::vector::{Point, add};
use crate::build::solid::{circle, cuboid, extrude, merge, moved, polar, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("fork", fork),
    ("spoon", spoon),
    ("pistol", pistol),
    ("rifle", rifle),
    ("umbrella", umbrella),
    ("spectacles", spectacles),
    ("guitar", guitar),
];

/// The handle of a spoon or a fork: a strip that widens to its end and arches.
fn strip(random: &mut Random, long: f64) -> Mesh {
    let (wide, arch) = (random.between(0.03, 0.07), random.between(0.0, 0.1));
    slab(12, 3, [0.0, 0.0, -0.02], |u, v| {
        let half = 0.02 + (wide - 0.02) * (1.0 - u) * (1.0 - u);
        [long * u, half * (2.0 * v - 1.0), arch * libm::sin(3.1 * u)]
    })
}

fn fork(random: &mut Random) -> Mesh {
    let (tines, wide) = (random.count(2, 5), random.between(0.06, 0.11));
    let (long, bend) = (random.between(0.18, 0.4), random.between(0.02, 0.1));
    let mut parts = vec![strip(random, 0.8)];
    parts.push(slab(5, 4, [0.0, 0.0, -0.02], |u, v| {
        [0.78 + 0.14 * u, (0.02 + (wide - 0.02) * u) * (2.0 * v - 1.0), -bend * u * 0.5]
    }));
    for i in 0..tines {
        let y = wide * 0.85 * (2.0 * i as f64 / (tines - 1) as f64 - 1.0);
        let path = curve(&[[0.9, y, -bend * 0.5], [0.9 + long * 0.5, y, -bend], [0.9 + long, y, 0.0]], 4);
        parts.push(limb(&path, &[0.018, 0.018, 0.017, 0.016, 0.015, 0.013, 0.011, 0.009, 0.006], 6));
    }
    merge(parts)
}

fn spoon(random: &mut Random) -> Mesh {
    let (long, wide) = (random.between(0.2, 0.4), random.between(0.09, 0.2));
    let deep = random.between(0.04, 0.2);
    let handle = random.between(0.6, 1.3);
    let bowl = slab(8, 24, [0.0, 0.0, -0.015], |u, v| {
        let [x, y] = polar(u.max(0.02), TAU * v);
        [handle + long * 0.5 * (1.0 + x), wide * y, -deep * (1.0 - u * u)]
    });
    merge([strip(random, handle + 0.03), bowl])
}

fn pistol(random: &mut Random) -> Mesh {
    let (long, high) = (random.between(0.6, 1.0), random.between(0.09, 0.16));
    let wide = random.between(0.05, 0.08);
    let rake = random.between(0.05, 0.3);
    let stock = extrude(&[[0.02, 0.0], [0.26, 0.0], [0.24 - rake, -0.5], [-0.02 - rake, -0.48]], &[], -wide, wide);
    let stock = turned(stock, 0, FRAC_PI_2);
    let guard = turned(stretched(torus(0.09, 0.015, 20, 6), [1.2, 1.0, 1.0]), 0, FRAC_PI_2);
    let mut parts = vec![stock, moved(guard, [0.35, 0.0, -0.08])];
    if random.coin() {
        parts.push(cuboid([long, 2.0 * wide, high], [long / 2.0 - 0.05, 0.0, high / 2.0]));
        parts.push(rod([long - 0.1, 0.0, high * 0.6], [long + 0.02, 0.0, high * 0.6], 0.03, 0.03, 12));
    } else {
        parts.push(rod([0.2, 0.0, high * 0.7], [long, 0.0, high * 0.7], 0.04, 0.035, 14));
        parts.push(cuboid([0.5, 1.4 * wide, high], [0.25, 0.0, high * 0.4]));
        parts.push(placed(
            tube(high * 0.75, 0.0, 0.3, 0.52, random.count(6, 20)),
            [0.0, 0.0, high * 0.4],
            [1.0, 0.0, 0.0],
        ));
        parts.push(bar([0.0, 0.0, high * 0.7], [-0.06, 0.0, high * 1.5], 0.04, 0.05));
    }
    parts.push(cuboid([0.02, 0.02, 0.04], [long - 0.08, 0.0, high + 0.01]));
    merge(parts)
}

fn rifle(random: &mut Random) -> Mesh {
    let (barrel, drop) = (random.between(0.6, 1.1), random.between(0.05, 0.18));
    let stock = extrude(
        &[
            [-0.7, -0.28 - drop],
            [-0.72, -0.02 - drop * 0.5],
            [-0.2, 0.06],
            [0.5, 0.06],
            [0.5, -0.04],
            [0.0, -0.06],
            [-0.2, -0.1],
        ],
        &[],
        -0.035,
        0.035,
    );
    let mut parts =
        vec![turned(stock, 0, FRAC_PI_2), rod([0.2, 0.0, 0.06], [0.4 + barrel, 0.0, 0.06], 0.025, 0.018, 10)];
    parts.push(cuboid([0.4, 0.07, 0.1], [0.05, 0.0, 0.05]));
    if random.coin() {
        parts.push(placed(
            solid(&[[0.045, -0.25], [0.03, -0.15], [0.03, 0.1], [0.05, 0.2]], 14),
            [0.1, 0.0, 0.16],
            [1.0, 0.0, 0.0],
        ));
    }
    if random.coin() {
        let lean = random.between(-0.1, 0.2);
        parts.push(bar([0.15, 0.0, -0.02], [0.15 + lean, 0.0, -random.between(0.2, 0.4)], 0.04, 0.09));
    }
    parts.push(bar([-0.1, 0.0, -0.02], [-0.17, 0.0, -0.22], 0.04, 0.07));
    merge(parts)
}

fn umbrella(random: &mut Random) -> Mesh {
    let (ribs, dome) = (random.count(6, 12), random.between(0.15, 0.5));
    let long = random.between(0.8, 1.3);
    let shut = random.chance(0.25);
    let reach = if shut { 0.12 } else { random.between(0.6, 0.8) };
    let fall = if shut { long * 0.7 } else { dome };
    let canopy = super::form::sheet(6, ribs * 3, |u, v| {
        let scallop = 1.0 - 0.08 * u * (1.0 - libm::cos(TAU * v * ribs as f64)) / 2.0;
        let [x, y] = polar((reach * u * scallop).max(1e-4), TAU * v);
        [x, y, long - fall * u * u]
    });
    let hook: Vec<Point> = (0..=8)
        .map(|i| {
            let [x, z] = polar(0.08, TAU / 2.0 * (1.0 + f64::from(i) / 8.0));
            [x + 0.08, 0.0, z]
        })
        .collect();
    let shaft = rod([0.0; 3], [0.0, 0.0, long + 0.08], 0.014, 0.012, 8);
    let mut parts = vec![canopy, shaft];
    parts.push(if random.coin() {
        limb(&hook, &[0.02; 9], 8)
    } else {
        rod([0.0; 3], [0.0, 0.0, 0.2], 0.035, 0.03, 12)
    });
    if !shut && random.coin() {
        parts
            .push(radial(&rod([0.0, 0.0, long * 0.6], [reach * 0.55, 0.0, long - fall * 0.32], 0.007, 0.007, 4), ribs));
    }
    merge(parts)
}

fn spectacles(random: &mut Random) -> Mesh {
    let (lens, wire) = (random.between(0.2, 0.28), random.between(0.01, 0.035));
    let (wide, flat) = (random.between(0.9, 1.3), random.between(0.6, 1.05));
    let corners = random.pick(&[4, 6, 28, 28, 28]);
    let rim = stretched(turned(torus(lens, wire, corners, 7), 2, TAU / 8.0), [wide, flat, 1.0]);
    let x = lens * wide + random.between(0.04, 0.08);
    let (long, fold) = (random.between(0.7, 1.0), if random.chance(0.2) { 1.4 } else { random.between(-0.1, 0.1) });
    let hinge = [x + lens * wide, lens * flat * 0.4, 0.0];
    let [s, c] = polar(long, fold);
    let end = add(hinge, [-c, 0.0, -s]);
    let ear = curve(&[hinge, super::vector::between(hinge, end, 0.75), add(end, [0.0, -0.15, 0.0])], 4);
    let mut side = vec![moved(rim, [x, 0.0, 0.0]), limb(&ear, &[wire * 0.8; 9], 6)];
    if random.chance(0.6) {
        let glass = tube(lens * 0.98, 0.0, -wire * 0.2, wire * 0.2, if corners > 6 { 24 } else { corners });
        side.push(moved(stretched(turned(glass, 2, TAU / 8.0), [wide, flat, 1.0]), [x, 0.0, 0.0]));
    }
    let bridge =
        curve(&[[-x + lens * wide * 0.95, 0.05, 0.0], [0.0, 0.09, 0.02], [x - lens * wide * 0.95, 0.05, 0.0]], 4);
    merge([both(merge(side), 0), limb(&bridge, &[wire; 9], 6)])
}

fn guitar(random: &mut Random) -> Mesh {
    let (low, waist, high) = (random.between(0.3, 0.4), random.between(0.16, 0.24), random.between(0.22, 0.3));
    let half = curve(
        &[[0.0, 0.0], [0.05, low * 0.8], [0.22, low], [0.45, waist], [0.65, high], [0.82, high * 0.6], [0.85, 0.0]],
        4,
    );
    let outline: Vec<[f64; 2]> =
        half.iter().copied().chain(half[1..half.len() - 1].iter().rev().map(|p| [p[0], -p[1]])).collect();
    let deep = random.between(0.05, 0.2);
    let hole: Vec<[f64; 2]> = circle(waist * 0.5, 20).iter().map(|p| [p[0] + 0.52, p[1]]).collect();
    let neck = random.between(0.5, 0.9);
    let mut parts = vec![extrude(&outline, &[], -deep, -0.01), extrude(&outline, &[hole], -0.011, 0.01)];
    parts.push(cuboid([neck + 0.2, 0.09, 0.05], [0.8 + neck / 2.0, 0.0, 0.02]));
    parts.push(cuboid([0.22, 0.13, 0.035], [0.95 + neck, 0.0, 0.0]));
    parts.push(cuboid([0.04, 0.25, 0.04], [0.25, 0.0, 0.02]));
    for i in 0..3 {
        let x = 0.9 + neck + 0.06 * f64::from(i);
        parts.push(both(rod([x, 0.05, 0.0], [x, 0.12, 0.0], 0.012, 0.02, 6), 1));
    }
    merge(parts)
}
