//! Unpacking, with a limit: a few bytes can promise terabytes.

use crate::error::{At, Error, Result};
use flate2::read::MultiGzDecoder;
use std::io::Read;

/// What any file may unpack to.
const FLOOR: u64 = 64 << 20;
/// Beyond [`FLOOR`], how many times its own length a file may unpack to. Meshes as text compress 3 to 20 times.
const RATIO: u64 = 100;
/// What no file may unpack to.
const CEILING: u64 = 2 << 30;

/// The most that `packed` bytes may unpack to: 100 times as much, but at least 64 MiB and at most 2 GiB.
pub(crate) fn limit(packed: u64) -> u64 {
    packed.saturating_mul(RATIO).clamp(FLOOR, CEILING)
}

/// The bytes begin as gzip does.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1F, 0x8B])
}

/// Unpacks gzip, all its members.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Vec<u8>> {
    read_limited(MultiGzDecoder::new(bytes), limit(bytes.len() as u64))
}

/// Reads to the end, or refuses at the limit. Memory is taken only as bytes arrive.
pub(crate) fn read_limited(reader: impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::malformed(At::File, format!("cannot be unpacked: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(Error::Unsupported(format!("files that unpack to more than {limit} bytes from so few")));
    }
    Ok(bytes)
}
