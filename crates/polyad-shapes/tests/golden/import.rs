//! Claim: checkpoints of the published code and of torchvision become models with those very weights, whatever training
//! scripts wrap around them; what does not fit is listed by name.

use crate::cases::{Case, relative_difference};
use crate::pth::{self, Tensors};
use polyad_shapes::job::{Job, Reporter};
use polyad_shapes::model::import::{ImportConfig, ImportOptions, import, import_checkpoint};
use polyad_shapes::model::{Checkpoint, Definition};
use polyad_shapes::render::Frame;
use polyad_shapes::vsformer::BackboneKind;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

const CASE: &str = "resnet18_l2h4d256_v6";

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Reporter for Warnings {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn note(&self, _: &str) {}
    fn end(&self) {}
    fn warn(&self, text: &str) {
        self.0.lock().expect("one thread").push(text.into());
    }
}

/// The image network's tensors under torchvision's names, with the last layer that torchvision's files have.
fn torchvision(case: &Case) -> Tensors {
    let children =
        [("0.", "conv1."), ("1.", "bn1."), ("4.", "layer1."), ("5.", "layer2."), ("6.", "layer3."), ("7.", "layer4.")];
    let rename = |name: &str| {
        let rest = name.strip_prefix("base_feature_extractor.")?;
        children.iter().find_map(|(theirs, own)| rest.strip_prefix(theirs).map(|leaf| format!("{own}{leaf}")))
    };
    let mut tensors: Tensors = case
        .tensors()
        .into_iter()
        .filter_map(|(name, shape, numbers)| Some((rename(&name)?, shape, numbers)))
        .collect();
    tensors.push(("fc.weight".into(), vec![10, 512], vec![0.5; 5120]));
    tensors.push(("fc.bias".into(), vec![10], vec![0.5; 10]));
    tensors
}

fn prefixed(tensors: Tensors, prefix: &str) -> Tensors {
    tensors.into_iter().map(|(name, shape, numbers)| (format!("{prefix}{name}"), shape, numbers)).collect()
}

fn first_features(model: &Definition, case: &Case) -> Vec<f32> {
    let first = case.images().slice_dim(0, 0..1);
    let features = model.network().initializer.backbone.forward(first).slice([0..1, 0..16]);
    features.into_data().try_into_vec().expect("float tensor")
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a temporary folder can be written");
    path
}

fn safetensors(tensors: &Tensors) -> Vec<u8> {
    use safetensors::tensor::{Dtype, TensorView};
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, numbers)| numbers.iter().flat_map(|n| n.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("sizes that fit"))
    });
    safetensors::serialize(views, None).expect("sizes that fit")
}

#[test]
fn torchvision_weights_in_a_wrapped_parallel_pth_become_an_initializer() {
    let Some(case) = Case::read(CASE) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = pth::write(&prefixed(torchvision(&case), "module."), Some("state_dict"));
    let path = write(folder.path(), "resnet18.pth", &bytes);
    let model = import(&path, ImportOptions::default(), &Job::silent()).expect("torchvision's names");
    assert_eq!(model.header().architecture.backbone, BackboneKind::ResNet18);
    assert!(model.header().classes.is_none(), "an initializer has no classes");
    assert_eq!(model.header().training["encoder"], "fresh, not trained");
    assert!(relative_difference(&first_features(&model, &case), &case.features) < 1e-3);
    assert_eq!((model.header().render.size, model.header().render.frame), (224, Frame::Crop));
    let asked = ImportOptions { size: Some(64), frame: Some(Frame::Sphere), ..ImportOptions::default() };
    let small = import(&path, asked, &Job::silent()).expect("torchvision's names");
    assert_eq!((small.header().render.size, small.header().render.frame), (64, Frame::Sphere));

    for length in [0, 5, 9, bytes.len() / 2, bytes.len() - 1] {
        let path = write(folder.path(), "cut.pth", &bytes[..length]);
        import(&path, ImportOptions::default(), &Job::silent()).expect_err("a checkpoint that is cut off");
    }
}

#[test]
fn the_first_stage_becomes_an_initializer() {
    let Some(case) = Case::read(CASE) else { return };
    let stage1 = |(name, shape, numbers): (String, Vec<usize>, Vec<f32>)| {
        name.strip_prefix("base_").map(|name| (name.to_owned(), shape, numbers))
    };
    let mut tensors: Tensors = case.tensors().into_iter().filter_map(stage1).collect();
    tensors.push(("classifier.weight".into(), vec![15, 512], vec![0.5; 15 * 512]));
    let checkpoint = Checkpoint::from_tensors(tensors).expect("sizes that fit");
    let model = import_checkpoint(checkpoint, ImportOptions::default(), &Job::silent()).expect("the names of stage 1");
    assert!(relative_difference(&first_features(&model, &case), &case.features) < 1e-3);
}

