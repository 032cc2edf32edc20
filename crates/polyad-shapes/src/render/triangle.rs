//! A triangle as the rasteriser draws it: edges that decide coverage, planes that give depth and shade.
//!
//! Edge functions are exact integers. Depth and shade are linear over the triangle, in single precision, and
//! never leave the range of its corners.

use super::raster::{
    Area, Corner, EMPTY, HALF, INTEGER_BITS, Keys, LANES, STEP_BITS, STEPS, Shape, Shapes, Surface, TO_INTEGER,
};

/// Edge functions are cut to this at a tile's corner. They change by less within a tile: at most
/// (16 + 8 + 16) * 2^21 < 2^29, so that no sign is lost and nothing overflows.
const EDGE_BOUND: i64 = 1 << 29;
/// Roundings between a corner and a sample, those of drawing and of [`Plane::least`] together, are fewer than 32,
/// each of 2^-24 of the largest sum on the way.
const ROUNDING: f32 = 32.0 / (1u32 << 24) as f32;

/// Triangles of valid corners.
pub(super) struct Triangles<'a> {
    /// What the triangles' numbers mean.
    pub corners: &'a [Corner],
    /// Three corners each, seen from either side.
    pub triangles: &'a [[u32; 3]],
}

impl Shapes for Triangles<'_> {
    type Shape = Triangle;

    fn len(&self) -> usize {
        self.triangles.len()
    }

    #[inline(always)]
    fn get(&self, index: usize, side: usize) -> Option<Triangle> {
        Triangle::new(self.triangles[index].map(|v| self.corners[v as usize]), side)
    }
}

/// A triangle that may cover samples. The eye sees its corners clockwise.
pub(super) struct Triangle {
    corners: [Corner; 3],
    /// Whether its back is seen.
    back: bool,
    /// Twice its area, in square steps.
    twice: i64,
    area: Area,
}

impl Triangle {
    #[inline(always)]
    fn new([a, b, c]: [Corner; 3], side: usize) -> Option<Triangle> {
        // 1. Orientation. y runs downwards: corners that run anticlockwise to the eye have a negative area.
        let wide = i64::from;
        let twice = wide(b.x - a.x) * wide(c.y - a.y) - wide(b.y - a.y) * wide(c.x - a.x);
        if twice == 0 {
            return None;
        }
        let back = twice > 0;
        let (b, c) = if back { (b, c) } else { (c, b) };

        // 2. The samples whose centres lie in the bounding box.
        let (left, right) = (a.x.min(b.x).min(c.x), a.x.max(b.x).max(c.x));
        let (top, bottom) = (a.y.min(b.y).min(c.y), a.y.max(b.y).max(c.y));
        let area = Area::of_centres([left, right], [top, bottom], side)?;
        Some(Triangle { corners: [a, b, c], back, twice: twice.abs(), area })
    }
}

impl Shape for Triangle {
    type Surface = Plate;

    #[inline(always)]
    fn area(&self) -> Area {
        self.area
    }

    #[inline(always)]
    fn farthest(&self) -> u32 {
        let [a, b, c] = self.corners;
        a.depth.max(b.depth).max(c.depth).to_bits()
    }

    #[inline(always)]
    fn surface(&self) -> Plate {
        // 3. Edges and planes.
        let Triangle { corners: [a, b, c], back, twice, area } = *self;
        let shade = |v: Corner| f32::from(if back { v.shades[1] } else { v.shades[0] }) * (1.0 / 256.0);
        let slopes = Slopes::new(a, b, c, twice);
        Plate {
            first: [a.x, a.y],
            area,
            edges: [Edge::new(a, b), Edge::new(b, c), Edge::new(c, a)],
            depth: Plane::new(&slopes, [a.depth, b.depth, c.depth]),
            shade: Plane::new(&slopes, [shade(a), shade(b), shade(c)]),
        }
    }
}

/// A triangle, set up to be drawn.
pub(super) struct Plate {
    first: [i32; 2],
    area: Area,
    edges: [Edge; 3],
    depth: Plane,
    shade: Plane,
}

