//! MADE: an autoencoder whose weights are masked so that each output depends on the inputs before it alone (Germain
//! et al., arXiv 1502.03509).

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData, module};

/// How a [`Made`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeConfig {
    /// Numbers of the input, D, at least 2.
    pub inputs: usize,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Numbers of each conditional distribution: 1 for a Bernoulli's logit, 2 for a Gaussian's mean and scale.
    pub outputs: usize,
    /// The place of each input in the order, a permutation of 0..D; `None` for their own order.
    pub order: Option<Vec<usize>>,
    /// Of the hidden units' degrees, drawn as the paper does; `None` gives them out in turn.
    pub seed: Option<u64>,
}

/// `h_l = relu((M_l ∘ W_l)ᵀ h_{l−1} + b_l)`, the output the same without relu; output d depends on the inputs whose
/// place is before d's, so that the Jacobian is strictly triangular in that order.
///
/// Units carry degrees m: inputs their places, hidden units one in [min m_{l−1}, D − 2]. Masks are 1 from a unit to a
/// hidden one of no lesser degree, and from a hidden unit to the outputs of greater place.
#[derive(Module, Debug)]
pub struct Made {
    /// W and b, `[in, out]` and `[out]`, hidden layers first.
    pub layers: Vec<Linear>,
    /// M, `[in, out]`; made from the configuration, not saved.
    masks: Vec<Tensor<2>>,
}

impl MadeConfig {
    /// Makes the network. Fewer than 2 inputs, widths of zero and an order that is no permutation are refused.
    pub fn init(&self, device: &Device) -> Result<Made> {
        let MadeConfig { inputs, outputs, .. } = *self;
        nonzero("MADE", &[("outputs", outputs)])?;
        if inputs < 2 {
            return Err(Error::config("MADE", format!("inputs is {inputs}, and one depends on no other")));
        }
        if let Some(layer) = self.hidden.iter().position(|width| *width == 0) {
            return Err(Error::config("MADE", format!("hidden layer {layer} has width 0")));
        }
        let places = self.order.clone().unwrap_or_else(|| (0..inputs).collect());
        let mut sorted = places.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..inputs) {
            return Err(Error::config("MADE", format!("order is {places:?}, no permutation of 0..{inputs}")));
        }

        let (mut layers, mut masks) = (Vec::new(), Vec::new());
        let mut from = places.clone();
        let mut random = self.seed;
        for width in &self.hidden {
            let to = hidden_degrees(&from, *width, inputs - 1, random.as_mut());
            layers.push(LinearConfig::new(from.len(), to.len()).init(device));
            masks.push(mask(&from, &to, |from, to| from <= to, device));
            from = to;
        }
        let to = places.repeat(outputs);
        layers.push(LinearConfig::new(from.len(), to.len()).init(device));
        masks.push(mask(&from, &to, |from, to| from < to, device));
        Ok(Made { layers, masks })
    }
}

/// Degrees from the least of the layer before up to, not including, `end`: in turn, or drawn.
fn hidden_degrees(before: &[usize], width: usize, end: usize, random: Option<&mut u64>) -> Vec<usize> {
    let least = before.iter().copied().min().unwrap_or(0);
    let choices = end - least;
    match random {
        None => (0..width).map(|unit| least + unit % choices).collect(),
        Some(state) => (0..width).map(|_| least + (splitmix(state) % choices as u64) as usize).collect(),
    }
}

/// The next number of the generator splitmix64.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn mask(from: &[usize], to: &[usize], sees: impl Fn(usize, usize) -> bool, device: &Device) -> Tensor<2> {
    let entries = from.iter().flat_map(|from| to.iter().map(|to| f32::from(u8::from(sees(*from, *to)))));
    Tensor::from_data(TensorData::new(entries.collect::<Vec<_>>(), [from.len(), to.len()]), device)
}

impl Made {
    /// # Shapes
    /// - x: `[n, D]`
    /// - output: `[n, outputs · D]`: the first number of every distribution, then the second of every one, …
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len() - 1;
        self.layers.iter().zip(&self.masks).enumerate().fold(x, |x, (index, (layer, mask))| {
            let weight = layer.weight.val();
            let weight = mask.clone().cast(weight.dtype()) * weight;
            let x = module::linear(x, weight, layer.bias.as_ref().map(|bias| bias.val()));
            if index < last { relu(x) } else { x }
        })
    }
}

