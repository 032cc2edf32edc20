//! Folders under another spelling.
//!
//! Paths are kept as they were given, so `parts`, `./parts` and `/home/me/parts` would be three libraries of the
//! same files. An index therefore remembers where each of its folders really is, and when one is given by another
//! name, the paths it holds take that name.

use super::fault::{Fault, Outcome};
use super::record::{PathRecord, ROOTS, decode, encode, path_key, place_key};
use super::writer::{IndexWriter, LIGHT_BATCH, is_within};
use super::{Index, Snapshot};
use crate::error::Result;
use crate::job::Job;
use std::collections::BTreeMap;

/// Real places, and how they were last spelled.
type Roots = BTreeMap<String, String>;

impl Index {
    /// The folders that it holds, as they were last spelled.
    pub fn roots(&self) -> Result<Vec<String>> {
        Ok(self.with(noted)?.into_values().collect())
    }
}

fn noted(snapshot: &Snapshot) -> Outcome<Roots> {
    let bytes = snapshot.tables.meta.get(&snapshot.txn, ROOTS)?;
    bytes.map_or_else(|| Ok(Roots::new()), decode)
}

impl IndexWriter {
    /// Gives the paths of the folder at `place` the spelling `root`. The new spelling is noted last, so that a kill
    /// in between is made good by the next update.
    pub(super) fn respell(&mut self, place: &str, root: &str, job: Job) -> Result<()> {
        let roots = self.index.with(noted)?;
        if roots.get(place).is_some_and(|old| old == root) {
            return Ok(());
        }
        if let Some(old) = roots.get(place) {
            self.rename(old, root, job)?;
        }
        self.index.store.write(1 << 16, |txn, tables| {
            let mut roots = roots.clone();
            roots.insert(place.to_owned(), root.to_owned());
            Ok(tables.meta.put(txn, ROOTS, &encode(&roots))?)
        })
    }

    fn rename(&mut self, old: &str, new: &str, job: Job) -> Result<()> {
        let renamed: Vec<([u8; 16], String)> = self.index.with(|snapshot| {
            let mut renamed = Vec::new();
            for entry in snapshot.tables.paths.iter(&snapshot.txn)? {
                let (key, value) = entry?;
                let key = *key.first_chunk().ok_or_else(|| Fault::Damaged("a key is too short".into()))?;
                let record: PathRecord = decode(value)?;
                // A spelling may lie within the other: what has the new one stays.
                let moved = is_within(&record.path, old) && !(new.len() > old.len() && is_within(&record.path, new));
                if moved {
                    renamed.push((key, join(new, &record.path[old.trim_end_matches('/').len()..])));
                }
            }
            Ok(renamed)
        })?;
        for batch in renamed.chunks(LIGHT_BATCH) {
            job.check()?;
            self.index.store.write(1 << 20, |txn, tables| {
                for (key, path) in batch {
                    let Some(bytes) = tables.paths.get(txn, key)? else { continue };
                    let record = PathRecord { path: path.clone(), ..decode(bytes)? };
                    tables.paths.delete(txn, key)?;
                    let new_key = path_key(path);
                    if let Some(id) = record.content.shape() {
                        tables.places.delete(txn, &place_key(id, key))?;
                        tables.places.put(txn, &place_key(id, &new_key), &[])?;
                    }
                    tables.paths.put(txn, &new_key, &encode(&record))?;
                }
                Outcome::Ok(())
            })?;
        }
        Ok(())
    }
}

/// A root and what follows it, which is nothing or begins with a slash.
fn join(root: &str, rest: &str) -> String {
    format!("{}{rest}", root.trim_end_matches('/'))
}
