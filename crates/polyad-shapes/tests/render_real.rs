//! Real meshes give pictures that show them, in every style and frame: classes of the shared data, of which the
//! first shape of each is drawn.

mod common;

use polyad_shapes::job::Job;
use polyad_shapes::normalise::{Pose, normalise};
use polyad_shapes::read::read_mesh;
use polyad_shapes::render::{Frame, RenderSettings, Style, render};
use std::path::{Path, PathBuf};

/// The first file, in the order of names, of each folder of classes.
fn first_of_each(folder: &Path) -> Vec<PathBuf> {
    let mut last = None;
    let mut first = |file: &PathBuf| {
        let class = file.strip_prefix(folder).unwrap().iter().next().map(ToOwned::to_owned);
        let fresh = class != last;
        last = class;
        fresh
    };
    let mut files = common::files(folder);
    files.retain(|file| first(file));
    files
}

#[test]
fn a_shape_of_every_class_is_seen_from_everywhere_in_every_style_and_frame() {
    let Some(shared) = common::shared() else { return };
    let files = ["psb19", "psb40", "cad"].iter().flat_map(|set| first_of_each(&shared.join("data").join(set)));
    let mut drawn = 0;
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let alone = |name: &str| Err(polyad_shapes::Error::Unsupported(name.into()));
        let Ok(mesh) = read_mesh(&bytes, &file.to_string_lossy(), &alone) else { continue };
        let shape = normalise(&mesh, Pose::Principal, Job::silent()).unwrap();
        for (style, frame) in [
            (Style::Lit, Frame::Sphere),
            (Style::Depth, Frame::Crop),
            (Style::Normal, Frame::Sphere),
            (Style::Silhouette, Frame::Crop),
        ] {
            let settings = RenderSettings { size: 64, style, frame, views: "7".into(), ..RenderSettings::default() };
            for view in render(&shape, &settings, Job::silent()).unwrap().views {
                let seen = view.pixels.chunks(view.channels).filter(|p| p.iter().any(|&v| v < 240)).count();
                assert!((20..64 * 64 * 4 / 5).contains(&seen), "{}, {style:?}: {seen} pixels", file.display());
            }
        }
        drawn += 1;
    }
    assert!(drawn >= 60, "{drawn} shapes were drawn");
}
