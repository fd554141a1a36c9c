//! Plans for writes: in place where a cluster is mapped, into new clusters elsewhere (C3, C4, C16).
//!
//! A plan is a guard. While it lives, its guest clusters are claimed and the clusters it names stay
//! its own. Dropped before it is published, its new clusters go back to free space: as fresh ones
//! if no byte has moved yet, as reused ones otherwise.

use std::sync::Arc;

use crate::addr::{FileCluster, FileOffset, GuestCluster};
use crate::error::Result;
use crate::format::L2Entry;
use crate::meta::Meta;
use crate::meta::plan::base::Base;
use crate::meta::plan::claims::{Claim, Claimed};
use crate::meta::plan::few::Few;
use crate::meta::plan::grace::Request;
use crate::meta::plan::lookup::entry_of;
use crate::meta::rules::Rule;
use crate::meta::space::Run;
use crate::meta::tables::slice::{Change, SLICE_ENTRIES, Slice};

/// What fills the part of a new cluster that the request does not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Guest bytes from the start of the disk; may lie past its end.
    pub(crate) offset: u64,
    /// Bytes, 0 where nothing needs filling.
    pub(crate) length: u64,
    /// From the backing file (zeroes past its end), else with zeroes.
    pub(crate) from_backing: bool,
}

/// One contiguous write to the image file: `head`, the request's own bytes, `tail`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteSegment {
    /// The request's own bytes: guest offset and length.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Where the first of the request's own bytes goes.
    pub(crate) file: FileOffset,
    pub(crate) head: Option<Fill>,
    pub(crate) tail: Option<Fill>,
    /// Into new clusters.
    is_new: bool,
}

impl WriteSegment {
    /// Whether it takes a request of `length` bytes as it is.
    pub(crate) fn is_all(&self, length: u64) -> bool {
        self.length == length && self.head.is_none() && self.tail.is_none()
    }
}

#[derive(Debug)]
pub(super) struct NewEntry {
    entry: usize,
    offset: FileOffset,
    /// Zeroes into fresh space: in any order with its data (C4).
    unordered: bool,
}

/// A planned write of `length` bytes from where it was asked to begin.
#[derive(Debug)]
pub(crate) struct WritePlan<'a> {
    pub(super) meta: &'a Meta,
    pub(crate) segments: Few<WriteSegment>,
    pub(crate) length: u64,
    pub(super) entries: Vec<NewEntry>,
    pub(super) runs: Vec<Run>,
    /// What of the last run no entry has taken yet.
    pub(super) left: Run,
    /// Set when the first byte may have moved.
    pub(super) moving: bool,
    pub(super) slice: Option<Arc<Slice>>,
    pub(super) claimed: Option<Claimed<'a>>,
    /// Always there, but while the plan is taken apart.
    pub(super) request: Option<Request<'a>>,
}

