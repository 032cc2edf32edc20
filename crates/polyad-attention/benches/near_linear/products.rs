//! How near the products over states come to the machine's peak.

use crate::Setup;
use crate::problems::{Case, options};
use crate::report::{Section, Table, seconds};
use polyad_attention::Result;
use polyad_simd::Level;
use polyad_simd::gemm::{GROUP, Product};
use polyad_simd::peak::multiply_add_rate;
use serde_json::json;
use std::time::Instant;

/// Tokens, width, bound on entries, degree: such that the degree is needed, and most of the time goes to its products.
const CASES: [(usize, usize, f64, usize); 4] =
    [(16_384, 16, 1.45, 4), (8_192, 32, 1.6, 3), (4_096, 64, 1.6, 3), (2_048, 128, 1.1, 2)];

/// Operations a second of all threads together, the best of several times.
fn peak(level: Level) -> f64 {
    let once = || rayon::broadcast(|_| multiply_add_rate(level)).into_iter().sum::<f64>();
    (0..20).map(|_| once()).fold(0.0, f64::max)
}

/// Monomials, tokens of one product over states, as the library takes them; tokens in all, so that values do not stay in the
/// first-level cache.
const SHAPE: (usize, usize, usize) = (64, 128, 4096);

/// Operations a second of all threads together, of products of features and values of so many columns.
fn products(columns: usize, level: Level) -> f64 {
    let (monomials, depth, tokens) = SHAPE;
    let once = |features: &[f32], values: &[f32], sums: &mut [f32]| {
        let start = Instant::now();
        for b in values.chunks_exact(depth * columns) {
            let product = Product {
                rows: monomials,
                depth,
                columns,
                a: features,
                a_row: depth,
                a_column: 1,
                b,
                b_row: columns,
                b_group: GROUP,
                c_row: columns,
                add: false,
            };
            product.run(level, sums);
        }
        (2 * monomials * tokens * columns) as f64 / start.elapsed().as_secs_f64()
    };
    let all = rayon::broadcast(|_| {
        let (features, values) = (vec![0.5; monomials * depth], vec![0.25; tokens * columns]);
        let mut sums = vec![0.0; monomials * columns];
        (0..50).map(|_| once(&features, &values, &mut sums)).fold(0.0, f64::max)
    });
    all.into_iter().sum()
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
    let mut alone = Table::new("The products alone", &["columns", "Gflop/s", "of peak"]);
    let mut shares = Vec::new();
    for columns in [16, 32, 64, 128] {
        // Neighbours take from both: the best of several of each, in turns.
        let (mut rate, mut most) = (0.0f64, 0.0f64);
        for _ in 0..5 {
            rate = rate.max(products(columns, setup.level));
            most = most.max(peak(setup.level));
        }
        shares.push(rate / most);
        alone.rows.push(vec![
            columns.to_string(),
            format!("{:.0}", rate / 1e9),
            format!("{:.0} %", rate / most * 100.0),
        ]);
    }
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(Section {
        title: "Products over states",
        about: "All that is done for a head, over the operations of its products alone: features, sums in double precision, \
                the low degree that is tried first and every row's certificate take their time too, so the products \
                themselves are nearer to the peak than this."
            .into(),
        findings: vec![
            format!("The products alone: at least {:.0} % of the peak; asked: 50 %.", least * 100.0),
            format!("All included: at best {:.0} %.", best * 100.0),
        ],
        tables: vec![alone, table],
        numbers: [("products".to_owned(), json!(found)), ("shares".to_owned(), json!(shares))].into_iter().collect(),
        ..Section::default()
    })
}
