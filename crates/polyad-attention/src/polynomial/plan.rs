//! What each way of computing a problem costs, counted and predicted, and which one to take.

use crate::error::{Result, problem as wrong};
use crate::form::ScoreForm;
use crate::polynomial::basis::{MOST_MONOMIALS, rank};
use crate::polynomial::certificate::{by_range, squares_degree};
use crate::polynomial::minimax::{MOST_DEGREE, MOST_HALF};
use crate::polynomial::{Method, Options, Outputs, certified};
use crate::problem::{Inputs, Problem};
use polyad_simd::Level;
use std::time::Instant;

/// How fast a machine is at each way, in the operations counted here. Measured once and kept by the caller; only the
/// quotients matter for a choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Operations a second of the exact kernel.
    pub exact: f64,
    /// Of polynomials where all queries see the same keys.
    pub dense: f64,
    /// Of polynomials under causality or windows.
    pub moving: f64,
}

impl Default for Calibration {
    /// What two cores with AVX-512 were measured at; good for a choice on any machine, not for seconds.
    fn default() -> Self {
        Calibration { exact: 2.0e11, dense: 7.0e10, moving: 3.0e10 }
    }
}

impl Calibration {
    /// Measures this machine, in about a tenth of a second, at this width of heads.
    pub fn measure(width: usize, level: Level) -> Result<Calibration> {
        let default = Calibration::default();
        let rate = |tokens: usize, causal: bool, method: Method, degree: usize| -> Result<f64> {
            let problem = Problem { causal, ..Problem::new(3, tokens, width, 1.0) };
            let array = |step: usize| -> Vec<f32> {
                (0..tokens * width).map(|i| ((i * step) % 101) as f32 / 5050.0 - 0.01).collect()
            };
            let arrays: Vec<Vec<f32>> = [7, 11, 13, 17, 19].map(array).into();
            let keys = [&arrays[1][..], &arrays[2][..]];
            let values = [&arrays[3][..], &arrays[4][..]];
            let inputs = Inputs::new(&arrays[0], &keys, &values);
            let options = Options { method, degree, calibration: default, ..Options::default() };
            let (mut out, mut lse) = (vec![0.0; tokens * width], vec![0.0; tokens]);
            let (mut certificate, mut lse_certificate) = (lse.clone(), lse.clone());
            let mut by = vec![0; tokens];
            let mut best = f64::INFINITY;
            for _ in 0..3 {
                let mut to = Outputs {
                    out: &mut out,
                    lse: &mut lse,
                    certificate: &mut certificate,
                    lse_certificate: &mut lse_certificate,
                    method: &mut by,
                };
                let start = Instant::now();
                certified(&problem, &inputs, &options, &mut to, level)?;
                best = best.min(start.elapsed().as_secs_f64());
            }
            let operations = match method {
                Method::Exact => exact_row(&problem) * tokens as f64,
                _ => polynomial(&problem, tokens, degree).unwrap_or(0.0),
            };
            Ok(operations / best)
        };
        let tokens = if width > 64 { 96 } else { 160 };
        let degree = 2;
        Ok(Calibration {
            exact: rate(tokens, false, Method::Exact, degree)?,
            dense: rate(1024, false, Method::Polynomial, degree)?,
            moving: rate(512, true, Method::Polynomial, degree)?,
        })
    }

    /// Operations a second of polynomials for a problem.
    pub fn polynomial(&self, problem: &Problem) -> f64 {
        if moves(problem) { self.moving } else { self.dense }
    }
}

/// Whether queries see different keys.
pub(crate) fn moves(problem: &Problem) -> bool {
    problem.causal || problem.windows.iter().any(Option::is_some)
}

/// Operations of a row of the exact kernel, in the mean: two for each channel and value feature of a visible tuple, twenty
/// for its exponential.
pub(crate) fn exact_row(problem: &Problem) -> f64 {
    let channels = problem.form.channels(problem.order(), problem.width).count();
    let seen = |i: usize| -> f64 {
        let axes = 0..problem.keys.len();
        axes.map(|axis| problem.visible(axis, i)).map(|(low, high)| (high - low) as f64).product()
    };
    let tuples = match moves(problem) {
        true => (0..problem.queries).map(seen).sum::<f64>() / problem.queries.max(1) as f64,
        false => problem.keys.iter().map(|m| *m as f64).product(),
    };
    tuples * (2.0 * (channels + problem.value_width) as f64 + 20.0)
}

