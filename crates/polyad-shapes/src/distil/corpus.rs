//! What is learnt from: generated shapes in random poses, and what the teacher says of their views.
//!
//! Shapes come in groups. What the teacher says of a group is asked once and kept in `FOLDER/NUMBER.f16`, half precision,
//! little endian, view by view; a file appears whole or not at all, so a run that was stopped asks only for the rest.
//! Pictures are cheap beside a network and are drawn anew each time.

use crate::embedding::Embedder;
use crate::error::{Error, Result};
use crate::generate;
use crate::job::Job;
use crate::render::RenderSettings;
use crate::source::Shape;
use crate::train::Turn;
use crate::view_set::ViewSet;
use crate::whole_file;
use half::f16;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Shapes of a group.
const GROUP: u64 = 64;
/// Turns the seed of poses into that of other poses.
const ANOTHER: u64 = 1 << 63;
/// Shapes that the teacher sees at once.
const TAUGHT_AT_ONCE: usize = 8;

/// Generated shapes and their teacher.
pub(super) struct Corpus<'a> {
    teacher: &'a dyn Embedder,
    seed: u64,
    shapes: u64,
    cameras: String,
    folder: PathBuf,
}

impl<'a> Corpus<'a> {
    /// The first so many shapes of a seed, seen by these cameras. What is kept lies in a folder of `cache` that is named
    /// by a digest of all that it follows from.
    pub fn open(teacher: &'a dyn Embedder, (seed, shapes): (u64, u64), cameras: &str, cache: &Path) -> Result<Self> {
        let mut settings = teacher.render_settings().clone();
        settings.views = cameras.to_owned();
        settings.check()?;
        let name = serde_json::json!([teacher.identity(), seed, settings]).to_string();
        let folder = cache.join(&blake3::hash(name.as_bytes()).to_hex()[..16]);
        std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
        Ok(Corpus { teacher, seed, shapes, cameras: cameras.to_owned(), folder })
    }

    /// How many groups there are.
    pub fn groups(&self) -> u64 {
        self.shapes.div_ceil(GROUP)
    }

    /// The View Sets of a group, drawn as `settings` say but for the cameras. Each shape lies in a pose of its own, or, with
    /// `another`, in another pose.
    pub fn views(&self, group: u64, another: bool, settings: &RenderSettings, job: Job) -> Result<Vec<ViewSet>> {
        let settings = RenderSettings { views: self.cameras.clone(), ..settings.clone() };
        let indices: Vec<u64> = (group * GROUP..self.shapes.min((group + 1) * GROUP)).collect();
        let seed = self.seed;
        let draw = |index: u64| {
            let shape = Shape::Mesh(generate::shape(seed, index).mesh);
            let seed = if another { seed ^ ANOTHER } else { seed };
            Turn::Random { seed, k: index }.draw(&shape, &settings, job)
        };
        indices.into_par_iter().map(draw).collect()
    }

    /// What the teacher says of each view of a group, in the order of [`Corpus::views`].
    pub fn taught(&self, group: u64, job: Job) -> Result<Vec<f32>> {
        let path = self.folder.join(format!("{group:06}.f16"));
        let width = self.teacher.view_width();
        if let Ok(bytes) = std::fs::read(&path) {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let numbers: Vec<f32> = pairs.iter().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect();
            // A file of another length is damaged, and made anew.
            if rest.is_empty() && numbers.len().is_multiple_of(width) && !numbers.is_empty() {
                return Ok(numbers);
            }
        }
        let sets = self.views(group, false, self.teacher.render_settings(), job)?;
        let mut numbers = Vec::new();
        for some in sets.chunks(TAUGHT_AT_ONCE) {
            job.check()?;
            let embeddings = self.teacher.embed(some)?;
            numbers.extend(embeddings.into_iter().flat_map(|embedding| embedding.views).flatten());
        }
        let halves: Vec<f16> = numbers.iter().map(|x| f16::from_f32(*x)).collect();
        let bytes: Vec<u8> = halves.iter().flat_map(|x| x.to_le_bytes()).collect();
        whole_file::write(&path, &bytes)?;
        // What was kept is what is learnt, whether it was asked now or before.
        Ok(halves.into_iter().map(f16::to_f32).collect())
    }
}
