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
//! flushes waits for that, two syncs long; look-ups and changes in memory do not. The copy is made
//! from the disk, a window at a time, so that tables may be of any size; slices that are not stable
//! are in memory, and are written over it.

use std::io::IoSliceMut;
use std::ops::Range;
use std::sync::Arc;

use crate::addr::FileOffset;
use crate::error::{Error, Result};
use crate::format::L1Entry;
use crate::meta::Meta;
use crate::meta::plan::claims::Claim;
use crate::meta::plan::moving::Mover;
use crate::meta::rules::Rule;
use crate::meta::space::Run;
use crate::meta::tables::header::write_metadata;
use crate::meta::tables::slice::{Change, HeldWrites, SLICE_BYTES, SLICE_ENTRIES, Slice, SliceKey};
use crate::source::all_zero;

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
}

impl Meta {
    fn try_move_table(&self, index: u64, to: FileOffset) -> Result<bool> {
        let Some((l1_slice, entry)) = self.l1.place(index)? else { return Ok(false) };
        let L1Entry::Table(from) = self.l1.entry(index)? else { return Ok(false) };
        if l1_slice.is_waiting(entry) {
            self.flush()?;
        }
        let rules = self.settings.rules;
        // The L1 table first, as everybody takes more than one: nobody waits in a circle.
        let l1_writes = Slice::hold_writes(l1_slice, &self.clock);
        let numbers = self.slices_of(index);
        let held = self.hold_table(&numbers);
        self.copy_table(from, to)?;
        for slice in &held.slices {
            let mut words = Vec::with_capacity(SLICE_BYTES);
            slice.compose_whole(&self.clock, &mut words);
            let within = slice.offset().get() - from.get();
            write_metadata(&*self.storage, &words, to.get() + within)?;
        }
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
        self.visit_slices(&numbers, |slice, number| {
            let within = (number - numbers.start) * SLICE_BYTES as u64;
            slice.move_to(FileOffset(to.get() + within));
        });
        drop(held);
        drop(l1_writes);
        Ok(true)
    }

    /// The numbers of the slices of table `index`.
    fn slices_of(&self, index: u64) -> Range<u64> {
        let number = |index| self.geometry.cluster_at(index, 0).get() / SLICE_ENTRIES as u64;
        number(index)..number(index + 1)
    }

    /// Keeps everybody from writing slices of these numbers; none is being written when this
    /// returns. Those that are not stable are kept in memory.
    fn hold_table(&self, numbers: &Range<u64>) -> TableHold<'_> {
        if self.settings.rules.breaks(Rule::TableHoldsWrites) {
            let numbers = 0..0;
            return TableHold { meta: self, numbers, slices: Vec::new(), writes: Vec::new() };
        }
        self.held.set(numbers);
        let mut slices = self.unstable.all();
        let is_of_table = |slice: &Arc<Slice>| match slice.key() {
            SliceKey::L1(_) => false,
            SliceKey::L2(number) => numbers.contains(&number),
        };
        slices.retain(is_of_table);
        let writes = slices.iter().map(|slice| Slice::hold_writes(slice, &self.clock)).collect();
        TableHold { meta: self, numbers: numbers.clone(), slices, writes }
    }

    /// Calls `visit` for the slices of these numbers that are in memory.
    fn visit_slices(&self, numbers: &Range<u64>, visit: impl Fn(&Slice, u64)) {
        self.cache.visit(|slice| match slice.key() {
            SliceKey::L2(number) if numbers.contains(&number) => visit(slice, number),
            SliceKey::L1(_) | SliceKey::L2(_) => {}
        });
    }

    /// Writes the table at `from`, as it stands on the disk, whole to `to`. A window of it is in
    /// memory at a time.
    fn copy_table(&self, from: FileOffset, to: FileOffset) -> Result<()> {
        let bytes = self.geometry.table_bytes();
        let limits = self.storage.limits();
        let mut window = vec![0; usize::try_from(WINDOW.min(bytes)).unwrap_or(0)];
        let mut done = 0;
        while done < bytes {
            let at = from.get() + done;
            let read = self.storage.read(&mut [IoSliceMut::new(&mut window)], at);
            read.map_err(|error| Error::io("reading a table", error).at(at))?;
            let (target, length) = (to.get() + done, window.len() as u64);
            let empty = limits.can_punch && limits.zeroes_new_space && all_zero(&window);
            // A large table is mostly a hole; where no hole can be made it is zeroes.
            if !(empty && self.storage.punch(target, length).is_ok()) {
                write_metadata(&*self.storage, &window, target)?;
            }
            done += length;
        }
        Ok(())
    }
}

/// A table whose slices nobody writes until this is dropped.
struct TableHold<'a> {
    meta: &'a Meta,
    numbers: Range<u64>,
    /// Those of its slices that were not stable.
    slices: Vec<Arc<Slice>>,
    writes: Vec<HeldWrites<'a>>,
}

impl Drop for TableHold<'_> {
    fn drop(&mut self) {
        self.writes.clear();
        self.meta.held.clear();
        // Who waits to write a slice holds it, so it is in memory.
        self.meta.visit_slices(&self.numbers, |slice, _| slice.wake());
    }
}

/// Bytes of a table that are copied at once: tables are whole numbers of it, or smaller.
const WINDOW: u64 = 1 << 20;
