//! A run is a function of its recipe and its shapes: stopped and resumed, it gives the same model to the last bit.

use polyad_shapes::Error;
use polyad_shapes::demo::families::{families, generate};
use polyad_shapes::demo::stl::write_stl;
use polyad_shapes::embedding::Embedder;
use polyad_shapes::evaluate::{EvaluateOptions, evaluate};
use polyad_shapes::job::{Job, Reporter, Silent};
use polyad_shapes::train::{TrainOptions, train};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Weights are initialised and dropout is drawn from one generator of the whole process, so runs take turns.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Two families: so many parts of each to learn from, and two more.
fn library(dir: &Path, train: u64) {
    for family in ["mug", "spring"] {
        let index = families().iter().position(|name| *name == family).expect("a family");
        for (seed, split) in (0..train + 2).map(|seed| (seed, if seed < train { "train" } else { "test" })) {
            let folder = dir.join(family).join(split);
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join(format!("{seed}.stl")), write_stl(&generate(index, seed))).expect("a file");
        }
    }
}

fn options() -> TrainOptions {
    TrainOptions {
        size: Some(32),
        views: Some("6".into()),
        rotations: Some(6),
        stage1_epochs: Some(2),
        epochs: Some(3),
        layers: Some(1),
        resume: true,
        save_every: Some(Duration::ZERO),
        ..TrainOptions::default()
    }
}

/// Stops a job when it has noted so many steps.
struct StopAfter<'a> {
    steps: AtomicUsize,
    flag: &'a AtomicBool,
}

impl Reporter for StopAfter<'_> {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn note(&self, _: &str) {
        if self.steps.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.flag.store(true, Ordering::SeqCst);
        }
    }
    fn end(&self) {}
    fn warn(&self, _: &str) {}
}

#[test]
fn a_run_that_is_stopped_again_and_again_gives_the_same_model_as_one_that_is_not() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let root = tempfile::tempdir().expect("a folder");
    let shapes = root.path().join("shapes");
    library(&shapes, 6);
    let whole = train(&shapes, &root.path().join("whole"), &options(), Job::silent()).expect("a model");

    let out = root.path().join("stopped");
    let options = TrainOptions { cache: Some(root.path().join("whole.cache")), ..options() };
    let mut stops = 0;
    let stopped = loop {
        let flag = AtomicBool::new(false);
        // More steps each time, for what lies between two states is done again.
        let reporter = StopAfter { steps: AtomicUsize::new(7 + stops), flag: &flag };
        match train(&shapes, &out, &options, Job::new(&reporter, &flag)) {
            Ok(trained) => break trained,
            Err(Error::Cancelled) => stops += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(!out.exists(), "a model before the end");
        let folder = root.path().join("stopped.train");
        assert!(std::fs::read_dir(&folder).is_ok_and(|entries| entries.count() <= 1), "torn or old states");
    };
    assert!(stops >= 2, "stopped {stops} times");
    assert_eq!(stopped.model.identity(), whole.model.identity());
    let losses =
        |curve: &[polyad_shapes::train::Epoch]| curve.iter().map(|e| (e.stage, e.epoch, e.loss)).collect::<Vec<_>>();
    assert_eq!(losses(&stopped.curve), losses(&whole.curve));
    assert!(!root.path().join("stopped.train").exists());
}

#[test]
fn an_unfinished_run_is_neither_discarded_nor_mixed_with_another() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let root = tempfile::tempdir().expect("a folder");
    let (shapes, out) = (root.path().join("shapes"), root.path().join("model"));
    library(&shapes, 6);
    let flag = AtomicBool::new(false);
    let reporter = StopAfter { steps: AtomicUsize::new(9), flag: &flag };
    assert!(matches!(train(&shapes, &out, &options(), Job::new(&reporter, &flag)), Err(Error::Cancelled)));

    let refused = |options: TrainOptions, part: &str| {
        let message = train(&shapes, &out, &options, Job::silent()).expect_err(part).to_string();
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    };
    refused(TrainOptions { resume: false, ..options() }, "--resume");
    refused(TrainOptions { size: Some(48), ..options() }, "had other options (--size 32 then, 48 now)");
    refused(TrainOptions { seed: 5, ..options() }, "(--seed 0 then, 5 now)");
    refused(
        TrainOptions { epochs: Some(9), qk_norm: true, ..options() },
        "(--qk-norm off then, on now; --epochs 3 then, 9 now)",
    );
    std::fs::remove_dir_all(shapes.join("mug/train")).expect("a folder");
    std::fs::create_dir_all(shapes.join("mug/train")).expect("a folder");
    std::fs::write(shapes.join("mug/train/new.stl"), write_stl(&generate(0, 1))).expect("a file");
    refused(options(), "other shapes");
}

