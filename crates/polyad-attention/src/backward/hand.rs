//! The gradient of one block of queries, by linear channels: steps 2 to 7.

use super::{MOST_ROWS, Plan, ROWS, Rows, Worker};
use crate::bfloat16::{BACKWARD_ROWS, Half, Side};
use crate::forward::{drop_weights, fill_slots, product_of};
use crate::prepare::{Arena, Prepared};
use crate::rows::{Modulate, Slopes, Spread};
use crate::scores::{STRIDE, Scores, columns, spans};
use crate::walk::{Batch, Block, walk};
use polyad_simd::dispatch;
use polyad_simd::gemm::{GROUP, Product};
use std::ops::Range;

/// What computes blocks, with scratch of its own.
pub(super) struct Hand<'a> {
    prepared: &'a Prepared<'a>,
    plan: &'a Plan,
    rows: &'a Rows<'a>,
    half: Option<(&'a Half<'a>, [Side<'a>; 2])>,
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
    pub fn new(
        prepared: &'a Prepared<'a>,
        plan: &'a Plan,
        rows: &'a Rows<'a>,
        half: Option<&'a Half<'a>>,
        scratch: &'a mut [f32],
    ) -> Self {
        let (keys, values) = (prepared.shape.key_width, prepared.shape.value_width);
        let mut arena = Arena::new(scratch);
        let half = half.map(|half| (half, Side::both(prepared.shape, prepared.level, &mut arena)));
        let mut pair = || [arena.take(MOST_ROWS * keys), arena.take(MOST_ROWS * values)];
        let (modulated, slots, collected, sums) = (pair(), pair(), pair(), pair());
        Hand {
            prepared,
            plan,
            rows,
            half,
            modulated,
            slots,
            collected,
            sums,
            scores: arena.take(MOST_ROWS * STRIDE),
            slopes: arena.take(MOST_ROWS * STRIDE),
            caps: arena.take(MOST_ROWS * STRIDE),
            product: arena.take(keys.max(values)),
            batch: Batch::default(),
        }
    }
}

impl Worker for Hand<'_> {
    fn run(&mut self, block: &Block, dq: &mut [f32], to: &mut [f32]) -> Option<u64> {
        let Hand { prepared, plan, rows, half, modulated, slots, collected, sums, .. } = self;
        let Hand { scores, slopes, caps, product, batch, .. } = self;
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
        // Without an outer axis rows are the tokens as they are, and T is of no use.
        let has_outer = !shape.outer.is_empty();
        // Nothing happens to weights and slopes between the products.
        let plain = prepared.biases.is_empty() && problem.softcap.is_none() && problem.dropout.is_none();
        dq.fill(0.0);
        let mut half = half.as_mut().filter(|(half, _)| half.serves(key_head));
        let capacity = if half.is_some() { BACKWARD_ROWS } else { ROWS };
        let mut computed = 0;
        let mut one = |batch: &Batch| {
            let count = batch.rows.len();
            let as_they_are = !has_outer && batch.is_run();
            for side in 0..2 {
                let (width, tokens) = (widths[side], tokens[side]);
                fill_slots(prepared, batch, key_head, (width, arrays[side]), slots[side]);
                if !as_they_are {
                    let out = &mut *modulated[side];
                    dispatch(level, Modulate { rows: &batch.rows, width, tokens, slots: &*slots[side], out });
                }
            }
            let modulated = [0, 1].map(|side| match as_they_are {
                true => &tokens[side][batch.rows[0].query * widths[side]..],
                false => &*modulated[side],
            });
            if let Some((_, sides)) = &mut half {
                sides.iter_mut().zip(modulated).for_each(|(side, rows)| side.set_modulated(rows, count));
            }
            let seen = batch.span();
            for (index, span) in spans(seen.clone()).enumerate() {
                if let Some((half, sides)) = &half {
                    for (side, to) in [(0, &mut *scores), (1, &mut *slopes)] {
                        let Side { session, modulated, .. } = &sides[side];
                        half.along_features(session, (side, key_head), (modulated, count), &span, to);
                    }
                    own.finish(batch, &span, scores, Some(&mut **caps));
                } else {
                    own.compute(batch, &span, modulated[0], scores, Some(&mut **caps));
                    weight_gradients(prepared, key_head, count, &span, modulated[1], slopes);
                }
                computed += (count * columns(&span)) as u64;
                if let Some((_, sides)) = &mut half
                    && plain
                {
                    let of_rows = (&rows.lse[first..], &rows.delta[first..]);
                    Side::set_slopes(sides, &batch.rows, of_rows, (scores, slopes), &span);
                } else {
                    drop_weights(prepared, block, batch, &span, slopes);
                    let stream = Slopes {
                        rows: &batch.rows,
                        lse: &rows.lse[first..],
                        delta: &rows.delta[first..],
                        scores,
                        slopes,
                        stride: STRIDE,
                        columns: columns(&span),
                    };
                    dispatch(level, stream);
                    // Where a row does not see a token its weight is 0, and 0 times a gradient that is not finite is not.
                    for (row, slopes) in batch.rows.iter().zip(slopes.chunks_exact_mut(STRIDE)) {
                        slopes[..row.low.max(span.start).min(span.end) - span.start].fill(0.0);
                        slopes[row.high.max(span.start).min(span.end) - span.start..].fill(0.0);
                    }
                    own.add_bias_gradients(batch, &span, slopes, to, &plan.places[2 * problem.keys.len()..]);
                    if problem.softcap.is_some() {
                        slopes.iter_mut().zip(&**caps).for_each(|(slope, cap)| *slope *= cap);
                    }
                    drop_weights(prepared, block, batch, &span, scores);
                }
                let from = seen.start.max(span.start);
                for (side, numbers) in [(0, &*slopes), (1, &*scores)] {
                    let width = widths[side];
                    let place = plan.places[2 * shape.inner + side];
                    if let Some((half, sides)) = &mut half {
                        let own = &mut sides[side];
                        if !plain {
                            own.set_numbers(numbers, columns(&span), count);
                        }
                        own.add_to_inner(count, (from, &span), &mut to[place..]);
                        if side == 0 || has_outer {
                            let (to, numbers) = (&mut *sums[side], (&*own.numbers, count));
                            half.along_tokens(&own.session, (side, key_head), numbers, (from, &span), to, index > 0);
                        }
                        continue;
                    }
                    let numbers = &numbers[from - span.start..];
                    // For the inner tokens: the numbers transposed, times the rows.
                    Product {
                        rows: span.end - from,
                        depth: count,
                        columns: width,
                        a: numbers,
                        a_row: 1,
                        a_column: STRIDE,
                        b: modulated[side],
                        b_row: width,
                        b_group: GROUP,
                        c_row: width,
                        add: true,
                    }
                    .run(level, &mut to[place + from * width..]);
                    if side == 1 && !has_outer {
                        continue;
                    }
                    // For the rows: the numbers times the inner tokens.
                    Product {
                        rows: count,
                        depth: span.end - from,
                        columns: width,
                        a: numbers,
                        a_row: STRIDE,
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
            if !has_outer {
                return;
            }
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
        };
        for within in plan.inner_of_share(block.part.0) {
            walk(prepared, block, &within, capacity, batch, &mut one);
        }
        Some(computed)
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
        c_row: STRIDE,
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
            for (row, slopes) in batch.rows.iter().zip(slopes.chunks_exact(STRIDE)) {
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
