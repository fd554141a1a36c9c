//! Requests whose data somebody else moves, straight between the file and memory: begun here, and
//! ended here when their I/O has ended.
//!
//! Only what needs no waiting and no I/O to be planned begins so, and of copies from below only
//! what the caller can make; for all else, errors included, the answer is `None`, and the blocking
//! call does it or says what is wrong.

use std::io::{IoSlice, IoSliceMut};

use super::buffers::{Sink, Stream};
use super::copied::{Copied, copies};
use super::{DetectZeroes, Flags, Image};
use crate::error::Result;
use crate::meta::Rule;
pub(crate) use crate::meta::commit::debt::Debt;
use crate::meta::plan::detached::{ReadTicket, WriteTicket};
pub(crate) use crate::meta::plan::early::EarlyEntries;
use crate::meta::plan::lookup::{Place, Segment};
use crate::meta::plan::write::WriteSegment;
use crate::storage::{Bypass, Forcing};

/// One contiguous piece of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many bytes that read as zeroes.
    Zero(u64),
    /// Bytes of the file from `file` on: `head` zeroes, `length` bytes of the request's memory,
    /// `tail` zeroes; or what is [copied](Copied) instead of these zeroes.
    File { file: u64, head: u64, length: u64, tail: u64 },
}

/// A request that has begun. It holds what it holds until it is ended.
#[derive(Debug)]
#[must_use]
pub(crate) enum Begun {
    Read(ReadTicket),
    Write(WriteTicket, Forced),
}

/// Whether a write may begin that copies what surrounds it from below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copying {
    /// Any: its data is moved by [`Image::move_write`].
    #[cfg(any(test, feature = "crash"))]
    ByCalls,
    /// One that [`Image::copied_by`] describes, with memory for so many bytes.
    UpTo(u64),
}

/// What a write owes beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forced {
    /// Nothing.
    No,
    /// It is written with RWF_DSYNC: that makes it stable.
    ByFlag,
    /// Its [`Debt`] is paid after it has ended.
    ByFlush,
}

impl Begun {
    /// Whether it is a write whose entries may be [published](Image::publish_early) while its data
    /// moves, and that is made stable by a flush.
    pub(crate) fn has_early(&self) -> bool {
        matches!(self, Self::Write(ticket, Forced::ByFlush) if ticket.has_early())
    }

    /// Takes these entries out, once.
    pub(crate) fn take_early(&mut self) -> Option<EarlyEntries> {
        match self {
            Self::Write(ticket, _) => ticket.take_early(),
            Self::Read(_) => None,
        }
    }

    /// The request's pieces, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        let (reads, writes) = match self {
            Self::Read(ticket) => (Some(&ticket.segments), None),
            Self::Write(ticket, _) => (None, Some(&ticket.segments)),
        };
        let reads = reads.into_iter().flat_map(|segments| segments.iter().map(piece_to_read));
        let writes = writes.into_iter().flat_map(|segments| segments.iter().map(piece_to_write));
        reads.chain(writes)
    }
}

fn piece_to_read(segment: &Segment) -> Piece {
    match segment.place {
        Place::File(file) => {
            Piece::File { file: file.get(), head: 0, length: segment.length, tail: 0 }
        }
        Place::Zero | Place::Backing => Piece::Zero(segment.length),
    }
}

fn piece_to_write(segment: &WriteSegment) -> Piece {
    let head = segment.head.map_or(0, |fill| fill.length);
    let tail = segment.tail.map_or(0, |fill| fill.length);
    Piece::File { file: segment.file.get() - head, head, length: segment.length, tail }
}

