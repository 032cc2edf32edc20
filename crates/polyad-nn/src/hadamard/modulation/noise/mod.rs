//! Noise that multiplies: random masks on weights, blocks of a map, whole branches, steps of a recurrence.
//!
//! Noise is drawn where Burn's own dropout draws it: on autodiff devices, unless the layer is frozen. Anywhere else a
//! layer is the mean of its noise. Draws come from Burn's generator, so `Device::seed` repeats them.

mod drop_block;
mod drop_connect;
mod drop_path;
mod zoneout;

pub use drop_block::{DropBlock, DropBlockConfig};
pub use drop_connect::{DropConnect, DropConnectConfig};
pub use drop_path::{DropPath, DropPathConfig};
pub use zoneout::{Zoneout, ZoneoutConfig};

use burn::module::{Flag, Param};
use burn::tensor::{DType, Device, Distribution, Tensor};

/// Whether noise is drawn for tensors of this device.
fn is_drawn(training: &Param<Flag>, device: &Device) -> bool {
    training.is_enabled() && device.is_autodiff()
}

/// Ones with probability `p`, zeros elsewhere. Drawn in single precision, since in half p would be rounded to 1/2048.
fn ones<const D: usize>(shape: [usize; D], p: f64, device: &Device, dtype: DType) -> Tensor<D> {
    let draws = Tensor::<D>::random(shape, Distribution::Uniform(0.0, 1.0), (device, DType::F32));
    draws.lower_scalar(p).float().cast(dtype)
}

/// What the tests of all noise share.
#[cfg(test)]
mod statistics {
    /// Fails where the mean of `draws` is more than six standard deviations of a mean away from `wanted`: once in 10⁹
    /// runs.
    ///
    /// The tests of this crate share one generator and run side by side, so that a seed would not repeat their draws.
    #[track_caller]
    pub fn mean_is(draws: &[f64], wanted: f64) {
        let count = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / count;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let bound = 6.0 * (variance / count).sqrt() + 1e-12;
        assert!((mean - wanted).abs() <= bound, "a mean of {mean}, not {wanted}; bound {bound}");
    }
}
