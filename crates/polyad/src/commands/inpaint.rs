//! `polyad inpaint`: holes in photographs, filled.

use crate::args::{InpaintArgs, InpaintCommand, InpaintEvaluateArgs, InpaintRunArgs, InpaintTrainArgs};
use crate::failure::{Exit, Result};
use crate::paths;
use crate::printer::Printer;
use crate::table::{Table, card};
use polyad_evidence::inpaint::evaluate::{Case, Means, Pictures, means};
use polyad_evidence::inpaint::{self, InpaintModel, InpaintRecipe, Mask, photograph, sheet};
use polyad_shapes::job::Job;
use polyad_shapes::whole_file;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Cases on a sheet.
const SHEET: usize = 4;

#[derive(Debug, Serialize)]
struct Learnt {
    model: String,
    learnt: usize,
    validation: usize,
    test: usize,
    steps: usize,
    psnr: Option<f64>,
    harmonic_psnr: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Filled {
    out: String,
    missing: usize,
}

#[derive(Debug, Serialize)]
struct Evaluated {
    photographs: usize,
    learnt: usize,
    free_form: Measured,
    #[serde(rename = "box")]
    square: Measured,
    report: Option<String>,
    sheet: Option<String>,
}

#[derive(Debug, Serialize)]
struct Measured {
    psnr: f64,
    ssim: f64,
    harmonic_psnr: f64,
    harmonic_ssim: f64,
    gain_interval: f64,
}

pub fn run(args: &InpaintArgs, printer: &Printer, job: Job) -> Result<Exit> {
    match &args.command {
        InpaintCommand::Train(args) => train(args, printer, job),
        InpaintCommand::Run(args) => fill(args, printer),
        InpaintCommand::Evaluate(args) => evaluate(args, printer, job),
    }
}

fn train(args: &InpaintTrainArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::folder(&args.folder, "photographs are in a folder, which")?;
    paths::new_file(&args.out)?;
    let recipe = InpaintRecipe {
        gated: args.kind == "gated",
        test: args.test,
        steps: args.steps,
        batch: args.batch,
        crop: args.crop,
        similarity: args.similarity,
        seed: args.seed,
        ..InpaintRecipe::default()
    };
    let trained = inpaint::train(&args.folder, &args.out, &recipe, args.resume, job)?;
    warn_of(&trained.failures, job);
    let last = trained.curve.last();
    let [learnt, validation, test] = trained.photographs;
    let said = Learnt {
        model: args.out.display().to_string(),
        learnt,
        validation,
        test,
        steps: recipe.steps,
        psnr: last.map(|last| last.psnr),
        harmonic_psnr: last.map(|last| last.harmonic),
    };
    printer.result(&said, |said| {
        let of = |psnr: Option<f64>| psnr.map_or("-".to_owned(), |psnr| format!("{psnr:.2} dB"));
        card(&[
            ("model", said.model.clone()),
            ("photographs", format!("{learnt} learnt from, {validation} for validation, {test} left for testing")),
            ("harmonic fill", of(said.harmonic_psnr)),
            ("model on top of it", of(said.psnr)),
        ])
    })?;
    Ok(Exit::Done)
}

fn fill(args: &InpaintRunArgs, printer: &Printer) -> Result<Exit> {
    for (path, what) in [(&args.image, "a photograph"), (&args.model, "a model"), (&args.mask, "a mask")] {
        paths::file(path, what)?;
    }
    paths::new_file(&args.out)?;
    let model = InpaintModel::load(&args.model)?;
    let picture = photograph::read(&args.image)?;
    let mask = Mask::read(&args.mask, &picture)?;
    let filled = model.fill(&picture, &mask)?;
    whole_file::write(&args.out, &sheet::png(&filled.network)?)?;
    let said = Filled { out: args.out.display().to_string(), missing: mask.missing() };
    printer.result(&said, |said| format!("{}: {} pixels filled\n", said.out, said.missing))?;
    Ok(Exit::Done)
}

fn evaluate(args: &InpaintEvaluateArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::folder(&args.folder, "photographs are in a folder, which")?;
    paths::file(&args.model, "a model")?;
    if let Some(out) = &args.out {
        paths::new_folder(out)?;
    }
    let model = InpaintModel::load(&args.model)?;
    let evaluation = inpaint::evaluate(&args.folder, &model, job)?;
    warn_of(&evaluation.failures, job);
    let written = match &args.out {
        Some(out) => Some(write(out, args, &model, &evaluation)?),
        None => None,
    };
    let name = |path: &Path| path.display().to_string();
    let said = Evaluated {
        photographs: evaluation.free_form.len(),
        learnt: evaluation.learnt,
        free_form: measured(&evaluation.free_form),
        square: measured(&evaluation.square),
        report: written.as_ref().map(|[report, _]| name(report)),
        sheet: written.as_ref().map(|[_, sheet]| name(sheet)),
    };
    printer.result(&said, words)?;
    Ok(Exit::Done)
}

fn write(
    out: &Path,
    args: &InpaintEvaluateArgs,
    model: &InpaintModel,
    evaluation: &inpaint::Evaluation,
) -> Result<[PathBuf; 2]> {
    paths::make_folder(out)?;
    let header = &model.header;
    let details = [
        ("photographs", args.folder.display().to_string()),
        ("model", args.model.display().to_string()),
        ("convolutions", header.kind.clone()),
        ("learnt from", format!("{} photographs, {} steps, seed {}", header.learnt.len(), header.steps, header.seed)),
    ];
    let details = details.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let report = out.join("report.html");
    whole_file::write(&report, sheet::report(evaluation, details)?.to_html().as_bytes())?;
    let cases = evaluation.free_form.iter().zip(&evaluation.square).flat_map(|(a, b)| [a, b]);
    let shown: Vec<&Pictures> = cases.filter_map(|case| case.pictures.as_ref()).take(SHEET).collect();
    let picture = out.join("sheet.png");
    whole_file::write(&picture, &sheet::png(&sheet::sheet(&shown))?)?;
    Ok([report, picture])
}

fn measured(cases: &[Case]) -> Measured {
    let Means { harmonic, model, interval } = means(cases);
    Measured {
        psnr: model.psnr,
        ssim: model.ssim,
        harmonic_psnr: harmonic.psnr,
        harmonic_ssim: harmonic.ssim,
        gain_interval: interval,
    }
}

fn words(said: &Evaluated) -> String {
    let mut table = Table::new(&["holes", "harmonic dB", "model dB", "gain", "harmonic SSIM", "model SSIM"]);
    for (name, measured) in [("free-form", &said.free_form), ("box", &said.square)] {
        table.row([
            name.to_owned(),
            format!("{:.2}", measured.harmonic_psnr),
            format!("{:.2}", measured.psnr),
            format!("{:+.2} ± {:.2}", measured.psnr - measured.harmonic_psnr, measured.gain_interval),
            format!("{:.3}", measured.harmonic_ssim),
            format!("{:.3}", measured.ssim),
        ]);
    }
    let report = said.report.as_ref().map_or(String::new(), |report| format!("report  {report}\n"));
    format!("{}\n{} photographs, missing pixels only\n{report}", table.text(), said.photographs)
}

fn warn_of(failures: &[(PathBuf, String)], job: Job) {
    for (path, why) in failures {
        let path = path.display().to_string();
        let told = if why.starts_with(&path) { why.clone() } else { format!("{path}: {why}") };
        job.reporter().warn(&told);
    }
}
