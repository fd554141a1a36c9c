//! Requests for a disk whose data a queue's ring moves: see `image/straight.rs`, whose words these
//! are for every format.
//!
//! A request begins here only where a plain file stands directly behind the disk, and nobody
//! watches it.

use std::io::{IoSlice, IoSliceMut};

use super::disk::{Disk, Driver};
use crate::error::{Error, Result};
use crate::image::{self, Flags, Forced, Piece};
use crate::storage::Bypass;

/// A request that has begun. It holds what it holds until it is [ended](Disk::end).
#[derive(Debug)]
#[must_use]
pub(crate) enum Begun {
    Qed(image::Begun),
    Raw(RawBegun),
}

/// A request for a raw disk: it holds nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawBegun {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) forced: Forced,
}

impl Begun {
    /// The request's pieces, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        let (qed, raw) = match self {
            Self::Qed(begun) => (Some(begun.pieces()), None),
            Self::Raw(raw) => {
                let RawBegun { offset: file, length, .. } = *raw;
                (None, Some(Piece::File { file, head: 0, length, tail: 0 }))
            }
        };
        qed.into_iter().flatten().chain(raw)
    }

    /// What a write owes beside its data.
    pub(crate) fn forced(&self) -> Forced {
        match self {
            Self::Qed(image::Begun::Write(_, forced)) => *forced,
            Self::Qed(image::Begun::Read(_)) => Forced::No,
            Self::Raw(raw) => raw.forced,
        }
    }
}

impl Disk {
    /// The way to the disk's file, where requests may begin here.
    pub(crate) fn bypass(&self) -> Option<Bypass<'_>> {
        if self.is_observed() {
            return None;
        }
        match &self.driver {
            Driver::Qed(image) => image.bypass(),
            Driver::Raw(disk) => disk.bypass(),
            Driver::Qcow2(_) => None,
        }
    }

    /// Begins a read of `length` bytes, more than none; None where the blocking call is needed.
    pub(crate) fn begin_read(&self, offset: u64, length: u64) -> Option<Begun> {
        match &self.driver {
            Driver::Qed(image) => image.begin_read(offset, length).map(Begun::Qed),
            Driver::Raw(disk) => disk.begin_read(offset, length).map(Begun::Raw),
            Driver::Qcow2(_) => None,
        }
    }

    /// Begins a write of `length` bytes, more than none; None where the blocking call is needed.
    pub(crate) fn begin_write(&self, offset: u64, length: u64, flags: Flags) -> Option<Begun> {
        match &self.driver {
            Driver::Qed(image) => image.begin_write(offset, length, flags).map(Begun::Qed),
            Driver::Raw(disk) => disk.begin_write(offset, length, flags).map(Begun::Raw),
            Driver::Qcow2(_) => None,
        }
    }

    /// Moves the data of a read that has begun by blocking calls.
    ///
    /// # Errors
    /// A read that failed.
    pub(crate) fn move_read(&self, begun: &Begun, buffers: &mut [IoSliceMut<'_>]) -> Result<()> {
        match (&self.driver, begun) {
            (Driver::Qed(image), Begun::Qed(image::Begun::Read(ticket))) => {
                image.move_read(ticket, buffers)
            }
            (Driver::Raw(disk), Begun::Raw(raw)) => disk.preadv(buffers, raw.offset),
            _ => Err(foreign()),
        }
    }

    /// As [`move_read`](Self::move_read), for a write.
    ///
    /// # Errors
    /// A write that failed.
    pub(crate) fn move_write(&self, begun: &Begun, buffers: &[IoSlice<'_>]) -> Result<()> {
        match (&self.driver, begun) {
            (Driver::Qed(image), Begun::Qed(image::Begun::Write(ticket, forced))) => {
                image.move_write(ticket, *forced, buffers)
            }
            (Driver::Raw(disk), Begun::Raw(raw)) => {
                let flags = if raw.forced == Forced::ByFlag { Flags::FUA } else { Flags::NONE };
                disk.pwritev(buffers, raw.offset, flags)
            }
            _ => Err(foreign()),
        }
    }

    /// Ends a request whose I/O has ended.
    pub(crate) fn end(&self, begun: Begun, moved: bool) {
        if let (Driver::Qed(image), Begun::Qed(begun)) = (&self.driver, begun) {
            image.end(begun, moved);
        }
    }

    /// The error of a request at `offset` that the system failed with `error`.
    pub(crate) fn failed(&self, doing: &str, offset: u64, error: std::io::Error) -> Error {
        self.named(Error::io(doing, error).at(offset))
    }
}

fn foreign() -> Error {
    Error::invalid("the request began on another disk")
}
