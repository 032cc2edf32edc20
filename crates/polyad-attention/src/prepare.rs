//! Operands as the kernels want them: as p-linear channels, padded to whole vectors, the inner axis packed.
//!
//! | what | layout |
//! |---|---|
//! | query | `[batch · heads, n, channels]`, the scale and the signs in it |
//! | keys of each axis | `[batch · key_heads, m, channels]` |
//! | values of each axis | `[batch · key_heads, m, d_v]` |
//! | inner keys, packed | `[batch · key_heads, m / 64, channels, 64]`: 64 keys side by side |
//! | inner values, packed | the same, for the gradient only |
//!
//! Tokens that no query may see are zeros, whatever they hold.

use crate::element::Element;
use crate::form::Channels;
use crate::problem::{Bias, Inputs, Problem};
use crate::rows::Pack;
use polyad_simd::gemm::GROUP;
use polyad_simd::{Kernel, LANES, Level, Simd, dispatch};
use rayon::prelude::*;

/// Slices cut off a buffer, one after the other, each at the beginning of a cache line: vectors that lie across two
/// lines cost a tenth of the products' speed.
pub(crate) struct Arena<'a>(&'a mut [f32]);

/// Numbers of a cache line.
const LINE: usize = 16;

/// Numbers that a slice takes.
pub(crate) fn padded(numbers: usize) -> usize {
    numbers.next_multiple_of(LINE)
}

impl<'a> Arena<'a> {
    /// Numbers that may be lost at the beginning of a buffer.
    pub const LOST: usize = LINE - 1;

    /// Cuts up a buffer.
    pub fn new(buffer: &'a mut [f32]) -> Self {
        let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(buffer.len());
        Arena(&mut buffer[start..])
    }

    /// What has not been taken; it begins at a cache line.
    pub fn rest(self) -> &'a mut [f32] {
        self.0
    }

    /// The next so many numbers.
    pub fn take(&mut self, numbers: usize) -> &'a mut [f32] {
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(padded(numbers));
        self.0 = rest;
        &mut taken[..numbers]
    }
}

/// Numbers that [`pack`] takes.
pub(crate) fn packed_numbers(heads: usize, tokens: usize, width: usize) -> usize {
    padded(heads * tokens.next_multiple_of(GROUP) * width)
}

/// `[heads, tokens, width]` as `[heads, tokens / 64, width, 64]`, zeros after the last token. The width is a multiple of
/// [`LANES`].
pub(crate) fn pack<'a>(
    arena: &mut Arena<'a>,
    rows: &[f32],
    (heads, tokens, width): (usize, usize, usize),
    level: Level,
) -> &'a [f32] {
    let groups = tokens.div_ceil(GROUP);
    let to = arena.take(heads * groups * GROUP * width);
    to.par_chunks_mut((GROUP * width).max(1)).enumerate().for_each(|(index, to)| {
        let (head, first) = (index / groups, index % groups * GROUP);
        let last = (first + GROUP).min(tokens);
        dispatch(
            level,
            Pack { tokens: &rows[(head * tokens + first) * width..(head * tokens + last) * width], width, to },
        );
    });
    to
}

/// Sizes that follow from a problem.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub channels: Channels,
    /// Channels, and value features, to whole vectors.
    pub key_width: usize,
    pub value_width: usize,
    /// The axis that is streamed: the one of which a query sees most.
    pub inner: usize,
    /// The others, in order.
    pub outer: Vec<usize>,
    /// Groups of 64 keys on the inner axis.
    pub groups: usize,
    pub query_heads: usize,
    pub key_heads: usize,
}

impl Shape {
    pub fn new(problem: &Problem) -> Self {
        let channels = problem.form.channels(problem.order(), problem.width);
        let seen = |axis: usize| {
            let window = problem.windows.get(axis).copied().flatten().unwrap_or(usize::MAX);
            if problem.causal { window.min(problem.keys[axis]) } else { problem.keys[axis] }
        };
        // The last of equals, so that the order of the axes is kept where nothing speaks against it.
        let inner = (0..problem.keys.len()).max_by_key(|axis| seen(*axis)).unwrap_or(0);
        Shape {
            key_width: channels.count().next_multiple_of(LANES),
            channels,
            value_width: problem.value_width.next_multiple_of(LANES),
            inner,
            outer: (0..problem.keys.len()).filter(|axis| *axis != inner).collect(),
            groups: problem.keys[inner].div_ceil(GROUP),
            query_heads: problem.batch * problem.heads,
            key_heads: problem.batch * problem.key_heads,
        }
    }

