//! GMU: a gate decides, number by number, which of two signals is believed (Arevalo et al., gated multimodal units,
//! arXiv 1702.01992).
//!
//! The gate reads the projections, before their tanh, as in public code; the paper's reads the signals themselves.

use super::concatenation::joined;
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

/// How a [`Gmu`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GmuConfig {
    /// Numbers of x.
    pub a: usize,
    /// Numbers of y.
    pub b: usize,
    /// Numbers of each projection, h.
    pub hidden: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
}

/// `P(z ∘ tanh x̂ + (1 − z) ∘ tanh ŷ)` with `x̂ = Ux`, `ŷ = Vy` and `z = σ(W[x̂; ŷ])`. W has no bias.
///
/// Parameters: `(a+1)h + (b+1)h + 2h² + (h+1)o`.
#[derive(Module, Debug)]
pub struct Gmu {
    /// U, `[a, h]`.
    pub x: Linear,
    /// V, `[b, h]`.
    pub y: Linear,
    /// W, `[2h, h]`.
    pub gate: Linear,
    /// P, `[h, o]`.
    pub output: Linear,
}

impl GmuConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Gmu> {
        let GmuConfig { a, b, hidden, outputs } = *self;
        nonzero("GMU", &[("a", a), ("b", b), ("hidden", hidden), ("outputs", outputs)])?;
        Ok(Gmu {
            x: LinearConfig::new(a, hidden).init(device),
            y: LinearConfig::new(b, hidden).init(device),
            gate: LinearConfig::new(2 * hidden, hidden).with_bias(false).init(device),
            output: LinearConfig::new(hidden, outputs).init(device),
        })
    }
}

impl Gmu {
    /// # Shapes
    /// - `x`: `[.., a]`
    /// - `y`: `[.., b]`
    /// - output: `[.., o]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>, y: Tensor<D>) -> Tensor<D> {
        let (x, y) = (self.x.forward(x), self.y.forward(y));
        let z = sigmoid(self.gate.forward(Tensor::cat(vec![x.clone(), y.clone()], D - 1)));
        let rest = z.clone().neg().add_scalar(1.0);
        self.output.forward(z * x.tanh() + rest * y.tanh())
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let (x, y) = (trace.linear("x", &self.x, x), trace.linear("y", &self.y, y));
        let both = joined(trace, &x, &y);
        let z = trace.linear("gate", &self.gate, &both);
        let z = trace.activation("sigmoid", 0, &z);
        let rest = trace.shift("rest", 0, &z);
        let [x, y] = [&x, &y].map(|x| trace.activation("tanh", 0, x));
        let (x, y) = (trace.product("gated_x", &z, &x), trace.product("gated_y", &rest, &y));
        let sum = trace.sum("sum", &x, &y);
        trace.linear("output", &self.output, &sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use burn::module::Param;

    const CONFIG: GmuConfig = GmuConfig { a: 5, b: 3, hidden: 4, outputs: 2 };

    #[test]
    fn it_is_what_pytorch_computes() {
        // v(k, *shape): golden filling of check.rs; wave(scale, *shape): sin(scale (i + 1)); all float64.
        // xh, yh = F.linear(x, v(0, 4, 5), v(1, 4)), F.linear(y, v(2, 4, 3), v(3, 4))
        // z = F.linear(cat([xh, yh], 1), v(4, 4, 8)).sigmoid()
        // F.linear(torch.lerp(yh.tanh(), xh.tanh(), z), v(5, 2, 4), v(6, 2))
        let device = Device::flex();
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        let out = layer.forward::<2>(wave([2, 5], 0.9, &device), wave([2, 3], 1.3, &device));
        close(&numbers(out), &[0.322510936765306, -0.144643743158011, 0.127152989209798, -0.029797121771641], 1e-12);
    }

    #[test]
    fn an_open_gate_passes_one_signal_alone() {
        let device = Device::flex();
        let mut layer = golden(CONFIG.init(&device).expect("sizes"));
        let (x, y) = (wave::<2>([1, 5], 0.9, &device), wave::<2>([1, 3], 1.3, &device));
        // x̂ is 1, and each number of the gate reads Σ 100 x̂ = 400.
        layer.x.weight = layer.x.weight.map(|weight| weight.zeros_like());
        layer.x.bias = layer.x.bias.map(|bias| bias.map(|bias| bias.ones_like()));
        let of_gate = [[100.0; 4 * 4], [0.0; 4 * 4]].concat();
        layer.gate.weight = Param::from_tensor(doubles(of_gate, [8, 4], &device));
        let open = numbers(layer.forward(x.clone(), y.clone()));
        close(&open, &numbers(layer.forward(x, y.mul_scalar(3.0))), 1e-12);
        let wanted = layer.output.forward(doubles(vec![1f64.tanh(); 4], [1, 4], &device));
        close(&open, &numbers(wanted), 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let layer = || CONFIG.init(&device).expect("sizes");
        let (x, y) = (wave::<2>([2, 5], 0.9, &device), wave::<2>([2, 3], 1.3, &device));
        gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone()));
        gradients(layer(), y.clone(), |layer, y| layer.forward(x.clone(), y));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = CONFIG.init(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, y) = (trace.input(&[5]), trace.input(&[3]));
        let out = layer.describe(&mut trace, &x, &y);
        let audit = trace.audit(&out);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!(audit.parameters, 6 * 4 + 4 * 4 + 2 * 4 * 4 + 5 * 2);
        assert_eq!(audit.multiply_adds, 5 * 4 + 3 * 4 + 2 * 4 * 4 + 4 * 2);
        assert_eq!((audit.ciphertext_products, audit.log2_degree), (8, None));
        assert!(!audit.activation_free);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        let forward = |layer: &Gmu| layer.forward(Tensor::<2>::ones([2, 5], &device), Tensor::ones([2, 3], &device));
        saves_and_loads(make(), make(), forward);
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = GmuConfig { hidden: 0, ..CONFIG }.init(&Device::flex()).expect_err("no projection");
        assert_eq!(error.to_string(), "GMU: hidden is 0");
    }
}
