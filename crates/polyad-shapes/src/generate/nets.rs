//! From a signed distance to triangles: naive surface nets (Gibson 1998).
//!
//! A cell of the grid whose corners differ in sign gets one vertex, the mean of the crossings on its edges; an edge of
//! the grid that crosses the surface gets a quadrilateral between its four cells. As the grid's border lies outside,
//! every edge of a triangle is run through once in each direction for every time it is used: the surface is closed.
//!
//! Blocks of the grid whose middle is farther from the surface than their own reach are filled without a look inside,
//! and in the others only the parts that matter there are evaluated.

use super::form::largest;
use super::implicit::{Blend, STEEPEST};
use super::vector::{Point, add, length, sub};
use crate::mesh::Mesh;

/// Points of a block along each axis.
const BLOCK: usize = 4;
/// Cells of a grid at most.
const MOST_CELLS: f64 = 150_000.0;
/// The least radius of a part, in cells.
const LEAST_RADIUS: f64 = 0.8;
const NONE: u32 = u32::MAX;

/// The surface of a solid, on a grid of about `resolution` cells along its longest side.
pub(super) fn surface(solid: &Blend, resolution: usize) -> Mesh {
    let bounds @ [low, high] = solid.bounds();
    let volume: f64 = sub(high, low).iter().product();
    let cell = (largest(bounds) / resolution as f64).max(libm::cbrt(volume / MOST_CELLS));
    let solid = solid.clone().no_thinner(LEAST_RADIUS * cell);
    let grid = Grid::about(&solid, cell);
    grid.mesh(&grid.values(&solid))
}

struct Grid {
    origin: Point,
    cell: f64,
    /// Points along each axis.
    size: [usize; 3],
}

impl Grid {
    /// A grid whose border lies outside a solid.
    fn about(solid: &Blend, cell: f64) -> Self {
        let [low, high] = solid.bounds();
        let size = sub(high, low).map(|side| (side / cell) as usize + 4);
        Grid { origin: low.map(|x| x - 1.5 * cell), cell, size }
    }

    fn at(&self, i: [usize; 3]) -> Point {
        std::array::from_fn(|k| self.origin[k] + self.cell * i[k] as f64)
    }

    fn index(&self, i: [usize; 3]) -> usize {
        (i[2] * self.size[1] + i[1]) * self.size[0] + i[0]
    }

    /// The distance at each point, exact near the surface and of the right sign elsewhere.
    fn values(&self, solid: &Blend) -> Vec<f64> {
        let mut values = vec![f64::INFINITY; self.size.iter().product()];
        let blocks = self.size.map(|n| n.div_ceil(BLOCK));
        for block in indices([0; 3], blocks) {
            let first = block.map(|b| b * BLOCK);
            let end = std::array::from_fn(|k| (first[k] + BLOCK).min(self.size[k]));
            let half = [0.5 * self.cell * (BLOCK - 1) as f64; 3];
            let middle = add(self.at(first), half);
            let reach = length(half);
            let far = solid.distance(middle);
            // One cell more, so that both ends of an edge that crosses the surface are looked at.
            if far.abs() > STEEPEST * (reach + self.cell) {
                indices(first, end).for_each(|i| values[self.index(i)] = far);
                continue;
            }
            let near = solid.near(middle, reach);
            indices(first, end).for_each(|i| values[self.index(i)] = near.distance(self.at(i)));
        }
        values
    }

    fn mesh(&self, values: &[f64]) -> Mesh {
        let mut mesh = Mesh::default();
        let mut vertex = vec![NONE; values.len()];
        let step = [1, self.size[0], self.size[0] * self.size[1]];
        for i in indices([0; 3], self.size.map(|n| n - 1)) {
            let base = self.index(i);
            let corner = |c: usize| values[base + (c & 1) * step[0] + (c >> 1 & 1) * step[1] + (c >> 2) * step[2]];
            let inside = (0..8).filter(|c| corner(*c) < 0.0).count();
            if inside > 0 && inside < 8 {
                vertex[base] = mesh.positions.len() as u32;
                let within = crossing_mean(corner);
                mesh.positions.push(add(self.at(i), within.map(|x| x * self.cell)));
            }
        }
        for i in indices([1; 3], self.size.map(|n| n - 1)) {
            let base = self.index(i);
            for k in 0..3 {
                let (from, to) = (values[base] < 0.0, values[base + step[k]] < 0.0);
                if from != to {
                    let (u, v) = (step[(k + 1) % 3], step[(k + 2) % 3]);
                    let [a, b, c, d] = [base - u - v, base - v, base, base - u].map(|cell| vertex[cell]);
                    let [b, d] = if from { [b, d] } else { [d, b] };
                    let span = |p: u32, q: u32| {
                        let [p, q] = [p, q].map(|i| mesh.positions[i as usize]);
                        length(sub(p, q))
                    };
                    let short = span(a, c) <= span(b, d);
                    mesh.triangles.extend(if short { [[a, b, c], [a, c, d]] } else { [[b, c, d], [b, d, a]] });
                }
            }
        }
        mesh
    }
}

