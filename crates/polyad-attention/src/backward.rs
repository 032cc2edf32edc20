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
//! At order 2, where there are no tuples to divide, a share has all blocks with inner tokens of its own: these and their
//! sums stay in the second-level cache, and no two shares add to the same.
//!
//! Six products, so three times the operations of forward; five at order 2, where no outer values wait for T. Memory: sums for keys and values of at least 16 tasks.

mod finish;
mod hand;

use crate::bfloat16::{self, Half};
use crate::deal::{Scratch, deal, with_own};
use crate::element::Element;
use crate::error::{Result, check_length, problem as wrong};
use crate::forward::{HANDS, Work, blocks, parts};
use crate::layout::Places;
use crate::prepare::{Arena, Prepared, Shape, padded};
use crate::problem::{Bias, Inputs, Problem};
use crate::scores::STRIDE;
use crate::walk::Block;
use crate::{packed, strassen, tree};
use finish::finish;
use hand::Hand;
use polyad_simd::gemm::GROUP;
use polyad_simd::{Kernel, LANES, Level, Simd, dispatch};
use rayon::prelude::*;
use std::ops::Range;

/// Rows computed at once: twice as many as forward, since sums for inner tokens are read and written once a batch.
pub(crate) const ROWS: usize = 48;
/// The same, at most.
const MOST_ROWS: usize = if bfloat16::BACKWARD_ROWS > ROWS { bfloat16::BACKWARD_ROWS } else { ROWS };
/// Tasks with sums of their own, at least, if there are rows enough.
const SHARES: usize = 16;
/// Rows that a share has at least: to clear its sums and to add them up takes as long as some tens of rows.
const SHARE_ROWS: usize = 128;
/// Groups of inner tokens that a share has at least at order 2: a task of fewer has half-filled products.
const SHARE_GROUPS: usize = 2;

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

/// Gradients cut into tokens, in the order of `[batch, heads, tokens]`.
pub(crate) struct GradientRows<'a, E> {
    pub q: Vec<&'a mut [E]>,
    pub keys: Vec<Vec<&'a mut [E]>>,
    pub values: Vec<Vec<&'a mut [E]>>,
    pub biases: Vec<&'a mut [f32]>,
    pub sink: Option<&'a mut [f32]>,
}

impl<'a, E> GradientRows<'a, E> {
    pub fn cut<'b: 'a>(problem: &Problem, gradients: &'a mut Gradients<'b, E>) -> Self {
        let Gradients { q, keys, values, biases, sink } = gradients;
        let axes = |arrays: &'a mut [&'b mut [E]], of: fn(&Problem, usize) -> Places| {
            arrays.iter_mut().enumerate().map(|(axis, array)| of(problem, axis).cut(array)).collect()
        };
        GradientRows {
            q: problem.query_places().cut(q),
            keys: axes(keys, Problem::key_places),
            values: axes(values, Problem::value_places),
            biases: biases.iter_mut().map(|bias| &mut **bias).collect(),
            sink: sink.as_deref_mut(),
        }
    }
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
pub(crate) struct Plan {
    pub shape: Shape,
    /// Parts of a block's tuples.
    parts: usize,
    /// Shares of a head's tasks.
    shares: usize,
    /// At order 2, where each range of inner tokens begins, and the end. A share has one, or, the s-th share, the s-th and
    /// the s-th last: of an early one a causal mask shows more than of a late one.
    edges: Vec<usize>,
    /// Where each axis's keys, then values, then each bias, begin in a share's sums; and the end.
    pub places: Vec<usize>,
    hands: usize,
    /// Numbers of a hand's scratch.
    scratch: usize,
}

