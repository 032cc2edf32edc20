//! Concatenation, the control of every fusion: no product of the two signals, so that without a hidden layer it adds
//! what each says alone.

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

/// How a [`Concatenation`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcatenationConfig {
    /// Numbers of x.
    pub a: usize,
    /// Numbers of y.
    pub b: usize,
    /// Numbers of the hidden layer, h; `None` for a linear map.
    pub hidden: Option<usize>,
    /// Numbers of the output, o.
    pub outputs: usize,
}

/// `P[x; y]`, or `P relu(U[x; y])`; U and P with biases.
///
/// Parameters: `(a+b+1)o`, or `(a+b+1)h + (h+1)o`.
#[derive(Module, Debug)]
pub struct Concatenation {
    /// U, `[a + b, h]`.
    pub hidden: Option<Linear>,
    /// P, `[a + b, o]` or `[h, o]`.
    pub output: Linear,
}

impl ConcatenationConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Concatenation> {
        let ConcatenationConfig { a, b, hidden, outputs } = *self;
        nonzero("concatenation", &[("a", a), ("b", b), ("outputs", outputs)])?;
        if hidden == Some(0) {
            return Err(Error::config("concatenation", "hidden is 0"));
        }
        Ok(Concatenation {
            hidden: hidden.map(|hidden| LinearConfig::new(a + b, hidden).init(device)),
            output: LinearConfig::new(hidden.unwrap_or(a + b), outputs).init(device),
        })
    }
}

/// What concatenation along the last axis says of itself.
pub(super) fn joined(trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
    let mut shape = x.shape().to_vec();
    if let (Some(numbers), Some(more)) = (shape.last_mut(), y.shape().last()) {
        *numbers += more;
    }
    trace.relocate("concatenate", &[x, y], &shape)
}

impl Concatenation {
    /// # Shapes
    /// - `x`: `[.., a]`
    /// - `y`: `[.., b]`
    /// - output: `[.., o]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>, y: Tensor<D>) -> Tensor<D> {
        let both = Tensor::cat(vec![x, y], D - 1);
        match &self.hidden {
            Some(hidden) => self.output.forward(relu(hidden.forward(both))),
            None => self.output.forward(both),
        }
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let mut both = joined(trace, x, y);
        if let Some(hidden) = &self.hidden {
            both = trace.linear("hidden", hidden, &both);
            both = trace.activation("relu", 0, &both);
        }
        trace.linear("output", &self.output, &both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, double, golden, gradients, numbers, parameters, saves_and_loads, wave};

    const LINEAR: ConcatenationConfig = ConcatenationConfig { a: 5, b: 3, hidden: None, outputs: 2 };
    const HIDDEN: ConcatenationConfig = ConcatenationConfig { hidden: Some(4), ..LINEAR };

    #[test]
    fn without_a_hidden_layer_the_two_do_not_meet() {
        let device = Device::flex();
        let [x, x2] = [0.9, 0.2].map(|scale| wave::<2>([1, 5], scale, &device));
        let [y, y2] = [1.3, 0.5].map(|scale| wave::<2>([1, 3], scale, &device));
        // Mixed second difference.
        let mixed = |config: ConcatenationConfig| {
            let layer = double(config.init(&device).expect("sizes"));
            let f = |x: &Tensor<2>, y: &Tensor<2>| layer.forward(x.clone(), y.clone());
            numbers(f(&x, &y) - f(&x2, &y) - f(&x, &y2) + f(&x2, &y2))
        };
        close(&mixed(LINEAR), &[0.0, 0.0], 1e-14);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for config in [LINEAR, HIDDEN] {
            let layer = golden(config.init(&device).expect("sizes"));
            let y = wave::<2>([3, 3], 1.3, &device);
            gradients(layer, wave([3, 5], 0.9, &device), |layer, x| layer.forward(x, y.clone()));
        }
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        for (config, count, multiply_adds) in [(LINEAR, 9 * 2, 8 * 2), (HIDDEN, 9 * 4 + 5 * 2, 8 * 4 + 4 * 2)] {
            let layer = config.init(&Device::flex()).expect("sizes");
            let mut trace = Trace::new();
            let (x, y) = (trace.input(&[5]), trace.input(&[3]));
            let out = layer.describe(&mut trace, &x, &y);
            let audit = trace.audit(&out);
            assert_eq!((audit.parameters, audit.multiply_adds), (count, multiply_adds));
            assert_eq!((audit.parameters, audit.ciphertext_products), (parameters(&layer), 0));
            assert_eq!(audit.log2_degree, config.hidden.is_none().then_some(0.0));

            // Of six tokens each.
            let mut trace = Trace::new();
            let (x, y) = (trace.input(&[6, 5]), trace.input(&[6, 3]));
            let out = layer.describe(&mut trace, &x, &y);
            assert_eq!((out.shape(), trace.audit(&out).multiply_adds), (&[6, 2][..], 6 * multiply_adds));
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || HIDDEN.init(&device).expect("sizes");
        let (x, y) = (wave::<2>([2, 5], 0.9, &device), wave([2, 3], 1.3, &device));
        let forward = |layer: &Concatenation| double(layer.clone()).forward(x.clone(), y.clone());
        saves_and_loads(make(), make(), forward);
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = ConcatenationConfig { hidden: Some(0), ..LINEAR }.init(&Device::flex()).expect_err("no layer");
        assert_eq!(error.to_string(), "concatenation: hidden is 0");
    }
}
