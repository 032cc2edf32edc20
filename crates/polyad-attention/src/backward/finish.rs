//! From the sums of shares and parts to gradients of features, in a fixed order.

use super::{GradientRows, Plan, ROWS};
use crate::bfloat16::add_turned;
use crate::deal::place;
use crate::element::{Element, narrow_into};
use crate::problem::{Inputs, MOST_NUMBERS, Problem};
use rayon::prelude::*;

/// Adds up shares and parts, and goes from channels back to features.
pub(super) fn finish<E: Element>(
    problem: &Problem,
    inputs: &Inputs<E>,
    (plan, turned): (&Plan, &[bool]),
    (dq, sums): (&[f32], &[f32]),
    gradients: &mut GradientRows<E>,
) {
    let Plan { shape, parts, shares, places, .. } = plan;
    gradients.q.par_iter_mut().enumerate().for_each(|(row, to)| {
        let sum = &mut [0.0; MOST_NUMBERS][..to.len()];
        for part in 0..*parts {
            let at = place(problem.queries, ROWS, *parts, part, row);
            let own = &dq[at * shape.key_width..][..shape.channels.count()];
            shape.channels.collapse(0, problem.scale, own, sum);
        }
        narrow_into(sum, to);
    });
    let group = problem.heads / problem.key_heads;
    // The sums, one after the other, that make up those of a key head.
    let shares_of = |key_head: usize| {
        let first = (key_head / problem.key_heads * problem.heads + key_head % problem.key_heads * group) * shares;
        (first..first + group * shares).map(|share| &sums[share * plan.sums()..(share + 1) * plan.sums()])
    };
    for axis in 0..problem.keys.len() {
        let (m, room) = (problem.keys[axis], problem.room(axis));
        let is_turned = |key_head: usize| axis == shape.inner && turned.get(key_head) == Some(&true);
        let rows = gradients.keys[axis].par_iter_mut().enumerate();
        rows.for_each_init(
            || vec![0.0; shape.channels.count()],
            |channels, (row, to)| {
                let sum = &mut [0.0; MOST_NUMBERS][..to.len()];
                for sums in shares_of(row / room).filter(|_| row % room < m) {
                    let sums = &sums[places[2 * axis]..];
                    if is_turned(row / room) {
                        channels.fill(0.0);
                        add_turned(sums, row % room, shape.key_width, channels);
                        shape.channels.collapse(axis + 1, 1.0, channels, sum);
                    } else {
                        let own = &sums[row % room * shape.key_width..][..shape.channels.count()];
                        shape.channels.collapse(axis + 1, 1.0, own, sum);
                    }
                }
                narrow_into(sum, to);
            },
        );
        gradients.values[axis].par_iter_mut().enumerate().for_each(|(row, to)| {
            let sum = &mut [0.0; MOST_NUMBERS][..to.len()];
            for sums in shares_of(row / room).filter(|_| row % room < m) {
                let sums = &sums[places[2 * axis + 1]..];
                if is_turned(row / room) {
                    add_turned(sums, row % room, shape.value_width, sum);
                } else {
                    let own = &sums[row % room * shape.value_width..];
                    sum.iter_mut().zip(own).for_each(|(to, x)| *to += x);
                }
            }
            narrow_into(sum, to);
        });
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
