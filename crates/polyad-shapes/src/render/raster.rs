//! Which samples a shape covers, and what is nearest in each: integers decide, so that machines agree.
//!
//! A picture of `size` pixels has `size * samples` samples a row. Corners lie on a grid of 256 steps a sample.
//! A sample belongs to a triangle if its centre is inside all three edges (`triangle`), to a disc if it is within
//! its radius (`disc`); centres on an edge belong to the triangle on one side of it (left and top edges), so that
//! neighbours leave neither gaps nor doubles.
//!
//! Each sample keeps the least key: 23 bits of depth, then 8 bits of shade. Of equal depths the darker wins, so
//! that the order of the shapes is of no consequence. The key of an empty sample ends in 255: white.
//!
//! Loops, outer to inner: shape; tile of 16 x 16 samples (shapes that fit one have one, placed at their corner, so
//! that edge functions fit 32 bits); row; eight samples at once. Most triangles of a dense mesh cover a few samples,
//! and cost what their set-up costs.
//!
//! Shapes are drawn as they come until a picture is crowded ([`CROWDED`]), as pictures of real meshes are not. From
//! then on those come first that are near throughout, and parts of shapes are left out, halved in width and height
//! down to tiles, that are hidden by what is there (`hidden`). What a file can ask for is bounded all the same
//! ([`MOST_WORK`]): a million triangles may cross each other so that none is behind another throughout any tile.

use super::disc::Discs;
use super::hidden::Hidden;
use super::triangle::Triangles;
use crate::error::{Error, Result};
use crate::job::Job;
use polyad_simd::{Kernel, Level, Simd, dispatch};
use std::ops::RangeInclusive;

/// Steps of the grid of corners, a sample, as a power of two.
pub(super) const STEP_BITS: u32 = 8;
pub(super) const STEPS: i32 = 1 << STEP_BITS;
/// Centre of a sample, in steps.
pub(super) const HALF: i32 = STEPS / 2;
/// Largest depth, of 23 bits: what is this far is as far as the background.
pub(super) const FARTHEST: f32 = ((1u32 << 23) - 2) as f32;
/// Most samples a row: corners then fit 21 bits, and edge functions within a tile 31 (`triangle::EDGE_BOUND`).
pub(super) const MOST_SAMPLES: usize = 8192;
/// Side of a tile in samples: larger ones scan more of what lies beside a long thin triangle.
const TILE: i32 = 1 << TILE_BITS;
pub(super) const TILE_BITS: u32 = 4;
/// Samples worked on at once.
pub(super) const LANES: usize = 8;
/// Samples along each axis up to which a shape is small: looking for what hides it would cost as much as drawing.
pub(super) const SMALL: i32 = 8;
/// Added to a float from 0 to 2^23, it leaves the nearest integer in the low bits.
pub(super) const TO_INTEGER: f32 = (1u32 << 23) as f32;
pub(super) const INTEGER_BITS: u32 = (1 << 23) - 1;
/// The key of a sample that nothing covers.
pub(super) const EMPTY: i32 = i32::MAX;
/// Shapes sorted together: they stay within a processor's own cache.
const BATCH: usize = 1 << 16;
/// Shapes between two looks at the job, at most; after a large one there always is one.
const CHECKED: usize = 1 << 12;
/// Times over which the tiles of large shapes cover a picture that is crowded. Those of parts and scanned shapes that
/// were tried cover it up to 25 times, most of them fewer than 10, at 96 pixels; larger pictures are covered less.
const CROWDED: u64 = 32;
/// Work that one picture may take, in samples of tiles of large shapes: a fifth of a second where deciding about
/// parts is most of it, 668 times over the default picture. Small shapes need no bound: each costs less than reading
/// it did.
const MOST_WORK: u64 = 1 << 27;
/// Times that a picture, however large, may be covered.
const LEAST_COVERS: u64 = 64;
/// What deciding about a part costs, in samples drawn.
const PART_WORK: u64 = 128;

/// A corner, as the rasteriser needs it. It lies in the picture or on its border.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Corner {
    /// Place in steps, x to the right.
    pub x: i32,
    /// Place in steps, y downwards.
    pub y: i32,
    /// Depth, from 0 (nearest) to [`FARTHEST`].
    pub depth: f32,
    /// Shade from 0 to 255 in 256ths, for a triangle seen from its front and from its back.
    pub shades: [u16; 2],
}

