//! Families that differ only in a triple of features.
//!
//! A coded wheel may have each of three features, one on each of three sides: a dome in its front, a cross in its back, a
//! lug at its rim. Each of the eight triples is a family, and all else, dimensions included, is drawn alike for all of
//! them. So no feature tells the family, nor does any pair: given two, two families are left. And no view shows all
//! three sides, so the family is a correlation of higher order among views.

use crate::build::solid::{Outline, cuboid, merge, polar, revolve, tube};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::TAU;

/// A wheel, hollow on both sides, with these of the three features: dome, cross, lug.
pub(super) fn wheel(random: &mut Random, [dome, cross, lug]: [bool; 3]) -> Mesh {
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
        parts.push(bulge(wide, floor, high, segments));
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

/// A dome, `high` over a foot that stands on the plane z = 0.
fn bulge(radius: f64, foot: f64, high: f64, segments: usize) -> Mesh {
    let curve = (0..=8).map(|i| {
        let [r, z] = polar(1.0, TAU / 4.0 * f64::from(i) / 8.0);
        [if i == 8 { 0.0 } else { radius * r }, foot + high * z]
    });
    let profile: Outline = [[0.0, 0.0], [radius, 0.0]].into_iter().chain(curve).collect();
    revolve(&profile, segments)
}
