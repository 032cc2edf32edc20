//! A model taught by another, on generated shapes alone: no data set and no labels.
//!
//! ```text
//! (seed, index) --generate--> Mesh --random pose--> views --teacher--> numbers --principal components--> targets
//!                                                         --pupil---> numbers          1 − cosine + smooth L1
//! ```
//!
//! In the last rounds each shape is seen in a second pose too, and what the pupil says of both View Sets, pooled, is to be
//! more alike than what it says of different shapes.
//!
//! The pupil is a VSFormer without an encoder: it turns each view into as many numbers as there are components, and pools
//! the views of a shape. Distances among the teacher's numbers are kept, so whatever the teacher finds alike the pupil
//! learns to find alike (Hinton et al., arXiv 1503.02531, for features instead of classes: Romero et al., arXiv 1412.6550).

mod components;
mod corpus;

use crate::embedding::Embedder;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::model::{Definition, Header, InputNormalisation, Model, Precision};
use crate::random::Random;
use crate::render::RenderSettings;
use crate::states::{States, Stored, record};
use crate::train::Schedule;
use crate::train::loss::{contrast, lengths};
use crate::view_set::{View, ViewSet};
use crate::vsformer::{BackboneKind, VsFormer, VsFormerConfig, transition};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use components::Components;
use corpus::Corpus;
use polyad_nn::blocked::Precision as Multiplied;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, Instant};

/// How a pupil is taught.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistilOptions {
    /// Generated shapes.
    pub shapes: u64,
    /// Cameras around each of them, as in [`RenderSettings::views`].
    pub cameras: String,
    /// Times that all of them are seen.
    pub epochs: usize,
    /// Side of the pupil's pictures.
    pub size: usize,
    /// Channels of the pupil's image network, see [`VsFormerConfig::widths`].
    pub widths: Vec<usize>,
    /// Numbers a view: components of what the teacher says.
    pub dim: usize,
    /// The highest rate of AdamW.
    pub rate: f64,
    /// Epochs over which the rate would fall to zero, as a cosine: no fewer than those that there are.
    pub horizon: usize,
    /// Rounds, the last of the epochs, in which it is taken to zero, linearly, wherever it is by then.
    pub cooling: usize,
    /// Rounds at the end in which each shape is seen in two poses: a round is 256 shapes.
    pub pairing: usize,
    /// The highest rate in those.
    pub pairing_rate: f64,
    /// The weight of contrast between View Sets in those, beside the distance to what the teacher says.
    pub contrast: f64,
    /// Multiply bfloat16 numbers.
    pub bfloat16: bool,
    /// Every number drawn follows from it.
    pub seed: u64,
}

impl Default for DistilOptions {
    fn default() -> Self {
        DistilOptions {
            shapes: 20_000,
            cameras: "8".into(),
            epochs: 3,
            size: 96,
            widths: vec![32, 48, 96, 256],
            dim: 256,
            rate: 2e-3,
            horizon: 5,
            cooling: 64,
            pairing: 10,
            pairing_rate: 3e-4,
            contrast: 0.1,
            bfloat16: false,
            seed: 0,
        }
    }
}

/// Where a lesson is.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    options: DistilOptions,
    teacher: String,
    /// Finished rounds: a round is [`POOL`] groups.
    round: usize,
    /// The mean loss of each finished round.
    losses: Vec<f64>,
}

/// Groups whose views are mixed.
const POOL: usize = 4;
/// Views of a batch.
const BATCH: usize = 64;
/// Shapes of a batch in which each is seen in two poses.
const PAIRS: usize = 16;
/// Groups that components are computed from.
const LOOKED_AT: u64 = 32;
/// The least time between two states that are written.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// AdamW's decay.
const DECAY: f32 = 0.05;

