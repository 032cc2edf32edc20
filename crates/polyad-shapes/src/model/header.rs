//! The header of a model file: everything but the weights.

use crate::error::{Error, Result};
use crate::render::{RenderSettings, Style, VERSION};
use crate::view_set::View;
use crate::vsformer::VsFormerConfig;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Everything but the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Digest of the rest of the header and of all weights; [`Model::new`](super::Model::new) fills it in.
    pub checksum: String,
    /// Version of this format; [`Definition::new`](super::Definition::new) fills it in.
    pub format: u32,
    /// Version of polyad that wrote it.
    pub polyad: String,
    /// Sizes of the network.
    pub architecture: VsFormerConfig,
    /// How pixels become numbers.
    pub input: InputNormalisation,
    /// How shapes must be rendered.
    pub render: RenderSettings,
    /// Names of the classes in the order of the logits, or `None`: the model only embeds.
    pub classes: Option<Vec<String>>,
    /// How weights are stored.
    #[serde(default)]
    pub precision: Precision,
    /// Whatever is worth knowing of how it was made. Free-form.
    #[serde(default)]
    pub training: serde_json::Value,
}

/// How weights are stored. They are computed with in single precision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Matrices and kernels in half precision; vectors, and with them running variances, in single.
    F16,
}

/// `(pixel * scale - mean) / deviation`, per channel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InputNormalisation {
    /// What a pixel, 0 to 255, is multiplied by.
    pub scale: f32,
    /// Subtracted; red, green, blue.
    pub mean: [f32; 3],
    /// Divided by; red, green, blue.
    pub deviation: [f32; 3],
}

impl Default for InputNormalisation {
    fn default() -> Self {
        Self::IMAGENET
    }
}

impl InputNormalisation {
    /// torchvision's, which the published code uses.
    pub const IMAGENET: Self =
        InputNormalisation { scale: 1.0 / 255.0, mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

    /// `(x - 127) / 128`, as EfficientNet-Lite was trained.
    pub const TENSORFLOW: Self = InputNormalisation { scale: 1.0, mean: [127.0; 3], deviation: [128.0; 3] };

    /// White, which surrounds a shape, is 0, and so is what a convolution sees beyond the edge of a picture. Otherwise each
    /// picture had a frame; and statistics of batches, which follow how much white is in them, wander more.
    pub const WHITE_IS_ZERO: Self = InputNormalisation { scale: 1.0 / 255.0, mean: [1.0; 3], deviation: [0.25; 3] };

    /// Turns views of one size into the network's input. Grey views become three equal channels first.
    ///
    /// # Shapes
    /// - views: `n` of one size, 1 or 3 channels each, mixed as they come
    /// - output: `[n, 3, height, width]`
    pub fn tensor(&self, views: &[&View], device: &Device) -> Result<Tensor<4>> {
        let Some(first) = views.first() else {
            return Err(Error::Invalid("no views".into()));
        };
        let (width, height) = (first.width, first.height);
        let plane = width * height;
        let mut numbers = vec![0f32; views.len() * 3 * plane];
        for (view, planes) in views.iter().zip(numbers.chunks_exact_mut((3 * plane).max(1))) {
            check_pixels(view)?;
            if (view.width, view.height) != (width, height) {
                let sizes = format!("{} x {} and {width} x {height}", view.width, view.height);
                return Err(Error::Invalid(format!("views of one set differ in size: {sizes}")));
            }
            for (channel, plane) in planes.chunks_exact_mut(plane).enumerate() {
                let (scale, shift) =
                    (self.scale / self.deviation[channel], self.mean[channel] / self.deviation[channel]);
                let offset = if view.channels == 3 { channel } else { 0 };
                for (number, pixel) in plane.iter_mut().zip(view.pixels.iter().skip(offset).step_by(view.channels)) {
                    *number = f32::from(*pixel) * scale - shift;
                }
            }
        }
        Ok(Tensor::from_data(TensorData::new(numbers, [views.len(), 3, height, width]), device))
    }
}

/// Refuses a view whose numbers do not fit together.
fn check_pixels(view: &View) -> Result<()> {
    let expected = view.width.checked_mul(view.height).and_then(|n| n.checked_mul(view.channels));
    if !matches!(view.channels, 1 | 3) || expected != Some(view.pixels.len()) || view.pixels.is_empty() {
        return Err(Error::Invalid(format!(
            "a view of {} x {} pixels and {} channels with {} numbers",
            view.width,
            view.height,
            view.channels,
            view.pixels.len()
        )));
    }
    Ok(())
}

impl Header {
    /// The newest format that this version reads: 2, which may store tensors as a bitmap and numbers. Where none is stored so,
    /// 1 is written, which older versions read.
    pub const FORMAT: u32 = 2;

