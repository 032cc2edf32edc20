//! The gradient of [`certified`](super::certified): of the polynomials where rows are by them, of the exact kernel elsewhere.

use crate::backward::{self as exact_backward, Gradients};
use crate::error::{Result, check_length, problem as wrong};
use crate::form::Channels;
use crate::forward::{forward, forward_workspace};
use crate::layout::Places;
use crate::polynomial::backward::{Back, Row as BackRow, Slopes};
use crate::polynomial::certificate::Certified;
use crate::polynomial::head::Head;
use crate::polynomial::operands::times_power;
use crate::polynomial::passes::Row;
use crate::polynomial::{Method, Options, Summary, unsupported};
use crate::problem::{Inputs, Problem};
use polyad_simd::Level;
use std::collections::BTreeMap;

/// The gradient of what is to be made small.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a> {
    /// As out.
    pub dout: &'a [f32],
    /// `[batch, heads, n]`; nothing is zeros.
    pub dlse: Option<&'a [f32]>,
}

/// The gradient of `Σ dout · out + Σ dlse · lse`, `out` and `lse` being what [`certified`](super::certified) gives with the
/// same options: it is computed again first. Polynomials' coefficients are held fixed. The same input gives the same bits on
/// any number of threads.
///
/// # Shapes
/// `to` as [`crate::backward`] takes it; what is in it is overwritten.
///
/// # Cost
/// That of `certified`, and about four times the operations of moving states for rows by polynomials, causal or not; for
/// exact rows those of the exact gradient.
///
/// # Errors
/// As `certified`'s; and [`Method::Exact`], whose gradient is [`crate::backward`]'s, and [`Method::Sketch`], which has none.
pub fn certified_backward(
    problem: &Problem,
    inputs: &Inputs<f32>,
    options: &Options,
    upstream: &Upstream,
    to: &mut Gradients<f32>,
    level: Level,
) -> Result<()> {
    inputs.check(problem)?;
    options.check()?;
    if options.method == Method::Exact {
        return wrong("the gradient of the exact method is that of the exact kernel");
    }
    if options.method == Method::Sketch {
        return wrong("sketches have no gradient; polynomials and the exact kernel do");
    }
    if let Some(what) = unsupported(problem, inputs) {
        return wrong(format!("the polynomial method does not do {what}; the exact one does"));
    }
    problem.out_places().check_length("dout", upstream.dout.len())?;
    if let Some(dlse) = upstream.dlse {
        check_length("dlse", dlse.len(), problem.rows())?;
    }
    problem.query_places().check_length("dq", to.q.len())?;
    to.q.fill(0.0);
    for (axis, (keys, values)) in to.keys.iter_mut().zip(&mut to.values).enumerate() {
        problem.key_places(axis).check_length("dk", keys.len())?;
        problem.value_places(axis).check_length("dv", values.len())?;
        keys.fill(0.0);
        values.fill(0.0);
    }
    let channels = problem.form.channels(problem.order(), problem.width);
    for key_head in 0..problem.batch * problem.key_heads {
        let head = Head::new(problem, inputs, &channels, key_head, options, level);
        let first = head.query_heads.start * problem.queries;
        let mut by_degree: BTreeMap<usize, Vec<(usize, Certified)>> = BTreeMap::new();
        let mut exact = Vec::new();
        head.rows(&mut Summary::default(), |row, done| match done {
            Row::Blind | Row::Sketched(..) => {}
            Row::Certified(done) => {
                by_degree.entry(done.polynomial.coefficients.len() - 1).or_default().push((row - first, done));
            }
            Row::Exact(_) => exact.push(row),
        });
        for (degree, rows) in by_degree {
            let slopes = of_degree(&head, degree, &rows, upstream);
            add(&head, &channels, key_head, &slopes, to);
        }
        for row in exact {
            of_exact_row(&head, inputs, (row, key_head), upstream, to)?;
        }
    }
    Ok(())
}

