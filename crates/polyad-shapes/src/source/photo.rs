//! Pictures as views.

use crate::error::{At, Error, Result};
use crate::view_set::View;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use std::io::Cursor;

/// Sides longer than this are reduced to it.
const LONGEST_SIDE: u32 = 1024;
/// The longest side that is decoded at all.
const LONGEST_DECODED: u32 = 1 << 15;
/// The most bytes that a decoded picture may have: 85 megapixels in colour.
const MOST_MEMORY: u64 = 256 << 20;

/// A file that is a picture by its name.
pub fn is_photo(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Decodes a picture: upright as its camera was held, on white where it is transparent, at most
/// [`LONGEST_SIDE`] pixels a side. Grey pictures keep one channel.
pub fn decode(bytes: &[u8]) -> Result<View> {
    let unreadable = |error: image::ImageError| Error::malformed(At::File, format!("picture: {error}"));
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Error::malformed(At::File, format!("picture: {error}")))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_DECODED);
    limits.max_image_height = Some(LONGEST_DECODED);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    if decoder.total_bytes() > MOST_MEMORY {
        let (width, height) = decoder.dimensions();
        return Err(Error::Unsupported(format!("pictures of {width} x {height} pixels")));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    if picture.width().max(picture.height()) > LONGEST_SIDE {
        picture = picture.thumbnail(LONGEST_SIDE, LONGEST_SIDE);
    }
    picture.apply_orientation(orientation);
    Ok(view(&picture))
}

fn view(picture: &DynamicImage) -> View {
    let channels = if picture.color().has_color() { 3 } else { 1 };
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels = match (picture.color().has_alpha(), channels) {
        (false, 1) => picture.to_luma8().into_raw(),
        (false, _) => picture.to_rgb8().into_raw(),
        (true, 1) => picture.to_luma_alpha8().pixels().map(|p| on_white(p.0[0], p.0[1])).collect(),
        (true, _) => picture
            .to_rgba8()
            .pixels()
            .flat_map(|p| [p.0[0], p.0[1], p.0[2]].map(|value| on_white(value, p.0[3])))
            .collect(),
    };
    View { width, height, channels, pixels }
}

fn on_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}
