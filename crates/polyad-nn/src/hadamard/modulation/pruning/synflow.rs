//! SynFlow: pruning before training, without data, in rounds that no layer loses all its weights in (Tanaka et al., arXiv
//! 2006.05467).
//!
//! With all parameters replaced by their sizes and an input of ones, `R` is the sum of outputs, and a weight's score
//! `w ∂R/∂w` is the sum over all paths through it. Without biases every layer's scores sum to R, so that a wide layer's are
//! small one by one: pruned at once to few weights, the widest layer goes first and whole. In rounds, what is left of it
//! gains score as it shrinks.

use super::{Masks, Place, Scores, weights};
use crate::error::{Error, Result, nonzero};
use burn::module::{Flag, Module, ModuleMapper, Param};
use burn::tensor::Tensor;

/// Masks that keep this share of what `masks` leave, all of a network's weights or some: in round t of T, `share^{t/T}` of
/// it. The paper takes 100 rounds.
///
/// `forward` runs a network on an input of ones, one is enough, in the network's own precision; deep networks need double.
/// It is given the network with the sizes of all parameters and with batch norms that use their running statistics, which
/// stay as they are; other layers that treat training apart, such as dropout, must be left out. The network itself does not
/// change.
///
/// Networks on devices without gradients, rounds of 0, shares outside [0, 1] and scores that overflow are refused.
pub fn synflow<M: Module, const D: usize>(
    network: &M,
    masks: &Masks,
    share: f64,
    rounds: usize,
    forward: impl Fn(&M) -> Tensor<D>,
) -> Result<Masks> {
    nonzero("SynFlow", &[("rounds", rounds)])?;
    if !(0.0..=1.0).contains(&share) {
        return Err(Error::config("SynFlow", format!("a share of {share} is not in [0, 1]")));
    }
    if !network.devices().iter().any(|device| device.is_autodiff()) {
        return Err(Error::config("SynFlow", "the network is on a device without gradients"));
    }
    let sizes = network.clone().map(&mut Sizes(Place::default()));
    let (mut masks, all) = (masks.clone(), masks.kept() as f64);
    for round in 1..=rounds {
        let masked = masks.apply(sizes.clone())?;
        let scores = flow(&masked, &forward);
        if scores.iter().any(|(_, _, values)| values.iter().any(|score| !score.is_finite())) {
            return Err(Error::config("SynFlow", "scores overflow; the network may need double precision"));
        }
        let share = share.powf(round as f64 / rounds as f64);
        masks = masks.keep_largest(&scores, (share * all).round() as usize)?;
    }
    Ok(masks)
}

/// `w ∂R/∂w`
fn flow<M: Module, const D: usize>(network: &M, forward: impl Fn(&M) -> Tensor<D>) -> Scores {
    let gradients = forward(network).sum().backward();
    let scored = weights(network, Some(&gradients));
    Scores::of(scored, |weight, place| weight.values[place] * weight.gradient[place])
}

/// All parameters by their sizes, all learning; batch norms by running statistics.
struct Sizes(Place);

impl ModuleMapper for Sizes {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.0.exit();
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        flag.with_value(false)
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.0.is_statistic() {
            return param;
        }
        param.map(|value| value.abs().detach().require_grad())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Chain;
    use super::super::{Generator, magnitude};
    use super::*;
    use crate::hadamard::check::{close, double, doubles, numbers};
    use crate::norm::{BatchNorm, BatchNormConfig};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{DType, Device};

    /// 8 → 64 → 64 → 4: the middle layer has 4,096 of 4,864 weights.
    fn wide(device: &Device) -> Chain {
        let mut chain = Chain::new(&[8, 64, 64, 4], false, device);
        let mut generator = Generator(11);
        for layer in &mut chain.layers {
            let [inputs, outputs] = layer.weight.dims();
            let weight = (0..inputs * outputs).map(|_| (generator.unit() - 0.5) / (inputs as f64).sqrt());
            layer.weight = Param::from_tensor(doubles(weight.collect(), [inputs, outputs], device));
        }
        chain
    }

    fn of_ones(chain: &Chain) -> Tensor<2> {
        let width = chain.layers[0].weight.dims()[0];
        chain.forward(Tensor::ones([1, width], (&chain.layers[0].weight.device(), DType::F64)))
    }

    fn kept(masks: &Masks) -> Vec<usize> {
        masks.iter().map(|(_, kept, _)| kept).collect()
    }

    #[test]
    fn without_biases_every_layer_s_scores_sum_to_the_output() {
        let sizes = wide(&Device::flex().autodiff()).map(&mut Sizes(Place::default()));
        let total = numbers(of_ones(&sizes).sum())[0];
        let sums: Vec<f64> = flow(&sizes, of_ones).iter().map(|(_, _, scores)| scores.iter().sum()).collect();
        close(&sums, &[total; 3], 1e-12);
    }

