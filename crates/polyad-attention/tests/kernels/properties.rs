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
    let problem = |n: usize, heads: usize, order: usize| Problem {
        heads,
        key_heads: heads,
        causal: true,
        ..Problem::new(order, n, 19, 0.2)
    };
    let mut cases: Vec<Case> = [(70, 1, 3), (33, 3, 3), (12, 1, 4), (300, 2, 2)]
        .into_iter()
        .map(|(n, heads, order)| Case::of(problem(n, heads, order), &mut random))
        .collect();
    cases.push(Case::of(Problem { keys: vec![90, 70], ..problem(1, 1, 3) }, &mut random));
    cases.extend(ScoreForm::ALL.map(|form| Case::of(Problem { form, ..problem(50, 2, 3) }, &mut random)));
    cases.extend((0..12).map(|_| Case::random(&mut random)));
    for case in &cases {
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (out, lse, _) = run(case);
                let gradient = Gradient::of(case, &out, &lse, Level::best());
                let all = [out, lse, gradient.q].into_iter().chain(gradient.keys).chain(gradient.values);
                let all = all.chain(gradient.biases).chain(gradient.sink);
                all.flatten().map(f32::to_bits).collect::<Vec<u32>>()
            })
        };
        let one = bits(1);
        for threads in [2, 3, 7] {
            assert!(bits(threads) == one, "{threads} threads differ from one in {:?}", case.problem);
        }
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
    let mut case = Case::of(problem, &mut random);
    let padding = [[13, 17], [11, 30]];
    case.hidden =
        [40, 44].into_iter().zip(padding).map(|(m, at)| Some((0..m).map(|j| at.contains(&j)).collect())).collect();
    let (out, lse, _) = run(&case);
    let clean = Gradient::of(&case, &out, &lse, Level::best());
    let mut dirty = case.clone();
    let width = 9;
    for (axis, count) in [(0, 35), (1, 38)] {
        let (m, window) = (dirty.problem.keys[axis], [6, 9][axis]);
        // Beyond the length, before the first query's window, and where there is padding, nobody looks.
        for token in (count..m).chain(0..m - 30 + 1 - window).chain(padding[axis]) {
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
fn match3_comes_out_as_the_share_of_its_matches() {
    // Theorem 5.1 of arXiv 2507.02754: numbers x modulo M, a pair (j, k) matches i where x_i + x_j + x_k is 0 modulo M.
    let (modulus, c) = (37usize, 2000f32);
    // Sums of 36 and 38 are near misses, which the scores must tell from 37 and 74; queries with 0 to several matches.
    let x: [usize; 9] = [13, 27, 1, 33, 14, 28, 31, 35, 14];
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
    let exact = reference::forward(&problem, &reference::Numbers::new(&problem, &inputs).unwrap()).0;
    let mut counts = Vec::new();
    for (i, out) in out.iter().enumerate() {
        let pairs = (0..n).flat_map(|j| (0..n).map(move |k| (j, k)));
        let matches = pairs.filter(|(j, k)| (x[i] + x[*j] + x[*k]).is_multiple_of(modulus)).count();
        let expected = matches as f32 / (matches as f32 + 1.0);
        // The kernels' scores of 2,000 are sums of six numbers of that size, each off by 2^-14 at most and so, for the
        // arguments, are sines and cosines rounded to single precision: a weight by about 6 · 2 · 2^-14.
        assert!((out - expected).abs() < 1e-3, "query {i}: {out} for {matches} matches");
        // The definition has those of the arguments alone.
        assert!((exact[i] as f32 - expected).abs() < 1e-3, "query {i}: {} for {matches} matches", exact[i]);
        counts.push(matches);
    }
    // Thresholds at a quarter tell some match from none.
    assert!(counts.contains(&0) && counts.contains(&1) && counts.iter().any(|matches| *matches > 2), "{counts:?}");
    assert!(out.iter().zip(&counts).all(|(out, matches)| (*out > 0.25) == (*matches > 0)));
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
