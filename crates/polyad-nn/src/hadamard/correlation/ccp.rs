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
    /// The first factor has variance 1/d, the others 1/(Nd), so that for inputs of variance 1 the variance of `y_N`
    /// stays below e; with 1/d throughout it would be 2^(N−1).
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

    /// The same polynomial, `x = C [U_1ᵀz ∘ Π_{n≥2} (1 + U_nᵀz)] + β`, its product a balanced tree: ⌈log₂ N⌉ products
    /// one behind the other rather than N − 1. For encrypted inputs, where depth is what costs.
    ///
    /// # Shapes
    /// As of [`forward`](Self::forward).
    pub fn forward_tree<const D: usize>(&self, z: Tensor<D>) -> Tensor<D> {
        let term = |(index, factor): (usize, &Linear)| factor.forward(z.clone()) + if index == 0 { 0.0 } else { 1.0 };
        let y = product_tree(self.factors.iter().enumerate().map(term).collect(), &mut |a, b| a * b);
        self.output.forward(y)
    }

    /// Says each operation of [`forward_tree`](Self::forward_tree).
    pub fn describe_tree(&self, trace: &mut Trace, z: &Signal) -> Signal {
        let mut terms = Vec::new();
        for (index, factor) in self.factors.iter().enumerate() {
            let term = trace.linear(&format!("factors.{index}"), factor, z);
            terms.push(if index == 0 { term } else { trace.shift("one", 0, &term) });
        }
        let y = product_tree(terms, &mut |a, b| trace.product("product", &a, &b));
        trace.linear("output", &self.output, &y)
    }
}

