//! LMF: the outer product of any number of signals, each with a 1 before it, times a tensor of low rank (Liu et al.,
//! low-rank multimodal fusion, arXiv 1806.00064).
//!
//! The sum over the rank is the paper's plain one at first and learnt from there, as in public code. Factors begin by
//! Glorot and Bengio's rule with the fans they have, `d + 1` and o; one that is drawn as a tensor of three axes has
//! others.

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

/// How an [`Lmf`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LmfConfig {
    /// Numbers of each signal, `d_m`; two signals at least.
    pub inputs: Vec<usize>,
    /// R.
    pub rank: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
}

/// `z = Σ_r w_r ∘_m (W_m^(r) [1; x_m]) + β`, `∘_m` the product over signals.
///
/// A polynomial that is affine in each signal, all products between signals among its terms. Parameters:
/// `R o Σ_m (d_m + 1) + R + o`.
#[derive(Module, Debug)]
pub struct Lmf {
    /// For each signal all `W^(r)`, `[d_m, R o]`, one r after the other; what the 1 is multiplied by is the bias.
    pub factors: Vec<Linear>,
    /// w, `[R]`, at first 1.
    pub weights: Param<Tensor<1>>,
    /// β, `[o]`, at first 0.
    pub bias: Param<Tensor<1>>,
}

impl LmfConfig {
    /// Makes the layer. Sizes of zero and fewer than two signals are refused.
    pub fn init(&self, device: &Device) -> Result<Lmf> {
        let LmfConfig { ref inputs, rank, outputs } = *self;
        nonzero("LMF", &[("rank", rank), ("outputs", outputs)])?;
        if inputs.len() < 2 {
            return Err(Error::config("LMF", format!("{} signals, 2 at least", inputs.len())));
        }
        if let Some(signal) = inputs.iter().position(|size| *size == 0) {
            return Err(Error::config("LMF", format!("signal {signal} has 0 numbers")));
        }
        let initializer = Initializer::XavierUniform { gain: 1.0 };
        let factor = |size: usize| Linear {
            weight: initializer.init_with([size, rank * outputs], Some(size + 1), Some(outputs), device),
            bias: Some(initializer.init_with([rank * outputs], Some(size + 1), Some(outputs), device)),
        };
        Ok(Lmf {
            factors: inputs.iter().map(|size| factor(*size)).collect(),
            weights: Initializer::Ones.init([rank], device),
            bias: Initializer::Zeros.init([outputs], device),
        })
    }
}

impl Lmf {
    /// # Shapes
    /// - `signals`: of each `[n, d_m]`
    /// - output: `[n, o]`
    ///
    /// # Panics
    /// Where there are not as many signals as the layer was made for.
    pub fn forward(&self, signals: &[Tensor<2>]) -> Tensor<2> {
        assert_eq!(signals.len(), self.factors.len(), "LMF: signals given, and signals it was made for");
        let factors = self.factors.iter().zip(signals).map(|(factor, x)| factor.forward(x.clone()));
        let product = factors.reduce(|product, factor| product * factor).expect("two signals at least");
        let [n, numbers] = product.dims();
        let rank = self.weights.shape()[0];
        let weighted = product.reshape([n, rank, numbers / rank]) * self.weights.val().reshape([1, rank, 1]);
        weighted.sum_dim(1).squeeze_dim::<2>(1) + self.bias.val().unsqueeze()
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, signals: &[&Signal]) -> Signal {
        let factors = self.factors.iter().zip(signals).enumerate();
        let factors: Vec<Signal> =
            factors.map(|(index, (factor, x))| trace.linear(&format!("factors.{index}"), factor, x)).collect();
        let product = factors.into_iter().reduce(|product, factor| trace.product("product", &product, &factor));
        let product = product.expect("two signals at least");
        let (rank, outputs) = (self.weights.shape()[0], self.bias.shape()[0]);
        trace.map("sum_over_rank", rank + outputs, rank * outputs, &[&product], &[outputs])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, wave};

    fn config(inputs: &[usize]) -> LmfConfig {
        LmfConfig { inputs: inputs.to_vec(), rank: 3, outputs: 2 }
    }

