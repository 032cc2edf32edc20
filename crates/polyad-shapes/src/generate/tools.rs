//! Tools: handles with heads, two arms on a hinge. The long side lies along x.

use super::Kind;
use super::form::{bar, both, curve, limb, placed, rod, slab, stretched, torus, warped};
use super::turned::{line, solid};
use crate::build::solid::{ball, circle, cuboid, extrude, merge, moved, polar, polygon, rectangle, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("hammer", hammer),
    ("axe", axe),
    ("screwdriver", screwdriver),
    ("wrench", wrench),
    ("pliers", |random| hinged(random, true)),
    ("scissors", |random| hinged(random, false)),
    ("knife-or-sword", knife),
    ("hand-saw", hand_saw),
    ("shovel", shovel),
    ("brush-or-broom", brush),
    ("drill", drill),
    ("clamp", clamp),
];

/// A grip along x from 0 to `long`: lathed, or flat with round ends.
fn grip(random: &mut Random, long: f64, thick: f64) -> Mesh {
    if random.coin() {
        let mut points = vec![[thick * 0.7, 0.0]];
        points.extend((1..5).map(|i| [thick * random.between(0.7, 1.2), long * f64::from(i) / 5.0]));
        points.push([thick * 0.7, long]);
        return placed(solid(&line(random, &points, 0.8), 16), [0.0; 3], [1.0, 0.0, 0.0]);
    }
    let flat = rectangle(long, 2.0 * thick, thick * random.between(0.0, 0.9));
    moved(extrude(&flat, &[], -thick * 0.6, thick * 0.6), [long / 2.0, 0.0, 0.0])
}

fn hammer(random: &mut Random) -> Mesh {
    let (face, head) = (random.between(0.07, 0.16), random.between(0.3, 0.6));
    let thick = random.between(0.03, 0.06);
    let mut parts = vec![grip(random, 1.0, thick)];
    let neck = face * random.between(0.5, 0.9);
    let striking = placed(
        solid(&[[neck, -0.02], [neck, head * 0.25], [face, head * 0.3], [face, head * 0.5]], random.count(4, 24)),
        [1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0],
    );
    parts.push(striking.clone());
    parts.push(match random.count(0, 2) {
        0 => super::form::mirrored(striking, 1),
        1 => {
            let wedge =
                extrude(&[[-neck, 0.0], [neck, 0.0], [0.02, head * 0.6], [-0.02, head * 0.6]], &[], -neck, neck);
            moved(turned(turned(wedge, 1, FRAC_PI_2), 2, TAU / 2.0), [1.0, 0.0, 0.0])
        }
        _ => {
            let claw = limb(
                &curve(&[[1.0, 0.0, 0.03], [1.0, -head * 0.4, 0.04], [0.85, -head * 0.7, 0.1]], 4),
                &[
                    neck * 0.8,
                    neck * 0.7,
                    neck * 0.7,
                    neck * 0.6,
                    neck * 0.5,
                    neck * 0.4,
                    neck * 0.3,
                    neck * 0.2,
                    neck * 0.1,
                ],
                8,
            );
            both(claw, 2)
        }
    });
    parts.push(cuboid([neck * 1.6, neck * 1.8, neck * 1.8], [1.0, 0.0, 0.0]));
    merge(parts)
}

fn axe(random: &mut Random) -> Mesh {
    let thick = random.between(0.025, 0.05);
    let (out, edge) = (random.between(0.2, 0.45), random.between(0.15, 0.5));
    let arc = (0..=8).map(|i| {
        let t = f64::from(i) / 4.0 - 1.0;
        [t * edge, out + 0.12 * edge * (1.0 - t * t)]
    });
    let outline: Vec<[f64; 2]> = [[0.09, -0.08], [0.08, 0.1]]
        .into_iter()
        .chain(arc.collect::<Vec<_>>().into_iter().rev())
        .chain([[-0.08, 0.1], [-0.09, -0.08]])
        .collect();
    let blade = extrude(&outline, &[], -0.05, 0.05);
    let blade = warped(blade, |[x, y, z]| [x, y, z * (1.0 - 0.9 * (y / out).clamp(0.0, 1.0))]);
    let mut parts = vec![grip(random, 1.1, thick), moved(blade.clone(), [1.0, 0.0, 0.0])];
    if random.chance(0.3) {
        parts.push(moved(super::form::mirrored(blade, 1), [1.0, 0.0, 0.0]));
    }
    merge(parts)
}

