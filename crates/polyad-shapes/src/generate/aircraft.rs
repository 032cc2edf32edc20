//! What flies: aeroplanes, helicopters, rockets, satellites, balloons. The nose is at +x, Z is up.

use super::Kind;
use super::form::{Ends, both, curve, limb, loft, placed, radial, rod, sheet, stretched};
use super::turned::solid;
use super::vector::{Point, add, between};
use super::vehicles::wheel;
use crate::build::solid::{ball, circle, cuboid, extrude, merge, moved, polar, rectangle, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("airliner", |random| airplane(random, Plane::Airliner)),
    ("propeller-plane", |random| airplane(random, Plane::Propeller)),
    ("biplane", |random| airplane(random, Plane::Biplane)),
    ("fighter-jet", |random| airplane(random, Plane::Jet)),
    ("glider", |random| airplane(random, Plane::Glider)),
    ("helicopter", helicopter),
    ("rocket", rocket),
    ("satellite", satellite),
    ("balloon", balloon),
];

#[derive(Clone, Copy, PartialEq)]
enum Plane {
    Airliner,
    Propeller,
    Biplane,
    Jet,
    Glider,
}

/// A flat foil from a root chord to a tip chord, each from its leading to its trailing edge.
fn foil(root: [Point; 2], tip: [Point; 2], thick: f64) -> Mesh {
    let ring = |[front, rear]: [Point; 2], thick: f64| {
        let along = |t: f64, z: f64| add(between(front, rear, t), [0.0, 0.0, z * thick]);
        let tilted = (tip[0][1] - root[0][1]).abs() < (tip[0][2] - root[0][2]).abs();
        let side =
            |t: f64, z: f64| if tilted { add(between(front, rear, t), [0.0, z * thick, 0.0]) } else { along(t, z) };
        vec![side(0.0, 0.0), side(0.25, 0.5), side(0.6, 0.35), side(1.0, 0.0), side(0.6, -0.35), side(0.25, -0.5)]
    };
    loft(&[ring(root, thick), ring(tip, thick * 0.5)], Ends::Capped)
}

/// A body along x through stations: place, half width, half height, and height of the middle.
fn hull(stations: &[[f64; 4]], sides: usize) -> Mesh {
    let fine = curve(stations, 4);
    let ring = |s: &[f64; 4]| {
        let at = |p: [f64; 2]| [s[0], p[0] * s[1].max(0.004), s[3] + p[1] * s[2].max(0.004)];
        circle(1.0, sides).into_iter().map(at).collect::<Vec<Point>>()
    };
    loft(&fine.iter().map(ring).collect::<Vec<_>>(), Ends::Capped)
}

