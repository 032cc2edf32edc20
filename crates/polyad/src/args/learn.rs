//! Arguments of the commands that make models and measure them.

use super::values::{PictureArgs, PrecisionArgs, within};
use clap::Args;
use std::path::PathBuf;

/// Make a library of parts, train on it, search it and report: the whole path in one command
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad demo --out demo
  polyad index my-parts --out my-parts.index --model demo/model

Takes at most 5 minutes on two cores. DIR then holds `model`, `gallery.png`, `report.html` and the parts. An interrupted \
run goes on when it is started again.")]
pub struct DemoArgs {
    /// Folder to write; it is made where it does not exist
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Every number drawn follows from it
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Learn the classes of a folder of shapes
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad train parts --out parts.model
  polyad train parts --out parts.model --initializer small
  polyad train modelnet40 --out paper.model --recipe paper --initializer resnet18

DIR/class/{train,test}/.. is split as it says, DIR/class/.. by the seed. A validation part of train picks the \
model; test is never looked at. Files that cannot be read are listed. State is kept in MODEL.train/ until the \
model is written, for --resume; pictures are kept in MODEL.cache/.

Photographs are views. In the folder of a class, those that share the name before the last _ are one shape, as chair_1.png \
and chair_2.png are, and so are all in a folder inside of it.")]
pub struct TrainArgs {
    /// Folder with a folder for each class
    pub dir: PathBuf,
    /// The model to write
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// Our schedule for two cores, or the published one
    #[arg(long, default_value = "default", value_parser = ["default", "paper"])]
    pub recipe: String,
    /// Go on where a run with the same settings was stopped
    #[arg(long)]
    pub resume: bool,
    /// Every number drawn follows from it
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder for the pictures of shapes, kept for the next run
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Where to compute
    #[arg(long, default_value = "cpu", value_parser = ["cpu"])]
    pub device: String,
    #[command(flatten)]
    pub pictures: PictureArgs,
    /// Random rotations of each training shape
    #[arg(long, value_name = "K", help_heading = "Pictures", value_parser = within(0..=1000))]
    pub rotations: Option<usize>,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub schedule: ScheduleArgs,
}

/// The network. What is left out is the recipe's choice.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// The image network, with weights drawn at random: small, alexnet, vgg11, resnet18, resnet34, resnet50,
    /// efficientnet-lite0, efficientnet-lite1, efficientnet-lite2; or a model whose weights to begin with, as builtin.
    /// Only small, and models of it, take --bfloat16. Left out: builtin with --freeze; small where --size, --style or --frame asks for other pictures than that has seen,
    /// or --stage1-epochs for lessons; with the published schedule alexnet
    #[arg(long, value_name = "I|MODEL")]
    pub initializer: Option<String>,
    /// Leave the image network of the model to begin with as it is; only what comes after it learns
    #[arg(long)]
    pub freeze: bool,
    /// Encoder blocks
    #[arg(long, value_name = "N", value_parser = within(0..=64))]
    pub layers: Option<usize>,
    /// Attention heads; they divide --dim
    #[arg(long, value_name = "N", value_parser = within(1..=256))]
    pub heads: Option<usize>,
    /// Numbers a view is described by
    #[arg(long, value_name = "N", value_parser = within(1..=8192))]
    pub dim: Option<usize>,
    /// Views that interact at once: pairs, or triples
    #[arg(long, value_name = "2|3", value_parser = within(2..=3))]
    pub order: Option<usize>,
    /// Normalise queries and keys, with learned gains: steadier with triples
    #[arg(long)]
    pub qk_norm: bool,
}

/// The schedule. What is left out is the recipe's choice.
#[derive(Debug, Args)]
#[command(next_help_heading = "Schedule")]
pub struct ScheduleArgs {
    /// Epochs of stage 1, which sees every view alone
    #[arg(long, value_name = "N")]
    pub stage1_epochs: Option<usize>,
    /// Epochs of stage 2, which sees View Sets
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Multiply numbers rounded to bfloat16 when the small network learns: for processors with tiles (AMX)
    #[arg(long)]
    pub bfloat16: bool,
}

/// Measure a model on shapes with known classes
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad evaluate parts --model parts.model
  polyad evaluate parts --model parts.model --rotate 1
  polyad evaluate other-parts --retrieval-only

The gallery of retrieval is the train split, the queries are the test split. With --retrieval-only every shape \
queries all others, and the classes may be ones that the model has never seen.")]
pub struct EvaluateArgs {
    /// Folder with a folder for each class
    pub dir: PathBuf,
    /// The model; without it the built-in one, which only retrieves
    #[arg(long)]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// The split to classify and to query with
    #[arg(long, value_name = "SPLIT", default_value = "test")]
    pub split: String,
    /// Turn every shape at random first
    #[arg(long, value_name = "SEED")]
    pub rotate: Option<u64>,
    /// Only retrieval, every shape against all others
    #[arg(long)]
    pub retrieval_only: bool,
    /// Folder for the pictures of shapes, kept for the next run
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}
