//! Gated linear attention on queries, keys and values: one function, three orders of computation (Yang et al., arXiv
//! 2312.06635).
//!
//! `S_t = diag(α_t) S_{t−1} + k_t v_tᵀ`, `o_t = S_tᵀ q_t`; with α = 1 it is causal attention without softmax.
//!
//! | form | for | cost a head |
//! |---|---|---|
//! | [`step`] | one token | `d_k d_v` |
//! | [`quadratic`] | short sequences: the definition without a state | `T² (d_k + d_v)`, and memory for `T² d_k` numbers |
//! | [`chunked`] | anything: quadratic inside chunks of C, a state between them | `T C (d_k + d_v) + T d_k d_v` |
//!
//! With `b_t = Σ_{s≤t} log α_s`, token j reaches token i by the factor `exp(b_i − b_j)`. The published chunk form splits it
//! into `exp(b_i) · exp(−b_j)`, of which the second overflows single precision where the sum passes 88. Here the difference is
//! taken first, for each pair inside a chunk: no exponent is above zero, at the price of `C² d_k` numbers a chunk.

use burn::tensor::{Bool, Tensor};

/// One token: its output, and the memory behind it.
///
/// # Shapes
/// - `q`, `k`, `log_decay`: `[n, heads, d_k]`
/// - `v`, output: `[n, heads, d_v]`
/// - `memory`: `[n, heads, d_k, d_v]`
pub fn step(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    log_decay: Tensor<3>,
    memory: Tensor<4>,
) -> (Tensor<3>, Tensor<4>) {
    let column = |x: Tensor<3>| x.unsqueeze_dim::<4>(3);
    let memory = column(log_decay.exp()) * memory + column(k) * v.unsqueeze_dim::<4>(2);
    let output = (column(q) * memory.clone()).sum_dim(2).squeeze_dim(2);
    (output, memory)
}

/// The whole sequence from an empty memory: `o_i = Σ_{j≤i} (Σ_d q_id k_jd exp(b_id − b_jd)) v_j`.
///
/// # Shapes
/// - `q`, `k`, `log_decay`: `[n, heads, tokens, d_k]`
/// - `v`, output: `[n, heads, tokens, d_v]`
pub fn quadratic(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, log_decay: Tensor<4>) -> Tensor<4> {
    within(q, k, v, log_decay.cumsum(2))
}

/// [`quadratic`], given `b`.
fn within(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    let [n, heads, tokens, features] = q.dims();
    let (of_query, of_key) = (|x: Tensor<4>| x.unsqueeze_dim::<5>(3), |x: Tensor<4>| x.unsqueeze_dim::<5>(2));
    let later = Tensor::<2, Bool>::tril_mask([tokens, tokens], 0, &q.device());
    let later = later.unsqueeze_dims::<5>(&[0, 1, 4]).expand([n, heads, tokens, tokens, features]);
    // Masked before the exponential: for later keys the difference is positive and may overflow.
    let reach = (of_query(b.clone()) - of_key(b)).mask_fill(later, f64::NEG_INFINITY).exp();
    let scores = (of_query(q) * of_key(k) * reach).sum_dim(4).squeeze_dim::<4>(4);
    scores.matmul(v)
}

