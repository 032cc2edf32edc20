//! Claim: an exported network gives what the Burn model gives, within 1e-4 of the largest number: for image networks of
//! every kind, views in pairs and in triples, any number of them; after half precision within what its rounding says.
//!
//! Why 1e-4: `crates/polyad-nn/tests/engine.rs`.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use polyad_nn::hadamard::correlation::starnet::StarNetSize;
use polyad_run::{Network, Precision};
use polyad_shapes::model::{Definition, Header};
use polyad_shapes::render::RenderSettings;
use polyad_shapes::vsformer::{BackboneKind, VsFormerConfig};

const TOLERANCE: f32 = 1e-4;
const SIZE: usize = 40;

/// Gives every vector of parameters and statistics numbers of its own; fresh norms do nothing, and would hide one that is
/// left out. Variances stay positive.
struct Unlike;

impl ModuleMapper for Unlike {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D > 1 {
            return param;
        }
        param.map(|x| {
            let random = |low, high| Tensor::random(x.dims(), Distribution::Uniform(low, high), &x.device());
            let (factor, term) = (random(0.5, 1.5), random(0.0, 0.2));
            x * factor + term
        })
    }
}

fn pictures(views: usize) -> Tensor<4> {
    Tensor::random([views, 3, SIZE, SIZE], Distribution::Normal(0.0, 1.0), &Device::flex())
}

/// A model of random weights, whose image network's norms have seen some pictures.
fn definition(config: VsFormerConfig) -> Definition {
    let network = config.init(&Device::flex().autodiff()).expect("sizes that fit").map(&mut Unlike);
    if matches!(config.backbone, BackboneKind::StarNet(_)) {
        // Products of branches square what grows, and ReLU6 cuts a small part out of large sums, where rounding shows.
        for _ in 0..20 {
            network.forward_features(Tensor::from_inner(pictures(4)));
        }
    }
    let render = RenderSettings { size: SIZE, ..RenderSettings::default() };
    let classes = config.classes.map(|count| (0..count).map(|class| format!("class {class}")).collect());
    Definition::new(network, Header::new(config, render, classes)).expect("a model")
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("single precision")
}

/// The greatest difference, as a share of the largest number.
fn error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
    assert!(largest > 0.0, "nothing to compare");
    found.iter().zip(expected).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs())) / largest
}

fn assert_same(name: &str, network: &Network, model: &Definition, views: usize, tolerance: f32) {
    let images = pictures(views);
    let (pixels, shape) = (numbers(images.clone()), [views, 3, SIZE, SIZE]);
    let features = model.network().forward_features(images);
    let dim = features.dims()[1];
    let embedding = model.network().encode(features.clone().reshape([1, views, dim]), None);
    let logits = model.network().logits(embedding.clone()).ok().map(numbers);
    let pairs = [
        ("features", network.features(&pixels, shape), Some(numbers(features))),
        ("embedding", network.embed(&pixels, shape), Some(numbers(embedding))),
        ("logits", network.logits(&pixels, shape), logits),
    ];
    for (what, found, expected) in pairs {
        let Some(expected) = expected else {
            assert!(found.is_err(), "{name}: {what} of a model without classes");
            continue;
        };
        let error = error(&found.expect("views of its size"), &expected);
        assert!(
            error <= tolerance,
            "{name}, {views} views, {what}: off by {error} of the largest, at most {tolerance}"
        );
    }
}

#[test]
fn an_exported_network_gives_what_the_model_gives() {
    let of = |backbone, order, qk_norm, head, classes| VsFormerConfig {
        layers: 2,
        heads: 4,
        dim: 64,
        order,
        qk_norm,
        head,
        ..VsFormerConfig::published(backbone, classes)
    };
    let star = BackboneKind::StarNet(StarNetSize::S050);
    let lite = BackboneKind::EfficientNetLite0;
    let cases = [
        of(BackboneKind::Small, 2, false, 2, Some(5)),
        VsFormerConfig { rectified: false, ..of(BackboneKind::Small, 3, true, 3, Some(17)) },
        of(star, 2, true, 1, Some(3)),
        of(star, 3, false, 2, None),
        of(lite, 2, false, 3, Some(4)),
        // A head too wide for the kernels of any order, no blocks, and layers over maps.
        VsFormerConfig { heads: 1, dim: 320, ..of(BackboneKind::Small, 2, false, 2, None) },
        VsFormerConfig { layers: 0, ..of(lite, 3, true, 1, Some(2)) },
    ];
    for config in cases {
        let name = format!("{}, order {}, {} of {} wide", config.backbone, config.order, config.heads, config.dim);
        let model = definition(config);
        let file = model.export().expect("it runs alone").to_file(Precision::Single).expect("it can be written");
        let network = Network::from_bytes(&file.bytes).expect("it can be read");
        for views in [1, 5] {
            assert_same(&name, &network, &model, views, TOLERANCE);
        }
        let again = model.export().expect("again").to_file(Precision::Single).expect("again");
        assert_eq!(again, file, "{name}: exported twice");
    }
}

/// Rounding moves each weight by up to 2⁻¹¹ of itself, at random; some tens of layers hand that on.
#[test]
fn half_precision_errs_as_its_rounding_says() {
    let small = VsFormerConfig { layers: 2, ..VsFormerConfig::published(BackboneKind::Small, Some(5)) };
    let model = definition(small);
    let file = model.export().expect("it runs alone").to_file(Precision::Half).expect("it can be written");
    assert_same("half", &Network::from_bytes(&file.bytes).expect("it can be read"), &model, 5, 30.0 / 2048.0);
}

#[test]
fn settings_travel_with_the_network() {
    let config = VsFormerConfig { layers: 0, dim: 192, ..VsFormerConfig::published(BackboneKind::Small, Some(2)) };
    let model = definition(config);
    let network = model.export().expect("it runs alone");
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let said = json(network.description());
    let header = json(&serde_json::to_string(model.header()).expect("a header is JSON"));
    for key in ["architecture", "input", "render", "classes", "polyad"] {
        assert_eq!(said[key], header[key], "{key}");
    }
    assert_eq!(said["model"], header["checksum"]);
    // Pixels become the same numbers on both sides.
    let pixels: Vec<u8> = (0..SIZE * SIZE).map(|i| (i % 251) as u8).collect();
    let found = network.input().numbers(&pixels, 1).expect("one grey view");
    let view = polyad_shapes::view_set::View { width: SIZE, height: SIZE, channels: 1, pixels };
    let expected = model.header().input.tensor(&[&view], &Device::flex()).expect("one grey view");
    assert_eq!(TensorData::new(found, [1, 3, SIZE, SIZE]), expected.into_data());
}
