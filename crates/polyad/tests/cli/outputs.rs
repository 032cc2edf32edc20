//! What is written: whole files where they were asked for, and nothing else.

use crate::shapes::{ball_stl, box_stl, put};
use crate::support::{finished, json_lines, names, polyad};
use std::fs;
use std::time::{Duration, Instant};
use tempfile::tempdir;

#[test]
fn render_writes_the_pictures_it_names() {
    let folder = tempdir().unwrap();
    put(folder.path(), "my part.v2.stl", &box_stl([1.0, 2.0, 3.0]));
    let line = ["render", "my part.v2.stl", "--views", "6", "--size", "32", "--out", "a/b", "--sheet", "sheet.png"];
    let run = polyad(folder.path(), &[&line[..], &["--json"]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let files: Vec<String> = (1..=6).map(|number| format!("my part.v2_{number:03}.png")).collect();
    assert_eq!(names(&folder.path().join("a/b")), files);
    let rendered = &json_lines(&run)[0];
    assert_eq!(rendered["files"][5], "a/b/my part.v2_006.png");
    assert_eq!((&rendered["views"], &rendered["size"], &rendered["style"]), (&"6".into(), &32.into(), &"lit".into()));
    for file in ["a/b/my part.v2_001.png", "sheet.png"] {
        assert!(fs::read(folder.path().join(file)).unwrap().starts_with(b"\x89PNG"), "{file}");
    }
    assert_eq!(names(folder.path()), ["a", "my part.v2.stl", "sheet.png"]);
}

#[test]
fn settings_that_cannot_be_drawn_are_refused_while_parsing() {
    let folder = tempdir().unwrap();
    put(folder.path(), "a.stl", &box_stl([1.0; 3]));
    for wrong in [["--views", "ring7"], ["--views", "0"], ["--size", "0"], ["--samples", "99"], ["--style", "sepia"]] {
        let run = polyad(folder.path(), &[&["render", "a.stl", "--out", "views"][..], &wrong].concat());
        assert_eq!(run.code, Some(2), "{wrong:?}");
        assert!(run.stderr.starts_with("error: invalid value"), "{}", run.stderr);
    }
    assert_eq!(names(folder.path()), ["a.stl"]);
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_a_failure_that_names_it() {
    let folder = tempdir().unwrap();
    put(folder.path(), "a.stl", &box_stl([1.0; 3]));
    let line = ["render", "a.stl", "--views", "6", "--size", "32", "--sheet", "/proc/sheet.png"];
    let run = polyad(folder.path(), &line);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.starts_with("error: /proc/sheet.png: "), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_130_and_leaves_no_file() {
    use std::process::{Command, Stdio};
    let folder = tempdir().unwrap();
    put(folder.path(), "ball.stl", &ball_stl(300));
    let line = ["render", "ball.stl", "--views", "1000", "--size", "1024", "--samples", "4", "--out", "views"];
    let mut command = crate::support::command(folder.path(), &line);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Linux lists the signals that a process catches; the handler is installed before the work begins.
    let status = format!("/proc/{}/status", child.id());
    let deadline = Instant::now() + Duration::from_secs(60);
    let listens = || {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 2 != 0)
    };
    while !listens() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "never listened for Ctrl-C");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let run = finished(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(130), "", "cancelled\n"));
    assert_eq!(names(folder.path()), ["ball.stl"]);
}

#[test]
fn a_demonstration_goes_into_a_folder_only() {
    let folder = tempdir().unwrap();
    put(folder.path(), "file", b"x");
    let run = polyad(folder.path(), &["demo", "--out", "file"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert_eq!(run.stderr, "error: file: is a file, a folder is to be written\n");
}

#[test]
fn score_gives_every_measure_of_both_means_and_of_each_class() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("lists")).unwrap();
    fs::write(
        folder.join("truth.csv"),
        "id,synsetId,subSynsetId,modelId,split\n000001,A,A,m1,test\n000002,A,A,m2,test\n000003,B,B,m3,test\n",
    )
    .unwrap();
    for (query, list) in [("1", "1 0.9\n2 0.8\n"), ("2", "2 0.9\n1 0.8\n"), ("3", "3 0.9\n1 0.8\n")] {
        fs::write(folder.join("lists").join(query), list).unwrap();
    }
    let run = polyad(folder, &["score", "lists", "--truth", "truth.csv", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let scores = &json_lines(&run)[0];
    for class in ["microALL", "macroALL", "A", "B"] {
        for measure in ["P@N", "R@N", "F1@N", "mAP", "NDCG"] {
            assert!(scores[class][measure].is_number(), "{class} {measure}: {scores}");
        }
    }
    assert_eq!(scores["A"]["mAP"], 1.0);
    assert!(polyad(folder, &["score", "lists", "--truth", "truth.csv"]).stdout.contains("macro mean"));
    fs::write(folder.join("lists/2"), "2 0.9\n\u{7}\u{fffd} noise\n").unwrap();
    let noise = polyad(folder, &["score", "lists", "--truth", "truth.csv", "--json"]);
    assert_eq!((noise.code, noise.stdout.as_str()), (Some(1), ""));
    assert!(noise.stderr.starts_with("error: lists/2: line 2: "), "{}", noise.stderr);
}

#[test]
fn export_writes_a_network_that_runs_without_the_program() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let run = polyad(folder, &["export", "--out", "single.net", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let single = &json_lines(&run)[0];
    let bytes = fs::read(folder.join("single.net")).unwrap();
    assert_eq!((&single["out"], &single["bytes"]), (&"single.net".into(), &bytes.len().into()));
    let audit = &json_lines(&polyad(folder, &["audit", "builtin", "--json"]))[0];
    assert_eq!(single["multiply_adds"], audit["multiply_adds"]);
    assert!(single["parameters"].as_u64() < audit["parameters"].as_u64(), "norms are folded in: {single}");
    let network = polyad_run::Network::from_bytes(&bytes).unwrap();
    let size = network.input().size;
    let views = network.input().numbers(&vec![255; 3 * size * size], 1).unwrap();
    assert_eq!(network.embed(&views, [3, 3, size, size]).unwrap().len(), 2 * network.dim());

    let run = polyad(folder, &["export", "--model", "builtin", "--out", "half.net", "--half"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("half.net") && run.stdout.contains("multiply-adds"), "{}", run.stdout);
    assert!(fs::metadata(folder.join("half.net")).unwrap().len() < bytes.len() as u64 * 6 / 10);
    let missing = polyad(folder, &["export", "--model", "no.model", "--out", "a.net"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(2), ""));
    assert_eq!(names(folder), ["half.net", "single.net"]);
}
