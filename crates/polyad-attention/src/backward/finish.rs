//! From the sums of shares and parts to gradients of features, in a fixed order.

use super::{GradientRows, Plan, ROWS};
use crate::bfloat16::place_turned;
use crate::deal::place;
use crate::element::{Element, narrow_into};
use crate::form::Channels;
use crate::problem::{Inputs, MOST_NUMBERS, Problem};
use polyad_simd::{Kernel, LANES, Level, Simd, dispatch};
use rayon::prelude::*;

/// Tokens finished in one piece: each takes tens of nanoseconds.
const TOGETHER: usize = 64;

/// Adds up shares and parts, and goes from channels back to features.
pub(super) fn finish<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    (plan, turned): (&Plan, &[bool]),
    (dq, sums): (&[f32], &[f32]),
    gradients: &mut GradientRows<E>,
    level: Level,
) {
    let Plan { shape, parts, shares, places, .. } = plan;
    gradients.q.par_iter_mut().enumerate().with_min_len(TOGETHER).for_each(|(row, to)| {
        let terms = (0..*parts).map(|part| {
            let at = place(problem.queries, ROWS, *parts, part, row);
            Term { numbers: &dq[at * shape.key_width..], step: 1 }
        });
        let channels = Some((&shape.channels, 0)).filter(|(channels, _)| !channels.plain);
        dispatch(level, AddUp { terms, channels, factor: problem.scale, to });
    });
    let group = problem.heads / problem.key_heads;
    // The sums, one after the other, that make up those of a key head.
    let shares_of = |key_head: usize| {
        let first = (key_head / problem.key_heads * problem.heads + key_head % problem.key_heads * group) * shares;
        (first..first + group * shares)
            .map(|share| (share % shares, &sums[share * plan.sums()..(share + 1) * plan.sums()]))
    };
    for axis in 0..problem.keys.len() {
        let (m, room) = (problem.keys[axis], problem.room(axis));
        let sides = [(&mut gradients.keys[axis], shape.key_width), (&mut gradients.values[axis], shape.value_width)];
        for (side, (to, width)) in sides.into_iter().enumerate() {
            let channels = Some((&shape.channels, axis + 1)).filter(|(channels, _)| side == 0 && !channels.plain);
            to.par_iter_mut().enumerate().with_min_len(TOGETHER).for_each(|(row, to)| {
                let (key_head, token) = (row / room, row % room);
                let is_turned = axis == shape.inner && turned.get(key_head) == Some(&true);
                let (at, step) = if is_turned { place_turned(token, width) } else { (token * width, 1) };
                let at = places[2 * axis + side] + at;
                let owner = plan.share_of_inner(token);
                let adds = |share: usize| token < m && owner.is_none_or(|owner| owner == share);
                let own = shares_of(key_head).filter(|(share, _)| adds(*share));
                let terms = own.map(|(_, sums)| Term { numbers: &sums[at..], step });
                dispatch(level, AddUp { terms, channels, factor: 1.0, to });
            });
        }
    }
    for (index, (to, bias)) in gradients.biases.iter_mut().zip(inputs.biases).enumerate() {
        to.fill(0.0);
        let place = places[2 * problem.keys.len() + index];
        let one = problem.tokens(bias.axes.0) * problem.tokens(bias.axes.1);
        for head in 0..shape.query_heads {
            let start = bias.start(problem, head / problem.heads, head % problem.heads);
            for share in head * shares..(head + 1) * shares {
                let own = &sums[share * plan.sums() + place..][..one];
                to[start..start + one].iter_mut().zip(own).for_each(|(to, x)| *to += x);
            }
        }
    }
}

/// A token's numbers in one of the arrays that are added up.
#[derive(Clone, Copy)]
struct Term<'a> {
    /// From the first on.
    numbers: &'a [f32],
    /// From one to the next.
    step: usize,
}

/// `to = factor Σ terms`, from channels to the features of an operand where those differ.
///
/// Plain loops, which the compiler vectorises for the level.
struct AddUp<'a, E, T> {
    terms: T,
    channels: Option<(&'a Channels, usize)>,
    factor: f32,
    to: &'a mut [E],
}

impl<'a, E: Element, T: Iterator<Item = Term<'a>> + Clone> Kernel for AddUp<'a, E, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let AddUp { terms, channels, factor, to } = self;
        if let Some((channels, operand)) = channels {
            let sum = &mut [0.0; MOST_NUMBERS][..to.len()];
            for Term { numbers, step } in terms {
                channels.collapse(operand, factor, numbers.iter().step_by(step).copied(), sum);
            }
            return narrow_into(sum, to);
        }
        for (chunk, to) in to.chunks_mut(LANES).enumerate() {
            let mut sums = [0.0; LANES];
            for Term { numbers, step } in terms.clone() {
                let numbers = &numbers[chunk * LANES * step..];
                match step {
                    1 => sums.iter_mut().zip(&numbers[..to.len()]).for_each(|(sum, x)| *sum += x),
                    _ => sums.iter_mut().zip(numbers.iter().step_by(step)).for_each(|(sum, x)| *sum += x),
                }
            }
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to = E::narrow(sum * factor));
        }
    }
}
