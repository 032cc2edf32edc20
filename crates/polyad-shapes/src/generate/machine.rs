//! Machine parts: shafts, screws, bearings, pipes, drives.

use super::Kind;
use super::form::{bar, both, placed, radial, rod, stretched, torus, warped};
use super::turned::solid;
use super::vector::Point;
use crate::build::solid::{
    Outline, ball, circle, cuboid, extrude, merge, moved, polar, polygon, rectangle, revolve, tube, turned,
};
use crate::build::sweep::sweep;
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("stepped-shaft", stepped_shaft),
    ("bolt", bolt),
    ("wood-screw", wood_screw),
    ("nut", nut),
    ("ball-bearing", bearing),
    ("pulley", pulley),
    ("spring", spring),
    ("pipe-bend", pipe_bend),
    ("pipe-tee", pipe_tee),
    ("valve", valve),
    ("crankshaft", crankshaft),
    ("chain", chain),
    ("motor", motor),
    ("impeller", |random| blades(random, true)),
    ("fan-or-propeller", |random| blades(random, false)),
    ("pillow-block", pillow_block),
    ("bevel-gear", bevel_gear),
];

fn sides(random: &mut Random) -> usize {
    random.count(16, 36)
}

fn stepped_shaft(random: &mut Random) -> Mesh {
    let mut outer = Outline::new();
    let mut z = 0.0;
    for _ in 0..random.count(3, 8) {
        let (r, long) = (random.between(0.08, 0.3), random.between(0.08, 0.6));
        let edge = 0.02;
        outer.extend([[r - edge, z], [r, z + edge], [r, z + long - edge], [r - edge, z + long]]);
        z += long;
    }
    let mut parts = vec![solid(&outer, sides(random))];
    if random.chance(0.4) {
        parts.push(cuboid([0.1, 0.62, 0.3], [0.0, 0.0, z * random.between(0.3, 0.7)]));
    }
    merge(parts)
}

/// A ridge that winds about z from `low` to `high`.
fn thread(radius: impl Fn(f64) -> f64, low: f64, high: f64, pitch: f64) -> Mesh {
    let steps = (((high - low) / pitch * 14.0) as usize).clamp(8, 220);
    let path: Vec<Point> = (0..=steps)
        .map(|i| {
            let t = i as f64 / steps as f64;
            let z = low + (high - low) * t;
            let [x, y] = polar(radius(t), TAU * (high - low) / pitch * t);
            [x, y, z]
        })
        .collect();
    sweep(&path, pitch * 0.3, 0.0, 4)
}

fn bolt(random: &mut Random) -> Mesh {
    let (radius, long) = (random.between(0.08, 0.25), random.between(0.5, 1.8));
    let head = radius * random.between(1.4, 2.0);
    let tall = radius * random.between(0.7, 2.0);
    let segments = sides(random);
    let mut parts = vec![solid(&[[radius * 0.8, -long], [radius, -long + 0.06], [radius, 0.01]], segments)];
    parts.push(match random.count(0, 3) {
        0 | 1 => extrude(&polygon(head * 1.1, 6, 0.0), &[], 0.0, tall),
        2 => extrude(&circle(head, 28), &[polygon(head * 0.55, 6, 0.2)], 0.0, tall),
        _ => solid(&[[head, 0.0], [head * 0.85, tall * 0.5], [head * 0.4, tall * 0.8], [0.0, tall * 0.85]], segments),
    });
    if random.chance(0.7) {
        let pitch = random.between(0.05, 0.1);
        parts.push(thread(|_| radius, -long + 0.05, -long * random.between(0.1, 0.6), pitch));
    }
    if random.chance(0.3) {
        parts.push(tube(head * 1.3, radius, -0.05, 0.0, segments));
    }
    if random.chance(0.25) {
        let low = -long * random.between(0.5, 0.9);
        parts.push(extrude(&polygon(head * 1.15, 6, 0.3), &[circle(radius, 20)], low, low + tall));
    }
    merge(parts)
}