impl Image {
    /// The way to the image's file.
    pub(crate) fn bypass(&self) -> Option<Bypass<'_>> {
        self.meta.storage.bypass()
    }

    /// Begins a read of `length` bytes, more than none.
    pub(crate) fn begin_read(&self, offset: u64, length: u64) -> Option<Begun> {
        self.check_range(offset, length).ok()?;
        // Asked first: a backing source may go while the plan is made, never come.
        let has_backing = self.meta.backing().is_some();
        let plan = self.meta.plan_read_now(offset, length).ok()??;
        let below = |segment: &Segment| segment.place == Place::Backing;
        if has_backing && plan.segments.iter().any(below) {
            return None;
        }
        Some(Begun::Read(plan.detach()))
    }

    /// Begins a write of `length` bytes, more than none.
    pub(crate) fn begin_write(
        &self,
        offset: u64,
        length: u64,
        flags: Flags,
        copying: Copying,
    ) -> Option<Begun> {
        flags.check(Flags::FUA, "a write").ok()?;
        self.check_range(offset, length).ok()?;
        if self.settings.detect_zeroes != DetectZeroes::Off || !self.meta.may_write_now() {
            return None;
        }
        let forced = self.is_forced(flags);
        if forced && self.bypass()?.forcing() != Forcing::ByFlag {
            return None;
        }
        let plan = self.meta.plan_write_now(offset, length).ok()??;
        let copies = plan.segments.iter().any(copies);
        if let (true, Copying::UpTo(room)) = (copies, copying)
            && self.copied(plan.segments.only()?)?.whole > room
        {
            return None;
        }
        let forced = match forced {
            false => Forced::No,
            true if plan.is_stable_in_place() => Forced::ByFlag,
            true => Forced::ByFlush,
        };
        Some(Begun::Write(plan.detach(), forced))
    }

    /// What has to be read before the one piece of a write can be written.
    pub(crate) fn copied_by(&self, begun: &Begun) -> Option<Copied> {
        match begun {
            Begun::Write(ticket, _) => self.copied(ticket.segments.only()?),
            Begun::Read(_) => None,
        }
    }

    /// Moves the data of a request that has begun by blocking calls, from the first byte on.
    ///
    /// # Errors
    /// A read or write that failed.
    pub(crate) fn move_read(
        &self,
        ticket: &ReadTicket,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<()> {
        let mut sink = Sink::new(buffers);
        let mut segments = ticket.segments.iter();
        let moved =
            segments.try_for_each(|part| self.read_segment(*part, &mut sink.next(part.length)));
        moved.map_err(|error| self.named_error(error))
    }

    /// As [`move_read`](Self::move_read), for a write.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn move_write(
        &self,
        ticket: &WriteTicket,
        forced: Forced,
        buffers: &[IoSlice<'_>],
    ) -> Result<()> {
        let mut stream = Stream::new(buffers);
        let fua = forced == Forced::ByFlag;
        let mut segments = ticket.segments.iter();
        let moved = segments.try_for_each(|part| self.write_segment(part, &mut stream, fua));
        moved.map_err(|error| self.named_error(error))
    }

    /// Publishes entries while the data below them is still moved, and writes them to the disk. The
    /// flush that makes them stable comes when the data has been moved.
    ///
    /// # Errors
    /// A write failed; the image has latched, and that flush says so.
    pub(crate) fn publish_early(&self, early: EarlyEntries) -> Result<()> {
        self.meta.publish_early(early)
    }

    /// What a forced write owes that has just ended.
    pub(crate) fn debt_of(&self, offset: u64, length: u64) -> Debt {
        self.meta.debt_of(offset, length)
    }

    /// Makes a forced write stable.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub(crate) fn pay(&self, debt: Debt) -> Result<()> {
        self.meta.pay(debt).map_err(|error| self.named_error(error))
    }

    /// Ends a request whose I/O has ended: a write whose data has been moved is published, another
    /// one takes back what it took (C3, C17).
    pub(crate) fn end(&self, begun: Begun, moved: bool) {
        match begun {
            Begun::Read(ticket) => self.meta.end_read(ticket),
            Begun::Write(ticket, _) => {
                let plan = self.meta.attach_write(ticket);
                if moved || self.settings.rules.breaks(Rule::FailedDataDropsPlan) {
                    plan.publish();
                }
            }
        }
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests;
