//! The kernels give what the composed definitions give, values and gradients, at odd sizes and on every level.

use super::*;
use crate::norm::BatchNormConfig;
use burn::module::{Module, Param};
use burn::tensor::Device;
use burn::tensor::Distribution;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// The largest difference, relative to the largest value of `b`.
fn distance<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let scale = b.clone().abs().max().into_scalar::<f32>().max(1e-20);
    (a - b).abs().max().into_scalar::<f32>() / scale
}

/// Products are summed in another order: `√terms` roundings, with a margin of ten.
fn tolerance(terms: usize) -> f32 {
    10.0 * f32::EPSILON * (terms as f32).sqrt()
}

/// `[images, in, out, height, width, kernel, stride, padding]`
const CASES: [[usize; 8]; 9] = [
    [2, 16, 16, 5, 7, 3, 1, 1],
    [3, 32, 48, 12, 12, 3, 1, 1],
    [2, 48, 32, 13, 9, 3, 2, 1],
    [1, 16, 64, 24, 24, 3, 2, 1],
    [2, 32, 32, 8, 6, 1, 2, 0],
    [2, 16, 32, 7, 15, 5, 2, 2],
    [1, 64, 16, 1, 1, 3, 1, 1],
    [1, 16, 16, 14, 28, 7, 3, 3],
    [17, 16, 32, 6, 6, 3, 1, 1],
];

type Draw = fn([usize; 4], &Device) -> Tensor<4>;

/// How far output, input gradient and weight gradient are from Burn's own, on numbers that `draw` draws.
fn distances([n, c, o, h, w, k, stride, padding]: [usize; 8], draw: Draw, precision: Precision) -> [f32; 3] {
    let device = Device::flex().autodiff();
    let x = draw([n, c, h, w], &device).require_grad();
    let weight = draw([o, c, k, k], &device).require_grad();
    let expected = module::conv2d(x.clone(), weight.clone(), None, options(stride, padding));
    let probe = draw(expected.dims(), &device);
    let grads = (expected.clone() * probe.clone()).sum().backward();
    let (dx, dw) = (x.grad(&grads).expect("tracked"), weight.grad(&grads).expect("tracked"));

    let (x, weight) = (x.detach().require_grad(), weight.detach().require_grad());
    let output = to_planar(conv2d(from_planar(x.clone()), weight.clone(), stride, padding, precision));
    let grads = (output.clone() * probe).sum().backward();
    let (got_x, got_w) = (x.grad(&grads).expect("tracked"), weight.grad(&grads).expect("tracked"));
    [distance(output.inner(), expected.inner()), distance(got_x, dx), distance(got_w, dw)]
}

#[test]
fn convolutions_and_their_gradients_equal_burns_own() {
    for case in CASES {
        let [n, c, o, h, w, k, ..] = case;
        let found = distances(case, random, Precision::Single);
        let limits = [c * k * k, o * k * k, n * h * w].map(tolerance);
        assert!(found.iter().zip(limits).all(|(found, limit)| *found < limit), "{case:?}: {found:?} {limits:?}");
    }
}

/// Whole numbers small enough that bfloat16 has them and single precision their sums.
fn whole(shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::random(shape, Distribution::Uniform(-8.0, 8.0), device).round()
}

#[test]
fn tiles_add_what_is_exact_in_bfloat16_exactly() {
    for case in CASES {
        assert_eq!(distances(case, whole, Precision::Bfloat16), [0.0; 3], "{case:?}");
    }
}

#[test]
fn a_stem_takes_pictures_and_gives_their_gradient() {
    let device = Device::flex().autodiff();
    for (c, s, k, stride) in [(3, 11, 3, 2), (1, 8, 3, 1), (16, 5, 5, 1)] {
        let x = random([2, c, s, s + 1], &device).require_grad();
        let weight = random([32, c, k, k], &device).require_grad();
        let expected = module::conv2d(x.clone(), weight.clone(), None, options(stride, k / 2));
        let probe = random(expected.dims(), &device);
        let grads = (expected.clone() * probe.clone()).sum().backward();
        let (dx, dw) = (x.grad(&grads).expect("tracked"), weight.grad(&grads).expect("tracked"));

        let (x, weight) = (x.detach().require_grad(), weight.detach().require_grad());
        let output = to_planar(stem(x.clone(), weight.clone(), stride, k / 2));
        assert!(distance(output.clone().inner(), expected.inner()) < tolerance(c * k * k), "{c} channels: output");
        let grads = (output * probe).sum().backward();
        assert!(distance(x.grad(&grads).expect("tracked"), dx) < tolerance(32 * k * k), "{c} channels: input gradient");
        assert!(distance(weight.grad(&grads).expect("tracked"), dw) < tolerance(2 * s * s), "{c} channels: weights");
    }
}

