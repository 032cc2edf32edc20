//! Buildings: blocks, roofs, towers, columns.

use super::Kind;
use super::form::{bar, both, radial, rod, stretched};
use super::turned::solid;
use crate::build::solid::{ball, cuboid, extrude, merge, moved, polar, rectangle, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("house", house),
    ("church", church),
    ("castle", castle),
    ("skyscraper", skyscraper),
    ("temple", temple),
    ("stepped-pyramid", pyramid),
];

/// A roof over a rectangle at height `z`: gabled along x, or hipped.
pub(super) fn roof(random: &mut Random, [wide, deep]: [f64; 2], z: f64, high: f64) -> Mesh {
    let over = random.between(0.0, 0.08);
    let (w, d) = (wide / 2.0 + over, deep / 2.0 + over);
    let ridge = if random.coin() { w } else { w * random.between(0.0, 0.8) }.max(0.01);
    let corners = [[w, d], [-w, d], [-w, -d], [w, -d]];
    let ring = |scale: &dyn Fn([f64; 2]) -> [f64; 2], z: f64| {
        corners.iter().map(|c| scale(*c)).map(|[x, y]| [x, y, z]).collect::<Vec<_>>()
    };
    let top = |[x, y]: [f64; 2]| [x.signum() * ridge, y * 0.001];
    super::form::loft(&[ring(&|c| c, z), ring(&|c| c, z + 0.03), ring(&top, z + high)], super::form::Ends::Capped)
}

/// Panes set into the walls along x at both sides, as shallow boxes.
fn windows(n: usize, m: usize, [wide, deep]: [f64; 2], [low, high]: [f64; 2]) -> Mesh {
    let (dx, dz) = (wide / n as f64, (high - low) / m as f64);
    let pane = |i: usize, j: usize| {
        cuboid(
            [dx * 0.5, 0.04, dz * 0.55],
            [dx * (i as f64 + 0.5) - wide / 2.0, deep / 2.0, low + dz * (j as f64 + 0.5)],
        )
    };
    both(merge((0..n).flat_map(|i| (0..m).map(move |j| pane(i, j)))), 1)
}

fn house(random: &mut Random) -> Mesh {
    let (wide, deep, wall) = (random.between(0.8, 1.6), random.between(0.6, 1.0), random.between(0.35, 0.9));
    let peak = random.between(0.15, 0.6);
    let mut parts = vec![cuboid([wide, deep, wall], [0.0, 0.0, wall / 2.0]), roof(random, [wide, deep], wall, peak)];
    let floors = if wall > 0.6 { 2 } else { 1 };
    parts.push(windows(random.count(2, 5), floors, [wide, deep], [0.1, wall]));
    parts.push(cuboid([0.05, 0.18, 0.32], [wide / 2.0, random.between(-0.2, 0.2), 0.16]));
    if random.chance(0.6) {
        parts
            .push(cuboid([0.12, 0.12, peak * 0.9], [wide * random.between(-0.3, 0.3), deep * 0.18, wall + peak * 0.7]));
    }
    if random.chance(0.45) {
        let (w, d, h) = (deep * random.between(0.4, 0.7), random.between(0.3, 0.7), wall * random.between(0.6, 1.0));
        let side = merge([cuboid([d + 0.3, w, h], [0.0, 0.0, h / 2.0]), roof(random, [d + 0.3, w], h, peak * 0.7)]);
        parts.push(moved(turned(side, 2, FRAC_PI_2), [wide * random.between(-0.25, 0.25), deep / 2.0, 0.0]));
    }
    if random.chance(0.3) {
        let porch = deep / 2.0 + 0.3;
        parts.push(cuboid([wide, 0.3, 0.04], [0.0, -porch + 0.15, wall * 0.7]));
        let posts = random.count(2, 5);
        parts.extend((0..posts).map(|i| {
            rod(
                [wide * (0.9 * i as f64 / (posts - 1) as f64 - 0.45), -porch + 0.03, 0.0],
                [wide * (0.9 * i as f64 / (posts - 1) as f64 - 0.45), -porch + 0.03, wall * 0.7],
                0.025,
                0.025,
                8,
            )
        }));
    }
    merge(parts)
}

