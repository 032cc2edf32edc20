//! minGRU and minLSTM: recurrences whose gates see the token alone (Feng et al., Were RNNs all we needed?, arXiv 2410.01201).
//!
//! As in the paper's logarithmic form, candidates are made positive by g. Public code runs sequences by sums of logarithms
//! and single tokens by another formula, and a carried state can then mean two things; here [`scan`](super::scan()) runs the
//! formula itself. At first the memory is zero, or what the caller says (the paper starts from g of a parameter).

use super::LinearRecurrence;
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Tensor};

/// How a [`MinGru`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinGruConfig {
    /// Numbers of a token.
    pub inputs: usize,
    /// Numbers of the memory.
    pub hidden: usize,
}

/// `h_t = (1 − z_t) ∘ h_{t−1} + z_t ∘ g(W_h x_t)`, `z_t = σ(W_z x_t)`
///
/// The gate z opens for the new; a GRU's opens for the old.
#[derive(Module, Debug)]
pub struct MinGru {
    /// `W_z`, `[inputs, hidden]`
    pub update: Linear,
    /// `W_h`, `[inputs, hidden]`
    pub candidate: Linear,
}

/// How a [`MinLstm`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinLstmConfig {
    /// Numbers of a token.
    pub inputs: usize,
    /// Numbers of the memory.
    pub hidden: usize,
}

/// `h_t = f'_t ∘ h_{t−1} + i'_t ∘ g(W_h x_t)`, `f' = f / (f + i)`, `i' = i / (f + i)`, `f = σ(W_f x_t)`, `i = σ(W_i x_t)`
#[derive(Module, Debug)]
pub struct MinLstm {
    /// `W_f`, `[inputs, hidden]`
    pub forget: Linear,
    /// `W_i`, `[inputs, hidden]`
    pub input: Linear,
    /// `W_h`, `[inputs, hidden]`
    pub candidate: Linear,
}

/// `g(x) = x + 1/2` for x ≥ 0, `σ(x)` below: positive, and continuous at 0, where its slope falls from 1 to 1/4.
fn positive<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let is_negative = x.clone().lower_elem(0.0);
    x.clone().add_scalar(0.5).mask_where(is_negative, sigmoid(x))
}

impl MinGruConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<MinGru> {
        nonzero("minGRU", &[("inputs", self.inputs), ("hidden", self.hidden)])?;
        let linear = || LinearConfig::new(self.inputs, self.hidden).init(device);
        Ok(MinGru { update: linear(), candidate: linear() })
    }
}

impl LinearRecurrence for MinGru {
    fn coefficients<const D: usize>(&self, x: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        let update = self.update.forward(x.clone());
        let candidate = positive(self.candidate.forward(x));
        // 1 − σ(k) is σ(−k), without the rounding of the difference.
        (sigmoid(update.clone().neg()), sigmoid(update) * candidate)
    }
}

impl MinLstmConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<MinLstm> {
        nonzero("minLSTM", &[("inputs", self.inputs), ("hidden", self.hidden)])?;
        let linear = || LinearConfig::new(self.inputs, self.hidden).init(device);
        Ok(MinLstm { forget: linear(), input: linear(), candidate: linear() })
    }
}

impl LinearRecurrence for MinLstm {
    fn coefficients<const D: usize>(&self, x: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        // f / (f + i) = σ(log f − log i), also where both gates round to 0.
        let odds = log_sigmoid(self.forget.forward(x.clone())) - log_sigmoid(self.input.forward(x.clone()));
        let candidate = positive(self.candidate.forward(x));
        (sigmoid(odds.clone()), sigmoid(odds.neg()) * candidate)
    }
}

impl Describe for MinGru {
    /// Token by token: the scan multiplies more.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let update = trace.linear("update", &self.update, &x);
        let update = trace.activation("sigmoid", 0, &update);
        let candidate = trace.linear("candidate", &self.candidate, &x);
        let candidate = trace.activation("g", 0, &candidate);
        let new = trace.product("new", &update, &candidate);
        let kept = trace.product("kept", &update, &new);
        trace.sum("sum", &kept, &new)
    }
}

impl Describe for MinLstm {
    /// Token by token: the scan multiplies more.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let forget = trace.linear("forget", &self.forget, &x);
        let input = trace.linear("input", &self.input, &x);
        let odds = trace.sum("odds", &forget, &input);
        let gate = trace.activation("sigmoid", 0, &odds);
        let candidate = trace.linear("candidate", &self.candidate, &x);
        let candidate = trace.activation("g", 0, &candidate);
        let new = trace.product("new", &gate, &candidate);
        let kept = trace.product("kept", &gate, &new);
        trace.sum("sum", &kept, &new)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HiddenState;
    use super::super::tests::assert_recurrence_streams;
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{
        close, doubles, golden, gradients, numbers, parameters, saves_and_loads, single, wave,
    };
    use burn::module::Param;

    fn gru(device: &Device) -> MinGru {
        MinGruConfig { inputs: 3, hidden: 4 }.init(device).expect("sizes")
    }

    fn lstm(device: &Device) -> MinLstm {
        MinLstmConfig { inputs: 3, hidden: 4 }.init(device).expect("sizes")
    }

