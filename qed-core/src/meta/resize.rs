//! The disk's size: who may reach how far, and how that changes while requests run (C18, F3.6).
//!
//! ```text
//! grow:   clear what lies beyond --flush--> the header's sector --sync--> requests may go there
//! shrink: keep requests out, wait --> clear what lies beyond --flush--> drop tables
//!         --> the sector --sync--> drop the tables that hide the backing file --> done
//! ```
//!
//! [`tables`] has the dropping, [`preallocate`] the space that a growing disk may get before.
//!
//! Invariants:
//! 1. A request looks at the size after it has entered its epoch, so when the epoch in which the
//!    size shrank has passed, nobody is beyond the end.
//! 2. What lies between the end and the end of its table's reach reads as zeroes before the size
//!    grows over it, in every possible state of the disk.

mod preallocate;
mod tables;

use crate::addr::GuestCluster;
use crate::error::{Error, Result};
use crate::format::L2Entry;
use crate::meta::Meta;
use crate::meta::plan::base::Base;
use crate::meta::plan::claims::{Claim, Claimed};
use crate::meta::plan::grace::Request;
use crate::meta::plan::lookup::entry_of;
use crate::meta::plan::write::WritePlan;
use crate::meta::plan::zero::Allocated;
use crate::meta::rules::Rule;
use crate::meta::tables::slice::{Change, SLICE_ENTRIES};
use crate::source::check_range;
use crate::sync::atomic::Ordering::SeqCst;

/// A change of size under way: one at a time. Dropped before it is done, the size stays.
#[derive(Debug)]
pub(crate) struct Resizing<'a> {
    meta: &'a Meta,
    pub(crate) from: u64,
    pub(crate) to: u64,
    _claimed: Claimed<'a>,
}

impl Meta {
    /// Guest bytes of the disk.
    pub(crate) fn image_size(&self) -> u64 {
        self.image_size.load(SeqCst)
    }

    /// A request for `length` bytes at `offset` begins: they stay on the disk until it leaves.
    ///
    /// # Errors
    /// The range passes the end of the disk.
    pub(crate) fn admit(&self, offset: u64, length: u64) -> Result<Request<'_>> {
        let request = self.grace.enter();
        check_range(self.image_size(), offset, length)?;
        Ok(request)
    }

    /// Begins to make the disk `size` bytes large, once no other resize runs.
    ///
    /// # Errors
    /// A size that the image cannot have; what keeps a session from changing tables; a failed read.
    pub(crate) fn begin_resize(&self, size: u64) -> Result<Resizing<'_>> {
        let mut header = self.header.get();
        header.image_size = size;
        header.validate().map_err(|broken| Error::invalid(broken.to_string()))?;
        self.begin_changes()?;
        let claimed = self.claims.take([Claim::Size]);
        let from = self.image_size();
        if size > from {
            self.find_tables(size)?;
        }
        Ok(Resizing { meta: self, from, to: size, _claimed: claimed })
    }
}

impl<'a> Resizing<'a> {
    /// Shrinks what requests may reach, and waits for those beyond it.
    pub(crate) fn keep_out(&self) {
        self.meta.image_size.store(self.to, SeqCst);
        if !self.meta.settings.rules.breaks(Rule::ShrinkWaits) {
            self.meta.grace.wait_for_requests();
        }
    }

    /// Whether the rules ask for what lies beyond to be cleared.
    pub(crate) fn clears_beyond(&self) -> bool {
        let grows = self.to > self.from;
        let rule = if grows { Rule::GrowClearsBeyond } else { Rule::ShrinkClearsBeyond };
        !self.meta.settings.rules.breaks(rule)
    }

    /// Whether guest bytes `start..end` of an unallocated cluster read as zeroes.
    ///
    /// # Errors
    /// The backing file could not tell.
    pub(crate) fn base_reads_zero(&self, start: u64, end: u64) -> Result<bool> {
        Base::new(self.meta.below()).reads_zero(start, end, false)
    }

    /// Plans a write that may lie past the end of the disk, in a cluster that is partly on it.
    ///
    /// # Errors
    /// As [`Meta::plan_write`].
    pub(crate) fn plan_write(&self, offset: u64, length: u64) -> Result<WritePlan<'a>> {
        self.meta.plan_write_as(self.meta.grace.enter(), offset, length)
    }

    /// Makes the whole clusters between the two ends read as zeroes, freed: those that a growing
    /// disk is to show, and those that a shrinking one has. In the latter an unallocated cluster
    /// is left as it is.
    ///
    /// # Errors
    /// A table that cannot be read, an entry that cannot be right.
    pub(crate) fn clear_clusters(&self) -> Result<()> {
        if !self.clears_beyond() {
            return Ok(());
        }
        let grows = self.to > self.from;
        let geometry = self.meta.geometry;
        let end = geometry.clusters_for(self.to.max(self.from));
        let mut at = geometry.clusters_for(self.to.min(self.from));
        while at < end {
            let first = GuestCluster(at);
            at += if grows {
                let request = self.meta.grace.enter();
                self.meta.plan_zeroes_as(request, first, end - at, Allocated::Free)?.clusters
            } else {
                self.free_allocated(first, end - at)?
            };
        }
        Ok(())
    }

    /// Frees what is allocated of some of the `count` clusters at `first`; says of how many. They
    /// read as zeroes until the size changes, whatever the backing file has there.
    fn free_allocated(&self, first: GuestCluster, count: u64) -> Result<u64> {
        let meta = self.meta;
        let Some(slice) = meta.slice(first)? else {
            let span = meta.geometry.table_entries();
            return Ok(count.min(span - meta.geometry.l2_index(first)));
        };
        let clusters = count.min(SLICE_ENTRIES as u64 - entry_of(first) as u64);
        let range = first.get()..first.get() + clusters;
        let _claimed = meta.claims.take(range.clone().map(Claim::Cluster));
        let mut changes = Vec::new();
        for cluster in range.map(GuestCluster) {
            if let L2Entry::Data(_) = meta.entry(&slice, cluster)? {
                let word = meta.zero_entry(cluster).encode();
                changes.push(Change { entry: entry_of(cluster), word, wait: None, retires: true });
            }
        }
        if !changes.is_empty() {
            meta.publish(&slice, &changes);
        }
        Ok(clusters)
    }

    /// Switches to the new size, when what lies beyond is stable, and lets requests reach it.
    ///
    /// # Errors
    /// A write or sync failed; the image has latched.
    pub(crate) fn finish(self) -> Result<()> {
        let meta = self.meta;
        if !meta.settings.rules.breaks(Rule::BeyondBeforeSize) {
            meta.flush()?;
        }
        let shrinks = self.to < self.from;
        if shrinks {
            self.drop_plain_tables()?;
        }
        meta.header.update(&*meta.storage, |header| header.image_size = self.to)?;
        meta.clock.sync_now()?;
        if self.to > self.from {
            meta.image_size.store(self.to, SeqCst);
            // Who took the disk's old end for the end of a request is gone then.
            meta.grace.wait_for_requests();
        }
        if shrinks {
            self.drop_hiding_tables()?;
            meta.space.punch_freed(&meta.clock, &meta.grace);
        }
        Ok(())
    }
}

impl Drop for Resizing<'_> {
    fn drop(&mut self) {
        self.meta.image_size.store(self.meta.header.get().image_size, SeqCst);
    }
}
