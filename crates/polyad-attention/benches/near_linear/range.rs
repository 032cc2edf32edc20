//! Error, certificate, degree and time against the bound on scores: where almost linear ends.

use crate::problems::{Case, TOLERANCE, largest, options};
use crate::report::{Section, Table, seconds};
use crate::svg::{Axis, Border, Line, Plot, Scale, grouped, short};
use crate::{DEGREE, Setup};
use polyad_attention::Result;
use polyad_attention::polynomial::{MOST_MONOMIALS, Polynomial, rank};
use serde_json::{Value, json};

const BOUNDS: [f64; 18] = [0.05, 0.1, 0.2, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0];
/// No further end is looked for.
const FURTHEST: f64 = 10.0;
/// Rows that are compared: with the definition at the smallest size, with the exact kernel at others.
const ROWS: usize = 32;
const D: usize = 16;

/// One size: what its plots show, and how far it goes.
struct Size {
    name: String,
    errors: Line,
    certificates: Line,
    times: Line,
    /// The largest bounds on scores at which every row is certified, and at which that is faster than the exact kernel.
    certified: f64,
    faster: f64,
    /// How far a score of the widest row can be from the middle at the first of them.
    half: f64,
}

pub fn section(setup: &Setup) -> Result<Section> {
    let sizes: &[usize] = if setup.quick { &[256] } else { &[256, 1024, 4096] };
    let mut section = Section {
        title: "Where almost linear ends",
        about: format!(
            "Order 3, d {D}, entries uniform in ±B, scale 1/d: scores within ±B³. Errors are those of {ROWS} rows, at 256 \
             tokens against the definition in double precision, otherwise against the exact kernel in single. The last \
             point of a size is the largest bound at which every row is certified. The theorem's borders: ln n for scores, \
             (ln n)^(1/3) for entries. The exact kernel's seconds at 4,096 tokens follow from a part of the rows."
        ),
        ..Section::default()
    };
    let mut table = Table::new(
        "By bound on scores",
        &["tokens", "B³", "degree", "kept", "of", "error", "certificate", "polynomials", "exact"],
    );
    let mut ends = Table::new(
        "The end; beside it the range of its widest row, and what the highest degree certifies by that",
        &["tokens", "B³ certified", "B³ faster", "ln n", "B faster", "(ln n)^(1/3)", "range", "degree", "by range"],
    );
    let mut all = Vec::new();
    let mut done = Vec::new();
    let mut borders = vec![Border { label: "as fast as the exact kernel".into(), vertical: false, at: 1.0 }];
    for n in sizes {
        let size = measure(*n, setup, &mut table, &mut all)?;
        let (border, (degree, by_range)) = ((*n as f64).ln(), last_resort(size.half));
        ends.rows.push(vec![
            size.name.clone(),
            short(size.certified),
            short(size.faster),
            format!("{border:.2}"),
            format!("{:.2}", size.faster.cbrt()),
            format!("{:.2}", border.cbrt()),
            format!("{:.2}", size.half),
            degree.to_string(),
            format!("{by_range:.1e}"),
        ]);
        let why = if by_range < TOLERANCE { "the bound of single precision's rounding" } else { "the degree" };
        section.findings.push(format!(
            "{} tokens: certified for scores up to ±{}, faster up to ±{}; ln n is {border:.2}. What ends it is {why}: scores \
             of the widest row reach ±{:.2}, where degree {degree} has a range certificate of {by_range:.1e}.",
            size.name,
            short(size.certified),
            short(size.faster),
            size.half
        ));
        borders.push(Border { label: format!("ln {}", size.name), vertical: true, at: border });
        done.push(size);
    }
    section.numbers.insert("runs".into(), json!(all));
    section.tables = vec![ends, table];
    let x = Axis { label: "bound on scores, B³", scale: Scale::Linear };
    let lines = |of: fn(&Size) -> &Line| done.iter().map(of).cloned().collect::<Vec<_>>();
    section.plots = vec![
        Plot {
            title: "Error and certificate, as shares of the greatest |v1 ∘ v2|".into(),
            x: x.clone(),
            y: Axis { label: "error", scale: Scale::Tens },
            lines: [lines(|size| &size.errors), lines(|size| &size.certificates)].concat(),
            borders: vec![Border { label: "tolerance".into(), vertical: false, at: TOLERANCE }],
            hollow: "",
        },
        Plot {
            title: "Time against the bound on scores".into(),
            x,
            y: Axis { label: "polynomial seconds / exact seconds", scale: Scale::Tens },
            lines: lines(|size| &size.times),
            borders,
            hollow: "",
        },
    ];
    Ok(section)
}

