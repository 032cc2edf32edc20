//! `polyad plan`: what each way of computing tensor attention would cost.

use super::attend::arrays::{Arrays, Case};
use crate::args::PlanArgs;
use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;
use crate::table::Table;
use crate::{npz, paths};
use polyad_attention::polynomial::{self, Calibration, Method, Options, Plan, Question, Tolerance};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Planned {
    range: f64,
    degree: Option<usize>,
    rank_full: Option<usize>,
    rank_kept: Option<usize>,
    operations: Option<f64>,
    exact_operations: f64,
    seconds: Seconds,
    choice: &'static str,
    why: String,
    border: f64,
    border_score: f64,
}

#[derive(Debug, Serialize)]
struct Seconds {
    exact: f64,
    polynomial: Option<f64>,
}

pub fn run(args: &PlanArgs, printer: &Printer) -> Result<Exit> {
    let level = polyad_simd::level();
    let wrong = |why: polyad_attention::Error| Failure::usage(why.to_string());
    let plan = match &args.npz {
        None => {
            let question = Question {
                tokens: args.n.unwrap_or_default(),
                width: args.d.unwrap_or_default(),
                order: args.order.unwrap_or_default(),
                form: args.form,
                range: args.range,
                tolerance: args.tolerance,
            };
            // What cannot be planned is said before anything is measured.
            question.plan(&Calibration::default()).map_err(wrong)?;
            question.plan(&Calibration::measure(question.width, level).map_err(wrong)?).map_err(wrong)?
        }
        Some(path) => {
            paths::file(path, "what holds the arrays")?;
            let in_file = |why: String| Failure::failed(format!("{}: {why}", path.display()));
            let case = Case::read(Arrays(npz::read(path)?)).map_err(in_file)?;
            if !(args.tolerance.is_finite() && args.tolerance > 0.0) {
                return Err(Failure::usage("--tolerance: a positive number is wanted".to_owned()));
            }
            of_case(&case, args.tolerance, level).map_err(|why| in_file(why.to_string()))?
        }
    };
    printer.result(&said(plan), words)?;
    Ok(Exit::Done)
}

fn of_case(case: &Case, tolerance: f64, level: polyad_simd::Level) -> polyad_attention::Result<Plan> {
    let options = Options {
        calibration: Calibration::measure(case.problem.width, level)?,
        ..Options::new(Method::Polynomial, Tolerance::Relative(tolerance))
    };
    case.with_inputs(|inputs| polynomial::plan(&case.problem, inputs, &options, level))
}

fn said(plan: Plan) -> Planned {
    Planned {
        range: plan.range,
        degree: plan.degree,
        rank_full: plan.rank_full,
        rank_kept: plan.rank_kept,
        operations: plan.operations,
        exact_operations: plan.exact_operations,
        seconds: Seconds { exact: plan.exact_seconds, polynomial: plan.seconds },
        choice: plan.choice.name(),
        why: plan.why,
        border: plan.border,
        border_score: plan.border_score,
    }
}

fn words(plan: &Planned) -> String {
    let or_dash = |x: Option<String>| x.unwrap_or_else(|| "-".into());
    let mut table = Table::new(&["method", "degree", "rank", "kept", "operations", "seconds"]);
    table.row([
        "exact".into(),
        "-".into(),
        "-".into(),
        "-".into(),
        format!("{:.2e}", plan.exact_operations),
        format!("{:.2e}", plan.seconds.exact),
    ]);
    table.row([
        "polynomial".into(),
        or_dash(plan.degree.map(|degree| degree.to_string())),
        or_dash(plan.rank_full.map(|rank| rank.to_string())),
        or_dash(plan.rank_kept.map(|rank| rank.to_string())),
        or_dash(plan.operations.map(|x| format!("{x:.2e}"))),
        or_dash(plan.seconds.polynomial.map(|x| format!("{x:.2e}"))),
    ]);
    format!(
        "{}\n{}: {}.\nScores lie within ±{:.3} of their row's middle. Almost linear time is possible for scores below about \
         ln n = {:.2}, entries below {:.2} (with a scale of 1/d).\n",
        table.text(),
        plan.choice,
        plan.why,
        plan.range,
        plan.border_score,
        plan.border
    )
}
