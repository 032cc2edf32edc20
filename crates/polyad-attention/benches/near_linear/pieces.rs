//! What each part of the method saves: the degree that certifies the tolerance, and the scores that a degree reaches.
//!
//! ```text
//! a  the exponential series, one range for all rows          2 ε / (1 − ε) max |v|
//! b  the minimax polynomial instead                          2 ε / (1 − ε) max |v|
//! c  only quotients of weights matter                        (max v − min v) tanh(½ artanh ε)
//! d  each row by its own range
//! e  values deviate less than they could                     ε / √(1 − ε²) σ~(v)
//! f  scores deviate less than they could: what the library does
//! g  monomials that hardly matter are left out
//! ```
//!
//! a to e are computed here in double precision without rounding in them; e for the rows of widest range only.

use crate::problems::{Case, TOLERANCE, largest};
use crate::report::{Section, Table, seconds};
use crate::svg::{Axis, Border, Line, Plot, Scale, grouped, short};
use crate::{DEGREE, Setup};
use polyad_attention::Result;
use polyad_attention::polynomial::{Polynomial, rank};
use rayon::prelude::*;
use serde_json::json;

const D: usize = 16;
/// Rows of widest range that deviations are computed for.
const WIDEST: usize = 4;
const PARTS: [&str; 6] = [
    "a  series, naive bound",
    "b  minimax",
    "c  + range certificate",
    "d  + ranges by row",
    "e  + deviation",
    "f  + moment (the library)",
];

/// What is known of a problem whose scores are within ±1; scores of others are multiples.
struct Known {
    case: Case,
    /// The greatest `|v1 ∘ v2|`.
    greatest: f64,
    /// The range of `v1 ∘ v2`, the widest of a column, as a share of `greatest`.
    spread: f64,
    /// How far scores could be from 0: of all rows together, of the widest row.
    global: f64,
    widest: Vec<(usize, f64)>,
}

