//! Building and updating an index.
//!
//! An update goes through the library in three steps, each in transactions of its own:
//!
//! 1. every file is compared by size and time with what is known of it; what differs is hashed, and only a content
//!    that the index has never seen is embedded. New files come before changed ones. Batches of [`BATCH`] are
//!    committed: a kill loses at most one, and the next update goes on where it stopped;
//! 2. paths that have vanished leave, then shapes that no path points to;
//! 3. the centre is fixed if it is not yet, and the graph is linked if the library is large.
//!
//! In memory are the paths of the library and one batch, whatever its size; linking takes about 300 bytes a shape.

use super::centre::Centre;
use super::fault::{Fault, Outcome};
use super::record::{
    Content, FORMAT, HEADER, Header, POLYAD, PathRecord, STATE, Settings, ShapeRecord, State, decode, encode,
    floats_to_bytes, id_key, key_id, path_key, place_key, seal, size_key, to_json, views_to_bytes,
};
use super::store::{Store, Tables};
use super::update::{Item, Library, Prepared, Report};
use super::{Index, graph, read_settings, read_state, require_same_model};
use crate::error::{Error, Result};
use crate::job::Job;
use crate::source::{Failure, Stamp};
use heed::RwTxn;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::path::Path;

/// Shapes a transaction: enough to share a pass through the network, few enough to lose.
const BATCH: usize = 16;
/// Entries a transaction when no network is needed.
pub(super) const LIGHT_BATCH: usize = 1000;
/// Held locked while a process writes; the system lets go of it when the process ends, however it ends.
const LOCK: &str = "writer.lock";

/// An index, open for questions and changes. Only one exists at a time.
pub struct IndexWriter {
    pub(super) index: Index,
    // After the index, for fields are dropped in their order.
    _lock: Lock,
}

/// A locked file, unlocked when dropped. Closing it would not do: a process that another thread has just forked holds it
/// open until it becomes another program.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // If that fails, closing the file is what remains.
        let _ = self.0.unlock();
    }
}

/// An item that must be looked into.
struct Pending<'a, I> {
    item: &'a I,
    stamp: Stamp,
    known: Option<PathRecord>,
}

/// What became of an item's content.
enum Found {
    Known(u32),
    New(usize),
    Failed(String),
    /// The file could not be read this time: nothing is concluded.
    Unreadable(String),
}

