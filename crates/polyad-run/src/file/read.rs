//! From bytes to a network.

use super::{CONVOLUTION, CUTS, DEPTHWISE, FORMAT, HEAD, MAGIC, MAXIMUM, MEAN, Precision, checksum, padding_from};
use crate::attention::Attention;
use crate::builder::Builder;
use crate::encoder::Block;
use crate::error::{Error, Result, spoilt};
use crate::image_network::{ImageNetwork, PICTURE};
use crate::linear::{Affine, LayerNorm, Linear};
use crate::network::{HeadLayer, Input, Network, Parts, Projection};
use crate::packed::Packed;
use crate::plan::{Operand, Padding, Plan};
use half::f16;
use polyad_simd::conv::{Combine, Cut};

impl Network {
    /// Reads a network from the bytes of its file: see the module `file` for its format.
    ///
    /// # Errors
    /// What is foreign, newer than this version, truncated, or damaged, and told apart.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.get(..MAGIC.len()) != Some(MAGIC) {
            return spoilt("no network of `polyad export`");
        }
        let mut reader = Reader { bytes, at: MAGIC.len(), precision: Precision::Single };
        let format = reader.word()?;
        if format > FORMAT {
            return spoilt(format!("written in format {format}; this version reads up to format {FORMAT}"));
        }
        let precision = reader.word()?;
        let length = u64::from_le_bytes(reader.array()?);
        if length != bytes.len() as u64 {
            return spoilt(format!("truncated or damaged: {} bytes, where it was written with {length}", bytes.len()));
        }
        let said = u64::from_le_bytes(reader.array()?);
        debug_assert_eq!(reader.at, HEAD);
        let found = checksum(bytes);
        if said != found {
            return spoilt(format!("damaged: its checksum is {said:016x}, that of its content {found:016x}"));
        }
        reader.precision = match precision {
            0 => Precision::Single,
            1 => Precision::Half,
            other => return spoilt(format!("weights in precision {other}; 0 and 1 are known")),
        };
        let parts = reader.parts()?;
        if reader.at != bytes.len() {
            return spoilt(format!("{} bytes after its end", bytes.len() - reader.at));
        }
        Network::new(parts)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    precision: Precision,
}

impl<'a> Reader<'a> {
    /// So many of the next bytes. Everything comes through here, so that nothing is taken for what is not there.
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let left = &self.bytes[self.at..];
        match left.get(..count) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => spoilt(format!("byte {}: {count} bytes are promised, {} are there", self.at, left.len())),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn word(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn count(&mut self) -> Result<usize> {
        self.word().map(|count| count as usize)
    }

    /// A number below `end`.
    fn choice(&mut self, what: &str, end: u32) -> Result<u32> {
        let at = self.at;
        match self.word()? {
            found if found < end => Ok(found),
            found => spoilt(format!("byte {at}: {what} is {found}; 0 to {} are known", end - 1)),
        }
    }

    fn is(&mut self, what: &str) -> Result<bool> {
        self.choice(what, 2).map(|is| is == 1)
    }

    fn single(&mut self) -> Result<f32> {
        self.array().map(f32::from_le_bytes)
    }

    /// Bytes of so many numbers of so many bytes each; more than can be counted are as many as can.
    fn numbers(&mut self, sizes: &[usize], width: usize) -> Result<&'a [u8]> {
        self.take(sizes.iter().fold(width, |count, size| count.saturating_mul(*size)))
    }

