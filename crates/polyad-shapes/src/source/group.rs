//! Which files together are one shape.

use super::photo::is_photo;
use super::textures::Textures;
use super::{Kind, is_mesh};
use crate::read::extension;
use std::collections::{BTreeMap, BTreeSet};

/// Names of folders that divide a class, and so are no shapes themselves.
const SPLITS: [&str; 4] = ["train", "test", "val", "validation"];

/// A shape or an archive among the files of a folder.
pub enum Found {
    /// A mesh file, or pictures of one thing.
    Shape { path: String, kind: Kind, files: Vec<String> },
    /// An archive to look into.
    Archive(String),
}

fn folder_and_file(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

/// What is known of the folders below the one that is walked. Pictures in a class are grouped by name, those in any other
/// folder are one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classes {
    /// Nothing: a folder is taken for a class where its pictures are numbered under several names, unless the one that it
    /// is in is one.
    Unknown,
    /// The folder that is walked is a class, and those below it are none.
    Root,
    /// The folders directly below the one that is walked are classes.
    Below,
}

/// Groups the files below a folder, given by their paths relative to it in byte order. The order stays: a
/// group stands where its first file does.
pub fn group(names: &[String], textures: &Textures, classes: Classes) -> Vec<Found> {
    let meshes: BTreeSet<(&str, &str)> =
        names.iter().filter(|name| is_mesh(name)).map(|name| (folder_and_file(name).0, stem(name))).collect();
    let with_other_shapes: BTreeSet<&str> =
        names.iter().filter(|name| is_mesh(name) || is_archive(name)).map(|name| folder_and_file(name).0).collect();
    let belongs = |name: &str| {
        let folder = folder_and_file(name).0;
        // `part.png` and `part.stl.png` are previews of `part.stl`.
        textures.contains(name)
            || meshes.contains(&(folder, stem(name)))
            || meshes.contains(&(folder, stem(stem(name))))
    };

    let several = match classes {
        Classes::Unknown => folders_of_several(names.iter().filter(|name| is_photo(name) && !belongs(name))),
        Classes::Root | Classes::Below => BTreeSet::new(),
    };
    // The folder that is walked, and splits, are as good as classes: they are no shapes. One below a class is a shape.
    let by_name = |folder: &str| {
        folder.is_empty()
            || SPLITS.contains(&folder_and_file(folder).1)
            || with_other_shapes.contains(folder)
            || (several.contains(folder) && !several.contains(folder_and_file(folder).0))
            || (classes == Classes::Below && !folder.contains('/'))
    };

    let mut found = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        if is_mesh(name) {
            found.push(Found::Shape { path: name.clone(), kind: Kind::Mesh, files: vec![name.clone()] });
        } else if is_archive(name) {
            found.push(Found::Archive(name.clone()));
        } else if is_photo(name) && !belongs(name) {
            let folder = folder_and_file(name).0;
            let whole_folder = !by_name(folder);
            let shared = if whole_folder { folder } else { shared_name(name) };
            // A folder and the pictures beside it may be called alike: the slash keeps them apart.
            let key = if whole_folder { format!("{folder}/") } else { shared.to_owned() };
            let place = *places.entry(key).or_insert(found.len());
            match found.get_mut(place) {
                Some(Found::Shape { path, files, .. }) => {
                    shared.clone_into(path);
                    files.push(name.clone());
                }
                _ => {
                    // Alone it keeps its full name, unless its folder is the shape.
                    let path = if whole_folder { folder } else { name }.to_owned();
                    found.push(Found::Shape { path, kind: Kind::Photos, files: vec![name.clone()] });
                }
            }
        }
    }
    found
}

/// The folders whose pictures are numbered under more than one name, as `mug_1.png` and `cup_1.png` are.
fn folders_of_several<'a>(pictures: impl Iterator<Item = &'a String>) -> BTreeSet<&'a str> {
    let mut shared: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for picture in pictures {
        let common = shared_name(picture);
        let ending = stem(picture).rsplit_once('_').map_or("", |(_, ending)| ending);
        if common != picture && !ending.is_empty() && ending.bytes().all(|byte| byte.is_ascii_digit()) {
            shared.entry(folder_and_file(picture).0).or_default().insert(common);
        }
    }
    shared.into_iter().filter(|(_, names)| names.len() > 1).map(|(folder, _)| folder).collect()
}

fn is_archive(name: &str) -> bool {
    extension(name) == "zip"
}

/// A file's name without folder, `.gz` and extension.
fn stem(name: &str) -> &str {
    let file = folder_and_file(name).1;
    let plain = file.len().checked_sub(3).and_then(|end| file.split_at_checked(end));
    let file = plain.filter(|(_, end)| end.eq_ignore_ascii_case(".gz")).map_or(file, |(start, _)| start);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// What the pictures of one shape have in common: the path up to the last `_` of the file's name.
fn shared_name(name: &str) -> &str {
    let start = name.len() - folder_and_file(name).1.len();
    match name[start..].rfind('_') {
        Some(end) if end > 0 => &name[..start + end],
        _ => name,
    }
}
