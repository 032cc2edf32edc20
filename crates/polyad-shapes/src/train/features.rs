//! What an image network that stays as it is says of the views of shapes, on disk, computed once.
//!
//! ```text
//! CACHE/features-MODEL/AB/CDEF...   AB CDEF...: the key of a View Set
//! file:  32 bytes of BLAKE3 of the rest, then little-endian single precision, view by view
//! MODEL: a digest of the image network and of the instruction set, whose roundings differ
//! ```
//!
//! A file that is damaged is computed anew.

use super::cache::Key;
use crate::error::Result;
use crate::whole_file;
use std::path::{Path, PathBuf};

const DIGEST: usize = 32;

/// A folder of features of one image network.
#[derive(Debug)]
pub(super) struct Features {
    folder: PathBuf,
}

impl Features {
    /// Uses a folder inside that of the pictures, for features of the image network of this digest.
    pub fn open(cache: &Path, sees: &str) -> Self {
        let name = blake3::hash(format!("{sees} {}", polyad_simd::level()).as_bytes()).to_hex();
        Features { folder: cache.join(format!("features-{}", &name[..16])) }
    }

    fn path(&self, key: Key) -> PathBuf {
        key.below(&self.folder, "")
    }

    /// The features of a View Set, if they are there, sound, and of views of so many numbers.
    pub fn load(&self, key: Key, width: usize) -> Option<Vec<f32>> {
        let bytes = std::fs::read(self.path(key)).ok()?;
        let (digest, numbers) = bytes.split_at_checked(DIGEST)?;
        let (numbers, rest) = numbers.as_chunks::<4>();
        let whole = rest.is_empty() && !numbers.is_empty() && numbers.len().is_multiple_of(width);
        let sound = whole && digest == blake3::hash(numbers.as_flattened()).as_bytes();
        sound.then(|| numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Keeps the features of a View Set.
    pub fn store(&self, key: Key, features: &[f32]) -> Result<()> {
        let numbers: Vec<u8> = features.iter().flat_map(|number| number.to_le_bytes()).collect();
        let digest = blake3::hash(&numbers);
        whole_file::write_cached(&self.path(key), &[digest.as_bytes(), &numbers[..]].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_what_is_damaged_or_foreign_does_not() {
        let root = tempfile::tempdir().expect("a folder");
        let (features, other) = (Features::open(root.path(), "one"), Features::open(root.path(), "another"));
        let key = Key::of(b"a View Set");
        let numbers: Vec<f32> = (0..12).map(|i| i as f32 / 7.0).collect();
        assert_eq!(features.load(key, 4), None);
        features.store(key, &numbers).expect("it is kept");
        assert_eq!(features.load(key, 4), Some(numbers));
        assert_eq!(features.load(key, 5), None, "12 numbers are no views of 5");
        assert_eq!(other.load(key, 4), None);
        let path = features.path(key);
        let mut bytes = std::fs::read(&path).expect("the file");
        *bytes.last_mut().expect("a byte") ^= 1;
        std::fs::write(&path, &bytes).expect("damaged");
        assert_eq!(features.load(key, 4), None);
        std::fs::write(&path, &bytes[..20]).expect("cut short");
        assert_eq!(features.load(key, 4), None);
    }
}
