//! Published sizes, values by hand, gradients.

use super::*;
use crate::hadamard::audit::Audit;
use crate::hadamard::check::{close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave};

const BOTH: [NormKind; 2] = [NormKind::Layer, NormKind::Batch];

fn small(norm: NormKind, device: &Device) -> PolyNext {
    let stages =
        vec![PolyStage { cells: 1, width: 6, conv: 4, mlp: 12 }, PolyStage { cells: 2, width: 8, conv: 6, mlp: 14 }];
    PolyNextConfig { stem: (3, 1), stages, nodes: 2, norm, classes: Some(3) }.init(device).expect("sizes")
}

fn with_classes(config: PolyNextConfig, classes: usize) -> PolyNext {
    PolyNextConfig { classes: Some(classes), ..config }.init(&Device::flex()).expect("sizes")
}

#[test]
fn a_small_network_gives_what_pytorch_does() {
    // From goldens.py, in the folder above.
    let device = Device::flex();
    for (norm, height, wanted) in [
        (NormKind::Layer, 1.0, [0.107842503566, 0.321575849066, 0.103948763847]),
        (NormKind::Batch, 20.0, [-0.255618571365, -0.032377466401, 0.151100602016]),
    ] {
        let out = golden(small(norm, &device)).forward(wave([1, 3, 7, 5], 0.3, &device) * height);
        close(&numbers(out), &wanted, 1e-10);
    }
}

#[test]
fn counts_of_the_published_sizes_come_out() {
    let low = |channels| with_classes(PolyNextConfig::low_resolution(channels, NormKind::Layer), 10);
    for (net, side, count, mega) in [
        (with_classes(PolyNextConfig::tiny(NormKind::Layer), 1000), 224, 6_431_752, 1199.0),
        (low(72), 32, 5_460_322, 704.7),
        (low(16), 32, 304_906, 41.0),
    ] {
        let audit = Audit::of(&net, &[3, side, side]);
        assert_eq!((audit.parameters, parameters(&net)), (count, count));
        let off = (audit.multiply_adds as f64 / 1e6 - mega).abs();
        assert!(off < if mega > 1000.0 { 0.5 } else { 0.05 }, "{} multiply-adds", audit.multiply_adds);
        assert!(audit.activation_free && !audit.polynomial_at_inference && !audit.only_add_mul);
    }
}

#[test]
fn with_batch_norm_it_is_a_polynomial_whose_degree_doubles_with_each_product() {
    // A product in each of 12 · 6 and of 8 · 6 nodes, and one at the end.
    for (config, side, products) in [
        (PolyNextConfig::tiny(NormKind::Batch), 224, 73),
        (PolyNextConfig::low_resolution(16, NormKind::Batch), 32, 49),
    ] {
        let net = with_classes(config, 10);
        let audit = Audit::of(&net, &[3, side, side]);
        assert_eq!(audit.parameters, parameters(&net));
        assert_eq!(audit.product_depth, Some(products));
        assert!((audit.log2_degree.expect("a polynomial") - products as f64).abs() < 1e-9);
        assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
    }
}

#[test]
fn multiply_adds_are_those_of_a_formula() {
    // 6 × 5 pixels, then 3 × 3; two nodes a cell.
    let nodes = |w: usize, c: usize, m: usize, far: usize| 2 * w * c + (far + 18) * c + w * m + w * m / 2;
    let down = 2 * 9 * (9 * 6 + 6 * 8);
    let cells = 30 * nodes(6, 4, 12, 9) + 2 * 9 * nodes(8, 6, 14, 25);
    let wanted = 30 * 27 * 6 + cells + down + 9 * 8 * 32 + 16 * 3;
    assert_eq!(Audit::of(&small(NormKind::Layer, &Device::flex()), &[3, 6, 5]).multiply_adds, wanted);
}

/// `1 × 1` or the middle of a larger kernel, on one pixel the same.
fn set(conv: &mut Conv2d, weights: &[f64]) {
    let [outputs, inputs, kernel, _] = conv.weight.dims();
    let area = kernel * kernel;
    let mut all = vec![0.0; outputs * inputs * area];
    weights.iter().enumerate().for_each(|(index, weight)| all[index * area + area / 2] = *weight);
    conv.weight = Param::from_tensor(doubles(all, [outputs, inputs, kernel, kernel], &conv.weight.device()));
}

#[test]
fn a_poly_conv_multiplies_by_the_channels_in_reverse() {
    let device = Device::flex();
    for looks_far in [false, true] {
        let mut layer = double(PolyConv::new(2, 2, looks_far, NormKind::Layer, &device).expect("sizes"));
        set(&mut layer.widen, &[1.0, 0.0, 1.0, 1.0]);
        set(&mut layer.far, &[1.0, 2.0]);
        set(&mut layer.near, &[3.0, 5.0]);
        set(&mut layer.mix, &[1.0, -1.0]);
        set(&mut layer.narrow, &[1.0, 0.0, 1.0, 1.0]);
        // u = (1, 3); (1, 6) ∘ (15, 3) = (15, 18); mixed (15, -18), narrowed (15, -3): mean 6, deviation 9.
        let out = layer.forward(doubles(vec![1.0, 2.0], [1, 2, 1, 1], &device));
        let one = 9.0 / (81.0f64 + 1e-6).sqrt();
        close(&numbers(out), &[one, -one], 1e-14);
    }
}

