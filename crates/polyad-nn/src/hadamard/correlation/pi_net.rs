//! Π-Net-18: ResNet-18 whose blocks add the product of their branches, and which has no activation function (Chrysos et
//! al., Deep Polynomial Neural Networks, arXiv 2006.13026).
//!
//! The stem's max-pool stays, as published, so the network is free of activation functions but no polynomial.
//! Convolutions begin as torchvision's ResNet begins.

use super::residual::{Branches, BranchesConfig, ConvNorm, InnerNorm, Pool, conv, mean_of_pixels, stages};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use crate::norm::{BatchNorm, BatchNormConfig};
use burn::module::{Initializer, Module};
use burn::nn::conv::Conv2d;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`PiNet`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PiNetConfig {
    /// Channels of the first stage; each later one has twice as many.
    pub width: usize,
    /// Blocks of each stage.
    pub blocks: Vec<usize>,
    /// Classes of the head.
    pub classes: usize,
    /// Whether each product passes a 1 × 1 convolution.
    pub has_map: bool,
}

/// `[n, 3, height, width]` to `[n, classes]`.
#[derive(Module, Debug)]
pub struct PiNet {
    /// 7 × 7, stride 2; a max-pool of stride 2 follows.
    pub stem: ConvNorm,
    /// From large pictures to small.
    pub stages: Vec<Vec<PiBlock>>,
    /// On the mean over pixels.
    pub head: Linear,
}

/// `y = F + s + BN(W (F ∘ s))`, W a 1 × 1 convolution or absent.
#[derive(Module, Debug)]
pub struct PiBlock {
    /// F and s.
    pub branches: Branches,
    /// W, `[out, out, 1, 1]`, no bias.
    pub map: Option<Conv2d>,
    /// Of the product.
    pub norm: BatchNorm,
}

impl PiNetConfig {
    /// Π-Net-18 for so many classes; 11,693,352 parameters for 1,000, with 1 × 1 convolutions 12,389,672.
    pub fn pi_net_18(classes: usize, has_map: bool) -> Self {
        PiNetConfig { width: 64, blocks: vec![2; 4], classes, has_map }
    }

    /// Makes the network. Sizes of zero, a stage without blocks, and more stages than a number of channels can double
    /// are refused.
    ///
    /// The norm at the end of each F begins at 0, so that a block begins as its shortcut.
    pub fn init(&self, device: &Device) -> Result<PiNet> {
        nonzero("Π-Net", &[("width", self.width), ("stages", self.blocks.len()), ("classes", self.classes)])?;
        let widths = doubled("Π-Net", self.width, &self.blocks)?;
        let initializer = Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: true };
        let block = |(channels, stride): ([usize; 2], usize)| -> Result<PiBlock> {
            let norm = InnerNorm::Batch;
            let config = BranchesConfig { channels, stride, norm, initializer: initializer.clone() };
            let mut branches = config.init(device)?;
            branches.conv2.norm.gamma = Initializer::Zeros.init([channels[1]], device);
            let map = self.has_map.then(|| conv([channels[1]; 2], 1, 1, &initializer, device));
            Ok(PiBlock { branches, map, norm: BatchNormConfig::new(channels[1]).init(device)? })
        };
        let stages = stages(self.width, &widths, &self.blocks).into_iter();
        Ok(PiNet {
            stem: ConvNorm::new([3, self.width], 7, 2, &initializer, device)?,
            stages: stages.map(|stage| stage.into_iter().map(block).collect()).collect::<Result<_>>()?,
            head: LinearConfig::new(widths[widths.len() - 1], self.classes).init(device),
        })
    }
}

/// Channels of each stage: `width`, and each time twice as many. A stage without blocks is refused.
pub(super) fn doubled(module: &'static str, width: usize, blocks: &[usize]) -> Result<Vec<usize>> {
    if blocks.contains(&0) {
        return Err(Error::config(module, format!("a stage without blocks in {blocks:?}")));
    }
    let width_of = |stage: usize| 1usize.checked_shl(stage as u32).and_then(|factor| width.checked_mul(factor));
    (0..blocks.len())
        .map(|stage| {
            width_of(stage).ok_or_else(|| Error::config(module, format!("{width} cannot double {stage} times")))
        })
        .collect()
}

impl PiBlock {
    /// # Shapes
    /// - `x`: `[n, in, height, width]`
    /// - output: `[n, out, ⌈height / stride⌉, ⌈width / stride⌉]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [f, s] = self.branches.forward(x);
        let product = f.clone() * s.clone();
        let product = match &self.map {
            Some(map) => map.forward(product),
            None => product,
        };
        f + s + self.norm.forward(product)
    }
}

impl Describe for PiBlock {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let [f, s] = trace.within("branches", |trace| self.branches.describe(trace, &x));
        let mut product = trace.product("product", &f, &s);
        if let Some(map) = &self.map {
            product = trace.conv2d("map", map, &product);
        }
        let product = trace.batch_norm("norm", &self.norm, &product);
        let sum = trace.sum("residual", &f, &s);
        trace.sum("sum", &sum, &product)
    }
}

