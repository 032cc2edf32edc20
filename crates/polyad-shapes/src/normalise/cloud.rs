//! A cloud of points: how large its discs must be to close, and which way its surface faces.
//!
//! Points are counted in cells of a grid that is refined until cells hold a few points each. The occupied cells
//! then measure the surface, which gives the spacing of the points, and the moments of a cell with its
//! neighbours give the plane through them.

use super::NormalMesh;
use super::pose::symmetric_axes;
use crate::error::Result;
use crate::job::Job;
use crate::vector::sub;
use std::collections::HashMap;

/// Points in an occupied cell, on average, below which the grid is fine enough.
const POINTS_A_CELL: usize = 4;
/// Finest grid: cells a unit, as a power of two.
const FINEST: u32 = 8;
/// Radius of a disc in mean spacings. Random points leave a share exp(-pi r^2) of a surface open: 1 in 200.
const SPACINGS: f64 = 1.3;
/// Radii are kept between these: a point is seen at 224 pixels, and a few points do not make a wall.
const RADII: (f64, f64) = (0.008, 0.06);
/// A cell's points are a surface if their spread across it is at most this share of that along it.
const FLAT: f64 = 0.6;

/// Sums over points: count, places, products of places (xx, xy, xz, yy, yz, zz). Places are counted from the
/// middle of a cell, in its sides.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    first: [f64; 3],
    second: [f64; 6],
}

impl Moments {
    fn add(&mut self, other: &Moments) {
        self.count += other.count;
        (0..3).for_each(|k| self.first[k] += other.first[k]);
        (0..6).for_each(|k| self.second[k] += other.second[k]);
    }

    /// The same points, seen from a cell that lies `shift` cells back.
    fn moved(&self, shift: [i32; 3]) -> Moments {
        let s = shift.map(f64::from);
        let (n, f) = (self.count, self.first);
        let mut second = self.second;
        for (sum, (i, j)) in second.iter_mut().zip([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]) {
            *sum += s[i] * f[j] + f[i] * s[j] + n * s[i] * s[j];
        }
        Moments { count: n, first: std::array::from_fn(|k| f[k] + n * s[k]), second }
    }

    /// Unit normal of the plane through the points, zero where they show none.
    fn normal(&self) -> [f32; 3] {
        let mean = self.first.map(|x| x / self.count);
        let [xx, xy, xz, yy, yz, zz] = self.second.map(|x| x / self.count);
        let m = [
            [xx - mean[0] * mean[0], xy - mean[0] * mean[1], xz - mean[0] * mean[2]],
            [xy - mean[0] * mean[1], yy - mean[1] * mean[1], yz - mean[1] * mean[2]],
            [xz - mean[0] * mean[2], yz - mean[1] * mean[2], zz - mean[2] * mean[2]],
        ];
        let (spread, axes) = symmetric_axes(m);
        let flat = self.count >= 4.0 && spread[2].max(0.0).sqrt() <= FLAT * spread[1].max(0.0).sqrt();
        if flat { axes[2].map(|x| x as f32) } else { [0.0; 3] }
    }
}

type Cell = [i32; 3];

/// Gives points of the unit sphere their discs.
pub(super) fn with_discs(places: &[[f64; 3]], job: Job) -> Result<NormalMesh> {
    let (step, cells) = grid(places, job)?;
    let area = cells.len() as f64 * step * step;
    let spacing = (area / places.len() as f64).sqrt();
    let radius = (SPACINGS * spacing).clamp(RADII.0, RADII.1);

    let normals: HashMap<Cell, [f32; 3]> = cells.keys().map(|&cell| (cell, around(&cells, cell).normal())).collect();
    job.check()?;
    Ok(NormalMesh {
        positions: std::array::from_fn(|k| places.iter().map(|p| p[k] as f32).collect()),
        normals: std::array::from_fn(|k| places.iter().map(|&p| normals[&cell_of(p, step)][k]).collect()),
        triangles: Vec::new(),
        disc_radius: radius as f32,
    })
}

/// Side of the cells of the finest useful grid, and its occupied cells.
fn grid(places: &[[f64; 3]], job: Job) -> Result<(f64, HashMap<Cell, Moments>)> {
    let mut level = 2;
    loop {
        job.check()?;
        let step = 1.0 / f64::from(1u32 << level);
        let mut cells: HashMap<Cell, Moments> = HashMap::new();
        // Points are added in their own order, so that the sums do not depend on the map's.
        for &p in places {
            // About the cell's middle, where little is lost when the square of the mean is taken off.
            let cell = cell_of(p, step);
            let [x, y, z] = sub(p, middle(cell, step)).map(|d| d / step);
            let point = Moments { count: 1.0, first: [x, y, z], second: [x * x, x * y, x * z, y * y, y * z, z * z] };
            cells.entry(cell).or_default().add(&point);
        }
        if level == FINEST || places.len() < POINTS_A_CELL * cells.len() {
            return Ok((step, cells));
        }
        level += 1;
    }
}

/// Moments of a cell and its 26 neighbours about the middle of the cell, in units of its side.
fn around(cells: &HashMap<Cell, Moments>, cell: Cell) -> Moments {
    let mut sum = Moments::default();
    for i in 0..27 {
        let shift = [i % 3 - 1, i / 3 % 3 - 1, i / 9 - 1];
        let neighbour = std::array::from_fn(|k| cell[k] + shift[k]);
        let Some(m) = cells.get(&neighbour) else { continue };
        sum.add(&m.moved(shift));
    }
    sum
}

fn cell_of(p: [f64; 3], step: f64) -> Cell {
    p.map(|x| (x / step).floor() as i32)
}

fn middle(cell: Cell, step: f64) -> [f64; 3] {
    cell.map(|c| (f64::from(c) + 0.5) * step)
}