/// Teaches a model and writes it to `out`, in half precision. Gives it with the mean loss of each round.
///
/// The state lies in `OUT.train/` until the model is written, and a run that was stopped goes on from there; what the
/// teacher said lies in `cache`. Progress is reported in shapes.
///
/// # Errors
/// Options that cannot be, a state of another run, and files that cannot be written.
///
/// # Cost
/// For each shape and camera: the teacher's network once, and `epochs` steps of the pupil's. With the defaults, 160,000
/// views for the teacher and 480,000 for the pupil, then 41,000 in pairs.
pub fn distil(
    teacher: &dyn Embedder,
    out: &Path,
    cache: &Path,
    options: &DistilOptions,
    job: Job,
) -> Result<(Model, Vec<f64>)> {
    let corpus = Corpus::open(teacher, (options.seed, options.shapes), &options.cameras, cache)?;
    if options.shapes < 2 || options.epochs == 0 {
        return Err(Error::Invalid(format!("{} shapes in {} epochs teach nothing", options.shapes, options.epochs)));
    }
    let architecture = architecture(options);
    let render = RenderSettings { size: options.size, ..RenderSettings::default() };
    render.check()?;

    let states = States::of(out);
    let stored: Option<Stored<Position>> = states.newest()?;
    let mut position = Position { options: options.clone(), teacher: teacher.identity(), round: 0, losses: Vec::new() };
    if let Some(stored) = &stored {
        let found = &stored.position;
        if (&found.options, &found.teacher) != (&position.options, &position.teacher) {
            let folder = states.folder().display();
            return Err(Error::Invalid(format!("{folder}: an unfinished run with another teacher or other options")));
        }
        (position.round, position.losses) = (found.round, found.losses.clone());
    }
    let components = components(&corpus, teacher.view_width(), options.dim, job)?;

    let device = Device::flex().autodiff();
    device.seed(options.seed);
    let mut pupil = architecture.init(&device)?;
    if options.bfloat16 {
        pupil.initializer.backbone = pupil.initializer.backbone.with_precision(Multiplied::Bfloat16);
    }
    // Weights are drawn when they are first looked at: now, so that they follow from the seed.
    record(&pupil)?;
    let mut optimizer = AdamWConfig::new().with_weight_decay(DECAY).init();
    if let Some(stored) = &stored {
        pupil = stored.network(pupil)?;
        optimizer = stored.optimizer(optimizer)?;
    }

    let per_epoch = (corpus.groups() as usize).div_ceil(POOL);
    let (alone, rounds) = (per_epoch * options.epochs, per_epoch * options.epochs + options.pairing);
    let groups = corpus.groups();
    let falling = |rate, epochs| Schedule { epochs, rate, warm_up: 2.0, cycle: epochs, decay: 1.0 };
    let horizon = per_epoch * options.horizon.max(options.epochs);
    let schedules = [falling(options.rate, horizon), falling(options.pairing_rate, options.pairing)];
    let lessons = Lessons { corpus, components, options, render, schedules, job };
    job.reporter().begin("lessons", rounds as u64);
    job.reporter().advance(position.round as u64);
    // The first round is saved at once: whatever is wrong with the folder shows early.
    let mut saved: Option<Instant> = None;
    while position.round < rounds {
        let (epoch, part) = (position.round / per_epoch, position.round % per_epoch);
        let mut groups: Vec<u64> = (0..groups).collect();
        Random::new(options.seed, 1 << 32 | epoch as u64).shuffle(&mut groups);
        let groups = &groups[part * POOL..groups.len().min((part + 1) * POOL)];
        let loss;
        (pupil, loss) = match position.round.checked_sub(alone) {
            None => lessons.round(pupil, &mut optimizer, (position.round, alone), groups)?,
            Some(round) => lessons.pairing_round(pupil, &mut optimizer, round, groups)?,
        };
        position.losses.push(loss);
        position.round += 1;
        job.reporter().note(&format!("loss {loss:.3}"));
        job.reporter().advance(1);
        if saved.is_none_or(|saved| saved.elapsed() >= SAVE_EVERY) {
            states.save(&position, record(&pupil)?, &optimizer, None)?;
            saved = Some(Instant::now());
        }
    }
    job.reporter().end();

    let mut header = Header::new(architecture, lessons.render, None);
    header.input = InputNormalisation::WHITE_IS_ZERO;
    header.precision = Precision::F16;
    header.training =
        serde_json::json!({ "options": options, "teacher": position.teacher, "held": lessons.components.share });
    let definition = Definition::new(pupil, header)?;
    definition.save(out)?;
    states.clear()?;
    Ok((definition.into_model()?, position.losses))
}

