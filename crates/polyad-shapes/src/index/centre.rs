//! The centre of a library: what all its shapes have in common, and no neighbour should be found by.
//!
//! Embeddings of one network lie in a narrow cone, so that plain cosines are all near one. Taking the mean away
//! spreads them. The mean of few shapes, however, is mostly those shapes themselves: with one, nothing would be
//! left of it, and two would be opposite whatever they are. So the centre of `n` shapes is
//!
//! ```text
//! centre = n / (n + 16) * mean
//! ```
//!
//! as if sixteen shapes at the origin had been seen before: one shape keeps 16/17 of itself, a thousand lose
//! nearly all of what they share. It is continuous in `n`, so no library size behaves oddly.
//!
//! The centre is fixed when the index is built and kept in it: an index that grows keeps its scores.

use super::fault::Outcome;
use super::record;
use polyad_simd::dot;

/// Shapes at the origin that are taken to have been seen before.
const PRIOR: f64 = 16.0;

/// The centre of embeddings, and that of view vectors of length one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Centre {
    pub set: Vec<f32>,
    pub view: Vec<f32>,
}

impl Centre {
    /// A centre at the origin.
    pub fn none(set_width: usize, view_width: usize) -> Self {
        Centre { set: vec![0.0; set_width], view: vec![0.0; view_width] }
    }

    /// The centre of stored embeddings and of the stored views of each shape, in the order given: every shape has
    /// the same weight, whatever its number of views.
    pub fn measure<'a>(
        (set_width, view_width): (usize, usize),
        sets: impl Iterator<Item = Outcome<&'a [u8]>>,
        views: impl Iterator<Item = Outcome<&'a [u8]>>,
    ) -> Outcome<Centre> {
        let (mut set, mut view) = (Mean::new(set_width), Mean::new(view_width));
        let mut vector = vec![0.0; set_width];
        for bytes in sets {
            record::bytes_to_floats(bytes?, &mut vector);
            set.add(&vector, 1);
        }
        let (mut halves, mut all) = (Vec::new(), Vec::new());
        for bytes in views {
            record::bytes_to_views(bytes?, &mut halves, &mut all);
            let views = all.chunks_exact(view_width.max(1));
            let parts = views.len();
            views.for_each(|v| view.add(v, parts));
        }
        Ok(Centre { set: set.shrunk(), view: view.shrunk() })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = record::floats_to_bytes(&self.set);
        bytes.extend(record::floats_to_bytes(&self.view));
        bytes
    }

    /// `None` if the bytes are not a centre of these widths.
    pub fn from_bytes(bytes: &[u8], set_width: usize, view_width: usize) -> Option<Self> {
        let (set, view) = bytes.split_at_checked(set_width.checked_mul(4)?)?;
        if view.len() != view_width.checked_mul(4)? {
            return None;
        }
        let mut centre = Centre::none(set_width, view_width);
        record::bytes_to_floats(set, &mut centre.set);
        record::bytes_to_floats(view, &mut centre.view);
        Some(centre)
    }
}

/// Sums up vectors, and gives the shrunk mean.
struct Mean {
    sum: Vec<f64>,
    count: f64,
}

impl Mean {
    fn new(width: usize) -> Self {
        Mean { sum: vec![0.0; width], count: 0.0 }
    }

    /// One more vector, which has the weight of one shape divided by `parts`.
    fn add(&mut self, vector: &[f32], parts: usize) {
        let weight = 1.0 / parts as f64;
        for (sum, x) in self.sum.iter_mut().zip(vector) {
            *sum += weight * f64::from(*x);
        }
        self.count += weight;
    }

    fn shrunk(&self) -> Vec<f32> {
        self.sum.iter().map(|sum| (sum / (self.count + PRIOR)) as f32).collect()
    }
}

/// Takes the centre away from a vector and gives the length of what is left.
pub(super) fn take_away(centre: &[f32], vector: &mut [f32]) -> f64 {
    for (x, c) in vector.iter_mut().zip(centre) {
        *x -= c;
    }
    f64::from(dot(vector, vector)).sqrt()
}

/// The cosine from a product and two lengths; 0 where a vector has no direction.
pub(super) fn cosine(product: f32, a: f64, b: f64) -> f32 {
    let lengths = a * b;
    if lengths > 0.0 && lengths.is_finite() { (f64::from(product) / lengths).clamp(-1.0, 1.0) as f32 } else { 0.0 }
}
