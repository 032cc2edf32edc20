//! Flat things: outlines with holes, given a thickness.

use super::Kind;
use super::form::{both, radial};
use crate::build::solid::{Outline, circle, extrude, merge, moved, polar, polygon, rectangle, shifted, tube, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("gear", gear),
    ("spoked-wheel", spoked_wheel),
    ("ring", ring),
    ("flange", flange),
    ("angle-bracket", angle_bracket),
    ("perforated-plate", perforated_plate),
    ("link-plate", link_plate),
    ("profile-bar", profile_bar),
    ("saw-blade", saw_blade),
];

/// A round hole's corners.
fn round(random: &mut Random) -> usize {
    random.count(10, 28)
}

/// Teeth about a circle: how far around each corner of a tooth lies, and whether it is at the tip.
pub(super) fn teeth(count: usize, root: f64, tip: f64, corners: &[(f64, bool)]) -> Outline {
    let step = TAU / count as f64;
    let corner = |i: usize, (part, out): (f64, bool)| polar(if out { tip } else { root }, step * (i as f64 + part));
    (0..count).flat_map(|i| corners.iter().map(move |c| corner(i, *c))).collect()
}

fn gear(random: &mut Random) -> Mesh {
    let count = random.count(8, 48);
    let root = 1.0 - random.between(1.2, 2.6) * 2.0 / (count as f64 + 2.0);
    let outline = teeth(count, root, 1.0, &[(0.0, false), (0.34, false), (0.52, true), (0.82, true)]);
    let face = random.between(0.06, 0.7);
    let sides = round(random);
    let bore = root * random.between(0.1, 0.3);
    let mut holes = vec![circle(bore, sides)];
    if random.coin() && root > 0.6 {
        let windows = random.count(3, 8);
        let (at, wide) = (0.5 * (bore + root), 0.3 * (root - bore));
        let wide = wide.min(at * 2.5 / windows as f64);
        holes.extend(
            (0..windows).map(|i| shifted(&circle(wide, sides), polar(at, 0.05 + TAU * i as f64 / windows as f64))),
        );
    }
    let mut parts = vec![extrude(&outline, &holes, -face / 2.0, face / 2.0)];
    if random.coin() {
        let hub = bore * random.between(1.3, 1.6);
        let long = face * random.between(0.6, 1.5) + 0.05;
        parts.push(tube(hub, bore, -face / 2.0, long, sides));
        if random.chance(0.3) {
            parts.push(tube(bore, 0.0, -face - random.between(0.2, 1.5), long + random.between(0.1, 1.5), sides));
        }
    }
    // The teeth of a helical gear.
    let slant = if random.chance(0.25) { random.between(-0.5, 0.5) } else { 0.0 };
    super::form::warped(merge(parts), |[x, y, z]| {
        let [cos, sin] = polar(1.0, slant * z.clamp(-face, face));
        [x * cos - y * sin, x * sin + y * cos, z]
    })
}

fn spoked_wheel(random: &mut Random) -> Mesh {
    let spokes = random.count(3, 24);
    let rim = random.between(0.05, 0.25);
    let wide = random.between(0.05, 0.4);
    let hub = random.between(0.08, 0.25);
    let segments = random.count(24, 44);
    let outer = if random.coin() {
        super::form::torus(1.0 - rim / 2.0, rim / 2.0, segments, 10)
    } else {
        tube(1.0, 1.0 - rim, -wide / 2.0, wide / 2.0, segments)
    };
    let thick = random.between(0.02, 0.12).min(1.0 / spokes as f64);
    let dish = random.between(0.0, 0.3) * wide;
    let spoke = if random.coin() {
        super::form::rod(
            [hub * 0.9, 0.0, dish],
            [1.0 - rim * 0.7, 0.0, 0.0],
            thick / 2.0,
            thick * random.between(0.3, 0.5),
            8,
        )
    } else {
        super::form::bar([hub * 0.9, 0.0, 0.0], [1.0 - rim * 0.7, 0.0, 0.0], thick, wide * random.between(0.3, 0.9))
    };
    merge([outer, radial(&spoke, spokes), tube(hub, hub * random.between(0.2, 0.6), -wide * 0.6, wide * 0.6, 20)])
}

