//! Before and after: pictures side by side, and the report of an evaluation.

use super::evaluate::{Case, Evaluation, Means, Pictures, means};
use super::mask::Mask;
use crate::error::{Error, Result};
use image::imageops::{FilterType, replace, resize};
use image::{ImageFormat, Rgb, RgbImage};
use polyad_shapes::report::{Grid, Report, Sheet, Thumbnail};
use std::io::Cursor;

/// Height of the rows of a sheet, and the gap between pictures.
const ROW: u32 = 161;
const GAP: u32 = 6;

/// A picture whose holes are white.
pub fn with_white_holes(picture: &RgbImage, mask: &Mask) -> RgbImage {
    let mut out = picture.clone();
    out.pixels_mut().zip(&mask.holes).filter(|(_, hole)| **hole).for_each(|(pixel, _)| *pixel = Rgb([255; 3]));
    out
}

/// What was known, the harmonic fill, the model's, and the truth.
fn columns(pictures: &Pictures) -> [RgbImage; 4] {
    let Pictures { truth, mask, filled } = pictures;
    [with_white_holes(truth, mask), filled.harmonic.clone(), filled.network.clone(), truth.clone()]
}

/// A row for each case, of pictures side by side.
pub fn sheet(cases: &[&Pictures]) -> RgbImage {
    let row = |case: &&Pictures| columns(case).map(|picture| scaled(&picture));
    let rows: Vec<[RgbImage; 4]> = cases.iter().map(row).collect();
    let width_of = |row: &[RgbImage; 4]| row.iter().map(|picture| picture.width() + GAP).sum::<u32>() + GAP;
    let width = rows.iter().map(width_of).max().unwrap_or(1);
    let mut sheet = RgbImage::from_pixel(width, (rows.len() as u32 * (ROW + GAP) + GAP).max(1), Rgb([255; 3]));
    for (index, row) in rows.iter().enumerate() {
        let mut left = GAP;
        for picture in row {
            replace(&mut sheet, picture, i64::from(left), i64::from(index as u32 * (ROW + GAP) + GAP));
            left += picture.width() + GAP;
        }
    }
    sheet
}

fn scaled(picture: &RgbImage) -> RgbImage {
    let width =
        (u64::from(picture.width()) * u64::from(ROW) / u64::from(picture.height())).clamp(1, 4 * u64::from(ROW));
    resize(picture, width as u32, ROW, FilterType::Triangle)
}

/// A picture as a PNG file.
pub fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(|why| Error::Invalid(why.to_string()))?;
    Ok(bytes.into_inner())
}

/// The page of an evaluation: means, each photograph, pictures.
pub fn report(evaluation: &Evaluation, details: Vec<(String, String)>) -> Result<Report> {
    let kinds = [("free-form holes", &evaluation.free_form), ("boxes of 64 pixels", &evaluation.square)];
    let row = |(name, cases): (&str, &Vec<Case>)| {
        let Means { harmonic, model, interval } = means(cases);
        vec![
            name.to_owned(),
            format!("{:.2}", harmonic.psnr),
            format!("{:.2}", model.psnr),
            format!("{:+.2} ± {interval:.2}", model.psnr - harmonic.psnr),
            format!("{:.3}", harmonic.ssim),
            format!("{:.3}", model.ssim),
        ]
    };
    let columns = ["holes", "harmonic, dB", "model, dB", "gain, dB", "harmonic, SSIM", "model, SSIM"];
    let means = Grid {
        title: "Means over photographs".into(),
        note: "Missing pixels only; the gain is taken photograph by photograph, with its 95 % interval.".into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: kinds.into_iter().map(row).collect(),
    };
    let each = |(name, cases): (&str, &Vec<Case>)| Grid {
        title: format!("Each photograph, {name}"),
        columns: ["photograph", "harmonic, dB", "model, dB", "harmonic, SSIM", "model, SSIM"]
            .map(str::to_owned)
            .to_vec(),
        rows: cases
            .iter()
            .map(|case| {
                let (harmonic, model) = (case.harmonic, case.model);
                let numbers = [harmonic.psnr, model.psnr].map(|psnr| format!("{psnr:.2}"));
                let similar = [harmonic.ssim, model.ssim].map(|ssim| format!("{ssim:.3}"));
                [name_of(case)].into_iter().chain(numbers).chain(similar).collect()
            })
            .collect(),
        ..Grid::default()
    };
    let pictures = |(name, cases): (&str, &Vec<Case>)| -> Result<Sheet> {
        let shown = cases.iter().filter_map(|case| Some((case, case.pictures.as_ref()?)));
        let rows = shown.map(|(case, pictures)| thumbnails(case, pictures)).collect::<Result<_>>()?;
        Ok(Sheet { title: format!("Before and after, {name}"), rows })
    };
    let mut sheets = Vec::new();
    for kind in kinds {
        sheets.push(pictures(kind)?);
    }
    Ok(Report {
        title: "Holes in photographs".into(),
        introduction:
            "The harmonic fill solves Laplace's equation; the model adds what it has learnt that such a fill lacks."
                .into(),
        tables: [means].into_iter().chain(kinds.into_iter().map(each)).collect(),
        sheets,
        details,
        ..Report::default()
    })
}

fn name_of(case: &Case) -> String {
    case.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn thumbnails(case: &Case, pictures: &Pictures) -> Result<Vec<Thumbnail>> {
    let notes = [
        name_of(case),
        format!("harmonic, {:.2} dB", case.harmonic.psnr),
        format!("model, {:.2} dB", case.model.psnr),
        "the true picture".into(),
    ];
    columns(pictures)
        .iter()
        .zip(notes)
        .map(|(picture, name)| Ok(Thumbnail { png: png(&scaled(picture))?, name, note: String::new(), right: None }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inpaint::measure::Likeness;
    use crate::inpaint::model::Filled;

    #[test]
    fn a_sheet_has_a_row_a_case_and_the_page_names_each() {
        let truth = RgbImage::from_pixel(40, 20, Rgb([9, 8, 7]));
        let mask = Mask { width: 40, height: 20, holes: (0..800).map(|at| at < 40).collect() };
        let like = Likeness { psnr: 20.0, ssim: 0.5 };
        let filled = Filled { harmonic: truth.clone(), network: truth.clone() };
        let pictures = Pictures { truth, mask, filled };
        let picture = sheet(&[&pictures, &pictures]);
        let model = Likeness { psnr: 21.0, ..like };
        let case = Case { path: "a<b.png".into(), harmonic: like, model, pictures: Some(pictures) };
        assert_eq!(picture.dimensions(), (4 * (322 + GAP) + GAP, 2 * (ROW + GAP) + GAP));
        let evaluation = Evaluation { free_form: vec![case], square: Vec::new(), learnt: 0, failures: Vec::new() };
        let page = report(&evaluation, Vec::new()).expect("pictures").to_html();
        assert!(page.contains("a&lt;b.png") && page.contains("+1.00"), "{page}");
    }
}