/// A piece of a sequence, in chunks of `chunk` tokens (the last may be shorter): its outputs, and the memory behind it.
///
/// # Shapes
/// - `q`, `k`, `log_decay`: `[n, heads, tokens, d_k]`
/// - `v`, output: `[n, heads, tokens, d_v]`
/// - `memory`: `[n, heads, d_k, d_v]`
///
/// # Panics
/// For a chunk of 0.
pub fn chunked(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    log_decay: Tensor<4>,
    memory: Tensor<4>,
    chunk: usize,
) -> (Tensor<4>, Tensor<4>) {
    assert!(chunk > 0, "chunks of 0 tokens");
    let tokens = q.dims()[2];
    let (mut memory, mut outputs) = (memory, Vec::new());
    for start in (0..tokens).step_by(chunk) {
        let length = chunk.min(tokens - start);
        let [q, k, v, log_decay] = [&q, &k, &v, &log_decay].map(|x| x.clone().narrow(2, start, length));
        let b = log_decay.cumsum(2);
        let last = b.clone().narrow(2, length - 1, 1);
        let from_before = (q.clone() * b.clone().exp()).matmul(memory.clone());
        outputs.push(from_before + within(q, k.clone(), v.clone(), b.clone()));
        let reaching_the_end = k * (last.clone() - b).exp();
        memory = last.exp().swap_dims(2, 3) * memory + reaching_the_end.swap_dims(2, 3).matmul(v);
    }
    (Tensor::cat(outputs, 2), memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, doubles, gradients, numbers, wave};
    use burn::module::{Module, Param};
    use burn::tensor::{DType, Device};

    const SHAPE: [usize; 4] = [2, 2, 11, 3];

    /// Queries, keys, values (2 features each) and decays between e^-2 and 1.
    fn inputs(device: &Device) -> [Tensor<4>; 4] {
        let [n, heads, tokens, _] = SHAPE;
        let v = wave([n, heads, tokens, 2], 0.7, device);
        let log_decay = wave(SHAPE, 2.3, device).sub_scalar(1.0);
        [wave(SHAPE, 0.9, device), wave(SHAPE, 1.7, device), v, log_decay]
    }

    fn empty(device: &Device) -> Tensor<4> {
        doubles(vec![0.0; 2 * 2 * 3 * 2], [2, 2, 3, 2], device)
    }

    /// The recurrence in plain arithmetic.
    fn reference([q, k, v, log_decay]: [Tensor<4>; 4]) -> Vec<f64> {
        let ([n, heads, tokens, keys], values) = (q.dims(), v.dims()[3]);
        let [q, k, v, log_decay] = [q, k, v, log_decay].map(numbers);
        let mut outputs = vec![0.0; v.len()];
        for sequence in 0..n * heads {
            let mut memory = vec![0.0; keys * values];
            for token in sequence * tokens..(sequence + 1) * tokens {
                for (row, column) in (0..keys).flat_map(|row| (0..values).map(move |column| (row, column))) {
                    let number = &mut memory[row * values + column];
                    *number = log_decay[token * keys + row].exp() * *number
                        + k[token * keys + row] * v[token * values + column];
                    outputs[token * values + column] += q[token * keys + row] * *number;
                }
            }
        }
        outputs
    }

    #[test]
    fn all_forms_give_the_recurrence() {
        let device = Device::flex();
        let wanted = reference(inputs(&device));
        let [q, k, v, log_decay] = inputs(&device);
        close(&numbers(quadratic(q.clone(), k.clone(), v.clone(), log_decay.clone())), &wanted, 1e-12);
        for chunk in [1, 2, 3, 4, 11, 64] {
            let (o, _) = chunked(q.clone(), k.clone(), v.clone(), log_decay.clone(), empty(&device), chunk);
            close(&numbers(o), &wanted, 1e-12);
        }
        let (mut memory, mut outputs) = (empty(&device), Vec::new());
        for token in 0..SHAPE[2] {
            let [q, k, v, log_decay] = [&q, &k, &v, &log_decay].map(|x| x.clone().narrow(2, token, 1).squeeze_dim(2));
            let (output, next) = step(q, k, v, log_decay, memory);
            memory = next;
            outputs.push(output);
        }
        close(&numbers(Tensor::<3>::stack::<4>(outputs, 2)), &wanted, 1e-12);
        let (_, behind) = chunked(q, k, v, log_decay, empty(&device), 4);
        close(&numbers(behind), &numbers(memory), 1e-12);
    }

    #[test]
    fn without_decay_it_is_causal_attention_without_softmax() {
        let device = Device::flex();
        let [q, k, v, log_decay] = inputs(&device);
        let causal = q.clone().matmul(k.clone().swap_dims(2, 3)).tril(0).matmul(v.clone());
        let (o, _) = chunked(q, k, v, log_decay.zeros_like(), empty(&device), 3);
        close(&numbers(o), &numbers(causal), 1e-12);
    }

    #[test]
    fn strong_decay_overflows_nowhere() {
        // Over 11 tokens the logarithms sum to -330: exp(330) is infinite in single precision.
        let device = Device::flex();
        let [q, k, v, log_decay] = inputs(&device);
        let log_decay = log_decay.zeros_like().sub_scalar(30.0);
        let wanted = reference([q.clone(), k.clone(), v.clone(), log_decay.clone()]);
        let [q, k, v, log_decay] = [q, k, v, log_decay].map(|x| x.cast(DType::F32));
        let (o, _) = chunked(q, k, v, log_decay, empty(&device).cast(DType::F32), 11);
        close(&numbers(o), &wanted, 1e-6);

        // Nor do gradients, which a mask behind the exponential would make 0 · ∞.
        let device = device.autodiff();
        let [q, k, v, log_decay] = inputs(&device).map(|x| x.cast(DType::F32));
        let log_decay = log_decay.zeros_like().sub_scalar(30.0).require_grad();
        let grads = quadratic(q, k, v, log_decay.clone()).sum().backward();
        let of_decay = numbers(log_decay.grad(&grads).expect("takes part"));
        assert!(of_decay.iter().all(|x| x.is_finite()), "{of_decay:?}");
    }

    #[derive(Module, Debug)]
    struct Inputs {
        k: Param<Tensor<4>>,
        v: Param<Tensor<4>>,
        log_decay: Param<Tensor<4>>,
        memory: Param<Tensor<4>>,
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let [q, k, v, log_decay] = inputs(&device).map(|x| x.narrow(2, 0, 5));
        let memory = wave([2, 2, 3, 2], 0.4, &device);
        let [k, v, log_decay, memory] = [k, v, log_decay, memory].map(Param::from_tensor);
        gradients(Inputs { k, v, log_decay, memory }, q, |inputs, q| {
            let Inputs { k, v, log_decay, memory } = inputs;
            let (o, memory) = chunked(q, k.val(), v.val(), log_decay.val(), memory.val(), 2);
            Tensor::cat(vec![o, memory], 2)
        });
    }
}
