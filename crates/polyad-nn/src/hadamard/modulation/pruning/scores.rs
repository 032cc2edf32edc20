//! Scores: how much each number of each weight is worth.

use super::{Generator, Weight, weights};
use crate::error::{Error, Result};
use burn::module::Module;
use burn::tensor::Gradients;
use std::collections::BTreeMap;

/// A score for each number of each weight, by the weight's name; the larger the better.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    by_name: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Scores {
    /// `score(weight, place)` for all places.
    pub(super) fn of(weights: Vec<Weight>, mut score: impl FnMut(&Weight, usize) -> f64) -> Self {
        let mut by_name = BTreeMap::new();
        for weight in weights {
            let scores = (0..weight.values.len()).map(|place| score(&weight, place)).collect();
            by_name.insert(weight.name, (weight.shape, scores));
        }
        Scores { by_name }
    }

    /// Of the weight of this name.
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.by_name.get(name).map(|(_, values)| values.as_slice())
    }

    /// Names, shapes and scores, in order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[usize], &[f64])> {
        self.by_name.iter().map(|(name, (shape, values))| (name.as_str(), shape.as_slice(), values.as_slice()))
    }
}

/// Scores from a seed, in [0, 1): the control.
pub fn random<M: Module>(module: &M, seed: u64) -> Scores {
    let mut generator = Generator(seed);
    Scores::of(weights(module, None), |_, _| generator.unit())
}

/// `|w|`
pub fn magnitude<M: Module>(module: &M) -> Scores {
    Scores::of(weights(module, None), |weight, place| weight.values[place].abs())
}

/// `|g ∘ w|`: how much the loss of one batch would change, to first order, without a weight. Before training.
///
/// The paper divides by the sum of all, which changes no order. Weights without a gradient score 0.
pub fn snip<M: Module>(module: &M, gradients: &Gradients) -> Scores {
    Scores::of(weights(module, Some(gradients)), |weight, place| (weight.gradient[place] * weight.values[place]).abs())
}

/// Scores of movement pruning: straight-through learning of `S` in `W' = W ∘ M(S)`, step by step `S ← S − rate · g ∘ W`,
/// where g is the loss's gradient by `W'`.
///
/// A weight that a step of descent makes larger in size gains, one that goes towards 0 loses. It chooses what a transfer to
/// a new task wants to keep; on the data that a network was trained on, expect magnitude to do as well.
#[derive(Debug, Clone)]
pub struct Movement {
    rate: f64,
    scores: Scores,
}

impl Movement {
    /// Scores of 0. The published rate is 1e-2.
    pub fn new<M: Module>(module: &M, rate: f64) -> Self {
        Movement { rate, scores: Scores::of(weights(module, None), |_, _| 0.0) }
    }

    /// Takes in a step: the weights before it, all of them, and the gradients that the network under its masks gave.
    ///
    /// `dense` keeps the numbers that are pruned now, so that these can come back; `masked` is the network of the forward
    /// pass. Without masks both are the same. Networks with other weights are refused.
    pub fn observe<M: Module>(&mut self, dense: &M, masked: &M, gradients: &Gradients) -> Result<()> {
        let (dense, masked) = (weights(dense, None), weights(masked, Some(gradients)));
        if dense.len() != self.scores.by_name.len() || masked.len() != dense.len() {
            let problem = format!("{} scored weights, {} in the network", self.scores.by_name.len(), dense.len());
            return Err(Error::config("movement", problem));
        }
        for (dense, masked) in dense.iter().zip(&masked) {
            let scores = self.scores.by_name.get_mut(&dense.name).filter(|(shape, _)| *shape == dense.shape);
            let scores = scores.filter(|_| masked.name == dense.name && masked.shape == dense.shape);
            let Some((_, scores)) = scores else {
                return Err(Error::config("movement", format!("{} was not scored in this shape", dense.name)));
            };
            for (score, (gradient, value)) in scores.iter_mut().zip(masked.gradient.iter().zip(&dense.values)) {
                *score -= self.rate * gradient * value;
            }
        }
        Ok(())
    }

    /// So far.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }
}

/// The share that is left at a step of the cubic schedule: all of it for `warm_up` steps, then falling fast and ever slower
/// over `steps` to `last`, where it stays (Zhu and Gupta, arXiv 1710.01878).
pub fn cubic_share(step: usize, warm_up: usize, steps: usize, last: f64) -> f64 {
    if step < warm_up {
        return 1.0;
    }
    let to_go = steps.saturating_sub(step - warm_up) as f64 / steps.max(1) as f64;
    last + (1.0 - last) * to_go.powi(3)
}

#[cfg(test)]
mod tests {
    use super::super::Masks;
    use super::super::tests::{Chain, small};
    use super::*;
    use crate::hadamard::check::{close, doubles};
    use burn::module::Param;
    use burn::tensor::{Device, Tensor};

