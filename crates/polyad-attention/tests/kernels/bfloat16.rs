//! The kernels of bfloat16 arrays, each called by name, within the bounds that `src/bfloat16.rs` derives.

use crate::support::{Case, Random};
use half::bf16;
use polyad_attention::{
    Bias, Dropout, Gradients, Inputs, Problem, ScoreForm, Upstream, backward, backward_workspace, forward,
    forward_workspace, reference,
};
use polyad_simd::Level;

/// Half the distance of bfloat16 numbers just above 1.
const U: f64 = 1.0 / 256.0;

/// Those that multiply bfloat16 numbers as they are.
fn levels() -> Vec<Level> {
    let present = |level: &Level| {
        if !level.is_present() {
            eprintln!("not run: this processor has no {level}");
        }
        level.is_present()
    };
    [Level::Avx512Bf16, Level::Amx].into_iter().filter(present).collect()
}

fn narrow(x: &[f32]) -> Vec<bf16> {
    x.iter().map(|x| bf16::from_f32(*x)).collect()
}

fn wide(x: &[bf16]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// A case's arrays in bfloat16.
struct HalfCase<'a> {
    case: &'a Case,
    q: Vec<bf16>,
    keys: Vec<Vec<bf16>>,
    values: Vec<Vec<bf16>>,
    dout: Vec<bf16>,
}

/// `out, lse, dq, dk1, dk2 .., dv1, dv2 ..`
type Found = (Vec<f64>, Vec<f64>, Vec<Vec<f64>>);

impl<'a> HalfCase<'a> {
    fn new(case: &'a Case) -> Self {
        let all = |x: &Vec<Vec<f32>>| x.iter().map(|x| narrow(x)).collect();
        let (keys, values) = (all(&case.keys), all(&case.values));
        HalfCase { case, q: narrow(&case.q), keys, values, dout: narrow(&case.dout) }
    }

    fn with_inputs<T>(&self, f: impl FnOnce(&Inputs<bf16>) -> T) -> T {
        let keys: Vec<&[bf16]> = self.keys.iter().map(Vec::as_slice).collect();
        let values: Vec<&[bf16]> = self.values.iter().map(Vec::as_slice).collect();
        let bias = |(axes, values): &'a ((usize, usize), Vec<f32>)| Bias { axes: *axes, values };
        let biases: Vec<Bias> = self.case.biases.iter().map(bias).collect();
        let hidden: Vec<Option<&[bool]>> = self.case.hidden.iter().map(Option::as_deref).collect();
        let sink = self.case.sink.as_deref();
        f(&Inputs { biases: &biases, hidden: &hidden, sink, ..Inputs::new(&self.q, &keys, &values) })
    }

    fn numbers(&self) -> reference::Numbers {
        self.with_inputs(|inputs| reference::Numbers::new(&self.case.problem, inputs).unwrap())
    }

    fn run(&self, level: Level) -> Found {
        let problem = &self.case.problem;
        let nan = |x: &Vec<bf16>| vec![bf16::NAN; x.len()];
        let (mut out, mut lse) = (vec![bf16::NAN; problem.out_numbers()], vec![f32::NAN; problem.rows()]);
        let mut dq = nan(&self.q);
        let [mut dk, mut dv] = [&self.keys, &self.values].map(|x| x.iter().map(nan).collect::<Vec<Vec<bf16>>>());
        self.with_inputs(|inputs| {
            let mut workspace = vec![f32::NAN; forward_workspace(problem).unwrap()];
            forward(problem, inputs, &mut out, &mut lse, &mut workspace, level).unwrap();
            let mut workspace = vec![f32::NAN; backward_workspace(problem, inputs).unwrap()];
            let upstream = Upstream { out: &out, lse: &lse, dout: &self.dout, dlse: Some(&self.case.dlse) };
            let mut biases: Vec<Vec<f32>> = self.case.biases.iter().map(|bias| vec![f32::NAN; bias.1.len()]).collect();
            let mut to = Gradients {
                q: &mut dq,
                keys: dk.iter_mut().map(Vec::as_mut_slice).collect(),
                values: dv.iter_mut().map(Vec::as_mut_slice).collect(),
                biases: biases.iter_mut().map(Vec::as_mut_slice).collect(),
                sink: None,
            };
            backward(problem, inputs, &upstream, &mut to, &mut workspace, level).unwrap();
        });
        let gradients = std::iter::once(&dq).chain(&dk).chain(&dv).map(|x| wide(x)).collect();
        (wide(&out), lse.into_iter().map(f64::from).collect(), gradients)
    }
}

