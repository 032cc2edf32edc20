//! The gradient of attention, weights computed anew from lse.
//!
//! ```text
//! P = exp(S − lse),  dP = (dout_i ∘ v_j ..) · inner values,  Δ_i = dout_i · out_i − dlse_i,  dS = P (dP − Δ)
//! 1. for each head and share of its blocks of 48 queries               one task, with sums of its own for keys and values
//! 2.   for each batch of 48 rows (a query with a tuple of outer tokens)
//! 3.     for each span of 256 inner tokens
//! 4.       S and dP: two products;  P and dS: one exponential
//! 5.       inner values += Pᵀ (dout ∘ v), inner keys += dSᵀ (q ∘ k): two products
//! 6.       T += P inner values, U += dS inner keys: two products
//! 7.     dq += k ∘ U;  outer keys += q ∘ .. ∘ U;  outer values += dout ∘ .. ∘ T, row by row
//! 8. shares are added up, head by head, in order: the same bits on any number of threads
//! ```
//!
//! Six products, so three times the operations of forward. Memory: sums for keys and values of at least 16 tasks.

mod finish;

use crate::element::Element;
use crate::error::{Result, check_length, problem as wrong};
use crate::form::ScoreForm;
use crate::forward::{HANDS, Work, blocks, drop_weights, fill_slots, parts, product_of};
use crate::prepare::{Arena, Prepared, Shape, padded};
use crate::problem::{Bias, Inputs, Problem};
use crate::rows::{Modulate, Slopes, Spread};
use crate::scores::{SPAN, Scores, columns, spans};
use crate::tree;
use crate::walk::{Batch, Block, walk};
use finish::finish;
use polyad_simd::gemm::{GROUP, Product};
use polyad_simd::{Level, dispatch};
use rayon::prelude::*;
use std::ops::Range;

/// Rows computed at once: twice as many as forward, since sums for inner tokens are read and written once a batch.
const ROWS: usize = 48;
/// Tasks with sums of their own, at least.
const SHARES: usize = 16;

/// Gradients, over buffers that the caller owns; all are overwritten.
#[derive(Debug)]
pub struct Gradients<'a, E = f32> {
    /// As q.
    pub q: &'a mut [E],
    /// For each axis as its keys.
    pub keys: Vec<&'a mut [E]>,
    /// For each axis as its values.
    pub values: Vec<&'a mut [E]>,
    /// For each bias as its numbers.
    pub biases: Vec<&'a mut [f32]>,
    /// As the sink; `None` where there is none, or it is not wanted.
    pub sink: Option<&'a mut [f32]>,
}

/// What backward needs of forward, and what it is given.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a, E = f32> {
    /// Forward's `out`.
    pub out: &'a [E],
    /// Forward's `lse`.
    pub lse: &'a [f32],
    /// The gradient of `out`.
    pub dout: &'a [E],
    /// The gradient of `lse`; zeros where it is left out. What stands at a row that sees nothing does not count.
    pub dlse: Option<&'a [f32]>,
}

/// How a problem is divided.
struct Plan {
    shape: Shape,
    /// Parts of a block's tuples.
    parts: usize,
    /// Shares of a head's tasks.
    shares: usize,
    /// Where each axis's keys, then values, then each bias, begin in a share's sums; and the end.
    places: Vec<usize>,
    hands: usize,
}

impl Plan {
    fn new(problem: &Problem, biases: &[usize]) -> Self {
        let shape = Shape::new(problem);
        let parts = parts(problem, &shape, ROWS);
        let tasks = problem.queries.div_ceil(ROWS) * parts;
        let shares = SHARES.div_ceil(shape.query_heads.max(1)).min(tasks.max(1));
        let mut places = vec![0];
        let sizes = problem.keys.iter().flat_map(|m| [m * shape.key_width, m * shape.value_width]);
        for size in sizes.chain(biases.iter().copied()) {
            places.push(places[places.len() - 1] + padded(size));
        }
        let hands = (shape.query_heads * shares).clamp(1, HANDS);
        Plan { shape, parts, shares, places, hands }
    }

    fn sums(&self) -> usize {
        self.places[self.places.len() - 1]
    }

    fn scratch(&self) -> usize {
        let (keys, values) = (self.shape.key_width, self.shape.value_width);
        // All widths are whole cache lines.
        ROWS * (4 * keys + 4 * values + 3 * SPAN) + keys.max(values)
    }

