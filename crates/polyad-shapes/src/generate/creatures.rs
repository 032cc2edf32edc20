//! Creatures that do not walk on four legs: birds, fish, insects, and others. Z is up, the head at +x.

use super::Kind;
use super::form::{both, curve, limb, sheet};
use super::implicit::{Blend, Part};
use super::nets::surface;
use super::vector::{Point, add, direction, pointing, times};
use crate::build::solid::{ball, merge, moved, polar};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, PI, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("bird-standing", |random| bird(random, false)),
    ("bird-flying", |random| bird(random, true)),
    ("two-legged-dinosaur", dinosaur),
    ("fish", fish),
    ("shark-or-whale", whale),
    ("snake", snake),
    ("octopus", octopus),
    ("turtle", turtle),
    ("snail", snail),
    ("starfish", starfish),
    ("spider", |random| many_legged(random, &[4, 0])),
    ("ant", |random| many_legged(random, &[3, 0])),
    ("beetle", |random| many_legged(random, &[3, 1])),
    ("crab", |random| many_legged(random, &[4, 2])),
    ("scorpion", |random| many_legged(random, &[4, 3])),
    ("butterfly", |random| winged(random, true)),
    ("dragonfly", |random| winged(random, false)),
];

/// A thin wing: half a span along y, swept and bent upwards, as a sheet.
fn wing(root: Point, long: f64, [chord, sweep, lift]: [f64; 3], ragged: f64) -> Mesh {
    let one = sheet(12, 4, |u, v| {
        let wide = chord
            * (1.0 - u * u).max(0.0).sqrt().max(0.12)
            * (1.0 + ragged * if ((u * 12.0 + 0.5) as usize).is_multiple_of(2) { v } else { 0.0 });
        let x = -sweep * u * u * long - v * wide + 0.3 * chord;
        add(root, [x, long * u, lift * libm::sin(2.5 * u) * long - 0.1 * wide * (2.0 * v - 1.0) * (2.0 * v - 1.0)])
    });
    both(one, 1)
}

fn bird(random: &mut Random, flying: bool) -> Mesh {
    let mut body = Blend::new(0.1);
    let (plump, neck) = (
        random.between(0.16, 0.34),
        if random.chance(0.3) { random.between(0.4, 1.0) } else { random.between(0.1, 0.25) },
    );
    let rise = if flying { random.between(-0.2, 0.3) } else { random.between(0.2, 0.9) };
    let way = direction(0.0, rise);
    let (tail, chest) = (times(way, -0.4), times(way, 0.35));
    body.chain(&[tail, [0.0; 3], chest], &[plump * 0.45, plump, plump * 0.85]);
    let up = direction(0.0, if flying { random.between(-0.1, 0.4) } else { random.between(0.8, 1.5) });
    let head = add(chest, times(up, plump * 0.5 + neck));
    body.tail(&[chest, add(chest, times(up, neck * 0.6)), head], &[plump * 0.6, 0.09, 0.1]);
    body.ball(head, random.between(0.11, 0.17));
    let beak = random.between(0.12, 0.4);
    body.limb(head, add(head, times(direction(0.0, random.between(-0.4, 0.05)), 0.12 + beak)), 0.07, 0.01);
    let long = random.between(0.3, 0.8);
    let fan = random.between(0.08, 0.3);
    let feathers = sheet(3, 6, |u, v| {
        add(tail, [-long * u, (v - 0.5) * 2.0 * fan * (0.4 + u), -long * u * libm::sin(rise) + 0.03])
    });
    let mut parts = vec![feathers];
    let chord = random.between(0.25, 0.5);
    if flying {
        let (span, sweep, lift) = (random.between(0.7, 1.8), random.between(-0.1, 0.4), random.between(-0.3, 0.5));
        parts.push(wing([0.15, plump * 0.6, 0.05], span, [chord, sweep, lift], random.between(0.0, 0.3)));
    } else {
        for y in [-1.0, 1.0] {
            let turn = pointing(times(way, 1.0));
            body.part(Part::Egg { centre: [-0.1, y * plump * 0.85, 0.0], radii: [0.42, 0.06, plump * 0.65], turn });
        }
        let leg = random.between(0.15, 0.8);
        let hip = [-0.02, plump * 0.45, -plump * 0.6];
        let foot = add(hip, [random.between(-0.05, 0.1), 0.0, -leg]);
        let mut one =
            vec![limb(&[hip, add(times(add(hip, foot), 0.5), [0.06, 0.0, 0.0]), foot], &[0.04, 0.022, 0.02], 7)];
        one.extend(
            [-0.5, 0.0, 0.5, PI]
                .map(|a| limb(&[foot, add(foot, times(direction(a, -0.05), 0.14))], &[0.018, 0.008], 5)),
        );
        parts.push(both(merge(one), 1));
    }
    parts.push(surface(&body, random.count(30, 44)));
    merge(parts)
}

