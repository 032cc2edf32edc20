//! Steps of a plan from Burn's layers.

use super::fold;
use crate::error::Result;
use crate::norm::BatchNorm;
use burn::module::Param;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use polyad_run::{Builder, Id, Operand, Padding, Plan};
use polyad_simd::conv::Cut;

/// Makes a [`Plan`] of layers. Each method adds a step and gives the number of its value.
pub(super) struct Layers(Builder);

impl Layers {
    /// A plan that is given maps of blocks of channels.
    pub fn of_maps(channels: usize) -> Self {
        Layers(Builder::of_maps(channels))
    }

    /// A plan that is given pictures, and their value.
    pub fn of_pictures(channels: usize) -> (Self, Id) {
        let (builder, picture) = Builder::of_pictures(channels);
        (Layers(builder), picture)
    }

    /// A convolution with square stride. A norm is folded into it.
    #[allow(clippy::too_many_arguments, reason = "each is a part of a layer's definition, and the callers name them")]
    pub fn convolution(
        &mut self,
        input: Id,
        weight: &Param<Tensor<4>>,
        bias: Option<&Param<Tensor<1>>>,
        norm: Option<&BatchNorm>,
        how: (usize, Padding),
        second: Option<Operand>,
        cut: Cut,
    ) -> Result<Id> {
        let packed = fold::convolution(weight, bias, norm, self.0.lanes(input)?)?;
        Ok(self.0.convolution(input, packed, how, second, cut)?)
    }

    /// A depthwise convolution. A norm is folded into it.
    pub fn depthwise(
        &mut self,
        input: Id,
        conv: &Conv2d,
        norm: Option<&BatchNorm>,
        padding: Padding,
        second: Option<Operand>,
        cut: Cut,
    ) -> Result<Id> {
        Ok(self.0.depthwise(input, fold::depthwise(conv, norm)?, (conv.stride[0], padding), second, cut)?)
    }

    /// A batch norm of its own: a depthwise convolution of single pixels by ones, with the norm folded in.
    pub fn affine(&mut self, input: Id, norm: &BatchNorm) -> Result<Id> {
        Ok(self.0.depthwise(input, fold::affine(norm)?, (1, Padding::Fixed(0)), None, Cut::NONE)?)
    }

    /// A linear layer over maps of `side` × `side`.
    pub fn linear(&mut self, input: Id, linear: &Linear, side: usize, cut: Cut) -> Result<Id> {
        Ok(self.0.convolution(input, fold::linear(linear, side)?, (1, Padding::Fixed(0)), None, cut)?)
    }

    /// The greatest of each window.
    pub fn max_pool(&mut self, input: Id, kernel: usize, stride: usize, padding: usize) -> Result<Id> {
        Ok(self.0.max_pool(input, kernel, stride, padding)?)
    }

    /// A map of `side` × `side` means.
    pub fn mean_pool(&mut self, input: Id, side: usize) -> Result<Id> {
        Ok(self.0.mean_pool(input, side)?)
    }

    /// The plan whose result is the last value.
    pub fn finish(self) -> Result<Plan> {
        Ok(self.0.finish()?)
    }
}