/// The product of all terms, of which there is at least one: neighbours first.
fn product_tree<T>(mut terms: Vec<T>, multiply: &mut impl FnMut(T, T) -> T) -> T {
    while terms.len() > 1 {
        let mut level = Vec::with_capacity(terms.len().div_ceil(2));
        let mut rest = terms.into_iter();
        while let Some(left) = rest.next() {
            level.push(match rest.next() {
                Some(right) => multiply(left, right),
                None => left,
            });
        }
        terms = level;
    }
    terms.swap_remove(0)
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
    use crate::hadamard::correlation::exact::{self, Expanded, Residue, degree, points, whole, whole_numbers};
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
        // At z + t v, t from 0 to 4.
        let along = |v: [f64; 2], output: usize| -> Vec<f64> {
            (0..5)
                .map(|t| doubles(vec![1.0 + f64::from(t) * v[0], 2.0 + f64::from(t) * v[1]], [1, 2], &Device::flex()))
                .map(|z| numbers(ccp.forward(z))[output])
                .collect()
        };
        let differences = |values: &[f64]| values.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
        let third = |values: &[f64]| differences(&differences(&differences(values)));
        close(&along([1.0, 1.0], 0), &[69.0, 253.0, 617.0, 1221.0, 2125.0], 1e-12);
        close(&along([1.0, 1.0], 1), &[-8.0, 0.0, 32.0, 100.0, 216.0], 1e-12);
        // 3! C (U_1ᵀv ∘ U_2ᵀv ∘ U_3ᵀv)
        for (v, leading) in [([1.0, 1.0], [60.0, 12.0]), ([1.0, -1.0], [0.0, 0.0]), ([2.0, 1.0], [162.0, 54.0])] {
            for (output, leading) in leading.into_iter().enumerate() {
                close(&third(&along(v, output)), &[leading; 2], 1e-9);
            }
        }
    }

    /// The coefficients by the closed form: the part of degree m is a sum over all choices of m − 1 of the later
    /// factors, `C Σ (U_{n_{m−1}} ⊙ … ⊙ U_{n_1} ⊙ U_1)ᵀ`.
    fn expanded(ccp: &Ccp) -> Expanded {
        let (first, rest) = ccp.factors.split_first().expect("a factor");
        let mut sum: Option<Expanded> = None;
        for choice in 0..1usize << rest.len() {
            let chosen = rest.iter().enumerate().filter(|(index, _)| choice >> index & 1 == 1);
            let term = chosen.fold(Expanded::linear(first), |term, (_, factor)| Expanded::linear(factor).times(&term));
            sum = Some(sum.map_or(term.clone(), |sum| sum.plus(&term)));
        }
        sum.expect("a choice").mapped(&ccp.output)
    }

    #[test]
    fn worked_coefficients_come_out() {
        let parts = |output: usize| expanded(&worked()).columns[output].clone();
        assert_eq!(parts(0)[1..3], [vec![3.0, 1.0], vec![3.0, 1.0, 7.0, 2.0]]);
        assert_eq!(parts(1)[1..3], [vec![0.0, -1.0], vec![0.0, -1.0, 2.0, -2.0]]);
        assert_eq!(parts(0)[3], [0.0, 0.0, 2.0, 1.0, 2.0, 0.0, 4.0, 1.0]);
        assert_eq!(parts(1)[3], [0.0, 0.0, -2.0, -1.0, 4.0, 0.0, 2.0, -1.0]);
    }

    #[test]
    fn it_is_the_polynomial_of_its_coefficients() {
        let device = Device::flex();
        for (inputs, rank, outputs, degree) in [(1, 1, 1, 1), (7, 3, 2, 2), (13, 5, 1, 4), (3, 4, 3, 9), (2, 1, 3, 15)]
        {
            let ccp = double(CcpConfig { inputs, rank, outputs, degree }.init(&device).expect("sizes"));
            let z = wave([3, inputs], 1.7, &device);
            let expanded = expanded(&ccp);
            expanded.agrees(z.clone(), ccp.forward(z.clone()));
            expanded.agrees(z.clone(), ccp.forward_tree(z));
        }
    }

    #[test]
    fn the_degree_is_exactly_n() {
        for n in [1, 2, 3, 8, 21, 64] {
            let ccp =
                whole(CcpConfig { inputs: 3, rank: 4, outputs: 2, degree: n }.init(&Device::flex()).expect("sizes"));
            let z = points(1, 3).remove(0);
            if n < 9 {
                let got = ccp.forward(doubles(whole_numbers(&z), [1, 3], &Device::flex()));
                close(&numbers(got), &exact::ccp(&ccp, &whole_numbers::<f64>(&z)), 1e-12);
            }
            let along = |v: [i64; 3]| {
                degree(n + 2, |t| {
                    let z: Vec<i64> = z.iter().zip(v).map(|(z, v)| z + t * v).collect();
                    exact::ccp(&ccp, &whole_numbers::<Residue>(&z))
                })
            };
            // A single direction may hide the leading part.
            assert_eq!([[1, 1, 1], [1, -1, 2], [5, 3, -4]].map(along).into_iter().max().flatten(), Some(n));
        }
    }

    #[test]
    fn a_direction_may_hide_the_leading_part() {
        let parts = |v: [i64; 2]| {
            degree(4, |t| exact::ccp(&worked(), &whole_numbers::<Residue>(&[1 + t * v[0], 2 + t * v[1]])))
        };
        assert_eq!((parts([1, 1]), parts([1, -1])), (Some(3), Some(2)));
    }

    #[test]
    fn a_balanced_tree_is_as_deep_as_the_logarithm() {
        for degree in 1..=9 {
            let ccp = CcpConfig { degree, ..CONFIG }.init(&Device::flex()).expect("sizes");
            let mut trace = Trace::new();
            let z = trace.input(&[5]);
            let output = ccp.describe_tree(&mut trace, &z);
            let (tree, chain) = (trace.audit(&output), Audit::of(&ccp, &[5]));
            assert_eq!(tree.product_depth, Some(degree.next_power_of_two().ilog2() as usize), "{degree}");
            assert_eq!(chain.product_depth, Some(degree - 1));
            assert_eq!((tree.parameters, tree.multiply_adds), (chain.parameters, chain.multiply_adds));
            assert_eq!(tree.ciphertext_products, chain.ciphertext_products);
            assert!((tree.log2_degree.expect("a polynomial") - (degree as f64).log2()).abs() < 1e-12);
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(CONFIG.init(&device).expect("sizes"), wave([2, 5], 0.9, &device), |ccp, z| ccp.forward(z));
        gradients(CONFIG.init(&device).expect("sizes"), wave([2, 5], 0.9, &device), |ccp, z| ccp.forward_tree(z));
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
