//! Four-legged animals: a trunk, limbs with joints, a head, flowing into one another.

use super::Kind;
use super::implicit::Blend;
use super::nets::surface;
use super::vector::{Point, add, direction, times};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::FRAC_PI_2;

pub(super) const KINDS: &[Kind] = &[
    ("dog", |random| four_legged(random, &DOG)),
    ("cat", |random| four_legged(random, &CAT)),
    ("horse", |random| four_legged(random, &HORSE)),
    ("cow", |random| four_legged(random, &COW)),
    ("elephant", |random| four_legged(random, &ELEPHANT)),
    ("giraffe", |random| four_legged(random, &GIRAFFE)),
    ("bear", |random| four_legged(random, &BEAR)),
    ("rabbit", |random| four_legged(random, &RABBIT)),
    ("lizard", |random| four_legged(random, &LIZARD)),
    ("deer", |random| four_legged(random, &DEER)),
    ("sauropod", |random| four_legged(random, &SAUROPOD)),
];

/// Ranges of an animal's measures, in lengths of its trunk.
struct Plan {
    /// Height of the shoulder.
    leg: [f64; 2],
    /// Radius of the trunk.
    girth: [f64; 2],
    /// Radius of a leg at its upper end.
    limb: [f64; 2],
    neck: [f64; 2],
    /// How steeply the neck rises.
    rise: [f64; 2],
    /// Length of the head.
    head: [f64; 2],
    /// How much of the head is muzzle.
    muzzle: [f64; 2],
    ear: [f64; 2],
    tail: [f64; 2],
    /// How far the legs stand out to the sides, 0 to 1.
    sprawl: f64,
    extra: Extra,
}

#[derive(PartialEq)]
enum Extra {
    None,
    Horns,
    Antlers,
    Trunk,
    Mane,
}

const DOG: Plan = Plan {
    leg: [0.5, 0.9],
    girth: [0.17, 0.25],
    limb: [0.06, 0.1],
    neck: [0.2, 0.4],
    rise: [0.3, 1.1],
    head: [0.25, 0.4],
    muzzle: [0.5, 0.8],
    ear: [0.08, 0.2],
    tail: [0.3, 0.7],
    sprawl: 0.1,
    extra: Extra::None,
};
const CAT: Plan = Plan {
    leg: [0.4, 0.6],
    neck: [0.1, 0.25],
    head: [0.2, 0.28],
    muzzle: [0.1, 0.25],
    ear: [0.08, 0.14],
    tail: [0.6, 1.1],
    ..DOG
};
const HORSE: Plan = Plan {
    leg: [0.8, 1.05],
    girth: [0.2, 0.28],
    limb: [0.06, 0.09],
    neck: [0.5, 0.7],
    rise: [0.6, 1.1],
    head: [0.35, 0.45],
    muzzle: [0.7, 0.9],
    ear: [0.06, 0.1],
    tail: [0.4, 0.7],
    sprawl: 0.05,
    extra: Extra::Mane,
};
const COW: Plan = Plan {
    leg: [0.55, 0.75],
    girth: [0.25, 0.33],
    neck: [0.2, 0.35],
    rise: [0.1, 0.5],
    muzzle: [0.5, 0.7],
    extra: Extra::Horns,
    ..HORSE
};
const ELEPHANT: Plan = Plan {
    leg: [0.65, 0.85],
    girth: [0.33, 0.42],
    limb: [0.13, 0.18],
    neck: [0.1, 0.2],
    rise: [0.2, 0.5],
    head: [0.5, 0.65],
    muzzle: [0.1, 0.2],
    ear: [0.25, 0.36],
    tail: [0.3, 0.5],
    sprawl: 0.05,
    extra: Extra::Trunk,
};
const GIRAFFE: Plan = Plan {
    leg: [1.2, 1.6],
    neck: [1.2, 1.8],
    rise: [0.9, 1.3],
    head: [0.25, 0.32],
    limb: [0.06, 0.09],
    extra: Extra::None,
    ..HORSE
};
const BEAR: Plan = Plan {
    leg: [0.45, 0.6],
    girth: [0.28, 0.36],
    limb: [0.11, 0.15],
    neck: [0.15, 0.3],
    rise: [0.0, 0.5],
    head: [0.25, 0.35],
    muzzle: [0.3, 0.5],
    ear: [0.05, 0.09],
    tail: [0.05, 0.1],
    ..DOG
};
const RABBIT: Plan = Plan {
    leg: [0.3, 0.45],
    girth: [0.27, 0.36],
    limb: [0.07, 0.11],
    neck: [0.1, 0.2],
    rise: [0.6, 1.1],
    head: [0.22, 0.32],
    muzzle: [0.1, 0.3],
    ear: [0.3, 0.55],
    tail: [0.05, 0.12],
    ..DOG
};
const LIZARD: Plan = Plan {
    leg: [0.2, 0.35],
    girth: [0.12, 0.22],
    limb: [0.05, 0.08],
    neck: [0.1, 0.2],
    rise: [0.0, 0.4],
    head: [0.25, 0.4],
    muzzle: [0.5, 0.9],
    ear: [0.0, 0.01],
    tail: [0.9, 1.6],
    sprawl: 0.9,
    extra: Extra::None,
};
const DEER: Plan = Plan {
    leg: [0.8, 1.0],
    girth: [0.17, 0.22],
    limb: [0.05, 0.07],
    ear: [0.1, 0.16],
    tail: [0.06, 0.15],
    extra: Extra::Antlers,
    ..HORSE
};
const SAUROPOD: Plan = Plan {
    leg: [0.5, 0.7],
    girth: [0.28, 0.38],
    limb: [0.1, 0.15],
    neck: [0.9, 1.5],
    rise: [0.2, 1.0],
    head: [0.18, 0.25],
    muzzle: [0.4, 0.6],
    ear: [0.0, 0.01],
    tail: [1.0, 1.8],
    sprawl: 0.1,
    extra: Extra::None,
};

