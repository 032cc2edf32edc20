//! Cross networks, which multiply a record's features with each other: of vectors (Wang et al., DCN, arXiv 1708.05123),
//! of matrices and of matrices of low rank (DCN V2, arXiv 2008.13535).

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// What maps the state in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossForm {
    /// Version 1: `x_0 (wᵀx) + b`, 2d parameters a layer.
    Vector,
    /// Version 2: `x_0 ∘ (Wx + b)`, `d² + d` parameters.
    Matrix,
    /// Version 2 with `W = UVᵀ` of this rank r, below d: `2dr + d` parameters.
    LowRank(usize),
}

/// How a [`CrossNetwork`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrossNetworkConfig {
    /// Numbers of a record, d.
    pub features: usize,
    /// L.
    pub layers: usize,
    /// Version.
    pub form: CrossForm,
}

/// `x_{l+1} = x_0 ∘ (W_l x_l + b_l) + x_l`, a polynomial of degree L + 1; in version 1 `W_l = 1 w_lᵀ`, and the bias is
/// not multiplied.
#[derive(Module, Debug)]
pub struct CrossNetwork {
    /// In order.
    pub layers: Vec<CrossLayer>,
}

/// `x_0 ∘ wide(narrow(x)) + shift + x`
#[derive(Module, Debug)]
pub struct CrossLayer {
    /// `Vᵀ`, `[d, r]`, no bias; where the rank is low.
    pub narrow: Option<Linear>,
    /// w, `[d, 1]`, no bias, in version 1; W or U with b in version 2.
    pub wide: Linear,
    /// b of version 1, `[d]`.
    pub shift: Option<Param<Tensor<1>>>,
}

impl CrossNetworkConfig {
    /// Makes the network. Sizes of zero and a rank that saves nothing, d or more, are refused.
    pub fn init(&self, device: &Device) -> Result<CrossNetwork> {
        let CrossNetworkConfig { features, layers, form } = *self;
        nonzero("cross network", &[("features", features), ("layers", layers)])?;
        if let CrossForm::LowRank(rank) = form {
            nonzero("cross network", &[("rank", rank)])?;
            if rank >= features {
                return Err(Error::config("cross network", format!("rank {rank} of {features} features is not low")));
            }
        }
        let linear = |inputs, outputs, bias| LinearConfig::new(inputs, outputs).with_bias(bias).init(device);
        let layer = |_| match form {
            CrossForm::Vector => {
                let shift = Some(Initializer::Zeros.init([features], device));
                CrossLayer { narrow: None, wide: linear(features, 1, false), shift }
            }
            CrossForm::Matrix => CrossLayer { narrow: None, wide: linear(features, features, true), shift: None },
            CrossForm::LowRank(rank) => CrossLayer {
                narrow: Some(linear(features, rank, false)),
                wide: linear(rank, features, true),
                shift: None,
            },
        };
        Ok(CrossNetwork { layers: (0..layers).map(layer).collect() })
    }
}

impl CrossLayer {
    fn forward<const D: usize>(&self, x0: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        let inner = self.narrow.as_ref().map_or(x.clone(), |narrow| narrow.forward(x.clone()));
        let y = x0 * self.wide.forward(inner) + x;
        match &self.shift {
            Some(shift) => y + shift.val().unsqueeze(),
            None => y,
        }
    }

    fn describe(&self, trace: &mut Trace, x0: &Signal, x: &Signal) -> Signal {
        let inner = self.narrow.as_ref().map_or(x.clone(), |narrow| trace.linear("narrow", narrow, x));
        let wide = trace.linear("wide", &self.wide, &inner);
        let product = trace.product("product", x0, &wide);
        let y = trace.sum("residual", &product, x);
        match &self.shift {
            Some(shift) => trace.shift("shift", shift.shape().num_elements(), &y),
            None => y,
        }
    }
}

impl CrossNetwork {
    /// # Shapes
    /// - `x`, output: `[.., d]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.layers.iter().fold(x.clone(), |y, layer| layer.forward(x.clone(), y))
    }
}

