//! An engine gives what the module gives that it was made of: every network, every instruction set, odd sizes of pictures
//! and batches; and the same bytes whatever the number of threads.
//!
//! How near they must be. Both sum n products in single precision in some order, so either is within γₙ = n ε / 2 of the
//! exact sum, relative to the sum of absolute values; errors of rounding are random, so about √n ε / 2. The longest sums
//! here have 25,088 terms, √n ε ≈ 2e-5, of a sum of absolute values that is some times the result; ε ≈ 6e-8 of earlier
//! layers passes on, its relative size not growing where norms and ReLU keep the sizes. 1e-4 of the largest number
//! leaves room for that and for nothing else: a border that is off by one pixel is off by 1e-2.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Distribution, Tensor};
use polyad_nn::backbone::alexnet::AlexNetConfig;
use polyad_nn::backbone::efficientnet::EfficientNetConfig;
use polyad_nn::backbone::resnet::ResNetConfig;
use polyad_nn::backbone::small::SmallNetConfig;
use polyad_nn::backbone::vgg::VggConfig;
use polyad_nn::engine::Engine;
use polyad_nn::hadamard::correlation::starnet::StarNetSize;
use polyad_simd::Level;

const TOLERANCE: f32 = 1e-4;

/// Gives every vector of parameters and statistics numbers of its own; fresh norms do nothing, and would hide one that is
/// not folded. Variances stay positive.
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

fn pictures(images: usize, height: usize, width: usize) -> Tensor<4> {
    Tensor::random([images, 3, height, width], Distribution::Normal(0.0, 1.0), &Device::flex())
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("single precision")
}

/// Compares on every level that the processor has, and says which it has not.
fn assert_same(name: &str, mut engine: Engine, module: impl Fn(Tensor<4>) -> Tensor<2>, sizes: &[[usize; 3]]) {
    for level in Level::ALL {
        if !level.is_present() {
            eprintln!("not run: this processor has no {level}");
            continue;
        }
        engine = engine.with_level(level);
        for &[images, height, width] in sizes {
            let x = pictures(images, height, width);
            let expected = numbers(module(x.clone()));
            let found = numbers(engine.forward(x).expect("the module takes these pictures"));
            assert_eq!(found.len(), expected.len());
            let largest = expected.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            assert!(largest > 0.0, "{name}: nothing to compare");
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert!(
                    (found - expected).abs() <= TOLERANCE * largest,
                    "{name} on {level}, {images} x {height} x {width}, number {index}: {found}, expected {expected}, \
                     largest {largest}"
                );
            }
        }
    }
}

#[test]
fn the_small_network() {
    let net = SmallNetConfig::default().init(&Device::flex()).expect("default sizes").map(&mut Unlike);
    let engine = Engine::from_small(&net).expect("an engine");
    assert_eq!(engine.features(), SmallNetConfig::FEATURES);
    assert_same("small", engine, |x| net.forward(x), &[[1, 96, 96], [12, 33, 50], [5, 7, 2], [3, 96, 24]]);
}

#[test]
fn residual_networks() {
    let (r18, r34, r50) = (ResNetConfig::resnet18(), ResNetConfig::resnet34(), ResNetConfig::resnet50());
    for (name, config) in [("resnet18", r18), ("resnet34", r34), ("resnet50", r50)] {
        let net = config.init(&Device::flex()).expect("published sizes").map(&mut Unlike);
        let engine = Engine::from_resnet(&net).expect("an engine");
        assert_eq!(engine.features(), config.features());
        assert_same(name, engine, |x| net.forward(x), &[[1, 64, 64], [3, 41, 70], [2, 9, 33]]);
    }
}

#[test]
fn alexnet() {
    // A width that fills no block.
    let net = AlexNetConfig { features: 100 }.init(&Device::flex()).expect("a width").map(&mut Unlike);
    let engine = Engine::from_alexnet(&net).expect("an engine");
    assert_eq!(engine.features(), 100);
    assert_same("alexnet", engine, |x| net.forward(x), &[[2, 63, 79], [1, 100, 96]]);
}

#[test]
fn vgg() {
    let net = VggConfig { features: 48 }.init(&Device::flex()).expect("a width").map(&mut Unlike);
    let engine = Engine::from_vgg(&net).expect("an engine");
    assert_same("vgg11", engine, |x| net.forward(x), &[[2, 32, 45], [1, 64, 33]]);
}

#[test]
fn efficientnet() {
    let net = EfficientNetConfig::lite0().init(&Device::flex()).expect("published sizes").map(&mut Unlike);
    let engine = Engine::from_efficientnet(&net).expect("an engine");
    assert_same("lite0", engine, |x| net.forward(x), &[[1, 96, 96], [3, 45, 38], [2, 1, 3]]);
}

