//! Problems of uniform numbers, computed and timed in both ways.

use polyad_attention::polynomial::{Method, Options, Outputs, Plan, Summary, Tolerance, certified, plan};
use polyad_attention::{Inputs, Problem, Result, forward, forward_workspace, reference};
use polyad_simd::Level;
use std::time::Instant;

/// The error that is allowed, as a share of the greatest `|v1 ∘ v2|`.
pub const TOLERANCE: f64 = 1e-2;

pub struct Case {
    pub problem: Problem,
    pub q: Vec<f32>,
    pub keys: Vec<Vec<f32>>,
    pub values: Vec<Vec<f32>>,
}

/// All rows, each with its certificate and how it was computed.
pub struct Rows<'a> {
    case: &'a Case,
    options: Options,
    pub out: Vec<f32>,
    lse: Vec<f32>,
    pub certificate: Vec<f32>,
    lse_certificate: Vec<f32>,
    pub method: Vec<u8>,
    pub summary: Summary,
}

impl Rows<'_> {
    /// Once more; what they are written to is there already.
    fn run(&mut self, level: Level) -> Result<()> {
        let Rows { case, options, .. } = self;
        let mut to = Outputs {
            out: &mut self.out,
            lse: &mut self.lse,
            certificate: &mut self.certificate,
            lse_certificate: &mut self.lse_certificate,
            method: &mut self.method,
        };
        self.summary = case.with_inputs(|inputs| certified(&case.problem, inputs, options, &mut to, level))?;
        Ok(())
    }

    /// The best seconds of running again, as long as `most` allows; of one run at least.
    pub fn seconds(&mut self, most: f64, level: Level) -> Result<f64> {
        let start = Instant::now();
        self.run(level)?;
        let first = start.elapsed().as_secs_f64();
        if first > most { Ok(first) } else { best(most, || self.run(level)) }
    }
}

/// Rows by polynomials, all of them certified.
pub struct Found {
    pub out: Vec<f32>,
    /// The greatest of a row, as a share of the greatest `|v1 ∘ v2|`.
    pub certificate: f64,
    pub summary: Summary,
}

/// Uniform in ±`most`.
fn uniform(count: usize, most: f64, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| (next() * most) as f32).collect()
}

impl Case {
    /// Queries and keys uniform in ±`bound`, values in ±1, the scale 1/d: scores within ± `bound^order`.
    pub fn new(order: usize, tokens: usize, width: usize, bound: f64) -> Case {
        let numbers = |seed: u64, most: f64| uniform(tokens * width, most, seed);
        let axes = 0..order as u64 - 1;
        Case {
            problem: Problem::new(order, tokens, width, 1.0 / width as f32),
            q: numbers(1, bound),
            keys: axes.clone().map(|axis| numbers(2 + axis, bound)).collect(),
            values: axes.map(|axis| numbers(20 + axis, 1.0)).collect(),
        }
    }

    /// The same where queries see nothing later.
    pub fn causal(mut self) -> Case {
        self.problem.causal = true;
        self
    }

    /// The same for some of each head's queries only, spread evenly, and where those are among all rows.
    pub fn sample(&self, rows: usize) -> (Case, Vec<usize>) {
        let (d, n) = (self.problem.width, self.problem.queries);
        let heads = 0..self.problem.batch * self.problem.heads;
        let chosen: Vec<usize> = heads.flat_map(|head| (0..rows).map(move |i| head * n + i * n / rows)).collect();
        let q = chosen.iter().flat_map(|row| &self.q[row * d..(row + 1) * d]).copied().collect();
        let problem = Problem { queries: rows, ..self.problem.clone() };
        (Case { problem, q, keys: self.keys.clone(), values: self.values.clone() }, chosen)
    }

    pub fn with_inputs<R>(&self, work: impl FnOnce(&Inputs<f32>) -> R) -> R {
        let keys: Vec<&[f32]> = self.keys.iter().map(Vec::as_slice).collect();
        let values: Vec<&[f32]> = self.values.iter().map(Vec::as_slice).collect();
        work(&Inputs::new(&self.q, &keys, &values))
    }

    /// The greatest `|v1 ∘ v2|` that a tuple could have.
    pub fn greatest(&self) -> f64 {
        let d = self.problem.value_width;
        let most = |values: &[f32], l: usize| values.iter().skip(l).step_by(d).fold(0.0f32, |m, x| m.max(x.abs()));
        let column = |l: usize| self.values.iter().map(|values| f64::from(most(values, l))).product::<f64>();
        (0..d).map(column).fold(0.0, f64::max)
    }

