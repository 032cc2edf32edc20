//! Every fusion at every width: learn, choose the epoch on a part of the training pictures, test once.

use super::data::{Part, Question, Questions, question_only};
use super::network::{Answerer, Looker, PICTURE, QUESTION};
use crate::error::{Error, Result};
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use polyad_nn::hadamard::fusion::any::{FusionConfig, FusionKind};
use polyad_shapes::job::Job;
use polyad_shapes::random::Random;
use polyad_shapes::states::record;
use polyad_shapes::whole_file;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Widths of the plain product; the other fusions have about as many parameters.
    pub widths: Vec<usize>,
    /// Runs of each, with first weights and an order of their own.
    pub seeds: u64,
    /// Passes over the training questions with each fusion.
    pub epochs: usize,
    /// Passes over the training pictures that teach the eyes.
    pub eye_epochs: usize,
}

impl Default for Study {
    fn default() -> Self {
        Study { widths: vec![2, 4, 8, 16], seeds: 3, epochs: 20, eye_epochs: 8 }
    }
}

/// One fusion of one width, learnt once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its name.
    pub fusion: String,
    /// Of the plain product that has about as many parameters.
    pub width: usize,
    /// Of weights and order.
    pub seed: u64,
    /// Numbers of the fusion and what it ends in.
    pub parameters: usize,
    /// Share of test questions answered rightly.
    pub accuracy: f64,
    /// Share of those that say what, not whether.
    pub what_accuracy: f64,
}

/// What a study comes to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// All trials.
    pub trials: Vec<Trial>,
    /// What can be known without a picture: of all, of those that say what.
    pub question_only: [f64; 2],
    /// Of the network that taught the eyes, for each seed.
    pub eyes: Vec<f64>,
}

/// A state on disk: trials so far, and of what.
#[derive(Debug, Serialize, Deserialize)]
struct Runs {
    study: Study,
    questions: String,
    eyes: Vec<f64>,
    trials: Vec<Trial>,
}

/// One of so many training pictures chooses the epoch.
const VALIDATION: usize = 10;
/// Pictures a step, for the eyes, and questions a step, for a fusion.
const PICTURES: usize = 32;
const BATCH: usize = 128;
/// The highest rates of both; they fall as a cosine. That a word turns an answer round is learnt at high rates or late.
const EYE_RATE: f64 = 2e-3;
const RATE: f64 = 1e-2;
/// Pictures seen at once without gradients.
const AT_ONCE: usize = 250;

/// Tries every fusion. `state` is a file in which trials are kept, so that a study that was stopped goes on.
///
/// # Errors
/// Where the state is of another study, or a network cannot be made.
pub fn study(questions: &Questions, study: &Study, state: &Path, job: Job<'_>) -> Result<Outcome> {
    if study.widths.is_empty() || study.widths.contains(&0) || study.seeds == 0 || study.epochs * study.eye_epochs == 0
    {
        return Err(Error::Invalid(format!("{study:?}: nothing to try")));
    }
    let mut runs = begin(questions, study, state)?;
    let kinds = FusionKind::ALL;
    job.reporter().begin("fusions", study.seeds * (kinds.len() * study.widths.len()) as u64);
    job.reporter().advance(runs.trials.len() as u64);
    for seed in 0..study.seeds {
        let missing: Vec<(FusionKind, usize)> = kinds
            .into_iter()
            .flat_map(|kind| study.widths.iter().map(move |width| (kind, *width)))
            .filter(|(kind, width)| {
                let is_it =
                    |trial: &Trial| (trial.fusion.as_str(), trial.width, trial.seed) == (kind.name(), *width, seed);
                !runs.trials.iter().any(is_it)
            })
            .collect();
        if missing.is_empty() {
            continue;
        }
        let (seen, accuracy) = look(questions, study, seed, job)?;
        if runs.eyes.len() <= seed as usize {
            runs.eyes.push(accuracy);
        }
        for some in missing.chunks(rayon::current_num_threads()) {
            let trials = some.par_iter().map(|(kind, width)| {
                let trial = answer(questions, &seen, (*kind, *width), study, seed, job);
                job.reporter().advance(1);
                trial
            });
            runs.trials.extend(trials.collect::<Result<Vec<_>>>()?);
            let text = serde_json::to_vec_pretty(&runs).map_err(|why| Error::file(state, why))?;
            whole_file::write(state, &text)?;
        }
    }
    job.reporter().end();
    Ok(Outcome { trials: runs.trials, question_only: question_only(questions), eyes: runs.eyes })
}

