//! Recurrences whose memory a product modulates: `h_t = a_t ∘ h_{t−1} + b_t` and relatives.
//!
//! | layer | memory | a sequence at once |
//! |---|---|---|
//! | [`MiRnn`] | a vector; its next value is no linear function of it | token by token |
//! | [`MinGru`], [`MinLstm`], [`Hgrn`], [`RgLru`] | a vector; the coefficients depend on the input alone | [`scan()`] |
//! | [`Gla`] | a matrix for each head | chunks ([`linear_attention`]) |
//!
//! Every layer has `forward`, `forward_with_state` for a sequence that comes in pieces, and `step` for one token; the three
//! give the same numbers. A state of `None` is a memory of zeros.
//!
//! LSTM and GRU are not here: `burn::nn` has both.

mod gla;
mod hgrn;
pub mod linear_attention;
mod mi_rnn;
mod minimal;
mod rg_lru;
mod scan;

pub use gla::{Gla, GlaConfig, GlaState};
pub use hgrn::{Hgrn, HgrnConfig};
pub use mi_rnn::{MiRnn, MiRnnConfig};
pub use minimal::{MinGru, MinGruConfig, MinLstm, MinLstmConfig};
pub use rg_lru::{RgLru, RgLruConfig};
pub use scan::scan;

use burn::module::Module;
use burn::tensor::Tensor;

/// What a recurrence whose memory is a vector hands from token to token.
#[derive(Debug, Clone)]
pub struct HiddenState {
    /// `[n, hidden]`
    pub hidden: Tensor<2>,
}

/// `h_t = a_t ∘ h_{t−1} + b_t`, where a and b are functions of the token `x_t` alone.
pub trait LinearRecurrence: Module {
    /// `a_t` and `b_t`.
    ///
    /// # Shapes
    /// - `x`: `[.., inputs]`
    /// - outputs: `[.., hidden]`
    fn coefficients<const D: usize>(&self, x: Tensor<D>) -> (Tensor<D>, Tensor<D>);

    /// # Shapes
    /// - `x`: `[n, tokens, inputs]`
    /// - output: `[n, tokens, hidden]`
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with_state(x, None).0
    }

    /// A piece of a sequence, at least one token; the state is that behind its last token.
    ///
    /// # Shapes
    /// - `x`: `[n, tokens, inputs]`
    /// - output: `[n, tokens, hidden]`
    fn forward_with_state(&self, x: Tensor<3>, state: Option<HiddenState>) -> (Tensor<3>, HiddenState) {
        let (a, b) = self.coefficients(x);
        let h = scan(a, b, 1, state.map(|state| state.hidden.unsqueeze_dim(1)));
        let last = h.dims()[1] - 1;
        let hidden = h.clone().narrow(1, last, 1).squeeze_dim(1);
        (h, HiddenState { hidden })
    }

    /// One token.
    ///
    /// # Shapes
    /// - `x`: `[n, inputs]`
    /// - output: `[n, hidden]`
    fn step(&self, x: Tensor<2>, state: Option<HiddenState>) -> (Tensor<2>, HiddenState) {
        let (a, b) = self.coefficients(x);
        let hidden = match state {
            Some(state) => a * state.hidden + b,
            None => b,
        };
        (hidden.clone(), HiddenState { hidden })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, numbers};

    /// Fails where the whole sequence, pieces of it with the state carried, and single tokens give different numbers, or
    /// where a token changes what came before it. `x` has at least 6 tokens.
    #[track_caller]
    pub fn assert_streams<S: Clone>(
        x: Tensor<3>,
        pieces: impl Fn(Tensor<3>, Option<S>) -> (Tensor<3>, S),
        step: impl Fn(Tensor<2>, Option<S>) -> (Tensor<2>, S),
    ) {
        let tokens = x.dims()[1];
        let (whole, _) = pieces(x.clone(), None);
        let wanted = numbers(whole.clone());

        for cuts in [vec![1, tokens - 1], vec![tokens - 1, 1], vec![3, 1, tokens - 4], vec![2, 3, tokens - 5]] {
            let (mut state, mut start, mut outputs) = (None, 0, Vec::new());
            for length in cuts {
                let (output, next) = pieces(x.clone().narrow(1, start, length), state);
                (state, start) = (Some(next), start + length);
                outputs.push(output);
            }
            close(&numbers(Tensor::cat(outputs, 1)), &wanted, 1e-12);
        }

        let (mut state, mut outputs) = (None, Vec::new());
        for token in 0..tokens {
            let (output, next) = step(x.clone().narrow(1, token, 1).squeeze_dim(1), state);
            state = Some(next);
            outputs.push(output);
        }
        close(&numbers(Tensor::<2>::stack::<3>(outputs, 1)), &wanted, 1e-12);

        let past = tokens / 2;
        let later = x.clone().narrow(1, past, tokens - past).neg();
        let (other, _) = pieces(Tensor::cat(vec![x.narrow(1, 0, past), later], 1), None);
        let before = |y: Tensor<3>| numbers(y.narrow(1, 0, past));
        close(&before(other.clone()), &before(whole), 1e-12);
        assert_ne!(numbers(other), wanted, "the later tokens take part");
    }

    /// [`assert_streams`] for a linear recurrence, in double precision.
    #[track_caller]
    pub fn assert_recurrence_streams(layer: &impl LinearRecurrence, x: Tensor<3>) {
        assert_streams(x, |x, state| layer.forward_with_state(x, state), |x, state| layer.step(x, state));
    }
}