    fn workspace(&self, problem: &Problem) -> usize {
        let (rows, shape) = (problem.rows(), &self.shape);
        Arena::LOST
            + shape.numbers(problem, true)
            + rows * shape.value_width
            + 2 * padded(rows)
            + rows * self.parts * shape.key_width
            + shape.query_heads * self.shares * self.sums()
            + self.hands * self.scratch()
    }
}

/// Numbers of each bias of one head.
fn bias_sizes(problem: &Problem, biases: &[Bias]) -> Vec<usize> {
    biases.iter().map(|bias| problem.tokens(bias.axes.0) * problem.tokens(bias.axes.1)).collect()
}

/// Numbers that [`compute`] wants.
pub(crate) fn workspace(problem: &Problem, biases: &[Bias]) -> usize {
    Plan::new(problem, &bias_sizes(problem, biases)).workspace(problem)
}

fn by_chain<E>(problem: &Problem, inputs: &Inputs<E>) -> bool {
    problem.form == ScoreForm::Tree && tree::applies(problem, inputs)
}

/// Numbers that [`backward`] wants as its workspace.
pub fn backward_workspace<E: Element>(problem: &Problem, inputs: &Inputs<E>) -> Result<usize> {
    inputs.check(problem)?;
    Ok(match by_chain(problem, inputs) {
        true => tree::backward_workspace(problem, inputs),
        false => workspace(problem, inputs.biases),
    })
}

/// The gradient of `Σ dout · out + Σ dlse · lse`, on `level`.
///
/// # Shapes
/// As [`Gradients`] and [`Upstream`] say; workspace: [`backward_workspace`] numbers, whatever they are.
///
/// # Cost
/// Three times that of forward.
///
/// # Errors
/// A problem that contradicts itself, a buffer of another length.
pub fn backward<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    upstream: &Upstream<E>,
    gradients: &mut Gradients<E>,
    workspace: &mut [f32],
    level: Level,
) -> Result<Work> {
    inputs.check(problem)?;
    check(problem, inputs, upstream, gradients)?;
    check_length("workspace", workspace.len(), backward_workspace(problem, inputs)?)?;
    Ok(rayon::scope(|_| match by_chain(problem, inputs) {
        true => tree::backward(problem, inputs, upstream, gradients, workspace, level),
        false => compute(problem, inputs, upstream, gradients, workspace, level),
    }))
}

/// [`backward`] after the checks, as linear channels.
pub(crate) fn compute<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    upstream: &Upstream<E>,
    gradients: &mut Gradients<E>,
    workspace: &mut [f32],
    level: Level,
) -> Work {
    let plan = &Plan::new(problem, &bias_sizes(problem, inputs.biases));
    let Plan { shape, parts, shares, .. } = plan;
    let mut arena = Arena::new(workspace);
    let prepared = Prepared::new(problem, inputs, shape, level, &mut arena, true);
    let rows = rows_of(problem, shape, upstream, &mut arena);
    let dq = arena.take(problem.rows() * parts * shape.key_width);
    let sums = arena.take(shape.query_heads * shares * plan.sums());
    let scratch_of_all = arena.take(plan.hands * plan.scratch());
    sums.par_chunks_mut(1 << 16).for_each(|sums| sums.fill(0.0));

    // Shares of a head take its tasks in turn, so that each has of the cheap and of the dear ones of a causal mask.
    let mut tasks: Vec<Share> = Vec::new();
    let mut chunks = sums.chunks_mut(plan.sums().max(1));
    for _ in 0..shape.query_heads * shares {
        tasks.push(Share { blocks: Vec::new(), sums: chunks.next().unwrap_or_default() });
    }
    let (mut rest, mut turn) = (&mut *dq, 0);
    for block in blocks(problem, shape, ROWS, *parts) {
        let (own, others) = std::mem::take(&mut rest).split_at_mut(block.queries.len() * shape.key_width);
        rest = others;
        turn = if block.queries.start == 0 && block.part.0 == 0 { 0 } else { turn + 1 };
        tasks[block.head * shares + turn % shares].blocks.push((block, own));
    }
    let mut dealt: Vec<Vec<Share>> = (0..plan.hands).map(|_| Vec::new()).collect();
    tasks.into_iter().enumerate().for_each(|(index, share)| dealt[index % plan.hands].push(share));
    let scores = dealt
        .into_par_iter()
        .zip(scratch_of_all.par_chunks_mut(plan.scratch()))
        .map(|(shares, scratch)| {
            let mut hand = Hand::new(&prepared, plan, &rows, scratch);
            let blocks = |share: Share| {
                let Share { blocks, sums } = share;
                blocks.into_iter().map(|(block, dq)| hand.run(&block, dq, sums)).sum::<u64>()
            };
            shares.into_iter().map(blocks).sum::<u64>()
        })
        .collect::<Vec<u64>>();
    if let (Some(to), Some(sink)) = (&mut gradients.sink, inputs.sink) {
        sink_gradient(problem, sink, &rows, to);
    }
    finish(problem, inputs, plan, (dq, sums), gradients);
    Work { scores: scores.into_iter().sum() }
}

