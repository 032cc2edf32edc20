//! How often the class is right: confusion matrix, accuracies, and how far to trust them.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The normal quantile of 97.5 %, for two-sided intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// How often each class was taken for which. As JSON `{"classes":[..],"counts":[truth][predicted]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `counts[truth][predicted]`, square.
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// An empty matrix of `classes`.
    pub fn new(classes: Vec<String>) -> Self {
        let counts = vec![vec![0; classes.len()]; classes.len()];
        Confusion { classes, counts }
    }

    /// The matrix of predictions, one of each shape.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are not as many of both, or one is no class.
    pub fn of(classes: Vec<String>, truth: &[usize], predicted: &[usize]) -> Result<Self> {
        if truth.len() != predicted.len() {
            let message = format!("{} true classes but {} predicted ones", truth.len(), predicted.len());
            return Err(Error::Invalid(message));
        }
        let mut confusion = Confusion::new(classes);
        for (t, p) in truth.iter().zip(predicted) {
            confusion.add(*t, *p)?;
        }
        Ok(confusion)
    }

    /// Counts one shape.
    ///
    /// # Errors
    /// [`Error::Invalid`] if either is no class.
    pub fn add(&mut self, truth: usize, predicted: usize) -> Result<()> {
        let count = self.counts.get_mut(truth).and_then(|row| row.get_mut(predicted));
        let wrong = || Error::Invalid(format!("class {} of {}", truth.max(predicted), self.classes.len()));
        *count.ok_or_else(wrong)? += 1;
        Ok(())
    }

    /// Number of shapes.
    pub fn shapes(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Number of shapes whose class was right.
    pub fn right(&self) -> u64 {
        self.counts.iter().enumerate().filter_map(|(class, row)| row.get(class)).sum()
    }

    /// Share of the shapes whose class was right; `None` without shapes.
    pub fn instance_accuracy(&self) -> Option<f64> {
        (self.shapes() > 0).then(|| self.right() as f64 / self.shapes() as f64)
    }

    /// Wilson's 95 % interval of the instance accuracy; `None` without shapes.
    pub fn instance_interval(&self) -> Option<[f64; 2]> {
        wilson(self.right(), self.shapes())
    }

    /// Mean over the classes that have shapes of the share that was right; `None` without shapes.
    pub fn class_accuracy(&self) -> Option<f64> {
        let mut shares = Vec::new();
        for (class, row) in self.counts.iter().enumerate() {
            let total: u64 = row.iter().sum();
            if total > 0 {
                shares.push(row.get(class).copied().unwrap_or(0) as f64 / total as f64);
            }
        }
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }
}

/// Wilson's 95 % score interval of a share, inside `[0, 1]`; `None` of no trials.
///
/// Unlike the share plus or minus two deviations it is never empty, also where everything was right.
pub fn wilson(right: u64, trials: u64) -> Option<[f64; 2]> {
    if trials == 0 {
        return None;
    }
    let (n, p, z2) = (trials as f64, right as f64 / trials as f64, Z * Z);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let low = if right == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if right == trials { 1.0 } else { (centre + half).min(1.0) };
    Some([low, high])
}
