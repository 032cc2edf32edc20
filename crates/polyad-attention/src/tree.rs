//! Tree attention as a chain of ordinary attentions: time grows with pairs of tokens, not with tuples.
//!
//! ```text
//! S[i, j1, j2 ..] = q_i · k1_j1 + k1_j1 · k2_j2 + ..
//! 1. from the last axis to the first:  u_j, s_j = ordinary attention of k_j with the next axis, whose values and scores
//!      are those of the link before:   values v ∘ u, and s, its lse, as one more channel of the keys beside a 1
//! 2. out, lse = ordinary attention of q with the first axis so dressed
//! backward: the links the other way round, each giving the gradient of out and of lse to the next
//! ```
//!
//! (arXiv 2602.02422: trees are the only forms of three and more tokens for which this goes.) What a token of one axis
//! sees of the next must not depend on the query: with causality or windows on later axes, with softcap, dropout, or a
//! bias of axes that are no neighbours, the form is computed as linear channels.

use crate::backward::{self, GradientRows, Upstream};
use crate::element::{Element, narrow_into};
use crate::form::ScoreForm;
use crate::forward::{self, Work};
use crate::prepare::{Arena, counts, padded};
use crate::problem::{Bias, Inputs, Problem};
use polyad_simd::Level;

/// Whether a problem is computed so.
pub(crate) fn applies<E>(problem: &Problem, inputs: &Inputs<E>) -> bool {
    let neighbours = |bias: &Bias| {
        let (a, b) = bias.axes;
        let shared = bias.values.len() == problem.tokens(a) * problem.tokens(b);
        b == a + 1 && (a == 0 || shared || problem.heads == problem.key_heads)
    };
    problem.form == ScoreForm::Tree
        && problem.order() > 2
        && !problem.causal
        && problem.windows.iter().skip(1).all(Option::is_none)
        && problem.softcap.is_none()
        && problem.dropout.is_none()
        && inputs.biases.iter().all(neighbours)
}

/// One ordinary attention of the chain: the queries are those of operand `link`, the keys those of axis `link`.
struct Link {
    problem: Problem,
    last: bool,
}

impl Link {
    fn chain(problem: &Problem) -> Vec<Link> {
        let axes = problem.keys.len();
        let link = |link: usize| {
            let last = link + 1 == axes;
            Link {
                problem: Problem {
                    batch: problem.batch,
                    heads: if link == 0 { problem.heads } else { problem.key_heads },
                    key_heads: problem.key_heads,
                    queries: problem.tokens(link),
                    keys: vec![problem.keys[link]],
                    value_width: problem.value_width,
                    windows: problem.windows.iter().take(1).copied().filter(|_| link == 0).collect(),
                    lengths: problem.lengths.iter().map(|lengths| vec![lengths[link]]).collect(),
                    // The queries have it in them, so that the channel of s is as it is.
                    ..Problem::new(2, 1, problem.width + usize::from(!last), 1.0)
                },
                last,
            }
        };
        (0..axes).map(link).collect()
    }

    /// Numbers of queries, keys, values, out, lse, in the order in which they are taken.
    fn sizes(&self) -> [usize; 5] {
        let problem = &self.problem;
        [
            problem.query_numbers(),
            problem.key_numbers(0),
            problem.value_numbers(0),
            problem.out_numbers(),
            problem.rows(),
        ]
    }

    fn numbers(&self) -> usize {
        self.sizes().into_iter().map(padded).sum()
    }
}

/// The arrays of a link.
struct Arrays<'a> {
    q: &'a mut [f32],
    keys: &'a mut [f32],
    values: &'a mut [f32],
    out: &'a mut [f32],
    lse: &'a mut [f32],
}

impl<'a> Arrays<'a> {
    fn take(link: &Link, arena: &mut Arena<'a>) -> Self {
        let [q, keys, values, out, lse] = link.sizes().map(|numbers| arena.take(numbers));
        Arrays { q, keys, values, out, lse }
    }
}

