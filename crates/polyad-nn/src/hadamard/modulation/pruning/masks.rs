//! Which weights are left.

use super::{Generator, Place, Scores, shapes, weights};
use crate::error::{Error, Result};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Bool, Tensor, TensorData};
use std::collections::BTreeMap;

/// For each weight by its name: which of its numbers are left.
///
/// Thresholds are global: numbers of all weights are compared. Where scores are equal, the one that comes first is left, in
/// alphabetical order of names and then by place, so that a share is kept exactly whatever the scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masks {
    by_name: BTreeMap<String, Mask>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mask {
    shape: Vec<usize>,
    kept: Vec<bool>,
}

impl Masks {
    /// Of all weights of a module, nothing pruned.
    pub fn all<M: Module>(module: &M) -> Self {
        let of = |shape: Vec<usize>| Mask { kept: vec![true; shape.iter().product()], shape };
        Masks { by_name: shapes(module).into_iter().map(|(name, shape)| (name, of(shape))).collect() }
    }

    /// Of a module that was pruned: a number is left where it is not 0. So masks are saved with the weights; a number that
    /// was left and is 0 by chance counts as pruned.
    pub fn of<M: Module>(module: &M) -> Self {
        let of = |shape, values: Vec<f64>| Mask { shape, kept: values.iter().map(|value| *value != 0.0).collect() };
        let masks = weights(module, None).into_iter().map(|w| (w.name, of(w.shape, w.values)));
        Masks { by_name: masks.collect() }
    }

    /// Keeps this share of all numbers, those of the largest scores: `share` times their count, rounded.
    ///
    /// Shares outside [0, 1] and scores that are no number are refused.
    pub fn keep_share(scores: &Scores, share: f64) -> Result<Self> {
        check_share(share)?;
        let of = |shape: &[usize], len| Mask { shape: shape.to_vec(), kept: vec![true; len] };
        let all = scores.iter().map(|(name, shape, values)| (name.to_owned(), of(shape, values.len())));
        let masks = Masks { by_name: all.collect() };
        masks.keep_largest(scores, (share * masks.len() as f64).round() as usize)
    }

    /// Prunes this share of what is left, the numbers of the smallest scores; what is pruned stays so.
    ///
    /// Shares outside [0, 1], scores that are no number and scores of other weights are refused.
    pub fn prune_share(&self, scores: &Scores, share: f64) -> Result<Self> {
        check_share(share)?;
        let pruned = (share * self.kept() as f64).round() as usize;
        self.keep_largest(scores, self.kept() - pruned)
    }

    /// Keeps so many of what is left, those of the largest scores; all, where fewer are left.
    ///
    /// Scores that are no number and scores of other weights are refused. Cost: linear in the numbers of all weights.
    pub fn keep_largest(&self, scores: &Scores, count: usize) -> Result<Self> {
        let (mut left, mut all) = (Vec::new(), 0);
        for (name, mask) in &self.by_name {
            let values = scores.get(name).filter(|values| values.len() == mask.kept.len());
            let values = values.ok_or_else(|| Error::config("masks", format!("no scores for {name}")))?;
            if let Some(place) = values.iter().position(|value| value.is_nan()) {
                return Err(Error::config("masks", format!("the score of {name}, number {place}, is no number")));
            }
            let kept = (0..values.len()).filter(|place| mask.kept[*place]);
            left.extend(kept.map(|place| (values[place], all + place)));
            all += values.len();
        }
        if count < left.len() {
            // Of equal scores the first comes first.
            left.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            left.truncate(count);
        }
        let mut kept = vec![false; all];
        left.into_iter().for_each(|(_, place)| kept[place] = true);
        let mut masks = self.clone();
        let mut rest = &kept[..];
        for mask in masks.by_name.values_mut() {
            let (own, others) = rest.split_at(mask.kept.len());
            mask.kept.copy_from_slice(own);
            rest = others;
        }
        Ok(masks)
    }

    /// Only those of the weights that `wanted` says of by name; the others are not pruned.
    pub fn only(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.by_name.retain(|name, _| wanted(name));
        self
    }

    /// As many numbers of each weight, at other places: the control that tells a mask from its sizes.
    pub fn shuffled(&self, seed: u64) -> Self {
        let mut generator = Generator(seed);
        let mut masks = self.clone();
        for mask in masks.by_name.values_mut() {
            for last in (1..mask.kept.len()).rev() {
                let other = (generator.unit() * (last + 1) as f64) as usize;
                mask.kept.swap(last, other);
            }
        }
        masks
    }

