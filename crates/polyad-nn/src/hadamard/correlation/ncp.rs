//! NCP: a polynomial by a recursion that maps the state before each product (Chrysos et al., Π-nets, arXiv 2003.03828,
//! with the skip of arXiv 2006.13026).
//!
//! The paper's `B_nᵀ b_n` is one vector here: no polynomial is lost by that.

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// What is added to each product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Nothing.
    None,
    /// The state, as in the public code.
    Identity,
    /// The state mapped by a matrix of its own, as in the paper.
    Matrix,
}

/// How an [`Ncp`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NcpConfig {
    /// Numbers of the input, d.
    pub inputs: usize,
    /// Rank of the factors, k.
    pub rank: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
    /// N, at least 1.
    pub degree: usize,
    /// V.
    pub skip: Skip,
}

/// `y_1 = (A_1ᵀz) ∘ b_1`, `y_n = (A_nᵀz) ∘ (S_nᵀ y_{n−1} + b_n) + V_n y_{n−1}`, `x = C y_N + β`.
///
/// Parameters without skip: `Ndk + (N−1)k² + Nk + ok + o`.
#[derive(Module, Debug)]
pub struct Ncp {
    /// A, each `[d, k]`, no bias.
    pub factors: Vec<Linear>,
    /// `b_1`, `[k]`.
    pub first: Param<Tensor<1>>,
    /// S and the other b, each `[k, k]`.
    pub states: Vec<Linear>,
    /// V, each `[k, k]`, no bias.
    pub skips: Vec<Linear>,
    /// C and β, `[k, o]`.
    pub output: Linear,
    has_identity: bool,
}

impl NcpConfig {
    /// Makes the layer. Sizes of zero are refused.
    ///
    /// Entries of A have variance 1/d, those of V 1/k; those of S have 1/(2k), `b_1` is 1 and the other b are √½, so
    /// that for inputs of variance 1 the mean square of every `y_n` is 1. A skip adds to it: then both are smaller by N
    /// and √N, and the mean square stays below 2√e.
    pub fn init(&self, device: &Device) -> Result<Ncp> {
        let NcpConfig { inputs, rank, outputs, degree, skip } = *self;
        nonzero("NCP", &[("inputs", inputs), ("rank", rank), ("outputs", outputs), ("degree", degree)])?;
        let linear = |sizes: [usize; 2], variance: f64| {
            let initializer = Initializer::Normal { mean: 0.0, std: variance.sqrt() };
            LinearConfig::new(sizes[0], sizes[1]).with_bias(false).with_initializer(initializer).init(device)
        };
        let share = if skip == Skip::None { 0.5 } else { 0.5 / degree as f64 };
        let state = |_| {
            let bias = Initializer::Constant { value: share.sqrt() }.init([rank], device);
            Linear { bias: Some(bias), ..linear([rank; 2], share / rank as f64) }
        };
        let skips = if skip == Skip::Matrix { degree - 1 } else { 0 };
        Ok(Ncp {
            factors: (0..degree).map(|_| linear([inputs, rank], 1.0 / inputs as f64)).collect(),
            first: Initializer::Ones.init([rank], device),
            states: (1..degree).map(state).collect(),
            skips: (0..skips).map(|_| linear([rank; 2], 1.0 / rank as f64)).collect(),
            output: LinearConfig::new(rank, outputs).init(device),
            has_identity: skip == Skip::Identity,
        })
    }
}

impl Ncp {
    /// # Shapes
    /// - `z`: `[.., d]`
    /// - output: `[.., o]`
    pub fn forward<const D: usize>(&self, z: Tensor<D>) -> Tensor<D> {
        let (first, rest) = self.factors.split_first().expect("a degree of at least 1");
        let mut y = first.forward(z.clone()) * self.first.val().unsqueeze();
        for (index, (factor, state)) in rest.iter().zip(&self.states).enumerate() {
            let product = factor.forward(z.clone()) * state.forward(y.clone());
            y = match self.skips.get(index) {
                Some(skip) => product + skip.forward(y),
                None if self.has_identity => product + y,
                None => product,
            };
        }
        self.output.forward(y)
    }
}

