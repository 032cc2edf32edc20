//! Claim: the built-in model is the documented one, and finds a shape again in another pose, another meshing and other views.

use polyad_shapes::draw::view_set;
use polyad_shapes::embedding::{Embedder, Embedding};
use polyad_shapes::generate;
use polyad_shapes::job::Job;
use polyad_shapes::mesh::Mesh;
use polyad_shapes::model::{Model, builtin_bytes};
use polyad_shapes::normalise::random_rotation;
use polyad_shapes::render::RenderSettings;
use polyad_shapes::source::Shape;
use std::path::Path;

/// Shapes that it has not learnt from: the seed of its corpus is 0.
const SEED: u64 = 77;
const SHAPES: u64 = 60;

fn documented() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/README.md");
    std::fs::read_to_string(path).expect("the model is documented")
}

#[test]
fn its_file_is_the_documented_one() {
    let bytes = builtin_bytes();
    assert!(bytes.len() <= 9_000_000, "{} bytes", bytes.len());
    let digest = blake3::hash(bytes).to_hex().to_string();
    assert!(documented().contains(&digest), "the file's BLAKE3 is {digest}");
    let model = Model::builtin().expect("it is sound");
    assert!(model.classes().is_err());
    assert!(documented().contains(model.identity().as_str()), "its identity is {}", model.identity());
}

fn embed(model: &Model, mesh: impl Fn(u64) -> Mesh, settings: &RenderSettings, pose: u64) -> Vec<Embedding> {
    let draw = |index| {
        let rotation = random_rotation(pose, index);
        view_set(&Shape::Mesh(mesh(index)), settings, Some(&rotation), Job::silent()).expect("a shape")
    };
    let sets: Vec<_> = (0..SHAPES).map(draw).collect();
    model.embed(&sets).expect("its own views")
}

/// How many shapes are nearest to themselves, by the cosine, centred on what all have in common.
fn found(a: &[Embedding], b: &[Embedding]) -> usize {
    let width = a[0].set.len();
    let mean: Vec<f32> =
        (0..width).map(|i| a.iter().chain(b).map(|e| e.set[i]).sum::<f32>() / (a.len() + b.len()) as f32).collect();
    let unit = |e: &Embedding| -> Vec<f32> {
        let off: Vec<f32> = e.set.iter().zip(&mean).map(|(x, m)| x - m).collect();
        let length = off.iter().map(|x| x * x).sum::<f32>().sqrt();
        off.into_iter().map(|x| x / length).collect()
    };
    let (a, b): (Vec<_>, Vec<_>) = (a.iter().map(unit).collect(), b.iter().map(unit).collect());
    let cosine = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    let nearest = |x: &Vec<f32>| (0..b.len()).max_by(|i, j| cosine(x, &b[*i]).total_cmp(&cosine(x, &b[*j])));
    a.iter().enumerate().filter(|(i, x)| nearest(x) == Some(*i)).count()
}

#[test]
fn a_shape_is_found_again_in_another_pose_meshing_and_other_views() {
    let model = Model::builtin().expect("it is sound");
    let settings = model.render_settings().clone();
    let plain = |index| generate::shape(SEED, index).mesh;
    let as_it_is = embed(&model, plain, &settings, 1);
    let turned = embed(&model, plain, &settings, 2);
    let finer = |index| {
        let mesh = plain(index);
        let corner = |t: &[u32; 3], k: usize| mesh.positions[t[k] as usize];
        let mut split = Mesh { positions: Vec::new(), triangles: Vec::new(), unit: None };
        // Every triangle in three, with corners of its own.
        for t in &mesh.triangles {
            let corners = [corner(t, 0), corner(t, 1), corner(t, 2)];
            let centre = std::array::from_fn(|k| corners.iter().map(|p| p[k]).sum::<f64>() / 3.0);
            for k in 0..3 {
                let first = split.positions.len() as u32;
                split.positions.extend([corners[k], corners[(k + 1) % 3], centre]);
                split.triangles.push([first, first + 1, first + 2]);
            }
        }
        split
    };
    let meshed = embed(&model, finer, &settings, 1);
    let fewer = embed(&model, plain, &RenderSettings { views: "8".into(), ..settings.clone() }, 3);
    for (what, others, least) in [("pose", turned, 0.9), ("meshing", meshed, 0.95), ("views", fewer, 0.85)] {
        let share = found(&as_it_is, &others) as f64 / SHAPES as f64;
        eprintln!("{what}: {share}");
        assert!(share >= least, "another {what}: {share} of the shapes are nearest to themselves");
    }
}
