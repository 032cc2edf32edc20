//! The smooth fill: Laplace's equation in the hole, known pixels at its border.
//!
//! ```text
//! Σ over the neighbours n of p inside the picture of (u_p − u_n) = 0      for each missing pixel p
//! ```
//!
//! A missing pixel at the picture's edge has fewer neighbours, which is Neumann's condition. The equations are symmetric
//! and positive definite; conjugate gradients solve them, in the hole's pixels only.

use super::mask::Mask;

/// Residuals that are this small beside the first ones change no pixel by a thousandth of a grey level.
const TOLERANCE: f64 = 1e-6;

/// The missing pixels and who their neighbours are.
struct Equations {
    /// Place in the picture of each unknown.
    places: Vec<usize>,
    /// Unknowns around each, `u32::MAX` where a neighbour is known or outside.
    around: Vec<[u32; 4]>,
    /// Neighbours inside the picture.
    degree: Vec<f64>,
}

const NONE: u32 = u32::MAX;

impl Equations {
    fn new(mask: &Mask) -> Self {
        let mut number = vec![NONE; mask.holes.len()];
        let places: Vec<usize> = (0..mask.holes.len()).filter(|at| mask.holes[*at]).collect();
        for (index, place) in places.iter().enumerate() {
            number[*place] = index as u32;
        }
        let of = |place: &usize| neighbours(mask, *place).map(|at| at.map_or(NONE, |at| number[at]));
        let degree = |place: &usize| neighbours(mask, *place).iter().flatten().count() as f64;
        Equations { around: places.iter().map(of).collect(), degree: places.iter().map(degree).collect(), places }
    }

    /// `A x`
    fn apply(&self, x: &[f64], out: &mut [f64]) {
        for ((out, around), (degree, own)) in out.iter_mut().zip(&self.around).zip(self.degree.iter().zip(x)) {
            let others: f64 = around.iter().filter(|at| **at != NONE).map(|at| x[*at as usize]).sum();
            *out = degree * own - others;
        }
    }

    /// Conjugate gradients (Hestenes and Stiefel, 1952), preconditioned by the diagonal, from `x`.
    fn solve(&self, right: &[f64], x: &mut [f64]) {
        let mut applied = vec![0.0; x.len()];
        self.apply(x, &mut applied);
        let mut residual: Vec<f64> = right.iter().zip(&applied).map(|(b, a)| b - a).collect();
        let condition = |residual: &[f64]| -> Vec<f64> {
            // A lone missing pixel in a picture of one has no neighbours at all.
            residual.iter().zip(&self.degree).map(|(r, degree)| r / degree.max(1.0)).collect()
        };
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let mut step = condition(&residual);
        let mut energy = dot(&residual, &step);
        let enough = energy * TOLERANCE * TOLERANCE;
        // Exact arithmetic would need no more rounds than there are unknowns.
        for _ in 0..x.len() {
            if energy <= enough || energy == 0.0 {
                break;
            }
            self.apply(&step, &mut applied);
            let length = energy / dot(&step, &applied);
            for ((x, residual), (step, applied)) in x.iter_mut().zip(&mut residual).zip(step.iter().zip(&applied)) {
                *x += length * step;
                *residual -= length * applied;
            }
            let conditioned = condition(&residual);
            let next = dot(&residual, &conditioned);
            for (step, conditioned) in step.iter_mut().zip(conditioned) {
                *step = conditioned + next / energy * *step;
            }
            energy = next;
        }
    }
}

/// Above, below, left and right of a pixel, where the picture has them.
fn neighbours(mask: &Mask, place: usize) -> [Option<usize>; 4] {
    let (x, y) = (place % mask.width, place / mask.width);
    [
        (y > 0).then(|| place - mask.width),
        (y + 1 < mask.height).then(|| place + mask.width),
        (x > 0).then(|| place - 1),
        (x + 1 < mask.width).then(|| place + 1),
    ]
}

/// Fills the holes of planes of numbers, each `[height][width]` and on its own. Where nothing is known the numbers stay.
/// Cost: some hundred rounds over the missing pixels, more where a hole is wide.
///
/// # Panics
/// Where a plane has not the mask's size.
pub fn fill(planes: &mut [Vec<f32>], mask: &Mask) {
    let equations = Equations::new(mask);
    if equations.places.is_empty() || equations.places.len() == mask.holes.len() {
        return;
    }
    for plane in planes {
        assert_eq!(plane.len(), mask.holes.len(), "a plane has the mask's size");
        let known = |at: &usize| !mask.holes[*at];
        let right: Vec<f64> = equations
            .places
            .iter()
            .map(|place| {
                neighbours(mask, *place).into_iter().flatten().filter(known).map(|at| f64::from(plane[at])).sum()
            })
            .collect();
        let (sum, count) =
            (0..plane.len()).filter(known).fold((0.0, 0.0), |(s, n), at| (s + f64::from(plane[at]), n + 1.0));
        let mut x = vec![sum / count; right.len()];
        equations.solve(&right, &mut x);
        for (place, x) in equations.places.iter().zip(x) {
            plane[*place] = x as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: usize, height: usize, is_hole: impl Fn(usize, usize) -> bool) -> Mask {
        Mask { width, height, holes: (0..width * height).map(|at| is_hole(at % width, at / width)).collect() }
    }

    #[test]
    fn a_plane_is_its_own_fill_and_each_missing_pixel_is_the_mean_of_its_neighbours() {
        // A linear function is harmonic, and inside the picture the hole's border decides it.
        let mask = mask(31, 23, |x, y| (5..20).contains(&x) && (4..18).contains(&y));
        let ramp: Vec<f32> = (0..31 * 23).map(|at| (at % 31) as f32 * 3.0 - (at / 31) as f32).collect();
        let mut planes = [ramp.clone()];
        for (value, hole) in planes[0].iter_mut().zip(&mask.holes) {
            *value = if *hole { 999.0 } else { *value };
        }
        fill(&mut planes, &mask);
        let off = planes[0].iter().zip(&ramp).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-3, "{off}");
    }

    #[test]
    fn a_hole_at_the_edge_takes_what_is_beside_it() {
        let mask = mask(4, 1, |x, _| x > 0);
        let mut planes = [vec![7.0, 0.0, 0.0, 0.0]];
        fill(&mut planes, &mask);
        assert!(planes[0].iter().all(|value| (value - 7.0).abs() < 1e-4), "{planes:?}");
    }

    #[test]
    fn nothing_missing_and_nothing_known_change_nothing() {
        for everywhere in [false, true] {
            let mut planes = [vec![1.0, 2.0]];
            fill(&mut planes, &mask(2, 1, |_, _| everywhere));
            assert_eq!(planes[0], [1.0, 2.0]);
        }
    }
}
