//! Shapes with different numbers of views in one batch, and the pools over their views.

use crate::error::{Error, Result};
use burn::tensor::{Bool, Int, Tensor, TensorData};

/// The numbers of a tensor that a network has given.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.into_data().try_into_vec().map_err(|error| Error::Model(format!("its output does not read: {error}")))
}

/// Lays the views of several shapes out as one batch.
///
/// # Shapes
/// - features: `[sum of counts, dim]`, one shape after the other
/// - counts: views of each shape, each at least 1
/// - output: `[shapes, largest count, dim]`, and `[shapes, largest count]`, true where there is no view; `None` where
///   all are there. Absent rows hold a copy of the shape's first view.
pub fn batch_views(features: Tensor<2>, counts: &[usize]) -> Result<(Tensor<3>, Option<Tensor<2, Bool>>)> {
    let [rows, dim] = features.dims();
    let most = counts.iter().copied().max().unwrap_or(0);
    if counts.contains(&0) || most == 0 {
        return Err(Error::Invalid("a shape without views".into()));
    }
    if counts.iter().sum::<usize>() != rows {
        return Err(Error::Invalid(format!(
            "{rows} views, but the shapes have {} together",
            counts.iter().sum::<usize>()
        )));
    }
    let shapes = counts.len();
    if counts.iter().all(|count| *count == most) {
        return Ok((features.reshape([shapes, most, dim]), None));
    }
    let mut rows = Vec::with_capacity(shapes * most);
    let mut absent = Vec::with_capacity(shapes * most);
    let mut first = 0;
    for &count in counts {
        rows.extend((0..most).map(|view| (first + if view < count { view } else { 0 }) as i64));
        absent.extend((0..most).map(|view| view >= count));
        first += count;
    }
    let device = features.device();
    let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [shapes * most]), &device);
    let absent = Tensor::<2, Bool>::from_data(TensorData::new(absent, [shapes, most]), &device);
    Ok((features.select(0, rows).reshape([shapes, most, dim]), Some(absent)))
}

/// The transition: the maximum, then the mean, over the views that are there.
///
/// # Shapes
/// - views: `[shapes, views, dim]`
/// - absent: `[shapes, views]`, true where there is no view
/// - output: `[shapes, 2 * dim]`
pub fn transition(views: Tensor<3>, absent: Option<Tensor<2, Bool>>) -> Tensor<2> {
    let Some(absent) = absent else {
        return Tensor::cat(vec![views.clone().max_dim(1), views.mean_dim(1)], 2).squeeze_dim(1);
    };
    let [shapes, count, dim] = views.dims();
    let there = absent.clone().bool_not().float().sum_dim(1).reshape([shapes, 1, 1]);
    let hidden = absent.reshape([shapes, count, 1]).expand([shapes, count, dim]);
    let max = views.clone().mask_fill(hidden.clone(), f32::NEG_INFINITY).max_dim(1);
    let mean = views.mask_fill(hidden, 0.0).sum_dim(1) / there;
    Tensor::cat(vec![max, mean], 2).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn mixed_counts_are_padded_and_pooled_without_the_padding() {
        let device = Device::flex();
        let rows = Tensor::<2>::from_data([[-1.0f32, 4.0], [-3.0, 2.0], [-5.0, -7.0]], &device);
        let (views, absent) = batch_views(rows, &[2, 1]).expect("three views");
        assert_eq!(views.dims(), [2, 2, 2]);
        let pooled: Vec<f32> = transition(views, absent).into_data().try_into_vec().expect("float tensor");
        assert_eq!(pooled, [-1.0, 4.0, -2.0, 3.0, -5.0, -7.0, -5.0, -7.0]);
    }

    #[test]
    fn equal_counts_need_no_mask() {
        let (views, absent) = batch_views(Tensor::zeros([6, 4], &Device::flex()), &[3, 3]).expect("six views");
        assert_eq!(views.dims(), [2, 3, 4]);
        assert!(absent.is_none());
    }

    #[test]
    fn counts_that_do_not_fit_are_refused() {
        for counts in [&[2, 2][..], &[3, 0], &[]] {
            assert!(batch_views(Tensor::zeros([3, 4], &Device::flex()), counts).is_err(), "{counts:?}");
        }
    }
}
