//! From the powers of a row's scores, weighted by values, to its output and a bound of its error.
//!
//! Of a row with visible tuples t, scores `s_t = c + x_t`, `|x_t| <= h`, values `v_t` (one column), and the mean over
//! tuples written as E, the states give
//!
//! ```text
//! T_k = E[x^k],   N_k = E[x^k v],   Q_k = E[x^k v²]       each within an error that is known
//! ```
//!
//! For a polynomial `p = e^x (1 + δ)`, `|δ| <= ε < 1`: `Z = E[p]`, `out~ = E[p v] / Z`. Write `P~ = p / Σ p`,
//! `r = e^x / p = 1 / (1 + δ)`; then `out = E~[r v] / E~[r]`, so
//!
//! ```text
//! out − out~ = Cov~(r, v) / E~[r]                                                    (1)
//! ```
//!
//! **Range.** `ρ = (1 + ε) / (1 − ε)` bounds the quotient of any two r. For v between a and b (1) is greatest where r takes
//! only its two extremes, on the tuples of v = b and v = a; maximised over their share it is
//! `(b − a) (√ρ − 1) / (√ρ + 1) = (b − a) tanh(½ artanh ε)`.
//!
//! **Deviation.** By Cauchy and Schwarz (1) is at most `σ~(v) σ~(r) / E~[r]`, and by Kantorovich's inequality
//! `σ(r) / E[r] <= (ρ − 1) / (2 √ρ) = ε / √(1 − ε²)`.
//!
//! **Moment.** `σ~(r)² <= E~[(r − 1)²] = E[(e^x − p)² / p] / Z <= K² E[x^2j] / Z` for p that agree with the series in j
//! coefficients, and `E~[r] >= 1 / (1 + ε)`: (1) is at most `(1 + ε) K √(T_2j / Z) σ~(v)`. It uses where scores are, and not
//! how far they could be.
//!
//! **σ~(v).** `σ~² <= E~[(v − y)²]` for any y, and `p <= (1 + ε) e^x <= (1 + ε) u(x)` for a polynomial u of degree at most
//! two, so it is at most `(1 + ε) E[u (v − y)²] / Z`, which needs Q of degree two only. `u = 1 + x + β x²` with
//! `β = (e^h − 1 − h) / h²` is above e^x because `(e^x − 1 − x) / x²` rises with x. It is never above `(b − a)² / 4`.
//!
//! **Rounding** and what was left out of the basis: every T_k is off by at most `e_k`, every N_k by `e_k √E[v²]`
//! (`E|v| <= √E[v²]`), every Q_k by `e_k E[v²]`. With `ρ = Σ |p_k| e_k` the quotient is off by at most
//! `(ρ √E[v²] + |out~| ρ) / (Z − ρ)`, and Z is at least what was computed less ρ.

use crate::polynomial::minimax::{MOST_DEGREE, Polynomial};
use crate::polynomial::operands::{Interval, KeyHead, Reach, UNIT};
use std::sync::Arc;

/// The highest degree of the states of squared values.
pub const MOST_SQUARES: usize = 2;

/// Degree of the states of squared values beside those of this degree.
pub fn squares_degree(degree: usize) -> usize {
    MOST_SQUARES.min(degree.saturating_sub(1))
}

/// `E[s^k ..]` of one row, over powers of the scores as they are, not around a centre.
#[derive(Debug)]
pub struct Powers<'a> {
    /// `T_k`
    pub ones: &'a [f64],
    /// `[degree + 1][columns]`: `N_k`
    pub values: Vec<&'a [f64]>,
    /// `[squares_degree + 1][columns]`: `Q_k`
    pub squares: Vec<&'a [f64]>,
    /// `e_k`
    pub errors: &'a [f64],
}

/// What is known of a row beside its powers.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub reach: Reach,
    /// Of each column's product of values.
    pub values: &'a [Interval],
    /// At least `E[v²]` of each column.
    pub squares: &'a [f64],
    /// Exponents of what columns are multiplied by in the end.
    pub value_powers: &'a [i32],
    /// Columns that are no padding.
    pub width: usize,
    /// The logarithm of the number of visible tuples.
    pub ln_tuples: f64,
}

impl<'a> Known<'a> {
    /// Of a row that sees all tuples of a key head.
    pub fn of(key: &'a KeyHead, reach: Reach, width: usize) -> Self {
        Known {
            reach,
            values: &key.values,
            squares: &key.squares,
            value_powers: &key.value_powers,
            width,
            ln_tuples: key.axes.iter().map(|axis| (axis.seen() as f64).ln()).sum(),
        }
    }
}

/// A row done.
#[derive(Debug, Clone, PartialEq)]
pub struct Certified {
    pub out: Vec<f64>,
    pub lse: f64,
    /// Bounds the error of every column of `out` once it is rounded to single precision.
    pub certificate: f64,
    /// The same of `lse`.
    pub lse_certificate: f64,
    /// Of the polynomial in powers of the scores less the centre.
    pub polynomial: Arc<Polynomial>,
    /// `Z`, for gradients.
    pub mean: f64,
}

