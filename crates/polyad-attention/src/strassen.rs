//! Strassen attention, factorised: half the operations of the trilinear form, and no exponential a tuple.
//!
//! ```text
//! S[i, j, k] = a[i, j] + b[j, k] + c[i, k],  so  exp S = e^a e^b e^c
//! Z_i out[i, l] = Σ_k (Σ_j e^a[i, j] v1[j, l] e^b[j, k]) e^c[i, k] v2[k, l]
//! 1. for each head and block of 48 queries, and part of its first tokens j      one task
//! 2.   for each panel of 256 x 256 tokens: e^a, e^c of the block, e^b           256 kB, second-level cache
//! 3.     for each channel l, and one of ones for Z:
//!          X = e^a ∘ v1;  T = X e^b, a product 48 x 256 x 256;  sum += (T ∘ e^c) · v2
//! 4. rows whose weights are too far below what they are relative to: one by one, as three times the channels
//! ```
//!
//! (arXiv 2501.19215 has the factorisation.) Each factor is relative to its own maximum in the panel, so a row's weights
//! may all be small: by 80 to 170 (natural logarithm) at scores of deviation 20 to 40. What single precision loses of a
//! row is at most `m1 m2 2^-126` of what it is relative to; a row less than `2^-64` of that is not trusted, and goes to
//! step 4. Panels are computed anew for each block, a fortieth of the work, so that memory grows with the tokens only.
//!
//! Masks and biases are of pairs of axes, and go into the factors. Softcap and dropout are of tuples: with them, and
//! where a token is not finite, forward computes linear channels.

mod backward;
mod panel;
mod rows;

use crate::backward::{GradientRows, Hire, Rows, Upstream};
use crate::deal::{Scratch, deal, place, with_own};
use crate::element::Element;
use crate::form::ScoreForm;
use crate::forward::{HANDS, Work, blocks, rows_one_by_one, rows_one_by_one_numbers};
use crate::join::Join;
use crate::prepare::{Arena, Prepared, Shape, pack, packed_numbers, padded};
use crate::problem::{Bias, Inputs, Problem};
use crate::scores::{SPAN, columns, spans};
use crate::walk::Block;
use panel::{Operands, Panel};
use polyad_simd::gemm::{GROUP, Product};
use polyad_simd::{Level, dispatch};
use rayon::prelude::*;
use rows::{Channel, Fold};
use std::f64::consts::LOG2_E;

/// Queries of a block: more than forward's, since each block makes its panels anew.
const ROWS: usize = crate::backward::ROWS;
/// Tasks wanted at least, unless first tokens would be fewer than [`GROUP`] a task.
const TASKS: usize = 16;
/// Powers of two that a row's sum may be below what it is relative to.
const TRUST: f64 = 64.0;

/// Whether a problem is computed so.
pub(crate) fn applies(problem: &Problem) -> bool {
    problem.form == ScoreForm::Strassen && problem.softcap.is_none() && problem.dropout.is_none()
}

/// How a problem is divided.
struct Plan {
    /// The problem with the operands as they are.
    plain: Problem,
    shape: Shape,
    axes: [usize; 2],
    parts: usize,
    hands: usize,
}

impl Plan {
    fn new(problem: &Problem) -> Self {
        let plain = Problem { form: ScoreForm::Linear, ..problem.clone() };
        let shape = Shape::new(&plain);
        let axes = [shape.outer[0], shape.inner];
        let blocks = shape.query_heads * problem.queries.div_ceil(ROWS);
        let parts = TASKS.div_ceil(blocks.max(1)).min(problem.keys[axes[0]].div_ceil(GROUP)).max(1);
        Plan { hands: (blocks * parts).clamp(1, HANDS), plain, shape, axes, parts }
    }

    /// Sums of a row: the channels, what they are relative to, that of ones, and the greatest bound.
    fn record(&self) -> usize {
        self.plain.value_width + 3
    }

    fn scratch(&self) -> usize {
        Panel::NUMBERS + 2 * ROWS * SPAN
    }

    /// Numbers of the first axis's packed operands.
    fn packed(&self) -> usize {
        let (shape, first) = (&self.shape, self.plain.keys[self.axes[0]]);
        packed_numbers(shape.key_heads, first, shape.key_width)
            + packed_numbers(shape.key_heads, first, shape.value_width)
    }

    fn workspace(&self) -> usize {
        let problem = &self.plain;
        self.shape.numbers(problem, true)
            + self.packed()
            + padded(problem.rows() * self.parts * self.record())
            + self.hands * self.scratch()
    }
}

