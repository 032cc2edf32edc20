//! DropPath: residual branches dropped whole (Huang et al., Deep Networks with Stochastic Depth, arXiv 1603.09382;
//! Larsson et al., FractalNet, arXiv 1605.07648).
//!
//! As usual today each sample loses branches of its own, and kept ones are scaled by 1 / (1 − p) in training; the paper
//! drops a branch for a whole batch and scales by 1 − p afterwards.

use super::{is_drawn, ones};
use crate::error::{Result, probability};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Flag, Module, Param};
use burn::tensor::Tensor;

/// How a [`DropPath`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropPathConfig {
    /// Probability that a sample's branch is dropped.
    pub p: f64,
}

/// `y = m ∘ f(x)`, m 0 with probability p and else 1 / (1 − p), one number a sample; a block is `x + y`.
#[derive(Module, Debug)]
pub struct DropPath {
    /// Whether noise is drawn at all; cleared by `freeze`.
    pub training: Param<Flag>,
    p: f64,
}

impl DropPathConfig {
    /// Makes the layer. A probability outside [0, 1) is refused.
    pub fn init(&self) -> Result<DropPath> {
        probability("DropPath", "p", self.p)?;
        Ok(DropPath { training: Param::from_bool(true), p: self.p })
    }

    /// One for each of `depth` blocks, the probabilities rising linearly from 0 to `p`. (In the paper's schedule the
    /// first block already has p / depth. A single block has 0 here.)
    pub fn linear(depth: usize, p: f64) -> Vec<Self> {
        let last = depth.saturating_sub(1).max(1) as f64;
        (0..depth).map(|block| DropPathConfig { p: p * block as f64 / last }).collect()
    }
}

impl DropPath {
    /// # Shapes
    /// - branch, output: `[n, ..]`
    pub fn forward<const D: usize>(&self, branch: Tensor<D>) -> Tensor<D> {
        if self.p == 0.0 || !is_drawn(&self.training, &branch.device()) {
            return branch;
        }
        let mut shape = [1; D];
        shape[0] = branch.dims()[0];
        let keep = 1.0 - self.p;
        let mask = ones(shape, keep, &branch.device(), branch.dtype());
        branch * mask.div_scalar(keep)
    }
}

impl Describe for DropPath {
    fn describe(&self, _: &mut Trace, x: Signal) -> Signal {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::mean_is;
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, gradients, numbers, wave};
    use burn::tensor::Device;

    fn layer(p: f64) -> DropPath {
        DropPathConfig { p }.init().expect("a probability")
    }

    #[test]
    fn samples_are_dropped_or_scaled_whole() {
        let x = wave([20_000, 3, 2], 0.7, &Device::flex().autodiff());
        let y = numbers(layer(0.2).forward(x.clone()));
        let ratios: Vec<f64> = y.iter().zip(numbers(x)).map(|(y, x)| y / x).collect();
        for sample in ratios.chunks(6) {
            let whole = |value: f64| sample.iter().all(|ratio| (ratio - value).abs() < 1e-6);
            assert!(whole(0.0) || whole(1.25), "{sample:?}");
        }
        let draws: Vec<f64> = ratios.chunks(6).map(|sample| sample[0]).collect();
        mean_is(&draws, 1.0);
        // p / (1 − p)
        mean_is(&draws.iter().map(|draw| (draw - 1.0).powi(2)).collect::<Vec<_>>(), 0.25);
    }

    #[test]
    fn without_noise_nothing_happens() {
        let x = wave([9, 2], 0.7, &Device::flex());
        assert_eq!(numbers(layer(0.9).forward(x.clone())), numbers(x));
        let x = wave([9, 2], 0.7, &Device::flex().autodiff());
        assert_eq!(numbers(layer(0.9).freeze().forward(x.clone())), numbers(x.clone()));
        assert_eq!(numbers(layer(0.0).forward(x.clone())), numbers(x));
    }

    #[test]
    fn a_dropped_branch_gets_no_gradient_and_a_kept_one_its_scale() {
        let x = wave([50, 2], 0.7, &Device::flex().autodiff()).require_grad();
        let y = layer(0.5).forward(x.clone());
        let grads = y.clone().sum().backward();
        let factors = numbers(y / x.clone().detach());
        close(&numbers(x.grad(&grads).expect("takes part")), &factors, 1e-10);
        gradients(layer(0.5), x.detach(), |layer, x| layer.forward(x));
    }

    #[test]
    fn rates_rise_linearly() {
        let rates = |depth, p| DropPathConfig::linear(depth, p).iter().map(|config| config.p).collect::<Vec<_>>();
        close(&rates(5, 0.2), &[0.0, 0.05, 0.1, 0.15, 0.2], 1e-12);
        assert_eq!(rates(1, 0.2), [0.0]);
        assert!(rates(0, 0.2).is_empty());
    }

    #[test]
    fn an_audit_sees_nothing_of_it() {
        let audit = Audit::of(&layer(0.5), &[3]);
        assert_eq!((audit.parameters, audit.multiply_adds, audit.log2_degree), (0, 0, Some(0.0)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let error = DropPathConfig { p: 1.5 }.init().expect_err("no probability");
        assert_eq!(error.to_string(), "DropPath: p is 1.5, not in [0, 1)");
    }
}
