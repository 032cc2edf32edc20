//! The product of two vectors, for scans over embeddings.

use crate::level::{Level, level};
use crate::simd::{Kernel, LANES, Simd, dispatch};

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Kernel for Dot<'_> {
    type Output = f32;

    // Four sums in flight hide the latency of the multiply-add.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let (a_vectors, a_rest) = self.a.as_chunks::<LANES>();
        let (b_vectors, b_rest) = self.b.as_chunks::<LANES>();
        let mut sums = [simd.splat(0.0); 4];
        let (a_fours, a_tail) = a_vectors.as_chunks::<4>();
        let (b_fours, b_tail) = b_vectors.as_chunks::<4>();
        for (a, b) in a_fours.iter().zip(b_fours) {
            for i in 0..4 {
                sums[i] = simd.mul_add(simd.load(&a[i]), simd.load(&b[i]), sums[i]);
            }
        }
        for (a, b) in a_tail.iter().zip(b_tail) {
            sums[0] = simd.mul_add(simd.load(a), simd.load(b), sums[0]);
        }
        let total = simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])));
        a_rest.iter().zip(b_rest).fold(total, |sum, (x, y)| sum + x * y)
    }
}

/// `Σ a[i] b[i]` over the shorter of the two lengths, on the level in use.
///
/// Levels differ in rounding: by at most `(n / 64 + 8)` units in the last place of `Σ |a[i] b[i]|`.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_at(level(), a, b)
}

/// [`dot`] on a given level.
pub fn dot_at(level: Level, a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    dispatch(level, Dot { a: &a[..n], b: &b[..n] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_agrees_with_double_precision_at_odd_lengths() {
        for level in Level::ALL {
            if !level.is_present() {
                eprintln!("skipped: this processor has no {level}");
                continue;
            }
            for n in [0, 1, 15, 16, 17, 63, 64, 65, 1000, 1024] {
                let a: Vec<f32> = (0..n).map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect();
                let b: Vec<f32> = (0..n).map(|i| ((i * 53 + 7) % 89) as f32 / 44.0 - 1.0).collect();
                let exact: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                let size: f64 = a.iter().zip(&b).map(|(x, y)| f64::from((x * y).abs())).sum();
                let bound = (n as f64 / 64.0 + 24.0) * f64::from(f32::EPSILON) * size;
                let got = f64::from(dot_at(level, &a, &b));
                assert!((got - exact).abs() <= bound, "{level}, n {n}: {got} against {exact}, bound {bound}");
            }
        }
    }
}
