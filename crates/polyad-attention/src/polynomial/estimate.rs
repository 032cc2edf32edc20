//! How far results are from exact ones, seen at some rows.

use crate::error::{Result, problem as wrong};
use crate::polynomial::exact;
use crate::polynomial::features::SplitMix;
use crate::problem::{Inputs, Problem};
use polyad_simd::Level;
use std::collections::BTreeSet;

/// The greatest difference of `out`, laid out as [`crate::forward`]'s, from the exact kernel's at some rows drawn without
/// repetition, all of them where `rows` is no less; NaN where a difference is none.
///
/// It is an estimate, not a bound: rows that were not drawn can be further off, and the exact kernel rounds.
///
/// # Cost
/// The exact kernel's for so many rows.
///
/// # Errors
/// A problem that contradicts itself, a buffer of another length, packed sequences, no row at all.
pub fn sampled_error(
    problem: &Problem,
    inputs: &Inputs<f32>,
    out: &[f32],
    rows: usize,
    seed: u64,
    level: Level,
) -> Result<f64> {
    inputs.check(problem)?;
    let places = problem.out_places();
    places.check_length("out", out.len())?;
    if !problem.packed.is_empty() {
        return wrong("packed sequences are looked at one at a time, each a problem of its own");
    }
    if rows == 0 || problem.rows() == 0 {
        return wrong(format!("the error of {rows} rows of {} says nothing", problem.rows()));
    }
    let drawn: Vec<usize> = draw(rows.min(problem.rows()), problem.rows(), seed).into_iter().collect();
    let width = problem.value_width;
    let (mut exact, mut lse) = (vec![0.0; drawn.len() * width], vec![0.0; problem.rows()]);
    let mut to: Vec<&mut [f32]> = (0..problem.rows()).map(|_| &mut [][..]).collect();
    drawn.iter().zip(exact.chunks_exact_mut(width)).for_each(|(row, own)| to[*row] = own);
    exact::rows(problem, inputs, &drawn, &mut to, &mut lse, &mut vec![0.0; exact::workspace(problem)], level);
    let of_row = |(row, exact)| places.row(out, row).iter().zip(exact);
    let pairs = drawn.into_iter().zip(exact.chunks_exact(width)).flat_map(of_row);
    let worse = |worst: f64, error: f64| if error > worst || error.is_nan() { error } else { worst };
    Ok(pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, worse))
}

/// So many of the numbers below `all`, each choice as likely as any other (Floyd's algorithm).
fn draw(count: usize, all: usize, seed: u64) -> BTreeSet<usize> {
    let (mut random, mut drawn) = (SplitMix::new(&[seed]), BTreeSet::new());
    for last in all - count..all {
        let any = random.below(last + 1);
        if !drawn.insert(any) {
            drawn.insert(last);
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_drawn_evenly_and_none_twice() {
        assert_eq!(draw(7, 7, 1), (0..7).collect());
        let mut times = [0; 10];
        for seed in 0..4000 {
            let drawn = draw(3, 10, seed);
            assert_eq!(drawn.len(), 3);
            drawn.into_iter().for_each(|row| times[row] += 1);
        }
        // Five standard deviations of 4000 draws at a chance of 0.3.
        assert!(
            times.iter().all(|times| (*times as f64 - 1200.0).abs() < 5.0 * (4000.0f64 * 0.3 * 0.7).sqrt()),
            "{times:?}"
        );
    }
}
