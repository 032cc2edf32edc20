//! What a user names, as shapes: files, folders, archives, photographs.
//!
//! [`walk`] turns a path into a list of [`Source`]s, each one shape that can be read alone, and a list of
//! what cannot be. Folders and archives are gone through in byte order, so the list is the same everywhere.
//!
//! - A mesh file is a shape, compressed by gzip or not; so is each mesh in a `.zip`, in its folders too.
//! - Pictures (PNG, JPEG) are views. In a class, in the folder named, in one called `train`, `test` or `val`, and beside
//!   meshes, pictures that share the name before the last `_` are one shape. Any other folder of pictures is one shape.
//!   What is a class is known ([`Classes`]), or seen: a folder whose pictures are numbered under several names, unless it
//!   lies in such a one.
//! - Pictures that belong to a mesh are no shapes: textures that an `.mtl` or `.gltf` names, and previews that
//!   are called like a mesh beside them.
//! - Files of other kinds, hidden ones, and `__MACOSX` are passed over.

mod archive;
mod group;
mod photo;
mod textures;

pub use group::Classes;

use crate::error::{Error, Result};
use crate::job::Job;
use crate::mesh::Mesh;
use crate::read::{extension, external_buffers, format_of, read_mesh};
use crate::view_set::ViewSet;
use archive::Archive;
use group::{Found, group};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::UNIX_EPOCH;
use walkdir::WalkDir;

/// What a shape is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A mesh or a cloud of points.
    Mesh,
    /// Photographs, or other pictures.
    Photos,
}

/// One shape, and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// The name of the shape: its path as the user gave it, members of archives as `a.zip/inner.stl`,
    /// photographs by their folder or by what their names share.
    pub path: String,
    /// What it is made of.
    pub kind: Kind,
    /// The archive that its files are in.
    archive: Option<String>,
    /// The file of a mesh, or the photographs. Members of the archive where there is one.
    files: Vec<String>,
}

/// A shape, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A surface or a cloud, in the file's units.
    Mesh(Mesh),
    /// Photographs of their own sizes, which may differ. None has a side of more than 1,024 pixels:
    /// larger ones are reduced as they are read, since a folder may hold thousands.
    Photos(ViewSet),
}

/// What tells cheaply that a source may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes, of all files together; of the whole archive for a member.
    pub size: u64,
    /// The latest time of modification, in nanoseconds since 1970.
    pub mtime_ns: u64,
}

/// Something that could not be read, though the rest could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its path, as the user gave it.
    pub path: String,
    /// Why.
    pub error: String,
}

/// What [`walk`] finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    /// The shapes, in byte order of their folders and names.
    pub shapes: Vec<Source>,
    /// What could not be opened, in the same order.
    pub failures: Vec<Failure>,
}

/// The shapes that a path stands for: a file, a folder, an archive, or a member of one (`a.zip/inner.stl`).
///
/// A single file is taken as it is, whatever its name. Links are followed; one that leads back to where it is
/// found is a failure. Contents of meshes are not read yet.
///
/// # Errors
/// [`Error::Io`] where the path itself does not exist, cannot be opened or is neither a file nor a folder,
/// [`Error::Cancelled`].
pub fn walk(path: &Path, job: Job) -> Result<Walk> {
    walk_classes(path, Classes::Unknown, job)
}

/// [`walk`], where it is known which folders are classes.
///
/// # Errors
/// Those of [`walk`].
pub fn walk_classes(path: &Path, classes: Classes, job: Job) -> Result<Walk> {
    let shown = name_of(path).ok_or_else(|| Error::Invalid(format!("{}: the name is not UTF-8", path.display())))?;
    let mut found = Walk::default();
    match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => walk_folder(path, shown, classes, job, &mut found)?,
        Ok(about) if !about.is_file() => return Err(not_a_file(shown)),
        Ok(_) if extension(shown) == "zip" => walk_archive(shown, classes, job, &mut found)?,
        Ok(_) => {
            let kind = if photo::is_photo(shown) { Kind::Photos } else { Kind::Mesh };
            found.shapes.push(Source { path: shown.into(), kind, archive: None, files: vec![shown.into()] });
        }
        Err(error) => {
            let archive = path.ancestors().skip(1).find(|outer| outer.is_file() && is_zip(outer));
            let Some(archive) = archive.and_then(name_of) else { return Err(Error::io(path, error)) };
            walk_archive(archive, classes, job, &mut found)?;
            let inside =
                |name: &str| name.strip_prefix(shown).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            found.shapes.retain(|source| inside(&source.path));
            found.failures.retain(|failure| inside(&failure.path));
            if found == Walk::default() {
                return Err(Error::io(path, error));
            }
        }
    }
    found.failures.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    Ok(found)
}