fn dinosaur(random: &mut Random) -> Mesh {
    let mut body = Blend::new(0.1);
    let (girth, leg) = (random.between(0.18, 0.28), random.between(0.55, 0.85));
    let hip = [0.0, 0.0, leg];
    let pitch = random.between(0.0, 0.7);
    let chest = add(hip, times(direction(0.0, pitch), 0.55));
    let head =
        add(chest, times(direction(random.between(-0.3, 0.3), random.between(0.5, 1.2)), random.between(0.25, 0.5)));
    body.tail(&[hip, chest, head], &[girth, girth * 0.8, girth * 0.45]);
    let jaw = random.between(0.2, 0.4);
    for open in [0.15, -random.between(0.1, 0.5)] {
        body.limb(head, add(head, times(direction(0.0, open), jaw)), girth * 0.5, girth * 0.25);
    }
    let tail = random.between(0.8, 1.4);
    let sway = random.between(-0.4, 0.4);
    body.tail(
        &[hip, [-0.5 * tail, 0.2 * sway, leg * 0.95], [-tail, sway, leg * random.between(0.6, 1.2)]],
        &[girth * 0.9, girth * 0.45, 0.03],
    );
    for y in [-1.0, 1.0] {
        let root = add(hip, [0.0, y * girth * 0.8, 0.0]);
        let stride = y * random.between(0.0, 0.25);
        let knee = add(root, [0.18 + stride, 0.03 * y, -0.4 * leg]);
        let heel = add(knee, [-0.2, 0.0, -0.35 * leg]);
        let foot = add(heel, [0.1, 0.0, 0.05 - leg * 0.2]);
        body.chain(
            &[root, knee, heel, foot, add(foot, [0.18, 0.0, -0.01])],
            &[girth * 0.65, girth * 0.42, 0.06, 0.06, 0.045],
        );
        let shoulder = add(chest, [0.0, y * girth * 0.75, -0.05]);
        let elbow = add(shoulder, [0.02, 0.03 * y, -random.between(0.1, 0.2)]);
        body.chain(&[shoulder, elbow, add(elbow, [0.13, 0.0, 0.0])], &[0.06, 0.045, 0.03]);
    }
    surface(&body, random.count(42, 60))
}

/// A thin fin in the plane y = 0, from points along its edge back to its root.
fn fin(root: [Point; 2], tip: [Point; 2]) -> Mesh {
    sheet(4, 4, |u, v| {
        let (a, b) = (super::vector::between(root[0], root[1], u), super::vector::between(tip[0], tip[1], u));
        super::vector::between(a, b, v)
    })
}

fn fish(random: &mut Random) -> Mesh {
    let (high, thick) = (random.between(0.15, 0.5), random.between(0.08, 0.2));
    let bend = random.between(-0.15, 0.15);
    let mut body = Blend::new(0.08);
    body.egg([0.1, 0.0, 0.0], [0.55, thick, high]);
    body.tail(&[[0.3, 0.0, 0.0], [-0.3, 0.0, 0.0], [-0.62, bend, 0.0]], &[thick * 0.8, thick * 0.7, 0.045]);
    for y in [-1.0, 1.0] {
        body.ball([0.47, y * thick * 0.55, high * 0.15], 0.035);
    }
    let fork = random.between(0.2, 0.45);
    let notch = random.between(-0.05, 0.2);
    let tail = |s: f64| {
        fin(
            [[-0.58, bend, 0.0], [-0.62, bend, s * 0.04]],
            [[-0.85 + notch, bend * 1.4, 0.0], [-0.95, bend * 1.6, s * fork]],
        )
    };
    let (from, to) = (random.between(0.1, 0.35), random.between(-0.4, -0.1));
    let crest = high + random.between(0.05, 0.3);
    let sweep = random.between(0.0, 0.2);
    let side = random.between(0.15, 0.35);
    let breast = fin(
        [[0.22, thick * 0.85, 0.0], [0.12, thick * 0.85, -0.06]],
        [[0.1, thick + side, -0.1], [-0.1, thick + side * 0.6, -0.16]],
    );
    merge([
        surface(&body, random.count(30, 44)),
        tail(1.0),
        tail(-1.0),
        fin(
            [[from, 0.0, high * 0.7], [to, 0.0, high * 0.5]],
            [[from - sweep, 0.0, crest], [to - sweep, 0.0, crest * 0.75]],
        ),
        fin(
            [[-0.05, 0.0, -high * 0.8], [-0.3, 0.0, -high * 0.5]],
            [[-0.2, 0.0, -high - 0.12], [-0.4, 0.0, -high * 0.9]],
        ),
        both(breast, 1),
    ])
}