#[test]
fn starnet() {
    // One whose widths fill their blocks, and one whose widths do not.
    for size in [StarNetSize::S050, StarNetSize::S100] {
        let net = size.config().init(&Device::flex().autodiff()).expect("published sizes").map(&mut Unlike);
        // Products of branches square what grows, and ReLU6 cuts a small part out of large sums, where rounding shows. So
        // the norms see some pictures first, as large as any that follow.
        for _ in 0..20 {
            net.forward(Tensor::from_inner(pictures(3, 96, 96)));
        }
        let net = net.valid();
        let engine = Engine::from_starnet(&net).expect("an engine");
        assert_eq!(engine.features(), size.config().features());
        assert_same(size.name(), engine, |x| net.forward(x), &[[1, 96, 96], [3, 45, 38], [2, 1, 3]]);
    }
}

/// Rounding to bfloat16 moves each factor by up to 2⁻⁹ of itself, at random, so a sum of like terms by about 2⁻⁹ √(2 / 3) of
/// its size; a layer hands that on, and `layers` of them add up like random steps. Weights drawn at random let terms cancel,
/// so that sums are smaller than their terms: the factor of four.
#[test]
fn bfloat16_errs_as_its_rounding_says() {
    let device = Device::flex();
    let small = SmallNetConfig::default().init(&device).expect("default sizes").map(&mut Unlike);
    let r18 = ResNetConfig::resnet18().init(&device).expect("published sizes").map(&mut Unlike);
    let lite = EfficientNetConfig::lite0().init(&device).expect("published sizes").map(&mut Unlike);
    let vgg = VggConfig { features: 48 }.init(&device).expect("a width").map(&mut Unlike);
    let x = pictures(3, 64, 72);
    let cases = [
        ("small", Engine::from_small(&small), numbers(small.forward(x.clone())), 7),
        ("resnet18", Engine::from_resnet(&r18), numbers(r18.forward(x.clone())), 18),
        ("lite0", Engine::from_efficientnet(&lite), numbers(lite.forward(x.clone())), 50),
        ("vgg11", Engine::from_vgg(&vgg), numbers(vgg.forward(x.clone())), 10),
    ];
    for (name, engine, expected, layers) in cases {
        let mut engine = engine.expect("an engine").with_bfloat16();
        for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
            engine = engine.with_level(level);
            let found = numbers(engine.forward(x.clone()).expect("pictures"));
            let length =
                |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let error =
                length(&mut found.iter().zip(&expected).map(|(a, b)| a - b)) / length(&mut expected.iter().copied());
            let most = 4.0 * f64::from(layers).sqrt() / 512.0;
            println!("{name} on {level}: {error:.4}, at most {most:.4}");
            assert!(error > 1e-5, "{name} on {level}: nothing was rounded");
            assert!(error <= most, "{name} on {level}: {error} of the length, at most {most}");
        }
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let device = Device::flex();
    let small = SmallNetConfig::default().init(&device).expect("default sizes").map(&mut Unlike);
    let lite = EfficientNetConfig::lite0().init(&device).expect("published sizes").map(&mut Unlike);
    let alexnet = AlexNetConfig { features: 32 }.init(&device).expect("a width");
    let engines = [
        Engine::from_small(&small).expect("an engine"),
        Engine::from_efficientnet(&lite).expect("an engine"),
        Engine::from_alexnet(&alexnet).expect("an engine"),
    ];
    for engine in engines {
        for images in [1, 2, 7] {
            let x: Vec<f32> = pictures(images, 65, 80).into_data().try_into_vec().expect("single precision");
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                pool.install(|| engine.run(&x, [images, 3, 65, 80])).expect("pictures")
            };
            let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let one = bits(on(1));
            assert_eq!(one, bits(on(2)), "{images} images on 2 threads");
            assert_eq!(one, bits(on(5)), "{images} images on 5 threads");
        }
    }
}

#[test]
fn pictures_that_cannot_be_are_refused() {
    let net = SmallNetConfig::default().init(&Device::flex()).expect("default sizes");
    let engine = Engine::from_small(&net).expect("an engine");
    for (count, shape) in [(11, [1, 3, 2, 2]), (4, [1, 1, 2, 2]), (0, [1, 3, 0, 5]), (12, [1, 3, usize::MAX, 2])] {
        assert!(engine.run(&vec![0.0; count], shape).is_err(), "{count} numbers as {shape:?}");
    }
    assert_eq!(engine.run(&[], [0, 3, 8, 8]).expect("no pictures"), Vec::<f32>::new());
    let net = AlexNetConfig { features: 8 }.init(&Device::flex()).expect("a width");
    let engine = Engine::from_alexnet(&net).expect("an engine");
    let error = engine.run(&vec![0.0; 3 * 20 * 30], [1, 3, 20, 30]).expect_err("the second pool has nothing left");
    assert!(error.to_string().contains("20 x 30"), "{error}");
}
