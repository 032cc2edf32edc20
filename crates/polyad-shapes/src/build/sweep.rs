//! Wires and pipes: a circle moved along a path.

use crate::mesh::Mesh;
use crate::vector::{Point, cross, dot, sub, unit};
use std::f64::consts::TAU;

/// A wire of `radius` along `path` (two points or more, none repeated), its ends capped; with `bore` above 0 a pipe.
/// The section is carried along without twist.
pub(crate) fn sweep(path: &[Point], radius: f64, bore: f64, sides: usize) -> Mesh {
    let mut mesh = Mesh::default();
    let outer = skin(&mut mesh, path, radius, sides, false);
    let inner = (bore > 0.0).then(|| skin(&mut mesh, path, bore, sides, true));
    for (end, forward) in [(0, false), (path.len() - 1, true)] {
        let corner = |skin: u32, s: usize| skin + (end * sides + s % sides) as u32;
        let mut add = |[a, b, c]: [u32; 3]| mesh.triangles.push(if forward { [a, b, c] } else { [a, c, b] });
        match inner {
            Some(inner) => (0..sides).for_each(|s| {
                add([corner(inner, s), corner(outer, s), corner(outer, s + 1)]);
                add([corner(inner, s), corner(outer, s + 1), corner(inner, s + 1)]);
            }),
            None => (1..sides - 1).for_each(|s| add([corner(outer, 0), corner(outer, s), corner(outer, s + 1)])),
        }
    }
    mesh
}

/// Adds the wall of a pipe, seen from outside or (`inward`) from inside; its first vertex.
fn skin(mesh: &mut Mesh, path: &[Point], radius: f64, sides: usize, inward: bool) -> u32 {
    let first = mesh.positions.len() as u32;
    for (centre, [u, v]) in path.iter().zip(frames(path)) {
        for s in 0..sides {
            let angle = TAU * s as f64 / sides as f64;
            let (x, y) = (radius * libm::cos(angle), radius * libm::sin(angle));
            mesh.positions.push(std::array::from_fn(|k| centre[k] + x * u[k] + y * v[k]));
        }
    }
    for ring in 0..path.len() - 1 {
        for s in 0..sides {
            let at = |ring: usize, s: usize| first + (ring * sides + s % sides) as u32;
            let (a, b, c, d) = (at(ring, s), at(ring, s + 1), at(ring + 1, s + 1), at(ring + 1, s));
            let both = [[a, b, c], [a, c, d]];
            mesh.triangles.extend(both.map(|[a, b, c]| if inward { [a, c, b] } else { [a, b, c] }));
        }
    }
    first
}

/// Two directions across the path at each of its points, carried along without twist.
pub(crate) fn frames(path: &[Point]) -> Vec<[Point; 2]> {
    let mut normal = None;
    let frame = |i: usize| {
        let ahead = path[(i + 1).min(path.len() - 1)];
        let tangent = unit(sub(ahead, path[i.saturating_sub(1)]));
        let carried = normal.unwrap_or_else(|| across(tangent));
        let along = dot(carried, tangent);
        let u = unit(std::array::from_fn(|k| carried[k] - along * tangent[k]));
        normal = Some(u);
        [u, cross(tangent, u)]
    };
    (0..path.len()).map(frame).collect()
}

/// Some direction square to `t`: away from the axis that `t` is least along.
fn across(t: Point) -> Point {
    let least = (0..3).min_by(|i, j| t[*i].abs().total_cmp(&t[*j].abs())).unwrap_or(0);
    let mut axis = [0.0; 3];
    axis[least] = 1.0;
    unit(cross(t, axis))
}
