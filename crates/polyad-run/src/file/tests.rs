//! Claims: a file gives the network back bit for bit; what is not such a file is refused, and told apart; no bytes make
//! the reader, or a network that it accepts, panic.

use super::*;
use crate::attention::Attention;
use crate::builder::Builder;
use crate::encoder::Block;
use crate::error::Error;
use crate::image_network::ImageNetwork;
use crate::linear::{Affine, LayerNorm, Linear};
use crate::network::{HeadLayer, Input, Network, Parts, Projection};
use crate::packed::Packed;
use polyad_simd::LANES;
use polyad_simd::conv::Combine;
use proptest::prelude::*;

/// Numbers that look drawn and are always the same.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729 + i * i % 89) % 1009) as f32 / 1009.0 - 0.4).collect()
}

fn convolution([outputs, inputs]: [usize; 2], side: usize, lanes: usize, seed: usize) -> Packed {
    let weights = numbers(outputs * inputs * side * side, seed);
    let at = |o: usize, i: usize, tap: usize| weights[(o * inputs + i) * side * side + tap];
    Packed::convolution([outputs, inputs], [side; 2], lanes, numbers(outputs, seed + 1), at)
}

fn linear(inputs: usize, outputs: usize, seed: usize) -> Linear {
    Linear::new([inputs, outputs], &numbers(inputs * outputs, seed), numbers(outputs, seed + 1))
        .expect("sizes that fit")
}

/// A network with everything that a file can hold.
fn network() -> Network {
    let (mut plan, picture) = Builder::of_pictures(3);
    let same = (2, Padding::Same);
    let stem = plan.convolution(picture, convolution([20, 3], 3, 3, 1), same, None, Cut::RELU6).expect("stem");
    let weights = numbers(20 * 9, 2);
    let depthwise = Packed::depthwise([3, 3], numbers(20, 3), |c, tap| weights[c * 9 + tap]);
    let deep = plan.depthwise(stem, depthwise, (1, Padding::Fixed(1)), None, Cut::NONE).expect("depthwise");
    let point = (1, Padding::Fixed(0));
    let second = Some((stem, Combine::Multiply));
    let star = plan.convolution(deep, convolution([20, 20], 1, LANES, 4), point, second, Cut::RELU).expect("star");
    let second = Some((star, Combine::Add));
    let sum = plan.convolution(deep, convolution([20, 20], 1, LANES, 5), point, second, Cut::NONE).expect("sum");
    let pooled = plan.max_pool(sum, 3, 2, 1).expect("maximum");
    plan.mean_pool(pooled, 2).expect("means");
    let mut tail = Builder::of_maps(20);
    tail.convolution(0, convolution([9, 20], 2, LANES, 6), point, None, Cut::RELU).expect("a linear layer");
    let images = ImageNetwork::new(plan.finish().expect("layers"), Some(tail.finish().expect("a layer")));

    let dim = 8;
    let norm = |seed| LayerNorm::new(numbers(dim, seed), numbers(dim, seed + 1), 1e-5).expect("a norm");
    let block = |order: usize, normalised: bool| Block {
        norm: norm(10),
        attention: Attention {
            heads: 2,
            scale: 0.5,
            query: linear(dim, dim, 11),
            keys: (1..order).map(|axis| linear(dim, dim, 12 + axis)).collect(),
            values: (1..order).map(|axis| linear(dim, dim, 20 + axis)).collect(),
            output: linear(dim, dim, 30),
            gains: (0..if normalised { order } else { 0 }).map(|operand| numbers(2, operand + 40)).collect(),
        },
        mlp_norm: norm(50),
        expand: linear(dim, 2 * dim, 51),
        contract: linear(2 * dim, dim, 52),
    };
    let affine = Affine::new(numbers(2 * dim, 60), numbers(2 * dim, 61)).expect("a norm");
    Network::new(Parts {
        description: r#"{"classes":["à","b","c"]}"#.into(),
        input: Input { size: 17, scale: 1.0 / 255.0, mean: [1.0; 3], deviation: [0.25; 3] },
        images: images.expect("plans that fit"),
        projection: Some(Projection { linear: linear(9, dim, 62), rectified: false }),
        blocks: vec![block(2, false), block(3, true)],
        head: vec![HeadLayer { norm: Some(affine), linear: linear(2 * dim, 3, 63) }],
    })
    .expect("parts that fit")
}

