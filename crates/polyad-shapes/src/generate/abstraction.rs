//! Shapes that mean nothing: random parts in random order, for what no named kind has.

use super::Kind;
use super::form::{
    Ends, both, carry, curve, fitted, path_length, radial, radii_outline, ring_path, sheet, slab, stretched,
};
use super::form::{torus, warped};
use super::implicit::{Blend, Part};
use super::nets::surface;
use super::vector::{Point, add, direction, times};
use crate::build::solid::{Matrix, Outline, ball, cuboid, mapped, merge, moved, polar, rectangle, rotation, turned};
use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::{FRAC_PI_2, TAU};

pub(super) const KINDS: &[Kind] = &[
    ("parts-loose", |random| composition(random, Order::Loose)),
    ("parts-mirrored", |random| composition(random, Order::Mirrored)),
    ("parts-radial", |random| composition(random, Order::Radial)),
    ("parts-repeated", |random| composition(random, Order::Repeated)),
    ("parts-stacked", |random| composition(random, Order::Stacked)),
    ("blob", blob),
    ("carved-block", carved),
    ("knot", knot),
    ("ribbon", ribbon),
    ("wavy-sheet", wavy_sheet),
    ("cubes", cubes),
    ("rods", rods),
];

/// How the parts of a composition lie to each other.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Loose,
    Mirrored,
    Radial,
    Repeated,
    Stacked,
}

/// A closed outline: round, with few corners, wavy, a star, a rectangle, lopsided.
pub(super) fn section(random: &mut Random) -> Outline {
    let phase = random.between(0.0, TAU);
    let depth = random.between(0.05, 0.4);
    let waves = random.count(2, 9) as f64;
    match random.count(0, 6) {
        0 | 1 => radii_outline(random.count(14, 32), |_| 1.0),
        2 => radii_outline(random.count(3, 8), |_| 1.0),
        3 => radii_outline(48, |angle| 1.0 - depth + depth * libm::cos(waves * angle + phase)),
        4 => {
            let sides = 2 * random.count(3, 10);
            let step = TAU / sides as f64;
            radii_outline(sides, |angle| {
                if ((angle / step + 0.5) as usize).is_multiple_of(2) { 1.0 } else { 1.0 - 1.5 * depth }
            })
        }
        5 => {
            let (wide, high) = (2.0, random.between(0.3, 2.0));
            let round = if random.coin() { random.between(0.1, 0.45) * high } else { 0.0 };
            rectangle(wide, high, round)
        }
        _ => {
            let radii: Vec<f64> = (0..8).map(|_| random.between(0.5, 1.1)).collect();
            radii_outline(32, |angle| radii[((angle / TAU * 8.0) as usize).min(7)])
        }
    }
}

/// How the radius runs along a generalised cylinder.
fn profile(random: &mut Random) -> impl Fn(f64) -> f64 + use<> {
    let form = random.count(0, 6);
    let (a, b) = (random.between(0.2, 1.0), random.between(0.1, 0.5));
    let waves = random.count(1, 4) as f64;
    move |t: f64| match form {
        0 => 1.0,
        1 => 1.0 + (a - 1.0) * t,
        2 => 1.0 - 0.98 * t,
        3 => 0.1 + 0.9 * (4.0 * t * (1.0 - t)).max(0.0).sqrt(),
        4 => 1.0 - a * 4.0 * t * (1.0 - t) * 0.8,
        5 => 1.0 - b + b * libm::cos(TAU * waves * t),
        _ => (if t < a { 1.0 } else { 0.3 + b }).max(0.1),
    }
}

