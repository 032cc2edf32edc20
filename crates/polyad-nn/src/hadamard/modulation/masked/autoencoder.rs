//! The masking of masked autoencoders: most tokens are removed, an encoder sees the rest, and the loss is on what was
//! removed (He et al., arXiv 2111.06377).

use crate::error::{Error, Result, nonzero, probability};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::tensor::{DType, Device, Distribution, Int, Tensor};

/// How tokens are removed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomMaskingConfig {
    /// How many there are, L.
    pub tokens: usize,
    /// The share that is removed, p; published: 0.75.
    pub ratio: f64,
}

/// Removes all but ⌊L (1 − p)⌋ tokens of each sample, at random, in training and out of it.
#[derive(Module, Debug)]
pub struct RandomMasking {
    tokens: usize,
    kept: usize,
}

/// Which tokens of each sample stay, and where all belong.
#[derive(Debug, Clone)]
pub struct Masking {
    /// `[n, kept]`: the tokens that stay, in the order in which the encoder sees them.
    pub keep: Tensor<2, Int>,
    /// `[n, L]`: for each place, which of the shuffled tokens (kept ones first) belongs there.
    pub restore: Tensor<2, Int>,
}

impl RandomMaskingConfig {
    /// Makes the layer. No tokens, a share outside [0, 1) and one that leaves no token are refused.
    pub fn init(&self) -> Result<RandomMasking> {
        let RandomMaskingConfig { tokens, ratio } = *self;
        nonzero("masking", &[("tokens", tokens)])?;
        probability("masking", "ratio", ratio)?;
        // 10 · (1 − 0.9) is just below 1 in floating point, and one token should stay.
        let kept = (tokens as f64 * (1.0 - ratio) * (1.0 + 1e-12)).floor() as usize;
        if kept == 0 {
            return Err(Error::config("masking", format!("of {tokens} tokens, ratio {ratio} leaves none")));
        }
        Ok(RandomMasking { tokens, kept: kept.min(tokens) })
    }
}

impl RandomMasking {
    /// How many tokens of a sample stay.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// A masking for each of n samples, drawn from Burn's generator (which `Device::seed` sets).
    pub fn draw(&self, samples: usize, device: &Device) -> Masking {
        let noise = Tensor::random([samples, self.tokens], Distribution::Uniform(0.0, 1.0), (device, DType::F32));
        self.by_noise(noise)
    }

    /// The masking that keeps the tokens of least noise.
    ///
    /// # Shapes
    /// - noise: `[n, L]`
    pub fn by_noise(&self, noise: Tensor<2>) -> Masking {
        let shuffle = noise.argsort(1);
        Masking { keep: shuffle.clone().narrow(1, 0, self.kept), restore: shuffle.argsort(1) }
    }

    /// All tokens to those that stay, or back: tokens move, none is computed.
    pub fn describe(&self, trace: &mut Trace, tokens: &Signal) -> Signal {
        trace.relocate("kept", &[tokens], &[self.kept, tokens.shape()[1]])
    }
}

impl Masking {
    /// The tokens that stay.
    ///
    /// # Shapes
    /// - tokens: `[n, L, features]`
    /// - output: `[n, kept, features]`
    pub fn keep(&self, tokens: Tensor<3>) -> Tensor<3> {
        let features = tokens.dims()[2];
        tokens.gather(1, self.keep.clone().unsqueeze_dim::<3>(2).repeat_dim(2, features))
    }

    /// Tokens back at their places, and `hidden` at the places of those that were removed.
    ///
    /// # Shapes
    /// - kept: `[n, kept, features]`
    /// - hidden: `[features]`
    /// - output: `[n, L, features]`
    pub fn restore(&self, kept: Tensor<3>, hidden: Tensor<1>) -> Tensor<3> {
        let [samples, count, features] = kept.dims();
        let removed = self.restore.dims()[1] - count;
        let shuffled = if removed > 0 {
            let hidden = hidden.reshape([1, 1, features]).expand([samples, removed, features]);
            Tensor::cat(vec![kept, hidden], 1)
        } else {
            kept
        };
        shuffled.gather(1, self.restore.clone().unsqueeze_dim::<3>(2).repeat_dim(2, features))
    }

