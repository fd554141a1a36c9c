//! Publishing in memory: new values become visible to later look-ups, and unstable (C5, C9, C11).

use std::io::IoSlice;
use std::sync::Arc;

use crate::addr::{FileOffset, GuestCluster};
use crate::error::{Corruption, Error, Result};
use crate::format::L1Entry;
use crate::meta::Meta;
use crate::meta::plan::claims::Claim;
use crate::meta::rules::Rule;
use crate::meta::space::Run;
use crate::meta::tables::slice::{Change, Slice};
use crate::storage::WriteFlags;

/// Bytes of zeroes written at once when a table is initialised.
const ZEROES: usize = 1 << 16;

impl Meta {
    /// Publishes `changes` of one slice, whose entries the caller has claimed.
    pub(crate) fn publish(&self, slice: &Arc<Slice>, changes: &[Change]) {
        let retired = changes.iter().filter(|change| change.retires);
        let retired: Vec<u64> =
            retired.filter_map(|change| slice.word(change.entry).ok()).collect();
        let clusters = retired.iter().map(|word| self.geometry.file_cluster(FileOffset(*word)));
        self.space.touch(clusters);
        let mut released = Vec::new();
        let unstable = {
            let versions = slice.publish(changes, |word| released.push(word));
            self.unstable.update(slice, versions.unstable())
        };
        if self.settings.rules.breaks(Rule::PunchAfterRelease) {
            released = retired;
        }
        self.release(&released);
        self.bound_unstable(unstable);
    }

    /// The slice that maps `cluster`, with a table made for it where there was none.
    ///
    /// # Errors
    /// No space, a table that cannot be read, an L1 entry that cannot be right.
    pub(crate) fn slice_to_change(&self, cluster: GuestCluster) -> Result<Arc<Slice>> {
        loop {
            if let Some(slice) = self.slice(cluster)? {
                return Ok(slice);
            }
            self.make_table(self.geometry.l1_index(cluster))?;
        }
    }

    /// Makes an empty L2 table for entry `index` of the L1 table (C11).
    fn make_table(&self, index: u64) -> Result<()> {
        let _claimed = self.claims.take([Claim::Table(index)]);
        let Some((slice, entry)) = self.l1.place(index)? else {
            return Err(Error::invalid("a guest offset lies past the image's end"));
        };
        // With bad entries tolerated this could be a damaged one: it is not overwritten.
        let word = slice.word(entry).map_err(|value| Corruption::L1Entry { index, value })?;
        if word != L1Entry::Empty.encode() {
            return Ok(());
        }
        let run = self.space.allocate_table(&self.clock)?;
        let offset = self.geometry.file_offset(run.start);
        let end = offset.get() + self.geometry.table_bytes();
        if !run.fresh && !self.settings.rules.breaks(Rule::InitialiseReusedTables) {
            self.initialise(run, offset)?;
        }
        let rules = self.settings.rules;
        let fresh = run.fresh
            || rules.breaks(Rule::InitialiseReusedTables)
            || rules.breaks(Rule::OrderReusedTables);
        let durable = rules.breaks(Rule::TableWaitsForLength);
        let unordered = fresh && (durable || self.space.is_durable(end, &self.clock));
        let wait = if unordered { None } else { Some(self.clock.now()) };
        self.l1.add_table(offset);
        let word = L1Entry::Table(offset).encode();
        self.publish(slice, &[Change { entry, word, wait, retires: false }]);
        Ok(())
    }

    /// Fills a table in reused space with zeroes, before anything names it.
    fn initialise(&self, run: Run, offset: FileOffset) -> Result<()> {
        let zeroes = [0; ZEROES];
        let flags = WriteFlags { metadata: true, fua: false };
        let mut left = self.geometry.table_bytes();
        let mut at = offset.get();
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(ZEROES).min(ZEROES);
            let written = self.storage.write(&[IoSlice::new(&zeroes[..piece])], at, flags);
            if let Err(error) = written {
                self.space.give_back(run.start, run.count, false);
                return Err(Error::io("initialising a table", error).at(at));
            }
            at += piece as u64;
            left -= piece as u64;
        }
        Ok(())
    }
}
