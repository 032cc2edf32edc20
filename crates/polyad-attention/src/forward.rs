//! Attention of any order, exactly, in memory that grows with the tokens.
//!
//! ```text
//! S_i,j = (q_i ∘ k_j ..) · inner keys,  P = exp(S − max),  out_i = Σ_j v_j ∘ (P inner values)
//! 1. for each head and block of 24 queries, and part of its tuples     one task; threads share tasks
//! 2.   for each batch of 24 rows (a query with a tuple of outer tokens)
//! 3.     for each span of 256 inner tokens
//! 4.       scores: a product, 24 x channels x 256                      first-level cache
//! 5.       running maximum, exponentials, running sum
//! 6.       weighted sums of inner values: a product, 24 x 256 x d_v
//! 7.       out += outer values ∘ those
//! ```
//!
//! FlashAttention's recurrence (Dao et al., arXiv 2205.14135) with a modulated query and a modulated output: two products
//! of `2 d` operations a visible tuple each, one exponential. Order 2 is the case of no outer axis.
//!
//! Tasks do not depend on the number of threads, and their results are joined in order: the same bits on any number.

use crate::bfloat16::{self, Half};
use crate::deal::{Scratch, deal, place, with_own};
use crate::element::Element;
use crate::error::{Result, check_length};
use crate::form::ScoreForm;
use crate::join::Join;
use crate::prepare::{Arena, Prepared, Shape, padded};
use crate::problem::{Inputs, Problem};
use crate::rows::{Gather, Modulate, Running, Weigh};
use crate::scores::{STRIDE, Scores, columns, spans};
use crate::walk::{Batch, Block, inner_of_part, walk};
use crate::{packed, strassen, tree};
use polyad_simd::gemm::{GROUP, Product};
use polyad_simd::{Level, dispatch};
use rayon::prelude::*;

/// Rows computed at once, and queries of a block: four tiles of the product's six rows.
pub(crate) const ROWS: usize = 24;
/// Tasks are dealt to so many hands, each with its own scratch: more than threads, so that all stay busy to the end.
pub(crate) const HANDS: usize = 64;
/// Tasks wanted at least, so that one head, even one query, keeps all cores busy.
pub(crate) const TASKS: usize = 32;

/// What was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Scores that were computed, masked ones in visited tiles included.
    pub scores: u64,
}

/// Numbers that [`forward`] wants as its workspace.
pub fn forward_workspace(problem: &Problem) -> Result<usize> {
    problem.check()?;
    Ok(if problem.packed.is_empty() { workspace_of_any(problem) } else { packed::forward_workspace(problem) })
}

/// Numbers that [`any`] wants.
pub(crate) fn workspace_of_any(problem: &Problem) -> usize {
    if strassen::applies(problem) {
        return strassen::workspace(problem);
    }
    let of_tree = if problem.form == ScoreForm::Tree { tree::forward_workspace(problem) } else { 0 };
    workspace(problem).max(of_tree)
}

/// Numbers that [`compute`] wants.
pub(crate) fn workspace(problem: &Problem) -> usize {
    let shape = Shape::new(problem);
    let parts = parts(problem, &shape, ROWS);
    Arena::LOST
        + shape.numbers(problem, false)
        + Half::numbers(&shape, false)
        + hands(problem, &shape, parts) * scratch(&shape)
        + padded(problem.rows() * parts * record(problem))
}

/// `out` and `lse` of a problem, on `level`.
///
/// # Shapes
/// - inputs: as [`Inputs`] says
/// - out: `[batch, heads, n, d_v]`, or as the problem's layout says; 0 in a row that sees nothing
/// - lse: `[batch, heads, n]`, natural logarithm; −∞ in such a row
/// - workspace: [`forward_workspace`] numbers, whatever they are
///
/// # Cost
/// `2 (d + d_v)` operations and an exponential for each visible tuple (more channels for other forms than linear).
///
/// # Errors
/// A problem that contradicts itself, a buffer of another length.
pub fn forward<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    out: &mut [E],
    lse: &mut [f32],
    workspace: &mut [f32],
    level: Level,
) -> Result<Work> {
    inputs.check(problem)?;
    problem.out_places().check_length("out", out.len())?;
    check_length("lse", lse.len(), problem.rows())?;
    check_length("workspace", workspace.len(), forward_workspace(problem)?)?;
    let mut out = problem.out_places().cut(out);
    // All of it inside the pool: going there once costs tens of microseconds, going for each loop ten times that.
    Ok(rayon::scope(|_| match problem.packed.is_empty() {
        true => any(problem, inputs, &mut out, lse, workspace, level),
        false => packed::forward(problem, inputs, out, lse, workspace, level),
    }))
}

