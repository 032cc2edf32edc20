//! The definition has the gradient of its differences: for every form, order, mask and option, along a random direction of
//! every array at once and of each by itself.

use crate::support::{Case, Random};
use polyad_attention::{Dropout, Problem, ScoreForm, reference};

type Numbers = reference::Numbers;

/// All arrays of a problem that have a gradient.
fn arrays(numbers: &mut Numbers) -> Vec<&mut Vec<f64>> {
    let Numbers { q, keys, values, biases, sink, .. } = numbers;
    let biases = biases.iter_mut().map(|(_, bias)| bias);
    [q].into_iter().chain(keys).chain(values).chain(biases).chain(sink).collect()
}

fn check(case: &Case, random: &mut Random, what: &str) {
    let problem = &case.problem;
    let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
    let (dout, dlse) = (wide(&case.dout), wide(&case.dlse));
    let mut numbers = case.with_inputs(|inputs| Numbers::new(problem, inputs).unwrap());
    let gradients = reference::backward(problem, &numbers, &dout, &dlse);
    let reference::Gradients { q, keys, values, biases, sink } = gradients;
    let mut gradients: Vec<Vec<f64>> = [q].into_iter().chain(keys).chain(values).chain(biases).collect();
    gradients.extend(case.sink.as_ref().map(|_| sink));
    let loss = |numbers: &Numbers| {
        let (out, lse) = reference::forward(problem, numbers);
        let of_lse = lse.iter().zip(&dlse).filter(|(lse, _)| lse.is_finite()).map(|(a, b)| a * b).sum::<f64>();
        out.iter().zip(&dout).map(|(a, b)| a * b).sum::<f64>() + of_lse
    };
    let directions: Vec<Vec<f64>> = gradients.iter().map(|x| wide(&random.normals(x.len()))).collect();
    let count = gradients.len();
    for chosen in (0..count).map(|index| index..index + 1).chain(std::iter::once(0..count)) {
        let mut moved = |by: f64| {
            for index in chosen.clone() {
                let array = arrays(&mut numbers).swap_remove(index);
                array.iter_mut().zip(&directions[index]).for_each(|(x, direction)| *x += by * direction);
            }
            loss(&numbers)
        };
        // The error of a central difference of four points is step^4 times a fifth derivative, that of rounding 1e-16 / step
        // times the loss: both are about 1e-12 for losses and derivatives of order 1, and 1e-8 where these are 1e4.
        let step = 1e-3;
        let [a, b] = [moved(step), moved(step)];
        let [c, d] = [moved(-3.0 * step), moved(-step)];
        moved(2.0 * step);
        let difference = (8.0 * (a - c) - (b - d)) / (12.0 * step);
        let pairs = chosen.clone().flat_map(|index| gradients[index].iter().zip(&directions[index]));
        let (expected, mass) = pairs.fold((0.0, 1.0), |(sum, mass), (a, b)| (sum + a * b, mass + (a * b).abs()));
        let error = (difference - expected).abs() / mass;
        assert!(error < 1e-7, "{what}, arrays {chosen:?}: {difference} by differences, {expected} by the gradient");
    }
}

#[test]
fn the_definition_has_the_gradient_of_its_differences() {
    let mut random = Random(17);
    type Change = fn(&mut Problem);
    let masks: [(&str, Change); 8] = [
        ("nothing masked", |_| ()),
        ("causal", |p| p.causal = true),
        ("windows", |p| p.windows = p.keys.iter().map(|_| Some(2)).collect()),
        ("causal windows", |p| {
            p.causal = true;
            p.windows = p.keys.iter().enumerate().map(|(axis, _)| (axis == 0).then_some(3)).collect();
        }),
        ("lengths", |p| p.lengths = vec![p.keys.iter().map(|m| m - 1).collect(), p.keys.iter().map(|_| 1).collect()]),
        ("softcap", |p| p.softcap = Some(0.7)),
        ("dropout", |p| p.dropout = Some(Dropout { rate: 0.4, seed: 3 })),
        ("key heads", |p| p.key_heads = 1),
    ];
    for (form, order) in [
        (ScoreForm::Linear, 2),
        (ScoreForm::Linear, 3),
        (ScoreForm::Linear, 4),
        (ScoreForm::Determinant, 3),
        (ScoreForm::Strassen, 3),
        (ScoreForm::Tree, 2),
        (ScoreForm::Tree, 3),
        (ScoreForm::Tree, 4),
    ] {
        for (mask, change) in masks {
            for (with_biases, with_sink, with_hidden) in [(false, false, false), (true, true, true)] {
                let keys = [3, 4, 2][..order - 1].to_vec();
                let mut problem = Problem {
                    batch: 2,
                    heads: 2,
                    key_heads: 2,
                    keys,
                    value_width: 2,
                    ..Problem::new(order, 4, 4, 0.4)
                };
                problem.form = form;
                change(&mut problem);
                let mut case = Case::of(problem, &mut random);
                if with_biases {
                    for (a, b, heads) in [(0, 1, 4), (1, 2, 1), (0, order - 1, 1)] {
                        if b < order && case.biases.iter().all(|(axes, _)| *axes != (a, b)) {
                            let tokens = |operand| crate::support::tokens(&case.problem, operand);
                            let numbers = random.normals(heads * tokens(a) * tokens(b));
                            case.biases.push(((a, b), numbers));
                        }
                    }
                }
                if with_hidden {
                    let hidden = |m: &usize| Some((0..2 * m).map(|token| token % m == 1).collect());
                    case.hidden = case.problem.keys.iter().map(hidden).collect();
                }
                case.sink = with_sink.then(|| random.normals(2));
                check(&case, &mut random, &format!("{} of order {order}, {mask}, biases {with_biases}", form.name()));
            }
        }
    }
}
