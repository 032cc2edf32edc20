//! Closed solids from outlines: extruded, revolved, moved, merged. Lengths in millimetres, angles in radians.
//!
//! A part is a union of overlapping closed solids: every edge of each belongs to two triangles, and what lies inside
//! another solid is never seen.

use crate::mesh::Mesh;
use crate::random::Random;
use std::f64::consts::TAU;

/// A closed outline in the plane, without repeated points, in either direction.
pub(crate) type Outline = Vec<[f64; 2]>;
/// Rows of a linear map.
pub(crate) type Matrix = [[f64; 3]; 3];

/// A regular polygon of `sides` corners, for curves.
pub(crate) fn circle(radius: f64, sides: usize) -> Outline {
    polygon(radius, sides, 0.1)
}

/// A regular polygon whose first corner is at angle `phase`.
pub(crate) fn polygon(radius: f64, sides: usize, phase: f64) -> Outline {
    (0..sides).map(|i| polar(radius, phase + TAU * i as f64 / sides as f64)).collect()
}

/// The point at `radius` and `angle`.
pub(crate) fn polar(radius: f64, angle: f64) -> [f64; 2] {
    [radius * libm::cos(angle), radius * libm::sin(angle)]
}

/// Points of a rounded corner.
const CORNER: usize = 6;

/// A rectangle about the origin, its corners rounded by `round` (0: sharp), from the right top counter-clockwise.
pub(crate) fn rectangle(width: f64, height: f64, round: f64) -> Outline {
    let corners = [[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]];
    let centre = |c: [f64; 2]| [c[0] * (width / 2.0 - round), c[1] * (height / 2.0 - round)];
    if round == 0.0 {
        return corners.map(centre).to_vec();
    }
    let arc = |(quarter, corner)| {
        let [x, y] = centre(corner);
        (0..CORNER).map(move |i| {
            let [dx, dy] = polar(round, TAU / 4.0 * (quarter as f64 + i as f64 / (CORNER - 1) as f64));
            [x + dx, y + dy]
        })
    };
    corners.into_iter().enumerate().flat_map(arc).collect()
}

/// The outline, moved in its plane.
pub(crate) fn shifted(outline: &[[f64; 2]], by: [f64; 2]) -> Outline {
    outline.iter().map(|p| [p[0] + by[0], p[1] + by[1]]).collect()
}

/// A prism from `low` to `high` along z, with holes through it that neither touch each other nor the outline.
pub(crate) fn extrude(outline: &[[f64; 2]], holes: &[Outline], low: f64, high: f64) -> Mesh {
    let rings: Vec<Outline> =
        std::iter::once(directed(outline, true)).chain(holes.iter().map(|hole| directed(hole, false))).collect();
    let flat: Outline = rings.iter().flatten().copied().collect();
    let total = flat.len() as u32;
    let level = |z: f64| flat.iter().map(move |p| [p[0], p[1], z]);
    let positions = level(low).chain(level(high)).collect();

    let mut starts = Vec::new();
    let mut triangles = Vec::new();
    let mut start = 0;
    for ring in &rings {
        starts.push(start);
        let length = ring.len() as u32;
        for i in 0..length {
            let (a, b) = (start + i, start + (i + 1) % length);
            triangles.extend([[a, b, b + total], [a, b + total, a + total]]);
        }
        start += length;
    }
    let mut lid: Vec<u32> = Vec::new();
    let flat = off_lines(&flat);
    earcut::Earcut::new().earcut(flat.iter().copied(), &starts[1..], &mut lid);
    for corners in lid.as_chunks::<3>().0 {
        let [a, b, c] = *corners;
        let [a, b, c] = if doubled_area(&corners.map(|i| flat[i as usize])) > 0.0 { [a, b, c] } else { [a, c, b] };
        triangles.extend([[a, c, b], [a + total, b + total, c + total]]);
    }
    Mesh { positions, triangles, unit: None }
}

/// The outline of (radius, z) turned about the z axis. Points of radius 0 become poles.
pub(crate) fn revolve(profile: &[[f64; 2]], segments: usize) -> Mesh {
    let profile = directed(profile, true);
    let mut mesh = Mesh::default();
    let mut rings = Vec::new();
    for [radius, z] in &profile {
        let first = mesh.positions.len() as u32;
        let length = if *radius == 0.0 { 1 } else { segments };
        mesh.positions.extend((0..length).map(|s| {
            let [x, y] = polar(*radius, TAU * s as f64 / segments as f64);
            [x, y, *z]
        }));
        rings.push((first, length as u32));
    }
    for i in 0..rings.len() {
        let (lower, upper) = (rings[i], rings[(i + 1) % rings.len()]);
        let at = |(first, length): (u32, u32), s: u32| first + s % length;
        for s in 0..segments as u32 {
            let (a, b, c, d) = (at(lower, s), at(upper, s), at(upper, s + 1), at(lower, s + 1));
            let both = [[a, d, c], [a, c, b]].into_iter();
            mesh.triangles.extend(both.filter(|t| t[0] != t[1] && t[1] != t[2] && t[2] != t[0]));
        }
    }
    mesh
}

