//! Several sequences in the same arrays: each comes out as it does by itself, at the cost that it has by itself.

use crate::measure::{Array, Expected};
use crate::plain::{Number, Precision};
use crate::support::{Attended, Case, Gradient, Random, tokens};
use half::bf16;
use polyad_attention::{Dropout, Element, Problem, ScoreForm, forward_workspace, look_workspace, reference};
use polyad_simd::Level;
use std::ops::Range;

fn span(problem: &Problem, operand: usize, sequence: usize) -> Range<usize> {
    problem.packed[operand][sequence]..problem.packed[operand][sequence + 1]
}

fn sequences(problem: &Problem) -> usize {
    problem.packed[0].len() - 1
}

/// Offsets of so many sequences, some of them without a token.
fn offsets(sequences: usize, most: usize, random: &mut Random) -> Vec<usize> {
    let mut offsets = vec![0];
    for sequence in 0..sequences {
        let length = if random.chance(9) { 0 } else { random.between(1, most) };
        offsets.push(offsets[sequence] + length);
    }
    offsets
}

/// A random problem of several sequences with everything that may go with it.
fn random_case(random: &mut Random) -> Case {
    let mut case = Case::random(random);
    let order = case.problem.order().min(4);
    let most = [0, 0, 40, 16, 6][order];
    let count = random.between(1, 4);
    let mut packed: Vec<Vec<usize>> = (0..order).map(|_| offsets(count, most, random)).collect();
    if random.chance(4) {
        // Decoding: one query a sequence.
        packed[0] = (0..=count).collect();
    }
    let totals: Vec<usize> = packed.iter().map(|offsets| offsets[count]).collect();
    let mut problem =
        Problem { batch: 1, queries: totals[0], keys: totals[1..].to_vec(), room: Vec::new(), packed, ..case.problem };
    if !problem.windows.is_empty() {
        problem.windows = (1..order).map(|_| (!random.chance(3)).then(|| random.between(1, most))).collect();
    }
    if !problem.lengths.is_empty() {
        let keys = |axis: usize, sequence| span(&problem, axis, sequence).len();
        let least = |axis| (0..count).map(|sequence| keys(axis, sequence)).min().unwrap_or(0);
        problem.lengths = match random.chance(2) {
            true => vec![(1..order).map(least).collect()],
            false => (0..count).map(|s| (1..order).map(|axis| random.between(0, keys(axis, s))).collect()).collect(),
        };
    }
    let (hidden, sink) = (!case.hidden.is_empty(), case.sink.take());
    case = Case::of(problem, random);
    let problem = &case.problem;
    for b in 1..order {
        for a in 0..b {
            if random.chance(4) {
                let heads = if random.chance(2) { problem.heads } else { 1 };
                let one = |sequence| span(problem, a, sequence).len() * span(problem, b, sequence).len();
                let numbers = heads * (0..count).map(one).sum::<usize>();
                case.biases.push(((a, b), random.normals(numbers)));
            }
        }
    }
    if hidden {
        case.hidden = case.problem.keys.iter().map(|m| Some((0..*m).map(|_| random.chance(4)).collect())).collect();
    }
    case.sink = sink;
    case
}

/// The tokens of a range, of `[heads, all tokens, width]`.
fn tokens_of(array: &[f32], all: usize, range: Range<usize>, width: usize) -> Vec<f32> {
    let heads = if all == 0 { 0 } else { array.len() / (all * width) };
    (0..heads)
        .flat_map(|head| array[(head * all + range.start) * width..(head * all + range.end) * width].to_vec())
        .collect()
}

/// Numbers of a bias before a sequence's own, and its own.
fn bias_range(case: &Case, index: usize, sequence: usize) -> Range<usize> {
    let ((a, b), numbers) = &case.biases[index];
    let one = |sequence| span(&case.problem, *a, sequence).len() * span(&case.problem, *b, sequence).len();
    let shared: usize = (0..sequences(&case.problem)).map(one).sum();
    let heads = if numbers.len() == shared { 1 } else { case.problem.heads };
    let start = heads * (0..sequence).map(one).sum::<usize>();
    start..start + heads * one(sequence)
}

