//! A whole network: View Sets in, embeddings and classes out.
//!
//! ```text
//! pictures --image network, projection--> d numbers a view --encoder--> the same, aware of each other
//!          --transition--> maximum, then mean, over the views: 2 d numbers --head--> classes
//! ```

use crate::encoder::Block;
use crate::error::{Error, Result, unfit};
use crate::image_network::{ImageNetwork, PICTURE};
use crate::linear::{Affine, Linear};
use polyad_simd::Level;

/// Sides of views that a file may say, in pixels.
const LARGEST_VIEW: usize = 1 << 12;

/// How pixels become numbers: `(pixel · scale − mean) / deviation`, per channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// Side of a view in pixels.
    pub size: usize,
    /// What a pixel, 0 to 255, is multiplied by.
    pub scale: f32,
    /// Subtracted; red, green, blue.
    pub mean: [f32; PICTURE],
    /// Divided by; red, green, blue.
    pub deviation: [f32; PICTURE],
}

/// From the image network's numbers to those of a view.
#[derive(Debug)]
pub struct Projection {
    /// With its norm folded in.
    pub linear: Linear,
    /// Whether numbers below zero are cut off.
    pub rectified: bool,
}

/// Norm, ReLU, linear.
#[derive(Debug)]
pub struct HeadLayer {
    /// Absent in a head of one layer, and with it the ReLU.
    pub norm: Option<Affine>,
    /// To the next width.
    pub linear: Linear,
}

/// The parts of a [`Network`].
#[derive(Debug)]
pub struct Parts {
    /// Free text for whoever uses the network: polyad writes the model's settings and classes, as JSON.
    pub description: String,
    /// How pixels become numbers.
    pub input: Input,
    /// Looks at each view alone.
    pub images: ImageNetwork,
    /// Where the image network's numbers are not those of a view.
    pub projection: Option<Projection>,
    /// Lets the views of a shape take notice of each other.
    pub blocks: Vec<Block>,
    /// From the transition to classes, or empty: the network only embeds.
    pub head: Vec<HeadLayer>,
}

/// A network ready to run. On the calling thread's pool of threads; the bytes do not depend on their number.
#[derive(Debug)]
pub struct Network {
    pub(crate) parts: Parts,
    level: Level,
}

impl Network {
    /// Joins parts. Those that do not fit together are refused, by their sizes.
    pub fn new(parts: Parts) -> Result<Self> {
        let Input { size, scale, mean, deviation } = parts.input;
        if !(1..=LARGEST_VIEW).contains(&size) {
            return unfit(format!("views of {size} pixels; 1 to {LARGEST_VIEW} can be"));
        }
        let numbers = mean.iter().chain(&deviation).chain([&scale]);
        if !numbers.into_iter().all(|x| x.is_finite()) || deviation.contains(&0.0) {
            return unfit(format!("pixels · {scale} − {mean:?}, over {deviation:?}"));
        }
        parts.images.check_size([size, size])?;
        let features = parts.images.features();
        if let Some(Projection { linear, .. }) = &parts.projection
            && linear.inputs != features
        {
            return unfit(format!("a projection of {} numbers, where there are {features}", linear.inputs));
        }
        let network = Network { parts, level: polyad_simd::level() };
        let dim = network.dim();
        network.parts.blocks.iter().try_for_each(|block| block.check(dim))?;
        let mut width = 2 * dim;
        for HeadLayer { norm, linear } in &network.parts.head {
            let norm = norm.as_ref().map_or(width, |norm| norm.scale.len());
            if (norm, linear.inputs) != (width, width) {
                return unfit(format!("a head's norm of {norm} and map of {} after {width} numbers", linear.inputs));
            }
            width = linear.outputs;
        }
        Ok(network)
    }

    /// The same network on another level than [`polyad_simd::level()`]; on the best below it that the processor has.
    pub fn with_level(self, level: Level) -> Self {
        let parts = Parts { images: self.parts.images.with_level(level), ..self.parts };
        Network { parts, level }
    }

    /// The text that came with the network: of a model of polyad's its settings and classes, as JSON.
    pub fn description(&self) -> &str {
        &self.parts.description
    }

    /// How pixels become numbers.
    pub fn input(&self) -> &Input {
        &self.parts.input
    }

    /// Numbers a view.
    pub fn dim(&self) -> usize {
        self.parts.projection.as_ref().map_or(self.parts.images.features(), |projection| projection.linear.outputs)
    }

    /// Classes; 0 where it only embeds.
    pub fn classes(&self) -> usize {
        self.parts.head.last().map_or(0, |layer| layer.linear.outputs)
    }

