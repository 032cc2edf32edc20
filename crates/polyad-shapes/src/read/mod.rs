//! From the bytes of a file to a [`Mesh`], whatever the format.
//!
//! One file a format; each takes bytes and gives plain values. Here the format is found and compression is
//! undone. The path is attached by whoever has one.

mod gltf;
mod gzip;
mod obj;
mod off;
mod placed;
mod ply;
mod polygons;
mod sniff;
mod stl;
mod text;
mod threemf;
mod xyz;

pub(crate) use gltf::external_buffers;
pub use gltf::read_gltf;
pub(crate) use gzip::{limit, read_limited};
pub use obj::read_obj;
pub use off::read_off;
pub use ply::read_ply;
pub use stl::read_stl;
pub use threemf::read_3mf;
pub use xyz::read_xyz;

use crate::error::{Error, Result};
use crate::mesh::Mesh;
use std::borrow::Cow;

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Stereolithography, text or binary.
    Stl,
    /// Wavefront.
    Obj,
    /// Stanford polygon file.
    Ply,
    /// Object File Format of Geomview.
    Off,
    /// Points as text.
    Xyz,
    /// glTF, as JSON or in one binary file.
    Gltf,
    /// 3D Manufacturing Format.
    ThreeMf,
}

/// The extension in lower case, after `.gz` is taken off; empty where there is none.
pub fn extension(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').map_or(String::new(), |(_, extension)| extension.to_owned())
}

/// The format that a name promises. `.txt` and `.csv` promise nothing, though points in them are found.
pub fn format_of(name: &str) -> Option<Format> {
    Some(match extension(name).as_str() {
        "stl" | "stla" | "stlb" => Format::Stl,
        "obj" => Format::Obj,
        "ply" => Format::Ply,
        "off" | "coff" | "noff" | "cnoff" | "stoff" => Format::Off,
        "xyz" | "pts" | "asc" => Format::Xyz,
        "gltf" | "glb" => Format::Gltf,
        "3mf" => Format::ThreeMf,
        _ => return None,
    })
}

/// Reads a mesh or a cloud from the bytes of a file.
///
/// `name` gives the format by its extension; where the content clearly is another, or the extension says
/// nothing, the content decides. Files compressed by gzip are unpacked, to at most 100 times their length
/// (64 MiB for small ones, 2 GiB for any). `resolve` gets the bytes of a file that a `.gltf` names, relative
/// to its folder; the names are checked before (no absolute ones, no `..`).
///
/// The result has finite coordinates only, and no vertex that no triangle names.
///
/// # Errors
/// [`Error::Malformed`] with the place, [`Error::Unsupported`] by name, [`Error::Empty`] where there is
/// neither a triangle nor a point, and whatever `resolve` says.
pub fn read_mesh(bytes: &[u8], name: &str, resolve: &dyn Fn(&str) -> Result<Vec<u8>>) -> Result<Mesh> {
    let bytes = if gzip::is_gzip(bytes) { Cow::Owned(gzip::unpack(bytes)?) } else { Cow::Borrowed(bytes) };
    let format = sniff::format(&bytes, format_of(name)).ok_or_else(|| sniff::unknown(&bytes, &extension(name)))?;
    let mesh = match format {
        Format::Stl => read_stl(&bytes),
        Format::Obj => read_obj(&bytes),
        Format::Ply => read_ply(&bytes),
        Format::Off => read_off(&bytes),
        Format::Xyz => read_xyz(&bytes),
        Format::Gltf => read_gltf(&bytes, resolve),
        Format::ThreeMf => read_3mf(&bytes),
    }?;
    let mesh = mesh.tidied();
    if mesh.positions.is_empty() {
        return Err(Error::Empty("the file has neither triangles nor points".into()));
    }
    Ok(mesh)
}

#[cfg(test)]
mod tests;
