//! Eyes, words, and what joins them.

use crate::error::Result;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use polyad_nn::backbone::small::{SmallNet, SmallNetConfig};
use polyad_nn::hadamard::fusion::any::{Fusion, FusionConfig};

/// Numbers of a picture.
pub const PICTURE: usize = 64;
/// Numbers of a question.
pub const QUESTION: usize = 32;
/// Of the words' inner layer, and of the wide head.
const WORDS: usize = 64;
const WIDE: usize = 128;

/// Turns counts of words into numbers.
#[derive(Module, Debug)]
pub struct Words {
    /// `[words, 64]`
    first: Linear,
    /// `[64, 32]`
    second: Linear,
}

impl Words {
    fn init(words: usize, device: &Device) -> Self {
        Words {
            first: LinearConfig::new(words, WORDS).init(device),
            second: LinearConfig::new(WORDS, QUESTION).init(device),
        }
    }

    /// # Shapes
    /// - counts: `[n, words]`
    /// - output: `[n, 32]`
    fn forward(&self, counts: Tensor<2>) -> Tensor<2> {
        self.second.forward(relu(self.first.forward(counts)))
    }
}

/// The network that teaches the eyes to see: a wide head over both, put side by side.
#[derive(Module, Debug)]
pub struct Looker {
    /// Kept.
    pub eyes: SmallNet,
    words: Words,
    hidden: Linear,
    output: Linear,
}

impl Looker {
    pub fn init(words: usize, answers: usize, device: &Device) -> Result<Self> {
        Ok(Looker {
            eyes: SmallNetConfig { widths: vec![16, 32, PICTURE] }.init(device)?,
            words: Words::init(words, device),
            hidden: LinearConfig::new(PICTURE + QUESTION, WIDE).init(device),
            output: LinearConfig::new(WIDE, answers).init(device),
        })
    }

    /// # Shapes
    /// - pictures: `[p, 3, side, side]`
    /// - which: the picture of each question
    /// - counts: `[n, words]`
    /// - output: `[n, answers]`
    pub fn forward(&self, pictures: Tensor<4>, which: Tensor<1, burn::tensor::Int>, counts: Tensor<2>) -> Tensor<2> {
        let seen = self.eyes.forward(pictures).select(0, which);
        let both = Tensor::cat(vec![seen, self.words.forward(counts)], 1);
        self.output.forward(relu(self.hidden.forward(both)))
    }
}

/// Words and a fusion, over what the eyes have seen.
#[derive(Module, Debug)]
pub struct Answerer {
    words: Words,
    fusion: Fusion,
}

impl Answerer {
    pub fn init(words: usize, fusion: &FusionConfig, device: &Device) -> Result<Self> {
        Ok(Answerer { words: Words::init(words, device), fusion: fusion.init(device)? })
    }

    /// # Shapes
    /// - seen: `[n, 64]`
    /// - counts: `[n, words]`
    /// - output: `[n, answers]`
    pub fn forward(&self, seen: Tensor<2>, counts: Tensor<2>) -> Tensor<2> {
        self.fusion.forward(seen, self.words.forward(counts))
    }
}
