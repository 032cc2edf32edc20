//! Time against the number of tokens.

use crate::problems::{Case, TOLERANCE, options};
use crate::report::{Section, Table, seconds};
use crate::svg::{Axis, Line, Plot, Scale, grouped};
use crate::{DEGREE, Setup};
use polyad_attention::Result;
use serde_json::json;

/// The exact kernel is measured up to about so many seconds, and extrapolated as n³ beyond.
const EXACT_SECONDS: f64 = 1.2;
/// What is asked of the exponent.
const EXPONENT: f64 = 1.1;
/// What is asked of the quotient of both ways' times, and where.
const RATIO: (usize, usize, f64) = (16_384, 16, 1e4);

/// The exponent of a power law through points, by least squares of their logarithms.
fn exponent(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let logarithms: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let mean_x = logarithms.iter().map(|p| p.0).sum::<f64>() / count;
    let mean_y = logarithms.iter().map(|p| p.1).sum::<f64>() / count;
    let covariance: f64 = logarithms.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    covariance / logarithms.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

pub fn section(setup: &Setup) -> Result<Section> {
    let most = if setup.quick { 11 } else { 17 };
    let sizes: Vec<usize> = (8..=most).map(|power| 1 << power).collect();
    let widths: &[usize] = if setup.quick { &[8, 16] } else { &[8, 16, 32] };
    let mut section = Section {
        title: "Time against the number of tokens",
        about: format!(
            "Order 3, entries of q, k1 and k2 uniform in ±1, scale 1/d: scores within ±1. Polynomials certify every row \
             within {TOLERANCE} of the greatest |v1 ∘ v2|. The exact kernel is measured as far as it takes a second, and \
             extrapolated as n³."
        ),
        ..Section::default()
    };
    let mut table = Table::new(
        "Best seconds",
        &["tokens", "d", "mask", "degree", "monomials", "polynomials", "Gflop/s", "exact", "quotient"],
    );
    let mut exponents = Table::new("Exponent over the upper half of the tokens", &["d", "mask", "exponent", "asked"]);
    let mut lines = Vec::new();
    let mut fitted = Vec::new();
    for (d, causal) in widths.iter().map(|d| (*d, false)).chain([(16, true)]) {
        let mask = if causal { "causal" } else { "dense" };
        let mut line = Line::new(format!("polynomials, d {d}{}", if causal { ", causal" } else { "" }));
        let mut exact = Exact { line: Line::new(format!("exact, d {d}")), last: None };
        // Operations of polynomials, whose number grows as that of tokens.
        let mut per_token = f64::NAN;
        for n in &sizes {
            let case = Case::new(3, *n, d, 1.0);
            let case = if causal { case.causal() } else { case };
            if *n == sizes[0] {
                let plan = case.plan(&options(DEGREE), setup.level)?;
                per_token = plan.operations.unwrap_or(f64::NAN) / *n as f64;
            }
            let found = case.polynomial(DEGREE, setup.level)?;
            let time = case.polynomial_seconds(DEGREE, setup.level, setup.patience)?;
            line.measured(*n as f64, time);
            let (exact_time, measured) = if causal { (f64::NAN, false) } else { exact.at(&case, setup)? };
            let mark = if measured { "" } else { "~" };
            table.rows.push(vec![
                grouped(*n as f64),
                d.to_string(),
                mask.into(),
                found.summary.degree.to_string(),
                found.summary.kept.to_string(),
                seconds(time),
                format!("{:.1}", per_token * *n as f64 / time * 1e-9),
                if causal { "-".into() } else { format!("{mark}{}", seconds(exact_time)) },
                if causal { "-".into() } else { format!("{mark}{:.1}", exact_time / time) },
            ]);
            if !causal && (*n, d) == (RATIO.0, RATIO.1) {
                section.findings.push(format!(
                    "At {} tokens and d {d} polynomials are {} times as fast as the exact kernel, which is extrapolated; \
                     asked: {}.",
                    grouped(*n as f64),
                    grouped(exact_time / time),
                    grouped(RATIO.2)
                ));
                section.numbers.insert("ratio".into(), json!(exact_time / time));
            }
        }
        let upper: Vec<(f64, f64)> = line.points[sizes.len() / 2..].iter().map(|p| (p.x, p.y)).collect();
        let exponent = exponent(&upper);
        exponents.rows.push(vec![d.to_string(), mask.into(), format!("{exponent:.3}"), format!("<= {EXPONENT}")]);
        fitted.push(json!({ "d": d, "mask": mask, "exponent": exponent }));
        lines.push(line);
        if !causal {
            lines.push(exact.line);
        }
    }
    let greatest = fitted.iter().filter_map(|f| f["exponent"].as_f64()).fold(f64::MIN, f64::max);
    section.findings.push(format!("The greatest exponent is {greatest:.3}; asked: at most {EXPONENT}."));
    section.numbers.insert("exponents".into(), json!(fitted));
    section.tables = vec![exponents, table];
    section.plots.push(Plot {
        title: "Seconds of one head".into(),
        x: Axis { label: "tokens", scale: Scale::Twos },
        y: Axis { label: "seconds", scale: Scale::Tens },
        lines,
        borders: Vec::new(),
        hollow: "extrapolated as n³",
    });
    Ok(section)
}

/// The exact kernel at more and more tokens.
struct Exact {
    line: Line,
    /// The greatest number of tokens that was measured, and its seconds.
    last: Option<(f64, f64)>,
}

impl Exact {
    /// Seconds, and whether they were measured.
    fn at(&mut self, case: &Case, setup: &Setup) -> Result<(f64, bool)> {
        let n = case.problem.queries as f64;
        let predicted = self.last.map_or(0.0, |(tokens, seconds)| seconds * (n / tokens).powi(3));
        let most = if setup.quick { EXACT_SECONDS / 4.0 } else { EXACT_SECONDS };
        if predicted > most {
            self.line.hollow(n, predicted);
            return Ok((predicted, false));
        }
        let measured = case.exact_seconds(setup.level, setup.patience)?;
        self.line.measured(n, measured);
        self.last = Some((n, measured));
        Ok((measured, true))
    }
}
