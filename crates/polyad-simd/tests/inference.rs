//! Kernels for inference against their definitions in double precision, on every level, at sizes that fill tiles and that do
//! not, in buffers that end with the last number that is used.

use polyad_simd::bfloat16::round;
use polyad_simd::conv::{Combine, Cut, Depthwise, Direct, Map, Pool, Pooling, Second, Window};
use polyad_simd::{LANES, Level};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 7 + seed) * 37 % 211) as f32 / 105.0 - 1.0).collect()
}

/// Numbers for a map, its border zero.
fn filled(map: &Map, seed: usize) -> Vec<f32> {
    let mut filled = numbers(map.len(), seed);
    map.clear_border(&mut filled);
    filled
}

/// Where a lane of a pixel is, border counted from the image's corner.
fn place(map: &Map, [image, block, lane]: [usize; 3], [y, x]: [usize; 2]) -> usize {
    let plane = (image * map.blocks + block) * (map.height + 2 * map.border);
    ((plane + y + map.border) * (map.width + 2 * map.border) + x + map.border) * map.lanes + lane
}

/// Every lane of every pixel.
fn each(map: &Map, mut visit: impl FnMut([usize; 3], [usize; 2])) {
    for image in 0..map.images {
        for (block, lane) in (0..map.blocks).flat_map(|block| (0..map.lanes).map(move |lane| (block, lane))) {
            for (y, x) in (0..map.height).flat_map(|y| (0..map.width).map(move |x| (y, x))) {
                visit([image, block, lane], [y, x]);
            }
        }
    }
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| {
        if !level.is_present() {
            eprintln!("not run: this processor has no {level}");
        }
        level.is_present()
    })
}

struct Case {
    from: Map,
    window: Window,
    /// Blocks, height, width, border of the output.
    to: [usize; 4],
    second: Option<Combine>,
    cut: Cut,
}

fn map(images: usize, blocks: usize, [height, width]: [usize; 2], border: usize, lanes: usize) -> Map {
    Map { images, blocks, height, width, border, lanes }
}

fn window(kernel: [usize; 2], stride: usize, before: [usize; 2]) -> Window {
    Window { kernel, stride, before }
}

fn cases() -> Vec<Case> {
    let (add, times) = (Some(Combine::Add), Some(Combine::Multiply));
    let case = |from, window, to, second, cut| Case { from, window, to, second, cut };
    vec![
        // Tiles of 14 and of 12 that fill rows; two blocks, and one left over.
        case(map(1, 1, [3, 28], 1, 16), window([3, 3], 1, [1, 1]), [2, 3, 28, 0], None, Cut::RELU),
        case(map(2, 2, [2, 24], 1, 16), window([3, 3], 1, [1, 1]), [3, 2, 24, 1], add, Cut::RELU),
        // Small maps: tiles go on from image to image.
        case(map(7, 1, [3, 3], 1, 16), window([3, 3], 1, [1, 1]), [2, 3, 3, 1], add, Cut::NONE),
        case(map(5, 2, [1, 1], 1, 16), window([3, 3], 1, [1, 1]), [1, 1, 1, 0], times, Cut::RELU6),
        // Stride 2 and "same" padding, which begins later than it ends.
        case(map(1, 1, [8, 28], 1, 16), window([3, 3], 2, [0, 0]), [2, 4, 14, 1], None, Cut::RELU6),
        case(map(2, 1, [7, 9], 2, 16), window([5, 5], 2, [2, 2]), [1, 4, 5, 2], times, Cut::NONE),
        // Panel products.
        case(map(3, 3, [5, 5], 1, 16), window([1, 1], 1, [0, 0]), [4, 5, 5, 0], add, Cut::RELU),
        case(map(1, 2, [6, 10], 0, 16), window([1, 1], 2, [0, 0]), [2, 3, 5, 1], None, Cut::NONE),
        // Stems: pictures of three channels and of one.
        case(map(2, 1, [23, 30], 3, 3), window([7, 7], 2, [3, 3]), [2, 12, 15, 1], None, Cut::RELU),
        case(map(1, 1, [11, 12], 2, 3), window([11, 11], 4, [2, 2]), [1, 2, 2, 0], None, Cut::RELU),
        case(map(1, 1, [4, 5], 1, 1), window([3, 3], 1, [1, 1]), [1, 4, 5, 0], None, Cut::NONE),
        // A linear layer, for one image and for more than a tile.
        case(map(1, 2, [3, 3], 0, 16), window([3, 3], 1, [0, 0]), [5, 1, 1, 0], None, Cut::RELU),
        case(map(17, 1, [2, 3], 0, 16), window([2, 3], 1, [0, 0]), [3, 1, 1, 0], None, Cut::RELU),
    ]
}

