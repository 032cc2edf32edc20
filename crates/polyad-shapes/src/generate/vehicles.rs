//! What moves people and goods: on wheels, on water, in the air. The front is at +x, Z is up.

use super::Kind;
use super::form::{Ends, bar, both, carry, curve, limb, loft, placed, radial, rod, sheet, slab, stretched, torus};
use super::turned::solid;
use super::vector::{Point, add, between};
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
    ("car", |random| car(random, Car::Sedan)),
    ("van-or-bus", |random| car(random, Car::Bus)),
    ("pickup-or-truck", |random| car(random, Car::Truck)),
    ("racing-car", |random| car(random, Car::Racing)),
    ("tank", tank),
    ("locomotive", locomotive),
    ("bicycle", |random| bicycle(random, false)),
    ("motorcycle", |random| bicycle(random, true)),
    ("cart", cart),
    ("motor-ship", |random| ship(random, 0)),
    ("sailing-ship", |random| ship(random, 1)),
    ("rowing-boat", |random| ship(random, 2)),
    ("submarine", submarine),
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

/// A disc that rolls along x.
fn wheel(at: Point, radius: f64, wide: f64) -> Mesh {
    let profile = [
        [radius * 0.55, -wide * 0.3],
        [radius * 0.6, -wide / 2.0],
        [radius * 0.93, -wide / 2.0],
        [radius, -wide * 0.3],
    ];
    let mirror = profile.iter().rev().map(|[r, z]| [*r, -z]);
    placed(solid(&profile.iter().copied().chain(mirror).collect::<Vec<_>>(), 22), at, [0.0, 1.0, 0.0])
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

#[derive(Clone, Copy, PartialEq)]
enum Car {
    Sedan,
    Bus,
    Truck,
    Racing,
}

fn car(random: &mut Random, form: Car) -> Mesh {
    let wheels = random.between(0.11, 0.17) * if form == Car::Racing { 1.1 } else { 1.0 };
    let half = random.between(0.3, 0.4);
    let low = wheels * random.between(0.5, 1.0);
    let hood = low + random.between(0.18, 0.28);
    let roof = hood + random.between(0.16, 0.3);
    let (front, rear) = (random.between(0.2, 0.5), random.between(-0.85, -0.35));
    let rake = random.between(0.1, 0.3);
    // The outline is seen from the side, from the lower front corner round over the roof.
    let outline: Vec<[f64; 2]> = match form {
        Car::Sedan => vec![
            [0.98, low],
            [1.0, hood * 0.85],
            [front + rake, hood],
            [front - 0.02, roof],
            [rear + rake * 0.8, roof * 0.98],
            [rear, hood * 1.03],
            [-0.98, hood],
            [-1.0, low],
        ],
        Car::Bus => {
            let top = low + random.between(0.5, 0.85);
            vec![[1.0, low], [1.0, top * 0.6], [1.0 - rake * 0.5, top], [-0.98, top], [-1.0, low]]
        }
        Car::Truck => {
            let bed = low + random.between(0.1, 0.2);
            vec![
                [1.0, low],
                [1.0, hood],
                [0.62, hood * 1.05],
                [0.5, roof],
                [0.12, roof],
                [0.1, bed],
                [-1.0, bed],
                [-1.0, low],
            ]
        }
        Car::Racing => vec![
            [1.15, low],
            [1.15, low + 0.06],
            [0.3, low + 0.2],
            [0.0, low + 0.26],
            [-0.3, low + 0.36],
            [-0.95, low + 0.18],
            [-1.0, low],
        ],
    };
    let wide = if form == Car::Racing { half * 0.45 } else { half };
    let mut body = turned(extrude(&outline, &[], -wide, wide), 0, FRAC_PI_2);
    let narrow = random.between(0.0, 0.3);
    body = super::form::warped(body, |[x, y, z]| [x, y * (1.0 - narrow * ((z - hood) / 0.4).clamp(0.0, 1.0)), z]);
    let mut parts = vec![body];
    let axles: &[f64] = if form == Car::Truck && random.coin() { &[0.66, -0.4, -0.72] } else { &[0.62, -0.62] };
    let y = if form == Car::Racing { half } else { half * 0.92 };
    for x in axles {
        parts.push(both(wheel([*x, y, wheels], wheels, wheels * random.between(0.5, 0.9)), 1));
        parts.push(rod([*x, -y, wheels], [*x, y, wheels], 0.02, 0.02, 6));
    }
    match form {
        Car::Racing => {
            parts.push(cuboid([0.2, half * 1.8, 0.02], [1.1, 0.0, low + 0.02]));
            parts.push(cuboid([0.2, half * 1.6, 0.02], [-0.98, 0.0, low + 0.48]));
            parts.push(both(cuboid([0.25, 0.02, 0.3], [-0.98, half * 0.8, low + 0.35]), 1));
        }
        Car::Truck => {
            let tall = random.between(0.15, 0.7);
            parts.push(match random.count(0, 2) {
                0 => cuboid([1.08, 2.0 * half, tall], [-0.46, 0.0, low + 0.15 + tall / 2.0]),
                1 => moved(
                    placed(tube(half * 0.85, 0.0, -0.52, 0.52, 22), [0.0; 3], [1.0, 0.0, 0.0]),
                    [-0.46, 0.0, low + 0.2 + half * 0.7],
                ),
                _ => both(cuboid([1.08, 0.03, tall * 0.5], [-0.46, half, low + 0.15 + tall * 0.25]), 1),
            });
        }
        Car::Sedan | Car::Bus => {
            parts.push(both(moved(stretched(ball(1.0, 10), [0.02, 0.05, 0.05]), [0.99, half * 0.7, low + 0.12]), 1));
            parts.push(both(cuboid([0.05, 0.08, 0.05], [front + 0.05, half + 0.02, hood + 0.06]), 1));
        }
    }
    merge(parts)
}

fn tank(random: &mut Random) -> Mesh {
    let (half, track) = (random.between(0.34, 0.48), random.between(0.12, 0.2));
    let radius = random.between(0.14, 0.2);
    let track_line: Vec<[f64; 2]> = (0..=16)
        .map(|i| {
            let [x, z] = polar(radius, TAU / 2.0 * i as f64 / 16.0 - FRAC_PI_2);
            [0.75 + x, radius + z]
        })
        .chain((0..=16).map(|i| {
            let [x, z] = polar(radius, TAU / 2.0 * i as f64 / 16.0 + FRAC_PI_2);
            [-0.75 + x, radius + z]
        }))
        .collect();
    let side = moved(turned(extrude(&track_line, &[], -track / 2.0, track / 2.0), 0, FRAC_PI_2), [0.0, half, 0.0]);
    let rollers =
        merge((0..6).map(|i| wheel([0.3 * (f64::from(i) - 2.5), half + track * 0.5, radius], radius * 0.75, 0.05)));
    let deck = radius * 2.0 + random.between(0.0, 0.1);
    let body = turned(
        extrude(
            &[[0.95, deck * 0.7], [0.6, deck + 0.05], [-0.9, deck + 0.05], [-0.95, radius], [0.8, radius * 0.6]],
            &[],
            -half,
            half,
        ),
        0,
        FRAC_PI_2,
    );
    let (dome, aim) = (random.between(0.22, 0.36), random.between(-0.5, 0.5));
    let mut turret =
        vec![solid(&[[dome * 1.2, 0.0], [dome, random.between(0.1, 0.2)], [dome * 0.4, 0.22]], random.count(6, 20))];
    turret.push(rod(
        [dome * 0.5, 0.0, 0.1],
        [random.between(0.9, 1.5), 0.0, 0.1 + random.between(0.0, 0.2)],
        0.035,
        0.025,
        12,
    ));
    let turret = moved(turned(merge(turret), 2, aim), [random.between(-0.2, 0.1), 0.0, deck + 0.04]);
    merge([both(merge([side, rollers]), 1), body, turret])
}

fn locomotive(random: &mut Random) -> Mesh {
    let (radius, count) = (random.between(0.1, 0.2), random.count(2, 4));
    let boiler = random.between(0.18, 0.26);
    let z = 2.0 * radius + boiler * 0.8;
    let mut parts = vec![
        cuboid([2.0, 0.5, 0.08], [0.0, 0.0, 2.0 * radius - 0.02]),
        cuboid([random.between(0.4, 0.6), 0.55, 0.65], [-0.65, 0.0, 2.0 * radius + 0.33]),
        cuboid([0.75, 0.65, 0.05], [-0.65, 0.0, 2.0 * radius + 0.68]),
    ];
    if random.chance(0.75) {
        parts.push(placed(tube(boiler, 0.0, -0.45, 1.0, 24), [0.0, 0.0, z], [1.0, 0.0, 0.0]));
        let stack = random.between(0.05, 0.1);
        parts.push(moved(
            solid(&[[stack, 0.0], [stack, 0.25], [stack * random.between(1.0, 2.2), 0.4]], 16),
            [0.8, 0.0, z + boiler * 0.8],
        ));
        parts.push(moved(stretched(ball(0.1, 12), [1.0, 1.0, 1.5]), [0.3, 0.0, z + boiler]));
    } else {
        parts.push(cuboid([1.3, 0.45, 0.4], [0.3, 0.0, 2.0 * radius + 0.22]));
    }
    for i in 0..count {
        let x = -0.5 + 1.2 * i as f64 / (count - 1) as f64;
        parts.push(both(wheel([x, 0.24, radius], radius, 0.06), 1));
    }
    parts.push(both(bar([-0.5, 0.3, radius], [0.7, 0.3, radius], 0.02, 0.04), 1));
    let plough = extrude(&[[0.98, -0.25], [1.2, 0.0], [0.98, 0.25]], &[], 0.04, 2.0 * radius);
    parts.push(plough);
    merge(parts)
}

fn bicycle(random: &mut Random, motor: bool) -> Mesh {
    let (radius, base) = (random.between(0.28, 0.36), random.between(0.48, 0.58));
    let tyre = if motor { random.between(0.05, 0.09) } else { random.between(0.012, 0.03) };
    let frame = if motor { 0.03 } else { random.between(0.012, 0.02) };
    let spokes = if motor { random.count(3, 9) } else { random.count(10, 24) };
    let spoke = rod([0.02, 0.0, 0.0], [radius - tyre, 0.0, 0.0], 0.005 + tyre * 0.12, 0.005 + tyre * 0.12, 4);
    let round = merge([torus(radius - tyre, tyre, 32, 8), radial(&spoke, spokes), tube(0.03, 0.0, -0.04, 0.04, 10)]);
    let round = turned(round, 0, FRAC_PI_2);
    let (front, rear) = ([base, 0.0, radius], [-base, 0.0, radius]);
    let crank = [-0.08, 0.0, radius * 0.85];
    let (seat, head) =
        ([-0.2, 0.0, radius + random.between(0.25, 0.4)], [base * 0.62, 0.0, radius + random.between(0.3, 0.42)]);
    let mut parts = vec![moved(round.clone(), front), moved(round, rear)];
    let mut tube_to = |a: Point, b: Point| parts.push(rod(a, b, frame, frame, 8));
    tube_to(crank, seat);
    tube_to(seat, head);
    tube_to(crank, add(head, [0.03, 0.0, -0.1]));
    for y in [-1.0, 1.0] {
        let off = y * (tyre + 0.015);
        tube_to(add(rear, [0.0, off, 0.0]), add(crank, [0.0, off * 0.5, 0.0]));
        tube_to(add(rear, [0.0, off, 0.0]), add(seat, [0.0, 0.0, -0.03]));
        tube_to(add(front, [0.0, off, 0.0]), add(head, [0.02, off, -0.12]));
    }
    let stem = add(head, [-0.05, 0.0, random.between(0.08, 0.2)]);
    tube_to(add(head, [0.02, 0.0, -0.12]), stem);
    let (reach, back) = (random.between(0.18, 0.28), random.between(-0.1, 0.15));
    let grip = curve(&[stem, add(stem, [0.02, reach * 0.7, 0.03]), add(stem, [-back, reach, 0.02])], 4);
    parts.push(both(limb(&grip, &[frame * 0.9; 9], 7), 1));
    let saddle = slab(6, 4, [0.0, 0.0, -0.04], |u, v| [0.12 - 0.26 * u, (v - 0.5) * (0.04 + 0.14 * u * u), 0.02 * u]);
    parts.push(moved(stretched(saddle, if motor { [2.0, 1.3, 2.0] } else { [1.0; 3] }), add(seat, [0.0, 0.0, 0.06])));
    if motor {
        parts.push(moved(stretched(ball(1.0, 16), [0.22, 0.1, 0.1]), [0.1, 0.0, seat[2] + 0.04]));
        parts.push(cuboid([0.3, 0.18, 0.24], [0.02, 0.0, radius * 0.95]));
        parts.push(rod([0.0, 0.12, radius * 0.7], [-base * 1.1, 0.14, radius * 0.9], 0.03, 0.045, 10));
        parts.push(moved(ball(0.08, 12), add(head, [0.1, 0.0, 0.02])));
    } else {
        parts.push(placed(tube(0.08, 0.05, -0.01, 0.01, 20), add(crank, [0.0, 0.03, 0.0]), [0.0, 1.0, 0.0]));
        let turn = random.between(0.0, TAU);
        for s in [-1.0, 1.0] {
            let [x, z] = polar(0.15 * s, turn);
            let pedal = add(crank, [x, 0.07 * s, z]);
            parts.push(rod(add(crank, [0.0, 0.05 * s, 0.0]), pedal, 0.012, 0.012, 6));
            parts.push(cuboid([0.08, 0.08, 0.02], add(pedal, [0.0, 0.04 * s, 0.0])));
        }
    }
    merge(parts)
}

fn cart(random: &mut Random) -> Mesh {
    let (half, deep) = (random.between(0.25, 0.45), random.between(0.12, 0.4));
    let radius = random.between(0.12, 0.4);
    let axles = if random.coin() { vec![0.0] } else { vec![-0.5, 0.5] };
    let floor = radius * random.between(0.9, 1.5);
    let flare = random.between(0.0, 0.25);
    let ring = |z: f64, grow: f64| {
        rectangle(1.6 * (1.0 + grow), 2.0 * half * (1.0 + grow), 0.0)
            .into_iter()
            .map(|p| [p[0], p[1], z])
            .collect::<Vec<Point>>()
    };
    let body = loft(
        &[ring(floor + 0.03, -0.06), ring(floor + deep, flare - 0.04), ring(floor + deep, flare), ring(floor, 0.0)],
        Ends::Capped,
    );
    let mut parts = vec![super::form::flipped(body), cuboid([1.55, 2.0 * half * 0.97, 0.04], [0.0, 0.0, floor + 0.02])];
    let spoke = bar([0.0; 3], [radius * 0.95, 0.0, 0.0], 0.03, 0.03);
    let spoked = merge([
        tube(radius, radius * 0.85, -0.03, 0.03, 28),
        radial(&spoke, random.count(5, 12)),
        tube(0.05, 0.0, -0.06, 0.06, 12),
    ]);
    for x in axles {
        parts.push(both(placed(spoked.clone(), [x, half + 0.06, radius], [0.0, 1.0, 0.0]), 1));
        parts.push(rod([x, -half - 0.06, radius], [x, half + 0.06, radius], 0.02, 0.02, 8));
    }
    let long = random.between(0.4, 0.9);
    parts.push(both(
        bar([0.75, half * 0.8, floor], [0.8 + long, half * 0.5, floor + random.between(-0.2, 0.3)], 0.04, 0.04),
        1,
    ));
    merge(parts)
}

/// A hull with 0 decks and funnels, 1 masts and sails, 2 thwarts and oars.
fn ship(random: &mut Random, form: usize) -> Mesh {
    let (half, deep) = (random.between(0.13, 0.3), random.between(0.12, 0.3));
    let (sheer, blunt) = (random.between(0.0, 0.15), random.between(0.3, 0.9));
    let open = form == 2;
    let ring = |i: usize| -> Vec<Point> {
        let t = i as f64 / 12.0;
        let x = 1.0 - 2.0 * t;
        let wide =
            half * (1.0 - libm::pow((2.0 * t - 1.0).abs(), if t < 0.5 { 2.2 } else { 2.0 + 6.0 * blunt })).max(0.02);
        let rim = sheer * (2.0 * t - 1.0) * (2.0 * t - 1.0) * if t < 0.5 { 1.5 } else { 1.0 };
        let keel = deep * if t < 0.5 { 1.0 - libm::pow(1.0 - 2.0 * t, 4.0) * 0.6 } else { 1.0 };
        let outer = [[1.0, 0.0], [0.92, -0.45], [0.6, -0.85], [0.0, -1.0], [-0.6, -0.85], [-0.92, -0.45], [-1.0, 0.0]];
        let mut points: Vec<Point> = outer.iter().map(|[y, z]| [x, y * wide, rim + z * keel]).collect();
        let inner = if open { 0.75 } else { 0.1 };
        points.extend(outer.iter().rev().map(|[y, z]| [x, y * wide * 0.88, rim + z * keel * inner]));
        points.reverse();
        points
    };
    let mut parts = vec![loft(&(0..=12).map(ring).collect::<Vec<_>>(), Ends::Capped)];
    match form {
        0 => {
            let (mut z, mut long) = (-0.05, random.between(0.4, 1.3));
            let at = random.between(-0.35, 0.1);
            for _ in 0..random.count(2, 4) {
                let tall = random.between(0.07, 0.14);
                parts.push(cuboid([long, half * 1.4 * (0.6 + 0.3 * long).min(1.0), tall], [at, 0.0, z + tall / 2.0]));
                z += tall;
                long *= random.between(0.6, 0.9);
            }
            let funnel = random.between(0.04, 0.08);
            for i in 0..random.count(1, 3) {
                parts.push(rod(
                    [at - 0.16 * i as f64, 0.0, z - 0.1],
                    [at - 0.05 - 0.16 * i as f64, 0.0, z + 0.2],
                    funnel,
                    funnel,
                    14,
                ));
            }
            parts.push(rod([0.6, 0.0, -0.05], [0.6, 0.0, random.between(0.3, 0.6)], 0.012, 0.008, 6));
            if random.chance(0.3) {
                parts.extend((0..3).map(|i| cuboid([0.15, half, 0.14], [0.75 - 0.2 * f64::from(i), 0.0, 0.05])));
            }
        }
        1 => {
            let masts = random.count(1, 3);
            let square = masts > 1 && random.chance(0.6);
            for i in 0..masts {
                let x = if masts == 1 { 0.15 } else { 0.55 - 1.1 * i as f64 / (masts - 1) as f64 };
                let tall = random.between(0.9, 1.6) * if masts == 1 { 1.3 } else { 1.0 };
                parts.push(rod([x, 0.0, -deep * 0.5], [x, 0.0, tall], 0.02, 0.01, 8));
                let belly = random.between(0.05, 0.2);
                if square {
                    for (low, high) in [(0.15, 0.45), (0.48, 0.72), (0.75, 0.93)] {
                        let wide = random.between(0.25, 0.33) * (1.3 - 0.5 * high);
                        parts.push(sheet(6, 6, |u, v| {
                            [
                                x + 0.02 + belly * 4.0 * v * (1.0 - v) * 0.7,
                                (2.0 * u - 1.0) * wide,
                                tall * (low + (high - low) * v),
                            ]
                        }));
                        parts.push(rod([x, -wide, tall * high], [x, wide, tall * high], 0.01, 0.01, 5));
                    }
                } else {
                    let boom = random.between(0.4, 0.8);
                    parts.push(sheet(8, 6, |u, v| {
                        [
                            x - 0.03 - boom * (1.0 - u) * v,
                            belly * libm::sin(3.0 * v) * (1.0 - u),
                            0.12 + (tall - 0.15) * u,
                        ]
                    }));
                    parts.push(rod([x, 0.0, 0.12], [x - boom, 0.0, 0.12], 0.012, 0.012, 6));
                }
            }
            parts.push(rod([0.9, 0.0, 0.02], [1.3, 0.0, 0.15], 0.015, 0.008, 6));
            if random.chance(0.6) {
                parts.push(sheet(6, 4, |u, v| {
                    [0.65 + (1.2 - 0.65) * v * (1.0 - u), 0.06 * libm::sin(3.0 * v) * (1.0 - u), 0.1 + 0.8 * u]
                }));
            }
        }
        _ => {
            parts.extend(
                (0..random.count(2, 4)).map(|i| cuboid([0.12, half * 1.7, 0.03], [0.5 - 0.4 * i as f64, 0.0, -0.06])),
            );
            if random.chance(0.6) {
                let z = random.between(-0.2, 0.3);
                let oar = merge([
                    rod([0.1, half * 0.5, 0.08], [-0.1, half + 0.6, z], 0.012, 0.012, 6),
                    cuboid([0.1, 0.25, 0.015], [-0.12, half + 0.65, z]),
                ]);
                parts.push(both(oar, 1));
            }
        }
    }
    merge(parts)
}

fn submarine(random: &mut Random) -> Mesh {
    let girth = random.between(0.1, 0.2);
    let path = [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]];
    let fine: Vec<Point> = (0..=20).map(|i| between(path[0], path[1], i as f64 / 20.0)).collect();
    let body = carry(&fine, &circle(1.0, 22), Ends::Capped, |t| {
        let r =
            girth * (1.0 - libm::pow((2.0 * t - 1.0).abs(), if t < 0.5 { 2.5 } else { 6.0 })).max(0.0).sqrt().max(0.05);
        ([r, r], 0.0)
    });
    let (x, tall) = (random.between(0.0, 0.4), random.between(0.12, 0.25));
    let sail = moved(extrude(&rectangle(random.between(0.25, 0.4), 0.09, 0.04), &[], 0.0, girth + tall), [x, 0.0, 0.0]);
    let scope = rod([x, 0.0, girth], [x, 0.0, girth + tall + 0.15], 0.012, 0.012, 6);
    let plane = cuboid([0.12, 0.3, 0.02], [x, 0.0, girth + tall * 0.6]);
    let tail = radial(&cuboid([0.32, 0.02, 0.14], [0.16, 0.0, 0.0]), 4);
    let screw = radial(&moved(stretched(ball(1.0, 8), [0.05, 0.09, 0.015]), [0.0, 0.1, 0.0]), random.count(3, 6));
    merge([
        body,
        sail,
        scope,
        plane,
        placed(tail, [-0.82, 0.0, 0.0], [1.0, 0.0, 0.0]),
        placed(screw, [-1.03, 0.0, 0.0], [1.0, 0.0, 0.0]),
    ])
}
