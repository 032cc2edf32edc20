//! Good input, broken input and both together.

use crate::shapes::{box_stl, put};
use crate::support::{command, finished, json_lines, polyad, snapshot};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// Two good meshes, two broken ones, a text and an empty folder.
fn mixed(folder: &Path) {
    put(folder, "parts/a.stl", &box_stl([1.0, 2.0, 3.0]));
    put(folder, "parts/b broken.stl", &box_stl([1.0, 1.0, 1.0])[..300]);
    put(folder, "parts/c.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n");
    put(folder, "parts/d.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n");
    put(folder, "notes.txt", b"nothing\n");
    fs::create_dir(folder.join("empty")).unwrap();
}

#[test]
fn info_gives_every_promised_key() {
    let folder = tempdir().unwrap();
    put(folder.path(), "a box.stl", &box_stl([1.0, 2.0, 3.0]));
    let run = polyad(folder.path(), &["info", "a box.stl", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let expected = serde_json::json!({
        "path": "a box.stl", "format": "stl", "unit": null, "triangles": 12, "points": 8,
        "bounds": [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]], "area": 22.0, "watertight": true, "parts": 1,
    });
    let found = &json_lines(&run)[0];
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}");
    }
}

#[test]
fn broken_files_are_listed_and_the_rest_is_done() {
    let folder = tempdir().unwrap();
    mixed(folder.path());
    for paths in [&["parts"][..], &["parts/a.stl", "parts/b broken.stl", "parts/c.off", "parts/d.obj"]] {
        let json = polyad(folder.path(), &[&["info", "--json"], paths].concat());
        assert_eq!((json.code, json.stderr.as_str()), (Some(1), ""));
        let (failed, done): (Vec<_>, Vec<_>) =
            json_lines(&json).into_iter().partition(|line| line.get("error").is_some());
        let path = |line: &serde_json::Value| line["path"].as_str().unwrap().to_owned();
        assert_eq!(done.iter().map(path).collect::<Vec<_>>(), ["parts/a.stl", "parts/d.obj"]);
        assert_eq!(failed.iter().map(path).collect::<Vec<_>>(), ["parts/b broken.stl", "parts/c.off"]);
        let words = polyad(folder.path(), &[&["info"], paths].concat());
        assert_eq!(words.code, Some(1));
        assert!(words.stdout.contains("parts/d.obj") && !words.stdout.contains("broken"), "{}", words.stdout);
        assert!(words.stderr.lines().all(|line| line.starts_with("error: parts/")), "{}", words.stderr);
    }
}

#[test]
fn what_info_says_is_as_committed() {
    let folder = tempdir().unwrap();
    mixed(folder.path());
    let lines = [
        "info parts/a.stl",
        "info parts",
        "info parts --json",
        "info notes.txt",
        "info empty",
        "info missing.stl parts",
    ];
    snapshot("info", folder.path(), &lines);
}

#[test]
fn a_path_that_does_not_exist_is_code_2_before_anything_is_done() {
    let folder = tempdir().unwrap();
    mixed(folder.path());
    put(folder.path(), "model", b"x");
    let lines = [
        "info parts/a.stl parts/missing.stl",
        "render missing.stl --out views",
        "render parts/a.stl --sheet missing/sheet.png",
        "train missing --out new.model",
        "evaluate missing --model model",
        "evaluate parts --model missing",
        "classify parts/a.stl --model missing",
        "classify missing.stl --model model",
        "classify --model model --views-npy missing.npy --logits",
        "index missing --out new.index --model model",
        "index parts --out new.index --model missing",
        "search missing parts/a.stl",
        "search --in parts missing.stl --model model",
        "search --in missing parts/a.stl --model model",
        "gallery missing --out page.html",
        "score missing --truth notes.txt",
        "score parts --truth missing.csv",
        "import missing.pth --out new.model",
        "import model --config missing.json --out new.model",
    ];
    snapshot("missing-paths", folder.path(), &lines);
    for line in lines {
        assert_eq!(polyad(folder.path(), &line.split(' ').collect::<Vec<_>>()).code, Some(2), "{line}");
    }
    assert_eq!(crate::support::names(folder.path()), ["empty", "model", "notes.txt", "parts"]);
}

