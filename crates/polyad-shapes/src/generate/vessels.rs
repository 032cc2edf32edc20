//! Lamps, and vessels with handles and spouts.

use super::Kind;
use super::form::{Ends, bar, both, carry, curve, limb, placed, radial, rod};
use super::turned::{hollow, line, segments, solid};
use super::vector::{Point, add, direction, times};
use crate::build::solid::{ball, circle, merge, moved, polar, revolve, tube};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::TAU;

pub(super) const KINDS: &[Kind] = &[
    ("table-lamp", |random| lamp(random, false)),
    ("floor-lamp", |random| lamp(random, true)),
    ("desk-lamp", desk_lamp),
    ("chandelier", chandelier),
    ("light-bulb", light_bulb),
    ("mug", mug),
    ("teapot", teapot),
    ("jug", jug),
    ("pan", pan),
    ("bucket", bucket),
    ("tap", tap),
];

fn lamp(random: &mut Random, tall: bool) -> Mesh {
    let pole = if tall { random.between(1.5, 2.6) } else { random.between(0.4, 0.8) };
    let (low, high) = (random.between(0.28, 0.5), random.between(0.1, 0.4));
    let shade = random.between(0.25, 0.6);
    let foot = random.between(0.2, 0.4);
    let points = [
        [foot, 0.0],
        [foot, 0.04],
        [0.06, 0.1],
        [random.between(0.04, if tall { 0.07 } else { 0.28 }), pole * 0.4],
        [0.03, pole],
        [0.03, pole + shade * 0.6],
    ];
    let segments = segments(random);
    let cone = curve(&[[low, 0.0], [(low + high) / 2.0 * random.between(0.85, 1.15), shade / 2.0], [high, shade]], 4);
    let skin: Vec<[f64; 2]> = cone.iter().copied().chain(cone.iter().rev().map(|p| [p[0] - 0.012, p[1]])).collect();
    let body = solid(&line(random, &points, 0.5), segments);
    merge([
        body,
        moved(revolve(&skin, segments), [0.0, 0.0, pole - 0.05]),
        moved(ball(0.08, 12), [0.0, 0.0, pole + shade * 0.5]),
    ])
}

fn desk_lamp(random: &mut Random) -> Mesh {
    let (lower, upper) = (random.between(0.5, 0.8), random.between(0.4, 0.8));
    let elbow = times(direction(0.0, random.between(1.1, 2.2)), lower);
    let head = add(elbow, times(direction(0.0, random.between(-0.2, 0.9)), upper));
    let wire = random.between(0.015, 0.03);
    let twin = if random.coin() { 0.04 } else { 0.0 };
    let arm = |a: Point, b: Point| {
        merge([-1.0, 1.0].map(|y| rod(add(a, [0.0, y * twin, 0.0]), add(b, [0.0, y * twin, 0.0]), wire, wire, 8)))
    };
    let (mouth, deep) = (random.between(0.15, 0.28), random.between(0.2, 0.35));
    let cup = revolve(
        &[
            [0.06, 0.0],
            [mouth * 0.7, deep * 0.5],
            [mouth, deep],
            [mouth - 0.015, deep],
            [mouth * 0.65, deep * 0.5],
            [0.05, 0.02],
        ],
        26,
    );
    let aim = direction(random.between(-0.4, 0.4), random.between(-1.5, -0.5));
    let base = random.between(0.18, 0.32);
    merge([
        moved(solid(&[[base, 0.0], [base, 0.04], [0.08, 0.09]], segments(random)), [0.0, 0.0, -0.05]),
        arm([0.0; 3], elbow),
        arm(elbow, head),
        moved(ball(2.2 * wire, 10), elbow),
        placed(cup, head, aim),
    ])
}

fn chandelier(random: &mut Random) -> Mesh {
    let (arms, reach) = (random.count(3, 9), random.between(0.4, 0.8));
    let (sag, up) = (random.between(0.1, 0.35), random.between(0.0, 0.25));
    let path = curve(&[[0.04, 0.0, 0.0], [reach * 0.5, 0.0, -sag], [reach, 0.0, up]], 6);
    let cup = solid(&[[0.03, 0.0], [0.09, 0.05], [0.08, 0.07], [0.025, 0.07], [0.025, random.between(0.15, 0.35)]], 12);
    let arm = merge([limb(&path, &[0.018; 13], 7), moved(cup, [reach, 0.0, up])]);
    let stem =
        [[0.02, -sag - 0.1], [0.09, -0.1], [0.05, 0.1], [0.07, 0.25], [0.02, 0.4], [0.015, random.between(0.6, 1.2)]];
    let hanging = random.chance(0.7);
    let stem = if hanging {
        solid(&line(random, &stem, 0.7), 16)
    } else {
        solid(&[[0.25, -0.7], [0.22, -0.66], [0.03, -0.6], [0.04, 0.2], [0.02, 0.5]], 18)
    };
    merge([stem, radial(&arm, arms)])
}