/// A sequence by itself, copied.
fn sequence_of(case: &Case, sequence: usize) -> Case {
    let problem = &case.problem;
    let part = |array: &[f32], operand: usize, width| {
        tokens_of(array, tokens(problem, operand), span(problem, operand, sequence), width)
    };
    let parts = |arrays: &[Vec<f32>], width| -> Vec<Vec<f32>> {
        arrays.iter().enumerate().map(|(axis, array)| part(array, axis + 1, width)).collect()
    };
    let biases = case.biases.iter().enumerate();
    let hidden = case.hidden.iter().enumerate();
    Case {
        problem: Problem {
            queries: span(problem, 0, sequence).len(),
            keys: (1..problem.order()).map(|operand| span(problem, operand, sequence).len()).collect(),
            lengths: match problem.lengths.len() {
                0 | 1 => problem.lengths.clone(),
                _ => vec![problem.lengths[sequence].clone()],
            },
            packed: Vec::new(),
            dropout: problem.dropout.map(|dropout: Dropout| dropout.of_sequence(sequence)),
            ..problem.clone()
        },
        q: part(&case.q, 0, problem.width),
        keys: parts(&case.keys, problem.width),
        values: parts(&case.values, problem.value_width),
        biases: biases.map(|(index, (axes, x))| (*axes, x[bias_range(case, index, sequence)].to_vec())).collect(),
        hidden: hidden
            .map(|(axis, hidden)| hidden.as_ref().map(|hidden| hidden[span(problem, axis + 1, sequence)].to_vec()))
            .collect(),
        sink: case.sink.clone(),
        dout: part(&case.dout, 0, problem.value_width),
        dlse: part(&case.dlse, 0, 1),
    }
}

/// What packed results say of a sequence.
fn results_of(case: &Case, attended: &Attended, gradient: &Gradient, sequence: usize) -> (Attended, Gradient) {
    let results = Case {
        q: gradient.q.clone(),
        keys: gradient.keys.clone(),
        values: gradient.values.clone(),
        biases: case.biases.iter().zip(&gradient.biases).map(|((axes, _), x)| (*axes, x.clone())).collect(),
        dout: attended.out.clone(),
        dlse: attended.lse.clone(),
        ..case.clone()
    };
    let Case { q, keys, values, biases, dout: out, dlse: lse, .. } = sequence_of(&results, sequence);
    let biases = biases.into_iter().map(|(_, x)| x).collect();
    (Attended { out, lse, work: attended.work }, Gradient { q, keys, values, biases, sink: None, work: gradient.work })
}

fn check<E: Element>(case: &Case, what: &str) {
    let (problem, level, precision) = (&case.problem, Level::best(), Precision::on::<E>(Level::best()));
    let attended = Attended::of_type::<E>(case, level);
    let gradient = Gradient::of_type::<E>(case, &attended.out, &attended.lse, level);
    let mut scores = [0; 2];
    let heads = gradient.sink.as_ref().map_or(0, Vec::len);
    let mut sink = (vec![Number::default(); heads], vec![0.0; heads]);
    for sequence in 0..sequences(problem) {
        let own = sequence_of(case, sequence);
        let expected = Expected::of(&own, precision);
        let (found, found_gradient) = results_of(case, &attended, &gradient, sequence);
        expected.check(&own, &found, &found_gradient, &format!("{what}, sequence {sequence} of {problem:?}"));
        for (sum, own) in sink.0.iter_mut().zip(&expected.plain.sink) {
            sum.value += own.value;
            sum.floor += own.floor;
        }
        sink.1.iter_mut().zip(&expected.gradients.sink).for_each(|(sum, own)| *sum += own);
        let alone = Attended::of_type::<E>(&own, level);
        let alone_gradient = Gradient::of_type::<E>(&own, &alone.out, &alone.lse, level);
        scores[0] += alone.work.scores;
        scores[1] += alone_gradient.work.scores;
    }
    if let Some(found) = &gradient.sink {
        let array = Array { name: "dsink".to_owned(), width: heads, found, plain: &sink.0, exact: &sink.1 };
        assert_eq!(array.complaint(), None, "{what} {problem:?}");
    }
    assert_eq!([attended.work.scores, gradient.work.scores], scores, "{what}: scores of {problem:?}");
}