fn from(random: &mut Random, range: [f64; 2]) -> f64 {
    random.between(range[0], range[1])
}

fn four_legged(random: &mut Random, plan: &Plan) -> Mesh {
    let leg = from(random, plan.leg);
    let girth = from(random, plan.girth);
    let limb = from(random, plan.limb);
    let mut body = Blend::new(0.5 * girth);
    // The trunk lies along x, its head at the positive end.
    let (hip, chest) = ([-0.5, 0.0, leg * random.between(0.93, 1.07)], [0.5, 0.0, leg]);
    let belly = add(times(add(hip, chest), 0.5), [0.0, 0.0, girth * random.between(-0.25, 0.15)]);
    body.tail(&[hip, belly, chest], &[girth * random.between(0.75, 1.0), girth * random.between(0.85, 1.1), girth]);
    for (at, bend) in [(hip, -1.0), (chest, 1.0)] {
        for side in [-1.0, 1.0] {
            leg_of(random, &mut body, at, [side, bend], [limb, girth, plan.sprawl]);
        }
    }
    let (rise, turn) = (from(random, plan.rise), random.between(-0.5, 0.5));
    let way = direction(turn, rise);
    let neck = from(random, plan.neck);
    let nape = add(chest, add(times(way, neck + 0.4 * girth), [0.1 * girth, 0.0, 0.25 * girth]));
    let head = from(random, plan.head);
    let thin = head * random.between(0.3, 0.42);
    body.tail(
        &[chest, add(chest, times(way, 0.6 * neck)), nape],
        &[0.75 * girth, (0.45 * girth).max(thin * 0.8), thin * 0.85],
    );
    head_of(random, &mut body, nape, [turn, head, thin], plan);
    let tail = from(random, plan.tail);
    tail_of(random, &mut body, hip, girth, tail, limb);
    surface(&body, random.count(34, 54))
}

/// A leg with a knee and a foot; `side` and `bend` give its place, its sizes the upper radius, the girth, the sprawl.
fn leg_of(random: &mut Random, body: &mut Blend, at: Point, [side, bend]: [f64; 2], [limb, girth, sprawl]: [f64; 3]) {
    let stride = random.between(-0.3, 0.3);
    let high = at[2];
    let shoulder = add(at, [0.0, side * (girth * 0.6), -0.2 * girth]);
    let out = side * (0.1 * girth + sprawl * (0.35 + 0.3 * high));
    let knee = [
        shoulder[0] + high * (0.5 * stride + 0.1 * bend * random.between(-0.5, 1.5)),
        shoulder[1] + 0.7 * out,
        high * random.between(0.4, 0.52) * (1.0 + 0.5 * sprawl),
    ];
    let foot = [shoulder[0] + high * stride, shoulder[1] + out, 0.06 * high];
    let toe = add(foot, [limb * random.between(0.6, 1.3), 0.0, -0.02 * high]);
    body.chain(&[shoulder, knee, foot, toe], &[1.15 * limb, 0.72 * limb, 0.5 * limb, 0.55 * limb]);
}

