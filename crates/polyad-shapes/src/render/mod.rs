//! A mesh as a View Set: cameras, a rasteriser that gives the same bytes everywhere, shading, framing.

use serde::{Deserialize, Serialize};

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