fn name_of(path: &Path) -> Option<&str> {
    path.to_str()
}

fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// Names that nobody means: hidden files, and what macOS puts into archives.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == "__MACOSX"
}

fn walk_folder(folder: &Path, shown: &str, classes: Classes, job: Job, found: &mut Walk) -> Result<()> {
    let mut names = Vec::new();
    let entries = WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !entry.file_name().to_str().is_some_and(is_hidden));
    for entry in entries {
        job.check()?;
        match entry {
            Ok(entry) if !entry.file_type().is_file() => {}
            Ok(entry) => match entry.path().strip_prefix(folder).ok().and_then(name_of) {
                Some(name) => names.push(name.to_owned()),
                None => found.fail(entry.path().to_string_lossy(), "the name is not UTF-8"),
            },
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_string_lossy().into_owned();
                let reason = match error.loop_ancestor() {
                    Some(outer) => format!("the link leads back to {}", outer.display()),
                    None => error.io_error().map_or_else(|| error.to_string(), ToString::to_string),
                };
                found.fail(path, &reason);
            }
        }
    }
    let prefix = format!("{}/", shown.trim_end_matches('/'));
    let textures = textures::named(&names, |name| read_file(&format!("{prefix}{name}")));
    for group in group(&names, &textures, classes) {
        job.check()?;
        match group {
            Found::Shape { path, kind, files } => found.shapes.push(Source {
                path: format!("{prefix}{path}"),
                kind,
                archive: None,
                files: files.iter().map(|name| format!("{prefix}{name}")).collect(),
            }),
            Found::Archive(name) => {
                let name = format!("{prefix}{name}");
                if let Err(error) = walk_archive(&name, Classes::Unknown, job, found) {
                    found.fail_with(name, error)?;
                }
            }
        }
    }
    Ok(())
}

fn walk_archive(archive: &str, classes: Classes, job: Job, found: &mut Walk) -> Result<()> {
    let mut open = Archive::open(archive)?;
    let mut names = Vec::new();
    for member in open.members() {
        job.check()?;
        match member {
            Ok(name) if name.split('/').any(is_hidden) => {}
            Ok(name) => names.push(name),
            Err((name, error)) => found.fail_with(format!("{archive}/{name}"), error)?,
        }
    }
    names.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    names.dedup();
    let textures = textures::named(&names, |name| open.read(name));
    for group in group(&names, &textures, classes) {
        match group {
            Found::Shape { path, kind, files } => {
                let path = format!("{archive}/{path}");
                found.shapes.push(Source { path, kind, archive: Some(archive.into()), files });
            }
            Found::Archive(name) => {
                found.fail(format!("{archive}/{name}"), "an archive inside an archive is not opened")
            }
        }
    }
    Ok(())
}

impl Walk {
    fn fail(&mut self, path: impl Into<String>, error: &str) {
        self.failures.push(Failure { path: path.into(), error: error.to_owned() });
    }

    /// Takes note of an error, unless the user wants to stop.
    fn fail_with(&mut self, path: impl Into<String>, error: Error) -> Result<()> {
        match error {
            Error::Cancelled => Err(error),
            other => {
                self.fail(path, &other.reason());
                Ok(())
            }
        }
    }
}

fn not_a_file(path: &str) -> Error {
    Error::io(path, std::io::Error::other("neither a file nor a folder"))
}

