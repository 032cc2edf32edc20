//! glTF 2.0, as JSON (`.gltf`) or in one binary file (`.glb`).
//!
//! ```text
//! GLB    0  `glTF`, u32 version 2, u32 length of the file
//!       12  chunks: u32 length, u32 kind (`JSON`, then `BIN\0`), bytes; others are passed over
//! scene -> nodes (each with a matrix, or translation, rotation and scale) -> meshes -> primitives
//! primitive: accessors for POSITION and indices; points, lines, triangles, strips or fans
//! accessor -> buffer view -> buffer: the binary chunk, a `data:` URI, or a file beside this one
//! ```
//!
//! Read are the default scene (or the first, or all roots where there is none), at rest: skins, morph
//! targets and animations are ignored, as are materials. Mirroring nodes turn their triangles round. Sparse
//! accessors, accessors without a view (zeros) and integer positions (`KHR_mesh_quantization`) are read.
//! Compressed geometry (Draco, meshopt) is refused by name, as is any required extension that is not known to
//! leave the shape alone. Files that buffers name are asked of the caller, only below the file's own folder.

mod accessor;
mod buffers;

use super::placed::{Affine, Size, place};
use super::polygons::strip;
use crate::error::{At, Error, Result};
use crate::mesh::Mesh;
use accessor::Accessors;
use gltf_json::mesh::{Mode, Primitive, Semantic};
use gltf_json::validation::Checked;
use gltf_json::{Root, Scene};

/// The unit of every glTF file.
const UNIT: &str = "meter";
/// Required extensions that leave the shape alone, by the beginnings of their names.
const HARMLESS: [&str; 10] = [
    "KHR_mesh_quantization",
    "KHR_materials_",
    "KHR_texture_",
    "EXT_texture_",
    "MSFT_texture_",
    "MSFT_packing_",
    "KHR_lights_",
    "EXT_lights_",
    "KHR_xmp",
    "KHR_animation_pointer",
];
/// Extensions that keep the geometry elsewhere than in accessors.
const COMPRESSIONS: [&str; 3] = ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression"];

/// Reads a glTF file of either form. `resolve` gets the bytes of a file that a buffer names, relative to the
/// folder of this one; `read_gltf` has made sure that the name does not lead out of it.
pub fn read_gltf(bytes: &[u8], resolve: &dyn Fn(&str) -> Result<Vec<u8>>) -> Result<Mesh> {
    let (json, binary) = buffers::split(bytes)?;
    let root: Root = gltf_json::deserialize::from_slice(json)
        .map_err(|error| Error::malformed(At::Part("JSON".into()), error.to_string()))?;
    check_extensions(&root)?;
    let buffers = buffers::load(&root, binary, resolve)?;
    let accessors = Accessors::new(&root, &buffers);

    let placements = placements(&root)?;
    let stored = bytes.len() + buffers.iter().map(|buffer| buffer.len()).sum::<usize>();
    let mut size = Size::default();
    for (mesh, _) in &placements {
        for primitive in primitives(&root, *mesh)? {
            size = size.plus(measure(primitive, &accessors)?).check(stored as u64)?;
        }
    }
    let mut scene = Mesh { unit: Some(UNIT.into()), ..Mesh::default() };
    scene.positions.reserve_exact(size.vertices as usize);
    scene.triangles.reserve_exact(size.triangles as usize);
    for (mesh, at) in &placements {
        for primitive in primitives(&root, *mesh)? {
            place(&read_primitive(primitive, &accessors)?, at, &mut scene);
        }
    }
    Ok(scene)
}

/// The names of files that the buffers of a `.gltf` are in. A file that cannot be read has none.
pub(crate) fn external_buffers(bytes: &[u8]) -> Vec<String> {
    let root = buffers::split(bytes).ok().and_then(|(json, _)| gltf_json::deserialize::from_slice::<Root>(json).ok());
    let uris = root.into_iter().flat_map(|root| root.buffers).filter_map(|buffer| buffer.uri);
    uris.filter_map(|uri| buffers::file_name(&uri).ok().flatten()).collect()
}

fn check_extensions(root: &Root) -> Result<()> {
    let unknown = |name: &&String| !HARMLESS.iter().any(|harmless| name.starts_with(harmless));
    match root.extensions_required.iter().find(unknown) {
        Some(name) => Err(Error::Unsupported(format!("glTF that requires the extension {name}"))),
        None => Ok(()),
    }
}

