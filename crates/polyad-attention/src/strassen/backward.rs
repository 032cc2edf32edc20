//! The gradient of Strassen attention, factorised as forward is.
//!
//! ```text
//! P[i, j, k] = A[i, j] B[j, k] C[i, k],  A with exp(−lse) in it;  g_l = dout[i, l], and −Δ_i for a channel of ones
//! 1. for each panel and channel l:  X = A ∘ v1,  Z = C ∘ v2,  T = X B,  Y = Z Bᵀ
//!      dA += g X ∘ Y,  dC += g Z ∘ T,  dv1 += g A ∘ Y,  dv2 += g C ∘ T,  dB += (g X)ᵀ Z
//! 2. dq += dA k1 + dC k2,  dk1 += dAᵀ q + dB k2,  dk2 += dCᵀ q + dBᵀ k1
//! ```
//!
//! Three products a channel, so three times the operations of forward. A row that is not to be trusted (see forward)
//! makes the whole problem go through linear channels.

use super::panel::{Operands, Panel, place_and_step};
use super::rows::{Channel, Scale, Slopes};
use super::{ROWS, trusted};
use crate::backward::{Plan, Rows, Worker};
use crate::prepare::Arena;
use crate::problem::Problem;
use crate::scores::{SPAN, columns, spans};
use crate::walk::Block;
use polyad_simd::gemm::{GROUP, Product};
use polyad_simd::{Level, dispatch};
use std::f64::consts::LOG2_E;
use std::ops::Range;

/// Numbers of a hand's scratch.
pub(crate) const SCRATCH: usize = Panel::NUMBERS + 7 * ROWS * SPAN + 2 * SPAN * SPAN + 2 * SPAN;