/// Key tuples of a row, and a token of an array.
struct Walk<'a> {
    problem: &'a Problem,
    numbers: &'a reference::Numbers,
}

impl Walk<'_> {
    /// All tuples of a head, those of a causal mask's row only, in order.
    fn tuples(&self, query: usize) -> Vec<Vec<usize>> {
        let p = self.problem;
        let mut tuples = vec![vec![query]];
        for axis in 0..p.keys.len() {
            let (low, high) = p.visible(axis, query);
            tuples = tuples.iter().flat_map(|t| (low..high).map(move |j| [&t[..], &[j]].concat())).collect();
        }
        tuples
    }

    /// Query head and key head.
    fn heads(&self) -> Vec<(usize, usize)> {
        let p = self.problem;
        let key_head = |head: usize| head / p.heads * p.key_heads + head % p.heads / (p.heads / p.key_heads);
        (0..p.batch * p.heads).map(|head| (head, key_head(head))).collect()
    }

    fn key(&self, (head, key_head): (usize, usize), operand: usize, token: usize) -> &[f64] {
        let p = self.problem;
        match operand {
            0 => &self.numbers.q[(head * p.queries + token) * p.width..][..p.width],
            _ => &self.numbers.keys[operand - 1][(key_head * p.keys[operand - 1] + token) * p.width..][..p.width],
        }
    }

    fn value(&self, key_head: usize, axis: usize, token: usize) -> &[f64] {
        let p = self.problem;
        &self.numbers.values[axis][(key_head * p.keys[axis] + token) * p.value_width..][..p.value_width]
    }

    /// The product of the tokens of a tuple, from operand `from` on, one left out if wanted.
    fn keys_product(&self, heads: (usize, usize), tuple: &[usize], without: Option<usize>) -> Vec<f64> {
        let mut product = vec![1.0; self.problem.width];
        for (operand, token) in tuple.iter().enumerate().filter(|(operand, _)| Some(*operand) != without) {
            product.iter_mut().zip(self.key(heads, operand, *token)).for_each(|(p, x)| *p *= x);
        }
        product
    }

    fn values_product(&self, key_head: usize, tuple: &[usize], without: Option<usize>) -> Vec<f64> {
        let mut product = vec![1.0; self.problem.value_width];
        for (axis, token) in tuple[1..].iter().enumerate().filter(|(axis, _)| Some(*axis) != without) {
            product.iter_mut().zip(self.value(key_head, axis, *token)).for_each(|(p, x)| *p *= x);
        }
        product
    }

    /// `A_i` of each row: the greatest sum of a score's terms in absolute value.
    fn most(&self) -> Vec<f64> {
        let p = self.problem;
        let of_tuple = |heads, tuple: &Vec<usize>| -> f64 {
            self.keys_product(heads, tuple, None).iter().map(|x| (f64::from(p.scale) * x).abs()).sum()
        };
        let of_row = |heads, query| self.tuples(query).iter().map(|t| of_tuple(heads, t)).fold(0.0, f64::max);
        self.heads().into_iter().flat_map(|heads| (0..p.queries).map(move |query| of_row(heads, query))).collect()
    }
}

/// What rounding sums in single precision may add, beside the bound's own second order.
const REST: f64 = 1.05;

fn check_forward(half: &HalfCase, found: &Found, what: &str) {
    let problem = &half.case.problem;
    let numbers = half.numbers();
    let (out, lse) = reference::forward(problem, &numbers);
    let mut sizes = numbers.clone();
    sizes.values.iter_mut().flatten().for_each(|x| *x = x.abs());
    let size = reference::forward(problem, &sizes).0;
    let most = Walk { problem, numbers: &numbers }.most();
    for (row, a) in most.iter().enumerate() {
        let error = (found.1[row] - lse[row]).abs();
        assert!(found.1[row] == lse[row] || error <= U * a * REST + 1e-5, "{what}: lse of row {row} off by {error}");
        for index in row * problem.value_width..(row + 1) * problem.value_width {
            let bound = ((2.0 * a + 1.0) * U * size[index] + U * out[index].abs()) * REST + 1e-6;
            let error = (found.0[index] - out[index]).abs();
            assert!(error <= bound, "{what}: out[{index}] off by {error}, at most {bound}, in {problem:?}");
        }
    }
}

