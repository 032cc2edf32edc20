//! MI-RNN: a plain recurrent network whose input and memory also multiply (Wu et al., On multiplicative integration with
//! recurrent neural networks, arXiv 1606.06630).
//!
//! A first token with a memory of zeros sees no product; pass a state where that matters.

use super::HiddenState;
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`MiRnn`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiRnnConfig {
    /// Numbers of a token.
    pub inputs: usize,
    /// Numbers of the memory.
    pub hidden: usize,
}

/// `h_t = tanh(α ∘ Wx_t ∘ Uh_{t−1} + β₁ ∘ Uh_{t−1} + β₂ ∘ Wx_t + b)`
///
/// With α = 0 and β = 1 it is the plain recurrent network.
#[derive(Module, Debug)]
pub struct MiRnn {
    /// W, `[inputs, hidden]`, no bias.
    pub input: Linear,
    /// U, `[hidden, hidden]`, no bias.
    pub recurrent: Linear,
    /// α, `[hidden]`, at first 1.
    pub alpha: Param<Tensor<1>>,
    /// β₁, `[hidden]`, at first 1.
    pub beta_hidden: Param<Tensor<1>>,
    /// β₂, `[hidden]`, at first 1.
    pub beta_input: Param<Tensor<1>>,
    /// b, `[hidden]`, at first 0.
    pub bias: Param<Tensor<1>>,
}

impl MiRnnConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<MiRnn> {
        let MiRnnConfig { inputs, hidden } = *self;
        nonzero("MI-RNN", &[("inputs", inputs), ("hidden", hidden)])?;
        let linear = |inputs| LinearConfig::new(inputs, hidden).with_bias(false).init(device);
        let vector = |initializer: Initializer| initializer.init([hidden], device);
        Ok(MiRnn {
            input: linear(inputs),
            recurrent: linear(hidden),
            alpha: vector(Initializer::Ones),
            beta_hidden: vector(Initializer::Ones),
            beta_input: vector(Initializer::Ones),
            bias: vector(Initializer::Zeros),
        })
    }
}

impl MiRnn {
    /// # Shapes
    /// - `x`: `[n, tokens, inputs]`
    /// - output: `[n, tokens, hidden]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with_state(x, None).0
    }

    /// A piece of a sequence, at least one token; the state is that behind its last token.
    ///
    /// # Shapes
    /// - `x`: `[n, tokens, inputs]`
    /// - output: `[n, tokens, hidden]`
    pub fn forward_with_state(&self, x: Tensor<3>, state: Option<HiddenState>) -> (Tensor<3>, HiddenState) {
        let driven = self.input.forward(x);
        let mut state = state.unwrap_or_else(|| self.start(driven.clone().narrow(1, 0, 1).squeeze_dim(1)));
        let mut outputs = Vec::new();
        for driven in driven.iter_dim(1) {
            state = self.next(driven.squeeze_dim(1), state);
            outputs.push(state.hidden.clone());
        }
        (Tensor::stack(outputs, 1), state)
    }

    /// One token.
    ///
    /// # Shapes
    /// - `x`: `[n, inputs]`
    /// - output: `[n, hidden]`
    pub fn step(&self, x: Tensor<2>, state: Option<HiddenState>) -> (Tensor<2>, HiddenState) {
        let driven = self.input.forward(x);
        let state = state.unwrap_or_else(|| self.start(driven.clone()));
        let state = self.next(driven, state);
        (state.hidden.clone(), state)
    }

    fn start(&self, driven: Tensor<2>) -> HiddenState {
        HiddenState { hidden: driven.zeros_like() }
    }

    /// `driven` is `Wx_t`, `[n, hidden]`.
    fn next(&self, driven: Tensor<2>, state: HiddenState) -> HiddenState {
        let row = |vector: &Param<Tensor<1>>| vector.val().unsqueeze::<2>();
        let kept = self.recurrent.forward(state.hidden);
        let product = row(&self.alpha) * driven.clone() * kept.clone();
        let sum = product + row(&self.beta_hidden) * kept + row(&self.beta_input) * driven + row(&self.bias);
        HiddenState { hidden: sum.tanh() }
    }
}

