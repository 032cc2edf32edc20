//! Points of space and what is done with them.

/// A point or a direction.
pub(crate) type Point = [f64; 3];

pub(crate) fn add(a: Point, b: Point) -> Point {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(crate) fn sub(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn times(a: Point, by: f64) -> Point {
    a.map(|x| x * by)
}

pub(crate) fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// From `a` (at 0) to `b` (at 1).
pub(crate) fn between(a: Point, b: Point, t: f64) -> Point {
    std::array::from_fn(|k| a[k] + (b[k] - a[k]) * t)
}

pub(crate) fn length(a: Point) -> f64 {
    dot(a, a).sqrt()
}

/// The direction of `a`; up where `a` has none.
pub(crate) fn unit(a: Point) -> Point {
    let long = length(a);
    if long > 0.0 { a.map(|x| x / long) } else { [0.0, 0.0, 1.0] }
}