/// Powers of a row around its centre.
struct Centred {
    ones: Vec<f64>,
    values: Vec<Vec<f64>>,
    squares: Vec<Vec<f64>>,
    errors: Vec<f64>,
}

fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
}

impl Centred {
    fn new(powers: &Powers, reach: Reach) -> Centred {
        let c = reach.centre;
        let factor = |k: usize, i: usize| binomial(k, i) * (-c).powi((k - i) as i32);
        let sum = |k: usize, of: &dyn Fn(usize) -> f64| (0..=k).map(|i| factor(k, i) * of(i)).sum::<f64>();
        let rows = |rows: &[&[f64]]| -> Vec<Vec<f64>> {
            (0..rows.len()).map(|k| (0..rows[0].len()).map(|l| sum(k, &|i| rows[i][l])).collect()).collect()
        };
        // Terms of double precision, a few roundings each.
        let rounding = |k: usize| 32.0 * f64::EPSILON * (reach.most + c.abs()).powi(k as i32);
        let error = |k: usize| (0..=k).map(|i| factor(k, i).abs() * powers.errors[i]).sum::<f64>() + rounding(k);
        let degrees = 0..powers.ones.len();
        if c == 0.0 {
            let owned = |rows: &[&[f64]]| rows.iter().map(|row| row.to_vec()).collect();
            return Centred {
                ones: powers.ones.to_vec(),
                values: owned(&powers.values),
                squares: owned(&powers.squares),
                errors: degrees.map(error).collect(),
            };
        }
        Centred {
            ones: degrees.clone().map(|k| sum(k, &|i| powers.ones[i])).collect(),
            values: rows(&powers.values),
            squares: rows(&powers.squares),
            errors: degrees.map(error).collect(),
        }
    }

    /// `Σ_k coefficients_k of_k`, and the same over absolute coefficients and errors.
    fn ones(&self, coefficients: &[f64]) -> (f64, f64) {
        let sum = coefficients.iter().zip(&self.ones).map(|(c, x)| c * x).sum();
        (sum, coefficients.iter().zip(&self.errors).map(|(c, e)| c.abs() * e).sum())
    }
}

/// A polynomial above e^x for `x <= half`, of degree at most `degree`, which is at most two.
fn above_exp(degree: usize, half: f64) -> Vec<f64> {
    // Nothing is above by less than rounding.
    let up = 1.0 + 1e-12;
    match degree {
        0 => vec![half.exp() * up],
        1 => vec![half.cosh() * up, half.sinh() / half],
        _ => {
            // (e^h − 1 − h) / h², by its series where the difference would cancel.
            let beta =
                if half > 0.1 { (half.exp_m1() - half) / (half * half) } else { 0.5 + half / 6.0 + half * half / 23.0 };
            vec![up, 1.0, beta * up]
        }
    }
}

/// The row by the polynomial that certifies it best, of the degree of its powers; nothing where none certifies anything.
pub fn finish(powers: &Powers, known: &Known) -> Option<Certified> {
    let degree = powers.ones.len() - 1;
    let centred = Centred::new(powers, known.reach);
    let candidates =
        (0..=degree / 2).map(|taylor| Polynomial::near_exp(degree.min(MOST_DEGREE), taylor, known.reach.half));
    let mut best: Option<Certified> = None;
    for polynomial in candidates {
        if let Some(found) = certify(&centred, known, polynomial)
            && best.as_ref().is_none_or(|best| found.certificate < best.certificate)
        {
            best = Some(found);
        }
    }
    best
}

fn certify(powers: &Centred, known: &Known, polynomial: Arc<Polynomial>) -> Option<Certified> {
    let (epsilon, p) = (polynomial.epsilon, &polynomial.coefficients);
    let (mean, rho) = powers.ones(p);
    let least = mean - rho;
    if !(epsilon < 1.0 && least > 0.0) {
        return None;
    }
    // What the quotient of deviations of r is at most, by the least of the two ways.
    let spread = relative_deviation(powers, &polynomial, least);
    let u = above_exp(powers.squares.len().saturating_sub(1), polynomial.half);
    let (u_mean, u_rho) = powers.ones(&u);
    let (mut out, mut certificate) = (vec![0.0; known.width], 0.0f64);
    for (l, out) in out.iter_mut().enumerate() {
        let sum = |c: &[f64], of: &[Vec<f64>]| c.iter().zip(of).map(|(c, x)| c * x[l]).sum::<f64>();
        let y = sum(p, &powers.values) / mean;
        let (square, interval) = (known.squares[l], known.values[l]);
        let range = interval.high - interval.low;
        let about = sum(&u, &powers.squares) - 2.0 * y * sum(&u, &powers.values) + y * y * u_mean;
        let about = about + u_rho * (square.sqrt() + y.abs()).powi(2);
        let deviation = ((1.0 + epsilon) * about.max(0.0) / least).sqrt().min(range / 2.0);
        let approximation = (range * (0.5 * epsilon.atanh()).tanh()).min(spread * deviation);
        let rounding = (rho * square.sqrt() + y.abs() * rho) / least;
        let power = known.value_powers[l];
        *out = scaled(y, power);
        // The last rounding, to single precision; and this sum's own.
        let bound = scaled((approximation + rounding) * (1.0 + 1e-9), power) + out.abs() * UNIT * (1.0 + 1e-9) + 1e-45;
        certificate = if bound.is_nan() { f64::INFINITY } else { certificate.max(bound) };
    }
    let lse = mean.ln() + known.reach.centre + known.ln_tuples;
    // E[e^x] is Z / E~[1 / r], between Z / (1 + ε) and Z / (1 − ε).
    let lse_certificate = (-epsilon).ln_1p().abs() + rho / least + lse.abs() * UNIT * (1.0 + 1e-9) + 1e-45;
    Some(Certified { out, lse, certificate, lse_certificate, polynomial, mean })
}

