//! Products in bfloat16, where arrays are of that type and the processor multiplies it.
//!
//! ```text
//! m = bf16(scale q ∘ k1 ..)    S = m · k2     p = exp(S − max)    out += v1 ∘ (bf16(p) · v2)    total += p
//! n = bf16(dout ∘ v1 ..)      dP = n · v2    dS = P (dP − Δ)
//! dv2 += bf16(P)ᵀ n   dk2 += bf16(dS)ᵀ m   T = bf16(P) v2   U = bf16(dS) k2      the rest as in single precision
//! ```
//!
//! Everything else, sums, exponentials and normalisers too, is in single precision, by the same code.
//!
//! # Precision
//! With u = 2⁻⁸, half the distance of bfloat16 numbers near 1, and A_i the greatest `Σ_l |scale q k1 k2|` of a row:
//! - a score is off by at most `u A_i` (each term of it by u: `m` is the one rounded factor, keys are what they were), so a
//!   weight by `u A_i` relatively, and lse by `u A_i`;
//! - a normalised weight is off by `2 u A_i` relatively (its own error and that of the normaliser), and by u more where it
//!   multiplies values: `|out − exact| <= (2 A_i + 1) u Σ P |v1 v2| + u |out|`, the last for rounding what comes out;
//! - sums in single precision have at most 256 terms before a compensated one: less than a hundredth of u.
//!
//! Gradients follow: dP is off by `u Σ |dout v1 v2|`, Δ by what `out` is, dS by those times P and by `(2 A_i + 1) u`
//! relatively, and by u more where it is a factor; every gradient is a sum of such terms, rounded once at the end. The
//! tests add these bounds up tuple by tuple.
//!
//! A plain evaluation in bfloat16 with single-precision sums rounds in the same places, `m`, `p` and `out`, and so has the
//! same bound; where a way of ordering the work allows a choice (the normaliser from weights before they are rounded, as
//! FlashAttention has it), the better one is taken. At order 2 nothing is rounded in `m` if the scale is a power of two,
//! and a plain evaluation would round nothing there in any case: other scales are left to single precision.
//!
//! # Layout
//! | what | layout |
//! |---|---|
//! | inner keys, inner values, by features | `[key heads, m / 32, width / 2, 32, 2]`: a score's product runs along features |
//! | inner keys, inner values, by tokens | `[key heads, width / 32, m / 2, 32, 2]`: a sum over tokens runs along those |
//! | weights of a batch, by rows | `[256 / 32, rows / 2, 32, 2]`: a sum over rows runs along those |
//!
//! Sums for inner tokens are kept transposed, `[m / 32, width, 32]`: so it is the rows' operands that have to be turned,
//! which are narrower than their weights.

mod round;

use crate::element::Element;
use crate::prepare::{Arena, Prepared, Shape, padded};
use crate::problem::Problem;
use crate::rows::{Running, WeighRounded};
use crate::scores::{STRIDE, columns};
use crate::walk::Row;
use polyad_simd::bfloat16::{BLOCK, Product, Session, dispatch_half, halves};
use polyad_simd::gemm::GROUP;
use polyad_simd::{LANES, Level};
use rayon::prelude::*;
pub(crate) use round::Narrow;
use round::{Both, ByFeatures, InPairs, SlopesRounded, Turned};
use std::ops::Range;

/// Rows of forward computed at once: a block of the product.
pub(crate) const ROWS: usize = BLOCK;
/// Rows of backward computed at once: sums for inner tokens are read and written once a batch.
pub(crate) const BACKWARD_ROWS: usize = 4 * BLOCK;

/// Whether a problem's products are in bfloat16 on a level.
pub(crate) fn applies<E: Element>(problem: &Problem, level: Level) -> bool {
    let exact = problem.order() > 2 || problem.scale.to_bits() << 9 == 0;
    E::IS_BFLOAT16 && exact && level >= Level::Avx512Bf16 && level.is_present()
}

/// Inner tokens of a key head, to whole groups.
pub(crate) fn inner_room(shape: &Shape) -> usize {
    shape.groups * GROUP
}

/// A width to whole blocks of a product's depth.
pub(crate) fn whole(width: usize) -> usize {
    width.next_multiple_of(BLOCK)
}

/// Single-precision numbers that so many of bfloat16 take.
fn room(halves: usize) -> usize {
    padded(halves.div_ceil(2))
}

fn take<'a>(arena: &mut Arena<'a>, numbers: usize) -> &'a mut [u16] {
    halves(arena.take(room(numbers)))
}

