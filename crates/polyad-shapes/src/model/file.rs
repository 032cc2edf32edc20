//! Reading and writing model files.
//!
//! ```text
//! safetensors: 8 bytes length of a JSON text, the text, the tensors
//! its text:    { "__metadata__": { "polyad": "HEADER" }, name: { dtype, shape, data_offsets }, ... }
//! tensor:      F32 or F16; or U8, `[length]`: a bitmap and the numbers that are not 0, where that is shorter (format 2)
//! HEADER:      JSON of a `Header`, `checksum` first
//! checksum:    BLAKE3 of HEADER with 64 zeros for its checksum, then of each tensor by name: name, dtype, shape, bytes
//! ```
//!
//! Specification of the outer format: <https://github.com/huggingface/safetensors>. The file is mapped into memory, so that its
//! weights are copied once, to where they are used.

use super::header::{Header, Precision};
use super::stored::{self, Entry};
use super::weights::{self, Layout};
use super::{Definition, first_names, map};
use crate::error::{Error, Result};
use crate::whole_file;
use burn::tensor::{Device, TensorData};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

/// The key of the header in the file's metadata.
const KEY: &str = "polyad";
/// The longest text that safetensors allows.
const LONGEST_HEADER: u64 = 100_000_000;
/// What is stored, by name.
type Entries<'a> = BTreeMap<&'a str, Entry<'a>>;

const NO_CHECKSUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Definition {
    /// Writes the model, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        whole_file::write(path, &self.to_bytes()?)
    }

    /// The bytes of its file. Cost: the weights are read and copied once.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let tensors = weights::tensors(&self.network, self.header.precision)?;
        write(&self.header, &entries(&tensors, self.header.precision)?)
    }

    /// Reads a model. What is damaged, truncated, foreign, or newer than this version is refused, and told apart.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = map::read_only(path)?;
        Self::from_bytes(&bytes).map_err(|error| error.in_file(path.display().to_string()))
    }

    /// Reads a model from the bytes of its file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let text = header_text(bytes)?;
        let header = read_header(&text)?;
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let tensors: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
        let mut hasher = begin_checksum(&text, &header.checksum);
        for (name, view) in &tensors {
            hash_tensor(&mut hasher, name, view.dtype(), view.shape(), view.data());
        }
        let found = hasher.finalize().to_hex();
        if header.checksum != found.as_str() {
            return Err(Error::Model(format!(
                "damaged: its checksum is {}, that of its content {found}",
                header.checksum
            )));
        }
        header.check()?;

        let mut network = header.architecture.init(&Device::flex())?;
        let missing: Vec<_> = weights::parameters(&network)
            .into_iter()
            .filter(|parameter| !tensors.contains_key(&parameter.name))
            .map(|parameter| parameter.name)
            .collect();
        if !missing.is_empty() {
            return Err(Error::Model(format!("without {}", first_names(&missing))));
        }
        let weights = tensors.into_iter().map(|(name, view)| {
            let numbers = stored::numbers(&name, &view)?;
            Ok(weights::named(name, numbers))
        });
        weights::apply(&mut network, weights.collect::<Result<_>>()?, Layout::Burn)?;
        Ok(Definition { header, network })
    }
}

/// Whether these are the first bytes of a safetensors file.
pub(super) fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

/// Whether a safetensors file is a model of ours, sound or not.
pub(super) fn is_model(path: &Path) -> Result<bool> {
    let mut text = Vec::new();
    let mut file = std::fs::File::open(path).map_err(|error| Error::io(path, error))?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|error| Error::io(path, error))?;
    let length = u64::from_le_bytes(length).min(LONGEST_HEADER);
    file.take(length).read_to_end(&mut text).map_err(|error| Error::io(path, error))?;
    /// The part of the outer header that tells.
    #[derive(Deserialize)]
    struct Outer {
        #[serde(rename = "__metadata__", default)]
        metadata: HashMap<String, String>,
    }
    Ok(serde_json::from_slice::<Outer>(&text).is_ok_and(|outer| outer.metadata.contains_key(KEY)))
}

