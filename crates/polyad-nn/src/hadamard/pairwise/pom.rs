//! PoM: every token is modulated by the mean of a polynomial of all (Picard et al., PoM, arXiv 2604.06129).
//!
//! The streamed mean weights each token alike; public code weights a chunk as one token, so that its result depends on
//! how a stream is cut.

use super::prefix::{self, MeanState};
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, Tensor};

/// How a [`Pom`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PomConfig {
    /// C.
    pub channels: usize,
    /// Channels of the polynomial.
    pub inside: usize,
    /// P, at least 1.
    pub degree: usize,
}

/// `y_i = W_o (σ(W_s x_i) ∘ mean_n Σ_p c_p ∘ h_n^p)`, `h = a(W_h x)`, p from 1 to P.
///
/// σ is the hard sigmoid, `x / 6 + 1/2` between 0 and 1; a is a leaky ReLU of slope 0.01 kept between -0.1 and 6, which
/// keeps powers small. Linear in the tokens.
#[derive(Module, Debug)]
pub struct Pom {
    /// W_h, `[channels, inside]`.
    pub hidden: Linear,
    /// W_s, `[channels, inside]`.
    pub gate: Linear,
    /// c, `[degree, inside]`; row p − 1 belongs to power p.
    pub coefficients: Param<Tensor<2>>,
    /// W_o, `[inside, channels]`.
    pub output: Linear,
}

impl PomConfig {
    /// Makes the layer, its coefficients between -0.001 and 0.001. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Pom> {
        let PomConfig { channels, inside, degree } = *self;
        nonzero("PoM", &[("channels", channels), ("inside", inside), ("degree", degree)])?;
        Ok(Pom {
            hidden: LinearConfig::new(channels, inside).init(device),
            gate: LinearConfig::new(channels, inside).init(device),
            coefficients: Initializer::Uniform { min: -1e-3, max: 1e-3 }.init([degree, inside], device),
            output: LinearConfig::new(inside, channels).init(device),
        })
    }
}

fn bounded(x: Tensor<3>) -> Tensor<3> {
    leaky_relu(x, 0.01).clamp(-0.1, 6.0)
}

/// Burn's own is in single precision on autodiff devices, whatever it is given.
fn hard_sigmoid(x: Tensor<3>) -> Tensor<3> {
    x.div_scalar(6.0).add_scalar(0.5).clamp(0.0, 1.0)
}

impl Pom {
    /// # Shapes
    /// - `x`, output: `[n, tokens, channels]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let mean = self.polynomial(&x).mean_dim(1);
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
        let (means, state) = prefix::means(self.polynomial(&x), state);
        (self.modulate(x, means), state)
    }

    /// `Σ_p c_p ∘ h^p` by Horner's rule.
    fn polynomial(&self, x: &Tensor<3>) -> Tensor<3> {
        let h = bounded(self.hidden.forward(x.clone()));
        let [degree, _] = self.coefficients.dims();
        let coefficient = |power: usize| self.coefficients.val().narrow(0, power - 1, 1).unsqueeze::<3>();
        let highest = h.clone() * coefficient(degree);
        (1..degree).rev().fold(highest, |sum, power| (sum + coefficient(power)) * h.clone())
    }

    fn modulate(&self, x: Tensor<3>, means: Tensor<3>) -> Tensor<3> {
        self.output.forward(hard_sigmoid(self.gate.forward(x)) * means)
    }
}

impl Describe for Pom {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [degree, inside] = self.coefficients.dims();
        let h = trace.linear("hidden", &self.hidden, &x);
        let h = trace.activation("hidden.bounded", 0, &h);
        let mut sum = trace.scale(&format!("coefficients.{degree}"), inside, &h);
        for power in (1..degree).rev() {
            sum = trace.shift(&format!("coefficients.{power}"), inside, &sum);
            sum = trace.product("power", &sum, &h);
        }
        let mean = trace.mean("mean", &sum, &[1, inside]);
        let gate = trace.linear("gate", &self.gate, &x);
        let gate = trace.activation("gate.hard_sigmoid", 0, &gate);
        let y = trace.product("modulation", &gate, &mean);
        trace.linear("output", &self.output, &y)
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

