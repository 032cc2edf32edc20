//! The least number of tokens at which polynomials are faster than the exact kernel.

use crate::problems::{Case, options};
use crate::report::{Section, Table, seconds};
use crate::svg::{Axis, Border, Line, Plot, Scale};
use crate::{DEGREE, Setup};
use polyad_attention::Result;
use polyad_attention::polynomial::{Calibration, Plan};
use serde_json::json;

/// So many sizes in a row must be faster, lest a busy moment counts.
const IN_A_ROW: usize = 3;

pub fn section(setup: &Setup) -> Result<Section> {
    let widths: &[usize] = if setup.quick { &[16] } else { &[16, 32, 64] };
    let mut section = Section {
        title: "From how many tokens on polynomials are faster",
        about: "Order 3, scores within ±1, as before; both ways timed at more and more tokens, and halved between the last \
                size that was slower and the first of three that were faster. Beside it what operations say: where the \
                counts alone cross, and where they do by the speeds that the calibration measures on this machine."
            .into(),
        ..Section::default()
    };
    let mut table = Table::new(
        "Least number of tokens",
        &["d", "degree", "monomials", "measured", "by counts", "by calibration", "both there", "exact there"],
    );
    let mut lines = Vec::new();
    let mut all = Vec::new();
    for d in widths {
        let mut line = Line::new(format!("d {d}"));
        let (mut slower, mut faster) = (None, Vec::new());
        for step in 0..40 {
            let n = (8.0 * 2f64.powf(step as f64 / 4.0)).round() as usize;
            let (polynomial, exact) = both(n, *d, setup)?;
            line.measured(n as f64, exact / polynomial);
            if polynomial < exact {
                faster.push(n);
            } else {
                (slower, faster) = (Some(n), Vec::new());
            }
            if faster.len() == IN_A_ROW {
                break;
            }
        }
        let (mut low, mut high) = (slower.unwrap_or(1), faster.first().copied().unwrap_or(usize::MAX));
        while high - low > 1 && high != usize::MAX {
            let middle = usize::midpoint(low, high);
            let (polynomial, exact) = both(middle, *d, setup)?;
            *(if polynomial < exact { &mut high } else { &mut low }) = middle;
        }
        let calibration = Calibration::measure(*d, setup.level)?;
        let counted = crossing(*d, setup, |plan| plan.operations.map(|x| (x, plan.exact_operations)))?;
        let options = polyad_attention::polynomial::Options { calibration, ..options(DEGREE) };
        let calibrated = least(|n| {
            let plan = Case::new(3, n, *d, 1.0).plan(&options, setup.level)?;
            Ok(plan.seconds.is_some_and(|x| x < plan.exact_seconds))
        })?;
        let there = Case::new(3, high, *d, 1.0).polynomial(DEGREE, setup.level)?.summary;
        let (polynomial, exact) = both(high, *d, setup)?;
        table.rows.push(vec![
            d.to_string(),
            there.degree.to_string(),
            there.kept.to_string(),
            high.to_string(),
            counted.to_string(),
            calibrated.to_string(),
            seconds(polynomial),
            seconds(exact),
        ]);
        all.push(json!({ "d": d, "measured": high, "counted": counted, "calibrated": calibrated,
            "rates": { "exact": calibration.exact, "dense": calibration.dense } }));
        section
            .findings
            .push(format!("d {d}: from {high} tokens on; by counts {counted}, by calibration {calibrated}."));
        lines.push(line);
    }
    section.numbers.insert("crossovers".into(), json!(all));
    section.tables.push(table);
    section.plots.push(Plot {
        title: "How many times as fast polynomials are".into(),
        x: Axis { label: "tokens", scale: Scale::Twos },
        y: Axis { label: "exact seconds / polynomial seconds", scale: Scale::Tens },
        lines,
        borders: vec![Border { label: "as fast".into(), vertical: false, at: 1.0 }],
        hollow: "",
    });
    Ok(section)
}

/// Best seconds of both ways.
fn both(n: usize, d: usize, setup: &Setup) -> Result<(f64, f64)> {
    let case = Case::new(3, n, d, 1.0);
    let most = setup.patience / 4.0;
    Ok((case.polynomial_seconds(DEGREE, setup.level, most)?, case.exact_seconds(setup.level, most)?))
}

/// The least number of tokens from which on the first of two numbers of a plan is below the second.
fn crossing(d: usize, setup: &Setup, of: impl Fn(&Plan) -> Option<(f64, f64)>) -> Result<usize> {
    least(|n| {
        let plan = Case::new(3, n, d, 1.0).plan(&options(DEGREE), setup.level)?;
        Ok(of(&plan).is_some_and(|(polynomial, exact)| polynomial < exact))
    })
}

/// The least number up to 4096 that is good, where those after it are.
fn least(good: impl Fn(usize) -> Result<bool>) -> Result<usize> {
    let (mut low, mut high) = (0, 4096);
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        *(if good(middle)? { &mut high } else { &mut low }) = middle;
    }
    Ok(high)
}