/// A generalised cylinder about the z axis, or a ring; of a size of about 1.
pub(super) fn part(random: &mut Random) -> Mesh {
    if random.chance(0.12) {
        return torus(random.between(0.35, 0.8), random.between(0.05, 0.3), random.count(10, 32), random.count(4, 14));
    }
    if random.chance(0.12) {
        let size = std::array::from_fn(|_| random.between(0.2, 1.2));
        return cuboid(size, [0.0; 3]);
    }
    if random.chance(0.1) {
        return stretched(ball(0.6, random.count(8, 24)), std::array::from_fn(|_| random.between(0.4, 1.5)));
    }
    let height = libm::exp(random.between(-2.3, 0.9));
    let steps = if random.chance(0.3) { random.count(2, 4) } else { random.count(6, 16) };
    let bend = if random.chance(0.3) { random.between(-2.5, 2.5) } else { 0.0 };
    let twist = if random.chance(0.2) { random.between(-2.0, 2.0) } else { 0.0 };
    let path: Vec<Point> = (0..=steps)
        .map(|i| {
            let t = i as f64 / steps as f64;
            if bend == 0.0 {
                return [0.0, 0.0, height * (t - 0.5)];
            }
            // An arc of the same length.
            let radius = height / bend;
            let [cos, sin] = polar(radius, bend * (t - 0.5));
            [radius - cos, 0.0, sin]
        })
        .collect();
    let (section, profile) = (section(random), profile(random));
    let wide = random.between(0.15, 0.6);
    let flat = if random.chance(0.3) { random.between(0.3, 1.0) } else { 1.0 };
    let ends = if random.chance(0.12) { Ends::Open } else { Ends::Capped };
    carry(&path, &section, ends, |t| {
        let r = wide * profile(t).max(0.02);
        ([r, r * flat], twist * t)
    })
}

/// A turn: mostly one that keeps to the axes.
pub(super) fn pose(random: &mut Random, mesh: Mesh) -> Mesh {
    if random.chance(0.15) {
        return mapped(mesh, rotation(random));
    }
    let tilt = if random.chance(0.2) { random.between(-0.6, 0.6) } else { 0.0 };
    let axis = random.count(0, 2);
    let mesh = turned(mesh, (axis + 1) % 3, tilt);
    if axis == 2 { mesh } else { turned(mesh, axis, FRAC_PI_2) }
}

fn composition(random: &mut Random, order: Order) -> Mesh {
    let count = random.count(1, if order == Order::Loose { 9 } else { 5 });
    let mut parts = Vec::new();
    let mut top = 0.0;
    for i in 0..count {
        let made = part(random);
        let made = pose(random, made);
        let size = libm::exp(random.between(-1.2, 0.3));
        let made = fitted(made, size);
        let [low, high] = made.bounds().unwrap_or_default();
        let at: Point = std::array::from_fn(|_| random.between(-0.6, 0.6));
        parts.push(match order {
            Order::Loose => moved(made, if i == 0 { [0.0; 3] } else { at }),
            Order::Stacked => {
                let shift = [0.1 * at[0], 0.1 * at[1], top - low[2]];
                top += (high[2] - low[2]) * random.between(0.8, 1.0);
                moved(made, shift)
            }
            Order::Mirrored => {
                let on_plane = random.chance(0.35);
                let moved = moved(made, if on_plane { [0.0, at[1], at[2]] } else { at });
                let pair = both(moved, 0);
                if random.chance(0.3) { both(pair, 1) } else { pair }
            }
            Order::Radial => {
                let copies = random.count(3, 10);
                if random.chance(0.35) { moved(made, [0.0, 0.0, at[2]]) } else { radial(&moved(made, at), copies) }
            }
            Order::Repeated => {
                let (copies, step) = (random.count(2, 7), random.between(0.15, 0.5));
                let way =
                    times(direction(random.pick(&[0.0, FRAC_PI_2]), random.pick(&[0.0, 0.0, FRAC_PI_2, 0.5])), step);
                merge((0..copies).map(|k| moved(made.clone(), add(at, times(way, k as f64)))))
            }
        });
    }
    stretched(merge(parts), std::array::from_fn(|_| libm::exp(random.between(-0.4, 0.4))))
}

/// A random piece of an implicit solid, about a point.
fn piece(random: &mut Random, centre: Point, size: f64) -> Part {
    let turn = if random.coin() { rotation(random) } else { super::implicit::STRAIGHT };
    let mut side = || size * random.between(0.35, 1.0);
    let radii = [side(), side(), side()];
    match random.count(0, 4) {
        0 => Part::Egg { centre, radii, turn },
        1 => Part::Block { centre, half: radii, round: 0.3 * size * random.between(0.0, 1.0), turn },
        2 => Part::Drum { centre, radius: radii[0], half: radii[1], round: 0.1 * size, turn },
        3 => Part::Ring { centre, radius: size, wire: 0.4 * radii[2], turn },
        _ => {
            let way = times(direction(random.between(0.0, TAU), random.between(-1.0, 1.0)), 1.5 * size);
            Part::Limb { a: centre, b: add(centre, way), ra: 0.5 * radii[0], rb: 0.4 * radii[1] }
        }
    }
}