/// A network that says as many numbers of a view as there are components, of either sign, and pools them.
fn architecture(options: &DistilOptions) -> VsFormerConfig {
    VsFormerConfig {
        layers: 0,
        heads: 1,
        dim: options.dim,
        widths: Some(options.widths.clone()),
        rectified: false,
        ..VsFormerConfig::published(BackboneKind::Small, None)
    }
}

fn components(corpus: &Corpus, width: usize, dim: usize, job: Job) -> Result<Components> {
    let groups = corpus.groups().min(LOOKED_AT);
    job.reporter().begin("what the teacher says", groups);
    let mut rows = Vec::new();
    for group in 0..groups {
        rows.extend(corpus.taught(group, job)?);
        job.reporter().advance(1);
    }
    job.reporter().end();
    Components::of(&rows, width, dim)
}

/// What all rounds share.
struct Lessons<'a> {
    corpus: Corpus<'a>,
    components: Components,
    options: &'a DistilOptions,
    render: RenderSettings,
    /// Of views alone, and of View Sets in pairs.
    schedules: [Schedule; 2],
    job: Job<'a>,
}

impl Lessons<'_> {
    /// A round: the pupil after it, and the mean loss.
    fn round(
        &self,
        mut pupil: VsFormer,
        optimizer: &mut ModuleOptimizer,
        (round, rounds): (usize, usize),
        groups: &[u64],
    ) -> Result<(VsFormer, f64)> {
        let dim = self.options.dim;
        let (sets, targets) = self.taught(groups)?;
        let mut views: Vec<(&View, &[f32])> =
            sets.iter().flat_map(|set| &set.views).zip(targets.chunks_exact(dim)).collect();
        Random::new(self.options.seed, 2 << 32 | round as u64).shuffle(&mut views);
        let device = Device::flex().autodiff();
        let (mut total, batches) = (0.0, views.len().div_ceil(BATCH));
        for (batch, some) in views.chunks(BATCH).enumerate() {
            self.job.check()?;
            let (views, targets): (Vec<&View>, Vec<&[f32]>) = some.iter().copied().unzip();
            let images = InputNormalisation::WHITE_IS_ZERO.tensor(&views, &device)?;
            let targets = Tensor::<2>::from_data(TensorData::new(targets.concat(), [views.len(), dim]), &device);
            let loss = distance(pupil.forward_features(images), targets);
            let now = round as f64 + batch as f64 / batches as f64;
            let left = (rounds as f64 - now) / self.options.cooling.clamp(1, rounds) as f64;
            let rate = self.schedules[0].at(now) * left.min(1.0);
            pupil = step(pupil, optimizer, rate, loss, &mut total)?;
        }
        Ok((pupil, total / batches.max(1) as f64))
    }

    /// A round of shapes in two poses: the pupil after it, and the mean loss.
    fn pairing_round(
        &self,
        mut pupil: VsFormer,
        optimizer: &mut ModuleOptimizer,
        round: usize,
        groups: &[u64],
    ) -> Result<(VsFormer, f64)> {
        let dim = self.options.dim;
        let (sets, targets) = self.taught(groups)?;
        let mut others = Vec::new();
        for group in groups {
            others.extend(self.corpus.views(*group, true, &self.render, self.job)?);
        }
        let mut order: Vec<usize> = (0..sets.len()).collect();
        Random::new(self.options.seed, 3 << 32 | round as u64).shuffle(&mut order);
        let device = Device::flex().autodiff();
        let (mut total, batches) = (0.0, order.len().div_ceil(PAIRS));
        for (batch, some) in order.chunks(PAIRS).enumerate() {
            self.job.check()?;
            let views: Vec<&View> = [&sets, &others]
                .into_iter()
                .flat_map(|sets| some.iter().flat_map(|shape| &sets[*shape].views))
                .collect();
            let each = views.len() / (2 * some.len());
            let wanted = some.iter().map(|shape| &targets[shape * each * dim..(shape + 1) * each * dim]);
            let wanted = TensorData::new(wanted.collect::<Vec<_>>().concat(), [some.len() * each, dim]);
            let wanted = Tensor::<2>::from_data(wanted, &device);
            let found = pupil.forward_features(InputNormalisation::WHITE_IS_ZERO.tensor(&views, &device)?);
            let pooled = transition(found.clone().reshape([2 * some.len(), each, dim]), None);
            // What all have in common does not count when shapes are searched for either.
            let pooled = pooled.clone() - pooled.mean_dim(0);
            let shapes: Vec<usize> = some.iter().chain(some).copied().collect();
            let loss = distance(found.slice([0..some.len() * each, 0..dim]), wanted)
                + contrast(pooled, &shapes) * self.options.contrast;
            let rate = self.schedules[1].at(round as f64 + batch as f64 / batches as f64);
            pupil = step(pupil, optimizer, rate, loss, &mut total)?;
        }
        Ok((pupil, total / batches.max(1) as f64))
    }

    /// The View Sets of groups, and what each of their views is to become.
    fn taught(&self, groups: &[u64]) -> Result<(Vec<ViewSet>, Vec<f32>)> {
        let (mut sets, mut targets) = (Vec::new(), Vec::new());
        for group in groups {
            sets.extend(self.corpus.views(*group, false, &self.render, self.job)?);
            targets.extend(self.components.apply(&self.corpus.taught(*group, self.job)?)?);
        }
        if sets.iter().map(|set| set.views.len()).sum::<usize>() != targets.len() / self.options.dim {
            return Err(Error::Model("what the teacher said is of other views: remove the cache".into()));
        }
        Ok((sets, targets))
    }
}

