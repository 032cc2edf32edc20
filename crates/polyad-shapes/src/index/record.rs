//! What the tables hold, as values, and how they are written as bytes.
//!
//! Whatever a shape or a path is read from is sealed: its CRC-32 stands behind it, so that a byte that a disk has changed is
//! noticed when the value is read. Left out are keys and bare ids, the graph, which only proposes, and the header, which
//! must be readable whatever the version.

use super::fault::{Fault, Outcome};
use crate::source::Stamp;
use half::f16;
use half::slice::HalfFloatSliceExt;
use serde::{Deserialize, Serialize};

/// What an index is told when it is made, and keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The model's [`identity`](crate::embedding::Embedder::identity).
    pub identity: String,
    /// Length of an embedding.
    pub set_width: usize,
    /// Length of a view's vector.
    pub view_width: usize,
    /// Where the model lies, so that a search need not be told. Not compared.
    pub model: Option<String>,
}

/// [`Settings`] with the version of the tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    pub format: u32,
    pub polyad: String,
    pub settings: Settings,
}

/// What changes from transaction to transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The next shape id; ids are never given twice.
    pub next_id: u32,
    /// Vectors are in the graph's table and must be kept there.
    pub graph_filled: bool,
    /// The graph's links are those of its vectors.
    pub graph_ready: bool,
}

/// A file, or a member of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PathRecord {
    pub path: String,
    pub stamp: Stamp,
    pub content: Content,
}

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Content {
    /// The shape of this id.
    Shape(u32),
    /// Nothing usable, according to a version of polyad.
    Failed { error: String, polyad: String },
}

impl Content {
    pub fn shape(&self) -> Option<u32> {
        match self {
            Content::Shape(id) => Some(*id),
            Content::Failed { .. } => None,
        }
    }
}

/// What an index knows of a shape besides its vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ShapeRecord {
    pub hash: [u8; 32],
    /// Bits, since a decimal number may come back as its neighbour, and this one is a key as well.
    diagonal_bits: Option<u64>,
    pub triangles: Option<u64>,
}

impl ShapeRecord {
    pub fn new(hash: [u8; 32], diagonal: Option<f64>, triangles: Option<u64>) -> Self {
        ShapeRecord { hash, diagonal_bits: diagonal.filter(|d| *d >= 0.0).map(f64::to_bits), triangles }
    }

    pub fn diagonal(&self) -> Option<f64> {
        self.diagonal_bits.map(f64::from_bits)
    }
}

/// Version of the tables.
pub(super) const FORMAT: u32 = 2;
/// This program's version.
pub(super) const POLYAD: &str = env!("CARGO_PKG_VERSION");

/// Keys in `meta`.
pub(super) const HEADER: &[u8] = b"header";
pub(super) const STATE: &[u8] = b"state";
pub(super) const CENTRE: &[u8] = b"centre";
pub(super) const ROOTS: &[u8] = b"roots";

pub(super) fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("records have string keys and no failing serialiser")
}

pub(super) fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Outcome<T> {
    serde_json::from_slice(bytes).map_err(|e| Fault::Damaged(format!("a record cannot be read ({e})")))
}

/// A record as sealed JSON.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    seal(to_json(value))
}

/// The inverse of [`encode`].
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Outcome<T> {
    from_json(unseal(bytes)?)
}

/// A value with its checksum behind it.
pub(super) fn seal(mut value: Vec<u8>) -> Vec<u8> {
    value.extend(checksum(&value).to_le_bytes());
    value
}

/// The value that was sealed; refused where it is another one now.
pub(super) fn unseal(bytes: &[u8]) -> Outcome<&[u8]> {
    intact(bytes).ok_or_else(|| Fault::Damaged("a value is not the one that was written".into()))
}

/// As [`unseal`], for those who look at many.
pub(super) fn intact(bytes: &[u8]) -> Option<&[u8]> {
    let (value, sum) = bytes.split_last_chunk()?;
    (checksum(value) == u32::from_le_bytes(*sum)).then_some(value)
}

fn checksum(value: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(value);
    crc.sum()
}

