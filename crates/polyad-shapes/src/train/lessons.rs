//! What shapes teach: the loss of a batch of View Sets, from their pictures, or from features that were computed once.

use super::cache::{Cache, Key};
use super::features::Features;
use super::loss::{contrast, smoothed_cross_entropy};
use super::pictures::{chosen, jittered};
use super::recipe::Recipe;
use crate::error::Result;
use crate::job::Job;
use crate::model::InputNormalisation;
use crate::random::Random;
use crate::view_set::{View, ViewSet};
use crate::vsformer::{VsFormer, batch_views, numbers};
use burn::module::Module;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use polyad_nn::engine::Engine;
use rayon::prelude::*;

/// View Sets whose features are computed at once.
pub(super) const GROUP: usize = 64;
/// Pixels of a batch of views without gradients.
const BATCH_PIXELS: usize = 1 << 20;

/// The optimizer of View Sets, with PyTorch's defaults.
pub(super) fn adamw() -> ModuleOptimizer {
    AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init()
}

/// A View Set to learn from, or to be validated by: a shape in one of its turns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub key: Key,
    pub class: usize,
}

/// What is learnt from, and how it is looked at.
pub(super) struct Lessons<'a> {
    pub recipe: &'a Recipe,
    pub cache: &'a Cache,
    /// Where features are kept; only those of an image network that never changes are.
    pub features: Option<Features>,
    pub input: InputNormalisation,
    pub train: &'a [Sample],
    /// Orders, views and jitter follow from it.
    pub seed: u64,
    pub job: Job<'a>,
}

