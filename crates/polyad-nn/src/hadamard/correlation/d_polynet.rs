//! D-PolyNet: R-PolyNet whose products are also multiplied by all products before them, so that the degree grows faster
//! than it doubles (Chrysos et al., Regularization of Polynomial Networks, arXiv 2303.13896).
//!
//! The norm of the earlier products' product is batch norm; the paper's is iterative normalisation, which at inference
//! is a linear map as well. The first block has no product before it and so is one of R-PolyNet. Pools are as in
//! [`r_polynet`](super::r_polynet).

use super::r_polynet::INITIALIZER;
use super::residual::{Branches, BranchesConfig, ConvNorm, InnerNorm, Pool, mean_of_pixels, stages};
use crate::error::{Error, Result, nonzero, probability};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`DPolyNet`] is made.
#[derive(Debug, Clone, PartialEq)]
pub struct DPolyNetConfig {
    /// Channels of each stage.
    pub widths: Vec<usize>,
    /// Blocks of each stage.
    pub blocks: Vec<usize>,
    /// Classes of the head.
    pub classes: usize,
    /// Between the convolutions of the blocks of all stages but the last, where it is batch norm.
    pub norm: InnerNorm,
    /// At the end of all stages but the last.
    pub pool: Pool,
    /// The probability that a block's dense term is left out in training.
    pub drop: f64,
}

/// `[n, 3, height, width]` to `[n, classes]`; for pictures as small as CIFAR's.
#[derive(Module, Debug)]
pub struct DPolyNet {
    /// 3 × 3, stride 1.
    pub stem: ConvNorm,
    /// From large pictures to small.
    pub stages: Vec<Vec<DPolyBlock>>,
    /// On the mean over pixels.
    pub head: Linear,
    #[module(skip)]
    pool: Pool,
}

/// `y = F + s + α L(Q)`, `Q = F ∘ s + θ β F ∘ s ∘ P`, `P = BN(W (Q_1 ∘ Q_2 ∘ …))` of the blocks before.
///
/// In training (on an autodiff device, unless frozen) β is 0 with the probability `drop` and `1 / (1 − drop)`
/// otherwise, drawn by Burn's generator for the whole batch; elsewhere it is 1.
#[derive(Module, Debug)]
pub struct DPolyBlock {
    /// F and s.
    pub branches: Branches,
    /// What the earlier products do; `None` where there are none.
    pub dense: Option<Dense>,
    /// L, `[out, out, 1, 1]`, and batch norm.
    pub product: ConvNorm,
    /// α, `[1]`, at first 1.
    pub alpha: Param<Tensor<1>>,
}

/// `θ β P` and what it is made from.
#[derive(Module, Debug)]
pub struct Dense {
    /// `[out, in, 1, 1]`, which all earlier products pass where the block changes its size; in training its batch norm
    /// sees one after the other.
    pub carry: Option<ConvNorm>,
    /// W, `[out, out, 1, 1]`, and batch norm.
    pub map: ConvNorm,
    /// θ, `[1]`, at first 0.
    pub theta: Param<Tensor<1>>,
    /// β.
    pub drop: Dropout,
}

impl DPolyNetConfig {
    /// D-PolyNet for CIFAR, with this probability of leaving out dense terms in training.
    pub fn cifar(classes: usize, drop: f64) -> Self {
        let (widths, blocks) = (vec![64, 128, 256, 486], vec![2, 2, 2, 1]);
        DPolyNetConfig { widths, blocks, classes, norm: InnerNorm::InstanceBatch, pool: Pool::Max, drop }
    }

