//! Moving an L2 table to another place of the file (C11: a table that replaces a table is written
//! whole and ordered).
//!
//! ```text
//! hold the writes of its slices --> safe values, whole, to the new place --> sync
//!     --> L1 entry --> sync --> its slices are written at the new place from here on
//! ```
//!
//! Between the copy and the stable L1 entry a disk may name either table, so no entry may become
//! stable in one of them alone: nobody writes slices of the table until the switch is stable. Who
//! flushes waits for that, two syncs long; look-ups and changes in memory do not.

use std::sync::Arc;

use crate::addr::FileOffset;
use crate::error::{Error, ErrorKind, Result};
use crate::format::L1Entry;
use crate::meta::Meta;
use crate::meta::plan::claims::Claim;
use crate::meta::plan::moving::Mover;
use crate::meta::rules::Rule;
use crate::meta::space::Run;
use crate::meta::tables::header::write_metadata;
use crate::meta::tables::slice::{Change, HeldWrites, SLICE_BYTES, SLICE_ENTRIES, Slice};

/// No larger table is moved: its slices are held in memory meanwhile.
const MOST_BYTES: u64 = 64 << 20;

impl Mover<'_> {
    /// Moves table `index` to the clusters of `to`, and answers whether it did: not where there is
    /// no table. The old place is freed as any cluster is.
    ///
    /// # Errors
    /// A read, write or sync that failed; the image has latched where it was one of the latter.
    pub(crate) fn move_table(&self, index: u64, to: Run) -> Result<bool> {
        let meta = self.meta;
        let _claimed = meta.claims.take([Claim::Table(index)]);
        let place = meta.geometry.file_offset(to.start);
        let moved = meta.try_move_table(index, place);
        // Once an entry names it, it is a table, whatever failed afterwards.
        let named = meta.table_at(index).ok().flatten() == Some(place);
        if !named {
            meta.space.give_back(to.start, to.count, false);
        }
        moved
    }

    /// Fails where tables are too large to be moved.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`].
    pub(crate) fn check_tables(&self) -> Result<()> {
        let bytes = self.meta.geometry.table_bytes();
        if bytes <= MOST_BYTES {
            return Ok(());
        }
        let text = format!("tables of {bytes} bytes are not moved: at most {MOST_BYTES} are");
        Err(Error::new(ErrorKind::Unsupported, text))
    }
}

impl Meta {
    fn try_move_table(&self, index: u64, to: FileOffset) -> Result<bool> {
        let Some((l1_slice, entry)) = self.l1.place(index)? else { return Ok(false) };
        let L1Entry::Table(from) = self.l1.entry(index)? else { return Ok(false) };
        if l1_slice.is_waiting(entry) {
            self.flush()?;
        }
        let slices = self.slices_of_table(index)?;
        let rules = self.settings.rules;
        // In the order of their keys, as everybody takes more than one: nobody waits in a circle.
        let l1_writes = Slice::hold_writes(l1_slice, &self.clock);
        let held: Vec<HeldWrites<'_>> = if rules.breaks(Rule::TableHoldsWrites) {
            Vec::new()
        } else {
            slices.iter().map(|slice| Slice::hold_writes(slice, &self.clock)).collect()
        };
        self.write_table(&slices, to)?;
        let stamp = self.clock.now();
        self.l1.add_table(to);
        let wait = (!rules.breaks(Rule::MovedTableIsOrdered)).then_some(stamp);
        let word = L1Entry::Table(to).encode();
        let change = Change { entry, word, wait, retires: true };
        self.space.touch(self.clusters_of_table(from).into_iter());
        {
            let versions = l1_slice.publish(&[change], |_| ());
            self.unstable.update(l1_slice, versions.unstable());
        }
        if wait.is_some() {
            self.clock.sync_covering(stamp)?;
        }
        l1_writes.write_out(&*self.storage, rules)?;
        self.clock.sync_now()?;
        slices.iter().zip(0..).for_each(|(slice, number)| {
            slice.move_to(FileOffset(to.get() + number * SLICE_BYTES as u64));
        });
        drop(held);
        drop(l1_writes);
        Ok(true)
    }

    /// All slices of a table, held in memory: nobody reads one again from the old place.
    fn slices_of_table(&self, index: u64) -> Result<Vec<Arc<Slice>>> {
        let mut slices = Vec::new();
        for first in (0..self.geometry.table_entries()).step_by(SLICE_ENTRIES) {
            let slice = self.slice(self.geometry.cluster_at(index, first))?;
            slices.push(slice.ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a table is gone while it is moved")
            })?);
        }
        Ok(slices)
    }

    fn write_table(&self, slices: &[Arc<Slice>], to: FileOffset) -> Result<()> {
        let mut at = to.get();
        for some in slices.chunks(SLICES_AT_ONCE) {
            let mut bytes = Vec::with_capacity(some.len() * SLICE_BYTES);
            some.iter().for_each(|slice| slice.compose_whole(&self.clock, &mut bytes));
            write_metadata(&*self.storage, &bytes, at)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }
}

/// Slices written by one call.
const SLICES_AT_ONCE: usize = 64;