/// The mean of the places where the surface crosses a cell's edges, in the cell's own unit.
fn crossing_mean(corner: impl Fn(usize) -> f64) -> Point {
    let (mut sum, mut count) = ([0.0; 3], 0.0);
    for c in 0..8 {
        for k in (0..3).filter(|k| c >> k & 1 == 0) {
            let (from, to) = (corner(c), corner(c | 1 << k));
            if (from < 0.0) != (to < 0.0) {
                let mut place: Point = std::array::from_fn(|j| (c >> j & 1) as f64);
                place[k] = from / (from - to);
                sum = add(sum, place);
                count += 1.0;
            }
        }
    }
    sum.map(|x| x / count)
}

/// All triples from `first` to before `end`, the first number running fastest.
fn indices(first: [usize; 3], end: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let [x, y, z] = [0, 1, 2].map(|k| first[k]..end[k]);
    z.flat_map(move |k| {
        let x = x.clone();
        y.clone().flat_map(move |j| x.clone().map(move |i| [i, j, k]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::implicit::{Part, STRAIGHT};
    use crate::generate::vector::{cross, dot};
    use crate::random::Random;
    use std::collections::HashMap;

    fn random_solid(random: &mut Random) -> Blend {
        let mut solid = Blend::new(random.between(0.01, 0.3));
        let mut point = || -> Point { std::array::from_fn(|_| random.between(-1.0, 1.0)) };
        let joints: Vec<Point> = (0..6).map(|_| point()).collect();
        solid.tail(&joints, &[0.3, 0.2, 0.1, 0.2, 0.05, 0.01]);
        solid.egg(point(), [0.6, 0.3, 0.2]);
        solid.part(Part::Block { centre: point(), half: [0.4, 0.2, 0.3], round: 0.05, turn: STRAIGHT });
        solid.part(Part::Ring { centre: point(), radius: 0.5, wire: 0.1, turn: STRAIGHT });
        solid.cut(Part::Drum { centre: point(), radius: 0.3, half: 0.7, round: 0.0, turn: STRAIGHT });
        solid
    }

    #[test]
    fn every_surface_is_closed() {
        for seed in 0..200 {
            let mut random = Random::new(seed, 1);
            let mut solid = random_solid(&mut random);
            solid.wall = random.chance(0.3).then_some(0.08);
            let mesh = surface(&solid, random.count(10, 40));
            let mut runs: HashMap<(u32, u32), i32> = HashMap::new();
            for [a, b, c] in &mesh.triangles {
                for (p, q) in [(*a, *b), (*b, *c), (*c, *a)] {
                    *runs.entry((p.min(q), p.max(q))).or_default() += if p < q { 1 } else { -1 };
                }
            }
            assert!(!mesh.triangles.is_empty(), "{seed}");
            assert!(runs.values().all(|sum| *sum == 0), "seed {seed}");
        }
    }

    #[test]
    fn what_is_skipped_changes_no_sign() {
        for seed in 0..40 {
            let solid = random_solid(&mut Random::new(seed, 2)).no_thinner(0.05);
            let grid = Grid::about(&solid, 0.08);
            let values = grid.values(&solid);
            let wrong = indices([0; 3], grid.size).filter(|i| {
                let true_value = solid.distance(grid.at(*i));
                (true_value < 0.0) != (values[grid.index(*i)] < 0.0)
            });
            assert_eq!(wrong.count(), 0, "seed {seed}");
        }
    }

    #[test]
    fn a_ball_is_a_ball_that_faces_outwards() {
        let mut solid = Blend::new(0.1);
        solid.ball([1.0, 2.0, 3.0], 1.0);
        let mesh = surface(&solid, 40);
        let off = mesh.positions.iter().map(|p| (length(sub(*p, [1.0, 2.0, 3.0])) - 1.0).abs()).fold(0.0, f64::max);
        assert!(off < 0.01, "{off}");
        let volume: f64 = mesh
            .triangles
            .iter()
            .map(|t| {
                let [a, b, c] = t.map(|i| mesh.positions[i as usize]);
                dot(a, cross(b, c)) / 6.0
            })
            .sum();
        assert!((volume / 4.188_790_2 - 1.0).abs() < 0.02, "{volume}");
    }
}
