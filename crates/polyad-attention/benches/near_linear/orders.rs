//! The bound on entries that each order affords: at the same work, and where the exact kernel is as fast.

use crate::problems::{Case, TOLERANCE, largest};
use crate::report::{Section, Table};
use crate::svg::{Axis, Line, Plot, Scale, grouped};
use crate::{DEGREE, Setup};
use polyad_attention::polynomial::{Calibration, MOST_HALF, Method, Plan, Question, rank};
use polyad_attention::{Result, ScoreForm};
use serde_json::json;
use std::ops::RangeInclusive;

const ORDERS: RangeInclusive<usize> = 2..=5;
const D: usize = 8;

fn planned(order: usize, tokens: usize, range: f64, calibration: &Calibration) -> Result<Plan> {
    let question = Question { tokens, width: D, order, form: ScoreForm::Linear, range, tolerance: TOLERANCE };
    question.plan(calibration)
}

pub fn section(setup: &Setup) -> Result<Section> {
    let tokens = if setup.quick { 256 } else { 1024 };
    let degrees: &[usize] = if setup.quick { &[3] } else { &[2, 3, 4, 6] };
    let calibration = Calibration::measure(D, setup.level)?;
    let mut section = Section {
        title: "What an order costs",
        about: format!(
            "d {D}, entries uniform in ±B, scale 1/d: scores within ±B^p at order p. First the largest B that is certified \
             within {TOLERANCE} at {tokens} tokens with a degree, so with the same monomials whatever the order (operations are \
             those times n p): by the \
             range alone, which is what can be promised for any entries within ±B, and as measured for these. Then the \
             largest B at which polynomials are predicted to be faster than the exact kernel, by the range alone."
        ),
        ..Section::default()
    };
    let mut fixed = Table::new(
        "Largest B with the same monomials",
        &["degree", "monomials", "order", "operations", "scores by range", "B by range", "B measured", "(ln n)^(1/p)"],
    );
    let mut lines = Vec::new();
    let mut all = Vec::new();
    for degree in degrees {
        let mut by_range = Line::new(format!("degree {degree}, by range"));
        let mut measured = Line::new(format!("degree {degree}, measured"));
        for order in ORDERS {
            let within = |range: f64| -> Result<bool> {
                Ok(planned(order, tokens, range, &calibration)?.degree.is_some_and(|found| found <= *degree))
            };
            let scores = largest(MOST_HALF, within)?;
            let promised = scores.powf(1.0 / order as f64);
            let found =
                largest(4.0, |bound| Ok(Case::new(order, tokens, D, bound).polynomial(*degree, setup.level).is_ok()))?;
            let plan = planned(order, tokens, scores, &calibration)?;
            by_range.measured(order as f64, promised);
            measured.measured(order as f64, found);
            let monomials = rank(D, *degree).unwrap_or(usize::MAX);
            fixed.rows.push(vec![
                degree.to_string(),
                monomials.to_string(),
                order.to_string(),
                format!("{:.1e}", plan.operations.unwrap_or(f64::NAN)),
                format!("{scores:.3}"),
                format!("{promised:.3}"),
                format!("{found:.3}"),
                format!("{:.3}", plan.border),
            ]);
            all.push(json!({ "degree": degree, "monomials": monomials, "order": order, "operations": plan.operations,
                "scores_by_range": scores, "by_range": promised, "measured": found, "border": plan.border }));
        }
        let ends = |line: &Line| (line.points[0].y, line.points[line.points.len() - 1].y);
        let ((first, last), (first_found, last_found)) = (ends(&by_range), ends(&measured));
        section.findings.push(format!(
            "Degree {degree}: from order 2 to 5 B goes from {first:.2} to {last:.2} by the range, from {first_found:.2} to \
             {last_found:.2} as measured."
        ));
        lines.extend([by_range, measured]);
    }
    let mut border = Line::new(format!("(ln n)^(1/p), n = {}", grouped(tokens as f64)));
    ORDERS.for_each(|p| border.hollow(p as f64, (tokens as f64).ln().powf(1.0 / p as f64)));
    section.numbers.insert("same_monomials".into(), json!(all));
    let x = Axis { label: "order", scale: Scale::Whole };
    section.plots.push(Plot {
        title: "Largest bound on entries with the same monomials".into(),
        x: x.clone(),
        y: Axis { label: "B", scale: Scale::Linear },
        lines,
        borders: Vec::new(),
        hollow: "the theorem's border",
    });
    section.plots[0].lines.push(border);
    let (even, table, found) = break_even(&calibration)?;
    section.numbers.insert("break_even".into(), found);
    let rates = json!({ "exact": calibration.exact, "dense": calibration.dense });
    section.numbers.insert("operations_a_second".into(), rates);
    section.plots.push(Plot {
        title: "Largest bound on entries at which polynomials are predicted to be faster".into(),
        x,
        y: Axis { label: "B", scale: Scale::Linear },
        lines: even,
        borders: Vec::new(),
        hollow: "at least, degrees end",
    });
    section.tables = vec![fixed, table];
    Ok(section)
}

fn break_even(calibration: &Calibration) -> Result<(Vec<Line>, Table, serde_json::Value)> {
    let mut table = Table::new(
        format!("Largest B where polynomials are faster; > where it is degree {DEGREE} that ends it"),
        &["tokens", "order", "scores", "B", "degree", "exact operations"],
    );
    let (mut lines, mut all) = (Vec::new(), Vec::new());
    for tokens in [64, 256, 1024, 4096] {
        let mut line = Line::new(format!("{} tokens", grouped(tokens as f64)));
        for order in ORDERS {
            let pays = |range: f64| Ok(planned(order, tokens, range, calibration)?.choice == Method::Polynomial);
            let certified = |range: f64| Ok(planned(order, tokens, range, calibration)?.degree.is_some());
            let (scores, end) = (largest(MOST_HALF, pays)?, largest(MOST_HALF, certified)?);
            if scores == 0.0 {
                continue;
            }
            let plan = planned(order, tokens, scores, calibration)?;
            let bound = scores.powf(1.0 / order as f64);
            let capped = scores > 0.99 * end;
            let mark = if capped { "> " } else { "" };
            if capped {
                line.hollow(order as f64, bound)
            } else {
                line.measured(order as f64, bound)
            }
            table.rows.push(vec![
                grouped(tokens as f64),
                order.to_string(),
                format!("{mark}{scores:.2}"),
                format!("{mark}{bound:.2}"),
                plan.degree.map_or("-".into(), |degree| degree.to_string()),
                format!("{:.1e}", plan.exact_operations),
            ]);
            all.push(
                json!({ "tokens": tokens, "order": order, "scores": scores, "bound": bound, "degree": plan.degree,
                "capped": capped }),
            );
        }
        lines.push(line);
    }
    Ok((lines, table, json!(all)))
}