    const CONFIG: PomConfig = PomConfig { channels: 5, inside: 7, degree: 3 };

    fn layer(device: &Device) -> Pom {
        CONFIG.init(device).expect("sizes")
    }

    fn input(device: &Device) -> Tensor<3> {
        wave([2, 11, 5], 0.7, device)
    }

    #[test]
    fn worked_numbers_come_out() {
        let device = Device::flex();
        let mut pom = double(PomConfig { channels: 1, inside: 1, degree: 3 }.init(&device).expect("sizes"));
        let parts = [(&mut pom.hidden, 2.0, 0.0), (&mut pom.gate, 1.0, 0.0), (&mut pom.output, 3.0, 1.0)];
        for (linear, weight, bias) in parts {
            linear.weight = Param::from_tensor(doubles(vec![weight], [1, 1], &device));
            linear.bias = Some(Param::from_tensor(doubles(vec![bias], [1], &device)));
        }
        pom.coefficients = Param::from_tensor(doubles(vec![0.5, 0.25, 0.125], [3, 1], &device));
        // x = 1, -2, 4: h = 2, -0.04, 6 (cut off); h / 2 + h² / 4 + h³ / 8 = 3, -0.019608, 39; gates 2/3, 1/6, 1.
        let mean = (3.0 - 0.019608 + 39.0) / 3.0;
        let x = doubles(vec![1.0, -2.0, 4.0], [1, 3, 1], &device);
        let wanted = [2.0 / 3.0, 1.0 / 6.0, 1.0].map(|gate| 3.0 * gate * mean + 1.0);
        close(&numbers(pom.forward(x)), &wanted, 1e-14);
    }

    #[test]
    fn what_stands_before_the_powers_and_the_gate_are_bounded() {
        let x = doubles(vec![-20.0, -1.0, 0.0, 5.0, 7.0], [1, 1, 5], &Device::flex());
        close(&numbers(bounded(x.clone())), &[-0.1, -0.01, 0.0, 5.0, 6.0], 1e-15);
        close(&numbers(hard_sigmoid(x)), &[0.0, 1.0 / 3.0, 0.5, 1.0, 1.0], 1e-15);
    }

    #[test]
    fn causal_means_are_those_of_a_loop() {
        let device = Device::flex();
        let pom = golden(layer(&device));
        loops(input(&device), |x| pom.forward(x), |x| pom.forward_causal(x));
    }

    #[test]
    fn tokens_are_a_set_or_a_stream() {
        let device = Device::flex();
        let pom = golden(layer(&device));
        equivariant(input(&device), |x| pom.forward(x));
        causal(input(&device), |x| pom.forward_causal(x));
        let whole = pom.forward_causal(input(&device));
        streams(input(&device), whole, |x, state| pom.forward_with_state(x, state));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(&device)), input(&device), |pom, x| pom.forward(x));
        gradients(golden(layer(&device)), input(&device), |pom, x| pom.forward_causal(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let pom = layer(&Device::flex());
        let audit = Audit::of(&pom, &[11, 5]);
        assert_eq!((audit.parameters, audit.parameters), (parameters(&pom), 2 * (35 + 7) + 3 * 7 + 35 + 5));
        assert_eq!(audit.multiply_adds, 3 * 11 * 35);
        // Two powers and the modulation.
        assert_eq!(audit.ciphertext_products, 3 * 11 * 7);
        assert!(!audit.activation_free && audit.log2_degree.is_none());
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(&device), layer(&device), |pom| pom.forward(Tensor::ones([1, 3, 5], &device)));
    }

    #[test]
    fn a_degree_of_zero_is_refused() {
        let error = PomConfig { degree: 0, ..CONFIG }.init(&Device::flex()).expect_err("no degree");
        assert_eq!(error.to_string(), "PoM: degree is 0");
    }
}
