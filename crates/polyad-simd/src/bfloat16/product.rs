//! The product of two matrices of bfloat16 numbers.

use super::{BLOCK, Half, HalfKernel, dispatch_half};
#[cfg(target_arch = "x86_64")]
use crate::amx;
use crate::level::Level;
use crate::simd::LANES;

/// A product, see the head of [`crate::bfloat16`]. Strides are in numbers of their array.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// Rows of `a` and `c`, a multiple of [`BLOCK`].
    pub rows: usize,
    /// Columns of `a`, rows of `b`, a multiple of [`BLOCK`], not 0.
    pub depth: usize,
    /// Columns of `b` and `c`, a multiple of 16.
    pub columns: usize,
    /// The first matrix, its rows contiguous.
    pub a: &'a [u16],
    /// From a row of `a` to the next.
    pub a_row: usize,
    /// The second matrix, two of its rows side by side.
    pub b: &'a [u16],
    /// From two rows of `b` to the next two.
    pub b_row: usize,
    /// From a group of [`BLOCK`] columns of `b` to the next.
    pub b_group: usize,
    /// From a row of `c` to the next.
    pub c_row: usize,
    /// From a group of [`BLOCK`] columns of `c` to the next.
    pub c_group: usize,
    /// Whether to add to what is in `c`.
    pub add: bool,
}

/// What products of one thread are computed with: tiles from [`Level::Amx`] on, AVX-512 BF16 below, plain code where the
/// processor lacks either. Making one takes a hundred cycles or two, so have one for many products.
#[derive(Debug)]
pub struct Session {
    level: Level,
    #[cfg(target_arch = "x86_64")]
    tiles: Option<amx::Tiles>,
}

impl Session {
    /// Products of this thread on `level`.
    pub fn new(level: Level) -> Self {
        Session {
            level,
            #[cfg(target_arch = "x86_64")]
            tiles: if level >= Level::Amx { amx::Tiles::configure() } else { None },
        }
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }
}

impl Product<'_> {
    /// Computes into `c`. Time: `rows · depth · columns` multiply-adds.
    ///
    /// Sums are in single precision; levels add in different orders, and may take subnormal numbers as 0.
    ///
    /// # Panics
    /// Where a stride leads out of a slice, or a size is not the multiple it should be.
    pub fn run(self, session: &Session, c: &mut [f32]) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        assert!(self.columns.is_multiple_of(LANES), "{} columns are no multiple of {LANES}", self.columns);
        assert!(
            self.rows.is_multiple_of(BLOCK) && self.depth.is_multiple_of(BLOCK) && self.depth > 0,
            "{} rows and depth {} are not multiples of {}",
            self.rows,
            self.depth,
            BLOCK
        );
        let last = |count: usize, stride: usize| (count - 1) * stride;
        assert!(last(self.rows, self.a_row) + self.depth <= self.a.len(), "the first matrix is too short");
        // The last group may be half a one, the one before ends further on if groups overlap.
        let groups = self.columns.div_ceil(BLOCK);
        let rest = self.columns - last(groups, BLOCK);
        let end = |group: usize| match groups {
            1 => rest,
            _ => (last(groups, group) + rest).max(last(groups - 1, group) + BLOCK),
        };
        let b_end = last(self.depth / 2, self.b_row) + 2 * end(self.b_group.div_ceil(2));
        assert!(b_end <= self.b.len(), "the second matrix is too short");
        assert!(last(self.rows, self.c_row) + end(self.c_group) <= c.len(), "the product is too short");
        #[cfg(target_arch = "x86_64")]
        if let Some(tiles) = &session.tiles {
            return self.run_tiles(tiles, c);
        }
        dispatch_half(session.level, Run { job: self, c });
    }

    /// Columns outside: the second matrix, the greater one, is then read once.
    #[cfg(target_arch = "x86_64")]
    fn run_tiles(&self, tiles: &amx::Tiles, c: &mut [f32]) {
        for column in (0..self.columns).step_by(BLOCK) {
            for row in (0..self.rows).step_by(BLOCK) {
                let block = amx::Block {
                    a: self.a.as_ptr().wrapping_add(row * self.a_row),
                    a_row: size_of::<u16>() * self.a_row,
                    b: self.b.as_ptr().wrapping_add(column / BLOCK * self.b_group),
                    b_row: size_of::<u16>() * self.b_row,
                    c: c.as_mut_ptr().wrapping_add(row * self.c_row + column / BLOCK * self.c_group),
                    c_row: size_of::<f32>() * self.c_row,
                    depth: self.depth / BLOCK,
                    add: self.add,
                };
                // SAFETY: `run` has checked that the last row and column of each matrix lie inside its slice; a block
                // ends at those at most, being narrow where there are only 16 columns left.
                unsafe { if self.columns - column >= BLOCK { block.wide(tiles) } else { block.narrow(tiles) } }
            }
        }
    }
}

struct Run<'a, 'c> {
    job: Product<'a>,
    c: &'c mut [f32],
}

