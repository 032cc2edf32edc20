//! Random features: estimates that come nearer to the definition as features grow, and say that nothing is certified.

use crate::certificates::Approximated;
use crate::support::{Attended, Case, Random};
use polyad_attention::polynomial::{Method, Options, SKETCH, Tolerance, sampled_error};
use polyad_attention::{Problem, ScoreForm, reference};
use polyad_simd::Level;

fn options(features: usize, seed: u64) -> Options {
    Options { method: Method::Sketch, degree: 4, features, seed, ..Options::default() }
}

/// A problem whose scores are about `size`.
fn case(problem: Problem, size: f32, seed: u64) -> Case {
    let channels = problem.form.channels(problem.order(), problem.width).count() as f32;
    Case::of(Problem { scale: size / channels.sqrt(), ..problem }, &mut Random(seed))
}

/// The root of the mean square difference of out from the definition, and the greatest of lse.
fn errors(case: &Case, found: &Approximated) -> (f64, f64) {
    let problem = &case.problem;
    let (out, lse) = case.with_inputs(|inputs| {
        reference::forward(problem, &reference::Numbers::new(problem, inputs).expect("it is right"))
    });
    let squares = out.iter().zip(&found.out).map(|(a, b)| (a - f64::from(*b)).powi(2));
    let seen = lse.iter().zip(&found.lse).filter(|(lse, _)| lse.is_finite());
    ((squares.sum::<f64>() / out.len() as f64).sqrt(), seen.map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max))
}

fn grouped(order: usize, tokens: usize, width: usize, form: ScoreForm) -> Problem {
    let keys = (1..order).map(|axis| tokens + axis).collect();
    let (heads, key_heads, value_width) = (4, 2, 5);
    Problem { batch: 2, heads, key_heads, keys, value_width, form, ..Problem::new(order, tokens, width, 1.0) }
}

/// With lengths and hidden keys.
fn masked(mut case: Case) -> Case {
    let keys = case.problem.keys.clone();
    case.problem.lengths = vec![keys.iter().map(|m| m - 2).collect(), keys.clone()];
    let hidden = |m: &usize| Some((0..2 * m).map(|j| j % 7 == 3).collect());
    case.hidden = keys.iter().map(hidden).collect();
    case
}

#[test]
fn estimates_come_nearer_to_the_definition_as_features_grow() {
    for (order, tokens, width, form) in [
        (2, 40, 24, ScoreForm::Linear),
        (3, 14, 5, ScoreForm::Linear),
        (3, 14, 3, ScoreForm::Determinant),
        (3, 14, 2, ScoreForm::Strassen),
        (4, 7, 2, ScoreForm::Linear),
        (4, 7, 1, ScoreForm::Tree),
    ] {
        let case = masked(case(grouped(order, tokens, width, form), 0.1, 1));
        let at = |features: usize| errors(&case, &Approximated::of(&case, &options(features, 7), Level::best()));
        let found = [64, 1024, 16384].map(at);
        println!("order {order}, {}: errors of out and lse {found:?}", form.name());
        let [(few, _), (_, _), (many, lse)] = found;
        assert!(many < few / 5.0 && many < 2e-3 && lse < 0.03, "order {order}, {}: {found:?}", form.name());
    }
}

#[test]
fn degree_one_is_exact_and_needs_no_features() {
    let mut case = case(grouped(3, 15, 6, ScoreForm::Linear), 0.2, 2);
    // Every other key is the negative of the one before: both ways then have polynomials around 0.
    for pair in case.keys[0].chunks_exact_mut(2 * 6) {
        let (key, other) = pair.split_at_mut(6);
        other.iter_mut().zip(key).for_each(|(other, x)| *other = -*x);
    }
    let one = |method, features, seed| {
        let tolerance = Tolerance::Absolute(1e9);
        let options = Options { method, degree: 1, tolerance, ..options(features, seed) };
        Approximated::of(&case, &options, Level::best())
    };
    let found = one(Method::Sketch, 1, 0);
    assert_eq!(found.out, one(Method::Sketch, 100, 5).out);
    let polynomial = one(Method::Polynomial, 1, 0);
    let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert_eq!(polynomial.summary.exact, 0);
    assert!(far(&found.out, &polynomial.out) < 1e-5, "{}", far(&found.out, &polynomial.out));
    assert!(far(&found.lse, &polynomial.lse) < 1e-5, "{}", far(&found.lse, &polynomial.lse));
}

/// Bits, since certificates are NaN.
fn bits(found: &Approximated) -> Vec<u32> {
    found.out.iter().chain(&found.lse).map(|x| x.to_bits()).collect()
}

