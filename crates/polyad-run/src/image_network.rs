//! An image network ready to run.

use crate::error::{Error, Result, unfit};
use crate::plan::Plan;
use crate::run::{How, Workspace, crop};
use polyad_simd::Level;
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Channels of a picture.
pub const PICTURE: usize = 3;

/// Numbers of all buffers of a group of images: 8 MB, a part of the last cache for each of a few threads. Smaller
/// groups read the weights more often and leave tiles of small maps unfilled.
const GROUP: usize = 2 << 20;

/// A network that turns pictures into vectors, with weights of its own.
#[derive(Debug)]
pub struct ImageNetwork {
    pub(crate) body: Plan,
    /// What follows for all images at once.
    pub(crate) tail: Option<Plan>,
    level: Level,
    /// Of earlier runs, at most as many as there were threads at once.
    workspaces: Mutex<Vec<Workspace>>,
}

impl ImageNetwork {
    /// A network of a plan of pictures and, if there is one, a plan of what it gives: layers whose weights are so many
    /// that reading them costs more than a few images' arithmetic.
    ///
    /// # Errors
    /// Where the body is not of pictures, or the tail of other channels than the body gives.
    pub fn new(body: Plan, tail: Option<Plan>) -> Result<Self> {
        if !body.is_of_pictures() || body.inputs() != PICTURE {
            return unfit(format!("an image network of {} channels, not of pictures of {PICTURE}", body.inputs()));
        }
        if let Some(tail) = &tail
            && (tail.is_of_pictures() || tail.inputs() != body.outputs())
        {
            return unfit(format!("layers of {} channels after {}", tail.inputs(), body.outputs()));
        }
        Ok(ImageNetwork { body, tail, level: polyad_simd::level(), workspaces: Mutex::default() })
    }

    /// The same network on another level than [`polyad_simd::level()`]; on the best below it that the processor has.
    pub fn with_level(self, level: Level) -> Self {
        ImageNetwork { level, ..self }
    }

    /// The same network, which multiplies numbers rounded to bfloat16 and sums them in single precision: by AVX-512
    /// BF16, or slowly in plain code.
    pub fn with_bfloat16(self) -> Self {
        ImageNetwork { body: self.body.rounded(), tail: self.tail.map(Plan::rounded), ..self }
    }

    /// Numbers that a picture becomes.
    pub fn features(&self) -> usize {
        self.tail.as_ref().unwrap_or(&self.body).outputs()
    }

    /// Refuses pictures of a size that the network does not take.
    pub fn check_size(&self, size: [usize; 2]) -> Result<()> {
        let maps = self.body.maps(size)?;
        let end = maps[maps.len() - 1];
        let end = match &self.tail {
            Some(tail) => {
                let maps = tail.maps([end.height, end.width])?;
                maps[maps.len() - 1]
            }
            None => end,
        };
        match (end.height, end.width) {
            (1, 1) => Ok(()),
            (rows, pixels) => unfit(format!("it gives maps of {rows} x {pixels}, not of one pixel")),
        }
    }

    /// Turns pictures, one after the other, into vectors. On the calling thread's pool.
    ///
    /// # Shapes
    /// - pictures: `[n, 3, height, width]`, as `shape` says
    /// - output: `[n, features]`
    ///
    /// # Errors
    /// Where `shape` has another number of channels than 3 or of numbers than `pictures`, or the pictures are so small
    /// that nothing of them is left before the end.
    pub fn run(&self, pictures: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
        let [images, channels, height, width] = shape;
        let picture = [channels, height, width].iter().try_fold(1usize, |product, n| product.checked_mul(*n));
        let picture = picture
            .filter(|len| len.checked_mul(images) == Some(pictures.len()))
            .ok_or_else(|| Error::Pictures(format!("{} numbers are no pictures of shape {shape:?}", pictures.len())))?;
        if channels != PICTURE {
            return Err(Error::Pictures(format!("pictures of {channels} channels, not {PICTURE}")));
        }
        self.check_size([height, width])?;
        if images == 0 {
            return Ok(Vec::new());
        }
        let maps = self.body.maps([height, width])?;
        let threads = rayon::current_num_threads();
        let each = self.body.result_len(&maps);
        let group = (GROUP / self.body.workspace_len(&maps).max(1)).clamp(1, images.div_ceil(threads));
        let mut output = vec![0.0; images * each];
        let run = |(pictures, output): (&[f32], &mut [f32]), threads| {
            let how = How { level: self.level, images: output.len() / each, threads };
            self.with_workspace(|workspace| self.body.run(how, &maps, pictures, output, workspace));
        };
        if threads > 1 && images >= threads {
            let groups = pictures.par_chunks(group * picture).zip(output.par_chunks_mut(group * each));
            groups.for_each(|group| run(group, 1));
        } else {
            pictures.chunks(group * picture).zip(output.chunks_mut(group * each)).for_each(|group| run(group, threads));
        }
        if let Some(tail) = &self.tail {
            let end = maps[maps.len() - 1];
            let maps = tail.maps([end.height, end.width])?;
            let input = std::mem::replace(&mut output, vec![0.0; images * tail.result_len(&maps)]);
            let how = How { level: self.level, images, threads };
            self.with_workspace(|workspace| tail.run(how, &maps, &input, &mut output, workspace));
        }
        Ok(crop(output, images, self.features()))
    }

    fn with_workspace(&self, work: impl FnOnce(&mut Workspace)) {
        // A workspace holds nothing that a panic elsewhere could have left half done.
        let lock = || self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = lock().pop().unwrap_or_default();
        work(&mut workspace);
        lock().push(workspace);
    }
}
