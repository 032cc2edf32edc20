//! Everything that can go wrong in this crate, said so that a person can mend it.
//!
//! Readers know only bytes: they say where in the bytes ([`At`]) and what was found. The path is attached
//! once, at the boundary, by [`Error::in_file`].

use std::fmt;
use std::path::{Path, PathBuf};

/// What functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in a file something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The file as a whole.
    File,
    /// A line of a text, counted from 1.
    Line(usize),
    /// An offset in bytes, counted from 0.
    Byte(usize),
    /// A named part: an element of a PLY, a mesh of a glTF, a member of an archive.
    Part(String),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::File => write!(f, "file"),
            At::Line(n) => write!(f, "line {n}"),
            At::Byte(n) => write!(f, "byte {n}"),
            At::Part(name) => write!(f, "{name}"),
        }
    }
}

/// The errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The content is not what its format says.
    #[error("{at}: {problem}")]
    Malformed {
        /// Where.
        at: At,
        /// What was found, and what was expected.
        problem: String,
    },
    /// The content is right, but needs something that polyad does not do; it is named.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The file has no surface and no points.
    #[error("nothing to show: {0}")]
    Empty(String),
    /// A setting or argument that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A model that is damaged, or is used with other settings than its own.
    #[error("model: {0}")]
    Model(String),
    /// An index that is damaged, locked, or was built with another model.
    #[error("index: {0}")]
    Index(String),
    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Any of the others, in a file.
    #[error("{path}: {source}")]
    InFile {
        /// The path as the user gave it, members of archives as `a.zip/inner.stl`.
        path: String,
        /// What is wrong in it.
        #[source]
        source: Box<Error>,
    },
    /// The job was cancelled; nothing half-written is left.
    #[error("cancelled")]
    Cancelled,
}

impl From<polyad_nn::Error> for Error {
    fn from(error: polyad_nn::Error) -> Self {
        Error::Invalid(error.to_string())
    }
}

impl From<polyad_run::Error> for Error {
    fn from(error: polyad_run::Error) -> Self {
        Error::Model(error.to_string())
    }
}

impl Error {
    /// Content that is not what its format says.
    pub fn malformed(at: At, problem: impl Into<String>) -> Self {
        Error::Malformed { at, problem: problem.into() }
    }

    /// An error of the operating system, with its path.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().to_owned(), source }
    }

    /// Attaches the path, once, at the boundary between bytes and files. A cancellation stays one.
    pub fn in_file(self, path: impl Into<String>) -> Self {
        match self {
            Error::Cancelled | Error::InFile { .. } | Error::Io { .. } => self,
            other => Error::InFile { path: path.into(), source: Box::new(other) },
        }
    }

    /// The message without the path, for lists that show the path beside it.
    pub fn reason(&self) -> String {
        match self {
            Error::InFile { source, .. } => source.to_string(),
            Error::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }
}
