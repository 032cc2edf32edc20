//! A mesh as a View Set: cameras, a rasteriser that gives the same bytes everywhere, shading, framing.
//!
//! For each view: vertices are projected and shaded (`shade`), the shape is fitted into the picture
//! (`frame`), triangles and discs fill samples (`raster`), and each pixel is the mean of its samples. Views are drawn
//! side by side on all threads.
//!
//! The same input gives the same bytes on every machine: arithmetic is that of IEEE 754 single precision in a
//! fixed order, never fused; coverage is decided by integers; no sine comes from the platform.

mod camera;
mod disc;
mod frame;
mod hidden;
mod photo;
mod raster;
mod shade;
mod triangle;

pub use camera::{Camera, MOST_VIEWS, cameras};
pub use photo::fit_photos;

use crate::error::{Error, Result};
use crate::job::Job;
use crate::normalise::NormalMesh;
use crate::view_set::{View, ViewSet};
use frame::Scratch;
use polyad_simd::{Level, dispatch, level};
use raster::{Corner, Samples};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use shade::{Corners, Placing};

/// Version of this renderer. It changes when any picture does.
pub const VERSION: u32 = 1;
/// Sides of pictures that can be drawn, in pixels.
pub const SIZES: std::ops::RangeInclusive<usize> = 16..=2048;
/// Samples a pixel, along each axis, that can be drawn.
pub const SAMPLES: std::ops::RangeInclusive<usize> = 1..=4;
const _: () = assert!(*SIZES.end() * *SAMPLES.end() <= raster::MOST_SAMPLES);

/// How a view looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// Lit grey on white, as in the papers. One channel.
    Lit,
    /// Distance from the camera. One channel.
    Depth,
    /// Surface normals as colours. Three channels.
    Normal,
    /// Black where the shape is. One channel.
    Silhouette,
}

impl Style {
    /// Numbers a pixel.
    pub fn channels(self) -> usize {
        if self == Style::Normal { 3 } else { 1 }
    }
}

/// How a shape is fitted into its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frame {
    /// One scale for all views: the bounding sphere.
    Sphere,
    /// Each view cut to the object, at most 90 % of the side and 30 % of the area, centred.
    Crop,
}

/// Everything that decides what a View Set looks like. It is part of a model: it travels in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderSettings {
    /// The cameras' name: `ring6`, `ring12`, `dodeca20`, or a number.
    pub views: String,
    /// Side of a picture in pixels.
    pub size: usize,
    /// How a view looks.
    pub style: Style,
    /// How a shape is fitted into its pictures.
    pub frame: Frame,
    /// Samples a pixel along each axis: 2 means 2 x 2.
    pub samples: usize,
    /// Version of the renderer: pictures of different versions may differ.
    pub version: u32,
}

impl Default for RenderSettings {
    /// Twenty views from all sides, which suit any pose, at the size that image networks expect.
    fn default() -> Self {
        RenderSettings {
            views: "dodeca20".into(),
            size: 224,
            style: Style::Lit,
            frame: Frame::Sphere,
            samples: 2,
            version: VERSION,
        }
    }
}

impl RenderSettings {
    /// Refuses settings that cannot be drawn, naming the value and what can be.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check(&self) -> Result<()> {
        cameras(&self.views)?;
        if !SIZES.contains(&self.size) {
            let (low, high) = (SIZES.start(), SIZES.end());
            return Err(Error::Invalid(format!("the size of a view is {low} to {high} pixels, not {}", self.size)));
        }
        if !SAMPLES.contains(&self.samples) {
            let (low, high) = (SAMPLES.start(), SAMPLES.end());
            return Err(Error::Invalid(format!("samples along a pixel are {low} to {high}, not {}", self.samples)));
        }
        if self.version != VERSION {
            return Err(Error::Invalid(format!(
                "the pictures asked for are those of renderer {}, this is renderer {VERSION}",
                self.version
            )));
        }
        Ok(())
    }
}

/// Draws a shape from all cameras of the settings, in their order.
///
/// # Errors
/// [`Error::Invalid`] for settings that cannot be, [`Error::Unsupported`] where triangles cover a picture more than
/// hundreds of times over in a way that no order of drawing helps, [`Error::Cancelled`].
///
/// # Cost
/// 4 bytes a sample and thread, 16 a vertex. A view of 50,000 triangles at 224 pixels with 2 x 2 samples takes a
/// thread 2 ms with AVX-512, most of it setting triangles up.
pub fn render(mesh: &NormalMesh, settings: &RenderSettings, job: Job) -> Result<ViewSet> {
    render_at(level(), mesh, settings, job)
}

fn render_at(level: Level, mesh: &NormalMesh, settings: &RenderSettings, job: Job) -> Result<ViewSet> {
    settings.check()?;
    let cameras = cameras(&settings.views)?;
    let scratch = || Scratch::new(settings.size * settings.samples, settings.frame);
    let view = |scratch: &mut Scratch, camera: &Camera| {
        job.check()?;
        draw_view(level, mesh, camera, settings, scratch, job)
    };
    let views = cameras.par_iter().map_init(scratch, view).collect::<Result<Vec<View>>>()?;
    Ok(ViewSet { views })
}

/// Draws a shape from one camera, any at all; the settings' own cameras are ignored.
///
/// # Errors
/// Those of [`render`].
pub fn render_view(mesh: &NormalMesh, camera: &Camera, settings: &RenderSettings, job: Job) -> Result<View> {
    settings.check()?;
    let mut scratch = Scratch::new(settings.size * settings.samples, settings.frame);
    draw_view(level(), mesh, camera, settings, &mut scratch, job)
}

/// A picture to show to people: lit, from the front, the side and above.
///
/// # Errors
/// Those of [`render`].
pub fn thumbnail(mesh: &NormalMesh, size: usize, job: Job) -> Result<View> {
    let settings = RenderSettings { size, samples: 3, ..RenderSettings::default() };
    render_view(mesh, &Camera::three_quarter(), &settings, job)
}

fn draw_view(
    level: Level,
    mesh: &NormalMesh,
    camera: &Camera,
    settings: &RenderSettings,
    scratch: &mut Scratch,
    job: Job,
) -> Result<View> {
    let RenderSettings { size, style, samples, .. } = *settings;
    let channels = style.channels();
    let placing = &frame::placing(level, mesh, camera, size * samples, scratch, job)?;
    let mut pixels = vec![0; size * size * channels];
    for channel in 0..channels {
        dispatch(level, Corners { mesh, camera, placing, style, channel, out: &mut scratch.corners });
        scratch.samples.clear();
        draw(level, mesh, placing, &scratch.corners, &mut scratch.samples, job)?;
        scratch.samples.resolve(level, samples, &mut pixels, channel, channels);
    }
    Ok(View { width: size, height: size, channels, pixels })
}

/// Fills samples with the triangles of a mesh, or the discs of a cloud, and returns the work.
fn draw(
    level: Level,
    mesh: &NormalMesh,
    placing: &Placing,
    corners: &[Corner],
    samples: &mut Samples,
    job: Job,
) -> Result<u64> {
    if mesh.triangles().is_empty() {
        let radius = (mesh.disc_radius() * placing.scale * (1u32 << raster::STEP_BITS) as f32) as i32;
        samples.discs(level, corners, radius, job)
    } else {
        samples.triangles(level, corners, mesh.triangles(), job)
    }
}

#[cfg(test)]
mod tests;
