//! Products of weights: a frozen layer changed by few numbers, which in the end become a part of its weight.
//!
//! | change | new weight | numbers | rank of the change, at most |
//! |---|---|---|---|
//! | [`Lora`] (no product; the one to compare with) | `W + (α/r) B A` | `r(o + i)` | r |
//! | [`Loha`] | `W + (α/r) (A₁B₁) ∘ (A₂B₂)` | `2r(o + i)` | r² |
//! | [`Lokr`] | `W + W₁ ⊗ W₂` | `o₁i₁ + o₂i₂` | rank W₁ · rank W₂ |
//! | [`Hira`] | `W + W ∘ (B A)` | `r(o + i)` | r · rank W |
//! | [`Dora`] | `m ∘ V / ‖V‖`, `V = W + (α/r) B A` | `r(o + i) + o` | any |
//! | [`Ia3`] | `l ∘ (W x + b)` or `W (l ∘ x) + b` | o or i | any |
//!
//! All begin as the frozen layer itself. Weights are `[outputs, inputs]` here, as in the papers; a convolution's are
//! `[out, in / groups · height · width]`. (Burn itself attaches LoRA to whole networks, `Module::apply_lora`.)
//!
//! LoHa can reach rank r² where LoRA of as many numbers reaches 2r: no difference at r = 2.

mod dora;
mod hira;
mod ia3;
mod loha;
mod lokr;
mod lora;

pub use dora::{Dora, DoraConfig};
pub use hira::{Hira, HiraConfig};
pub use ia3::{Ia3, Ia3Config, Side};
pub use loha::{Loha, LohaConfig};
pub use lokr::{Lokr, LokrConfig};
pub use lora::{Lora, LoraConfig};

use crate::error::{Error, Result};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, ModuleDisplay, Param, ParamId};
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor};

/// A change of a weight that is made of few numbers.
pub trait WeightChange: Module + ModuleDisplay {
    /// The weights that it fits, `[outputs, inputs]`.
    fn shape(&self) -> [usize; 2];

    /// ΔW.
    ///
    /// # Shapes
    /// - `weight`, output: `[outputs, inputs]`
    fn delta(&self, weight: Tensor<2>) -> Tensor<2>;

    /// `W + ΔW`
    ///
    /// # Shapes
    /// - `weight`, output: `[outputs, inputs]`
    fn changed(&self, weight: Tensor<2>) -> Tensor<2> {
        weight.clone() + self.delta(weight)
    }
}

/// A linear layer that is frozen, and a change of its weight that learns.
///
/// `forward` makes the new weight each time, whatever the change; [`merge`](AdaptedLinear::merge) makes it once.
#[derive(Module, Debug)]
pub struct AdaptedLinear<C: Module> {
    /// Frozen.
    pub base: Linear,
    /// Of `[outputs, inputs]`.
    pub change: C,
}

/// A convolution that is frozen, and a change of its weight that learns.
#[derive(Module, Debug)]
pub struct AdaptedConv2d<C: Module> {
    /// Frozen.
    pub base: Conv2d,
    /// Of `[out, in / groups · height · width]`.
    pub change: C,
}

/// A linear layer's weight as the papers write it, `[outputs, inputs]`.
pub fn matrix_of_linear(layer: &Linear) -> Tensor<2> {
    layer.weight.val().transpose()
}

/// A convolution's weight as a matrix, `[out, in / groups · height · width]`.
pub fn matrix_of_conv2d(layer: &Conv2d) -> Tensor<2> {
    layer.weight.val().flatten(1, 3)
}

impl<C: WeightChange> AdaptedLinear<C> {
    /// Freezes a layer. A change of another shape is refused.
    pub fn new(base: Linear, change: C) -> Result<Self> {
        let [inputs, outputs] = base.weight.shape().dims();
        fits("adapted linear", [outputs, inputs], change.shape())?;
        Ok(AdaptedLinear { base: base.no_grad(), change })
    }

