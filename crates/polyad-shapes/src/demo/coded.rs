//! Families that differ only in a triple of features.
//!
//! A coded part may have each of three features, one on each of three sides. Its class is the parity of how many it has:
//! `even` (none, or two) or `odd` (one, or all three). All else, dimensions included, is drawn alike for both classes,
//! and within a class every one of the four combinations is equally likely. So a single feature says nothing of the
//! class, nor does any pair: given two of them, the third is as likely there as not. And no view shows all three sides,
//! so the class is a correlation of higher order among views. Features are large and other dimensions vary little, so
//! that a small network learns them from few parts.

use super::random::Random;
use super::solid::{Outline, cuboid, extrude, merge, polar, rectangle, revolve, tube, turned};
use super::sweep::sweep;
use crate::mesh::Mesh;
use std::f64::consts::TAU;

/// Which features a part has: the first numbers that it draws.
pub(super) fn features(random: &mut Random, odd: bool) -> [bool; 3] {
    let (a, b) = (random.coin(), random.coin());
    [a, b, a ^ b ^ odd]
}

/// A wheel, hollow on both sides: a dome in its front, a cross in its back, a lug at its rim.
pub(super) fn wheel(random: &mut Random, odd: bool) -> Mesh {
    let [dome, cross, lug] = features(random, odd);
    let radius = random.between(28.0, 32.0);
    let inner = radius * random.between(0.88, 0.91);
    let (half, floor) = (radius * random.between(0.32, 0.37), radius * random.between(0.05, 0.07));
    let deep = half - floor;
    let segments = random.count(28, 44);
    let mut parts = vec![tube(radius, inner, -half, half, segments), tube(0.95 * radius, 0.0, -floor, floor, segments)];
    let (wide, high) = (inner * random.between(0.74, 0.82), deep * random.between(0.88, 0.96));
    let (arm, thick) = (inner * random.between(0.8, 0.88), inner * random.between(0.2, 0.24));
    let (reach, breadth) = (radius * random.between(0.5, 0.6), radius * random.between(0.55, 0.65));
    if dome {
        let profile = (0..=8).map(|i| {
            let angle = TAU / 4.0 * f64::from(i) / 8.0;
            [if i == 8 { 0.0 } else { wide * libm::cos(angle) }, floor + high * libm::sin(angle)]
        });
        let profile: Outline = [[0.0, 0.0], [wide, 0.0]].into_iter().chain(profile).collect();
        parts.push(revolve(&profile, segments));
    }
    if cross {
        let middle = [0.0, 0.0, -(floor + high) / 2.0];
        parts.push(cuboid([2.0 * arm, 2.0 * thick, floor + high], middle));
        parts.push(cuboid([2.0 * thick, 2.0 * arm, floor + high], middle));
    }
    if lug {
        let overlap = 0.1 * radius;
        let size = [reach + overlap, breadth, 1.6 * half];
        parts.push(cuboid(size, [radius + (reach - overlap) / 2.0, 0.0, 0.0]));
    }
    merge(parts)
}

/// A square tray, hollow on both sides: a block set askew in its front, a ring in its back, a handle at one edge.
pub(super) fn tray(random: &mut Random, odd: bool) -> Mesh {
    let [block, ring, handle] = features(random, odd);
    let side = random.between(50.0, 56.0);
    let inner = side * random.between(0.88, 0.91);
    let (half, floor) = (side * random.between(0.15, 0.18), side * random.between(0.025, 0.035));
    let deep = half - floor;
    let segments = random.count(24, 40);
    let high = deep * random.between(0.9, 0.98);
    let base = inner * random.between(0.5, 0.56);
    let (outside, wall) = (inner * random.between(0.36, 0.4), inner * random.between(0.09, 0.12));
    let (reach, span) = (side * random.between(0.3, 0.36), side * random.between(0.24, 0.28));
    let wire = side * random.between(0.065, 0.075);
    let mut parts = vec![
        extrude(&rectangle(side, side, 0.0), &[rectangle(inner, inner, 0.0)], -half, half),
        cuboid([0.95 * side, 0.95 * side, 2.0 * floor], [0.0; 3]),
    ];
    if block {
        let size = [base, base, floor + high];
        parts.push(turned(cuboid(size, [0.0, 0.0, (floor + high) / 2.0]), 2, TAU / 8.0));
    }
    if ring {
        parts.push(tube(outside, outside - wall, -floor - high, 0.0, segments));
    }
    if handle {
        // Its ends stop inside the wall.
        let arc = |i: usize| {
            let [across, along] = polar(1.0, TAU / 2.0 * (i as f64 / 16.0 - 0.5));
            [side * 0.48 + reach * across, span * along, 0.0]
        };
        let path: Vec<_> = (0..=16).map(arc).collect();
        parts.push(sweep(&path, wire, 0.0, segments / 2));
    }
    merge(parts)
}
