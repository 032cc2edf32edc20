//! A folder of classes as training, validation and test parts.
//!
//! `DIR/class/{train,test}/…` is split as it says; `DIR/class/…` is split by the seed. A part of train is set apart for
//! validation: it alone chooses the model.

use crate::error::{Error, Result};
use crate::index::is_index;
use crate::job::Job;
use crate::random::Random;
use crate::source::{Classes, Failure, Source, walk_classes};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A shape with its class.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where it is.
    pub source: Source,
    /// Index of its class.
    pub class: usize,
}

/// The shapes of a folder.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// Names of the classes: folders, in byte order.
    pub classes: Vec<String>,
    /// What the weights learn from.
    pub train: Vec<Item>,
    /// What chooses among them; taken from the train split.
    pub validation: Vec<Item>,
    /// All other splits by name; `test` among them.
    pub splits: BTreeMap<String, Vec<Item>>,
    /// What could not be opened.
    pub failures: Vec<Failure>,
}

/// Share of a class that is tested where the folders say nothing.
const TEST_SHARE: f64 = 0.2;
/// Share of a class's train split that validates.
const VALIDATION_SHARE: f64 = 0.05;

impl Dataset {
    /// Looks for the shapes of a folder. A class needs a shape to train on.
    pub fn open(dir: &Path, seed: u64, job: Job) -> Result<Self> {
        let mut data = Dataset::default();
        for class_dir in folders(dir)? {
            let class = data.classes.len();
            let of = |found: Vec<Source>| found.into_iter().map(|source| Item { source, class }).collect::<Vec<_>>();
            let splits = folders(&class_dir)?;
            let named = |name: &str| splits.iter().any(|split| split.file_name().is_some_and(|found| found == name));
            let mut train;
            if named("train") || named("test") {
                train = Vec::new();
                for split in &splits {
                    let found = of(data.walk(split, job)?);
                    match name_of(split)?.as_str() {
                        "train" => train = found,
                        other => data.splits.entry(other.to_owned()).or_default().extend(found),
                    }
                }
            } else {
                train = of(data.walk(&class_dir, job)?);
                Random::new(seed, hash_name(&class_dir, 1)).shuffle(&mut train);
                let tested = share(train.len(), TEST_SHARE);
                data.splits.entry("test".into()).or_default().extend(train.drain(..tested));
            }
            Random::new(seed, hash_name(&class_dir, 2)).shuffle(&mut train);
            let validating = share(train.len(), VALIDATION_SHARE);
            data.validation.extend(train.drain(..validating));
            data.train.extend(train);
            data.classes.push(name_of(&class_dir)?);
        }
        let order = |items: &mut Vec<Item>| items.sort_by(|a, b| a.source.path.cmp(&b.source.path));
        order(&mut data.train);
        order(&mut data.validation);
        data.splits.values_mut().for_each(order);
        if data.classes.is_empty() {
            return Err(Error::Invalid(format!("{}: no folders of classes in it", dir.display())));
        }
        Ok(data)
    }

    /// Refuses what cannot be learnt from: fewer than two classes, or one without shapes.
    pub fn check_trainable(&self) -> Result<()> {
        if self.classes.len() < 2 {
            return Err(Error::Invalid(format!("only one class, {:?}: nothing to tell apart", self.classes.concat())));
        }
        let mut counts = vec![0; self.classes.len()];
        self.train.iter().for_each(|item| counts[item.class] += 1);
        match counts.iter().position(|count| *count == 0) {
            Some(class) => Err(Error::Invalid(format!("class {:?} has no shape to train on", self.classes[class]))),
            None => Ok(()),
        }
    }

    /// The shapes of a split: `train` (with its validation part), `test` or any other folder's name.
    pub fn split(&self, name: &str) -> Result<Vec<Item>> {
        if name == "train" {
            return Ok(self.train.iter().chain(&self.validation).cloned().collect());
        }
        self.splits.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = ["train"].into_iter().chain(self.splits.keys().map(String::as_str)).collect();
            Error::Invalid(format!("no split is called {name:?}; there are {}", known.join(", ")))
        })
    }

    /// The shapes of all splits.
    pub fn all(&self) -> Vec<Item> {
        self.train.iter().chain(&self.validation).chain(self.splits.values().flatten()).cloned().collect()
    }

    fn walk(&mut self, dir: &Path, job: Job) -> Result<Vec<Source>> {
        let mut found = walk_classes(dir, Classes::Root, job)?;
        self.failures.append(&mut found.failures);
        Ok(found.shapes)
    }
}