/// Inner keys and values of all heads, as products want them; keys first, then values.
pub(crate) struct Half<'a> {
    prepared: &'a Prepared<'a>,
    by_features: [&'a [u16]; 2],
    by_tokens: [&'a [u16]; 2],
}

impl<'a> Half<'a> {
    /// Numbers that [`Half::new`] takes.
    pub fn numbers(shape: &Shape, backward: bool) -> usize {
        let tokens = shape.key_heads * inner_room(shape);
        let [keys, values] = [shape.key_width, shape.value_width];
        let forward = room(tokens * whole(keys)) + room(tokens * whole(values));
        forward + if backward { room(tokens * whole(values)) + room(tokens * whole(keys)) } else { 0 }
    }

    /// Forward wants keys by features and values by tokens, backward both of both.
    pub fn new(prepared: &'a Prepared<'a>, arena: &mut Arena<'a>, backward: bool) -> Self {
        let (shape, level) = (prepared.shape, prepared.level);
        let inner = prepared.problem.keys[shape.inner];
        let tokens = shape.key_heads * inner_room(shape);
        let mut half = Half { prepared, by_features: [&[]; 2], by_tokens: [&[]; 2] };
        for (side, array) in [prepared.keys[shape.inner], prepared.values[shape.inner]].into_iter().enumerate() {
            let (width, whole) = (widths(shape)[side], whole(widths(shape)[side]));
            if side == 0 || backward {
                let to = take(arena, tokens * whole);
                to.par_chunks_mut(BLOCK * whole).enumerate().for_each(|(group, to)| {
                    let (head, first) = (group * BLOCK / inner_room(shape), group * BLOCK % inner_room(shape));
                    let rows = first.min(inner)..(first + BLOCK).min(inner);
                    let from = &array[(head * inner + rows.start) * width..(head * inner + rows.end) * width];
                    dispatch_half(level, ByFeatures { from, width, to });
                });
                half.by_features[side] = to;
            }
            if side == 1 || backward {
                let to = take(arena, tokens * whole);
                to.par_chunks_mut(BLOCK * inner_room(shape)).enumerate().for_each(|(group, to)| {
                    let (head, first) = (group * BLOCK / whole, group * BLOCK % whole);
                    let (from, columns) = (&array[head * inner * width + first..], BLOCK.min(width - first));
                    dispatch_half(level, InPairs { from, from_row: width, rows: inner, columns, to, to_group: 0 });
                });
                half.by_tokens[side] = to;
            }
        }
        half
    }

    /// Whether a key head is computed so: blocks reach beyond what a row sees, and 0 · NaN is NaN.
    pub fn serves(&self, key_head: usize) -> bool {
        self.prepared.finite[key_head]
    }

    /// [`Half::serves`] of each key head.
    pub fn served(&self) -> &[bool] {
        &self.prepared.finite
    }

    /// `to[r] = rows[r] · inner tokens` of a span, by keys (side 0) or values, for so many rows rounded up to whole blocks.
    pub fn along_features(
        &self,
        session: &Session,
        (side, key_head): (usize, usize),
        (rows, count): (&[u16], usize),
        span: &Range<usize>,
        to: &mut [f32],
    ) {
        let width = whole(widths(self.prepared.shape)[side]);
        Product {
            rows: whole(count),
            depth: width,
            columns: columns(span),
            a: rows,
            a_row: width,
            b: &self.by_features[side][(key_head * inner_room(self.prepared.shape) + span.start) * width..],
            b_row: 2 * BLOCK,
            b_group: BLOCK * width,
            c_row: STRIDE,
            c_group: BLOCK,
            add: false,
        }
        .run(session, to);
    }

    /// `to[r] (+)= Σ numbers[r, token] inner[token]` over the tokens of a span from `from` on. What `numbers` has for those
    /// of their block that are before it, or after the span, must be 0.
    pub fn along_tokens(
        &self,
        session: &Session,
        (side, key_head): (usize, usize),
        (numbers, count): (&[u16], usize),
        (from, span): (usize, &Range<usize>),
        to: &mut [f32],
        add: bool,
    ) {
        let (width, room) = (widths(self.prepared.shape)[side], inner_room(self.prepared.shape));
        let from = from / BLOCK * BLOCK;
        Product {
            rows: whole(count),
            depth: whole(span.end - from),
            columns: width,
            a: &numbers[from - span.start..],
            a_row: STRIDE,
            b: &self.by_tokens[side][key_head * room * whole(width) + from * BLOCK..],
            b_row: 2 * BLOCK,
            b_group: room * BLOCK,
            c_row: width,
            c_group: BLOCK,
            add,
        }
        .run(session, to);
    }
}

/// Where sums that are transposed, as [`Side::add_to_inner`] leaves them, have an inner token's first number, and from it to
/// the next.
pub(crate) fn place_turned(token: usize, width: usize) -> (usize, usize) {
    (token / BLOCK * BLOCK * whole(width) + token % BLOCK, BLOCK)
}

fn widths(shape: &Shape) -> [usize; 2] {
    [shape.key_width, shape.value_width]
}

/// What forward's products are given of a batch.
pub(crate) struct Batch<'a> {
    pub session: Session,
    /// `[rows, whole width]`
    pub modulated: &'a mut [u16],
    /// `[rows, stride]`, 256 of which are used
    pub weights: &'a mut [u16],
}

impl<'a> Batch<'a> {
    /// Numbers that [`Batch::new`] takes.
    pub fn numbers(shape: &Shape) -> usize {
        room(ROWS * whole(shape.key_width)) + room(ROWS * STRIDE)
    }

