//! Pictures as PNG, on disk and in sheets.

use super::*;

fn gradient(width: usize, height: usize, channels: usize) -> View {
    let pixels = (0..width * height * channels).map(|i| (i * 7 % 251) as u8).collect();
    View { width, height, channels, pixels }
}

#[test]
fn a_png_reads_back_as_it_was() {
    for view in [gradient(17, 5, 1), gradient(3, 40, 3), gradient(1, 1, 3)] {
        assert_eq!(View::from_image(&view.to_png().unwrap()).unwrap(), view);
    }
}

#[test]
fn transparent_pixels_are_laid_on_white() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 3, 1);
    encoder.set_color(png::ColorType::Rgba);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[9, 9, 9, 0, 100, 0, 200, 255, 0, 0, 0, 128]).unwrap();
    writer.finish().unwrap();
    assert_eq!(View::from_image(&bytes).unwrap().pixels, [255, 255, 255, 100, 0, 200, 127, 127, 127]);
}

#[test]
fn damaged_and_gigantic_pictures_are_refused() {
    let png = gradient(64, 64, 3).to_png().unwrap();
    for cut in [0, 1, 8, 20, 33, png.len() / 2] {
        assert!(View::from_image(&png[..cut]).is_err(), "{cut} bytes");
    }
    // A header that promises 4 * 10^9 pixels, with a right checksum, and nothing behind it.
    let mut bytes = Vec::new();
    let mut writer = png::Encoder::new(&mut bytes, 65_000, 65_000).write_header().unwrap();
    writer.write_chunk(png::chunk::IDAT, &[]).unwrap();
    drop(writer);
    assert!(matches!(View::from_image(&bytes), Err(Error::Unsupported(_))));
}

#[test]
fn views_are_numbered_files_that_replace_older_ones_and_leave_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("new/deep");
    for side in [3, 4] {
        let set = ViewSet { views: vec![gradient(side, side, 1), gradient(side, side, 3)] };
        let files = write_views(&inner, "part.v2", &set).unwrap();
        let names: Vec<_> = std::fs::read_dir(&inner).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(names.len(), 2);
        assert!(files.iter().all(|f| names.contains(f)) && files[1].ends_with("part.v2_002.png"));
        assert_eq!(View::from_image(&std::fs::read(&files[1]).unwrap()).unwrap(), set.views[1]);
    }
}

#[test]
fn a_sheet_holds_every_picture_and_its_caption_whatever_their_length() {
    let (grey, colour) = (gradient(40, 30, 1), gradient(20, 30, 3));
    let long = "a_name_that_is_far_too_long_for_its_picture.stl\n0.98";
    let sheet = sheet(&[(&grey, long), (&colour, "ö"), (&grey, "")], 2).unwrap();
    assert_eq!((sheet.channels, sheet.width), (3, 2 * 48 + 8));
    let at = |x: usize, y: usize| &sheet.pixels[(y * sheet.width + x) * 3..][..3];
    assert!((0..30).all(|y| (0..40).all(|x| at(8 + x, 8 + y) == [grey.pixels[y * 40 + x]; 3])));
    assert!((0..30).all(|y| (0..20).all(|x| at(66 + x, 8 + y) == &colour.pixels[(y * 20 + x) * 3..][..3])));
    let black = |left: usize| (0..20).any(|y| (0..40).any(|x| at(left + x, 38 + y) == [0, 0, 0]));
    assert!(black(8) && black(56), "captions are written");
    assert!(super::sheet(&[], 3).is_err() && super::sheet(&[(&grey, "")], 0).is_err());
}
