//! Electronics: chips, connectors, boards, and what keeps and cools them.

use super::Kind;
use super::form::{bar, both, curve, limb, placed, radial, rod, stretched, warped};
use crate::build::solid::{Outline, ball, circle, cuboid, extrude, merge, moved, rectangle, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::FRAC_PI_2;

pub(super) const KINDS: &[Kind] = &[
    ("heat-sink", heat_sink),
    ("chip", chip),
    ("connector", connector),
    ("circuit-board", circuit_board),
    ("knob", knob),
    ("housing-with-ribs", housing),
];

fn heat_sink(random: &mut Random) -> Mesh {
    let (n, thick) = (random.count(5, 16), random.between(0.05, 0.25));
    let (long, tall) = (random.between(0.5, 1.6), random.between(0.2, 1.0));
    let step = 1.0 / n as f64;
    if random.chance(0.25) {
        let fin = cuboid([0.5, step * 0.6, long], [0.45, 0.0, 0.0]);
        return merge([tube(0.25, 0.0, -long / 2.0, long / 2.0, 26), radial(&fin, 2 * n)]);
    }
    let pins = random.chance(0.35);
    let mut parts = vec![cuboid([1.0, long, thick], [0.0, 0.0, -thick / 2.0])];
    for i in 0..n {
        let x = step * (i as f64 + 0.5) - 0.5;
        let fill = step * 0.5;
        if pins {
            let m = ((long / step) as usize).clamp(2, 14);
            parts.extend(
                (0..m).map(|j| cuboid([fill, fill, tall], [x, long * ((j as f64 + 0.5) / m as f64 - 0.5), tall / 2.0])),
            );
        } else {
            parts.push(cuboid([fill, long, tall], [x, 0.0, tall / 2.0]));
        }
    }
    merge(parts)
}

/// The package of an integrated circuit with its legs on two sides, on four, or as a grid beneath.
fn chip_at(random: &mut Random, pitch: f64) -> Mesh {
    let (n, m) = (random.count(3, 14), random.count(2, 10));
    let form = random.count(0, 3);
    let (long, wide) = (pitch * (n as f64 + 0.4), pitch * (m as f64 + 0.4));
    let (high, lift) = (pitch * random.between(0.6, 1.6), pitch * random.between(0.3, 1.5));
    let mut parts = vec![cuboid([long, wide, high], [0.0, 0.0, lift + high / 2.0])];
    let leg = |x: f64, y: f64, out: f64| {
        let down = if form == 0 { -lift * 0.6 } else { 0.0 };
        merge([
            bar([x, y, lift + high * 0.4], [x, y + out * 0.5, lift + high * 0.4], pitch * 0.4, pitch * 0.12),
            bar([x, y + out * 0.5, lift + high * 0.45], [x, y + out * 0.6, down], pitch * 0.12, pitch * 0.35),
            bar([x, y + out * 0.55, down], [x, y + out, down], pitch * 0.4, pitch * 0.12),
        ])
    };
    let place = |i: usize, n: usize| pitch * (i as f64 + 0.5 - n as f64 / 2.0);
    if form == 3 {
        for i in 0..n {
            parts.extend((0..m).map(|j| moved(ball(pitch * 0.3, 6), [place(i, n), place(j, m), lift])));
        }
        return merge(parts);
    }
    parts.extend((0..n).map(|i| both(leg(place(i, n), wide / 2.0, pitch), 1)));
    if form == 2 {
        parts.extend((0..m).map(|j| both(turned(leg(-place(j, m), long / 2.0, pitch), 2, -FRAC_PI_2), 0)));
    }
    parts.push(moved(tube(pitch * 0.2, 0.0, 0.0, high * 0.03, 10), [-long * 0.4, wide * 0.3, lift + high]));
    merge(parts)
}

fn chip(random: &mut Random) -> Mesh {
    chip_at(random, 0.1)
}

fn connector(random: &mut Random) -> Mesh {
    let (n, m) = (random.count(2, 14), random.count(1, 3));
    let (pitch, high) = (0.12, random.between(0.15, 0.5));
    let (long, wide) = (pitch * (n as f64 + 0.8), pitch * (m as f64 + 0.8));
    let wall = 0.03;
    let shell = extrude(
        &rectangle(long, wide, random.pick(&[0.0, 0.05])),
        &[rectangle(long - 2.0 * wall, wide - 2.0 * wall, 0.0)],
        0.0,
        high,
    );
    let mut parts = vec![cuboid([long, wide, 0.08], [0.0, 0.0, 0.04])];
    if random.chance(0.6) {
        parts.push(shell);
    }
    let (below, above, round) = (random.between(0.1, 0.4), random.between(0.5, 1.3), random.coin());
    let bent = random.chance(0.3);
    for i in 0..n {
        for j in 0..m {
            let at = |k: usize, n: usize| pitch * (k as f64 + 0.5 - n as f64 / 2.0);
            let (x, y) = (at(i, n), at(j, m));
            let [foot, top] = [[x, y, -below], [x, y, high * above]];
            parts.push(if round { rod(foot, top, 0.02, 0.02, 8) } else { bar(foot, top, 0.035, 0.035) });
            if bent {
                parts.push(bar(foot, [x, y - wide, -below], 0.035, 0.035));
            }
        }
    }
    if random.chance(0.3) {
        let ear = extrude(&rectangle(0.25, wide, 0.05), &[circle(0.06, 14)], 0.0, 0.06);
        parts.push(both(moved(ear, [long / 2.0 + 0.1, 0.0, 0.0]), 0));
    }
    merge(parts)
}

fn circuit_board(random: &mut Random) -> Mesh {
    let (long, wide) = (1.0, random.between(0.4, 1.0));
    let holes: Vec<Outline> = [[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]
        .map(|[x, y]| {
            circle(0.03, 10).iter().map(|p| [p[0] + x * (long / 2.0 - 0.06), p[1] + y * (wide / 2.0 - 0.06)]).collect()
        })
        .to_vec();
    let mut parts = vec![extrude(&rectangle(long, wide, 0.03), &holes, -0.03, 0.0)];
    for _ in 0..random.count(5, 16) {
        let (x, y) = (random.between(-0.4, 0.4) * long, random.between(-0.38, 0.38) * wide);
        let size = random.between(0.04, 0.12);
        let part = match random.count(0, 4) {
            0 => chip_at(random, 0.025),
            1 => tube(size * 0.6, 0.0, 0.0, size * random.between(1.0, 2.5), 14),
            2 => cuboid([size * 2.0, size, size * random.between(0.3, 1.5)], [0.0, 0.0, size * 0.3]),
            3 => stretched(connector(random), [0.3; 3]),
            _ => placed(tube(size * 0.3, 0.0, -size, size, 10), [0.0, 0.0, size * 0.3], [1.0, 0.0, 0.0]),
        };
        let quarter = FRAC_PI_2 * random.count(0, 1) as f64;
        parts.push(moved(turned(part, 2, quarter), [x, y, 0.0]));
    }
    merge(parts)
}

fn knob(random: &mut Random) -> Mesh {
    let lobes = random.count(3, 24);
    let depth = random.between(0.02, 0.25) / (lobes as f64 / 6.0).max(1.0);
    let high = random.between(0.3, 1.0);
    let outline =
        super::form::radii_outline(96.min(lobes * 8), |angle| 0.9 - depth + depth * libm::cos(lobes as f64 * angle));
    let grip = extrude(&outline, &[], 0.0, high);
    let taper = random.between(-0.2, 0.2);
    let grip = warped(grip, |[x, y, z]| [x * (1.0 - taper * z / high), y * (1.0 - taper * z / high), z]);
    let mut parts = vec![grip, tube(0.4, 0.0, -random.between(0.1, 0.8), 0.05, 22)];
    if random.coin() {
        parts.push(tube(random.between(0.95, 1.3), 0.0, -0.08, 0.04, 32));
    }
    if random.chance(0.4) {
        parts.push(cuboid([0.8, 0.06, 0.06], [0.4, 0.0, high]));
    }
    merge(parts)
}

fn housing(random: &mut Random) -> Mesh {
    let (long, wide, high) = (random.between(0.7, 1.6), random.between(0.5, 1.0), random.between(0.25, 0.9));
    let wall = random.between(0.03, 0.08);
    let round = random.between(0.02, 0.2);
    let shell = extrude(
        &rectangle(long, wide, round),
        &[rectangle(long - 2.0 * wall, wide - 2.0 * wall, round * 0.7)],
        0.0,
        high,
    );
    let mut parts = vec![shell, extrude(&rectangle(long, wide, round), &[], 0.0, wall)];
    let post = tube(0.07, 0.035, 0.0, high * 0.8, 14);
    let (x, y) = (long / 2.0 - wall - 0.08, wide / 2.0 - wall - 0.08);
    parts.push(both(both(moved(post, [x, y, 0.0]), 0), 1));
    let ribs = random.count(0, 5);
    parts.extend((0..ribs).map(|i| {
        cuboid(
            [wall * 0.7, wide * 0.95, high * 0.4],
            [long * ((i as f64 + 1.0) / (ribs as f64 + 1.0) - 0.5), 0.0, high * 0.2],
        )
    }));
    if random.coin() {
        let ear = extrude(&rectangle(0.25, 0.25, 0.1), &[circle(0.05, 12)], 0.0, wall * 1.5);
        parts.push(both(moved(ear, [long / 2.0 + 0.08, 0.0, 0.0]), 0));
    }
    if random.chance(0.4) {
        let pipe =
            limb(&curve(&[[0.0, wide / 2.0, high / 2.0], [0.0, wide / 2.0 + 0.3, high / 2.0]], 3), &[0.12; 4], 16);
        parts.push(pipe);
    }
    merge(parts)
}
