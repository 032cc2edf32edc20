//! The three matrices of exponentials whose product is the weight of every tuple of a panel.

use super::ROWS;
use super::rows::{Exponentials, Greatest, Relative};
use crate::prepare::{Arena, Prepared};
use crate::problem::{Bias, Problem};
use crate::scores::{SPAN, columns};
use crate::walk::Block;
use polyad_simd::dispatch;
use polyad_simd::gemm::{GROUP, Product};
use std::f64::consts::LOG2_E;
use std::ops::Range;

/// Operands of all heads: those of [`Prepared`], and the first axis's packed as the second's are.
pub(super) struct Operands<'a> {
    pub prepared: Prepared<'a>,
    pub packed_keys: [&'a [f32]; 2],
    pub packed_values: [&'a [f32]; 2],
    /// The axis of the first tokens j, and that of the second k, which are streamed inside.
    pub axes: [usize; 2],
    pub groups: [usize; 2],
}

impl Operands<'_> {
    /// The part of a packed array that belongs to a head, from the group on in which a token lies.
    pub fn packed<'b>(
        &self,
        arrays: &[&'b [f32]; 2],
        side: usize,
        key_head: usize,
        first: usize,
        width: usize,
    ) -> &'b [f32] {
        &arrays[side][(key_head * self.groups[side] * GROUP + first / GROUP * GROUP) * width..]
    }

    /// Queries of the block with the first tokens that some of them see on an axis, and the last.
    pub fn span(&self, block: &Block, side: usize) -> Range<usize> {
        let problem = self.prepared.problem;
        let (low, _) = problem.visible(self.axes[side], block.queries.start);
        let (_, high) = problem.visible(self.axes[side], block.queries.end - 1);
        low..high.min(problem.length(block.head / problem.heads, self.axes[side])).max(low)
    }
}

/// Exponentials of a block with a panel, in scratch of a hand.
pub(super) struct Panel<'a> {
    /// `[rows, 256]` of the queries with the first tokens, and with the second.
    pub sides: [&'a mut [f32]; 2],
    /// `[256 / 64, 256, 64]`: a row for each first token.
    pub middle: &'a mut [f32],
    /// For each row what its weights are relative to, as powers of two, of either side.
    most: [[f32; ROWS]; 2],
    middle_most: f32,
}

impl<'a> Panel<'a> {
    /// Numbers of its scratch.
    pub const NUMBERS: usize = 2 * ROWS * SPAN + SPAN * SPAN;

    pub fn new(arena: &mut Arena<'a>) -> Self {
        Panel {
            sides: [arena.take(ROWS * SPAN), arena.take(ROWS * SPAN)],
            middle: arena.take(SPAN * SPAN),
            most: [[0.0; ROWS]; 2],
            middle_most: 0.0,
        }
    }

    /// The power of two that a row's weights in this panel are relative to; −∞ where it sees nothing of it.
    pub fn bound(&self, row: usize) -> f64 {
        [self.most[0][row], self.most[1][row], self.middle_most].map(f64::from).iter().sum()
    }

