//! Things of a house: devices, clothes, instruments, books and boxes.

use super::Kind;
use super::form::{Ends, bar, both, curve, limb, loft, placed, radial, rod, sheet, stretched};
use super::implicit::Blend;
use super::nets::surface;
use super::turned::{line, solid};
use super::vector::Point;
use crate::build::solid::{ball, circle, cuboid, extrude, merge, moved, polar, rectangle, revolve, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("book", book),
    ("laptop", laptop),
    ("monitor", monitor),
    ("telephone", telephone),
    ("camera", camera),
    ("shoe", shoe),
    ("hat", hat),
    ("clock", clock),
    ("trumpet", trumpet),
    ("drum", drum),
    ("box-with-lid", box_with_lid),
];

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
