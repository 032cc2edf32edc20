//! Classifying, indexing, searching and the gallery, with a model whose weights were never trained: what is alike
//! is then only known for copies, which is enough to see that every part is joined to the next.

use crate::shapes::{box_stl, put};
use crate::support::{Run, finished, json_lines, names, polyad};
use burn::tensor::Device;
use polyad_shapes::model::{Definition, Header, builtin_bytes};
use polyad_shapes::render::RenderSettings;
use polyad_shapes::vsformer::{BackboneKind, VsFormerConfig};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};

/// Writes a small model of three classes; models of different seeds are different models.
fn put_model(path: &Path, seed: u64, classes: bool) {
    let names = ["bolt", "mug", "nut"].map(str::to_owned).to_vec();
    let sizes = VsFormerConfig::published(BackboneKind::Small, classes.then_some(names.len()));
    let sizes = VsFormerConfig { layers: 1, heads: 2, dim: 32, views: 6, ..sizes };
    let device = Device::flex();
    device.seed(seed);
    let network = sizes.init(&device).unwrap();
    let render = RenderSettings { views: "ring6".into(), size: 32, samples: 1, ..RenderSettings::default() };
    Definition::new(network, Header::new(sizes, render, classes.then_some(names))).unwrap().save(path).unwrap();
}

/// A folder of boxes, one of them twice and one broken, and a model.
fn library() -> TempDir {
    let folder = tempdir().unwrap();
    for (number, length) in [1.0, 1.5, 2.0, 3.0, 5.0].into_iter().enumerate() {
        put(folder.path(), format!("parts/box {number}.stl"), &box_stl([1.0, 1.0, length]));
    }
    put(folder.path(), "parts/sub/copy.stl", &box_stl([1.0, 1.0, 3.0]));
    put(folder.path(), "parts/broken.stl", b"solid nothing");
    put_model(&folder.path().join("model"), 1, true);
    folder
}

fn run(folder: &TempDir, line: &str) -> Run {
    polyad(folder.path(), &line.split(' ').collect::<Vec<_>>())
}

/// Runs a line that must succeed, and gives its JSON.
fn json(folder: &TempDir, line: &[&str]) -> Vec<Value> {
    let run = polyad(folder.path(), &[line, &["--json"]].concat());
    assert_eq!(run.code, Some(0), "{line:?}: {}", run.stderr);
    json_lines(&run)
}

fn counts(report: &Value) -> [u64; 5] {
    let count = |key: &str| report[key].as_u64().unwrap();
    let failed = report["failed"].as_array().unwrap().len() as u64;
    [count("added"), count("updated"), count("removed"), count("unchanged"), failed]
}

#[test]
fn shapes_are_classified_and_broken_ones_listed() {
    let folder = library();
    let run = run(&folder, "classify parts --model model --json --top 2");
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    let lines = json_lines(&run);
    let (failed, done): (Vec<&Value>, Vec<&Value>) = lines.iter().partition(|line| line.get("error").is_some());
    assert_eq!((failed.len(), done.len()), (1, 6));
    assert_eq!(failed[0]["path"], "parts/broken.stl");
    for line in done {
        let top = line["top"].as_array().unwrap();
        assert_eq!(top.len(), 2);
        assert!(["bolt", "mug", "nut"].contains(&top[0]["class"].as_str().unwrap()));
        assert!(top[0]["p"].as_f64() >= top[1]["p"].as_f64());
    }
    let words = polyad(folder.path(), &["classify", "parts/box 0.stl", "--model", "model"]);
    assert_eq!((words.code, words.stdout.lines().count()), (Some(0), 4), "{}", words.stdout);
}