fn church(random: &mut Random) -> Mesh {
    let (long, wide, wall) = (random.between(0.9, 1.6), random.between(0.4, 0.65), random.between(0.4, 0.6));
    let peak = random.between(0.25, 0.5);
    let (tower, tall) = (random.between(0.28, 0.4), random.between(0.8, 1.3));
    let spire = random.between(0.3, 1.1);
    let corners = random.pick(&[4, 4, 8, 20]);
    let cap = turned(solid(&[[tower * 0.72, 0.0], [tower * 0.3, spire * 0.55], [0.0, spire]], corners), 2, TAU / 8.0);
    let mut parts = vec![
        cuboid([long, wide, wall], [0.0, 0.0, wall / 2.0]),
        roof(random, [long, wide], wall, peak),
        windows(random.count(3, 6), 1, [long, wide], [0.1, wall]),
    ];
    let twin = random.chance(0.3);
    let body = merge([
        cuboid([tower, tower, tall], [0.0, 0.0, tall / 2.0]),
        moved(cap, [0.0, 0.0, tall]),
        rod([0.0, 0.0, tall + spire - 0.05], [0.0, 0.0, tall + spire + 0.12], 0.012, 0.012, 6),
    ]);
    parts.push(if twin {
        both(moved(body, [long / 2.0, wide * 0.45, 0.0]), 1)
    } else {
        moved(body, [long / 2.0, 0.0, 0.0])
    });
    if random.chance(0.4) {
        let arm = merge([
            cuboid([wide * 1.8, wide * 0.8, wall], [0.0, 0.0, wall / 2.0]),
            roof(random, [wide * 1.8, wide * 0.8], wall, peak),
        ]);
        parts.push(moved(turned(arm, 2, FRAC_PI_2), [-long * 0.2, 0.0, 0.0]));
    }
    if random.chance(0.3) {
        let dome = stretched(ball(wide * 0.45, 22), [1.0, 1.0, random.between(0.8, 1.3)]);
        parts.push(moved(dome, [-long * 0.2, 0.0, wall + peak * 0.8]));
    }
    merge(parts)
}

/// A tower with battlements, or a pointed roof.
fn tower(random: &mut Random, radius: f64, high: f64) -> Mesh {
    let sides = random.pick(&[4, 8, 24, 24]);
    let mut parts = vec![solid(
        &[[radius, 0.0], [radius * 0.93, high * 0.9], [radius * 1.12, high * 0.93], [radius * 1.12, high]],
        sides,
    )];
    if random.coin() {
        let cone = random.between(1.2, 2.6) * radius;
        parts.push(moved(solid(&[[radius * 1.25, 0.0], [0.0, cone]], sides), [0.0, 0.0, high]));
    } else {
        parts.push(radial(
            &cuboid([radius * 0.2, radius * 0.4, radius * 0.4], [radius * 0.98, 0.0, high + radius * 0.15]),
            8,
        ));
    }
    merge(parts)
}

fn castle(random: &mut Random) -> Mesh {
    let (corners, reach) = (random.count(3, 6), random.between(0.6, 1.0));
    let (wall, radius) = (random.between(0.25, 0.5), random.between(0.1, 0.2));
    let tall = wall * random.between(1.2, 1.9);
    let one = tower(random, radius, tall);
    let at = |i: usize| polar(reach, TAU * i as f64 / corners as f64);
    let mut parts: Vec<Mesh> = (0..corners).map(|i| moved(one.clone(), [at(i)[0], at(i)[1], 0.0])).collect();
    for i in 0..corners {
        let ([x, y], [p, q]) = (at(i), at(i + 1));
        parts.push(bar([x, y, wall / 2.0], [p, q, wall / 2.0], 0.08, wall));
        parts.extend((1..8).filter(|k| k % 2 == 1).map(|k| {
            let t = f64::from(k) / 8.0;
            cuboid([0.07, 0.07, 0.08], [x + (p - x) * t, y + (q - y) * t, wall + 0.03])
        }));
    }
    if random.chance(0.7) {
        let (keep, tall) = (random.between(0.18, 0.35), tall * random.between(1.2, 1.8));
        parts.push(tower(random, keep, tall));
    }
    merge(parts)
}

