//! Tensor attention as a function of tensors: kernels of our own where they run, else composed of Burn's operations.

use super::ops::TensorAttentionOps;
use crate::error::{Error, Result};
use crate::has_kernels;
use burn::backend::Dispatch;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use polyad_attention::polynomial::{Method, Options};
use polyad_attention::{Channels, Layout, Problem};
use std::sync::Arc;

/// What is to be computed.
#[derive(Debug, Clone)]
pub struct Attend {
    /// Sizes, form, masks, scale, softcap, dropout. Room, layout and packed sequences are refused.
    pub problem: Problem,
    /// If there: `[batch, m]`, true where a key must not be seen, on every axis, which then all have `m` keys.
    pub hidden: Option<Arc<[bool]>>,
    /// If there: not exactly, but within a tolerance that is proved ([`polyad_attention::polynomial`]), where our kernels
    /// run; elsewhere exactly all the same. Gradients are those of what is computed.
    pub approximation: Option<Options>,
}

impl Attend {
    /// Exactly, with no key hidden.
    pub fn exactly(problem: Problem) -> Self {
        Attend { problem, hidden: None, approximation: None }
    }
}

/// The same with what the operation must know of its operands, which come to it in one array.
#[derive(Debug, Clone)]
pub struct Call {
    pub(super) how: Attend,
    /// Axes and numbers of each bias.
    pub(super) biases: Vec<((usize, usize), usize)>,
    pub(super) sink: bool,
}

/// What comes of it.
#[derive(Debug, Clone)]
pub struct Attended {
    /// `[batch, heads, n, d_v]`; 0 in a row that sees nothing.
    pub out: Tensor<4>,
    /// `[batch, heads, n]`; −∞ in such a row. It carries a gradient.
    pub lse: Tensor<3>,
}

/// A bias of a pair of axes, added to all scores (after the softcap).
#[derive(Debug, Clone)]
pub struct PairBias {
    /// Two of the score's axes, the smaller first: 0 is the query, `a` key axis `a`.
    pub axes: (usize, usize),
    /// `[batch, heads, tokens, tokens]`, or `[1, 1, tokens, tokens]` for all.
    pub values: Tensor<4>,
}

/// What attention is computed from. Everything in it receives a gradient.
#[derive(Debug, Clone)]
pub struct Operands {
    /// `[batch, heads, n, d]`
    pub q: Tensor<4>,
    /// For each axis `[batch, key_heads, m, d]`.
    pub keys: Vec<Tensor<4>>,
    /// For each axis `[batch, key_heads, m, d_v]`.
    pub values: Vec<Tensor<4>>,
    /// Any number, of different pairs.
    pub biases: Vec<PairBias>,
    /// If there: `[heads]`, a logit that joins every softmax with value 0, so that a query may attend to nothing.
    pub sink: Option<Tensor<1>>,
}

impl Operands {
    /// Queries, keys and values alone.
    pub fn new(q: Tensor<4>, keys: Vec<Tensor<4>>, values: Vec<Tensor<4>>) -> Self {
        Operands { q, keys, values, biases: Vec::new(), sink: None }
    }
}

/// Attention of queries to tuples of keys. Problems and tensors that disagree are refused.
///
/// # Cost
/// On the processor as [`polyad_attention::forward`] says. Elsewhere the memory of all tuples.
pub fn tensor_attention(operands: Operands, how: &Attend) -> Result<Attended> {
    check(&operands, how)?;
    let problem = &how.problem;
    let (batch, heads, n) = (problem.batch, problem.heads, problem.queries);
    if !has_kernels(&operands.q.device()) {
        return Ok(composed(operands, how));
    }
    let exactly = unsupported(&operands, how).is_some();
    let approximation = how.approximation.filter(|options| !exactly && options.method != Method::Exact);
    let call = Call {
        how: Attend { approximation, ..how.clone() },
        biases: operands.biases.iter().map(|bias| (bias.axes, bias.values.shape().num_elements())).collect(),
        sink: operands.sink.is_some(),
    };
    let Operands { q, keys, values, biases, sink } = operands;
    let flat = |x: Tensor<4>| {
        let numbers = x.shape().num_elements();
        x.reshape([numbers])
    };
    let all = keys.into_iter().chain(values).chain(biases.into_iter().map(|bias| bias.values));
    let others = Tensor::<1>::cat(all.map(flat).chain(sink).collect(), 0);
    let rows = Dispatch::tensor_attention(q.into_dispatch(), others.into_dispatch(), call);
    let rows = Tensor::<2>::from_dispatch(rows);
    let width = problem.value_width;
    Ok(Attended {
        out: rows.clone().narrow(1, 0, width).reshape([batch, heads, n, width]),
        lse: rows.narrow(1, width, 1).reshape([batch, heads, n]),
    })
}

/// What only the exact kernels do.
fn unsupported(operands: &Operands, how: &Attend) -> Option<&'static str> {
    if !operands.biases.is_empty() {
        return Some("biases");
    }
    if operands.sink.is_some() {
        return Some("a sink");
    }
    how.problem.softcap.map(|_| "softcap").or(how.problem.dropout.map(|_| "dropout"))
}

