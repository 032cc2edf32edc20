//! Pruning: masks over the weights of any Burn module, scores that choose them, and a short encoding of what is left.
//!
//! | score | what it needs | paper |
//! |---|---|---|
//! | [`random`] | a seed; the control | |
//! | [`magnitude`] | weights | Han et al., arXiv 1506.02626 |
//! | [`snip`] | gradients of one batch, before training | Lee et al., arXiv 1810.02340 |
//! | [`synflow`](fn@synflow) | no data: a batch of ones, before training | Tanaka et al., arXiv 2006.05467 |
//! | [`Movement`] | gradients of all steps of a transfer | Sanh et al., arXiv 2005.07683 |
//!
//! Nothing here trains. A loop of the caller's own applies the [`Masks`] again behind every step of its optimiser, since
//! momentum and weight decay revive weights; and computes the running statistics of batch norms anew behind a pruning
//! without training. For lottery tickets (Frankle and Carbin, arXiv 1803.03635) it trains, prunes a share by magnitude,
//! goes back to a [`Snapshot`] under the masks, and begins again, its schedule and optimiser too.
//!
//! A weight that is pruned costs as much time as another: there are no sparse kernels.

mod masks;
mod scores;
mod snapshot;
mod sparse;
mod synflow;

pub use masks::Masks;
pub use scores::{Movement, Scores, cubic_share, magnitude, random, snip};
pub use snapshot::Snapshot;
pub use sparse::{Number, decode, encode};
pub use synflow::synflow;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use std::collections::BTreeMap;

/// Whether a parameter is pruned, by its field's name, its module's type and its shape.
///
/// Weights of linear layers (two axes, of a module named `Linear`) and of convolutions (three axes or more) are. Norms,
/// biases and embeddings are not. Nor are convolutions whose filters see one channel each: depthwise ones, which are small
/// and fragile, and with them a first layer on grey pictures.
pub fn is_pruned(name: &str, module: &str, shape: &[usize]) -> bool {
    let is_layer = match shape {
        [_, _] => module == "Linear",
        [_, channels, _, ..] => *channels > 1,
        _ => false,
    };
    is_layer && name == "weight"
}

/// Where a visitor or mapper is.
#[derive(Debug, Default)]
struct Place(Vec<(String, String)>);

impl Place {
    fn enter(&mut self, name: &str, container: &str) {
        self.0.push((name.to_owned(), container.trim_start_matches("Struct:").to_owned()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    /// Names joined by dots.
    fn name(&self) -> String {
        self.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".")
    }

    /// Whether what is here is pruned.
    fn is_pruned(&self, shape: &[usize]) -> bool {
        self.0.last().is_some_and(|(name, module)| is_pruned(name, module, shape))
    }

    /// Whether what is here are running statistics, which no training changes.
    fn is_statistic(&self) -> bool {
        self.0.last().is_some_and(|(name, _)| name.starts_with("running_"))
    }
}

/// A weight that is pruned.
struct Weight {
    name: String,
    shape: Vec<usize>,
    values: Vec<f64>,
    /// Zeros where it has none.
    gradient: Vec<f64>,
}

/// All weights that are pruned, with their gradients where these are given.
fn weights<M: Module>(module: &M, gradients: Option<&Gradients>) -> Vec<Weight> {
    struct Collect<'a> {
        gradients: Option<&'a Gradients>,
        place: Place,
        weights: Vec<Weight>,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.place.enter(name, container);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.place.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let shape = param.shape().to_vec();
            if !self.place.is_pruned(&shape) {
                return;
            }
            let values = floats(param.val());
            let gradient = self.gradients.and_then(|gradients| param.val().grad(gradients)).map(floats);
            let gradient = gradient.unwrap_or_else(|| vec![0.0; values.len()]);
            self.weights.push(Weight { name: self.place.name(), shape, values, gradient });
        }
    }
    let mut collect = Collect { gradients, place: Place::default(), weights: Vec::new() };
    module.visit(&mut collect);
    collect.weights
}

