//! Trained networks at work outside the training stack: slices in, slices out, nothing of a tensor framework.
//!
//! A [`Network`] is read from one file, whose format `file` describes byte by byte, and embeds the views of a shape.
//! Its heart, an [`ImageNetwork`] turns pictures into vectors at the machine's limit:
//!
//! 1. [`Packed`]: weights with norms folded in, in blocks of 16 channels.
//! 2. `plan`: the network is a list of steps over values; few buffers hold them in turn. ReLU, ReLU6, residual
//!    additions and element-wise products are the ends of convolutions. A [`Builder`] makes one and refuses what does
//!    not fit.
//! 3. `run`: images go through all steps in groups small enough for the caches. Threads take groups where there are
//!    enough images, and parts of each step (pixels or output channels) where there are not. Either way every number is
//!    the sum of the same terms in the same order: the bytes do not depend on the number of threads.
//!
//! The kernels are `polyad_simd::conv`'s.

mod attention;
mod builder;
mod encoder;
mod error;
mod file;
mod image_network;
mod linear;
mod network;
mod packed;
mod plan;
mod run;

pub use attention::Attention;
pub use builder::Builder;
pub use encoder::Block;
pub use error::{Error, Result};
pub use file::{File, Precision};
pub use image_network::{ImageNetwork, PICTURE};
pub use linear::{Affine, LayerNorm, Linear};
pub use network::{HeadLayer, Input, Network, Parts, Projection};
pub use packed::{Packed, Weights};
pub use plan::{Id, Operand, Padding, Plan, same};