impl Describe for CrossNetwork {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        self.layers.iter().enumerate().fold(x.clone(), |y, (index, layer)| {
            trace.within(format!("layers.{index}"), |trace| layer.describe(trace, &x, &y))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, doubles, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::correlation::exact::{self, Number, Residue, degree, whole, whole_numbers};

    const FORMS: [CrossForm; 3] = [CrossForm::Vector, CrossForm::Matrix, CrossForm::LowRank(2)];

    fn config(features: usize, layers: usize, form: CrossForm) -> CrossNetworkConfig {
        CrossNetworkConfig { features, layers, form }
    }

    fn param<const D: usize>(numbers: &[f64], shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_tensor(doubles(numbers.to_vec(), shape, &Device::flex()))
    }

    /// The first two unit vectors are the biases.
    const BIASES: [[f64; 3]; 2] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];

    #[test]
    fn worked_numbers_come_out_in_version_one() {
        let mut net = double(config(3, 2, CrossForm::Vector).init(&Device::flex()).expect("sizes"));
        for (layer, w) in net.layers.iter_mut().zip([[1.0, 1.0, 2.0], [0.0, 1.0, 1.0]]) {
            layer.wide.weight = param(&w, [3, 1]);
        }
        let x = doubles(vec![1.0, 2.0, -1.0], [1, 3], &Device::flex());
        close(&numbers(net.layers[0].forward(x.clone(), x.clone())), &[2.0, 4.0, -2.0], 1e-14);
        close(&numbers(net.forward(x.clone())), &[4.0, 8.0, -4.0], 1e-14);
        for (layer, bias) in net.layers.iter_mut().zip(BIASES) {
            layer.shift = Some(param(&bias, [3]));
        }
        close(&numbers(net.layers[0].forward(x.clone(), x.clone())), &[3.0, 4.0, -2.0], 1e-14);
        close(&numbers(net.forward(x)), &[5.0, 9.0, -4.0], 1e-14);
    }

    /// Rows of the two matrices of the worked example of version 2.
    const MATRICES: [[f64; 9]; 2] =
        [[1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]];

    #[test]
    fn worked_numbers_come_out_in_version_two() {
        let mut net = double(config(3, 2, CrossForm::Matrix).init(&Device::flex()).expect("sizes"));
        for ((layer, rows), bias) in net.layers.iter_mut().zip(MATRICES).zip(BIASES) {
            layer.wide.weight = Param::from_tensor(param(&rows, [3, 3]).val().transpose());
            layer.wide.bias = Some(param(&bias, [3]));
        }
        let x = doubles(vec![1.0, 2.0, -1.0], [1, 3], &Device::flex());
        close(&numbers(net.layers[0].forward(x.clone(), x.clone())), &[1.0, 6.0, -4.0], 1e-14);
        close(&numbers(net.forward(x)), &[3.0, 10.0, 0.0], 1e-14);
    }

    #[test]
    fn a_matrix_of_equal_rows_is_version_one() {
        let device = Device::flex();
        let mut one = double(config(5, 3, CrossForm::Vector).init(&device).expect("sizes"));
        let mut two = double(config(5, 3, CrossForm::Matrix).init(&device).expect("sizes"));
        for (one, two) in one.layers.iter_mut().zip(&mut two.layers) {
            one.shift = None;
            two.wide.weight = Param::from_tensor(one.wide.weight.val().repeat_dim(1, 5));
            two.wide.bias = None;
        }
        let x = wave([3, 5], 0.9, &device);
        close(&numbers(one.forward(x.clone())), &numbers(two.forward(x.clone())), 1e-13);
        // And without biases version 1 only ever scales the record.
        let ratios = numbers(one.forward(x.clone()) / x);
        ratios.chunks(5).for_each(|record| close(record, &[record[0]; 5], 1e-11));
    }

    #[test]
    fn low_rank_is_the_product_of_its_matrices() {
        let device = Device::flex();
        let low = double(config(5, 3, CrossForm::LowRank(2)).init(&device).expect("sizes"));
        let mut full = double(config(5, 3, CrossForm::Matrix).init(&device).expect("sizes"));
        for (low, full) in low.layers.iter().zip(&mut full.layers) {
            let narrow = low.narrow.as_ref().expect("low rank").weight.val();
            full.wide.weight = Param::from_tensor(narrow.matmul(low.wide.weight.val()));
            full.wide.bias = low.wide.bias.clone();
        }
        let x = wave([3, 5], 0.9, &device);
        close(&numbers(low.forward(x.clone())), &numbers(full.forward(x)), 1e-13);
    }

    /// `forward` by plain loops.
    fn plain<T: Number>(net: &CrossNetwork, x0: &[T]) -> Vec<T> {
        net.layers.iter().fold(x0.to_vec(), |x, layer| {
            let inner = layer.narrow.as_ref().map_or(x.clone(), |narrow| exact::linear(narrow, &x));
            let wide = exact::linear(&layer.wide, &inner);
            let wide = if wide.len() == 1 { vec![wide[0]; x.len()] } else { wide };
            let shift = layer.shift.as_ref().map_or(vec![0.0; x.len()], |shift| numbers(shift.val()));
            let shift: Vec<T> = shift.into_iter().map(T::from_double).collect();
            exact::plus(&exact::plus(&exact::times(x0, &wide), &x), &shift)
        })
    }

    #[test]
    fn the_degree_is_one_more_than_the_layers() {
        for form in FORMS {
            for layers in [1, 2, 5, 30] {
                let net = whole(config(4, layers, form).init(&Device::flex()).expect("sizes"));
                let x = |t| whole_numbers::<Residue>(&[3 + t, 1 - 2 * t, 5 * t, 7 + 3 * t]);
                assert_eq!(degree(layers + 3, |t| plain(&net, &x(t))), Some(layers + 1), "{form:?}");
                let audit = Audit::of(&net, &[4]);
                let log2_degree = audit.log2_degree.expect("a polynomial");
                assert!((log2_degree - (layers as f64 + 1.0).log2()).abs() < 1e-12, "{form:?}: {log2_degree}");
                assert_eq!(audit.product_depth, Some(layers));
            }
            let net = double(config(4, 3, form).init(&Device::flex()).expect("sizes"));
            let x = [0.5, -1.0, 1.5, 0.25];
            let got = numbers(net.forward(doubles(x.to_vec(), [1, 4], &Device::flex())));
            close(&got, &plain(&net, &x), 1e-13);
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for form in FORMS {
            let net = config(4, 3, form).init(&device).expect("sizes");
            gradients(net, wave([2, 4], 0.9, &device), |net, x| net.forward(x));
        }
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        for (form, of_layer, multiply_adds) in [
            (CrossForm::Vector, 2 * 5, 5),
            (CrossForm::Matrix, 5 * 5 + 5, 5 * 5),
            (CrossForm::LowRank(2), 2 * 5 * 2 + 5, 2 * 5 * 2),
        ] {
            let net = config(5, 3, form).init(&Device::flex()).expect("sizes");
            let audit = Audit::of(&net, &[5]);
            assert_eq!((audit.parameters, parameters(&net)), (3 * of_layer, 3 * of_layer), "{form:?}");
            assert_eq!((audit.multiply_adds, audit.ciphertext_products), (3 * multiply_adds, 3 * 5), "{form:?}");
            assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        for form in FORMS {
            let make = || config(4, 2, form).init(&device).expect("sizes");
            saves_and_loads(make(), make(), |net| net.forward(Tensor::<2>::ones([2, 4], &device)));
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refusal = |config: CrossNetworkConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refusal(config(4, 0, CrossForm::Matrix)), "cross network: layers is 0");
        assert_eq!(refusal(config(4, 1, CrossForm::LowRank(0))), "cross network: rank is 0");
        assert_eq!(refusal(config(4, 1, CrossForm::LowRank(4))), "cross network: rank 4 of 4 features is not low");
    }
}