    /// Numbers that [`Prepared::new`] takes.
    pub fn numbers(&self, problem: &Problem, backward: bool) -> usize {
        // All widths are whole cache lines.
        let queries = self.query_heads * problem.queries * self.key_width;
        let keys: usize = problem.keys.iter().sum::<usize>() * self.key_heads * (self.key_width + self.value_width);
        let packed = self.key_width + if backward { self.value_width } else { 0 };
        queries + keys + self.key_heads * self.groups * GROUP * packed
    }

    /// The key head, over all batch entries, of a query head, itself over all batch entries.
    pub fn key_head(&self, problem: &Problem, head: usize) -> usize {
        let (batch, head) = (head / problem.heads, head % problem.heads);
        batch * problem.key_heads + head / (problem.heads / problem.key_heads)
    }
}

/// Whether key `j` of an axis counts for a batch entry: within the length and not hidden.
pub(crate) fn counts(problem: &Problem, hidden: &[Option<&[bool]>], batch: usize, axis: usize, j: usize) -> bool {
    let hidden = hidden.get(axis).copied().flatten();
    j < problem.length(batch, axis) && !hidden.is_some_and(|hidden| hidden[batch * problem.keys[axis] + j])
}

/// An operand's side of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Queries,
    /// Of a key axis, counted from 0.
    Keys(usize),
    Values(usize),
}

/// Tokens of one head that are prepared together: a group, so that what is packed is still in the first-level cache.
struct Group<'t> {
    of: Of,
    /// Over all batch entries.
    head: usize,
    first: usize,
    /// `[tokens, padded width]`
    to: &'t mut [f32],
    /// The same packed, if wanted.
    packed: Option<&'t mut [f32]>,
}

/// An array of `[heads, tokens, width]`, and what it is packed into, in groups.
fn groups<'t>(of: Of, to: &'t mut [f32], packed: Option<&'t mut [f32]>, tokens: usize, width: usize) -> Vec<Group<'t>> {
    let mut packed = packed.map(|packed| packed.chunks_exact_mut(GROUP * width));
    let heads = to.chunks_exact_mut((tokens * width).max(1)).enumerate();
    let of_head =
        |(head, to): (usize, &'t mut [f32])| to.chunks_mut(GROUP * width).enumerate().map(move |own| (head, own));
    let one = |(head, (index, to))| Group {
        of,
        head,
        first: index * GROUP,
        to,
        packed: packed.as_mut().and_then(Iterator::next),
    };
    heads.flat_map(of_head).map(one).collect()
}

/// Writes the tokens of a group, zeros for those that no query sees. Gives whether all are finite.
struct Write<'a, 't, E> {
    problem: &'a Problem,
    inputs: &'a Inputs<'a, E>,
    shape: &'a Shape,
    group: Group<'t>,
}

impl<E: Element> Kernel for Write<'_, '_, E> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let Write { problem, inputs, shape, group: Group { of, head, first, to, packed } } = self;
        let (operand, width, used) = match of {
            Of::Queries => (0, shape.key_width, shape.channels.count()),
            Of::Keys(axis) => (axis + 1, shape.key_width, shape.channels.count()),
            Of::Values(axis) => (axis + 1, shape.value_width, problem.value_width),
        };
        let (places, array) = match of {
            Of::Queries => (problem.query_places(), inputs.q),
            Of::Keys(axis) => (problem.key_places(axis), inputs.keys[axis]),
            Of::Values(axis) => (problem.value_places(axis), inputs.values[axis]),
        };
        let seen = |token: usize| {
            operand == 0 || {
                let (low, high) = problem.seen_by(operand - 1, token);
                low < high && counts(problem, inputs.hidden, head / problem.key_heads, operand - 1, token)
            }
        };
        let (from, step) = (places.since_head(array, head), places.strides().token);
        for (token, to) in (first..).zip(to.chunks_exact_mut(width)) {
            let (used, rest) = to.split_at_mut(used);
            rest.fill(0.0);
            if !seen(token) {
                used.fill(0.0);
                continue;
            }
            let features = &from[token * step..][..places.width];
            match of {
                Of::Values(_) => used.iter_mut().zip(features).for_each(|(to, x)| *to = x.wide()),
                _ => shape.channels.expand(operand, problem.scale, features, used),
            }
        }
        if let Some(packed) = packed {
            Pack { tokens: to, width, to: packed }.run(simd);
        }
        all_finite(to)
    }
}

