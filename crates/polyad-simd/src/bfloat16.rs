//! Products of bfloat16 numbers with sums in single precision.
//!
//! bfloat16 numbers are `u16`, the upper half of a single-precision number. What is multiplied lies in pairs: the
//! instructions add the products of two neighbours at once.
//!
//! ```text
//! c[i, j] (+)= Σ_k a[i, k] · b[k, j]      b as [k / 2, j, 2]: two rows side by side
//! 1. AMX: blocks of 32 x 32 sums in four tiles; 32 k an instruction
//! 2. AVX-512 BF16: tiles of 8 rows and 2 vectors; 2 k an instruction
//! ```

mod product;

use crate::level::Level;
use crate::portable::Portable;
use crate::simd::{LANES, Simd};
#[cfg(target_arch = "x86_64")]
use crate::x86::Avx512;
pub use product::{Product, Session};

/// Rows of `a`, and the depth, must be multiples of this; columns are in groups of so many, so that what a block needs of
/// `b` is one run of memory.
pub const BLOCK: usize = 2 * LANES;

/// Vectors of pairs of bfloat16 numbers.
pub trait Half: Simd {
    /// [`LANES`] pairs.
    type Pairs: Copy;

    /// Writes the lanes, rounded to the nearest bfloat16, ties to even. Subnormal numbers may become 0; NaN stays.
    fn narrow(self, v: Self::V, to: &mut [u16; LANES]);
    /// Each lane of the first with that of the second, both rounded as [`Half::narrow`] does.
    fn pairs(self, first: Self::V, second: Self::V) -> Self::Pairs;
    /// The same pair everywhere.
    fn splat_pair(self, pair: [u16; 2]) -> Self::Pairs;
    /// The pairs of an array.
    fn load_pairs(self, from: &[u16; 2 * LANES]) -> Self::Pairs;
    /// Writes the pairs to an array.
    fn store_pairs(self, pairs: Self::Pairs, to: &mut [u16; 2 * LANES]);
    /// `c + a[0] b[0] + a[1] b[1]` in each lane, in single precision. Subnormal numbers may count as 0.
    fn dot(self, a: Self::Pairs, b: Self::Pairs, c: Self::V) -> Self::V;
    /// Pair `j` of row `i` as pair `i` of row `j`.
    fn transpose_pairs(self, rows: [Self::Pairs; LANES]) -> [Self::Pairs; LANES];
}

/// A computation with bfloat16 numbers, written once. See [`crate::Kernel`].
pub trait HalfKernel {
    /// What it gives.
    type Output;
    /// Computes, with the instructions of `S`.
    fn run<S: Half>(self, simd: S) -> Self::Output;
}

/// Runs `kernel` with AVX-512 BF16 where `level` has it and the processor too, and in plain code elsewhere.
pub fn dispatch_half<K: HalfKernel>(level: Level, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if level >= Level::Avx512Bf16
        && let Some(simd) = Avx512::<true>::detect()
    {
        return simd.vectorise(kernel);
    }
    let _ = level;
    kernel.run(Portable)
}

/// The bits of the bfloat16 number nearest to `x`, ties to even.
#[inline(always)]
fn narrow(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() { (bits >> 16) as u16 | 0x40 } else { ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) as u16 }
}

