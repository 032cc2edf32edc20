//! The multiply-add peak of a core, to say how near to it a kernel comes.

#[cfg(target_arch = "x86_64")]
use crate::amx;
use crate::bfloat16::{Half, HalfKernel, dispatch_half};
use crate::level::Level;
use crate::simd::{Kernel, LANES, Simd, dispatch};
use std::hint::black_box;
use std::time::Instant;

/// Multiply-adds in flight: more than latency times units of any processor in use.
const CHAINS: usize = 10;
const ROUNDS: usize = 1 << 19;

struct MultiplyAdds;

impl Kernel for MultiplyAdds {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let (a, b) = (simd.splat(black_box(0.999)), simd.splat(black_box(1e-3)));
        let mut sums = [b; CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add(*sum, a, b);
            }
        }
        sums.into_iter().map(|sum| simd.sum(sum)).sum()
    }
}

/// Floating-point operations a second of the calling thread, in registers only: two for each multiply-add. Takes some
/// milliseconds. Whoever wants the peak of a machine runs it on all cores at once, and takes the best of many.
pub fn multiply_add_rate(level: Level) -> f64 {
    let start = Instant::now();
    black_box(dispatch(level, MultiplyAdds));
    (ROUNDS * CHAINS * LANES * 2) as f64 / start.elapsed().as_secs_f64()
}

struct HalfMultiplyAdds;

impl HalfKernel for HalfMultiplyAdds {
    type Output = f32;

    #[inline(always)]
    fn run<S: Half>(self, simd: S) -> f32 {
        // 1 and 2^-10.
        let (a, b) = (simd.splat_pair(black_box([0x3F80; 2])), simd.splat_pair(black_box([0x3A80; 2])));
        let mut sums = [simd.splat(0.0); CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.dot(a, b, *sum);
            }
        }
        sums.into_iter().map(|sum| simd.sum(sum)).sum()
    }
}

/// [`multiply_add_rate`] of bfloat16 numbers, with the instruction that [`crate::bfloat16::Product`] uses on `level`: tiles, or
/// AVX-512 BF16. Levels without either have plain code for these numbers, which says nothing of a processor.
pub fn half_multiply_add_rate(level: Level) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if level >= Level::Amx
        && let Some(tiles) = amx::Tiles::configure()
    {
        let start = Instant::now();
        let operations = amx::multiply_adds(&tiles, ROUNDS / 8);
        return operations as f64 / start.elapsed().as_secs_f64();
    }
    let start = Instant::now();
    black_box(dispatch_half(level, HalfMultiplyAdds));
    (ROUNDS * CHAINS * LANES * 4) as f64 / start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chains_hold_what_the_recurrence_gives() {
        // x = 0.999 x + 0.001 goes to 1, from which ten chains of sixteen lanes make 160.
        for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
            let sum = dispatch(level, MultiplyAdds);
            assert!((sum - 160.0).abs() < 0.1, "{level}: {sum}");
        }
    }

    #[test]
    fn chains_of_pairs_hold_what_they_add_up_to() {
        // Each round adds 2^-9 to ten chains of sixteen lanes; all sums are exact.
        for level in [Level::Portable, Level::Avx512Bf16].into_iter().filter(|level| level.is_present()) {
            let sum = dispatch_half(level, HalfMultiplyAdds);
            assert_eq!(sum, (ROUNDS >> 9) as f32 * 160.0, "{level}");
        }
    }
}
