//! Tensor attention in time that grows almost linearly with the tokens, each row with a bound of its error.
//!
//! Alman & Song (arXiv 2310.04064): e^s is nearly a polynomial where scores are bounded, a polynomial of a sum of products
//! is a sum over monomials of products of features, and features of different axes can be summed apart:
//!
//! ```text
//! Σ_{j1, j2} s^k v1 ∘ v2 = Σ_{|α| = k} (k! / α!) q^α [ (Σ_j k1_j^α v1_j) ∘ (Σ_j k2_j^α v2_j) ]
//! ```
//!
//! for every order, one more factor per key axis, and for every score form, each being p-linear in its channels. Time
//! `O(n r d_v)`, states `O(r d_v)`, with `r = C(channels + degree, degree)`.
//!
//! The sums for each k are had apart from the polynomial, so every row takes the polynomial that suits it best, for nothing:
//! its own interval, its own centre, and of the degree at hand the one with the least certificate ([`proof`]: why it
//! holds, rounding included). Rows that cannot be certified go to the exact kernel. Where channels are so many that no basis
//! is small enough, random features ([`Method::Sketch`]) estimate the same sums, and nothing is certified.

mod backward;
mod basis;
mod certificate;
mod decode;
mod dense;
mod estimate;
mod exact;
mod features;
mod gradient;
mod head;
mod minimax;
mod operands;
mod passes;
mod plan;
#[doc = include_str!("proof.md")]
pub mod proof {}
mod sketch;
mod stream;

use crate::error::{Result, check_length, problem as wrong};
use crate::problem::{Inputs, Problem};
use exact::Bounds;
use head::Head;
use passes::Row;
use plan::{Found, Lacking};
use polyad_simd::Level;

pub use basis::{MOST_MONOMIALS, rank};
pub use decode::{Decode, Decoded};
pub use estimate::sampled_error;
pub use gradient::{Upstream, certified_backward};
pub use minimax::{MOST_DEGREE, MOST_HALF, Polynomial};
pub use plan::{Calibration, Plan, Question, plan};
pub use sketch::{MOST_FEATURES, MOST_SKETCH_DEGREE};

/// How rows are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    /// By the exact kernel.
    #[default]
    Exact,
    /// By polynomials, certified.
    Polynomial,
    /// By whichever of the two is predicted to be faster, for all rows or some.
    Auto,
    /// By random features: an estimate, without a certificate; for widths at which polynomials have too many monomials.
    /// NaN where powers of a row's channels overflow.
    Sketch,
}

impl Method {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Exact => "exact",
            Method::Polynomial => "polynomial",
            Method::Sketch => "sketch",
            Method::Auto => "auto",
        }
    }
}

/// The error that is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// Of each number of out.
    Absolute(f64),
    /// The same, as a share of the greatest `|v1 ∘ v2|` over the visible tuples and channels of a head.
    Relative(f64),
}

/// What is asked of [`certified`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How.
    pub method: Method,
    /// The error that is allowed.
    pub tolerance: Tolerance,
    /// The highest degree; [`Method::Sketch`] goes no further than [`MOST_SKETCH_DEGREE`].
    pub degree: usize,
    /// The share of the tolerance that may go to monomials that are left out; 0 keeps all.
    pub dropped: f64,
    /// The share of rows that may go to the exact kernel where [`Method::Polynomial`] is asked for.
    pub exact_rows: f64,
    /// How fast each way is: what [`Method::Auto`] weighs them by.
    pub calibration: Calibration,
    /// Random features of each degree above 1, for [`Method::Sketch`]: errors fall as one over its square root.
    pub features: usize,
    /// What random features are drawn from.
    pub seed: u64,
}

impl Default for Options {
    /// Polynomials up to degree 8, one in a hundred, of which a twentieth for monomials left out, any number of exact rows; 1024
    /// random features of each degree.
    fn default() -> Self {
        Options {
            method: Method::Polynomial,
            tolerance: Tolerance::Relative(1e-2),
            degree: 8,
            dropped: 0.05,
            exact_rows: 1.0,
            calibration: Calibration::default(),
            features: 1024,
            seed: 0,
        }
    }
}

impl Options {
    /// What a method is asked for in general: the default but for a sketch, where random features of more than degree two add
    /// more noise than they take away error.
    pub fn new(method: Method, tolerance: Tolerance) -> Self {
        let default = Options { method, tolerance, ..Options::default() };
        if method == Method::Sketch { Options { degree: 2, ..default } } else { default }
    }

