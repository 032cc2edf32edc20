//! How near a filled photograph is to the true one, over the missing pixels.

use super::mask::Mask;
use burn::tensor::{Tensor, TensorData};
use image::RgbImage;

/// Channels of a photograph.
const CHANNELS: usize = 3;
/// Of the Gaussian of the structural similarity, and its reach of 3.5 of it.
const SIGMA: f64 = 1.5;
const REACH: usize = 5;
/// What keeps the structural similarity finite where a picture is dark or flat, as shares of its range.
const STEADY: [f64; 2] = [0.01, 0.03];

/// What a fill comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// Peak signal to noise over missing pixels and channels, in decibels.
    pub psnr: f64,
    /// Structural similarity (Wang et al., 2004), the mean over missing pixels and channels.
    pub ssim: f64,
}

/// Compares a fill with the truth over the missing pixels. Known pixels are taken from the truth.
///
/// # Panics
/// Where the sizes differ.
pub fn likeness(truth: &RgbImage, filled: &RgbImage, mask: &Mask) -> Likeness {
    assert_eq!(truth.dimensions(), filled.dimensions(), "two pictures of one size");
    assert_eq!(truth.as_raw().len(), CHANNELS * mask.holes.len(), "a mask of the picture's size");
    let missing = mask.missing().max(1) as f64 * CHANNELS as f64;
    let (mut squares, mut similarity) = (0.0, 0.0);
    for channel in 0..CHANNELS {
        let of = |picture: &RgbImage| -> Vec<f64> {
            picture.as_raw().iter().skip(channel).step_by(CHANNELS).map(|value| f64::from(*value)).collect()
        };
        let truth = of(truth);
        let filled: Vec<f64> = of(filled)
            .into_iter()
            .zip(&truth)
            .zip(&mask.holes)
            .map(|((f, t), hole)| if *hole { f } else { *t })
            .collect();
        squares += truth.iter().zip(&filled).map(|(t, f)| (t - f) * (t - f)).sum::<f64>();
        let map = similarities(&truth, &filled, mask.width);
        similarity += map.into_iter().zip(&mask.holes).filter(|(_, hole)| **hole).map(|(s, _)| s).sum::<f64>();
    }
    let psnr = 10.0 * (255.0 * 255.0 / (squares / missing)).log10();
    Likeness { psnr, ssim: similarity / missing }
}

/// The structural similarity around each pixel: population moments under a Gaussian.
fn similarities(a: &[f64], b: &[f64], width: usize) -> Vec<f64> {
    let [c1, c2] = STEADY.map(|share| (share * 255.0).powi(2));
    let product = |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x * y).collect() };
    let [mean_a, mean_b] = [a, b].map(|x| blurred(x, width));
    let [aa, bb, ab] = [product(a, a), product(b, b), product(a, b)].map(|x| blurred(&x, width));
    (0..a.len())
        .map(|at| {
            let (ma, mb) = (mean_a[at], mean_b[at]);
            let (va, vb, vab) = (aa[at] - ma * ma, bb[at] - mb * mb, ab[at] - ma * mb);
            (2.0 * ma * mb + c1) * (2.0 * vab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
        })
        .collect()
}

/// The structural similarity of squares with gradients, `[n, 1]`: the mean over missing pixels and channels, of pictures
/// `[n, 3, side, side]` that are one unit from black to white and the same where nothing is missing, and masks
/// `[n, 1, side, side]`, 1 in the hole. A blur is a product with a matrix from either side.
pub(super) fn similarity(truth: Tensor<4>, filled: Tensor<4>, mask: Tensor<4>) -> Tensor<2> {
    let [n, _, side, _] = truth.dims();
    let weights = weights();
    let mut taps = vec![0f32; side * side];
    for at in 0..side {
        weights.iter().enumerate().for_each(|(tap, weight)| taps[at * side + place(at, tap, side)] += *weight as f32);
    }
    let taps = Tensor::<2>::from_data(TensorData::new(taps, [side, side]), &truth.device());
    let (down, across) = (taps.clone().unsqueeze::<4>(), taps.transpose().unsqueeze::<4>());
    let blurred = |x: Tensor<4>| down.clone().matmul(x).matmul(across.clone());
    let [c1, c2] = STEADY.map(|share| share.powi(2));
    let (mean_a, mean_b) = (blurred(truth.clone()), blurred(filled.clone()));
    let squared = |x: Tensor<4>| x.clone() * x;
    let of_both = mean_a.clone() * mean_b.clone();
    let of_each = squared(mean_a) + squared(mean_b);
    let covariance = blurred(truth.clone() * filled.clone()) - of_both.clone();
    let variances = blurred(squared(truth) + squared(filled)) - of_each.clone();
    let likeness = (of_both.mul_scalar(2.0).add_scalar(c1) * covariance.mul_scalar(2.0).add_scalar(c2))
        / (of_each.add_scalar(c1) * variances.add_scalar(c2));
    let per_picture = |x: Tensor<4>| x.reshape([n as i32, -1]).sum_dim(1);
    per_picture(likeness * mask.clone()) / per_picture(mask).mul_scalar(CHANNELS as f64)
}

