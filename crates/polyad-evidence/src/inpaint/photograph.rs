//! Photographs as planes of numbers, in and out.

use super::mask::Mask;
use crate::error::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use image::{ImageReader, RgbImage};
use std::path::{Path, PathBuf};

/// The most pixels of a photograph: what is done with each takes some hundred bytes.
const MOST_PIXELS: usize = 1 << 26;

/// Reads a photograph, PNG or JPEG, as eight bits of red, green and blue.
pub fn read(path: &Path) -> Result<RgbImage> {
    let wrong = |why: &dyn ToString| Error::file(path, why.to_string());
    let reader = || ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|why| wrong(&why));
    let (width, height) = reader()?.into_dimensions().map_err(|why| wrong(&why))?;
    if (width as usize).saturating_mul(height as usize) > MOST_PIXELS || width == 0 || height == 0 {
        return Err(Error::file(path, format!("{width} x {height} pixels; 1 to {MOST_PIXELS} are taken")));
    }
    Ok(reader()?.decode().map_err(|why| wrong(&why))?.to_rgb8())
}

/// The photographs of a folder, in byte order of names. Other files are left out.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |why: std::io::Error| Error::file(folder, why);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        if path.is_file() && matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg")) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Error::file(folder, "no photographs: PNG and JPEG are read"));
    }
    Ok(paths)
}

/// A part of a photograph: red, green and blue, each `[height][width]`, from 0 to 255.
pub fn planes(photograph: &RgbImage) -> Vec<Vec<f32>> {
    let raw = photograph.as_raw();
    (0..3).map(|channel| raw.iter().skip(channel).step_by(3).map(|value| f32::from(*value)).collect()).collect()
}

/// The photograph with its holes taken from planes of numbers, rounded; known pixels as they were.
pub fn with_holes_from(photograph: &RgbImage, planes: &[Vec<f32>], mask: &Mask) -> RgbImage {
    let mut out = photograph.clone();
    for (at, pixel) in out.pixels_mut().enumerate().filter(|(at, _)| mask.holes[*at]) {
        for (value, plane) in pixel.0.iter_mut().zip(planes) {
            *value = plane[at].round().clamp(0.0, 255.0) as u8;
        }
    }
    out
}

/// Planes of numbers as the network takes them: `[n, 3, height, width]`, from -1/2 to 1/2.
pub fn tensor<'a>(
    pictures: impl ExactSizeIterator<Item = &'a Vec<Vec<f32>>>,
    [height, width]: [usize; 2],
    device: &Device,
) -> Tensor<4> {
    let shape = [pictures.len(), 3, height, width];
    let numbers: Vec<f32> = pictures.flatten().flatten().map(|value| value / 255.0 - 0.5).collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

/// Masks as the network takes them: `[n, 1, height, width]`, 1 in the hole.
pub fn mask_tensor<'a>(
    masks: impl ExactSizeIterator<Item = &'a Mask>,
    [height, width]: [usize; 2],
    device: &Device,
) -> Tensor<4> {
    let shape = [masks.len(), 1, height, width];
    let numbers: Vec<f32> = masks.flat_map(|mask| mask.holes.iter().map(|hole| f32::from(u8::from(*hole)))).collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}