    /// 1 for each token that was removed, 0 for each that stays.
    ///
    /// # Shapes
    /// - output: `[n, L]`
    pub fn removed(&self) -> Tensor<2> {
        self.restore.clone().greater_equal_scalar(self.keep.dims()[1] as i64).float()
    }

    /// The mean over removed tokens of the mean squared error of their numbers; 0 where none was removed.
    ///
    /// # Shapes
    /// - prediction, target: `[n, L, features]`
    /// - output: `[1]`
    pub fn loss(&self, prediction: Tensor<3>, target: Tensor<3>) -> Tensor<1> {
        let [samples, tokens, _] = prediction.dims();
        let removed = self.removed().cast(prediction.dtype());
        let errors = (prediction - target).square().mean_dim(2).reshape([samples, tokens]);
        let count = samples * (tokens - self.keep.dims()[1]);
        (errors * removed).sum().div_scalar(count.max(1) as f64)
    }
}

/// Each patch less its mean, over its standard deviation: the target that gives the better features. The variance is
/// the unbiased one, as published, plus 1e-6; a patch has at least two numbers.
///
/// # Shapes
/// - patches, output: `[n, L, features]`
pub fn normalise_patches(patches: Tensor<3>) -> Tensor<3> {
    let (variance, mean) = patches.clone().var_mean(2);
    (patches - mean) / variance.add_scalar(1e-6).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, doubles, gradients, numbers, wave};

    fn made(tokens: usize, ratio: f64) -> RandomMasking {
        RandomMaskingConfig { tokens, ratio }.init().expect("sizes")
    }

    fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Vec<i64> {
        tensor.into_data().convert::<i64>().try_into_vec().expect("integers")
    }

    /// Two samples of 5 tokens, of which tokens 3 and 0, and 1 and 2, stay.
    fn worked(device: &Device) -> Masking {
        let noise = vec![0.2, 0.9, 0.5, 0.1, 0.3, 0.6, 0.0, 0.1, 0.9, 0.7];
        made(5, 0.6).by_noise(doubles(noise, [2, 5], device))
    }

    #[test]
    fn tokens_of_least_noise_stay_in_its_order() {
        let device = Device::flex();
        let masking = worked(&device);
        assert_eq!(integers(masking.keep.clone()), [3, 0, 1, 2]);
        assert_eq!(integers(masking.restore.clone()), [1, 4, 3, 0, 2, 2, 0, 1, 4, 3]);
        assert_eq!(numbers(masking.removed()), [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        let tokens = doubles((0..20).map(f64::from).collect(), [2, 5, 2], &device);
        let kept = masking.keep(tokens);
        assert_eq!(numbers(kept.clone()), [6.0, 7.0, 0.0, 1.0, 12.0, 13.0, 14.0, 15.0]);
        let restored = masking.restore(kept, doubles(vec![-1.0, -2.0], [2], &device));
        let hidden = [-1.0, -2.0];
        let wanted =
            [[0.0, 1.0], hidden, hidden, [6.0, 7.0], hidden, hidden, [12.0, 13.0], [14.0, 15.0], hidden, hidden];
        assert_eq!(numbers(restored), wanted.concat());
    }

    #[test]
    fn as_many_stay_as_the_ratio_says() {
        for (tokens, ratio, kept) in
            [(196, 0.75, 49), (10, 0.9, 1), (7, 0.5, 3), (7, 0.0, 7), (1, 0.0, 1), (100, 0.99, 1)]
        {
            let masking = made(tokens, ratio);
            assert_eq!(masking.kept(), kept, "{tokens} tokens, {ratio}");
            let drawn = masking.draw(3, &Device::flex());
            assert_eq!(drawn.keep.dims(), [3, kept]);
            let removed = numbers(drawn.removed().sum_dim(1));
            assert_eq!(removed, [(tokens - kept) as f64; 3]);
        }
    }

    #[test]
    fn tokens_that_stay_come_back_to_their_places() {
        let device = Device::flex();
        for (tokens, ratio) in [(9, 0.75), (16, 0.4), (5, 0.0)] {
            let drawn = made(tokens, ratio).draw(4, &device);
            let x = wave([4, tokens, 3], 0.7, &device);
            let hidden = Tensor::zeros([3], (&device, DType::F64));
            let restored = drawn.restore(drawn.keep(x.clone()), hidden);
            let stays = drawn.removed().cast(DType::F64).neg().add_scalar(1.0).reshape([4, tokens, 1]);
            assert_eq!(numbers(restored), numbers(x * stays));
        }
    }

    #[test]
    fn every_token_stays_as_often_as_another() {
        let drawn = made(8, 0.75).draw(8_000, &Device::flex());
        for removed in numbers(drawn.removed().mean_dim(0)) {
            // Six standard deviations of a mean of 8,000 draws of probability 3/4.
            assert!((removed - 0.75).abs() < 6.0 * (0.75f64 * 0.25 / 8_000.0).sqrt(), "{removed}");
        }
        let first = integers(drawn.keep.narrow(0, 0, 100));
        assert!(first.chunks(2).any(|keep| keep != &first[..2]), "samples have maskings of their own");
    }

    #[test]
    fn the_loss_is_on_removed_tokens_alone() {
        let device = Device::flex();
        let masking = worked(&device);
        let target = wave([2, 5, 2], 0.7, &device);
        let mut errors = vec![100.0; 20];
        for (token, error) in [(1, 1.0), (2, 2.0), (4, 3.0), (5, 0.0), (8, 4.0), (9, -1.0)] {
            errors[2 * token] = error;
            errors[2 * token + 1] = -error;
        }
        let prediction = target.clone() + doubles(errors, [2, 5, 2], &device);
        close(&numbers(masking.loss(prediction, target.clone())), &[31.0 / 6.0], 1e-12);
        let nothing = made(5, 0.0).draw(2, &device);
        assert_eq!(numbers(nothing.loss(target.clone().mul_scalar(2.0), target)), [0.0]);
    }

    #[test]
    fn normalised_patches_are_those_of_the_unbiased_variance() {
        // Mean 2.5; the squares of deviations add up to 5.
        let patch = doubles(vec![1.0, 3.0, 4.0, 2.0, 5.0, 5.0, 5.0, 5.0], [1, 2, 4], &Device::flex());
        let scale = 1.0 / (5.0f64 / 3.0 + 1e-6).sqrt();
        let wanted = [-1.5, 0.5, 1.5, -0.5].map(|x| x * scale);
        close(&numbers(normalise_patches(patch)), &[wanted, [0.0; 4]].concat(), 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let masking = worked(&device);
        let x = wave([2, 5, 2], 0.9, &device);
        let layer = made(5, 0.6);
        let hidden = doubles(vec![0.3, -0.4], [2], &device);
        gradients(layer.clone(), x.clone(), |_, x| {
            let kept = masking.keep(x);
            masking.restore(kept.clone() * kept, hidden.clone())
        });
        gradients(layer.clone(), x.clone(), |_, x| masking.loss(x, wave([2, 5, 2], 0.3, &device)));
        gradients(layer, x, |_, x| normalise_patches(x));
    }

    #[test]
    fn an_audit_sees_tokens_move() {
        let mut trace = Trace::new();
        let tokens = trace.input(&[196, 8]);
        let kept = made(196, 0.75).describe(&mut trace, &tokens);
        assert_eq!(kept.shape(), [49, 8]);
        let audit = trace.audit(&kept);
        assert_eq!((audit.multiply_adds, audit.plaintext_products, audit.log2_degree), (0, 0, Some(0.0)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |tokens, ratio| RandomMaskingConfig { tokens, ratio }.init().expect_err("refused").to_string();
        assert_eq!(refused(3, 0.75), "masking: of 3 tokens, ratio 0.75 leaves none");
        assert_eq!(refused(0, 0.75), "masking: tokens is 0");
        assert_eq!(refused(4, 1.0), "masking: ratio is 1, not in [0, 1)");
    }
}
