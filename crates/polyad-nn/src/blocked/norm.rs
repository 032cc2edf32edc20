//! Batch normalisation, residual addition and a cut in one pass, over plain slices in blocked layout.
//!
//! ```text
//! x̂ = (x − mean) / √(var + ε),   y = cut(γ x̂ + β + residual),   cut: to a range, as ReLU's or ReLU6's
//! ```
//!
//! Sums over pixels run in single precision within a row of one image and in double precision beyond, image by image in
//! order: the bits do not depend on the number of threads.

use polyad_simd::conv::Cut;
use polyad_simd::{Kernel, LANES, Simd, dispatch, level};
use rayon::prelude::*;

/// Sizes of a tensor in blocked layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Images.
    pub images: usize,
    /// Blocks of 16 channels.
    pub blocks: usize,
    /// Pixels of a plane.
    pub pixels: usize,
}

impl Extent {
    fn plane(&self) -> usize {
        self.pixels * LANES
    }
    fn count(&self) -> f64 {
        (self.images * self.pixels) as f64
    }
}

type Lane = [f32; LANES];

/// Runs a plain loop with the instructions of the level in use.
struct Vectorised<F>(F);

impl<F: FnOnce() -> R, R> Kernel for Vectorised<F> {
    type Output = R;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> R {
        (self.0)()
    }
}

pub(super) fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    dispatch(level(), Vectorised(f))
}

#[inline(always)]
pub(super) fn lanes(x: &[f32]) -> &[Lane] {
    x.as_chunks().0
}

#[inline(always)]
pub(super) fn lanes_mut(x: &mut [f32]) -> &mut [Lane] {
    x.as_chunks_mut().0
}

/// The 16 numbers of a block of channels.
fn block_of(channels: &[f32], block: usize) -> Lane {
    std::array::from_fn(|i| channels[block * LANES + i])
}

/// Pixels whose sums are kept in single precision before they go to double.
const RUN: usize = 64;

/// Per channel, over all images and pixels: `Σ g` and `Σ g (x · scale + shift)`.
fn sums(extent: &Extent, g: &[f32], x: &[f32], scale: &[f32], shift: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let plane = extent.plane();
    let partial: Vec<[[f64; LANES]; 2]> = g
        .par_chunks_exact(plane)
        .zip(x.par_chunks_exact(plane))
        .enumerate()
        .map(|(p, (g, x))| {
            let scale = block_of(scale, p % extent.blocks);
            let shift = block_of(shift, p % extent.blocks);
            vectorised(
                #[inline(always)]
                || {
                    let mut total = [[0.0f64; LANES]; 2];
                    for (g, x) in lanes(g).chunks(RUN).zip(lanes(x).chunks(RUN)) {
                        let mut run = [[0.0f32; LANES]; 2];
                        for (g, x) in g.iter().zip(x) {
                            for i in 0..LANES {
                                run[0][i] += g[i];
                                run[1][i] += g[i] * (x[i] * scale[i] + shift[i]);
                            }
                        }
                        for i in 0..LANES {
                            total[0][i] += f64::from(run[0][i]);
                            total[1][i] += f64::from(run[1][i]);
                        }
                    }
                    total
                },
            )
        })
        .collect();
    let channels = extent.blocks * LANES;
    let (mut first, mut second) = (vec![0.0; channels], vec![0.0; channels]);
    for (p, sums) in partial.iter().enumerate() {
        let block = p % extent.blocks * LANES;
        for i in 0..LANES {
            first[block + i] += sums[0][i];
            second[block + i] += sums[1][i];
        }
    }
    (first, second)
}

/// Mean and (biased) variance of each channel over images and pixels.
pub fn statistics(extent: &Extent, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let channels = extent.blocks * LANES;
    let (sum, square) = sums(extent, x, x, &vec![1.0; channels], &vec![0.0; channels]);
    let count = extent.count();
    sum.iter()
        .zip(&square)
        .map(|(sum, square)| {
            let mean = sum / count;
            (mean as f32, (square / count - mean * mean).max(0.0) as f32)
        })
        .unzip()
}

