//! Values that several commands take, checked while they are parsed.

use clap::Args;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use polyad_shapes::render::{Frame, RenderSettings, SAMPLES, SIZES, Style, cameras};
use std::ops::RangeInclusive;

const STYLES: [(&str, Style); 4] =
    [("lit", Style::Lit), ("depth", Style::Depth), ("normal", Style::Normal), ("silhouette", Style::Silhouette)];
pub const FRAMES: [(&str, Frame); 2] = [("sphere", Frame::Sphere), ("crop", Frame::Crop)];

/// What a model multiplies.
#[derive(Debug, Clone, Copy, Args)]
pub struct PrecisionArgs {
    /// Multiply numbers rounded to bfloat16 where the processor can: up to twice as fast, embeddings off by some thousandths,
    /// EfficientNet's by some hundredths
    #[arg(long)]
    pub bfloat16: bool,
}

/// How shapes become pictures. What is left out is the renderer's, or the recipe's, choice.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pictures")]
pub struct PictureArgs {
    /// Cameras: ring6, ring12 (30° up), dodeca20, or a number of views spread evenly over the sphere
    #[arg(long, value_name = "V", value_parser = views)]
    pub views: Option<String>,
    /// Side of a picture in pixels
    #[arg(long, value_name = "PIXELS", value_parser = within(SIZES))]
    pub size: Option<usize>,
    /// How a view looks
    #[arg(long, value_parser = named(&STYLES))]
    pub style: Option<Style>,
    /// Fit the shape by its bounding sphere, or cut each view to the object
    #[arg(long, value_parser = named(&FRAMES))]
    pub frame: Option<Frame>,
}

impl PictureArgs {
    /// Puts what was asked for in the place of what `settings` say.
    pub fn apply(&self, settings: &mut RenderSettings) {
        settings.views = self.views.clone().unwrap_or_else(|| settings.views.clone());
        settings.size = self.size.unwrap_or(settings.size);
        settings.style = self.style.unwrap_or(settings.style);
        settings.frame = self.frame.unwrap_or(settings.frame);
    }
}

/// A parser that turns each name into its value.
pub fn named<T: Copy + Send + Sync + 'static>(pairs: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(pairs.iter().map(|(name, _)| *name)).try_map(move |given: String| {
        let found = pairs.iter().find(|(name, _)| *name == given);
        found.map(|&(_, value)| value).ok_or("no such name")
    })
}

/// A parser for whole numbers from a range.
pub fn within(range: RangeInclusive<usize>) -> RangedU64ValueParser<usize> {
    let bound = |bound: usize| u64::try_from(bound).unwrap_or(u64::MAX);
    RangedU64ValueParser::new().range(bound(*range.start())..=bound(*range.end()))
}

/// A parser for the number of samples a pixel along an axis.
pub fn samples() -> RangedU64ValueParser<usize> {
    within(SAMPLES)
}

fn views(given: &str) -> Result<String, polyad_shapes::Error> {
    cameras(given).map(|_| given.to_owned())
}
