//! Several sequences of different lengths in the same arrays, each a problem of its own: nothing is padded, and the cost
//! is the sum of theirs.
//!
//! ```text
//! 1. for each round: as many sequences, in order, as its share of the workspace holds
//! 2.   for each sequence of the round: forward or backward of its own         threads share them, and each one's tasks
//! 3.   lse, and the sink's gradient, from the sequences to where they belong
//! ```
//!
//! Rounds depend on the problem alone, so the same bits come from any number of threads.

use crate::backward::{self, GradientRows, Upstream};
use crate::element::Element;
use crate::error::{Result, problem as wrong};
use crate::forward::{self, Work};
use crate::layout::{Layout, Places};
use crate::prepare::{Arena, padded};
use crate::problem::{Bias, Inputs, Problem};
use polyad_simd::Level;
use rayon::prelude::*;
use std::ops::Range;

/// Numbers of the sequences of a round, unless a single one has more: 16 MB hold several short ones, so that they share
/// the cores, and are little beside what long ones take.
const ROUND: usize = 1 << 22;

/// Refuses offsets that are none.
pub(crate) fn check(problem: &Problem) -> Result<()> {
    let Some(queries) = problem.packed.first() else { return Ok(()) };
    if problem.packed.len() != problem.order() {
        return wrong(format!(
            "offsets of packed sequences on {} axes, queries included, in a problem of order {}",
            problem.packed.len(),
            problem.order()
        ));
    }
    if problem.batch != 1 {
        return wrong(format!("packed sequences in a batch of {}; it must be 1", problem.batch));
    }
    if !problem.room.is_empty() {
        return wrong("packed sequences and room for more keys; lengths say how many keys of a sequence count");
    }
    for (operand, offsets) in problem.packed.iter().enumerate() {
        let name = if operand == 0 { "the queries".to_owned() } else { format!("key axis {operand}") };
        if offsets.len() != queries.len() {
            return wrong(format!("{} offsets on {name}, and {} of the queries", offsets.len(), queries.len()));
        }
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
            return wrong(format!("no offsets on {name}; of n sequences there are n + 1"));
        };
        if let Some(pair) = offsets.windows(2).find(|pair| pair[0] > pair[1]) {
            return wrong(format!("offsets on {name} fall from {} to {}", pair[0], pair[1]));
        }
        if *first != 0 || *last != problem.tokens(operand) {
            let tokens = problem.tokens(operand);
            return wrong(format!("offsets on {name} go from {first} to {last}, and its tokens from 0 to {tokens}"));
        }
    }
    Ok(())
}

/// Refuses lengths beyond a sequence's keys; there are as many as there should be.
pub(crate) fn check_lengths(problem: &Problem) -> Result<()> {
    for sequence in 0..problem.packed.first().map_or(0, |offsets| offsets.len() - 1) {
        let lengths = match problem.lengths.len() {
            1 => Some(&problem.lengths[0]),
            _ => problem.lengths.get(sequence),
        };
        for (axis, length) in lengths.into_iter().flatten().enumerate() {
            let keys = span(problem, axis + 1, sequence).len();
            if *length > keys {
                return wrong(format!(
                    "length {length} of packed sequence {sequence}, which has {keys} keys on axis {}",
                    axis + 1
                ));
            }
        }
    }
    Ok(())
}

/// The tokens of a sequence: of the queries, or of a key axis counted from 1.
fn span(problem: &Problem, operand: usize, sequence: usize) -> Range<usize> {
    problem.packed[operand][sequence]..problem.packed[operand][sequence + 1]
}

/// Numbers of a bias that all heads share.
pub(crate) fn bias_numbers(problem: &Problem, (a, b): (usize, usize)) -> usize {
    let one = |sequence| span(problem, a, sequence).len() * span(problem, b, sequence).len();
    match problem.packed.is_empty() {
        true => problem.tokens(a) * problem.tokens(b),
        false => (0..problem.sequences()).map(one).sum(),
    }
}

/// A sequence with its part of all that a problem is computed from.
struct Sequence<'a, E> {
    problem: Problem,
    /// Its queries among all.
    queries: Range<usize>,
    q: &'a [E],
    keys: Vec<&'a [E]>,
    values: Vec<&'a [E]>,
    biases: Vec<Bias<'a>>,
    hidden: Vec<Option<&'a [bool]>>,
    sink: Option<&'a [f32]>,
}

/// A sequence as a problem of its own, over arrays that begin at its first tokens.
fn problem_of(problem: &Problem, sequence: usize) -> Problem {
    let strides = |places: Places| Some(places.strides());
    let axes = 0..problem.keys.len();
    Problem {
        queries: span(problem, 0, sequence).len(),
        keys: axes.clone().map(|axis| span(problem, axis + 1, sequence).len()).collect(),
        lengths: match problem.lengths.len() {
            0 | 1 => problem.lengths.clone(),
            _ => vec![problem.lengths[sequence].clone()],
        },
        windows: problem.windows.clone(),
        room: Vec::new(),
        packed: Vec::new(),
        layout: Layout {
            q: strides(problem.query_places()),
            keys: axes.clone().map(|axis| strides(problem.key_places(axis))).collect(),
            values: axes.map(|axis| strides(problem.value_places(axis))).collect(),
            out: strides(problem.out_places()),
        },
        dropout: problem.dropout.map(|dropout| dropout.of_sequence(sequence)),
        ..*problem
    }
}

