//! Arguments of the commands of the Hadamard toolkit.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use polyad_shapes::train::prune::Method;
use std::path::PathBuf;

/// Say what a network costs, and whether it is a polynomial
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad audit starnet-s1
  polyad audit my.model --input 3x96x96 --json

Counted on the network itself, for one input: parameters, multiply-adds (convolutions, linear maps, products of \
matrices; padding counts, biases and element-wise work do not), bytes of the largest two values alive at once, the \
degree as a polynomial and how many products follow each other, products of two values that depend on the input \
(ciphertext) and of one and a constant (plaintext), and three verdicts: no activation function; a polynomial at \
inference, batch norms folded; additions and multiplications alone.

`polyad audit list` prints the names.")]
pub struct AuditArgs {
    /// A published network's name, a model, `builtin`, or `list`
    #[arg(value_name = "NAME|MODEL")]
    pub network: String,
    /// The picture: channels, height, width; 3x224x224, or the size of the model's views
    #[arg(long, value_name = "CxHxW", value_parser = picture)]
    pub input: Option<[usize; 3]>,
    /// Views of a shape, for a model; as in its training where it is left out
    #[arg(long)]
    pub views: Option<usize>,
}

fn picture(text: &str) -> Result<[usize; 3], String> {
    let sizes: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    let wrong = || format!("{text:?} is not like 3x224x224");
    sizes.map_err(|_| wrong())?.try_into().map_err(|_| wrong())
}

/// Fill holes in photographs
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad inpaint train photographs --out fill.model
  polyad inpaint run scratched.png --model fill.model --mask mask.png --out whole.png
  polyad inpaint evaluate photographs --model fill.model --out report

