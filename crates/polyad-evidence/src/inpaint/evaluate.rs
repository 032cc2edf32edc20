//! A model against the fill that it begins with, photograph by photograph.

use super::mask::Mask;
use super::measure::{Likeness, likeness};
use super::model::{Filled, InpaintModel, digest};
use super::photograph;
use crate::error::{Error, Result};
use crate::moments::moments;
use image::RgbImage;
use polyad_shapes::job::Job;
use std::path::{Path, PathBuf};

/// Seeds of the masks of the first photograph; the next ones follow.
const FREE_FORM: u64 = 1000;
const SQUARE: u64 = 2000;

/// Photographs whose pictures are kept, to be shown: a report of so many stays a few megabytes, and memory does not grow with
/// the folder.
pub const SHOWN: usize = 8;

/// One photograph with one hole.
pub struct Case {
    /// The file.
    pub path: PathBuf,
    /// What Laplace's equation comes to.
    pub harmonic: Likeness,
    /// What the model comes to.
    pub model: Likeness,
    /// Of the first [`SHOWN`] photographs.
    pub pictures: Option<Pictures>,
}

/// The pictures of a case.
pub struct Pictures {
    /// The true one.
    pub truth: RgbImage,
    /// What is missing.
    pub mask: Mask,
    /// Filled by Laplace's equation, and by the model on top of it.
    pub filled: Filled,
}

/// What an evaluation comes to.
pub struct Evaluation {
    /// Brush strokes over a fifth of each picture.
    pub free_form: Vec<Case>,
    /// A square of 64 pixels.
    pub square: Vec<Case>,
    /// Photographs that the model has learnt from, which were left out.
    pub learnt: usize,
    /// What could not be used, and why.
    pub failures: Vec<(PathBuf, String)>,
}

/// Means over photographs.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// Of the harmonic fill.
    pub harmonic: Likeness,
    /// Of the model.
    pub model: Likeness,
    /// Half the 95 % interval of the difference of decibels, photograph by photograph.
    pub interval: f64,
}

/// Means over cases.
pub fn means(cases: &[Case]) -> Means {
    let count = cases.len().max(1) as f64;
    let mean = |of: &dyn Fn(&Case) -> f64| cases.iter().map(of).sum::<f64>() / count;
    let [_, deviation] = moments(cases.iter().map(|case| case.model.psnr - case.harmonic.psnr));
    Means {
        harmonic: Likeness { psnr: mean(&|case| case.harmonic.psnr), ssim: mean(&|case| case.harmonic.ssim) },
        model: Likeness { psnr: mean(&|case| case.model.psnr), ssim: mean(&|case| case.model.ssim) },
        interval: 1.96 * deviation / count.sqrt(),
    }
}

/// Fills holes of both kinds in all photographs of a folder that the model has not learnt from, in byte order of names.
/// In memory are one photograph and those that are shown.
///
/// # Errors
/// Where the folder has no such photograph.
pub fn evaluate(folder: &Path, model: &InpaintModel, job: Job<'_>) -> Result<Evaluation> {
    let mut evaluation = Evaluation { free_form: Vec::new(), square: Vec::new(), learnt: 0, failures: Vec::new() };
    let paths = photograph::list(folder)?;
    job.reporter().begin("filling", paths.len() as u64);
    let mut index = 0;
    for path in paths {
        job.check()?;
        job.reporter().advance(1);
        let shown = index < SHOWN as u64;
        let case = |truth: &RgbImage, mask: Mask| -> Result<Case> {
            let filled = model.fill(truth, &mask)?;
            let [harmonic, model] = [&filled.harmonic, &filled.network].map(|picture| likeness(truth, picture, &mask));
            let pictures = shown.then(|| Pictures { truth: truth.clone(), mask, filled });
            Ok(Case { path: path.clone(), harmonic, model, pictures })
        };
        let both = || -> Result<Option<[Case; 2]>> {
            let truth = photograph::read(&path)?;
            if model.header.learnt.contains(&digest(&truth)) {
                return Ok(None);
            }
            let (width, height) = (truth.width() as usize, truth.height() as usize);
            let square = Mask::square(width, height, SQUARE + index)?;
            Ok(Some([case(&truth, Mask::free_form(width, height, FREE_FORM + index))?, case(&truth, square)?]))
        };
        match both() {
            Ok(Some([free_form, square])) => {
                evaluation.free_form.push(free_form);
                evaluation.square.push(square);
                index += 1;
            }
            Ok(None) => evaluation.learnt += 1,
            Err(why) => evaluation.failures.push((path.clone(), why.to_string())),
        }
    }
    job.reporter().end();
    if evaluation.free_form.is_empty() {
        let learnt = evaluation.learnt;
        return Err(Error::Invalid(format!(
            "{}: no photograph to test with; the model has learnt from {learnt} of them",
            folder.display()
        )));
    }
    Ok(evaluation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use polyad_nn::hadamard::modulation::inpainting::InpaintingConfig;

    #[test]
    fn a_folder_of_any_size_keeps_the_pictures_of_a_few() {
        let folder = tempfile::tempdir().expect("a folder");
        for index in 0..SHOWN + 3 {
            let picture = RgbImage::from_fn(66, 66, |x, y| image::Rgb([(x * x) as u8, (y * y) as u8, index as u8]));
            picture.save(folder.path().join(format!("{index:02}.png"))).expect("written");
        }
        let config = InpaintingConfig { widths: vec![16], blocks: 1, ..InpaintingConfig::default() };
        let network = config.init(&Device::flex()).expect("a network");
        let model = InpaintModel::new(network, &config, Vec::new(), (0, 0));
        let evaluation = evaluate(folder.path(), &model, Job::silent()).expect("photographs");
        for cases in [&evaluation.free_form, &evaluation.square] {
            let kept: Vec<bool> = cases.iter().map(|case| case.pictures.is_some()).collect();
            assert_eq!(kept, (0..SHOWN + 3).map(|index| index < SHOWN).collect::<Vec<_>>());
            assert!(cases.iter().all(|case| case.harmonic.psnr.is_finite()));
        }
    }
}