fn wood_screw(random: &mut Random) -> Mesh {
    let (radius, long) = (random.between(0.06, 0.12), random.between(0.7, 1.4));
    let head = radius * random.between(1.7, 2.4);
    let pitch = random.between(0.07, 0.12);
    let core = solid(
        &[
            [0.0, -long],
            [radius * 0.7, -long * 0.7],
            [radius, -long * 0.2],
            [head, 0.0],
            [head * 0.9, random.between(0.02, 0.1)],
        ],
        22,
    );
    let slots = cuboid([2.1 * head, 0.03, 0.04], [0.0, 0.0, 0.1]);
    let ridge =
        thread(|t| radius * (0.15 + 0.85 * (t * 2.5).min(1.0)), -long * 0.97, -long * random.between(0.2, 0.4), pitch);
    merge([core, ridge, slots])
}

fn nut(random: &mut Random) -> Mesh {
    let (bore, high) = (random.between(0.4, 0.7), random.between(0.3, 1.2));
    let body =
        extrude(&polygon(1.0, random.pick(&[4, 6, 6, 6, 8]), 0.0), &[circle(bore * 0.95, sides(random))], 0.0, high);
    match random.count(0, 3) {
        0 => merge([body, tube(random.between(1.0, 1.4), bore, -0.12, 0.02, 36)]),
        1 => merge([body, revolve(&[[bore, high], [0.85, high], [0.8, high + 0.1], [bore, high + 0.5]], 28)]),
        2 => {
            let wing =
                moved(turned(extrude(&rectangle(0.9, 0.9, 0.4), &[], -0.1, 0.1), 0, FRAC_PI_2), [1.0, 0.0, high]);
            merge([tube(0.75, bore, 0.0, high, 24), both(wing, 0)])
        }
        _ => body,
    }
}

fn bearing(random: &mut Random) -> Mesh {
    let (bore, half) = (random.between(0.3, 0.6), random.between(0.1, 0.3));
    let gap = 1.0 - bore;
    let (inner, outer) = (bore + gap * random.between(0.2, 0.32), 1.0 - gap * random.between(0.2, 0.32));
    let (pitch, radius) = ((inner + outer) / 2.0, (outer - inner) * random.between(0.5, 0.62));
    let segments = random.count(26, 44);
    let mut parts = vec![tube(inner, bore, -half, half, segments), tube(1.0, outer, -half, half, segments)];
    let count = ((TAU * pitch / (2.1 * radius)) as usize).min(random.count(6, 18));
    if random.chance(0.7) {
        parts.push(radial(&moved(ball(radius, 12), [pitch, 0.0, 0.0]), count.max(4)));
    } else {
        parts.push(radial(&moved(tube(radius, 0.0, -half * 0.9, half * 0.9, 12), [pitch, 0.0, 0.0]), count.max(4)));
    }
    if random.chance(0.25) {
        parts.push(tube(outer + 0.01, inner - 0.01, half * 0.7, half * 0.85, segments));
    }
    merge(parts)
}

fn pulley(random: &mut Random) -> Mesh {
    let (bore, deep) = (random.between(0.1, 0.35), random.between(0.1, 0.35));
    let (groove, rim) = (random.between(0.1, 0.4), random.between(0.03, 0.12));
    let mut profile: Outline = vec![[bore, 0.0], [1.0, 0.0]];
    let mut z = rim;
    for _ in 0..random.count(1, 5) {
        profile.extend([[1.0, z], [1.0 - deep, z + groove * 0.35], [1.0 - deep, z + groove * 0.65], [1.0, z + groove]]);
        z += groove + rim;
    }
    profile.extend([[1.0, z], [bore, z]]);
    let hub = tube(bore * 1.6, bore, -random.between(0.0, 0.4), z + random.between(0.01, 0.3), 24);
    merge([revolve(&profile, random.count(24, 48)), hub])
}