impl Describe for Ncp {
    fn describe(&self, trace: &mut Trace, z: Signal) -> Signal {
        let y = trace.linear("factors.0", &self.factors[0], &z);
        let mut y = trace.scale("first", self.first.shape().num_elements(), &y);
        for (index, state) in self.states.iter().enumerate() {
            let factor = trace.linear(&format!("factors.{}", index + 1), &self.factors[index + 1], &z);
            let inner = trace.linear(&format!("states.{index}"), state, &y);
            let product = trace.product("product", &factor, &inner);
            y = match self.skips.get(index) {
                Some(skip) => {
                    let skip = trace.linear(&format!("skips.{index}"), skip, &y);
                    trace.sum("sum", &product, &skip)
                }
                None if self.has_identity => trace.sum("sum", &product, &y),
                None => product,
            };
        }
        trace.linear("output", &self.output, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, doubles, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::correlation::exact::{self, Expanded, Residue, degree, whole, whole_numbers};

    const CONFIG: NcpConfig = NcpConfig { inputs: 5, rank: 4, outputs: 3, degree: 3, skip: Skip::None };
    const SKIPS: [Skip; 3] = [Skip::None, Skip::Identity, Skip::Matrix];

    /// The worked example of degree 3: two inputs, rank 2, two outputs; a skip by matrices has those of the identity.
    fn worked(skip: Skip) -> Ncp {
        let device = Device::flex();
        let config = NcpConfig { inputs: 2, rank: 2, outputs: 2, degree: 3, skip };
        let mut ncp = double(config.init(&device).expect("sizes"));
        let matrix = |rows: [f64; 4]| Param::from_tensor(doubles(rows.to_vec(), [2, 2], &device));
        let vector = |numbers: [f64; 2]| Param::from_tensor(doubles(numbers.to_vec(), [2], &device));
        let factors = [[1.0, 2.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 2.0, 1.0]];
        for (factor, weights) in ncp.factors.iter_mut().zip(factors) {
            factor.weight = matrix(weights);
        }
        ncp.first = vector([1.0, 1.0]);
        let states = [([1.0, 1.0, 0.0, 2.0], [0.0, 1.0]), ([2.0, 0.0, 1.0, 1.0], [1.0, -1.0])];
        for (state, (weight, bias)) in ncp.states.iter_mut().zip(states) {
            (state.weight, state.bias) = (matrix(weight), Some(vector(bias)));
        }
        for skip in &mut ncp.skips {
            skip.weight = matrix([1.0, 0.0, 0.0, 1.0]);
        }
        // C is [[1, 1], [2, -1]]; Burn's linear layer keeps its transpose.
        (ncp.output.weight, ncp.output.bias) = (matrix([1.0, 2.0, 1.0, -1.0]), Some(vector([1.0, 0.0])));
        ncp
    }

    #[test]
    fn worked_numbers_come_out() {
        let z = doubles(vec![1.0, 2.0], [1, 2], &Device::flex());
        let x = |skip| numbers(worked(skip).forward(z.clone()));
        close(&x(Skip::None), &[166.0, 159.0], 1e-12);
        close(&x(Skip::Identity), &[230.0, 179.0], 1e-12);
        close(&x(Skip::Matrix), &[230.0, 179.0], 1e-12);
    }

    /// The coefficients, by products of written-out polynomials.
    fn expanded(ncp: &Ncp) -> Expanded {
        let mut y = Expanded::linear(&ncp.factors[0]).scaled(&numbers(ncp.first.val()));
        for (index, state) in ncp.states.iter().enumerate() {
            let product = Expanded::linear(&ncp.factors[index + 1]).times(&y.mapped(state));
            y = match ncp.skips.get(index) {
                Some(skip) => product.plus(&y.mapped(skip)),
                None if ncp.has_identity => product.plus(&y),
                None => product,
            };
        }
        y.mapped(&ncp.output)
    }

    #[test]
    fn the_parts_of_each_degree_come_out() {
        let parts = |output: usize| {
            let column = expanded(&worked(Skip::None)).columns[output].clone();
            let only = |degree: usize| {
                let mut z = vec![1.0];
                (0..degree).for_each(|_| z = z.iter().flat_map(|x| [*x, 2.0 * x]).collect());
                column[degree].iter().zip(z).map(|(a, b)| a * b).sum::<f64>()
            };
            [only(1), only(2), only(3)]
        };
        assert_eq!((parts(0), parts(1)), ([1.0, 14.0, 150.0], [11.0, 10.0, 138.0]));
    }

    #[test]
    fn it_is_the_polynomial_of_its_coefficients() {
        let device = Device::flex();
        for skip in SKIPS {
            for (inputs, rank, outputs, degree) in
                [(1, 3, 1, 1), (9, 2, 3, 2), (13, 5, 1, 4), (3, 4, 2, 9), (2, 1, 3, 13)]
            {
                let ncp = double(NcpConfig { inputs, rank, outputs, degree, skip }.init(&device).expect("sizes"));
                let z = wave([3, inputs], 1.7, &device);
                expanded(&ncp).agrees(z.clone(), ncp.forward(z));
            }
        }
    }

    #[test]
    fn the_degree_is_exactly_n() {
        for skip in SKIPS {
            for n in [1, 2, 7, 33] {
                let config = NcpConfig { inputs: 2, rank: 3, outputs: 2, degree: n, skip };
                let ncp = whole(config.init(&Device::flex()).expect("sizes"));
                let along = |v: [i64; 2]| {
                    degree(n + 2, |t| plain(&ncp, &whole_numbers::<Residue>(&[4 + t * v[0], -7 + t * v[1]])))
                };
                assert_eq!([[1, 1], [2, -3], [5, 1]].map(along).into_iter().max().flatten(), Some(n), "{config:?}");
                if n < 8 {
                    let z = [4.0, -7.0];
                    let got = ncp.forward(doubles(z.to_vec(), [1, 2], &Device::flex()));
                    close(&numbers(got), &plain(&ncp, &z), 1e-12);
                }
            }
        }
    }

    /// `forward` by plain loops.
    fn plain<T: exact::Number>(ncp: &Ncp, z: &[T]) -> Vec<T> {
        let first: Vec<T> = numbers(ncp.first.val()).into_iter().map(T::from_double).collect();
        let mut y = exact::times(&exact::linear(&ncp.factors[0], z), &first);
        for (index, state) in ncp.states.iter().enumerate() {
            let product = exact::times(&exact::linear(&ncp.factors[index + 1], z), &exact::linear(state, &y));
            y = match ncp.skips.get(index) {
                Some(skip) => exact::plus(&product, &exact::linear(skip, &y)),
                None if ncp.has_identity => exact::plus(&product, &y),
                None => product,
            };
        }
        exact::linear(&ncp.output, &y)
    }

    #[test]
    fn at_the_start_the_state_neither_grows_nor_vanishes() {
        let device = Device::flex();
        // With a skip, q_n = (1 + 1/2N) q_{n−1} + 1/2N from 1.
        let with_skip = 2.0 * (1.0 + 1.0 / 16.0f64).powi(7) - 1.0;
        for (skip, wanted) in [(Skip::None, 1.0), (Skip::Identity, with_skip), (Skip::Matrix, with_skip)] {
            let config = NcpConfig { inputs: 256, rank: 256, outputs: 256, degree: 8, skip };
            let mut ncp = config.init(&device).expect("sizes");
            ncp.output.weight = Param::from_tensor(Tensor::eye(256, &device));
            ncp.output.bias = None;
            let z = wave([32, 256], 1.3, &device).mul_scalar(2f64.sqrt()).cast(burn::tensor::DType::F32);
            let y = numbers(ncp.forward(z));
            let square = y.iter().map(|y| y * y).sum::<f64>() / y.len() as f64;
            // Products of Gaussians have heavy tails, but each step averages 256 of them: the logarithm has a standard
            // deviation of about 0.15.
            assert!(square > wanted / 2.5 && square < wanted * 2.5, "{skip:?}: {square}");
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for skip in SKIPS {
            let ncp = NcpConfig { skip, ..CONFIG }.init(&device).expect("sizes");
            gradients(ncp, wave([2, 5], 0.9, &device), |ncp, z| ncp.forward(z));
        }
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        for (skip, of_skip) in [(Skip::None, 0), (Skip::Identity, 0), (Skip::Matrix, 2 * 4 * 4)] {
            let ncp = NcpConfig { skip, ..CONFIG }.init(&Device::flex()).expect("sizes");
            let audit = Audit::of(&ncp, &[5]);
            assert_eq!(audit.parameters, parameters(&ncp));
            assert_eq!(audit.parameters, 3 * 5 * 4 + 2 * 4 * 4 + 3 * 4 + 3 * 4 + 3 + of_skip);
            assert_eq!(audit.multiply_adds, 3 * 5 * 4 + 2 * 4 * 4 + 3 * 4 + of_skip);
            assert!((audit.log2_degree.expect("a polynomial") - 3f64.log2()).abs() < 1e-12);
            assert_eq!((audit.product_depth, audit.ciphertext_products), (Some(2), 8));
            assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || NcpConfig { skip: Skip::Matrix, ..CONFIG }.init(&device).expect("sizes");
        saves_and_loads(make(), make(), |ncp| ncp.forward(Tensor::<2>::ones([2, 5], &device)));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = NcpConfig { rank: 0, ..CONFIG }.init(&Device::flex()).expect_err("no rank");
        assert_eq!(error.to_string(), "NCP: rank is 0");
    }
}
