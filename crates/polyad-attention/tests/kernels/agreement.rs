//! Random problems of every kind against the definition.

use crate::support::{Case, Gradient, Random};
use polyad_attention::{forward, forward_workspace, look_workspace, reference, weights};
use polyad_simd::Level;

fn levels() -> Vec<Level> {
    Level::ALL
        .into_iter()
        .filter(|level| {
            if !level.is_present() {
                eprintln!("not run: this processor has no {level}");
            }
            level.is_present()
        })
        .collect()
}

/// The greatest difference, relative to the row's greatest value (1 at least), or infinity where only one is finite.
fn worst(found: &[f32], expected: &[f64], width: usize) -> f64 {
    assert_eq!(found.len(), expected.len());
    let rows = found.chunks(width).zip(expected.chunks(width));
    rows.map(|(found, expected)| {
        let most = expected.iter().filter(|x| x.is_finite()).fold(1f64, |m, x| m.max(x.abs()));
        let difference =
            |(a, b): (&f32, &f64)| if f64::from(*a) == *b { 0.0 } else { (f64::from(*a) - b).abs() / most };
        found
            .iter()
            .zip(expected)
            .map(difference)
            .map(|x| if x.is_nan() { f64::INFINITY } else { x })
            .fold(0.0, f64::max)
    })
    .fold(0.0, f64::max)
}

#[test]
fn forward_agrees_with_the_definition() {
    let mut random = Random(1);
    for index in 0..150 {
        let case = Case::random(&mut random);
        let problem = &case.problem;
        let (out_64, lse_64) =
            case.with_inputs(|inputs| reference::forward(problem, &reference::Numbers::new(problem, inputs).unwrap()));
        for level in levels() {
            let (mut out, mut lse) = (vec![f32::NAN; problem.out_numbers()], vec![f32::NAN; problem.rows()]);
            let mut workspace = vec![f32::NAN; forward_workspace(problem).unwrap()];
            case.with_inputs(|inputs| forward(problem, inputs, &mut out, &mut lse, &mut workspace, level)).unwrap();
            let errors = (worst(&out, &out_64, problem.value_width), worst(&lse, &lse_64, 1));
            assert!(errors.0 < 1e-5 && errors.1 < 1e-5, "case {index} on {level}: {errors:?} in {problem:?}");
        }
    }
}

#[test]
fn backward_agrees_with_the_definition() {
    let mut random = Random(2);
    for index in 0..150 {
        let case = Case::random(&mut random);
        let problem = &case.problem;
        let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let numbers = case.with_inputs(|inputs| reference::Numbers::new(problem, inputs).unwrap());
        let expected = reference::backward(problem, &numbers, &wide(&case.dout), &wide(&case.dlse));
        for level in levels() {
            let (mut out, mut lse) = (vec![f32::NAN; problem.out_numbers()], vec![f32::NAN; problem.rows()]);
            case.with_inputs(|inputs| {
                let mut workspace = vec![f32::NAN; forward_workspace(problem).unwrap()];
                forward(problem, inputs, &mut out, &mut lse, &mut workspace, level).unwrap();
            });
            let found = Gradient::of(&case, &out, &lse, level);
            let check = |name: &str, found: &[f32], expected: &[f64], width: usize| {
                let error = worst(found, expected, width);
                assert!(error < 2e-5, "case {index} on {level}: {name} {error} in {problem:?}");
            };
            check("dq", &found.q, &expected.q, problem.width);
            for axis in 0..problem.keys.len() {
                check(&format!("dk{}", axis + 1), &found.keys[axis], &expected.keys[axis], problem.width);
                check(&format!("dv{}", axis + 1), &found.values[axis], &expected.values[axis], problem.value_width);
            }
            for (found, expected) in found.biases.iter().zip(&expected.biases) {
                check("dbias", found, expected, expected.len());
            }
            if let Some(sink) = &found.sink {
                check("dsink", sink, &expected.sink, 1);
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
        let (mut out, mut lse) = (vec![0.0; problem.out_numbers()], vec![0.0; problem.rows()]);
        let mut marginals: Vec<Vec<f32>> = problem.keys.iter().map(|m| vec![f32::NAN; problem.rows() * m]).collect();
        let mut dense = vec![f32::NAN; problem.keys.iter().product()];
        let row = random.below(problem.rows());
        let level = Level::best();
        case.with_inputs(|inputs| {
            let mut workspace = vec![0.0; forward_workspace(problem).unwrap()];
            forward(problem, inputs, &mut out, &mut lse, &mut workspace, level).unwrap();
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
                let value = (key_head * problem.keys[axis] + token) * problem.value_width;
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