fn whale(random: &mut Random) -> Mesh {
    let mut body = Blend::new(0.06);
    let girth = random.between(0.14, 0.28);
    let upright = random.coin();
    let arch = random.between(-0.15, 0.2);
    let snout = random.between(0.3, 0.9) * girth;
    body.tail(
        &[[0.75, 0.0, -0.02], [0.3, 0.0, 0.0], [-0.3, 0.0, arch * 0.3], [-0.9, 0.0, arch]],
        &[snout * 0.6, girth, girth * 0.75, 0.05],
    );
    let turn = |long: f64, azimuth: f64, elevation: f64| times(direction(azimuth, elevation), long);
    let back = [0.05, 0.0, girth * 0.8];
    body.limb(back, add(back, [-0.2, 0.0, random.between(0.12, 0.3)]), 0.07, 0.02);
    for s in [-1.0, 1.0] {
        let tip = if upright { turn(0.32, PI, s * 0.9) } else { turn(0.32, PI - s * 0.9, 0.0) };
        let root = [-0.88, 0.0, arch];
        body.limb(root, add(root, tip), 0.055, 0.02);
        let flipper = [0.28, s * girth * 0.7, -girth * 0.4];
        body.limb(flipper, add(flipper, [-0.25, s * random.between(0.2, 0.4), -0.12]), 0.07, 0.025);
    }
    surface(&body, random.count(44, 60))
}

fn snake(random: &mut Random) -> Mesh {
    let count = random.count(40, 70);
    let waves = random.between(0.5, 3.0);
    let (coiled, high) = (random.coin(), random.between(0.1, 0.4));
    let thick = random.between(0.04, 0.09);
    let path: Vec<Point> = (0..=count)
        .map(|i| {
            let t = i as f64 / count as f64;
            let lift = thick + high * (8.0 * (t - 0.88)).max(0.0);
            if coiled {
                let [x, y] = polar(0.75 - 0.5 * t, TAU * waves * t);
                return [x, y, lift + 0.25 * t];
            }
            [2.0 * t - 1.0, 0.25 * libm::sin(TAU * waves * t) * (1.0 - 0.3 * t), lift]
        })
        .collect();
    let radius = |t: f64| {
        thick
            * (0.1 + (t * 6.0).min(0.9))
            * if t > 0.95 { 1.35 - 12.0 * (t - 0.965).max(0.0) } else { 1.0 - 0.25 * (t - 0.7).max(0.0) }
    };
    limb(&path, &(0..=count).map(|i| radius(i as f64 / count as f64)).collect::<Vec<_>>(), 12)
}

fn octopus(random: &mut Random) -> Mesh {
    let arms = random.count(5, 9);
    let mut parts = Vec::new();
    let head = random.between(0.3, 0.5);
    let mut body = Blend::new(0.15);
    body.egg([random.between(-0.15, 0.0), 0.0, 0.55 + head * 0.5], [head, head * 0.9, head * random.between(1.0, 1.6)]);
    body.egg([0.0, 0.0, 0.3], [0.3, 0.3, 0.25]);
    [-1.0, 1.0].iter().for_each(|y| body.ball([head * 0.6, y * 0.2, 0.48], 0.09));
    for i in 0..arms {
        let angle = TAU * (i as f64 + random.between(-0.2, 0.2)) / arms as f64;
        let joint = |r: f64, turn: f64, z: f64| {
            let [x, y] = polar(r, angle + turn);
            [x, y, z]
        };
        let sway = random.between(-0.6, 0.6);
        let long = random.between(0.8, 1.3);
        let points = [
            joint(0.1, 0.0, 0.25),
            joint(0.4 * long, 0.2 * sway, random.between(0.1, 0.4)),
            joint(0.75 * long, -0.4 * sway, random.between(-0.1, 0.2)),
            joint(long, sway, random.between(-0.1, 0.4)),
        ];
        let path = curve(&points, 6);
        let radii: Vec<f64> =
            (0..path.len()).map(|k| 0.13 * (1.0 - 0.9 * k as f64 / (path.len() - 1) as f64)).collect();
        parts.push(limb(&path, &radii, 9));
    }
    parts.push(surface(&body, 26));
    merge(parts)
}

