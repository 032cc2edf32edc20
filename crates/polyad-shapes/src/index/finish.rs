//! The end of an update: shapes that nobody has any more leave, the centre is fixed, the graph is linked.

use super::fault::Outcome;
use super::record::{
    CENTRE, STATE, Settings, ShapeRecord, State, decode, encode, id_key, key_id, seal, size_key, unseal,
};
use super::search::EXACT_BELOW;
use super::store::Tables;
use super::writer::{IndexWriter, LIGHT_BATCH};
use super::{graph, measure_centre, read_state};
use crate::error::Result;
use crate::job::Job;
use heed::RwTxn;
use std::ops::Bound;

impl IndexWriter {
    /// Removes shapes without a path, fixes the centre, and brings the graph up to date.
    pub(super) fn finish(&mut self, job: Job) -> Result<()> {
        self.sweep()?;
        self.fix_centre()?;
        self.link(job)
    }

    /// Removes shapes that no path points to.
    fn sweep(&mut self) -> Result<()> {
        let orphans = self.index.with(|snapshot| {
            let mut orphans = Vec::new();
            for entry in snapshot.tables.shapes.iter(&snapshot.txn)? {
                let key = entry?.0;
                if snapshot.tables.places.prefix_iter(&snapshot.txn, key)?.next().is_none() {
                    orphans.push(key_id(key)?);
                }
            }
            Ok(orphans)
        })?;
        let width = self.index.settings.set_width;
        for batch in orphans.chunks(LIGHT_BATCH) {
            self.index.store.write(1 << 20, |txn, tables| {
                let mut state = read_state(txn, tables)?;
                for id in batch {
                    drop_shape(txn, tables, &mut state, *id, width)?;
                }
                tables.meta.put(txn, STATE, &encode(&state))?;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Fixes the centre, once there is something to take it from.
    fn fix_centre(&mut self) -> Result<()> {
        let Settings { set_width, view_width, .. } = self.index.settings;
        let room = (set_width + view_width) * 4 + (1 << 16);
        let centre = self.index.store.write(room, |txn, tables| {
            if tables.sets.is_empty(txn)? || tables.meta.get(txn, CENTRE)?.is_some() {
                return Ok(None);
            }
            let centre = measure_centre(txn, tables, set_width, view_width)?;
            tables.meta.put(txn, CENTRE, &seal(centre.to_bytes()))?;
            Ok(Some(centre))
        })?;
        if let Some(centre) = centre {
            self.index.centre = centre;
        }
        Ok(())
    }

    /// Fills and links the graph of a large library; empties that of a small one.
    fn link(&mut self, job: Job) -> Result<()> {
        let width = self.index.settings.set_width;
        let (mut state, shapes) = self.index.with(|s| Ok((s.state.clone(), s.tables.sets.len(&s.txn)? as usize)))?;
        if shapes <= EXACT_BELOW {
            if state.graph_filled || state.graph_ready {
                self.index.store.write(1 << 20, |txn, tables| {
                    graph::clear(txn, tables.graph, width)?;
                    let state = State { graph_filled: false, graph_ready: false, ..read_state(txn, tables)? };
                    Ok(tables.meta.put(txn, STATE, &encode(&state))?)
                })?;
            }
            return Ok(());
        }
        if !state.graph_filled {
            self.fill(job)?;
            state.graph_ready = false;
        }
        if state.graph_ready {
            return Ok(());
        }
        job.check()?;
        job.reporter().begin("linking neighbours", 0);
        self.index.store.write(graph::link_bytes(shapes), |txn, tables| {
            graph::link(txn, tables.graph, width, job)?;
            let state = State { graph_ready: true, ..read_state(txn, tables)? };
            Ok(tables.meta.put(txn, STATE, &encode(&state))?)
        })?;
        job.reporter().end();
        Ok(())
    }

    /// Puts all vectors into the graph's table, some at a time; a second time does no harm.
    fn fill(&mut self, job: Job) -> Result<()> {
        let centre = &self.index.centre;
        let mut next = Some(0u32);
        while let Some(from) = next {
            job.check()?;
            let bytes = LIGHT_BATCH * (4 * centre.set.len() + (1 << 13));
            next = self.index.store.write(bytes, |txn, tables| {
                let from = id_key(from);
                let range = (Bound::Included(&from[..]), Bound::Unbounded);
                let batch: Vec<(u32, Vec<u8>)> = tables
                    .sets
                    .range(txn, &range)?
                    .take(LIGHT_BATCH)
                    .map(|entry| {
                        let (key, bytes) = entry?;
                        Ok((key_id(key)?, unseal(bytes)?.to_vec()))
                    })
                    .collect::<Outcome<_>>()?;
                for (id, bytes) in &batch {
                    graph::add(txn, tables.graph, *id, centre, bytes)?;
                }
                let next = batch.last().and_then(|(id, _)| id.checked_add(1));
                if next.is_none() {
                    let state = State { graph_filled: true, ..read_state(txn, tables)? };
                    tables.meta.put(txn, STATE, &encode(&state))?;
                }
                Ok(next)
            })?;
        }
        Ok(())
    }
}

/// Removes a shape from all tables.
fn drop_shape(txn: &mut RwTxn, tables: &Tables, state: &mut State, id: u32, width: usize) -> Outcome<()> {
    let key = id_key(id);
    if let Some(bytes) = tables.shapes.get(txn, &key)? {
        let record: ShapeRecord = decode(bytes)?;
        tables.contents.delete(txn, &record.hash)?;
        if let Some(diagonal) = record.diagonal() {
            tables.sizes.delete(txn, &size_key(diagonal, id))?;
        }
    }
    for table in [tables.shapes, tables.sets, tables.views, tables.thumbnails] {
        table.delete(txn, &key)?;
    }
    if state.graph_filled {
        graph::remove(txn, tables.graph, id, width)?;
        state.graph_ready = false;
    }
    Ok(())
}
