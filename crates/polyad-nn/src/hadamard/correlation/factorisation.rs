//! Factorisation machine: all products of two features, their weights inner products of learnt vectors (Rendle,
//! Factorization Machines, ICDM 2010).

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor};

/// How a [`FactorisationMachine`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactorisationMachineConfig {
    /// Numbers of a record, d.
    pub features: usize,
    /// Length of each feature's vector, k.
    pub rank: usize,
}

/// `y = w_0 + wᵀx + Σ_{i<j} ⟨v_i, v_j⟩ x_i x_j`, the last computed as `½ Σ_f [(Σ_i v_if x_i)² − Σ_i v_if² x_i²]`.
///
/// Parameters: `1 + d + dk`; cost linear in both, not quadratic in d.
#[derive(Module, Debug)]
pub struct FactorisationMachine {
    /// w and `w_0`, `[d, 1]`.
    pub linear: Linear,
    /// v, `[d, k]`, no bias.
    pub factors: Linear,
}

impl FactorisationMachineConfig {
    /// Makes the layer. Sizes of zero are refused.
    ///
    /// The variance of each entry of v is `√2 / (d √k)`, so that for inputs of variance 1 the sum over pairs has
    /// variance 1.
    pub fn init(&self, device: &Device) -> Result<FactorisationMachine> {
        let FactorisationMachineConfig { features, rank } = *self;
        nonzero("factorisation machine", &[("features", features), ("rank", rank)])?;
        let variance = (2.0 / rank as f64).sqrt() / features as f64;
        let factors = LinearConfig::new(features, rank).with_bias(false);
        let factors = factors.with_initializer(Initializer::Normal { mean: 0.0, std: variance.sqrt() });
        Ok(FactorisationMachine { linear: LinearConfig::new(features, 1).init(device), factors: factors.init(device) })
    }
}

impl FactorisationMachine {
    /// # Shapes
    /// - `x`: `[.., d]`
    /// - output: `[.., 1]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.linear.forward(x.clone()) + self.pairs(x)
    }

    /// The sum over pairs alone.
    ///
    /// # Shapes
    /// - `x`: `[.., d]`
    /// - output: `[.., 1]`
    pub fn pairs<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let sums = self.factors.forward(x.clone());
        let squares = linear(x.clone() * x, self.factors.weight.val().square(), None);
        (sums.square() - squares).sum_dim(D - 1) * 0.5
    }
}

impl Describe for FactorisationMachine {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [features, rank] = self.factors.weight.shape().dims();
        let vector = |x: &Signal, last: usize| [&x.shape()[..x.shape().len() - 1], &[last]].concat();
        let sums = trace.linear("factors", &self.factors, &x);
        let sums = trace.product("sums squared", &sums, &sums);
        let squares = trace.product("squares", &x, &x);
        let multiply_adds = squares.elements() / features * features * rank;
        let squares = trace.map("squares summed", 0, multiply_adds, &[&squares], &vector(&x, rank));
        let difference = trace.sum("difference", &sums, &squares);
        let pairs = trace.mean("half the sum", &difference, &vector(&x, 1));
        let y = trace.linear("linear", &self.linear, &x);
        trace.sum("sum", &y, &pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, doubles, gradients, numbers, parameters, saves_and_loads, wave};
    use burn::module::Param;

    const CONFIG: FactorisationMachineConfig = FactorisationMachineConfig { features: 5, rank: 3 };

    #[test]
    fn the_worked_number_comes_out() {
        let device = Device::flex();
        let config = FactorisationMachineConfig { features: 4, rank: 2 };
        let mut machine = double(config.init(&device).expect("sizes"));
        let factors = vec![1.0, 0.0, 1.0, 1.0, 0.0, 2.0, 2.0, -1.0];
        machine.factors.weight = Param::from_tensor(doubles(factors, [4, 2], &device));
        let x = doubles(vec![1.0, 2.0, 3.0, -1.0], [1, 4], &device);
        close(&numbers(machine.pairs(x)), &[16.0], 1e-13);
    }

    #[test]
    fn it_is_the_sum_over_pairs() {
        let device = Device::flex();
        let machine = double(CONFIG.init(&device).expect("sizes"));
        let x = wave([4, 5], 0.9, &device);
        let (v, w) = (numbers(machine.factors.weight.val()), numbers(machine.linear.weight.val()));
        let bias = numbers(machine.linear.bias.as_ref().expect("a bias").val())[0];
        let dot = |i: usize, j: usize| (0..3).map(|f| v[i * 3 + f] * v[j * 3 + f]).sum::<f64>();
        let value = |x: &[f64]| {
            let pairs = (0..5).flat_map(|i| (0..i).map(move |j| (i, j)));
            let linear = x.iter().zip(&w).map(|(x, w)| x * w).sum::<f64>();
            bias + linear + pairs.map(|(i, j)| dot(i, j) * x[i] * x[j]).sum::<f64>()
        };
        let wanted: Vec<f64> = numbers(x.clone()).chunks(5).map(value).collect();
        close(&numbers(machine.forward(x)), &wanted, 1e-13);
    }

    #[test]
    fn one_feature_makes_no_pair() {
        let machine = FactorisationMachineConfig { features: 1, rank: 3 }.init(&Device::flex()).expect("sizes");
        close(&numbers(double(machine).pairs(wave([3, 1], 0.9, &Device::flex()))), &[0.0; 3], 1e-15);
    }

    #[test]
    fn at_the_start_the_sum_over_pairs_has_variance_one() {
        let machine = FactorisationMachineConfig { features: 64, rank: 32 }.init(&Device::flex()).expect("sizes");
        let v = numbers(machine.factors.weight.val());
        let dot = |i: usize, j: usize| (0..32).map(|f| v[i * 32 + f] * v[j * 32 + f]).sum::<f64>();
        // For independent inputs of variance 1 the variance is the sum of the weights' squares: 2016 pairs, mean 63 /
        // 64.
        let variance = (0..64).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| dot(i, j).powi(2)).sum::<f64>();
        assert!(variance > 0.6 && variance < 1.5, "{variance}");
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(CONFIG.init(&device).expect("sizes"), wave([2, 5], 0.9, &device), |machine, x| machine.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let machine = CONFIG.init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&machine, &[5]);
        assert_eq!((audit.parameters, parameters(&machine)), (1 + 5 + 5 * 3, 1 + 5 + 5 * 3));
        assert_eq!((audit.multiply_adds, audit.ciphertext_products), (5 + 2 * 5 * 3, 5 + 3));
        assert_eq!((audit.log2_degree, audit.product_depth), (Some(1.0), Some(1)));
        assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        saves_and_loads(make(), make(), |machine| machine.forward(Tensor::<2>::ones([2, 5], &device)));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = FactorisationMachineConfig { rank: 0, ..CONFIG }.init(&Device::flex()).expect_err("no rank");
        assert_eq!(error.to_string(), "factorisation machine: rank is 0");
    }
}
