//! Which samples a triangle covers, and what is nearest in each: integers decide, so that machines agree.
//!
//! A picture of `size` pixels has `size * samples` samples a row. Corners lie on a grid of 256 steps a sample.
//! A sample belongs to a triangle if its centre is inside all three edges, whose functions are exact integers;
//! centres on an edge belong to the triangle on one side of it (left and top edges), so that neighbours leave
//! neither gaps nor doubles. Depth and shade are linear over the triangle, in single precision, and never leave
//! the range of its corners.
//!
//! Each sample keeps the least key: 23 bits of depth, then 8 bits of shade. Of equal depths the darker wins, so
//! that the order of the triangles is of no consequence. The key of an empty sample ends in 255: white.
//!
//! Loops, outer to inner: triangle, tile of 16 x 16 samples (small triangles have one, placed at their corner,
//! so that edge functions fit 32 bits), row, eight samples at once. Most triangles of a dense mesh cover a few
//! samples, and cost what their set-up costs.

use polyad_simd::{Kernel, Level, Simd, dispatch};

/// Steps of the grid of corners, a sample, as a power of two.
pub(super) const STEP_BITS: u32 = 8;
const STEPS: i32 = 1 << STEP_BITS;
/// Centre of a sample, in steps.
const HALF: i32 = STEPS / 2;
/// Largest depth, of 23 bits: what is this far is as far as the background.
pub(super) const FARTHEST: f32 = ((1u32 << 23) - 2) as f32;
/// Most samples a row: corners then fit 21 bits, and edge functions within a tile 31 ([`EDGE_BOUND`]).
pub(super) const MOST_SAMPLES: usize = 8192;
/// Side of a tile in samples: larger ones scan more of what lies beside a long thin triangle.
const TILE: i32 = 16;
/// Samples worked on at once.
const LANES: usize = 8;
/// Edge functions are cut to this at a tile's corner. They change by less within a tile: at most
/// (16 + 8 + 16) * 2^21 < 2^29, so that no sign is lost and nothing overflows.
const EDGE_BOUND: i64 = 1 << 29;
/// Added to a float from 0 to 2^23, it leaves the nearest integer in the low bits.
pub(super) const TO_INTEGER: f32 = (1u32 << 23) as f32;
pub(super) const INTEGER_BITS: u32 = (1 << 23) - 1;
/// The key of a sample that nothing covers.
const EMPTY: i32 = i32::MAX;

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

/// The samples of a picture.
pub(super) struct Samples {
    side: usize,
    stride: usize,
    keys: Vec<i32>,
}

impl Samples {
    /// An empty picture, square, of at most [`MOST_SAMPLES`] a side.
    pub fn new(side: usize) -> Samples {
        // Eight samples are written at once, from any place in a row: the last may lie beyond its end.
        let stride = side + LANES;
        Samples { side, stride, keys: vec![EMPTY; stride * side] }
    }

    /// Empties the picture.
    pub fn clear(&mut self) {
        self.keys.fill(EMPTY);
    }

    /// Draws triangles of valid corners, seen from either side, with the instructions of `level`: the same bytes
    /// from all.
    pub fn draw(&mut self, level: Level, corners: &[Corner], triangles: &[[u32; 3]]) {
        dispatch(level, Draw { samples: self, corners, triangles });
    }

    #[inline(always)]
    fn triangle(&mut self, [a, b, c]: [Corner; 3]) {
        // 1. Orientation. y runs downwards: corners that run anticlockwise to the eye have a negative area.
        let wide = i64::from;
        let area = wide(b.x - a.x) * wide(c.y - a.y) - wide(b.y - a.y) * wide(c.x - a.x);
        if area == 0 {
            return;
        }
        let back = area > 0;
        let (b, c) = if back { (b, c) } else { (c, b) };

        // 2. The samples whose centres lie in the bounding box.
        let (left, right) = (a.x.min(b.x).min(c.x), a.x.max(b.x).max(c.x));
        let (top, bottom) = (a.y.min(b.y).min(c.y), a.y.max(b.y).max(c.y));
        let last = self.side as i32 - 1;
        let first_x = ((left + HALF - 1) >> STEP_BITS).max(0);
        let first_y = ((top + HALF - 1) >> STEP_BITS).max(0);
        let last_x = ((right - HALF) >> STEP_BITS).min(last);
        let last_y = ((bottom - HALF) >> STEP_BITS).min(last);
        if first_x > last_x || first_y > last_y {
            return;
        }

        // 3. Edges and planes.
        let edges = [Edge::new(a, b), Edge::new(b, c), Edge::new(c, a)];
        let shade = |v: Corner| f32::from(if back { v.shades[1] } else { v.shades[0] }) * (1.0 / 256.0);
        let slopes = Slopes::new(a, b, c, area.abs());
        let depth = Plane::new(&slopes, [a.depth, b.depth, c.depth]);
        let shade = Plane::new(&slopes, [shade(a), shade(b), shade(c)]);
        let planes = |x: i32, y: i32| {
            let (dx, dy) = (x * STEPS + HALF - a.x, y * STEPS + HALF - a.y);
            [depth.from(dx, dy), shade.from(dx, dy)]
        };
        if last_x - first_x < TILE && last_y - first_y < TILE {
            let box_of = [first_x, first_y, last_x - first_x + 1, last_y - first_y + 1];
            let at = [0, 1, 2].map(|k| edges[k].at_near(first_x, first_y));
            return self.tile(box_of, &edges, at, &planes(first_x, first_y));
        }

        // 4. Tiles.
        let mut y = first_y;
        while y <= last_y {
            let rows = (last_y - y + 1).min(TILE);
            let mut x = first_x;
            while x <= last_x {
                let columns = (last_x - x + 1).min(TILE);
                let at = [0, 1, 2].map(|k| edges[k].at(x, y));
                let seen = |k: usize| edges[k].largest(at[k], columns, rows) >= 0;
                if seen(0) && seen(1) && seen(2) {
                    self.tile([x, y, columns, rows], &edges, at.map(cut), &planes(x, y));
                }
                x += TILE;
            }
            y += TILE;
        }
    }

