//! MUTAN: a bilinear form in Tucker decomposition whose core is a sum of few products (Ben-younes et al., arXiv
//! 1705.06676).
//!
//! No tanh stands anywhere in it, as in the public code, and no dropout. (The code's `Tucker` has an option to share
//! matrices that has no effect; it is left out.)

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`Mutan`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MutanConfig {
    /// Numbers of x.
    pub a: usize,
    /// Numbers of y.
    pub b: usize,
    /// Numbers of each projection, h. Published: 1600.
    pub hidden: usize,
    /// Products that are summed, R. Published: 15.
    pub rank: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
}

/// `z = Σ_r (A_r x̂) ∘ (B_r ŷ)` with `x̂ = Ux`, `ŷ = Vy`; output `Pz`. All maps with biases.
///
/// Parameters: `(a+b+2)h + 2(h+1)hR + (h+1)o`.
#[derive(Module, Debug)]
pub struct Mutan {
    /// U, `[a, h]`.
    pub x: Linear,
    /// V, `[b, h]`.
    pub y: Linear,
    /// A and B.
    pub core: RankSum,
    /// P, `[h, o]`.
    pub output: Linear,
}

/// `z = Σ_r (A_r x) ∘ (B_r y)`, as wide as its inputs: a bilinear form each of whose slices has rank R at most.
#[derive(Module, Debug)]
pub struct RankSum {
    /// All A_r, `[h, R h]`, one r after the other.
    pub x: Linear,
    /// All B_r, as A.
    pub y: Linear,
    rank: usize,
}

impl MutanConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Mutan> {
        let MutanConfig { a, b, hidden, rank, outputs } = *self;
        let sizes = [("a", a), ("b", b), ("hidden", hidden), ("rank", rank), ("outputs", outputs)];
        nonzero("MUTAN", &sizes)?;
        Ok(Mutan {
            x: LinearConfig::new(a, hidden).init(device),
            y: LinearConfig::new(b, hidden).init(device),
            core: RankSum::new(hidden, rank, device),
            output: LinearConfig::new(hidden, outputs).init(device),
        })
    }
}

impl RankSum {
    pub(super) fn new(width: usize, rank: usize, device: &Device) -> Self {
        let factors = LinearConfig::new(width, rank * width);
        RankSum { x: factors.init(device), y: factors.init(device), rank }
    }

    /// # Shapes
    /// - `x`, `y`, output: `[n, h]`
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let [n, width] = x.dims();
        let products = self.x.forward(x) * self.y.forward(y);
        products.reshape([n, self.rank, width]).sum_dim(1).squeeze_dim(1)
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let shape = x.shape().to_vec();
        let (x, y) = (trace.linear("x", &self.x, x), trace.linear("y", &self.y, y));
        let products = trace.product("products", &x, &y);
        trace.map("sum", 0, 0, &[&products], &shape)
    }
}

impl Mutan {
    /// # Shapes
    /// - `x`: `[n, a]`
    /// - `y`: `[n, b]`
    /// - output: `[n, o]`
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.core.forward(self.x.forward(x), self.y.forward(y)))
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let (x, y) = (trace.linear("x", &self.x, x), trace.linear("y", &self.y, y));
        let z = trace.within("core", |trace| self.core.describe(trace, &x, &y));
        trace.linear("output", &self.output, &z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, wave};

    const CONFIG: MutanConfig = MutanConfig { a: 5, b: 4, hidden: 3, rank: 2, outputs: 2 };

    #[test]
    fn it_is_the_bilinear_form_of_pytorch() {
        // v(k, *shape): golden filling of check.rs; wave(scale, *shape): sin(scale (i + 1)); all float64.
        // one(x): [x; 1]
        // xh, yh = F.linear(x, v(0, 3, 5), v(1, 3)), F.linear(y, v(2, 3, 4), v(3, 3))
        // A = cat([v(4, 6, 3), v(5, 6)[:, None]], 1).view(2, 3, 4), B likewise of v(6, 6, 3), v(7, 6)
        // T = einsum('rki,rkj->kij', A, B); z = F.bilinear(one(xh), one(yh), T); F.linear(z, v(8, 2, 3), v(9, 2))
        let device = Device::flex();
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        let out = layer.forward(wave([2, 5], 0.9, &device), wave([2, 4], 1.3, &device));
        close(&numbers(out), &[0.103848703095845, -0.114282798057195, 0.071688967938831, -0.158580957596522], 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let layer = || CONFIG.init(&device).expect("sizes");
        let (x, y) = (wave([1, 5], 0.9, &device), wave([1, 4], 1.3, &device));
        gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone()));
        gradients(layer(), y.clone(), |layer, y| layer.forward(x.clone(), y));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = CONFIG.init(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, y) = (trace.input(&[5]), trace.input(&[4]));
        let out = layer.describe(&mut trace, &x, &y);
        let audit = trace.audit(&out);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!(audit.parameters, (5 + 4 + 2) * 3 + 2 * 4 * 3 * 2 + 4 * 2);
        assert_eq!(audit.multiply_adds, 5 * 3 + 4 * 3 + 2 * 3 * 3 * 2 + 3 * 2);
        assert_eq!((audit.log2_degree, audit.product_depth, audit.ciphertext_products), (Some(1.0), Some(1), 3 * 2));
        assert!(audit.activation_free && audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        let forward = |layer: &Mutan| layer.forward(Tensor::ones([2, 5], &device), Tensor::ones([2, 4], &device));
        saves_and_loads(make(), make(), forward);
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = MutanConfig { rank: 0, ..CONFIG }.init(&Device::flex()).expect_err("nothing to sum");
        assert_eq!(error.to_string(), "MUTAN: rank is 0");
    }
}
