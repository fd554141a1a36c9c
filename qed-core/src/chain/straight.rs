//! Requests for a disk whose data a queue's ring moves: see `image/straight.rs`, whose words these
//! are for every format.
//!
//! A request begins here only where a plain file stands directly behind the disk, nobody watches
//! it, and nothing has to be waited for. It holds its passage through the disk: the driver and the
//! file stay what they are until it is ended.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Weak};

use super::disk::Disk;
use super::running::{Driver, Running, closed};
use crate::error::{Error, Result};
use crate::image::{self, Copied, Copying, Debt, EarlyEntries, Flags, Forced, Piece};
use crate::storage::{Bypass, WritePass};
use crate::sync::PassageTicket;

/// A request that has begun. It holds what it holds until it is [ended](Disk::end).
#[derive(Debug)]
#[must_use]
pub(crate) struct Begun {
    what: What,
    copied: Option<Copied>,
    passes: Vec<WritePass>,
    passage: PassageTicket,
}

#[derive(Debug)]
enum What {
    Qed(image::Begun),
    Raw(RawBegun),
}

/// A request for a raw disk: it holds nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawBegun {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) forced: Forced,
}

/// Names the file that requests are for, as long as the disk has it.
#[derive(Debug, Default)]
pub(crate) struct FileKey(Weak<Running>);

/// Where the memory of a request is: address and length of each part.
pub(crate) type Memory<'a> = &'a mut dyn Iterator<Item = (usize, usize)>;

impl Begun {
    /// The request's pieces, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.what.pieces()
    }

    /// What has to be read before the one piece of a write can be written.
    pub(crate) fn copied(&self) -> Option<Copied> {
        self.copied
    }

    /// What a write owes beside its data.
    pub(crate) fn forced(&self) -> Forced {
        self.what.forced()
    }

    /// Whether it has entries that may be [published](Disk::publish_early) while its data moves.
    pub(crate) fn has_early(&self) -> bool {
        matches!(&self.what, What::Qed(begun) if begun.has_early())
    }

    /// Takes these entries out, once.
    pub(crate) fn take_early(&mut self) -> Option<EarlyEntries> {
        match &mut self.what {
            What::Qed(begun) => begun.take_early(),
            What::Raw(_) => None,
        }
    }
}

impl What {
    fn pieces(&self) -> impl Iterator<Item = Piece> {
        let (qed, raw) = match self {
            Self::Qed(begun) => (Some(begun.pieces()), None),
            Self::Raw(raw) => {
                let RawBegun { offset: file, length, .. } = *raw;
                (None, Some(Piece::File { file, head: 0, length, tail: 0 }))
            }
        };
        qed.into_iter().flatten().chain(raw)
    }

    fn forced(&self) -> Forced {
        match self {
            Self::Qed(image::Begun::Write(_, forced)) => *forced,
            Self::Qed(image::Begun::Read(_)) => Forced::No,
            Self::Raw(raw) => raw.forced,
        }
    }
}

impl Disk {
    /// Gives the file that requests may begin for now to `register`, and its key to the caller.
    /// None where there is no such file, or `register` fails.
    pub(crate) fn straight_file(
        &self,
        register: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    ) -> Option<FileKey> {
        let _inside = self.turnstile.try_enter()?;
        let running = self.running.load();
        let bypass = self.bypass(&running)?;
        register(bypass.descriptor()).ok()?;
        Some(FileKey(Arc::downgrade(&running)))
    }

    /// Whether `key` names the file that requests may begin for now.
    pub(crate) fn has_file(&self, key: &FileKey) -> bool {
        Weak::as_ptr(&key.0) == Arc::as_ptr(&self.running.load())
    }

    /// Begins a read of `length` bytes, more than none, into `memory`; None where the blocking call
    /// is needed, or `file` is not the disk's any more.
    pub(crate) fn begin_read(
        &self,
        file: &FileKey,
        offset: u64,
        length: u64,
        memory: Memory<'_>,
    ) -> Option<Begun> {
        let inside = self.turnstile.try_enter()?;
        let running = self.running.load();
        let bypass = self.bypass(&running).filter(|_| self.has_file(file))?;
        if !bypass.accepts(offset, memory) {
            return None;
        }
        let what = match &running.driver {
            Driver::Qed(image) => What::Qed(image.begin_read(offset, length)?),
            Driver::Raw(disk) => What::Raw(disk.begin_read(offset, length)?),
            _ => return None,
        };
        Some(Begun { what, copied: None, passes: Vec::new(), passage: inside.detach() })
    }

    /// Begins a write of `length` bytes, more than none, from `memory`, which may copy into `room`
    /// bytes from below; None as for a read.
    pub(crate) fn begin_write(
        &self,
        file: &FileKey,
        offset: u64,
        length: u64,
        flags: Flags,
        memory: Memory<'_>,
        room: u64,
    ) -> Option<Begun> {
        let inside = self.turnstile.try_enter()?;
        let running = self.running.load();
        let bypass = self.bypass(&running).filter(|_| self.has_file(file))?;
        if !bypass.accepts(offset, memory) {
            return None;
        }
        let (what, copied) = match &running.driver {
            Driver::Qed(image) => {
                let begun = image.begin_write(offset, length, flags, Copying::UpTo(room))?;
                let copied = image.copied_by(&begun);
                (What::Qed(begun), copied)
            }
            Driver::Raw(disk) => (What::Raw(disk.begin_write(offset, length, flags)?), None),
            _ => return None,
        };
        match passes(&bypass, &what) {
            Some(passes) => Some(Begun { what, copied, passes, passage: inside.detach() }),
            None => {
                end(&running, what, false);
                None
            }
        }
    }