/// An array from a token of the first head on.
fn from_token<E>(array: &[E], places: Places, token: usize) -> &[E] {
    &array[(token * places.strides().token).min(array.len())..]
}

/// All sequences, each with its part.
fn sequences<'a, E: Element>(problem: &Problem, inputs: &Inputs<'a, E>) -> Vec<Sequence<'a, E>> {
    let mut bias_starts = vec![0; inputs.biases.len()];
    let axes = |sequence: usize, arrays: &[&'a [E]], of: fn(&Problem, usize) -> Places| {
        let part = |(axis, array): (usize, &&'a [E])| {
            from_token(array, of(problem, axis), span(problem, axis + 1, sequence).start)
        };
        arrays.iter().enumerate().map(part).collect::<Vec<&'a [E]>>()
    };
    let one = |sequence: usize| {
        let queries = span(problem, 0, sequence);
        let own = problem_of(problem, sequence);
        let mut biases = Vec::new();
        for (bias, start) in inputs.biases.iter().zip(&mut bias_starts) {
            let shared = bias.values.len() == bias_numbers(problem, bias.axes);
            let heads = if shared { 1 } else { problem.heads };
            let end = *start + heads * own.tokens(bias.axes.0) * own.tokens(bias.axes.1);
            biases.push(Bias { axes: bias.axes, values: &bias.values[*start..end] });
            *start = end;
        }
        let hidden = inputs.hidden.iter().enumerate();
        Sequence {
            q: from_token(inputs.q, problem.query_places(), queries.start),
            keys: axes(sequence, inputs.keys, Problem::key_places),
            values: axes(sequence, inputs.values, Problem::value_places),
            biases,
            hidden: hidden
                .map(|(axis, hidden)| hidden.map(|hidden| &hidden[span(problem, axis + 1, sequence)]))
                .collect(),
            sink: inputs.sink,
            queries,
            problem: own,
        }
    };
    (0..problem.sequences()).map(one).collect()
}

impl<E> Sequence<'_, E> {
    fn inputs(&self) -> Inputs<'_, E> {
        Inputs {
            q: self.q,
            keys: &self.keys,
            values: &self.values,
            biases: &self.biases,
            hidden: &self.hidden,
            sink: self.sink,
        }
    }

    /// Its rows among those of all, in order.
    fn rows<'b>(&'b self, problem: &'b Problem) -> impl Iterator<Item = usize> + 'b {
        (0..problem.heads).flat_map(move |head| self.queries.clone().map(move |query| head * problem.queries + query))
    }
}

/// Rows of `[heads, all tokens]` by the sequence that they are of.
fn by_sequence<'a, E>(rows: Vec<&'a mut [E]>, offsets: &[usize]) -> Vec<Vec<&'a mut [E]>> {
    let (sequences, tokens) = (offsets.len() - 1, offsets[offsets.len() - 1]);
    let mut parts: Vec<Vec<&mut [E]>> = (0..sequences).map(|_| Vec::new()).collect();
    for (row, own) in rows.into_iter().enumerate() {
        // An empty sequence begins where the next does.
        parts[offsets.partition_point(|offset| *offset <= row % tokens) - 1].push(own);
    }
    parts
}

/// Which sequences are computed at once.
fn rounds(needs: &[usize]) -> Vec<Range<usize>> {
    let most = needs.iter().copied().fold(ROUND, usize::max);
    let (mut rounds, mut numbers): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
    for (sequence, need) in needs.iter().enumerate() {
        match rounds.last_mut() {
            Some(round) if numbers + need <= most => {
                round.end = sequence + 1;
                numbers += need;
            }
            _ => {
                rounds.push(sequence..sequence + 1);
                numbers = *need;
            }
        }
    }
    rounds
}

/// Numbers of the greatest round.
fn most_numbers(needs: &[usize]) -> usize {
    let of_rounds = rounds(needs).into_iter().map(|round| needs[round].iter().sum::<usize>());
    Arena::LOST + of_rounds.max().unwrap_or(0)
}

/// Numbers that a sequence takes forward: lse and its workspace.
fn forward_need(own: &Problem) -> usize {
    padded(own.rows()) + padded(forward::workspace_of_any(own))
}

/// Numbers of forward's workspace.
pub(crate) fn forward_workspace(problem: &Problem) -> usize {
    let need = |sequence| forward_need(&problem_of(problem, sequence));
    most_numbers(&(0..problem.sequences()).map(need).collect::<Vec<usize>>())
}

