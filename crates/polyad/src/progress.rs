//! Draws what a job reports: bars on a terminal, nothing elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use polyad_shapes::job::Reporter;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const KNOWN: &str = "{prefix:24} [{bar:30}] {pos}/{len} {elapsed} left {eta} {msg}";
const UNKNOWN: &str = "{prefix:24} {spinner} {pos} {elapsed} {msg}";
const TICK: Duration = Duration::from_millis(200);

/// Bars for the steps of a job, the outer ones above, and its warnings.
pub struct Progress {
    bars: MultiProgress,
    open: Mutex<Vec<ProgressBar>>,
    quiet: bool,
}

impl Progress {
    /// Draws on stderr where that is a terminal that can move its cursor.
    pub fn new(quiet: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let drawn = !quiet && !dumb && std::io::stderr().is_terminal();
        let target = if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Progress { bars: MultiProgress::with_draw_target(target), open: Mutex::new(Vec::new()), quiet }
    }

    /// Lets `write` use the terminal without a bar in its way.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bars.suspend(write)
    }

    /// Takes all bars away.
    pub fn clear(&self) {
        for bar in self.open().drain(..) {
            bar.finish_and_clear();
        }
    }

    // A panic while a bar was drawn leaves the list whole.
    fn open(&self) -> MutexGuard<'_, Vec<ProgressBar>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Progress {
    fn begin(&self, label: &str, total: u64) {
        let (bar, template) =
            if total == 0 { (ProgressBar::no_length(), UNKNOWN) } else { (ProgressBar::new(total), KNOWN) };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(label.to_owned());
        let bar = self.bars.add(bar);
        bar.enable_steady_tick(TICK);
        self.open().push(bar);
    }

    fn advance(&self, units: u64) {
        if let Some(bar) = self.open().last() {
            bar.inc(units);
        }
    }

    fn note(&self, text: &str) {
        if let Some(bar) = self.open().last() {
            bar.set_message(text.to_owned());
        }
    }

    fn end(&self) {
        if let Some(bar) = self.open().pop() {
            bar.finish_and_clear();
        }
    }

    fn warn(&self, text: &str) {
        if !self.quiet {
            // Where stderr is closed there is nobody to tell.
            let _ = self.aside(|| writeln!(anstream::stderr(), "{} {text}", crate::printer::WARNING));
        }
    }
}
