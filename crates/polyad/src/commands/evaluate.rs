//! `polyad evaluate`: a model measured on shapes with known classes.

use super::models;
use crate::args::EvaluateArgs;
use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;
use crate::{paths, table};
use polyad_shapes::evaluate::{EvaluateOptions, Evaluation, evaluate};
use polyad_shapes::job::Job;
use table::ratio;

pub fn run(args: &EvaluateArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::folder(&args.dir, "what is measured on")?;
    for folder in args.cache.as_slice() {
        paths::new_folder(folder)?;
    }
    let model = models::load(args.model.as_deref(), args.precision)?;
    if let Some(why) = model.classes().err().filter(|_| !args.retrieval_only) {
        let file = models::name(args.model.as_deref());
        let advice = "--retrieval-only measures what it finds alike";
        return Err(Failure::usage(why.in_file(file).to_string()).with_hint(advice));
    }
    let options = EvaluateOptions {
        split: args.split.clone(),
        rotate: args.rotate,
        retrieval_only: args.retrieval_only,
        cache: args.cache.clone(),
    };
    let evaluation = evaluate(&args.dir, &model, &options, job)?;
    if !printer.json() {
        for failure in &evaluation.failed {
            printer.failed(&failure.path, &failure.error)?;
        }
    }
    printer.result(&evaluation, words)?;
    Ok(Exit::Done)
}

fn words(evaluation: &Evaluation) -> String {
    let interval = evaluation.instance_interval.map_or_else(String::new, |[low, high]| {
        format!("  (95 % interval {} to {})", ratio(Some(low)), ratio(Some(high)))
    });
    let found = &evaluation.retrieval;
    table::card(&[
        ("shapes", evaluation.shapes.to_string()),
        ("instance accuracy", format!("{}{interval}", ratio(evaluation.instance_accuracy))),
        ("class accuracy", ratio(evaluation.class_accuracy)),
        ("nearest neighbour", ratio(found.nn)),
        ("first tier", ratio(found.first_tier)),
        ("second tier", ratio(found.second_tier)),
        ("mAP", ratio(found.map)),
        ("NDCG", ratio(found.ndcg)),
        ("P@N  R@N  F1@N", [found.p_at_n, found.r_at_n, found.f1_at_n].map(ratio).join("  ")),
        ("failed", evaluation.failed.len().to_string()),
    ])
}
