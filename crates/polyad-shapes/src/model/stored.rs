//! A tensor as a model's file stores it: number by number or, where that is shorter, as a bitmap and the numbers that are not
//! 0, which is what pruning leaves.

use super::header::Precision;
use crate::error::{Error, Result};
use burn::tensor::{Bytes, DType, Shape, TensorData};
use polyad_nn::hadamard::modulation::pruning::{Number, decode, encode};
use safetensors::tensor::{Dtype, TensorView};
use std::borrow::Cow;

/// What of a tensor is in the file.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// F32 and F16: numbers. U8: the sparse encoding of [`encode`].
    pub dtype: Dtype,
    /// Of the numbers, or, of a sparse encoding, its length.
    pub shape: Vec<usize>,
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> Entry<'a> {
    /// A tensor whose numbers have the type that `precision` asks for. Matrices and kernels are stored in the shorter way.
    pub fn of(name: &str, data: &'a TensorData, precision: Precision) -> Result<Self> {
        let is_half = precision == Precision::F16 && data.shape().num_dims() > 1;
        let (dtype, number) = if is_half { (Dtype::F16, Number::Half) } else { (Dtype::F32, Number::Single) };
        let shape = data.shape().to_vec();
        if shape.len() > 1 {
            let in_tensor = |error: String| Error::Model(format!("{name}: {error}"));
            let numbers: Vec<f32> = data.iter::<f32>().collect();
            let sparse = encode(&shape, &numbers, number).map_err(|error| in_tensor(error.to_string()))?;
            if sparse.len() < data.as_bytes().len() {
                return Ok(Entry { dtype: Dtype::U8, shape: vec![sparse.len()], bytes: sparse.into() });
            }
        }
        Ok(Entry { dtype, shape, bytes: data.as_bytes().into() })
    }

    /// Whether it is stored as a bitmap and numbers.
    pub fn is_sparse(&self) -> bool {
        self.dtype == Dtype::U8
    }

    /// As safetensors writes it.
    pub fn view(&self, name: &str) -> Result<TensorView<'_>> {
        let view = TensorView::new(self.dtype, self.shape.clone(), &self.bytes);
        view.map_err(|error| Error::Model(format!("{name}: {error}")))
    }
}

/// The numbers of a stored tensor. A sparse encoding that is damaged is refused; memory is bounded by 32 times its length.
pub(super) fn numbers(name: &str, view: &TensorView<'_>) -> Result<TensorData> {
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::U8 => {
            let decoded = decode(view.data()).map_err(|error| Error::Model(format!("{name}: {error}")));
            return decoded.map(|(shape, numbers)| TensorData::new(numbers, shape));
        }
        other => return Err(Error::Model(format!("{name} is stored as {other:?}; F32, F16 and U8 are known"))),
    };
    let bytes = Bytes::from_bytes_vec(view.data().to_vec());
    TensorData::try_from_bytes(bytes, Shape::from(view.shape().to_vec()), dtype)
        .map_err(|error| Error::Model(format!("{name}: {error}")))
}