    /// The header of a new model, with ImageNet's normalisation.
    pub fn new(architecture: VsFormerConfig, render: RenderSettings, classes: Option<Vec<String>>) -> Self {
        Header {
            checksum: String::new(),
            format: 1,
            polyad: env!("CARGO_PKG_VERSION").into(),
            architecture,
            input: InputNormalisation::default(),
            render,
            classes,
            precision: Precision::default(),
            training: serde_json::Value::Null,
        }
    }

    /// The error of a file that a newer version wrote.
    pub(super) fn newer(polyad: &str, format: u32) -> Error {
        let (own, newest) = (env!("CARGO_PKG_VERSION"), Self::FORMAT);
        Error::Model(format!(
            "written by polyad {polyad} in format {format}; this version, {own}, reads up to format {newest}"
        ))
    }

    /// Refuses a header whose parts contradict each other.
    pub fn check(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::Model(problem));
        self.architecture.check().map_err(|error| Error::Model(error.reason()))?;
        let named = self.classes.as_ref().map(Vec::len);
        if named != self.architecture.classes {
            let count = |n: Option<usize>| n.map_or("no classes".into(), |n| format!("{n} classes"));
            return refuse(format!(
                "its network has {}, its header names {}",
                count(self.architecture.classes),
                count(named)
            ));
        }
        // Another renderer's version may be read: the pictures may come from elsewhere. Rendering itself refuses it.
        let drawn = RenderSettings { version: VERSION, ..self.render.clone() };
        drawn.check().map_err(|error| Error::Model(error.reason()))?;
        let (size, smallest) = (self.render.size, self.architecture.backbone.smallest());
        if size < smallest {
            return refuse(format!("views of {size} pixels; {} takes {smallest} at least", self.architecture.backbone));
        }
        let input = &self.input;
        let numbers = input.mean.iter().chain(&input.deviation).chain([&input.scale]);
        if !numbers.into_iter().all(|x| x.is_finite()) || input.deviation.contains(&0.0) {
            return refuse("its input normalisation is not finite".into());
        }
        Ok(())
    }

    /// Refuses pictures made with other settings, naming the first that differs and both values.
    pub fn check_settings(&self, found: &RenderSettings) -> Result<()> {
        let own = &self.render;
        let word = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
        let pairs = [
            ("views", word(&own.views), word(&found.views)),
            ("size", word(&own.size), word(&found.size)),
            ("style", word(&own.style), word(&found.style)),
            ("frame", word(&own.frame), word(&found.frame)),
            ("samples", word(&own.samples), word(&found.samples)),
            ("renderer version", word(&own.version), word(&found.version)),
        ];
        match pairs.into_iter().find(|(_, own, found)| own != found) {
            Some((name, own, found)) => Err(Error::Model(format!("it was made for {name} {own}, not {found}"))),
            None => Ok(()),
        }
    }

    /// Names of the classes; an error where there are none.
    pub fn named_classes(&self) -> Result<&[String]> {
        self.classes.as_deref().ok_or_else(|| Error::Model("it has no classes, it only embeds".into()))
    }

