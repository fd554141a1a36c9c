//! Moving the L1 table to another place of the file (C18).
//!
//! ```text
//! hold the writes of its slices --> safe values, whole, to the new place --> sync
//!     --> one sector of the header --> sync --> its slices are written at the new place
//! ```
//!
//! A disk has the old header with the old table or the new one with the new table, and both tables
//! say the same, because nobody writes a slice of either in between. Who flushes an entry of it
//! waits, two syncs long; look-ups and changes in memory do not.

use std::io::IoSliceMut;
use std::sync::Arc;

use crate::addr::FileOffset;
use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::meta::plan::claims::Claim;
use crate::meta::plan::moving::Mover;
use crate::meta::rules::Rule;
use crate::meta::space::Run;
use crate::meta::tables::header::write_metadata;
use crate::meta::tables::slice::{HeldWrites, SLICE_BYTES, Slice};

impl Mover<'_> {
    /// Moves the L1 table to the clusters of `to`. The old place is freed as any cluster is.
    ///
    /// # Errors
    /// A read, write or sync that failed; the image has latched where it was one of the latter.
    pub(crate) fn move_l1(&self, to: Run) -> Result<()> {
        let meta = self.meta;
        // A growing disk reads more of the table.
        let _claimed = meta.claims.take([Claim::Size]);
        let place = meta.geometry.file_offset(to.start);
        let moved = meta.try_move_l1(place);
        if meta.header.get().l1_table_offset != place {
            meta.space.give_back(to.start, to.count, false);
        }
        moved
    }
}

impl Meta {
    fn try_move_l1(&self, to: FileOffset) -> Result<()> {
        let rules = self.settings.rules;
        let from = self.header.get().l1_table_offset;
        let slices = self.l1.loaded();
        let held: Vec<HeldWrites<'_>> = if rules.breaks(Rule::TableHoldsWrites) {
            Vec::new()
        } else {
            slices.iter().map(|slice| Slice::hold_writes(slice, &self.clock)).collect()
        };
        self.write_l1(&slices, from, to)?;
        if !rules.breaks(Rule::SwitchAfterSync) {
            self.clock.sync_now()?;
        }
        self.header.update(&*self.storage, |header| header.l1_table_offset = to)?;
        self.clock.sync_now()?;
        self.l1.move_to(to);
        drop(held);
        let freed = self.clusters_of_table(from);
        self.space.touch(freed.iter().copied());
        self.space.release(&freed, self.grace.unlinked_now());
        Ok(())
    }

    /// Writes all of the table to `to`: as it stands on the disk, and then what is in memory as it
    /// may stand there. What has been composed counts as written, so nothing may fail from then on
    /// that does not latch.
    fn write_l1(&self, slices: &[Arc<Slice>], from: FileOffset, to: FileOffset) -> Result<()> {
        let bytes = self.geometry.table_bytes();
        let mut done = 0;
        while done < bytes {
            let mut piece = vec![0; usize::try_from(PIECE.min(bytes - done)).unwrap_or(0)];
            let at = from.get() + done;
            let read = self.storage.read(&mut [IoSliceMut::new(&mut piece)], at);
            read.map_err(|error| Error::io("reading the L1 table", error).at(at))?;
            write_metadata(&*self.storage, &piece, to.get() + done)?;
            done += piece.len() as u64;
        }
        for slice in slices {
            let mut words = Vec::with_capacity(SLICE_BYTES);
            slice.compose_whole(&self.clock, &mut words);
            let within = slice.offset().get() - from.get();
            write_metadata(&*self.storage, &words, to.get() + within)?;
        }
        Ok(())
    }
}

/// Bytes of the table that are copied at once.
const PIECE: u64 = 1 << 20;
