//! Household things: mug, bottle, table, chair. Z is up; lengths in millimetres, furniture at a tenth of its size.

use crate::build::solid::{Outline, cuboid, extrude, merge, moved, polar, rectangle, revolve, tube};
use crate::build::sweep::sweep;
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::TAU;

/// A cup, straight or slightly conical, with a handle.
pub(super) fn mug(random: &mut Random) -> Mesh {
    let (foot, height) = (random.between(30.0, 42.0), random.between(75.0, 110.0));
    let rim = foot * random.between(0.95, 1.2);
    let (wall, floor) = (random.between(2.5, 4.0), random.between(3.0, 6.0));
    let segments = random.count(24, 48);
    let cup = [[0.0, 0.0], [foot, 0.0], [rim, height], [rim - wall, height], [foot - wall, floor], [0.0, floor]];
    let (reach, span) = (random.between(20.0, 32.0), height * random.between(0.28, 0.36));
    let (wire, middle) = (random.between(4.0, 6.5), height * random.between(0.48, 0.56));
    // The handle's ends stop inside the wall of the cup.
    let path: Vec<_> = (0..=16)
        .map(|i| {
            let [across, up] = polar(1.0, TAU / 2.0 * (i as f64 / 16.0 - 0.5));
            let z = middle + span * up;
            [foot + (rim - foot) * z / height - wall / 2.0 + reach * across, 0.0, z]
        })
        .collect();
    merge([revolve(&cup, segments), sweep(&path, wire, 0.0, random.count(8, 16))])
}

/// A hollow bottle with a shoulder and a lip.
pub(super) fn bottle(random: &mut Random) -> Mesh {
    let (body, height) = (random.between(28.0, 42.0), random.between(90.0, 160.0));
    let neck = body * random.between(0.3, 0.42);
    let (shoulder, throat) = (body * random.between(0.7, 1.5), height * random.between(0.25, 0.45));
    let (wall, lip) = (random.between(1.5, 3.0), random.between(1.5, 3.5));
    let top = height + shoulder + throat;
    let curve = (0..=8).map(|i| {
        let t = i as f64 / 8.0;
        let down = (1.0 + libm::cos(TAU / 2.0 * t)) / 2.0;
        [neck + (body - neck) * down, height + shoulder * t]
    });
    let curve: Outline = curve.collect();
    let mut profile: Outline = vec![[0.0, 0.0], [body * 0.93, 0.0], [body, body * 0.07]];
    profile.extend(&curve);
    profile.extend([[neck, top - 3.0 * lip], [neck + lip, top - 2.8 * lip], [neck + lip, top], [neck - wall, top]]);
    profile.extend(curve.iter().rev().map(|[r, z]| [r - wall, z - wall / 2.0]));
    profile.extend([[body - wall, 2.0 * wall], [0.0, 2.0 * wall]]);
    revolve(&profile, random.count(24, 48))
}

/// A table: a rectangular top with four legs, or a round one with three or four.
pub(super) fn table(random: &mut Random) -> Mesh {
    let (height, thick) = (random.between(60.0, 85.0), random.between(2.5, 6.0));
    let round = random.count(0, 2) == 0;
    let square = random.coin();
    let leg = random.between(2.5, 4.5);
    let sides = random.count(10, 20);
    let leg_at = |[x, y]: [f64; 2]| {
        if square {
            cuboid([2.0 * leg, 2.0 * leg, height], [x, y, height / 2.0])
        } else {
            moved(revolve(&[[0.0, 0.0], [leg * 0.6, 0.0], [leg, height], [0.0, height]], sides), [x, y, 0.0])
        }
    };
    if round {
        let radius = random.between(45.0, 65.0);
        let legs = random.count(3, 4);
        let at = |i| polar(radius * 0.68, TAU * i as f64 / legs as f64);
        let top = moved(tube(radius, 0.0, 0.0, thick, random.count(28, 48)), [0.0, 0.0, height - thick / 2.0]);
        return merge(std::iter::once(top).chain((0..legs).map(|i| leg_at(at(i)))));
    }
    let (length, width) = (random.between(90.0, 160.0), random.between(60.0, 88.0));
    let inset = leg + random.between(0.0, 6.0);
    let (x, y) = (length / 2.0 - inset, width / 2.0 - inset);
    let corner = if random.coin() { random.between(2.0, 6.0) } else { 0.0 };
    let mut parts = vec![extrude(&rectangle(length, width, corner), &[], height - thick / 2.0, height + thick / 2.0)];
    parts.extend([[x, y], [-x, y], [-x, -y], [x, -y]].map(leg_at));
    if random.coin() {
        let (depth, low) = (random.between(7.0, 12.0), height - thick / 2.0);
        let centre = low - depth / 2.0 + 0.5;
        parts.extend([-y, y].map(|y| cuboid([2.0 * x, 2.0, depth], [0.0, y, centre])));
        parts.extend([-x, x].map(|x| cuboid([2.0, 2.0 * y, depth], [x, 0.0, centre])));
    }
    merge(parts)
}

/// A chair: seat, four legs, and a back of a panel, slats or rungs; sometimes arms.
pub(super) fn chair(random: &mut Random) -> Mesh {
    let (width, depth) = (random.between(38.0, 50.0), random.between(38.0, 48.0));
    let (seat, back) = (random.between(40.0, 48.0), random.between(40.0, 58.0));
    let (thick, leg) = (random.between(2.0, 5.0), random.between(3.0, 5.0));
    let (x, y) = (width / 2.0 - leg / 2.0, depth / 2.0 - leg / 2.0);
    let top = seat + back;
    let mut parts = vec![
        extrude(&rectangle(width, depth, random.between(0.5, 5.0)), &[], seat - thick / 2.0, seat + thick / 2.0),
        cuboid([leg, leg, seat], [x, y, seat / 2.0]),
        cuboid([leg, leg, seat], [-x, y, seat / 2.0]),
        cuboid([leg, leg, top], [x, -y, top / 2.0]),
        cuboid([leg, leg, top], [-x, -y, top / 2.0]),
    ];
    let bar = |low: f64, high: f64| cuboid([width - leg, leg * 0.6, high - low], [0.0, -y, (low + high) / 2.0]);
    match random.count(0, 2) {
        0 => parts.push(bar(seat + back * random.between(0.1, 0.35), top - back * 0.03)),
        1 => {
            parts.push(bar(top - back * 0.18, top - back * 0.02));
            let slats = random.count(3, 5);
            let step = width / (slats + 1) as f64;
            let slat = |i: usize| {
                let x = step * (i + 1) as f64 - width / 2.0;
                cuboid([step * 0.35, leg * 0.5, back * 0.95], [x, -y, seat + back * 0.45])
            };
            parts.extend((0..slats).map(slat));
        }
        _ => {
            let rungs = random.count(2, 4);
            let step = back / (rungs + 1) as f64;
            parts.extend((1..=rungs).map(|i| bar(seat + step * i as f64, seat + step * (i as f64 + 0.4))));
        }
    }
    if random.count(0, 3) == 0 {
        let rise = back * random.between(0.35, 0.45);
        for x in [-x, x] {
            parts.push(cuboid([leg, depth, leg * 0.8], [x, 0.0, seat + rise]));
            parts.push(cuboid([leg * 0.8, leg * 0.8, rise], [x, y - leg, seat + rise / 2.0]));
        }
    }
    if random.coin() {
        let z = seat * random.between(0.25, 0.5);
        parts.extend([-x, x].map(|x| cuboid([leg * 0.5, depth - leg, leg * 0.5], [x, 0.0, z])));
    }
    merge(parts)
}