#[test]
fn neighbours_in_a_labelled_folder_or_its_index_vote() {
    let folder = library();
    put_model(&folder.path().join("blind"), 3, false);
    for (class, length) in [("flat", 0.2), ("flat", 0.25), ("long", 5.0), ("long", 5.5), ("long", 6.0)] {
        put(folder.path(), format!("known/{class}/train/{length}.stl"), &box_stl([1.0, 1.0, length]));
    }
    put(folder.path(), "known/loose.stl", &box_stl([1.0, 2.0, 2.0]));
    put(folder.path(), "flat.stl", &box_stl([1.0, 1.0, 0.2]));
    json(&folder, &["index", "known", "--out", "known.index", "--model", "blind"]);
    for labelled in [&["--labelled", "known", "--model", "blind"][..], &["--labelled", "known.index"]] {
        // The nearest is a copy; all five that have a class, and the one that has none, are the neighbours of the second.
        let nearest = json(&folder, &[&["classify", "flat.stl", "-k", "1"], labelled].concat());
        assert_eq!(nearest[0]["top"], serde_json::json!([{ "class": "flat", "p": 1.0 }]), "{labelled:?}");
        let all = json(&folder, &[&["classify", "flat.stl", "-k", "6"], labelled].concat());
        let top = all[0]["top"].as_array().unwrap();
        assert_eq!((top.len(), &top[0]["class"]), (2, &"long".into()), "{labelled:?}");
        assert!((top[0]["p"].as_f64().unwrap() - 0.6).abs() < 1e-6, "{labelled:?}");
        // A shape of the folder does not vote on itself.
        let own = json(&folder, &[&["classify", "known/long/train/5.stl", "-k", "5"], labelled].concat());
        assert!((own[0]["top"][0]["p"].as_f64().unwrap() - 0.5).abs() < 1e-6, "{labelled:?}: {own:?}");
    }
}

#[test]
fn without_a_model_the_built_in_one_is_used() {
    let folder = library();
    let report = json(&folder, &["index", "parts", "--out", "parts.index"]);
    assert_eq!(counts(&report[0]), [6, 0, 0, 0, 1]);
    assert!(fs::read(folder.path().join("parts.index/model.safetensors")).unwrap() == builtin_bytes());
    for shelf in [
        &["search", "parts.index"][..],
        &["search", "--in", "parts"],
        &["search", "--in", "parts", "--model", "builtin"],
        &["search", "--in", "parts", "--bfloat16"],
    ] {
        let found = json(&folder, &[shelf, &["parts/sub/copy.stl", "-k", "1"]].concat());
        assert_eq!(found[0]["neighbours"][0]["path"], "parts/box 3.stl", "{shelf:?}");
    }
    for (class, length) in [("flat", 0.2), ("flat", 0.25), ("long", 5.0), ("long", 5.5)] {
        put(folder.path(), format!("known/{class}/{length}.stl"), &box_stl([1.0, 1.0, length]));
    }
    let voted = json(&folder, &["classify", "parts/box 4.stl", "--labelled", "known", "-k", "2"]);
    assert_eq!(voted[0]["top"][0]["class"], "long");
    let measured = json(&folder, &["evaluate", "known", "--retrieval-only"]);
    assert_eq!(measured[0]["retrieval"]["nn"], 1.0);
    // In bfloat16 a copy is no longer quite the same, which single precision says it is, and hardly farther.
    let score = |more: &[&str]| {
        let found = json(&folder, &[&["search", "parts.index", "parts/sub/copy.stl", "-k", "1"], more].concat());
        found[0]["neighbours"][0]["score"].as_f64().unwrap()
    };
    assert!((score(&[]) - 1.0).abs() < 1e-6 && score(&["--bfloat16"]) > 0.99);
    for line in [
        &["classify", "parts/box 4.stl", "--labelled", "known", "-k", "2", "--bfloat16"][..],
        &["evaluate", "known", "--retrieval-only", "--bfloat16"],
        &["index", "parts", "--out", "rounded.index", "--bfloat16"],
    ] {
        assert_eq!(json(&folder, line).len(), 1, "{line:?}");
    }
    // It has no classes of its own.
    for (line, hint) in [("classify parts", "--labelled"), ("evaluate known", "--retrieval-only")] {
        let refused = run(&folder, line);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{line}");
        assert!(refused.stderr.contains("no classes") && refused.stderr.contains(hint), "{}", refused.stderr);
    }
}