/// The gradient of the rows that are by polynomials of one degree.
fn of_degree(head: &Head, degree: usize, rows: &[(usize, Certified)], upstream: &Upstream) -> Slopes {
    let problem = head.problem;
    let (n, heads) = (problem.queries, head.query_heads.len());
    let mut slopes = Slopes::new(&head.key, head.channels, heads, n);
    let mut wanted = vec![false; heads * n];
    let mut given: Vec<Vec<Option<BackRow>>> = (0..heads).map(|_| (0..n).map(|_| None).collect()).collect();
    for (index, done) in rows {
        wanted[*index] = true;
        let row = head.query_heads.start * n + index;
        let own = problem.out_places().row(upstream.dout, row);
        let mut dout = vec![0.0; head.key.columns];
        for ((to, x), power) in dout.iter_mut().zip(own).zip(&head.key.value_powers) {
            *to = times_power(f64::from(*x), *power);
        }
        let along: f64 = own.iter().zip(&done.out).map(|(d, out)| f64::from(*d) * out).sum();
        let slope = upstream.dlse.map_or(0.0, |dlse| f64::from(dlse[row])) - along;
        given[index / n][index % n] = Some(BackRow { coefficients: done.coefficients(), dout, slope });
    }
    // By forward's budget; for these rows alone, so that no more is left out than could be there.
    let Some(basis) = head.basis(degree, &wanted) else { return slopes };
    let back = Back {
        key: &head.key,
        basis: &basis,
        queries: n,
        channels: &head.queries,
        stride: head.stride,
        sight: &|axis, i| head.sight(axis, i),
        seen_by: &|axis, token| head.seen_by(axis, token),
        rows: &given,
        level: head.level,
    };
    back.run(&mut slopes);
    slopes
}

/// Adds the gradient of normalised channels and values to that of the arrays.
fn add(head: &Head, channels: &Channels, key_head: usize, slopes: &Slopes, to: &mut Gradients<f32>) {
    let problem = head.problem;
    let count = head.channels;
    for (own, query_head) in slopes.queries.iter().zip(head.query_heads.clone()) {
        for (i, own) in own.chunks_exact(count).enumerate() {
            let powers = &head.key.channel_powers;
            let gradient = own.iter().zip(powers).map(|(x, power)| times_power(*x, *power) as f32);
            let row = row_of(problem.query_places(), &mut *to.q, query_head * problem.queries + i);
            channels.collapse(0, problem.scale, gradient, row);
        }
    }
    for (index, axis) in head.key.axes.iter().enumerate() {
        for (token, place) in axis.places.iter().enumerate() {
            let row = key_head * problem.room(index) + place;
            let own = &slopes.keys[index][token * count..(token + 1) * count];
            let gradient = own.iter().zip(&axis.channel_powers).map(|(x, power)| times_power(*x, -power) as f32);
            channels.collapse(index + 1, 1.0, gradient, row_of(problem.key_places(index), to.keys[index], row));
            let own = &slopes.values[index][token * head.key.columns..(token + 1) * head.key.columns];
            let values = row_of(problem.value_places(index), to.values[index], row);
            for ((to, x), power) in values.iter_mut().zip(own).zip(&axis.value_powers) {
                *to += times_power(*x, -power) as f32;
            }
        }
    }
}

fn row_of(places: Places, array: &mut [f32], row: usize) -> &mut [f32] {
    let start = places.start(row);
    &mut array[start..start + places.width]
}