/// The scores of three views.
fn logits(network: &Network) -> Result<Vec<f32>, Error> {
    network.logits(&numbers(3 * 3 * 17 * 17, 99), [3, 3, 17, 17])
}

/// With length and checksum as they should be.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= HEAD {
        let length = bytes.len() as u64;
        bytes[16..24].copy_from_slice(&length.to_le_bytes());
        let sum = checksum(&bytes);
        bytes[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

fn refusal(bytes: &[u8]) -> String {
    Network::from_bytes(bytes).expect_err("it is to be refused").to_string()
}

#[test]
fn a_file_gives_the_network_back_bit_for_bit() {
    let network = network();
    let file = network.to_file(Precision::Single).expect("it can be written");
    assert_eq!(file, network.to_file(Precision::Single).expect("again"));
    let read = Network::from_bytes(&file.bytes).expect("it can be read");
    assert_eq!((read.description(), read.input()), (network.description(), network.input()));
    assert_eq!((read.dim(), read.classes()), (8, 3));
    let bits = |network| logits(network).expect("views that fit").into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(&read), bits(&network));
    assert_eq!(read.to_file(Precision::Single).expect("it can be written again"), file);
    // Stem, depthwise, star, sum, tail; projection; blocks; head.
    let images = 20 * 27 + 20 + 20 * 9 + 20 + 2 * (400 + 20) + 9 * 80 + 9;
    let block = |order: usize| (2 * order) * (64 + 8) + 2 * 16 + 8 * 16 + 16 + 16 * 8 + 8;
    assert_eq!(file.parameters, images + 9 * 8 + 8 + block(2) + block(3) + 2 * 3 + 2 * 16 + 16 * 3 + 3);
}

#[test]
fn half_precision_is_smaller_and_near() {
    let network = network();
    let (single, half) = (network.to_file(Precision::Single), network.to_file(Precision::Half));
    let (single, half) = (single.expect("single"), half.expect("half"));
    assert_eq!(single.parameters, half.parameters);
    assert!(half.bytes.len() < single.bytes.len() * 2 / 3, "{} of {}", half.bytes.len(), single.bytes.len());
    let read = Network::from_bytes(&half.bytes).expect("it can be read");
    let (exact, near) = (logits(&network).expect("scores"), logits(&read).expect("scores"));
    let largest = exact.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
    for (exact, near) in exact.iter().zip(&near) {
        assert!((exact - near).abs() < 1e-2 * largest, "{exact} became {near}");
    }
    assert_eq!(read.to_file(Precision::Half).expect("it can be written again"), half);
}

#[test]
fn what_half_precision_or_a_file_cannot_hold_is_not_written() {
    let mut large = network();
    large.parts.head[0].linear = Linear::new([16, 1], &[70_000.0; 16], Vec::new()).expect("sizes that fit");
    let message = large.to_file(Precision::Half).expect_err("too large").to_string();
    assert!(message.contains("70000") && message.contains("65504"), "{message}");
    large.to_file(Precision::Single).expect("single precision goes further");
    let mut rounded = network();
    rounded.parts.images = rounded.parts.images.with_bfloat16();
    assert!(rounded.to_file(Precision::Single).is_err());
}

#[test]
fn foreign_newer_truncated_and_damaged_files_are_told_apart() {
    let good = network().to_file(Precision::Half).expect("it can be written").bytes;
    assert!(refusal(b"").contains("polyad export") && refusal(b"\x89PNG\r\n\x1a\n....").contains("polyad export"));
    let mut newer = good.clone();
    newer[8] = 2;
    assert!(refusal(&newer).contains("format 2") && refusal(&newer).contains("format 1"), "{}", refusal(&newer));
    for cut in (8..good.len()).step_by(13) {
        let message = refusal(&good[..cut]);
        assert!(message.contains("truncated") || message.contains("promised"), "{cut}: {message}");
    }
    for at in (12..good.len()).step_by(7) {
        let mut damaged = good.clone();
        damaged[at] ^= 0x10;
        assert!(refusal(&damaged).contains("damaged"), "byte {at}: {}", refusal(&damaged));
    }
    let longer = sealed([&good[..], &[0; 5]].concat());
    assert!(refusal(&longer).contains("5 bytes after its end"), "{}", refusal(&longer));
}

