//! Pictures that belong to a mesh: the textures that materials name.

use super::photo::is_photo;
use crate::error::Result;
use std::collections::BTreeSet;

/// Names of textures, each with the folder of the file that names it.
#[derive(Default)]
pub struct Textures(BTreeSet<(String, String)>);

impl Textures {
    /// A file below `path`'s folders names a picture that is called like this.
    pub fn contains(&self, path: &str) -> bool {
        let lower = path.to_ascii_lowercase();
        let (mut folder, file) = lower.rsplit_once('/').unwrap_or(("", &lower));
        if self.0.is_empty() {
            return false;
        }
        loop {
            if self.0.contains(&(folder.to_owned(), file.to_owned())) {
                return true;
            }
            match folder.rsplit_once('/') {
                Some((outer, _)) => folder = outer,
                None if folder.is_empty() => return false,
                None => folder = "",
            }
        }
    }
}

/// The textures that the materials among these files name. Materials that cannot be read name none.
pub fn named(names: &[String], mut read: impl FnMut(&str) -> Result<Vec<u8>>) -> Textures {
    let mut textures = Textures::default();
    if !names.iter().any(|name| is_photo(name)) {
        return textures;
    }
    for name in names {
        let lower = name.to_ascii_lowercase();
        if !(lower.ends_with(".mtl") || lower.ends_with(".gltf")) {
            continue;
        }
        let folder = lower.rsplit_once('/').map_or("", |(folder, _)| folder);
        let text = read(name).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).to_ascii_lowercase().lines() {
            let quoted = line.split('"');
            let words = line.split_ascii_whitespace();
            // The whole value of an MTL statement, since names may have blanks.
            let value = line.trim().split_once(char::is_whitespace).map(|(_, value)| value);
            for word in quoted.chain(words).chain(value) {
                let file = word.rsplit(['/', '\\']).next().unwrap_or(word);
                if is_photo(file) {
                    textures.0.insert((folder.to_owned(), file.to_owned()));
                }
            }
        }
    }
    textures
}
