//! AVX2 with FMA, and AVX-512 without and with products of bfloat16 numbers.
//!
//! The types can only be made by `detect`, so every method may rely on the processor having the instructions.

use crate::bfloat16::{Half, HalfKernel};
use crate::level::Level;
use crate::simd::{Kernel, LANES, Simd};
use std::arch::x86_64::*;

/// Two registers of 8 numbers.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

/// One register of 16 numbers. `HALF`: whether there are products of bfloat16 numbers too.
#[derive(Debug, Clone, Copy)]
pub struct Avx512<const HALF: bool>(());

impl Avx2 {
    /// A proof that the processor has AVX2 and FMA.
    pub fn detect() -> Option<Self> {
        Level::Avx2.is_present().then_some(Avx2(()))
    }

    /// Runs a kernel compiled for this level.
    pub fn vectorise<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn inner<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` exists only where `detect` found AVX2 and FMA.
        unsafe { inner(self, kernel) }
    }
}

impl Avx512<false> {
    /// A proof that the processor has AVX-512 F, BW, DQ and VL.
    pub fn detect() -> Option<Self> {
        Level::Avx512.is_present().then_some(Avx512(()))
    }

    /// Runs a kernel compiled for this level.
    pub fn vectorise<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
        fn inner<K: Kernel>(simd: Avx512<false>, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` exists only where `detect` found these features.
        unsafe { inner(self, kernel) }
    }
}

impl Avx512<true> {
    /// A proof that the processor has AVX-512 F, BW, DQ, VL and BF16.
    pub fn detect() -> Option<Self> {
        Level::Avx512Bf16.is_present().then_some(Avx512(()))
    }

