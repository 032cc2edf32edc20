//! Problems that must agree with other problems, in all results: the expected ones are those of the definition for the
//! one, the found ones those of the kernels for the other.

use crate::measure::Expected;
use crate::plain::{Precision, plain};
use crate::support::{Attended, Case, Gradient, Random};
use polyad_attention::{Problem, ScoreForm, reference};
use polyad_simd::Level;

fn run(case: &Case) -> (Attended, Gradient) {
    let attended = Attended::of(case, Level::best());
    let gradient = Gradient::of(case, &attended.out, &attended.lse, Level::best());
    (attended, gradient)
}

/// `softmax(scale Q Kᵀ) V` and its gradient as textbooks have them, one head, in double precision.
fn ordinary(case: &Case) -> (Vec<f64>, Vec<f64>, reference::Gradients) {
    let p = &case.problem;
    let (n, m, d, w, scale) = (p.queries, p.keys[0], p.width, p.value_width, f64::from(p.scale));
    let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
    let (q, k, v, dout) = (wide(&case.q), wide(&case.keys[0]), wide(&case.values[0]), wide(&case.dout));
    let (mut out, mut lse) = (vec![0.0; n * w], vec![0.0; n]);
    let (mut dq, mut dk, mut dv) = (vec![0.0; n * d], vec![0.0; m * d], vec![0.0; m * w]);
    for i in 0..n {
        let seen = if p.causal { (i + 1 + m).saturating_sub(n).min(m) } else { m };
        let score = |j: usize| scale * (0..d).map(|l| q[i * d + l] * k[j * d + l]).sum::<f64>();
        let total: f64 = (0..seen).map(|j| score(j).exp()).sum();
        lse[i] = total.ln();
        let weights: Vec<f64> = (0..seen).map(|j| score(j).exp() / total).collect();
        for (j, weight) in weights.iter().enumerate() {
            (0..w).for_each(|l| out[i * w + l] += weight * v[j * w + l]);
            (0..w).for_each(|l| dv[j * w + l] += weight * dout[i * w + l]);
        }
        let dweight = |j: usize| (0..w).map(|l| dout[i * w + l] * v[j * w + l]).sum::<f64>();
        let mean: f64 = weights.iter().enumerate().map(|(j, weight)| weight * dweight(j)).sum();
        for (j, weight) in weights.iter().enumerate() {
            let dscore = scale * weight * (dweight(j) - mean + f64::from(case.dlse[i]));
            (0..d).for_each(|l| dq[i * d + l] += dscore * k[j * d + l]);
            (0..d).for_each(|l| dk[j * d + l] += dscore * q[i * d + l]);
        }
    }
    let gradients =
        reference::Gradients { q: dq, keys: vec![dk], values: vec![dv], biases: Vec::new(), sink: Vec::new() };
    (out, lse, gradients)
}

#[test]
fn order_two_is_ordinary_attention() {
    let mut random = Random(71);
    for (n, m, causal) in [(37, 37, true), (29, 70, false), (5, 300, true), (64, 64, false)] {
        for form in [ScoreForm::Linear, ScoreForm::Tree] {
            let problem = Problem { keys: vec![m], value_width: 11, causal, form, ..Problem::new(2, n, 20, 0.25) };
            let case = Case::of(problem, &mut random);
            let (out, lse, gradients) = ordinary(&case);
            let expected = Expected { plain: plain(&case, Precision::of::<f32>()), out, lse, gradients };
            let (attended, gradient) = run(&case);
            expected.check(&case, &attended, &gradient, "ordinary attention");
        }
    }
}

#[test]
fn permuting_key_tokens_changes_nothing() {
    let mut random = Random(72);
    for form in ScoreForm::ALL {
        let case = Case::of(Problem { keys: vec![40, 50], form, ..Problem::new(3, 30, 24, 0.2) }, &mut random);
        // Reversed tokens of the first axis, in keys and values alike.
        let reverse = |array: &mut Vec<f32>| *array = array.chunks(24).rev().flatten().copied().collect();
        let mut permuted = case.clone();
        reverse(&mut permuted.keys[0]);
        reverse(&mut permuted.values[0]);
        let (attended, mut gradient) = run(&permuted);
        reverse(&mut gradient.keys[0]);
        reverse(&mut gradient.values[0]);
        Expected::of(&case, Precision::of::<f32>()).check(&case, &attended, &gradient, "permuted keys");
    }
}