fn measure(n: usize, setup: &Setup, table: &mut Table, all: &mut Vec<Value>) -> Result<Size> {
    let name = grouped(n as f64);
    let of = |bound: f64| Case::new(3, n, D, bound.cbrt());
    let certified = largest(FURTHEST, |bound| Ok(of(bound).polynomial(DEGREE, setup.level).is_ok()))?;
    let mut size = Size {
        errors: Line::new(format!("error, {name} tokens")),
        certificates: Line::new(format!("certificate, {name} tokens")),
        times: Line::new(format!("{name} tokens")),
        certified,
        faster: 0.0,
        half: of(certified).plan(&options(DEGREE), setup.level)?.range,
        name,
    };
    let exact = exact_seconds(n, setup)?;
    for bound in BOUNDS.into_iter().filter(|bound| *bound < certified).chain([certified]) {
        let case = of(bound);
        let found = case.polynomial(DEGREE, setup.level)?;
        let time = case.polynomial_seconds(DEGREE, setup.level, setup.patience)?;
        let error = error(&case, &found.out, setup)?;
        size.errors.measured(bound, error);
        size.certificates.measured(bound, found.certificate);
        size.times.measured(bound, time / exact);
        if time < exact {
            size.faster = bound;
        }
        let s = found.summary;
        table.rows.push(vec![
            size.name.clone(),
            short(bound),
            s.degree.to_string(),
            grouped(s.kept as f64),
            grouped(s.full as f64),
            format!("{error:.1e}"),
            format!("{:.1e}", found.certificate),
            seconds(time),
            seconds(exact),
        ]);
        all.push(json!({ "tokens": n, "bound": bound, "degree": s.degree, "kept": s.kept, "full": s.full,
            "error": error, "certificate": found.certificate, "seconds": time, "exact_seconds": exact }));
    }
    Ok(size)
}

/// The highest degree with few enough monomials, and the range certificate that it gives scores within ±`half`.
fn last_resort(half: f64) -> (usize, f64) {
    let few = |degree: &usize| rank(D, *degree).is_some_and(|rank| rank <= MOST_MONOMIALS);
    let degree = (1..=DEGREE).rev().find(few).unwrap_or(1);
    let epsilon = Polynomial::near_exp(degree, 0, half).epsilon;
    (degree, if epsilon < 1.0 { 2.0 * (0.5 * epsilon.atanh()).tanh() } else { f64::INFINITY })
}

/// Of all rows; from a part of them where there are many.
fn exact_seconds(n: usize, setup: &Setup) -> Result<f64> {
    let case = Case::new(3, n, D, 1.0);
    let rows = n.min((1 << 30) / (n * n));
    let (part, _) = case.sample(rows);
    Ok(part.exact_seconds(setup.level, setup.patience)? * n as f64 / rows as f64)
}

/// The greatest error of some rows, as a share of the greatest `|v1 ∘ v2|`.
fn error(case: &Case, out: &[f32], setup: &Setup) -> Result<f64> {
    let (part, rows) = case.sample(ROWS);
    let exact: Vec<f64> = match case.problem.queries <= 256 {
        true => part.definition()?,
        false => part.exact(setup.level)?.out.iter().map(|x| f64::from(*x)).collect(),
    };
    let found = rows.iter().flat_map(|row| &out[row * D..(row + 1) * D]);
    let error = found.zip(&exact).map(|(found, exact)| (f64::from(*found) - exact).abs()).fold(0.0, f64::max);
    Ok(error / case.greatest())
}
