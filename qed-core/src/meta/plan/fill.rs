//! Plans that bring what lies below into the image's own file: for streaming, and for reads that
//! copy (C4: what is copied is ordered; F3.8: a copied cluster is filled to its end).
//!
//! A cluster is claimed and looked at again before anything is copied: what a guest has written is
//! never copied over. Dropped before it is published, a plan gives its clusters back.

use std::sync::Arc;

use crate::addr::{FileCluster, FileOffset, GuestCluster};
use crate::error::Result;
use crate::format::L2Entry;
use crate::meta::Meta;
use crate::meta::plan::claims::{Claim, Claimed};
use crate::meta::plan::lookup::entry_of;
use crate::meta::rules::Rule;
use crate::meta::space::Run;
use crate::meta::tables::slice::{Change, SLICE_ENTRIES, Slice};

/// What becomes of an unallocated cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It stays.
    Leave,
    /// It gets the bytes that lie below.
    Copy,
    /// It says zeroes, which is what it reads as.
    Zero,
}

/// Guest bytes that are to be copied from below into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FillPiece {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) file: FileOffset,
}

/// Clusters on their way from below.
#[derive(Debug)]
pub(crate) struct FillPlan<'a> {
    meta: &'a Meta,
    /// Guest clusters that the plan covers.
    pub(crate) clusters: u64,
    pub(crate) pieces: Vec<FillPiece>,
    /// New clusters, each with the guest cluster that it is for.
    taken: Vec<(GuestCluster, FileCluster)>,
    zeroes: Vec<GuestCluster>,
    slice: Option<Arc<Slice>>,
    _claimed: Option<Claimed<'a>>,
}

impl Meta {
    /// Plans to bring in some of the `count` clusters at `first`; the plan says how many it covers.
    /// `wanted` says of the guest bytes of an unallocated cluster what is to become of them.
    ///
    /// # Errors
    /// A table that cannot be read, no space, a session that may not change tables; what `wanted`
    /// reports.
    pub(crate) fn plan_fill(
        &self,
        first: GuestCluster,
        count: u64,
        wanted: &mut dyn FnMut(u64, u64) -> Result<Wanted>,
    ) -> Result<FillPlan<'_>> {
        let clusters = count.min(SLICE_ENTRIES as u64 - entry_of(first) as u64);
        let mut plan = FillPlan {
            meta: self,
            clusters,
            pieces: Vec::new(),
            taken: Vec::new(),
            zeroes: Vec::new(),
            slice: None,
            _claimed: None,
        };
        // Until the plan is made: a table may be dropped that lies beyond the end.
        let _request = self.grace.enter();
        // Whoever has entered before a disk shrinks is waited for, and nobody else asks for a table
        // behind its end.
        let is_beyond = self.geometry.guest_offset(first).get() >= self.image_size();
        if is_beyond || !self.wants_any(first, clusters, wanted)? {
            return Ok(plan);
        }
        self.begin_changes()?;
        let slice = self.slice_to_change(first)?;
        let range = first.get()..first.get() + clusters;
        plan._claimed = Some(self.claims.take(range.clone().map(Claim::Cluster)));
        let mut copies = Vec::new();
        for cluster in range.map(GuestCluster) {
            let start = self.geometry.guest_offset(cluster).get();
            // A disk that shrinks says so first, and frees what its old end had under claims.
            let is_beyond = start >= self.image_size();
            if is_beyond || self.entry(&slice, cluster)? != L2Entry::Unallocated {
                continue;
            }
            match wanted(start, start + self.geometry.cluster_size())? {
                Wanted::Leave => {}
                Wanted::Copy => copies.push(cluster),
                Wanted::Zero => plan.zeroes.push(cluster),
            }
        }
        plan.place(copies)?;
        plan.slice = Some(slice);
        Ok(plan)
    }

    /// Whether there is anything to do: so that nothing is claimed, and no table made, for nothing.
    fn wants_any(
        &self,
        first: GuestCluster,
        clusters: u64,
        wanted: &mut dyn FnMut(u64, u64) -> Result<Wanted>,
    ) -> Result<bool> {
        let slice = self.slice(first)?;
        for cluster in (first.get()..first.get() + clusters).map(GuestCluster) {
            let entry = slice.as_ref().map(|slice| self.entry(slice, cluster)).transpose()?;
            if entry.unwrap_or(L2Entry::Unallocated) != L2Entry::Unallocated {
                continue;
            }
            let start = self.geometry.guest_offset(cluster).get();
            if wanted(start, start + self.geometry.cluster_size())? != Wanted::Leave {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl FillPlan<'_> {
    /// Finds new clusters for `copies`, which are ascending.
    fn place(&mut self, copies: Vec<GuestCluster>) -> Result<()> {
        let size = self.meta.geometry.cluster_size();
        let mut run = Run { start: FileCluster(0), count: 0, fresh: false };
        let mut left = copies.len() as u64;
        for cluster in copies {
            if run.count == 0 {
                run = self.meta.allocate(left)?;
            }
            let place = run.start;
            (run.start, run.count) = (FileCluster(place.get() + 1), run.count - 1);
            left -= 1;
            self.taken.push((cluster, place));
            let offset = self.meta.geometry.guest_offset(cluster).get();
            let file = self.meta.geometry.file_offset(place);
            match self.pieces.last_mut() {
                Some(last)
                    if last.offset + last.length == offset
                        && last.file.get() + last.length == file.get() =>
                {
                    last.length += size;
                }
                _ => self.pieces.push(FillPiece { offset, length: size, file }),
            }
        }
        Ok(())
    }

    /// Makes what was copied visible. All pieces have been written.
    pub(crate) fn publish(mut self) {
        let meta = self.meta;
        meta.clock.note_data();
        let stamp = meta.clock.now();
        let wait = (!meta.settings.rules.breaks(Rule::CopyIsOrdered)).then_some(stamp);
        let Some(slice) = self.slice.take() else { return };
        let copied = std::mem::take(&mut self.taken).into_iter().map(|(cluster, place)| Change {
            entry: entry_of(cluster),
            word: L2Entry::Data(meta.geometry.file_offset(place)).encode(),
            wait,
            retires: false,
        });
        let zeroes = self.zeroes.iter().map(|cluster| Change {
            entry: entry_of(*cluster),
            word: L2Entry::Zero.encode(),
            wait: None,
            retires: false,
        });
        let changes: Vec<Change> = copied.chain(zeroes).collect();
        if !changes.is_empty() {
            meta.publish(&slice, &changes);
        }
    }
}

impl Drop for FillPlan<'_> {
    fn drop(&mut self) {
        for (_, place) in &self.taken {
            self.meta.space.give_back(*place, 1, false);
        }
    }
}