/// Shapes of all weights that are pruned, by their names. Nothing is read.
fn shapes<M: Module>(module: &M) -> BTreeMap<String, Vec<usize>> {
    #[derive(Default)]
    struct Collect {
        place: Place,
        shapes: BTreeMap<String, Vec<usize>>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.place.enter(name, container);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.place.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let shape = param.shape().to_vec();
            if self.place.is_pruned(&shape) {
                self.shapes.insert(self.place.name(), shape);
            }
        }
    }
    let mut collect = Collect::default();
    module.visit(&mut collect);
    collect.shapes
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_into_vec().expect("a tensor of floats")
}

/// Numbers that look random, the same for the same seed: SplitMix64 (Steele et al., 2014).
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::golden;
    use crate::norm::{BatchNorm, BatchNormConfig};
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
    use burn::tensor::Device;
    use burn::tensor::activation::relu;

    /// Layers of a chain, ReLU between them.
    #[derive(Module, Debug)]
    pub struct Chain {
        pub layers: Vec<Linear>,
    }

    impl Chain {
        pub fn new(widths: &[usize], has_bias: bool, device: &Device) -> Self {
            let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).with_bias(has_bias).init(device);
            Chain { layers: widths.windows(2).map(layer).collect() }
        }

        pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
            let (last, rest) = self.layers.split_last().expect("a layer");
            last.forward(rest.iter().fold(x, |x, layer| relu(layer.forward(x))))
        }
    }

    /// 3 → 4 → 2, filled as golden values are, in double precision.
    pub fn small(device: &Device) -> Chain {
        golden(Chain::new(&[3, 4, 2], true, device))
    }

    #[derive(Module, Debug)]
    pub struct Mixed {
        pub stem: Conv2d,
        pub depthwise: Conv2d,
        pub bn: BatchNorm,
        pub norm: LayerNorm,
        pub words: Embedding,
        pub heads: Vec<Linear>,
    }

    pub fn mixed(device: &Device) -> Mixed {
        Mixed {
            stem: Conv2dConfig::new([3, 4], [3, 3]).init(device),
            depthwise: Conv2dConfig::new([4, 4], [3, 3]).with_groups(4).init(device),
            bn: BatchNormConfig::new(4).init(device).expect("channels"),
            norm: LayerNormConfig::new(4).init(device),
            words: EmbeddingConfig::new(7, 4).init(device),
            heads: vec![LinearConfig::new(4, 2).init(device), LinearConfig::new(4, 3).init(device)],
        }
    }

    #[test]
    fn convolutions_and_linear_layers_are_pruned_and_nothing_else() {
        let weights = weights(&mixed(&Device::flex()), None);
        let found: Vec<(&str, &[usize])> = weights.iter().map(|w| (w.name.as_str(), w.shape.as_slice())).collect();
        let wanted: [(&str, &[usize]); 3] =
            [("stem.weight", &[4, 3, 3, 3]), ("heads.0.weight", &[4, 2]), ("heads.1.weight", &[4, 3])];
        assert_eq!(found, wanted);
    }

    #[test]
    fn modules_of_other_crates_are_pruned_by_the_same_rule() {
        assert!(
            is_pruned("weight", "Convolution", &[4, 2, 3, 3]) && !is_pruned("weight", "Convolution", &[4, 1, 3, 3])
        );
        assert!(!is_pruned("weight", "Embedding", &[4, 2]) && !is_pruned("weight", "Gate", &[4]));
        assert!(!is_pruned("bias", "Linear", &[4]) && !is_pruned("filters", "Convolution", &[4, 2, 3]));
    }

    #[test]
    fn the_generator_gives_the_published_numbers() {
        // The first three of the reference implementation from seed 1234567.
        let mut generator = Generator(1_234_567);
        let numbers = [generator.next(), generator.next(), generator.next()];
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        let mean = (0..10_000).map(|_| generator.unit()).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 0.015, "{mean}");
    }
}