/// Keeps what the user is warned of.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Reporter for Warnings {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn note(&self, _: &str) {}
    fn end(&self) {}
    fn warn(&self, text: &str) {
        self.0.lock().expect("no panic").push(text.to_owned());
    }
}

#[test]
fn a_run_that_is_over_cannot_be_gone_on_with_and_the_user_is_told_that_it_begins_anew() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let root = tempfile::tempdir().expect("a folder");
    let (shapes, out) = (root.path().join("shapes"), root.path().join("model"));
    library(&shapes, 2);
    let (warnings, never) = (Warnings::default(), AtomicBool::new(false));
    let job = Job::new(&warnings, &never);
    let options = TrainOptions { rotations: Some(0), ..options() };
    let first = train(&shapes, &out, &options, job).expect("a model");
    assert!(warnings.0.lock().expect("no panic").is_empty(), "there was nothing to go on with, and no model");
    let second = train(&shapes, &out, &options, job).expect("a model");
    assert_eq!(second.model.identity(), first.model.identity());
    let said = warnings.0.lock().expect("no panic").join("\n");
    assert!(said.contains(&out.display().to_string()) && said.contains("begins anew"), "{said}");
}

#[test]
fn a_trained_model_is_measured_on_what_it_has_not_seen_and_refuses_other_classes() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let root = tempfile::tempdir().expect("a folder");
    let (shapes, out) = (root.path().join("shapes"), root.path().join("model"));
    library(&shapes, 20);
    std::fs::write(shapes.join("mug/train/broken.stl"), "solid nothing").expect("a file");
    let trained = train(&shapes, &out, &options(), Job::silent()).expect("a model");
    assert_eq!(trained.failures.len(), 1);
    assert_eq!(trained.shapes.0 + trained.shapes.1, 40, "the broken one is not counted");
    assert!(trained.failures[0].path.ends_with("broken.stl"));

    let options = EvaluateOptions::default();
    let job = Job::new(&Silent, &AtomicBool::new(false)).check().map(|()| Job::silent()).expect("not cancelled");
    let evaluation = evaluate(&shapes, &trained.model, &options, job).expect("a measure");
    assert_eq!((evaluation.shapes, evaluation.retrieval.queries), (4, 4));
    assert_eq!(evaluation.failed.len(), 1);
    // A mug and a spring differ in every view.
    assert_eq!(evaluation.instance_accuracy, Some(1.0));

    let all = EvaluateOptions { retrieval_only: true, rotate: Some(3), ..EvaluateOptions::default() };
    let evaluation = evaluate(&shapes, &trained.model, &all, Job::silent()).expect("a measure");
    assert_eq!((evaluation.shapes, evaluation.instance_accuracy), (44, None));

    std::fs::rename(shapes.join("mug"), shapes.join("cup")).expect("a folder");
    let message = evaluate(&shapes, &trained.model, &options, Job::silent()).expect_err("other classes").to_string();
    assert!(message.contains("mug") && message.contains("cup"), "{message}");
}

/// Files below a folder, and when they were written.
fn written(folder: &Path) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(written(&path));
        } else {
            let time = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("a time");
            files.push((path, time));
        }
    }
    files.sort();
    files
}

#[test]
fn features_of_weights_that_stay_are_computed_once() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let root = tempfile::tempdir().expect("a folder");
    let shapes = root.path().join("shapes");
    library(&shapes, 6);
    let cache = root.path().join("cache");
    let options = TrainOptions {
        initializer: Some("builtin".into()),
        freeze: true,
        rotations: Some(1),
        cache: Some(cache.clone()),
        ..options()
    };
    let first = train(&shapes, &root.path().join("first"), &options, Job::silent()).expect("a model");
    let files = written(&cache);
    let features = files.iter().filter(|(path, _)| path.extension().is_none()).count();
    assert_eq!(features, 2 * (first.shapes.0 + first.shapes.1), "one file for each pose of each shape");
    assert_eq!(files.len(), 2 * features, "beside its pictures");
    let second = train(&shapes, &root.path().join("second"), &options, Job::silent()).expect("a model");
    assert_eq!(second.model.identity(), first.model.identity());
    assert_eq!(written(&cache), files, "nothing was drawn or computed again");
}
