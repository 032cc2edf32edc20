//! How a query and a tuple of keys make a score.
//!
//! Every form is a short list of signed products over features, and so p-linear in more channels: a channel is one
//! feature of each operand, or 1 where the operand is absent, with a sign. One kernel thus serves all forms.

use crate::element::Element;
use crate::error::{Result, problem};

/// The score of a query and one key of each axis, before the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ScoreForm {
    /// `Σ_l q_l k1_l k2_l ..`, any order (Alman & Song, arXiv 2310.04064). Order 2 is ordinary attention.
    #[default]
    Linear,
    /// The sum over chunks of three features of `det[q, k1, k2]`, and trilinear on the `d mod 3` features left over;
    /// order 3 (Roy et al., arXiv 2507.02754). The same for all operands rotated alike in every chunk.
    Determinant,
    /// `q·k1 + k1·k2 + k2·q`, order 3 (arXiv 2501.19215).
    Strassen,
    /// `q·k1 + k1·k2 + k2·k3 ..`, any order (arXiv 2602.02422).
    Tree,
}

impl ScoreForm {
    /// All forms.
    pub const ALL: [ScoreForm; 4] = [ScoreForm::Linear, ScoreForm::Determinant, ScoreForm::Strassen, ScoreForm::Tree];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ScoreForm::Linear => "linear",
            ScoreForm::Determinant => "determinant",
            ScoreForm::Strassen => "strassen",
            ScoreForm::Tree => "tree",
        }
    }

    /// The form of a name.
    pub fn from_name(name: &str) -> Result<Self> {
        match ScoreForm::ALL.into_iter().find(|form| form.name() == name) {
            Some(form) => Ok(form),
            None => {
                problem(format!("no score form is called {name:?}; there are linear, determinant, strassen and tree"))
            }
        }
    }

    /// The form over `order` operands of `width` features as p-linear channels.
    pub fn channels(self, order: usize, width: usize) -> Channels {
        let mut channels =
            Channels { signs: Vec::new(), features: vec![Vec::new(); order], plain: self == ScoreForm::Linear };
        match self {
            ScoreForm::Linear => (0..width).for_each(|l| channels.push(1.0, |_| Some(l))),
            ScoreForm::Determinant => {
                let whole = width - width % 3;
                for (sign, turn) in [(1.0, 1), (-1.0, 2)] {
                    // det[q, a, b] = Σ_l q_l (a_{l+1} b_{l+2} − a_{l+2} b_{l+1}), indices modulo 3 in a chunk.
                    for l in 0..whole {
                        let at = |by: usize| l / 3 * 3 + (l % 3 + by) % 3;
                        channels.push(sign, |operand| Some(at([0, turn, 3 - turn][operand])));
                    }
                }
                (whole..width).for_each(|l| channels.push(1.0, |_| Some(l)));
            }
            ScoreForm::Strassen => {
                for pair in [[0, 1], [1, 2], [2, 0]] {
                    (0..width).for_each(|l| channels.push(1.0, |operand| pair.contains(&operand).then_some(l)));
                }
            }
            ScoreForm::Tree => {
                for first in 0..order - 1 {
                    let pair = [first, first + 1];
                    (0..width).for_each(|l| channels.push(1.0, |operand| pair.contains(&operand).then_some(l)));
                }
            }
        }
        channels
    }
}

/// A form as p-linear channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Channels {
    /// The sign of each.
    pub signs: Vec<f32>,
    /// For each operand (0 the query) and channel, the feature; none where the operand is absent.
    pub features: Vec<Vec<Option<usize>>>,
    /// Whether the channels are the features as they are.
    pub plain: bool,
}

impl Channels {
    fn push(&mut self, sign: f32, feature: impl Fn(usize) -> Option<usize>) {
        self.signs.push(sign);
        for (operand, features) in self.features.iter_mut().enumerate() {
            features.push(feature(operand));
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.signs.len()
    }

    /// The channels of one token of an operand. `factor` and the signs go to the query alone.
    #[inline(always)]
    pub fn expand<E: Element>(&self, operand: usize, factor: f32, token: &[E], out: &mut [f32]) {
        if self.plain {
            let factor = if operand == 0 { factor } else { 1.0 };
            return out.iter_mut().zip(token).for_each(|(out, x)| *out = x.wide() * factor);
        }
        for ((out, feature), sign) in out.iter_mut().zip(&self.features[operand]).zip(&self.signs) {
            let value = feature.map_or(1.0, |l| token[l].wide());
            *out = if operand == 0 { value * factor * sign } else { value };
        }
    }

    /// Adds the gradient of a token's channels to that of its features.
    #[inline(always)]
    pub fn collapse(&self, operand: usize, factor: f32, gradient: impl Iterator<Item = f32>, out: &mut [f32]) {
        for ((gradient, feature), sign) in gradient.zip(&self.features[operand]).zip(&self.signs) {
            if let Some(l) = feature {
                out[*l] += if operand == 0 { gradient * factor * sign } else { gradient };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The score by the channels.
    fn score(form: ScoreForm, tokens: &[&[f32]]) -> f32 {
        let channels = form.channels(tokens.len(), tokens[0].len());
        let mut product = vec![1.0; channels.count()];
        let mut own = vec![0.0; channels.count()];
        for (operand, token) in tokens.iter().enumerate() {
            channels.expand(operand, 1.0, token, &mut own);
            product.iter_mut().zip(&own).for_each(|(all, own)| *all *= own);
        }
        product.iter().sum()
    }

    #[test]
    fn forms_by_hand() {
        let (q, a, b) = ([1.0, 2.0, 3.0, 5.0], [4.0, 1.0, 0.0, 2.0], [2.0, 2.0, 1.0, 3.0]);
        // Rows (1 2 3), (4 1 0), (2 2 1): 1·1 − 2·4 + 3·6 = 11, and the fourth feature 5·2·3.
        assert_eq!(score(ScoreForm::Determinant, &[&q, &a, &b]), 11.0 + 30.0);
        assert_eq!(score(ScoreForm::Linear, &[&q, &a, &b]), 8.0 + 4.0 + 0.0 + 30.0);
        let (qa, ab, bq) = (16.0, 16.0, 24.0);
        assert_eq!(score(ScoreForm::Strassen, &[&q, &a, &b]), qa + ab + bq);
        assert_eq!(score(ScoreForm::Tree, &[&q, &a, &b]), qa + ab);
        assert_eq!(score(ScoreForm::Tree, &[&q, &a]), qa);
    }

    #[test]
    fn names_round_trip() {
        for form in ScoreForm::ALL {
            assert_eq!(ScoreForm::from_name(form.name()), Ok(form));
        }
        assert!(ScoreForm::from_name("cubic").is_err());
    }
}
