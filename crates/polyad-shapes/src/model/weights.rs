//! The weights of a network by name, in and out.
//!
//! Names are the paths of fields, such as `encoder.blocks.0.attention.query.weight`; layouts are Burn's (`[input,
//! output]` for linear layers).

use super::header::Precision;
use crate::error::{Error, Result};
use crate::vsformer::{VsFormer, VsFormerConfig};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_store::{FloatCastAdapter, ModuleAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use std::collections::BTreeMap;

/// What the names of the image network's weights begin with.
pub(crate) const IMAGE_NETWORK: &str = "initializer.backbone.";

/// A tensor in transit; its bytes may not have been read yet.
pub(super) type Stored = burn_store::burn_pack::Tensor;

/// A parameter, or a running statistic, that a network has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    /// Path of fields.
    pub name: String,
    /// Shape in PyTorch's layout.
    pub torch_shape: Vec<usize>,
}

/// All parameters and running statistics of a network, without reading any.
pub(super) fn parameters(network: &VsFormer) -> Vec<Parameter> {
    #[derive(Default)]
    struct Names {
        path: Vec<String>,
        containers: Vec<String>,
        found: Vec<Parameter>,
    }
    impl ModuleVisitor for Names {
        fn enter_module(&mut self, name: &str, container: &str) {
            // The name of an enum's variant is no field.
            if !container.starts_with("Enum:") {
                self.path.push(name.into());
            }
            self.containers.push(container.into());
        }
        fn exit_module(&mut self, _: &str, container: &str) {
            if !container.starts_with("Enum:") {
                self.path.pop();
            }
            self.containers.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let mut torch_shape: Vec<usize> = param.lazy_shape().as_slice().to_vec();
            if self.containers.last().is_some_and(|container| container == "Struct:Linear") {
                torch_shape.reverse();
            }
            self.found.push(Parameter { name: self.path.join("."), torch_shape });
        }
    }
    let mut names = Names::default();
    network.visit(&mut names);
    names.found
}

/// Refuses a network that has not the sizes of its configuration.
pub(super) fn check_shapes(network: &VsFormer, config: &VsFormerConfig) -> Result<()> {
    let expected = parameters(&config.init(&Device::flex())?);
    let found = parameters(network);
    let missing = expected.iter().find(|parameter| !found.contains(parameter));
    let surplus = found.iter().find(|parameter| !expected.contains(parameter));
    match missing.or(surplus) {
        Some(parameter) => {
            Err(Error::Model(format!("its network is not of its architecture: {} differs", parameter.name)))
        }
        None => Ok(()),
    }
}

/// All weights of a network by name, as a file of that precision holds them.
pub(super) fn tensors(network: &VsFormer, precision: Precision) -> Result<BTreeMap<String, TensorData>> {
    let read = |stored: Stored| {
        let name = stored.name.clone();
        let data = bridge::into_data(stored).map_err(|error| Error::Model(format!("{name}: {error}")))?;
        let half = precision == Precision::F16 && data.shape().num_dims() > 1;
        Ok((name, data.convert_dtype(if half { DType::F16 } else { DType::F32 })))
    };
    network.collect(None, None, true).into_iter().map(read).collect()
}

/// The same, ready for [`apply`]. Each is copied.
pub(super) fn stored(tensors: &BTreeMap<String, TensorData>) -> Vec<Stored> {
    tensors.iter().map(|(name, data)| named(name.clone(), data.clone())).collect()
}

/// A tensor of that name, ready for [`apply`], as it is.
pub(super) fn named(name: String, data: TensorData) -> Stored {
    bridge::from_data(data, name, None)
}

/// Whose layout weights have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Burn,
    Torch,
}

/// Puts weights, named as [`parameters`] names them, into a network. Each that fails is named.
///
/// Parameters without a weight keep what they have; the caller checks names and shapes first.
pub(super) fn apply(network: &mut VsFormer, weights: Vec<Stored>, layout: Layout) -> Result<()> {
    let cast = FloatCastAdapter::to(DType::F32);
    let adapter: Box<dyn ModuleAdapter> = match layout {
        Layout::Burn => Box::new(cast),
        Layout::Torch => Box::new(PyTorchToBurnAdapter.chain(cast)),
    };
    let result = network.apply(weights, None, Some(adapter), true);
    if let Some(error) = result.errors.first() {
        return Err(Error::Model(error.to_string()));
    }
    match result.unused.first() {
        Some(name) => Err(Error::Model(format!("its network has no {name}"))),
        None => Ok(()),
    }
}
