//! What the tests of operators on tokens share.

use crate::hadamard::check::{close, numbers};
use burn::tensor::{Int, Tensor, TensorData};

/// Fails unless permuting the tokens, axis 1, of the input permutes those of the output.
#[track_caller]
pub fn equivariant(x: Tensor<3>, forward: impl Fn(Tensor<3>) -> Tensor<3>) {
    let tokens = x.dims()[1];
    let order: Vec<i64> = (0..tokens).map(|i| ((3 * i + 2) % tokens) as i64).collect();
    assert_eq!(order.iter().collect::<std::collections::HashSet<_>>().len(), tokens, "3 must not divide the tokens");
    let permute = |x: Tensor<3>| {
        let order = Tensor::<1, Int>::from_data(TensorData::new(order.clone(), [tokens]), &x.device());
        x.select(1, order)
    };
    let wanted = permute(forward(x.clone()));
    close(&numbers(forward(permute(x))), &numbers(wanted), 1e-11);
}

/// Fails unless a token's output depends on itself and earlier tokens alone.
#[track_caller]
pub fn causal(x: Tensor<3>, forward: impl Fn(Tensor<3>) -> Tensor<3>) {
    let [n, tokens, channels] = x.dims();
    let wanted = forward(x.clone());
    for token in 0..tokens {
        let other = x.clone().slice([0..n, token..tokens, 0..channels]) * -1.5 + 0.25;
        let got = forward(x.clone().slice_assign([0..n, token..tokens, 0..channels], other));
        if token > 0 {
            let past = |x: Tensor<3>| numbers(x.narrow(1, 0, token));
            close(&past(got.clone()), &past(wanted.clone()), 1e-13);
        }
        let own = |x: Tensor<3>| numbers(x.narrow(1, token, 1));
        assert_ne!(own(got), own(wanted.clone()), "token {token} sees itself");
    }
}

/// Fails unless each token's causal output is the whole form's over that token and those before it.
#[track_caller]
pub fn loops(x: Tensor<3>, forward: impl Fn(Tensor<3>) -> Tensor<3>, forward_causal: impl Fn(Tensor<3>) -> Tensor<3>) {
    let rows = (0..x.dims()[1]).map(|token| forward(x.clone().narrow(1, 0, token + 1)).narrow(1, token, 1));
    let wanted = Tensor::cat(rows.collect(), 1);
    close(&numbers(forward_causal(x)), &numbers(wanted), 1e-11);
}

/// Fails unless chunks of odd sizes, and single tokens, give what all tokens at once do.
#[track_caller]
pub fn streams<S>(x: Tensor<3>, whole: Tensor<3>, step: impl Fn(Tensor<3>, Option<S>) -> (Tensor<3>, S)) {
    let tokens = x.dims()[1];
    for sizes in [vec![1], vec![1, 3, 5], vec![7, 1, 9], vec![3]] {
        let (mut state, mut outputs, mut start) = (None, Vec::new(), 0);
        for size in sizes.iter().cycle() {
            if start == tokens {
                break;
            }
            let size = (*size).min(tokens - start);
            let (output, next) = step(x.clone().narrow(1, start, size), state);
            outputs.push(output);
            (state, start) = (Some(next), start + size);
        }
        close(&numbers(Tensor::cat(outputs, 1)), &numbers(whole.clone()), 1e-11);
    }
}