    /// The last token and the sum of all, from a state of `1.5 + wave`, of layers filled as golden values are.
    fn golden_run(layer: &impl LinearRecurrence) -> (Vec<f64>, Vec<f64>) {
        let device = Device::flex();
        let hidden = wave([2, 4], 0.4, &device).add_scalar(1.5);
        let (h, state) = layer.forward_with_state(wave([2, 5, 3], 0.9, &device), Some(HiddenState { hidden }));
        close(&numbers(state.hidden), &numbers(h.clone().narrow(1, 4, 1)), 0.0);
        (numbers(h.clone().narrow(1, 4, 1)), numbers(h.sum()))
    }

    // The paper's logarithmic form:
    // log_g = lambda x: torch.where(x >= 0, (F.relu(x) + .5).log(), -F.softplus(-x))
    // def scan_log(log_a, log_b, h0):
    //     star = F.pad(log_a.cumsum(1), (0, 0, 1, 0)); b = torch.cat([h0.log().unsqueeze(1), log_b], 1)
    //     return (star + torch.logcumsumexp(b - star, 1)).exp()[:, 1:]
    // h0 = 1.5 + torch.sin(.4 * torch.arange(1, 9)).reshape(2, 4)
    // minGRU: scan_log(-F.softplus(k), -F.softplus(-k) + log_g(c), h0); minLSTM: the same with
    // k = F.softplus(-f) - F.softplus(-i)

    #[test]
    fn min_gru_gives_the_logarithmic_form() {
        let last = [
            0.8645245763955436,
            0.8048177192318466,
            0.8674674686119901,
            0.7951406160322443,
            1.4232292411564789,
            0.6215565666282397,
            0.9248367985349462,
            1.335645197010685,
        ];
        let (h, sum) = golden_run(&golden(gru(&Device::flex())));
        close(&h, &last, 1e-12);
        close(&sum, &[46.29452280518113], 1e-12);
    }

    #[test]
    fn min_lstm_gives_the_logarithmic_form() {
        let last = [
            0.6435836530371238,
            0.7850175689993879,
            0.8819116796404791,
            0.6196732888670491,
            1.1001862428274816,
            0.8323214986806144,
            0.7045064083570293,
            0.9558008367968793,
        ];
        let (h, sum) = golden_run(&golden(lstm(&Device::flex())));
        close(&h, &last, 1e-12);
        close(&sum, &[42.636253734870664], 1e-12);
    }

    #[test]
    fn candidates_are_positive_and_continuous() {
        let x = doubles(vec![-800.0, -1.0, -1e-12, 0.0, 2.0], [5], &Device::flex());
        close(&numbers(positive(x)), &[0.0, 1.0 / (1.0 + 1f64.exp()), 0.5, 0.5, 2.5], 1e-12);
    }

    #[test]
    fn gates_that_round_to_zero_still_share_out_one() {
        let mut layer = single(lstm(&Device::flex()));
        let shut = |bias: f64| Some(Param::from_tensor(Tensor::full([4], bias, &Device::flex())));
        (layer.forget.bias, layer.input.bias) = (shut(-200.0), shut(-200.0));
        let x = wave([1, 3], 0.9, &Device::flex()).cast(burn::tensor::DType::F32);
        let (forget, new) = layer.coefficients(x.clone());
        let input = new / positive(layer.candidate.forward(x));
        close(&numbers(forget + input), &[1.0; 4], 1e-6);
    }

    #[test]
    fn pieces_and_single_tokens_give_the_whole() {
        let x = wave([2, 7, 3], 0.9, &Device::flex());
        assert_recurrence_streams(&golden(gru(&Device::flex())), x.clone());
        assert_recurrence_streams(&golden(lstm(&Device::flex())), x);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(golden(gru(&device)), wave([2, 5, 3], 0.9, &device), |layer, x| layer.forward(x));
        gradients(golden(lstm(&device)), wave([2, 5, 3], 0.9, &device), |layer, x| layer.forward(x));
        gradients(lstm(&device), wave([1, 1, 3], 0.9, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn the_audits_count_what_is_there() {
        let (gru, lstm) = (gru(&Device::flex()), lstm(&Device::flex()));
        let (of_gru, of_lstm) = (Audit::of(&gru, &[6, 3]), Audit::of(&lstm, &[6, 3]));
        assert_eq!((of_gru.parameters, of_lstm.parameters), (parameters(&gru), parameters(&lstm)));
        assert_eq!((of_gru.multiply_adds, of_lstm.multiply_adds), (6 * 2 * 12, 6 * 3 * 12));
        for audit in [of_gru, of_lstm] {
            assert_eq!((audit.ciphertext_products, audit.log2_degree), (2 * 6 * 4, None));
            assert!(!audit.activation_free && !audit.only_add_mul);
        }
    }

    #[test]
    fn saved_and_loaded_they_are_the_same() {
        let device = Device::flex();
        let x = Tensor::ones([2, 3, 3], &device);
        saves_and_loads(gru(&device), gru(&device), |layer| layer.forward(x.clone()));
        saves_and_loads(lstm(&device), lstm(&device), |layer| layer.forward(x.clone()));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = MinGruConfig { inputs: 0, hidden: 4 }.init(&Device::flex()).expect_err("no inputs");
        assert_eq!(error.to_string(), "minGRU: inputs is 0");
        let error = MinLstmConfig { inputs: 3, hidden: 0 }.init(&Device::flex()).expect_err("no memory");
        assert_eq!(error.to_string(), "minLSTM: hidden is 0");
    }
}
