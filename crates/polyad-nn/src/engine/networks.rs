//! Plans of the image networks: one function each, reading as the module's own `forward`.

use super::layers::Layers;
use crate::backbone::alexnet::{self, AlexNet};
use crate::backbone::efficientnet::EfficientNet;
use crate::backbone::resnet::{self, ResNet};
use crate::backbone::small::SmallNet;
use crate::backbone::vgg::{self, Vgg};
use crate::error::Result;
use crate::hadamard::correlation::starnet::{self, StarNet};
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use polyad_run::{Id, Operand, PICTURE, Padding, Plan};
use polyad_simd::conv::{Combine, Cut};

/// Up to a map of means, and what follows it for all images at once: layers whose weights are so many that reading them
/// costs more than a few images' arithmetic.
pub(super) type Parts = (Plan, Option<Plan>);

/// A residual.
fn add(id: Id) -> Operand {
    (id, Combine::Add)
}

pub(super) fn small(net: &SmallNet) -> Result<Parts> {
    let (mut plan, picture) = Layers::of_pictures(PICTURE);
    let convolution = |plan: &mut Layers, x, layer: &crate::backbone::small::Convolution, second: Option<Id>, cut| {
        let padding = Padding::Fixed(layer.weight.dims()[2] / 2);
        plan.convolution(x, &layer.weight, None, Some(&layer.norm), (layer.stride, padding), second.map(add), cut)
    };
    let mut x = convolution(&mut plan, picture, &net.stem, None, Cut::RELU)?;
    for block in &net.blocks {
        let shortcut = convolution(&mut plan, x, &block.shortcut, None, Cut::NONE)?;
        let inner = convolution(&mut plan, x, &block.first, None, Cut::RELU)?;
        x = convolution(&mut plan, inner, &block.second, Some(shortcut), Cut::RELU)?;
    }
    plan.mean_pool(x, 1)?;
    Ok((plan.finish()?, None))
}

pub(super) fn resnet(net: &ResNet) -> Result<Parts> {
    let (mut plan, picture) = Layers::of_pictures(PICTURE);
    let convolution = |plan: &mut Layers, x, conv: &Conv2d, norm, second: Option<Id>, cut| {
        let how = (conv.stride[0], Padding::Fixed(conv.kernel_size[0] / 2));
        plan.convolution(x, &conv.weight, conv.bias.as_ref(), Some(norm), how, second.map(add), cut)
    };
    let stem = convolution(&mut plan, picture, &net.conv1, &net.bn1, None, Cut::RELU)?;
    let mut x = plan.max_pool(stem, 3, 2, 1)?;
    for block in [&net.layer1, &net.layer2, &net.layer3, &net.layer4].into_iter().flatten() {
        let resnet::Block { conv1, bn1, conv2, bn2, conv3, bn3, downsample } = block;
        let around = match downsample {
            Some(around) => convolution(&mut plan, x, &around.conv, &around.norm, None, Cut::NONE)?,
            None => x,
        };
        let inner = convolution(&mut plan, x, conv1, bn1, None, Cut::RELU)?;
        x = match (conv3, bn3) {
            (Some(conv3), Some(bn3)) => {
                let inner = convolution(&mut plan, inner, conv2, bn2, None, Cut::RELU)?;
                convolution(&mut plan, inner, conv3, bn3, Some(around), Cut::RELU)?
            }
            _ => convolution(&mut plan, inner, conv2, bn2, Some(around), Cut::RELU)?,
        };
    }
    plan.mean_pool(x, 1)?;
    Ok((plan.finish()?, None))
}

pub(super) fn alexnet(net: &AlexNet) -> Result<Parts> {
    let body = plain(&net.features, &alexnet::POOLED, (3, 2), alexnet::SIDE)?;
    Ok((body, Some(linear_layers(&net.fc1, &net.fc2, alexnet::SIDE)?)))
}

pub(super) fn vgg(net: &Vgg) -> Result<Parts> {
    let body = plain(&net.features, &vgg::POOLED, (2, 2), vgg::SIDE)?;
    Ok((body, Some(linear_layers(&net.fc1, &net.fc2, vgg::SIDE)?)))
}