fn damaged(error: SafeTensorError) -> Error {
    Error::Model(format!("truncated or damaged: {error}"))
}

/// The JSON text of the header.
fn header_text(bytes: &[u8]) -> Result<String> {
    if !is_safetensors(bytes) {
        return Err(Error::Model("not a polyad model, nor any safetensors file".into()));
    }
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY)).cloned();
    text.ok_or_else(|| {
        Error::Model("a safetensors file, but no polyad model; `polyad import` makes one of a checkpoint".into())
    })
}

fn read_header(text: &str) -> Result<Header> {
    /// What every version has, so that a newer one is told apart from a damaged one.
    #[derive(Deserialize)]
    struct Origin {
        format: u32,
        polyad: String,
    }
    let unreadable = |error: serde_json::Error| Error::Model(format!("damaged: its header does not read: {error}"));
    let origin: Origin = serde_json::from_str(text).map_err(unreadable)?;
    if origin.format > Header::FORMAT {
        return Err(Header::newer(&origin.polyad, origin.format));
    }
    serde_json::from_str(text).map_err(unreadable)
}

/// A header, or what is copied of it, as JSON.
pub(super) fn json(header: &impl Serialize) -> Result<String> {
    serde_json::to_string(header).map_err(|error| Error::Model(format!("its header cannot be written: {error}")))
}

/// What a file of that precision holds of tensors, by name.
pub(super) fn entries(tensors: &BTreeMap<String, TensorData>, precision: Precision) -> Result<Entries<'_>> {
    tensors.iter().map(|(name, data)| Ok((name.as_str(), Entry::of(name, data, precision)?))).collect()
}

fn write(header: &Header, entries: &Entries<'_>) -> Result<Vec<u8>> {
    let views: Vec<_> = entries.iter().map(|(name, entry)| Ok((*name, entry.view(name)?))).collect::<Result<_>>()?;
    let metadata = HashMap::from([(KEY.to_owned(), json(header)?)]);
    safetensors::serialize(views, Some(metadata)).map_err(|error| Error::Model(error.to_string()))
}

