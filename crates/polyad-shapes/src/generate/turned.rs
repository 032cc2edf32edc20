//! Things from the lathe: a profile of radius and height, turned about the z axis.

use super::Kind;
use super::form::curve;
use crate::build::solid::{Outline, merge, moved, revolve, tube};
use crate::mesh::Mesh;
use crate::random::Random;

pub(super) const KINDS: &[Kind] = &[
    ("vase", vase),
    ("bottle", bottle),
    ("wine-glass", wine_glass),
    ("tumbler", tumbler),
    ("bowl", bowl),
    ("plate", plate),
    ("bell", bell),
    ("jar-with-lid", jar),
    ("chess-piece", chess_piece),
    ("baluster", baluster),
    ("bowling-pin", bowling_pin),
    ("spinning-top", spinning_top),
    ("hourglass", hourglass),
    ("barrel", barrel),
    ("funnel", funnel),
    ("egg-in-cup", egg_in_cup),
];

/// A profile through a few points, smooth or with corners.
pub(super) fn line(random: &mut Random, points: &[[f64; 2]], smooth: f64) -> Outline {
    let fine = if random.chance(smooth) { curve(points, random.count(3, 7)) } else { points.to_vec() };
    fine.into_iter().map(|[r, z]| [if r < 1e-3 { 0.0 } else { r }, z]).collect()
}

/// Segments about the axis: mostly round, sometimes with few sides.
pub(super) fn segments(random: &mut Random) -> usize {
    if random.chance(0.12) { random.count(5, 12) } else { random.count(18, 44) }
}

/// A solid of which `outer` is the side from the foot up; flat where it does not end on the axis.
pub(super) fn solid(outer: &[[f64; 2]], segments: usize) -> Mesh {
    let mut profile = Outline::new();
    if outer[0][0] > 0.0 {
        profile.push([0.0, outer[0][1]]);
    }
    profile.extend(outer);
    let top = outer[outer.len() - 1];
    if top[0] > 0.0 {
        profile.push([0.0, top[1]]);
    }
    revolve(&profile, segments)
}

/// A vessel of which `outer` is the side from the foot up: hollow from `floor` points up, its wall this thick.
pub(super) fn hollow(outer: &[[f64; 2]], floor: usize, wall: f64, segments: usize) -> Mesh {
    let mut profile: Outline = vec![[0.0, outer[0][1]]];
    profile.extend(outer.iter().filter(|p| p[0] > 0.0));
    profile.extend(outer[floor..].iter().rev().map(|[r, z]| [(r - wall).max(0.2 * r), *z]));
    let base = outer[floor];
    let last = profile.len() - 1;
    profile[last][1] = base[1] + wall;
    profile.push([0.0, base[1] + wall]);
    revolve(&profile, segments)
}

fn vase(random: &mut Random) -> Mesh {
    let height = random.between(1.2, 3.2);
    let steps = random.count(3, 5);
    let mut points = vec![[random.between(0.3, 0.7), 0.0]];
    for i in 1..=steps {
        points.push([random.between(0.25, 1.0), height * (i as f64 + random.between(-0.2, 0.2)) / steps as f64]);
    }
    let outer = line(random, &points, 0.85);
    let wall = random.between(0.02, 0.07);
    hollow(&outer, 1, wall, segments(random))
}

fn bottle(random: &mut Random) -> Mesh {
    let (body, neck) = (random.between(0.3, 0.7), random.between(0.1, 0.2));
    let (shoulder, throat) = (random.between(0.1, 0.6), random.between(0.15, 0.9));
    let waist = if random.chance(0.3) { random.between(0.7, 0.95) } else { 1.0 };
    let at = 1.0 + shoulder;
    let lip = neck * random.between(1.0, 1.4);
    let points = [
        [body * 0.9, 0.0],
        [body, 0.06],
        [body * waist, random.between(0.35, 0.65)],
        [body, 0.97],
        [neck * 1.15, at],
        [neck, at + 0.1],
        [neck, at + throat],
    ];
    let mut outer = line(random, &points, 0.8);
    outer.extend([[lip, at + throat + 0.01], [lip, at + throat + 0.1]]);
    let segments = segments(random);
    let mut parts = vec![hollow(&outer, 1, 0.03, segments)];
    if random.chance(0.4) {
        let (wide, high) = (lip * random.between(0.8, 1.3), random.between(0.08, 0.3));
        let cap = solid(&[[wide, 0.0], [wide * random.between(0.8, 1.0), high]], segments);
        parts.push(moved(cap, [0.0, 0.0, at + throat + 0.08]));
    }
    merge(parts)
}

