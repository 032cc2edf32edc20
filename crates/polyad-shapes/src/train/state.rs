//! Where a training run is.

use super::recipe::Recipe;
use serde::{Deserialize, Serialize};

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
