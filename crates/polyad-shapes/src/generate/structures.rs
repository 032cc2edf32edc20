//! Built things that nobody lives in: bridges, mills, masts, fences, stairs.

use super::Kind;
use super::buildings::roof;
use super::form::{bar, both, radial, rod, stretched};
use super::turned::{segments, solid};
use crate::build::solid::{ball, cuboid, extrude, merge, moved, polar, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("bridge", bridge),
    ("windmill", windmill),
    ("lighthouse", lighthouse),
    ("gate-or-fence", fence),
    ("lattice-mast", mast),
    ("stairs", stairs),
];

fn bridge(random: &mut Random) -> Mesh {
    let (wide, deck) = (random.between(0.2, 0.5), random.between(0.3, 0.6));
    if random.coin() {
        let (arches, rise) = (random.count(1, 5), random.between(0.6, 0.95));
        let span = 2.4 / arches as f64;
        let bow = random.between(0.0, 0.3);
        let mut outline = vec![[-1.3, 0.0], [-1.3, deck]];
        outline
            .extend((1..12).map(|i| -1.3 + 2.6 * f64::from(i) / 12.0).map(|x| [x, deck + bow * (1.0 - x * x / 1.69)]));
        outline.extend([[1.3, deck], [1.3, 0.0]]);
        for k in (0..arches).rev() {
            let middle = span * (k as f64 + 0.5) - 1.2;
            outline.extend((0..=12).map(|i| {
                let [x, z] = polar(1.0, TAU / 2.0 * f64::from(i) / 12.0);
                [middle + x * span * 0.44, z * rise * deck]
            }));
        }
        return turned(extrude(&outline, &[], -wide / 2.0, wide / 2.0), 0, FRAC_PI_2);
    }
    let (tall, at) = (random.between(0.6, 1.1), random.between(0.5, 0.8));
    let hangers = random.count(8, 20);
    let mut side = vec![
        bar([at, wide / 2.0, 0.0], [at, wide / 2.0, deck + tall], 0.06, 0.06),
        bar([-at, wide / 2.0, 0.0], [-at, wide / 2.0, deck + tall], 0.06, 0.06),
    ];
    let sag = |x: f64| {
        let t = x.abs();
        deck + 0.04
            + if t < at { tall * (0.1 + 0.9 * t * t / (at * at)) } else { tall * (1.0 - (t - at) / (1.35 - at)) }
    };
    for i in 0..hangers {
        let (a, b) = (-1.3 + 2.6 * i as f64 / hangers as f64, -1.3 + 2.6 * (i + 1) as f64 / hangers as f64);
        side.push(rod([a, wide / 2.0, sag(a)], [b, wide / 2.0, sag(b)], 0.012, 0.012, 5));
        side.push(rod([b, wide / 2.0, deck], [b, wide / 2.0, sag(b)], 0.006, 0.006, 4));
    }
    merge([both(merge(side), 1), cuboid([2.7, wide * 1.1, 0.05], [0.0, 0.0, deck])])
}

fn windmill(random: &mut Random) -> Mesh {
    let (high, foot) = (random.between(0.9, 1.5), random.between(0.25, 0.45));
    let neck = foot * random.between(0.3, 0.75);
    let sails = random.count(3, 8);
    let (long, wide) = (random.between(0.6, 1.0), random.between(0.06, 0.22));
    let sail = merge([
        bar([0.0; 3], [long, 0.0, 0.0], 0.03, 0.03),
        cuboid([long * 0.75, wide, 0.015], [long * 0.6, wide / 2.0, 0.0]),
    ]);
    let turn = random.between(0.0, TAU);
    let cross = turned(turned(radial(&sail, sails), 2, turn), 1, FRAC_PI_2);
    let slim = random.chance(0.35);
    let base = if slim {
        solid(&[[0.06, 0.0], [0.035, high]], 14)
    } else {
        solid(&[[foot, 0.0], [neck, high]], segments(random))
    };
    let cap = if slim {
        stretched(ball(0.08, 12), [2.0, 1.0, 1.0])
    } else {
        solid(&[[neck * 1.15, -0.02], [neck * 0.8, neck * 0.7], [0.0, neck]], 18)
    };
    merge([
        base,
        moved(cap, [0.0, 0.0, high]),
        moved(cross, [neck.max(0.1) * 1.3, 0.0, high + 0.03]),
        rod([0.0, 0.0, high + 0.03], [neck.max(0.1) * 1.4, 0.0, high + 0.03], 0.03, 0.03, 8),
    ])
}

fn lighthouse(random: &mut Random) -> Mesh {
    let (high, foot) = (random.between(1.0, 2.0), random.between(0.2, 0.4));
    let neck = foot * random.between(0.5, 0.85);
    let gallery = neck * random.between(1.2, 1.7);
    let side = [
        [foot * 1.15, 0.0],
        [foot * 0.95, 0.06],
        [neck, high],
        [gallery, high + 0.02],
        [gallery, high + 0.07],
        [neck * 0.6, high + 0.07],
        [neck * 0.6, high + 0.3],
        [neck * 0.85, high + 0.31],
        [neck * 0.4, high + 0.42],
        [0.0, high + 0.5],
    ];
    let rail = rod([gallery * 0.95, 0.0, high + 0.06], [gallery * 0.95, 0.0, high + 0.17], 0.008, 0.008, 4);
    let mut parts = vec![
        solid(&side, segments(random)),
        radial(&rail, 12),
        moved(super::form::torus(gallery * 0.95, 0.01, 24, 5), [0.0, 0.0, high + 0.17]),
    ];
    if random.chance(0.4) {
        let (wide, wall) = (random.between(0.4, 0.7), 0.3);
        let hut = merge([cuboid([wide, 0.4, wall], [0.0, 0.0, wall / 2.0]), roof(random, [wide, 0.4], wall, 0.2)]);
        parts.push(moved(hut, [foot + wide / 2.0, 0.0, 0.0]));
    }
    merge(parts)
}

