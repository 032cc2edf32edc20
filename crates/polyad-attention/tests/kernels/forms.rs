//! Forms that have a faster way of their own than linear channels, where that way is hard: long axes, sharp scores, NaN.

use crate::measure::Expected;
use crate::plain::Precision;
use crate::support::{Attended, Case, Gradient, Random};
use polyad_attention::{Problem, ScoreForm, Work};
use polyad_simd::Level;

fn run(case: &Case, level: Level) -> (Vec<f32>, Vec<f32>, Work) {
    let Attended { out, lse, work } = Attended::of(case, level);
    (out, lse, work)
}

/// Refuses what is further from the definition than the analysis allows.
fn check(case: &Case, level: Level, what: &str) {
    let attended = Attended::of(case, level);
    let gradient = Gradient::of(case, &attended.out, &attended.lse, level);
    Expected::of(case, Precision::of::<f32>()).check(case, &attended, &gradient, what);
}

/// Few, since the definition in double precision visits every tuple.
const QUERIES: usize = 11;

/// Axes longer than what is streamed at once, and no multiple of anything.
fn long(form: ScoreForm, causal: bool, deviation: f32, random: &mut Random) -> Case {
    let width = 6;
    let pairs = if form == ScoreForm::Strassen { 3f32 } else { 2.0 };
    let scale = deviation / (pairs * width as f32).sqrt();
    let keys = vec![301, 259];
    let mut case =
        Case::of(Problem { form, causal, keys, value_width: 5, ..Problem::new(3, QUERIES, width, scale) }, random);
    case.hidden = vec![Some((0..301).map(|_| random.chance(9)).collect()), None];
    case.biases.push(((0, 1), random.normals(QUERIES * 301)));
    case.biases.push(((1, 2), random.normals(301 * 259)));
    case
}

#[test]
fn long_axes_and_sharp_scores_agree_with_the_definition() {
    let mut random = Random(31);
    for form in [ScoreForm::Strassen, ScoreForm::Tree] {
        for (causal, deviation) in [(true, 1.0), (false, 12.0), (true, 45.0)] {
            let case = long(form, causal, deviation, &mut random);
            let level = Level::best();
            check(&case, level, &format!("{} {causal} {deviation}", form.name()));
        }
    }
}

#[test]
fn strassen_takes_rows_one_by_one_where_its_factors_would_lose_them() {
    let mut random = Random(32);
    let flat = run(&long(ScoreForm::Strassen, false, 1.0, &mut random), Level::best()).2;
    let sharp = run(&long(ScoreForm::Strassen, false, 60.0, &mut random), Level::best()).2;
    assert!(sharp.scores > flat.scores, "{} scores where they are flat, {} where sharp", flat.scores, sharp.scores);
}

#[test]
fn a_tree_costs_pairs_of_tokens() {
    let mut random = Random(33);
    let case = long(ScoreForm::Tree, false, 1.0, &mut random);
    let scores = run(&case, Level::best()).2.scores;
    // Whole vectors, and parts of few tokens, take some more; tuples are ten times as many.
    let pairs = (QUERIES * 301 + 301 * 259) as u64;
    assert!(scores < 2 * pairs, "{scores} scores for {pairs} pairs");
}

#[test]
fn what_is_not_finite_stays_with_those_who_see_it_in_every_form() {
    let mut random = Random(34);
    for form in ScoreForm::ALL {
        for causal in [false, true] {
            let problem = Problem {
                causal,
                lengths: vec![vec![30, 33]],
                keys: vec![40, 44],
                form,
                ..Problem::new(3, 30, 9, 0.3)
            };
            let case = Case::of(problem, &mut random);
            let what = format!("{} {causal}", form.name());
            let (out, lse, _) = run(&case, Level::best());
            let clean = Gradient::of(&case, &out, &lse, Level::best());
            let mut dirty = case.clone();
            for (axis, length) in [(0, 30), (1, 33)] {
                dirty.keys[axis][length * 9..].fill(f32::NAN);
                dirty.values[axis][length * 9..].fill(f32::INFINITY);
            }
            let (out_2, lse_2, _) = run(&dirty, Level::best());
            assert_eq!((&out_2, &lse_2), (&out, &lse), "{what}: beyond the length");
            let gradient = Gradient::of(&dirty, &out, &lse, Level::best());
            assert_eq!(gradient.q, clean.q, "{what}: gradients beyond the length");
            assert!(gradient.keys.iter().chain(&gradient.values).flatten().all(|x| x.is_finite()), "{what}");
            // A query that is not a number spoils its own row.
            let mut dirty = case.clone();
            dirty.q[9 * 7 + 2] = f32::NAN;
            let (out_3, lse_3, _) = run(&dirty, Level::best());
            assert!(lse_3[7].is_nan() && out_3[9 * 7].is_nan(), "{what}: row 7 is {}, {}", lse_3[7], out_3[9 * 7]);
            for row in (0..30).filter(|row| *row != 7) {
                let close = |a: f32, b: f32| (a - b).abs() < 1e-5 * (1.0 + b.abs());
                assert!(close(lse_3[row], lse[row]), "{what}: lse of row {row}");
                let pairs = out_3[row * 9..][..9].iter().zip(&out[row * 9..]);
                pairs.for_each(|(a, b)| assert!(close(*a, *b), "{what}: row {row}"));
            }
        }
    }
}
