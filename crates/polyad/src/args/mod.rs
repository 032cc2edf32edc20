//! Arguments of every command. Doc comments are the help.

mod attention;
mod hadamard;
mod learn;
mod more;
mod published;
mod shapes;
mod values;

pub use attention::{AttendArgs, PlanArgs, Precision};
pub use hadamard::{
    ALL_METHODS, AuditArgs, ExportArgs, InpaintArgs, InpaintCommand, InpaintEvaluateArgs, InpaintRunArgs,
    InpaintTrainArgs, PruneArgs, VqaArgs,
};
pub use learn::{DemoArgs, EvaluateArgs, TrainArgs};
pub use more::{CompletionsArgs, DoctorArgs, HelpArgs};
pub use published::{ImportArgs, ScoreArgs};
pub use shapes::{ClassifyArgs, GalleryArgs, IndexArgs, InfoArgs, RenderArgs, SearchArgs};
pub use values::PrecisionArgs;

use clap::{Args, Parser, Subcommand};

/// Find and recognise 3-D shapes: a folder of meshes in, "what is this?" and "more like this" out.
#[derive(Debug, Parser)]
#[command(
    name = "polyad",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "`polyad COMMAND --help` shows an example of each command; `polyad help exit-codes` explains the exit codes."
)]
pub struct Cli {
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// How results are shown.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Print results as JSON, one object a line
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// No progress and no warnings, only results and errors
    #[arg(long, short, global = true, help_heading = "Output")]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Demo(DemoArgs),
    Info(InfoArgs),
    Render(RenderArgs),
    Train(TrainArgs),
    Evaluate(EvaluateArgs),
    Classify(ClassifyArgs),
    Index(IndexArgs),
    Search(SearchArgs),
    Gallery(GalleryArgs),
    Score(ScoreArgs),
    Import(ImportArgs),
    Attend(AttendArgs),
    Plan(PlanArgs),
    Audit(AuditArgs),
    Inpaint(InpaintArgs),
    Vqa(VqaArgs),
    Prune(PruneArgs),
    Export(ExportArgs),
    Doctor(DoctorArgs),
    Completions(CompletionsArgs),
    Help(HelpArgs),
}