fn spring(random: &mut Random) -> Mesh {
    let (turns, rise) = (random.between(3.0, 11.0), random.between(0.12, 0.5));
    let wire = random.between(0.03, rise * 0.45);
    let cone = if random.chance(0.3) { random.between(-0.6, 0.6) } else { 0.0 };
    let steps = (turns * 18.0) as usize;
    let mut path: Vec<Point> = (0..=steps)
        .map(|i| {
            let t = i as f64 / steps as f64;
            let [x, y] = polar(0.5 * (1.0 - cone * t), TAU * turns * t);
            [x, y, rise * turns * t]
        })
        .collect();
    if random.chance(0.3) {
        let top = path[steps];
        path.extend([[top[0] * 0.5, top[1] * 0.5, top[2] + 0.1], [0.0, 0.0, top[2] + 0.3]]);
    }
    sweep(&path, wire, 0.0, random.count(5, 9))
}

fn pipe_bend(random: &mut Random) -> Mesh {
    let radius = random.between(0.1, 0.3);
    let turn = random.pick(&[0.8, FRAC_PI_2, FRAC_PI_2, TAU / 2.0]);
    let long = random.between(0.1, 1.0);
    let mut path: Vec<Point> = vec![[0.6, -long, 0.0]];
    path.extend((0..=14).map(|i| {
        let [x, y] = polar(0.6, turn * f64::from(i) / 14.0);
        [x, y, 0.0]
    }));
    let ([c, s], end) = (polar(1.0, turn), path[15]);
    let out = random.between(0.1, 1.0);
    path.push([end[0] - s * out, end[1] + c * out, 0.0]);
    let mut parts = vec![sweep(&path, radius, radius * random.between(0.7, 0.92), random.count(16, 30))];
    let collar = radius * random.between(1.2, 1.8);
    if random.chance(0.7) {
        let ring = tube(collar, radius * 0.8, -0.06, 0.06, 28);
        parts.push(placed(ring.clone(), path[0], [0.0, 1.0, 0.0]));
        parts.push(placed(ring, path[16], [-s, c, 0.0]));
    }
    merge(parts)
}