/// Sizes that fill tiles and that do not.
fn sizes() -> Vec<Problem> {
    let of = |order, queries, keys: &[usize], width, value_width| Problem {
        queries,
        keys: keys.to_vec(),
        value_width,
        ..Problem::new(order, 1, width, 0.25)
    };
    vec![
        of(3, 32, &[8, 64], 64, 64),
        of(3, 7, &[13, 288], 32, 128),
        of(3, 1, &[40, 90], 33, 16),
        of(3, 37, &[19, 45], 19, 40),
        of(3, 50, &[7, 259], 5, 3),
        Problem { heads: 4, key_heads: 2, batch: 2, ..of(3, 21, &[13, 21], 24, 17) },
        Problem { causal: true, ..of(3, 40, &[40, 44], 16, 24) },
        of(2, 40, &[300], 64, 48),
        Problem { causal: true, heads: 3, key_heads: 3, ..of(2, 65, &[65], 40, 8) },
        of(4, 9, &[6, 11, 17], 20, 20),
    ]
}

#[test]
fn forward_is_within_its_bound() {
    let mut random = Random(41);
    for (index, problem) in sizes().into_iter().enumerate() {
        let case = Case::of(problem, &mut random);
        let half = HalfCase::new(&case);
        for level in levels() {
            check_forward(&half, &half.run(level), &format!("size {index} on {level}"));
        }
    }
}

#[test]
fn forward_is_within_its_bound_for_masks_and_biases_of_every_kind() {
    let mut random = Random(42);
    let mut checked = 0;
    while checked < 40 {
        let mut case = Case::random(&mut random);
        if case.problem.form != ScoreForm::Linear {
            continue;
        }
        // A power of two, or order 2 would be left to single precision.
        case.problem.scale = 0.5;
        // Dropout makes some weights greater, but none of them less exact.
        case.problem.dropout = random.chance(3).then_some(Dropout { rate: 0.25, seed: 5 });
        let half = HalfCase::new(&case);
        for level in levels() {
            check_forward(&half, &half.run(level), &format!("case {checked} on {level}"));
        }
        checked += 1;
    }
}

/// The gradients' bounds, beside themselves: for each tuple the error of P and of dS, in absolute value through the sums.
fn bounds(half: &HalfCase) -> Vec<Vec<f64>> {
    let problem = &half.case.problem;
    let numbers = half.numbers();
    let walk = Walk { problem, numbers: &numbers };
    let most = walk.most();
    let (out, lse) = reference::forward(problem, &numbers);
    let mut sizes = numbers.clone();
    sizes.values.iter_mut().flatten().for_each(|x| *x = x.abs());
    let size = reference::forward(problem, &sizes).0;
    let dout = wide(&half.dout);
    let axes = problem.keys.len();
    // The axis that is streamed: its gradients have one more rounded factor, m or n.
    let mut bounds: Vec<Vec<f64>> =
        std::iter::once(&numbers.q).chain(&numbers.keys).chain(&numbers.values).map(|x| vec![0.0; x.len()]).collect();
    let (width, value_width, scale) = (problem.width, problem.value_width, f64::from(problem.scale));
    for heads in walk.heads() {
        for query in 0..problem.queries {
            let row = heads.0 * problem.queries + query;
            let range = row * value_width..(row + 1) * value_width;
            let (dout, out, size, a) = (&dout[range.clone()], &out[range.clone()], &size[range], most[row]);
            let out_error = |l: usize| (2.0 * a + 1.0) * U * size[l] + U * out[l].abs();
            let delta: f64 = (0..value_width).map(|l| dout[l] * out[l]).sum::<f64>() - f64::from(half.case.dlse[row]);
            let delta_error: f64 = (0..value_width).map(|l| dout[l].abs() * out_error(l)).sum();
            for tuple in walk.tuples(query) {
                let score: f64 = scale * walk.keys_product(heads, &tuple, None).iter().sum::<f64>();
                let p = (score - lse[row]).exp();
                let values = walk.values_product(heads.1, &tuple, None);
                let dp: f64 = (0..value_width).map(|l| dout[l] * values[l]).sum();
                let dp_error = U * (0..value_width).map(|l| (dout[l] * values[l]).abs()).sum::<f64>();
                let ds = p * (dp - delta);
                let p_error = (2.0 * a + 1.0) * U * p;
                let ds_error = (2.0 * a + 1.0) * U * ds.abs() + p * (dp_error + delta_error);
                for (operand, token) in tuple.iter().enumerate() {
                    let others = walk.keys_product(heads, &tuple, Some(operand));
                    let head =
                        if operand == 0 { heads.0 * problem.queries } else { heads.1 * problem.keys[operand - 1] };
                    let to = &mut bounds[operand][(head + token) * width..][..width];
                    let error = ds_error + U * ds.abs();
                    to.iter_mut().zip(others).for_each(|(to, x)| *to += error * (scale * x).abs());
                }
                for axis in 0..axes {
                    let others = walk.values_product(heads.1, &tuple, Some(axis));
                    let token = heads.1 * problem.keys[axis] + tuple[axis + 1];
                    let to = &mut bounds[1 + axes + axis][token * value_width..][..value_width];
                    let error = p_error + U * p;
                    to.iter_mut().zip(others.iter().zip(dout)).for_each(|(to, (x, y))| *to += error * (x * y).abs());
                }
            }
        }
    }
    bounds
}