    /// Notes that the I/O of a request has ended, and how where the system failed it.
    ///
    /// # Errors
    /// The request was a forced write, and is not known to be stable.
    pub(crate) fn landed(&self, begun: &mut Begun, failed: Option<&io::Error>) -> io::Result<()> {
        let running = self.running.load();
        let Some(bypass) = self.bypass(&running) else { return Ok(()) };
        let mut landed = Ok(());
        for pass in begun.passes.drain(..) {
            // Each of them, whatever became of those before.
            let ended = bypass.end_write(pass, failed);
            landed = landed.and(ended);
        }
        landed
    }

    /// Moves the data of a read whose I/O has ended by blocking calls.
    ///
    /// # Errors
    /// A read that failed.
    pub(crate) fn move_read(&self, begun: &Begun, buffers: &mut [IoSliceMut<'_>]) -> Result<()> {
        match (&self.running.load().driver, &begun.what) {
            (Driver::Qed(image), What::Qed(image::Begun::Read(ticket))) => {
                image.move_read(ticket, buffers)
            }
            (Driver::Raw(disk), What::Raw(raw)) => disk.preadv(buffers, raw.offset),
            _ => Err(foreign()),
        }
    }

    /// As [`move_read`](Self::move_read), for a write.
    ///
    /// # Errors
    /// A write that failed.
    pub(crate) fn move_write(&self, begun: &Begun, buffers: &[IoSlice<'_>]) -> Result<()> {
        match (&self.running.load().driver, &begun.what) {
            (Driver::Qed(image), What::Qed(image::Begun::Write(ticket, forced))) => {
                image.move_write(ticket, *forced, buffers)
            }
            (Driver::Raw(disk), What::Raw(raw)) => {
                let flags = if raw.forced == Forced::ByFlag { Flags::FUA } else { Flags::NONE };
                disk.pwritev(buffers, raw.offset, flags)
            }
            _ => Err(foreign()),
        }
    }

    /// Publishes the entries of a request that has begun here and not ended, and writes them.
    ///
    /// # Errors
    /// A write failed; the disk has latched.
    pub(crate) fn publish_early(&self, early: EarlyEntries) -> Result<()> {
        match &self.running.load().driver {
            Driver::Qed(image) => image.publish_early(early),
            _ => Err(foreign()),
        }
    }

    /// Ends a request whose I/O has [ended](Self::landed), and whose data has been moved or not.
    /// Gives what has to be [paid](Self::pay) where it is a write of `length` bytes at `offset`
    /// that is to be made stable.
    pub(crate) fn end(&self, begun: Begun, moved: bool, offset: u64, length: u64) -> Option<Debt> {
        let owes = moved && begun.forced() == Forced::ByFlush;
        let running = self.running.load();
        end(&running, begun.what, moved);
        let debt = match &running.driver {
            Driver::Qed(image) if owes => Some(image.debt_of(offset, length)),
            _ => None,
        };
        drop(self.turnstile.attach(begun.passage));
        debt
    }

    /// Makes a forced write stable. It is, where the disk has been at rest since.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub(crate) fn pay(&self, debt: Debt) -> Result<()> {
        let _inside = self.enter()?;
        match &self.running.load().driver {
            Driver::Qed(image) => image.pay(debt),
            Driver::Closed(why) => Err(self.named(closed(why))),
            Driver::Raw(_) | Driver::Qcow2(_) => Err(foreign()),
        }
    }

    /// The error of a request at `offset` that the system failed with `error`.
    pub(crate) fn failed(&self, doing: &str, offset: u64, error: io::Error) -> Error {
        self.named(Error::io(doing, error).at(offset))
    }

    /// The way to the disk's file, where requests may begin here.
    fn bypass<'a>(&self, running: &'a Running) -> Option<Bypass<'a>> {
        match &running.driver {
            _ if self.is_observed() => None,
            Driver::Qed(image) => image.bypass(),
            Driver::Raw(disk) => disk.bypass(),
            Driver::Qcow2(_) | Driver::Closed(_) => None,
        }
    }
}

fn end(running: &Running, what: What, moved: bool) {
    if let (Driver::Qed(image), What::Qed(begun)) = (&running.driver, what) {
        image.end(begun, moved);
    }
}

/// What lets each piece of a write pass; None where one would have to wait.
fn passes(bypass: &Bypass<'_>, what: &What) -> Option<Vec<WritePass>> {
    let by_flag = what.forced() == Forced::ByFlag;
    let mut passes = Vec::new();
    for piece in what.pieces() {
        let Piece::File { file, head, length, tail } = piece else { continue };
        match bypass.begin_write(file, head + length + tail, by_flag) {
            Some(pass) if pass.is_empty() => {}
            Some(pass) => passes.push(pass),
            None => {
                for pass in passes {
                    // Nothing has been written that could have to be stable.
                    let _ = bypass.end_write(pass, None);
                }
                return None;
            }
        }
    }
    Some(passes)
}

fn foreign() -> Error {
    Error::invalid("the request began on another disk")
}