fn wine_glass(random: &mut Random) -> Mesh {
    let (foot, stem) = (random.between(0.25, 0.5), random.between(0.02, 0.06));
    let (high, cup) = (random.between(0.2, 1.2), random.between(0.4, 1.2));
    let (belly, rim) = (random.between(0.3, 0.6), random.between(0.25, 0.6));
    let knob = stem * random.between(1.0, 2.5);
    let outer = vec![
        [foot, 0.0],
        [foot * 0.95, 0.03],
        [stem * 1.6, 0.08],
        [stem, 0.2 * high + 0.1],
        [knob, 0.5 * high + 0.1],
        [stem, 0.8 * high + 0.1],
        [stem * 1.5, high + 0.1],
    ];
    let bowl = [[stem * 1.5, 0.0], [belly * 0.7, cup * 0.12], [belly, cup * random.between(0.3, 0.6)], [rim, cup]];
    let bowl = curve(&bowl, 5);
    let floor = outer.len() + 1;
    let side = outer.into_iter().chain(bowl[1..].iter().map(|[r, z]| [*r, z + high + 0.1]));
    hollow(&side.collect::<Vec<_>>(), floor, 0.02, segments(random))
}

fn tumbler(random: &mut Random) -> Mesh {
    let (foot, rim) = (random.between(0.3, 0.6), random.between(0.35, 0.7));
    let height = random.between(0.5, 1.8);
    let bulge = random.between(0.9, 1.15);
    let points = [[foot, 0.0], [(foot + rim) / 2.0 * bulge, height / 2.0], [rim, height]];
    let outer = line(random, &points, 0.6);
    hollow(&outer, 0, random.between(0.02, 0.06), segments(random))
}

fn bowl(random: &mut Random) -> Mesh {
    let (foot, height) = (random.between(0.2, 0.5), random.between(0.25, 0.8));
    let (low, lip) = (random.between(0.65, 0.95), random.between(0.9, 1.1));
    let points = [[foot * 0.9, 0.0], [foot, 0.06], [low, 0.06 + height * 0.45], [lip, 0.06 + height]];
    let outer = line(random, &points, 0.9);
    hollow(&outer, 1, random.between(0.03, 0.08), segments(random))
}

fn plate(random: &mut Random) -> Mesh {
    let (flat, rise) = (random.between(0.5, 0.75), random.between(0.04, 0.18));
    let points = [[flat * 0.9, 0.0], [flat, 0.01], [flat + 0.12, rise * 0.7], [1.0, rise]];
    let outer = line(random, &points, 0.7);
    hollow(&outer, 1, random.between(0.02, 0.05), segments(random))
}

fn bell(random: &mut Random) -> Mesh {
    let (mouth, waist) = (random.between(0.7, 1.0), random.between(0.4, 0.6));
    let height = random.between(0.9, 1.6);
    let points = [
        [mouth, 0.0],
        [waist * 1.15, height * 0.25],
        [waist, height * 0.6],
        [waist * 0.8, height * 0.92],
        [0.0, height],
    ];
    let outer = curve(&points, 5);
    let wall = random.between(0.04, 0.09);
    let inner: Outline = outer.iter().rev().map(|[r, z]| [(r - wall).max(0.0), z - wall * z / height]).collect();
    let top = inner.iter().rposition(|p| p[0] == 0.0).map_or(0, |i| i);
    let mut profile: Outline = outer.into_iter().map(|[r, z]| [if r < 1e-3 { 0.0 } else { r }, z]).collect();
    profile.extend(&inner[top..]);
    let segments = segments(random);
    let mut parts = vec![revolve(&profile, segments)];
    let swing = random.between(-0.2, 0.2);
    if random.chance(0.7) {
        let clapper = solid(&[[0.0, -0.15], [0.12, -0.05], [0.03, 0.1], [0.03, height * 0.95]], 12);
        parts.push(crate::build::solid::turned(clapper, 1, swing));
    }
    let wire = random.between(0.04, 0.08);
    match random.count(0, 2) {
        0 => {
            let ring = super::form::torus(random.between(0.12, 0.25), wire, 20, 8);
            let up = crate::build::solid::turned(ring, 0, std::f64::consts::FRAC_PI_2);
            parts.push(moved(up, [0.0, 0.0, height + 0.15]));
        }
        1 => {
            let grip = [[wire * 2.0, 0.0], [wire, 0.3], [wire * 1.8, 0.6], [0.0, 0.75]];
            parts.push(moved(solid(&line(random, &grip, 0.9), segments), [0.0, 0.0, height - 0.05]));
        }
        _ => {}
    }
    merge(parts)
}

