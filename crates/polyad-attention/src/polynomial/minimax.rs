//! Polynomials near e^t, each with bounds of its error that are proved, not sampled.
//!
//! ```text
//! p(t) = Σ_{k<j} t^k / k! + t^j q(t)      of degree g, on |t| <= h
//! r(t) = (e^t − p(t)) / t^j               = Σ_{i <= g−j} (1/(i+j)! − q_i) t^i + Σ_{i > g−j} t^i / (i+j)!
//! ε    = max |p e^−t − 1| = max |t|^j |r| e^−t                 the relative error
//! K    = max |e^t − p| / (√p |t|^j) <= max |r| / √((1 − ε) e^t)  the error where it counts, for scores near 0
//! ```
//!
//! For `j = 0` q makes ε least, for `j > 0` nearly K: weighted minimax by Remez' exchange, in double precision. How near it
//! comes to the least does not matter for what is promised: ε and K are bounded afterwards for the coefficients as they
//! are. Between two points of a grid `Δ` apart a function exceeds the greater of its two values by at most
//! `Δ²/8 max |r''|`, and the series above bounds `r''` by the coefficients' distances from those of e^t.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The highest degree.
pub const MOST_DEGREE: usize = 12;
/// The widest interval's half.
pub const MOST_HALF: f64 = 8.0;
/// Intervals' halves are rounded up to so many an octave: one polynomial then serves many rows.
const AN_OCTAVE: f64 = 32.0;
/// No interval is narrower: the error there is rounding's.
const LEAST_HALF: f64 = 1.0 / 1024.0;
/// The step of that.
const FIRST_STEP: i64 = -10 * AN_OCTAVE as i64;
/// Intervals of the grid on which errors are bounded, at first and at most.
const GRID: [usize; 2] = [1 << 11, 1 << 16];

/// A polynomial near e^t on `|t| <= half`.
#[derive(Debug, Clone, PartialEq)]
pub struct Polynomial {
    /// Half of the interval.
    pub half: f64,
    /// How many coefficients are those of the exponential series.
    pub taylor: usize,
    /// Of 1, t, t² ..
    pub coefficients: Vec<f64>,
    /// At least `max |p(t) e^−t − 1|`; below 1, or the polynomial is of no use.
    pub epsilon: f64,
    /// At least `max |e^t − p| / (√p |t|^j)`, `j` being `taylor`; infinite where `epsilon` is not below 1.
    pub k: f64,
}

impl Polynomial {
    /// The polynomial of this degree whose first `taylor` coefficients are the series', for `|t| <= half`, or a little more.
    /// What was made once is kept for good: there are some 30,000 in all, of a few hundred bytes.
    ///
    /// # Panics
    /// Where the degree is above [`MOST_DEGREE`] or below `taylor`, or `half` is not in `0..=MOST_HALF`.
    pub fn near_exp(degree: usize, taylor: usize, half: f64) -> &'static Polynomial {
        type Made = HashMap<usize, &'static Polynomial>;
        static CACHE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
        // Every row asks for some: threads that wait for each other would be slower than what they wait for.
        thread_local!(static OWN: RefCell<Vec<Option<&'static Polynomial>>> = const { RefCell::new(Vec::new()) });
        assert!(degree <= MOST_DEGREE && taylor <= degree, "degree {degree} with {taylor} coefficients of the series");
        assert!((0.0..=MOST_HALF).contains(&half), "half an interval of {half}");
        let step = (half.max(LEAST_HALF).log2() * AN_OCTAVE).ceil() as i64;
        let key = ((step - FIRST_STEP) as usize * (MOST_DEGREE + 1) + degree) * (MOST_DEGREE + 1) + taylor;
        if let Some(found) = OWN.with_borrow(|own| own.get(key).copied().flatten()) {
            return found;
        }
        let cache = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cache().get(&key).copied();
        let found = known.unwrap_or_else(|| {
            // Rounding of the power could leave it a little below what was asked for.
            let half = (step as f64 / AN_OCTAVE).exp2().max(half) * (1.0 + 1e-14);
            let made = make(degree, taylor, half);
            cache().entry(key).or_insert_with(|| Box::leak(Box::new(made)))
        });
        OWN.with_borrow_mut(|own| {
            own.resize(own.len().max(key + 1), None);
            own[key] = Some(found);
        });
        found
    }

    /// `p(t)`.
    pub fn at(&self, t: f64) -> f64 {
        horner(&self.coefficients, t)
    }
}

fn horner(coefficients: &[f64], t: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * t + c)
}

/// `1 / i!`
fn inverse_factorial(i: usize) -> f64 {
    (1..=i).fold(1.0, |product, i| product / i as f64)
}

