//! Random problems of every kind against the definition in double precision, in every type and on every level.

use crate::measure::Expected;
use crate::plain::{Precision, greatest_score};
use crate::support::{Attended, Case, Gradient, Random, room};
use half::{bf16, f16};
use polyad_attention::{Element, Problem, ScoreForm, look_workspace, weights};
use polyad_simd::Level;

/// Every level that there is; those that this processor lacks are named.
fn levels() -> Vec<Level> {
    let present = |level: &Level| {
        if !level.is_present() {
            eprintln!("not run: this processor has no {level}");
        }
        level.is_present()
    };
    Level::ALL.into_iter().filter(present).collect()
}

/// Results of a case in a type, on every level: as near as the plain version's, and in single precision within 1e-5 of
/// each row's greatest, in the arrays that are so ordinary.
fn check<E: Element>(case: &Case, ordinary: &[&str], what: &str) {
    let precision = Precision::of::<E>();
    let expected = Expected::of(case, precision);
    for level in levels() {
        let attended = Attended::of_type::<E>(case, level);
        let gradient = Gradient::of_type::<E>(case, &attended.out, &attended.lse, level);
        let arrays = expected.check(case, &attended, &gradient, &format!("{what} on {level}"));
        let ordinary = |name: &str| ordinary.iter().any(|start| name.starts_with(start));
        for array in arrays.iter().filter(|array| precision.is_single() && ordinary(&array.name)) {
            let (relative, name) = (array.relative(), &array.name);
            let problem = &case.problem;
            assert!(
                relative <= 1e-5,
                "{name} is off by {relative:.1e} of its row's greatest: {what} on {level}, {problem:?}"
            );
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
fn scores_of_eighty_and_equal_scores_keep_their_precision() {
    let mut random = Random(16);
    for order in [2, 3] {
        for form in
            ScoreForm::ALL.into_iter().filter(|form| order == 3 || matches!(form, ScoreForm::Linear | ScoreForm::Tree))
        {
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
fn weights_and_marginals_are_those_that_make_the_output() {
    let mut random = Random(3);
    for index in 0..60 {
        let mut case = Case::random(&mut random);
        case.problem.dropout = None;
        let problem = &case.problem;
        let Attended { out, lse, .. } = Attended::of(&case, Level::best());
        let mut marginals: Vec<Vec<f32>> = problem.keys.iter().map(|m| vec![f32::NAN; problem.rows() * m]).collect();
        let mut dense = vec![f32::NAN; problem.keys.iter().product()];
        let row = random.below(problem.rows());
        let level = Level::best();
        case.with_inputs(|inputs| {
            let mut workspace = vec![f32::NAN; look_workspace(problem).unwrap()];
            weights(problem, inputs, &lse, &[row], &mut dense, &mut workspace, level).unwrap();
            let mut to: Vec<&mut [f32]> = marginals.iter_mut().map(Vec::as_mut_slice).collect();
            polyad_attention::marginals(problem, inputs, &lse, &mut to, &mut workspace, level).unwrap();
        });
        let head = row / problem.queries;
        let key_head =
            head / problem.heads * problem.key_heads + head % problem.heads / (problem.heads / problem.key_heads);
        // The output by the weights, and each marginal by their sums.
        let mut expected = vec![0.0; problem.value_width];
        let mut sums: Vec<Vec<f32>> = problem.keys.iter().map(|m| vec![0.0; *m]).collect();
        for (tuple, weight) in dense.iter().enumerate() {
            let mut rest = tuple;
            let mut product = vec![*weight; problem.value_width];
            for axis in (0..problem.keys.len()).rev() {
                let token = rest % problem.keys[axis];
                rest /= problem.keys[axis];
                sums[axis][token] += weight;
                let value = (key_head * room(problem, axis) + token) * problem.value_width;
                product.iter_mut().zip(&case.values[axis][value..]).for_each(|(p, v)| *p *= v);
            }
            expected.iter_mut().zip(product).for_each(|(e, p)| *e += p);
        }
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs()));
        let range = row * problem.value_width..(row + 1) * problem.value_width;
        assert!(close(&out[range], &expected), "case {index}: output in {problem:?}");
        for (axis, m) in problem.keys.iter().enumerate() {
            assert!(close(&marginals[axis][row * m..(row + 1) * m], &sums[axis]), "case {index}: marginal of {axis}");
        }
    }
}
