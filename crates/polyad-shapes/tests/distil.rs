//! A pupil learns what its teacher says, the same bytes every time, stopped or not.

use burn::tensor::Device;
use polyad_shapes::distil::{DistilOptions, distil};
use polyad_shapes::job::{Job, Reporter};
use polyad_shapes::model::{Header, Model};
use polyad_shapes::render::RenderSettings;
use polyad_shapes::vsformer::{BackboneKind, VsFormerConfig};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn teacher() -> Model {
    let device = Device::flex();
    device.seed(11);
    let architecture = VsFormerConfig {
        layers: 0,
        heads: 1,
        dim: 32,
        widths: Some(vec![16, 32]),
        ..VsFormerConfig::published(BackboneKind::Small, None)
    };
    let network = architecture.init(&device).expect("small sizes");
    let render = RenderSettings { size: 24, ..RenderSettings::default() };
    Model::new(network, Header::new(architecture, render, None)).expect("a model without classes")
}

fn options() -> DistilOptions {
    DistilOptions {
        shapes: 300,
        cameras: "2".into(),
        epochs: 3,
        size: 16,
        widths: vec![16, 16],
        dim: 8,
        pairing: 2,
        ..DistilOptions::default()
    }
}

fn run(folder: &Path, name: &str, job: Job) -> polyad_shapes::Result<Vec<f64>> {
    let (model, losses) = distil(&teacher(), &folder.join(name), &folder.join("cache"), &options(), job)?;
    assert_eq!(model.header().architecture.dim, 8);
    Ok(losses)
}

/// Stops the job when its second round is over.
struct Stop {
    flag: AtomicBool,
    rounds: AtomicU64,
}

impl Reporter for Stop {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn note(&self, _: &str) {
        if self.rounds.fetch_add(1, Ordering::Relaxed) == 1 {
            self.flag.store(true, Ordering::Relaxed);
        }
    }
    fn end(&self) {}
    fn warn(&self, _: &str) {}
}

/// One test, since Burn's random numbers are the process's: others beside would draw from them too.
#[test]
fn a_lesson_that_was_stopped_ends_as_one_that_was_not_and_one_that_teaches_nothing_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let losses = run(folder.path(), "whole", Job::silent()).expect("a lesson");
    // Five groups in two rounds an epoch, and two of pairs.
    assert_eq!(losses.len(), 8);
    assert!(losses[5] < losses[0], "nothing was learnt: {losses:?}");

    let stop = Stop { flag: AtomicBool::new(false), rounds: AtomicU64::new(0) };
    let stopped = run(folder.path(), "stopped", Job::new(&stop, &stop.flag));
    assert!(matches!(stopped, Err(polyad_shapes::Error::Cancelled)));
    assert!(!folder.path().join("stopped").exists());
    let again = run(folder.path(), "stopped", Job::silent()).expect("the rest of it");
    assert_eq!(losses, again);
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).expect("a model");
    assert!(bytes("whole") == bytes("stopped"), "the models differ");
    assert!(!folder.path().join("stopped.train").exists());

    let (out, cache) = (folder.path().join("model"), folder.path().join("cache"));
    for (wrong, part) in [
        (DistilOptions { epochs: 0, ..options() }, "0 epochs"),
        (DistilOptions { cameras: "ring7".into(), ..options() }, "ring7"),
        (DistilOptions { widths: vec![10], ..options() }, "10"),
        (DistilOptions { dim: 33, ..options() }, "33"),
    ] {
        let message = distil(&teacher(), &out, &cache, &wrong, Job::silent()).expect_err(part).to_string();
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}