fn turtle(random: &mut Random) -> Mesh {
    let mut body = Blend::new(0.04);
    let (wide, dome) = (random.between(0.36, 0.5), random.between(0.18, 0.42));
    body.egg([0.0, 0.0, 0.16], [0.55, wide, dome]);
    body.egg([0.0, 0.0, 0.12], [0.6, wide * 1.1, 0.08]);
    let neck = random.between(0.15, 0.35);
    body.limb([0.45, 0.0, 0.12], [0.5 + neck, 0.0, 0.14 + random.between(0.0, 0.2)], 0.09, 0.1);
    body.limb([-0.5, 0.0, 0.1], [-0.72, 0.0, 0.05], 0.05, 0.015);
    let flippers = random.coin();
    for (x, y) in [(0.35, 1.0), (0.35, -1.0), (-0.35, 1.0), (-0.35, -1.0)] {
        let (out, low) = if flippers { (random.between(0.3, 0.55), 0.05) } else { (0.18, -0.12) };
        let sweep = if flippers { random.between(-0.4, 0.1) } else { 0.05 };
        body.limb([x, y * wide * 0.7, 0.1], [x + sweep * x.signum(), y * (wide * 0.7 + out), low], 0.1, 0.07);
    }
    surface(&body, random.count(34, 50))
}

fn snail(random: &mut Random) -> Mesh {
    let turns = random.between(1.8, 3.2);
    let steps = 60;
    let grow = random.between(0.25, 0.4);
    let out = random.between(0.0, 0.35);
    let path: Vec<Point> = (0..=steps)
        .map(|i| {
            let angle = TAU * turns * i as f64 / f64::from(steps);
            let r = libm::exp(grow * (angle - TAU * turns) * 0.6) * 0.45;
            let [x, z] = polar(r, angle - 1.6 - TAU * turns);
            [x, out * (1.0 - r / 0.45), z + 0.6]
        })
        .collect();
    let radii: Vec<f64> =
        path.iter().map(|p| 0.55 * ((p[0] * p[0] + (p[2] - 0.6) * (p[2] - 0.6)).sqrt()) + 0.01).collect();
    let shell = limb(&path, &radii, 14);
    if random.chance(0.35) {
        return shell;
    }
    let mut body = Blend::new(0.08);
    body.tail(
        &[[-0.9, 0.0, 0.03], [-0.2, 0.0, 0.12], [0.5, 0.0, 0.1], [0.85, 0.0, random.between(0.2, 0.4)]],
        &[0.03, 0.14, 0.14, 0.11],
    );
    let stalks = [-1.0, 1.0].map(|y| limb(&[[0.85, y * 0.05, 0.3], [1.0, y * 0.12, 0.6]], &[0.03, 0.02], 7));
    let eyes = [-1.0, 1.0].map(|y| moved(ball(0.04, 8), [1.0, y * 0.12, 0.6]));
    merge([shell, surface(&body, 36)].into_iter().chain(stalks).chain(eyes))
}

fn starfish(random: &mut Random) -> Mesh {
    let arms = random.count(4, 8);
    let mut body = Blend::new(0.15);
    body.egg([0.0; 3], [0.3, 0.3, 0.15]);
    for i in 0..arms {
        let angle = TAU * i as f64 / arms as f64 + random.between(-0.12, 0.12);
        let at = |r: f64, turn: f64| times(direction(angle + turn, 0.0), r);
        let end = random.between(0.85, 1.1);
        body.tail(&[[0.0; 3], at(0.5, 0.0), at(end, random.between(-0.3, 0.3))], &[0.17, 0.13, 0.04]);
    }
    surface(&body, random.count(34, 52))
}

