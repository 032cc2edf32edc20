//! Plants: stems that fork, leaves, petals, pots.

use super::Kind;
use super::form::{blade, curve, limb, radial, stretched, warped};
use super::implicit::Blend;
use super::nets::surface;
use super::turned::{hollow, line, solid};
use super::vector::{Point, add, cross, direction, times, unit};
use crate::build::solid::{ball, merge, moved, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::TAU;

pub(super) const KINDS: &[Kind] = &[
    ("bare-tree", |random| tree(random, Crown::Bare)),
    ("leafy-tree", |random| tree(random, Crown::Leaves)),
    ("round-tree", |random| tree(random, Crown::Clouds)),
    ("conifer", conifer),
    ("palm", palm),
    ("potted-plant", |random| potted(random, false)),
    ("potted-cactus", |random| potted(random, true)),
    ("flower", flower),
    ("grass", grass),
    ("mushroom", mushroom),
    ("fruit", fruit),
];

#[derive(Clone, Copy, PartialEq)]
enum Crown {
    Bare,
    Leaves,
    Clouds,
}

/// A leaf from `at` towards `way`, drooping.
fn leaf(at: Point, way: Point, long: f64, wide: f64, droop: f64) -> Mesh {
    let path: Vec<Point> = (0..=6)
        .map(|i| {
            let t = f64::from(i) / 6.0;
            add(at, add(times(way, long * t), [0.0, 0.0, -droop * long * t * t]))
        })
        .collect();
    let across = cross(way, [0.0, 0.0, 1.0]);
    blade(&path, unit(across), |t| wide * (4.0 * t * (1.0 - t)).max(0.0).sqrt().max(0.06))
}

fn tree(random: &mut Random, crown: Crown) -> Mesh {
    let mut parts = Vec::new();
    let trunk = random.between(0.5, 1.1);
    let radius = random.between(0.04, 0.1);
    let mut tips: Vec<(Point, Point, f64, f64)> =
        vec![([0.0; 3], [random.between(-0.1, 0.1), random.between(-0.1, 0.1), 1.0], trunk, radius)];
    let levels = if crown == Crown::Bare { 4 } else { 3 };
    let (spread, shrink) = (random.between(0.35, 0.9), random.between(0.6, 0.8));
    for level in 0..levels {
        let mut next = Vec::new();
        for (from, way, long, radius) in tips {
            let end = add(from, times(way, long));
            let side = direction(random.between(0.0, TAU), 0.0);
            let bow = add(add(from, times(way, long * 0.5)), times(side, 0.06 * long));
            parts.push(limb(&[from, bow, end], &[radius, radius * 0.85, radius * 0.7], if level < 2 { 8 } else { 5 }));
            let forks = if level + 1 == levels { 1 } else { random.count(2, 4) };
            let start = random.between(0.0, TAU);
            for k in 0..forks {
                let out = direction(start + TAU * k as f64 / forks as f64, 0.0);
                let way = unit(add(
                    times(way, 1.0),
                    add(times(out, spread * random.between(0.6, 1.3)), [0.0, 0.0, random.between(-0.1, 0.3)]),
                ));
                next.push((end, way, long * shrink * random.between(0.8, 1.1), radius * 0.65));
            }
        }
        tips = next;
    }
    match crown {
        Crown::Bare => {}
        Crown::Leaves => {
            let (long, wide) = (random.between(0.12, 0.3), random.between(0.05, 0.15));
            for (at, way, ..) in &tips {
                for _ in 0..random.count(2, 6) {
                    let out = unit(add(*way, direction(random.between(0.0, TAU), random.between(-0.6, 0.6))));
                    parts.push(leaf(*at, out, long, wide, 0.4));
                }
            }
        }
        Crown::Clouds => {
            let mut cloud = Blend::new(0.1);
            let puff = random.between(0.18, 0.4) * trunk;
            tips.iter().for_each(|(at, ..)| cloud.ball(*at, puff * random.between(0.7, 1.2)));
            parts.push(surface(&cloud, random.count(20, 30)));
        }
    }
    merge(parts)
}

fn conifer(random: &mut Random) -> Mesh {
    let (wide, tiers) = (random.between(0.25, 0.55), random.count(1, 7));
    let foot = random.between(0.1, 0.3);
    let trunk = solid(&[[0.06, 0.0], [0.05, foot], [0.02, 1.2]], 10);
    if random.chance(0.4) {
        let mut parts = vec![trunk];
        for i in 0..6 * tiers.max(3) {
            let t = i as f64 / (6 * tiers.max(3)) as f64;
            let reach = wide * (1.0 - t) + 0.04;
            let at = [0.0, 0.0, foot + 1.1 * t];
            let way = direction(2.4 * i as f64, random.between(-0.4, 0.2));
            parts.push(leaf(at, way, reach, 0.12 * (1.2 - t), 0.2));
        }
        return merge(parts);
    }
    let (corners, jag) = (random.count(7, 24), random.between(0.0, 0.25));
    let tier = |i: usize| {
        let t = i as f64 / tiers as f64;
        let (r, low) = (wide * (1.0 - 0.75 * t), foot + 1.1 * t);
        let high = low + 1.1 * 1.5 / tiers as f64 * if tiers == 1 { 0.75 } else { 1.0 };
        let cone = solid(&[[r, low], [r * 0.5, (low + high) / 2.0], [0.0, high]], corners);
        warped(cone, |[x, y, z]| {
            let drop = jag * r * libm::sin(libm::atan2(y, x) * (corners as f64 / 2.0));
            [x, y, z - if z < low + 1e-9 { drop.max(0.0) } else { 0.0 }]
        })
    };
    merge((0..tiers).map(tier).chain([trunk]))
}

fn palm(random: &mut Random) -> Mesh {
    let lean = random.between(-0.4, 0.4);
    let path = curve(&[[0.0; 3], [lean * 0.3, 0.0, 0.5], [lean, 0.1, 1.2]], 8);
    let top = path[path.len() - 1];
    let rings: Vec<f64> =
        (0..path.len()).map(|i| 0.06 - 0.02 * i as f64 / 16.0 + if i % 2 == 0 { 0.006 } else { 0.0 }).collect();
    let mut parts = vec![limb(&path, &rings, 10)];
    let (leaves, long) = (random.count(6, 13), random.between(0.5, 0.8));
    let droop = random.between(0.4, 1.1);
    for i in 0..leaves {
        let way = direction(TAU * (i as f64 + random.between(-0.3, 0.3)) / leaves as f64, random.between(0.0, 0.8));
        parts.push(leaf(top, way, long, random.between(0.12, 0.2), droop));
    }
    if random.coin() {
        parts.extend((0..3).map(|i| moved(ball(0.055, 8), add(top, times(direction(2.0 * f64::from(i), -0.6), 0.08)))));
    }
    merge(parts)
}

fn pot(random: &mut Random) -> (Mesh, f64) {
    let (foot, rim, high) = (random.between(0.14, 0.25), random.between(0.2, 0.34), random.between(0.2, 0.5));
    let mut outer =
        line(random, &[[foot, 0.0], [(foot + rim) / 2.0 * (0.95 + 0.4 * high), high * 0.5], [rim, high]], 0.6);
    outer.extend([[rim + 0.025, high], [rim + 0.025, high + 0.05]]);
    let soil = solid(&[[rim * 0.9, high - 0.06], [rim * 0.9, high - 0.03]], 20);
    (merge([hollow(&outer, 0, 0.03, 26), soil]), high)
}

fn potted(random: &mut Random, cactus: bool) -> Mesh {
    let (pot, top) = pot(random);
    let mut parts = vec![pot];
    let root = [0.0, 0.0, top - 0.04];
    if cactus {
        let mut body = Blend::new(0.05);
        let (girth, tall) = (random.between(0.07, 0.2), random.between(0.2, 0.9));
        body.limb(root, add(root, [0.0, 0.0, tall]), girth, girth * 0.9);
        for _ in 0..random.count(0, 3) {
            let way = direction(random.between(0.0, TAU), 0.0);
            let from = add(root, [0.0, 0.0, tall * random.between(0.3, 0.7)]);
            let elbow = add(from, times(way, girth + random.between(0.1, 0.2)));
            body.chain(
                &[from, elbow, add(elbow, [0.0, 0.0, random.between(0.1, 0.35)])],
                &[girth * 0.55, girth * 0.55, girth * 0.5],
            );
        }
        parts.push(surface(&body, random.count(26, 40)));
        return merge(parts);
    }
    let (leaves, long) = (random.count(5, 28), random.between(0.3, 0.9));
    let (wide, droop) = (random.between(0.05, 0.28), random.between(0.0, 0.9));
    let stems = random.coin();
    let up = random.between(0.3, 1.3);
    for i in 0..leaves {
        let azimuth = 2.4 * i as f64 + random.between(-0.3, 0.3);
        let way = direction(azimuth, up * random.between(0.6, 1.15));
        if stems {
            let end = add(root, times(way, long * random.between(0.5, 1.0)));
            let bow = add(times(add(root, end), 0.5), [0.0, 0.0, 0.08]);
            parts.push(limb(&curve(&[root, bow, end], 3), &[0.013; 7], 5));
            parts.push(leaf(end, direction(azimuth, random.between(-0.3, 0.6)), long * 0.5, wide, droop));
        } else {
            parts.push(leaf(root, way, long * random.between(0.7, 1.1), wide, droop));
        }
    }
    merge(parts)
}

fn flower(random: &mut Random) -> Mesh {
    let (petals, layers) = (random.count(4, 16), random.count(1, 3));
    let (long, lift) = (random.between(0.2, 0.5), random.between(-0.1, 1.1));
    let wide = random.between(0.6, 1.6) * TAU * long * 0.5 / petals as f64;
    let heart = random.between(0.05, 0.15);
    let mut head = vec![stretched(ball(heart, 14), [1.0, 1.0, random.between(0.4, 1.0)])];
    for k in 0..layers {
        let petal = leaf(
            [heart * 0.6, 0.0, 0.02 * k as f64],
            direction(0.0, lift + 0.3 * k as f64),
            long * (1.0 - 0.2 * k as f64),
            wide,
            random.between(-0.3, 0.4),
        );
        head.push(turned(radial(&petal, petals), 2, 0.5 * k as f64));
    }
    let tall = random.between(0.4, 1.3);
    let (lean, tilt) = (random.between(-0.3, 0.3), random.between(0.0, 0.9));
    let stem = curve(&[[0.0; 3], [lean * 0.4, 0.0, tall * 0.6], [lean, 0.0, tall]], 5);
    let mut parts = vec![limb(&stem, &[0.02; 11], 7), moved(turned(merge(head), 1, tilt), [lean, 0.0, tall])];
    for _ in 0..random.count(0, 4) {
        let at = stem[random.count(1, 6)];
        parts.push(leaf(
            at,
            direction(random.between(0.0, TAU), random.between(0.2, 1.0)),
            random.between(0.2, 0.5),
            random.between(0.06, 0.16),
            0.4,
        ));
    }
    merge(parts)
}

fn grass(random: &mut Random) -> Mesh {
    let (count, spread) = (random.count(12, 60), random.between(0.02, 0.4));
    let (long, wide) = (random.between(0.5, 1.0), random.between(0.015, 0.06));
    let lean = random.between(0.2, 1.0);
    merge((0..count).map(|_| {
        let azimuth = random.between(0.0, TAU);
        let at = times(direction(random.between(0.0, TAU), 0.0), spread * random.between(0.0, 1.0));
        leaf(at, direction(azimuth, 1.5 - lean * random.between(0.1, 1.0)), long * random.between(0.6, 1.1), wide, 0.5)
    }))
}

fn mushroom(random: &mut Random) -> Mesh {
    let one = |random: &mut Random| {
        let (stem, tall) = (random.between(0.06, 0.16), random.between(0.3, 0.9));
        let (cap, dome) = (random.between(0.2, 0.6), random.between(0.1, 0.5));
        let foot =
            solid(&curve(&[[stem * random.between(1.0, 1.6), 0.0], [stem, tall * 0.4], [stem * 0.9, tall]], 4), 16);
        let top = [
            [0.02, -0.02],
            [cap * 0.9, random.between(-0.12, 0.03)],
            [cap, 0.03],
            [cap * 0.75, dome * 0.7],
            [0.0, dome],
        ];
        merge([foot, moved(solid(&line(random, &top, 0.8), 26), [0.0, 0.0, tall])])
    };
    let count = random.count(1, 3);
    merge((0..count).map(|_| {
        let made = one(random);
        let tilt = random.between(-0.25, 0.25);
        let at = [random.between(-0.3, 0.3), random.between(-0.3, 0.3), 0.0];
        moved(turned(made, 1, tilt), at)
    }))
}

fn fruit(random: &mut Random) -> Mesh {
    let (tall, dent) = (random.between(0.7, 1.6), random.between(0.0, 0.2));
    let (low, high) = (random.between(0.25, 0.55), random.between(0.2, 0.55));
    let side =
        [[0.0, dent], [low * 0.6, 0.0], [low, tall * 0.3], [high, tall * 0.7], [high * 0.5, tall], [0.0, tall - dent]];
    let ribs = if random.chance(0.4) { random.count(4, 11) as f64 } else { 0.0 };
    let bend = if random.chance(0.3) { random.between(0.3, 1.0) } else { 0.0 };
    let body = warped(solid(&line(random, &side, 1.0), 44), |[x, y, z]| {
        let swell = 1.0 + 0.07 * ribs.min(1.0) * libm::cos(ribs * libm::atan2(y, x));
        [x * swell + bend * (z - tall / 2.0) * (z - tall / 2.0), y * swell, z]
    });
    let at = [bend * tall * tall / 4.0, 0.0, tall - dent];
    let tip = add(at, [random.between(-0.1, 0.1), 0.0, dent + random.between(0.05, 0.25)]);
    let mut parts = vec![body, limb(&[at, tip], &[0.025, 0.035], 7)];
    if random.chance(0.5) {
        parts.push(leaf(tip, direction(random.between(0.0, TAU), 0.4), 0.35, 0.16, 0.3));
    }
    merge(parts)
}
