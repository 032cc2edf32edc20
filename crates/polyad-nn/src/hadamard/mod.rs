//! Layers whose heart is the Hadamard product, in the four domains of the survey arXiv 2504.13112.
//!
//! Each is a product of maps of its inputs, and what stands around it:
//!
//! | shape | equation | who |
//! |---|---|---|
//! | product of branches | `y = C(f(x) ∘ g(x))` | star operation, simple gate, bilinear fusion, gated linear units |
//! | recursion by products | `y_n = (U_n x + b_n) ∘ y_{n−1} (+ y_{n−1})` | Π-nets, cross networks, recursive gated convolution |
//! | modulation by a second signal | `y = γ(c) ∘ x + β(c)` | conditional normalisation, gates, masks, products of weights |
//! | aggregate, then modulate | `y_i = q_i ∘ Σ_j w_ij k_j ∘ v_j` | relatives of attention whose cost is linear in the tokens |
//!
//! A layer is made by its `...Config` and describes itself to [`audit`](mod@audit) in the words of its `forward`.

pub mod audit;
pub mod correlation;
mod fourier;
pub mod fusion;
pub mod modulation;
pub mod pairwise;
pub mod published;

#[cfg(test)]
pub(crate) mod check;

use burn::tensor::{Tensor, TensorData};

/// A tensor of these numbers on the device and in the precision of another.
fn constant<const D: usize, const E: usize>(numbers: Vec<f64>, shape: [usize; D], like: &Tensor<E>) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers, shape), (&like.device(), like.dtype()))
}