    /// Makes the network. Sizes of zero, stages of one list that the other lacks, and probabilities outside [0, 1) are
    /// refused.
    pub fn init(&self, device: &Device) -> Result<DPolyNet> {
        let DPolyNetConfig { ref widths, ref blocks, classes, norm, pool, drop } = *self;
        nonzero("D-PolyNet", &[("stages", widths.len()), ("classes", classes)])?;
        probability("D-PolyNet", "drop", drop)?;
        if widths.len() != blocks.len() {
            let problem = format!("{} widths for {} stages of blocks", widths.len(), blocks.len());
            return Err(Error::config("D-PolyNet", problem));
        }
        if widths.contains(&0) || blocks.contains(&0) {
            return Err(Error::config("D-PolyNet", format!("a stage of none in widths {widths:?}, blocks {blocks:?}")));
        }
        let block = |stage: usize, index: usize, (channels, stride): ([usize; 2], usize)| -> Result<DPolyBlock> {
            let norm = if stage + 1 < blocks.len() { norm } else { InnerNorm::Batch };
            let config = BranchesConfig { channels, stride, norm, initializer: INITIALIZER };
            let map = |inputs, stride| ConvNorm::new([inputs, channels[1]], 1, stride, &INITIALIZER, device);
            let carry = if config.changes_size() { Some(map(channels[0], stride)?) } else { None };
            let dense = Dense {
                carry,
                map: map(channels[1], 1)?,
                theta: Initializer::Zeros.init([1], device),
                drop: DropoutConfig::new(drop).init(),
            };
            Ok(DPolyBlock {
                branches: config.init(device)?,
                dense: (stage + index > 0).then_some(dense),
                product: map(channels[1], 1)?,
                alpha: Initializer::Ones.init([1], device),
            })
        };
        let stage = |(stage, sizes): (usize, Vec<([usize; 2], usize)>)| {
            sizes.into_iter().enumerate().map(|(index, sizes)| block(stage, index, sizes)).collect()
        };
        Ok(DPolyNet {
            stem: ConvNorm::new([3, widths[0]], 3, 1, &INITIALIZER, device)?,
            stages: stages(widths[0], widths, blocks).into_iter().enumerate().map(stage).collect::<Result<_>>()?,
            head: LinearConfig::new(widths[widths.len() - 1], classes).init(device),
            pool,
        })
    }
}

impl DPolyBlock {
    /// The block's output; its product Q joins `earlier`, which it brings to its own size.
    ///
    /// # Shapes
    /// - `x`, each of `earlier`: `[n, in, height, width]`
    /// - output, each of `earlier` then: `[n, out, ⌈height / stride⌉, ⌈width / stride⌉]`
    pub fn forward(&self, x: Tensor<4>, earlier: &mut Vec<Tensor<4>>) -> Tensor<4> {
        let [f, s] = self.branches.forward(x);
        let mut product = f.clone() * s.clone();
        if let Some(dense) = &self.dense {
            product = product.clone() + product * dense.forward(earlier);
        }
        earlier.push(product.clone());
        f + s + self.product.forward(product) * self.alpha.val().unsqueeze()
    }

    fn describe(&self, trace: &mut Trace, x: &Signal, earlier: &mut Vec<Signal>) -> Signal {
        let [f, s] = trace.within("branches", |trace| self.branches.describe(trace, x));
        let mut product = trace.product("f s", &f, &s);
        if let Some(dense) = &self.dense {
            let dense = trace.within("dense", |trace| dense.describe(trace, earlier));
            let higher = trace.product("f s p", &product, &dense);
            product = trace.sum("q", &product, &higher);
        }
        earlier.push(product.clone());
        let product = self.product.describe(trace, "product", &product);
        let product = trace.scale("alpha", 1, &product);
        let sum = trace.sum("residual", &f, &s);
        trace.sum("sum", &sum, &product)
    }
}

impl Dense {
    fn forward(&self, earlier: &mut [Tensor<4>]) -> Tensor<4> {
        if let Some(carry) = &self.carry {
            earlier.iter_mut().for_each(|product| *product = carry.forward(product.clone()));
        }
        let all = earlier.iter().cloned().reduce(|all, product| all * product).expect("a block before");
        self.map.forward(all) * self.drop.forward(self.theta.val()).unsqueeze()
    }

