//! View Sets on disk, rendered once.
//!
//! A file is named by a digest of the shape's content, the render settings and the rotation, so a changed shape or
//! setting finds nothing old. Layout: `PVS1`, then as little-endian 32-bit numbers the views, the width, the height and
//! the channels, then the digest (32 bytes) of the pixels, then the pixels, compressed by zlib. A file that is damaged
//! is made anew.

use crate::draw::view_set;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::normalise::{Rotation, random_rotation};
use crate::render::RenderSettings;
use crate::source::{Kind, Shape, Source};
use crate::view_set::{View, ViewSet};
use crate::whole_file;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rayon::prelude::*;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"PVS1";
const HEADER: usize = 4 + 4 * 4 + 32;
/// No View Set has more pixels: 1,000 views of 2,048 x 2,048 with 3 channels would be 12 GB; this is one in three.
const MOST: usize = 1 << 32;

/// A View Set that lies in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// Where it lies below a folder: the first two of its 64 hexadecimal digits are a folder of their own.
    pub(super) fn below(self, folder: &Path, ending: &str) -> PathBuf {
        let name = blake3::Hash::from_bytes(self.0).to_hex();
        folder.join(&name[..2]).join(format!("{}{ending}", &name[2..]))
    }

    /// A key for tests.
    #[cfg(test)]
    pub(super) fn of(bytes: &[u8]) -> Self {
        Key(blake3::hash(bytes).into())
    }
}

/// How a shape is turned before it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// As it lies in its file.
    AsIs,
    /// The `k`-th random rotation of a seed.
    Random {
        /// The seed.
        seed: u64,
        /// Which one.
        k: u64,
    },
}

impl Turn {
    /// The View Set of a shape in this turn.
    pub(crate) fn draw(self, shape: &Shape, settings: &RenderSettings, job: Job) -> Result<ViewSet> {
        view_set(shape, settings, self.rotation().as_ref(), job)
    }

    fn rotation(self) -> Option<Rotation> {
        match self {
            Turn::AsIs => None,
            Turn::Random { seed, k } => Some(random_rotation(seed, k)),
        }
    }
}

/// A folder of View Sets.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    settings: RenderSettings,
    settings_text: String,
}

impl Cache {
    /// Uses a folder, made if it does not exist, for View Sets of these settings.
    pub fn open(folder: &Path, settings: &RenderSettings) -> Result<Self> {
        settings.check()?;
        std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        let settings_text = serde_json::to_string(settings).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Cache { folder: folder.to_owned(), settings: settings.clone(), settings_text })
    }

    /// Sees to it that shapes lie in the cache, in each of the turns, and gives their keys, or why there are none.
    /// Photographs have only the first turn. One step of the job for each shape.
    pub fn fill(&self, shapes: &[&Source], turns: &[Turn], job: Job) -> Result<Vec<Result<Vec<Key>>>> {
        job.reporter().begin("views", shapes.len() as u64);
        let keys: Vec<Result<Vec<Key>>> = shapes
            .par_iter()
            .map(|source| {
                job.check()?;
                let keys = self.fill_one(source, turns, job).map_err(|error| error.in_file(&source.path));
                job.reporter().advance(1);
                keys
            })
            .collect();
        job.reporter().end();
        job.check()?;
        Ok(keys)
    }

    /// The View Set of a shape in a turn, from the cache or made for it.
    pub fn views(&self, source: &Source, turn: Turn, job: Job) -> Result<ViewSet> {
        let keys = self.fill_one(source, &[turn], job)?;
        let key = keys.first().ok_or_else(|| Error::Invalid("no turn was asked for".into()))?;
        self.load(*key)
    }

    fn fill_one(&self, source: &Source, turns: &[Turn], job: Job) -> Result<Vec<Key>> {
        let turns = if source.kind == Kind::Photos { &turns[..turns.len().min(1)] } else { turns };
        let content = source.content_hash()?;
        let mut shape = None;
        turns
            .iter()
            .map(|turn| {
                let key = self.key(&content, *turn);
                if self.load(key).is_err() {
                    let shape = match &shape {
                        Some(shape) => shape,
                        None => shape.insert(source.load()?),
                    };
                    let views = turn.draw(shape, &self.settings, job).map_err(|error| error.in_file(&source.path))?;
                    self.store(key, &views)?;
                }
                Ok(key)
            })
            .collect()
    }

    fn key(&self, content: &[u8; 32], turn: Turn) -> Key {
        let mut hasher = blake3::Hasher::new();
        hasher.update(content).update(self.settings_text.as_bytes());
        if let Turn::Random { seed, k } = turn {
            hasher.update(&seed.to_le_bytes()).update(&k.to_le_bytes());
        }
        Key(hasher.finalize().into())
    }

    fn path(&self, key: Key) -> PathBuf {
        key.below(&self.folder, ".views")
    }

    /// Reads a View Set.
    pub fn load(&self, key: Key) -> Result<ViewSet> {
        let path = self.path(key);
        let bytes = std::fs::read(&path).map_err(|error| Error::io(&path, error))?;
        decode(&bytes).ok_or_else(|| Error::Invalid(format!("{}: damaged", path.display())))
    }

    fn store(&self, key: Key, views: &ViewSet) -> Result<()> {
        let path = self.path(key);
        let bytes = encode(views).map_err(|error| Error::io(&path, error))?;
        whole_file::write_cached(&path, &bytes)
    }
}

