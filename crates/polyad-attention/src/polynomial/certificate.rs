//! From the powers of a row's scores, weighted by values, to its output and a bound of its error.
//!
//! Of a row with visible tuples t, scores `s_t = c + x_t`, `|x_t| <= h`, values `v_t` (one column), and the mean over
//! tuples written as E, the states give
//!
//! ```text
//! T_k = E[x^k],   N_k = E[x^k v],   Q_k = E[x^k v²]       each within an error that is known
//! ```
//!
//! and the row is `Σ p_k N_k / Σ p_k T_k` for the polynomial with the least certificate. The certificate is the least of
//! three bounds, and the rounding of all that it is computed from: [`crate::polynomial::proof`] derives each.

use crate::polynomial::minimax::{MOST_DEGREE, Polynomial};
use crate::polynomial::operands::{Interval, KeyHead, Reach, UNIT, times_power};
use std::borrow::Cow;

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
    /// In powers of the scores less the centre.
    pub polynomial: &'static Polynomial,
    /// See [`Reach`].
    pub centre: f64,
    /// `Z` times the number of tuples.
    pub total: f64,
}

impl Certified {
    /// The polynomial's coefficients in powers of the scores, over the sum of its weights.
    pub fn coefficients(&self) -> Vec<f64> {
        let (b, c) = (&self.polynomial.coefficients, self.centre);
        let of = |k: usize| (k..b.len()).map(|i| b[i] * binomial(i, k) * (-c).powi((i - k) as i32)).sum::<f64>();
        (0..b.len()).map(|k| of(k) / self.total).collect()
    }
}

/// Powers of a row around its centre.
struct Centred<'a> {
    ones: Vec<f64>,
    values: Vec<Cow<'a, [f64]>>,
    squares: Vec<Cow<'a, [f64]>>,
    errors: Vec<f64>,
}

fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
}

/// `Σ_k coefficients_k rows_k`
fn combined<R: AsRef<[f64]>>(coefficients: &[f64], rows: &[R], width: usize) -> Vec<f64> {
    let mut sum = vec![0.0; width];
    for (c, row) in coefficients.iter().zip(rows) {
        sum.iter_mut().zip(row.as_ref()).for_each(|(sum, x)| *sum += c * x);
    }
    sum
}