#[test]
fn without_a_configuration_all_sizes_but_the_heads_are_inferred_with_a_warning() {
    let Some(case) = Case::read(CASE) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = write(folder.path(), "model.safetensors", &safetensors(&prefixed(case.tensors(), "module.")));
    let (warnings, never) = (Warnings::default(), AtomicBool::new(false));
    let model = import(&path, ImportOptions::default(), &Job::new(&warnings, &never)).expect("published names");
    let (found, expected) = (&model.header().architecture, &case.config);
    let sizes = |c: &polyad_shapes::vsformer::VsFormerConfig| (c.backbone, c.layers, c.dim, c.ratio, c.head, c.classes);
    assert_eq!(sizes(found), sizes(expected));
    assert_eq!(found.heads, 8);
    let warnings = warnings.0.into_inner().expect("one thread");
    assert!(warnings.len() == 1 && warnings[0].contains("heads"), "{warnings:?}");

    // A model of ours is a safetensors file too, but nothing to import.
    let ours = folder.path().join("ours.polyad");
    model.save(&ours).expect("a temporary folder can be written");
    let message = import(&ours, ImportOptions::default(), &Job::silent()).expect_err("already a model").to_string();
    assert!(message.contains("already a polyad model") && message.contains("ours.polyad"), "{message}");
}

#[test]
fn what_is_missing_misshapen_or_left_over_is_listed_by_name() {
    let Some(case) = Case::read(CASE) else { return };
    let mut tensors = case.tensors();
    tensors.retain(|(name, ..)| name != "encoder.sa_layers.1.sa.attention.k_proj.weight");
    for (name, shape, numbers) in &mut tensors {
        if name == "bn1d.running_var" {
            (*shape, *numbers) = (vec![2], vec![1.0; 2]);
        }
    }
    tensors.push(("encoder.sa_layers.1.extra".into(), vec![1], vec![0.0]));
    let config = ImportConfig { architecture: case.config.clone(), class_names: None };
    let checkpoint = Checkpoint::from_tensors(tensors).expect("sizes that fit");
    let message = import_checkpoint(
        checkpoint,
        ImportOptions { config: Some(config), ..ImportOptions::default() },
        &Job::silent(),
    )
    .expect_err("three faults")
    .to_string();
    for part in [
        "missing: encoder.sa_layers.1.sa.attention.k_proj.weight",
        "bn1d.running_var [2] instead of [256]",
        "left over: encoder.sa_layers.1.extra",
    ] {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn ablations_and_unknown_names_are_refused_by_name() {
    let Some(case) = Case::read(CASE) else { return };
    for ablation in ["cls_token", "pos_embs"] {
        let mut tensors = case.tensors();
        tensors.push((ablation.into(), vec![256], vec![0.0; 256]));
        let checkpoint = Checkpoint::from_tensors(tensors).expect("sizes that fit");
        let message = import_checkpoint(checkpoint, ImportOptions::default(), &Job::silent())
            .expect_err("an ablation")
            .to_string();
        assert!(message.contains(ablation), "{message}");

        let config = format!(r#"{{"backbone":"resnet18","layers":2,"heads":4,"dim":256,"ratio":2,"{ablation}":true}}"#);
        let message = ImportConfig::from_json(&config).expect_err("an ablation").to_string();
        assert!(message.contains(ablation), "{message}");
    }
    let other = Checkpoint::from_tensors([("blocks.0.weight".into(), vec![1], vec![0.0])]).expect("sizes that fit");
    let message =
        import_checkpoint(other, ImportOptions::default(), &Job::silent()).expect_err("nobody's names").to_string();
    assert!(message.contains("blocks.0.weight"), "{message}");
}

#[test]
fn a_mutated_pickle_is_refused_without_panic() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tensors: Tensors =
        vec![("conv1.weight".into(), vec![2, 3], vec![1.0; 6]), ("bn1.weight".into(), vec![4], vec![1.0; 4])];
    let pickle = pth::pickle(&tensors, Some("state_dict"));
    for place in 0..pickle.len() {
        for change in [1u8, 0x80, 0xff] {
            let mut changed = pickle.clone();
            changed[place] ^= change;
            let path = write(folder.path(), "changed.pth", &pth::archive(&changed, &tensors));
            import(&path, ImportOptions::default(), &Job::silent()).expect_err("far from complete, whatever it says");
        }
    }
}