fn airplane(random: &mut Random, form: Plane) -> Mesh {
    let jet = form == Plane::Jet;
    let girth = random.between(0.06, 0.12) * if form == Plane::Glider { 0.7 } else { 1.0 };
    let nose = if jet { 0.1 } else { random.between(0.4, 0.8) };
    let stations = [
        [1.0, 0.01, 0.01, 0.0],
        [0.92, girth * nose * 0.7, girth * nose * 0.7, 0.0],
        [0.6, girth, girth * random.between(0.9, 1.3), 0.02],
        [-0.3, girth, girth, 0.0],
        [-1.0, girth * if jet { 0.6 } else { 0.15 }, girth * if jet { 0.5 } else { 0.2 }, girth * 0.5],
    ];
    let mut parts = vec![hull(&stations, 18)];
    let long = [1.0, 0.95, 0.95, 0.55, 1.5][form as usize] * random.between(0.8, 1.15);
    let root = [0.4, 0.42, 0.4, 1.0, 0.22][form as usize] * random.between(0.8, 1.1);
    let taper = [0.3, 0.8, 0.95, 0.15, 0.5][form as usize] * random.between(0.8, 1.05);
    let sweep = [0.6, 0.05, 0.0, 0.75, 0.05][form as usize] * random.between(0.6, 1.1);
    let height = if random.chance(0.3) { girth * 0.9 } else { -girth * 0.5 };
    let at = random.between(0.25, 0.4) + if jet { 0.15 } else { 0.0 };
    let lift = random.between(-0.02, 0.15);
    let wing = |z: f64| {
        foil(
            [[at, 0.0, z], [at - root, 0.0, z]],
            [[at - sweep, long, z + lift], [at - sweep - root * taper, long, z + lift]],
            0.05,
        )
    };
    parts.push(both(wing(height), 1));
    if form == Plane::Biplane {
        let gap = random.between(0.28, 0.42);
        parts.push(both(wing(height + gap), 1));
        for y in [0.25, 0.75] {
            for x in [0.04, 0.8 * root] {
                parts.push(both(
                    rod([at - x, y * long, height], [at - x, y * long, height + gap + 0.02], 0.012, 0.012, 6),
                    1,
                ));
            }
        }
    }
    let (fin, back) = (random.between(0.22, 0.42), random.between(0.1, 0.3));
    let high_tail = random.chance(0.25);
    let tail = if jet && random.coin() { 0.12 } else { 0.0 };
    let upright = foil(
        [[-0.68, tail, girth * 0.5], [-0.98, tail, girth * 0.5]],
        [[-0.85 - back * 0.5, tail * 1.6, girth + fin], [-1.0 - back * 0.5, tail * 1.6, girth + fin]],
        0.03,
    );
    parts.push(if tail > 0.0 { both(upright, 1) } else { upright });
    let z = if high_tail { girth + fin * 0.95 } else { girth * 0.5 };
    let span = long * random.between(0.3, 0.45);
    parts.push(both(
        foil([[-0.72, 0.0, z], [-0.98, 0.0, z]], [[-0.85 - back * 0.4, span, z], [-1.0 - back * 0.4, span, z]], 0.025),
        1,
    ));
    match form {
        Plane::Airliner => {
            let (engine, deep) = (random.between(0.04, 0.07), random.between(0.04, 0.09));
            let pods = if random.coin() { 1 } else { 2 };
            let pod =
                placed(solid(&[[engine * 0.6, -0.13], [engine, 0.0], [engine, 0.13]], 16), [0.0; 3], [1.0, 0.0, 0.0]);
            let rear = random.chance(0.25);
            for i in 1..=pods {
                let y = if rear { girth + engine * 1.3 } else { long * 0.32 * i as f64 };
                let x = if rear { -0.55 - 0.02 * i as f64 } else { at - sweep * y / long + 0.02 };
                let z = if rear { girth * 0.6 } else { height - deep };
                parts.push(both(moved(pod.clone(), [x, y, z]), 1));
            }
        }
        Plane::Propeller | Plane::Biplane => {
            let blades = random.count(2, 4);
            let blade = stretched(ball(1.0, 10), [0.015, random.between(0.13, 0.2), 0.03]);
            let blade = moved(blade, [0.0, 0.17, 0.0]);
            let fan = placed(radial(&placed(blade, [0.0; 3], [1.0, 0.0, 0.2]), blades), [0.0; 3], [1.0, 0.0, 0.0]);
            if random.chance(0.3) {
                let pod = hull(&[[0.25, 0.01, 0.01, 0.0], [0.15, 0.06, 0.06, 0.0], [-0.3, 0.02, 0.02, 0.0]], 12);
                parts.push(both(moved(merge([pod, moved(fan, [0.24, 0.0, 0.0])]), [at, long * 0.35, height]), 1));
            } else {
                parts.push(moved(fan, [1.01, 0.0, 0.0]));
            }
        }
        Plane::Jet => {
            parts.push(hull(
                &[[0.62, 0.01, 0.01, girth * 0.9], [0.45, 0.05, 0.06, girth * 1.1], [0.1, 0.03, 0.03, girth]],
                12,
            ));
            let intake = extrude(&rectangle(0.5, 0.1, 0.02), &[], -girth * 0.8, girth * 0.7);
            parts.push(both(moved(intake, [0.05, girth * 1.2, 0.0]), 1));
        }
        Plane::Glider => {}
    }
    if form != Plane::Airliner && random.coin() {
        let drop = random.between(0.12, 0.25) + girth;
        let leg = rod([0.35, 0.05, 0.0], [0.38, 0.16, -drop], 0.012, 0.012, 6);
        parts.push(both(merge([leg, wheel([0.38, 0.17, -drop], 0.06, 0.03)]), 1));
    }
    merge(parts)
}

fn helicopter(random: &mut Random) -> Mesh {
    let (girth, boom) = (random.between(0.18, 0.28), random.between(0.8, 1.2));
    let cabin = [
        [0.5, 0.02, 0.02, -0.05],
        [0.4, girth * 0.7, girth * 0.7, -0.03],
        [0.0, girth, girth, 0.0],
        [-0.4, girth * 0.5, girth * 0.5, 0.08],
        [-boom, 0.04, 0.05, 0.12],
        [-boom - 0.1, 0.02, 0.03, 0.13],
    ];
    let mast = girth + random.between(0.08, 0.16);
    let blade = moved(cuboid([random.between(0.9, 1.3), 0.07, 0.012], [0.0; 3]), [0.6, 0.0, 0.0]);
    let turn = random.between(0.0, TAU);
    let rotor = turned(radial(&blade, random.count(2, 5)), 2, turn);
    let small = placed(
        radial(&moved(cuboid([0.2, 0.04, 0.01], [0.0; 3]), [0.1, 0.0, 0.0]), random.count(2, 4)),
        [-boom - 0.05, 0.06, 0.15],
        [0.0, 1.0, 0.0],
    );
    let fin = foil(
        [[-boom + 0.1, 0.0, 0.1], [-boom - 0.12, 0.0, 0.1]],
        [[-boom - 0.05, 0.0, 0.42], [-boom - 0.2, 0.0, 0.42]],
        0.03,
    );
    let low = -girth - random.between(0.08, 0.18);
    let gear = if random.chance(0.7) {
        let skid =
            limb(&curve(&[[0.5, girth, low + 0.08], [0.35, girth, low], [-0.45, girth, low]], 4), &[0.018; 9], 7);
        let strut = |x: f64| rod([x, girth * 0.5, -girth * 0.6], [x, girth, low], 0.015, 0.015, 6);
        merge([skid, strut(0.2), strut(-0.25)])
    } else {
        merge([
            wheel([0.1, girth, low], 0.08, 0.05),
            rod([0.1, girth * 0.4, -girth * 0.5], [0.1, girth, low], 0.02, 0.02, 6),
        ])
    };
    merge([
        hull(&cabin, 18),
        moved(rotor, [0.0, 0.0, mast]),
        tube(0.03, 0.0, 0.0, mast + 0.03, 10),
        small,
        fin,
        both(gear, 1),
    ])
}

