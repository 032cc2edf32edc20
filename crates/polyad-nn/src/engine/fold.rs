//! Weights of Burn's modules with normalisation folded in, packed.

use crate::error::{Error, Result};
use crate::norm::BatchNorm;
use burn::module::Param;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use polyad_run::Packed;
use polyad_simd::LANES;

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
    Ok(Packed::convolution([outputs, inputs], [rows, columns], lanes, factors.bias(), at))
}

/// A depthwise convolution's weights, `[channels, 1, k, k]`, and what is folded into them.
pub(super) fn depthwise(conv: &Conv2d, norm: Option<&BatchNorm>) -> Result<Packed<Vec<f32>>> {
    let [channels, _, rows, columns] = conv.weight.dims();
    let numbers = numbers(conv.weight.val())?;
    let factors = Factors::new(channels, conv.bias.as_ref(), norm)?;
    let taps = rows * columns;
    let at = |c: usize, tap: usize| (f64::from(numbers[c * taps + tap]) * factors.scale[c]) as f32;
    Ok(Packed::depthwise([rows, columns], factors.bias(), at))
}

/// A batch norm as a depthwise convolution of single pixels.
pub(super) fn affine(norm: &BatchNorm) -> Result<Packed<Vec<f32>>> {
    let channels = norm.gamma.shape()[0];
    let factors = Factors::new(channels, None, Some(norm))?;
    Ok(Packed::depthwise([1, 1], factors.bias(), |c, _| factors.scale[c] as f32))
}

/// A linear layer over a map of `side` × `side`, flattened channel by channel as PyTorch does: a convolution whose kernel
/// is the map.
pub(super) fn linear(linear: &Linear, side: usize) -> Result<Packed> {
    let [inputs, outputs] = linear.weight.dims();
    let numbers = numbers(linear.weight.val())?;
    let factors = Factors::new(outputs, linear.bias.as_ref(), None)?;
    let taps = side * side;
    let at = |o: usize, i: usize, tap: usize| numbers[(i * taps + tap) * outputs + o];
    Ok(Packed::convolution([outputs, inputs / taps], [side, side], LANES, factors.bias(), at))
}

/// What each output channel is multiplied by, and what is added then. In double precision: a variance near zero makes
/// factors of which a rounding would show.
pub(super) struct Factors {
    pub scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Factors {
    pub fn new(outputs: usize, bias: Option<&Param<Tensor<1>>>, norm: Option<&BatchNorm>) -> Result<Self> {
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

    /// The shifts in single precision.
    pub fn bias(&self) -> Vec<f32> {
        self.shift.iter().map(|shift| *shift as f32).collect()
    }
}

/// A tensor's numbers, wherever it is.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let unreadable = |error: &dyn std::fmt::Display| Error::config("engine", format!("numbers do not read: {error}"));
    tensor.into_data().convert::<f32>().try_into_vec().map_err(|error| unreadable(&error))
}
