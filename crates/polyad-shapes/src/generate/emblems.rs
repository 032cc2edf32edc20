//! Flat outlines that stand for something: letters, stars, hearts, arrows, keys, frames.

use super::Kind;
use super::abstraction::section;
use super::form::{curve, radial};
use super::plates::teeth;
use super::vector::Point;
use crate::build::solid::{Outline, circle, cuboid, extrude, merge, polar, rectangle, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("letter", letter),
    ("star", star),
    ("heart", heart),
    ("comb", comb),
    ("picture-frame", picture_frame),
    ("key", key),
    ("arrow", arrow),
];

/// Strokes on a grid of three by five or so, as block letters and digits are.
fn letter(random: &mut Random) -> Mesh {
    const FONT: [[&str; 5]; 12] = [
        ["###", "#.#", "###", "#.#", "#.#"],
        ["##.", "#.#", "##.", "#.#", "##."],
        ["###", "#..", "#..", "#..", "###"],
        ["###", "#..", "##.", "#..", "###"],
        ["#.#", "#.#", "###", "#.#", "#.#"],
        ["#..", "#..", "#..", "#..", "###"],
        ["###", ".#.", ".#.", ".#.", ".#."],
        ["###", "#.#", "#.#", "#.#", "###"],
        ["###", "..#", "###", "#..", "###"],
        ["#.#", "#.#", "###", "..#", "..#"],
        ["###", "#..", "###", "..#", "###"],
        ["###", "..#", "..#", "..#", "..#"],
    ];
    let rows = random.pick(&FONT);
    let (wide, thick) = (random.between(0.6, 1.4), random.between(0.2, 2.0));
    let mut parts = Vec::new();
    for (y, row) in rows.iter().enumerate() {
        for x in row.bytes().enumerate().filter(|(_, b)| *b == b'#').map(|(x, _)| x) {
            parts.push(cuboid([wide, 1.0, thick], [wide * x as f64, -(y as f64), 0.0]));
        }
    }
    let slant = if random.chance(0.3) { random.between(0.0, 0.4) } else { 0.0 };
    super::form::warped(merge(parts), |[x, y, z]| [x + slant * y, y, z])
}

/// An outline as a ring at a height, its radius multiplied.
fn ring(outline: &[[f64; 2]], radius: f64, z: f64) -> Vec<Point> {
    outline.iter().map(|p| [p[0] * radius, p[1] * radius, z]).collect()
}

fn star(random: &mut Random) -> Mesh {
    let points = random.count(4, 12);
    let waist = random.between(0.25, 0.75);
    let outline = teeth(points, waist, 1.0, &[(0.0, true), (0.5, false)]);
    if random.coin() {
        return extrude(&outline, &[], 0.0, random.between(0.05, 0.6));
    }
    // Faceted: ridges from a raised middle to the tips.
    let high = random.between(0.1, 0.5);
    super::form::loft(
        &[ring(&outline, 0.02, -high), ring(&outline, 1.0, 0.0), ring(&outline, 0.02, high)],
        super::form::Ends::Capped,
    )
}

fn heart(random: &mut Random) -> Mesh {
    let (lobe, tip) = (random.between(0.4, 0.7), random.between(0.9, 1.4));
    let half = [[0.0, lobe * 0.5], [lobe * 0.6, lobe], [1.0, lobe * 0.6], [0.95, 0.0], [0.45, -0.5 * tip], [0.0, -tip]];
    let side = curve(&half, 6);
    let outline: Outline =
        side.iter().copied().chain(side[1..side.len() - 1].iter().rev().map(|p| [-p[0], p[1]])).collect();
    let deep = random.between(0.1, 0.7);
    if random.coin() {
        return extrude(&outline, &[], 0.0, deep);
    }
    let rings: Vec<_> = (0..=8)
        .map(|i| {
            let [r, z] = polar(1.0, TAU / 2.0 * (i as f64 / 8.0 - 0.5));
            ring(&outline, r.max(0.05), deep * z)
        })
        .collect();
    super::form::loft(&rings, super::form::Ends::Capped)
}

