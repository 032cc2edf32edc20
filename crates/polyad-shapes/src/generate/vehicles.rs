//! What rolls: cars, carts, tracks and two-wheelers. The front is at +x, Z is up.

use super::Kind;
use super::form::{Ends, bar, both, curve, limb, loft, placed, radial, rod, slab, stretched, torus};
use super::turned::solid;
use super::vector::{Point, add};
use crate::build::solid::{ball, cuboid, extrude, merge, moved, polar, rectangle, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("car", |random| car(random, Car::Sedan)),
    ("van-or-bus", |random| car(random, Car::Bus)),
    ("pickup-or-truck", |random| car(random, Car::Truck)),
    ("racing-car", |random| car(random, Car::Racing)),
    ("tank", tank),
    ("locomotive", locomotive),
    ("bicycle", |random| bicycle(random, false)),
    ("motorcycle", |random| bicycle(random, true)),
    ("cart", cart),
];

/// A disc that rolls along x.
pub(super) fn wheel(at: Point, radius: f64, wide: f64) -> Mesh {
    let profile = [
        [radius * 0.55, -wide * 0.3],
        [radius * 0.6, -wide / 2.0],
        [radius * 0.93, -wide / 2.0],
        [radius, -wide * 0.3],
    ];
    let mirror = profile.iter().rev().map(|[r, z]| [*r, -z]);
    placed(solid(&profile.iter().copied().chain(mirror).collect::<Vec<_>>(), 22), at, [0.0, 1.0, 0.0])
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