#[test]
fn packed_sequences_come_out_as_each_does_by_itself() {
    let mut random = Random(61);
    for index in 0..120 {
        check::<f32>(&random_case(&mut random), &format!("case {index}"));
    }
    for index in 0..30 {
        check::<bf16>(&random_case(&mut random).rounded::<bf16>(), &format!("bfloat16 case {index}"));
    }
}

#[test]
fn packed_sequences_of_any_layout_have_the_bits_of_contiguous_ones() {
    let mut random = Random(62);
    for _ in 0..20 {
        let case = random_case(&mut random);
        let Problem { heads, key_heads, .. } = case.problem;
        // [n, heads, width] from [heads, n, width], and, with the numbers exchanged, back.
        let turned = |array: &[f32], heads: usize, width: usize| -> Vec<f32> {
            let tokens = array.len() / (heads * width);
            let rows = (0..tokens).flat_map(|token| (0..heads).map(move |head| head * tokens + token));
            rows.flat_map(|row| array[row * width..(row + 1) * width].to_vec()).collect()
        };
        let back =
            |array: &[f32], heads: usize, width: usize| turned(array, (array.len() / (heads * width)).max(1), width);
        let (width, value_width) = (case.problem.width, case.problem.value_width);
        let all = |arrays: &[Vec<f32>], width| arrays.iter().map(|x| turned(x, key_heads, width)).collect();
        let other = Case {
            problem: case.problem.clone().tokens_outside(),
            q: turned(&case.q, heads, width),
            keys: all(&case.keys, width),
            values: all(&case.values, value_width),
            dout: turned(&case.dout, heads, value_width),
            ..case.clone()
        };
        let [a, b] = [&case, &other].map(|case| {
            let attended = Attended::of(case, Level::best());
            let gradient = Gradient::of(case, &attended.out, &attended.lse, Level::best());
            (attended, gradient)
        });
        let same = |found: &[f32], expected: &[f32]| {
            assert!(
                found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()) && found.len() == expected.len()
            );
        };
        same(&back(&b.0.out, heads, value_width), &a.0.out);
        same(&b.0.lse, &a.0.lse);
        same(&back(&b.1.q, heads, width), &a.1.q);
        for axis in 0..case.keys.len() {
            same(&back(&b.1.keys[axis], key_heads, width), &a.1.keys[axis]);
            same(&back(&b.1.values[axis], key_heads, value_width), &a.1.values[axis]);
        }
        b.1.biases.iter().zip(&a.1.biases).for_each(|(b, a)| same(b, a));
    }
}

#[test]
fn many_short_sequences_share_the_workspace_and_give_the_same_bits_on_any_number_of_threads() {
    let mut random = Random(63);
    let count = 70;
    let packed: Vec<Vec<usize>> = (0..3).map(|_| offsets(count, 5, &mut random)).collect();
    let of = |packed: Vec<Vec<usize>>| Problem {
        queries: *packed[0].last().unwrap(),
        keys: packed[1..].iter().map(|offsets| *offsets.last().unwrap()).collect(),
        packed,
        causal: true,
        ..Problem::new(3, 1, 9, 0.4)
    };
    let problem = of(packed);
    let mut case = Case::of(problem, &mut random);
    case.sink = Some(random.normals(1));
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let attended = Attended::of(&case, Level::best());
            let gradient = Gradient::of(&case, &attended.out, &attended.lse, Level::best());
            let all = [attended.out, attended.lse, gradient.q].into_iter().chain(gradient.sink);
            all.chain(gradient.keys).chain(gradient.values).flatten().map(f32::to_bits).collect::<Vec<u32>>()
        })
    };
    let one = bits(1);
    assert!([2, 3, 7].into_iter().all(|threads| bits(threads) == one));
    check::<f32>(&case, "many sequences");
    // Twice as many sequences are done in more rounds, not in more memory.
    let twice = of(vec![(0..=2 * count).map(|sequence| 4 * sequence).collect(); 3]);
    let once = of(vec![(0..=count).map(|sequence| 4 * sequence).collect(); 3]);
    assert_eq!(forward_workspace(&twice).unwrap(), forward_workspace(&once).unwrap());
}

