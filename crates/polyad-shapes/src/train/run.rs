//! What both stages share: the state, the steps.

use super::lessons::{GROUP, Lessons, Sample, adamw};
use super::pictures::Tally;
use super::recipe::Schedule;
use super::state::{Epoch, Position};
use crate::error::{Error, Result};
use crate::random::Random;
use crate::states::{States, record};
use crate::vsformer::VsFormer;
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bytes, Tensor};
use std::time::{Duration, Instant};

/// Pixels of the View Sets that are in memory at once: among these, views are mixed in stage 1. Half a gigabyte mixes all
/// of a library of some ten thousand View Sets of 48 x 48; batches that see a few shapes again and again teach less.
const POOL_PIXELS: usize = 1 << 29;
/// Writing states takes at most one part in so many of a run's time.
const SAVE_SHARE: u32 = 20;

/// A run under way.
pub(super) struct Run<'a> {
    pub lessons: Lessons<'a>,
    pub validation: &'a [Sample],
    pub states: &'a States,
    pub position: Position,
    pub best: Option<Bytes>,
    pub clock: Clock,
}

/// Seconds of the run, stops not counted, and when the state was last written.
pub(super) struct Clock {
    before: f64,
    started: Instant,
    saved: Instant,
    pause: Duration,
}

impl Clock {
    /// `pause` is the least time between two states.
    pub fn going_on_after(seconds: f64, pause: Duration) -> Self {
        Clock { before: seconds, started: Instant::now(), saved: Instant::now(), pause }
    }

    pub fn seconds(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }
}

impl Run<'_> {
    /// Where the run is: its stage and the stage's epoch.
    pub fn at(&self) -> (u8, usize) {
        (self.position.stage, self.position.epoch)
    }

    /// A stream of random numbers for a purpose at this place of the run: the same after a stop as without one.
    pub fn random(&self, purpose: u64, index: usize) -> Random {
        self.lessons.random(self.at(), purpose, index)
    }

    /// The samples in this epoch's order.
    pub fn order(&self) -> Vec<Sample> {
        let mut order = self.lessons.train.to_vec();
        self.random(2, 0).shuffle(&mut order);
        order
    }

    /// How many View Sets are in memory at once, if all are like the first.
    pub fn pool(&self) -> usize {
        let first = self.lessons.train.first().and_then(|sample| self.lessons.cache.load(sample.key).ok());
        let pixels = first.map_or(1, |set| set.views.iter().map(|view| view.pixels.len()).sum());
        (POOL_PIXELS / pixels.max(1)).max(GROUP)
    }

    /// One step of the optimizer. A loss that is not finite ends the run.
    pub fn step<M: Module>(
        &mut self,
        network: M,
        optimizer: &mut ModuleOptimizer,
        rate: f64,
        loss: Tensor<1>,
    ) -> Result<M> {
        let value: f64 = loss.clone().into_scalar::<f32>().into();
        if !value.is_finite() {
            return Err(Error::Model(format!(
                "the loss is {value} in epoch {} of stage {}: training has diverged",
                self.position.epoch + 1,
                self.position.stage
            )));
        }
        self.position.loss += value;
        self.position.batches += 1;
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        self.lessons.job.reporter().note(&format!("loss {:.3}", self.position.loss / self.position.batches as f64));
        Ok(optimizer.step(rate, network, gradients))
    }

    /// The rate at a fraction of the current epoch.
    pub fn rate(&self, schedule: &Schedule, fraction: f64) -> f64 {
        schedule.at(self.position.epoch as f64 + fraction)
    }

    /// Ends the `step`-th step of an epoch, counted from 1.
    pub fn finish_step<M: Module>(&mut self, step: usize, network: &M, optimizer: &ModuleOptimizer) -> Result<()> {
        self.position.step = step;
        self.save_if_due(network, optimizer)
    }

    /// Ends an epoch: adds to the curve, remembers the network if it is the best of its stage.
    pub fn finish_epoch<M: Module>(&mut self, tally: Tally, network: &M, optimizer: &ModuleOptimizer) -> Result<()> {
        let position = &mut self.position;
        // To whoever reads the curve, refining is the end of stage 2.
        let before = if position.stage == 3 { self.lessons.recipe.stage2.epochs } else { 0 };
        let epoch = Epoch {
            stage: position.stage.min(2),
            epoch: before + position.epoch + 1,
            loss: position.loss / position.batches.max(1) as f64,
            validation_loss: tally.loss(),
            validation_accuracy: tally.accuracy(),
            seconds: self.clock.seconds(),
        };
        let loss = |epoch: &Epoch| epoch.validation_loss.unwrap_or(0.0);
        // The loss, since accuracies of a small part tie. Without a validation part every epoch ties, and the last counts.
        if position.stage >= 2 && position.best.as_ref().is_none_or(|best| loss(&epoch) <= loss(best)) {
            position.best = Some(epoch.clone());
            self.best = Some(record(network)?);
        }
        position.curve.push(epoch);
        position.epoch += 1;
        (position.step, position.loss, position.batches) = (0, 0.0, 0);
        self.save_if_due(network, optimizer)
    }

    fn save_if_due<M: Module>(&mut self, network: &M, optimizer: &ModuleOptimizer) -> Result<()> {
        if self.clock.saved.elapsed() >= self.clock.pause { self.save(network, optimizer) } else { Ok(()) }
    }

    /// Goes to the next stage, with a fresh optimizer.
    pub fn next_stage(&mut self, network: &VsFormer) -> Result<()> {
        self.position.stage += 1;
        self.position.epoch = 0;
        let optimizer = adamw();
        self.save(network, &optimizer)
    }

    /// Writes the state.
    pub fn save<M: Module>(&mut self, network: &M, optimizer: &ModuleOptimizer) -> Result<()> {
        let began = Instant::now();
        self.position.seconds = self.clock.seconds();
        self.states.save(&self.position, record(network)?, optimizer, self.best.as_ref())?;
        self.clock.saved = Instant::now();
        self.clock.pause = self.clock.pause.max(began.elapsed() * SAVE_SHARE);
        Ok(())
    }
}