#[test]
fn a_cell_adds_its_two_inputs_and_its_nodes_by_their_scales() {
    let device = Device::flex();
    let stage = PolyStage { cells: 1, width: 2, conv: 2, mlp: 2 };
    let mut cell = double(Cell::new(None, &stage, 2, false, NormKind::Batch, &device).expect("sizes"));
    let numbers_of = |numbers: &[f64]| Param::from_tensor(doubles(numbers.to_vec(), [numbers.len()], &device));
    cell.older = numbers_of(&[1.0, 2.0]);
    cell.newer = numbers_of(&[3.0, -1.0]);
    // σ(ln 3) = 3/4, σ(0) = 1/2.
    cell.scales = numbers_of(&[3f64.ln(), 0.0]);
    set(&mut cell.convs[0].widen, &[1.0, 0.0, 0.0, 1.0]);
    set(&mut cell.convs[0].far, &[1.0, 1.0]);
    set(&mut cell.convs[0].near, &[1.0, 1.0]);
    set(&mut cell.convs[0].mix, &[1.0, 1.0]);
    set(&mut cell.convs[0].narrow, &[1.0, 0.0, 0.0, 2.0]);
    set(&mut cell.mlps[0].widen, &[1.0, 1.0, 0.0, 1.0]);
    set(&mut cell.mlps[0].narrow, &[1.0, -1.0]);
    let pixel = |numbers: [f64; 2]| doubles(numbers.to_vec(), [1, 2, 1, 1], &device);
    let [newer, x] = cell.forward([pixel([1.0, 2.0]), pixel([1.0, 1.0])]);
    assert_eq!(numbers(newer), [1.0, 1.0]);
    // Running statistics 0 and 1 divide by √(1 + 1e-5), r below: once the inputs (4, 3), once each node.
    let r = (1.0f64 + 1e-5).sqrt().recip();
    let x0 = [4.0 * r, 3.0 * r];
    let product = x0[0] * x0[1];
    let x1 = [x0[0] + 0.75 * r * product, x0[1] + 0.75 * r * 2.0 * product];
    let gate = (x1[0] + x1[1]) * x1[1] * r;
    close(&numbers(x), &[x1[0] + 0.5 * gate, x1[1] - 0.5 * gate], 1e-12);
}

#[test]
fn the_next_cell_sees_the_newer_input_at_its_new_size() {
    let device = Device::flex();
    let net = golden(small(NormKind::Layer, &device));
    let [older, newer] = [0.3, 0.7].map(|scale| wave([1, 6, 5, 7], scale, &device));
    let [first, second] = net.cells[1].down.as_ref().expect("smaller pictures");
    let [kept, out] = net.cells[1].forward([older.clone(), newer.clone()]);
    assert_eq!(out.dims(), [1, 8, 3, 4]);
    assert_eq!(numbers(kept), numbers(second.forward(newer.clone())));
    assert_ne!(numbers(first.forward(newer.clone())), numbers(second.forward(newer)), "two of their own");
}

#[test]
fn gradients_are_those_of_differences() {
    let device = Device::flex().autodiff();
    for norm in BOTH {
        // Few pixels: where a pixel's channels are nearly equal, layer norm is so steep that differences are off.
        gradients(golden(small(norm, &device)), wave([1, 3, 3, 2], 0.9, &device) * 8.0, |net, x| net.forward(x));
    }
}

#[test]
fn saved_and_loaded_it_is_the_same() {
    let device = Device::flex();
    let x = wave([1, 3, 7, 5], 0.3, &device);
    for norm in BOTH {
        saves_and_loads(golden(small(norm, &device)), double(small(norm, &device)), |net| net.forward(x.clone()));
    }
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let config = PolyNextConfig::low_resolution(16, NormKind::Layer);
    let refusal = |config: PolyNextConfig| config.init(&Device::flex()).expect_err("refused").to_string();
    let odd = PolyNextConfig { nodes: 5, ..config.clone() };
    assert_eq!(refusal(odd), "PolyNeXt: nodes 5 is odd, and they come in pairs");
    let stages = vec![PolyStage { cells: 1, width: 4, conv: 4, mlp: 7 }];
    let odd = PolyNextConfig { stages, ..config.clone() };
    assert_eq!(refusal(odd), "PolyNeXt: mlp 7 is odd, and its halves are multiplied");
    assert_eq!(refusal(PolyNextConfig::low_resolution(0, NormKind::Layer)), "PolyNeXt: width is 0");
    assert_eq!(refusal(PolyNextConfig { classes: Some(0), ..config }), "PolyNeXt: classes is 0");
}
