//! Affine coupling: a map that is scaled and shifted by what passes it unchanged, so that its inverse and its
//! Jacobian's determinant cost no more than itself (Dinh et al., Density Estimation Using Real NVP,
//! arXiv 1605.08803).
//!
//! For vectors; s and t come from one network of three linear maps whose last begins at zero, so that the layer
//! begins as the identity.

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};

/// Which numbers of a vector pass a [`Coupling`] unchanged. Layers in a row take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// Numbers 0, 2, 4, …
    Even,
    /// Numbers 1, 3, 5, …
    Odd,
    /// The first half, rounded down.
    First,
    /// What is not in the first half.
    Second,
}

/// How a [`Coupling`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CouplingConfig {
    /// Numbers of the vector, d, at least 2.
    pub features: usize,
    /// Width of the network, h.
    pub hidden: usize,
    /// b is 1 there.
    pub passing: Passing,
}

/// `y = b ∘ x + (1 − b) ∘ (x ∘ e^s + t)`, `s = a ∘ tanh(ŝ)`, ŝ and t a network's answer to `b ∘ x`;
/// `log |∂y/∂x| = Σ (1 − b) ∘ s`.
#[derive(Module, Debug)]
pub struct Coupling {
    /// `[d, h]`, `[h, h]`, `[h, 2 d]`: the last gives ŝ, then t.
    pub layers: [Linear; 3],
    /// a, `[d]`, at first 1: how far s can go.
    pub reach: Param<Tensor<1>>,
    /// b, `[d]`; made from the configuration, not saved.
    passing: Tensor<1>,
}

impl CouplingConfig {
    /// Makes the layer. Fewer than 2 numbers and a width of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Coupling> {
        let CouplingConfig { features, hidden, passing } = *self;
        nonzero("coupling", &[("hidden", hidden)])?;
        if features < 2 {
            return Err(Error::config("coupling", format!("features is {features}: some must pass and some change")));
        }
        let passes = |index: usize| match passing {
            Passing::Even => index.is_multiple_of(2),
            Passing::Odd => !index.is_multiple_of(2),
            Passing::First => index < features / 2,
            Passing::Second => index >= features / 2,
        };
        let passing: Vec<f32> = (0..features).map(|index| f32::from(u8::from(passes(index)))).collect();
        let last = LinearConfig::new(hidden, 2 * features).with_initializer(Initializer::Zeros);
        Ok(Coupling {
            layers: [LinearConfig::new(features, hidden), LinearConfig::new(hidden, hidden), last]
                .map(|config| config.init(device)),
            reach: Initializer::Ones.init([features], device),
            passing: Tensor::from_data(TensorData::new(passing, [features]), device),
        })
    }
}

impl Coupling {
    /// The map, and the logarithm of its Jacobian's absolute determinant.
    ///
    /// # Shapes
    /// - x: `[n, d]`
    /// - outputs: `[n, d]` and `[n]`
    pub fn forward(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        let (s, t) = self.scale_and_shift(&x);
        (x * s.clone().exp() + t, s.sum_dim(1).squeeze_dim(1))
    }

    /// What `forward` was given, and the logarithm of this map's Jacobian's absolute determinant: the negative of
    /// that one's.
    ///
    /// # Shapes
    /// - y: `[n, d]`
    /// - outputs: `[n, d]` and `[n]`
    pub fn inverse(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        let (s, t) = self.scale_and_shift(&y);
        let s = s.neg();
        ((y - t) * s.clone().exp(), s.sum_dim(1).squeeze_dim(1))
    }

    /// `(1 − b) ∘ s` and `(1 − b) ∘ t`, which leave what passes as it is; of x and of y the same, since they agree
    /// where b is 1.
    fn scale_and_shift(&self, x: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let passing: Tensor<2> = self.passing.clone().cast(x.dtype()).unsqueeze();
        let changing = passing.clone().neg().add_scalar(1.0);
        let [first, second, last] = &self.layers;
        let h = relu(second.forward(relu(first.forward(x.clone() * passing))));
        let both = last.forward(h);
        let features = x.dims()[1];
        let s = both.clone().narrow(1, 0, features).tanh() * self.reach.val().unsqueeze();
        let t = both.narrow(1, features, features);
        (s * changing.clone(), t * changing)
    }

