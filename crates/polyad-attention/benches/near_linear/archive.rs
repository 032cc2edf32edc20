//! Operands of attention from an archive of NumPy's: q, k1, v1, k2, v2, .. as `[n, d]` or `[batch, heads, n, d]`, and the
//! number scale, as `polyad attend` reads them. Masks, biases and forms other than the linear one are refused.

use crate::problems::Case;
use npyz::{DType, NpyFile, NpyHeader, Order, TypeChar};
use polyad_attention::Problem;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

/// The most that an array may unpack to.
const MOST_BYTES: u64 = 1 << 32;

struct Array {
    shape: Vec<usize>,
    numbers: Vec<f32>,
}

/// A problem with its operands, or what is wrong with the file, in a line.
pub fn read(path: &Path) -> Result<Case, String> {
    arrays(path).and_then(case).map_err(|problem| format!("{}: {problem}", path.display()))
}

fn arrays(path: &Path) -> Result<BTreeMap<String, Array>, String> {
    let file = File::open(path).map_err(|why| why.to_string())?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|why| format!("not a .npz file: {why}"))?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(|why| why.to_string())?;
        let name = member.name().map_err(|why| why.to_string())?.trim_end_matches(".npy").to_owned();
        let mut bytes = Vec::new();
        member.take(MOST_BYTES).read_to_end(&mut bytes).map_err(|why| format!("{name}: {why}"))?;
        let array = array(&bytes).map_err(|problem| format!("{name}: {problem}"))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

fn array(bytes: &[u8]) -> Result<Array, String> {
    let mut cursor = Cursor::new(bytes);
    let header = NpyHeader::from_reader(&mut cursor).map_err(|why| format!("not an array: {why}"))?;
    let data = bytes.get(cursor.position() as usize..).unwrap_or_default();
    let kind = match header.dtype() {
        DType::Plain(kind) if kind.type_char() == TypeChar::Float && [4, 8].contains(&kind.size_field()) => kind,
        other => return Err(format!("{}; numbers of single or double precision are wanted", other.descr())),
    };
    let shape: Vec<usize> = header.shape().iter().map(|n| *n as usize).collect();
    if header.order() == Order::Fortran && shape.len() > 1 {
        return Err("its first axis is innermost; the last one is wanted there".into());
    }
    let bytes = shape.iter().try_fold(kind.size_field() as usize, |all, n| all.checked_mul(*n));
    if bytes != Some(data.len()) {
        return Err(format!("shape {shape:?} of {kind} does not take the {} bytes that are there", data.len()));
    }
    let file = NpyFile::with_header(header.clone(), data);
    let numbers = match kind.size_field() {
        4 => file.into_vec::<f32>(),
        _ => file.into_vec::<f64>().map(|numbers| numbers.iter().map(|x| *x as f32).collect()),
    };
    Ok(Array { shape, numbers: numbers.map_err(|why| why.to_string())? })
}

/// An operand as batch, heads, tokens, features.
fn operand(arrays: &mut BTreeMap<String, Array>, name: &str) -> Result<([usize; 4], Vec<f32>), String> {
    let Array { shape, numbers } = arrays.remove(name).ok_or_else(|| format!("{name} is not there"))?;
    let shape = match shape[..] {
        [n, d] => [1, 1, n, d],
        [b, h, n, d] => [b, h, n, d],
        _ => return Err(format!("{name} has shape {shape:?}; [n, d] or [batch, heads, n, d] is wanted")),
    };
    if shape.contains(&0) { Err(format!("{name} has shape {shape:?}, so nothing in it")) } else { Ok((shape, numbers)) }
}

fn case(mut arrays: BTreeMap<String, Array>) -> Result<Case, String> {
    let ([batch, heads, queries, width], q) = operand(&mut arrays, "q")?;
    let (mut tokens, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (mut key_heads, mut value_width) = (heads, width);
    for axis in 1.. {
        let (key, value) = (format!("k{axis}"), format!("v{axis}"));
        if axis > 1 && !arrays.contains_key(&key) {
            break;
        }
        let (key_shape, key_numbers) = operand(&mut arrays, &key)?;
        let (value_shape, value_numbers) = operand(&mut arrays, &value)?;
        if axis == 1 {
            (key_heads, value_width) = (key_shape[1], value_shape[3]);
        }
        let own = key_shape[2];
        if key_shape != [batch, key_heads, own, width] || value_shape != [batch, key_heads, own, value_width] {
            return Err(format!(
                "{key} is {key_shape:?} and {value} is {value_shape:?}, which does not fit the others"
            ));
        }
        tokens.push(own);
        keys.push(key_numbers);
        values.push(value_numbers);
    }
    let scale = arrays.remove("scale").ok_or("scale is not there")?;
    let [scale] = scale.numbers[..] else {
        return Err(format!("scale has shape {:?}; one number is wanted", scale.shape));
    };
    if let Some(name) = arrays.keys().next() {
        return Err(format!("{name} is there; operands q, k1, v1, .. and scale are all that is looked at"));
    }
    let order = tokens.len() + 1;
    let problem =
        Problem { batch, heads, key_heads, keys: tokens, value_width, ..Problem::new(order, queries, width, scale) };
    let case = Case { problem, q, keys, values };
    case.with_inputs(|inputs| inputs.check(&case.problem)).map_err(|why| why.to_string())?;
    Ok(case)
}