/// At least one of two or more, all but one at most.
fn share(count: usize, share: f64) -> usize {
    if count < 2 { 0 } else { ((count as f64 * share).round() as usize).clamp(1, count - 1) }
}

fn hash_name(dir: &Path, salt: u8) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[salt]).update(dir.file_name().unwrap_or_default().as_encoded_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn name_of(dir: &Path) -> Result<String> {
    let name = dir.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| Error::Invalid(format!("{}: the name is not UTF-8", dir.display())))
}

/// The folders in a folder, hidden ones and indices aside, in byte order of their names.
fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| Error::io(dir, error))? {
        let entry = entry.map_err(|error| Error::io(dir, error))?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_dir() && !is_index(&entry.path()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
            std::fs::write(path, "OFF\n").expect("a file");
        }
        root
    }

    fn names(items: &[Item]) -> Vec<&str> {
        items.iter().filter_map(|item| item.source.path.rsplit('/').next()).collect()
    }

    #[test]
    fn folders_named_train_and_test_are_believed() {
        let root =
            tree(&["b/train/1.off", "b/train/2.off", "b/test/3.off", "a/train/4.off", "a/test/5.off", "a/val/6.off"]);
        let data = Dataset::open(root.path(), 1, Job::silent()).expect("a data set");
        assert_eq!(data.classes, ["a", "b"]);
        assert_eq!(names(&data.split("test").expect("test")), ["5.off", "3.off"]);
        assert_eq!(names(&data.split("val").expect("val")), ["6.off"]);
        assert_eq!(data.split("train").expect("train").len(), 3);
        assert_eq!((data.validation.len(), data.train.len()), (1, 2));
        let message = data.split("tset").expect_err("a misspelt split").to_string();
        assert!(message.contains("tset") && message.contains("train, test, val"), "{message}");
    }

    #[test]
    fn without_splits_the_seed_decides_and_nothing_is_lost_or_shared() {
        let files: Vec<String> = (0..40).map(|i| format!("{}/{i:02}.off", ["x", "y"][i % 2])).collect();
        let root = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let open = |seed| Dataset::open(root.path(), seed, Job::silent()).expect("a data set");
        let data = open(7);
        let mut all: Vec<String> = data.all().into_iter().map(|item| item.source.path).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 40);
        assert_eq!((data.split("test").expect("test").len(), data.validation.len()), (8, 2));
        assert_eq!(names(&open(7).validation), names(&data.validation));
        assert_ne!(names(&open(8).split("test").expect("test")), names(&data.split("test").expect("test")));
    }

    #[test]
    fn views_are_grouped_by_name_in_a_class_and_an_index_is_no_class() {
        let root = tree(&["a/x_1.png", "a/x_2.png", "a/y_1.png", "a/z/front_1.png", "a/z/side_1.png", "b/only_1.png"]);
        std::fs::create_dir(root.path().join("index")).expect("a folder");
        std::fs::write(root.path().join("index/data.mdb"), "").expect("a file");
        let data = Dataset::open(root.path(), 0, Job::silent()).expect("a data set");
        assert_eq!(data.classes, ["a", "b"]);
        let mut all = data.all();
        all.sort_by(|a, b| a.source.path.cmp(&b.source.path));
        assert_eq!(names(&all), ["x", "y_1.png", "z", "only_1.png"]);
    }

    #[test]
    fn what_cannot_be_learnt_is_refused() {
        let one = tree(&["only/1.off", "only/2.off"]);
        let data = Dataset::open(one.path(), 0, Job::silent()).expect("a data set");
        assert!(data.check_trainable().expect_err("one class").to_string().contains("only"));
        let empty = tree(&["a/1.off", "b/test/2.off"]);
        let data = Dataset::open(empty.path(), 0, Job::silent()).expect("a data set");
        assert!(data.check_trainable().expect_err("no shapes").to_string().contains("\"b\""));
        assert!(Dataset::open(tempfile::tempdir().expect("a folder").path(), 0, Job::silent()).is_err());
    }
}