#[test]
fn a_promise_beyond_the_file_is_refused_with_both_sizes() {
    let good = network().to_file(Precision::Single).expect("it can be written").bytes;
    // The length of the description.
    let mut long = good.clone();
    long[HEAD..HEAD + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let left = good.len() - HEAD - 4;
    let message = refusal(&sealed(long));
    assert!(message.contains("4294967295 bytes are promised") && message.contains(&left.to_string()), "{message}");
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let with = |change: fn(&mut Parts)| {
        let mut parts = network().parts;
        change(&mut parts);
        Network::new(parts).expect_err("it is to be refused").to_string()
    };
    assert!(with(|parts| parts.input.size = 0).contains("0 pixels"));
    assert!(with(|parts| parts.input.size = 1 << 20).contains("1048576"));
    assert!(with(|parts| parts.input.deviation[1] = 0.0).contains("0.0"));
    assert!(with(|parts| parts.projection = None).contains('9'));
    assert!(with(|parts| parts.blocks[0].expand = linear(8, 5, 0)).contains('5'));
    assert!(with(|parts| parts.head[0].norm = None.or(Affine::new(vec![1.0], vec![0.0]).ok())).contains("16"));
    let mut embeds = network().parts;
    embeds.head.clear();
    let embeds = Network::new(embeds).expect("it needs no head");
    assert_eq!((embeds.classes(), logits(&embeds)), (0, Err(Error::NoClasses)));
    assert!(embeds.embed(&[], [0, 3, 17, 17]).is_err(), "a View Set without views");
}

/// A change to a file.
#[derive(Debug, Clone)]
enum Change {
    /// A byte becomes another.
    Byte(usize, u8),
    /// Four bytes become a count.
    Count(usize, u32),
    /// The rest is left out.
    Cut(usize),
    /// A part comes twice.
    Twice(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = 8..usize::MAX;
    let counts = prop_oneof![0..40u32, Just(u32::MAX), Just(1 << 31), any::<u32>()];
    prop_oneof![
        4 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        4 => (at.clone(), counts).prop_map(|(at, count)| Change::Count(at, count)),
        1 => at.clone().prop_map(Change::Cut),
        1 => (at, 1..64usize).prop_map(|(at, length)| Change::Twice(at, length)),
    ]
}

fn changed(mut bytes: Vec<u8>, change: &Change) -> Vec<u8> {
    let place = |at: usize| at % bytes.len().max(1);
    match *change {
        Change::Byte(at, byte) => {
            let at = place(at);
            bytes[at] = byte;
        }
        Change::Count(at, count) => {
            // Counts lie at multiples of four where weights are in single precision and the description fits.
            let at = place(at) / 4 * 4;
            if let Some(to) = bytes.get_mut(at..at + 4) {
                to.copy_from_slice(&count.to_le_bytes());
            }
        }
        Change::Cut(at) => bytes.truncate(place(at).max(1)),
        Change::Twice(at, length) => {
            let at = place(at);
            let part: Vec<u8> = bytes[at..].iter().take(length).copied().collect();
            bytes.splice(at..at, part);
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Checksums are made right again, so that the changes reach what is behind them.
    #[test]
    fn no_bytes_panic(changes in prop::collection::vec(change(), 1..4), front in 0..3usize, half in any::<bool>()) {
        let precision = if half { Precision::Half } else { Precision::Single };
        let mut network = network();
        network.parts.description = "four".into();
        let mut bytes = network.to_file(precision).expect("it can be written").bytes;
        for change in &changes {
            // Two times in three near the front, where the counts of the image network are.
            let end = [usize::MAX, 120, 3000][front].min(bytes.len());
            let rest = bytes.split_off(end);
            bytes = changed(bytes, change);
            bytes.extend(rest);
        }
        if let Ok(network) = Network::from_bytes(&sealed(bytes)) {
            let views = numbers(2 * 3 * 12 * 9, 1);
            // Whatever comes of it.
            let _ = network.embed(&views, [2, 3, 12, 9]);
            let _ = network.logits(&views, [2, 3, 12, 9]);
        }
    }
}