impl Plate {
    /// From the first corner to the centre of a sample, in steps.
    #[inline(always)]
    fn to(&self, x: i32, y: i32) -> [i32; 2] {
        [x * STEPS + HALF - self.first[0], y * STEPS + HALF - self.first[1]]
    }

    /// Eight samples at once; `at` are the edges' functions at the first sample.
    #[inline(always)]
    fn fill_from(&self, at: [i32; 3], Area { x, y, columns, rows }: Area, keys: &mut Keys) {
        let [dx, dy] = self.to(x, y);
        let (edges, depth, shade) = (&self.edges, self.depth.from(dx, dy), self.shade.from(dx, dy));
        let edge_lanes = [0, 1, 2].map(|k| lanes(|i| edges[k].along * i));
        let depth_lanes = lanes(|i| depth.along * i as f32);
        let shade_lanes = lanes(|i| shade.along * i as f32);
        for row in 0..rows {
            let mut edge = [0, 1, 2].map(|k| at[k] + edges[k].down * row);
            let mut z = depth.start + depth.down * row as f32;
            let mut s = shade.start + shade.down * row as f32;
            for keys in keys.eights(x, y + row, columns) {
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
        }
    }
}

impl Surface for Plate {
    #[inline(always)]
    fn meets(&self, part: Area) -> bool {
        self.edges.iter().all(|edge| edge.largest(part) >= 0)
    }

    #[inline(always)]
    fn least_key(&self, part: Area) -> i32 {
        let [dx, dy] = self.to(part.x, part.y);
        let nearest = self.depth.least(dx, dy, part);
        let shade = (self.shade.low + TO_INTEGER).to_bits() & 255;
        (((nearest + TO_INTEGER).to_bits() & INTEGER_BITS) << 8 | shade) as i32
    }

    #[inline(always)]
    fn fill_whole(&self, keys: &mut Keys) {
        let area = self.area;
        let at = [0, 1, 2].map(|k| self.edges[k].at_near(area.x, area.y));
        // Most need eight samples a row, and no loop over eights.
        if area.columns <= LANES as i32 {
            self.fill_from(at, Area { columns: LANES as i32, ..area }, keys);
        } else {
            self.fill_from(at, area, keys);
        }
    }

    #[inline(always)]
    fn fill(&self, part: Area, keys: &mut Keys) {
        let at = [0, 1, 2].map(|k| self.edges[k].at(part.x, part.y).clamp(-EDGE_BOUND, EDGE_BOUND) as i32);
        self.fill_from(at, part, keys);
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

    /// The largest value in an area.
    #[inline(always)]
    fn largest(&self, area: Area) -> i64 {
        let beyond = |slope: i32, samples: i32| i64::from(slope.max(0)) * i64::from(samples - 1);
        self.at(area.x, area.y) + beyond(self.along, area.columns) + beyond(self.down, area.rows)
    }
}

/// A value for each lane.
#[inline(always)]
fn lanes<T>(value: impl Fn(i32) -> T) -> [T; LANES] {
    std::array::from_fn(|i| value(i as i32))
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
        let [dx, dy] = [samples(dx), samples(dy)];
        Plane { start: self.start + self.along * dx + self.down * dy, ..*self }
    }

    /// No value computed in an area is less, with its rounding; the area starts that many steps away.
    #[inline(always)]
    fn least(&self, dx: i32, dy: i32, area: Area) -> f32 {
        let [dx, dy] = [samples(dx), samples(dy)];
        let (columns, rows) = (area.columns as f32, area.rows as f32);
        let first = self.start + self.along * dx + self.down * dy;
        let least = first + self.along.min(0.0) * columns + self.down.min(0.0) * rows;
        let largest_sum = self.start + self.along.abs() * (dx.abs() + columns) + self.down.abs() * (dy.abs() + rows);
        self.within(least - largest_sum * ROUNDING)
    }

    #[inline(always)]
    fn within(&self, value: f32) -> f32 {
        let value = if value < self.low { self.low } else { value };
        if value > self.high { self.high } else { value }
    }
}

/// Samples from steps: exact, since there are fewer than 2^24.
#[inline(always)]
fn samples(steps: i32) -> f32 {
    steps as f32 * (1.0 / STEPS as f32)
}
