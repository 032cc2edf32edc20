//! Where the shape is seen from.
//!
//! Cameras are orthographic: a shape in the unit sphere then has one size from everywhere, depth is linear in
//! the picture, and a camera is a direction and a roll, nothing more. z is up, as in the published image sets.

use crate::error::{Error, Result};
use crate::normalise::Rotation;
use crate::vector::{cross, unit};

/// Most cameras that a number may ask for.
pub const MOST_VIEWS: usize = 1000;
/// Elevation of the rings, in degrees (MVCNN).
const RING_ELEVATION: f64 = 30.0;
/// Elevation and azimuth, in degrees, of the view that shows most of most things.
const THREE_QUARTER: (f64, f64) = (25.0, -55.0);
/// A direction within this of the poles (sine of the angle, squared) takes y for up.
const POLE: f64 = 1e-6;

/// An orthographic camera: three unit vectors at right angles, in the shape's coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Camera {
    right: [f64; 3],
    up: [f64; 3],
    towards: [f64; 3],
}

impl Camera {
    /// A camera that lies in `direction` (of any length) from the shape and looks at its centre, with z upwards in
    /// the picture, or y where it looks along z; then turned about its axis by `roll` radians, anticlockwise.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a direction without length, and for numbers that are not finite.
    pub fn new(direction: [f64; 3], roll: f64) -> Result<Camera> {
        let largest = direction.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        if !(largest > 0.0 && direction.iter().all(|x| x.is_finite()) && roll.is_finite()) {
            return Err(Error::Invalid(format!("a camera in direction {direction:?}, rolled by {roll}")));
        }
        let towards = unit(direction.map(|x| x / largest));
        let [x, y, z] = towards;
        // up x towards, for up = z, or y at the poles.
        let right = if x * x + y * y > POLE { unit([-y, x, 0.0]) } else { unit([z, 0.0, -x]) };
        let up = cross(towards, right);
        let (s, c) = (libm::sin(roll), libm::cos(roll));
        Ok(Camera {
            right: std::array::from_fn(|k| c * right[k] + s * up[k]),
            up: std::array::from_fn(|k| c * up[k] - s * right[k]),
            towards,
        })
    }

    /// The camera at an elevation above the xy plane and an azimuth from x to y, in degrees, all of them finite.
    fn at(elevation: f64, azimuth: f64) -> Result<Camera> {
        let (e, a) = (elevation.to_radians(), azimuth.to_radians());
        Camera::new([libm::cos(e) * libm::cos(a), libm::cos(e) * libm::sin(a), libm::sin(e)], 0.0)
    }

    /// The view that shows most of most things: from the front, the side and above.
    pub fn three_quarter() -> Camera {
        let (elevation, azimuth) = THREE_QUARTER;
        Camera::at(elevation, azimuth).expect("the constants are finite")
    }

    /// This camera, moved with a shape that is turned by `rotation`: it sees what it saw.
    pub fn rotated(&self, rotation: &Rotation) -> Camera {
        let mut axes = [self.right, self.up, self.towards];
        rotation.apply(&mut axes);
        Camera { right: axes[0], up: axes[1], towards: axes[2] }
    }

    /// To the right in the picture.
    pub fn right(&self) -> [f64; 3] {
        self.right
    }

    /// Upwards in the picture.
    pub fn up(&self) -> [f64; 3] {
        self.up
    }

    /// From the shape to the camera.
    pub fn towards(&self) -> [f64; 3] {
        self.towards
    }
}

/// The cameras of a name: `ring6` and `ring12` (30 degrees up), `dodeca20` (the corners of a dodecahedron), or a
/// number. 6 and 12 are the rings, 20 is `dodeca20`, 1 is the three-quarter view, and any other up to
/// [`MOST_VIEWS`] is spread evenly over the sphere.
///
/// # Errors
/// [`Error::Invalid`], with the names there are.
pub fn cameras(views: &str) -> Result<Vec<Camera>> {
    match views {
        "ring6" | "6" => ring(6),
        "ring12" | "12" => ring(12),
        "dodeca20" | "20" => dodecahedron(),
        "1" => Ok(vec![Camera::three_quarter()]),
        number => match number.parse() {
            Ok(count @ 1..=MOST_VIEWS) => spread(count),
            _ => Err(Error::Invalid(format!(
                "views are ring6, ring12, dodeca20 or a number from 1 to {MOST_VIEWS}, not {views:?}"
            ))),
        },
    }
}