fn begin(questions: &Questions, study: &Study, state: &Path) -> Result<Runs> {
    let mut hasher = blake3::Hasher::new();
    for part in [&questions.train, &questions.test] {
        hasher.update(format!("{:?}", part.questions).as_bytes());
        part.pictures.iter().for_each(|picture| {
            hasher.update(picture);
        });
    }
    let digest = hasher.finalize().to_hex().to_string();
    if !state.exists() {
        return Ok(Runs { study: study.clone(), questions: digest, eyes: Vec::new(), trials: Vec::new() });
    }
    let text = std::fs::read(state).map_err(|why| Error::file(state, why))?;
    let runs: Runs = serde_json::from_slice(&text).map_err(|why| Error::file(state, why))?;
    if (&runs.study, &runs.questions) != (study, &digest) {
        return Err(Error::file(state, "trials of other settings or questions; name another folder, or remove it"));
    }
    Ok(runs)
}

/// What the eyes see in all pictures: `[pictures, 64]`, of training and of test.
struct Seen {
    train: Tensor<2>,
    test: Tensor<2>,
}

/// Indices of questions, of training pictures and of those that choose the epoch.
fn split(part: &Part) -> [Vec<usize>; 2] {
    let (validation, train) =
        (0..part.questions.len()).partition(|q| part.questions[*q].picture.is_multiple_of(VALIDATION));
    [train, validation]
}

/// Teaches the eyes, and gives what they see and how well their own head answers the test.
fn look(questions: &Questions, study: &Study, seed: u64, job: Job<'_>) -> Result<(Seen, f64)> {
    let device = Device::flex().autodiff();
    device.seed(Random::new(seed, 1).next());
    let train = &questions.train;
    let mut network = Looker::init(questions.words.len(), questions.answers.len(), &device)?;
    let mut optimizer = AdamConfig::new().init();
    let [learnt, validation] = split(train);
    let mut asked: Vec<Vec<usize>> = vec![Vec::new(); train.pictures.len()];
    learnt.iter().for_each(|q| asked[train.questions[*q].picture].push(*q));
    let mut pictures: Vec<usize> = (0..asked.len()).filter(|picture| !asked[*picture].is_empty()).collect();
    let loss = CrossEntropyLossConfig::new().init(&device);
    let steps = (study.eye_epochs * pictures.len().div_ceil(PICTURES)) as f64;
    let (mut best, mut step) = (None, 0.0);
    for epoch in 0..study.eye_epochs {
        Random::new(seed, 2 + epoch as u64).shuffle(&mut pictures);
        for some in pictures.chunks(PICTURES) {
            job.check()?;
            let chosen: Vec<usize> = some.iter().flat_map(|picture| asked[*picture].iter().copied()).collect();
            let which: Vec<i32> =
                some.iter().enumerate().flat_map(|(at, picture)| vec![at as i32; asked[*picture].len()]).collect();
            let which = Tensor::<1, Int>::from_ints(&which[..], &device);
            let shown = picture_tensor(questions, train, some, &device);
            let (counts, answers) = question_tensors(questions, train, &chosen, &device);
            let logits = network.forward(shown, which, counts);
            let gradients = GradientsParams::from_grads(loss.forward(logits, answers).backward(), &network);
            network = optimizer.step(cosine(EYE_RATE, step / steps), network, gradients);
            step += 1.0;
        }
        let right = right_by_looker(questions, train, &validation, &network.valid());
        if best.as_ref().is_none_or(|(most, _)| right >= *most) {
            best = Some((right, network.valid()));
        }
    }
    let (_, network) = best.expect("an epoch at least");
    let all: Vec<usize> = (0..questions.test.questions.len()).collect();
    let right = right_by_looker(questions, &questions.test, &all, &network);
    let seen = |part: &Part| -> Tensor<2> {
        let places: Vec<usize> = (0..part.pictures.len()).collect();
        let eyes = |some: &[usize]| network.eyes.forward(picture_tensor(questions, part, some, &Device::flex()));
        Tensor::cat(places.chunks(AT_ONCE).map(eyes).collect(), 0)
    };
    let (train, test) = (seen(train), seen(&questions.test));
    let (variance, mean) = train.clone().var_mean(0);
    let scaled = |x: Tensor<2>| (x - mean.clone()) / variance.clone().add_scalar(1e-6).sqrt();
    Ok((Seen { train: scaled(train), test: scaled(test) }, right as f64 / all.len() as f64))
}

