//! Poly-NL: a non-local layer that is a polynomial of degree 3 and linear in the tokens (Babiloni et al., Poly-NL,
//! arXiv 2107.02859).
//!
//! α and β are learnt and begin at 1, as in the one public port; no code of the authors' is known.

use super::prefix::{self, MeanState};
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`PolyNl`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolyNlConfig {
    /// C.
    pub channels: usize,
}

/// `Z = α X + β (mean_n(X W_1 ∘ X W_2) ∘ X) W_3`.
///
/// No biases: every term is of degree 1 or 3. Parameters: `3C² + 2`.
#[derive(Module, Debug)]
pub struct PolyNl {
    /// W_1, `[channels, channels]`.
    pub first: Linear,
    /// W_2, the same.
    pub second: Linear,
    /// W_3, the same.
    pub third: Linear,
    /// α, `[1]`.
    pub alpha: Param<Tensor<1>>,
    /// β, `[1]`.
    pub beta: Param<Tensor<1>>,
}

impl PolyNlConfig {
    /// Makes the layer. Zero channels are refused.
    pub fn init(&self, device: &Device) -> Result<PolyNl> {
        nonzero("Poly-NL", &[("channels", self.channels)])?;
        let linear = || LinearConfig::new(self.channels, self.channels).with_bias(false).init(device);
        Ok(PolyNl {
            first: linear(),
            second: linear(),
            third: linear(),
            alpha: Initializer::Ones.init([1], device),
            beta: Initializer::Ones.init([1], device),
        })
    }
}

impl PolyNl {
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let mean = self.squares(&x).mean_dim(1);
        self.modulate(x, mean)
    }

    /// The mean is over each token and earlier ones.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    pub fn forward_causal(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with_state(x, None).0
    }

    /// As [`forward_causal`](Self::forward_causal), for tokens that follow those of `state`.
    ///
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`, at least one token
    pub fn forward_with_state(&self, x: Tensor<3>, state: Option<MeanState>) -> (Tensor<3>, MeanState) {
        let (means, state) = prefix::means(self.squares(&x), state);
        (self.modulate(x, means), state)
    }

    fn squares(&self, x: &Tensor<3>) -> Tensor<3> {
        self.first.forward(x.clone()) * self.second.forward(x.clone())
    }

    fn modulate(&self, x: Tensor<3>, means: Tensor<3>) -> Tensor<3> {
        let y = self.third.forward(means * x.clone());
        self.alpha.val().unsqueeze() * x + self.beta.val().unsqueeze() * y
    }
}

impl Describe for PolyNl {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let first = trace.linear("first", &self.first, &x);
        let second = trace.linear("second", &self.second, &x);
        let squares = trace.product("squares", &first, &second);
        let mean = trace.mean("mean", &squares, &[1, x.shape()[1]]);
        let cubes = trace.product("cubes", &mean, &x);
        let y = trace.linear("third", &self.third, &cubes);
        let y = trace.scale("beta", 1, &y);
        let x = trace.scale("alpha", 1, &x);
        trace.sum("sum", &x, &y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };
    use crate::hadamard::pairwise::check::{causal, equivariant, loops, streams};

    fn layer(device: &Device) -> PolyNl {
        PolyNlConfig { channels: 5 }.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 5], 0.7, device)
    }

    #[test]
    fn worked_numbers_come_out() {
        let device = Device::flex();
        let mut layer = double(PolyNlConfig { channels: 2 }.init(&device).expect("sizes"));
        let weight = |rows: [f64; 4]| Param::from_tensor(doubles(rows.to_vec(), [2, 2], &device));
        layer.first.weight = weight([1.0, 0.0, 0.0, 1.0]);
        layer.second.weight = weight([1.0, 1.0, 0.0, 1.0]);
        layer.third.weight = weight([1.0, 0.0, 2.0, 1.0]);
        layer.alpha = Param::from_tensor(doubles(vec![2.0], [1], &device));
        layer.beta = Param::from_tensor(doubles(vec![3.0], [1], &device));
        // X W_1 = X, X W_2 = [[1, 3], [3, 2]], their products [[1, 6], [9, -2]], means (5, 2); times X: [[5, 4], [15,
        // -2]]; times W_3: [[13, 4], [11, -2]].
        let x = doubles(vec![1.0, 2.0, 3.0, -1.0], [1, 2, 2], &device);
        close(&numbers(layer.forward(x)), &[2.0 + 39.0, 4.0 + 12.0, 6.0 + 33.0, -2.0 - 6.0], 1e-14);
    }

    #[test]
    fn fourth_differences_vanish_and_third_do_not() {
        let device = Device::flex();
        let layer = golden(layer(&device));
        let along = wave::<3>([2, 11, 5], 1.3, &device);
        let values: Vec<Vec<f64>> =
            (0..5).map(|t| numbers(layer.forward(input(&device) + along.clone() * f64::from(t)))).collect();
        let difference = |signs: &[f64], from: usize| {
            let terms = signs.iter().zip(&values[from..]);
            terms.fold(vec![0.0; values[0].len()], |sum, (sign, v)| {
                sum.iter().zip(v).map(|(s, v)| s + sign * v).collect()
            })
        };
        let third = difference(&[-1.0, 3.0, -3.0, 1.0], 0);
        close(&third, &difference(&[-1.0, 3.0, -3.0, 1.0], 1), 1e-11);
        assert!(third.iter().any(|x| x.abs() > 1e-2), "{third:?}");
    }

    #[test]
    fn causal_means_are_those_of_a_loop() {
        let device = Device::flex();
        let layer = golden(layer(&device));
        loops(input(&device), |x| layer.forward(x), |x| layer.forward_causal(x));
    }

    #[test]
    fn tokens_are_a_set_or_a_stream() {
        let device = Device::flex();
        let layer = golden(layer(&device));
        equivariant(input(&device), |x| layer.forward(x));
        causal(input(&device), |x| layer.forward_causal(x));
        let whole = layer.forward_causal(input(&device));
        streams(input(&device), whole, |x, state| layer.forward_with_state(x, state));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(&device)), input(&device), |layer, x| layer.forward(x));
        gradients(golden(layer(&device)), input(&device), |layer, x| layer.forward_causal(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = layer(&Device::flex());
        let audit = Audit::of(&layer, &[11, 5]);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&layer), 3 * 25 + 2));
        assert_eq!(audit.multiply_adds, 3 * 11 * 25);
        assert!((audit.log2_degree.expect("a polynomial") - 3f64.log2()).abs() < 1e-12);
        assert_eq!((audit.product_depth, audit.ciphertext_products), (Some(2), 2 * 11 * 5));
        assert!(audit.activation_free && audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(&device), layer(&device), |layer| layer.forward(Tensor::ones([1, 3, 5], &device)));
    }

    #[test]
    fn zero_channels_are_refused() {
        let error = PolyNlConfig { channels: 0 }.init(&Device::flex()).expect_err("no channels");
        assert_eq!(error.to_string(), "Poly-NL: channels is 0");
    }
}
