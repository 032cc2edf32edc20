//! A network in one file.
//!
//! Everything is little-endian; `count` is an unsigned integer of 32 bits, `single` a number of IEEE 754's 32, and
//! `weight` one of 32 or, where the precision says so, of 16.
//!
//! ```text
//!  0  8 bytes   "polyad-r"
//!  8  count     version of this format, 1
//! 12  count     precision of weights: 0 single, 1 half
//! 16  64 bits   bytes of the file
//! 24  64 bits   FNV-1a of all other bytes of the file, in order
//! 32  text      count of bytes, UTF-8: the description
//!     input     count: side of a view; singles: scale, 3 means, 3 deviations
//!     plan      of pictures
//!     option    count, 0 or 1; then perhaps a plan, of what the first gives
//!     option    then perhaps the projection: linear; count, 1 where it is rectified
//!     list      count, then the blocks: norm, attention, norm, linear, linear
//!     list      count, then the head's layers: option of (count, singles: scales, singles: shifts), linear
//!
//! plan          count: channels; list of steps, value 0 (of pictures 1) being given and each making the next
//! step          count: 0 convolution, 1 depthwise, 2 maximum, 3 mean; count: the value it reads; then
//!   0, 1        window; count: output channels; count: 0 alone, 1 added, 2 multiplied, and count: the value that it is
//!               combined with; count: 0 not cut, 1 to at least 0, 2 to 0 to 6;
//!               weights: of 0 [outputs][inputs][rows][columns], of 1 [outputs][rows][columns]; singles: biases
//!   2           window
//!   3           count: side
//! window        counts: rows, columns, stride, padding (2³² − 1: TensorFlow's "same")
//! linear        counts: inputs, outputs, 1 where there is a bias; weights: [inputs][outputs]; singles: biases
//! norm          count: numbers; singles: gammas, betas, epsilon
//! attention     counts: heads, key axes, 1 where normalised; single: scale; linears: query, keys, values, output;
//!               singles, where normalised: for query and each key axis a gain a head
//! ```
//!
//! Batch norms are folded in. Weights are not packed for any processor. A reader takes memory for what is there, never
//! for what is said to be: for one number 256 at most, where one channel has a block of 16 to itself on both sides.

mod read;
mod write;

#[cfg(test)]
mod tests;

use crate::plan::Padding;
use polyad_simd::conv::Cut;

const MAGIC: &[u8; 8] = b"polyad-r";
/// The newest format that is read, and the one that is written.
const FORMAT: u32 = 1;
/// Bytes before the description.
const HEAD: usize = 32;
/// Where the checksum is.
const CHECKSUM: std::ops::Range<usize> = 24..32;

const CONVOLUTION: u32 = 0;
const DEPTHWISE: u32 = 1;
const MAXIMUM: u32 = 2;
const MEAN: u32 = 3;

/// Cuts by their number in a file.
const CUTS: [Cut; 3] = [Cut::NONE, Cut::RELU, Cut::RELU6];

/// The padding that is no number.
const SAME: u32 = u32::MAX;

/// How weights are stored. They are computed with in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// In single precision.
    Single,
    /// In half precision; biases, norms and gains in single.
    Half,
}

/// What [`Network::to_file`](crate::Network::to_file) gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Weights, biases, norms and gains.
    pub parameters: usize,
}

/// A change of one byte always shows: each step is a bijection of the state.
fn checksum(bytes: &[u8]) -> u64 {
    let (before, after) = (&bytes[..CHECKSUM.start], &bytes[CHECKSUM.end..]);
    let step = |state: u64, byte: &u8| (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    before.iter().chain(after).fold(0xcbf2_9ce4_8422_2325, step)
}

/// A padding as a count.
fn padding_from(count: u32) -> Padding {
    if count == SAME { Padding::Same } else { Padding::Fixed(count as usize) }
}
