//! What can be wrong with a problem or its buffers.

/// Why a problem cannot be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The description contradicts itself.
    #[error("{0}")]
    Problem(String),
    /// A buffer has another length than the problem says.
    #[error("{name} has {found} numbers, and the problem wants {expected}")]
    Length {
        /// Which buffer.
        name: String,
        /// What the problem says.
        expected: usize,
        /// What there is.
        found: usize,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An [`Error::Problem`].
pub(crate) fn problem<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::Problem(text.into()))
}

/// Refuses a buffer of another length.
pub(crate) fn check_length(name: impl Into<String>, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::Length { name: name.into(), expected, found }) }
}