/// The key of a path.
pub(super) fn path_key(path: &str) -> [u8; 16] {
    let digest = blake3::hash(path.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.as_bytes()[..16]);
    key
}

pub(super) fn id_key(id: u32) -> [u8; 4] {
    id.to_be_bytes()
}

/// The id at the front of a key.
pub(super) fn key_id(key: &[u8]) -> Outcome<u32> {
    key.first_chunk().map(|id| u32::from_be_bytes(*id)).ok_or_else(|| Fault::Damaged("a key is too short".into()))
}

pub(super) fn place_key(id: u32, path: &[u8; 16]) -> [u8; 20] {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&id_key(id));
    key[4..].copy_from_slice(path);
    key
}

/// Sorted by diagonal, since bits of floats that are not negative sort as the floats do.
pub(super) fn size_key(diagonal: f64, id: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&diagonal.abs().to_bits().to_be_bytes());
    key[8..].copy_from_slice(&id_key(id));
    key
}

/// The shape's id in a key of `sizes`.
pub(super) fn size_id(key: &[u8]) -> Outcome<u32> {
    key.last_chunk().map(|id| u32::from_be_bytes(*id)).ok_or_else(|| Fault::Damaged("a key is too short".into()))
}

pub(super) fn floats_to_bytes(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Reads as many floats as `out` holds; fewer bytes leave zeros.
pub(super) fn bytes_to_floats(bytes: &[u8], out: &mut [f32]) {
    out.fill(0.0);
    for (x, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *x = f32::from_le_bytes(*bytes);
    }
}

/// The view vectors of a shape, one after the other, scaled to length one and rounded to half precision.
/// The scale keeps large activations within half's range, and a cosine does not see it.
pub(super) fn views_to_bytes(views: &[Vec<f32>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(views.iter().map(|v| 2 * v.len()).sum());
    for view in views {
        let length = view.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        bytes.extend(view.iter().flat_map(|x| f16::from_f64(f64::from(*x) * scale).to_le_bytes()));
    }
    bytes
}

/// Reads all view vectors of a shape into `out`.
pub(super) fn bytes_to_views(bytes: &[u8], halves: &mut Vec<f16>, out: &mut Vec<f32>) {
    halves.clear();
    halves.extend(bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes)));
    out.resize(halves.len(), 0.0);
    halves.convert_to_f32_slice(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagonals_sort_as_their_keys_and_come_back_to_the_bit() {
        let mut diagonals = vec![0.0, f64::MIN_POSITIVE, 0.1, 0.1 + f64::EPSILON, 3.0, 1e300, f64::INFINITY];
        let sorted: Vec<_> = diagonals.iter().map(|d| size_key(*d, 7)).collect();
        assert!(sorted.is_sorted());
        diagonals.pop();
        for d in diagonals {
            let record = ShapeRecord::new([3; 32], Some(d), None);
            let back: ShapeRecord = decode(&encode(&record)).unwrap();
            assert_eq!(back.diagonal().map(f64::to_bits), Some(d.to_bits()));
        }
    }

    #[test]
    fn a_sealed_value_comes_back_and_no_flipped_bit_goes_unnoticed() {
        let value = b"numbers".to_vec();
        let sealed = seal(value.clone());
        assert_eq!(unseal(&sealed).unwrap(), value);
        for bit in 0..8 * sealed.len() {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(intact(&flipped).is_none(), "bit {bit}");
        }
        assert!((0..sealed.len()).all(|length| intact(&sealed[..length]).is_none()));
    }

    #[test]
    fn views_of_any_magnitude_survive_half_precision() {
        for magnitude in [1e-30f32, 1.0, 1e30] {
            let views = vec![vec![3.0 * magnitude, 4.0 * magnitude], vec![0.0, 0.0]];
            let (mut halves, mut out) = (Vec::new(), Vec::new());
            bytes_to_views(&views_to_bytes(&views), &mut halves, &mut out);
            for (found, expected) in out.iter().zip([0.6, 0.8, 0.0, 0.0]) {
                assert!((found - expected).abs() < 1e-3, "{magnitude}: {out:?}");
            }
        }
    }
}
