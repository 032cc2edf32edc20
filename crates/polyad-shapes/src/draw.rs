//! From a shape, as it was read, to the View Set that a model wants.

use crate::error::Result;
use crate::job::Job;
use crate::normalise::{Pose, Rotation, normalise};
use crate::render::{RenderSettings, fit_photos, render};
use crate::source::Shape;
use crate::view_set::ViewSet;

/// The View Set of a shape: a mesh or cloud is normalised, turned and rendered, photographs are fitted to the size.
///
/// Photographs cannot be turned: `rotation` is for meshes.
pub fn view_set(shape: &Shape, settings: &RenderSettings, rotation: Option<&Rotation>, job: Job) -> Result<ViewSet> {
    match shape {
        Shape::Mesh(mesh) => {
            let mut normal = normalise(mesh, Pose::default(), job)?;
            if let Some(rotation) = rotation {
                normal = normal.rotated(rotation);
            }
            render(&normal, settings, job)
        }
        Shape::Photos(photos) => fit_photos(photos, settings.size),
    }
}