/// A ball about the origin.
pub(crate) fn ball(radius: f64, segments: usize) -> Mesh {
    let steps = segments / 2;
    let profile: Outline = (0..=steps)
        .map(|i| {
            let [z, r] = polar(radius, TAU / 2.0 * i as f64 / steps as f64);
            [if i == 0 || i == steps { 0.0 } else { r }, -z]
        })
        .collect();
    revolve(&profile, segments)
}

/// A cylinder about the z axis, or with `bore` above 0 a tube.
pub(crate) fn tube(radius: f64, bore: f64, low: f64, high: f64, segments: usize) -> Mesh {
    revolve(&[[bore, low], [radius, low], [radius, high], [bore, high]], segments)
}

/// A box of the given sides about `centre`.
pub(crate) fn cuboid(size: [f64; 3], centre: [f64; 3]) -> Mesh {
    let mesh = extrude(&rectangle(size[0], size[1], 0.0), &[], -size[2] / 2.0, size[2] / 2.0);
    moved(mesh, centre)
}

/// The mesh, moved.
pub(crate) fn moved(mut mesh: Mesh, by: [f64; 3]) -> Mesh {
    for p in &mut mesh.positions {
        *p = std::array::from_fn(|i| p[i] + by[i]);
    }
    mesh
}

/// The mesh under a rotation.
pub(crate) fn mapped(mut mesh: Mesh, rows: Matrix) -> Mesh {
    for p in &mut mesh.positions {
        *p = rows.map(|row| row[0] * p[0] + row[1] * p[1] + row[2] * p[2]);
    }
    mesh
}

/// The mesh, turned about the x (0), y (1) or z (2) axis.
pub(crate) fn turned(mesh: Mesh, axis: usize, angle: f64) -> Mesh {
    let [cos, sin] = polar(1.0, angle);
    let (j, k) = ((axis + 1) % 3, (axis + 2) % 3);
    let mut rows = [[0.0; 3]; 3];
    rows[axis][axis] = 1.0;
    (rows[j][j], rows[j][k], rows[k][j], rows[k][k]) = (cos, -sin, sin, cos);
    mapped(mesh, rows)
}

/// The solids as one mesh; they may overlap.
pub(crate) fn merge(parts: impl IntoIterator<Item = Mesh>) -> Mesh {
    let mut whole = Mesh::default();
    for part in parts {
        let first = whole.positions.len() as u32;
        whole.positions.extend(part.positions);
        whole.triangles.extend(part.triangles.iter().map(|t| t.map(|corner| corner + first)));
    }
    whole
}

/// Twice the area, positive if counter-clockwise.
fn doubled_area(outline: &[[f64; 2]]) -> f64 {
    let next = outline.iter().cycle().skip(1);
    outline.iter().zip(next).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum()
}

/// The points, each moved by less than a millionth of a millimetre: a triangulation drops points on a line, and then
/// the lid would not meet the wall.
fn off_lines(points: &[[f64; 2]]) -> Outline {
    let mut random = Random::new(0, 0);
    points.iter().map(|p| p.map(|x| x + random.between(-1e-6, 1e-6))).collect()
}

fn directed(outline: &[[f64; 2]], counter_clockwise: bool) -> Outline {
    let mut points = outline.to_vec();
    if (doubled_area(outline) > 0.0) != counter_clockwise {
        points.reverse();
    }
    points
}

/// A rotation, uniform over all of them (Shoemake: a quaternion from three uniform numbers).
pub(crate) fn rotation(random: &mut Random) -> Matrix {
    let u = random.between(0.0, 1.0);
    let (a, b) = (random.between(0.0, TAU), random.between(0.0, TAU));
    let (p, q) = ((1.0 - u).sqrt(), u.sqrt());
    let (x, y, z, w) = (p * libm::sin(a), p * libm::cos(a), q * libm::sin(b), q * libm::cos(b));
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
        [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
        [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
    ]
}
