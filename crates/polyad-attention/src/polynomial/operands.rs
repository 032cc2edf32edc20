//! Keys, values and queries as the polynomial method wants them, and what is known of them in advance.
//!
//! Every channel of the keys of an axis is multiplied by a power of two so that none exceeds 1, and the queries by its
//! inverse; every column of values likewise. Nothing is rounded by that, no feature overflows, and `|s|` is at most
//! `Σ_l |q_l| Π most_l`.

use crate::element::Element;
use crate::form::Channels;
use crate::prepare::counts;
use crate::problem::{Inputs, Problem};
use polyad_simd::LANES;
use rayon::prelude::*;

/// Half a unit in the last place of single precision.
pub const UNIT: f64 = f32::EPSILON as f64 / 2.0;

/// The least and the greatest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// Of no numbers.
    pub const EMPTY: Interval = Interval { low: f64::INFINITY, high: f64::NEG_INFINITY };
    /// Of 1 alone.
    const ONE: Interval = Interval { low: 1.0, high: 1.0 };

    /// With another number in it.
    pub fn with(self, x: f64) -> Interval {
        Interval { low: self.low.min(x), high: self.high.max(x) }
    }

    /// Of all products of two numbers.
    pub fn times(self, other: Interval) -> Interval {
        let ends = [self.low * other.low, self.low * other.high, self.high * other.low, self.high * other.high];
        ends.into_iter().fold(Interval::EMPTY, Interval::with)
    }

    /// The greatest absolute value.
    pub fn most(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }
}

/// The keys and values of an axis and key head.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Tokens, those that are hidden included where they stay in their places.
    pub tokens: usize,
    /// See [`stride`].
    pub stride: usize,
    /// `[channels, stride]`, none above 1; zeros after the last token and where one is hidden.
    pub channels: Vec<f32>,
    /// `[stride, columns]`, likewise.
    pub values: Vec<f32>,
    /// Where each token lies among the keys.
    pub places: Vec<usize>,
    /// Whether each token counts.
    pub counts: Vec<bool>,
    /// How many count before each token, and in all.
    pub counted: Vec<usize>,
    /// Of each channel.
    channel_ranges: Vec<Interval>,
    /// Of each column of values.
    value_ranges: Vec<Interval>,
    /// The mean square of each column of values.
    squares: Vec<f64>,
    /// The greatest norm of a token's channels, of the order's power.
    norm: f64,
    /// Whether all that counts is.
    finite: bool,
    pub channel_powers: Vec<i32>,
    pub value_powers: Vec<i32>,
}

