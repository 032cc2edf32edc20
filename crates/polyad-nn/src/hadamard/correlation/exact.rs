//! What the tests of polynomials share: their coefficients written out, and numbers that do not round.

use super::ccp::Ccp;
use crate::hadamard::check::{doubles, numbers};
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use std::ops::{Add, Mul};

/// Polynomials of the same inputs z, one a column, all coefficients written out: the part of degree m of a column is a
/// tensor of d^m numbers, to be contracted with z in each axis.
#[derive(Debug, Clone)]
pub struct Expanded {
    inputs: usize,
    /// By column, then by degree from 0.
    pub columns: Vec<Vec<Vec<f64>>>,
}

fn added(a: &[f64], b: &[f64]) -> Vec<f64> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.to_vec(),
        (_, true) => a.to_vec(),
        _ => a.iter().zip(b).map(|(a, b)| a + b).collect(),
    }
}

fn outer(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().flat_map(|a| b.iter().map(move |b| a * b)).collect()
}

impl Expanded {
    /// `Wᵀz + b`
    pub fn linear(map: &Linear) -> Self {
        let (weight, bias) = weights::<f64>(map);
        let columns = weight.into_iter().zip(bias).map(|(row, bias)| vec![vec![bias], row]);
        Expanded { inputs: map.weight.dims()[0], columns: columns.collect() }
    }

    /// Each column times a number.
    pub fn scaled(&self, by: &[f64]) -> Self {
        let scale =
            |column: &Vec<Vec<f64>>, by: f64| column.iter().map(|part| part.iter().map(|x| x * by).collect()).collect();
        Expanded { columns: self.columns.iter().zip(by).map(|(c, by)| scale(c, *by)).collect(), ..*self }
    }

    fn paired(&self, other: &Self, part: impl Fn(&[Vec<f64>], &[Vec<f64>]) -> Vec<Vec<f64>>) -> Self {
        Expanded { columns: self.columns.iter().zip(&other.columns).map(|(a, b)| part(a, b)).collect(), ..*self }
    }

    /// Column plus column.
    pub fn plus(&self, other: &Self) -> Self {
        let at = |parts: &[Vec<f64>], degree: usize| parts.get(degree).cloned().unwrap_or_default();
        self.paired(other, |a, b| (0..a.len().max(b.len())).map(|m| added(&at(a, m), &at(b, m))).collect())
    }

    /// Column times column: the parts of a product are sums of outer products.
    pub fn times(&self, other: &Self) -> Self {
        self.paired(other, |a, b| {
            let mut parts = vec![Vec::new(); a.len() + b.len() - 1];
            for (i, a) in a.iter().enumerate() {
                for (j, b) in b.iter().enumerate() {
                    parts[i + j] = added(&parts[i + j], &outer(a, b));
                }
            }
            parts
        })
    }

    /// `Wᵀy + b` of columns y.
    pub fn mapped(&self, map: &Linear) -> Self {
        let (weight, bias) = weights::<f64>(map);
        let columns = weight.iter().zip(bias).map(|(row, bias)| {
            let mut sum = vec![vec![bias]];
            for (column, by) in self.columns.iter().zip(row) {
                sum.resize(sum.len().max(column.len()), Vec::new());
                for (sum, part) in sum.iter_mut().zip(column) {
                    *sum = added(sum, &part.iter().map(|x| x * by).collect::<Vec<_>>());
                }
            }
            sum
        });
        Expanded { columns: columns.collect(), ..*self }
    }

    /// For each column the sum of all terms at z, and the sum of their sizes.
    pub fn at(&self, z: &[f64]) -> Vec<(f64, f64)> {
        assert_eq!(z.len(), self.inputs, "as many inputs");
        let value = |parts: &Vec<Vec<f64>>| {
            let mut monomials = vec![1.0];
            let (mut sum, mut sizes) = (0.0, 0.0);
            for part in parts {
                for (coefficient, monomial) in part.iter().zip(&monomials) {
                    sum += coefficient * monomial;
                    sizes += (coefficient * monomial).abs();
                }
                monomials = outer(&monomials, z);
            }
            (sum, sizes)
        };
        self.columns.iter().map(value).collect()
    }