fn pipe_tee(random: &mut Random) -> Mesh {
    let radius = random.between(0.15, 0.3);
    let wall = radius * random.between(0.7, 0.9);
    let arms: &[Point] = match random.count(0, 3) {
        0 => &[[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        1 => &[[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]],
        2 => &[[-1.0, 0.0, 0.0], [0.7, 0.0, 0.7], [0.7, 0.0, -0.7]],
        _ => &[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    };
    let collar = random.between(1.05, 1.6);
    let long = random.between(0.4, 0.9);
    let arm = merge([
        tube(radius, wall, 0.0, long, 26),
        tube(radius * collar, wall, long - random.between(0.08, 0.25), long, 26),
    ]);
    merge(arms.iter().map(|way| placed(arm.clone(), [0.0; 3], *way)).chain([ball(radius * 1.02, 22)]))
}

fn valve(random: &mut Random) -> Mesh {
    let radius = random.between(0.15, 0.25);
    let (stem, wheel) = (random.between(0.4, 0.8), random.between(0.2, 0.45));
    let flange = tube(radius * random.between(1.3, 1.8), radius * 0.7, 0.5, 0.6, 24);
    let run = placed(merge([tube(radius, radius * 0.7, -0.6, 0.6, 24), flange]), [0.0; 3], [1.0, 0.0, 0.0]);
    let spoke = rod([0.0; 3], [wheel, 0.0, 0.0], 0.02, 0.02, 6);
    let hand = if random.chance(0.7) {
        merge([torus(wheel, 0.035, 28, 8), radial(&spoke, random.count(3, 6))])
    } else {
        bar([-0.05, 0.0, 0.0], [wheel * 2.0, 0.0, 0.05], 0.1, 0.04)
    };
    merge([
        both(run, 0),
        stretched(ball(radius * 1.25, 20), [1.0, 1.0, random.between(0.9, 1.4)]),
        solid(&[[radius * 0.9, 0.0], [radius * 0.7, stem * 0.6], [0.04, stem * 0.65], [0.04, stem]], 20),
        moved(hand, [0.0, 0.0, stem]),
    ])
}

fn crankshaft(random: &mut Random) -> Mesh {
    let throws = random.count(1, 4);
    let (reach, radius) = (random.between(0.18, 0.35), random.between(0.06, 0.11));
    let (web, pin) = (random.between(0.05, 0.1), random.between(0.12, 0.25));
    let mut parts = Vec::new();
    let mut x = 0.0;
    let along = |from: f64, to: f64, r: f64, y: f64, z: f64| rod([from, y, z], [to, y, z], r, r, 20);
    for i in 0..throws {
        let turn = TAU * i as f64 / throws as f64 * random.pick(&[1.0, 1.0, 2.0]);
        let [y, z] = polar(reach, turn);
        parts.push(along(x, x + pin + web, radius, 0.0, 0.0));
        x += pin;
        let cheek = extrude(&rectangle(2.6 * radius, 2.0 * reach + 2.4 * radius, radius), &[], 0.0, web);
        let cheek = turned(turned(cheek, 1, FRAC_PI_2), 0, turn - FRAC_PI_2);
        let cheek = |at: f64| moved(cheek.clone(), [at, y * 0.3, z * 0.3]);
        parts.extend([cheek(x), cheek(x + web + pin), along(x, x + 2.0 * web + pin, radius * 0.9, y, z)]);
        x += 2.0 * web + pin;
    }
    parts.push(along(x - web, x + 1.5 * pin, radius, 0.0, 0.0));
    merge(parts)
}

fn chain(random: &mut Random) -> Mesh {
    let (links, wire) = (random.count(2, 9), random.between(0.05, 0.13));
    let long = random.between(0.25, 0.6);
    let around: Vec<Point> = (0..=28)
        .map(|i| {
            let [x, y] = polar(0.3, TAU * f64::from(i) / 28.0);
            [x + if x >= 0.0 { long / 2.0 } else { -long / 2.0 }, y, 0.0]
        })
        .collect();
    let link = sweep(&around, wire, 0.0, 8);
    let bend = random.between(-0.35, 0.35);
    let mut at = [0.0; 3];
    let mut parts = Vec::new();
    for i in 0..links {
        let tilted = turned(link.clone(), 0, if i % 2 == 0 { 0.0 } else { FRAC_PI_2 });
        let angle = bend * i as f64;
        parts.push(moved(turned(tilted, 2, angle), at));
        let [x, y] = polar(long + 0.6 - 2.0 * wire, angle + bend / 2.0);
        at = [at[0] + x, at[1] + y, 0.0];
    }
    merge(parts)
}

fn motor(random: &mut Random) -> Mesh {
    let (long, shaft) = (random.between(0.8, 1.8), random.between(0.06, 0.14));
    let fins = random.count(0, 1) * random.count(12, 30);
    let mut parts = vec![tube(0.42, 0.0, 0.0, long, 30), tube(shaft, 0.0, -random.between(0.2, 0.5), long, 16)];
    if fins > 0 {
        parts.push(radial(&cuboid([0.14, 0.02, long * 0.8], [0.45, 0.0, long / 2.0]), fins));
    }
    parts.push(solid(&[[0.42, long], [0.45, long + 0.01], [0.4, long + 0.2], [0.2, long + 0.25]], 26));
    if random.chance(0.5) {
        let foot = cuboid([0.12, 1.0, 0.3], [-0.5, 0.0, 0.2]);
        parts.extend([moved(foot.clone(), [0.0, 0.0, long - 0.4]), foot]);
    } else {
        parts.push(extrude(&rectangle(1.05, 1.05, 0.1), &[], -0.08, 0.02));
    }
    if random.chance(0.5) {
        parts.push(cuboid([0.25, 0.3, 0.35], [0.5, 0.0, long * 0.55]));
    }
    turned(merge(parts), 1, FRAC_PI_2)
}

/// Blades about a hub: upright and curved on a disc, or pitched and broad.
fn blades(random: &mut Random, upright: bool) -> Mesh {
    let (count, hub) =
        (random.count(if upright { 5 } else { 2 }, if upright { 14 } else { 7 }), random.between(0.12, 0.28));
    let (curl, tall) = (random.between(-1.2, 1.2), random.between(0.15, 0.5));
    let (pitch, wide) = (random.between(0.3, 1.1), random.between(0.15, 0.6));
    let blade = super::form::slab(8, 4, [0.0, 0.02, 0.012], |u, v| {
        let r = hub * 0.8 + (1.0 - hub * 0.8) * u;
        if upright {
            let [x, y] = polar(r, curl * u);
            return [x, y, tall * v * (1.0 - 0.5 * u)];
        }
        let angle = pitch * (1.0 - 0.5 * u);
        let across = (v - 0.5) * wide * (0.5 + u * (1.6 - u));
        let [c, s] = polar(1.0, angle);
        [r, across * c, across * s]
    });
    let mut parts = vec![
        radial(&blade, count),
        solid(&[[hub, -0.06], [hub, tall * 0.5], [hub * 0.6, tall * 0.9], [0.0, tall]], 24),
    ];
    if upright && random.chance(0.8) {
        parts.push(tube(1.02, 0.0, -0.05, 0.01, 36));
    }
    if !upright && random.chance(0.35) {
        parts.push(tube(1.1, 1.03, -0.2, 0.2, 36));
        let strut = bar([hub, 0.0, -0.15], [1.05, 0.0, -0.15], 0.05, 0.03);
        parts.push(radial(&strut, 3));
    }
    merge(parts)
}

fn pillow_block(random: &mut Random) -> Mesh {
    let (outer, bore) = (random.between(0.35, 0.5), random.between(0.5, 0.8));
    let (wide, foot) = (random.between(0.2, 0.5), random.between(0.7, 1.0));
    let high = outer + random.between(0.05, 0.3);
    let ring = turned(tube(outer, outer * bore, -wide / 2.0, wide / 2.0, 32), 0, FRAC_PI_2);
    let hole = |x: f64| circle(0.08, 14).iter().map(|p| [p[0] + x, p[1]]).collect::<Outline>();
    let base = extrude(&rectangle(2.0 * foot, wide * 1.2, 0.06), &[hole(foot - 0.18), hole(0.18 - foot)], 0.0, 0.14);
    let web = cuboid([outer * 1.8, wide * 0.8, high - outer * bore], [0.0, 0.0, (high - outer * bore) / 2.0]);
    merge([moved(ring, [0.0, 0.0, high]), base, web])
}

fn bevel_gear(random: &mut Random) -> Mesh {
    let (count, high) = (random.count(10, 30), random.between(0.2, 0.7));
    let slope = random.between(0.3, 0.8);
    let outline: Outline = (0..count)
        .flat_map(|i| {
            [(0.0, 0.86), (0.3, 0.86), (0.5, 1.0), (0.8, 1.0)]
                .map(|(part, r)| polar(r, TAU * (i as f64 + part) / count as f64))
        })
        .collect();
    let twist = if random.chance(0.4) { random.between(-0.4, 0.4) } else { 0.0 };
    let body = extrude(&outline, &[circle(random.between(0.1, 0.3), 18)], 0.0, high);
    let body = warped(body, |[x, y, z]| {
        let [c, s] = polar(1.0 - slope * 0.6 * z / high, twist * z / high);
        [x * c - y * s, x * s + y * c, z]
    });
    merge([body, tube(random.between(0.4, 0.6), 0.3, -random.between(0.1, 0.5), 0.02, 26)])
}