/// A rectangle of samples, not empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub x: i32,
    pub y: i32,
    pub columns: i32,
    pub rows: i32,
}

impl Area {
    /// The samples of a picture whose centres lie between two places, in steps, of each axis.
    #[inline(always)]
    pub fn of_centres([left, right]: [i32; 2], [top, bottom]: [i32; 2], side: usize) -> Option<Area> {
        let first = |v: i32| ((v + HALF - 1) >> STEP_BITS).max(0);
        let end = |v: i32| ((v + HALF) >> STEP_BITS).min(side as i32);
        let (x, y) = (first(left), first(top));
        let (columns, rows) = (end(right) - x, end(bottom) - y);
        (columns > 0 && rows > 0).then_some(Area { x, y, columns, rows })
    }

    /// Whether it fits a square of a side.
    #[inline(always)]
    fn fits(&self, side: i32) -> bool {
        self.columns <= side && self.rows <= side
    }

    /// The part that a square of a side covers, from one of the samples.
    #[inline(always)]
    fn part(&self, x: i32, y: i32, side: i32) -> Area {
        let (right, bottom) = (self.x + self.columns, self.y + self.rows);
        Area { x, y, columns: (right - x).min(side), rows: (bottom - y).min(side) }
    }

    /// Columns and rows of cells of 16 << `level` samples a side that it touches.
    #[inline(always)]
    pub fn cells(&self, level: usize) -> [RangeInclusive<usize>; 2] {
        let cell = |v: i32| v as usize >> (TILE_BITS as usize + level);
        [cell(self.x)..=cell(self.x + self.columns - 1), cell(self.y)..=cell(self.y + self.rows - 1)]
    }

    fn samples(&self) -> u64 {
        self.columns as u64 * self.rows as u64
    }
}

/// What can be drawn.
pub(super) trait Shape {
    /// What draws it.
    type Surface: Surface;
    /// The samples that it may cover.
    fn area(&self) -> Area;
    /// Grows with the depth of its farthest point.
    fn farthest(&self) -> u32;
    /// What draws it: setting it up is most of the work where few samples are covered.
    fn surface(&self) -> Self::Surface;
}

/// A shape, set up to be drawn.
pub(super) trait Surface {
    /// Whether it may cover a sample of a part of its area.
    fn meets(&self, part: Area) -> bool;
    /// A key that none it gives to a sample of a part of its area is less than.
    fn least_key(&self, part: Area) -> i32;
    /// Draws all of it, where it fits a tile.
    fn fill_whole(&self, keys: &mut Keys);
    /// Draws a tile of its area. Tiles lie side by side from the area's first sample: others would give other
    /// roundings.
    fn fill(&self, part: Area, keys: &mut Keys);
}

/// Shapes of one kind.
pub(super) trait Shapes {
    /// The kind.
    type Shape: Shape;
    /// How many there are.
    fn len(&self) -> usize;
    /// One of them; `None` where it covers no sample of a picture of `side` a row.
    fn get(&self, index: usize, side: usize) -> Option<Self::Shape>;
}

/// The least key so far of each sample.
pub(super) struct Keys {
    side: usize,
    stride: usize,
    keys: Vec<i32>,
}

impl Keys {
    /// Samples of a row, from one on, by eights: the last may lie beyond the end.
    #[inline(always)]
    pub fn eights(&mut self, x: i32, y: i32, columns: i32) -> &mut [[i32; LANES]] {
        let start = y as usize * self.stride + x as usize;
        self.keys[start..start + (columns as usize).next_multiple_of(LANES)].as_chunks_mut().0
    }

    /// Samples of a row, from one on.
    #[inline(always)]
    pub fn row(&mut self, x: i32, y: i32, columns: i32) -> &mut [i32] {
        let start = y as usize * self.stride + x as usize;
        &mut self.keys[start..start + columns as usize]
    }

