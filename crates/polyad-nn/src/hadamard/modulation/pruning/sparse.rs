//! A tensor with many zeros in few bytes: a bit for each number, and the numbers that are not 0.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `PSP1` |
//! | 1 | 0: numbers of single precision, 1: of half |
//! | 1 | r, the number of axes, 8 at most |
//! | 8 r | the axes' lengths, little-endian |
//! | ⌈n / 8⌉ | for each of the n numbers whether it is there, the first in the lowest bit; spare bits are 0 |
//! | 4 or 2 a number | numbers that are there, in order, little-endian |
//!
//! At density ρ that is 4ρ + 1/8 bytes a number (2ρ + 1/8 in half precision): with a tenth of the weights left, 7.6 (12.3)
//! times fewer than all in single precision. Indices of 32 bits would cost 8ρ, and save nothing above half.
//!
//! Reading takes memory only behind a check that the bytes are there: 32 times their length at most.

use crate::error::{Error, Result};
use burn::tensor::f16;

/// How numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Exactly, each bit.
    Single,
    /// Rounded to the nearest of half precision; a number below 6e-8 becomes 0 and keeps its place.
    Half,
}

const MAGIC: &[u8; 4] = b"PSP1";
const MOST_AXES: usize = 8;

impl Number {
    fn bytes(self) -> usize {
        match self {
            Number::Single => 4,
            Number::Half => 2,
        }
    }
}

fn refuse<T>(part: &'static str, at: usize, problem: impl Into<String>) -> Result<T> {
    Err(Error::Sparse { part, at, problem: problem.into() })
}

/// The product of lengths, if it and its bytes in single precision can be counted.
fn count(shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1usize, |count, length| count.checked_mul(*length))?;
    count.checked_mul(size_of::<f32>()).map(|_| count)
}

/// Encodes numbers of this shape; a number is left out where it is +0.
///
/// More than 8 axes, a shape of another count and, in half precision, finite numbers that would become infinite are refused.
pub fn encode(shape: &[usize], numbers: &[f32], number: Number) -> Result<Vec<u8>> {
    if shape.len() > MOST_AXES {
        return refuse("axis", MOST_AXES, format!("{} axes, at most {MOST_AXES}", shape.len()));
    }
    if count(shape) != Some(numbers.len()) {
        return refuse("number", numbers.len(), format!("{} numbers for a shape of {shape:?}", numbers.len()));
    }
    let is_there = |number: &f32| number.to_bits() != 0;
    let there = numbers.iter().filter(|number| is_there(number)).count();
    let header = MAGIC.len() + 2 + 8 * shape.len();
    let mut bytes = Vec::with_capacity(header + numbers.len().div_ceil(8) + there * number.bytes());
    bytes.extend(MAGIC);
    bytes.extend([u8::from(number == Number::Half), shape.len() as u8]);
    shape.iter().for_each(|length| bytes.extend((*length as u64).to_le_bytes()));
    for eight in numbers.chunks(8) {
        let bit = |(place, number): (usize, &f32)| u8::from(is_there(number)) << place;
        bytes.push(eight.iter().enumerate().map(bit).sum());
    }
    for (place, value) in numbers.iter().enumerate().filter(|(_, number)| is_there(number)) {
        match number {
            Number::Single => bytes.extend(value.to_le_bytes()),
            Number::Half => {
                let half = f16::from_f32(*value);
                if value.is_finite() && half.is_infinite() {
                    return refuse("number", place, format!("{value} is infinite in half precision"));
                }
                bytes.extend(half.to_le_bytes());
            }
        }
    }
    Ok(bytes)
}

