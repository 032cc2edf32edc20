//! Furniture: tops, seats, backs and boards on legs. Z is up; lengths in metres, roughly.

use super::Kind;
use super::form::{bar, both, curve, limb, placed, radial, rod, slab, stretched, torus, warped};
use super::turned::{line, segments, solid};
use super::vector::{Point, add};
use crate::build::solid::{ball, cuboid, extrude, merge, moved, polar, rectangle, tube, turned};
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
    ("table", table),
    ("round-table", round_table),
    ("trestle-table", trestle_table),
    ("desk-with-drawers", desk),
    ("bookcase", bookcase),
    ("chest-of-drawers", chest),
    ("bed", bed),
    ("bench", bench),
    ("ladder", ladder),
    ("folding-chair", folding_chair),
    ("crib-or-cage", cage),
    ("coat-stand", coat_stand),
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

fn four(x: f64, y: f64) -> [[f64; 2]; 4] {
    [[x, y], [-x, y], [-x, -y], [x, -y]]
}

/// A board lying on `z`, its edges sharp or round.
pub(super) fn board(random: &mut Random, wide: f64, deep: f64, z: f64, thick: f64) -> Mesh {
    let round = if random.coin() { random.between(0.03, 0.45) * wide.min(deep) } else { 0.0 };
    extrude(&rectangle(wide, deep, round), &[], z, z + thick)
}

