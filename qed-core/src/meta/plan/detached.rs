//! Plans that outlive the call that made them, for requests whose data somebody else moves.
//!
//! Such a plan is made without waiting and without I/O, or not at all, and then taken apart into
//! plain data: what it holds (its place among the epochs, its claims, its new clusters) stays held,
//! and no reference is counted for it. When its I/O has ended it is put together again, by any
//! thread, and published or dropped as every plan is. A ticket that is lost holds for ever.

use std::mem::take;
use std::sync::Arc;

use crate::addr::{FileCluster, GuestCluster};
use crate::error::Result;
use crate::format::L1Entry;
use crate::meta::plan::base::Base;
use crate::meta::plan::claims::{Claim, ClaimTicket, Claimed};
use crate::meta::plan::grace::{Request, RequestTicket};
use crate::meta::plan::lookup::{ReadPlan, Segment};
use crate::meta::plan::write::{Fill, NewEntry, WritePlan, WriteSegment};
use crate::meta::space::Run;
use crate::meta::tables::slice::{SLICE_ENTRIES, Slice};
use crate::meta::{Meta, Trust};

/// A read plan as plain data.
#[derive(Debug)]
#[must_use]
pub(crate) struct ReadTicket {
    pub(crate) segments: Vec<Segment>,
    request: RequestTicket,
}

/// A write plan as plain data.
#[derive(Debug)]
#[must_use]
pub(crate) struct WriteTicket {
    pub(crate) segments: Vec<WriteSegment>,
    length: u64,
    entries: Vec<NewEntry>,
    runs: Vec<Run>,
    slice: Option<Arc<Slice>>,
    claims: Option<ClaimTicket>,
    request: Option<RequestTicket>,
}

impl Meta {
    /// As [`plan_read`](Self::plan_read), without I/O: None where a table is not in memory.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn plan_read_now(&self, offset: u64, length: u64) -> Result<Option<ReadPlan<'_>>> {
        let (first, last) = (self.guest_cluster(offset), self.guest_cluster(offset + length - 1));
        let slices = (first.get() / ENTRIES..=last.get() / ENTRIES).map(|number| number * ENTRIES);
        if !slices.map(GuestCluster).all(|cluster| self.is_at_hand(cluster)) {
            return Ok(None);
        }
        self.plan_read(offset, length).map(Some)
    }

    /// Ends the read that `ticket`, of this image, stands for: its I/O has ended.
    pub(crate) fn end_read(&self, ticket: ReadTicket) {
        drop(self.grace.attach(ticket.request));
    }

    /// As [`plan_write`](Self::plan_write), without waiting for anybody and without I/O: None where
    /// that does not do, because a table is not in memory or not there yet, a cluster is claimed,
    /// the session has changed nothing so far, or the backing file is needed.
    ///
    /// # Errors
    /// As [`plan_write`](Self::plan_write).
    pub(crate) fn plan_write_now(&self, offset: u64, length: u64) -> Result<Option<WritePlan<'_>>> {
        let mut plan = self.empty_plan(offset, length);
        let first = self.guest_cluster(offset);
        let last = self.guest_cluster(offset + plan.length - 1);
        if plan.length < length || !self.is_at_hand(first) {
            return Ok(None);
        }
        let Some(slice) = self.slice(first)? else { return Ok(None) };
        if plan.map_in_place(offset, &slice)? {
            return Ok(Some(plan));
        }
        let clusters = (first.get()..=last.get()).map(Claim::Cluster);
        plan.claimed = self.claims.try_take(clusters).filter(|_| self.has_changes());
        if plan.claimed.is_none() {
            return Ok(None);
        }
        plan.map(offset, &slice, &mut Base::unasked(self.backing()))?;
        plan.slice = Some(slice);
        let copies = |fill: Option<Fill>| fill.is_some_and(|fill| fill.from_backing);
        let ready = !plan.segments.iter().any(|part| copies(part.head) || copies(part.tail));
        Ok(ready.then_some(plan))
    }

    /// Whether a write may begin without passing a gate first: the session may change the image,
    /// and an image that is not trusted has been looked through.
    pub(crate) fn may_write_now(&self) -> bool {
        let trusted = self.settings.trust != Trust::Untrusted || self.has_changes();
        !self.settings.read_only && trusted
    }

    /// The plan that `ticket`, of this image, stands for. Its data has begun to move.
    pub(crate) fn attach_write(&self, ticket: WriteTicket) -> WritePlan<'_> {
        WritePlan {
            meta: self,
            segments: ticket.segments,
            length: ticket.length,
            entries: ticket.entries,
            runs: ticket.runs,
            left: Run { start: FileCluster(0), count: 0, fresh: false },
            moving: true,
            slice: ticket.slice,
            claimed: ticket.claims.map(|claims| self.claims.attach(claims)),
            request: ticket.request.map(|request| self.grace.attach(request)),
        }
    }

    /// Whether what maps `cluster` is in memory. It may be evicted at once; then the next look-up
    /// reads it.
    fn is_at_hand(&self, cluster: GuestCluster) -> bool {
        self.cache.has(cluster.get() / ENTRIES)
            || matches!(self.l1.entry(self.geometry.l1_index(cluster)), Ok(L1Entry::Empty))
    }
}

impl ReadPlan<'_> {
    /// The plan, whose data is about to move.
    pub(crate) fn detach(self) -> ReadTicket {
        ReadTicket { segments: self.segments, request: self.request.detach() }
    }
}

impl WritePlan<'_> {
    /// The plan, whose data is about to move. Somebody [attaches](Meta::attach_write) it when its
    /// I/O has ended, and publishes or drops it then.
    pub(crate) fn detach(mut self) -> WriteTicket {
        WriteTicket {
            segments: take(&mut self.segments),
            length: self.length,
            entries: take(&mut self.entries),
            runs: take(&mut self.runs),
            slice: self.slice.take(),
            claims: self.claimed.take().map(Claimed::detach),
            request: self.request.take().map(Request::detach),
        }
    }
}

/// Entries of a slice.
const ENTRIES: u64 = SLICE_ENTRIES as u64;
