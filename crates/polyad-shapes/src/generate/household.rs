//! Things of a house: lamps, vessels with handles and spouts, devices, clothes, instruments.

use super::Kind;
use super::form::{Ends, bar, both, carry, curve, limb, loft, placed, radial, rod, sheet, stretched, torus};
use super::implicit::Blend;
use super::nets::surface;
use super::turned::{hollow, line, segments, solid};
use super::vector::{Point, add, direction, times};
use crate::build::solid::{ball, circle, cuboid, extrude, merge, moved, polar, rectangle, revolve, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

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
    ("book", book),
    ("laptop", laptop),
    ("monitor", monitor),
    ("telephone", telephone),
    ("camera", camera),
    ("shoe", shoe),
    ("hat", hat),
    ("clock", clock),
    ("tap", tap),
    ("trumpet", trumpet),
    ("drum", drum),
    ("box-with-lid", box_with_lid),
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

fn book(random: &mut Random) -> Mesh {
    let (wide, high, thick) = (random.between(0.5, 0.9), 1.0, random.between(0.04, 0.3));
    if random.coin() {
        let open = random.between(0.1, 0.9);
        let page = super::form::slab(10, 2, [0.0, 0.0, -thick * 0.4], |u, v| {
            [wide * u, high * (v - 0.5), thick * 0.4 * libm::sin(3.1 * u) + open * u * wide * 0.5]
        });
        let cover =
            bar([0.0, 0.0, -thick * 0.4], [wide * 1.03, 0.0, open * wide * 0.5 - thick * 0.4], high * 1.04, 0.02);
        return both(merge([page, cover]), 0);
    }
    let cover = 0.02;
    let mut parts = vec![cuboid([wide - 0.04, high - 0.05, thick], [0.01, 0.0, 0.0])];
    parts.push(both(cuboid([wide, high, cover], [0.0, 0.0, thick / 2.0]), 2));
    parts.push(cuboid([cover, high, thick], [-wide / 2.0, 0.0, 0.0]));
    let copies = if random.chance(0.3) { random.count(2, 4) } else { 1 };
    let one = merge(parts);
    merge((0..copies).map(|i| {
        let angle = random.between(-0.3, 0.3);
        moved(turned(one.clone(), 2, angle), [0.0, 0.0, (thick + 0.025) * i as f64])
    }))
}

/// Keys in rows on the plane z = 0.
fn keys(wide: f64, deep: f64, n: usize, m: usize) -> Mesh {
    let (dx, dy) = (wide / n as f64, deep / m as f64);
    let cell = |i: usize, j: usize| {
        cuboid(
            [dx * 0.8, dy * 0.8, 0.02],
            [dx * (i as f64 + 0.5) - wide / 2.0, dy * (j as f64 + 0.5) - deep / 2.0, 0.005],
        )
    };
    merge((0..n).flat_map(|i| (0..m).map(move |j| cell(i, j))))
}

fn laptop(random: &mut Random) -> Mesh {
    let (wide, deep, thick) = (1.0, random.between(0.6, 0.75), random.between(0.02, 0.06));
    let angle = random.between(0.9, 2.4);
    let lid = merge([
        moved(extrude(&rectangle(wide, deep, 0.03), &[], -0.015, 0.015), [0.0, deep / 2.0, 0.0]),
        moved(
            extrude(&rectangle(wide, deep, 0.03), &[rectangle(wide * 0.92, deep * 0.86, 0.0)], 0.015, 0.025),
            [0.0, deep / 2.0, 0.0],
        ),
    ]);
    let lid = moved(turned(lid, 0, TAU / 2.0 - angle), [0.0, deep / 2.0, thick / 2.0]);
    let board =
        moved(keys(wide * 0.88, deep * 0.45, random.count(9, 14), random.count(4, 6)), [0.0, deep * 0.15, thick / 2.0]);
    let pad = cuboid([wide * 0.3, deep * 0.25, 0.006], [0.0, -deep * 0.3, thick / 2.0]);
    merge([extrude(&rectangle(wide, deep, 0.03), &[], -thick / 2.0, thick / 2.0), lid, board, pad])
}

fn monitor(random: &mut Random) -> Mesh {
    let (high, deep) = (random.between(0.5, 0.8), random.between(0.02, 0.08));
    let old = random.chance(0.3);
    let frame = extrude(&rectangle(1.0, high, 0.02), &[rectangle(0.92, high - 0.08, 0.0)], 0.0, 0.03);
    let screen = extrude(&rectangle(1.0, high, 0.02), &[], -deep, 0.001);
    let mut face = vec![frame, screen];
    if old {
        let ring =
            |s: f64, z: f64| rectangle(s, high * s, 0.0).into_iter().map(|p| [p[0], p[1], z]).collect::<Vec<Point>>();
        face.push(loft(&[ring(0.5, -random.between(0.4, 0.7)), ring(0.95, -0.1), ring(1.0, 0.0)], Ends::Capped));
    }
    let stand = random.between(0.15, 0.35);
    let up = moved(turned(merge(face), 0, FRAC_PI_2), [0.0, 0.0, stand + high / 2.0]);
    let foot = random.between(0.2, 0.35);
    merge([
        up,
        bar([0.0, 0.08, 0.0], [0.0, 0.05, stand + high * 0.4], 0.12, 0.05),
        stretched(tube(foot, 0.0, 0.0, 0.025, 30), [1.0, 0.7, 1.0]),
    ])
}

fn telephone(random: &mut Random) -> Mesh {
    if random.coin() {
        let (high, thick) = (random.between(1.4, 2.4), random.between(0.05, 0.25));
        let body = extrude(&rectangle(1.0, high, random.between(0.05, 0.3)), &[], 0.0, thick);
        let glass = moved(cuboid([0.86, high * random.between(0.3, 0.8), 0.02], [0.0; 3]), [0.0, high * 0.08, thick]);
        let (pad, aerial) = (
            moved(keys(0.8, high * 0.35, 3, 4), [0.0, -high * 0.28, thick]),
            rod([0.4, high * 0.45, thick / 2.0], [0.4, high * 0.7, thick / 2.0], 0.05, 0.04, 10),
        );
        return merge([body, glass, pad].into_iter().chain(random.chance(0.4).then_some(aerial)));
    }
    let wedge = turned(
        extrude(
            &[[-0.5, 0.0], [0.5, 0.0], [0.5, 0.15], [-0.3, random.between(0.3, 0.5)], [-0.5, 0.35]],
            &[],
            -0.45,
            0.45,
        ),
        0,
        FRAC_PI_2,
    );
    let mut bow = Blend::new(0.1);
    let z = random.between(0.5, 0.65);
    bow.tail(&[[-0.35, -0.55, z], [-0.35, 0.0, z + 0.12], [-0.35, 0.55, z]], &[0.09, 0.07, 0.09]);
    [-1.0, 1.0].iter().for_each(|y| bow.limb([-0.35, y * 0.55, z], [-0.35, y * 0.58, z - 0.12], 0.12, 0.14));
    let dial = moved(turned(turned(keys(0.4, 0.4, 3, 4), 2, FRAC_PI_2), 1, 0.3), [0.15, 0.0, 0.28]);
    merge([wedge, surface(&bow, 34), dial])
}

fn camera(random: &mut Random) -> Mesh {
    let (wide, high, deep) = (1.0, random.between(0.5, 0.75), random.between(0.25, 0.5));
    let lens = random.between(0.16, 0.3);
    let long = random.between(0.1, 0.9);
    let barrel = revolve(
        &[
            [lens, 0.0],
            [lens, long * 0.5],
            [lens * 1.08, long * 0.55],
            [lens * 1.08, long],
            [lens * 0.85, long],
            [lens * 0.7, long * 0.8],
            [0.0, long * 0.75],
            [0.0, 0.0],
        ],
        30,
    );
    let mut parts = vec![
        extrude(&rectangle(wide, high, 0.06), &[], -deep / 2.0, deep / 2.0),
        moved(barrel, [random.between(-0.15, 0.15), 0.0, deep / 2.0]),
    ];
    parts.push(cuboid([0.3, random.between(0.1, 0.25), deep * 0.8], [0.0, high / 2.0 + 0.05, 0.0]));
    let button = turned(tube(0.06, 0.0, 0.0, 0.08, 14), 0, -FRAC_PI_2);
    parts.push(moved(button, [-0.35, high / 2.0, 0.0]));
    if random.coin() {
        let hip = [0.0, -high / 2.0, 0.0];
        for i in 0..3 {
            let [x, z] = polar(0.6, TAU * (f64::from(i) + 0.25) / 3.0);
            parts.push(rod(hip, [x, -high / 2.0 - 1.2, z], 0.03, 0.02, 8));
        }
    }
    turned(merge(parts), 0, FRAC_PI_2)
}

fn shoe(random: &mut Random) -> Mesh {
    let (wide, toe) = (random.between(0.14, 0.2), random.between(0.1, 0.2));
    let shaft = random.between(0.0, 0.9);
    let heel = if random.chance(0.3) { random.between(0.15, 0.35) } else { 0.0 };
    let mut body = Blend::new(0.12);
    body.tail(
        &[[0.5, 0.0, toe], [0.1, 0.0, toe + 0.08 + heel * 0.4], [-0.35, 0.0, 0.2 + heel]],
        &[toe, wide, wide * 0.95],
    );
    body.limb([-0.3, 0.0, 0.25 + heel], [-0.35, 0.0, 0.38 + heel + shaft], wide, wide * 1.1);
    body.cut(super::implicit::Part::Limb {
        a: [-0.32, 0.0, 0.35 + heel],
        b: [-0.36, 0.0, 1.2 + heel + shaft],
        ra: wide * 0.7,
        rb: wide * 0.95,
    });
    let mut parts = vec![surface(&body, random.count(36, 48))];
    let sole = curve(&[[0.72, 0.0], [0.5, wide], [0.1, wide * 0.85], [-0.45, wide], [-0.58, 0.0]], 4);
    let outline: Vec<[f64; 2]> =
        sole.iter().copied().chain(sole[1..sole.len() - 1].iter().rev().map(|p| [p[0], -p[1]])).collect();
    let lift = move |[x, y, z]: Point| [x, y, z + heel * (0.5 - x).clamp(0.0, 0.8) / 0.8];
    parts.push(super::form::warped(extrude(&outline, &[], -0.03, 0.06), lift));
    if heel > 0.0 {
        parts.push(rod([-0.45, 0.0, -0.03], [-0.42, 0.0, heel], 0.035, 0.1, 12));
    }
    merge(parts)
}

fn hat(random: &mut Random) -> Mesh {
    let (crown, high, brim) = (random.between(0.28, 0.38), random.between(0.2, 0.8), random.between(0.05, 0.5));
    let (taper, curl) = (random.between(0.0, 1.15), random.between(-0.1, 0.2));
    let top = crown * taper;
    let side = [
        [crown + brim, curl],
        [crown + brim * 0.5, 0.0],
        [crown, 0.01],
        [(crown + top) / 2.0, high * 0.6],
        [top.max(0.02), high],
    ];
    let outer = line(random, &side, 0.6);
    let mut profile = vec![[0.0, high + 0.001]];
    profile.extend(outer.iter().rev());
    profile.extend(outer.iter().map(|p| [(p[0] - 0.02).max(0.0), p[1] - 0.02]));
    profile.push([0.0, high - 0.03]);
    profile.retain(|p| p[0] > 0.0 || p[1] > high - 0.1);
    let oval = random.between(0.75, 1.0);
    stretched(revolve(&profile, random.count(20, 36)), [1.0, oval, 1.0])
}

fn clock(random: &mut Random) -> Mesh {
    let (deep, rim) = (random.between(0.06, 0.4), random.between(0.04, 0.12));
    let square = random.chance(0.3);
    let outline = |r: f64| if square { rectangle(2.0 * r, 2.0 * r, 0.1) } else { circle(r, 40) };
    let mut parts =
        vec![extrude(&outline(1.0), &[outline(1.0 - rim)], 0.0, deep), extrude(&outline(0.98), &[], 0.0, deep * 0.6)];
    let face = deep * 0.6;
    parts.push(radial(&cuboid([0.12, 0.03, 0.02], [0.78, 0.0, face + 0.01]), 12));
    for long in [0.45, 0.68] {
        let [x, y] = polar(long, random.between(0.0, TAU));
        parts.push(bar([0.0, 0.0, face + 0.03], [x, y, face + 0.03], 0.05, 0.02));
    }
    match random.count(0, 2) {
        0 => {
            parts.push(both(moved(stretched(ball(0.25, 14), [1.0, 0.6, 1.0]), [0.55, 1.05, deep / 2.0]), 0));
            parts.push(both(bar([0.6, -0.7, deep / 2.0], [0.8, -1.15, deep / 2.0], 0.09, 0.09), 0));
        }
        1 => {
            let strap = sheet(10, 2, |u, v| [0.4 * (v - 0.5) * (1.6 - u), 0.9 + 1.1 * u, deep * 0.5 - 0.8 * u * u]);
            parts.push(both(strap, 1));
        }
        _ => {}
    }
    turned(merge(parts), 0, FRAC_PI_2)
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

fn trumpet(random: &mut Random) -> Mesh {
    let (mouth, pipe) = (random.between(0.2, 0.4), random.between(0.025, 0.04));
    let long = random.between(1.0, 1.8);
    let horn: Vec<[f64; 2]> = (0..=16)
        .map(|i| {
            let t = f64::from(i) / 16.0;
            [pipe + (mouth - pipe) * libm::pow(t, 5.0), long * t]
        })
        .collect();
    let skin: Vec<[f64; 2]> = horn.iter().copied().chain(horn.iter().rev().map(|p| [p[0] * 0.9, p[1]])).collect();
    let mut parts = vec![placed(revolve(&skin, 28), [0.0; 3], [1.0, 0.0, 0.0])];
    let drop = random.between(0.15, 0.3);
    let (from, to) = (long * 0.15, long * 0.65);
    let path: Vec<Point> = vec![
        [0.0, 0.0, 0.0],
        [-0.1, 0.0, -drop * 0.5],
        [0.0, 0.0, -drop],
        [to, 0.0, -drop],
        [to + 0.1, 0.0, -drop * 0.5],
        [to, 0.0, -0.03],
        [from, 0.05, -0.03],
        [-random.between(0.3, 0.5), 0.05, -0.03],
    ];
    let path = curve(&path, 4);
    parts.push(limb(&path, &vec![pipe; path.len()], 9));
    let valves = random.count(0, 4);
    parts.extend(
        (0..valves).map(|i| moved(tube(0.05, 0.0, -drop - 0.1, 0.18, 12), [long * 0.3 + 0.12 * i as f64, 0.0, 0.0])),
    );
    merge(parts)
}

fn drum(random: &mut Random) -> Mesh {
    let (high, waist) = (random.between(0.3, 1.6), random.between(0.6, 1.2));
    let side = curve(&[[0.5, 0.0], [0.5 * waist, high / 2.0], [0.5, high]], 5);
    let mut parts = vec![
        solid(&side, 32),
        tube(0.53, 0.45, -0.03, 0.05, 32),
        moved(tube(0.53, 0.45, -0.05, 0.03, 32), [0.0, 0.0, high]),
    ];
    let lugs = random.count(5, 10);
    let lean = if random.coin() { TAU / 2.0 / lugs as f64 } else { 0.0 };
    let [x, y] = polar(0.53, lean);
    parts.push(radial(&rod([0.53, 0.0, 0.02], [x, y, high - 0.02], 0.014, 0.014, 6), lugs));
    if random.chance(0.4) {
        let leg = random.between(0.4, 1.0);
        parts.push(radial(&rod([0.48, 0.0, 0.1], [0.6, 0.0, -leg], 0.025, 0.025, 8), 3));
    }
    merge(parts)
}

fn box_with_lid(random: &mut Random) -> Mesh {
    let (wide, deep, high) = (1.0, random.between(0.4, 1.0), random.between(0.2, 0.9));
    let wall = random.between(0.02, 0.06);
    let round = random.between(0.0, 0.15);
    let mut parts = vec![
        extrude(
            &rectangle(wide, deep, round),
            &[rectangle(wide - 2.0 * wall, deep - 2.0 * wall, round * 0.8)],
            0.0,
            high,
        ),
        extrude(&rectangle(wide, deep, round), &[], -wall, 0.0),
    ];
    let open = random.between(0.0, 2.2) * f64::from(u8::from(random.chance(0.8)));
    let lid = if random.chance(0.35) {
        let arch = random.between(0.15, 0.35);
        let vault: Vec<[f64; 2]> = (0..=12)
            .map(|i| polar(1.0, TAU / 2.0 * f64::from(i) / 12.0))
            .map(|p| [deep / 2.0 * (1.0 + p[0]), arch * p[1]])
            .collect();
        turned(turned(extrude(&vault, &[], -wide / 2.0, wide / 2.0), 0, FRAC_PI_2), 2, FRAC_PI_2)
    } else {
        cuboid([wide, deep, wall * 1.5], [0.0, deep / 2.0, wall])
    };
    parts.push(moved(turned(lid, 0, open), [0.0, -deep / 2.0, high]));
    merge(parts)
}