impl PiNet {
    /// # Shapes
    /// - `x`: `[n, 3, height, width]`
    /// - output: `[n, classes]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = Pool::Max.forward(self.stem.forward(x), 2);
        let x = self.stages.iter().flatten().fold(x, |x, block| block.forward(x));
        self.head.forward(mean_of_pixels(x))
    }
}

impl Describe for PiNet {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let x = self.stem.describe(trace, "stem", &x);
        let mut x = Pool::Max.describe(trace, &x, 2);
        for (stage, blocks) in self.stages.iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                x = trace.within(format!("stages.{stage}.{index}"), |trace| block.describe(trace, x));
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

    fn small(has_map: bool) -> PiNetConfig {
        PiNetConfig { width: 4, blocks: vec![1, 2], classes: 3, has_map }
    }

    #[test]
    fn published_counts_come_out() {
        for (has_map, wanted) in [(false, 11_693_352), (true, 12_389_672)] {
            let net = PiNetConfig::pi_net_18(1000, has_map).init(&Device::flex()).expect("published");
            let audit = Audit::of(&net, &[3, 224, 224]);
            assert_eq!((audit.parameters, parameters(&net)), (wanted, wanted));
            // What remains without the products and what follows them is ResNet-18.
            let of_product = |name: &str| {
                let of_block = name.strip_prefix("stages.").is_some_and(|name| name.matches('.').count() == 2);
                of_block && [".norm", ".map"].iter().any(|end| name.ends_with(end))
            };
            let rest = audit.layers.iter().filter(|layer| !of_product(&layer.name));
            let (parameters, multiply_adds) =
                rest.fold((0, 0), |sum, layer| (sum.0 + layer.parameters, sum.1 + layer.multiply_adds));
            assert_eq!((parameters, multiply_adds), (11_689_512, 1_814_073_344));
            let pixels = 2 * (64 * 56 * 56 + 128 * 28 * 28 + 256 * 14 * 14 + 512 * 7 * 7);
            assert_eq!(audit.ciphertext_products, pixels);
            let verdicts = (audit.activation_free, audit.polynomial_at_inference, audit.only_add_mul);
            assert_eq!(verdicts, (true, false, false));
        }
    }

    #[test]
    fn a_block_doubles_the_degree() {
        let net = small(true).init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&net.stages[1][0], &[4, 6, 6]);
        assert_eq!((audit.log2_degree, audit.product_depth, audit.only_add_mul), (Some(1.0), Some(1), true));
    }

    #[test]
    fn values_are_those_of_pytorch() {
        for (has_map, wanted) in [
            (false, [-41.5915477675, -40.6279268363, -21.4263791573]),
            (true, [28.1494898034, 24.2634151056, 9.48840861787]),
        ] {
            let net = golden(small(has_map).init(&Device::flex()).expect("sizes"));
            // Block, parameters in the order of the fields here and filled as `golden` fills them, in eval():
            //     F + s + norm(map(F * s))
            // Blocks of 4, 8 and 8 channels; x = sin(.05 (1 + arange(3 * 17 * 19)))
            let x = wave([1, 3, 17, 19], 0.05, &Device::flex());
            close(&numbers(net.forward(x)), &wanted, 1e-10);
        }
    }

    #[test]
    fn a_block_begins_as_its_shortcut() {
        let net = small(true).init(&Device::flex()).expect("sizes");
        let x = wave([2, 4, 5, 7], 0.3, &Device::flex()).cast(burn::tensor::DType::F32);
        close(&numbers(net.stages[0][0].forward(x.clone())), &numbers(x), 1e-6);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for has_map in [false, true] {
            let mut net = golden(small(has_map).init(&device).expect("sizes"));
            let block = net.stages[1].swap_remove(0);
            gradients(block, wave([2, 4, 5, 3], 0.9, &device), |block, x| block.forward(x));
        }
        // Through the whole, where no two pixels of a pool are as great as each other.
        let net = golden(small(true).init(&device).expect("sizes"));
        gradients(net, wave([1, 3, 9, 11], 0.9, &device), |net, x| net.forward(x));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let x = wave([1, 3, 17, 19], 0.05, &Device::flex()).cast(burn::tensor::DType::F32);
        let make = || small(true).init(&Device::flex()).expect("sizes");
        saves_and_loads(make(), make(), |net| net.forward(x.clone()));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refusal = |config: PiNetConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refusal(PiNetConfig { classes: 0, ..small(true) }), "Π-Net: classes is 0");
        let empty = PiNetConfig { blocks: vec![1, 0], ..small(true) };
        assert_eq!(refusal(empty), "Π-Net: a stage without blocks in [1, 0]");
        let wide = PiNetConfig { width: usize::MAX, ..small(true) };
        assert_eq!(refusal(wide), format!("Π-Net: {} cannot double 1 times", usize::MAX));
    }
}
