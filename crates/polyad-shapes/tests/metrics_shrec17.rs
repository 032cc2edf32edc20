//! The seven rules of SHREC'17's evaluator: its own verdict on three folders of lists, and small lists by hand.

use polyad_shapes::metrics::shrec17::{Scores, score};
use serde_json::{Value, to_value};
use std::fs;
use std::path::{Path, PathBuf};

fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("POLYAD_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let present = folder.join("reference").is_dir();
    if !present {
        eprintln!("skipped: no {}", folder.display());
    }
    present.then_some(folder)
}

fn assert_agrees(name: &str) {
    let Some(folder) = shared().map(|s| s.join("reference").join(name)) else { return };
    let expected: Value = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let found = to_value(score(&folder, &folder.join("truth.csv"), "test").unwrap()).unwrap();
    let direct = to_value(score(&folder.join("test_normal"), &folder.join("truth.csv"), "test").unwrap()).unwrap();
    assert_eq!(found, direct);
    let (expected, found) = (expected.as_object().unwrap(), found.as_object().unwrap());
    assert_eq!(expected.len(), found.len(), "classes of {name}");
    for (class, measures) in expected {
        for (measure, value) in measures.as_object().unwrap() {
            let ours = &found[class][measure];
            let close = match (value.as_f64(), ours.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9,
                _ => value.is_null() && ours.is_null(),
            };
            assert!(close, "{name} {class} {measure}: expected {value}, found {ours}");
        }
    }
}

#[test]
fn real_class_sizes_agree_with_the_official_evaluator() {
    assert_agrees("shrec17");
}

#[test]
fn a_class_above_the_cut_short_ids_and_other_splits_agree_with_the_official_evaluator() {
    assert_agrees("shrec17_large");
}

#[test]
fn an_empty_list_is_null_as_in_the_official_evaluator() {
    assert_agrees("shrec17_empty");
}

const TRUTH: &str = "id,synsetId,subSynsetId,modelId,split\n\
    000001,A,A1,m1,test\n000002,A,A1,m2,test\n000003,A,A,m3,test\n000004,A,A2,m4,test\n\
    000005,B,B,m5,test\n000006,A,A1,m6,val\n";

fn with_lists(truth: &str, lists: &[(&str, &str)]) -> (tempfile::TempDir, Result<Scores, polyad_shapes::Error>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("truth.csv"), truth).unwrap();
    fs::create_dir(folder.path().join("lists")).unwrap();
    for (name, text) in lists {
        fs::write(folder.path().join("lists").join(name), text).unwrap();
    }
    let scores = score(&folder.path().join("lists"), &folder.path().join("truth.csv"), "test");
    (folder, scores)
}

#[test]
fn a_list_by_hand() {
    // Unknown 9, a repeated 2, 6 of another split: what is left is 5 (gain 0), 2 (3), 3 (2), 4 (1); 4 relevant.
    let (_folder, scores) = with_lists(TRUTH, &[("1", "9 0\n5 .1\r\n\n2 .2\n2 .3\n6 .4\n3\n000004 .5\n")]);
    let a = scores.unwrap().classes["A"];
    assert!((a.precision - 0.75).abs() < 1e-12 && (a.recall - 0.75).abs() < 1e-12 && (a.f1 - 0.75).abs() < 1e-12);
    assert!((a.map - (1. / 2. + 2. / 3. + 3. / 4.) / 4.).abs() < 1e-12, "{}", a.map);
    let (gained, ideal) = (3. + 2. / 3f64.log2() + 1. / 2., 3. + 3. + 2. / 3f64.log2() + 1. / 2.);
    assert!((a.ndcg - gained / ideal).abs() < 1e-12, "{}", a.ndcg);
}

#[test]
fn lists_of_unknown_shapes_and_other_splits_cost_nothing() {
    let lists = [("000001", "1\n2\n3\n4"), ("000006", "1"), ("000099", "1"), ("notes.txt", "5")];
    let (_folder, scores) = with_lists(TRUTH, &lists);
    let scores = scores.unwrap();
    assert_eq!((scores.micro.num, scores.macro_.num, scores.micro.ndcg), (1, 2, 1.0));
}

#[test]
fn micro_weighs_lists_and_macro_weighs_classes() {
    let lists = [("000001", "1"), ("000002", "5"), ("000005", "5")];
    let (_folder, scores) = with_lists(TRUTH, &lists);
    let scores = scores.unwrap();
    assert!((scores.micro.precision - 2. / 3.).abs() < 1e-12 && (scores.macro_.precision - 0.75).abs() < 1e-12);
}

#[test]
fn a_broken_table_is_refused_with_its_line() {
    let message = |truth: &str| with_lists(truth, &[("1", "1")]).1.unwrap_err().to_string();
    assert!(message("id,synsetId,subSynsetId,modelId,split\n1,A,A\n").contains("line 2: 3 fields, expected 5"));
    assert!(message(&format!("{TRUTH}000001,A,A,m,test\n")).contains("line 8: id 000001 is repeated"));
    assert!(message("000001,,A,m,test\n").contains("line 1: empty"));
    assert!(message("000001,A,A,m,val\n").contains("no shape of split 'test', only [\"val\"]"));
}

#[test]
fn a_file_that_is_no_list_is_refused_with_its_name_and_line() {
    let good = "1 0.5\n2 -1e-3 \n000003\n\n";
    assert!(with_lists(TRUTH, &[("1", good)]).1.is_ok());
    for wrong in ["2 near", "2\t0.5", " 2 0.5", "2,0.5", "\u{1}\u{fffd}#", "2 0.5 x", "{\"id\": 2}"] {
        let (folder, scores) = with_lists(TRUTH, &[("1", &format!("{good}{wrong}\n"))]);
        let message = scores.expect_err(wrong).to_string();
        let place = format!("{}: line 5: ", folder.path().join("lists/1").display());
        assert!(message.starts_with(&place), "{wrong:?}: {message}");
    }
    let (folder, _) = with_lists(TRUTH, &[]);
    let noise: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(folder.path().join("lists/1"), noise).unwrap();
    let noise = score(&folder.path().join("lists"), &folder.path().join("truth.csv"), "test").unwrap_err().to_string();
    assert!(noise.contains("lists/1: line 1: "), "{noise}");
    // What is not read is not looked at: files beside the lists, and lines after the first thousand.
    let long = format!("{}\0\n", "1 0.5\n".repeat(1000));
    assert!(with_lists(TRUTH, &[("1", &long), ("notes.txt", "two words")]).1.is_ok());
}

#[test]
fn what_is_missing_is_named() {
    let (folder, scores) = with_lists(TRUTH, &[("notes", "1")]);
    assert!(scores.unwrap_err().to_string().contains("no list of a shape of split 'test'"));
    let missing = folder.path().join("absent");
    let truth = folder.path().join("truth.csv");
    assert!(score(&missing, &truth, "test").unwrap_err().to_string().contains("absent"));
    assert!(score(folder.path(), &missing, "test").unwrap_err().to_string().contains("absent"));
}