/// What belongs to a link of all that belongs to the problem.
struct Own<'a> {
    biases: Vec<Bias<'a>>,
    hidden: Vec<Option<&'a [bool]>>,
    sink: Option<&'a [f32]>,
}

impl<'a> Own<'a> {
    fn new<E>(inputs: &Inputs<'a, E>, link: usize) -> Self {
        let own = inputs.biases.iter().filter(|bias| bias.axes.0 == link);
        Own {
            biases: own.map(|bias| Bias { axes: (0, 1), values: bias.values }).collect(),
            hidden: inputs.hidden.get(link).copied().into_iter().collect(),
            sink: inputs.sink.filter(|_| link == 0),
        }
    }

    /// Calls with the link's inputs, which are queries, keys and values.
    fn with<T>(&self, [q, keys, values]: [&[f32]; 3], f: impl FnOnce(&Inputs) -> T) -> T {
        f(&Inputs { q, keys: &[keys], values: &[values], biases: &self.biases, hidden: &self.hidden, sink: self.sink })
    }
}

/// Numbers of forward's workspace.
pub(crate) fn forward_workspace(problem: &Problem) -> usize {
    let chain = Link::chain(problem);
    let own = chain.iter().map(Link::numbers).sum::<usize>();
    Arena::LOST + own + chain.iter().map(|link| forward::workspace(&link.problem)).max().unwrap_or(0)
}

/// As [`crate::forward()`], after its checks.
pub(crate) fn forward<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    out: &mut [&mut [E]],
    lse: &mut [f32],
    workspace: &mut [f32],
    level: Level,
) -> Work {
    let chain = Link::chain(problem);
    let mut arena = Arena::new(workspace);
    let mut arrays: Vec<Arrays> = chain.iter().map(|link| Arrays::take(link, &mut arena)).collect();
    let rest = arena.rest();
    let mut work = Work::default();
    for link in (0..chain.len()).rev() {
        dress(problem, inputs, link, &mut arrays);
        work.scores += attend(&chain, inputs, link, &mut arrays, rest, level).scores;
    }
    let rows = arrays[0].out.chunks_exact(problem.value_width);
    rows.zip(out).for_each(|(row, out)| narrow_into(row, out));
    lse.copy_from_slice(arrays[0].lse);
    work
}

/// Ordinary attention of a link, over its arrays.
fn attend<E>(
    chain: &[Link],
    inputs: &Inputs<E>,
    link: usize,
    arrays: &mut [Arrays],
    workspace: &mut [f32],
    level: Level,
) -> Work {
    let (own, problem) = (Own::new(inputs, link), &chain[link].problem);
    let Arrays { q, keys, values, out, lse } = &mut arrays[link];
    let workspace = &mut workspace[..forward::workspace(problem)];
    let mut out = problem.out_places().cut(out);
    own.with([q, keys, values], |inputs| forward::compute(problem, inputs, &mut out, lse, workspace, level))
}

/// Whether some query sees a token of an axis.
fn is_seen<E>(problem: &Problem, inputs: &Inputs<E>, axis: usize, row: usize) -> bool {
    let (low, high) = problem.seen_by(axis, row % problem.keys[axis]);
    let entry = row / problem.keys[axis] / problem.key_heads;
    low < high && counts(problem, inputs.hidden, entry, axis, row % problem.keys[axis])
}

/// A token of an axis among those that there is room for.
fn place(problem: &Problem, axis: usize, row: usize) -> usize {
    row / problem.keys[axis] * problem.room(axis) + row % problem.keys[axis]
}

/// The key of a token of an axis.
fn key<'a, E: Element>(problem: &Problem, inputs: &Inputs<'a, E>, axis: usize, row: usize) -> &'a [E] {
    problem.key_places(axis).row(inputs.keys[axis], place(problem, axis, row))
}

