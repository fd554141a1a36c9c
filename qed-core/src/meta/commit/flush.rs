//! Publishing to the disk: unordered entries out, sync, ordered entries out, sync (C4 to C7).
//!
//! A flush owes stability to every slice that is unstable when it is called. After phase 1 every
//! value that was safe at the call stands in an image that has landed, whoever wrote it. S1 covers
//! those images, the data of every waiting entry and the mapped writes. Phase 2 writes what S1 made
//! safe, S2 makes it stable. A sync that has nothing to cover any more is left out, so the usual
//! flush costs one.

use std::sync::Arc;

use crate::addr::FileOffset;
use crate::error::{Error, Result};
use crate::meta::commit::clock::Stamp;
use crate::meta::rules::Rule;
use crate::meta::tables::slice::{Needs, Phase, Slice, SliceKey};
use crate::meta::{Meta, Trust};

impl Meta {
    /// Makes everything that completed before this call stable.
    ///
    /// # Errors
    /// A write or sync that failed; the image has latched.
    pub(crate) fn flush(&self) -> Result<()> {
        self.check_latch()?;
        let owed = self.unstable.all();
        let rules = self.settings.rules;
        let idle = rules.breaks(Rule::FirstFlushSyncs) && !self.has_changes() && owed.is_empty();
        let covers_data = !rules.breaks(Rule::FlushCoversData) && !idle;
        self.make_stable(&owed, covers_data.then(|| self.clock.newest_data()))
    }

    /// Makes the slices of `owed` stable as they are now, and what completed by the stamp `data`.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub(super) fn make_stable(&self, owed: &[Arc<Slice>], data: Option<Stamp>) -> Result<()> {
        // Fixed before phase 1: an entry that waits now and is zeroed after its slice's turn waits
        // no more, but what it says then has not been written either.
        let rules = self.settings.rules;
        let waits = || owed.iter().filter(|slice| slice.needs().wait.is_some()).cloned();
        let mut waiting: Vec<Arc<Slice>> = waits().collect();
        let mut needs = self.write_out(owed, Phase::One)?;
        needs.image = needs.image.max(data);
        self.sync_for_phase_two(needs)?;
        if rules.breaks(Rule::DebtFixedAtCall) {
            waiting = waits().collect();
        }
        if !waiting.is_empty() && !rules.breaks(Rule::PhaseTwoWrites) {
            let needs = self.write_out(&waiting, Phase::Two)?;
            if !rules.breaks(Rule::SyncAfterPhaseTwo) {
                self.sync_for(Needs { image: needs.image, wait: None })?;
            }
        }
        // Somebody else's write of an entry this flush owes may have failed.
        self.check_latch()?;
        self.settle(owed);
        if !self.settings.background {
            self.space.punch_freed(&self.clock, &self.grace);
        } else if self.space.reclaim(&self.clock, &self.grace) {
            self.background.kick();
        }
        Ok(())
    }

    /// Fails once a sync or a metadata write has failed (C17), also where nothing is left to write.
    ///
    /// # Errors
    /// [`ErrorKind::Latched`](crate::ErrorKind::Latched).
    pub(crate) fn check_latch(&self) -> Result<()> {
        let checked = self.latch.as_ref().map_or(Ok(()), |latch| latch.check());
        checked.map_err(|error| Error::io("flushing the image", error))
    }

    fn sync_for(&self, needs: Needs) -> Result<()> {
        let newest: Option<Stamp> = needs.image.max(needs.wait);
        newest.map_or(Ok(()), |stamp| self.clock.sync_covering(stamp))
    }

    /// S1, unless a test breaks that rule.
    fn sync_for_phase_two(&self, needs: Needs) -> Result<()> {
        if !self.settings.rules.breaks(Rule::SyncBetweenPhases) {
            return self.sync_for(needs);
        }
        self.clock.pretend_syncs(true);
        let synced = self.sync_for(needs);
        self.clock.pretend_syncs(false);
        synced
    }

    /// Drops what has become stable and takes the clusters it frees.
    pub(crate) fn settle(&self, slices: &[Arc<Slice>]) {
        for slice in slices {
            let mut released = Vec::new();
            {
                let versions = slice.settle(&self.clock, self.settings.rules, |word| {
                    released.push(word);
                });
                self.unstable.update(slice, versions.unstable());
            }
            match slice.key() {
                SliceKey::L1(_) => self.release_tables(&released),
                SliceKey::L2(_) => self.release(&released),
            }
        }
    }

    /// As [`release`](Self::release), for tables that no L1 entry on disk names.
    pub(in crate::meta) fn release_tables(&self, words: &[u64]) {
        for table in words.iter().map(|word| FileOffset(*word)) {
            self.l1.remove_table(table);
            self.space.release(&self.clusters_of_table(table), self.grace.unlinked_now());
        }
    }

    /// Hands unlinked clusters that no disk names to the free space. On a damaged image another
    /// entry may name them as well: there they are left alone.
    pub(crate) fn release(&self, words: &[u64]) {
        if words.is_empty() || self.settings.trust == Trust::Damaged {
            return;
        }
        let clusters: Vec<_> =
            words.iter().map(|word| self.geometry.file_cluster(FileOffset(*word))).collect();
        self.space.release(&clusters, self.grace.unlinked_now());
    }
}
