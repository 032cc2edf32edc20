//! The page holds every shape and its neighbours, stands alone, and takes names for names.

mod index_support;

use index_support::{Folder, settings};
use polyad_shapes::Error;
use polyad_shapes::gallery::write_gallery;
use polyad_shapes::index::{Index, IndexWriter};
use polyad_shapes::job::{Job, Silent};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

fn build() -> (tempfile::TempDir, Index, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(&dir.path().join("parts"));
    folder.write("a.txt", "1 0 5");
    folder.write("copy of a.txt", "1 0 5");
    folder.write("near a.txt", "1 0.1 6");
    folder.write("<script>alert(1)<", "2 0 7");
    folder.write("script>.txt", "3 0 8");
    IndexWriter::open(&dir.path().join("index"), &settings()).unwrap().update(&folder, Job::silent()).unwrap();
    let index = Index::open(&dir.path().join("index")).unwrap();
    let out = dir.path().join("page.html");
    (dir, index, out)
}

/// The JSON of a data element.
fn data(page: &str, id: &str) -> Value {
    let start = format!("<script type=\"application/json\" id=\"{id}\">");
    let from = page.find(&start).unwrap() + start.len();
    serde_json::from_str(&page[from..from + page[from..].find("</script>").unwrap()]).unwrap()
}

#[test]
fn the_page_holds_all_shapes_their_names_and_neighbours() {
    let (_dir, index, out) = build();
    assert_eq!(write_gallery(&index, "Parts", &out, Job::silent()).unwrap(), 4);
    let page = fs::read_to_string(&out).unwrap();
    let (shapes, neighbours) = (data(&page, "shapes"), data(&page, "neighbours"));
    let shapes = shapes.as_array().unwrap();
    let place = |path: &str| {
        let has = |shape: &Value| shape[0].as_array().unwrap().iter().any(|p| p == path);
        shapes.iter().position(has).unwrap_or_else(|| panic!("{path} is missing"))
    };
    let (a, near) = (place("parts/a.txt"), place("parts/near a.txt"));
    assert_eq!(a, place("parts/copy of a.txt"));
    assert_eq!(shapes[near][1], 6.0);
    assert_eq!(shapes[near][2], 12);
    assert_eq!(neighbours[a][0][0], near);
    assert_eq!(neighbours[a].as_array().unwrap().len(), 3);
    // Equal pictures are stored once: `a` and `near a` have the same.
    assert_eq!(data(&page, "pictures").as_array().unwrap().len(), 3);
    assert_eq!(shapes[a][3], shapes[near][3]);
}

#[test]
fn a_file_named_script_is_only_a_name() {
    let (_dir, index, out) = build();
    write_gallery(&index, "</title><script>alert(2)</script>", &out, Job::silent()).unwrap();
    let page = fs::read_to_string(&out).unwrap();
    assert!(!page.contains("<script>alert"));
    assert!(data(&page, "shapes").to_string().contains("<script>alert(1)<"));
    for source in ["http:", "https:", "src=\"", "@import", "url("] {
        assert!(!page.contains(source), "the page mentions {source}");
    }
}

#[test]
fn a_cancelled_page_leaves_the_old_one() {
    let (dir, index, out) = build();
    fs::write(&out, "old").unwrap();
    let cancelled = AtomicBool::new(true);
    let result = write_gallery(&index, "Parts", &out, Job::new(&Silent, &cancelled));
    assert!(matches!(result, Err(Error::Cancelled)));
    assert_eq!(fs::read_to_string(&out).unwrap(), "old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}
