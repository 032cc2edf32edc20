//! What lies behind everything that is drawn already, and need not be drawn.
//!
//! Cells of 16 x 16 samples have a bound: no key in the cell is larger. Two by two cells make a cell of the next
//! level, up to one that holds the whole picture. Where no key of a shape can be less than the bound, the shape
//! is hidden. Keys only fall, so a bound that was right stays right: bounds are measured again late, when they
//! have not sufficed and something was drawn below them in the meantime. That keeps measuring cheap beside
//! drawing, and costs nothing where nothing is asked.

use super::raster::{Area, EMPTY, Keys, TILE_BITS};

/// Tiles drawn into a cell before it is measured again: measuring takes a tenth of the time of drawing a tile,
/// which may touch four cells.
const PATIENCE: u32 = 8;

#[derive(Clone, Copy)]
struct Bound {
    /// No key is larger.
    most: i32,
    /// What happened below since it was measured: tiles drawn, or cells of the level below that fell.
    news: u32,
}

/// Cells of one size.
struct Grid {
    columns: usize,
    bounds: Vec<Bound>,
}

/// Bounds of the keys of a picture.
pub(super) struct Hidden {
    /// From the smallest cells to one that holds the picture.
    grids: Vec<Grid>,
}

impl Hidden {
    /// For pictures of `side` samples a row.
    pub fn new(side: usize) -> Hidden {
        let mut columns = side.div_ceil(1 << TILE_BITS);
        let mut grids = Vec::new();
        loop {
            grids.push(Grid { columns, bounds: vec![Bound { most: EMPTY, news: 0 }; columns * columns] });
            if columns == 1 {
                break;
            }
            columns = columns.div_ceil(2);
        }
        Hidden { grids }
    }

    /// Knows nothing of the picture any more: a cell is measured when it is first asked for.
    pub fn clear(&mut self) {
        for (level, grid) in self.grids.iter_mut().enumerate() {
            grid.bounds.fill(Bound { most: EMPTY, news: if level == 0 { PATIENCE } else { 0 } });
        }
    }

    /// Takes note of a tile that was drawn.
    #[inline(always)]
    pub fn drawn(&mut self, tile: Area) {
        let Grid { columns, bounds } = &mut self.grids[0];
        let [xs, ys] = tile.cells(0);
        for y in ys {
            xs.clone().for_each(|x| bounds[y * *columns + x].news += 1);
        }
    }

    /// Whether keys of `key` and more change nothing in an area of at most 16 << `level` samples a side.
    #[inline(always)]
    pub fn hides(&mut self, keys: &Keys, area: Area, level: usize, key: i32) -> bool {
        let [xs, ys] = area.cells(level);
        for y in ys {
            for x in xs.clone() {
                let bound = self.grids[level].bounds[y * self.grids[level].columns + x];
                let stale = bound.news >= if level == 0 { PATIENCE } else { 1 };
                if bound.most > key && !(stale && self.measure(keys, level, x, y) <= key) {
                    return false;
                }
            }
        }
        true
    }

    #[inline(always)]
    fn measure(&mut self, keys: &Keys, level: usize, x: usize, y: usize) -> i32 {
        let most = if level == 0 { keys.most_in_cell(x, y) } else { self.most_below(level, x, y) };
        let grid = &mut self.grids[level];
        let fell = most < std::mem::replace(&mut grid.bounds[y * grid.columns + x], Bound { most, news: 0 }).most;
        if let Some(above) = self.grids.get_mut(level + 1).filter(|_| fell) {
            above.bounds[y / 2 * above.columns + x / 2].news += 1;
        }
        most
    }

    /// The largest bound of the cells, four at most, that make a larger one.
    #[inline(always)]
    fn most_below(&self, level: usize, x: usize, y: usize) -> i32 {
        let Grid { columns, bounds } = &self.grids[level - 1];
        let end = |v: usize| (2 * v + 2).min(*columns);
        let rows = (2 * y..end(y)).map(|row| &bounds[row * columns + 2 * x..row * columns + end(x)]);
        rows.flatten().fold(i32::MIN, |most, bound| most.max(bound.most))
    }
}