#[test]
fn swapping_the_key_axes_changes_nothing() {
    let mut random = Random(73);
    for (form, causal) in [(ScoreForm::Linear, false), (ScoreForm::Linear, true), (ScoreForm::Strassen, true)] {
        let problem = Problem { keys: vec![40, 50], form, causal, ..Problem::new(3, 30, 24, 0.2) };
        let case = Case::of(problem, &mut random);
        let mut swapped = case.clone();
        swapped.keys.reverse();
        swapped.values.reverse();
        swapped.problem.keys.reverse();
        let (attended, mut gradient) = run(&swapped);
        gradient.keys.reverse();
        gradient.values.reverse();
        Expected::of(&case, Precision::of::<f32>()).check(&case, &attended, &gradient, "swapped axes");
    }
}

#[test]
fn every_form_is_the_linear_form_in_more_channels() {
    let mut random = Random(13);
    for (form, order) in [
        (ScoreForm::Determinant, 3),
        (ScoreForm::Strassen, 3),
        (ScoreForm::Tree, 2),
        (ScoreForm::Tree, 3),
        (ScoreForm::Tree, 4),
    ] {
        for causal in [false, true] {
            let n = if order == 4 { 9 } else { 20 };
            let case = Case::of(Problem { form, causal, ..Problem::new(order, n, 7, 0.3) }, &mut random);
            let channels = form.channels(order, 7);
            let expand = |operand: usize, tokens: &[f32]| -> Vec<f32> {
                let mut all = vec![0.0; tokens.len() / 7 * channels.count()];
                for (to, token) in all.chunks_mut(channels.count()).zip(tokens.chunks(7)) {
                    channels.expand(operand, 1.0, token, to);
                }
                all
            };
            let collapse = |operand: usize, gradients: &[f32]| -> Vec<f32> {
                let mut all = vec![0.0; gradients.len() / channels.count() * 7];
                for (to, gradient) in all.chunks_mut(7).zip(gradients.chunks(channels.count())) {
                    channels.collapse(operand, 1.0, gradient.iter().copied(), to);
                }
                all
            };
            let mut linear = case.clone();
            linear.problem = Problem { form: ScoreForm::Linear, width: channels.count(), ..case.problem.clone() };
            linear.q = expand(0, &case.q);
            linear.keys = case.keys.iter().enumerate().map(|(axis, keys)| expand(axis + 1, keys)).collect();
            let (attended, mut gradient) = run(&linear);
            gradient.q = collapse(0, &gradient.q);
            for (axis, keys) in gradient.keys.iter_mut().enumerate() {
                *keys = collapse(axis + 1, keys);
            }
            Expected::of(&case, Precision::of::<f32>()).check(&case, &attended, &gradient, "as linear channels");
        }
    }
}

#[test]
fn decoding_with_room_gives_what_all_tokens_at_once_give() {
    let mut random = Random(18);
    let (n, room, width, heads) = (40, 44, 10, 4);
    for form in ScoreForm::ALL {
        let windows = vec![None, Some(7)];
        let whole = Problem {
            heads,
            key_heads: 2,
            causal: true,
            windows,
            form,
            room: vec![room; 2],
            ..Problem::new(3, n, width, 0.3)
        };
        let case = Case::of(whole, &mut random);
        let numbers = case.with_inputs(|inputs| reference::Numbers::new(&case.problem, inputs).unwrap());
        let (out, lse) = reference::forward(&case.problem, &numbers);
        for token in [0, 1, 30, n - 1] {
            let of_token = |array: &[f32], width: usize| -> Vec<f32> {
                array.chunks(n * width).flat_map(|head| head[token * width..(token + 1) * width].to_vec()).collect()
            };
            let step = Case {
                problem: Problem { queries: 1, keys: vec![token + 1; 2], ..case.problem.clone() },
                q: of_token(&case.q, width),
                dout: of_token(&case.dout, width),
                dlse: of_token(&case.dlse, 1),
                ..case.clone()
            };
            let mut expected = Expected::of(&step, Precision::of::<f32>());
            let rows = (0..heads).map(|head| head * n + token);
            expected.lse = rows.clone().map(|row| lse[row]).collect();
            expected.out = rows.flat_map(|row| out[row * width..(row + 1) * width].to_vec()).collect();
            let (attended, gradient) = run(&step);
            expected.check(&step, &attended, &gradient, "decoded");
        }
    }
}
