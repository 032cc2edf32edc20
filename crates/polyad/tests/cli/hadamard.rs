//! The Hadamard toolkit from outside: audits, holes in photographs, questions about pictures.

use crate::shapes::put;
use crate::support::{json_lines, names, polyad};
use polyad_shapes::demo::families::{families, generate};
use polyad_shapes::demo::stl::write_stl;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

fn json(folder: &Path, line: &str) -> Value {
    let run = polyad(folder, &line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(run.code, Some(0), "{line}: {}", run.stderr);
    json_lines(&run).pop().expect("a result")
}

fn refused(folder: &Path, line: &str, code: i32, parts: &[&str]) {
    let run = polyad(folder, &line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(run.code, Some(code), "{line}: {}", run.stderr);
    assert!(run.stdout.is_empty(), "{line}: {}", run.stdout);
    for part in parts {
        assert!(run.stderr.contains(part), "{line} does not say {part:?}: {}", run.stderr);
    }
}

/// Waves of colour, each picture another.
fn put_photographs(folder: &Path, count: u32) {
    fs::create_dir_all(folder).expect("a folder");
    for index in 0..count {
        let picture = image::RgbImage::from_fn(80, 72, |x, y| {
            image::Rgb([x * 3 + index * 17, y * 3, x * y / 8 + index].map(|value| value as u8))
        });
        picture.save(folder.join(format!("{index}.png"))).expect("written");
    }
}

#[test]
fn audits_give_every_promised_key_and_published_counts() {
    let folder = tempdir().expect("a folder");
    let audit = json(folder.path(), "audit starnet-s050 --json");
    for key in [
        "parameters",
        "multiply_adds",
        "activation_bytes",
        "log2_degree",
        "product_depth",
        "ciphertext_products",
        "plaintext_products",
        "activation_free",
        "polynomial_at_inference",
        "only_add_mul",
        "layers",
    ] {
        assert!(audit.get(key).is_some(), "{key}");
    }
    assert_eq!((&audit["parameters"], &audit["multiply_adds"]), (&Value::from(542_728), &Value::from(91_285_248)));
    assert_eq!((&audit["log2_degree"], &audit["activation_free"]), (&Value::Null, &Value::from(false)));
    let small = json(folder.path(), "audit builtin --input 3x48x48 --views 6 --json");
    assert!(small["multiply_adds"].as_u64() < json(folder.path(), "audit builtin --json")["multiply_adds"].as_u64());
    refused(folder.path(), "audit starnet-s9", 2, &["starnet-s9", "audit list"]);
    refused(folder.path(), "audit starnet-s1 --input 3x224", 2, &["3x224"]);
    refused(folder.path(), "audit starnet-s1 --input 1x64x64", 2, &["1x64x64"]);
    refused(folder.path(), "audit starnet-s1 --views 3", 2, &["--views"]);
}

#[test]
fn holes_are_filled_and_known_pixels_come_back_untouched() {
    let folder = tempdir().expect("a folder");
    let here = folder.path();
    put_photographs(&here.join("photographs"), 6);
    fs::write(here.join("photographs/broken.png"), b"no picture").expect("written");
    let trained =
        json(here, "inpaint train photographs --out fill.model --steps 3 --batch 1 --crop 64 --test 2 --json");
    assert_eq!((&trained["learnt"], &trained["test"]), (&Value::from(3), &Value::from(2)));
    assert!(!here.join("fill.model.train").exists());

    let mask =
        image::GrayImage::from_fn(80, 72, |x, y| image::Luma([if (20..50).contains(&x) && y > 30 { 255 } else { 0 }]));
    mask.save(here.join("mask.png")).expect("written");
    let filled = json(here, "inpaint run photographs/0.png --model fill.model --mask mask.png --out whole.png --json");
    assert_eq!(filled["missing"], Value::from(30 * 41));
    let [before, after] =
        ["photographs/0.png", "whole.png"].map(|name| image::open(here.join(name)).expect("a picture").to_rgb8());
    for ((x, y, white), (before, after)) in mask.enumerate_pixels().zip(before.pixels().zip(after.pixels())) {
        assert!(white.0[0] == 255 || before == after, "pixel {x}, {y}");
    }

    let measured = json(here, "inpaint evaluate photographs --model fill.model --out report --json");
    assert_eq!((&measured["photographs"], &measured["learnt"]), (&Value::from(2), &Value::from(4)));
    assert!(measured["box"]["psnr"].is_f64() && measured["free_form"]["harmonic_ssim"].is_f64());
    assert_eq!(names(&here.join("report")), ["report.html", "sheet.png"]);

    image::GrayImage::new(10, 10).save(here.join("small.png")).expect("written");
    refused(
        here,
        "inpaint run photographs/0.png --model fill.model --mask small.png --out no.png",
        1,
        &["10 x 10", "80 x 72"],
    );
    image::GrayImage::from_pixel(80, 72, image::Luma([255])).save(here.join("all.png")).expect("written");
    refused(
        here,
        "inpaint run photographs/0.png --model fill.model --mask all.png --out no.png",
        2,
        &["white everywhere"],
    );
    refused(here, "inpaint run none.png --model fill.model --mask mask.png --out no.png", 2, &["none.png"]);
    refused(here, "inpaint run photographs/0.png --model mask.png --mask mask.png --out no.png", 1, &["mask.png"]);
    refused(here, "inpaint train photographs --out no.model --crop 32", 2, &["32"]);
    refused(here, "inpaint train photographs --out no.model --crop 79", 2, &["smaller than 79"]);
    assert!(!here.join("no.png").exists() && !here.join("no.model").exists());
}

#[test]
fn every_fusion_is_tried_and_a_study_goes_on_where_it_was() {
    let folder = tempdir().expect("a folder");
    let here = folder.path();
    let colours = [("red", [255, 0, 0]), ("blue", [0, 0, 255])];
    for part in ["train", "test"] {
        let images = here.join("asked").join(part).join("images");
        fs::create_dir_all(&images).expect("a folder");
        let mut questions = Vec::new();
        for index in 0..12 {
            let (name, colour) = colours[index % 2];
            image::RgbImage::from_pixel(16, 16, image::Rgb(colour))
                .save(images.join(format!("{index}.png")))
                .expect("written");
            questions.push(format!(
                "[\"what color is it?\",{name:?},{index}],[\"is it red?\",{:?},{index}]",
                ["yes", "no"][index % 2]
            ));
        }
        fs::write(images.parent().expect("a part").join("questions.json"), format!("[{}]", questions.join(",")))
            .expect("written");
    }
    fs::write(here.join("asked/answers.txt"), "red\nblue\nyes\nno\n").expect("written");
    let line = "vqa asked --out report --widths 2 --seeds 1 --epochs 1 --eye-epochs 1 --json";
    let first = json(here, line);
    assert_eq!(first["fusions"].as_array().map(Vec::len), Some(13));
    assert_eq!(names(&here.join("report")), ["report.html", "trials.json"]);
    assert_eq!(json(here, line), first);
    refused(here, "vqa asked --out report --widths 4", 1, &["other settings"]);
    refused(here, "vqa asked --out other --widths 0", 2, &["nothing to try"]);
    refused(here, "vqa nowhere --out other", 2, &["nowhere"]);
}

/// A library of two families and a model of it that has learnt next to nothing.
fn put_trained(here: &Path) {
    for (index, family) in ["mug", "spring"].into_iter().enumerate() {
        let family_index = families().iter().position(|name| *name == family).expect("a family");
        for seed in 0..6 {
            let part = if seed < 4 { "train" } else { "test" };
            let stl = write_stl(&generate(family_index, seed));
            put(here, format!("parts/{family}/{part}/{index}{seed}.stl"), &stl);
        }
    }
    json(
        here,
        "train parts --out model --cache cache --views 6 --size 32 --rotations 0 --layers 1 --heads 2 --dim 32 --stage1-epochs 0 \
         --epochs 1 --json",
    );
}

#[test]
fn a_pruned_model_is_smaller_and_is_used_as_the_other_is() {
    let folder = tempdir().expect("a folder");
    let here = folder.path();
    put_trained(here);
    let line =
        "prune parts --model model --method magnitude --sparsity 0.9 --out small --cache cache --epochs 1 --json";
    let pruned = json(here, line);
    let size = |name: &str| fs::metadata(here.join(name)).expect("a file").len();
    assert_eq!((&pruned["method"], &pruned["sparsity"]), (&"magnitude".into(), &0.9.into()));
    assert_eq!((pruned["bytes"].as_u64(), pruned["dense_bytes"].as_u64()), (Some(size("small")), Some(size("model"))));
    assert!(size("small") * 3 < size("model"));
    assert_eq!(pruned["kept"].as_f64(), pruned["weights"].as_f64().map(|weights| (weights * 0.1).round()));
    let measured = json(here, "evaluate parts --model small --cache cache --json");
    assert_eq!(measured["instance_accuracy"], pruned["instance_accuracy"]);
    json(here, "classify parts/mug/test --model small --json");
    json(here, "index parts --out parts.index --model small --json");
    json(here, "export --model small --out small.net --json");
    json(here, "audit small --json");
    let again = json(here, &line.replace("--model model", "--model small").replace("--out small", "--out smaller"));
    assert_eq!(again["kept"], pruned["kept"], "what was pruned can be pruned again");
    let once = fs::read(here.join("small")).expect("a file");
    json(here, line);
    assert!(fs::read(here.join("small")).expect("a file") == once, "the same line writes the same bytes");
}

#[test]
fn methods_are_compared_on_a_page_and_a_study_of_them_goes_on_where_it_was() {
    let folder = tempdir().expect("a folder");
    let here = folder.path();
    put_trained(here);
    let line = "prune parts --model model --method random,magnitude --sparsity .5,.9 --seeds 2 --epochs 1 --report report --cache cache";
    let run = |line: &str| polyad(here, &[&line.split(' ').collect::<Vec<_>>()[..], &["--json"]].concat());
    let first = run(line);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_eq!(json_lines(&first).len(), 8);
    assert_eq!(names(&here.join("report")), ["report.html", "trials.json"]);
    let kept = here.join("report/trials.json");
    // A run that was stopped behind its third trial.
    let text = fs::read_to_string(&kept).expect("trials");
    let mut trials: Value = serde_json::from_str(&text).expect("JSON");
    trials["trials"].as_array_mut().expect("a list").truncate(3);
    fs::write(&kept, trials.to_string()).expect("written");
    assert_eq!(run(line).stdout, first.stdout);
    assert_eq!(fs::read_to_string(&kept).expect("trials"), text);
    refused(here, &line.replace(".5,.9", ".5"), 1, &["trials.json", "other settings"]);
    refused(here, &line.replace("random,", "snap,"), 2, &["snap", "synflow", "lottery"]);
    for wrong in ["1", "-0.1", "nan", "much"] {
        refused(here, &line.replace(".5,.9", wrong).replace("--sparsity ", "--sparsity="), 2, &["below 1"]);
    }
    refused(here, "prune parts --model model --method all --sparsity .5 --out small", 2, &["7 methods", "--report"]);
    refused(here, "prune parts --model model --method snip --sparsity .5", 2, &["--out", "--report"]);
    refused(here, "prune nowhere --model model --method snip --sparsity .5 --out small", 2, &["nowhere"]);
    refused(here, "prune parts --model builtin --method snip --sparsity .5 --out small", 1, &["builtin", "no classes"]);
    assert!(!here.join("small").exists());
}
