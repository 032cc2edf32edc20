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
//! Loops, outer to inner: triangle, tile of 64 x 64 samples (small triangles have one, placed at their corner,
//! so that edge functions fit 32 bits), row, eight samples at once. Most triangles of a dense mesh cover a few
//! samples, and cost what their set-up costs.

/// Steps of the grid of corners, a sample, as a power of two.
pub(super) const STEP_BITS: u32 = 8;
const STEPS: i32 = 1 << STEP_BITS;
/// Centre of a sample, in steps.
const HALF: i32 = STEPS / 2;
/// Largest depth, of 23 bits: what is this far is as far as the background.
pub(super) const FARTHEST: f32 = ((1u32 << 23) - 2) as f32;
/// Most samples a row: corners then fit 21 bits, and edge functions within a tile 31 ([`EDGE_BOUND`]).
pub(super) const MOST_SAMPLES: usize = 8192;
/// Side of a tile in samples.
const TILE: i32 = 64;
/// Samples worked on at once.
const LANES: usize = 8;
/// Edge functions are cut to this at a tile's corner. They change by less within a tile: at most
/// (64 + 8 + 64) * 2^21 < 2^29, so that no sign is lost and nothing overflows.
const EDGE_BOUND: i64 = 1 << 29;
/// Added to a float from 0 to 2^23, it leaves the nearest integer in the low bits.
const TO_INTEGER: f32 = (1u32 << 23) as f32;
const INTEGER_BITS: u32 = (1 << 23) - 1;
/// The key of a sample that nothing covers.
const EMPTY: i32 = i32::MAX;

/// A corner, as the rasteriser needs it.
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

    /// Draws triangles of valid corners, seen from either side.
    pub fn draw(&mut self, corners: &[Corner], triangles: &[[u32; 3]]) {
        for t in triangles {
            self.triangle(t.map(|v| corners[v as usize]));
        }
    }

    fn triangle(&mut self, [a, b, c]: [Corner; 3]) {
        // 1. Orientation. y runs downwards: corners that run anticlockwise to the eye have a negative area.
        let wide = i64::from;
        let area = wide(b.x - a.x) * wide(c.y - a.y) - wide(b.y - a.y) * wide(c.x - a.x);
        if area == 0 {
            return;
        }
        let (b, c, side, area) = if area > 0 { (b, c, 1, area) } else { (c, b, 0, -area) };

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
        let shade = |v: Corner| f32::from(v.shades[side]) * (1.0 / 256.0);
        let slopes = Slopes::new(a, b, c, area);
        let depth = Plane::new(&slopes, [a.depth, b.depth, c.depth]);
        let shade = Plane::new(&slopes, [shade(a), shade(b), shade(c)]);

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
                    let (dx, dy) = (x * STEPS + HALF - a.x, y * STEPS + HALF - a.y);
                    let planes = [depth.from(dx, dy), shade.from(dx, dy)];
                    self.tile([x, y, columns, rows], &edges, at.map(cut), &planes);
                }
                x += TILE;
            }
            y += TILE;
        }
    }

    #[inline(always)]
    fn tile(&mut self, [x, y, columns, rows]: [i32; 4], edges: &[Edge; 3], at: [i32; 3], planes: &[Plane; 2]) {
        let [depth, shade] = planes;
        let mut start = y as usize * self.stride + x as usize;
        for row in 0..rows {
            let edge = [0, 1, 2].map(|k| at[k] + edges[k].down * row);
            let (depth_row, shade_row) = (depth.start + depth.down * row as f32, shade.start + shade.down * row as f32);
            let mut column = 0;
            while column < columns {
                let from = start + column as usize;
                let keys: &mut [i32; LANES] =
                    (&mut self.keys[from..from + LANES]).try_into().expect("a slice of LANES keys");
                for (lane, key) in keys.iter_mut().enumerate() {
                    let i = column + lane as i32;
                    let outside =
                        (edge[0] + edges[0].along * i) | (edge[1] + edges[1].along * i) | (edge[2] + edges[2].along * i);
                    let z = depth.within(depth_row + depth.along * i as f32);
                    let s = shade.within(shade_row + shade.along * i as f32);
                    let candidate = ((z + TO_INTEGER).to_bits() & INTEGER_BITS) << 8 | ((s + TO_INTEGER).to_bits() & 255);
                    let candidate = if outside < 0 { EMPTY } else { candidate as i32 };
                    *key = candidate.min(*key);
                }
                column += LANES as i32;
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
    pub fn resolve(&self, samples: usize, pixels: &mut [u8], channel: usize, channels: usize) {
        let size = self.side / samples;
        let count = (samples * samples) as u32;
        for (y, row) in pixels.chunks_exact_mut(size * channels).enumerate() {
            for (x, pixel) in row[channel..].iter_mut().step_by(channels).enumerate() {
                let mut sum = count / 2;
                for j in 0..samples {
                    let start = (y * samples + j) * self.stride + x * samples;
                    sum += self.keys[start..start + samples].iter().map(|&k| k as u32 & 255).sum::<u32>();
                }
                *pixel = (sum / count) as u8;
            }
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
    fn new(p: Corner, q: Corner) -> Edge {
        let (dx, dy) = (q.x - p.x, q.y - p.y);
        let inside = dy < 0 || (dy == 0 && dx > 0);
        Edge { p: [p.x, p.y], along: -dy, down: dx, bias: i64::from(!inside) }
    }

    /// The function at a sample, in units of a step from one sample to the next. Dividing it by a power of two,
    /// rounding down, keeps its sign there and at all other samples, which differ by whole units.
    fn at(&self, x: i32, y: i32) -> i64 {
        let (dx, dy) = (x * STEPS + HALF - self.p[0], y * STEPS + HALF - self.p[1]);
        (i64::from(self.down) * i64::from(dy) + i64::from(self.along) * i64::from(dx) - self.bias) >> STEP_BITS
    }

    /// The largest value in a tile that has `at` in its first sample.
    fn largest(&self, at: i64, columns: i32, rows: i32) -> i64 {
        at + i64::from(self.along.max(0)) * i64::from(columns - 1) + i64::from(self.down.max(0)) * i64::from(rows - 1)
    }
}

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