/// [`forward`] after the checks, sequences not packed, over the rows of out.
pub(crate) fn any<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    out: &mut [&mut [E]],
    lse: &mut [f32],
    workspace: &mut [f32],
    level: Level,
) -> Work {
    if problem.rows() == 0 {
        Work::default()
    } else if strassen::applies(problem) {
        strassen::forward(problem, inputs, out, lse, workspace, level)
    } else if tree::applies(problem, inputs) {
        tree::forward(problem, inputs, out, lse, workspace, level)
    } else {
        compute(problem, inputs, out, lse, workspace, level)
    }
}

/// [`any`] as linear channels.
pub(crate) fn compute<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    out: &mut [&mut [E]],
    lse: &mut [f32],
    workspace: &mut [f32],
    level: Level,
) -> Work {
    let shape = Shape::new(problem);
    let parts = parts(problem, &shape, ROWS);
    let hands = hands(problem, &shape, parts);
    let mut arena = Arena::new(workspace);
    let records = arena.take(problem.rows() * parts * record(problem));
    let scratch = Scratch::new(arena.take(hands * scratch(&shape)), scratch(&shape));
    let prepared = Prepared::new(problem, inputs, &shape, level, &mut arena, false);
    let half = bfloat16::applies::<E>(problem, level).then(|| Half::new(&prepared, &mut arena, false));

    // Rows of one part are finished by who computed them, while they are in the caches.
    let (mut outs, mut lses) = (&mut *out, &mut *lse);
    let tasks =
        with_own(blocks(problem, &shape, ROWS, parts), &mut *records, record(problem)).map(|(block, records)| {
            let queries = if parts == 1 { block.queries.len() } else { 0 };
            let own_out = outs.split_off_mut(..queries).unwrap_or_default();
            let own_lse = lses.split_off_mut(..queries).unwrap_or_default();
            (block, records, own_out.iter_mut().zip(own_lse.iter_mut()))
        });
    let scores = deal(tasks, hands)
        .into_par_iter()
        .with_max_len(1)
        .map(|tasks| {
            scratch.lend(|scratch| {
                let mut hand = Hand::new(&prepared, half.as_ref(), scratch);
                let one = |(block, records, rows): (Block, &mut [f32], Ends<'_, '_, E>)| {
                    let scores = hand.run(&block, records);
                    for ((query, place), (out, lse)) in block.queries.zip((0..).step_by(record(problem))).zip(rows) {
                        let sink = inputs.sink_of(problem, block.head * problem.queries + query);
                        let places = std::iter::once(place);
                        *lse = dispatch(level, Join { records, places, sink, out });
                    }
                    scores
                };
                tasks.into_iter().map(one).sum::<u64>()
            })
        })
        .sum();
    if parts == 1 {
        return Work { scores };
    }
    let records = &*records;
    out.par_iter_mut().zip(lse).enumerate().with_min_len(ROWS).for_each(|(row, (out, lse))| {
        let places = (0..parts).map(|part| place(problem.queries, ROWS, parts, part, row) * record(problem));
        *lse = dispatch(level, Join { records, places, sink: inputs.sink_of(problem, row), out });
    });
    Work { scores }
}

/// Where the results of a block's rows go.
type Ends<'a, 'b, E> = std::iter::Zip<std::slice::IterMut<'a, &'b mut [E]>, std::slice::IterMut<'a, f32>>;

/// Numbers that [`rows_one_by_one`] takes.
pub(crate) fn rows_one_by_one_numbers(problem: &Problem) -> usize {
    let shape = Shape::new(problem);
    let hands = problem.rows().clamp(1, HANDS);
    shape.numbers(problem, false) + hands * scratch(&shape) + padded(problem.rows() * record(problem))
}

/// Some rows of a problem, in order, each a task. Gives the number of scores.
pub(crate) fn rows_one_by_one<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    rows: &[usize],
    out: &mut [&mut [E]],
    lse: &mut [f32],
    workspace: &mut [f32],
    level: Level,
) -> u64 {
    if rows.is_empty() {
        return 0;
    }
    let shape = Shape::new(problem);
    let hands = rows.len().min(HANDS);
    let mut arena = Arena::new(workspace);
    let scratch = Scratch::new(arena.take(hands * scratch(&shape)), scratch(&shape));
    let records = arena.take(rows.len() * record(problem));
    let prepared = Prepared::new(problem, inputs, &shape, level, &mut arena, false);
    let each = rows.len().div_ceil(hands);
    let scores = rows
        .par_chunks(each)
        .zip(records.par_chunks_mut(each * record(problem)))
        .map(|(rows, records)| {
            scratch.lend(|scratch| {
                let mut hand = Hand::new(&prepared, None, scratch);
                let one = |(row, record): (&usize, &mut [f32])| {
                    let (head, query) = (row / problem.queries, row % problem.queries);
                    hand.run(&Block { head, queries: query..query + 1, part: (0, 1) }, record)
                };
                rows.iter().zip(records.chunks_exact_mut(record(problem))).map(one).sum::<u64>()
            })
        })
        .sum();
    for (index, row) in rows.iter().enumerate() {
        let (places, sink) = (std::iter::once(index * record(problem)), inputs.sink_of(problem, *row));
        lse[*row] = dispatch(level, Join { records, places, sink, out: &mut *out[*row] });
    }
    scores
}

