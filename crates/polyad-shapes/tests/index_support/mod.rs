//! A library without a network: small text files whose words say what their embedding is.
//!
//! `seed noise diagonal` gives the vectors of stream `seed`, moved by `noise` times those of another stream.
#![allow(dead_code)] // Each test file uses its own part.

use polyad_shapes::embedding::Embedding;
use polyad_shapes::index::{Item, Library, Listing, Prepared, Settings};
use polyad_shapes::job::Job;
use polyad_shapes::source::Stamp;
use polyad_shapes::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub const SET: usize = 32;
pub const VIEW: usize = 12;

pub fn settings() -> Settings {
    Settings { identity: "numbers-1".into(), set_width: SET, view_width: VIEW, model: None }
}

/// A stream of numbers in [-1, 1), by splitmix64.
pub fn stream(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x2545_F491_4F6C_DD1D);
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    })
}

/// Vectors of a shape: all share a common part, as embeddings of one network do.
pub fn embedding(seed: u64, noise: f32) -> Embedding {
    let own = |k: u64, width: usize| -> Vec<f32> {
        let noisy = stream(seed * 1000 + k).zip(stream(seed ^ 0xABCD ^ (noise.to_bits() as u64) << 20 | k));
        noisy.take(width).map(|(x, e)| 2.0 + x + noise * e).collect()
    };
    Embedding { set: own(0, SET), views: (1..=3 + seed % 3).map(|k| own(k, VIEW)).collect() }
}

pub struct Folder {
    pub path: PathBuf,
    pub spelled: String,
    pub prepared: AtomicUsize,
    /// Waited for each shape, so that a kill finds something to interrupt.
    pub pause: Duration,
}

pub struct TextFile {
    path: PathBuf,
    spelled: String,
}

impl Folder {
    pub fn new(path: &Path) -> Folder {
        let path = path.to_owned();
        Folder { path, spelled: "parts".into(), prepared: AtomicUsize::new(0), pause: Duration::ZERO }
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// How many shapes were embedded since the last call.
    pub fn take_prepared(&self) -> usize {
        self.prepared.swap(0, Ordering::Relaxed)
    }
}

impl Library for Folder {
    type Item = TextFile;

    fn root(&self) -> &str {
        &self.spelled
    }

    fn place(&self) -> Option<String> {
        Some(self.path.to_str().unwrap().to_owned())
    }

    fn items(&self, _: Job) -> Result<Listing<TextFile>> {
        let mut items = Vec::new();
        let mut folders = vec![(self.path.clone(), self.spelled.clone())];
        while let Some((folder, spelled)) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(|e| Error::io(&folder, e))? {
                let path = entry.map_err(|e| Error::io(&folder, e))?.path();
                let spelled = format!("{spelled}/{}", path.file_name().unwrap().to_str().unwrap());
                if path.is_dir() { folders.push((path, spelled)) } else { items.push(TextFile { path, spelled }) }
            }
        }
        items.sort_by(|a, b| a.spelled.cmp(&b.spelled));
        Ok(Listing { items, failures: Vec::new() })
    }

    fn prepare(&self, items: &[&TextFile], _: Job) -> Vec<Result<Prepared>> {
        items.iter().map(|item| self.prepare_one(item)).collect()
    }
}

impl Folder {
    fn prepare_one(&self, item: &TextFile) -> Result<Prepared> {
        self.prepared.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(self.pause);
        let text = fs::read_to_string(&item.path).map_err(|e| Error::io(&item.path, e))?;
        let words: Vec<f64> = text.split_whitespace().map_while(|w| w.parse().ok()).collect();
        let &[seed, noise, diagonal] = words.as_slice() else {
            return Err(Error::Unsupported(format!("not three numbers: {text}")).in_file(&item.spelled));
        };
        Ok(Prepared {
            embedding: embedding(seed as u64, noise as f32),
            diagonal: Some(diagonal),
            triangles: Some(12),
            thumbnail: format!("picture of {seed}").into_bytes(),
        })
    }
}

impl Item for TextFile {
    fn path(&self) -> &str {
        &self.spelled
    }

    fn stamp(&self) -> Result<Stamp> {
        let metadata = fs::metadata(&self.path).map_err(|e| Error::io(&self.path, e))?;
        let modified = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        Ok(Stamp { size: metadata.len(), mtime_ns: modified.as_nanos() as u64 })
    }

    fn hash(&self) -> Result<[u8; 32]> {
        let bytes = fs::read(&self.path).map_err(|e| Error::io(&self.path, e))?;
        Ok(*blake3::hash(&bytes).as_bytes())
    }
}
