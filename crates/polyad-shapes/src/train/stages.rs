//! The two stages of VSFormer's training (Sun et al., arXiv 2409.09254).
//!
//! 1. Every view is classified alone, by SGD: the initializer learns to see.
//! 2. View Sets are classified, by AdamW: the whole network learns, or, on what the image network says of each view,
//!    computed once, all that comes after it.

use super::loss::{contrast, smoothed_cross_entropy};
use super::pictures::{Tally, chosen};
use super::recipe::Schedule;
use super::run::{GROUP, Run, Sample};
use crate::error::Result;
use crate::view_set::{View, ViewSet};
use crate::vsformer::{ViewClassifier, VsFormer, batch_views, numbers};
use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamWConfig, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};
use polyad_nn::engine::Engine;
use rayon::prelude::*;

impl Run<'_> {
    /// Stage 1's optimizer.
    pub fn sgd(&self) -> ModuleOptimizer {
        // PyTorch's momentum, which does not dampen.
        let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
        let decay = WeightDecayConfig::new(self.recipe.stage1_decay);
        SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(Some(decay)).init()
    }

    /// Stage 2's optimizer, with PyTorch's defaults.
    pub fn adamw(&self) -> ModuleOptimizer {
        AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init()
    }

    /// Stage 1, from where the position says.
    pub fn stage1(&mut self, mut network: ViewClassifier, mut optimizer: ModuleOptimizer) -> Result<ViewClassifier> {
        let schedule = self.recipe.stage1.clone();
        let pool = self.pool();
        let sets = self.train.len() as u64;
        self.job.reporter().begin("stage 1: views", schedule.epochs as u64 * sets);
        self.job.reporter().advance(self.position.epoch as u64 * sets);
        while self.position.epoch < schedule.epochs {
            let order = self.order();
            let mut step = 0;
            for (begin, samples) in order.chunks(pool).enumerate().map(|(index, samples)| (index * pool, samples)) {
                let sets = self.load(samples)?;
                let mut views: Vec<(&View, usize)> = Vec::new();
                for (set, sample) in sets.iter().zip(samples) {
                    views.extend(set.views.iter().map(|view| (view, sample.class)));
                }
                self.random(3, begin).shuffle(&mut views);
                let mut shown = 0;
                for (batch, some) in views.chunks(self.recipe.stage1_batch).enumerate() {
                    self.job.check()?;
                    let past = (batch * self.recipe.stage1_batch) as f64 / views.len() as f64 * samples.len() as f64;
                    self.job.reporter().advance((past as u64).saturating_sub(shown));
                    shown = past as u64;
                    step += 1;
                    if step <= self.position.step {
                        continue;
                    }
                    self.seed_step(step);
                    let (some, classes): (Vec<&View>, Vec<usize>) = some.iter().copied().unzip();
                    let logits = network.forward(self.training_input(&some, &mut self.random(6, step))?);
                    let rate = self.rate(&schedule, (begin as f64 + past) / order.len() as f64);
                    let loss = smoothed_cross_entropy(logits, &classes, self.recipe.smoothing);
                    network = self.step(network, &mut optimizer, rate, loss)?;
                    self.finish_step(step, &network, &optimizer)?;
                }
                self.job.reporter().advance(samples.len() as u64 - shown);
            }
            let tally = self.validate_views(&network)?;
            self.finish_epoch(tally, &network, &optimizer)?;
        }
        self.job.reporter().end();
        Ok(network)
    }

    fn validate_views(&self, network: &ViewClassifier) -> Result<Tally> {
        let network = network.valid();
        let mut tally = Tally::new(self.recipe.smoothing);
        for samples in self.validation.chunks(GROUP) {
            for (set, sample) in self.load(samples)?.iter().zip(samples) {
                let views: Vec<&View> = set.views.iter().collect();
                let logits = self.infer(&views, |images| Ok(network.forward(images)))?;
                tally.add(&logits, &vec![sample.class; views.len()]);
            }
        }
        Ok(tally)
    }

    /// A stage that sees View Sets, from where the position says. `frozen` leaves the image network as it is.
    pub fn sets(
        &mut self,
        mut network: VsFormer,
        mut optimizer: ModuleOptimizer,
        (schedule, size): (Schedule, usize),
        frozen: bool,
    ) -> Result<VsFormer> {
        // An image network that stays as it is gives the same features in every epoch.
        let features = if frozen { Some(self.all_features(&network, self.train)?) } else { None };
        let validation = if frozen { Some(self.all_features(&network, self.validation)?) } else { None };
        let batches = self.train.len().div_ceil(size);
        let label = if frozen { "stage 2: features of View Sets" } else { "stage 2: View Sets" };
        self.job.reporter().begin(label, (schedule.epochs * batches) as u64);
        self.job.reporter().advance((self.position.epoch * batches + self.position.step) as u64);
        while self.position.epoch < schedule.epochs {
            let order = self.permutation();
            for (batch, indices) in order.chunks(size).enumerate().skip(self.position.step) {
                self.job.check()?;
                self.seed_step(batch);
                let samples: Vec<Sample> = indices.iter().map(|index| self.train[*index]).collect();
                let classes: Vec<usize> = samples.iter().map(|sample| sample.class).collect();
                let (rows, counts) = match &features {
                    Some(features) => {
                        let (rows, counts) = self.some_features(features, indices, batch)?;
                        (network.initializer.project(rows), counts)
                    }
                    None => self.some_views(&network, &samples, batch)?,
                };
                let (views, absent) = batch_views(rows, &counts)?;
                let transition = network.encode(views, absent);
                let mut loss =
                    smoothed_cross_entropy(network.logits(transition.clone())?, &classes, self.recipe.smoothing);
                if self.recipe.contrast > 0.0 {
                    loss = loss + contrast(transition, &classes) * self.recipe.contrast;
                }
                let rate = self.rate(&schedule, batch as f64 / batches as f64);
                network = self.step(network, &mut optimizer, rate, loss)?;
                self.job.reporter().advance(1);
                self.finish_step(batch + 1, &network, &optimizer)?;
            }
            let tally = match &validation {
                Some(features) => self.validate_sets(&network, features)?,
                None => {
                    let features = self.all_features_quietly(&network, self.validation)?;
                    self.validate_sets(&network, &features)?
                }
            };
            self.finish_epoch(tally, &network, &optimizer)?;
        }
        self.job.reporter().end();
        Ok(network)
    }

    fn permutation(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.train.len()).collect();
        self.random(2, 0).shuffle(&mut order);
        order
    }

    /// The image network's features of all views of samples, a list of numbers for each.
    fn all_features(&self, network: &VsFormer, samples: &[Sample]) -> Result<Vec<Vec<f32>>> {
        self.job.reporter().begin("features", samples.len() as u64);
        let features = self.all_features_quietly(network, samples);
        self.job.reporter().end();
        features
    }

    fn all_features_quietly(&self, network: &VsFormer, samples: &[Sample]) -> Result<Vec<Vec<f32>>> {
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
    fn some_features(&self, features: &[Vec<f32>], indices: &[usize], batch: usize) -> Result<(Tensor<2>, Vec<usize>)> {
        let width = self.recipe.architecture.features();
        let mut random = self.random(4, batch);
        let (mut rows, mut counts) = (Vec::new(), Vec::new());
        for index in indices {
            let own = &features[*index];
            let views = self.chosen(own.len() / width, &mut random);
            counts.push(views.len());
            views.iter().for_each(|view| rows.extend_from_slice(&own[view * width..(view + 1) * width]));
        }
        let shape = [rows.len() / width, width];
        Ok((Tensor::from_data(TensorData::new(rows, shape), &Self::device()), counts))
    }

    /// The same with gradients, from the pictures.
    fn some_views(&self, network: &VsFormer, samples: &[Sample], batch: usize) -> Result<(Tensor<2>, Vec<usize>)> {
        let sets: Vec<ViewSet> = self.load(samples)?;
        let mut random = self.random(4, batch);
        let (mut views, mut counts) = (Vec::new(), Vec::new());
        for set in &sets {
            let some = self.chosen(set.views.len(), &mut random);
            counts.push(some.len());
            views.extend(some.iter().map(|view| &set.views[*view]));
        }
        Ok((network.forward_features(self.training_input(&views, &mut random)?), counts))
    }

    fn chosen(&self, count: usize, random: &mut crate::random::Random) -> Vec<usize> {
        if self.recipe.drop_views { chosen(count, random) } else { (0..count).collect() }
    }

    fn validate_sets(&self, network: &VsFormer, features: &[Vec<f32>]) -> Result<Tally> {
        let network = network.valid();
        let width = self.recipe.architecture.features();
        let mut tally = Tally::new(self.recipe.smoothing);
        for (features, samples) in features.chunks(GROUP).zip(self.validation.chunks(GROUP)) {
            self.job.check()?;
            let counts: Vec<usize> = features.iter().map(|own| own.len() / width).collect();
            let rows = features.concat();
            let shape = [rows.len() / width, width];
            let rows = Tensor::<2>::from_data(TensorData::new(rows, shape), &Device::flex());
            let (views, absent) = batch_views(network.initializer.project(rows), &counts)?;
            let logits = numbers(network.logits(network.encode(views, absent))?)?;
            tally.add(&logits, &samples.iter().map(|sample| sample.class).collect::<Vec<_>>());
        }
        Ok(tally)
    }
}
