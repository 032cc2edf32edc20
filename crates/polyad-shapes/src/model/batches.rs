//! Running a model over many shapes in batches of bounded size.

use super::Model;
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::view_set::{View, ViewSet};
use crate::vsformer::{batch_views, numbers};
use burn::tensor::{Device, Tensor, TensorData};
use std::ops::Range;

/// Pixels of a batch of views, whatever their size: 16 views of 224 x 224, whose widest maps in a ResNet take 150 MB.
const BATCH_PIXELS: usize = 16 * 224 * 224;
/// Views of a batch of shapes in the encoder.
const BATCH_VIEWS: usize = 1024;

/// What a model makes of one shape.
pub(super) struct Output {
    pub embedding: Embedding,
    /// Where the model has classes.
    pub logits: Option<Vec<f32>>,
}

/// Runs a model over shapes, in the order given. Views that it was not made for are refused.
pub(super) fn run(model: &Model, shapes: &[ViewSet]) -> Result<Vec<Output>> {
    let counts: Vec<usize> = shapes.iter().map(|shape| shape.views.len()).collect();
    let views: Vec<&View> = shapes.iter().flat_map(|shape| &shape.views).collect();
    for view in &views {
        model.header.check_view(view)?;
    }
    run_batches(model, &counts, |range| model.header.input.tensor(&views[range], &Device::flex()))
}

/// Runs a model over shapes with so many views each; `input` yields a range of all views as `[n, 3, size, size]`.
pub(super) fn run_batches(
    model: &Model,
    counts: &[usize],
    input: impl Fn(Range<usize>) -> Result<Tensor<4>>,
) -> Result<Vec<Output>> {
    if counts.contains(&0) {
        return Err(Error::Invalid("a shape without views".into()));
    }
    let total: usize = counts.iter().sum();
    let size = model.header.render.size;
    let batch = (BATCH_PIXELS / (size * size)).max(1);
    let mut features = Vec::with_capacity(total * model.header.architecture.dim);
    for first in (0..total).step_by(batch) {
        features.extend(numbers(model.features(input(first..total.min(first + batch))?)?)?);
    }
    encode(model, counts, &features)
}

/// From the features of all views to the outputs of all shapes.
fn encode(model: &Model, counts: &[usize], features: &[f32]) -> Result<Vec<Output>> {
    let dim = model.header.architecture.dim;
    let mut outputs = Vec::with_capacity(counts.len());
    let (mut shape, mut row) = (0, 0);
    while shape < counts.len() {
        // Shapes are taken while the padded batch stays small; one at least.
        let mut taken = 1;
        let mut most = counts[shape];
        while let Some(&count) = counts.get(shape + taken)
            && (taken + 1) * most.max(count) <= BATCH_VIEWS
        {
            most = most.max(count);
            taken += 1;
        }
        let counts = &counts[shape..shape + taken];
        let rows: usize = counts.iter().sum();
        let features = &features[row * dim..(row + rows) * dim];
        outputs.extend(encode_batch(model, counts, features)?);
        shape += taken;
        row += rows;
    }
    Ok(outputs)
}

fn encode_batch(model: &Model, counts: &[usize], features: &[f32]) -> Result<Vec<Output>> {
    let dim = model.header.architecture.dim;
    let rows = Tensor::<2>::from_data(TensorData::new(features.to_vec(), [features.len() / dim, dim]), &Device::flex());
    let (views, absent) = batch_views(rows, counts)?;
    let transition = model.encoder.pooled(views, absent);
    let logits = model.head.as_ref().map(|head| head.forward(transition.clone()));
    let logits = logits.map(|logits| Ok::<_, Error>((logits.dims()[1], numbers(logits)?))).transpose()?;
    let sets = numbers(transition)?;
    let mut rest = features;
    let output = |(shape, &count): (usize, &usize)| {
        let (views, others) = rest.split_at(count * dim);
        rest = others;
        Output {
            embedding: Embedding {
                set: sets[shape * 2 * dim..(shape + 1) * 2 * dim].to_vec(),
                views: views.chunks_exact(dim).map(<[f32]>::to_vec).collect(),
            },
            logits: logits.as_ref().map(|(classes, all)| all[shape * classes..(shape + 1) * classes].to_vec()),
        }
    };
    Ok(counts.iter().enumerate().map(output).collect())
}
