//! Teaches a small model what a larger one sees, on generated shapes alone:
//! `cargo run --release --example distil -- TEACHER OUT [SHAPES [EPOCHS [PAIRING]]]`.
//!
//! A run that was stopped goes on when it is started again. What the teacher said is kept in `OUT.cache`. The teacher may be
//! `builtin`. `models/README.md` says how the built-in model was made.

use polyad_shapes::distil::{DistilOptions, distil};
use polyad_shapes::job::{Job, Reporter};
use polyad_shapes::model::Definition;
use polyad_shapes::{Error, Result};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Prints a line for every hundredth of a step.
struct Lines {
    done: AtomicU64,
    total: AtomicU64,
    began: Instant,
}

impl Reporter for Lines {
    fn begin(&self, label: &str, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        eprintln!("{label}: {total}");
    }
    fn advance(&self, units: u64) {
        self.done.fetch_add(units, Ordering::Relaxed);
    }
    fn note(&self, text: &str) {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        if done.is_multiple_of((total / 100).max(1)) {
            eprintln!("{done} of {total}, {text}, {:.0} s", self.began.elapsed().as_secs_f64());
        }
    }
    fn end(&self) {}
    fn warn(&self, text: &str) {
        eprintln!("{text}");
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [teacher, out, rest @ ..] = &arguments[..] else {
        return Err(Error::Invalid("distil TEACHER OUT [SHAPES [EPOCHS [PAIRING]]]".into()));
    };
    let number = |place: usize| rest.get(place).map(|text| text.parse::<u64>()).transpose();
    let number = |place| number(place).map_err(|error| Error::Invalid(error.to_string()));
    let mut options = DistilOptions::default();
    options.shapes = number(0)?.unwrap_or(options.shapes);
    options.epochs = number(1)?.map_or(options.epochs, |epochs| epochs as usize);
    options.pairing = number(2)?.map_or(options.pairing, |rounds| rounds as usize);
    let (out, cache) = (PathBuf::from(out), PathBuf::from(format!("{out}.cache")));
    let lines = Lines { done: AtomicU64::new(0), total: AtomicU64::new(0), began: Instant::now() };
    let running = AtomicBool::new(false);
    distil(&Definition::named(teacher.as_ref())?.into_model()?, &out, &cache, &options, Job::new(&lines, &running))?;
    Ok(())
}
