//! What can be wrong with a network, or with what it is given.

/// What functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The errors of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Parts that do not fit together; both are named.
    #[error("{0}")]
    Network(String),
    /// Pictures that the network does not take.
    #[error("{0}")]
    Pictures(String),
    /// A file that is no network of ours, or is damaged, truncated or newer.
    #[error("{0}")]
    File(String),
    /// Scores were asked of a network that has none.
    #[error("it has no classes, it only embeds")]
    NoClasses,
}

/// An [`Error::File`].
pub(crate) fn spoilt<T>(problem: impl Into<String>) -> Result<T> {
    Err(Error::File(problem.into()))
}

/// An [`Error::Network`].
pub(crate) fn unfit<T>(problem: impl Into<String>) -> Result<T> {
    Err(Error::Network(problem.into()))
}
