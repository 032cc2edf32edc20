//! The two stages of VSFormer's training (Sun et al., arXiv 2409.09254).
//!
//! 1. Every view is classified alone, by SGD: the initializer learns to see.
//! 2. View Sets are classified, by AdamW: the whole network learns, or, on what the image network says of each view,
//!    computed once, all that comes after it.

use super::lessons::GROUP;
use super::loss::smoothed_cross_entropy;
use super::pictures::Tally;
use super::recipe::Schedule;
use super::run::Run;
use crate::error::Result;
use crate::view_set::View;
use crate::vsformer::{ViewClassifier, VsFormer, batch_views, numbers};
use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};

impl Run<'_> {
    /// Stage 1's optimizer.
    pub fn sgd(&self) -> ModuleOptimizer {
        // PyTorch's momentum, which does not dampen.
        let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
        let decay = WeightDecayConfig::new(self.lessons.recipe.stage1_decay);
        SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(Some(decay)).init()
    }

    /// Stage 1, from where the position says.
    pub fn stage1(&mut self, mut network: ViewClassifier, mut optimizer: ModuleOptimizer) -> Result<ViewClassifier> {
        let (recipe, job) = (self.lessons.recipe, self.lessons.job);
        let schedule = &recipe.stage1;
        let pool = self.pool();
        let sets = self.lessons.train.len() as u64;
        job.reporter().begin("stage 1: views", schedule.epochs as u64 * sets);
        job.reporter().advance(self.position.epoch as u64 * sets);
        while self.position.epoch < schedule.epochs {
            let order = self.order();
            let mut step = 0;
            for (begin, samples) in order.chunks(pool).enumerate().map(|(index, samples)| (index * pool, samples)) {
                let sets = self.lessons.load(samples)?;
                let mut views: Vec<(&View, usize)> = Vec::new();
                for (set, sample) in sets.iter().zip(samples) {
                    views.extend(set.views.iter().map(|view| (view, sample.class)));
                }
                self.random(3, begin).shuffle(&mut views);
                let mut shown = 0;
                for (batch, some) in views.chunks(recipe.stage1_batch).enumerate() {
                    job.check()?;
                    let past = (batch * recipe.stage1_batch) as f64 / views.len() as f64 * samples.len() as f64;
                    job.reporter().advance((past as u64).saturating_sub(shown));
                    shown = past as u64;
                    step += 1;
                    if step <= self.position.step {
                        continue;
                    }
                    self.lessons.seed_step(self.at(), step);
                    let (some, classes): (Vec<&View>, Vec<usize>) = some.iter().copied().unzip();
                    let logits = network.forward(self.lessons.training_input(&some, &mut self.random(6, step))?);
                    let rate = self.rate(schedule, (begin as f64 + past) / order.len() as f64);
                    let loss = smoothed_cross_entropy(logits, &classes, recipe.smoothing);
                    network = self.step(network, &mut optimizer, rate, loss)?;
                    self.finish_step(step, &network, &optimizer)?;
                }
                job.reporter().advance(samples.len() as u64 - shown);
            }
            let tally = self.validate_views(&network)?;
            self.finish_epoch(tally, &network, &optimizer)?;
        }
        job.reporter().end();
        Ok(network)
    }

    fn validate_views(&self, network: &ViewClassifier) -> Result<Tally> {
        let network = network.valid();
        let mut tally = Tally::new(self.lessons.recipe.smoothing);
        for samples in self.validation.chunks(GROUP) {
            for (set, sample) in self.lessons.load(samples)?.iter().zip(samples) {
                let views: Vec<&View> = set.views.iter().collect();
                let logits = self.lessons.infer(&views, |images| Ok(network.forward(images)))?;
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
        let job = self.lessons.job;
        // An image network that stays as it is gives the same features in every epoch.
        let features = if frozen { Some(self.lessons.all_features(&network, self.lessons.train)?) } else { None };
        let validation = if frozen { Some(self.lessons.all_features(&network, self.validation)?) } else { None };
        let batches = self.lessons.train.len().div_ceil(size);
        let label = if frozen { "stage 2: features of View Sets" } else { "stage 2: View Sets" };
        job.reporter().begin(label, (schedule.epochs * batches) as u64);
        job.reporter().advance((self.position.epoch * batches + self.position.step) as u64);
        while self.position.epoch < schedule.epochs {
            let order = self.lessons.permutation(self.at());
            for (batch, indices) in order.chunks(size).enumerate().skip(self.position.step) {
                job.check()?;
                self.lessons.seed_step(self.at(), batch);
                let loss = self.lessons.loss(&network, features.as_deref(), indices, &mut self.random(4, batch))?;
                let rate = self.rate(&schedule, batch as f64 / batches as f64);
                network = self.step(network, &mut optimizer, rate, loss)?;
                job.reporter().advance(1);
                self.finish_step(batch + 1, &network, &optimizer)?;
            }
            let tally = match &validation {
                Some(features) => self.validate_sets(&network, features)?,
                None => {
                    let features = self.lessons.all_features_quietly(&network, self.validation)?;
                    self.validate_sets(&network, &features)?
                }
            };
            self.finish_epoch(tally, &network, &optimizer)?;
        }
        job.reporter().end();
        Ok(network)
    }

    fn validate_sets(&self, network: &VsFormer, features: &[Vec<f32>]) -> Result<Tally> {
        let network = network.valid();
        let width = self.lessons.recipe.architecture.features();
        let mut tally = Tally::new(self.lessons.recipe.smoothing);
        for (features, samples) in features.chunks(GROUP).zip(self.validation.chunks(GROUP)) {
            self.lessons.job.check()?;
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