fn screwdriver(random: &mut Random) -> Mesh {
    let (thick, blade) = (random.between(0.07, 0.13), random.between(0.015, 0.035));
    let long = random.between(0.4, 1.2);
    let lobes = random.count(4, 9) as f64;
    let points = [[thick * 0.6, 0.0], [thick, 0.06], [thick * 0.95, 0.4], [thick * 0.6, 0.5], [thick * 0.7, 0.55]];
    let handle = placed(solid(&line(random, &points, 0.7), 36), [0.0; 3], [1.0, 0.0, 0.0]);
    let handle = warped(handle, |[x, y, z]| {
        let swell = 1.0 + 0.08 * libm::cos(lobes * libm::atan2(z, y));
        [x, y * swell, z * swell]
    });
    let tip = cuboid([0.12, 2.0 * blade * random.between(1.0, 1.8), 0.012], [0.55 + long, 0.0, 0.0]);
    merge([handle, rod([0.5, 0.0, 0.0], [0.55 + long, 0.0, 0.0], blade, blade, 12), tip])
}

fn wrench(random: &mut Random) -> Mesh {
    let (jaw, thick) = (random.between(0.12, 0.22), random.between(0.03, 0.08));
    let gap = jaw * random.between(0.4, 0.6);
    let (from, tilt) = (TAU * 0.09, random.between(-0.4, 0.4));
    let outline: Vec<[f64; 2]> = (0..=24)
        .map(|i| polar(jaw, from + (TAU - 2.0 * from) * f64::from(i) / 24.0))
        .chain([[gap * 0.9, -gap], [-gap * 0.5, -gap], [-gap * 0.5, gap], [gap * 0.9, gap]].map(|p| p.map(|x| x * 0.9)))
        .collect();
    let open = turned(extrude(&outline, &[], -thick / 2.0, thick / 2.0), 2, tilt);
    let bar = cuboid([1.0, random.between(0.06, 0.13), thick * 0.7], [0.0; 3]);
    let eye = if random.coin() {
        extrude(&circle(jaw, 26), &[polygon(jaw * 0.65, random.pick(&[6, 12]), 0.0)], -thick * 0.6, thick * 0.6)
    } else {
        turned(open.clone(), 2, TAU / 2.0)
    };
    merge([moved(open, [0.5 + jaw * 0.6, 0.0, 0.0]), bar, moved(eye, [-0.5 - jaw * 0.6, 0.0, 0.0])])
}

/// Two crossed arms: pliers with jaws, or scissors with blades and rings.
fn hinged(random: &mut Random, pliers: bool) -> Mesh {
    let open = random.between(0.03, 0.45);
    let (grips, jaws) = (random.between(0.6, 1.1), random.between(0.25, 0.9) * if pliers { 0.6 } else { 1.1 });
    let thick = random.between(0.03, 0.07);
    let bow = random.between(0.1, 0.25);
    let mut parts = Vec::new();
    if pliers {
        let jaw = extrude(
            &[
                [-0.05, -0.01],
                [jaws, -0.01],
                [jaws, 0.02 + 0.04 * random.between(0.0, 1.0)],
                [jaws * 0.3, 0.12],
                [-0.05, 0.12],
            ],
            &[],
            -thick,
            thick,
        );
        let path =
            curve(&[[0.05, 0.02, 0.0], [-0.15, -0.1, 0.0], [-grips * 0.5, -bow, 0.0], [-grips, -bow * 0.7, 0.0]], 4);
        let radii: Vec<f64> = (0..path.len()).map(|i| if i > 5 { thick * 1.25 } else { thick * 0.8 }).collect();
        parts.extend([jaw, limb(&path, &radii, 10)]);
        parts.push(tube(0.12, 0.0, -thick, thick, 22));
    } else {
        let blade = extrude(
            &[
                [-0.08, -0.02],
                [jaws, -0.005],
                [jaws * 0.95, 0.02],
                [jaws * 0.2, random.between(0.06, 0.1)],
                [-0.08, 0.06],
            ],
            &[],
            0.0,
            thick * 0.4,
        );
        let ring = random.between(0.11, 0.18);
        let eye = moved(stretched(torus(ring, 0.035, 26, 8), [1.2, 1.0, 1.0]), [-grips * 0.7, -0.12 - ring * 0.6, 0.0]);
        parts.extend([blade, bar([0.0, 0.02, 0.0], [-grips * 0.7 + ring, -0.1, 0.0], thick * 0.8, 0.07), eye]);
        parts.push(tube(0.045, 0.0, -thick, thick, 14));
    }
    let arm = merge(parts);
    let other = super::form::mirrored(arm.clone(), 1);
    merge([turned(arm, 2, open / 2.0), moved(turned(other, 2, -open / 2.0), [0.0, 0.0, thick * 0.2])])
}

