//! The trait that kernels are written over, and the door through which they run.

use crate::level::Level;
use crate::portable::Portable;
#[cfg(target_arch = "x86_64")]
use crate::x86::{Avx2, Avx512};

/// Numbers in a vector, on every level: one AVX-512 register, two of AVX2.
pub const LANES: usize = 16;

/// Vectors of [`LANES`] single-precision numbers on one level. Holding a value proves that the level is present.
pub trait Simd: Copy + Send + Sync + 'static {
    /// A vector.
    type V: Copy;

    /// Vectors that fit the register file at once, spills aside.
    const VECTORS: usize;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::V;
    /// The numbers of an array.
    fn load(self, from: &[f32; LANES]) -> Self::V;
    /// Writes the lanes to an array.
    fn store(self, v: Self::V, to: &mut [f32; LANES]);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once on AVX levels; twice on the portable level, where a fused one would be a call.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// The greater of each pair of lanes; `b` where one of them is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The lesser of each pair of lanes; `b` where one of them is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `v − floor(v)`, rounded: from 0 to 1, both included. Where `v` is less than -126 nothing is promised.
    fn fraction(self, v: Self::V) -> Self::V;
    /// `v · 2^floor(t)` for `v` from 1 to 2 and `t` below 127; 0 where `t` is less than -126, whatever `v`, NaN where it is
    /// none and so is `v`.
    fn scale(self, v: Self::V, t: Self::V) -> Self::V;
    /// The sum of all lanes, by halves: lane i with i + 8, then i + 4, i + 2, i + 1.
    fn sum(self, v: Self::V) -> f32;
    /// Lane `j` of row `i` as lane `i` of row `j`.
    #[inline(always)]
    fn transpose(self, rows: [Self::V; LANES]) -> [Self::V; LANES] {
        let mut from = [[0.0; LANES]; LANES];
        rows.into_iter().zip(&mut from).for_each(|(row, to)| self.store(row, to));
        std::array::from_fn(|column| self.load(&std::array::from_fn(|row| from[row][column])))
    }
    /// The greatest lane, by halves; of lanes that are NaN nothing is promised.
    #[inline(always)]
    fn greatest(self, v: Self::V) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(v, &mut lanes);
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] = if lanes[i] > lanes[i + half] { lanes[i] } else { lanes[i + half] };
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// A computation written once for all levels. Mark `run` and what it calls `#[inline(always)]`, so that all of it is
/// compiled with the level's instructions.
pub trait Kernel {
    /// What it gives.
    type Output;
    /// Computes, with the instructions of `S`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `kernel` with the instructions of `level`, or of the best level below it that the processor has.
pub fn dispatch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if level >= Level::Avx512
            && let Some(simd) = Avx512::<false>::detect()
        {
            return simd.vectorise(kernel);
        }
        if level >= Level::Avx2
            && let Some(simd) = Avx2::detect()
        {
            return simd.vectorise(kernel);
        }
    }
    let _ = level;
    kernel.run(Portable)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Turn([[f32; LANES]; LANES]);

    impl Kernel for Turn {
        type Output = [[f32; LANES]; LANES];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let columns = simd.transpose(std::array::from_fn(|row| simd.load(&self.0[row])));
            let mut to = [[0.0; LANES]; LANES];
            columns.into_iter().zip(&mut to).for_each(|(column, to)| simd.store(column, to));
            to
        }
    }

    #[test]
    fn rows_become_columns() {
        let number = |row: usize, column: usize| (row * LANES + column) as f32;
        for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
            let turned = dispatch(level, Turn(std::array::from_fn(|i| std::array::from_fn(|j| number(i, j)))));
            assert_eq!(turned, std::array::from_fn(|i| std::array::from_fn(|j| number(j, i))), "{level}");
        }
    }
}