/// Pieces that flow into one another, sometimes hollowed.
fn blob(random: &mut Random) -> Mesh {
    let mut solid = Blend::new(random.between(0.02, 0.5));
    let mut at = [0.0; 3];
    for _ in 0..random.count(2, 8) {
        let size = random.between(0.15, 0.7);
        solid.part(piece(random, at, size));
        let way = direction(random.between(0.0, TAU), random.between(-1.5, 1.5));
        at = add(at, times(way, size * random.between(0.5, 1.5)));
    }
    for _ in 0..random.count(0, 2) {
        let centre = times(at, random.between(0.0, 1.0));
        let cut = piece(random, centre, 0.4);
        solid.cut(cut);
    }
    let mesh = surface(&solid, random.count(16, 32));
    let mesh = twisted(random, mesh);
    if random.chance(0.3) { both(mesh, 0) } else { mesh }
}

/// The mesh, sometimes wrung about z or bent.
fn twisted(random: &mut Random, mesh: Mesh) -> Mesh {
    let wring = if random.chance(0.25) { random.between(-2.5, 2.5) } else { 0.0 };
    let taper = if random.chance(0.25) { random.between(-0.4, 0.4) } else { 0.0 };
    warped(mesh, |[x, y, z]| {
        let [cos, sin] = polar(1.0 + taper * z.clamp(-2.0, 2.0), wring * z);
        [x * cos - y * sin, x * sin + y * cos, z]
    })
}

/// A block, drum or egg from which pieces are taken.
fn carved(random: &mut Random) -> Mesh {
    let mut solid = Blend::new(0.05);
    solid.rim = if random.coin() { 0.0 } else { random.between(0.02, 0.2) };
    let half: [f64; 3] = std::array::from_fn(|_| random.between(0.3, 1.0));
    let turn = super::implicit::STRAIGHT;
    let round = random.between(0.0, 0.2) * half[0].min(half[1]).min(half[2]);
    solid.part(match random.count(0, 3) {
        0 | 1 => Part::Block { centre: [0.0; 3], half, round, turn },
        2 => Part::Drum { centre: [0.0; 3], radius: half[0].max(half[1]), half: half[2], round, turn },
        _ => Part::Egg { centre: [0.0; 3], radii: half, turn },
    });
    if random.chance(0.3) {
        solid.wall = Some(random.between(0.06, 0.15));
    }
    let mirror = solid.wall.is_none() && random.coin();
    for _ in 0..random.count(1, 5) {
        let at: Point = std::array::from_fn(|k| half[k] * random.pick(&[-1.0, -0.5, 0.0, 0.5, 1.0]));
        let reach = random.between(0.15, 0.5);
        let mut taken = piece(random, at, reach);
        // A bore goes all the way through.
        if let (true, Part::Drum { turn, half, .. }) = (random.coin(), &mut taken) {
            (*turn, *half) = (axis_turn(random), 3.0);
        }
        solid.cut(taken);
    }
    let mesh = surface(&solid, random.count(16, 26));
    if mesh.triangles.len() < 40 {
        return cuboid(half, [0.0; 3]);
    }
    let mesh = twisted(random, mesh);
    if mirror && random.chance(0.3) { both(moved(mesh, [random.between(0.0, 1.0), 0.0, 0.0]), 0) } else { mesh }
}

