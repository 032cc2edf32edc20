//! `polyad demo`: the whole path on generated parts.
//!
//! 1. Parts of every family are written as STL files: `DIR/parts/family/{train,test}/NN.stl`, each of another shape and
//!    in another pose.
//! 2. A model is trained on the train split, on what the built-in model sees, and measured on the test split, whose shapes it
//!    has never seen.
//! 3. Test parts query the train parts; pictures of what they find go into `gallery.png` and `report.html`.
//! 4. The built-in model, which has been trained on none of the parts, looks for each test part's like among the others.

use super::families::{families, generate};
use super::stl::write_stl;
use crate::error::{Error, Result};
use crate::evaluate::{EvaluateOptions, Evaluation, Seen, find_again, look, measure};
use crate::job::Job;
use crate::metrics::retrieval::{LEVELS, Retrieval, rank};
use crate::model::{BUILTIN, Model};
use crate::normalise::{Pose, normalise};
use crate::render::thumbnail;
use crate::report::{Chart, Confusion, Curve, NeighbourRow, Report, Scale, Thumbnail};
use crate::source::Shape;
use crate::train::{Dataset, Epoch, TrainOptions, Trained, train};
use crate::view_set::{View, sheet, write_view};
use crate::whole_file;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// How large a demonstration is.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Parts of a family to learn from.
    pub train: usize,
    /// Parts of a family to be measured on.
    pub test: usize,
    /// Epochs of training.
    pub epochs: usize,
    /// Every number drawn follows from it.
    pub seed: u64,
}

impl Default for DemoOptions {
    fn default() -> Self {
        DemoOptions { train: 40, test: 8, epochs: 28, seed: 0 }
    }
}

/// What a demonstration came to.
#[derive(Debug)]
pub struct Demo {
    /// On shapes that were not trained on.
    pub evaluation: Evaluation,
    /// What the built-in model finds among the test parts, without any training.
    pub untrained: Retrieval,
    /// The model's file.
    pub model: PathBuf,
    /// The folder of parts.
    pub parts: PathBuf,
    /// A sheet of neighbours.
    pub gallery: PathBuf,
    /// The report.
    pub report: PathBuf,
}

/// Side of a picture that people see.
const PICTURE: usize = 128;
/// Neighbours shown of a query.
const NEIGHBOURS: usize = 6;

/// Runs a demonstration in `dir`, which is made if it does not exist. An interrupted one goes on where it stopped.
pub fn run(dir: &Path, options: &DemoOptions, job: Job) -> Result<Demo> {
    let parts = dir.join("parts");
    write_parts(&parts, options, job)?;
    let model = dir.join("model");
    let settings = TrainOptions {
        initializer: Some(BUILTIN.to_owned()),
        freeze: true,
        // Every part lies in a pose of its own already.
        rotations: Some(0),
        epochs: Some(options.epochs),
        seed: options.seed,
        resume: true,
        cache: Some(dir.join("cache")),
        ..TrainOptions::default()
    };
    let trained = train(&parts, &model, &settings, job)?;

    let data = Dataset::open(&parts, options.seed, job)?;
    let looking = EvaluateOptions { cache: Some(dir.join("cache")), ..EvaluateOptions::default() };
    let mut failed = Vec::new();
    let test = data.split("test")?;
    let queries = look(&test, &trained.model, &looking, &mut failed, job)?;
    let gallery = look(&data.split("train")?, &trained.model, &looking, &mut failed, job)?;
    let evaluation = measure(data.classes.clone(), &queries, &gallery, failed)?;
    let untrained = find_again(&look(&test, &Model::builtin()?, &looking, &mut Vec::new(), job)?)?;

    let rows = neighbours(&data.classes, &queries, &gallery, job)?;
    let (gallery, report) = (dir.join("gallery.png"), dir.join("report.html"));
    let demo = Demo { evaluation, untrained, model, parts, gallery, report };
    write_view(&demo.gallery, &gallery_sheet(&rows)?)?;
    let html = page(&demo, &trained, rows, options)?.to_html();
    whole_file::write(&demo.report, html.as_bytes())?;
    Ok(demo)
}

/// Writes the parts that are not there yet.
fn write_parts(parts: &Path, options: &DemoOptions, job: Job) -> Result<()> {
    let each = options.train + options.test;
    let all: Vec<(usize, usize)> =
        (0..families().len()).flat_map(|family| (0..each).map(move |index| (family, index))).collect();
    job.reporter().begin("parts", all.len() as u64);
    all.par_iter().try_for_each(|&(family, index)| -> Result<()> {
        job.check()?;
        let split = if index < options.train { "train" } else { "test" };
        let folder = parts.join(families()[family]).join(split);
        let path = folder.join(format!("{index:03}.stl"));
        if !path.exists() {
            std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
            // Neighbouring seeds give unrelated parts; a seed's own parts do not overlap with the next one's.
            let seed = options.seed.wrapping_mul(1 << 20).wrapping_add(index as u64);
            whole_file::write(&path, &write_stl(&generate(family, seed)))?;
        }
        job.reporter().advance(1);
        Ok(())
    })?;
    job.reporter().end();
    Ok(())
}

/// A query and what it found, with pictures.
struct Row {
    query: Picture,
    found: Vec<(Picture, f64)>,
}

struct Picture {
    view: View,
    class: usize,
    name: String,
}