fn right_by_looker(questions: &Questions, part: &Part, chosen: &[usize], network: &Looker) -> usize {
    let device = Device::flex();
    let mut ordered = chosen.to_vec();
    ordered.sort_by_key(|q| part.questions[*q].picture);
    let groups = ordered.chunk_by(|a, b| part.questions[*a].picture / AT_ONCE == part.questions[*b].picture / AT_ONCE);
    groups
        .map(|group| {
            let first = part.questions[group[0]].picture / AT_ONCE * AT_ONCE;
            let places: Vec<usize> = (first..(first + AT_ONCE).min(part.pictures.len())).collect();
            let which: Vec<i32> = group.iter().map(|q| (part.questions[*q].picture - first) as i32).collect();
            let (counts, _) = question_tensors(questions, part, group, &device);
            let shown = picture_tensor(questions, part, &places, &device);
            let logits = network.forward(shown, Tensor::from_ints(&which[..], &device), counts);
            right(logits, part, group).into_iter().filter(|right| *right).count()
        })
        .sum()
}

/// The fusion that has about as many parameters as the plain product of this width. Sums are of few products, so that narrow
/// budgets are met, and nothing is dropped: fusions differ in what they compute alone.
fn fusion(kind: FusionKind, width: usize, answers: usize) -> Result<FusionConfig> {
    let of = |kind| FusionConfig {
        rank: 2,
        pool: 2,
        chunks: 2,
        dropout: 0.0,
        ..FusionConfig::new(kind, [PICTURE, QUESTION], width, answers)
    };
    Ok(of(kind).with_parameters(of(FusionKind::Product).parameters())?)
}

