//! Image networks at the machine's limit, for inference.
//!
//! A Burn module is the definition of a network; an [`Engine`] is made of it once and gives the same vectors, within
//! 1e-4 of the largest. Here `fold` makes batch norms part of the weights, and `networks` reads each module as a list of
//! steps; `polyad_run` runs them. [`parts`] hands on what stands around an image network.

pub(crate) mod fold;
mod layers;
mod networks;
pub mod parts;

use crate::backbone::alexnet::AlexNet;
use crate::backbone::efficientnet::EfficientNet;
use crate::backbone::resnet::ResNet;
use crate::backbone::small::SmallNet;
use crate::backbone::vgg::Vgg;
use crate::error::Result;
use crate::hadamard::correlation::starnet::StarNet;
use burn::tensor::{Tensor, TensorData};
use networks::Parts;
use polyad_run::ImageNetwork;
use polyad_simd::Level;

/// A network ready to run, with weights of its own.
#[derive(Debug)]
pub struct Engine(ImageNetwork);

impl Engine {
    fn new((body, tail): Parts) -> Result<Self> {
        Ok(Engine(ImageNetwork::new(body, tail)?))
    }

    /// An engine for the small network. Cost of this and its sisters: the weights are read and written once.
    pub fn from_small(net: &SmallNet) -> Result<Self> {
        networks::small(net).and_then(Self::new)
    }

    /// An engine for ResNet-18, -34 or -50.
    pub fn from_resnet(net: &ResNet) -> Result<Self> {
        networks::resnet(net).and_then(Self::new)
    }

    /// An engine for AlexNet.
    pub fn from_alexnet(net: &AlexNet) -> Result<Self> {
        networks::alexnet(net).and_then(Self::new)
    }

    /// An engine for VGG-11.
    pub fn from_vgg(net: &Vgg) -> Result<Self> {
        networks::vgg(net).and_then(Self::new)
    }

    /// An engine for EfficientNet-Lite0.
    pub fn from_efficientnet(net: &EfficientNet) -> Result<Self> {
        networks::efficientnet(net).and_then(Self::new)
    }

    /// An engine for StarNet, up to its vector: without the head.
    pub fn from_starnet(net: &StarNet) -> Result<Self> {
        networks::starnet(net).and_then(Self::new)
    }

    /// The same engine on another level than [`polyad_simd::level()`]; on the best below it that the processor has.
    pub fn with_level(self, level: Level) -> Self {
        Engine(self.0.with_level(level))
    }

    /// The same engine, which multiplies numbers rounded to bfloat16 and sums them in single precision. By AVX-512 BF16;
    /// where a processor has no such instruction the same is computed in plain code, slowly: see [`Engine::has_bfloat16`].
    ///
    /// # Error
    /// Each factor is off by at most 2⁻⁹ of itself, at random. Measured with random weights, a vector is off by 0.2 % (the
    /// small network) to 0.4 % of its length, and by 3.5 % where fifty layers follow each other (EfficientNet). The bytes depend on the processor: instructions add pairs in another order than plain code.
    pub fn with_bfloat16(self) -> Self {
        Engine(self.0.with_bfloat16())
    }

    /// Whether this processor has instructions for bfloat16 that the level in use allows.
    pub fn has_bfloat16() -> bool {
        polyad_simd::level() >= Level::Avx512Bf16 && Level::Avx512Bf16.is_present()
    }

    /// Numbers that a picture becomes.
    pub fn features(&self) -> usize {
        self.0.features()
    }

    /// Turns pictures into vectors, as the module's `forward` does.
    ///
    /// # Shapes
    /// - pictures: `[n, 3, height, width]`
    /// - output: `[n, features]`, on the device of the pictures
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn forward(&self, pictures: Tensor<4>) -> Result<Tensor<2>> {
        let (shape, device) = (pictures.dims(), pictures.device());
        let output = self.run(&fold::numbers(pictures)?, shape)?;
        Ok(Tensor::from_data(TensorData::new(output, [shape[0], self.features()]), &device))
    }

    /// Turns pictures, one after the other, into vectors: see [`ImageNetwork::run`].
    pub fn run(&self, pictures: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
        Ok(self.0.run(pictures, shape)?)
    }

    /// The network alone, which needs no framework.
    pub fn into_network(self) -> ImageNetwork {
        self.0
    }
}
