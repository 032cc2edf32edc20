//! DropBlock: squares of a map dropped together (Ghiasi et al., arXiv 1810.12890).
//!
//! As in the paper a block lies within the map and each channel has blocks of its own; some public code lets blocks
//! begin anywhere, or all channels share them. Blocks may have even sides.

use super::{is_drawn, ones};
use crate::error::{Result, nonzero, probability};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Flag, Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::{MaxPoolOptions, PadMode};

/// How a [`DropBlock`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropBlockConfig {
    /// The share of a map that would be dropped if blocks did not overlap.
    pub p: f64,
    /// Side of a block, k; the paper's experiments use 7.
    pub block: usize,
}

/// `y = x ∘ M · |M| / ΣM`, M zero in blocks of k × k.
///
/// A block begins at each place where it fits with probability `γ = p · HW / (k² (H − k + 1)(W − k + 1))`. On an
/// axis shorter than k a block covers it all. Since blocks overlap, less than the share p is dropped. The scale keeps a
/// sample's sum where x is constant: it counts over all channels of the *sample*, so that no sample's output depends
/// on its batch; public code counts over the batch. A sample of which nothing is kept is 0.
#[derive(Module, Debug)]
pub struct DropBlock {
    /// Whether noise is drawn at all; cleared by `freeze`.
    pub training: Param<Flag>,
    p: f64,
    block: usize,
}

impl DropBlockConfig {
    /// Makes the layer. A block of nothing and a share outside [0, 1) are refused.
    pub fn init(&self) -> Result<DropBlock> {
        nonzero("DropBlock", &[("block", self.block)])?;
        probability("DropBlock", "p", self.p)?;
        Ok(DropBlock { training: Param::from_bool(true), p: self.p, block: self.block })
    }
}

impl DropBlock {
    /// # Shapes
    /// - x, output: `[n, channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        if self.p == 0.0 || !is_drawn(&self.training, &x.device()) {
            return x;
        }
        let [samples, channels, height, width] = x.dims();
        let sides = [height, width].map(|size| size.min(self.block));
        let places = [height - sides[0] + 1, width - sides[1] + 1];
        let gamma = self.p * (height * width) as f64 / (sides[0] * sides[1] * places[0] * places[1]) as f64;
        let corners = ones([samples, channels, places[0], places[1]], gamma, &x.device(), x.dtype());
        drop_blocks(x, corners, sides)
    }
}

/// Drops the blocks whose upper left corners are 1.
///
/// # Shapes
/// - x: `[n, channels, height, width]`
/// - corners: `[n, channels, height − sides₀ + 1, width − sides₁ + 1]`
fn drop_blocks(x: Tensor<4>, corners: Tensor<4>, sides: [usize; 2]) -> Tensor<4> {
    let [samples, channels, height, width] = x.dims();
    let margins = sides.map(|side| (side - 1, side - 1));
    let corners = corners.pad(margins, PadMode::Constant(0.0));
    let mask = max_pool2d(corners, MaxPoolOptions::new(sides).with_stride([1, 1])).neg().add_scalar(1.0);
    // Counted in single precision: half counts exactly to 2048 only.
    let kept = mask.clone().cast(burn::tensor::DType::F32).reshape([samples, channels * height * width]).sum_dim(1);
    let scale = kept.clamp_min(1.0).recip().mul_scalar((channels * height * width) as f64).cast(x.dtype());
    x * (mask * scale.reshape([samples, 1, 1, 1]))
}

impl Describe for DropBlock {
    fn describe(&self, _: &mut Trace, x: Signal) -> Signal {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::mean_is;
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, doubles, gradients, numbers, wave};
    use burn::tensor::{DType, Device};

    #[test]
    fn blocks_of_odd_and_even_sides_cover_what_they_should() {
        // One corner at row 1, column 2 of a map of 5 × 6; what is dropped, row by row.
        let device = Device::flex();
        for (side, dropped) in [(1, vec![8]), (2, vec![8, 9, 14, 15]), (3, vec![8, 9, 10, 14, 15, 16, 20, 21, 22])] {
            let places = [6 - side, 7 - side];
            let corner = (0..places[0] * places[1]).map(|i| if i == places[1] + 2 { 1.0 } else { 0.0 }).collect();
            let corners = doubles(corner, [1, 1, places[0], places[1]], &device);
            let x = Tensor::ones([1, 1, 5, 6], (&device, DType::F64));
            let scale = 30.0 / (30 - dropped.len()) as f64;
            let wanted: Vec<f64> = (0..30).map(|i| if dropped.contains(&i) { 0.0 } else { scale }).collect();
            close(&numbers(drop_blocks(x, corners, [side; 2])), &wanted, 1e-6);
        }
    }