/// Reads a file. Pipes and devices are refused: they may never end.
fn read_file(path: &str) -> Result<Vec<u8>> {
    if std::fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        return Err(not_a_file(path));
    }
    std::fs::read(path).map_err(|error| Error::io(path, error))
}

/// The name of a file beside another, or below its folder.
fn beside(file: &str, name: &str) -> String {
    match file.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{name}"),
        None => name.to_owned(),
    }
}

impl Source {
    /// Reads the shape.
    ///
    /// # Errors
    /// Those of [`read_mesh`], of the operating system, and for pictures that cannot be decoded, with the
    /// path.
    pub fn load(&self) -> Result<Shape> {
        self.load_from(&mut self.open()?).map_err(|error| error.in_file(&self.path))
    }

    fn load_from(&self, files: &mut Files) -> Result<Shape> {
        match (self.kind, self.files.as_slice()) {
            (Kind::Mesh, [name]) => {
                let bytes = files.read(name)?;
                let files = std::cell::RefCell::new(files);
                read_mesh(&bytes, name, &|other| files.borrow_mut().read(&beside(name, other))).map(Shape::Mesh)
            }
            _ => {
                let decode = |name: &String| photo::decode(&files.read(name)?).map_err(|error| error.in_file(name));
                Ok(Shape::Photos(ViewSet { views: self.files.iter().map(decode).collect::<Result<_>>()? }))
            }
        }
    }

    /// Size and time, without reading contents; those of the buffers beside a `.gltf` count too.
    pub fn stamp(&self) -> Result<Stamp> {
        let mut stamp = Stamp { size: 0, mtime_ns: 0 };
        let paths = match &self.archive {
            Some(archive) => vec![archive.clone()],
            None => {
                let mut paths = self.files.clone();
                let named = self.buffers(&mut Files::Disk)?;
                paths.extend(named.into_iter().filter(|path| Path::new(path).is_file()));
                paths
            }
        };
        for path in &paths {
            let about = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
            let modified = about.modified().map_err(|error| Error::io(path, error))?;
            let since = modified.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
            stamp.size = stamp.size.saturating_add(about.len());
            stamp.mtime_ns = stamp.mtime_ns.max(u64::try_from(since).unwrap_or(u64::MAX));
        }
        Ok(stamp)
    }

    /// A digest (BLAKE3) of the file as it is stored; of all files, each with its length, where there are
    /// several. Names and places do not count, so equal digests are equal shapes.
    pub fn content_hash(&self) -> Result<[u8; 32]> {
        let mut files = self.open()?;
        let mut names = self.files.clone();
        names.extend(self.buffers(&mut files)?);
        let mut hasher = blake3::Hasher::new();
        for name in &names {
            let bytes = match files.read(name) {
                Ok(bytes) => bytes,
                // A buffer that is not there is said when the shape is loaded.
                Err(_) if !self.files.contains(name) => continue,
                Err(error) => return Err(error.in_file(&self.path)),
            };
            if names.len() > 1 {
                hasher.update(&(bytes.len() as u64).to_le_bytes());
            }
            hasher.update(&bytes);
        }
        Ok(hasher.finalize().into())
    }

    /// The files that a `.gltf` keeps its numbers in.
    fn buffers(&self, files: &mut Files) -> Result<Vec<String>> {
        match self.files.as_slice() {
            [name] if self.kind == Kind::Mesh && extension(name) == "gltf" => {
                let bytes = files.read(name).map_err(|error| error.in_file(&self.path))?;
                Ok(external_buffers(&bytes).iter().map(|buffer| beside(name, buffer)).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn open(&self) -> Result<Files> {
        match &self.archive {
            Some(archive) => Ok(Files::Archive(Archive::open(archive)?)),
            None => Ok(Files::Disk),
        }
    }
}

/// Where the files of a source are.
enum Files {
    Disk,
    Archive(Archive),
}

impl Files {
    fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        match self {
            Files::Disk => read_file(name),
            Files::Archive(archive) => archive.read(name),
        }
    }
}

/// A file that [`walk`] takes for a mesh by its name.
fn is_mesh(name: &str) -> bool {
    format_of(name).is_some()
}

#[cfg(test)]
mod tests;