fn ring(random: &mut Random) -> Mesh {
    let bore = random.between(0.3, 0.95);
    let high = random.between(0.02, 1.0);
    match random.count(0, 3) {
        0 => tube(1.0, bore, 0.0, high, random.count(24, 60)),
        1 => {
            let hole = circle(bore * 0.85, random.count(20, 40));
            extrude(
                &polygon(1.0, random.count(4, 8), 0.0),
                &[hole.iter().map(|p| p.map(|x| x * 0.8)).collect()],
                0.0,
                high,
            )
        }
        2 => {
            let gap = random.between(0.1, 0.5);
            let arc = |r: f64| (0..=40).map(move |i| polar(r, gap + (TAU - 2.0 * gap) * i as f64 / 40.0));
            let outline: Outline = arc(1.0).chain(arc(bore).collect::<Vec<_>>().into_iter().rev()).collect();
            extrude(&outline, &[], 0.0, high)
        }
        _ => super::form::torus(1.0, random.between(0.05, 0.5), random.count(16, 44), random.count(4, 18)),
    }
}

fn flange(random: &mut Random) -> Mesh {
    let (bore, neck) = (random.between(0.2, 0.5), random.between(1.15, 1.5));
    let thick = random.between(0.08, 0.3);
    let bolts = random.count(3, 12);
    let neck = bore * neck;
    let at = (neck + 1.0) / 2.0;
    let drill = ((1.0 - neck) * 0.25).min(at * 2.0 / bolts as f64);
    let sides = round(random);
    let mut holes = vec![circle(bore, sides)];
    holes.extend((0..bolts).map(|i| shifted(&circle(drill, 12), polar(at, TAU * i as f64 / bolts as f64))));
    let outline = if random.chance(0.25) { rectangle(2.0, 2.0, 0.2) } else { circle(1.0, 40) };
    let long = thick + random.between(0.1, 1.5);
    let mut parts = vec![extrude(&outline, &holes, 0.0, thick), tube(neck, bore, thick * 0.5, long, 30)];
    if random.chance(0.3) {
        parts.push(moved(extrude(&outline, &holes, 0.0, thick), [0.0, 0.0, long - thick]));
    }
    if random.chance(0.3) {
        let rib = extrude(&[[neck * 0.95, 0.0], [at, 0.0], [neck * 0.95, long * 0.7]], &[], -0.04, 0.04);
        parts.push(moved(radial(&turned(rib, 0, FRAC_PI_2), random.count(3, 6)), [0.0, 0.0, thick]));
    }
    merge(parts)
}

/// A rectangular plate in the plane with a pattern of round holes.
fn drilled(random: &mut Random, wide: f64, high: f64, thick: f64) -> Mesh {
    let (n, m) = (random.count(1, 3), random.count(1, 2));
    let drill = random.between(0.1, 0.3) * (wide / n as f64).min(high / m as f64);
    let mut holes = Vec::new();
    for i in 0..n {
        for j in 0..m {
            let part = |i: usize, n: usize| (i as f64 + 0.5) / n as f64 - 0.5;
            holes.push(shifted(&circle(drill, 14), [wide * part(i, n), high * part(j, m)]));
        }
    }
    let round = random.between(0.0, 0.25) * wide.min(high);
    extrude(&rectangle(wide, high, round), &holes, 0.0, thick)
}

fn angle_bracket(random: &mut Random) -> Mesh {
    let (wide, thick) = (random.between(0.3, 1.5), random.between(0.03, 0.15));
    let (foot, back) = (random.between(0.5, 1.2), random.between(0.4, 1.2));
    let lower = moved(drilled(random, foot, wide, thick), [foot / 2.0, 0.0, 0.0]);
    let upper = moved(drilled(random, back, wide, thick), [back / 2.0, 0.0, 0.0]);
    let angle = if random.chance(0.3) { random.between(0.9, 2.2) } else { FRAC_PI_2 };
    let mut parts = vec![lower, moved(turned(upper, 1, -angle), [thick * 0.5, 0.0, thick * 0.5])];
    let reach = foot.min(back) * random.between(0.3, 0.8);
    let rib = extrude(
        &[[0.0, 0.0], [reach, 0.0], [reach * libm::cos(angle), reach * libm::sin(angle)]],
        &[],
        -thick / 2.0,
        thick / 2.0,
    );
    let rib = turned(rib, 0, FRAC_PI_2);
    match random.count(0, 3) {
        0 => parts.push(rib),
        1 => parts.push(both(moved(rib, [0.0, wide / 2.0 - thick / 2.0, 0.0]), 1)),
        2 => {
            let far = moved(drilled(random, foot, wide, thick), [-foot / 2.0, 0.0, back]);
            parts.push(far);
        }
        _ => {}
    }
    merge(parts)
}

