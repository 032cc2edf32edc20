//! What must hold whatever the numbers are.

use crate::support::{Attended, Case, Gradient, Random};
use polyad_attention::{Inputs, Problem, ScoreForm, Work, backward_workspace, forward, forward_workspace, reference};
use polyad_simd::Level;

fn run(case: &Case) -> (Vec<f32>, Vec<f32>, Work) {
    let Attended { out, lse, work } = Attended::of(case, Level::best());
    (out, lse, work)
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        let close = (a - b).abs() <= tolerance * (1.0 + b.abs()) || a == b;
        assert!(close, "{what}: {a} at {index}, expected {b}");
    }
}

#[test]
fn the_same_bits_come_from_any_number_of_threads() {
    let mut random = Random(11);
    for (n, heads, order) in [(70, 1, 3), (33, 3, 3), (1, 1, 3), (12, 1, 4), (300, 2, 2)] {
        let problem = Problem { heads, key_heads: heads, causal: true, ..Problem::new(order, n, 19, 0.2) };
        let keys = if n == 1 { vec![90, 70] } else { problem.keys.clone() };
        let case = Case::of(Problem { keys, ..problem }, &mut random);
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (out, lse, _) = run(&case);
                let gradient = Gradient::of(&case, &out, &lse, Level::best());
                let all = [out, lse, gradient.q].into_iter().chain(gradient.keys).chain(gradient.values);
                all.flatten().map(f32::to_bits).collect::<Vec<u32>>()
            })
        };
        let one = bits(1);
        for threads in [2, 3, 7] {
            assert!(bits(threads) == one, "{threads} threads differ from one at n {n}, {heads} heads, order {order}");
        }
    }
}

#[test]
fn permuting_key_tokens_and_swapping_axes_changes_nothing() {
    let mut random = Random(12);
    let case = Case::of(Problem { keys: vec![40, 50], ..Problem::new(3, 30, 24, 0.2) }, &mut random);
    let (out, lse, _) = run(&case);
    let mut permuted = case.clone();
    for arrays in [&mut permuted.keys, &mut permuted.values] {
        // Reversed tokens of the first axis, in keys and values alike.
        let reversed: Vec<f32> = arrays[0].chunks(24).rev().flatten().copied().collect();
        arrays[0] = reversed;
    }
    let (out_2, lse_2, _) = run(&permuted);
    assert_close(&out_2, &out, 1e-5, "permuted keys");
    assert_close(&lse_2, &lse, 1e-5, "permuted keys, lse");
    let mut swapped = case.clone();
    swapped.keys.reverse();
    swapped.values.reverse();
    swapped.problem.keys.reverse();
    let (out_3, lse_3, _) = run(&swapped);
    assert_close(&out_3, &out, 1e-5, "swapped axes");
    assert_close(&lse_3, &lse, 1e-5, "swapped axes, lse");
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
        let n = if order == 4 { 9 } else { 20 };
        let case = Case::of(Problem { form, ..Problem::new(order, n, 7, 0.3) }, &mut random);
        let channels = form.channels(order, 7);
        let expand = |operand: usize, tokens: &[f32]| -> Vec<f32> {
            let mut all = vec![0.0; tokens.len() / 7 * channels.count()];
            for (to, token) in all.chunks_mut(channels.count()).zip(tokens.chunks(7)) {
                channels.expand(operand, 1.0, token, to);
            }
            all
        };
        let mut linear = case.clone();
        linear.problem = Problem { form: ScoreForm::Linear, width: channels.count(), ..case.problem.clone() };
        linear.q = expand(0, &case.q);
        linear.keys = case.keys.iter().enumerate().map(|(axis, keys)| expand(axis + 1, keys)).collect();
        assert_close(&run(&case).0, &run(&linear).0, 1e-6, form.name());
    }
}