impl Plan {
    /// `parts` and `scratch`: if not those of linear channels.
    pub fn new(problem: &Problem, biases: &[Bias], other: Option<(usize, usize)>) -> Self {
        let shape = Shape::new(problem);
        let (keys, values) = (shape.key_width, shape.value_width);
        // All widths are whole cache lines.
        let scratch =
            MOST_ROWS * (4 * keys + 4 * values + 3 * STRIDE) + keys.max(values) + bfloat16::Side::numbers(&shape);
        let own = || (parts(problem, &shape, ROWS), scratch);
        let (parts, scratch) = other.unwrap_or_else(own);
        let heads = shape.query_heads.max(1);
        let tasks = problem.queries.div_ceil(ROWS) * parts;
        let rows = shape.outer.iter().fold(problem.queries, |rows, axis| rows.saturating_mul(problem.keys[*axis]));
        let (parts, shares, edges) = if shape.outer.is_empty() {
            let shares = SHARES.div_ceil(heads).min(shape.groups / SHARE_GROUPS).max(1);
            let ranges = if problem.causal && shares > 1 { 2 * shares } else { shares };
            let edge = |range: usize| (shape.groups * range / ranges * GROUP).min(problem.keys[shape.inner]);
            (shares, shares, (0..=ranges).map(edge).collect())
        } else {
            let wanted = SHARES.div_ceil(heads).min(rows.div_ceil(SHARE_ROWS));
            (parts, wanted.min(tasks).max(1), Vec::new())
        };
        let mut places = vec![0];
        // In bfloat16 sums for inner tokens are transposed, and reach to whole blocks and groups.
        let room = |axis: usize, m: usize, width: usize| match axis == shape.inner {
            true => bfloat16::inner_room(&shape) * bfloat16::whole(width),
            false => m * width,
        };
        let axes = problem.keys.iter().enumerate();
        let sizes = axes.flat_map(|(axis, m)| [room(axis, *m, keys), room(axis, *m, values)]);
        let biases = biases.iter().map(|bias| problem.tokens(bias.axes.0) * problem.tokens(bias.axes.1));
        for size in sizes.chain(biases) {
            places.push(places[places.len() - 1] + padded(size));
        }
        let hands = (shape.query_heads * shares).clamp(1, HANDS);
        Plan { shape, parts, shares, edges, places, hands, scratch }
    }

    fn sums(&self) -> usize {
        self.places[self.places.len() - 1]
    }

    /// The inner tokens of a share.
    fn inner_of_share(&self, share: usize) -> [Range<usize>; 2] {
        let ranges = match self.edges.len() {
            0 => return [0..usize::MAX, 0..0],
            edges => edges - 1,
        };
        let range = |range: usize| self.edges[range]..self.edges[range + 1];
        [range(share), if ranges > self.shares { range(ranges - 1 - share) } else { 0..0 }]
    }

    /// The share that has an inner token to itself, if one does.
    fn share_of_inner(&self, token: usize) -> Option<usize> {
        let range = self.edges.partition_point(|edge| *edge <= token).checked_sub(1)?;
        Some(if range < self.shares { range } else { (self.edges.len() - 2).saturating_sub(range) })
    }

    /// Clears what a share adds to. `turned`: whether sums for inner tokens are transposed.
    fn clear(&self, share: usize, turned: bool, sums: &mut [f32]) {
        if self.edges.is_empty() {
            return sums.fill(0.0);
        }
        for (side, width) in [self.shape.key_width, self.shape.value_width].into_iter().enumerate() {
            let width = if turned { bfloat16::whole(width) } else { width };
            for Range { start, end } in self.inner_of_share(share) {
                // Ranges end at whole groups, and so does what is transposed.
                let end = end.next_multiple_of(GROUP);
                sums[self.places[side]..][start * width..end * width].fill(0.0);
            }
        }
        sums[self.places[2]..].fill(0.0);
    }

    /// Numbers of the workspace, operands and what is cut off at its beginning included.
    pub fn workspace(&self, problem: &Problem) -> usize {
        let (rows, shape) = (problem.rows(), &self.shape);
        Arena::LOST
            + shape.numbers(problem, true)
            + rows * shape.value_width
            + 2 * padded(rows)
            + rows * self.parts * shape.key_width
            + shape.query_heads * self.shares * self.sums()
            + self.hands * self.scratch
    }
}

/// Numbers that [`compute`] wants.
pub(crate) fn workspace(problem: &Problem, biases: &[Bias]) -> usize {
    let plan = Plan::new(problem, biases, None);
    plan.workspace(problem) + Half::numbers(&plan.shape, true)
}

/// Numbers that [`backward`] wants as its workspace.
pub fn backward_workspace<E: Element>(problem: &Problem, inputs: &Inputs<E>) -> Result<usize> {
    inputs.check(problem)?;
    Ok(match problem.packed.is_empty() {
        true => workspace_of_any(problem, inputs),
        false => packed::backward_workspace(problem, inputs),
    })
}

/// Numbers that [`any`] wants.
pub(crate) fn workspace_of_any<E: Element>(problem: &Problem, inputs: &Inputs<E>) -> usize {
    if tree::applies(problem, inputs) {
        return tree::backward_workspace(problem, inputs);
    }
    let own = workspace(problem, inputs.biases);
    // Where a row is not to be trusted, linear channels take its place.
    if strassen::applies(problem) { own.max(strassen::backward_workspace(problem, inputs.biases)) } else { own }
}