#[test]
fn photographs_in_the_folder_of_a_class_are_the_same_shapes_to_every_command() {
    let folder = library();
    for (class, stem, length) in [("flat", "a", 0.2), ("flat", "b", 0.25), ("long", "c", 5.0), ("long", "d", 5.5)] {
        put(folder.path(), format!("{stem}.stl"), &box_stl([1.0, 1.0, length]));
        let (file, out) = (format!("{stem}.stl"), format!("known/{class}"));
        json(&folder, &["render", &file, "--views", "6", "--size", "32", "--samples", "1", "--out", &out]);
    }
    fs::create_dir_all(folder.path().join("few/one")).unwrap();
    for number in 1..=6 {
        let from = format!("known/flat/a_{number:03}.png");
        fs::copy(folder.path().join(&from), folder.path().join(format!("few/one/a_{number:03}.png"))).unwrap();
    }
    let shapes = ["known/flat/a", "known/flat/b", "known/long/c", "known/long/d"];
    let paths = |found: &Value| -> Vec<String> {
        let mut paths: Vec<String> =
            found["neighbours"].as_array().unwrap().iter().map(|n| n["path"].as_str().unwrap().to_owned()).collect();
        paths.sort();
        paths
    };
    let report = json(&folder, &["index", "known", "--out", "known.index", "--model", "model"]);
    assert_eq!(counts(&report[0]), [4, 0, 0, 0, 0]);
    assert_eq!(paths(&json(&folder, &["search", "known.index", "a.stl"])[0]), shapes);
    assert_eq!(paths(&json(&folder, &["search", "--in", "known", "a.stl", "--model", "model"])[0]), shapes);
    let named: Vec<Value> = json(&folder, &["info", "known"]).into_iter().map(|mut info| info["path"].take()).collect();
    assert_eq!(named, shapes);
    assert_eq!(json(&folder, &["evaluate", "known", "--model", "model", "--retrieval-only"])[0]["shapes"], 4);
    let own: Vec<String> = (1..=6).map(|number| format!("known/long/c_{number:03}.png")).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    for labelled in [&["--labelled", "known", "--model", "model"][..], &["--labelled", "known.index"]] {
        let told = json(&folder, &[&["classify", "-k", "1"], labelled, &own[..1]].concat());
        assert_eq!(told[0]["top"], serde_json::json!([{ "class": "long", "p": 1.0 }]), "{labelled:?}");
    }
    // A class with one shape is a class, where it is known that the folder holds classes.
    let told = json(&folder, &["classify", "a.stl", "--labelled", "few", "-k", "1", "--model", "model"]);
    assert_eq!(told[0]["top"][0]["class"], "one");
}

