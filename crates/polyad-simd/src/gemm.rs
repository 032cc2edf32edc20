//! Products of small matrices that stay in the caches: the inner loops of attention.
//!
//! ```text
//! c[i, j] (+)= Σ_k a[i, k] · b[k, j]
//! 1. for each group of columns     (4 vectors of AVX-512; 1 of AVX2, which has a quarter of the registers' room)
//! 2.   for each tile of rows       (6 x 4 sums: 24 of 32 registers)
//! 3.     for each k                4 loads of b, 6 broadcasts of a, 24 multiply-adds
//! ```
//!
//! `b` lies in groups of [`GROUP`] columns, so that a tile reads it in order; a plain matrix of few columns is the case
//! of one group, or of a group stride of [`GROUP`]. The rows of `a` are contiguous or its columns are, so `aᵀ b` needs no
//! copy.

use crate::level::Level;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Columns of a group of `b`.
pub const GROUP: usize = 4 * LANES;

/// A product, see the module's head. Strides are in numbers.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// Rows of `a` and `c`.
    pub rows: usize,
    /// Columns of `a`, rows of `b`.
    pub depth: usize,
    /// Columns of `b` and `c`, a multiple of 16.
    pub columns: usize,
    /// The first matrix.
    pub a: &'a [f32],
    /// From a row of `a` to the next.
    pub a_row: usize,
    /// From a column of `a` to the next.
    pub a_column: usize,
    /// The second matrix.
    pub b: &'a [f32],
    /// From a row of `b` to the next.
    pub b_row: usize,
    /// From a group of `b`'s columns to the next.
    pub b_group: usize,
    /// From a row of `c` to the next.
    pub c_row: usize,
    /// Whether to add to what is in `c`.
    pub add: bool,
}

impl Product<'_> {
    /// Computes into `c`, on `level`. Time: `rows · depth · columns` multiply-adds.
    ///
    /// # Panics
    /// Where a stride leads out of a slice, `columns` is not a multiple of 16, or neither stride of `a` is 1.
    pub fn run(self, level: Level, c: &mut [f32]) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        assert!(self.columns.is_multiple_of(LANES), "{} columns are no multiple of {LANES}", self.columns);
        let last = |count: usize, stride: usize| (count - 1) * stride;
        assert!(self.a_row == 1 || self.a_column == 1, "neither rows nor columns of the first matrix are contiguous");
        if self.depth > 0 {
            assert!(
                last(self.rows, self.a_row) + last(self.depth, self.a_column) < self.a.len(),
                "the first matrix is too short"
            );
            let groups = self.columns.div_ceil(GROUP);
            let rest = self.columns - last(groups, GROUP);
            // Groups but the last are whole; with a negative step between groups there is none to check.
            let whole = if groups > 1 { last(groups - 1, self.b_group) + GROUP } else { 0 };
            let end = last(self.depth, self.b_row) + whole.max(last(groups, self.b_group) + rest);
            assert!(end <= self.b.len(), "the second matrix is too short");
        }
        assert!(last(self.rows, self.c_row) + self.columns <= c.len(), "the product is too short");
        dispatch(level, Run { job: self, c });
    }
}

struct Run<'a, 'c> {
    job: Product<'a>,
    c: &'c mut [f32],
}

impl Kernel for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Run { job, c } = self;
        if job.a_column == 1 {
            strips::<S, true>(simd, &job, c);
        } else {
            strips::<S, false>(simd, &job, c);
        }
    }
}

/// All columns. `ROWS`: whether the rows of `a` are contiguous; its columns are otherwise.
#[inline(always)]
fn strips<S: Simd, const ROWS: bool>(simd: S, job: &Product<'_>, c: &mut [f32]) {
    let mut column = 0;
    while column < job.columns {
        let left = (job.columns - column) / LANES;
        // A narrow group leaves room for more rows.
        column += LANES
            * match left.min(GROUP / LANES - column % GROUP / LANES) {
                _ if S::VECTORS < 8 => strip::<S, ROWS, 3, 1>(simd, job, c, column),
                _ if S::VECTORS < 32 => strip::<S, ROWS, 6, 1>(simd, job, c, column),
                4 => strip::<S, ROWS, 6, 4>(simd, job, c, column),
                3 => strip::<S, ROWS, 8, 3>(simd, job, c, column),
                2 => strip::<S, ROWS, 8, 2>(simd, job, c, column),
                _ => strip::<S, ROWS, 12, 1>(simd, job, c, column),
            };
    }
}

/// All rows of `N` vectors of columns. Gives `N`.
#[inline(always)]
fn strip<S: Simd, const ROWS: bool, const M: usize, const N: usize>(
    simd: S,
    job: &Product<'_>,
    c: &mut [f32],
    column: usize,
) -> usize {
    let mut row = 0;
    while row < job.rows {
        let at = (row, column);
        row += match job.rows - row {
            left if left >= M => tile::<S, ROWS, M, N>(simd, job, c, at),
            8.. => tile::<S, ROWS, 8, N>(simd, job, c, at),
            4.. => tile::<S, ROWS, 4, N>(simd, job, c, at),
            3 => tile::<S, ROWS, 3, N>(simd, job, c, at),
            2 => tile::<S, ROWS, 2, N>(simd, job, c, at),
            _ => tile::<S, ROWS, 1, N>(simd, job, c, at),
        };
    }
    N
}

/// Steps of `k` in a row of code: counting and walking take ports from the multiply-adds.
const STEPS: usize = 4;

