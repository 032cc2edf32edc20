//! `polyad attend` by polynomials, with certificates.

use super::Named;
use super::arrays::Case;
use crate::args::AttendArgs;
use crate::failure::{Failure, Result};
use polyad_attention as attention;
use polyad_attention::polynomial::{
    self, Method, Options, Outputs, Tolerance, Upstream, certified, certified_backward, sampled_error,
};
use polyad_attention::{Gradients, Inputs};
use polyad_simd::Level;
use serde::Serialize;

/// Rows of a sketch that are computed exactly too.
const SAMPLED: usize = 16;
/// Where the tolerance is left out.
const TOLERANCE: f64 = 1e-2;

/// What is said of it.
#[derive(Debug, Serialize)]
pub struct Certified {
    method: &'static str,
    /// None for a sketch.
    tolerance: Option<f64>,
    rows: Rows,
    /// Of the polynomials; null where all rows are exact.
    degree: Option<usize>,
    rank_kept: Option<usize>,
    rank_full: Option<usize>,
    /// The greatest of all rows; null where there is none.
    certificate: Option<f32>,
    /// Of a sketch: the greatest error of some rows that were computed exactly too. An estimate, no bound.
    sampled_error: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Rows {
    exact: usize,
    polynomial: usize,
    sketch: usize,
}

impl Certified {
    /// For people.
    pub fn words(&self) -> Vec<(&'static str, String)> {
        if let Some(error) = self.sampled_error {
            let estimate = format!("off by {error:.1e} in {SAMPLED} rows computed exactly too; an estimate, no bound");
            return vec![("rows", format!("{} sketched", self.rows.sketch)), ("error", estimate)];
        }
        let Rows { exact, polynomial, .. } = self.rows;
        let mut lines =
            vec![("rows", format!("{polynomial} by polynomials, {exact} exactly (asked: {})", self.method))];
        if let (Some(degree), Some(kept), Some(full)) = (self.degree, self.rank_kept, self.rank_full) {
            lines.push(("polynomials", format!("degree up to {degree}, {kept} of {full} monomials")));
        }
        let certificate = self.certificate.map_or("none".to_owned(), |bound| format!("off by at most {bound:.3e}"));
        let tolerance = self.tolerance.unwrap_or(TOLERANCE);
        lines.push(("certificate", format!("{certificate} (tolerance {tolerance} of the greatest value)")));
        lines
    }
}

/// All of it.
pub struct Computed {
    pub results: Vec<Named>,
    /// Shape and numbers of `method`.
    pub method: (Vec<usize>, Vec<u8>),
    pub said: Certified,
}

/// Refuses options that contradict the method.
pub fn check(args: &AttendArgs) -> Result<()> {
    let refuse = |why: &str| Err(Failure::usage(why.to_owned()));
    match (args.method, args.tolerance) {
        (Method::Exact, Some(_)) => {
            refuse("--tolerance is for --method polynomial and auto; exact is as exact as it can be")
        }
        (Method::Sketch, Some(_)) => refuse("--tolerance: a sketch is an estimate and keeps no tolerance"),
        (Method::Sketch, None) if args.backward => refuse("--backward: a sketch has no gradient"),
        (_, Some(t)) if !(t.is_finite() && t > 0.0) => refuse("--tolerance: a positive number is wanted"),
        (Method::Exact, None) => Ok(()),
        _ if args.weights.is_some() || args.marginals => {
            refuse("--weights and --marginals are of the exact method, which is the one that has weights")
        }
        _ => Ok(()),
    }
}

/// `out`, `lse`, their certificates and methods, and the gradients if they are asked for.
pub fn compute(case: &Case, level: Level, args: &AttendArgs) -> attention::Result<Computed> {
    case.with_inputs(|inputs| of_inputs(case, inputs, level, args))
}

fn of_inputs(case: &Case, inputs: &Inputs, level: Level, args: &AttendArgs) -> attention::Result<Computed> {
    let problem = &case.problem;
    inputs.check(problem)?;
    let tolerance = args.tolerance.unwrap_or(TOLERANCE);
    let sketch = args.method == Method::Sketch;
    let options = Options {
        features: args.features,
        seed: args.seed,
        ..Options::new(args.method, Tolerance::Relative(tolerance))
    };
    let (mut out, mut lse) = (vec![0.0; problem.out_numbers()], vec![0.0; problem.rows()]);
    let (mut certificate, mut lse_certificate) = (lse.clone(), lse.clone());
    let mut method = vec![0u8; problem.rows()];
    let mut to = Outputs {
        out: &mut out,
        lse: &mut lse,
        certificate: &mut certificate,
        lse_certificate: &mut lse_certificate,
        method: &mut method,
    };
    let summary = certified(problem, inputs, &options, &mut to, level)?;
    let by_polynomials = summary.polynomial > 0;
    let sampled_error =
        if sketch { Some(sampled_error(problem, inputs, &out, SAMPLED, args.seed, level)?) } else { None };
    let said = Certified {
        method: args.method.name(),
        tolerance: (!sketch).then_some(tolerance),
        rows: Rows { exact: summary.exact, polynomial: summary.polynomial, sketch: summary.sketch },
        sampled_error,
        degree: by_polynomials.then_some(summary.degree),
        rank_kept: by_polynomials.then_some(summary.kept),
        rank_full: by_polynomials.then_some(summary.full),
        certificate: certificate.iter().copied().reduce(f32::max).filter(|bound| bound.is_finite()),
    };
    let mut results = vec![
        ("out".to_owned(), case.rows(&[problem.value_width]), out),
        ("lse".to_owned(), case.rows(&[]), lse),
        ("certificate".to_owned(), case.rows(&[]), certificate),
        ("lse_certificate".to_owned(), case.rows(&[]), lse_certificate),
    ];
    if let (true, Some(dout)) = (args.backward, &case.dout) {
        results.extend(match polynomial::unsupported(problem, inputs) {
            // Only `auto` comes here, and all of its rows are exact.
            Some(_) => exact_gradients(case, inputs, level)?,
            None => gradients(case, inputs, &options, dout, level)?,
        });
    }
    Ok(Computed { results, method: (case.rows(&[]), method), said })
}

fn exact_gradients(case: &Case, inputs: &Inputs<f32>, level: Level) -> attention::Result<Vec<Named>> {
    let problem = &case.problem;
    let (mut out, mut lse) = (vec![0.0; problem.out_numbers()], vec![0.0; problem.rows()]);
    let mut workspace = vec![0.0; attention::forward_workspace(problem)?];
    attention::forward(problem, inputs, &mut out, &mut lse, &mut workspace, level)?;
    let dout = case.dout.clone().unwrap_or_default();
    super::gradients(case, inputs, (&out, &lse, &dout), level)
}

fn gradients(
    case: &Case,
    inputs: &Inputs<f32>,
    options: &Options,
    dout: &[f32],
    level: Level,
) -> attention::Result<Vec<Named>> {
    let problem = &case.problem;
    let zeros = |arrays: &[Vec<f32>]| arrays.iter().map(|x| vec![0.0; x.len()]).collect::<Vec<Vec<f32>>>();
    let (mut q, mut keys, mut values) = (vec![0.0; case.q.len()], zeros(&case.keys), zeros(&case.values));
    let mut to = Gradients {
        q: &mut q,
        keys: keys.iter_mut().map(Vec::as_mut_slice).collect(),
        values: values.iter_mut().map(Vec::as_mut_slice).collect(),
        biases: Vec::new(),
        sink: None,
    };
    certified_backward(problem, inputs, options, &Upstream { dout, dlse: case.dlse.as_deref() }, &mut to, level)?;
    let mut results = vec![("dq".to_owned(), case.rows(&[problem.width]), q)];
    for (axis, (keys, values)) in keys.into_iter().zip(values).enumerate() {
        results.push((format!("dk{}", axis + 1), case.tokens(axis, problem.width), keys));
        results.push((format!("dv{}", axis + 1), case.tokens(axis, problem.value_width), values));
    }
    Ok(results)
}