/// The digest of a header, whatever checksum it bears, and of what is stored with it.
pub(super) fn checksum(header: &Header, entries: &Entries<'_>) -> Result<String> {
    let text = json(&Header { checksum: NO_CHECKSUM.into(), ..header.clone() })?;
    let mut hasher = begin_checksum(&text, NO_CHECKSUM);
    for (name, entry) in entries {
        hash_tensor(&mut hasher, name, entry.dtype, &entry.shape, &entry.bytes);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn begin_checksum(text: &str, own: &str) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    // The checksum comes first in the text, so the first occurrence is the field itself.
    let text = if own.is_empty() { text.to_owned() } else { text.replacen(own, NO_CHECKSUM, 1) };
    hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    hasher
}

fn hash_tensor(hasher: &mut blake3::Hasher, name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) {
    let description = format!("{name} {dtype:?} {shape:?}");
    hasher.update(&(description.len() as u64).to_le_bytes()).update(description.as_bytes());
    hasher.update_rayon(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::render::RenderSettings;
    use crate::vsformer::{BackboneKind, VsFormerConfig};
    use burn::module::Module;
    use polyad_nn::hadamard::modulation::pruning::{Masks, Number, encode, magnitude};
    use std::cell::Cell;

    /// A small network with a tenth of its weights, and its header.
    fn pruned(precision: Precision) -> Definition {
        let published = VsFormerConfig::published(BackboneKind::Small, None);
        let config = VsFormerConfig { layers: 1, heads: 2, dim: 16, ..published };
        let network = config.init(&Device::flex()).expect("small sizes");
        let masks = Masks::keep_share(&magnitude(&network), 0.1).expect("a share");
        let header = Header { precision, ..Header::new(config, RenderSettings::default(), None) };
        Definition::new(masks.apply(network).expect("its own"), header).expect("a header that fits")
    }

    /// The file of a definition, in which the bytes of each sparse tensor are changed, with a checksum that is right.
    fn changed(definition: &Definition, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let tensors = weights::tensors(&definition.network, definition.header.precision).expect("weights");
        let mut entries = entries(&tensors, definition.header.precision).expect("entries");
        for entry in entries.values_mut().filter(|entry| entry.is_sparse()) {
            change(entry.bytes.to_mut());
            entry.shape = vec![entry.bytes.len()];
        }
        let mut header = definition.header.clone();
        header.checksum = checksum(&header, &entries).expect("a checksum");
        write(&header, &entries).expect("bytes")
    }

    #[test]
    fn pruned_weights_take_their_share_of_bytes_and_come_back_to_the_bit() {
        for (precision, each) in [(Precision::F32, 4), (Precision::F16, 2)] {
            let definition = pruned(precision);
            assert_eq!(definition.header.format, 2, "a version that knows no sparse tensors must say so");
            let bytes = definition.to_bytes().expect("bytes");
            let read = Definition::from_bytes(&bytes).expect("its own bytes");
            assert_eq!(read.header, definition.header);
            let tensors = |definition: &Definition| weights::tensors(&definition.network, precision).expect("weights");
            assert!(tensors(&read) == tensors(&definition), "{precision:?}");
            assert!(read.to_bytes().expect("bytes") == bytes);
            // A bit and a tenth of a number for each weight; names, headers and what is not pruned take some 60 kB.
            let weights = definition.network.num_params();
            let most = weights / 8 + each * weights / 10 + 60_000;
            assert!(bytes.len() < most, "{} bytes in {precision:?}, at most {most}", bytes.len());
        }
    }

    #[test]
    fn sparse_tensors_that_are_damaged_are_refused_by_name_also_under_a_right_checksum() {
        let definition = pruned(Precision::F32);
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            Definition::from_bytes(&changed(&definition, change)).expect_err("damaged").to_string()
        };
        Definition::from_bytes(&changed(&definition, |_| {})).expect("nothing was changed");
        let message = refused(&|bytes| bytes[0] = b'Q');
        assert!(message.starts_with("model: ") && message.contains("weight: sparse tensor: byte 0"), "{message}");
        assert!(refused(&|bytes| bytes.truncate(bytes.len() - 1)).contains("sparse tensor"));
        assert!(refused(&|bytes| bytes.push(0)).contains("too many"));
        // Lengths that nothing stands behind.
        assert!(refused(&|bytes| bytes[6..14].fill(0xff)).contains("too many numbers"));
        // Sound, and of another shape than the network's.
        let other = encode(&[2, 2], &[1.0; 4], Number::Single).expect("encodes");
        let message = refused(&|bytes| *bytes = other.clone());
        assert!(message.contains("hape") && message.contains("weight"), "{message}");
    }

    #[test]
    fn sparse_tensors_of_broken_bytes_are_read_or_refused_and_never_panic() {
        let definition = pruned(Precision::F16);
        let mut random = Random::new(7, 0);
        let (mut refused, mut read) = (0, 0);
        for _ in 0..40 {
            let (at, byte) = (random.next() as usize, random.next() as u8);
            // Half of the blows fall on the beginning, where lengths are.
            let reach = if random.coin() { 32 } else { usize::MAX };
            // One tensor: of several one would always be hit where it shows.
            let (target, seen) = (random.next() as usize % 4, Cell::new(0));
            let broken = changed(&definition, |bytes| {
                if seen.replace(seen.get() + 1) == target {
                    let place = at % bytes.len().min(reach);
                    bytes[place] = byte;
                }
            });
            match Definition::from_bytes(&broken) {
                Ok(_) => read += 1,
                Err(Error::Model(_)) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused > 5 && read > 0, "{refused} refused, {read} read");
    }
}