fn perforated_plate(random: &mut Random) -> Mesh {
    let (n, m) = (random.count(2, 9), random.count(2, 9));
    let shift = if random.coin() { 0.5 } else { 0.0 };
    let (drill, corners) = (random.between(0.15, 0.38), random.pick(&[3, 4, 6, 12, 16]));
    let mut holes = Vec::new();
    for i in 0..n {
        for j in 0..m {
            let x = i as f64 + if j % 2 == 0 { 0.0 } else { shift };
            holes.push(shifted(&polygon(drill, corners, 0.4), [x, j as f64]));
        }
    }
    let (wide, high) = (n as f64 + shift + 0.3, m as f64 + 0.3);
    let outline = rectangle(wide, high, random.between(0.0, 0.3));
    let middle = [(n as f64 - 1.0 + shift) / 2.0, (m as f64 - 1.0) / 2.0];
    let plate = extrude(&shifted(&outline, middle), &holes, 0.0, random.between(0.05, 0.8));
    let roll = if random.chance(0.25) { random.between(0.5, 5.0) / wide } else { 0.0 };
    if roll == 0.0 {
        return plate;
    }
    super::form::warped(plate, |[x, y, z]| {
        let [a, b] = polar(1.0 / roll + z, roll * (x - middle[0]));
        [a, b, y]
    })
}

/// Two or three eyes joined by a web.
fn link_plate(random: &mut Random) -> Mesh {
    let eyes = random.count(2, 4);
    let thick = random.between(0.06, 0.35);
    let web = random.between(0.3, 0.9);
    let mut parts = Vec::new();
    let mut at = [0.0, 0.0];
    let mut angle = 0.0;
    for i in 0..eyes {
        let outer = random.between(0.2, 0.4);
        let bore = outer * random.between(0.4, 0.75);
        let tall = thick * random.between(0.8, 2.0);
        parts.push(moved(tube(outer, bore, -tall / 2.0, tall / 2.0, 26), [at[0], at[1], 0.0]));
        if i + 1 < eyes {
            let long = random.between(0.8, 1.6);
            angle += random.between(-1.2, 1.2) * f64::from(u8::from(i > 0));
            let [dx, dy] = polar(1.0, angle);
            let (from, to) = (0.9 * outer, long - 0.18);
            let point = |t: f64| [at[0] + dx * t, at[1] + dy * t, 0.0];
            parts.push(super::form::bar(point(from), point(to), web * outer * 2.0, thick * 0.7));
            at = [at[0] + dx * long, at[1] + dy * long];
        }
    }
    merge(parts)
}

/// A bar of a rolled section: angle, channel, tee, I, box.
fn profile_bar(random: &mut Random) -> Mesh {
    let (w, h) = (random.between(0.2, 0.7), random.between(0.25, 0.7));
    let t = random.between(0.1, 0.25) * w.min(h);
    let outline: Outline = match random.count(0, 5) {
        0 => vec![[0.0, 0.0], [w, 0.0], [w, t], [t, t], [t, h], [0.0, h]],
        1 => vec![[0.0, 0.0], [w, 0.0], [w, h], [w - t, h], [w - t, t], [t, t], [t, h], [0.0, h]],
        2 => {
            let (l, r) = ((w - t) / 2.0, (w + t) / 2.0);
            vec![[l, 0.0], [r, 0.0], [r, h - t], [w, h - t], [w, h], [0.0, h], [0.0, h - t], [l, h - t]]
        }
        3 => {
            let (l, r) = ((w - t) / 2.0, (w + t) / 2.0);
            let low = [[0.0, 0.0], [w, 0.0], [w, t], [r, t], [r, h - t]];
            low.into_iter().chain([[w, h - t], [w, h], [0.0, h], [0.0, h - t], [l, h - t], [l, t], [0.0, t]]).collect()
        }
        4 => vec![
            [0.0, 0.0],
            [w, 0.0],
            [w, t],
            [w / 2.0 + t, t],
            [w / 2.0, h],
            [0.0, h],
            [0.0, h - t],
            [w / 2.0 - t, h - t],
        ],
        _ => {
            let hole = shifted(&rectangle(w - 2.0 * t, h - 2.0 * t, 0.0), [w / 2.0, h / 2.0]);
            return extrude(
                &shifted(&rectangle(w, h, 0.0), [w / 2.0, h / 2.0]),
                &[hole],
                0.0,
                random.between(0.6, 3.0),
            );
        }
    };
    extrude(&outline, &[], 0.0, random.between(0.3, 3.0))
}

fn saw_blade(random: &mut Random) -> Mesh {
    let count = random.count(12, 60);
    let bite = random.between(0.05, 0.2);
    let outline = teeth(count, 1.0 - bite, 1.0, &[(0.0, false), (0.1, true), (0.35, true)]);
    let mut holes = vec![circle(random.between(0.08, 0.25), 20)];
    if random.coin() {
        let slots = random.count(3, 6);
        holes.extend((0..slots).map(|i| shifted(&circle(0.08, 12), polar(0.55, TAU * i as f64 / slots as f64))));
    }
    extrude(&outline, &holes, 0.0, random.between(0.02, 0.1))
}
