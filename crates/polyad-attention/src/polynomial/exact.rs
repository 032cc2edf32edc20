//! Rows that the exact kernel computes, and how far its rounding can lead them astray.
//!
//! With u half a unit in the last place, D channels, order p, and `S` at least the sum of the absolute values of any
//! score's terms:
//!
//! 1. A score is off by at most `(D + p + 1) u' S`: one rounding of the query's channel, p − 2 of its products with outer
//!    keys, D of the sum; `u' = u / (1 − (D + p + 1) u)`.
//! 2. What is raised to a power of two is `S log2 e − m`, where m is at most `S log2 e + 6` away from 0 on either side: the
//!    constant's rounding and one of the result, together at most `u (3 S log2 e + 6)` more; in natural units that times ln 2.
//! 3. The power is within 0.65 of 2^-23, so a weight is off by a factor of at most `e^δ (1 + 1.3 u)`, δ being 1 and 2.
//! 4. Sums: products over at most 256 tokens, the outer values' product, compensated sums over N such terms
//!    (`2 u + 4 N u²`), changes of what weights are relative to (`2 u` each, at most one for 6 bits of `2 S log2 e`),
//!    of the sum of weights 32 roundings a span, and three roundings of the row itself.
//! 5. Numerator and denominator are off by factors `1 ± τ` of sums of absolute values, and those are at most
//!    `max |v1 ∘ v2|` times the denominator.

use crate::forward;
use crate::polynomial::operands::UNIT;
use crate::prepare::Arena;
use crate::problem::{Inputs, Problem};
use polyad_simd::Level;
use std::f64::consts::{LN_2, LOG2_E};

/// Errors of a row of the exact kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Of every number of out.
    pub out: f64,
    /// Of lse, but for its last rounding.
    pub lse: f64,
}

/// Where nothing is known.
pub const UNKNOWN: Bounds = Bounds { out: f64::INFINITY, lse: f64::INFINITY };

/// The errors of a row whose greatest `|v1 ∘ v2|` is 1; `reach` is S.
pub fn bounds(problem: &Problem, channels: usize, reach: f64) -> Bounds {
    let (order, d) = (problem.order() as f64, channels as f64);
    let steps = d + order + 1.0;
    let score = steps * UNIT / (1.0 - steps * UNIT) * reach;
    let power = UNIT * (3.0 * reach * LOG2_E + 6.0) * LN_2;
    let weight = (score + power).exp_m1() + 1.4 * UNIT * (score + power).exp();
    let inner = problem.keys.iter().max().copied().unwrap_or(1) as f64;
    let terms = problem.keys.iter().map(|m| *m as f64).product::<f64>() / inner * (inner / 256.0).ceil();
    let rises = 2.0 * reach * LOG2_E / 6.0 + 2.0;
    let numerator = (256.0 + order + 2.0 + 2.0 * rises + 3.0) * UNIT + 4.0 * terms * UNIT * UNIT;
    let denominator = (32.0 + 2.0 * rises + 3.0) * UNIT + terms * f64::EPSILON;
    // Weights too small for the number format are none.
    let lost = problem.keys.iter().map(|m| *m as f64).product::<f64>() * 2f64.powi(-120);
    let (above, below) =
        ((1.0 + weight) * numerator.exp() - 1.0 + lost, (1.0 + weight) * denominator.exp() - 1.0 + lost);
    match below < 0.5 {
        true => Bounds { out: (above + below) / (1.0 - below), lse: -(-below).ln_1p() },
        false => UNKNOWN,
    }
}

/// Numbers that [`rows`] takes as its workspace.
pub fn workspace(problem: &Problem) -> usize {
    Arena::LOST + forward::rows_one_by_one_numbers(problem)
}

/// Some rows of `[batch, heads, n]`, exactly, by the channels of the form: the other ways of computing forms that factorise
/// have roundings of their own.
pub fn rows(
    problem: &Problem,
    inputs: &Inputs<f32>,
    rows: &[usize],
    out: &mut [&mut [f32]],
    lse: &mut [f32],
    workspace: &mut [f32],
    level: Level,
) {
    forward::rows_one_by_one(problem, inputs, rows, out, lse, workspace, level);
}
