//! A network of any kind in one file: safetensors whose metadata hold a header, as JSON, and a checksum.
//!
//! ```text
//! { "__metadata__": { KIND: header, "checksum": BLAKE3 of KIND, header and the bytes of all tensors }, name: {..}, .. }
//! ```

use crate::error::{Error, Result};
use burn::module::Module;
use burn_store::{ModuleSnapshot, SafetensorsStore};
use polyad_shapes::whole_file;
use safetensors::SafeTensors;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

const CHECKSUM: &str = "checksum";

/// Writes a network, whole or not at all.
pub fn save<M: Module>(path: &Path, kind: &str, header: &impl Serialize, network: &M) -> Result<()> {
    let wrong = |why: &dyn ToString| Error::file(path, why.to_string());
    let text = serde_json::to_string(header).map_err(|why| wrong(&why))?;
    let bytes = |checksum: &str| -> Result<Vec<u8>> {
        let store = SafetensorsStore::from_bytes(None).clear_metadata();
        let mut store = store.metadata(kind, text.as_str()).metadata(CHECKSUM, checksum);
        network.save_into(&mut store).map_err(|why| wrong(&why))?;
        store.get_bytes().map_err(|why| wrong(&why))
    };
    let unsigned = bytes("")?;
    let checksum = checksum(kind, &text, tensors(&unsigned).map_err(|why| wrong(&why))?);
    whole_file::write(path, &bytes(&checksum)?)?;
    Ok(())
}

/// A file whose header has been read and whose checksum is right.
pub struct NetworkFile<H> {
    /// What the file says of its network.
    pub header: H,
    bytes: Vec<u8>,
}

impl<H: DeserializeOwned> NetworkFile<H> {
    /// Reads a file. What is damaged, truncated or of another kind is refused, and told apart.
    pub fn open(path: &Path, kind: &str) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|why| Error::file(path, why))?;
        let damaged = |why: &dyn ToString| Error::file(path, format!("truncated or damaged: {}", why.to_string()));
        if bytes.get(8) != Some(&b'{') {
            return Err(Error::file(path, "no safetensors file"));
        }
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|why| damaged(&why))?;
        let said = metadata.metadata().clone().unwrap_or_default();
        let Some(text) = said.get(kind) else {
            let kinds: Vec<&str> = said.keys().map(String::as_str).filter(|key| *key != CHECKSUM).collect();
            return Err(Error::file(path, format!("holds {:?}, not {kind}", kinds.join(", "))));
        };
        let found = checksum(kind, text, tensors(&bytes).map_err(|why| damaged(&why))?);
        let wanted = said.get(CHECKSUM).map(String::as_str).unwrap_or_default();
        if found != wanted {
            return Err(damaged(&format!("its checksum is {wanted:?}, that of its content {found}")));
        }
        let header = serde_json::from_str(text).map_err(|why| damaged(&why))?;
        Ok(NetworkFile { header, bytes })
    }

    /// The weights, put into a network that was made by the header's sizes.
    pub fn load<M: Module>(self, path: &Path, mut fresh: M) -> Result<M> {
        // What is missing is said below, in fewer words.
        let mut store = SafetensorsStore::from_bytes(Some(self.bytes)).allow_partial(true);
        let result = fresh.load_from(&mut store).map_err(|why| Error::file(path, why))?;
        if let Some((name, _)) = result.missing.first() {
            return Err(Error::file(path, format!("without {name}: another version of polyad has written it")));
        }
        Ok(fresh)
    }
}

/// The bytes of all tensors, in the order of the file.
fn tensors(file: &[u8]) -> Result<&[u8], safetensors::SafeTensorError> {
    let (length, _) = SafeTensors::read_metadata(file)?;
    Ok(&file[(8 + length).min(file.len())..])
}

fn checksum(kind: &str, header: &str, tensors: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [kind.as_bytes(), header.as_bytes(), tensors] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    fn linear() -> Linear {
        LinearConfig::new(3, 2).init(&Device::flex())
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("net");
        let network = linear();
        save(&path, "polyad-test", &vec![3, 2], &network).expect("writes");
        let file = NetworkFile::<Vec<usize>>::open(&path, "polyad-test").expect("reads");
        assert_eq!(file.header, [3, 2]);
        let loaded = file.load(&path, linear()).expect("loads");
        assert_eq!(loaded.weight.to_data(), network.weight.to_data());
        let file = NetworkFile::<Vec<usize>>::open(&path, "polyad-test").expect("reads");
        let error = file.load(&path, vec![linear(), linear()]).expect_err("two layers").to_string();
        assert!(error.contains("another version"), "{error}");

        let error = NetworkFile::<Vec<usize>>::open(&path, "polyad-other").err().expect("another kind").to_string();
        assert!(error.contains("polyad-test") && error.contains("polyad-other"), "{error}");
        let mut bytes = std::fs::read(&path).expect("reads");
        for cut in [0, 4, 20, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).expect("writes");
            assert!(NetworkFile::<Vec<usize>>::open(&path, "polyad-test").is_err(), "cut at {cut}");
        }
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, &bytes).expect("writes");
        let error = NetworkFile::<Vec<usize>>::open(&path, "polyad-test").err().expect("damaged").to_string();
        assert!(error.contains("checksum"), "{error}");
    }
}
