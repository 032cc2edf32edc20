//! The LMDB environment of an index: its tables, its growth, and the signs of damage.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | a name | settings, state, centre |
//! | `paths` | digest of the path (LMDB's keys end at 511 bytes, paths do not) | the path, its stamp, its shape or its error |
//! | `contents` | content hash | shape id |
//! | `shapes` | shape id | content hash, size, triangles |
//! | `sets` | shape id | the embedding, `f32` |
//! | `views` | shape id | one unit vector a view, `f16` |
//! | `thumbnails` | shape id | PNG |
//! | `sizes` | bounding diagonal, shape id | nothing |
//! | `places` | shape id, digest of the path | nothing |
//! | `graph` | hannoy's | hannoy's |
//!
//! Numbers in keys are big endian, so that LMDB sorts them; in values little endian. Values of `paths`, `shapes`, `sets`,
//! `views`, `thumbnails` and, but for the settings, `meta` end in their CRC-32: see [`record`](super::record).
//!
//! LMDB maps the data file, so a file that was cut short would end the process with SIGBUS on the first page that
//! is missing. [`Store::open`] therefore compares the last page in use with the file's length. That comparison
//! is only sound if LMDB never leaves the end of the file unwritten, which it does when pages are freed in the
//! transaction that took them; so the file is always made as long as the map (sparse: it takes no room).
//!
//! This module holds the only `unsafe` of the crate's index: opening and resizing a map.

use super::fault::{Fault, Outcome};
use crate::error::{Error, Result};
use hannoy::distances::Cosine;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, RwTxn, WithoutTls};
use std::fs;
use std::path::{Path, PathBuf};

/// A table of bytes.
pub(super) type Table = Database<'static, Bytes, Bytes>;

/// LMDB's file.
const DATA: &str = "data.mdb";
/// Where a new environment is made.
const FRESH: &str = ".new";
/// Maps grow in steps of this many bytes, a multiple of every page size in use.
const STEP: usize = 1 << 20;
/// What a reader maps beyond the file, so that it need not notice a writer's growth. Addresses only, no memory.
const READER_ROOM: usize = 1 << 36;
/// The names of [`Tables`] of bytes, in their order.
const NAMES: [&str; 9] = ["meta", "paths", "contents", "shapes", "sets", "views", "thumbnails", "sizes", "places"];
const GRAPH: &str = "graph";
const TABLES: u32 = NAMES.len() as u32 + 1;

/// The tables, see the module's head.
#[derive(Clone, Copy)]
pub(super) struct Tables {
    pub meta: Table,
    pub paths: Table,
    pub contents: Table,
    pub shapes: Table,
    pub sets: Table,
    pub views: Table,
    pub thumbnails: Table,
    pub sizes: Table,
    pub places: Table,
    pub graph: hannoy::Database<'static, Cosine>,
}

impl Tables {
    /// From a table for each of [`NAMES`].
    fn of(tables: Vec<Table>, graph: hannoy::Database<'static, Cosine>) -> Self {
        let [meta, paths, contents, shapes, sets, views, thumbnails, sizes, places] =
            tables[..].try_into().expect("one for each name");
        Tables { meta, paths, contents, shapes, sets, views, thumbnails, sizes, places, graph }
    }
}

/// An open environment.
pub(super) struct Store {
    env: Env<WithoutTls>,
    pub tables: Tables,
    folder: PathBuf,
}

impl Store {
    /// Opens an existing index for reading. Other processes may write to it meanwhile.
    pub fn open(folder: &Path) -> Result<Store> {
        let length = data_length(folder)?
            .ok_or_else(|| Error::Index(format!("{} is not an index: it holds no {DATA}", folder.display())))?;
        // Where addresses are scarce (`ulimit -v`), the file itself must do.
        let env = open_env(folder, length.saturating_add(READER_ROOM), EnvFlags::READ_ONLY)
            .or_else(|_| open_env(folder, length, EnvFlags::READ_ONLY))
            .map_err(|fault| fault.at(folder))?;
        check_length(&env, folder)?;
        let txn = env.read_txn().map_err(|e| Fault::from(e).at(folder))?;
        let tables = env
            .open_databases_and_commit(txn, |opener, txn| -> Outcome<_> {
                let tables = NAMES.map(|name| opener.open_database::<Bytes, Bytes>(txn, Some(name)));
                Ok(CommitOrAbort::<_, ()>::Commit((tables, opener.open_database(txn, Some(GRAPH)))))
            })
            .map_err(|fault: Fault| fault.at(folder))?
            .commit()
            .expect("the closure above always commits");
        let (tables, graph) = tables;
        let tables = tables.into_iter().collect::<heed::Result<Option<Vec<_>>>>().map_err(Fault::from);
        let graph = graph.map_err(Fault::from).map_err(|fault| fault.at(folder))?;
        let tables =
            tables.map_err(|fault| fault.at(folder))?.zip(graph).map(|(tables, graph)| Tables::of(tables, graph));
        let tables = tables.ok_or_else(|| damaged(folder, "tables are missing"))?;
        Ok(Store { env, tables, folder: folder.to_owned() })
    }