    #[test]
    fn each_place_is_dropped_as_often_as_the_blocks_that_cover_it_say() {
        let (height, width) = (4, 6);
        for block in [1, 2, 3] {
            let layer = DropBlockConfig { p: 0.3, block }.init().expect("sizes");
            let x = Tensor::<4>::ones([500, 40, height, width], &Device::flex().autodiff());
            let y = numbers(layer.forward(x));
            let places = (height - block + 1) * (width - block + 1);
            let gamma = 0.3 * (height * width) as f64 / (block * block * places) as f64;
            let covering = |at: usize, size: usize| (at.min(size - block) + block).saturating_sub(at.max(block - 1));
            for at in 0..height * width {
                let blocks = covering(at / width, height) * covering(at % width, width);
                let is_dropped = |y: &f64| f64::from(u8::from(*y == 0.0));
                let draws: Vec<f64> = y.iter().skip(at).step_by(height * width).map(is_dropped).collect();
                mean_is(&draws, 1.0 - (1.0 - gamma).powi(blocks as i32));
            }
        }
    }

    #[test]
    fn the_mean_of_a_constant_map_stays_and_no_sample_knows_its_batch() {
        let layer = DropBlockConfig { p: 0.4, block: 3 }.init().expect("sizes");
        let x = Tensor::<4>::ones([20, 5, 7, 9], &Device::flex().autodiff());
        for sample in numbers(layer.forward(x)).chunks(5 * 7 * 9) {
            let sum: f64 = sample.iter().sum();
            assert!((sum - 315.0).abs() < 1e-3, "{sum}");
            let first = sample.iter().find(|y| **y != 0.0).expect("something is kept");
            assert!(sample.iter().all(|y| y == first || *y == 0.0), "one scale a sample");
        }
    }

    #[test]
    fn tiny_maps_are_dropped_whole() {
        let layer = DropBlockConfig { p: 0.25, block: 7 }.init().expect("sizes");
        for (height, width) in [(1, 1), (2, 3), (7, 4)] {
            let y = numbers(layer.forward(Tensor::ones([8_000, 1, height, width], &Device::flex().autodiff())));
            let maps = y.chunks(height * width);
            maps.clone().for_each(|map| assert!(map.iter().all(|y| *y == 0.0) || map.iter().all(|y| *y == 1.0)));
            mean_is(&maps.map(|map| map[0]).collect::<Vec<_>>(), 0.75);
        }
    }

    #[test]
    fn a_long_axis_beside_a_short_one_keeps_its_blocks() {
        let layer = DropBlockConfig { p: 0.5, block: 3 }.init().expect("sizes");
        let y = numbers(layer.forward(Tensor::ones([50, 1, 1, 11], &Device::flex().autodiff())));
        for row in y.chunks(11) {
            let runs = row.split(|y| *y != 0.0).map(<[f64]>::len).filter(|run| *run > 0);
            runs.for_each(|run| assert!(run >= 3, "{row:?}"));
        }
    }

    #[test]
    fn without_noise_nothing_happens() {
        let layer = DropBlockConfig { p: 0.5, block: 3 }.init().expect("sizes");
        let x = wave([8, 8, 5, 5], 0.4, &Device::flex());
        assert_eq!(numbers(layer.forward(x.clone())), numbers(x.clone()));
        let noisy = Tensor::from_data(x.to_data(), (&Device::flex().autodiff(), DType::F64));
        assert_ne!(numbers(layer.forward(noisy.clone())), numbers(x.clone()));
        assert_eq!(numbers(layer.clone().freeze().forward(noisy.clone())), numbers(x.clone()));
        let certain = DropBlockConfig { p: 0.0, block: 3 }.init().expect("sizes");
        assert_eq!(numbers(certain.forward(noisy)), numbers(x));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let corners = wave([2, 3, 4, 3], 0.77, &device).greater_scalar(0.7).float().cast(DType::F64);
        let layer = DropBlockConfig { p: 0.5, block: 2 }.init().expect("sizes");
        gradients(layer, wave([2, 3, 5, 4], 0.9, &device), |_, x| drop_blocks(x, corners.clone(), [2, 2]));
    }

    #[test]
    fn an_audit_sees_nothing_of_it() {
        let audit = Audit::of(&DropBlockConfig { p: 0.5, block: 2 }.init().expect("sizes"), &[3, 8, 8]);
        assert_eq!((audit.parameters, audit.multiply_adds, audit.log2_degree), (0, 0, Some(0.0)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |p, block| DropBlockConfig { p, block }.init().expect_err("refused").to_string();
        assert_eq!(refused(-0.1, 3), "DropBlock: p is -0.1, not in [0, 1)");
        assert_eq!(refused(0.1, 0), "DropBlock: block is 0");
    }
}
