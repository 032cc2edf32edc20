//! The star operation on vectors: two linear maps of the same input, multiplied (Ma et al., Rewrite the Stars, arXiv
//! 2403.19967).
//!
//! With biases the outputs of one layer span all polynomials of degree 2, a space of `C(d+2, 2)`; those of L such
//! layers, one behind the other and wide enough, all of degree `2^L`: `C(d + 2^L, 2^L)`. (The paper's `(d/√2)^(2^L)` is
//! neither a bound nor the limit for large d once L is 2.)

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`StarLayer`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StarLayerConfig {
    /// Numbers of the input.
    pub inputs: usize,
    /// Numbers of the output.
    pub outputs: usize,
    /// Whether both maps have biases. Without, only terms of degree 2 remain.
    pub has_bias: bool,
}

/// `y = (W_1 x + b_1) ∘ (W_2 x + b_2)`
#[derive(Module, Debug)]
pub struct StarLayer {
    /// `[in, out]`
    pub f1: Linear,
    /// `[in, out]`
    pub f2: Linear,
}

impl StarLayerConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<StarLayer> {
        nonzero("star layer", &[("inputs", self.inputs), ("outputs", self.outputs)])?;
        let branch = LinearConfig::new(self.inputs, self.outputs).with_bias(self.has_bias);
        Ok(StarLayer { f1: branch.init(device), f2: branch.init(device) })
    }
}

impl StarLayer {
    /// # Shapes
    /// - `x`: `[.., in]`
    /// - output: `[.., out]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.f1.forward(x.clone()) * self.f2.forward(x)
    }
}

impl Describe for StarLayer {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let one = trace.linear("f1", &self.f1, &x);
        let other = trace.linear("f2", &self.f2, &x);
        trace.product("star", &one, &other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, doubles, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::correlation::exact::{self, Residue, degree, points, rank, whole, whole_numbers};
    use burn::module::Param;

    fn layer(inputs: usize, outputs: usize, has_bias: bool) -> StarLayer {
        StarLayerConfig { inputs, outputs, has_bias }.init(&Device::flex()).expect("sizes")
    }

    /// `forward` by plain loops.
    fn plain<T: exact::Number>(layer: &StarLayer, x: &[T]) -> Vec<T> {
        exact::times(&exact::linear(&layer.f1, x), &exact::linear(&layer.f2, x))
    }

    #[test]
    fn values_are_those_of_plain_loops() {
        let layer = double(layer(3, 5, true));
        let x = vec![0.5, -1.5, 2.0];
        close(&numbers(layer.forward(doubles(x.clone(), [1, 3], &Device::flex()))), &plain(&layer, &x), 1e-13);
    }

    /// Rank of the outputs of layers one behind the other, over more points than outputs.
    fn span(layers: &[StarLayer], inputs: usize) -> usize {
        let outputs = |x: Vec<i64>| layers.iter().fold(whole_numbers::<Residue>(&x), |x, layer| plain(layer, &x));
        rank(points(120, inputs).into_iter().map(outputs).collect())
    }

    #[test]
    fn one_layer_spans_all_polynomials_of_degree_two() {
        for (inputs, with_bias) in [(2, 6), (3, 10), (4, 15), (8, 45)] {
            assert_eq!(span(&[whole(layer(inputs, 60, true))], inputs), with_bias);
            assert_eq!(span(&[whole(layer(inputs, 60, false))], inputs), inputs * (inputs + 1) / 2);
        }
        assert_eq!(span(&[whole(layer(3, 7, true))], 3), 7, "no more than the width");
    }

    #[test]
    fn two_layers_span_all_polynomials_of_degree_four() {
        for (inputs, wanted) in [(2, 15), (3, 35)] {
            assert_eq!(span(&[whole(layer(inputs, 40, true)), whole(layer(40, 60, true))], inputs), wanted);
        }
    }

    /// Star layers around which their inputs pass.
    struct Stack(Vec<StarLayer>);

    impl Describe for Stack {
        fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
            self.0.iter().fold(x, |x, layer| {
                let star = layer.describe(trace, x.clone());
                trace.sum("residual", &star, &x)
            })
        }
    }

    #[test]
    fn each_layer_of_a_residual_stack_doubles_the_degree() {
        for depth in [1, 3, 5, 7] {
            let stack = Stack((0..depth).map(|_| whole(layer(4, 4, true))).collect());
            let value = |t: i64| {
                let x = whole_numbers::<Residue>(&[t, 1 - t, 2 + 3 * t, 5]);
                stack.0.iter().fold(x, |x, layer| exact::plus(&plain(layer, &x), &x))
            };
            assert_eq!(degree((1 << depth) + 2, value), Some(1 << depth));
            let audit = Audit::of(&stack, &[4]);
            assert_eq!((audit.log2_degree, audit.product_depth), (Some(depth as f64), Some(depth)));
        }
    }

    #[test]
    fn one_product_is_exclusive_or() {
        let device = Device::flex();
        let mut xor = double(layer(2, 1, false));
        let weight = |numbers: [f64; 2]| Param::from_tensor(doubles(numbers.to_vec(), [2, 1], &device));
        (xor.f1.weight, xor.f2.weight) = (weight([1.0, 0.0]), weight([0.0, 1.0]));
        let corners = doubles(vec![1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0], [4, 2], &device);
        assert_eq!(numbers(xor.forward(corners.clone())), [1.0, -1.0, -1.0, 1.0]);
        // A sum of the branches is affine: both diagonals have the same sum, and so not one of −2 and one of 2.
        let affine = double(layer(2, 1, true));
        let sum = numbers(affine.f1.forward(corners.clone()) + affine.f2.forward(corners));
        close(&[sum[0] + sum[3]], &[sum[1] + sum[2]], 1e-14);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let config = StarLayerConfig { inputs: 3, outputs: 5, has_bias: true };
        gradients(config.init(&device).expect("sizes"), wave([2, 3], 0.9, &device), |layer, x| layer.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = layer(3, 5, true);
        let audit = Audit::of(&layer, &[3]);
        assert_eq!((audit.parameters, parameters(&layer)), (2 * (3 * 5 + 5), 2 * (3 * 5 + 5)));
        assert_eq!((audit.multiply_adds, audit.ciphertext_products), (2 * 3 * 5, 5));
        assert_eq!((audit.log2_degree, audit.product_depth), (Some(1.0), Some(1)));
        assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let x = Tensor::<2>::ones([2, 3], &Device::flex());
        saves_and_loads(layer(3, 4, true), layer(3, 4, true), |layer| layer.forward(x.clone()));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let config = StarLayerConfig { inputs: 0, outputs: 5, has_bias: true };
        assert_eq!(config.init(&Device::flex()).expect_err("none").to_string(), "star layer: inputs is 0");
    }
}
