//! What every picture promises: the same bytes everywhere, no cracks, both sides of a surface, no panic.

use super::*;
use crate::mesh::Mesh;
use crate::normalise::{Pose, normalise, random_rotation};

fn mesh(positions: Vec<[f64; 3]>, triangles: Vec<[u32; 3]>) -> Mesh {
    Mesh { positions, triangles, unit: None }
}

fn shape(mesh: &Mesh) -> NormalMesh {
    normalise(mesh, Pose::AsIs, Job::silent()).unwrap()
}

/// A tube around a circle, or with `thickness` 0 and the poles closed, a sphere of radius 1.
fn lathe(rows: u32, columns: u32, thickness: f64, sphere: bool) -> Mesh {
    let mut result = mesh(vec![], vec![]);
    for i in 0..=rows {
        for j in 0..columns {
            let turn = if sphere { 0.5 } else { 1.0 };
            let a = f64::from(i) / f64::from(rows) * std::f64::consts::TAU * turn;
            let b = f64::from(j) / f64::from(columns) * std::f64::consts::TAU;
            let (r, z) = if sphere {
                (libm::sin(a), libm::cos(a))
            } else {
                (1.0 - thickness * libm::cos(a), thickness * libm::sin(a))
            };
            result.positions.push([r * libm::cos(b), r * libm::sin(b), z]);
            if i < rows {
                let (p, q) = (i * columns + j, i * columns + (j + 1) % columns);
                result.triangles.extend([[p, p + columns, q], [q, p + columns, q + columns]]);
            }
        }
    }
    result
}

fn sphere() -> Mesh {
    lathe(40, 80, 0.0, true)
}

/// Five sides of a box.
fn open_box() -> Mesh {
    let corners = (0..8).map(|i| [f64::from(i & 1) * 3.0, f64::from(i >> 1 & 1) * 2.0, f64::from(i >> 2)]).collect();
    let sides = [[0, 2, 3, 1], [0, 1, 5, 4], [1, 3, 7, 5], [3, 2, 6, 7], [2, 0, 4, 6]];
    mesh(corners, sides.iter().flat_map(|&[a, b, c, d]| [[a, b, c], [a, c, d]]).collect())
}

/// Numbers from 0 to 1, the same everywhere.
fn random(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// Triangles anywhere, small ones, large ones and slivers.
fn soup(count: u32) -> Mesh {
    let mut next = random(11);
    let mut result = mesh(vec![], vec![]);
    for t in 0..count {
        let size = [0.02, 0.2, 1.5][t as usize % 3];
        let centre = [next(), next(), next()];
        let sliver = if t % 5 == 0 { 1e-3 } else { 1.0 };
        for k in 0..3 {
            let thin = if k == 2 { sliver } else { 1.0 };
            let along = result.positions.last().copied().unwrap_or([0.0; 3]);
            let place = centre.map(|c| c + size * (next() - 0.5));
            let near = std::array::from_fn(|i| along[i] + thin * (place[i] - along[i]));
            result.positions.push(if k == 2 { near } else { place });
        }
        result.triangles.push([3 * t, 3 * t + 1, 3 * t + 2]);
    }
    result
}

fn cloud() -> Mesh {
    mesh(lathe(60, 90, 0.4, false).positions, vec![])
}

fn settings(style: Style, frame: Frame, samples: usize) -> RenderSettings {
    RenderSettings { views: "5".into(), size: 96, style, frame, samples, version: VERSION }
}

const STYLES: [Style; 4] = [Style::Lit, Style::Depth, Style::Normal, Style::Silhouette];
const FRAMES: [Frame; 2] = [Frame::Sphere, Frame::Crop];

/// Digests of all views with 1, 2, 3 and 4 samples, a row for a shape, by style and then by frame. They change
/// with [`VERSION`], never without.
const GOLDEN: [(&str, [&str; 8]); 4] = [
    (
        "ring",
        [
            "c4dad6bd577ff76f",
            "f99ad2f940767d6b",
            "11d78a48696c0626",
            "591ac2ef2a5e9744",
            "a7f0f4eb93af18fa",
            "842cc4bcc756acdc",
            "97dd1de1c8a454a7",
            "099702353fc05c84",
        ],
    ),
    (
        "open box",
        [
            "5a4a0710440b2c29",
            "d87d2eee1e797f56",
            "49e3cf11de1830ac",
            "9bf53cd59dc6c0d6",
            "5bb023f597e7e81a",
            "1b78b70efc46ea41",
            "3b1477b33fe3647e",
            "54be4a7bcbe2d4bc",
        ],
    ),
    (
        "soup",
        [
            "72bba405a9696b7a",
            "81b41e31ec1c157e",
            "7861ba502ed10d06",
            "d03b74ba39f157f8",
            "a9faf38f2cd49b6f",
            "92c2e574f48d0de5",
            "a7504c57081d99e9",
            "67a5f3f9bd257052",
        ],
    ),
    (
        "cloud",
        [
            "edd249e4857a78ae",
            "a1a7e64309ee9263",
            "01c13db6ba6c82f6",
            "fcd2ea713acad854",
            "35973a94dd1d440e",
            "40150a6f418fb44d",
            "2a8ffe718c4edd6b",
            "75f10da3abe917a8",
        ],
    ),
];

fn digests(level: Level, shape: &NormalMesh) -> Vec<String> {
    let mut found = Vec::new();
    for style in STYLES {
        for frame in FRAMES {
            let mut hasher = blake3::Hasher::new();
            for samples in 1..=4 {
                let set = render_at(level, shape, &settings(style, frame, samples), Job::silent()).unwrap();
                set.views.iter().for_each(|view| {
                    hasher.update(&view.pixels);
                });
            }
            found.push(hasher.finalize().to_hex()[..16].to_owned());
        }
    }
    found
}

#[test]
fn the_same_bytes_come_from_every_instruction_set_and_any_number_of_threads() {
    let shapes = [lathe(24, 48, 0.4, false), open_box(), soup(400), cloud()].map(|mesh| shape(&mesh));
    for level in Level::ALL {
        if !level.is_present() {
            eprintln!("skipped: this processor has no {level}");
            continue;
        }
        for threads in [1, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| shapes.each_ref().map(|shape| digests(level, shape)));
            let expected = GOLDEN.map(|(_, digests)| digests.map(str::to_owned).to_vec());
            assert_eq!(found, expected, "{level}, {threads} threads");
        }
    }
}

