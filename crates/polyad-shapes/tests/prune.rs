//! Claim: whatever the method, so many weights are 0 as were asked for, in the network and in the file that is read back; a
//! HiRA adaptation of it keeps every one of them.

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor};
use polyad_nn::hadamard::modulation::pruning::Masks;
use polyad_nn::hadamard::modulation::weights::{AdaptedLinear, HiraConfig};
use polyad_shapes::demo::families::{families, generate};
use polyad_shapes::demo::stl::write_stl;
use polyad_shapes::evaluate::{EvaluateOptions, evaluate};
use polyad_shapes::job::Job;
use polyad_shapes::model::{Definition, Model};
use polyad_shapes::train::prune::{Method, Pruned, Pruning};
use polyad_shapes::train::{TrainOptions, train};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Weights are drawn from one generator of the whole process, so runs take turns.
fn turn() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A model of two families, trained whole or on the built-in model's features.
struct Trained {
    root: tempfile::TempDir,
}

impl Trained {
    fn new(frozen: bool) -> Self {
        let trained = Trained { root: tempfile::tempdir().expect("a folder") };
        for family in ["mug", "spring"] {
            let index = families().iter().position(|name| *name == family).expect("a family");
            for seed in 0..8 {
                let folder = trained.shapes().join(family).join(if seed < 6 { "train" } else { "test" });
                std::fs::create_dir_all(&folder).expect("a folder");
                std::fs::write(folder.join(format!("{seed}.stl")), write_stl(&generate(index, seed))).expect("a file");
            }
        }
        let mut options = TrainOptions {
            views: Some("6".into()),
            rotations: Some(1),
            layers: Some(1),
            epochs: Some(2),
            cache: Some(trained.cache()),
            ..TrainOptions::default()
        };
        if !frozen {
            (options.size, options.dim, options.heads) = (Some(32), Some(32), Some(2));
            options.stage1_epochs = Some(1);
        }
        train(&trained.shapes(), &trained.model(), &options, Job::silent()).expect("a model");
        trained
    }

    fn shapes(&self) -> PathBuf {
        self.root.path().join("shapes")
    }

    fn model(&self) -> PathBuf {
        self.root.path().join("model")
    }

    fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    fn pruning(&self, epochs: usize) -> Pruning {
        let model = Definition::load(&self.model()).expect("just trained");
        Pruning::open(&self.shapes(), model, epochs, &self.cache(), Job::silent()).expect("its own shapes")
    }
}

fn prune(pruning: &Pruning, method: Method, sparsity: f64, seed: u64) -> Pruned {
    pruning.prune(method, sparsity, seed, Job::silent()).unwrap_or_else(|why| panic!("{method}: {why}"))
}

/// Numbers that are not 0, of the weights that could be pruned.
fn left(model: &Definition, masks: &Masks) -> usize {
    let found = Masks::of(model.network());
    let there = |(name, _, _): (&str, usize, usize)| {
        let (found, kept) = (found.get(name).expect("its own"), masks.get(name).expect("its own"));
        assert!(found.iter().zip(kept).all(|(found, kept)| *kept || !found), "{name}: what is pruned is not 0");
        found.iter().filter(|there| **there).count()
    };
    masks.iter().map(there).sum()
}

#[test]
fn each_method_leaves_as_many_weights_as_were_asked_for_and_its_file_does_what_the_network_does() {
    let _turn = turn();
    let trained = Trained::new(false);
    let pruning = trained.pruning(2);
    let dense = pruning.model().to_bytes().expect("bytes").len();
    let file = trained.root.path().join("pruned");
    for method in Method::ALL {
        let Pruned { model, masks } = prune(&pruning, method, 0.9, 3);
        let asked = (0.1 * masks.len() as f64).round() as usize;
        assert_eq!(masks.kept(), asked, "{method}");
        // A number that is left may be 0 by chance, which has not been seen.
        assert_eq!(left(&model, &masks), asked, "{method}");
        model.save(&file).expect("writable");
        assert!(std::fs::metadata(&file).expect("a file").len() < dense as u64 / 3, "{method}");
        let read = Definition::load(&file).expect("just written");
        assert_eq!(left(&read, &masks), asked, "{method}");
        assert!(read.to_bytes().expect("bytes") == model.to_bytes().expect("bytes"), "{method}");
        let measured = pruning.accuracy(&model.into_model().expect("a network"), Job::silent()).expect("a share");
        let options = EvaluateOptions { cache: Some(trained.cache()), ..EvaluateOptions::default() };
        let read = read.into_model().expect("a network");
        let evaluated = evaluate(&trained.shapes(), &read, &options, Job::silent()).expect("a measure");
        assert_eq!(evaluated.instance_accuracy, Some(measured), "{method}");
    }
}

#[test]
fn the_same_seed_gives_the_same_file_and_another_one_another() {
    let _turn = turn();
    let trained = Trained::new(true);
    let pruning = trained.pruning(1);
    let bytes = |pruning: &Pruning, seed| prune(pruning, Method::Movement, 0.8, seed).model.to_bytes().expect("bytes");
    let first = bytes(&pruning, 0);
    assert!(bytes(&trained.pruning(1), 0) == first);
    assert!(bytes(&pruning, 1) != first);
}

