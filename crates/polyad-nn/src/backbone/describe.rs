//! What the image networks say of themselves: the words of each one's `forward`.

use super::alexnet::{self, AlexNet};
use super::efficientnet::{EfficientNet, InvertedResidual};
use super::resnet::{Block, ResNet};
use super::small::{Convolution, SmallNet};
use super::vgg::{self, Vgg};
use crate::hadamard::audit::{Describe, Signal, Trace};
use crate::norm::BatchNorm;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use polyad_run::same;

/// A convolution and its norm, then ReLU or the like where there is a name for it.
fn conv_norm(trace: &mut Trace, name: &str, conv: &Conv2d, norm: &BatchNorm, x: &Signal) -> Signal {
    let x = trace.conv2d(name, conv, x);
    trace.batch_norm("norm", norm, &x)
}

fn means(trace: &mut Trace, x: &Signal, side: usize) -> Signal {
    let shape = if side == 1 { vec![x.shape()[0]] } else { vec![x.shape()[0], side, side] };
    trace.mean("mean", x, &shape)
}

/// Windows of a pool of the greatest.
fn max_pool(trace: &mut Trace, x: &Signal, [kernel, stride, zeros]: [usize; 3]) -> Signal {
    let side = |size: usize| (size + 2 * zeros - kernel) / stride + 1;
    let [channels, height, width] = [0, 1, 2].map(|axis| x.shape()[axis]);
    trace.select("max_pool", x, &[channels, side(height), side(width)])
}

impl Describe for ResNet {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let x = conv_norm(trace, "conv1", &self.conv1, &self.bn1, &x);
        let x = trace.activation("relu", 0, &x);
        let mut x = max_pool(trace, &x, [3, 2, 1]);
        for (stage, blocks) in [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                x = trace.within(format!("layer{}.{index}", stage + 1), |trace| block.describe(trace, &x));
            }
        }
        means(trace, &x, 1)
    }
}

impl Block {
    fn describe(&self, trace: &mut Trace, input: &Signal) -> Signal {
        let x = conv_norm(trace, "conv1", &self.conv1, &self.bn1, input);
        let x = trace.activation("relu", 0, &x);
        let mut x = conv_norm(trace, "conv2", &self.conv2, &self.bn2, &x);
        if let (Some(conv), Some(norm)) = (&self.conv3, &self.bn3) {
            x = trace.activation("relu", 0, &x);
            x = conv_norm(trace, "conv3", conv, norm, &x);
        }
        let around = match &self.downsample {
            Some(around) => conv_norm(trace, "downsample", &around.conv, &around.norm, input),
            None => input.clone(),
        };
        let x = trace.sum("residual", &x, &around);
        trace.activation("relu", 0, &x)
    }
}

impl Describe for EfficientNet {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let x = same_conv(trace, "_conv_stem", &self._conv_stem, &self._bn0, &x);
        let mut x = trace.activation("relu6", 0, &x);
        for (index, block) in self._blocks.iter().enumerate() {
            x = trace.within(format!("_blocks.{index}"), |trace| block.describe(trace, &x));
        }
        let x = same_conv(trace, "_conv_head", &self._conv_head, &self._bn1, &x);
        let x = trace.activation("relu6", 0, &x);
        means(trace, &x, 1)
    }
}

/// A convolution with TensorFlow's "same" padding, which is not in the module, and its norm.
fn same_conv(trace: &mut Trace, name: &str, conv: &Conv2d, norm: &BatchNorm, x: &Signal) -> Signal {
    let [outputs, inputs, rows, columns] = conv.weight.lazy_shape().dims();
    let [height, width] = [0, 1].map(|axis| same(x.shape()[axis + 1], conv.kernel_size[axis], conv.stride[axis]).0);
    let weights = outputs * inputs * rows * columns;
    let x = trace.map(name, weights, weights * height * width, &[x], &[outputs, height, width]);
    trace.batch_norm("norm", norm, &x)
}

impl InvertedResidual {
    fn describe(&self, trace: &mut Trace, input: &Signal) -> Signal {
        let mut x = input.clone();
        if let (Some(conv), Some(norm)) = (&self._expand_conv, &self._bn0) {
            x = same_conv(trace, "_expand_conv", conv, norm, &x);
            x = trace.activation("relu6", 0, &x);
        }
        let x = same_conv(trace, "_depthwise_conv", &self._depthwise_conv, &self._bn1, &x);
        let x = trace.activation("relu6", 0, &x);
        let x = same_conv(trace, "_project_conv", &self._project_conv, &self._bn2, &x);
        if self.is_residual() { trace.sum("residual", &x, input) } else { x }
    }
}

