//! What a study came to: means over seeds, the page.

use super::study::{Outcome, Study, Trial};
use crate::moments::moments;
use polyad_shapes::report::{Chart, Curve, Grid, Report, Scale};
use polyad_shapes::train::prune::Method;

/// A method at a sparsity: means over seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// How it was decided what goes.
    pub method: Method,
    /// The share that goes.
    pub sparsity: f64,
    /// Mean and standard deviation over seeds.
    pub accuracy: [f64; 2],
    /// Numbers that are left, of how many.
    pub kept: [usize; 2],
    /// Of the file, in the mean.
    pub bytes: f64,
}

/// Means over seeds, by method and sparsity, in the order of the study.
pub fn rows(trials: &[Trial], study: &Study) -> Vec<Row> {
    let row = |method: Method, sparsity: f64| {
        let of: Vec<&Trial> =
            trials.iter().filter(|trial| (trial.method, trial.sparsity) == (method, sparsity)).collect();
        let first = of.first()?;
        Some(Row {
            method,
            sparsity,
            accuracy: moments(of.iter().map(|trial| trial.instance_accuracy)),
            kept: [first.kept, first.weights],
            bytes: moments(of.iter().map(|trial| trial.bytes as f64))[0],
        })
    };
    study.methods.iter().flat_map(|method| study.sparsities.iter().filter_map(|share| row(*method, *share))).collect()
}

/// A mean and its deviation in percent.
pub fn percent([mean, deviation]: [f64; 2]) -> String {
    format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * deviation)
}

/// The page of a study.
pub fn report(outcome: &Outcome, study: &Study, details: Vec<(String, String)>) -> Report {
    let rows = rows(&outcome.trials, study);
    let family = |title: &str, keeps_weights: bool| Chart {
        title: title.into(),
        x: "halvings of the number of weights".into(),
        y: "share of the test split".into(),
        scale: Scale::Shares,
        curves: of_family(study, keeps_weights).map(|method| curve(method, &rows)).collect(),
    };
    let dense = outcome.dense;
    Report {
        title: "How many weights it can do without".into(),
        introduction:
            "Accuracy on the test split, mean and deviation over seeds. Methods that begin with the model's own \
            weights had its lessons too; those that begin with fresh ones had only the lessons after the mask, and \
            random-fresh is what they are to be held against."
                .into(),
        summary: vec![
            ("the model's accuracy".into(), format!("{:.1} %", 100.0 * dense.instance_accuracy)),
            ("the model's file".into(), format!("{} bytes", dense.bytes)),
        ],
        charts: vec![
            family("From the model's weights", true),
            family("From fresh weights", false),
            layers(outcome, study),
        ],
        tables: vec![accuracies(&rows, study), files(&rows, study, dense.bytes), left(outcome, study)],
        details,
        ..Report::default()
    }
}

fn of_family(study: &Study, keeps_weights: bool) -> impl Iterator<Item = Method> {
    study.methods.iter().copied().filter(move |method| method.keeps_weights() == keeps_weights)
}

fn curve(method: Method, rows: &[Row]) -> Curve {
    let mut of: Vec<&Row> = rows.iter().filter(|row| row.method == method).collect();
    of.sort_by(|a, b| a.sparsity.total_cmp(&b.sparsity));
    Curve {
        name: method.name().into(),
        points: of.iter().map(|row| [-(1.0 - row.sparsity).log2(), row.accuracy[0]]).collect(),
        deviations: of.iter().map(|row| row.accuracy[1]).collect(),
    }
}

fn accuracies(rows: &[Row], study: &Study) -> Grid {
    let columns = study.sparsities.iter().map(|sparsity| format!("{sparsity}"));
    Grid {
        title: "Accuracy by sparsity".into(),
        note: "Percent of the test split, mean and deviation over seeds.".into(),
        columns: ["method".to_owned()].into_iter().chain(columns).collect(),
        rows: (study.methods.iter())
            .map(|method| {
                let cells = rows.iter().filter(|row| row.method == *method).map(|row| percent(row.accuracy));
                [method.name().to_owned()].into_iter().chain(cells).collect()
            })
            .collect(),
    }
}

