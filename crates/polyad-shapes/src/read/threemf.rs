//! 3MF, the 3D Manufacturing Format: a ZIP of XML.
//!
//! ```text
//! _rels/.rels          names the model (usually 3D/3dmodel.model)
//! model unit=".."      millimeter where it says nothing
//!   resources/object   a mesh, or components: other objects, each with a transform
//!   build/item         what is made: objects, each with a transform
//! ```
//!
//! The mesh is the build: every item that is not `printable="0"` (all of them where none is, and every
//! object that nothing names where there is no build), components followed, also into other parts by
//! `path` (production extension). Coordinates stay in the file's unit, which is reported. Ignored: metadata,
//! materials, slices, supports' types. Refused: document type declarations, cycles, components nested more
//! than 64 deep, scenes over the limit of `placed`, parts over the limit of `gzip`, beam lattices without
//! triangles.

mod model;
mod package;

use super::placed::{Affine, Size, place};
use crate::error::{At, Error, Result};
use crate::mesh::Mesh;
use model::{Model, Part};
use package::Package;
use std::collections::BTreeMap;

/// How deep components may be nested. Slicers nest two or three deep.
const DEEPEST: usize = 64;

/// Reads a 3MF file.
pub fn read_3mf(bytes: &[u8]) -> Result<Mesh> {
    let mut package = Package::open(bytes)?;
    let root = package.model_path()?;
    let mut models = BTreeMap::new();
    let mut pending = vec![root.clone()];
    while let Some(path) = pending.pop() {
        if models.contains_key(&path) {
            continue;
        }
        let text = package.part(&path)?;
        let model = model::parse(&text).map_err(|error| within(&path, error))?;
        pending.extend(model.named_parts().map(str::to_owned));
        models.insert(path, model);
    }
    assemble(&root, &models, package.unpacked())
}

/// Which object: the part it is in, and its number there.
type Key<'a> = (&'a str, u32);

fn assemble(root: &str, models: &BTreeMap<String, Model>, stored: u64) -> Result<Mesh> {
    let main = &models[root];
    let printable = main.items.iter().any(|item| item.printable);
    let mut parts: Vec<(Key, Affine)> = main
        .items
        .iter()
        .filter(|item| item.printable || !printable)
        .map(|item| (key(root, &item.part), item.part.at))
        .collect();
    if parts.is_empty() {
        parts = main.unnamed_objects().map(|id| ((root, id), Affine::IDENTITY)).collect();
    }

    let mut sizes = Sizes { models, known: BTreeMap::new() };
    let mut size = Size::default();
    for (object, _) in &parts {
        size = size.plus(sizes.of(*object, 0)?).check(stored)?;
    }
    if size.triangles == 0 && models.values().any(|model| model.beams) {
        return Err(Error::Unsupported("3MF beam lattices".into()));
    }
    let mut scene = Mesh { unit: Some(main.unit.clone()), ..Mesh::default() };
    scene.positions.reserve_exact(size.vertices as usize);
    scene.triangles.reserve_exact(size.triangles as usize);
    for (object, at) in parts {
        build(models, object, &at, &mut scene)?;
    }
    Ok(scene)
}

fn key<'a>(here: &'a str, part: &'a Part) -> Key<'a> {
    (part.path.as_deref().unwrap_or(here), part.object)
}

fn object<'a>(models: &'a BTreeMap<String, Model>, (path, id): Key) -> Result<&'a model::Object> {
    models
        .get(path)
        .and_then(|model| model.objects.get(&id))
        .ok_or_else(|| Error::malformed(At::Part(path.to_owned()), format!("object {id} is named, but is not there")))
}

/// What each object makes, counted once each, so that counting is fast where building would never end.
struct Sizes<'a> {
    models: &'a BTreeMap<String, Model>,
    /// `None` while an object is being counted: meeting it again then is a cycle.
    known: BTreeMap<Key<'a>, Option<Size>>,
}

impl<'a> Sizes<'a> {
    fn of(&mut self, key: Key<'a>, depth: usize) -> Result<Size> {
        let malformed =
            |problem: &str| Error::malformed(At::Part(key.0.to_owned()), format!("object {} {problem}", key.1));
        match self.known.get(&key) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(malformed("contains itself")),
            None if depth == DEEPEST => return Err(malformed("is a component nested more than 64 deep")),
            None => {}
        }
        self.known.insert(key, None);
        let found = object(self.models, key)?;
        let (vertices, triangles) = (found.mesh.positions.len() as u64, found.mesh.triangles.len() as u64);
        let mut size = Size { vertices, triangles, visits: 1 };
        for component in &found.components {
            size = size.plus(self.of(self::key(key.0, component), depth + 1)?);
        }
        self.known.insert(key, Some(size));
        Ok(size)
    }
}

/// Appends an object and its components. `Sizes` has found neither a cycle nor too much.
fn build<'a>(models: &'a BTreeMap<String, Model>, key: Key<'a>, at: &Affine, scene: &mut Mesh) -> Result<()> {
    let found = object(models, key)?;
    place(&found.mesh, at, scene);
    for component in &found.components {
        build(models, self::key(key.0, component), &at.after(&component.at), scene)?;
    }
    Ok(())
}

/// Says in which part of the package something is wrong.
fn within(path: &str, error: Error) -> Error {
    match error {
        Error::Malformed { at, problem } => Error::malformed(At::Part(format!("{path}, {at}")), problem),
        other => other,
    }
}

#[cfg(test)]
mod tests;