impl IndexWriter {
    /// Opens an index for writing, and makes it where there is none.
    ///
    /// # Errors
    /// [`Error::Index`] if another process is writing to it, if it was built with another model, or if it is damaged.
    pub fn open(folder: &Path, settings: &Settings) -> Result<IndexWriter> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        IndexWriter::locked(folder, Some(settings))
    }

    /// Opens an existing index for changes that need no model.
    ///
    /// # Errors
    /// As [`IndexWriter::open`], and if there is no index.
    pub fn existing(folder: &Path) -> Result<IndexWriter> {
        drop(Store::open(folder)?);
        IndexWriter::locked(folder, None)
    }

    fn locked(folder: &Path, settings: Option<&Settings>) -> Result<IndexWriter> {
        let path = folder.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|e| Error::io(&path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Index(format!("{} is being written by another process", folder.display())));
            }
            Err(TryLockError::Error(e)) => return Err(Error::io(&path, e)),
        }
        let lock = Lock(lock);
        let mut store = Store::create(folder)?;
        store.write(0, |txn, tables| {
            match (read_settings(txn, tables)?, settings) {
                (Some(own), Some(asked)) => {
                    require_same_model(folder, &own.identity, &asked.identity)?;
                    if (own.set_width, own.view_width) != (asked.set_width, asked.view_width) {
                        return Err(Fault::Damaged("its widths are not its model's".into()));
                    }
                }
                (Some(_), None) => return Ok(()),
                (None, None) => return Err(Fault::Damaged("its settings are missing".into())),
                (None, Some(_)) => {}
            }
            // Written anew, since the model's file may have moved.
            if let Some(asked) = settings {
                let header = Header { format: FORMAT, polyad: POLYAD.into(), settings: asked.clone() };
                tables.meta.put(txn, HEADER, &to_json(&header))?;
            }
            Ok(())
        })?;
        Ok(IndexWriter { index: Index::over(store)?, _lock: lock })
    }

    /// The index, for questions.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Brings the index in line with a library.
    ///
    /// # Errors
    /// What [`Library::items`] says; [`Error::Index`] if the library is empty though the index knows shapes of it
    /// (a disk that is not mounted, most likely); [`Error::Cancelled`]. What was committed stays.
    pub fn update<L: Library>(&mut self, library: &L, job: Job) -> Result<Report> {
        let listing = library.items(job)?;
        let mut report = Report { failed: listing.failures, ..Report::default() };
        let blocked: Vec<String> = report.failed.iter().map(|failure| failure.path.clone()).collect();
        if listing.items.is_empty() && blocked.is_empty() {
            self.refuse_empty(library.root())?;
        }

        if let Some(place) = library.place() {
            self.respell(&place, library.root(), job)?;
        }
        let mut seen = HashSet::with_capacity(listing.items.len());
        let (new, changed) = self.compare(&listing.items, &mut seen, &mut report)?;
        job.reporter().begin("indexing", (new.len() + changed.len()) as u64);
        for batch in new.chunks(BATCH).chain(changed.chunks(BATCH)) {
            job.check()?;
            self.insert(library, batch, &mut report, job)?;
            job.reporter().advance(batch.len() as u64);
        }
        job.reporter().end();

        let root = library.root();
        self.drop_paths(&mut report, |path, key| {
            is_within(path, root) && !seen.contains(key) && !blocked.iter().any(|b| is_within(path, b))
        })?;
        self.finish(job)?;
        report.failed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(report)
    }

    /// Takes a path, or all paths below it, out of the index. Their files are not touched, and come back with the
    /// next update if they are still in its folder.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the index knows no such path.
    pub fn remove(&mut self, path: &str, job: Job) -> Result<Report> {
        let mut report = Report::default();
        let known = self.drop_paths(&mut report, |candidate, _| is_within(candidate, path))?;
        if known == 0 {
            return Err(Error::Invalid(format!("{path} is not in the index {}", self.index.store.folder().display())));
        }
        self.finish(job)?;
        Ok(report)
    }

    fn refuse_empty(&self, root: &str) -> Result<()> {
        let known = self.index.with(|snapshot| {
            let mut known = 0usize;
            for entry in snapshot.tables.paths.iter(&snapshot.txn)? {
                let record: PathRecord = decode(entry?.1)?;
                known += usize::from(is_within(&record.path, root));
            }
            Ok(known)
        })?;
        if known == 0 {
            return Ok(());
        }
        Err(Error::Index(format!(
            "{root} holds no shapes, though {known} of it are in the index: nothing was removed. If the folder is \
             meant to be empty, take them out with --remove {root}"
        )))
    }

    /// Sorts items into those that are known as they are, new ones and changed ones.
    #[allow(clippy::type_complexity)] // Two lists of one kind.
    fn compare<'a, I: Item>(
        &self,
        items: &'a [I],
        seen: &mut HashSet<[u8; 16]>,
        report: &mut Report,
    ) -> Result<(Vec<Pending<'a, I>>, Vec<Pending<'a, I>>)> {
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        self.index.with(|snapshot| {
            for item in items {
                if !seen.insert(path_key(item.path())) {
                    continue;
                }
                let stamp = match item.stamp() {
                    Ok(stamp) => stamp,
                    Err(e) => {
                        report.failed.push(failure(item, &e));
                        continue;
                    }
                };
                match snapshot.path(item.path())? {
                    None => new.push(Pending { item, stamp, known: None }),
                    Some(known) if known.stamp == stamp => match &known.content {
                        Content::Shape(_) => report.unchanged += 1,
                        Content::Failed { error, polyad } if polyad == POLYAD => {
                            report.failed.push(Failure { path: known.path, error: error.clone() });
                        }
                        Content::Failed { .. } => changed.push(Pending { item, stamp, known: Some(known) }),
                    },
                    known => changed.push(Pending { item, stamp, known }),
                }
            }
            Ok(())
        })?;
        Ok((new, changed))
    }

    /// Hashes, embeds what is unknown, and commits a batch.
    fn insert<L: Library>(
        &mut self,
        library: &L,
        batch: &[Pending<L::Item>],
        report: &mut Report,
        job: Job,
    ) -> Result<()> {
        let hashes: Vec<Result<[u8; 32]>> = batch.par_iter().map(|pending| pending.item.hash()).collect();
        let mut found = self.look_up(&hashes)?;
        let mut unknown: Vec<usize> = Vec::new();
        let mut first: HashMap<[u8; 32], usize> = HashMap::new();
        for (i, (found, hash)) in found.iter_mut().zip(&hashes).enumerate() {
            if let (Found::New(content), Ok(hash)) = (found, hash) {
                *content = *first.entry(*hash).or_insert_with(|| {
                    unknown.push(i);
                    unknown.len() - 1
                });
            }
        }
        let items: Vec<&L::Item> = unknown.iter().map(|i| batch[*i].item).collect();
        let prepared = if items.is_empty() { Vec::new() } else { library.prepare(&items, job) };
        if prepared.len() != items.len() {
            return Err(Error::Invalid(format!("{} of {} shapes were prepared", prepared.len(), items.len())));
        }
        let Settings { set_width, view_width, .. } = self.index.settings;
        let prepared: Vec<(Result<Prepared>, [u8; 32])> = prepared
            .into_iter()
            .zip(&unknown)
            .map(|(prepared, i)| {
                let checked = prepared.and_then(|p| p.check(set_width, view_width).map(|()| p));
                (checked, *hashes[*i].as_ref().expect("only hashed items are prepared"))
            })
            .collect();
        if prepared.iter().any(|(p, _)| matches!(p, Err(Error::Cancelled))) {
            return Err(Error::Cancelled);
        }

        let centre = &self.index.centre;
        let bytes = prepared.iter().map(|(p, _)| p.as_ref().map_or(0, stored_bytes)).sum::<usize>() + (1 << 16);
        let done = self.index.store.write(bytes, |txn, tables| {
            let mut state = read_state(txn, tables)?;
            let mut contents = Vec::with_capacity(prepared.len());
            for (prepared, hash) in &prepared {
                contents.push(match prepared {
                    Ok(prepared) => Found::Known(put_shape(txn, tables, &mut state, centre, *hash, prepared)?),
                    Err(e @ Error::Io { .. }) => Found::Unreadable(e.reason()),
                    Err(e) => Found::Failed(e.reason()),
                });
            }
            let mut part = Report::default();
            for (pending, found) in batch.iter().zip(&found) {
                let found = if let Found::New(content) = found { &contents[*content] } else { found };
                put_path(txn, tables, pending, found, &mut part)?;
            }
            tables.meta.put(txn, STATE, &encode(&state))?;
            Ok(part)
        })?;
        report.added += done.added;
        report.updated += done.updated;
        report.removed += done.removed;
        report.unchanged += done.unchanged;
        report.failed.extend(done.failed);
        Ok(())
    }

    /// Which contents the index has already.
    fn look_up(&self, hashes: &[Result<[u8; 32]>]) -> Result<Vec<Found>> {
        self.index.with(|snapshot| {
            hashes
                .iter()
                .map(|hash| match hash {
                    Ok(hash) => match snapshot.tables.contents.get(&snapshot.txn, hash)? {
                        Some(id) => Ok(Found::Known(key_id(id)?)),
                        None => Ok(Found::New(0)),
                    },
                    Err(Error::Cancelled) => Err(Fault::Other(Error::Cancelled)),
                    Err(e @ Error::Io { .. }) => Ok(Found::Unreadable(e.reason())),
                    Err(e) => Ok(Found::Failed(e.reason())),
                })
                .collect()
        })
    }

    /// Takes out the paths that `leaves` names, and gives their number, those without a shape included.
    fn drop_paths(&mut self, report: &mut Report, leaves: impl Fn(&str, &[u8; 16]) -> bool) -> Result<usize> {
        let leaving = self.index.with(|snapshot| {
            let mut leaving = Vec::new();
            for entry in snapshot.tables.paths.iter(&snapshot.txn)? {
                let (key, value) = entry?;
                let key = *key.first_chunk().ok_or_else(|| Fault::Damaged("a key is too short".into()))?;
                let record: PathRecord = decode(value)?;
                if leaves(&record.path, &key) {
                    leaving.push((key, record.content.shape()));
                }
            }
            Ok(leaving)
        })?;
        for batch in leaving.chunks(LIGHT_BATCH) {
            self.index.store.write(1 << 20, |txn, tables| {
                for (key, shape) in batch {
                    tables.paths.delete(txn, key)?;
                    if let Some(id) = shape {
                        tables.places.delete(txn, &place_key(*id, key))?;
                    }
                }
                Ok(())
            })?;
            report.removed += batch.iter().filter(|(_, shape)| shape.is_some()).count();
        }
        Ok(leaving.len())
    }
}