/// Learns one fusion on what the eyes saw.
fn answer(
    questions: &Questions,
    seen: &Seen,
    (kind, width): (FusionKind, usize),
    study: &Study,
    seed: u64,
    job: Job<'_>,
) -> Result<Trial> {
    let device = Device::flex().autodiff();
    let answers = questions.answers.len();
    let fusion = fusion(kind, width, answers)?;
    let mut network = {
        // The generator of first weights is one for all threads.
        static DRAWING: Mutex<()> = Mutex::new(());
        let _alone = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
        device.seed(Random::new(seed, 1 << 40).next());
        let network = Answerer::init(questions.words.len(), &fusion, &device)?;
        // Weights are drawn when they are first looked at.
        record(&network)?;
        network
    };
    let parameters = fusion.parameters();
    let train = &questions.train;
    let [mut learnt, validation] = split(train);
    let mut optimizer = AdamConfig::new().init();
    let loss = CrossEntropyLossConfig::new().init(&device);
    let steps = (study.epochs * learnt.len().div_ceil(BATCH)) as f64;
    let (mut best, mut step) = (None, 0.0);
    for epoch in 0..study.epochs {
        Random::new(seed, (2 << 40) + epoch as u64).shuffle(&mut learnt);
        for some in learnt.chunks(BATCH) {
            job.check()?;
            let (counts, answers) = question_tensors(questions, train, some, &device);
            let shown = Tensor::from_inner(seen.train.clone().select(0, which(train, some)));
            let gradients =
                GradientsParams::from_grads(loss.forward(network.forward(shown, counts), answers).backward(), &network);
            network = optimizer.step(cosine(RATE, step / steps), network, gradients);
            step += 1.0;
        }
        let still = network.valid();
        let rights = rights(questions, train, &validation, &seen.train, &still);
        let count = rights.iter().filter(|right| **right).count();
        if best.as_ref().is_none_or(|(most, _)| count >= *most) {
            best = Some((count, still));
        }
    }
    let (_, network) = best.expect("an epoch at least");
    let test = &questions.test;
    let all: Vec<usize> = (0..test.questions.len()).collect();
    let rights = rights(questions, test, &all, &seen.test, &network);
    let share = |what: bool| {
        let of = |(_, question): &(&bool, &Question)| !what || questions.says_what(question.answer);
        let asked: Vec<_> = rights.iter().zip(&test.questions).filter(of).collect();
        asked.iter().filter(|(right, _)| **right).count() as f64 / asked.len().max(1) as f64
    };
    Ok(Trial {
        fusion: kind.name().to_owned(),
        width,
        seed,
        parameters,
        accuracy: share(false),
        what_accuracy: share(true),
    })
}

/// Which questions are answered rightly.
fn rights(questions: &Questions, part: &Part, chosen: &[usize], seen: &Tensor<2>, network: &Answerer) -> Vec<bool> {
    let of = |some: &[usize]| {
        let (counts, _) = question_tensors(questions, part, some, &Device::flex());
        right(network.forward(seen.clone().select(0, which(part, some)), counts), part, some)
    };
    chosen.chunks(4096).flat_map(of).collect()
}

fn right(logits: Tensor<2>, part: &Part, chosen: &[usize]) -> Vec<bool> {
    let guesses = logits.argmax(1).into_data();
    guesses.iter::<i64>().zip(chosen).map(|(guess, q)| guess as usize == part.questions[*q].answer).collect()
}

fn which(part: &Part, chosen: &[usize]) -> Tensor<1, Int> {
    let places: Vec<i32> = chosen.iter().map(|q| part.questions[*q].picture as i32).collect();
    Tensor::from_ints(&places[..], &Device::flex())
}

fn cosine(highest: f64, done: f64) -> f64 {
    highest * (0.5 + 0.5 * (std::f64::consts::PI * done).cos())
}

/// Pictures from -1 to 1.
fn picture_tensor(questions: &Questions, part: &Part, places: &[usize], device: &Device) -> Tensor<4> {
    let numbers: Vec<f32> = places
        .iter()
        .flat_map(|place| part.pictures[*place].iter().map(|value| f32::from(*value) / 127.5 - 1.0))
        .collect();
    let side = questions.side;
    Tensor::from_data(TensorData::new(numbers, [places.len(), 3, side, side]), device)
}

/// Counts of words, and answers.
fn question_tensors(
    questions: &Questions,
    part: &Part,
    chosen: &[usize],
    device: &Device,
) -> (Tensor<2>, Tensor<1, Int>) {
    let words = questions.words.len();
    let mut counts = vec![0.0f32; chosen.len() * words];
    for (row, q) in counts.chunks_exact_mut(words).zip(chosen) {
        part.questions[*q].words.iter().for_each(|word| row[*word] += 1.0);
    }
    let answers: Vec<i32> = chosen.iter().map(|q| part.questions[*q].answer as i32).collect();
    let counts = Tensor::from_data(TensorData::new(counts, [chosen.len(), words]), device);
    (counts, Tensor::from_ints(&answers[..], device))
}