    /// Turns views into vectors, each alone.
    ///
    /// # Shapes
    /// - views: `[n, 3, height, width]`, as `shape` says, normalised
    /// - output: `[n, dim]`
    ///
    /// # Errors
    /// Views that are not of that shape, or too small for the image network.
    pub fn features(&self, views: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
        let features = self.parts.images.run(views, shape)?;
        let Some(Projection { linear, rectified }) = &self.parts.projection else { return Ok(features) };
        let mut features = linear.run(self.level, &features);
        if *rectified {
            features.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        Ok(features)
    }

    /// Turns the vectors of a shape's views, as [`Network::features`] gives them, into its embedding: the maximum, then
    /// the mean, over the views that have taken notice of each other.
    ///
    /// # Shapes
    /// - features: `[views, dim]`
    /// - output: `[2 * dim]`
    ///
    /// # Errors
    /// No views, or numbers that are no rows of `dim`.
    pub fn encode(&self, features: Vec<f32>) -> Result<Vec<f32>> {
        let dim = self.dim();
        if features.is_empty() || !features.len().is_multiple_of(dim) {
            return Err(Error::Pictures(format!("{} numbers are no views of {dim} numbers each", features.len())));
        }
        let views = self.parts.blocks.iter().try_fold(features, |x, block| block.run(self.level, x))?;
        let (mut embedding, count) = (vec![f32::NEG_INFINITY; dim], (views.len() / dim) as f32);
        let mut sum = vec![0.0; dim];
        for view in views.chunks_exact(dim) {
            for ((most, sum), x) in embedding.iter_mut().zip(&mut sum).zip(view) {
                (*most, *sum) = (most.max(*x), *sum + x);
            }
        }
        embedding.extend(sum.into_iter().map(|sum| sum / count));
        Ok(embedding)
    }

    /// The embedding of one View Set.
    ///
    /// # Shapes
    /// - views: `[views, 3, height, width]`, as `shape` says, normalised
    /// - output: `[2 * dim]`
    ///
    /// # Errors
    /// As [`Network::features`] and [`Network::encode`].
    pub fn embed(&self, views: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
        self.encode(self.features(views, shape)?)
    }

    /// A score for each class of one View Set.
    ///
    /// # Shapes
    /// - views: as in [`Network::embed`]
    /// - output: `[classes]`
    ///
    /// # Errors
    /// As [`Network::embed`], and [`Error::NoClasses`].
    pub fn logits(&self, views: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
        if self.parts.head.is_empty() {
            return Err(Error::NoClasses);
        }
        let embedding = self.embed(views, shape)?;
        Ok(self.parts.head.iter().fold(embedding, |x, layer| match &layer.norm {
            Some(norm) => layer.linear.run(self.level, &norm.rectified(&x)),
            None => layer.linear.run(self.level, &x),
        }))
    }
}

impl Input {
    /// Turns views of this size into numbers. Grey views become three equal channels.
    ///
    /// # Shapes
    /// - pixels: `[n, size, size, channels]`, one or three channels
    /// - output: `[n, 3, size, size]`
    ///
    /// # Errors
    /// Another number of channels, or pixels that are no whole views.
    pub fn numbers(&self, pixels: &[u8], channels: usize) -> Result<Vec<f32>> {
        let plane = self.size * self.size;
        if !matches!(channels, 1 | PICTURE) || !pixels.len().is_multiple_of(plane * channels) {
            let size = self.size;
            return Err(Error::Pictures(format!(
                "{} pixels of {channels} channels are no views of {size} x {size}",
                pixels.len()
            )));
        }
        let mut numbers = Vec::with_capacity(pixels.len() / channels * PICTURE);
        for view in pixels.chunks_exact(plane * channels) {
            for channel in 0..PICTURE {
                let deviation = self.deviation[channel];
                let (scale, shift) = (self.scale / deviation, self.mean[channel] / deviation);
                let own = view.iter().skip(if channels == PICTURE { channel } else { 0 }).step_by(channels);
                numbers.extend(own.map(|pixel| f32::from(*pixel) * scale - shift));
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_and_coloured_pixels_become_planes() {
        let input = Input { size: 2, scale: 0.5, mean: [1.0, 2.0, 3.0], deviation: [1.0, 2.0, 4.0] };
        let grey = input.numbers(&[0, 2, 4, 6], 1).expect("one grey view");
        assert_eq!(grey, [-1.0, 0.0, 1.0, 2.0, -1.0, -0.5, 0.0, 0.5, -0.75, -0.5, -0.25, 0.0]);
        let spread: Vec<u8> = [0u8, 2, 4, 6].iter().flat_map(|pixel| [*pixel; 3]).collect();
        assert_eq!(input.numbers(&spread, 3).expect("the same in colour"), grey);
        assert!(input.numbers(&[0; 5], 1).is_err() && input.numbers(&[0; 8], 2).is_err());
    }
}
