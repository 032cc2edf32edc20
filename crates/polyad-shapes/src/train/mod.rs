//! Training a VSFormer on a folder of classes.
//!
//! ```text
//! folder --Dataset--> shapes --Cache--> View Sets --stage 1--> initializer --stage 2--> VSFormer, the epoch that
//!                                                                                      validation likes best
//! ```
//!
//! A run is a function of its recipe and the shapes: it may be stopped at any time, even killed, and goes on with the
//! same numbers from its last state, a few seconds old.

mod cache;
mod dataset;
mod features;
mod lessons;
pub(crate) mod loss;
mod pictures;
pub mod prune;
mod recipe;
mod run;
mod stages;
pub(crate) mod state;

use crate::error::{Error, Result};
use crate::job::Job;
use crate::model::{Definition, Header, InputNormalisation, Model};
use crate::source::{Failure, Source};
use crate::states::{self, States, Stored};
use crate::vsformer::{ViewClassifier, VsFormer};
use crate::whole_file;
use burn::module::Module;
use features::Features;
use lessons::{Lessons, Sample, adamw};
use polyad_nn::blocked::Precision;
use run::{Clock, Run};
use state::Position;
use std::path::Path;
use std::time::Duration;

pub use cache::{Cache, Key, Turn};
pub use dataset::{Dataset, Item};
pub use recipe::{Recipe, Schedule, TrainOptions};
pub use state::Epoch;

/// The least time between two states.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// What a run gives.
#[derive(Debug)]
pub struct Trained {
    /// The network of the epoch that validation likes best; its file is written.
    pub model: Model,
    /// All epochs, in order.
    pub curve: Vec<Epoch>,
    /// The chosen epoch of stage 2.
    pub best: Epoch,
    /// Shapes that were learnt from, and that validated.
    pub shapes: (usize, usize),
    /// What could not be read.
    pub failures: Vec<Failure>,
}

/// Trains on `dir` and writes the model to `out`.
///
/// The state lies in `OUT.train/` until the model is written; pictures in `OUT.cache/`, or where the options say. A state
/// of an earlier run is never discarded: without `resume`, or with another recipe or other shapes, it is an error.
///
/// # Cost
/// Ours, on two cores: about 350 views of 96 x 96 a second in stage 1.
pub fn train(dir: &Path, out: &Path, options: &TrainOptions, job: Job) -> Result<Trained> {
    let mut recipe = Recipe::new(options)?;
    let states = States::of(out);
    let stored: Option<Stored<Position>> = states.begin(options.resume, job)?;
    let data = Dataset::open(dir, recipe.seed, job)?;
    data.check_trainable()?;
    recipe.architecture.classes = Some(data.classes.len());
    let shapes = digest(&data);
    if let Some(stored) = &stored {
        check_same(&stored.position, &recipe, &shapes, states.folder())?;
    }

    let folder = options.cache.clone().unwrap_or_else(|| whole_file::beside(out, ".cache"));
    let cache = Cache::open(&folder, &recipe.render)?;
    let mut failures = data.failures.clone();
    let turns = turns(&recipe);
    let (train, learnt) = samples(&cache, &data.train, &turns, &mut failures, job)?;
    let (validation, validating) = samples(&cache, &data.validation, &turns, &mut failures, job)?;
    check_readable(&train, &data)?;

    let Beginning { network: begin, input, sees } = beginning(&recipe)?;
    let position = stored.as_ref().map_or_else(|| first_position(&recipe, shapes), |s| s.position.clone());
    let mut run = Run {
        lessons: Lessons {
            recipe: &recipe,
            cache: &cache,
            features: sees.filter(|_| recipe.freeze).map(|sees| Features::open(&folder, &sees)),
            input,
            train: &train,
            seed: recipe.seed,
            job,
        },
        validation: &validation,
        states: &states,
        best: stored.as_ref().map_or(Ok(None), |stored| stored.best())?,
        clock: Clock::going_on_after(position.seconds, options.save_every.unwrap_or(SAVE_EVERY)),
        position,
    };
    let network = learn(&mut run, begin, stored.as_ref())?;

    let best = run.position.best.clone();
    let (Some(best), Some(weights)) = (best, run.best.take()) else {
        return Err(Error::Model("no epoch was finished".into()));
    };
    let network = states::restore(network, weights.to_vec())?;
    let curve = run.position.curve.clone();
    let mut header = Header::new(recipe.architecture.clone(), recipe.render.clone(), Some(data.classes.clone()));
    header.input = input;
    let timeless_curve: Vec<serde_json::Value> = curve.iter().map(timeless).collect();
    header.training = serde_json::json!({ "recipe": recipe, "curve": timeless_curve, "best": timeless(&best) });
    let definition = Definition::new(network, header)?;
    definition.save(out)?;
    states.clear()?;
    let model = definition.into_model()?;
    Ok(Trained { model, curve, best, shapes: (learnt, validating), failures })
}

/// An epoch for the model's file, which must not depend on how long it took.
fn timeless(epoch: &Epoch) -> serde_json::Value {
    let mut value = serde_json::json!(epoch);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("seconds");
    }
    value
}

