//! From a network to bytes.

use super::{CHECKSUM, CONVOLUTION, CUTS, DEPTHWISE, FORMAT, File, MAGIC, MAXIMUM, MEAN, Precision, SAME, checksum};
use crate::attention::Attention;
use crate::error::{Result, unfit};
use crate::linear::{LayerNorm, Linear};
use crate::network::{Network, Parts};
use crate::packed::Packed;
use crate::plan::{Layer, Operand, Padding, Plan, Slide, Step};
use half::f16;
use polyad_simd::conv::{Combine, Cut};

impl Network {
    /// The network as a file: see the module `file` for its format. The same network gives the same bytes.
    ///
    /// # Errors
    /// A weight that half precision has no number for, and a network that was rounded to bfloat16.
    pub fn to_file(&self, precision: Precision) -> Result<File> {
        let mut writer = Writer { bytes: MAGIC.to_vec(), precision, parameters: 0 };
        writer.word(FORMAT);
        writer.word(u32::from(precision == Precision::Half));
        // Length and checksum, once they are known.
        writer.bytes.extend([0; 16]);
        writer.parts(&self.parts)?;
        let Writer { mut bytes, parameters, .. } = writer;
        let length = bytes.len() as u64;
        bytes[16..24].copy_from_slice(&length.to_le_bytes());
        let sum = checksum(&bytes);
        bytes[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        Ok(File { bytes, parameters })
    }
}

struct Writer {
    bytes: Vec<u8>,
    precision: Precision,
    parameters: usize,
}

impl Writer {
    fn word(&mut self, word: u32) {
        self.bytes.extend(word.to_le_bytes());
    }

    fn count(&mut self, count: usize) -> Result<()> {
        match u32::try_from(count) {
            Ok(count) => self.word(count),
            Err(_) => return unfit(format!("{count} of something, where a file counts to {}", u32::MAX)),
        }
        Ok(())
    }

    fn is(&mut self, is: bool) {
        self.word(u32::from(is));
    }

    fn singles(&mut self, numbers: &[f32]) {
        self.bytes.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
    }

    /// Numbers that were learnt.
    fn learnt(&mut self, numbers: &[f32]) {
        self.parameters += numbers.len();
        self.singles(numbers);
    }

    fn weights(&mut self, numbers: &[f32]) -> Result<()> {
        if self.precision == Precision::Single {
            self.learnt(numbers);
            return Ok(());
        }
        if let Some(large) = numbers.iter().find(|x| x.is_finite() && f16::from_f32(**x).is_infinite()) {
            return unfit(format!("a weight of {large}, where half precision ends at {}", f16::MAX));
        }
        self.parameters += numbers.len();
        self.bytes.extend(numbers.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()));
        Ok(())
    }

    fn parts(&mut self, parts: &Parts) -> Result<()> {
        self.count(parts.description.len())?;
        self.bytes.extend(parts.description.as_bytes());
        let input = &parts.input;
        self.count(input.size)?;
        self.singles(&[input.scale]);
        self.singles(&input.mean);
        self.singles(&input.deviation);
        self.plan(&parts.images.body)?;
        self.is(parts.images.tail.is_some());
        if let Some(tail) = &parts.images.tail {
            self.plan(tail)?;
        }
        self.is(parts.projection.is_some());
        if let Some(projection) = &parts.projection {
            self.linear(&projection.linear)?;
            self.is(projection.rectified);
        }
        self.count(parts.blocks.len())?;
        for block in &parts.blocks {
            self.layer_norm(&block.norm)?;
            self.attention(&block.attention)?;
            self.layer_norm(&block.mlp_norm)?;
            self.linear(&block.expand)?;
            self.linear(&block.contract)?;
        }
        self.count(parts.head.len())?;
        for layer in &parts.head {
            self.is(layer.norm.is_some());
            if let Some(norm) = &layer.norm {
                self.count(norm.scale.len())?;
                self.learnt(&norm.scale);
                self.learnt(&norm.shift);
            }
            self.linear(&layer.linear)?;
        }
        Ok(())
    }

    fn linear(&mut self, linear: &Linear) -> Result<()> {
        self.count(linear.inputs)?;
        self.count(linear.outputs)?;
        self.is(!linear.bias.is_empty());
        self.weights(&linear.plain())?;
        self.learnt(&linear.bias);
        Ok(())
    }

    fn layer_norm(&mut self, norm: &LayerNorm) -> Result<()> {
        self.count(norm.gamma.len())?;
        self.learnt(&norm.gamma);
        self.learnt(&norm.beta);
        self.singles(&[norm.epsilon]);
        Ok(())
    }

    fn attention(&mut self, attention: &Attention) -> Result<()> {
        self.count(attention.heads)?;
        self.count(attention.keys.len())?;
        self.is(!attention.gains.is_empty());
        self.singles(&[attention.scale]);
        self.linear(&attention.query)?;
        attention.keys.iter().try_for_each(|linear| self.linear(linear))?;
        attention.values.iter().try_for_each(|linear| self.linear(linear))?;
        self.linear(&attention.output)?;
        attention.gains.iter().for_each(|gains| self.learnt(gains));
        Ok(())
    }

    fn plan(&mut self, plan: &Plan) -> Result<()> {
        self.count(plan.inputs())?;
        // The first step of a plan of pictures is what makes it one, and is not written.
        let steps = &plan.steps[usize::from(plan.is_of_pictures())..];
        self.count(steps.len())?;
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, Step { layer, input, .. }: &Step) -> Result<()> {
        match layer {
            Layer::Interleave => unfit("pictures in the middle of a network"),
            Layer::Convolution { packed, slide, second, cut } => {
                let Some(weights) = packed.plain() else {
                    return unfit("weights rounded to bfloat16, which a file does not hold");
                };
                self.head(CONVOLUTION, *input)?;
                self.ends(packed, slide, *second, *cut)?;
                self.weights(&weights)?;
                self.learnt(&packed.bias[..packed.outputs]);
                Ok(())
            }
            Layer::Depthwise { packed, slide, second, cut } => {
                self.head(DEPTHWISE, *input)?;
                self.ends(packed, slide, *second, *cut)?;
                self.weights(&packed.plain())?;
                self.learnt(&packed.bias[..packed.outputs]);
                Ok(())
            }
            Layer::MaxPool(slide) => {
                self.head(MAXIMUM, *input)?;
                self.window(slide)
            }
            Layer::MeanPool { side } => {
                self.head(MEAN, *input)?;
                self.count(*side)
            }
        }
    }

    fn head(&mut self, kind: u32, input: usize) -> Result<()> {
        self.word(kind);
        self.count(input)
    }

    fn ends<W>(&mut self, packed: &Packed<W>, slide: &Slide, second: Option<Operand>, cut: Cut) -> Result<()> {
        self.window(slide)?;
        self.count(packed.outputs)?;
        let (how, id) = match second {
            None => (0, 0),
            Some((id, Combine::Add)) => (1, id),
            Some((id, Combine::Multiply)) => (2, id),
        };
        self.word(how);
        self.count(id)?;
        match CUTS.iter().position(|known| *known == cut) {
            Some(number) => self.count(number),
            None => unfit(format!("a cut to {} to {}, which a file has no number for", cut.low, cut.high)),
        }
    }

    fn window(&mut self, slide: &Slide) -> Result<()> {
        let [rows, columns] = slide.kernel;
        [rows, columns, slide.stride].into_iter().try_for_each(|size| self.count(size))?;
        match slide.padding {
            Padding::Fixed(padding) => self.count(padding)?,
            Padding::Same => self.word(SAME),
        }
        Ok(())
    }
}
