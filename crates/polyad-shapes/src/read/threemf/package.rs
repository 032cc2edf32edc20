//! The ZIP around a 3MF model: its parts, by paths that begin with `/` and ignore case.

use super::model;
use super::within;
use crate::error::{At, Error, Result};
use crate::read::gzip::{limit, read_limited};
use std::collections::HashMap;
use std::io::Cursor;
use zip::ZipArchive;

const RELATIONSHIPS: &str = "_rels/.rels";

/// An open package. What all its parts together may unpack to is limited.
pub struct Package<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    members: HashMap<String, usize>,
    allowance: u64,
    unpacked: u64,
}

impl<'a> Package<'a> {
    /// Reads the directory of the archive.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| Error::malformed(At::File, format!("not a ZIP archive, as 3MF must be: {error}")))?;
        let members =
            zip.file_names().enumerate().filter_map(|(index, name)| Some((normal(&name.ok()?), index))).collect();
        Ok(Package { zip, members, allowance: limit(bytes.len() as u64), unpacked: 0 })
    }

    /// The text of a part.
    pub fn part(&mut self, path: &str) -> Result<String> {
        let malformed = |problem: String| Error::malformed(At::Part(path.to_owned()), problem);
        let index = *self.members.get(&normal(path)).ok_or_else(|| malformed("is named, but is not there".into()))?;
        let member = self.zip.by_index(index).map_err(|error| malformed(error.to_string()))?;
        let bytes = read_limited(member, self.allowance).map_err(|error| within(path, error))?;
        self.allowance -= bytes.len() as u64;
        self.unpacked += bytes.len() as u64;
        let text = String::from_utf8(bytes)
            .map_err(|error| malformed(format!("byte {} is not UTF-8", error.utf8_error().valid_up_to())))?;
        Ok(match text.strip_prefix('\u{FEFF}') {
            Some(text) => text.to_owned(),
            None => text,
        })
    }

    /// Bytes of the parts that have been read.
    pub fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// Where the model is: where the relationships say, else the first part that is called `.model`.
    pub fn model_path(&mut self) -> Result<String> {
        let named = if self.members.contains_key(RELATIONSHIPS) {
            model::relationship(&self.part(RELATIONSHIPS)?).map_err(|error| within(RELATIONSHIPS, error))?
        } else {
            None
        };
        named
            .filter(|path| self.members.contains_key(&normal(path)))
            .or_else(|| self.members.keys().filter(|name| name.ends_with(".model")).min().cloned())
            .map(|path| normal(&path))
            .ok_or_else(|| Error::malformed(At::File, "a ZIP archive without a 3MF model"))
    }
}

/// Part names ignore case, and their first slash may be left out.
pub fn normal(path: &str) -> String {
    path.trim_start_matches('/').to_ascii_lowercase()
}