/// A Gaussian blur; beyond the edges the picture is mirrored, edge pixels repeated.
fn blurred(x: &[f64], width: usize) -> Vec<f64> {
    let height = x.len() / width;
    let weights = weights();
    let along = |x: &[f64], count: usize, stride: usize, start: usize, at: usize| -> f64 {
        let taps = weights.iter().enumerate();
        taps.map(|(tap, weight)| weight * x[start + place(at, tap, count) * stride]).sum()
    };
    let rows: Vec<f64> = (0..x.len()).map(|at| along(x, width, 1, at / width * width, at % width)).collect();
    (0..x.len()).map(|at| along(&rows, height, width, at % width, at / width)).collect()
}

/// Of the Gaussian's taps, the sum of which is 1.
fn weights() -> Vec<f64> {
    let offsets = -(REACH as isize)..=REACH as isize;
    let weights: Vec<f64> = offsets.map(|at| (-0.5 * (at as f64 / SIGMA).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

/// Where a tap around a place of `0..count` falls.
fn place(at: usize, tap: usize, count: usize) -> usize {
    mirrored(at as isize + tap as isize - REACH as isize, count)
}

/// The place inside `0..count` that a place outside is mirrored to.
fn mirrored(at: isize, count: usize) -> usize {
    let period = 2 * count as isize;
    let at = at.rem_euclid(period);
    at.min(period - 1 - at) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inpaint::photograph::{mask_tensor, planes, tensor};

    #[test]
    fn the_true_picture_is_like_itself_and_a_constant_error_has_its_decibels() {
        let truth = RgbImage::from_fn(20, 13, |x, y| image::Rgb([(x * 9) as u8, (y * 11) as u8, 100]));
        let mask = Mask { width: 20, height: 13, holes: (0..260).map(|at| at % 3 == 0).collect() };
        let same = likeness(&truth, &truth, &mask);
        assert!(same.psnr.is_infinite() && (same.ssim - 1.0).abs() < 1e-12, "{same:?}");
        let mut off = truth.clone();
        off.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| value + 5));
        let five = likeness(&truth, &off, &mask);
        assert!((five.psnr - 20.0 * (255.0f64 / 5.0).log10()).abs() < 1e-9, "{five:?}");
        assert!(five.ssim < 1.0);
    }

    /// The plain form works in double precision on 0 to 255. In single precision on 0 to 1, a second moment is off by some
    /// roundings of 6e-8, each variance so by about 2e-7 after its difference, which the constant of 9e-4 divides: 3e-4 at
    /// the worst pixel. That of a mean over pixels is smaller.
    #[test]
    fn similarity_with_gradients_is_that_of_the_plain_form() {
        let side = 16;
        let mut random = polyad_shapes::random::Random::new(5, 0);
        let mut picture = || {
            let mut value = || random.count(0, 255) as u8;
            RgbImage::from_fn(side, side, |_, _| image::Rgb([value(), value() / 8 + 90, 40]))
        };
        let (truth, mut filled) = (picture(), picture());
        let holes: Vec<bool> = (0..side * side).map(|at| at % 5 < 2).collect();
        for (at, pixel) in filled.pixels_mut().enumerate().filter(|(at, _)| !holes[*at]) {
            *pixel = *truth.get_pixel(at as u32 % side, at as u32 / side);
        }
        let mask = Mask { width: side as usize, height: side as usize, holes };
        let device = burn::tensor::Device::flex();
        let size = [side as usize; 2];
        let of = |picture: &RgbImage| tensor([&planes(picture)].into_iter(), size, &device).add_scalar(0.5);
        let ours = similarity(of(&truth), of(&filled), mask_tensor([&mask].into_iter(), size, &device));
        let ours = f64::from(ours.into_scalar::<f32>());
        let plain = likeness(&truth, &filled, &mask).ssim;
        assert!((ours - plain).abs() < 3e-4, "{ours}, {plain}");
        assert!(plain < 0.9, "{plain}: something differs");
    }

    #[test]
    fn mirrors_repeat_the_edge() {
        assert_eq!([-3, -1, 0, 4, 5, 7].map(|at| mirrored(at, 5)), [2, 0, 0, 4, 4, 2]);
        assert_eq!([-2, 9].map(|at| mirrored(at, 1)), [0, 0]);
    }
}