/// Numbers of a row's record: its sums, the greatest score, the sum of weights.
fn record(problem: &Problem) -> usize {
    problem.value_width + 2
}

/// Parts that the tuples of a block are split into.
pub(crate) fn parts(problem: &Problem, shape: &Shape, rows: usize) -> usize {
    let blocks = shape.query_heads * problem.queries.div_ceil(rows);
    if blocks == 0 || blocks >= TASKS { 1 } else { TASKS.div_ceil(blocks) }
}

fn hands(problem: &Problem, shape: &Shape, parts: usize) -> usize {
    (shape.query_heads * problem.queries.div_ceil(ROWS) * parts).clamp(1, HANDS)
}

/// Blocks of queries, head by head, each with its parts one after the other.
pub(crate) fn blocks(problem: &Problem, shape: &Shape, rows: usize, parts: usize) -> Vec<Block> {
    let queries = |first: usize| first..(first + rows).min(problem.queries);
    let of_head = |head| {
        let firsts = (0..problem.queries).step_by(rows);
        firsts.flat_map(move |first| {
            (0..parts).map(move |part| Block { head, queries: queries(first), part: (part, parts) })
        })
    };
    (0..shape.query_heads).flat_map(of_head).collect()
}

/// Numbers of a hand's scratch.
fn scratch(shape: &Shape) -> usize {
    MOST_ROWS * (2 * shape.key_width + 2 * shape.value_width + STRIDE)
        + ROWS * 2 * shape.value_width
        + padded(ROWS)
        + bfloat16::Batch::numbers(shape)
}

/// Rows computed at once, at most.
const MOST_ROWS: usize = if bfloat16::ROWS > ROWS { bfloat16::ROWS } else { ROWS };

/// Whoever computes tasks, with scratch of its own.
struct Hand<'a> {
    prepared: &'a Prepared<'a>,
    half: Option<(&'a Half<'a>, bfloat16::Batch<'a>)>,
    modulated: &'a mut [f32],
    key_slots: &'a mut [f32],
    value_slots: &'a mut [f32],
    scores: &'a mut [f32],
    sums: &'a mut [f32],
    running: Running<'a>,
    batch: Batch,
}

impl<'a> Hand<'a> {
    fn new(prepared: &'a Prepared<'a>, half: Option<&'a Half<'a>>, scratch: &'a mut [f32]) -> Self {
        let (keys, values) = (prepared.shape.key_width, prepared.shape.value_width);
        let mut arena = Arena::new(scratch);
        Hand {
            prepared,
            half: half.map(|half| (half, bfloat16::Batch::new(prepared.shape, prepared.level, &mut arena))),
            modulated: arena.take(MOST_ROWS * keys),
            key_slots: arena.take(MOST_ROWS * keys),
            value_slots: arena.take(MOST_ROWS * values),
            scores: arena.take(MOST_ROWS * STRIDE),
            sums: arena.take(MOST_ROWS * values),
            running: Running {
                width: values,
                out: arena.take(ROWS * values),
                lost: arena.take(ROWS * values),
                most: arena.take(ROWS),
                total: vec![0.0; ROWS],
            },
            batch: Batch::default(),
        }
    }

