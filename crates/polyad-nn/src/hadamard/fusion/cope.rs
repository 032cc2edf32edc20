//! CoPE: a polynomial of two signals jointly, by one recursion of products (Chrysos et al., conditional polynomial
//! expansions, arXiv 2104.05077).
//!
//! Without its second signal it is [`Ccp`](crate::hadamard::correlation::ccp::Ccp).

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`Cope`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopeConfig {
    /// Numbers of x.
    pub a: usize,
    /// Numbers of y.
    pub b: usize,
    /// Rank of the factors, h.
    pub rank: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
    /// N, at least 1.
    pub degree: usize,
}

/// `s_1 = U_1 x + V_1 y`, `s_n = s_{n−1} + (U_n x + V_n y) ∘ s_{n−1}`; output `C s_N + β`.
///
/// All monomials of x and y together up to degree N. Parameters: `N(a+b)h + (h+1)o`.
#[derive(Module, Debug)]
pub struct Cope {
    /// The U, each `[a, h]`, no bias.
    pub x: Vec<Linear>,
    /// The V, each `[b, h]`, no bias.
    pub y: Vec<Linear>,
    /// C and β, `[h, o]`.
    pub output: Linear,
}

impl CopeConfig {
    /// Makes the layer. Sizes of zero are refused.
    ///
    /// The first factors have variance 1/(a+b), the others 1/(N(a+b)), so that for inputs of variance 1 the variance of
    /// `s_N` stays below e.
    pub fn init(&self, device: &Device) -> Result<Cope> {
        let CopeConfig { a, b, rank, outputs, degree } = *self;
        let sizes = [("a", a), ("b", b), ("rank", rank), ("outputs", outputs), ("degree", degree)];
        nonzero("CoPE", &sizes)?;
        let factor = |inputs: usize, index: usize| {
            let terms = if index == 0 { 1 } else { degree };
            let std = ((terms * (a + b)) as f64).sqrt().recip();
            let initializer = Initializer::Normal { mean: 0.0, std };
            LinearConfig::new(inputs, rank).with_bias(false).with_initializer(initializer).init(device)
        };
        Ok(Cope {
            x: (0..degree).map(|index| factor(a, index)).collect(),
            y: (0..degree).map(|index| factor(b, index)).collect(),
            output: LinearConfig::new(rank, outputs).init(device),
        })
    }
}

impl Cope {
    /// # Shapes
    /// - `x`: `[.., a]`
    /// - `y`: `[.., b]`
    /// - output: `[.., o]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>, y: Tensor<D>) -> Tensor<D> {
        let factors = self.x.iter().zip(&self.y);
        let mut factors = factors.map(|(u, v)| u.forward(x.clone()) + v.forward(y.clone()));
        let first = factors.next().expect("a degree of at least 1");
        self.output.forward(factors.fold(first, |s, factor| s.clone() + factor * s))
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let mut s: Option<Signal> = None;
        for (index, (u, v)) in self.x.iter().zip(&self.y).enumerate() {
            let (u, v) = (trace.linear(&format!("x.{index}"), u, x), trace.linear(&format!("y.{index}"), v, y));
            let factor = trace.sum("factor", &u, &v);
            s = Some(match s {
                Some(s) => {
                    let product = trace.product("product", &factor, &s);
                    trace.sum("sum", &s, &product)
                }
                None => factor,
            });
        }
        trace.linear("output", &self.output, &s.expect("a degree of at least 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, double, doubles, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::correlation::ccp::{Ccp, CcpConfig};
    use burn::module::Param;

    const CONFIG: CopeConfig = CopeConfig { a: 5, b: 2, rank: 4, outputs: 3, degree: 3 };

    #[test]
    fn without_its_second_signal_it_is_ccp() {
        let device = Device::flex();
        let weight = |rows: [f64; 4]| Param::from_tensor(doubles(rows.to_vec(), [2, 2], &device));
        let config = CopeConfig { a: 2, b: 3, rank: 2, outputs: 2, degree: 3 };
        let mut cope = double(config.init(&device).expect("sizes"));
        for (factor, weights) in
            cope.x.iter_mut().zip([[1.0, 2.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 2.0, 1.0]])
        {
            factor.weight = weight(weights);
        }
        cope.output.weight = weight([1.0, 2.0, 1.0, -1.0]);
        cope.output.bias = Some(Param::from_tensor(doubles(vec![1.0, 0.0], [2], &device)));
        let nothing = doubles(vec![0.0; 3], [1, 3], &device);
        let z = doubles(vec![1.0, 2.0], [1, 2], &device);
        close(&numbers(cope.forward(z, nothing)), &[69.0, -8.0], 1e-12);
    }

    #[test]
    fn it_is_ccp_of_both_signals_joined() {
        let device = Device::flex();
        let cope = double(CONFIG.init(&device).expect("sizes"));
        let (x, y) = (wave::<2>([3, 5], 0.9, &device), wave::<2>([3, 2], 1.3, &device));
        let mut joined: Ccp =
            double(CcpConfig { inputs: 7, rank: 4, outputs: 3, degree: 3 }.init(&device).expect("sizes"));
        for (index, factor) in joined.factors.iter_mut().enumerate() {
            let rows = vec![cope.x[index].weight.val(), cope.y[index].weight.val()];
            factor.weight = Param::from_tensor(Tensor::cat(rows, 0));
        }
        joined.output = cope.output.clone();
        let wanted = numbers(joined.forward(Tensor::cat(vec![x.clone(), y.clone()], 1)));
        close(&numbers(cope.forward(x, y)), &wanted, 1e-13);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let layer = || CONFIG.init(&device).expect("sizes");
        let (x, y) = (wave::<2>([2, 5], 0.9, &device), wave::<2>([2, 2], 1.3, &device));
        gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone()));
        gradients(layer(), y.clone(), |layer, y| layer.forward(x.clone(), y));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = CONFIG.init(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, y) = (trace.input(&[5]), trace.input(&[2]));
        let out = layer.describe(&mut trace, &x, &y);
        let audit = trace.audit(&out);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!(audit.parameters, 3 * (5 + 2) * 4 + (4 + 1) * 3);
        assert_eq!(audit.multiply_adds, 3 * (5 + 2) * 4 + 4 * 3);
        assert!((audit.log2_degree.expect("a polynomial") - 3f64.log2()).abs() < 1e-12);
        assert_eq!((audit.product_depth, audit.ciphertext_products), (Some(2), 8));
        assert!(audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        let forward = |layer: &Cope| layer.forward(Tensor::<2>::ones([2, 5], &device), Tensor::ones([2, 2], &device));
        saves_and_loads(make(), make(), forward);
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = CopeConfig { degree: 0, ..CONFIG }.init(&Device::flex()).expect_err("no degree");
        assert_eq!(error.to_string(), "CoPE: degree is 0");
    }
}