/// One query of each class, and its nearest parts in the gallery.
fn neighbours(classes: &[String], queries: &[Seen], gallery: &[Seen], job: Job) -> Result<Vec<Row>> {
    let embeddings: Vec<&[f32]> = gallery.iter().map(|seen| &seen.embedding[..]).collect();
    let firsts = (0..classes.len()).filter_map(|class| queries.iter().find(|seen| seen.item.class == class));
    let firsts: Vec<&Seen> = firsts.collect();
    let picture = |seen: &Seen| -> Result<Picture> {
        job.check()?;
        let Shape::Mesh(mesh) = seen.item.source.load()? else {
            return Err(Error::Empty(format!("{}: not a mesh", seen.item.source.path)));
        };
        let view = thumbnail(&normalise(&mesh, Pose::default(), job)?, PICTURE, job)?;
        Ok(Picture { view, class: seen.item.class, name: classes[seen.item.class].clone() })
    };
    firsts
        .into_par_iter()
        .map(|query| {
            let ranked = rank(&query.embedding, &embeddings, None)?;
            let found =
                ranked.into_iter().take(NEIGHBOURS).map(|(index, score)| Ok((picture(&gallery[index])?, score)));
            Ok(Row { query: picture(query)?, found: found.collect::<Result<_>>()? })
        })
        .collect()
}

fn gallery_sheet(rows: &[Row]) -> Result<View> {
    let mut captions = Vec::new();
    for row in rows {
        captions.push((&row.query.view, format!("? {}", row.query.name)));
        captions
            .extend(row.found.iter().map(|(picture, score)| (&picture.view, format!("{}\n{score:.3}", picture.name))));
    }
    let pictures: Vec<(&View, &str)> = captions.iter().map(|(view, caption)| (*view, caption.as_str())).collect();
    sheet(&pictures, NEIGHBOURS + 1)
}

fn page(demo: &Demo, trained: &Trained, rows: Vec<Row>, options: &DemoOptions) -> Result<Report> {
    let evaluation = &demo.evaluation;
    let percent = |share: Option<f64>| share.map_or("–".into(), |share| format!("{:.1} %", 100.0 * share));
    let interval = evaluation
        .instance_interval
        .map_or(String::new(), |[low, high]| format!(" ({:.1} to {:.1})", 100.0 * low, 100.0 * high));
    let curve = |name: &str, value: &dyn Fn(&Epoch) -> Option<f64>| Curve {
        name: name.into(),
        points: trained.curve.iter().filter_map(|epoch| Some([epoch.epoch as f64, value(epoch)?])).collect(),
        ..Curve::default()
    };
    let chart = |title: &str, y: &str, scale: Scale, curves: Vec<Curve>| Chart {
        title: title.into(),
        x: "epoch".into(),
        y: y.into(),
        scale,
        curves,
    };
    let losses =
        vec![curve("training", &|epoch| Some(epoch.loss)), curve("validation", &|epoch| epoch.validation_loss)];
    let accuracy = vec![curve("View Sets", &|epoch| epoch.validation_accuracy)];
    let mut charts = vec![
        chart("Training", "loss", Scale::Values, losses),
        chart("Accuracy on the validation part", "accuracy", Scale::Shares, accuracy),
    ];
    if let Some(precision) = evaluation.retrieval.precision {
        let points = (0..LEVELS).map(|level| [level as f64 / (LEVELS - 1) as f64, precision[level]]).collect();
        charts.push(Chart {
            title: "Test parts looking for their like among the training parts".into(),
            x: "recall".into(),
            y: "precision".into(),
            scale: Scale::Shares,
            curves: vec![Curve { name: "embedding".into(), points, ..Curve::default() }],
        });
    }
    let thumbnail = |picture: &Picture, note: String, right: Option<bool>| -> Result<Thumbnail> {
        Ok(Thumbnail { png: picture.view.to_png()?, name: picture.name.clone(), note, right })
    };
    let neighbours = rows.iter().map(|row| {
        let found = row
            .found
            .iter()
            .map(|(picture, score)| thumbnail(picture, format!("{score:.3}"), Some(picture.class == row.query.class)));
        let query = thumbnail(&row.query, "query".into(), None)?;
        Ok(NeighbourRow { query, neighbours: found.collect::<Result<_>>()? })
    });
    let retrieval = &evaluation.retrieval;
    let (learnt, validating) = trained.shapes;
    Ok(Report {
        title: "polyad demo".into(),
        introduction: "Generated mechanical and household parts, every dimension and pose drawn at random. A VSFormer \
                       was trained on some, on what the built-in image network sees of them, and measured on others, \
                       which it has never seen. The coded families differ only in the parity of three features, which \
                       no single feature and no pair of them tells."
            .into(),
        summary: vec![
            ("instance accuracy".into(), percent(evaluation.instance_accuracy) + &interval),
            ("class accuracy".into(), percent(evaluation.class_accuracy)),
            ("mean average precision".into(), retrieval.map.map_or("–".into(), |map| format!("{map:.3}"))),
            ("nearest neighbour".into(), percent(retrieval.nn)),
            ("nearest neighbour, built-in model, untrained".into(), percent(demo.untrained.nn)),
        ],
        charts,
        confusion: evaluation
            .confusion
            .as_ref()
            .map(|confusion| Confusion { classes: confusion.classes.clone(), counts: confusion.counts.clone() }),
        neighbours: neighbours.collect::<Result<_>>()?,
        details: vec![
            ("families".into(), families().len().to_string()),
            ("parts to learn from".into(), learnt.to_string()),
            ("parts that chose the epoch".into(), validating.to_string()),
            ("parts to be measured on".into(), evaluation.shapes.to_string()),
            ("seed".into(), options.seed.to_string()),
            ("chosen epoch".into(), trained.best.epoch.to_string()),
            ("polyad".into(), env!("CARGO_PKG_VERSION").into()),
        ],
        ..Report::default()
    })
}