/// Every mesh that the scene shows, and where.
fn placements(root: &Root) -> Result<Vec<(usize, Affine)>> {
    let mut pending: Vec<(usize, Affine)> =
        scene_roots(root)?.into_iter().map(|node| (node, Affine::IDENTITY)).collect();
    pending.reverse();
    if root.nodes.is_empty() {
        return Ok((0..root.meshes.len()).map(|mesh| (mesh, Affine::IDENTITY)).collect());
    }
    let mut seen = vec![false; root.nodes.len()];
    let mut placements = Vec::new();
    while let Some((index, outer)) = pending.pop() {
        let node = root.nodes.get(index).ok_or_else(|| missing("node", index))?;
        if std::mem::replace(&mut seen[index], true) {
            let problem = "is reached twice; nodes must form a tree";
            return Err(Error::malformed(At::Part(format!("node {index}")), problem));
        }
        let at = outer.after(&local(node));
        placements.extend(node.mesh.map(|mesh| (mesh.value(), at)));
        pending.extend(node.children.iter().flatten().rev().map(|child| (child.value(), at)));
    }
    Ok(placements)
}

fn scene_roots(root: &Root) -> Result<Vec<usize>> {
    let nodes = |scene: &Scene| scene.nodes.iter().map(|node| node.value()).collect();
    let default = root.scene.map_or(0, |scene| scene.value());
    match root.scenes.get(default) {
        Some(scene) => Ok(nodes(scene)),
        None if root.scenes.is_empty() => {
            let mut is_child = vec![false; root.nodes.len()];
            for child in root.nodes.iter().flat_map(|node| node.children.iter().flatten()) {
                *is_child.get_mut(child.value()).ok_or_else(|| missing("node", child.value()))? = true;
            }
            Ok((0..root.nodes.len()).filter(|&node| !is_child[node]).collect())
        }
        None => Err(missing("scene", default)),
    }
}

/// A node's own map.
fn local(node: &gltf_json::Node) -> Affine {
    if let Some(m) = node.matrix {
        return Affine(std::array::from_fn(|column| std::array::from_fn(|row| f64::from(m[4 * column + row]))));
    }
    let [x, y, z, w] = node.rotation.map_or([0.0, 0.0, 0.0, 1.0], |quaternion| quaternion.0.map(f64::from));
    let scale = node.scale.map_or([1.0; 3], |scale| scale.map(f64::from));
    let translation = node.translation.map_or([0.0; 3], |translation| translation.map(f64::from));
    let columns = [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + z * w), 2.0 * (x * z - y * w)],
        [2.0 * (x * y - z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + x * w)],
        [2.0 * (x * z + y * w), 2.0 * (y * z - x * w), 1.0 - 2.0 * (x * x + y * y)],
    ];
    let [x, y, z] = std::array::from_fn(|axis| columns[axis].map(|c: f64| c * scale[axis]));
    Affine([x, y, z, translation])
}

fn primitives(root: &Root, mesh: usize) -> Result<&[Primitive]> {
    root.meshes.get(mesh).map(|mesh| mesh.primitives.as_slice()).ok_or_else(|| missing("mesh", mesh))
}

/// The accessors of a primitive's positions and indices.
fn parts(primitive: &Primitive) -> Option<(usize, Option<usize>)> {
    let positions = primitive.attributes.get(&Checked::Valid(Semantic::Positions))?;
    Some((positions.value(), primitive.indices.map(|indices| indices.value())))
}

fn measure(primitive: &Primitive, accessors: &Accessors) -> Result<Size> {
    let Some((positions, indices)) = parts(primitive) else { return Ok(Size { visits: 1, ..Size::default() }) };
    let vertices = accessors.count(positions)?;
    let corners = indices.map_or(Ok(vertices), |indices| accessors.count(indices))?;
    let triangles = match primitive.mode {
        Checked::Valid(Mode::Triangles) => corners / 3,
        Checked::Valid(Mode::TriangleStrip | Mode::TriangleFan) => corners.saturating_sub(2),
        Checked::Valid(_) => 0,
        Checked::Invalid => return Err(Error::malformed(At::Part("primitive".into()), "an unknown mode")),
    };
    // Indices are read whatever they are for, so they count like triangles.
    Ok(Size { vertices, triangles: triangles.max(corners / 3), visits: 1 })
}

fn read_primitive(primitive: &Primitive, accessors: &Accessors) -> Result<Mesh> {
    let Some((positions, indices)) = parts(primitive) else { return Ok(Mesh::default()) };
    let positions = accessors.positions(positions)?;
    let corners = match indices {
        Some(indices) => accessors.corners(indices, positions.len())?,
        None => (0..positions.len() as u32).collect(),
    };
    let triangles = match primitive.mode {
        Checked::Valid(Mode::Triangles) => corners.as_chunks::<3>().0.to_vec(),
        Checked::Valid(Mode::TriangleStrip) => strip(&corners).collect(),
        Checked::Valid(Mode::TriangleFan) => match corners.split_first() {
            Some((&hub, rim)) => rim.windows(2).map(|edge| [hub, edge[0], edge[1]]).collect(),
            None => Vec::new(),
        },
        _ => Vec::new(),
    };
    Ok(Mesh { positions, triangles, unit: None })
}

fn missing(what: &str, index: usize) -> Error {
    Error::malformed(At::Part(format!("{what} {index}")), "is named, but is not there")
}

#[cfg(test)]
mod tests;