#[test]
fn gradients_are_within_their_bounds() {
    let mut random = Random(43);
    for (index, problem) in sizes().into_iter().enumerate() {
        let case = Case::of(problem, &mut random);
        let half = HalfCase::new(&case);
        let problem = &case.problem;
        let dlse: Vec<f64> = case.dlse.iter().map(|x| f64::from(*x)).collect();
        let gradients = reference::backward(problem, &half.numbers(), &wide(&half.dout), &dlse);
        let expected: Vec<Vec<f64>> =
            std::iter::once(gradients.q).chain(gradients.keys).chain(gradients.values).collect();
        let bounds = bounds(&half);
        for level in levels() {
            let found = half.run(level).2;
            for (array, ((found, expected), bounds)) in found.iter().zip(&expected).zip(&bounds).enumerate() {
                for (place, ((found, expected), bound)) in found.iter().zip(expected).zip(bounds).enumerate() {
                    let bound = (bound + U * expected.abs()) * REST + 1e-5;
                    let error = (found - expected).abs();
                    assert!(
                        error <= bound,
                        "size {index} on {level}: {array}[{place}] off by {error}, at most {bound}, in {problem:?}"
                    );
                }
            }
        }
    }
}

/// Order 3, dense, one head, as one writes it down: everything that is multiplied is rounded to bfloat16 first, sums are in
/// single precision, one after the other, and what comes out is rounded.
fn plain(half: &HalfCase) -> Found {
    let problem = &half.case.problem;
    let (n, d, dv) = (problem.queries, problem.width, problem.value_width);
    let [m1, m2] = [problem.keys[0], problem.keys[1]];
    let single = |x: &[bf16]| x.iter().map(|x| x.to_f32()).collect::<Vec<f32>>();
    let round = |x: f32| bf16::from_f32(x).to_f32();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let add = |to: &mut [f32], x: f32, by: &[f32]| to.iter_mut().zip(by).for_each(|(to, by)| *to += x * by);
    let (q, dout) = (single(&half.q), single(&half.dout));
    let [[k1, k2], [v1, v2]] = [&half.keys, &half.values].map(|x| [single(&x[0]), single(&x[1])]);
    let (mut out, mut lse) = (Vec::new(), Vec::new());
    let mut gradients = [n * d, m1 * d, m2 * d, m1 * dv, m2 * dv].map(|count| vec![0f32; count]);
    for i in 0..n {
        let (q, dout) = (&q[i * d..][..d], &dout[i * dv..][..dv]);
        let token = |x: &[f32], j: usize, width: usize| x[j * width..][..width].to_vec();
        let pairs = || (0..m1).flat_map(|j| (0..m2).map(move |k| (j, k)));
        let modulated = |x: &[f32], y: &[f32], scale: f32| -> Vec<f32> {
            x.iter().zip(y).map(|(x, y)| round(scale * x * y)).collect()
        };
        let m: Vec<Vec<f32>> = (0..m1).map(|j| modulated(q, &token(&k1, j, d), problem.scale)).collect();
        let g: Vec<Vec<f32>> = (0..m1).map(|j| modulated(dout, &token(&v1, j, dv), 1.0)).collect();
        let scores: Vec<f32> = pairs().map(|(j, k)| dot(&m[j], &token(&k2, k, d))).collect();
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f32 = scores.iter().map(|s| (s - most).exp()).sum();
        let mut row = vec![0.0; dv];
        for j in 0..m1 {
            let mut sum = vec![0.0; dv];
            (0..m2).for_each(|k| add(&mut sum, round((scores[j * m2 + k] - most).exp()), &token(&v2, k, dv)));
            row.iter_mut().zip(sum.iter().zip(token(&v1, j, dv))).for_each(|(to, (x, y))| *to += x * y);
        }
        let row: Vec<f32> = row.iter().map(|x| round(x / total)).collect();
        lse.push(most + total.ln());
        let delta = dot(dout, &row) - half.case.dlse[i];
        for j in 0..m1 {
            let (mut u, mut t) = (vec![0.0; d], vec![0.0; dv]);
            for k in 0..m2 {
                let p = (scores[j * m2 + k] - lse[i]).exp();
                let ds = round(p * (dot(&g[j], &token(&v2, k, dv)) - delta));
                add(&mut u, ds, &token(&k2, k, d));
                add(&mut t, round(p), &token(&v2, k, dv));
                add(&mut gradients[2][k * d..][..d], ds, &m[j]);
                add(&mut gradients[4][k * dv..][..dv], round(p), &g[j]);
            }
            let of = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).collect::<Vec<f32>>();
            add(&mut gradients[0][i * d..][..d], problem.scale, &of(&token(&k1, j, d), &u));
            add(&mut gradients[1][j * d..][..d], problem.scale, &of(q, &u));
            add(&mut gradients[3][j * dv..][..dv], 1.0, &of(dout, &t));
        }
        out.extend(row);
    }
    let rounded = |x: &Vec<f32>| x.iter().map(|x| f64::from(round(*x))).collect();
    (rounded(&out), lse.iter().map(|x| f64::from(*x)).collect(), gradients.iter().map(rounded).collect())
}

