//! Reading and writing model files.
//!
//! ```text
//! safetensors: 8 bytes length of a JSON text, the text, the tensors
//! its text:    { "__metadata__": { "polyad": "HEADER" }, name: { dtype, shape, data_offsets }, ... }
//! HEADER:      JSON of a `Header`, `checksum` first
//! checksum:    BLAKE3 of HEADER with 64 zeros for its checksum, then of each tensor by name: name, dtype, shape, bytes
//! ```
//!
//! Specification of the outer format: <https://github.com/huggingface/safetensors>. The file is mapped into memory, so that its
//! weights are copied once, to where they are used.

use super::header::{Header, Precision};
use super::weights::{self, Layout, Stored};
use super::{Definition, first_names, map};
use crate::error::{Error, Result};
use crate::whole_file;
use burn::tensor::{Device, TensorData};
use burn_store::bridge;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

/// The key of the header in the file's metadata.
const KEY: &str = "polyad";
/// The longest text that safetensors allows.
const LONGEST_HEADER: u64 = 100_000_000;
const NO_CHECKSUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Definition {
    /// Writes the model, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        let tensors = weights::tensors(&self.network, self.header.precision)?;
        let views: Vec<(&str, TensorView<'_>)> = tensors
            .iter()
            .map(|(name, data)| {
                let view = TensorView::new(dtype(self.header.precision, data), data.shape().to_vec(), data.as_bytes());
                Ok((name.as_str(), view.map_err(|error| Error::Model(format!("{name}: {error}")))?))
            })
            .collect::<Result<_>>()?;
        let metadata = HashMap::from([(KEY.to_owned(), json(&self.header)?)]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| Error::Model(error.to_string()))?;
        whole_file::write(path, &bytes)
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
        let mut tensors = BTreeMap::new();
        let mut hasher = begin_checksum(&text, &header.checksum);
        let mut entries = file.tensors();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, view) in entries {
            hash_tensor(&mut hasher, &name, view.dtype(), view.shape(), view.data());
            tensors.insert(name, view);
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
        let stored: Vec<Stored> =
            tensors.into_iter().map(|(name, view)| to_stored(name, &view)).collect::<Result<_>>()?;
        weights::apply(&mut network, stored, Layout::Burn)?;
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

/// The digest of a header, whatever checksum it bears, and of weights.
pub(super) fn checksum(header: &Header, tensors: &BTreeMap<String, TensorData>) -> Result<String> {
    let text = json(&Header { checksum: NO_CHECKSUM.into(), ..header.clone() })?;
    let mut hasher = begin_checksum(&text, NO_CHECKSUM);
    for (name, data) in tensors {
        hash_tensor(&mut hasher, name, dtype(header.precision, data), data.shape().as_slice(), data.as_bytes());
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

/// How a tensor is stored: see [`Precision`].
fn dtype(precision: Precision, data: &TensorData) -> Dtype {
    if precision == Precision::F16 && data.shape().num_dims() > 1 { Dtype::F16 } else { Dtype::F32 }
}

fn to_stored(name: String, view: &TensorView<'_>) -> Result<Stored> {
    use burn::tensor::{Bytes, DType, Shape};
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        other => return Err(Error::Model(format!("{name} is stored as {other:?}; F32 and F16 are known"))),
    };
    let bytes = Bytes::from_bytes_vec(view.data().to_vec());
    let data = TensorData::try_from_bytes(bytes, Shape::from(view.shape().to_vec()), dtype)
        .map_err(|error| Error::Model(format!("{name}: {error}")))?;
    Ok(bridge::from_data(data, name, None))
}