    pub fn new(shape: &Shape, level: Level, arena: &mut Arena<'a>) -> Self {
        Batch {
            session: Session::new(level),
            modulated: take(arena, ROWS * whole(shape.key_width)),
            weights: take(arena, ROWS * STRIDE),
        }
    }

    /// Rounds modulated queries.
    pub fn set_modulated(&mut self, from: &[f32], width: usize, rows: usize) {
        let to = &mut *self.modulated;
        dispatch_half(
            self.session.level(),
            Narrow { from, from_row: width, rows, columns: width, to, to_row: whole(width) },
        );
    }

    /// Makes weights of scores, as [`crate::rows::Weigh`] does.
    pub fn weigh(&mut self, rows: &[Row], running: &mut Running, scores: &[f32], columns: usize) {
        let to = &mut *self.weights;
        dispatch_half(self.session.level(), WeighRounded { rows, running, scores, to, stride: STRIDE, columns });
    }

    /// Rounds weights.
    pub fn set_weights(&mut self, from: &[f32], columns: usize, rows: usize) {
        let to = &mut *self.weights;
        dispatch_half(self.session.level(), Narrow { from, from_row: STRIDE, rows, columns, to, to_row: STRIDE });
    }
}

/// What one side of backward's products, keys and slopes or values and weights, is given of a batch.
pub(crate) struct Side<'a> {
    pub session: Session,
    width: usize,
    /// `[rows, whole width]` and `[whole width, rows]`
    pub modulated: &'a mut [u16],
    turned: &'a mut [u16],
    /// `[rows, stride]`, 256 of which are used and `[256 / 32, rows / 2, 32, 2]`
    pub numbers: &'a mut [u16],
    in_pairs: &'a mut [u16],
}

impl<'a> Side<'a> {
    /// Numbers that both sides take.
    pub fn numbers(shape: &Shape) -> usize {
        let one = |width: usize| 2 * room(BACKWARD_ROWS * whole(width)) + 2 * room(BACKWARD_ROWS * STRIDE);
        widths(shape).map(one).iter().sum()
    }

    /// Both sides.
    pub fn both(shape: &Shape, level: Level, arena: &mut Arena<'a>) -> [Self; 2] {
        widths(shape).map(|width| {
            let mut take = |numbers: usize| take(arena, BACKWARD_ROWS * numbers);
            let (modulated, turned) = (take(whole(width)), take(whole(width)));
            let (numbers, in_pairs) = (take(STRIDE), take(STRIDE));
            Side { session: Session::new(level), width, modulated, turned, numbers, in_pairs }
        })
    }

    /// Rounds modulated rows.
    pub fn set_modulated(&mut self, from: &[f32], rows: usize) {
        let width = self.width;
        let to = &mut *self.modulated;
        dispatch_half(
            self.session.level(),
            Narrow { from, from_row: width, rows, columns: width, to, to_row: whole(width) },
        );
        let to = &mut *self.turned;
        dispatch_half(self.session.level(), Turned { from, width, rows, to, to_row: BACKWARD_ROWS });
    }

    /// Rounds weights or slopes.
    pub fn set_numbers(&mut self, from: &[f32], columns: usize, rows: usize) {
        let to = &mut *self.numbers;
        dispatch_half(self.session.level(), Narrow { from, from_row: STRIDE, rows, columns, to, to_row: STRIDE });
        let to = &mut *self.in_pairs;
        dispatch_half(
            self.session.level(),
            InPairs { from, from_row: STRIDE, rows, columns, to, to_group: BLOCK * BACKWARD_ROWS },
        );
    }

    /// Makes weights and slopes of a batch of scores and gradients of weights, as [`crate::rows::Slopes`] does, and rounds
    /// them, for both sides.
    pub fn set_slopes(
        sides: &mut [Self; 2],
        rows: &[Row],
        (lse, delta): (&[f32], &[f32]),
        (scores, gradients): (&[f32], &[f32]),
        span: &Range<usize>,
    ) {
        let level = sides[0].session.level();
        let to = sides.each_mut().map(|side| Both { numbers: side.numbers, in_pairs: side.in_pairs });
        let to_group = BLOCK * BACKWARD_ROWS;
        dispatch_half(level, SlopesRounded { rows, lse, delta, scores, gradients, stride: STRIDE, span, to, to_group });
    }

    /// `to[l, token] += Σ numbers[r, token] modulated[r, l]` for the tokens of a span from `from` on; `to` begins at token 0.
    pub fn add_to_inner(&self, count: usize, (from, span): (usize, &Range<usize>), to: &mut [f32]) {
        let from = from / BLOCK * BLOCK;
        Product {
            rows: whole(self.width),
            depth: whole(count),
            columns: (span.end - from).next_multiple_of(LANES),
            a: self.turned,
            a_row: BACKWARD_ROWS,
            b: &self.in_pairs[(from - span.start) * BACKWARD_ROWS..],
            b_row: 2 * BLOCK,
            b_group: BLOCK * BACKWARD_ROWS,
            c_row: BLOCK,
            c_group: BLOCK * whole(self.width),
            add: true,
        }
        .run(&self.session, &mut to[from * whole(self.width)..]);
    }
}
