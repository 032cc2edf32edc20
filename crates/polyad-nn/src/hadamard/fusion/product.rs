//! The product of two projections, plain or, as MLB, of their hyperbolic tangents (Kim et al., low-rank bilinear
//! pooling, arXiv 1610.04325).
//!
//! Public code puts ReLU in the place of tanh, and another behind the output; here it is the paper's.

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`Product`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProductConfig {
    /// Numbers of x.
    pub a: usize,
    /// Numbers of y.
    pub b: usize,
    /// Products, h.
    pub hidden: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
    /// Whether both projections go through tanh before they meet: MLB.
    pub tanh: bool,
}

/// `P(σ(Ux) ∘ σ(Vy))`, σ nothing or tanh; U, V and P with biases.
///
/// Plain, it is a bilinear form of `[1; x]` and `[1; y]` whose tensor has CP rank h. Parameters:
/// `(a+1)h + (b+1)h + (h+1)o`.
#[derive(Module, Debug)]
pub struct Product {
    /// U, `[a, h]`.
    pub x: Linear,
    /// V, `[b, h]`.
    pub y: Linear,
    /// P, `[h, o]`.
    pub output: Linear,
    tanh: bool,
}

impl ProductConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Product> {
        let ProductConfig { a, b, hidden, outputs, tanh } = *self;
        nonzero("product", &[("a", a), ("b", b), ("hidden", hidden), ("outputs", outputs)])?;
        Ok(Product {
            x: LinearConfig::new(a, hidden).init(device),
            y: LinearConfig::new(b, hidden).init(device),
            output: LinearConfig::new(hidden, outputs).init(device),
            tanh,
        })
    }
}

impl Product {
    /// # Shapes
    /// - `x`: `[.., a]`
    /// - `y`: `[.., b]`
    /// - output: `[.., o]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>, y: Tensor<D>) -> Tensor<D> {
        let squash = |x: Tensor<D>| if self.tanh { x.tanh() } else { x };
        self.output.forward(squash(self.x.forward(x)) * squash(self.y.forward(y)))
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let mut project = |name: &str, linear: &Linear, x: &Signal| {
            let x = trace.linear(name, linear, x);
            if self.tanh { trace.activation("tanh", 0, &x) } else { x }
        };
        let (x, y) = (project("x", &self.x, x), project("y", &self.y, y));
        let product = trace.product("product", &x, &y);
        trace.linear("output", &self.output, &product)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, double, golden, gradients, numbers, parameters, saves_and_loads, wave};

    const CONFIG: ProductConfig = ProductConfig { a: 5, b: 3, hidden: 4, outputs: 2, tanh: false };
    const MLB: ProductConfig = ProductConfig { tanh: true, ..CONFIG };

    /// `[1; x]` times the factor that holds the bias on top.
    fn factor(linear: &Linear) -> (Vec<f64>, usize) {
        let bias = linear.bias.as_ref().expect("has a bias").val();
        let rows = numbers(bias).into_iter().chain(numbers(linear.weight.val())).collect();
        (rows, linear.weight.shape()[1])
    }

    #[test]
    fn it_contracts_the_outer_product_with_a_tensor_of_cp_factors() {
        let device = Device::flex();
        let layer = double(CONFIG.init(&device).expect("sizes"));
        let (x, y) = (wave::<2>([1, 5], 0.9, &device), wave::<2>([1, 3], 1.3, &device));
        let ((u, h), (v, _), (p, o)) = (factor(&layer.x), factor(&layer.y), factor(&layer.output));
        let ones = |x: &Tensor<2>| [vec![1.0], numbers(x.clone())].concat();
        let (x1, y1) = (ones(&x), ones(&y));
        let contraction = |k: usize| {
            let tensor =
                |i: usize, j: usize| (0..h).map(|r| p[(r + 1) * o + k] * u[i * h + r] * v[j * h + r]).sum::<f64>();
            let pairs = (0..x1.len()).flat_map(|i| (0..y1.len()).map(move |j| (i, j)));
            p[k] + pairs.map(|(i, j)| tensor(i, j) * x1[i] * y1[j]).sum::<f64>()
        };
        close(&numbers(layer.forward(x, y)), &(0..o).map(contraction).collect::<Vec<_>>(), 1e-13);
    }

    #[test]
    fn mlb_is_what_pytorch_computes() {
        // v(k, *shape): golden filling of check.rs; wave(scale, *shape): sin(scale (i + 1)); all float64.
        // u, v_, p = (F.linear(x, v(0, 4, 5), v(1, 4)), F.linear(y, v(2, 4, 3), v(3, 4)), ...)
        // F.linear(u.tanh() * v_.tanh(), v(4, 2, 4), v(5, 2)), x = wave(.9, 2, 5), y = wave(1.3, 2, 3)
        let device = Device::flex();
        let layer = golden(MLB.init(&device).expect("sizes"));
        let out = layer.forward::<2>(wave([2, 5], 0.9, &device), wave([2, 3], 1.3, &device));
        close(&numbers(out), &[-0.029749781415235, 0.331972338204971, 0.290457973238438, -0.132994524333147], 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for config in [CONFIG, MLB] {
            let layer = || config.init(&device).expect("sizes");
            let (x, y) = (wave::<2>([3, 5], 0.9, &device), wave::<2>([3, 3], 1.3, &device));
            gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone()));
            gradients(layer(), y, |layer, y| layer.forward(x.clone(), y));
        }
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        for config in [CONFIG, MLB] {
            let layer = config.init(&Device::flex()).expect("sizes");
            let mut trace = Trace::new();
            let (x, y) = (trace.input(&[5]), trace.input(&[3]));
            let out = layer.describe(&mut trace, &x, &y);
            let audit = trace.audit(&out);
            assert_eq!((audit.parameters, audit.multiply_adds), (parameters(&layer), 5 * 4 + 3 * 4 + 4 * 2));
            assert_eq!(audit.parameters, 6 * 4 + 4 * 4 + 5 * 2);
            assert_eq!(audit.ciphertext_products, 4);
            assert_eq!(audit.log2_degree, (!config.tanh).then_some(1.0));
            assert_eq!((audit.activation_free, audit.only_add_mul), (!config.tanh, !config.tanh));
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || MLB.init(&device).expect("sizes");
        let forward =
            |layer: &Product| layer.forward(Tensor::<2>::ones([2, 5], &device), Tensor::ones([2, 3], &device));
        saves_and_loads(make(), make(), forward);
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = ProductConfig { hidden: 0, ..CONFIG }.init(&Device::flex()).expect_err("nothing to multiply");
        assert_eq!(error.to_string(), "product: hidden is 0");
    }
}
