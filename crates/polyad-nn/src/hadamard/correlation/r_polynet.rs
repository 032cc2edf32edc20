//! R-PolyNet: residual blocks that add the product of their branches, without activation functions, made trainable by
//! norms and their beginning (Chrysos et al., Regularization of Polynomial Networks, arXiv 2303.13896).
//!
//! As published it has instance norms and max-pools of stride 1, and so is no polynomial; with [`InnerNorm::Batch`] and
//! [`Pool::Mean`] it is one, of degree 2 to the number of blocks. The pools here, 3 × 3, end all stages but the last;
//! which sizes and places the paper's have was not checked. Its DropBlock is a matter of training and not here.

use super::pi_net::doubled;
use super::residual::{Branches, BranchesConfig, ConvNorm, InnerNorm, Pool, mean_of_pixels, stages};
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How an [`RPolyNet`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RPolyNetConfig {
    /// Channels of the first stage; each later one has twice as many.
    pub width: usize,
    /// Blocks of each stage.
    pub blocks: Vec<usize>,
    /// Classes of the head.
    pub classes: usize,
    /// Between the convolutions of the blocks of all stages but the last, where it is batch norm.
    pub norm: InnerNorm,
    /// At the end of all stages but the last.
    pub pool: Pool,
}

/// `[n, 3, height, width]` to `[n, classes]`; for pictures as small as CIFAR's.
#[derive(Module, Debug)]
pub struct RPolyNet {
    /// 3 × 3, stride 1.
    pub stem: ConvNorm,
    /// From large pictures to small.
    pub stages: Vec<Vec<RPolyBlock>>,
    /// On the mean over pixels.
    pub head: Linear,
    #[module(skip)]
    pool: Pool,
}

/// `y = F + s + α L(F ∘ s)`
#[derive(Module, Debug)]
pub struct RPolyBlock {
    /// F and s.
    pub branches: Branches,
    /// L, `[out, out, 1, 1]`, and batch norm.
    pub product: ConvNorm,
    /// α, `[1]`, at first 0.
    pub alpha: Param<Tensor<1>>,
}

/// Weights have variance 16 / (numbers that are summed); norms follow all of them.
pub(super) const INITIALIZER: Initializer = Initializer::KaimingNormal { gain: 4.0, fan_out_only: false };

impl RPolyNetConfig {
    /// R-PolyNet-18 as published; for 10 classes it has 11,874,130 parameters.
    pub fn r_polynet_18(classes: usize) -> Self {
        RPolyNetConfig { width: 64, blocks: vec![2; 4], classes, norm: InnerNorm::InstanceBatch, pool: Pool::Max }
    }

    /// Makes the network. Sizes of zero, a stage without blocks, and more stages than a number of channels can double
    /// are refused.
    pub fn init(&self, device: &Device) -> Result<RPolyNet> {
        nonzero("R-PolyNet", &[("width", self.width), ("stages", self.blocks.len()), ("classes", self.classes)])?;
        let widths = doubled("R-PolyNet", self.width, &self.blocks)?;
        let block = |stage: usize, (channels, stride): ([usize; 2], usize)| -> Result<RPolyBlock> {
            let norm = if stage + 1 < self.blocks.len() { self.norm } else { InnerNorm::Batch };
            Ok(RPolyBlock {
                branches: BranchesConfig { channels, stride, norm, initializer: INITIALIZER }.init(device)?,
                product: ConvNorm::new([channels[1]; 2], 1, 1, &INITIALIZER, device)?,
                alpha: Initializer::Zeros.init([1], device),
            })
        };
        let stages = stages(self.width, &widths, &self.blocks).into_iter().enumerate();
        let stages = stages.map(|(stage, blocks)| blocks.into_iter().map(|sizes| block(stage, sizes)).collect());
        Ok(RPolyNet {
            stem: ConvNorm::new([3, self.width], 3, 1, &INITIALIZER, device)?,
            stages: stages.collect::<Result<_>>()?,
            head: LinearConfig::new(widths[widths.len() - 1], self.classes).init(device),
            pool: self.pool,
        })
    }
}

impl RPolyBlock {
    /// # Shapes
    /// - `x`: `[n, in, height, width]`
    /// - output: `[n, out, ⌈height / stride⌉, ⌈width / stride⌉]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [f, s] = self.branches.forward(x);
        let product = self.product.forward(f.clone() * s.clone());
        f + s + product * self.alpha.val().unsqueeze()
    }
}

impl Describe for RPolyBlock {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [f, s] = trace.within("branches", |trace| self.branches.describe(trace, &x));
        let product = trace.product("f s", &f, &s);
        let product = self.product.describe(trace, "product", &product);
        let product = trace.scale("alpha", 1, &product);
        let sum = trace.sum("residual", &f, &s);
        trace.sum("sum", &sum, &product)
    }
}

impl RPolyNet {
    /// # Shapes
    /// - `x`: `[n, 3, height, width]`
    /// - output: `[n, classes]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let mut x = self.stem.forward(x);
        for (stage, blocks) in self.stages.iter().enumerate() {
            x = blocks.iter().fold(x, |x, block| block.forward(x));
            if stage + 1 < self.stages.len() {
                x = self.pool.forward(x, 1);
            }
        }
        self.head.forward(mean_of_pixels(x))
    }
}

