//! Shapes a second from a mesh's file to its embedding, and where the time goes:
//! `cargo bench --workspace --bench embed [-- FOLDER]`.
//!
//! Without FOLDER the files are those of the shared data's `psb19`, or generated parts where that is absent. The
//! networks are the built-in model, and with fresh weights, which do not change the time, our default one and those with
//! StarNet and ResNet-18 as initializers. Beside them stand the multiply-add peak of the machine, measured in the same
//! run, and the most memory that the process has held. `embed_rivals.py` compares with PyTorch.

use burn::tensor::Device;
use polyad_nn::hadamard::correlation::starnet::StarNetSize;
use polyad_shapes::demo::families::{families, generate};
use polyad_shapes::demo::stl::write_stl;
use polyad_shapes::embedding::Embedder;
use polyad_shapes::job::Job;
use polyad_shapes::model::{Header, Model};
use polyad_shapes::normalise::{NormalMesh, Pose, normalise};
use polyad_shapes::render::{RenderSettings, render};
use polyad_shapes::source::{Shape, Source, walk};
use polyad_shapes::view_set::ViewSet;
use polyad_shapes::vsformer::{BackboneKind, VsFormerConfig};
use polyad_simd::level;
use polyad_simd::peak::multiply_add_rate;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Shapes that are timed.
const SHAPES: usize = 64;
/// Runs, of which the best counts, step by step.
const RUNS: usize = 5;
/// Multiply-adds for one view of 96 x 96.
const OF_BUILTIN: f64 = 71.5e6;
const OF_DEFAULT: f64 = 59.9e6;
const OF_STARNET: f64 = 16.7e6;
const OF_RESNET18: f64 = 333.7e6;

fn main() {
    let folder = std::env::args().skip(1).find(|a| !a.starts_with("--")).map(PathBuf::from).or_else(shared);
    let generated = tempfile::tempdir().expect("a folder");
    let folder = folder.unwrap_or_else(|| generate_into(generated.path()));
    let all = walk(&folder, Job::silent()).expect("the folder can be read").shapes;
    // Spread over the folder, so that all classes are in it.
    let step = (all.len() / SHAPES).max(1);
    let sources: Vec<Source> = all.into_iter().step_by(step).take(SHAPES).collect();
    let builtin = Model::builtin().expect("it is whole");
    for (name, model, multiply_adds) in [
        ("built-in model", builtin, OF_BUILTIN),
        ("default network", fresh(BackboneKind::Small), OF_DEFAULT),
        ("StarNet-s050", fresh(BackboneKind::StarNet(StarNetSize::S050)), OF_STARNET),
        ("ResNet-18", fresh(BackboneKind::ResNet18), OF_RESNET18),
    ] {
        println!("{name}");
        measure(&sources, &model, multiply_adds);
    }
    if let Some(megabytes) = most_memory() {
        println!("at most {megabytes:.0} MB of memory");
    }
}

fn measure(sources: &[Source], model: &Model, multiply_adds: f64) {
    let settings = model.render_settings().clone();
    let mut best = [f64::MAX; 5];
    let mut note = |step: usize, seconds: f64| best[step] = best[step].min(seconds);
    let (mut triangles, mut views) = (0, 0);
    for _ in 0..RUNS {
        let (seconds, shapes) = timed(|| sources.par_iter().map(read).collect::<Vec<Shape>>());
        note(0, seconds);
        let (seconds, normal) = timed(|| shapes.par_iter().map(normal).collect::<Vec<NormalMesh>>());
        note(1, seconds);
        let draw = |mesh| render(mesh, &settings, Job::silent()).expect("the settings are good");
        let (seconds, sets) = timed(|| normal.par_iter().map(draw).collect::<Vec<ViewSet>>());
        note(2, seconds);
        let (seconds, _) = timed(|| model.embed(&sets).expect("the views are its own"));
        note(3, seconds);
        note(4, 1.0 / peak());
        triangles =
            shapes.iter().map(|shape| if let Shape::Mesh(mesh) = shape { mesh.triangles.len() } else { 0 }).sum();
        views = sets.iter().map(|set| set.views.len()).sum();
    }
    let n = sources.len() as f64;
    let total: f64 = best[..4].iter().sum();
    println!(
        "{} files, {:.0} triangles each, {:.0} views of {}, {} threads, {}",
        sources.len(),
        triangles as f64 / n,
        views as f64 / n,
        settings.size,
        rayon::current_num_threads(),
        level()
    );
    for (name, seconds) in ["read", "normalise", "render", "network"].iter().zip(best) {
        println!("{name:<10} {:>8.2} ms a shape {:>6.1} %", seconds / n * 1e3, 100.0 * seconds / total);
    }
    println!("{:<10} {:>8.2} ms a shape, {:.1} shapes/s", "all", total / n * 1e3, n / total);
    let rate = 2.0 * multiply_adds * views as f64 / best[3];
    println!("network: {:.0} % of the multiply-add peak of {:.0} GFLOP/s", 100.0 * rate * best[4], 1e-9 / best[4]);
}

/// The process's peak, where the system tells.
fn most_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// A network with the default encoder.
fn fresh(backbone: BackboneKind) -> Model {
    let architecture = VsFormerConfig { layers: 2, dim: 192, ..VsFormerConfig::published(backbone, None) };
    let network = architecture.init(&Device::flex()).expect("the default sizes");
    let render = RenderSettings { size: 96, ..RenderSettings::default() };
    Model::new(network, Header::new(architecture, render, None)).expect("a model without classes")
}

fn read(source: &Source) -> Shape {
    source.load().expect("the file holds a shape")
}

fn normal(shape: &Shape) -> NormalMesh {
    let Shape::Mesh(mesh) = shape else { panic!("the folder holds photographs") };
    normalise(mesh, Pose::default(), Job::silent()).expect("the mesh has triangles")
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64(), result)
}

/// Floating-point operations a second of all threads.
fn peak() -> f64 {
    rayon::broadcast(|_| multiply_add_rate(level())).into_iter().sum()
}

fn shared() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("POLYAD_SHARED").map_or(root.join("../shared"), PathBuf::from);
    Some(shared.join("data/psb19")).filter(|folder| folder.exists())
}

fn generate_into(folder: &Path) -> PathBuf {
    for seed in 0..SHAPES {
        let part = write_stl(&generate(seed % families().len(), seed as u64));
        std::fs::write(folder.join(format!("{seed}.stl")), part).expect("room for the parts");
    }
    folder.to_owned()
}