fn check(operands: &Operands, how: &Attend) -> Result<()> {
    let problem = &how.problem;
    let refuse = |problem: String| Err(Error::config("tensor attention", problem));
    if let Err(why) = problem.check() {
        return refuse(why.to_string());
    }
    if !problem.room.is_empty() {
        return refuse("room beyond the keys, which tensors do not have".into());
    }
    if problem.layout != Layout::default() {
        return refuse("a layout of its arrays, where tensors have their own".into());
    }
    if !problem.packed.is_empty() {
        return refuse("packed sequences; here they are a batch with lengths".into());
    }
    let expected = [problem.batch, problem.heads, problem.queries, problem.width];
    if operands.q.dims() != expected {
        return refuse(format!("q is {:?}, the problem says {expected:?}", operands.q.dims()));
    }
    for (name, tensors, width) in
        [("keys", &operands.keys, problem.width), ("values", &operands.values, problem.value_width)]
    {
        let expected: Vec<_> = problem.keys.iter().map(|m| [problem.batch, problem.key_heads, *m, width]).collect();
        let found: Vec<_> = tensors.iter().map(Tensor::dims).collect();
        if found != expected {
            return refuse(format!("{name} are {found:?}, the problem says {expected:?}"));
        }
    }
    if let Err(why) = problem.check_pairs(&operands.biases.iter().map(|bias| bias.axes).collect::<Vec<_>>()) {
        return refuse(why.to_string());
    }
    for PairBias { axes: (a, b), values } in &operands.biases {
        let (whole, found) = ([problem.batch, problem.heads, problem.tokens(*a), problem.tokens(*b)], values.dims());
        if found != whole && found != [1, 1, whole[2], whole[3]] {
            return refuse(format!("the bias of axes {a} and {b} is {found:?}; it can be {whole:?}, or 1, 1 at first"));
        }
    }
    if let Some(sink) = operands.sink.as_ref().filter(|sink| sink.dims() != [problem.heads]) {
        return refuse(format!("a sink of {:?} for {} heads", sink.dims(), problem.heads));
    }
    if let Some(options) = &how.approximation {
        if let Err(why) = options.check() {
            return refuse(why.to_string());
        }
        if options.method == Method::Sketch && operands.q.device().is_autodiff() {
            return refuse("a sketch, which has no gradient, of operands that want one".into());
        }
        if options.method == Method::Sketch && (problem.causal || problem.windows.iter().any(Option::is_some)) {
            return refuse("causality or windows, which a sketch does not do".into());
        }
        if matches!(options.method, Method::Polynomial | Method::Sketch)
            && let Some(what) = unsupported(operands, how)
        {
            return refuse(format!("{what}, which only the exact method does; `Auto` then takes it"));
        }
    }
    match &how.hidden {
        Some(hidden) if problem.keys.iter().any(|m| m * problem.batch != hidden.len()) => refuse(format!(
            "a mask of {} keys, where there are {} times {:?}",
            hidden.len(),
            problem.batch,
            problem.keys
        )),
        _ => Ok(()),
    }
}

/// The same of Burn's operations: the definition, and what runs on devices without kernels.
pub(super) fn composed(operands: Operands, how: &Attend) -> Attended {
    let Operands { q, keys, values, biases, sink } = operands;
    let problem = &how.problem;
    let device = q.device();
    let channels = problem.form.channels(problem.order(), problem.width);
    let (batch, heads, n) = (problem.batch, problem.heads, problem.queries);
    let spread = |x: &Tensor<4>| {
        let [batch, own, m, width] = x.dims();
        let x = x.clone().reshape([batch, own, 1, m, width]);
        x.expand([batch, own, heads / own, m, width]).reshape([batch, heads, m, width])
    };
    let last = keys.len() - 1;
    let tuples: usize = problem.keys.iter().product();

    // Rows are queries with a token of every axis so far, the later axis innermost.
    let mut rows = expand(&channels, 0, q, &device).mul_scalar(problem.scale);
    for (axis, keys) in keys[..last].iter().enumerate() {
        let keys = expand(&channels, axis + 1, spread(keys), &device);
        let [_, _, count, width] = rows.dims();
        let m = problem.keys[axis];
        let product = rows.unsqueeze_dim::<5>(3) * keys.unsqueeze_dim::<5>(2);
        rows = product.reshape([batch, heads, count * m, width]);
    }
    let inner = expand(&channels, last + 1, spread(&keys[last]), &device);
    let scores = rows.matmul(inner.transpose()).reshape([batch, heads, n, tuples]);
    let scores = match problem.softcap {
        Some(cap) => scores.div_scalar(cap).tanh().mul_scalar(cap),
        None => scores,
    };
    let scores = biases.into_iter().fold(scores, |scores, bias| scores + spread_bias(problem, bias));
    let unseen = unseen(how, &device).expand([batch, heads, n, tuples]);
    let scores = scores.mask_fill(unseen.clone(), f32::NEG_INFINITY);
    // A row that sees nothing has no maximum to be taken away.
    let most = scores.clone().detach().max_dim(3).clamp_min(f32::MIN);
    let sink = sink.map(|sink| sink.reshape([1, heads, 1, 1]).expand([batch, heads, n, 1]));
    let most = match &sink {
        Some(sink) => most.max_pair(sink.clone().detach()),
        None => most,
    };
    let weights = (scores - most.clone()).exp().mask_fill(unseen, 0.0);
    let total = weights.clone().sum_dim(3);
    let total = match sink {
        Some(sink) => total + (sink - most.clone()).exp(),
        None => total,
    };
    // A row that sees nothing is kept from logarithm and division, whose gradients there would be no numbers.
    let blind = total.clone().equal_elem(0.0);
    let total = total.mask_fill(blind.clone(), 1.0);
    let lse = (total.clone().log() + most).mask_fill(blind, f32::NEG_INFINITY);
    let weights = weights / total;
    let weights = match dropped(problem, &device) {
        Some(factors) => weights * factors,
        None => weights,
    };
    let width = problem.value_width;
    let mut sums = weights.reshape([batch, heads, n * tuples / problem.keys[last].max(1), problem.keys[last]]);
    sums = sums.matmul(spread(&values[last]));
    for axis in (0..last).rev() {
        let m = problem.keys[axis];
        let [_, _, count, _] = sums.dims();
        let product = sums.reshape([batch, heads, count / m, m, width]) * spread(&values[axis]).unsqueeze_dim::<5>(2);
        sums = product.sum_dim(3).reshape([batch, heads, count / m, width]);
    }
    Attended { out: sums, lse: lse.reshape([batch, heads, n]) }
}

