//! Points of space and what is done with them.

use crate::build::solid::{Matrix, polar};
pub(super) use crate::mesh::{cross, dot, sub};

pub(super) type Point = [f64; 3];

pub(super) fn add(a: Point, b: Point) -> Point {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn times(a: Point, by: f64) -> Point {
    a.map(|x| x * by)
}

/// From `a` (at 0) to `b` (at 1).
pub(super) fn between(a: Point, b: Point, t: f64) -> Point {
    std::array::from_fn(|k| a[k] + (b[k] - a[k]) * t)
}

pub(super) fn length(a: Point) -> f64 {
    dot(a, a).sqrt()
}

/// The direction of `a`; up where `a` has none.
pub(super) fn unit(a: Point) -> Point {
    let long = length(a);
    if long > 0.0 { a.map(|x| x / long) } else { [0.0, 0.0, 1.0] }
}

/// The direction at `azimuth` from x towards y, and `elevation` from there towards z.
pub(super) fn direction(azimuth: f64, elevation: f64) -> Point {
    let [flat, z] = polar(1.0, elevation);
    let [x, y] = polar(flat, azimuth);
    [x, y, z]
}

/// Rows of the rotation that turns z into `towards`.
pub(super) fn upright(towards: Point) -> Matrix {
    let z = unit(towards);
    let aside = if z[0].abs() < 0.9 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
    let y = unit(cross(z, aside));
    let x = cross(y, z);
    std::array::from_fn(|k| [x[k], y[k], z[k]])
}

/// Rows of the rotation that turns x into `towards`, keeping z as high as it can be.
pub(super) fn pointing(towards: Point) -> Matrix {
    let x = unit(towards);
    let up = if x[2].abs() < 0.99 { [0.0, 0.0, 1.0] } else { [0.0, 1.0, 0.0] };
    let y = unit(cross(up, x));
    let z = cross(x, y);
    std::array::from_fn(|k| [x[k], y[k], z[k]])
}