impl<'a> Centred<'a> {
    fn new(powers: &Powers<'a>, reach: Reach) -> Centred<'a> {
        let c = reach.centre;
        let degrees = 0..powers.ones.len();
        // Terms of double precision, a few roundings each.
        let rounding = |k: usize| 32.0 * f64::EPSILON * (reach.most + c.abs()).powi(k as i32);
        if c == 0.0 {
            let borrowed = |rows: &[&'a [f64]]| rows.iter().map(|row| Cow::Borrowed(*row)).collect();
            return Centred {
                ones: powers.ones.to_vec(),
                values: borrowed(&powers.values),
                squares: borrowed(&powers.squares),
                errors: degrees.map(|k| powers.errors[k] + rounding(k)).collect(),
            };
        }
        let factors = |k: usize| -> Vec<f64> { (0..=k).map(|i| binomial(k, i) * (-c).powi((k - i) as i32)).collect() };
        let sum = |k: usize, of: &[f64]| factors(k).iter().zip(of).map(|(f, x)| f * x).sum::<f64>();
        let error =
            |k: usize| factors(k).iter().zip(powers.errors).map(|(f, e)| f.abs() * e).sum::<f64>() + rounding(k);
        let rows = |rows: &[&[f64]]| -> Vec<Cow<'a, [f64]>> {
            (0..rows.len()).map(|k| Cow::Owned(combined(&factors(k), rows, rows[0].len()))).collect()
        };
        Centred {
            ones: degrees.clone().map(|k| sum(k, powers.ones)).collect(),
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

/// Means weighted by a polynomial above e^x.
struct Above {
    /// Of 1, and its error.
    mean: (f64, f64),
    values: Vec<f64>,
    squares: Vec<f64>,
}

impl Above {
    fn new(powers: &Centred, half: f64, width: usize) -> Above {
        let u = above_exp(powers.squares.len().saturating_sub(1), half);
        Above {
            mean: powers.ones(&u),
            values: combined(&u, &powers.values, width),
            squares: combined(&u, &powers.squares, width),
        }
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
    let (mut best, mut above): (Option<Certified>, Option<Above>) = (None, None);
    for polynomial in candidates {
        // All of them are of the same interval.
        let above = above.get_or_insert_with(|| Above::new(&centred, polynomial.half, known.width));
        if let Some(found) = certify(&centred, above, known, polynomial)
            && best.as_ref().is_none_or(|best| found.certificate < best.certificate)
        {
            best = Some(found);
        }
    }
    best
}

fn certify(powers: &Centred, above: &Above, known: &Known, polynomial: &'static Polynomial) -> Option<Certified> {
    let (epsilon, p) = (polynomial.epsilon, &polynomial.coefficients);
    let (mean, rho) = powers.ones(p);
    let least = mean - rho;
    if !(epsilon < 1.0 && least > 0.0) {
        return None;
    }
    // What the quotient of deviations of r is at most, by the least of the two ways.
    let spread = relative_deviation(powers, polynomial, least);
    let numerators = combined(p, &powers.values, known.width);
    let by_range = (0.5 * epsilon.atanh()).tanh();
    let (mut out, mut certificate) = (vec![0.0; known.width], 0.0f64);
    for (l, out) in out.iter_mut().enumerate() {
        let y = numerators[l] / mean;
        let (square, interval) = (known.squares[l], known.values[l]);
        let range = interval.high - interval.low;
        let about = above.squares[l] - 2.0 * y * above.values[l] + y * y * above.mean.0;
        let about = about + above.mean.1 * (square.sqrt() + y.abs()).powi(2);
        let deviation = ((1.0 + epsilon) * about.max(0.0) / least).sqrt().min(range / 2.0);
        let approximation = (range * by_range).min(spread * deviation);
        let rounding = (rho * square.sqrt() + y.abs() * rho) / least;
        let power = known.value_powers[l];
        *out = times_power(y, power);
        // The last rounding, to single precision; and this sum's own.
        let bound =
            times_power((approximation + rounding) * (1.0 + 1e-9), power) + out.abs() * UNIT * (1.0 + 1e-9) + 1e-45;
        certificate = if bound.is_nan() { f64::INFINITY } else { certificate.max(bound) };
    }
    let lse = mean.ln() + known.reach.centre + known.ln_tuples;
    // E[e^x] is Z E~[r], between Z / (1 + ε) and Z / (1 − ε).
    let lse_certificate = (-epsilon).ln_1p().abs() + rho / least + lse.abs() * UNIT * (1.0 + 1e-9) + 1e-45;
    let (centre, total) = (known.reach.centre, mean * known.ln_tuples.exp());
    Some(Certified { out, lse, certificate, lse_certificate, polynomial, centre, total })
}

/// At least `σ~(r) / E~[r]`.
fn relative_deviation(powers: &Centred, polynomial: &Polynomial, least: f64) -> f64 {
    let (epsilon, j) = (polynomial.epsilon, polynomial.taylor);
    let by_range = epsilon / (1.0 - epsilon * epsilon).sqrt();
    let Some(power) = powers.ones.get(2 * j).filter(|_| j > 0) else { return by_range };
    let moment = ((power + powers.errors[2 * j]).max(0.0) / least).sqrt();
    by_range.min((1.0 + epsilon) * polynomial.k * moment)
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
    /// At most `E[e^x]`; not 0.
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
        // e^x is convex: its mean is at least that of its tangent; and p is at most (1 + ε) e^x.
        let tangent = (1.0 + centred.ones.get(1)?).max((-known.reach.half).exp());
        let least = tangent.max((mean - rho) / (1.0 + polynomial.epsilon));
        let above = Above::new(&centred, known.reach.half, known.width);
        let total = above.mean.0;
        let (mut deviation, mut range) = (0.0f64, 0.0f64);
        for l in 0..known.width {
            let y = above.values[l] / total;
            let about = above.squares[l] - y * y * total;
            let size = times_power(1.0, known.value_powers[l]);
            let own = known.values[l].high - known.values[l].low;
            deviation = deviation.max((about.max(0.0) / least).sqrt().min(own / 2.0) * size);
            range = range.max(own * size);
        }
        Some(Prediction { reach: known.reach, second: *centred.ones.get(2)?, least_mean: least, deviation, range })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64, from 0 to 1.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }

        fn between(&mut self, low: f64, high: f64) -> f64 {
            low + (high - low) * self.next()
        }
    }

    /// Weights, `1 + δ` and values of some tuples: `out` by the weights times r, `out~` by the weights, and the deviation.
    fn rows(weights: &[f64], delta: &[f64], values: &[f64]) -> (f64, f64, f64) {
        let mean = |of: &dyn Fn(usize) -> f64| (0..weights.len()).map(of).sum::<f64>();
        let total = mean(&|i| weights[i]);
        let near = mean(&|i| weights[i] * values[i]) / total;
        let exact = mean(&|i| weights[i] / (1.0 + delta[i]) * values[i]) / mean(&|i| weights[i] / (1.0 + delta[i]));
        let variance = mean(&|i| weights[i] * (values[i] - near).powi(2)) / total;
        (exact, near, variance.sqrt())
    }

    /// The greatest quotient of error and bound over random rows, half of them with δ at its ends.
    fn worst(bound: impl Fn(f64, f64, f64) -> f64) -> f64 {
        let mut random = Random(1);
        let mut worst = 0.0f64;
        for trial in 0..20_000 {
            let epsilon = random.between(0.01, 0.9);
            let count = 2 + trial % 5;
            let weights: Vec<f64> = (0..count).map(|_| random.next() + 1e-3).collect();
            let mut delta: Vec<f64> = (0..count).map(|_| random.between(-epsilon, epsilon)).collect();
            let mut values: Vec<f64> = (0..count).map(|_| random.between(-1.0, 1.0)).collect();
            if trial % 2 == 0 {
                delta.iter_mut().for_each(|d| *d = epsilon.copysign(*d));
                values.iter_mut().zip(&delta).for_each(|(v, d)| *v = -d.signum());
            }
            let (exact, near, deviation) = rows(&weights, &delta, &values);
            let range =
                values.iter().copied().fold(f64::MIN, f64::max) - values.iter().copied().fold(f64::MAX, f64::min);
            let bound = bound(epsilon, range, deviation);
            if bound > 1e-9 {
                worst = worst.max((exact - near).abs() / bound);
            }
        }
        worst
    }

    #[test]
    fn range_is_never_beaten_and_attained() {
        let worst = worst(|epsilon, range, _| range * (0.5 * epsilon.atanh()).tanh());
        assert!(worst <= 1.0 + 1e-9 && worst > 0.999, "{worst}");
    }

    #[test]
    fn deviation_is_never_beaten_and_attained() {
        let worst = worst(|epsilon, _, deviation| epsilon / (1.0 - epsilon * epsilon).sqrt() * deviation);
        assert!(worst <= 1.0 + 1e-9 && worst > 0.999, "{worst}");
    }

    /// The exact row's error and lse, and all that is known of it, for random scores within `half` and values.
    fn certified(random: &mut Random, half: f64, degree: usize, errors: f64) -> (Certified, f64, f64) {
        let count = 60;
        let (low, size) = (random.between(-2.0, 2.0), random.next());
        let x: Vec<f64> =
            (0..count).map(|i| if i < 2 { half } else { half * size } * random.between(-1.0, 1.0)).collect();
        let v: Vec<f64> = (0..count).map(|_| low + random.between(-1.0, 1.0)).collect();
        // Errors of every power, as large as they are said to be.
        let mut off = |size: f64| size * if random.next() < 0.5 { -1.0 } else { 1.0 };
        let mean =
            |k: i32, of: &dyn Fn(usize) -> f64| (0..count).map(|i| x[i].powi(k) * of(i)).sum::<f64>() / count as f64;
        let square = mean(0, &|i| v[i] * v[i]);
        let all: Vec<f64> = (0..=degree).map(|k| errors * half.powi(k as i32)).collect();
        let ones: Vec<f64> = (0..=degree).map(|k| mean(k as i32, &|_| 1.0) + off(all[k])).collect();
        let values: Vec<[f64; 1]> =
            (0..=degree).map(|k| [mean(k as i32, &|i| v[i]) + off(all[k] * square.sqrt())]).collect();
        let squares: Vec<[f64; 1]> =
            (0..=squares_degree(degree)).map(|k| [mean(k as i32, &|i| v[i] * v[i]) + off(all[k] * square)]).collect();
        let powers = Powers {
            ones: &ones,
            values: values.iter().map(|x| &x[..]).collect(),
            squares: squares.iter().map(|x| &x[..]).collect(),
            errors: &all,
        };
        let interval = v.iter().copied().fold(Interval::EMPTY, Interval::with);
        let known = Known {
            reach: Reach::new(-half, half, half).expect("near"),
            values: &[interval],
            squares: &[square],
            value_powers: &[0],
            width: 1,
            ln_tuples: (count as f64).ln(),
        };
        let total: f64 = x.iter().map(|x| x.exp()).sum();
        let exact = x.iter().zip(&v).map(|(x, v)| x.exp() * v).sum::<f64>() / total;
        let done = finish(&powers, &known).expect("a polynomial serves");
        let (out, lse) = (done.out[0], done.lse);
        (done, (out - exact).abs(), (lse - total.ln()).abs())
    }

    #[test]
    fn moment_is_never_beaten() {
        let mut random = Random(2);
        for trial in 0..2_000 {
            let half = random.between(0.1, 2.0);
            let (done, error, lse_error) = certified(&mut random, half, 3 + trial % 5, 0.0);
            assert!(error <= done.certificate && lse_error <= done.lse_certificate, "{error} {lse_error} {done:?}");
        }
    }

    #[test]
    fn what_is_known_within_an_error_is_certified_within_it() {
        let mut random = Random(3);
        for trial in 0..2_000 {
            let half = random.between(0.1, 1.5);
            let (done, error, lse_error) = certified(&mut random, half, 3 + trial % 5, 1e-3);
            assert!(error <= done.certificate && lse_error <= done.lse_certificate, "{error} {lse_error} {done:?}");
        }
    }

    #[test]
    fn polynomials_above_exp_are_above_it() {
        for degree in 0..=2 {
            for half in [0.001, 0.05, 0.1001, 1.0, 4.0, 8.0] {
                let u = above_exp(degree, half);
                for i in 0..=2000 {
                    let x = half * (i as f64 / 1000.0 - 1.0);
                    let above: f64 = u.iter().rev().fold(0.0, |sum, c| sum * x + c);
                    assert!(above >= x.exp() * (1.0 - 1e-15), "{degree} {half} at {x}");
                }
            }
        }
    }
}
