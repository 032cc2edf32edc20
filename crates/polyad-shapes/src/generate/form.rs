//! Surfaces through rings and over grids: lofts, limbs, rods, sheets; and maps of whole meshes.

use super::vector::{Point, add, between, cross, length, sub, times, unit};
use crate::build::solid::{Outline, circle, mapped, merge, moved, polar};
use crate::build::sweep::frames;
use crate::mesh::Mesh;
use std::f64::consts::TAU;

/// What becomes of the two ends of a loft.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Ends {
    /// Each is closed by a fan about its centre.
    Capped,
    /// They stay open.
    Open,
    /// The last ring meets the first.
    Joined,
}

/// The surface through rings of one length, each counter-clockwise as seen from those after it.
pub(super) fn loft(rings: &[Vec<Point>], ends: Ends) -> Mesh {
    let sides = rings[0].len() as u32;
    let mut mesh = Mesh { positions: rings.concat(), ..Mesh::default() };
    let bands = rings.len() - usize::from(ends != Ends::Joined);
    for band in 0..bands {
        let (low, high) = (band as u32 * sides, ((band + 1) % rings.len()) as u32 * sides);
        for s in 0..sides {
            let next = (s + 1) % sides;
            let [a, b, c, d] = [low + s, low + next, high + next, high + s];
            mesh.triangles.extend([[a, b, c], [a, c, d]]);
        }
    }
    if ends == Ends::Capped {
        for (ring, first) in [(0, true), (rings.len() - 1, false)] {
            let start = ring as u32 * sides;
            let centre = mesh.positions.len() as u32;
            mesh.positions.push(middle(&rings[ring]));
            for s in 0..sides {
                let (a, b) = (start + s, start + (s + 1) % sides);
                mesh.triangles.push(if first { [centre, b, a] } else { [centre, a, b] });
            }
        }
    }
    mesh
}

/// The mean of points.
pub(super) fn middle(points: &[Point]) -> Point {
    times(points.iter().fold([0.0; 3], |sum, p| add(sum, *p)), 1.0 / points.len() as f64)
}

/// A section carried along a path; `shape` gives its two scales and its turn at each part (0 to 1) of the path.
pub(super) fn carry(path: &[Point], section: &[[f64; 2]], ends: Ends, shape: impl Fn(f64) -> ([f64; 2], f64)) -> Mesh {
    let last = (path.len() - 1) as f64;
    let ring = |(i, (centre, [u, v])): (usize, (&Point, [Point; 2]))| {
        let (scale, turn) = shape(i as f64 / last);
        let [cos, sin] = polar(1.0, turn);
        let place = |p: &[f64; 2]| {
            let (x, y) = (p[0] * scale[0], p[1] * scale[1]);
            add(*centre, add(times(u, x * cos - y * sin), times(v, x * sin + y * cos)))
        };
        section.iter().map(place).collect()
    };
    let rings: Vec<Vec<Point>> = path.iter().zip(frames(path)).enumerate().map(ring).collect();
    loft(&rings, ends)
}

/// A round limb along a path with a radius at each of its points, with blunt ends.
pub(super) fn limb(path: &[Point], radii: &[f64], sides: usize) -> Mesh {
    let last = (path.len() - 1) as f64;
    let radius = |t: f64| radii[(t * last + 0.5) as usize];
    carry(path, &circle(1.0, sides), Ends::Capped, |t| ([radius(t); 2], 0.0))
}

/// A round rod from `a` to `b`, its radius going from `ra` to `rb`.
pub(super) fn rod(a: Point, b: Point, ra: f64, rb: f64, sides: usize) -> Mesh {
    limb(&[a, b], &[ra, rb], sides)
}

