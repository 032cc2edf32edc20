//! Logits of normalised pictures straight from a NumPy file, to compare with other implementations.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>; float32, C order.

use super::{Model, batches};
use crate::error::{At, Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use std::path::Path;

/// The header of a NumPy file is at most this long here; real ones take 128 bytes.
const HEADER: u64 = 1 << 20;

impl Model {
    /// A score for each class of each shape in a NumPy file of normalised pictures.
    ///
    /// The array is float32, `[shapes, views, 3, size, size]` or, for a single shape, `[views, 3, size, size]`. Its numbers
    /// go to the network as they are: the model's own normalisation is not applied.
    pub fn logits_npy(&self, path: &Path) -> Result<Vec<Vec<f32>>> {
        self.classes()?;
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        self.logits_of(&bytes).map_err(|error| error.in_file(path.display().to_string()))
    }

    fn logits_of(&self, bytes: &[u8]) -> Result<Vec<Vec<f32>>> {
        let size = self.header.render.size;
        let (shapes, views, numbers) = read(bytes, size)?;
        let picture = 3 * size * size;
        let input = |range: std::ops::Range<usize>| {
            let numbers = numbers[range.start * picture..range.end * picture].to_vec();
            Ok(Tensor::from_data(TensorData::new(numbers, [range.len(), 3, size, size]), &Device::flex()))
        };
        let outputs = batches::run_batches(self, &vec![views; shapes], input)?;
        Ok(outputs.into_iter().filter_map(|output| output.logits).collect())
    }
}

/// Shapes, views of each, and all numbers.
fn read(bytes: &[u8], size: usize) -> Result<(usize, usize, Vec<f32>)> {
    let malformed = |problem: String| Error::malformed(At::File, problem);
    let unreadable = |error: std::io::Error| malformed(format!("not a NumPy file: {error}"));
    // The header's length is checked before the parser allocates by it.
    let said = match bytes {
        [_, _, _, _, _, _, 1, _, a, b, ..] => u64::from(u16::from_le_bytes([*a, *b])),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => u64::from(u32::from_le_bytes([*a, *b, *c, *d])),
        _ => 0,
    };
    if said > HEADER.min(bytes.len() as u64) {
        return Err(malformed(format!("a NumPy header of {said} bytes in a file of {}", bytes.len())));
    }
    let file = npyz::NpyFile::new(bytes).map_err(unreadable)?;
    let (shape, order) = (file.shape().to_vec(), file.order());
    let side = size as u64;
    let (shapes, views) = match shape[..] {
        [shapes, views, 3, height, width] if (height, width) == (side, side) => (shapes, views),
        [views, 3, height, width] if (height, width) == (side, side) => (1, views),
        _ => {
            let wanted = format!("[shapes, views, 3, {size}, {size}] or [views, 3, {size}, {size}]");
            return Err(malformed(format!("an array of shape {shape:?}; the model wants {wanted}")));
        }
    };
    if order != npyz::Order::C {
        return Err(malformed("an array in Fortran order; C order is wanted".into()));
    }
    let count = shape.iter().try_fold(1u64, |product, n| product.checked_mul(*n));
    let count = count.filter(|count| count.checked_mul(4).is_some_and(|need| need <= bytes.len() as u64));
    let (Some(count), true) = (count, shapes > 0 && views > 0) else {
        return Err(malformed(format!("an array of shape {shape:?} in a file of {} bytes", bytes.len())));
    };
    let numbers: Vec<f32> = file.into_vec().map_err(|error| malformed(format!("not a float32 array: {error}")))?;
    if numbers.len() as u64 != count {
        return Err(malformed(format!("{} numbers instead of {count}", numbers.len())));
    }
    // Both are at most the file's length.
    Ok((shapes as usize, views as usize, numbers))
}
