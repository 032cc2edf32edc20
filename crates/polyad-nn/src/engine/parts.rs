//! Parts of a network that runs without a framework, from Burn's layers.

use super::fold::{Factors, numbers};
use crate::error::{Error, Result};
use crate::norm::BatchNorm;
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use polyad_run::Affine;

/// A linear layer. A norm after it is folded into it.
pub fn linear(linear: &Linear, norm: Option<&BatchNorm>) -> Result<polyad_run::Linear> {
    let [inputs, outputs] = linear.weight.dims();
    let factors = Factors::new(outputs, linear.bias.as_ref(), norm)?;
    let mut weights = numbers(linear.weight.val())?;
    for row in weights.chunks_exact_mut(outputs.max(1)) {
        for (weight, scale) in row.iter_mut().zip(&factors.scale) {
            *weight = (f64::from(*weight) * scale) as f32;
        }
    }
    let bias = if linear.bias.is_some() || norm.is_some() { factors.bias() } else { Vec::new() };
    Ok(polyad_run::Linear::new([inputs, outputs], &weights, bias)?)
}

/// A batch norm at inference.
pub fn batch_norm(norm: &BatchNorm) -> Result<Affine> {
    let factors = Factors::new(norm.gamma.shape()[0], None, Some(norm))?;
    Ok(Affine::new(factors.scale.iter().map(|scale| *scale as f32).collect(), factors.bias())?)
}

/// A layer norm with Burn's default epsilon: a module does not tell its own.
pub fn layer_norm(norm: &LayerNorm) -> Result<polyad_run::LayerNorm> {
    let Some(beta) = &norm.beta else {
        return Err(Error::config("engine", "a layer norm without a bias"));
    };
    let gamma = numbers(norm.gamma.val())?;
    let epsilon = LayerNormConfig::new(gamma.len()).epsilon as f32;
    Ok(polyad_run::LayerNorm::new(gamma, numbers(beta.val())?, epsilon)?)
}