fn knife(random: &mut Random) -> Mesh {
    let (long, wide) = (random.between(0.6, 2.2), random.between(0.04, 0.14));
    let (tip, bow) = (random.between(0.05, 0.5), random.between(-0.15, 0.3));
    let double = random.chance(0.35);
    let outline: Vec<[f64; 2]> = if double {
        vec![[0.0, -wide], [long - tip, -wide * 0.8], [long, 0.0], [long - tip, wide * 0.8], [0.0, wide]]
    } else {
        vec![
            [0.0, -wide * 0.6],
            [long * 0.6, -wide],
            [long - tip * 0.4, -wide * 0.5],
            [long, wide * 0.5],
            [long - tip, wide * 0.65],
            [0.0, wide * 0.6],
        ]
    };
    let blade = warped(super::form::subdivided(&extrude(&outline, &[], -0.012, 0.012)), |[x, y, z]| {
        [x, y + bow * (x / long) * (x / long) * 0.6, z]
    });
    let thick = random.between(0.035, 0.055);
    let handle = moved(grip(random, 0.45, thick), [-0.45, 0.0, 0.0]);
    let mut parts = vec![blade, handle];
    if random.coin() {
        let guard = random.between(0.1, 0.3);
        parts.push(cuboid([0.05, 2.0 * guard, 0.08], [0.0; 3]));
        parts.push(moved(ball(thick * 1.3, 12), [-0.47, 0.0, 0.0]));
    }
    merge(parts)
}

fn hand_saw(random: &mut Random) -> Mesh {
    let (teeth, high) = (random.count(14, 44), random.between(0.16, 0.3));
    let tip = high * random.between(0.3, 0.8);
    let mut outline = vec![[0.0, high], [1.2, tip]];
    outline.extend((0..teeth).rev().flat_map(|i| {
        let x = 1.2 * i as f64 / teeth as f64;
        [[x + 1.15 / teeth as f64, 0.0], [x + 0.4 / teeth as f64, -0.035]]
    }));
    let frame = rectangle(0.32, high * 1.3, 0.08).iter().map(|p| [p[0] - 0.12, p[1] + high * 0.5]).collect::<Vec<_>>();
    let hole = rectangle(0.14, high * 0.6, 0.05).iter().map(|p| [p[0] - 0.14, p[1] + high * 0.5]).collect::<Vec<_>>();
    merge([extrude(&outline, &[], -0.008, 0.008), extrude(&frame, &[hole], -0.035, 0.035)])
}

fn shovel(random: &mut Random) -> Mesh {
    let (long, wide) = (random.between(0.8, 1.5), random.between(0.12, 0.24));
    let (deep, dish) = (random.between(0.3, 0.5), random.between(0.02, 0.12));
    let point = random.between(0.0, 1.0);
    let blade = slab(10, 8, [0.0, 0.0, -0.015], |u, v| {
        let y = 2.0 * v - 1.0;
        let end = 1.0 - point * 0.5 * y * y;
        [long + deep * u * end, wide * y, -dish * (1.0 - y * y) * (0.3 + u)]
    });
    let rake = random.chance(0.25);
    let head = if rake {
        let count = random.count(5, 12);
        let tine = |i: usize| {
            rod(
                [long, wide * 1.5 * (2.0 * i as f64 / (count - 1) as f64 - 1.0), 0.0],
                [long + 0.05, wide * 1.5 * (2.0 * i as f64 / (count - 1) as f64 - 1.0), -0.2],
                0.013,
                0.008,
                6,
            )
        };
        merge((0..count).map(tine).chain([bar([long, -wide * 1.5, 0.0], [long, wide * 1.5, 0.0], 0.04, 0.03)]))
    } else {
        blade
    };
    let mut parts = vec![rod([0.0; 3], [long + 0.06, 0.0, 0.0], 0.022, 0.026, 10), head];
    if random.chance(0.6) {
        parts.push(rod([-0.01, -0.1, 0.0], [-0.01, 0.1, 0.0], 0.022, 0.022, 10));
        parts.push(both(bar([0.0, 0.09, 0.0], [0.12, 0.01, 0.0], 0.025, 0.025), 1));
    }
    merge(parts)
}