#[test]
fn a_sphere_has_the_area_of_a_disc_in_the_middle() {
    for samples in [1, 2, 4] {
        let set =
            render(&shape(&sphere()), &settings(Style::Silhouette, Frame::Sphere, samples), Job::silent()).unwrap();
        for view in &set.views {
            let dark =
                |(i, &v): (usize, &u8)| (f64::from(255 - v) / 255.0, (i % 96) as f64 + 0.5, (i / 96) as f64 + 0.5);
            let (mut area, mut x, mut y) = (0.0, 0.0, 0.0);
            for (w, px, py) in view.pixels.iter().enumerate().map(dark) {
                (area, x, y) = (area + w, x + w * px, y + w * py);
            }
            let expected = std::f64::consts::PI * (0.95f64 * 48.0).powi(2);
            assert!((area / expected - 1.0).abs() < 0.01, "{samples} samples: {area} for {expected}");
            assert!((x / area - 48.0).abs() < 0.1 && (y / area - 48.0).abs() < 0.1);
        }
    }
}

#[test]
fn a_sheet_is_seen_and_lit_from_both_sides() {
    let sheet = mesh(vec![[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], vec![[0, 1, 2]]);
    for style in STYLES {
        let [front, back] = [1.0, -1.0].map(|z| {
            let camera = Camera::new([0.2, 0.1, z], 0.0).unwrap();
            render_view(&shape(&sheet), &camera, &settings(style, Frame::Sphere, 2), Job::silent()).unwrap()
        });
        let covered = |view: &View| view.pixels.chunks(view.channels).filter(|p| p.iter().any(|&v| v < 250)).count();
        let (front, back) = (covered(&front), covered(&back));
        assert!(front > 1000 && front.abs_diff(back) < 20, "{style:?}: {front} and {back} pixels");
    }
}

#[test]
fn the_order_of_triangles_and_degenerate_ones_change_no_byte() {
    let mut next = random(4);
    for mut mesh in [soup(200), open_box(), lathe(12, 24, 0.3, false)] {
        // Two faces in one place, which tie everywhere.
        mesh.triangles.push(mesh.triangles[3]);
        let all = |mesh: &Mesh| {
            let view = |style| render(&shape(mesh), &settings(style, Frame::Crop, 2), Job::silent()).unwrap();
            STYLES.map(view)
        };
        let expected = all(&mesh);
        for i in (1..mesh.triangles.len()).rev() {
            mesh.triangles.swap(i, (next() * (i + 1) as f64) as usize);
        }
        assert!(all(&mesh) == expected, "shuffled");
        mesh.positions.extend([[f64::NAN; 3], [1e9; 3], [2e9; 3], [3e9; 3]]);
        let far = mesh.positions.len() as u32 - 3;
        mesh.triangles.splice(1..1, [[0, 0, 1], [0, 1, far - 1], [far, far + 1, far + 2]]);
        assert!(all(&mesh) == expected, "degenerate");
    }
}

#[test]
fn a_point_is_a_disc_and_a_dense_cloud_closes() {
    let point = shape(&mesh(vec![[3.0, -2.0, 5.0]], vec![]));
    let view =
        render_view(&point, &Camera::three_quarter(), &settings(Style::Silhouette, Frame::Sphere, 4), Job::silent())
            .unwrap();
    let area: f64 = view.pixels.iter().map(|&v| f64::from(255 - v) / 255.0).sum();
    let expected = std::f64::consts::PI * (f64::from(point.disc_radius()) * 0.95 * 48.0).powi(2);
    assert!((area / expected - 1.0).abs() < 0.05, "{area} for {expected}");

    let surface = shape(&sphere());
    let points = shape(&mesh(sphere().positions, vec![]));
    let area = |shape: &NormalMesh| {
        let view =
            render_view(shape, &Camera::three_quarter(), &settings(Style::Silhouette, Frame::Sphere, 2), Job::silent())
                .unwrap();
        view.pixels.iter().map(|&v| f64::from(255 - v)).sum::<f64>()
    };
    let ratio = area(&points) / area(&surface);
    assert!((1.0..1.15).contains(&ratio), "the cloud covers {ratio} of the surface");
}

#[test]
fn a_cropped_view_is_centred_and_at_most_as_large_as_it_may_be() {
    let stick = mesh(vec![[0.0; 3], [9.0, 0.0, 0.0], [9.0, 0.1, 0.0], [0.0, 0.1, 5.0]], vec![[0, 1, 2], [0, 2, 3]]);
    for mesh in [sphere(), lathe(24, 48, 0.3, false), stick, cloud()] {
        let set = render(&shape(&mesh), &settings(Style::Silhouette, Frame::Crop, 4), Job::silent()).unwrap();
        for view in &set.views {
            let inked = |i: usize| view.pixels[i] < 255;
            let xs: Vec<usize> = (0..96).filter(|x| (0..96).any(|y| inked(y * 96 + x))).collect();
            let ys: Vec<usize> = (0..96).filter(|y| (0..96).any(|x| inked(y * 96 + x))).collect();
            let (width, height) = (xs[xs.len() - 1] + 1 - xs[0], ys[ys.len() - 1] + 1 - ys[0]);
            let area = view.pixels.iter().map(|&v| f64::from(255 - v) / 255.0).sum::<f64>() / (96.0 * 96.0);
            assert!(width.max(height) <= 88, "{width} x {height}, 90 % of 96 is 86.4");
            assert!(area <= 0.31, "{area} of the area");
            // What a ring's hole adds to the area that counts leaves its own smaller.
            assert!(width.max(height) >= 85 || area >= 0.2, "{width} x {height}, {area}: too small");
            let centred = |first: usize, last: usize| (first as i32 - (95 - last as i32)).abs() <= 2;
            assert!(centred(xs[0], xs[xs.len() - 1]) && centred(ys[0], ys[ys.len() - 1]));
        }
    }
}

#[test]
fn nearer_is_darker_in_depth_and_the_nearest_shows() {
    let square = |z: f64, half: f64| [[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]];
    let positions = [square(0.0, 1.0), square(0.5, 0.5)].concat();
    let shape = shape(&mesh(positions, vec![[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]));
    let at = |z: f64, place: usize| {
        let camera = Camera::new([0.0, 0.0, z], 0.0).unwrap();
        render_view(&shape, &camera, &settings(Style::Depth, Frame::Sphere, 1), Job::silent()).unwrap().pixels[place]
    };
    let (middle, side, corner) = (48 * 96 + 48, 48 * 96 + 20, 0);
    assert!(at(1.0, middle) < at(1.0, side) && at(1.0, side) < 240 && at(1.0, corner) == 255);
    assert_eq!(at(-1.0, middle), at(-1.0, side), "the small square is behind");
}

#[test]
fn a_turned_camera_sees_what_it_saw_of_a_turned_shape() {
    let rotation = random_rotation(1, 2);
    let shape = shape(&open_box());
    let camera = Camera::new([0.3, -0.8, 0.4], 0.7).unwrap();
    let settings = settings(Style::Lit, Frame::Sphere, 4);
    let plain = render_view(&shape, &camera, &settings, Job::silent()).unwrap();
    let turned = render_view(&shape.rotated(&rotation), &camera.rotated(&rotation), &settings, Job::silent()).unwrap();
    let far = plain.pixels.iter().zip(&turned.pixels).filter(|(a, b)| a.abs_diff(**b) > 40).count();
    assert!(far < 20, "{far} pixels differ");
}

#[test]
fn settings_that_cannot_be_are_refused_with_value_and_range() {
    let good = RenderSettings::default();
    assert!(good.check().is_ok());
    let bad = [
        (RenderSettings { size: 15, ..good.clone() }, ["15", "16 to 2048"]),
        (RenderSettings { size: usize::MAX, ..good.clone() }, [&usize::MAX.to_string(), "16 to 2048"]),
        (RenderSettings { samples: 0, ..good.clone() }, ["not 0", "1 to 4"]),
        (RenderSettings { samples: 5, ..good.clone() }, ["not 5", "1 to 4"]),
        (RenderSettings { views: "ring7".into(), ..good.clone() }, ["\"ring7\"", "dodeca20"]),
        (RenderSettings { version: VERSION + 1, ..good.clone() }, [&(VERSION + 1).to_string(), "this is renderer"]),
    ];
    for (settings, words) in bad {
        let message = render(&shape(&open_box()), &settings, Job::silent()).unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}

#[test]
fn a_cancelled_job_draws_nothing() {
    let cancelled = std::sync::atomic::AtomicBool::new(true);
    let job = Job::new(&crate::job::Silent, &cancelled);
    assert!(matches!(render(&shape(&open_box()), &RenderSettings::default(), job), Err(Error::Cancelled)));
}

#[test]
fn hostile_shapes_give_a_picture_or_an_error() {
    let huge = |k: f64| vec![[k, 0.0, 0.0], [-k, k, 0.0], [0.0, -k, k], [f64::NAN, 0.0, 0.0], [0.0, f64::MAX, 0.0]];
    let triangles = vec![[0, 1, 2], [1, 2, 3], [0, 2, 4], [4, 0, 1], [2, 2, 2]];
    let mut spike = sphere();
    spike.positions.extend([[1e12, 0.0, 0.0], [1e12, 1e-9, 0.0]]);
    let last = spike.positions.len() as u32 - 1;
    spike.triangles.push([0, last - 1, last]);
    let fan = (0..3000u32).map(|k| [0, k + 1, k + 2]).collect();
    let mut next = random(9);
    let places = (0..3002).map(|_| [next(), next(), next()]).collect();
    let shapes = [
        mesh(huge(1e300), triangles.clone()),
        mesh(huge(f64::MAX), triangles.clone()),
        mesh(huge(f64::MIN_POSITIVE / 8.0), triangles),
        mesh(huge(1e308), vec![]),
        mesh(vec![[1.0; 3]; 100], vec![[0, 1, 2]; 50]),
        mesh(vec![[2.0; 3]; 100], vec![]),
        spike,
        mesh(places, fan),
    ];
    for (i, mesh) in shapes.iter().enumerate() {
        for pose in [Pose::AsIs, Pose::Principal] {
            let Ok(shape) = normalise(mesh, pose, Job::silent()) else { continue };
            for (style, frame) in
                [(Style::Lit, Frame::Sphere), (Style::Normal, Frame::Crop), (Style::Depth, Frame::Crop)]
            {
                let set = render(&shape, &settings(style, frame, 2), Job::silent()).unwrap();
                assert!(set.views.iter().all(|view| view.check().is_ok()), "shape {i}");
            }
        }
    }
    assert!(
        normalise(&shapes[4], Pose::AsIs, Job::silent()).is_err()
            && normalise(&shapes[5], Pose::AsIs, Job::silent()).is_ok()
    );
}