/// `M` rows of `N` vectors, all sums in registers. Gives `M`.
//
// No closures here: one that is not inlined, in so large a function, is compiled without the level's instructions.
#[inline(always)]
fn tile<S: Simd, const ROWS: bool, const M: usize, const N: usize>(
    simd: S,
    job: &Product<'_>,
    c: &mut [f32],
    (row, column): (usize, usize),
) -> usize {
    let mut sums = [[simd.splat(0.0); N]; M];
    // SAFETY: `Product::run` has checked that the last row and column of each matrix lie inside its slice, and that one
    // of the strides of `a` is 1; all offsets here are at most those.
    unsafe {
        let (a_row, a_column) = if ROWS { (job.a_row, 1) } else { (1, job.a_column) };
        let mut a = job.a.as_ptr().wrapping_add(row * a_row);
        let mut b = job.b.as_ptr().wrapping_add(column / GROUP * job.b_group + column % GROUP);
        let c = c.as_mut_ptr().add(row * job.c_row + column);
        if job.add {
            for (m, sums) in sums.iter_mut().enumerate() {
                for (n, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.load(&*c.add(m * job.c_row + n * LANES).cast());
                }
            }
        }
        for _ in 0..job.depth / STEPS {
            step::<S, ROWS, M, N>(simd, job, a, b, &mut sums);
            step::<S, ROWS, M, N>(simd, job, a.wrapping_add(a_column), b.wrapping_add(job.b_row), &mut sums);
            step::<S, ROWS, M, N>(simd, job, a.wrapping_add(2 * a_column), b.wrapping_add(2 * job.b_row), &mut sums);
            step::<S, ROWS, M, N>(simd, job, a.wrapping_add(3 * a_column), b.wrapping_add(3 * job.b_row), &mut sums);
            a = a.wrapping_add(STEPS * a_column);
            b = b.wrapping_add(STEPS * job.b_row);
        }
        for _ in 0..job.depth % STEPS {
            step::<S, ROWS, M, N>(simd, job, a, b, &mut sums);
            a = a.wrapping_add(a_column);
            b = b.wrapping_add(job.b_row);
        }
        for (m, sums) in sums.into_iter().enumerate() {
            for (n, sum) in sums.into_iter().enumerate() {
                simd.store(sum, &mut *c.add(m * job.c_row + n * LANES).cast());
            }
        }
    }
    M
}

/// Adds the products of one `k`.
///
/// # Safety
/// `a` must have `M` rows, `b` `N` vectors.
#[inline(always)]
unsafe fn step<S: Simd, const ROWS: bool, const M: usize, const N: usize>(
    simd: S,
    job: &Product<'_>,
    a: *const f32,
    b: *const f32,
    sums: &mut [[S::V; N]; M],
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut columns = [simd.splat(0.0); N];
        for (n, column) in columns.iter_mut().enumerate() {
            *column = simd.load(&*b.add(n * LANES).cast());
        }
        for (m, sums) in sums.iter_mut().enumerate() {
            let x = simd.splat(*a.add(m * if ROWS { job.a_row } else { 1 }));
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = simd.mul_add(x, column, *sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(i: usize) -> f32 {
        ((i * 2_654_435_761) % 1009) as f32 / 500.0 - 1.0
    }

    #[test]
    fn every_level_agrees_with_double_precision_at_sizes_that_fill_tiles_and_that_do_not() {
        for level in Level::ALL {
            if !level.is_present() {
                eprintln!("not run: this processor has no {level}");
                continue;
            }
            for (rows, depth, columns) in [
                (1usize, 1usize, 16usize),
                (6, 64, 64),
                (7, 5, 128),
                (23, 33, 80),
                (12, 0, 32),
                (13, 17, 48),
                (5, 9, 112),
                (30, 2, 96),
            ] {
                for (transposed, add) in [(false, false), (true, true)] {
                    let a: Vec<f32> = (0..rows * depth).map(number).collect();
                    let groups = columns.div_ceil(GROUP);
                    let b: Vec<f32> = (0..groups * depth * GROUP).map(|i| number(i + 7)).collect();
                    let (a_row, a_column) = if transposed { (1, rows) } else { (depth, 1) };
                    let mut c: Vec<f32> = (0..rows * columns).map(|i| number(i + 3)).collect();
                    let before = c.clone();
                    Product {
                        rows,
                        depth,
                        columns,
                        a: &a,
                        a_row,
                        a_column,
                        b: &b,
                        b_row: GROUP,
                        b_group: depth * GROUP,
                        c_row: columns,
                        add,
                    }
                    .run(level, &mut c);
                    for i in 0..rows {
                        for j in 0..columns {
                            let term = |k: usize| {
                                let b = b[j / GROUP * depth * GROUP + k * GROUP + j % GROUP];
                                f64::from(a[i * a_row + k * a_column]) * f64::from(b)
                            };
                            let start = if add { f64::from(before[i * columns + j]) } else { 0.0 };
                            let expected: f64 = start + (0..depth).map(term).sum::<f64>();
                            // Sums of `depth` products of numbers up to 1: γ_(depth + 1) of their absolute values.
                            let tolerance = (depth + 2) as f64 * f64::from(f32::EPSILON) * (depth + 1) as f64;
                            let found = f64::from(c[i * columns + j]);
                            assert!(
                                (found - expected).abs() <= tolerance,
                                "{level} {rows}x{depth}x{columns} at {i},{j}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "second matrix is too short")]
    fn a_short_matrix_is_refused() {
        let a = [0.0; 4];
        let job = Product {
            rows: 2,
            depth: 2,
            columns: 16,
            a: &a,
            a_row: 2,
            a_column: 1,
            b: &[0.0; 31],
            b_row: 16,
            b_group: 0,
            c_row: 16,
            add: false,
        };
        job.run(Level::Portable, &mut [0.0; 32]);
    }
}
