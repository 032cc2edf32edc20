//! What a long run needs to go on after it was stopped, even by `kill -9`.
//!
//! `MODEL.train/` holds numbered folders, each a whole state: written under another name, then renamed, then the older
//! ones removed. The newest complete one counts.

use crate::error::{Error, Result};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder of states.
#[derive(Debug)]
pub struct States {
    folder: PathBuf,
}

/// A state that was read.
pub struct Stored<P> {
    /// Where the run was.
    pub position: P,
    folder: PathBuf,
}

const POSITION: &str = "position.json";
const NETWORK: &str = "network.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const BEST: &str = "best.bpk";

impl States {
    /// The states of a run that will write this file.
    pub fn of(model: &Path) -> Self {
        let mut name = model.file_name().unwrap_or_default().to_owned();
        name.push(".train");
        States { folder: model.with_file_name(name) }
    }

    /// Where they are.
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

    /// The newest complete state, if there is any.
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

    /// Removes all states: the model is written. Each loses its number first, the newest last, so that a process killed in
    /// between leaves no state that lacks a file.
    pub fn clear(&self) -> Result<()> {
        for (number, folder) in self.complete()? {
            let done_with = self.folder.join(format!("unfinished-{number}"));
            fs::rename(&folder, done_with).map_err(|error| Error::io(&folder, error))?;
        }
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&self.folder, error)),
            _ => Ok(()),
        }
    }
}

impl<P> Stored<P> {
    /// The network as it was.
    pub fn network<M: Module>(&self, fresh: M) -> Result<M> {
        restore(fresh, read(&self.folder.join(NETWORK))?)
    }

    /// The optimizer as it was.
    pub fn optimizer(&self, fresh: ModuleOptimizer) -> Result<ModuleOptimizer> {
        let bytes = Bytes::from_bytes_vec(read(&self.folder.join(OPTIMIZER))?);
        fresh.from_bytes(bytes).map_err(|error| damaged(&self.folder, error))
    }

    /// The best weights so far, if the run keeps them.
    pub fn best(&self) -> Result<Option<Bytes>> {
        let path = self.folder.join(BEST);
        if path.exists() { Ok(Some(Bytes::from_bytes_vec(read(&path)?))) } else { Ok(None) }
    }
}

/// The weights of a network, running statistics brought up to date.
pub fn record<M: Module>(network: &M) -> Result<Bytes> {
    let _up_to_date = network.valid();
    network.clone().into_record().into_bytes().map_err(|error| Error::Model(error.to_string()))
}

/// The inverse of [`record`].
pub fn restore<M: Module>(fresh: M, bytes: Vec<u8>) -> Result<M> {
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes));
    record.and_then(|record| fresh.try_load_record(record)).map_err(|error| Error::Model(error.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io(path, error))
}

fn damaged(folder: &Path, error: impl std::fmt::Display) -> Error {
    Error::Model(format!("{}: {error}", folder.display()))
}
