//! Files on disk become neighbours: meshes, photographs, members of archives, and what cannot be read.

use polyad_shapes::embedding::{Embedder, Embedding};
use polyad_shapes::index::{Folder, IndexWriter, Library, MemoryIndex, SearchOptions, Settings, prepare_shapes};
use polyad_shapes::job::Job;
use polyad_shapes::render::{Frame, RenderSettings, Style};
use polyad_shapes::source::walk;
use polyad_shapes::view_set::{View, ViewSet, write_view};
use polyad_shapes::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Means of the sixteen squares of a view, and their mean over views: crude, but pictures that are alike are near.
struct Squares(RenderSettings);

impl Squares {
    fn new() -> Squares {
        let settings = RenderSettings::default();
        Squares(RenderSettings { views: "6".into(), size: 64, style: Style::Lit, frame: Frame::Sphere, ..settings })
    }

    fn settings(&self) -> Settings {
        Settings { identity: self.identity(), set_width: 16, view_width: 16, model: None }
    }

    fn view(view: &View) -> Vec<f32> {
        let mut sums = vec![0.0; 16];
        for (at, pixel) in view.pixels.chunks_exact(view.channels).enumerate() {
            let (x, y) = (at % view.width * 4 / view.width, at / view.width * 4 / view.height);
            sums[y * 4 + x] += 1.0 - f32::from(pixel[0]) / 255.0;
        }
        sums
    }
}

impl Embedder for Squares {
    fn identity(&self) -> String {
        "squares".into()
    }

    fn set_width(&self) -> usize {
        16
    }

    fn view_width(&self) -> usize {
        16
    }

    fn render_settings(&self) -> &RenderSettings {
        &self.0
    }

    fn embed(&self, shapes: &[ViewSet]) -> Result<Vec<Embedding>> {
        let embed = |shape: &ViewSet| {
            if shape.views.iter().any(|view| view.pixels.iter().all(|pixel| *pixel == 7)) {
                return Err(Error::Model("a picture that it refuses".into()));
            }
            let views: Vec<Vec<f32>> = shape.views.iter().map(Squares::view).collect();
            let mean = |i: usize| views.iter().map(|view| view[i]).sum::<f32>() / views.len() as f32;
            Ok(Embedding { set: (0..16).map(mean).collect(), views: views.clone() })
        };
        shapes.iter().map(embed).collect()
    }
}

/// A box of the given sides as OFF.
fn box_off(sides: [f64; 3]) -> String {
    let mut text = String::from("OFF\n8 6 0\n");
    for corner in 0..8 {
        let at = |axis: usize| sides[axis] * f64::from((corner >> axis) & 1);
        text += &format!("{} {} {}\n", at(0), at(1), at(2));
    }
    text + "4 0 2 3 1\n4 4 5 7 6\n4 0 1 5 4\n4 2 6 7 3\n4 0 4 6 2\n4 1 3 7 5\n"
}

fn grey(value: u8) -> View {
    View { width: 40, height: 30, channels: 1, pixels: vec![value; 1200] }
}

