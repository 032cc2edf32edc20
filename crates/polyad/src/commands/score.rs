//! `polyad score`: the measures of SHREC'17.

use crate::args::ScoreArgs;
use crate::failure::{Exit, Result};
use crate::paths;
use crate::printer::Printer;
use crate::table::{Table, ratio};
use polyad_shapes::metrics::shrec17::{self, Scores};

pub fn run(args: &ScoreArgs, printer: &Printer) -> Result<Exit> {
    paths::folder(&args.lists, "what holds the lists")?;
    paths::file(&args.truth, "the truth")?;
    let scores = shrec17::score(&args.lists, &args.truth, &args.split)?;
    printer.result(&scores, words)?;
    Ok(Exit::Done)
}

fn words(scores: &Scores) -> String {
    let mut table = Table::new(&["class", "P@N", "R@N", "F1@N", "mAP", "NDCG"]);
    let means = [("micro mean", &scores.micro), ("macro mean", &scores.macro_)];
    let classes = scores.classes.iter().map(|(class, measures)| (class.as_str(), measures));
    for (class, m) in means.into_iter().chain(classes) {
        let measures = [m.precision, m.recall, m.f1, m.map, m.ndcg].map(|value| ratio(Some(value)));
        table.row(std::iter::once(class.to_owned()).chain(measures));
    }
    table.text()
}
