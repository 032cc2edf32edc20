//! A library of shapes that answers "more like this".
//!
//! An index is a folder with one LMDB environment: embeddings, view vectors, graph, paths, content hashes, sizes,
//! thumbnails and settings change in one transaction, so nothing can disagree, and a process that is killed loses
//! at most the batch it was at.
//!
//! Shapes are kept by content, paths point to them: a file that was moved, renamed or copied is known by its hash
//! and not embedded again, and a library of many copies is as small as its contents.
//!
//! ```text
//! Library --update--> Index --search--> Neighbour list
//!                          \--entries, neighbours_of_all--> gallery
//! ```
//!
//! One process writes at a time ([`IndexWriter`]); any number read meanwhile ([`Index`]). [`MemoryIndex`] is the
//! same search without files.

mod centre;
mod entries;
mod fault;
mod finish;
mod folder;
mod graph;
mod memory;
mod record;
mod roots;
mod search;
mod store;
mod update;
mod vote;
mod writer;

pub use entries::{Entries, Entry};
pub use folder::{Folder, THUMBNAIL, prepare_shapes};
pub use memory::MemoryIndex;
pub use record::Settings;
pub use search::{EXACT_BELOW, Neighbour, SAME_SIZE, Score, SearchOptions};
pub use store::is_index;
pub use update::{Item, Library, Listing, Prepared, Report};
pub use vote::{class_below, vote};
pub use writer::IndexWriter;

use crate::embedding::Embedding;
use crate::error::{Error, Result};
use centre::Centre;
use fault::{Fault, Outcome};
use heed::{AnyTls, RoTxn, WithoutTls};
use rayon::prelude::*;
use record::{
    CENTRE, FORMAT, HEADER, Header, PathRecord, STATE, ShapeRecord, State, decode, from_json, id_key, unseal,
};
use search::Shelf;
use std::ops::Bound;
use std::path::Path;
use store::{Store, Tables};

/// Values whose checksums a task looks at: some tens of microseconds.
const CHECKED: usize = 256;

/// An index, open for questions.
pub struct Index {
    store: Store,
    settings: Settings,
    centre: Centre,
}

impl Index {
    /// Opens an index for reading; a process may update it meanwhile, and each search sees its newest state.
    ///
    /// An index that was never finished is searched as far as it goes.
    ///
    /// # Errors
    /// [`Error::Index`] if the folder is no index, is damaged, or was made by a newer polyad.
    pub fn open(folder: &Path) -> Result<Index> {
        Index::over(Store::open(folder)?)
    }

    /// Reads settings and centre of an open environment.
    fn over(store: Store) -> Result<Index> {
        let read = || -> Outcome<(Settings, Centre)> {
            let txn = store.read()?;
            let settings =
                read_settings(&txn, &store.tables)?.ok_or_else(|| Fault::Damaged("its settings are missing".into()))?;
            let (set, view) = (settings.set_width, settings.view_width);
            let centre = match store.tables.meta.get(&txn, CENTRE)? {
                Some(bytes) => Centre::from_bytes(unseal(bytes)?, set, view)
                    .ok_or_else(|| Fault::Damaged("its centre has another width".into()))?,
                None => measure_centre(&txn, &store.tables, set, view)?,
            };
            Ok((settings, centre))
        };
        let (settings, centre) = read().map_err(|fault| fault.at(store.folder()))?;
        Ok(Index { store, settings, centre })
    }

    /// What the index was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many paths have a shape, and how many different shapes there are.
    pub fn size(&self) -> Result<(u64, u64)> {
        self.with(|snapshot| {
            let Tables { places, shapes, .. } = snapshot.tables;
            Ok((places.len(&snapshot.txn)?, shapes.len(&snapshot.txn)?))
        })
    }

    /// Refuses a model that is not the index's own.
    pub fn require_model(&self, identity: &str) -> Result<()> {
        require_same_model(self.store.folder(), &self.settings.identity, identity)
    }

    /// The nearest neighbours of a query, nearest first, equal scores by path: `k`, or all there are if fewer.
    ///
    /// Exact, but for a library above [`EXACT_BELOW`] shapes asked for [`Score::Set`] without a size.
    ///
    /// # Errors
    /// [`Error::Invalid`] for embeddings of other widths than the index's, [`Error::Index`] for a damaged index.
    pub fn search(&self, query: &Embedding, options: &SearchOptions) -> Result<Vec<Neighbour>> {
        self.with(|snapshot| search::search(snapshot, &self.centre, query, options))
    }

    /// The embedding and bounding diagonal of an indexed path; `None` where it is unknown or has no shape. View
    /// vectors come back in half precision and of length one.
    pub fn stored(&self, path: &str) -> Result<Option<(Embedding, Option<f64>)>> {
        self.with(|snapshot| {
            let Some(id) = snapshot.path(path)?.and_then(|record| record.content.shape()) else { return Ok(None) };
            let mut set = vec![0.0; self.settings.set_width];
            record::bytes_to_floats(snapshot.value(&snapshot.tables.sets, id, "embedding")?, &mut set);
            let (mut halves, mut all) = (Vec::new(), Vec::new());
            let bytes = snapshot.value(&snapshot.tables.views, id, "views")?;
            record::bytes_to_views(bytes, &mut halves, &mut all);
            let views = all.chunks_exact(self.settings.view_width.max(1)).map(<[f32]>::to_vec).collect();
            Ok(Some((Embedding { set, views }, snapshot.shape(id)?.diagonal())))
        })
    }

    /// The picture of an indexed path, as PNG; `None` where the path is unknown or has no shape.
    pub fn thumbnail(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.with(|snapshot| {
            let Some(id) = snapshot.path(path)?.and_then(|record| record.content.shape()) else { return Ok(None) };
            Ok(Some(snapshot.value(&snapshot.tables.thumbnails, id, "thumbnail")?.to_vec()))
        })
    }