/// Numbers of the workspace.
pub(crate) fn workspace(problem: &Problem) -> usize {
    Arena::LOST + Plan::new(problem).workspace() + rows_one_by_one_numbers(problem)
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
    let plan = Plan::new(problem);
    let mut arena = Arena::new(workspace);
    let records = arena.take(problem.rows() * plan.parts * plan.record());
    let scratch = Scratch::new(arena.take(plan.hands * plan.scratch()), plan.scratch());
    let operands = operands(&plan, inputs, level, &mut arena);
    let tasks = with_own(blocks(problem, &plan.shape, ROWS, plan.parts), &mut *records, plan.record());
    let scores: u64 = deal(tasks, plan.hands)
        .into_par_iter()
        .with_max_len(1)
        .map(|tasks| {
            scratch.lend(|scratch| {
                let mut hand = Hand::new(&operands, &plan, scratch);
                tasks.into_iter().map(|(block, records)| hand.run(&block, records)).sum::<u64>()
            })
        })
        .sum();
    let records = &*records;
    let doubtful: Vec<usize> = out
        .par_iter_mut()
        .zip(&mut *lse)
        .enumerate()
        .filter_map(|(row, (out, lse))| {
            let of_part = |part: usize| place(problem.queries, ROWS, plan.parts, part, row) * plan.record();
            let places = (0..plan.parts).map(of_part);
            let sink = inputs.sink_of(problem, row);
            *lse = dispatch(level, Join { records, places: places.clone(), sink, out });
            let bounds = places.map(|place| f64::from(records[place + problem.value_width + 2]));
            (!trusted(bounds.fold(f64::NEG_INFINITY, greater), *lse)).then_some(row)
        })
        .collect();
    let again = rows_one_by_one(problem, inputs, &doubtful, out, lse, arena.rest(), level);
    Work { scores: scores + again }
}

/// The problem with the operands as they are, and how its gradient is divided.
fn backward_plan(problem: &Problem, biases: &[Bias]) -> (Plan, crate::backward::Plan) {
    let plan = Plan::new(problem);
    let divided = crate::backward::Plan::new(&plan.plain, biases, Some((plan.parts, backward::SCRATCH)));
    (plan, divided)
}

/// Numbers of the gradient's workspace.
pub(crate) fn backward_workspace(problem: &Problem, biases: &[Bias]) -> usize {
    let (plan, divided) = backward_plan(problem, biases);
    divided.workspace(&plan.plain) + plan.packed()
}

/// As [`crate::backward()`], after its checks; nothing where a row is not to be trusted.
pub(crate) fn backward<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    upstream: &Upstream<E>,
    gradients: &mut GradientRows<E>,
    workspace: &mut [f32],
    level: Level,
) -> Option<Work> {
    let (plan, divided) = backward_plan(problem, inputs.biases);
    let mut arena = Arena::new(workspace);
    let operands = operands(&plan, inputs, level, &mut arena);
    let rows = Rows::new(&plan.plain, &plan.shape, upstream, level, &mut arena);
    let hire: &Hire = &|scratch, work| work(&mut backward::Hand::new(&operands, &divided, &rows, scratch));
    crate::backward::run(&plan.plain, inputs, (&divided, &[], level), &rows, gradients, arena, hire)
}

/// The greater number; NaN if there is one, so that it comes to light.
fn greater(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// Whether the sums of a row are exact enough, what they are relative to being a power of two.
fn trusted(bound: f64, lse: f32) -> bool {
    bound == f64::NEG_INFINITY || bound - f64::from(lse) * LOG2_E <= TRUST
}

fn operands<'a, E: Element>(
    plan: &'a Plan,
    inputs: &'a Inputs<'a, E>,
    level: Level,
    arena: &mut Arena<'a>,
) -> Operands<'a> {
    let (problem, shape) = (&plan.plain, &plan.shape);
    let prepared = Prepared::new(problem, inputs, shape, level, arena, true);
    let first = plan.axes[0];
    let size = |width: usize| (shape.key_heads, problem.keys[first], width);
    let keys = pack(arena, prepared.keys[first], size(shape.key_width), level);
    let values = pack(arena, prepared.values[first], size(shape.value_width), level);
    Operands {
        packed_keys: [keys, prepared.packed_keys],
        packed_values: [values, prepared.packed_values],
        axes: plan.axes,
        groups: plan.axes.map(|axis| problem.keys[axis].div_ceil(GROUP)),
        prepared,
    }
}

/// Whoever computes tasks, with scratch of its own.
struct Hand<'a> {
    operands: &'a Operands<'a>,
    plan: &'a Plan,
    panel: Panel<'a>,
    x: &'a mut [f32],
    t: &'a mut [f32],
    /// `[rows, d_v + 1]`, relative to `most`.
    sums: Vec<f64>,
    most: [f64; ROWS],
}