    fn singles(&mut self, count: usize) -> Result<Vec<f32>> {
        let bytes = self.numbers(&[count], size_of::<f32>())?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn weights(&mut self, sizes: &[usize]) -> Result<Vec<f32>> {
        Ok(match self.precision {
            Precision::Single => {
                let bytes = self.numbers(sizes, size_of::<f32>())?;
                bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            Precision::Half => {
                let bytes = self.numbers(sizes, size_of::<f16>())?;
                bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()
            }
        })
    }

    /// As many as a count says.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.count()?;
        self.several(count, &mut one)
    }

    /// So many. Each takes bytes, so a count beyond them ends soon.
    fn several<T>(&mut self, count: usize, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        (0..count).map(|_| one(self)).collect()
    }

    fn option<T>(&mut self, what: &str, one: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.is(what)? { one(self).map(Some) } else { Ok(None) }
    }

    fn parts(&mut self) -> Result<Parts> {
        let length = self.count()?;
        let description = String::from_utf8(self.take(length)?.to_vec());
        let description = description.map_err(|why| Error::File(format!("its description is no text: {why}")))?;
        let input = self.input()?;
        let body = self.plan(true)?;
        let tail = self.option("a second plan", |reader| reader.plan(false))?;
        Ok(Parts {
            description,
            input,
            images: ImageNetwork::new(body, tail)?,
            projection: self.option("a projection", Self::projection)?,
            blocks: self.list(Self::block)?,
            head: self.list(Self::head_layer)?,
        })
    }

    fn input(&mut self) -> Result<Input> {
        let size = self.count()?;
        let mut single = || self.single();
        let scale = single()?;
        let [mean, deviation] = [[single()?, single()?, single()?], [single()?, single()?, single()?]];
        Ok(Input { size, scale, mean, deviation })
    }

    fn projection(&mut self) -> Result<Projection> {
        Ok(Projection { linear: self.linear()?, rectified: self.is("whether a projection is rectified")? })
    }

    fn block(&mut self) -> Result<Block> {
        Ok(Block {
            norm: self.layer_norm()?,
            attention: self.attention()?,
            mlp_norm: self.layer_norm()?,
            expand: self.linear()?,
            contract: self.linear()?,
        })
    }

    fn head_layer(&mut self) -> Result<HeadLayer> {
        let norm = self.option("a head's norm", |reader| {
            let count = reader.count()?;
            Affine::new(reader.singles(count)?, reader.singles(count)?)
        })?;
        Ok(HeadLayer { norm, linear: self.linear()? })
    }

    fn linear(&mut self) -> Result<Linear> {
        let (inputs, outputs) = (self.count()?, self.count()?);
        let has_bias = self.is("a bias")?;
        let weights = self.weights(&[inputs, outputs])?;
        let bias = self.singles(if has_bias { outputs } else { 0 })?;
        Linear::new([inputs, outputs], &weights, bias)
    }

    fn layer_norm(&mut self) -> Result<LayerNorm> {
        let count = self.count()?;
        LayerNorm::new(self.singles(count)?, self.singles(count)?, self.single()?)
    }

    fn attention(&mut self) -> Result<Attention> {
        let (heads, axes) = (self.count()?, self.count()?);
        let is_normalised = self.is("whether attention is normalised")?;
        let scale = self.single()?;
        let query = self.linear()?;
        let keys = self.several(axes, Self::linear)?;
        let values = self.several(axes, Self::linear)?;
        let output = self.linear()?;
        let operands = if is_normalised { axes.saturating_add(1) } else { 0 };
        let gains = self.several(operands, |reader| reader.singles(heads))?;
        Ok(Attention { heads, scale, query, keys, values, output, gains })
    }

    fn plan(&mut self, is_of_pictures: bool) -> Result<Plan> {
        let channels = self.count()?;
        if channels == 0 || is_of_pictures && channels != PICTURE {
            return spoilt(format!("a plan of {channels} channels; pictures have {PICTURE}"));
        }
        let mut builder = if is_of_pictures { Builder::of_pictures(channels).0 } else { Builder::of_maps(channels) };
        for _ in 0..self.count()? {
            self.step(&mut builder)?;
        }
        builder.finish()
    }

    fn step(&mut self, builder: &mut Builder) -> Result<()> {
        let kind = self.choice("a layer's kind", 4)?;
        let input = self.count()?;
        match kind {
            CONVOLUTION | DEPTHWISE => self.convolution(builder, input, kind == DEPTHWISE),
            MAXIMUM => {
                let ([rows, columns], stride, padding) = self.window()?;
                match padding {
                    Padding::Fixed(padding) if rows == columns => {
                        builder.max_pool(input, rows, stride, padding).map(|_| ())
                    }
                    _ => spoilt(format!("a maximum over {rows} x {columns} with a padding of {padding:?}")),
                }
            }
            MEAN => {
                let side = self.count()?;
                builder.mean_pool(input, side).map(|_| ())
            }
            other => spoilt(format!("a layer of kind {other}")),
        }
    }

    fn convolution(&mut self, builder: &mut Builder, input: usize, is_depthwise: bool) -> Result<()> {
        let (kernel, stride, padding) = self.window()?;
        let [rows, columns] = kernel;
        let outputs = self.count()?;
        if outputs == 0 {
            return spoilt("a convolution to 0 channels");
        }
        let (second, cut) = self.ends()?;
        // Asked before weights are read, because packing goes by the lanes of what there is.
        let (inputs, lanes) = (builder.channels(input)?, builder.lanes(input)?);
        let how = (stride, padding);
        if is_depthwise {
            let weights = self.weights(&[outputs, rows, columns])?;
            let packed = Packed::depthwise(kernel, self.singles(outputs)?, |c, tap| weights[c * rows * columns + tap]);
            builder.depthwise(input, packed, how, second, cut)?;
        } else {
            let weights = self.weights(&[outputs, inputs, rows, columns])?;
            let at = |o: usize, i: usize, tap: usize| weights[(o * inputs + i) * rows * columns + tap];
            let packed = Packed::convolution([outputs, inputs], kernel, lanes, self.singles(outputs)?, at);
            builder.convolution(input, packed, how, second, cut)?;
        }
        Ok(())
    }

    fn ends(&mut self) -> Result<(Option<Operand>, Cut)> {
        let how = self.choice("a combination", 3)?;
        let id = self.count()?;
        let second = match how {
            0 => None,
            1 => Some((id, Combine::Add)),
            _ => Some((id, Combine::Multiply)),
        };
        let cut = self.choice("a cut", CUTS.len() as u32)?;
        Ok((second, CUTS[cut as usize]))
    }

    fn window(&mut self) -> Result<([usize; 2], usize, Padding)> {
        Ok(([self.count()?, self.count()?], self.count()?, padding_from(self.word()?)))
    }
}