/// Writes a shape under a new id.
fn put_shape(
    txn: &mut RwTxn,
    tables: &Tables,
    state: &mut State,
    centre: &Centre,
    hash: [u8; 32],
    prepared: &Prepared,
) -> Outcome<u32> {
    let id = state.next_id;
    state.next_id = id.checked_add(1).ok_or_else(|| Error::Index("all shape ids are used up".into()))?;
    let key = id_key(id);
    let record = ShapeRecord::new(hash, prepared.diagonal, prepared.triangles);
    let set = floats_to_bytes(&prepared.embedding.set);
    tables.contents.put(txn, &hash, &key)?;
    tables.shapes.put(txn, &key, &encode(&record))?;
    tables.views.put(txn, &key, &seal(views_to_bytes(&prepared.embedding.views)))?;
    tables.thumbnails.put(txn, &key, &seal(prepared.thumbnail.clone()))?;
    if let Some(diagonal) = record.diagonal() {
        tables.sizes.put(txn, &size_key(diagonal, id), &[])?;
    }
    if state.graph_filled {
        graph::add(txn, tables.graph, id, centre, &set)?;
        state.graph_ready = false;
    }
    tables.sets.put(txn, &key, &seal(set))?;
    Ok(id)
}

/// Writes what was found at a path, and counts it.
fn put_path<I: Item>(
    txn: &mut RwTxn,
    tables: &Tables,
    pending: &Pending<I>,
    found: &Found,
    report: &mut Report,
) -> Outcome<()> {
    let path = pending.item.path();
    let key = path_key(path);
    let before = pending.known.as_ref().and_then(|known| known.content.shape());
    let content = match found {
        Found::Known(id) => {
            match before {
                None => report.added += 1,
                Some(old) if old == *id => report.unchanged += 1,
                Some(_) => report.updated += 1,
            }
            Content::Shape(*id)
        }
        Found::Failed(error) => {
            report.removed += usize::from(before.is_some());
            report.failed.push(Failure { path: path.to_owned(), error: error.clone() });
            Content::Failed { error: error.clone(), polyad: POLYAD.into() }
        }
        Found::Unreadable(error) => {
            report.failed.push(Failure { path: path.to_owned(), error: error.clone() });
            return Ok(());
        }
        Found::New(_) => unreachable!("contents were resolved before paths are written"),
    };
    if let Some(old) = before.filter(|old| Some(*old) != content.shape()) {
        tables.places.delete(txn, &place_key(old, &key))?;
    }
    if let Some(id) = content.shape() {
        tables.places.put(txn, &place_key(id, &key), &[])?;
    }
    let record = PathRecord { path: path.to_owned(), stamp: pending.stamp, content };
    Ok(tables.paths.put(txn, &key, &encode(&record))?)
}

/// About how much room a shape takes.
fn stored_bytes(prepared: &Prepared) -> usize {
    let Prepared { embedding, thumbnail, .. } = prepared;
    let views: usize = embedding.views.iter().map(Vec::len).sum();
    // Two embeddings, the second in the graph; every value is rounded up to pages.
    embedding.set.len() * 8 + views * 2 + thumbnail.len() + (6 << 12)
}

fn failure<I: Item>(item: &I, error: &Error) -> Failure {
    Failure { path: item.path().to_owned(), error: error.reason() }
}

/// Whether a path is another one, or lies below it.
pub(super) fn is_within(path: &str, parent: &str) -> bool {
    let parent = parent.trim_end_matches('/');
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
