//! The encoder of a View Set: pre-norm blocks in which the views of a shape take notice of each other.

use crate::attention::Attention;
use crate::error::{Result, unfit};
use crate::linear::{LayerNorm, Linear};
use polyad_simd::Level;
use std::f32::consts::FRAC_1_SQRT_2;

/// ```text
/// x = x + attention(norm(x))
/// x = x + contract(gelu(expand(mlp_norm(x))))
/// ```
#[derive(Debug)]
pub struct Block {
    /// Before attention.
    pub norm: LayerNorm,
    /// Among the views.
    pub attention: Attention,
    /// Before the hidden layer.
    pub mlp_norm: LayerNorm,
    /// To the hidden layer.
    pub expand: Linear,
    /// Back from it.
    pub contract: Linear,
}

impl Block {
    /// Refuses parts that do not fit together, for rows of `dim` numbers.
    pub(crate) fn check(&self, dim: usize) -> Result<()> {
        for norm in [&self.norm, &self.mlp_norm] {
            if norm.gamma.len() != dim {
                return unfit(format!("a norm of {} numbers in a block of {dim}", norm.gamma.len()));
            }
        }
        let (expand, contract) = (&self.expand, &self.contract);
        if (expand.inputs, contract.outputs) != (dim, dim) || expand.outputs != contract.inputs {
            return unfit(format!(
                "hidden layers of {} to {} and {} to {} in a block of {dim}",
                expand.inputs, expand.outputs, contract.inputs, contract.outputs
            ));
        }
        self.attention.check(dim)
    }

    /// # Shapes
    /// - x, output: `[n, dim]`
    pub(crate) fn run(&self, level: Level, x: Vec<f32>) -> Result<Vec<f32>> {
        let attended = self.attention.run(level, &self.norm.run(&x))?;
        let x = sum(x, &attended);
        let mut hidden = self.expand.run(level, &self.mlp_norm.run(&x));
        hidden.iter_mut().for_each(|x| *x = gelu(*x));
        Ok(sum(x, &self.contract.run(level, &hidden)))
    }
}

fn sum(mut x: Vec<f32>, y: &[f32]) -> Vec<f32> {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
    x
}

/// By the error function, not its approximation by a hyperbolic tangent.
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * FRAC_1_SQRT_2))
}
