//! A network's numbers at one time, to go back to.

use super::Place;
use crate::error::{Error, Result};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

/// All numbers of a network by their names: weights, biases, norms, and running statistics.
///
/// A clone of a module is no snapshot: clones share their running statistics, which training then changes in both. For a
/// lottery ticket, `masks.apply(snapshot.restore(network)?)`; the optimiser and its schedule must go back too.
#[derive(Debug, Clone)]
pub struct Snapshot {
    by_name: BTreeMap<String, TensorData>,
}

impl Snapshot {
    /// Copies the numbers.
    pub fn of<M: Module>(module: &M) -> Self {
        let mut copy = Copy { place: Place::default(), by_name: BTreeMap::new() };
        settled(module).visit(&mut copy);
        Snapshot { by_name: copy.by_name }
    }

    /// Sets a network's numbers to those of the snapshot. Parameters stay themselves.
    ///
    /// A network with other names or shapes is refused.
    pub fn restore<M: Module>(&self, module: M) -> Result<M> {
        // On a device that learns, batch norms may hold a batch that they have not yet mixed in, and would later.
        let module = if is_learning(&module) { settled(&module).train() } else { module };
        let mut there = Copy { place: Place::default(), by_name: BTreeMap::new() };
        module.visit(&mut there);
        let shapes = |numbers: &BTreeMap<String, TensorData>| {
            numbers.iter().map(|(name, data)| (name.clone(), data.shape().to_vec())).collect::<Vec<_>>()
        };
        let (found, wanted) = (shapes(&there.by_name), shapes(&self.by_name));
        if found != wanted {
            let other = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
            let problem = match other {
                Some((found, wanted)) => format!("{found:?} in the network, {wanted:?} in the snapshot"),
                None => format!("{} parameters in the network, {} in the snapshot", found.len(), wanted.len()),
            };
            return Err(Error::config("snapshot", problem));
        }
        Ok(module.map(&mut Restore { place: Place::default(), numbers: &self.by_name }))
    }
}

fn is_learning<M: Module>(module: &M) -> bool {
    module.devices().iter().any(|device| device.is_autodiff())
}

/// The network with running statistics of its own, into which all batches are mixed.
fn settled<M: Module>(module: &M) -> M {
    module.valid()
}

struct Copy {
    place: Place,
    by_name: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Copy {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.by_name.insert(self.place.name(), param.base().into_data());
    }
}

struct Restore<'a> {
    place: Place,
    numbers: &'a BTreeMap<String, TensorData>,
}

impl ModuleMapper for Restore<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(data) = self.numbers.get(&self.place.name()) else { return param };
        param.map(|old| {
            let learns = old.is_require_grad();
            Tensor::from_data(data.clone(), (&old.device(), old.dtype())).set_require_grad(learns)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Chain, mixed};
    use super::super::{Masks, magnitude};
    use super::*;
    use crate::hadamard::check::numbers;
    use crate::norm::{BatchNorm, BatchNormConfig};
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::{Device, Distribution};

    #[derive(Module, Debug)]
    struct Normed {
        linear: Linear,
        bn: BatchNorm,
    }

    impl Normed {
        fn new(device: &Device) -> Self {
            let bn = BatchNormConfig::new(4).init(device).expect("channels");
            Normed { linear: LinearConfig::new(3, 4).init(device), bn }
        }

        fn forward(&self, x: Tensor<2>) -> Tensor<2> {
            self.bn.forward(self.linear.forward(x))
        }
    }

    fn train(mut net: Normed, steps: usize, device: &Device) -> Normed {
        let mut optimiser = SgdConfig::new().init();
        for _ in 0..steps {
            let x = Tensor::random([16, 3], Distribution::Normal(1.0, 2.0), device);
            let grads = GradientsParams::from_grads(net.forward(x).powf_scalar(4.0).mean().backward(), &net);
            net = optimiser.step(0.1, net, grads);
        }
        net
    }

    #[test]
    fn a_ticket_has_the_early_numbers_under_the_late_mask() {
        let device = Device::flex().autodiff();
        // Step 2, not step 0: the running statistics are those of two batches.
        let early = train(Normed::new(&device), 2, &device);
        let snapshot = Snapshot::of(&early);
        let (weight, mean) = (numbers(early.linear.weight.val()), numbers(early.valid().bn.running_mean.value()));
        let (bias, id) = (numbers(early.linear.bias.as_ref().expect("a bias").val()), early.linear.weight.id);

        let late = train(early, 5, &device);
        assert_ne!(numbers(late.linear.weight.val()), weight);
        // Without a look that would mix in the last batch.
        assert_ne!(numbers(late.bn.running_mean.value()), mean);
        let masks = Masks::keep_share(&magnitude(&late), 0.5).expect("a share");
        let ticket = masks.apply(snapshot.restore(late).expect("the same network")).expect("its own");

        let kept = masks.get("linear.weight").expect("there");
        let wanted: Vec<f64> = weight.iter().zip(kept).map(|(w, kept)| if *kept { *w } else { 0.0 }).collect();
        assert_eq!(numbers(ticket.linear.weight.val()), wanted);
        assert_eq!(numbers(ticket.linear.bias.as_ref().expect("a bias").val()), bias);
        // Also after whatever was still to be mixed in.
        assert_eq!(numbers(ticket.valid().bn.running_mean.value()), mean);
        assert_eq!(ticket.linear.weight.id, id);

        let again = train(ticket, 1, &device);
        assert_ne!(numbers(again.linear.weight.val()), wanted, "the ticket learns");
    }

    #[test]
    fn all_kinds_of_parameters_come_back() {
        let device = Device::flex();
        let (net, other) = (mixed(&device), mixed(&device));
        let all = |net| {
            let data = Snapshot::of(net).by_name.into_values();
            data.flat_map(|data| data.convert::<f64>().try_into_vec::<f64>().expect("floats")).collect::<Vec<_>>()
        };
        let restored = Snapshot::of(&net).restore(other).expect("the same network");
        assert_eq!(all(&restored), all(&net));
    }

    #[test]
    fn another_network_is_refused() {
        let device = Device::flex();
        let snapshot = Snapshot::of(&Chain::new(&[3, 4, 2], false, &device));
        let error = snapshot.restore(Chain::new(&[3, 5, 2], false, &device)).expect_err("wider");
        let wanted =
            r#"snapshot: ("layers.0.weight", [3, 5]) in the network, ("layers.0.weight", [3, 4]) in the snapshot"#;
        assert_eq!(error.to_string(), wanted);
        let error = snapshot.restore(Chain::new(&[3, 4], false, &device)).expect_err("a layer fewer");
        assert_eq!(error.to_string(), "snapshot: 1 parameters in the network, 2 in the snapshot");
    }
}