    /// The largest key in a cell of 16 x 16 samples.
    #[inline(always)]
    pub fn most_in_cell(&self, column: usize, row: usize) -> i32 {
        let end = |first: usize| (first + TILE as usize).min(self.side);
        let (x, y) = (column << TILE_BITS, row << TILE_BITS);
        let rows = (y..end(y)).map(|y| &self.keys[y * self.stride + x..y * self.stride + end(x)]);
        rows.fold(i32::MIN, |most, row| row.iter().fold(most, |most, &key| most.max(key)))
    }
}

/// The samples of a picture.
pub(super) struct Samples {
    keys: Keys,
    hidden: Hidden,
    /// Work from which on the picture is crowded, and work that one drawing may take.
    crowded: u64,
    most_work: u64,
    /// The shapes of a batch that are not small: how far they are, and their numbers.
    order: Vec<u64>,
    /// Parts of a shape that are still to be decided about: their first samples and their levels.
    open: Vec<(i32, i32, usize)>,
}

impl Samples {
    /// An empty picture, square, of at most [`MOST_SAMPLES`] a side.
    pub fn new(side: usize) -> Samples {
        // Eight samples are written at once, from any place in a row: the last may lie beyond its end.
        let stride = side + LANES;
        let keys = Keys { side, stride, keys: vec![EMPTY; stride * side] };
        let size = (side * side) as u64;
        Samples {
            keys,
            hidden: Hidden::new(side),
            crowded: CROWDED * size,
            most_work: MOST_WORK.max(LEAST_COVERS * size),
            order: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Empties the picture.
    pub fn clear(&mut self) {
        self.keys.keys.fill(EMPTY);
    }

    /// Draws triangles of valid corners, seen from either side, with the instructions of `level`: the same bytes
    /// from all. Returns the work, in samples of tiles of large triangles.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the work exceeds its bound, [`Error::Cancelled`].
    pub fn triangles(&mut self, level: Level, corners: &[Corner], triangles: &[[u32; 3]], job: Job) -> Result<u64> {
        self.draw(level, &Triangles { corners, triangles }, job)
    }

    /// Draws discs that face the eye, of a radius in steps, and one depth and shade; otherwise as
    /// [`Samples::triangles`].
    pub fn discs(&mut self, level: Level, centres: &[Corner], radius: i32, job: Job) -> Result<u64> {
        self.draw(level, &Discs::new(centres, radius), job)
    }

    fn draw(&mut self, level: Level, shapes: &impl Shapes, job: Job) -> Result<u64> {
        let (drawn, work) = dispatch(level, AsTheyCome { keys: &mut self.keys, crowded: self.crowded, shapes, job })?;
        if drawn == shapes.len() {
            return Ok(work);
        }
        self.hidden.clear();
        dispatch(level, NearestFirst { samples: self, shapes, drawn, work, job })
    }

    /// Whether anything covers a sample.
    pub fn covered(&self, x: usize, y: usize) -> bool {
        self.keys.keys[y * self.keys.stride + x] != EMPTY
    }

    /// Means of `samples * samples` shades each, into every `channels`-th number of `pixels`.
    pub fn resolve(&self, level: Level, samples: usize, pixels: &mut [u8], channel: usize, channels: usize) {
        dispatch(level, Resolve { from: &self.keys, samples, pixels, channel, channels });
    }
}

/// Draws shapes until the picture is crowded; how many were drawn, and the work.
struct AsTheyCome<'a, T> {
    keys: &'a mut Keys,
    crowded: u64,
    shapes: &'a T,
    job: Job<'a>,
}

impl<T: Shapes> Kernel for AsTheyCome<'_, T> {
    type Output = Result<(usize, u64)>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Result<(usize, u64)> {
        let AsTheyCome { keys, crowded, shapes, job } = self;
        let mut work = 0;
        for index in 0..shapes.len() {
            if index % CHECKED == 0 {
                job.check()?;
            }
            let Some(shape) = shapes.get(index, keys.side) else { continue };
            let area = shape.area();
            let surface = shape.surface();
            if area.fits(TILE) {
                surface.fill_whole(keys);
                if area.fits(SMALL) {
                    continue;
                }
                work += area.samples();
            } else {
                job.check()?;
                let mut y = area.y;
                while y < area.y + area.rows {
                    let mut x = area.x;
                    while x < area.x + area.columns {
                        let tile = area.part(x, y, TILE);
                        if surface.meets(tile) {
                            surface.fill(tile, keys);
                            work += tile.samples();
                        }
                        x += TILE;
                    }
                    y += TILE;
                }
            }
            if work > crowded {
                return Ok((index + 1, work));
            }
        }
        Ok((shapes.len(), work))
    }
}