fn extremes(x: &[f32], l: usize) -> (f64, f64) {
    let column = x.iter().skip(l).step_by(D).map(|x| f64::from(*x));
    column.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

/// Of all products of a number of one column and one of another.
fn products(a: &[f32], b: &[f32], l: usize) -> (f64, f64) {
    let (a, b) = (extremes(a, l), extremes(b, l));
    let all = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
    all.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

impl Known {
    fn new(tokens: usize) -> Known {
        let case = Case::new(3, tokens, D, 1.0);
        let scale = f64::from(case.problem.scale);
        let keys: Vec<(f64, f64)> = (0..D).map(|l| products(&case.keys[0], &case.keys[1], l)).collect();
        let reach = |i: usize| -> f64 {
            let ends = (0..D).map(|l| (f64::from(case.q[i * D + l]) * scale, keys[l])).map(|(q, (low, high))| {
                let (a, b) = (q * low, q * high);
                (a.min(b), a.max(b))
            });
            let (low, high) = ends.fold((0.0, 0.0), |sum, ends| (sum.0 + ends.0, sum.1 + ends.1));
            high.max(-low)
        };
        let most = |(low, high): (f64, f64)| high.max(-low);
        let global = (0..D).map(|l| scale * most(extremes(&case.q, l)) * most(keys[l])).sum();
        let mut widest: Vec<(usize, f64)> = (0..tokens).map(|i| (i, reach(i))).collect();
        widest.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
        widest.truncate(WIDEST);
        let greatest = case.greatest();
        let width = |l: usize| {
            let (low, high) = products(&case.values[0], &case.values[1], l);
            high - low
        };
        let spread = (0..D).map(width).fold(0.0, f64::max) / greatest;
        Known { case, greatest, spread, global, widest }
    }

    /// The certificate of a part, as a share of the greatest value, for scores within ±`bound`.
    fn certificate(&self, part: usize, degree: usize, bound: f64) -> f64 {
        let minimax = |half: f64| Polynomial::near_exp(degree, 0, half);
        let naive = |epsilon: f64| if epsilon < 1.0 { 2.0 * epsilon / (1.0 - epsilon) } else { f64::INFINITY };
        let by_range = |epsilon: f64| {
            if epsilon < 1.0 { self.spread * (0.5 * epsilon.atanh()).tanh() } else { f64::INFINITY }
        };
        let global = bound * self.global;
        match part {
            0 => naive(series_error(degree, global)),
            1 => naive(minimax(global).epsilon),
            2 => by_range(minimax(global).epsilon),
            3 => by_range(minimax(bound * self.widest[0].1).epsilon),
            _ => {
                let one = |(row, reach): &(usize, f64)| {
                    let p = minimax(bound * reach);
                    if p.epsilon >= 1.0 {
                        return f64::INFINITY;
                    }
                    let deviation = self.deviation(*row, bound, &p.coefficients) / self.greatest;
                    by_range(p.epsilon).min(p.epsilon / (1.0 - p.epsilon * p.epsilon).sqrt() * deviation)
                };
                self.widest.par_iter().map(one).reduce(|| 0.0, f64::max)
            }
        }
    }

    /// `σ~(v1 ∘ v2)` of a row, the greatest of a column, by the weights of a polynomial.
    fn deviation(&self, row: usize, bound: f64, p: &[f64]) -> f64 {
        let wide = |x: &[f32]| -> [f64; D] { std::array::from_fn(|l| f64::from(x[l])) };
        let [k1, k2] = [0, 1].map(|axis: usize| self.case.keys[axis].chunks_exact(D).map(wide).collect::<Vec<_>>());
        let [v1, v2] = [0, 1].map(|axis: usize| self.case.values[axis].chunks_exact(D).map(wide).collect::<Vec<_>>());
        let q = wide(&self.case.q[row * D..]);
        let scale = bound * f64::from(self.case.problem.scale);
        let (mut total, mut means, mut squares) = (0.0, [0.0; D], [0.0; D]);
        for (k1, v1) in k1.iter().zip(&v1) {
            let query: [f64; D] = std::array::from_fn(|l| scale * q[l] * k1[l]);
            let (mut own_means, mut own_squares) = ([0.0; D], [0.0; D]);
            for (k2, v2) in k2.iter().zip(&v2) {
                let score: f64 = (0..D).map(|l| query[l] * k2[l]).sum();
                let weight = p.iter().rev().fold(0.0, |sum, c| sum * score + c);
                total += weight;
                for l in 0..D {
                    own_means[l] += weight * v2[l];
                    own_squares[l] += weight * v2[l] * v2[l];
                }
            }
            for l in 0..D {
                means[l] += v1[l] * own_means[l];
                squares[l] += v1[l] * v1[l] * own_squares[l];
            }
        }
        let variance = |l: usize| squares[l] / total - (means[l] / total).powi(2);
        (0..D).map(variance).fold(0.0, f64::max).sqrt()
    }
}

/// `max |Σ_{k <= degree} t^k / k! e^−t − 1|` on `|t| <= half`: it is greatest at `−half`.
fn series_error(degree: usize, half: f64) -> f64 {
    let term = |k: usize| (1..=k).fold(1.0, |term, i| -term * half / i as f64);
    ((0..=degree).map(term).sum::<f64>() * half.exp() - 1.0).abs()
}

pub fn section(setup: &Setup) -> Result<Section> {
    let tokens = if setup.quick { 256 } else { 1024 };
    let most = if setup.quick { 3 } else { 5 };
    let known = Known::new(tokens);
    let mut section = Section {
        title: "What each part brings",
        about: format!(
            "Order 3, {} tokens, d {D}, entries uniform in ±B, tolerance {TOLERANCE}; each part with those before it. The \
             least degree that certifies every row at B = 1, and the largest scores that a degree certifies.",
            grouped(tokens as f64)
        ),
        ..Section::default()
    };
    let mut table = Table::new(
        "Least degree at scores within ±1, largest scores by degree",
        &["part", "degree", "monomials", "B³ degree 1", "2", "3", "4", "5"],
    );
    let mut lines = Vec::new();
    let mut all = Vec::new();
    for (part, name) in PARTS.into_iter().enumerate() {
        let is_certified = |degree: usize, bound: f64| match part {
            5 => Case::new(3, tokens, D, bound.cbrt()).polynomial(degree, setup.level).is_ok(),
            _ => known.certificate(part, degree, bound) <= TOLERANCE,
        };
        let degree = (1..=DEGREE).find(|degree| is_certified(*degree, 1.0)).unwrap_or(DEGREE + 1);
        let monomials = rank(D, degree).unwrap_or(usize::MAX);
        let mut line = Line::new(name);
        for degree in 1..=most {
            line.measured(degree as f64, largest(7.5, |bound| Ok(is_certified(degree, bound)))?);
        }
        let reached = (0..5).map(|i| line.points.get(i).map_or("-".into(), |p| format!("{:.3}", p.y)));
        table
            .rows
            .push([name.into(), degree.to_string(), grouped(monomials as f64)].into_iter().chain(reached).collect());
        let bounds: Vec<f64> = line.points.iter().map(|p| p.y).collect();
        all.push(json!({ "part": name, "degree": degree, "monomials": monomials, "largest_scores": bounds }));
        lines.push(line);
    }
    let monomials = |part: usize| all[part]["monomials"].as_f64().unwrap_or(f64::NAN);
    section.findings.push(format!(
        "Scores within ±1 take {} monomials by the series with the naive bound, {} by the library: {:.0} times fewer.",
        grouped(monomials(0)),
        grouped(monomials(5)),
        monomials(0) / monomials(5)
    ));
    section.numbers.insert("parts".into(), json!(all));
    let (uneven, found) = uneven(tokens, setup)?;
    section.numbers.insert("uneven".into(), found);
    section.tables = vec![table, uneven];
    section.plots.push(Plot {
        title: "Largest scores that a degree certifies".into(),
        x: Axis { label: "degree", scale: Scale::Whole },
        y: Axis { label: "bound on scores, B³", scale: Scale::Linear },
        lines,
        borders: vec![Border { label: "B = 1".into(), vertical: false, at: 1.0 }],
        hollow: "",
    });
    Ok(section)
}

/// Channels of the same size, and each smaller than the one before, with scores within the same bound.
fn uneven(tokens: usize, setup: &Setup) -> Result<(Table, serde_json::Value)> {
    let mut table = Table::new(
        "g  monomials left out; halved: channel l is multiplied by 2^-l, and the scale keeps scores within ±B³",
        &["B³", "channels", "degree", "kept", "of", "seconds"],
    );
    let mut all = Vec::new();
    for bound in [1.0, 2.0, 4.0] {
        for (name, operands) in [("even", 0), ("halved in k1", 1), ("halved in k1 and k2", 2), ("halved in all", 3)] {
            let mut case = Case::new(3, tokens, D, f64::cbrt(bound));
            let size = |l: usize| 0.5f32.powi(l as i32);
            let [k1, k2] = &mut case.keys[..] else { unreachable!("order 3 has two key axes") };
            for numbers in [k1, k2, &mut case.q].into_iter().take(operands) {
                numbers.iter_mut().enumerate().for_each(|(i, x)| *x *= size(i % D));
            }
            case.problem.scale = 1.0 / (0..D).map(|l| size(l).powi(operands as i32)).sum::<f32>();
            let Ok(found) = case.polynomial(DEGREE, setup.level) else {
                let rest = ["none", "-", "-", "-"].map(String::from);
                table.rows.push([short(bound), name.into()].into_iter().chain(rest).collect());
                continue;
            };
            let time = case.polynomial_seconds(DEGREE, setup.level, setup.patience)?;
            let s = found.summary;
            table.rows.push(vec![
                short(bound),
                name.into(),
                s.degree.to_string(),
                grouped(s.kept as f64),
                grouped(s.full as f64),
                seconds(time),
            ]);
            all.push(json!({ "bound": bound, "channels": name, "degree": s.degree, "kept": s.kept, "full": s.full,
                "seconds": time }));
        }
    }
    Ok((table, json!(all)))
}