/// The shape and the numbers that [`encode`] was given, rounded where it rounded.
///
/// Anything else is refused: other beginnings, lengths whose product overflows, too few or too many bytes, spare bits.
pub fn decode(bytes: &[u8]) -> Result<(Vec<usize>, Vec<f32>)> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.take(MAGIC.len(), "the beginning")? != MAGIC {
        return refuse("byte", 0, "not PSP1");
    }
    let number = match reader.take(1, "the kind of numbers")? {
        [0] => Number::Single,
        [1] => Number::Half,
        other => return refuse("byte", 4, format!("kind {} of numbers, not 0 or 1", other[0])),
    };
    let axes = usize::from(reader.take(1, "the number of axes")?[0]);
    if axes > MOST_AXES {
        return refuse("byte", 5, format!("{axes} axes, at most {MOST_AXES}"));
    }
    let mut shape = Vec::with_capacity(axes);
    for length in reader.take(8 * axes, "the lengths of axes")?.chunks_exact(8) {
        let length = length.iter().rev().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
        let length = usize::try_from(length);
        shape.push(length.or_else(|_| refuse("byte", 6, "a length that this machine cannot count"))?);
    }
    let Some(count) = count(&shape) else {
        return refuse("byte", 6, format!("a shape of {shape:?} has too many numbers"));
    };
    let start = reader.at;
    let bits = reader.take(count.div_ceil(8), "the bits")?;
    if !count.is_multiple_of(8) && bits.last().is_some_and(|last| last >> (count % 8) != 0) {
        return refuse("byte", start + bits.len() - 1, "spare bits are not 0");
    }
    let there: usize = bits.iter().map(|byte| byte.count_ones() as usize).sum();
    let values = reader.take(there * number.bytes(), "the numbers")?;
    if reader.at != bytes.len() {
        return refuse("byte", reader.at, format!("{} bytes too many", bytes.len() - reader.at));
    }
    let mut values = values.chunks_exact(number.bytes()).map(|value| match (number, value) {
        (Number::Single, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        (_, value) => f16::from_le_bytes([value[0], value[1]]).to_f32(),
    });
    let is_there = |place: usize| bits[place / 8] >> (place % 8) & 1 == 1;
    let numbers = (0..count).map(|place| if is_there(place) { values.next().unwrap_or(0.0) } else { 0.0 });
    Ok((shape, numbers.collect()))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(part) = rest.get(..length) else {
            return refuse("byte", self.at, format!("{what}: {} bytes left, not {length}", rest.len()));
        };
        self.at += length;
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Generator;
    use super::*;

    /// A tenth, spread at random.
    fn sparse(count: usize) -> Vec<f32> {
        let mut generator = Generator(9);
        let mut number = |_| if generator.next().is_multiple_of(10) { generator.unit() as f32 - 0.5 } else { 0.0 };
        (0..count).map(&mut number).collect()
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|number| number.to_bits()).collect()
    }

    fn refused(bytes: &[u8]) -> String {
        decode(bytes).expect_err("refused").to_string()
    }

    #[test]
    fn every_bit_comes_back() {
        let odd = [0.0, -0.0, 1.5, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE / 4.0, 0.0, -3.0, 0.0, 7.0, 0.0];
        for (shape, numbers) in [
            (vec![11], odd.to_vec()),
            (vec![], vec![2.0]),
            (vec![3, 0, 5], vec![]),
            (vec![4, 4], vec![0.0; 16]),
            (vec![1, 2, 3, 1, 1, 1, 1, 1], vec![1.0; 6]),
            (vec![37, 29], sparse(37 * 29)),
        ] {
            let bytes = encode(&shape, &numbers, Number::Single).expect("encodes");
            let (shape_back, back) = decode(&bytes).expect("decodes");
            assert_eq!((shape_back, bits(&back)), (shape, bits(&numbers)));
        }
    }

    #[test]
    fn bytes_are_those_of_the_table() {
        let bytes = encode(&[3, 3], &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -2.0], Number::Single).expect("encodes");
        let lengths = [3u8, 0, 0, 0, 0, 0, 0, 0].repeat(2);
        let wanted = [&b"PSP1\x00\x02"[..], &lengths, &[2, 1], &[0, 0, 128, 63], &[0, 0, 0, 192]].concat();
        assert_eq!(bytes, wanted);
    }

    #[test]
    fn a_number_costs_four_times_the_density_and_an_eighth() {
        let numbers: Vec<f32> = (0..100_000).map(|i| if i % 10 == 3 { 1.0 } else { 0.0 }).collect();
        let length = |number| encode(&[100, 1000], &numbers, number).expect("encodes").len();
        assert_eq!(length(Number::Single), 22 + 12_500 + 40_000);
        assert_eq!(length(Number::Half), 22 + 12_500 + 20_000);
    }

    #[test]
    fn half_precision_rounds_to_the_nearest() {
        let numbers = [0.0, 1.0 + 1.0 / 4096.0, -65504.0, 1e-9, 0.1];
        let bytes = encode(&[5], &numbers, Number::Half).expect("encodes");
        let (_, back) = decode(&bytes).expect("decodes");
        // Eleven bits: 0.1 is 1638.4 / 16384, rounded to 1638.
        assert_eq!(back, [0.0, 1.0, -65504.0, 0.0, 1638.0 / 16384.0]);
        let error = encode(&[2], &[1.0, 7e4], Number::Half).expect_err("too large");
        assert_eq!(error.to_string(), "sparse tensor: number 1: 70000 is infinite in half precision");
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let error = encode(&[2, 3], &[1.0; 5], Number::Single).expect_err("five");
        assert_eq!(error.to_string(), "sparse tensor: number 5: 5 numbers for a shape of [2, 3]");
        let error = encode(&[1; 9], &[1.0], Number::Single).expect_err("nine");
        assert_eq!(error.to_string(), "sparse tensor: axis 8: 9 axes, at most 8");
    }

    #[test]
    fn each_part_is_checked() {
        let good = encode(&[3, 3], &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -2.0], Number::Single).expect("encodes");
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            refused(&bytes)
        };
        assert_eq!(refused(&[]), "sparse tensor: byte 0: the beginning: 0 bytes left, not 4");
        assert_eq!(with(0, b'Q'), "sparse tensor: byte 0: not PSP1");
        assert_eq!(with(4, 7), "sparse tensor: byte 4: kind 7 of numbers, not 0 or 1");
        assert_eq!(with(5, 9), "sparse tensor: byte 5: 9 axes, at most 8");
        assert_eq!(with(23, 3), "sparse tensor: byte 23: spare bits are not 0");
        // One number more than there is.
        assert_eq!(with(22, 6), "sparse tensor: byte 24: the numbers: 8 bytes left, not 12");
        assert_eq!(with(22, 0), "sparse tensor: byte 28: 4 bytes too many");
        assert_eq!(refused(&[&good[..], &[0]].concat()), "sparse tensor: byte 32: 1 bytes too many");
    }

    #[test]
    fn lengths_that_are_not_there_take_no_memory() {
        let claim = |lengths: &[u64]| {
            let lengths: Vec<u8> = lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
            refused(&[&b"PSP1\x00"[..], &[lengths.len() as u8 / 8], &lengths, &[255; 9]].concat())
        };
        assert_eq!(claim(&[1 << 50]), "sparse tensor: byte 14: the bits: 9 bytes left, not 140737488355328");
        let wanted = "sparse tensor: byte 6: a shape of [4294967296, 4294967296] has too many numbers";
        assert_eq!(claim(&[1 << 32, 1 << 32]), wanted);
        assert!(claim(&[u64::MAX]).contains("too many numbers"));
    }

    #[test]
    fn broken_bytes_never_panic() {
        let good = encode(&[13, 5], &sparse(65), Number::Half).expect("encodes");
        for length in 0..good.len() {
            assert!(decode(&good[..length]).is_err(), "{length} bytes are too few");
        }
        let mut generator = Generator(3);
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..1 + generator.next() % 3 {
                let at = (generator.unit() * bytes.len() as f64) as usize;
                bytes[at] = generator.next() as u8;
            }
            if let Ok((shape, numbers)) = decode(&bytes) {
                assert_eq!(shape.iter().product::<usize>(), numbers.len());
            }
        }
    }
}
