//! How a shape is fitted into its picture.

use super::raster::{Corner, Samples};
use super::shade::{Corners, Placing};
use super::{Camera, Frame, Style};
use crate::error::Result;
use crate::job::Job;
use crate::normalise::NormalMesh;
use polyad_simd::{Level, dispatch};

/// Share of the side that the unit sphere fills.
const SPHERE: f32 = 0.95;
/// Largest share of the side, and of the area, that a cropped object fills: what the published image sets did.
const MOST_SIDE: f32 = 0.9;
const MOST_AREA: f32 = 0.3;
/// Side of the picture in which the area is measured.
const PROBE: usize = 112;

/// What drawing needs again and again: kept between views.
pub(super) struct Scratch {
    pub samples: Samples,
    pub corners: Vec<Corner>,
    probe: Option<Samples>,
}

impl Scratch {
    /// For pictures of `side` samples a row.
    pub fn new(side: usize, frame: Frame) -> Scratch {
        let probe = (frame == Frame::Crop).then(|| Samples::new(PROBE));
        Scratch { samples: Samples::new(side), corners: Vec::new(), probe }
    }
}

/// Where the shape comes to lie in a picture of `side` samples a row.
///
/// # Errors
/// Those of [`Samples::triangles`].
pub(super) fn placing(
    level: Level,
    mesh: &NormalMesh,
    camera: &Camera,
    side: usize,
    scratch: &mut Scratch,
    job: Job,
) -> Result<Placing> {
    let sphere = whole_sphere(side);
    let Some(probe) = &mut scratch.probe else { return Ok(sphere) };
    let [left, right, bottom, top] = bounds(mesh, camera);
    let longest = (right - left).max(top - bottom);

    let small = whole_sphere(PROBE);
    let out = &mut scratch.corners;
    dispatch(level, Corners { mesh, camera, placing: &small, style: Style::Silhouette, channel: 0, out });
    probe.clear();
    super::draw(level, mesh, &small, &scratch.corners, probe, job)?;
    let area = filled_area(probe) as f32 / (small.scale * small.scale);

    // A longest of 0 gives an infinite scale, and an area of 0 as well: what is left is the sphere's own.
    let side_scale = MOST_SIDE * side as f32 / longest;
    let area_scale = (MOST_AREA / area).sqrt() * side as f32;
    let scale = side_scale.min(area_scale);
    if !scale.is_finite() {
        return Ok(sphere);
    }
    let middle = side as f32 * 0.5;
    let origin = [middle - (left + right) * 0.5 * scale, middle + (bottom + top) * 0.5 * scale];
    Ok(Placing { scale, origin, side })
}

fn whole_sphere(side: usize) -> Placing {
    let middle = side as f32 * 0.5;
    Placing { scale: SPHERE * middle, origin: [middle, middle], side }
}

/// Left, right, bottom and top of the projected vertices, discs included.
fn bounds(mesh: &NormalMesh, camera: &Camera) -> [f32; 4] {
    let (right, up) = (camera.right().map(|x| x as f32), camera.up().map(|x| x as f32));
    let [xs, ys, zs] = mesh.positions();
    let mut found = [f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY, f32::NEG_INFINITY];
    for ((&x, &y), &z) in xs.iter().zip(ys).zip(zs) {
        let u = right[0] * x + right[1] * y + right[2] * z;
        let v = up[0] * x + up[1] * y + up[2] * z;
        found = [found[0].min(u), found[1].max(u), found[2].min(v), found[3].max(v)];
    }
    let radius = mesh.disc_radius();
    [found[0] - radius, found[1] + radius, found[2] - radius, found[3] + radius]
}

/// Samples that are covered or enclosed: all but what is reached from the border without crossing the shape.
fn filled_area(probe: &Samples) -> usize {
    let mut reached = vec![false; PROBE * PROBE];
    let mut open: Vec<(usize, usize)> = Vec::new();
    for k in 0..PROBE {
        open.extend([(k, 0), (k, PROBE - 1), (0, k), (PROBE - 1, k)]);
    }
    let mut outside = 0;
    while let Some((x, y)) = open.pop() {
        if reached[y * PROBE + x] || probe.covered(x, y) {
            continue;
        }
        reached[y * PROBE + x] = true;
        outside += 1;
        let last = PROBE - 1;
        open.extend([(x.max(1) - 1, y), ((x + 1).min(last), y), (x, y.max(1) - 1), (x, (y + 1).min(last))]);
    }
    PROBE * PROBE - outside
}
