//! Real files read as trimesh reads them (`expected.json`), each in bounded time.

mod common;

use polyad_shapes::Result;
use polyad_shapes::error::Error;
use polyad_shapes::mesh::{Mesh, describe};
use polyad_shapes::read::read_mesh;
use rayon::prelude::*;
use serde_json::Value;
use std::path::Path;

fn read(path: &Path) -> Result<Mesh> {
    let bytes = std::fs::read(path).unwrap();
    let folder = path.parent().unwrap();
    read_mesh(&bytes, &path.to_string_lossy(), &|name| {
        std::fs::read(folder.join(name)).map_err(|error| Error::io(folder.join(name), error))
    })
}

/// What differs between a file as read and what is expected of it.
fn differences(path: &Path, expected: &Value) -> Vec<String> {
    let triangles = expected["triangles"].as_u64().unwrap() as usize;
    let mesh = match read(path) {
        Ok(mesh) => mesh,
        Err(_) if triangles == 0 => return Vec::new(),
        Err(error) => return vec![error.to_string()],
    };
    let mut found = Vec::new();
    if mesh.triangles.len() != triangles {
        found.push(format!("{} triangles, expected {triangles}", mesh.triangles.len()));
    }
    if triangles == 0 {
        return found;
    }
    let bounds = mesh.bounds().unwrap();
    for (side, corner) in bounds.iter().enumerate() {
        for (axis, &x) in corner.iter().enumerate() {
            let wanted = expected["bounds"][side][axis].as_f64().unwrap();
            if (x - wanted).abs() > 1e-4 {
                found.push(format!("bounds[{side}][{axis}] = {x}, expected {wanted}"));
            }
        }
    }
    let (area, wanted) = (mesh.area(), expected["area"].as_f64().unwrap());
    if (area - wanted).abs() > 1e-3 * wanted {
        found.push(format!("area {area}, expected {wanted}"));
    }
    found
}

#[test]
fn every_test_model_of_trimesh_has_its_triangles_bounds_and_area() {
    let Some(shared) = common::shared() else { return };
    let folder = shared.join("data/meshes");
    let expected: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let expected = expected.as_object().unwrap();
    assert_eq!(expected.len(), 96);
    let wrong: Vec<String> = expected
        .iter()
        .flat_map(|(name, expected)| {
            differences(&folder.join(name), expected).into_iter().map(move |problem| format!("{name}: {problem}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_shape_of_the_three_collections_is_read_and_described() {
    let Some(shared) = common::shared() else { return };
    for (collection, least) in [("cad", 349), ("psb19", 304), ("psb40", 780)] {
        let files: Vec<_> = common::files(&shared.join("data").join(collection))
            .into_iter()
            .filter(|path| polyad_shapes::read::format_of(&path.to_string_lossy()).is_some())
            .collect();
        let failures: Vec<String> = files
            .par_iter()
            .filter_map(|path| match read(path) {
                Ok(mesh) => {
                    let info = describe(&mesh, "x");
                    (info.triangles == 0 || info.parts == 0).then(|| format!("{}: {info:?}", path.display()))
                }
                Err(error) => Some(format!("{}: {error}", path.display())),
            })
            .collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert!(files.len() >= least, "{collection}: {} files", files.len());
        eprintln!("{collection}: {} files read", files.len());
    }
}
