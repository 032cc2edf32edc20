//! What people look at: the weights of chosen rows, and each row's marginal over each key axis.
//!
//! Both walk the tuples as forward does, with lse from it, so nothing of the size of all tuples is formed beyond what is
//! asked for. Weights are those before dropout.

use crate::element::Element;
use crate::error::{Result, check_length, problem as wrong};
use crate::forward::{ROWS, blocks, fill_slots};
use crate::prepare::{Arena, Prepared, Shape};
use crate::problem::{Inputs, Problem};
use crate::rows::Modulate;
use crate::scores::{STRIDE, Scores, spans};
use crate::walk::{Batch, Block, walk};
use polyad_simd::{Level, dispatch};
use rayon::prelude::*;
use std::ops::Range;

/// Numbers that [`weights`] and [`marginals`] want as their workspace.
pub fn look_workspace(problem: &Problem) -> Result<usize> {
    problem.check()?;
    check_packed(problem)?;
    Ok(numbers(problem, &Shape::new(problem)))
}

/// Refuses packed sequences: most of a dense block over all of their tokens would be zeros.
fn check_packed(problem: &Problem) -> Result<()> {
    match problem.packed.is_empty() {
        true => Ok(()),
        false => wrong("weights of packed sequences are looked at one sequence at a time, each a problem of its own"),
    }
}

fn numbers(problem: &Problem, shape: &Shape) -> usize {
    Arena::LOST + shape.numbers(problem, false)
}

/// The weights of chosen rows with every tuple.
///
/// # Shapes
/// - lse: `[batch, heads, n]`, as forward gives it
/// - rows: which of those, in any order
/// - out: `[rows, m1, m2, ..]`; each whole sums to 1, to less where there is a sink, to 0 where the row sees nothing
/// - workspace: [`look_workspace`] numbers
///
/// # Errors
/// A problem that contradicts itself, a buffer of another length, a row that there is not.
pub fn weights<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    lse: &[f32],
    rows: &[usize],
    out: &mut [f32],
    workspace: &mut [f32],
    level: Level,
) -> Result<()> {
    inputs.check(problem)?;
    check_packed(problem)?;
    if let Some(row) = rows.iter().find(|row| **row >= problem.rows()) {
        return wrong(format!("row {row} of {}", problem.rows()));
    }
    let tuples: usize = problem.keys.iter().product();
    let Some(all) = tuples.checked_mul(rows.len()) else {
        return wrong(format!("the weights of {} rows are more than a number can count", rows.len()));
    };
    check_length("lse", lse.len(), problem.rows())?;
    check_length("weights", out.len(), all)?;
    let shape = Shape::new(problem);
    check_length("workspace", workspace.len(), numbers(problem, &shape))?;
    let prepared = Prepared::new(problem, inputs, &shape, level, &mut Arena::new(workspace), false);
    let step = problem.tuple_stride(shape.inner);
    out.par_chunks_mut(tuples.max(1)).zip(rows).for_each(|(out, row)| {
        out.fill(0.0);
        let query = row % problem.queries;
        let block = Block { head: row / problem.queries, queries: query..query + 1, part: (0, 1) };
        each(&prepared, lse, &block, |_, tuple, span, weights| {
            let outer = prepared.tuple_index(tuple);
            for (token, weight) in span.zip(weights) {
                out[outer + token * step] = *weight;
            }
        });
    });
    Ok(())
}

/// For every row and key axis, the sum of the weights of all tuples with a token.
///
/// # Shapes
/// - lse: `[batch, heads, n]`, as forward gives it
/// - out: for each axis `[batch, heads, n, m]`
/// - workspace: [`look_workspace`] numbers
///
/// # Errors
/// A problem that contradicts itself, a buffer of another length.
pub fn marginals<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    lse: &[f32],
    out: &mut [&mut [f32]],
    workspace: &mut [f32],
    level: Level,
) -> Result<()> {
    inputs.check(problem)?;
    check_packed(problem)?;
    check_length("lse", lse.len(), problem.rows())?;
    if out.len() != problem.keys.len() {
        return wrong(format!("marginals of {} axes, where there are {}", out.len(), problem.keys.len()));
    }
    for (axis, out) in out.iter().enumerate() {
        check_length(format!("marginal_{}", axis + 1), out.len(), problem.rows() * problem.keys[axis])?;
    }
    let shape = Shape::new(problem);
    check_length("workspace", workspace.len(), numbers(problem, &shape))?;
    let prepared = Prepared::new(problem, inputs, &shape, level, &mut Arena::new(workspace), false);
    let blocks = blocks(problem, &shape, ROWS, 1);
    let mut dealt: Vec<(Block, Vec<&mut [f32]>)> = blocks.into_iter().map(|block| (block, Vec::new())).collect();
    for (axis, out) in out.iter_mut().enumerate() {
        let mut rest = &mut **out;
        for (block, own) in &mut dealt {
            let (mine, others) = std::mem::take(&mut rest).split_at_mut(block.queries.len() * problem.keys[axis]);
            own.push(mine);
            rest = others;
        }
    }
    dealt.into_par_iter().for_each(|(block, mut out)| {
        out.iter_mut().for_each(|out| out.fill(0.0));
        each(&prepared, lse, &block, |query, tuple, span, weights| {
            let m = problem.keys[shape.inner];
            let inner = &mut out[shape.inner][query * m..][span.clone()];
            inner.iter_mut().zip(weights).for_each(|(to, weight)| *to += weight);
            let all: f32 = weights[..span.len()].iter().sum();
            for (axis, token) in shape.outer.iter().zip(tuple) {
                out[*axis][query * problem.keys[*axis] + token] += all;
            }
        });
    });
    Ok(())
}

/// Calls with the weights of each row of a block: the query within the block, the outer tokens, the inner ones.
fn each(prepared: &Prepared, lse: &[f32], block: &Block, mut look: impl FnMut(usize, &[usize], Range<usize>, &[f32])) {
    let shape = prepared.shape;
    let key_head = shape.key_head(prepared.problem, block.head);
    let first = block.head * prepared.problem.queries + block.queries.start;
    let scores = Scores { prepared, head: block.head, first: block.queries.start };
    let mut slots = vec![0.0; ROWS * shape.key_width];
    let mut modulated = vec![0.0; ROWS * shape.key_width];
    let mut weights = vec![0.0; ROWS * STRIDE];
    let all = 0..prepared.problem.keys[shape.inner];
    walk(prepared, block, &all, ROWS, &mut Batch::default(), |batch| {
        fill_slots(prepared, batch, key_head, (shape.key_width, &prepared.keys), &mut slots);
        let modulate = Modulate {
            rows: &batch.rows,
            width: shape.key_width,
            tokens: &prepared.q[first * shape.key_width..],
            slots: &slots,
            out: &mut modulated,
        };
        dispatch(prepared.level, modulate);
        for span in spans(batch.span()) {
            scores.compute(batch, &span, &modulated, &mut weights, None);
            for (row, weights) in batch.rows.iter().zip(weights.chunks_exact_mut(STRIDE)) {
                let lse = lse[first + row.query];
                // A row that sees nothing has no weights; its lse is −∞, as its scores are.
                let weigh = |s: f32| if s == f32::NEG_INFINITY { 0.0 } else { (s - lse).exp() };
                weights[..span.len()].iter_mut().for_each(|s| *s = weigh(*s));
                look(row.query, batch.tuple(row.slot), span.clone(), weights);
            }
        }
    });
}