#[test]
fn what_no_query_sees_may_hold_nan_and_what_one_sees_harms_no_other() {
    let mut random = Random(14);
    let problem = Problem {
        causal: true,
        windows: vec![Some(6), Some(9)],
        lengths: vec![vec![35, 38]],
        keys: vec![40, 44],
        ..Problem::new(3, 30, 9, 0.3)
    };
    let case = Case::of(problem, &mut random);
    let (out, lse, _) = run(&case);
    let clean = Gradient::of(&case, &out, &lse, Level::best());
    let mut dirty = case.clone();
    let width = 9;
    for (axis, count) in [(0, 35), (1, 38)] {
        let (m, window) = (dirty.problem.keys[axis], [6, 9][axis]);
        // Beyond the length, and before the first query's window, nobody looks.
        for token in (count..m).chain(0..m - 30 + 1 - window) {
            for array in [&mut dirty.keys[axis], &mut dirty.values[axis]] {
                array[token * width..(token + 1) * width].fill(f32::NAN);
            }
        }
    }
    let (out_2, lse_2, _) = run(&dirty);
    assert_eq!(out_2, out);
    assert_eq!(lse_2, lse);
    let gradient = Gradient::of(&dirty, &out, &lse, Level::best());
    assert_eq!(gradient.q, clean.q);
    assert!(gradient.keys.iter().chain(&gradient.values).flatten().all(|x| x.is_finite()));
    // A token that the later queries see must leave the earlier ones as they were.
    let token = 40 - 30 + 20;
    dirty.keys[0][token * width] = f32::NAN;
    dirty.values[0][token * width] = f32::INFINITY;
    let (out_3, lse_3, _) = run(&dirty);
    assert_close(&out_3[..20 * width], &out[..20 * width], 1e-5, "rows before the token");
    assert_close(&lse_3[..20], &lse[..20], 1e-5, "rows before the token, lse");
    assert!(lse_3[20].is_nan(), "the token's own row has {}", lse_3[20]);
    let gradient = Gradient::of(&dirty, &out_3, &lse_3, Level::best());
    assert_close(&gradient.q[..20 * width], &clean.q[..20 * width], 1e-4, "gradients before the token");
}

#[test]
fn decoding_with_room_gives_what_all_tokens_at_once_give() {
    let mut random = Random(18);
    let (n, room, width) = (60, 64, 10);
    let windows = vec![None, Some(7)];
    let whole = Problem { causal: true, windows, room: vec![room; 2], ..Problem::new(3, n, width, 0.3) };
    let case = Case::of(whole, &mut random);
    let (out, lse, _) = run(&case);
    for token in [0, 1, 30, n - 1] {
        let mut step = case.clone();
        step.problem.queries = 1;
        step.problem.keys = vec![token + 1; 2];
        step.q = case.q[token * width..(token + 1) * width].to_vec();
        let (one, one_lse, _) = run(&step);
        assert_close(&one, &out[token * width..(token + 1) * width], 1e-5, "out");
        assert_close(&one_lse, &lse[token..token + 1], 1e-5, "lse");
    }
}

