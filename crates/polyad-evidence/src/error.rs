//! What can go wrong.

use std::path::{Path, PathBuf};

/// What functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Files, jobs, training states.
    #[error(transparent)]
    Shapes(#[from] polyad_shapes::Error),
    /// Sizes that cannot be.
    #[error(transparent)]
    Network(#[from] polyad_nn::Error),
    /// What was asked cannot be done, and why.
    #[error("{0}")]
    Invalid(String),
    /// A file that does not hold what it should.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    /// A file that does not hold what it should.
    pub fn file(path: &Path, problem: impl ToString) -> Self {
        Error::File { path: path.to_owned(), problem: problem.to_string() }
    }
}