    /// `Σ (xW) ∘ c` for W = [[1, -2], [3, 4]], x = (5, -1), c = (1, 10): the gradient is xᵀc = [[5, 50], [-1, -10]].
    fn worked(device: &Device) -> (Chain, Gradients) {
        let mut chain = Chain::new(&[2, 2], false, device);
        chain.layers[0].weight = Param::from_tensor(doubles(vec![1.0, -2.0, 3.0, 4.0], [2, 2], device));
        let x = doubles(vec![5.0, -1.0], [1, 2], device);
        let grads = (chain.forward(x) * doubles(vec![1.0, 10.0], [1, 2], device)).sum().backward();
        (chain, grads)
    }

    fn only(scores: &Scores) -> &[f64] {
        scores.get("layers.0.weight").expect("there")
    }

    #[test]
    fn snip_is_the_size_of_gradient_times_weight() {
        let (chain, grads) = worked(&Device::flex().autodiff());
        close(only(&snip(&chain, &grads)), &[5.0, 100.0, 3.0, 40.0], 1e-14);
    }

    #[test]
    fn magnitude_is_the_size_of_the_weight() {
        let (chain, _) = worked(&Device::flex().autodiff());
        assert_eq!(only(&magnitude(&chain)), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn random_scores_follow_the_seed() {
        let chain = small(&Device::flex());
        assert_eq!(random(&chain, 3), random(&chain, 3));
        assert_ne!(random(&chain, 3), random(&chain, 4));
    }

    #[test]
    fn movement_adds_up_what_descent_does_to_sizes() {
        let device = Device::flex().autodiff();
        let (chain, grads) = worked(&device);
        let mut movement = Movement::new(&chain, 0.01);
        movement.observe(&chain, &chain, &grads).expect("its own");
        close(only(movement.scores()), &[-0.05, 1.0, 0.03, 0.4], 1e-14);
        movement.observe(&chain, &chain, &grads).expect("its own");
        close(only(movement.scores()), &[-0.1, 2.0, 0.06, 0.8], 1e-14);
        // The same sign as the change of |w| in a step of descent.
        let stepped = [1.0 - 0.05, -2.0 - 0.5, 3.0 + 0.01, 4.0 + 0.1f64];
        for ((score, new), old) in only(movement.scores()).iter().zip(stepped).zip([1.0, 2.0, 3.0, 4.0]) {
            assert_eq!(*score > 0.0, new.abs() > old);
        }
    }

    #[test]
    fn movement_goes_on_for_weights_that_are_pruned_now() {
        let device = Device::flex().autodiff();
        let (chain, _) = worked(&device);
        let mut movement = Movement::new(&chain, 0.01);
        let masks = Masks::keep_share(&magnitude(&chain), 0.5).expect("a share");
        let masked = masks.apply(chain.clone()).expect("its own");
        let x = doubles(vec![5.0, -1.0], [1, 2], &device);
        let grads = (masked.forward(x) * doubles(vec![1.0, 10.0], [1, 2], &device)).sum().backward();
        movement.observe(&chain, &masked, &grads).expect("its own");
        close(only(movement.scores()), &[-0.05, 1.0, 0.03, 0.4], 1e-14);
    }

    #[test]
    fn movement_refuses_another_network() {
        let device = Device::flex().autodiff();
        let (chain, grads) = worked(&device);
        let mut movement = Movement::new(&chain, 0.01);
        let deeper = Chain::new(&[2, 2, 2], false, &device);
        let error = movement.observe(&deeper, &deeper, &grads).expect_err("another");
        assert_eq!(error.to_string(), "movement: 1 scored weights, 2 in the network");
        let wider = Chain::new(&[2, 3], false, &device);
        let error = movement.observe(&wider, &wider, &grads).expect_err("another");
        assert_eq!(error.to_string(), "movement: layers.0.weight was not scored in this shape");
    }

    #[test]
    fn without_a_gradient_a_weight_scores_nothing() {
        let device = Device::flex().autodiff();
        let (chain, _) = worked(&device);
        let grads = Tensor::<1>::ones([1], &device).require_grad().sum().backward();
        assert_eq!(only(&snip(&chain, &grads)), [0.0; 4]);
    }

    #[test]
    fn the_cubic_schedule_falls_from_all_to_its_last_share() {
        let share = |step| cubic_share(step, 10, 20, 0.2);
        close(&[0, 10, 20, 30, 99].map(share), &[1.0, 1.0, 0.2 + 0.8 * 0.125, 0.2, 0.2], 1e-15);
        assert!((0..40).all(|step| share(step) >= share(step + 1)));
        assert_eq!(cubic_share(0, 0, 0, 0.3), 0.3);
    }
}
