//! The exponential of a vector, by range reduction and a polynomial.
//!
//! ```text
//! n = round(x / ln 2),  r = x − n ln 2,  |r| <= ln 2 / 2
//! e^x = 2^n (1 + r + r² q(r)),  q of degree 4, by interpolation at Chebyshev's nodes: 1.1e-8 relative
//! ```
//!
//! Relative error at most 1.5 units in the last place: the polynomial 0.1, its evaluation 1, the remainder `r` 0.4. Below
//! -87.68 it is 0 (no subnormal numbers come out), NaN gives NaN, negative infinity 0.

use crate::simd::Simd;

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts: the first has so few digits that `n` times it is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// q's coefficients from the fourth power down; the constant term is ½.
const Q: [f32; 4] = [1.392_621_3e-3, 8.363_203e-3, 4.166_655_4e-2, 0.166_665_77];

/// `e^x` of each lane. Lanes must be below 88.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::V) -> S::V {
    let n = simd.round(simd.mul(x, simd.splat(LOG2_E)));
    let r = simd.mul_add(n, simd.splat(-LN2_HIGH), x);
    let r = simd.mul_add(n, simd.splat(-LN2_LOW), r);
    let q = simd.mul_add(simd.splat(Q[0]), r, simd.splat(Q[1]));
    let q = simd.mul_add(q, r, simd.splat(Q[2]));
    let q = simd.mul_add(q, r, simd.splat(Q[3]));
    let q = simd.mul_add(q, r, simd.splat(0.5));
    let p = simd.mul_add(simd.mul(r, r), q, simd.add(r, simd.splat(1.0)));
    simd.scale(p, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::simd::{Kernel, LANES, dispatch};

    struct Exp<'a>(&'a mut [[f32; LANES]]);

    impl Kernel for Exp<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for lanes in self.0 {
                let y = exp(simd, simd.load(lanes));
                simd.store(y, lanes);
            }
        }
    }

    #[test]
    fn every_level_is_within_two_units_in_the_last_place() {
        for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
            // Every 4,096th number from -87.6 to 87.9, and a fine grid.
            let grid = (0..1_000_000).map(|i| -87.6 + i as f32 * 1.755e-4);
            let bits = (0..1 << 20).map(|i| f32::from_bits(i << 12)).filter(|x| x.abs() < 87.6);
            let mut x: Vec<f32> = grid.chain(bits.clone()).chain(bits.map(|x| -x)).collect();
            x.resize(x.len().next_multiple_of(LANES), 0.0);
            let mut y: Vec<[f32; LANES]> = x.as_chunks().0.to_vec();
            dispatch(level, Exp(&mut y));
            let mut worst = 0f64;
            for (x, y) in x.iter().zip(y.as_flattened()) {
                let exact = f64::from(*x).exp();
                worst = worst.max((f64::from(*y) / exact - 1.0).abs() / f64::from(f32::EPSILON / 2.0));
            }
            // A relative error of one unit in the last place lies between one and two half-epsilons.
            assert!(worst <= 4.0, "{level}: {worst} half-epsilons");
        }
    }

    #[test]
    fn what_is_far_below_is_zero_and_nan_stays() {
        for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
            let mut y = [[-90.0; LANES], [f32::NEG_INFINITY; LANES], [f32::NAN; LANES], [0.0; LANES], [-1e30; LANES]];
            dispatch(level, Exp(&mut y));
            assert_eq!((y[0][3], y[1][5], y[3][7], y[4][1]), (0.0, 0.0, 1.0, 0.0), "{level}");
            assert!(y[2][2].is_nan(), "{level}");
        }
    }
}