    #[inline(always)]
    fn tile(&mut self, [x, y, columns, rows]: [i32; 4], edges: &[Edge; 3], at: [i32; 3], planes: &[Plane; 2]) {
        let [depth, shade] = planes;
        let edge_lanes = [0, 1, 2].map(|k| lanes(|i| edges[k].along * i));
        let depth_lanes = lanes(|i| depth.along * i as f32);
        let shade_lanes = lanes(|i| shade.along * i as f32);
        let mut start = y as usize * self.stride + x as usize;
        for row in 0..rows {
            let mut edge = [0, 1, 2].map(|k| at[k] + edges[k].down * row);
            let mut z = depth.start + depth.down * row as f32;
            let mut s = shade.start + shade.down * row as f32;
            let columns = (columns as usize).next_multiple_of(LANES);
            let (groups, _) = self.keys[start..start + columns].as_chunks_mut::<LANES>();
            for keys in groups {
                let [p, q, r] = edge;
                let outside: [i32; LANES] =
                    std::array::from_fn(|i| (p + edge_lanes[0][i]) | (q + edge_lanes[1][i]) | (r + edge_lanes[2][i]));
                let depths: [u32; LANES] = std::array::from_fn(|i| {
                    ((depth.within(z + depth_lanes[i]) + TO_INTEGER).to_bits() & INTEGER_BITS) << 8
                });
                let shades: [u32; LANES] =
                    std::array::from_fn(|i| (shade.within(s + shade_lanes[i]) + TO_INTEGER).to_bits() & 255);
                let candidates: [i32; LANES] =
                    std::array::from_fn(|i| if outside[i] < 0 { EMPTY } else { (depths[i] | shades[i]) as i32 });
                *keys = std::array::from_fn(|i| candidates[i].min(keys[i]));
                (0..3).for_each(|k| edge[k] += edges[k].along * LANES as i32);
                z += depth.along * LANES as f32;
                s += shade.along * LANES as f32;
            }
            start += self.stride;
        }
    }

    /// Draws a disc that faces the eye, of a radius in steps, and one depth and shade.
    pub fn disc(&mut self, centre: Corner, radius: i32) {
        let last = self.side as i32 - 1;
        let from = |v: i32| ((v - radius + HALF - 1) >> STEP_BITS).max(0);
        let to = |v: i32| ((v + radius - HALF) >> STEP_BITS).min(last);
        let depth = centre.depth.clamp(0.0, FARTHEST);
        let shade = (f32::from(centre.shades[0]) * (1.0 / 256.0) + TO_INTEGER).to_bits() & 255;
        let key = (((depth + TO_INTEGER).to_bits() & INTEGER_BITS) << 8 | shade) as i32;
        let square = |v: i32| i64::from(v) * i64::from(v);
        for y in from(centre.y)..=to(centre.y) {
            for x in from(centre.x)..=to(centre.x) {
                let (dx, dy) = (x * STEPS + HALF - centre.x, y * STEPS + HALF - centre.y);
                if square(dx) + square(dy) <= square(radius) {
                    let slot = &mut self.keys[y as usize * self.stride + x as usize];
                    *slot = key.min(*slot);
                }
            }
        }
    }

    /// Whether anything covers a sample.
    pub fn covered(&self, x: usize, y: usize) -> bool {
        self.keys[y * self.stride + x] != EMPTY
    }