impl Meta {
    /// Plans a write at `offset` of at most `length` bytes, as far as one slice of tables reaches.
    ///
    /// # Errors
    /// A table that cannot be read, an entry that cannot be right, no space, a session that may not
    /// change tables.
    pub(crate) fn plan_write(&self, offset: u64, length: u64) -> Result<WritePlan<'_>> {
        let request = self.admit(offset, length)?;
        self.plan_write_as(request, offset, length)
    }

    /// As [`plan_write`](Self::plan_write), for a request that may lie past the disk's end.
    pub(in crate::meta) fn plan_write_as<'a>(
        &'a self,
        request: Request<'a>,
        offset: u64,
        length: u64,
    ) -> Result<WritePlan<'a>> {
        let mut plan = self.empty_plan(request, offset, length);
        let first = self.guest_cluster(offset);
        let last = self.guest_cluster(offset + plan.length - 1);
        let is_mapped = !self.moving.covers(first, last)
            && self.look(first, |slice| match slice {
                Some(slice) => plan.map_in_place(offset, slice),
                None => Ok(false),
            })?;
        if is_mapped {
            return Ok(plan);
        }
        self.begin_changes()?;
        let slice = self.slice_to_change(first)?;
        let clusters = (first.get()..=last.get()).map(Claim::Cluster);
        plan.claimed = Some(self.claims.take(clusters));
        plan.map(offset, &slice, &mut Base::new(self.below()))?;
        plan.slice = Some(slice);
        Ok(plan)
    }

    /// Whether an entry's value is safe at once: its data may come later (C2, C4).
    pub(super) fn is_unordered(&self, new: &NewEntry) -> bool {
        let rules = self.settings.rules;
        let end = new.offset.get() + self.geometry.cluster_size();
        (new.unordered || rules.breaks(Rule::OrderedEntries))
            && (self.space.is_durable(end, &self.clock) || rules.breaks(Rule::DataWaitsForLength))
    }

    /// What publishing `entries` now changes in their slice.
    pub(super) fn changes(&self, entries: &[NewEntry]) -> Vec<Change> {
        let stamp = self.clock.now();
        let change = |new: &NewEntry| Change {
            entry: new.entry,
            word: new.offset.get(),
            wait: if self.is_unordered(new) { None } else { Some(stamp) },
            retires: false,
        };
        entries.iter().map(change).collect()
    }

    pub(super) fn empty_plan<'a>(
        &'a self,
        request: Request<'a>,
        offset: u64,
        length: u64,
    ) -> WritePlan<'a> {
        let span = SLICE_ENTRIES as u64 * self.geometry.cluster_size();
        WritePlan {
            meta: self,
            segments: Few::new(),
            length: length.min(span - offset % span),
            entries: Vec::new(),
            runs: Vec::new(),
            left: Run { start: FileCluster(0), count: 0, fresh: false },
            moving: false,
            slice: None,
            claimed: None,
            request: Some(request),
        }
    }
}