fn rocket(random: &mut Random) -> Mesh {
    let radius = random.between(0.07, 0.22);
    let cone = random.between(0.2, 0.7);
    let upper = radius * random.between(0.6, 1.0);
    let profile = [
        [radius * 0.9, 0.0],
        [radius, 0.03],
        [radius, 1.0],
        [upper, 1.1],
        [upper, 1.5],
        [upper * 0.7, 1.5 + cone * 0.5],
        [0.0, 1.5 + cone],
    ];
    let mut parts = vec![solid(&profile, 28)];
    let (reach, root) = (random.between(0.1, 0.4), random.between(0.2, 0.6));
    let back = random.between(-0.15, 0.2);
    let fin = extrude(
        &[[radius * 0.9, 0.05], [radius + reach, -back], [radius + reach, 0.15 - back], [radius * 0.9, root]],
        &[],
        -0.012,
        0.012,
    );
    parts.push(radial(&turned(fin, 0, FRAC_PI_2), random.count(3, 4)));
    if random.chance(0.5) {
        let small = radius * random.between(0.4, 0.8);
        let booster = solid(&[[small, -0.05], [small, 0.7], [0.0, 0.75 + 2.0 * small]], 18);
        parts.push(radial(&moved(booster, [radius + small, 0.0, 0.0]), random.count(2, 4)));
    }
    let bell = random.between(0.4, 0.9) * radius;
    parts.push(solid(&[[bell, -0.15], [bell * 0.4, 0.02]], 18));
    merge(parts)
}

fn satellite(random: &mut Random) -> Mesh {
    let size = random.between(0.15, 0.35);
    let mut parts = vec![if random.coin() {
        cuboid([size, size, size * random.between(1.0, 2.0)], [0.0; 3])
    } else {
        tube(size * 0.6, 0.0, -size, size, random.count(6, 20))
    }];
    let (panels, wide) = (random.count(1, 4), random.between(0.25, 0.45));
    let mut one = vec![rod([0.0, 0.0, 0.0], [0.0, size + 0.1 + wide * panels as f64, 0.0], 0.012, 0.012, 6)];
    one.extend((0..panels).map(|i| {
        cuboid([random.between(0.3, 0.5), wide * 0.94, 0.015], [0.0, size + 0.1 + wide * (i as f64 + 0.5), 0.0])
    }));
    parts.push(both(merge(one), 1));
    let dish = random.between(0.15, 0.4);
    let bowl = sheet(6, 24, |u, v| {
        let [x, y] = polar(dish * u, TAU * v);
        [x, y, 0.5 * dish * u * u]
    });
    parts.push(moved(merge([bowl, rod([0.0; 3], [0.0, 0.0, dish * 0.7], 0.01, 0.01, 6)]), [0.0, 0.0, size]));
    merge(parts)
}

fn balloon(random: &mut Random) -> Mesh {
    let (wide, neck) = (random.between(0.5, 0.8), random.between(0.1, 0.25));
    let gores = random.count(12, 30);
    let envelope =
        solid(&curve(&[[neck, 0.0], [wide * 0.75, 0.45], [wide, 0.95], [wide * 0.65, 1.35], [0.02, 1.5]], 5), gores);
    let drop = random.between(0.2, 0.4);
    let basket = random.between(0.1, 0.2);
    let cord = rod([basket * 0.7, basket * 0.7, -drop], [neck * 0.7, neck * 0.7, 0.02], 0.008, 0.008, 5);
    merge([
        envelope,
        moved(extrude(&rectangle(2.0 * basket, 2.0 * basket, 0.03), &[], -0.2, 0.0), [0.0, 0.0, -drop]),
        radial(&cord, 4),
    ])
}