/// An operand's channels.
fn expand(channels: &Channels, operand: usize, x: Tensor<4>, device: &Device) -> Tensor<4> {
    let features = &channels.features[operand];
    let count = features.len();
    let row = |numbers: Vec<f32>| Tensor::<4>::from_data(TensorData::new(numbers, [1, 1, 1, count]), device);
    let indices: Vec<i64> = features.iter().map(|l| l.unwrap_or(0) as i64).collect();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [count]), device);
    let sign = |c: usize| if operand == 0 { channels.signs[c] } else { 1.0 };
    let factors = row((0..count).map(|c| if features[c].is_some() { sign(c) } else { 0.0 }).collect());
    let absent = row((0..count).map(|c| if features[c].is_none() { sign(c) } else { 0.0 }).collect());
    x.select(3, indices) * factors + absent
}

/// `[batch, 1, n, tuples]`, true where a tuple is not visible.
fn unseen(how: &Attend, device: &Device) -> Tensor<4, Bool> {
    let problem = &how.problem;
    let tuples: usize = problem.keys.iter().product();
    let mut mask = Vec::with_capacity(problem.batch * problem.queries * tuples);
    for entry in 0..problem.batch {
        for query in 0..problem.queries {
            let is_seen = |axis: usize, j: usize| {
                let (low, high) = problem.visible(axis, query);
                let hidden = how.hidden.as_ref().is_some_and(|hidden| hidden[entry * problem.keys[axis] + j]);
                (low..high.min(problem.length(entry, axis))).contains(&j) && !hidden
            };
            for tuple in 0..tuples {
                let mut rest = tuple;
                let seen = (0..problem.keys.len()).rev().all(|axis| {
                    let token = rest % problem.keys[axis];
                    rest /= problem.keys[axis];
                    is_seen(axis, token)
                });
                mask.push(!seen);
            }
        }
    }
    Tensor::from_data(TensorData::new(mask, [problem.batch, 1, problem.queries, tuples]), device)
}

/// A bias's number for every tuple: `[batch or 1, heads or 1, n or 1, tuples]`.
fn spread_bias(problem: &Problem, bias: PairBias) -> Tensor<4> {
    let PairBias { axes: (a, b), values } = bias;
    let [batch, heads, rows, columns] = values.dims();
    let tuples: usize = problem.keys.iter().product();
    let token = |axis: usize, tuple: usize| {
        let inner: usize = problem.keys[axis..].iter().product();
        (tuple / inner % problem.keys[axis - 1]) as i64
    };
    let (values, first) = match a {
        0 => (values, None),
        _ => (values.reshape([batch, heads, 1, rows * columns]), Some(a)),
    };
    let place = |tuple: usize| first.map_or(0, |a| token(a, tuple) * columns as i64) + token(b, tuple);
    let places: Vec<i64> = (0..tuples).map(place).collect();
    values.clone().select(3, Tensor::<1, Int>::from_data(TensorData::new(places, [tuples]), &values.device()))
}

/// What dropout multiplies weights by.
fn dropped(problem: &Problem, device: &Device) -> Option<Tensor<4>> {
    let dropout = problem.dropout?;
    let tuples: usize = problem.keys.iter().product();
    let rows = problem.rows() as u64;
    let factors: Vec<f32> =
        (0..rows).flat_map(|row| (0..tuples as u64).map(move |tuple| dropout.factor(row, tuple))).collect();
    let shape = [problem.batch, problem.heads, problem.queries, tuples];
    Some(Tensor::from_data(TensorData::new(factors, shape), device))
}