fn light_bulb(random: &mut Random) -> Mesh {
    let (wide, long) = (random.between(0.25, 0.5), random.between(0.5, 1.0));
    let glass = curve(
        &[[0.15, 0.3], [0.17, 0.4], [wide, 0.4 + long * 0.55], [wide * 0.7, 0.4 + long * 0.9], [0.02, 0.4 + long]],
        5,
    );
    let mut side = vec![[0.05, 0.0], [0.14, 0.06]];
    side.extend((0..4).flat_map(|i| [[0.15, 0.08 + 0.055 * f64::from(i)], [0.17, 0.105 + 0.055 * f64::from(i)]]));
    side.extend(glass);
    solid(&side, random.count(18, 36))
}

/// A handle of a vessel, in the plane y = 0, from and to its wall.
fn handle(random: &mut Random, from: [f64; 2], to: [f64; 2], out: f64, wire: f64) -> Mesh {
    let square = random.chance(0.3);
    let middle = (from[1] + to[1]) / 2.0;
    let reach = from[0].max(to[0]) + out;
    let points: Vec<Point> = if square {
        vec![
            [from[0], 0.0, from[1]],
            [reach, 0.0, from[1]],
            [reach, 0.0, middle],
            [reach, 0.0, to[1]],
            [to[0], 0.0, to[1]],
        ]
    } else {
        vec![
            [from[0], 0.0, from[1]],
            [reach * 0.93, 0.0, from[1] * 0.8 + middle * 0.2],
            [reach, 0.0, middle],
            [reach * 0.85, 0.0, to[1] * 0.8 + middle * 0.2],
            [to[0], 0.0, to[1]],
        ]
    };
    let flat = random.between(0.6, 2.0);
    carry(&curve(&points, 5), &circle(1.0, 9), Ends::Capped, |_| ([wire, wire * flat], 0.0))
}

fn mug(random: &mut Random) -> Mesh {
    let (foot, rim, high) = (random.between(0.3, 0.5), random.between(0.35, 0.55), random.between(0.4, 1.2));
    let outer = line(random, &[[foot, 0.0], [(foot + rim) / 2.0 * (1.0 + 0.1 * high), high / 2.0], [rim, high]], 0.5);
    let (out, wire) = (random.between(0.18, 0.35), random.between(0.03, 0.06));
    let top = [rim * 0.95, high * random.between(0.7, 0.9)];
    let low = [foot * 0.95, high * random.between(0.15, 0.35)];
    let ear = handle(random, top, low, out, wire);
    let mut parts = vec![hollow(&outer, 0, 0.04, segments(random)), ear];
    if random.chance(0.2) {
        let dish = hollow(&[[0.3, 0.0], [0.35, 0.01], [random.between(0.7, 0.9), 0.12]], 1, 0.03, 30);
        parts.push(moved(dish, [0.0, 0.0, -0.05]));
    }
    merge(parts)
}

fn teapot(random: &mut Random) -> Mesh {
    let (belly, high) = (random.between(0.4, 0.65), random.between(0.5, 1.0));
    let (foot, neck) = (belly * random.between(0.5, 0.8), belly * random.between(0.35, 0.7));
    let outer = curve(&[[foot, 0.0], [belly, high * random.between(0.3, 0.5)], [neck, high]], 6);
    let body = solid(&outer, segments(random));
    let lid = solid(
        &[
            [neck * 1.05, high - 0.01],
            [neck * 0.7, high + 0.08],
            [0.04, high + 0.12],
            [0.08, high + 0.18],
            [0.0, high + 0.23],
        ],
        22,
    );
    let tip = [-belly - random.between(0.25, 0.5), 0.0, high * random.between(0.8, 1.1)];
    let path = curve(&[[-belly * 0.8, 0.0, high * 0.3], [-belly - 0.2, 0.0, high * 0.45], tip], 5);
    let spout = limb(&path, &(0..11).map(|i| 0.13 - 0.008 * f64::from(i)).collect::<Vec<_>>(), 12);
    let (out, wire) = (random.between(0.2, 0.4), random.between(0.03, 0.05));
    let grip = if random.chance(0.7) {
        handle(random, [neck * 1.1, high * 0.88], [belly * 0.9, high * 0.25], out, wire)
    } else {
        limb(
            &curve(
                &[[-neck, 0.0, high], [-neck * 0.8, 0.0, high + out], [neck * 0.8, 0.0, high + out], [neck, 0.0, high]],
                5,
            ),
            &[wire; 16],
            8,
        )
    };
    merge([body, lid, spout, grip])
}

