//! Training: crops of photographs, holes of either kind, the logarithm of the squared error in the hole, and the structural
//! similarity.
//!
//! ```text
//! loss = mean over crops of ln(mean over missing numbers of (out − truth)² + 1e-4) − weight · similarity
//! ```
//!
//! The error's logarithm, because decibels are what counts in the end: crops of sky and of leaves weigh alike. The error alone
//! is least for the mean of all that might be there, which is smooth; similarity asks for contrast where there is some.

use super::harmonic;
use super::mask::{BOX, Mask};
use super::measure::{likeness, similarity};
use super::model::{InpaintModel, digest, fill};
use super::photograph::{self, mask_tensor, tensor};
use crate::error::{Error, Result};
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use image::RgbImage;
use image::imageops::crop_imm;
use polyad_nn::hadamard::modulation::inpainting::{HoleKind, Inpainting, InpaintingConfig};
use polyad_shapes::job::Job;
use polyad_shapes::random::Random;
use polyad_shapes::states::{States, Stored, record};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is learnt, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InpaintRecipe {
    /// Gated convolutions, or partial ones.
    pub gated: bool,
    /// Photographs at the end, in byte order of names, that are left for testing; eighteen of 68 where it is not said.
    pub test: Option<usize>,
    /// Steps of the optimizer.
    pub steps: usize,
    /// Crops a step.
    pub batch: usize,
    /// Side of a crop.
    pub crop: usize,
    /// The highest rate; it rises over the first hundred steps and falls as a cosine.
    pub rate: f64,
    /// The weight of the structural similarity beside the logarithm of the squared error.
    #[serde(default)]
    pub similarity: f64,
    /// Of crops, holes and first weights.
    pub seed: u64,
}

impl Default for InpaintRecipe {
    fn default() -> Self {
        InpaintRecipe { gated: true, test: None, steps: 6000, batch: 8, crop: 96, rate: 2e-3, similarity: 1.0, seed: 0 }
    }
}

/// A measure of the network during its training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// After so many steps.
    pub step: usize,
    /// Mean loss since the last one.
    pub loss: f64,
    /// Decibels on validation photographs, over both kinds of holes.
    pub psnr: f64,
    /// The same of the harmonic fill.
    pub harmonic: f64,
}

/// What a run gives.
pub struct InpaintTrained {
    /// The network after the last step.
    pub model: InpaintModel,
    /// From first to last.
    pub curve: Vec<Checkpoint>,
    /// Photographs that were learnt from, that validated, and that are left for testing.
    pub photographs: [usize; 3],
    /// What could not be read, and why.
    pub failures: Vec<(PathBuf, String)>,
}

/// Where a run is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Position {
    recipe: InpaintRecipe,
    /// Of all photographs.
    digest: String,
    step: usize,
    loss: f64,
    losses: usize,
    curve: Vec<Checkpoint>,
}

/// Of 68 photographs, so many test.
const TEST_SHARE: (usize, usize) = (18, 68);
/// Validation takes one in so many of the others.
const VALIDATION: usize = 10;
/// Steps between two measures.
const MEASURED: usize = 500;
/// The least time between two states.
const SAVE_EVERY: Duration = Duration::from_secs(30);
/// How many of a hundred crops have a box cut out.
const BOXES: f64 = 0.4;
const WARM_UP: f64 = 100.0;
/// Of crops' holes, so that they differ from those of a test.
const HOLES: u64 = 1 << 32;