#[test]
fn normalisation_and_its_gradients_equal_burns_own() {
    let device = Device::flex().autodiff();
    for (relu, with_residual) in [(true, true), (true, false), (false, true), (false, false)] {
        let shape = [3, 2, 5, 7, LANES];
        let channels = shape[1] * LANES;
        let gamma = random([channels], &device);
        let beta = random([channels], &device);
        let x = (random(shape, &device) * 2.0 + 0.7).require_grad();
        let residual = with_residual.then(|| random(shape, &device).require_grad());
        let probe = random(shape, &device);
        let run = |kernels: bool| {
            // Made anew: clones of a layer share its running statistics.
            let mut layer = BatchNormConfig::new(channels).init(&device).expect("channels");
            layer.gamma = Param::from_tensor(gamma.clone().detach()).set_require_grad(true);
            layer.beta = Param::from_tensor(beta.clone().detach()).set_require_grad(true);
            let x = x.clone().detach().require_grad();
            let residual = residual.clone().map(|r| r.detach().require_grad());
            let f = if kernels { norm } else { composed_norm };
            let y = f(&layer, x.clone(), residual.clone(), relu);
            let grads = (y.clone() * probe.clone()).sum().backward();
            let dr = residual.map(|r| r.grad(&grads).expect("tracked"));
            let evaluated = f(&layer.valid(), x.clone().inner(), None, relu);
            let parameters = [&layer.gamma, &layer.beta].map(|p| p.val().grad(&grads).expect("tracked"));
            (y.inner(), x.grad(&grads).expect("tracked"), dr, parameters, evaluated, layer.running_mean.value_sync())
        };
        let (got, expected) = (run(true), run(false));
        // Gradients of the input are differences of sums over the channel's 105 values.
        let limit = tolerance(105 * 16);
        let case = format!("relu {relu}, residual {with_residual}");
        assert!(distance(got.0, expected.0) < limit, "{case}: output");
        assert!(distance(got.1, expected.1) < limit, "{case}: input gradient");
        if let (Some(got), Some(expected)) = (got.2, expected.2) {
            assert!(distance(got, expected) < limit, "{case}: residual gradient");
        }
        for (got, expected) in got.3.into_iter().zip(expected.3) {
            assert!(distance(got, expected) < limit, "{case}: parameter gradient");
        }
        assert!(distance(got.5.inner(), expected.5.inner()) < limit, "{case}: running mean");
        assert!(distance(got.4, expected.4) < limit, "{case}: evaluation");
    }
}

#[test]
fn the_same_bits_come_from_any_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let g = convolution::Geometry {
            images: 37,
            inputs: 16,
            outputs: 32,
            height: 9,
            width: 6,
            kernel: 3,
            stride: 2,
            padding: 1,
            planar: false,
        };
        let x: Vec<f32> = (0..37 * 16 * 54).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 1.0).collect();
        let w: Vec<f32> = (0..32 * 16 * 9).map(|i| ((i * 104_729) % 997) as f32 / 500.0 - 1.0).collect();
        pool.install(|| {
            let y = convolution::forward(&g, &x, &w);
            let dw = convolution::weight_gradient(&g, &x, &y);
            let dx = convolution::input_gradient(&g, &w, &y);
            let y_tiles = tiles::forward(&g, &x, &w);
            let dw_tiles = tiles::weight_gradient(&g, &x, &y);
            let dx_tiles = tiles::input_gradient(&g, &w, &y);
            let extent = super::norm::Extent { images: 37, blocks: 2, pixels: g.out_height() * g.out_width() };
            let (mean, variance) = super::norm::statistics(&extent, &y);
            [y, dw, dx, y_tiles, dw_tiles, dx_tiles, mean, variance]
                .concat()
                .iter()
                .map(|v| v.to_bits())
                .collect::<Vec<u32>>()
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}