/// The number of these bits.
#[inline(always)]
fn widen(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

impl Half for Portable {
    type Pairs = [[u16; 2]; LANES];

    #[inline(always)]
    fn narrow(self, v: Self::V, to: &mut [u16; LANES]) {
        *to = v.map(narrow);
    }
    #[inline(always)]
    fn pairs(self, first: Self::V, second: Self::V) -> Self::Pairs {
        std::array::from_fn(|i| [narrow(first[i]), narrow(second[i])])
    }
    #[inline(always)]
    fn splat_pair(self, pair: [u16; 2]) -> Self::Pairs {
        [pair; LANES]
    }
    #[inline(always)]
    fn load_pairs(self, from: &[u16; 2 * LANES]) -> Self::Pairs {
        std::array::from_fn(|i| [from[2 * i], from[2 * i + 1]])
    }
    #[inline(always)]
    fn store_pairs(self, pairs: Self::Pairs, to: &mut [u16; 2 * LANES]) {
        to.as_chunks_mut::<2>().0.copy_from_slice(&pairs);
    }
    #[inline(always)]
    fn dot(self, a: Self::Pairs, b: Self::Pairs, c: Self::V) -> Self::V {
        std::array::from_fn(|i| c[i] + widen(a[i][0]) * widen(b[i][0]) + widen(a[i][1]) * widen(b[i][1]))
    }
    #[inline(always)]
    fn transpose_pairs(self, rows: [Self::Pairs; LANES]) -> [Self::Pairs; LANES] {
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }
}

/// Writes numbers rounded to the nearest bfloat16, as [`Half::narrow`] does. Cost: they are read once.
///
/// # Panics
/// Where the two differ in length, or it is no multiple of 16.
pub fn round(level: Level, from: &[f32], to: &mut [u16]) {
    assert_eq!(from.len(), to.len(), "as many numbers before and after");
    assert!(from.len().is_multiple_of(LANES), "{} numbers are no multiple of {LANES}", from.len());
    dispatch_half(level, Round { from, to });
}

struct Round<'a> {
    from: &'a [f32],
    to: &'a mut [u16],
}

impl HalfKernel for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Half>(self, simd: S) {
        for (from, to) in self.from.as_chunks().0.iter().zip(self.to.as_chunks_mut().0) {
            simd.narrow(simd.load(from), to);
        }
    }
}

/// The same memory as twice as many bfloat16 numbers.
pub fn halves(numbers: &mut [f32]) -> &mut [u16] {
    // SAFETY: all bits are numbers of either type, and whatever begins at a multiple of four bytes does at one of two.
    let (_, halves, _) = unsafe { numbers.align_to_mut() };
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Moves<'a>(&'a [f32; 32 * LANES], &'a mut [u16; 32 * LANES], &'a mut [u16; LANES]);

    impl HalfKernel for Moves<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Half>(self, simd: S) {
            let rows: &[[f32; LANES]] = self.0.as_chunks().0;
            let pairs = std::array::from_fn(|i| simd.pairs(simd.load(&rows[2 * i]), simd.load(&rows[2 * i + 1])));
            for (pairs, to) in simd.transpose_pairs(pairs).into_iter().zip(self.1.as_chunks_mut().0) {
                simd.store_pairs(pairs, to);
            }
            simd.narrow(simd.load(&rows[3]), self.2);
        }
    }

    #[test]
    fn numbers_are_rounded_to_even_and_turned_as_the_names_say() {
        for level in Level::ALL {
            if !level.is_present() {
                eprintln!("not run: this processor has no {level}");
                continue;
            }
            // Every 2^15-th single-precision number of a range, so ties too; the last of a row is not a number.
            let number = |i: usize| f32::from_bits(0x3F80_0000 + 0x8000 * i as u32);
            let mut from: [f32; 32 * LANES] = std::array::from_fn(number);
            from[4 * LANES - 1] = f32::NAN;
            let (mut turned, mut row) = ([0; 32 * LANES], [0; LANES]);
            dispatch_half(level, Moves(&from, &mut turned, &mut row));
            for (i, x) in from.into_iter().enumerate() {
                let (row, lane) = (i / LANES, i % LANES);
                let found = turned[lane * 32 + row];
                if x.is_nan() {
                    assert!(widen(found).is_nan(), "{level}");
                    continue;
                }
                let error = (f64::from(widen(found)) - f64::from(x)).abs();
                let half_a_unit = f64::from(f32::from_bits(x.to_bits() & 0x7F80_0000)) * 2f64.powi(-8);
                assert!(error < half_a_unit || error == half_a_unit && found % 2 == 0, "{level}: {x} became {found:x}");
            }
            assert!(widen(row[LANES - 1]).is_nan());
            assert_eq!(
                row[..LANES - 1],
                std::array::from_fn::<u16, 15, _>(|lane| turned[lane * 32 + 3])[..],
                "{level}"
            );
        }
    }
}