fn check<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    upstream: &Upstream<E>,
    gradients: &Gradients<E>,
) -> Result<()> {
    check_length("out", upstream.out.len(), problem.out_numbers())?;
    check_length("lse", upstream.lse.len(), problem.rows())?;
    check_length("dout", upstream.dout.len(), problem.out_numbers())?;
    if let Some(dlse) = upstream.dlse {
        check_length("dlse", dlse.len(), problem.rows())?;
    }
    check_length("dq", gradients.q.len(), problem.query_numbers())?;
    let axes = problem.keys.len();
    for (name, count, expected) in [
        ("dk", gradients.keys.len(), axes),
        ("dv", gradients.values.len(), axes),
        ("dbias", gradients.biases.len(), inputs.biases.len()),
    ] {
        if count != expected {
            return wrong(format!("{count} arrays {name}, where {expected} are wanted"));
        }
    }
    for axis in 0..axes {
        check_length(format!("dk{}", axis + 1), gradients.keys[axis].len(), problem.key_numbers(axis))?;
        check_length(format!("dv{}", axis + 1), gradients.values[axis].len(), problem.value_numbers(axis))?;
    }
    for (to, bias) in gradients.biases.iter().zip(inputs.biases) {
        check_length(format!("dbias_{}{}", bias.axes.0, bias.axes.1), to.len(), bias.values.len())?;
    }
    match (&gradients.sink, inputs.sink) {
        (Some(to), Some(sink)) => check_length("dsink", to.len(), sink.len()),
        (Some(_), None) => wrong("a gradient of the sink is wanted, and there is no sink"),
        _ => Ok(()),
    }
}

/// What belongs to a row of queries.
struct Rows<'a> {
    /// `[rows, padded d_v]`
    dout: &'a [f32],
    /// lse, or +∞ where the row sees nothing: its weights come out as 0.
    lse: &'a [f32],
    delta: &'a [f32],
}

fn rows_of<'a, E: Element>(
    problem: &Problem,
    shape: &Shape,
    upstream: &Upstream<E>,
    arena: &mut Arena<'a>,
) -> Rows<'a> {
    let dout = arena.take(problem.rows() * shape.value_width);
    let (lse, delta) = (arena.take(problem.rows()), arena.take(problem.rows()));
    for row in 0..problem.rows() {
        let range = row * problem.value_width..(row + 1) * problem.value_width;
        let to = &mut dout[row * shape.value_width..(row + 1) * shape.value_width];
        to.fill(0.0);
        let blind = upstream.lse[row] == f32::NEG_INFINITY;
        lse[row] = if blind { f32::INFINITY } else { upstream.lse[row] };
        if blind {
            delta[row] = 0.0;
            continue;
        }
        to.iter_mut().zip(&upstream.dout[range.clone()]).for_each(|(to, x)| *to = x.wide());
        let pairs = upstream.dout[range.clone()].iter().zip(&upstream.out[range]);
        let product: f64 = pairs.map(|(a, b)| f64::from(a.wide()) * f64::from(b.wide())).sum();
        delta[row] = (product - upstream.dlse.map_or(0.0, |dlse| f64::from(dlse[row]))) as f32;
    }
    Rows { dout, lse, delta }
}

/// `dsink = − Σ over rows of exp(sink − lse) Δ`
fn sink_gradient(problem: &Problem, sink: &[f32], rows: &Rows, to: &mut [f32]) {
    for (head, (to, sink)) in to.iter_mut().zip(sink).enumerate() {
        let of_entry = |entry: usize| {
            let first = (entry * problem.heads + head) * problem.queries;
            let one = |row: usize| (f64::from(*sink) - f64::from(rows.lse[row])).exp() * f64::from(rows.delta[row]);
            (first..first + problem.queries).map(one).sum::<f64>()
        };
        *to = -(0..problem.batch).map(of_entry).sum::<f64>() as f32;
    }
}

