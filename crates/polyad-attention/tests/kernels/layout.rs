//! Arrays that do not lie contiguously: the same bits as copied ones, and nothing else is touched.

use crate::support::{Attended, Case, Gradient, Random, levels, narrow, room, wide};
use half::bf16;
use polyad_attention::{
    Element, Gradients, Inputs, Layout, Problem, ScoreForm, Strides, Upstream, backward, backward_workspace, forward,
    forward_workspace,
};
use polyad_simd::Level;

/// What lies between tokens, and must stay there.
const BETWEEN: f32 = 7.5;

/// An array and where its tokens lie.
#[derive(Debug, Clone, Copy)]
struct Spread {
    /// Batch entries, heads, tokens.
    sizes: [usize; 3],
    width: usize,
    strides: Strides,
}

impl Spread {
    /// The axes in any order, with gaps or without.
    fn random(sizes: [usize; 3], width: usize, random: &mut Random) -> Spread {
        let mut axes = [0, 1, 2];
        (1..3).for_each(|place| axes.swap(place, random.below(place + 1)));
        let (mut steps, mut within) = ([0; 3], width);
        for axis in axes {
            steps[axis] = within + if random.chance(2) { random.below(5) } else { 0 };
            within = steps[axis] * sizes[axis].max(1);
        }
        let [batch, head, token] = steps;
        Spread { sizes, width, strides: Strides { batch, head, token } }
    }

    fn starts(&self) -> Vec<usize> {
        let [batch, heads, tokens] = self.sizes;
        let Strides { batch: by_batch, head: by_head, token: by_token } = self.strides;
        let rows = (0..batch).flat_map(|b| (0..heads).flat_map(move |h| (0..tokens).map(move |t| [b, h, t])));
        rows.map(|[b, h, t]| b * by_batch + h * by_head + t * by_token).collect()
    }

    /// A contiguous array so spread out, with some numbers after its last.
    fn spread(&self, array: &[f32]) -> Vec<f32> {
        let starts = self.starts();
        let mut to = vec![BETWEEN; starts.iter().max().map_or(0, |last| last + self.width) + 3];
        for (start, row) in starts.into_iter().zip(array.chunks(self.width)) {
            to[start..start + self.width].copy_from_slice(row);
        }
        to
    }

    /// The contiguous array again. Nothing that lies between may have changed.
    fn gather(&self, array: &[f32]) -> Vec<f32> {
        let (mut rows, mut rest) = (Vec::new(), array.to_vec());
        for start in self.starts() {
            rows.extend_from_slice(&array[start..start + self.width]);
            rest[start..start + self.width].fill(BETWEEN);
        }
        assert!(rest.iter().all(|x| *x == BETWEEN), "a number between tokens was written");
        rows
    }
}

fn bits(arrays: &[&[f32]]) -> Vec<u32> {
    arrays.iter().copied().flatten().map(|x| x.to_bits()).collect()
}

