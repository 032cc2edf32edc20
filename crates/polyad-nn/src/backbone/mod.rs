//! Image networks that turn a picture into a vector: torchvision's AlexNet, VGG-11 and ResNets and EfficientNet-Lite0,
//! without their last layer, and a small one of our own.

pub mod alexnet;
mod describe;
pub mod efficientnet;
pub mod resnet;
pub mod small;
pub mod vgg;
