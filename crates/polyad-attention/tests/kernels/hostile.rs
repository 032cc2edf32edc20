//! Problems that cannot be are refused, saying what disagrees.

use polyad_attention::{Bias, Dropout, Inputs, Problem, ScoreForm, forward, forward_workspace};
use polyad_simd::Level;

#[test]
fn contradictions_are_named() {
    let good = Problem { heads: 4, key_heads: 2, ..Problem::new(3, 5, 8, 0.5) };
    good.check().unwrap();
    let wrong: [(Problem, &str); 15] = [
        (Problem { keys: vec![], ..good.clone() }, "0 key axes"),
        (Problem { keys: vec![1; 9], ..good.clone() }, "9 key axes"),
        (Problem { width: 0, ..good.clone() }, "width is 0"),
        (Problem { value_width: 257, ..good.clone() }, "value_width is 257"),
        (Problem { heads: 0, ..good.clone() }, "0 heads"),
        (Problem { key_heads: 3, ..good.clone() }, "3 key heads"),
        (Problem { keys: vec![5; 3], form: ScoreForm::Determinant, ..good.clone() }, "determinant"),
        (Problem { scale: f32::NAN, ..good.clone() }, "scale is NaN"),
        (Problem { softcap: Some(0.0), ..good.clone() }, "softcap is 0"),
        (Problem { dropout: Some(Dropout { rate: 1.0, seed: 0 }), ..good.clone() }, "dropout is 1"),
        (Problem { windows: vec![None], ..good.clone() }, "1 windows"),
        (Problem { lengths: vec![vec![5, 6]], ..good.clone() }, "length 6 on an axis of 5"),
        (Problem { room: vec![5, 4], ..good.clone() }, "room for 4"),
        (Problem { queries: usize::MAX / 2, ..good.clone() }, "more tokens"),
        (Problem { keys: vec![1 << 32, 1 << 32], queries: 1 << 10, ..good }, "more tuples"),
    ];
    for (problem, part) in wrong {
        let message = problem.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message:?} does not say {part:?}");
        assert!(forward_workspace(&problem).is_err());
    }
}

#[test]
fn buffers_of_another_length_are_named() {
    let problem = Problem::new(3, 5, 8, 0.5);
    let (x, short) = (vec![0.0; 40], vec![0.0; 39]);
    let (whole, one_short) = ([&x[..], &x[..]], [&x[..], &short[..]]);
    let bias = |axes, values| Bias { axes, values };
    let twice = [bias((0, 1), &x[..25]), bias((0, 1), &x[..25])];
    let (backwards, outside, small) = ([bias((1, 0), &x[..25])], [bias((0, 3), &x[..25])], [bias((0, 1), &x[..24])]);
    let good = Inputs::new(&x, &whole, &whole);
    let cases = [
        (Inputs { q: &short, ..good }, "q has 39"),
        (Inputs { keys: &one_short, ..good }, "k2 has 39"),
        (Inputs { values: &one_short, ..good }, "v2 has 39"),
        (Inputs { keys: &whole[..1], ..good }, "1 arrays k"),
        (Inputs { biases: &twice, ..good }, "two biases"),
        (Inputs { biases: &backwards, ..good }, "axes 1 and 0"),
        (Inputs { biases: &outside, ..good }, "axes 0 and 3"),
        (Inputs { biases: &small, ..good }, "bias_01 has 24"),
        (Inputs { sink: Some(&x), ..good }, "sink has 40"),
        (Inputs { hidden: &[None], ..good }, "1 padding masks"),
    ];
    let mut workspace = vec![0.0; forward_workspace(&problem).unwrap()];
    let (mut out, mut lse) = (vec![0.0; 40], vec![0.0; 5]);
    for (inputs, part) in cases {
        let run = forward(&problem, &inputs, &mut out, &mut lse, &mut workspace, Level::best());
        let message = run.unwrap_err().to_string();
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    let message = forward(&problem, &good, &mut out[1..], &mut lse, &mut workspace, Level::best()).unwrap_err();
    assert_eq!(message.to_string(), "out has 39 numbers, and the problem wants 40");
    assert!(forward(&problem, &good, &mut out, &mut lse, &mut workspace[1..], Level::best()).is_err());
}

#[test]
fn nothing_to_compute_is_computed() {
    for (queries, keys) in [(0, vec![4, 4]), (3, vec![0, 4]), (3, vec![4, 0])] {
        let problem = Problem { queries, keys, ..Problem::new(3, 1, 2, 1.0) };
        let q = vec![1.0; problem.query_numbers()];
        let k: Vec<Vec<f32>> = (0..2).map(|axis| vec![1.0; problem.key_numbers(axis)]).collect();
        let k: Vec<&[f32]> = k.iter().map(Vec::as_slice).collect();
        let (mut out, mut lse) = (vec![7.0; problem.out_numbers()], vec![7.0; problem.rows()]);
        let mut workspace = vec![0.0; forward_workspace(&problem).unwrap()];
        let inputs = Inputs::new(&q, &k, &k);
        forward(&problem, &inputs, &mut out, &mut lse, &mut workspace, Level::best()).unwrap();
        assert!(out.iter().all(|x| *x == 0.0) && lse.iter().all(|x| *x == f32::NEG_INFINITY));
    }
}
