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

/// One width and mask, at all sizes.
struct Series {
    d: usize,
    causal: bool,
    /// Best seconds of polynomials, and of the exact kernel where it was measured.
    polynomial: Vec<f64>,
    exact: Vec<Option<f64>>,
}

impl Series {
    fn case(&self, n: usize) -> Case {
        let case = Case::new(3, n, self.d, 1.0);
        if self.causal { case.causal() } else { case }
    }

    fn mask(&self) -> &'static str {
        if self.causal { "causal" } else { "dense" }
    }

    /// Times all sizes once more.
    fn round(&mut self, sizes: &[usize], most: f64, setup: &Setup) -> Result<()> {
        for (place, n) in sizes.iter().enumerate() {
            let case = self.case(*n);
            let time = case.polynomial_seconds(DEGREE, setup.level, most)?;
            self.polynomial[place] = self.polynomial[place].min(time);
            let limit = if setup.quick { EXACT_SECONDS / 4.0 } else { EXACT_SECONDS };
            let predicted = place.checked_sub(1).map_or(Some(0.0), |before| self.exact[before].map(|x| x * 8.0));
            let before = self.exact[place];
            if !self.causal && (before.is_some() || predicted.is_some_and(|predicted| predicted < limit)) {
                let time = case.exact_seconds(setup.level, most)?;
                self.exact[place] = Some(before.map_or(time, |before| before.min(time)));
            }
        }
        Ok(())
    }

    /// The exact kernel's seconds at a size, as n³ beyond what was measured, and whether they were.
    fn exact(&self, sizes: &[usize], place: usize) -> Option<(f64, bool)> {
        if let Some(time) = self.exact[place] {
            return Some((time, true));
        }
        let last = self.exact.iter().rposition(Option::is_some)?;
        let times = (sizes[place] as f64 / sizes[last] as f64).powi(3);
        Some((self.exact[last]? * times, false))
    }
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
             extrapolated as n³ (marked ~). Gflop/s: the operations that a plan counts, over the seconds."
        ),
        ..Section::default()
    };
    let series = |(d, causal)| Series {
        d,
        causal,
        polynomial: vec![f64::INFINITY; sizes.len()],
        exact: vec![None; sizes.len()],
    };
    let mut all: Vec<Series> = widths.iter().map(|d| (*d, false)).chain([(16, true)]).map(series).collect();
    // A busy while then spoils one round of everything, not everything of one size.
    let rounds = if setup.quick { 1 } else { 4 };
    for _ in 0..rounds {
        for series in &mut all {
            series.round(&sizes, setup.patience / rounds as f64, setup)?;
        }
    }
    let mut table = Table::new(
        "Best seconds",
        &["tokens", "d", "mask", "degree", "monomials", "polynomials", "Gflop/s", "exact", "Gflop/s", "quotient"],
    );
    let mut exponents = Table::new("Exponent over the upper half of the tokens", &["d", "mask", "exponent", "asked"]);
    let (mut lines, mut fitted) = (Vec::new(), Vec::new());
    for series in &all {
        lines.extend(describe(series, &sizes, setup, &mut table, &mut section)?);
        let upper: Vec<(f64, f64)> =
            (sizes.len() / 2..sizes.len()).map(|place| (sizes[place] as f64, series.polynomial[place])).collect();
        let exponent = exponent(&upper);
        let asked = format!("<= {EXPONENT}");
        exponents.rows.push(vec![series.d.to_string(), series.mask().into(), format!("{exponent:.3}"), asked]);
        fitted.push(json!({ "d": series.d, "mask": series.mask(), "exponent": exponent }));
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

/// The rows of the table, and the lines of the plot.
fn describe(
    series: &Series,
    sizes: &[usize],
    setup: &Setup,
    table: &mut Table,
    section: &mut Section,
) -> Result<Vec<Line>> {
    let d = series.d;
    let mut polynomials = Line::new(format!("polynomials, d {d}{}", if series.causal { ", causal" } else { "" }));
    let mut exact_line = Line::new(format!("exact, d {d}"));
    let smallest = series.case(sizes[0]);
    let plan = smallest.plan(&options(DEGREE), setup.level)?;
    let summary = smallest.polynomial(DEGREE, setup.level)?.summary;
    for (place, n) in sizes.iter().enumerate() {
        let (time, times) = (series.polynomial[place], *n as f64 / sizes[0] as f64);
        polynomials.measured(*n as f64, time);
        let mut row = vec![
            grouped(*n as f64),
            d.to_string(),
            series.mask().into(),
            summary.degree.to_string(),
            summary.kept.to_string(),
            seconds(time),
            format!("{:.1}", plan.operations.unwrap_or(f64::NAN) * times / time * 1e-9),
        ];
        match series.exact(sizes, place) {
            None => row.extend(["-".into(), "-".into(), "-".into()]),
            Some((exact, measured)) => {
                let mark = if measured { "" } else { "~" };
                let rate = plan.exact_operations * times.powi(3) / exact * 1e-9;
                row.push(format!("{mark}{}", seconds(exact)));
                row.push(if measured { format!("{rate:.0}") } else { "-".into() });
                row.push(format!("{mark}{:.1}", exact / time));
                if measured {
                    exact_line.measured(*n as f64, exact)
                } else {
                    exact_line.hollow(*n as f64, exact)
                }
                if (*n, d) == (RATIO.0, RATIO.1) {
                    section.findings.push(format!(
                        "At {} tokens and d {d} polynomials are {} times as fast as the exact kernel, which is \
                         extrapolated; asked: {}.",
                        grouped(*n as f64),
                        grouped(exact / time),
                        grouped(RATIO.2)
                    ));
                    section.numbers.insert("ratio".into(), json!(exact / time));
                }
            }
        }
        table.rows.push(row);
    }
    Ok(if series.causal { vec![polynomials] } else { vec![polynomials, exact_line] })
}