impl Describe for SmallNet {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let x = self.stem.describe(trace, "stem", &x);
        let mut x = trace.activation("relu", 0, &x);
        for (index, block) in self.blocks.iter().enumerate() {
            x = trace.within(format!("blocks.{index}"), |trace| {
                let inner = block.first.describe(trace, "first", &x);
                let inner = trace.activation("relu", 0, &inner);
                let inner = block.second.describe(trace, "second", &inner);
                let shortcut = block.shortcut.describe(trace, "shortcut", &x);
                let x = trace.sum("residual", &inner, &shortcut);
                trace.activation("relu", 0, &x)
            });
        }
        means(trace, &x, 1)
    }
}

impl Convolution {
    fn describe(&self, trace: &mut Trace, name: &str, x: &Signal) -> Signal {
        let [outputs, inputs, kernel, _] = self.weight.lazy_shape().dims();
        let side = |size: usize| (size + 2 * (kernel / 2) - kernel) / self.stride + 1;
        let [height, width] = [side(x.shape()[1]), side(x.shape()[2])];
        let weights = outputs * inputs * kernel * kernel;
        let x = trace.map(name, weights, weights * height * width, &[x], &[outputs, height, width]);
        trace.batch_norm("norm", &self.norm, &x)
    }
}

/// Convolutions with ReLU, some of them pooled, and two linear layers with ReLU over a map of means.
fn plain(
    trace: &mut Trace,
    x: Signal,
    convolutions: &[Conv2d],
    (pooled, pool): (&[usize], [usize; 2]),
    side: usize,
    linears: [&Linear; 2],
) -> Signal {
    let mut x = x;
    for (index, conv) in convolutions.iter().enumerate() {
        x = trace.conv2d(&format!("features.{index}"), conv, &x);
        x = trace.activation("relu", 0, &x);
        if pooled.contains(&index) {
            x = max_pool(trace, &x, [pool[0], pool[1], 0]);
        }
    }
    let x = means(trace, &x, side);
    let mut x = x.view(&[x.elements()]);
    for (name, linear) in ["fc1", "fc2"].into_iter().zip(linears) {
        x = trace.linear(name, linear, &x);
        x = trace.activation("relu", 0, &x);
    }
    x
}

impl Describe for AlexNet {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        plain(trace, x, &self.features, (&alexnet::POOLED, alexnet::POOL), alexnet::SIDE, [&self.fc1, &self.fc2])
    }
}

impl Describe for Vgg {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        plain(trace, x, &self.features, (&vgg::POOLED, [2, 2]), vgg::SIDE, [&self.fc1, &self.fc2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::alexnet::AlexNetConfig;
    use crate::backbone::efficientnet::EfficientNetConfig;
    use crate::backbone::resnet::ResNetConfig;
    use crate::backbone::small::SmallNetConfig;
    use crate::backbone::vgg::VggConfig;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::parameters;
    use burn::module::Module;
    use burn::tensor::Device;

    #[track_caller]
    fn check<M: Module + Describe>(net: &M, multiply_adds: usize) {
        let audit = Audit::of(net, &[3, 224, 224]);
        assert_eq!(audit.parameters, parameters(net));
        assert_eq!(audit.multiply_adds, multiply_adds);
        assert!(!audit.activation_free && !audit.polynomial_at_inference);
    }

    #[test]
    fn counts_are_the_published_ones() {
        let device = Device::flex();
        // torchvision says 1,814,073,344 and 4,089,184,256 with classifiers of 512,000 and 2,048,000.
        check(&ResNetConfig::resnet18().init(&device).expect("published"), 1_814_073_344 - 512_000);
        check(&ResNetConfig::resnet50().init(&device).expect("published"), 4_089_184_256 - 2_048_000);
        // By hand: each layer's weights times its pixels.
        let small = 64 * 9 * 3 / 2 * 112 * 112
            + (32 * 9 + 48 * 9 + 32) * 48 * 56 * 56
            + (48 * 9 + 96 * 9 + 48) * 96 * 28 * 28
            + (96 * 9 + 192 * 9 + 96) * 192 * 14 * 14;
        check(&SmallNetConfig::default().init(&device).expect("default"), small);
        let alexnet = 714_188_480 - 4096 * 1000 - 4096 * 4096 + 4096 * 100;
        check(&AlexNetConfig { features: 100 }.init(&device).expect("a width"), alexnet);
        let vgg = 7_609_090_048 - 4096 * 1000 - 4096 * 4096 + 4096 * 100;
        check(&VggConfig { features: 100 }.init(&device).expect("a width"), vgg);
        let lite = EfficientNetConfig::lite0().init(&device).expect("published");
        // Published as 407 M with the classifier.
        let audit = Audit::of(&lite, &[3, 224, 224]);
        assert_eq!(audit.parameters, parameters(&lite));
        assert!((380_000_000..410_000_000).contains(&audit.multiply_adds), "{}", audit.multiply_adds);
    }
}
