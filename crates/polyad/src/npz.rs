//! NumPy's archives: a zip file with an array in each member. Arrays are read as double precision or text, whatever
//! their number type, and written as single precision.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use crate::failure::{Failure, Result};
use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder};
use polyad_shapes::Error;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, Write};
use std::path::Path;

/// The most that a member may unpack to: an array of 2^29 doubles.
const MOST_BYTES: u64 = 1 << 32;
/// The longest header of an array; real ones take 128 bytes.
const LONGEST_HEADER: usize = 1 << 16;

/// An array, its last axis contiguous.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

/// What an array holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    Numbers(Vec<f64>),
    /// A single text.
    Text(String),
}

/// Reads all arrays of an archive.
pub fn read(path: &Path) -> Result<BTreeMap<String, Array>> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let bad = |problem: String| Failure::failed(format!("{}: {problem}", path.display()));
    let mut archive =
        zip::ZipArchive::new(BufReader::new(file)).map_err(|why| bad(format!("not a .npz file: {why}")))?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(|why| bad(why.to_string()))?;
        let name = member.name().map_err(|why| bad(why.to_string()))?.trim_end_matches(".npy").to_owned();
        let mut bytes = Vec::new();
        member.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|why| bad(format!("{name}: {why}")))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(bad(format!("{name}: more than {MOST_BYTES} bytes")));
        }
        let array = parse(&bytes).map_err(|problem| bad(format!("{name}: {problem}")))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

/// Reads one array.
fn parse(bytes: &[u8]) -> Result<Array, String> {
    check_header(bytes)?;
    let mut cursor = Cursor::new(bytes);
    let header = npyz::NpyHeader::from_reader(&mut cursor).map_err(|why| format!("not an array: {why}"))?;
    let start = usize::try_from(cursor.position()).map_err(|why| why.to_string())?;
    let data = bytes.get(start..).unwrap_or_default();
    let DType::Plain(kind) = header.dtype() else { return Err("a record array; plain numbers are wanted".into()) };
    let shape: Vec<usize> =
        header.shape().iter().map(|n| usize::try_from(*n)).collect::<Result<_, _>>().map_err(|why| why.to_string())?;
    let count = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
    let size = kind.num_bytes().filter(|size| *size > 0);
    let need = count.zip(size).and_then(|(count, size)| count.checked_mul(size));
    let (Some(count), Some(need)) = (count, need) else { return Err(format!("shape {shape:?} of {kind}")) };
    if need != data.len() {
        return Err(format!("shape {shape:?} of {kind} needs {need} bytes, there are {}", data.len()));
    }
    let order = header.order();
    if kind.type_char() == TypeChar::UnicodeStr {
        return Ok(Array { values: Values::Text(text(data, count)?), shape });
    }
    let file = || NpyFile::with_header(header.clone(), data);
    let numbers: Vec<f64> = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 8) => file().into_vec().map_err(|why| why.to_string())?,
        (TypeChar::Float, 4) => widened::<f32>(file())?,
        (TypeChar::Float, 2) => {
            file().into_vec::<half::f16>().map_err(|why| why.to_string())?.iter().map(|x| x.to_f64()).collect()
        }
        (TypeChar::Int, 8) => {
            file().into_vec::<i64>().map_err(|why| why.to_string())?.iter().map(|x| *x as f64).collect()
        }
        (TypeChar::Int, 4) => widened::<i32>(file())?,
        (TypeChar::Int, 2) => widened::<i16>(file())?,
        (TypeChar::Int, 1) => widened::<i8>(file())?,
        (TypeChar::Uint, 8) => {
            file().into_vec::<u64>().map_err(|why| why.to_string())?.iter().map(|x| *x as f64).collect()
        }
        (TypeChar::Uint, 4) => widened::<u32>(file())?,
        (TypeChar::Uint, 2) => widened::<u16>(file())?,
        (TypeChar::Uint, 1) => widened::<u8>(file())?,
        (TypeChar::Bool, _) => {
            file().into_vec::<bool>().map_err(|why| why.to_string())?.iter().map(|x| f64::from(u8::from(*x))).collect()
        }
        _ => return Err(format!("numbers of type {kind}, which are not read")),
    };
    let numbers = if order == Order::Fortran { transposed(&numbers, &shape) } else { numbers };
    Ok(Array { shape, values: Values::Numbers(numbers) })
}

/// The parser takes memory by the header's length, so it is compared with what is there first.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    let said = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => usize::from(u16::from_le_bytes([*a, *b])),
        [0x93, b'N', b'U', b'M', b'P', b'Y', _, _, a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]) as usize,
        _ => return Err("not an array of NumPy's".into()),
    };
    if said > bytes.len().min(LONGEST_HEADER) { Err(format!("a header of {said} bytes")) } else { Ok(()) }
}

fn widened<T: npyz::Deserialize + Into<f64>>(file: NpyFile<&[u8]>) -> Result<Vec<f64>, String> {
    let numbers: Vec<T> = file.into_vec().map_err(|why| why.to_string())?;
    Ok(numbers.into_iter().map(Into::into).collect())
}

/// NumPy keeps text as UTF-32, filled up with zeros.
fn text(data: &[u8], count: usize) -> Result<String, String> {
    if count != 1 {
        return Err(format!("{count} texts, where one is wanted"));
    }
    let (letters, _) = data.as_chunks::<4>();
    let letters = letters.iter().map(|letter| char::from_u32(u32::from_le_bytes(*letter)));
    let text: Option<String> = letters.collect();
    text.map(|text| text.trim_end_matches('\0').to_owned()).ok_or_else(|| "a text that is not Unicode".into())
}

/// From the first axis innermost to the last axis innermost.
fn transposed(numbers: &[f64], shape: &[usize]) -> Vec<f64> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for n in shape {
        strides.push(stride);
        stride *= n;
    }
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(numbers.len());
    for _ in 0..numbers.len() {
        out.push(numbers[index.iter().zip(&strides).map(|(i, stride)| i * stride).sum::<usize>()]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// An archive being written.
pub struct Writer<W: Write + Seek> {
    zip: zip::ZipWriter<W>,
}

impl<W: Write + Seek> Writer<W> {
    pub fn new(file: W) -> Self {
        Writer { zip: zip::ZipWriter::new(file) }
    }

    /// Adds an array.
    pub fn add<T: npyz::AutoSerialize + Copy>(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[T],
    ) -> std::io::Result<()> {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .large_file(size_of_val(values) >= 1 << 31);
        self.zip.start_file(format!("{name}.npy"), options)?;
        let shape: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut self.zip).begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()
    }

    /// Ends the archive.
    pub fn finish(self) -> std::io::Result<()> {
        self.zip.finish()?;
        Ok(())
    }
}