#[test]
fn an_index_does_not_lie_among_the_shapes_but_may_in_a_folder_of_its_own() {
    let folder = library();
    let before = names(&folder.path().join("parts"));
    for out in ["parts", "./parts/", "parts/sub/.."] {
        let refused = polyad(folder.path(), &["index", "parts", "--out", out, "--model", "model"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{out}");
        assert!(refused.stderr.contains("in the folder itself"), "{}", refused.stderr);
    }
    assert_eq!(names(&folder.path().join("parts")), before);
    let line = ["index", "parts", "--out", "parts/own.index", "--model", "model"];
    assert_eq!(counts(&json(&folder, &line)[0]), [6, 0, 0, 0, 1]);
    assert_eq!(counts(&json(&folder, &line)[0]), [0, 0, 0, 6, 1], "nothing of the index is a shape");
}

#[test]
fn shapes_of_a_searched_folder_that_cannot_be_read_are_warned_of_and_the_rest_is_searched() {
    let folder = library();
    let run = run(&folder, "search --in parts parts/sub/copy.stl -k 9 --model model --json");
    assert_eq!(run.code, Some(0));
    let lines = json_lines(&run);
    assert_eq!((lines.len(), lines[0]["neighbours"].as_array().unwrap().len()), (1, 6), "{}", run.stdout);
    assert!(run.stderr.starts_with("warning: parts/broken.stl: ") && run.stderr.lines().count() == 1, "{}", run.stderr);
}

#[test]
fn logits_are_printed_for_files_too() {
    let folder = library();
    let line = ["classify", "parts/box 0.stl", "parts/box 4.stl", "--model", "model"];
    let with = json(&folder, &[&line[..], &["--logits"]].concat());
    let without = json(&folder, &line);
    for (with, without) in with.iter().zip(&without) {
        assert_eq!((&with["path"], &with["top"]), (&without["path"], &without["top"]));
        assert!(without.get("logits").is_none());
        let logits: Vec<f64> = with["logits"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let of = |class: &str| ["bolt", "mug", "nut"].iter().position(|name| *name == class).unwrap();
        for candidate in with["top"].as_array().unwrap() {
            let p = logits[of(candidate["class"].as_str().unwrap())].exp() / sum;
            assert!((p - candidate["p"].as_f64().unwrap()).abs() < 1e-6, "{with}");
        }
    }
    let words = polyad(folder.path(), &[&line[..], &["--logits", "--top", "1"]].concat());
    assert!(words.stdout.lines().next().unwrap().ends_with("logit"), "{}", words.stdout);
    let contradiction = run(&folder, "classify parts --labelled parts --logits");
    assert_eq!(contradiction.code, Some(2), "{}", contradiction.stderr);
}

#[test]
fn views_as_numbers_give_logits() {
    let folder = library();
    let shape = [2usize, 3, 3, 32, 32];
    let header = String::from("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 3, 32, 32), }");
    let padded = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.bytes());
    let count: usize = shape.iter().product();
    bytes.extend((0..count).flat_map(|i| ((i * 37 % 101) as f32 / 101.0).to_le_bytes()));
    put(folder.path(), "views.npy", &bytes);
    let lines = json(&folder, &["classify", "--model", "model", "--views-npy", "views.npy", "--logits"]);
    let logits = lines[0]["logits"].as_array().unwrap();
    assert_eq!(logits.iter().map(|row| row.as_array().unwrap().len()).collect::<Vec<_>>(), [3, 3]);
    put(folder.path(), "views.npy", &bytes[..1000]);
    let cut = run(&folder, "classify --model model --views-npy views.npy --logits");
    assert_eq!((cut.code, cut.stdout.as_str()), (Some(1), ""));
    assert!(cut.stderr.starts_with("error: views.npy: "), "{}", cut.stderr);
}

#[test]
fn a_folder_is_indexed_updated_searched_and_shown() {
    let folder = library();
    let index = ["index", "parts", "--out", "parts.index"];
    let first = json(&folder, &[&index[..], &["--model", "model"]].concat());
    assert_eq!(counts(&first[0]), [6, 0, 0, 0, 1]);
    assert_eq!(first[0]["failed"][0]["path"], "parts/broken.stl");
    assert_eq!(counts(&json(&folder, &index)[0]), [0, 0, 0, 6, 1], "the index keeps its model");
    let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(bytes("parts.index/model.safetensors") == bytes("model"), "byte for byte");

    let found =
        json(&folder, &["search", "parts.index", "parts/box 3.stl", "parts/box 0.stl", "-k", "3", "--sheet", "f.png"]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["query"], "parts/box 3.stl");
    let near = found[0]["neighbours"].as_array().unwrap();
    assert_eq!(near.len(), 3);
    let twins: Vec<&str> = near[..2].iter().map(|n| n["path"].as_str().unwrap()).collect();
    assert_eq!(twins, ["parts/box 3.stl", "parts/sub/copy.stl"]);
    assert!(near[..2].iter().all(|n| (n["score"].as_f64().unwrap() - 1.0).abs() < 1e-3));
    assert!(fs::read(folder.path().join("f.png")).unwrap().starts_with(b"\x89PNG"));

    let without = json(&folder, &["search", "--in", "parts", "parts/box 3.stl", "-k", "2", "--model", "model"]);
    assert_eq!(without[0]["neighbours"].as_array().unwrap().len(), 2);
    assert_eq!(without[0]["neighbours"][1]["path"], "parts/sub/copy.stl");

    let sized = json(&folder, &["search", "parts.index", "parts/box 0.stl", "--same-size", "--score", "best-view"]);
    let sized: Vec<&Value> = sized[0]["neighbours"].as_array().unwrap().iter().map(|n| &n["path"]).collect();
    assert_eq!(sized, ["parts/box 0.stl"]);

    assert_eq!(json(&folder, &["gallery", "parts.index", "--out", "page.html"])[0]["shapes"], 5);
    assert!(fs::read_to_string(folder.path().join("page.html")).unwrap().contains("parts/sub/copy.stl"));

    fs::remove_file(folder.path().join("parts/box 1.stl")).unwrap();
    put(folder.path(), "parts/box 2.stl", &box_stl([2.0, 2.0, 7.0]));
    assert_eq!(counts(&json(&folder, &index)[0]), [0, 1, 1, 4, 1]);
    assert_eq!(counts(&json(&folder, &["index", "--out", "parts.index", "--remove", "parts/sub"])[0]), [0, 0, 1, 0, 0]);
    assert_eq!(names(folder.path()), ["f.png", "model", "page.html", "parts", "parts.index"]);
}

#[test]
fn all_images_of_a_query_are_one() {
    let folder = library();
    json(&folder, &["index", "parts", "--out", "parts.index", "--model", "model"]);
    json(&folder, &["render", "parts/box 4.stl", "--views", "6", "--size", "32", "--samples", "1", "--out", "shots"]);
    let queries = ["shots/box 4_001.png", "shots/box 4_002.png", "shots/box 4_003.png"];
    let found = json(&folder, &[&["search", "parts.index"], &queries[..], &["-k", "1"]].concat());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["query"], queries.join(", "));
    let folder_of_shots = json(&folder, &["search", "parts.index", "shots", "parts/box 0.stl", "-k", "1"]);
    assert_eq!(folder_of_shots.len(), 2);
    let sized = polyad(folder.path(), &["search", "parts.index", queries[0], "--same-size"]);
    assert_eq!(sized.code, Some(2), "{}", sized.stderr);
}

#[test]
fn models_and_indices_that_do_not_fit_are_refused() {
    let folder = library();
    put_model(&folder.path().join("other"), 2, true);
    put_model(&folder.path().join("blind"), 3, false);
    put(folder.path(), "junk", b"not a model");
    fs::create_dir(folder.path().join("hollow")).unwrap();
    json(&folder, &["index", "parts", "--out", "parts.index", "--model", "model"]);
    for (line, code, part) in [
        ("index parts --out parts.index --model other", 1, "built with the model"),
        ("search parts.index parts/sub/copy.stl --model other", 1, "built with the model"),
        ("search hollow parts/sub/copy.stl --model model", 1, "not an index"),
        ("search hollow parts/sub/copy.stl", 1, "not an index"),
        ("index --out parts.index --remove parts/none.stl", 2, "parts/none.stl is not in the index"),
        ("search parts.index", 2, "no query"),
        ("classify parts --model blind", 2, "--labelled DIR"),
        ("classify parts --labelled missing --model blind", 2, "missing"),
        ("classify parts -k 3 --model model", 2, "--labelled"),
        ("classify parts --model junk", 1, "junk"),
        ("gallery hollow --out page.html", 1, "not an index"),
    ] {
        let run = run(&folder, line);
        assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{line}: {}", run.stderr);
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains(part), "{line}: {}", run.stderr);
    }
    let gone = folder.path().join("parts");
    fs::rename(&gone, folder.path().join("elsewhere")).unwrap();
    assert_eq!(run(&folder, "index parts --out parts.index").code, Some(2));
    fs::create_dir(&gone).unwrap();
    let empty = run(&folder, "index parts --out parts.index");
    assert_eq!(empty.code, Some(1), "an empty folder is a disk that is not mounted: {}", empty.stderr);
    let found = json(&folder, &["search", "parts.index", "elsewhere/sub/copy.stl", "-k", "9"]);
    assert_eq!(found[0]["neighbours"].as_array().unwrap().len(), 6, "nothing was lost");
}

#[cfg(unix)]
#[test]
fn ctrl_c_while_indexing_loses_no_more_than_a_batch() {
    use std::process::{Command, Stdio};
    let folder = library();
    for number in 0..400 {
        put(folder.path(), format!("many/{number}.stl"), &box_stl([1.0, 1.0, 1.0 + number as f32]));
    }
    let line = ["index", "many", "--out", "many.index", "--model", "model", "--json"];
    let mut command = crate::support::command(folder.path(), &line);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !folder.path().join("many.index/model.safetensors").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let run = finished(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(130), "", "cancelled\n"));
    let [added, updated, removed, unchanged, failed] = counts(&json(&folder, &line[..4])[0]);
    assert_eq!((added + unchanged, updated, removed, failed), (400, 0, 0, 0));
}