    /// Fails where `got`, `[batch, columns]`, is not what the coefficients give at `z`, `[batch, inputs]`: to 1e-10 of
    /// the sum of the terms' sizes.
    #[track_caller]
    pub fn agrees(&self, z: Tensor<2>, got: Tensor<2>) {
        let (z, got) = (numbers(z), numbers(got));
        let wanted: Vec<(f64, f64)> = z.chunks(self.inputs).flat_map(|z| self.at(z)).collect();
        assert_eq!(got.len(), wanted.len());
        for (index, (got, (wanted, sizes))) in got.iter().zip(wanted).enumerate() {
            assert!((got - wanted).abs() <= 1e-10 * sizes, "number {index}: {got}, not {wanted}, of terms {sizes}");
        }
    }
}

/// Numbers that a plain program computes with: double precision, or exactly.
pub trait Number: Copy + PartialEq + Add<Output = Self> + Mul<Output = Self> {
    /// A whole number.
    fn whole(number: i64) -> Self;
    /// A parameter; where numbers are exact it must be whole.
    fn from_double(number: f64) -> Self;
}

impl Number for f64 {
    fn whole(number: i64) -> Self {
        number as f64
    }

    fn from_double(number: f64) -> Self {
        number
    }
}

/// A whole number modulo the prime 2^61 − 1. A polynomial with integer coefficients has there the degree that it has,
/// but where a leading coefficient is a multiple of the prime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Residue(u64);

const PRIME: u64 = (1 << 61) - 1;

impl Number for Residue {
    fn whole(number: i64) -> Self {
        Residue(number.rem_euclid(PRIME as i64) as u64)
    }

    fn from_double(number: f64) -> Self {
        assert_eq!(number, number.round(), "only whole numbers are exact");
        Residue::whole(number as i64)
    }
}

impl Add for Residue {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Residue((self.0 + other.0) % PRIME)
    }
}

impl Mul for Residue {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Residue((u128::from(self.0) * u128::from(other.0) % u128::from(PRIME)) as u64)
    }
}

impl Residue {
    fn minus(self, other: Self) -> Self {
        Residue((self.0 + PRIME - other.0) % PRIME)
    }

    /// By Fermat's little theorem.
    fn inverse(self) -> Self {
        let (mut power, mut result, mut exponent) = (self, Residue(1), PRIME - 2);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result * power;
            }
            power = power * power;
            exponent >>= 1;
        }
        result
    }
}

/// Degree in t of `f(t)`, of which every number is a polynomial of degree `most` at the most; `None` for zero. The m-th
/// differences of a polynomial of degree m are constant and the next are 0.
pub fn degree(most: usize, f: impl Fn(i64) -> Vec<Residue>) -> Option<usize> {
    let values: Vec<Vec<Residue>> = (0..=most as i64 + 1).map(f).collect();
    let of = |output: usize| {
        let mut differences: Vec<Residue> = values.iter().map(|value| value[output]).collect();
        let mut degree = None;
        for order in 0..values.len() {
            if differences[0] != Residue(0) {
                degree = Some(order);
            }
            differences = differences.windows(2).map(|pair| pair[1].minus(pair[0])).collect();
        }
        degree
    };
    (0..values[0].len()).filter_map(of).max()
}

/// Rank of a matrix, by elimination.
pub fn rank(mut rows: Vec<Vec<Residue>>) -> usize {
    let mut rank = 0;
    for column in 0..rows[0].len() {
        let Some(pivot) = (rank..rows.len()).find(|row| rows[*row][column] != Residue(0)) else { continue };
        rows.swap(rank, pivot);
        let (above, below) = rows.split_at_mut(rank + 1);
        let pivot = &above[rank];
        let inverse = pivot[column].inverse();
        for row in below {
            let factor = row[column] * inverse;
            row.iter_mut().zip(pivot).for_each(|(x, pivot)| *x = x.minus(factor * *pivot));
        }
        rank += 1;
    }
    rank
}

/// A linear map's weight, one row an output, and its bias or zeros.
pub fn weights<T: Number>(map: &Linear) -> (Vec<Vec<T>>, Vec<T>) {
    let [inputs, outputs] = map.weight.dims();
    let weight = numbers(map.weight.val());
    let rows = (0..outputs).map(|o| (0..inputs).map(|i| T::from_double(weight[i * outputs + o])).collect());
    let bias = map.bias.as_ref().map_or(vec![0.0; outputs], |bias| numbers(bias.val()));
    (rows.collect(), bias.into_iter().map(T::from_double).collect())
}