    /// Computes a block into its records. Gives the number of scores.
    fn run(&mut self, block: &Block, records: &mut [f32]) -> u64 {
        let Hand { prepared, half, modulated, key_slots, value_slots, scores, sums, running, batch } = self;
        let (problem, shape, level) = (prepared.problem, prepared.shape, prepared.level);
        running.reset();
        let key_head = shape.key_head(problem, block.head);
        let own = Scores { prepared, head: block.head, first: block.queries.start };
        let (keys, values) = (shape.key_width, shape.value_width);
        let q = &prepared.q[(block.head * problem.queries + block.queries.start) * keys..];
        let inner = problem.keys[shape.inner];
        let inner_values = &prepared.values[shape.inner][key_head * inner * values..(key_head + 1) * inner * values];
        let mut half = half.as_mut().filter(|(half, _)| half.serves(key_head));
        let rows = if half.is_some() { bfloat16::ROWS } else { ROWS };
        let mut computed = 0;
        walk(prepared, block, &inner_of_part(prepared, block), rows, batch, |batch| {
            let count = batch.rows.len();
            fill_slots(prepared, batch, key_head, (keys, &prepared.keys), key_slots);
            fill_slots(prepared, batch, key_head, (values, &prepared.values), value_slots);
            let modulated = match batch.is_run() && shape.outer.is_empty() {
                true => &q[batch.rows[0].query * keys..],
                false => {
                    let (rows, out) = (&batch.rows[..], &mut **modulated);
                    dispatch(level, Modulate { rows, width: keys, tokens: q, slots: key_slots, out });
                    &**modulated
                }
            };
            if let Some((_, rounded)) = &mut half {
                rounded.set_modulated(modulated, keys, count);
            }
            let seen = batch.span();
            for span in spans(seen.clone()) {
                if let Some((half, rounded)) = &half {
                    let rows = (&*rounded.modulated, count);
                    half.along_features(&rounded.session, (0, key_head), rows, &span, scores);
                    own.finish(batch, &span, scores, None);
                } else {
                    own.compute(batch, &span, modulated, scores, None);
                }
                let columns = columns(&span);
                computed += (count * columns) as u64;
                match &mut half {
                    Some((_, rounded)) if problem.dropout.is_none() => {
                        rounded.weigh(&batch.rows, running, scores, columns);
                    }
                    other => {
                        dispatch(level, Weigh { rows: &batch.rows, running, scores, stride: STRIDE, columns });
                        drop_weights(prepared, block, batch, &span, scores);
                        if let Some((_, rounded)) = other {
                            rounded.set_weights(scores, columns, count);
                        }
                    }
                }
                let from = seen.start.max(span.start);
                if let Some((half, rounded)) = &half {
                    let weights = (&*rounded.weights, count);
                    half.along_tokens(&rounded.session, (1, key_head), weights, (from, &span), sums, false);
                } else {
                    Product {
                        rows: count,
                        depth: span.end - from,
                        columns: values,
                        a: &scores[from - span.start..],
                        a_row: STRIDE,
                        a_column: 1,
                        b: &inner_values[from * values..],
                        b_row: values,
                        b_group: GROUP,
                        c_row: values,
                        add: false,
                    }
                    .run(level, sums);
                }
                dispatch(level, Gather { rows: &batch.rows, running, slots: value_slots, sums });
            }
        });
        for (row, to) in records.chunks_exact_mut(record(problem)).enumerate() {
            let (out, ends) = to.split_at_mut(problem.value_width);
            let range = row * values..(row + 1) * values;
            let sums = running.out[range.clone()].iter().zip(&running.lost[range]);
            out.iter_mut().zip(sums).for_each(|(to, (sum, lost))| *to = sum - lost);
            ends.copy_from_slice(&[running.most[row], running.total[row] as f32]);
        }
        computed
    }
}

/// For each slot the product of its outer tokens; ones where there is no outer axis. `arrays` are the prepared keys, or
/// values, of each axis.
pub(crate) fn fill_slots(
    prepared: &Prepared,
    batch: &Batch,
    key_head: usize,
    (width, arrays): (usize, &[&[f32]]),
    slots: &mut [f32],
) {
    for (slot, to) in slots.chunks_exact_mut(width).enumerate().take(batch.slots()) {
        product_of(prepared, batch.tuple(slot), key_head, width, arrays, None, to);
    }
}

/// The product of the outer tokens of a tuple, one axis left out if wanted.
pub(crate) fn product_of(
    prepared: &Prepared,
    tuple: &[usize],
    key_head: usize,
    width: usize,
    arrays: &[&[f32]],
    without: Option<usize>,
    to: &mut [f32],
) {
    let mut fresh = true;
    for (place, (axis, token)) in prepared.shape.outer.iter().zip(tuple).enumerate() {
        if Some(place) == without {
            continue;
        }
        let start = (key_head * prepared.problem.keys[*axis] + token) * width;
        let token = &arrays[*axis][start..start + width];
        if fresh {
            to.copy_from_slice(token);
            fresh = false;
        } else {
            to.iter_mut().zip(token).for_each(|(to, x)| *to *= x);
        }
    }
    if fresh {
        to.fill(1.0);
    }
}

/// Multiplies weights by what dropout says.
pub(crate) fn drop_weights(
    prepared: &Prepared,
    block: &Block,
    batch: &Batch,
    span: &std::ops::Range<usize>,
    weights: &mut [f32],
) {
    let problem = prepared.problem;
    let Some(dropout) = problem.dropout else { return };
    let shape = prepared.shape;
    let step = problem.tuple_stride(shape.inner) as u64;
    for (row, weights) in batch.rows.iter().zip(weights.chunks_exact_mut(STRIDE)) {
        let query = (block.head * problem.queries + block.queries.start + row.query) as u64;
        let outer = prepared.tuple_index(batch.tuple(row.slot)) as u64;
        for (token, weight) in span.clone().zip(weights) {
            *weight *= dropout.factor(query, outer + token as u64 * step);
        }
    }
}
