//! AdaIN: each channel of a picture takes mean and spread of another picture's (Huang and Belongie, arXiv 1703.06868).
//!
//! Variances are those of the pixels themselves, divided by their number, as the paper has them; ports of the code
//! divide by one less, which gives NaN for maps of one pixel. Such a map has variance 0 here, and becomes the other's
//! mean.

use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::tensor::Tensor;

/// `σ(y) (x − μ(x)) / σ(x) + μ(y)`, with μ the mean of a channel's pixels and σ² their variance + ε. No parameters.
#[derive(Module, Debug)]
pub struct AdaIn {
    /// ε, 1e-5 where nothing is said.
    pub epsilon: f64,
}

impl Default for AdaIn {
    fn default() -> Self {
        AdaIn { epsilon: 1e-5 }
    }
}

impl AdaIn {
    /// # Shapes
    /// - `x`, output: `[n, channels, height, width]`
    /// - `y`: `[n, channels, ..]`, of any height and width
    pub fn forward(&self, x: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
        let ([x_mean, x_spread], [y_mean, y_spread]) = (self.statistics(x.clone()), self.statistics(y));
        y_spread * (x - x_mean) / x_spread + y_mean
    }

    /// μ and σ, `[n, channels, 1, 1]`.
    fn statistics(&self, x: Tensor<4>) -> [Tensor<4>; 2] {
        let mean = |x: Tensor<4>| x.mean_dim(3).mean_dim(2);
        let center = mean(x.clone());
        let variance = mean((x - center.clone()).square());
        [center, variance.add_scalar(self.epsilon).sqrt()]
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let channels = [x.shape()[0]];
        let mean = trace.mean("mean", y, &channels);
        let centred = trace.sum("centre", y, &mean);
        let squares = trace.product("square", &centred, &centred);
        let variance = trace.mean("variance", &squares, &channels);
        // A root of a statistic belongs to the norm, and is no activation function.
        let spread = trace.normalise("spread", 0, &variance);
        let x = trace.normalise("normalise", 0, x);
        let scaled = trace.product("scale", &x, &spread);
        trace.sum("shift", &scaled, &mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, gradients, numbers, wave};
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    #[test]
    fn it_is_what_pytorch_computes() {
        // x, y = wave(.7, 1, 2, 3, 2), wave(1.3, 1, 2, 2, 4); wave(scale, *shape): sin(scale (i + 1)), float64
        // var, mu = torch.var_mean(y, (2, 3), correction=0, keepdim=True)
        // F.instance_norm(x) * (var + 1e-5).sqrt() + mu
        let device = Device::flex();
        let out = AdaIn::default().forward(wave([1, 2, 3, 2], 0.7, &device), wave([1, 2, 2, 4], 1.3, &device));
        close(
            &numbers(out),
            &[
                0.485177571439588,
                0.855354201115641,
                0.722744949807802,
                0.149718020482856,
                -0.594223068204915,
                -1.159191197845485,
                -0.992577047305512,
                -0.655716653190613,
                -0.03407262050057,
                0.579986148734537,
                0.897658220410493,
                0.769537455455054,
            ],
            1e-12,
        );
    }

    #[test]
    fn of_a_map_of_one_pixel_the_mean_is_left() {
        let device = Device::flex();
        let y = wave([2, 3, 4, 5], 0.4, &device);
        let out = AdaIn::default().forward(wave([2, 3, 1, 1], 0.7, &device), y.clone());
        close(&numbers(out), &numbers(y.mean_dim(3).mean_dim(2)), 1e-14);
        // And as the other, its spread is √ε, its mean itself.
        let one = wave([2, 3, 1, 1], 0.7, &device);
        let out = AdaIn::default().forward(wave([2, 3, 4, 5], 0.4, &device), one.clone());
        close(&numbers(out.mean_dim(3).mean_dim(2)), &numbers(one), 1e-12);
    }

    #[test]
    fn a_picture_in_its_own_style_stays_as_it_is() {
        let x = wave([2, 3, 4, 5], 0.7, &Device::flex());
        close(&numbers(AdaIn::default().forward(x.clone(), x.clone())), &numbers(x), 1e-13);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let linear = || LinearConfig::new(3, 3).init(&device);
        let adain = AdaIn::default();
        let (x, y) = (wave([2, 3, 5, 3], 0.7, &device), wave([2, 3, 2, 4], 1.3, &device));
        gradients(linear(), x.clone(), |linear, x| adain.forward(linear.forward(x), y.clone()));
        gradients(linear(), x, |linear, x| adain.forward(y.clone(), linear.forward(x)));
        // Of one pixel, and of pixels that are all alike: differences of 1e-5 need a wider ε.
        let wide = AdaIn { epsilon: 0.1 };
        let one = wave([2, 3, 1, 3], 0.7, &device).narrow(3, 0, 1);
        let widened = LinearConfig::new(1, 1).init(&device);
        gradients(widened, one, |linear, x| wide.forward(linear.forward(x), y.clone()));
        let alike = wave::<4>([2, 3, 1, 1], 0.7, &device).repeat_dim(2, 2).repeat_dim(3, 3);
        gradients(linear(), alike, |linear, x| wide.forward(y.clone(), linear.forward(x)));
    }

    #[test]
    fn the_audit_knows_that_it_divides() {
        let mut trace = Trace::new();
        let (x, y) = (trace.input(&[3, 4, 5]), trace.input(&[3, 2, 2]));
        let out = AdaIn::default().describe(&mut trace, &x, &y);
        assert_eq!(out.shape(), [3, 4, 5]);
        let audit = trace.audit(&out);
        assert_eq!((audit.parameters, audit.multiply_adds, audit.ciphertext_products), (0, 0, 3 * 4 + 3 * 4 * 5));
        assert_eq!((audit.log2_degree, audit.activation_free, audit.only_add_mul), (None, true, false));
    }
}