fn jar(random: &mut Random) -> Mesh {
    let (body, mouth) = (random.between(0.4, 0.8), random.between(0.6, 0.95));
    let height = random.between(0.6, 1.4);
    let points = [[body * 0.85, 0.0], [body, height * 0.25], [body, height * 0.7], [body * mouth, height]];
    let outer = line(random, &points, 0.7);
    let segments = segments(random);
    let lid = body * mouth * random.between(1.0, 1.12);
    let dome = random.between(0.03, 0.3);
    let knob = random.between(0.05, 0.14);
    let top = [[lid, 0.0], [lid, 0.06], [lid * 0.6, 0.06 + dome * 0.8], [knob * 0.5, 0.06 + dome]];
    let lift = if random.chance(0.2) { random.between(0.1, 0.4) } else { 0.0 };
    let mut cover = line(random, &top, 0.5);
    if random.chance(0.7) {
        cover.extend([[knob, 0.1 + dome], [knob * 0.9, 0.1 + dome + knob], [0.0, 0.1 + dome + 1.3 * knob]]);
    }
    merge([hollow(&outer, 0, 0.05, segments), moved(solid(&cover, segments), [0.0, 0.0, height + lift])])
}

fn chess_piece(random: &mut Random) -> Mesh {
    let (base, waist) = (random.between(0.35, 0.5), random.between(0.12, 0.22));
    let height = random.between(0.8, 1.7);
    let collar = waist * random.between(1.3, 2.0);
    let head = random.between(0.16, 0.3);
    let mut outer = vec![[base, 0.0], [base, 0.1], [base * 0.8, 0.16], [base * 0.85, 0.2]];
    outer.extend(curve(&[[base * 0.7, 0.25], [waist * 1.1, height * 0.45], [waist, height * 0.8]], 4));
    outer.extend([[collar, height * 0.86], [collar, height * 0.9], [waist * 0.9, height * 0.93]]);
    let top = match random.count(0, 2) {
        0 => vec![[head, head * 0.6], [head * 1.05, head], [head * 0.7, head * 1.7], [0.0, head * 2.0]],
        1 => vec![[head, head * 0.3], [head, head * 1.6], [head * 0.7, head * 1.6], [head * 0.65, head], [0.0, head]],
        _ => vec![
            [head * 0.6, head * 0.4],
            [head, head * 1.8],
            [head * 0.5, head * 2.1],
            [0.05, head * 2.3],
            [0.0, head * 2.7],
        ],
    };
    outer.extend(top.into_iter().map(|[r, z]| [r, z + height * 0.93]));
    solid(&outer, segments(random))
}

fn baluster(random: &mut Random) -> Mesh {
    let mut points = Vec::new();
    let count = random.count(6, 14);
    let mut z = 0.0;
    for _ in 0..count {
        points.push([random.between(0.08, 0.32), z]);
        z += random.between(0.06, 0.4);
    }
    let outer = line(random, &points, 0.5);
    let segments = segments(random);
    let mut parts = vec![solid(&outer, segments)];
    let end = random.between(0.3, 0.45);
    let thick = random.between(0.08, 0.25);
    if random.chance(0.7) {
        let foot = crate::build::solid::cuboid([2.0 * end, 2.0 * end, thick], [0.0; 3]);
        parts.push(moved(foot.clone(), [0.0, 0.0, -thick / 2.0]));
        parts.push(moved(foot, [0.0, 0.0, outer[outer.len() - 1][1] + thick / 2.0]));
    }
    merge(parts)
}

fn bowling_pin(random: &mut Random) -> Mesh {
    let (belly, neck) = (random.between(0.25, 0.4), random.between(0.08, 0.16));
    let head = random.between(0.13, 0.2);
    let points = [
        [belly * random.between(0.4, 0.8), 0.0],
        [belly, random.between(0.3, 0.5)],
        [neck, 1.0],
        [head, 1.2 + random.between(0.0, 0.2)],
        [head * 0.7, 1.45],
        [0.0, 1.5],
    ];
    solid(&line(random, &points, 1.0), segments(random))
}