#[test]
fn match3_comes_out_as_a_half_for_one_match() {
    // Theorem 5.1 of arXiv 2507.02754: numbers x modulo M, a pair (j, k) matches i where x_i + x_j + x_k is 0 modulo M.
    let (modulus, c) = (37usize, 2000f32);
    let x: [usize; 8] = [3, 10, 24, 5, 1, 30, 18, 7];
    let angle = |x: usize| std::f32::consts::TAU * x as f32 / modulus as f32;
    let n = x.len();
    let (mut q, mut k1, mut k2) = (Vec::new(), Vec::new(), Vec::new());
    for x in x {
        let (s, t) = angle(x).sin_cos();
        q.extend([c * t, c * s, 0.0, -c * s, c * t, 0.0, c]);
        k1.extend([s, t, 0.0, -s, -t, 0.0, 0.0]);
        k2.extend([0.0, 0.0, t, 0.0, 0.0, -s, 0.0]);
    }
    for keys in [&mut k1, &mut k2] {
        keys.extend([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }
    let mut values = vec![1.0; n];
    values.push(0.0);
    let problem =
        Problem { keys: vec![n + 1; 2], value_width: 1, form: ScoreForm::Determinant, ..Problem::new(3, n, 7, 1.0) };
    let (mut out, mut lse) = (vec![0.0; n], vec![0.0; n]);
    let mut workspace = vec![0.0; forward_workspace(&problem).unwrap()];
    let (keys, values): (Vec<&[f32]>, Vec<&[f32]>) = (vec![&k1, &k2], vec![&values, &values]);
    let inputs = Inputs::new(&q, &keys, &values);
    forward(&problem, &inputs, &mut out, &mut lse, &mut workspace, Level::best()).unwrap();
    for (i, out) in out.iter().enumerate() {
        let pairs = (0..n).flat_map(|j| (0..n).map(move |k| (j, k)));
        let matches = pairs.filter(|(j, k)| (x[i] + x[*j] + x[*k]).is_multiple_of(modulus)).count() as f32;
        // Single-precision scores of 2,000 err by about 1e-4, and so do the weights.
        assert!((out - matches / (matches + 1.0)).abs() < 2e-3, "query {i}: {out} for {matches} matches");
    }
    assert!(out.iter().any(|out| *out > 0.25) && out.iter().any(|out| *out < 0.25));
}

#[test]
fn workspace_grows_with_the_tokens_not_with_their_square() {
    let of = |n: usize| {
        let problem = Problem::new(3, n, 64, 0.125);
        let (q, k) = (vec![0.0; n * 64], vec![0.0; n * 64]);
        let keys = [&k[..], &k[..]];
        let inputs = Inputs::new(&q, &keys, &keys);
        (forward_workspace(&problem).unwrap(), backward_workspace(&problem, &inputs).unwrap())
    };
    let (a, b, c) = (of(512), of(1024), of(2048));
    for [a, b, c] in [[a.0, b.0, c.0], [a.1, b.1, c.1]] {
        // Twice the tokens, twice the numbers at most; with the square it would be four times.
        assert!(b as f64 <= 2.1 * a as f64 && c as f64 <= 2.1 * b as f64, "{a}, {b}, {c}");
    }
}

#[test]
fn large_and_equal_scores_keep_their_precision() {
    let mut random = Random(16);
    for spread in [0.0, 12.0] {
        let mut case = Case::of(Problem::new(3, 37, 16, 1.0 / 16.0), &mut random);
        case.q.iter_mut().for_each(|x| *x *= spread);
        let numbers = case.with_inputs(|inputs| reference::Numbers::new(&case.problem, inputs).unwrap());
        let (out_64, lse_64) = reference::forward(&case.problem, &numbers);
        let (out, lse, _) = run(&case);
        let narrow = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<f32>>();
        assert_close(&out, &narrow(&out_64), 1e-5, "out");
        assert_close(&lse, &narrow(&lse_64), 1e-6, "lse");
    }
}

#[test]
fn the_definition_has_the_gradient_of_its_differences() {
    let mut random = Random(17);
    for _ in 0..40 {
        let case = loop {
            let case = Case::random(&mut random);
            if case.problem.queries * case.problem.keys.iter().product::<usize>() < 600 {
                break case;
            }
        };
        let problem = &case.problem;
        let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let (dout, dlse) = (wide(&case.dout), wide(&case.dlse));
        let mut numbers = case.with_inputs(|inputs| reference::Numbers::new(problem, inputs).unwrap());
        let gradients = reference::backward(problem, &numbers, &dout, &dlse);
        let loss = |numbers: &reference::Numbers| {
            let (out, lse) = reference::forward(problem, numbers);
            let of_lse = lse.iter().zip(&dlse).filter(|(lse, _)| lse.is_finite()).map(|(a, b)| a * b).sum::<f64>();
            out.iter().zip(&dout).map(|(a, b)| a * b).sum::<f64>() + of_lse
        };
        let axis = random.below(problem.keys.len());
        type Part = fn(&mut reference::Numbers, usize) -> &mut Vec<f64>;
        let parts: [(Part, &Vec<f64>); 3] = [
            (|numbers, _| &mut numbers.q, &gradients.q),
            (|numbers, axis| &mut numbers.keys[axis], &gradients.keys[axis]),
            (|numbers, axis| &mut numbers.values[axis], &gradients.values[axis]),
        ];
        for (part, gradient) in parts {
            let place = random.below(gradient.len());
            let kept = part(&mut numbers, axis)[place];
            let step = 1e-5;
            part(&mut numbers, axis)[place] = kept + step;
            let up = loss(&numbers);
            part(&mut numbers, axis)[place] = kept - step;
            let down = loss(&numbers);
            part(&mut numbers, axis)[place] = kept;
            let difference = (up - down) / (2.0 * step);
            let error = (difference - gradient[place]).abs() / (1.0 + gradient[place].abs());
            assert!(error < 1e-6, "{difference} by differences, {} by the gradient, in {problem:?}", gradient[place]);
        }
    }
}