    /// Refuses what means nothing, saying what does.
    pub fn check(&self) -> Result<()> {
        let (Tolerance::Absolute(tolerance) | Tolerance::Relative(tolerance)) = self.tolerance;
        if !(tolerance.is_finite() && tolerance > 0.0) {
            return wrong(format!("the tolerance is {tolerance}; it must be positive"));
        }
        if !(1..=MOST_DEGREE).contains(&self.degree) {
            return wrong(format!("the highest degree is {}; it can be 1 to {MOST_DEGREE}", self.degree));
        }
        if !(0.0..1.0).contains(&self.dropped) {
            let share = self.dropped;
            return wrong(format!("the share of what is left out is {share}; it can be 0 up to, not including, 1"));
        }
        if !(1..=MOST_FEATURES).contains(&self.features) {
            return wrong(format!("{} random features; there can be 1 to {MOST_FEATURES}", self.features));
        }
        if self.exact_rows < 0.0 || self.exact_rows.is_nan() {
            return wrong(format!("the share of exact rows is {}", self.exact_rows));
        }
        Ok(())
    }
}

/// How a row was computed, as a number in files.
pub const EXACT: u8 = 0;
/// See [`EXACT`].
pub const POLYNOMIAL: u8 = 1;
/// See [`EXACT`].
pub const SKETCH: u8 = 2;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// Rows by the exact kernel.
    pub exact: usize,
    /// Rows by polynomials.
    pub polynomial: usize,
    /// Rows by random features.
    pub sketch: usize,
    /// The highest degree of a polynomial.
    pub degree: usize,
    /// Monomials of that degree's basis that were kept, and all of them; random features have none.
    pub kept: usize,
    /// See `kept`.
    pub full: usize,
}

/// Where results go. All of `[batch, heads, n]` but `out`, which is as the problem's layout says.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// As [`crate::forward`]'s.
    pub out: &'a mut [f32],
    /// The logarithm of the sum, of the polynomial's weights where it is by one.
    pub lse: &'a mut [f32],
    /// At least the error of every number of the row, compared with exact arithmetic on the same inputs; infinite where
    /// nothing is proved, NaN where it is by random features.
    pub certificate: &'a mut [f32],
    /// The same of `lse`.
    pub lse_certificate: &'a mut [f32],
    /// [`EXACT`], [`POLYNOMIAL`] or [`SKETCH`].
    pub method: &'a mut [u8],
}

/// What is known of a problem's polynomials after the low degree.
fn survey(problem: &Problem, inputs: &Inputs<f32>, options: &Options, level: Level) -> Result<Found> {
    inputs.check(problem)?;
    options.check()?;
    if let Some(what) = unsupported(problem, inputs) {
        return wrong(format!("the polynomial method does not do {what}; the exact one does"));
    }
    let channels = problem.form.channels(problem.order(), problem.width);
    let lacking = Lacking::Certificate(options.degree);
    let mut found = Found { degree: Some(0), lacking, rows: problem.rows(), exact: 0, kept: None, range: 0.0 };
    for key_head in 0..problem.batch * problem.key_heads {
        Head::new(problem, inputs, &channels, key_head, options, level).survey(&mut found);
    }
    found.degree = found.degree.filter(|degree| *degree > 0 && found.exact < found.rows);
    Ok(found)
}

/// Why a problem cannot be computed by polynomials; nothing where it can.
pub fn unsupported(problem: &Problem, inputs: &Inputs<f32>) -> Option<&'static str> {
    if problem.softcap.is_some() {
        Some("softcap, which is no polynomial")
    } else if problem.dropout.is_some() {
        Some("dropout, which is drawn for every tuple")
    } else if !inputs.biases.is_empty() {
        Some("biases, which do not factorise")
    } else if inputs.sink.is_some() {
        Some("a sink")
    } else if !problem.packed.is_empty() {
        Some("packed sequences, which are taken one at a time")
    } else {
        None
    }
}

