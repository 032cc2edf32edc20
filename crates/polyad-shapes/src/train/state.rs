//! What a run of either kind, training or distilling, needs to go on after it was stopped, even by `kill -9`.
//!
//! `MODEL.train/` holds numbered folders, each a whole state: written under another name, then renamed, then the older
//! ones removed. The newest complete one counts.

use super::recipe::Recipe;
use crate::error::{Error, Result};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What an epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// 1: views alone. 2: View Sets.
    pub stage: u8,
    /// Counted from 1 within its stage.
    pub epoch: usize,
    /// Mean loss on the training part, smoothed targets, as it was when each batch was seen.
    pub loss: f64,
    /// Mean loss on the validation part, smoothed likewise, if there is one.
    pub validation_loss: Option<f64>,
    /// Share of the validation part (views in stage 1, shapes in stage 2) that is classified rightly.
    pub validation_accuracy: Option<f64>,
    /// Seconds since the run began, stops not counted.
    pub seconds: f64,
}

/// Where a run is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Position {
    pub recipe: Recipe,
    /// A digest of the names and classes of the shapes.
    pub shapes: String,
    /// 1: views. 2: View Sets. 3: View Sets, refining the whole network.
    pub stage: u8,
    /// Finished epochs of the stage.
    pub epoch: usize,
    /// Finished steps of the epoch.
    pub step: usize,
    /// Loss and batches of the epoch so far.
    pub loss: f64,
    pub batches: usize,
    pub curve: Vec<Epoch>,
    /// The epoch of stage 2 that validation likes best.
    pub best: Option<Epoch>,
    pub seconds: f64,
}

/// A folder of states.
#[derive(Debug)]
pub(crate) struct States {
    folder: PathBuf,
}

/// A state that was read.
pub(crate) struct Stored<P> {
    pub position: P,
    folder: PathBuf,
}

const POSITION: &str = "position.json";
const NETWORK: &str = "network.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const BEST: &str = "best.bpk";

impl States {
    pub fn of(model: &Path) -> Self {
        let mut name = model.file_name().unwrap_or_default().to_owned();
        name.push(".train");
        States { folder: model.with_file_name(name) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The complete states, the newest last.
    fn complete(&self) -> Result<Vec<(u64, PathBuf)>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(&self.folder, error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::io(&self.folder, error))?;
            if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                found.push((number, entry.path()));
            }
        }
        found.sort();
        Ok(found)
    }

    pub fn newest<P: DeserializeOwned>(&self) -> Result<Option<Stored<P>>> {
        let Some((_, folder)) = self.complete()?.pop() else { return Ok(None) };
        let bytes = read(&folder.join(POSITION))?;
        let position = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Model(format!("{}: {error}", folder.join(POSITION).display())))?;
        Ok(Some(Stored { position, folder }))
    }

    /// Writes a state whole, then removes the older ones.
    pub fn save<P: Serialize>(
        &self,
        position: &P,
        network: Bytes,
        optimizer: &ModuleOptimizer,
        best: Option<&Bytes>,
    ) -> Result<()> {
        let older = self.complete()?;
        let number = older.last().map_or(0, |(number, _)| number + 1);
        let failed = |error| Error::io(&self.folder, error);
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let unfinished = tempfile::Builder::new().prefix("unfinished-").tempdir_in(&self.folder).map_err(failed)?;
        let text = serde_json::to_vec(position).map_err(|error| Error::Model(error.to_string()))?;
        let optimizer = optimizer.into_bytes().map_err(|error| Error::Model(error.to_string()))?;
        let mut files = vec![(POSITION, &text[..]), (NETWORK, &network[..]), (OPTIMIZER, &optimizer[..])];
        if let Some(best) = best {
            files.push((BEST, &best[..]));
        }
        for (name, bytes) in files {
            let path = unfinished.path().join(name);
            let write = || -> std::io::Result<()> {
                let mut file = fs::File::create(&path)?;
                std::io::Write::write_all(&mut file, bytes)?;
                file.sync_all()
            };
            write().map_err(|error| Error::io(&path, error))?;
        }
        let done = self.folder.join(number.to_string());
        fs::rename(unfinished.keep(), &done).map_err(|error| Error::io(&done, error))?;
        for (_, folder) in older {
            fs::remove_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
        }
        Ok(())
    }

    /// Removes all states: the model is written.
    pub fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&self.folder, error)),
            _ => Ok(()),
        }
    }
}

impl<P> Stored<P> {
    pub fn network<M: Module>(&self, fresh: M) -> Result<M> {
        restore(fresh, read(&self.folder.join(NETWORK))?)
    }

    pub fn optimizer(&self, fresh: ModuleOptimizer) -> Result<ModuleOptimizer> {
        let bytes = Bytes::from_bytes_vec(read(&self.folder.join(OPTIMIZER))?);
        fresh.from_bytes(bytes).map_err(|error| damaged(&self.folder, error))
    }

    pub fn best(&self) -> Result<Option<Bytes>> {
        let path = self.folder.join(BEST);
        if path.exists() { Ok(Some(Bytes::from_bytes_vec(read(&path)?))) } else { Ok(None) }
    }
}

/// The weights of a network, running statistics brought up to date.
pub(crate) fn record<M: Module>(network: &M) -> Result<Bytes> {
    let _up_to_date = network.valid();
    network.clone().into_record().into_bytes().map_err(|error| Error::Model(error.to_string()))
}

/// The inverse of [`record`].
pub(crate) fn restore<M: Module>(fresh: M, bytes: Vec<u8>) -> Result<M> {
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes));
    record.and_then(|record| fresh.try_load_record(record)).map_err(|error| Error::Model(error.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io(path, error))
}

fn damaged(folder: &Path, error: impl std::fmt::Display) -> Error {
    Error::Model(format!("{}: {error}", folder.display()))
}
