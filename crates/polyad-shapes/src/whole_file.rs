//! Files that appear whole or not at all: written under another name in the same folder, then renamed.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// `NAME.ending` beside a file or folder, whatever its own ending: where what is made along with it lies.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Writes a file of these bytes, in place of what may be there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |mut file| file.write_all(bytes).map_err(|error| Error::io(path, error)))
}

/// Writes what `fill` puts into the file. If it fails, nothing has changed.
pub fn write_with(path: &Path, fill: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".polyad-");
    // Temporary files are private; these are to be as open as any other new file of the user's.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder).map_err(|error| Error::io(path, error))?;
    fill(file.as_file())?;
    // Without it a power cut could leave the name with nothing behind it.
    file.as_file().sync_all().map_err(|error| Error::io(path, error))?;
    file.persist(path).map_err(|error| Error::io(path, error.error))?;
    Ok(())
}

/// Writes a file of a cache, and the folder that it lies in. Not synced: whoever reads it compares a digest, so that one which a
/// power cut spoils is made anew.
pub fn write_cached(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error| Error::io(path, error);
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        write(&path, b"old").expect("a new file");
        let failed = write_with(&path, |mut file| {
            file.write_all(b"half").expect("room");
            Err(Error::Cancelled)
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).expect("still there"), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
        write(&path, b"new").expect("it is replaced");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
    }
}
