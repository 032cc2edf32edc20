//! Solids given by a signed distance: rounded parts that flow into one another, and parts cut away.
//!
//! `add` parts are joined by a smooth minimum, `cut` parts removed by a smooth maximum; with a wall, only a shell of
//! the whole is kept. Distances are approximate, but change by at most [`STEEPEST`] times the way gone, which is what
//! lets [`super::nets`] skip what is far from the surface.

use super::form::curve;
use super::vector::{Point, add, dot, sub, times};
use crate::build::solid::Matrix;

/// Bound of the distances' slope.
pub(super) const STEEPEST: f64 = 1.4;

/// A piece of a solid.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// From `a` to `b`, the radius going from `ra` to `rb`: round at both ends.
    Limb { a: Point, b: Point, ra: f64, rb: f64 },
    /// An ellipsoid.
    Egg { centre: Point, radii: [f64; 3], turn: Matrix },
    /// A box of half sides, its edges rounded.
    Block { centre: Point, half: [f64; 3], round: f64, turn: Matrix },
    /// A cylinder about its z axis.
    Drum { centre: Point, radius: f64, half: f64, round: f64, turn: Matrix },
    /// A ring about its z axis.
    Ring { centre: Point, radius: f64, wire: f64, turn: Matrix },
}

/// No turn.
pub(super) const STRAIGHT: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// A point in the axes of a turned part: the rotation's transpose applied to the offset from its centre.
fn local(p: Point, centre: Point, turn: &Matrix) -> Point {
    let d = sub(p, centre);
    std::array::from_fn(|k| turn[0][k] * d[0] + turn[1][k] * d[1] + turn[2][k] * d[2])
}

impl Part {
    fn distance(&self, p: Point) -> f64 {
        match self {
            Part::Limb { a, b, ra, rb } => {
                let (along, from) = (sub(*b, *a), sub(p, *a));
                let t = (dot(from, along) / dot(along, along).max(1e-12)).clamp(0.0, 1.0);
                let off = sub(from, times(along, t));
                dot(off, off).sqrt() - (ra + (rb - ra) * t)
            }
            Part::Egg { centre, radii, turn } => {
                let q = local(p, *centre, turn);
                let (mut near, mut steep) = (0.0, 0.0);
                for k in 0..3 {
                    let x = q[k] / radii[k];
                    near += x * x;
                    steep += (x / radii[k]) * (x / radii[k]);
                }
                let (near, least) = (near.sqrt(), radii[0].min(radii[1]).min(radii[2]));
                (near * (near - 1.0) / steep.sqrt().max(1e-9)).max(-least)
            }
            Part::Block { centre, half, round, turn } => {
                let q = local(p, *centre, turn);
                let d: Point = std::array::from_fn(|k| q[k].abs() - half[k] + round);
                let outer = d.map(|x| x.max(0.0));
                dot(outer, outer).sqrt() + d[0].max(d[1]).max(d[2]).min(0.0) - round
            }
            Part::Drum { centre, radius, half, round, turn } => {
                let q = local(p, *centre, turn);
                let (r, h) = ((q[0] * q[0] + q[1] * q[1]).sqrt() - radius + round, q[2].abs() - half + round);
                let (x, y) = (r.max(0.0), h.max(0.0));
                (x * x + y * y).sqrt() + r.max(h).min(0.0) - round
            }
            Part::Ring { centre, radius, wire, turn } => {
                let q = local(p, *centre, turn);
                let r = (q[0] * q[0] + q[1] * q[1]).sqrt() - radius;
                (r * r + q[2] * q[2]).sqrt() - wire
            }
        }
    }

    /// A box around the part.
    fn bounds(&self) -> [Point; 2] {
        let about = |centre: &Point, reach: f64| [centre.map(|x| x - reach), centre.map(|x| x + reach)];
        match self {
            Part::Limb { a, b, ra, rb } => [
                std::array::from_fn(|k| (a[k] - ra).min(b[k] - rb)),
                std::array::from_fn(|k| (a[k] + ra).max(b[k] + rb)),
            ],
            Part::Egg { centre, radii: half, turn } | Part::Block { centre, half, turn, .. } => {
                let reach: Point = std::array::from_fn(|k| (0..3).map(|j| turn[k][j].abs() * half[j]).sum());
                [sub(*centre, reach), add(*centre, reach)]
            }
            Part::Drum { centre, radius, half, .. } => about(centre, (radius * radius + half * half).sqrt()),
            Part::Ring { centre, radius, wire, .. } => about(centre, radius + wire),
        }
    }

