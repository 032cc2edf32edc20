//! Fasteners, drives and fittings. Lengths in millimetres; axes of turning along z.

use crate::build::solid::{
    Outline, ball, circle, cuboid, extrude, merge, moved, polar, polygon, rectangle, revolve, shifted, tube, turned,
};
use crate::build::sweep::sweep;
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::TAU;

/// A bolt with a hexagonal head and a thread of ridges (without its pitch).
pub(super) fn hex_bolt(random: &mut Random) -> Mesh {
    let d = random.between(5.0, 12.0);
    let (length, head) = (d * random.between(2.0, 6.0), d * random.between(0.55, 0.8));
    let (pitch, deep) = (d * random.between(0.16, 0.24), d * random.between(0.06, 0.09));
    let threaded = length * random.between(0.4, 0.95);
    let r = d / 2.0;
    let mut profile: Outline = vec![[0.0, -length], [r - 2.0 * deep, -length]];
    let turns = (threaded / pitch) as usize;
    for i in 0..turns {
        let z = pitch * i as f64 - length + deep;
        profile.extend([[r - deep, z], [r, z + pitch * 0.5]]);
    }
    profile.extend([[r, 0.2 * head], [0.0, 0.2 * head]]);
    let hexagon = polygon(d * random.between(0.9, 1.08), 6, 0.1);
    let segments = random.count(16, 32);
    let mut parts = vec![revolve(&profile, segments), extrude(&hexagon, &[], 0.0, head)];
    if random.coin() {
        parts.push(tube(d * random.between(1.0, 1.15), 0.0, -0.12 * d, 0.02 * d, segments));
    }
    merge(parts)
}

/// A hexagonal nut.
pub(super) fn hex_nut(random: &mut Random) -> Mesh {
    let d = random.between(4.0, 14.0);
    let hole = circle(d / 2.0, random.count(16, 40));
    extrude(&polygon(d * random.between(0.88, 1.05), 6, 0.0), &[hole], 0.0, d * random.between(0.55, 1.0))
}

/// A flat ring.
pub(super) fn washer(random: &mut Random) -> Mesh {
    let d = random.between(4.0, 16.0);
    let sides = random.count(24, 48);
    tube(d * random.between(0.9, 1.5), d / 2.0, 0.0, d * random.between(0.08, 0.2), sides)
}

/// A spur gear with trapezoidal teeth, a bore, perhaps a hub and lightening holes.
pub(super) fn spur_gear(random: &mut Random) -> Mesh {
    let teeth = random.count(12, 30);
    let tip = random.between(18.0, 40.0);
    // Depth of a tooth: 2.25 modules, the tip circle being two modules wider than the pitch circle.
    let module = 2.0 * tip / (teeth + 2) as f64;
    let root = tip - 2.25 * module;
    let step = TAU / teeth as f64;
    let tooth = |i: usize| {
        let corner = |radius, part: f64| polar(radius, step * (i as f64 + part));
        [corner(root, 0.0), corner(root, 0.36), corner(tip, 0.54), corner(tip, 0.82)]
    };
    let outline: Outline = (0..teeth).flat_map(tooth).collect();
    let sides = random.count(16, 36);
    let (bore, face) = (root * random.between(0.16, 0.26), tip * random.between(0.2, 0.45));
    let mut holes = vec![circle(bore, sides)];
    let hub = root * random.between(0.4, 0.48);
    if random.coin() && teeth > 15 {
        let count = random.count(4, 6);
        holes
            .extend((0..count).map(|i| {
                shifted(&circle(root * 0.15, sides), polar(root * 0.7, 0.05 + TAU * i as f64 / count as f64))
            }));
    }
    let mut parts = vec![extrude(&outline, &holes, 0.0, face)];
    if random.coin() {
        parts.push(tube(hub, bore, face / 2.0, face * random.between(1.4, 1.9), sides));
    }
    merge(parts)
}

/// A pulley with one to three V grooves.
pub(super) fn pulley(random: &mut Random) -> Mesh {
    let (radius, rim) = (random.between(18.0, 36.0), random.between(1.5, 3.0));
    let (groove, deep) = (random.between(7.0, 12.0), radius * random.between(0.25, 0.35));
    let bore = radius * random.between(0.16, 0.3);
    let mut profile: Outline = vec![[bore, 0.0], [radius, 0.0]];
    let mut z = rim;
    for _ in 0..random.count(1, 3) {
        profile.extend([
            [radius, z],
            [radius - deep, z + groove * 0.4],
            [radius - deep, z + groove * 0.6],
            [radius, z + groove],
        ]);
        z += groove + rim;
    }
    profile.extend([[radius, z], [bore, z]]);
    revolve(&profile, random.count(24, 48))
}

