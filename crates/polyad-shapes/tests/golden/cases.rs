//! The cases of `reference/vsformer_golden.json`, and the formula for their numbers.

use burn::tensor::{Device, Tensor, TensorData};
use polyad_shapes::job::Job;
use polyad_shapes::model::import::{ImportConfig, ImportOptions, import_checkpoint};
use polyad_shapes::model::{Checkpoint, Definition};
use polyad_shapes::vsformer::VsFormerConfig;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One case: the published code's answer for a configuration.
pub struct Case {
    pub name: String,
    pub config: VsFormerConfig,
    pub state: Vec<(String, Vec<usize>)>,
    pub features: Vec<f32>,
    pub logits: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Stored {
    config: VsFormerConfig,
    state: Vec<(String, Vec<usize>)>,
    features_view0: Vec<f32>,
    logits: Vec<Vec<f32>>,
}

/// The folder of shared material: `POLYAD_SHARED`, or beside the workspace.
pub fn shared() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("POLYAD_SHARED").map_or_else(beside, PathBuf::from)
}

impl Case {
    /// Reads a case; `None`, with a message, where the shared folder is absent.
    pub fn read(name: &str) -> Option<Self> {
        let path = shared().join("reference/vsformer_golden.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!("skipped: {} is absent", path.display());
            return None;
        };
        let mut cases: BTreeMap<String, Stored> = serde_json::from_str(&text).expect("the golden file is JSON");
        let case = cases.remove(name).expect("the golden file has the case");
        let Stored { config, state, features_view0: features, logits } = case;
        Some(Case { name: name.into(), config, state, features, logits })
    }

    pub fn classes(&self) -> usize {
        self.config.classes.expect("golden cases have classes")
    }

    /// All parameters of the case with the published names.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let tensor = |(name, shape): &(String, Vec<usize>)| (name.clone(), shape.clone(), parameter(name, shape));
        self.state.iter().map(tensor).collect()
    }

    /// The network that importing the case's parameters gives.
    pub fn definition(&self) -> Definition {
        let config = ImportConfig { architecture: self.config.clone(), class_names: None };
        let checkpoint = Checkpoint::from_tensors(self.tensors()).expect("sizes that fit");
        import_checkpoint(
            checkpoint,
            ImportOptions { config: Some(config), ..ImportOptions::default() },
            &Job::silent(),
        )
        .expect("a complete checkpoint")
    }

    /// The input of the case: two shapes.
    pub fn images(&self) -> Tensor<4> {
        let count = 2 * self.config.views;
        let numbers = stream(&format!("images/{}", self.name), count * 3 * 224 * 224);
        Tensor::from_data(TensorData::new(numbers, [count, 3, 224, 224]), &Device::flex())
    }
}

/// `n` numbers in [-1, 1) that a name decides: splitmix64 seeded with the first 8 bytes of the name's SHA-256.
pub fn stream(name: &str, n: usize) -> Vec<f32> {
    let digest = Sha256::digest(name.as_bytes());
    let seed = u64::from_le_bytes(digest[..8].try_into().expect("eight bytes"));
    let number = |t: u64| {
        let mut z = seed.wrapping_add(t.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (1..=n as u64).map(number).collect()
}

/// The numbers of one parameter.
fn parameter(name: &str, shape: &[usize]) -> Vec<f32> {
    let elements: usize = shape.iter().product();
    let scale = |factor: f64, offset: f64| {
        stream(name, elements).into_iter().map(|u| (offset + factor * f64::from(u)) as f32).collect()
    };
    match name.rsplit('.').next() {
        Some("running_var") => scale(0.5, 1.0),
        Some("running_mean") => scale(0.1, 0.0),
        _ if shape.len() >= 2 => scale((3.0 / (elements / shape[0]) as f64).sqrt(), 0.0),
        Some("weight") => scale(0.1, 1.0),
        _ => scale(0.1, 0.0),
    }
}

/// The largest difference, in units of the largest expected number.
pub fn relative_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len(), "lengths differ");
    let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    found.iter().zip(expected).fold(0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}