    /// The part with no radius below `least`, so that no cell of the grid can miss it.
    fn no_thinner(&mut self, least: f64) {
        match self {
            Part::Limb { ra, rb, .. } => (*ra, *rb) = (ra.max(least), rb.max(least)),
            Part::Egg { radii: three, .. } | Part::Block { half: three, .. } => *three = three.map(|r| r.max(least)),
            Part::Drum { radius, half, .. } => (*radius, *half) = (radius.max(least), half.max(least)),
            Part::Ring { wire, .. } => *wire = wire.max(least),
        }
    }
}

/// A solid of parts.
#[derive(Clone, Default, Debug)]
pub(super) struct Blend {
    add: Vec<Part>,
    cut: Vec<Part>,
    /// How wide the seams between added parts are.
    pub smooth: f64,
    /// How wide the rims of cuts are.
    pub rim: f64,
    /// Thickness of the wall that is kept; `None` keeps all.
    pub wall: Option<f64>,
}

impl Blend {
    /// Nothing yet, with seams of this width.
    pub(super) fn new(smooth: f64) -> Self {
        Blend { smooth, rim: smooth / 4.0, ..Blend::default() }
    }

    pub(super) fn part(&mut self, part: Part) {
        self.add.push(part);
    }

    pub(super) fn cut(&mut self, part: Part) {
        self.cut.push(part);
    }

    pub(super) fn limb(&mut self, a: Point, b: Point, ra: f64, rb: f64) {
        self.part(Part::Limb { a, b, ra, rb });
    }

    /// Limbs from joint to joint, each joint with its radius.
    pub(super) fn chain(&mut self, joints: &[Point], radii: &[f64]) {
        for (pair, r) in joints.windows(2).zip(radii.windows(2)) {
            self.limb(pair[0], pair[1], r[0], r[1]);
        }
    }

    /// A chain along a smooth curve through a few points, the radius running with it.
    pub(super) fn tail(&mut self, points: &[Point], radii: &[f64]) {
        let joints: Vec<[f64; 4]> = points.iter().zip(radii).map(|(p, r)| [p[0], p[1], p[2], *r]).collect();
        let fine = curve(&joints, 3);
        let radii: Vec<f64> = fine.iter().map(|j| j[3].max(1e-3)).collect();
        self.chain(&fine.iter().map(|j| [j[0], j[1], j[2]]).collect::<Vec<_>>(), &radii);
    }

    pub(super) fn ball(&mut self, centre: Point, radius: f64) {
        self.egg(centre, [radius; 3]);
    }

    pub(super) fn egg(&mut self, centre: Point, radii: [f64; 3]) {
        self.part(Part::Egg { centre, radii, turn: STRAIGHT });
    }

    /// All positions that a surface may have, seams included.
    pub(super) fn bounds(&self) -> [Point; 2] {
        let mut whole = [[f64::INFINITY; 3], [f64::NEG_INFINITY; 3]];
        for [low, high] in self.add.iter().map(Part::bounds) {
            for k in 0..3 {
                whole[0][k] = whole[0][k].min(low[k] - self.smooth / 4.0);
                whole[1][k] = whole[1][k].max(high[k] + self.smooth / 4.0);
            }
        }
        whole
    }

    /// The solid with no added part thinner than `least`.
    pub(super) fn no_thinner(mut self, least: f64) -> Self {
        self.add.iter_mut().for_each(|part| part.no_thinner(least));
        self.wall = self.wall.map(|wall| wall.max(1.5 * least));
        self
    }

    /// The distance to the surface, negative inside.
    pub(super) fn distance(&self, p: Point) -> f64 {
        let whole = self.add.iter().fold(f64::INFINITY, |sum, part| lower(sum, part.distance(p), self.smooth));
        let whole = self.wall.map_or(whole, |wall| whole.max(-whole - wall));
        self.cut.iter().fold(whole, |rest, part| -lower(-rest, part.distance(p), self.rim))
    }

    /// The solid as it is within `reach` of a point: without the parts that do not matter there.
    pub(super) fn near(&self, p: Point, reach: f64) -> Blend {
        let slack = 2.0 * STEEPEST * reach;
        let distances: Vec<f64> = self.add.iter().map(|part| part.distance(p)).collect();
        let most = distances.iter().copied().fold(f64::INFINITY, f64::min) + slack + 2.0 * self.smooth;
        let add = self.add.iter().zip(distances).filter(|(_, d)| *d <= most).map(|(part, _)| part.clone()).collect();
        // A cut matters where its distance may be less than the rim's width beyond the deepest the solid can be.
        let cut = self.cut.iter().filter(|part| part.distance(p) <= slack + self.rim).cloned().collect();
        Blend { add, cut, ..*self }
    }
}

/// The lesser of two distances, rounded where they differ by less than `width` (a quadratic in between).
fn lower(a: f64, b: f64, width: f64) -> f64 {
    let h = (width - (a - b).abs()).max(0.0);
    a.min(b) - if h > 0.0 { h * h / (4.0 * width) } else { 0.0 }
}
