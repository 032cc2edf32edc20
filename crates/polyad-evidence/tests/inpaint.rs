//! Masks, the harmonic fill and the measures on real photographs, against figures that other programs computed: masks by
//! their CRC-32 and counts, the fill and its likeness by SciPy and scikit-image. Skipped, with a message, without the shared files.

use image::RgbImage;
use polyad_evidence::inpaint::measure::{Likeness, likeness};
use polyad_evidence::inpaint::{Mask, harmonic};
use rayon::prelude::*;
use std::path::PathBuf;

/// The last eighteen photographs, in byte order of names.
fn photographs() -> Option<Vec<RgbImage>> {
    let shared = std::env::var_os("POLYAD_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let folder = shared.join("data/bsd68");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("not run: there are no photographs beside the project");
        return None;
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    paths.sort();
    Some(paths.split_off(50).iter().map(|path| image::open(path).expect("a photograph").to_rgb8()).collect())
}

fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

fn filled(photograph: &RgbImage, mask: &Mask) -> RgbImage {
    let raw = photograph.as_raw();
    let mut planes: Vec<Vec<f32>> =
        (0..3).map(|channel| raw.iter().skip(channel).step_by(3).map(|value| f32::from(*value)).collect()).collect();
    harmonic::fill(&mut planes, mask);
    RgbImage::from_fn(photograph.width(), photograph.height(), |x, y| {
        let at = y as usize * mask.width + x as usize;
        image::Rgb([0, 1, 2].map(|channel: usize| planes[channel][at].round().clamp(0.0, 255.0) as u8))
    })
}

#[test]
fn masks_are_those_of_the_definition() {
    let Some(photographs) = photographs() else { return };
    let masks: Vec<Mask> = photographs
        .iter()
        .zip(1000..)
        .map(|(photograph, seed)| Mask::free_form(photograph.width() as usize, photograph.height() as usize, seed))
        .collect();
    let counts: Vec<usize> = masks.iter().map(Mask::missing).collect();
    let wanted = [
        34214, 31720, 32932, 31336, 31646, 32572, 31611, 32819, 31196, 31079, 31586, 31005, 32163, 32455, 31914, 33542,
        32560, 33207,
    ];
    assert_eq!(counts, wanted);
    let crc = |mask: &Mask| crc32(mask.holes.iter().map(|hole| u8::from(*hole)));
    assert_eq!((crc(&masks[0]), crc(&masks[17])), (0xc584_c04c, 0x6c83_a164));
    let corners: Vec<(usize, usize)> = photographs[..3]
        .iter()
        .zip(2000..)
        .map(|(photograph, seed)| {
            let width = photograph.width() as usize;
            let mask = Mask::square(width, photograph.height() as usize, seed).expect("there is room");
            let first = mask.holes.iter().position(|hole| *hole).expect("a box");
            (first % width, first / width)
        })
        .collect();
    assert_eq!(corners, [(321, 1), (208, 148), (302, 114)]);
}

#[test]
fn the_harmonic_fill_has_its_known_likeness() {
    let Some(photographs) = photographs() else { return };
    let mean = |mask: &(dyn Fn(usize, usize, u64) -> Mask + Sync)| -> Likeness {
        let of = |(index, photograph): (usize, &RgbImage)| {
            let mask = mask(photograph.width() as usize, photograph.height() as usize, index as u64);
            likeness(photograph, &filled(photograph, &mask), &mask)
        };
        let each: Vec<Likeness> = photographs.par_iter().enumerate().map(of).collect();
        let mean = |number: fn(&Likeness) -> f64| each.iter().map(number).sum::<f64>() / each.len() as f64;
        Likeness { psnr: mean(|each| each.psnr), ssim: mean(|each| each.ssim) }
    };
    // The solvers agree to a thousandth of a grey level, so a pixel in a thousand may round the other way: 1e-3 dB.
    let free = mean(&|width, height, index| Mask::free_form(width, height, 1000 + index));
    assert!((free.psnr - 20.62700).abs() < 1e-3 && (free.ssim - 0.545869).abs() < 1e-4, "{free:?}");
    let square = mean(&|width, height, index| Mask::square(width, height, 2000 + index).expect("there is room"));
    assert!((square.psnr - 19.63222).abs() < 1e-3 && (square.ssim - 0.472923).abs() < 1e-4, "{square:?}");
}
