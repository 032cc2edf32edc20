//! The level that every processor has: plain arrays, which the compiler vectorises as it can.

use crate::simd::{LANES, Simd};

/// The portable level.
#[derive(Debug, Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for i in 0..LANES {
        out[i] = f(a[i], b[i]);
    }
    out
}

/// The greatest integer that is not above a number less than 2^22 in absolute value. SSE2 has no such instruction.
#[inline(always)]
fn floor(x: f32) -> f32 {
    // Numbers from 2^23 to 2^24 are the integers, so adding and taking away 1.5 * 2^23 rounds.
    const MAGIC: f32 = 12_582_912.0;
    let nearest = (x + MAGIC) - MAGIC;
    nearest - if nearest > x { 1.0 } else { 0.0 }
}

impl Simd for Portable {
    type V = [f32; LANES];

    // SSE2 has 16 registers of 4 numbers.
    const VECTORS: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::V {
        *from
    }
    #[inline(always)]
    fn store(self, v: Self::V, to: &mut [f32; LANES]) {
        *to = v;
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| x + y)
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| x * y)
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| x - y)
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| if x > y { x } else { y })
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| if x < y { x } else { y })
    }
    #[inline(always)]
    fn fraction(self, v: Self::V) -> Self::V {
        v.map(|x| x - floor(x))
    }
    #[inline(always)]
    fn scale(self, v: Self::V, t: Self::V) -> Self::V {
        zip(v, t, |x, t| if t < -126.0 { 0.0 } else { x * f32::from_bits(((floor(t) as i32 + 127) << 23) as u32) })
    }
    #[inline(always)]
    fn sum(self, mut v: Self::V) -> f32 {
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                v[i] += v[i + half];
            }
            half /= 2;
        }
        v[0]
    }
}