/// The least and the greatest of each column of some rows.
struct Extremes {
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Extremes {
    fn new(columns: usize) -> Extremes {
        Extremes { low: vec![f32::INFINITY; columns], high: vec![f32::NEG_INFINITY; columns] }
    }

    /// With another row among them.
    fn extend(&mut self, row: &[f32]) {
        self.low.iter_mut().zip(row).for_each(|(low, x)| *low = low.min(*x));
        self.high.iter_mut().zip(row).for_each(|(high, x)| *high = high.max(*x));
    }

    /// As intervals divided by powers of two that leave nothing above 1, and the powers' exponents.
    fn normalised(&self) -> (Vec<Interval>, Vec<i32>) {
        let ends = self.low.iter().zip(&self.high);
        let one = |(low, high): (&f32, &f32)| {
            let range = Interval { low: f64::from(*low), high: f64::from(*high) };
            let power = power_above(range.most());
            (Interval { low: times_power(range.low, -power), high: times_power(range.high, -power) }, power)
        };
        ends.map(one).unzip()
    }
}

/// All axes of a key head.
#[derive(Debug, Clone)]
pub struct KeyHead {
    pub axes: Vec<Axis>,
    /// Of each channel's product over the axes.
    pub products: Vec<Interval>,
    /// Of each column's product of values.
    pub values: Vec<Interval>,
    /// The mean, over all tuples, of each column's squared product of values.
    pub squares: Vec<f64>,
    /// What a column of out is multiplied by, a power of two's exponent.
    pub value_powers: Vec<i32>,
    pub channel_powers: Vec<i32>,
    /// The product of the axes' greatest norms: see [`norm`].
    pub norms: f64,
    pub order: usize,
    /// Columns of values, to whole vectors.
    pub columns: usize,
    /// Whether all that can be seen is finite, and something can be seen.
    pub usable: bool,
}

/// The exponent of the least power of two that is not below `x`; 0 for 0.
fn power_above(x: f64) -> i32 {
    if x > 0.0 && x.is_finite() { x.log2().ceil() as i32 } else { 0 }
}

/// From a channel of so many tokens to the next: whole vectors, and one more, since the channels of 2^k tokens would all lie
/// in the same few lines of the caches.
pub fn stride(tokens: usize) -> usize {
    tokens.next_multiple_of(LANES) + LANES
}

/// `(Σ |x|^p)^(1/p)`, rounded up. By Hölder's inequality the absolute values of a score's terms, of p operands, sum to at most
/// the product of the operands' norms: less than what the greatest of each channel gives where tokens are many, since no
/// token is the greatest in all channels.
pub fn norm(x: impl Iterator<Item = f32>, p: usize) -> f64 {
    let sum = x.map(|x| f64::from(x.abs()).powi(p as i32)).sum::<f64>();
    // A number that is none bounds nothing, and must not be lost among others.
    if sum.is_nan() { f64::INFINITY } else { sum.powf(1.0 / p as f64) * (1.0 + 1e-9) }
}

/// `x 2^power`
pub fn times_power(x: f64, power: i32) -> f64 {
    // 2^k as bits, in two steps where it is out of range.
    let two_to = |k: i32| f64::from_bits(((k + 1023) as u64) << 52);
    match power {
        0 => x,
        -1000..=1000 => x * two_to(power),
        _ => x * two_to((power / 2).clamp(-1000, 1000)) * two_to((power - power / 2).clamp(-1000, 1000)),
    }
}

impl Axis {
    /// The tokens of `axis` that count for a key head, over all batch entries. `gathered`: only those; otherwise each in
    /// its place.
    fn new<E: Element>(
        problem: &Problem,
        inputs: &Inputs<E>,
        channels: &Channels,
        (axis, key_head): (usize, usize),
        gathered: bool,
    ) -> Axis {
        let batch = key_head / problem.key_heads;
        let all: Vec<bool> = (0..problem.keys[axis]).map(|j| counts(problem, inputs.hidden, batch, axis, j)).collect();
        let places: Vec<usize> = (0..all.len()).filter(|j| all[*j] || !gathered).collect();
        let counts: Vec<bool> = places.iter().map(|j| all[*j]).collect();
        let sum = |sum: &mut usize, counts: &bool| Some(std::mem::replace(sum, *sum + usize::from(*counts)));
        let counted: Vec<usize> = counts.iter().chain(&[false]).scan(0, sum).collect();
        let (stride, columns) = (stride(places.len()), problem.value_width.next_multiple_of(LANES));
        let (key_places, value_places) = (problem.key_places(axis), problem.value_places(axis));
        let key = |j: usize, to: &mut [f32]| {
            let token = key_places.row(inputs.keys[axis], key_head * problem.room(axis) + j);
            channels.expand(axis + 1, 1.0, token, to);
        };
        let value = |j: usize| value_places.row(inputs.values[axis], key_head * problem.room(axis) + j);
        let counting = || places.iter().copied().enumerate().filter(|(at, _)| counts[*at]);
        let mut own = vec![0.0; channels.count()];
        let mut wide = vec![0.0; problem.value_width];
        let (mut of_channels, mut of_values) = (Extremes::new(own.len()), Extremes::new(wide.len()));
        for (_, j) in counting() {
            key(j, &mut own);
            of_channels.extend(&own);
            wide.iter_mut().zip(value(j)).for_each(|(to, x)| *to = x.wide());
            of_values.extend(&wide);
        }
        let (channel_ranges, channel_powers) = of_channels.normalised();
        let (mut value_ranges, mut value_powers) = of_values.normalised();
        value_ranges.resize(columns, Interval { low: 0.0, high: 0.0 });
        value_powers.resize(columns, 0);
        let mut made = Axis {
            tokens: places.len(),
            stride,
            channels: vec![0.0; channels.count() * stride],
            values: vec![0.0; stride * columns],
            squares: vec![0.0; columns],
            norm: 0.0,
            finite: true,
            channel_ranges,
            value_ranges,
            channel_powers,
            value_powers,
            places: Vec::new(),
            counts: Vec::new(),
            counted: Vec::new(),
        };
        let scaled = |x: f32, power: i32| times_power(f64::from(x), -power) as f32;
        let seen = counted[places.len()].max(1) as f64;
        // Once through memory for all that is wanted of a token: it is long out of the caches when the last token is done.
        for (at, j) in counting() {
            key(j, &mut own);
            for (l, x) in own.iter_mut().enumerate() {
                *x = scaled(*x, made.channel_powers[l]);
                made.channels[l * stride + at] = *x;
            }
            let values = &mut made.values[at * columns..][..columns];
            for (l, (to, x)) in values.iter_mut().zip(value(j)).enumerate() {
                *to = scaled(x.wide(), made.value_powers[l]);
                made.squares[l] += f64::from(*to) * f64::from(*to) / seen;
            }
            made.norm = made.norm.max(norm(own.iter().copied(), problem.order()));
            made.finite &= own.iter().chain(&*values).all(|x| x.is_finite());
        }
        Axis { places, counts, counted, ..made }
    }

