//! Which pixels of a photograph are missing.

use crate::error::{Error, Result};
use image::RgbImage;
use polyad_shapes::random::Random;
use std::path::Path;

/// The holes of a photograph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// One a pixel, row by row: whether it is missing.
    pub holes: Vec<bool>,
}

/// Side of the box that is cut out.
pub const BOX: usize = 64;

impl Mask {
    /// Brush strokes over a fifth of the picture, the same for a seed on any machine: polylines of three to eight segments, each
    /// with coordinates up to 48 pixels away, of radius four to ten.
    pub fn free_form(width: usize, height: usize, seed: u64) -> Mask {
        let mut mask = Mask { width, height, holes: vec![false; width * height] };
        let mut random = Random::splitmix64(seed);
        let mut below = |n: usize| random.count(0, n - 1) as i64;
        let mut missing = 0;
        while 5 * missing < width * height {
            let (mut x, mut y) = (below(width), below(height));
            let radius = 4 + below(7);
            for _ in 0..3 + below(6) {
                let (dx, dy) = (below(97) - 48, below(97) - 48);
                let to = ((x + dx).clamp(0, width as i64 - 1), (y + dy).clamp(0, height as i64 - 1));
                mask.stroke((x, y), to, radius);
                (x, y) = to;
            }
            missing = mask.missing();
        }
        mask
    }

    /// A square of [`BOX`] pixels, anywhere. Pictures that are smaller are refused.
    pub fn square(width: usize, height: usize, seed: u64) -> Result<Mask> {
        if width < BOX || height < BOX {
            return Err(Error::Invalid(format!("a picture of {width} x {height} has no room for a box of {BOX}")));
        }
        let mut random = Random::splitmix64(seed);
        let (left, top) = (random.count(0, width - BOX), random.count(0, height - BOX));
        let inside = |at: usize| {
            let (x, y) = (at % width, at / width);
            (left..left + BOX).contains(&x) && (top..top + BOX).contains(&y)
        };
        Ok(Mask { width, height, holes: (0..width * height).map(inside).collect() })
    }

    /// Every pixel within `radius` of the segment becomes a hole. In integers, so that it is the same everywhere.
    fn stroke(&mut self, (x0, y0): (i64, i64), (x1, y1): (i64, i64), radius: i64) {
        let (ux, uy) = (x1 - x0, y1 - y0);
        let (length, reach) = (ux * ux + uy * uy, radius * radius);
        let rows = (y0.min(y1) - radius).max(0)..=(y0.max(y1) + radius).min(self.height as i64 - 1);
        for y in rows {
            let columns = (x0.min(x1) - radius).max(0)..=(x0.max(x1) + radius).min(self.width as i64 - 1);
            for x in columns {
                let (px, py) = (x - x0, y - y0);
                let along = px * ux + py * uy;
                let is_near = if along <= 0 || length == 0 {
                    px * px + py * py <= reach
                } else if along >= length {
                    (x - x1) * (x - x1) + (y - y1) * (y - y1) <= reach
                } else {
                    let across = px * uy - py * ux;
                    across * across <= reach * length
                };
                if is_near {
                    self.holes[y as usize * self.width + x as usize] = true;
                }
            }
        }
    }

    /// Reads a mask: white, or nearer to white than to black, is the hole. It must be as large as the photograph.
    pub fn read(path: &Path, photograph: &RgbImage) -> Result<Mask> {
        let grey = image::open(path).map_err(|why| Error::file(path, why))?.to_luma8();
        if grey.dimensions() != photograph.dimensions() {
            let ((w, h), (pw, ph)) = (grey.dimensions(), photograph.dimensions());
            return Err(Error::file(path, format!("a mask of {w} x {h} for a picture of {pw} x {ph}")));
        }
        let (width, height) = (grey.width() as usize, grey.height() as usize);
        Ok(Mask { width, height, holes: grey.into_raw().into_iter().map(|white| white >= 128).collect() })
    }

    /// How many pixels are missing.
    pub fn missing(&self) -> usize {
        self.holes.iter().filter(|hole| **hole).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        let mut random = Random::splitmix64(0);
        assert_eq!(
            [random.next(), random.next(), random.next()],
            [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]
        );
    }

    #[test]
    fn strokes_cover_a_fifth_and_repeat_by_seed() {
        for (width, height) in [(481, 321), (64, 64), (17, 90), (1, 1)] {
            let mask = Mask::free_form(width, height, 7);
            assert!(5 * mask.missing() >= width * height);
            assert_eq!(mask, Mask::free_form(width, height, 7));
        }
    }

    #[test]
    fn a_box_is_whole_and_inside() {
        let mask = Mask::square(100, 64, 3).expect("there is room");
        assert_eq!(mask.missing(), BOX * BOX);
        let error = Mask::square(63, 100, 3).expect_err("no room").to_string();
        assert!(error.contains("63 x 100"), "{error}");
    }
}
