//! What a model's file holds: a network as Burn's module, and its header.

use super::header::{Header, Precision};
use super::stored::Entry;
use super::{Model, file, weights};
use crate::error::Result;
use crate::vsformer::VsFormer;
use burn::module::Module;

/// A network that can be trained, written, and made ready for use.
///
/// [`Model`] is what uses a network: it keeps the image network's weights in the engine's order alone, so that only one
/// copy of them is in memory.
#[derive(Debug, Clone)]
pub struct Definition {
    pub(super) header: Header,
    pub(super) network: VsFormer,
}

impl Definition {
    /// Joins a network, in evaluation or in training, and its header. A header that does not fit the network is refused.
    ///
    /// Where the header wants half precision, the weights are rounded now, so that the network is what its file will hold.
    /// Cost: the weights are read once, for the checksum.
    pub fn new(network: VsFormer, mut header: Header) -> Result<Self> {
        header.check()?;
        // Running statistics are one update behind until `valid` brings them up to date.
        let mut network = network.valid();
        weights::check_shapes(&network, &header.architecture)?;
        let tensors = weights::tensors(&network, header.precision)?;
        if header.precision != Precision::F32 {
            weights::apply(&mut network, weights::stored(&tensors), weights::Layout::Burn)?;
        }
        let entries = file::entries(&tensors, header.precision)?;
        header.format = if entries.values().any(Entry::is_sparse) { 2 } else { 1 };
        header.checksum = file::checksum(&header, &entries)?;
        Ok(Definition { header, network })
    }

    /// Everything but the weights.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The network, without autodiff; `train()` of it gives one that can be trained.
    pub fn network(&self) -> &VsFormer {
        &self.network
    }

    /// A digest of the image network and of how it sees pixels: models that have both in common say the same of a view.
    pub(crate) fn image_network(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(file::json(&self.header.input)?.as_bytes());
        for (name, numbers) in weights::tensors(&self.network, Precision::F32)? {
            if name.starts_with(weights::IMAGE_NETWORK) {
                hasher.update(format!("{name} {:?}", numbers.shape()).as_bytes()).update(numbers.as_bytes());
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// The network, ready for use. Cost: the image network's weights are read and written once.
    pub fn into_model(self) -> Result<Model> {
        let VsFormer { initializer, encoder, head } = self.network;
        let engine = initializer.backbone.engine()?;
        Ok(Model { header: self.header, engine, projection: initializer.projection, encoder, head })
    }
}