/// Insects and their like: pairs of legs, and 0 nothing more, 1 a wing case, 2 claws, 3 claws and a sting.
fn many_legged(random: &mut Random, &[pairs, more]: &[usize; 2]) -> Mesh {
    let mut body = Blend::new(0.05);
    let (rear, thick) = (random.between(0.3, 0.6), random.between(0.16, 0.3));
    body.egg([0.0, 0.0, 0.0], [0.2, 0.15, 0.13]);
    if more == 2 {
        body.egg([0.0; 3], [0.35, random.between(0.45, 0.6), 0.17]);
    } else {
        body.egg([-0.2 - rear * 0.7, 0.0, 0.05], [rear, thick * if more == 1 { 1.3 } else { 1.0 }, thick]);
        body.ball([0.27, 0.0, 0.02], random.between(0.09, 0.16));
    }
    let mut parts = Vec::new();
    let (reach, arch) = (random.between(0.6, 1.3), random.between(0.1, 0.6));
    let thin = random.between(0.015, 0.04);
    let low = -random.between(0.2, 0.4);
    for i in 0..pairs {
        let fan = 1.2 * (i as f64 / (pairs - 1) as f64 - 0.5) * -2.0 * 0.8;
        for side in [-1.0, 1.0] {
            let angle = side * (FRAC_PI_2 - fan + random.between(-0.15, 0.15));
            let at = |r: f64, z: f64| add([0.1 * fan, 0.0, z], times(direction(angle, 0.0), r));
            let radii = [thin * 1.5, thin * 1.2, thin, thin * 0.4];
            parts.push(limb(
                &[at(0.08, 0.0), at(0.3 * reach, arch), at(0.75 * reach, arch * 0.5), at(reach, low)],
                &radii,
                6,
            ));
        }
    }
    for y in [-1.0, 1.0] {
        if more >= 2 {
            let (out, open) = (random.between(0.35, 0.6), random.between(0.1, 0.25));
            let claw = [0.45 + out * 0.5, y * out, 0.0];
            body.chain(&[[0.2, y * 0.15, 0.0], [0.35, y * (out + 0.1), 0.05], claw], &[0.06, 0.06, 0.1]);
            body.limb(claw, add(claw, [0.3, -y * open, 0.0]), 0.09, 0.02);
            body.limb(claw, add(claw, [0.28, y * open, 0.0]), 0.07, 0.02);
        } else if pairs == 3 {
            let path =
                curve(&[[0.35, y * 0.05, 0.06], [0.55, y * 0.15, 0.25], [0.8, y * 0.3, random.between(0.1, 0.3)]], 4);
            parts.push(limb(&path, &[0.012; 9], 5));
        }
    }
    if more == 3 {
        let lift = random.between(0.4, 0.8);
        body.tail(
            &[[-0.6, 0.0, 0.0], [-1.1, 0.0, 0.2], [-1.0, 0.0, lift], [-0.6, 0.0, lift + 0.1]],
            &[0.12, 0.08, 0.07, 0.03],
        );
    }
    parts.push(surface(&body, random.count(26, 40)));
    merge(parts)
}

fn winged(random: &mut Random, broad: bool) -> Mesh {
    let tail = if broad { random.between(0.4, 0.6) } else { random.between(0.9, 1.3) };
    let body =
        limb(&[[0.3, 0.0, 0.0], [0.2, 0.0, 0.0], [-0.1, 0.0, 0.0], [-tail, 0.0, -0.05]], &[0.04, 0.07, 0.08, 0.03], 10);
    let lift = random.between(-0.2, 0.9);
    let mut parts = vec![body, moved(ball(0.08, 10), [0.33, 0.0, 0.0])];
    for (x, ahead) in [(0.12, random.between(0.2, 0.8)), (-0.05, -random.between(0.1, 0.8))] {
        let long = random.between(0.7, 1.0);
        let wide = if broad { random.between(0.35, 0.6) } else { random.between(0.1, 0.16) };
        let (tip, wave) = (random.between(0.5, 0.9), random.between(0.0, 0.12));
        let one = sheet(14, 6, |u, v| {
            let half = wide
                * libm::pow(u, if broad { 0.8 } else { 0.3 })
                * (1.0 - libm::pow(u, 6.0))
                * (1.0 + wave * libm::sin(12.0 * u));
            let [y, z] = polar(long * u, lift);
            [x + ahead * u * tip + (v - 0.5) * 2.0 * half, y + 0.04, z]
        });
        parts.push(both(one, 1));
    }
    let feeler = curve(&[[0.38, 0.02, 0.03], [0.55, 0.08, 0.12], [0.7, 0.2, 0.15]], 3);
    parts.push(both(limb(&feeler, &[0.01; 7], 4), 1));
    let legs = limb(&[[0.1, 0.05, -0.05], [0.12, 0.2, -0.12], [0.1, 0.25, -0.3]], &[0.012; 3], 4);
    parts.push(both(merge([legs.clone(), moved(legs, [-0.12, 0.0, 0.0])]), 1));
    merge(parts)
}
