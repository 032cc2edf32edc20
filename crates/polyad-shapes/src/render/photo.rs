//! Photographs as the views of a model: one size, nothing cut off, nothing stretched.

use super::SIZES;
use crate::error::{Error, Result};
use crate::view_set::{View, ViewSet};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

/// Fits pictures of any shape into white squares of `size` pixels, centred. Channels are kept.
///
/// # Errors
/// [`Error::Invalid`] for a size outside [`SIZES`] and for pictures without pixels, of a number of channels other
/// than 1 and 3, or whose pixels do not match their size.
pub fn fit_photos(photos: &ViewSet, size: usize) -> Result<ViewSet> {
    if !SIZES.contains(&size) {
        let (low, high) = (SIZES.start(), SIZES.end());
        return Err(Error::Invalid(format!("the size of a view is {low} to {high} pixels, not {size}")));
    }
    let views = photos.views.iter().map(|photo| fit_photo(photo, size)).collect::<Result<Vec<View>>>()?;
    Ok(ViewSet { views })
}

fn fit_photo(photo: &View, size: usize) -> Result<View> {
    photo.check()?;
    if (photo.width, photo.height) == (size, size) {
        return Ok(photo.clone());
    }
    let longest = photo.width.max(photo.height);
    // Rounded, and never less than a pixel.
    let scaled = |side: usize| ((2 * side * size + longest) / (2 * longest)).max(1);
    let (width, height) = (scaled(photo.width), scaled(photo.height));
    let small = resized(photo, width, height)?;

    let channels = photo.channels;
    let mut pixels = vec![255; size * size * channels];
    let (left, top) = ((size - width) / 2, (size - height) / 2);
    for (y, row) in small.chunks_exact(width * channels).enumerate() {
        let start = ((top + y) * size + left) * channels;
        pixels[start..start + width * channels].copy_from_slice(row);
    }
    Ok(View { width: size, height: size, channels, pixels })
}

fn resized(photo: &View, width: usize, height: usize) -> Result<Vec<u8>> {
    let refused = |problem: &dyn std::fmt::Display| Error::Invalid(format!("cannot resize a picture: {problem}"));
    let kind = if photo.channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let side = |n: usize| u32::try_from(n).map_err(|e| refused(&e));
    let from = ImageRef::new(side(photo.width)?, side(photo.height)?, &photo.pixels, kind).map_err(|e| refused(&e))?;
    let mut to = Image::new(side(width)?, side(height)?, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&from, &mut to, &options).map_err(|e| refused(&e))?;
    Ok(to.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_is_centred_on_white_and_keeps_its_colours() {
        let pixels = [200u8, 10, 30].repeat(60 * 20);
        let photo = View { width: 60, height: 20, channels: 3, pixels };
        let fitted = fit_photos(&ViewSet { views: vec![photo] }, 30).unwrap().views.remove(0);
        assert_eq!((fitted.width, fitted.height, fitted.channels), (30, 30, 3));
        let coloured = |y: usize| fitted.pixels[y * 90..(y + 1) * 90] == [200u8, 10, 30].repeat(30)[..];
        let white = |y: usize| fitted.pixels[y * 90..(y + 1) * 90].iter().all(|&v| v == 255);
        assert!((0..30).all(|y| if (10..20).contains(&y) { coloured(y) } else { white(y) }));
    }

    #[test]
    fn pictures_that_contradict_themselves_are_refused() {
        for (width, height, channels, bytes) in [(0, 5, 1, 0), (4, 4, 2, 32), (4, 4, 3, 47), (usize::MAX, 2, 3, 6)] {
            let photo = View { width, height, channels, pixels: vec![0; bytes] };
            assert!(fit_photos(&ViewSet { views: vec![photo] }, 32).is_err());
        }
        let thread = View { width: 5000, height: 1, channels: 1, pixels: vec![0; 5000] };
        assert_eq!(fit_photos(&ViewSet { views: vec![thread] }, 32).unwrap().views[0].pixels.len(), 32 * 32);
    }
}
