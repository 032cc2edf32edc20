//! `polyad vqa`: which fusion answers questions about pictures.

use crate::args::VqaArgs;
use crate::failure::{Exit, Result};
use crate::paths;
use crate::printer::Printer;
use crate::table::Table;
use polyad_evidence::vqa::report::{holds_from, report, rows};
use polyad_evidence::vqa::{Questions, Study, study};
use polyad_shapes::job::Job;
use polyad_shapes::whole_file;
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Said {
    question_only: f64,
    question_only_what: f64,
    fusions: Vec<Fusion>,
    report: String,
}

#[derive(Debug, Serialize)]
struct Fusion {
    fusion: String,
    holds_from: Option<usize>,
    widths: Vec<Width>,
}

#[derive(Debug, Serialize)]
struct Width {
    width: usize,
    parameters: usize,
    accuracy: f64,
    accuracy_deviation: f64,
    what_accuracy: f64,
    what_accuracy_deviation: f64,
}

pub fn run(args: &VqaArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::folder(&args.folder, "questions and pictures are in a folder, which")?;
    paths::new_folder(&args.out)?;
    let settings =
        Study { widths: args.widths.clone(), seeds: args.seeds, epochs: args.epochs, eye_epochs: args.eye_epochs };
    let questions = Questions::read(&args.folder, job)?;
    paths::make_folder(&args.out)?;
    let outcome = study(&questions, &settings, &args.out.join("trials.json"), job)?;
    let eyes: Vec<String> = outcome.eyes.iter().map(|share| format!("{:.2} %", 100.0 * share)).collect();
    let details = [
        ("questions", args.folder.display().to_string()),
        (
            "asked",
            format!("{} to learn from, {} to test", questions.train.questions.len(), questions.test.questions.len()),
        ),
        ("the eyes' own head", eyes.join(", ")),
        ("settings", format!("{} seeds, {} epochs, {} for the eyes", args.seeds, args.epochs, args.eye_epochs)),
    ];
    let details = details.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let page = args.out.join("report.html");
    whole_file::write(&page, report(&outcome, &settings, details).to_html().as_bytes())?;
    let rows = rows(&outcome.trials, &settings);
    let mut fusions: Vec<Fusion> = Vec::new();
    for row in &rows {
        if fusions.last().is_none_or(|fusion| fusion.fusion != row.fusion) {
            let holds_from = holds_from(&rows, &row.fusion);
            fusions.push(Fusion { fusion: row.fusion.clone(), holds_from, widths: Vec::new() });
        }
        let width = Width {
            width: row.width,
            parameters: row.parameters,
            accuracy: row.accuracy[0],
            accuracy_deviation: row.accuracy[1],
            what_accuracy: row.what_accuracy[0],
            what_accuracy_deviation: row.what_accuracy[1],
        };
        if let Some(fusion) = fusions.last_mut() {
            fusion.widths.push(width);
        }
    }
    let [question_only, question_only_what] = outcome.question_only;
    let said = Said { question_only, question_only_what, fusions, report: page.display().to_string() };
    printer.result(&said, words)?;
    Ok(Exit::Done)
}

fn words(said: &Said) -> String {
    let mut table = Table::new(&["fusion", "width", "parameters", "all", "what", "holds from"]);
    for fusion in &said.fusions {
        for width in &fusion.widths {
            let share = |mean: f64, deviation: f64| format!("{:.2} ± {:.2}", 100.0 * mean, 100.0 * deviation);
            table.row([
                fusion.fusion.clone(),
                width.width.to_string(),
                width.parameters.to_string(),
                share(width.accuracy, width.accuracy_deviation),
                share(width.what_accuracy, width.what_accuracy_deviation),
                fusion.holds_from.map_or("-".to_owned(), |width| width.to_string()),
            ]);
        }
    }
    format!(
        "{}\nWithout the picture: {:.1} % of all, {:.1} % of those that say what.\nreport  {}\n",
        table.text(),
        100.0 * said.question_only,
        100.0 * said.question_only_what,
        said.report
    )
}