fn comb(random: &mut Random) -> Mesh {
    let count = random.count(5, 26);
    let (spine, long) = (random.between(0.1, 0.4), random.between(0.2, 0.9));
    let fill = random.between(0.35, 0.7);
    let step = 1.0 / count as f64;
    let bow = random.between(-0.3, 0.3);
    let mut outline: Outline =
        vec![[1.0, 0.0], [1.0, spine], [0.75, spine + bow * 0.2], [0.25, spine + bow * 0.2], [0.0, spine], [0.0, 0.0]];
    for i in 0..count {
        let x = step * i as f64;
        let tip = step * fill * 0.7;
        outline.extend([[x + 0.001, -0.001], [x + 0.001, -long], [x + tip, -long], [x + step * fill, 0.0]]);
    }
    extrude(&outline, &[], 0.0, random.between(0.03, 0.2))
}

fn picture_frame(random: &mut Random) -> Mesh {
    let (wide, high) = (1.0, random.between(0.5, 1.6));
    let edge = random.between(0.05, 0.22);
    let thick = random.between(0.02, 0.1);
    let oval = random.chance(0.25);
    let outline = |inset: f64| -> Outline {
        if oval {
            circle(1.0, 36).iter().map(|p| [p[0] * (wide / 2.0 - inset), p[1] * (high / 2.0 - inset)]).collect()
        } else {
            rectangle(wide - 2.0 * inset, high - 2.0 * inset, 0.0)
        }
    };
    let mut parts = vec![
        extrude(&outline(0.0), &[outline(edge)], 0.0, thick),
        extrude(&outline(edge * 0.9), &[], 0.0, thick * 0.3),
    ];
    if random.coin() {
        parts.push(extrude(&outline(edge * 0.6), &[outline(edge * 0.8)], 0.0, thick * 1.6));
    }
    if random.chance(0.4) {
        let prop = super::form::bar([0.0, high * 0.2, 0.0], [0.0, -high / 2.0, -high * 0.4], 0.12, 0.02);
        parts.push(prop);
    }
    merge(parts)
}

fn key(random: &mut Random) -> Mesh {
    let bow = random.between(0.18, 0.32);
    let long = random.between(0.8, 1.6);
    let thick = random.between(0.03, 0.12);
    let eye = bow * random.between(0.3, 0.8);
    let head: Outline =
        if random.coin() { circle(bow, 24) } else { section(random).iter().map(|p| p.map(|x| x * bow)).collect() };
    let eye = eye.min(head.iter().map(|p| (p[0] * p[0] + p[1] * p[1]).sqrt()).fold(f64::INFINITY, f64::min) * 0.7);
    let mut parts = vec![extrude(&head, &[circle(eye, 16)], -thick / 2.0, thick / 2.0)];
    let shaft = random.between(0.04, 0.09);
    if random.coin() {
        parts.push(super::form::rod([bow * 0.8, 0.0, 0.0], [bow + long, 0.0, 0.0], shaft, shaft, 12));
    } else {
        parts.push(cuboid([long + bow * 0.2, shaft * 2.0, thick * 0.8], [bow * 0.9 + long / 2.0, 0.0, 0.0]));
    }
    for _ in 0..random.count(2, 6) {
        let (x, drop) = (bow + long * random.between(0.55, 0.97), random.between(0.08, 0.28));
        parts.push(cuboid([random.between(0.04, 0.1), drop + shaft, thick * 0.8], [x, -(drop + shaft) / 2.0, 0.0]));
    }
    merge(parts)
}

fn arrow(random: &mut Random) -> Mesh {
    let (head, wide) = (random.between(0.25, 0.6), random.between(0.2, 0.6));
    let shaft = wide * random.between(0.1, 0.6);
    let notch = head * random.between(0.0, 0.4);
    let tip = [[1.0, 0.0], [1.0 - head, wide], [1.0 - head + notch, shaft]];
    let half: Outline = tip.into_iter().chain([[-1.0, shaft]]).collect();
    let outline: Outline = half.iter().copied().chain(half[1..].iter().rev().map(|p| [p[0], -p[1]])).collect();
    let body = extrude(&outline, &[], 0.0, random.between(0.05, 0.5));
    if random.coin() {
        return body;
    }
    let round = crate::build::solid::revolve(
        &[[0.0, -1.0], [shaft, -1.0], [shaft, 1.0 - head + notch], [wide, 1.0 - head], [0.0, 1.0]],
        20,
    );
    let fin = extrude(&[[0.0, -1.0], [wide * 0.7, -1.1], [wide * 0.7, -0.8], [0.0, -0.5]], &[], -0.01, 0.01);
    let fins = radial(&turned(fin, 0, FRAC_PI_2), random.count(2, 4));
    merge([round, fins])
}
