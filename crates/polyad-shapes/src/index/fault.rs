//! What can go wrong inside a transaction, before it is told to the caller as an [`Error`].

use crate::error::Error;
use std::path::Path;

/// What functions inside a transaction return.
pub(super) type Outcome<T> = std::result::Result<T, Fault>;

/// A failure inside a transaction.
#[derive(Debug)]
pub(super) enum Fault {
    /// LMDB, or the operating system through it.
    Store(heed::Error),
    /// The graph.
    Graph(hannoy::Error),
    /// A value that cannot be read.
    Damaged(String),
    /// An error that is already the caller's.
    Other(Error),
}

impl Fault {
    /// Whether a larger map would help.
    pub fn is_map_full(&self) -> bool {
        let (Fault::Store(heed::Error::Mdb(e)) | Fault::Graph(hannoy::Error::Heed(heed::Error::Mdb(e)))) = self else {
            return false;
        };
        *e == heed::MdbError::MapFull
    }

    /// Attaches the index's folder.
    pub fn at(self, folder: &Path) -> Error {
        match self {
            Fault::Store(heed::Error::Io(source)) | Fault::Graph(hannoy::Error::Heed(heed::Error::Io(source))) => {
                Error::io(folder, source)
            }
            Fault::Store(heed::Error::EnvAlreadyOpened) => {
                Error::Index(format!("{} is already open in this process", folder.display()))
            }
            Fault::Store(heed::Error::Mdb(heed::MdbError::MapResized)) => {
                Error::Index(format!("{} has grown much since it was opened; open it again", folder.display()))
            }
            Fault::Store(e) => Error::Index(format!("{} cannot be used: {e}", folder.display())),
            Fault::Graph(hannoy::Error::BuildCancelled) => Error::Cancelled,
            Fault::Graph(e) => Error::Index(format!("{}: the graph cannot be used: {e}", folder.display())),
            Fault::Damaged(how) => Error::Index(format!("{} is damaged: {how}; build it again", folder.display())),
            Fault::Other(e) => e,
        }
    }
}

impl From<heed::Error> for Fault {
    fn from(e: heed::Error) -> Self {
        Fault::Store(e)
    }
}

impl From<hannoy::Error> for Fault {
    fn from(e: hannoy::Error) -> Self {
        Fault::Graph(e)
    }
}

impl From<std::io::Error> for Fault {
    fn from(e: std::io::Error) -> Self {
        Fault::Store(heed::Error::Io(e))
    }
}

impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Fault::Other(e)
    }
}
