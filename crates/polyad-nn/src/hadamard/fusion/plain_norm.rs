//! Batch normalisation without scale and shift of its own, for layers that let another signal set them.

use crate::error::{Result, nonzero};
use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor};

/// `(x − mean) / √(variance + ε)`, per channel.
///
/// Statistics are kept and used as by [`BatchNorm`](crate::norm::BatchNorm), with its defaults: ε 1e-5, momentum 0.1.
#[derive(Module, Debug)]
pub struct PlainNorm {
    /// Whether the layer takes part in training; cleared by `freeze`.
    pub training: Param<Flag>,
    /// `[channels]`, at first 0.
    pub running_mean: RunningState<Tensor<1>>,
    /// `[channels]`, at first 1; of unbiased variances.
    pub running_var: RunningState<Tensor<1>>,
}

const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

impl PlainNorm {
    pub(super) fn new(channels: usize, device: &Device) -> Result<Self> {
        nonzero("batch norm", &[("channels", channels)])?;
        Ok(PlainNorm {
            training: Param::from_bool(true),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
        })
    }

    /// # Shapes
    /// - input, output: `[n, channels, ..]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mean = self.running_mean.value_sync();
        let (ones, zeros) = (mean.ones_like(), mean.zeros_like());
        let numbers = x.shape().num_elements() / x.dims()[1];
        if x.device().is_autodiff() && self.training.is_enabled() && numbers > 1 {
            let normed = batch_norm_train(x, ones, zeros, EPSILON);
            let unbiased = normed.variance.detach().mul_scalar(numbers as f64 / (numbers - 1) as f64);
            remember(&self.running_mean, normed.mean.detach());
            remember(&self.running_var, unbiased);
            normed.output
        } else {
            batch_norm(x, ones, zeros, mean, self.running_var.value_sync(), EPSILON)
        }
    }
}

fn remember(running: &RunningState<Tensor<1>>, newest: Tensor<1>) {
    let mixed = running.value_sync().mul_scalar(1.0 - MOMENTUM) + newest.mul_scalar(MOMENTUM);
    running.update(mixed.detach());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, numbers, wave};
    use crate::norm::BatchNormConfig;
    use burn::tensor::DType;

    #[test]
    fn it_is_a_batch_norm_of_scale_1_and_shift_0() {
        let device = Device::flex().autodiff();
        let plain = PlainNorm::new(3, &device).expect("channels");
        let full = BatchNormConfig::new(3).init(&device).expect("channels");
        // Two batches of training, one with a single number a channel; then inference.
        for shape in [[2, 3, 4, 5], [1, 3, 1, 1]] {
            let x = wave(shape, 0.7, &device).cast(DType::F32);
            close(&numbers(plain.forward(x.clone())), &numbers(full.forward(x)), 1e-6);
        }
        let (plain, full) = (plain.valid(), full.valid());
        assert_eq!(numbers(plain.running_mean.value()), numbers(full.running_mean.value()));
        assert_eq!(numbers(plain.running_var.value()), numbers(full.running_var.value()));
        let x = wave([2, 3, 4, 5], 0.4, &Device::flex()).cast(DType::F32);
        close(&numbers(plain.forward(x.clone())), &numbers(full.forward(x)), 1e-6);
    }
}