/// A bar of a rectangular section from `a` to `b`, its `wide` side level where that is possible.
pub(super) fn bar(a: Point, b: Point, wide: f64, thick: f64) -> Mesh {
    let along = unit(sub(b, a));
    let up = if along[2].abs() < 0.999 { [0.0, 0.0, 1.0] } else { [0.0, 1.0, 0.0] };
    let u = unit(cross(up, along));
    let v = cross(along, u);
    let ring = |end: Point| {
        let corner = |(x, y): (f64, f64)| add(end, add(times(u, x * wide / 2.0), times(v, y * thick / 2.0)));
        [(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)].map(corner).to_vec()
    };
    loft(&[ring(a), ring(b)], Ends::Capped)
}

/// A smooth curve through points (Catmull and Rom), `per` steps between each two.
pub(super) fn curve<const N: usize>(points: &[[f64; N]], per: usize) -> Vec<[f64; N]> {
    let last = points.len() - 1;
    let at = |i: usize, t: f64| {
        let [a, b, c, d] = [i.saturating_sub(1), i, i + 1, (i + 2).min(last)].map(|j| points[j]);
        std::array::from_fn(|k| {
            let (m, n) = ((c[k] - a[k]) / 2.0, (d[k] - b[k]) / 2.0);
            let (gap, t2) = (c[k] - b[k], t * t);
            b[k] + m * t + (3.0 * gap - 2.0 * m - n) * t2 + (m + n - 2.0 * gap) * t2 * t
        })
    };
    let steps = (0..last).flat_map(|i| (0..per).map(move |s| (i, s as f64 / per as f64)));
    steps.map(|(i, t)| at(i, t)).chain(std::iter::once(points[last])).collect()
}

/// A closed curve's points: a circle of `sides` steps in the plane of `u` and `v`.
pub(super) fn ring_path(centre: Point, u: Point, v: Point, sides: usize) -> Vec<Point> {
    let at = |i: usize| {
        let [x, y] = polar(1.0, TAU * i as f64 / sides as f64);
        add(centre, add(times(u, x), times(v, y)))
    };
    (0..sides).map(at).collect()
}

/// A ring of wire about the z axis.
pub(super) fn torus(radius: f64, wire: f64, around: usize, sides: usize) -> Mesh {
    let ring = |i: usize| {
        let [x, y] = polar(1.0, TAU * i as f64 / around as f64);
        let at = |[r, z]: [f64; 2]| [(radius + r) * x, (radius + r) * y, -z];
        circle(wire, sides).into_iter().map(at).collect()
    };
    loft(&(0..around).map(ring).collect::<Vec<_>>(), Ends::Joined)
}

/// An open surface over a grid of `n` by `m` cells, at `at(u, v)` for u and v from 0 to 1.
pub(super) fn sheet(n: usize, m: usize, at: impl Fn(f64, f64) -> Point) -> Mesh {
    let mut mesh = Mesh::default();
    for i in 0..=n {
        mesh.positions.extend((0..=m).map(|j| at(i as f64 / n as f64, j as f64 / m as f64)));
    }
    let row = m as u32 + 1;
    for i in 0..n as u32 {
        for j in 0..m as u32 {
            let a = i * row + j;
            mesh.triangles.extend([[a, a + row, a + row + 1], [a, a + row + 1, a + 1]]);
        }
    }
    mesh
}

/// A sheet as a closed body: a second one at the side of `thick`, and a rim.
pub(super) fn slab(n: usize, m: usize, thick: Point, at: impl Fn(f64, f64) -> Point) -> Mesh {
    let top = sheet(n, m, at);
    let below = flipped(moved(top.clone(), thick));
    let (row, count) = (m as u32 + 1, top.positions.len() as u32);
    let (n, m) = (n as u32, m as u32);
    let edge: Vec<u32> = (0..n)
        .map(|i| i * row)
        .chain((0..m).map(|j| n * row + j))
        .chain((1..=n).rev().map(|i| i * row + m))
        .chain((1..=m).rev())
        .collect();
    let mut body = merge([top, below]);
    for (i, a) in edge.iter().enumerate() {
        let b = edge[(i + 1) % edge.len()];
        body.triangles.extend([[b, *a, a + count], [b, a + count, b + count]]);
    }
    body
}

