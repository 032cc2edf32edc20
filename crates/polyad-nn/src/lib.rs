//! Burn modules of polyad: image networks, normalisation, attention among views.
//!
//! Every module is made by a `...Config` whose `init` refuses sizes that cannot be, and says the shapes of
//! its `forward`. Image networks carry the field names of torchvision, so that weights find their place by name.

pub mod attention;
pub mod backbone;
pub mod blocked;
pub mod engine;
pub mod error;
pub mod hadamard;
pub mod norm;

pub use error::{Error, Result};

/// Whether our kernels run on this device.
fn has_kernels(device: &burn::tensor::Device) -> bool {
    device.clone().inner() == burn::tensor::Device::flex()
}