/// `out` and `lse` of a problem within a tolerance, with a certificate for each row; with [`Method::Sketch`] an estimate
/// of both, whatever the tolerance, and [`sampled_error`] to say how good it is.
///
/// The same input gives the same bits on any number of threads. Memory of its own, beside the arrays: a copy of a head's
/// queries, keys and values with some tens of bytes a token, states of `order · rank · d_v` numbers, and some thousand rows
/// with their powers.
///
/// # Cost
/// `3 rank (n + Σ m) d_v` operations and as many again for the degree's choice; the exact kernel's for rows that need it.
/// Of random features of degree g `4 features (n + Σ m) (g² D / 2 + g d_v)` for D channels, for order 2 half of that.
///
/// # Errors
/// A problem that contradicts itself, a buffer of another length; with [`Method::Polynomial`], what polynomials cannot do
/// ([`unsupported`]) and more exact rows than are allowed; with [`Method::Sketch`] the former, causality and windows.
pub fn certified(
    problem: &Problem,
    inputs: &Inputs<f32>,
    options: &Options,
    to: &mut Outputs,
    level: Level,
) -> Result<Summary> {
    inputs.check(problem)?;
    problem.out_places().check_length("out", to.out.len())?;
    check_length("lse", to.lse.len(), problem.rows())?;
    check_length("certificate", to.certificate.len(), problem.rows())?;
    check_length("lse_certificate", to.lse_certificate.len(), problem.rows())?;
    check_length("method", to.method.len(), problem.rows())?;
    options.check()?;
    let why_not = unsupported(problem, inputs);
    if let (Method::Polynomial, Some(what)) = (options.method, why_not) {
        return wrong(format!("the polynomial method does not do {what}; the exact one does"));
    }
    if let (Method::Sketch, Some(what)) = (options.method, why_not.or(sketch::unsupported(problem))) {
        return wrong(format!("random features do not do {what}; the exact method does"));
    }
    let packed = !problem.packed.is_empty();
    if packed {
        return wrong("certificates of packed sequences are had one sequence at a time, each a problem of its own");
    }
    let by_polynomials = options.method != Method::Exact && why_not.is_none();
    let channels = problem.form.channels(problem.order(), problem.width);
    let mut summary = Summary::default();
    let blind = match options.method {
        Method::Sketch => SKETCH,
        _ if by_polynomials => POLYNOMIAL,
        _ => EXACT,
    };
    let mut writer = Writer { problem, to, blind, exact: Vec::new(), polynomial: 0, sketch: 0 };
    for key_head in 0..problem.batch * problem.key_heads {
        let head = || Head::new(problem, inputs, &channels, key_head, options, level);
        let take = |row: usize, done: Row| writer.write(row, done);
        match options.method {
            Method::Sketch => sketch::rows(problem, inputs, &channels, key_head, options, level, take),
            _ if by_polynomials => head().rows(&mut summary, take),
            _ => head().all_exact(take),
        }
    }
    let Writer { to, mut exact, polynomial, sketch, .. } = writer;
    summary = Summary { exact: exact.len(), polynomial, sketch, ..summary };
    if sketch > 0 {
        summary.degree = sketch::degree(options);
    }
    let allowed = options.exact_rows * problem.rows() as f64;
    if options.method == Method::Polynomial && exact.len() as f64 > allowed {
        return wrong(format!(
            "{} of {} rows cannot be certified by a polynomial of degree {} within the tolerance, and {} may go to the \
             exact kernel",
            exact.len(),
            problem.rows(),
            options.degree,
            allowed as usize
        ));
    }
    if !exact.is_empty() {
        exact.sort_unstable_by_key(|(row, _)| *row);
        let rows: Vec<usize> = exact.iter().map(|(row, _)| *row).collect();
        let mut out = problem.out_places().cut(to.out);
        let mut workspace = vec![0.0; exact::workspace(problem)];
        exact::rows(problem, inputs, &rows, &mut out, to.lse, &mut workspace, level);
        for (row, bounds) in exact {
            // What overflowed has no error that could be bounded.
            let finite = out[row].iter().all(|x| x.is_finite());
            let of = |bound: f64| if finite { round_up(bound) } else { f32::INFINITY };
            (to.certificate[row], to.method[row]) = (of(bounds.out), EXACT);
            to.lse_certificate[row] = of(bounds.lse + f64::from(to.lse[row].abs()) * f64::from(f32::EPSILON));
        }
    }
    Ok(summary)
}

/// Puts rows where they belong as they come, in any order, and keeps which are for the exact kernel.
struct Writer<'a, 'b> {
    problem: &'a Problem,
    to: &'a mut Outputs<'b>,
    /// The method of rows that see nothing.
    blind: u8,
    exact: Vec<(usize, Bounds)>,
    /// Rows of each.
    polynomial: usize,
    sketch: usize,
}

impl Writer<'_, '_> {
    fn write(&mut self, row: usize, done: Row) {
        match done {
            Row::Blind => self.put(row, None, f64::NEG_INFINITY, (0.0, 0.0), self.blind),
            Row::Certified(done) => {
                let certificates = (round_up(done.certificate), round_up(done.lse_certificate));
                self.put(row, Some(&done.out), done.lse, certificates, POLYNOMIAL);
                self.polynomial += 1;
            }
            Row::Sketched(done) => {
                self.put(row, Some(&done.out), done.lse, (f32::NAN, f32::NAN), SKETCH);
                self.sketch += 1;
            }
            Row::Exact(bounds) => self.exact.push((row, bounds)),
        }
    }

    /// `out`: zeros where there is nothing.
    fn put(&mut self, row: usize, out: Option<&[f64]>, lse: f64, certificates: (f32, f32), method: u8) {
        let places = self.problem.out_places();
        let own = &mut self.to.out[places.start(row)..][..places.width];
        match out {
            Some(out) => own.iter_mut().zip(out).for_each(|(to, x)| *to = *x as f32),
            None => own.fill(0.0),
        }
        self.to.lse[row] = lse as f32;
        (self.to.certificate[row], self.to.lse_certificate[row]) = certificates;
        self.to.method[row] = method;
    }
}

/// The least number of single precision that is not below `x`.
fn round_up(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) >= x || x.is_nan() { near } else { near.next_up() }
}