#[test]
fn direct_convolutions_agree_with_double_precision() {
    direct_agrees(
        |x| x,
        |job, output, pieces, level| {
            job.pieces(output, pieces).into_iter().for_each(|piece| piece.run(level));
        },
    );
}

#[test]
fn direct_convolutions_of_bfloat16_agree_with_double_precision() {
    // 210 steps of a 128th: bfloat16 has all of them, and single precision their products.
    let exact = |x: f32| (x * 105.0).round() / 128.0;
    let halves = |level: Level, numbers: &[f32]| {
        let mut padded = numbers.to_vec();
        padded.resize(numbers.len().next_multiple_of(LANES), 0.0);
        let mut halves = vec![0; padded.len()];
        round(level, &padded, &mut halves);
        halves.truncate(numbers.len());
        halves
    };
    direct_agrees(exact, |job, output, pieces, level| {
        let Direct { from, window, bias, second, cut, to, .. } = job;
        let rows = halves(level, job.weights);
        let rows = rows.chunks_exact(2 * LANES);
        let weights: Vec<u16> =
            rows.flat_map(|rows| (0..LANES).flat_map(|lane| [rows[lane], rows[LANES + lane]])).collect();
        let input = halves(level, job.input);
        let job = Direct { input: &input[..], from, window, weights: &weights, bias, second, cut, to };
        if from.lanes.is_multiple_of(2) {
            job.pieces(output, pieces).into_iter().for_each(|piece| piece.run(level));
        } else {
            assert!(catch_unwind(AssertUnwindSafe(|| job.pieces(output, pieces).len())).is_err(), "no pairs");
        }
    });
}

