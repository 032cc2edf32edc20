//! Random problems of every kind against the definition in double precision, in every type and on every level.

use crate::measure::{Expected, error};
use crate::plain::{Precision, UNIT, greatest_score};
use crate::support::{Attended, Case, Gradient, Random, levels};
use half::{bf16, f16};
use polyad_attention::{Element, Problem, ScoreForm};
use polyad_simd::Level;

/// Results of a case in a type, on every level: as near as the plain version's, and in single precision within 1e-5 of
/// each row's greatest, in the arrays that are so ordinary.
fn check<E: Element>(case: &Case, ordinary: &[&str], what: &str) {
    for operands in [false, true] {
        let levels = levels().into_iter().filter(|level| Precision::on::<E>(*level).operands == operands);
        let levels: Vec<Level> = levels.collect();
        let Some(precision) = levels.first().map(|level| Precision::on::<E>(*level)) else { continue };
        let expected = Expected::of(case, precision);
        for level in levels {
            let attended = Attended::of_type::<E>(case, level);
            let gradient = Gradient::of_type::<E>(case, &attended.out, &attended.lse, level);
            let what = format!("{what} on {level}");
            for array in expected.check(case, &attended, &gradient, &what) {
                let (relative, name) = (array.relative(), &array.name);
                let ordinary = precision.is_single() && ordinary.iter().any(|start| name.starts_with(start));
                assert!(
                    relative <= 1e-5 || !ordinary,
                    "{name} is off by {relative:.1e} of its row's greatest: {what}, {:?}",
                    case.problem
                );
            }
        }
    }
}

fn check_random<E: Element>(seed: u64, count: usize) {
    let mut random = Random(seed);
    for index in 0..count {
        check::<E>(&Case::random(&mut random).rounded::<E>(), &["out", "lse", "d"], &format!("case {index}"));
    }
}

#[test]
fn single_precision_agrees_with_the_definition() {
    check_random::<f32>(1, 200);
}

#[test]
fn half_precision_agrees_with_the_definition() {
    check_random::<f16>(2, 100);
}

#[test]
fn bfloat16_agrees_with_the_definition() {
    check_random::<bf16>(3, 100);
}

#[test]
fn the_widest_heads_agree_with_the_definition() {
    let mut random = Random(5);
    for (width, value_width) in [(256, 256), (255, 1), (1, 255), (129, 64), (100, 200)] {
        for (order, keys) in [(2, vec![19]), (3, vec![4, 6]), (4, vec![2, 3, 2])] {
            for form in ScoreForm::ALL.into_iter().filter(|form| fits(*form, order)) {
                let scale = (width as f32).powf(-0.5);
                let keys = keys.clone();
                let problem = Problem { keys, value_width, form, causal: true, ..Problem::new(order, 5, width, scale) };
                let case = Case::of(problem, &mut random);
                check::<f32>(&case, &["out", "lse", "d"], "wide");
                check::<f16>(&case.clone().rounded::<f16>(), &[], "wide");
                check::<bf16>(&case.rounded::<bf16>(), &[], "wide");
            }
        }
    }
}

/// Whether there is a form at an order.
fn fits(form: ScoreForm, order: usize) -> bool {
    order == 3 || matches!(form, ScoreForm::Linear | ScoreForm::Tree)
}

#[test]
fn scores_of_eighty_and_equal_scores_keep_their_precision() {
    let mut random = Random(16);
    for order in [2, 3] {
        for form in ScoreForm::ALL.into_iter().filter(|form| fits(*form, order)) {
            for (most, causal) in [(80.0, false), (80.0, true), (0.0, false)] {
                let problem = Problem { form, causal, ..Problem::new(order, 37, 6, 1.0) };
                let mut case = Case::of(problem, &mut random);
                case.problem.scale = most / greatest_score(&case);
                // A gradient of a weight has two scores of this size in it, so only the floor holds for it.
                check::<f32>(&case, &["out", "lse"], &format!("scores up to {most}"));
            }
        }
    }
}

#[test]
fn the_plain_version_errs_by_its_floor_times_the_length_of_its_sums() {
    // What the tolerance rests on: in every precision, operands rounded to bfloat16 or not, the plain version is as near to
    // the definition as the analysis says, roundings of its sums included. Those are of sums in single precision.
    let mut random = Random(4);
    for _ in 0..60 {
        let case = Case::random(&mut random).rounded::<bf16>();
        let attended = Attended::of(&case, Level::Portable);
        let gradient = Gradient::of(&case, &attended.out, &attended.lse, Level::Portable);
        let terms = case.problem.queries.max(case.problem.keys.iter().product()) as f64;
        for operands in [false, true] {
            let precision = Precision { operands, ..Precision::of::<bf16>() };
            let expected = Expected::of(&case, precision);
            for array in expected.arrays(&case, &attended, &gradient) {
                for (plain, exact) in array.plain.iter().zip(array.exact) {
                    let error = error(plain.value, *exact);
                    let sums = terms * UNIT * plain.mass;
                    assert!(error <= plain.floor + sums, "{}: {error} {plain:?} in {:?}", array.name, case.problem);
                }
            }
        }
    }
}