fn spinning_top(random: &mut Random) -> Mesh {
    let (wide, thick) = (random.between(0.4, 0.8), random.between(0.1, 0.4));
    let (tip, stem) = (random.between(0.3, 0.7), random.between(0.03, 0.08));
    let points = [[0.0, 0.0], [0.05, 0.06], [wide, tip], [wide, tip + thick * 0.4], [stem * 1.5, tip + thick]];
    let mut outer = line(random, &points, 0.5);
    let end = tip + thick + random.between(0.2, 0.6);
    outer.extend([[stem, tip + thick + 0.02], [stem, end], [stem * 1.6, end], [stem * 1.6, end + 0.06]]);
    solid(&outer, segments(random))
}

fn hourglass(random: &mut Random) -> Mesh {
    let (bulb, neck) = (random.between(0.35, 0.5), random.between(0.03, 0.08));
    let half = random.between(0.5, 0.8);
    let side = [[bulb * 0.6, -half], [bulb, -half * 0.6], [neck, 0.0], [bulb, half * 0.6], [bulb * 0.6, half]];
    let segments = segments(random);
    let wide = bulb * random.between(1.1, 1.4);
    let thick = random.between(0.06, 0.15);
    let plate = tube(wide, 0.0, 0.0, thick, segments);
    let posts = random.count(2, 5);
    let post = moved(tube(0.05, 0.0, -half, half, 8), [wide - 0.07, 0.0, 0.0]);
    merge([
        solid(&curve(&side, 5), segments),
        moved(plate.clone(), [0.0, 0.0, half]),
        moved(plate, [0.0, 0.0, -half - thick]),
        super::form::radial(&post, posts),
    ])
}

fn barrel(random: &mut Random) -> Mesh {
    let (end, belly) = (random.between(0.35, 0.5), random.between(1.08, 1.4));
    let height = random.between(0.9, 1.6);
    let segments = segments(random);
    let radius = |t: f64| end * (1.0 + (belly - 1.0) * 4.0 * t * (1.0 - t));
    let side: Outline = (0..=10).map(|i| [radius(i as f64 / 10.0), height * i as f64 / 10.0]).collect();
    let deep = random.between(0.02, 0.08);
    let mut profile: Outline = vec![[0.0, deep], [end * 0.92, deep], [end * 0.92, 0.0]];
    profile.extend(&side);
    profile.extend([[end * 0.92, height], [end * 0.92, height - deep], [0.0, height - deep]]);
    let mut parts = vec![revolve(&profile, segments)];
    let hoops = random.count(2, 3);
    for i in 0..2 * hoops {
        let t = (i % hoops) as f64 * 0.14 + 0.06;
        let t = if i < hoops { t } else { 1.0 - t };
        parts.push(moved(tube(radius(t) + 0.02, 0.5 * end, -0.03, 0.03, segments), [0.0, 0.0, t * height]));
    }
    merge(parts)
}

fn funnel(random: &mut Random) -> Mesh {
    let (spout, mouth) = (random.between(0.05, 0.15), random.between(0.5, 0.9));
    let (long, cone) = (random.between(0.3, 0.9), random.between(0.3, 0.9));
    let rim = random.between(0.0, 0.2);
    let wall = 0.03;
    let side = [[spout * 0.8, 0.0], [spout, long], [mouth, long + cone], [mouth, long + cone + rim + 0.01]];
    let inner = side.iter().rev().map(|[r, z]| [r - wall, *z]);
    revolve(&side.into_iter().chain(inner).collect::<Vec<_>>(), segments(random))
}

fn egg_in_cup(random: &mut Random) -> Mesh {
    let (cup, foot) = (random.between(0.3, 0.4), random.between(0.2, 0.4));
    let height = random.between(0.5, 0.9);
    let points = [[foot, 0.0], [foot * 0.9, 0.05], [0.1, height * 0.4], [cup * 0.8, height * 0.7], [cup, height]];
    let long = random.between(0.4, 0.65);
    let egg = [[0.0, -0.4], [0.27, -0.25], [0.36, 0.0], [0.26, long * 0.6], [0.0, long]];
    let egg = line(random, &egg, 1.0);
    let segments = segments(random);
    merge([hollow(&line(random, &points, 0.9), 3, 0.03, segments), moved(solid(&egg, segments), [0.0, 0.0, height])])
}