    /// ΔW, `[outputs, inputs]`.
    pub fn delta(&self) -> Tensor<2> {
        self.change.delta(matrix_of_linear(&self.base))
    }

    /// # Shapes
    /// - `x`: `[.., inputs]`
    /// - output: `[.., outputs]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let weight = self.change.changed(matrix_of_linear(&self.base)).transpose();
        linear(x, weight, self.base.bias.as_ref().map(Param::val))
    }

    /// One layer that does the same, and learns.
    pub fn merge(&self) -> Linear {
        let weight = self.change.changed(matrix_of_linear(&self.base)).transpose();
        let bias = self.base.bias.as_ref().map(|bias| learning(bias.val()));
        Linear { weight: learning(weight), bias }
    }
}

impl<C: WeightChange> AdaptedConv2d<C> {
    /// Freezes a layer. A change of another shape is refused.
    pub fn new(base: Conv2d, change: C) -> Result<Self> {
        let [outputs, inputs, height, width] = base.weight.shape().dims();
        fits("adapted convolution", [outputs, inputs * height * width], change.shape())?;
        Ok(AdaptedConv2d { base: base.no_grad(), change })
    }

    /// ΔW, `[out, in / groups · height · width]`.
    pub fn delta(&self) -> Tensor<2> {
        self.change.delta(matrix_of_conv2d(&self.base))
    }

    /// # Shapes
    /// - `x`: `[n, in, height, width]`
    /// - output: `[n, out, …, …]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = Param::initialized(ParamId::new(), self.weight());
        Conv2d { weight, ..self.base.clone() }.forward(x)
    }

    /// One layer that does the same, and learns.
    pub fn merge(&self) -> Conv2d {
        let bias = self.base.bias.as_ref().map(|bias| learning(bias.val()));
        Conv2d { weight: learning(self.weight()), bias, ..self.base.clone() }
    }

    fn weight(&self) -> Tensor<4> {
        self.change.changed(matrix_of_conv2d(&self.base)).reshape(self.base.weight.dims())
    }
}

impl<C: WeightChange> Describe for AdaptedLinear<C> {
    /// As merged: the change costs numbers and no products with the input.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        trace.constant("change", Module::num_params(&self.change), &self.change.shape());
        trace.linear("base", &self.base, &x)
    }
}

impl<C: WeightChange> Describe for AdaptedConv2d<C> {
    /// As merged: the change costs numbers and no products with the input.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        trace.constant("change", Module::num_params(&self.change), &self.change.shape());
        trace.conv2d("base", &self.base, &x)
    }
}

fn learning<const D: usize>(value: Tensor<D>) -> Param<Tensor<D>> {
    Param::from_tensor(value.detach())
}

fn fits(module: &'static str, weight: [usize; 2], change: [usize; 2]) -> Result<()> {
    if weight == change {
        return Ok(());
    }
    let problem = format!("the change is for a weight of {change:?}, not of {weight:?} (outputs, inputs)");
    Err(Error::config(module, problem))
}

/// `U(±1/√inputs)`, which is PyTorch's Kaiming with slope √5.
fn uniform(shape: [usize; 2], device: &Device) -> Param<Tensor<2>> {
    let bound = (shape[1] as f64).sqrt().recip();
    Initializer::Uniform { min: -bound, max: bound }.init(shape, device)
}

fn normal(shape: [usize; 2], std: f64, device: &Device) -> Param<Tensor<2>> {
    Initializer::Normal { mean: 0.0, std }.init(shape, device)
}