/// A case with its arrays spread out; `Gradient` and `Attended` take it as it is, but for the lengths of what they write.
fn compare<E: Element>(case: &Case, level: Level, random: &mut Random) {
    let problem = &case.problem;
    let axes = problem.keys.len();
    let attended = Attended::of_type::<E>(case, level);
    let gradient = Gradient::of_type::<E>(case, &attended.out, &attended.lse, level);

    let of_queries =
        |width, random: &mut Random| Spread::random([problem.batch, problem.heads, problem.queries], width, random);
    let (q, out) = (of_queries(problem.width, random), of_queries(problem.value_width, random));
    let of_keys = |width, random: &mut Random| -> Vec<Spread> {
        (0..axes)
            .map(|axis| Spread::random([problem.batch, problem.key_heads, room(problem, axis)], width, random))
            .collect()
    };
    let (keys, values) = (of_keys(problem.width, random), of_keys(problem.value_width, random));
    let strides = |all: &[Spread]| all.iter().map(|spread| Some(spread.strides)).collect();
    let layout = Layout { q: Some(q.strides), keys: strides(&keys), values: strides(&values), out: Some(out.strides) };
    let spread_all = |spreads: &[Spread], arrays: &[Vec<f32>]| -> Vec<Vec<f32>> {
        spreads.iter().zip(arrays).map(|(spread, array)| spread.spread(array)).collect()
    };
    let strided = Case {
        problem: Problem { layout, ..problem.clone() },
        q: q.spread(&case.q),
        keys: spread_all(&keys, &case.keys),
        values: spread_all(&values, &case.values),
        dout: out.spread(&case.dout),
        ..case.clone()
    };
    let problem = &strided.problem;
    let nothing = |like: &[f32]| -> Vec<E> { vec![E::narrow(BETWEEN); like.len()] };
    let (mut to, mut lse) = (nothing(&strided.dout), vec![f32::NAN; problem.rows()]);
    let (mut dq, mut dkeys) = (nothing(&strided.q), strided.keys.iter().map(|x| nothing(x)).collect::<Vec<_>>());
    let mut dvalues: Vec<Vec<E>> = strided.values.iter().map(|x| nothing(x)).collect();
    let mut dbiases: Vec<Vec<f32>> = strided.biases.iter().map(|(_, x)| vec![f32::NAN; x.len()]).collect();
    let mut dsink = strided.sink.clone();
    strided.with_inputs_as(|inputs: &Inputs<E>| {
        let mut workspace = vec![f32::NAN; forward_workspace(problem).unwrap()];
        forward(problem, inputs, &mut to, &mut lse, &mut workspace, level).unwrap();
        let mut workspace = vec![f32::NAN; backward_workspace(problem, inputs).unwrap()];
        let upstream = Upstream { out: &to, lse: &lse, dout: &narrow(&strided.dout), dlse: Some(&strided.dlse) };
        let mut gradients = Gradients {
            q: &mut dq,
            keys: dkeys.iter_mut().map(Vec::as_mut_slice).collect(),
            values: dvalues.iter_mut().map(Vec::as_mut_slice).collect(),
            biases: dbiases.iter_mut().map(Vec::as_mut_slice).collect(),
            sink: dsink.as_deref_mut(),
        };
        backward(problem, inputs, &upstream, &mut gradients, &mut workspace, level).unwrap();
    });
    let same = |name: &str, found: &[f32], expected: &[f32]| {
        assert!(bits(&[found]) == bits(&[expected]), "{name} differs from that of contiguous arrays in {problem:?}");
    };
    same("out", &out.gather(&wide(&to)), &attended.out);
    same("lse", &lse, &attended.lse);
    same("dq", &q.gather(&wide(&dq)), &gradient.q);
    for axis in 0..axes {
        same("dk", &keys[axis].gather(&wide(&dkeys[axis])), &gradient.keys[axis]);
        same("dv", &values[axis].gather(&wide(&dvalues[axis])), &gradient.values[axis]);
    }
    dbiases.iter().zip(&gradient.biases).for_each(|(found, expected)| same("dbias", found, expected));
    same("dsink", &dsink.unwrap_or_default(), gradient.sink.as_deref().unwrap_or_default());
}

#[test]
fn any_layout_gives_the_bits_of_contiguous_arrays() {
    let mut random = Random(51);
    for _ in 0..80 {
        let case = Case::random(&mut random);
        levels().into_iter().for_each(|level| compare::<f32>(&case, level, &mut random));
    }
    for _ in 0..20 {
        let case = Case::random(&mut random).rounded::<bf16>();
        levels().into_iter().for_each(|level| compare::<bf16>(&case, level, &mut random));
    }
}

#[test]
fn heads_may_lie_within_tokens_and_all_operands_in_one_array() {
    // What one projection gives: [batch, n, (q, k1, k2, v1, v2), heads, d].
    let mut random = Random(52);
    let (batch, n, heads, d) = (2, 13, 3, 5);
    let all = random.normals(batch * n * 5 * heads * d);
    let plain = Problem { batch, heads, key_heads: heads, causal: true, ..Problem::new(3, n, d, 0.4) };
    let step = Strides { batch: n * 5 * heads * d, head: d, token: 5 * heads * d };
    let strided = Problem {
        layout: Layout {
            q: Some(step),
            keys: vec![Some(step); 2],
            values: vec![Some(step); 2],
            ..plain.clone().tokens_outside().layout
        },
        ..plain.clone()
    };
    let part = |operand: usize| &all[operand * heads * d..];
    let mut case = Case::of(plain.clone(), &mut random);
    let contiguous = |operand: usize| {
        let spread = Spread { sizes: [batch, heads, n], width: d, strides: step };
        let rows = spread.starts().into_iter().flat_map(|start| part(operand)[start..start + d].to_vec());
        rows.collect::<Vec<f32>>()
    };
    let mut arrays = (0..5).map(contiguous);
    case.q = arrays.next().unwrap();
    case.keys = arrays.by_ref().take(2).collect();
    case.values = arrays.collect();
    let expected = Attended::of(&case, Level::best());
    let (mut out, mut lse) = (vec![0.0; batch * n * heads * d], vec![0.0; batch * heads * n]);
    let (keys, values) = ([part(1), part(2)], [part(3), part(4)]);
    let inputs = Inputs::new(part(0), &keys, &values);
    let mut workspace = vec![0.0; forward_workspace(&strided).unwrap()];
    forward(&strided, &inputs, &mut out, &mut lse, &mut workspace, Level::best()).unwrap();
    let to = Spread { sizes: [batch, heads, n], width: d, strides: Strides::tokens_outside(heads, n, d) };
    let rows: Vec<f32> = to.starts().into_iter().flat_map(|start| out[start..start + d].to_vec()).collect();
    assert_eq!((rows, lse), (expected.out, expected.lse));
}