fn head_of(random: &mut Random, body: &mut Blend, nape: Point, [turn, head, thin]: [f64; 3], plan: &Plan) {
    let muzzle = from(random, plan.muzzle);
    let nod = random.between(-0.7, 0.1);
    let face = direction(turn + random.between(-0.3, 0.3), nod);
    let nose = add(nape, times(face, head * (0.45 + 0.55 * muzzle)));
    body.ball(nape, thin);
    body.chain(&[nape, nose], &[thin * 0.85, thin * (1.0 - 0.5 * muzzle)]);
    let ear = from(random, plan.ear);
    let aside: Point = [-face[1], face[0], 0.0];
    let flop = random.between(-0.2, 0.7);
    for side in [-1.0, 1.0] {
        let root = add(nape, add(times(aside, side * thin * 0.6), [-0.2 * thin, 0.0, 0.7 * thin]));
        if ear > 0.04 && plan.extra != Extra::Trunk {
            let tip = add(root, add(times(aside, side * ear * flop), [0.0, 0.0, ear * (1.0 - flop.abs())]));
            body.chain(&[root, tip], &[0.35 * thin, 0.12 * thin]);
        }
        match plan.extra {
            Extra::Horns => {
                let (out, up) = (random.between(0.5, 1.2) * thin, random.between(0.3, 1.3) * thin);
                let middle = add(root, times(aside, side * out));
                body.tail(&[root, middle, add(middle, [0.0, 0.0, up])], &[0.2 * thin, 0.15 * thin, 0.05 * thin]);
            }
            Extra::Antlers => {
                let fork = add(root, add(times(aside, side * thin), [-0.5 * thin, 0.0, 1.5 * thin]));
                for _ in 0..3 {
                    let tip = add(
                        fork,
                        add(
                            times(aside, side * thin * random.between(-0.5, 1.2)),
                            times(face, thin * random.between(-1.0, 1.0)),
                        ),
                    );
                    body.chain(
                        &[root, fork, add(tip, [0.0, 0.0, thin * random.between(0.8, 2.0)])],
                        &[0.13 * thin, 0.11 * thin, 0.06 * thin],
                    );
                }
            }
            Extra::Trunk => {
                let centre = add(nape, times(aside, side * (0.7 * thin + 0.6 * ear)));
                let radii = [0.1 * ear, 0.75 * ear, ear];
                let spread = turn + side * random.between(0.2, 0.8);
                let [c, s] = crate::build::solid::polar(1.0, spread);
                let turn = [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]];
                body.part(super::implicit::Part::Egg { centre, radii, turn });
                let tusk = add(nose, add(times(aside, side * 0.35 * thin), [0.0, 0.0, -0.4 * thin]));
                let tip = add(tusk, add(times(face, head * random.between(0.3, 0.9)), [0.0, 0.0, 0.1 * head]));
                body.chain(&[tusk, tip], &[0.12 * thin, 0.05 * thin]);
            }
            Extra::None | Extra::Mane => {}
        }
    }
    if plan.extra == Extra::Trunk {
        let curl = random.between(-0.2, 0.9);
        let down = add(nose, [0.3 * head * face[0], 0.3 * head * face[1], -0.8 * head]);
        let low = add(down, times(direction(turn, curl), 0.7 * head));
        body.tail(&[nose, down, low], &[0.55 * thin, 0.35 * thin, 0.2 * thin]);
    }
    if plan.extra == Extra::Mane {
        let back = add(nape, [-0.6 * thin, 0.0, 0.2 * thin]);
        body.limb(nape, back, 0.5 * thin, 0.4 * thin);
    }
}

/// A tail that hangs, stands out or curls up.
fn tail_of(random: &mut Random, body: &mut Blend, hip: Point, girth: f64, long: f64, limb: f64) {
    let root = add(hip, [-0.7 * girth, 0.0, 0.4 * girth]);
    let lift = random.between(-1.0, 0.9);
    let sway = random.between(-0.5, 0.5);
    let way = direction(2.0 * FRAC_PI_2 + sway, lift);
    let curl = times([0.0, random.between(-0.3, 0.3), random.between(-0.4, 0.5)], long);
    let middle = add(root, times(way, 0.5 * long));
    let mut tip = add(add(root, times(way, long)), curl);
    tip[2] = tip[2].max(0.05);
    let thick = if long > 0.85 { 0.6 * girth } else { 0.55 * limb };
    body.tail(&[hip, root, middle, tip], &[0.5 * girth, thick, 0.6 * thick, 0.25 * thick]);
}
