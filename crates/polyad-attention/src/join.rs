//! From the sums of a row's parts to the row.

use crate::element::Element;
use crate::forward::TASKS;
use polyad_simd::{Kernel, LANES, Simd};
use std::f64::consts::{LN_2, LOG2_E};

/// Joins the parts of a row, at most [`TASKS`], whose records begin at `places`: the sums, what weights are relative to, a
/// power of two, and the sum of weights. Gives the row's lse.
///
/// Plain loops in double precision, which the compiler vectorises for the level.
pub(crate) struct Join<'a, E, P> {
    pub records: &'a [f32],
    pub places: P,
    pub sink: Option<f32>,
    pub out: &'a mut [E],
}

impl<E: Element, P: Iterator<Item = usize> + Clone> Kernel for Join<'_, E, P> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f32 {
        let Join { records, places, sink, out } = self;
        let width = out.len();
        let most_of = |place: usize| f64::from(records[place + width]);
        let sink = sink.map(|sink| f64::from(sink) * LOG2_E);
        let most = places.clone().map(most_of).fold(sink.unwrap_or(f64::NEG_INFINITY), f64::max);
        if most == f64::NEG_INFINITY {
            out.fill(E::narrow(0.0));
            return f32::NEG_INFINITY;
        }
        let mut factors = [0.0; TASKS];
        let mut total = sink.map_or(0.0, |sink| (sink - most).exp2());
        for (factor, place) in factors.iter_mut().zip(places.clone()) {
            *factor = if most_of(place) == most { 1.0 } else { (most_of(place) - most).exp2() };
            total += *factor * f64::from(records[place + width + 1]);
        }
        places.clone().zip(&mut factors).for_each(|(_, factor)| *factor /= total);
        let (whole, rest) = out.as_chunks_mut::<LANES>();
        let end = whole.len() * LANES;
        let terms = || factors.iter().copied().zip(places.clone());
        for (chunk, out) in whole.iter_mut().enumerate() {
            sum(records, chunk * LANES, terms(), out);
        }
        sum(records, end, terms(), rest);
        (most * LN_2 + total.ln()) as f32
    }
}

/// `out[l] = Σ factor · records[place + first + l]` for at most [`LANES`] numbers: where the compiler sees that there are so
/// many, sums stay in registers.
#[inline(always)]
fn sum<E: Element>(records: &[f32], first: usize, terms: impl Iterator<Item = (f64, usize)>, out: &mut [E]) {
    let mut sums = [0.0; LANES];
    for (factor, place) in terms {
        let numbers = &records[place + first..][..out.len()];
        sums.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += factor * f64::from(*x));
    }
    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = E::narrow(sum as f32));
}
