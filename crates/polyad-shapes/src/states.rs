//! What a long run needs to go on after it was stopped, even by `kill -9`.
//!
//! `MODEL.train/` holds numbered folders, each a whole state: written under another name, then renamed, then the older
//! ones removed. The newest complete one counts.

use crate::error::{Error, Result};
use crate::job::Job;
use crate::whole_file;
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
    model: PathBuf,
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
        States { model: model.to_owned(), folder: whole_file::beside(model, ".train") }
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
        let path = folder.join(POSITION);
        let position = serde_json::from_slice(&read(&path)?).map_err(|error| damaged(&path, error))?;
        Ok(Some(Stored { position, folder }))
    }

    /// What a run begins from: the newest state, if it is to `resume`. Where there is none though the model is, which a run
    /// that is over leaves, the user is warned.
    ///
    /// # Errors
    /// A state that nobody asked to go on from: it is never discarded.
    pub fn begin<P: DeserializeOwned>(&self, resume: bool, job: Job) -> Result<Option<Stored<P>>> {
        let stored = self.newest()?;
        if stored.is_some() && !resume {
            let folder = self.folder.display();
            return Err(Error::Invalid(format!(
                "{folder}: an unfinished run; go on with --resume, or remove the folder"
            )));
        }
        if stored.is_none() && resume && self.model.exists() {
            let model = self.model.display();
            let said = format!("{model}: no unfinished run to go on with, the model is there: training begins anew");
            job.reporter().warn(&said);
        }
        Ok(stored)
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
        let path = self.folder.join(NETWORK);
        restore(fresh, read(&path)?).map_err(|error| damaged(&path, error))
    }

    /// The optimizer as it was.
    pub fn optimizer(&self, fresh: ModuleOptimizer) -> Result<ModuleOptimizer> {
        let path = self.folder.join(OPTIMIZER);
        fresh.from_bytes(Bytes::from_bytes_vec(read(&path)?)).map_err(|error| damaged(&path, error))
    }

    /// The best weights so far, if the run keeps them.
    pub fn best(&self) -> Result<Option<Bytes>> {
        let path = self.folder.join(BEST);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = read(&path)?;
        // They are wanted when the run ends: too late to find out then.
        ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes.clone())).map_err(|error| damaged(&path, error))?;
        Ok(Some(Bytes::from_bytes_vec(bytes)))
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

/// A file of a state in `MODEL.train/` that cannot be read, and what to do.
fn damaged(path: &Path, error: impl std::fmt::Display) -> Error {
    let states = path.ancestors().nth(2).unwrap_or(path);
    Error::Model(format!("{}: damaged ({error}); remove {} to begin anew", path.display(), states.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::{Device, Tensor};

    #[test]
    fn a_state_that_is_cut_short_is_named_with_what_to_do() {
        let root = tempfile::tempdir().expect("a folder");
        let states = States::of(&root.path().join("model"));
        let device = Device::flex().autodiff();
        let fresh = || LinearConfig::new(3, 2).init(&device);
        let begun = || AdamWConfig::new().init();
        let (network, mut optimizer): (Linear, ModuleOptimizer) = (fresh(), begun());
        let loss = network.forward(Tensor::<2>::ones([1, 3], &device)).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        let network = optimizer.step(0.1, network, gradients);
        let weights = record(&network).expect("weights");
        states.save(&"here".to_owned(), weights.clone(), &optimizer, Some(&weights)).expect("a state");

        let read = || -> Result<()> {
            let stored = states.newest::<String>()?.expect("a state");
            stored.network(fresh())?;
            stored.optimizer(begun())?;
            stored.best().map(|best| assert!(best.is_some()))
        };
        read().expect("it is whole");
        for name in [POSITION, NETWORK, OPTIMIZER, BEST] {
            let path = states.folder().join("0").join(name);
            let whole = fs::read(&path).expect("a file of the state");
            for length in [0, whole.len() / 2, whole.len() - 1] {
                fs::write(&path, &whole[..length]).expect("a file");
                let message = read().expect_err("a torn state").to_string();
                let (file, advice) = (path.display().to_string(), format!("remove {} to", states.folder().display()));
                assert!(message.contains(&file) && message.contains(&advice), "{name}, {length} bytes: {message}");
            }
            fs::write(&path, whole).expect("a file");
        }
        read().expect("it is whole again");
    }
}