    /// Fills one side: `exp(q · keys + bias − most)`, 0 where a token is not visible.
    pub fn fill_side(&mut self, operands: &Operands, block: &Block, side: usize, span: &Range<usize>) {
        let prepared = &operands.prepared;
        let (problem, shape, level) = (prepared.problem, prepared.shape, prepared.level);
        let axis = operands.axes[side];
        let (rows, width) = (block.queries.len(), shape.key_width);
        let key_head = shape.key_head(problem, block.head);
        let numbers = &mut self.sides[side][..rows * SPAN];
        Product {
            rows,
            depth: problem.width,
            columns: columns(span),
            a: &prepared.q[(block.head * problem.queries + block.queries.start) * width..],
            a_row: width,
            a_column: 1,
            b: operands.packed(&operands.packed_keys, side, key_head, span.start, width),
            b_row: GROUP,
            b_group: GROUP * width,
            c_row: SPAN,
            add: false,
        }
        .run(level, numbers);
        let (entry, head) = (block.head / problem.heads, block.head % problem.heads);
        let length = problem.length(entry, axis);
        let bias = prepared.biases.iter().find(|bias| bias.axes == (0, axis + 1));
        let hidden = prepared.hidden.get(axis).copied().flatten();
        for (query, row) in block.queries.clone().zip(numbers.chunks_exact_mut(SPAN)) {
            if let Some(bias) = bias {
                let start = bias.start(problem, entry, head) + query * problem.keys[axis];
                row.iter_mut().zip(&bias.values[start + span.start..start + span.end]).for_each(|(s, b)| *s += b);
            }
            let (low, high) = problem.visible(axis, query);
            let within = |token: usize| token.clamp(span.start, span.end) - span.start;
            row[..within(low)].fill(f32::NEG_INFINITY);
            row[within(high.min(length))..].fill(f32::NEG_INFINITY);
            if let Some(hidden) = hidden {
                let hidden = &hidden[entry * problem.keys[axis]..][span.clone()];
                for (number, _) in row.iter_mut().zip(hidden).filter(|(_, hidden)| **hidden) {
                    *number = f32::NEG_INFINITY;
                }
            }
        }
        let most = &mut self.most[side][..rows];
        dispatch(level, Exponentials { numbers, stride: SPAN, columns: columns(span), most });
    }

    /// Fills the middle: `exp(scale k1 · k2 + bias − most)`.
    pub fn fill_middle(&mut self, operands: &Operands, block: &Block, spans: [&Range<usize>; 2]) {
        let prepared = &operands.prepared;
        let (problem, shape, level) = (prepared.problem, prepared.shape, prepared.level);
        let width = shape.key_width;
        let key_head = shape.key_head(problem, block.head);
        let [first, second] = spans;
        let keys =
            &prepared.keys[operands.axes[0]][(key_head * problem.keys[operands.axes[0]] + first.start) * width..];
        let packed = operands.packed(&operands.packed_keys, 1, key_head, second.start, width);
        let (entry, head) = (block.head / problem.heads, block.head % problem.heads);
        let bias = prepared.biases.iter().find(|bias| bias.axes == (1, 2));
        let mut most = f32::NEG_INFINITY;
        let groups = second.len().div_ceil(GROUP);
        for (group, numbers) in self.middle.chunks_exact_mut(SPAN * GROUP).enumerate().take(groups) {
            let numbers = &mut numbers[..first.len() * GROUP];
            Product {
                rows: first.len(),
                depth: problem.width,
                columns: GROUP,
                a: keys,
                a_row: width,
                a_column: 1,
                b: &packed[group * GROUP * width..],
                b_row: GROUP,
                b_group: 0,
                c_row: GROUP,
                add: false,
            }
            .run(level, numbers);
            let tokens = second.start + group * GROUP..second.end.min(second.start + (group + 1) * GROUP);
            for (j, row) in first.clone().zip(numbers.chunks_exact_mut(GROUP)) {
                row.iter_mut().for_each(|s| *s *= problem.scale);
                if let Some(bias) = bias {
                    let start = bias.start(problem, entry, head);
                    let (place, step) = place_and_step(problem, bias, operands.axes[0], j, tokens.start);
                    let numbers = bias.values[start + place..].iter().step_by(step);
                    row.iter_mut().zip(numbers).take(tokens.len()).for_each(|(s, b)| *s += b);
                }
                row[tokens.len()..].fill(f32::NEG_INFINITY);
            }
            most = most.max(dispatch(level, Greatest(numbers)));
        }
        most = if most == f32::NEG_INFINITY { 0.0 } else { (f64::from(most) * LOG2_E) as f32 };
        for numbers in self.middle.chunks_exact_mut(SPAN * GROUP).take(groups) {
            dispatch(level, Relative { numbers: &mut numbers[..first.len() * GROUP], most });
        }
        self.middle_most = most;
    }
}

/// Where the bias of the two key axes has its number for a first token and a second, and the step to the next second.
pub(super) fn place_and_step(problem: &Problem, bias: &Bias, first_axis: usize, j: usize, k: usize) -> (usize, usize) {
    let row = problem.tokens(bias.axes.1);
    if first_axis == 0 { (j * row + k, 1) } else { (k * row + j, row) }
}
