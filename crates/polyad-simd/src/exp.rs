//! Powers of two of a vector, by range reduction and a polynomial; softmax is written with them.
//!
//! ```text
//! n = floor(t),  r = t − n (exact unless t is a tiny negative number: then 1),  0 <= r <= 1
//! 2^t = 2^n (1 + r q(r)),  q of degree 5, by interpolation at Chebyshev's nodes: 5.3e-9 relative, 1.2e-8 with rounded q
//! ```
//!
//! Down, not to the nearest integer: AVX-512 has one instruction for `r` and one for the power, which takes the integer out
//! of `t` itself, and rounding to the nearest takes as long as two of them.
//!
//! Relative error at most 0.65 of 2^-23: the polynomial 0.1, its evaluation 0.55. Below -126 it is 0; NaN gives NaN,
//! negative infinity 0.

use crate::simd::Simd;
use std::f32::consts::LN_2;

/// q's coefficients from the fifth power down; the last is ln 2 within its rounding.
#[allow(clippy::excessive_precision, reason = "the digits of the polynomial, not of its rounding")]
const Q: [f32; 6] = [2.081791504e-4, 1.269216607e-3, 9.652195056e-3, 5.549602356e-2, 0.2402272042, LN_2];

/// `2^t` of each lane. Lanes must be below 127.
#[inline(always)]
pub fn exp2<S: Simd>(simd: S, t: S::V) -> S::V {
    let r = simd.fraction(t);
    let mut q = simd.splat(Q[0]);
    for c in &Q[1..] {
        q = simd.mul_add(q, r, simd.splat(*c));
    }
    simd.scale(simd.mul_add(q, r, simd.splat(1.0)), t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::simd::{Kernel, LANES, dispatch};

    struct Exp2<'a>(&'a mut [[f32; LANES]]);

    impl Kernel for Exp2<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for lanes in self.0 {
                let y = exp2(simd, simd.load(lanes));
                simd.store(y, lanes);
            }
        }
    }

    #[test]
    fn every_level_is_within_its_error() {
        for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
            // A fine grid, and every 4,096th number.
            let grid = (0..1_000_000).map(|i| -125.9 + i as f32 * 2.52e-4);
            let bits = (0..1 << 20).map(|i| f32::from_bits(i << 12)).filter(|x| x.abs() < 125.9);
            let mut x: Vec<f32> = grid.chain(bits.clone()).chain(bits.map(|x| -x)).collect();
            x.resize(x.len().next_multiple_of(LANES), 0.0);
            let mut y: Vec<[f32; LANES]> = x.as_chunks().0.to_vec();
            dispatch(level, Exp2(&mut y));
            let mut worst = 0f64;
            for (x, y) in x.iter().zip(y.as_flattened()) {
                let exact = f64::from(*x).exp2();
                worst = worst.max((f64::from(*y) / exact - 1.0).abs() / f64::from(f32::EPSILON));
            }
            // Where a fused product is two, each power of r rounds once more.
            let most = if level == Level::Portable { 1.0 } else { 0.65 };
            assert!(worst <= most, "{level}: {worst} epsilons");
        }
    }

    #[test]
    fn what_is_far_below_is_zero_and_nan_stays() {
        for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
            let mut y = [-126.5, f32::NEG_INFINITY, f32::NAN, 0.0, -1e30, -1e-30, -126.0].map(|x| [x; LANES]);
            dispatch(level, Exp2(&mut y));
            let found = [y[0][3], y[1][5], y[3][7], y[4][1], y[5][4], y[6][0]];
            assert_eq!(found, [0.0, 0.0, 1.0, 0.0, 1.0, f32::MIN_POSITIVE], "{level}");
            assert!(y[2][2].is_nan(), "{level}");
        }
    }
}