/// The value of a token of an axis.
fn value<'a, E: Element>(problem: &Problem, inputs: &Inputs<'a, E>, axis: usize, row: usize) -> &'a [E] {
    problem.value_places(axis).row(inputs.values[axis], place(problem, axis, row))
}

/// Fills queries, keys and values of a link. Tokens that nobody sees are zeros, whatever they hold.
fn dress<E: Element>(problem: &Problem, inputs: &Inputs<E>, link: usize, arrays: &mut [Arrays]) {
    let (width, value_width) = (problem.width, problem.value_width);
    let (before, after) = arrays.split_at_mut(link + 1);
    let (own, next) = (&mut before[link], after.first());
    let full = width + usize::from(next.is_some());
    let wide = |to: &mut [f32], from: &[E], by: f32| to.iter_mut().zip(from).for_each(|(to, x)| *to = x.wide() * by);
    for (row, to) in own.q.chunks_exact_mut(full).enumerate() {
        to.fill(0.0);
        if link == 0 {
            wide(to, problem.query_places().row(inputs.q, row), problem.scale);
        } else if is_seen(problem, inputs, link - 1, row) {
            wide(to, key(problem, inputs, link - 1, row), problem.scale);
        }
        to[width..].fill(1.0);
    }
    for (row, to) in own.keys.chunks_exact_mut(full).enumerate() {
        to.fill(0.0);
        if is_seen(problem, inputs, link, row) {
            wide(to, key(problem, inputs, link, row), 1.0);
        }
        if let Some(next) = next {
            to[width] = next.lse[row];
        }
    }
    for (row, to) in own.values.chunks_exact_mut(value_width).enumerate() {
        to.fill(0.0);
        if is_seen(problem, inputs, link, row) {
            wide(to, value(problem, inputs, link, row), 1.0);
        }
        if let Some(next) = next {
            to.iter_mut().zip(&next.out[row * value_width..]).for_each(|(to, u)| *to *= u);
        }
    }
}

/// Numbers of backward's workspace.
pub(crate) fn backward_workspace<E: Element>(problem: &Problem, inputs: &Inputs<E>) -> usize {
    let chain = Link::chain(problem);
    let own = chain.iter().map(|link| 2 * link.numbers()).sum::<usize>();
    let of_link = |(index, link): (usize, &Link)| {
        let backward = backward::workspace(&link.problem, &Own::new(inputs, index).biases);
        forward::workspace(&link.problem).max(backward)
    };
    Arena::LOST + own + chain.iter().enumerate().map(of_link).max().unwrap_or(0)
}