fn fence(random: &mut Random) -> Mesh {
    let (posts, high) = (random.count(3, 16), random.between(0.4, 1.0));
    let (wide, pointed) = (random.between(0.3, 0.8), random.coin());
    let step = 2.0 / posts as f64;
    let slat = wide * step;
    let top = if pointed {
        vec![[slat / 2.0, high], [0.0, high + slat * 0.6], [-slat / 2.0, high]]
    } else {
        vec![[slat / 2.0, high], [-slat / 2.0, high]]
    };
    let outline: Vec<[f64; 2]> = [[-slat / 2.0, 0.0], [slat / 2.0, 0.0]].into_iter().chain(top).collect();
    let board = turned(extrude(&outline, &[], -0.02, 0.02), 0, FRAC_PI_2);
    let mut parts: Vec<Mesh> =
        (0..posts).map(|i| moved(board.clone(), [step * (i as f64 + 0.5) - 1.0, 0.0, 0.0])).collect();
    let rails = random.count(2, 3);
    parts.extend(
        (0..rails).map(|i| cuboid([2.05, 0.05, 0.08], [0.0, 0.03, high * (0.2 + 0.6 * i as f64 / (rails - 1) as f64)])),
    );
    if random.coin() {
        let pillar = merge([
            cuboid([0.16, 0.16, high * 1.2], [1.1, 0.0, high * 0.6]),
            moved(ball(0.1, 14), [1.1, 0.0, high * 1.27]),
        ]);
        parts.push(both(pillar, 0));
    }
    merge(parts)
}

fn mast(random: &mut Random) -> Mesh {
    let (tiers, foot, high) = (random.count(3, 8), random.between(0.15, 0.4), random.between(1.2, 2.2));
    let (top, flare, wire) = (random.between(0.02, 0.1), random.between(1.0, 2.2), random.between(0.008, 0.02));
    let corners = random.pick(&[3, 4, 4]);
    let at = |i: usize, k: usize| {
        let t = i as f64 / tiers as f64;
        let [x, y] = polar(top + (foot - top) * libm::pow(1.0 - t, flare), TAU * k as f64 / corners as f64);
        [x, y, high * t]
    };
    let mut parts = Vec::new();
    for i in 0..tiers {
        for k in 0..corners {
            let mut join = |a, b| parts.push(rod(a, b, wire, wire, 4));
            join(at(i, k), at(i + 1, k));
            join(at(i + 1, k), at(i + 1, k + 1));
            join(at(i, k), at(i + 1, k + 1));
            join(at(i, k + 1), at(i + 1, k));
        }
    }
    match random.count(0, 2) {
        0 => parts.push(rod([0.0, 0.0, high], [0.0, 0.0, high * 1.2], 0.02, 0.008, 6)),
        1 => {
            let arms = random.count(1, 3);
            parts.extend((0..arms).map(|i| {
                let z = high * (0.95 - 0.13 * i as f64);
                both(rod([0.0, 0.0, z], [0.0, foot * 1.6, z - 0.03], 0.02, 0.012, 5), 1)
            }));
        }
        _ => {
            let jib = random.between(0.6, 1.2);
            parts.push(bar([-jib * 0.35, 0.0, high], [jib, 0.0, high], 0.06, 0.06));
            parts.push(cuboid([0.15, 0.12, 0.15], [-jib * 0.3, 0.0, high - 0.08]));
            parts.push(rod([jib * 0.8, 0.0, high], [jib * 0.8, 0.0, high * 0.5], 0.006, 0.006, 4));
        }
    }
    merge(parts)
}

fn stairs(random: &mut Random) -> Mesh {
    let (steps, rise) = (random.count(5, 18), random.between(0.08, 0.16));
    let (wide, tread) = (random.between(0.4, 1.0), random.between(0.1, 0.2));
    let spiral = random.chance(0.45);
    let turn = random.between(0.25, 0.5);
    let solid_steps = random.coin();
    let mut parts = Vec::new();
    for i in 0..steps {
        let z = rise * (i as f64 + 1.0);
        let thick = if solid_steps && !spiral { z } else { 0.04 };
        let board = cuboid([if spiral { tread * 1.4 } else { tread * 1.05 }, wide, thick], [0.0, 0.0, z - thick / 2.0]);
        parts.push(if spiral {
            turned(moved(board, [0.0, wide / 2.0 + 0.04, 0.0]), 2, turn * i as f64)
        } else {
            moved(board, [tread * i as f64, 0.0, 0.0])
        });
    }
    let top = rise * steps as f64;
    if spiral {
        parts.push(tube(0.06, 0.0, 0.0, top + 0.5, 16));
    } else if random.chance(0.6) {
        let end = tread * (steps - 1) as f64;
        let rail = merge([
            bar([0.0, wide / 2.0, rise + 0.4], [end, wide / 2.0, top + 0.4], 0.05, 0.04),
            bar([0.0, wide / 2.0, rise * 0.5], [end, wide / 2.0, top - rise * 0.5], 0.04, 0.12),
        ]);
        let posts = merge((0..steps).map(|i| {
            rod(
                [tread * i as f64, wide / 2.0, rise * i as f64],
                [tread * i as f64, wide / 2.0, rise * (i as f64 + 1.0) + 0.4],
                0.014,
                0.014,
                6,
            )
        }));
        parts.push(both(merge([rail, posts]), 1));
    }
    merge(parts)
}
