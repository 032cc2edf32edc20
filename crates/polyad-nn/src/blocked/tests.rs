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
const CASES: [[usize; 8]; 11] = [
    [2, 16, 16, 5, 7, 3, 1, 1],
    [3, 32, 48, 12, 12, 3, 1, 1],
    [2, 48, 32, 13, 9, 3, 2, 1],
    [1, 16, 64, 24, 24, 3, 2, 1],
    [2, 32, 32, 8, 6, 1, 2, 0],
    [2, 16, 32, 7, 15, 5, 2, 2],
    [1, 64, 16, 1, 1, 3, 1, 1],
    [1, 16, 16, 14, 28, 7, 3, 3],
    [17, 16, 32, 6, 6, 3, 1, 1],
    // Maps that are taken image by image.
    [2, 32, 48, 27, 30, 3, 2, 1],
    [1, 16, 32, 26, 25, 1, 2, 0],
];

type Draw = fn([usize; 4], &Device) -> Tensor<4>;

/// Padding as TensorFlow's "same" may have it.
const UNEVEN: [([usize; 7], Padding); 3] = [
    ([2, 16, 24, 8, 8, 3, 2], Padding { before: [0, 0], after: [1, 1] }),
    ([2, 40, 24, 9, 12, 5, 2], Padding { before: [2, 1], after: [2, 2] }),
    ([3, 24, 40, 7, 5, 1, 1], Padding::NONE),
];

/// How far output, input gradient and weight gradient are from Burn's own, on numbers that `draw` draws.
fn distances([n, c, o, h, w, k, stride]: [usize; 7], padding: Padding, draw: Draw, precision: Precision) -> [f32; 3] {
    let device = Device::flex().autodiff();
    let x = draw([n, c, h, w], &device);
    let weight = draw([o, c, k, k], &device);
    let composed = |x: Tensor<4>, weight| to_planar(composed_conv(x, weight, stride, padding, 1), o);
    let blocked = |x, weight| to_planar(conv2d(from_planar(x), weight, stride, padding, precision), o);
    let probe = draw(composed(x.clone(), weight.clone()).dims(), &device);
    compare([x, weight], probe, blocked, composed)
}

/// How far a function of two tensors and its gradients are from another's, along `probe`.
fn compare(
    [x, weight]: [Tensor<4>; 2],
    probe: Tensor<4>,
    ours: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>,
    other: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>,
) -> [f32; 3] {
    let run = |f: &dyn Fn(Tensor<4>, Tensor<4>) -> Tensor<4>| {
        let (x, weight) = (x.clone().detach().require_grad(), weight.clone().detach().require_grad());
        let output = f(x.clone(), weight.clone());
        let grads = (output.clone() * probe.clone()).sum().backward();
        (output.inner(), x.grad(&grads).expect("tracked"), weight.grad(&grads))
    };
    let ((y, dx, dw), (expected, expected_x, expected_w)) = (run(&ours), run(&other));
    let for_weight = dw.zip(expected_w).map_or(0.0, |(got, expected)| distance(got, expected));
    [distance(y, expected), distance(dx, expected_x), for_weight]
}

fn even([n, c, o, h, w, k, stride, padding]: [usize; 8]) -> ([usize; 7], Padding) {
    ([n, c, o, h, w, k, stride], Padding::even(padding))
}

