//! Directions, and the rotations that lead to them.

use crate::build::solid::{Matrix, polar};
pub(super) use crate::vector::{Point, add, between, cross, dot, length, sub, times, unit};

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
