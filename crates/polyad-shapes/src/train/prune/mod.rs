//! Pruning a trained network: which weights it can do without, by any of the methods of
//! [`pruning`](polyad_nn::hadamard::modulation::pruning).
//!
//! ```text
//! from the model's weights                     random, magnitude     mask, learn under it
//!                                              movement              learn, and the mask with it
//! from fresh weights, as the model once began  random-fresh, snip, synflow     mask, learn under it
//!                                              lottery               learn, mask, go back to an early step; again and again
//! ```
//!
//! Thresholds are global, over the weights of linear layers and convolutions that the model's own training has changed: an
//! image network that was frozen then is neither pruned nor learns now. Every method ends in the same lessons under the same
//! schedule, movement's masks among them; the network is the one after the last, so that nothing is chosen by any split.

mod learner;

use super::lessons::{Lessons, Sample};
use super::recipe::{Recipe, Schedule};
use super::{Cache, Dataset, Features, Item, check_readable, samples, turns};
use crate::error::{Error, Result};
use crate::evaluate::{EvaluateOptions, look};
use crate::job::Job;
use crate::model::{Definition, IMAGE_NETWORK, Model};
use crate::random::Random;
use crate::source::Failure;
use crate::states::{record, restore};
use crate::vsformer::VsFormer;
use burn::tensor::Tensor;
use learner::Learner;
use polyad_nn::blocked::Precision;
use polyad_nn::hadamard::modulation::pruning::{Masks, Snapshot, magnitude, random, snip, synflow};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Rounds of SynFlow, as published.
const SYNFLOW_ROUNDS: usize = 100;
/// What a round of the lottery keeps at least. (The paper keeps .8, and trains five times as often for it.)
const LOTTERY_KEEPS: f64 = 0.4;
/// The share of the steps behind which the lottery's early network is taken.
const EARLY: f64 = 0.1;
/// Steps without learning after which batch norms have forgotten the network that was not pruned: .9 to this power is .005.
const CALIBRATION: usize = 50;

/// How it is decided which weights go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Method {
    /// At random: the control of the two after it.
    Random,
    /// The smallest.
    Magnitude,
    /// Those that learning moves towards 0.
    Movement,
    /// At random, of a fresh network: the control of those that follow.
    RandomFresh,
    /// Those of a fresh network that change the loss of one batch least.
    Snip,
    /// Those of a fresh network that least flows through.
    SynFlow,
    /// The smallest after learning; what is left goes back to an early step, round by round.
    Lottery,
}

impl Method {
    /// All, in the order of reports.
    pub const ALL: [Method; 7] =
        [Self::Random, Self::Magnitude, Self::Movement, Self::RandomFresh, Self::Snip, Self::SynFlow, Self::Lottery];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Magnitude => "magnitude",
            Self::Movement => "movement",
            Self::RandomFresh => "random-fresh",
            Self::Snip => "snip",
            Self::SynFlow => "synflow",
            Self::Lottery => "lottery",
        }
    }

    /// The method of that name.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Invalid(format!("no method is called {name:?}; known: {known}"))
        })
    }

    /// Whether it begins with the model's weights, not with fresh ones.
    pub fn keeps_weights(self) -> bool {
        matches!(self, Self::Random | Self::Magnitude | Self::Movement)
    }
}

impl TryFrom<String> for Method {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::parse(&name)
    }
}

