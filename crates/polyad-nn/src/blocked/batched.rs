//! Convolutions over small maps, whose weights are larger than an image: all images at once, so that a tile takes pixels of
//! several and weights are read once a tile, not once an image. By `polyad_simd::conv::Direct`, as in the engine.

use super::channelwise::spread;
use super::convolution::{Geometry, phase};
use polyad_simd::conv::{Cut, Direct, Map, Window};
use polyad_simd::{LANES, level};
use rayon::prelude::*;

/// Output pixels of an image up to which this is the faster way.
const SMALL: usize = 12 * 12;
/// Pieces of a call: enough for 16 threads. The bytes do not depend on it.
const PIECES: usize = 16;

impl Geometry {
    /// Whether all images should be taken at once.
    pub(super) fn is_small(&self) -> bool {
        !self.planar && self.out_height() * self.out_width() <= SMALL
    }

    fn input_map(&self, border: usize) -> Map {
        let (height, width) = (self.height, self.width);
        Map { images: self.images, blocks: self.in_blocks(), height, width, border, lanes: LANES }
    }

    fn output_map(&self, border: usize) -> Map {
        let (height, width) = (self.out_height(), self.out_width());
        Map { images: self.images, blocks: self.out_blocks(), height, width, border, lanes: LANES }
    }
}

/// Images with a border of zeros.
fn bordered(images: &[f32], map: &Map) -> Vec<f32> {
    let from = Map { border: 0, ..*map };
    let mut padded = vec![0.0; map.len()];
    let both = padded.par_chunks_exact_mut(map.image()).zip(images.par_chunks_exact(from.image()));
    both.for_each(|(padded, image)| spread(image, &from, map, padded, 1));
    padded
}

fn direct(input: &[f32], from: Map, window: Window, weights: &[f32], to: Map) -> Vec<f32> {
    let mut output = vec![0.0; to.len()];
    let bias = vec![0.0; to.blocks * LANES];
    let job = Direct { input, from, window, weights, bias: &bias, second: None, cut: Cut::NONE, to };
    let level = level();
    job.pieces(&mut output, PIECES).into_par_iter().for_each(|piece| piece.run(level));
    output
}

/// The convolution; `packed` as [`super::convolution::pack`] gives it.
pub(super) fn forward(g: &Geometry, input: &[f32], packed: &[f32]) -> Vec<f32> {
    let from = g.input_map(g.padding.most());
    let window = Window { kernel: [g.kernel; 2], stride: g.stride, before: g.padding.before };
    if from.border == 0 {
        return direct(input, from, window, packed, g.output_map(0));
    }
    direct(&bordered(input, &from), from, window, packed, g.output_map(0))
}

/// The gradient of the input; `packed` with input and output exchanged. `None` where the padding is so wide that a window
/// would begin inside the gradient.
pub(super) fn input_gradient(g: &Geometry, packed: &[f32], gradient: &[f32]) -> Option<Vec<f32>> {
    let border = g.border();
    let from = g.output_map(border);
    let padded = bordered(gradient, &from);
    let whole = g.input_map(0);
    let mut result = if g.stride == 1 { Vec::new() } else { vec![0.0; whole.len()] };
    for phase_y in 0..g.stride.min(g.height) {
        for phase_x in 0..g.stride.min(g.width) {
            // The farthest kernel position reads the first pixel: taken backwards they are neighbours.
            let ((height, mut taps_y), (width, mut taps_x)) = (phase(g, 0, phase_y), phase(g, 1, phase_x));
            taps_y.reverse();
            taps_x.reverse();
            let (Some((_, y)), Some((_, x))) = (taps_y.first(), taps_x.first()) else { continue };
            if *y > 0 || *x > 0 {
                return None;
            }
            let window = Window {
                kernel: [taps_y.len(), taps_x.len()],
                stride: 1,
                before: [y.unsigned_abs(), x.unsigned_abs()],
            };
            let weights = chosen(g, packed, &taps_y, &taps_x);
            let to = Map { height, width, ..whole };
            let some = direct(&padded, from, window, &weights, to);
            if g.stride == 1 {
                return Some(some);
            }
            let planes = result.par_chunks_exact_mut(whole.plane()).zip(some.par_chunks_exact(to.plane()));
            planes.for_each(|(result, some)| {
                for (index, pixel) in some.chunks_exact(LANES).enumerate() {
                    let (y, x) = (index / width * g.stride + phase_y, index % width * g.stride + phase_x);
                    result[(y * g.width + x) * LANES..][..LANES].copy_from_slice(pixel);
                }
            });
        }
    }
    Some(result)
}

/// The tiles of packed weights that belong to some rows and columns of the kernel.
fn chosen(g: &Geometry, packed: &[f32], rows: &[(usize, isize)], columns: &[(usize, isize)]) -> Vec<f32> {
    let tile = LANES * LANES;
    let mut weights = Vec::with_capacity(packed.len() / (g.kernel * g.kernel) * rows.len() * columns.len());
    for pair in packed.chunks_exact(g.kernel * g.kernel * tile) {
        for (ky, _) in rows {
            for (kx, _) in columns {
                weights.extend_from_slice(&pair[(ky * g.kernel + kx) * tile..][..tile]);
            }
        }
    }
    weights
}