fn encode(set: &ViewSet) -> std::io::Result<Vec<u8>> {
    // Photographs of a set may differ in channels; the cache keeps them alike.
    let channels = set.views.iter().map(|view| view.channels).max().unwrap_or(1);
    let (width, height) = set.views.first().map_or((0, 0), |view| (view.width, view.height));
    let pixels: Vec<u8> = set
        .views
        .iter()
        .flat_map(|view| {
            let copies = channels / view.channels.max(1);
            view.pixels.iter().flat_map(move |pixel| std::iter::repeat_n(*pixel, copies))
        })
        .collect();
    let mut bytes = MAGIC.to_vec();
    for number in [set.views.len(), width, height, channels] {
        bytes.extend_from_slice(&(number as u32).to_le_bytes());
    }
    bytes.extend_from_slice(blake3::hash(&pixels).as_bytes());
    let mut encoder = ZlibEncoder::new(bytes, Compression::fast());
    encoder.write_all(&pixels)?;
    encoder.finish()
}

fn decode(bytes: &[u8]) -> Option<ViewSet> {
    let body = bytes.get(HEADER..)?;
    let number = |index: usize| {
        let at = MAGIC.len() + 4 * index;
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
    };
    let (count, width, height, channels) = (number(0)?, number(1)?, number(2)?, number(3)?);
    let view = width.checked_mul(height)?.checked_mul(channels)?;
    let total = view.checked_mul(count).filter(|total| *total > 0 && *total < MOST)?;
    let mut pixels = Vec::new();
    ZlibDecoder::new(body).take(total as u64 + 1).read_to_end(&mut pixels).ok()?;
    let intact = pixels.len() == total
        && bytes.starts_with(MAGIC)
        && blake3::hash(&pixels).as_bytes() == &bytes[HEADER - 32..HEADER];
    let views = pixels.chunks_exact(view).map(|pixels| View { width, height, channels, pixels: pixels.to_vec() });
    intact.then(|| ViewSet { views: views.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_sets_come_back_and_damage_is_seen() {
        let grey = View { width: 3, height: 2, channels: 1, pixels: (0..6).collect() };
        let set = ViewSet { views: vec![grey.clone(), grey] };
        let bytes = encode(&set).expect("memory");
        assert_eq!(decode(&bytes).as_ref(), Some(&set));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
        }
        for at in 0..HEADER {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x11;
            assert_ne!(decode(&damaged), Some(set.clone()), "byte {at}");
        }
    }

    #[test]
    fn pictures_of_one_set_are_kept_with_as_many_channels_as_the_richest() {
        let grey = View { width: 1, height: 1, channels: 1, pixels: vec![7] };
        let colour = View { width: 1, height: 1, channels: 3, pixels: vec![1, 2, 3] };
        let back = decode(&encode(&ViewSet { views: vec![grey, colour.clone()] }).expect("memory")).expect("intact");
        assert_eq!(back.views, [View { channels: 3, pixels: vec![7, 7, 7], ..colour.clone() }, colour]);
    }
}
