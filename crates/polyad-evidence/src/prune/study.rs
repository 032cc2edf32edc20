//! Every method at every sparsity: prune, learn, test once.

use crate::error::{Error, Result};
use polyad_shapes::job::Job;
use polyad_shapes::model::Definition;
use polyad_shapes::train::prune::{Method, Pruned, Pruning};
use polyad_shapes::whole_file;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// How it is decided what goes.
    pub methods: Vec<Method>,
    /// Shares of the weights that go.
    pub sparsities: Vec<f64>,
    /// Runs of each, with weights, orders and masks of their own.
    pub seeds: u64,
    /// Passes over the shapes after a mask.
    pub epochs: usize,
}

/// A weight and what is left of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its path of fields.
    pub name: String,
    /// Numbers that are left.
    pub kept: usize,
    /// Numbers in all.
    pub weights: usize,
}

/// A network pruned once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// How it was decided what goes.
    pub method: Method,
    /// The share that goes.
    pub sparsity: f64,
    /// Of weights, orders and masks.
    pub seed: u64,
    /// Share of the test split that is classified rightly.
    pub instance_accuracy: f64,
    /// Numbers that are left of those that could go.
    pub kept: usize,
    /// Numbers that could go.
    pub weights: usize,
    /// Of its file.
    pub bytes: usize,
    /// What is left, weight by weight.
    pub layers: Vec<Layer>,
}

/// The model before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dense {
    /// Share of the test split that is classified rightly.
    pub instance_accuracy: f64,
    /// Of its file.
    pub bytes: usize,
}

impl Dense {
    /// Measures the model of a pruning.
    pub fn of(pruning: &Pruning, job: Job) -> Result<Self> {
        let model = pruning.model().clone();
        let bytes = model.to_bytes()?.len();
        Ok(Dense { instance_accuracy: pruning.accuracy(&model.into_model()?, job)?, bytes })
    }
}

/// What a study comes to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The model before.
    pub dense: Dense,
    /// All trials.
    pub trials: Vec<Trial>,
}

/// A state on disk: trials so far, and of what.
#[derive(Debug, Serialize, Deserialize)]
struct Runs {
    study: Study,
    shapes: String,
    dense: Dense,
    trials: Vec<Trial>,
}

/// One trial, and the model that it gives.
pub fn trial(pruning: &Pruning, method: Method, sparsity: f64, seed: u64, job: Job) -> Result<(Trial, Definition)> {
    let Pruned { model, masks } = pruning.prune(method, sparsity, seed, job)?;
    let layer = |(name, kept, weights): (&str, usize, usize)| Layer { name: name.to_owned(), kept, weights };
    let trial = Trial {
        method,
        sparsity,
        seed,
        instance_accuracy: pruning.accuracy(&model.clone().into_model()?, job)?,
        kept: masks.kept(),
        weights: masks.len(),
        bytes: model.to_bytes()?.len(),
        layers: masks.iter().map(layer).collect(),
    };
    Ok((trial, model))
}

/// Tries all. `state` is a file in which trials are kept, so that a study that was stopped goes on.
///
/// # Errors
/// Where there is nothing to try, the state is of another study, or a trial fails.
pub fn study(pruning: &Pruning, study: &Study, state: &Path, job: Job) -> Result<Outcome> {
    if study.methods.is_empty() || study.sparsities.is_empty() || study.seeds == 0 {
        return Err(Error::Invalid("no method, no sparsity or no seed: nothing to try".into()));
    }
    let mut runs = begin(pruning, study, state, job)?;
    let all = study.seeds as usize * study.methods.len() * study.sparsities.len();
    job.reporter().begin("trials", all as u64);
    job.reporter().advance(runs.trials.len() as u64);
    for seed in 0..study.seeds {
        for method in &study.methods {
            for sparsity in &study.sparsities {
                let is_it = |trial: &Trial| (trial.method, trial.sparsity, trial.seed) == (*method, *sparsity, seed);
                if runs.trials.iter().any(is_it) {
                    continue;
                }
                runs.trials.push(trial(pruning, *method, *sparsity, seed, job)?.0);
                let text = serde_json::to_vec_pretty(&runs).map_err(|why| Error::file(state, why))?;
                whole_file::write(state, &text)?;
                job.reporter().advance(1);
            }
        }
    }
    job.reporter().end();
    Ok(Outcome { dense: runs.dense, trials: runs.trials })
}

fn begin(pruning: &Pruning, study: &Study, state: &Path, job: Job) -> Result<Runs> {
    let shapes = pruning.digest();
    if !state.exists() {
        return Ok(Runs { study: study.clone(), shapes, dense: Dense::of(pruning, job)?, trials: Vec::new() });
    }
    let text = std::fs::read(state).map_err(|why| Error::file(state, why))?;
    let runs: Runs = serde_json::from_slice(&text).map_err(|why| Error::file(state, why))?;
    if (&runs.study, &runs.shapes) != (study, &shapes) {
        return Err(Error::file(
            state,
            "trials of other settings, shapes or another model; name another folder, or remove it",
        ));
    }
    Ok(runs)
}
