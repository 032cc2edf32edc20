//! Batch normalisation that keeps the running variance as PyTorch does (Ioffe and Szegedy, arXiv 1502.03167).
//!
//! Burn's own keeps the biased variance of each batch; PyTorch normalises by the biased and remembers the
//! unbiased one, n / (n - 1) times as large. In a head that sees a dozen shapes a step the difference is 9 %.

use crate::error::{Result, nonzero};
use burn::module::{Flag, Initializer, Module, Param, RunningState};
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor};

/// How a [`BatchNorm`] is made.
#[derive(Debug, Clone)]
pub struct BatchNormConfig {
    /// Channels.
    pub features: usize,
    /// Added to the variance. PyTorch's default, 1e-5.
    pub epsilon: f64,
    /// The share of the newest batch in the running statistics. PyTorch's default, 0.1.
    pub momentum: f64,
}

/// `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`, per channel.
///
/// On an autodiff device, unless frozen, mean and variance are the batch's own and feed the running ones; otherwise the
/// running ones are used.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// `[features]`, at first 1.
    pub gamma: Param<Tensor<1>>,
    /// `[features]`, at first 0.
    pub beta: Param<Tensor<1>>,
    /// Whether the layer takes part in training; cleared by `freeze`.
    pub training: Param<Flag>,
    /// `[features]`, at first 0.
    pub running_mean: RunningState<Tensor<1>>,
    /// `[features]`, at first 1; of unbiased variances.
    pub running_var: RunningState<Tensor<1>>,
    momentum: f64,
    pub(crate) epsilon: f64,
}

impl BatchNormConfig {
    /// A layer for so many channels, with PyTorch's defaults.
    pub fn new(features: usize) -> Self {
        BatchNormConfig { features, epsilon: 1e-5, momentum: 0.1 }
    }

    /// Makes the layer. Zero channels are refused.
    pub fn init(&self, device: &Device) -> Result<BatchNorm> {
        nonzero("batch norm", &[("features", self.features)])?;
        Ok(BatchNorm {
            gamma: Initializer::Ones.init([self.features], device),
            beta: Initializer::Zeros.init([self.features], device),
            training: Param::from_bool(true),
            running_mean: RunningState::new(Tensor::zeros([self.features], device)),
            running_var: RunningState::new(Tensor::ones([self.features], device)),
            momentum: self.momentum,
            epsilon: self.epsilon,
        })
    }
}

impl BatchNorm {
    /// Normalises each channel.
    ///
    /// A batch that holds a single number a channel has no variance: even in training it is normalised by the running
    /// statistics, which it leaves alone. (PyTorch refuses it.)
    ///
    /// # Shapes
    /// - input: `[n, features, ...]`
    /// - output: the same
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let dims = input.dims();
        let numbers: usize = dims.iter().enumerate().filter(|(axis, _)| *axis != 1).map(|(_, n)| n).product();
        let training = input.device().is_autodiff() && self.training.is_enabled();
        if training && numbers > 1 { self.by_batch(input, numbers) } else { self.by_running(input) }
    }

    fn by_running<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let (mean, variance) = (self.running_mean.value_sync(), self.running_var.value_sync());
        batch_norm(input, self.gamma.val(), self.beta.val(), mean, variance, self.epsilon)
    }

    fn by_batch<const D: usize>(&self, input: Tensor<D>, numbers: usize) -> Tensor<D> {
        let result = batch_norm_train(input, self.gamma.val(), self.beta.val(), self.epsilon);
        self.remember_batch(result.mean, result.variance, numbers);
        result.output
    }

    /// Mixes the mean and the biased variance of a batch of `numbers` a channel (at least 2) into the running ones.
    pub(crate) fn remember_batch(&self, mean: Tensor<1>, variance: Tensor<1>, numbers: usize) {
        let unbiased = variance.detach().mul_scalar(numbers as f64 / (numbers - 1) as f64);
        self.remember(&self.running_mean, mean.detach());
        self.remember(&self.running_var, unbiased);
    }

    fn remember(&self, running: &RunningState<Tensor<1>>, newest: Tensor<1>) {
        let old = running.value_sync();
        let mixed = old.mul_scalar(1.0 - self.momentum) + newest.mul_scalar(self.momentum);
        running.update(mixed.detach());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().expect("float tensor")
    }

    #[test]
    fn training_normalises_by_the_batch_and_remembers_the_unbiased_variance() {
        let device = Device::flex().autodiff();
        let norm = BatchNormConfig::new(1).init(&device).expect("one channel");
        let out = numbers(norm.forward(Tensor::<2>::from_data([[1.0f32], [3.0]], &device)));
        // Mean 2, biased variance 1, unbiased 2.
        assert!((out[0] + 1.0).abs() < 1e-4 && (out[1] - 1.0).abs() < 1e-4, "{out:?}");
        let frozen = norm.valid();
        assert_eq!(numbers(frozen.running_mean.value()), [0.1 * 2.0]);
        assert_eq!(numbers(frozen.running_var.value()), [0.9 + 0.1 * 2.0]);

        let flat = Device::flex();
        let out = numbers(frozen.forward(Tensor::<2>::from_data([[1.2f32]], &flat)));
        assert!((out[0] - 1.0 / 1.1f32.sqrt()).abs() < 1e-4, "{out:?}");
    }

    #[test]
    fn a_single_number_a_channel_leaves_the_statistics_alone() {
        let device = Device::flex().autodiff();
        let norm = BatchNormConfig::new(2).init(&device).expect("two channels");
        let out = numbers(norm.forward(Tensor::<2>::from_data([[5.0f32, -1.0]], &device)));
        assert!(out.iter().all(|x| x.is_finite()) && (out[0] - 5.0).abs() < 1e-3, "{out:?}");
        assert_eq!(numbers(norm.valid().running_mean.value()), [0.0, 0.0]);
    }

    #[test]
    fn zero_channels_are_refused() {
        assert!(BatchNormConfig::new(0).init(&Device::flex()).is_err());
    }
}