    /// Means of `samples * samples` shades each, into every `channels`-th number of `pixels`.
    pub fn resolve(&self, level: Level, samples: usize, pixels: &mut [u8], channel: usize, channels: usize) {
        dispatch(level, Resolve { from: self, samples, pixels, channel, channels });
    }
}

struct Draw<'a> {
    samples: &'a mut Samples,
    corners: &'a [Corner],
    triangles: &'a [[u32; 3]],
}

impl Kernel for Draw<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for t in self.triangles {
            self.samples.triangle(t.map(|v| self.corners[v as usize]));
        }
    }
}

struct Resolve<'a> {
    from: &'a Samples,
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

/// An edge from p to q: its function is not negative at the centres of samples on its inner side.
struct Edge {
    p: [i32; 2],
    /// Change of the function from a sample to the next in its row, and to the one below.
    along: i32,
    down: i32,
    /// 1 where centres on the edge itself are outside.
    bias: i64,
}

impl Edge {
    #[inline(always)]
    fn new(p: Corner, q: Corner) -> Edge {
        let (dx, dy) = (q.x - p.x, q.y - p.y);
        let inside = dy < 0 || (dy == 0 && dx > 0);
        Edge { p: [p.x, p.y], along: -dy, down: dx, bias: i64::from(!inside) }
    }

    /// The function at a sample, in units of a step from one sample to the next. Dividing it by a power of two,
    /// rounding down, keeps its sign there and at all other samples, which differ by whole units.
    #[inline(always)]
    fn at(&self, x: i32, y: i32) -> i64 {
        let (dx, dy) = (x * STEPS + HALF - self.p[0], y * STEPS + HALF - self.p[1]);
        (i64::from(self.down) * i64::from(dy) + i64::from(self.along) * i64::from(dx) - self.bias) >> STEP_BITS
    }

    /// [`Edge::at`] for a sample in the bounding box of a triangle within one tile: all factors fit 13 bits.
    #[inline(always)]
    fn at_near(&self, x: i32, y: i32) -> i32 {
        let (dx, dy) = (x * STEPS + HALF - self.p[0], y * STEPS + HALF - self.p[1]);
        (self.down * dy + self.along * dx - self.bias as i32) >> STEP_BITS
    }

    /// The largest value in a tile that has `at` in its first sample.
    #[inline(always)]
    fn largest(&self, at: i64, columns: i32, rows: i32) -> i64 {
        at + i64::from(self.along.max(0)) * i64::from(columns - 1) + i64::from(self.down.max(0)) * i64::from(rows - 1)
    }
}

/// A value for each lane.
#[inline(always)]
fn lanes<T>(value: impl Fn(i32) -> T) -> [T; LANES] {
    std::array::from_fn(|i| value(i as i32))
}

#[inline(always)]
fn cut(edge: i64) -> i32 {
    edge.clamp(-EDGE_BOUND, EDGE_BOUND) as i32
}

/// What turns differences between corners into slopes.
struct Slopes {
    ab: [f32; 2],
    ac: [f32; 2],
    /// Steps a sample, by twice the area in square steps.
    scale: f32,
}

impl Slopes {
    #[inline(always)]
    fn new(a: Corner, b: Corner, c: Corner, area: i64) -> Slopes {
        let side = |q: Corner| [(q.x - a.x) as f32, (q.y - a.y) as f32];
        Slopes { ab: side(b), ac: side(c), scale: STEPS as f32 / area as f32 }
    }
}

/// A quantity that is linear over a triangle.
struct Plane {
    start: f32,
    along: f32,
    down: f32,
    low: f32,
    high: f32,
}

impl Plane {
    #[inline(always)]
    fn new(slopes: &Slopes, [a, b, c]: [f32; 3]) -> Plane {
        let Slopes { ab, ac, scale } = slopes;
        let (u, v) = (b - a, c - a);
        Plane {
            start: a,
            along: (u * ac[1] - v * ab[1]) * scale,
            down: (v * ab[0] - u * ac[0]) * scale,
            low: a.min(b).min(c),
            high: a.max(b).max(c),
        }
    }

    /// The same plane, starting that many steps away.
    #[inline(always)]
    fn from(&self, dx: i32, dy: i32) -> Plane {
        let samples = |v: i32| v as f32 * (1.0 / STEPS as f32);
        Plane { start: self.start + self.along * samples(dx) + self.down * samples(dy), ..*self }
    }