impl HalfKernel for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        let Run { job, c } = self;
        for column in (0..job.columns).step_by(BLOCK) {
            match job.columns - column {
                LANES => strip::<S, 8, 1>(simd, &job, c, column / BLOCK),
                _ => strip::<S, 8, 2>(simd, &job, c, column / BLOCK),
            }
        }
    }
}

/// All rows, `M` at a time, of `N` vectors of columns, a group.
#[inline(always)]
fn strip<S: Half, const M: usize, const N: usize>(simd: S, job: &Product<'_>, c: &mut [f32], group: usize) {
    for row in (0..job.rows).step_by(M) {
        let mut sums = [[simd.splat(0.0); N]; M];
        // SAFETY: `Product::run` has checked that the last row and column of each matrix lie inside its slice, and that
        // the rows are whole multiples of M; all offsets here are at most those.
        unsafe {
            let a = job.a.as_ptr().add(row * job.a_row);
            let b = job.b.as_ptr().add(group * job.b_group);
            let c = c.as_mut_ptr().add(row * job.c_row + group * job.c_group);
            if job.add {
                for (m, sums) in sums.iter_mut().enumerate() {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.load(&*c.add(m * job.c_row + n * LANES).cast());
                    }
                }
            }
            for k in 0..job.depth / 2 {
                let mut columns = [simd.splat_pair([0; 2]); N];
                for (n, column) in columns.iter_mut().enumerate() {
                    *column = simd.load_pairs(&*b.add(k * job.b_row + n * 2 * LANES).cast());
                }
                for (m, sums) in sums.iter_mut().enumerate() {
                    let pair = simd.splat_pair(*a.add(m * job.a_row + 2 * k).cast());
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = simd.dot(pair, column, *sum);
                    }
                }
            }
            for (m, sums) in sums.into_iter().enumerate() {
                for (n, sum) in sums.into_iter().enumerate() {
                    simd.store(sum, &mut *c.add(m * job.c_row + n * LANES).cast());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bfloat16::{narrow, widen};

    fn numbers(count: usize, seed: usize) -> Vec<u16> {
        (0..count).map(|i| narrow(((i + seed) * 2_654_435_761 % 1009) as f32 / 500.0 - 1.0)).collect()
    }

    #[test]
    fn every_level_agrees_with_double_precision_at_sizes_that_fill_tiles_and_that_do_not() {
        for level in Level::ALL {
            if !level.is_present() {
                eprintln!("not run: this processor has no {level}");
                continue;
            }
            for (rows, depth, columns) in
                [(32usize, 32usize, 16usize), (32, 64, 64), (64, 96, 256), (96, 32, 80), (32, 256, 48), (64, 64, 112)]
            {
                for add in [false, true] {
                    // Rows and groups a little longer than what is used of them.
                    let (a_row, c_row, groups) = (depth + 6, columns + 3, columns.div_ceil(BLOCK));
                    let a = numbers(rows * a_row, 0);
                    let b = numbers(groups * depth * BLOCK, 7);
                    let before: Vec<f32> = numbers(rows * c_row, 3).into_iter().map(widen).collect();
                    let mut c = before.clone();
                    let (b_row, b_group, c_group) = (2 * BLOCK, depth * BLOCK, BLOCK);
                    Product { rows, depth, columns, a: &a, a_row, b: &b, b_row, b_group, c_row, c_group, add }
                        .run(&Session::new(level), &mut c);
                    for i in 0..rows {
                        for j in 0..columns {
                            let term = |k: usize| {
                                let b = b[j / BLOCK * b_group + k / 2 * b_row + j % BLOCK * 2 + k % 2];
                                f64::from(widen(a[i * a_row + k])) * f64::from(widen(b))
                            };
                            let start = if add { f64::from(before[i * c_row + j]) } else { 0.0 };
                            let expected: f64 = start + (0..depth).map(term).sum::<f64>();
                            // Sums of `depth` products of numbers up to 1.01: γ_(depth + 1) of their absolute values.
                            let tolerance = (depth + 2) as f64 * f64::from(f32::EPSILON) * (depth + 2) as f64;
                            let found = f64::from(c[i * c_row + j]);
                            let what = || format!("{level} {rows}x{depth}x{columns} at {i},{j}: {found}, {expected}");
                            assert!((found - expected).abs() <= tolerance, "{}", what());
                        }
                        let beyond = columns..c_row.min(c.len() - i * c_row);
                        assert_eq!(c[i * c_row..][beyond.clone()], before[i * c_row..][beyond], "{level}: beyond");
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "second matrix is too short")]
    fn a_short_matrix_is_refused() {
        let (a, b) = ([0; 32 * 32], [0; 16 * 32 - 1]);
        let job = Product {
            rows: 32,
            depth: 32,
            columns: 16,
            a: &a,
            a_row: 32,
            b: &b,
            b_row: 32,
            b_group: 0,
            c_row: 16,
            c_group: 0,
            add: false,
        };
        job.run(&Session::new(Level::Portable), &mut [0.0; 32 * 16]);
    }
}