#[test]
fn errors_are_at_most_twice_those_of_a_plain_evaluation() {
    let mut random = Random(44);
    for (n, keys, width, scale) in
        [(16, [12, 96], 64, 0.125), (9, [30, 70], 24, 0.2), (5, [20, 300], 16, 1.0), (8, [8, 64], 128, 0.09)]
    {
        let problem = Problem { queries: n, keys: keys.to_vec(), ..Problem::new(3, 1, width, scale) };
        let case = Case::of(problem, &mut random);
        let half = HalfCase::new(&case);
        let (out, lse) = reference::forward(&case.problem, &half.numbers());
        let dlse: Vec<f64> = case.dlse.iter().map(|x| f64::from(*x)).collect();
        let exact = reference::backward(&case.problem, &half.numbers(), &wide(&half.dout), &dlse);
        let exact: Vec<Vec<f64>> = [out, lse, exact.q].into_iter().chain(exact.keys).chain(exact.values).collect();
        let errors = |found: Found| -> Vec<f64> {
            let found = [found.0, found.1].into_iter().chain(found.2);
            let worst = |(a, b): (Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            found.zip(&exact).map(worst).collect()
        };
        let allowed = errors(plain(&half));
        for level in levels() {
            for (array, (error, allowed)) in errors(half.run(level)).into_iter().zip(&allowed).enumerate() {
                let name = ["out", "lse", "dq", "dk1", "dk2", "dv1", "dv2"][array];
                assert!(error <= 2.0 * allowed, "{name} of width {width} on {level}: {error}, plain {allowed}");
            }
        }
    }
}

#[test]
fn the_same_bits_come_from_any_number_of_threads() {
    let mut random = Random(45);
    for (n, heads, order) in [(70, 1, 3), (33, 3, 3), (12, 1, 4), (300, 2, 2)] {
        let problem = Problem { heads, key_heads: heads, causal: true, ..Problem::new(order, n, 19, 0.25) };
        let case = Case::of(problem, &mut random);
        let half = HalfCase::new(&case);
        for level in levels() {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| half.run(level))
            };
            let one = run(1);
            for threads in [2, 3, 7] {
                assert!(run(threads) == one, "{threads} threads differ from one at n {n}, order {order}, on {level}");
            }
        }
    }
}

#[test]
fn what_is_not_finite_stays_with_those_who_see_it() {
    let mut random = Random(46);
    let problem =
        Problem { causal: true, lengths: vec![vec![30, 35]], keys: vec![40, 44], ..Problem::new(3, 40, 9, 0.25) };
    let case = Case::of(problem, &mut random);
    for level in levels() {
        let clean = HalfCase::new(&case).run(level);
        let mut dirty = case.clone();
        for (axis, length) in [(0, 30), (1, 35)] {
            dirty.keys[axis][length * 9..].fill(f32::NAN);
            dirty.values[axis][length * 9..].fill(f32::INFINITY);
        }
        assert!(HalfCase::new(&dirty).run(level) == clean, "{level}: beyond the length");
        // A token that the later queries see leaves the earlier ones within the bounds of either precision.
        dirty.keys[0][20 * 9] = f32::NAN;
        dirty.values[1][25 * 9] = f32::INFINITY;
        let found = HalfCase::new(&dirty).run(level);
        for (a, b) in found.0[..20 * 9].iter().zip(&clean.0) {
            assert!((a - b).abs() < 8.0 * U * (1.0 + b.abs()), "{level}: {a} became {b}");
        }
        assert!(found.1[20].is_nan(), "{level}: the token's own row has {}", found.1[20]);
    }
}
