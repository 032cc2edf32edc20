//! Furniture but for seats: tops, boards and drawers on legs. Z is up; lengths in metres, roughly.

use super::Kind;
use super::form::{bar, both, curve, limb, radial, rod, stretched};
use super::seats::{Legs, back, board, four, pedestal};
use super::turned::segments;
use crate::build::solid::{ball, cuboid, extrude, merge, moved, polar, rectangle, tube};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::TAU;

pub(super) const KINDS: &[Kind] = &[
    ("table", table),
    ("round-table", round_table),
    ("trestle-table", trestle_table),
    ("desk-with-drawers", desk),
    ("bookcase", bookcase),
    ("chest-of-drawers", chest),
    ("bed", bed),
    ("ladder", ladder),
    ("crib-or-cage", cage),
    ("coat-stand", coat_stand),
];

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
        let hook = merge([limb(&path, &[pole * 0.4; 11], 6), moved(ball(pole * 0.8, 8), path[10])]);
        parts.push(radial(&hook, random.count(3, 6)));
    }
    merge(parts)
}
