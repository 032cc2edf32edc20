//! How a run ends: exit codes, and the one line that says why.

use polyad_shapes::Error;
use std::process::ExitCode;

/// Exit code after Ctrl-C: 128 + SIGINT, as shells count.
pub const INTERRUPTED: u8 = 130;

/// What every command returns.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// A run that came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything named was handled.
    Done,
    /// Something failed and was listed; the rest was done.
    SomeFailed,
}

impl Exit {
    /// [`Exit::SomeFailed`] where `failures` were listed.
    pub fn after(failures: usize) -> Self {
        if failures == 0 { Exit::Done } else { Exit::SomeFailed }
    }
}

impl From<polyad_evidence::Error> for Failure {
    fn from(error: polyad_evidence::Error) -> Self {
        match error {
            polyad_evidence::Error::Shapes(error) => error.into(),
            polyad_evidence::Error::Invalid(message) => Failure::usage(message),
            other => Failure::failed(other.to_string()),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => ExitCode::SUCCESS,
            Exit::SomeFailed => ExitCode::from(1),
        }
    }
}

/// A run that could not go on.
#[derive(Debug)]
pub enum Failure {
    /// The arguments are wrong, or name what does not exist.
    Usage {
        /// One line.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The work failed.
    Failed {
        /// One line.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Ctrl-C.
    Cancelled,
    /// Whoever read our output has read enough.
    ClosedPipe,
}

impl Failure {
    /// Wrong arguments.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure::Usage { message: message.into(), hint: None }
    }

    /// Work that failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Failure::Failed { message: message.into(), hint: None }
    }

    /// The same, with advice.
    pub fn with_hint(self, advice: impl Into<String>) -> Self {
        match self {
            Failure::Usage { message, .. } => Failure::Usage { message, hint: Some(advice.into()) },
            Failure::Failed { message, .. } => Failure::Failed { message, hint: Some(advice.into()) },
            other => other,
        }
    }

    /// The code that the process exits with.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Usage { .. } => 2,
            Failure::Failed { .. } => 1,
            Failure::Cancelled => INTERRUPTED,
            Failure::ClosedPipe => 0,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled => Failure::Cancelled,
            Error::Invalid(message) => Failure::usage(message),
            other => Failure::failed(other.to_string()),
        }
    }
}

/// Failures of writing to standard output: a closed pipe is not one.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::failed(format!("cannot write the result: {error}")),
        }
    }
}
