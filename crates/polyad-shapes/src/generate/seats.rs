//! What people sit on: seats, backs and arms on legs. Z is up; lengths in metres, roughly.

use super::Kind;
use super::form::{bar, both, limb, placed, radial, rod, slab, stretched, torus, warped};
use super::turned::{line, segments, solid};
use super::vector::Point;
use crate::build::solid::{cuboid, extrude, merge, moved, polar, rectangle, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("chair", |random| chair(random, false)),
    ("chair-with-arms", |random| chair(random, true)),
    ("office-chair", office_chair),
    ("stool", stool),
    ("sofa", sofa),
    ("rocking-chair", rocking_chair),
    ("bench", bench),
    ("folding-chair", folding_chair),
];

/// A leg from the floor up to `high`, square, round, turned on a lathe, or leaning outwards.
pub(super) struct Legs {
    form: usize,
    thick: f64,
    lean: f64,
    turned: Mesh,
}

impl Legs {
    pub(super) fn new(random: &mut Random, thick: f64) -> Self {
        let points = [
            [0.5, 0.0],
            [0.6, 0.15],
            [random.between(0.5, 1.2), 0.35],
            [random.between(0.4, 0.8), 0.5],
            [random.between(0.6, 1.3), 0.75],
            [0.9, 1.0],
        ];
        let turned = solid(&line(random, &points, 0.7), 12);
        let lean = if random.coin() { random.between(0.0, 0.3) } else { 0.0 };
        Legs { form: random.count(0, 3), thick, lean, turned }
    }

    pub(super) fn at(&self, [x, y]: [f64; 2], high: f64) -> Mesh {
        let (top, foot) = ([x, y, high], [x * (1.0 + self.lean), y * (1.0 + self.lean), 0.0]);
        let half = self.thick / 2.0;
        match self.form {
            0 => bar(foot, top, self.thick, self.thick),
            1 => rod(foot, top, half * 0.6, half, 10),
            2 => rod(foot, top, half, half, 12),
            _ => moved(stretched(self.turned.clone(), [half, half, high]), [x, y, 0.0]),
        }
    }
}

pub(super) fn four(x: f64, y: f64) -> [[f64; 2]; 4] {
    [[x, y], [-x, y], [-x, -y], [x, -y]]
}

/// A board lying on `z`, its edges sharp or round.
pub(super) fn board(random: &mut Random, wide: f64, deep: f64, z: f64, thick: f64) -> Mesh {
    let round = if random.coin() { random.between(0.03, 0.45) * wide.min(deep) } else { 0.0 };
    extrude(&rectangle(wide, deep, round), &[], z, z + thick)
}

/// A back that stands on the line y = `at`, leaning by `lean`: a panel, slats, rungs, spindles under a rail, or a frame.
pub(super) fn back(random: &mut Random, wide: f64, low: f64, high: f64, at: f64, lean: f64) -> Mesh {
    let tall = high - low;
    let thick = random.between(0.015, 0.05);
    let mut parts = Vec::new();
    let rail = tall * random.between(0.12, 0.3);
    let across = |z: f64, tall: f64| cuboid([wide, thick, tall], [0.0, 0.0, z]);
    match random.count(0, 5) {
        0 => parts.push(across(tall / 2.0, tall)),
        1 => {
            let gap = tall * random.between(0.2, 0.5);
            parts.push(across((tall + gap) / 2.0, tall - gap));
        }
        2 => {
            let slats = random.count(2, 7);
            let step = wide / slats as f64;
            parts.push(across(tall - rail / 2.0, rail));
            parts.extend((0..slats).map(|i| {
                let x = step * (i as f64 + 0.5) - wide / 2.0;
                cuboid([step * 0.4, thick * 0.7, tall - 0.5 * rail], [x, 0.0, (tall - 0.5 * rail) / 2.0])
            }));
        }
        3 => {
            let rungs = random.count(2, 5);
            let step = tall / rungs as f64;
            parts.extend((0..rungs).map(|i| across(step * (i as f64 + 0.7), step * 0.45)));
        }
        4 => {
            let steps = random.count(5, 9);
            let hoop: Vec<Point> = (0..=24)
                .map(|i| {
                    let [x, z] = polar(1.0, TAU / 2.0 * i as f64 / 24.0);
                    [
                        x * wide / 2.0,
                        0.0,
                        tall * (0.3 + 0.7 * z).min(1.0) - if i == 0 || i == 24 { 0.3 * tall } else { 0.0 },
                    ]
                })
                .collect();
            parts.push(limb(&hoop, &[thick * 0.6; 25], 8));
            parts.extend((1..steps).map(|i| {
                let x = wide * (i as f64 / steps as f64 - 0.5);
                let u = 2.0 * x / wide;
                rod([x, 0.0, 0.0], [x, 0.0, tall * (0.3 + 0.7 * (1.0 - u * u).sqrt())], thick * 0.3, thick * 0.3, 6)
            }));
        }
        _ => {
            let bow = random.between(0.0, 0.25) * wide;
            let (n, m) = (10, 8);
            parts.push(slab(n, m, [0.0, -thick, 0.0], |u, v| {
                let x = u - 0.5;
                [x * wide, 4.0 * bow * x * x, v * tall * (1.0 - 0.5 * x * x)]
            }));
        }
    }
    let standing = warped(merge(parts), |[x, y, z]| [x, y - lean * z, z]);
    moved(standing, [0.0, at, low])
}

