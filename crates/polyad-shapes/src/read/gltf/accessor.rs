//! Typed columns of numbers in buffers, every range checked before it is read.

use super::{COMPRESSIONS, missing};
use crate::error::{At, Error, Result};
use gltf_json::Root;
use gltf_json::accessor::{Accessor, ComponentType, Type};
use gltf_json::validation::Checked;
use std::borrow::Cow;

/// The accessors of a file.
pub struct Accessors<'a> {
    root: &'a Root,
    buffers: &'a [Cow<'a, [u8]>],
}

/// Rows of numbers of one type, at equal distances in bytes that are there.
struct Rows<'a> {
    bytes: &'a [u8],
    stride: usize,
    component: ComponentType,
}

impl<'a> Accessors<'a> {
    /// `buffers` holds the bytes of each of `root`'s buffers.
    pub fn new(root: &'a Root, buffers: &'a [Cow<'a, [u8]>]) -> Self {
        Accessors { root, buffers }
    }

    /// The rows that an accessor promises.
    pub fn count(&self, index: usize) -> Result<u64> {
        Ok(self.get(index)?.count.0)
    }

    /// The rows of an accessor as points.
    pub fn positions(&self, index: usize) -> Result<Vec<[f64; 3]>> {
        let accessor = self.get(index)?;
        let component = self.typed(index, accessor, Type::Vec3)?;
        let count = size(accessor.count.0);
        let mut points = match &accessor.buffer_view {
            Some(view) => {
                let rows = self.rows(index, view.value(), accessor.byte_offset, component, 3, count)?;
                (0..count).map(|row| rows.point(row, accessor.normalized)).collect()
            }
            None => vec![[0.0; 3]; count],
        };
        if let Some(sparse) = &accessor.sparse {
            let changed = size(sparse.count.0);
            let Checked::Valid(kind) = sparse.indices.component_type else {
                return Err(malformed(index, "sparse indices of an unknown type"));
            };
            let offset = Some(sparse.indices.byte_offset);
            let places = self.rows(index, sparse.indices.buffer_view.value(), offset, kind.0, 1, changed)?;
            let offset = Some(sparse.values.byte_offset);
            let values = self.rows(index, sparse.values.buffer_view.value(), offset, component, 3, changed)?;
            for row in 0..changed {
                let place = places.component(row, 0) as usize;
                *points
                    .get_mut(place)
                    .ok_or_else(|| malformed(index, &format!("a sparse value for row {place} of {count}")))? =
                    values.point(row, accessor.normalized);
            }
        } else if accessor.buffer_view.is_none()
            && let Some(name) =
                COMPRESSIONS.iter().find(|name| self.root.extensions_used.iter().any(|used| used == *name))
        {
            return Err(Error::Unsupported(format!("glTF compressed with {name}")));
        }
        Ok(points)
    }

    /// The rows of an accessor as indices of `vertices` vertices.
    pub fn corners(&self, index: usize, vertices: usize) -> Result<Vec<u32>> {
        let accessor = self.get(index)?;
        let component = self.typed(index, accessor, Type::Scalar)?;
        if !matches!(component, ComponentType::U8 | ComponentType::U16 | ComponentType::U32) {
            return Err(malformed(index, "indices that are not unsigned integers"));
        }
        if accessor.sparse.is_some() {
            return Err(Error::Unsupported("sparse indices of triangles".into()));
        }
        let count = size(accessor.count.0);
        let Some(view) = &accessor.buffer_view else {
            return Ok(if vertices > 0 { vec![0; count] } else { Vec::new() });
        };
        let rows = self.rows(index, view.value(), accessor.byte_offset, component, 1, count)?;
        let corner = |row| {
            let corner = rows.component(row, 0) as u32;
            if (corner as usize) < vertices {
                return Ok(corner);
            }
            Err(malformed(index, &format!("row {row} names vertex {corner} of {vertices}")))
        };
        (0..count).map(corner).collect()
    }

    fn get(&self, index: usize) -> Result<&'a Accessor> {
        self.root.accessors.get(index).ok_or_else(|| missing("accessor", index))
    }

    fn typed(&self, index: usize, accessor: &Accessor, expected: Type) -> Result<ComponentType> {
        match (accessor.component_type, accessor.type_) {
            (Checked::Valid(component), Checked::Valid(found)) if found == expected => Ok(component.0),
            _ => Err(malformed(index, &format!("is not of type {expected:?}"))),
        }
    }

    fn rows(
        &self,
        index: usize,
        view: usize,
        offset: Option<gltf_json::validation::USize64>,
        component: ComponentType,
        width: usize,
        count: usize,
    ) -> Result<Rows<'a>> {
        let view = self.root.buffer_views.get(view).ok_or_else(|| missing("buffer view", view))?;
        let buffer = view.buffer.value();
        let buffer: &'a [u8] = self.buffers.get(buffer).ok_or_else(|| missing("buffer", buffer))?;
        let start = view.byte_offset.map_or(0, |offset| size(offset.0));
        let held = start.checked_add(size(view.byte_length.0)).and_then(|end| buffer.get(start..end));
        let held = held.ok_or_else(|| {
            let problem = format!("{} bytes from byte {start} of a buffer of {}", view.byte_length.0, buffer.len());
            malformed(index, &problem)
        })?;
        let row = width * component.size();
        let stride = view.byte_stride.map_or(row, |stride| stride.0).max(1);
        if stride < row {
            return Err(malformed(index, &format!("rows of {row} bytes every {stride} bytes")));
        }
        let offset = offset.map_or(0, |offset| size(offset.0));
        let needed = match count.checked_sub(1) {
            Some(gaps) => gaps.checked_mul(stride).and_then(|bytes| bytes.checked_add(row)?.checked_add(offset)),
            None => Some(0),
        };
        if needed.is_none_or(|needed| needed > held.len()) {
            return Err(malformed(index, &format!("{count} rows of {row} bytes, but its view holds {}", held.len())));
        }
        Ok(Rows { bytes: held.get(offset..).unwrap_or_default(), stride, component })
    }
}

impl Rows<'_> {
    /// A number of a row. The row is inside: `Accessors::rows` has seen to it.
    fn component(&self, row: usize, column: usize) -> f64 {
        let size = self.component.size();
        let start = row * self.stride + column * size;
        let bytes = &self.bytes[start..start + size];
        match (self.component, bytes) {
            (ComponentType::I8, &[a]) => f64::from(a as i8),
            (ComponentType::U8, &[a]) => f64::from(a),
            (ComponentType::I16, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
            (ComponentType::U16, &[a, b]) => f64::from(u16::from_le_bytes([a, b])),
            (ComponentType::U32, &[a, b, c, d]) => f64::from(u32::from_le_bytes([a, b, c, d])),
            (ComponentType::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            _ => f64::NAN,
        }
    }

    fn point(&self, row: usize, normalized: bool) -> [f64; 3] {
        let point = std::array::from_fn(|axis| self.component(row, axis));
        let greatest: f64 = match self.component {
            ComponentType::I8 => i8::MAX.into(),
            ComponentType::U8 => u8::MAX.into(),
            ComponentType::I16 => i16::MAX.into(),
            ComponentType::U16 => u16::MAX.into(),
            _ => return point,
        };
        if normalized { point.map(|x: f64| (x / greatest).max(-1.0)) } else { point }
    }
}

/// Numbers beyond the machine's own are beyond any file: they fail the range check.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn malformed(accessor: usize, problem: &str) -> Error {
    Error::malformed(At::Part(format!("accessor {accessor}")), problem)
}
