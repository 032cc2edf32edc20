//! The weights of chosen rows and every row's marginals, against the definition: a bias moves the scores of its pairs, so
//! the gradient of lse for a bias of zeros is the sum of the weights of all tuples with a pair.

use crate::measure::{Array, Expected};
use crate::plain::{Precision, UNIT};
use crate::support::{Attended, Case, Random, room, tokens};
use polyad_attention::{look_workspace, marginals, weights};
use polyad_simd::Level;

/// A random case without dropout, which weights do not show.
fn random_case(random: &mut Random) -> Case {
    let mut case = Case::random(random);
    case.problem.dropout = None;
    case
}

/// The case with a bias of zeros, of each head, whose gradient of lse is looked at. It must have none of this pair.
fn with_zeros(case: &Case, axes: (usize, usize)) -> Case {
    let mut case = case.clone();
    case.dout.fill(0.0);
    case.dlse.fill(1.0);
    let heads = case.problem.batch * case.problem.heads;
    let numbers = heads * tokens(&case.problem, axes.0) * tokens(&case.problem, axes.1);
    case.biases.push((axes, vec![0.0; numbers]));
    case
}

/// Results as near as the plain version's.
fn check(case: &Case, found: &[f32], range: std::ops::Range<usize>, name: &str) {
    let Expected { plain, gradients, .. } = Expected::of(case, Precision::of::<f32>());
    let (plain, exact) = (plain.biases.last().unwrap(), gradients.biases.last().unwrap());
    let name = name.to_owned();
    let array = Array { name, width: found.len(), found, plain: &plain[range.clone()], exact: &exact[range] };
    assert_eq!(array.complaint(), None, "{:?}", case.problem);
}

/// The weights of rows and all marginals, as they are found.
fn look(case: &Case, rows: &[usize]) -> (Vec<f32>, Vec<Vec<f32>>) {
    let problem = &case.problem;
    let lse = Attended::of(case, Level::best()).lse;
    let mut dense = vec![f32::NAN; rows.len() * problem.keys.iter().product::<usize>()];
    let mut sums: Vec<Vec<f32>> = problem.keys.iter().map(|m| vec![f32::NAN; problem.rows() * m]).collect();
    case.with_inputs(|inputs| {
        let mut workspace = vec![f32::NAN; look_workspace(problem).unwrap()];
        weights(problem, inputs, &lse, rows, &mut dense, &mut workspace, Level::best()).unwrap();
        let mut to: Vec<&mut [f32]> = sums.iter_mut().map(Vec::as_mut_slice).collect();
        marginals(problem, inputs, &lse, &mut to, &mut workspace, Level::best()).unwrap();
    });
    (dense, sums)
}

#[test]
fn marginals_are_those_of_the_definition() {
    let mut random = Random(81);
    for index in 0..60 {
        let mut case = random_case(&mut random);
        let axis = index % case.problem.keys.len();
        case.biases.retain(|(axes, _)| *axes != (0, axis + 1));
        let found = look(&case, &[]).1.swap_remove(axis);
        check(&with_zeros(&case, (0, axis + 1)), &found, 0..found.len(), "marginal");
    }
}

#[test]
fn weights_of_chosen_rows_are_those_of_the_definition() {
    let mut random = Random(82);
    let mut counts = [0, 0];
    while counts[0] < 20 || counts[1] < 30 {
        // With one axis the bias of query and key, with two that of both keys, holds a row's weights by themselves.
        let mut case = random_case(&mut random);
        let axes = case.problem.keys.len();
        if axes > 2 {
            continue;
        }
        counts[axes - 1] += 1;
        let pair = (axes - 1, axes);
        case.biases.retain(|(other, _)| *other != pair);
        let problem = &case.problem;
        let tuples: usize = problem.keys.iter().product();
        let rows = [random.below(problem.rows()), random.below(problem.rows())];
        for (row, found) in rows.into_iter().zip(look(&case, &rows).0.chunks(tuples)) {
            let mut with = with_zeros(&case, pair);
            // The gradient of this row's lse alone.
            with.dlse.fill(0.0);
            with.dlse[row] = 1.0;
            let first = if axes == 1 { row } else { row / problem.queries };
            check(&with, found, first * tuples..(first + 1) * tuples, "weights");
        }
    }
}

#[test]
fn weights_make_the_output_and_the_marginals_at_every_order() {
    let mut random = Random(3);
    for _ in 0..60 {
        let case = random_case(&mut random);
        let problem = &case.problem;
        let row = random.below(problem.rows());
        let (dense, marginals) = look(&case, &[row]);
        let head = row / problem.queries;
        let key_head =
            head / problem.heads * problem.key_heads + head % problem.heads / (problem.heads / problem.key_heads);
        // The output by the weights, and each marginal by their sums.
        let mut out = vec![0.0; problem.value_width];
        let mut sums: Vec<Vec<f64>> = problem.keys.iter().map(|m| vec![0.0; *m]).collect();
        for (tuple, weight) in dense.iter().enumerate() {
            let mut rest = tuple;
            let mut product = vec![f64::from(*weight); problem.value_width];
            for axis in (0..problem.keys.len()).rev() {
                let token = rest % problem.keys[axis];
                rest /= problem.keys[axis];
                sums[axis][token] += f64::from(*weight);
                let value = (key_head * room(problem, axis) + token) * problem.value_width;
                product.iter_mut().zip(&case.values[axis][value..]).for_each(|(p, v)| *p *= f64::from(*v));
            }
            out.iter_mut().zip(product).for_each(|(sum, p)| *sum += p);
        }
        let range = row * problem.value_width..(row + 1) * problem.value_width;
        let expected = Expected::of(&case, Precision::of::<f32>());
        let found: Vec<f32> = out.iter().map(|x| *x as f32).collect();
        let (plain, exact) = (&expected.plain.out[range.clone()], &expected.out[range]);
        let array = Array { name: "out by weights".to_owned(), width: found.len(), found: &found, plain, exact };
        assert_eq!(array.complaint(), None, "{problem:?}");
        for (axis, m) in problem.keys.iter().enumerate() {
            // Sums of as many weights as there are tuples with a token, in single precision, of 1 altogether.
            let close = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() <= dense.len() as f64 * UNIT;
            assert!(marginals[axis][row * m..].iter().zip(&sums[axis]).all(close), "marginal of {axis} in {problem:?}");
        }
    }
}
