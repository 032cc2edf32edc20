//! What can be wrong with a module's configuration.

/// What `init` functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The errors of this crate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Sizes that cannot be; all of them are named.
    #[error("{module}: {problem}")]
    Config {
        /// The module that was to be made.
        module: &'static str,
        /// What was asked, and why it cannot be.
        problem: String,
    },
    /// Bytes that are no encoded tensor, or numbers that cannot be encoded.
    #[error("sparse tensor: {part} {at}: {problem}")]
    Sparse {
        /// What is counted: bytes of the encoding or numbers of the tensor.
        part: &'static str,
        /// Which of them, from 0.
        at: usize,
        /// What was found, and what was expected.
        problem: String,
    },
}

impl From<polyad_run::Error> for Error {
    fn from(error: polyad_run::Error) -> Self {
        Error::config("engine", error.to_string())
    }
}

impl Error {
    /// A configuration that cannot be.
    pub fn config(module: &'static str, problem: impl Into<String>) -> Self {
        Error::Config { module, problem: problem.into() }
    }
}

/// Refuses a size of zero, by name.
pub(crate) fn nonzero(module: &'static str, sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        Some((name, _)) => Err(Error::config(module, format!("{name} is 0"))),
        None => Ok(()),
    }
}

/// Refuses a probability outside [0, 1).
pub(crate) fn probability(module: &'static str, name: &str, p: f64) -> Result<()> {
    if (0.0..1.0).contains(&p) { Ok(()) } else { Err(Error::config(module, format!("{name} is {p}, not in [0, 1)"))) }
}
