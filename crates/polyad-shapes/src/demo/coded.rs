//! Families that differ only in a triple of features.
//!
//! A coded part may have each of three features, one on each of three sides. Its class is the parity of how many it has:
//! `even` (none, or two) or `odd` (one, or all three). All else, dimensions included, is drawn alike for both classes,
//! and within a class every one of the four combinations is equally likely. So a single feature says nothing of the
//! class, nor does any pair: given two of them, the third is as likely there as not. And no view shows all three sides,
//! so the class is a correlation of higher order among views.

use super::random::Random;
use super::solid::{
    CORNER, Outline, ball, circle, cuboid, extrude, mapped, merge, moved, polygon, rectangle, revolve, shifted, tube,
    turned,
};
use crate::mesh::Mesh;
use std::f64::consts::TAU;

/// Which features a part has: the first numbers that it draws.
pub(super) fn features(random: &mut Random, odd: bool) -> [bool; 3] {
    let (a, b) = (random.coin(), random.coin());
    [a, b, a ^ b ^ odd]
}

/// A block with a round pocket in its front, a cross-shaped pocket in its back, and a notch across one side.
pub(super) fn block(random: &mut Random, odd: bool) -> Mesh {
    let [front, back, notch] = features(random, odd);
    let (width, height) = (random.between(36.0, 48.0), random.between(28.0, 36.0));
    let (wall, depth) = (random.between(3.0, 5.0), random.between(8.0, 11.0));
    let sides = random.count(16, 40);
    let corner = random.between(1.0, 4.0);
    let mut outline = rectangle(width, height, corner);
    let (cut, reach) = (height * random.between(0.16, 0.2), width * random.between(0.24, 0.3));
    if notch {
        // Between the second corner, at the left top, and the third, at the left bottom.
        let left = -width / 2.0;
        let edge = [[left, cut], [left + reach, cut], [left + reach, -cut], [left, -cut]];
        outline.splice(CORNER * 2..CORNER * 2, edge);
    }
    // The pockets keep clear of the notch whether it is there or not.
    let centre = [reach / 2.0, height * random.between(-0.04, 0.04)];
    let room = (width - reach).min(height) / 2.0;
    let round = shifted(&circle(room * random.between(0.7, 0.82), sides), centre);
    let (arm, half) = (room * random.between(0.76, 0.88), room * random.between(0.24, 0.3));
    let cross = shifted(&plus(arm, half), centre);
    let layer = |pocket: Option<Outline>, low, high| extrude(&outline, pocket.as_slice(), low, high);
    merge([
        layer(None, -wall / 2.0, wall / 2.0),
        layer(front.then_some(round), wall / 2.0, wall / 2.0 + depth),
        layer(back.then_some(cross), -wall / 2.0 - depth, -wall / 2.0),
    ])
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

/// A three-sided drum between two discs: a dome on the first side, a bar along the second, two studs on the third.
pub(super) fn drum(random: &mut Random, odd: bool) -> Mesh {
    let [dome, bar, studs] = features(random, odd);
    let radius = random.between(18.0, 22.0);
    let half = radius * random.between(0.95, 1.25);
    let segments = random.count(16, 36);
    let core = radius * random.between(0.78, 0.86);
    let (disc, face) = (radius * random.between(0.12, 0.2), core / 2.0);
    let room = radius - face;
    let place = |part: Mesh, side: usize| turned(part, 2, TAU / 3.0 * side as f64);
    let corners = polygon(core, 3, TAU / 6.0);
    let end = || tube(radius, 0.0, 0.0, disc, segments);
    let mut parts = vec![
        extrude(&corners, &[], -half, half),
        moved(end(), [0.0, 0.0, half]),
        moved(end(), [0.0, 0.0, -half - disc]),
    ];
    let dome_radius = room * random.between(0.72, 0.85);
    let bar_size = [room * random.between(0.55, 0.7), core * random.between(0.32, 0.42), half * 1.7];
    let stud_radius = room * random.between(0.26, 0.32);
    let stud_height = room * random.between(0.6, 0.75);
    if dome {
        parts.push(place(moved(ball(dome_radius, segments), [face, 0.0, 0.0]), 0));
    }
    if bar {
        // Half as deep in the core as it stands out.
        let size = [bar_size[0] * 1.5, bar_size[1], bar_size[2]];
        parts.push(place(cuboid(size, [face + bar_size[0] / 4.0, 0.0, 0.0]), 1));
    }
    if studs {
        let stud = || {
            let tip = stud_height * 0.2;
            let profile = [
                [0.0, -stud_height / 2.0],
                [stud_radius, -stud_height / 2.0],
                [stud_radius, stud_height - tip],
                [stud_radius - tip, stud_height],
                [0.0, stud_height],
            ];
            mapped(revolve(&profile, segments), [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        };
        parts.push(place(moved(stud(), [face, 0.0, half * 0.5]), 2));
        parts.push(place(moved(stud(), [face, 0.0, -half * 0.5]), 2));
    }
    merge(parts)
}
