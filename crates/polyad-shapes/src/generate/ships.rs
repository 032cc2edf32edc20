//! What swims: hulls with decks, sails or oars, and what dives. The bow is at +x, Z is up.

use super::Kind;
use super::form::{Ends, both, carry, loft, placed, radial, rod, sheet, stretched};
use super::vector::{Point, between};
use crate::build::solid::{ball, circle, cuboid, extrude, merge, moved, rectangle};
use crate::mesh::Mesh;
use crate::random::Random;

pub(super) const KINDS: &[Kind] = &[
    ("motor-ship", |random| ship(random, 0)),
    ("sailing-ship", |random| ship(random, 1)),
    ("rowing-boat", |random| ship(random, 2)),
    ("submarine", submarine),
];

/// A hull with 0 decks and funnels, 1 masts and sails, 2 thwarts and oars.
fn ship(random: &mut Random, form: usize) -> Mesh {
    let (half, deep) = (random.between(0.13, 0.3), random.between(0.12, 0.3));
    let (sheer, blunt) = (random.between(0.0, 0.15), random.between(0.3, 0.9));
    let open = form == 2;
    let ring = |i: usize| -> Vec<Point> {
        let t = i as f64 / 12.0;
        let x = 1.0 - 2.0 * t;
        let wide =
            half * (1.0 - libm::pow((2.0 * t - 1.0).abs(), if t < 0.5 { 2.2 } else { 2.0 + 6.0 * blunt })).max(0.02);
        let rim = sheer * (2.0 * t - 1.0) * (2.0 * t - 1.0) * if t < 0.5 { 1.5 } else { 1.0 };
        let keel = deep * if t < 0.5 { 1.0 - libm::pow(1.0 - 2.0 * t, 4.0) * 0.6 } else { 1.0 };
        let outer = [[1.0, 0.0], [0.92, -0.45], [0.6, -0.85], [0.0, -1.0], [-0.6, -0.85], [-0.92, -0.45], [-1.0, 0.0]];
        let mut points: Vec<Point> = outer.iter().map(|[y, z]| [x, y * wide, rim + z * keel]).collect();
        let inner = if open { 0.75 } else { 0.1 };
        points.extend(outer.iter().rev().map(|[y, z]| [x, y * wide * 0.88, rim + z * keel * inner]));
        points.reverse();
        points
    };
    let mut parts = vec![loft(&(0..=12).map(ring).collect::<Vec<_>>(), Ends::Capped)];
    match form {
        0 => {
            let (mut z, mut long) = (-0.05, random.between(0.4, 1.3));
            let at = random.between(-0.35, 0.1);
            for _ in 0..random.count(2, 4) {
                let tall = random.between(0.07, 0.14);
                parts.push(cuboid([long, half * 1.4 * (0.6 + 0.3 * long).min(1.0), tall], [at, 0.0, z + tall / 2.0]));
                z += tall;
                long *= random.between(0.6, 0.9);
            }
            let funnel = random.between(0.04, 0.08);
            for i in 0..random.count(1, 3) {
                parts.push(rod(
                    [at - 0.16 * i as f64, 0.0, z - 0.1],
                    [at - 0.05 - 0.16 * i as f64, 0.0, z + 0.2],
                    funnel,
                    funnel,
                    14,
                ));
            }
            parts.push(rod([0.6, 0.0, -0.05], [0.6, 0.0, random.between(0.3, 0.6)], 0.012, 0.008, 6));
            if random.chance(0.3) {
                parts.extend((0..3).map(|i| cuboid([0.15, half, 0.14], [0.75 - 0.2 * f64::from(i), 0.0, 0.05])));
            }
        }
        1 => {
            let masts = random.count(1, 3);
            let square = masts > 1 && random.chance(0.6);
            for i in 0..masts {
                let x = if masts == 1 { 0.15 } else { 0.55 - 1.1 * i as f64 / (masts - 1) as f64 };
                let tall = random.between(0.9, 1.6) * if masts == 1 { 1.3 } else { 1.0 };
                parts.push(rod([x, 0.0, -deep * 0.5], [x, 0.0, tall], 0.02, 0.01, 8));
                let belly = random.between(0.05, 0.2);
                if square {
                    for (low, high) in [(0.15, 0.45), (0.48, 0.72), (0.75, 0.93)] {
                        let wide = random.between(0.25, 0.33) * (1.3 - 0.5 * high);
                        parts.push(sheet(6, 6, |u, v| {
                            [
                                x + 0.02 + belly * 4.0 * v * (1.0 - v) * 0.7,
                                (2.0 * u - 1.0) * wide,
                                tall * (low + (high - low) * v),
                            ]
                        }));
                        parts.push(rod([x, -wide, tall * high], [x, wide, tall * high], 0.01, 0.01, 5));
                    }
                } else {
                    let boom = random.between(0.4, 0.8);
                    parts.push(sheet(8, 6, |u, v| {
                        [
                            x - 0.03 - boom * (1.0 - u) * v,
                            belly * libm::sin(3.0 * v) * (1.0 - u),
                            0.12 + (tall - 0.15) * u,
                        ]
                    }));
                    parts.push(rod([x, 0.0, 0.12], [x - boom, 0.0, 0.12], 0.012, 0.012, 6));
                }
            }
            parts.push(rod([0.9, 0.0, 0.02], [1.3, 0.0, 0.15], 0.015, 0.008, 6));
            if random.chance(0.6) {
                parts.push(sheet(6, 4, |u, v| {
                    [0.65 + (1.2 - 0.65) * v * (1.0 - u), 0.06 * libm::sin(3.0 * v) * (1.0 - u), 0.1 + 0.8 * u]
                }));
            }
        }
        _ => {
            parts.extend(
                (0..random.count(2, 4)).map(|i| cuboid([0.12, half * 1.7, 0.03], [0.5 - 0.4 * i as f64, 0.0, -0.06])),
            );
            if random.chance(0.6) {
                let z = random.between(-0.2, 0.3);
                let oar = merge([
                    rod([0.1, half * 0.5, 0.08], [-0.1, half + 0.6, z], 0.012, 0.012, 6),
                    cuboid([0.1, 0.25, 0.015], [-0.12, half + 0.65, z]),
                ]);
                parts.push(both(oar, 1));
            }
        }
    }
    merge(parts)
}