fn jug(random: &mut Random) -> Mesh {
    let (belly, high) = (random.between(0.3, 0.5), random.between(0.8, 1.4));
    let (foot, neck, rim) =
        (belly * random.between(0.5, 0.9), belly * random.between(0.4, 0.8), belly * random.between(0.5, 1.0));
    let outer = curve(&[[foot, 0.0], [belly, high * 0.35], [neck, high * 0.8], [rim, high]], 6);
    let lip = random.between(0.0, 0.25);
    let body = super::form::warped(hollow(&outer, 0, 0.03, 30), |[x, y, z]| {
        let near = ((z / high - 0.8) * 5.0).clamp(0.0, 1.0) * (-x / (rim + 0.01)).max(0.0);
        [x - lip * near * near, y * (1.0 - 0.3 * near * near), z + 0.2 * lip * near]
    });
    let (out, wire) = (random.between(0.12, 0.3), random.between(0.03, 0.05));
    merge([body, handle(random, [neck, high * 0.9], [belly * 0.92, high * 0.4], out, wire)])
}

fn pan(random: &mut Random) -> Mesh {
    let (high, flare) = (random.between(0.12, 0.7), random.between(0.8, 1.0));
    let body = hollow(&[[0.5 * flare, 0.0], [0.5, high]], 0, 0.025, segments(random));
    let z = high * random.between(0.6, 0.95);
    let mut parts = vec![body];
    if random.chance(0.65) {
        let long = random.between(0.6, 1.1);
        parts.push(limb(
            &curve(&[[0.47, 0.0, z], [0.7, 0.0, z + 0.05], [0.5 + long, 0.0, z + random.between(0.0, 0.2)]], 4),
            &[0.03, 0.025, 0.025, 0.03, 0.035, 0.04, 0.045, 0.045, 0.035],
            8,
        ));
    } else {
        let ear = curve(&[[0.48, -0.12, z], [0.62, -0.08, z + 0.02], [0.62, 0.08, z + 0.02], [0.48, 0.12, z]], 4);
        parts.push(both(limb(&ear, &[0.025; 13], 7), 0));
    }
    if random.chance(0.4) {
        parts.push(moved(
            solid(&[[0.52, 0.0], [0.5, 0.03], [0.3, 0.1], [0.04, 0.13], [0.07, 0.2], [0.0, 0.22]], 28),
            [0.0, 0.0, high],
        ));
    }
    merge(parts)
}

fn bucket(random: &mut Random) -> Mesh {
    let (foot, high) = (random.between(0.28, 0.45), random.between(0.5, 1.0));
    let swing = random.between(-1.3, 1.3);
    let bail: Vec<Point> = (0..=20)
        .map(|i| {
            let [y, r] = polar(0.5, TAU / 2.0 * f64::from(i) / 20.0);
            let [c, s] = polar(r, swing);
            [s, y, high * 0.93 + c]
        })
        .collect();
    let body =
        hollow(&[[foot, 0.0], [0.49, high * 0.97], [0.52, high * 0.97], [0.52, high]], 0, 0.03, segments(random));
    merge([body, limb(&bail, &[random.between(0.012, 0.025); 21], 7)])
}

fn tap(random: &mut Random) -> Mesh {
    let (pipe, high, reach) = (random.between(0.05, 0.1), random.between(0.2, 1.0), random.between(0.35, 0.8));
    let path = curve(
        &[
            [0.0; 3],
            [0.0, 0.0, high],
            [reach * 0.5, 0.0, high + reach * 0.3],
            [reach, 0.0, high],
            [reach, 0.0, high - random.between(0.1, 0.3)],
        ],
        5,
    );
    let mut parts = vec![
        limb(&path, &vec![pipe; path.len()], 14),
        solid(&[[pipe * 2.2, -0.02], [pipe * 1.8, 0.06], [pipe, 0.1]], 20),
    ];
    let spoke = rod([0.0; 3], [0.13, 0.0, 0.0], 0.022, 0.03, 8);
    let cross = merge([radial(&spoke, random.count(2, 5)), tube(0.04, 0.0, -0.15, 0.03, 12)]);
    if random.coin() {
        let y = random.between(0.25, 0.45);
        parts
            .push(both(merge([moved(cross, [0.0, y, 0.2]), rod([0.0, 0.0, 0.04], [0.0, y, 0.05], pipe, pipe, 12)]), 1));
    } else {
        parts.push(bar([0.0, pipe, high * 0.4], [0.0, pipe + 0.3, high * 0.4 + random.between(0.0, 0.2)], 0.06, 0.03));
    }
    merge(parts)
}