/// Operations of a head of so many rows by polynomials of a degree, with nothing left out of the basis: two for each
/// monomial, token and column; where states move twice that on each axis, and one for each axis and query besides. Nothing
/// where there are too many monomials.
pub(crate) fn polynomial(problem: &Problem, rows: usize, degree: usize) -> Option<f64> {
    let channels = problem.form.channels(problem.order(), problem.width).count();
    let few = |degree| rank(channels, degree).filter(|rank| *rank <= MOST_MONOMIALS);
    // Squared values are columns of the monomials of low degree.
    let columns = few(degree)? as f64 * (problem.value_width + 1) as f64
        + few(squares_degree(degree))? as f64 * problem.value_width as f64;
    let axes = problem.keys.len() as f64;
    let tokens: f64 = problem.keys.iter().map(|m| *m as f64).sum();
    let queries = if moves(problem) { problem.queries.max(rows) } else { rows } as f64;
    let of_queries = if moves(problem) { 2.0 + axes } else { 2.0 };
    Some(columns * (2.0 * tokens + of_queries * queries))
}

/// What is to be planned, where there are no arrays yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// Tokens of every axis.
    pub tokens: usize,
    /// Features of queries, keys and values.
    pub width: usize,
    /// Key axes and one.
    pub order: usize,
    /// How scores are made.
    pub form: ScoreForm,
    /// The greatest absolute score.
    pub range: f64,
    /// The error that is allowed, as a share of the greatest `|v1 ∘ v2|`.
    pub tolerance: f64,
}

/// What each way costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The greatest distance of a score from the middle of its row's interval.
    pub range: f64,
    /// The degree that certifies the tolerance; none where no degree does.
    pub degree: Option<usize>,
    /// Monomials of that degree, and those that would be kept.
    pub rank_full: Option<usize>,
    /// See `rank_full`.
    pub rank_kept: Option<usize>,
    /// Operations of polynomials, for all heads.
    pub operations: Option<f64>,
    /// Of the exact kernel.
    pub exact_operations: f64,
    /// Predicted seconds of the exact kernel.
    pub exact_seconds: f64,
    /// Of polynomials.
    pub seconds: Option<f64>,
    /// The cheaper of the two.
    pub choice: Method,
    /// The reason, a sentence.
    pub why: String,
    /// The theorem's border for the absolute value of entries where the scale is 1 / d: `(ln n)^(1 / k)`, k being the degree
    /// of the form (Alman & Song, arXiv 2310.04064; 2602.02422 for other forms).
    pub border: f64,
    /// The same for scores, `ln n`.
    pub border_score: f64,
}

/// The degree of a score in its operands together.
fn form_degree(form: ScoreForm, order: usize) -> usize {
    match form {
        ScoreForm::Linear | ScoreForm::Determinant => order,
        ScoreForm::Strassen | ScoreForm::Tree => 2,
    }
}

impl Question {
    /// The problem that is asked about.
    fn problem(&self) -> Result<Problem> {
        let problem = Problem { form: self.form, ..Problem::new(self.order, self.tokens, self.width, 1.0) };
        problem.check()?;
        if self.tokens == 0 {
            return wrong("there are no tokens");
        }
        for (name, x) in [("range", self.range), ("tolerance", self.tolerance)] {
            if !(x.is_finite() && x > 0.0) {
                return wrong(format!("the {name} is {x}; it must be positive"));
            }
        }
        Ok(problem)
    }

    /// What each way would cost, on the machine of the calibration. The degree is the least whose certificate by the range
    /// alone is within the tolerance, whatever the arrays hold; arrays may do with less.
    pub fn plan(&self, calibration: &Calibration) -> Result<Plan> {
        let problem = self.problem()?;
        let enough = |degree: &usize| self.range <= MOST_HALF && by_range(*degree, self.range) <= self.tolerance;
        let degree = (1..=MOST_DEGREE).find(enough);
        let lacking = Lacking::Certificate(MOST_DEGREE);
        let found = Found { degree, lacking, rows: problem.rows(), exact: 0, kept: None, range: self.range };
        Ok(Plan::new(&problem, calibration, &found))
    }
}

