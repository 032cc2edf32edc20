//! Image networks at the machine's limit, for inference.
//!
//! A Burn module is the definition of a network; an [`Engine`] is made of it once and gives the same vectors, within
//! 1e-4 of the largest:
//!
//! 1. `fold`: batch norms become part of the weights, and those are packed in blocks of 16 channels.
//! 2. `plan`: the network is a list of steps over values; few buffers hold them in turn. ReLU, ReLU6 and residual
//!    additions are the ends of convolutions.
//! 3. `run`: images go through all steps in groups small enough for the caches. Threads take groups where there are
//!    enough images, and parts of each step (pixels or output channels) where there are not. Either way every number is
//!    the sum of the same terms in the same order: the bytes do not depend on the number of threads.
//!
//! The kernels are `polyad_simd::conv`'s.

mod fold;
mod networks;
mod plan;
mod run;

use crate::backbone::alexnet::AlexNet;
use crate::backbone::efficientnet::EfficientNet;
use crate::backbone::resnet::ResNet;
use crate::backbone::small::SmallNet;
use crate::backbone::vgg::Vgg;
use crate::error::{Error, Result};
use crate::hadamard::correlation::starnet::StarNet;
use burn::tensor::{Tensor, TensorData};
use networks::Parts;
use plan::Plan;
use polyad_simd::Level;
use rayon::prelude::*;
use run::{How, Workspace, crop};
use std::sync::{Mutex, PoisonError};

/// Numbers of all buffers of a group of images: 8 MB, a part of the last cache for each of a few threads. Smaller groups
/// read the weights more often and leave tiles of small maps unfilled.
const GROUP: usize = 2 << 20;

/// A network ready to run, with weights of its own.
#[derive(Debug)]
pub struct Engine {
    body: Plan,
    /// What follows for all images at once.
    tail: Option<Plan>,
    level: Level,
    /// Of earlier runs, at most as many as there were threads at once.
    workspaces: Mutex<Vec<Workspace>>,
}

impl Engine {
    fn new((body, tail): Parts) -> Self {
        Engine { body, tail, level: polyad_simd::level(), workspaces: Mutex::default() }
    }

    /// An engine for the small network. Cost of this and its sisters: the weights are read and written once.
    pub fn from_small(net: &SmallNet) -> Result<Self> {
        networks::small(net).map(Self::new)
    }

    /// An engine for ResNet-18, -34 or -50.
    pub fn from_resnet(net: &ResNet) -> Result<Self> {
        networks::resnet(net).map(Self::new)
    }

    /// An engine for AlexNet.
    pub fn from_alexnet(net: &AlexNet) -> Result<Self> {
        networks::alexnet(net).map(Self::new)
    }

    /// An engine for VGG-11.
    pub fn from_vgg(net: &Vgg) -> Result<Self> {
        networks::vgg(net).map(Self::new)
    }

    /// An engine for EfficientNet-Lite0.
    pub fn from_efficientnet(net: &EfficientNet) -> Result<Self> {
        networks::efficientnet(net).map(Self::new)
    }

    /// An engine for StarNet, up to its vector: without the head.
    pub fn from_starnet(net: &StarNet) -> Result<Self> {
        networks::starnet(net).map(Self::new)
    }

    /// The same engine on another level than [`polyad_simd::level()`]; on the best below it that the processor has.
    pub fn with_level(self, level: Level) -> Self {
        Engine { level, ..self }
    }

    /// The same engine, which multiplies numbers rounded to bfloat16 and sums them in single precision. By AVX-512 BF16;
    /// where a processor has no such instruction the same is computed in plain code, slowly: see [`Engine::has_bfloat16`].
    ///
    /// # Error
    /// Each factor is off by at most 2⁻⁹ of itself, at random. Measured with random weights, a vector is off by 0.2 % (the
    /// small network) to 0.4 % of its length, and by 3.5 % where fifty layers follow each other (EfficientNet). The bytes depend on the processor: instructions add pairs in another order than plain code.
    pub fn with_bfloat16(self) -> Self {
        Engine { body: self.body.rounded(), tail: self.tail.map(Plan::rounded), ..self }
    }

    /// Whether this processor has instructions for bfloat16 that the level in use allows.
    pub fn has_bfloat16() -> bool {
        polyad_simd::level() >= Level::Avx512Bf16 && Level::Avx512Bf16.is_present()
    }

    /// Numbers that a picture becomes.
    pub fn features(&self) -> usize {
        self.tail.as_ref().unwrap_or(&self.body).outputs()
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

    /// Turns pictures, one after the other, into vectors. On the calling thread's pool.
    ///
    /// # Shapes
    /// - pictures: `[n, 3, height, width]`, as `shape` says
    /// - output: `[n, features]`
    ///
    /// # Errors
    /// Where `shape` has another number of channels than 3 or of numbers than `pictures`, or the pictures are so small
    /// that nothing of them is left before the end.
    pub fn run(&self, pictures: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
        let [images, channels, height, width] = shape;
        let picture = [channels, height, width].iter().try_fold(1usize, |product, n| product.checked_mul(*n));
        let picture = picture.filter(|len| len.checked_mul(images) == Some(pictures.len())).ok_or_else(|| {
            Error::config("engine", format!("{} numbers are no pictures of shape {shape:?}", pictures.len()))
        })?;
        if channels != networks::PICTURE {
            return Err(Error::config("engine", format!("pictures of {channels} channels, not {}", networks::PICTURE)));
        }
        let maps = self.body.maps([height, width])?;
        if images == 0 {
            return Ok(Vec::new());
        }
        let threads = rayon::current_num_threads();
        let each = self.body.result_len(&maps);
        let group = (GROUP / self.body.workspace_len(&maps).max(1)).clamp(1, images.div_ceil(threads));
        let mut output = vec![0.0; images * each];
        let run = |(pictures, output): (&[f32], &mut [f32]), threads| {
            let how = How { level: self.level, images: output.len() / each, threads };
            self.with_workspace(|workspace| self.body.run(how, &maps, pictures, output, workspace));
        };
        if threads > 1 && images >= threads {
            let groups = pictures.par_chunks(group * picture).zip(output.par_chunks_mut(group * each));
            groups.for_each(|group| run(group, 1));
        } else {
            pictures.chunks(group * picture).zip(output.chunks_mut(group * each)).for_each(|group| run(group, threads));
        }
        if let Some(tail) = &self.tail {
            let end = maps[maps.len() - 1];
            let maps = tail.maps([end.height, end.width])?;
            let input = std::mem::replace(&mut output, vec![0.0; images * tail.result_len(&maps)]);
            let how = How { level: self.level, images, threads };
            self.with_workspace(|workspace| tail.run(how, &maps, &input, &mut output, workspace));
        }
        Ok(crop(output, images, self.features()))
    }

    fn with_workspace(&self, work: impl FnOnce(&mut Workspace)) {
        // A workspace holds nothing that a panic elsewhere could have left half done.
        let lock = || self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = lock().pop().unwrap_or_default();
        work(&mut workspace);
        lock().push(workspace);
    }
}
