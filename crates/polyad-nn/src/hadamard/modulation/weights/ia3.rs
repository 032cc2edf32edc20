//! IA³: a layer's output or input scaled, one number a feature (Liu et al., arXiv 2205.05638).
//!
//! Keys and values are scaled behind their layers, so that merging scales the bias too; the hidden values of a feed-forward
//! network are the input of its second layer, whose bias stays.

use super::learning;
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;

/// What is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `l ∘ (W x + b)`: keys and values.
    Output,
    /// `W (l ∘ x) + b`: the second layer of a feed-forward network.
    Input,
}

/// How an [`Ia3`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ia3Config {
    /// See [`Side`].
    pub side: Side,
}

/// `l ∘ (W x + b)` or `W (l ∘ x) + b`
#[derive(Module, Debug)]
pub struct Ia3 {
    /// Frozen.
    pub base: Linear,
    /// l, `[outputs]` or `[inputs]`, at first 1.
    pub scale: Param<Tensor<1>>,
    #[module(skip)]
    side: Side,
}

impl Ia3Config {
    /// Freezes a layer. A layer of no size is refused.
    pub fn init(&self, base: Linear) -> Result<Ia3> {
        let [inputs, outputs] = base.weight.shape().dims();
        nonzero("IA³", &[("inputs", inputs), ("outputs", outputs)])?;
        let features = if self.side == Side::Output { outputs } else { inputs };
        let scale = Initializer::Ones.init([features], &base.weight.device());
        Ok(Ia3 { base: base.no_grad(), scale, side: self.side })
    }
}

impl Ia3 {
    /// # Shapes
    /// - `x`: `[.., inputs]`
    /// - output: `[.., outputs]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let scale = self.scale.val().unsqueeze();
        match self.side {
            Side::Output => self.base.forward(x) * scale,
            Side::Input => self.base.forward(x * scale),
        }
    }

    /// One layer that does the same, and learns.
    pub fn merge(&self) -> Linear {
        let (weight, scale) = (self.base.weight.val(), self.scale.val());
        let bias = self.base.bias.as_ref().map(Param::val);
        let (weight, bias) = match self.side {
            Side::Output => (weight * scale.clone().unsqueeze_dim::<2>(0), bias.map(|bias| bias * scale)),
            Side::Input => (weight * scale.unsqueeze_dim::<2>(1), bias),
        };
        Linear { weight: learning(weight), bias: bias.map(learning) }
    }
}

impl Describe for Ia3 {
    /// As merged: the scale costs numbers and no products with the input.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let features = self.scale.shape()[0];
        trace.constant("scale", features, &[features]);
        trace.linear("base", &self.base, &x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::base;
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    fn layer(side: Side, device: &Device) -> Ia3 {
        Ia3Config { side }.init(base(device)).expect("sizes")
    }

    #[test]
    fn the_bias_is_scaled_on_the_output_s_side_alone() {
        let device = Device::flex();
        let scaled = |side| {
            let mut ia3 = double(Ia3Config { side }.init(LinearConfig::new(1, 1).init(&device)).expect("sizes"));
            ia3.base.weight = Param::from_tensor(doubles(vec![2.0], [1, 1], &device));
            ia3.base.bias = Some(Param::from_tensor(doubles(vec![5.0], [1], &device)));
            ia3.scale = Param::from_tensor(doubles(vec![3.0], [1], &device));
            let x = doubles(vec![7.0], [1, 1], &device);
            (numbers(ia3.forward(x.clone())), numbers(ia3.merge().forward(x)))
        };
        assert_eq!(scaled(Side::Output), (vec![57.0], vec![57.0]));
        assert_eq!(scaled(Side::Input), (vec![47.0], vec![47.0]));
    }

    #[test]
    fn it_begins_as_the_frozen_layer_and_merges_into_one() {
        let device = Device::flex();
        let x = wave([2, 3, 4], 0.9, &device);
        for side in [Side::Output, Side::Input] {
            let ia3 = double(layer(side, &device));
            assert_eq!(numbers(ia3.forward(x.clone())), numbers(ia3.base.forward(x.clone())));
            let ia3 = golden(ia3);
            close(&numbers(ia3.merge().forward(x.clone())), &numbers(ia3.forward(x.clone())), 1e-13);
            assert_ne!(numbers(ia3.forward(x.clone())), numbers(ia3.base.forward(x.clone())));
        }
    }

    #[test]
    fn only_the_scale_learns() {
        let device = Device::flex().autodiff();
        let ia3 = layer(Side::Output, &device);
        let grads = ia3.forward(Tensor::<2>::ones([3, 4], &device)).sum().backward();
        assert!(ia3.base.weight.grad(&grads).is_none() && ia3.scale.grad(&grads).is_some());
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for side in [Side::Output, Side::Input] {
            gradients(golden(layer(side, &device)), wave([3, 4], 0.9, &device), |ia3, x| ia3.forward(x));
        }
    }

    #[test]
    fn it_is_counted_saved_and_loaded() {
        let device = Device::flex();
        for (side, features) in [(Side::Output, 6), (Side::Input, 4)] {
            let ia3 = layer(side, &device);
            let audit = Audit::of(&ia3, &[4]);
            assert_eq!((audit.parameters, audit.multiply_adds), (parameters(&ia3), 24));
            assert_eq!(audit.parameters, 24 + 6 + features);
            let forward = |ia3: &Ia3| ia3.forward(wave([3, 4], 0.9, &device));
            saves_and_loads(golden(ia3), double(layer(side, &device)), forward);
        }
    }
}
