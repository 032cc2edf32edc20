//! Speed and certificate on the operands of trained networks, as `polyad-shapes`' example `operands` writes them.

use crate::problems::{Case, Rows};
use crate::report::{Section, Table, seconds};
use crate::svg::{grouped, short};
use crate::{DEGREE, Setup};
use polyad_attention::Result;
use polyad_attention::polynomial::{Calibration, EXACT, Method, Options, POLYNOMIAL, Tolerance};
use serde_json::json;

/// Errors that are allowed, as shares of a head's greatest `|v1 ∘ v2|`.
const TOLERANCES: [f64; 2] = [1e-2, 1e-1];
/// Tuples whose scores are formed in double precision, for about ten seconds.
const TUPLES: usize = 1 << 25;

/// What was trained.
pub struct Network {
    /// The file's name.
    pub name: String,
    pub operands: Case,
}

/// Rows of every head by the definition.
struct Definition {
    /// Of each head.
    rows: usize,
    /// Among all rows.
    places: Vec<usize>,
    out: Vec<f64>,
    least_score: f64,
    greatest_score: f64,
}

impl Definition {
    fn new(case: &Case) -> Result<Definition> {
        let problem = &case.problem;
        let of_each = problem.batch * problem.heads * problem.keys.iter().product::<usize>();
        let rows = (TUPLES / of_each).clamp(1, problem.queries);
        let (part, places) = case.sample(rows);
        let ends = places.iter().map(|row| scores(case, *row));
        let ends = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |all, own| (all.0.min(own.0), all.1.max(own.1)));
        Ok(Definition { rows, places, out: part.definition()?, least_score: ends.0, greatest_score: ends.1 })
    }

    /// The greatest certificate over the greatest error of the rows that were computed in one way; nothing where none was.
    ///
    /// # Panics
    /// Where an error is above its certificate.
    fn surplus(&self, found: &Rows, method: u8) -> Option<f64> {
        let width = self.out.len() / self.places.len();
        let (mut certificate, mut error) = (0.0f64, 0.0f64);
        for (row, expected) in self.places.iter().zip(self.out.chunks_exact(width)) {
            if found.method[*row] != method {
                continue;
            }
            let bound = f64::from(found.certificate[*row]);
            let pairs = found.out[row * width..(row + 1) * width].iter().zip(expected);
            let own = pairs.map(|(found, expected)| (f64::from(*found) - expected).abs()).fold(0.0, f64::max);
            assert!(own <= bound, "row {row} is off by {own}, and certified to be within {bound}");
            (certificate, error) = (certificate.max(bound), error.max(own));
        }
        (error > 0.0).then(|| certificate / error)
    }
}

/// Digits enough to see how much slower one way is.
fn quotient(x: f64) -> String {
    if x < 1.0 { format!("{x:.4}") } else { format!("{x:.2}") }
}

/// The least and the greatest score of a row.
fn scores(case: &Case, row: usize) -> (f64, f64) {
    let problem = &case.problem;
    let (d, head) = (problem.width, row / problem.queries);
    let key_head = head / (problem.heads / problem.key_heads);
    let tokens = |axis: usize| {
        let numbers = problem.keys[axis] * d;
        case.keys[axis][key_head * numbers..(key_head + 1) * numbers].chunks_exact(d)
    };
    let times = |a: &[f64], b: &[f32]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * f64::from(*b)).collect() };
    let mut products = vec![times(&vec![f64::from(problem.scale); d], &case.q[row * d..(row + 1) * d])];
    let last = problem.keys.len() - 1;
    for axis in 0..last {
        products = products.iter().flat_map(|product| tokens(axis).map(|key| times(product, key))).collect();
    }
    let all = products.iter().flat_map(|product| tokens(last).map(|key| times(product, key).iter().sum::<f64>()));
    all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| (low.min(score), high.max(score)))
}