#[test]
fn a_folder_is_no_file_and_a_file_is_no_folder() {
    let folder = tempdir().unwrap();
    mixed(folder.path());
    put(folder.path(), "model", b"x");
    let lines = [
        "render parts --out views",
        "render parts/a.stl --sheet parts",
        "train notes.txt --out new.model",
        "train parts --out empty",
        "classify parts/a.stl --model parts",
        "search notes.txt parts/a.stl",
        "gallery notes.txt --out page.html",
        "score notes.txt --truth notes.txt",
        "import parts --out new.model",
    ];
    snapshot("file-or-folder", folder.path(), &lines);
    for line in lines {
        assert_eq!(polyad(folder.path(), &line.split(' ').collect::<Vec<_>>()).code, Some(2), "{line}");
    }
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf_8_are_listed_and_the_rest_is_done() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9 .stl");
    put(folder.path(), name, &box_stl([1.0; 3]));
    put(folder.path(), "good.stl", &box_stl([1.0; 3]));
    for path in [name, std::ffi::OsStr::new(".")] {
        let mut command = command(folder.path(), &["info", "--json", "./good.stl"]);
        let run = finished(command.arg(path).output().unwrap());
        assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
        let lines = json_lines(&run);
        let failed: Vec<_> = lines.iter().filter(|line| line.get("error").is_some()).collect();
        assert_eq!(failed.len(), 1, "{}", run.stdout);
        assert!(failed[0]["path"].as_str().unwrap().ends_with("caf\u{fffd} .stl"));
        assert!(lines.iter().any(|line| line["path"] == "./good.stl" && line["triangles"] == 12));
    }
}

#[cfg(unix)]
#[test]
fn pipes_are_refused_rather_than_waited_for() {
    let folder = tempdir().unwrap();
    mixed(folder.path());
    for name in ["pipe.stl", "pipe.zip", "parts/pipe.stl"] {
        assert!(std::process::Command::new("mkfifo").arg(folder.path().join(name)).status().unwrap().success());
    }
    let run = polyad(folder.path(), &["info", "pipe.stl", "pipe.zip", "parts/a.stl", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    let lines = json_lines(&run);
    for (line, path) in lines.iter().zip(["pipe.stl", "pipe.zip"]) {
        assert_eq!(*line, serde_json::json!({ "path": path, "error": "neither a file nor a folder" }));
    }
    assert_eq!(lines[2]["path"], "parts/a.stl");
    assert_eq!(
        json_lines(&polyad(folder.path(), &["info", "parts", "--json"])).len(),
        4,
        "one in a folder is passed over"
    );
    for line in [
        "render pipe.stl --sheet sheet.png",
        "classify parts/a.stl --model pipe.stl",
        "classify --views-npy pipe.stl --logits",
        "attend pipe.stl --out out.npz",
        "score parts --truth pipe.stl",
        "import pipe.stl --out new.model",
    ] {
        let run = polyad(folder.path(), &line.split(' ').collect::<Vec<_>>());
        assert_eq!(run.code, Some(2), "{line}");
        assert!(run.stderr.contains("this is neither a file nor a folder"), "{line}: {}", run.stderr);
    }
}

#[test]
fn members_of_archives_are_found_by_name_and_missing_ones_are_code_2() {
    let folder = tempdir().unwrap();
    put(folder.path(), "a.zip", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let run = polyad(folder.path(), &["info", "a.zip/none.stl"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(2), "error: a.zip/none.stl: no such file or folder\n"));
    let run = polyad(folder.path(), &["info", "a.zip"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), "error: a.zip: no mesh, point cloud or photograph\n"));
}
