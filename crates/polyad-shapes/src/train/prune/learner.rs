//! Lessons under masks.

use super::CALIBRATION;
use crate::error::{Error, Result};
use crate::train::lessons::{Lessons, adamw};
use crate::train::recipe::Schedule;
use crate::vsformer::VsFormer;
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};
use polyad_nn::hadamard::modulation::pruning::{Masks, Movement, cubic_share};
use std::ops::Range;

/// The rate of movement's scores, as published.
const SCORE_RATE: f64 = 1e-2;
/// Shares of the steps in which movement keeps all, and in which its masks no longer change.
const WARM_UP: f64 = 0.1;
const COOL_DOWN: f64 = 0.3;

/// What a network learns from, how long and how fast. Its steps are numbered through all epochs.
pub(super) struct Learner<'a> {
    pub lessons: Lessons<'a>,
    /// Of all samples, where the image network stays as it is.
    pub features: Option<&'a [Vec<f32>]>,
    pub schedule: Schedule,
    /// Samples of a step.
    pub batch: usize,
}

impl Learner<'_> {
    fn steps_an_epoch(&self) -> usize {
        self.lessons.train.len().div_ceil(self.batch)
    }

    /// All steps.
    pub fn steps(&self) -> usize {
        self.schedule.epochs * self.steps_an_epoch()
    }

    /// The loss of a step, whatever came before it.
    pub fn loss(&self, network: &VsFormer, step: usize) -> Result<Tensor<1>> {
        let (epoch, batch) = (step / self.steps_an_epoch(), step % self.steps_an_epoch());
        let at = (0, epoch);
        let order = self.lessons.permutation(at);
        let indices = &order[batch * self.batch..order.len().min((batch + 1) * self.batch)];
        self.lessons.seed_step(at, batch);
        self.lessons.loss(network, self.features, indices, &mut self.lessons.random(at, 4, batch))
    }

    /// Learns by all steps; without any, lets batch norms see the network that is left.
    pub fn learn(&self, network: VsFormer, masks: &Masks) -> Result<VsFormer> {
        if self.steps() > 0 {
            return self.learn_steps(network, 0..self.steps(), masks);
        }
        let network = masks.apply(network)?;
        for step in 0..CALIBRATION {
            self.lessons.job.check()?;
            self.loss(&network, step)?;
        }
        Ok(network)
    }

    /// Learns by some steps, with an optimizer that knows nothing yet. Momentum revives what is pruned, so the masks are
    /// applied again behind every step.
    pub fn learn_steps(&self, network: VsFormer, steps: Range<usize>, masks: &Masks) -> Result<VsFormer> {
        let mut network = masks.apply(network)?;
        let mut optimizer = adamw();
        self.begin(steps.len());
        for step in steps {
            let gradients = self.gradients(&network, step)?;
            let gradients = GradientsParams::from_grads(gradients, &network);
            network = masks.apply(optimizer.step(self.rate(step), network, gradients))?;
            self.lessons.job.reporter().advance(1);
        }
        self.lessons.job.reporter().end();
        Ok(network)
    }

    /// Learns weights, and by the scores of movement which `count` of them are left, fewer from step to step. What is pruned
    /// keeps its number, and may come back, until the masks stay.
    pub fn learn_masks(&self, network: VsFormer, all: Masks, count: usize) -> Result<(VsFormer, Masks)> {
        let part = |share: f64| (share * self.steps() as f64).round() as usize;
        let (warm_up, falls) = (part(WARM_UP), part(1.0 - WARM_UP - COOL_DOWN));
        let last = count as f64 / all.len().max(1) as f64;
        let mut movement = Movement::new(&network, SCORE_RATE);
        let (mut dense, mut masks) = (network, all.clone());
        let mut optimizer = adamw();
        self.begin(self.steps());
        for step in 0..self.steps() {
            let masked = masks.apply(dense.clone())?;
            let gradients = self.gradients(&masked, step)?;
            let learns_masks = step < warm_up + falls;
            if learns_masks {
                movement.observe(&dense, &masked, &gradients)?;
            }
            let gradients = masks.hold_back(&masked, GradientsParams::from_grads(gradients, &masked));
            dense = optimizer.step(self.rate(step), dense, gradients);
            if learns_masks {
                let share = cubic_share(step + 1, warm_up, falls, last);
                masks = all.keep_largest(movement.scores(), (share * all.len() as f64).round() as usize)?;
            }
            self.lessons.job.reporter().advance(1);
        }
        self.lessons.job.reporter().end();
        Ok((masks.apply(dense)?, masks))
    }

    fn begin(&self, steps: usize) {
        self.lessons.job.reporter().begin("lessons", steps as u64);
    }

    fn rate(&self, step: usize) -> f64 {
        self.schedule.at(step as f64 / self.steps_an_epoch() as f64)
    }

    /// The gradients of a step. A loss that is not finite ends the run.
    fn gradients(&self, network: &VsFormer, step: usize) -> Result<Gradients> {
        self.lessons.job.check()?;
        let loss = self.loss(network, step)?;
        let value: f32 = loss.clone().into_scalar();
        if !value.is_finite() {
            return Err(Error::Model(format!("the loss is {value} in step {}: learning has diverged", step + 1)));
        }
        self.lessons.job.reporter().note(&format!("loss {value:.3}"));
        Ok(loss.backward())
    }
}