    /// Sets to 0 what is pruned. Parameters stay themselves: an optimiser goes on with them.
    ///
    /// Masks for a weight that the module lacks, or that has another shape there, are refused.
    pub fn apply<M: Module>(&self, module: M) -> Result<M> {
        let there = shapes(&module);
        for (name, mask) in &self.by_name {
            let found = there.get(name).ok_or_else(|| Error::config("masks", format!("the module has no {name}")))?;
            if *found != mask.shape {
                let problem = format!("{name} is {found:?} in the module, {:?} in the mask", mask.shape);
                return Err(Error::config("masks", problem));
            }
        }
        Ok(module.map(&mut Apply { masks: self, place: Place::default() }))
    }

    /// Sets to 0 the gradients of what is pruned: an optimiser's step then leaves those numbers as they are, weight decay
    /// apart. So movement pruning keeps what may come back.
    pub fn hold_back<M: Module>(&self, module: &M, gradients: GradientsParams) -> GradientsParams {
        let mut held = HoldBack { masks: self, place: Place::default(), gradients };
        module.visit(&mut held);
        held.gradients
    }

    /// The mask of the weight that a visitor is at, if that is pruned.
    fn at(&self, place: &Place, shape: &[usize]) -> Option<&Mask> {
        self.by_name.get(&place.name()).filter(|_| place.is_pruned(shape))
    }

    /// What is left of the weight of this name.
    pub fn get(&self, name: &str) -> Option<&[bool]> {
        self.by_name.get(name).map(|mask| mask.kept.as_slice())
    }

    /// Names, and how many numbers of the weight are left, of how many.
    pub fn iter(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        let count = |mask: &Mask| mask.kept.iter().filter(|kept| **kept).count();
        self.by_name.iter().map(move |(name, mask)| (name.as_str(), count(mask), mask.kept.len()))
    }

    /// Numbers that are left.
    pub fn kept(&self) -> usize {
        self.iter().map(|(_, kept, _)| kept).sum()
    }

    /// All numbers, pruned or not.
    pub fn len(&self) -> usize {
        self.iter().map(|(_, _, all)| all).sum()
    }

    /// Whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn check_share(share: f64) -> Result<()> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(Error::config("masks", format!("a share of {share} is not in [0, 1]")))
}

struct Apply<'a> {
    masks: &'a Masks,
    place: Place,
}

impl ModuleMapper for Apply<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(mask) = self.masks.at(&self.place, &param.shape().to_vec()) else { return param };
        param.map(|weight| {
            let learns = weight.is_require_grad();
            mask.cleared(weight).detach().set_require_grad(learns)
        })
    }
}

struct HoldBack<'a> {
    masks: &'a Masks,
    place: Place,
    gradients: GradientsParams,
}

impl ModuleVisitor for HoldBack<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(mask) = self.masks.at(&self.place, &param.shape().to_vec()) else { return };
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, mask.cleared(gradient));
        }
    }
}

