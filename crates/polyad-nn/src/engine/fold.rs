//! Weights as the kernels want them: normalisation folded in, packed by blocks of 16 channels, zeros where a block is not
//! full.

use crate::error::{Error, Result};
use crate::norm::BatchNorm;
use burn::module::Param;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use polyad_simd::{LANES, bfloat16};
use rayon::prelude::*;

/// Packed weights and bias of a layer.
#[derive(Debug)]
pub(super) struct Packed<W = Weights> {
    /// Output channels.
    pub outputs: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// As `polyad_simd::conv::Direct` or `Depthwise` take them.
    pub weights: W,
    /// One a channel.
    pub bias: Vec<f32>,
}

/// Packed weights.
#[derive(Debug)]
pub(super) enum Weights {
    /// In single precision.
    Single(Vec<f32>),
    /// In bfloat16, two rows side by side.
    Pairs(Vec<u16>),
}

impl Weights {
    /// The same in bfloat16.
    pub fn round(&mut self) {
        if let Weights::Single(numbers) = self {
            let mut rows = vec![0; numbers.len()];
            bfloat16::round(polyad_simd::level(), numbers, &mut rows);
            let mut pairs = vec![0; rows.len()];
            for (from, to) in rows.chunks_exact(2 * LANES).zip(pairs.chunks_exact_mut(2 * LANES)) {
                for lane in 0..LANES {
                    (to[2 * lane], to[2 * lane + 1]) = (from[lane], from[LANES + lane]);
                }
            }
            *self = Weights::Pairs(pairs);
        }
    }
}

/// A convolution's weights, `[out, in, k, k]`, and what is folded into them, for an input in blocks of so many `lanes`.
pub(super) fn convolution(
    weight: &Param<Tensor<4>>,
    bias: Option<&Param<Tensor<1>>>,
    norm: Option<&BatchNorm>,
    lanes: usize,
) -> Result<Packed> {
    let [outputs, inputs, rows, columns] = weight.dims();
    let numbers = numbers(weight.val())?;
    let factors = Factors::new(outputs, bias, norm)?;
    let at = |o: usize, i: usize, tap: usize| {
        (f64::from(numbers[(o * inputs + i) * rows * columns + tap]) * factors.scale[o]) as f32
    };
    Ok(pack([outputs, inputs], [rows, columns], lanes, &factors, at))
}

/// A depthwise convolution's weights, `[channels, 1, k, k]`, and what is folded into them.
pub(super) fn depthwise(conv: &Conv2d, norm: Option<&BatchNorm>) -> Result<Packed<Vec<f32>>> {
    let [channels, _, rows, columns] = conv.weight.dims();
    let numbers = numbers(conv.weight.val())?;
    let factors = Factors::new(channels, conv.bias.as_ref(), norm)?;
    let taps = rows * columns;
    let mut weights = vec![0.0; channels.div_ceil(LANES) * taps * LANES];
    for (channel, of_channel) in numbers.chunks_exact(taps).enumerate() {
        for (tap, weight) in of_channel.iter().enumerate() {
            let at = (channel / LANES * taps + tap) * LANES + channel % LANES;
            weights[at] = (f64::from(*weight) * factors.scale[channel]) as f32;
        }
    }
    Ok(Packed { outputs: channels, kernel: [rows, columns], weights, bias: factors.bias() })
}

/// A batch norm as a depthwise convolution of single pixels.
pub(super) fn affine(norm: &BatchNorm) -> Result<Packed<Vec<f32>>> {
    let channels = norm.gamma.shape()[0];
    let factors = Factors::new(channels, None, Some(norm))?;
    let mut weights: Vec<f32> = factors.scale.iter().map(|scale| *scale as f32).collect();
    weights.resize(channels.next_multiple_of(LANES), 0.0);
    Ok(Packed { outputs: channels, kernel: [1, 1], weights, bias: factors.bias() })
}

/// A linear layer over a map of `side` × `side`, flattened channel by channel as PyTorch does: a convolution whose kernel
/// is the map.
pub(super) fn linear(linear: &Linear, side: usize) -> Result<Packed> {
    let [inputs, outputs] = linear.weight.dims();
    let numbers = numbers(linear.weight.val())?;
    let factors = Factors::new(outputs, linear.bias.as_ref(), None)?;
    let taps = side * side;
    let at = |o: usize, i: usize, tap: usize| numbers[(i * taps + tap) * outputs + o];
    Ok(pack([outputs, inputs / taps], [side, side], LANES, &factors, at))
}

/// `[out blocks][in blocks][taps][in lanes][16]`
fn pack(
    [outputs, inputs]: [usize; 2],
    kernel: [usize; 2],
    lanes: usize,
    factors: &Factors,
    weight: impl Fn(usize, usize, usize) -> f32 + Sync,
) -> Packed {
    let taps = kernel[0] * kernel[1];
    let in_blocks = inputs.div_ceil(lanes);
    let mut weights = vec![0.0; outputs.div_ceil(LANES) * in_blocks * taps * lanes * LANES];
    let of_block = in_blocks * taps * lanes * LANES;
    weights.par_chunks_exact_mut(of_block).enumerate().for_each(|(out_block, weights)| {
        for (index, weights) in weights.chunks_exact_mut(LANES).enumerate() {
            let (lane, tap, in_block) = (index % lanes, index / lanes % taps, index / lanes / taps);
            let input = in_block * lanes + lane;
            let first = out_block * LANES;
            if input < inputs {
                for (output, to) in (first..outputs).zip(weights) {
                    *to = weight(output, input, tap);
                }
            }
        }
    });
    Packed { outputs, kernel, weights: Weights::Single(weights), bias: factors.bias() }
}

/// What each output channel is multiplied by, and what is added then. In double precision: a variance near zero makes
/// factors of which a rounding would show.
struct Factors {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Factors {
    fn new(outputs: usize, bias: Option<&Param<Tensor<1>>>, norm: Option<&BatchNorm>) -> Result<Self> {
        let mut factors = Factors { scale: vec![1.0; outputs], shift: vec![0.0; outputs] };
        if let Some(bias) = bias {
            factors.shift = numbers(bias.val())?.into_iter().map(f64::from).collect();
        }
        if let Some(norm) = norm {
            let tensors =
                [norm.gamma.val(), norm.beta.val(), norm.running_mean.value_sync(), norm.running_var.value_sync()];
            let [gamma, beta, mean, variance] = tensors.map(numbers);
            let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
            for (o, (scale, shift)) in factors.scale.iter_mut().zip(&mut factors.shift).enumerate() {
                *scale = f64::from(gamma[o]) / (f64::from(variance[o]) + norm.epsilon).sqrt();
                *shift = (*shift - f64::from(mean[o])) * *scale + f64::from(beta[o]);
            }
        }
        Ok(factors)
    }

    /// The shifts, to the end of the last block.
    fn bias(&self) -> Vec<f32> {
        let mut bias: Vec<f32> = self.shift.iter().map(|shift| *shift as f32).collect();
        bias.resize(bias.len().next_multiple_of(LANES), 0.0);
        bias
    }
}

/// A tensor's numbers, wherever it is.
pub(super) fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let unreadable = |error: &dyn std::fmt::Display| Error::config("engine", format!("numbers do not read: {error}"));
    tensor.into_data().convert::<f32>().try_into_vec().map_err(|error| unreadable(&error))
}
