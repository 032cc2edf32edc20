//! Views a second, on one mesh of about 50,000 triangles: `cargo bench --workspace --bench render [FILE]`.
//!
//! Without FILE the mesh is an armadillo of the shared data, or a generated one where that is absent. Times are the
//! best of many runs, in turn for each setting, so that a busy moment of the machine spoils none of them; the
//! last line is one JSON object, which `render_rivals.py` reads.

use polyad_shapes::job::Job;
use polyad_shapes::mesh::Mesh;
use polyad_shapes::normalise::{NormalMesh, Pose, normalise};
use polyad_shapes::read::read_mesh;
use polyad_shapes::render::{Frame, RenderSettings, Style, render};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Runs of each setting.
const RUNS: usize = 15;

fn main() {
    // Cargo passes `--bench` to every benchmark.
    let file = std::env::args().skip(1).find(|a| !a.starts_with("--")).map(PathBuf::from).or_else(shared_mesh);
    let mesh = file.as_deref().map_or_else(generated, read);
    let name = file.map_or("a generated ring".into(), |f| f.display().to_string());

    let (normalising, shape) = best(|| normalise(&mesh, Pose::AsIs, Job::silent()).expect("the mesh has triangles"));
    println!("{name}: {} triangles, {} threads, {}", mesh.triangles.len(), threads(), polyad_simd::level());
    println!("normalise {:>8.1} ms", ms(normalising));

    let plain = RenderSettings::default();
    let settings = [
        ("lit 2x2", plain.clone()),
        ("lit 1x1", RenderSettings { samples: 1, ..plain.clone() }),
        ("lit 4x4", RenderSettings { samples: 4, ..plain.clone() }),
        ("lit 2x2 crop", RenderSettings { frame: Frame::Crop, ..plain.clone() }),
        ("normal 2x2", RenderSettings { style: Style::Normal, ..plain.clone() }),
        ("lit 2x2, 96 pixels", RenderSettings { size: 96, ..plain.clone() }),
    ];
    let mut times = [Duration::MAX; 6];
    for _ in 0..RUNS {
        for ((_, settings), time) in settings.iter().zip(&mut times) {
            *time = (*time).min(timed(|| views(&shape, settings)).0);
        }
    }
    for ((name, _), time) in settings.iter().zip(times) {
        println!("{name:<20} {:>8.1} ms for 20 views {:>8.0} views/s", ms(time), 20.0 / time.as_secs_f64());
    }
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread can be had");
    let (alone, _) = one.install(|| best(|| views(&shape, &plain)));
    println!(
        "{:<20} {:>8.1} ms for 20 views {:>8.0} views/s",
        "lit 2x2, one thread",
        ms(alone),
        20.0 / alone.as_secs_f64()
    );
    println!(
        r#"{{"triangles":{},"ms":{:.2},"ms_one_sample":{:.2}}}"#,
        mesh.triangles.len(),
        ms(times[0]),
        ms(times[1])
    );
}

fn views(shape: &NormalMesh, settings: &RenderSettings) -> usize {
    render(shape, settings, Job::silent()).expect("the settings are good").views.len()
}

fn best<T>(mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut best = timed(&mut work);
    for _ in 1..RUNS {
        let next = timed(&mut work);
        if next.0 < best.0 {
            best = next;
        }
    }
    best
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn threads() -> usize {
    rayon::current_num_threads()
}

fn shared_mesh() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("POLYAD_SHARED").map_or(root.join("../shared"), PathBuf::from);
    Some(shared.join("data/psb19/armadillo/train/286.off.gz")).filter(|f| f.exists())
}

fn read(file: &Path) -> Mesh {
    let bytes = std::fs::read(file).expect("the file can be read");
    let alone = |name: &str| Err(polyad_shapes::Error::Unsupported(name.into()));
    read_mesh(&bytes, &file.to_string_lossy(), &alone).expect("the file holds a mesh")
}

/// A ring with waves, of 50,000 triangles.
fn generated() -> Mesh {
    let (rows, columns) = (100u32, 250u32);
    let mut mesh = Mesh::default();
    for i in 0..rows {
        for j in 0..columns {
            let (a, b) = (f64::from(i) / 100.0 * std::f64::consts::TAU, f64::from(j) / 250.0 * std::f64::consts::TAU);
            let r = 1.0 + (0.4 + 0.05 * libm::sin(9.0 * b + 2.0 * a)) * libm::cos(a);
            mesh.positions.push([r * libm::cos(b), r * libm::sin(b), 0.4 * libm::sin(a)]);
            let at = |i: u32, j: u32| i % rows * columns + j % columns;
            mesh.triangles
                .extend([[at(i, j), at(i, j + 1), at(i + 1, j)], [at(i, j + 1), at(i + 1, j + 1), at(i + 1, j)]]);
        }
    }
    mesh
}