/// The gradient of `Σ dout · out + Σ dlse · lse`, on `level`.
///
/// # Shapes
/// As [`Gradients`] and [`Upstream`] say, out, dout and gradients by the problem's layout; workspace:
/// [`backward_workspace`] numbers, whatever they are.
///
/// # Cost
/// Three times that of forward; two and a half times at order 2.
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
    let mut gradients = GradientRows::cut(problem, gradients);
    Ok(rayon::scope(|_| match problem.packed.is_empty() {
        true => any(problem, inputs, upstream, &mut gradients, workspace, level),
        false => packed::backward(problem, inputs, upstream, gradients, workspace, level),
    }))
}

/// [`backward`] after the checks, sequences not packed, over the tokens of gradients.
pub(crate) fn any<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    upstream: &Upstream<E>,
    gradients: &mut GradientRows<E>,
    workspace: &mut [f32],
    level: Level,
) -> Work {
    if tree::applies(problem, inputs) {
        return tree::backward(problem, inputs, upstream, gradients, workspace, level);
    }
    if strassen::applies(problem)
        && let Some(work) = strassen::backward(problem, inputs, upstream, gradients, workspace, level)
    {
        return work;
    }
    compute(problem, inputs, upstream, gradients, workspace, level)
}

/// [`any`] as linear channels.
pub(crate) fn compute<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    upstream: &Upstream<E>,
    gradients: &mut GradientRows<E>,
    workspace: &mut [f32],
    level: Level,
) -> Work {
    let plan = Plan::new(problem, inputs.biases, None);
    let mut arena = Arena::new(workspace);
    let prepared = Prepared::new(problem, inputs, &plan.shape, level, &mut arena, true);
    let rows = Rows::new(problem, &plan.shape, upstream, level, &mut arena);
    let half = bfloat16::applies::<E>(problem, level).then(|| Half::new(&prepared, &mut arena, true));
    let hire: &Hire = &|scratch, work| work(&mut Hand::new(&prepared, &plan, &rows, half.as_ref(), scratch));
    let turned = half.as_ref().map_or(&[][..], Half::served);
    run(problem, inputs, (&plan, turned, level), &rows, gradients, arena, hire).unwrap_or_default()
}

/// Whoever computes blocks, with scratch of its own.
pub(crate) trait Worker {
    /// Writes a block's part of dq, `[queries, padded channels]`, and adds to the sums of its share, as [`Plan`] has
    /// them. Gives the number of scores, or nothing where the problem must be computed another way.
    fn run(&mut self, block: &Block, dq: &mut [f32], sums: &mut [f32]) -> Option<u64>;
}

/// Makes a worker with scratch, and lets it do some work.
pub(crate) type Hire<'a> =
    dyn Fn(&mut [f32], &mut dyn FnMut(&mut dyn Worker) -> Option<u64>) -> Option<u64> + Sync + 'a;

/// Deals all blocks, and makes gradients of what comes of them. Nothing is written where a worker gives nothing. `turned`:
/// for each key head, or for none, whether sums for its inner tokens are transposed, `[width, tokens]`.
pub(crate) fn run<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    (plan, turned, level): (&Plan, &[bool], Level),
    rows: &Rows,
    gradients: &mut GradientRows<E>,
    mut arena: Arena,
    hire: &Hire,
) -> Option<Work> {
    let Plan { shape, parts, shares, scratch, .. } = plan;
    let dq = arena.take(problem.rows() * parts * shape.key_width);
    let sums = arena.take(shape.query_heads * shares * plan.sums());
    let scratch = Scratch::new(arena.take(plan.hands * scratch), *scratch);

    // Shares of a head take its tasks in turn, so that each has of the cheap and of the dear ones of a causal mask; where
    // there are as many parts as shares, that is one part each.
    let mut tasks: Vec<Share> = Vec::new();
    let mut chunks = sums.chunks_mut(plan.sums().max(1));
    for index in 0..shape.query_heads * shares {
        tasks.push(Share { index, blocks: Vec::new(), sums: chunks.next().unwrap_or_default() });
    }
    let mut turn = 0;
    for (block, own) in with_own(blocks(problem, shape, ROWS, *parts), &mut *dq, shape.key_width) {
        turn = if block.queries.start == 0 && block.part.0 == 0 { 0 } else { turn + 1 };
        tasks[block.head * shares + turn % shares].blocks.push((block, own));
    }
    let of_share = |worker: &mut dyn Worker, Share { index, blocks, sums }: Share| {
        let turned = turned.get(shape.key_head(problem, index / plan.shares)) == Some(&true);
        plan.clear(index % plan.shares, turned, sums);
        blocks.into_iter().map(|(block, dq)| worker.run(&block, dq, sums)).sum::<Option<u64>>()
    };
    let scores = deal(tasks.into_iter(), plan.hands)
        .into_par_iter()
        .with_max_len(1)
        .map(|mut shares| {
            let mut all = |worker: &mut dyn Worker| shares.drain(..).map(|share| of_share(worker, share)).sum();
            scratch.lend(|scratch| hire(scratch, &mut all))
        })
        .sum::<Option<u64>>()?;
    if let (Some(to), Some(sink)) = (&mut gradients.sink, inputs.sink) {
        sink_gradient(problem, sink, rows, to);
    }
    finish(problem, inputs, (plan, turned), (dq, sums), gradients, level);
    Some(Work { scores })
}