#[test]
fn an_image_network_that_was_frozen_in_training_stays_whole() {
    let _turn = turn();
    let trained = Trained::new(true);
    let pruning = trained.pruning(1);
    let image_network = |model: &Definition| -> Vec<(String, Vec<u8>)> {
        let bytes = model.to_bytes().expect("bytes");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("a model's file");
        let own = file.tensors().into_iter().filter(|(name, _)| name.starts_with("initializer.backbone."));
        let mut own: Vec<_> = own.map(|(name, view)| (name, view.data().to_vec())).collect();
        own.sort();
        own
    };
    for method in [Method::Magnitude, Method::SynFlow] {
        let Pruned { model, masks } = prune(&pruning, method, 0.7, 0);
        assert!(masks.iter().all(|(name, _, _)| !name.starts_with("initializer.backbone.")));
        assert!(masks.iter().any(|(name, _, _)| name.starts_with("encoder.")));
        assert!(image_network(&model) == image_network(pruning.model()), "{method}");
        assert!(masks.iter().all(|(_, kept, _)| kept > 0), "{method}: a layer has collapsed: {masks:?}");
    }
}

#[test]
fn without_lessons_only_batch_norms_are_computed_anew_and_other_methods_are_refused() {
    let _turn = turn();
    let trained = Trained::new(true);
    let pruning = trained.pruning(0);
    let Pruned { model, masks } = prune(&pruning, Method::Magnitude, 0.5, 0);
    let expand = |model: &Definition| -> Vec<f32> {
        let weight = model.network().encoder.blocks[0].expand.weight.val();
        weight.into_data().try_into_vec().expect("float tensor")
    };
    let kept = masks.get("encoder.blocks.0.expand.weight").expect("a weight that is pruned");
    for ((before, after), kept) in expand(pruning.model()).iter().zip(expand(&model)).zip(kept) {
        assert_eq!(if *kept { *before } else { 0.0 }, after);
    }
    let mean = |model: &Definition| -> Vec<f32> {
        let norm = model.network().head.as_ref().and_then(|head| head.layers[0].norm.as_ref()).expect("a norm");
        norm.running_mean.value().into_data().try_into_vec().expect("float tensor")
    };
    assert_ne!(mean(&model), mean(pruning.model()));
    let refused =
        |method, sparsity| pruning.prune(method, sparsity, 0, Job::silent()).err().expect("refused").to_string();
    assert!(refused(Method::Snip, 0.5).contains("snip needs lessons"));
    assert!(refused(Method::Magnitude, 1.0).contains("not in [0, 1)"));
}

#[test]
fn a_hira_adaptation_that_learns_keeps_every_zero() {
    let _turn = turn();
    let trained = Trained::new(true);
    let Pruned { model, masks } = prune(&trained.pruning(1), Method::Magnitude, 0.9, 0);
    let device = Device::flex().autodiff();
    let mut network = model.network().clone();
    let base = network.encoder.blocks[0].expand.clone().train();
    let [inputs, outputs] = base.weight.dims();
    let change = HiraConfig { rank: 4 }.init([outputs, inputs], &device).expect("sizes");
    let mut adapted = AdaptedLinear::new(base, change).expect("its own size");
    let mut optimizer = AdamWConfig::new().init();
    for _ in 0..5 {
        let x = Tensor::<2>::random([16, inputs], Distribution::Normal(0.0, 1.0), &device);
        let gradients = (adapted.forward(x) - 1.0).square().mean().backward();
        adapted = optimizer.step(0.05, adapted.clone(), GradientsParams::from_grads(gradients, &adapted));
    }
    network.encoder.blocks[0].expand = adapted.merge().valid();
    let learnt = Definition::new(network, model.header().clone()).expect("its own header");
    assert_ne!(learnt.header().checksum, model.header().checksum, "it has learnt");
    assert_eq!(left(&learnt, &masks), masks.kept());
    assert_eq!(learnt.to_bytes().expect("bytes").len(), model.to_bytes().expect("bytes").len());
}

#[test]
fn models_that_cannot_be_taught_here_are_refused() {
    let _turn = turn();
    let trained = Trained::new(true);
    let open = |shapes: &Path, model: Definition| {
        let pruning = Pruning::open(shapes, model, 1, &trained.cache(), Job::silent());
        pruning.err().expect("refused").to_string()
    };
    let model = || Definition::load(&trained.model()).expect("just trained");
    assert!(open(&trained.shapes(), Definition::builtin().expect("it is there")).contains("no classes"));
    let mut header = model().header().clone();
    header.training = serde_json::json!({ "imported": true });
    let imported = Definition::new(model().network().clone(), header).expect("a header that fits");
    assert!(open(&trained.shapes(), imported).contains("no recipe"));
    std::fs::rename(trained.shapes().join("mug"), trained.shapes().join("cup")).expect("a folder");
    let message = open(&trained.shapes(), model());
    assert!(message.contains("cup") && message.contains("mug"), "{message}");
    Model::load(&trained.model()).expect("the model is as it was");
}