pub fn section(setup: &Setup) -> Result<Section> {
    let mut section = Section {
        title: "A trained network",
        about: format!(
            "Operands of networks that were trained, all heads. Certified: the share of rows that polynomials of degree up \
             to {DEGREE} certify within the tolerance, a share of the head's greatest |v1 ∘ v2|; the exact kernel does the \
             others. Scores, and certificate over error (the greatest of each; at least 1, or it would be none), are those \
             of rows that were computed in double precision too. Within: the bound on how far scores are from the middle of \
             their row's interval. Polynomials' seconds have those of the exact rows in them."
        ),
        ..Section::default()
    };
    let mut table = Table::new(
        "By network and tolerance",
        &[
            "file",
            "heads",
            "tokens",
            "d",
            "scores",
            "within",
            "tolerance",
            "certified",
            "degree",
            "monomials",
            "certificate / error",
            "of exact rows",
            "auto",
            "polynomials",
            "exact",
            "quotient",
        ],
    );
    let mut all = Vec::new();
    for network in &setup.networks {
        let Network { name, operands: case } = network;
        let problem = &case.problem;
        let definition = Definition::new(case)?;
        let calibration = Calibration::measure(problem.width, setup.level)?;
        let exact = case.exact_seconds(setup.level, setup.patience)?;
        for tolerance in TOLERANCES {
            let options = |method: Method| Options {
                degree: DEGREE,
                calibration,
                ..Options::new(method, Tolerance::Relative(tolerance))
            };
            let mut found = case.certified(&options(Method::Polynomial), setup.level)?;
            let time = found.seconds(setup.patience, setup.level)?;
            let plan = case.plan(&options(Method::Polynomial), setup.level)?;
            let auto = case.certified(&options(Method::Auto), setup.level)?.summary;
            let (summary, rows) = (found.summary, problem.rows());
            let share = summary.polynomial as f64 / rows as f64;
            let degree = (summary.polynomial > 0).then_some(summary.degree);
            let quotients = [POLYNOMIAL, EXACT].map(|method| definition.surplus(&found, method));
            let or_none = |x: Option<String>| x.unwrap_or_else(|| "-".into());
            table.rows.push(vec![
                name.clone(),
                format!("{} x {}", problem.batch, problem.heads),
                grouped(problem.queries as f64),
                problem.width.to_string(),
                format!("{:.2} to {:.2}", definition.least_score, definition.greatest_score),
                format!("{:.2}", plan.range),
                short(tolerance),
                format!("{:.1} %", share * 100.0),
                or_none(degree.map(|degree| degree.to_string())),
                or_none(degree.map(|_| grouped(summary.kept as f64))),
                or_none(quotients[0].map(|x| format!("{x:.1}"))),
                or_none(quotients[1].map(|x| format!("{x:.1}"))),
                plan.choice.name().into(),
                seconds(time),
                seconds(exact),
                quotient(exact / time),
            ]);
            section.findings.push(format!(
                "{name}, tolerance {}: scores from {:.2} to {:.2}; {:.1} % of {} rows are certified by polynomials, which \
                 are {} times as fast as the exact kernel. Auto takes {} ({}), and polynomials for {} rows.",
                short(tolerance),
                definition.least_score,
                definition.greatest_score,
                share * 100.0,
                grouped(rows as f64),
                quotient(exact / time),
                plan.choice.name(),
                plan.why,
                grouped(auto.polynomial as f64)
            ));
            all.push(json!({ "file": name, "batch": problem.batch, "heads": problem.heads, "tokens": problem.queries,
                "keys": problem.keys, "width": problem.width, "scale": problem.scale,
                "rows_in_double_precision": definition.places.len(), "of_each_head": definition.rows,
                "scores": [definition.least_score, definition.greatest_score], "within": plan.range,
                "tolerance": tolerance, "certified": share, "degree": degree, "kept": summary.kept,
                "certificate_over_error": quotients[0], "certificate_over_error_of_exact_rows": quotients[1],
                "auto": plan.choice.name(), "why": plan.why, "auto_rows_by_polynomials": auto.polynomial,
                "seconds": time, "exact_seconds": exact }));
        }
    }
    section.numbers.insert("networks".into(), json!(all));
    section.tables.push(table);
    Ok(section)
}