    #[inline(always)]
    fn within(&self, value: f32) -> f32 {
        let value = if value < self.low { self.low } else { value };
        if value > self.high { self.high } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u64) -> impl FnMut(i32) -> i32 {
        let mut state = seed;
        move |below| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % below as u64) as i32
        }
    }

    fn corner(x: i32, y: i32) -> Corner {
        Corner { x, y, depth: 1000.0, shades: [0; 2] }
    }

    /// Whether the definition covers a sample: all edge functions positive, or zero on a left or top edge.
    fn covers(t: [Corner; 3], x: usize, y: usize) -> bool {
        let (x, y) = (x as i128 * 256 + 128, y as i128 * 256 + 128);
        let at = |p: Corner, q: Corner| {
            let (dx, dy) = (i128::from(q.x - p.x), i128::from(q.y - p.y));
            (dx * (y - i128::from(p.y)) - dy * (x - i128::from(p.x)), dy < 0 || (dy == 0 && dx > 0))
        };
        let [a, b, c] = t;
        let (ab, ac) = ((i128::from(b.x - a.x), i128::from(b.y - a.y)), (i128::from(c.x - a.x), i128::from(c.y - a.y)));
        let area = ab.0 * ac.1 - ab.1 * ac.0;
        let (b, c) = if area > 0 { (b, c) } else { (c, b) };
        let inside = |p, q| matches!(at(p, q), (e, owns) if e > 0 || (e == 0 && owns));
        area != 0 && inside(a, b) && inside(b, c) && inside(c, a)
    }

    #[test]
    fn every_level_covers_exactly_what_the_definition_says() {
        let mut next = random(5);
        for side in [1usize, 7, 90, 200] {
            for round in 0..200 {
                let full = side as i32 * 256;
                let size = [300, 3000, full][round % 3].min(full);
                let (left, top) = (next(full - size + 1), next(full - size + 1));
                // Half the corners lie on centres of samples, where edges tie.
                let snap = |v: i32| if round % 2 == 0 { v } else { (v & !255 | 128).min(full) };
                let t = [0; 3].map(|_| corner(snap(left + next(size + 1)), snap(top + next(size + 1))));
                for level in Level::ALL.into_iter().filter(|l| l.is_present()) {
                    let mut samples = Samples::new(side);
                    samples.draw(level, &t, &[[0, 1, 2]]);
                    for i in 0..side * side {
                        let (x, y) = (i % side, i / side);
                        assert_eq!(samples.covered(x, y), covers(t, x, y), "{level}, side {side}, {t:?}, at {x}, {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_largest_picture_overflows_nowhere() {
        let full = MOST_SAMPLES as i32 * 256;
        let mut samples = Samples::new(MOST_SAMPLES);
        let corners = [corner(0, 0), corner(full, 0), corner(full, full), corner(0, full), corner(1, full)];
        for (triangle, inside, outside) in [([0, 1, 2], (8000, 10), (10, 8000)), ([0, 4, 3], (0, 8191), (40, 8191))] {
            samples.clear();
            samples.draw(polyad_simd::level(), &corners, &[triangle]);
            let expected = |(x, y)| covers(triangle.map(|v| corners[v as usize]), x, y);
            for place in [inside, outside, (4095, 4096), (4096, 4095), (0, 0), (8191, 8191), (0, 4000)] {
                assert_eq!(samples.covered(place.0, place.1), expected(place), "{triangle:?} at {place:?}");
            }
        }
    }

    #[test]
    fn triangles_of_a_torn_up_square_cover_every_sample_once() {
        let mut next = random(8);
        for _ in 0..20 {
            let (side, cells) = (60usize, 5usize);
            let full = side as i32 * 256;
            // A grid whose inner corners are moved, some of them onto centres of samples.
            let mut corners = Vec::new();
            for i in 0..=cells {
                for j in 0..=cells {
                    let step = full / cells as i32;
                    let inner = |k: usize| k > 0 && k < cells;
                    let mut moved = |k: usize, inner: bool| k as i32 * step + if inner { next(step / 2) } else { 0 };
                    let (x, y) = (moved(j, inner(j)), moved(i, inner(i)));
                    let snap = |v: i32, inner: bool| if inner && (i + j) % 2 == 0 { v & !255 | 128 } else { v };
                    corners.push(corner(snap(x, inner(j)), snap(y, inner(i))));
                }
            }
            let at = |i: usize, j: usize| (i * (cells + 1) + j) as u32;
            let mut hits = vec![0; side * side];
            for k in 0..cells * cells {
                let (i, j) = (k / cells, k % cells);
                for t in [[at(i, j), at(i, j + 1), at(i + 1, j)], [at(i, j + 1), at(i + 1, j), at(i + 1, j + 1)]] {
                    let mut samples = Samples::new(side);
                    samples.draw(polyad_simd::level(), &corners, &[t]);
                    (0..side * side).for_each(|p| hits[p] += u32::from(samples.covered(p % side, p / side)));
                }
            }
            assert!(hits.iter().all(|&h| h == 1), "{hits:?}");
        }
    }
}
