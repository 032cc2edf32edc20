//! Image networks that turn a picture into a vector: torchvision's AlexNet, VGG-11 and ResNets, without their last layer.

pub mod alexnet;
pub mod resnet;
pub mod vgg;