    #[test]
    fn at_once_a_layer_collapses_and_in_rounds_none_does() {
        let device = Device::flex().autodiff();
        let chain = wide(&device);
        let share = 100.0 / 4864.0;
        let at_once = kept(&synflow(&chain, &Masks::all(&chain), share, 1, of_ones).expect("one round"));
        let in_rounds = kept(&synflow(&chain, &Masks::all(&chain), share, 100, of_ones).expect("rounds"));
        assert_eq!((at_once.iter().sum::<usize>(), in_rounds.iter().sum::<usize>()), (100, 100));
        assert_eq!(at_once[1], 0, "{at_once:?}");
        assert!(in_rounds.iter().all(|kept| *kept >= 10), "{in_rounds:?}");

        // Signal still flows from end to end.
        let masks = synflow(&chain, &Masks::all(&chain), share, 100, of_ones).expect("rounds");
        let sizes = masks.apply(chain.map(&mut Sizes(Place::default()))).expect("its own");
        assert!(numbers(of_ones(&sizes)).iter().sum::<f64>() > 0.0);
    }

    #[test]
    fn the_path_of_the_largest_product_is_left_by_hand() {
        // Paths through the middle: 5 · 0.1 = 0.5 and 1 · 2 = 2. Magnitude would keep the 5 and break both.
        let device = Device::flex().autodiff();
        let mut chain = double(Chain::new(&[1, 2, 1], false, &device));
        chain.layers[0].weight = Param::from_tensor(doubles(vec![-5.0, 1.0], [1, 2], &device));
        chain.layers[1].weight = Param::from_tensor(doubles(vec![0.1, -2.0], [2, 1], &device));
        let masks = synflow(&chain, &Masks::all(&chain), 0.5, 2, of_ones).expect("two rounds");
        assert_eq!(masks.get("layers.0.weight"), Some(&[false, true][..]));
        assert_eq!(masks.get("layers.1.weight"), Some(&[false, true][..]));
        let by_size = Masks::keep_share(&magnitude(&chain), 0.5).expect("a share");
        assert_eq!(by_size.get("layers.0.weight"), Some(&[true, false][..]));
        close(&numbers(chain.layers[0].weight.val()), &[-5.0, 1.0], 0.0);
    }

    #[test]
    fn weights_that_are_not_asked_for_stay() {
        let chain = wide(&Device::flex().autodiff());
        let some = Masks::all(&chain).only(|name| name != "layers.1.weight");
        let masks = synflow(&chain, &some, 0.25, 20, of_ones).expect("rounds");
        assert_eq!((masks.len(), masks.kept(), masks.get("layers.1.weight")), (768, 192, None));
    }

    #[derive(Module, Debug)]
    struct Normed {
        linear: Linear,
        bn: BatchNorm,
    }

    #[test]
    fn batch_norms_use_their_running_statistics_and_keep_them() {
        let device = Device::flex().autodiff();
        let bn = BatchNormConfig::new(4).init(&device).expect("channels");
        let net = Normed { linear: LinearConfig::new(3, 4).with_bias(false).init(&device), bn };
        // By a batch's own statistics two equal inputs would leave nothing, and no score.
        let forward = |net: &Normed| net.bn.forward(net.linear.forward(Tensor::<2>::ones([2, 3], &device)));
        let masks = synflow(&net, &Masks::all(&net), 0.5, 3, forward).expect("rounds");
        assert_eq!(masks, Masks::keep_share(&magnitude(&net), 0.5).expect("a share"));
        assert!(net.bn.training.is_enabled());
        assert_eq!(numbers(net.valid().bn.running_mean.value()), [0.0; 4]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let device = Device::flex().autodiff();
        let chain = wide(&device);
        let refused = |result: Result<Masks>| result.expect_err("refused").to_string();
        assert_eq!(refused(synflow(&chain, &Masks::all(&chain), 0.5, 0, of_ones)), "SynFlow: rounds is 0");
        assert_eq!(
            refused(synflow(&chain, &Masks::all(&chain), -0.5, 1, of_ones)),
            "SynFlow: a share of -0.5 is not in [0, 1]"
        );
        let fixed = refused(synflow(&chain.valid(), &Masks::all(&chain), 0.5, 1, of_ones));
        assert_eq!(fixed, "SynFlow: the network is on a device without gradients");
        let overflow =
            refused(synflow(&chain, &Masks::all(&chain), 0.5, 1, |chain| of_ones(chain).mul_scalar(f64::INFINITY)));
        assert_eq!(overflow, "SynFlow: scores overflow; the network may need double precision");
    }
}