impl From<Method> for &'static str {
    fn from(method: Method) -> Self {
        method.name()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A model and the shapes that it is pruned on, ready for any number of runs.
pub struct Pruning {
    model: Definition,
    recipe: Recipe,
    cache: Cache,
    folder: PathBuf,
    train: Vec<Sample>,
    /// What the image network says of them, where it stays as it is.
    features: Option<Vec<Vec<f32>>>,
    test: Vec<Item>,
    epochs: usize,
    failures: Vec<Failure>,
}

/// A network that was pruned.
pub struct Pruned {
    /// Ready to be written: what was pruned is 0, and takes a bit of the file.
    pub model: Definition,
    /// What is left of each weight.
    pub masks: Masks,
}

impl Pruning {
    /// Reads the shapes that a model learnt from, draws them where `cache` does not hold them yet, and, where its image
    /// network was frozen, computes what that says of them, once.
    ///
    /// # Errors
    /// A model that has no classes, other ones than the folder, or was not trained by polyad; a folder that cannot be learnt
    /// from, or in which there is nothing to test.
    pub fn open(dir: &Path, model: Definition, epochs: usize, cache: &Path, job: Job) -> Result<Self> {
        let header = model.header();
        header.named_classes()?;
        let recipe = header.training.get("recipe").cloned().unwrap_or_default();
        let recipe: Recipe = serde_json::from_value(recipe).map_err(|_| {
            Error::Model(
                "its file holds no recipe to learn by: `polyad train --initializer` begins with any model".into(),
            )
        })?;
        let data = Dataset::open(dir, recipe.seed, job)?;
        data.check_trainable()?;
        header.check_classes(&data.classes)?;
        let test = data.split("test")?;
        let store = Cache::open(cache, &header.render)?;
        let mut failures = data.failures.clone();
        let (train, _) = samples(&store, &data.train, &turns(&recipe), &mut failures, job)?;
        check_readable(&train, &data)?;
        let mut pruning = Pruning {
            recipe,
            cache: store,
            folder: cache.to_owned(),
            train,
            features: None,
            test,
            epochs,
            failures,
            model,
        };
        if pruning.recipe.freeze {
            let features = Features::open(cache, &pruning.model.image_network()?);
            let lessons = Lessons { features: Some(features), ..pruning.lessons(0, job) };
            pruning.features = Some(lessons.all_features(pruning.model.network(), &pruning.train)?);
        }
        Ok(pruning)
    }

    /// The model that is pruned.
    pub fn model(&self) -> &Definition {
        &self.model
    }

    /// Whether the image network stays as it is.
    pub fn is_frozen(&self) -> bool {
        self.features.is_some()
    }

    /// View Sets that are learnt from, and shapes that are tested.
    pub fn counts(&self) -> (usize, usize) {
        (self.train.len(), self.test.len())
    }

    /// What could not be read.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// A digest of what the runs learn from.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.model.header().checksum.as_bytes()).update(format!("{:?}", self.train).as_bytes());
        self.test.iter().for_each(|item| {
            hasher.update(item.source.path.as_bytes()).update(&[0]);
        });
        hasher.finalize().to_hex().to_string()
    }

    /// The share of the test split that a model classifies rightly, as [`evaluate`](crate::evaluate::evaluate) measures it.
    pub fn accuracy(&self, model: &Model, job: Job) -> Result<f64> {
        let options = EvaluateOptions { cache: Some(self.folder.clone()), ..EvaluateOptions::default() };
        let seen = look(&self.test, model, &options, &mut Vec::new(), job)?;
        if seen.is_empty() {
            return Err(Error::Invalid("split \"test\" has no shapes that can be read".into()));
        }
        let right = seen.iter().filter(|seen| seen.predicted == Some(seen.item.class)).count();
        Ok(right as f64 / seen.len() as f64)
    }

    /// Prunes this share of the weights by a method. The outcome is a function of the arguments, the model and its shapes.
    ///
    /// # Errors
    /// A share outside [0, 1); lessons that diverge; no lessons at all for a method that needs some.
    pub fn prune(&self, method: Method, sparsity: f64, seed: u64, job: Job) -> Result<Pruned> {
        if !(0.0..1.0).contains(&sparsity) {
            return Err(Error::Invalid(format!("a sparsity of {sparsity} is not in [0, 1)")));
        }
        if self.epochs == 0 && !matches!(method, Method::Random | Method::Magnitude) {
            return Err(Error::Invalid(format!("0 epochs: {method} needs lessons; random and magnitude do without")));
        }
        let learner = self.learner(seed, job);
        let begin = if method.keeps_weights() { self.again(seed)? } else { self.fresh(seed)? };
        let all = Masks::all(&begin).only(|name| self.features.is_none() || !name.starts_with(IMAGE_NETWORK));
        let count = ((1.0 - sparsity) * all.len() as f64).round() as usize;
        let (network, masks) = match method {
            Method::Random | Method::RandomFresh => {
                let masks = all.keep_largest(&random(&begin, Random::new(seed, 1).next()), count)?;
                (learner.learn(begin, &masks)?, masks)
            }
            Method::Magnitude => {
                let masks = all.keep_largest(&magnitude(&begin), count)?;
                (learner.learn(begin, &masks)?, masks)
            }
            Method::Movement => learner.learn_masks(begin, all, count)?,
            Method::Snip => {
                let gradients = learner.loss(&begin, 0)?.backward();
                let masks = all.keep_largest(&snip(&begin, &gradients), count)?;
                (learner.learn(begin, &masks)?, masks)
            }
            Method::SynFlow => {
                let share = count as f64 / all.len().max(1) as f64;
                let masks = synflow(&begin, &all, share, SYNFLOW_ROUNDS, |network| self.flow(network))?;
                (learner.learn(begin, &masks)?, masks)
            }
            Method::Lottery => Self::lottery(&learner, begin, all, count)?,
        };
        let mut header = self.model.header().clone();
        header.polyad = env!("CARGO_PKG_VERSION").into();
        let pruning = serde_json::json!({
            "of": header.checksum, "method": method, "sparsity": sparsity, "seed": seed, "epochs": self.epochs,
        });
        if let Some(training) = header.training.as_object_mut() {
            training.insert("pruning".into(), pruning);
        }
        Ok(Pruned { model: Definition::new(network, header)?, masks })
    }

    /// Frankle and Carbin, arXiv 1803.03635; going back to an early step: Frankle et al., arXiv 1912.05671.
    fn lottery(learner: &Learner<'_>, begin: VsFormer, all: Masks, count: usize) -> Result<(VsFormer, Masks)> {
        let early = (EARLY * learner.steps() as f64).round() as usize;
        let mut network = learner.learn_steps(begin, 0..early, &all)?;
        let ticket = Snapshot::of(&network);
        let share = count as f64 / all.len().max(1) as f64;
        let rounds = (share.max(f64::MIN_POSITIVE).ln() / LOTTERY_KEEPS.ln()).ceil().max(1.0);
        let mut masks = all;
        let all = masks.len() as f64;
        for round in 1..=rounds as usize {
            network = learner.learn_steps(network, early..learner.steps(), &masks)?;
            let kept = (share.powf(round as f64 / rounds) * all).round() as usize;
            masks = masks.keep_largest(&magnitude(&network), kept)?;
            network = ticket.restore(network)?;
        }
        let network = learner.learn_steps(network, early..learner.steps(), &masks)?;
        Ok((network, masks))
    }

    fn lessons<'a>(&'a self, seed: u64, job: Job<'a>) -> Lessons<'a> {
        Lessons {
            recipe: &self.recipe,
            cache: &self.cache,
            features: None,
            input: self.model.header().input,
            train: &self.train,
            seed,
            job,
        }
    }

    /// AdamW at the rate of the recipe's stage 2, warmed up over a tenth, fallen as a cosine. A whole network sees as many
    /// View Sets at once as when it is refined.
    fn learner<'a>(&'a self, seed: u64, job: Job<'a>) -> Learner<'a> {
        let Recipe { freeze, stage2_frozen, stage2_batch, refining_batch, .. } = self.recipe;
        let (epochs, rate) = (self.epochs, self.recipe.stage2.rate);
        Learner {
            lessons: self.lessons(seed, job),
            features: self.features.as_deref(),
            schedule: Schedule { epochs, rate, warm_up: epochs as f64 / 10.0, cycle: epochs, decay: 1.0 },
            batch: if stage2_frozen && !freeze { refining_batch } else { stage2_batch }.max(1),
        }
    }

    /// A network with first weights, but for an image network that is not to learn.
    fn fresh(&self, seed: u64) -> Result<VsFormer> {
        let device = Lessons::device();
        device.seed(Random::new(seed, 0).next());
        let mut network = self.model.header().architecture.init(&device)?;
        // Weights are drawn when they are first looked at.
        record(&network)?;
        let backbone = &mut network.initializer.backbone;
        if self.is_frozen() {
            let own = record(&self.model.network().initializer.backbone)?;
            *backbone = restore(backbone.clone(), own.to_vec())?;
        } else if self.recipe.bfloat16 {
            *backbone = backbone.clone().with_precision(Precision::Bfloat16);
        }
        Ok(network)
    }

    /// The model's network with running statistics of its own, to learn again.
    fn again(&self, seed: u64) -> Result<VsFormer> {
        restore(self.fresh(seed)?, record(self.model.network())?.to_vec())
    }

    /// What reaches the scores from an input of ones.
    fn flow(&self, network: &VsFormer) -> Tensor<2> {
        let device = Lessons::device();
        let initializer = &network.initializer;
        let view = if self.is_frozen() {
            initializer.project(Tensor::ones([1, self.recipe.architecture.features()], &device))
        } else {
            let size = self.recipe.render.size;
            initializer.forward(Tensor::ones([1, 3, size, size], &device))
        };
        network.flow(view).expect("a model with classes")
    }
}
