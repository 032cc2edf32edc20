//! A View Set: pictures of one shape, in no order; and pictures as files.

mod font;
mod sheet;

pub use sheet::sheet;

use crate::error::{At, Error, Result};
use crate::whole_file;
use std::path::{Path, PathBuf};

/// Largest picture that is decoded, in pixels: about what a camera takes.
const MOST_PIXELS: u64 = 1 << 28;

/// One picture, 8 bits a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (grey) or 3 (red, green, blue) numbers a pixel.
    pub channels: usize,
    /// `height * width * channels` numbers, row by row, channels innermost.
    pub pixels: Vec<u8>,
}

/// Any number (at least one) of pictures of one shape. Their order carries nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSet {
    /// The pictures, all of one size.
    pub views: Vec<View>,
}

impl View {
    /// Refuses a picture without pixels, or whose pixels are not as many as its size says.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check(&self) -> Result<()> {
        let View { width, height, channels, ref pixels } = *self;
        let expected = width.checked_mul(height).and_then(|n| n.checked_mul(channels));
        if matches!(channels, 1 | 3) && width > 0 && height > 0 && expected == Some(pixels.len()) {
            return Ok(());
        }
        let found = pixels.len();
        Err(Error::Invalid(format!("a picture of {width} x {height} pixels, {channels} channels and {found} bytes")))
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// Those of [`View::check`].
    pub fn to_png(&self) -> Result<Vec<u8>> {
        self.check()?;
        let refused = |e: &dyn std::fmt::Display| Error::Invalid(format!("cannot write a picture: {e}"));
        let side = |n: usize| u32::try_from(n).map_err(|e| refused(&e));
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, side(self.width)?, side(self.height)?);
        encoder.set_color(if self.channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(|e| refused(&e))?;
        writer.write_image_data(&self.pixels).map_err(|e| refused(&e))?;
        writer.finish().map_err(|e| refused(&e))?;
        Ok(bytes)
    }

    /// The picture in a PNG or JPEG file. Grey stays grey, all else becomes red, green, blue; what is transparent
    /// is laid on white; 16 bits become 8.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what is no such file; [`Error::Unsupported`] for one of more than 2^28 pixels,
    /// before memory is taken.
    pub fn from_image(bytes: &[u8]) -> Result<View> {
        let malformed = |e: image::ImageError| Error::malformed(At::File, format!("no readable picture: {e}"));
        let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
        let reader = reader.map_err(|e| malformed(e.into()))?;
        let decoder = reader.into_decoder().map_err(malformed)?;
        let (width, height) = image::ImageDecoder::dimensions(&decoder);
        if u64::from(width) * u64::from(height) > MOST_PIXELS {
            return Err(Error::Unsupported(format!("a picture of {width} x {height} pixels")));
        }
        let decoded = image::DynamicImage::from_decoder(decoder).map_err(malformed)?;
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        let colour = decoded.color();
        let view = if colour.has_alpha() {
            let on_white = |p: &[u8]| {
                let alpha = u32::from(p[3]);
                [0, 1, 2].map(|k| ((u32::from(p[k]) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
            };
            let pixels = decoded.into_rgba8().chunks_exact(4).flat_map(on_white).collect();
            View { width, height, channels: 3, pixels }
        } else if colour.has_color() {
            View { width, height, channels: 3, pixels: decoded.into_rgb8().into_raw() }
        } else {
            View { width, height, channels: 1, pixels: decoded.into_luma8().into_raw() }
        };
        view.check()?;
        Ok(view)
    }
}

/// Writes `STEM_001.png` and so on into a folder, which is made where it is missing, and says which files. Each
/// appears whole or not at all.
///
/// # Errors
/// [`Error::Io`], and those of [`View::check`].
pub fn write_views(folder: &Path, stem: &str, set: &ViewSet) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let file = |(i, view): (usize, &View)| {
        let path = folder.join(format!("{stem}_{:03}.png", i + 1));
        whole_file::write(&path, &view.to_png()?)?;
        Ok(path)
    };
    set.views.iter().enumerate().map(file).collect()
}

/// Writes a picture as a PNG file, which appears whole or not at all.
///
/// # Errors
/// [`Error::Io`], and those of [`View::check`].
pub fn write_view(path: &Path, view: &View) -> Result<()> {
    whole_file::write(path, &view.to_png()?)
}

#[cfg(test)]
mod tests;
