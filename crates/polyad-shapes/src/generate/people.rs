//! People and what is made like them: figures, heads, hands. They face +x, Z is up.

use super::Kind;
use super::implicit::{Blend, Part};
use super::nets::surface;
use super::vector::{Point, add, direction, times, unit};
use crate::build::solid::polar;
use crate::mesh::Mesh;
use crate::random::Random;

pub(super) const KINDS: &[Kind] = &[
    ("human-standing", |random| human(random, Posture::Standing)),
    ("human-walking", |random| human(random, Posture::Walking)),
    ("human-sitting", |random| human(random, Posture::Sitting)),
    ("human-arms-wide", |random| human(random, Posture::Wide)),
    ("teddy-bear", |random| human(random, Posture::Teddy)),
    ("bust", bust),
    ("hand", hand),
];

#[derive(Clone, Copy, PartialEq)]
enum Posture {
    Standing,
    Walking,
    Sitting,
    Wide,
    Teddy,
}

/// A two-armed figure that faces +x; lengths in its height without the head.
fn human(random: &mut Random, posture: Posture) -> Mesh {
    let teddy = posture == Posture::Teddy;
    let build = if teddy { random.between(1.8, 2.6) } else { random.between(0.75, 1.5) };
    let (shoulder, hip) = (random.between(0.19, 0.25), random.between(0.1, 0.15) * build.min(1.3));
    let leg = if teddy { random.between(0.28, 0.38) } else { random.between(0.48, 0.56) };
    let head = if teddy { random.between(0.19, 0.25) } else { random.between(0.085, 0.115) };
    let sitting = posture == Posture::Sitting;
    let mut body = Blend::new(0.05 * build);
    let pelvis = [0.0, 0.0, if sitting { leg * 0.55 } else { leg }];
    let lean = random.between(-0.06, 0.15);
    let chest = add(pelvis, [lean, 0.0, 0.36]);
    let neck = add(pelvis, [lean * 1.1, 0.0, 0.5]);
    let wide = 0.07 * build;
    for y in [-1.0, 1.0] {
        body.chain(
            &[add(pelvis, [0.0, y * hip * 0.6, 0.0]), add(chest, [0.0, y * shoulder * 0.4, 0.0])],
            &[wide * 1.1, wide * 1.15],
        );
        body.limb(
            add(chest, [0.0, y * shoulder * 0.4, 0.06]),
            add(chest, [0.0, y * shoulder * 0.85, 0.07]),
            0.05,
            0.05,
        );
    }
    let crown = add(neck, [random.between(-0.02, 0.05), random.between(-0.03, 0.03), 0.06 + head * 1.05]);
    body.limb(neck, crown, 0.045, 0.05);
    body.egg(crown, [head * 1.05, head * 0.85, head * if teddy { 1.0 } else { 1.25 }]);
    if teddy {
        let ear = head * random.between(0.3, 0.5);
        [-1.0, 1.0].iter().for_each(|y| body.ball(add(crown, [0.0, y * head * 0.8, head * 0.75]), ear));
        body.ball(add(crown, [head, 0.0, -0.15 * head]), head * 0.4);
    }
    let step = if posture == Posture::Walking { random.between(0.25, 0.7) } else { random.between(0.0, 0.15) };
    let spread = random.between(0.0, 0.25);
    for y in [-1.0, 1.0] {
        let swing = y * step;
        let thigh = if sitting {
            direction(y * random.between(0.0, 0.4), random.between(-0.2, 0.2))
        } else {
            down(swing, y * spread)
        };
        let shin = if sitting {
            down(random.between(-0.3, 0.5), 0.0)
        } else {
            down(swing - random.between(0.0, 0.5) * step.max(0.1) * 2.0, y * spread * 0.8)
        };
        let root = add(pelvis, [0.0, y * hip, 0.0]);
        let knee = add(root, times(thigh, leg * 0.5));
        let foot = add(knee, times(shin, leg * 0.46));
        let limbs = 0.052 * build.min(1.5);
        let toe = if teddy { 0.08 } else { 0.13 };
        body.chain(
            &[root, knee, foot, add(foot, [toe, y * 0.02, -0.015])],
            &[limbs * 1.45, limbs, limbs * 0.75, limbs * 0.6],
        );
        let joint = add(chest, [0.0, y * shoulder, 0.06]);
        let raise = match posture {
            Posture::Wide => random.between(1.2, 2.2),
            Posture::Sitting => random.between(0.1, 0.5),
            _ if random.chance(0.15) => random.between(0.5, 2.8),
            _ => random.between(0.08, 0.5),
        };
        let upper = down(-swing * 0.8 + random.between(-0.2, 0.3), y * raise);
        let elbow = add(joint, times(upper, if teddy { 0.13 } else { 0.26 }));
        let bent = unit(add(upper, [random.between(0.0, 1.0), 0.0, random.between(-0.1, 0.5)]));
        let wrist = add(elbow, times(bent, if teddy { 0.13 } else { 0.24 }));
        let arm = 0.038 * build.min(1.8);
        body.chain(&[joint, elbow, wrist, add(wrist, times(bent, 0.09))], &[arm * 1.3, arm, arm * 0.8, arm * 0.9]);
    }
    if !teddy && random.chance(0.25) {
        let skirt = random.between(0.15, 0.3);
        body.limb(add(pelvis, [0.0, 0.0, 0.1]), add(pelvis, [0.0, 0.0, -0.2]), 0.1, skirt);
    }
    surface(&body, random.count(42, 60))
}