#[test]
fn a_sequence_that_is_not_a_number_leaves_the_others_as_they_are() {
    let mut random = Random(65);
    for form in ScoreForm::ALL {
        let packed = vec![vec![0, 7, 20, 31], vec![0, 9, 26, 40], vec![0, 5, 24, 50]];
        let problem = Problem { keys: vec![40, 50], packed, form, ..Problem::new(3, 31, 6, 0.4) };
        let mut case = Case::of(problem, &mut random);
        let run = |case: &Case| {
            let attended = Attended::of(case, Level::best());
            let gradient = Gradient::of(case, &attended.out, &attended.lse, Level::best());
            [0, 2].map(|sequence| {
                let (attended, gradient) = results_of(case, &attended, &gradient, sequence);
                (attended.out, attended.lse, gradient.q, gradient.keys, gradient.values)
            })
        };
        let clean = run(&case);
        case.q[7 * 6..20 * 6].fill(f32::NAN);
        case.dout[7 * 6..20 * 6].fill(f32::NAN);
        for arrays in [&mut case.keys, &mut case.values] {
            arrays[0][9 * 6..26 * 6].fill(f32::NAN);
            arrays[1][5 * 6..24 * 6].fill(f32::INFINITY);
        }
        assert!(run(&case) == clean, "{}", form.name());
    }
}

#[test]
fn offsets_that_cannot_be_are_named() {
    let offsets = vec![0, 2, 5];
    let good = Problem { packed: vec![offsets.clone(), offsets.clone(), vec![0, 3, 5]], ..Problem::new(3, 5, 8, 0.5) };
    good.check().unwrap();
    let with = |operand: usize, offsets: Vec<usize>| {
        let mut problem = good.clone();
        problem.packed[operand] = offsets;
        problem
    };
    let wrong = [
        (
            Problem { packed: vec![offsets.clone(); 2], ..good.clone() },
            "on 2 axes, queries included, in a problem of order 3",
        ),
        (Problem { batch: 2, ..good.clone() }, "in a batch of 2"),
        (Problem { room: vec![6, 6], ..good.clone() }, "room"),
        (with(0, vec![0, 5]), "3 offsets on key axis 1, and 2 of the queries"),
        (with(2, vec![0, 5]), "2 offsets on key axis 2"),
        (Problem { packed: vec![Vec::new(); 3], ..good.clone() }, "no offsets on the queries"),
        (with(1, vec![0, 6, 5]), "on key axis 1 fall from 6 to 5"),
        (with(1, vec![1, 2, 5]), "on key axis 1 go from 1 to 5, and its tokens from 0 to 5"),
        (with(0, vec![0, 2, 4]), "on the queries go from 0 to 4"),
        (Problem { lengths: vec![vec![2, 3]; 3], ..good.clone() }, "lengths for 3 packed sequences of 2"),
        (
            Problem { lengths: vec![vec![2, 3], vec![3, 3]], ..good.clone() },
            "length 3 of packed sequence 1, which has 2 keys on axis 2",
        ),
        (
            Problem { lengths: vec![vec![3, 2]], ..good.clone() },
            "length 3 of packed sequence 0, which has 2 keys on axis 1",
        ),
        (Problem { lengths: vec![vec![2]], ..good.clone() }, "1 lengths for 2 key axes"),
    ];
    for (problem, part) in wrong {
        let message = problem.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    // What cannot go with them.
    let message = look_workspace(&good).unwrap_err().to_string();
    assert!(message.contains("one sequence at a time"), "{message}");
    let mut case = Case::of(good.clone(), &mut Random(64));
    let message = case.with_inputs(|inputs| reference::Numbers::new(&good, inputs).unwrap_err().to_string());
    assert!(message.contains("one at a time"), "{message}");
    case.biases.push(((0, 1), vec![0.0; 25]));
    let message = case.with_inputs(|inputs| inputs.check(&good).unwrap_err().to_string());
    assert_eq!(message, "bias_01 has 25 numbers, and the problem wants 13");
}
