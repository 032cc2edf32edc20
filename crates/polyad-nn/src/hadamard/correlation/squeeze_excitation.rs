//! Squeeze and excitation: each channel times a gate that all channels' means decide (Hu et al., arXiv 1709.01507).
//!
//! Both maps have biases, as in public code; the paper's parameter count, `2C²/r`, leaves them out. The reduction must
//! divide the channels: public libraries round the quotient, each by its own rule.

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor};

/// How a [`SqueezeExcitation`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqueezeExcitationConfig {
    /// C.
    pub channels: usize,
    /// r, by which the channels are fewer between the two maps; 16 in the paper.
    pub reduction: usize,
}

/// `y = x ∘ σ(W_2 relu(W_1 x̄ + b_1) + b_2)`, `x̄` the mean of each channel. Parameters: `2C²/r + C/r + C`.
#[derive(Module, Debug)]
pub struct SqueezeExcitation {
    /// `[C, C / r]`
    pub squeeze: Linear,
    /// `[C / r, C]`
    pub excite: Linear,
}

impl SqueezeExcitationConfig {
    /// Makes the layer. Sizes of zero and a reduction that does not divide the channels are refused.
    pub fn init(&self, device: &Device) -> Result<SqueezeExcitation> {
        let SqueezeExcitationConfig { channels, reduction } = *self;
        nonzero("squeeze and excitation", &[("channels", channels), ("reduction", reduction)])?;
        if !channels.is_multiple_of(reduction) {
            let problem = format!("reduction {reduction} does not divide {channels} channels");
            return Err(Error::config("squeeze and excitation", problem));
        }
        let hidden = channels / reduction;
        Ok(SqueezeExcitation {
            squeeze: LinearConfig::new(channels, hidden).init(device),
            excite: LinearConfig::new(hidden, channels).init(device),
        })
    }
}

impl SqueezeExcitation {
    /// # Shapes
    /// - `x`, output: `[n, C, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [n, channels, _, _] = x.dims();
        let mean = x.clone().mean_dim(3).mean_dim(2).reshape([n, channels]);
        let gate = sigmoid(self.excite.forward(relu(self.squeeze.forward(mean))));
        x * gate.reshape([n, channels, 1, 1])
    }
}

impl Describe for SqueezeExcitation {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let mean = trace.mean("mean", &x, &x.shape()[..1]);
        let hidden = trace.linear("squeeze", &self.squeeze, &mean);
        let hidden = trace.activation("relu", 0, &hidden);
        let gate = trace.linear("excite", &self.excite, &hidden);
        let gate = trace.activation("sigmoid", 0, &gate);
        trace.product("product", &x, &gate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, golden, gradients, numbers, parameters, saves_and_loads, wave};

    const CONFIG: SqueezeExcitationConfig = SqueezeExcitationConfig { channels: 4, reduction: 2 };

    #[test]
    fn values_are_those_of_pytorch() {
        let layer = golden(CONFIG.init(&Device::flex()).expect("sizes"));
        // squeeze, excite = Linear(4, 2), Linear(2, 4), filled as `golden` fills them; x = sin(.3 (1 + arange(120)))
        // y = x * sigmoid(excite(relu(squeeze(x.mean((2, 3))))))[:, :, None, None]; y.sum(), y[1, :, 1, 2]
        let y = layer.forward(wave([2, 4, 3, 5], 0.3, &Device::flex()));
        let wanted = [0.55383582239, -0.123623669089, -0.440078616063, 0.293251339311];
        close(&numbers(y.clone().slice([1..2, 0..4, 1..2, 2..3])), &wanted, 1e-11);
        close(&numbers(y.sum()), &[2.3257852877369034], 1e-11);
    }

    #[test]
    fn it_scales_each_channel_and_moves_with_the_picture() {
        let layer = double(CONFIG.init(&Device::flex()).expect("sizes"));
        let x = wave([1, 4, 3, 5], 0.3, &Device::flex());
        let ratio = numbers(layer.forward(x.clone()) / x.clone());
        ratio.chunks(15).for_each(|channel| close(channel, &[channel[0]; 15], 1e-12));
        assert!(ratio.iter().all(|ratio| *ratio > 0.0 && *ratio < 1.0));
        let mirrored = layer.forward(x.clone().flip([3])).flip([3]);
        close(&numbers(mirrored), &numbers(layer.forward(x)), 1e-14);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        // Filled so that no hidden number is at the edge of ReLU.
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        gradients(layer, wave([2, 4, 3, 2], 0.9, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let config = SqueezeExcitationConfig { channels: 64, reduction: 16 };
        let layer = config.init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&layer, &[64, 7, 5]);
        let wanted = 2 * 64 * 64 / 16 + 64 / 16 + 64;
        assert_eq!((audit.parameters, parameters(&layer)), (wanted, wanted));
        assert_eq!((audit.multiply_adds, audit.ciphertext_products), (2 * 64 * 4, 64 * 35));
        assert!(!audit.activation_free && !audit.polynomial_at_inference && !audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        saves_and_loads(make(), make(), |layer| layer.forward(Tensor::ones([1, 4, 2, 3], &device)));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refusal = |channels, reduction| {
            SqueezeExcitationConfig { channels, reduction }.init(&Device::flex()).expect_err("refused").to_string()
        };
        assert_eq!(refusal(10, 4), "squeeze and excitation: reduction 4 does not divide 10 channels");
        assert_eq!(refusal(10, 0), "squeeze and excitation: reduction is 0");
    }
}
