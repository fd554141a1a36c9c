//! Changes that can be taken back: before a byte changes for the first time, its old value stands
//! in a journal, durably (`docs/format.md`, undo files).
//!
//! - U1 A record is stable before the change that it takes back is passed on.
//! - U2 A byte is recorded once, so that records can be applied in any order and again.
//! - U3 Only bytes below the length at the beginning are recorded: the rest is cut off.
//! - U4 [`restore`] refuses a file that is not as the journal's end says it was left.
//!
//! A crash at any point leaves a journal whose whole records take back at least all that changed.

mod journal;
mod restore;

use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::slice;
use std::sync::Arc;

use super::covered::Covered;
use super::span::{end_of, to_usize, total};
use super::{Limits, Storage, StoredExtent, WriteFlags};
use crate::sync::{Mutex, Rank};
use journal::{Kind, PIECE, Writer, digest};
pub use restore::restore;

/// A storage that journals what it overwrites.
#[derive(Debug)]
pub struct Undo {
    inner: Arc<dyn Storage>,
    /// Held while the journal is written: this is a tool of repair, which has one thread.
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    writer: Writer,
    covered: Covered,
    /// Bytes of the file at the beginning.
    length: u64,
}

impl Undo {
    /// Journals the changes of `inner` into the empty `journal`, which nobody else uses.
    ///
    /// # Errors
    /// What the storages report.
    pub fn new(inner: Arc<dyn Storage>, journal: Arc<dyn Storage>) -> io::Result<Self> {
        let length = inner.len()?;
        let writer = Writer::begin(journal, length)?;
        let kept = Kept { writer, covered: Covered::default(), length };
        Ok(Self { inner, kept: Mutex::new(Rank::Journal, kept) })
    }

    /// Keeps these ranges at once: what is announced costs one sync of the journal for all of it.
    ///
    /// # Errors
    /// What the storages report; nothing may then be changed.
    pub fn announce(&self, ranges: &[Range<u64>]) -> io::Result<()> {
        let mut kept = self.kept.lock();
        let length = kept.length;
        let mut added = false;
        for range in ranges {
            let end = range.end.min(length);
            let mut at = range.start.min(end);
            while at < end {
                let (covered, next) = kept.covered.run(at, end);
                if !covered {
                    self.keep(&mut kept.writer, at..next)?;
                    added = true;
                }
                at = next;
            }
        }
        if added {
            kept.writer.sync()?;
            for range in ranges {
                kept.covered.insert(range.start.min(length), range.end.min(length));
            }
        }
        Ok(())
    }

    /// Whether nothing was overwritten or cut off yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.lock().covered.count() == 0
    }

    /// Ends the journal: the file is now as it is to be left, and stable.
    ///
    /// # Errors
    /// What the storages report.
    pub fn finish(&self) -> io::Result<()> {
        let mut kept = self.kept.lock();
        let length = self.inner.len()?;
        let digest = digest(&*self.inner, kept.covered.iter())?;
        kept.writer.add(Kind::End, length, digest, &[])?;
        kept.writer.sync()
    }

    fn keep(&self, writer: &mut Writer, range: Range<u64>) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let stored = self.inner.stored_extent(at, range.end - at)?;
            let length = stored.length.clamp(1, range.end - at);
            if stored.hole {
                writer.add(Kind::Zeroes, at, length, &[])?;
                at += length;
                continue;
            }
            let mut bytes = vec![0; to_usize(length.min(PIECE))];
            self.inner.read(&mut [IoSliceMut::new(&mut bytes)], at)?;
            let kind = if bytes.iter().all(|b| *b == 0) { Kind::Zeroes } else { Kind::Bytes };
            let payload: &[u8] = if kind == Kind::Bytes { &bytes } else { &[] };
            writer.add(kind, at, bytes.len() as u64, payload)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }

    fn announce_one(&self, offset: u64, length: u64) -> io::Result<()> {
        let end = end_of(offset, length)?;
        self.announce(slice::from_ref(&(offset..end)))
    }
}

impl Storage for Undo {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.inner.read(buffers, offset)
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()> {
        self.announce_one(offset, total(buffers))?;
        self.inner.write(buffers, offset, flags)
    }

    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.announce_one(offset, length)?;
        self.inner.zero_range(offset, length)
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.announce_one(offset, length)?;
        self.inner.punch(offset, length)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let now = self.inner.len()?;
        if length < now {
            self.announce(slice::from_ref(&(length..now)))?;
        }
        self.inner.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.inner.stored_extent(offset, length)
    }

    fn disk_usage(&self) -> io::Result<u64> {
        self.inner.disk_usage()
    }
}

#[cfg(test)]
mod tests;