/// Whether all numbers of rows are finite. The length is a multiple of [`LANES`].
#[inline(always)]
fn all_finite(rows: &[f32]) -> bool {
    // A sum of zeros is NaN if one of the numbers is not finite, and is quicker to have than a search.
    let mut sums = [0.0; LANES];
    for lanes in rows.as_chunks::<LANES>().0 {
        sums.iter_mut().zip(lanes).for_each(|(sum, x)| *sum += x * 0.0);
    }
    sums.iter().sum::<f32>() == 0.0
}

/// The operands of all heads.
pub(crate) struct Prepared<'a> {
    pub problem: &'a Problem,
    pub biases: &'a [Bias<'a>],
    pub hidden: &'a [Option<&'a [bool]>],
    pub shape: &'a Shape,
    pub level: Level,
    pub q: &'a [f32],
    pub keys: Vec<&'a [f32]>,
    pub values: Vec<&'a [f32]>,
    pub packed_keys: &'a [f32],
    /// Empty unless for the gradient.
    pub packed_values: &'a [f32],
    /// For each key head, whether all that can be seen is finite. Where it is not, rows that see a token must not share
    /// a product with rows that do not: 0 · NaN is NaN.
    pub finite: Vec<bool>,
}

impl<'a> Prepared<'a> {
    /// The index, among all tuples, of the one with these outer tokens and the first inner one.
    pub fn tuple_index(&self, outer: &[usize]) -> usize {
        self.shape.outer.iter().zip(outer).map(|(axis, token)| token * self.problem.tuple_stride(*axis)).sum()
    }

    /// Whether key `j` of an axis counts for a batch entry: within the length and not hidden.
    pub fn counts(&self, batch: usize, axis: usize, j: usize) -> bool {
        counts(self.problem, self.hidden, batch, axis, j)
    }

    pub fn new<E: Element>(
        problem: &'a Problem,
        inputs: &'a Inputs<'a, E>,
        shape: &'a Shape,
        level: Level,
        arena: &mut Arena<'a>,
        backward: bool,
    ) -> Self {
        let room = |width: usize| shape.key_heads * shape.groups * GROUP * width;
        let q = arena.take(shape.query_heads * problem.queries * shape.key_width);
        let of_axis = |axis: usize| {
            let rows = shape.key_heads * problem.keys[axis];
            [arena.take(rows * shape.key_width), arena.take(rows * shape.value_width)]
        };
        let mut axes: Vec<[&'a mut [f32]; 2]> = (0..problem.keys.len()).map(of_axis).collect();
        let packed_keys = arena.take(room(shape.key_width));
        let packed_values = arena.take(if backward { room(shape.value_width) } else { 0 });

        // All of it is one loop: threads that go to sleep between loops take longer to wake than a small one takes.
        let mut all = groups(Of::Queries, q, None, problem.queries, shape.key_width);
        let mut of_inner = [Some(&mut *packed_keys), backward.then_some(&mut *packed_values)];
        for (axis, [keys, values]) in axes.iter_mut().enumerate() {
            let mut packed = |side: usize| of_inner[side].take_if(|_| axis == shape.inner);
            all.extend(groups(Of::Keys(axis), keys, packed(0), problem.keys[axis], shape.key_width));
            all.extend(groups(Of::Values(axis), values, packed(1), problem.keys[axis], shape.value_width));
        }
        let one = |group: Group| {
            let (of, head) = (group.of, group.head);
            (of, head, dispatch(level, Write { problem, inputs, shape, group }))
        };
        let written: Vec<(Of, usize, bool)> = all.into_par_iter().map(one).collect();
        let mut finite = vec![true; shape.key_heads];
        for (_, head, _) in written.iter().filter(|(of, _, finite)| *of != Of::Queries && !finite) {
            finite[*head] = false;
        }
        let (keys, values) = axes.into_iter().map(|[keys, values]| (&*keys, &*values)).unzip();
        Prepared {
            problem,
            biases: inputs.biases,
            hidden: inputs.hidden,
            shape,
            level,
            q,
            keys,
            values,
            packed_keys,
            packed_values,
            finite,
        }
    }
}
