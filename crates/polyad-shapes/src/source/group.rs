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

/// Groups the files below a folder, given by their paths relative to it in byte order. The order stays: a
/// group stands where its first file does.
pub fn group(names: &[String], textures: &Textures) -> Vec<Found> {
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

    let mut found = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        if is_mesh(name) {
            found.push(Found::Shape { path: name.clone(), kind: Kind::Mesh, files: vec![name.clone()] });
        } else if is_archive(name) {
            found.push(Found::Archive(name.clone()));
        } else if is_photo(name) && !belongs(name) {
            let folder = folder_and_file(name).0;
            let is_split = SPLITS.contains(&folder_and_file(folder).1);
            let whole_folder = !folder.is_empty() && !is_split && !with_other_shapes.contains(folder);
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