/// Why a head has no row that polynomials do; of several the last is the one to tell, since it says the most for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lacking {
    /// None up to this degree certifies the tolerance.
    Certificate(usize),
    /// Those of this degree are too many.
    Monomials(usize),
    /// Those of this degree are predicted to take longer than the exact kernel, with the rows that they leave to it.
    Gain(usize),
}

/// What is known of a problem's polynomials.
pub(crate) struct Found {
    pub degree: Option<usize>,
    /// Where there is no degree: why.
    pub lacking: Lacking,
    /// Rows of all heads.
    pub rows: usize,
    /// Rows that polynomials cannot do.
    pub exact: usize,
    pub kept: Option<usize>,
    pub range: f64,
}

impl Plan {
    pub(crate) fn new(problem: &Problem, calibration: &Calibration, found: &Found) -> Plan {
        let channels = problem.form.channels(problem.order(), problem.width).count();
        let heads = (problem.batch * problem.heads) as f64;
        let exact_operations = exact_row(problem) * problem.rows() as f64;
        let exact_seconds = exact_operations / calibration.exact;
        let rank_full = found.degree.and_then(|degree| rank(channels, degree));
        let of_head = found.degree.and_then(|degree| polynomial(problem, problem.queries, degree));
        let kept = match (found.kept, rank_full) {
            (Some(kept), Some(full)) => kept as f64 / full.max(1) as f64,
            _ => 1.0,
        };
        let operations = of_head.map(|of_head| of_head * heads * kept);
        let left = found.exact as f64 * exact_row(problem) / calibration.exact;
        let seconds = operations.map(|operations| operations / calibration.polynomial(problem) + left);
        let (choice, why) = match (found.degree, seconds) {
            (None, _) => (
                Method::Exact,
                match found.lacking {
                    Lacking::Certificate(degree) => {
                        format!("no polynomial of degree up to {degree} certifies scores within ±{:.3}", found.range)
                    }
                    Lacking::Monomials(degree) => {
                        format!("degree {degree} has more than {MOST_MONOMIALS} monomials in {channels} channels")
                    }
                    Lacking::Gain(degree) => {
                        format!("degree {degree} is predicted to take longer already, whatever it certifies")
                    }
                },
            ),
            (Some(degree), None) => (
                Method::Exact,
                format!(
                    "degree {degree} would do, but has more than {MOST_MONOMIALS} monomials in {channels} channels"
                ),
            ),
            (Some(degree), Some(seconds)) if seconds < exact_seconds => (
                Method::Polynomial,
                format!(
                    "degree {degree} certifies it, and is predicted to be {:.1} times as fast",
                    exact_seconds / seconds
                ),
            ),
            (Some(degree), Some(seconds)) => (
                Method::Exact,
                format!(
                    "degree {degree} would certify it, but is predicted to take {:.1} times as long",
                    seconds / exact_seconds
                ),
            ),
        };
        let border_score = (problem.keys.iter().copied().max().unwrap_or(1) as f64).ln();
        Plan {
            range: found.range,
            degree: found.degree,
            rank_full,
            rank_kept: found.kept.or(rank_full),
            operations,
            exact_operations,
            exact_seconds,
            seconds,
            choice,
            why,
            border: border_score.powf(1.0 / form_degree(problem.form, problem.order()) as f64),
            border_score,
        }
    }
}

/// What each way would cost for arrays that are there: their rows are certified at a low degree, from which the degree
/// follows that [`certified`] would choose. Nothing else is computed.
///
/// # Errors
/// As [`certified`]'s; what polynomials cannot do.
pub fn plan(problem: &Problem, inputs: &Inputs<f32>, options: &Options, level: Level) -> Result<Plan> {
    let found = super::survey(problem, inputs, options, level)?;
    Ok(Plan::new(problem, &options.calibration, &found))
}