/// `cut(x · scale + shift + residual)`, channel by channel; an empty `residual` is none. NaN stays NaN.
pub fn affine(extent: &Extent, x: &[f32], scale: &[f32], shift: &[f32], residual: &[f32], cut: Cut) -> Vec<f32> {
    let plane = extent.plane();
    let mut y = vec![0.0; x.len()];
    y.par_chunks_exact_mut(plane).enumerate().for_each(|(p, y)| {
        let scale = block_of(scale, p % extent.blocks);
        let shift = block_of(shift, p % extent.blocks);
        let x = &x[p * plane..(p + 1) * plane];
        let residual = residual.get(p * plane..(p + 1) * plane);
        let Cut { low, high } = cut;
        #[inline(always)]
        fn within(value: f32, low: f32, high: f32) -> f32 {
            let value = if value < low { low } else { value };
            if value > high { high } else { value }
        }
        vectorised(
            #[inline(always)]
            || match residual {
                Some(residual) => {
                    for ((y, x), r) in lanes_mut(y).iter_mut().zip(lanes(x)).zip(lanes(residual)) {
                        for i in 0..LANES {
                            let value = x[i] * scale[i] + shift[i] + r[i];
                            y[i] = within(value, low, high);
                        }
                    }
                }
                None => {
                    for (y, x) in lanes_mut(y).iter_mut().zip(lanes(x)) {
                        for i in 0..LANES {
                            let value = x[i] * scale[i] + shift[i];
                            y[i] = within(value, low, high);
                        }
                    }
                }
            },
        );
    });
    y
}

/// What a backward pass gives.
pub struct NormGradient {
    /// For the input.
    pub input: Vec<f32>,
    /// For γ.
    pub gamma: Vec<f32>,
    /// For β.
    pub beta: Vec<f32>,
    /// For the residual: the output's gradient where the cut let it pass.
    pub residual: Vec<f32>,
}

/// The gradients of batch normalisation with batch statistics, given the input, the output (which shows what was cut),
/// the statistics and the output's gradient.
pub fn backward(
    extent: &Extent,
    x: &[f32],
    y: &[f32],
    gamma: &[f32],
    (mean, rstd): (&[f32], &[f32]),
    gradient: &[f32],
    cut: Cut,
) -> NormGradient {
    let plane = extent.plane();
    // 1. Through the cut.
    let mut residual = vec![0.0; x.len()];
    residual.par_chunks_exact_mut(plane).enumerate().for_each(|(p, to)| {
        let (g, y) = (&gradient[p * plane..(p + 1) * plane], &y[p * plane..(p + 1) * plane]);
        vectorised(
            #[inline(always)]
            || {
                for ((to, g), y) in to.iter_mut().zip(g).zip(y) {
                    *to = if *y > cut.low && *y < cut.high { *g } else { 0.0 };
                }
            },
        );
    });
    // 2. Sums of g and of g x̂ per channel.
    let shift: Vec<f32> = mean.iter().zip(rstd).map(|(mean, rstd)| -mean * rstd).collect();
    let (beta, gamma_gradient) = sums(extent, &residual, x, rstd, &shift);
    // 3. dx = γ rstd (g − mean(g) − x̂ mean(g x̂)).
    let count = extent.count();
    let mean_g: Vec<f32> = beta.iter().map(|s| (s / count) as f32).collect();
    let mean_gx: Vec<f32> = gamma_gradient.iter().map(|s| (s / count) as f32).collect();
    let mut input = vec![0.0; x.len()];
    input.par_chunks_exact_mut(plane).enumerate().for_each(|(p, to)| {
        let block = p % extent.blocks * LANES;
        let (x, g) = (&x[p * plane..(p + 1) * plane], &residual[p * plane..(p + 1) * plane]);
        let mut a = [0.0; LANES];
        let mut b = [0.0; LANES];
        let mut c = [0.0; LANES];
        for i in 0..LANES {
            // dx = a g + b x + c
            let channel = block + i;
            a[i] = gamma[channel] * rstd[channel];
            b[i] = -a[i] * mean_gx[channel] * rstd[channel];
            c[i] = -a[i] * mean_g[channel] - b[i] * mean[channel];
        }
        vectorised(
            #[inline(always)]
            || {
                for ((to, x), g) in lanes_mut(to).iter_mut().zip(lanes(x)).zip(lanes(g)) {
                    for i in 0..LANES {
                        to[i] = a[i] * g[i] + b[i] * x[i] + c[i];
                    }
                }
            },
        );
    });
    NormGradient {
        input,
        gamma: gamma_gradient.iter().map(|&x| x as f32).collect(),
        beta: beta.iter().map(|&x| x as f32).collect(),
        residual,
    }
}