/// All stages, from where the run is.
fn learn(run: &mut Run<'_>, begin: VsFormer, stored: Option<&Stored<Position>>) -> Result<VsFormer> {
    let device = Lessons::device();
    let recipe = run.lessons.recipe;
    let classes = recipe.architecture.classes.unwrap_or_default();
    device.seed(run.random(5, 0).next());
    let mut network = begin;
    // Only the stage that was interrupted goes on with an optimizer that has been used.
    let mut stored = stored;
    if run.position.stage == 1 {
        let fresh = ViewClassifier::new(network.initializer.clone(), recipe.architecture.dim, classes, &device);
        let (views, optimizer) = match stored.take() {
            Some(stored) => (stored.network(fresh)?, stored.optimizer(run.sgd())?),
            None => (fresh, run.sgd()),
        };
        network.initializer = run.stage1(views, optimizer)?.initializer;
        run.next_stage(&network)?;
    }
    let frozen = recipe.stage2_frozen || recipe.freeze;
    for (stage, schedule, frozen) in [
        (2, (recipe.stage2.clone(), recipe.stage2_batch), frozen),
        (3, (recipe.refining.clone(), recipe.refining_batch), false),
    ] {
        if run.position.stage != stage {
            continue;
        }
        let optimizer = match stored.take() {
            Some(stored) => {
                network = stored.network(network)?;
                stored.optimizer(adamw())?
            }
            None => adamw(),
        };
        network = run.sets(network, optimizer, schedule, frozen)?;
        if stage == 2 && recipe.refining.epochs > 0 {
            run.next_stage(&network)?;
        }
    }
    Ok(network)
}

/// What a run begins with.
struct Beginning {
    /// A fresh network, with the initializer of the model that the recipe begins with.
    network: VsFormer,
    /// How its pixels become numbers.
    input: InputNormalisation,
    /// What tells that model's image network from others.
    sees: Option<String>,
}

fn beginning(recipe: &Recipe) -> Result<Beginning> {
    let device = Lessons::device();
    device.seed(recipe.seed);
    let mut network = recipe.architecture.init(&device)?;
    if recipe.bfloat16 {
        network.initializer.backbone = network.initializer.backbone.with_precision(Precision::Bfloat16);
    }
    // Burn draws weights when they are first looked at. Looked at now, they follow from the seed alone, and not from what a
    // run has drawn by the time that it comes to them, which is less if it was stopped before.
    states::record(&network)?;
    let Some(path) = &recipe.begin else { return Ok(Beginning { network, input: recipe.input, sees: None }) };
    let model = Definition::named(path)?;
    let begin = model.network().initializer.clone().train();
    if model.header().architecture.dim == recipe.architecture.dim {
        network.initializer = states::restore(network.initializer, states::record(&begin)?.to_vec())?;
    } else {
        // The projection to another width is still to be learnt.
        let weights = states::record(&begin.backbone)?;
        network.initializer.backbone = states::restore(network.initializer.backbone, weights.to_vec())?;
    }
    Ok(Beginning { network, input: model.header().input, sees: Some(model.image_network()?) })
}

fn first_position(recipe: &Recipe, shapes: String) -> Position {
    Position {
        recipe: recipe.clone(),
        shapes,
        stage: if recipe.freeze || recipe.stage1.epochs == 0 { 2 } else { 1 },
        epoch: 0,
        step: 0,
        loss: 0.0,
        batches: 0,
        curve: Vec::new(),
        best: None,
        seconds: 0.0,
    }
}

/// The turns of a shape that is learnt from.
fn turns(recipe: &Recipe) -> Vec<Turn> {
    let turned = (0..recipe.rotations as u64).map(|k| Turn::Random { seed: recipe.seed, k });
    std::iter::once(Turn::AsIs).chain(turned).collect()
}

/// The View Sets of shapes in all turns, and the number of shapes. Those that cannot be read are listed.
fn samples(
    cache: &Cache,
    items: &[Item],
    turns: &[Turn],
    failures: &mut Vec<Failure>,
    job: Job,
) -> Result<(Vec<Sample>, usize)> {
    let sources: Vec<&Source> = items.iter().map(|item| &item.source).collect();
    let (mut found, mut shapes) = (Vec::new(), 0);
    for (item, keys) in items.iter().zip(cache.fill(&sources, turns, job)?) {
        match keys {
            Ok(keys) => {
                found.extend(keys.into_iter().map(|key| Sample { key, class: item.class }));
                shapes += 1;
            }
            Err(error) => failures.push(Failure { path: item.source.path.clone(), error: error.reason() }),
        }
    }
    Ok((found, shapes))
}

fn check_readable(train: &[Sample], data: &Dataset) -> Result<()> {
    match (0..data.classes.len()).find(|class| train.iter().all(|sample| sample.class != *class)) {
        Some(class) => Err(Error::Invalid(format!("class {:?}: none of its shapes can be read", data.classes[class]))),
        None => Ok(()),
    }
}

fn digest(data: &Dataset) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut text = |text: &str| {
        hasher.update(text.as_bytes()).update(&[0]);
    };
    data.classes.iter().for_each(|class| text(class));
    for part in [&data.train, &data.validation] {
        text("part");
        part.iter().for_each(|item| text(&item.source.path));
    }
    hasher.finalize().to_hex().to_string()
}

/// Refuses to go on with another recipe or other shapes, naming what differs. Options come first: the seed decides which shapes
/// are learnt from, and a recipe knows how many classes they have.
fn check_same(stored: &Position, recipe: &Recipe, shapes: &str, folder: &Path) -> Result<()> {
    let options = recipe.differences(&stored.recipe);
    let what = if !options.is_empty() {
        format!("had other options ({})", options.join("; "))
    } else if stored.shapes != shapes {
        "had other shapes".to_owned()
    } else if stored.recipe != *recipe {
        "had another recipe, of another version of polyad".to_owned()
    } else {
        return Ok(());
    };
    let folder = folder.display();
    Err(Error::Invalid(format!("{folder}: that run {what}; resume it as it was begun, or remove the folder")))
}
