//! ZIP archives, read member by member without unpacking them to disk.

use crate::error::{At, Error, Result};
use crate::read::{limit, read_limited};
use std::fs::File;
use std::io::BufReader;
use zip::ZipArchive;
use zip::result::ZipError;

/// An open archive.
pub struct Archive {
    path: String,
    zip: ZipArchive<BufReader<File>>,
}

fn damaged(error: ZipError) -> Error {
    Error::malformed(At::File, format!("ZIP: {error}"))
}

impl Archive {
    /// Opens an archive and reads its directory.
    pub fn open(path: &str) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(error).in_file(path))?;
        Ok(Archive { path: path.to_owned(), zip })
    }

    /// The names of all files in it, in the order of its directory; with the reason where one cannot be read.
    pub fn members(&mut self) -> Vec<Result<String, (String, Error)>> {
        (0..self.zip.len()).filter_map(|index| self.member(index)).collect()
    }

    fn member(&mut self, index: usize) -> Option<Result<String, (String, Error)>> {
        let member = match self.zip.by_index_raw(index) {
            Ok(member) => member,
            Err(error) => return Some(Err((format!("member {index}"), damaged(error)))),
        };
        let name = match member.name() {
            Ok(name) => name.into_owned(),
            Err(error) => return Some(Err((format!("member {index}"), damaged(error)))),
        };
        if member.is_dir() {
            None
        } else if member.encrypted() {
            Some(Err((name, Error::Unsupported("encrypted members".into()))))
        } else if member.enclosed_name().is_none() {
            Some(Err((name, Error::Unsupported("names that lead out of the archive".into()))))
        } else {
            Some(Ok(name))
        }
    }

    /// The bytes of a member, as far as its compressed length allows it to unpack.
    pub fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let member = self.zip.by_name(name).map_err(|error| match error {
            ZipError::FileNotFound => Error::malformed(At::File, format!("no `{name}` in {}", self.path)),
            other => damaged(other),
        })?;
        let most = limit(member.compressed_size());
        read_limited(member, most)
    }
}
