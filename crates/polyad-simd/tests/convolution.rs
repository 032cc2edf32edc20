//! Convolution tiles against their definition in double precision, on every level, at sizes that fill tiles and that do
//! not, in buffers that end with the last number that is used: whatever reads further is found by the address sanitizer.

use polyad_simd::conv::{Convolution, Grid, Tap, WeightGradient};
use polyad_simd::{LANES, Level};

/// Numbers of an output block's weights: nine taps.
const WEIGHTS: usize = 9 * LANES * LANES;

/// An image of blocks of channels, padded by one, and a convolution of three by three.
struct Sizes {
    blocks: usize,
    channels: usize,
    rows: usize,
    pixels: usize,
    stride: usize,
}

const SIZES: [Sizes; 6] = [
    Sizes { blocks: 1, channels: 3, rows: 1, pixels: 1, stride: 1 },
    Sizes { blocks: 2, channels: 16, rows: 3, pixels: 14, stride: 1 },
    Sizes { blocks: 3, channels: 9, rows: 2, pixels: 29, stride: 1 },
    Sizes { blocks: 2, channels: 16, rows: 2, pixels: 25, stride: 2 },
    Sizes { blocks: 1, channels: 1, rows: 5, pixels: 7, stride: 2 },
    Sizes { blocks: 4, channels: 5, rows: 2, pixels: 11, stride: 1 },
];

impl Sizes {
    fn width(&self) -> usize {
        (self.pixels - 1) * self.stride + 3
    }

    fn input_grid(&self) -> Grid {
        Grid { start: 0, row: self.stride * self.width() * LANES, pixel: self.stride * LANES }
    }

    fn output_grid(&self) -> Grid {
        Grid { start: 0, row: self.pixels * LANES, pixel: LANES }
    }

    fn output_block(&self) -> usize {
        self.rows * self.pixels * LANES
    }

    fn taps(&self) -> Vec<Tap> {
        let tap =
            |index: usize| Tap { input: (index / 3 * self.width() + index % 3) * LANES, weight: index * LANES * LANES };
        (0..9).map(tap).collect()
    }

    /// Numbers of the input up to the last of so many channels.
    fn input_numbers(&self, channels: usize) -> usize {
        let height = (self.rows - 1) * self.stride + 3;
        (height * self.width() - 1) * LANES + channels
    }

    /// Every term: places in the input, in the weights and in the output.
    fn terms(&self, mut term: impl FnMut(usize, usize, usize)) {
        let taps = self.taps();
        for (block, row) in (0..self.blocks).flat_map(|block| (0..self.rows).map(move |row| (block, row))) {
            for (pixel, tap) in (0..self.pixels).flat_map(|pixel| taps.iter().map(move |tap| (pixel, tap))) {
                for (c, o) in (0..self.channels).flat_map(|c| (0..LANES).map(move |o| (c, o))) {
                    let input = row * self.input_grid().row + pixel * self.input_grid().pixel + tap.input + c;
                    let weight = block * WEIGHTS + tap.weight + c * LANES + o;
                    let output = block * self.output_block() + (row * self.pixels + pixel) * LANES + o;
                    term(input, weight, output);
                }
            }
        }
    }

    fn convolve(&self, input: &[f32], weights: &[f32], level: Level, output: &mut [f32]) {
        Convolution {
            input,
            input_grid: self.input_grid(),
            weights,
            weights_block: WEIGHTS,
            taps: &self.taps(),
            channels: self.channels,
            output_grid: self.output_grid(),
            output_block: self.output_block(),
            blocks: self.blocks,
            rows: self.rows,
            pixels: self.pixels,
        }
        .run(level, output);
    }

    /// Numbers of an image of the output.
    fn output_numbers(&self) -> usize {
        self.blocks * self.output_block()
    }

    fn add_gradient(&self, images: usize, input: &[f32], upstream: &[f32], level: Level, gradient: &mut [f32]) {
        WeightGradient {
            images,
            input_image: self.input_numbers(LANES),
            output_image: self.output_numbers(),
            input,
            input_grid: self.input_grid(),
            taps: &self.taps(),
            channels: self.channels,
            output: upstream,
            output_grid: self.output_grid(),
            output_block: self.output_block(),
            weights_block: WEIGHTS,
            blocks: self.blocks,
            rows: self.rows,
            pixels: self.pixels,
        }
        .run(level, gradient);
    }
}

fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|index| ((index + seed) * 37 % 211) as f32 / 105.0 - 1.0).collect()
}

/// Adds a term to a sum and to that of absolute values.
fn add((sum, mass): &mut (f64, f64), a: f32, b: f32) {
    let product = f64::from(a) * f64::from(b);
    *sum += product;
    *mass += product.abs();
}

fn assert_close(found: &[f32], expected: &[(f64, f64)], terms: usize, what: &str) {
    for (index, (found, (sum, mass))) in found.iter().zip(expected).enumerate() {
        // A sum of so many terms in single precision, each product rounded with it or before.
        let most = (terms + 1) as f64 * mass * f64::from(f32::EPSILON) / 2.0;
        assert!((f64::from(*found) - sum).abs() <= most, "{what}: {found} at {index}, expected {sum}");
    }
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_present())
}

#[test]
fn every_level_agrees_with_double_precision() {
    for (index, sizes) in SIZES.into_iter().enumerate() {
        let input = numbers(sizes.input_numbers(sizes.channels), 1);
        let unused = (LANES - sizes.channels) * LANES;
        let weights = numbers(sizes.blocks * WEIGHTS - unused, 2);
        let mut expected = vec![(0.0, 0.0); sizes.output_numbers()];
        sizes.terms(|x, w, to| add(&mut expected[to], input[x], weights[w]));
        for level in levels() {
            let mut output = vec![f32::NAN; expected.len()];
            sizes.convolve(&input, &weights, level, &mut output);
            assert_close(&output, &expected, 9 * sizes.channels, &format!("sizes {index} on {level}"));
        }
    }
}

#[test]
fn every_level_has_the_gradient_of_weights_in_double_precision() {
    for (index, sizes) in SIZES.into_iter().enumerate() {
        // Channels are read in whole groups.
        let images = 1 + index % 3;
        let (before, after) = (sizes.input_numbers(LANES), sizes.output_numbers());
        let (input, upstream) = (numbers(images * before, 3), numbers(images * after, 4));
        let mut expected = vec![(0.0, 0.0); sizes.blocks * WEIGHTS];
        for image in 0..images {
            let (input, upstream) = (&input[image * before..], &upstream[image * after..]);
            sizes.terms(|x, w, from| add(&mut expected[w], input[x], upstream[from]));
        }
        for level in levels() {
            let mut gradient = vec![0.0; expected.len()];
            sizes.add_gradient(images, &input, &upstream, level, &mut gradient);
            // Channels of a group that are not used have a gradient too, which nobody reads.
            for start in (0..expected.len()).step_by(LANES * LANES) {
                let range = start..start + sizes.channels * LANES;
                let what = format!("sizes {index} on {level}, from {start}");
                let terms = images * sizes.rows * sizes.pixels;
                assert_close(&gradient[range.clone()], &expected[range], terms, &what);
            }
        }
    }
}

#[test]
#[should_panic(expected = "input too short")]
fn an_input_that_ends_too_early_is_refused() {
    let [sizes, ..] = SIZES;
    let input = numbers(sizes.input_numbers(sizes.channels) - 1, 1);
    sizes.convolve(&input, &[0.0; WEIGHTS], Level::Portable, &mut [0.0; LANES]);
}