impl WritePlan<'_> {
    /// To be called before the first byte moves.
    pub(crate) fn begin_moving(&mut self) {
        self.moving = true;
    }

    /// Whether a forced write of this plan's data is stable as it stands: everything is in place,
    /// and every entry on the way there is stable in this session.
    pub(crate) fn is_stable_in_place(&self) -> bool {
        let rules = self.meta.settings.rules;
        rules.breaks(Rule::ForcedOwesMapping)
            || self.entries.is_empty()
                && self.segments.first().is_some_and(|segment| {
                    self.meta.is_mapping_stable(self.meta.guest_cluster(segment.offset))
                })
    }

    /// Makes the new mapping visible. All of the plan's data has been written.
    pub(crate) fn publish(mut self) {
        let meta = self.meta;
        meta.clock.note_data();
        self.runs.clear();
        let Some(slice) = self.slice.take() else { return };
        let changes = meta.changes(&self.entries);
        meta.publish(&slice, &changes);
    }

    /// Plans to write in place, if every cluster is mapped. Each entry is looked at once: nothing
    /// is claimed here, and another request may free a cluster at any moment.
    pub(super) fn map_in_place(&mut self, offset: u64, slice: &Slice) -> Result<bool> {
        let geometry = self.meta.geometry;
        let end = offset + self.length;
        let mut at = offset;
        self.segments.clear();
        while at < end {
            let within = geometry.in_cluster(at);
            let L2Entry::Data(place) = self.meta.entry(slice, self.meta.guest_cluster(at))? else {
                self.segments.clear();
                return Ok(false);
            };
            let length = (geometry.cluster_size() - within).min(end - at);
            self.push(at, length, FileOffset(place.get() + within), None, None, false);
            at += length;
        }
        Ok(true)
    }

    /// Finds a place for every cluster of the plan, which has claimed them.
    pub(super) fn map(&mut self, offset: u64, slice: &Slice, base: &mut Base<'_>) -> Result<()> {
        let meta = self.meta;
        let geometry = meta.geometry;
        let size = geometry.cluster_size();
        let end = offset + self.length;
        let mut at = offset;
        while at < end {
            let cluster = meta.guest_cluster(at);
            let start = geometry.guest_offset(cluster).get();
            let length = (start + size).min(end) - at;
            match meta.entry(slice, cluster)? {
                L2Entry::Data(place) => {
                    let file = FileOffset(place.get() + (at - start));
                    self.push(at, length, file, None, None, false);
                }
                entry => {
                    let wanted = geometry.clusters_for(end - start);
                    let (place, fresh) = self.next_new(wanted, slice, cluster)?;
                    let whole = length == size;
                    let rules = meta.settings.rules;
                    let all = if rules.breaks(Rule::HolesCoverClusters) { 1 } else { size };
                    let zeroes =
                        entry == L2Entry::Zero || base.reads_zero(start, start + all, whole)?;
                    let fill = Filling { start, fresh, zeroes, image_size: meta.image_size() };
                    let head = fill.part(meta, start, at);
                    let head = head.filter(|_| !rules.breaks(Rule::FillBefore));
                    let tail = fill.part(meta, at + length, start + size);
                    let tail = tail.filter(|_| !rules.breaks(Rule::FillBehind));
                    let file = FileOffset(place.get() + (at - start));
                    self.push(at, length, file, head, tail, true);
                    let entry = entry_of(cluster);
                    self.entries.push(NewEntry {
                        entry,
                        offset: place,
                        unordered: (fresh || meta.settings.rules.breaks(Rule::OrderedReuse))
                            && (zeroes || meta.settings.rules.breaks(Rule::OrderedOverData)),
                    });
                }
            }
            at += length;
        }
        Ok(())
    }

    /// The next cluster of the run at hand, or of a new run that reaches as far as clusters are
    /// unmapped.
    fn next_new(
        &mut self,
        wanted: u64,
        slice: &Slice,
        cluster: GuestCluster,
    ) -> Result<(FileOffset, bool)> {
        let meta = self.meta;
        if self.left.count == 0 {
            let mut count = 1;
            while count < wanted {
                let next = GuestCluster(cluster.get() + count);
                if matches!(meta.entry(slice, next), Ok(L2Entry::Data(_)) | Err(_)) {
                    break;
                }
                count += 1;
            }
            self.left = meta.allocate(count)?;
            self.runs.push(self.left);
        }
        let place = meta.geometry.file_offset(self.left.start);
        self.left.start = FileCluster(self.left.start.get() + 1);
        self.left.count -= 1;
        Ok((place, self.left.fresh))
    }

    fn push(
        &mut self,
        offset: u64,
        length: u64,
        file: FileOffset,
        head: Option<Fill>,
        tail: Option<Fill>,
        is_new: bool,
    ) {
        if let Some(last) = self.segments.last_mut()
            && last.is_new == is_new
            && last.file.get() + last.length == file.get()
            && last.tail.is_none()
            && head.is_none()
        {
            last.length += length;
            last.tail = tail;
            return;
        }
        self.segments.push(WriteSegment { offset, length, file, head, tail, is_new });
    }
}

impl Drop for WritePlan<'_> {
    fn drop(&mut self) {
        let died = self.moving && !self.meta.settings.rules.breaks(Rule::FreshnessDies);
        for run in &self.runs {
            self.meta.space.give_back(run.start, run.count, run.fresh && !died);
        }
    }
}

/// What a new cluster needs beside the request's own bytes.
struct Filling {
    start: u64,
    fresh: bool,
    zeroes: bool,
    image_size: u64,
}

impl Filling {
    /// The fill of guest bytes `from..to` of the cluster. Fresh space needs none where the guest
    /// reads zeroes; everything else is filled, past the image's end too (C16, F3.8).
    fn part(&self, meta: &Meta, from: u64, to: u64) -> Option<Fill> {
        debug_assert!(self.start <= from && from <= to);
        let to = if meta.settings.rules.breaks(Rule::FillToTheEnd) {
            to.min(self.image_size.max(from))
        } else {
            to
        };
        let needed = from < to && !(self.fresh && self.zeroes);
        let rules = meta.settings.rules;
        let shows = !self.zeroes || rules.breaks(Rule::FillZeroesAsZeroes);
        let from_backing = shows && !rules.breaks(Rule::FillFromBacking);
        needed.then_some(Fill { offset: from, length: to - from, from_backing })
    }
}
