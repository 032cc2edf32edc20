//! Of networks that fill holes: what they see, what they leave alone, and their gradients.

use super::*;
use crate::hadamard::check::{close, golden, numbers, parameters, saves_and_loads, single, wave};
use burn::module::{ModuleMapper, ParamId};
use burn::tensor::DType;

const KINDS: [HoleKind; 2] = [HoleKind::Gated, HoleKind::Partial];

fn small(kind: HoleKind, device: &Device) -> Inpainting {
    InpaintingConfig { widths: vec![16, 32], blocks: 1, kind }.init(device).expect("sizes")
}

/// The last convolution is zero at first, and biases are: with others, every part shows.
struct Unlike;

impl ModuleMapper for Unlike {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, x, mapper): (ParamId, _, _) = param.consume();
        let moved = x.clone() + wave(x.dims(), 0.7, &x.device()).cast(DType::F32).mul_scalar(0.1);
        Param::from_mapped_value(id, moved, mapper)
    }
}

/// A picture and a mask: a square hole, and one pixel at the edge.
fn case(height: usize, width: usize, device: &Device) -> (Tensor<4>, Tensor<4>) {
    let picture = wave([2, 3, height, width], 0.13, device).cast(DType::F32).mul_scalar(0.5);
    let holes: Vec<f32> = (0..2 * height * width)
        .map(|at| (at % (height * width), at % width))
        .map(|(at, x)| f32::from(u8::from(at == 0 || ((2..7).contains(&x) && (2..6).contains(&(at / width))))))
        .collect();
    (picture, Tensor::<1>::from_floats(&holes[..], device).reshape([2, 1, height, width]))
}

#[test]
fn at_first_the_fill_comes_back_and_known_pixels_always_do() {
    let device = Device::flex();
    for kind in KINDS {
        for (height, width) in [(9, 13), (16, 8), (1, 1)] {
            let (picture, mask) = case(height, width, &device);
            let net = small(kind, &device);
            assert_eq!(numbers(net.forward(picture.clone(), mask.clone())), numbers(picture.clone()));
            let out = net.map(&mut Unlike).forward(picture.clone(), mask.clone());
            let changed = numbers(out.clone()) != numbers(picture.clone());
            assert!(changed, "{kind:?} of {height} x {width} does nothing");
            let known = |x: Tensor<4>| numbers(x * (mask.clone().neg().add_scalar(1.0)));
            assert_eq!(known(out), known(picture), "{kind:?}");
        }
    }
}

#[test]
fn partial_convolutions_do_not_see_what_a_hole_holds() {
    let device = Device::flex();
    // The hole's cells of two by two pixels that also hold known ones are missing as a whole.
    let (picture, _) = case(16, 16, &device);
    let holes: Vec<f32> =
        (0..256).map(|at| f32::from(u8::from((4..12).contains(&(at % 16)) && (4..12).contains(&(at / 16))))).collect();
    let mask = Tensor::<1>::from_floats(&holes[..], &device).reshape([1, 1, 16, 16]).repeat_dim(0, 2);
    let mut net = small(HoleKind::Partial, &device).map(&mut Unlike);
    let lacks =
        |net: &Inpainting, picture: &Tensor<4>| numbers(net.forward(picture.clone(), mask.clone()) - picture.clone());
    let other = picture.clone() + mask.clone().mul_scalar(7.0);
    assert!(lacks(&net, &picture) != lacks(&net, &other), "the fill is held beside what they say");
    let beside = &mut net.beside.as_mut().expect("partial").weight;
    *beside = Param::from_tensor(beside.val().zeros_like());
    // The sum of fill and what it lacks is rounded: 7 in single precision is off by 2^-22.
    close(&lacks(&net, &picture), &lacks(&net, &other), 1e-6);
    let gated = small(HoleKind::Gated, &device).map(&mut Unlike);
    let (picture, _) = case(16, 16, &device);
    let other = picture.clone() + mask.clone().mul_scalar(7.0);
    let lacks = |picture: Tensor<4>| numbers(gated.forward(picture.clone(), mask.clone()) - picture);
    assert!(lacks(picture) != lacks(other), "gates see everything");
}

#[test]
fn halves_and_doubles_undo_each_other() {
    let x = wave([2, 3, 6, 4], 0.2, &Device::flex());
    assert_eq!(numbers(doubled(halved(x.clone()))), numbers(x));
}

#[test]
fn gradients_follow_differences() {
    // In single precision, so along the gradient, where the slope is greatest: rounding of the loss over the step,
    // some 1e-4, and the third derivative stay below a hundredth of it.
    let device = Device::flex().autodiff();
    for kind in KINDS {
        let net = single(golden(small(kind, &device)));
        let (picture, mask) = case(8, 8, &device);
        let loss = |net: &Inpainting| {
            let out = net.forward(picture.clone(), mask.clone());
            (out.clone() * wave(out.dims(), 0.31, &device).cast(DType::F32)).sum()
        };
        let grads = loss(&net).backward();
        for (name, param) in [("first", &net.first.conv.weight), ("last", &net.last.weight)] {
            let gradient = param.val().grad(&grads).expect("takes part");
            let slope = numbers(gradient.clone().powf_scalar(2.0).sum().sqrt())[0];
            let along = gradient.div_scalar(slope);
            let moved = |step: f32| {
                let mut net = net.clone();
                let target = if name == "first" { &mut net.first.conv.weight } else { &mut net.last.weight };
                let value = target.val().inner() + along.clone().mul_scalar(step);
                *target = Param::from_tensor(Tensor::from_inner(value));
                numbers(loss(&net))[0]
            };
            let difference = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!(
                (slope - difference).abs() <= 0.02 * slope.abs().max(1.0),
                "{kind:?} {name}: {slope}, {difference}"
            );
        }
    }
}

#[test]
fn the_audit_counts_what_is_there() {
    for kind in KINDS {
        let net = InpaintingConfig { kind, ..InpaintingConfig::default() }.init(&Device::flex()).expect("default");
        let mut trace = Trace::new();
        let (picture, mask) = (trace.input(&[3, 96, 96]), trace.constant("mask", 0, &[1, 96, 96]));
        let output = net.describe(&mut trace, &picture, &mask);
        assert_eq!(output.shape(), [3, 96, 96]);
        assert_eq!(trace.audit(&output).parameters, parameters(&net), "{kind:?}");
    }
}

#[test]
fn saved_and_loaded_it_is_the_same() {
    let device = Device::flex();
    let (picture, mask) = case(12, 12, &device);
    for kind in KINDS {
        let make = || small(kind, &device);
        saves_and_loads(make().map(&mut Unlike), make(), |net| net.forward(picture.clone(), mask.clone()));
    }
}

#[test]
fn widths_that_cannot_be_are_refused() {
    let make =
        |widths: &[usize]| InpaintingConfig { widths: widths.to_vec(), ..Default::default() }.init(&Device::flex());
    assert!(make(&[]).is_err());
    let error = make(&[32, 40]).expect_err("no multiple of 16").to_string();
    assert_eq!(error, "inpainting: width 40 is not a positive multiple of 16");
}
