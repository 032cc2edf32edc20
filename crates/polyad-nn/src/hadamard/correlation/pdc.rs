//! PDC: a residual block to which a quadratic form of its shortcut is added (Chrysos et al., Augmenting Deep
//! Classifiers with Polynomial Neural Networks, arXiv 2104.07916).
//!
//! Without activation functions; the paper's best networks have leaky ReLUs beside the products. All added maps are 1 ×
//! 1.

use super::residual::{Branches, BranchesConfig, ConvNorm, InnerNorm, conv};
use crate::error::Result;
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};

/// How a [`PdcBlock`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PdcBlockConfig {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// 1 or 2 in the paper's networks.
    pub stride: usize,
}

/// `y = F + s + α L(A s ∘ B s)`
#[derive(Module, Debug)]
pub struct PdcBlock {
    /// F and s.
    pub branches: Branches,
    /// A, `[out, out, 1, 1]`, no bias.
    pub a: Conv2d,
    /// B, `[out, out, 1, 1]`, no bias.
    pub b: Conv2d,
    /// L, `[out, out, 1, 1]`, and batch norm.
    pub product: ConvNorm,
    /// α, `[1]`, at first 0.
    pub alpha: Param<Tensor<1>>,
}

impl PdcBlockConfig {
    /// Makes the block. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<PdcBlock> {
        let initializer = Initializer::KaimingNormal { gain: 1.0, fan_out_only: false };
        let (channels, stride) = ([self.inputs, self.outputs], self.stride);
        let config = BranchesConfig { channels, stride, norm: InnerNorm::Batch, initializer: initializer.clone() };
        let map = || conv([self.outputs; 2], 1, 1, &initializer, device);
        Ok(PdcBlock {
            branches: config.init(device)?,
            a: map(),
            b: map(),
            product: ConvNorm::new([self.outputs; 2], 1, 1, &initializer, device)?,
            alpha: Initializer::Zeros.init([1], device),
        })
    }
}

impl PdcBlock {
    /// # Shapes
    /// - `x`: `[n, in, height, width]`
    /// - output: `[n, out, ⌈height / stride⌉, ⌈width / stride⌉]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [f, s] = self.branches.forward(x);
        let product = self.product.forward(self.a.forward(s.clone()) * self.b.forward(s.clone()));
        f + s + product * self.alpha.val().unsqueeze()
    }
}

impl Describe for PdcBlock {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [f, s] = trace.within("branches", |trace| self.branches.describe(trace, &x));
        let sum = trace.sum("residual", &f, &s);
        let a = trace.conv2d("a", &self.a, &s);
        let b = trace.conv2d("b", &self.b, &s);
        let product = trace.product("a b", &a, &b);
        let product = self.product.describe(trace, "product", &product);
        let product = trace.scale("alpha", 1, &product);
        trace.sum("sum", &sum, &product)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, wave};

    const CONFIG: PdcBlockConfig = PdcBlockConfig { inputs: 3, outputs: 4, stride: 2 };

    #[test]
    fn values_are_those_of_pytorch() {
        let block = golden(CONFIG.init(&Device::flex()).expect("sizes"));
        // F + s + alpha * norm(l(a(s) * b(s))), parameters in the order of the fields here, filled as `golden` fills
        // them, in eval(); x = sin(.3 (1 + arange(3 * 5 * 7))); y.sum(), y[0, :, 1, 2]
        let y = block.forward(wave([1, 3, 5, 7], 0.3, &Device::flex()));
        close(
            &numbers(y.clone().slice([0..1, 0..4, 1..2, 2..3])),
            &[-0.432287021416, 0.121018696398, 0.369987482865, -0.664602998987],
            1e-10,
        );
        close(&numbers(y.sum()), &[-0.5011290449542258], 1e-10);
    }

    #[test]
    fn it_begins_as_a_residual_block() {
        let block = CONFIG.init(&Device::flex()).expect("sizes");
        let x = wave([2, 3, 5, 7], 0.3, &Device::flex()).cast(burn::tensor::DType::F32);
        let [f, s] = block.branches.forward(x.clone());
        close(&numbers(block.forward(x)), &numbers(f + s), 1e-7);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let block = golden(CONFIG.init(&device).expect("sizes"));
        gradients(block, wave([2, 3, 5, 4], 0.9, &device), |block, x| block.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let block = CONFIG.init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&block, &[3, 5, 7]);
        let wanted = 9 * 3 * 4 + 9 * 4 * 4 + 3 * 4 + 3 * 2 * 4 + (3 * 4 * 4 + 2 * 4) + 1;
        assert_eq!((audit.parameters, parameters(&block)), (wanted, wanted));
        assert_eq!(audit.multiply_adds, (9 * 3 * 4 + 9 * 4 * 4 + 3 * 4 + 3 * 4 * 4) * 3 * 4);
        assert_eq!((audit.ciphertext_products, audit.log2_degree), (4 * 3 * 4, Some(1.0)));
        assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let x = wave([1, 3, 5, 7], 0.3, &Device::flex()).cast(burn::tensor::DType::F32);
        let make = || CONFIG.init(&Device::flex()).expect("sizes");
        saves_and_loads(make(), make(), |block| block.forward(x.clone()));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = PdcBlockConfig { outputs: 0, ..CONFIG }.init(&Device::flex()).expect_err("none");
        assert_eq!(error.to_string(), "residual block: outputs is 0");
    }
}