/// Whoever computes tasks, with scratch of its own.
pub(crate) struct Hand<'a> {
    operands: &'a Operands<'a>,
    plan: &'a Plan,
    rows: &'a Rows<'a>,
    panel: Panel<'a>,
    /// The middle transposed, `[256 / 64, 256, 64]`: a row for each second token.
    turned: &'a mut [f32],
    /// A, the first side with exp(−lse) in it.
    weights: &'a mut [f32],
    /// X and Z, Y and T: each `[rows, 256]`.
    by_channel: [&'a mut [f32]; 2],
    opposite: [&'a mut [f32]; 2],
    /// dA and dC.
    slopes: [&'a mut [f32]; 2],
    /// dB, `[256, 256]`.
    middle: &'a mut [f32],
    /// A channel of the gradients of the values.
    of_tokens: [&'a mut [f32]; 2],
}

impl<'a> Hand<'a> {
    pub fn new(operands: &'a Operands<'a>, plan: &'a Plan, rows: &'a Rows<'a>, scratch: &'a mut [f32]) -> Self {
        let mut arena = Arena::new(scratch);
        let panel = Panel::new(&mut arena);
        let turned = arena.take(SPAN * SPAN);
        let weights = arena.take(ROWS * SPAN);
        let mut pair = |numbers: usize| [arena.take(numbers), arena.take(numbers)];
        let (by_channel, opposite, slopes) = (pair(ROWS * SPAN), pair(ROWS * SPAN), pair(ROWS * SPAN));
        let of_tokens = pair(SPAN);
        let middle = arena.take(SPAN * SPAN);
        Hand { operands, plan, rows, panel, turned, weights, by_channel, opposite, slopes, middle, of_tokens }
    }

    fn problem(&self) -> &'a Problem {
        self.operands.prepared.problem
    }

    fn level(&self) -> Level {
        self.operands.prepared.level
    }
}

impl Worker for Hand<'_> {
    fn run(&mut self, block: &Block, dq: &mut [f32], to: &mut [f32]) -> Option<u64> {
        let operands = self.operands;
        let key_head = operands.prepared.shape.key_head(self.problem(), block.head);
        if !operands.prepared.finite[key_head] {
            return None;
        }
        dq.fill(0.0);
        let mut computed = 0;
        let (part, parts) = block.part;
        let [first, second] = [0, 1].map(|side| operands.span(block, side));
        let share = |part: usize| first.start + first.len() * part / parts;
        let first = share(part)..share(part + 1);
        for js in spans(first.clone()) {
            let seen = js.start.max(first.start)..js.end;
            self.panel.fill_side(operands, block, 0, &js);
            self.slopes[0].fill(0.0);
            for ks in spans(second.clone()) {
                self.panel.fill_side(operands, block, 1, &ks);
                self.panel.fill_middle(operands, block, [&js, &ks]);
                self.weigh(block, &js, &seen)?;
                self.turn(&js, &ks);
                self.slopes[1].fill(0.0);
                self.middle.fill(0.0);
                for channel in 0..=self.problem().value_width {
                    self.channel(block, [&js, &ks], &seen, channel, to);
                }
                self.middle_gradients(block, [&js, &ks], &seen, to);
                self.side_gradients(block, 1, &ks, &ks, dq, to);
                computed += (block.queries.len() * seen.len() * columns(&ks)) as u64;
            }
            self.side_gradients(block, 0, &js, &seen, dq, to);
        }
        Some(computed)
    }
}

impl Hand<'_> {
    /// The first side with `exp(−lse)` in it, zeros where another part has the token; nothing where a row is doubtful.
    fn weigh(&mut self, block: &Block, js: &Range<usize>, seen: &Range<usize>) -> Option<()> {
        let first = block.head * self.problem().queries + block.queries.start;
        let mut factors = [0.0; ROWS];
        for (row, factor) in factors.iter_mut().enumerate().take(block.queries.len()) {
            let (bound, lse) = (self.panel.bound(row), self.rows.lse[first + row]);
            if !trusted(bound, lse) {
                return None;
            }
            *factor = (bound - f64::from(lse) * LOG2_E).exp2() as f32;
        }
        let numbers = &self.panel.sides[0][..block.queries.len() * SPAN];
        let columns = columns(js);
        dispatch(self.level(), Scale { numbers, stride: SPAN, columns, factors: &factors, out: self.weights });
        for row in self.weights.chunks_exact_mut(SPAN).take(block.queries.len()) {
            row[..seen.start - js.start].fill(0.0);
        }
        Some(())
    }

    /// Transposes the middle.
    fn turn(&mut self, js: &Range<usize>, ks: &Range<usize>) {
        for (group, turned) in self.turned.chunks_exact_mut(SPAN * GROUP).enumerate() {
            let js = (group * GROUP).min(js.len())..((group + 1) * GROUP).min(js.len());
            if js.is_empty() {
                continue;
            }
            for (k, to) in turned.chunks_exact_mut(GROUP).enumerate().take(ks.len()) {
                let from = &self.panel.middle[k / GROUP * SPAN * GROUP + k % GROUP..];
                for (to, j) in to.iter_mut().zip(js.clone()) {
                    *to = from[j * GROUP];
                }
                to[js.len()..].fill(0.0);
            }
        }
    }

    /// One channel of the panel; that after the last of the values is of ones.
    fn channel(
        &mut self,
        block: &Block,
        spans: [&Range<usize>; 2],
        seen: &Range<usize>,
        channel: usize,
        to: &mut [f32],
    ) {
        let (problem, level, operands) = (self.problem(), self.level(), self.operands);
        let width = operands.prepared.shape.value_width;
        let key_head = operands.prepared.shape.key_head(problem, block.head);
        let rows = block.queries.len();
        let of_values = channel < problem.value_width;
        let [first, second] = spans;
        let Hand { panel, turned, weights, by_channel, opposite, slopes, middle, of_tokens, .. } = self;
        let weights = [&weights[..rows * SPAN], &panel.sides[1][..rows * SPAN]];
        for side in 0..2 {
            let columns = columns(spans[side]);
            if of_values {
                let values = operands.packed(&operands.packed_values, side, key_head, spans[side].start, width);
                let (tokens, group) = (&values[channel * GROUP..], GROUP * width);
                let out = &mut *by_channel[side];
                dispatch(level, Channel { rows: weights[side], stride: SPAN, columns, tokens, group, out });
            } else {
                by_channel[side][..rows * SPAN].copy_from_slice(weights[side]);
            }
        }
        let from = seen.start - first.start;
        let product = |depth: usize, columns: usize| Product {
            rows,
            depth,
            columns,
            a: &[],
            a_row: SPAN,
            a_column: 1,
            b: &[],
            b_row: GROUP,
            b_group: SPAN * GROUP,
            c_row: SPAN,
            add: false,
        };
        let [x, z] = &*by_channel;
        Product { a: &x[from..], b: &panel.middle[from * GROUP..], ..product(seen.len(), columns(second)) }
            .run(level, opposite[1]);
        Product { a: z, b: turned, ..product(second.len(), columns(first)) }.run(level, opposite[0]);
        let own = block.head * problem.queries + block.queries.start;
        let mut factors = [0.0; ROWS];
        for (row, factor) in factors.iter_mut().enumerate().take(rows) {
            *factor = match of_values {
                true => self.rows.dout[(own + row) * width + channel],
                false => -self.rows.delta[own + row],
            };
        }
        for side in 0..2 {
            of_tokens[side].fill(0.0);
            let slopes = Slopes {
                x: &mut by_channel[side][..rows * SPAN],
                weights: weights[side],
                y: &opposite[side][..rows * SPAN],
                slopes: &mut slopes[side][..rows * SPAN],
                of_tokens: of_tokens[side],
                stride: SPAN,
                columns: columns(spans[side]),
                factors: &factors[..rows],
                scale_x: side == 0,
            };
            dispatch(level, slopes);
        }
        // The first tokens by the second: rows of X turned, times Z.
        Product {
            rows: seen.len(),
            depth: rows,
            columns: columns(second),
            a: &by_channel[0][from..],
            a_row: 1,
            a_column: SPAN,
            b: by_channel[1],
            b_row: SPAN,
            b_group: GROUP,
            c_row: SPAN,
            add: true,
        }
        .run(level, middle);
        if of_values {
            for (side, span) in [(0, seen), (1, second)] {
                let place = self.plan.places[2 * operands.axes[side] + 1] + span.start * width + channel;
                let from = &of_tokens[side][span.start - spans[side].start..];
                to[place..].iter_mut().step_by(width).zip(from).take(span.len()).for_each(|(to, x)| *to += x);
            }
        }
    }

    /// From the gradient of the middle's exponentials to those of both keys and of their bias.
    fn middle_gradients(&mut self, block: &Block, spans: [&Range<usize>; 2], seen: &Range<usize>, to: &mut [f32]) {
        let (problem, level, operands) = (self.problem(), self.level(), self.operands);
        let shape = operands.prepared.shape;
        let [first, second] = spans;
        let biases = operands.prepared.biases;
        let bias = biases.iter().position(|bias| bias.axes == (1, 2));
        for j in seen.clone() {
            let row = &mut self.middle[(j - seen.start) * SPAN..][..second.len()];
            for (k, slope) in row.iter_mut().enumerate() {
                *slope *= self.panel.middle[(k / GROUP * SPAN + j - first.start) * GROUP + k % GROUP];
            }
            if let Some(index) = bias {
                let (place, step) = place_and_step(problem, &biases[index], operands.axes[0], j, second.start);
                let to = &mut to[self.plan.places[4 + index] + place..];
                to.iter_mut().step_by(step).zip(&*row).for_each(|(to, slope)| *to += slope);
            }
            row.iter_mut().for_each(|slope| *slope *= problem.scale);
        }
        let width = shape.key_width;
        let key_head = shape.key_head(problem, block.head);
        let keys = |side: usize, first: usize| {
            let axis = operands.axes[side];
            &operands.prepared.keys[axis][(key_head * problem.keys[axis] + first) * width..]
        };
        for (side, span, other) in [(0, seen, second), (1, second, seen)] {
            let place = self.plan.places[2 * operands.axes[side]] + span.start * width;
            Product {
                rows: span.len(),
                depth: other.len(),
                columns: width,
                a: self.middle,
                a_row: if side == 0 { SPAN } else { 1 },
                a_column: if side == 0 { 1 } else { SPAN },
                b: keys(1 - side, other.start),
                b_row: width,
                b_group: GROUP,
                c_row: width,
                add: true,
            }
            .run(level, &mut to[place..]);
        }
    }

    /// From the gradient of one side's scores to those of queries, keys and bias.
    fn side_gradients(
        &mut self,
        block: &Block,
        side: usize,
        span: &Range<usize>,
        seen: &Range<usize>,
        dq: &mut [f32],
        to: &mut [f32],
    ) {
        let (problem, level, operands) = (self.problem(), self.level(), self.operands);
        let (shape, axis) = (operands.prepared.shape, operands.axes[side]);
        let width = shape.key_width;
        let rows = block.queries.len();
        let slopes = &self.slopes[side][seen.start - span.start..];
        let key_head = shape.key_head(problem, block.head);
        let keys = &operands.prepared.keys[axis][(key_head * problem.keys[axis] + seen.start) * width..];
        let of_queries = Product {
            rows,
            depth: seen.len(),
            columns: width,
            a: slopes,
            a_row: SPAN,
            a_column: 1,
            b: keys,
            b_row: width,
            b_group: GROUP,
            c_row: width,
            add: true,
        };
        of_queries.run(level, dq);
        let q = &operands.prepared.q[(block.head * problem.queries + block.queries.start) * width..];
        let place = self.plan.places[2 * axis] + seen.start * width;
        Product { rows: seen.len(), depth: rows, a_row: 1, a_column: SPAN, b: q, ..of_queries }
            .run(level, &mut to[place..]);
        let biases = operands.prepared.biases;
        if let Some(index) = biases.iter().position(|bias| bias.axes == (0, axis + 1)) {
            for (query, slopes) in block.queries.clone().zip(slopes.chunks(SPAN)) {
                let to = &mut to[self.plan.places[4 + index] + query * problem.keys[axis] + seen.start..];
                to.iter_mut().zip(&slopes[..seen.len()]).for_each(|(to, slope)| *to += slope);
            }
        }
    }
}