impl Mask {
    /// 0 in the place of what is pruned: filled and not multiplied, which would leave -0 and what is no number.
    fn cleared<const D: usize>(&self, numbers: Tensor<D>) -> Tensor<D> {
        let pruned: Vec<bool> = self.kept.iter().map(|kept| !kept).collect();
        let pruned = Tensor::<D, Bool>::from_data(TensorData::new(pruned, numbers.shape()), &numbers.device());
        numbers.mask_fill(pruned, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Chain, Mixed, mixed, small};
    use super::super::{magnitude, random};
    use super::*;
    use crate::hadamard::check::{numbers, wave};
    use burn::optim::AdamConfig;
    use burn::tensor::Device;
    use burn_store::{ModuleSnapshot, SafetensorsStore};

    #[test]
    fn magnitudes_keep_what_pytorch_keeps() {
        // a, b = nn.Linear(3, 4), nn.Linear(4, 2), filled as golden values are
        // prune.global_unstructured([(a, 'weight'), (b, 'weight')], prune.L1Unstructured, amount=12)
        // a.weight_mask.t(), b.weight_mask.t()
        let masks = Masks::keep_share(&magnitude(&small(&Device::flex())), 0.4).expect("a share");
        let ones = |name| masks.get(name).expect("there").iter().map(|kept| u8::from(*kept)).collect::<Vec<_>>();
        assert_eq!(ones("layers.0.weight"), [0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1]);
        assert_eq!(ones("layers.1.weight"), [0, 0, 1, 1, 0, 1, 0, 0]);
    }

    #[test]
    fn a_share_is_kept_exactly_also_where_scores_are_equal() {
        let chain = small(&Device::flex());
        for kept in 0..=20 {
            let share = f64::from(kept) / 20.0;
            assert_eq!(Masks::keep_share(&magnitude(&chain), share).expect("a share").kept(), kept as usize);
        }
        // No gradients at all: every score is 0, and the first names and places stay.
        let equal = Scores::of(super::super::weights(&chain, None), |weight, place| weight.gradient[place]);
        let masks = Masks::keep_share(&equal, 0.7).expect("a share");
        let first = |n| move |place: usize| place < n;
        let wanted = |n: usize, len: usize| (0..len).map(first(n)).collect::<Vec<_>>();
        assert_eq!(masks.get("layers.0.weight").expect("there"), wanted(12, 12));
        assert_eq!(masks.get("layers.1.weight").expect("there"), wanted(2, 8));
    }

    #[test]
    fn rounds_take_a_share_of_what_is_left_and_revive_nothing() {
        let chain = small(&Device::flex());
        let mut masks = Masks::all(&chain);
        let mut counts = Vec::new();
        for seed in 0..4 {
            // Scores of another kind each round: what is pruned must stay so by the mask alone.
            let next = masks.prune_share(&random(&chain, seed), 0.2).expect("a share");
            for name in ["layers.0.weight", "layers.1.weight"] {
                let (old, new) = (masks.get(name).expect("there"), next.get(name).expect("there"));
                assert!(old.iter().zip(new).all(|(old, new)| *old || !new), "{name}");
            }
            masks = next;
            counts.push(masks.kept());
        }
        assert_eq!(counts, [16, 13, 10, 8]);
    }

    #[test]
    fn only_weights_under_the_mask_change_and_zeros_are_positive() {
        let device = Device::flex();
        let net = mixed(&device);
        let masks = Masks::keep_share(&magnitude(&net), 0.3).expect("a share");
        let pruned = masks.apply(net.clone()).expect("its own");
        let others = |net: &Mixed| {
            let bias = net.stem.bias.as_ref().expect("a bias").val();
            [numbers(net.depthwise.weight.val()), numbers(net.words.weight.val()), numbers(bias)].concat()
        };
        assert_eq!(others(&pruned), others(&net));
        let (before, after) = (numbers(net.stem.weight.val()), numbers(pruned.stem.weight.val()));
        let kept = masks.get("stem.weight").expect("there");
        for ((before, after), kept) in before.iter().zip(&after).zip(kept) {
            assert_eq!(after.to_bits(), if *kept { before.to_bits() } else { 0 });
        }
    }

    #[test]
    fn applied_again_behind_each_step_they_hold_while_the_rest_learns() {
        let device = Device::flex().autodiff();
        let mut chain = small(&device);
        let masks = Masks::keep_share(&magnitude(&chain), 0.5).expect("a share");
        chain = masks.apply(chain).expect("its own");
        let start = numbers(chain.layers[0].weight.val());
        let mut optimiser = AdamConfig::new().init();
        let x = wave([8, 3], 0.9, &device);
        for _ in 0..3 {
            let grads = chain.forward(x.clone()).square().mean().backward();
            let grads = GradientsParams::from_grads(grads, &chain);
            chain = optimiser.step(0.1, chain, grads);
            let revived = Masks::of(&chain).kept();
            chain = masks.apply(chain).expect("its own");
            assert!(revived > 10, "the step gives pruned weights a value: {revived} of 20");
            assert_eq!(Masks::of(&chain), masks);
        }
        assert_ne!(numbers(chain.layers[0].weight.val()), start);
    }

    #[test]
    fn some_weights_alone_share_a_count_and_the_others_stay() {
        let device = Device::flex();
        let chain = small(&device);
        let masks = Masks::all(&chain).only(|name| name.starts_with("layers.1"));
        assert_eq!((masks.len(), masks.kept()), (8, 8));
        let masks = masks.keep_largest(&magnitude(&chain), 3).expect("its own scores");
        let pruned = masks.apply(chain.clone()).expect("its own");
        assert_eq!(numbers(pruned.layers[0].weight.val()), numbers(chain.layers[0].weight.val()));
        assert_eq!(numbers(pruned.layers[1].weight.val()).iter().filter(|weight| **weight != 0.0).count(), 3);
    }

    #[test]
    fn gradients_that_are_held_back_leave_what_is_pruned_as_it_is() {
        let device = Device::flex().autodiff();
        let dense = small(&device);
        let masks = Masks::keep_share(&magnitude(&dense), 0.4).expect("a share");
        let masked = masks.apply(dense.clone()).expect("its own");
        let grads = masked.forward(wave([8, 3], 0.9, &device)).square().sum().backward();
        let pulls = [0, 1].map(|index: usize| numbers(masked.layers[index].weight.grad(&grads).expect("it learns")));
        let held = masks.hold_back(&masked, GradientsParams::from_grads(grads, &masked));
        let stepped = AdamConfig::new().init().step(0.1, dense.clone(), held);
        let mut held_back = 0;
        for (index, name) in ["layers.0.weight", "layers.1.weight"].into_iter().enumerate() {
            let weight = |chain: &Chain| numbers(chain.layers[index].weight.val());
            let (before, after) = (weight(&dense), weight(&stepped));
            for (place, kept) in masks.get(name).expect("there").iter().enumerate() {
                // A kept weight of a unit that nothing comes out of is not pulled either.
                let pulled = pulls[index][place] != 0.0;
                assert_eq!(before[place] != after[place], *kept && pulled, "{name}, number {place}");
                held_back += usize::from(pulled && !kept);
            }
        }
        assert!(held_back > 0, "no pruned weight would have moved");
    }

    #[test]
    fn frozen_weights_stay_frozen_and_others_learn() {
        let device = Device::flex().autodiff();
        let mut chain = Chain::new(&[3, 4, 2], true, &device);
        chain.layers[0] = chain.layers[0].clone().no_grad();
        let masks = Masks::keep_share(&magnitude(&chain), 0.8).expect("a share");
        let chain = masks.apply(chain).expect("its own");
        let grads = chain.forward(Tensor::ones([2, 3], &device)).sum().backward();
        assert!(chain.layers[0].weight.grad(&grads).is_none());
        assert!(chain.layers[1].weight.grad(&grads).is_some());
    }

    #[test]
    fn saved_and_loaded_they_are_the_same() {
        let device = Device::flex();
        let net = mixed(&device);
        let masks = Masks::keep_share(&random(&net, 7), 0.25).expect("a share");
        let net = masks.apply(net).expect("its own");
        let mut store = SafetensorsStore::from_bytes(None);
        net.save_into(&mut store).expect("saves");
        let mut store = SafetensorsStore::from_bytes(Some(store.get_bytes().expect("bytes")));
        let mut fresh = mixed(&device);
        assert_ne!(Masks::of(&fresh), masks);
        fresh.load_from(&mut store).expect("loads");
        assert_eq!(Masks::of(&fresh), masks);
    }

    #[test]
    fn shuffled_they_keep_as_many_of_each_weight() {
        let chain = small(&Device::flex());
        let masks = Masks::keep_share(&magnitude(&chain), 0.4).expect("a share");
        let shuffled = masks.shuffled(5);
        assert_ne!(shuffled, masks);
        assert_eq!(shuffled, masks.shuffled(5));
        assert_ne!(shuffled, masks.shuffled(6));
        assert_eq!(shuffled.iter().collect::<Vec<_>>(), masks.iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let device = Device::flex();
        let chain = small(&device);
        let masks = Masks::all(&chain);
        let refused = |error: Error| error.to_string();
        let other = masks.apply(Chain::new(&[3, 4], true, &device)).expect_err("a layer fewer");
        assert_eq!(refused(other), "masks: the module has no layers.1.weight");
        let other = masks.apply(Chain::new(&[3, 5, 2], true, &device)).expect_err("wider");
        assert_eq!(refused(other), "masks: layers.0.weight is [3, 5] in the module, [3, 4] in the mask");
        let share = Masks::keep_share(&magnitude(&chain), 1.5).expect_err("more than all");
        assert_eq!(refused(share), "masks: a share of 1.5 is not in [0, 1]");
        let fewer = magnitude(&Chain::new(&[3, 4], true, &device));
        assert_eq!(refused(masks.prune_share(&fewer, 0.1).expect_err("fewer")), "masks: no scores for layers.1.weight");
        let unknown = Scores::of(super::super::weights(&chain, None), |_, _| f64::NAN);
        let unknown = Masks::keep_share(&unknown, 0.5).expect_err("no numbers");
        assert_eq!(refused(unknown), "masks: the score of layers.0.weight, number 0, is no number");
    }
}
