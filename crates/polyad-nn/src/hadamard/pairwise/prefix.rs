//! Sums and means over each token and those before it.

use crate::hadamard::constant;
use burn::tensor::Tensor;

/// The last token, `[n, 1, channels]`.
pub(super) fn last(x: Tensor<3>) -> Tensor<3> {
    let tokens = x.dims()[1];
    x.narrow(1, tokens - 1, 1)
}

/// Sums over each token and those before it, `[n, tokens, channels]`; `before` is the sum of an earlier call.
pub(super) fn sums(x: Tensor<3>, before: Option<Tensor<3>>) -> Tensor<3> {
    let sums = x.cumsum(1);
    match before {
        Some(before) => sums + before,
        None => sums,
    }
}

/// What a mean over the tokens so far needs to go on.
#[derive(Debug, Clone)]
pub struct MeanState {
    /// Over the tokens so far, `[n, 1, channels]`.
    pub sum: Tensor<3>,
    /// How many they are.
    pub tokens: usize,
}

/// Means over each token and those before it, `[n, tokens, channels]`.
pub(super) fn means(x: Tensor<3>, before: Option<MeanState>) -> (Tensor<3>, MeanState) {
    let [_, tokens, _] = x.dims();
    let (sum, start) = before.map_or((None, 0), |state| (Some(state.sum), state.tokens));
    let shares = (1..=tokens).map(|token| ((start + token) as f64).recip()).collect();
    let shares = constant(shares, [1, tokens, 1], &x);
    let sums = sums(x, sum);
    let state = MeanState { sum: last(sums.clone()), tokens: start + tokens };
    (sums * shares, state)
}