/// Compares what `run` computes with double precision. Factors are of the kind that `kind` makes of any number; lanes that
/// are not even are left out where the output stays as it was.
fn direct_agrees(kind: impl Fn(f32) -> f32, run: impl Fn(Direct<'_>, &mut [f32], usize, Level)) {
    for (index, Case { from, window, to, second, cut }) in cases().into_iter().enumerate() {
        let to = map(from.images, to[0], [to[1], to[2]], to[3], LANES);
        let other = map(from.images, to.blocks, [to.height, to.width], 2, LANES);
        let [rows, columns] = window.kernel;
        let depth = from.blocks * rows * columns * from.lanes;
        let input: Vec<f32> = filled(&from, 1).into_iter().map(&kind).collect();
        let weights: Vec<f32> = numbers(to.blocks * depth * LANES, 2).into_iter().map(&kind).collect();
        let (bias, seconds) = (numbers(to.blocks * LANES, 3), numbers(other.len(), 4));
        for (level, pieces) in levels().flat_map(|level| [1, 3].map(|pieces| (level, pieces))) {
            let mut output = vec![f32::NAN; to.len()];
            to.clear_border(&mut output);
            let second = second.map(|how| Second { numbers: &seconds, map: other, how });
            let (weights, bias) = (&weights[..], &bias[..]);
            let job = Direct { input: &input, from, window, weights, bias, second, cut, to };
            run(job, &mut output, pieces, level);
            if !from.lanes.is_multiple_of(2) && output.iter().any(|x| x.is_nan()) {
                continue;
            }
            each(&to, |channel @ [image, block, lane], at @ [y, x]| {
                let mut sum = f64::from(bias[block * LANES + lane]);
                let mut mass = sum.abs();
                for term in 0..depth {
                    let (of_block, tap) = (term / (rows * columns * from.lanes), term / from.lanes % (rows * columns));
                    let pixel = [y * window.stride + tap / columns, x * window.stride + tap % columns];
                    let inside =
                        |axis: usize, size| (pixel[axis]).checked_sub(window.before[axis]).filter(|p| *p < size);
                    if let (Some(y), Some(x)) = (inside(0, from.height), inside(1, from.width)) {
                        let input = input[place(&from, [image, of_block, term % from.lanes], [y, x])];
                        let product = f64::from(input) * f64::from(weights[(block * depth + term) * LANES + lane]);
                        (sum, mass) = (sum + product, mass + product.abs());
                    }
                }
                let operand = f64::from(seconds[place(&other, channel, at)]);
                let (expected, mass) = match second.map(|second| second.how) {
                    Some(Combine::Add) => (sum + operand, mass + operand.abs()),
                    Some(Combine::Multiply) => (sum * operand, mass * operand.abs()),
                    None => (sum, mass),
                };
                let expected = expected.max(f64::from(cut.low)).min(f64::from(cut.high));
                let most = (depth + 3) as f64 * mass * f64::from(f32::EPSILON) / 2.0;
                let found = output[place(&to, channel, at)];
                assert!(
                    (f64::from(found) - expected).abs() <= most,
                    "case {index} on {level} in {pieces}: {found} at {channel:?} {at:?}, expected {expected}"
                );
            });
        }
    }
}

#[test]
fn depthwise_convolutions_agree_with_double_precision() {
    for (size, kernel, stride, before, out, border, second) in [
        ([5, 19], 3, 1, 1, [5, 19], 1, None),
        ([6, 6], 5, 2, 1, [3, 3], 2, Some(Combine::Add)),
        ([9, 11], 7, 1, 3, [9, 11], 3, Some(Combine::Add)),
        ([1, 1], 5, 1, 2, [1, 1], 2, Some(Combine::Multiply)),
        ([4, 7], 1, 1, 0, [4, 7], 0, None),
    ] {
        let other = map(2, 3, out, 2, LANES);
        let seconds = numbers(other.len(), 4);
        let (from, to) = (map(2, 3, size, border, LANES), map(2, 3, out, 1, LANES));
        let window = window([kernel, kernel], stride, [before, before]);
        let taps = kernel * kernel;
        let (input, weights, bias) = (filled(&from, 1), numbers(3 * taps * LANES, 2), numbers(3 * LANES, 3));
        for level in levels() {
            let mut output = vec![f32::NAN; to.len()];
            let cut = Cut::RELU6;
            let second = second.map(|how| Second { numbers: &seconds, map: other, how });
            let job = Depthwise { input: &input, from, window, weights: &weights, bias: &bias, second, cut, to };
            job.pieces(&mut output).for_each(|piece| piece.run(level));
            each(&to, |channel @ [_, block, lane], at @ [y, x]| {
                let mut sum = f64::from(bias[block * LANES + lane]);
                let mut mass = sum.abs();
                for tap in 0..taps {
                    let inside = |position: usize, size| position.checked_sub(before).filter(|p| *p < size);
                    let row = inside(y * stride + tap / kernel, from.height);
                    let column = inside(x * stride + tap % kernel, from.width);
                    if let (Some(y), Some(x)) = (row, column) {
                        let weight = f64::from(weights[(block * taps + tap) * LANES + lane]);
                        let product = f64::from(input[place(&from, channel, [y, x])]) * weight;
                        (sum, mass) = (sum + product, mass + product.abs());
                    }
                }
                let operand = f64::from(seconds[place(&other, channel, at)]);
                let (sum, mass) = match second {
                    None => (sum, mass),
                    Some(Second { how: Combine::Add, .. }) => (sum + operand, mass + operand.abs()),
                    Some(Second { how: Combine::Multiply, .. }) => (sum * operand, mass * operand.abs()),
                };
                let most = (taps + 3) as f64 * mass * f64::from(f32::EPSILON) / 2.0;
                let (found, expected) = (output[place(&to, channel, at)], sum.clamp(0.0, 6.0));
                let what =
                    format!("{size:?} by {kernel} on {level}: {found} at {channel:?} {at:?}, expected {expected}");
                assert!((f64::from(found) - expected).abs() <= most, "{what}");
            });
        }
    }
}

#[test]
fn pools_give_the_greatest_and_the_mean() {
    let (from, to) = (map(2, 2, [7, 10], 1, LANES), map(2, 2, [4, 5], 0, LANES));
    let input = filled(&from, 5);
    let value = |channel, y, x| f64::from(input[place(&from, channel, [y, x])]);
    for level in levels() {
        let run = |pool| {
            let mut output = vec![f32::NAN; to.len()];
            Pooling { input: &input, from, pool, to }.pieces(&mut output).for_each(|piece| piece.run(level));
            output
        };
        let (most, mean) = (run(Pool::Max(window([3, 3], 2, [1, 1]))), run(Pool::AdaptiveMean));
        each(&to, |channel, at @ [y, x]| {
            let rows = (2 * y).saturating_sub(1)..(2 * y + 2).min(7);
            let columns = (2 * x).saturating_sub(1)..(2 * x + 2).min(10);
            let window = rows.flat_map(|y| columns.clone().map(move |x| (y, x)));
            let greatest = window.map(|(y, x)| value(channel, y, x)).fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(f64::from(most[place(&to, channel, at)]), greatest, "{level} at {channel:?} {at:?}");

            // Of seven rows, the four windows share some; of ten pixels, each of the five has its own two.
            let rows = y * 7 / 4..((y + 1) * 7).div_ceil(4);
            let count = 2.0 * rows.len() as f64;
            let sum: f64 = rows.map(|row| value(channel, row, 2 * x) + value(channel, row, 2 * x + 1)).sum();
            let found = f64::from(mean[place(&to, channel, at)]);
            assert!(
                (found - sum / count).abs() < 1e-6,
                "{level} at {channel:?} {at:?}: {found}, expected {}",
                sum / count
            );
        });
    }
}

#[test]
fn not_a_number_stays_one() {
    let one = map(1, 1, [1, 1], 0, LANES);
    for level in levels() {
        let mut output = vec![0.0; LANES];
        let (weights, bias) = (&[0.0; LANES * LANES][..], &[f32::NAN; LANES][..]);
        let window = window([1, 1], 1, [0, 0]);
        let input = &[0.0; LANES][..];
        let job = Direct { input, from: one, window, weights, bias, second: None, cut: Cut::RELU6, to: one };
        job.pieces(&mut output, 1).into_iter().for_each(|piece| piece.run(level));
        assert!(output.iter().all(|x| x.is_nan()), "{level}: {output:?}");
    }
}

#[test]
#[should_panic(expected = "windows of")]
fn a_window_that_leaves_the_map_is_refused() {
    let (from, to) = (map(1, 1, [4, 4], 0, LANES), map(1, 1, [4, 4], 0, LANES));
    let (weights, bias) = (&vec![0.0; 9 * LANES * LANES][..], &[0.0; LANES][..]);
    let (input, window) = (&vec![0.0; from.len()][..], window([3, 3], 1, [0, 0]));
    let job = Direct { input, from, window, weights, bias, second: None, cut: Cut::NONE, to };
    job.pieces(&mut vec![0.0; to.len()], 1);
}