    /// Opens an index for writing, and makes it where there is none. The caller keeps other writers out.
    ///
    /// A new environment is made beside its place and renamed into it: a kill in between would leave a file that
    /// looks cut short.
    pub fn create(folder: &Path) -> Result<Store> {
        if data_length(folder)?.is_none() {
            let fresh = folder.join(FRESH);
            match fs::remove_dir_all(&fresh) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(fresh, e)),
                _ => {}
            }
            fs::create_dir_all(&fresh).map_err(|e| Error::io(&fresh, e))?;
            drop(Store::write_to(&fresh)?);
            let place = folder.join(DATA);
            fs::rename(fresh.join(DATA), &place).map_err(|e| Error::io(&place, e))?;
            fs::remove_dir_all(&fresh).map_err(|e| Error::io(&fresh, e))?;
        }
        Store::write_to(folder)
    }

    fn write_to(folder: &Path) -> Result<Store> {
        let existing = data_length(folder)?;
        let env = open_env(folder, existing.unwrap_or(STEP), EnvFlags::empty()).map_err(|fault| fault.at(folder))?;
        if existing.is_some() {
            check_length(&env, folder)?;
        }
        let create = || -> Outcome<Tables> {
            lengthen(&env)?;
            // Left by processes that were killed; they would keep old pages from being used again.
            env.clear_stale_readers()?;
            let txn = env.write_txn()?;
            let tables = env
                .create_databases_and_commit(txn, |opener, txn| -> Outcome<_> {
                    let tables = NAMES.map(|name| opener.create_database::<Bytes, Bytes>(txn, Some(name)));
                    Ok(CommitOrAbort::<_, ()>::Commit((tables, opener.create_database(txn, Some(GRAPH)))))
                })?
                .commit()
                .expect("the closure above always commits");
            let (tables, graph) = tables;
            Ok(Tables::of(tables.into_iter().collect::<heed::Result<Vec<_>>>()?, graph?))
        };
        let tables = create().map_err(|fault| fault.at(folder))?;
        Ok(Store { env, tables, folder: folder.to_owned() })
    }

    /// The index's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A view of the index as it is now, whatever is written later.
    pub fn read(&self) -> Result<RoTxn<'_, WithoutTls>> {
        self.env.read_txn().map_err(|e| Fault::from(e).at(&self.folder))
    }

    /// Runs `body` in one transaction: all of it is kept, or nothing. `bytes` is about how much it adds; when that
    /// was too little the map grows and `body` runs again, so it must leave nothing behind but its result.
    pub fn write<T>(&mut self, bytes: usize, mut body: impl FnMut(&mut RwTxn, &Tables) -> Outcome<T>) -> Result<T> {
        let mut room = bytes;
        loop {
            let outcome = self.reserve(room).and_then(|()| {
                let mut txn = self.env.write_txn()?;
                let value = body(&mut txn, &self.tables)?;
                txn.commit()?;
                Ok(value)
            });
            match outcome {
                Err(fault) if fault.is_map_full() => room = room.saturating_mul(2).max(STEP),
                other => return other.map_err(|fault| fault.at(&self.folder)),
            }
        }
    }

    /// Makes the map so large that `bytes` more fit, and a quarter more, so that growth is seldom.
    fn reserve(&mut self, bytes: usize) -> Outcome<()> {
        let info = self.env.info();
        let page = self.env.unnamed_database_stat().page_size as usize;
        let used = info.last_page_number.saturating_add(1).saturating_mul(page);
        if used.saturating_add(bytes) <= info.map_size {
            return Ok(());
        }
        let size = round_up(used.saturating_add(bytes).saturating_add(used / 4));
        // SAFETY: no transaction of this process is open: `self` is borrowed mutably, and every transaction
        // borrows it.
        unsafe { self.env.resize(size) }?;
        lengthen(&self.env)
    }
}

/// Opens LMDB's environment with a map of at least `size` bytes.
fn open_env(folder: &Path, size: usize, flags: EnvFlags) -> Outcome<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(round_up(size)).max_dbs(TABLES);
    // SAFETY: a mapped file must not be changed but through LMDB. Other writers are kept out by the lock of
    // `IndexWriter`, LMDB's own lock file orders readers and the writer, and the file is never cut short by us.
    // The only flag passed is READ_ONLY, which takes rights away.
    let env = unsafe { options.flags(flags).open(folder) };
    Ok(env?)
}

/// Whether a folder is an index, be it damaged.
pub fn is_index(folder: &Path) -> bool {
    folder.join(DATA).is_file()
}

/// Length of the data file; `None` where there is none. One that cannot even hold LMDB's two heads is damaged.
fn data_length(folder: &Path) -> Result<Option<usize>> {
    let path = folder.join(DATA);
    let length = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(path, e)),
    };
    if length < STEP as u64 {
        return Err(damaged(folder, &format!("{DATA} holds {length} bytes, at least {STEP} are needed")));
    }
    Ok(Some(usize::try_from(length).unwrap_or(usize::MAX)))
}

/// Refuses a data file that was cut short.
fn check_length(env: &Env<WithoutTls>, folder: &Path) -> Result<()> {
    let length = env.real_disk_size().map_err(|e| Fault::from(e).at(folder))?;
    let page = u64::from(env.unnamed_database_stat().page_size);
    let needed = (env.info().last_page_number as u64).saturating_add(1).saturating_mul(page);
    if length < needed {
        return Err(damaged(folder, &format!("{DATA} was cut short, {length} of {needed} bytes are left")));
    }
    Ok(())
}

/// Makes the file as long as the map; see the module's head.
fn lengthen(env: &Env<WithoutTls>) -> Outcome<()> {
    let map = env.info().map_size as u64;
    if env.real_disk_size()? < map {
        env.try_clone_inner_file()?.set_len(map)?;
    }
    Ok(())
}

fn damaged(folder: &Path, how: &str) -> Error {
    Error::Index(format!("{} is damaged: {how}; build it again", folder.display()))
}

fn round_up(size: usize) -> usize {
    size.div_ceil(STEP).saturating_mul(STEP).min(usize::MAX / STEP * STEP)
}
