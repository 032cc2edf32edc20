//! How a shape stands: as its file has it, along its principal axes, or turned.

use crate::vector::{cross, dot, sub};
use serde::{Deserialize, Serialize};

/// How a shape is stood up before it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pose {
    /// As the file has it.
    #[default]
    AsIs,
    /// Longest axis along x, shortest along z, each pointing to the heavier tail.
    Principal,
}

/// A rotation about the origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotation([[f64; 3]; 3]);

impl Rotation {
    /// The rotation that changes nothing.
    pub const IDENTITY: Rotation = Rotation([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);

    /// The rotation of a quaternion (w, x, y, z) of any length; [`Rotation::IDENTITY`] for a length of 0 or one
    /// that is not a number.
    pub fn from_quaternion(q: [f64; 4]) -> Rotation {
        let largest = q.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let q = q.map(|x| x / largest);
        let length = q.iter().map(|x| x * x).sum::<f64>().sqrt();
        let [w, x, y, z] = q.map(|x| x / length);
        let rotation = Rotation([
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ]);
        if rotation.0.iter().flatten().all(|x| x.is_finite()) { rotation } else { Rotation::IDENTITY }
    }

    /// The matrix, row by row: turned = rows * place.
    pub fn rows(&self) -> &[[f64; 3]; 3] {
        &self.0
    }

    /// Turns places.
    pub fn apply(&self, places: &mut [[f64; 3]]) {
        for p in places {
            *p = self.0.map(|row| dot(row, *p));
        }
    }
}

/// The `k`-th of a sequence of rotations, all equally likely, that `seed` determines.
pub fn random_rotation(seed: u64, k: u64) -> Rotation {
    let mut state = mix(mix(seed).wrapping_add(k));
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        (mix(state) >> 11) as f64 * (2.0 / (1u64 << 53) as f64) - 1.0
    };
    // A point uniform in the 4-ball is uniform in direction, and needs neither sine nor logarithm. Three draws in
    // ten hit the ball.
    loop {
        let q = [next(), next(), next(), next()];
        let length2: f64 = q.iter().map(|x| x * x).sum();
        if (1e-6..=1.0).contains(&length2) {
            return Rotation::from_quaternion(q);
        }
    }
}

/// The output step of splitmix64 (Steele, Lea, Flood 2014).
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The rotation to the principal axes of a surface of uniform density.
pub(super) fn principal_of_surface(places: &[[f64; 3]], triangles: &[[u32; 3]]) -> Rotation {
    // The mean of a quadratic over a triangle is that at the middles of its sides: each gets a third of the area.
    let mut samples = Vec::with_capacity(3 * triangles.len());
    for t in triangles {
        let [a, b, c] = t.map(|v| places[v as usize]);
        let n = cross(sub(b, a), sub(c, a));
        let area = dot(n, n).sqrt();
        for (p, q) in [(a, b), (b, c), (c, a)] {
            samples.push((std::array::from_fn(|k| (p[k] + q[k]) * 0.5), area));
        }
    }
    principal(&samples)
}

/// The rotation to the principal axes of a cloud of equal points.
pub(super) fn principal_of_points(places: &[[f64; 3]]) -> Rotation {
    principal(&places.iter().map(|&p| (p, 1.0)).collect::<Vec<_>>())
}

fn principal(samples: &[([f64; 3], f64)]) -> Rotation {
    let weight: f64 = samples.iter().map(|s| s.1).sum();
    let mut mean = [0.0; 3];
    for (p, w) in samples {
        (0..3).for_each(|k| mean[k] += w * p[k] / weight);
    }
    let mut moments = [[0.0; 3]; 3];
    for (p, w) in samples {
        let d = sub(*p, mean);
        for i in 0..3 {
            (0..3).for_each(|j| moments[i][j] += w * d[i] * d[j] / weight);
        }
    }
    let (_, axes) = symmetric_axes(moments);
    let heavier = |axis: [f64; 3]| {
        let third: f64 = samples.iter().map(|(p, w)| w * dot(sub(*p, mean), axis).powi(3)).sum();
        if third < 0.0 { axis.map(|x| -x) } else { axis }
    };
    let (x, y) = (heavier(axes[0]), heavier(axes[1]));
    let rotation = Rotation([x, y, cross(x, y)]);
    if rotation.0.iter().flatten().all(|x| x.is_finite()) { rotation } else { Rotation::IDENTITY }
}

/// Eigenvalues, falling, and unit eigenvectors of a symmetric matrix, by Jacobi's rotations.
pub(super) fn symmetric_axes(mut m: [[f64; 3]; 3]) -> ([f64; 3], [[f64; 3]; 3]) {
    let mut axes = Rotation::IDENTITY.0;
    // Convergence is quadratic: six sweeps reach the last bit, the rest are idle.
    for _ in 0..12 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if m[p][q] == 0.0 {
                continue;
            }
            let theta = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
            let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let c = 1.0 / (t * t + 1.0).sqrt();
            let s = t * c;
            for row in &mut m {
                (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
            }
            for k in 0..3 {
                (m[p][k], m[q][k]) = (c * m[p][k] - s * m[q][k], s * m[p][k] + c * m[q][k]);
                (axes[p][k], axes[q][k]) = (c * axes[p][k] - s * axes[q][k], s * axes[p][k] + c * axes[q][k]);
            }
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&i, &j| m[j][j].total_cmp(&m[i][i]));
    (order.map(|i| m[i][i]), order.map(|i| axes[i]))
}