impl Lessons<'_> {
    pub fn device() -> Device {
        Device::flex().autodiff()
    }

    /// A stream of random numbers for a purpose at an epoch of a stage.
    pub fn random(&self, (stage, epoch): (u8, usize), purpose: u64, index: usize) -> Random {
        let place = (u64::from(stage) << 56) ^ ((epoch as u64) << 32) ^ index as u64;
        Random::new(self.seed, place ^ (purpose << 60))
    }

    /// Seeds what the network draws itself, such as dropout, for a step.
    pub fn seed_step(&self, at: (u8, usize), step: usize) {
        Self::device().seed(self.random(at, 1, step).next());
    }

    /// Indices of the samples in the order of an epoch.
    pub fn permutation(&self, at: (u8, usize)) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.train.len()).collect();
        self.random(at, 2, 0).shuffle(&mut order);
        order
    }

    /// The loss on a batch of samples: of their classes and, as the recipe says, of contrast. `features` are those of all
    /// samples, where the image network stays as it is.
    pub fn loss(
        &self,
        network: &VsFormer,
        features: Option<&[Vec<f32>]>,
        indices: &[usize],
        random: &mut Random,
    ) -> Result<Tensor<1>> {
        let classes: Vec<usize> = indices.iter().map(|index| self.train[*index].class).collect();
        let (rows, counts) = match features {
            Some(features) => {
                let (rows, counts) = self.some_features(features, indices, random);
                (network.initializer.project(rows), counts)
            }
            None => self.some_views(network, indices, random)?,
        };
        let (views, absent) = batch_views(rows, &counts)?;
        let transition = network.encode(views, absent);
        let loss = smoothed_cross_entropy(network.logits(transition.clone())?, &classes, self.recipe.smoothing);
        let weight = self.recipe.contrast;
        Ok(if weight > 0.0 { loss + contrast(transition, &classes) * weight } else { loss })
    }

    /// The View Sets of samples, in their order.
    pub fn load(&self, samples: &[Sample]) -> Result<Vec<ViewSet>> {
        samples.par_iter().map(|sample| self.cache.load(sample.key)).collect()
    }

    /// A batch of views as the network's input, jittered if the recipe says so.
    pub fn training_input(&self, views: &[&View], random: &mut Random) -> Result<Tensor<4>> {
        if !self.recipe.jitter {
            return self.input.tensor(views, &Self::device());
        }
        let streams: Vec<u64> = views.iter().map(|_| random.next()).collect();
        let moved: Vec<View> =
            views.par_iter().zip(streams).map(|(view, stream)| jittered(view, &mut Random::new(stream, 0))).collect();
        self.input.tensor(&moved.iter().collect::<Vec<_>>(), &Self::device())
    }

    /// Runs views through `network` without gradients, in batches of bounded size, and gives its rows of numbers.
    pub fn infer(&self, views: &[&View], network: impl Fn(Tensor<4>) -> Result<Tensor<2>>) -> Result<Vec<f32>> {
        let side = self.recipe.render.size;
        let mut rows = Vec::new();
        for batch in views.chunks((BATCH_PIXELS / (side * side)).max(1)) {
            self.job.check()?;
            rows.extend(numbers(network(self.input.tensor(batch, &Device::flex())?)?)?);
        }
        Ok(rows)
    }

    /// The image network's features of all views of samples, a list of numbers for each.
    pub fn all_features(&self, network: &VsFormer, samples: &[Sample]) -> Result<Vec<Vec<f32>>> {
        self.job.reporter().begin("features", samples.len() as u64);
        let features = self.all_features_quietly(network, samples);
        self.job.reporter().end();
        features
    }

    /// The same, without a word.
    pub fn all_features_quietly(&self, network: &VsFormer, samples: &[Sample]) -> Result<Vec<Vec<f32>>> {
        let engine = network.initializer.backbone.valid().engine()?;
        let width = self.recipe.architecture.features();
        let mut all = Vec::with_capacity(samples.len());
        for samples in samples.chunks(GROUP) {
            self.job.check()?;
            let kept = |sample: &Sample| self.features.as_ref()?.load(sample.key, width);
            let kept: Vec<Option<Vec<f32>>> = samples.par_iter().map(kept).collect();
            let missing = samples.iter().zip(&kept).filter(|(_, kept)| kept.is_none());
            let missing: Vec<Sample> = missing.map(|(sample, _)| *sample).collect();
            let mut found = self.compute_features(&engine, &missing)?.into_iter();
            all.extend(kept.into_iter().filter_map(|kept| kept.or_else(|| found.next())));
            self.job.reporter().advance(samples.len() as u64);
        }
        Ok(all)
    }

    fn compute_features(&self, engine: &Engine, samples: &[Sample]) -> Result<Vec<Vec<f32>>> {
        let sets = self.load(samples)?;
        let views: Vec<&View> = sets.iter().flat_map(|set| &set.views).collect();
        let rows = self.infer(&views, |images| Ok(engine.forward(images)?))?;
        let width = self.recipe.architecture.features();
        let mut rest = &rows[..];
        let mut found = Vec::with_capacity(samples.len());
        for (set, sample) in sets.iter().zip(samples) {
            let (own, others) = rest.split_at(set.views.len() * width);
            if let Some(features) = &self.features {
                features.store(sample.key, own)?;
            }
            found.push(own.to_vec());
            rest = others;
        }
        Ok(found)
    }

    /// The features of some views of each of a batch's shapes, and how many each has.
    fn some_features(&self, features: &[Vec<f32>], indices: &[usize], random: &mut Random) -> (Tensor<2>, Vec<usize>) {
        let width = self.recipe.architecture.features();
        let (mut rows, mut counts) = (Vec::new(), Vec::new());
        for index in indices {
            let own = &features[*index];
            let views = self.chosen(own.len() / width, random);
            counts.push(views.len());
            views.iter().for_each(|view| rows.extend_from_slice(&own[view * width..(view + 1) * width]));
        }
        let shape = [rows.len() / width, width];
        (Tensor::from_data(TensorData::new(rows, shape), &Self::device()), counts)
    }

    /// The same with gradients, from the pictures.
    fn some_views(
        &self,
        network: &VsFormer,
        indices: &[usize],
        random: &mut Random,
    ) -> Result<(Tensor<2>, Vec<usize>)> {
        let samples: Vec<Sample> = indices.iter().map(|index| self.train[*index]).collect();
        let sets: Vec<ViewSet> = self.load(&samples)?;
        let (mut views, mut counts) = (Vec::new(), Vec::new());
        for set in &sets {
            let some = self.chosen(set.views.len(), random);
            counts.push(some.len());
            views.extend(some.iter().map(|view| &set.views[*view]));
        }
        Ok((network.forward_features(self.training_input(&views, random)?), counts))
    }

    fn chosen(&self, count: usize, random: &mut Random) -> Vec<usize> {
        if self.recipe.drop_views { chosen(count, random) } else { (0..count).collect() }
    }
}