/// Learns from a folder of photographs and writes the model. A run that was stopped goes on where it was, with `resume`.
///
/// # Errors
/// Where the folder has too few photographs that are large enough, or a state belongs to another run.
pub fn train(folder: &Path, out: &Path, recipe: &InpaintRecipe, resume: bool, job: Job<'_>) -> Result<InpaintTrained> {
    if recipe.crop < BOX || recipe.batch == 0 || recipe.steps == 0 {
        let InpaintRecipe { crop, batch, steps, .. } = recipe;
        return Err(Error::Invalid(format!("crops of {crop} ({BOX} at least), {batch} a step, {steps} steps")));
    }
    if !(0.0..=100.0).contains(&recipe.similarity) {
        return Err(Error::Invalid(format!("{} times the similarity; 0 to 100 are taken", recipe.similarity)));
    }
    let (mut photographs, mut failures) = (Vec::new(), Vec::new());
    let paths = photograph::list(folder)?;
    job.reporter().begin("photographs", paths.len() as u64);
    for path in paths {
        job.check()?;
        match photograph::read(&path) {
            Ok(photograph) => photographs.push(photograph),
            Err(why) => failures.push((path, why.to_string())),
        }
        job.reporter().advance(1);
    }
    job.reporter().end();
    let test = recipe.test.unwrap_or(photographs.len() * TEST_SHARE.0 / TEST_SHARE.1);
    let found = photographs.len();
    photographs.truncate(found.saturating_sub(test));
    let is_large = |photograph: &RgbImage| photograph.width().min(photograph.height()) as usize >= recipe.crop;
    let small = photographs.iter().filter(|photograph| !is_large(photograph)).count();
    photographs.retain(is_large);
    if photographs.len() < 2 {
        return Err(Error::Invalid(format!(
            "{}: of {found} photographs {test} are for testing and {small} are smaller than {} pixels; two at least must be left",
            folder.display(),
            recipe.crop
        )));
    }
    let validation = photographs.split_off(photographs.len() - photographs.len().div_ceil(VALIDATION));
    let learnt: Vec<String> = photographs.iter().chain(&validation).map(digest).collect();
    let kind = if recipe.gated { HoleKind::Gated } else { HoleKind::Partial };
    let config = InpaintingConfig { kind, ..InpaintingConfig::default() };

    let states = States::of(out);
    let mut run = Run {
        position: Position {
            recipe: recipe.clone(),
            digest: blake3::hash(learnt.concat().as_bytes()).to_hex().to_string(),
            step: 0,
            loss: 0.0,
            losses: 0,
            curve: Vec::new(),
        },
        photographs: &photographs,
        validation: &validation,
        states: &states,
        job,
    };
    let stored: Option<Stored<Position>> = states.begin(resume, job)?;
    let network = run.learn(&config, stored.as_ref())?;
    let model = InpaintModel::new(network.valid(), &config, learnt, (recipe.steps, recipe.seed));
    model.save(out)?;
    states.clear()?;
    let counts = [photographs.len(), validation.len(), test.min(found)];
    Ok(InpaintTrained { model, curve: run.position.curve, photographs: counts, failures })
}

struct Run<'a> {
    position: Position,
    photographs: &'a [RgbImage],
    validation: &'a [RgbImage],
    states: &'a States,
    job: Job<'a>,
}

/// A crop with a hole, and its fill.
struct Lesson {
    truth: Vec<Vec<f32>>,
    fill: Vec<Vec<f32>>,
    mask: Mask,
}