The mask is white where the hole is, and as large as the photograph. Known pixels come back untouched. The model learns \
what the harmonic fill (Laplace's equation) lacks.")]
pub struct InpaintArgs {
    #[command(subcommand)]
    pub command: InpaintCommand,
}

#[derive(Debug, Subcommand)]
pub enum InpaintCommand {
    /// Learn from a folder of photographs
    Train(InpaintTrainArgs),
    /// Fill the holes of one photograph
    Run(InpaintRunArgs),
    /// Measure a model on the photographs that it has not learnt from
    Evaluate(InpaintEvaluateArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad inpaint train photographs --out fill.model
  polyad inpaint train photographs --out fill.model --kind partial --steps 4000 --resume")]
pub struct InpaintTrainArgs {
    /// Folder of photographs, PNG or JPEG; those at the end, in byte order of names, are left for testing
    pub folder: PathBuf,
    /// The model to write
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// Convolutions that know of the hole: gated, by gates that are learnt; partial, by leaving it out
    #[arg(long, default_value = "gated", value_parser = ["gated", "partial"])]
    pub kind: String,
    /// How many photographs are left for testing; 18 of 68, where it is left out
    #[arg(long)]
    pub test: Option<usize>,
    /// Steps of training
    #[arg(long, default_value_t = polyad_evidence::inpaint::InpaintRecipe::default().steps)]
    pub steps: usize,
    /// Crops a step
    #[arg(long, default_value_t = polyad_evidence::inpaint::InpaintRecipe::default().batch)]
    pub batch: usize,
    /// Side of a crop
    #[arg(long, default_value_t = polyad_evidence::inpaint::InpaintRecipe::default().crop)]
    pub crop: usize,
    /// Weight of structural similarity beside the squared error; 0 asks for decibels alone, which are smoother
    #[arg(long, default_value_t = polyad_evidence::inpaint::InpaintRecipe::default().similarity)]
    pub similarity: f64,
    /// Seed of crops, holes and first weights
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Go on with a run that was stopped
    #[arg(long)]
    pub resume: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad inpaint run scratched.png --model fill.model --mask mask.png --out whole.png

The mask is as large as the photograph. Known pixels come back untouched.")]
pub struct InpaintRunArgs {
    /// The photograph
    pub image: PathBuf,
    /// The model
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// White where the hole is
    #[arg(long, value_name = "MASK.png")]
    pub mask: PathBuf,
    /// The picture to write
    #[arg(long, value_name = "OUT.png")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad inpaint evaluate photographs --model fill.model
  polyad inpaint evaluate photographs --model fill.model --out report

Each photograph has two holes made, brush strokes and a square of 64 pixels. Missing pixels are compared with the true ones, \
for the model and for the harmonic fill that it begins with.")]
pub struct InpaintEvaluateArgs {
    /// Folder of photographs; those that the model has learnt from are left out
    pub folder: PathBuf,
    /// The model
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Folder for report.html and sheet.png
    #[arg(long, value_name = "REPORT")]
    pub out: Option<PathBuf>,
}

/// Find which fusion of words and picture answers questions about pictures
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad vqa easy-vqa --out report

DIR is laid out as easy-VQA is: answers.txt, and train and test with questions.json and images. The eyes learn once, with \
a wide head that puts words and picture side by side; then every fusion learns on what they see, at several widths, with \
as many parameters as the plain product of that width. REPORT holds report.html and trials.json; stopped, it goes on \
where it was.")]
pub struct VqaArgs {
    /// Folder of pictures and questions
    pub folder: PathBuf,
    /// Folder for report.html and trials.json
    #[arg(long, value_name = "REPORT")]
    pub out: PathBuf,
    /// Widths of the plain product
    #[arg(long, value_delimiter = ',', default_value = "2,4,8,16")]
    pub widths: Vec<usize>,
    /// Runs of each fusion and width
    #[arg(long, default_value_t = polyad_evidence::vqa::Study::default().seeds)]
    pub seeds: u64,
    /// Passes over the questions with each fusion
    #[arg(long, default_value_t = polyad_evidence::vqa::Study::default().epochs)]
    pub epochs: usize,
    /// Passes over the pictures that teach the eyes
    #[arg(long, default_value_t = polyad_evidence::vqa::Study::default().eye_epochs)]
    pub eye_epochs: usize,
}

/// Find which weights a trained model can do without, and write it without them
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("result").required(true).args(["out", "report"]),
    after_help = "\
Example:
  polyad prune parts --model parts.model --method magnitude --sparsity 0.9 --out small.model
  polyad prune parts --model parts.model --method all --sparsity .5,.8,.9,.95 --report pruning

DIR is the folder that the model was trained on. random, magnitude and movement begin with its weights; random-fresh, snip, \
synflow and lottery with fresh ones. All end in as many lessons under the mask. An image network that was frozen in training \
stays whole. What is pruned is 0 and takes one bit of the file, which is used as any model. REPORT holds report.html and \
trials.json; stopped, it goes on where it was."
)]
pub struct PruneArgs {
    /// Folder with a folder for each class
    pub dir: PathBuf,
    /// The trained model
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// How it is decided which weights go; several for a report, or all
    #[arg(long, value_name = "M", required = true, value_delimiter = ',', value_parser = methods())]
    pub method: Vec<String>,
    /// The share of weights that go, from 0 to below 1; several for a report
    #[arg(long, value_name = "S", required = true, value_delimiter = ',', value_parser = sparsity)]
    pub sparsity: Vec<f64>,
    /// The model to write
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Folder for report.html and trials.json, of all methods at all sparsities
    #[arg(long, value_name = "REPORT")]
    pub report: Option<PathBuf>,
    /// Seed of the one run that is written
    #[arg(long, default_value_t = 0, conflicts_with = "report")]
    pub seed: u64,
    /// Runs of each method and sparsity for the report
    #[arg(long, default_value_t = 3, conflicts_with = "out")]
    pub seeds: u64,
    /// Passes over the shapes after a mask
    #[arg(long, default_value_t = 4)]
    pub epochs: usize,
    /// Folder for the pictures of shapes, kept for the next run
    #[arg(long, value_name = "CACHE")]
    pub cache: Option<PathBuf>,
}

/// What names all methods at once.
pub const ALL_METHODS: &str = "all";

fn methods() -> PossibleValuesParser {
    PossibleValuesParser::new([ALL_METHODS].into_iter().chain(Method::ALL.map(Method::name)))
}

fn sparsity(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| "a share from 0 to below 1 is wanted, as 0.9".into())
}

/// Write a model as one file that runs without polyad's training stack
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad export --model my.model --out my.net
  polyad export --model my.model --out my.net --half --json

The crate polyad-run reads the file and needs nothing else: Network::from_bytes, then embed or logits. Batch norms are \
folded into the weights; settings, pixels' normalisation and classes travel with them. Multiply-adds are those of one View \
Set, counted as `polyad audit` does.")]
pub struct ExportArgs {
    /// The model; the built-in one where it is left out
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Store weights in half precision; they are computed with in single precision all the same
    #[arg(long)]
    pub half: bool,
}