    /// Runs `body` on the index as it is now.
    fn with<T>(&self, body: impl FnOnce(&Snapshot) -> Outcome<T>) -> Result<T> {
        let txn = self.store.read()?;
        let run = || {
            let state = read_state(&txn, &self.store.tables)?;
            body(&Snapshot { txn, tables: &self.store.tables, state })
        };
        run().map_err(|fault: Fault| fault.at(self.store.folder()))
    }
}

/// An index at one moment.
struct Snapshot<'a> {
    txn: RoTxn<'a, WithoutTls>,
    tables: &'a Tables,
    state: State,
}

impl Snapshot<'_> {
    fn path(&self, path: &str) -> Outcome<Option<PathRecord>> {
        self.tables.paths.get(&self.txn, &record::path_key(path))?.map(decode).transpose()
    }

    fn shape(&self, id: u32) -> Outcome<ShapeRecord> {
        from_json(self.value(&self.tables.shapes, id, "record")?)
    }

    /// A value that every shape has.
    fn value(&self, table: &store::Table, id: u32, what: &str) -> Outcome<&[u8]> {
        unseal(self.sealed(table, id, what)?)
    }

    fn sealed(&self, table: &store::Table, id: u32, what: &str) -> Outcome<&[u8]> {
        table.get(&self.txn, &id_key(id))?.ok_or_else(|| Fault::Damaged(format!("shape {id} has lost its {what}")))
    }

    /// Values of all shapes, or of those asked for.
    fn values(&self, table: &store::Table, only: Option<&[u32]>) -> Outcome<Vec<(u32, &[u8])>> {
        let sealed: Vec<(u32, &[u8])> = match only {
            Some(ids) => ids.iter().map(|id| Ok((*id, self.sealed(table, *id, "vectors")?))).collect::<Outcome<_>>()?,
            None => table
                .iter(&self.txn)?
                .map(|entry| {
                    let (key, value) = entry?;
                    Ok((record::key_id(key)?, value))
                })
                .collect::<Outcome<_>>()?,
        };
        // Every search reads all of them, so all threads look whether they are whole.
        let whole = sealed.into_par_iter().with_min_len(CHECKED).map(|(id, value)| Some((id, record::intact(value)?)));
        let whole: Option<Vec<_>> = whole.collect();
        whole.ok_or_else(|| Fault::Damaged("the vectors of a shape are not those that were written".into()))
    }
}

impl Shelf for Snapshot<'_> {
    fn sets(&self, only: Option<&[u32]>) -> Outcome<Vec<(u32, &[u8])>> {
        self.values(&self.tables.sets, only)
    }

    fn views(&self, only: Option<&[u32]>) -> Outcome<Vec<(u32, &[u8])>> {
        self.values(&self.tables.views, only)
    }

    fn sizes(&self, from: f64, to: f64) -> Outcome<Vec<u32>> {
        let (from, to) = (record::size_key(from.max(0.0), 0), record::size_key(to.max(0.0), u32::MAX));
        let range = (Bound::Included(&from[..]), Bound::Included(&to[..]));
        self.tables.sizes.range(&self.txn, &range)?.map(|entry| record::size_id(entry?.0)).collect()
    }

    fn near(&self, query: &[f32], count: usize) -> Outcome<Option<Vec<u32>>> {
        if !self.state.graph_ready {
            return Ok(None);
        }
        graph::near(&self.txn, self.tables.graph, query, count).map(Some)
    }

    fn paths(&self, id: u32) -> Outcome<Vec<String>> {
        self.tables
            .places
            .prefix_iter(&self.txn, &id_key(id))?
            .map(|entry| {
                let key = entry?.0.get(4..).unwrap_or_default();
                let bytes = self.tables.paths.get(&self.txn, key)?;
                let record: PathRecord = decode(bytes.ok_or_else(|| Fault::Damaged("a path is missing".into()))?)?;
                Ok(record.path)
            })
            .collect()
    }
}

/// The settings of an index; `None` in a new environment.
fn read_settings(txn: &RoTxn<AnyTls>, tables: &Tables) -> Outcome<Option<Settings>> {
    let Some(bytes) = tables.meta.get(txn, HEADER)? else { return Ok(None) };
    // Only the version is sure to be readable in an index of another version.
    #[derive(serde::Deserialize)]
    struct Version {
        format: u32,
        polyad: String,
    }
    let version: Version = from_json(bytes)?;
    if version.format != FORMAT {
        return Err(Fault::Other(Error::Index(format!(
            "made by polyad {} in format {}, this one reads format {FORMAT}: build it again in another folder",
            version.polyad, version.format
        ))));
    }
    Ok(Some(from_json::<Header>(bytes)?.settings))
}

fn read_state(txn: &RoTxn<AnyTls>, tables: &Tables) -> Outcome<State> {
    tables.meta.get(txn, STATE)?.map_or_else(|| Ok(State::default()), decode)
}

/// The centre of all that is in an index.
fn measure_centre(txn: &RoTxn<AnyTls>, tables: &Tables, set_width: usize, view_width: usize) -> Outcome<Centre> {
    Centre::measure(
        (set_width, view_width),
        tables.sets.iter(txn)?.map(|entry| unseal(entry?.1)),
        tables.views.iter(txn)?.map(|entry| unseal(entry?.1)),
    )
}

fn require_same_model(folder: &Path, own: &str, other: &str) -> Result<()> {
    if own == other {
        return Ok(());
    }
    Err(Error::Index(format!(
        "{} was built with the model {own}, not with {other}: embeddings of different models cannot be compared; \
         use that model, or build an index in another folder",
        folder.display()
    )))
}