fn submarine(random: &mut Random) -> Mesh {
    let girth = random.between(0.1, 0.2);
    let path = [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]];
    let fine: Vec<Point> = (0..=20).map(|i| between(path[0], path[1], i as f64 / 20.0)).collect();
    let body = carry(&fine, &circle(1.0, 22), Ends::Capped, |t| {
        let r =
            girth * (1.0 - libm::pow((2.0 * t - 1.0).abs(), if t < 0.5 { 2.5 } else { 6.0 })).max(0.0).sqrt().max(0.05);
        ([r, r], 0.0)
    });
    let (x, tall) = (random.between(0.0, 0.4), random.between(0.12, 0.25));
    let sail = moved(extrude(&rectangle(random.between(0.25, 0.4), 0.09, 0.04), &[], 0.0, girth + tall), [x, 0.0, 0.0]);
    let scope = rod([x, 0.0, girth], [x, 0.0, girth + tall + 0.15], 0.012, 0.012, 6);
    let plane = cuboid([0.12, 0.3, 0.02], [x, 0.0, girth + tall * 0.6]);
    let tail = radial(&cuboid([0.32, 0.02, 0.14], [0.16, 0.0, 0.0]), 4);
    let screw = radial(&moved(stretched(ball(1.0, 8), [0.05, 0.09, 0.015]), [0.0, 0.1, 0.0]), random.count(3, 6));
    merge([
        body,
        sail,
        scope,
        plane,
        placed(tail, [-0.82, 0.0, 0.0], [1.0, 0.0, 0.0]),
        placed(screw, [-1.03, 0.0, 0.0], [1.0, 0.0, 0.0]),
    ])
}