/// Refuses a gradient of another length, or with places that overlap.
fn written<E>(name: &str, places: Places, gradient: &[E]) -> Result<()> {
    places.check_apart(name)?;
    places.check_length(name, gradient.len())
}

fn check<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    upstream: &Upstream<E>,
    gradients: &Gradients<E>,
) -> Result<()> {
    let out = problem.out_places();
    out.check_length("out", upstream.out.len())?;
    check_length("lse", upstream.lse.len(), problem.rows())?;
    out.check_length("dout", upstream.dout.len())?;
    if let Some(dlse) = upstream.dlse {
        check_length("dlse", dlse.len(), problem.rows())?;
    }
    written("dq", problem.query_places(), gradients.q)?;
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
        written(&format!("dk{}", axis + 1), problem.key_places(axis), gradients.keys[axis])?;
        written(&format!("dv{}", axis + 1), problem.value_places(axis), gradients.values[axis])?;
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
pub(crate) struct Rows<'a> {
    /// `[rows, padded d_v]`
    pub dout: &'a [f32],
    /// lse, or +∞ where the row sees nothing: its weights come out as 0.
    pub lse: &'a [f32],
    pub delta: &'a [f32],
}

impl<'a> Rows<'a> {
    pub fn new<E: Element>(
        problem: &Problem,
        shape: &Shape,
        upstream: &Upstream<E>,
        level: Level,
        arena: &mut Arena<'a>,
    ) -> Self {
        let dout = arena.take(problem.rows() * shape.value_width);
        let (lse, delta) = (arena.take(problem.rows()), arena.take(problem.rows()));
        let rows = dout.par_chunks_exact_mut(shape.value_width).zip(&mut *lse).zip(&mut *delta).enumerate();
        rows.with_min_len(ROWS).for_each(|(row, ((to, lse), delta))| {
            if upstream.lse[row] == f32::NEG_INFINITY {
                to.fill(0.0);
                (*lse, *delta) = (f32::INFINITY, 0.0);
                return;
            }
            let [own, out] = [upstream.dout, upstream.out].map(|array| problem.out_places().row(array, row));
            let product = dispatch(level, Widen { own, out, to });
            *lse = upstream.lse[row];
            *delta = (product - upstream.dlse.map_or(0.0, |dlse| f64::from(dlse[row]))) as f32;
        });
        Rows { dout, lse, delta }
    }
}

/// Writes a row of dout in single precision, zeros after it, and gives its product with the row of out.
///
/// Plain loops, which the compiler vectorises for the level.
struct Widen<'a, E> {
    own: &'a [E],
    out: &'a [E],
    to: &'a mut [f32],
}

impl<E: Element> Kernel for Widen<'_, E> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let Widen { own, out, to } = self;
        let (used, rest) = to.split_at_mut(own.len());
        rest.fill(0.0);
        let mut sums = [0.0; LANES];
        for ((to, own), out) in used.chunks_mut(LANES).zip(own.chunks(LANES)).zip(out.chunks(LANES)) {
            to.iter_mut().zip(own).for_each(|(to, x)| *to = x.wide());
            let terms = own.iter().zip(out).map(|(a, b)| f64::from(a.wide()) * f64::from(b.wide()));
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        sums.iter().sum()
    }
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
    /// Among those of all heads.
    index: usize,
    blocks: Vec<(Block, &'a mut [f32])>,
    sums: &'a mut [f32],
}