/// A back that stands on the line y = `at`, leaning by `lean`: a panel, slats, rungs, spindles under a rail, or a frame.
fn back(random: &mut Random, wide: f64, low: f64, high: f64, at: f64, lean: f64) -> Mesh {
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
fn pedestal(random: &mut Random, high: f64, reach: f64) -> Mesh {
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

fn table(random: &mut Random) -> Mesh {
    let (wide, deep) = (random.between(0.7, 2.2), random.between(0.5, 1.1));
    let (high, thick) = (random.between(0.4, 1.0), random.between(0.02, 0.1));
    let legs = Legs::new(random, 0.04 + 0.04 * high);
    let inset = random.between(0.04, 0.2);
    let mut parts = vec![board(random, wide, deep, high - thick, thick)];
    let (x, y) = (wide / 2.0 - inset, deep / 2.0 - inset.min(0.3 * deep));
    parts.extend(four(x, y).map(|at| legs.at(at, high - thick / 2.0)));
    if random.coin() {
        let drop = random.between(0.05, 0.16);
        let z = high - thick - drop / 2.0;
        parts.push(both(cuboid([0.02, 2.0 * y, drop], [x, 0.0, z]), 0));
        parts.push(both(cuboid([2.0 * x, 0.02, drop], [0.0, y, z]), 1));
    }
    if random.chance(0.25) {
        let low = high * random.between(0.15, 0.4);
        parts.push(board(random, 2.0 * x, 2.0 * y, low, 0.03));
    }
    merge(parts)
}

fn round_table(random: &mut Random) -> Mesh {
    let (radius, high) = (random.between(0.3, 0.8), random.between(0.4, 1.1));
    let thick = random.between(0.02, 0.07);
    let mut parts = vec![moved(tube(radius, 0.0, -thick, 0.0, segments(random)), [0.0, 0.0, high])];
    if random.chance(0.6) {
        let reach = radius * random.between(0.5, 0.8);
        parts.push(pedestal(random, high - thick / 2.0, reach));
    } else {
        let legs = Legs::new(random, 0.06);
        let count = random.count(3, 5);
        let at = |i: usize| polar(radius * 0.7, TAU * i as f64 / count as f64);
        parts.extend((0..count).map(|i| legs.at(at(i), high - thick / 2.0)));
    }
    merge(parts)
}

fn trestle_table(random: &mut Random) -> Mesh {
    let (wide, deep) = (random.between(1.2, 2.2), random.between(0.5, 0.9));
    let (high, thick) = (random.between(0.6, 0.85), random.between(0.03, 0.08));
    let (x, lean) = (wide * random.between(0.3, 0.42), deep * random.between(0.35, 0.6));
    let beam = random.between(0.04, 0.09);
    let cross = random.coin();
    let top = if cross { -lean } else { lean * 0.4 };
    let side = merge([
        bar([x, lean, 0.0], [x, top, high - thick], beam, beam),
        bar([x, -lean, 0.0], [x, -top, high - thick], beam, beam),
    ]);
    let z = high * random.between(0.25, 0.5);
    let mut parts = vec![board(random, wide, deep, high - thick, thick), both(side, 0)];
    parts.push(bar(
        [-x, 0.0, if cross { high / 2.0 } else { z }],
        [x, 0.0, if cross { high / 2.0 } else { z }],
        beam,
        beam,
    ));
    if random.coin() {
        let (y, low) = (deep / 2.0 + random.between(0.15, 0.3), high * 0.6);
        parts.push(both(cuboid([wide, 0.25, 0.04], [0.0, y, low]), 1));
        parts.push(both(cuboid([0.06, 2.0 * y, 0.06], [x, 0.0, low - 0.04]), 0));
    }
    merge(parts)
}

/// Drawers one over another: fronts with knobs or grips, from `low` to `high`, before y = `front`.
fn drawers(random: &mut Random, [left, right]: [f64; 2], [low, high]: [f64; 2], front: f64, count: usize) -> Mesh {
    let step = (high - low) / count as f64;
    let knob = random.coin();
    let open = if random.chance(0.25) { random.count(0, count - 1) } else { count };
    let middle = (left + right) / 2.0;
    let wide = right - left;
    let drawer = |i: usize| {
        let z = low + step * (i as f64 + 0.5);
        let out = if i == open { 0.15 } else { 0.0 };
        let mut parts = vec![cuboid([wide * 0.94, 0.03 + out, step * 0.88], [middle, front + out / 2.0, z])];
        let at = front + out + 0.015;
        if knob {
            parts.push(moved(ball(0.02, 10), [middle, at + 0.015, z]));
        } else {
            parts.push(cuboid([wide * 0.3, 0.03, 0.02], [middle, at + 0.01, z]));
        }
        merge(parts)
    };
    merge((0..count).map(drawer))
}

fn desk(random: &mut Random) -> Mesh {
    let (wide, deep) = (random.between(1.0, 1.7), random.between(0.5, 0.8));
    let (high, thick) = (random.between(0.68, 0.8), random.between(0.02, 0.06));
    let box_wide = wide * random.between(0.2, 0.33);
    let mut parts = vec![cuboid([wide, deep, thick], [0.0, 0.0, high - thick / 2.0])];
    let x = wide / 2.0 - box_wide / 2.0;
    let foot = random.between(0.0, 0.12);
    let count = random.count(2, 4);
    let tall = high - thick - foot;
    let unit = |random: &mut Random| {
        merge([
            cuboid([box_wide, deep * 0.92, tall], [x, 0.0, foot + tall / 2.0]),
            drawers(random, [x - box_wide / 2.0, x + box_wide / 2.0], [foot, foot + tall], deep * 0.46, count),
        ])
    };
    let side = unit(random);
    if random.coin() {
        parts.push(both(side, 0));
    } else {
        parts.push(side);
        let legs = Legs::new(random, 0.05);
        parts.extend([-1.0, 1.0].map(|y| legs.at([-wide / 2.0 + 0.05, y * (deep / 2.0 - 0.05)], high - thick / 2.0)));
    }
    if random.coin() {
        parts.push(cuboid(
            [wide * 0.9, 0.02, tall * random.between(0.3, 0.9)],
            [0.0, -deep * 0.4, high - thick - tall * 0.3],
        ));
    }
    merge(parts)
}

fn bookcase(random: &mut Random) -> Mesh {
    let (wide, high) = (random.between(0.5, 1.4), random.between(0.7, 2.2));
    let (deep, thick) = (random.between(0.2, 0.45), random.between(0.015, 0.045));
    let shelves = random.count(2, 6);
    let step = (high - thick) / shelves as f64;
    let mut parts = vec![both(cuboid([thick, deep, high], [wide / 2.0, 0.0, high / 2.0]), 0)];
    parts.extend((0..=shelves).map(|i| cuboid([wide, deep, thick], [0.0, 0.0, step * i as f64 + thick / 2.0])));
    if random.chance(0.6) {
        parts.push(cuboid([wide, 0.01, high], [0.0, -deep / 2.0, high / 2.0]));
    }
    if random.chance(0.35) {
        parts.push(cuboid([thick, deep, high], [random.between(-0.25, 0.25) * wide, 0.0, high / 2.0]));
    }
    if random.chance(0.5) {
        for shelf in 0..shelves {
            let mut x = -wide / 2.0 + thick;
            while x < wide / 2.0 - 0.1 && random.chance(0.93) {
                let (book, tall) = (random.between(0.02, 0.07), step * random.between(0.45, 0.85));
                parts.push(cuboid(
                    [book * 0.92, deep * 0.7, tall],
                    [x + book / 2.0, 0.0, step * shelf as f64 + thick + tall / 2.0],
                ));
                x += book;
            }
        }
    }
    merge(parts)
}

fn chest(random: &mut Random) -> Mesh {
    let (wide, high) = (random.between(0.4, 1.5), random.between(0.45, 1.3));
    let (deep, foot) = (random.between(0.35, 0.6), random.between(0.03, 0.25));
    let columns = if wide > 0.9 { random.count(1, 3) } else { 1 };
    let rows = random.count(2, 5);
    let mut parts = vec![
        cuboid([wide, deep, high], [0.0, 0.0, foot + high / 2.0]),
        cuboid([wide * 1.05, deep * 1.08, 0.04], [0.0, 0.0, foot + high]),
    ];
    for c in 0..columns {
        let left = wide * (c as f64 / columns as f64 - 0.5);
        let right = left + wide / columns as f64;
        parts.push(drawers(random, [left, right], [foot + 0.02, foot + high - 0.03], deep / 2.0, rows));
    }
    let legs = Legs::new(random, 0.06);
    parts.extend(four(wide / 2.0 - 0.05, deep / 2.0 - 0.05).map(|at| legs.at(at, foot + 0.02)));
    merge(parts)
}

fn bed(random: &mut Random) -> Mesh {
    let (wide, long) = (random.between(0.8, 1.9), random.between(1.7, 2.2));
    let (frame, mattress) = (random.between(0.2, 0.45), random.between(0.12, 0.3));
    let (head, foot) = (random.between(0.3, 0.8), random.between(0.0, 0.4));
    let lean = random.between(0.0, 0.1);
    let mut parts = vec![
        cuboid([wide, long, 0.1], [0.0, 0.0, frame]),
        extrude(&rectangle(wide * 0.96, long * 0.98, 0.08), &[], frame + 0.05, frame + 0.05 + mattress),
        back(random, wide, frame * 0.5, frame + mattress + head, -long / 2.0 - 0.02, lean),
    ];
    if foot > 0.1 {
        parts.push(back(random, wide, frame * 0.5, frame + mattress + foot, long / 2.0 + 0.02, 0.0));
    }
    let legs = Legs::new(random, 0.08);
    parts.extend(four(wide / 2.0 - 0.05, long / 2.0 - 0.05).map(|at| legs.at(at, frame)));
    let pillows = if wide > 1.2 { 2 } else { 1 };
    for i in 0..pillows {
        let x = if pillows == 1 { 0.0 } else { wide * (i as f64 - 0.5) * 0.46 };
        let pillow = stretched(ball(1.0, 16), [wide * 0.38 / pillows as f64, 0.2, 0.08]);
        parts.push(moved(pillow, [x, -long / 2.0 + 0.28, frame + mattress + 0.1]));
    }
    merge(parts)
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

fn ladder(random: &mut Random) -> Mesh {
    let (wide, high) = (random.between(0.3, 0.6), random.between(1.2, 3.5));
    let (steps, narrow) = (random.count(4, 12), random.between(0.5, 1.0));
    let lean = if random.coin() { random.between(0.2, 0.45) * high } else { 0.0 };
    let beam = random.between(0.03, 0.07);
    let (foot, top) = ([wide / 2.0, lean, 0.0], [wide / 2.0 * narrow, 0.0, high]);
    let mut parts = vec![both(bar(foot, top, beam, beam), 0)];
    for i in 1..=steps {
        let p = super::vector::between(foot, top, i as f64 / (steps as f64 + 0.6));
        let q = [-p[0], p[1], p[2]];
        parts.push(if lean > 0.0 { bar(p, q, 0.09, 0.02) } else { rod(p, q, 0.016, 0.016, 8) });
    }
    if lean > 0.0 {
        let rear = [wide / 2.0, -lean, 0.0];
        parts.push(both(bar(rear, top, beam * 0.7, beam * 0.7), 0));
        let low = super::vector::between(rear, top, 0.3);
        parts.push(bar(low, [-low[0], low[1], low[2]], 0.04, 0.02));
    }
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

fn cage(random: &mut Random) -> Mesh {
    let (wide, deep) = (random.between(0.5, 1.3), random.between(0.4, 0.8));
    let (high, low) = (random.between(0.4, 1.2), random.between(0.0, 0.4));
    let post = random.between(0.02, 0.05);
    let wire = post * random.between(0.2, 0.45);
    let mut parts = vec![cuboid([wide, deep, 0.03], [0.0, 0.0, low + 0.02])];
    for z in [low + 0.02, low + high] {
        parts.push(both(bar([-wide / 2.0, deep / 2.0, z], [wide / 2.0, deep / 2.0, z], post, post), 1));
        parts.push(both(bar([wide / 2.0, -deep / 2.0, z], [wide / 2.0, deep / 2.0, z], post, post), 0));
    }
    parts.extend(four(wide / 2.0, deep / 2.0).map(|[x, y]| bar([x, y, 0.0], [x, y, low + high * 1.05], post, post)));
    let gap = random.between(0.06, 0.14);
    let (n, m) = ((wide / gap) as usize, (deep / gap) as usize);
    for i in 1..n {
        let x = wide * (i as f64 / n as f64 - 0.5);
        parts.push(both(rod([x, deep / 2.0, low], [x, deep / 2.0, low + high], wire, wire, 5), 1));
    }
    for i in 1..m {
        let y = deep * (i as f64 / m as f64 - 0.5);
        parts.push(both(rod([wide / 2.0, y, low], [wide / 2.0, y, low + high], wire, wire, 5), 0));
    }
    merge(parts)
}

fn coat_stand(random: &mut Random) -> Mesh {
    let (high, pole) = (random.between(1.5, 2.0), random.between(0.02, 0.045));
    let reach = random.between(0.2, 0.4);
    let mut parts = vec![pedestal(random, high, reach)];
    for _ in 0..random.count(1, 2) {
        let z = high * random.between(0.75, 0.97);
        let (out, up) = (random.between(0.1, 0.25), random.between(0.05, 0.2));
        let path = curve(&[[0.0, 0.0, z], [out * 0.7, 0.0, z - 0.02], [out, 0.0, z + up]], 5);
        let hook = merge([limb(&path, &[pole * 0.4; 11], 6), moved(ball(pole * 0.8, 8), add(path[10], [0.0; 3]))]);
        parts.push(radial(&hook, random.count(3, 6)));
    }
    merge(parts)
}