/// A ball bearing: two grooved races and the balls between them.
pub(super) fn ball_bearing(random: &mut Random) -> Mesh {
    let (bore, balls) = (random.between(8.0, 16.0), random.count(7, 12));
    let ball_radius = bore * random.between(0.28, 0.36);
    let (pitch, half) = (bore + ball_radius * 1.7, ball_radius * random.between(1.2, 1.6));
    let segments = random.count(24, 44);
    // Races overlap the balls by a little, so that nothing floats.
    let gap = ball_radius * 0.6;
    let inner = [
        [bore, -half],
        [pitch - gap, -half],
        [pitch - gap, -gap],
        [pitch - 0.95 * ball_radius, 0.0],
        [pitch - gap, gap],
        [pitch - gap, half],
        [bore, half],
    ];
    let outer = inner.map(|[r, z]| [2.0 * pitch - r, z]);
    let fits = ((TAU * pitch) / (2.1 * ball_radius)) as usize;
    let balls = balls.min(fits);
    let at = |i: usize| polar(pitch, TAU * i as f64 / balls as f64);
    let sphere = ball(ball_radius, random.count(8, 14));
    let placed = (0..balls).map(|i| moved(sphere.clone(), [at(i)[0], at(i)[1], 0.0]));
    merge([revolve(&inner, segments), revolve(&outer, segments)].into_iter().chain(placed))
}

/// Two plates with holes at a right angle, perhaps with ribs.
pub(super) fn angle_bracket(random: &mut Random) -> Mesh {
    let (width, thick) = (random.between(20.0, 45.0), random.between(2.0, 5.0));
    let sides = random.count(14, 32);
    let holes = random.count(1, 2);
    let hole = random.between(0.09, 0.14);
    let plate = |length: f64| {
        let along = if holes == 1 { [0.12, 0.0] } else { [-0.05, 0.28] };
        let drill = circle(hole * width.min(length), sides);
        let pair = |i: usize| [0.21, -0.21].map(|y| shifted(&drill, [length * along[i], width * y]));
        extrude(&rectangle(length, width, 0.0), &(0..holes).flat_map(pair).collect::<Vec<_>>(), 0.0, thick)
    };
    let (foot, back) = (random.between(25.0, 50.0), random.between(25.0, 50.0));
    let upright = turned(moved(plate(back), [back / 2.0, 0.0, 0.0]), 1, -TAU / 4.0);
    let mut parts = vec![moved(plate(foot), [foot / 2.0 - thick, 0.0, 0.0]), upright];
    let ribs = random.count(0, 2);
    let reach = foot.min(back) * random.between(0.5, 0.75);
    for i in 0..ribs {
        let y = if ribs == 1 { 0.0 } else { width * (0.9 * i as f64 - 0.45) };
        let corner = thick * 0.5;
        let rib = extrude(&[[-corner, corner], [reach, corner], [-corner, reach]], &[], -thick / 2.0, thick / 2.0);
        parts.push(moved(turned(rib, 0, TAU / 4.0), [0.0, y * (1.0 - thick / width), 0.0]));
    }
    merge(parts)
}

/// A bent pipe with a collar at each end.
pub(super) fn pipe_elbow(random: &mut Random) -> Mesh {
    let radius = random.between(8.0, 18.0);
    let (bore, bend) = (radius * random.between(0.7, 0.86), radius * random.between(1.5, 2.8));
    let angle = TAU / 4.0 * random.between(0.7, 1.1);
    let straight = radius * random.between(0.2, 0.9);
    let steps = random.count(10, 20);
    let sides = random.count(18, 36);
    let (end_x, end_z) = (libm::cos(angle), libm::sin(angle));
    let mut path = vec![[bend, 0.0, -straight]];
    path.extend((0..=steps).map(|i| {
        let [x, z] = polar(bend, angle * i as f64 / steps as f64);
        [x, 0.0, z]
    }));
    path.push([bend * end_x - straight * end_z, 0.0, bend * end_z + straight * end_x]);
    let (collar, deep) = (radius * random.between(1.2, 1.5), radius * random.between(0.25, 0.6));
    let ring = || tube(collar, bore, 0.0, deep, sides);
    let first = moved(ring(), [bend, 0.0, -straight]);
    // The far collar: the near one, mirrored by a half turn, then carried round the bend.
    let last = turned(moved(ring(), [bend, 0.0, straight - deep]), 1, -angle);
    merge([sweep(&path, radius, bore, sides), first, last])
}