    /// Runs a kernel compiled for this level.
    pub fn vectorise<K: HalfKernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
        fn inner<K: HalfKernel>(simd: Avx512<true>, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` exists only where `detect` found these features.
        unsafe { inner(self, kernel) }
    }
}

/// One number of eight: lane i with i + 4, then i + 2, i + 1. Without leaving the registers, where going through memory
/// took as long as four exponentials.
macro_rules! by_halves {
    ($eight:expr, $both:ident) => {{
        let eight = $eight;
        let four = $both(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let two = $both(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32($both(two, _mm_movehdup_ps(two)))
    }};
}

impl Simd for Avx2 {
    type V = [__m256; 2];

    const VECTORS: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: `self` proves AVX2.
        let v = unsafe { _mm256_set1_ps(x) };
        [v, v]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::V {
        // SAFETY: `self` proves AVX2; the array has 16 numbers, and the load needs no alignment.
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }
    #[inline(always)]
    fn store(self, v: Self::V, to: &mut [f32; LANES]) {
        // SAFETY: `self` proves AVX2; the array has 16 numbers, and the store needs no alignment.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), v[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), v[1]);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves FMA.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn fraction(self, v: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX2.
        v.map(|v| unsafe { _mm256_sub_ps(v, _mm256_floor_ps(v)) })
    }
    #[inline(always)]
    fn scale(self, v: Self::V, t: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX2.
        let half = |v: __m256, t: __m256| unsafe {
            let n = _mm256_cvtps_epi32(_mm256_floor_ps(t));
            let exponent = _mm256_slli_epi32::<23>(_mm256_add_epi32(n, _mm256_set1_epi32(127)));
            let normal = _mm256_cmp_ps::<_CMP_NLT_UQ>(t, _mm256_set1_ps(-126.0));
            _mm256_and_ps(normal, _mm256_mul_ps(v, _mm256_castsi256_ps(exponent)))
        };
        [half(v[0], t[0]), half(v[1], t[1])]
    }
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe { by_halves!(_mm256_add_ps(v[0], v[1]), _mm_add_ps) }
    }
    #[inline(always)]
    fn greatest(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe { by_halves!(_mm256_max_ps(v[0], v[1]), _mm_max_ps) }
    }
}

/// An instruction for pairs of lanes.
macro_rules! in_twos {
    ($instruction:ident, $both:expr) => {
        _mm512_castpd_ps($instruction(_mm512_castps_pd($both[0]), _mm512_castps_pd($both[1])))
    };
}

impl<const HALF: bool> Simd for Avx512<HALF> {
    type V = __m512;

    const VECTORS: usize = 32;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::V {
        // SAFETY: `self` proves AVX-512 F; the array has 16 numbers, and the load needs no alignment.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: Self::V, to: &mut [f32; LANES]) {
        // SAFETY: `self` proves AVX-512 F; the array has 16 numbers, and the store needs no alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn fraction(self, v: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX-512 DQ.
        unsafe { _mm512_reduce_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(v) }
    }
    #[inline(always)]
    fn scale(self, v: Self::V, t: Self::V) -> Self::V {
        // A subnormal result takes the processor a hundred cycles; masked lanes of a softmax are all of that kind.
        // SAFETY: `self` proves AVX-512 F.
        unsafe {
            let normal = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(t, _mm512_set1_ps(-126.0));
            _mm512_maskz_scalef_ps(normal, v, t)
        }
    }
    #[inline(always)]
    fn transpose(self, rows: [Self::V; LANES]) -> [Self::V; LANES] {
        let mut columns = rows;
        // SAFETY: `self` proves AVX-512 F.
        unsafe {
            // Blocks of 4 x 4 within the quarters of a register: lane l of `quarters[4 g + c]` has column 4 l + c of
            // rows 4 g to 4 g + 3.
            let mut quarters = rows;
            for g in (0..LANES).step_by(4) {
                let low = [_mm512_unpacklo_ps(rows[g], rows[g + 1]), _mm512_unpacklo_ps(rows[g + 2], rows[g + 3])];
                let high = [_mm512_unpackhi_ps(rows[g], rows[g + 1]), _mm512_unpackhi_ps(rows[g + 2], rows[g + 3])];
                quarters[g] = in_twos!(_mm512_unpacklo_pd, low);
                quarters[g + 1] = in_twos!(_mm512_unpackhi_pd, low);
                quarters[g + 2] = in_twos!(_mm512_unpacklo_pd, high);
                quarters[g + 3] = in_twos!(_mm512_unpackhi_pd, high);
            }
            // Then the quarters themselves: 0x88 takes the even ones of two registers, 0xDD the odd ones.
            for c in 0..4 {
                let [a, b] = [(quarters[c], quarters[c + 4]), (quarters[c + 8], quarters[c + 12])];
                let even = [_mm512_shuffle_f32x4::<0x88>(a.0, a.1), _mm512_shuffle_f32x4::<0x88>(b.0, b.1)];
                let odd = [_mm512_shuffle_f32x4::<0xDD>(a.0, a.1), _mm512_shuffle_f32x4::<0xDD>(b.0, b.1)];
                columns[c] = _mm512_shuffle_f32x4::<0x88>(even[0], even[1]);
                columns[c + 4] = _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]);
                columns[c + 8] = _mm512_shuffle_f32x4::<0xDD>(even[0], even[1]);
                columns[c + 12] = _mm512_shuffle_f32x4::<0xDD>(odd[0], odd[1]);
            }
        }
        columns
    }
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves AVX-512 DQ.
        unsafe { by_halves!(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)), _mm_add_ps) }
    }
    #[inline(always)]
    fn greatest(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves AVX-512 DQ.
        unsafe { by_halves!(_mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)), _mm_max_ps) }
    }
}

/// Where the 16-bit numbers of a register go so that those of its lower and upper half take turns.
const IN_TURN: [i16; 2 * LANES] = {
    let mut places = [0; 2 * LANES];
    let mut lane = 0;
    while lane < LANES {
        places[2 * lane] = lane as i16;
        places[2 * lane + 1] = (lane + LANES) as i16;
        lane += 1;
    }
    places
};

impl Half for Avx512<true> {
    type Pairs = __m512i;

    #[inline(always)]
    fn narrow(self, v: Self::V, to: &mut [u16; LANES]) {
        // SAFETY: `self` proves AVX-512 BF16 and AVX2; the array has 16 numbers, and the store needs no alignment. The
        // two register types have the same bits.
        unsafe {
            let narrow: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(v));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), narrow);
        }
    }
    #[inline(always)]
    fn pairs(self, first: Self::V, second: Self::V) -> Self::Pairs {
        // SAFETY: `self` proves AVX-512 BF16 and BW; the array has 32 numbers, and the load needs no alignment. The two
        // register types have the same bits.
        unsafe {
            let one_after_the_other: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(second, first));
            _mm512_permutexvar_epi16(_mm512_loadu_si512(IN_TURN.as_ptr().cast()), one_after_the_other)
        }
    }
    #[inline(always)]
    fn splat_pair(self, pair: [u16; 2]) -> Self::Pairs {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_epi32(i32::from(pair[0]) | i32::from(pair[1]) << 16) }
    }
    #[inline(always)]
    fn load_pairs(self, from: &[u16; 2 * LANES]) -> Self::Pairs {
        // SAFETY: `self` proves AVX-512 F; the array has 32 numbers, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_pairs(self, pairs: Self::Pairs, to: &mut [u16; 2 * LANES]) {
        // SAFETY: `self` proves AVX-512 F; the array has 32 numbers, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), pairs) }
    }
    #[inline(always)]
    fn dot(self, a: Self::Pairs, b: Self::Pairs, c: Self::V) -> Self::V {
        // SAFETY: `self` proves AVX-512 BF16; the register types have the same bits.
        unsafe {
            _mm512_dpbf16_ps(
                c,
                std::mem::transmute::<__m512i, __m512bh>(a),
                std::mem::transmute::<__m512i, __m512bh>(b),
            )
        }
    }
    #[inline(always)]
    fn transpose_pairs(self, rows: [Self::Pairs; LANES]) -> [Self::Pairs; LANES] {
        // SAFETY: `self` proves AVX-512 F; either type has the same bits.
        self.transpose(rows.map(|row| unsafe { _mm512_castsi512_ps(row) }))
            .map(|row| unsafe { _mm512_castps_si512(row) })
    }
}