impl Describe for MiRnn {
    /// All tokens at once: where the memory should stand, which is behind a tanh, stands what drives it.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let hidden = self.bias.shape()[0];
        let driven = trace.linear("input", &self.input, &x);
        let multiply_adds = driven.elements() * hidden;
        let kept = trace.map("recurrent", hidden * hidden, multiply_adds, &[&driven], driven.shape());
        let product = trace.product("product", &driven, &kept);
        let product = trace.scale("alpha", hidden, &product);
        let kept = trace.scale("beta_hidden", hidden, &kept);
        let driven = trace.scale("beta_input", hidden, &driven);
        let sum = trace.sum("sum", &product, &kept);
        let sum = trace.sum("sum", &sum, &driven);
        let sum = trace.shift("bias", hidden, &sum);
        trace.activation("tanh", 0, &sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_streams;
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };

    const CONFIG: MiRnnConfig = MiRnnConfig { inputs: 3, hidden: 4 };

    fn layer(device: &Device) -> MiRnn {
        CONFIG.init(device).expect("sizes")
    }

    #[test]
    fn without_the_product_it_is_the_plain_network() {
        // rnn = torch.nn.RNN(3, 4, batch_first=True); weights fill(k, shape) = sin(.7 i + .3 k + .1) times 3**-.5 for
        // weight_ih (k = 0), .5 for weight_hh (k = 1), .1 for bias_ih (k = 5), bias_hh 0
        // x = torch.sin(.9 * torch.arange(1, 31)).reshape(2, 5, 3); rnn(x)[0][:, -1], rnn(x)[0].sum()
        let last = [
            0.5275329025386849,
            -0.47408328585432535,
            0.15109759255043045,
            0.37076668742754487,
            0.7709497405939395,
            -0.09380806036735365,
            -0.589949438107682,
            0.6189652638192545,
        ];
        let device = Device::flex();
        let mut rnn = golden(layer(&device));
        let constant = |value: f64| Param::from_tensor(doubles(vec![value; 4], [4], &device));
        (rnn.alpha, rnn.beta_hidden, rnn.beta_input) = (constant(0.0), constant(1.0), constant(1.0));
        let h = rnn.forward(wave([2, 5, 3], 0.9, &device));
        close(&numbers(h.clone().narrow(1, 4, 1)), &last, 1e-12);
        close(&numbers(h.sum()), &[1.9471743520553189], 1e-12);
    }

    #[test]
    fn a_step_multiplies_by_hand() {
        let device = Device::flex();
        let mut rnn = double(MiRnnConfig { inputs: 1, hidden: 1 }.init(&device).expect("sizes"));
        let number = |value| Param::from_tensor(doubles(vec![value], [1], &device));
        rnn.input.weight = Param::from_tensor(doubles(vec![2.0], [1, 1], &device));
        rnn.recurrent.weight = Param::from_tensor(doubles(vec![-0.5], [1, 1], &device));
        (rnn.alpha, rnn.beta_hidden, rnn.beta_input, rnn.bias) = (number(3.0), number(0.7), number(0.2), number(0.1));
        let state = HiddenState { hidden: doubles(vec![0.4], [1, 1], &device) };
        let (h, _) = rnn.step(doubles(vec![0.3], [1, 1], &device), Some(state));
        // Wx = .6, Uh = -.2: 3·.6·(-.2) - .7·.2 + .2·.6 + .1
        close(&numbers(h), &[(-0.28f64).tanh()], 1e-14);
    }

    #[test]
    fn pieces_and_single_tokens_give_the_whole() {
        let rnn = golden(layer(&Device::flex()));
        let x = wave([2, 7, 3], 0.9, &Device::flex());
        assert_streams(x, |x, state| rnn.forward_with_state(x, state), |x, state| rnn.step(x, state));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(layer(&device)), wave([2, 5, 3], 0.9, &device), |rnn, x| rnn.forward(x));
        gradients(layer(&device), wave([1, 1, 3], 0.9, &device), |rnn, x| rnn.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let rnn = layer(&Device::flex());
        let audit = Audit::of(&rnn, &[6, 3]);
        assert_eq!(audit.parameters, parameters(&rnn));
        assert_eq!(audit.multiply_adds, 6 * (3 * 4 + 4 * 4));
        assert_eq!((audit.ciphertext_products, audit.log2_degree), (6 * 4, None));
        assert!(!audit.activation_free);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        saves_and_loads(layer(&device), layer(&device), |rnn| rnn.forward(Tensor::ones([2, 3, 3], &device)));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = MiRnnConfig { hidden: 0, ..CONFIG }.init(&Device::flex()).expect_err("no memory");
        assert_eq!(error.to_string(), "MI-RNN: hidden is 0");
    }
}
