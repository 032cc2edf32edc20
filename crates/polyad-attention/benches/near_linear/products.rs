//! How near the products over states come to the machine's peak.

use crate::Setup;
use crate::problems::{Case, options};
use crate::report::{Section, Table, seconds};
use polyad_attention::Result;
use polyad_simd::Level;
use polyad_simd::peak::multiply_add_rate;
use serde_json::json;

/// Tokens, width, bound on entries, degree: such that the degree is needed, and most of the time goes to its products.
const CASES: [(usize, usize, f64, usize); 4] =
    [(16_384, 16, 1.45, 4), (8_192, 32, 1.35, 3), (4_096, 64, 1.35, 3), (2_048, 128, 1.1, 2)];

/// Operations a second of all threads together, the best of several times.
fn peak(level: Level) -> f64 {
    let once = || rayon::broadcast(|_| multiply_add_rate(level)).into_iter().sum::<f64>();
    (0..20).map(|_| once()).fold(0.0, f64::max)
}

pub fn section(setup: &Setup) -> Result<Section> {
    let mut table = Table::new(
        "Operations over the multiply-add peak of the same run",
        &["tokens", "d", "entries within", "degree", "monomials", "seconds", "Gflop/s", "of peak"],
    );
    let cases = if setup.quick { &CASES[..1] } else { &CASES[..] };
    let (mut found, mut best) = (Vec::new(), 0.0f64);
    for (n, d, bound, highest) in cases {
        let case = Case::new(3, *n, *d, *bound);
        let summary = case.polynomial(*highest, setup.level)?.summary;
        let time = case.polynomial_seconds(*highest, setup.level, setup.patience)?;
        let operations = case.plan(&options(summary.degree), setup.level)?.operations.unwrap_or(0.0);
        let peak = peak(setup.level);
        let share = operations / time / peak;
        best = best.max(share);
        table.rows.push(vec![
            n.to_string(),
            d.to_string(),
            format!("±{bound}"),
            summary.degree.to_string(),
            summary.full.to_string(),
            seconds(time),
            format!("{:.0}", operations / time / 1e9),
            format!("{:.0} %", share * 100.0),
        ]);
        found.push(json!({ "n": n, "d": d, "degree": summary.degree, "seconds": time, "peak": peak, "share": share }));
    }
    Ok(Section {
        title: "Products over states",
        about: "All that is done for a head, over the operations of its products alone: features, sums in double precision, \
                the low degree that is tried first and every row's certificate take their time too, so the products \
                themselves are nearer to the peak than this."
            .into(),
        findings: vec![format!("At best {:.0} % of the peak, all included; asked: 50 % in the products.", best * 100.0)],
        tables: vec![table],
        numbers: [("products".to_owned(), json!(found))].into_iter().collect(),
        ..Section::default()
    })
}