/// The turn that brings z to one of the axes.
fn axis_turn(random: &mut Random) -> Matrix {
    super::vector::upright(random.pick(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
}

/// A closed curve about a torus, or a random closed curve, as a thick wire.
fn knot(random: &mut Random) -> Mesh {
    let steps = random.count(60, 140);
    let (p, q) = (random.count(1, 3) as f64, random.count(0, 7) as f64);
    let minor = random.between(0.1, 0.45);
    let sway = random.between(0.0, 0.3);
    let path: Vec<Point> = (0..=steps)
        .map(|i| {
            let angle = TAU * i as f64 / steps as f64;
            let [r, z] = polar(minor, q * angle);
            let [x, y] = polar(1.0 + r, p * angle);
            [x, y * (1.0 + sway), z]
        })
        .collect();
    let wire = random.between(0.02, 0.14);
    let section = section(random);
    carry(&path, &section, Ends::Capped, |_| ([wire; 2], 0.0))
}

/// A strip along a smooth curve through random points, or a helix.
fn ribbon(random: &mut Random) -> Mesh {
    let turns = random.between(0.5, 4.0);
    let (radius, rise) = (random.between(0.3, 1.0), random.between(0.3, 2.0));
    let path = if random.coin() {
        let spread = random.between(0.0, 1.0);
        (0..60)
            .map(|i| {
                let t = i as f64 / 59.0;
                let [x, y] = polar(radius * (1.0 - spread * t * 0.8), TAU * turns * t);
                [x, y, rise * t]
            })
            .collect()
    } else {
        let points: Vec<Point> =
            (0..random.count(3, 7)).map(|_| std::array::from_fn(|_| random.between(-1.0, 1.0))).collect();
        curve(&points, 10)
    };
    let (wide, thick) = (random.between(0.05, 0.4), random.between(0.01, 0.1));
    let twist = random.between(-1.0, 1.0) * path_length(&path) * f64::from(u8::from(random.coin()));
    let taper = random.between(0.0, 1.0);
    carry(&path, &rectangle(2.0 * thick, 2.0 * wide, 0.0), Ends::Capped, |t| ([1.0, 1.0 - 0.95 * taper * t], twist * t))
}

/// A sheet of waves and bumps, bare or thick, perhaps rolled.
fn wavy_sheet(random: &mut Random) -> Mesh {
    let waves: Vec<[f64; 4]> = (0..random.count(1, 3))
        .map(|_| {
            [random.between(0.02, 0.2), random.between(0.0, 12.0), random.between(0.0, 12.0), random.between(0.0, TAU)]
        })
        .collect();
    let (long, roll) = (random.between(0.5, 2.0), if random.chance(0.4) { random.between(0.5, 5.5) } else { 0.0 });
    let at = |u: f64, v: f64| -> Point {
        let lift: f64 = waves.iter().map(|[high, a, b, phase]| high * libm::sin(a * u + b * v + phase)).sum();
        if roll == 0.0 {
            return [u - 0.5, long * (v - 0.5), lift];
        }
        let [x, z] = polar(1.0 / roll + lift, roll * (u - 0.5));
        [x, long * (v - 0.5), z]
    };
    let (n, m) = (random.count(8, 40), random.count(8, 40));
    if random.coin() { sheet(n, m, at) } else { slab(n, m, [0.0, 0.0, -random.between(0.03, 0.3)], at) }
}

/// Cubes that grow from one another on a grid.
fn cubes(random: &mut Random) -> Mesh {
    let mut taken: Vec<[i32; 3]> = vec![[0; 3]];
    let flat = random.chance(0.3);
    for _ in 0..random.count(2, 30) {
        let mut next = random.pick(&taken);
        next[random.count(0, if flat { 1 } else { 2 })] += random.pick(&[-1, 1]);
        if !taken.contains(&next) {
            taken.push(next);
        }
    }
    let side = random.between(0.55, 1.02);
    merge(taken.into_iter().map(|at| cuboid([side; 3], at.map(f64::from))))
}

/// Rods between random points: of a tangle, of a ring, of a cage.
fn rods(random: &mut Random) -> Mesh {
    let count = random.count(5, 14);
    let cage = random.coin();
    let mut points: Vec<Point> = ring_path([0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], count);
    let high = random.between(0.3, 2.0);
    let narrow = random.between(0.1, 1.2);
    points.extend(points.clone().into_iter().map(|p| [p[0] * narrow, p[1] * narrow, high]));
    if !cage {
        points.iter_mut().for_each(|p| *p = std::array::from_fn(|_| random.between(-1.0, 1.0)));
    }
    let (wire, sides) = (random.between(0.015, 0.06), random.count(4, 8));
    let knot = random.chance(0.4).then(|| wire * random.between(1.5, 3.0));
    let lean = random.count(0, 3);
    let mut parts = Vec::new();
    let mut join = |a: usize, b: usize| parts.push(super::form::rod(points[a], points[b], wire, wire, sides));
    for i in 0..count {
        join(i, count + (i + lean) % count);
        if cage {
            join(i, (i + 1) % count);
            join(count + i, count + (i + 1) % count);
        }
    }
    if let Some(knot) = knot {
        parts.extend(points.iter().map(|p| moved(ball(knot, 8), *p)));
    }
    merge(parts)
}