fn arms(random: &mut Random, x: f64, y: f64, seat: f64) -> Mesh {
    let rise = random.between(0.15, 0.3);
    let thick = random.between(0.03, 0.07);
    let front = y * random.between(0.3, 1.0);
    let mut parts =
        vec![bar([x, -y, seat + rise], [x, front + 0.03, seat + rise], thick * random.between(1.0, 2.0), thick)];
    match random.count(0, 2) {
        0 => parts.push(bar([x, front, seat], [x, front, seat + rise], thick, thick)),
        1 => parts.push(cuboid([thick, y + front, rise], [x, (front - y) / 2.0, seat + rise / 2.0])),
        _ => parts.push(rod([x, front * 0.6, seat], [x, front, seat + rise], thick * 0.4, thick * 0.4, 8)),
    }
    both(merge(parts), 0)
}

fn chair(random: &mut Random, with_arms: bool) -> Mesh {
    let (wide, deep) = (random.between(0.36, 0.58), random.between(0.36, 0.56));
    let (seat, tall) = (random.between(0.38, 0.6), random.between(0.3, 0.75));
    let thick = random.between(0.02, 0.1);
    let lean = random.between(0.0, 0.3);
    let legs = Legs::new(random, 0.045);
    let inset = 0.03;
    let mut parts = vec![board(random, wide, deep, seat - thick, thick)];
    parts.extend(four(wide / 2.0 - inset, deep / 2.0 - inset).map(|at| legs.at(at, seat - thick / 2.0)));
    parts.push(back(random, wide * 0.95, seat - 0.01, seat + tall, -deep / 2.0 + 0.03, lean));
    if with_arms {
        parts.push(arms(random, wide / 2.0, deep / 2.0 - 0.02, seat));
    }
    if random.chance(0.4) {
        let z = seat * random.between(0.2, 0.5);
        let x = wide / 2.0 - inset;
        let y = deep / 2.0 - inset;
        parts.push(both(bar([x, -y, z], [x, y, z], 0.02, 0.02), 0));
        parts.push(bar([-x, 0.0, z], [x, 0.0, z], 0.02, 0.02));
    }
    merge(parts)
}

/// A column on a foot: a star of arms with casters, or a plate.
pub(super) fn pedestal(random: &mut Random, high: f64, reach: f64) -> Mesh {
    let column = random.between(0.02, 0.05);
    let mut parts = vec![tube(column, 0.0, 0.03, high, 14)];
    if random.chance(0.65) {
        let arms = random.count(3, 6);
        let caster = random.between(0.0, 0.04);
        let rise = random.between(0.04, 0.14);
        let arm = bar([0.0, 0.0, caster + rise], [reach, 0.0, caster + 0.03], 0.05, 0.03);
        parts.push(radial(&arm, arms));
        if caster > 0.015 {
            let wheel = placed(tube(caster + 0.01, 0.0, -0.015, 0.015, 14), [reach, 0.0, caster], [0.0, 1.0, 0.0]);
            parts.push(radial(&wheel, arms));
        }
    } else {
        parts.push(solid(&[[reach, 0.0], [reach, 0.02], [column * 1.5, random.between(0.04, 0.1)]], 28));
    }
    merge(parts)
}