fn skyscraper(random: &mut Random) -> Mesh {
    let (mut wide, mut z) = (random.between(0.35, 0.6), 0.0);
    let (deep, round) = (random.between(0.5, 1.1), random.chance(0.25));
    let ledge = random.between(0.06, 0.15);
    let mut parts = Vec::new();
    for _ in 0..random.count(1, 4) {
        let tall = random.between(0.4, 1.2);
        let block = |scale: f64, low: f64, high: f64| {
            if round {
                tube(wide * scale * 0.6, 0.0, low, high, 30)
            } else {
                extrude(&rectangle(wide * scale, wide * scale * deep, 0.0), &[], low, high)
            }
        };
        parts.push(block(1.0, z, z + tall));
        let floors = (tall / ledge) as usize;
        parts.extend((1..=floors).map(|i| block(1.05, z + ledge * i as f64 - 0.02, z + ledge * i as f64)));
        z += tall;
        wide *= random.between(0.6, 0.9);
    }
    match random.count(0, 2) {
        0 => parts.push(rod([0.0, 0.0, z], [0.0, 0.0, z + random.between(0.2, 0.7)], 0.025, 0.008, 8)),
        1 => parts.push(moved(
            turned(solid(&[[wide * 0.75, 0.0], [0.0, random.between(0.1, 0.6)]], 4), 2, TAU / 8.0),
            [0.0, 0.0, z],
        )),
        _ => parts.push(cuboid([wide * 0.4, wide * 0.3, 0.1], [0.0, 0.0, z + 0.05])),
    }
    merge(parts)
}

fn temple(random: &mut Random) -> Mesh {
    let (n, m) = (random.count(4, 8), random.count(2, 5));
    let (step, high) = (random.between(0.22, 0.35), random.between(0.5, 0.9));
    let (long, wide) = (step * n as f64, step * m as f64);
    let radius = step * random.between(0.14, 0.25);
    let column = solid(
        &[[radius * 1.3, 0.0], [radius, 0.05], [radius * 0.85, high - 0.06], [radius * 1.4, high]],
        random.count(8, 18),
    );
    let mut parts: Vec<Mesh> = (0..random.count(1, 3))
        .map(|i| {
            cuboid(
                [long + 0.15 + 0.1 * i as f64, wide + 0.15 + 0.1 * i as f64, 0.05],
                [0.0, 0.0, -0.025 - 0.05 * i as f64],
            )
        })
        .collect();
    for i in 0..n {
        for j in (0..m).filter(|j| i == 0 || i + 1 == n || *j == 0 || j + 1 == m) {
            parts.push(moved(
                column.clone(),
                [step * (i as f64 + 0.5) - long / 2.0, step * (j as f64 + 0.5) - wide / 2.0, 0.0],
            ));
        }
    }
    parts.push(cuboid([long + 0.05, wide + 0.05, 0.1], [0.0, 0.0, high + 0.05]));
    let peak = random.between(0.12, 0.4);
    parts.push(roof(random, [long + 0.05, wide + 0.05], high + 0.1, peak));
    if random.coin() {
        parts.push(cuboid([long * 0.6, wide * 0.5, high], [0.0, 0.0, high / 2.0]));
    }
    merge(parts)
}

fn pyramid(random: &mut Random) -> Mesh {
    let (steps, corners) = (random.count(1, 9), random.pick(&[3, 4, 4, 4, 6, 24]));
    let (high, top) = (random.between(0.5, 1.4), random.between(0.0, 0.4));
    let mut outer = Vec::new();
    for i in 0..steps {
        let (t, next) = (i as f64 / steps as f64, (i + 1) as f64 / steps as f64);
        let r = 1.0 - (1.0 - top) * t;
        outer.push([r, high * t]);
        if steps > 1 {
            outer.push([r * random.between(0.95, 1.0), high * next]);
        }
    }
    outer.push([top, high]);
    let mut parts = vec![turned(solid(&outer, corners), 2, TAU / 8.0)];
    if top > 0.15 && random.chance(0.6) {
        parts.push(cuboid([top, top, 0.2], [0.0, 0.0, high + 0.1]));
    }
    if random.chance(0.3) {
        parts.push(bar([1.0, 0.0, 0.0], [top.max(0.05), 0.0, high], 0.2, 0.1));
    }
    merge(parts)
}