/// A pipe flange: a disc with a ring of bolt holes, and a conical neck.
pub(super) fn flange(random: &mut Random) -> Mesh {
    let radius = random.between(25.0, 45.0);
    let (bore, thick) = (radius * random.between(0.3, 0.42), radius * random.between(0.12, 0.22));
    let sides = random.count(16, 32);
    let bolts = random.count(4, 8);
    let (neck, wide) = (bore + radius * random.between(0.06, 0.1), bore + radius * random.between(0.13, 0.18));
    let ring = (0..bolts)
        .map(|i| shifted(&circle(radius * 0.085, sides), polar(radius * 0.8, 0.03 + TAU * i as f64 / bolts as f64)));
    let holes: Vec<_> = std::iter::once(circle(bore, 2 * sides)).chain(ring).collect();
    let height = radius * random.between(0.5, 0.9);
    let profile = [[bore, thick / 2.0], [wide, thick / 2.0], [wide, thick], [neck, height], [bore, height]];
    merge([extrude(&circle(radius, 2 * sides), &holes, 0.0, thick), revolve(&profile, 2 * sides)])
}

/// A compression spring.
pub(super) fn spring(random: &mut Random) -> Mesh {
    let (radius, turns) = (random.between(8.0, 18.0), random.between(4.0, 9.0));
    let wire = radius * random.between(0.1, 0.18);
    let pitch = wire * random.between(2.8, 4.5);
    let a_turn = random.count(18, 28);
    let points = (turns * a_turn as f64) as usize;
    let path: Vec<_> = (0..=points)
        .map(|i| {
            let turn = i as f64 / a_turn as f64;
            let [x, y] = polar(radius, TAU * turn);
            [x, y, pitch * turn]
        })
        .collect();
    sweep(&path, wire, 0.0, random.count(8, 12))
}

/// A spanner: an open jaw on a bar, and at its other end a ring or a second jaw.
pub(super) fn wrench(random: &mut Random) -> Mesh {
    let size = random.between(6.0, 12.0);
    let length = size * random.between(7.0, 12.0);
    let (thick, sides) = (size * random.between(0.45, 0.7), random.count(20, 36));
    let jaw = |size: f64| {
        let (head, deep) = (size * 1.35, size * 0.35);
        let opening = libm::asin(size * 0.62 / head);
        let mut outline: Outline =
            (0..=sides).map(|i| polar(head, opening + (TAU - 2.0 * opening) * i as f64 / sides as f64)).collect();
        outline.extend([[-deep, -size * 0.62], [-deep * 1.6, 0.0], [-deep, size * 0.62]]);
        extrude(&outline, &[], -thick / 2.0, thick / 2.0)
    };
    let tilt = random.between(-0.3, 0.3);
    let bar = cuboid([length, size * random.between(0.7, 1.0), thick * 0.7], [-length / 2.0 - size * 0.8, 0.0, 0.0]);
    let far = if random.coin() {
        let hexagon = polygon(size * 0.72, 6, 0.05);
        extrude(&circle(size * 1.2, sides), &[hexagon], -thick / 2.0, thick / 2.0)
    } else {
        turned(jaw(size * random.between(0.75, 0.95)), 2, TAU / 2.0 + tilt)
    };
    merge([turned(jaw(size), 2, tilt), bar, moved(far, [-length - size * 1.6, 0.0, 0.0])])
}

/// A butt hinge: two leaves with holes about a pin, opened by some angle.
pub(super) fn hinge(random: &mut Random) -> Mesh {
    let (height, width) = (random.between(40.0, 80.0), random.between(18.0, 32.0));
    let (thick, sides) = (random.between(1.5, 3.0), random.count(14, 28));
    let barrel = thick * random.between(1.3, 1.7);
    let holes = random.count(2, 3);
    let hole = width * 0.11;
    let knuckles = 2 * random.count(1, 2) + 1;
    let step = height / knuckles as f64;
    let leaf = || {
        let at = |i: usize| {
            let zigzag = if i.is_multiple_of(2) { 0.1 } else { -0.12 };
            [width * zigzag, height * ((i as f64 + 0.5) / holes as f64 - 0.5)]
        };
        let holes: Vec<_> = (0..holes).map(|i| shifted(&circle(hole, sides), at(i))).collect();
        let plate = extrude(&rectangle(width, height * 0.99, 0.0), &holes, -thick / 2.0, thick / 2.0);
        turned(moved(plate, [width / 2.0 + barrel * 0.6, height / 2.0, 0.0]), 0, TAU / 4.0)
    };
    let opening = random.between(0.3, 0.5) * TAU;
    let mut parts = vec![leaf(), turned(leaf(), 2, opening), tube(barrel * 0.5, 0.0, -1.0, height + 1.0, sides)];
    parts.extend((0..knuckles).map(|i| {
        let low = step * i as f64;
        tube(barrel, 0.0, low + step * 0.02, low + step * 0.98, sides)
    }));
    parts
        .extend([-1.0 - barrel * 0.4, height + 1.0].map(|low| tube(barrel * 0.8, 0.0, low, low + barrel * 0.4, sides)));
    merge(parts)
}