/// The direction downwards, swung by angles to the front and to the side.
fn down(front: f64, side: f64) -> Point {
    let [cos, sin] = polar(1.0, front);
    let [c, s] = polar(1.0, side);
    [sin * c, s, -cos * c]
}

fn bust(random: &mut Random) -> Mesh {
    let mut body = Blend::new(0.12);
    let (long, wide) = (random.between(0.48, 0.62), random.between(0.36, 0.45));
    let turn = random.between(-0.2, 0.2);
    body.egg([0.0, 0.0, 0.0], [wide * 1.1, wide, long]);
    body.egg([0.12, 0.0, -0.3], [0.27, 0.25, 0.25]);
    body.limb([0.38, 0.0, 0.05], [0.46 + random.between(0.0, 0.08), 0.0, -0.13], 0.03, 0.07);
    body.limb([0.36, 0.0, -0.32], [0.38, 0.0, -0.33], 0.06, 0.06);
    for y in [-1.0, 1.0] {
        body.egg([-0.02, y * wide, -0.03], [0.08, 0.04, 0.13]);
        body.limb([0.33, y * 0.08, 0.12], [0.3, y * 0.2, 0.11], 0.05, 0.04);
        body.cut(Part::Egg {
            centre: [0.47, y * 0.15, 0.03],
            radii: [0.09, 0.08, 0.06],
            turn: super::implicit::STRAIGHT,
        });
    }
    if random.coin() {
        body.egg([-0.1, 0.0, 0.12], [wide * 1.15, wide * 1.12, long]);
    }
    let neck = random.between(0.17, 0.24);
    body.limb([-0.08, turn * 0.2, -0.3], [-0.12, 0.0, -0.8], neck, neck * 1.15);
    if random.chance(0.7) {
        for y in [-1.0, 1.0] {
            body.limb([-0.12, 0.0, -0.85], [-0.14, y * random.between(0.5, 0.75), -1.0], 0.25, 0.2);
        }
        body.cut(Part::Block {
            centre: [0.0, 0.0, -1.6],
            half: [1.0, 1.5, 0.5],
            round: 0.0,
            turn: super::implicit::STRAIGHT,
        });
    }
    surface(&body, random.count(36, 52))
}

fn hand(random: &mut Random) -> Mesh {
    let mut body = Blend::new(0.07);
    let wide = random.between(0.36, 0.46);
    let part = Part::Block {
        centre: [0.42, 0.0, 0.0],
        half: [0.42, wide, 0.13],
        round: 0.12,
        turn: super::implicit::STRAIGHT,
    };
    body.part(part);
    let (spread, curl) = (random.between(0.0, 0.3), random.between(0.0, 1.0));
    let thick = random.between(0.085, 0.115);
    let pointing_only = random.chance(0.2);
    for i in 0..4 {
        let t = i as f64 / 1.5 - 1.0;
        let long = [0.68, 0.82, 0.78, 0.6][i] * random.between(0.9, 1.1);
        let curl = if pointing_only && i > 0 { 1.5 } else { (curl * random.between(0.5, 1.1)).max(0.0) };
        let mut joints = vec![[0.8, t * (wide - 0.1), 0.0]];
        for k in 1..=3 {
            let way = direction(t * spread, -curl * f64::from(k) * 0.8);
            let last = joints[joints.len() - 1];
            joints.push(add(last, times(way, long * [0.45, 0.32, 0.23][k as usize - 1])));
        }
        body.chain(&joints, &[thick * 1.05, thick, thick * 0.92, thick * 0.75]);
    }
    let out = random.between(0.2, 1.2);
    let root = [0.2, -wide * 0.7, -0.03];
    let middle = add(root, times(direction(-out, -0.3), 0.42));
    let tip = add(middle, times(direction(-out * 0.5, -0.3 - 0.3 * curl), 0.36));
    body.chain(&[root, middle, tip], &[0.15, 0.115, 0.085]);
    if random.chance(0.8) {
        body.limb([0.1, 0.0, 0.0], [-random.between(0.2, 0.9), 0.0, 0.0], 0.22, 0.2);
    }
    surface(&body, random.count(40, 56))
}