    #[test]
    fn it_is_a_tensor_times_the_outer_product_with_ones() {
        let device = Device::flex();
        let layer = golden(config(&[4, 3, 2]).init(&device).expect("sizes"));
        let signals = [wave([1, 4], 0.9, &device), wave([1, 3], 1.3, &device), wave([1, 2], 0.4, &device)];
        let ones: Vec<Vec<f64>> = signals.iter().map(|x| [vec![1.0], numbers(x.clone())].concat()).collect();
        let (w, beta) = (numbers(layer.weights.val()), numbers(layer.bias.val()));
        let factors: Vec<Vec<f64>> = layer
            .factors
            .iter()
            .map(|factor| {
                [&factor.bias.as_ref().expect("bias").val().unsqueeze(), &factor.weight.val()]
                    .map(|x| numbers::<2>(x.clone()))
                    .concat()
            })
            .collect();
        // T_ijlk = Σ_r w_r W_1[i, rk] W_2[j, rk] W_3[l, rk]
        let entry = |i: usize, j: usize, l: usize, k: usize| {
            (0..3)
                .map(|r| {
                    w[r] * factors[0][i * 6 + r * 2 + k] * factors[1][j * 6 + r * 2 + k] * factors[2][l * 6 + r * 2 + k]
                })
                .sum::<f64>()
        };
        let wanted = [0, 1].map(|k| {
            let mut sum = beta[k];
            for (i, x) in ones[0].iter().enumerate() {
                for (j, y) in ones[1].iter().enumerate() {
                    for (l, z) in ones[2].iter().enumerate() {
                        sum += entry(i, j, l, k) * x * y * z;
                    }
                }
            }
            sum
        });
        close(&numbers(layer.forward(&signals)), &wanted, 1e-13);
    }

    #[test]
    fn it_begins_as_a_plain_sum_with_the_fans_it_has() {
        let layer = LmfConfig { inputs: vec![400, 3], rank: 4, outputs: 9 }.init(&Device::flex()).expect("sizes");
        assert_eq!(numbers(layer.weights.val()), [1.0; 4]);
        // Uniform up to √(6 / (401 + 9)): of 14,400 draws the largest is within 1 % of it.
        let largest = numbers(layer.factors[0].weight.val()).iter().fold(0.0f64, |max, x| max.max(x.abs()));
        let bound = (6.0f64 / 410.0).sqrt();
        assert!(largest <= bound * (1.0 + 1e-6) && largest > 0.99 * bound, "{largest}, bound {bound}");
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let (y, z) = (wave([2, 3], 1.3, &device), wave([2, 2], 0.4, &device));
        gradients(config(&[4, 3, 2]).init(&device).expect("sizes"), wave([2, 4], 0.9, &device), |layer, x| {
            layer.forward(&[x, y.clone(), z.clone()])
        });
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        for inputs in [vec![4, 3], vec![4, 3, 2]] {
            let layer = config(&inputs).init(&Device::flex()).expect("sizes");
            let mut trace = Trace::new();
            let signals: Vec<Signal> = inputs.iter().map(|size| trace.input(&[*size])).collect();
            let out = layer.describe(&mut trace, &signals.iter().collect::<Vec<_>>());
            let audit = trace.audit(&out);
            let sum: usize = inputs.iter().sum();
            assert_eq!(audit.parameters, parameters(&layer));
            assert_eq!(audit.parameters, 3 * 2 * (sum + inputs.len()) + 3 + 2);
            assert_eq!(audit.multiply_adds, 3 * 2 * sum + 3 * 2);
            assert_eq!(audit.ciphertext_products, (inputs.len() - 1) * 6);
            assert_eq!(audit.log2_degree.map(f64::exp2).map(f64::round), Some(inputs.len() as f64));
            assert!(audit.only_add_mul);
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || config(&[4, 3]).init(&device).expect("sizes");
        let forward = |layer: &Lmf| layer.forward(&[Tensor::ones([1, 4], &device), Tensor::ones([1, 3], &device)]);
        saves_and_loads(make(), make(), forward);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |config: LmfConfig| config.init(&Device::flex()).expect_err("cannot be").to_string();
        assert_eq!(refused(config(&[4])), "LMF: 1 signals, 2 at least");
        assert_eq!(refused(config(&[4, 0])), "LMF: signal 1 has 0 numbers");
        assert_eq!(refused(LmfConfig { rank: 0, ..config(&[4, 3]) }), "LMF: rank is 0");
    }
}
