//! Plans that outlive the call that made them, for requests whose data somebody else moves.
//!
//! Such a plan is made without waiting and without I/O, or not at all, and then taken apart into
//! plain data: what it holds (its place among the epochs, its claims, its new clusters) stays held,
//! and no reference is counted for it. When its I/O has ended it is put together again, by any
//! thread, and published or dropped as every plan is. A ticket that is lost holds for ever.

use std::mem::take;
use std::sync::Arc;

use crate::addr::FileCluster;
use crate::error::Result;
use crate::meta::Meta;
use crate::meta::plan::base::Base;
use crate::meta::plan::claims::{Claim, ClaimTicket, Claimed};
use crate::meta::plan::few::Few;
use crate::meta::plan::grace::{Request, RequestTicket};
use crate::meta::plan::lookup::{ReadPlan, Segment, extend_or_push};
use crate::meta::plan::write::{Fill, NewEntry, WritePlan, WriteSegment};
use crate::meta::space::Run;
use crate::meta::tables::slice::Slice;

/// A read plan as plain data.
#[derive(Debug)]
#[must_use]
pub(crate) struct ReadTicket {
    pub(crate) segments: Few<Segment>,
    request: RequestTicket,
}

/// A write plan as plain data.
#[derive(Debug)]
#[must_use]
pub(crate) struct WriteTicket {
    pub(crate) segments: Few<WriteSegment>,
    pub(super) entries: Vec<NewEntry>,
    pub(super) runs: Vec<Run>,
    pub(super) slice: Option<Arc<Slice>>,
    /// The entries may be published before the data has been written.
    pub(super) early: bool,
    claims: Option<ClaimTicket>,
    request: Option<RequestTicket>,
}

impl Meta {
    /// As [`plan_read`](Self::plan_read), without I/O: None where a table is not in memory.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn plan_read_now(&self, offset: u64, length: u64) -> Result<Option<ReadPlan<'_>>> {
        let request = self.admit(offset, length)?;
        let mut segments = Few::new();
        let end = offset + length;
        let mut at = offset;
        while at < end {
            let Some(segment) = self.segment_now(at, end - at) else { return Ok(None) };
            let segment = segment?;
            at += segment.length;
            extend_or_push(&mut segments, segment);
        }
        Ok(Some(ReadPlan { segments, request }))
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
        let mut plan = self.empty_plan(self.admit(offset, length)?, offset, length);
        let first = self.guest_cluster(offset);
        let last = self.guest_cluster(offset + plan.length - 1);
        let has_room = plan.length == length;
        let in_place = !self.moving.covers(first, last);
        let mut table = false;
        let is_mapped = self.look_now(first, |slice| {
            table = slice.is_some();
            slice.filter(|_| in_place).map_or(Ok(false), |slice| plan.map_in_place(offset, slice))
        });
        match is_mapped.filter(|_| has_room).transpose()? {
            Some(true) => return Ok(Some(plan)),
            Some(false) if table && self.has_changes() => {}
            _ => return Ok(None),
        }
        // It was in memory a moment ago: as a rule no table is read here.
        let Some(slice) = self.slice(first)? else { return Ok(None) };
        let clusters = (first.get()..=last.get()).map(Claim::Cluster);
        plan.claimed = self.claims.try_take(clusters);
        if plan.claimed.is_none() {
            return Ok(None);
        }
        let mut base = Base::unasked(self.below());
        plan.map(offset, &slice, &mut base)?;
        plan.slice = Some(slice);
        // Where a hole may lie below, asking costs less than a copy of it.
        let copies = |fill: Option<Fill>| fill.is_some_and(|fill| fill.from_backing);
        let any = plan.segments.iter().any(|part| copies(part.head) || copies(part.tail));
        Ok((!any || !base.has_guessed()).then_some(plan))
    }

    /// The plan that `ticket`, of this image, stands for. Its data has begun to move.
    pub(crate) fn attach_write(&self, ticket: WriteTicket) -> WritePlan<'_> {
        let length = ticket.segments.iter().map(|part| part.length).sum();
        WritePlan {
            meta: self,
            segments: ticket.segments,
            length,
            entries: ticket.entries,
            runs: ticket.runs,
            left: Run { start: FileCluster(0), count: 0, fresh: false },
            moving: true,
            slice: ticket.slice,
            claimed: ticket.claims.map(|claims| self.claims.attach(claims)),
            request: ticket.request.map(|request| self.grace.attach(request)),
        }
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
            early: self.may_be_early(),
            segments: std::mem::replace(&mut self.segments, Few::new()),
            entries: take(&mut self.entries),
            runs: take(&mut self.runs),
            slice: self.slice.take(),
            claims: self.claimed.take().map(Claimed::detach),
            request: self.request.take().map(Request::detach),
        }
    }
}