/// Blocks whose sums for keys, values and biases are one.
struct Share<'a> {
    blocks: Vec<(Block, &'a mut [f32])>,
    sums: &'a mut [f32],
}

struct Hand<'a> {
    prepared: &'a Prepared<'a>,
    plan: &'a Plan,
    rows: &'a Rows<'a>,
    /// q ∘ k and dout ∘ v of each row.
    modulated: [&'a mut [f32]; 2],
    slots: [&'a mut [f32]; 2],
    /// Sums over a slot's rows.
    collected: [&'a mut [f32]; 2],
    /// U and T.
    sums: [&'a mut [f32]; 2],
    scores: &'a mut [f32],
    slopes: &'a mut [f32],
    caps: &'a mut [f32],
    product: &'a mut [f32],
    batch: Batch,
}

impl<'a> Hand<'a> {
    fn new(prepared: &'a Prepared<'a>, plan: &'a Plan, rows: &'a Rows<'a>, scratch: &'a mut [f32]) -> Self {
        let (keys, values) = (prepared.shape.key_width, prepared.shape.value_width);
        let mut arena = Arena::new(scratch);
        let mut pair = || [arena.take(ROWS * keys), arena.take(ROWS * values)];
        let (modulated, slots, collected, sums) = (pair(), pair(), pair(), pair());
        Hand {
            prepared,
            plan,
            rows,
            modulated,
            slots,
            collected,
            sums,
            scores: arena.take(ROWS * SPAN),
            slopes: arena.take(ROWS * SPAN),
            caps: arena.take(ROWS * SPAN),
            product: arena.take(keys.max(values)),
            batch: Batch::default(),
        }
    }

    /// Adds a block's gradients. Gives the number of scores.
    fn run(&mut self, block: &Block, dq: &mut [f32], to: &mut [f32]) -> u64 {
        let Hand { prepared, plan, rows, modulated, slots, collected, sums, scores, slopes, caps, product, batch } =
            self;
        let (problem, shape, level) = (prepared.problem, prepared.shape, prepared.level);
        let key_head = shape.key_head(problem, block.head);
        let own = Scores { prepared, head: block.head, first: block.queries.start };
        let widths = [shape.key_width, shape.value_width];
        let first = block.head * problem.queries + block.queries.start;
        let tokens = [&prepared.q[first * widths[0]..], &rows.dout[first * widths[1]..]];
        let inner = problem.keys[shape.inner];
        let range = |width: usize| key_head * inner * width..(key_head + 1) * inner * width;
        let arrays = [&prepared.keys, &prepared.values];
        let inners = [0, 1].map(|side: usize| &arrays[side][shape.inner][range(widths[side])]);
        dq.fill(0.0);
        let mut computed = 0;
        walk(prepared, block, ROWS, batch, |batch| {
            let count = batch.rows.len();
            for side in 0..2 {
                let (width, tokens) = (widths[side], tokens[side]);
                fill_slots(prepared, batch, key_head, (width, arrays[side]), slots[side]);
                let out = &mut *modulated[side];
                dispatch(level, Modulate { rows: &batch.rows, width, tokens, slots: &*slots[side], out });
            }
            let seen = batch.span();
            for (index, span) in spans(seen.clone()).enumerate() {
                own.compute(batch, &span, modulated[0], scores, Some(&mut **caps));
                weight_gradients(prepared, key_head, count, &span, modulated[1], slopes);
                drop_weights(prepared, block, batch, &span, slopes);
                let stream = Slopes {
                    rows: &batch.rows,
                    lse: &rows.lse[first..],
                    delta: &rows.delta[first..],
                    scores,
                    slopes,
                    stride: SPAN,
                    columns: columns(&span),
                };
                dispatch(level, stream);
                computed += (count * columns(&span)) as u64;
                // Where a row does not see a token its weight is 0, and 0 times a gradient that is not finite is not.
                for (row, slopes) in batch.rows.iter().zip(slopes.chunks_exact_mut(SPAN)) {
                    slopes[..row.low.max(span.start).min(span.end) - span.start].fill(0.0);
                    slopes[row.high.max(span.start).min(span.end) - span.start..].fill(0.0);
                }
                own.add_bias_gradients(batch, &span, slopes, to, &plan.places[2 * problem.keys.len()..]);
                if problem.softcap.is_some() {
                    slopes.iter_mut().zip(&**caps).for_each(|(slope, cap)| *slope *= cap);
                }
                drop_weights(prepared, block, batch, &span, scores);
                let from = seen.start.max(span.start);
                for (side, numbers) in [(0, &*slopes), (1, &*scores)] {
                    let width = widths[side];
                    let place = plan.places[2 * shape.inner + side] + from * width;
                    let numbers = &numbers[from - span.start..];
                    // For the inner tokens: the numbers transposed, times the rows.
                    Product {
                        rows: span.end - from,
                        depth: count,
                        columns: width,
                        a: numbers,
                        a_row: 1,
                        a_column: SPAN,
                        b: modulated[side],
                        b_row: width,
                        b_group: GROUP,
                        c_row: width,
                        add: true,
                    }
                    .run(level, &mut to[place..]);
                    // For the rows: the numbers times the inner tokens.
                    Product {
                        rows: count,
                        depth: span.end - from,
                        columns: width,
                        a: numbers,
                        a_row: SPAN,
                        a_column: 1,
                        b: &inners[side][from * width..],
                        b_row: width,
                        b_group: GROUP,
                        c_row: width,
                        add: index > 0,
                    }
                    .run(level, sums[side]);
                }
            }
            dispatch(
                level,
                Spread { rows: &batch.rows, width: widths[0], to_slots: false, sums: sums[0], from: slots[0], to: dq },
            );
            for side in 0..2 {
                let (width, from) = (widths[side], tokens[side]);
                let to = &mut collected[side][..batch.slots() * width];
                to.fill(0.0);
                dispatch(level, Spread { rows: &batch.rows, width, to_slots: true, sums: sums[side], from, to });
            }
            for slot in 0..batch.slots() {
                for (place, axis) in shape.outer.iter().enumerate() {
                    for side in 0..2 {
                        let width = widths[side];
                        let (tuple, product) = (batch.tuple(slot), &mut product[..width]);
                        product_of(prepared, tuple, key_head, width, arrays[side], Some(place), product);
                        let start = plan.places[2 * axis + side] + tuple[place] * width;
                        let sums = &collected[side][slot * width..];
                        let terms = product.iter().zip(sums);
                        to[start..start + width].iter_mut().zip(terms).for_each(|(to, (a, b))| *to += a * b);
                    }
                }
            }
        });
        computed
    }
}

/// `dP = (dout ∘ v) · inner values`
fn weight_gradients(
    prepared: &Prepared,
    key_head: usize,
    rows: usize,
    span: &Range<usize>,
    modulated: &[f32],
    to: &mut [f32],
) {
    let shape = prepared.shape;
    let packed = key_head * shape.groups * GROUP * shape.value_width;
    Product {
        rows,
        depth: prepared.problem.value_width,
        columns: columns(span),
        a: modulated,
        a_row: shape.value_width,
        a_column: 1,
        b: &prepared.packed_values[packed + span.start * shape.value_width..],
        b_row: GROUP,
        b_group: GROUP * shape.value_width,
        c_row: SPAN,
        add: false,
    }
    .run(prepared.level, to);
}

impl Scores<'_> {
    /// Adds the gradients of scores to those of biases, which begin at `places` in a share's sums.
    fn add_bias_gradients(&self, batch: &Batch, span: &Range<usize>, slopes: &[f32], to: &mut [f32], places: &[usize]) {
        let problem = self.prepared.problem;
        let (entry, head) = (self.head / problem.heads, self.head % problem.heads);
        for (bias, place) in self.prepared.biases.iter().zip(places) {
            let before = bias.start(problem, entry, head);
            for (row, slopes) in batch.rows.iter().zip(slopes.chunks_exact(SPAN)) {
                let (at, step) = self.bias_place(bias, batch.tuple(row.slot), self.first + row.query, span);
                let to = &mut to[place + at - before..];
                match step {
                    0 => to[0] += slopes[..span.len()].iter().sum::<f32>(),
                    _ => to.iter_mut().step_by(step).zip(&slopes[..span.len()]).for_each(|(to, slope)| *to += slope),
                }
            }
        }
    }
}