fn ring(count: usize) -> Result<Vec<Camera>> {
    (0..count).map(|k| Camera::at(RING_ELEVATION, 360.0 * k as f64 / count as f64)).collect()
}

fn dodecahedron() -> Result<Vec<Camera>> {
    let golden = (1.0 + 5f64.sqrt()) / 2.0;
    let (a, b) = (1.0 / golden, golden);
    let signs = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)];
    let cube = signs.iter().flat_map(|&(x, y)| [[x, y, 1.0], [x, y, -1.0]]);
    let rest = signs.iter().flat_map(|&(s, t)| [[0.0, s * a, t * b], [s * a, t * b, 0.0], [t * b, 0.0, s * a]]);
    cube.chain(rest).map(|direction| Camera::new(direction, 0.0)).collect()
}

/// A spiral of equal steps in height, turned by the golden angle at each (Fibonacci's lattice).
fn spread(count: usize) -> Result<Vec<Camera>> {
    let golden_angle = std::f64::consts::PI * (3.0 - 5f64.sqrt());
    let at = |k: usize| {
        let z = 1.0 - (2.0 * k as f64 + 1.0) / count as f64;
        let r = (1.0 - z * z).sqrt();
        let angle = k as f64 * golden_angle;
        Camera::new([r * libm::cos(angle), r * libm::sin(angle), z], 0.0)
    };
    (0..count).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::dot;

    #[test]
    fn every_name_gives_its_number_of_right_handed_cameras_no_two_alike() {
        let names = ["ring6", "ring12", "dodeca20", "1", "2", "3", "6", "7", "12", "20", "80", "1000"];
        for (name, count) in names.iter().zip([6, 12, 20, 1, 2, 3, 6, 7, 12, 20, 80, 1000]) {
            let cameras = cameras(name).unwrap();
            assert_eq!(cameras.len(), count, "{name}");
            for (i, c) in cameras.iter().enumerate() {
                let error = |x: f64, y: f64| (x - y).abs();
                assert!(error(dot(c.right, c.right), 1.0) < 1e-12 && error(dot(c.towards, c.towards), 1.0) < 1e-12);
                assert!(dot(c.right, c.up).abs() < 1e-12 && dot(c.right, c.towards).abs() < 1e-12);
                assert!(error(dot(cross(c.right, c.up), c.towards), 1.0) < 1e-12, "{name} {i} is left-handed");
                assert!(cameras[..i].iter().all(|d| dot(c.towards, d.towards) < 1.0 - 1e-4), "{name} {i} repeats");
            }
        }
    }

    #[test]
    fn up_is_up_and_defined_at_the_poles() {
        assert!(cameras("ring12").unwrap().iter().all(|c| c.up[2] > 0.8 && (c.towards[2] - 0.5).abs() < 1e-12));
        for z in [1.0, -1.0] {
            let camera = Camera::new([0.0, 0.0, z], 0.0).unwrap();
            assert_eq!((camera.up, camera.right[0].abs()), ([0.0, 1.0, 0.0], 1.0));
        }
        let rolled = Camera::new([0.0, -1.0, 0.0], std::f64::consts::FRAC_PI_2).unwrap();
        assert!(dot(rolled.right, [0.0, 0.0, 1.0]) > 0.999, "a quarter roll brings right to up");
    }

    #[test]
    fn what_is_no_camera_is_refused_with_the_names_there_are() {
        for name in ["", "0", "-3", "1001", "ring", "ring7", "99999999999999999999", "12.5"] {
            let message = cameras(name).unwrap_err().to_string();
            assert!(message.contains("dodeca20") && message.contains(&format!("{name:?}")), "{message}");
        }
        for direction in [[0.0; 3], [f64::NAN, 0.0, 1.0], [f64::INFINITY, 0.0, 0.0]] {
            assert!(Camera::new(direction, 0.0).is_err());
        }
        assert!(Camera::new([1e-300, 0.0, 0.0], 0.0).is_ok() && Camera::new([1e300; 3], 0.0).is_ok());
    }
}