fn office_chair(random: &mut Random) -> Mesh {
    let (wide, deep) = (random.between(0.42, 0.56), random.between(0.4, 0.54));
    let seat = random.between(0.4, 0.6);
    let thick = random.between(0.05, 0.12);
    let (tall, lean) = (random.between(0.35, 0.8), random.between(0.05, 0.3));
    let reach = random.between(0.25, 0.36);
    let mut parts = vec![pedestal(random, seat, reach), board(random, wide, deep, seat - 0.01, thick)];
    let at = -deep / 2.0;
    let above = seat + thick + random.between(0.0, 0.15);
    parts.push(bar([0.0, at * 0.7, seat], [0.0, at - 0.03, above + 0.1], 0.06, 0.03));
    let pad = random.between(0.03, 0.1);
    let bow = random.between(0.0, 0.3) * wide;
    let rest = slab(8, 8, [0.0, -pad, 0.0], |u, v| {
        let x = u - 0.5;
        [x * wide * (1.0 - 0.25 * v), 4.0 * bow * x * x, v * tall]
    });
    parts.push(moved(warped(rest, |[x, y, z]| [x, y - lean * z, z]), [0.0, at, above]));
    if random.chance(0.7) {
        parts.push(arms(random, wide / 2.0 + 0.02, deep / 2.0 - 0.08, seat + thick / 2.0));
    }
    merge(parts)
}

fn stool(random: &mut Random) -> Mesh {
    let high = random.between(0.35, 0.85);
    let radius = random.between(0.14, 0.24);
    let thick = random.between(0.02, 0.1);
    let mut parts = vec![if random.chance(0.7) {
        moved(tube(radius, 0.0, -thick, 0.0, segments(random)), [0.0, 0.0, high])
    } else {
        board(random, 2.0 * radius, 2.0 * radius, high - thick, thick)
    }];
    if random.chance(0.25) {
        parts.push(pedestal(random, high - thick / 2.0, radius * 1.2));
    } else {
        let mut legs = Legs::new(random, 0.04);
        legs.lean += 0.2;
        let count = random.count(3, 4);
        parts.extend(
            (0..count)
                .map(|i| legs.at(polar(radius * 0.75, TAU * (i as f64 + 0.5) / count as f64), high - thick / 2.0)),
        );
        if random.chance(0.6) {
            parts.push(moved(torus(radius * 0.87, 0.012, 24, 6), [0.0, 0.0, high * random.between(0.25, 0.5)]));
        }
    }
    merge(parts)
}

fn sofa(random: &mut Random) -> Mesh {
    let places = random.count(1, 3);
    let (place, deep) = (random.between(0.5, 0.7), random.between(0.6, 0.9));
    let wide = place * places as f64;
    let (seat, arm) = (random.between(0.28, 0.42), random.between(0.08, 0.25));
    let tall = random.between(0.3, 0.6);
    let foot = random.between(0.0, 0.15);
    let rest = deep * random.between(0.18, 0.3);
    let mut parts = vec![
        cuboid([wide, deep, seat - foot - 0.1], [0.0, 0.0, (seat - 0.1 + foot) / 2.0]),
        cuboid([wide + 2.0 * arm, rest, seat + tall - foot], [0.0, -deep / 2.0, (seat + tall + foot) / 2.0]),
    ];
    let soft = |size: Point, at: Point| {
        moved(extrude(&rectangle(size[0], size[1], 0.2 * size[1]), &[], -size[2] / 2.0, size[2] / 2.0), at)
    };
    for i in 0..places {
        let x = place * (i as f64 + 0.5) - wide / 2.0;
        parts.push(soft([place * 0.97, deep * 0.9, 0.14], [x, 0.04, seat - 0.05]));
        let pillow = soft([place * 0.95, tall * 0.9, 0.16], [0.0; 3]);
        let upright = turned(pillow, 0, random.between(1.25, 1.57));
        parts.push(moved(upright, [x, -deep / 2.0 + rest / 2.0 + 0.06, seat + tall * 0.45]));
    }
    let side = seat + random.between(0.1, 0.28);
    let mut end = vec![cuboid([arm, deep + 0.02, side - foot], [wide / 2.0 + arm / 2.0, 0.0, (side + foot) / 2.0])];
    if random.coin() {
        let roll = tube(arm * 0.6, 0.0, -deep / 2.0 - 0.02, deep / 2.0 + 0.02, 18);
        end.push(moved(turned(roll, 0, FRAC_PI_2), [wide / 2.0 + arm / 2.0, 0.0, side]));
    }
    if foot > 0.03 {
        let leg = |y: f64| moved(tube(0.03, 0.0, 0.0, foot + 0.05, 10), [wide / 2.0, y * deep * 0.42, 0.0]);
        end.extend([-1.0, 1.0].map(leg));
    }
    parts.push(both(merge(end), 0));
    merge(parts)
}