/// As [`crate::forward()`], after its checks.
pub(crate) fn forward<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    out: Vec<&mut [E]>,
    lse: &mut [f32],
    workspace: &mut [f32],
    level: Level,
) -> Work {
    let sequences = sequences(problem, inputs);
    let needs: Vec<usize> = sequences.iter().map(|own| forward_need(&own.problem)).collect();
    let mut outs = by_sequence(out, &problem.packed[0]).into_iter();
    let mut work = Work::default();
    for round in rounds(&needs) {
        let mut arena = Arena::new(workspace);
        let mut tasks: Vec<_> = round
            .clone()
            .zip(&mut outs)
            .map(|(index, out)| {
                let own = &sequences[index].problem;
                (index, out, arena.take(own.rows()), arena.take(forward::workspace_of_any(own)))
            })
            .collect();
        work.scores += tasks
            .par_iter_mut()
            .map(|(index, out, lse, workspace)| {
                let own = &sequences[*index];
                forward::any(&own.problem, &own.inputs(), out, lse, workspace, level).scores
            })
            .sum::<u64>();
        for (index, _, own, _) in tasks {
            sequences[index].rows(problem).zip(own).for_each(|(row, own)| lse[row] = *own);
        }
    }
    work
}

/// Numbers that a sequence takes backward: lse, its gradient, that of the sink, and its workspace.
fn backward_need<E: Element>(own: &Sequence<E>) -> usize {
    let heads = if own.sink.is_some() { own.problem.heads } else { 0 };
    2 * padded(own.problem.rows()) + padded(heads) + padded(backward::workspace_of_any(&own.problem, &own.inputs()))
}

/// Numbers of backward's workspace.
pub(crate) fn backward_workspace<E: Element>(problem: &Problem, inputs: &Inputs<E>) -> usize {
    most_numbers(&sequences(problem, inputs).iter().map(backward_need).collect::<Vec<usize>>())
}

/// As [`crate::backward()`], after its checks.
pub(crate) fn backward<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    upstream: &Upstream<E>,
    mut gradients: GradientRows<E>,
    workspace: &mut [f32],
    level: Level,
) -> Work {
    let sequences = sequences(problem, inputs);
    let needs: Vec<usize> = sequences.iter().map(backward_need).collect();
    let mut dsink = vec![0.0f64; problem.heads];
    let sink = gradients.sink.take();
    let mut parts = divided(problem, &sequences, gradients).into_iter();
    let mut work = Work::default();
    for round in rounds(&needs) {
        let mut arena = Arena::new(workspace);
        let mut tasks: Vec<_> = round
            .zip(&mut parts)
            .map(|(index, mut part)| {
                let own = &sequences[index];
                let (lse, dlse) = (arena.take(own.problem.rows()), arena.take(own.problem.rows()));
                for (place, row) in own.rows(problem).enumerate() {
                    lse[place] = upstream.lse[row];
                    dlse[place] = upstream.dlse.map_or(0.0, |dlse| dlse[row]);
                }
                part.sink = own.sink.map(|sink| arena.take(sink.len()));
                (index, part, &*lse, &*dlse, arena.take(backward::workspace_of_any(&own.problem, &own.inputs())))
            })
            .collect();
        work.scores += tasks
            .par_iter_mut()
            .map(|(index, part, lse, dlse, workspace)| {
                let own = &sequences[*index];
                let of_out = |array| from_token(array, problem.out_places(), own.queries.start);
                let upstream =
                    Upstream { out: of_out(upstream.out), lse, dout: of_out(upstream.dout), dlse: Some(dlse) };
                backward::any(&own.problem, &own.inputs(), &upstream, part, workspace, level).scores
            })
            .sum::<u64>();
        for (_, part, ..) in tasks {
            let own = part.sink.into_iter().flatten();
            dsink.iter_mut().zip(own).for_each(|(sum, own)| *sum += f64::from(*own));
        }
    }
    if let Some(to) = sink {
        to.iter_mut().zip(dsink).for_each(|(to, sum)| *to = sum as f32);
    }
    work
}

/// The gradients of each sequence, that of the sink left out.
fn divided<'a, E>(
    problem: &Problem,
    sequences: &[Sequence<E>],
    gradients: GradientRows<'a, E>,
) -> Vec<GradientRows<'a, E>> {
    let GradientRows { q, keys, values, mut biases, .. } = gradients;
    let q = by_sequence(q, &problem.packed[0]);
    let mut parts: Vec<GradientRows<E>> = q
        .into_iter()
        .map(|q| GradientRows { q, keys: Vec::new(), values: Vec::new(), biases: Vec::new(), sink: None })
        .collect();
    for (axis, (keys, values)) in keys.into_iter().zip(values).enumerate() {
        let offsets = &problem.packed[axis + 1];
        for (part, own) in parts.iter_mut().zip(by_sequence(keys, offsets)) {
            part.keys.push(own);
        }
        for (part, own) in parts.iter_mut().zip(by_sequence(values, offsets)) {
            part.values.push(own);
        }
    }
    for (part, sequence) in parts.iter_mut().zip(sequences) {
        for (rest, bias) in biases.iter_mut().zip(&sequence.biases) {
            let (own, after) = std::mem::take(rest).split_at_mut(bias.values.len());
            part.biases.push(own);
            *rest = after;
        }
    }
    parts
}