/// `(e^t − Σ_{k<j} t^k / k!) / t^j = Σ t^i / (i + j)!`
fn rest_of_exp(t: f64, j: usize) -> f64 {
    if j == 0 {
        return t.exp();
    }
    if t.abs() > 2.0 {
        let series: f64 = (0..j).map(|k| t.powi(k as i32) * inverse_factorial(k)).sum();
        return (t.exp() - series) / t.powi(j as i32);
    }
    let mut term = inverse_factorial(j);
    let mut sum = 0.0;
    for i in 1..40 {
        sum += term;
        term *= t / (i + j) as f64;
    }
    sum
}

fn make(degree: usize, taylor: usize, half: f64) -> Polynomial {
    let weight = |t: f64| if taylor == 0 { (-t).exp() } else { (-0.5 * t).exp() };
    let q = remez(degree - taylor, half, |t| rest_of_exp(t, taylor), weight);
    let (epsilon, k) = bounds(&q, taylor, half);
    let mut coefficients: Vec<f64> = (0..taylor).map(inverse_factorial).collect();
    coefficients.extend(q);
    Polynomial { half, taylor, coefficients, epsilon, k }
}

/// ε and K of `Σ_{k<j} t^k / k! + t^j q(t)`, see the module's head. The grid is refined until it hides little.
fn bounds(q: &[f64], j: usize, half: f64) -> (f64, f64) {
    let mut grid = GRID[0];
    loop {
        let (found, hidden) = bounds_on(q, j, half, grid);
        if hidden <= 0.01 * found.0 || grid == GRID[1] {
            return found;
        }
        grid *= 2;
    }
}

/// The same on a grid of so many intervals; and at most what the grid adds to ε.
fn bounds_on(q: &[f64], j: usize, half: f64, grid: usize) -> ((f64, f64), f64) {
    let second = |i: usize| if i < 2 { 0.0 } else { (i * (i - 1)) as f64 * half.powi(i as i32 - 2) };
    let own = q.iter().enumerate().map(|(i, q)| (inverse_factorial(i + j) - q).abs() * second(i));
    let beyond = (q.len()..q.len() + 60).map(|i| inverse_factorial(i + j) * second(i));
    let curvature: f64 = own.chain(beyond).sum();
    let step = 2.0 * half / grid as f64;
    let between = step * step / 8.0 * curvature * 1.001;
    // What rounding may hide: `r` is a difference of two numbers of at most this size, each evaluated in a few operations.
    let size: f64 =
        q.iter().enumerate().map(|(i, q)| q.abs() * half.powi(i as i32)).sum::<f64>() + rest_of_exp(half, j);
    let slack = between + 64.0 * f64::EPSILON * size;
    let at = |i: usize| -half + step * i as f64;
    let r: Vec<f64> = (0..=grid).map(|i| (rest_of_exp(at(i), j) - horner(q, at(i))).abs()).collect();
    let pieces = || (0..grid).map(|i| (at(i), at(i + 1), r[i].max(r[i + 1]) + slack));
    let far = |a: f64, b: f64| a.abs().max(b.abs()).powi(j as i32);
    let epsilon = pieces().map(|(a, b, r)| far(a, b) * r * (-a).exp()).fold(0.0, f64::max) * (1.0 + 1e-12);
    let hidden = between * half.powi(j as i32) * half.exp();
    if epsilon >= 1.0 {
        return ((epsilon, f64::INFINITY), hidden);
    }
    let k = pieces().map(|(a, _, r)| r / ((1.0 - epsilon) * a.exp()).sqrt()).fold(0.0, f64::max);
    ((epsilon, k * (1.0 + 1e-12)), hidden)
}

/// The coefficients of a polynomial of this degree that makes `max weight |f − q|` on `|t| <= half` nearly least.
fn remez(degree: usize, half: f64, f: impl Fn(f64) -> f64, weight: impl Fn(f64) -> f64) -> Vec<f64> {
    let points = degree + 2;
    let mut reference: Vec<f64> =
        (0..points).map(|i| -half * (std::f64::consts::PI * i as f64 / (points - 1) as f64).cos()).collect();
    let mut best = (f64::INFINITY, Vec::new());
    for _ in 0..12 {
        // q(t) ± E / weight = f(t) at the reference points; in powers of t / half, which are all of size 1.
        let rows = reference.iter().enumerate().map(|(i, t)| {
            let mut row: Vec<f64> = (0..=degree).map(|k| (t / half).powi(k as i32)).collect();
            row.push(if i % 2 == 0 { 1.0 } else { -1.0 } / weight(*t));
            row.push(f(*t));
            row
        });
        let Some(solution) = solve(rows.collect()) else { break };
        let q = &solution[..=degree];
        let error = |t: f64| weight(t) * (f(t) - horner(q, t / half));
        let (extrema, most) = alternating(error, half, points);
        if most < best.0 {
            best = (most, q.to_vec());
        }
        let level = solution[degree + 1].abs();
        if extrema.len() < points || most <= level * (1.0 + 1e-6) {
            break;
        }
        reference = extrema;
    }
    best.1.iter().enumerate().map(|(k, c)| c / half.powi(k as i32)).collect()
}