/// `W x + b`, by plain loops.
pub fn linear<T: Number>(map: &Linear, x: &[T]) -> Vec<T> {
    let (weight, bias) = weights::<T>(map);
    let row = |(row, bias): (Vec<T>, T)| row.iter().zip(x).fold(bias, |sum, (w, x)| sum + *w * *x);
    weight.into_iter().zip(bias).map(row).collect()
}

/// `a ∘ b`
pub fn times<T: Number>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(a, b)| *a * *b).collect()
}

/// `a + b`
pub fn plus<T: Number>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(a, b)| *a + *b).collect()
}

/// CCP's `forward`, by plain loops.
pub fn ccp<T: Number>(layer: &Ccp, z: &[T]) -> Vec<T> {
    let (first, rest) = layer.factors.split_first().expect("a factor");
    let step = |y: Vec<T>, factor| plus(&times(&linear(factor, z), &y), &y);
    linear(&layer.output, &rest.iter().fold(linear(first, z), step))
}

/// The layer in double precision, its parameters whole numbers from −3 to 3 in no order.
pub fn whole<M: Module>(module: M) -> M {
    struct Whole(Drawn);
    impl ModuleMapper for Whole {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = param.consume();
            let drawn = (0..tensor.shape().num_elements()).map(|_| self.0.next(3) as f64).collect();
            Param::from_mapped_value(id, doubles(drawn, tensor.dims(), &tensor.device()), mapper)
        }
    }
    module.map(&mut Whole(Drawn(1)))
}

/// A linear congruential generator, of which the upper bits are the good ones.
struct Drawn(u64);

impl Drawn {
    /// A whole number of this size at the most.
    fn next(&mut self, most: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as i64 % (2 * most + 1) - most
    }
}

/// Whole numbers from −50 to 50 in no order, as inputs.
pub fn points(count: usize, inputs: usize) -> Vec<Vec<i64>> {
    let mut drawn = Drawn(2);
    (0..count).map(|_| (0..inputs).map(|_| drawn.next(50)).collect()).collect()
}

/// Numbers for a computation in `T`.
pub fn whole_numbers<T: Number>(numbers: &[i64]) -> Vec<T> {
    numbers.iter().map(|x| T::whole(*x)).collect()
}

mod tests {
    use super::*;

    #[test]
    fn a_product_of_projections_is_one_of_khatri_rao() {
        // (Aᵀx) ∘ (Bᵀy) = (A ⊙ B)ᵀ (x ⊗ y)
        let (a, b) = ([[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [1.0, -1.0], [2.0, 3.0]]);
        let (x, y) = ([1.0, 2.0], [1.0, 0.0, -1.0]);
        let column = |matrix: &[[f64; 2]], j: usize| matrix.iter().map(|row| row[j]).collect::<Vec<_>>();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for (j, wanted) in [-14.0, -20.0].into_iter().enumerate() {
            let (a, b) = (column(&a, j), column(&b, j));
            assert_eq!(dot(&outer(&a, &b), &outer(&x, &y)), wanted);
            assert_eq!(dot(&a, &x) * dot(&b, &y), wanted);
        }
    }

    #[test]
    fn columns_of_khatri_rao_products_multiply() {
        // (A₁ᵀB₁) ∘ (A₂ᵀB₂) = (A₁ ⊙ A₂)ᵀ (B₁ ⊙ B₂), column by column.
        let (a1, a2) = ([1.0, -2.0, 3.0], [2.0, 5.0]);
        let (b1, b2) = ([4.0, 1.0, -1.0], [3.0, -2.0]);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        assert_eq!(dot(&a1, &b1) * dot(&a2, &b2), dot(&outer(&a1, &a2), &outer(&b1, &b2)));
    }

    #[test]
    fn degrees_and_ranks_are_exact() {
        let power = |n: u32| move |t: i64| vec![(0..n).fold(Residue::whole(1), |x, _| x * Residue::whole(t - 3))];
        assert_eq!(degree(200, power(128)), Some(128));
        assert_eq!(degree(5, |_| vec![Residue::whole(0)]), None);
        assert_eq!(degree(5, |_| vec![Residue::whole(-4)]), Some(0));
        let row = |numbers: [i64; 3]| whole_numbers::<Residue>(&numbers);
        assert_eq!(rank(vec![row([1, 2, 3]), row([2, 4, 6]), row([0, 1, 1]), row([1, 3, 4])]), 2);
        assert_eq!(Residue::whole(-7) * Residue::whole(-7).inverse(), Residue(1));
    }
}