#[test]
fn a_seed_gives_the_same_bits_on_any_number_of_threads_and_another_seed_others() {
    for (order, tokens) in [(2, 300), (3, 140)] {
        let case = case(Problem { value_width: 17, ..grouped(order, tokens, 5, ScoreForm::Linear) }, 0.2, 3);
        let one = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            bits(&pool.install(|| Approximated::of(&case, &options(200, seed), Level::best())))
        };
        let found = one(1, 7);
        assert_eq!(found, one(3, 7));
        assert_ne!(found, one(3, 8));
    }
}

#[test]
fn nothing_is_certified_and_rows_that_see_nothing_are_0() {
    let mut case = case(grouped(3, 9, 4, ScoreForm::Linear), 0.2, 4);
    case.problem.lengths = vec![vec![5, 0], vec![3, 4]];
    let found = Approximated::of(&case, &options(64, 0), Level::best());
    let (blind, seen) = (0..36, 36..72);
    assert!(found.out[..36 * 5].iter().all(|x| *x == 0.0));
    assert!(blind.clone().all(|row| found.lse[row] == f32::NEG_INFINITY && found.certificate[row] == 0.0));
    assert!(blind.clone().all(|row| found.lse_certificate[row] == 0.0));
    assert!(seen.clone().all(|row| found.certificate[row].is_nan() && found.lse_certificate[row].is_nan()));
    assert!(seen.clone().all(|row| found.lse[row].is_finite()));
    assert!(found.out.iter().all(|x| x.is_finite()));
    assert!(found.method.iter().all(|method| *method == SKETCH));
    let summary = found.summary;
    assert_eq!((summary.sketch, summary.exact, summary.polynomial, summary.degree), (36, 0, 0, 4));
}

#[test]
fn estimates_stay_among_the_values_whatever_the_scores() {
    for size in [1.0, 10.0, 1e4, 1e30] {
        let case = case(grouped(3, 9, 4, ScoreForm::Linear), size, 5);
        let found = Approximated::of(&case, &options(64, 0), Level::best());
        let most = |x: &[f32]| x.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let most = most(&case.values[0]) * most(&case.values[1]);
        // Powers that overflow show as NaN.
        assert!(found.out.iter().all(|x| x.abs() <= most || (size > 1e4 && x.is_nan())), "scores of {size}");
    }
    let mut case = case(grouped(2, 9, 4, ScoreForm::Linear), 0.2, 6);
    case.keys[0][1] = f32::NAN;
    let found = Approximated::of(&case, &options(64, 0), Level::best());
    assert!(found.out[..5].iter().all(|x| x.is_nan()) && found.out[10 * 5 * 4..].iter().all(|x| x.is_finite()));
}

#[test]
fn what_random_features_cannot_do_is_refused() {
    let refused = |change: fn(&mut Case), options: Options, says: &str| {
        let mut case = case(Problem::new(3, 6, 4, 1.0), 0.3, 5);
        change(&mut case);
        let why = Approximated::try_of(&case, &options, Level::best()).expect_err(says);
        assert!(why.to_string().contains(says), "{why}");
    };
    refused(|case| case.problem.causal = true, options(64, 0), "random features do not do causality and windows");
    refused(|case| case.problem.windows = vec![Some(2), None], options(64, 0), "causality and windows");
    refused(|case| case.problem.softcap = Some(3.0), options(64, 0), "softcap");
    refused(|case| case.biases.push(((0, 1), vec![0.5; 36])), options(64, 0), "biases");
    refused(|case| case.sink = Some(vec![0.0]), options(64, 0), "sink");
    refused(|_| (), options(0, 0), "0 random features");
    refused(|_| (), options(1 << 30, 0), "random features");
}

#[test]
fn a_sampled_error_is_that_of_its_rows() {
    let case = masked(case(grouped(3, 9, 4, ScoreForm::Linear), 0.2, 6));
    let problem = case.problem.clone().tokens_outside();
    let case = Case { problem, ..case };
    let exact = Attended::of(&case, Level::best()).out;
    let error = |out: &[f32], rows: usize, seed: u64| {
        case.with_inputs(|inputs| sampled_error(&case.problem, inputs, out, rows, seed, Level::best()))
    };
    assert!(error(&exact, 1000, 0).unwrap() < 1e-5);
    let mut far = exact.clone();
    far[7] += 0.5;
    assert!((error(&far, 72, 0).unwrap() - 0.5).abs() < 1e-5);
    let hits = (0..60).filter(|seed| error(&far, 24, *seed).unwrap() > 0.4).count();
    assert!((8..34).contains(&hits), "a third of the rows found the wrong one {hits} times of 60");
    far[7] = f32::NAN;
    assert!(error(&far, 72, 0).unwrap().is_nan());
    assert!(error(&far[1..], 72, 0).is_err() && error(&far, 0, 0).is_err());
    let found = Approximated::of(&case, &options(256, 0), Level::best());
    let worst = exact.iter().zip(&found.out).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    assert!((error(&found.out, 72, 0).unwrap() - worst).abs() < 1e-5);
}
