//! From vertices to corners: projected, and lit or measured, as the style says.

use super::raster::{Corner, FARTHEST, INTEGER_BITS, STEP_BITS, TO_INTEGER};
use super::{Camera, Style};
use crate::normalise::NormalMesh;
use polyad_simd::{Kernel, Simd};

/// From the shape to the main light, in the camera's axes: over its left shoulder. Of length 1.
const MAIN_LIGHT: [f32; 3] = [-0.48, 0.64, 0.6];
/// Grey where no light falls, and what the main light and one beside the camera add. The sum stays below white,
/// which is the background's.
const AMBIENT: f32 = 52.0;
const MAIN: f32 = 118.0;
const HEAD: f32 = 58.0;
/// Grey of the farthest depth; the nearest is 0, the background 255.
const DEEPEST: f32 = 224.0;
/// Share of the head light's range by which a cloud's points darken from the nearest to the farthest.
const CLOUD_FADE: f32 = 0.5;

/// How the picture plane is mapped to samples: x to the right and y downwards, in samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placing {
    /// Samples a unit.
    pub scale: f32,
    /// The sample coordinates of the origin.
    pub origin: [f32; 2],
    /// Samples a row: corners are kept within them.
    pub side: usize,
}

/// Projects vertices and shades them for one channel of a style.
pub(super) struct Corners<'a> {
    pub mesh: &'a NormalMesh,
    pub camera: &'a Camera,
    pub placing: &'a Placing,
    pub style: Style,
    pub channel: usize,
    /// Overwritten.
    pub out: &'a mut Vec<Corner>,
}

impl Kernel for Corners<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Corners { mesh, camera, placing, style, channel, out } = self;
        let axes = [camera.right(), camera.up(), camera.towards()].map(|axis| axis.map(|x| x as f32));
        out.clear();
        out.resize(mesh.positions()[0].len(), Corner::default());
        project(mesh, &axes, placing, out);
        match style {
            Style::Lit => lit(mesh, &axes, out),
            Style::Normal => normal(mesh, &axes[channel], out),
            Style::Depth => out.iter_mut().for_each(|c| c.shades = [fixed(c.depth * (DEEPEST / FARTHEST)); 2]),
            // One depth for all: what is covered once hides the rest.
            Style::Silhouette => out.iter_mut().for_each(|c| c.depth = 0.0),
        }
    }
}

/// Places and depths. Depth 0 is the unit sphere's nearest point.
#[inline(always)]
fn project(mesh: &NormalMesh, [right, up, towards]: &[[f32; 3]; 3], placing: &Placing, out: &mut [Corner]) {
    let steps = (1u32 << STEP_BITS) as f32;
    let scale = placing.scale * steps;
    let origin = placing.origin.map(|x| x * steps);
    let most = placing.side as f32 * steps;
    let [xs, ys, zs] = mesh.positions();
    for (((corner, &x), &y), &z) in out.iter_mut().zip(xs).zip(ys).zip(zs) {
        let along = |axis: &[f32; 3]| axis[0] * x + axis[1] * y + axis[2] * z;
        corner.x = nearest((origin[0] + along(right) * scale).clamp(0.0, most));
        corner.y = nearest((origin[1] - along(up) * scale).clamp(0.0, most));
        corner.depth = ((1.0 - along(towards)) * (0.5 * FARTHEST)).clamp(0.0, FARTHEST);
    }
}

#[inline(always)]
fn lit(mesh: &NormalMesh, [right, up, towards]: &[[f32; 3]; 3], out: &mut [Corner]) {
    let light: [f32; 3] =
        std::array::from_fn(|k| MAIN_LIGHT[0] * right[k] + MAIN_LIGHT[1] * up[k] + MAIN_LIGHT[2] * towards[k]);
    let cloud = mesh.triangles().is_empty();
    let [xs, ys, zs] = mesh.normals();
    for (((corner, &x), &y), &z) in out.iter_mut().zip(xs).zip(ys).zip(zs) {
        let main = light[0] * x + light[1] * y + light[2] * z;
        let head = towards[0] * x + towards[1] * y + towards[2] * z;
        let shade = |sign: f32| fixed(AMBIENT + MAIN * (sign * main).max(0.0) + HEAD * (sign * head).max(0.0));
        corner.shades = if !cloud {
            [shade(1.0), shade(-1.0)]
        } else if x == 0.0 && y == 0.0 && z == 0.0 {
            [fixed(AMBIENT + (MAIN + HEAD) * (1.0 - CLOUD_FADE * corner.depth / FARTHEST)); 2]
        } else {
            [shade(if head < 0.0 { -1.0 } else { 1.0 }); 2]
        };
    }
}

/// One camera coordinate of the normal on the side that is seen, from -1 to 1, as 0 to 255.
#[inline(always)]
fn normal(mesh: &NormalMesh, axis: &[f32; 3], out: &mut [Corner]) {
    let [xs, ys, zs] = mesh.normals();
    for (((corner, &x), &y), &z) in out.iter_mut().zip(xs).zip(ys).zip(zs) {
        let n = axis[0] * x + axis[1] * y + axis[2] * z;
        corner.shades = [fixed(127.5 + 127.5 * n), fixed(127.5 - 127.5 * n)];
    }
}

/// A shade in 256ths, from a number that may leave 0 to 255 by rounding.
#[inline(always)]
fn fixed(shade: f32) -> u16 {
    nearest(shade.clamp(0.0, 255.0) * 256.0) as u16
}

/// The nearest integer of a number from 0 to 2^22, without the checks of a cast.
#[inline(always)]
fn nearest(x: f32) -> i32 {
    ((x + TO_INTEGER).to_bits() & INTEGER_BITS) as i32
}