    fn describe(&self, trace: &mut Trace, earlier: &mut [Signal]) -> Signal {
        if let Some(carry) = &self.carry {
            let (first, rest) = earlier.split_first_mut().expect("a block before");
            *first = carry.describe(trace, "carry", first);
            let multiply_adds = carry.conv.weight.shape()[1] * first.elements();
            for product in rest {
                // The same weights again.
                *product = trace.map("carry", 0, multiply_adds, &[&*product], first.shape());
            }
        }
        let mut all = earlier.first().expect("a block before").clone();
        for product in &earlier[1..] {
            all = trace.product("all", &all, product);
        }
        let mapped = self.map.describe(trace, "map", &all);
        trace.scale("theta", 1, &mapped)
    }
}

impl DPolyNet {
    /// # Shapes
    /// - `x`: `[n, 3, height, width]`
    /// - output: `[n, classes]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let mut x = self.stem.forward(x);
        let mut earlier = Vec::new();
        for (stage, blocks) in self.stages.iter().enumerate() {
            x = blocks.iter().fold(x, |x, block| block.forward(x, &mut earlier));
            if stage + 1 < self.stages.len() {
                x = self.pool.forward(x, 1);
            }
        }
        self.head.forward(mean_of_pixels(x))
    }
}

impl Describe for DPolyNet {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let mut x = self.stem.describe(trace, "stem", &x);
        let mut earlier = Vec::new();
        for (stage, blocks) in self.stages.iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                x = trace.within(format!("stages.{stage}.{index}"), |trace| block.describe(trace, &x, &mut earlier));
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
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, single, wave};
    use burn::tensor::DType;

    fn small(norm: InnerNorm, pool: Pool) -> DPolyNetConfig {
        DPolyNetConfig { widths: vec![4, 5], blocks: vec![2, 2], classes: 3, norm, pool, drop: 0.5 }
    }

    fn polynomial() -> DPolyNetConfig {
        small(InnerNorm::Batch, Pool::Mean)
    }

    #[test]
    fn the_degree_grows_as_published() {
        let config = DPolyNetConfig { norm: InnerNorm::Batch, pool: Pool::Mean, ..DPolyNetConfig::cifar(10, 0.3) };
        let audit = Audit::of(&config.init(&Device::flex()).expect("published"), &[3, 32, 32]);
        let products = audit.layers.iter().filter(|layer| layer.name.ends_with(".product.norm"));
        let degrees: Vec<f64> = products.map(|layer| layer.log2_degree.expect("a polynomial").exp2()).collect();
        close(&degrees, &[2.0, 6.0, 20.0, 68.0, 232.0, 792.0, 2704.0], 1e-12);
        assert!((audit.log2_degree.expect("a polynomial") - 2704f64.log2()).abs() < 1e-12);
        assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let net = DPolyNetConfig::cifar(10, 0.3).init(&Device::flex()).expect("published");
        let audit = Audit::of(&net, &[3, 32, 32]);
        assert_eq!(audit.parameters, parameters(&net));
        let verdicts = (audit.activation_free, audit.polynomial_at_inference, audit.only_add_mul);
        assert_eq!(verdicts, (true, false, false));

        let audit = Audit::of(&polynomial().init(&Device::flex()).expect("sizes"), &[3, 6, 6]);
        let (large, little) = (36, 9);
        let first = 2 * 2 * 9 * 4 * 4 + 3 * 4 * 4;
        // The first block of the second stage carries two products; the second has its own branches of two 3 × 3.
        let second = (9 * 4 * 5 + 9 * 5 * 5 + 4 * 5) + 2 * 4 * 5 + 2 * 9 * 5 * 5 + 4 * 5 * 5;
        assert_eq!(audit.multiply_adds, (9 * 3 * 4 + first) * large + second * little + 5 * 3);
        // F s; F s and F s P; and with two and three products before, one and two more among them.
        assert_eq!(audit.ciphertext_products, 3 * 4 * large + (3 + 4) * 5 * little);
    }

    #[test]
    fn values_are_those_of_pytorch() {
        for (config, wanted) in [
            (small(InnerNorm::InstanceBatch, Pool::Max), [-4.0734152159, 13.8643232114, -21.5584772858]),
            (polynomial(), [-0.884886683101, 1.03627843621, -0.877994820349]),
        ] {
            let net = golden(config.init(&Device::flex()).expect("sizes"));
            // Block, parameters in the order of the fields here and filled as `golden` fills them, in eval():
            //     if change: earlier[:] = [carry(p) for p in earlier]
            //     q = F * s; q = q + theta * norm(map(prod(earlier))) * q; earlier.append(q)
            //     F + s + alpha * norm(product(q))
            // Blocks of 4, 4, 5 and 5 channels, a pool of 3, stride 1, after the second; x = sin(.05 (1 + arange(189)))
            let x = wave([1, 3, 7, 9], 0.05, &Device::flex());
            close(&numbers(net.forward(x)), &wanted, 1e-10);
        }
    }

    #[test]
    fn a_dense_term_is_dropped_or_made_larger_in_training_alone() {
        let device = Device::flex().autodiff();
        let config = DPolyNetConfig { drop: 0.75, ..polynomial() };
        let net = config.init(&device).expect("sizes");
        let dense = net.stages[0][1].dense.as_ref().expect("a product before");
        let beta = |dense: &Dense, device: &Device| numbers(dense.drop.forward(Tensor::<1>::ones([1], device)))[0];
        let drawn: Vec<f64> = (0..400).map(|_| beta(dense, &device)).collect();
        assert!(drawn.iter().all(|beta| *beta == 0.0 || *beta == 4.0));
        // Of 400, 100 in the mean, with a standard deviation of 8.7.
        let kept = drawn.iter().filter(|beta| **beta > 0.0).count();
        assert!((40..160).contains(&kept), "{kept}");
        assert_eq!(beta(dense, &Device::flex()), 1.0);
    }

    #[test]
    fn at_the_start_dense_terms_are_absent() {
        let mut net = polynomial().init(&Device::flex()).expect("sizes");
        assert!(net.stages.iter().flatten().all(|block| numbers(block.alpha.val()) == [1.0]));
        let x = wave([2, 3, 7, 5], 0.3, &Device::flex()).cast(DType::F32);
        let begun = numbers(net.forward(x.clone()));
        net.stages.iter_mut().flatten().for_each(|block| block.dense = None);
        close(&begun, &numbers(net.forward(x)), 1e-6);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for config in [polynomial(), small(InnerNorm::InstanceBatch, Pool::Max)] {
            let net = golden(config.init(&device).expect("sizes"));
            gradients(net, wave([1, 3, 5, 4], 0.9, &device), |net, x| net.forward(x));
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let x = wave([1, 3, 7, 9], 0.05, &Device::flex()).cast(DType::F32);
        let make = || polynomial().init(&Device::flex()).expect("sizes");
        // Weights of this variance grow beyond single precision where no norm has seen anything yet.
        saves_and_loads(single(golden(make())), make(), |net| net.forward(x.clone()));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refusal = |config: DPolyNetConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refusal(DPolyNetConfig { drop: 1.0, ..polynomial() }), "D-PolyNet: drop is 1, not in [0, 1)");
        let unequal = DPolyNetConfig { widths: vec![4], ..polynomial() };
        assert_eq!(refusal(unequal), "D-PolyNet: 1 widths for 2 stages of blocks");
        let empty = DPolyNetConfig { blocks: vec![1, 0], ..polynomial() };
        assert_eq!(refusal(empty), "D-PolyNet: a stage of none in widths [4, 5], blocks [1, 0]");
    }
}