    /// Tokens that count.
    pub fn seen(&self) -> usize {
        self.counted[self.tokens]
    }

    fn usable(&self) -> bool {
        let mut ranges = self.channel_ranges.iter().chain(&self.value_ranges);
        // A number that is none is in no range.
        self.finite && self.seen() > 0 && ranges.all(|range| range.low.is_finite() && range.high.is_finite())
    }
}

impl KeyHead {
    /// Of a key head, over all batch entries; `gathered` leaves out the tokens that do not count.
    pub fn new<E: Element>(
        problem: &Problem,
        inputs: &Inputs<E>,
        channels: &Channels,
        key_head: usize,
        gathered: bool,
    ) -> KeyHead {
        // A few tokens are done before another thread would have begun.
        let few = problem.keys.iter().sum::<usize>() < 2048;
        let axes: Vec<Axis> = (0..problem.keys.len())
            .into_par_iter()
            .with_min_len(if few { problem.keys.len() } else { 1 })
            .map(|axis| Axis::new(problem, inputs, channels, (axis, key_head), gathered))
            .collect();
        let columns = problem.value_width.next_multiple_of(LANES);
        let product = |ranges: fn(&Axis) -> &[Interval], l: usize| {
            axes.iter().fold(Interval::ONE, |product, axis| product.times(ranges(axis)[l]))
        };
        let powers = |powers: fn(&Axis) -> &[i32], l: usize| axes.iter().map(|axis| powers(axis)[l]).sum();
        KeyHead {
            products: (0..channels.count()).map(|l| product(|axis| &axis.channel_ranges, l)).collect(),
            values: (0..columns).map(|l| product(|axis| &axis.value_ranges, l)).collect(),
            // Sums of so many squares in double precision, rounded up.
            squares: (0..columns).map(|l| axes.iter().map(|a| a.squares[l] * (1.0 + 1e-9)).product()).collect(),
            value_powers: (0..columns).map(|l| powers(|axis| &axis.value_powers, l)).collect(),
            channel_powers: (0..channels.count()).map(|l| powers(|axis| &axis.channel_powers, l)).collect(),
            norms: axes.iter().map(|axis| axis.norm).product(),
            order: problem.order(),
            columns,
            usable: axes.iter().all(Axis::usable),
            axes,
        }
    }

    /// The channels of a query, the scale, the signs and the keys' powers of two in them, and what its scores can be;
    /// nothing where no polynomial serves it. `own` has room for its channels.
    pub fn query<E: Element>(
        &self,
        channels: &Channels,
        scale: f32,
        token: &[E],
        own: &mut [f32],
        out: &mut [f32],
    ) -> Option<Reach> {
        channels.expand(0, 1.0, token, own);
        for ((out, x), power) in out.iter_mut().zip(&*own).zip(&self.channel_powers) {
            *out = times_power(f64::from(*x) * f64::from(scale), *power) as f32;
        }
        self.reach(out)
    }

