//! A point of a cloud as the rasteriser draws it: a disc that faces the eye, of one depth and shade.

use super::raster::{
    Area, Corner, FARTHEST, HALF, INTEGER_BITS, Keys, SMALL, STEPS, Shape, Shapes, Surface, TO_INTEGER,
};
use std::borrow::Cow;

/// Discs of one size.
pub(super) struct Discs<'a> {
    centres: Cow<'a, [Corner]>,
    radius: i32,
}

impl Discs<'_> {
    /// Discs of a radius in steps. Of large ones in one place only the nearest is kept: no sample of the others is
    /// ever seen, and where a cloud is seen from its end, all may be in one place.
    pub fn new(corners: &[Corner], radius: i32) -> Discs<'_> {
        let mut centres = Cow::Borrowed(corners);
        if radius > SMALL * STEPS {
            let centres = centres.to_mut();
            centres.sort_unstable_by_key(|&centre| (centre.x, centre.y, key(centre)));
            centres.dedup_by_key(|centre| (centre.x, centre.y));
        }
        Discs { centres, radius }
    }
}

impl Shapes for Discs<'_> {
    type Shape = Disc;

    fn len(&self) -> usize {
        self.centres.len()
    }

    #[inline(always)]
    fn get(&self, index: usize, side: usize) -> Option<Disc> {
        let (centre, radius) = (self.centres[index], self.radius);
        let span = |v: i32| [v - radius, v + radius];
        let area = Area::of_centres(span(centre.x), span(centre.y), side)?;
        Some(Disc { x: centre.x, y: centre.y, radius, key: key(centre), area })
    }
}

fn key(centre: Corner) -> i32 {
    let depth = centre.depth.clamp(0.0, FARTHEST);
    let shade = (f32::from(centre.shades[0]) * (1.0 / 256.0) + TO_INTEGER).to_bits() & 255;
    (((depth + TO_INTEGER).to_bits() & INTEGER_BITS) << 8 | shade) as i32
}

/// A disc that may cover samples.
#[derive(Clone, Copy)]
pub(super) struct Disc {
    x: i32,
    y: i32,
    radius: i32,
    key: i32,
    area: Area,
}

impl Disc {
    /// Whether a place in steps from the centre is in the disc.
    #[inline(always)]
    fn holds(&self, dx: i32, dy: i32) -> bool {
        let square = |v: i32| i64::from(v) * i64::from(v);
        square(dx) + square(dy) <= square(self.radius)
    }

    /// From the centre to that of a sample, in steps.
    #[inline(always)]
    fn to(&self, x: i32, y: i32) -> [i32; 2] {
        [x * STEPS + HALF - self.x, y * STEPS + HALF - self.y]
    }
}

impl Shape for Disc {
    type Surface = Disc;

    #[inline(always)]
    fn area(&self) -> Area {
        self.area
    }

    #[inline(always)]
    fn farthest(&self) -> u32 {
        self.key as u32
    }

    #[inline(always)]
    fn surface(&self) -> Disc {
        *self
    }
}

impl Surface for Disc {
    /// Whether the place among its samples that is nearest to the centre is in the disc.
    #[inline(always)]
    fn meets(&self, part: Area) -> bool {
        let [left, top] = self.to(part.x, part.y);
        let [right, bottom] = self.to(part.x + part.columns - 1, part.y + part.rows - 1);
        self.holds(0.clamp(left, right), 0.clamp(top, bottom))
    }

    #[inline(always)]
    fn least_key(&self, _: Area) -> i32 {
        self.key
    }

    #[inline(always)]
    fn fill_whole(&self, keys: &mut Keys) {
        self.fill(self.area, keys);
    }

    #[inline(always)]
    fn fill(&self, part: Area, keys: &mut Keys) {
        for y in part.y..part.y + part.rows {
            for (x, slot) in (part.x..).zip(keys.row(part.x, y, part.columns)) {
                let [dx, dy] = self.to(x, y);
                if self.holds(dx, dy) {
                    *slot = self.key.min(*slot);
                }
            }
        }
    }
}