/// The extrema of `error` between its changes of sign, the `points` that follow each other and are greatest, and the
/// greatest of all.
fn alternating(error: impl Fn(f64) -> f64, half: f64, points: usize) -> (Vec<f64>, f64) {
    let fine = 64 * points;
    // Denser towards the ends, as the extrema are.
    let at = |i: f64| -half * (std::f64::consts::PI * i / fine as f64).cos();
    let mut found: Vec<(f64, f64)> = Vec::new();
    for i in 0..=fine {
        let t = at(i as f64);
        let e = error(t);
        match found.last_mut() {
            Some((_, last)) if last.signum() == e.signum() => {
                if e.abs() > last.abs() {
                    *found.last_mut().expect("it is there") = (t, e);
                }
            }
            _ => found.push((t, e)),
        }
    }
    let most = found.iter().map(|(_, e)| e.abs()).fold(0.0, f64::max);
    while found.len() > points {
        let (first, last) = (found[0].1.abs(), found[found.len() - 1].1.abs());
        found.remove(if first < last { 0 } else { found.len() - 1 });
    }
    (found.into_iter().map(|(t, _)| t).collect(), most)
}

/// Gauss' elimination with pivots; the last column is the right side. Nothing where the rows depend on each other.
fn solve(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = rows.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))?;
        if rows[pivot][column].abs() < 1e-300 {
            return None;
        }
        rows.swap(column, pivot);
        let (above, below) = rows.split_at_mut(column + 1);
        let pivot = &above[column];
        for row in below {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(pivot).for_each(|(x, p)| *x -= factor * p);
        }
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| rows[i][k] * x[k]).sum();
        x[i] = (rows[i][n] - known) / rows[i][i];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_the_literature_and_never_below_the_true_ones() {
        // ε of the best polynomials, 40 digits of Remez elsewhere; ours on an interval up to 2.2 % wider.
        for (half, degree, expected) in [
            (0.25, 3, 2.0e-5),
            (0.5, 2, 5.2e-3),
            (1.0, 2, 4.0e-2),
            (1.0, 3, 5.0e-3),
            (1.0, 6, 3.0e-6),
            (2.0, 4, 1.5e-2),
            (4.0, 8, 2.0e-3),
        ] {
            let p = Polynomial::near_exp(degree, 0, half);
            let wider = 1.03f64.powi(degree as i32 + 1);
            assert!(
                p.epsilon > expected * 0.95 && p.epsilon < expected * wider * 1.06,
                "{half} {degree}: {}",
                p.epsilon
            );
        }
        // K of polynomials that agree with the series.
        for (half, degree, taylor, expected) in [
            (0.5, 2, 1, 0.021),
            (1.0, 2, 1, 0.086),
            (1.0, 3, 1, 0.0105),
            (1.0, 4, 2, 2.1e-3),
            (2.0, 5, 2, 2.8e-3),
            (1.0, 6, 3, 2.5e-5),
        ] {
            let p = Polynomial::near_exp(degree, taylor, half);
            assert!(p.k > expected * 0.95 && p.k < expected * 1.3, "{half} {degree} {taylor}: {}", p.k);
        }
    }

    #[test]
    fn bounds_hold_at_points_that_are_not_on_the_grid() {
        for degree in 1..=MOST_DEGREE {
            for taylor in 0..=degree / 2 {
                for half in [0.01, 0.3, 1.0, 1.7, 4.0, MOST_HALF] {
                    let p = Polynomial::near_exp(degree, taylor, half);
                    assert!(p.half >= half && p.half < half * 1.03);
                    for i in 0..20_000 {
                        let t = -p.half + 2.0 * p.half * (i as f64 + 0.37) / 20_000.0;
                        let (exact, found) = (t.exp(), p.at(t));
                        // The evaluation's own rounding.
                        let rounding = 1e-15 * half.exp() * (1.0 + (-t).exp());
                        let error = (found / exact - 1.0).abs();
                        assert!(
                            error <= p.epsilon + rounding,
                            "{degree} {taylor} {half} at {t}: {error} {}",
                            p.epsilon
                        );
                        if p.epsilon < 1.0 && t.abs() > 0.05 {
                            let k = (exact - found).abs() / (found.sqrt() * t.abs().powi(taylor as i32));
                            let rounding = rounding / t.abs().powi(taylor as i32);
                            assert!(k <= p.k + rounding * half.exp(), "{degree} {taylor} {half} at {t}: {k} {}", p.k);
                        }
                    }
                }
            }
        }
    }
}