/// One step of the optimizer; the loss is added to `total`. One that is not finite ends the lesson.
fn step(
    pupil: VsFormer,
    optimizer: &mut ModuleOptimizer,
    rate: f64,
    loss: Tensor<1>,
    total: &mut f64,
) -> Result<VsFormer> {
    let value: f64 = loss.clone().into_scalar::<f32>().into();
    if !value.is_finite() {
        return Err(Error::Model(format!("the loss is {value}: it has diverged")));
    }
    *total += value;
    let gradients = GradientsParams::from_grads(loss.backward(), &pupil);
    Ok(optimizer.step(rate, pupil, gradients))
}

/// `1 − cosine`, and the smooth L1 distance (quadratic below 1), means over rows and numbers.
fn distance(found: Tensor<2>, wanted: Tensor<2>) -> Tensor<1> {
    let cosine = (found.clone() * wanted.clone()).sum_dim(1) / (lengths(found.clone()) * lengths(wanted.clone()));
    let off = (found - wanted).abs();
    let near = off.clone().clamp_max(1.0);
    // For x up to 1, x²/2; beyond, x − 1/2: with m = min(x, 1) both are m (x − m/2).
    let smooth = near.clone() * (off - near / 2.0);
    (cosine.neg() + 1.0).mean() + smooth.mean()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_the_formulas() {
        let device = Device::flex();
        let found = Tensor::<2>::from_data([[3.0f32, 4.0], [0.5, 0.0]], &device);
        let wanted = Tensor::<2>::from_data([[3.0f32, 0.0], [0.0, 0.5]], &device);
        let value: f32 = distance(found, wanted).into_scalar();
        // Cosines 3/5 and 0; differences 0, 4, 1/2, 1/2.
        let expected = (0.4 + 1.0) / 2.0 + (0.0 + 3.5 + 0.125 + 0.125) / 4.0;
        assert!((f64::from(value) - expected).abs() < 1e-6, "{value} against {expected}");
    }
}
