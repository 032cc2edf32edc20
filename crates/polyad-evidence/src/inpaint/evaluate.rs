//! A model against the fill that it begins with, photograph by photograph.

use super::mask::Mask;
use super::measure::{Likeness, likeness};
use super::model::{InpaintModel, digest};
use super::photograph;
use crate::error::{Error, Result};
use image::RgbImage;
use polyad_shapes::job::Job;
use std::path::{Path, PathBuf};

/// Seeds of the masks of the first photograph; the next ones follow.
const FREE_FORM: u64 = 1000;
const SQUARE: u64 = 2000;

/// One photograph with one hole.
pub struct Case {
    /// The file.
    pub path: PathBuf,
    /// The true picture.
    pub truth: RgbImage,
    /// What is missing.
    pub mask: Mask,
    /// By Laplace's equation.
    pub harmonic: (RgbImage, Likeness),
    /// By the model.
    pub model: (RgbImage, Likeness),
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
    let gain = |case: &Case| case.model.1.psnr - case.harmonic.1.psnr;
    let middle = mean(&gain);
    let variance = mean(&|case| (gain(case) - middle).powi(2)) * count / (count - 1.0).max(1.0);
    Means {
        harmonic: Likeness { psnr: mean(&|case| case.harmonic.1.psnr), ssim: mean(&|case| case.harmonic.1.ssim) },
        model: Likeness { psnr: mean(&|case| case.model.1.psnr), ssim: mean(&|case| case.model.1.ssim) },
        interval: 1.96 * (variance / count).sqrt(),
    }
}

/// Fills holes of both kinds in all photographs of a folder that the model has not learnt from, in byte order of names.
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
        let case = |truth: &RgbImage, mask: Mask| -> Result<Case> {
            let filled = model.fill(truth, &mask)?;
            let of = |picture: RgbImage| {
                let likeness = likeness(truth, &picture, &mask);
                (picture, likeness)
            };
            let (harmonic, model) = (of(filled.harmonic), of(filled.network));
            Ok(Case { path: path.clone(), truth: truth.clone(), mask, harmonic, model })
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