/// At least `σ~(r) / E~[r]`.
fn relative_deviation(powers: &Centred, polynomial: &Polynomial, least: f64) -> f64 {
    let (epsilon, j) = (polynomial.epsilon, polynomial.taylor);
    let by_range = epsilon / (1.0 - epsilon * epsilon).sqrt();
    let Some(power) = powers.ones.get(2 * j).filter(|_| j > 0) else { return by_range };
    let moment = ((power + powers.errors[2 * j]).max(0.0) / least).sqrt();
    by_range.min((1.0 + epsilon) * polynomial.k * moment)
}

/// `x 2^power`, in two steps: the power itself may be out of range.
pub fn scaled(x: f64, power: i32) -> f64 {
    let half = power / 2;
    x * f64::from(half).exp2() * f64::from(power - half).exp2()
}

/// How far a row of this reach could be certified, in units of the greatest value, by the range alone: what is known before
/// anything is computed. Rounding is left out.
pub fn by_range(degree: usize, half: f64) -> f64 {
    let epsilon = Polynomial::near_exp(degree, 0, half).epsilon;
    if epsilon < 1.0 { 2.0 * (0.5 * epsilon.atanh()).tanh() } else { f64::INFINITY }
}

/// What a row of powers of a low degree says of the certificate that `degree` would give: at most this, rounding and what is
/// left out of a basis aside. `low`: the row as certified at the low degree; `second`: its `E[x²]`.
pub fn predicted(low: &Prediction, degree: usize) -> f64 {
    let half = low.reach.half;
    let mut spread = f64::INFINITY;
    for j in 0..=degree / 2 {
        let p = Polynomial::near_exp(degree, j, half);
        if p.epsilon >= 1.0 {
            continue;
        }
        let by_range = p.epsilon / (1.0 - p.epsilon * p.epsilon).sqrt();
        // E[x^2j] <= h^(2j − 2) E[x²].
        let moment = (low.second * half.powi(2 * j as i32 - 2) / (low.least_mean * (1.0 - p.epsilon))).sqrt();
        let by_moment = if j > 0 { (1.0 + p.epsilon) * p.k * moment } else { f64::INFINITY };
        spread = spread.min(by_range).min(by_moment);
    }
    (spread * low.deviation).min(by_range(degree, half) / 2.0 * low.range)
}

/// What is predicted from.
#[derive(Debug, Clone, Copy)]
pub struct Prediction {
    pub reach: Reach,
    /// `E[x²]`
    pub second: f64,
    /// At most `E[e^x]`.
    pub least_mean: f64,
    /// The greatest deviation, and the greatest range, of a column of values, both in the units of `out`.
    pub deviation: f64,
    pub range: f64,
}

impl Prediction {
    /// From powers of degree two or more.
    pub fn new(powers: &Powers, known: &Known) -> Option<Prediction> {
        let centred = Centred::new(powers, known.reach);
        let polynomial = Polynomial::near_exp(powers.ones.len() - 1, 0, known.reach.half);
        let (mean, rho) = centred.ones(&polynomial.coefficients);
        // e^x is convex: its mean is at least that of its tangent.
        let tangent = (1.0 + centred.ones.get(1)?).max((-known.reach.half).exp());
        let least = tangent.max(mean - rho).max(0.0) / (1.0 + polynomial.epsilon.min(1.0));
        let u = above_exp(centred.squares.len().saturating_sub(1), known.reach.half);
        let (mut deviation, mut range) = (0.0f64, 0.0f64);
        for l in 0..known.width {
            let sum = |of: &[Vec<f64>]| u.iter().zip(of).map(|(c, x)| c * x[l]).sum::<f64>();
            let total = centred.ones(&u).0;
            let y = sum(&centred.values) / total;
            let about = sum(&centred.squares) - y * y * total;
            let size = scaled(1.0, known.value_powers[l]);
            let own = known.values[l].high - known.values[l].low;
            deviation = deviation.max((about.max(0.0) / least).sqrt().min(own / 2.0) * size);
            range = range.max(own * size);
        }
        Some(Prediction { reach: known.reach, second: *centred.ones.get(2)?, least_mean: least, deviation, range })
    }
}
