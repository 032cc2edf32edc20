//! Any fusion of two vectors behind one `forward`, of any width or of the width that meets a budget of parameters: what
//! a comparison at equal size needs.

use super::block::{Block, BlockConfig};
use super::concatenation::{Concatenation, ConcatenationConfig};
use super::cope::{Cope, CopeConfig};
use super::film::{FilmFusion, FilmFusionConfig};
use super::gmu::{Gmu, GmuConfig};
use super::lmf::{Lmf, LmfConfig};
use super::mcb::{Mcb, McbConfig};
use super::mfb::{Mfb, MfbConfig};
use super::mutan::{Mutan, MutanConfig};
use super::product::{Product, ProductConfig};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// Which fusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FusionKind {
    /// Concatenation, then a linear map: the control without any product. Has no width.
    Concatenation,
    /// Concatenation, hidden layer with ReLU: the control with an activation in the product's place.
    ConcatenationRelu,
    /// Product of two projections.
    Product,
    /// Product of two projections' tanh.
    Mlb,
    /// Count sketch of the outer product; its width is the number of buckets.
    Mcb,
    /// Tucker decomposition of low rank.
    Mutan,
    /// Products, pooled by sums.
    Mfb,
    /// Blocks of MFB that build on each other.
    Mfh,
    /// Tucker decomposition whose core is block-diagonal.
    Block,
    /// Low-rank tensor of the outer product with ones; its width is the rank.
    Lmf,
    /// Polynomial of both; its width is the rank.
    Cope,
    /// A gate between both.
    Gmu,
    /// y scales and shifts a projection of x.
    Film,
}

/// How a [`Fusion`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusionConfig {
    /// Which fusion.
    pub kind: FusionKind,
    /// Numbers of x.
    pub a: usize,
    /// Numbers of y.
    pub b: usize,
    /// Numbers of what stands before the output (buckets of MCB, rank of LMF and CoPE).
    pub width: usize,
    /// Numbers of the output.
    pub outputs: usize,
    /// Products that MUTAN and BLOCK sum.
    pub rank: usize,
    /// Products that MFB and MFH pool.
    pub pool: usize,
    /// Blocks of MFH.
    pub blocks: usize,
    /// Chunks of BLOCK.
    pub chunks: usize,
    /// Of CoPE's polynomial.
    pub degree: usize,
    /// In MFB and MFH.
    pub dropout: f64,
    /// Of MCB's hashes.
    pub seed: u64,
}

/// One of the fusions of two vectors.
#[derive(Module, Debug)]
pub enum Fusion {
    /// Both controls.
    Concatenation(Concatenation),
    /// Product and MLB.
    Product(Product),
    /// MCB.
    Mcb(Mcb),
    /// MUTAN.
    Mutan(Mutan),
    /// MFB and MFH.
    Mfb(Mfb),
    /// BLOCK.
    Block(Block),
    /// LMF.
    Lmf(Lmf),
    /// CoPE.
    Cope(Cope),
    /// GMU.
    Gmu(Gmu),
    /// FiLM.
    Film(FilmFusion),
}

/// The largest budget of parameters: 4 TiB. Counts of twice the width still fit into a number.
const MOST: usize = 1 << 40;

impl FusionKind {
    /// All there are, controls first.
    pub const ALL: [FusionKind; 13] = [
        FusionKind::Concatenation,
        FusionKind::ConcatenationRelu,
        FusionKind::Product,
        FusionKind::Mlb,
        FusionKind::Mcb,
        FusionKind::Mutan,
        FusionKind::Mfb,
        FusionKind::Mfh,
        FusionKind::Block,
        FusionKind::Lmf,
        FusionKind::Cope,
        FusionKind::Gmu,
        FusionKind::Film,
    ];