fn zeros(shape: [usize; 2], device: &Device) -> Param<Tensor<2>> {
    Initializer::Zeros.init(shape, device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, doubles, golden, numbers, parameters, saves_and_loads, wave};
    use burn::nn::LinearConfig;
    use burn::nn::conv::Conv2dConfig;

    const INPUTS: usize = 4;
    const OUTPUTS: usize = 6;

    pub fn base(device: &Device) -> Linear {
        LinearConfig::new(INPUTS, OUTPUTS).init(device)
    }

    pub fn adapted<C: WeightChange>(make: impl Fn(Tensor<2>) -> C, device: &Device) -> AdaptedLinear<C> {
        around(base(device), make)
    }

    fn around<C: WeightChange>(base: Linear, make: impl Fn(Tensor<2>) -> C) -> AdaptedLinear<C> {
        let change = make(matrix_of_linear(&base));
        AdaptedLinear::new(base, change).expect("fits")
    }

    /// 4 channels in 2 groups, 3 × 3: a weight of `[6, 18]`.
    pub fn adapted_conv<C: WeightChange>(make: impl Fn(Tensor<2>) -> C, device: &Device) -> AdaptedConv2d<C> {
        around_conv(Conv2dConfig::new([4, 6], [3, 3]).with_groups(2).init(device), make)
    }

    fn around_conv<C: WeightChange>(base: Conv2d, make: impl Fn(Tensor<2>) -> C) -> AdaptedConv2d<C> {
        let change = make(matrix_of_conv2d(&base));
        AdaptedConv2d::new(base, change).expect("fits")
    }

    #[track_caller]
    pub fn begins_as_the_frozen_layer<C: WeightChange>(make: impl Fn(Tensor<2>) -> C) {
        let device = Device::flex();
        // What a change takes from the weight, it must take in double precision.
        let layer = double(around(double(base(&device)), &make));
        let x = wave([3, INPUTS], 0.9, &device);
        close(&numbers(layer.forward(x.clone())), &numbers(layer.base.forward(x)), 1e-14);
        close(&numbers(layer.delta()), &[0.0; INPUTS * OUTPUTS], 1e-15);
        let layer = double(around_conv(double(adapted_conv(&make, &device).base), &make));
        let x = wave([1, 4, 5, 5], 0.9, &device);
        close(&numbers(layer.forward(x.clone())), &numbers(layer.base.forward(x)), 1e-14);
    }

    #[track_caller]
    pub fn merges_into_one_layer<C: WeightChange>(make: impl Fn(Tensor<2>) -> C) {
        let device = Device::flex();
        let layer = golden(adapted(&make, &device));
        let x = wave([3, INPUTS], 0.9, &device);
        let y = numbers(layer.forward(x.clone()));
        close(&numbers(layer.merge().forward(x.clone())), &y, 1e-13);
        let by_delta = layer.base.forward(x.clone()) + x.clone().matmul(layer.delta().transpose());
        close(&numbers(by_delta), &y, 1e-13);
        assert_ne!(numbers(layer.base.forward(x)), y, "the change changes something");
        let layer = golden(adapted_conv(&make, &device));
        let x = wave([1, 4, 5, 5], 0.9, &device);
        close(&numbers(layer.merge().forward(x.clone())), &numbers(layer.forward(x.clone())), 1e-13);
        assert_ne!(numbers(layer.base.forward(x.clone())), numbers(layer.forward(x)));
    }

    #[track_caller]
    pub fn only_the_change_learns<C: WeightChange>(make: impl Fn(Tensor<2>) -> C) {
        let device = Device::flex().autodiff();
        let layer = adapted(&make, &device);
        let grads = layer.forward(Tensor::<2>::ones([3, INPUTS], &device)).sum().backward();
        assert!(layer.base.weight.grad(&grads).is_none(), "the weight is frozen");
        assert!(layer.base.bias.as_ref().is_some_and(|bias| bias.grad(&grads).is_none()), "the bias is frozen");
        let merged = layer.merge();
        let grads = merged.forward(Tensor::<2>::ones([3, INPUTS], &device)).sum().backward();
        assert!(merged.weight.grad(&grads).is_some(), "the merged layer learns");
    }

    #[track_caller]
    pub fn is_counted_saved_and_loaded<C: WeightChange>(make: impl Fn(Tensor<2>) -> C, numbers_of_change: usize) {
        let device = Device::flex();
        let layer = adapted(&make, &device);
        let audit = Audit::of(&layer, &[INPUTS]);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!(audit.parameters, INPUTS * OUTPUTS + OUTPUTS + numbers_of_change);
        assert_eq!((audit.multiply_adds, audit.log2_degree), (INPUTS * OUTPUTS, Some(0.0)));
        let conv = adapted_conv(&make, &device);
        let audit = Audit::of(&conv, &[4, 5, 5]);
        assert_eq!((audit.parameters, audit.multiply_adds), (parameters(&conv), 9 * 6 * 18));
        let forward = |layer: &AdaptedLinear<C>| layer.forward(wave([3, INPUTS], 0.9, &device));
        saves_and_loads(golden(layer), double(adapted(&make, &device)), forward);
    }

    /// What holds for every change, given a function from the weight to the change and the numbers of a change of 6 × 4.
    macro_rules! change_tests {
        ($make:expr, $numbers:expr) => {
            #[test]
            fn it_begins_as_the_frozen_layer() {
                super::super::tests::begins_as_the_frozen_layer($make);
            }

            #[test]
            fn it_merges_into_one_layer() {
                super::super::tests::merges_into_one_layer($make);
            }

            #[test]
            fn only_the_change_learns() {
                super::super::tests::only_the_change_learns($make);
            }

            #[test]
            fn it_is_counted_saved_and_loaded() {
                super::super::tests::is_counted_saved_and_loaded($make, $numbers);
            }
        };
    }
    pub(super) use change_tests;

    /// Numbers that look random: a wave would make a matrix of rank 2.
    pub fn scattered(shape: [usize; 2], seed: f64) -> Tensor<2> {
        let number = |i: usize| (((i + 1) as f64 * 12.9898 + seed).sin() * 43758.5453).fract();
        doubles((0..shape[0] * shape[1]).map(number).collect(), shape, &Device::flex())
    }

    /// The rank of a matrix, by elimination with full pivoting; pivots below 1e-9 of the first are rounding.
    pub fn rank(matrix: Tensor<2>) -> usize {
        let [rows, columns] = matrix.dims();
        let mut m: Vec<Vec<f64>> = numbers(matrix).chunks(columns).map(<[f64]>::to_vec).collect();
        let mut first = None;
        for done in 0..rows.min(columns) {
            let places = (done..rows).flat_map(|row| (done..columns).map(move |column| (row, column)));
            let largest = places.max_by(|a, b| m[a.0][a.1].abs().total_cmp(&m[b.0][b.1].abs())).expect("not empty");
            let pivot = m[largest.0][largest.1];
            if pivot.abs() <= 1e-9 * f64::abs(*first.get_or_insert(pivot)) {
                return done;
            }
            m.swap(done, largest.0);
            m.iter_mut().for_each(|row| row.swap(done, largest.1));
            let (above, below) = m.split_at_mut(done + 1);
            for row in below {
                let factor = row[done] / above[done][done];
                row.iter_mut().zip(&above[done]).for_each(|(number, pivots)| *number -= factor * pivots);
            }
        }
        rows.min(columns)
    }

    #[test]
    fn ranks_are_those_of_matrices_made_to_have_them() {
        assert_eq!(rank(doubles(vec![0.0; 6], [2, 3], &Device::flex())), 0);
        assert_eq!(rank(scattered([7, 5], 0.1)), 5);
        assert_eq!(rank(scattered([9, 3], 0.1).matmul(scattered([3, 8], 0.2))), 3);
        assert_eq!(rank(wave([9, 9], 0.3, &Device::flex())), 2);
    }

    #[test]
    fn a_change_of_another_shape_is_refused() {
        let device = Device::flex();
        let change = LoraConfig { rank: 2, alpha: 2.0 }.init([4, 6], &device).expect("sizes");
        let error = AdaptedLinear::new(base(&device), change).expect_err("the other way round");
        let wanted = "adapted linear: the change is for a weight of [4, 6], not of [6, 4] (outputs, inputs)";
        assert_eq!(error.to_string(), wanted);
    }
}
