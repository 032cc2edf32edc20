//! The XML of a 3MF model part.

use super::package::normal;
use crate::error::{At, Error, Result};
use crate::mesh::Mesh;
use crate::read::placed::Affine;
use crate::read::text;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// A model part.
pub struct Model {
    pub unit: String,
    pub objects: BTreeMap<u32, Object>,
    pub items: Vec<Item>,
    /// There is a beam lattice, which is not triangles.
    pub beams: bool,
}

/// A mesh, or a group of other objects, or both.
#[derive(Default)]
pub struct Object {
    pub mesh: Mesh,
    pub components: Vec<Part>,
}

/// An object at a place.
pub struct Part {
    /// The other model part that it is in.
    pub path: Option<String>,
    pub object: u32,
    pub at: Affine,
}

/// What is to be made.
pub struct Item {
    pub part: Part,
    pub printable: bool,
}

impl Model {
    /// The other model parts that this one names.
    pub fn named_parts(&self) -> impl Iterator<Item = &str> {
        let components = self.objects.values().flat_map(|object| &object.components);
        components.chain(self.items.iter().map(|item| &item.part)).filter_map(|part| part.path.as_deref())
    }

    /// The objects that are no component of another.
    pub fn unnamed_objects(&self) -> impl Iterator<Item = u32> {
        let components = self.objects.values().flat_map(|object| &object.components);
        let named: BTreeSet<u32> = components.filter(|part| part.path.is_none()).map(|part| part.object).collect();
        self.objects.keys().copied().filter(move |id| !named.contains(id))
    }
}

/// Elements with their attributes, one after the other; a document type is refused, all else passed over.
fn for_each_element(xml: &str, mut element: impl FnMut(&BytesStart, &At) -> Result<()>) -> Result<()> {
    let mut reader = Reader::from_str(xml);
    loop {
        let at = At::Byte(usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX));
        match reader.read_event() {
            Ok(Event::Start(start) | Event::Empty(start)) => element(&start, &at)?,
            Ok(Event::DocType(_)) => {
                return Err(Error::malformed(at, "a document type declaration, which 3MF forbids"));
            }
            Ok(Event::Eof) => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                let position = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
                return Err(Error::malformed(At::Byte(position), format!("XML: {error}")));
            }
        }
    }
}

/// An attribute by its name without a prefix.
fn attribute<'a>(element: &'a BytesStart, name: &str, at: &At) -> Result<Option<Cow<'a, str>>> {
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| Error::malformed(at.clone(), format!("XML: {error}")))?;
        if attribute.key.local_name().into_inner() == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            return value.map(Some).map_err(|error| Error::malformed(at.clone(), format!("XML: {error}")));
        }
    }
    Ok(None)
}

/// An attribute that must be there and be a number of its kind.
fn required<T>(element: &BytesStart, name: &str, at: &At, read: impl Fn(&str) -> Option<T>) -> Result<T> {
    let value = attribute(element, name, at)?;
    value.as_deref().map(str::trim).and_then(read).ok_or_else(|| {
        let found = value.as_deref().map_or("nothing".into(), |value| text::quoted(value.as_bytes()));
        Error::malformed(at.clone(), format!("found {found} for {name}, expected a number"))
    })
}

fn whole(text: &str) -> Option<u32> {
    text.parse().ok()
}

fn part(element: &BytesStart, at: &At) -> Result<Part> {
    Ok(Part {
        path: attribute(element, "path", at)?.map(|path| normal(&path)),
        object: required(element, "objectid", at, whole)?,
        at: match attribute(element, "transform", at)? {
            Some(numbers) => transform(&numbers).ok_or_else(|| {
                let found = text::quoted(numbers.as_bytes());
                Error::malformed(at.clone(), format!("found {found} for transform, expected 12 numbers"))
            })?,
            None => Affine::IDENTITY,
        },
    })
}

/// Twelve numbers: where the three axes go, then the origin.
fn transform(numbers: &str) -> Option<Affine> {
    let numbers: Option<Vec<f64>> =
        numbers.split_ascii_whitespace().map(|word| text::number(word.as_bytes())).collect();
    let columns = numbers?;
    let (columns, []) = columns.as_chunks::<3>() else { return None };
    columns.try_into().ok().map(Affine)
}

/// Reads a model part.
pub fn parse(xml: &str) -> Result<Model> {
    let mut model = Model { unit: "millimeter".into(), objects: BTreeMap::new(), items: Vec::new(), beams: false };
    let mut current: Option<u32> = None;
    let mut is_model = false;
    for_each_element(xml, |element, at| {
        let object = current.and_then(|id| model.objects.get_mut(&id));
        match element.local_name().into_inner() {
            "model" => {
                is_model = true;
                if let Some(unit) = attribute(element, "unit", at)? {
                    model.unit = unit.chars().filter(|c| c.is_ascii_alphabetic()).take(16).collect();
                }
            }
            "object" => {
                let id = required(element, "id", at, whole)?;
                if model.objects.insert(id, Object::default()).is_some() {
                    return Err(Error::malformed(at.clone(), format!("a second object {id}")));
                }
                current = Some(id);
            }
            "vertex" => {
                let Some(object) = object else { return Err(stray(element, at)) };
                let x = |name| required(element, name, at, |value| text::number(value.as_bytes()));
                object.mesh.positions.push([x("x")?, x("y")?, x("z")?]);
            }
            "triangle" => {
                let Some(object) = object else { return Err(stray(element, at)) };
                let count = object.mesh.positions.len();
                let corner = |name| {
                    let corner = required(element, name, at, whole)?;
                    let inside = (corner as usize) < count;
                    inside.then_some(corner).ok_or_else(|| {
                        Error::malformed(at.clone(), format!("a triangle names vertex {corner} of {count}"))
                    })
                };
                object.mesh.triangles.push([corner("v1")?, corner("v2")?, corner("v3")?]);
            }
            "component" => {
                let Some(object) = object else { return Err(stray(element, at)) };
                object.components.push(part(element, at)?);
            }
            "item" => {
                let printable = attribute(element, "printable", at)?;
                let printable = !matches!(printable.as_deref(), Some("0" | "false"));
                model.items.push(Item { part: part(element, at)?, printable });
            }
            "beamlattice" => model.beams = true,
            _ => {}
        }
        Ok(())
    })?;
    if is_model { Ok(model) } else { Err(Error::malformed(At::File, "no element `model`")) }
}

fn stray(element: &BytesStart, at: &At) -> Error {
    Error::malformed(at.clone(), format!("`{}` outside an object", element.local_name().into_inner()))
}

/// The path of the 3-D model among the relationships of a package.
pub fn relationship(xml: &str) -> Result<Option<String>> {
    let mut target = None;
    for_each_element(xml, |element, at| {
        let kind = attribute(element, "Type", at)?;
        if kind.is_some_and(|kind| kind.to_ascii_lowercase().ends_with("/3dmodel")) && target.is_none() {
            target = attribute(element, "Target", at)?.map(Cow::into_owned);
        }
        Ok(())
    })?;
    Ok(target)
}