/// Convolutions, some of them followed by a pool of (kernel, stride), and a map of `side` × `side` means.
fn plain(features: &[Conv2d], pooled: &[usize], (kernel, stride): (usize, usize), side: usize) -> Result<Plan> {
    let (mut plan, mut x) = Layers::of_pictures(PICTURE);
    for (index, conv) in features.iter().enumerate() {
        // Both networks keep a border of half the kernel, but for AlexNet's first.
        let padding = match &conv.padding {
            burn::nn::PaddingConfig2d::Explicit(top, ..) => *top,
            _ => 0,
        };
        let how = (conv.stride[0], Padding::Fixed(padding));
        x = plan.convolution(x, &conv.weight, conv.bias.as_ref(), None, how, None, Cut::RELU)?;
        if pooled.contains(&index) {
            x = plan.max_pool(x, kernel, stride, 0)?;
        }
    }
    plan.mean_pool(x, side)?;
    plan.finish()
}

fn linear_layers(fc1: &Linear, fc2: &Linear, side: usize) -> Result<Plan> {
    let mut plan = Layers::of_maps(fc1.weight.dims()[0] / (side * side));
    let hidden: Id = plan.linear(0, fc1, side, Cut::RELU)?;
    plan.linear(hidden, fc2, 1, Cut::RELU)?;
    plan.finish()
}

pub(super) fn efficientnet(net: &EfficientNet) -> Result<Parts> {
    let (mut plan, picture) = Layers::of_pictures(PICTURE);
    let convolution = |plan: &mut Layers, x, conv: &Conv2d, norm, second: Option<Id>, cut| {
        let how = (conv.stride[0], Padding::Same);
        plan.convolution(x, &conv.weight, conv.bias.as_ref(), Some(norm), how, second.map(add), cut)
    };
    let mut x = convolution(&mut plan, picture, &net._conv_stem, &net._bn0, None, Cut::RELU6)?;
    for block in &net._blocks {
        let wide = match (&block._expand_conv, &block._bn0) {
            (Some(conv), Some(norm)) => convolution(&mut plan, x, conv, norm, None, Cut::RELU6)?,
            _ => x,
        };
        let inner = plan.depthwise(wide, &block._depthwise_conv, Some(&block._bn1), Padding::Same, None, Cut::RELU6)?;
        let second = block.is_residual().then_some(x);
        x = convolution(&mut plan, inner, &block._project_conv, &block._bn2, second, Cut::NONE)?;
    }
    let map = convolution(&mut plan, x, &net._conv_head, &net._bn1, None, Cut::RELU6)?;
    plan.mean_pool(map, 1)?;
    Ok((plan.finish()?, None))
}

pub(super) fn starnet(net: &StarNet) -> Result<Parts> {
    let (mut plan, picture) = Layers::of_pictures(PICTURE);
    let layer = |plan: &mut Layers, x, layer: &starnet::ConvNorm, second, cut| {
        let (conv, padding) = (&layer.conv, Padding::Fixed(layer.conv.kernel_size[0] / 2));
        let norm = layer.bn.as_ref();
        if conv.groups > 1 {
            plan.depthwise(x, conv, norm, padding, second, cut)
        } else {
            plan.convolution(x, &conv.weight, conv.bias.as_ref(), norm, (conv.stride[0], padding), second, cut)
        }
    };
    let mut x = layer(&mut plan, picture, &net.stem, None, Cut::RELU6)?;
    for stage in &net.stages {
        x = layer(&mut plan, x, &stage.down, None, Cut::NONE)?;
        for block in &stage.blocks {
            let inner = layer(&mut plan, x, &block.dwconv, None, Cut::NONE)?;
            let gate = layer(&mut plan, inner, &block.f1, None, Cut::RELU6)?;
            let star = layer(&mut plan, inner, &block.f2, Some((gate, Combine::Multiply)), Cut::NONE)?;
            let narrow = layer(&mut plan, star, &block.g, None, Cut::NONE)?;
            x = layer(&mut plan, narrow, &block.dwconv2, Some(add(x)), Cut::NONE)?;
        }
    }
    // The last norm is affine and so commutes with the mean: a 1 x 1 depthwise layer over one pixel.
    let mean = plan.mean_pool(x, 1)?;
    plan.affine(mean, &net.norm)?;
    Ok((plan.finish()?, None))
}