#[test]
fn a_folder_becomes_an_index_and_says_what_it_could_not_use() {
    let dir = tempfile::tempdir().unwrap();
    let parts = dir.path().join("parts");
    for folder in ["photos", "refused"] {
        fs::create_dir_all(parts.join(folder)).unwrap();
    }
    fs::write(parts.join("cube.off"), box_off([3.0, 4.0, 12.0])).unwrap();
    fs::write(parts.join("plate.off"), box_off([30.0, 30.0, 1.0])).unwrap();
    fs::write(parts.join("broken.off"), "OFF\n8 6 0\n0 0 0\n").unwrap();
    write_view(&parts.join("photos/one.png"), &grey(90)).unwrap();
    write_view(&parts.join("photos/two.png"), &grey(120)).unwrap();
    write_view(&parts.join("refused/one.png"), &View { width: 64, height: 64, channels: 1, pixels: vec![7; 4096] })
        .unwrap();

    let network = Squares::new();
    let library = Folder::new(&parts, &network).unwrap();
    let mut writer = IndexWriter::open(&dir.path().join("index"), &network.settings()).unwrap();
    let report = writer.update(&library, Job::silent()).unwrap();
    let name = |tail: &str| format!("{}/{tail}", parts.to_str().unwrap());
    assert_eq!((report.added, report.failed.len()), (3, 2), "{report:?}");
    assert_eq!(report.failed[0].path, name("broken.off"));
    assert!(report.failed[1].path.starts_with(&name("refused")), "{report:?}");
    assert_eq!(report.failed[1].error, "model: a picture that it refuses");
    assert_eq!(writer.update(&library, Job::silent()).unwrap().unchanged, 3);

    let (_, diagonal) = writer.index().stored(&name("cube.off")).unwrap().unwrap();
    assert_eq!(diagonal, Some(13.0));
    assert_eq!(writer.index().stored(&name("photos")).unwrap().unwrap().1, None);
    let entries = writer.index().entries().unwrap();
    for place in 0..entries.len() {
        let entry = entries.get(place).unwrap();
        assert!(entry.thumbnail.starts_with(b"\x89PNG"));
        assert_eq!(entry.triangles, entry.diagonal.map(|_| 12));
    }

    let (memory, failures) = MemoryIndex::build(&library, 16, 16, Job::silent()).unwrap();
    assert_eq!((memory.len(), failures.len()), (3, 2));
    let query = walk(&parts.join("plate.off"), Job::silent()).unwrap().shapes[0].load().unwrap();
    let query = prepare_shapes(&[query], &network, Job::silent()).remove(0).unwrap();
    let options = SearchOptions { same_size: query.diagonal, ..SearchOptions::default() };
    for found in [writer.index().search(&query.embedding, &options), memory.search(&query.embedding, &options)] {
        let found = found.unwrap();
        assert_eq!((found.len(), found[0].path.as_str(), found[0].score), (1, name("plate.off").as_str(), 1.0));
    }
}

#[test]
fn equal_bytes_in_two_formats_are_two_shapes() {
    let dir = tempfile::tempdir().unwrap();
    let parts = dir.path().join("parts");
    fs::create_dir(&parts).unwrap();
    let points = "0 0 0\n1 0 0\n0 1 0\n0 0 1\n";
    fs::write(parts.join("a.xyz"), points).unwrap();
    fs::write(parts.join("b.obj"), points).unwrap();
    fs::write(parts.join("c.xyz"), points).unwrap();
    let network = Squares::new();
    let mut writer = IndexWriter::open(&dir.path().join("index"), &network.settings()).unwrap();
    let report = writer.update(&Folder::new(&parts, &network).unwrap(), Job::silent()).unwrap();
    assert_eq!((report.added, report.failed.len()), (2, 1), "{report:?}");
    assert_eq!(writer.index().size().unwrap(), (2, 1));
}

fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("POLYAD_SHARED").map_or(beside, PathBuf::from).join("data/cad");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no {}", folder.display());
    None
}

#[test]
fn every_part_of_a_real_library_finds_itself() {
    let Some(cad) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let network = Squares::new();
    let library = Folder::new(&cad, &network).unwrap();
    let mut writer = IndexWriter::open(&dir.path().join("index"), &network.settings()).unwrap();
    let report = writer.update(&library, Job::silent()).unwrap();
    let files = library.items(Job::silent()).unwrap().items.len();
    assert!(files > 300, "{files} files");
    assert_eq!((report.added, report.failed.len()), (files, 0), "{report:?}");
    let entries = writer.index().entries().unwrap();
    for place in 0..entries.len() {
        for path in entries.get(place).unwrap().paths {
            let (query, diagonal) = writer.index().stored(&path).unwrap().unwrap();
            let options = SearchOptions { k: 3, same_size: diagonal, ..SearchOptions::default() };
            let found = writer.index().search(&query, &options).unwrap();
            assert!(found[0].score > 0.99999, "{path}: {found:?}");
        }
    }
}