    /// A vector to a vector and a logarithm.
    pub fn describe(&self, trace: &mut Trace, x: &Signal) -> (Signal, Signal) {
        let mut h = trace.scale("passing", 0, x);
        for (index, layer) in self.layers.iter().enumerate() {
            h = trace.linear(&format!("layers.{index}"), layer, &h);
            if index < 2 {
                h = trace.activation("relu", 0, &h);
            }
        }
        let s = trace.activation("tanh", 0, &h.view(x.shape()));
        let s = trace.scale("reach", self.reach.shape().num_elements(), &s);
        let s = trace.scale("changing", 0, &s);
        let t = trace.scale("changing", 0, &h.view(x.shape()));
        let factor = trace.activation("exp", 0, &s);
        let y = trace.product("scaled", x, &factor);
        let y = trace.sum("shifted", &y, &t);
        let log_determinant = trace.mean("log determinant", &s, &[1]);
        (y, log_determinant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };
    use crate::hadamard::modulation::jacobian::{jacobian, log_abs_determinant};

    const ALL: [Passing; 4] = [Passing::Even, Passing::Odd, Passing::First, Passing::Second];

    fn layer(features: usize, passing: Passing, device: &Device) -> Coupling {
        let config = CouplingConfig { features, hidden: 6, passing };
        golden(config.init(device).expect("sizes"))
    }

    #[test]
    fn what_passes_passes_and_the_rest_changes() {
        let device = Device::flex();
        let x = wave([1, 5], 0.9, &device);
        for (passing, same) in ALL.into_iter().zip([vec![0, 2, 4], vec![1, 3], vec![0, 1], vec![2, 3, 4]]) {
            let (y, _) = layer(5, passing, &device).forward(x.clone());
            let (x, y) = (numbers(x.clone()), numbers(y));
            (0..5).for_each(|index| assert_eq!(x[index] == y[index], same.contains(&index), "{passing:?}, {index}"));
        }
    }

    #[test]
    fn worked_numbers_come_out() {
        // With weights of zero the last bias is the network's answer: ŝ = (·, 0.5), t = (·, 3); b = (1, 0), a = (·, 2).
        let device = Device::flex();
        let config = CouplingConfig { features: 2, hidden: 1, passing: Passing::Even };
        let mut layer = double(config.init(&device).expect("sizes"));
        layer.layers[2].bias = Some(Param::from_tensor(doubles(vec![9.0, 0.5, 9.0, 3.0], [4], &device)));
        layer.reach = Param::from_tensor(doubles(vec![9.0, 2.0], [2], &device));
        let (y, log_determinant) = layer.forward(doubles(vec![7.0, -1.0], [1, 2], &device));
        let s = 2.0 * 0.5f64.tanh();
        close(&numbers(y), &[7.0, 3.0 - s.exp()], 1e-12);
        close(&numbers(log_determinant), &[s], 1e-12);
    }

    #[test]
    fn a_new_layer_is_the_identity() {
        let device = Device::flex();
        let config = CouplingConfig { features: 5, hidden: 7, passing: Passing::Odd };
        let x = wave([3, 5], 0.9, &device);
        let (y, log_determinant) = double(config.init(&device).expect("sizes")).forward(x.clone());
        assert_eq!(numbers(y), numbers(x));
        assert_eq!(numbers(log_determinant), [0.0; 3]);
    }

    #[test]
    fn the_inverse_gives_back_what_forward_was_given() {
        let device = Device::flex();
        for features in [2, 5, 8] {
            let x = wave([4, features], 0.9, &device).mul_scalar(3.0);
            let layers = ALL.map(|passing| layer(features, passing, &device));
            let mut total = Tensor::zeros([4], (&device, burn::tensor::DType::F64));
            let y = layers.iter().fold(x.clone(), |x, layer| {
                let (y, log_determinant) = layer.forward(x);
                total = total.clone() + log_determinant;
                y
            });
            assert_ne!(numbers(y.clone()), numbers(x.clone()));
            let back = layers.iter().rev().fold(y, |y, layer| {
                let (x, log_determinant) = layer.inverse(y);
                total = total.clone() + log_determinant;
                x
            });
            close(&numbers(back), &numbers(x), 1e-12);
            close(&numbers(total), &[0.0; 4], 1e-12);
        }
    }

    #[test]
    fn the_log_determinant_is_that_of_the_dense_jacobian() {
        let device = Device::flex().autodiff();
        for passing in ALL {
            let layers =
                [layer(5, passing, &device), layer(5, Passing::Odd, &device), layer(5, Passing::Even, &device)];
            let through = |x| {
                layers.iter().fold((x, Tensor::zeros([1], (&device, burn::tensor::DType::F64))), |(x, sum), layer| {
                    let (y, log_determinant) = layer.forward(x);
                    (y, sum + log_determinant)
                })
            };
            let x = wave([1, 5], 0.9, &device);
            let wanted = log_abs_determinant(jacobian(&x, |x| through(x).0));
            assert!(wanted.abs() > 0.01, "a determinant that says something: {wanted}");
            close(&numbers(through(x).1), &[wanted], 1e-10);
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let layer = layer(5, Passing::First, &device);
        gradients(layer.clone(), wave([3, 5], 0.9, &device), |layer, x| layer.forward(x).0);
        gradients(layer.clone(), wave([3, 5], 0.9, &device), |layer, x| layer.forward(x).1);
        gradients(layer, wave([3, 5], 0.9, &device), |layer, y| layer.inverse(y).0);
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = layer(5, Passing::Even, &Device::flex());
        let mut trace = Trace::new();
        let x = trace.input(&[5]);
        let (y, log_determinant) = layer.describe(&mut trace, &x);
        assert_eq!((y.shape(), log_determinant.shape()), (&[5][..], &[1][..]));
        let audit = trace.audit(&y);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!(audit.multiply_adds, 5 * 6 + 6 * 6 + 6 * 10);
        assert_eq!((audit.parameters, audit.ciphertext_products), (audit.multiply_adds + 6 + 6 + 10 + 5, 5));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let fresh = CouplingConfig { features: 4, hidden: 6, passing: Passing::Even }.init(&device).expect("sizes");
        let ones = Tensor::ones([1, 4], (&device, burn::tensor::DType::F64));
        saves_and_loads(layer(4, Passing::Even, &device), double(fresh), |layer| layer.forward(ones.clone()).0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |features, hidden| {
            let config = CouplingConfig { features, hidden, passing: Passing::Even };
            config.init(&Device::flex()).expect_err("refused").to_string()
        };
        assert_eq!(refused(1, 4), "coupling: features is 1: some must pass and some change");
        assert_eq!(refused(4, 0), "coupling: hidden is 0");
    }
}
