//! Space for the part by which a disk grows (C2, C3, C11).
//!
//! ```text
//! data: set aside, in one run --> missing tables: written whole, in one run --sync--> L1 entries
//! ```
//!
//! Nobody can see any of it before the size grows: requests end at the old end, and so does every
//! state of the disk. What is named is covered by a sync before anything can name it, length
//! included, so all these entries are safe at once. A crash leaves tables and data beyond the end
//! (F3.6), which reads as zeroes and which the next resize clears.

use super::Resizing;
use crate::addr::GuestCluster;
use crate::error::{Error, Result};
use crate::format::{L1Entry, L2Entry};
use crate::meta::plan::claims::Claim;
use crate::meta::plan::lookup::entry_of;
use crate::meta::rules::Rule;
use crate::meta::space::Run;
use crate::meta::tables::slice::{Change, SLICE_ENTRIES};
use crate::meta::tables::words::write_words;
use crate::storage::{Preallocation, set_aside};

impl Resizing<'_> {
    /// Makes the tables that the new part lacks, empty, in one run of the file.
    ///
    /// # Errors
    /// No space, an L1 entry that cannot be right; a read, write or sync that failed.
    pub(crate) fn lay_tables(&self) -> Result<()> {
        self.lay(None).map(drop)
    }

    /// Gives every whole cluster of the new part, none of which is allocated, its place and space.
    ///
    /// # Errors
    /// As [`lay_tables`](Self::lay_tables).
    pub(crate) fn lay_data(&self, kind: Preallocation) -> Result<()> {
        let geometry = self.meta.geometry;
        let (first, end) = (geometry.clusters_for(self.from), geometry.clusters_for(self.to));
        if first == end {
            return Ok(());
        }
        let run = self.meta.space.allocate_exact(end - first, &self.meta.clock)?;
        let data = Data { first, end, run };
        let laid = self.set_aside(&data, kind).and_then(|()| self.lay(Some(&data)));
        let laid = laid.inspect_err(|_| self.meta.space.give_up(run))?;
        self.name_in_old_tables(&data, &laid)
    }

    fn set_aside(&self, data: &Data, kind: Preallocation) -> Result<()> {
        let meta = self.meta;
        // Space that was used before is zeroed whatever was asked for.
        let kind = if data.run.fresh { kind } else { Preallocation::Full };
        let length = data.run.count.saturating_mul(meta.geometry.cluster_size());
        let offset = meta.geometry.file_offset(data.run.start).get();
        set_aside(&*meta.storage, offset, length, kind)?;
        meta.clock.note_data();
        Ok(())
    }

    /// Makes the tables that are missing, with entries for `data` where there is some. Gives their
    /// L1 indexes; everything that has completed before is stable then.
    fn lay(&self, data: Option<&Data>) -> Result<Vec<u64>> {
        let meta = self.meta;
        let geometry = meta.geometry;
        let from = geometry.l1_index(meta.guest_cluster(self.from));
        let indexes = from..geometry.l1_entries_for(self.to);
        let _claimed = meta.claims.take(indexes.clone().map(Claim::Table));
        let mut missing = Vec::new();
        for index in indexes {
            if meta.table_at(index)?.is_none() {
                missing.push(index);
            }
        }
        let count = (missing.len() as u64).saturating_mul(geometry.table_clusters());
        if count == 0 {
            meta.clock.sync_now()?;
            return Ok(missing);
        }
        let run = meta.space.allocate_exact(count, &meta.clock)?;
        let written = self.write_tables(run, &missing, data).and_then(|()| self.sync_tables(run));
        written.inspect_err(|_| meta.space.give_back(run.start, run.count, false))?;
        let mut offset = geometry.file_offset(run.start);
        for index in &missing {
            let Some((slice, entry)) = meta.l1.place(*index)? else {
                return Err(Error::invalid("a guest offset lies past the image's end"));
            };
            meta.l1.add_table(offset);
            let word = L1Entry::Table(offset).encode();
            meta.publish(slice, &[Change { entry, word, wait: None, retires: false }]);
            offset.0 += geometry.table_bytes();
        }
        Ok(missing)
    }

    /// Writes the tables of `indexes`, one behind the other, whole: but for empty ones in fresh
    /// space, which is what they are to be already.
    fn write_tables(&self, run: Run, indexes: &[u64], data: Option<&Data>) -> Result<()> {
        let meta = self.meta;
        let geometry = meta.geometry;
        if run.fresh && data.is_none() {
            return Ok(());
        }
        let initialises = !meta.settings.rules.breaks(Rule::InitialiseReusedTables);
        let count = geometry.table_entries();
        let mut at = geometry.file_offset(run.start).get();
        for index in indexes {
            let word = |slot| {
                let cluster = geometry.cluster_at(*index, slot);
                let place = data.and_then(|data| data.place_of(cluster));
                place.map_or(L2Entry::Unallocated, |place| {
                    L2Entry::Data(geometry.file_offset(place))
                })
            };
            if data.is_some() || initialises {
                write_words(&*meta.storage, at, count, |slot| word(slot).encode())?;
            }
            at += geometry.table_bytes();
        }
        Ok(())
    }

    /// Everything so far is on the disk before anything names it.
    fn sync_tables(&self, run: Run) -> Result<()> {
        let rules = self.meta.settings.rules;
        let reused = !run.fresh && rules.breaks(Rule::OrderReusedTables);
        if reused || rules.breaks(Rule::TableWaitsForLength) {
            return Ok(());
        }
        self.meta.clock.sync_now()
    }

    /// Names `data`, which is stable, in the tables that were there before those of `laid`.
    fn name_in_old_tables(&self, data: &Data, laid: &[u64]) -> Result<()> {
        let meta = self.meta;
        let mut at = data.first;
        while at < data.end {
            let first = GuestCluster(at);
            let next = data.end.min((at | (SLICE_ENTRIES as u64 - 1)) + 1);
            if laid.binary_search(&meta.geometry.l1_index(first)).is_err() {
                let slice = meta.slice_to_change(first)?;
                let _claimed = meta.claims.take((at..next).map(Claim::Cluster));
                let mut changes = Vec::new();
                for cluster in (at..next).map(GuestCluster) {
                    let Some(place) = data.place_of(cluster) else { continue };
                    if let L2Entry::Data(_) = meta.entry(&slice, cluster)? {
                        meta.space.give_back(place, 1, false);
                        continue;
                    }
                    let word = L2Entry::Data(meta.geometry.file_offset(place)).encode();
                    let entry = entry_of(cluster);
                    changes.push(Change { entry, word, wait: None, retires: false });
                }
                meta.publish(&slice, &changes);
            }
            at = next;
        }
        Ok(())
    }
}

/// The guest clusters from `first` to `end`, and where they stand, one behind the other.
struct Data {
    first: u64,
    end: u64,
    run: Run,
}

impl Data {
    fn place_of(&self, cluster: GuestCluster) -> Option<crate::addr::FileCluster> {
        let inside = (self.first..self.end).contains(&cluster.get());
        let place = self.run.start.get() + (cluster.get().checked_sub(self.first)?);
        inside.then_some(crate::addr::FileCluster(place))
    }
}
