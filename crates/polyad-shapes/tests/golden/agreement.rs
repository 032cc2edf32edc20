//! Claim: for the weights of `reference/vsformer_golden.json`, which a formula gives, logits and features are those of
//! the published VSFormer code; views may come in any order, and shapes of one batch may differ in their number.
//!
//! Formula: design/vsformer.md, "Parity with the published code".

use crate::cases::{self, Case, relative_difference};
use burn::tensor::{Tensor, TensorData};
use polyad_shapes::vsformer::batch_views;

fn agrees(name: &str) {
    let Some(case) = Case::read(name) else { return };
    let definition = case.definition();
    let network = definition.network();
    let views = case.config.views;
    let images = case.images();

    // One pass of the image network serves all claims: it is most of the time. Its numbers, before any projection, are
    // the golden file's features.
    let features = network.initializer.backbone.forward(images);
    let first: Vec<f32> = features.clone().slice([0..1, 0..16]).into_data().try_into_vec().expect("float tensor");
    let difference = relative_difference(&first, &case.features);
    assert!(difference < 1e-3, "{name}: features of the first view differ by {difference:e} of the largest");

    let features = network.initializer.project(features);
    let logits = |rows: Tensor<2>, counts: &[usize]| -> Vec<Vec<f32>> {
        let (batch, absent) = batch_views(rows, counts).expect("as many rows as views");
        let logits = network.logits(network.encode(batch, absent)).expect("a head");
        let numbers: Vec<f32> = logits.into_data().try_into_vec().expect("float tensor");
        numbers.chunks(case.classes()).map(<[f32]>::to_vec).collect()
    };
    let both = logits(features.clone(), &[views, views]);
    for (shape, (found, expected)) in both.iter().zip(&case.logits).enumerate() {
        let difference = relative_difference(found, expected);
        assert!(difference < 1e-3, "{name}, shape {shape}: logits differ by {difference:e} of the largest");
    }

    let reversed = features.clone().slice_dim(0, 0..views).flip([0]);
    let permuted = logits(reversed, &[views]);
    let difference = relative_difference(&permuted[0], &both[0]);
    assert!(difference < 1e-4, "{name}: permuting views changes logits by {difference:e} of the largest");

    // A whole shape beside one with a single view.
    let first = features.clone().slice_dim(0, 0..views);
    let single = features.slice_dim(0, views..views + 1);
    let mixed = logits(Tensor::cat(vec![first, single.clone()], 0), &[views, 1]);
    let alone = logits(single, &[1]);
    for (found, expected) in mixed.iter().zip([&both[0], &alone[0]]) {
        let difference = relative_difference(found, expected);
        assert!(difference < 1e-4, "{name}: a mixed batch changes logits by {difference:e} of the largest");
    }
}

#[test]
fn resnet18_with_a_projection_and_a_head_of_three_layers_agrees() {
    agrees("resnet18_l2h4d256_v6");
}

#[test]
fn alexnet_agrees() {
    agrees("alexnet_l4h8d512_v20");
}

#[test]
fn vgg11_agrees() {
    agrees("vgg11_l1h8d512_v2");
}

#[test]
fn resnet50_agrees() {
    agrees("resnet50_l2h8d512_v2");
}

#[test]
fn the_formula_gives_numbers_of_its_range_that_depend_on_the_name() {
    let (a, b) = (cases::stream("a", 1000), cases::stream("b", 1000));
    assert!(a.iter().all(|x| (-1.0..1.0).contains(x)) && a != b);
    let tensor = Tensor::<1>::from_data(TensorData::new(a, [1000]), &burn::tensor::Device::flex());
    assert!(tensor.mean().into_scalar::<f32>().abs() < 0.1);
}