fn files(rows: &[Row], study: &Study, dense: usize) -> Grid {
    let row = |sparsity: &f64| {
        let of: Vec<&Row> = rows.iter().filter(|row| row.sparsity == *sparsity).collect();
        let first = of.first()?;
        let bytes = moments(of.iter().map(|row| row.bytes))[0];
        let [kept, weights] = first.kept;
        let factor = format!("{:.2}", dense as f64 / bytes);
        Some(vec![format!("{sparsity}"), kept.to_string(), weights.to_string(), format!("{bytes:.0}"), factor])
    };
    Grid {
        title: "Files".into(),
        note: format!(
            "A bit for each weight, and the numbers that are left; what is not pruned is stored whole. The model's own file \
             has {dense} bytes."
        ),
        columns: ["sparsity", "weights left", "of", "bytes", "times smaller"].map(String::from).to_vec(),
        rows: study.sparsities.iter().filter_map(row).collect(),
    }
}

/// The first seed's trials at the greatest sparsity, which show best where a method prunes.
fn sparsest<'a>(outcome: &'a Outcome, study: &Study) -> Vec<&'a Trial> {
    let greatest = study.sparsities.iter().copied().fold(0.0, f64::max);
    let of = |method: &Method| {
        let is_it = |trial: &&Trial| (trial.method, trial.sparsity, trial.seed) == (*method, greatest, 0);
        outcome.trials.iter().find(is_it)
    };
    study.methods.iter().filter_map(of).collect()
}

fn layers(outcome: &Outcome, study: &Study) -> Chart {
    let curve = |trial: &&Trial| Curve {
        name: trial.method.name().into(),
        points: (1..)
            .zip(&trial.layers)
            .map(|(i, layer)| [f64::from(i), layer.kept as f64 / layer.weights as f64])
            .collect(),
        deviations: Vec::new(),
    };
    Chart {
        title: "What is left of each layer at the greatest sparsity".into(),
        x: "layer, as in the table".into(),
        y: "share that is left".into(),
        scale: Scale::Values,
        curves: sparsest(outcome, study).iter().filter(|trial| !is_random(trial.method)).map(curve).collect(),
    }
}

/// Whether all layers lose alike.
fn is_random(method: Method) -> bool {
    matches!(method, Method::Random | Method::RandomFresh)
}

fn left(outcome: &Outcome, study: &Study) -> Grid {
    let trials = sparsest(outcome, study);
    let names = trials.first().map(|trial| trial.layers.as_slice()).unwrap_or_default();
    let row = |(index, layer): (usize, &super::Layer)| {
        let share = |trial: &&Trial| {
            trial
                .layers
                .get(index)
                .map_or("–".into(), |layer| format!("{:.1}", 100.0 * layer.kept as f64 / layer.weights as f64))
        };
        let name = format!("{} {}", index + 1, layer.name.trim_end_matches(".weight"));
        [name, layer.weights.to_string()].into_iter().chain(trials.iter().map(share)).collect()
    };
    let methods = trials.iter().map(|trial| trial.method.name().to_owned());
    Grid {
        title: "Layers".into(),
        note: "Percent of each layer's weights that are left at the greatest sparsity, first seed.".into(),
        columns: ["layer", "weights"].map(String::from).into_iter().chain(methods).collect(),
        rows: names.iter().enumerate().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dense, Layer};
    use super::*;

    fn trial(method: Method, sparsity: f64, seed: u64, instance_accuracy: f64) -> Trial {
        let layers = vec![Layer { name: "head.weight".into(), kept: 7, weights: 200 }];
        Trial { method, sparsity, seed, instance_accuracy, kept: 7, weights: 200, bytes: 1000, layers }
    }

    #[test]
    fn means_are_over_seeds_and_the_page_shows_all() {
        let methods = vec![Method::Magnitude, Method::Snip];
        let study = Study { methods, sparsities: vec![0.5, 0.965], seeds: 2, epochs: 1 };
        let trials = vec![
            trial(Method::Magnitude, 0.5, 0, 0.8),
            trial(Method::Magnitude, 0.5, 1, 0.9),
            trial(Method::Magnitude, 0.965, 0, 0.7),
            trial(Method::Snip, 0.5, 0, 0.6),
            trial(Method::Snip, 0.965, 0, 0.3),
        ];
        let rows = rows(&trials, &study);
        assert_eq!(rows.len(), 4);
        assert!((rows[0].accuracy[0] - 0.85).abs() < 1e-12 && (rows[0].accuracy[1] - 0.0707).abs() < 1e-4);
        let outcome = Outcome { dense: Dense { instance_accuracy: 0.95, bytes: 4000 }, trials };
        let page = report(&outcome, &study, Vec::new()).to_html();
        for part in ["85.0 ± 7.1", "95.0 %", "4.00", "1 head", "3.5", "From fresh weights"] {
            assert!(page.contains(part), "no {part:?}");
        }
    }
}