fn rocking_chair(random: &mut Random) -> Mesh {
    let with_arms = random.chance(0.8);
    let chair = chair(random, with_arms);
    let (x, long) = (random.between(0.18, 0.26), random.between(0.45, 0.6));
    let bow = random.between(0.06, 0.16);
    let path: Vec<Point> = (0..=16)
        .map(|i| {
            let t = i as f64 / 8.0 - 1.0;
            [x, t * long, bow * (t * t - 0.35)]
        })
        .collect();
    let runner = limb(&path, &[0.022; 17], 6);
    merge([chair, both(runner, 0)])
}

fn bench(random: &mut Random) -> Mesh {
    let (wide, deep) = (random.between(1.1, 2.2), random.between(0.35, 0.55));
    let (seat, planks) = (random.between(0.38, 0.5), random.count(2, 5));
    let step = deep / planks as f64;
    let mut parts: Vec<Mesh> = (0..planks)
        .map(|i| cuboid([wide, step * 0.8, 0.04], [0.0, step * (i as f64 + 0.5) - deep / 2.0, seat]))
        .collect();
    let x = wide * random.between(0.36, 0.46);
    let beam = random.between(0.05, 0.1);
    let mut side = vec![
        bar([x, -deep / 2.0, seat - 0.03], [x, deep / 2.0, seat - 0.03], beam, beam),
        bar([x, deep * 0.4, 0.0], [x, deep * 0.4, seat], beam, beam),
        bar([x, -deep * 0.4, 0.0], [x, -deep * 0.4, seat], beam, beam),
    ];
    if random.chance(0.75) {
        let (tall, lean) = (random.between(0.35, 0.55), random.between(0.05, 0.2));
        side.push(bar([x, -deep * 0.45, seat], [x, -deep * 0.45 - lean, seat + tall], beam * 0.6, beam * 0.6));
        let rungs = random.count(1, 4);
        for i in 0..rungs {
            let t = (i as f64 + 0.7) / rungs as f64;
            parts
                .push(cuboid([wide, 0.03, tall / rungs as f64 * 0.7], [0.0, -deep * 0.42 - lean * t, seat + tall * t]));
        }
        if random.coin() {
            side.push(bar([x, -deep / 2.0, seat + 0.22], [x, deep / 2.0, seat + 0.22], beam, 0.04));
            side.push(bar([x, deep * 0.42, seat], [x, deep * 0.42, seat + 0.22], 0.04, 0.04));
        }
    }
    parts.push(both(merge(side), 0));
    merge(parts)
}

fn folding_chair(random: &mut Random) -> Mesh {
    let (wide, high) = (random.between(0.4, 0.5), random.between(0.75, 1.0));
    let (seat, wire) = (high * random.between(0.45, 0.55), random.between(0.01, 0.02));
    let spread = random.between(0.15, 0.3);
    let x = wide / 2.0;
    let side = merge([
        rod([x, spread, 0.0], [x, -spread * 1.2, high], wire, wire, 8),
        rod([x * 0.9, -spread, 0.0], [x * 0.9, spread, seat], wire, wire, 8),
    ]);
    let cross = |y: f64, z: f64| rod([-x, y, z], [x, y, z], wire, wire, 8);
    let cloth = random.between(0.1, 0.25);
    merge([
        both(side, 0),
        cross(spread, 0.02),
        cross(-spread * 1.2, high),
        cross(-spread, 0.02),
        cuboid([wide * 0.9, 0.36, 0.02], [0.0, spread * 0.2, seat]),
        moved(turned(cuboid([wide, 0.02, cloth], [0.0; 3]), 0, spread / high), [0.0, -spread, high - cloth * 0.7]),
    ])
}