    /// At least the sum of the absolute values of the terms of any score of a query, its channels as [`KeyHead::query`] has
    /// them.
    pub fn most_of(&self, query: &[f32]) -> f64 {
        let by_channel: f64 = query.iter().zip(&self.products).map(|(q, p)| f64::from(q.abs()) * p.most()).sum();
        let by_norm = norm(query.iter().copied(), self.order) * self.norms;
        // Either is none where a number is none.
        if by_norm < by_channel { by_norm } else { by_channel }
    }

    fn reach(&self, query: &[f32]) -> Option<Reach> {
        let (mut low, mut high) = (0.0, 0.0);
        for (q, product) in query.iter().zip(&self.products) {
            let q = f64::from(*q);
            let range = product.times(Interval { low: q, high: q });
            low += range.low;
            high += range.high;
        }
        let most = self.most_of(query);
        let (low, high) = (f64::max(low, -most), f64::min(high, most));
        // A query's channel is rounded once, so it is the score's true reach only within a unit; underflow is one more.
        let most = most * (1.0 + 4.0 * UNIT) + 1e-37;
        let slack = 4.0 * UNIT * most;
        Reach::new(low - slack, high + slack, most)
    }
}

/// What the scores of a row can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// The middle that powers are taken around; 0 where that costs little.
    pub centre: f64,
    /// How far scores can be from it.
    pub half: f64,
    /// At least the sum of the absolute values of any score's terms.
    pub most: f64,
}

impl Reach {
    /// Of scores between two numbers, whose terms' absolute values sum to at most `most`; nothing where that is too far.
    pub fn new(low: f64, high: f64, most: f64) -> Option<Reach> {
        let (centre, half) = ((low + high) / 2.0, (high - low) / 2.0);
        let around_zero = low.abs().max(high.abs());
        let (centre, half) =
            if around_zero <= half * 1.05 { (0.0, around_zero) } else { (centre, half * (1.0 + 1e-12)) };
        let near = half <= super::minimax::MOST_HALF && most <= MOST_SUM;
        near.then_some(Reach { centre, half, most })
    }
}

/// No row's terms sum to more: beyond, rounding of the powers alone would be as large as what is computed.
const MOST_SUM: f64 = 64.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::ScoreForm;

    #[test]
    fn reach_holds_every_score() {
        let number = |i: usize| ((i * 2_654_435_761) % 1009) as f32 / 500.0 - 0.7;
        for form in ScoreForm::ALL {
            let problem = Problem { form, ..Problem::new(3, 7, 5, 0.37) };
            let arrays: Vec<Vec<f32>> = (0..5).map(|a| (0..35).map(|i| number(i + 100 * a)).collect()).collect();
            let (keys, values) = ([&arrays[1][..], &arrays[2][..]], [&arrays[3][..], &arrays[4][..]]);
            let inputs = Inputs::new(&arrays[0], &keys, &values);
            let channels = form.channels(3, 5);
            let key = KeyHead::new(&problem, &inputs, &channels, 0, true);
            let (mut own, mut out) = (vec![0.0; channels.count()], vec![0.0; channels.count()]);
            let expand = |operand: usize, array: &[f32], token: usize| -> Vec<f64> {
                let mut to = vec![0.0; channels.count()];
                channels.expand(operand, 1.0, &array[token * 5..(token + 1) * 5], &mut to);
                to.into_iter().map(f64::from).collect()
            };
            for i in 0..7 {
                let query = &arrays[0][i * 5..(i + 1) * 5];
                let Some(reach) = key.query(&channels, problem.scale, query, &mut own, &mut out) else { continue };
                for (j, k) in (0..7).flat_map(|j| (0..7).map(move |k| (j, k))) {
                    let [q, a, b] = [expand(0, &arrays[0], i), expand(1, &arrays[1], j), expand(2, &arrays[2], k)];
                    let terms = (0..q.len()).map(|l| f64::from(problem.scale) * q[l] * a[l] * b[l]);
                    let (sum, most) = terms.fold((0.0, 0.0), |(sum, most), x| (sum + x, most + x.abs()));
                    assert!((sum - reach.centre).abs() <= reach.half && most <= reach.most, "{form:?} {reach:?}");
                }
            }
        }
    }
}
