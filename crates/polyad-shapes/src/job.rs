//! Progress and cancellation of long jobs.
//!
//! Libraries report, only the program draws: it implements [`Reporter`] and owns the flag.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// Hears of the progress of a job. Calls come from any thread.
pub trait Reporter: Sync {
    /// A step begins: what is done, and how many units it has (0: not known).
    fn begin(&self, label: &str, total: u64);
    /// More units of the current step are done.
    fn advance(&self, units: u64);
    /// A few words about the current step, such as a loss.
    fn note(&self, text: &str);
    /// The current step is over.
    fn end(&self);
    /// Something the user should know of, though the job goes on.
    fn warn(&self, text: &str);
}

/// A reporter that says nothing.
pub struct Silent;

impl Reporter for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn note(&self, _: &str) {}
    fn end(&self) {}
    fn warn(&self, _: &str) {}
}

/// What a long function needs to know of the world: whom to tell, and whether to stop.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    reporter: &'a dyn Reporter,
    cancelled: &'a AtomicBool,
}

static NEVER: AtomicBool = AtomicBool::new(false);

impl<'a> Job<'a> {
    /// A job that reports to `reporter` and stops soon after `cancelled` becomes true.
    pub fn new(reporter: &'a dyn Reporter, cancelled: &'a AtomicBool) -> Self {
        Job { reporter, cancelled }
    }

    /// A job that says nothing and is never cancelled.
    pub fn silent() -> Job<'static> {
        Job { reporter: &Silent, cancelled: &NEVER }
    }

    /// Whom to tell.
    pub fn reporter(&self) -> &'a dyn Reporter {
        self.reporter
    }

    /// [`Error::Cancelled`] once the user wants to stop. Called at least every tenth of a second of work.
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}
