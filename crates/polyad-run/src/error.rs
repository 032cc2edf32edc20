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
}

/// An [`Error::Network`].
pub(crate) fn unfit<T>(problem: impl Into<String>) -> Result<T> {
    Err(Error::Network(problem.into()))
}