#[test]
fn convolutions_and_their_gradients_equal_burns_own() {
    for (case, padding) in CASES.map(even).into_iter().chain(UNEVEN) {
        let [n, c, o, h, w, k, _] = case;
        let found = distances(case, padding, random, Precision::Single);
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
    for (case, padding) in CASES.map(even).into_iter().chain(UNEVEN) {
        assert_eq!(distances(case, padding, whole, Precision::Bfloat16), [0.0; 3], "{case:?}");
    }
}

#[test]
fn a_stem_takes_pictures_and_gives_their_gradient() {
    let device = Device::flex().autodiff();
    let uneven = Padding { before: [0, 1], after: [1, 1] };
    let cases = [(3, 11, 3, 2, Padding::even(1)), (1, 8, 3, 1, Padding::even(1)), (16, 5, 5, 1, Padding::even(2))];
    for (c, s, k, stride, padding) in cases.into_iter().chain([(3, 12, 3, 2, uneven), (3, 23, 7, 2, Padding::even(3))])
    {
        let [x, weight] = [random([2, c, s, s + 1], &device), random([32, c, k, k], &device)];
        let composed = |x, weight| to_planar(composed_conv(x, weight, stride, padding, 1), 32);
        let probe = random(composed(x.clone(), weight.clone()).dims(), &device);
        let ours = |x, weight| to_planar(stem(x, weight, stride, padding), 32);
        let found = compare([x, weight], probe, ours, composed);
        let limits = [c * k * k, 32 * k * k, 2 * s * s].map(tolerance);
        assert!(found.iter().zip(limits).all(|(found, limit)| *found < limit), "{c} channels: {found:?} {limits:?}");
    }
}

#[test]
fn depthwise_convolutions_and_their_gradients_equal_burns_own() {
    let device = Device::flex().autodiff();
    let uneven = |a, b| Padding { before: [a; 2], after: [b; 2] };
    let cases = [
        ([2, 16, 9, 7], 3, 1, Padding::even(1)),
        ([3, 40, 8, 12], 3, 2, uneven(0, 1)),
        ([2, 24, 13, 11], 5, 2, Padding::even(2)),
        ([2, 24, 14, 6], 5, 2, uneven(1, 2)),
        ([1, 32, 5, 5], 5, 1, Padding::even(2)),
        ([17, 16, 8, 9], 7, 1, Padding::even(3)),
        ([1, 16, 4, 3], 3, 2, Padding::NONE),
        ([2, 16, 9, 9], 6, 1, uneven(2, 3)),
    ];
    for ([n, c, h, w], k, stride, padding) in cases {
        let [x, weight] = [random([n, c, h, w], &device), random([c, 1, k, k], &device)];
        let composed = |x, weight| to_planar(composed_conv(x, weight, stride, padding, c), c);
        let probe = random(composed(x.clone(), weight.clone()).dims(), &device);
        let ours = |x, weight| to_planar(depthwise(from_planar(x), weight, stride, padding), c);
        let found = compare([x, weight], probe, ours, composed);
        let limits = [k * k, k * k, n * h * w].map(tolerance);
        let case = format!("{c} channels, {h} x {w}, kernel {k}, stride {stride}");
        assert!(found.iter().zip(limits).all(|(found, limit)| *found < limit), "{case}: {found:?} {limits:?}");
    }
}

#[test]
fn the_greatest_of_a_window_and_its_gradient_equal_burns_own() {
    let device = Device::flex().autodiff();
    for ([h, w], k, stride, padding) in [([12, 9], 3, 2, 1), ([8, 6], 2, 2, 0), ([13, 7], 3, 2, 0), ([5, 5], 5, 1, 2)] {
        // Whole numbers: many are equal, and their sums are exact.
        let x = whole([2, 32, h, w], &device);
        let pool = |x: Tensor<4>, _| to_planar(max_pool(from_planar(x), k, stride, padding), 32);
        let options = burn::tensor::ops::MaxPoolOptions::new([k; 2]).with_stride([stride; 2]);
        let options = options.with_padding_pairs([(padding, padding); 2]);
        let burns = |x: Tensor<4>, _| module::max_pool2d(x, options.clone());
        let probe = whole(burns(x.clone(), x.clone()).dims(), &device);
        assert_eq!(compare([x.clone(), x], probe, pool, burns), [0.0; 3], "{h} x {w}, kernel {k}");
    }
}

#[test]
fn normalisation_and_its_gradients_equal_burns_own() {
    let device = Device::flex().autodiff();
    let cases = [(Cut::RELU, true), (Cut::RELU, false), (Cut::NONE, true), (Cut::NONE, false), (Cut::RELU6, true)];
    for ((cut, with_residual), channels) in cases.into_iter().zip([32, 32, 32, 24, 24]) {
        let shape = [3, 2, 5, 7, LANES];
        // Channels that only fill a block are zero.
        let random = |shape: [usize; 5], device: &Device| from_planar(to_planar(random(shape, device), channels));
        let gamma = super::tests::random([channels], &device);
        let beta = super::tests::random([channels], &device);
        let x = from_planar(to_planar(random(shape, &device) * 2.0 + 0.7, channels)).require_grad();
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
            let y = f(&layer, x.clone(), residual.clone(), cut);
            let grads = (y.clone() * probe.clone()).sum().backward();
            let dr = residual.map(|r| r.grad(&grads).expect("tracked"));
            let evaluated = f(&layer.valid(), x.clone().inner(), None, cut);
            let parameters = [&layer.gamma, &layer.beta].map(|p| p.val().grad(&grads).expect("tracked"));
            (y.inner(), x.grad(&grads).expect("tracked"), dr, parameters, evaluated, layer.running_mean.value_sync())
        };
        let (got, expected) = (run(true), run(false));
        // Gradients of the input are differences of sums over the channel's 105 values.
        let limit = tolerance(105 * 16);
        let case = format!("{cut:?}, residual {with_residual}, {channels} channels");
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

/// `Σ probe · y`, added up in double precision.
fn along(probe: &Tensor<5>, y: &Tensor<5>) -> f64 {
    let products: Vec<f32> = (probe.clone().inner() * y.clone().inner()).into_data().try_into_vec().expect("numbers");
    products.into_iter().map(f64::from).sum()
}

/// The gradients' product with a random direction against the difference of values a step of `h` to either side. Both are
/// sums of many numbers of single precision, whose roundings are `noise` of the largest; `bend` is what the third derivative
/// adds, 0 where the function is linear in each of its tensors.
fn assert_slope(
    what: &str,
    tensors: [Tensor<4>; 2],
    [h, bend]: [f64; 2],
    function: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<5>,
) {
    let device = tensors[0].device();
    let probe = random(function(tensors[0].clone(), tensors[1].clone()).dims(), &device);
    let tracked = tensors.clone().map(|t| t.detach().require_grad());
    let y = function(tracked[0].clone(), tracked[1].clone());
    let size = along(&probe.clone().abs(), &y.clone().abs());
    let grads = (y * probe.clone()).sum().backward();
    for index in 0..2 {
        let direction = random(tensors[index].dims(), &device);
        let at = |step: f64| {
            let mut moved = tensors.clone();
            moved[index] = moved[index].clone() + direction.clone() * step;
            let [a, b] = moved;
            along(&probe, &function(a, b))
        };
        let difference = (at(h) - at(-h)) / (2.0 * h);
        let Some(gradient) = tracked[index].grad(&grads) else { panic!("{what}: tensor {index} has no gradient") };
        let slopes: Vec<f32> = (gradient * direction.clone().inner()).into_data().try_into_vec().expect("numbers");
        let slope: f64 = slopes.into_iter().map(f64::from).sum();
        let most = size * f64::from(f32::EPSILON) * 8.0 / h + bend * slope.abs().max(size.sqrt());
        assert!((slope - difference).abs() <= most, "{what}, tensor {index}: {slope} but {difference}, within {most}");
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let device = Device::flex().autodiff();
    let uneven = Padding { before: [0, 1], after: [1, 1] };
    let r = |shape| random(shape, &device);
    for (size, stride) in [(9, 1), (9, 2), (26, 1), (27, 2)] {
        let tensors = [r([2, 24, size, size + 2]), r([40, 24, 3, 3])];
        assert_slope("convolution", tensors, [0.5, 0.0], |x, w| {
            conv2d(from_planar(x), w, stride, uneven, Precision::Single)
        });
        let tensors = [r([2, 3, size, size + 2]), r([40, 3, 3, 3])];
        assert_slope("stem", tensors, [0.5, 0.0], |x, w| stem(x, w, stride, uneven));
        let tensors = [r([2, 24, size, size + 2]), r([24, 1, 5, 5])];
        assert_slope("depthwise", tensors, [0.5, 0.0], |x, w| depthwise(from_planar(x), w, stride, Padding::even(2)));
    }
    // Without a cut, which bends where it begins; the second tensor is the residual.
    let layer = BatchNormConfig::new(24).init(&device).expect("channels");
    let tensors = [r([3, 24, 5, 7]), r([3, 24, 5, 7])];
    assert_slope("norm", tensors, [0.02, 1e-3], |x, y| norm(&layer, from_planar(x), Some(from_planar(y)), Cut::NONE));
}

#[test]
fn the_same_bits_come_from_any_number_of_threads() {
    // Maps that are taken image by image, and all images at once.
    for (height, width) in [(27, 28), (9, 6)] {
        same_bits(height, width);
    }
}

fn same_bits(height: usize, width: usize) {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let g = convolution::Geometry {
            images: 37,
            inputs: 16,
            outputs: 32,
            height,
            width,
            kernel: 3,
            stride: 2,
            padding: Padding::even(1),
            planar: false,
        };
        let x: Vec<f32> = (0..37 * 16 * height * width).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 1.0).collect();
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