/// A flat leaf or blade along a path: `width(t)` across it, in the direction `across`; a sheet without thickness.
pub(super) fn blade(path: &[Point], across: Point, width: impl Fn(f64) -> f64) -> Mesh {
    let last = path.len() - 1;
    sheet(last, 2, |u, v| {
        let half = width(u) / 2.0;
        let fold = (v - 0.5).abs() * 0.3 * half;
        add(path[(u * last as f64 + 0.5) as usize], add(times(across, (2.0 * v - 1.0) * half), [0.0, 0.0, fold]))
    })
}

/// The mesh inside out.
pub(super) fn flipped(mut mesh: Mesh) -> Mesh {
    mesh.triangles.iter_mut().for_each(|t| t.swap(1, 2));
    mesh
}

/// The mesh, each place moved by a map.
pub(super) fn warped(mut mesh: Mesh, map: impl Fn(Point) -> Point) -> Mesh {
    mesh.positions.iter_mut().for_each(|p| *p = map(*p));
    mesh
}

/// The mesh stretched along the axes, by positive factors.
pub(super) fn stretched(mesh: Mesh, by: [f64; 3]) -> Mesh {
    warped(mesh, |p| std::array::from_fn(|k| p[k] * by[k]))
}

/// The mirror image across the plane through the origin that is square to an axis.
pub(super) fn mirrored(mesh: Mesh, axis: usize) -> Mesh {
    flipped(warped(mesh, |mut p| {
        p[axis] = -p[axis];
        p
    }))
}

/// The mesh and its mirror image.
pub(super) fn both(mesh: Mesh, axis: usize) -> Mesh {
    merge([mesh.clone(), mirrored(mesh, axis)])
}

/// `count` copies turned evenly about z.
pub(super) fn radial(mesh: &Mesh, count: usize) -> Mesh {
    merge((0..count).map(|i| crate::build::solid::turned(mesh.clone(), 2, TAU * i as f64 / count as f64)))
}

/// The mesh, its z axis turned to `towards`, its origin moved to `at`.
pub(super) fn placed(mesh: Mesh, at: Point, towards: Point) -> Mesh {
    moved(mapped(mesh, super::vector::upright(towards)), at)
}

/// The largest side of a box.
pub(super) fn largest([low, high]: [Point; 2]) -> f64 {
    sub(high, low).into_iter().fold(0.0, f64::max)
}

/// The mesh centred, its largest side `size`.
pub(super) fn fitted(mesh: Mesh, size: f64) -> Mesh {
    let Some(bounds @ [low, high]) = mesh.bounds() else { return mesh };
    let (largest, centre) = (largest(bounds), between(low, high, 0.5));
    let by = if largest > 0.0 { size / largest } else { 1.0 };
    warped(mesh, |p| times(sub(p, centre), by))
}

/// Every triangle as four, by the middles of its sides.
pub(super) fn subdivided(mesh: &Mesh) -> Mesh {
    let mut fine = Mesh { positions: mesh.positions.clone(), ..Mesh::default() };
    let mut middles = std::collections::HashMap::new();
    for &[a, b, c] in &mesh.triangles {
        let [ab, bc, ca] = [(a, b), (b, c), (c, a)].map(|(p, q)| {
            *middles.entry((p.min(q), p.max(q))).or_insert_with(|| {
                let [from, to] = [p.min(q), p.max(q)].map(|i| mesh.positions[i as usize]);
                fine.positions.push(between(from, to, 0.5));
                fine.positions.len() as u32 - 1
            })
        });
        fine.triangles.extend([[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]);
    }
    fine
}

/// A closed outline from radii at even angles.
pub(super) fn radii_outline(sides: usize, radius: impl Fn(f64) -> f64) -> Outline {
    let at = |i: usize| {
        let angle = TAU * i as f64 / sides as f64;
        polar(radius(angle), angle)
    };
    (0..sides).map(at).collect()
}

/// The length of a path.
pub(super) fn path_length(path: &[Point]) -> f64 {
    path.windows(2).map(|pair| length(sub(pair[1], pair[0]))).sum()
}