    /// As the options say.
    pub fn certified(&self, options: &Options, level: Level) -> Result<Rows<'_>> {
        let problem = &self.problem;
        let of_each = vec![0.0; problem.rows()];
        let mut rows = Rows {
            case: self,
            options: *options,
            out: vec![0.0; problem.out_numbers()],
            lse: of_each.clone(),
            certificate: of_each.clone(),
            lse_certificate: of_each,
            method: vec![0; problem.rows()],
            summary: Summary::default(),
        };
        rows.run(level)?;
        Ok(rows)
    }

    /// By polynomials of at most this degree; an error unless every row is certified within the tolerance.
    pub fn polynomial(&self, degree: usize, level: Level) -> Result<Found> {
        let Rows { out, certificate, summary, .. } = self.certified(&options(degree), level)?;
        let certificate = certificate.iter().map(|x| f64::from(*x)).fold(0.0, f64::max) / self.greatest();
        assert!(summary.exact == 0 && certificate <= TOLERANCE * 1.0001, "{summary:?}, {certificate}");
        Ok(Found { out, certificate, summary })
    }

    /// What both ways are predicted to cost.
    pub fn plan(&self, options: &Options, level: Level) -> Result<Plan> {
        self.with_inputs(|inputs| plan(&self.problem, inputs, options, level))
    }

    /// By the exact kernel.
    pub fn exact(&self, level: Level) -> Result<Exact<'_>> {
        let problem = &self.problem;
        let out = vec![0.0; problem.out_numbers()];
        let lse = vec![0.0; problem.rows()];
        let mut exact = Exact { case: self, out, lse, workspace: vec![0.0; forward_workspace(problem)?] };
        exact.run(level)?;
        Ok(exact)
    }

    /// By the definition in double precision.
    pub fn definition(&self) -> Result<Vec<f64>> {
        let numbers = self.with_inputs(|inputs| reference::Numbers::new(&self.problem, inputs))?;
        Ok(reference::forward(&self.problem, &numbers).0)
    }

    /// The best seconds by polynomials.
    pub fn polynomial_seconds(&self, degree: usize, level: Level, most: f64) -> Result<f64> {
        let mut rows = self.certified(&options(degree), level)?;
        best(most, || rows.run(level))
    }

    /// The best seconds of the exact kernel.
    pub fn exact_seconds(&self, level: Level, most: f64) -> Result<f64> {
        let mut exact = self.exact(level)?;
        best(most, || exact.run(level))
    }
}

/// The exact kernel with what it needs.
pub struct Exact<'a> {
    case: &'a Case,
    pub out: Vec<f32>,
    lse: Vec<f32>,
    workspace: Vec<f32>,
}

impl Exact<'_> {
    fn run(&mut self, level: Level) -> Result<()> {
        let Exact { case, out, lse, workspace } = self;
        case.with_inputs(|inputs| forward(&case.problem, inputs, out, lse, workspace, level).map(drop))
    }
}

/// Every row by a polynomial of at most this degree, within the tolerance.
pub fn options(degree: usize) -> Options {
    Options {
        method: Method::Polynomial,
        tolerance: Tolerance::Relative(TOLERANCE),
        degree,
        exact_rows: 0.0,
        ..Options::default()
    }
}

/// The least seconds of a piece of work, repeated for about `most` seconds, from 5 times to 300; twice where it is long.
pub fn best(most: f64, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let (mut best, begin) = (f64::INFINITY, Instant::now());
    for run in 0..300 {
        let spent = begin.elapsed().as_secs_f64();
        if (run >= 5 && spent > most) || (run >= 2 && spent > 4.0 * most) {
            break;
        }
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// The largest number up to `most` that is good, where those below it are; 0 where none is.
pub fn largest(most: f64, good: impl Fn(f64) -> Result<bool>) -> Result<f64> {
    if good(most)? {
        return Ok(most);
    }
    let (mut low, mut high) = (0.0, most);
    for _ in 0..11 {
        let middle = f64::midpoint(low, high);
        *(if good(middle)? { &mut low } else { &mut high }) = middle;
    }
    Ok(low)
}