impl Run<'_> {
    fn learn(&mut self, config: &InpaintingConfig, stored: Option<&Stored<Position>>) -> Result<Inpainting> {
        let device = Device::flex().autodiff();
        let recipe = self.position.recipe.clone();
        device.seed(Random::new(recipe.seed, 0).next());
        let mut network = config.init(&device)?;
        let mut optimizer = AdamWConfig::new().with_weight_decay(1e-3).with_beta_2(0.99).init();
        if let Some(stored) = stored {
            if (&stored.position.recipe, &stored.position.digest) != (&recipe, &self.position.digest) {
                let folder = self.states.folder().display();
                return Err(Error::Invalid(format!("{folder} holds a run with other settings or photographs")));
            }
            network = stored.network(network)?;
            optimizer = stored.optimizer(optimizer)?;
            self.position = stored.position.clone();
        }
        let mut saved = Instant::now();
        self.job.reporter().begin("learning", recipe.steps as u64);
        self.job.reporter().advance(self.position.step as u64);
        let mut lessons = self.lessons(self.position.step);
        while self.position.step < recipe.steps {
            self.job.check()?;
            let step = self.position.step;
            // The next lessons are made while these are learnt.
            let (learnt, next) = rayon::join(
                || self.step(network.clone(), &mut optimizer, &lessons),
                || (step + 1 < recipe.steps).then(|| self.lessons(step + 1)),
            );
            let loss;
            (network, loss) = learnt?;
            lessons = next.unwrap_or_default();
            self.position.step += 1;
            self.position.loss += loss;
            self.position.losses += 1;
            self.job.reporter().note(&format!("loss {:.3}", self.position.loss / self.position.losses as f64));
            self.job.reporter().advance(1);
            if self.position.step.is_multiple_of(MEASURED) || self.position.step == recipe.steps {
                self.measure(&network)?;
            }
            if saved.elapsed() >= SAVE_EVERY {
                self.states.save(&self.position, record(&network)?, &optimizer, None)?;
                saved = Instant::now();
            }
        }
        self.job.reporter().end();
        Ok(network)
    }

    /// The crops of a step.
    fn lessons(&self, step: usize) -> Vec<Lesson> {
        let recipe = &self.position.recipe;
        let of =
            |index: usize| self.lesson(&mut Random::new(recipe.seed, HOLES + (step * recipe.batch + index) as u64));
        (0..recipe.batch).into_par_iter().map(of).collect()
    }

    fn lesson(&self, random: &mut Random) -> Lesson {
        let side = self.position.recipe.crop;
        let photograph = &self.photographs[random.count(0, self.photographs.len() - 1)];
        let (width, height) = (photograph.width() as usize, photograph.height() as usize);
        let (left, top) = (random.count(0, width - side), random.count(0, height - side));
        let crop = crop_imm(photograph, left as u32, top as u32, side as u32, side as u32).to_image();
        let mut truth = photograph::planes(&crop);
        // Turned, mirrored, and colours exchanged: what a photograph might have been as well.
        let (across, down, turned) = (random.coin(), random.coin(), random.coin());
        let from = |at: usize| {
            let (x, y) = (at % side, at / side);
            let (x, y) = if turned { (y, x) } else { (x, y) };
            let mirrored = |at, is: bool| if is { side - 1 - at } else { at };
            mirrored(y, down) * side + mirrored(x, across)
        };
        for plane in &mut truth {
            *plane = (0..side * side).map(|at| plane[from(at)]).collect();
        }
        random.shuffle(&mut truth);
        let seed = random.next();
        let mask = if random.chance(BOXES) {
            Mask::square(side, side, seed).expect("crops have room for a box")
        } else {
            Mask::free_form(side, side, seed)
        };
        let mut fill = truth.clone();
        harmonic::fill(&mut fill, &mask);
        Lesson { truth, fill, mask }
    }

    fn step(
        &self,
        network: Inpainting,
        optimizer: &mut ModuleOptimizer,
        lessons: &[Lesson],
    ) -> Result<(Inpainting, f64)> {
        let device = Device::flex().autodiff();
        let recipe = &self.position.recipe;
        let size = [recipe.crop; 2];
        let truth = tensor(lessons.iter().map(|lesson| &lesson.truth), size, &device);
        let filled = tensor(lessons.iter().map(|lesson| &lesson.fill), size, &device);
        let mask = mask_tensor(lessons.iter().map(|lesson| &lesson.mask), size, &device);
        let out = network.forward(filled, mask.clone());
        let per_crop = |x: Tensor<4>| x.reshape([lessons.len() as i32, -1]).sum_dim(1);
        let missing = per_crop(mask.clone()).mul_scalar(3.0);
        // Known pixels are the truth's own, so that they add nothing.
        let squares = per_crop((out.clone() - truth.clone()).powf_scalar(2.0)) / missing;
        let mut loss = squares.add_scalar(1e-4).log().mean();
        if recipe.similarity > 0.0 {
            let likeness = similarity(truth.add_scalar(0.5), out.add_scalar(0.5), mask);
            loss = loss - likeness.mean().mul_scalar(recipe.similarity);
        }
        let value = f64::from(loss.clone().into_scalar::<f32>());
        if !value.is_finite() {
            return Err(Error::Invalid(format!("the loss is {value} at step {}: it diverged", self.position.step)));
        }
        let done = self.position.step as f64;
        let cosine = 0.5 + 0.5 * (std::f64::consts::PI * done / recipe.steps as f64).cos();
        let rate = recipe.rate * cosine * ((done + 1.0) / WARM_UP).min(1.0);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        Ok((optimizer.step(rate, network, gradients), value))
    }

    /// Adds to the curve: validation photographs, both kinds of holes, whole pictures.
    fn measure(&mut self, network: &Inpainting) -> Result<()> {
        let network = network.valid();
        let (mut ours, mut harmonic, mut count) = (0.0, 0.0, 0.0);
        for (index, photograph) in self.validation.iter().enumerate() {
            self.job.check()?;
            let (width, height) = (photograph.width() as usize, photograph.height() as usize);
            let seed = HOLES - 1 - index as u64;
            for mask in [Mask::free_form(width, height, seed), Mask::square(width, height, seed)?] {
                let filled = fill(&network, photograph, &mask)?;
                ours += likeness(photograph, &filled.network, &mask).psnr;
                harmonic += likeness(photograph, &filled.harmonic, &mask).psnr;
                count += 1.0;
            }
        }
        let position = &mut self.position;
        position.curve.push(Checkpoint {
            step: position.step,
            loss: position.loss / position.losses.max(1) as f64,
            psnr: ours / count,
            harmonic: harmonic / count,
        });
        (position.loss, position.losses) = (0.0, 0);
        Ok(())
    }
}