#[test]
fn one_head_may_serve_as_all_but_has_then_no_gradient() {
    let mut random = Random(53);
    let (n, d) = (9, 4);
    let repeated = Problem { heads: 3, key_heads: 3, form: ScoreForm::Tree, ..Problem::new(3, n, d, 0.4) };
    let mut case = Case::of(repeated, &mut random);
    for array in case.keys.iter_mut().chain(&mut case.values) {
        *array = array[..n * d].repeat(3);
    }
    let expected = Attended::of(&case, Level::best());
    let once = Some(Strides { batch: 0, head: 0, token: d });
    case.problem.layout = Layout { keys: vec![once; 2], values: vec![once; 2], ..Layout::default() };
    case.keys.iter_mut().chain(&mut case.values).for_each(|array| array.truncate(n * d));
    let found = Attended::of(&case, Level::best());
    assert_eq!((&found.out, &found.lse), (&expected.out, &expected.lse));
    let message = case.with_inputs(|inputs| {
        let mut workspace = vec![0.0; backward_workspace(&case.problem, inputs).unwrap()];
        let (mut q, mut keys, mut values) = (case.q.clone(), case.keys.clone(), case.values.clone());
        let mut gradients = Gradients {
            q: &mut q,
            keys: keys.iter_mut().map(Vec::as_mut_slice).collect(),
            values: values.iter_mut().map(Vec::as_mut_slice).collect(),
            biases: Vec::new(),
            sink: None,
        };
        let upstream = Upstream { out: &found.out, lse: &found.lse, dout: &case.dout, dlse: None };
        backward(&case.problem, inputs, &upstream, &mut gradients, &mut workspace, Level::best()).unwrap_err()
    });
    assert_eq!(message.to_string(), "dk1 overlaps itself: from one head to the next are 0 numbers, and each takes 4");
}

#[test]
fn strides_that_cannot_be_are_named() {
    let good = Problem { batch: 2, heads: 3, key_heads: 3, ..Problem::new(3, 5, 8, 0.5) }.tokens_outside();
    good.check().unwrap();
    let step = |batch, head, token| Some(Strides { batch, head, token });
    type Change = fn(&mut Layout, Option<Strides>);
    let wrong: [(Change, Option<Strides>, &str); 5] = [
        (|layout, _| layout.keys.truncate(1), None, "strides of 1 keys for 2 key axes"),
        (|layout, to| layout.out = to, step(120, 8, 16), "out overlaps itself: from one token to the next are 16"),
        (|layout, to| layout.out = to, step(100, 8, 24), "out overlaps itself: from one batch to the next are 100"),
        (|layout, to| layout.q = to, step(usize::MAX / 2, 8, 24), "q with Strides { batch: 9223372036854775807"),
        (|layout, to| layout.values[1] = to, step(0, usize::MAX, 24), "v2 with Strides"),
    ];
    for (change, to, part) in wrong {
        let mut problem = good.clone();
        change(&mut problem.layout, to);
        let message = problem.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message:?} does not say {part:?}");
        assert!(forward_workspace(&problem).is_err());
    }
    // An array that ends too early.
    let mut problem = good;
    problem.layout.keys[1] = step(121, 8, 24);
    let x = vec![0.0; 240];
    let (keys, values) = ([&x[..], &x[..]], [&x[..], &x[..]]);
    let message = Inputs::new(&x, &keys, &values).check(&problem).unwrap_err().to_string();
    assert!(message.contains("k2 has 240 numbers") && message.contains("reaches number 241"), "{message}");
}