impl Describe for RPolyNet {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let mut x = self.stem.describe(trace, "stem", &x);
        for (stage, blocks) in self.stages.iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                x = trace.within(format!("stages.{stage}.{index}"), |trace| block.describe(trace, x));
            }
            if stage + 1 < self.stages.len() {
                x = self.pool.describe(trace, &x, 1);
            }
        }
        let x = trace.mean("mean", &x, &x.shape()[..1]);
        trace.linear("head", &self.head, &x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, wave};

    const FORMS: [(InnerNorm, Pool); 2] = [(InnerNorm::InstanceBatch, Pool::Max), (InnerNorm::Batch, Pool::Mean)];

    fn small((norm, pool): (InnerNorm, Pool)) -> RPolyNetConfig {
        RPolyNetConfig { width: 5, blocks: vec![1, 2], classes: 3, norm, pool }
    }

    #[test]
    fn published_counts_come_out() {
        let net = RPolyNetConfig::r_polynet_18(10).init(&Device::flex()).expect("published");
        let audit = Audit::of(&net, &[3, 32, 32]);
        assert_eq!((audit.parameters, parameters(&net)), (11_874_130, 11_874_130));
        let pixels = 2 * (64 * 32 * 32 + 128 * 16 * 16 + 256 * 8 * 8 + 512 * 4 * 4);
        assert_eq!(audit.ciphertext_products, pixels);
        let verdicts = (audit.activation_free, audit.polynomial_at_inference, audit.only_add_mul);
        assert_eq!(verdicts, (true, false, false));
        // One of either is enough to be none.
        for (norm, pool) in [(InnerNorm::InstanceBatch, Pool::Mean), (InnerNorm::Batch, Pool::Max)] {
            let config = RPolyNetConfig { norm, pool, ..RPolyNetConfig::r_polynet_18(10) };
            let audit = Audit::of(&config.init(&Device::flex()).expect("sizes"), &[3, 32, 32]);
            assert!(!audit.polynomial_at_inference && !audit.only_add_mul);
        }
    }

    #[test]
    fn with_batch_norms_and_means_each_block_doubles_the_degree() {
        let config = RPolyNetConfig { norm: InnerNorm::Batch, pool: Pool::Mean, ..RPolyNetConfig::r_polynet_18(10) };
        let audit = Audit::of(&config.init(&Device::flex()).expect("sizes"), &[3, 32, 32]);
        assert_eq!((audit.parameters, audit.log2_degree, audit.product_depth), (11_874_130, Some(8.0), Some(8)));
        assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
    }

    #[test]
    fn values_are_those_of_pytorch() {
        let published = [2.03509487191, 3.12862232569, 2.68211086531];
        let polynomial = [0.555680517412, 0.220973600682, -0.223848001715];
        for (form, wanted) in FORMS.into_iter().zip([published, polynomial]) {
            let net = golden(small(form).init(&Device::flex()).expect("sizes"));
            // Block, parameters in the order of the fields here and filled as `golden` fills them, in eval():
            //     F + s + alpha * norm(product(F * s))
            // Blocks of 5, 10 and 10 channels, a pool of 3 and stride 1 after the first; x = sin(.05 (1 + arange(189)))
            let x = wave([1, 3, 7, 9], 0.05, &Device::flex());
            close(&numbers(net.forward(x)), &wanted, 1e-10);
        }
    }

    #[test]
    fn a_block_begins_as_a_residual_one() {
        let net = small(FORMS[0]).init(&Device::flex()).expect("sizes");
        let x = wave([2, 5, 5, 7], 0.3, &Device::flex()).cast(burn::tensor::DType::F32);
        let block = &net.stages[0][0];
        let [f, s] = block.branches.forward(x.clone());
        close(&numbers(block.forward(x)), &numbers(f + s), 1e-7);
    }

    #[test]
    fn at_the_start_weights_have_the_variance_of_the_paper() {
        let net = RPolyNetConfig::r_polynet_18(10).init(&Device::flex()).expect("published");
        let weights = numbers(net.stages[3][1].branches.conv1.weight.val());
        let variance = weights.iter().map(|w| w * w).sum::<f64>() / weights.len() as f64;
        let wanted = 16.0 / (512.0 * 9.0);
        // Of 2.4 million numbers: known to 1e-3.
        assert!((variance / wanted - 1.0).abs() < 0.01, "{variance}, not {wanted}");
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for form in FORMS {
            let net = golden(small(form).init(&device).expect("sizes"));
            gradients(net, wave([1, 3, 5, 4], 0.9, &device), |net, x| net.forward(x));
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let x = wave([1, 3, 7, 9], 0.05, &Device::flex()).cast(burn::tensor::DType::F32);
        let make = || small(FORMS[0]).init(&Device::flex()).expect("sizes");
        saves_and_loads(make(), make(), |net| net.forward(x.clone()));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refusal = |config: RPolyNetConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refusal(RPolyNetConfig { width: 0, ..small(FORMS[0]) }), "R-PolyNet: width is 0");
        let empty = RPolyNetConfig { blocks: vec![0, 1], ..small(FORMS[0]) };
        assert_eq!(refusal(empty), "R-PolyNet: a stage without blocks in [0, 1]");
    }
}
