//! The main job from end to end, on a small generated library: train, evaluate, classify, index, search, gallery.

use crate::shapes::put;
use crate::support::{finished, json_lines, names, polyad};
use polyad_shapes::demo::families::{families, generate};
use polyad_shapes::demo::stl::write_stl;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// Three families: eight parts each to learn from, two to be asked about.
fn put_library(folder: &Path, name: &str) -> Vec<&'static str> {
    let classes: Vec<&str> = families().iter().copied().take(3).collect();
    for (family, class) in classes.iter().enumerate() {
        for seed in 0..10 {
            let part = if seed < 8 { "train" } else { "test" };
            let stl = write_stl(&generate(family, seed));
            put(folder, format!("{name}/{class}/{part}/{seed}.stl"), &stl);
        }
    }
    put(folder, format!("{name}/{}/train/broken.stl", classes[0]), b"solid nothing");
    classes
}

/// The settings of a network that learns nothing much, in a second.
const QUICK: &str = "--views 6 --size 32 --rotations 1 --layers 1 --heads 2 --dim 32 --stage1-epochs 1 --epochs 2";

fn json(folder: &Path, line: &str) -> Vec<Value> {
    let run = polyad(folder, &[&line.split(' ').collect::<Vec<_>>()[..], &["--json"]].concat());
    assert_eq!(run.code, Some(0), "{line}: {}", run.stderr);
    json_lines(&run)
}

#[test]
fn from_a_folder_of_classes_to_neighbours_and_a_page() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let classes = put_library(folder, "parts");
    let trained = &json(folder, &format!("train parts --out model {QUICK}"))[0];
    assert_eq!(trained["classes"], serde_json::json!(classes));
    assert_eq!(trained["failed"][0]["path"], format!("parts/{}/train/broken.stl", classes[0]));
    let (learnt, validating) = (trained["shapes"]["train"].as_u64(), trained["shapes"]["validation"].as_u64());
    assert!(learnt.unwrap() >= 20 && validating.unwrap() >= 1, "{trained}");
    assert_eq!(trained["curve"].as_array().unwrap().len(), 3);
    assert_eq!(names(folder), ["model", "model.cache", "parts"], "the state is gone once the model is there");

    let measured = &json(folder, "evaluate parts --model model")[0];
    assert_eq!(measured["shapes"], 6);
    assert_eq!(measured["confusion"]["classes"], serde_json::json!(classes));
    for key in ["instance_accuracy", "instance_interval", "class_accuracy"] {
        assert!(!measured[key].is_null(), "{key}");
    }
    for key in ["nn", "first_tier", "second_tier", "map", "ndcg", "p_at_n", "r_at_n", "f1_at_n"] {
        assert!(measured["retrieval"][key].is_number(), "{key}");
    }
    let retrieval = &json(folder, "evaluate parts --model model --retrieval-only --rotate 3")[0];
    assert_eq!((&retrieval["shapes"], &retrieval["instance_accuracy"]), (&30.into(), &Value::Null));
    assert!(retrieval["retrieval"]["p_at_n"].is_null() && retrieval["retrieval"]["nn"].is_number());

    let test = format!("parts/{}/test", classes[0]);
    let told = json(folder, &format!("classify {test} --model model"));
    assert_eq!(told.len(), 2);
    assert!(classes.contains(&told[0]["top"][0]["class"].as_str().unwrap()));
    let indexed = &json(folder, "index parts --out parts.index --model model")[0];
    assert_eq!((&indexed["added"], indexed["failed"].as_array().unwrap().len()), (&30.into(), 1));
    let found = json(folder, &format!("search parts.index {test}/8.stl -k 4"));
    let first = &found[0]["neighbours"][0];
    assert_eq!(first["path"], format!("{test}/8.stl"));
    json(folder, "gallery parts.index --out page.html");
    assert!(fs::read_to_string(folder.join("page.html")).unwrap().contains("<html"));

    let triples =
        &json(folder, &format!("train parts --out triples --order 3 --qk-norm --cache model.cache {QUICK}"))[0];
    assert_eq!(triples["curve"].as_array().unwrap().len(), 3);
    assert_eq!(json(folder, "evaluate parts --model triples --cache model.cache")[0]["shapes"], 6);
}

#[cfg(unix)]
#[test]
fn training_that_is_interrupted_leaves_a_state_to_go_on_from() {
    use std::process::{Command, Stdio};
    let folder = tempdir().unwrap();
    let folder = folder.path();
    put_library(folder, "parts");
    let line = format!("train parts --out model {}", QUICK.replace("--epochs 2", "--epochs 400"));
    let line: Vec<&str> = line.split(' ').collect();
    let mut child =
        crate::support::command(folder, &line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !folder.join("model.train").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let run = finished(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(130), "", "cancelled\n"));
    assert!(!folder.join("model").exists());
    let refused = polyad(folder, &line);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--resume"), "{}", refused.stderr);
    assert_eq!(json(folder, &format!("{} --resume", line.join(" ")))[0]["curve"].as_array().unwrap().len(), 401);
}

#[cfg(unix)]
#[test]
fn training_that_is_killed_again_and_again_gives_the_same_file_as_one_that_is_not() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};
    let folder = tempdir().unwrap();
    let folder = folder.path();
    put_library(folder, "parts");
    let quick = QUICK.replace("--epochs 2", "--epochs 600");
    let whole = &json(folder, &format!("train parts --out whole --cache cache {quick}"))[0];

    let line = format!("train parts --out killed --cache cache --resume {quick}");
    let mut kills = 0;
    // SIGKILL leaves no time to tidy up. The first blows fall early, the last ones when there is a state to go on from.
    for milliseconds in [100, 500, 2500, 3000] {
        let mut child = crate::support::command(folder, &line.split(' ').collect::<Vec<_>>())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let due = Instant::now() + Duration::from_millis(milliseconds);
        while Instant::now() < due && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += usize::from(!folder.join("killed").exists());
    }
    assert!(kills >= 2, "the run was over before it could be killed");
    let killed = &json(folder, &line)[0];
    let losses = |run: &Value| -> Vec<Value> {
        run["curve"].as_array().unwrap().iter().map(|epoch| epoch["loss"].clone()).collect()
    };
    assert_eq!(losses(killed), losses(whole), "the loss curve goes on");
    assert!(fs::read(folder.join("killed")).unwrap() == fs::read(folder.join("whole")).unwrap(), "another model");
    assert_eq!(names(folder), ["cache", "killed", "parts", "whole"], "nothing torn is left");
}