/// Adds the exact gradient of one row: a problem of one query and the keys that it sees.
fn of_exact_row(
    head: &Head,
    inputs: &Inputs<f32>,
    (row, key_head): (usize, usize),
    upstream: &Upstream,
    to: &mut Gradients<f32>,
) -> Result<()> {
    let whole = head.problem;
    let i = row % whole.queries;
    let axes = 0..whole.keys.len();
    // Where keys are gathered, a token's place is not its number among the keys.
    let places: Vec<Vec<usize>> = axes
        .clone()
        .map(|axis| {
            let of = &head.key.axes[axis];
            head.sight(axis, i).filter(|token| of.counts[*token]).map(|token| of.places[token]).collect()
        })
        .collect();
    let problem = Problem {
        queries: 1,
        keys: places.iter().map(Vec::len).collect(),
        value_width: whole.value_width,
        form: whole.form,
        ..Problem::new(whole.order(), 1, whole.width, whole.scale)
    };
    let rows = |axis: usize| places[axis].iter().map(move |place| key_head * whole.room(axis) + place);
    let gather = |places: Places, array: &[f32], axis: usize| -> Vec<f32> {
        rows(axis).flat_map(|row| places.row(array, row).to_vec()).collect()
    };
    let keys: Vec<Vec<f32>> =
        axes.clone().map(|axis| gather(whole.key_places(axis), inputs.keys[axis], axis)).collect();
    let values: Vec<Vec<f32>> =
        axes.clone().map(|axis| gather(whole.value_places(axis), inputs.values[axis], axis)).collect();
    let (key_arrays, value_arrays): (Vec<&[f32]>, Vec<&[f32]>) =
        (keys.iter().map(Vec::as_slice).collect(), values.iter().map(Vec::as_slice).collect());
    let own = Inputs::new(whole.query_places().row(inputs.q, row), &key_arrays, &value_arrays);
    let (mut out, mut lse) = (vec![0.0; whole.value_width], vec![0.0]);
    forward(&problem, &own, &mut out, &mut lse, &mut vec![0.0; forward_workspace(&problem)?], head.level)?;
    let mut q = vec![0.0; whole.width];
    let (mut dk, mut dv): (Vec<Vec<f32>>, Vec<Vec<f32>>) =
        (keys.iter().map(|x| vec![0.0; x.len()]).collect(), values.iter().map(|x| vec![0.0; x.len()]).collect());
    let dlse = upstream.dlse.map(|dlse| vec![dlse[row]]);
    let from_above = exact_backward::Upstream {
        out: &out,
        lse: &lse,
        dout: whole.out_places().row(upstream.dout, row),
        dlse: dlse.as_deref(),
    };
    let mut gradients = Gradients {
        q: &mut q,
        keys: dk.iter_mut().map(Vec::as_mut_slice).collect(),
        values: dv.iter_mut().map(Vec::as_mut_slice).collect(),
        biases: Vec::new(),
        sink: None,
    };
    let mut workspace = vec![0.0; exact_backward::backward_workspace(&problem, &own)?];
    exact_backward::backward(&problem, &own, &from_above, &mut gradients, &mut workspace, head.level)?;
    let sum = |to: &mut [f32], from: &[f32]| to.iter_mut().zip(from).for_each(|(to, x)| *to += x);
    sum(row_of(whole.query_places(), &mut *to.q, row), &q);
    for axis in axes {
        for (index, row) in rows(axis).enumerate() {
            let (width, value_width) = (whole.width, whole.value_width);
            let own = &dk[axis][index * width..(index + 1) * width];
            sum(row_of(whole.key_places(axis), to.keys[axis], row), own);
            let own = &dv[axis][index * value_width..(index + 1) * value_width];
            sum(row_of(whole.value_places(axis), to.values[axis], row), own);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::ScoreForm;
    use crate::polynomial::Tolerance;
    use crate::prepare::counts;

    /// SplitMix64, as numbers of about normal size.
    fn numbers(seed: &mut u64, count: usize) -> Vec<f32> {
        let mut next = || {
            *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// The gradient of polynomials' rows by their definition, tuple by tuple in double precision.
    struct Definition {
        q: Vec<f64>,
        keys: Vec<Vec<f64>>,
        values: Vec<Vec<f64>>,
    }

    fn definition(problem: &Problem, inputs: &Inputs<f32>, options: &Options, upstream: &Upstream) -> Definition {
        let channels = problem.form.channels(problem.order(), problem.width);
        let zeros = |arrays: &[&[f32]]| arrays.iter().map(|x| vec![0.0; x.len()]).collect::<Vec<_>>();
        let mut to =
            Definition { q: vec![0.0; inputs.q.len()], keys: zeros(inputs.keys), values: zeros(inputs.values) };
        for key_head in 0..problem.batch * problem.key_heads {
            let head = Head::new(problem, inputs, &channels, key_head, options, Level::best());
            head.rows(&mut Summary::default(), |row, done| {
                let Row::Certified(done) = done else { return };
                of_row(problem, inputs, &channels, (row, key_head), &done, upstream, &mut to);
            });
        }
        to
    }

    fn of_row(
        problem: &Problem,
        inputs: &Inputs<f32>,
        channels: &Channels,
        (row, key_head): (usize, usize),
        done: &Certified,
        upstream: &Upstream,
        to: &mut Definition,
    ) {
        let (i, batch) = (row % problem.queries, key_head / problem.key_heads);
        let expand = |operand: usize, token: &[f32]| -> Vec<f64> {
            let mut out = vec![0.0; channels.count()];
            channels.expand(operand, 1.0, token, &mut out);
            out.into_iter().map(f64::from).collect()
        };
        let place = |axis: usize, j: usize| key_head * problem.room(axis) + j;
        let key = |axis: usize, j: usize| problem.key_places(axis).row(inputs.keys[axis], place(axis, j));
        let value = |axis: usize, j: usize| problem.value_places(axis).row(inputs.values[axis], place(axis, j));
        let mut tuples: Vec<Vec<usize>> = vec![Vec::new()];
        for axis in 0..problem.keys.len() {
            let (low, high) = problem.visible(axis, i);
            let seen: Vec<usize> = (low..high).filter(|j| counts(problem, inputs.hidden, batch, axis, *j)).collect();
            tuples = tuples.iter().flat_map(|t| seen.iter().map(|j| [&t[..], &[*j]].concat())).collect();
        }
        let q = problem.query_places().row(inputs.q, row);
        let operands = |tuple: &[usize]| -> Vec<Vec<f64>> {
            let keys = tuple.iter().enumerate().map(|(axis, j)| expand(axis + 1, key(axis, *j)));
            std::iter::once(expand(0, q)).chain(keys).collect()
        };
        let scale = f64::from(problem.scale);
        let score = |x: &[Vec<f64>]| -> f64 {
            scale * (0..channels.count()).map(|l| x.iter().map(|x| x[l]).product::<f64>()).sum::<f64>()
        };
        let p = |s: f64| done.polynomial.at(s - done.centre);
        let slope = |s: f64| {
            let c = &done.polynomial.coefficients;
            (1..c.len()).map(|k| k as f64 * c[k] * (s - done.centre).powi(k as i32 - 1)).sum::<f64>()
        };
        let product = |tuple: &[usize], l: usize| -> f64 {
            tuple.iter().enumerate().map(|(axis, j)| f64::from(value(axis, *j)[l])).product()
        };
        let weights: Vec<f64> = tuples.iter().map(|t| p(score(&operands(t)))).collect();
        let total: f64 = weights.iter().sum();
        let dout = problem.out_places().row(upstream.dout, row);
        let out = |l: usize| tuples.iter().zip(&weights).map(|(t, w)| w * product(t, l)).sum::<f64>() / total;
        let out: Vec<f64> = (0..problem.value_width).map(out).collect();
        for (tuple, weight) in tuples.iter().zip(&weights) {
            let x = operands(tuple);
            let along = |l: usize| f64::from(dout[l]) * (product(tuple, l) - out[l]);
            let dlse = f64::from(upstream.dlse.expect("it is there")[row]);
            let dweight = ((0..problem.value_width).map(along).sum::<f64>() + dlse) / total;
            let dscore = dweight * slope(score(&x)) * scale;
            for (axis, j) in tuple.iter().enumerate() {
                let start = problem.value_places(axis).start(place(axis, *j));
                for (l, dout) in dout.iter().enumerate() {
                    let others: f64 = tuple
                        .iter()
                        .enumerate()
                        .filter(|(b, _)| *b != axis)
                        .map(|(b, j)| f64::from(value(b, *j)[l]))
                        .product();
                    to.values[axis][start + l] += weight / total * f64::from(*dout) * others;
                }
            }
            for operand in 0..x.len() {
                let (to, start) = match operand {
                    0 => (&mut to.q, problem.query_places().start(row)),
                    _ => (
                        &mut to.keys[operand - 1],
                        problem.key_places(operand - 1).start(place(operand - 1, tuple[operand - 1])),
                    ),
                };
                for (l, feature) in channels.features[operand].iter().enumerate() {
                    let others: f64 = (0..x.len()).filter(|b| *b != operand).map(|b| x[b][l]).product();
                    let sign = if operand == 0 { f64::from(channels.signs[l]) } else { 1.0 };
                    if let Some(feature) = feature {
                        to[start + feature] += dscore * others * sign;
                    }
                }
            }
        }
    }

    #[test]
    fn gradients_are_those_of_the_polynomials_own_definition() {
        let linear = |order: usize, n: usize| Problem::new(order, n, 3, 0.4);
        let problems = [
            Problem { keys: vec![11], ..linear(2, 9) },
            Problem { value_width: 2, keys: vec![6, 9], ..linear(3, 8) },
            Problem { causal: true, ..linear(3, 9) },
            Problem { causal: true, windows: vec![Some(3), None], heads: 2, keys: vec![9, 12], ..linear(3, 9) },
            Problem { windows: vec![Some(4), Some(7)], heads: 4, key_heads: 2, batch: 2, ..linear(3, 8) },
            Problem { lengths: vec![vec![5, 7]], form: ScoreForm::Determinant, ..linear(3, 8) },
            Problem { form: ScoreForm::Strassen, width: 2, ..linear(3, 7) },
            Problem { causal: true, form: ScoreForm::Tree, width: 2, ..linear(4, 5) },
            Problem { causal: true, ..linear(4, 5) },
        ];
        for (index, problem) in problems.into_iter().enumerate() {
            let mut seed = index as u64;
            let q = numbers(&mut seed, problem.query_numbers());
            let axes = 0..problem.keys.len();
            let keys: Vec<Vec<f32>> = axes.clone().map(|a| numbers(&mut seed, problem.key_numbers(a))).collect();
            let values: Vec<Vec<f32>> = axes.clone().map(|a| numbers(&mut seed, problem.value_numbers(a))).collect();
            let (keys, values): (Vec<&[f32]>, Vec<&[f32]>) =
                (keys.iter().map(Vec::as_slice).collect(), values.iter().map(Vec::as_slice).collect());
            let inputs = Inputs::new(&q, &keys, &values);
            let (dout, dlse) = (numbers(&mut seed, problem.out_numbers()), numbers(&mut seed, problem.rows()));
            let upstream = Upstream { dout: &dout, dlse: Some(&dlse) };
            // Polynomials far from e^s, so that their gradient is not that of exact attention; nothing left out.
            let options = Options { tolerance: Tolerance::Absolute(100.0), dropped: 0.0, ..Options::default() };
            let expected = definition(&problem, &inputs, &options, &upstream);
            let nan = |x: &[f32]| vec![f32::NAN; x.len()];
            let on = |threads: usize| {
                let mut dq = nan(&q);
                let (mut dk, mut dv): (Vec<_>, Vec<_>) =
                    (keys.iter().map(|x| nan(x)).collect(), values.iter().map(|x| nan(x)).collect());
                let mut to = Gradients {
                    q: &mut dq,
                    keys: dk.iter_mut().map(Vec::as_mut_slice).collect(),
                    values: dv.iter_mut().map(Vec::as_mut_slice).collect(),
                    biases: Vec::new(),
                    sink: None,
                };
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                let run = || certified_backward(&problem, &inputs, &options, &upstream, &mut to, Level::best());
                pool.install(run).expect("it is right");
                (dq, dk, dv)
            };
            let (dq, dk, dv) = on(1);
            assert_eq!((&dq, &dk, &dv), (&on(3).0, &on(3).1, &on(3).2), "problem {index} on other threads");
            let pairs = [(&dq, &expected.q)]
                .into_iter()
                .chain(dk.iter().zip(&expected.keys))
                .chain(dv.iter().zip(&expected.values));
            for (which, (found, expected)) in pairs.enumerate() {
                let most = expected.iter().map(|x| x.abs()).fold(0.0, f64::max);
                for (found, expected) in found.iter().zip(expected) {
                    let error = (f64::from(*found) - expected).abs();
                    // Features of single precision, of which terms are sums.
                    assert!(error <= 3e-5 * most, "problem {index}, array {which}: {found} instead of {expected}");
                }
            }
        }
    }
}
