//! CCP: a polynomial of any degree by one recursion of products (Chrysos et al., Π-nets, arXiv 2003.03828).

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`Ccp`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CcpConfig {
    /// Numbers of the input, d.
    pub inputs: usize,
    /// Rank of the factors, k.
    pub rank: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
    /// N, at least 1.
    pub degree: usize,
}

/// `y_1 = U_1ᵀz`, `y_n = (U_nᵀz) ∘ y_{n−1} + y_{n−1}`, `x = C y_N + β`.
///
/// All monomials of `z` up to degree N, their coefficients a coupled CP decomposition. Parameters: `Ndk + ok + o`.
#[derive(Module, Debug)]
pub struct Ccp {
    /// The factors U, each `[d, k]`, no bias.
    pub factors: Vec<Linear>,
    /// C and β, `[k, o]`.
    pub output: Linear,
}

impl CcpConfig {
    /// Makes the layer. Sizes of zero are refused.
    ///
    /// The first factor has variance 1/d, the others 1/(Nd), so that for inputs of variance 1 the variance of `y_N` stays
    /// below e; with 1/d throughout it would be 2^(N−1).
    pub fn init(&self, device: &Device) -> Result<Ccp> {
        let CcpConfig { inputs, rank, outputs, degree } = *self;
        nonzero("CCP", &[("inputs", inputs), ("rank", rank), ("outputs", outputs), ("degree", degree)])?;
        let factor = |index: usize| {
            let terms = if index == 0 { 1 } else { degree };
            let std = ((terms * inputs) as f64).sqrt().recip();
            let initializer = Initializer::Normal { mean: 0.0, std };
            LinearConfig::new(inputs, rank).with_bias(false).with_initializer(initializer).init(device)
        };
        Ok(Ccp { factors: (0..degree).map(factor).collect(), output: LinearConfig::new(rank, outputs).init(device) })
    }
}

impl Ccp {
    /// # Shapes
    /// - `z`: `[.., d]`
    /// - output: `[.., o]`
    pub fn forward<const D: usize>(&self, z: Tensor<D>) -> Tensor<D> {
        let (first, rest) = self.factors.split_first().expect("a degree of at least 1");
        let step = |y: Tensor<D>, factor: &Linear| factor.forward(z.clone()) * y.clone() + y;
        let y = rest.iter().fold(first.forward(z.clone()), step);
        self.output.forward(y)
    }
}

impl Describe for Ccp {
    fn describe(&self, trace: &mut Trace, z: Signal) -> Signal {
        let mut y = trace.linear("factors.0", &self.factors[0], &z);
        for (index, factor) in self.factors.iter().enumerate().skip(1) {
            let factor = trace.linear(&format!("factors.{index}"), factor, &z);
            let product = trace.product("product", &factor, &y);
            y = trace.sum("sum", &product, &y);
        }
        trace.linear("output", &self.output, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, doubles, gradients, numbers, parameters, saves_and_loads, wave};
    use burn::module::Param;

    const CONFIG: CcpConfig = CcpConfig { inputs: 5, rank: 4, outputs: 3, degree: 3 };

    /// The worked example of degree 3: two inputs, rank 2, two outputs.
    fn worked() -> Ccp {
        let device = Device::flex();
        let weight = |rows: [f64; 4]| Param::from_tensor(doubles(rows.to_vec(), [2, 2], &device));
        let mut ccp = double(CcpConfig { inputs: 2, rank: 2, outputs: 2, degree: 3 }.init(&device).expect("sizes"));
        let factors = [[1.0, 2.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 2.0, 1.0]];
        for (factor, weights) in ccp.factors.iter_mut().zip(factors) {
            factor.weight = weight(weights);
        }
        // C is [[1, 1], [2, -1]]; Burn's linear layer keeps its transpose.
        ccp.output.weight = weight([1.0, 2.0, 1.0, -1.0]);
        ccp.output.bias = Some(Param::from_tensor(doubles(vec![1.0, 0.0], [2], &device)));
        ccp
    }

    #[test]
    fn worked_numbers_come_out() {
        let z = doubles(vec![1.0, 2.0], [1, 2], &Device::flex());
        close(&numbers(worked().forward(z)), &[69.0, -8.0], 1e-12);
    }

    #[test]
    fn third_differences_are_constant_and_fourth_vanish() {
        let ccp = worked();
        let values: Vec<f64> = (0..5)
            .map(|t| doubles(vec![1.0 + f64::from(t), 2.0 + f64::from(t)], [1, 2], &Device::flex()))
            .map(|z| numbers(ccp.forward(z))[0])
            .collect();
        close(&values, &[69.0, 253.0, 617.0, 1221.0, 2125.0], 1e-12);
        let differences = |values: &[f64]| values.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
        let third = differences(&differences(&differences(&values)));
        close(&third, &[60.0, 60.0], 1e-9);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(CONFIG.init(&device).expect("sizes"), wave([2, 5], 0.9, &device), |ccp, z| ccp.forward(z));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let ccp = CONFIG.init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&ccp, &[5]);
        assert_eq!(audit.parameters, parameters(&ccp));
        assert_eq!(audit.parameters, 3 * 5 * 4 + 3 * 4 + 3);
        assert_eq!(audit.multiply_adds, 3 * 5 * 4 + 3 * 4);
        assert!((audit.log2_degree.expect("a polynomial") - 3f64.log2()).abs() < 1e-12);
        assert_eq!((audit.product_depth, audit.ciphertext_products), (Some(2), 8));
        assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        saves_and_loads(make(), make(), |ccp| ccp.forward(Tensor::<2>::ones([2, 5], &device)));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = CcpConfig { degree: 0, ..CONFIG }.init(&Device::flex()).expect_err("no degree");
        assert_eq!(error.to_string(), "CCP: degree is 0");
    }
}
