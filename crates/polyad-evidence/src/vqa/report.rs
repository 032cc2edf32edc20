//! What a study came to: means over seeds, the width from which a fusion holds, the page.

use super::study::{Outcome, Study, Trial};
use crate::moments::moments;
use polyad_shapes::report::{Chart, Curve, Grid, Report, Scale};

/// A fusion holds where it answers this share of all questions, and better at every greater width that was tried.
pub const HOLDS: f64 = 0.99;

/// A fusion at a width: means over seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub fusion: String,
    /// Of the plain product that has about as many parameters.
    pub width: usize,
    /// Of fusion and answer.
    pub parameters: usize,
    /// Mean and standard deviation over seeds.
    pub accuracy: [f64; 2],
    /// The same of questions that say what.
    pub what_accuracy: [f64; 2],
}

/// Means over seeds, by fusion and width, in the order in which they were tried.
pub fn rows(trials: &[Trial], study: &Study) -> Vec<Row> {
    let mut names: Vec<&str> = Vec::new();
    for trial in trials {
        if !names.contains(&trial.fusion.as_str()) {
            names.push(&trial.fusion);
        }
    }
    let row = |name: &str, width: usize| {
        let of: Vec<&Trial> = trials.iter().filter(|trial| trial.fusion == name && trial.width == width).collect();
        let first = of.first()?;
        Some(Row {
            fusion: name.to_owned(),
            width,
            parameters: first.parameters,
            accuracy: moments(of.iter().map(|trial| trial.accuracy)),
            what_accuracy: moments(of.iter().map(|trial| trial.what_accuracy)),
        })
    };
    names.iter().flat_map(|name| study.widths.iter().filter_map(|width| row(name, *width))).collect()
}

/// The least width from which on a fusion holds; `None` where it does not hold at the greatest.
pub fn holds_from(rows: &[Row], fusion: &str) -> Option<usize> {
    let mut of: Vec<&Row> = rows.iter().filter(|row| row.fusion == fusion).collect();
    of.sort_by_key(|row| std::cmp::Reverse(row.width));
    of.into_iter().take_while(|row| row.accuracy[0] >= HOLDS).last().map(|row| row.width)
}

/// The page of a study.
pub fn report(outcome: &Outcome, study: &Study, details: Vec<(String, String)>) -> Report {
    let rows = rows(&outcome.trials, study);
    let mut names: Vec<String> = rows.iter().map(|row| row.fusion.clone()).collect();
    names.dedup();
    let share = |[mean, deviation]: [f64; 2]| format!("{:.2} ± {:.2}", 100.0 * mean, 100.0 * deviation);
    let [any, what] = outcome.question_only.map(|share| format!("{:.1} %", 100.0 * share));
    let columns = |last: &[&str]| -> Vec<String> {
        let widths = study.widths.iter().map(|width| format!("width {width}"));
        ["fusion".to_owned()].into_iter().chain(widths).chain(last.iter().map(|name| (*name).to_owned())).collect()
    };
    let table = |title: &str, of: &dyn Fn(&Row) -> [f64; 2]| {
        Grid {
        title: title.into(),
        note: "Percent of test questions, mean and deviation over seeds; by the width of the plain product that has about as \
               many parameters."
            .into(),
        columns: columns(&["holds from"]),
        rows: names
            .iter()
            .map(|name| {
                let cells = rows.iter().filter(|row| &row.fusion == name).map(|row| share(of(row)));
                let from = holds_from(&rows, name).map_or("–".to_owned(), |width| width.to_string());
                [name.clone()].into_iter().chain(cells).chain([from]).collect()
            })
            .collect(),
    }
    };
    let curve = |name: &String| Curve {
        name: name.clone(),
        points: rows
            .iter()
            .filter(|row| &row.fusion == name)
            .map(|row| [(row.width as f64).log2(), row.accuracy[0]])
            .collect(),
        ..Curve::default()
    };
    let parameters = Grid {
        title: "Parameters".into(),
        note: "Of the fusion and what it ends in.".into(),
        columns: columns(&[]),
        rows: names
            .iter()
            .map(|name| {
                let cells = rows.iter().filter(|row| &row.fusion == name).map(|row| row.parameters.to_string());
                [name.clone()].into_iter().chain(cells).collect()
            })
            .collect(),
    };
    // Few curves can be told apart, so each chart shows some of them beside the plain product.
    const CURVES: usize = 5;
    let charts = names
        .chunks(CURVES)
        .map(|some| Chart {
            title: format!("{} and others by width", some[0]),
            x: "log2 of the width".into(),
            y: "share of questions".into(),
            scale: Scale::Shares,
            curves: some.iter().map(curve).collect(),
        })
        .collect();
    Report {
        title: "Which fusion answers questions about pictures".into(),
        introduction: format!(
            "A fusion holds from the width at which it answers {:.0} % of all questions. Without the picture, the commonest answer \
             to each question gives {any} of all and {what} of those that say what.",
            100.0 * HOLDS
        ),
        charts,
        tables: vec![
            table("All questions", &|row| row.accuracy),
            table("Questions that say what, not whether", &|row| row.what_accuracy),
            parameters,
        ],
        details,
        ..Report::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(fusion: &str, width: usize, seed: u64, accuracy: f64) -> Trial {
        Trial { fusion: fusion.into(), width, seed, parameters: 10 * width, accuracy, what_accuracy: accuracy / 2.0 }
    }

    #[test]
    fn means_are_over_seeds_and_a_fusion_holds_from_its_last_failure_on() {
        let study = Study { widths: vec![2, 4, 8], seeds: 2, ..Study::default() };
        let trials = [
            trial("product", 2, 0, 0.8),
            trial("product", 2, 1, 0.9),
            trial("product", 4, 0, 0.995),
            trial("product", 8, 0, 0.999),
            trial("sum", 2, 0, 0.995),
            trial("sum", 4, 0, 0.9),
            trial("sum", 8, 0, 0.98),
        ];
        let rows = rows(&trials, &study);
        assert_eq!(rows.len(), 6);
        assert!((rows[0].accuracy[0] - 0.85).abs() < 1e-12 && (rows[0].accuracy[1] - 0.0707).abs() < 1e-4);
        assert_eq!((holds_from(&rows, "product"), holds_from(&rows, "sum")), (Some(4), None));
        let outcome = Outcome { trials: trials.to_vec(), question_only: [0.67, 0.233], eyes: vec![0.99] };
        let page = report(&outcome, &study, Vec::new()).to_html();
        assert!(page.contains("85.00 ± 7.07") && page.contains("67.0 %"));
    }
}
