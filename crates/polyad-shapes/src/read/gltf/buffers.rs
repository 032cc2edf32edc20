//! Where the bytes of a glTF file are: chunks, `data:` URIs, files beside it.

use crate::error::{At, Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gltf_json::Root;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

const MAGIC: &[u8] = b"glTF";
const JSON: &[u8; 4] = b"JSON";
const BINARY: &[u8; 4] = b"BIN\0";

/// The JSON and the binary chunk of either form.
pub fn split(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>)> {
    if !bytes.starts_with(MAGIC) {
        return Ok((bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes), None));
    }
    match number(bytes, 4) {
        Some(2) => {}
        Some(version) => return Err(Error::Unsupported(format!("GLB of version {version}"))),
        None => return Err(Error::malformed(At::Byte(4), "the file ends inside its header")),
    }
    let (mut json, mut binary) = (None, None);
    let mut next = 12;
    while next < bytes.len() {
        let length = number(bytes, next)
            .ok_or_else(|| Error::malformed(At::Byte(next), "the file ends inside a chunk's header"))?;
        let kind = bytes.get(next + 4..next + 8).unwrap_or_default();
        let body = next + 8;
        let chunk = body.checked_add(length).and_then(|end| bytes.get(body..end)).ok_or_else(|| {
            let held = bytes.len().saturating_sub(body);
            Error::malformed(At::Byte(next), format!("a chunk of {length} bytes, but {held} follow"))
        })?;
        if kind == JSON && json.is_none() {
            json = Some(chunk);
        } else if kind == BINARY && binary.is_none() {
            binary = Some(chunk);
        }
        next = body + length;
    }
    json.map(|json| (json, binary)).ok_or_else(|| Error::malformed(At::Byte(12), "no JSON chunk"))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk) as usize)
}

/// The bytes of every buffer.
pub fn load<'a>(
    root: &Root,
    binary: Option<&'a [u8]>,
    resolve: &dyn Fn(&str) -> Result<Vec<u8>>,
) -> Result<Vec<Cow<'a, [u8]>>> {
    let load_one = |(index, buffer): (usize, &gltf_json::Buffer)| -> Result<Cow<'a, [u8]>> {
        let malformed = |problem: String| Error::malformed(At::Part(format!("buffer {index}")), problem);
        let bytes = match &buffer.uri {
            None if index == 0 && binary.is_some() => Cow::Borrowed(binary.unwrap_or_default()),
            // Compressed views keep a stand-in buffer without bytes: whoever reads it is told then.
            None => Cow::Borrowed(&[][..]),
            Some(uri) => Cow::Owned(match embedded(uri).map_err(&malformed)? {
                Some(bytes) => bytes,
                None => match file_name(uri)? {
                    Some(name) => resolve(&name)?,
                    None => return Err(malformed("an address that is neither data nor a file".into())),
                },
            }),
        };
        let promised = buffer.byte_length.0;
        if buffer.uri.is_some() && promised > bytes.len() as u64 {
            return Err(malformed(format!("promises {promised} bytes, but has {}", bytes.len())));
        }
        Ok(bytes)
    };
    root.buffers.iter().enumerate().map(load_one).collect()
}

/// The bytes of a `data:` URI; `None` where it is none.
fn embedded(uri: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(data) = uri.strip_prefix("data:") else { return Ok(None) };
    let (head, body) = data.split_once(',').ok_or("a `data:` address without a comma")?;
    if head.ends_with(";base64") {
        STANDARD.decode(body.trim()).map(Some).map_err(|error| format!("base64: {error}"))
    } else {
        Ok(Some(percent_decode_str(body).collect()))
    }
}

/// The name of the file that an address stands for, relative to the folder of the glTF file; `None` for
/// `data:`.
///
/// # Errors
/// Absolute paths, other schemes, and paths with `..`: a model must not be able to read what lies elsewhere.
pub fn file_name(uri: &str) -> Result<Option<String>> {
    if uri.starts_with("data:") {
        return Ok(None);
    }
    let name = percent_decode_str(uri).decode_utf8_lossy().into_owned();
    let refused = name.is_empty()
        || name.contains([':', '\0'])
        || name.split(['/', '\\']).enumerate().any(|(i, part)| part == ".." || (i == 0 && part.is_empty()));
    if refused {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
        return Err(Error::Unsupported(format!("buffers outside the file's own folder (`{shown}`)")));
    }
    Ok(Some(name.replace('\\', "/")))
}
