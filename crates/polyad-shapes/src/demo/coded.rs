//! Families that differ only in a triple of features.
//!
//! A coded part may have each of three features, one on each of three sides. Its class is the parity of how many it has:
//! `even` (none, or two) or `odd` (one, or all three). All else, dimensions included, is drawn alike for both classes,
//! and within a class every one of the four combinations is equally likely. So a single feature says nothing of the
//! class, nor does any pair: given two of them, the third is as likely there as not. And no view shows all three sides,
//! so the class is a correlation of higher order among views. Features are large and other dimensions vary little, so
//! that a small network learns them from few parts.

use super::random::Random;
use super::solid::{Outline, ball, cuboid, extrude, mapped, merge, moved, polygon, revolve, tube, turned};
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
    let (half, floor) = (radius * random.between(0.38, 0.44), radius * random.between(0.05, 0.07));
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
        parts.push(extrude(&plus(arm, thick), &[], -floor - high, 0.0));
    }
    if lug {
        let overlap = 0.1 * radius;
        let size = [reach + overlap, breadth, 1.6 * half];
        parts.push(cuboid(size, [radius + (reach - overlap) / 2.0, 0.0, 0.0]));
    }
    merge(parts)
}

/// The outline of a plus sign.
fn plus(arm: f64, half: f64) -> Outline {
    let mut points = Outline::new();
    let mut quarter = [[arm, -half], [arm, half], [half, half]];
    for _ in 0..4 {
        points.extend(quarter);
        quarter = quarter.map(|[x, y]| [-y, x]);
    }
    points
}

/// A three-sided drum between two discs: a ball on the first side, a fin across the second, two studs on the third.
pub(super) fn drum(random: &mut Random, odd: bool) -> Mesh {
    let [dome, fin, studs] = features(random, odd);
    let radius = random.between(19.0, 21.0);
    let half = radius * random.between(1.15, 1.25);
    let segments = random.count(20, 36);
    let core = radius * random.between(0.68, 0.72);
    let (disc, face) = (radius * random.between(0.06, 0.09), core / 2.0);
    let room = radius - face;
    let end = |low: f64| tube(radius, 0.0, low, low + disc, segments);
    let mut parts = vec![extrude(&polygon(core, 3, TAU / 6.0), &[], -half, half), end(half), end(-half - disc)];
    let ball_radius = room * random.between(0.76, 0.82);
    let (thick, wide) = (half * random.between(0.2, 0.26), core * random.between(1.4, 1.6));
    let (stud, tall) = (room * random.between(0.34, 0.38), room * random.between(0.84, 0.92));
    let place = |part: Mesh, side: usize| turned(part, 2, TAU / 3.0 * side as f64);
    if dome {
        parts.push(place(moved(ball(ball_radius, segments), [face + 0.15 * room, 0.0, 0.0]), 0));
    }
    if fin {
        // Rooted in the core, so that no gap shows.
        let (root, tip) = (0.5 * face, face + 0.92 * room);
        parts.push(place(cuboid([tip - root, wide, thick], [(root + tip) / 2.0, 0.0, 0.0]), 1));
    }
    if studs {
        let along_x = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        let peg = mapped(tube(stud, 0.0, -0.5 * face, tall, segments), along_x);
        parts.extend([-0.5, 0.5].map(|z| place(moved(peg.clone(), [face, 0.0, z * half]), 2)));
    }
    merge(parts)
}