impl Describe for Made {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        self.layers.iter().enumerate().fold(x, |x, (index, layer)| {
            let x = trace.linear(&format!("layers.{index}"), layer, &x);
            if index + 1 < self.layers.len() { trace.activation("relu", 0, &x) } else { x }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::modulation::jacobian::jacobian;

    fn config(inputs: usize, hidden: &[usize], outputs: usize) -> MadeConfig {
        MadeConfig { inputs, hidden: hidden.to_vec(), outputs, order: None, seed: None }
    }

    #[test]
    fn masks_are_those_of_a_worked_example() {
        // Three inputs of degrees 0, 1, 2; four hidden units of degrees 0, 1, 0, 1; outputs of degrees 0, 1, 2.
        let made = config(3, &[4], 1).init(&Device::flex()).expect("sizes");
        let first = [[1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]];
        assert_eq!(numbers(made.masks[0].clone()), first.concat());
        let second = [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]];
        assert_eq!(numbers(made.masks[1].clone()), second.concat());
    }

    /// Which outputs of a network with all weights 1 can feel which inputs: paths counted, not values.
    fn paths(made: &Made) -> Vec<f64> {
        let mut masks = made.masks.iter().cloned();
        let first = masks.next().expect("a layer");
        numbers(masks.fold(first, |paths, mask| paths.matmul(mask)))
    }

    #[test]
    fn the_jacobian_is_strictly_triangular_in_the_order() {
        let device = Device::flex().autodiff();
        let orders = [None, Some(vec![4, 3, 2, 1, 0]), Some(vec![2, 0, 4, 1, 3])];
        for (order, hidden, outputs, seed) in [
            (0, vec![], 1, None),
            (0, vec![9], 2, None),
            (1, vec![8, 13], 3, None),
            (2, vec![7, 11, 6], 2, None),
            (2, vec![40, 31, 22], 1, Some(5)),
        ] {
            let order = orders[order].clone();
            let places = order.clone().unwrap_or_else(|| (0..5).collect());
            let made = MadeConfig { order, seed, ..config(5, &hidden, outputs) }.init(&device).expect("sizes");
            let paths = paths(&made);
            let made = golden(made);
            let jacobian = jacobian(&wave([1, 5], 0.9, &device), |x| made.forward(x));
            assert_eq!(jacobian.len(), 5 * outputs);
            for (output, row) in jacobian.iter().enumerate() {
                for (input, slope) in row.iter().enumerate() {
                    let is_before = places[input] < places[output % 5];
                    assert!(is_before || *slope == 0.0, "output {output} of {hidden:?} feels input {input}: {slope}");
                    let has_path = paths[input * 5 * outputs + output] > 0.0;
                    assert_eq!(has_path, is_before, "paths from {input} to {output} of {hidden:?}");
                }
            }
            assert!(jacobian.iter().flatten().any(|slope| *slope != 0.0), "something is felt");
        }
    }

    #[test]
    fn no_output_feels_an_input_of_its_place_or_later_however_far_it_moves() {
        let device = Device::flex();
        let made = golden(config(7, &[60, 60], 2).init(&device).expect("sizes"));
        let x = wave([1, 7], 0.9, &device);
        let before = numbers(made.forward(x.clone()));
        for input in 0..7 {
            let mut felt = false;
            for far in [-1e3, 1e3] {
                let step = (0..7).map(|index| if index == input { far } else { 0.0 }).collect();
                let after = numbers(made.forward(x.clone() + doubles(step, [1, 7], &device)));
                for output in 0..14 {
                    let is_same = before[output] == after[output];
                    assert!(is_same || input < output % 7, "output {output} feels input {input}");
                    felt |= !is_same;
                }
            }
            assert_eq!(felt, input < 6, "the last input is felt by none, input {input} by some");
        }
    }

    #[test]
    fn drawn_degrees_stay_in_their_range_and_seeds_repeat_them() {
        let make =
            |seed| MadeConfig { seed: Some(seed), ..config(6, &[30, 30], 1) }.init(&Device::flex()).expect("sizes");
        let masks = |made: &Made| made.masks.iter().flat_map(|mask| numbers(mask.clone())).collect::<Vec<_>>();
        assert_eq!(masks(&make(1)), masks(&make(1)));
        assert_ne!(masks(&make(1)), masks(&make(2)));
        let mut state = 0;
        assert_eq!([splitmix(&mut state), splitmix(&mut state)], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        let degrees = hidden_degrees(&[3, 2, 4], 200, 5, Some(&mut state));
        assert!((2..5).all(|degree| degrees.contains(&degree)) && degrees.iter().all(|m| (2..5).contains(m)));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let made = golden(config(5, &[8, 7], 2).init(&device).expect("sizes"));
        gradients(made, wave([3, 5], 0.9, &device), |made, x| made.forward(x));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let made = config(5, &[8, 7], 2).init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&made, &[5]);
        assert_eq!(audit.parameters, parameters(&made));
        assert_eq!(audit.multiply_adds, 5 * 8 + 8 * 7 + 7 * 10);
        assert_eq!(audit.parameters, audit.multiply_adds + 8 + 7 + 10);
        assert!(!audit.activation_free);
        let linear = Audit::of(&config(5, &[], 1).init(&Device::flex()).expect("sizes"), &[5]);
        assert_eq!(linear.log2_degree, Some(0.0));
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || config(4, &[6], 1).init(&device).expect("sizes");
        saves_and_loads(make(), make(), |made| made.forward(Tensor::ones([1, 4], &device)));
    }

    #[test]
    fn on_a_device_without_gradients_it_is_the_same() {
        let device = Device::flex().autodiff();
        let made = config(4, &[6], 1).init(&device).expect("sizes");
        let wanted = numbers(made.forward(Tensor::ones([1, 4], &device)));
        let got = numbers(made.valid().forward(Tensor::ones([1, 4], &Device::flex())));
        close(&got, &wanted, 1e-7);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |config: MadeConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refused(config(1, &[4], 1)), "MADE: inputs is 1, and one depends on no other");
        assert_eq!(refused(config(3, &[4, 0], 1)), "MADE: hidden layer 1 has width 0");
        assert_eq!(refused(config(3, &[4], 0)), "MADE: outputs is 0");
        let twice = MadeConfig { order: Some(vec![0, 2, 2]), ..config(3, &[4], 1) };
        assert_eq!(refused(twice), "MADE: order is [0, 2, 2], no permutation of 0..3");
    }
}