impl<'a> Hand<'a> {
    fn new(operands: &'a Operands<'a>, plan: &'a Plan, scratch: &'a mut [f32]) -> Self {
        let mut arena = Arena::new(scratch);
        Hand {
            operands,
            plan,
            panel: Panel::new(&mut arena),
            x: arena.take(ROWS * SPAN),
            t: arena.take(ROWS * SPAN),
            sums: vec![0.0; ROWS * (plan.plain.value_width + 1)],
            most: [0.0; ROWS],
        }
    }

    /// Computes a block into its records. Gives the number of tuples.
    fn run(&mut self, block: &Block, records: &mut [f32]) -> u64 {
        let (operands, plan) = (self.operands, self.plan);
        let channels = plan.plain.value_width;
        self.sums.fill(0.0);
        self.most.fill(f64::NEG_INFINITY);
        let key_head = plan.shape.key_head(&plan.plain, block.head);
        let mut computed = 0;
        // A token that is not finite would spoil the rows that do not see it: 0 · NaN is NaN.
        let finite = operands.prepared.finite[key_head];
        let (part, parts) = block.part;
        let [first, second] = [0, 1].map(|side| operands.span(block, side));
        let share = |part: usize| first.start + first.len() * part / parts;
        let first = share(part)..share(part + 1);
        for js in spans(first.clone()).filter(|_| finite) {
            let seen = js.start.max(first.start)..js.end;
            self.panel.fill_side(operands, block, 0, &js);
            for ks in spans(second.clone()) {
                self.panel_sums(block, &js, &seen, &ks);
                computed += (block.queries.len() * seen.len() * columns(&ks)) as u64;
            }
        }
        let sums = self.sums.chunks_exact(channels + 1).zip(&self.most);
        for (to, (sums, most)) in records.chunks_exact_mut(plan.record()).zip(sums) {
            let total = sums[channels];
            // Relative to its own sum, so that no small number is lost.
            let relative = if total > 0.0 { (most + total.log2()) as f32 } else { f32::NEG_INFINITY };
            let factor = if total > 0.0 { (most - f64::from(relative)).exp2() } else { 0.0 };
            to[..channels].iter_mut().zip(sums).for_each(|(to, sum)| *to = (sum * factor) as f32);
            to[channels] = relative;
            to[channels + 1] = (total * factor) as f32;
            to[channels + 2] = if finite && !total.is_nan() { *most as f32 } else { f32::INFINITY };
        }
        computed
    }

    /// Adds a panel; the side of the first tokens is filled.
    fn panel_sums(
        &mut self,
        block: &Block,
        js: &std::ops::Range<usize>,
        seen: &std::ops::Range<usize>,
        ks: &std::ops::Range<usize>,
    ) {
        let Hand { operands, plan, panel, x, t, sums, most } = self;
        let (problem, shape, level) = (&plan.plain, &plan.shape, operands.prepared.level);
        let rows = block.queries.len();
        let channels = problem.value_width;
        panel.fill_side(operands, block, 1, ks);
        panel.fill_middle(operands, block, [js, ks]);
        let mut factors = [0.0; ROWS];
        for (row, factor) in factors.iter_mut().enumerate().take(rows) {
            let bound = panel.bound(row);
            if bound > most[row] {
                let down = (most[row] - bound).exp2();
                sums[row * (channels + 1)..(row + 1) * (channels + 1)].iter_mut().for_each(|sum| *sum *= down);
                most[row] = bound;
            }
            if bound > f64::NEG_INFINITY {
                *factor = (bound - most[row]).exp2();
            }
        }
        let key_head = shape.key_head(problem, block.head);
        let width = shape.value_width;
        let tokens = [(0, js), (1, ks)]
            .map(|(side, span)| operands.packed(&operands.packed_values, side, key_head, span.start, width));
        let [first, second] = &panel.sides;
        for channel in 0..=channels {
            let of_values = channel < channels;
            if of_values {
                let tokens = &tokens[0][channel * GROUP..];
                let columns = columns(js);
                let rows = &first[..rows * SPAN];
                dispatch(level, Channel { rows, stride: SPAN, columns, tokens, group: GROUP * width, out: x });
            }
            let from = seen.start - js.start;
            Product {
                rows,
                depth: seen.len(),
                columns: columns(ks),
                a: if of_values { &x[from..] } else { &first[from..] },
                a_row: SPAN,
                a_column: 1,
                b: &panel.middle[from * GROUP..],
                b_row: GROUP,
                b_group: SPAN * GROUP,
                c_row: SPAN,
                add: false,
            }
            .run(level, t);
            let fold = Fold {
                t: &t[..rows * SPAN],
                rows: second,
                stride: SPAN,
                columns: columns(ks),
                tokens: of_values.then(|| &tokens[1][channel * GROUP..]),
                group: GROUP * width,
                factors: &factors,
                sums: &mut sums[channel..],
                sums_stride: channels + 1,
            };
            dispatch(level, fold);
        }
    }
}