    /// For tables and command lines.
    pub fn name(self) -> &'static str {
        match self {
            FusionKind::Concatenation => "concatenation",
            FusionKind::ConcatenationRelu => "concatenation-relu",
            FusionKind::Product => "product",
            FusionKind::Mlb => "mlb",
            FusionKind::Mcb => "mcb",
            FusionKind::Mutan => "mutan",
            FusionKind::Mfb => "mfb",
            FusionKind::Mfh => "mfh",
            FusionKind::Block => "block",
            FusionKind::Lmf => "lmf",
            FusionKind::Cope => "cope",
            FusionKind::Gmu => "gmu",
            FusionKind::Film => "film",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        FusionKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl FusionConfig {
    /// A fusion of this width, its other sizes as published: rank 15, pool 5, 2 blocks, 20 chunks, dropout 0.1. CoPE is
    /// of degree 2, the least that multiplies.
    pub fn new(kind: FusionKind, [a, b]: [usize; 2], width: usize, outputs: usize) -> Self {
        FusionConfig {
            kind,
            a,
            b,
            width,
            outputs,
            rank: 15,
            pool: 5,
            blocks: 2,
            chunks: 20,
            degree: 2,
            dropout: 0.1,
            seed: 0,
        }
    }

    /// Makes the fusion. What its own kind refuses is refused.
    pub fn init(&self, device: &Device) -> Result<Fusion> {
        let FusionConfig { kind, a, b, width, outputs, rank, pool, blocks, chunks, degree, dropout, seed } = *self;
        let hidden = width;
        Ok(match kind {
            FusionKind::Concatenation | FusionKind::ConcatenationRelu => {
                let hidden = (kind == FusionKind::ConcatenationRelu).then_some(width);
                Fusion::Concatenation(ConcatenationConfig { a, b, hidden, outputs }.init(device)?)
            }
            FusionKind::Product | FusionKind::Mlb => {
                let tanh = kind == FusionKind::Mlb;
                Fusion::Product(ProductConfig { a, b, hidden, outputs, tanh }.init(device)?)
            }
            FusionKind::Mcb => Fusion::Mcb(McbConfig { a, b, buckets: width, outputs, seed }.init(device)?),
            FusionKind::Mutan => Fusion::Mutan(MutanConfig { a, b, hidden, rank, outputs }.init(device)?),
            FusionKind::Mfb | FusionKind::Mfh => {
                let blocks = if kind == FusionKind::Mfb { 1 } else { blocks };
                Fusion::Mfb(MfbConfig { a, b, hidden, pool, blocks, dropout, outputs }.init(device)?)
            }
            FusionKind::Block => Fusion::Block(BlockConfig { a, b, hidden, chunks, rank, outputs }.init(device)?),
            FusionKind::Lmf => Fusion::Lmf(LmfConfig { inputs: vec![a, b], rank: width, outputs }.init(device)?),
            FusionKind::Cope => Fusion::Cope(CopeConfig { a, b, rank: width, outputs, degree }.init(device)?),
            FusionKind::Gmu => Fusion::Gmu(GmuConfig { a, b, hidden, outputs }.init(device)?),
            FusionKind::Film => Fusion::Film(FilmFusionConfig { a, b, hidden, outputs }.init(device)?),
        })
    }

    /// Numbers that training changes, without making the layer.
    pub fn parameters(&self) -> usize {
        let FusionConfig { kind, a, b, width: h, outputs: o, rank, pool, blocks, degree, .. } = *self;
        let (projections, output) = ((a + b + 2) * h, (h + 1) * o);
        let core = |width: usize| 2 * (width + 1) * width * rank;
        match kind {
            FusionKind::Concatenation => (a + b + 1) * o,
            FusionKind::ConcatenationRelu => (a + b + 1) * h + output,
            FusionKind::Product | FusionKind::Mlb => projections + output,
            FusionKind::Mcb => output,
            FusionKind::Mutan => projections + core(h) + output,
            FusionKind::Mfb => projections * pool + output,
            FusionKind::Mfh => blocks * projections * pool + (blocks * h + 1) * o,
            FusionKind::Block => {
                let size = h.div_ceil(self.chunks.max(1));
                let chunks = (0..self.chunks).map(|chunk| core(size.min(h.saturating_sub(chunk * size))));
                projections + chunks.sum::<usize>() + output
            }
            FusionKind::Lmf => h * o * (a + b + 2) + h + o,
            FusionKind::Cope => degree * (a + b) * h + output,
            FusionKind::Gmu => projections + 2 * h * h + output,
            FusionKind::Film => projections + (b + 1) * h + output,
        }
    }

    /// The same fusion of the width that brings its parameters nearest to `budget`: the smaller of two that are as
    /// near, and 1 where even that is too much. BLOCK's width is a multiple of its chunks; linear concatenation has
    /// none and stays.
    ///
    /// # Errors
    /// Where a size other than the width is zero, or the budget is more than 2⁴⁰.
    pub fn with_parameters(self, budget: usize) -> Result<Self> {
        let FusionConfig { kind, a, b, outputs, rank, pool, blocks, chunks, degree, .. } = self;
        let sizes = [("a", a), ("b", b), ("outputs", outputs), ("rank", rank), ("pool", pool), ("blocks", blocks)];
        nonzero("fusion", &sizes)?;
        nonzero("fusion", &[("chunks", chunks), ("degree", degree)])?;
        if budget > MOST {
            return Err(Error::config("fusion", format!("budget is {budget}, at most {MOST}")));
        }
        if kind == FusionKind::Concatenation {
            return Ok(self);
        }
        let unit = if kind == FusionKind::Block { chunks } else { 1 };
        let of = |units: usize| FusionConfig { width: units * unit, ..self };
        // Parameters grow with the width: `low` holds no more than the budget (or is 0), `high` holds more.
        let (mut low, mut high) = (0, 1);
        while of(high).parameters() <= budget {
            (low, high) = (high, 2 * high);
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if of(middle).parameters() <= budget { low = middle } else { high = middle }
        }
        let is_low_nearer = low > 0 && budget - of(low).parameters() <= of(high).parameters() - budget;
        Ok(of(if is_low_nearer { low } else { high }))
    }
}

impl Fusion {
    /// # Shapes
    /// - `x`: `[n, a]`
    /// - `y`: `[n, b]`
    /// - output: `[n, outputs]`
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        match self {
            Fusion::Concatenation(layer) => layer.forward(x, y),
            Fusion::Product(layer) => layer.forward(x, y),
            Fusion::Mcb(layer) => layer.forward(x, y),
            Fusion::Mutan(layer) => layer.forward(x, y),
            Fusion::Mfb(layer) => layer.forward(x, y),
            Fusion::Block(layer) => layer.forward(x, y),
            Fusion::Lmf(layer) => layer.forward(&[x, y]),
            Fusion::Cope(layer) => layer.forward(x, y),
            Fusion::Gmu(layer) => layer.forward(x, y),
            Fusion::Film(layer) => layer.forward(x, y),
        }
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        match self {
            Fusion::Concatenation(layer) => layer.describe(trace, x, y),
            Fusion::Product(layer) => layer.describe(trace, x, y),
            Fusion::Mcb(layer) => layer.describe(trace, x, y),
            Fusion::Mutan(layer) => layer.describe(trace, x, y),
            Fusion::Mfb(layer) => layer.describe(trace, x, y),
            Fusion::Block(layer) => layer.describe(trace, x, y),
            Fusion::Lmf(layer) => layer.describe(trace, &[x, y]),
            Fusion::Cope(layer) => layer.describe(trace, x, y),
            Fusion::Gmu(layer) => layer.describe(trace, x, y),
            Fusion::Film(layer) => layer.describe(trace, x, y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{golden, gradients, parameters, saves_and_loads, wave};
    use burn::tensor::DType;

    /// Small, and such that BLOCK's chunks are uneven: 3 and 2.
    fn config(kind: FusionKind) -> FusionConfig {
        FusionConfig { rank: 2, pool: 3, chunks: 2, ..FusionConfig::new(kind, [4, 3], 5, 2) }
    }

    #[test]
    fn every_kind_is_what_its_name_says_and_counts_its_parameters() {
        for kind in FusionKind::ALL {
            assert_eq!(FusionKind::named(kind.name()), Some(kind));
            let layer = config(kind).init(&Device::flex()).expect("sizes");
            let mut trace = Trace::new();
            let (x, y) = (trace.input(&[4]), trace.input(&[3]));
            let out = layer.describe(&mut trace, &x, &y);
            assert_eq!(out.shape(), [2], "{}", kind.name());
            let count = trace.audit(&out).parameters;
            assert_eq!((count, count), (parameters(&layer), config(kind).parameters()), "{}", kind.name());
        }
        assert_eq!(FusionKind::named("outer"), None);
    }

    #[test]
    fn only_the_controls_keep_the_two_apart() {
        // Linear concatenation multiplies nothing; with ReLU neither, but is no polynomial.
        for kind in FusionKind::ALL {
            let layer = config(kind).init(&Device::flex()).expect("sizes");
            let mut trace = Trace::new();
            let (x, y) = (trace.input(&[4]), trace.input(&[3]));
            let out = layer.describe(&mut trace, &x, &y);
            let is_control = matches!(kind, FusionKind::Concatenation | FusionKind::ConcatenationRelu);
            assert_eq!(trace.audit(&out).ciphertext_products == 0, is_control, "{}", kind.name());
        }
    }

    #[test]
    fn the_width_found_is_the_nearest_of_all() {
        for kind in FusionKind::ALL.into_iter().filter(|kind| *kind != FusionKind::Concatenation) {
            let step = if kind == FusionKind::Block { 2 } else { 1 };
            for budget in [0, 1, 100, 333, 1000, 5000] {
                let found = config(kind).with_parameters(budget).expect("sizes");
                let off = |width: usize| FusionConfig { width, ..config(kind) }.parameters().abs_diff(budget);
                let nearest = (1..3000).map(|units| units * step).min_by_key(|width| off(*width));
                assert_eq!(Some(found.width), nearest, "{} at {budget}", kind.name());
                assert_eq!(FusionConfig { width: 5, ..found }, config(kind), "nothing else changes");
            }
        }
    }

    #[test]
    fn published_sizes_meet_a_budget_within_three_percent() {
        for kind in FusionKind::ALL.into_iter().filter(|kind| *kind != FusionKind::Concatenation) {
            let config = FusionConfig::new(kind, [512, 128], 1, 13);
            let count = config.with_parameters(500_000).expect("sizes").parameters();
            assert!(count.abs_diff(500_000) <= 15_000, "{}: {count}", kind.name());
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let y = wave([2, 3], 1.3, &device);
        for kind in FusionKind::ALL {
            let layer = golden(config(kind).init(&device).expect("sizes"));
            gradients(layer, wave([2, 4], 0.9, &device), |layer, x| layer.forward(x, y.clone()));
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let (x, y) = (wave([2, 4], 0.9, &device).cast(DType::F32), wave([2, 3], 1.3, &device).cast(DType::F32));
        for kind in FusionKind::ALL {
            let make = |seed| FusionConfig { seed, ..config(kind) }.init(&device).expect("sizes");
            saves_and_loads(make(1), make(2), |layer| layer.forward(x.clone(), y.clone()));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for kind in FusionKind::ALL {
            let without = FusionConfig { outputs: 0, ..config(kind) };
            assert!(without.init(&Device::flex()).is_err(), "{}", kind.name());
            let error = without.with_parameters(100).expect_err("no outputs");
            assert_eq!(error.to_string(), "fusion: outputs is 0");
            assert!(config(kind).with_parameters(MOST).is_ok());
            let error = config(kind).with_parameters(MOST + 1).expect_err("beyond any machine");
            assert_eq!(error.to_string(), "fusion: budget is 1099511627777, at most 1099511627776");
        }
    }
}
