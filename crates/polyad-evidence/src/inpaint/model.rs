//! A trained network, its file, and how it fills.

use super::harmonic;
use super::mask::Mask;
use super::photograph::{mask_tensor, planes, tensor, with_holes_from};
use crate::error::{Error, Result};
use crate::network_file::{self, NetworkFile};
use burn::tensor::{Device, Tensor};
use image::RgbImage;
use polyad_nn::hadamard::modulation::inpainting::{HoleKind, Inpainting, InpaintingConfig};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The kind of file, by which other networks are told apart.
const KIND: &str = "polyad-inpainting";
/// What this version writes.
const FORMAT: u32 = 1;

/// What a file says of its network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    format: u32,
    /// The version that wrote it.
    pub polyad: String,
    /// Channels at each size.
    pub widths: Vec<usize>,
    /// Residual blocks at the smallest size.
    pub blocks: usize,
    /// `gated` or `partial`.
    pub kind: String,
    /// Digests of the photographs that it has learnt from, which therefore cannot test it.
    pub learnt: Vec<String>,
    /// Steps of training.
    pub steps: usize,
    /// Of the training.
    pub seed: u64,
}

/// A network that fills holes.
pub struct InpaintModel {
    /// What its file says.
    pub header: Header,
    network: Inpainting,
}

/// `gated` or `partial`.
pub fn kind_name(kind: HoleKind) -> &'static str {
    match kind {
        HoleKind::Gated => "gated",
        HoleKind::Partial => "partial",
    }
}

/// The inverse of [`kind_name`].
pub fn kind_named(name: &str) -> Option<HoleKind> {
    [HoleKind::Gated, HoleKind::Partial].into_iter().find(|kind| kind_name(*kind) == name)
}

/// A photograph's digest, of its size and pixels, whatever file it comes in.
pub fn digest(photograph: &RgbImage) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&photograph.width().to_le_bytes()).update(&photograph.height().to_le_bytes());
    hasher.update(photograph.as_raw()).finalize().to_hex().to_string()
}

/// Turns and mirrors over which an answer is averaged: none, left and right, up and down, both.
const MIRRORS: [&[isize]; 4] = [&[], &[3], &[2], &[2, 3]];

impl InpaintModel {
    /// A network and what is said of it.
    pub fn new(
        network: Inpainting,
        config: &InpaintingConfig,
        learnt: Vec<String>,
        (steps, seed): (usize, u64),
    ) -> Self {
        let header = Header {
            format: FORMAT,
            polyad: env!("CARGO_PKG_VERSION").to_owned(),
            widths: config.widths.clone(),
            blocks: config.blocks,
            kind: kind_name(config.kind).to_owned(),
            learnt,
            steps,
            seed,
        };
        InpaintModel { header, network }
    }

    /// Writes the model, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        network_file::save(path, KIND, &self.header, &self.network)
    }

    /// Reads a model; one that is damaged, of another kind or newer is refused.
    pub fn load(path: &Path) -> Result<Self> {
        const MOST: usize = 4096;
        let file = NetworkFile::<Header>::open(path, KIND)?;
        let header = file.header.clone();
        if header.format > FORMAT {
            return Err(Error::file(path, format!("written by polyad {}, which is newer than this", header.polyad)));
        }
        let kind = kind_named(&header.kind);
        let kind = kind.ok_or_else(|| Error::file(path, format!("convolutions of kind {:?}", header.kind)))?;
        if header.widths.iter().chain([&header.blocks]).any(|size| *size > MOST) || header.widths.len() > 8 {
            return Err(Error::file(path, format!("widths {:?}, {} blocks", header.widths, header.blocks)));
        }
        let config = InpaintingConfig { widths: header.widths.clone(), blocks: header.blocks, kind };
        let network = file.load(path, config.init(&Device::flex())?)?;
        Ok(InpaintModel { header, network })
    }

    /// Fills a photograph's holes: the harmonic fill, and what the network adds to it, as the mean over the picture's four
    /// mirror images. Known pixels are untouched. Gives the harmonic fill too.
    ///
    /// # Errors
    /// Where nothing is known, or the mask has another size.
    pub fn fill(&self, photograph: &RgbImage, mask: &Mask) -> Result<Filled> {
        fill(&self.network, photograph, mask)
    }
}

/// A photograph, filled.
pub struct Filled {
    /// By Laplace's equation.
    pub harmonic: RgbImage,
    /// By the network on top of it.
    pub network: RgbImage,
}

/// As [`InpaintModel::fill`], with a network that may still be learning.
pub(super) fn fill(network: &Inpainting, photograph: &RgbImage, mask: &Mask) -> Result<Filled> {
    let (width, height) = (photograph.width() as usize, photograph.height() as usize);
    if (mask.width, mask.height) != (width, height) {
        let problem = format!("a mask of {} x {} for a picture of {width} x {height}", mask.width, mask.height);
        return Err(Error::Invalid(problem));
    }
    if mask.missing() == mask.holes.len() {
        return Err(Error::Invalid("the mask is white everywhere: nothing is known of the picture".into()));
    }
    let mut smooth = planes(photograph);
    harmonic::fill(&mut smooth, mask);
    let harmonic = with_holes_from(photograph, &smooth, mask);
    let device = Device::flex();
    let size = [height, width];
    let x = tensor([&smooth].into_iter(), size, &device);
    let holes = mask_tensor([mask].into_iter(), size, &device);
    let mirrored = |axes: &[isize]| {
        let (x, holes) = (flipped(x.clone(), axes), flipped(holes.clone(), axes));
        flipped(network.forward(x, holes), axes)
    };
    let sum = MIRRORS.iter().map(|axes| mirrored(axes)).reduce(|a, b| a + b).expect("four of them");
    let mean = sum.div_scalar(MIRRORS.len() as f64).add_scalar(0.5).mul_scalar(255.0);
    let numbers: Vec<f32> = mean.into_data().try_into_vec().map_err(|why| Error::Invalid(format!("{why:?}")))?;
    let filled: Vec<Vec<f32>> = numbers.chunks(width * height).map(<[f32]>::to_vec).collect();
    Ok(Filled { harmonic, network: with_holes_from(photograph, &filled, mask) })
}

fn flipped(x: Tensor<4>, axes: &[isize]) -> Tensor<4> {
    axes.iter().fold(x, |x, axis| x.flip([*axis]))
}