fn brush(random: &mut Random) -> Mesh {
    let (long, wide) = (random.between(0.4, 1.6), random.between(0.06, 0.3));
    let (bristle, deep) = (random.between(0.15, 0.4), random.between(0.03, 0.08));
    let thick = random.between(0.02, 0.05);
    let count = random.count(8, 26);
    let mut parts = vec![grip(random, long, thick)];
    let across = random.coin();
    let flare = random.between(1.0, 1.4);
    parts.push(cuboid([if across { 0.12 } else { wide * 2.0 }, 2.0 * wide, 2.0 * deep], [long, 0.0, 0.0]));
    for i in 0..count {
        let y = wide * (2.0 * (i as f64 + 0.5) / count as f64 - 1.0);
        for z in [-0.5, 0.0, 0.5] {
            let [from, to] = if across {
                [[long + 0.05, y, z * deep], [long + 0.06 + bristle, y * flare, z * deep * flare]]
            } else {
                [[long + y, 2.0 * z * wide * 0.8, -deep], [long + y * flare, 2.0 * z * wide * 0.8, -deep - bristle]]
            };
            parts.push(rod(from, to, 0.9 * wide / count as f64, 0.5 * wide / count as f64, 4));
        }
    }
    merge(parts)
}

fn drill(random: &mut Random) -> Mesh {
    let (body, long) = (random.between(0.12, 0.18), random.between(0.5, 0.8));
    let case = solid(
        &[[body * 0.8, 0.0], [body, 0.08], [body, long * 0.75], [body * 0.7, long], [body * 0.4, long + 0.02]],
        22,
    );
    let chuck =
        solid(&[[body * 0.5, long], [body * 0.5, long + 0.12], [body * 0.25, long + 0.2], [0.02, long + 0.21]], 14);
    let bit = rod([0.0, 0.0, long + 0.15], [0.0, 0.0, long + random.between(0.35, 0.7)], 0.022, 0.015, 6);
    let along = placed(merge([case, chuck, bit]), [0.0; 3], [1.0, 0.0, 0.0]);
    let at = long * random.between(0.15, 0.4);
    let handle = moved(extrude(&rectangle(0.16, 0.11, 0.05), &[], -0.5, 0.0), [at, 0.0, 0.0]);
    let mut parts = vec![along, warped(handle, |[x, y, z]| [x + 0.2 * z, y, z])];
    if random.chance(0.7) {
        parts.push(cuboid([random.between(0.25, 0.4), 0.2, 0.13], [at - 0.1, 0.0, -0.54]));
    } else {
        parts.push(limb(
            &curve(&[[at - 0.1, 0.0, -0.5], [at - 0.3, 0.0, -0.7], [at - 0.8, 0.2, -0.65]], 5),
            &[0.018; 11],
            6,
        ));
    }
    merge(parts)
}

fn clamp(random: &mut Random) -> Mesh {
    let (reach, high) = (random.between(0.3, 0.7), random.between(0.4, 1.0));
    let thick = random.between(0.06, 0.14);
    let frame = [
        [0.0, 0.0],
        [reach, 0.0],
        [reach, thick],
        [thick, thick],
        [thick, high - thick],
        [reach, high - thick],
        [reach, high],
        [0.0, high],
    ];
    let gap = random.between(0.1, 0.6) * (high - 2.0 * thick);
    let x = reach - 0.07;
    let screw = rod([x, thick + gap, 0.0], [x, high + random.between(0.1, 0.4), 0.0], 0.03, 0.03, 10);
    let pad = rod([x, thick + gap, 0.0], [x, thick + gap + 0.05, 0.0], 0.07, 0.05, 16);
    let lever = rod([x - 0.15, high + 0.1, 0.0], [x + 0.15, high + 0.1, 0.0], 0.015, 0.015, 6);
    merge([extrude(&frame, &[], -thick / 2.0, thick / 2.0), screw, pad, lever])
}
