//! Powers of two of a vector, by range reduction and a polynomial; softmax is written with them.
//!
//! ```text
//! n = round(t),  r = t − n (exact),  |r| <= ½
//! 2^t = 2^n (1 + r q(r)),  q of degree 5, by interpolation at Chebyshev's nodes: 5.1e-9 relative
//! ```
//!
//! Relative error at most 1.2 units in the last place: the polynomial 0.05, its evaluation 1. Below -126 it may be 0 (no
//! subnormal numbers are promised), at -160 and below it is; NaN gives NaN, negative infinity 0.

use crate::simd::Simd;
use std::f32::consts::LN_2;

/// q's coefficients from the fifth power down; the last is ln 2 within its rounding.
#[allow(clippy::excessive_precision, reason = "the digits of the polynomial, not of its rounding")]
const Q: [f32; 6] = [1.545316294e-4, 1.3390863665e-3, 9.6180825573e-3, 5.55035711e-2, 0.2402265076, LN_2];

/// `2^t` of each lane. Lanes must be below 127.
#[inline(always)]
pub fn exp2<S: Simd>(simd: S, t: S::V) -> S::V {
    // The second operand is what comes of a NaN. Further down nothing but 0 is left.
    let t = simd.max(simd.splat(-160.0), t);
    let n = simd.round(t);
    let r = simd.sub(t, n);
    let mut q = simd.splat(Q[0]);
    for c in &Q[1..] {
        q = simd.mul_add(q, r, simd.splat(*c));
    }
    simd.scale(simd.mul_add(q, r, simd.splat(1.0)), n)
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
    fn every_level_is_within_two_units_in_the_last_place() {
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
            // A unit in the last place is between half an epsilon and one, relative to the number.
            assert!(worst <= 2.0, "{level}: {worst} epsilons");
        }
    }

    #[test]
    fn what_is_far_below_is_zero_and_nan_stays() {
        for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
            let mut y = [[-160.0; LANES], [f32::NEG_INFINITY; LANES], [f32::NAN; LANES], [0.0; LANES], [-1e30; LANES]];
            dispatch(level, Exp2(&mut y));
            assert_eq!((y[0][3], y[1][5], y[3][7], y[4][1]), (0.0, 0.0, 1.0, 0.0), "{level}");
            assert!(y[2][2].is_nan(), "{level}");
        }
    }
}