/// Draws the shapes that are left in a crowded picture; the work of all.
struct NearestFirst<'a, T> {
    samples: &'a mut Samples,
    shapes: &'a T,
    drawn: usize,
    work: u64,
    job: Job<'a>,
}

impl<T: Shapes> Kernel for NearestFirst<'_, T> {
    type Output = Result<u64>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Result<u64> {
        let NearestFirst { samples, shapes, drawn, mut work, job } = self;
        let side = samples.keys.side;
        for first in (drawn..shapes.len()).step_by(BATCH) {
            job.check()?;
            samples.order.clear();
            for index in first..shapes.len().min(first + BATCH) {
                let Some(shape) = shapes.get(index, side) else { continue };
                if shape.area().fits(SMALL) {
                    shape.surface().fill_whole(&mut samples.keys);
                } else {
                    samples.order.push(u64::from(shape.farthest()) << 32 | (index - first) as u64);
                }
            }
            samples.order.sort_unstable();
            for k in 0..samples.order.len() {
                job.check()?;
                let index = first + samples.order[k] as u32 as usize;
                work += shapes.get(index, side).map_or(0, |shape| draw_seen(samples, &shape));
                if work > samples.most_work {
                    let times = samples.most_work / (side * side) as u64;
                    return Err(Error::Unsupported(format!("a surface that covers its picture over {times} times")));
                }
            }
        }
        Ok(work)
    }
}

/// Draws what is not hidden of a shape, and returns the work.
#[inline(always)]
fn draw_seen(samples: &mut Samples, shape: &impl Shape) -> u64 {
    let Samples { keys, hidden, open, .. } = samples;
    let (area, surface) = (shape.area(), shape.surface());
    let tiles = (area.columns.max(area.rows) as usize).div_ceil(TILE as usize);
    open.push((area.x, area.y, tiles.next_power_of_two().ilog2() as usize));
    let mut work = 0;
    while let Some((x, y, level)) = open.pop() {
        let side = TILE << level;
        let part = area.part(x, y, side);
        work += PART_WORK;
        if !surface.meets(part) || hidden.hides(keys, part, level, surface.least_key(part)) {
            continue;
        }
        if level == 0 {
            surface.fill(part, keys);
            hidden.drawn(part);
            work += part.samples();
            continue;
        }
        let half = side / 2;
        for (right, down) in [(0, 0), (half, 0), (0, half), (half, half)] {
            if right < part.columns && down < part.rows {
                open.push((x + right, y + down, level - 1));
            }
        }
    }
    work
}

struct Resolve<'a> {
    from: &'a Keys,
    samples: usize,
    pixels: &'a mut [u8],
    channel: usize,
    channels: usize,
}

impl Resolve<'_> {
    /// With the number of samples known, the sums become vectors.
    #[inline(always)]
    fn rows<const SAMPLES: usize>(self) {
        let size = self.from.side / SAMPLES;
        let count = (SAMPLES * SAMPLES) as u32;
        let mut sums = vec![0u32; size];
        for (y, row) in self.pixels.chunks_exact_mut(size * self.channels).enumerate() {
            sums.fill(count / 2);
            for j in 0..SAMPLES {
                let start = (y * SAMPLES + j) * self.from.stride;
                let (groups, _) = self.from.keys[start..start + size * SAMPLES].as_chunks::<SAMPLES>();
                for (sum, keys) in sums.iter_mut().zip(groups) {
                    *sum += keys.iter().map(|&k| k as u32 & 255).sum::<u32>();
                }
            }
            for (pixel, sum) in row[self.channel..].iter_mut().step_by(self.channels).zip(&sums) {
                *pixel = (sum / count) as u8;
            }
        }
    }
}

impl Kernel for Resolve<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        match self.samples {
            1 => self.rows::<1>(),
            2 => self.rows::<2>(),
            3 => self.rows::<3>(),
            _ => self.rows::<4>(),
        }
    }
}

#[cfg(test)]
mod tests;