/// As [`crate::backward()`], after its checks.
pub(crate) fn backward<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    upstream: &Upstream<E>,
    gradients: &mut GradientRows<E>,
    workspace: &mut [f32],
    level: Level,
) -> Work {
    let (width, value_width) = (problem.width, problem.value_width);
    let chain = Link::chain(problem);
    let mut arena = Arena::new(workspace);
    let mut arrays: Vec<Arrays> = chain.iter().map(|link| Arrays::take(link, &mut arena)).collect();
    let mut slopes: Vec<Arrays> = chain.iter().map(|link| Arrays::take(link, &mut arena)).collect();
    let rest = arena.rest();
    let mut work = Work::default();
    for link in (0..chain.len()).rev() {
        dress(problem, inputs, link, &mut arrays);
        if link > 0 {
            attend(&chain, inputs, link, &mut arrays, rest, level);
        }
    }
    // The first link's out and lse are known, its upstream gradient is given.
    let wide = |to: &mut [f32], from: &[E]| {
        let rows = to.chunks_exact_mut(value_width).enumerate();
        rows.for_each(|(row, to)| {
            to.iter_mut().zip(problem.out_places().row(from, row)).for_each(|(to, x)| *to = x.wide());
        });
    };
    wide(arrays[0].out, upstream.out);
    arrays[0].lse.copy_from_slice(upstream.lse);
    wide(slopes[0].out, upstream.dout);
    match upstream.dlse {
        Some(dlse) => slopes[0].lse.copy_from_slice(dlse),
        None => slopes[0].lse.fill(0.0),
    }
    for link in 0..chain.len() {
        let (own, sub) = (Own::new(inputs, link), &chain[link].problem);
        let Arrays { q, keys, values, out, lse } = &mut slopes[link];
        let upstream = Upstream { out: arrays[link].out, lse: arrays[link].lse, dout: out, dlse: Some(lse) };
        let of_biases = gradients.biases.iter_mut().zip(inputs.biases).filter(|(_, bias)| bias.axes.0 == link);
        let mut to = GradientRows {
            q: sub.query_places().cut(q),
            keys: vec![sub.key_places(0).cut(keys)],
            values: vec![sub.value_places(0).cut(values)],
            biases: of_biases.map(|(to, _)| &mut **to).collect(),
            sink: gradients.sink.as_deref_mut().filter(|_| link == 0),
        };
        let workspace = &mut rest[..backward::workspace(sub, &own.biases)];
        let from = &arrays[link];
        work.scores += own
            .with([from.q, from.keys, from.values], |inputs| {
                backward::compute(sub, inputs, &upstream, &mut to, workspace, level)
            })
            .scores;
        let Some((own, next)) = slopes[link..].split_first_mut().map(|(own, next)| (own, next.first_mut())) else {
            continue;
        };
        let Some(next) = next else { continue };
        for (row, dw) in own.values.chunks_exact(value_width).enumerate() {
            // The link's values are v ∘ u.
            let to = &mut next.out[row * value_width..(row + 1) * value_width];
            to.fill(0.0);
            if is_seen(problem, inputs, link, row) {
                let v = value(problem, inputs, link, row);
                to.iter_mut().zip(dw.iter().zip(v)).for_each(|(to, (dw, v))| *to = dw * v.wide());
            }
            next.lse[row] = own.keys[row * (width + 1) + width];
        }
    }
    finish(problem, inputs, &arrays, &slopes, &chain, gradients);
    work
}

/// Gradients of the arrays as they came, from those of the links.
fn finish<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    arrays: &[Arrays],
    slopes: &[Arrays],
    chain: &[Link],
    gradients: &mut GradientRows<E>,
) {
    let (width, value_width) = (problem.width, problem.value_width);
    let full = |link: usize| width + usize::from(!chain[link].last);
    for (to, slope) in gradients.q.iter_mut().zip(slopes[0].q.chunks_exact(full(0))) {
        to.iter_mut().zip(slope).for_each(|(to, x)| *to = E::narrow(x * problem.scale));
    }
    for axis in 0..chain.len() {
        let rows = gradients.keys[axis].iter_mut().chain(&mut gradients.values[axis]);
        rows.for_each(|row| row.fill(E::narrow(0.0)));
        let rows = problem.batch * problem.key_heads * problem.keys[axis];
        for row in (0..rows).filter(|row| is_seen(problem, inputs, axis, *row)) {
            let at = place(problem, axis, row);
            // As a key of its own link, and as a query of the next.
            let as_key = &slopes[axis].keys[row * full(axis)..];
            for (l, to) in gradients.keys[axis][at].iter_mut().enumerate() {
                let as_query = slopes.get(axis + 1).map_or(0.0, |next| next.q[row * full(axis + 1) + l]);
                *to = E::narrow(as_key[l] + as_query * problem.scale);
            }
            let dw = &slopes[axis].values[row * value_width..];
            for (l, to) in gradients.values[axis][at].iter_mut().enumerate() {
                let u = arrays.get(axis + 1).map_or(1.0, |next| next.out[row * value_width + l]);
                *to = E::narrow(dw[l] * u);
            }
        }
    }
}