    /// Refuses other classes than the model's, naming the first that differs.
    pub fn check_classes(&self, found: &[String]) -> Result<()> {
        let own = self.named_classes()?;
        if own.len() != found.len() {
            return Err(Error::Model(format!("it knows {} classes, the data have {}", own.len(), found.len())));
        }
        match own.iter().zip(found).position(|(own, found)| own != found) {
            Some(index) => {
                Err(Error::Model(format!("its class {index} is {:?}, that of the data {:?}", own[index], found[index])))
            }
            None => Ok(()),
        }
    }

    /// Refuses a view that the model was not made for: of another size, or grey where it wants colours.
    pub(super) fn check_view(&self, view: &View) -> Result<()> {
        let size = self.render.size;
        if (view.width, view.height) != (size, size) {
            let found = format!("{} x {}", view.width, view.height);
            return Err(Error::Model(format!("it was made for views of {size} x {size} pixels, not {found}")));
        }
        if self.render.style == Style::Normal && view.channels == 1 {
            return Err(Error::Model("it was made for views in style normal, not for grey ones".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_and_coloured_views_are_normalised_by_channel() {
        let grey = View { width: 2, height: 1, channels: 1, pixels: vec![0, 255] };
        let colour = View { width: 2, height: 1, channels: 3, pixels: vec![255, 0, 0, 0, 255, 0] };
        let tensor = InputNormalisation::IMAGENET.tensor(&[&grey, &colour], &Device::flex()).expect("two views");
        assert_eq!(tensor.dims(), [2, 3, 1, 2]);
        let numbers: Vec<f32> = tensor.into_data().try_into_vec().expect("float tensor");
        let (mean, deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        let of = |value: f64, channel: usize| ((value - mean[channel]) / deviation[channel]) as f32;
        let expected = [
            [of(0., 0), of(1., 0), of(0., 1), of(1., 1), of(0., 2), of(1., 2)],
            [of(1., 0), of(0., 0), of(0., 1), of(1., 1), of(0., 2), of(0., 2)],
        ];
        for (number, expected) in numbers.iter().zip(expected.as_flattened()) {
            assert!((number - expected).abs() < 1e-5, "{numbers:?}");
        }
    }

    #[test]
    fn views_that_do_not_fit_together_are_refused() {
        let good = View { width: 2, height: 1, channels: 1, pixels: vec![0, 255] };
        for wrong in [
            View { pixels: vec![0; 3], ..good.clone() },
            View { channels: 2, pixels: vec![0; 4], ..good.clone() },
            View { width: 1, height: 1, channels: 1, pixels: vec![0] },
            View { width: usize::MAX, ..good.clone() },
        ] {
            assert!(InputNormalisation::IMAGENET.tensor(&[&good, &wrong], &Device::flex()).is_err(), "{wrong:?}");
        }
        assert!(InputNormalisation::IMAGENET.tensor(&[], &Device::flex()).is_err());
    }

    #[test]
    fn a_view_of_another_size_or_without_the_colours_of_normals_is_refused() {
        let architecture = VsFormerConfig::published(crate::vsformer::BackboneKind::Small, None);
        let render = RenderSettings { size: 48, style: Style::Normal, ..RenderSettings::default() };
        let header = Header::new(architecture, render, None);
        let view = |size: usize, channels| View {
            width: size,
            height: size,
            channels,
            pixels: vec![0; size * size * channels],
        };
        header.check_view(&view(48, 3)).expect("its own");
        for (wrong, part) in [(view(48, 1), "grey"), (view(47, 3), "47 x 47")] {
            let message = header.check_view(&wrong).expect_err(part).to_string();
            assert!(message.contains(part), "{message:?} does not say {part:?}");
        }
        let lit = Header { render: RenderSettings { style: Style::Lit, ..header.render.clone() }, ..header };
        lit.check_view(&view(48, 1)).expect("lit views are grey");
    }
}
