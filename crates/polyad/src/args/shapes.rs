//! Arguments of the commands that look at shapes and compare them.

use super::values::{PictureArgs, PrecisionArgs, named, samples, within};
use clap::{ArgGroup, Args};
use polyad_shapes::index::Score;
use std::path::PathBuf;

const SCORES: [(&str, Score); 2] = [("set", Score::Set), ("best-view", Score::BestView)];

/// Say what is in files: format, unit, triangles, bounds, area, whether the surface is closed
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad info part.stl scans.zip models/
  polyad info --json models/ | jq 'select(.watertight == false).path'

Numbers are in the file's own units.")]
pub struct InfoArgs {
    /// Meshes, point clouds, archives, photographs, or folders of them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Draw a shape as a View Set: pictures from many sides
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("output").args(["out", "sheet"]).required(true).multiple(true),
    after_help = "\
Example:
  polyad render part.stl --out views
  polyad render part.stl --views 12 --style normal --sheet part.png"
)]
pub struct RenderArgs {
    /// A mesh or point cloud
    pub file: PathBuf,
    /// Folder for the pictures, named STEM_001.png and so on
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// One picture that shows all views
    #[arg(long, value_name = "FILE.png")]
    pub sheet: Option<PathBuf>,
    #[command(flatten)]
    pub pictures: PictureArgs,
    /// Samples a pixel along each axis: 2 means 2 x 2
    #[arg(long, value_name = "N", help_heading = "Pictures", value_parser = samples())]
    pub samples: Option<usize>,
}

/// Say what shapes are
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad classify unknown.stl photos/ --model demo/model
  polyad classify unknown.stl --labelled my-parts
  polyad classify unknown.stl --model demo/model --logits --json
  polyad classify --model demo/model --views-npy views.npy --logits

The views of an .npy file are float32, [shapes, views, 3, height, width] or [views, 3, height, width], \
normalised as the model expects them, and go straight into the network.")]
pub struct ClassifyArgs {
    /// Meshes, point clouds, archives, photographs, or folders of them
    #[arg(required_unless_present = "views_npy", conflicts_with = "views_npy", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The model; an index given to --labelled brings its own, and a folder can do with the built-in one
    #[arg(long)]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// Let the neighbours in a folder of classes, or in its index, vote, whatever the model knows
    #[arg(long, value_name = "DIR|INDEX", conflicts_with = "views_npy")]
    pub labelled: Option<PathBuf>,
    /// Neighbours that vote
    #[arg(short = 'k', long = "neighbours", value_name = "K", default_value_t = 5, requires = "labelled", value_parser = within(1..=usize::MAX))]
    pub k: usize,
    /// Classes to show for each shape
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = within(1..=usize::MAX))]
    pub top: usize,
    /// Views as numbers instead of files
    #[arg(long, value_name = "X.npy", requires = "logits")]
    pub views_npy: Option<PathBuf>,
    /// Print the network's own outputs too, before they become probabilities: a number for each of the model's classes
    #[arg(long, conflicts_with = "labelled")]
    pub logits: bool,
}

/// Embed a folder of shapes, or update what was embedded before
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad index my-parts --out my-parts.index
  polyad index my-parts --out known.index --model demo/model

Running it again updates: unchanged files cost nothing, vanished ones leave. Files that cannot be read are \
listed. The index keeps the model it was built with, so that later commands need none.

A folder of photographs inside of DIR is one shape. Where they are numbered under several names, as chair_1.png and \
stool_1.png are, it is the folder of a class: those that share the name before the last _ are one shape. In DIR itself too.")]
pub struct IndexArgs {
    /// Folder (or archive) of meshes, point clouds and photographs
    #[arg(required_unless_present = "remove")]
    pub dir: Option<PathBuf>,
    /// Folder of the index
    #[arg(long, value_name = "INDEX")]
    pub out: PathBuf,
    /// The model; the built-in one where it is left out the first time
    #[arg(long)]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// Only take a shape, or all below a folder, out of the index, by the path it is listed under
    #[arg(long, value_name = "PATH")]
    pub remove: Vec<String>,
}

/// Find shapes that are alike
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad search my-parts.index wanted.stl -k 5
  polyad search --in my-parts wanted.stl --sheet found.png
  polyad search my-parts.index front.jpg side.jpg

Every mesh or cloud is a query of its own; all images together are one. With --in, shapes of DIR that cannot be read are \
left out, with a warning.")]
pub struct SearchArgs {
    /// The index, then the queries; with --in only the queries
    #[arg(required = true, value_names = ["INDEX", "QUERY"], num_args = 1..)]
    pub paths: Vec<PathBuf>,
    /// Search a folder that has no index
    #[arg(long = "in", value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// The model; an index brings its own, and a folder can do with the built-in one
    #[arg(long)]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// Neighbours to find
    #[arg(short, long = "neighbours", value_name = "K", default_value_t = 10, value_parser = within(1..=usize::MAX))]
    pub k: usize,
    /// One picture that shows queries and neighbours
    #[arg(long, value_name = "FILE.png")]
    pub sheet: Option<PathBuf>,
    /// Only neighbours whose bounding diagonal is within 10 %, in file units
    #[arg(long)]
    pub same_size: bool,
    /// Compare shapes as wholes, or by the two views most alike
    #[arg(long, default_value = "set", value_parser = named(&SCORES))]
    pub score: Score,
}

/// Write one page with pictures of all shapes of an index
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad gallery my-parts.index --out my-parts.html

The page stands alone: click a picture for its neighbours, filter by name and size.")]
pub struct GalleryArgs {
    /// The index
    pub index: PathBuf,
    /// The page
    #[arg(long, value_name = "page.html")]
    pub out: PathBuf,
}
