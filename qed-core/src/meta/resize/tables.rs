//! L2 tables that lie wholly behind the end of a disk that shrinks: they go, so that the file can
//! be cut (C9, C11, C18).
//!
//! ```text
//! all they say is zeroes, stable --> L1 entries 0 --> nobody looks there any more
//!     --> out of the cache --flush--> freed like any table
//! ```
//!
//! 1. A disk of the old size may still be on the disk. Where the backing file shows when a table is
//!    gone, the table goes when the new size is stable; everywhere else it goes before, so that
//!    nothing is left beyond a stable end.
//! 2. A slice of a dropped table is in no cache and in nobody's hands when its index may get
//!    another table: it would be written to where the old one stood.

use std::ops::Range;

use super::Resizing;
use crate::error::Result;
use crate::format::L1Entry;
use crate::meta::Trust;
use crate::meta::plan::claims::Claim;
use crate::meta::plan::moving::pause;
use crate::meta::rules::Rule;
use crate::meta::tables::slice::{Change, SLICE_ENTRIES};

impl Resizing<'_> {
    /// Drops the tables beyond the end that hide nothing. Stable when this returns.
    ///
    /// # Errors
    /// A slice of the L1 table that cannot be read; a write or sync that failed.
    pub(super) fn drop_plain_tables(&self) -> Result<()> {
        let early = self.meta.settings.rules.breaks(Rule::HidingTablesLast);
        self.drop_tables(if early { self.tables_beyond() } else { self.hiding()..self.last() })
    }

    /// Drops the tables beyond the end that hide the backing file. Stable when this returns.
    ///
    /// # Errors
    /// As [`drop_plain_tables`](Self::drop_plain_tables).
    pub(super) fn drop_hiding_tables(&self) -> Result<()> {
        self.drop_tables(self.tables_beyond().start..self.hiding())
    }

    fn last(&self) -> u64 {
        self.meta.geometry.l1_entries_for(self.from)
    }

    /// L1 indexes of the tables that lie wholly beyond the new end.
    fn tables_beyond(&self) -> Range<u64> {
        self.meta.geometry.l1_entries_for(self.to)..self.last()
    }

    /// The first of them under which the backing file has nothing.
    fn hiding(&self) -> u64 {
        let beyond = self.tables_beyond();
        let backing = self.meta.backing().map_or(0, |backing| backing.size());
        self.meta.geometry.l1_entries_for(backing).clamp(beyond.start, beyond.end)
    }

    fn drop_tables(&self, indexes: Range<u64>) -> Result<()> {
        let meta = self.meta;
        // On a damaged image an entry of another table may name the place of this one.
        if indexes.is_empty() || meta.settings.trust == Trust::Damaged {
            return Ok(());
        }
        let geometry = meta.geometry;
        let _claimed = meta.claims.take(indexes.clone().map(Claim::Table));
        let mut dropped = false;
        for index in indexes.clone() {
            dropped |= self.unlink_table(index)?;
        }
        if !dropped {
            return Ok(());
        }
        // Who has found the table in its L1 entry has left then, with a slice of it or without.
        meta.grace.wait_for_requests();
        let first_slice = |index| geometry.cluster_at(index, 0).get() / SLICE_ENTRIES as u64;
        let slices = first_slice(indexes.start)..first_slice(indexes.end);
        while !meta.cache.forget(&slices) {
            meta.flush()?;
            pause();
        }
        meta.flush()
    }

    /// Takes table `index` out of the L1 table; whether there was one.
    fn unlink_table(&self, index: u64) -> Result<bool> {
        let meta = self.meta;
        let Some((slice, entry)) = meta.l1.place(index)? else { return Ok(false) };
        // A bad entry stays: nobody knows what it names.
        let Ok(L1Entry::Table(table)) = meta.l1.entry(index) else { return Ok(false) };
        let word = L1Entry::Empty.encode();
        let change = Change { entry, word, wait: None, retires: true };
        meta.space.touch(meta.clusters_of_table(table).into_iter());
        let mut released = Vec::new();
        {
            let versions = slice.publish(&[change], |word| released.push(word));
            meta.unstable.update(slice, versions.unstable());
        }
        meta.release_tables(&released);
        Ok(true)
    }
}
